"""Exports into every format: the file as an independent reader sees it, and shares within 1e-6 of those asked for."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.formats.exports import FORMATS, export
from interplay.formats.exports.mixture import apportioned
from interplay.selection import Selection
from tests.choices import choice

TASKS = ("web", "code", "math", "books")
TOKENS = np.array([5e9, 4e8, 1e8, 2e9])
EXAMPLES = np.array([5e6, 1e6, 5e5, 1e6])
SUFFIX = {"interleave-datasets": ".json", "megatron-lm": ".txt"}
MIXING = [name for name in FORMATS if name != "mergekit"]


def sources(tasks=TASKS, tokens=TOKENS, examples=EXAMPLES, **columns):
    """Every task with its sizes, called org/TASK."""
    rows = {}
    for i, task in enumerate(tasks):
        rows[task] = {"source": f"org/{task}", "tokens": tokens[i], "examples": examples[i]}
        rows[task] |= {name: values[i] for name, values in columns.items()}
    return rows


def written(name, path, sizes=None):
    """Names and shares in a file of a format, its shape checked key by key; sizes in examples where weights need them.

    Shares are None where the file has none: sources are read whole.
    """
    text = Path(path).read_text(encoding="utf-8")
    return READERS[name](text, {} if sizes is None else sizes)


def _interleave(text, sizes):
    body = json.loads(text)
    assert list(body) == ["datasets", "probabilities", "seed", "stopping_strategy"]
    if body["probabilities"] is None:
        assert body["stopping_strategy"] == "all_exhausted_without_replacement"
    else:
        assert body["stopping_strategy"] in ("first_exhausted", "all_exhausted")
    return body["datasets"], body["probabilities"]


def _llama_factory(text, sizes):
    body = yaml.safe_load(text)
    names = [part.strip() for part in body["dataset"].split(",")]
    if body["mix_strategy"] == "concat":
        assert list(body) == ["dataset", "mix_strategy"]
        return names, None
    assert list(body) == ["dataset", "mix_strategy", "interleave_probs"]
    assert body["mix_strategy"] in ("interleave_under", "interleave_over")
    assert isinstance(body["interleave_probs"], str)
    return names, [float(part) for part in body["interleave_probs"].split(",")]


def _axolotl(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["datasets"]
    names = [one["path"] for one in body["datasets"]]
    if not any("weight" in one for one in body["datasets"]):
        return names, None
    weights = [one["weight"] for one in body["datasets"]]
    assert all(isinstance(w, float) and 0 < w <= 1 for w in weights)
    kept = np.array([w * sizes[name] for w, name in zip(weights, names, strict=True)])
    return names, (kept / kept.sum()).tolist()


def _trl(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["datasets"]
    names = [one["path"] for one in body["datasets"]]
    if not any("fraction" in one for one in body["datasets"]):
        return names, None
    fractions = np.array([one["fraction"] for one in body["datasets"]])
    return names, (fractions / fractions.sum()).tolist()


def _ms_swift(text, sizes):
    body = yaml.safe_load(text)
    if list(body) == ["dataset"]:
        return body["dataset"], None
    assert list(body) == ["dataset", "interleave_prob", "stopping_strategy"]
    assert all(isinstance(p, float) for p in body["interleave_prob"])
    return body["dataset"], body["interleave_prob"]


def _open_instruct(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["dataset_mixer_list"]
    pairs = body["dataset_mixer_list"]
    assert len(pairs) % 2 == 0
    assert all(isinstance(part, str) for part in pairs)
    names, amounts = pairs[::2], pairs[1::2]
    if set(amounts) == {"1.0"} and len(amounts) > 1 and not sizes:
        return names, None
    counts = []
    for name, amount in zip(names, amounts, strict=True):  # as the trainer reads them
        number = float(amount) if "." in amount else int(amount)
        counts.append(int(number) if number > 1.0 else int(number * sizes[name]))
        assert 1 <= counts[-1] <= sizes[name]
    return names, (np.array(counts) / np.sum(counts)).tolist()


def _megatron(text, sizes):
    words = text.split()
    try:
        return words[1::2], [float(word) for word in words[::2]]
    except ValueError:
        return words, None


def _nanotron(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["data_stages"]
    (stage,) = body["data_stages"]
    assert list(stage) == ["name", "start_training_step", "data"]
    assert stage["start_training_step"] == 1
    data = stage["data"]["dataset"]
    assert set(data) <= {"dataset_folder", "dataset_weights"}
    return data["dataset_folder"], data.get("dataset_weights")


def _llm_foundry(text, sizes):
    streams = yaml.safe_load(text)["train_loader"]["dataset"]["streams"]
    names = [one.get("local", one.get("remote")) for one in streams.values()]
    shares = [one.get("proportion") for one in streams.values()]
    return names, None if shares == [None] * len(shares) else shares


def _levanter(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["data"]
    assert list(body["data"]) == ["train_weights"]
    weights = body["data"]["train_weights"]
    return list(weights), list(weights.values())


def _olmo_core(text, sizes):
    body = yaml.safe_load(text)
    assert list(body) == ["sources"]
    for one in body["sources"]:
        assert set(one) <= {"source_name", "target_ratio", "paths", "max_repetition_ratio"}
        assert 0 < one["target_ratio"] <= 1
        assert one.get("max_repetition_ratio", 1.0) >= 1
        assert len(one["paths"]) == 1
    return [one["paths"][0] for one in body["sources"]], [one["target_ratio"] for one in body["sources"]]


READERS = {
    "interleave-datasets": _interleave,
    "llama-factory": _llama_factory,
    "axolotl": _axolotl,
    "trl": _trl,
    "ms-swift": _ms_swift,
    "open-instruct": _open_instruct,
    "megatron-lm": _megatron,
    "nanotron": _nanotron,
    "llm-foundry": _llm_foundry,
    "levanter": _levanter,
    "olmo-core": _olmo_core,
}


def out(name, folder):
    return Path(folder) / f"mix{SUFFIX.get(name, '.yaml')}"


def test_every_format_is_described():
    assert set(READERS) == set(MIXING)
    for name, one in FORMATS.items():
        assert one.name == name
        assert one.unit in ("tokens", "examples", "models")
        assert one.link.startswith("https://")
        assert one.suffixes
        assert one.weight in repr(one)
        assert one.writes


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("unit", ["tokens", "examples"])
def test_shares(name, unit, tmp_path):
    """Asked of tokens or of examples, written in the unit of the trainer."""
    asked = np.array([0.5, 0.25, 0.15, 0.1])
    path = out(name, tmp_path)
    found = export(dict(zip(TASKS, asked, strict=True)), name, path, sources(), unit=unit)
    names, shares = written(name, path, dict(zip([f"org/{t}" for t in TASKS], EXAMPLES, strict=True)))
    assert names == [f"org/{t}" for t in TASKS]
    length = TOKENS / EXAMPLES
    own = FORMATS[name].unit
    expected = asked if unit == own else asked / length if own == "examples" else asked * length
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=1e-6)
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert found.path == path
    assert found.unit == own
    np.testing.assert_allclose(found.asked, asked, atol=1e-12)
    block = 1 / 2048 * 4  # levanter deals in blocks
    np.testing.assert_allclose(found.realised, asked, atol=block * 6 if name == "levanter" else 2e-6)
    turned = any("were turned into" in note for note in found.notes)
    assert turned == (unit != own)


@pytest.mark.parametrize("name", MIXING)
@settings(max_examples=15, deadline=None)
@given(
    raw=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=7),
    unit=st.sampled_from(["tokens", "examples"]),
    data=st.data(),
)
def test_random_shares(name, raw, unit, data):
    n = len(raw)
    asked = np.array(raw) / np.sum(raw)
    tasks = [f"t{i}" for i in range(n)]
    examples = np.array([data.draw(st.integers(10**10, 10**12)) for _ in raw], float)
    tokens = examples * np.array([data.draw(st.integers(10, 1000)) for _ in raw])
    own = FORMATS[name].unit
    length = tokens / examples
    expected = asked if unit == own else asked / length if own == "examples" else asked * length
    expected = expected / expected.sum()
    with tempfile.TemporaryDirectory() as folder:
        path = out(name, folder)
        export(
            dict(zip(tasks, asked, strict=True)),
            name,
            path,
            sources(tasks, tokens, examples),
            unit=unit,
            kind="mixture",
        )
        names, shares = written(name, path, {f"org/{t}": e for t, e in zip(tasks, examples, strict=True)})
    shares = [1.0] if shares is None else shares  # LLaMA-Factory reads a single source as it is
    there = dict(zip(names, shares, strict=True))
    for task, want in zip(tasks, expected, strict=True):
        assert there.get(f"org/{task}", 0.0) == pytest.approx(want, abs=1e-6)
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)
    assert min(shares) > 0


@given(st.lists(st.floats(1e-7, 1.0), min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
def test_rounded_shares_sum_to_one(raw):
    shares = np.array(raw) / np.sum(raw)
    rounded = apportioned(shares)
    assert round(sum(round(x * 10**9) for x in rounded)) == 10**9
    assert (rounded > 0).all()
    assert np.abs(rounded - shares).max() <= max(1e-9, 1e-9 * (shares < 1e-9).sum()) + 1e-15


@pytest.mark.parametrize("name", MIXING)
def test_masks_are_whole(name, tmp_path):
    """Concatenated where that can be said; elsewhere shares of the sizes."""
    path = out(name, tmp_path)
    found = export({"web": 1, "code": 0, "math": 1, "books": 1}, name, path, sources())
    names, shares = written(name, path)
    assert names == ["org/web", "org/math", "org/books"]
    kept = [0, 2, 3]
    if FORMATS[name].whole:
        assert shares is None
        assert np.isnan(found.asked).all()
        np.testing.assert_allclose(found.epochs, 1.0)
    else:
        np.testing.assert_allclose(shares, TOKENS[kept] / TOKENS[kept].sum(), atol=1e-6)
    size = TOKENS if FORMATS[name].unit == "tokens" else EXAMPLES
    block = 3 / 2048 if name == "levanter" else 1e-6
    np.testing.assert_allclose(found.realised, size[kept] / size[kept].sum(), atol=block)
    assert "code" in " ".join(found.notes)


@pytest.mark.parametrize("name", MIXING)
def test_equal_shares_of_a_mask(name, tmp_path):
    path = out(name, tmp_path)
    export({"web": 1, "code": 1, "math": 0, "books": 1}, name, path, sources(), equal=True)
    _, shares = written(name, path, dict(zip([f"org/{t}" for t in TASKS], EXAMPLES, strict=True)))
    np.testing.assert_allclose(shares, 1 / 3, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in MIXING if FORMATS[name].whole])
def test_whole_without_sizes(name, tmp_path):
    """What is concatenated needs no sizes."""
    path = out(name, tmp_path)
    found = export({"web": 1, "code": 1}, name, path)
    assert written(name, path) == (["web", "code"], None)
    assert np.isnan(found.read).all()
    assert np.isnan(found.realised).all()
    assert repr(found)


def test_a_selection(tmp_path):
    chosen = choice("mixture")
    path = tmp_path / "mix.yaml"
    found = chosen.export("llama-factory", path, unit="examples")
    names, shares = written("llama-factory", path)
    assert tuple(names) == chosen.tasks
    np.testing.assert_allclose(shares, chosen.weights, atol=1e-6)
    frame = found.to_frame()
    assert list(frame) == ["task", "source", "asked", "written", "realised", "read", "available", "epochs"]
    assert frame["asked"].sum() == pytest.approx(1)
    chosen.save(tmp_path / "choice.json")
    again = Selection.load(tmp_path / "choice.json").export("llama-factory", tmp_path / "again.yaml", unit="examples")
    assert again.written.tolist() == found.written.tolist()
    mask = choice("mask")
    mask.export("trl", path)
    assert tuple(written("trl", path)[0]) == mask.names


def test_llm_foundry_streams(tmp_path):
    """Local folders and remote addresses; columns for both; the split."""
    path = tmp_path / "mix.yaml"
    rows = {
        "web": {"source": "s3://bucket/web"},
        "code": {"source": "/data/code"},
        "math": {"local": "/cache/math", "remote": "s3://bucket/math", "split": "train"},
    }
    export({"web": 0.5, "code": 0.3, "math": 0.2}, "llm-foundry", path, rows, unit="examples")
    streams = yaml.safe_load(path.read_text())["train_loader"]["dataset"]["streams"]
    assert streams["web"] == {"remote": "s3://bucket/web", "proportion": 0.5}
    assert streams["code"] == {"local": "/data/code", "proportion": 0.3}
    assert streams["math"] == {
        "local": "/cache/math",
        "remote": "s3://bucket/math",
        "split": "train",
        "proportion": 0.2,
    }


def test_megatron_splits(tmp_path):
    path = tmp_path / "blend.json"
    export({"web": 0.7, "my code": 0.3}, "megatron-lm", path, unit="tokens")
    assert json.loads(path.read_text()) == {"train": ["0.7", "web", "0.3", "my code"], "valid": None, "test": None}
    export({"web": 1, "code": 1}, "megatron-lm", path)
    assert json.loads(path.read_text())["train"] == ["web", "code"]


def test_olmo_core_repeats_what_it_must(tmp_path):
    path = tmp_path / "mix.yaml"
    asked = dict(zip(TASKS, [0.6, 0.3, 0.1, 0.0], strict=True))
    found = export(asked, "olmo-core", path, sources(), unit="tokens", budget=5e9)
    rows = yaml.safe_load(path.read_text())["sources"]
    assert "max_repetition_ratio" not in rows[0]  # 3e9 of 5e9
    for row, tokens, often in ((rows[1], 4e8, 3.75), (rows[2], 1e8, 5.0)):
        assert often <= row["max_repetition_ratio"] < often * 1.001
        assert int(tokens * row["max_repetition_ratio"]) >= int(5e9 * row["target_ratio"])
    assert any("requested_tokens 5000000000" in note for note in found.notes)


def test_levanter_says_what_a_block_leaves_out(tmp_path):
    path = tmp_path / "mix.yaml"
    found = export({"web": 0.9997, "code": 0.0003}, "levanter", path, unit="tokens")
    assert written("levanter", path)[1] == [0.9997, 0.0003]
    assert found.realised.tolist() == [1.0, 0.0]
    assert any("nothing is read of code" in note for note in found.notes)
