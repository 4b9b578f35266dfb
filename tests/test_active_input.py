"""The next runs: bad input, files, the verb `next`."""

import shlex
import warnings

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations, evaluate, metrics
from interplay.active import propose
from interplay.formats.points import read_design
from interplay.problems.games import additive
from tests.command_line import TASKS, put, refused, table
from tests.test_active_proposals import GROUPS, NAMES, W, mixtures, rng, runs_of

# ---- bad input ------------------------------------------------------------------------------------------------

BAD = {
    "question": (runs_of, {"question": "loo"}, "question is 'loo' .*choose one of leave-one-out, groups"),
    "mixtures": (runs_of, {"question": "mixture"}, "'mixture' .*asked of mixtures, and the runs are masks"),
    "masks": (mixtures, {"question": "shapley"}, "'shapley' .*asked of masks, and the runs are mixtures"),
    "batch": (runs_of, {"batch": 0}, "batch is 0 .*at least one"),
    "how": (runs_of, {"how": "magic"}, "how is 'magic' .*choose one of auto"),
    "how here": (runs_of, {"how": "thompson"}, "not for leave-one-out of masks; choose variance"),
    "few": (lambda: runs_of(4), {}, "runs hold 4 runs; leave-one-out needs at least 5.*interplay design"),
    "target": (runs_of, {"target": "lost"}, "no target is called 'lost'. .*'loss'"),
    "require": (runs_of, {"require": "cod"}, "no task .* is called 'cod'. .*'code'"),
    "both": (runs_of, {"require": "en", "forbid": "en"}, "'en' is in require= and in forbid="),
    "size": (runs_of, {"size": 9}, "size=9 .*a mask holds 1 to 6 tasks"),
    "size of mixtures": (mixtures, {"question": "mixture", "size": 2}, "size=2 .*the runs are mixtures"),
    "groups": (runs_of, {"question": "groups"}, "needs the groups"),
    "groups elsewhere": (runs_of, {"groups": GROUPS}, "groups= .* the question is 'leave-one-out'"),
    "group": (runs_of, {"question": "groups", "groups": {"a": ["enn"]}}, "no task .* is called 'enn'. .*'en'"),
    "no group": (runs_of, {"question": "groups", "groups": {}}, "holds no group"),
    "candidates": (runs_of, {"candidates": np.ones((2, 5))}, "candidates have shape .*each of the 6 tasks"),
    "no masks": (runs_of, {"candidates": np.full((2, 6), 0.5)}, "candidate 1 has 0.5 .*masks are 0 or 1"),
    "none": (runs_of, {"candidates": np.ones((1, 6)), "size": 2}, "no candidate meets the conditions"),
    "reference": (runs_of, {"reference": np.ones(6)}, "reference is where moves of mixtures start"),
    "reference sums": (mixtures, {"question": "mixture", "reference": np.ones(6)}, "reference sums to 6"),
    "reference shape": (mixtures, {"question": "mixture", "reference": np.ones(2)}, r"reference has shape \(2,\)"),
    "incumbent": (
        runs_of,
        {"question": "pairs", "how": "factorial", "incumbent": np.full(6, 0.5)},
        "incumbent is no mask",
    ),
    "feasible": (runs_of, {"feasible": lambda X: X}, "feasible returned float64"),
    "at": (runs_of, {"at": "large"}, "at='large' .*no run is of this fidelity"),
    "no pairs": (runs_of, {"question": "pairs", "surrogate": "ridge"}, "surrogate='ridge' .*it has no pairs"),
    "surrogate": (runs_of, {"surrogate": "forest"}, "surrogate='forest'"),
    "among": (runs_of, {"among": ["en", "de"]}, r"among= \(--among\) is for a factorial, and how is 'variance'"),
    "incumbent elsewhere": (runs_of, {"incumbent": np.ones(6)}, "incumbent= is for a factorial"),
    "cost of draws": (
        runs_of,
        {"question": "selection", "how": "thompson", "cost": np.ones(6)},
        "cost= has no part in how='thompson'",
    ),
    "reference of the best": (
        mixtures,
        {"question": "selection", "reference": np.full(6, 1 / 6)},
        "a selection looks for the best mixture; leave it out",
    ),
    "nothing left": (runs_of, {"forbid": "*"}, r"forbid='\*' \(--forbid\) leaves no task to run"),
    "cost": (runs_of, {"cost": ["a"] * 6}, "cost cannot be read as numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    make, changes, words = BAD[case]
    given = {"question": "leave-one-out", "batch": 4} | changes
    with pytest.raises(ValueError, match=words):
        propose(make(), rng=rng(), **given)


@pytest.mark.parametrize("size", ["a", 3.5, (1, 2, 3), True, ("2", "3")])
def test_sizes_that_are_none(size):
    with pytest.raises(TypeError, match=r"size is .* \(--size\); give a number of tasks, such as 5, or the least"):
        propose(runs_of(), rng=rng(), size=size)


def test_more_bad_input():
    with pytest.raises(TypeError, match=r"runs is 'runs.csv'; give Evaluations, such as Evaluations.read"):
        propose("runs.csv", rng=rng())
    with pytest.raises(TypeError, match=r"budget is 'a' \(--budget\); give a whole number"):
        propose(runs_of(), rng=rng(), budget="a")
    with pytest.raises(TypeError, match="feasible is 3; give a function"):
        propose(runs_of(), rng=rng(), feasible=3)
    with pytest.raises(TypeError, match=r"batch is 2.5 .* whole number"):
        propose(runs_of(), batch=2.5, rng=rng())
    with pytest.raises(TypeError, match="rng is 0"):
        propose(runs_of(), rng=0)
    still = Evaluations.from_arrays(runs_of().masks, np.ones(16), tasks=NAMES, targets=["loss"])
    with pytest.raises(ValueError, match="loss never changes"):
        propose(still, rng=rng())
    same = Evaluations.from_arrays(np.ones((6, 6)), np.arange(6.0), tasks=NAMES)
    with pytest.raises(ValueError, match="no task is switched"):
        propose(same, rng=rng())
    amounts = Evaluations.from_arrays(rng().random((9, 6)) * 5, np.arange(9.0), tasks=NAMES)
    with pytest.raises(ValueError, match="the runs are weights; next runs are proposed for masks and mixtures"):
        propose(amounts, rng=rng())
    with pytest.raises(ValueError, match="the suffix must be"):
        propose(runs_of(), rng=rng()).save("masks.txt")
    with pytest.raises(ValueError, match="leaves no weight"):
        propose(mixtures(), "groups", rng=rng(), groups={"all": list(NAMES)})


# ---- files and the command line ---------------------------------------------------------------------------------


def test_a_saved_proposal_is_a_design(tmp_path):
    names = ("en", "seed", "code", "math", "web", "wiki")
    runs = runs_of()
    runs = Evaluations.from_arrays(runs.masks, runs.values, tasks=names, targets=["loss"], seed=1)
    out = propose(runs, "leave-one-out", 4, rng=rng())
    for name in ("masks.csv", "masks.parquet"):
        tasks, X = read_design(out.save(tmp_path / name))
        assert tasks == names
        np.testing.assert_array_equal(X, out.masks)
    game = additive(0, K=6)
    found = evaluate(game, out.masks, seeds=1, progress=False)
    assert len(found) == len(np.unique(out.masks, axis=0))


@pytest.fixture
def command(shell):
    """The shell, with the verb registered where it is not yet."""
    from interplay.cli.app import app
    from interplay.cli.next import EXAMPLES, next_runs

    if "next" not in {one.name for one in app.registered_commands}:
        app.command(name="next", epilog=EXAMPLES)(next_runs)
    return shell


def test_next(command):
    put(table())
    code, out, err = command("next", "runs.csv", "--target", "loss", "--batch", "4", "--out", "masks.csv")
    assert code == 0, err
    assert "Proposal: 4 runs for leave-one-out" in out
    assert "interplay evaluate masks.csv" in out
    tasks, X = read_design("masks.csv")
    assert (tasks, X.shape) == (tuple(TASKS), (4, 5))
    again = command("next", "runs.csv", "--target", "loss", "--batch", "4", "--json")
    assert again[0] == 0
    assert again[1].count("\n") == 4
    assert "Note: These 4 runs" in again[2]
    put(pd.DataFrame({"task": ["a", "b", "c"], "group": ["x", "x", "y"]}), "groups.csv")
    assert command("next", "runs.csv", "--target", "loss", "--for", "groups", "--groups", "groups.csv")[0] == 0
    chosen = ["--for", "selection", "--size", "2-3", "--require", "a", "--forbid", "e", "--how", "thompson"]
    assert command("next", "runs.csv", "--target", "loss", *chosen)[0] == 0
    few = ["--for", "pairs", "--how", "factorial", "--among", "a, b,c"]
    assert "factorial of 8 masks" in command("next", "runs.csv", "--target", "loss", *few)[1]
    put(table(kind="mixture"), "mixtures.csv")
    assert command("next", "mixtures.csv", "--target", "loss", "--for", "mixture", "--batch", "2")[0] == 0


def test_next_refuses(command):
    put(table())
    put(table()[["run", *TASKS]].iloc[:2].assign(a=2), "wrong.csv")
    ask = lambda *words: command("next", "runs.csv", "--target", "loss", *words)
    refused(ask("--for", "loo"), "question is 'loo' (--for)", "choose one of")
    refused(ask("--for", "mixture"), "asked of mixtures", "choose one of")
    refused(ask("--batch", "0"), "batch is 0 (--batch)", "at least one")
    refused(ask("--size", "few"), "--size few", "3-8")
    refused(ask("--require", "x"), "no task", "'x'")
    refused(ask("--how", "x"), "how is 'x' (--how)", "choose one of")
    refused(ask("--candidates", "wrong.csv"), "--candidates", "masks are 0 or 1")
    refused(ask("--out", "masks.txt"), "--out masks.txt", ".csv or .parquet")
    factorial = ("--for", "pairs", "--how", "factorial", "--among", "a,b,c")
    refused(ask(*factorial, "--forbid", "a"), "'a' is in among= (--among)", "forbid=")
    refused(ask("--among", "a,b"), "among= (--among) is for a factorial", "leave it out")
    refused(ask("--how", "repeats", "--no-repeats"), "(--no-repeats) rules out", "leave one out")
    refused(ask("--forbid", "*"), "forbid=", "(--forbid) leaves no task to run", "forbid fewer")
    refused(ask("--budget", "-1"), "budget is -1 (--budget)", "whole number of runs >= 0")
    refused(ask("--out", "runs.csv"), "would write over runs.csv")
    put(table().iloc[:4], "few.csv")
    refused(command("next", "few.csv", "--target", "loss"), "4 runs", "at least 5")


def test_nothing_warns_by_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        propose(runs_of(), "leave-one-out", 3, rng=rng())
        propose(mixtures(), "selection", 3, rng=rng())
    assert metrics.spearman(W[:, None], W[:, None])[0] == pytest.approx(1.0)


def test_what_comes_back_of_a_pair_of_files_is_read_as_it_says(shell):
    frame = table(kind="mixture").assign(acc=lambda t: t.loss / 2)
    frame.drop(columns=["loss", "acc"]).to_csv("ratios.csv", index=False)
    frame[["run", "loss", "acc"]].to_csv("metrics.csv", index=False)
    words = ("ratios.csv", "--metrics", "metrics.csv", "--for", "mixture", "--batch", "3", "--how", "repeats")
    code, out, err = shell("next", *words, "--out", "repeats.csv")
    assert code == 0, err
    assert "write run and a column for each of the 2 targets into repeats-metrics.csv; then: interplay attribute" in out
    names = pd.read_csv("repeats.csv")["run"]
    pd.DataFrame({"run": names, "loss": 1.0, "acc": 0.5}).to_csv("repeats-metrics.csv", index=False)
    again = shlex.split(out.partition("then: interplay ")[2].splitlines()[0])
    code, out, err = shell(*again)
    assert code == 0, err
    assert "27 runs" in out
