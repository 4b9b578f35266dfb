"""Long tables: exactly what is taken, what is left and why, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from interplay import import_runs
from interplay.evaluations import EvaluationsError
from tests.test_imports_samples import M, left, put, three_sources


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


def long_tables(mixed):
    weights = mixed.melt(id_vars="run", var_name="source", value_name="share")
    rows = [(f"r{i}", s, "loss", step, i + step / 1000 + s) for i in range(M) for s in (0, 1) for step in (100, 200)]
    return weights, pd.DataFrame(rows, columns=["run", "seed", "metric", "step", "value"])


def test_long_tables(tmp_path, mixed):
    weights, values = long_tables(mixed)
    dropped = weights[~((weights["run"] == "r0") & (weights["source"] == "math"))]
    files = [
        put(dropped.sample(frac=1, random_state=0), tmp_path / "w.csv"),
        put(values.assign(lr=0.1), tmp_path / "v.csv"),
    ]
    found = import_runs("long", files, kind="weights")
    expected = mixed.set_index("run")
    expected.loc["r0", "math"] = 0.0
    runs = found.runs
    assert len(runs) == 2 * M
    for task in runs.tasks:
        column = runs.masks[:, runs.tasks.index(task)]
        np.testing.assert_array_equal(column, expected.loc[runs.origin.tolist(), task])
    np.testing.assert_allclose(runs.values[:, 0], [i + 0.2 + s for i in range(M) for s in (0, 1)])
    assert runs.seed.tolist() == [0, 1] * M
    assert left(found) == {
        f"{2 * M} values of earlier steps": "the last step of each counts; --where step=N takes another",
        "1 weight not stated": "taken as 0",
        "column 'lr'": "a setting that never varies (0.1)",
    }
    early = import_runs("long", files, kind="weights", where={"step": "100"}).runs
    np.testing.assert_allclose(early.values[:, 0], [i + 0.1 + s for i in range(M) for s in (0, 1)])


def test_long_in_one_file(tmp_path, mixed):
    weights, values = long_tables(mixed)
    both = pd.concat([weights, values[values["step"] == 200].drop(columns="step")])
    runs = import_runs("long", put(both, tmp_path / "all.csv")).runs
    np.testing.assert_array_equal(runs.masks[::2, runs.tasks.index("web")], mixed["web"])
    assert runs.targets == ("loss",)


def test_long_with_mixtures_missing_values_and_runs_of_one_side(tmp_path, mixed):
    _, values = long_tables(mixed)
    values = pd.concat([values, values[values["run"] != "r3"].assign(metric="acc")])
    found = import_runs(
        "long", put(values, tmp_path / "v.csv"), mixtures=put(mixed, tmp_path / "m.csv"), missing="skip"
    )
    assert found.runs.targets == ("loss", "acc")
    assert np.isnan(found.runs.values[:, 1]).sum() == 2
    weights, values = long_tables(mixed)
    files = [
        put(weights[weights["run"] != "r1"], tmp_path / "w.csv"),
        put(values[values["run"] != "r2"], tmp_path / "v.csv"),
    ]
    said = left(import_runs("long", files))
    assert said["1 run (r1)"] == "no weight of any source"
    assert said["1 run (r2)"] == "no value of any metric"
    uneven = values[~((values["run"] == "r4") & (values["step"] == 200))]
    found = import_runs("long", [files[0], put(uneven, tmp_path / "v.csv")])
    assert "runs and metrics end at different steps (100 to 200)" in found.runs.warnings


def test_long_refuses(tmp_path, mixed):
    weights, values = long_tables(mixed)
    w, v = put(weights, tmp_path / "w.csv"), put(values, tmp_path / "v.csv")
    with pytest.raises(EvaluationsError, match=r"'loss' of run 'r0' is there twice \(rows 1 and 33\).*'seed'"):
        import_runs("long", [w, put(pd.concat([values, values[:1]]), tmp_path / "v2.csv")])
    with pytest.raises(EvaluationsError, match=r"gives source 'web' of run 'r0' again"):
        import_runs("long", [put(pd.concat([weights, weights[:1]]), tmp_path / "w2.csv"), v])
    with pytest.raises(EvaluationsError, match="no table of run, source and weight is there"):
        import_runs("long", v)
    with pytest.raises(EvaluationsError, match="no table of run, metric and value is there"):
        import_runs("long", w)
    with pytest.raises(EvaluationsError, match="weights or values are given twice"):
        import_runs("long", [v, v], mixtures=put(mixed, tmp_path / "m.csv"))
    with pytest.raises(EvaluationsError, match="no column 'run'"):
        import_runs("long", [w, put(values.rename(columns={"run": "trial"}), tmp_path / "v3.csv")])
    with pytest.raises(EvaluationsError, match="no run has both weights and values"):
        import_runs("long", [w, put(values.assign(run="x" + values["run"]), tmp_path / "v4.csv")])
    with pytest.raises(EvaluationsError, match="names a source and a metric"):
        import_runs("long", put(weights.assign(metric="loss", value=1.0), tmp_path / "both.csv"))
    with pytest.raises(EvaluationsError, match=r"row 1 has no share of 'web'"):
        import_runs("long", [put(weights.assign(share=[None, *weights["share"][1:]]), tmp_path / "w3.csv"), v])
    with pytest.raises(EvaluationsError, match=r"no column of w.csv, v.csv \(--where\) is called 'epoch'"):
        import_runs("long", [w, v], where={"epoch": "1"})
    with pytest.raises(EvaluationsError, match=r"\(--seed\) is called 'sed'"):
        import_runs("long", [w, v], seed="sed")
    with pytest.raises(EvaluationsError, match=r"row 1 has no step"):
        import_runs("long", [w, put(values.assign(step=[None, *values["step"][1:]]), tmp_path / "v5.csv")])
    with pytest.raises(EvaluationsError, match=r"no row has a value"):
        import_runs("long", [w, put(values.assign(value=np.nan), tmp_path / "v6.csv")])
    with pytest.raises(EvaluationsError, match=r"'gpu' \(--cost\) varies within runs"):
        import_runs("long", [w, put(values.assign(gpu=range(len(values))), tmp_path / "v7.csv")], cost="gpu")


def test_long_settings_and_empty_values(tmp_path, mixed):
    weights, values = long_tables(mixed)
    values = values.assign(lr=values["run"].map({f"r{i}": 0.1 * (i % 2) for i in range(M)}), seconds=range(len(values)))
    values.loc[(values["run"] == "r5") | ((values["run"] == "r2") & (values["step"] == 200)), "value"] = np.nan
    found = import_runs("long", [put(weights, tmp_path / "w.csv"), put(values.assign(cost=2.0), tmp_path / "v.csv")])
    runs = found.runs
    assert len(runs) == 2 * M - 2
    assert set(runs.cost) == {2.0}
    np.testing.assert_allclose(runs.values[runs.origin == "r2", 0], [2.1, 3.1])  # the last step that has a value
    said = left(found)
    assert said["6 rows without value"] == "nothing was measured"
    assert said["1 run (r5)"] == "no value of any metric"
    assert said["column 'seconds'"] == "varies within runs"
    assert runs.warnings == (
        "runs and metrics end at different steps (100 to 200)",
        "lr varies between runs (2 values)",
    )
