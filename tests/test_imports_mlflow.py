"""MLflow: saved tables, and stores that its library itself wrote, which stay as they were; addresses of all stores."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay.evaluations import EvaluationsError
from interplay.formats.imports import import_runs
from interplay.formats.imports.addresses import address_of

START = 1_700_000_000_000
MIXTURES = np.array([[1, 9], [2, 8], [4, 6], [5, 5], [7, 3], [9, 1], [8, 2]]) / 10
LOSS = [3.0, 2.5, 2.25, 2.0, 2.5, 2.75, 3.5]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whys(found, what):
    return [why for w, why in found.left if what == w]


def searched(statuses=None):
    """What ``mlflow.search_runs()`` returns."""
    i = np.arange(7)
    times = pd.to_datetime(START + i * 1000, unit="ms", utc=True)
    return pd.DataFrame(
        {
            "run_id": [f"{k:032x}" for k in i],
            "experiment_id": "1",
            "status": statuses or ["FINISHED"] * 7,
            "artifact_uri": "mlruns/1",
            "start_time": times,
            "end_time": times + pd.to_timedelta(10.5 + i, unit="s"),
            "metrics.eval/loss": LOSS,
            "metrics.cpu": 5.0 + i,
            "params.data/web": [str(w) for w in MIXTURES[:, 0]],
            "params.data/code": [str(w) for w in MIXTURES[:, 1]],
            "params.lr": ["0.1", "0.2"] * 3 + ["0.1"],
            "params.seed": [str(k) for k in i],
            "tags.mlflow.runName": [f"run-{k}" for k in i],
            "tags.mlflow.user": "me",
        }
    )


def check_mlflow(found):
    runs = found.runs
    assert sorted(runs.tasks) == ["data/code", "data/web"]
    assert runs.targets == ("eval/loss",)
    assert runs.kind == "mixture"
    order = [runs.tasks.index(task) for task in ("data/web", "data/code")]
    np.testing.assert_array_equal(runs.masks[:, order], MIXTURES)
    assert runs.values[:, 0].tolist() == LOSS
    assert runs.seed.tolist() == list(range(7))
    assert runs.cost.tolist() == [10.5 + k for k in range(7)]
    assert runs.origin.tolist() == [f"run-{k}" for k in range(7)]
    assert any("lr varies between runs (2 values)" in w for w in runs.warnings)
    assert whys(found, "column 'metrics.cpu'") == ["a result that is no target"]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_saved_runs_of_mlflow(tmp_path, suffix):
    path = tmp_path / f"runs.{suffix}"
    if suffix == "parquet":
        searched().to_parquet(path)
    else:
        searched().to_csv(path, index=False)
    found = import_runs("mlflow", path)
    check_mlflow(found)
    assert whys(found, "column 'tags.mlflow.user'") == ["what the tool notes of a run"]
    assert import_runs("mlflow", path, targets=["metrics.cpu"], tasks="params.data/*").runs.targets == ("cpu",)


def test_runs_of_mlflow_that_did_not_finish_are_left(tmp_path):
    searched(["FINISHED", "FAILED", "RUNNING", "KILLED", *["FINISHED"] * 3]).to_csv(tmp_path / "runs.csv", index=False)
    found = import_runs("mlflow", tmp_path / "runs.csv", min_runs=1)
    assert found.runs.origin.tolist() == ["run-0", "run-4", "run-5", "run-6"]
    assert whys(found, "run 'run-3'") == ["its state is 'KILLED': it was stopped"]


def fill_mlflow(address):
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=address)
    experiment = client.create_experiment("mixes #1")
    for k in range(7):
        run = client.create_run(experiment, run_name=f"run-{k}", start_time=START + k * 1000).info.run_id
        params = {"data/web": MIXTURES[k, 0], "data/code": MIXTURES[k, 1], "lr": [0.1, 0.2][k % 2], "seed": k}
        metrics = [("eval/loss", LOSS[k], START, 20), ("eval/loss", 99.0, START + 5, 10), ("cpu", 5.0 + k, START, 0)]
        client.log_batch(run, [Metric(*m) for m in metrics], [Param(n, str(v)) for n, v in params.items()])
        client.set_terminated(run, end_time=START + k * 1000 + 10_500 + 1000 * k)
    return client


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    fill_mlflow(f"sqlite:///{path}")
    return path


@pytest.mark.slow
def test_a_store_of_mlflow(mlflow_store):
    before = digest(mlflow_store)
    for where in (
        mlflow_store,
        f"sqlite:///{mlflow_store}",
        f"sqlite:///{mlflow_store}#mixes #1",
        f"sqlite:///{mlflow_store}#1",
    ):
        check_mlflow(import_runs("mlflow", where))
    assert digest(mlflow_store) == before
    with pytest.raises(
        EvaluationsError, match=r"mlflow\.db#other: no experiment is called 'other'. There are .*'mixes #1'"
    ):
        import_runs("mlflow", f"sqlite:///{mlflow_store}#other")
    with pytest.raises(EvaluationsError, match=r"mlflow\.db is no storage of Optuna"):
        import_runs("optuna", mlflow_store)


@pytest.mark.slow
def test_stores_that_mlflow_does_not_read(mlflow_store, tmp_path, monkeypatch):
    import sqlite3
    import sys

    odd = tmp_path / "100% #1.db"
    odd.write_bytes(mlflow_store.read_bytes())
    with pytest.raises(EvaluationsError, match=r"MLflow takes .* in a path for more than that"):
        import_runs("mlflow", odd)
    path = tmp_path / "mlflow.db"
    path.write_bytes(mlflow_store.read_bytes())
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(
        EvaluationsError, match=r"needs MLflow's library. Install it: pip install 'interplay\[mlflow\]'"
    ):
        import_runs("mlflow", path)
    with sqlite3.connect(path) as there:
        for table in ("params", "metrics", "latest_metrics", "tags", "runs"):
            there.execute(f"delete from {table}")
    there.close()
    with pytest.raises(EvaluationsError, match=r"mlflow\.db holds no runs"):
        import_runs("mlflow", path)


@pytest.mark.slow
def test_one_experiment_is_chosen(mlflow_store, tmp_path):
    from mlflow.tracking import MlflowClient

    path = tmp_path / "mlflow.db"
    path.write_bytes(mlflow_store.read_bytes())
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    client.create_run(client.create_experiment("other"))
    with pytest.raises(EvaluationsError, match=r"holds runs of 2 experiments: .*Choose one: mlflow\.db#"):
        import_runs("mlflow", path)
    check_mlflow(import_runs("mlflow", f"sqlite:///{path}#mixes #1"))


def test_a_folder_of_mlflow_needs_no_library(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    folder = tmp_path / "mlruns"
    client = fill_mlflow(f"file:{folder}")
    mixes = next(e for e in client.search_experiments() if e.name == "mixes #1")
    gone = client.create_run(mixes.experiment_id, run_name="gone")
    client.delete_run(gone.info.run_id)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    monkeypatch.setitem(__import__("sys").modules, "mlflow.tracking", None)
    for where in (folder, f"file:{folder}", f"file://{folder}#mixes #1"):
        check_mlflow(import_runs("mlflow", where))
    with pytest.raises(EvaluationsError, match="does not exist"):
        import_runs("mlflow", f"file:{tmp_path / 'none'}")
    with pytest.raises(EvaluationsError, match="no experiment is called 'other'"):
        import_runs("mlflow", f"file:{folder}#other")
    metric = next(folder.rglob("eval/loss"))
    metric.write_text("1 2\n1 x 3\n")
    with pytest.raises(EvaluationsError, match="loss: '1 x 3' is no line of a metric"):
        import_runs("mlflow", folder)


def folder_of_mlflow(folder: Path, status: object = 3):
    """The same folder, written by hand."""
    for k in range(7):
        run = folder / "1" / f"r{k}"
        files = {f"params/data/{n}": MIXTURES[k, j] for j, n in enumerate(("web", "code"))} | {"params/seed": k}
        files |= {
            "metrics/eval/loss": f"1 99 10\n1 {LOSS[k]} 20",
            "metrics/cpu": f"1 {5 + k} 0",
            "params/lr": [0.1, 0.2][k % 2],
        }
        for name, text in files.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text(str(text))
        begin = START + k * 1000
        meta = {
            "run_id": f"r{k}",
            "run_name": f"run-{k}",
            "status": status,
            "start_time": begin,
            "end_time": begin + 10_500 + 1000 * k,
        }
        (run / "meta.yaml").write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in meta.items()))
    (folder / "1" / "meta.yaml").write_text("name: mixes\nexperiment_id: '1'\n")
    return folder


def test_a_folder_of_mlflow_is_read_as_text(tmp_path):
    check_mlflow(import_runs("mlflow", folder_of_mlflow(tmp_path / "mlruns")))
    check_mlflow(import_runs("mlflow", folder_of_mlflow(tmp_path / "named", "FINISHED")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationsError, match="folder 'empty' holds no runs of MLflow"):
        import_runs("mlflow", tmp_path / "empty")


def test_nothing_in_a_folder_of_mlflow_is_run(tmp_path):
    folder = folder_of_mlflow(tmp_path / "mlruns")
    trap = f"run_id: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{tmp_path}/ran]]\n"
    (folder / "1" / "r3" / "meta.yaml").write_text(trap)
    with pytest.raises(EvaluationsError, match=r"holds what is no plain YAML.*nothing in it is run"):
        import_runs("mlflow", folder)
    assert not (tmp_path / "ran").exists()


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(EvaluationsError, match=r"http://me:\*\*\*@127\.0\.0\.1:1#x cannot be read by MLflow") as error:
        import_runs("mlflow", "http://me:secret@127.0.0.1:1#x")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("format", ["mlflow", "optuna"])
def test_files_that_are_no_store(tmp_path, format):
    import sqlite3

    with pytest.raises(EvaluationsError, match=r"no file is at .*none\.db"):
        import_runs(format, f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    path = tmp_path / "own.db"
    with sqlite3.connect(path) as there:
        there.execute("create table studies_ (x)")
    there.close()
    before = digest(path)
    with pytest.raises(EvaluationsError, match=r"own\.db is no (store of MLflow|storage of Optuna)"):
        import_runs(format, path)
    assert digest(path) == before
    path.write_bytes(b"SQLite format 3\0 and nothing")
    with pytest.raises(EvaluationsError, match=r"own\.db is no SQLite database that can be read"):
        import_runs(format, path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(EvaluationsError, match=r"it is no table of (runs of MLflow|trials of Optuna)"):
        import_runs(format, tmp_path / "table.csv")


@pytest.mark.parametrize("format", ["mlflow", "optuna"])
def test_a_pickle_is_never_loaded(tmp_path, format):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "run",)

    (tmp_path / "runs.csv").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EvaluationsError, match="holds a pickle"):
        import_runs(format, tmp_path / "runs.csv")
    assert not (tmp_path / "run").exists()


def test_a_table_that_the_page_saved(tmp_path):
    i = np.arange(7)
    frame = pd.DataFrame(
        {
            "Start Time": "2026-01-01 10:00:00",
            "Duration": "1.2min",
            "Run ID": [f"a{k:031x}" for k in i],
            "Name": "bold-owl",
            "Source Type": "LOCAL",
            "Source Name": "train.py",
            "User": "me",
            "Status": ["FINISHED"] * 6 + ["FAILED"],
            "data/code": MIXTURES[:, 1],
            "data/web": MIXTURES[:, 0],
            "lr": [0.1, 0.2] * 3 + [0.1],
            "seed": i,
            "acc": i / 10,
            "eval/loss": LOSS,
        }
    )
    frame.to_csv(tmp_path / "runs.csv", index=False)
    found = import_runs("mlflow", tmp_path / "runs.csv")
    runs = found.runs
    assert (runs.tasks, runs.targets) == (("data/code", "data/web"), ("acc", "eval/loss"))
    np.testing.assert_array_equal(runs.masks, MIXTURES[:6, ::-1])
    np.testing.assert_array_equal(runs.values[:, 1], LOSS[:6])
    assert runs.seed.tolist() == list(range(6))
    assert runs.origin[0] == f"bold-owl (a{0:031x})"
    assert any("lr varies between runs (2 values)" in w for w in runs.warnings)
    assert whys(found, "column 'User'") == ["what the tool notes of a run"]
    with pytest.raises(EvaluationsError, match=r"looks like an export of runs of MLflow; `interplay import mlflow`"):
        import_runs("wandb", tmp_path / "runs.csv")


def test_a_metric_or_a_parameter_that_one_run_lacks_is_said_with_its_name(tmp_path):
    frame = searched()
    frame["metrics.acc"] = [0.1, 0.2, 0.3, np.nan, 0.5, 0.6, 0.7]
    frame.to_csv(tmp_path / "runs.csv", index=False)
    found = import_runs("mlflow", tmp_path / "runs.csv")
    assert whys(found, "column 'metrics.acc'") == ["1 run (run-3) lacks it; --target and --missing skip take it"]
    named = import_runs("mlflow", tmp_path / "runs.csv", targets=["acc", "eval/loss"], missing="skip").runs
    assert named.targets == ("acc", "eval/loss")
    frame.loc[3, "params.data/web"] = None
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(EvaluationsError, match=r"in 6 of 7 runs, but to 0\.5 in run 'run-3', where data/web is not"):
        import_runs("mlflow", tmp_path / "runs.csv")
    with pytest.raises(EvaluationsError, match=r"'data/web' is not stated in 1 run \(run-3\)\. Write 0 where it"):
        import_runs("mlflow", tmp_path / "runs.csv", tasks="data/*")


def test_parameters_with_decimal_commas_are_refused_with_the_reason(tmp_path):
    frame = searched()
    for column in ("params.data/web", "params.data/code"):
        frame[column] = frame[column].str.replace(".", ",")
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(EvaluationsError, match=r"data/web holds '0,1', and it has a decimal comma: write numbers"):
        import_runs("mlflow", tmp_path / "runs.csv")
    with pytest.raises(EvaluationsError, match=r"'data/web' holds '0,1' in run 'run-0', and it has a decimal"):
        import_runs("mlflow", tmp_path / "runs.csv", tasks="data/*")


# ---- addresses ------------------------------------------------------------------------------------------


def test_addresses_outlast_being_taken_for_paths(tmp_path, monkeypatch):
    (tmp_path / "a.db").touch()
    monkeypatch.chdir(tmp_path)
    for text in (
        "sqlite:///a.db",
        f"sqlite:///{tmp_path}/a.db",
        str(Path("sqlite:///a.db")),
        Path(f"sqlite:///{tmp_path}/a.db"),
    ):
        found = address_of(text)
        assert found is not None
        assert found.file is not None
        assert found.file.resolve() == tmp_path / "a.db"
    remote = address_of(Path("postgresql+psycopg://me:pw@host/db#study"))
    assert remote is not None
    assert (remote.url, remote.part, remote.scheme, remote.file) == (
        "postgresql+psycopg://me:pw@host/db",
        "study",
        "postgresql",
        None,
    )
    assert remote.title == "postgresql+psycopg://me:***@host/db#study"
    assert remote.scrubbed("pw\nfails") == "*** fails"
    assert address_of("file:mlruns") is None
    inner = tmp_path / str(tmp_path).lstrip("/") / "a.db"
    inner.parent.mkdir(parents=True)
    inner.touch()
    with pytest.raises(EvaluationsError, match=r"could be .*a\.db or /.*a\.db\. Give the path of the file alone"):
        address_of(Path(f"sqlite:///{tmp_path}/a.db"))
    assert address_of("runs/a.db") is None
