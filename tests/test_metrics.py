"""Scores against scipy and against numbers worked out by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

from interplay import Evaluations, masks, metrics


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(-5, 5), st.floats(-1e3, 1e3)), min_size=3, max_size=30).filter(
        lambda p: len({a for a, _ in p}) > 1 and np.ptp([b for _, b in p]) > 1e-6
    )
)
def test_correlations_equal_scipy(pairs):
    a, b = np.array(pairs, dtype=float).T
    assert metrics.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert metrics.pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)


def test_constant_short_and_missing_input_is_nan_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for score in (metrics.spearman, metrics.pearson):
            assert np.isnan(score([1, 1, 1], [1, 2, 3]))
            assert np.isnan(score([1, 2, 3], [0.1, 0.1, 0.1]))
            assert np.isnan(score([], []))
            assert np.isnan(score([1], [2]))
            assert np.isnan(score([0, 0], [0, 0]))
            assert score([1, 2, np.nan, 3], [1, 2, 0, np.nan]) == pytest.approx(1)
        assert np.isnan(metrics.r2([1, 1], [1, 2]))
        assert np.isnan(metrics.r2([], []))
        assert np.isnan(metrics.relative_error([0, 0], [1, 2]))
        assert np.isnan(metrics.lds([[1], [1]], [[1], [2]]))
        assert np.isnan(metrics.coverage([np.nan], [0], [1]))
        assert np.isnan(metrics.interval_score([np.nan], [0], [1]))
        assert np.isnan(metrics.paired_difference([], []).mean)
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        metrics.spearman([1, 2], [1, 2, 3])


def test_columns(rng):
    y, p = rng.random((20, 3)), rng.random((20, 3))
    np.testing.assert_allclose(metrics.spearman(y, p), [stats.spearmanr(y[:, t], p[:, t])[0] for t in range(3)])
    np.testing.assert_allclose(metrics.r2(y, p), r2_score(y, p, multioutput="raw_values"))
    np.testing.assert_allclose(metrics.relative_error(y, p), np.mean(np.abs(p - y) / y, axis=0))
    assert metrics.lds(y, p) == pytest.approx(np.mean(metrics.spearman(y, p)))
    assert metrics.lds(y[:, 0], p[:, 0]) == pytest.approx(metrics.spearman(y[:, 0], p[:, 0]))


def test_intervals():
    assert metrics.coverage([1, 2, 3, 4], [0, 0, 3, 5], [2, 1, 3, 6]) == 0.5
    assert metrics.interval_score([1, 2, 3], [0, 0, 0], [2, 2, 2], level=0.9) == pytest.approx(2 + 20 / 3)
    with pytest.raises(ValueError, match="level is 1"):
        metrics.interval_score([1], [0], [2], level=1)


def test_reliability_recovers_the_share_of_signal(rng):
    K, n = 4000, 8
    signal = rng.normal(size=K)
    effects = signal + rng.normal(scale=2, size=(n, K))
    assert metrics.reliability(effects) == pytest.approx(n / (n + 4), abs=0.02)
    assert metrics.reliability(effects[:5]) == pytest.approx(5 / 9, abs=0.03)
    reached = metrics.pearson(effects.mean(axis=0), signal)
    assert metrics.ceiling(metrics.reliability(effects)) == pytest.approx(reached, abs=0.02)


def test_reliability_of_two_seeds_is_spearman_brown(rng):
    a, b = rng.normal(size=(2, 30))
    r = metrics.pearson(a, a + b)
    assert metrics.reliability([a, a + b]) == pytest.approx(2 * r / (1 + r))
    assert metrics.reliability([a, a + b], method=metrics.spearman) != metrics.reliability([a, a + b])


def test_reliability_shapes_and_gaps(rng):
    effects = rng.normal(size=(6, 10, 2)) + rng.normal(size=(10, 2))
    by_target = metrics.reliability(effects)
    assert by_target.shape == (2,)
    assert by_target[1] == metrics.reliability(effects[:, :, 1])
    effects[5, 3, 0] = np.nan
    assert metrics.reliability(effects)[0] == metrics.reliability(effects[:5, :, 0])
    assert np.isnan(metrics.reliability(effects[:1, :, 0]))
    assert np.isnan(metrics.reliability(np.ones((4, 5))))
    many = rng.normal(size=(20, 50)) + rng.normal(size=50)
    assert metrics.reliability(many) == metrics.reliability(many)
    assert metrics.reliability(many, rng=rng) == pytest.approx(metrics.reliability(many), abs=0.02)
    with pytest.raises(ValueError, match="shape"):
        metrics.reliability([1, 2])
    np.testing.assert_array_equal(metrics.ceiling([0.25, -0.1]), [0.5, 0])


def test_paired_difference(rng):
    a, b = rng.normal(size=(2, 12))
    found = metrics.paired_difference([*a, np.nan], [*b, 1])
    reference = stats.ttest_rel(a, b)
    assert found.mean / found.se == pytest.approx(reference.statistic)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)))
    assert np.isnan(metrics.paired_difference([1], [0]).se)
    with pytest.raises(ValueError, match="give pairs"):
        metrics.paired_difference([1], [1, 2])
    boot = metrics.paired_bootstrap(a, b, rng)
    assert boot.mean == pytest.approx(found.mean)
    assert boot.se == pytest.approx(found.se, rel=0.15)
    assert boot.low < boot.mean < boot.high
    assert np.isnan(metrics.paired_bootstrap([], [], rng).mean)


def leave_one_out_runs(effects, seeds, full_seeds, noise, *, notes=None, stated=True):
    """Runs of a loss and a score: seed s adds noise[s] to all masks alike, effects[k] is lost without task k."""
    K = len(effects)
    rows, values, seed = [], [], []
    for s in full_seeds:
        rows.append(np.ones(K))
        values.append([1 + noise[s], 5 - noise[s]])
        seed.append(s)
    for s in seeds:
        rows.extend(1 - np.eye(K))
        values.extend([1 + noise[s] + e, 5 - noise[s] - 2 * e] for e in effects)
        seed.extend([s] * K)
    return Evaluations.from_arrays(
        rows, values, targets=["loss", "acc"], seed=seed if stated else None, notes=notes, fidelity="retrained"
    )


EFFECTS = np.array([0.3, -0.1, 0.0, 0.7])
NOISE = [0.0, 10.0, -4.0, 100.0]


def test_leave_one_out_effects_are_differences_within_seeds():
    runs = leave_one_out_runs(EFFECTS, [0, 1, 2], [0, 1, 2, 3], NOISE, notes={"coupled": True})
    found = metrics.leave_one_out_effects(runs)
    np.testing.assert_allclose(found.effects, np.column_stack([EFFECTS, 2 * EFFECTS]), atol=1e-12)
    assert found.per_seed.shape == (3, 4, 2)
    assert found.seeds.tolist() == [0, 1, 2]
    assert found.coupled
    np.testing.assert_allclose(found.se, 0, atol=1e-12)
    np.testing.assert_allclose(found.reliability, 1)
    np.testing.assert_allclose(found.ceiling, 1)


def test_leave_one_out_effects_fall_back_on_the_mean_of_the_full_mask():
    runs = leave_one_out_runs(EFFECTS, [0, 1, 2], [0, 2], NOISE)
    found = metrics.leave_one_out_effects(runs)
    np.testing.assert_allclose(found.per_seed[0, :, 0], EFFECTS, atol=1e-12)
    np.testing.assert_allclose(found.per_seed[1, :, 0], EFFECTS + 10 + 2, atol=1e-12)
    np.testing.assert_allclose(found.effects, found.per_seed.mean(axis=0))
    uncoupled = metrics.leave_one_out_effects(
        leave_one_out_runs(EFFECTS, [0, 1, 2], [0, 1, 2, 3], NOISE, notes={"coupled": False})
    )
    assert not uncoupled.coupled
    mean = np.mean(NOISE[:3]) - np.mean(NOISE)
    np.testing.assert_allclose(uncoupled.effects[:, 0], EFFECTS + mean, atol=1e-12)


def test_leave_one_out_effects_of_repeats_without_seeds():
    runs = leave_one_out_runs(EFFECTS, [0, 1], [0, 1, 2], NOISE, stated=False)
    found = metrics.leave_one_out_effects(runs)
    assert not found.coupled
    assert found.per_seed.shape == (2, 4, 2)
    np.testing.assert_allclose(found.effects[:, 0], EFFECTS + 5 - 2, atol=1e-12)


def test_leave_one_out_effects_with_gaps():
    runs = leave_one_out_runs(EFFECTS, [0, 1], [0, 1], NOISE)
    part = runs.filter(runs.masks[:, 2] == 1) + runs[:1]
    found = metrics.leave_one_out_effects(part)
    assert np.isnan(found.effects[2]).all()
    np.testing.assert_allclose(found.effects[[0, 1, 3], 0], EFFECTS[[0, 1, 3]], atol=1e-12)
    one = metrics.leave_one_out_effects(runs.where(seed=0))
    assert np.isnan(one.se).all()
    assert np.isnan(one.ceiling).all()
    more = runs + Evaluations.from_arrays(masks.leave_two_out(4)[5:], np.zeros((6, 2)), targets=["loss", "acc"], seed=0)
    np.testing.assert_allclose(metrics.leave_one_out_effects(more).effects[:, 0], EFFECTS, atol=1e-12)


def test_what_is_no_truth(rng):
    runs = leave_one_out_runs(EFFECTS, [0], [0], NOISE)
    with pytest.raises(ValueError, match=r"no run of the full mask; masks.leave_one_out\(4\)"):
        metrics.leave_one_out_effects(runs[1:])
    with pytest.raises(ValueError, match="lacks exactly one task"):
        metrics.leave_one_out_effects(runs[:1])
    with pytest.raises(ValueError, match="kind 'mixture'"):
        metrics.leave_one_out_effects(Evaluations.from_arrays(masks.dirichlet(3, 5, rng), np.zeros(5)))
    mixed = runs + Evaluations.from_arrays(
        runs.masks, runs.values, targets=["loss", "acc"], seed=runs.seed, fidelity="estimated"
    )
    with pytest.raises(ValueError, match="fidelities estimated, retrained"):
        metrics.leave_one_out_effects(mixed)
