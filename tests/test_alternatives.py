"""How far readings of mixtures hang on the link: what other links would have said belongs to their intervals."""

import numpy as np
import pytest

import interplay as ip
from interplay import KernelSurrogate, LinearSurrogate
from interplay.blocks import over_links, read_effects
from interplay.fitting import Design, fit_design
from interplay.readings import effects, question
from interplay.surrogates.alternatives import _others, extra_variance
from interplay.surrogates.features import choices
from interplay.surrogates.links import candidates
from interplay.surrogates.recipes import coarse

DELTA = 0.05


def exponential(rng, K=5):
    b = 1.5 * rng.standard_normal(K)
    return lambda w: 2.0 + np.exp(-w @ b)


def quadratic(rng, K=5):
    c = rng.normal(size=K)
    Q = np.triu(rng.normal(size=(K, K)) * (rng.random((K, K)) < 0.3), 1) * 3.0
    return lambda w: 3.0 + w @ c + np.einsum("...i,ij,...j", w, Q, w)


def drawn(law, rng, m=16, K=5):
    f, X = law(rng, K), rng.dirichlet(np.ones(K), m)
    y = f(X)
    return f, ip.Evaluations.from_arrays(X, y + 0.05 * y.std() * rng.normal(size=m), targets=["loss"])


def read(runs, pairs=True):
    design = Design.of(runs)
    predictor = fit_design(design, "auto")
    asked = question(design.X, runs.kind)
    found = read_effects(predictor, asked, pairs)
    return found, over_links(found, design, predictor, asked), asked


def test_the_extra_variance_is_the_weighted_distance_to_the_other_fits(rng):
    _, runs = drawn(exponential, rng)
    surrogate = KernelSurrogate().fit(runs.masks, runs.values)
    reference = runs.masks.mean(axis=0)
    ask = lambda one: effects.move_pairs(one, reference, DELTA).mean
    taken, expected = ask(surrogate), 0.0
    others = list(_others(surrogate, runs.values))
    assert others
    for other, weight in others:
        assert ((other.link_.sign != surrogate.link_.sign) | (other.link_.bound != surrogate.link_.bound)).any()
        assert 0.0 < weight[0] < 1.0
        expected = expected + weight * (ask(other) - taken) ** 2
    np.testing.assert_allclose(extra_variance(surrogate, runs.values, ask), expected)


def test_the_weights_fall_with_the_squared_held_out_errors_of_the_families(rng):
    _, runs = drawn(quadratic, rng, m=24)
    surrogate = LinearSurrogate(features="raw", links=("identity",)).fit(runs.masks, runs.values)
    found = list(_others(surrogate, runs.values))  # ridge is none of the kernels: all three families stand beside it
    error = []
    for family in ("identity", "log", "floor"):
        links = candidates((family,), runs.values)
        error.append(
            coarse(choices("mixture", "auto")[0]).search(runs.masks, runs.values, surrogate.rows_, links).cv.error[0]
        )
    ratio = np.array(error) ** -2.0
    np.testing.assert_allclose([weight[0] for _, weight in found], ratio / ratio.sum())
    assert [other.link_.log[0] for other, _ in found] == [False, True, True]


@pytest.mark.parametrize("law", [exponential, quadratic])
def test_intervals_of_pairs_from_few_runs_hold_the_truth(law):
    inside, before, wrong = [], [], 0
    for seed in range(6):
        f, runs = drawn(law, np.random.default_rng(seed))
        found, wider, asked = read(runs)
        w, E = asked.reference, np.eye(5)
        moved = lambda *ks, w=w, E=E: (1 - DELTA * len(ks)) * w + DELTA * sum(E[k] for k in ks)
        pairs = zip(*np.triu_indices(5, 1), strict=True)
        truth = -np.array([f(moved(k, l)) - f(moved(k)) - f(moved(l)) + f(w) for k, l in pairs])
        value, near = found.interactions[:, 0], 1e-9 * np.abs(found.effects).max()
        miss = np.abs(value - truth)
        before += list(miss <= 1.96 * found.interaction_deviation[:, 0] + near)
        half = 1.96 * wider.interaction_deviation[:, 0]
        inside += list(miss <= half + near)
        wrong += int(((np.abs(value) > half + near) & (np.sign(value) != np.sign(truth))).sum())
        np.testing.assert_array_equal(wider.interactions, found.interactions)
        assert (wider.deviation >= found.deviation).all()
    assert np.mean(inside) > np.mean(before) + 0.05
    assert np.mean(inside) >= 0.7
    assert wrong <= 1


def test_masks_many_runs_and_constant_targets_stay_as_they_are(rng):
    _, many = drawn(exponential, rng, m=60)  # four for each of 5 tasks and 10 pairs
    masks = ip.masks.bernoulli(5, 20, p=0.6, rng=rng)
    for runs in (many, ip.Evaluations.from_arrays(masks, masks @ np.arange(5.0) + 1)):
        found, wider, *_ = read(runs)
        np.testing.assert_array_equal(wider.deviation, found.deviation)
        np.testing.assert_array_equal(wider.interaction_deviation, found.interaction_deviation)
    _, few = drawn(exponential, rng)
    still = ip.Evaluations.from_arrays(few.masks, np.column_stack([few.values[:, 0], np.ones(16)]))
    found, wider, *_ = read(still)
    np.testing.assert_array_equal(wider.deviation[:, 1], found.deviation[:, 1])
    assert (wider.deviation[:, 0] > found.deviation[:, 0]).any()


def test_without_pairs_only_effects_are_widened(rng):
    _, runs = drawn(quadratic, rng)
    found, wider, *_ = read(runs, pairs=False)
    assert wider.interaction_deviation.shape == found.interaction_deviation.shape == (0, 1)
    assert (wider.deviation > found.deviation).all()
