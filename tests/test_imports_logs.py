"""Weights & Biases, and what all logs of runs share: sources, recognised or asked for; seeds; what varies beside."""

import csv
import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interplay.evaluations import EvaluationsError
from interplay.formats.imports import import_runs
from interplay.formats.imports.sources import completed, groups
from tests.hostile import TASKS

FIRST = ["Name", "State", "Notes", "User", "Tags", "Created", "Runtime", "Sweep"]
SETTINGS = ["batch_size", "data/code", "data/math", "data/wiki", "lr", "optimizer", "output_dir", "seed"]
RESULTS = ["_step", "epoch", "eval/loss", "train/loss"]
MIXTURES = np.array([[6, 3, 1], [1, 6, 3], [3, 1, 6], [5, 5, 0], [0, 5, 5], [5, 0, 5], [2, 4, 4], [4, 4, 2]]) / 10


def rows(first=FIRST, settings=SETTINGS, results=RESULTS):
    """The table of runs as the page of W&B exports it: every cell is text."""
    held = [[*first, *settings, *results]]
    for i, (code, math, wiki) in enumerate(MIXTURES):
        cells = {
            "Name": f"run-{i}",
            "ID": f"id{i}",
            "State": "finished",
            "Notes": "-",
            "Created": "2025-11-13T09:48:11.000Z",
            "Runtime": str(100 + i),
            "batch_size": "8",
            "data/code": repr(float(code)),
            "data/math": repr(float(math)),
            "data/wiki": repr(float(wiki)),
            "lr": "0.001" if i % 2 else "0.01",
            "optimizer": "adamw",
            "output_dir": f"./out/{i}",
            "seed": str(i // 4),
            "_step": "1000",
            "epoch": "3",
            "eval/loss": repr(float(2 + code + i / 100)),
            "train/loss": repr(float(1 + i)),
        }
        held.append([cells.get(column, "") for column in held[0]])
    return held


def write(path: Path, held, separator=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, delimiter=separator).writerows(held)
    return path


def changed(held, changes):
    """The rows with some cells changed: (number of the run, column) and what it holds."""
    held = [list(row) for row in held]
    for (run, column), cell in changes.items():
        held[run + 1][held[0].index(column)] = cell
    return held


def read(path, **how):
    return import_runs("wandb", path, **how)


def whys(found, what):
    return [why for w, why in found.left if what == w]


@pytest.fixture
def export(tmp_path):
    return write(tmp_path / "export.csv", rows())


def test_an_export_of_the_page(export):
    found = read(export, targets="eval/loss")
    runs = found.runs
    assert runs.tasks == ("data/code", "data/math", "data/wiki")
    assert runs.targets == ("eval/loss",)
    assert runs.kind == "mixture"
    assert runs.higher_is_better == (False,)
    np.testing.assert_array_equal(runs.masks, MIXTURES)
    np.testing.assert_allclose(runs.values[:, 0], 2 + MIXTURES[:, 0] + np.arange(8) / 100, rtol=0, atol=1e-15)
    assert runs.seed.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert runs.cost.tolist() == [100.0 + i for i in range(8)]
    assert runs.origin.tolist() == [f"run-{i}" for i in range(8)]
    assert runs.warnings[0] == "taken as tasks: 3 settings that sum to one, 'data/*'; --tasks names others"
    assert runs.warnings[1].startswith(
        "lr varies between runs (2 values): effects of tasks hold part of what this does"
    )
    assert whys(found, "column 'batch_size'") == ["a setting that never varies (8)"]
    assert whys(found, "column 'lr'") == ["varies between runs and is no task (2 values)"]
    assert whys(found, "column 'output_dir'") == ["text that differs in every run"]
    assert whys(found, "column 'train/loss'") == ["a result that is no target"]
    assert whys(found, "column '_step'") == ["what the tool notes of a run"]
    taken = {column for _, _, column in found.taken}
    left = {what.removeprefix("column '").removesuffix("'") for what, _ in found.left}
    assert taken | left == {*FIRST, *SETTINGS, *RESULTS}  # nothing disappears unsaid


def test_targets_are_taken_by_their_names_where_none_is_named(export):
    found = read(export, tasks="data/*")
    assert found.runs.targets == ("eval/loss", "train/loss")
    assert "taken as targets by their names: eval/loss, train/loss; --target names others" in found.runs.warnings


def test_runs_that_did_not_finish_or_have_no_result_are_left(tmp_path):
    changes = {(0, "State"): "crashed", (1, "State"): "running", (2, "eval/loss"): "NaN"}
    path = write(tmp_path / "export.csv", changed(rows(), changes))
    found = read(path, targets="eval/loss")
    assert found.runs.origin.tolist() == [f"run-{i}" for i in range(3, 8)]
    assert whys(found, "run 'run-0'") == ["its state is 'crashed': it may have stopped early"]
    assert whys(found, "run 'run-1'") == ["its state is 'running': its results are not its last"]
    assert whys(found, "run 'run-2'") == ["no value of any target"]
    asked = read(path, tasks="data/*", targets="train/loss", where={"State": "crashed"}, min_runs=1)
    assert asked.runs.origin.tolist() == ["run-0"]
    with pytest.raises(
        EvaluationsError, match="--where State=done: no run has this; State is 'crashed', 'running', 'fin"
    ):
        read(path, where={"State": "done"})
    with pytest.raises(EvaluationsError, match=r"export.csv has 5 runs; at least 6"):
        read(path, targets="eval/loss", min_runs=6)


def test_an_infinite_loss_is_refused(tmp_path):
    path = write(tmp_path / "export.csv", changed(rows(), {(3, "eval/loss"): "Infinity"}))
    with pytest.raises(
        EvaluationsError, match=r"row 4 \(run 'run-3'\) has inf for target 'eval/loss'; values must be finite"
    ):
        read(path, targets="eval/loss")


def test_runs_of_one_name_are_told_apart(tmp_path):
    held = changed(rows(["ID", *FIRST]), {(i, "Name"): "sweep" for i in range(4)})
    runs = read(write(tmp_path / "a.csv", held), targets="eval/loss").runs
    assert runs.origin.tolist() == [
        "sweep (id0)",
        "sweep (id1)",
        "sweep (id2)",
        "sweep (id3)",
        "run-4",
        "run-5",
        "run-6",
        "run-7",
    ]
    held = changed(rows(), {(i, "Name"): "sweep" for i in range(2)})
    runs = read(write(tmp_path / "b.csv", held), targets="eval/loss").runs
    assert runs.origin.tolist()[:3] == ["sweep (1)", "sweep (2)", "run-2"]
    assert "several runs are called 'sweep': they may be one run that was resumed" in runs.warnings


def test_seeds_that_both_vary_are_numbered(tmp_path):
    held = rows(settings=[*SETTINGS[:4], "data_seed", *SETTINGS[4:]])
    held = changed(held, {(i, "data_seed"): str(i % 2) for i in range(8)})
    found = read(write(tmp_path / "a.csv", held), targets="eval/loss")
    assert found.runs.seed.tolist() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert "seeds number the combinations of data_seed, seed" in found.runs.warnings
    held = changed(held, {(i, "data_seed"): "7" for i in range(8)})
    found = read(write(tmp_path / "b.csv", held), targets="eval/loss")
    assert found.runs.seed.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert whys(found, "column 'data_seed'") == ["a seed that tells no more than the one taken"]
    assert read(tmp_path / "b.csv", targets="eval/loss", seed="data_seed").runs.seed.tolist() == [7] * 8


def test_columns_for_roles_are_named(export):
    found = read(
        export, targets="eval/loss", cost="batch_size", fidelity="optimizer", run="output_dir", ignore=["lr", "tra*"]
    )
    assert found.runs.cost.tolist() == [8.0] * 8
    assert set(found.runs.fidelity) == {"adamw"}
    assert found.runs.origin.tolist()[0] == "./out/0"
    assert whys(found, "column 'lr'") == ["left out by --ignore"]
    assert set(read(export, targets="eval/loss", fidelity="160M").runs.fidelity) == {"160M"}
    with pytest.raises(EvaluationsError, match=r"no column \(--cost\) is called 'Runtme'.*'Runtime'"):
        read(export, cost="Runtme")
    with pytest.raises(EvaluationsError, match=r"no column of export.csv is called 'nope'"):
        read(export, ignore="nope")


def test_sources_that_are_not_stated_are_none_where_the_others_sum_to_one(tmp_path):
    gaps = {
        (i, f"data/{n}"): ""
        for i, row in enumerate(MIXTURES)
        for n, w in zip(("code", "math", "wiki"), row, strict=True)
        if w == 0
    }
    found = read(write(tmp_path / "a.csv", changed(rows(), gaps)), targets="eval/loss")
    np.testing.assert_array_equal(found.runs.masks, MIXTURES)
    assert "3 weights are not stated and taken as 0: the others sum to one" in found.runs.warnings
    half = changed(rows(), {(0, "data/code"): ""})
    with pytest.raises(EvaluationsError, match=r"'data/code' is not stated in 1 run \(run-0\)\. Write 0 where"):
        read(write(tmp_path / "b.csv", half), tasks="data/*", targets="eval/loss")
    other = changed(rows(), {(0, f"data/{n}"): "" for n in ("code", "math", "wiki")})
    found = read(write(tmp_path / "c.csv", other), targets="eval/loss")
    assert whys(found, "run 'run-0'") == ["no value of any task"]


def test_sources_that_cannot_be_told_are_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", changed(rows(), {(0, "data/code"): "0.9"}))
    with pytest.raises(
        EvaluationsError, match=r"does not say which settings are sources.*--tasks .*vary between runs: data/code"
    ):
        read(path, targets="eval/loss")
    two = [*SETTINGS, "zoo.a", "zoo.b"]
    held = changed(
        rows(settings=two), {(i, f"zoo.{n}"): str(w) for i in range(8) for n, w in (("a", i / 8), ("b", 1 - i / 8))}
    )
    path = write(tmp_path / "b.csv", held)
    with pytest.raises(
        EvaluationsError, match=r"several groups .*--tasks 'data/\*' \(3 settings that sum to one\), --tasks 'zoo\.\*'"
    ):
        read(path, targets="eval/loss")
    assert read(path, targets="eval/loss", tasks="zoo.*").runs.tasks == ("zoo.a", "zoo.b")
    with pytest.raises(EvaluationsError, match=r"no setting of b.csv is called 'dat/.*There are"):
        read(path, targets="eval/loss", tasks="dat/*")
    with pytest.raises(EvaluationsError, match=r"no result of b.csv is called 'evil/loss'"):
        read(path, targets="evil/loss")


def test_truth_values_are_masks(tmp_path):
    settings = ["use/a", "use/b", "use/c"]
    changes = {(i, s): "true" if (i >> k) & 1 else "false" for i in range(8) for k, s in enumerate(settings)}
    runs = read(write(tmp_path / "a.csv", changed(rows(settings=settings), changes)), targets="eval/loss").runs
    assert runs.kind == "mask"
    assert runs.masks.tolist() == [[float((i >> k) & 1) for k in range(3)] for i in range(8)]


def test_results_that_do_not_say_which_are_targets(tmp_path):
    path = write(tmp_path / "a.csv", rows(results=["_step", "epoch"]))
    with pytest.raises(EvaluationsError, match=r"does not say which results are targets. Name them with --target"):
        read(path)
    text = changed(rows(), {(2, "eval/loss"): "bad"})
    with pytest.raises(EvaluationsError, match=r"column 'eval/loss' holds 'bad' in row 3 \(run 'run-2'\), which is no"):
        read(write(tmp_path / "b.csv", text), targets="eval/loss")
    assert read(tmp_path / "b.csv").runs.targets == ("train/loss",)


def test_mixtures_beside_the_export(export):
    lines = [f"run-{i},{w},{1 - w}" for i, w in enumerate(np.arange(1, 9) / 10)]
    beside = export.with_name("mixtures.csv")
    beside.write_text("\n".join(["run,web,books", *lines]) + "\n")
    found = read(export, mixtures=beside, targets="eval/loss")
    assert found.runs.tasks == ("web", "books")
    np.testing.assert_allclose(found.runs.masks[:, 0], np.arange(1, 9) / 10)
    assert any("data/code varies between runs" in w for w in found.runs.warnings)


def objects():
    """The runs of W&B's API, one object for each."""
    held = []
    for i, (code, math, wiki) in enumerate(MIXTURES):
        config = {
            "data": {"code": code, "math": math, "wiki": wiki},
            "lr": {"value": 0.1, "desc": None},
            "_wandb": {"x": 1},
        }
        summary = {
            "eval/loss": 2.0 + i if i else "NaN",
            "eval/acc": i / 10,
            "_runtime": 9.0 + i,
            "hist": {"_type": "histogram"},
        }
        held.append({"name": f"run-{i}", "id": f"id{i}", "state": "finished", "config": config, "summary": summary})
    return held


@pytest.mark.parametrize("shape", ["lines", "list", "packed", "table", "parquet"])
def test_runs_of_the_api(tmp_path, shape):
    held = objects()
    path = (
        tmp_path
        / {"lines": "a.jsonl", "list": "a.json", "packed": "a.jsonl.gz", "table": "a.csv", "parquet": "a.parquet"}[
            shape
        ]
    )
    lines = "\n".join(map(json.dumps, held)) + "\n"
    if shape == "lines":
        path.write_text("\ufeff" + lines, encoding="utf-8")
    elif shape == "list":
        path.write_text(json.dumps(held))
    elif shape == "packed":
        path.write_bytes(gzip.compress(lines.encode()))
    elif shape == "table":
        columns = ["name", "id", "state", "config", "summary"]
        texts = [[r[c] if isinstance(r[c], str) else json.dumps(r[c]) for c in columns] for r in held]
        write(path, [columns, *texts])
    else:
        import pandas as pd

        pd.DataFrame([r | {k: json.dumps(r[k]) for k in ("config", "summary")} for r in held]).to_parquet(path)
    found = read(path, targets="eval/*", missing="skip", min_runs=5)
    assert found.runs.tasks == ("data.code", "data.math", "data.wiki")
    np.testing.assert_allclose(found.runs.masks, MIXTURES)
    assert found.runs.targets == ("eval/loss", "eval/acc")
    assert np.isnan(found.runs.values[0, 0])
    assert found.runs.values[1:, 0].tolist() == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert found.runs.cost.tolist() == [9.0 + i for i in range(8)]
    assert whys(found, "column 'config.lr'") == ["a setting that never varies (0.1)"]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        (
            "a.csv",
            "name,config,summary\nx,\"{'lr': 1}\",{}\n",
            "no JSON .a Python dictionary, perhaps, which is not read",
        ),
        ("a.csv", "name,config,summary\nx,3,{}\n", "column 'config' holds '3' in row 1, which is no JSON"),
        ("a.jsonl", '{"name": "x"\n', "line 1 is no JSON"),
        ("a.jsonl", '{"name": "x", "config": 3}\n', "config is '3', which is no object"),
        ("a.jsonl", "3\n", "entry 1 is no object"),
        ("a.json", '{"log_history": []}', "looks like the state of a Hugging Face trainer; `interplay import trainer`"),
        ("a.json", "[1, 2", "is no JSON"),
        ("a.json", "  \n", "is empty"),
        ("a.jsonl", '{"config": {"a": 1}}\n', "names no runs"),
        (
            "a.csv",
            "Step,run-1 - eval/loss,run-1 - eval/loss__MIN,run-1 - eval/loss__MAX\n1,2,3,4\n",
            "export of a chart",
        ),
        ("a.csv", "a,b\n1,2\n", "no column Name: it is no table of runs of W&B"),
        (
            "a.csv",
            "run_id,status,params.x,metrics.y\na,FINISHED,1,2\n",
            "looks like an export of runs of MLflow; `interplay import mlflow`",
        ),
        (
            "a.csv",
            "Name;State;data/a;eval/loss\nx;finished;0,25;1,234.5\n",
            r"does not say which results are targets.*No numbers: eval/loss \('1,234.5'\)",
        ),
    ],
)
def test_broken_exports(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationsError, match=match):
        read(tmp_path / name)


