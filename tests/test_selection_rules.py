"""Rules that would limit nothing, or not what they say, are refused with the argument, its value and the remedy."""

import numpy as np
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.selection import Constraints

PRIOR = [0.3, 0.3, 0.4]
TOKENS = ip.Tokens(("task_0", "task_1", "task_2"), np.array([1e6, 2e6, 3e6]))
SCALE = {"mixture": 1.0, "weights": 2.0, "coefficients": -1.0}


def region(kind="mask", **rules):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(5, 20, rng) if kind == "mask" else SCALE[kind] * ip.masks.dirichlet(3, 20, rng)
    runs = ip.Evaluations.from_arrays(masks, rng.random(20), targets=["loss"], kind=kind)
    return Constraints(**rules).region_of(runs)


@pytest.mark.parametrize("near", [PRIOR, np.array(PRIOR), dict(zip(TOKENS.tasks, PRIOR, strict=True))])
def test_near_wants_to_know_how_near(near):
    with pytest.raises(EvaluationsError, match=r"^near is a mixture .* how near with kl= \(--kl\)"):
        region("mixture", near=near)
    assert region("mixture", near=near, kl=0.1).kl == 0.1


@pytest.mark.parametrize("kind", ["mixture", "weights", "coefficients"])
@pytest.mark.parametrize("more", [{}, {"tokens": TOKENS}])
def test_a_budget_of_mixtures_wants_to_know_how_often_they_may_be_read(kind, more):
    words = rf"^budget is 100000\.0: of {kind.rstrip('s')}s it .* max_epochs= \(--max-epochs\), or leave budget out"
    with pytest.raises(EvaluationsError, match=words):
        region(kind, budget=1e5, **more)


def test_a_budget_with_max_epochs_limits_what_is_read():
    (rule,) = region("mixture", budget=8e6, max_epochs=4, tokens=TOKENS).rules
    assert (rule.words, rule.most) == ("task_0 at most 4 times (a share of 0.5)", 0.5)


def test_kl_may_be_zero_and_its_message_says_so():
    found = region("mixture", near=PRIOR, kl=0.0)
    np.testing.assert_allclose(found.interior, PRIOR, atol=1e-6)
    for value in (-0.1, np.inf, np.nan):
        with pytest.raises(EvaluationsError, match=f"^kl is {value!r}; give a finite number >= 0"):
            region("mixture", near=PRIOR, kl=value)
    with pytest.raises(EvaluationsError, match=r"^max_epochs is 0; give a finite number above zero"):
        region("mixture", max_epochs=0, tokens=TOKENS)


@pytest.mark.parametrize("rules", [{"near": np.ones(5) / 5}, {"near": np.ones(5) / 5, "kl": 0.1}, {"kl": 0.1}])
def test_masks_have_no_distance(rules):
    with pytest.raises(EvaluationsError, match=f"^{next(iter(rules))} is for mixtures, and the runs are masks"):
        region(**rules)


@pytest.mark.parametrize("kind", ["mixture", "weights", "coefficients"])
def test_kinds_of_runs_are_said_in_the_plural(kind):
    with pytest.raises(EvaluationsError, match=f"^size is for masks, and the runs are {kind.rstrip('s')}s; give"):
        region(kind, size=2)


@pytest.mark.parametrize(
    ("costs", "left"),
    [
        ({"task_0": 1.0}, "task_1, task_2, task_3, task_4"),
        ({"task_[0-2]": 1.0, "task_4": 0.0}, "task_3"),
        ({}, "task_0, task_1, task_2, task_3, task_4"),
    ],
)
def test_tasks_without_a_cost_are_not_free(costs, left):
    words = f"^costs: that of {left} is not given; give one for every task, 0 if it is free"
    with pytest.raises(EvaluationsError, match=words):
        region(costs=costs, budget=1.0)


def test_tasks_are_free_where_it_is_said():
    (rule,) = (r for r in region(costs={"*": 0.0, "task_0": 1.0}, budget=0.5).rules if r.words.startswith("costs"))
    assert rule.coefficients.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
