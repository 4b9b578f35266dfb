"""Designs from the command line: what is drawn for which question, what is kept out, what is refused."""

import io
from pathlib import Path

import pandas as pd
import pytest

from interplay import Evaluations
from tests.command_line import TASKS, K, W, loo, put, refused, table


@pytest.mark.parametrize("question", ["leave-one-out", "shapley", "banzhaf", "pairs", "selection", "mixture"])
def test_design(shell, question):
    code, out, _ = shell("design", "--tasks", "en, de,code,math", "--runs", "6", "--for", question)
    assert code == 0
    frame = pd.read_csv(io.StringIO(out))
    assert list(frame.columns) == ["run", "en", "de", "code", "math"]
    assert len(frame) == 6
    assert not frame.iloc[:, 1:].duplicated().any()
    again = shell("design", "--tasks", "en,de,code,math", "--runs", "6", "--for", question)[1]
    assert out == again
    assert out != shell("design", "--tasks", "en,de,code,math", "--runs", "6", "--for", question, "--seed", "1")[1]


def test_design_to_answer(shell):
    code, out, _ = shell("design", "--tasks", "a,b,c,d,e", "--runs", "20", "--out", "masks.csv")
    assert code == 0
    assert "interplay attribute masks.csv --target RESULT" in out
    frame = pd.read_csv("masks.csv")
    assert (frame.iloc[0, 1:] == 1).all()
    frame.assign(loss=2 - frame[TASKS].to_numpy() @ W).to_csv("masks.csv", index=False)
    refused(shell("design", "--tasks", "a,b,c,d,e", "--runs", "9", "--out", "masks.csv"), "'loss'", "would be lost")
    code, out, _ = shell("attribute", "masks.csv", "--target", "loss")
    assert code == 0
    assert "Verdict: solid" in out


def test_design_excludes(shell):
    put(loo(), "truth.csv")
    _, out, err = shell("design", "--tasks", "a,b,c,d,e", "--runs", "99", "--exclude", "truth.csv")
    frame = pd.read_csv(io.StringIO(out))
    assert len(frame) == 2**K - 1 - (K + 1)  # never the empty mask
    assert (frame[TASKS].sum(axis=1) <= K - 2).all()
    assert "only 25 distinct masks exist outside those excluded" in err
    Evaluations.from_arrays(loo()[TASKS], loo().loss, tasks=TASKS).write("truth.parquet")
    assert shell("design", "--tasks", "a,b,c,d,e", "--runs", "99", "--exclude", "truth.parquet")[1] == out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tasks a --runs 5", ["at least two names"]),
        ("--tasks a,,b --runs 5", ["none of them empty"]),
        ("--tasks a,b,a --runs 5", ["'a' twice"]),
        ("--tasks a,b,run --runs 5", ["'run'", "keeps this name"]),
        ("--tasks a,b --runs 5 --for nope", ["'nope'", "shapley"]),
        ("--tasks a,b,c --runs 5 --exclude none.csv", ["--exclude", "does not exist"]),
        ("--tasks a,b,z --runs 5 --exclude runs.csv", ["runs.csv has no column 'z'"]),
        ("--tasks a,b,c --runs 5 --exclude text.csv", ["'yes' in row 4", "0 or 1"]),
        ("--tasks a,b,c --runs 5 --exclude gaps.csv", ["row 4", "'b'"]),
        ("--tasks a,b --runs 5 --exclude all.csv", ["no mask of 2 tasks is left"]),
        ("--tasks a,b,c --runs 5 --out none/x.csv", ["folder 'none' does not exist"]),
        ("--tasks a,b,c --runs 5 --out x.xlsx", ["'.xlsx'"]),
    ],
)
def test_bad_designs(shell, options, words):
    put(table())
    put(table(), "text.csv", b={3: "yes"})
    put(table(), "gaps.csv", b={3: ""})
    Path("all.csv").write_text("a,b\n1,0\n0,1\n1,1\n")
    refused(shell("design", *options.split()), *words)
