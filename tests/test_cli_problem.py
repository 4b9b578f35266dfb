"""The verb `problem`: files of JSON lines and a model become a store of trainings, or of estimates, and go on."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from interplay import Evaluations
from interplay.unrolled import InRun
from tests import language
from tests.command_line import refused

OWN = ["problem", "instruct", "--store", "runs.db", "--sources", "data/*.jsonl"]
QUICK = ["--model", "llama", "--steps", 3, "--batch-size", 4, "--lora", 2, "--layers", 1]


@pytest.fixture
def told(shell, tmp_path):
    """Run the command line beside a folder of four sources and a small model."""
    (tmp_path / "data").mkdir()
    language.write(tmp_path / "data", language.sources(4, 20))
    language.saved(tmp_path)
    return shell


def test_sources_are_trained_into_a_store_and_attributed(told):
    code, out, err = told(*OWN, *QUICK, "--held-out", "d", "--seeds", 2)
    assert (code, out) == (0, "runs.db: 8 of 8 evaluations are done. Next: interplay attribute runs.db\n"), err
    runs = Evaluations.read("runs.db")
    assert (runs.tasks, runs.targets) == (("a", "b", "c"), tuple(f"loss/{name}" for name in "abcd"))
    assert runs.notes["absent_tasks"] == "fixed_steps"
    assert runs.notes["training"]["examples"] == 3 * 16
    assert runs.notes["training"]["steps"] == 3
    assert set(runs.fidelity) == {"retrained"}
    code, out, err = told(*OWN, *QUICK, "--held-out", "d", "--seeds", 2)
    assert (code, out) == (0, "runs.db: 8 of 8 evaluations are done. Next: interplay attribute runs.db\n"), err
    code, out, err = told("attribute", "runs.db", "--target", "loss/*")
    assert code == 0, err
    refused(told(*OWN, *QUICK, "--held-out", "d", "--lr", 0.1), "lr: 0.002 in the store, 0.1 now")


def test_masks_are_estimated_in_one_run_beside_real_ones(told):
    masks = ["--masks", "leave-one-out,6", "--p", 0.7]
    assert told(*OWN, *QUICK)[0] == 0
    code, out, err = told(*OWN, *QUICK, *masks, "--in-run")
    assert (code, out) == (0, "runs.db: 11 of 11 evaluations are done. Next: interplay attribute runs.db\n"), err
    assert "one training is followed for all 11 masks, in the time of three or four; runs.db gets the results at" in err
    runs = Evaluations.read("runs.db")
    assert sorted(set(runs.fidelity)) == [InRun.fidelity, "retrained"]
    full = [runs.values[(runs.fidelity == f) & (runs.masks.min(axis=1) == 1)] for f in (InRun.fidelity, "retrained")]
    np.testing.assert_allclose(*full, rtol=1e-5)
    code, out, err = told(*OWN, *QUICK, "--masks", "40", "--in-run")
    assert code == 0
    assert "Note: " in err
    assert out.startswith("runs.db: 15 of 15")


def test_the_steps_of_a_followed_training_are_told(told, monkeypatch):
    from interplay import progress
    from interplay.unrolled import in_run

    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "LONG", 0.0)
    monkeypatch.setattr(in_run, "WORST", 0.0)
    code, out, err = told(*OWN, *QUICK, "--in-run", "--react", 1)
    assert (code, out) == (0, "runs.db: 5 of 5 evaluations are done. Next: interplay attribute runs.db\n"), err
    assert "interplay: loading the model and passing the texts through its frozen layers, for " in err
    assert "interplay: 2 of 3 steps of the training of seed 0, " in err
    assert "of 5 evaluations" not in err
    assert "Note: reactions foresee little" in err
    assert "Raise react (now 1)" in err
    assert Evaluations.read("runs.db").notes["estimator"]["react"] == 1
    assert "interplay: 1 of 5 evaluations, " in told(*OWN, *QUICK)[2]  # as trainings are


def test_examples_are_limited_and_what_is_odd_is_said(told, tmp_path):
    data = language.rows(0, 20)
    language.write(tmp_path / "data", {"a": data, "b": data[:3] + language.rows(1, 17)})
    code, _, err = told(*OWN, *QUICK, "--train", 5, "--test", 2, "--tag", "small", "--cache", "states")
    assert code == 0
    assert "Note: datasets['a'] and datasets['b'] share 3 examples" in err
    runs = Evaluations.read("runs.db")
    assert runs.notes["training"]["examples"] == 20
    assert sorted(path.suffix for path in (tmp_path / "states").iterdir()) == [".json"] * 5 + [".npy"] * 5


def test_without_the_packaged_model_it_says_what_to_do(told, monkeypatch):
    monkeypatch.setattr("interplay.problems.instruct.find_spec", lambda _: None)
    refused(told(*OWN), "SmolLM2 is not installed: make lm", "or pass the name or folder of another model")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sources", "none/*.jsonl"], ["--sources none/*.jsonl", "there is no such file"]),
        (["--held-out", "z"], ["--held-out", "'z' is no file of --sources; there are a, b, c, d"]),
        (["--held-out", "a", "--held-out", "b", "--held-out", "c"], ["--sources", "1 source is left to train on"]),
        (["--sources", "other/a.jsonl"], ["--sources", "would both be called 'a'"]),
        (["--masks", "all"], ["--masks all", "leave-one-out,100"]),
        (["--masks", "0"], ["--masks 0", "leave-one-out,100"]),
        (["--masks", "5", "--p", "2"], ["--masks 5", "p is 2.0"]),
        (["--seeds", "some"], ["--seeds some"]),
        (["--model", "not/at/all"], ["model 'not/at/all' cannot be loaded"]),
        (["--layers", "9"], ["layers is 9; the model has 3 layers"]),
        (["--lr", "-1"], ["lr is -1.0"]),
        (["--react", "2"], ["--react 2", "give --in-run too"]),
        (["--store", "none/runs.db"], ["folder 'none' does not exist"]),
    ],
)
def test_bad_options(told, tmp_path, words, said):
    (tmp_path / "other").mkdir()
    language.write(tmp_path / "other", {"a": language.rows(5)})
    refused(told(*OWN, *QUICK, *words), *said)


def test_a_file_that_is_no_source_is_named(told, tmp_path):
    (tmp_path / "data" / "b.jsonl").write_text(json.dumps({"text": "w1"}) + "\n" + json.dumps({"text": "w2"}))
    refused(told(*OWN, *QUICK), "datasets['b'] has no column 'prompt'; it has 'text'")


def test_all_files_that_are_missing_are_named_at_once(tmp_path):
    from interplay.problems.instruct import split

    language.write(tmp_path, {"a": language.rows(0, 10)})
    files = {name: tmp_path / f"{name}.jsonl" for name in "abc"}
    with pytest.raises(FileNotFoundError, match=r"sources: 2 of 3 files do not exist: .*b\.jsonl, .*c\.jsonl\."):
        split(files)
