"""The best subset or mixture: what is left to gain, what may be true beside the fits, and when it says stop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, masks
from interplay.active import best, propose
from interplay.active.beliefs import Arms
from interplay.active.candidates import Region, among_rows, distinct
from interplay.active.opinions import OPINIONS, SURE, counted, left, opinions
from interplay.fitting import Design, checked, fit_design
from tests.test_active_proposals import rng

K = 6
EVERY = masks.all_subsets(K)[1:]


def runs_of(X, y, **how):
    return Evaluations.from_arrays(X, y, targets=["score"], higher_is_better=True, **how)


def arms_of(X, seed=-2, word="retrained"):
    return Arms(np.asarray(X, float), np.full(len(X), seed), np.full(len(X), word))


def held_of(runs, surrogate="ridge"):
    design = Design.of(checked(runs), None)
    predictor = fit_design(design, surrogate)
    return opinions(design, predictor), predictor


def game(seed, pairs=1.0, K=K):
    """Function of masks (n, K), linear with pairs, of standard deviation 1."""
    generator = rng(seed)
    X = masks.all_subsets(K)[1:]
    linear = X @ generator.normal(size=K)
    both = np.einsum("mk,ml,kl->m", X, X, np.triu(generator.normal(size=(K, K)), 1))
    y = linear / linear.std() + pairs * both / both.std()
    value = dict(zip(map(tuple, X.tolist()), (y - y.mean()) / y.std(), strict=True))
    return lambda rows: np.array([value[tuple(row)] for row in np.asarray(rows).tolist()])


# ---- opinions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2])
def test_an_opinion_is_the_posterior_of_its_gaussian_process(seeds):
    """Mean and covariances by brute force: flat levels as a very wide prior."""
    X = masks.bernoulli(K, 14, rng(1), p=0.5)
    seed = np.arange(14) % seeds
    y = X @ rng(2).normal(size=K) + 0.7 * seed + 0.1 * rng(3).normal(size=14)
    held, predictor = held_of(runs_of(X, y, seed=seed, notes={"coupled": True}))
    assert len(held) == OPINIONS
    H, points = np.eye(seeds)[seed], EVERY[::9]
    level = np.full((len(points), seeds), 1.0 / seeds)
    for one, _ in counted(held):
        b, wide = one.belief, 1e6
        A = b.kernel.matrix(X, X) + wide * H @ H.T + b.noise["retrained"] * np.eye(14)
        C = b.kernel.matrix(points, X) + wide * level @ H.T
        mean = C @ np.linalg.solve(A, one.u)
        np.testing.assert_allclose(one.mean(arms_of(points)), mean, rtol=1e-3, atol=1e-3)
        own = b.kernel.matrix(points, points) + wide * level @ level.T - C @ np.linalg.solve(A, C.T)
        np.testing.assert_allclose(b.covariance(arms_of(points), arms_of(points)), own, rtol=1e-3, atol=1e-3)
        upper = one.upper(arms_of(points), 2.0)
        np.testing.assert_allclose(upper, mean + 2.0 * np.sqrt(b.weight * np.diagonal(own)), rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(held[0].u, (y - predictor.centre) / predictor.spread)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(K)), st.floats(0.01, 100.0), st.floats(-50.0, 50.0), st.booleans())
def test_neither_unit_nor_order_nor_direction_changes_what_is_left(order, scale, shift, higher):
    X = masks.bernoulli(K, 16, rng(1), p=0.5)
    y = game(1)(X) + 0.1 * rng(2).normal(size=16)
    sign = 1.0 if higher else -1.0
    one = held_of(runs_of(X, y))[0]
    other = held_of(
        Evaluations.from_arrays(X[:, order], sign * scale * y + shift, targets=["y"], higher_is_better=higher)
    )[0]
    mine = left(one, arms_of(EVERY), 5, rng())
    again = left(other, arms_of(EVERY[:, order]), 5, rng())
    assert again.mean() == pytest.approx(mine.mean(), rel=0.1)
    assert np.quantile(again, SURE) == pytest.approx(np.quantile(mine, SURE), rel=0.15)


def test_repeats_tell_noise_from_interactions():
    """The same values: where masks are repeated and agree, what a line leaves over is no noise."""
    X = masks.bernoulli(K, 16, rng(4), p=0.5)
    y = game(3, pairs=2.0)(X)
    noise = lambda runs: np.median([one.noise for one in held_of(runs)[0]])
    again = runs_of(np.vstack([X, X]), np.append(y, y) + 0.01 * rng(5).normal(size=32))
    apart = runs_of(np.vstack([X, X]), np.append(y, y) + 1.0 * rng(5).normal(size=32))
    assert noise(again) < 0.05 < noise(apart)


def test_nothing_is_held_where_too_few_runs_have_all_targets():
    X = masks.bernoulli(K, 16, rng(1), p=0.5)
    values = np.column_stack([X @ np.arange(K), X @ np.arange(K)[::-1]]).astype(float)
    values[::2, 0], values[1::2, 1] = np.nan, np.nan
    runs = Evaluations.from_arrays(X, values, targets=["one", "two"], higher_is_better=True)
    assert held_of(runs)[0] == []
    out = propose(runs, "selection", 3, rng=rng())
    assert len(out) == 3
    assert out.before <= out.most


# ---- stopping -------------------------------------------------------------------------------------------------


def test_it_does_not_stop_where_interactions_look_like_noise():
    """Few runs, without repeats: ridge takes what it does not explain for noise."""
    early = []
    for seed in range(5):
        y = game(seed, pairs=2.0, K=10)
        X = masks.bernoulli(10, 12, rng(seed), p=0.5)
        X = X[X.any(axis=1)]
        out = propose(runs_of(X, y(X)), "selection", 4, rng=rng())
        assert out.before < out.most
        early.append(not out.worth_it)
    assert not any(early)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_it_stops_where_nothing_is_left_to_gain(noise):
    y = np.tile(EVERY @ [2.0, 1.5, -2.0, 1.0, -1.0, -1.5], 2)
    runs = runs_of(np.vstack([EVERY, EVERY]), y + noise * rng(1).normal(size=len(y)))
    out = propose(runs, "selection", 4, rng=rng())
    assert not out.worth_it
    assert "below the noise of a run" in out.sentences[1]
    assert "stop here, and verify the best mask" in out.sentences[1]


def test_little_that_a_batch_finds_is_no_reason_to_stop():
    """Much noise, few runs: something may be left, though two runs find little of it."""
    X = masks.bernoulli(10, 14, rng(1), p=0.5)
    y = game(1, K=10)(X) + 2.0 * rng(2).normal(size=14)
    out = propose(runs_of(X, y), "selection", 1, rng=rng())
    assert out.worth_it
    assert out.most > out.before > out.after
    assert "stop here" not in " ".join(out.sentences)


def test_what_is_under_way_takes_nothing_off_what_is_left():
    X = masks.bernoulli(K, 16, rng(1), p=0.5)
    runs = runs_of(X, game(1)(X) + 0.2 * rng(2).normal(size=16))
    under = arms_of(EVERY[10:40], seed=-1)
    one, other = (propose(runs, "selection", 2, rng=rng(), pending=p) for p in (None, under))
    assert (one.before, one.most) == (other.before, other.most)
    assert other.before - other.after < one.before - one.after


def test_many_candidates_of_ones_own():
    X = rng(1).dirichlet(np.ones(4), 16)
    runs = runs_of(X, np.exp(-3.0 * X[:, 0]) + 0.1 * rng(2).normal(size=16))
    own = rng(3).dirichlet(np.ones(4), 700)
    out = propose(runs, "selection", 2, rng=rng(), candidates=own)
    assert among_rows(out.masks, own).all()
    assert out.most >= out.before >= out.after


@pytest.mark.slow
def test_what_is_left_is_seldom_more_than_it_says():
    """Of 30 games of 8 tasks, a fifth at most has more left than what it says with 90 % probability."""
    beyond = []
    every = masks.all_subsets(8)[1:]
    for seed in range(30):
        generator, y = rng(100 + seed), game(seed, pairs=(0.0, 0.5, 1.5)[seed % 3], K=8)
        X = masks.bernoulli(8, (12, 24)[seed % 2], generator, p=0.5)
        X = X[X.any(axis=1)]
        values = y(X) + 0.3 * generator.normal(size=len(X))
        runs = runs_of(X, values)
        out = propose(runs, "selection", 2, rng=generator)
        held, predictor = held_of(runs, "auto")
        assert held
        chosen = predictor.best(every[:, predictor.players.first])
        beyond.append(y(every).max() - y(every[[chosen]])[0] > out.most)
    assert np.mean(beyond) <= 0.2


# ---- where it is looked for -----------------------------------------------------------------------------------


def test_the_pool_holds_what_may_be_best_beside_what_is_predicted_best():
    """Mixtures of few tasks and single tasks are looked at, though the runs are blends."""
    X = rng(1).dirichlet(np.full(4, 5.0), 20)
    centre = np.full(4, 0.25)

    def score(points):
        near = -((points - centre) ** 2).sum(axis=1)
        return near, points[:, 0]

    region = Region(tuple("abcd"), "mixture")
    points, mean = best.pool(X, "mixture", score, region, rng(), best.WIDE)
    assert best.POOL < len(points) == len(distinct(points)) <= best.POOL + best.WIDE
    assert among_rows(np.eye(4), points).all()
    assert points[:, 0].max() > 0.99
    assert np.abs(points[np.argmax(mean)] - centre).max() < 0.02
