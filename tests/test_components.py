"""Targets that share strength: fits to principal components of the targets, and what is read of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from interplay import readings
from interplay.surrogates import KernelSurrogate
from interplay.surrogates.links import Link
from interplay.surrogates.members import Member
from interplay.surrogates.recipes import Components, ard, rbf
from interplay.surrogates.rows import Rows
from tests.helpers import brute_average, every_mask, runs, shapley_weight

K, M, T, RANK = 5, 30, 7, 3
PLAIN = dict(links=("identity",))


@pytest.fixture
def data(rng):
    """Seven targets that are mixtures of three games, with values of their own size and level."""
    X, games = runs(K, M, rng, T=RANK)
    return X, games @ rng.normal(size=(RANK, T)) * 10.0 ** np.arange(-3, 4) + rng.normal(size=T)


def fit(X, Y, recipe="rbf", most=30, **more) -> Member:
    inner = {"rbf": rbf, "ard": ard}[recipe]("raw")
    return Components("components", inner, most).fit(X, Y, Rows.of(X, **more), Link.identity(Y.shape[1]))


def surrogate_of(X, Y, member, **more):
    """A surrogate with one given member."""
    out = KernelSurrogate(0.2, 0.1, 0.0, **(PLAIN | more)).fit(X, Y)
    out.members_ = [member]
    return out


def loadings_of(member):
    """Loadings of all components, one row each, in the order of the components of the fits."""
    return np.vstack([fit.loadings for fit in member.fits])


@pytest.mark.parametrize("recipe", ["rbf", "ard"])
def test_targets_of_low_rank_are_put_together_again(data, recipe):
    X, Y = data
    member = fit(X, Y, recipe)
    assert len(loadings_of(member)) == RANK
    # what is left beside the components is nothing, and loadings span the targets around their centre
    assert_allclose(member.remainder / Y.var(axis=0), 0.0, atol=1e-9)
    centred, scale = Y - Y.mean(axis=0), Y.std(axis=0)
    L = loadings_of(member)
    assert_allclose(centred / scale @ np.linalg.pinv(L / scale) @ L / scale, centred / scale, atol=1e-8)
    # so relations that hold between targets in the runs hold in every prediction
    mean = member.at(every_mask(K), X, 1.0, T)[0]
    a = np.linalg.lstsq(np.column_stack([np.ones(M), Y[:, :RANK]]), Y[:, RANK], rcond=None)[0]
    predicted = np.column_stack([np.ones(2**K), mean[:, :RANK]]) @ a
    assert_allclose(mean[:, RANK], predicted, atol=1e-6 * np.ptp(Y[:, RANK]))


def test_variances_add_up(data):
    """Components hold some of a target's variance in the runs, and what is beyond them counts as noise."""
    X, Y = data
    for most in (1, 2):
        member = fit(X, Y, most=most)
        assert len(loadings_of(member)) == most
        share = np.linalg.svd((Y - Y.mean(axis=0)) / Y.std(axis=0))[1] ** 2 / (M * T)
        assert_allclose((member.remainder / Y.var(axis=0)).mean(), share[most:].sum(), rtol=1e-9)
        assert (member.noise(T) >= member.remainder).all()


def test_rows_and_levels_reach_the_components(data):
    X, Y = data
    seeds = np.arange(M) % 2
    one = fit(X, Y, seeds=seeds)
    assert all(f.posterior.constant_variance > 0 for f in one.fits)
    shifted = fit(X, Y + 1e3 * seeds[:, None] * Y.std(axis=0), seeds=seeds)
    mean, other = (member.at(1 - X, X, 1.0, T)[0] for member in (one, shifted))
    assert_allclose((other - mean) / Y.std(axis=0), 500.0, atol=1e-3)


READINGS = {
    "shapley": readings.shapley,
    "shapley pairs": readings.shapley_pairs,
    "banzhaf without intervals": lambda s: readings.banzhaf(s, intervals=False),
    "leave-one-out": readings.leave_one_out,
    "leave-one-out pairs": readings.leave_one_out_pairs,
    "swap": lambda s: readings.swap(s, 2),
    "gradient": readings.gradient,
}


@pytest.mark.parametrize("name", READINGS)
def test_readings_are_those_of_the_components(data, name):
    """The same linear combination of them; variances with squared shares, since components are independent."""
    X, Y = data
    member = fit(X, Y)
    found = READINGS[name](surrogate_of(X, Y, member))
    mean, variance, prior = 0.0, 0.0, 0.0
    for each in member.fits:
        alone = surrogate_of(X, np.zeros((M, len(each.loadings))), Member("alone", (_own(each),)))
        read = READINGS[name](alone)
        mean = mean + read.mean @ each.loadings
        variance = variance + read.deviation**2 @ each.loadings**2
        prior = prior + read.prior**2 @ each.loadings**2
    scale = Y.std(axis=0)
    assert_allclose(found.mean / scale, mean / scale, atol=1e-9)
    assert_allclose(found.deviation / scale, np.sqrt(variance) / scale, atol=1e-7)
    assert_allclose(found.prior / scale, np.sqrt(prior) / scale, atol=1e-7)


