"""Pairs named at a controlled rate: the algebra against dense regressions, and what is named in games."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from interplay.readings import Reading
from interplay.readings.discoveries import LEAST, discover, reliability
from interplay.readings.spike_slab import SLAB, Pairs
from tests.helpers import every_mask

P = 6
PAIRS = list(combinations(range(P), 2))


def game(rng, P=P, m=60, strong=2.0):
    X = every_mask(P)[rng.permutation(2**P)[:m]]
    return X, X @ rng.normal(size=P) + strong * X[:, 0] * X[:, 3] + 0.3 * rng.normal(size=m)


def design(X, members=()):
    return np.column_stack([np.ones(len(X)), X, *(X[:, k] * X[:, l] for k, l in members)])


def test_a_strong_pair_is_named_and_its_size_is_that_of_least_squares(rng):
    X, y = game(rng)
    found = discover(X, y)
    assert [PAIRS[n] for n in np.flatnonzero(found.named[:, 0])] == [(0, 3)]
    coefficients = np.linalg.lstsq(design(X, [(0, 3)]), y, rcond=None)[0]
    assert_allclose(found.interaction[PAIRS.index((0, 3)), 0], coefficients[-1], rtol=1e-6)
    left = y - design(X, [(0, 3)]) @ coefficients
    inverse = np.linalg.inv(design(X, [(0, 3)]).T @ design(X, [(0, 3)]))
    error = np.sqrt(left @ left / (len(y) - P - 2) * inverse[-1, -1])
    assert found.sentence() == (
        "1 pair named at 5 % false discoveries (± half of the 95 % interval, each as if asked for alone): "
        f"task_0 + task_3 synergy ({coefficients[-1]:+.3g} ± {1.96 * error:.2g})."
    )


def test_statistics_are_those_of_dense_regressions(rng):
    """t and p of a pair that is not named: least squares with main effects, the named pairs and itself."""
    X, y = game(rng)
    found = discover(X, y)
    for n, pair in enumerate(PAIRS):
        A = design(X, [(0, 3)] if pair == (0, 3) else [(0, 3), pair])
        w = np.linalg.lstsq(A, y, rcond=None)[0]
        freedom = len(X) - A.shape[1]
        s2 = ((y - A @ w) ** 2).sum() / freedom
        t = w[-1] / np.sqrt(s2 * np.linalg.inv(A.T @ A)[-1, -1])
        assert_allclose(found.statistic[n, 0], t, rtol=1e-5)


def test_probabilities_are_those_of_all_models():
    """The sampler against the sum over all 2^N sets of few candidate pairs."""
    rng = np.random.default_rng(4)
    X, y = game(rng, m=40, strong=0.6)
    some = [(0, 3), (0, 1), (1, 2), (4, 5), (2, 5), (3, 4)]
    pairs = np.sort(np.array(some), axis=1)
    system = Pairs.of(X, pairs)
    rest = system.residual(y)
    r = system.products(rest / np.linalg.norm(rest))
    R = np.array([system.correlations(j) for j in range(len(some))])
    n, N = system.freedom, len(some)
    log_odds = np.log(min(9.0, n / 4.5, N / 5) / N)
    total, inside = 0.0, np.zeros(N)
    for size in range(N + 1):
        for A in combinations(range(N), size):
            a = list(A)
            K = np.eye(size) + SLAB**2 * R[np.ix_(a, a)]
            fit = r[a] @ np.linalg.solve(R[np.ix_(a, a)] + np.eye(size) / SLAB**2, r[a]) if size else 0.0
            weight = np.exp(size * log_odds - 0.5 * np.linalg.slogdet(K)[1] - n / 2 * np.log(1 - fit))
            total += weight
            inside[a] += weight
    free = np.zeros(0, dtype=np.int64)
    found = np.mean([system.sample(r, free, np.random.default_rng(s)) for s in range(5)], axis=0)
    assert_allclose(found, inside / total, atol=0.06)  # less what goes to the unlikelier sign
    assert (found <= inside / total + 0.03).all()


def test_correlations_are_those_of_residuals(rng):
    X, _ = game(rng)
    system = Pairs.of(X, np.array(PAIRS))
    A = design(X)
    F = np.column_stack([X[:, k] * X[:, l] for k, l in PAIRS])
    F -= A @ np.linalg.lstsq(A, F, rcond=None)[0]
    assert_allclose(system.norm, (F**2).sum(axis=0), rtol=1e-9)
    F /= np.linalg.norm(F, axis=0)
    assert_allclose([system.correlations(j) for j in range(len(PAIRS))], F.T @ F, atol=1e-9)


def test_few_additive_games_name_a_pair_and_few_names_are_false():
    named = wrong = right = games = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = (rng.random((48, 12)) < 0.5).astype(float)
        y = X @ rng.normal(size=12) + rng.normal(size=48)
        games += discover(X, y).named.any()
        found = discover(X, y + 6.0 * X[:, 2] * X[:, 7] - 6.0 * X[:, 1] * X[:, 7])
        names = {tuple(p) for p in found.pairs[found.named[:, 0]]}
        right += len(names & {(2, 7), (1, 7)})
        wrong += len(names - {(2, 7), (1, 7)})
        named += len(names)
    assert games <= 5  # of 40; 2 expected, 6 or more once in a hundred
    assert wrong <= 0.1 * named
    assert right >= 0.7 * 80


def test_directions_units_and_the_order_of_runs_do_not_matter(rng):
    X, y = game(rng)
    one = discover(X, y)
    down = discover(X, y, higher_is_better=False)
    assert_allclose(down.interaction, -one.interaction)
    assert_allclose(down.effects, -one.effects)
    assert_allclose(down.q, one.q)
    other = discover(X[::-1], 1e3 * (y[::-1] + 5.0))
    assert_allclose(other.interaction, 1e3 * one.interaction, rtol=1e-6)
    assert_allclose(other.q, one.q, atol=1e-6)
    assert_allclose(other.resolution, 1e3 * one.resolution, rtol=1e-6)


def test_large_main_effects_hide_no_pair(rng):
    X, y = game(rng)
    one, other = discover(X, y), discover(X, y + X @ (1e3 * rng.normal(size=P)))
    assert_allclose(other.q, one.q, atol=1e-5)


def test_runs_of_one_mask_are_averaged(rng):
    X, y = game(rng)
    assert_allclose(discover(np.vstack([X, X]), np.concatenate([y + 1, y - 1])).q, discover(X, y).q)


def test_many_targets_are_tables_of_their_own(rng):
    X, y = game(rng)
    several = discover(X, np.column_stack([y, np.ones(60), X.sum(axis=1)]))
    assert several.named.sum(axis=0).tolist() == [1, 0, 0]
    assert_allclose(several.q[:, 1:], 1.0)
    assert several.resolution[1] == 0
    assert several.sentence(1) == "No pair of 15 is named at 5 % false discoveries."


def test_combinations_that_were_hardly_run_are_not_tested(rng):
    X, y = game(rng)
    X[:, 1] = X[:, 0]
    found = discover(X, y)
    untested = np.isnan(found.q[:, 0])
    assert untested[PAIRS.index((0, 1))]
    assert "cannot be tested" in found.sentence()


def test_candidates(rng):
    X, y = game(rng)
    found = discover(X, y, candidates=[[3, 0], [1, 2]])
    assert found.pairs.tolist() == [[0, 3], [1, 2]]
    assert found.named[:, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X, y: (X[:12], y[:12]), rf"need {LEAST} or more degrees of freedom.*Run \d+ more"),
        (lambda X, y: (X / 2, y), "other than 0 and 1"),
        (lambda X, y: (X, np.where(np.arange(60) == 3, np.nan, y)), "y holds NaN"),
        (lambda X, y: (X, y[:-1]), r"X has shape \(60, 6\) and y \(59,\)"),
        (lambda X, y: (X[:, :1], y), "P >= 2"),
    ],
)
def test_bad_input_is_named(rng, change, match):
    with pytest.raises(ValueError, match=match):
        discover(*change(*game(rng)))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (dict(level=0.0), "level=0.0"),
        (dict(candidates=[[1, 1]]), "a pair that is none"),
        (dict(candidates=[[1, 2], [2, 1]]), "a pair twice"),
    ],
)
def test_bad_options_are_named(rng, more, match):
    with pytest.raises(ValueError, match=match):
        discover(*game(rng), **more)


def test_reliability_is_the_share_of_the_spread_that_is_no_error():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 1))
    seen = 0.8 * (truth + 0.5 * rng.normal(size=truth.shape))  # posterior means: shrunk by 1 / (1 + .25)
    reading = Reading(seen, np.full_like(seen, np.sqrt(0.2)), np.ones_like(seen))
    assert_allclose(reliability(reading), np.corrcoef(seen[:, 0], truth[:, 0])[0, 1] ** 2, atol=0.03)
    still = Reading(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((3, 1)))
    assert reliability(still).tolist() == [0.0]
