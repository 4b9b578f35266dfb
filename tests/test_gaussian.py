"""The Gaussian algebra against dense formulas, refitting and scikit-learn, with levels per seed and noise per row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from interplay.surrogates.features import MAPS
from interplay.surrogates.gaussian import Posterior, Spectrum, precision
from interplay.surrogates.kernels import Kernel, candidates, matrices, squared_distances
from interplay.surrogates.rows import Groups, Rows
from tests.helpers import runs

K, M, NOISE = 6, 24, 0.07
SEEDS = np.arange(M) % 3
UNEQUAL = np.exp(np.random.default_rng(5).normal(size=M))  # variances of the rows' noise
KINDS = {
    "one constant": {},
    "no constant": dict(constant=False),
    "levels of seeds": dict(seeds=SEEDS),
    "noise of rows": dict(noise=UNEQUAL),
    "levels and noise": dict(seeds=SEEDS, noise=UNEQUAL),
    "noise, no constant": dict(noise=UNEQUAL, constant=False),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def data(rng):
    return runs(K, M, rng, T=3)


def rows_of(kind, X, groups=None):
    """Rows of a kind; each row is a group of its own if there are no groups."""
    return Rows.of(X, np.arange(len(X)) if groups is None else groups, **KINDS[kind])


def rbf_and_linear(rng):
    return Kernel(rng.uniform(0.05, 0.5, K), 0.8, 0.2)


def dense(kernel, X, y, noise, H, D):
    """Generalised least squares written out by hand: A^-1, Q, the constants, their covariance, theta."""
    inverse = np.linalg.inv(kernel.matrix(X, X) + noise * np.diag(D))
    covariance = np.linalg.inv(H.T @ inverse @ H)
    Q = inverse - inverse @ H @ covariance @ H.T @ inverse
    b = covariance @ H.T @ inverse @ y
    return inverse, Q, b, covariance, inverse @ (y - H @ b)


def at_points(kernel, X, y, noise, H, D, new, levels):
    """Means (n, T) and covariance (n, n) of g at ``new``, whose constants are taken by ``levels`` (n, p)."""
    inverse, _, b, covariance, theta = dense(kernel, X, y, noise, H, D)
    k = kernel.matrix(new, X)
    rest = levels - k @ inverse @ H
    return levels @ b + k @ theta, kernel.matrix(new, new) - k @ inverse @ k.T + rest @ covariance @ rest.T


def held_out_by_refitting(kernel, X, y, noise, rows):
    """Means and variances of every group's rows from the other groups', noise included."""
    mean, variance = np.empty_like(y), np.empty(len(X))
    for label in np.unique(rows.groups.index):
        out = rows.groups.index == label
        mean[out], covariance = at_points(
            kernel, X[~out], y[~out], noise, rows.basis[~out], rows.noise[~out], X[out], rows.basis[out]
        )
        variance[out] = np.diag(covariance) + noise * rows.noise[out]
    return mean, variance


@kinds
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
def test_posterior_equals_dense_formulas(data, rng, kind, noise):
    X, y = data
    kernel, rows = rbf_and_linear(rng), rows_of(kind, X)
    H, D, p = rows.basis, rows.noise, rows.basis.shape[1]
    post = Posterior.of(kernel.matrix(X, X), y, noise, rows)
    _, Q, b, covariance, theta = dense(kernel, X, y, noise, H, D)
    a = np.full(p, 1.0 / max(p, 1))  # predictions are made at the mean of the seeds' levels
    assert_allclose(post.precision, Q, atol=1e-8 * np.abs(Q).max())
    assert_allclose(post.theta, theta, atol=1e-8)
    assert_allclose(post.intercept, a @ b, atol=1e-8)
    assert_allclose(post.constant_variance, a @ covariance @ a, atol=1e-8)
    assert_allclose(post.amplitude, np.einsum("mt,mn,nt->t", y, Q, y) / (M - p), rtol=1e-8)
    spectrum = Spectrum.of(kernel.matrix(X, X), rows)
    assert_allclose(spectrum.precision(noise), Q, atol=1e-8 * np.abs(Q).max())
    assert_allclose(spectrum.amplitude(y, noise), post.amplitude, rtol=1e-8)

    new, level = (rng.random((9, K)) < 0.5).astype(float), float(p > 0)
    k = kernel.matrix(new, X)
    mean, cov = at_points(kernel, X, y, noise, H, D, new, np.tile(a, (9, 1)))
    assert_allclose(post.mean(k, level), mean, atol=1e-8)
    assert_allclose(post.variance(k, kernel.paired(new, new), level), np.diag(cov), atol=1e-8)
    between = post.covariance(k[:-1], k[1:], kernel.paired(new[:-1], new[1:]), level, level)
    assert_allclose(between, np.diag(cov, 1), atol=1e-8)


@pytest.mark.parametrize("kind", ["one constant", "levels and noise"])
@pytest.mark.parametrize("noise", [1e-3, NOISE])
def test_posterior_equals_a_gaussian_process_with_wide_constants(data, rng, kind, noise):
    """A flat prior is the limit of a wide one: dense algebra with 1e7 H H', one digit in seven lost."""
    X, y = data
    kernel, rows = rbf_and_linear(rng), rows_of(kind, X)
    H, a = rows.basis, rows.level
    wide = kernel.matrix(X, X) + 1e7 * H @ H.T + noise * np.diag(rows.noise)
    new = (rng.random((5, K)) < 0.5).astype(float)
    k = kernel.matrix(new, X)
    seen = k + 1e7 * H @ a
    post = Posterior.of(kernel.matrix(X, X), y, noise, rows)
    assert_allclose(post.mean(k, 1.0), seen @ np.linalg.solve(wide, y), atol=1e-4)
    variance = kernel.paired(new, new) + 1e7 * a @ a - np.einsum("im,mi->i", seen, np.linalg.solve(wide, seen.T))
    assert_allclose(post.variance(k, kernel.paired(new, new), 1.0), variance, atol=1e-4)


