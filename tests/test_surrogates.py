"""Surrogates against scikit-learn, refitting and shapiq: the same numbers, and what they choose."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from tests.helpers import SURROGATES, brute_average, every_mask, runs, shapley_weight

K, M = 6, 30
PLAIN = dict(links=("identity",))
ALL = [LinearSurrogate(), LinearSurrogate(0.0), KernelSurrogate(kernel="rbf"), KernelSurrogate()]


@pytest.fixture
def data(rng):
    return runs(K, M, rng, T=3)


# ---------------------------------------------------------------- the same numbers as scikit-learn


@pytest.mark.parametrize("alpha", [0.0, 0.3, 20.0])
@pytest.mark.parametrize("constant", [True, False])
def test_linear_equals_least_squares_and_ridge(data, alpha, constant):
    X, y = data
    theirs = Ridge(alpha, fit_intercept=constant) if alpha else LinearRegression(fit_intercept=constant)
    theirs.fit(X, y)
    ours = LinearSurrogate(alpha, constant=constant).fit(X, y)
    assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-8)
    assert_allclose(ours.predict(1 - X), theirs.predict(1 - X), atol=1e-8)


def test_ridge_chosen_as_ridgecv_does(data):
    X, y = data
    X = np.unique(X, axis=0)  # every mask once: its group is the row
    y = y[: len(X)]
    alphas = np.logspace(-3, 3, 13)
    ours = LinearSurrogate(alphas).fit(X, y)
    for t in range(y.shape[1]):
        theirs = RidgeCV(alphas).fit(X, y[:, t])
        (fit,) = (fit for fit in ours.fits_ if t in fit.targets)
        assert_allclose(fit.noise, theirs.alpha_)
        assert_allclose(ours.coef_[t], theirs.coef_, atol=1e-8)
        assert_allclose(ours.cv_.error[t], -theirs.best_score_, rtol=1e-8)


@pytest.mark.parametrize("linear", [0.0, 0.4])
def test_kernel_equals_kernel_ridge_with_a_constant(data, linear):
    X, y = data
    ours = KernelSurrogate(gamma=0.3, alpha=0.1, linear=linear, **PLAIN).fit(X, y)
    k = lambda A, B: np.exp(-0.3 * ((A[:, None] - B) ** 2).sum(-1)) + linear * A @ B.T
    A = k(X, X) + 0.1 * np.eye(M)
    b = np.linalg.solve(A, y).sum(0) / np.linalg.inv(A).sum()
    theirs = KernelRidge(alpha=0.1, kernel="precomputed").fit(k(X, X), y - b)
    assert_allclose(ours.predict(1 - X), b + theirs.predict(k(1 - X, X)), atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 1e-1])
def test_published_is_kernel_ridge_written_out(data, alpha):
    X, y = data
    k = lambda A, B: np.exp(-((A[:, None] - B) ** 2).sum(-1) / K)
    dual = np.linalg.solve(k(X, X) + (alpha + 1e-8) * np.eye(M), y)
    ours = KernelSurrogate.published(alpha).fit(X, y)
    assert_allclose(ours.predict(1 - X), k(1 - X, X) @ dual, atol=1e-8)
    full = k(np.ones((1, K)), X) @ dual
    assert_allclose(readings.leave_one_out(ours).mean, full - k(1 - np.eye(K), X) @ dual, atol=1e-8)
    theirs = KernelRidge(alpha=alpha + 1e-8, kernel="rbf", gamma=1 / K).fit(X, y)
    assert_allclose(ours.predict(1 - X), theirs.predict(1 - X), atol=1e-8)


def test_published_linear_is_least_squares_of_minimum_norm(data):
    X, y = data
    for rows in (slice(None), slice(4)):
        w = np.linalg.pinv(X[rows]) @ y[rows]
        assert_allclose(LinearSurrogate.published().fit(X[rows], y[rows]).coef_, w.T, atol=1e-8)


# ---------------------------------------------------------------- held-out predictions


def _refit(surrogate, labels):
    """The same surrogate with its hyper-parameters fixed, refitted without every group."""

    def predict(X, y):
        out = np.empty_like(y)
        for label in np.unique(labels):
            rows = labels == label
            out[rows] = clone(surrogate).fit(X[~rows], y[~rows]).predict(X[rows])
        return out

    return predict


@pytest.mark.parametrize("name", ["least squares", "ridge", "published linear", "rbf", "rbf + linear", "published"])
@pytest.mark.parametrize("by", ["seeds", "folds"])
def test_cv_equals_refitting(rng, name, by):
    X, y = runs(K, 18, rng)
    X, y = np.repeat(X, 2, axis=0), np.repeat(y, 2, axis=0) + 0.1 * rng.normal(size=(36, 2))
    surrogate = SURROGATES[name]
    folds = rng.permutation(np.arange(36) % 5)
    fitted = clone(surrogate).fit(X, y, groups=None if by == "seeds" else folds)
    labels = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1) if by == "seeds" else folds
    expected = _refit(surrogate, labels)(X, y)
    assert_allclose(fitted.cv_.mean, expected, atol=1e-8)
    assert_allclose(fitted.cv_.error, ((expected - y) ** 2).mean(axis=0), rtol=1e-8)
    assert len(np.unique(fitted.cv_.groups)) == len(np.unique(labels))


def test_choice_is_the_grid_search_over_kernel_ridge(rng):
    """Same folds, same grid, y centred by the flat constant instead of the fold's mean: nearly the same choice."""
    X, y = runs(8, 60, rng, T=1)
    gammas, alphas = [0.05, 0.2, 0.8], [0.01, 0.1, 1.0]
    folds = np.arange(60) % 5
    ours = KernelSurrogate(gammas, alphas, 0.0, **PLAIN).fit(X, y[:, 0], groups=folds)
    search = GridSearchCV(
        KernelRidge(kernel="rbf"),
        {"gamma": gammas, "alpha": alphas},
        cv=GroupKFold(5),
        scoring="neg_mean_squared_error",
    ).fit(X, y[:, 0] - y[:, 0].mean(), groups=folds)
    assert ours.cv_.error[0] < -1.05 * search.best_score_
    scores = {
        (g, a): KernelSurrogate(g, a, 0.0, **PLAIN).fit(X, y[:, 0], groups=folds).cv_.error[0]
        for g in gammas
        for a in alphas
    }
    best = min(scores, key=scores.__getitem__)
    assert (ours.fits_[0].kernel.gamma[0], ours.fits_[0].noise) == pytest.approx(best)


