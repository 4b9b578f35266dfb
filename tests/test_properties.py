"""What must hold for every game: invariants of readings, and of what the surrogates make of them."""

from itertools import combinations

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from tests.helpers import every_mask, runs

settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")

SINGLE = (
    readings.shapley,
    readings.banzhaf,
    readings.leave_one_out,
    lambda s: readings.swap(s, max(s.n_features_in_ // 2, 1)),
    readings.gradient,
)
PAIRS = (
    readings.shapley_pairs,
    readings.banzhaf_pairs,
    readings.leave_one_out_pairs,
    lambda s: readings.swap_pairs(s, max(s.n_features_in_ // 2, 2)),
)


@st.composite
def surrogates(draw):
    """One kernel, given in numbers: choices among kernels must not hide what holds for each of them."""
    if draw(st.booleans()):
        return LinearSurrogate(draw(st.sampled_from([0.0, 0.1, 5.0])), constant=draw(st.booleans()))
    return KernelSurrogate(
        gamma=draw(st.floats(1e-3, 3.0)),
        alpha=draw(st.floats(1e-3, 10.0)),
        linear=draw(st.sampled_from([0.0, 0.3])),
        links=("identity",),
        constant=draw(st.booleans()),
    )


@st.composite
def designs(draw, least=4):
    """Masks of K tasks with values that are sums, products and noise, and the generator that drew them."""
    K = draw(st.integers(least, 7))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    X, y = runs(K, draw(st.integers(6, 30)), rng, p=draw(st.sampled_from([0.4, 0.7, 0.9])))
    return X, y, rng


def pair_matrix(values, K):
    """Pairs (n, T) in the order of `combinations` as a symmetric array (K, K, T)."""
    out = np.zeros((K, K, values.shape[1]))
    for (k, l), v in zip(combinations(range(K), 2), values, strict=True):
        out[k, l] = out[l, k] = v
    return out


@given(surrogates(), designs())
def test_efficiency(surrogate, data):
    """Shapley values share out g(all) - g(none); every other reading has its own sum."""
    X, y, _ = data
    K = X.shape[1]
    fitted = surrogate.fit(X, y)
    g = fitted.predict(np.vstack([np.ones(K), np.zeros(K)]))
    scale = 1 + np.abs(y).max()
    assert_allclose(readings.shapley(fitted).mean.sum(axis=0), g[0] - g[1], atol=1e-9 * scale)
    # pairs of all tasks, by telescoping: sum_l I_kl = (effect of k last) - (effect of k first), mean over orders
    last = readings.banzhaf(fitted, p=1.0).mean
    assert_allclose(last, readings.leave_one_out(fitted).mean, atol=1e-9 * scale)
    first = readings.banzhaf(fitted, p=0.0).mean
    inner = pair_matrix(readings.shapley_pairs(fitted).mean, K).sum(axis=1)
    assert_allclose(inner, last - first, atol=1e-8 * scale)


@given(surrogates(), designs())
def test_linearity_in_the_values(surrogate, data):
    X, y, rng = data
    a, b = rng.normal(size=2)
    both = np.column_stack([y, a * y[:, 0] + b * y[:, 1]])
    fitted = surrogate.fit(X, both)
    for reading in SINGLE + PAIRS:
        found = reading(fitted).mean
        assert_allclose(found[:, 2], a * found[:, 0] + b * found[:, 1], atol=1e-8)


@given(surrogates(), designs(), st.booleans())
def test_order_of_tasks_and_of_runs_does_not_matter(surrogate, data, told):
    """Nor that of what is told of the runs: their seeds and their noise."""
    X, y, rng = data
    K, m = X.shape[1], len(X)
    order, rows = rng.permutation(K), rng.permutation(m)
    seeds, noise = (rng.integers(0, 2, m), rng.uniform(0.5, 2.0, m)) if told else (np.zeros(m), np.ones(m))
    one = {r: r(surrogate.fit(X, y, seeds=seeds, noise=noise)) for r in SINGLE + PAIRS}
    fitted = surrogate.fit(X[rows][:, order], y[rows], seeds=seeds[rows], noise=noise[rows])
    for reading in SINGLE:
        other = reading(fitted)
        assert_allclose(one[reading].mean[order], other.mean, atol=1e-7)
        assert_allclose(one[reading].deviation[order], other.deviation, atol=1e-6)
    for reading in PAIRS:
        for name, tolerance in (("mean", 1e-7), ("deviation", 1e-6)):
            before, after = (pair_matrix(getattr(r, name), K) for r in (one[reading], reading(fitted)))
            assert_allclose(before[order][:, order], after, atol=tolerance)


@given(surrogates(), designs())
def test_symmetry_of_duplicates(surrogate, data):
    """Two columns that always switch together have equal effects and equal pairs with every other task."""
    X, y, _ = data
    X = np.column_stack([X, X[:, 1]])
    K = X.shape[1]
    fitted = surrogate.fit(X, y)
    for reading in SINGLE:
        found = reading(fitted)
        for values in (found.mean, found.deviation, found.prior):
            assert_allclose(values[1], values[-1], atol=1e-7)
    for reading in PAIRS:
        pairs = pair_matrix(reading(fitted).mean, K)
        others = [k for k in range(K) if k not in (1, K - 1)]
        assert_allclose(pairs[1][others], pairs[-1][others], atol=1e-7)


@given(surrogates(), designs())
def test_symmetry_of_exchangeable_tasks(surrogate, data):
    """Runs mirrored in two tasks, with the same values: the two have the same effect."""
    X, y, _ = data
    mirrored = X.copy()
    mirrored[:, [0, 2]] = X[:, [2, 0]]
    fitted = surrogate.fit(np.vstack([X, mirrored]), np.vstack([y, y]))
    for reading in SINGLE:
        values = reading(fitted).mean
        assert_allclose(values[0], values[2], atol=1e-7)


@given(surrogates(), designs())
def test_null_player(surrogate, data):
    """A task with which every run was repeated, at no difference, has no effect and no pair.

    Not so without a constant, where a coefficient makes up for it.
    """
    X, y, _ = data
    K = X.shape[1] + 1
    X = np.vstack([np.column_stack([X, np.zeros(len(X))]), np.column_stack([X, np.ones(len(X))])])
    assume(surrogate.constant)
    fitted = surrogate.fit(X, np.vstack([y, y]))
    for reading in (readings.shapley, readings.banzhaf, readings.leave_one_out):
        assert_allclose(reading(fitted).mean[-1], 0.0, atol=1e-7)
    null_pairs = [K - 1 in pair for pair in combinations(range(K), 2)]
    for reading in (readings.shapley_pairs, readings.banzhaf_pairs, readings.leave_one_out_pairs):
        assert_allclose(reading(fitted).mean[null_pairs], 0.0, atol=1e-7)


@given(designs(), st.floats(1e-3, 10.0))
def test_a_task_that_never_switches_cannot_be_told(data, alpha):
    """Always off: of its coefficient the posterior knows no more than the prior does."""
    X, y, _ = data
    X[:, 0] = 0.0
    fitted = LinearSurrogate(alpha).fit(X, y)
    found = readings.leave_one_out(fitted)
    assert_allclose(found.mean[0], 0.0, atol=1e-12)
    assert_allclose(found.deviation[0], found.prior[0], rtol=1e-9)


@given(surrogates(), designs())
def test_intervals_are_never_wider_than_the_prior(surrogate, data):
    X, y, _ = data
    fitted = surrogate.fit(X, y)
    for reading in SINGLE + PAIRS:
        found = reading(fitted)
        assert (found.deviation >= 0).all()
        assert (found.deviation <= found.prior * (1 + 1e-6) + 1e-7).all()


@given(surrogates(), designs())
def test_points_and_intervals_agree_on_the_mean(surrogate, data):
    X, y, _ = data
    fitted = surrogate.fit(X, y)
    for reading in (readings.shapley, readings.banzhaf, readings.shapley_pairs, readings.banzhaf_pairs):
        with_them, without = reading(fitted), reading(fitted, intervals=False)
        assert_allclose(with_them.mean, without.mean, atol=1e-9)
        assert np.isnan(without.deviation).all()


@given(arrays(float, 4, elements=st.floats(-2, 2)))
def test_additive_games_are_read_exactly(w):
    """Least squares on a full design: every single effect is the coefficient, every pair is 0."""
    X, y = every_mask(4), 1.0 + every_mask(4) @ w
    fitted = LinearSurrogate(0.0).fit(X, y)
    for reading in SINGLE:
        swap = reading is SINGLE[3]  # the mean effect of the others goes out
        expected = w - swap * (w.sum() - w) / 3
        assert_allclose(reading(fitted).mean[:, 0], expected, atol=1e-9)
    for reading in PAIRS:
        assert_allclose(reading(fitted).mean, 0.0, atol=1e-9)


@given(designs(), st.integers(0, 10**6))
def test_contrasts_compose(data, seed):
    """g(a) - g(b) plus g(b) - g(c) is g(a) - g(c), and a group of one is leave-one-out."""
    X, y, _ = data
    K = X.shape[1]
    fitted = KernelSurrogate(0.3, 0.1, 0.2, links=("identity",)).fit(X, y)
    a, b, c = (np.random.default_rng(seed).random((3, K)) < 0.5).astype(float)
    ab, bc, ac = (readings.contrast(fitted, *pair).mean for pair in ((a, b), (b, c), (a, c)))
    assert_allclose(ab + bc, ac, atol=1e-9)
    groups = readings.leave_group_out(fitted, np.eye(K))
    one = readings.leave_one_out(fitted)
    assert_allclose(groups.mean, one.mean, atol=1e-10)
    assert_allclose(groups.deviation, one.deviation, atol=1e-10)
