"""Exported files in the hands of the trainers' own readers."""

import json

import numpy as np
import pytest
import yaml

from interplay.formats.exports import export


def sets(sizes):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    return {name: datasets.Dataset.from_dict({"set": [name] * n, "row": range(n)}) for name, n in sizes.items()}


@pytest.mark.parametrize("stopping", ["first_exhausted", "all_exhausted"])
def test_interleave_datasets_draws_the_shares(stopping, tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    sizes = {"a": 20_000, "b": 2_000, "c": 3_000}
    made, path = sets(sizes), tmp_path / "mix.json"
    rows = {name: {"examples": n} for name, n in sizes.items()}
    asked = {"a": 0.6, "b": 0.3, "c": 0.1}
    found = export(asked, "interleave-datasets", path, rows, unit="examples", stopping=stopping)
    args = json.loads(path.read_text())
    drawn = datasets.interleave_datasets([made[name] for name in args.pop("datasets")], **args)["set"]
    counts = np.array([list(drawn).count(name) for name in asked])
    np.testing.assert_allclose(counts / counts.sum(), list(asked.values()), atol=0.02)
    np.testing.assert_allclose(counts, found.read, rtol=0.05)
    assert found.epochs[1 if stopping == "first_exhausted" else 0] == pytest.approx(1.0)


def test_interleave_datasets_reads_a_mask_once(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    made, path = sets({"a": 7, "b": 3, "c": 5}), tmp_path / "mix.json"
    export({"a": 1, "b": 1, "c": 0}, "interleave-datasets", path)
    args = json.loads(path.read_text())
    drawn = datasets.interleave_datasets([made[name] for name in args.pop("datasets")], **args)
    assert sorted(zip(drawn["set"], drawn["row"], strict=True)) == [
        *(("a", i) for i in range(7)),
        *(("b", i) for i in range(3)),
    ]


def test_llama_factory_probabilities_are_those_of_datasets(tmp_path):
    """Its text of probabilities, split as it splits it, is drawn with."""
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    made, path = sets({"a": 5_000, "b": 5_000}), tmp_path / "mix.yaml"
    export({"a": 2 / 3, "b": 1 / 3}, "llama-factory", path, unit="examples")
    body = yaml.safe_load(path.read_text())
    chosen = [made[name.strip()] for name in body["dataset"].split(",")]
    probabilities = list(map(float, body["interleave_probs"].split(",")))
    drawn = list(datasets.interleave_datasets(chosen, probabilities=probabilities, seed=1)["set"])
    assert drawn.count("a") / len(drawn) == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("kind", ["mixture", "mask"])
def test_trl_reads_the_mixture(kind, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    pytest.importorskip("trl", reason="trl is not installed")
    from trl.scripts.utils import DatasetMixtureConfig, TrlParser, get_dataset

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    sizes, rows = {"a": 400, "b": 90, "c": 300}, {}
    for name, n in sizes.items():
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"set": name, "row": i}) + "\n" for i in range(n)))
        rows[name] = {"source": "json", "data_files": str(file), "examples": n}
    path = tmp_path / "mix.yaml"
    asked = {"a": 0.5, "b": 0.3, "c": 0.2} if kind == "mixture" else {"a": 1, "b": 1, "c": 0}
    found = export(asked, "trl", path, rows, unit="examples")
    (config,) = TrlParser((DatasetMixtureConfig,)).parse_args_and_config(["--config", str(path)])
    drawn = list(get_dataset(config)["train"]["set"])
    counts = [drawn.count(name) for name in found.tasks]
    assert counts == ([150, 90, 60] if kind == "mixture" else [400, 90])
    np.testing.assert_allclose(found.realised, np.array(counts) / sum(counts), atol=1e-9)
    np.testing.assert_allclose(found.read, counts)


def test_mergekit_reads_the_merge(tmp_path):
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    from mergekit.config import MergeConfiguration

    path = tmp_path / "merge.yaml"
    rows = {"math": {"source": "org/math", "density": 0.5}, "code": "org/code", "chat": "org/chat"}
    asked = {"math": 0.7, "code": -0.25, "chat": 0.0}
    export(asked, "mergekit", path, rows, base_model="org/base", merge_method="ties")
    config = MergeConfiguration.model_validate(yaml.safe_load(path.read_text()))
    assert config.merge_method == "ties"
    assert str(config.base_model.model.path) == "org/base"
    assert config.parameters == {"normalize": False}
    assert config.models is not None
    assert [(one.model.model.path, one.parameters) for one in config.models] == [
        ("org/math", {"weight": 0.7, "density": 0.5}),
        ("org/code", {"weight": -0.25}),
    ]
