"""Every bad input of a table of runs: what is wrong, where, and what to do."""

import warnings

import numpy as np
import pytest

from interplay import Evaluations
from interplay.evaluations import EvaluationsError, MissingFileError

GOOD = "a,b,loss\n" + "1,0,.5\n0,1,.6\n1,1,.7\n0,0,.9\n1,0,.4\n0,1,.8\n"
RATIOS = "run,a,b\n" + "".join(f"r{i},0.{i}5,0.{9 - i}5\n" for i in range(6))
METRICS = "run,eval/x_loss\n" + "".join(f"r{i},{i}\n" for i in range(6))


def read(tmp_path, text, name="runs.csv", **how):
    path = tmp_path / name
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    return Evaluations.read(path, **{"targets": "loss", **how})


def changed(text, row, cells):
    lines = text.splitlines()
    lines[row] = cells
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "runs.csv is empty. Give a header"),
        ("\n \n", "runs.csv is empty"),
        ("a,b,loss\n", "runs.csv has no rows"),
        ("just a text\nwithout any columns\n", "not a table: its first line 'just a text' has a single column"),
        ('{"a": 1}\n', "not a table"),
        (b"\x00\x01\x02PK", "not a table: it holds binary data"),
        (b"a,b\n\xff\xfe,2\n", "not a table in UTF-8"),
        ("a,b,loss\n1,0,1,5\n", "not a table: the header has 3 names and the first row 4 cells"),
        (GOOD + "1,0,1,5\n", "not a table: Expected 3 fields in line 8, saw 4"),
        (GOOD.replace("a,b", "a,a"), "has 2 columns called 'a'. Rename or remove all but one"),
        (changed(GOOD, 3, "1,1,inf"), "row 3 has inf for target 'loss'; values must be finite.*--missing skip"),
        (changed(GOOD, 3, "1,1,oops"), "column 'loss' holds 'oops' in row 3, which is no number.*--ignore"),
        (changed(GOOD, 3, "1,yes,.7"), "column 'b' holds 'yes' in row 3.*no task: leave it out with --ignore b"),
        (changed(GOOD, 3, "1,inf,.7"), "column 'b' has inf in row 3"),
        (
            changed(GOOD, 3, "1,,.7"),
            "column 'b' has no value in row 3; tasks need a finite.*--target.*--ignore b",
        ),
        (changed(GOOD, 2, "0.2,-0.1,.7"), "column.*'a', 'b' cannot be tasks|row 2 has weight -0.1 for task 'b'"),
        (changed(GOOD, 2, "0,1,"), "1 of 6 values are missing, in 1 of 1 targets; the first is target 'loss' in row 2"),
        ("\n".join(GOOD.splitlines()[:5]), "runs.csv has 4 runs; at least 5 are needed.*interplay design"),
        (
            "a,b,seed,loss\n" + "1,0,x,1\n" * 6,
            "column 'seed' holds 'x' in row 1; seeds are whole.*--ignore seed",
        ),
        ("a,b,cost,loss\n" + "1,0,x,1\n" * 6, "column 'cost' holds 'x' in row 1"),
        ("run,seed,loss\n" + "1,0,1\n" * 6, "no column left for the tasks"),
    ],
)
def test_bad_files(tmp_path, text, words):
    with pytest.raises(EvaluationsError, match=f"(?s){words}"):
        read(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere.csv' does not exist. Check the path"):
        Evaluations.read(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError):
        Evaluations.read(tmp_path / "nowhere.parquet")
    with pytest.raises(ValueError, match=r"does not exist"):
        read(tmp_path, RATIOS, metrics=tmp_path / "metrics.csv")


def test_unknown_suffix_and_folder(tmp_path):
    with pytest.raises(EvaluationsError, match=r"runs.xlsx cannot be read: suffix '.xlsx' is not one of .csv"):
        read(tmp_path, GOOD, name="runs.xlsx")
    with pytest.raises(EvaluationsError, match=r"is a folder"):
        Evaluations.read(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("x.parquet", "Parquet"), ("x.npz", "not an archive of arrays")])