@pytest.mark.parametrize("surrogate", ALL[:3])
def test_targets_together_equal_targets_alone(data, surrogate):
    """Where nothing is shared: length scales and components are, see test_relevance and test_components."""
    X, y = data
    together = clone(surrogate).fit(X, np.exp(y / 5))
    for t in range(3):
        alone = clone(surrogate).fit(X, np.exp(y[:, t] / 5))
        mean, deviation = alone.predict(1 - X, return_std=True)
        expected = together.predict(1 - X, return_std=True)
        assert_allclose(mean, expected[0][:, t], atol=1e-10)
        assert_allclose(deviation, expected[1][:, t], atol=1e-10)
        assert_allclose(alone.cv_.deviation[:, 0], together.cv_.deviation[:, t], atol=1e-10)


def test_among_noise_levels_that_predict_equally_well_the_most_likely_is_taken(rng):
    """Equally well: within the standard error of the paired difference to the best, which is always among them."""
    X, y = runs(8, 50, rng, T=20)
    levels = np.logspace(-4, 2, 13)
    fitted = KernelSurrogate(0.1, levels, 0.2, **PLAIN).fit(X, y)
    each = [KernelSurrogate(0.1, level, 0.2, **PLAIN).fit(X, y) for level in levels]
    squared = np.array([(one.cv_.mean - y) ** 2 for one in each])
    likelihood = np.array([_likelihood(one.fits_[0], X, y) for one in each])
    taken = {int(t): fit.noise for fit in fitted.fits_ for t in fit.targets}
    for t in range(20):
        best = squared[:, :, t].mean(axis=1).argmin()
        worse = squared[:, :, t] - squared[best, :, t]
        equal = worse.mean(axis=1) <= worse.std(axis=1) / np.sqrt(50) + 1e-12
        assert taken[t] == levels[np.where(equal, likelihood[:, t], -np.inf).argmax()]


def _likelihood(fit, X, y):
    """Restricted likelihood of every target, dense, amplitude profiled out."""
    A = fit.kernel.matrix(X, X) + fit.noise * np.eye(len(X))
    one, inverse = np.ones(len(X)), np.linalg.inv(A)
    Q = inverse - np.outer(inverse @ one, inverse @ one) / (one @ inverse @ one)
    log_det = np.linalg.slogdet(A)[1] + np.log(one @ inverse @ one)
    return -0.5 * (log_det + (len(X) - 1) * np.log(np.einsum("mt,mn,nt->t", y, Q, y)))


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
@pytest.mark.parametrize("shift", [0.0, 7.0, -1e3])
def test_rounding_does_not_choose(rng, unit, shift):
    """Hyper-parameters of many targets are the same in any unit."""
    X, y = runs(6, 45, rng, T=25)
    one, other = (KernelSurrogate(kernel="rbf", **PLAIN).fit(X, values) for values in (y, unit * (y + shift)))
    chosen = lambda s: {
        (int(t), fit.noise, fit.kernel.gamma[0], fit.kernel.linear) for fit in s.fits_ for t in fit.targets
    }
    assert chosen(one) == chosen(other)


