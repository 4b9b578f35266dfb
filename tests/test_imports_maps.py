"""Logs of runs as people have them: mixtures in one cell, runs that are there twice, states that nobody wrote."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay import import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.imports.halves import called_like_a_result, halves
from interplay.formats.imports.maps import map_of, unfolded
from tests.test_imports_samples import LOSS, MIXTURES, RUNS, TASKS, left, put

NOT_STATED = "which runs finished is not stated: all are taken, also those that may have stopped early"


def log(**columns):
    """A table of runs of W&B, without what the mixtures are."""
    return pd.DataFrame({"Name": RUNS, "State": "finished", "Runtime": 100, **columns, "eval/loss": LOSS})


def maps(as_text):
    return [as_text(dict(zip(TASKS, map(float, row), strict=True))) for row in MIXTURES]


# ---- mixtures in one cell -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_text", [json.dumps, str], ids=["JSON", "Python"])
def test_a_mixture_in_one_cell_is_a_setting_for_each_name(tmp_path, as_text):
    found = import_runs("wandb", put(log(mixture=maps(as_text), lr=0.1), tmp_path / "export.csv"))
    runs = found.runs
    assert runs.tasks == tuple(f"mixture.{t}" for t in TASKS)
    np.testing.assert_array_equal(runs.masks, MIXTURES)
    assert left(found)["column 'mixture'"] == "a map, whose 3 names are settings of their own"
    assert import_runs("wandb", tmp_path / "export.csv", tasks="mixture.*").runs.tasks == runs.tasks


def test_names_that_a_map_does_not_state_are_none_where_the_others_sum_to_one(tmp_path):
    held = [{t: w for t, w in zip(TASKS, map(float, row), strict=True) if i % 2 or t != "math"} for i, row in
            enumerate(np.where(np.arange(8)[:, None] % 2, MIXTURES, [0.5, 0.5, 0.0]))]  # fmt: skip
    runs = import_runs("wandb", put(log(mixture=[*map(json.dumps, held)]), tmp_path / "export.csv")).runs
    assert runs.masks[0].tolist() == [0.5, 0.5, 0.0]
    assert "4 weights are not stated and taken as 0: the others sum to one" in runs.warnings


def test_lists_and_other_cells_are_no_maps(tmp_path):
    path = put(log(mixture=[str(row.tolist()) for row in MIXTURES]), tmp_path / "export.csv")
    with pytest.raises(EvaluationsError, match=r"No map of names to numbers: mixture; write \{'web': 0\.3, 'code'"):
        import_runs("wandb", path)
    trap = "{'web': __import__('pathlib').Path('executed').touch()}"
    path = put(log(mixture=trap), tmp_path / "export.csv")
    with pytest.raises(EvaluationsError, match="No map of names to numbers: mixture"):
        import_runs("wandb", path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        ('{"a": 1, "b": 2.5e-1}', {"a": 1.0, "b": 0.25}),
        ("{'a': 1, \"b\": .5}", {"a": 1.0, "b": 0.5}),
        ("{'a': 1,}", {"a": 1.0}),
        ({"a": 1, "b": None}, {"a": 1.0}),
        ('{"a": 1, "a": 2}', None),
        ("{'a': 1, 'a': 2}", None),
        ("{'a': True}", None),
        ('{"a": true}', None),
        ('{"a": {"b": 1}}', None),
        ("{'a': 1; 'b': 2}", None),
        ("{'a' 1}", None),
        ("{1: 2}", None),
        ("{}", None),
        ("a", None),
        (3.0, None),
        (None, None),
    ],
)
def test_cells_that_are_maps(cell, held):
    assert map_of(cell) == held


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_a_map_written_as_json_is_read_as_it_was(held):
    assert map_of(json.dumps(held)) == held


def test_maps_whose_names_are_taken_stay_as_they_are():
    frame = pd.DataFrame({"m": ['{"a": 1, "b": 2}'], "m.a": [3.0]})
    same, settings, said = unfolded(frame, {"m": "m", "m.a": "m.a"})
    assert same is frame
    assert settings == {"m": "m", "m.a": "m.a"}
    assert said == ()


# ---- runs that are there twice, and states --------------------------------------------------------------------------


def weights():
    return {f"data/{t}": MIXTURES[:, k] for k, t in enumerate(TASKS)}


def test_a_run_that_is_there_twice_is_taken_once(tmp_path):
    frame = log(**weights())
    once = import_runs("wandb", put(frame, tmp_path / "once.csv")).runs
    found = import_runs("wandb", put(pd.concat([frame, frame.iloc[[2, 5, 2]]]), tmp_path / "twice.csv"))
    assert found.runs.equals(once)
    assert left(found)["3 rows (r2, r5)"] == "there twice, cell for cell; taken once"


def test_runs_of_one_name_are_kept_where_no_identity_tells_them_apart(tmp_path):
    frame = log(**weights()).assign(Name="sweep")
    twice = pd.concat([frame, frame.iloc[[2]]])
    runs = import_runs("wandb", put(twice, tmp_path / "a.csv")).runs
    assert len(runs) == 9
    assert "several runs are called 'sweep': they may be one run that was resumed" in runs.warnings
    runs = import_runs("wandb", put(twice.assign(ID=[*RUNS, "r2"]), tmp_path / "b.csv")).runs
    assert len(runs) == 8
    runs = import_runs("wandb", put(twice.assign(ID=[*RUNS, "r9"]), tmp_path / "c.csv")).runs
    assert len(runs) == 9


def test_one_run_with_other_results_is_said_to_be_there_twice(tmp_path):
    frame = log(**weights())
    other = frame.iloc[[2]].assign(**{"eval/loss": 9.0})
    runs = import_runs("wandb", put(pd.concat([frame, other]), tmp_path / "a.csv")).runs
    assert runs.origin.tolist().count("r2 (1)") == runs.origin.tolist().count("r2 (2)") == 1
    assert "several runs are called 'r2': they may be one run that was resumed" in runs.warnings


@pytest.mark.parametrize("state", ["none", "empty", "finished"])
def test_that_nobody_wrote_which_runs_finished_is_said(tmp_path, state):
    frame = log(**weights())
    frame = {"none": frame.drop(columns="State"), "empty": frame.assign(State=""), "finished": frame}[state]
    runs = import_runs("wandb", put(frame, tmp_path / "export.csv")).runs
    assert len(runs) == 8
    assert (NOT_STATED in runs.warnings) == (state != "finished")


# ---- settings and results -------------------------------------------------------------------------------------------


def test_results_over_the_steps_of_a_run_are_no_settings(tmp_path):
    frame = log(**weights(), lr=0.1).assign(**{"aux": range(8), "val_loss.min": np.arange(8) / 4})
    found = import_runs("wandb", put(frame, tmp_path / "export.csv"))
    assert left(found)["column 'val_loss.min'"] == "a result that is no target"
    assert not any("val_loss.min varies" in w for w in found.runs.warnings)


def test_halves_of_columns():
    assert halves(["lr", "seed", "acc", "zeta"]) == (["lr", "seed"], ["acc", "zeta"])
    assert halves(["data/web", "data/code", "acc"]) == (["data/web", "data/code"], ["acc"])  # one group, in no order
    assert halves(["zeta", "lr", "loss"]) == (["zeta", "lr"], ["loss"])
    assert halves(["zeta", "gamma", "loss"]) == (["zeta"], ["gamma", "loss"])
    assert halves(["lr", "a_loss", "seed", "acc"]) == (["lr", "seed"], ["a_loss", "acc"])
    assert [n for n in ("lr.max", "val_loss.max", "acc/best", "max") if called_like_a_result(n)] == [
        "val_loss.max",
        "acc/best",
    ]
