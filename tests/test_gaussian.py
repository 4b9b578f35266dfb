"""The Gaussian algebra against dense formulas, refitting and scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from interplay.surrogates.gaussian import Groups, Posterior, Spectrum
from interplay.surrogates.kernels import Kernel, candidates, squared_distances
from tests.helpers import runs

K, M, NOISE = 6, 24, 0.07


@pytest.fixture
def data(rng):
    return runs(K, M, rng, T=3)


def rbf_and_linear(rng):
    return Kernel(rng.uniform(0.05, 0.5, K), 0.8, 0.2)


def dense(kernel, X, y, noise, constant=True):
    """A^-1, Q, the constant and theta, written out by hand."""
    A = kernel.matrix(X, X) + noise * np.eye(len(X))
    inverse = np.linalg.inv(A)
    one = np.ones(len(X))
    if not constant:
        return inverse, inverse, np.zeros(y.shape[1]), inverse @ y
    h = inverse @ one / (one @ inverse @ one)
    Q = inverse - np.outer(inverse @ one, one @ inverse) / (one @ inverse @ one)
    b = h @ y
    return inverse, Q, b, inverse @ (y - b)


def held_out_by_refitting(kernel, X, y, noise, labels, constant=True):
    """Means and covariance diagonals of every group's rows from the other groups', noise included."""
    mean, variance = np.empty_like(y), np.empty(len(X))
    for label in np.unique(labels):
        out = labels == label
        inverse, _, b, theta = dense(kernel, X[~out], y[~out], noise, constant)
        rows = kernel.matrix(X[out], X[~out])
        mean[out] = b + rows @ theta
        variance[out] = kernel.paired(X[out], X[out]) + noise - np.einsum("im,mn,in->i", rows, inverse, rows)
        if constant:
            rest = 1.0 - rows @ inverse.sum(axis=1)
            variance[out] += rest**2 / inverse.sum()
    return mean, variance


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
def test_posterior_equals_dense_formulas(data, rng, constant, noise):
    X, y = data
    kernel = rbf_and_linear(rng)
    post = Posterior.of(kernel.matrix(X, X), y, noise, constant)
    inverse, Q, b, theta = dense(kernel, X, y, noise, constant)
    assert_allclose(post.precision, Q, atol=1e-8)
    assert_allclose(post.theta, theta, atol=1e-8)
    assert_allclose(post.intercept, b, atol=1e-8)
    freedom = M - 1 if constant else M
    assert_allclose(post.amplitude, np.einsum("mt,mn,nt->t", y, Q, y) / freedom, rtol=1e-8)

    new = (rng.random((9, K)) < 0.5).astype(float)
    rows, level = kernel.matrix(new, X), float(constant)
    assert_allclose(post.mean(rows, level), b + rows @ theta, atol=1e-8)
    cov = kernel.matrix(new, new) - rows @ inverse @ rows.T
    if constant:
        rest = 1.0 - rows @ inverse.sum(axis=1)
        cov += np.outer(rest, rest) / inverse.sum()
    assert_allclose(post.variance(rows, kernel.paired(new, new), level), np.diag(cov), atol=1e-8)
    between = post.covariance(rows[:-1], rows[1:], kernel.paired(new[:-1], new[1:]), level, level)
    assert_allclose(between, np.diag(cov, 1), atol=1e-8)


@pytest.mark.parametrize("noise", [1e-3, NOISE])
def test_posterior_equals_a_gaussian_process_with_a_wide_constant(data, rng, noise):
    """A constant with a flat prior is the limit of a wide one: dense algebra with +1e7, one digit in seven lost."""
    X, y = data
    kernel = rbf_and_linear(rng)
    wide = kernel.matrix(X, X) + 1e7 + noise * np.eye(M)
    new = (rng.random((5, K)) < 0.5).astype(float)
    rows = kernel.matrix(new, X)
    expected = (rows + 1e7) @ np.linalg.solve(wide, y)
    found = Posterior.of(kernel.matrix(X, X), y, noise).mean(rows, 1.0)
    assert_allclose(found, expected, atol=1e-4)


def test_without_a_constant_it_is_scikit_learns_gaussian_process(data, rng):
    X, y = data
    gamma = 0.2
    theirs = GaussianProcessRegressor(RBF(np.sqrt(0.5 / gamma)), alpha=NOISE, optimizer=None).fit(X, y[:, 0])
    kernel = Kernel(np.full(K, gamma), 1.0, 0.0)
    post = Posterior.of(kernel.matrix(X, X), y, NOISE, constant=False)
    new = rng.random((8, K))
    rows = kernel.matrix(new, X)
    mean, deviation = theirs.predict(new, return_std=True)
    assert_allclose(post.mean(rows, 0.0)[:, 0], mean, atol=1e-8)
    variance = post.variance(rows, kernel.paired(new, new), 0.0)
    assert_allclose(np.sqrt(variance), deviation, atol=1e-8)


GROUPINGS = {
    "rows": lambda X, rng: np.arange(len(X)),
    "seeds of one mask": lambda X, rng: np.repeat(np.arange(len(X) // 2), 2),
    "five folds": lambda X, rng: rng.permutation(np.arange(len(X)) % 5),
    "unequal": lambda X, rng: np.minimum(np.arange(len(X)) // 3, 4),
}


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
@pytest.mark.parametrize("name", GROUPINGS)
def test_held_out_rows_equal_refitting(data, rng, name, noise, constant):
    X, y = data
    if name == "seeds of one mask":
        X = np.repeat(X[::2], 2, axis=0)
    labels = GROUPINGS[name](X, rng)
    kernel = rbf_and_linear(rng)
    spectrum = Spectrum.of(kernel.matrix(X, X), constant)
    mean, variance = spectrum.held_out(y, noise, Groups.of(labels))
    expected, expected_variance = held_out_by_refitting(kernel, X, y, noise, labels, constant)
    assert_allclose(mean, expected, atol=1e-8)
    assert_allclose(variance, expected_variance, atol=1e-8)
    if name == "rows":
        assert_allclose(spectrum.held_out(y, noise)[0], mean, atol=1e-12)


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
def test_likelihood_equals_the_dense_formula(data, rng, noise, constant):
    """REML: -1/2 (log|A| + log 1'A^-1 1 + (m - 1) log y'Qy), up to a constant that no hyper-parameter changes."""
    X, y = data

    def expected(kernel, noise):
        inverse, Q, _, _ = dense(kernel, X, y, noise, constant)
        n = M - 1 if constant else M
        out = -np.linalg.slogdet(inverse)[1] + n * np.log(np.einsum("mt,mn,nt->t", y, Q, y) / n)
        return -0.5 * (out + np.log(inverse.sum() / M) * constant)

    kernel = rbf_and_linear(rng)
    found = Spectrum.of(kernel.matrix(X, X), constant).log_likelihood(y, noise)
    assert_allclose(found, expected(kernel, noise), rtol=1e-9)


def test_least_squares_is_the_limit_of_no_noise(data, rng):
    X, y = data
    post, design = Posterior.least_squares(X, y), np.column_stack([np.ones(M), X])
    coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
    assert_allclose(post.intercept, coefficients[0], atol=1e-9)
    assert_allclose(X.T @ post.theta, coefficients[1:], atol=1e-9)

    # textbook: Var(w) = s^2 (D'D)^-1, s^2 = |residual|^2 / (m - K - 1); a prediction adds the intercept's share
    cov = np.linalg.inv(design.T @ design)
    residual = y - design @ coefficients
    assert_allclose(post.amplitude, (residual**2).sum(axis=0) / (M - K - 1), rtol=1e-9)
    new = rng.random((4, K))
    with_one = np.column_stack([np.ones(4), new])
    own = np.einsum("nk,nk->n", new, new)
    assert_allclose(post.variance(new @ X.T, own, 1.0), np.diag(with_one @ cov @ with_one.T), rtol=1e-8)
    assert_allclose(post.variance(np.eye(K) @ X.T, np.ones(K), 0.0), np.diag(cov)[1:], rtol=1e-8)
    assert_allclose(post.constant_variance, cov[0, 0], rtol=1e-8)


def test_least_squares_of_minimum_norm(rng):
    X, y = runs(9, 5, rng)  # fewer runs than tasks
    for constant in (True, False):
        post = Posterior.least_squares(X, y, constant)
        centred, shifted = (X - X.mean(0), y - y.mean(0)) if constant else (X, y)
        w = np.linalg.pinv(centred) @ shifted
        assert_allclose(X.T @ post.theta, w, atol=1e-9)


def test_groups():
    groups = Groups.of(np.array(["b", "a", "b", "c", "a", "b"]))
    assert groups.index.tolist() == [1, 0, 1, 2, 0, 1]
    assert [block.tolist() for block in groups.blocks] == [[[3]], [[1, 4]], [[0, 2, 5]]]
    assert not groups.single
    assert Groups.of_rows(np.eye(3)).single
    assert Groups.of_rows(np.array([[1.0, 0], [0, 1], [1, 0]])).index.tolist() == [1, 0, 1]


def test_kernels(rng):
    A, B = rng.random((5, K)), rng.random((4, K))
    kernel = rbf_and_linear(rng)
    expected = [[0.8 * np.exp(-(kernel.gamma * (a - b) ** 2).sum()) + 0.2 * a @ b for b in B] for a in A]
    assert_allclose(kernel.matrix(A, B), expected, atol=1e-12)
    assert_allclose(kernel.paired(A[:4], B), np.diag(expected), atol=1e-12)
    assert_allclose(squared_distances(A, A).diagonal(), 0, atol=1e-12)
    # scaled: the prior variance of the rows around their mean is 1, whatever the rate and the share
    X = (rng.random((40, K)) < 0.7).astype(float)
    for kernel in candidates(X, np.array([0.1, 1.0]), np.array([0.0, 0.5, 1.0])):
        k = kernel.matrix(X, X)
        assert_allclose(np.trace(k - k.mean(axis=0)) / 39, 1.0, rtol=1e-9)
