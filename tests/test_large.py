"""Very many runs: hyper-parameters of a sample, a fit of all, and a sentence that says so."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import interplay as ip
from interplay import Evaluations, readings
from interplay.fitting import Design
from interplay.masks import all_subsets
from interplay.surrogates import KernelSurrogate, compare
from interplay.surrogates.rows import Rows

K, M, LARGE = 6, 160, 60
PLAIN = dict(links=("identity",))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = (rng.random((M, K)) < 0.6).astype(float)
    truth = lambda X: np.column_stack([np.maximum(X[:, 0], X[:, 1]) - X[:, 2] * X[:, 3], X[:, 4] + X[:, 5] * X[:, 0]])
    return X, truth(X) + 0.2 * rng.normal(size=(M, 2)), truth


@pytest.fixture(scope="module")
def fitted(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interplay.surrogates.kernel.LARGE", LARGE)
        yield KernelSurrogate(**PLAIN).fit(*data[:2])


def test_a_sample_is_of_whole_groups():
    X = np.repeat(np.eye(30), 5, axis=0)
    rows = Rows.of(X)
    kept = rows.sample(42)
    assert len(kept) == 40
    assert set(np.bincount(rows.groups.index[kept], minlength=30).tolist()) == {0, 5}
    assert_allclose(kept, rows.sample(42))
    assert len(rows.sample(2)) == 5  # one group at least


def test_hyper_parameters_are_of_a_sample_and_the_fit_of_all(data, fitted):
    X, y, truth = data
    assert len(fitted.kept_) <= LARGE
    assert fitted.cv_.mean.shape == (len(fitted.kept_), 2)
    for member in fitted.members_:
        for fit in member.fits:
            assert fit.loadings is None
            assert fit.posterior.theta.shape == (M, len(fit.targets))
            # conditioned on all rows, dense
            A = fit.kernel.matrix(X, X) + fit.noise * np.eye(M)
            one, inverse = np.ones(M), np.linalg.inv(A)
            b = one @ inverse @ y[:, fit.targets] / (one @ inverse @ one)
            assert_allclose(fit.posterior.intercept, b, atol=1e-8)
            assert_allclose(fit.posterior.theta, inverse @ (y[:, fit.targets] - b), atol=1e-7)
    new = 1 - X
    sample = KernelSurrogate(**PLAIN).fit(X[fitted.kept_], y[fitted.kept_])
    error = lambda surrogate: ((surrogate.predict(new) - truth(new)) ** 2).mean()
    assert error(fitted) < error(sample)


def test_of_very_many_masks_a_sample_is_fitted_with_all_its_seeds(monkeypatch):
    monkeypatch.setattr("interplay.fitting.MOST_MASKS", 40)
    rng = np.random.default_rng(0)
    masks = np.repeat(all_subsets(K), 2, axis=0)
    values = masks @ [1.0, 0.5, 0.2, 0.0, -0.3, 0.1] + 0.01 * rng.normal(size=len(masks))
    runs = Evaluations.from_arrays(masks, values, seed=np.arange(len(masks)) % 2)
    dear = Evaluations.from_arrays(all_subsets(K)[:9], values[:18:2], fidelity="dear")
    design = Design.of(runs)
    assert design.runs.m == 40
    assert design.averaged == 2
    assert "of 64 masks or mixtures that were retrained, 40 drawn at random are fitted" in " ".join(design.warnings)
    both = Design.of(runs + dear, "dear")
    assert (both.runs.fidelity == "dear").sum() == 9
    assert_allclose(ip.fit(runs).predict(np.ones(K)).mean, [[1.5]], atol=0.05)


def test_what_was_given_up_is_said(data, fitted):
    assert f"{M} runs" in fitted.given_up_
    assert f"{len(fitted.kept_)} of them" in fitted.given_up_
    assert KernelSurrogate(**PLAIN).fit(data[0][:30], data[1][:30]).given_up_ == ""
    assert KernelSurrogate(kernel="rbf", **PLAIN).fit(*data[:2]).given_up_ == ""  # takes all rows


def test_readings_are_of_the_whole_fit(data, fitted):
    g = fitted.predict(np.vstack([np.ones(K), 1 - np.eye(K)]))
    assert_allclose(readings.leave_one_out(fitted).mean, g[0] - g[1:], atol=1e-9)
    assert np.isfinite(readings.shapley(fitted).deviation).all()


def test_the_choice_is_judged_by_the_sample(data, fitted, monkeypatch):
    monkeypatch.setattr("interplay.surrogates.kernel.LARGE", LARGE)
    X, y, _ = data
    choice = compare(X, y, prefer="stack")
    assert choice.given_up == fitted.given_up_
    assert_allclose(choice.surrogate.predict(1 - X), compare(X, y, prefer="kernel").surrogate.predict(1 - X))
    ridge = compare(X, y, prefer="ridge").surrogate
    assert len(ridge.X_) == M  # ridge has all runs too
    assert (choice.skill["stack"] > 0.5).all()
