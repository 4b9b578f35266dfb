"""Phases of training: shares, columns PHASE:TASK, and readings that keep the share of each phase."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay import Evaluations, readings
from interplay.evaluations import EvaluationsError
from interplay.phases import parse, phase_blocks
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from tests.command_line import put, refused

NAMES = ["web", "code", "math"]
TASKS = [f"{phase}:{name}" for phase in ("main", "anneal") for name in NAMES]
SHARES = {"main": 0.9, "anneal": 0.1}
BLOCKS = np.repeat([0, 1], 3)


def phases(m=60, seed=0):
    """A mixture for each of two phases (m, 6); the loss falls with the code of the second one only."""
    rng = np.random.default_rng(seed)
    X = np.hstack([rng.dirichlet(np.ones(3), m), rng.dirichlet(np.ones(3), m)])
    return X, 2.5 - 0.8 * np.sqrt(X[:, 4] + 0.01) + 0.004 * rng.normal(size=m)


def runs(m=60, seed=0, **more):
    X, loss = phases(m, seed)
    return Evaluations.from_arrays(X, loss, tasks=TASKS, targets=["loss"], **more)


def frame(m=60, seed=0):
    X, loss = phases(m, seed)
    return pd.DataFrame(X, columns=TASKS).assign(run=[f"r{i}" for i in range(m)], loss=loss)


# ---- shares and columns -------------------------------------------------------------------------------------


def test_weights_are_shares_of_the_whole_training():
    table = ip.phased(runs(), SHARES)
    assert table.kind == "mixture"
    assert table.notes == {"phases": SHARES}
    np.testing.assert_allclose(table.masks, runs().masks * np.repeat([0.9, 0.1], 3))
    np.testing.assert_allclose(table.masks.sum(axis=1), 1, atol=1e-12)
    again = ip.phased(table, SHARES)  # weights that are shares already stay as they are
    np.testing.assert_allclose(again.masks, table.masks, rtol=1e-12)


def test_shares_that_are_not_stated_divide_what_is_left():
    assert ip.phased(runs(), ["main", "anneal"]).notes["phases"] == {"main": 0.5, "anneal": 0.5}
    assert ip.phased(runs(), {"main": 0.75, "anneal": None}).notes["phases"] == {"main": 0.75, "anneal": 0.25}
    assert parse("main=0.9, anneal") == {"main": 0.9, "anneal": None}


def test_rows_within_a_per_cent_are_normalised():
    X = runs().masks.round(2)
    table = ip.phased(replace(runs(), masks=X), SHARES)
    np.testing.assert_allclose(table.masks[:, 3:].sum(axis=1), 0.1, rtol=1e-12)


def test_of_phases_that_begin_alike_the_longer_one_is_meant():
    tasks = ["a:x", "a:y", "a:b:x", "a:b:y"]
    table = Evaluations.from_arrays([[0.3, 0.7, 0.4, 0.6]], [1.0], tasks=tasks)
    np.testing.assert_allclose(ip.phased(table, {"a": 0.5, "a:b": 0.5}).masks, [[0.15, 0.35, 0.2, 0.3]])


BAD = {
    "a phase that does not sum to 1": (
        lambda X: X + np.outer(np.arange(60) == 3, [0, 0, 0, 0.2, 0, 0]), SHARES,
        [r"row 4 \(q3\): phase 'anneal' sums to 1\.2; .*\(1 of 60 rows do not\)\. Normalise it, correct the shares"],
    ),
    "other shares in the rows": (
        lambda X: X * np.repeat([0.8, 0.2], 3), SHARES,
        [r"phase 'main' sums to 0\.8; .*shares \(main 0\.9, anneal 0\.1\).*\(60 of 60 rows"],
    ),
    "a phase left out": (lambda X: X, {"main": 1.0}, ["'anneal:web', .* are of no phase", "--ignore anneal:web"]),
    "a phase without tasks": (lambda X: X, {"main": 0.8, "anneal": 0.1, "late": 0.1}, ["phase 'late' has no task"]),
    "shares beyond 1": (lambda X: X, {"main": 0.9, "anneal": 0.2}, ["sum to 1.1 .*Divide them by their sum"]),
    "nothing left": (lambda X: X, {"main": 1.0, "anneal": None}, ["phase 'anneal' has share 0 of the training"]),
    "a negative share": (lambda X: X, {"main": 1.1, "anneal": -0.1}, ["phase 'anneal' has share -0.1"]),
    "no phase": (lambda X: X, {}, ["shares name no phase"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_phases(case):
    change, shares, words = BAD[case]
    table = runs(origin=[f"q{i}" for i in range(60)])
    for one in words:
        with pytest.raises(EvaluationsError, match=one):
            ip.phased(replace(table, masks=change(table.masks)), shares)


def test_coefficients_have_no_phases():
    with pytest.raises(EvaluationsError, match="merging coefficients"):
        ip.phased(replace(runs(), kind="coefficients"), SHARES)


def test_phases_survive_files(tmp_path):
    table = ip.phased(runs(), SHARES)
    for suffix in ("csv", "parquet", "npz"):
        read = Evaluations.read(table.write(tmp_path / f"runs.{suffix}"))
        assert read.equals(table)
        assert phase_blocks(read.notes, read.tasks).tolist() == BLOCKS.tolist()


def test_blocks_are_found_only_where_they_are_meant():
    assert phase_blocks({}, TASKS) is None
    assert phase_blocks({"phases": 2}, TASKS) is None
    assert phase_blocks({"phases": {"main": 1.0}}, TASKS) is None
    assert phase_blocks({"phases": {"first": 0.5, "second": 0.5}}, TASKS) is None  # a note of the user's own


def test_tables_of_phases_are_joined():
    first, second = ip.phased(runs(), SHARES), ip.phased(runs(seed=1), SHARES)
    assert ip.join([first, second]).notes == {"phases": SHARES}
    other = ip.phased(runs(seed=1), {"main": 0.7, "anneal": 0.3})
    joined = ip.join({"a": first, "b": other})
    assert joined.notes["phases"] == pytest.approx({"main": 0.8, "anneal": 0.2})
    assert any("differ in the shares of the phases" in words for words in joined.warnings)
    with pytest.raises(EvaluationsError, match="a is of phases main, anneal and b of no phases"):
        ip.join({"a": first, "b": replace(second, notes={})})


# ---- readings against brute force ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["identity", "log"])
def fitted(request):
    table = ip.phased(runs(), SHARES)
    Y = np.column_stack([table.values[:, 0], 3 - table.values[:, 0] + table.masks[:, 0]])
    return KernelSurrogate(links=(request.param,)).fit(table.masks, Y) if request.param == "identity" else (
        LinearSurrogate().fit(table.masks, Y)
    )  # fmt: skip


def moved(w, k, delta=0.05):
    """One move by hand: within the three tasks of the phase of k."""
    out, phase = w.copy(), slice(3 * (k // 3), 3 * (k // 3) + 3)
    share = w[phase].sum()
    out[phase] *= 1 - delta
    out[k] += delta * share
    return out


W = np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.03])


def test_moves_stay_within_the_phase(fitted):
    points = np.array([moved(W, k) for k in range(6)])
    np.testing.assert_allclose(points[:, :3].sum(axis=1), 0.9)
    found = readings.move(fitted, W, blocks=BLOCKS)
    np.testing.assert_allclose(found.mean, fitted.predict(points) - fitted.predict([W]), atol=1e-9)


def test_pairs_are_second_differences_within_and_across_phases(fitted):
    found = readings.move_pairs(fitted, W, blocks=BLOCKS)
    for n, (k, l) in enumerate(zip(*np.triu_indices(6, 1), strict=True)):
        if k // 3 == l // 3:
            both, phase = W.copy(), slice(3 * (k // 3), 3 * (k // 3) + 3)
            share = W[phase].sum()
            both[phase] *= 0.9
            both[[k, l]] += 0.05 * share
        else:
            both = moved(moved(W, k), l)
        points = np.array([both, moved(W, k), moved(W, l), W])
        np.testing.assert_allclose(points.sum(axis=1), 1)
        want = np.array([1.0, -1.0, -1.0, 1.0]) @ fitted.predict(points)
        np.testing.assert_allclose(found.mean[n], want, atol=1e-9)


def test_removal_renormalises_within_the_phase(fitted):
    groups = np.array([[1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    for memberships in (np.eye(6), groups):
        found = readings.removal(fitted, W, None if len(memberships) == 6 else memberships, blocks=BLOCKS)
        for member, mean, deviation in zip(memberships, found.mean, found.deviation, strict=True):
            without = W * (1 - member)
            if not without[:3].any() or not without[3:].any():
                assert np.isnan([*mean, *deviation]).all()
                continue
            without[:3] *= 0.9 / without[:3].sum()
            without[3:] *= 0.1 / without[3:].sum()
            np.testing.assert_allclose(mean, (fitted.predict([W]) - fitted.predict([without]))[0], atol=1e-9)


def test_one_block_is_what_no_blocks_are(fitted):
    one = np.zeros(6, dtype=int)
    groups = np.array([[1, 0, 0, 1, 0, 0]])
    for ask in (readings.move, readings.move_pairs, readings.removal):
        np.testing.assert_allclose(ask(fitted, W, blocks=one).mean, ask(fitted, W).mean, atol=1e-10)
    np.testing.assert_allclose(
        readings.removal(fitted, W, groups, one).mean, readings.removal(fitted, W, groups).mean, atol=1e-10
    )
    with pytest.raises(ValueError, match=r"blocks has shape \(2,\); give the number of the phase of each of 6"):
        readings.move(fitted, W, blocks=[0, 1])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.05, 0.95))
def test_questions_keep_the_share_of_every_phase(seed, share):
    rng = np.random.default_rng(seed)
    X = np.hstack([share * rng.dirichlet(np.ones(3), 9), (1 - share) * rng.dirichlet(np.ones(3), 9)])
    for reference in (None, "uniform", X[0]):
        asked = readings.question(X, "mixture", reference=reference, blocks=BLOCKS)
        assert asked.reference[:3].sum() == pytest.approx(share)
        np.testing.assert_allclose(asked.shares, np.repeat([share, 1 - share], 3))
    uniform = readings.question(X, "mixture", reference="uniform", blocks=BLOCKS)
    np.testing.assert_allclose(uniform.reference, np.repeat([share, 1 - share], 3) / 3)


def test_questions_in_words():
    X = ip.phased(runs(), SHARES).masks
    asked = readings.question(X, "mixture", blocks=BLOCKS)
    assert asked.words == "moving 5% of a phase towards a task, from the mean mixture of the runs"
    assert (
        asked.group_words == "removing a group and renormalising within each phase, from the mean mixture of the runs"
    )
    removal = readings.question(X, "mixture", "removal", "uniform", blocks=BLOCKS)
    assert (
        removal.words == "removing a task and renormalising within each phase, from the uniform mixture of each phase"
    )
    with pytest.raises(ValueError, match="reference gives a phase no weight"):
        readings.question(X, "mixture", reference=[0.5, 0.3, 0.2, 0, 0, 0], blocks=BLOCKS)
    assert readings.question(X, "mixture").words.startswith("moving 5% of the weight")


# ---- attributions -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer():
    groups = {"web": ["main:web", "anneal:web"], "annealing": TASKS[3:]}
    contrasts = {"code": (np.array([0.3, 0.3, 0.3, 0, 0.1, 0]), np.repeat([0.3, 0.1 / 3], 3))}
    return ip.attribute(ip.phased(runs(), SHARES), groups=groups, contrasts=contrasts)


def test_the_phase_that_matters_is_found(answer):
    effect = dict(zip(answer.tasks, answer.effects[:, 0], strict=True))
    truth = 0.8 * (np.sqrt(0.95 / 3 + 0.05 + 0.01) - np.sqrt(1 / 3 + 0.01))
    assert effect["anneal:code"] == pytest.approx(truth, rel=0.1)
    for name in NAMES:
        assert abs(effect[f"main:{name}"]) < 0.03 * truth
    assert effect["anneal:web"] < 0 > effect["anneal:math"]
    assert "moving 5% of a phase" in repr(answer)
    assert answer.notes["phases"] == SHARES


def test_effects_are_differences_of_predictions(answer):
    w = answer.reference
    points = np.array([moved(w, k) for k in range(6)])
    difference = answer.predictor.at(points)[0] - answer.predictor.at(w[None])[0]
    np.testing.assert_allclose(answer.effects, -difference, atol=1e-9)


def test_groups_and_contrasts_of_phases(answer):
    w = answer.reference
    without = w * [0, 1, 1, 0, 1, 1]
    without[:3] *= 0.9 / without[:3].sum()
    without[3:] *= 0.1 / without[3:].sum()
    at = answer.predictor.at(np.array([w, without]))[0][:, 0]
    assert answer.groups.effects[0, 0] == pytest.approx(at[1] - at[0], abs=1e-9)
    assert np.isnan(answer.groups.effects[1, 0])
    assert "annealing holds all of a phase that it would be taken out of: nothing would be left." in answer.warnings
    assert not any(words.startswith("web holds") for words in answer.warnings)
    assert answer.contrasts.effects[0, 0] > 0.2


def test_tokens_of_phases():
    table = ip.phased(runs(), SHARES)
    tokens = ip.Tokens(tuple(TASKS), np.full(6, 1e9))
    with pytest.raises(
        EvaluationsError, match=r"reference='tokens' .* share of its tokens.*\(main 0\.9, anneal 0\.1\)"
    ):
        ip.attribute(table, tokens=tokens, reference="tokens")
    found = ip.attribute(table, tokens=tokens, budget=1e10, pairs=False)
    w = found.reference
    points = np.array([moved(w, k) for k in range(6)])
    np.testing.assert_allclose(found.amounts.moved, np.diag(points - w) * 1e10)


# ---- the command line ---------------------------------------------------------------------------------------

CALL = ("attribute", "runs.csv", "--target", "loss", "--phases")


def test_phases_on_the_command_line(shell):
    put(frame())
    code, out, err = shell(*CALL, "main=0.9,anneal=0.1")
    assert code == 0, err
    assert out.startswith("runs.csv: 60 runs, 6 tasks (mixture of 2 phases).")
    assert "moving 5% of a phase towards a task" in out
    assert out.index("anneal:code") < out.index("main:")
    put(frame().assign(**{t: frame()[t] * share for t, share in zip(TASKS, np.repeat([0.9, 0.1], 3), strict=True)}))
    assert shell(*CALL, "main=0.9,anneal=0.1")[1].splitlines()[6:] == out.splitlines()[6:]
    refused(shell(*CALL, "main,anneal"), "--phases: row 1 (r0)", "phase 'main'")
    refused(shell(*CALL, "main=x,anneal"), "--phases: 'main=x' has no number", "main=0.9,anneal=0.1")
    refused(shell(*CALL, "main,main"), "names 'main' twice")
    refused(shell(*CALL, "main,,anneal"), "a phase without a name")


def test_a_phase_on_one_task_in_each_run_is_no_column_of_a_mask(shell):
    one_hot = pd.DataFrame(np.eye(3)[np.arange(60) % 3], columns=TASKS[3:])
    put(frame().assign(**{t: one_hot[t] for t in TASKS[3:]}))
    code, out, err = shell(*CALL, "main,anneal")
    assert code == 0, err
    assert "mixture of 2 phases" in out


def test_columns_that_look_like_phases_are_asked_about(shell):
    put(frame())
    code, out, err = shell("attribute", "runs.csv")
    assert code == 0, err
    assert "6 tasks (weights)" in out
    assert "main and anneal sum to 1 each: if these are phases of training, say so with --phases" in out
    assert "phases" not in shell("attribute", "runs.csv", "--target", "loss", "--kind", "weights")[1]


def test_phases_of_several_files_with_a_source_that_came_later(shell):
    put(frame().drop(columns=["main:math", "anneal:math"]).pipe(normalised), "old.csv")
    put(frame(seed=1), "new.csv")
    call = ("attribute", "old.csv", "new.csv", "--target", "loss", "--phases", "main=0.9,anneal=0.1")
    refused(shell(*call), "'main:math', 'anneal:math' are not among the tasks of old.csv")
    code, out, err = shell(*call, "--missing-tasks", "off")
    assert code == 0, err
    assert "120 runs, 6 tasks (mixture of 2 phases)" in out


def normalised(table):
    """Rows in which each phase sums to 1 again."""
    for phase in ("main", "anneal"):
        own = [c for c in table if c.startswith(f"{phase}:")]
        table[own] = table[own].div(table[own].sum(axis=1), axis=0)
    return table


def test_references_contrasts_and_candidates_may_give_each_phase_as_a_mixture(shell):
    put(frame())
    first = pd.DataFrame([[1, 0, 0, 0, 1, 0]], columns=TASKS)
    put(first, "first.csv")
    put(first * np.repeat([0.9, 0.1], 3), "share.csv")
    call = (*CALL, "main=0.9,anneal=0.1", "--no-pairs")
    code, out, err = shell(*call, "--reference", "first.csv", "--contrast", "first.csv", "share.csv")
    assert code == 0, err
    assert "first against share" in out
    _, rows, _ = shell(*call, "--reference", "first.csv", "--json")
    weights = {row["task"]: row["reference"] for row in map(json.loads, rows.splitlines())}
    assert weights == pytest.approx(dict(zip(TASKS, [0.9, 0, 0, 0, 0.1, 0], strict=True)))
    put(first * 0.7, "bad.csv")
    refused(shell(*call, "--reference", "bad.csv"), "--reference: row 1: phase 'main' sums to 0.7")
    said = ("--phases", "main=0.9,anneal=0.1")
    _, direct, _ = shell("predict", "runs.csv", "first.csv", "--target", "loss", *said)
    assert shell(*call, "--save", "fit.json")[0] == 0
    code, saved, err = shell("predict", "fit.json", "first.csv", *said)
    assert code == 0, err
    assert saved.splitlines()[4:6] == direct.splitlines()[4:6]
    refused(shell("predict", "fit.json", "bad.csv", *said), "CANDIDATES: row 1: phase 'main' sums to 0.7")
