"""The stack: honest folds, weights, and what a mixture of members predicts and reads."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from sklearn.base import clone

from interplay import readings
from interplay.surrogates import KernelSurrogate, LinearSurrogate
from interplay.surrogates.features import AMOUNT, MOST_SIZED, sizes_tell
from interplay.surrogates.kernels import Kernel
from interplay.surrogates.stacking import folds, weights
from tests.helpers import brute_average, every_mask, runs, shapley_weight

K, M, T = 5, 32, 3
PLAIN = dict(links=("identity",))


@pytest.fixture(scope="module")
def data():
    return runs(K, M, np.random.default_rng(0), T=T)


@pytest.fixture(scope="module")
def bent(data):
    X, y = data
    return X, 2.0 + np.exp(0.3 * (y - y.mean(axis=0)))


@pytest.fixture(scope="module")
def stack(data):
    return KernelSurrogate(**PLAIN).fit(*data)


@pytest.fixture(scope="module")
def bounded(bent):
    X, y = bent
    return KernelSurrogate(links=("floor",), higher_is_better=[False, True, False]).fit(X, y * [1, -1, 1])


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize("m", [5, 40, 128, 129, 600])
def test_groups_are_never_split_between_folds(m):
    rng = np.random.default_rng(m)
    groups = np.unique(rng.integers(0, max(m // 3, 2), m), return_inverse=True)[1]
    fold = folds(groups)
    n = groups.max() + 1
    assert fold.shape == (m,)
    for g in range(n):
        assert len(set(fold[groups == g].tolist())) == 1
    sizes = [len(set(groups[fold == k].tolist())) for k in range(fold.max() + 1)]
    assert len(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1  # groups are shared out evenly
    assert_allclose(fold, folds(groups))  # the same folds for every surrogate that is compared


def test_repeats_of_a_mask_are_held_out_together(rng):
    """Noise that a mask's repeats share must not look like skill of the stack or of a member."""
    X = np.repeat((rng.random((20, 8)) < 0.5).astype(float), 3, axis=0)
    y = np.repeat(rng.normal(size=20), 3) + 0.01 * rng.normal(size=60)
    fitted = KernelSurrogate(**PLAIN).fit(X, y)
    assert fitted.cv_.error[0] > 0.7 * y.var()
    assert fitted.held_out_.error.min() > 0.7 * y.var()
    for g in range(20):
        assert len(set(fitted.held_out_.fold[3 * g : 3 * g + 3].tolist())) == 1


@pytest.mark.parametrize("links", [("identity",), "auto"])
def test_members_do_not_know_the_values_of_a_fold(data, links):
    """Values of one fold are changed at will: what any member predicted for it must stay.

    Links, hyper-parameters and components are found anew without the fold.
    """
    X, y = data
    one = KernelSurrogate(links=links).fit(X, y)
    for k in (0, 3):
        left, other, unit = one.held_out_.fold == k, y.copy(), y.std(axis=0)
        other[left] = 3.0 * np.random.default_rng(k).normal(size=(left.sum(), T)) - y[left]
        held = KernelSurrogate(links=links).fit(X, other).held_out_
        assert_allclose(held.mean[:, left] / unit, one.held_out_.mean[:, left] / unit, atol=1e-2)
        assert_allclose(held.variance[:, left] / unit**2, one.held_out_.variance[:, left] / unit**2, rtol=0.05)
        assert np.abs(held.mean[:, ~left] - one.held_out_.mean[:, ~left]).max() > 0.1  # the other folds do learn


def test_weights_of_a_fold_are_those_of_the_other_folds(data, stack):
    """The stack's held-out prediction weighs the members by their errors elsewhere."""
    held, y = stack.held_out_, data[1]
    mean, variance = held.stacked(y)
    assert_allclose(mean, stack.cv_.mean)
    assert_allclose(np.sqrt(variance), stack.cv_.deviation)
    for k in range(held.fold.max() + 1):
        left, other = held.fold == k, y.copy()
        other[left] += 100.0
        assert_allclose(held.stacked(other)[0][left], mean[left])
        w = weights(held.mean[:, ~left], y[~left])
        assert_allclose(w, weights(held.mean[:, ~left], other[~left]))
        assert_allclose(mean[left], (w[:, None] * held.mean[:, left]).sum(axis=0))


def test_errors_are_those_of_the_predictions(data, stack):
    y, held = data[1], stack.held_out_
    assert_allclose(held.error, ((held.mean - y) ** 2).mean(axis=1), rtol=1e-9)
    assert_allclose(stack.cv_.error, ((stack.cv_.mean - y) ** 2).mean(axis=0), rtol=1e-9)
    assert stack.cv_.groups.shape == (M,)
    assert (stack.cv_.deviation > 0).all()


