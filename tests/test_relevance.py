"""Length scales per task: the likelihood they are found by, and what they say of the tasks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from sklearn.base import clone

from interplay import readings
from interplay.surrogates import KernelSurrogate
from interplay.surrogates.gaussian import precision
from interplay.surrogates.relevance import QUIETEST, Likelihood, Relevance
from interplay.surrogates.rows import Rows
from tests.helpers import brute_average, every_mask, runs, shapley_weight

K, M = 5, 26
ROWS = {
    "one constant": {},
    "no constant": dict(constant=False),
    "levels of seeds": dict(seeds=np.arange(M) % 3),
    "noise of rows": dict(noise=np.exp(np.random.default_rng(5).normal(size=M))),
    "both": dict(seeds=np.arange(M) % 2, noise=np.exp(np.random.default_rng(6).normal(size=M))),
}
FEATURES = {
    "masks": ("raw", "raw"),
    "masks and their sizes": ("sized", "raw"),
    "log of mixtures": ("log", "raw"),
    "both of mixtures": ("both", "sqrt"),
}
ARD = KernelSurrogate(kernel="ard", links=("identity",))


def problem_of(rng, rows, features):
    X, y = runs(K, M, rng, T=3)
    if "mixtures" in features:
        X = rng.dirichlet(np.ones(K), M)
    return Likelihood.of(X, Rows.of(X, **ROWS[rows]), Relevance(*FEATURES[features])), y / y.std(axis=0)


def somewhere(problem, rng):
    return problem.start() + rng.normal(size=problem.D + 2) * 0.7


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("features", FEATURES)
def test_gradient_is_that_of_finite_differences(rng, rows, features, T):
    problem, Z = problem_of(rng, rows, features)
    p = somewhere(problem, rng)
    for centre in (None, p[: problem.D] + 0.3 * rng.normal(size=problem.D)):
        value = lambda q, centre=centre: problem.value(q, Z[:, :T], 0.5, centre)[0]
        step = 1e-5
        expected = [
            (value(p + step * e) - value(p - step * e)) / (2 * step) for e in np.eye(problem.D + 2)
        ]  # central differences; one-sided ones agree to half their digits
        found = problem.value(p, Z[:, :T], 0.5, centre)[1]
        assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert_allclose(found, approx_fprime(p, value, 1e-7), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("features", FEATURES)
def test_value_is_the_restricted_likelihood_of_the_kernel_that_comes_out(rng, rows, features):
    """-log L = sum_t 1/2 (log|A| + log|H'A^-1 H| + (m - p) log y'Qy); the prior counts once, whatever the targets."""
    problem, Z = problem_of(rng, rows, features)
    p = somewhere(problem, rng)
    one, two = (problem.value(p, np.repeat(Z[:, :1], n, axis=1), 0.5)[0] for n in (1, 2))
    fit, H, D = problem.condition(Z[:, :1], p, 0), problem.rows.basis, problem.rows.noise
    A = fit.kernel.matrix(problem.X, problem.X) + fit.noise * np.diag(D)
    inverse, n = np.linalg.inv(A), M - H.shape[1]
    gram = H.T @ inverse @ H
    Q = inverse - inverse @ H @ np.linalg.solve(gram, H.T @ inverse)
    log_det = np.linalg.slogdet(A)[1] + np.linalg.slogdet(gram)[1]
    amplitude = Z[:, 0] @ Q @ Z[:, 0] / n
    assert_allclose(two - one, 0.5 * (log_det + n * np.log(amplitude)), rtol=1e-7)
    assert_allclose(fit.posterior.amplitude, amplitude, rtol=1e-7)
    assert_allclose(fit.posterior.precision, Q, atol=1e-6 * np.abs(Q).max())
    assert_allclose(precision(A, problem.rows)[1], log_det, rtol=1e-9)


def test_ascent_ends_higher_than_it_began(rng):
    problem, Z = problem_of(rng, "both", "masks")
    start = problem.start()
    found = problem.ascend(Z, start, 0.5)
    value, slope = problem.value(found, Z, 0.5)
    assert value < problem.value(start, Z, 0.5)[0] - 1.0
    inside = found[-1] > np.log(QUIETEST) + 1e-6
    assert np.abs(slope[: problem.D]).max() < 0.2
    assert np.abs(slope[-1]) < 0.2 or not inside


def test_noise_is_bounded_below(rng):
    """Values without any noise: length scales can blow up where the noise is left to vanish."""
    X = every_mask(K)
    y = X[:, 0] * X[:, 1] - X[:, 2]
    for fit in clone(ARD).fit(X, y).fits_:
        assert fit.noise >= QUIETEST * (1 - 1e-9)
        assert np.isfinite(fit.kernel.gamma).all()


def mean_gamma(fitted):
    return np.mean([np.log(fit.kernel.gamma) for fit in fitted.fits_], axis=0)


def test_tasks_that_matter_have_the_larger_rates():
    """Four tasks in interplay, two that do nothing: the posterior must tell them apart, in each of three draws."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = (rng.random((80, 6)) < 0.5).astype(float)
        y = np.abs(X[:, 0] - X[:, 1]) + np.abs(X[:, 2] - X[:, 3]) * X[:, 0] + 0.02 * rng.normal(size=80)
        gamma = mean_gamma(clone(ARD).fit(X, y))
        assert gamma[:4].min() > gamma[4:].max() + 0.3


