"""What must be said first: runs that stand out, guessed directions, targets that never change, mirrored tasks."""

import re

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.figures import interactions
from interplay.report import document
from interplay.report.notebook import html as notebook
from interplay.report.page import html
from interplay.trust.outlying import farthest

K = 8


def runs_of(seed=0, m=40, away=0.0, row=5, targets=("loss",), pair=0.0):
    rng = np.random.default_rng(seed)
    X, w = ip.masks.bernoulli(K, m, rng, p=0.8), rng.normal(0, 0.1, K)
    Y = (2 - X @ w + pair * X[:, 0] * X[:, 7])[:, None] + 0.02 * rng.standard_normal((m, len(targets)))
    Y[row, 0] += away
    return ip.Evaluations.from_arrays(X, Y, targets=targets)


@pytest.mark.parametrize("away", [3.0, 38.0])
def test_a_run_that_diverged_is_said_first_and_names_no_pairs(away):
    answer = ip.attribute(runs_of(away=away))
    assert answer.trust.verdict != "solid"
    assert re.match(r"Run 6 stands out \(loss \d+(\.\d+)?, all others 1\.\d+ to 2\.\d+\)", answer.trust.reason)
    assert "and may decide the answer" in answer.trust.reason
    shown = repr(answer).splitlines()
    assert shown[3] == "Next: Check run 6, repeat it, or leave it out."
    assert not answer.discoveries.named.any()
    assert any(line.startswith("Pairs: none is named of loss: ") for line in shown)
    page = document.whole(answer)
    assert page["steps"][0].words.startswith("Check run 6")
    assert page["reason"].startswith("Run 6 stands out")
    assert (drawn := interactions(answer)) is None or "too little is known" in str(drawn["layout"]["xaxis"]["title"])
    assert "stands out" in html(answer)


def test_a_run_that_stands_out_on_few_targets_lowers_these_alone_and_is_said_in_the_head():
    answer = ip.attribute(runs_of(away=9.0, targets=("a", "b", "c")))
    assert answer.trust.targets[0] != "solid"
    assert answer.trust.targets[1:] == ("solid", "solid")
    (said,) = document.whole(answer)["doubts"]
    assert said.startswith("Run 6 stands out (a ")
    assert said.endswith("Check run 6, repeat it, or leave it out.")
    assert repr(answer).count("stands out") == 1
    assert "<b>Check:</b> Run 6" in notebook(answer)
    assert not answer.discoveries.named[:, 0].any()


@pytest.mark.parametrize("freedom", [3, 4, np.inf])
def test_heavy_tails_hardly_ever_stand_out(freedom):
    rng = np.random.default_rng(0)
    draw = rng.standard_normal if np.isinf(freedom) else lambda m: rng.standard_t(freedom, m)
    count = sum(len(farthest(draw(40), (rng.random((40, K)) < 0.8).astype(float))) > 0 for _ in range(400))
    assert count <= (0 if np.isinf(freedom) else 6)


def test_what_tasks_explain_does_not_stand_out():
    rng = np.random.default_rng(0)
    X = (rng.random((40, K)) < 0.8).astype(float)
    X[:, 0] = 1.0
    X[3, 0] = 0.0  # the only run without it
    y = 2.0 - 9.0 * X[:, 0] + 0.1 * rng.normal(size=40)
    assert not len(farthest(y, X))
    X[4, 0] = 0.0
    assert farthest(y, X).tolist() == [3]
    X = (rng.random((60, K)) < 0.5).astype(float)
    X[:3, :2], X[3:, 0] = 0.0, np.maximum(X[3:, 0], 1.0 - X[3:, 1])  # two that stand for each other, out in three runs
    y = 9.0 * (1.0 - np.maximum(X[:, 0], X[:, 1])) + 0.1 * rng.normal(size=60)
    assert not len(farthest(y, X))


def test_a_run_that_the_others_predict_does_not_stand_out():
    y = np.r_[np.linspace(0.0, 1.0, 30), 9.0]
    X = (np.random.default_rng(0).random((31, 4)) < 0.5).astype(float)
    assert farthest(y, X).tolist() == [30]
    assert not len(farthest(y, X, np.r_[y[:30], 8.0]))
    assert farthest(y, X, np.r_[y[:30], np.nan]).tolist() == [30]


