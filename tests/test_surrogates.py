"""Surrogates as scikit-learn estimators, and what they choose."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from interplay.surrogates.features import kind_of
from tests.helpers import SURROGATES, brute_average, every_mask, runs, shapley_weight

K, M = 6, 30
PLAIN = dict(links=("identity",))


@parametrize_with_checks([LinearSurrogate(), LinearSurrogate(alpha=0.0), LinearSurrogate(alpha=1.0), KernelSurrogate()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


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


def test_targets_together_equal_targets_alone(data):
    X, y = data
    for surrogate in (LinearSurrogate(), KernelSurrogate()):
        together = clone(surrogate).fit(X, np.exp(y / 5))
        for t in range(3):
            alone = clone(surrogate).fit(X, np.exp(y[:, t] / 5))
            mean, deviation = alone.predict(1 - X, return_std=True)
            expected = together.predict(1 - X, return_std=True)
            assert_allclose(mean, expected[0][:, t], atol=1e-10)
            assert_allclose(deviation, expected[1][:, t], atol=1e-10)
            assert_allclose(alone.cv_.deviation[:, 0], together.cv_.deviation[:, t], atol=1e-10)


def test_seeds_of_one_mask_are_held_out_together(rng):
    """Noise that a mask's seeds share must not look like signal."""
    X = np.repeat((rng.random((20, 8)) < 0.5).astype(float), 3, axis=0)
    y = np.repeat(rng.normal(size=20), 3) + 0.01 * rng.normal(size=60)
    grouped = KernelSurrogate(**PLAIN).fit(X, y)
    by_row = KernelSurrogate(**PLAIN).fit(X, y, groups=np.arange(60))
    assert by_row.cv_.error[0] < 0.1 * y.var() < 0.7 * y.var() < grouped.cv_.error[0]


# ---------------------------------------------------------------- links and units


def test_log_link_is_taken_where_the_target_is_multiplicative(rng):
    X = (rng.random((80, K)) < 0.5).astype(float)
    additive = 5 + X @ rng.normal(size=K)
    w = 1.5 * rng.normal(size=K)
    multiplicative = np.exp(1 + X @ w)
    y = np.column_stack([additive, multiplicative]) * (1 + 0.01 * rng.normal(size=(80, 2)))
    for surrogate in (LinearSurrogate(links=("identity", "log")), KernelSurrogate()):
        fitted = surrogate.fit(X, y)
        links = {int(t): fit.link for fit in fitted.fits_ for t in fit.targets}
        assert links == {0: "identity", 1: "log"}
        new = every_mask(K)
        error = np.abs(fitted.predict(new)[:, 1] - np.exp(1 + new @ w))
        assert error.mean() < 0.05 * multiplicative.mean()  # in the target's own unit


def test_log_link_predicts_lognormal_means(data):
    X, y = data
    y = np.exp(y / 5)
    fitted = KernelSurrogate(0.2, 0.1, 0.0, links=("log",)).fit(X, y)
    plain = KernelSurrogate(0.2, 0.1, 0.0, **PLAIN).fit(X, np.log(y))
    z, s = plain.predict(1 - X, return_std=True)
    mean, deviation = fitted.predict(1 - X, return_std=True)
    assert_allclose(mean, np.exp(z + s**2 / 2), rtol=1e-9)
    assert_allclose(deviation, mean * np.sqrt(np.expm1(s**2)), rtol=1e-9)


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_units_scale_and_shift(data, name, unit):
    X, y = data
    one = clone(SURROGATES[name]).fit(X, y)
    other = clone(SURROGATES[name]).fit(X, unit * y)
    for a, b in zip(one.predict(1 - X, return_std=True), other.predict(1 - X, return_std=True), strict=True):
        assert_allclose(unit * a, b, rtol=1e-6, atol=1e-9 * unit)
    if one.constant:
        shifted = clone(SURROGATES[name]).fit(X, y + 7.0)
        assert_allclose(one.predict(1 - X) + 7.0, shifted.predict(1 - X), atol=1e-7)


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


# ---------------------------------------------------------------- kinds, shapes, edges


def test_kinds_are_recognised(rng):
    mixtures = rng.dirichlet(np.ones(4), 20)
    assert kind_of(every_mask(3)) == "mask"
    assert kind_of(mixtures) == kind_of(mixtures.round(3)) == "mixture"
    assert kind_of(2 * mixtures) == "weights"
    assert kind_of(mixtures - 0.5) == "coefficients"
    y = rng.normal(size=20)
    for surrogate in (LinearSurrogate(), KernelSurrogate()):
        fitted = surrogate.fit(mixtures, y)
        assert (fitted.kind_, fitted.features_) == ("mixture", "log")
        assert clone(surrogate).set_params(features="raw").fit(mixtures, y).features_ == "raw"


def test_shapes(data):
    X, y = data
    for surrogate in (LinearSurrogate(), LinearSurrogate(0.0), KernelSurrogate()):
        single = clone(surrogate).fit(X, y[:, 0])
        mean, deviation = single.predict(X[:4], return_std=True)
        assert mean.shape == deviation.shape == (4,)
        column = clone(surrogate).fit(X, y[:, :1])
        assert column.predict(X[:4]).shape == (4, 1)
        assert clone(surrogate).fit(X, y).predict(X[:4]).shape == (4, 3)
        if isinstance(surrogate, LinearSurrogate):
            assert single.coef_.shape == (K,)
            assert isinstance(single.intercept_, float)
            assert column.coef_.shape == (1, K)