# ---------------------------------------------------------------- weights


def test_weights_are_shares_and_favour_the_better(stack):
    w, error = stack.weights_, stack.held_out_.error
    assert w.shape == (len(stack.members_), T) == error.shape
    assert_allclose(w.sum(axis=0), 1.0, rtol=1e-12)
    assert (w >= 0).all()
    for t in range(T):
        assert (np.diff(w[np.argsort(error[:, t]), t]) <= 1e-12).all()
        best = error[:, t].argmin()
        others = np.flatnonzero(error[:, t] > error[best, t])
        power = np.log(w[best, t] / w[others, t]) / np.log(error[others, t] / error[best, t])
        assert_allclose(power, power[0], rtol=1e-6)  # one power of the error for all
        assert power[0] >= 1


def test_weights_where_a_member_is_exact(stack, data):
    """A target that one member predicts without any error is its own, and one that all do is shared."""
    held, y = stack.held_out_, data[1]
    mean = held.mean.copy()
    mean[0, :, 0] = y[:, 0]
    mean[:, :, 1] = y[:, 1]
    w = weights(mean, y)
    assert_allclose(w[:, 0], np.eye(len(w))[0], atol=1e-12)
    assert_allclose(w[:, 1], 1 / len(w))
    assert_allclose(w[:, 2], stack.weights_[:, 2])


def test_the_stack_is_about_as_good_as_its_best_member():
    """On additive and on entangled games, unseen masks; which member is best is not known beforehand."""
    ratio = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, new = ((rng.random((n, 8)) < 0.5).astype(float) for n in (50, 300))
        w = rng.normal(size=8)
        games = (lambda S, w=w: S @ w, lambda S: 2 * S[:, 0] * S[:, 1] - S[:, 2] * S[:, 3] * S[:, 4] + S[:, 5])
        truth = np.column_stack([g(new) for g in games])
        y = np.column_stack([g(X) for g in games]) + 0.2 * rng.normal(size=(50, 2))
        fitted = KernelSurrogate(**PLAIN).fit(X, y)
        error = lambda s, new=new, truth=truth: ((s.predict(new) - truth) ** 2).mean(axis=0)
        members = np.array([error(fitted.only(name)) for name in fitted.held_out_.names])
        ratio.append(error(fitted) / members)
    ratio = np.exp(np.log(ratio).mean(axis=0))  # to each member, (F, targets)
    assert ratio.max() < 1.35  # never far behind the best
    assert ratio.mean() < 0.95  # and ahead of the average


# ---------------------------------------------------------------- one member


def test_one_member_alone(stack, data):
    X, y = data
    names = stack.held_out_.names
    assert len(set(names)) == len(names) == len(stack.members_)
    assert {"rbf", "ard"} <= set(names)
    for f, name in enumerate(names):
        alone = stack.only(name)
        assert [m.name for m in alone.members_] == [name]
        assert_allclose(alone.weights_, 1.0)
        assert_allclose(alone.cv_.mean, stack.held_out_.mean[f])
        assert_allclose(alone.cv_.error, stack.held_out_.error[f])
    assert len(stack.members_) > 1  # the stack itself is left as it was
    with pytest.raises(ValueError, match=r"no member 'cubic'.*rbf"):
        stack.only("cubic")
    # members are the surrogates that can be had by their own names
    closed = KernelSurrogate(kernel="rbf", **PLAIN).fit(X, y)
    assert_allclose(stack.only("rbf").predict(1 - X), closed.predict(1 - X), atol=1e-8)
    scales = KernelSurrogate(kernel="ard", **PLAIN).fit(X, y)
    assert_allclose(stack.only("ard").predict(1 - X), scales.predict(1 - X), atol=1e-8)
    assert_allclose(scales.cv_.mean, stack.only("ard").cv_.mean, atol=1e-6)


# ---------------------------------------------------------------- mixtures of members


def by_hand(stack, ask):
    """Mean and variance of a mixture from those of each member."""
    means, deviations = zip(*(ask(stack.only(name)) for name in stack.held_out_.names), strict=True)
    mean = sum(w * mu for w, mu in zip(stack.weights_, means, strict=True))
    variance = sum(w * (s**2 + (mu - mean) ** 2) for w, mu, s in zip(stack.weights_, means, deviations, strict=True))
    return mean, np.sqrt(variance)


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("which", ["stack", "bounded"])
def test_predictions_are_a_mixture(request, which, noise):
    fitted, new = request.getfixturevalue(which), every_mask(K)
    expected = by_hand(fitted, lambda s: s.predict(new, return_std=True, noise=noise))
    mean, deviation = fitted.predict(new, return_std=True, noise=noise)
    assert_allclose(mean, expected[0], rtol=1e-9, atol=1e-12)
    assert_allclose(deviation, expected[1], rtol=1e-6)
    assert_allclose(mean, fitted.predict(new), rtol=1e-12)