def test_a_pair_that_an_additive_fit_does_not_hold_is_named_without_a_size():
    answer = ip.attribute(runs_of(seed=503, pair=0.12), surrogate="ridge")
    assert answer.discoveries.named.any()
    said = document.of_target(answer, 0)["pairs"]
    assert "; in the fit, which is additive, its size is not seen:" in said[0]
    assert said[1] == "  task_0 and task_7"
    assert "add up" not in repr(answer)
    assert not re.search(r"e-1\d|± 0\)", repr(answer))
    assert interactions(answer) is None
    with pytest.raises(ValueError, match="additive"):
        ip.plots.interactions(answer)
    (row,) = document.of_target(answer, 0)["tables"]["pairs"]["rows"]
    assert row[:6] == ["task_0", "task_7", None, None, None, "size not seen"]
    none = ip.attribute(runs_of(seed=1), surrogate="ridge")
    assert not none.discoveries.named.any()
    assert "in what was fitted, effects add up" in repr(none)
    assert document.of_target(none, 0)["tables"]["pairs"] is None


def test_a_direction_that_was_guessed_is_said_before_the_numbers(tmp_path, shell):
    runs = runs_of()
    frame = pd.DataFrame(runs.masks.astype(int), columns=list("abcdefgh")).assign(zork=runs.values[:, 0])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    shown = shell("attribute", str(tmp_path / "runs.csv"), "--target", "zork")[1]
    said = "zork is taken as lower is better: its name does not say; if higher is better, name it with"
    assert shown.count("is taken as lower") == 1
    assert shown.index(f"Check: {said}") < shown.index("Benefit in zork")
    told = shell("attribute", str(tmp_path / "runs.csv"), "--target", "zork", "--lower-is-better", "zork")[1]
    assert "is taken as lower" not in told


def test_of_complementary_tasks_only_the_difference_is_said_to_be_known():
    runs = runs_of(m=60)
    X = np.column_stack([runs.masks, 1 - runs.masks[:, 0]])
    names = [*"abcdefgh", "nota"]
    answer = ip.attribute(ip.Evaluations.from_arrays(X, runs.values, tasks=names, targets=["loss"]))
    assert "always one of a and nota is in, and only their difference is known" in answer.trust.reason
    assert "switch together" not in answer.trust.reason
    assert answer.trust.advice.startswith("Add runs with both of a and nota, or neither.")


def test_of_a_target_that_never_changes_only_that_is_said(tmp_path):
    runs = runs_of()
    answer = ip.attribute(ip.Evaluations.from_arrays(runs.masks, np.ones(40), targets=["loss"]))
    assert repr(answer).splitlines()[1:] == [
        "Verdict: not supported. The target never changes: nothing can be attributed.",
        "Next: Attribute a target that differs between runs.",
    ]
    page = document.whole(answer)
    assert "R^2" not in str({name: page[name] for name in ("short", "facts", "surrogate", "made", "tables")})
    assert "never changes" in html(answer)
    answer.save(tmp_path / "a.json")
    assert repr(ip.Attribution.load(tmp_path / "a.json")) == repr(answer)


def test_values_that_are_missing_are_said_once_and_counted(tmp_path, shell):
    runs = runs_of()
    Y = runs.values.copy()
    Y[5] = np.nan
    answer = ip.attribute(ip.Evaluations.from_arrays(runs.masks, Y, targets=["loss"]))
    note = "1 value was not measured; fitted on fewer runs: loss on 39 of 40 runs"
    assert answer.warnings.count(note) == 1
    assert dict(document.made(answer))["Runs"].startswith("40 rows, 39 with a value of loss, fingerprint ")
    assert answer.held_out_frame()["run"].tolist() == [*range(1, 6), *range(7, 41)]
    frame = pd.DataFrame(runs.masks.astype(int)).assign(loss=Y[:, 0])
    frame.columns = [*"abcdefgh", "loss"]
    frame.to_csv(tmp_path / "runs.csv", index=False)
    shown = shell("attribute", str(tmp_path / "runs.csv"), "--target", "loss", "--missing", "skip")[1]
    assert shown.count("not measured") == 1


def test_a_target_that_is_ignored_is_said_to_be():
    runs = runs_of()
    frame = pd.DataFrame(runs.masks.astype(int), columns=list("abcdefgh")).assign(loss=runs.values[:, 0], acc=0.5)
    for target in ("loss", "lo*"):
        with pytest.raises(EvaluationsError, match=r"to be a target \(--target\) and to be left out \(--ignore\)"):
            ip.Evaluations.from_frame(frame, targets=target, ignore=target)
