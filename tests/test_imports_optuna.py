"""Optuna: saved tables of trials, and storages that its library itself wrote, which stay as they were."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay.evaluations import EvaluationsError
from interplay.formats.imports import import_runs

START = 1_700_000_000_000


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whys(found, what):
    return [why for w, why in found.left if what == w]


STATES = ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
TAKEN = [k for k, s in enumerate(STATES) if s == "COMPLETE"]
WEIGHTS = np.array([[k / 8, (k * 5 % 8) / 9, (k * 3 % 8) / 8] for k in range(8)])
SCORES = [0.1, 0.5, 0.2, 0.7, np.nan, 0.3, 0.9, 0.4]


def trials():
    """What ``study.trials_dataframe()`` returns."""
    i = np.arange(8)
    times = pd.to_datetime(START + i * 1000, unit="ms")
    return pd.DataFrame(
        {
            "number": i,
            "value": SCORES,
            "datetime_start": times,
            "datetime_complete": times,
            "duration": pd.to_timedelta(60 + i, unit="s"),
            **{f"params_w_{n}": WEIGHTS[:, j] for j, n in enumerate("abc")},
            "params_lr": [0.1, 0.2] * 4,
            "user_attrs_seed": i % 2,
            "state": STATES,
        }
    )


def check_optuna(found, up=True):
    runs = found.runs
    assert runs.tasks == ("w_a", "w_b", "w_c")
    assert runs.higher_is_better == (up,)
    np.testing.assert_array_equal(runs.masks, WEIGHTS[TAKEN])
    np.testing.assert_array_equal(runs.values[:, 0], np.array(SCORES)[TAKEN])
    assert runs.origin.tolist() == [str(k) for k in TAKEN]
    assert runs.seed.tolist() == [k % 2 for k in TAKEN]
    said = "\n".join(runs.warnings)
    assert "trials that an optimiser proposed are no random design: they crowd where it found the best results" in said
    assert "1 pruned trials are left: they were stopped because they did badly" in said
    assert "lr varies between runs (2 values)" in said
    assert whys(found, "run '2'")[0].startswith("its state is 'PRUNED': stopped because it did badly")
    assert whys(found, "run '4'") == ["its state is 'FAIL': it has no result"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_saved_trials_of_optuna(tmp_path, suffix):
    path = tmp_path / f"trials.{suffix}"
    trials().to_parquet(path) if suffix == "parquet" else trials().to_csv(path)
    found = import_runs("optuna", path, tasks="w_*", higher_is_better="value")
    check_optuna(found)
    assert found.runs.targets == ("value",)
    assert found.runs.cost.tolist() == [60.0 + k for k in TAKEN]
    guessed = import_runs("optuna", path, tasks="params_w_*").runs
    assert guessed.higher_is_better == (False,)
    assert any("value is taken as lower is better" in w for w in guessed.warnings)
    with pytest.raises(EvaluationsError, match="does not say which settings are sources"):
        import_runs("optuna", path)
    with pytest.raises(
        EvaluationsError, match=f"trials.{suffix} looks like trials of Optuna; `interplay import optuna`"
    ):
        import_runs("wandb", path)


def test_several_values_and_shares(tmp_path):
    held = trials().drop(columns=["value", "params_w_c"]).assign(values_0=SCORES, values_loss=np.arange(8.0))
    held["params_w_b"] = 1 - held["params_w_a"]
    held.to_csv(tmp_path / "trials.csv", index=False)
    runs = import_runs("optuna", tmp_path / "trials.csv").runs
    assert runs.tasks == ("w_a", "w_b")
    assert runs.targets == ("values_0", "loss")


def study(path, **how):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(storage=f"sqlite:///{path}", **how)
    bounds = optuna.distributions.FloatDistribution(0, 1)
    choice = optuna.distributions.CategoricalDistribution([0.1, 0.2])
    for k, state in enumerate(STATES):
        score = None if state == "FAIL" else SCORES[k]
        values = {} if score is None else {"value": score} if len(made.directions) == 1 else {"values": [score, -score]}
        made.add_trial(
            optuna.trial.create_trial(
                state=getattr(optuna.trial.TrialState, state),
                params={**{f"w_{n}": float(WEIGHTS[k, j]) for j, n in enumerate("abc")}, "lr": [0.1, 0.2][k % 2]},
                distributions={**dict.fromkeys(("w_a", "w_b", "w_c"), bounds), "lr": choice},
                user_attrs={"seed": k % 2},
                **values,
            )
        )
    return made


def test_a_storage_of_optuna(tmp_path):
    folder = tmp_path / "odd #1 %20"
    folder.mkdir()
    plain = tmp_path / "study.db"
    study(plain, study_name="mix #1", direction="maximize")
    path = folder / "study.db"
    path.write_bytes(plain.read_bytes())
    before = digest(path)
    for where in (path, plain, f"sqlite:///{plain}", f"sqlite:///{plain}#mix #1"):
        found = import_runs("optuna", where, tasks="w_*")
        check_optuna(found)
        assert found.runs.targets == ("value",)
    assert digest(path) == before == digest(plain)
    with pytest.raises(EvaluationsError, match=r"no study in study\.db#mix is called 'mix'. There is only 'mix #1'"):
        import_runs("optuna", f"sqlite:///{plain}#mix", tasks="w_*")
    with pytest.raises(EvaluationsError, match=r"is no store of MLflow; it looks like a study of Optuna"):
        import_runs("mlflow", plain)


def test_studies_of_several_values_and_of_several_studies(tmp_path):
    path = tmp_path / "study.db"
    made = study(path, study_name="one")
    check_optuna(import_runs("optuna", path, tasks="w_*"), up=False)
    made.set_metric_names(["accuracy"])
    runs = import_runs("optuna", path, tasks="w_*").runs
    assert (runs.targets, runs.higher_is_better) == (("accuracy",), (False,))
    study(path, study_name="two", direction="maximize")
    with pytest.raises(EvaluationsError, match=r"study\.db holds 2 studies: 'one', 'two'. Choose one: study\.db#one"):
        import_runs("optuna", path, tasks="w_*")
    check_optuna(import_runs("optuna", f"sqlite:///{path}#two", tasks="w_*"))
    study(path, study_name="both", directions=["minimize", "maximize"])
    runs = import_runs("optuna", f"sqlite:///{path}#both", tasks="w_*").runs
    assert (runs.targets, runs.higher_is_better) == (("values_0", "values_1"), (False, True))
    np.testing.assert_array_equal(runs.values[:, 1], -runs.values[:, 0])


def test_storages_that_optuna_does_not_read(tmp_path, monkeypatch):
    import sqlite3
    import sys

    path = tmp_path / "study.db"
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(storage=f"sqlite:///{path}", study_name="empty")
    with pytest.raises(EvaluationsError, match=r"study\.db#empty holds no trials"):
        import_runs("optuna", path)
    with sqlite3.connect(path) as there:
        (head,) = there.execute("select version_num from alembic_version").fetchone()
        there.execute("update alembic_version set version_num = 'v2.6.0.a'")
    there.close()
    with pytest.raises(EvaluationsError, match=r"study\.db cannot be read by Optuna: .*version"):
        import_runs("optuna", path)
    with sqlite3.connect(path) as there:
        there.execute("update alembic_version set version_num = ?", (head,))
        there.execute("delete from study_directions")
        there.execute("delete from studies")
    there.close()
    with pytest.raises(EvaluationsError, match=r"study\.db holds no studies"):
        import_runs("optuna", path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EvaluationsError, match=r"needs Optuna. Install it: pip install 'interplay\[optuna\]'"):
        import_runs("optuna", path)


def test_a_storage_in_redis_is_refused():
    with pytest.raises(EvaluationsError, match="a storage in Redis holds pickles, and is not read"):
        import_runs("optuna", "redis://:secret@host:6379")


@pytest.mark.parametrize("several", [True, False])
def test_tables_with_two_lines_of_names_are_refused_with_the_remedy(tmp_path, several):
    names = [
        (c, "") if not c.startswith("params_") else ("params", c.removeprefix("params_")) for c in trials().columns
    ]
    frame = trials().set_axis(pd.MultiIndex.from_tuples(names), axis=1)
    frame = frame if several else frame.iloc[:, [0, 1, 5, -1]]
    frame.to_csv(tmp_path / "trials.csv")
    frame.to_parquet(tmp_path / "trials.parquet")
    for path in (tmp_path / "trials.csv", tmp_path / "trials.parquet"):
        with pytest.raises(EvaluationsError, match=r"two lines, as trials_dataframe\(multi_index=True\) writes"):
            import_runs("optuna", path)


def test_attributes_that_are_maps_are_sources(tmp_path):
    weights = np.array([[1, 9], [2, 8], [4, 6], [5, 5], [7, 3], [9, 1], [8, 2], [3, 7]]) / 10
    held = trials().drop(columns=["params_w_a", "params_w_b", "params_w_c"])
    held["user_attrs_mixture"] = [{"web": float(a), "code": float(b)} for a, b in weights]
    held.to_csv(tmp_path / "trials.csv", index=False)  # as Python prints it
    found = import_runs("optuna", tmp_path / "trials.csv")
    assert found.runs.tasks == ("mixture.web", "mixture.code")
    np.testing.assert_array_equal(found.runs.masks, weights[TAKEN])
    assert whys(found, "column 'user_attrs_mixture'") == ["a map, whose 2 names are settings of their own"]


def test_trials_that_are_there_twice_or_without_states(tmp_path):
    pd.concat([trials(), trials().iloc[[3]]]).to_csv(tmp_path / "twice.csv", index=False)
    found = import_runs("optuna", tmp_path / "twice.csv", tasks="w_*", higher_is_better="value")
    check_optuna(found)
    assert whys(found, "1 row (3)") == ["there twice, cell for cell; taken once"]
    trials().drop(columns="state").to_csv(tmp_path / "open.csv", index=False)
    runs = import_runs("optuna", tmp_path / "open.csv", tasks="w_*").runs
    assert len(runs) == 7  # a trial without a value is left
    assert any(w.startswith("which runs finished is not stated: all are taken") for w in runs.warnings)