def test_other_encodings_and_several_files_are_refused(tmp_path, export):
    (tmp_path / "a.csv").write_text("Name,State\nx,finished\n", encoding="utf-16")
    with pytest.raises(EvaluationsError, match="UTF-16"):
        read(tmp_path / "a.csv")
    (tmp_path / "a.jsonl").write_bytes('{"name": "caf\xe9"}\n'.encode("latin-1"))
    with pytest.raises(EvaluationsError, match="is not text in UTF-8"):
        read(tmp_path / "a.jsonl")
    with pytest.raises(EvaluationsError, match="2 files are given; give one"):
        read([export, export])
    with pytest.raises(EvaluationsError, match="does not exist"):
        read(tmp_path / "none.csv")


def test_decimal_commas_are_recognised(tmp_path):
    held = [[cell.replace(".", ",") if cell[:1].isdigit() else cell for cell in row] for row in rows()]
    runs = read(write(tmp_path / "a.csv", held, ";"), targets="eval/loss").runs
    np.testing.assert_array_equal(runs.masks, MIXTURES)


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.pkl"])
def test_a_pickle_is_never_loaded(tmp_path, name):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "run",)

    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EvaluationsError, match="holds a pickle"):
        read(tmp_path / name)
    assert not (tmp_path / "run").exists()


