"""Rules that would limit nothing, or not what they say, are refused with the argument, its value and the remedy."""

import re

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


SIZE = "give how many tasks, such as 8, or (at least, at most), such as (4, 9)"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((size, f"size is {size!r}; {SIZE}") for size in ("3", 2.5, True, (1, 2, 3), (1,), ("a", 2), {3}, np.nan)),
        ((2, 1), "size is 2 to 1: give the fewest first, then the most."),
        ((3, 9), "size is 3 to 9; there are 5 tasks: give a number from 1 to 5, or a range of these."),
        (-1, "size is -1; there are 5 tasks"),
        (0, "size is 0; a choice holds at least one: give 1 or more."),
        ((None, 0), "size is 0; a choice holds at least one"),
    ],
)
def test_sizes_that_are_none(size, words):
    with pytest.raises(EvaluationsError) as error:
        region(size=size)
    assert str(error.value).startswith(words)


@pytest.mark.parametrize("size", [(None, 3), (0, 3), [0, 3.0], (np.int64(1), np.int64(3))])
def test_a_size_from_nothing_is_from_one(size):
    found = region(size=size)
    assert [rule.words for rule in found.rules] == ["size 1 to 3"]
    assert not found.feasible(np.zeros((1, 5)))[0]


@pytest.mark.parametrize(("on", "words"), [(1, "1 of the tasks is on"), (2, "2 of the tasks are on")])
def test_a_size_below_what_is_always_on(on, words):
    rng = np.random.default_rng(0)
    X = np.hstack([ip.masks.bernoulli(4, 10, rng), np.ones((10, on))])
    runs = ip.Evaluations.from_arrays(X, rng.random(10), targets=["loss"])
    with pytest.raises(EvaluationsError, match=f"^size is {on - 1}; {words} in every run: give {on} or more"):
        Constraints(size=on - 1).region_of(runs)
    assert [rule.words for rule in Constraints(size=(None, 3)).region_of(runs).rules] == ["size 1 to 3"]


GROUP = ["task_0", "task_1"]


@pytest.mark.parametrize(
    ("kind", "rules", "words"),
    [
        ("mask", {"at_most": {"g": 2}}, "at_most 'g' is 2; give its tasks and a number: {'group': (['en', 'de'], 1)}"),
        ("mask", {"at_most": GROUP}, "at_most is ['task_0', 'task_1']; give the tasks and the number of each group"),
        ("mask", {"at_most": {"g": (GROUP, 1, 2)}}, "at_most 'g' is (['task_0', 'task_1'], 1, 2); give its tasks"),
        ("mask", {"at_most": {"g": (GROUP, -1)}}, "at_most 'g' is -1; give a whole number >= 0"),
        ("mask", {"at_most": {"g": (GROUP, 0.5)}}, "at_most 'g' is 0.5; give a whole number >= 0"),
        ("mixture", {"at_most": {"g": (GROUP, 2)}}, "at_most 'g' is 2; give a share between 0 and 1"),
        ("mixture", {"at_most": {"g": (GROUP, np.nan)}}, "at_most 'g' is nan; give a share between 0 and 1"),
        ("weights", {"at_most": {"g": (GROUP, "a")}}, "at_most 'g' is 'a'; give a number"),
        ("mixture", {"caps": "task_0"}, "caps: 'task_0' is no share; give a number, or one by task"),
        ("mixture", {"caps": {"task_0": "0.3"}}, "caps: task_0='0.3'; give a share between 0 and 1"),
        ("mixture", {"floors": {"task_0": True}}, "floors: task_0=True; give a share between 0 and 1"),
        ("mask", {"require": 3}, "require is 3; give names of tasks, such as ['task_0', 'task_1']"),
        ("mask", {"costs": [1, 2], "budget": 1}, "costs is [1, 2]; give the cost of each task"),
        ("mask", {"costs": {"*": 1, "task_3": -2}, "budget": 1}, "costs: that of 'task_3' is -2; give a number >= 0"),
        ("mask", {"costs": {"*": np.nan}, "budget": 1}, "costs: that of '*' is nan; give a number >= 0"),
        ("mask", {"costs": {"*": 1}, "budget": "all"}, "budget is 'all'; give a finite number above zero"),
        ("mixture", {"near": [1, -1, 1], "kl": 1}, "near: the weight of 'task_1' is -1; give a number >= 0"),
        ("mixture", {"near": [1, 1, np.nan], "kl": 1}, "near: the weight of 'task_2' is nan; give a number >= 0"),
        ("mixture", {"near": [0, 0, 0], "kl": 1}, "near gives no weight to any task"),
        ("mixture", {"near": [1, 1], "kl": 1}, "near has shape (2,); give a weight >= 0 for each of 3 tasks"),
        ("mixture", {"near": "web", "kl": 1}, "near cannot be read as numbers"),
        ("mixture", {"near": {"task_0": "a"}, "kl": 1}, "near: the weight of 'task_0' is 'a'; give a number >= 0"),
    ],
)
def test_what_is_no_rule_is_said_with_its_argument(kind, rules, words):
    with pytest.raises(EvaluationsError) as error:
        region(kind, **rules)
    assert str(error.value).startswith(words)


