"""Hugging Face's Trainer: evaluations by step from its states, whichever checkpoint holds them; pickles stay closed."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from interplay.evaluations import EvaluationsError
from interplay.formats.imports import import_runs
from tests.hostile import NAMES

RUNS = [f"run-{i}" for i in range(6)]
WEB = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
SPEEDS = {"eval_runtime": 3.2, "eval_samples_per_second": 10.0, "eval_steps_per_second": 2.0}


def state(i: int, last: int = 1000, **more):
    """A state with evaluations every 500 steps, one of them in two entries."""
    history = [{"epoch": 0.5, "learning_rate": 1e-4, "loss": 2.5, "step": 250}]
    for step in range(500, last + 1, 500):
        at = {"epoch": step / 500, "step": step}
        history += [
            {**at, "eval_loss": 3 - step / 1000 + i / 10, **SPEEDS},
            {**at, "eval_code_accuracy": (i + step / 1000) / 10, "eval_code_runtime": 1.0},
        ]
    history.append(
        {"epoch": last / 500, "step": last, "train_loss": 1.9, "train_runtime": 100.0 + i, "total_flos": 1.0}
    )
    return {"global_step": last, "max_steps": last, "log_history": history} | more


def write(path: Path, held):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(held), encoding="utf-8")


def mixtures(path: Path, runs=RUNS, seeds=range(6)):
    rows = [f"{r},{w},{1 - w},{s}" for r, w, s in zip(runs, WEB, seeds, strict=True)]
    path.write_text("\n".join(["run,web,code,seed", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def place(tmp_path):
    for i, run in enumerate(RUNS):
        write(tmp_path / "runs" / run / "trainer_state.json", state(i))
    mixtures(tmp_path / "mixtures.csv")
    return tmp_path


def read(place, **how):
    return import_runs("trainer", place / "runs", mixtures=place / "mixtures.csv", **how)


def whys(found, what):
    return [why for w, why in found.left if what in w]


def test_the_last_evaluation_of_each_run(place):
    found = read(place)
    runs, i = found.runs, np.arange(6)
    assert runs.tasks == ("web", "code")
    assert runs.targets == ("eval_loss", "eval_code_accuracy")
    assert runs.higher_is_better == (False, True)
    np.testing.assert_allclose(runs.values, np.column_stack([2 + i / 10, (i + 1) / 10]))
    assert runs.seed.tolist() == [0, 1, 2, 3, 4, 5]
    assert runs.cost.tolist() == [100.0, 101.0, 102.0, 103.0, 104.0, 105.0]
    assert runs.origin.tolist() == RUNS
    assert runs.warnings == ()
    assert whys(found, "'eval_runtime'") == ["how fast the evaluation was, or on how many examples"]
    assert whys(found, "'eval_code_runtime'") == whys(found, "'eval_runtime'")
    assert whys(found, "log_history: learning_rate, loss, train_loss, total_flos") == [
        "of the training, and no evaluation (eval_*)"
    ]


def test_another_step_or_epoch_is_asked_for(place):
    write(place / "runs" / "run-0" / "trainer_state.json", state(0) | {"log_history": state(0)["log_history"][:1]})
    for where in ({"step": "500"}, {"epoch": "1"}, {"step": "500", "epoch": "1.0"}):
        found = read(place, where=where)
        np.testing.assert_allclose(found.runs["eval_loss"].values[:, 0], 2.5 + np.arange(1, 6) / 10)
        wanted = ", ".join(f"{k}={v}" for k, v in where.items())
        assert whys(found, "run 'run-0'") == [f"no evaluation at {wanted}"]
        assert any("5 runs were trained beyond what was asked for" in w for w in found.runs.warnings)
    with pytest.raises(
        EvaluationsError, match=r"none of 6 runs has an evaluation at step=7. There are some at steps 500, 1000"
    ):
        read(place, where={"step": "7"})
    with pytest.raises(EvaluationsError, match="none of 6 runs has an evaluation at step=500, epoch=2"):
        read(place, where={"step": "500", "epoch": "2"})
    with pytest.raises(EvaluationsError, match="--where step=last: step is a number"):
        read(place, where={"step": "last"})
    with pytest.raises(EvaluationsError, match="--where loss: evaluations are picked by step or epoch"):
        read(place, where={"loss": "1"})


def test_the_latest_checkpoint_holds_the_state(place):
    folder = place / "runs" / "run-2"
    (folder / "trainer_state.json").unlink()
    for last in (500, 1000, 1500):
        write(folder / f"checkpoint-{last}" / "trainer_state.json", state(2, last))
    found = read(place)
    assert found.runs.values[2].tolist() == pytest.approx([1.7, 0.35])
    assert found.runs.warnings == (
        "runs are evaluated at different steps (1000 to 1500; most at 1000, 'run-2' at 1500): what a task did and how "
        "long a run was trained are not told apart; --where step=N takes one step of all, or take the folder of a run "
        "that did not end out",
    )
    alone = import_runs("trainer", [place / "runs" / r for r in RUNS], mixtures=place / "mixtures.csv")
    assert alone.runs.equals(found.runs)
    files = [place / "runs" / r / "trainer_state.json" for r in RUNS]
    files[2] = folder / "checkpoint-1000" / "trainer_state.json"
    one = import_runs("trainer", files, mixtures=place / "mixtures.csv").runs
    assert one.origin.tolist() == RUNS
    assert one.values[2].tolist() == pytest.approx([2.2, 0.3])


def test_results_saved_beside_are_read_where_the_state_has_none(tmp_path):
    for i, run in enumerate(RUNS):
        write(
            tmp_path / "runs" / run / "all_results.json", {"eval_loss": 2.0 + i, "epoch": 3.0, "train_runtime": 7.0 + i}
        )
        if i:
            write(tmp_path / "runs" / run / "trainer_state.json", {"global_step": 10, "log_history": []})
    mixtures(tmp_path / "mixtures.csv")
    runs = read(tmp_path).runs
    assert runs.values[:, 0].tolist() == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert runs.cost.tolist() == [7.0, 8.0, 9.0, 10.0, 11.0, 12.0]


def test_a_state_that_transformers_itself_writes(place):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    for i, run in enumerate(RUNS):
        held = state(i)
        own = transformers.TrainerState(global_step=1000, max_steps=1000, log_history=held["log_history"])
        own.save_to_json(str(place / "runs" / run / "again.json"))
    expected = read(place).runs
    for run in RUNS:
        (place / "runs" / run / "again.json").replace(place / "runs" / run / "trainer_state.json")
    assert read(place).runs.equals(expected)


def test_seeds_of_arguments_that_were_saved_as_json(place):
    for i, run in enumerate(RUNS):
        write(place / "runs" / run / "training_args.json", {"seed": 40 + i, "learning_rate": 1e-4})
    assert read(place).runs.seed.tolist() == [40, 41, 42, 43, 44, 45]
    assert read(place, seed="seed").runs.seed.tolist() == [0, 1, 2, 3, 4, 5]


def test_arguments_that_are_pickles_stay_closed(place):
    class Trap:
        def __reduce__(self):
            return Path.touch, (place / "run",)

    (place / "runs" / "run-0" / "training_args.bin").write_bytes(pickle.dumps(Trap()))
    found = read(place)
    assert whys(found, "training_args.bin") == [
        "a pickle, which is never loaded; a seed stands in training_args.json or --mixtures"
    ]
    (place / "runs" / "run-0" / "trainer_state.json").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EvaluationsError, match=r"trainer_state\.json holds a pickle.*never read"):
        read(place)
    assert not (place / "run").exists()


def test_targets_are_named_left_out_or_incomplete(place):
    held = state(3)
    held["log_history"] = [e for e in held["log_history"] if "eval_code_accuracy" not in e]
    write(place / "runs" / "run-3" / "trainer_state.json", held)
    found = read(place)
    assert found.runs.targets == ("eval_loss",)
    assert whys(found, "'eval_code_accuracy'") == ["1 run (run-3) lacks it; --target and --missing skip take it"]
    assert read(place, targets="eval_*_accuracy", missing="skip").runs.targets == ("eval_code_accuracy",)
    with pytest.raises(EvaluationsError, match="1 of 6 values are missing"):
        read(place, targets="eval_*_accuracy")
    with pytest.raises(EvaluationsError, match="no result of the trainer is called 'eval_bleu'"):
        read(place, targets="eval_bleu")
    with pytest.raises(EvaluationsError, match="no result is there in all runs; name one with --target"):
        read(place, ignore="eval_loss")
    runs = read(place, targets="eval_loss", higher_is_better="eval_loss").runs
    assert runs.higher_is_better == (True,)


def test_runs_that_are_left_are_named(place):
    write(
        place / "runs" / "run-5" / "trainer_state.json", {"global_step": 3, "log_history": [{"loss": 1.0, "step": 1}]}
    )
    (place / "runs" / "notes").mkdir()
    found = read(place)
    assert whys(found, "run 'run-5'") == ["no evaluation in its log"]
    assert whys(found, "folder 'notes'") == ["no trainer_state.json in it"]
    assert len(found.runs) == 5


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"log_history": [', "is no JSON"),
        ('{"log_history": 3}', "no state of a trainer: it has no list 'log_history'"),
        ('{"log_history": ["x"]}', "log_history holds 'x', which is no object"),
        ("[1, 2]", "no state of a trainer"),
        (
            '{"results": {"arc": {}}, "versions": {}, "log_history": 1}',
            "looks like results of lm-eval; `interplay import lm-eval`",
        ),
        ("", "is empty"),
    ],
)
def test_broken_states(place, text, match):
    (place / "runs" / "run-1" / "trainer_state.json").write_text(text)
    with pytest.raises(EvaluationsError, match=match):
        read(place)


def test_the_best_of_several_evaluations_is_left(place):
    write(place / "runs" / "run-3" / "trainer_state.json", state(3, best_metric=0.1))
    assert whys(read(place), "best_metric") == [
        "the best of several evaluations of a run, so that it looks better than the run is"
    ]


def test_other_places_are_refused(place):
    with pytest.raises(EvaluationsError, match="states of a trainer do not say what their runs were trained on"):
        import_runs("trainer", place / "runs")
    (place / "empty").mkdir()
    with pytest.raises(EvaluationsError, match=r"no trainer_state\.json is there"):
        import_runs("trainer", place / "empty", mixtures=place / "mixtures.csv")
    write(place / "other.json", {"results": {"arc": {"acc,none": 1}}, "versions": {}})
    with pytest.raises(EvaluationsError, match="looks like results of lm-eval"):
        import_runs("trainer", place / "other.json", mixtures=place / "mixtures.csv")
    write(place / "runs" / "run-0" / "again" / "trainer_state.json", state(0))
    with pytest.raises(EvaluationsError, match="'run-0' holds states of 2 runs"):
        read(place)
    with pytest.raises(EvaluationsError, match="--run is not for states of a trainer"):
        read(place, run="x")


def test_a_run_that_is_given_twice_is_taken_once(place):
    folders = [place / "runs", place / "runs" / "run-3", place / "runs"]
    found = import_runs("trainer", folders, mixtures=place / "mixtures.csv")
    assert found.runs.equals(read(place).runs)
    assert whys(found, "run 'run-3'") == ["given twice; taken once"]


def test_a_result_that_is_no_finite_number_is_named_with_its_file_and_step(place):
    held = state(2)
    held["log_history"][1]["eval_loss"] = float("nan")  # at step 500
    held["log_history"][3]["eval_loss"] = float("inf")  # at step 1000
    write(place / "runs" / "run-2" / "trainer_state.json", held)
    file = r"run-2/trainer_state\.json"
    with pytest.raises(EvaluationsError, match=rf"{file}: eval_loss is inf at step 1000: the training may have"):
        read(place)
    with pytest.raises(EvaluationsError, match=rf"{file}: eval_loss is inf"):
        read(place, missing="skip")
    with pytest.raises(EvaluationsError, match=rf"{file}: eval_loss is nan at step 500.*--ignore eval_loss"):
        read(place, where={"step": "500"})
    assert np.isnan(read(place, where={"step": "500"}, missing="skip").runs.values).sum() == 1
    assert read(place, ignore="eval_loss").runs.targets == ("eval_code_accuracy",)


def test_the_column_of_seeds_is_no_task_however_it_is_written(place):
    text = (place / "mixtures.csv").read_text().replace("seed", "Draw")
    (place / "mixtures.csv").write_text(text)
    runs = read(place, seed="draw").runs
    assert runs.tasks == ("web", "code")
    assert runs.seed.tolist() == [0, 1, 2, 3, 4, 5]


def test_hostile_names_are_kept_and_shown_plainly(place):
    for i, run in enumerate(RUNS):
        held = {
            "step": 5,
            **{f"eval_{n}": i + k for k, n in enumerate(dict.fromkeys(n.strip() for n in NAMES.values()))},
        }
        write(place / "runs" / run / "trainer_state.json", {"global_step": 5, "log_history": [held]})
    found = read(place)
    assert "eval_<script>window.hacked=1</script>" in found.runs.targets
    assert "\x1b" not in repr(found)
