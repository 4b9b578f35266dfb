"""The Walsh spectrum against the transform written out over all masks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import hadamard
from sklearn.base import clone

from interplay.readings.spectrum import walsh_spectrum
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from tests.helpers import SURROGATES, every_mask, runs

K = 6
S = every_mask(K)
SIZES = S.sum(axis=1).astype(int)
WALSH = hadamard(2**K) / 2**K * (-1.0) ** SIZES[:, None]  # coefficients of prod_{k in S} (2 s_k - 1)
ORDERS = [SIZES == 1, SIZES == 2, SIZES >= 3]


@pytest.mark.parametrize("name", [name for name in SURROGATES if name != "stack"])
def test_against_the_transform_of_all_masks(rng, name):
    X, y = runs(K, 30, rng, T=3)
    fitted = clone(SURROGATES[name]).fit(X, y)
    found = walsh_spectrum(fitted)
    coefficients = WALSH @ fitted.predict(S)
    V = np.array([(coefficients[order] ** 2).sum(axis=0) for order in ORDERS])
    assert_allclose(V.sum(axis=0), fitted.predict(S).var(axis=0), rtol=1e-9)
    assert_allclose(found.variance, V.sum(axis=0), rtol=1e-8)
    assert_allclose(found.share, V / V.sum(axis=0), atol=1e-8)
    assert_allclose(found.expected.sum(axis=0), 1.0, atol=1e-9)
    for fit in fitted.fits_:  # the joint posterior of all coefficients, dense
        rows = fit.kernel.matrix(S, X)
        prior = fit.kernel.matrix(S, S)
        post = fit.posterior
        cov = WALSH @ (post.prior * prior - rows @ post.precision @ rows.T) @ WALSH.T
        for t, target in enumerate(fit.targets):
            C, mu = cov * post.amplitude[t], coefficients[:, target]
            mean = np.array([(mu[o] ** 2).sum() + np.trace(C[np.ix_(o, o)]) for o in ORDERS])
            both = [
                [2 * (C[np.ix_(o, p)] ** 2).sum() + 4 * mu[o] @ C[np.ix_(o, p)] @ mu[p] for p in ORDERS] for o in ORDERS
            ]
            share = mean / mean.sum()
            slope = (np.eye(3) - share[:, None]) / mean.sum()
            assert_allclose(found.expected[:, target], share, atol=1e-8)
            squared = np.maximum(np.diag(slope @ np.array(both) @ slope.T), 0)
            assert_allclose(found.deviation[:, target] ** 2, squared, atol=1e-9)
            if post.prior:
                L = np.diag(WALSH @ prior @ WALSH.T)
                L = np.array([L[o].sum() for o in ORDERS])
                assert_allclose(found.prior[:, target], L / L.sum(), atol=1e-9)


def test_shares_of_a_stack_are_a_mixture(rng):
    """Those of its members, with their weights; those of components of the targets or 'sized' features are left out."""
    X, y = runs(K, 30, rng, T=3)
    fitted = clone(SURROGATES["stack"]).fit(X, y)
    found, names = walsh_spectrum(fitted), fitted.held_out_.names
    told = lambda fit: fit.loadings is None and fit.kernel.features != "sized"
    plain = [all(map(told, member.fits)) for member in fitted.members_]
    assert 1 < sum(plain) < len(plain)
    w = fitted.weights_[plain] / fitted.weights_[plain].sum(axis=0)
    parts = [walsh_spectrum(fitted.only(name)) for name, kept in zip(names, plain, strict=True) if kept]
    mixed = lambda field: sum(u * getattr(part, field) for u, part in zip(w, parts, strict=True))
    for field in ("share", "expected", "prior", "variance"):
        assert_allclose(getattr(found, field), mixed(field), rtol=1e-9)
    variance = sum(
        u * (part.deviation**2 + (part.expected - found.expected) ** 2) for u, part in zip(w, parts, strict=True)
    )
    assert_allclose(found.deviation, np.sqrt(variance), rtol=1e-7)
    assert_allclose(found.share.sum(axis=0), 1.0, atol=1e-9)
    assert_allclose(found.expected.sum(axis=0), 1.0, atol=1e-9)


def test_components_alone_have_no_shares(rng):
    """Above fifty targets length scales are those of components, and shares of sums of them are not known."""
    X, y = runs(K, 20, rng, T=2)
    fitted = KernelSurrogate(kernel="ard", links=("identity",)).fit(X, y @ rng.normal(size=(2, 51)))
    found = walsh_spectrum(fitted)
    assert found.share.shape == (3, 51)
    assert np.isnan(found.share).all()


def test_deviation_is_that_of_draws_from_the_posterior(rng):
    X, y = runs(K, 40, rng, T=1)
    fitted = KernelSurrogate(gamma=0.2, alpha=0.02, linear=0.1, links=("identity",)).fit(X, y)
    (fit,) = fitted.fits_
    rows = fit.kernel.matrix(S, X)
    cov = fit.kernel.matrix(S, S) - rows @ fit.posterior.precision @ rows.T
    draws = rng.multivariate_normal(fitted.predict(S)[:, 0], cov * fit.posterior.amplitude[0], size=4000) @ WALSH.T
    V = np.array([(draws[:, order] ** 2).sum(axis=1) for order in ORDERS])
    found = walsh_spectrum(fitted)
    shares = V / V.sum(axis=0)
    assert_allclose(found.expected[:, 0], shares.mean(axis=1), atol=0.01)
    assert_allclose(found.deviation[:, 0], shares.std(axis=1), rtol=0.1)


def test_additive_and_paired_games():
    single = 2.0 * S[:, 0] - S[:, 1]
    pair = (2 * S[:, 2] - 1) * (2 * S[:, 3] - 1)
    y = np.column_stack([single, pair, np.zeros(2**K)])
    found = walsh_spectrum(KernelSurrogate(kernel="rbf", links=("identity",)).fit(S, y))
    assert_allclose(found.share[:, 0], [1, 0, 0], atol=1e-4)
    assert_allclose(found.share[:, 1], [0, 1, 0], atol=1e-2)
    assert np.isnan(found.share[:, 2]).all()
    assert_allclose(walsh_spectrum(LinearSurrogate(0.0).fit(S, y[:, 0])).share[:, 0], [1, 0, 0], atol=1e-9)


def test_mixtures_have_none(rng):
    X = rng.dirichlet(np.ones(4), 20)
    with pytest.raises(ValueError, match="mixtures"):
        walsh_spectrum(KernelSurrogate().fit(X, X[:, 0]))


def test_five_hundred_tasks(rng):
    X, y = (rng.random((60, 500)) < 0.5).astype(float), rng.normal(size=(60, 2))
    found = walsh_spectrum(KernelSurrogate().fit(X, y + X[:, :2]))
    assert np.isfinite(found.share).all()
    assert (found.share >= 0).all()
