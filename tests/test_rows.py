"""What a fit knows of its rows: groups, levels of coupled seeds, noise of every row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate, compare
from interplay.surrogates.rows import Rows
from tests.helpers import runs

K, M = 6, 30
SEEDS = np.arange(M) % 3
LEVELS = np.array([0.0, 5.0, -20.0])
PLAIN = dict(links=("identity",))
GIVEN = {
    "least squares": LinearSurrogate(0.0),
    "ridge": LinearSurrogate(0.3),
    "rbf + linear": KernelSurrogate(0.15, 0.05, 0.3, **PLAIN),
}
TUNED = {
    "least squares": LinearSurrogate(0.0),
    "ridge cv": LinearSurrogate(),
    "rbf": KernelSurrogate(kernel="rbf", **PLAIN),
    "ard": KernelSurrogate(kernel="ard", **PLAIN),
    "stack": KernelSurrogate(**PLAIN),
}


@pytest.fixture
def data(rng):
    return runs(K, M, rng, T=2)


# ---------------------------------------------------------------- the rows themselves


def test_rows_of_a_design(rng):
    X = np.repeat(np.eye(4), 2, axis=0)
    rows = Rows.of(X)
    assert rows.plain
    assert rows.groups.index.tolist() == [3, 3, 2, 2, 1, 1, 0, 0]  # equal masks, in the order of np.unique
    seeds = np.tile(["a", "b"], 4)
    rows = Rows.of(X, seeds=seeds, noise=np.arange(1.0, 9.0))
    assert not rows.plain
    assert_allclose(rows.basis, np.column_stack([seeds == "a", seeds == "b"]))
    assert_allclose(rows.level, [0.5, 0.5])
    assert_allclose(rows.noise / rows.noise[0], np.arange(1.0, 9.0))  # relative to each other
    assert Rows.of(X, constant=False).basis.shape == (8, 0)
    kept = rows.take(seeds == "b")
    assert_allclose(kept.basis, np.ones((4, 1)))  # a seed without rows has no level
    assert_allclose(kept.noise / kept.noise[0], np.arange(2.0, 9.0, 2.0) / 2.0)
    assert kept.groups.single


def test_a_seed_of_one_mask_has_no_level_of_its_own():
    """Leaving that mask out would leave nothing to know the level by."""
    X = np.eye(5)
    assert_allclose(Rows.of(X, seeds=np.array([0, 0, 1, 1, 2])).basis, np.ones((5, 1)))
    fitted = LinearSurrogate(1.0).fit(X, np.arange(5.0), seeds=np.array([0, 0, 1, 1, 2]))
    assert_allclose(fitted.predict(X), LinearSurrogate(1.0).fit(X, np.arange(5.0)).predict(X))


@pytest.mark.parametrize("argument", ["groups", "seeds", "noise"])
def test_rows_of_another_length_are_named(data, argument):
    for surrogate in (LinearSurrogate(), KernelSurrogate()):
        with pytest.raises(ValueError, match=rf"{argument} has shape \(29,\).*30 rows"):
            surrogate.fit(*data, **{argument: np.ones(M - 1)})


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_noise_that_is_no_variance_is_named(data, bad):
    noise = np.ones(M)
    noise[4] = bad
    with pytest.raises(ValueError, match=r"noise\[4\] is"):
        LinearSurrogate().fit(*data, noise=noise)


# ---------------------------------------------------------------- levels of seeds


def test_least_squares_with_seeds_is_that_with_dummies(data, rng):
    X, y = data
    y = y + LEVELS[SEEDS, None]
    fitted = LinearSurrogate(0.0).fit(X, y, seeds=SEEDS)
    dummies = (SEEDS[:, None] == np.arange(3)).astype(float)
    coefficients = np.linalg.lstsq(np.column_stack([dummies, X]), y, rcond=None)[0]
    assert_allclose(fitted.coef_, coefficients[3:].T, atol=1e-9)
    assert_allclose(fitted.intercept_, coefficients[:3].mean(axis=0), atol=1e-9)
    # and with weights where rows differ in noise
    noise = rng.uniform(0.2, 5.0, M)
    fitted, root = LinearSurrogate(0.0).fit(X, y, seeds=SEEDS, noise=noise), np.sqrt(noise)[:, None]
    coefficients = np.linalg.lstsq(np.column_stack([dummies, X]) / root, y / root, rcond=None)[0]
    assert_allclose(fitted.coef_, coefficients[3:].T, atol=1e-9)
    assert_allclose(fitted.intercept_, coefficients[:3].mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("name", TUNED)
def test_levels_of_seeds_do_not_matter(data, name):
    """Whatever is added to all runs of a seed: what is chosen, held-out errors, deviations and effects stay."""
    X, y = data
    one = clone(TUNED[name]).fit(X, y, seeds=SEEDS)
    other = clone(TUNED[name]).fit(X, y + LEVELS[SEEDS, None], seeds=SEEDS)
    tolerance = 1e-8 if name in ("least squares", "ridge cv", "rbf") else 1e-4
    (mean, deviation), found = one.predict(1 - X, return_std=True), other.predict(1 - X, return_std=True)
    assert_allclose(found[0], mean + LEVELS.mean(), rtol=tolerance, atol=tolerance)
    assert_allclose(found[1], deviation, rtol=tolerance, atol=tolerance)
    assert_allclose(other.cv_.error, one.cv_.error, rtol=10 * tolerance)
    effects, again = readings.leave_one_out(one), readings.leave_one_out(other)
    assert_allclose(again.mean, effects.mean, rtol=tolerance, atol=tolerance)


def test_levels_of_seeds_are_no_skill_and_no_error():
    """Runs of coupled seeds: what a seed adds to all masks hides no effect, and nothing of it is taken for skill."""
    rng = np.random.default_rng(3)
    X = (rng.random((40, 4)) < 0.5).astype(float)
    seeds = np.arange(40) % 2
    y = (X @ [1.0, 0.5, 0.0, -0.5] + 50.0 * seeds + 0.01 * rng.normal(size=40))[:, None]
    choice = compare(X, y, seeds=seeds)
    assert choice.skill["ridge"] > 0.99
    assert choice.over_constant > 2 * choice.over_constant_error
    noise = compare(X, rng.normal(size=(40, 1)) + 50.0 * seeds[:, None], seeds=seeds)
    assert noise.skill["ridge"] < 0.3


@pytest.mark.parametrize("name", GIVEN)
def test_crossed_seeds_are_as_good_as_their_means(rng, name):
    """Every mask under each of n seeds: the fit of all runs is the fit of the means, whose noise is n times smaller."""
    masks, mean = runs(K, 16, rng)
    masks = np.unique(masks, axis=0)
    n, u = 3, len(masks)
    X, seeds = np.tile(masks, (n, 1)), np.repeat(np.arange(n), u)
    y = np.tile(mean[:u], (n, 1)) + LEVELS[seeds, None] + 0.1 * rng.normal(size=(n * u, 2))
    all_runs = clone(GIVEN[name]).fit(X, y, seeds=seeds)
    smaller = {} if name == "least squares" else {"alpha": GIVEN[name].alpha / n}
    means = clone(GIVEN[name]).set_params(**smaller).fit(masks, y.reshape(n, u, 2).mean(axis=0))
    new = 1 - masks
    (mean, deviation), (other, others) = (s.predict(new, return_std=True) for s in (all_runs, means))
    assert_allclose(mean, other, atol=1e-8)
    # deviations too, in units of the amplitude, which the runs of every seed tell better than their means
    unit, other_unit = (np.sqrt(s.fits_[0].amplitude) for s in (all_runs, means))
    if name == "least squares":
        other_unit = np.sqrt(n) * other_unit  # noise of a run instead of a mean
    assert_allclose(deviation / unit, others / other_unit, rtol=1e-6)


# ---------------------------------------------------------------- noise of rows


@pytest.mark.parametrize("name", GIVEN)
def test_noise_is_relative(data, rng, name):
    X, y = data
    noise = rng.uniform(0.2, 5.0, M)
    one, other = (clone(GIVEN[name]).fit(X, y, noise=c * noise) for c in (1.0, 1e4))
    assert_allclose(one.predict(1 - X), other.predict(1 - X), rtol=1e-9)
    plain = clone(GIVEN[name]).fit(X, y)
    assert_allclose(clone(GIVEN[name]).fit(X, y, noise=np.full(M, 7.0)).predict(1 - X), plain.predict(1 - X), rtol=1e-9)
    assert np.abs(one.predict(1 - X) - plain.predict(1 - X)).max() > 1e-3


@pytest.mark.parametrize("name", GIVEN)
def test_a_row_of_endless_noise_tells_nothing(data, name):
    X, y = data
    noise = np.ones(M)
    noise[7] = 1e10
    wrong = y.copy()
    wrong[7] += 3.0
    seen = clone(GIVEN[name]).fit(X, wrong, noise=noise)
    level = 1e10 ** (1 / M)  # the common level of the noise, a geometric mean
    smaller = {} if name == "least squares" else {"alpha": GIVEN[name].alpha / level}
    without = clone(GIVEN[name]).set_params(**smaller).fit(np.delete(X, 7, 0), np.delete(y, 7, 0))
    assert_allclose(seen.predict(1 - X), without.predict(1 - X), atol=1e-6)


def test_two_runs_of_a_mask_are_one_of_half_the_noise(data):
    X, y = data
    X = np.unique(X, axis=0)
    u = len(X)
    noise = np.where(np.arange(u) < 5, 0.5, 1.0)
    twice = np.concatenate([np.arange(u), np.arange(5)])
    level = 0.5 ** (5 / u)  # the common level of the noise, a geometric mean
    one = KernelSurrogate(0.2, 0.05, 0.3, **PLAIN).fit(X[twice], y[twice])
    other = KernelSurrogate(0.2, 0.05 * level, 0.3, **PLAIN).fit(X, y[:u], noise=noise)
    assert_allclose(one.predict(1 - X), other.predict(1 - X), atol=1e-8)


def test_noise_that_is_known_is_put_to_use(rng):
    """Half the runs have a hundred times the noise of the others: knowing it must predict better, on the average."""
    gains = []
    for _ in range(10):
        X = (rng.random((40, K)) < 0.5).astype(float)
        w, new = rng.normal(size=K), 1 - X
        noise = np.where(np.arange(40) % 2, 1.0, 0.01)
        y = X @ w + np.sqrt(noise) * rng.normal(size=40)
        for surrogate in (LinearSurrogate(), KernelSurrogate(kernel="rbf", **PLAIN)):
            error = [((surrogate.fit(X, y, noise=given).predict(new) - new @ w) ** 2).mean() for given in (noise, None)]
            gains.append(np.log(error[1] / error[0]))
    assert np.mean(gains) > 3 * np.std(gains) / np.sqrt(len(gains))
