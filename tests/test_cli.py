"""The command line as a person meets it: every bad input, warnings, outputs, names that mean harm."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import Attribution, Evaluations
from tests.command_line import TASKS, K, M, loo, put, refused, table

BAD_CELLS = {
    "infinite value": ({"loss": {3: "inf"}}, ["runs.csv", "row 4", "'loss'", "finite", "Leave that run out"]),
    "text value": ({"loss": {3: "oops"}}, ["'oops' in row 4", "no number"]),
    "text task": ({"b": {3: "yes"}}, ["column 'b'", "row 4", "--ignore b"]),
    "infinite task": ({"b": {3: "inf"}}, ["column 'b'", "row 4", "finite"]),
    "missing task": ({"b": {3: ""}}, ["column 'b'", "row 4", "no value"]),
    "breaks the kind": ({"b": {3: 0.37}}, ["column 'b' cannot be a task", "0.37 in row 4", "--ignore b", "--tasks"]),
    "negative": ({"b": {3: -1}}, ["column 'b' cannot be a task", "-1 in row 4"]),
    "missing value": ({"loss": {3: "", 5: ""}}, ["2 of 24 values are missing", "row 4", "--missing skip"]),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_bad_cells(shell, case):
    cells, words = BAD_CELLS[case]
    put(table(), **cells)
    refused(shell("attribute", "runs.csv", "--target", "loss"), *words)


BAD_FILES = {
    "empty": (b"", "is empty"),
    "only a header": (b"a,b,loss\n", "has no rows"),
    "prose": (b"Dear all,\nplease find\n", "has 1 run"),
    "binary": (bytes(range(256)), "not a table"),
    "ragged": (b"a,b,loss\n1,0,1\n1,0,1,4,5\n", "not a table"),
    "one column": (b"loss\n1\n2\n", "single column"),
    "not UTF-8": ("a,é,loss\n1,0,1\n".encode("latin-1"), "UTF-8"),
    "duplicate column": (b"a,b,a,loss\n" + b"1,0,1,2\n" * 6, "2 columns called 'a'. Rename"),
    "few": (b"a,b,loss\n" + b"1,0,2\n" * 4, "has 4 runs; at least 5"),
    "a task without a name": (b"run,,b,loss\n" + b"r,1,0,2\nr,0,1,2\n" * 3, "column 2 has no name"),
    "nothing switched": (b"a,b,loss\n" + b"1,1,2\n" * 6, "no task is switched"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files(shell, case):
    content, words = BAD_FILES[case]
    Path("runs.csv").write_bytes(content)
    refused(shell("attribute", "runs.csv", "--target", "loss"), words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.csv", "'none.csv' does not exist"),
        ("folder.csv", "is a folder"),
        ("runs.xlsx", "suffix '.xlsx'"),
        ("bad.parquet", "not a table"),
        ("bad.npz", "not an archive"),
    ],
)
def test_files_that_cannot_be_read(shell, name, words):
    Path("folder.csv").mkdir()
    for bad in ("runs.xlsx", "bad.parquet", "bad.npz"):
        Path(bad).write_text("hello hello")
    refused(shell("attribute", name, "--target", "loss"), words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tasks a --tasks b", ["does not say which columns are targets", "'loss'", "--target loss"]),
        ("--target nope", ["'nope'", "such as"]),
        ("--target eval/*", ["'eval/*'"]),
        ("--target loss --tasks a --tasks loss", ["'loss' is a target that is also a task"]),
        ("--target loss --tasks nope", ["'nope'"]),
        ("--target loss --ignore nope", ["'nope'"]),
        ("--target loss --reading nope", ["'nope'", "leave-one-out, shapley, banzhaf"]),
        ("--target loss --reading move", ["'move'", "mask designs"]),
        ("--target loss --kind masks", ["'masks'", "mask, mixture, weights"]),
        ("--target loss --kind mixture", ["row 1 sums to", "within 0.01"]),
        ("--target loss --surrogate gp", ["'gp'", "'ridge'"]),
        ("--target loss --missing drop", ["'drop'", "'skip'"]),
        ("--target loss --reference uniform", ["'uniform'", "mixtures"]),
        ("--target loss --truth-masks other-seeds", ["--truth"]),
        ("--target loss --higher-is-better acc", ["'acc'", "only 'loss'"]),
        ("--target loss --higher-is-better loss --lower-is-better loss", ["'loss'", "one only"]),
        ("--target loss --fidelity 30m", ["--fidelity 30m", "retrained"]),
        ("--target loss --out x.txt", ["'.txt'", ".csv or .parquet or .json"]),
        ("--target loss --out x", ["suffix"]),
        ("--target loss --out none/x.csv", ["folder 'none' does not exist"]),
        ("--target loss --out none/x.json", ["folder 'none' does not exist"]),
        ("--target loss --out folder.csv", ["is a folder"]),
        ("--target loss --out runs.csv", ["write over runs.csv"]),
        ("--target loss --truth none.csv", ["--truth", "'none.csv' does not exist"]),
    ],
)
def test_bad_options(shell, options, words):
    put(table())
    Path("folder.csv").mkdir()
    refused(shell("attribute", "runs.csv", *options.split()), *words)
    assert pd.read_csv("runs.csv").shape == (M, K + 2)


@pytest.mark.parametrize("options", [["attribute"], ["attribute", "x.csv", "--bogus"], ["attribut"], ["design"]])
def test_usage_errors(shell, options):
    code, _, err = shell(*options)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"a": {2: -0.3}}, ["row 3 has weight -0.3 for task 'a'", "coefficients"]),
        ({"a": {2: 0.9}}, ["row 3 sums to", "within 0.01", "Normalise"]),
    ],
)
def test_bad_mixtures(shell, cells, words):
    put(table(kind="mixture"), **cells)
    refused(shell("attribute", "runs.csv", "--target", "loss"), *words)


def test_bad_pairs(shell):
    frame = table(kind="mixture")
    put(frame.drop(columns="loss"), "ratios.csv")
    results = frame[["run", "loss"]]
    pair = ("attribute", "ratios.csv", "--metrics", "metrics.csv")
    refused(shell(*pair), "'metrics.csv' does not exist")
    put(results, "metrics.csv", run={3: "r2"})
    refused(shell(*pair), "metrics.csv", "'r2' is there twice", "rows 3 and 4")
    put(results.head(22), "metrics.csv", run={21: "zz"})
    refused(shell(*pair), "3 only in ratios.csv", "1 only in metrics.csv (zz)", "Remove them")
    put(results.rename(columns={"run": "key"}), "metrics.csv")
    refused(shell(*pair), "share no column", "run_id")
    put(results, "metrics.csv")
    code, out, _ = shell(*pair)
    assert code == 0
    assert "5 tasks (mixture)" in out
    assert "Reading: move" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.rename(columns={"e": "z"}), ["truth.csv", "'e'"]),
        (lambda t: t.drop(columns="e"), ["truth.csv", "'e'"]),
        (lambda t: t.rename(columns={"loss": "acc"}), ["truth.csv", "'loss'"]),
        (lambda t: t.iloc[1:], ["no run of the full mask"]),
        (lambda t: t.head(1), ["no run that lacks exactly one task"]),
        (lambda t: table(kind="mixture"), ["kind 'mixture'", "'mask'"]),
        (lambda t: t.assign(fidelity=["x", "y"] * 3), ["fidelities x, y"]),
        (lambda t: table(), ["share their mask with the truth", "0 are left"]),
    ],
)
def test_bad_truth(shell, change, words):
    put(table())
    put(change(loo()), "truth.csv")
    refused(shell("attribute", "runs.csv", "--target", "loss", "--truth", "truth.csv"), *words)


def test_truth_stands_beside_the_answer(shell):
    put(table())
    put(loo(seeds=3)[[*reversed(TASKS), "seed", "loss"]], "truth.csv")  # columns in another order
    code, out, err = shell("attribute", "runs.csv", "--target", "loss", "--truth", "truth.csv")
    assert code == 0, err
    assert "Reading: leave-one-out" in out
    assert "Truth: leave-one-out retraining, 3 seeds. Spearman 1.00, ceiling 1.00" in out
    assert "share their mask with the truth and were taken out of the fit" in out
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss", "--truth", "truth.csv", "--reading", "shapley")
    assert code == 0
    assert "not compared" in out
    assert "leave-one-out" in out


def test_fidelities_are_joined_or_chosen(shell):
    put(table().assign(fidelity=["small", "large"] * 12))
    refused(
        shell("attribute", "runs.csv", "--target", "loss"), "several fidelities (small, large)", "--at", "--fidelity"
    )
    refused(shell("attribute", "runs.csv", "--target", "loss", "--fidelity", "90m"), "large, small")
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss", "--fidelity", "small")
    assert code == 0
    assert "runs.csv: 12 runs" in out
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss", "--at", "large")
    assert code == 0
    assert "The answer is about large runs; there are 12 runs of large, 12 runs of small." in out


def test_warnings_are_in_the_table(shell):
    frame = table()
    put(frame.assign(on=1, off=0, twin=frame.b))
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss")
    lines = out.splitlines()
    assert code == 0
    assert [line.split() for line in lines if line.startswith(("on ", "off "))] == [
        ["on", "not", "identifiable"],
        ["off", "not", "identifiable"],
    ]
    assert any(line.startswith("b + twin") for line in lines)
    assert not any(line.startswith(("b  ", "twin ")) for line in lines)
    assert "b and twin always switch together" in out
    put(frame.assign(loss=1.5))
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss")
    assert "Verdict: not supported. The target never changes" in out
    assert "exclude 0 (" not in out


def test_missing_values_skipped_are_counted(shell):
    frame = table()
    put(frame.assign(loss=frame.loss.where(frame.a == 1)))
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss", "--missing", "skip")
    kept = int(frame.a.sum())
    assert code == 0
    assert f"loss on {kept} of 24 runs" in out
    assert f"to 5 tasks, {kept} runs" in out
    assert ["a", "not", "identifiable"] in [line.split() for line in out.splitlines()]
    assert "a is always on where loss was measured" in out


def test_direction_is_guessed_said_and_set(shell):
    put(table().rename(columns={"loss": "quux"}))
    _, out, _ = shell("attribute", "runs.csv", "--target", "quux")
    assert "lower is better" in out
    assert "Check: quux is taken as lower is better: its name does not say" in out
    assert "--higher-is-better" in out
    _, out, _ = shell("attribute", "runs.csv", "--target", "quux", "--higher-is-better", "qu*")
    assert "higher is better" in out
    assert "is taken as" not in out


def test_json_lines(shell):
    frame = table()
    put(frame.assign(on=1, acc_x=frame.loss * 1e-9))
    code, out, err = shell("attribute", "runs.csv", "--target", "loss", "--target", "acc_x", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(records) == (K + 1) * 2
    assert "Note: on is always on" in err
    by = {(r["task"], r["target"]): r for r in records}
    assert by["on", "loss"]["benefit"] is None
    assert by["on", "loss"]["verdict"] == "not identifiable"
    assert by["a", "loss"]["runs"] == M
    assert by["a", "loss"]["benefit"] == pytest.approx(0.5, abs=0.05)
    assert by["a", "acc_x"]["benefit"] == pytest.approx(-by["a", "loss"]["benefit"] * 1e-9, rel=1e-6)


def test_out(shell):
    put(table().rename(columns={"a": "=1+1"}))
    call = ("attribute", "runs.csv", "--target", "loss", "--out")
    for name in ("t.csv", "t.parquet", "t.json"):
        assert shell(*call, name)[0] == 0
    csv, parquet, answer = pd.read_csv("t.csv"), pd.read_parquet("t.parquet"), Attribution.load("t.json")
    assert csv.task.tolist() == ["'=1+1", *TASKS[1:]]
    assert parquet.task.tolist() == ["=1+1", *TASKS[1:]]
    pd.testing.assert_frame_equal(parquet, answer.to_frame())
    np.testing.assert_allclose(csv.benefit, answer.effects[:, 0])
    assert sorted(p.name for p in Path().iterdir()) == ["runs.csv", "t.csv", "t.json", "t.npz", "t.parquet"]
    Evaluations.read("runs.csv", targets=["loss"]).write("runs.npz")
    refused(shell("attribute", "runs.npz", "--out", "runs.json"), "write over runs.npz")


def test_strict(shell):
    put(table())
    assert shell("attribute", "runs.csv", "--target", "loss", "--strict")[0] == 0
    put(table().assign(loss=np.random.default_rng(3).normal(size=M)))
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss", "--strict", "--json")
    assert code == 3
    assert {json.loads(line)["verdict"] for line in out.splitlines()} == {"not supported"}


def test_hostile_names(shell):
    names = ["=1+1", "x\x1b[31mred\x07", "L" * 500 + "end", "\u202eabc\u200fשלום", "new\nline"]
    put(table().rename(columns=dict(zip(TASKS, names, strict=True)) | {"loss": "\x1b]0;x\x07\r\n+loss"}))
    code, out, _ = shell("attribute", "runs.csv", "--target", "*loss", "--out", "t.csv")
    assert code == 0
    assert not any(c in out for c in "\x1b\x07\r\u202e\u200f")
    assert "LLend " in out
    assert max(map(len, out[out.index("Benefit") :].splitlines())) < 120
    assert pd.read_csv("t.csv").task.tolist() == ["'=1+1", *names[1:]]
    _, out, _ = shell("attribute", "runs.csv", "--target", "*loss", "--json")
    assert [json.loads(line)["task"] for line in out.splitlines()] == names
    code, _, err = shell("attribute", "no\x1b[31m\n.csv")
    assert code == 2
    assert "\x1b" not in err


def test_a_terminal_without_unicode(monkeypatch, shell):
    put(table().rename(columns={"a": "日本語"}))
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert shell("attribute", "runs.csv", "--target", "loss")[0] == 0
    stream.flush()
    assert b"???" in stream.buffer.getvalue()


def test_table_checked_by_hand(shell):
    """Of 3 tasks all 8 subsets: loss 10 - 3a - b + 2c; and 4 a b beside it, of which half falls to each of a and b."""
    lines = ["a,b,c,loss,paired_loss"]
    for a, b, c in np.ndindex(2, 2, 2):
        lines.append(f"{a},{b},{c},{10 - 3 * a - b + 2 * c},{10 - 3 * a - b + 2 * c - 4 * a * b}")
    Path("runs.csv").write_text("\n".join(lines) + "\n")
    want = {"loss": {"a": 3, "b": 1, "c": -2}, "paired_loss": {"a": 5, "b": 3, "c": -2}}
    for target, other in (("loss", "paired_loss"), ("paired_loss", "loss")):
        call = ("attribute", "runs.csv", "--target", target, "--ignore", other, "--json", "--reading", "shapley")
        _, out, err = shell(*call, "--surrogate", "ridge")
        found = {r["task"]: r["benefit"] for r in map(json.loads, out.splitlines())}
        assert err == "Note: the run without any task is not fitted: it says what the Shapley values add up to.\n"
        assert found == pytest.approx(want[target], rel=0.15)
        assert sorted(found, key=lambda k: -found[k]) == ["a", "b", "c"]


def test_help_is_quick_and_has_an_example():
    env = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    code = (
        "import sys; from interplay.cli import main\ntry: main()\nfinally: print([m for m in %r if m in sys.modules])"
    )
    heavy = ["torch", "sklearn", "pandas", "scipy"]
    for words, example in (
        ([], "attribute"),
        (["attribute"], "runs.csv --target loss"),
        (["design"], "--out masks.csv"),
    ):
        call = [sys.executable, "-c", code % heavy, *words, "--help"]
        done = subprocess.run(call, capture_output=True, text=True, env=env, timeout=60, check=True)
        assert example in done.stdout
        assert done.stdout.rstrip().endswith("[]")


def test_odd_but_readable(shell):
    frame = table()
    call = ("attribute", "runs.csv", "--target", "loss")
    put(pd.concat([frame.assign(seed=s, loss=frame.loss + s) for s in range(3)]))
    _, out, err = shell(*call)
    assert "same 3 seeds" in out
    assert "Verdict: solid" in out
    put(frame[["a", "loss"]])  # two different masks: no held-out mask can be predicted, but each is repeated
    code, out, err = shell(*call)
    assert (code, err) == (0, "")
    assert "variance reproduces" in out
    put(frame[["a", "loss"]].assign(loss=np.arange(len(frame)) % 3))
    assert "Verdict: not supported" in shell(*call)[1]
    assert "to 1 task," in out
    put(frame)
    for wanted, said in (("kernel", "The stack of kernels, as asked: "), ("ridge", "Tuned ridge, as asked: ")):
        assert said in shell(*call, "--surrogate", wanted)[1]
    assert "Pairs: none are read for gradient." in shell(*call, "--reading", "gradient")[1]
    frame.to_csv("runs.csv", sep=";", index=False, encoding="utf-8-sig")
    assert "5 tasks (mask)" in shell(*call)[1]
    put(frame.assign(loss=frame.loss * 1e200))
    refused(shell(*call), "'loss'", "1e+100", "diverged")


# ---- files of names


def test_a_file_of_names_stands_for_targets_in_options_and_formulas(shell):
    frame = table().rename(columns={"loss": "loss/a b"})
    put(frame.assign(**{"loss/c, d": 2 * frame["loss/a b"]}))
    Path("some.txt").write_text("\ufeffloss/a b\r\nloss/c, d\n", encoding="utf-8")
    for words, targets in (
        (("--target", "@some.txt"), ("loss/a b", "loss/c, d")),
        (("--target", "loss/a b", "--derive", "z=mean_z(@some.txt, 'loss/a b')"), ("loss/a b", "z")),
    ):
        assert shell("attribute", "runs.csv", *words, "--out", "answer.json")[0] == 0
        assert Attribution.load("answer.json").targets == targets
    for words in (("--target", "mean_z(@some.txt)"), ("--worst", "@some.txt")):
        code, _, err = shell("select", "runs.csv", *words)
        assert code == 0, err
    Path("none.txt").write_text("\n", encoding="utf-8")
    refused(shell("attribute", "runs.csv", "--target", "@none.txt"), "@none.txt", "holds no name")
    Path("no.txt").write_bytes(b"\xff\xfe\x00")
    refused(shell("attribute", "runs.csv", "--target", "@no.txt"), "@no.txt", "UTF-8")
    for words in (("--target", "@absent.txt"), ("--derive", "z=mean_z(@absent.txt)")):
        refused(shell("attribute", "runs.csv", *words), "@absent.txt: there is no such file here")