def test_files_that_are_not_what_their_name_says(tmp_path, name, kind):
    with pytest.raises(EvaluationsError, match=kind):
        read(tmp_path, GOOD, name=name)
    with pytest.raises(EvaluationsError, match=f"{name} is empty"):
        read(tmp_path, "", name=name)


def test_parquet_with_two_columns_of_one_name(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table([[1, 0], [0, 1]], names=["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(EvaluationsError, match=r"2 columns called 'a'"):
        Evaluations.read(tmp_path / "x.parquet")


def test_bad_archives(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(EvaluationsError, match=r"no array 'masks'; it holds nothing"):
        Evaluations.read(path)
    np.savez(path, masks=np.eye(5), other=np.ones(3))
    with pytest.raises(EvaluationsError, match=r"no array 'values'; it holds masks, other"):
        Evaluations.read(path)
    np.savez(path, masks=np.eye(5), values=np.ones(4))
    with pytest.raises(EvaluationsError, match=r"masks have shape \(5, 5\) and values \(4, 1\)"):
        Evaluations.read(path)
    np.savez(path, masks=np.eye(5), values=np.ones(5), tasks=["a"])
    with pytest.raises(EvaluationsError, match=r"tasks has 1 names for 5 columns"):
        Evaluations.read(path)
    np.savez(path, masks=np.eye(5), values=np.ones(5), seed=[1, 2])
    with pytest.raises(EvaluationsError, match=r"seed has shape \(2,\)"):
        Evaluations.read(path)
    np.savez(path, masks=np.eye(5), values=np.array([None] * 5, dtype=object))
    with pytest.raises(EvaluationsError, match=r"without objects"):
        Evaluations.read(path)


def test_targets_are_taken_by_their_names_only_where_nothing_speaks_against_it(tmp_path):
    runs = read(tmp_path, GOOD, targets=None)
    assert runs.targets == ("loss",)
    assert runs.warnings[0] == "taken as targets by their names: 'loss'; --target names others"
    doubtful = {
        "a task called like a metric": "a,b,f1,loss\n" + "1,0,1,.5\n0,1,0,.6\n1,1,0,.7\n" * 2,
        "a column of another kind": "a,b,c,loss\n" + "1,0,3.2,.5\n0,1,2.1,.6\n1,1,1.7,.7\n" * 2,
        "bookkeeping": "a,b,epochs,loss\n" + "1,0,1,.5\n0,1,1,.6\n1,1,0,.7\n" * 2,
        "weights": "a,b,loss\n" + "1.5,0,.5\n0,2.5,.6\n1,1,.7\n" * 2,
    }
    for text in doubtful.values():
        with pytest.raises(EvaluationsError, match=r"not say which columns are targets.*results: .*'loss'.*--target"):
            read(tmp_path, text, targets=None)
    with pytest.raises(EvaluationsError, match=r"not say which columns are targets.*results: 'loss'.*--target"):
        read(tmp_path, GOOD, targets=None, tasks=["a", "b"])
    with pytest.raises(EvaluationsError, match=r"results: 'speed'"):
        read(tmp_path, GOOD.replace("loss", "speed"), targets=None)
    with pytest.raises(EvaluationsError, match=r"--target NAME .*--metrics"):
        read(tmp_path, "a,b\n" + "1,0\n" * 5, targets=None)
    text = "a,b,eval/x,y,note\n" + "1,0,3,,t\n0,1,3,2,t\n" * 3
    with pytest.raises(EvaluationsError, match=r"results: 'eval/x', 'y'"):
        read(tmp_path, text, targets=None)


def test_targets_and_tasks_must_be_there(tmp_path):
    with pytest.raises(EvaluationsError, match=r"no target of runs.csv is called 'los'. .*'loss'"):
        read(tmp_path, GOOD, targets="los")
    with pytest.raises(EvaluationsError, match=r"no task of runs.csv is called 'c'"):
        read(tmp_path, GOOD, tasks=["a", "c"])
    with pytest.raises(EvaluationsError, match=r"no column of runs.csv is called 'c'"):
        read(tmp_path, GOOD, ignore="c")
    with pytest.raises(EvaluationsError, match=r"no target is called 'x'"):
        read(tmp_path, GOOD, higher_is_better="x")
    with pytest.raises(EvaluationsError, match=r"'loss' is named as higher and as lower"):
        read(tmp_path, GOOD, higher_is_better="loss", lower_is_better="*")
    with pytest.raises(EvaluationsError, match=r"'b' is a target that is also a task.*--target and --tasks"):
        read(tmp_path, GOOD, targets=["loss", "b"], tasks=["a", "b"])
    with pytest.raises(EvaluationsError, match=r"no column left for the tasks"):
        read(tmp_path, GOOD, targets="*")
    with pytest.raises(EvaluationsError, match=r"two columns for target 'x'"):
        read(tmp_path, "a,target:x,target:lower:x\n" + "1,2,3\n" * 5, targets=None)
    with pytest.raises(EvaluationsError, match=r"missing is 'drop'"):
        read(tmp_path, GOOD, missing="drop")
    with pytest.raises(EvaluationsError, match=r"kind is 'masks'; choose one of mask"):
        read(tmp_path, GOOD, kind="masks")


@pytest.mark.parametrize(
    ("header", "row", "how", "words"),
    [
        ("a,b,acc,loss", "{0},{1},0.8,1", {}, "column 'acc' cannot be a task: it holds 0.8 in row 1 while the other 2"),
        ("a,x,loss", "{0},0.8,1", {}, "column 'x' cannot be a task: it holds 0.8 in row 1 while 'a' is 0 or 1"),
        ("a,b,x,y,loss", "{0},{1},0.8,7,1", {}, "columns 'x', 'y' cannot be tasks: 'x' holds 0.8"),
        ("a,b,x,loss", ".4,.6,7,1", {}, "column 'x' cannot be a task: without it the rows sum to one"),
        ("a,b,x,y,loss", ".4,.6,.3,.2,1", {}, "columns 'x', 'y' cannot be tasks: without them the rows sum to one"),
        ("a,b,x_acc,y_acc,loss", ".4,.6,.3,.2,1", {}, "columns 'x_acc', 'y_acc' cannot be tasks"),
        ("a,b,accuracy,loss", "3,.6,.3,1", {}, "column 'accuracy' cannot be a task: it is called like a result"),
        ("a,b,num_tokens,loss", "3,.6,1000,1", {}, "column 'num_tokens' cannot be a task: it is called like"),
        ("a,b,win,loss", "{0},{1},1,1", {}, "column 'win' cannot be a task"),
        ("a,b,acc,loss", "{0},{1},.3,1", {"kind": "weights"}, "column 'acc' cannot be a task"),
        ("a,b,x,loss", "{0},{1},.3,1", {"kind": "mask"}, "column 'x' cannot be a task"),
        ("a,b,x,loss", "{0},{1},.3,1", {"tasks": ["a", "x"]}, "column 'x' cannot be a task"),
    ],
)
def test_a_column_that_breaks_the_kind_is_no_silent_task(tmp_path, header, row, how, words):
    text = header + "\n" + "".join(row.format(i % 2, i // 2 % 2) + "\n" for i in range(8))
    with pytest.raises(EvaluationsError, match=f"{words}.*--target.*--ignore.*--tasks"):
        read(tmp_path, text, **how)


def test_bad_weights(tmp_path):
    rows = "a,b,loss\n" + ".4,.6,1\n" * 6
    with pytest.raises(EvaluationsError, match=r"row 3 sums to 0.95; mixtures must sum to one within 0.01 .1 of 6"):
        read(tmp_path, changed(rows, 3, ".4,.55,1"))
    assert read(tmp_path, changed(rows, 3, ".4,.591,1")).kind == "mixture"
    with pytest.raises(EvaluationsError, match=r"row 3 has weight -0.1 for task 'a'; weights must be >= 0.*kind"):
        read(tmp_path, changed(rows, 3, "-.1,1.1,1"))
    with pytest.raises(EvaluationsError, match=r"row 3 has weight -2 for task 'a'.*kind 'coefficients'"):
        read(tmp_path, "a,b,loss\n" + "2,.6,1\n2,.6,1\n-2,3,1\n2,.6,1\n2,.6,1\n")
    assert read(tmp_path, changed(rows, 3, "-2,3,1"), kind="coefficients").kind == "coefficients"
    with pytest.raises(EvaluationsError, match=r"row 1 has 0.4 for task 'a'; masks are 0 or 1"):
        read(tmp_path, rows, kind="mask")


def test_missing_values_are_counted_and_can_be_skipped(tmp_path):
    text = changed(changed(GOOD, 2, "0,1,"), 4, "0,0,NA")
    with pytest.raises(EvaluationsError, match=r"2 of 6 values are missing.*row 2.*--missing skip"):
        read(tmp_path, text)
    with pytest.raises(EvaluationsError, match=r"'loss' was measured in 4 of 6 runs; at least 5 are needed"):
        read(tmp_path, text, missing="skip")
    assert np.isnan(read(tmp_path, text, missing="skip", min_runs=4).values).sum() == 2


def pair(tmp_path, ratios=RATIOS, metrics=METRICS, **how):
    (tmp_path / "metrics.csv").write_text(metrics)
    return read(tmp_path, ratios, "ratios.csv", metrics=tmp_path / "metrics.csv", targets=None, **how)


@pytest.mark.parametrize(
    ("ratios", "metrics", "words"),
    [
        (RATIOS.replace("r3", "r2"), METRICS, "ratios.csv: run 'r2' is there twice .rows 3 and 4"),
        (RATIOS, METRICS + "r5,7\n", "metrics.csv: run 'r5' is there twice .rows 6 and 7.*column 'seed'"),
        (
            RATIOS,
            "run,seed,eval/x\n" + "r1,0,1\nr1,0,2\n",
            "metrics.csv: run 'r1' is there twice .rows 1 and 2, both of seed 0",
        ),
        (RATIOS, METRICS.replace("r3", "z3"), "1 only in ratios.csv .r3. and 1 only in metrics.csv .z3.*Remove them"),
        (RATIOS, METRICS.replace("run", "run_id"), "share no column.*ratios.csv has run, metrics.csv has run_id"),
        (RATIOS, METRICS.replace("run", "key"), "metrics.csv has none of them"),
        (RATIOS.replace("r3", ""), METRICS, "ratios.csv: row 4 has no run"),
        (RATIOS, METRICS.replace("r3,3", "r3,bad"), "column 'target:eval/x_loss' holds 'bad' in row 4|holds 'bad'"),
        (RATIOS, METRICS.replace("r3,3", "r3,"), "1 of 6 values are missing"),
    ],
)
def test_bad_pairs(tmp_path, ratios, metrics, words):
    with pytest.raises(EvaluationsError, match=words):
        pair(tmp_path, ratios, metrics)


def test_good_pair(tmp_path):
    runs = pair(tmp_path)
    assert runs.targets == ("eval/x_loss",)
    assert runs.kind == "mixture"


def test_bad_writing(tmp_path):
    runs = Evaluations.from_arrays(np.eye(5), np.arange(5.0))
    with pytest.raises(EvaluationsError, match=r"suffix '.json'"):
        runs.write(tmp_path / "x.json")
    with pytest.raises(EvaluationsError, match=r"choose .csv, .parquet or .npz"):
        runs.write(tmp_path / "x.tsv")
    with pytest.raises(EvaluationsError, match=r"no runs"):
        runs[:0].write(tmp_path / "x.csv")
    with pytest.raises(MissingFileError, match=r"folder .* does not exist"):
        runs.write(tmp_path / "none" / "x.csv")


def test_good_input_is_read_without_any_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path, GOOD).m == 6
