"""Several fidelities in one surrogate: against a dense Gaussian process, games with known answers, saving, errors."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from interplay import readings
from interplay.surrogates import choice, compare_fidelities, load_surrogate
from interplay.surrogates.coupling import Beside, Coupling, condition, couple
from interplay.surrogates.fidelity import FidelitySurrogate
from interplay.surrogates.gaussian import Posterior
from interplay.surrogates.kernels import Kernel
from interplay.surrogates.members import Fit
from interplay.surrogates.rows import Groups, Rows
from tests.helpers import brute_average, every_mask, shapley_weight

K = 4
KERNEL = Kernel(np.array([0.4, 0.1, 0.7, 0.2]), 1.0, 0.3)
PLAIN = dict(links=("identity",))


def loss(X):
    """A game with a pair in it; smaller is better."""
    return 3.0 - X[:, :4] @ [0.8, 0.4, -0.3, 0.1] + 0.5 * X[:, 0] * X[:, 1]


def stacked(rng, cheap, dear=3, m=30, noise=0.0, tasks=5, T=1):
    """Masks, values and words: m cheap runs, then some dear ones of other masks."""
    X = (rng.random((m + dear, tasks)) < 0.6).astype(float)
    y = loss(X)[:, None] * np.arange(1, T + 1) + noise * rng.normal(size=(m + dear, T))
    y[:m] = cheap(y[:m])
    return X, y if T > 1 else y[:, 0], np.array(["cheap"] * m + ["dear"] * dear)


# ---- the algebra


def dense(B, ratio, at, fidelity, levels, X, z, points, noise):
    """Mean (n,) and covariance (n, n) of one fidelity at points, level included: generalised least squares."""
    between = lambda P, f, Q, g: KERNEL.matrix(P, Q) * B[np.ix_(f, g)]
    A = between(X, fidelity, X, fidelity) + np.diag(noise * ratio[fidelity])
    here = np.full(len(points), at)
    k, own = between(points, here, X, fidelity), between(points, here, points, here)
    H = (levels[:, None] == np.unique(levels)).astype(float)
    asked = np.array([fidelity[levels == level][0] == at for level in np.unique(levels)], float)
    h = np.tile(asked / asked.sum(), (len(points), 1))
    solve = np.linalg.solve
    gram = np.linalg.inv(H.T @ solve(A, H))
    b = gram @ H.T @ solve(A, z)
    r = h - k @ solve(A, H)
    alpha = solve(A, z - H @ b)
    sigma2 = z @ solve(A, z - H @ b) / (len(z) - H.shape[1])
    return h @ b + k @ alpha, sigma2 * (own - k @ solve(A, k.T) + r @ gram @ r.T)


@pytest.mark.parametrize("seeds", [False, True])
@pytest.mark.parametrize(("F", "at"), [(2, 0), (2, 1), (3, 1)])
def test_the_posterior_is_that_of_a_dense_process(F, at, seeds, rng):
    m, noise = 24, 0.2
    X, z, fidelity = (rng.random((m, K)) < 0.5).astype(float), rng.normal(size=m), np.arange(m) % F
    u, q = np.array([1.0, 1.3, 0.6])[:F], np.array([1.0, 0.8, 0.3])[:F]
    B, ratio = Coupling(u[:, None], q[:, None], u[:, None]).matrix(0), np.array([1.0, 0.5, 3.0])[:F]
    levels = fidelity + F * (np.arange(m) // F % 2) if seeds else fidelity
    names, first = np.unique(levels, return_index=True)
    basis = (levels[:, None] == names).astype(float)
    rows = Rows(Groups.of(np.arange(m)), np.ones(m), basis, fidelity[first] == at)
    start = Fit(KERNEL, noise, np.array([0]), Posterior.of(KERNEL.matrix(X, X), z[:, None], noise, rows))
    fit = condition(start, 0, B, ratio, at, fidelity, X, z, rows)

    cube = every_mask(K)
    mean, covariance = dense(B, ratio, at, fidelity, levels, X, z, cube, noise)
    k, own = KERNEL.matrix(cube, X), KERNEL.paired(cube, cube)
    assert_allclose(fit.mean(k, 1.0)[:, 0], mean, atol=1e-8)
    assert_allclose(fit.posterior.variance(k, own, 1.0) * fit.amplitude, np.diag(covariance), atol=1e-8)
    assert_allclose(fit.noise * fit.amplitude[0], noise * ratio[at] * fit.amplitude[0] / B[at, at])

    basis_of = np.eye(2**K)
    shapley = np.array([brute_average(basis_of, K, (i,), shapley_weight(K, 1)) for i in range(K)])
    leave_out = np.array([basis_of[-1] - basis_of[-1 - 2**i] for i in range(K)])
    for L in (leave_out, shapley):
        prior = np.einsum("in,nm,im->i", L, KERNEL.matrix(cube, cube), L)
        assert_allclose(fit.mean(L @ k, 0.0)[:, 0], L @ mean, atol=1e-8)
        variance = fit.posterior.variance(L @ k, prior, 0.0) * fit.amplitude
        assert_allclose(variance, np.diag(L @ covariance @ L.T), atol=1e-8)


def test_readings_are_those_of_the_predictions(rng):
    X, y, words = stacked(rng, lambda y: 0.7 * y + 1, noise=0.05, dear=6, tasks=K)
    fitted = FidelitySurrogate(**PLAIN).fit(X, y, words)
    cube = every_mask(K)
    g = fitted.predict(cube)[:, None]
    shapley = [brute_average(g, K, (k,), shapley_weight(K, 1)) for k in range(K)]
    assert_allclose(readings.shapley(fitted).mean, shapley, atol=1e-9)
    assert_allclose(readings.leave_one_out(fitted).mean[:, 0], [g[-1, 0] - g[-1 - 2**k, 0] for k in range(K)])


@given(seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_the_slope_of_the_misfit(seed):
    rng, n = np.random.default_rng(seed), 6
    prior = rng.normal(size=(n, n))
    prior = prior @ prior.T + np.eye(n)
    rows = Rows.of(rng.normal(size=(n, 2)), np.arange(n))
    seen = Beside(rng.normal(size=n), 0.3 * prior, prior, rng.normal(size=n), rows, 1.3)
    p, step = rng.normal(size=3), 1e-6 * np.eye(3)
    differences = [(seen.misfit(p + d)[0] - seen.misfit(p - d)[0]) / 2e-6 for d in step]
    assert_allclose(seen.misfit(p)[1], differences, rtol=1e-4, atol=1e-6)
    singular = replace(seen, covariance=-1e3 * prior, prior=-1e3 * prior)
    assert singular.misfit(p)[0] == 1e25


def test_a_coupling_of_targets_that_never_change_is_the_shift():
    prior, rows = np.eye(4), Rows.of(np.eye(4))
    still = Beside(np.zeros(4), prior, prior, np.zeros(4), rows, 0.0)
    assert np.exp(couple([still], True)[0, 0]) == 1.0


# ---- games with known answers


def effects(surrogate):
    return readings.leave_one_out(surrogate).mean[:, 0]


def truth(tasks=5):
    full = np.ones((1, tasks))
    return loss(full) - loss(full - np.eye(tasks))


def test_a_shift_needs_three_dear_runs(rng):
    fitted = FidelitySurrogate("dear", **PLAIN).fit(*stacked(rng, lambda y: y - 2.0))
    assert_allclose(effects(fitted), truth(), atol=0.02)
    assert_allclose(fitted.predict(every_mask(5)), loss(every_mask(5)), atol=0.1)
    assert fitted.coupling_.scale[1] == pytest.approx(1.0, abs=0.1)


def test_a_scale_is_found_from_few_dear_runs(rng):
    fitted = FidelitySurrogate("dear", **PLAIN).fit(*stacked(rng, lambda y: 0.5 * y + 7.0, dear=8))
    assert_allclose(effects(fitted), truth(), atol=0.06)
    assert fitted.coupling_.scale[1, 0] == pytest.approx(2.0, rel=0.1)


def test_dear_runs_that_are_most_may_be_the_base(rng):
    X, y, words = stacked(rng, lambda y: y - 2.0, dear=40, m=10)
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    assert (fitted.base_, fitted.at_) == (1, 1)
    assert_allclose(effects(fitted), truth(), atol=0.03)
    cheap = FidelitySurrogate("cheap", **PLAIN).fit(X, y, words)
    assert_allclose(effects(cheap), truth(), atol=0.03)
    assert_allclose(cheap.predict(X[:5]), loss(X[:5]) - 2.0, atol=0.05)


def test_the_link_is_the_one_that_makes_a_shift(rng):
    X, y, words = stacked(rng, lambda y: y + 1.5, dear=12, m=60, noise=0.05)
    shifted = FidelitySurrogate("dear").fit(X, y, words)
    assert not shifted.link_.log.any()
    assert_allclose(effects(shifted), truth(), atol=0.1)
    scaled = stacked(rng, lambda y: 4.0 * y, dear=12, m=60)
    found = FidelitySurrogate("dear").fit(*scaled)
    assert_allclose(effects(found), truth(), atol=0.1)


def test_many_runs_of_every_fidelity(rng):
    X, y, words = stacked(rng, lambda y: 0.9 * y + 1, dear=80, m=62, tasks=8, noise=0.02)
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    assert fitted.base_ == fitted.at_ == 1
    assert len(fitted.cv_.mean) == 80
    assert_allclose(effects(fitted), truth(8), atol=0.06)


def test_unrelated_cheap_runs_cost_nothing(rng):
    unrelated = lambda y: 1e-2 * rng.normal(size=y.shape) + 5
    X, y, words = stacked(rng, unrelated, dear=25, noise=0.02)
    found = compare_fidelities(X, y[:, None], words, "dear")
    alone = choice.compare(X[words == "dear"], y[words == "dear", None])
    wrong = lambda surrogate: np.abs(effects(surrogate) - truth()).mean()
    assert wrong(found.surrogate) <= wrong(alone.surrogate) + 0.02


def test_the_dear_runs_alone_are_taken_where_they_predict_better(rng):
    X, y, words = stacked(rng, lambda y: rng.permutation(y), dear=25, m=100, noise=0.02)
    found = compare_fidelities(X, y[:, None], words, "dear")
    assert found.name != "joint"
    assert found.sentence.startswith("The dear runs alone: their held-out error is")
    assert len(found.surrogate.X_) == len(found.held_out) == 25


def test_together_is_taken_where_it_predicts_better(rng):
    X, y, words = stacked(rng, lambda y: y + 1.0, dear=10, noise=0.05, m=60)
    found = compare_fidelities(X, y[:, None], words, "dear")
    assert found.name == "joint"
    assert "All fidelities together: the held-out error of dear runs is" in found.sentence
    assert [row["surrogate"] for row in found.table() if row["taken"]] == ["joint"]
    asked = compare_fidelities(X, y[:, None], words, "dear", prefer="ridge")
    assert (asked.name, len(asked.surrogate.X_)) == ("ridge", 10)


def test_three_dear_runs_are_not_fitted_alone(rng):
    X, y, words = stacked(rng, lambda y: y + 1.0)
    found = compare_fidelities(X, y[:, None], words, "dear")
    assert (found.name, found.sentence[-43:]) == ("joint", "3 dear runs are too few to be fitted alone.")
    with pytest.raises(ValueError, match="surrogate='ridge': 3 dear runs are too few for it alone"):
        compare_fidelities(X, y[:, None], words, "dear", prefer="ridge")


def test_cheap_runs_that_are_not_fitted_are_mentioned(rng, monkeypatch):
    monkeypatch.setattr("interplay.surrogates.choice.LARGE", 20)
    X, Y, words = stacked(rng, lambda y: y, dear=24)
    chosen = compare_fidelities(X, np.reshape(Y, (-1, 1)), words, "dear")
    assert "beside more than 20 of them others are not fitted" in chosen.sentence


def test_the_others_narrow_the_intervals(rng):
    X, y, words = stacked(rng, lambda y: y - 2.0, dear=8, m=60, noise=0.05)
    own = words == "dear"
    both = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    alone = FidelitySurrogate("dear", **PLAIN).fit(X[own], y[own], words[own])
    deviation = lambda surrogate: readings.leave_one_out(surrogate).deviation.mean()
    assert deviation(both) < deviation(alone)


def test_three_fidelities(rng):
    X, y, words = stacked(rng, lambda y: y - 2.0, dear=20)
    words = np.where(np.arange(50) < 10, "middle", words)
    y[:10] = 0.5 * y[:10] + 3
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    assert fitted.fidelities_ == ("middle", "cheap", "dear")
    assert_allclose(effects(fitted), truth(), atol=0.06)


# ---- edges


def test_one_fidelity_alone(rng):
    X, y, _ = stacked(rng, lambda y: y, m=40)
    fitted = FidelitySurrogate(**PLAIN).fit(X, y)
    assert fitted.fidelities_ == ("",)
    assert_allclose(fitted.predict(X), y, atol=0.05)
    assert fitted.cv_.mean.shape == (43, 1)


def test_a_target_that_never_changes(rng):
    X, y, words = stacked(rng, lambda y: y + 1, dear=5, T=2)
    y[:, 1] = 4.0
    fitted = FidelitySurrogate("dear").fit(X, y, words)
    mean, deviation = fitted.predict(X, return_std=True)
    assert_allclose(mean[:, 1], 4.0, atol=1e-6)
    assert np.isfinite(deviation).all()


def test_a_target_that_never_changes_in_the_dear_runs(rng):
    X, y, words = stacked(rng, lambda y: y + 1, dear=5)
    y[words == "dear"] = 2.0
    mean, deviation = FidelitySurrogate("dear").fit(X, y, words).predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


def test_masks_that_repeat_in_and_between_fidelities(rng):
    X, y, words = stacked(rng, lambda y: y - 2, dear=8, m=24, noise=0.02)
    X[24:28], X[12:24] = X[:4], X[:12]
    y[24:28], y[12:24] = y[:4] + 2, y[:12] + 0.01
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    assert_array_equal(fitted.rows_.groups.index[24:28], fitted.rows_.groups.index[:4])
    assert np.abs(effects(fitted) - truth()).max() < 0.1


def test_coupled_seeds_have_a_level_in_every_fidelity(rng):
    X, y, words = stacked(rng, lambda y: y - 2, dear=12, m=40, noise=0.01)
    seeds = np.arange(len(X)) % 2
    shifted = y + 3.0 * seeds
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, shifted, words, seeds=seeds)
    assert fitted.rows_.basis.shape[1] == 4
    assert fitted.rows_.asked.sum() == 2
    assert_allclose(effects(fitted), truth(), atol=0.06)
    assert_allclose(fitted.predict(X[40:]), loss(X[40:]) + 1.5, atol=0.15)
    alone = FidelitySurrogate("dear", **PLAIN).fit(X, y, words, seeds=np.arange(len(X)))
    assert alone.rows_.basis.shape[1] == 2  # seeds of a single mask share a level


def test_many_targets_share_what_the_members_are(rng):
    X, y, words = stacked(rng, lambda y: y + 1, dear=5, m=20, T=52, noise=0.01)
    fitted = FidelitySurrogate("dear", **PLAIN).fit(X, y, words)
    assert fitted.predict(X).shape == (25, 52)
    assert np.abs(readings.leave_one_out(fitted).mean[:, 51] / 52 - truth()).max() < 0.1


@pytest.mark.parametrize("links", [("identity",), ("log",)])
def test_a_saved_surrogate_predicts_the_same(links, rng, tmp_path):
    X, y, words = stacked(rng, lambda y: y + 1, dear=6, noise=0.02)
    fitted = FidelitySurrogate("dear", links=links).fit(X, y, words)
    loaded = load_surrogate(fitted.save(tmp_path / "one.json"))
    for noise in (False, True):
        for a, b in zip(*(s.predict(X, return_std=True, noise=noise) for s in (loaded, fitted)), strict=True):
            assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for name in ("mean", "deviation", "prior"):
        assert_allclose(*(getattr(readings.leave_one_out(s), name) for s in (loaded, fitted)), rtol=1e-9, atol=1e-12)
    assert fitted.affordable
    assert not loaded.affordable


@given(seed=st.integers(0, 30), fidelity=st.integers(0, 1), bits=st.integers(0, 31))
@settings(max_examples=12, deadline=None)
def test_one_more_run_never_makes_less_sure(seed, fidelity, bits):
    fitted = made(seed)
    more = fitted.with_run(every_mask(5)[bits], fidelity)
    for one, other in ((fitted, more), (fitted.heaviest(), fitted.heaviest().with_run(every_mask(5)[bits], fidelity))):
        before, after = readings.leave_one_out(one), readings.leave_one_out(other)
        assert (after.deviation <= before.deviation * (1 + 1e-6) + 1e-9).all()
        assert_allclose(after.mean, before.mean, atol=1e-8)


MADE = {}


def made(seed):
    if seed not in MADE:
        rng = np.random.default_rng(seed)
        MADE[seed] = FidelitySurrogate("dear", **PLAIN).fit(*stacked(rng, lambda y: 0.8 * y, dear=5, m=16, noise=0.1))
    return MADE[seed]


# ---- errors


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"at": "large"}, "at='large': 0 rows are of this fidelity; at least 3 are needed"),
        ({"at": "dear", "keep": 32}, "at='dear': 2 rows are of this fidelity"),
        ({"fidelity": ["dear"]}, r"fidelity has shape \(1,\); give one entry for each of the 33 rows"),
        ({"seeds": [1, 2]}, r"seeds has shape \(2,\)"),
        ({"groups": [1, 2]}, r"groups has shape \(2,\)"),
    ],
)
def test_bad_input(how, words, rng):
    X, y, given_words = stacked(rng, lambda y: y)
    keep = how.pop("keep", 33)
    fit = partial(FidelitySurrogate(how.pop("at", None)).fit, X[:keep], y[:keep])
    how.setdefault("fidelity", given_words[:keep])
    with pytest.raises(ValueError, match=words):
        fit(**how)


@parametrize_with_checks([FidelitySurrogate()])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_parameters_are_stored(rng):
    X, y, words = stacked(rng, lambda y: y)
    surrogate = clone(FidelitySurrogate("cheap", **PLAIN))
    assert surrogate.fit(X, y, words) is surrogate
    assert surrogate.get_params()["at"] == "cheap"
    assert not hasattr(surrogate, "_said")
