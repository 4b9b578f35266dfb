"""Readings against brute force over all masks, for every surrogate."""

from functools import partial
from itertools import combinations
from math import comb

import numpy as np
import pytest
from sklearn.base import clone

from interplay import readings
from interplay.readings import enumeration, nodes
from interplay.readings.functional import Combination, read
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from interplay.surrogates.gaussian import Posterior
from interplay.surrogates.kernels import Kernel
from interplay.surrogates.members import Fit, Member
from tests.helpers import SURROGATES, brute_average, every_mask, runs, shapley_weight

K = 7


@pytest.fixture(params=SURROGATES, scope="module")
def fitted(request):
    X, y = runs(K, 30, np.random.default_rng(0))
    return clone(SURROGATES[request.param]).fit(X, y)


@pytest.fixture
def g(fitted):
    return fitted.predict(every_mask(K))


def singles(g, weight):
    return np.array([brute_average(g, K, (k,), weight) for k in range(K)])


def pairs(g, weight):
    return np.array([brute_average(g, K, pair, weight) for pair in combinations(range(K), 2)])


def test_shapley(fitted, g):
    found = readings.shapley(fitted)
    np.testing.assert_allclose(found.mean, singles(g, shapley_weight(K, 1)), atol=1e-9)
    np.testing.assert_allclose(found.mean.sum(axis=0), g[-1] - g[0], atol=1e-9)


def test_shapley_pairs(fitted, g):
    expected = pairs(g, shapley_weight(K, 2))
    np.testing.assert_allclose(readings.shapley_pairs(fitted).mean, expected, atol=1e-9)
    np.testing.assert_allclose(readings.shapley_pairs(fitted, intervals=False).mean, expected, atol=1e-9)


def test_banzhaf(fitted, g):
    weight = lambda size: 0.5 ** (K - 1)
    np.testing.assert_allclose(readings.banzhaf(fitted).mean, singles(g, weight), atol=1e-9)
    np.testing.assert_allclose(
        readings.banzhaf_pairs(fitted, intervals=False).mean, pairs(g, lambda size: 0.5 ** (K - 2)), atol=1e-9
    )


def test_leave_one_out(fitted, g):
    at_full = lambda order: lambda size: float(size == K - order)
    np.testing.assert_allclose(readings.leave_one_out(fitted).mean, singles(g, at_full(1)), atol=1e-9)
    np.testing.assert_allclose(readings.leave_one_out_pairs(fitted).mean, pairs(g, at_full(2)), atol=1e-9)
    np.testing.assert_allclose(readings.banzhaf(fitted, p=1.0).mean, singles(g, at_full(1)), atol=1e-9)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_swap(fitted, g, size):
    sizes = every_mask(K).sum(axis=1)
    S = every_mask(K)[sizes == size]
    values = g[sizes == size]
    mean = lambda rows: values[rows].mean(axis=0)
    single = [mean(S[:, k] == 1) - mean(S[:, k] == 0) for k in range(K)]
    np.testing.assert_allclose(readings.swap(fitted, size).mean, single, atol=1e-9)
    pair = []
    for k, l in combinations(range(K), 2):
        cell = lambda a, b, k=k, l=l: mean((S[:, k] == a) & (S[:, l] == b))
        pair.append(cell(1, 1) - cell(1, 0) - cell(0, 1) + cell(0, 0))
    np.testing.assert_allclose(readings.swap_pairs(fitted, size).mean, pair, atol=1e-9)
    np.testing.assert_allclose(readings.swap_pairs(fitted, size, intervals=False).mean, pair, atol=1e-9)


def test_group_and_contrast(fitted):
    groups = np.zeros((2, K))
    groups[0, :3] = groups[1, [2, 5]] = 1
    expected = fitted.predict(np.ones((2, K))) - fitted.predict(1 - groups)
    np.testing.assert_allclose(readings.leave_group_out(fitted, groups).mean, expected, atol=1e-9)
    np.testing.assert_allclose(readings.contrast(fitted, np.ones((2, K)), 1 - groups).mean, expected, atol=1e-9)


def test_combinations_of_points_without_intervals(fitted):
    points = np.stack([np.tile(np.ones(K), (K, 1)), 1 - np.eye(K)])
    found = read(fitted, Combination(np.array([1.0, -1.0]), points), intervals=False)
    np.testing.assert_allclose(found.mean, readings.leave_one_out(fitted).mean, atol=1e-9)
    assert np.isnan(found.deviation).all()


