"""Exported files read by the trainers' own packages, where one is installed.

None of them is a dependency: they bring whole trainers, and some exclude each other. Each was run once in an
environment of its own, with the version that `Format.read_by` states; `test_exports_trainers` has those that are light.
"""

import json

import numpy as np
import pytest
import yaml

from interplay.formats.exports import FORMATS, export
from tests.test_exports import EXAMPLES, TASKS, out, sources

MIXTURES = {
    "plain": [0.5, 0.25, 0.15, 0.1],
    "odd": [1 / 3, 1 / 7, 1 - 1 / 3 - 1 / 7 - 1e-4, 1e-4],
    "single": [1.0, 0.0, 0.0, 0.0],
}


def package(name):
    """A module of a trainer; the test skips where it or what it needs is not installed."""
    return pytest.importorskip(name, reason=f"trainer package {name} is not installed", exc_type=ImportError)


def dataclass_of(body, one):
    from transformers import HfArgumentParser

    return HfArgumentParser([one]).parse_dict(body)[0]


def llama_factory(path):
    read = dataclass_of(yaml.safe_load(path.read_text()), package("llamafactory.hparams.data_args").DataArguments)
    return read.dataset, read.interleave_probs


def ms_swift(path):
    syntax = package("swift.dataset.dataset_syntax").DatasetSyntax
    read = dataclass_of(yaml.safe_load(path.read_text()), package("swift.arguments.base_args.data_args").DataArguments)
    names = [syntax.parse(name) for name in read.dataset]
    assert not any(one.subsets or one.dataset_sample for one in names)
    return [one.dataset for one in names], read.interleave_prob


def megatron(path):
    reader = package("megatron.core.datasets.utils")
    words = json.loads(path.read_text())["train"] if path.suffix == ".json" else path.read_text().split()
    names, weights = reader.get_blend_from_list(words)
    return names, weights if weights is None else reader.normalize(weights)


def nanotron(path):
    config = package("nanotron.config")
    dacite = package("dacite")
    if not hasattr(config, "NanosetDatasetsArgs") or not hasattr(config, "DatasetStageArgs"):
        pytest.skip("trainer package nanotron is older than data stages")
    (stage,) = yaml.safe_load(path.read_text())["data_stages"]
    read = dacite.from_dict(config.DatasetStageArgs, stage, config=dacite.Config(strict=True))
    assert read.start_training_step == 1
    return read.data.dataset.dataset_folder, read.data.dataset.dataset_weights


def llm_foundry(path):
    stream = package("streaming.base.stream").Stream
    streams = yaml.safe_load(path.read_text())["train_loader"]["dataset"]["streams"]
    read = [stream(**one) for one in streams.values()]
    sizes = [int(EXAMPLES[TASKS.index(name)]) for name in streams]
    total = stream.apply_weights(read, sizes, None, 1)
    assert total == sum(sizes)  # as many samples an epoch as the streams have
    if not any("proportion" in one for one in streams.values()):
        assert [one.choose for one in read] == sizes
        return [one.local for one in read], None
    np.testing.assert_allclose([one.choose / total for one in read], [one.proportion for one in read], atol=1e-5)
    return [one.local for one in read], [one.proportion for one in read]


def levanter(path):
    config, draccus = package("levanter.data.text").LmDataConfig, package("draccus")
    body = yaml.safe_load(path.read_text())["data"]
    body["components"] = {name: {} for name in body["train_weights"]}
    read = draccus.decode(config, body).train_weights
    return list(read), list(read.values())


def olmo_core(path):
    read = package("olmo_core.data.source_mixture").SourceMixtureList.from_dict(yaml.safe_load(path.read_text()))
    read.validate()
    for one in read.sources:
        one.validate()
    return [one.paths[0] for one in read.sources], [one.target_ratio for one in read.sources]


READERS = {
    "llama-factory": llama_factory,
    "ms-swift": ms_swift,
    "megatron-lm": megatron,
    "nanotron": nanotron,
    "llm-foundry": llm_foundry,
    "levanter": levanter,
    "olmo-core": olmo_core,
}


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("name", READERS)
def test_the_trainer_reads_the_shares(name, mixture, tmp_path, monkeypatch):
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")  # LLaMA-Factory's, of packages that are not asked here
    asked, path = np.array(MIXTURES[mixture]), out(name, tmp_path)
    export(dict(zip(TASKS, asked, strict=True)), name, path, sources(), unit=FORMATS[name].unit, kind="mixture")
    names, shares = READERS[name](path)
    kept = np.flatnonzero(asked)
    assert names == [f"org/{TASKS[k]}" for k in kept]
    np.testing.assert_allclose([1.0] if shares is None else shares, asked[kept], atol=1e-6)


@pytest.mark.parametrize("name", [name for name in READERS if FORMATS[name].whole])
def test_the_trainer_reads_a_mask_whole(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    path = out(name, tmp_path)
    export({"web": 1, "code": 0, "math": 1, "books": 1}, name, path, sources())
    assert READERS[name](path) == (["org/web", "org/math", "org/books"], None)


def test_megatron_reads_a_split(tmp_path):
    path = tmp_path / "blend.json"
    export({"web": 2 / 3, "code": 1 / 3}, "megatron-lm", path, unit="tokens")
    names, shares = megatron(path)
    assert names == ["web", "code"]
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3], atol=1e-6)


def test_levanter_reads_a_schedule_and_deals_in_blocks(tmp_path):
    config, draccus = package("levanter.data.text").LmDataConfig, package("draccus")
    path = tmp_path / "mix.yaml"
    weights = {"main:web": 0.6, "main:code": 0.3, "anneal:web": 0.04, "anneal:code": 0.06}
    export(weights, "levanter", path, unit="tokens", phases={"main": 0.9, "anneal": 0.1}, steps=1000)
    body = yaml.safe_load(path.read_text())["data"]
    read = draccus.decode(config, body | {"components": {"web": {}, "code": {}}})
    (first, main), (second, anneal) = read.train_weights
    assert (first, second) == (0, 900)
    np.testing.assert_allclose([main["web"], main["code"]], [2 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose([anneal["web"], anneal["code"]], [0.4, 0.6], atol=1e-6)


def test_axolotl_knows_the_sets_and_whether_it_knows_the_weight(tmp_path):
    """Where its class has no weight, every set is read whole, and that is said."""
    own = package("axolotl.utils.schemas.datasets").SFTDataset
    path = tmp_path / "mix.yaml"
    asked = dict(zip(TASKS, MIXTURES["plain"], strict=True))
    found = export(asked, "axolotl", path, sources(type=["alpaca"] * 4), unit="examples")
    body = yaml.safe_load(path.read_text())["datasets"]
    read = [own.model_validate(one) for one in body]
    assert [(one.path, one.type) for one in read] == [(f"org/{task}", "alpaca") for task in TASKS]
    if "weight" in own.model_fields:
        kept = np.array([one.weight for one in read]) * EXAMPLES
        np.testing.assert_allclose(kept / kept.sum(), list(asked.values()), atol=1e-6)
    assert any("no release of axolotl up to 0.19.0 knows 'weight'" in note for note in found.notes)
