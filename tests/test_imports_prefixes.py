"""ADMIRE, dmsl and Marin: tables whose columns say by their names what they are."""

import numpy as np
import pandas as pd
import pytest

from interplay import import_runs, phased
from interplay.evaluations import EvaluationsError
from tests.test_imports_samples import M, left, put, three_sources


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


def test_admire(tmp_path, mixed):
    frame = mixed.set_index("run").add_prefix("ratio_").rename_axis("model").reset_index()
    frame = frame.assign(metric_arc_acc=np.arange(M) / M, metric_ppl=1.0, train_time=np.arange(M) + 1.0, gpu="h100")
    found = import_runs("admire", put(frame, tmp_path / "a.csv"))
    runs = found.runs
    assert (runs.tasks, runs.targets) == (("web", "code", "math"), ("arc_acc", "ppl"))
    assert runs.higher_is_better == (True, False)
    assert runs.cost.tolist() == [i + 1.0 for i in range(M)]
    assert runs.origin[2] == "r2"
    assert left(found) == {"column 'gpu'": "a setting that never varies (h100)"}
    some = import_runs("admire", tmp_path / "a.csv", targets="arc*", ignore="math", kind="weights")
    assert (some.runs.tasks, some.runs.targets) == (("web", "code"), ("arc_acc",))
    assert left(some)["column 'ratio_math'"] == "left out by --ignore"
    assert left(some)["column 'metric_ppl'"] == "not among --target"


def test_dmsl(tmp_path, mixed):
    frame = mixed.drop(columns="run").add_prefix("weight_")
    frame = frame.assign(model_size=[1, 2] * 4, n_tokens=[10, 10, 20, 20] * 2, web_loss=1.0, code_loss=np.arange(M))
    found = import_runs("dmsl", put(frame, tmp_path / "d.csv"))
    assert (found.runs.tasks, found.runs.targets) == (("web", "code", "math"), ("web_loss", "code_loss"))
    assert found.runs.fidelity.tolist() == ["1", "2"] * 4
    assert found.runs.warnings == ("n_tokens varies between runs (2 values)",)


@pytest.mark.parametrize("name", ["admire", "dmsl", "marin"])
def test_tables_of_prefixes_refuse_others(tmp_path, mixed, name):
    path = put(mixed.assign(x=1), tmp_path / "x.csv")
    with pytest.raises(EvaluationsError, match=r"x.csv has no (column of tasks|mixture of phases)"):
        import_runs(name, path)
    with pytest.raises(EvaluationsError, match="2 files are given"):
        import_runs(name, [path, path])
    if name != "marin":
        prefix = {"admire": "ratio_", "dmsl": "weight_"}[name]
        with pytest.raises(EvaluationsError, match="no column of results"):
            import_runs(name, put(mixed.add_prefix(prefix), tmp_path / "y.csv"))


def test_marin_table(tmp_path, mixed, rng):
    first, second = mixed.drop(columns="run"), mixed.drop(columns="run").iloc[::-1].reset_index(drop=True)
    frame = pd.concat([first.add_prefix("phase_0_"), second.add_prefix("phase_1_")], axis=1)
    frame = frame.assign(run=mixed["run"], trainer_seed=[0, 1] * 4, data_seed=[0, 0, 1, 1] * 2)
    frame = frame.assign(**{"eval/loss": np.arange(M), "eval/uncheatable/bpb": 1.0, "steps": 100})
    found = import_runs("marin", put(frame, tmp_path / "m.csv"))
    runs = found.runs
    assert runs.tasks == tuple(f"phase_{p}:{d}" for p in (0, 1) for d in ("web", "code", "math"))
    assert runs.targets == ("eval/loss", "eval/uncheatable/bpb")
    assert runs.higher_is_better == (False, False)
    assert runs.seed.tolist() == [0, 1, 2, 3] * 2
    assert left(found)["column 'trainer_seed'"] == "their 4 pairs are numbered as seeds, since both vary"
    assert left(found)["column 'steps'"] == "a setting that never varies (100)"
    np.testing.assert_array_equal(runs.masks[:, 3:], second)
    assert phased(runs, {"phase_0": 0.8, "phase_1": 0.2}).kind == "mixture"
    one = import_runs("marin", put(frame.assign(data_seed=7), tmp_path / "m.csv"))
    assert one.runs.seed.tolist() == [0, 1] * 4
    assert left(one)["column 'data_seed'"] == "a seed that never varies"
    named = import_runs("marin", put(frame.assign(data_seed=7), tmp_path / "m.csv"), seed="data_seed")
    assert set(named.runs.seed) == {7}


def test_marin_registry(tmp_path, mixed):
    first = mixed.drop(columns="run").to_dict(orient="records")
    del first[0]["math"]
    rows = {"run_name": mixed["run"], "group": "swarm", "phase0_weights": first, "phase1_weights": [*first[1:], None]}
    frame = pd.DataFrame(rows).assign(grouped_bpb=[{"arc_bpb": float(i), "boolq": 2.0} for i in range(M)])
    frame.to_parquet(tmp_path / "observations.parquet")
    found = import_runs("marin", tmp_path / "observations.parquet", kind="weights")
    runs = found.runs
    assert runs.origin.tolist() == [f"r{i}" for i in range(M - 1)]
    assert runs.targets == ("grouped_bpb/arc_bpb", "grouped_bpb/boolq")
    assert runs.values[:, 0].tolist() == list(range(M - 1))
    assert runs.masks[0, runs.tasks.index("phase_0:math")] == 0.0
    assert left(found) == {
        "phase0_weights: 1 weight not stated": "taken as 0",
        "1 row": "no weights of some phase",
        "column 'group'": "a setting that never varies (swarm)",
    }
