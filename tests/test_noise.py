"""Noise that depends on the mask, where repeats of masks show it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from interplay.surrogates import KernelSurrogate
from interplay.surrogates.noise import FEWEST, Noise, repeats
from interplay.surrogates.rows import Rows

K = 5
PLAIN = dict(links=("identity",))


def repeated(rng, masks=40, times=3, T=1, spread=0.0):
    """Masks, each ``times`` times, and values whose noise has the variance exp(spread x first task)."""
    U = np.unique((rng.random((4 * masks, K + 3)) < 0.5).astype(float), axis=0)
    U = U[rng.permutation(len(U))[:masks]]
    X = np.repeat(U, times, axis=0)
    sd = np.exp(0.5 * spread * X[:, 0])
    truth = X @ np.linspace(1, -1, K + 3)
    return X, truth[:, None] + 0.3 * sd[:, None] * rng.normal(size=(len(X), T)), sd


@pytest.mark.parametrize("T", [1, 8])
def test_log_variances_are_free_of_the_number_of_repeats(rng, T):
    """Equal noise: masks of two runs and masks of nine have the same mean log variance, though few runs spread it."""
    times = np.where(np.arange(200) < 100, 2, 9)
    masks = ((np.arange(200)[:, None] >> np.arange(8)) & 1).astype(float)
    X = np.repeat(masks, times, axis=0)
    values = []
    for _ in range(10):
        first, log_variance = repeats(X, rng.normal(size=(len(X), T)), Rows.of(X))
        few = np.repeat(times == 2, times)[first]
        values.append([log_variance[few].mean(), log_variance[~few].mean()])
    values = np.array(values)
    error = values.std(axis=0) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0)) < 4 * error + 0.03).all()


@pytest.mark.parametrize("T", [1, 8])
def test_equal_noise_is_left_equal(T):
    """Also where masks of many tasks have more repeats than others, as a full mask should."""
    found = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X, Y, _ = repeated(rng, T=T)
        found.append(Noise.of(X, Y, Rows.of(X), "raw"))
        U = np.unique(X, axis=0)
        X = np.repeat(U, np.where(U[:, 0] == 1, 8, 2), axis=0)
        found.append(Noise.of(X, rng.normal(size=(len(X), T)), Rows.of(X), "raw"))
    assert sum(noise is not None for noise in found) <= 3


def test_noise_that_depends_on_a_task_is_seen(rng):
    X, Y, sd = repeated(rng, times=4, T=2, spread=3.0)
    noise = Noise.of(X, Y, Rows.of(X), "raw")
    assert noise is not None
    relative = noise.at(X)
    assert_allclose(np.log(relative).mean(), 0.0, atol=1e-9)
    ratio = relative[sd > 1].mean() / relative[sd == 1].mean()
    assert 0.5 * np.exp(3.0) < ratio < 2.0 * np.exp(3.0)


def test_nothing_of_an_earlier_fit_is_left(rng):
    X, Y, _ = repeated(rng, times=4, T=1, spread=3.0)
    fitted = KernelSurrogate().fit(X, Y)
    assert fitted.noise_ is not None
    again, fresh = (one.set_params(kernel="rbf").fit(X, Y) for one in (fitted, KernelSurrogate()))
    deviation = [one.predict(X[:4], return_std=True, noise=True)[1] for one in (again, fresh)]
    assert_allclose(*deviation)


def test_too_few_repeats_tell_nothing(rng):
    X, Y, _ = repeated(rng, masks=FEWEST - 1, times=6, spread=4.0)
    assert Noise.of(X, Y, Rows.of(X), "raw") is None
    X, Y, _ = repeated(rng, times=1, spread=4.0)
    assert Noise.of(X, Y, Rows.of(X), "raw") is None
    still = np.zeros_like(Y)
    assert Noise.of(X, still, Rows.of(X), "raw") is None


def test_levels_of_seeds_are_no_noise(rng):
    X, Y, _ = repeated(rng, times=4, spread=3.0)
    seeds = np.tile(np.arange(4), len(X) // 4)
    rows = Rows.of(X, seeds=seeds)
    plain = Noise.of(X, Y, rows, "raw")
    shifted = Noise.of(X, Y + 100.0 * seeds[:, None], rows, "raw")
    assert plain is not None
    assert shifted is not None
    assert_allclose(shifted.at(X), plain.at(X), rtol=1e-6)


def test_the_stack_weighs_rows_and_widens_predictions_by_it():
    """Deviations of one more measurement cover on both sides of a task that makes the target 4.5 times noisier."""
    inside, found = {1.0: [], 0.0: []}, 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, Y, _ = repeated(rng, times=3, spread=3.0)
        fitted = KernelSurrogate(**PLAIN).fit(X, Y)
        found += fitted.noise_ is not None
        new, truth, _ = repeated(np.random.default_rng(100 + seed), masks=80, times=1, spread=3.0)
        mean, deviation = fitted.predict(new, return_std=True, noise=True)
        g = fitted.predict(new, return_std=True)[1]
        assert (deviation > g).all()
        for state, seen in inside.items():
            own = new[:, 0] == state
            seen.append((np.abs(mean - truth) < 1.96 * deviation)[own].mean())
    assert found >= 3
    for seen in inside.values():
        assert 0.85 < np.mean(seen) <= 1.0


def test_noise_that_is_given_is_taken(rng):
    X, Y, sd = repeated(rng, times=3, spread=3.0)
    fitted = KernelSurrogate(**PLAIN).fit(X, Y, noise=sd**2)
    assert fitted.noise_ is None
    assert_allclose(fitted.rows_.noise / fitted.rows_.noise[0], sd**2 / sd[0] ** 2)
