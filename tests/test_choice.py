"""The choice between tuned ridge and the stack of kernels: honest errors, the simpler one on a tie, words for it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from interplay.surrogates import KernelSurrogate, LinearSurrogate, compare
from interplay.surrogates.choice import ASKED, SIMPLEST, WORDS
from interplay.surrogates.stacking import folds
from tests.helpers import runs

SINGLE = SIMPLEST[:-1]  # of one fidelity

K, M = 6, 60


def additive(seed, noise=0.3, T=1):
    rng = np.random.default_rng(seed)
    X = (rng.random((M, K)) < 0.6).astype(float)
    return X, X @ rng.normal(size=(K, T)) + noise * rng.normal(size=(M, T))


def entangled(seed, noise=0.05):
    rng = np.random.default_rng(seed)
    X = (rng.random((M, K)) < 0.6).astype(float)
    y = np.maximum(X[:, 0], X[:, 1]) - 2 * X[:, 2] * X[:, 3] + np.abs(X[:, 4] - X[:, 5])
    return X, y[:, None] + noise * rng.normal(size=(M, 1))


@pytest.fixture(scope="module")
def choices():
    """Choices on games of both kinds."""
    return {make: [(*make(seed), compare(*make(seed))) for seed in range(3)] for make in (additive, entangled)}


def test_additive_games_are_ties_and_ridge_is_taken(choices):
    names = [choice.name for _, _, choice in choices[additive]]
    assert names.count("ridge") >= 2


def test_entangled_games_take_a_kernel(choices):
    for _, _, choice in choices[entangled]:
        assert choice.name != "ridge"
        assert choice.gain > 2 * choice.gain_error
        assert isinstance(choice.surrogate, KernelSurrogate)


def test_the_stack_is_taken_where_it_gains_more_than_a_standard_error(choices):
    for _, _, choice in choices[additive] + choices[entangled]:
        assert choice.name == ("stack" if choice.gain > choice.gain_error else "ridge")
        assert not choice.asked
        assert list(choice.skill) == list(SINGLE)  # RBF and ARD stand beside them
        assert choice.worse[choice.best] == choice.standard_error[choice.best] == 0.0
        assert min(choice.worse.values()) == 0.0
        assert_allclose(choice.gain, choice.worse["ridge"] - choice.worse["stack"], atol=1e-12)
        if choice.best == "stack":
            assert_allclose(choice.gain_error, choice.standard_error["ridge"], rtol=1e-9)


def test_the_rule_on_ties():
    """Nothing to tell two surrogates apart: a constant target ties all of them, and the simplest is ridge."""
    X, _ = additive(0)
    choice = compare(X, np.full((M, 1), 2.0))
    assert choice.name == "ridge"
    assert choice.gain == choice.gain_error == 0.0
    assert np.isfinite(choice.over_constant).all()


def test_errors_come_from_folds_without_the_row(asked):
    """Ridge and the constant written out, by refitting in the same folds; paired over groups of rows."""
    X, y, found = asked
    groups = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    fold, ridge, constant = folds(groups), np.empty_like(y), np.empty_like(y)
    for k in range(fold.max() + 1):
        left = fold == k
        ridge[left] = LinearSurrogate().fit(X[~left], y[~left], groups=groups[~left]).predict(X[left])
        constant[left] = y[~left].mean(axis=0)
    error, base = ((ridge - y) ** 2).mean(axis=0), ((constant - y) ** 2).mean(axis=0)

    def paired(d):
        sums = np.bincount(groups, d - d.mean())
        return d.mean(), np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / M

    for choice in found.values():
        assert_allclose(choice.skill["ridge"], 1 - error / base, rtol=1e-9)
    stack = found["stack"].surrogate.cv_.mean
    assert_allclose(found["stack"].skill["stack"], 1 - ((stack - y) ** 2).mean(axis=0) / base, rtol=1e-9)
    gain, gain_error = paired((np.abs(ridge - y) - np.abs(stack - y))[:, 0] / y.std())
    assert_allclose([found["ard"].gain, found["ard"].gain_error], [gain, gain_error], rtol=1e-9)
    over, over_error = paired((np.abs(constant - y) - np.abs(ridge - y))[:, 0] / y.std())
    assert_allclose(found["ridge"].over_constant, over, rtol=1e-9)
    assert_allclose(found["ridge"].over_constant_error, over_error, rtol=1e-9)


def test_skill_is_that_of_unseen_runs():
    """Held-out R^2 agrees with R^2 on masks that no fit has seen, on the average over games."""
    gaps = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, y = runs(K, M + 300, rng, T=2)
        choice = compare(X[:M], y[:M])
        unseen = 1 - ((choice.surrogate.predict(X[M:]) - y[M:]) ** 2).mean(axis=0) / y[M:].var(axis=0)
        gaps.append(choice.skill[choice.name] - unseen)
    assert abs(np.mean(gaps)) < 0.1


def test_noise_has_no_skill():
    rng = np.random.default_rng(1)
    X = (rng.random((M, K)) < 0.6).astype(float)
    choice = compare(X, rng.normal(size=(M, 2)))
    assert all((skill < 0.2).all() for skill in choice.skill.values())
    assert (choice.over_constant < 2 * choice.over_constant_error).all()


@pytest.fixture(scope="module")
def asked():
    X, y = additive(1)
    return X, y, {prefer: compare(X, y, prefer=prefer) for prefer in ("ridge", "rbf", "ard", "stack", "kernel")}


@pytest.mark.parametrize("prefer", ["ridge", "rbf", "ard", "stack", "kernel"])
def test_a_surrogate_that_is_asked_for_is_taken(asked, prefer):
    X, y, found = asked
    choice = found[prefer]
    name = ASKED[prefer]
    assert choice.name == ("stack" if prefer == "kernel" else prefer) == name
    assert choice.asked
    assert "as asked" in choice.sentence
    expected = LinearSurrogate().fit(X, y)
    if name != "ridge":
        expected = KernelSurrogate().fit(X, y)
        expected = expected if name == "stack" else expected.only(name)
    assert_allclose(choice.surrogate.predict(1 - X), expected.predict(1 - X), atol=1e-8)
    assert choice.skill.keys() == found["ridge"].skill.keys()  # the comparison is reported all the same
    assert_allclose([choice.worse[n] for n in SINGLE], [found["ridge"].worse[n] for n in SINGLE], atol=1e-9)


def test_over_the_constant_is_that_of_the_one_taken(asked):
    found = asked[2]
    gains = {name: found[name].over_constant for name in ("ridge", "ard", "stack")}
    assert len({round(float(gain[0]), 12) for gain in gains.values()}) == 3
    assert all(gain > 0 for gain in gains.values())


def test_the_sentence(choices, asked):
    for choice in [c for _, _, c in choices[additive] + choices[entangled]] + list(asked[2].values()):
        words = choice.sentence
        assert words.endswith(".")
        assert words[0].isupper()
        assert words.lower().startswith(WORDS[choice.name].lower())
        for name in SINGLE:
            if name != choice.name:
                assert f"{WORDS[name]} {choice.skill[name].mean():.2f}" in words
        if choice.asked:
            assert "as asked" in words
        else:
            assert f"{abs(choice.gain):.3f} of the standard deviation (standard error {choice.gain_error:.3f})" in words
            assert ("simpler" in words) == (choice.name == "ridge")


def test_the_table(choices):
    for _, _, choice in choices[additive] + choices[entangled]:
        table = choice.table()
        assert [row["surrogate"] for row in table] == list(SINGLE)
        assert [row["surrogate"] for row in table if row["taken"]] == [choice.name]
        for row in table:
            assert row["lower"] <= row["worse"] <= row["upper"]
            assert_allclose(row["r2"], choice.skill[row["surrogate"]].mean())
            assert_allclose(row["upper"] - row["lower"], 2 * 1.96 * choice.standard_error[row["surrogate"]])


def test_what_is_asked_for_by_a_wrong_name_is_named():
    with pytest.raises(ValueError, match=r"surrogate='cubic'.*'ridge'.*'stack'"):
        compare(*additive(0), prefer="cubic")


def test_mixtures_have_a_choice_too(rng):
    """What is asked for is what is taken, or there is an error that says what there is."""
    X = rng.dirichlet(np.ones(4), 30)
    y = np.log(X + 0.01) @ rng.normal(size=(4, 2))
    for prefer in ("auto", "rbf", "stack"):
        choice = compare(X, y, prefer=prefer)
        assert choice.surrogate.kind_ == "mixture"
        assert prefer in ("auto", choice.name)
        assert (choice.skill[choice.name] > 0.9).all()
    raw = compare(X, y, prefer="ridge", features="raw")
    assert raw.surrogate.features_ == "raw"
    if "ard" not in raw.skill:
        with pytest.raises(ValueError, match=r"surrogate='ard'.*ridge.*stack"):
            compare(X, y, prefer="ard")


def test_bounds_are_of_the_right_side(rng):
    X = (rng.random((M, K)) < 0.6).astype(float)
    bend = np.exp(-(X @ np.linspace(1.5, 0.1, K)))
    y = np.column_stack([1 + bend, 1 - bend]) + 0.002 * rng.normal(size=(M, 2))
    choice = compare(X, y, prefer="stack", higher_is_better=[False, True])
    assert choice.surrogate.link_.sign.tolist() == [1, -1]


def test_rows_reach_every_surrogate(rng):
    """Given groups, seeds and noise are those of all four, so that their errors are of the same held-out rows."""
    X, y = additive(2)
    groups, seeds, noise = np.arange(M) // 3, np.arange(M) % 2, rng.uniform(0.5, 2.0, M)
    for prefer in ("ridge", "stack"):
        choice = compare(X, y, groups, prefer=prefer, seeds=seeds, noise=noise)
        rows = choice.surrogate.rows_
        assert_allclose(rows.groups.index, groups)
        assert rows.basis.shape == (M, 2)
        assert_allclose(rows.noise / rows.noise[0], noise / noise[0])
    alone = LinearSurrogate().fit(X, y, groups, seeds, noise)
    found = compare(X, y, groups, prefer="ridge", seeds=seeds, noise=noise).surrogate
    assert_allclose(found.predict(1 - X), alone.predict(1 - X), rtol=1e-9)


def test_a_far_run_does_not_hide_that_the_stack_is_better():
    """One run far off in the target: squared errors are those of that run, absolute ones count all."""
    taken = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = (rng.random((60, 6)) < 0.5).astype(float)
        y = np.maximum(X[:, 0], X[:, 1]) + np.maximum(X[:, 2], X[:, 3]) + 0.02 * rng.normal(size=60)
        y[7] += 6.0
        taken.append(compare(X, y[:, None]).name)
    assert taken.count("stack") >= 4


WORTH = np.array([0.8, 0.5, 0.1, -0.2, -0.5])


def blended(seed, m, law):
    """Mixtures of five sources and a loss by a law of their shares, with a little noise."""
    rng = np.random.default_rng(seed)
    W = rng.dirichlet(np.ones(5), m)
    return W, law(W)[:, None] + 0.01 * rng.normal(size=(m, 1))


@pytest.mark.parametrize("m", [16, 40])
@pytest.mark.parametrize("seed", range(3))
def test_a_loss_that_is_linear_in_shares_is_fitted_as_well_as_by_least_squares(seed, m):
    law = lambda W: 2.6 - W @ WORTH
    X, y = blended(seed, m, law)
    choice = compare(X, y)
    new = np.random.default_rng(100).dirichlet(np.ones(5), 500)
    plain = np.linalg.lstsq(X, y, rcond=None)[0]  # shares sum to one: no constant needed
    ours, theirs = (np.abs(p - law(new)[:, None]).mean() for p in (choice.surrogate.predict(new), new @ plain))
    assert choice.name == "ridge"
    assert choice.surrogate.features_ == "raw"
    assert ours < 1.5 * theirs
    assert choice.sentence.startswith("Tuned ridge on the shares: ")
    stack = KernelSurrogate().fit(X, y)  # what is taken where another target needs it
    assert 1 - ((stack.predict(new) - law(new)[:, None]) ** 2).mean() / law(new).var() > 0.97


def test_ridge_keeps_logarithms_where_they_predict_better():
    X, y = blended(0, 40, lambda W: 3 - 0.1 * np.log(W + 0.001) @ np.array([1, 0.6, 0.3, 0.1, 0]))
    choice = compare(X, y)
    assert LinearSurrogate().fit(X, y).features_ == "log"
    assert choice.name == "stack" or choice.sentence.startswith("Tuned ridge on logarithms of shares: ")


def test_one_map_serves_all_targets_of_ridge():
    X, y = blended(1, 40, lambda W: 2.6 - W @ WORTH)
    other = -np.log(X[:, [0]] + 1e-3)
    both = LinearSurrogate().fit(X, np.hstack([y, y + 0.1, other]))
    assert both.features_ in ("raw", "log")
    assert both.coef_.shape == (3, 5)
    assert_allclose(both.predict(X), both.intercept_ + _seen(X, both.features_) @ both.coef_.T)


def _seen(X, name):
    return X if name == "raw" else np.log(X + 1e-3)


def test_links_stay_where_ridge_on_shares_would_take_one_itself():
    law = lambda W: 1.5 + np.exp(-2 * W @ np.array([1.0, 0.5, 0.2, -0.2, -0.8]))
    X, y = blended(0, 40, law)
    assert KernelSurrogate().fit(X, y).link_.log.all()
    X, y = blended(0, 40, lambda W: 2.6 - W @ WORTH)
    assert not KernelSurrogate().fit(X, y).link_.log.any()