@pytest.mark.parametrize("surrogate", [LinearSurrogate(), LinearSurrogate(0.0), KernelSurrogate()])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, -2.0])
def test_a_constant_target_has_no_effects(data, surrogate, value):
    X, y = data
    y = np.column_stack([np.full(M, value), y[:, 0]])
    fitted = clone(surrogate).fit(X, y)
    mean, deviation = fitted.predict(every_mask(K), return_std=True)
    assert_allclose(mean[:, 0], value, atol=1e-9)
    assert_allclose(deviation[:, 0], 0.0, atol=1e-7)
    assert_allclose(readings.shapley(fitted).mean[:, 0], 0.0, atol=1e-9)
    assert_allclose(mean[:, 1], clone(surrogate).fit(X, y[:, 1]).predict(every_mask(K)), atol=1e-9)


@pytest.mark.parametrize("surrogate", [LinearSurrogate(), LinearSurrogate(0.0), KernelSurrogate()])
def test_odd_designs_are_fitted(rng, surrogate):
    y = rng.normal(size=12)
    always_on = np.column_stack([np.ones(12), rng.random((12, 3)) < 0.5]).astype(float)
    same_mask = np.ones((12, 3))
    one_task = (np.arange(12) % 2)[:, None].astype(float)
    for X in (always_on, same_mask, one_task):
        assert np.isfinite(clone(surrogate).fit(X, y).predict(X, return_std=True)).all()
    two = clone(surrogate).fit(one_task[:2], y[:2])
    assert np.isfinite(two.predict(one_task, return_std=True)).all()


def test_a_single_group_is_held_out_row_by_row(rng):
    y = rng.normal(size=5)
    fitted = LinearSurrogate(1.0).fit(np.ones((5, 2)), y)
    assert_allclose(fitted.cv_.mean[:, 0], (y.sum() - y) / 4)


@pytest.mark.parametrize("surrogate", [LinearSurrogate(0.0), KernelSurrogate(0.2, 1e-8, 0.0, **PLAIN)])
def test_hardly_any_noise(rng, surrogate):
    """Also where runs repeat a mask or are fewer than the tasks."""
    X = (rng.random((10, 12)) < 0.5).astype(float)
    y = rng.normal(size=10)
    for design in (X, np.vstack([X, X])):
        values = np.resize(y, len(design))
        fitted = clone(surrogate).fit(design, values)
        assert_allclose(fitted.predict(design), values, atol=1e-5)
        assert np.isfinite(fitted.predict(1 - X, return_std=True)).all()
        assert np.isfinite(fitted.cv_.error).all()


ERRORS = {
    "text for alpha": (lambda: KernelSurrogate(alpha="auto"), "alpha='auto'"),
    "no noise": (lambda: KernelSurrogate(alpha=0.0), r"alpha=0\.0.*> 0"),
    "least squares in a grid": (lambda: LinearSurrogate(alpha=[0.0, 1.0]), "stands alone"),
    "negative alpha": (lambda: LinearSurrogate(alpha=-1.0), "alpha=-1.0"),
    "no gamma": (lambda: KernelSurrogate(gamma=[]), r"gamma=\[\]"),
    "share above one": (lambda: KernelSurrogate(linear=2.0), "linear=2.0"),
    "unknown link": (lambda: KernelSurrogate(links=("sqrt",)), "sqrt.*identity"),
    "link as text": (lambda: KernelSurrogate(links="log"), "links='log'"),
    "no link": (lambda: KernelSurrogate(links=()), r"links=\(\)"),
    "unknown features": (lambda: LinearSurrogate(features="cubic"), "features='cubic'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_argument_and_value(data, name):
    make, match = ERRORS[name]
    with pytest.raises(ValueError, match=match):
        make().fit(*data)


def test_values_that_no_link_takes_are_named(data):
    X, y = data
    y = y - y[:, [1]].min() - 1
    for surrogate in (KernelSurrogate(links=("log",)), LinearSurrogate(0.0, links=("log",))):
        with pytest.raises(ValueError, match=r"target 1 .*identity"):
            surrogate.fit(X, np.column_stack([np.exp(y[:, 0]), y[:, 1]]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_are_an_error(data, bad):
    X, y = data
    y = y.copy()
    y[3, 1] = bad
    for surrogate in (LinearSurrogate(), KernelSurrogate()):
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            surrogate.fit(X, y)
        with pytest.raises(ValueError, match="groups"):
            surrogate.fit(X, data[1], groups=np.arange(M - 1))
        with pytest.raises(ValueError, match="features"):
            surrogate.fit(X, data[1]).predict(np.ones((1, K + 1)))


def test_scikit_learn_can_search_and_cross_validate(data):
    X, y = data
    held_out = cross_val_predict(KernelSurrogate(), X, y, cv=KFold(5))
    assert held_out.shape == y.shape
    search = GridSearchCV(LinearSurrogate(), {"alpha": [0.1, 10.0]}).fit(X, y)
    assert search.best_params_["alpha"] == 0.1


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