def _own(fit):
    """A fit of components as a fit of targets: component c is target c."""
    return type(fit)(fit.kernel, fit.noise, np.arange(len(fit.loadings)), fit.posterior)


def test_predictions_and_their_deviations(data):
    X, Y = data
    member = fit(X, Y, most=2)
    fitted = surrogate_of(X, Y, member)
    mean, deviation = fitted.predict(1 - X, return_std=True)
    expected, variance = np.tile(Y.mean(axis=0), (M, 1)), np.zeros((M, T))
    for each in member.fits:
        k = each.kernel.matrix(1 - X, X)
        expected += each.posterior.mean(k, 1.0) @ each.loadings
        own = np.maximum(each.posterior.variance(k, each.kernel.paired(1 - X, 1 - X), 1.0), 0.0)
        variance += np.multiply.outer(own, each.posterior.amplitude) @ each.loadings**2
    assert_allclose(mean, expected, rtol=1e-9)
    assert_allclose(deviation, np.sqrt(variance), rtol=1e-7)
    noisy = fitted.predict(1 - X, return_std=True, noise=True)[1]
    added = sum(each.noise * each.posterior.amplitude @ each.loadings**2 for each in member.fits)
    assert_allclose(noisy**2 - deviation**2, np.tile(added + member.remainder, (M, 1)), rtol=1e-6)


def draws_of(member, X, points, rng, n):
    """Draws (n, points, T) of g in the units of the links, component by component."""
    out = np.zeros((n, len(points), T)) + member.centre
    for each in member.fits:
        k, post = each.kernel.matrix(points, X), each.posterior
        shared = post.constant_variance - (k @ post.constant)[:, None] - (k @ post.constant)[None]
        covariance = each.kernel.matrix(points, points) - k @ post.precision @ k.T + shared
        for c, amplitude in enumerate(post.amplitude):
            z = rng.multivariate_normal(post.mean(k, 1.0)[:, c], covariance * amplitude, size=n, method="eigh")
            out += z[:, :, None] * each.loadings[c]
    return out


@pytest.mark.parametrize("up", [False, True])
def test_readings_under_a_bound_are_those_of_draws(rng, up):
    """Targets' own units: components are drawn, put together, and brought back through each target's link."""
    X, games = runs(K, M, rng, T=2)
    Z = 0.2 * (games - games.mean(axis=0)) @ rng.normal(size=(2, T))
    link = Link(np.full(T, -1.0 if up else 1.0), np.full(T, 4.0 if up else 1.0), np.full(T, np.inf))
    Y = link.backward(Z, np.zeros_like(Z))
    member = Components("components", rbf("raw")).fit(X, Y, Rows.of(X), link)
    fitted = surrogate_of(X, Y, member, links=("floor",), higher_is_better=up)
    fitted.link_ = link
    z = draws_of(member, X, every_mask(K), rng, 20_000)
    F = link.bound + link.sign * np.exp(z)
    assert_allclose(fitted.predict(every_mask(K)), F.mean(axis=0), atol=0.02)
    full, without = 2**K - 1, 2**K - 1 - 4
    drawn = F[:, full] - F[:, without]
    found = readings.leave_one_out(fitted)
    spread = drawn.std(axis=0)
    assert_allclose(found.mean[2], drawn.mean(axis=0), atol=5 * spread.max() / np.sqrt(len(z)))
    assert_allclose(found.deviation[2], spread, rtol=0.05)
    asked = readings.question(X, "mask", "shapley").effects(fitted)
    weight = shapley_weight(K, 1)
    drawn = np.array([brute_average(F[:, :, t].T, K, (0,), weight) for t in range(T)])
    assert_allclose(asked.mean[0], drawn.mean(axis=1), atol=5 * drawn.std() / np.sqrt(len(z)))
    assert_allclose(asked.deviation[0], drawn.std(axis=1), rtol=0.1)  # to first order


def test_many_targets_take_components_and_keep_their_relations(rng):
    """Above fifty targets length scales are found for components; sums of targets are predicted as sums."""
    X, games = runs(K, M, rng, T=2)
    Y = games @ rng.normal(size=(2, 60)) + 0.01 * rng.normal(size=(M, 60))
    Y[:, -1] = Y[:, :-1].sum(axis=1)
    fitted = KernelSurrogate(kernel="ard", **PLAIN).fit(X, Y)
    mean = fitted.predict(1 - X)
    assert_allclose(mean[:, -1], mean[:, :-1].sum(axis=1), rtol=0.02, atol=0.02 * Y[:, -1].std())
    assert fitted.weights_.shape == (1, 60)