def test_gradient_is_the_limit_of_differences(fitted):
    at, h = np.full(K, 0.7), 1e-5
    steps = h * np.eye(K)
    expected = (fitted.predict(at + steps) - fitted.predict(at - steps)) / (2 * h)
    np.testing.assert_allclose(readings.gradient(fitted, at).mean, expected, atol=1e-6)


READINGS = {
    "shapley": (readings.shapley, lambda: shapley_weight(K, 1), 1),
    "shapley pairs": (readings.shapley_pairs, lambda: shapley_weight(K, 2), 2),
    "banzhaf": (readings.banzhaf, lambda: lambda size: 0.5 ** (K - 1), 1),
    "leave-one-out": (readings.leave_one_out, lambda: lambda size: float(size == K - 1), 1),
    "leave-one-out pairs": (readings.leave_one_out_pairs, lambda: lambda size: float(size == K - 2), 2),
}


@pytest.mark.parametrize("name", READINGS)
def test_deviation_equals_the_joint_posterior_over_all_masks(fitted, name):
    reading, weight, order = READINGS[name]
    S = every_mask(K)
    basis = np.eye(2**K)
    L = (singles if order == 1 else pairs)(basis, weight())
    found, (mean, variance, prior) = reading(fitted), joint(fitted, S, L)
    np.testing.assert_allclose(found.mean, mean, atol=1e-9)
    np.testing.assert_allclose(found.deviation, np.sqrt(variance), atol=1e-7)
    np.testing.assert_allclose(found.prior, np.sqrt(prior), atol=1e-7)


def joint(fitted, S, L):
    """Mean, variance and prior variance (n, T) of functionals L (n, 2^K) by the dense joint posterior of every member.

    Members are mixed: w-weighted means, variances with the spread of the means, and prior variances.
    """
    parts = []
    for member in fitted.members_:
        mean, variance, prior = (np.zeros((len(L), fitted.n_targets_)) for _ in range(3))
        for fit in member.fits:
            post, rows = fit.posterior, L @ fit.kernel.matrix(S, fitted.X_)
            own = np.einsum("ns,st,nt->n", L, fit.kernel.matrix(S, S), L)
            v = post.prior * own - np.einsum("nm,ml,nl->n", rows, post.precision, rows)
            share = np.eye(len(fit.targets)) if fit.loadings is None else fit.loadings
            mean[:, fit.targets] += rows @ post.theta @ share
            variance[:, fit.targets] += np.multiply.outer(np.maximum(v, 0), post.amplitude) @ share**2
            flat = np.full((len(L), len(fit.targets)), np.inf)
            prior[:, fit.targets] += (
                np.multiply.outer(np.maximum(own, 0), post.amplitude) @ share**2 if post.prior else flat
            )
        parts.append((mean, variance, prior))
    w = fitted.weights_
    mean = sum(w[f] * part[0] for f, part in enumerate(parts))
    variance = sum(w[f] * (part[1] + (part[0] - mean) ** 2) for f, part in enumerate(parts))
    return mean, variance, sum(w[f] * part[2] for f, part in enumerate(parts))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["ridge", "rbf + linear", "ard", "stack"])
def test_swap_deviation(name, size, rng):
    X, y = runs(K, 30, rng)
    fitted = clone(SURROGATES[name]).fit(X, y)
    S = every_mask(K)
    fixed = S.sum(axis=1) == size
    share = lambda rows: rows * fixed / (rows & fixed).sum()
    L1 = np.array([share(S[:, k] == 1) - share(S[:, k] == 0) for k in range(K)])
    L2 = []
    for k, l in combinations(range(K), 2):
        cell = lambda a, b, k=k, l=l: share((S[:, k] == a) & (S[:, l] == b))
        L2.append(cell(1, 1) - cell(1, 0) - cell(0, 1) + cell(0, 0))
    for L, found in ((L1, readings.swap(fitted, size)), (np.array(L2), readings.swap_pairs(fitted, size))):
        mean, variance, prior = joint(fitted, S, L)
        np.testing.assert_allclose(found.mean, mean, atol=1e-9)
        np.testing.assert_allclose(found.deviation, np.sqrt(variance), atol=1e-7)
        np.testing.assert_allclose(found.prior, np.sqrt(prior), atol=1e-7)


def by_hand(kernel, X, y):
    """A surrogate of one kernel, whatever it is."""
    fitted = KernelSurrogate(gamma=0.3, alpha=0.1, links=("identity",)).fit(X, y)
    posterior = Posterior.of(kernel.matrix(X, X), y, 0.1, fitted.rows_)
    fitted.members_ = [Member("by hand", (Fit(kernel, 0.1, np.arange(y.shape[1]), posterior),))]
    return fitted