def test_weights_may_have_groups_above_one():
    assert region("weights", at_most={"g": (GROUP, 1.5)}).rules[0].most == 1.5


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"caps": {"task_0": 0.1, "task_1": 0.2, "task_2": 0.3}}, "Together they leave a share of 0.6, and shares sum"),
        ({"floors": 0.4}, "Together they need a share of 1.2, and shares sum to 1. Loosen one of them."),
        ({"caps": 0.4, "forbid": ["task_0"]}, "Together they leave a share of 0.8, and shares sum to 1. Loosen one"),
        ({"caps": {"task_0": 0.1}, "floors": {"task_0": 0.2}}, "floor task_0=0.2. Loosen one of them."),
    ],
)
def test_shares_that_do_not_sum_to_one(rules, words):
    with pytest.raises(EvaluationsError) as error:
        region("mixture", **rules)
    assert words in str(error.value)


@pytest.mark.parametrize("forbid", [[], ["task_0"]])
@pytest.mark.parametrize("budget", [1e9 / 7, None])
def test_a_budget_of_tokens_that_fits_is_said(budget, forbid):
    rules = {"tokens": TOKENS, "max_epochs": 0.7, "forbid": forbid, "budget": budget}
    with pytest.raises(EvaluationsError, match="and shares sum to 1: a budget") as error:
        region("mixture", **rules)
    fits = [float(number) for number in re.findall(r"\) of (\d[\d.e+]*\d|\d)", str(error.value))]
    region("mixture", **rules | {"budget": fits[0]})
    region("mixture", **rules | {"max_epochs": fits[1]})
    with pytest.raises(EvaluationsError):
        region("mixture", **rules | {"budget": 1.01 * fits[0]})


def test_the_cheapest_choice_is_said_where_the_budget_clashes():
    costs = {f"task_{k}": k + 1.0 for k in range(5)}
    with pytest.raises(EvaluationsError, match=r"the others is task_0, task_1, task_4, which costs 8: raise") as error:
        region(costs=costs, budget=7, size=3, require=["task_4"])
    assert "size 3; costs within 7" in str(error.value)
    region(costs=costs, budget=8, size=3, require=["task_4"])
    X = np.hstack([ip.masks.bernoulli(4, 10, np.random.default_rng(0)), np.ones((10, 1))])
    runs = ip.Evaluations.from_arrays(X, np.arange(10.0), targets=["loss"])
    with pytest.raises(EvaluationsError, match=r"task_0, which costs 6 with the 5 of what is on in every run"):
        Constraints(costs=costs, budget=5.5, size=2).region_of(runs)
    Constraints(costs=costs, budget=6, size=2).region_of(runs)


def test_many_rules_of_one_sort_are_listed_in_part():
    rng = np.random.default_rng(0)
    names = [f"source_number_{k}" for k in range(100)]
    mixed = ip.Evaluations.from_arrays(rng.dirichlet(np.ones(100), 150), np.arange(150.0), tasks=names, kind="mixture")
    tokens = ip.Tokens(tuple(names), np.ones(100))
    with pytest.raises(EvaluationsError, match=r"\.\.\. \(96 more\)\. Together they leave a share of 0\.02") as error:
        Constraints(tokens=tokens, max_epochs=2, budget=1e4).region_of(mixed)
    assert len(str(error.value)) < 500
    masks = ip.Evaluations.from_arrays(ip.masks.bernoulli(100, 50, rng, p=0.5), np.arange(50.0), tasks=names)
    with pytest.raises(EvaluationsError, match=r"forbid source_number_\d+; \.\.\. \(\d+ more\); size 90\. Loosen"):
        Constraints(size=90, forbid=["source_number_?", "source_number_1?"]).region_of(masks)