def test_noise_widens_predictions_by_that_of_one_more_measurement(stack, bounded, data):
    X = data[0]
    g, more = (stack.predict(1 - X, return_std=True, noise=noise)[1] for noise in (False, True))
    added = sum(w * member.noise(T) for w, member in zip(stack.weights_, stack.members_, strict=True))
    assert_allclose(more**2 - g**2, np.tile(added, (M, 1)), rtol=1e-6)
    g, more = (bounded.predict(1 - X, return_std=True, noise=noise)[1] for noise in (False, True))
    assert (more > g).all()
    for surrogate in (LinearSurrogate(0.0), LinearSurrogate(), KernelSurrogate(kernel="rbf", **PLAIN)):
        fitted = clone(surrogate).fit(*data)
        g, more = (fitted.predict(1 - X, return_std=True, noise=noise)[1] for noise in (False, True))
        residual = more**2 - g**2
        assert_allclose(residual, np.tile(residual[0], (M, 1)), rtol=1e-6)
    # least squares: the residual variance, by the textbook
    fitted = LinearSurrogate(0.0).fit(*data)
    (g, more), y = (fitted.predict(1 - X, return_std=True, noise=noise)[1] for noise in (False, True)), data[1]
    s2 = ((fitted.predict(X) - y) ** 2).sum(axis=0) / (M - K - 1)
    assert_allclose((more**2 - g**2)[0], s2, rtol=1e-7)


READINGS = {
    "shapley": readings.shapley,
    "banzhaf": readings.banzhaf,
    "shapley pairs": readings.shapley_pairs,
    "swap": lambda s: readings.swap(s, 2),
    "gradient": readings.gradient,
    "leave-one-out": readings.leave_one_out,
    "leave-one-out pairs": readings.leave_one_out_pairs,
    "contrast": lambda s: readings.contrast(s, np.eye(K), 1 - np.eye(K)),
    "shapley in its own unit": lambda s: readings.question(s.X_, "mask", "shapley").effects(s),
    "banzhaf pairs in their own unit": lambda s: readings.question(s.X_, "mask", "banzhaf").pairs(s),
}


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("which", ["stack", "bounded"])
def test_readings_are_a_mixture(request, which, name):
    fitted, reading = request.getfixturevalue(which), READINGS[name]
    expected = by_hand(fitted, lambda s: (reading(s).mean, reading(s).deviation))
    found = reading(fitted)
    assert_allclose(found.mean, expected[0], rtol=1e-8, atol=1e-10)
    assert_allclose(found.deviation, expected[1], rtol=1e-5, atol=1e-9)
    priors = [reading(fitted.only(name)).prior for name in fitted.held_out_.names]
    prior = np.sqrt(sum(w * p**2 for w, p in zip(fitted.weights_, priors, strict=True)))
    assert_allclose(found.prior, prior, rtol=1e-6)


def test_readings_of_a_stack_are_those_of_its_predictions(stack):
    """Without links a reading is linear in the prediction, whoever made it: brute force over all masks."""
    g = stack.predict(every_mask(K))
    single = [brute_average(g, K, (k,), shapley_weight(K, 1)) for k in range(K)]
    pair = [brute_average(g, K, kl, shapley_weight(K, 2)) for kl in combinations(range(K), 2)]
    assert_allclose(readings.shapley(stack).mean, single, atol=1e-9)
    assert_allclose(readings.shapley_pairs(stack).mean, pair, atol=1e-9)
    assert_allclose(readings.shapley(stack, intervals=False).mean, single, atol=1e-9)
    assert_allclose(readings.leave_one_out(stack).mean, [g[-1] - g[-1 - 2**k] for k in range(K)], atol=1e-9)


def test_semivalues_of_a_bounded_stack_are_those_of_its_predictions(bounded):
    """In the targets' own units means are mixed after the way back, so that effects add up to what is predicted."""
    F = bounded.predict(every_mask(K))
    found = readings.question(bounded.X_, "mask", "shapley").effects(bounded)
    single = [brute_average(F, K, (k,), shapley_weight(K, 1)) for k in range(K)]
    assert_allclose(found.mean, single, rtol=1e-8, atol=1e-10)
    assert_allclose(found.mean.sum(axis=0), F[-1] - F[0], rtol=1e-8)
    assert_allclose(readings.leave_one_out(bounded).mean, [F[-1] - F[-1 - 2**k] for k in range(K)], atol=1e-9)


