"""Exports of choices for a training in phases: a schedule, or a file for each."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from interplay.fields import EvaluationsError
from interplay.formats.exports import export
from tests.choices import choice
from tests.test_exports import written

TASKS = ("main:web", "main:code", "anneal:web", "anneal:code")
WEIGHTS = np.array([0.63, 0.27, 0.02, 0.08])
ROWS = {"web": {"source": "org/web", "tokens": 1e9}, "code": {"source": "org/code", "tokens": 1e8}}
PHASES = {"main": 0.9, "anneal": 0.1}
HAND = dict(zip(TASKS, WEIGHTS.tolist(), strict=True))


def phased():
    chosen = choice("mixture", tasks=TASKS)
    first = replace(chosen.candidates[0], weights=WEIGHTS)
    made = {**chosen.made, "phases": PHASES}
    return replace(chosen, candidates=(first, *chosen.candidates[1:]), made=made)


def test_one_phase(tmp_path):
    path = tmp_path / "mix.txt"
    found = phased().export("megatron-lm", path, ROWS, phase="anneal", budget=1e10, unit="tokens")
    assert written("megatron-lm", path) == (["org/web", "org/code"], [0.2, 0.8])
    np.testing.assert_allclose(found.read, [2e8, 8e8])  # a tenth of the budget
    assert any("phase 'anneal', 0.1 of the training" in note for note in found.notes)
    assert any("--phase-transition-iterations" in note for note in found.notes)


def test_a_schedule(tmp_path):
    path = tmp_path / "mix.yaml"
    found = phased().export("levanter", path, ROWS, steps=1000, budget=1e10, unit="tokens")
    assert yaml.safe_load(path.read_text())["data"]["train_weights"] == [
        [0, {"org/web": 0.7, "org/code": 0.3}],
        [900, {"org/web": 0.2, "org/code": 0.8}],
    ]
    assert found.phases == ("main", "main", "anneal", "anneal")
    np.testing.assert_allclose(found.read.sum(), 1e10)
    np.testing.assert_allclose(found.epochs, [6.3, 27, 0.2, 8], rtol=2e-3)
    assert any("org/code 35 times" in note for note in found.notes)  # over both phases
    assert next(iter(found.to_frame())) == "phase"
    assert "anneal" in repr(found)


def test_stages_of_nanotron(tmp_path):
    path = tmp_path / "mix.yaml"
    phased().export("nanotron", path, ROWS, steps=1000, unit="tokens")
    stages = yaml.safe_load(path.read_text())["data_stages"]
    assert [(one["name"], one["start_training_step"]) for one in stages] == [("main", 1), ("anneal", 901)]
    assert stages[1]["data"]["dataset"] == {"dataset_folder": ["org/web", "org/code"], "dataset_weights": [0.2, 0.8]}


def test_what_is_refused(tmp_path):
    path, chosen = tmp_path / "mix.yaml", phased()
    for name, words in (("trl", r"\(phase=, --phase\)\."), ("levanter", "schedule with the steps of the training")):
        with pytest.raises(EvaluationsError, match=f"a training in phases .main, anneal.*{words}"):
            chosen.export(name, path)
    with pytest.raises(EvaluationsError, match=r"no phase is called 'aneal'.*'anneal'"):
        chosen.export("trl", path, phase="aneal")
    with pytest.raises(EvaluationsError, match="one phase has no schedule"):
        chosen.export("levanter", path, phase="main", steps=10)
    with pytest.raises(EvaluationsError, match=r"3 steps are too few for phases of main 0.9, anneal 0.1"):
        chosen.export("levanter", path, steps=3)
    with pytest.raises(EvaluationsError, match="its tasks are not called PHASE:TASK"):
        export({"web": 0.5, "code": 0.5}, "trl", path, phase="main")
    with pytest.raises(EvaluationsError, match="the tasks of main have no weight"):
        export({"main:web": 0, "anneal:web": 0.4, "anneal:code": 0.6}, "trl", path, phase="main")
    with pytest.raises(EvaluationsError, match="kind 'mask'; phases of training have mixtures"):
        export(dict.fromkeys(TASKS, 1), "trl", path, phase="main")
    with pytest.raises(EvaluationsError, match="of no phase"):
        export({"main:web": 0.5, "other": 0.5}, "trl", path, phase="main", phases=PHASES)


@pytest.mark.parametrize("given", [PHASES, "main=0.9,anneal=0.1", ["main", "anneal"]])
def test_phases_that_are_said(given, tmp_path):
    """By hand they may sum to one in each phase."""
    path = tmp_path / "mix.yaml"
    each = dict(zip(TASKS, [0.7, 0.3, 0.2, 0.8], strict=True))
    export(each, "ms-swift", path, phase="anneal", phases=given, kind="weights")
    assert written("ms-swift", path) == (["web", "code"], [0.2, 0.8])


def test_phases_by_the_names_of_tasks(tmp_path):
    path = tmp_path / "mix.yaml"
    found = export(HAND, "ms-swift", path, phase="main")
    assert written("ms-swift", path) == (["web", "code"], [0.7, 0.3])
    assert any("phases are taken from the names of the tasks" in note for note in found.notes)
    plain = export(HAND, "ms-swift", path)
    assert any("are called as in a training with phases (main, anneal)" in note for note in plain.notes)
    languages = export({"en:web": 0.5, "de:news": 0.5}, "ms-swift", path)
    assert not any("phases" in note for note in languages.notes)


def test_rows_of_other_phases_are_used(tmp_path):
    """A row without the name of its phase belongs to every phase."""
    weights = {"main:web": 0.9, "anneal:code": 0.1}
    rows = {"web": "w", "code": "c", "wiki": "v"}
    found = export(weights, "ms-swift", tmp_path / "mix.yaml", rows, phase="anneal", phases=PHASES)
    assert written("ms-swift", found.path) == (["c"], [1.0])
    assert any(note.endswith("are not used: wiki.") for note in found.notes)
