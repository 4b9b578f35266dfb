"""What an export refuses, what it writes beside the weights, and names that would break out of a file."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml

from interplay import attribute
from interplay.fields import EvaluationsError
from interplay.formats.exports import FORMATS, export
from interplay.formats.exports.writing import comments
from tests.choices import choice, nothing
from tests.hostile import NAMES, TASKS
from tests.test_exports import MIXING, out, sources, written

ASKED = {"web": 0.5, "code": 0.3, "math": 0.2}


def refuse(words, *args, **options):
    with pytest.raises(EvaluationsError, match=words):
        export(*args, **options)


# ---- arguments


def test_unknown_formats(tmp_path):
    refuse(
        "to: no format is called 'llamafactory'.*'llama-factory'.*All: interleave-datasets,", ASKED, "llamafactory", "x"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_suffixes(name, tmp_path):
    listed = re.escape(" or ".join(FORMATS[name].suffixes))
    refuse(f"the suffix is '.csv'; .* reads {listed}", ASKED, name, tmp_path / "mix.csv")


def test_places(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    refuse("is a folder; give the name of a file", ASKED, "trl", tmp_path / "a.yaml")
    with pytest.raises(FileNotFoundError, match=r"folder .* does not exist; make it first"):
        export(ASKED, "trl", tmp_path / "no" / "a.yaml")


def test_inputs_are_kept(tmp_path):
    chosen, path = choice("mixture"), tmp_path / "choice.json"
    chosen.save(path)
    before = path.read_bytes()
    refuse("would write over .*choice.json", path, "interleave-datasets", path)
    refuse(
        "would write over .*mine.json",
        ASKED,
        "interleave-datasets",
        tmp_path / "mine.json",
        inputs=[tmp_path / "mine.json"],
    )
    rows = tmp_path / "mix.txt.provenance.json"
    refuse("would write over .*mix.txt.provenance.json", ASKED, "megatron-lm", tmp_path / "mix.txt", inputs=[rows])
    assert path.read_bytes() == before


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path):
    path = tmp_path / "mix.yaml"
    path.write_text("mine")
    refuse("cannot be named to LLaMA-Factory", {"a,b": 0.5, "c": 0.5}, "llama-factory", path)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["mix.yaml"]


def test_options(tmp_path):
    path = tmp_path / "mix.yaml"
    refuse("no option is called 'units'.*'unit'", ASKED, "trl", path, units="tokens")
    refuse("unit is 'documents'; choose tokens or examples", ASKED, "trl", path, unit="documents")
    refuse("budget_unit is 'gb'", ASKED, "trl", path, budget_unit="gb")
    refuse("budget is -1; give a number above 0", ASKED, "trl", path, budget=-1)
    refuse("budget is '5e9'; give a number above 0", ASKED, "trl", path, budget="5e9")
    refuse(
        "stopping: the sources of a mask are read whole", {"a": 1, "b": 1}, "ms-swift", path, stopping="all_exhausted"
    )
    refuse("stopping is 'never'; choose first_exhausted or all_exhausted", ASKED, "ms-swift", path, stopping="never")
    refuse("stopping: TRL has no such thing", ASKED, "trl", path, stopping="all_exhausted")
    refuse("base_model: TRL has no such thing", ASKED, "trl", path, base_model="b")
    refuse("steps: TRL has no such thing", ASKED, "trl", path, steps=10)
    refuse("unit: mergekit has no such thing", ASKED, "mergekit", path, unit="tokens")
    refuse("equal: the choice is of kind 'mixture'", ASKED, "trl", path, equal=True)
    refuse("steps: the choice has no phases", ASKED, "levanter", path, steps=10)


def test_choices(tmp_path):
    path = tmp_path / "mix.yaml"
    refuse("choice: no task has a weight above 0", {"a": 0, "b": 0}, "trl", path)
    refuse("sums to 0.5; mixtures must sum to one", {"a": 0.5}, "trl", path, kind="mixture")
    refuse("kind is 'blend'; choose one of", ASKED, "trl", path, kind="blend")
    refuse("choice is a list; give a Selection", [1, 2], "trl", path)
    refuse("choice holds an empty name", {"": 1.0}, "trl", path)
    refuse("the choice is of kind 'mask'; say it of mixtures made by hand", choice(), "trl", path, kind="mixture")
    with pytest.raises(EvaluationsError, match="must be finite"):
        export({"a": float("nan"), "b": 1.0}, "trl", path, kind="weights")


def test_negative_weights_of_a_choice(tmp_path):
    chosen = choice("mixture", tasks=("a", "b"))
    first = replace(chosen.candidates[0], weights=np.array([1.2, -0.2]))
    refuse("task 'b' has weight -0.2", replace(chosen, candidates=(first,)), "trl", tmp_path / "mix.yaml")


def test_files_of_something_else(tmp_path):
    rng = np.random.default_rng(0)
    from interplay import Evaluations

    masks = (rng.random((30, 4)) < 0.5).astype(float)
    runs = Evaluations.from_arrays(masks, masks @ [1, 2, 3, 4] + rng.normal(size=30), targets=["acc"])
    attribute(runs, pairs=False).save(tmp_path / "answer.json")
    refuse(
        "not a choice, it is an attribution; interplay select RUNS --out",
        tmp_path / "answer.json",
        "trl",
        tmp_path / "m.yaml",
    )
    (tmp_path / "two.csv").write_text("name,task,weight\nx,a,1\ny,b,1\n")
    refuse("two.csv holds 2 mixtures; one is exported", tmp_path / "two.csv", "trl", tmp_path / "m.yaml")
    (tmp_path / "twice.csv").write_text("task,weight\na,.5\na,.5\n")
    refuse("gives task 'a' of 'twice' again", tmp_path / "twice.csv", "trl", tmp_path / "m.yaml")


def test_sources(tmp_path):
    path = tmp_path / "mix.yaml"
    refuse("the frame has no column 'task'", ASKED, "trl", path, pd.DataFrame({"name": ["web"]}))
    refuse("sources is a int; give a file", ASKED, "trl", path, 3)
    rows = sources()
    del rows["code"]
    refuse("sources: no task is called 'code'.*needs its row in the mapping", ASKED, "trl", path, rows)
    refuse("tokens of task 'web' is -5", ASKED, "trl", path, {**sources(), "web": {"tokens": -5}})
    refuse("'web' has 0 examples and is to be read", ASKED, "trl", path, {**sources(), "web": {"examples": 0}})
    frame = pd.DataFrame({"task": ["web", "code", "web"]})
    refuse("row 3 gives task 'web' again. Keep one row", ASKED, "trl", path, frame)
    refuse("row 3 names no task", ASKED, "trl", path, pd.DataFrame({"task": ["web", "code", None]}))
    refuse("'many'.* is no number", ASKED, "trl", path, pd.DataFrame({"task": ["web"], "tokens": ["many"]}))
    (tmp_path / "s.csv").write_text("task,source\n")
    refuse("sources: s.csv has no rows", ASKED, "trl", path, tmp_path / "s.csv")
    assert not path.exists()
    extra = export(ASKED, "trl", path, {**sources(), "wbe": "x"}, unit="examples")
    assert any(
        "rows of the mapping that are no task of the choice are not used: books, wbe" in note for note in extra.notes
    )
    empty = export(ASKED, "trl", path, {**sources(), "books": {"examples": 0}}, unit="examples")
    assert empty.tasks == ("web", "code", "math")  # of what is not read nothing needs to be there


def test_names_that_a_trainer_cannot_read(tmp_path):
    for name in ("a b", "a\nb", "a\x00b"):
        refuse("holds a blank or a control character", {name: 0.5, "c": 0.5}, "megatron-lm", tmp_path / "m.txt")
    for suffix in (".txt", ".json"):
        refuse("'1e5' looks like a weight", {"1e5": 1, "c": 1}, "megatron-lm", tmp_path / f"m{suffix}")
    refuse("what follows '#' for a number of examples", {"a#b": 0.5, "c": 0.5}, "ms-swift", tmp_path / "m.yaml")
    for name, words in {
        "s3://bucket/web": "reads no addresses: it takes what follows ':' for subsets",
        "x::org/web": "takes what stands before '::' for a hub (hf or ms)",
        "a :b": "drops blanks around names, and has no empty ones",
        "web:": "drops blanks around names, and has no empty ones",
    }.items():
        refuse(re.escape(words), {name: 0.5, "c": 0.5}, "ms-swift", tmp_path / "m.yaml")
    assert not list(tmp_path.iterdir())
    found = export({"a#500": 0.5, "hf::org/set:en/de": 0.5}, "ms-swift", tmp_path / "m.yaml", unit="examples")
    assert "ms-swift reads 'hf::org/set:en/de' as subset 'en/de', unless there is a file or folder" in repr(found)


# ---- merging


def test_merging_coefficients(tmp_path):
    path = tmp_path / "merge.yaml"
    weights = {"a": 0.7, "b": -0.2}
    refuse("base_model: the coefficients sum to 0.5. Name the model", weights, "mergekit", path)
    for name in MIXING:
        refuse("holds merging coefficients, and .* mixes data", weights, name, out(name, tmp_path))
    refuse("merges models by coefficients, and the choice is of kind 'mixture'", ASKED, "mergekit", path)
    found = export(weights, "mergekit", path, base_model="base")
    assert yaml.safe_load(path.read_text()) == {
        "models": [
            {"model": "a", "parameters": {"weight": 0.7}},
            {"model": "b", "parameters": {"weight": -0.2}},
        ],
        "merge_method": "task_arithmetic",
        "base_model": "base",
        "parameters": {"normalize": False},
        "dtype": "bfloat16",
    }
    assert "epochs" not in repr(found)
    export(ASKED, "mergekit", path, coefficients=True)
    assert yaml.safe_load(path.read_text())["merge_method"] == "linear"
    export(weights, "mergekit", path, merge_method="linear")
    refuse("density of 'a' is '2'", weights, "mergekit", path, {"a": {"density": 2}, "b": "b"}, base_model="base")
    refuse("density of 'a' is 'x'", weights, "mergekit", path, {"a": {"density": "x"}, "b": "b"}, base_model="base")


# ---- provenance


def test_provenance_of_a_choice(tmp_path):
    chosen = choice("mixture", made={**choice().made, "command": "interplay select runs.csv --target loss"})
    path = tmp_path / "mix.yaml"
    chosen.export("trl", path, unit="examples", command="interplay export choice.json --to trl")
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(head)
    for words in (
        "objective: lower loss",
        "fingerprint 0123456789abcdef",
        "rows 64",
        "verdict: solid",
        "predicted gain: loss +0.3 (95 % ",
        "baseline: uniform",
        "weights: share of the examples in the mixture",
        "unit of the choice: examples",
        "chosen with: interplay select runs.csv --target loss",
        "command: interplay export choice.json --to trl",
    ):
        assert words in text
    chosen.export("interleave-datasets", tmp_path / "mix.json", unit="examples")
    beside = json.loads((tmp_path / "mix.json.provenance.json").read_text())
    assert beside["runs"] == {"rows": 64, "fingerprint": "0123456789abcdef"}
    gain, low, high = beside["predicted_gain"]["loss"]
    assert low < gain < high
    assert beside["verdict"] == "solid"
    assert [row["task"] for row in beside["sources"]] == list(chosen.tasks)


def test_provenance_by_hand(tmp_path):
    export(ASKED, "trl", tmp_path / "mix.yaml")
    assert "# objective: none: a mixture made by hand (a mapping)" in (tmp_path / "mix.yaml").read_text()
    export(ASKED, "megatron-lm", tmp_path / "blend.txt")
    assert "#" not in (tmp_path / "blend.txt").read_text()
    assert json.loads((tmp_path / "blend.txt.provenance.json").read_text())["for"] == "Megatron-LM"


def test_not_supported_is_a_note(tmp_path):
    found = nothing().export("trl", tmp_path / "mix.yaml")
    assert found.notes[0] == "the runs do not support this choice: the verdict is 'not supported'."
    assert "note: the runs do not support this choice" in (tmp_path / "mix.yaml").read_text()


# ---- names of others


@pytest.mark.parametrize("name", [n for n in MIXING if n not in ("llama-factory", "megatron-lm", "ms-swift")])
def test_hostile_names(name, tmp_path):
    """Every name comes back as it is, and no comment becomes content."""
    path = out(name, tmp_path)
    chosen = choice("mixture", tasks=TASKS, targets=(NAMES["newlines"],), rules=tuple(NAMES.values()))
    rows = {task: {"examples": 10**9 * (i + 1), "tokens": 1e12} for i, task in enumerate(TASKS)}
    found = chosen.export(name, path, rows, unit=FORMATS[name].unit)
    sizes = {task: row["examples"] for task, row in rows.items()}
    names, shares = written(name, path, sizes)
    assert names == TASKS
    np.testing.assert_allclose(shares, chosen.weights, atol=1e-6)
    text = path.read_text(encoding="utf-8")
    head = text.split("\n", 1)[0]
    assert path.suffix == ".json" or head.startswith("# Written by interplay")
    lines = repr(found).splitlines()
    assert not any(c in repr(found) for c in "\x1b\x07\x00\u202e\u2028")
    assert max(map(len, lines)) < 600


@pytest.mark.parametrize("name", ["llama-factory", "megatron-lm", "ms-swift"])
@pytest.mark.parametrize("task", TASKS)
def test_hostile_names_are_read_back_or_refused(name, task, tmp_path):
    """Where names stand in a text that is split, what would be split is refused."""
    path = out(name, tmp_path)
    split = any(c in task for c in ",#: \t\n\r") or not task.isprintable() or task in ("NaN", "1e5")
    try:
        export({task: 0.75, "b": 0.25}, name, path, unit=FORMATS[name].unit)
        refused = ""
    except EvaluationsError as error:
        refused = str(error)
    if refused:
        assert split
        assert refused.startswith("sources: ")
        assert not list(tmp_path.iterdir())
    else:
        assert written(name, path) == ([task, "b"], [0.75, 0.25])


def test_comments_stay_on_their_lines():
    facts = {"interplay": "1", "written": "now", "for": "x", "notes": ["a\nb: 1"], "sources": []}
    facts |= {"objective": "one\ndatasets: []\u2028three", "why": "x" * 5000, "rules": []}
    for line in comments(facts):
        assert len(line.splitlines()) == 1
        assert len(line) <= 600
    facts["sources"] = [{"task": "a\n- path: evil", "source": "#\r\nb", "asked": None, "realised": None}]
    assert comments(facts)[-1] == '"#\\r\\nb" is "a\\n- path: evil": whole'


def test_words_that_yaml_takes_for_something_else(tmp_path):
    """Always in quotes, so that readers of YAML 1.2 agree."""
    path = tmp_path / "mix.yaml"
    names = ["null", "1e5", "NaN", "no", "0x1", "~"]
    export(dict.fromkeys(names, 1), "trl", path)
    assert [one["path"] for one in yaml.safe_load(path.read_text())["datasets"]] == names
    export({"\ud800": 1, "b": 1}, "trl", path)  # half a character, as damaged files have it
    assert yaml.safe_load(path.read_text())["datasets"][0]["path"] == "\ud800"
    export(dict.fromkeys(names, 1), "trl", path)
    assert all(f'path: "{name}"' in path.read_text() for name in names)