def test_seeds_of_one_mask_are_held_out_together(rng):
    """Noise that a mask's seeds share must not look like signal."""
    X = np.repeat((rng.random((20, 8)) < 0.5).astype(float), 3, axis=0)
    y = np.repeat(rng.normal(size=20), 3) + 0.01 * rng.normal(size=60)
    grouped = KernelSurrogate(kernel="rbf", **PLAIN).fit(X, y)
    by_row = KernelSurrogate(kernel="rbf", **PLAIN).fit(X, y, groups=np.arange(60))
    assert by_row.cv_.error[0] < 0.1 * y.var() < 0.7 * y.var() < grouped.cv_.error[0]


# ---------------------------------------------------------------- units and deviations


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_units_scale_and_shift(data, name, unit):
    X, y = data
    tolerance = 1e-4 if name in ("ard", "stack") else 1e-6  # an ascent ends where it is flat
    one = clone(SURROGATES[name]).fit(X, y)
    other = clone(SURROGATES[name]).fit(X, unit * y)
    for a, b in zip(one.predict(1 - X, return_std=True), other.predict(1 - X, return_std=True), strict=True):
        assert_allclose(unit * a, b, rtol=tolerance, atol=1e-3 * tolerance * unit)
    if one.constant:
        shifted = clone(SURROGATES[name]).fit(X, y + 7.0)
        assert_allclose(one.predict(1 - X) + 7.0, shifted.predict(1 - X), atol=0.1 * tolerance)


def test_deviation_covers_what_was_not_seen(rng):
    """Values drawn from the prior: about 95 of 100 unseen means within two deviations."""
    X, new = (rng.random((40, 8)) < 0.5).astype(float), (rng.random((200, 8)) < 0.5).astype(float)
    both = np.vstack([X, new])
    k = np.exp(-0.1 * ((both[:, None] - both) ** 2).sum(-1))
    y = np.linalg.cholesky(k + 1e-10 * np.eye(240)) @ rng.normal(size=(240, 40))
    measured = y[:40] + 0.1 * rng.normal(size=(40, 40))
    fitted = KernelSurrogate(0.1, 0.01, 0.0, **PLAIN).fit(X, measured)
    mean, deviation = fitted.predict(new, return_std=True)
    assert 0.93 < (np.abs(mean - y[40:]) < 1.96 * deviation).mean() < 0.97
    # held-out deviations hold the noise of one more measurement
    z = (fitted.cv_.mean - measured) / fitted.cv_.deviation
    assert 0.9 < z.std() < 1.1


# ---------------------------------------------------------------- another program as the oracle


@pytest.mark.parametrize("name", SURROGATES)
def test_shapiq_agrees(rng, name):
    shapiq = pytest.importorskip("shapiq")
    X, y = runs(K, M, rng, T=1)
    fitted = clone(SURROGATES[name]).fit(X, y[:, 0])
    computer = shapiq.ExactComputer(lambda S: fitted.predict(S.astype(float)), K)
    for index, order, reading in (
        ("SV", 1, readings.shapley),
        ("BV", 1, readings.banzhaf),
        ("SII", 2, readings.shapley_pairs),
        ("BII", 2, readings.banzhaf_pairs),
    ):
        theirs = computer(index=index, order=order)
        players = [(k,) for k in range(K)] if order == 1 else list(combinations(range(K), 2))
        expected = [theirs[p] for p in players]
        assert_allclose(reading(fitted).mean[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("name", ["ridge", "rbf", "rbf + linear"])
def test_twelve_tasks_by_brute_force(rng, name):
    X, y = runs(12, 40, rng, T=1)
    fitted = clone(SURROGATES[name]).fit(X, y)
    g = fitted.predict(every_mask(12))
    found = [brute_average(g, 12, (k,), shapley_weight(12, 1)) for k in (0, 5, 11)]
    assert_allclose(readings.shapley(fitted).mean[[0, 5, 11]], found, atol=1e-9)
    order = list(combinations(range(12), 2))
    for pair in ((0, 1), (3, 9)):
        expected = brute_average(g, 12, pair, shapley_weight(12, 2))
        assert_allclose(readings.shapley_pairs(fitted).mean[order.index(pair)], expected, atol=1e-9)


def test_more_runs_narrow_the_intervals(rng):
    X, y = runs(K, 120, rng, T=1)
    widths = [
        readings.leave_one_out(KernelSurrogate(0.1, 0.05, 0.2, **PLAIN).fit(X[:m], y[:m])).deviation.mean()
        / y[:m].std()
        for m in (20, 60, 120)
    ]
    assert all(a > b for a, b in pairwise(widths))