def scales(n, features, rng, same=False):
    """Length scales for n tasks, and one for their number."""
    gamma = np.full(n, 0.4) if same else rng.uniform(0.05, 1.0, n)
    return Kernel(np.append(gamma, 2.0) if features == "sized" else gamma, 0.8, 0.2, features)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("n", [2, 5, 6])
@pytest.mark.parametrize("features", ["raw", "sized"])
def test_length_scales_that_differ_by_task(features, n, p, rng):
    """With the empty and the full mask among the runs, for odd and even numbers of tasks."""
    X, y = runs(n, 20, rng)
    X[:2] = [[0.0], [1.0]]
    fitted = by_hand(scales(n, features, rng), X, y)
    S, order = every_mask(n), list(combinations(range(n), 2))
    cases = {
        readings.shapley: (shapley_weight(n, 1), 1),
        readings.shapley_pairs: (shapley_weight(n, 2), 2),
        partial(readings.banzhaf, p=p): (lambda size: p**size * (1 - p) ** (n - 1 - size), 1),
        partial(readings.banzhaf_pairs, p=p): (lambda size: p**size * (1 - p) ** (n - 2 - size), 2),
    }
    for reading, (weight, count) in cases.items():
        sets = [(k,) for k in range(n)] if count == 1 else order
        matrix = np.array([brute_average(np.eye(2**n), n, kl, weight) for kl in sets])
        mean, variance, prior = joint(fitted, S, matrix)
        found = reading(fitted)
        np.testing.assert_allclose(found.mean, matrix @ fitted.predict(S), atol=1e-9)
        np.testing.assert_allclose(found.mean, mean, atol=1e-9)
        np.testing.assert_allclose(found.deviation, np.sqrt(variance), atol=1e-7)
        np.testing.assert_allclose(found.prior, np.sqrt(prior), atol=1e-7)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("features", ["raw", "sized"])
def test_very_many_nodes_and_tasks(features, same, rng, monkeypatch):
    """Blocks of pairs of nodes change nothing; without intervals the means are the same."""
    X, y = runs(12, 40, rng)
    fitted = by_hand(scales(12, features, rng, same), X, y)
    whole = [reading(fitted) for reading in (readings.shapley, readings.shapley_pairs)]
    monkeypatch.setattr(nodes, "BLOCK", 500)
    for reading, found in zip((readings.shapley, readings.shapley_pairs), whole, strict=True):
        again, means = reading(fitted), reading(fitted, intervals=False)
        np.testing.assert_allclose(again.deviation, found.deviation, rtol=1e-7)
        np.testing.assert_allclose(again.prior, found.prior, rtol=1e-9)
        np.testing.assert_allclose(means.mean, found.mean, atol=1e-11)
    total = fitted.predict(np.ones((1, 12))) - fitted.predict(np.zeros((1, 12)))
    np.testing.assert_allclose(whole[0].mean.sum(axis=0), total[0], atol=1e-9)


@pytest.mark.parametrize("features", ["raw", "sized"])
def test_covariances_of_all_masks(features, rng):
    kernel, S = scales(6, features, rng), every_mask(6)
    C = rng.normal(size=(4, 64))
    np.testing.assert_allclose(enumeration._own(kernel, S, C), np.diag(C @ kernel.matrix(S, S) @ C.T))


def test_log_link_comes_back_by_lognormal_moments(rng):
    X, y = runs(5, 40, rng)
    y = np.exp(0.3 * (y - y.mean(axis=0)))
    fitted = KernelSurrogate(gamma=0.2, alpha=0.1, links=("log",)).fit(X, y)
    full, without = np.ones((1, 5)), np.ones((1, 5))
    without[0, 2] = 0
    found = readings.leave_one_out(fitted)
    np.testing.assert_allclose(found.mean[2], (fitted.predict(full) - fitted.predict(without))[0], rtol=1e-10)
    fit = fitted.fits_[0]
    P = np.vstack([full, without])
    rows = fit.kernel.matrix(P, X)
    post = fit.posterior
    cov = np.array(
        [
            [post.covariance(rows[[i]], rows[[j]], fit.kernel.paired(P[[i]], P[[j]]), 1.0, 1.0)[0] for j in range(2)]
            for i in range(2)
        ]
    )
    for t in range(2):
        draws = rng.multivariate_normal(post.mean(rows, 1.0)[:, t], cov * post.amplitude[t], size=400_000)
        difference = np.exp(draws[:, 0]) - np.exp(draws[:, 1])
        np.testing.assert_allclose(found.mean[2, t], difference.mean(), atol=5 * difference.std() / 600)
        np.testing.assert_allclose(found.deviation[2, t], difference.std(), rtol=0.02)


