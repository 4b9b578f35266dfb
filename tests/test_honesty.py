"""What an answer must never claim: cases in which a wrong sign, unit or verdict once slipped through."""

import numpy as np
import pytest

import interplay as ip
from interplay import readings
from interplay.evaluations import EvaluationsError
from interplay.report.pairs import kind_of_pair
from interplay.surrogates.features import kind_of
from interplay.trust import Trust, at_most
from tests.test_attribution import loss, make


@pytest.fixture
def masks(rng):
    return (rng.random((60, 8)) < 0.85).astype(float)


def test_directions_of_runs_and_truth_must_agree(masks, rng):
    runs = make(masks, -loss(masks, rng), targets=["quality"], higher_is_better=[True])
    full = ip.masks.leave_one_out(8)
    with pytest.raises(EvaluationsError, match="opposite directions for target 'quality'"):
        ip.attribute(runs, make(full, -loss(full, rng), targets=["quality"], higher_is_better=[False]))


def test_truth_judges_masks_only(rng):
    X = rng.dirichlet(np.ones(4), 30)
    full = ip.masks.leave_one_out(4)
    with pytest.raises(EvaluationsError, match="it judges masks, and the runs are mixture"):
        ip.attribute(make(X, X @ np.arange(4.0)), make(full, np.arange(5.0)))


def test_coefficients_that_sum_to_one_are_no_mixture(rng):
    W = rng.dirichlet(np.ones(4), 40)
    y = 1 + W @ [0.5, 0.2, 0.0, -0.3] + 0.001 * rng.normal(size=40)
    answer = ip.attribute(make(W, y, kind="coefficients"))
    assert answer.reading == "gradient"
    assert answer.choices[0][1].surrogate.features_ == "raw"
    with pytest.raises(ValueError, match="coefficients are read by their gradient"):
        ip.attribute(make(W, y, kind="coefficients"), reading="shapley")
    with pytest.raises(ValueError, match="averages over sets of tasks want masks"):
        readings.shapley(ip.KernelSurrogate().fit(W, y))


def test_shares_rounded_to_two_decimals_are_a_mixture():
    assert kind_of(np.array([[0.33, 0.33, 0.33], [0.5, 0.25, 0.25]])) == "mixture"


def test_slope_of_weights_is_taken_where_the_runs_lie(rng):
    X = rng.uniform(500, 1000, size=(60, 3))
    y = 10 - np.log(X) @ [1.0, 0.5, 0.0] + 0.0001 * rng.normal(size=60)
    answer = ip.attribute(make(X, y, kind="weights"))
    expected = np.array([1.0, 0.5, 0.0]) / X.mean(axis=0)
    np.testing.assert_allclose(answer.effects[:, 0], expected, atol=3e-4)
    assert "at the mean of the runs" in answer.words


def test_repeats_do_not_blow_up_the_intervals():
    sds = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X = np.repeat((rng.random((14, 8)) < 0.7).astype(float), 3, axis=0)
        y = 3 + X[:, 0] * X[:, 1] - X[:, 2] * X[:, 3] + 0.3 * rng.normal(size=42)
        sds.append(readings.leave_one_out(ip.KernelSurrogate().fit(X, y)).deviation.mean() / y.std())
    assert max(sds) < 2


SURROGATES = {
    "ridge": (ip.LinearSurrogate(), 30),
    "rbf": (ip.KernelSurrogate(kernel="rbf", links=("identity",)), 30),
    "stack": (ip.KernelSurrogate(links=("identity",)), 12),
}


@pytest.mark.parametrize("name", SURROGATES)
def test_intervals_of_effects_cover_where_there_is_signal(name):
    inside, (surrogate, draws) = [], SURROGATES[name]
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        X = (rng.random((40, 10)) < 0.8).astype(float)
        w = 0.3 * rng.normal(size=10)
        found = readings.leave_one_out(surrogate.fit(X, X @ w + 0.1 * rng.normal(size=40)))
        inside.append(np.mean(np.abs(found.mean[:, 0] - w) <= 1.96 * found.deviation[:, 0]))
    assert 0.88 <= np.mean(inside) <= 0.99


def test_a_cap_reaches_every_target():
    found = Trust("not supported", "", "", ("solid", "not supported"), (0.1, 1.0), (0.9, 0.0), (0.9, 0.0))
    assert at_most(found, 0, "why", "what").targets == ("not supported", "not supported")
    assert at_most(found, 0, "why", "what").reason == ""


def test_swap_pairs_are_worded_by_how_often_the_other_was_in():
    # g = -.2 a - .2 b - 2 a b over sets of 2 of 10: each hurts while the other is out
    assert kind_of_pair(-2.0, -0.4, -0.4, 1 / 9) == "antagonism"


def test_references_are_not_changed_in_silence(rng):
    X = np.column_stack([rng.dirichlet(np.ones(3), 30), np.zeros(30)])
    runs = make(X, X @ [1.0, 2.0, 3.0, 0.0])
    with pytest.raises(ValueError, match=r"reference sums to 0\.5"):
        ip.attribute(runs, reference=np.array([0.5, 0.0, 0.0, 0.5]))
    with pytest.raises(ValueError, match="reference sums to 40"):
        ip.attribute(runs, reference=np.array([10.0, 0.0, 30.0, 0.0]))


def test_tasks_outside_the_reference_do_not_count_as_uncovered(rng):
    X = rng.dirichlet(np.ones(6), 80)
    y = 2 - np.log(X + 0.02) @ [0.3, 0.2, 0.1, 0.0, 0.0, -0.05]
    answer = ip.attribute(make(X, y), reading="removal", reference=np.array([0.5, 0.5, 0, 0, 0, 0]))
    assert answer.trust.coverage[0] < 1


def test_two_masks_of_many_seeds_are_not_averaged_away():
    masks = np.repeat(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), 3, axis=0)
    runs = make(masks, np.arange(6.0), seed=np.tile(np.arange(3), 2))
    answer = ip.attribute(runs)
    assert answer.rows == (6,)
    assert answer.trust.verdict == "not supported"


def test_ceiling_and_truth_say_what_is_missing(masks, rng):
    seeds, full = np.repeat(np.arange(3), 8), ip.masks.leave_one_out(8)
    rows = np.vstack([np.delete(full, 1 + s, axis=0) for s in range(3)])
    truth = make(rows, loss(rows, rng), seed=seeds)
    shown = repr(ip.attribute(make(masks, loss(masks, rng)), truth))
    assert "ceiling unknown (no two seeds ran every task)" in shown
    part = make(full[:6], loss(full[:6], rng), seed=np.zeros(6, int))
    assert "nan" not in repr(ip.attribute(make(masks, loss(masks, rng)), part))


@pytest.mark.parametrize("m", [16, 40])
def test_losses_that_are_linear_in_shares_have_no_pairs(m):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        W = rng.dirichlet(np.ones(5), m)
        y = 2.6 - W @ [0.8, 0.5, 0.1, -0.2, -0.5] + 0.01 * rng.normal(size=m)
        answer = ip.attribute(make(W, y))
        pairs = answer.pairs_frame()
        told = (pairs["lower"] > 1e-6) | (pairs["upper"] < -1e-6)
        assert not told.any(), pairs[told]
        assert answer.pairs_trust[0][0] == "not supported"
