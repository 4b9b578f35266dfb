"""The lasso: few effects among many tasks, with intervals from refits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import Lasso, LassoCV

from interplay import readings
from interplay.readings.spectrum import walsh_spectrum
from interplay.surrogates import LinearSurrogate
from interplay.surrogates.stacking import folds
from tests.helpers import every_mask

LASSO = dict(penalty="lasso")


@pytest.fixture
def sparse(rng):
    """Sixty runs of two hundred tasks, four of which have an effect."""
    X = (rng.random((60, 200)) < 0.5).astype(float)
    w = np.zeros(200)
    w[[3, 50, 120, 199]] = [2.0, -1.5, 1.0, -1.0]
    return X, 3.0 + X @ w + 0.2 * rng.normal(size=60), w


def test_coefficients_are_those_of_scikit_learn(rng):
    X = (rng.random((50, 8)) < 0.5).astype(float)
    Y = X @ rng.normal(size=(8, 2)) + 0.5 * rng.normal(size=(50, 2))
    ours = LinearSurrogate(**LASSO).fit(X, Y)
    fold = folds(np.unique(X, axis=0, return_inverse=True)[1].reshape(-1))
    splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
    held_out = np.empty_like(Y)
    for t in range(2):
        theirs = LassoCV(cv=splits).fit(X, Y[:, t])
        assert_allclose(ours.coef_[t], theirs.coef_, atol=1e-3)
        assert_allclose(ours.intercept_[t], theirs.intercept_, atol=1e-3)
        assert_allclose(ours.predict(1 - X)[:, t], theirs.predict(1 - X), atol=5e-3)
        for kept, left in splits:
            refitted = Lasso(theirs.alpha_).fit(X[kept], Y[kept, t])
            held_out[left, t] = refitted.predict(X[left])
    assert_allclose(ours.cv_.mean, held_out, atol=1e-2)
    assert_allclose(ours.cv_.error, ((ours.cv_.mean - Y) ** 2).mean(axis=0))


def test_few_effects_among_many_tasks_are_found(sparse):
    X, y, w = sparse
    fitted = LinearSurrogate(**LASSO).fit(X, y)
    found = np.argsort(-np.abs(fitted.coef_))[:4]
    assert set(found.tolist()) == {3, 50, 120, 199}
    assert (np.sign(fitted.coef_[found]) == np.sign(w[found])).all()
    assert np.count_nonzero(fitted.coef_) < 60
    new = (np.random.default_rng(9).random((300, 200)) < 0.5).astype(float)
    error = lambda surrogate: ((surrogate.predict(new) - 3.0 - new @ w) ** 2).mean()
    assert error(fitted) < 0.3 * error(LinearSurrogate().fit(X, y))


def test_readings_are_the_coefficients_and_their_deviations_those_of_refits(sparse):
    X, y, _ = sparse
    fitted = LinearSurrogate(**LASSO).fit(X, y)
    again = LinearSurrogate(**LASSO).fit(X, y)  # refits are drawn from a fixed seed
    for reading in (readings.leave_one_out, readings.shapley, readings.banzhaf, readings.gradient):
        found = reading(fitted)
        assert_allclose(found.mean[:, 0], fitted.coef_, atol=1e-9)
        assert_allclose(found.deviation, reading(again).deviation)
        assert (found.deviation[[3, 50, 120, 199], 0] > 0).all()
        assert np.isinf(found.prior).all()  # nothing is known before the runs
    assert_allclose(readings.shapley(fitted, intervals=False).mean[:, 0], fitted.coef_, atol=1e-9)
    assert_allclose(readings.shapley_pairs(fitted, intervals=False).mean, 0.0, atol=1e-12)


def test_deviations_are_about_those_of_new_draws(rng):
    """Few tasks and clear effects: the spread of coefficients over draws of the noise and the masks."""
    w, found, said = np.array([1.0, -1.0, 0.5, 0.0]), [], []
    for _ in range(25):
        X = (rng.random((60, 4)) < 0.5).astype(float)
        fitted = LinearSurrogate(**LASSO).fit(X, X @ w + 0.5 * rng.normal(size=60))
        found.append(fitted.coef_)
        said.append(readings.leave_one_out(fitted).deviation[:, 0])
    assert_allclose(np.mean(said, axis=0), np.std(found, axis=0), rtol=0.4)


def test_predictions_have_deviations(sparse):
    X, y, _ = sparse
    fitted = LinearSurrogate(**LASSO).fit(X, y)
    mean, deviation = fitted.predict(1 - X, return_std=True)
    assert_allclose(mean, fitted.intercept_ + (1 - X) @ fitted.coef_, atol=1e-9)
    noisy = fitted.predict(1 - X, return_std=True, noise=True)[1]
    assert (deviation > 0).all()
    assert (noisy > deviation).all()


def test_levels_of_seeds_do_not_matter(sparse):
    X, y, _ = sparse
    seeds = np.arange(60) % 2
    one = LinearSurrogate(**LASSO).fit(X, y, seeds=seeds)
    other = LinearSurrogate(**LASSO).fit(X, y + 100.0 * seeds, seeds=seeds)
    assert_allclose(other.coef_, one.coef_, atol=1e-6)
    assert_allclose(other.predict(X), one.predict(X) + 50.0, atol=1e-6)
    assert_allclose(other.cv_.error, one.cv_.error, rtol=1e-6)


def test_shares_are_those_of_single_tasks(rng):
    X = (rng.random((30, 5)) < 0.5).astype(float)
    fitted = LinearSurrogate(**LASSO).fit(X, X @ [1.0, -2.0, 0.0, 0.5, 0.0])
    found = walsh_spectrum(fitted)
    assert_allclose(found.share[:, 0], [1, 0, 0], atol=1e-9)
    assert_allclose(found.variance[0], fitted.predict(every_mask(5)).var(), rtol=1e-8)


def test_a_logarithm_of_the_target(rng):
    X = (rng.random((60, 6)) < 0.5).astype(float)
    y = np.exp(X @ [1.0, -0.5, 0.0, 0.0, 0.3, 0.0] + 0.05 * rng.normal(size=60))
    fitted = LinearSurrogate(**LASSO, links=("log",)).fit(X, y)
    plain = LinearSurrogate(**LASSO).fit(X, np.log(y))
    assert_allclose(fitted.coef_, plain.coef_, atol=1e-9)
    z, s = plain.predict(1 - X, return_std=True)
    assert_allclose(fitted.predict(1 - X), np.exp(z + s**2 / 2), rtol=1e-9)
    asked = readings.question(X, "mask", "shapley").effects(fitted)
    F = fitted.predict(every_mask(6))
    assert_allclose(asked.mean.sum(), F[-1] - F[0], rtol=1e-9)
    found = readings.leave_one_out(fitted)
    assert_allclose(found.mean[0, 0], F[-1] - F[-2], rtol=1e-8)


def test_mixtures_are_seen_through_one_column_per_task(rng):
    X = rng.dirichlet(np.ones(5), 60)
    y = np.log(X + 1e-3) @ [0.5, -0.3, 0.0, 0.0, 0.1] + 0.01 * rng.normal(size=60)
    fitted = LinearSurrogate(**LASSO).fit(X, y)
    assert fitted.features_ == "log"
    assert_allclose(fitted.predict(X), fitted.intercept_ + np.log(X + 1e-3) @ fitted.coef_, atol=1e-9)
    found = readings.move(fitted, np.full(5, 0.2))
    to = 0.95 * 0.2 + 0.05 * np.eye(5)
    assert_allclose(found.mean[:, 0], fitted.predict(to) - fitted.predict(np.full((1, 5), 0.2)), atol=1e-9)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (dict(penalty="elastic"), r"penalty='elastic'.*'ridge' or 'lasso'"),
        (dict(penalty="lasso", alpha=1.0), "penalty='lasso' takes one link, alpha='cv'"),
        (dict(penalty="lasso", links=("identity", "log")), "penalty='lasso' takes one link"),
        (dict(penalty="lasso", constant=False), "penalty='lasso' takes one link"),
        (dict(penalty="lasso", features="both"), "features='both'.*one column per task"),
    ],
)
def test_what_a_lasso_cannot_take_is_named(sparse, more, match):
    with pytest.raises(ValueError, match=match):
        LinearSurrogate(**more).fit(sparse[0], np.exp(sparse[1] / 5))