@pytest.mark.parametrize("name", ["shapley", "banzhaf"])
def test_semivalues_under_a_log_link_are_those_of_the_prediction(name, rng):
    X, y = runs(5, 40, rng)
    y = np.exp(0.3 * (y - y.mean(axis=0)))
    fitted = KernelSurrogate(gamma=0.2, alpha=0.01, linear=0.1, links=("log",)).fit(X, y)
    F = fitted.predict(every_mask(5))
    asked = readings.question(X, "mask", name)
    weight = [lambda n: shapley_weight(5, 1)(n) if name == "shapley" else 0.5**4]
    weight.append(lambda n: shapley_weight(5, 2)(n) if name == "shapley" else 0.5**3)
    single = [brute_average(F, 5, (k,), weight[0]) for k in range(5)]
    pair = [brute_average(F, 5, kl, weight[1]) for kl in combinations(range(5), 2)]
    found = asked.effects(fitted)
    assert asked.own_unit(fitted)
    np.testing.assert_allclose(found.mean, single, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(asked.pairs(fitted).mean, pair, rtol=1e-9, atol=1e-12)
    # the deviation, against draws of the whole table
    fit, S = fitted.fits_[0], every_mask(5)
    rows = fit.kernel.matrix(S, X)
    post = fit.posterior
    level = np.ones(32)
    shared = post.constant_variance - rows @ post.constant
    cov = fit.kernel.matrix(S, S) - rows @ post.precision @ rows.T + shared[:, None] - (rows @ post.constant)[None]
    draws = np.exp(rng.multivariate_normal(post.mean(rows, level)[:, 0], cov * post.amplitude[0], size=20_000))
    drawn = np.array([brute_average(draws.T, 5, (k,), weight[0]) for k in range(5)])
    np.testing.assert_allclose(found.deviation[:, 0], drawn.std(axis=1), rtol=0.1)


def test_moves_of_a_mixture(rng):
    X = rng.dirichlet(np.ones(4), size=40)
    y = np.log(X + 0.01) @ rng.normal(size=(4, 2))
    fitted = KernelSurrogate(kernel="rbf", links=("identity",)).fit(X, y)
    assert fitted.kind_ == "mixture"
    assert fitted.features_ == "log"
    w, e = np.full(4, 0.25), np.eye(4)
    found = readings.move(fitted, w, 0.1)
    np.testing.assert_allclose(found.mean, fitted.predict(0.9 * w + 0.1 * e) - fitted.predict([w]), atol=1e-9)
    pair = readings.move_pairs(fitted, w, 0.1)
    both = fitted.predict(0.8 * w + 0.1 * (e[[0]] + e[[1]]))
    expected = both - fitted.predict(0.9 * w + 0.1 * e[:2]).sum(axis=0) + fitted.predict([w])
    np.testing.assert_allclose(pair.mean[[0]], expected, atol=1e-9)
    gone = readings.removal(fitted, w)
    np.testing.assert_allclose(gone.mean[0], (fitted.predict([w]) - fitted.predict([[0, 1 / 3, 1 / 3, 1 / 3]]))[0])
    with pytest.raises(ValueError, match="no full mask"):
        readings.leave_one_out(fitted)
    with pytest.raises(ValueError, match="sums to 2"):
        readings.move(fitted, np.full(4, 0.5))


def test_null_task_has_no_effect_and_duplicates_share(rng):
    X = every_mask(5)
    y = 1.0 - 0.8 * np.maximum(X[:, 0], X[:, 1])  # 0 and 1 are duplicates, 2, 3, 4 do nothing
    found = readings.shapley(KernelSurrogate(links=("identity",)).fit(X, y)).mean[:, 0]
    np.testing.assert_allclose(found[:2], -0.4, atol=0.02)
    np.testing.assert_allclose(found[2:], 0.0, atol=0.01)


def test_sizes_out_of_range_are_named():
    with pytest.raises(ValueError, match="size=0"):
        readings.swap(LinearSurrogate().fit(np.eye(4), np.arange(4.0)), 0)
    assert comb(4, 2) == len(readings.swap_pairs(LinearSurrogate().fit(np.eye(4), np.arange(4.0)), 2).mean)
