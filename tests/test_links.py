"""Links: units in which targets are close to additive, and the way back to their own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone

import interplay as ip
from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from interplay.surrogates.links import DELTAS, Link, candidates, picked
from tests.helpers import brute_average, every_mask, runs, shapley_weight

K, M = 5, 40
PLAIN = dict(links=("identity",))
FIXED = dict(gamma=0.2, alpha=0.05, linear=0.1)


@pytest.fixture
def data(rng):
    return runs(K, M, rng)


@pytest.fixture
def bent(rng):
    """A target that is exponential in a game, above a floor of 2."""
    X, y = runs(K, M, rng)
    return X, 2.0 + np.exp(0.3 * (y - y.mean(axis=0)))


# ---------------------------------------------------------------- one link


@given(st.integers(0, 10**6), st.booleans())
def test_there_and_back(seed, up):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(12, 3)) * 10.0 ** rng.integers(-6, 6, 3) + rng.normal(size=3)
    Y[:, 2] = np.exp(rng.normal(size=12))
    for link, own in candidates(("identity", "log", "floor"), Y, up):
        y = Y[:, own]
        z = link.forward(y)
        assert np.isfinite(z).all()
        assert_allclose(link.backward(z, np.zeros_like(z)), y, rtol=1e-7, atol=1e-9 * np.ptp(y, axis=0).max())
        best_first = np.argsort(-y if up else y, axis=0)
        if (link.sign * (-1.0 if up else 1.0) > 0).all():  # z falls as the target improves
            assert (np.diff(np.take_along_axis(z, best_first, axis=0), axis=0) >= 0).all()


def test_candidates_and_their_bounds(rng):
    Y = np.column_stack([rng.normal(size=20), np.exp(rng.normal(size=20)), np.full(20, 3.0)])
    low, high = Y.min(axis=0), Y.max(axis=0)
    found = candidates(("identity", "log", "floor"), Y, [False, True, False])
    identity, own = found[0]  # the simplest comes first
    assert not identity.log.any()
    assert own.tolist() == [0, 1, 2]
    log, own = found[1]
    assert own.tolist() == [1, 2]  # positive everywhere
    assert_allclose(log.bound, 0.0)
    assert_allclose(log.sign, 1.0)
    assert len(found) == 2 + len(DELTAS)
    for (link, own), delta in zip(found[2:], DELTAS, strict=True):
        assert own.tolist() == [0, 1]  # a target that never changes has no floor
        assert link.sign.tolist() == [1.0, -1.0]
        assert_allclose(link.bound, [low[0] - delta * (high - low)[0], high[1] + delta * (high - low)[1]])


def test_moments_are_those_of_draws(rng):
    link = Link(np.array([0.0, 1.0, -1.0]), np.array([0.0, 2.0, 5.0]), np.full(3, np.inf))
    mean, variance = np.array([[0.3, 0.2, -0.4]]), np.array([[0.25, 0.09, 0.16]])
    z = rng.normal(mean, np.sqrt(variance), size=(200_000, 3))
    y = np.column_stack([z[:, 0], 2.0 + np.exp(z[:, 1]), 5.0 - np.exp(z[:, 2])])
    assert_allclose(link.forward(y), z, atol=1e-8)
    assert_allclose(link.backward(mean, variance)[0], y.mean(axis=0), atol=5 * y.std() / np.sqrt(len(y)))
    assert_allclose(link.backward_variance(mean, variance)[0], y.var(axis=0), rtol=0.03)


def test_far_extrapolations_stay_finite():
    link = Link(np.array([0.0, 1.0, -1.0]), np.array([0.0, 2.0, 5.0]), np.full(3, np.inf))
    for size in (-1e6, 1e6):
        for variance in (0.0, 1e6):
            mean, v = np.full((1, 3), size), np.full((1, 3), variance)
            assert np.isfinite(link.backward(mean, v)).all()
            assert np.isfinite(link.backward_variance(mean, v)).all()


def test_means_far_from_the_rows_are_not_those_of_a_tail():
    """Masks of one size tell little of all tasks together: that is no reason to predict a loss of 10^4."""
    rng = np.random.default_rng(0)
    effects = rng.exponential(0.5, 8)
    X = ip.masks.fixed_size(8, 40, 5, rng)
    y = np.exp(0.5 - X @ effects + 0.05 * rng.normal(size=40))
    fitted = LinearSurrogate(1e-4, links=("log",)).fit(X, y)
    (mean,), (deviation,) = fitted.predict(np.ones((1, 8)), return_std=True)
    truth = np.exp(0.5 - effects.sum())
    assert abs(mean - truth) < y.max() - y.min()
    assert abs(mean - truth) < deviation < 20.0 * np.ptp(y)
    reading = readings.leave_one_out(fitted)
    assert np.corrcoef(reading.mean[:, 0], truth * (1.0 - np.exp(effects)))[0, 1] > 0.99
    assert np.abs(reading.mean).max() < np.ptp(y)
    assert_allclose(reading.mean[0], fitted.predict(np.ones((1, 8))) - fitted.predict(1.0 - np.eye(8)[:1]), rtol=1e-9)


def test_moments_grow_without_a_jump_where_they_cease_to_be_lognormal():
    link = Link(np.array([1.0, -1.0]), np.array([0.0, 2.0]), np.array([0.3, 0.0]))
    v = np.array([[0.3 - 1e-9], [0.3 + 1e-9], [5.0], [10.0]])
    size, variance = link.size(np.zeros(2), v), link.backward_variance(np.zeros(2), v)
    assert_allclose(size[:, 0], np.exp(0.15))
    assert_allclose(size[:, 1], 1.0)
    assert_allclose(variance[0], variance[1], rtol=1e-6)
    assert_allclose(variance[0, 0], np.exp(0.3) * np.expm1(0.3), rtol=1e-6)
    assert_allclose(variance[3], 2.0 * variance[2])


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 30.0))
def test_covariances_far_from_the_rows_are_covariances(seed, scale):
    root = np.random.default_rng(seed).normal(size=(4, 4))
    V = scale * root @ root.T
    link = Link(np.ones(1), np.zeros(1), np.array([0.5]))
    C = link.relative(V.diagonal().max()[None], V[..., None])[..., 0]
    assert np.linalg.eigvalsh(C).min() >= -1e-9 * np.abs(C).max()
    assert_allclose(C, C.T)


def test_a_far_target_beside_one_with_a_link(data):
    """A target in large numbers, even one that never changes, is not put through the exponential of its neighbour."""
    X, y = data
    y = np.column_stack([np.full(M, 1000.0), 1000.0 * y[:, 0], np.exp(y[:, 1])])
    fitted = LinearSurrogate(links=("identity", "log")).fit(X, y)
    assert fitted.link_.log[2]
    assert np.isfinite(fitted.predict(1 - X, return_std=True)).all()
    assert np.isfinite(readings.leave_one_out(fitted).deviation).all()


def test_links_of_all_targets_from_those_of_some():
    some = Link(np.array([1.0, -1.0]), np.array([0.5, 9.0]), np.array([0.1, 0.2]))
    link = picked([(some, np.array([1, 3]))], np.zeros(4, int))
    assert link.sign.tolist() == [0, 1, 0, -1]
    assert link.bound.tolist() == [0, 0.5, 0, 9]
    assert link.log.tolist() == [False, True, False, True]
    assert link[[3, 0]].sign.tolist() == [-1, 0]


SURROGATES = (KernelSurrogate, lambda **more: LinearSurrogate(0.0, **more), LinearSurrogate)


@pytest.mark.parametrize("make", SURROGATES)
@pytest.mark.parametrize(
    ("links", "match"),
    [
        (("sqrt",), "sqrt.*identity"),
        ("log", "links='log'"),
        ((), r"links=\(\)"),
        (("log",), r"links=\('log',\), but target 1 has the value -1.*identity"),
        (("floor",), r"links=\('floor',\), but target 2 never changes.*identity"),
    ],
)
def test_links_that_cannot_be_are_named(data, make, links, match):
    X, y = data
    y = np.column_stack([np.exp(y[:, 0]), y[:, 1] - y[:, 1].min() - 1, np.ones(M)])
    with pytest.raises(ValueError, match=match):
        make(links=links).fit(X, y)


def test_directions_for_another_number_of_targets_are_named(data):
    with pytest.raises(ValueError, match="higher_is_better"):
        KernelSurrogate(**FIXED, links=("floor",), higher_is_better=[True, False, True]).fit(*data)


# ---------------------------------------------------------------- which is taken


def test_log_link_is_taken_where_the_target_is_multiplicative(rng):
    X = (rng.random((80, 6)) < 0.5).astype(float)
    additive = 5 + X @ rng.normal(size=6)
    w = 1.5 * rng.normal(size=6)
    multiplicative = np.exp(1 + X @ w)
    y = np.column_stack([additive, multiplicative]) * (1 + 0.01 * rng.normal(size=(80, 2)))
    for surrogate in (LinearSurrogate(links=("identity", "log")), KernelSurrogate(links=("identity", "log"))):
        fitted = surrogate.fit(X, y)
        assert fitted.link_.sign.tolist() == [0, 1]
        assert fitted.link_.bound.tolist() == [0, 0]
        new = every_mask(6)
        error = np.abs(fitted.predict(new)[:, 1] - np.exp(1 + new @ w))
        assert error.mean() < 0.05 * multiplicative.mean()  # in the target's own unit


def test_floors_and_ceilings_are_taken_where_targets_saturate(rng):
    X = (rng.random((80, 6)) < 0.5).astype(float)
    gain = X @ [1.2, 0.9, 0.7, 0.5, 0.4, 0.2]
    y = np.column_stack([1.0 + np.exp(-gain), 0.8 - 0.5 * np.exp(-gain), gain])
    y += 0.002 * np.ptp(y, axis=0) * rng.normal(size=(80, 3))
    new, bend = every_mask(6), np.exp(-(every_mask(6) @ [1.2, 0.9, 0.7, 0.5, 0.4, 0.2]))
    for surrogate in (LinearSurrogate(links="auto"), KernelSurrogate(kernel="rbf")):
        fitted = clone(surrogate).set_params(higher_is_better=[False, True, False]).fit(X, y)
        link = fitted.link_
        assert link.sign.tolist() == [1, -1, 0]
        assert link.bound[0] < y[:, 0].min()
        assert link.bound[1] > y[:, 1].max()
        mean = fitted.predict(new)
        plain = clone(surrogate).set_params(links=("identity",)).fit(X, y).predict(new)
        for t, truth in enumerate((1.0 + bend, 0.8 - 0.5 * bend)):
            assert np.abs(mean[:, t] - truth).mean() < np.abs(plain[:, t] - truth).mean()
        assert (mean[:, 0] > link.bound[0]).all()  # nothing is predicted beyond a bound
        assert (mean[:, 1] < link.bound[1]).all()


# ---------------------------------------------------------------- predictions and readings


def test_log_link_predicts_lognormal_means(data):
    X, y = data
    y = np.exp(y / 5)
    fitted = KernelSurrogate(0.2, 0.1, 0.0, links=("log",)).fit(X, y)
    plain = KernelSurrogate(0.2, 0.1, 0.0, **PLAIN).fit(X, np.log(y))
    for noise in (False, True):
        z, s = plain.predict(1 - X, return_std=True, noise=noise)
        mean, deviation = fitted.predict(1 - X, return_std=True, noise=noise)
        z_of_g, s_of_g = plain.predict(1 - X, return_std=True)
        assert_allclose(mean, np.exp(z_of_g + s_of_g**2 / 2), rtol=1e-9)  # noise widens, it does not shift g
        assert_allclose(deviation, np.exp(z + s**2 / 2) * np.sqrt(np.expm1(s**2)), rtol=1e-9)


LINKED = {
    "identity": ("identity",),
    "floor": ("floor",),
    "either": ("identity", "floor"),
}
ESTIMATORS = {
    "rbf": KernelSurrogate(**FIXED),
    "rbf cv": KernelSurrogate(kernel="rbf"),
    "least squares": LinearSurrogate(0.0),
    "ridge cv": LinearSurrogate(),
}


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("linked", LINKED)
def test_affine_maps_of_a_target_do_not_matter(bent, linked, name, up):
    """Also the map that turns a loss into a score, if its direction is turned with it."""
    X, y = bent
    make = lambda up: clone(ESTIMATORS[name]).set_params(links=LINKED[linked], higher_is_better=up)
    mean, deviation = make(up).fit(X, y).predict(1 - X, return_std=True)
    for scale, shift in ((1e3, 0.0), (0.01, 5.0), (-2.0, 1.0)):
        other, others = make(up if scale > 0 else not up).fit(X, scale * y + shift).predict(1 - X, return_std=True)
        assert_allclose(other, scale * mean + shift, rtol=1e-6, atol=1e-6 * abs(scale))
        assert_allclose(others, abs(scale) * deviation, rtol=1e-5)


def joint_posterior(fitted, points):
    """Means and covariances of g at points in the unit of the link, of every target."""
    found = {}
    for fit in fitted.fits_:
        rows, post = fit.kernel.matrix(points, fitted.X_), fit.posterior
        shared = post.constant_variance - (rows @ post.constant)[:, None] - (rows @ post.constant)[None]
        covariance = fit.kernel.matrix(points, points) - rows @ post.precision @ rows.T + shared
        mean = post.mean(rows, 1.0)
        found |= {t: (mean[:, i], covariance * post.amplitude[i]) for i, t in enumerate(fit.targets.tolist())}
    return [found[t] for t in range(fitted.n_targets_)]


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_points_come_back_as_the_moments_of_draws(bent, rng, up, order):
    X, y = bent
    y = 5.0 - y if up else y
    fitted = KernelSurrogate(**FIXED, links=("floor",), higher_is_better=up).fit(X, y)
    link = fitted.link_
    assert link.sign.tolist() == [-1.0 if up else 1.0] * 2
    full = np.ones(K)
    if order == 1:
        points, signs, found, n = [full, full - np.eye(K)[2]], [1, -1], readings.leave_one_out(fitted), 2
    else:
        out = np.eye(K)
        points = [full, full - out[0], full - out[1], full - out[0] - out[1]]
        signs, found, n = [1, -1, -1, 1], readings.leave_one_out_pairs(fitted), 0
    for t, (mean, covariance) in enumerate(joint_posterior(fitted, np.array(points))):
        z = rng.multivariate_normal(mean, covariance, size=400_000)
        drawn = (link.bound[t] + link.sign[t] * np.exp(z)) @ signs
        assert_allclose(found.mean[n, t], drawn.mean(), atol=5 * drawn.std() / np.sqrt(len(drawn)))
        assert_allclose(found.deviation[n, t], drawn.std(), rtol=0.02)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("name", ["shapley", "banzhaf"])
def test_semivalues_under_a_bound_are_those_of_the_prediction(bent, rng, name, up):
    X, y = bent
    y = 5.0 - y if up else y
    fitted = KernelSurrogate(0.2, 0.01, 0.1, links=("floor",), higher_is_better=up).fit(X, y)
    F = fitted.predict(every_mask(K))
    asked = readings.question(X, "mask", name)
    single, pair = shapley_weight(K, 1), shapley_weight(K, 2)
    if name == "banzhaf":
        single, pair = lambda n: 0.5 ** (K - 1), lambda n: 0.5 ** (K - 2)
    found = asked.effects(fitted)
    assert asked.own_unit(fitted)
    assert_allclose(found.mean, [brute_average(F, K, (k,), single) for k in range(K)], rtol=1e-9, atol=1e-12)
    assert_allclose(asked.pairs(fitted).mean[0], brute_average(F, K, (0, 1), pair), rtol=1e-9, atol=1e-12)
    mean, covariance = joint_posterior(fitted, every_mask(K))[0]
    draws = fitted.link_.sign[0] * np.exp(rng.multivariate_normal(mean, covariance, size=20_000))
    drawn = np.array([brute_average(draws.T, K, (k,), single) for k in range(K)])
    assert_allclose(found.deviation[:, 0], drawn.std(axis=1), rtol=0.1)  # to first order


def test_readings_rise_with_the_target(bent):
    """Under a ceiling z falls as the target rises; readings are of g's own direction, in per cent of the gap."""
    X, y = bent
    loss = KernelSurrogate(**FIXED, links=("floor",)).fit(X, y)
    score = KernelSurrogate(**FIXED, links=("floor",), higher_is_better=True).fit(X, -y)
    for reading in (readings.shapley, readings.banzhaf_pairs, readings.gradient, lambda s: readings.swap(s, 2)):
        one, other = reading(loss), reading(score)
        assert_allclose(other.mean, -one.mean, atol=1e-9)
        assert_allclose(other.deviation, one.deviation, rtol=1e-8)
        assert_allclose(other.prior, one.prior, rtol=1e-8)
    assert_allclose(readings.shapley(loss, intervals=False).mean, readings.shapley(loss).mean, atol=1e-9)
    assert_allclose(readings.shapley(score, intervals=False).mean, readings.shapley(score).mean, atol=1e-9)


