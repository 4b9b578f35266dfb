"""What a run would tell, against refitting with it; knowledge gradient, factorial and D-optimal designs."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, masks
from interplay.active import d_optimal, factorial, knowledge_gradient, propose
from interplay.active.beliefs import Arms, Belief, beliefs, cautious, over_tasks
from interplay.active.best import Beliefs, gradient_batch, thompson_batch, worth
from interplay.active.designs import model
from interplay.active.gains import Gains, greedy
from interplay.active.questions import asked
from interplay.fitting import Design, fit_design
from interplay.surrogates.gaussian import Posterior
from interplay.surrogates.kernels import Kernel
from interplay.surrogates.rows import Rows
from interplay.surrogates.sums import sums
from tests.helpers import runs as game

K = 5
KERNEL = Kernel(np.array([0.2, 0.4, 0.1, 0.7, 0.3]), 1.0, 0.3)
NOISE = 0.08


def arms_of(X, seed=-1):
    return Arms(X, np.full(len(X), seed, np.int64), np.full(len(X), ""))


def put(question, X, tasks="abcde"):
    groups = {"ab": ["a", "b"], "c": ["c"]} if question == "groups" else None
    return asked(question, "mask", X, tuple(tasks), np.random.default_rng(0), groups=groups).functional


@pytest.mark.parametrize("question", ["leave-one-out", "groups", "pairs", "shapley", "banzhaf", "swap"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_gain_is_the_fall_of_the_variance_when_the_run_is_added(question, seeds, rng):
    X = (rng.random((14, K)) < 0.7).astype(float)
    labels = np.arange(14) % seeds
    new = (rng.random((6, K)) < 0.6).astype(float)
    if question == "swap":
        X, new = (np.argsort(np.argsort(rng.random((n, K)), axis=1), axis=1) < 2 for n in (14, 6))
        X, new = X.astype(float), new.astype(float)
    functional = put(question, X)

    def variance(X, labels):
        rows = Rows.of(X, groups=np.arange(len(X)), seeds=labels)
        assert rows.basis.shape[1] == seeds
        found = Posterior.of(KERNEL.matrix(X, X), np.zeros((len(X), 1)), NOISE, rows)
        return found.variance(functional.rows(KERNEL, X), functional.own(KERNEL), 0.0)

    columns = {} if seeds == 1 else {("", s): s for s in range(seeds)}
    rows = Rows.of(X, groups=np.arange(14), seeds=labels)
    belief = Belief.of(KERNEL, X, rows, NOISE, weight=2.0, columns=columns)
    gains = Gains([belief], functional, arms_of(new, 1 if seeds > 1 else -1))
    own = 1 if seeds > 1 else 0
    before = variance(X, labels)
    np.testing.assert_allclose(gains.variance, 2.0 * before, atol=1e-12)
    expected = [2.0 * (before - variance(np.vstack([X, x]), np.append(labels, own))).mean() for x in new]
    np.testing.assert_allclose(gains.gains(), expected, atol=1e-10)
    done, here = X, labels
    for j in (2, 4, 2):  # a batch is as good as one after the other, repeats among them
        done, here = np.vstack([done, new[j]]), np.append(here, own)
        gains.take(j)
        np.testing.assert_allclose(gains.variance, 2.0 * variance(done, here), atol=1e-10)


def test_gains_of_several_fidelities(rng):
    """A cheap run tells of the dear function what the joint covariance says, by brute force."""
    X, number = (rng.random((12, K)) < 0.6).astype(float), np.arange(12) % 2
    B, ratio = np.array([[1.0, 0.8], [0.8, 1.3]]), np.array([1.0, 4.0])
    H = (number[:, None] == np.arange(2)).astype(float)
    rows = Rows(Rows.of(X).groups, np.ones(12), H, np.array([True, False]))
    columns = {("dear", -1): 0, ("cheap", -1): 1}
    how = {"ratio": ratio, "between": B, "words": ("dear", "cheap"), "number": number, "columns": columns}
    belief, functional = Belief.of(KERNEL, X, rows, NOISE, **how), put("leave-one-out", X)
    new = (rng.random((2, K)) < 0.6).astype(float)
    arms = Arms(new, np.full(2, -1, np.int64), np.array(["dear", "cheap"]))

    def variance(X, number):
        H = 1e3 * (number[:, None] == np.arange(2))  # a level that nothing is known of
        A = KERNEL.matrix(X, X) * B[np.ix_(number, number)] + H @ H.T + NOISE * np.diag(ratio[number])
        R = functional.rows(KERNEL, X) * B[0, number]
        return functional.own(KERNEL) - np.einsum("im,im->i", R @ np.linalg.inv(A), R)

    gains = Gains([belief], functional, arms)
    before = variance(X, number)
    np.testing.assert_allclose(gains.variance, before, atol=1e-5)
    for f in range(2):
        after = variance(np.vstack([X, new[f]]), np.append(number, f))
        np.testing.assert_allclose(gains.gains()[f], (before - after).mean(), atol=1e-5)


def test_greedy_heeds_costs_and_closed_arms(rng):
    X = (rng.random((10, K)) < 0.7).astype(float)
    belief, new = Belief.of(KERNEL, X, Rows.of(X), NOISE), masks.leave_one_out(K)
    make = lambda: Gains([belief], put("leave-one-out", X), arms_of(new))
    best = int(np.argmax(make().gains()))
    everything = np.ones(len(new), bool)
    assert greedy(make(), 1, np.ones(len(new)), everything, True)[0] == [best]
    dear = np.where(np.arange(len(new)) == best, 100.0, 1.0)
    assert best not in greedy(make(), 3, dear, everything, True)[0]
    closed = everything.copy()
    closed[best] = False
    picks, falls = greedy(make(), 30, np.ones(len(new)), closed, False)
    assert sorted(picks) == [j for j in range(len(new)) if j != best]
    assert min(falls) >= 0


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(K)), st.integers(0, 100))
def test_order_of_tasks_changes_nothing(order, seed):
    rng = np.random.default_rng(seed)
    X, new = (rng.random((2, 12, K)) < 0.7).astype(float)
    order = np.array(order)
    turned = replace(KERNEL, gamma=KERNEL.gamma[order])
    one = Gains([Belief.of(KERNEL, X, Rows.of(X), NOISE)], put("shapley", X), arms_of(new))
    other = Gains(
        [Belief.of(turned, X[:, order], Rows.of(X[:, order]), NOISE)], put("shapley", X), arms_of(new[:, order])
    )
    np.testing.assert_allclose(one.gains(), other.gains(), atol=1e-12)
    np.testing.assert_allclose(one.variance[order], other.variance, atol=1e-12)


def test_beliefs_are_those_of_the_fit(rng):
    """Posterior variances of effects as the readings state them, as far as they lie within the members."""
    from interplay import readings

    X, Y = game(K, 40, rng, T=1, p=0.75)
    runs = Evaluations.from_arrays(X, Y, targets=["score"])
    design = Design.of(runs)
    predictor = fit_design(design, "ridge")
    surrogate = predictor.choices[0][1].surrogate
    gains = Gains(beliefs(design, predictor, [0]), put("leave-one-out", X), arms_of(X[:1]))
    expected = (readings.leave_one_out(surrogate).deviation[:, 0] / predictor.spread[0]) ** 2
    np.testing.assert_allclose(gains.variance, expected, rtol=1e-8)


@pytest.mark.parametrize("together", [1.0, 0.4])
def test_what_is_unknown_of_a_sum_is_what_its_reading_says(together, rng):
    """Ten parts that err alike, of one member: variances of effects on their mean are no mean of variances."""
    from interplay import readings

    X, Y = game(K, 40, rng, T=1, p=0.5)
    parts = Y + 0.05 * rng.normal(size=(40, 10))
    names = ["mean", *(f"part {i}" for i in range(10))]
    runs = Evaluations.from_arrays(X, np.column_stack([parts.mean(axis=1), parts]), targets=names)
    design = Design.of(runs)
    predictor = fit_design(design, "stack")
    ((block, choice),) = predictor.choices
    (one,) = sums(runs.values)
    surrogate = choice.surrogate.only("rbf")
    surrogate.sums_ = (replace(one, together=together),)
    predictor = replace(predictor, choices=((block, replace(choice, surrogate=surrogate)),))
    gains = Gains(beliefs(design, predictor, [0]), put("leave-one-out", X), arms_of(X[:1]))
    expected = readings.leave_one_out(surrogate).deviation[:, 0] / predictor.spread[0]
    np.testing.assert_allclose(np.sqrt(gains.variance), expected, rtol=0.05)


def test_averaged_seeds_are_taken_apart_again(rng):
    """Means over crossed coupled seeds: what is believed of effects is the same, run by run or mask by mask."""
    X, Y = game(K, 24, rng, T=1, p=0.7)
    X = np.unique(X, axis=0)
    values = np.concatenate([Y[: len(X)] + shift + 0.1 * rng.normal(size=(len(X), 1)) for shift in (0.0, 1.0, -2.0)])
    seed = np.repeat([4, 5, 9], len(X))
    runs = Evaluations.from_arrays(np.tile(X, (3, 1)), values, seed=seed, notes={"coupled": True})
    design = Design.of(runs)
    predictor = fit_design(design, "ridge")
    assert design.averaged == 3
    gains = Gains(
        beliefs(design, predictor, [0]), put("leave-one-out", X), Arms(X[:1], seed[:1], np.array(["retrained"]))
    )
    surrogate = predictor.choices[0][1].surrogate
    from interplay import readings

    expected = (readings.leave_one_out(surrogate).deviation[:, 0] / predictor.spread[0]) ** 2
    np.testing.assert_allclose(gains.variance, expected, rtol=1e-8)


def test_kernels_over_tasks_say_the_same_of_the_runs(rng):
    X = (rng.random((20, 6)) < 0.6).astype(float)
    X[:, 3], X[:, 5] = X[:, 1], 1.0  # two that switch together, and one that is always on
    runs = Evaluations.from_arrays(X, rng.normal(size=20))
    players = Design.of(runs).players
    assert len(players.names) == 4
    kernel = Kernel(np.array([0.2, 0.4, 0.1, 0.7]), 1.0, 0.0)
    wide = over_tasks(kernel, players, 6)
    np.testing.assert_allclose(wide.matrix(X, X), kernel.matrix(players.columns(X), players.columns(X)))
    assert wide.gamma[5] == pytest.approx(0.35)
    two = Kernel(np.arange(8.0), 1.0, 0.0, "both", "both")
    assert over_tasks(two, players, 6).gamma.reshape(2, 6)[1, 0] == 4.0
    sized = over_tasks(Kernel(np.arange(1.0, 6.0), 1.0, 0.5, "sized"), players, 6)
    assert sized.features == "raw"
    np.testing.assert_allclose(sized.gamma, over_tasks(Kernel(np.arange(1.0, 5.0) / 2.0, 1.0, 0.5), players, 6).gamma)


# ---- finding the best ----------------------------------------------------------------------------------------


def test_knowledge_gradient_is_the_mean_of_many_draws(rng):
    for n in (1, 2, 5, 40):
        mean, change = rng.normal(size=n), rng.normal(size=n)
        z = np.linspace(-8.0, 8.0, 40_001)
        density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
        best = (mean + np.multiply.outer(z, change)).max(axis=1)
        expected = np.trapezoid(best * density, z) if hasattr(np, "trapezoid") else np.trapz(best * density, z)  # noqa: NPY201
        assert knowledge_gradient(mean, change) == pytest.approx(expected - mean.max(), abs=1e-6)
        drawn = (mean + np.multiply.outer(rng.normal(size=200_000), change)).max(axis=1)
        assert knowledge_gradient(mean, change) == pytest.approx(drawn.mean() - mean.max(), abs=0.02)
    assert knowledge_gradient(np.zeros(3), np.ones(3)) == 0.0  # all rise alike
    assert knowledge_gradient(np.array([1.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(0.398942, abs=1e-6)


def pool_of(rng, n=12):
    X = (rng.random((10, K)) < 0.6).astype(float)
    points = masks.all_subsets(K)[1 : n + 1]
    belief = Belief.of(KERNEL, X, Rows.of(X), NOISE)
    return Beliefs.of([belief], rng.normal(size=n) * 0.1, arms_of(points), arms_of(points), 1)


def test_gradients_of_a_batch(rng):
    belief = pool_of(rng)
    n = len(belief.mean)
    one = [knowledge_gradient(belief.mean, belief.changes()[:, j]) for j in range(n)]
    picks, gains = gradient_batch(belief, 4, np.ones(n), np.ones(n, bool), True, rng)
    assert picks[0] == int(np.argmax(one))
    assert gains[0] == pytest.approx(max(one))
    price = np.linspace(3.0, 1.0, n)
    assert gradient_batch(belief, 1, price, np.ones(n, bool), True, rng) == (
        [int(np.argmax(one / price))],
        [pytest.approx(one[int(np.argmax(one / price))])],
    )
    assert worth(belief, picks[:1], rng) == pytest.approx(max(one), rel=0.1)
    assert worth(belief, picks, rng) <= belief.left(rng).mean() + 0.02
    after = belief.after(picks[0])
    assert np.diagonal(after.pool).sum() < np.diagonal(belief.pool).sum()
    only = np.arange(n) == 3
    assert gradient_batch(belief, 2, np.ones(n), only, False, rng)[0] == [3]
    drawn, _ = thompson_batch(belief, 6, np.ones(n, bool), rng)
    assert len(set(drawn)) == 6
    assert thompson_batch(belief, 3, only, rng)[0] == [3, 3, 3]
    assert thompson_batch(belief, 3, ~np.ones(n, bool), rng)[0] == []


# ---- designs without a fit -----------------------------------------------------------------------------------


def test_factorial_has_resolution_five():
    X = factorial(np.ones(8), [0, 2, 3, 5, 7])
    assert X.shape == (16, 8)
    assert (X[:, [1, 4, 6]] == 1).all()
    assert len(np.unique(X, axis=0)) == 16
    z = 2.0 * X[:, [0, 2, 3, 5, 7]] - 1.0
    columns = [np.ones(16), *z.T, *(z[:, i] * z[:, j] for i, j in combinations(range(5), 2))]
    gram = np.array(columns) @ np.array(columns).T
    np.testing.assert_array_equal(gram, 16.0 * np.eye(16))  # the constant, 5 effects and 10 pairs are orthogonal
    assert factorial([1, 0, 1], [0, 1]).tolist() == [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
    with pytest.raises(ValueError, match="switches 2 to 5 different ones"):
        factorial(np.ones(8), [1, 1])
    with pytest.raises(ValueError, match="one mask"):
        factorial(np.full(8, 0.5), [0, 1])


def test_d_optimal_beats_random_designs(rng):
    pool = rng.dirichlet(np.ones(4), 300)

    def information(X):
        F = model(X, "log")
        return np.linalg.slogdet(F.T @ F)[1]

    chosen = d_optimal(pool, 10, rng)
    assert chosen.shape == (10, 4)
    assert len(np.unique(chosen, axis=0)) == 10
    drawn = [information(pool[rng.permutation(300)[:10]]) for _ in range(200)]
    assert information(chosen) > max(drawn) + 1.0
    more = d_optimal(pool, 3, rng, given=chosen)
    assert information(np.vstack([chosen, more])) > information(np.vstack([chosen, pool[:3]]))
    assert len(d_optimal(pool[:2], 10, rng)) == 2
    with pytest.raises(ValueError, match="n is 0"):
        d_optimal(pool, 0, rng)
    with pytest.raises(ValueError, match="choose one of raw"):
        d_optimal(pool, 3, rng, features="cube")


def test_proposals_are_the_same_from_the_same_generator(rng):
    X, Y = game(6, 20, rng, T=2, p=0.8)
    runs = Evaluations.from_arrays(X, Y)
    one, other = (propose(runs, "leave-one-out", 3, rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.masks, other.masks)
    assert one.sentences == other.sentences


def test_a_second_opinion_has_its_say(rng):
    """Where the fit sees no interactions what is far from the full mask tells as much; a cautious kernel stays near."""
    X = (rng.random((20, 8)) < 0.8).astype(float)
    far = (rng.random((60, 8)) < 0.5).astype(float)
    arms = arms_of(np.vstack([masks.leave_one_out(8), far]))
    additive = Belief.of(Kernel(np.ones(8), 0.0, 1.0), X, Rows.of(X), 0.3)
    second = cautious([additive], None)
    assert second.noise[""] > 0
    question = put("leave-one-out", X, "abcdefgh")
    open_ = np.ones(len(arms), bool)
    sizes = [
        arms.weights[greedy(Gains([additive], question, arms, other), 6, np.ones(len(arms)), open_, True)[0]].sum(
            axis=1
        )
        for other in (None, second)
    ]
    assert sizes[1].mean() > sizes[0].mean() + 1
    quiet, loud = (cautious([additive], share).noise[""] for share in (0.0, 0.8))
    assert quiet < second.noise[""] < loud
