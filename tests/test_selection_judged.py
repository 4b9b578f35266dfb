"""What a choice is said to be worth does not hang on the order of rows, that of targets, or how many runs there are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.evaluators import Retrain
from interplay.problems import games
from interplay.selection import verify
from interplay.selection.fitted import Fitted
from interplay.selection.judgement import Proposals, verdict_on
from interplay.selection.objective import Goal
from interplay.selection.slopes import Surface


def runs_of(y, X, seed=0):
    return ip.Evaluations.from_arrays(X, y, targets=["loss"], kind="mask", seed=seed)


def masks(K, m, seed=0):
    return ip.masks.bernoulli(K, m, np.random.default_rng(seed), p=0.5)


def two_losses(seed, m=40, K=5):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(K), m)
    Y = np.exp(-X @ rng.normal(scale=1.5, size=(K, 2))) + 0.02 * rng.normal(size=(m, 2))
    return ip.Evaluations.from_arrays(X, Y, targets=["a", "b"], kind="mixture")


def test_deviations_of_ridge_are_known_beyond_the_rows_it_was_compared_on():
    rng = np.random.default_rng(0)
    X = np.round(rng.random((1050, 8)))
    runs = runs_of(X @ rng.normal(size=8) + 0.1 * rng.normal(size=1050), X)
    chosen = ip.select(runs, surrogate="ridge")
    assert chosen.stretch < 2.0
    assert chosen.choice.deviation[0] < 0.1
    assert chosen.verdict == "solid"


def test_the_order_of_the_runs_changes_nothing():
    """Under a logarithm noise is in proportion to the loss: that of the first run is not that of all."""
    rng = np.random.default_rng(0)
    X = masks(8, 50)
    y = np.exp(1.0 - X @ rng.exponential(0.5, 8) + 0.2 * rng.normal(size=50))
    first, second = (ip.select(runs_of(y[order], X[order]), size=4) for order in (np.argsort(y), np.argsort(-y)))
    assert first.names == second.names
    np.testing.assert_allclose(first.choice.deviation, second.choice.deviation, rtol=0.05)
    np.testing.assert_allclose(first.choice.gain_deviation, second.choice.gain_deviation, rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_worst_targets_changes_nothing(seed):
    runs = two_losses(seed)
    first, second = (ip.select(runs, worst=names).choice.worth for names in (["a", "b"], ["b", "a"]))
    assert abs(first - second) < 1e-3


def test_remoteness_with_its_slopes_is_that_of_the_worst_goal():
    runs = two_losses(1)
    goals = [Goal.of(runs, name) for name in runs.targets]
    objective = Fitted.of(runs, goals, 2, 0.5, "stack", None).objective
    W, step = ip.masks.dirichlet(5, 6, np.random.default_rng(2)), 1e-5 * np.eye(5)
    squared, slope = Surface(objective).remote(W)
    np.testing.assert_allclose(np.sqrt(squared.max(axis=1)), objective.far(W), rtol=1e-6)
    at = lambda X: Surface(objective).remote(X)[0]
    numeric = np.stack([(at(W + e) - at(W - e)) / 2e-5 for e in step], axis=2)
    np.testing.assert_allclose(slope, numeric, atol=5e-4 * np.abs(slope).max())


def test_benefits_beside_gradients_hold_at_a_high_level():
    X = np.random.default_rng(0).dirichlet(np.ones(4), 40)
    y = 1e7 + X @ [1.0, 0.3, -0.5, 0.2] + 0.05 * np.random.default_rng(1).normal(size=40)
    runs = ip.Evaluations.from_arrays(X, y, targets=["loss"])
    fit = Fitted.of(runs, [Goal.of(runs, "loss")], 1, 1.0, "stack", None)
    z, deviation = fit.objective.standardised(*fit.predictor.at(X[:5]))
    np.testing.assert_allclose(Surface(fit.objective).benefits(X[:5])[0], z - deviation, atol=1e-4)


PAIRS = np.array([[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]], float)
EFFECTS = np.array([0.5, 0.3, 0.1, 0.05, 0.2, 0.1])


def test_candidates_are_kept_to_where_choices_were_verified():
    X = masks(6, 30, 1)
    runs, ran = runs_of(2.0 - X @ EFFECTS, X), runs_of(2.0 - PAIRS[1:] @ EFFECTS, PAIRS[1:])
    assert ip.select(runs, among=PAIRS, verified=ran).names == ("task_0", "task_2")
    lost = ip.select(runs, among=PAIRS[:1], verified=ran)
    assert lost.names == ("task_0", "task_1")
    assert any("none of the candidates was run" in said for said in lost.warnings)
    game = games.additive_game(EFFECTS)
    runs = ip.evaluate(game, X, progress=False)
    chosen = verify(runs, game, among=PAIRS, trainings=3, progress=False)
    assert chosen.names == ("task_0", "task_1")


def test_what_was_measured_counts_however_many_runs_there_are():
    rng = np.random.default_rng(0)
    X = np.unique(masks(9, 400, 3), axis=0)[:240]
    y = 2.0 - X @ rng.uniform(0.0, 0.3, 9) + 0.05 * rng.normal(size=240)
    X = X[X.sum(axis=1) > 1]
    alone = np.tile(np.eye(9)[0], (6, 1))  # the same six times: it lasts
    found = ip.select(runs_of(y[: len(X)], X), verified=runs_of(np.full(6, -3.0), alone, seed=np.arange(6)))
    assert found.names == ("task_0",)


def test_parts_of_kept_targets_are_looked_at_as_those_of_goals():
    rng = np.random.default_rng(0)
    X = masks(8, 60)
    parts = np.exp(0.3 - X @ (rng.exponential(0.5, (3, 8)) * (rng.random((3, 8)) < 0.4)).T)
    Y = np.column_stack([X @ rng.normal(size=8), parts.mean(axis=1), parts])
    runs = ip.Evaluations.from_arrays(X, Y, targets=["aim", "loss", "p", "q", "r"], kind="mask")
    fit = Fitted.of(runs, [Goal.of(runs, "aim"), Goal.of(runs, "loss")], 1, 0.5, "stack", None)
    kept = fit.objective.keeping([Goal.of(runs, "loss")], np.zeros(1), fit.held)
    mean, deviation = fit.predictor.at(X[:5])
    there = kept.values(mean, deviation)[0][:, 1]
    np.testing.assert_allclose(there, mean[:, fit.predictor.targets.index("loss")], rtol=1e-6)
    assert set(kept.kept[0].members) == {"p", "q", "r"}


def test_a_front_far_from_all_runs_is_shown_and_given_candidates_are_no_end():
    X = masks(6, 60, 1)
    X = X[X.sum(axis=1) <= 3]
    runs = ip.Evaluations.from_arrays(X, np.column_stack([X @ EFFECTS, X @ EFFECTS[::-1]]), targets=["a", "b"])
    assert ip.select(runs, pareto=["a", "b"], size=6).front
    given = ip.select(runs, "a", among=np.ones((1, 6)))
    assert given.choice.remoteness > 1.0
    assert not any("no farther was looked" in said for said in given.warnings)


def test_token_counts_go_by_the_names_of_tasks():
    runs = two_losses(0)
    counts = np.array([100.0, 20.0, 10.0, 5.0, 50.0])
    rules = {"max_epochs": 2.0, "budget": 100.0}
    first, second = (
        ip.select(runs, "a", tokens=ip.Tokens(names, c), **rules)
        for names, c in ((runs.tasks, counts), (runs.tasks[::-1], counts[::-1]))
    )
    np.testing.assert_allclose(first.weights, second.weights)
    assert (first.weights <= 2.0 * counts / 100.0 + 1e-6).all()
    np.testing.assert_allclose(first.of("baseline")[0].weights, counts / counts.sum())
    with pytest.raises(EvaluationsError, match="tokens do not count task_1, task_2"):
        ip.select(runs, "a", tokens=ip.Tokens(("task_0",), [1.0]), max_epochs=2.0)
    masks_ = runs_of(masks(5, 30) @ EFFECTS[:5], masks(5, 30))
    costs = ip.Tokens(masks_.tasks[::-1], counts[::-1], counts[::-1])
    chosen = ip.select(masks_, costs=costs, budget=60.0)
    assert chosen.weights @ counts <= 60.0
    both = ip.Tokens(runs.tasks, counts), ip.Tokens(runs.tasks[::-1], counts[::-1])
    moved = (ip.attribute(runs, tokens=one, budget=10.0).to_frame() for one in both)
    pd.testing.assert_frame_equal(*moved)


def test_the_best_run_keeps_tolerances_and_they_are_rules():
    X = masks(6, 40, 1)
    runs = ip.Evaluations.from_arrays(X, np.column_stack([2.0 - X @ EFFECTS, X.sum(axis=1)]), targets=["a", "b"])
    chosen = ip.select(runs, "a", within={"b": 1.5}, against=np.eye(6)[0])
    (rule,) = chosen.rules
    assert rule == "b no more than 1.5 worse than the given one"
    assert all(run.weights.sum() <= 2 for run in chosen.of("best run"))
    assert chosen.weights.sum() <= 2


@pytest.mark.parametrize(
    ("against", "words"),
    [
        (np.full(6, 3.0), "against: choice 1 has 3 for task 'task_0'; masks are 0 or 1"),
        (np.full(6, np.nan), "against: choice 1 has nan"),
        ({"task_0": 1.0}, "against is .*give a weight for each of the 6 tasks, or a word"),
    ],
)
def test_baselines_that_are_none(against, words):
    X = masks(6, 30, 1)
    with pytest.raises(EvaluationsError, match=words):
        ip.select(runs_of(X @ EFFECTS, X), against=against)


def test_runs_that_switch_nothing_say_so():
    with pytest.raises(EvaluationsError, match="no task is switched"):
        ip.select(runs_of(np.arange(6.0), np.ones((6, 4))))


def test_targets_that_lose_and_baselines_that_may_not_be_kept_are_named():
    candidate = ip.select(two_losses(0), "a").choice
    rise = replace(candidate, role="baseline", name="all", gain=np.array([0.5, -0.4]), gain_deviation=np.full(2, 0.1))
    first = replace(candidate, gain=np.zeros(2), gain_deviation=np.zeros(2), worth=2.0, remoteness=0.5)
    rise = replace(rise, worth=1.0)
    verdict, why = verdict_on((first, rise), Proposals(), 0, ["a", "b"])
    assert verdict == "solid"
    assert why == "its gain over all in a exceeds its uncertainty (95 %); it is certain to be worse in b"
    lost = replace(rise, gain=np.array([-0.5]), gain_deviation=np.array([0.1]))
    assert verdict_on((first, lost), Proposals(), 0, ["a"], False)[1].endswith("than all, which breaks the rules")


def test_more_of_a_front_is_trained_and_what_was_predicted_is_remembered():
    game = games.additive_game([0.5, -0.2, 0.3, 0.1, -0.4, 0.2])
    runs = ip.evaluate(game, masks(6, 25), progress=False)
    chosen = verify(runs, game, trainings=2, progress=False)
    assert any("Before any training" in said and "it came to" in said for said in chosen.warnings)
    both = lambda S, seed: {"a": float(S @ EFFECTS), "b": float(S @ EFFECTS[::-1] - S.sum() * 0.2)}
    runs = ip.evaluate(Retrain(both, targets=["a", "b"]), masks(6, 40), progress=False)
    front = verify(runs, Retrain(both, targets=["a", "b"]), pareto=["a", "b"], trainings=5, progress=False)
    assert front.verified >= 4 or len(front.trained) == len(np.unique(front.trained.masks, axis=0))