def test_targets_of_several_links_are_read_each_in_its_own(bent):
    X, y = bent
    together = np.column_stack([X @ np.arange(1.0, K + 1), y[:, 0], 9.0 - y[:, 1]])
    up = [False, False, True]
    fitted = KernelSurrogate(**FIXED, links=("identity", "floor"), higher_is_better=up).fit(X, together)
    assert fitted.link_.sign[0] == 0
    assert (fitted.link_.sign[1:] != 0).any()
    alone = [
        KernelSurrogate(**FIXED, links=("identity", "floor"), higher_is_better=up[t]).fit(X, together[:, t])
        for t in range(3)
    ]
    for reading in (readings.leave_one_out, readings.leave_one_out_pairs, readings.shapley, readings.gradient):
        both, each = reading(fitted), [reading(s) for s in alone]
        for field in ("mean", "deviation", "prior"):
            expected = np.column_stack([getattr(r, field)[:, 0] for r in each])
            assert_allclose(getattr(both, field), expected, rtol=1e-6, atol=1e-9)
    asked = readings.question(X, "mask", "banzhaf")
    both, each = asked.effects(fitted), [asked.effects(s) for s in alone]
    assert_allclose(both.mean, np.column_stack([r.mean[:, 0] for r in each]), rtol=1e-6, atol=1e-9)
    assert_allclose(both.deviation, np.column_stack([r.deviation[:, 0] for r in each]), rtol=1e-6, atol=1e-9)


def test_many_points_are_read_in_parts(bent, monkeypatch):
    X, y = bent
    fitted = KernelSurrogate(**FIXED, links=("floor",)).fit(X, y)
    whole = readings.leave_one_out_pairs(fitted)
    monkeypatch.setattr("interplay.readings.functional.CHUNK", 6)
    parts = readings.leave_one_out_pairs(fitted)
    for field in ("mean", "deviation", "prior"):
        assert_allclose(getattr(parts, field), getattr(whole, field), rtol=1e-10)