def test_moves_of_a_stack_of_feature_maps(rng):
    X = rng.dirichlet(np.ones(4), size=40)
    y = np.log(X + 0.01) @ rng.normal(size=(4, 2))
    fitted = KernelSurrogate(**PLAIN).fit(X, y)
    maps = {fit.kernel.features for fit in fitted.fits_}
    assert fitted.kind_ == "mixture"
    assert len(maps) > 1
    w, e = np.full(4, 0.25), np.eye(4)
    found = readings.move(fitted, w, 0.1)
    assert_allclose(found.mean, fitted.predict(0.9 * w + 0.1 * e) - fitted.predict([w]), atol=1e-9)
    expected = by_hand(fitted, lambda s: (readings.move(s, w, 0.1).mean, readings.move(s, w, 0.1).deviation))
    assert_allclose(found.deviation, expected[1], rtol=1e-6)
    assert KernelSurrogate(features="sqrt", **PLAIN).fit(X, y).features_ == "sqrt"


def test_sizes_of_masks_are_seen_where_they_differ(rng):
    X, y = runs(6, 40, rng)
    names = lambda X, **rules: KernelSurrogate(**PLAIN | rules).fit(X, y).held_out_.names
    same = np.array([rng.permutation([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) for _ in range(40)])
    assert "ard sized" in names(X)
    assert "ard sized" not in [*names(same), *names(X + 0.5), *names(X, kernel="ard"), *names(X, features="raw")]
    wide = (rng.random((40, MOST_SIZED + 1)) < 0.5).astype(float)
    assert not sizes_tell(wide)
    assert sizes_tell(wide[:, :-1])


def test_what_depends_on_the_composition_is_predicted_better_by_size(rng):
    """A loss of the mean quality of the sources in a mask and of their number, as that of a training is."""
    quality = rng.normal(size=(14, 2))
    loss = lambda S: np.exp(-S @ quality / S.sum(axis=1, keepdims=True)) + 2.0 / np.sqrt(S.sum(axis=1, keepdims=True))
    X, new = (S[S.any(axis=1)] for S in ((rng.random((n, 14)) < rng.random((n, 1))).astype(float) for n in (60, 400)))
    fitted = KernelSurrogate().fit(X, loss(X))
    error = {}
    for name in fitted.held_out_.names:
        error[name] = ((fitted.only(name).predict(new) - loss(new)) ** 2).mean()
    assert fitted.weights_.mean(axis=1).argmax() == fitted.held_out_.names.index("ard sized")
    assert error["ard sized"] < 0.7 * error["ard"]


@given(arrays(float, (6, 5), elements=st.sampled_from([0.0, 1.0])), st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_features_of_sizes_know_no_order_and_only_sizes_and_what_is_shared(X, order):
    kernel = Kernel(np.full(6, 0.7), 1.0, 0.1, "sized")
    K = kernel.matrix(X, X)
    assert_allclose(kernel.matrix(X[:, order], X[:, order]), K, atol=1e-12)
    assert np.linalg.eigvalsh(K).min() > -1e-10
    n, shared = np.maximum(X.sum(axis=1), 1.0), X @ X.T
    held = np.diag(shared) / n
    apart = np.add.outer(held, held) - 2.0 * shared / np.sqrt(np.outer(n, n))
    apart += (AMOUNT * np.subtract.outer(np.log(n), np.log(n))) ** 2
    assert_allclose(K, np.exp(-0.7 * apart) + 0.1 * shared, atol=1e-12)
    assert_allclose(np.diag(K), kernel.paired(X, X))


def test_intervals_of_held_out_values_cover():
    """95 of 100 new measurements within 1.96 deviations, over games with and without interplay."""
    inside = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, new = ((rng.random((n, 6)) < 0.6).astype(float) for n in (50, 200))
        w = rng.normal(size=(6, 2))
        pairs = rng.normal(size=(6, 6, 2)) * rng.choice([0.0, 0.4])
        game = lambda S, w=w, pairs=pairs: S @ w + np.einsum("mk,ml,klt->mt", S, S, pairs)
        y = game(X) + 0.2 * rng.normal(size=(50, 2))
        truth = game(new) + 0.2 * rng.normal(size=(200, 2))
        fitted = KernelSurrogate(**PLAIN).fit(X, y)
        mean, deviation = fitted.predict(new, return_std=True, noise=True)
        inside.append((np.abs(mean - truth) < 1.96 * deviation).mean())
        inside.append((np.abs(fitted.cv_.mean - y) < 1.96 * fitted.cv_.deviation).mean())
    assert 0.88 < np.mean(inside) < 0.995