def test_hostile_names_are_kept_and_shown_plainly(tmp_path):
    held = objects()
    for i, one in enumerate(held):
        one["config"]["data"] = dict.fromkeys(TASKS, 0.0) | {TASKS[0]: i / 10, TASKS[1]: 1 - i / 10}
        one["name"] = TASKS[i]
        one["summary"] |= {"\x1b[31mloss": i}
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, held)))
    found = read(path, targets="eval/acc")
    assert "data.<script>window.hacked=1</script>" in found.runs.tasks
    assert "\x1b" not in repr(found)


@given(st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=3), min_size=2, max_size=6), st.randoms())
def test_shares_are_recognised_in_any_order(parts, random):
    held = np.array(parts, float) / np.sum(parts, axis=1, keepdims=True)
    columns = {f"w.{k}": held[:, k] for k in range(3)} | {"lr": held[:, 0] * 7 + 2}
    order = list(columns)
    random.shuffle(order)
    found = groups({name: columns[name] for name in order})
    if (held == held[:1]).all():
        assert found == []
    else:
        assert [set(g.names) for g in found] == [{"w.0", "w.1", "w.2"}]


def test_gaps_are_completed_only_where_shares_then_sum_to_one():
    nan = np.nan
    full, filled = completed(np.array([[0.5, 0.5, nan], [1.0, nan, nan]]))
    assert (full.tolist(), filled) == ([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], 3)
    held = np.array([[0.5, nan], [0.5, 0.5]])
    assert completed(held)[1] == 0