def test_without_a_constant_it_is_scikit_learns_gaussian_process(data, rng):
    """Theirs takes a noise per row too."""
    X, y = data
    gamma, rows = 0.2, rows_of("noise, no constant", X)
    theirs = GaussianProcessRegressor(RBF(np.sqrt(0.5 / gamma)), alpha=NOISE * rows.noise, optimizer=None)
    theirs.fit(X, y[:, 0])
    kernel = Kernel(np.full(K, gamma), 1.0, 0.0)
    post = Posterior.of(kernel.matrix(X, X), y, NOISE, rows)
    new = rng.random((8, K))
    k = kernel.matrix(new, X)
    mean, deviation = theirs.predict(new, return_std=True)
    assert_allclose(post.mean(k, 0.0)[:, 0], mean, atol=1e-8)
    assert_allclose(np.sqrt(post.variance(k, kernel.paired(new, new), 0.0)), deviation, atol=1e-8)


GROUPINGS = {
    "rows": lambda X, rng: np.arange(len(X)),
    "repeats of one mask": lambda X, rng: np.repeat(np.arange(len(X) // 2), 2),
    "five folds": lambda X, rng: rng.permutation(np.arange(len(X)) % 5),
    "unequal": lambda X, rng: np.minimum(np.arange(len(X)) // 3, 4),
}


@kinds
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
@pytest.mark.parametrize("name", GROUPINGS)
def test_held_out_rows_equal_refitting(data, rng, name, noise, kind):
    """A held-out row is predicted at the level of its own seed."""
    X, y = data
    if name == "repeats of one mask":
        X = np.repeat(X[::2], 2, axis=0)
    rows = rows_of(kind, X, GROUPINGS[name](X, rng))
    kernel = rbf_and_linear(rng)
    spectrum = Spectrum.of(kernel.matrix(X, X), rows)
    mean, variance, _ = next(spectrum.sweep(y, [noise], rows.groups))
    expected, expected_variance = held_out_by_refitting(kernel, X, y, noise, rows)
    assert_allclose(mean, expected, atol=1e-8)
    assert_allclose(variance, expected_variance, rtol=1e-8)
    if name == "rows":
        assert_allclose(next(spectrum.sweep(y, [noise]))[0], mean, atol=1e-12)


@kinds
@pytest.mark.parametrize("noise", [1e-3, NOISE, 30.0])
def test_likelihood_equals_the_dense_formula(data, rng, noise, kind):
    """REML: -1/2 (log|A| + log|H'A^-1 H| + (m - p) log y'Qy), up to a constant that no hyper-parameter changes."""
    X, y = data
    rows = rows_of(kind, X)
    H, D, p = rows.basis, rows.noise, rows.basis.shape[1]
    flat = np.log(D).sum() + np.linalg.slogdet(H.T @ (H / D[:, None]))[1]

    def expected(kernel, noise):
        inverse, Q, _, covariance, _ = dense(kernel, X, y, noise, H, D)
        log_det = -np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(covariance)[1]
        value = log_det + (M - p) * np.log(np.einsum("mt,mn,nt->t", y, Q, y) / (M - p))
        return -0.5 * (value - flat), log_det

    kernel = rbf_and_linear(rng)
    found = Spectrum.of(kernel.matrix(X, X), rows).log_likelihood(y, noise)
    value, log_det = expected(kernel, noise)
    assert_allclose(found, value, rtol=1e-9)
    Q, found_log_det = precision(kernel.matrix(X, X) + noise * np.diag(D), rows)
    assert_allclose(found_log_det, log_det, rtol=1e-9)
    assert_allclose(Q @ H, 0.0, atol=1e-8 * np.abs(Q).max())


def test_a_matrix_that_is_not_positive_definite_is_refused(data):
    rows = rows_of("one constant", data[0])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        precision(-np.eye(M), rows)


@pytest.mark.parametrize("kind", ["one constant", "levels of seeds", "levels and noise"])
def test_least_squares_is_the_limit_of_no_noise(data, rng, kind):
    """The textbook, with a dummy column for every seed and rows weighted by their noise."""
    X, y = data
    rows = rows_of(kind, X)
    H, root, p = rows.basis, np.sqrt(rows.noise)[:, None], rows.basis.shape[1]
    post, design = Posterior.least_squares(X, y, rows), np.column_stack([H, X])
    coefficients = np.linalg.lstsq(design / root, y / root, rcond=None)[0]
    a = np.full(p, 1 / p)
    assert_allclose(post.intercept, a @ coefficients[:p], atol=1e-9)
    assert_allclose(X.T @ post.theta, coefficients[p:], atol=1e-9)

    # textbook: Var(w) = s^2 (D'D)^-1, s^2 = |residual|^2 / (m - K - p); a prediction adds the intercept's share
    cov = np.linalg.inv((design / root).T @ (design / root))
    residual = (y - design @ coefficients) / root
    assert_allclose(post.amplitude, (residual**2).sum(axis=0) / (M - K - p), rtol=1e-9)
    new = rng.random((4, K))
    with_level = np.column_stack([np.tile(a, (4, 1)), new])
    own = np.einsum("nk,nk->n", new, new)
    assert_allclose(post.variance(new @ X.T, own, 1.0), np.diag(with_level @ cov @ with_level.T), rtol=1e-8)
    assert_allclose(post.variance(np.eye(K) @ X.T, np.ones(K), 0.0), np.diag(cov)[p:], rtol=1e-8)
    assert_allclose(post.constant_variance, a @ cov[:p, :p] @ a, rtol=1e-8)

    # and it is what the kernel algebra comes to: lambda -> 0 with an amplitude of 1 / lambda
    ridge = Posterior.of(X @ X.T, y, 1e-7, rows)
    assert_allclose(X.T @ ridge.theta, X.T @ post.theta, atol=1e-5)
    assert_allclose(ridge.intercept, post.intercept, atol=1e-5)


def test_least_squares_of_minimum_norm(rng):
    X, y = runs(9, 5, rng)  # fewer runs than tasks
    for constant in (True, False):
        post = Posterior.least_squares(X, y, Rows.of(X, constant=constant))
        centred, shifted = (X - X.mean(0), y - y.mean(0)) if constant else (X, y)
        w = np.linalg.pinv(centred) @ shifted
        assert_allclose(X.T @ post.theta, w, atol=1e-9)


def test_kernels(rng):
    A, B = rng.random((5, K)), rng.random((4, K))
    kernel = rbf_and_linear(rng)
    expected = [[0.8 * np.exp(-(kernel.gamma * (a - b) ** 2).sum()) + 0.2 * a @ b for b in B] for a in A]
    assert_allclose(kernel.matrix(A, B), expected, atol=1e-12)
    assert_allclose(kernel.paired(A[:4], B), np.diag(expected), atol=1e-12)
    assert_allclose(squared_distances(A, A).diagonal(), 0, atol=1e-12)
    # scaled: the prior variance of the rows around their mean is 1, whatever the rate and the share
    X = (rng.random((40, K)) < 0.7).astype(float)
    for kernel in candidates(X, "raw", np.array([0.1, 1.0]), np.array([0.0, 0.5, 1.0])):
        k = kernel.matrix(X, X)
        assert_allclose(np.trace(k - k.mean(axis=0)) / 39, 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", MAPS)
def test_each_part_of_a_kernel_has_its_own_features(rng, name):
    A, B = rng.dirichlet(np.ones(K), 5), rng.dirichlet(np.ones(K), 5)
    write = {
        "raw": lambda w: w,
        "log": lambda w: np.log(w + 1e-3),
        "sqrt": np.sqrt,
        "both": lambda w: np.concatenate([np.log(w + 1e-3), 16.0 * np.sqrt(w)]),
        "sized": lambda w: np.append(w, 0.0),
    }[name]
    gamma = rng.uniform(0.05, 0.5, len(write(A[0])))
    kernel = Kernel(gamma, 0.8, 0.2, features=name, linear_features="raw")
    expected = [[0.8 * np.exp(-gamma @ (write(a) - write(b)) ** 2) + 0.2 * a @ b for b in B] for a in A]
    assert_allclose(kernel.matrix(A, B), expected, atol=1e-12)
    assert_allclose(kernel.paired(A, B), np.diag(expected), atol=1e-12)


def test_kernels_that_share_their_products_give_their_own_matrices(rng):
    X = rng.dirichlet(np.ones(K), 12)
    grid = candidates(X, "log", np.array([0.1, 1.0]), np.array([0.0, 0.5, 1.0]))
    grid += [rbf_and_linear(rng), Kernel(np.full(K, 0.3), 0.8, 0.2, "sqrt", "raw"), Kernel(np.full(K, 0.3), 0.0, 0.0)]
    for kernel, matrix in zip(grid, matrices(grid, X), strict=True):
        assert_allclose(matrix, kernel.matrix(X, X.copy()), atol=1e-12)  # another array: nothing is shared


def test_groups():
    groups = Groups.of(np.array(["b", "a", "b", "c", "a", "b"]))
    assert groups.index.tolist() == [1, 0, 1, 2, 0, 1]
    assert [block.tolist() for block in groups.blocks] == [[[3]], [[1, 4]], [[0, 2, 5]]]
    assert not groups.single
    assert Groups.of_rows(np.eye(3)).single
    assert Groups.of_rows(np.array([[1.0, 0], [0, 1], [1, 0]])).index.tolist() == [1, 0, 1]
