"""Surrogates as scikit-learn estimators: the contract, kinds of columns, shapes, edges and errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from interplay.surrogates.features import kind_of
from tests.helpers import every_mask, runs

K, M = 6, 30
PLAIN = dict(links=("identity",))
ALL = [LinearSurrogate(), LinearSurrogate(0.0), KernelSurrogate(kernel="rbf"), KernelSurrogate()]


@parametrize_with_checks(
    [
        LinearSurrogate(),
        LinearSurrogate(alpha=0.0),
        LinearSurrogate(alpha=1.0),
        KernelSurrogate(kernel="rbf"),
        KernelSurrogate(),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def data(rng):
    return runs(K, M, rng, T=3)


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
    for surrogate in ALL:
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


@pytest.mark.parametrize("surrogate", ALL)
@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, -2.0])
def test_a_constant_target_has_no_effects(data, surrogate, value):
    X, y = data
    fitted = clone(surrogate).fit(X, np.column_stack([np.full(M, value), y]))
    mean, deviation = fitted.predict(every_mask(K), return_std=True)
    assert_allclose(mean[:, 0], value, atol=1e-9)
    assert_allclose(deviation[:, 0], 0.0, atol=1e-7)
    assert_allclose(readings.shapley(fitted).mean[:, 0], 0.0, atol=1e-9)
    without = clone(surrogate).fit(X, y).predict(every_mask(K))
    assert_allclose(mean[:, 1:], without, atol=1e-4 if surrogate is ALL[-1] else 1e-9)


@pytest.mark.parametrize("surrogate", ALL)
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
    "unknown kernel": (lambda: KernelSurrogate(kernel="cubic"), "kernel='cubic'.*'auto', 'rbf', 'ard'"),
    "unknown features": (lambda: LinearSurrogate(features="cubic"), "features='cubic'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_argument_and_value(data, name):
    make, match = ERRORS[name]
    with pytest.raises(ValueError, match=match):
        make().fit(*data)


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
    held_out = cross_val_predict(KernelSurrogate(kernel="rbf"), X, y, cv=KFold(5))
    assert held_out.shape == y.shape
    search = GridSearchCV(LinearSurrogate(), {"alpha": [0.1, 10.0]}).fit(X, y)
    assert search.best_params_["alpha"] == 0.1