def test_relevance_predicts_better_than_one_rate_for_all():
    """Three of twelve tasks in interplay, with held-out runs of which no fit knows: averaged over draws."""
    game = lambda X: np.maximum(X[:, 0], X[:, 1]) + 2 * X[:, 1] * X[:, 2] - X[:, 0] * X[:, 2]
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, new = ((rng.random((n, 12)) < 0.5).astype(float) for n in (60, 400))
        y = game(X) + 0.1 * rng.normal(size=60)
        fitted = [KernelSurrogate(kernel=kernel, links=("identity",)).fit(X, y) for kernel in ("rbf", "ard")]
        error = [((surrogate.predict(new) - game(new)) ** 2).mean() for surrogate in fitted]
        gains.append(np.log(error[0] / error[1]))
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))


@pytest.fixture
def data(rng):
    return runs(K, 30, rng)


def test_the_order_of_tasks_and_runs_does_not_matter(data, rng):
    X, y = data
    order, rows = rng.permutation(K), rng.permutation(len(X))
    one, other = clone(ARD).fit(X, y), clone(ARD).fit(X[:, order], y)
    assert_allclose(mean_gamma(other), mean_gamma(one)[order], atol=1e-3)
    assert_allclose(other.predict(1 - X[:, order]), one.predict(1 - X), atol=1e-4)
    groups = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    other = clone(ARD).fit(X[rows], y[rows], groups=groups[rows])
    assert_allclose(other.predict(1 - X), one.predict(1 - X), atol=1e-4)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e4])
def test_units_of_the_targets_do_not_matter(data, unit):
    X, y = data
    mean, deviation = clone(ARD).fit(X, y).predict(1 - X, return_std=True)
    other, others = clone(ARD).fit(X, unit * (y + 3.0)).predict(1 - X, return_std=True)
    assert_allclose(other / unit - 3.0, mean, atol=1e-4)
    assert_allclose(others / unit, deviation, atol=1e-4)


def test_a_target_in_other_units_is_no_louder(data):
    """Targets share their scales: in whichever unit one is measured, the others learn the same from it."""
    X, y = data
    one = clone(ARD).fit(X, y).predict(1 - X)
    other = clone(ARD).fit(X, y * [1.0, 1e4]).predict(1 - X)
    assert_allclose(other, one * [1.0, 1e4], rtol=1e-4, atol=1e-3)


def test_a_target_that_never_changes_teaches_nothing(rng):
    X, y = runs(K, 30, rng, T=3)
    constant = np.full((30, 1), 2.0)
    with_it = clone(ARD).fit(X, np.hstack([y, constant])).predict(1 - X)
    assert_allclose(with_it[:, 3], 2.0, atol=1e-9)
    assert_allclose(with_it[:, :3], clone(ARD).fit(X, y).predict(1 - X), atol=1e-4)


def test_readings_of_length_scales_that_differ_by_task(data):
    """Fitted scales differ, and all readings are exact for them."""
    X, y = data
    fitted = clone(ARD).fit(X, y)
    assert all(np.ptp(np.log(fit.kernel.gamma)) > 1e-3 for fit in fitted.fits_)
    assert all(fit.kernel.linear > 0 for fit in fitted.fits_)
    g = fitted.predict(every_mask(K))
    expected = [brute_average(g, K, (k,), shapley_weight(K, 1)) for k in range(K)]
    assert_allclose(readings.shapley(fitted).mean, expected, atol=1e-9)
    at, step = np.full(K, 0.7), 1e-5 * np.eye(K)
    slope = (fitted.predict(at + step) - fitted.predict(at - step)) / 2e-5
    assert_allclose(readings.gradient(fitted, at).mean, slope, atol=1e-6)


def test_kernel_by_likelihood_takes_no_numbers(data):
    for more in (dict(gamma=0.1), dict(alpha=1.0), dict(linear=0.5), dict(constant=False)):
        with pytest.raises(ValueError, match="kernel='ard' finds its own"):
            KernelSurrogate(kernel="ard", **more).fit(*data)
    with pytest.raises(ValueError, match=r"kernel='cubic'.*'auto', 'rbf', 'ard'"):
        KernelSurrogate(kernel="cubic").fit(*data)
