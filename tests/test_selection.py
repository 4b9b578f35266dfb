"""Choices: exact where masks can be listed, near a grid's best for mixtures, within every rule that was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.fitting import Design, checked, fit_design
from interplay.held_out import HeldOut
from interplay.problems import games
from interplay.report.selection import _cost
from interplay.selection import Constraints, result
from interplay.selection.chooser import Chooser
from interplay.selection.fitted import Fitted
from interplay.selection.judgement import Proposals, unexplained, verdict_on
from interplay.selection.landscape import Landscape
from interplay.selection.mixtures import best_mixtures
from interplay.selection.objective import Goal, Objective
from interplay.selection.recorded import Settled
from interplay.selection.simplex import kl, project, total_variation
from interplay.selection.slopes import Surface
from interplay.selection.subsets import best_masks


def masks_of(K, m, seed=0, p=0.5):
    return ip.masks.bernoulli(K, m, np.random.default_rng(seed), p=p)


def runs_of(values, masks, targets=("loss",), **how):
    return ip.Evaluations.from_arrays(masks, values, targets=list(targets), **how)


def fitted(runs, target=None, risk=1.0, surrogate="stack"):
    names = [runs.targets[0]] if target is None else list(target)
    goals = tuple(Goal.of(runs, name) for name in names)
    return Fitted.of(runs, goals, len(goals), risk, surrogate, None)


def interacting(K=9, m=60, seed=0):
    """A loss with a saturating pair and one that needs both."""
    S = masks_of(K, m, seed)
    y = 3.0 - S @ np.linspace(0.6, -0.3, K) + 0.5 * S[:, 0] * S[:, 1] - 0.6 * S[:, 3] * S[:, 4]
    return runs_of(np.exp(0.3 * y), S)


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("surrogate", ["ridge", "stack"])
@pytest.mark.parametrize("rules", [{}, {"size": 4}, {"size": (2, 5), "forbid": ["task_0"], "require": ["task_8"]}])
def test_exact_search_is_the_best_of_all_masks(surrogate, rules):
    runs = interacting()
    fit = fitted(runs, surrogate=surrogate)
    region = Constraints(**rules).region_of(runs)
    found = best_masks(fit.objective, region, fit.design.X, np.random.default_rng(0))
    S = ip.masks.all_subsets(9)
    S = S[region.feasible(S)]
    worth = fit.objective.worth(*fit.predictor.at(S))
    order = np.argsort(-worth)[: len(found.X)]
    assert found.exact
    np.testing.assert_allclose(found.worth, worth[order], atol=1e-9)
    np.testing.assert_array_equal(found.X[0], S[order[0]])


def test_local_search_finds_the_best_of_all_masks():
    runs = interacting()
    fit = fitted(runs)
    region = Constraints(size=4).region_of(runs)
    exact = best_masks(fit.objective, region, fit.design.X, np.random.default_rng(0))
    local = best_masks(fit.objective, region, fit.design.X, np.random.default_rng(0), listed=0)
    assert not local.exact
    assert local.worth[0] == pytest.approx(exact.worth[0], abs=1e-9)


def composed(K=9, m=60, seed=0):
    """A loss of the mean quality of the sources in a mask, and of their number."""
    S = masks_of(K, m, seed)
    n = np.maximum(S.sum(axis=1), 1.0)
    return runs_of(np.exp(S @ np.linspace(1.5, -1.5, K) / n) + 2.0 / np.sqrt(n), S)


@pytest.mark.parametrize("game", [interacting, composed])
def test_landscape_bounds_what_masks_are_worth_and_agrees_with_itself(game):
    fit = fitted(game())
    landscape, S = Landscape(fit.objective), ip.masks.all_subsets(9)
    above = landscape.at(S)
    assert landscape.bounds
    if game is composed:
        assert {part.sized for weight, _, parts in landscape.members if weight.any() for part in parts} == {True, False}
    assert (above >= fit.objective.worth(*fit.predictor.at(S)) - 1e-9).all()
    free, fixed = np.array([0, 2, 3, 5, 8]), np.array([0, 1, 0, 0, 1, 0, 0, 1, 0.0])
    listed = list(landscape.all_subsets(free, fixed, most=8))
    masks, values = (np.concatenate(parts) for parts in zip(*listed, strict=True))
    assert len(np.unique(masks, axis=0)) == 32
    assert (np.delete(masks, free, axis=1) == np.delete(fixed, free)).all()
    np.testing.assert_allclose(values, landscape.at(masks.astype(float)), atol=1e-9)
    s = S[137]
    flipped = np.abs(s - np.eye(9))
    np.testing.assert_allclose(landscape.flips(s), landscape.at(flipped), atol=1e-9)
    out, into = np.flatnonzero(s > 0), np.flatnonzero(s == 0)
    swapped = [[landscape.at(np.abs(s - np.eye(9)[a] - np.eye(9)[b])[None])[0] for b in into] for a in out]
    np.testing.assert_allclose(landscape.swaps(s, out, into), swapped, atol=1e-9)


@settings(max_examples=4, deadline=None)
@given(st.permutations(range(7)), st.integers(1, 6))
def test_a_permutation_of_the_tasks_permutes_the_choice(order, size):
    S = masks_of(7, 40)
    y = 2.0 - S @ np.array([0.9, 0.5, 0.3, 0.2, -0.1, -0.2, -0.4]) + 0.4 * S[:, 0] * S[:, 1]
    names = [f"task_{k}" for k in order]
    one = ip.select(runs_of(y, S), size=size)
    other = ip.select(runs_of(y, S[:, order], tasks=names), size=size)
    assert set(one.names) == set(other.names)


def test_costs_groups_and_names_are_kept():
    K = 8
    S = masks_of(K, 60)
    y = 5.0 - S @ np.arange(1.0, K + 1)
    runs = runs_of(y, S)
    chosen = ip.select(runs, costs={"*": 1.0, "task_7": 10.0}, budget=4.0, at_most={"late": (["task_5", "task_6"], 1)})
    assert chosen.names == ("task_2", "task_3", "task_4", "task_6")
    assert any("at most 1 of late" in rule for rule in chosen.rules)
    assert chosen.of(result.FREE)[0].weights.sum() == K


def test_the_game_with_a_pair_that_needs_both_is_chosen_as_a_pair():
    """Alone neither helps: greedy selection would leave both out."""
    S = masks_of(8, 80)
    y = 1.0 - S[:, 0] * S[:, 1] + 0.1 * S[:, :2].sum(axis=1) - 0.2 * S[:, 2] + 0.05 * S[:, 3:].sum(axis=1)
    assert ip.select(runs_of(y, S), size=2).names == ("task_0", "task_1")


def test_a_task_that_is_never_switched_stays_as_it_is():
    S = masks_of(5, 30)
    S = np.hstack([S, np.ones((len(S), 1)), np.zeros((len(S), 1))])
    runs = runs_of(3.0 - S[:, :5] @ [0.5, 0.4, 0.3, -0.2, -0.3], S)
    chosen = ip.select(runs)
    assert chosen.names == ("task_0", "task_1", "task_2", "task_5")
    with pytest.raises(EvaluationsError, match="require 'task_6': it is off in every run"):
        ip.select(runs, require=["task_6"])
    assert len(ip.select(runs, size=2).names) == 2


# ---------------------------------------------------------------- objectives


def test_weighted_sums_are_read_as_such():
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(20, 3)) + 5
    runs = runs_of(Y, masks_of(6, 20), targets=("a", "b", "c"))
    made = runs.derive(["m=mean(a, b)", "s=0.5*a + 2*c", "z=mean_z(*)", "w=worst(a, b)", "n=mean(m, c)"])
    goal = Goal.of(made, "m")
    assert goal.members == ("a", "b")
    np.testing.assert_allclose(goal.coefficients, [0.5, 0.5])
    np.testing.assert_allclose(Goal.of(made, "s").coefficients, [0.5, 2.0])
    z = Goal.of(made, "z")
    np.testing.assert_allclose(Y @ z.coefficients + z.offset, made["z"].values[:, 0])
    assert Goal.of(made, "w").members == ("w",)
    np.testing.assert_allclose(Goal.of(made, "n").coefficients, [0.25, 0.25, 0.5])


GAINS = np.array([[0.8, 0.6, -0.1, -0.1, -0.2, 0.3], [-0.5, -0.1, 0.6, 0.5, -0.2, 0.3]])


def two_targets():
    S = masks_of(6, 60)
    a = 3.0 - S @ GAINS[0]
    b = 3.0 - S @ GAINS[1]
    return runs_of(np.column_stack([a, b]), S, targets=("a", "b"))


def test_a_sum_of_two_targets_is_made_better_together():
    runs = two_targets()
    assert ip.select(runs, "mean(a, b)").names == ("task_0", "task_1", "task_2", "task_3", "task_5")
    assert ip.select(runs, "a").names == ("task_0", "task_1", "task_5")


def test_within_keeps_the_others_at_the_baseline_less_the_tolerance():
    runs = two_targets()
    chosen = ip.select(runs, "a", within={"b": 0.1}, risk=0.0)
    at = chosen.weights @ GAINS[1]
    assert at >= np.ones(6) @ GAINS[1] - 0.1 - 0.03
    assert ip.select(runs, "a", within={"b": 9.0}).names == ("task_0", "task_1", "task_5")


def test_a_gain_that_cannot_be_told_is_never_solid():
    masks = ip.masks.bernoulli(6, 40, p=0.5, rng=np.random.default_rng(0))
    chosen = ip.select(ip.Evaluations.from_arrays(masks, masks @ np.arange(6.0), targets=["loss"]), "loss", size=2)
    first, *others = chosen.candidates
    for broken in ({"gain_deviation": np.array([np.nan])}, {"gain": np.array([np.inf])}):
        lost = tuple(replace(c, **broken) if c.role == result.BASELINE else c for c in others)
        verdict, why = verdict_on((first, *lost), Proposals(), 0)
        assert verdict == "not supported"
        assert "cannot be told" in why


def test_the_worst_of_several_is_made_better():
    runs = two_targets()
    chosen, single = ip.select(runs, worst=["a", "b"]), ip.select(runs, "a")
    z = lambda w: (GAINS @ w).min()
    assert z(chosen.weights) > z(single.weights)
    assert chosen.targets == ("a", "b")


def test_the_front_holds_the_best_of_each_and_nothing_that_is_beaten():
    runs = two_targets()
    chosen = ip.select(runs, pareto=["a", "b"])
    gains = np.array([-c.predicted for c in chosen.front])
    beaten = (gains[None] > gains[:, None] + 1e-6).all(axis=2).any(axis=1)
    assert len(chosen.front) >= 3
    assert not beaten.any()
    best = ip.select(runs, "b").weights
    assert any(np.array_equal(c.weights, best) for c in chosen.front)


# ---------------------------------------------------------------- mixtures


def mixtures(K=3, m=60, seed=0, best=(0.6, 0.3, 0.1), noise=0.0):
    rng = np.random.default_rng(seed)
    W = ip.masks.dirichlet(K, m, rng)
    y = 1.0 + 4.0 * ((W - np.array(best)) ** 2).sum(axis=1) + noise * rng.normal(size=m)
    return runs_of(y, W, kind="mixture")


def grid(step=0.01):
    a, b = np.meshgrid(np.arange(0, 1 + step / 2, step), np.arange(0, 1 + step / 2, step))
    W = np.column_stack([a.ravel(), b.ravel(), 1 - a.ravel() - b.ravel()])
    return np.clip(W[W[:, 2] >= -1e-9], 0, 1)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"caps": {"task_0": 0.4}},
        {"floors": {"task_2": 0.3}, "caps": 0.5},
        {"near": [0.2, 0.4, 0.4], "kl": 0.05},
        {"at_most": {"two": (["task_0", "task_1"], 0.5)}},
        {"near": [0.1, 0.1, 0.8], "kl": 0.2, "caps": {"task_2": 0.6}},
    ],
)
def test_mixtures_come_up_to_the_best_of_a_fine_grid(rules):
    runs = mixtures()
    fit = fitted(runs)
    region = Constraints(**rules).region_of(runs)
    found, average = best_mixtures(fit.objective, region, fit.design.X, np.random.default_rng(0))
    W = grid()
    W = W[region.feasible(W)]
    worth = fit.objective.worth(*fit.predictor.at(W))
    assert region.feasible(found.X).all()
    assert region.feasible(average[None]).all()
    assert found.worth[0] >= worth.max() - 1e-4


def test_the_optimum_of_a_mixture_is_found():
    chosen = ip.select(mixtures())
    assert np.abs(chosen.weights - [0.6, 0.3, 0.1]).max() < 0.05
    assert chosen.of(result.BASELINE)[0].name == "uniform"
    assert chosen.verdict == "solid"


def test_an_optimum_at_the_farthest_from_the_runs_is_taken_and_said():
    runs = mixtures(K=4, m=30, best=(0.97, 0.01, 0.01, 0.01))
    runs = runs.filter(runs.masks[:, 0] < 0.5)
    found = ip.select(runs, surrogate="ridge")
    assert found.choice.remoteness == pytest.approx(1.0, abs=1e-4)
    assert not found.choice.far
    assert "100% of its starts ended at the best" in found.search
    assert any(warning.startswith("the choice lies as far from the runs") for warning in found.warnings)
    beyond = ip.select(runs, surrogate="ridge", beyond=True)
    assert beyond.choice.far
    assert not any("no farther was looked" in warning for warning in beyond.warnings)


def test_tokens_limit_how_often_a_source_is_read():
    runs = mixtures()
    tokens = ip.Tokens(runs.tasks, np.array([1e9, 5e9, 5e9]))
    chosen = ip.select(runs, tokens=tokens, max_epochs=2, budget=1e10)
    assert chosen.weights[0] <= 0.2 + 1e-6
    np.testing.assert_allclose(chosen.of(result.BASELINE)[0].weights, tokens.mixture)


@pytest.mark.parametrize("goals", [["y"], ["mean(y, z)"], ["y", "z", "w"], ["mean(y, z, w)", "w"]])
@pytest.mark.parametrize("surrogate", ["ridge", "stack"])
def test_benefits_and_remoteness_with_gradients_that_equal_differences(goals, surrogate):
    rng = np.random.default_rng(1)
    W = ip.masks.dirichlet(4, 40, rng)
    Y = np.column_stack([2 + np.exp(-3 * W[:, 0]) + W[:, 1], np.exp(W @ [1, -1, 0.5, 0]), W[:, 2] - W[:, 3] ** 2])
    Y += 0.05 * rng.normal(size=Y.shape)  # nearly noiseless fits have deviations that differences cannot resolve
    runs = runs_of(Y, W, targets=("y", "z", "w"), kind="mixture")
    formulas = [goal for goal in goals if goal not in runs.targets]
    if formulas:
        runs = runs.derive({"m": formulas[0]})
    fit = fitted(runs, ["m" if goal in formulas else goal for goal in goals], surrogate=surrogate)
    at, surface, objective = ip.masks.dirichlet(4, 5, rng), Surface(fit.objective), fit.objective
    z, deviation = objective.standardised(*fit.predictor.at(at))
    np.testing.assert_allclose(surface.benefits(at)[0], z - objective.risk * deviation, rtol=1e-9, atol=1e-9)
    step = 1e-5 * np.eye(4)
    for function in (surface.benefits, surface.remote):
        slope = function(at)[1]
        numeric = np.stack([(function(at + e)[0] - function(at - e)[0]) / 2e-5 for e in step], axis=2)
        np.testing.assert_allclose(slope, numeric, atol=2e-5 * np.abs(slope).max())


def test_remoteness_agrees_with_that_of_predictions():
    fit = fitted(mixtures(noise=0.05))
    W = grid(0.25)
    squared = Surface(fit.objective).remote(W)[0].max(axis=1)
    np.testing.assert_allclose(np.sqrt(squared), fit.objective.far(W), rtol=1e-6, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(0, 10_000))
def test_projections_are_nearest_and_within(K, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.8 / K, K)
    high = low + rng.uniform(0.1, 1.0, K)
    if high.sum() < 1:
        high += (1.0 - high.sum()) / K + 0.01
    W = rng.normal(size=(4, K))
    out = project(W, low, high, 1.0)
    assert np.abs(out.sum(axis=1) - 1).max() < 1e-9
    assert (out >= low - 1e-9).all()
    assert (out <= high + 1e-9).all()
    other = project(rng.normal(size=(50, K)), low, high, 1.0)
    for w, v in zip(W, out, strict=True):  # no point of the region makes an acute angle with the way out
        assert ((other - v) @ (w - v)).max() < 1e-7


def test_divergence_and_total_variation():
    W, prior = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0.25, 0.75])
    np.testing.assert_allclose(kl(W, prior), [0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(4)])
    assert kl(np.array([[0.5, 0.5]]), np.array([1.0, 0.0]))[0] == np.inf
    np.testing.assert_allclose(total_variation(W, W), [[0, 0.5], [0.5, 0]])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"size": 9}, "size is 9; there are 6 tasks"),
        ({"size": (4, 2)}, "size is"),
        ({"require": ["task_1"], "forbid": ["task_1"]}, "task_1 is required and forbidden at once"),
        ({"require": ["task_9"]}, "require: no task is called 'task_9'"),
        (
            {"size": 2, "require": ["task_0", "task_1", "task_2"]},
            "require task_0; require task_1; require task_2; size 2",
        ),
        ({"costs": {"*": 5.0}, "budget": 4.0}, "at least one task; costs within 4 .the cheapest task costs 5"),
        ({"costs": {"*": 5.0}}, "costs need a budget"),
        ({"budget": 5.0}, "budget limits what tasks cost"),
        ({"caps": 0.5}, "caps is for mixtures"),
        ({"risk": -1.0}, "risk is -1.0"),
        ({"against": "uniform"}, "against='uniform'"),
        ({"target": "b"}, "no target is called 'b'"),
        ({"target": "a", "worst": ["a"]}, "give one of target, worst and pareto"),
        ({"within": {"a": 0.1}, "target": "a"}, "is what is to be made better"),
    ],
)
def test_what_is_wrong_with_masks_is_said(rules, words):
    S = masks_of(6, 30)
    with pytest.raises(EvaluationsError, match=words):
        ip.select(runs_of(2.0 - S @ np.ones(6), S, targets=("a",)), **rules)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"caps": 0.2}, "cap every task=0.2"),
        ({"floors": 0.5}, "floor every task=0.5"),
        ({"size": 2}, "size is for masks"),
        ({"near": [0.5, 0.5, 0.0]}, "near gives no weight to task_2"),
        ({"near": [0.9, 0.05, 0.05], "kl": 0.01, "caps": 0.4}, "the nearest lies"),
        ({"kl": 0.1}, "kl is a distance from a mixture"),
        ({"max_epochs": 4.0}, "max_epochs limits how often"),
        ({"caps": {"tusk_0": 0.1}}, "caps: no task is called 'tusk_0'.*task_0"),
        ({"caps": {"task_0": 1.5}}, "give a share between 0 and 1"),
        ({"against": [1.0]}, "against is .*a weight for each of the 3"),
        ({"against": [1.0, 1.0, 1.0]}, "against: choice 1 sums to 3"),
    ],
)
def test_what_is_wrong_with_mixtures_is_said(rules, words):
    with pytest.raises(EvaluationsError, match=words):
        ip.select(mixtures(m=20), **rules)


def test_directions_that_conflict_and_too_few_runs_are_said():
    runs = runs_of(np.random.default_rng(0).random((20, 2)), masks_of(5, 20), targets=("acc", "loss"))
    with pytest.raises(EvaluationsError, match="pull both ways"):
        ip.select(runs, "mean(acc, loss)")
    with pytest.raises(EvaluationsError, match="2 targets"):
        ip.select(runs)
    with pytest.raises(EvaluationsError, match="at least 5"):
        ip.select(runs[:3], "loss")


# ---------------------------------------------------------------- judgement and verification


def test_noise_supports_no_choice():
    S = masks_of(10, 40)
    y = np.random.default_rng(3).normal(size=40)
    assert ip.select(runs_of(y, S)).verdict == "not supported"


def test_choosing_among_candidates_takes_one_of_them():
    runs = mixtures()
    W = ip.masks.dirichlet(3, 30, np.random.default_rng(5))
    chosen = ip.select(runs, among=W)
    true = ((W - [0.6, 0.3, 0.1]) ** 2).sum(axis=1)
    assert np.abs(W - chosen.weights).sum(axis=1).min() < 1e-9
    assert true[np.abs(W - chosen.weights).sum(axis=1).argmin()] <= np.sort(true)[2]


def test_verification_ends_at_the_best_mask():
    game = games.additive_game([0.5, -0.2, 0.3, 0.1, -0.4, 0.2])
    runs = ip.evaluate(game, masks_of(6, 14), progress=False)
    chosen = ip.selection.verify(runs, game, trainings=4, progress=False)
    assert chosen.names == ("task_0", "task_2", "task_3", "task_5")
    assert chosen.choice.runs
    assert chosen.verified <= 4


def test_what_verification_trained_is_returned_and_saved(tmp_path):
    game = games.additive_game([0.5, -0.2, 0.3, 0.1, -0.4, 0.2])
    runs = ip.evaluate(game, masks_of(6, 14), progress=False)
    chosen = ip.selection.verify(runs, game, trainings=4, progress=False)
    again = ip.Selection.load(chosen.save(tmp_path / "choice.json"))
    for of in (chosen, again):
        assert len(of.trained) == chosen.verified
        np.testing.assert_array_equal(of.trained.values, game.evaluate(of.trained.masks, of.trained.seed))
    assert ip.Selection.load(ip.select(runs).save(tmp_path / "plain.json")).trained is None


def test_what_was_run_counts_beyond_what_the_surrogate_makes_of_it():
    """A line fitted to a pair that needs both: what four quiet seeds measured is believed, and its residual shown."""
    S = np.repeat(ip.masks.all_subsets(4), 4, axis=0)
    rng, seed = np.random.default_rng(0), np.tile(np.arange(4), 16)
    y = 2.0 - 1.0 * S[:, 0] * S[:, 1] - 0.1 * S[:, 2] + 0.01 * rng.normal(size=64)
    runs = runs_of(y, S, seed=seed)
    chosen = ip.select(runs, surrogate="ridge", risk=0.0)
    fit = fitted(runs, surrogate="ridge", risk=0.0)
    line = lambda c: fit.objective.values(*fit.predictor.at(c.weights[None]))[0][0, 0]
    for c in chosen.candidates:
        assert c.runs == 4
        assert abs(c.predicted[0] - c.measured[0]) < 0.02 < abs(line(c) - c.measured[0])
        assert c.gain[0] == pytest.approx(c.predicted[0] - chosen.choice.predicted[0])
        assert c.gain_deviation[0] < 0.05
    assert chosen.names[:2] == ("task_0", "task_1")
    fewer = ip.select(runs.where(seed=0), surrogate="ridge", risk=0.0)  # one run each: mostly believed, and less so
    assert (
        0
        < abs(fewer.choice.predicted[0] - fewer.choice.measured[0])
        < 0.5 * abs(line(fewer.choice) - fewer.choice.measured[0])
    )
    assert fewer.choice.deviation[0] > chosen.choice.deviation[0]


def test_the_level_of_a_seed_is_no_choice_of_its_own():
    """The second seed lies far below the first: no mask that it ran is better for that."""
    S = masks_of(6, 40)
    rng, seed = np.random.default_rng(0), np.arange(40) % 2
    true = 2.0 - S @ [0.5, 0.3, 0.2, 0.0, -0.1, -0.3]
    runs = runs_of(true - 3.0 * seed + 0.01 * rng.normal(size=40), S, seed=seed, notes={"coupled": True})
    chosen = ip.select(runs, surrogate="ridge")
    run = chosen.of(result.RUN)[0]
    at = lambda c: 2.0 - c.weights @ [0.5, 0.3, 0.2, 0.0, -0.1, -0.3]
    assert at(run) == pytest.approx(true.min(), abs=0.03)
    for c in chosen.candidates:
        assert c.predicted[0] == pytest.approx(at(c) - 1.5, abs=0.1)


def test_runs_around_a_choice_correct_it_by_what_the_surrogate_leaves_of_them():
    runs = mixtures(K=3, m=40, noise=0.3)
    fit = fitted(runs, surrogate="ridge")
    sign, _, scale = (a[0] for a in fit.objective.scales)
    left = sign * scale * (fit.held.measured[:, 0] - fit.predictor.at(fit.held.weights)[0][:, 0])
    X = np.vstack([runs.masks[:5], np.eye(3)])
    distance = 0.5 * np.abs(X[:, None] - fit.held.weights).sum(axis=2)
    near = np.exp(-0.5 * (distance / 0.05) ** 2)
    found = unexplained(fit.objective, X, fit.held, binary=False)
    np.testing.assert_allclose(found, [w @ left / (w.sum() + 1.0) for w in near], atol=1e-12)
    assert np.abs(found[:5]).max() > 0.05  # of what was run
    masks = interacting()  # of masks the tasks that differ count, as a share of all: one of nine is .11
    fit = fitted(masks, surrogate="ridge")
    sign, _, scale = (a[0] for a in fit.objective.scales)
    left = sign * scale * (fit.held.measured[:, 0] - fit.predictor.at(fit.held.weights)[0][:, 0])
    near = np.exp(-0.5 * ((masks.masks[:4, None] != fit.held.weights).mean(axis=2) / 0.05) ** 2)
    found = unexplained(fit.objective, masks.masks[:4], fit.held, binary=True)
    np.testing.assert_allclose(found, near @ left / (near.sum(axis=1) + 1.0), atol=1e-12)


def test_a_single_seed_is_said():
    runs = interacting()
    said = "All runs share one seed"
    for seeds, there in ((-1, False), (0, True), (np.arange(60) % 2, False)):
        chosen = ip.select(runs_of(runs.values, runs.masks, seed=seeds))
        assert any(said in warning for warning in chosen.warnings) == there


def test_intervals_of_choices_hold_what_they_measure():
    """In rough games, in which every mask has a part of its own that no surrogate knows."""
    S, inside, gains = ip.masks.all_subsets(8), [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        true = S @ rng.normal(size=8) * 0.2 + 0.3 * rng.normal(size=len(S))
        rows = rng.permutation(len(S))[:50]
        chosen = ip.select(runs_of(true[rows], S[rows]), surrogate="ridge")
        at = lambda c, true=true: true[(c.weights == S).all(axis=1)][0]
        choice, (baseline,) = chosen.choice, chosen.of(result.BASELINE)
        inside.append(abs(at(choice) - choice.predicted[0]) < 1.96 * choice.deviation[0])
        gains.append(abs(at(baseline) - at(choice) - baseline.gain[0]) < 1.96 * baseline.gain_deviation[0])
    assert np.mean(inside) > 0.8
    assert np.mean(gains) > 0.8


@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.9, 0.0), (0.0, 0.7), (0.4, 0.8)])
def test_the_deviation_of_a_gain_is_that_of_a_difference(shares):
    """Beside the joint posterior of both choices, from the same surrogate."""
    runs = interacting()
    fit = fitted(runs, surrogate="rbf")
    chooser = Chooser(fit, runs, Constraints(), np.random.default_rng(0), 1.0)
    X = ip.masks.all_subsets(9)[[37, 300]]
    settled = Settled(np.zeros((2, 1)), np.array(shares)[:, None], np.array([[0.01], [0.02]]))
    gain, deviation = chooser._gains(X, settled)
    own = fit.objective.values(*fit.predictor.at(X))[1][:, 0]
    _, apart = chooser._gains(X, Settled(*(np.zeros((2, 1)),) * 3))
    covariance = (own[0] ** 2 + own[1] ** 2 - apart[1, 0] ** 2) / 2
    a, b = 1 - np.array(shares)
    want = (a * own[0]) ** 2 + (b * own[1]) ** 2 - 2 * a * b * covariance + 0.03
    assert deviation[1, 0] == pytest.approx(np.sqrt(want))
    assert (gain[0, 0], deviation[0, 0]) == (0.0, 0.0)


class Failing:
    """Fails on every mask without its first task."""

    tasks, targets, fidelity = ("a", "b", "c", "d"), ("score",), "retrained"

    def fingerprint(self):
        return {}

    def evaluate(self, masks, seeds):
        if (masks[:, 0] == 0).any() and masks.sum() < 3:
            raise RuntimeError("out of memory")
        return (masks @ [-0.6, 0.5, -0.4, -0.2])[:, None]


def test_an_evaluator_that_fails_is_said_and_the_rest_goes_on():
    S = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 1], [1, 0, 1, 0]])
    runs = runs_of(S @ [-0.6, 0.5, -0.4, -0.2], S, targets=("score",), tasks=("a", "b", "c", "d"))
    chosen = ip.selection.verify(runs, Failing(), trainings=4, progress=False)
    assert any("could not be trained" in warning for warning in chosen.warnings)
    assert chosen.choice.runs


def test_a_budget_below_one_choice_is_said():
    game = games.additive_game([0.5, -0.2])
    runs = ip.evaluate(game, ip.masks.all_subsets(2), seeds=2, progress=False)
    with pytest.raises(EvaluationsError, match="trainings is 1; one choice takes 2"):
        ip.selection.verify(runs, game, trainings=1, progress=False)


def test_held_out_proposals_correct_what_is_too_rosy():
    """Where held-out runs that looked best came out worse, so will the choice."""
    fit = fitted(interacting(m=80))
    held = fit.held
    predicted = held.predicted - 0.5 * fit.objective.goals[0].spread  # losses said to be lower than they are
    rosy = Proposals.of(fit.objective, replace(held, predicted=predicted))
    assert rosy.bias < -0.3
    assert rosy.rank == pytest.approx(Proposals.of(fit.objective, held).rank)


def test_a_fit_of_the_parts_of_a_mean_is_used_for_the_mean():
    runs = two_targets().derive({"m": "mean(a, b)"})
    fit = fitted(runs, ["m"])
    S = ip.masks.all_subsets(6)
    mean, _ = fit.predictor.at(S)
    y, sd = fit.objective.values(mean, np.ones_like(mean))
    np.testing.assert_allclose(y[:, 0], mean.mean(axis=1))
    assert (sd[:, 0] <= 1.0 + 1e-12).all()
    assert isinstance(fit.objective, Objective)
    design = Design.of(checked(runs.select(["a", "b"])))
    assert HeldOut.of(design, fit_design(design)).measured.shape == (60, 2)


def test_candidates_with_rounded_shares_count_and_those_of_unknown_tasks_are_left_out():
    W = np.hstack([ip.masks.dirichlet(3, 40, np.random.default_rng(0)), np.zeros((40, 1))])
    runs = runs_of(1.0 + 4.0 * ((W[:, :3] - [0.6, 0.3, 0.1]) ** 2).sum(axis=1), W, kind="mixture")
    rounded = [[0.606, 0.3, 0.1, 0.0], [0.2, 0.5, 0.3, 0.0], [0.5, 0.3, 0.1, 0.1]]
    chosen = ip.select(runs, among=rounded)
    np.testing.assert_allclose(chosen.weights, rounded[0])
    assert any("1 candidates hold tasks that no run holds" in warning for warning in chosen.warnings)
    with pytest.raises(EvaluationsError, match="each of the 1 candidates holds a task"):
        ip.select(runs, among=rounded[2:])


def test_the_best_run_may_have_rounded_shares():
    runs = mixtures()
    rounded = replace(runs, masks=np.round(runs.masks, 2))
    assert ip.select(rounded).of(result.RUN)[0].measured[0] == runs.values.min()


# ---------------------------------------------------------------- what is said beside the verdict


def test_a_choice_level_with_the_baseline_says_that_it_beats_the_best_run():
    """Uniform is the optimum of a bowl, and every run lies far up its side."""
    rng = np.random.default_rng(5)
    W = ip.masks.dirichlet(4, 60, rng, alpha=[0.6] * 4)
    W = W[((W - 0.25) ** 2).sum(axis=1) > 0.15][:30]
    runs = runs_of(2.0 + ((W - 0.25) ** 2).sum(axis=1) + 0.01 * rng.normal(size=len(W)), W, kind="mixture")
    chosen = ip.select(runs, beyond=True)
    best = chosen.of(result.RUN)[0]
    half = 1.96 * best.gain_deviation[0]
    assert chosen.verdict == "not supported"
    assert best.gain[0] > half
    assert f"its gain over the best run is certain: {best.gain[0]:+.3g} (" in chosen.why


def test_where_no_run_keeps_the_rules_this_is_said():
    S = masks_of(6, 40)
    S = S[(S[:, 5] == 1) | (S.sum(axis=1) != 5)]
    chosen = ip.select(runs_of(3.0 - S @ GAINS[0], S), size=5, forbid=["task_5"])
    assert not chosen.of(result.RUN)
    assert "No run keeps the rules" in repr(chosen)


@pytest.mark.parametrize(
    ("cost", "half", "said"),
    [
        (0.0005, 0.12, "what they cost is not told apart from nothing, at most 0.12"),
        (0.5, 0.1, "they cost 0.5 (95 % interval 0.4 to 0.6)"),
    ],
)
def test_what_rules_cost_is_said_with_what_is_known_of_it(cost, half, said):
    assert _cost(cost, half) == said


def test_names_that_hold_what_was_typed_are_suggested_first():
    S = masks_of(3, 7)
    runs = runs_of(3.0 - S @ [0.5, 0.2, 0.1], S, tasks=["train_the_pile_github", "git", "train_the_pile_arxiv"])
    with pytest.raises(
        EvaluationsError, match=r"no task is called 'github'\. There are 3, such as 'train_the_pile_github'"
    ):
        ip.select(runs, require=["github"])


def test_a_sum_of_very_many_targets_is_fitted_as_one(monkeypatch):
    monkeypatch.setattr("interplay.selection.objective.SUMMED", 2)
    S, rng = masks_of(6, 60), np.random.default_rng(0)
    Y = 3.0 - np.column_stack([S @ GAINS[0], S @ GAINS[1], S @ GAINS.mean(axis=0)]) + 0.01 * rng.normal(size=(60, 3))
    runs = runs_of(Y, S, targets=("a", "b", "c"))
    chosen = ip.select(runs, "mean(*)")
    assert "mean(*) sums 3 targets: it is fitted as one, not target by target." in chosen.warnings
    monkeypatch.undo()
    each = ip.select(runs, "mean(*)")
    assert chosen.names == each.names
    np.testing.assert_allclose(chosen.choice.predicted, each.choice.predicted, atol=0.03)
    assert not any("fitted as one" in note for note in each.warnings)


def test_levels_of_coupled_seeds_are_in_the_intervals_of_predictions_and_not_in_gains(rng):
    S = ip.masks.bernoulli(6, 48, p=0.5, rng=rng)
    true = S @ np.array([0.9, 0.5, 0.2, 0.0, -0.4, -0.8]) + 0.02 * rng.normal(size=48)
    seed = np.arange(48) % 4
    level = np.array([0.0, 0.3, -0.2, 0.5])
    runs = lambda height: runs_of(5.0 - true + height * level[seed], S, seed=seed, notes={"coupled": True})
    flat, high = (ip.select(runs(height), surrogate="ridge") for height in (0.0, 1.0))
    half = level.std(ddof=1) / 2.0 * student.ppf(0.975, 3) / 1.96
    assert high.choice.deviation[0] == pytest.approx(np.hypot(flat.choice.deviation[0], half), rel=0.1)
    there, here = (one.of("baseline")[0].gain_deviation[0] for one in (flat, high))
    assert here == pytest.approx(there, rel=0.2)
    (said,) = (line for line in high.warnings if "levels of their own" in line)
    assert said.startswith("The 4 seeds have levels of their own")
    assert float(said.split("± ")[1].split(")")[0]) == pytest.approx(1.96 * half, rel=0.2)
    crossed = runs_of(  # every mask under both seeds: their mean is fitted
        np.concatenate([5.0 - true, 5.3 - true]), np.vstack([S, S]), seed=np.repeat([0, 1], 48), notes={"coupled": True}
    )
    assert any(
        "The 2 seeds have levels of their own" in line for line in ip.select(crossed, surrogate="ridge").warnings
    )
    alone = runs_of(5.0 - true + level[seed], S, seed=seed)
    assert not any("levels of their own" in line for line in ip.select(alone, surrogate="ridge").warnings)
