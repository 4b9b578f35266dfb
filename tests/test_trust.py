"""Trust: the evidence by itself, the verdicts on cases that leave no doubt, what is advised, and that it helps."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import interplay as ip
from interplay.readings import question
from interplay.surrogates import compare
from interplay.surrogates.rows import Rows
from interplay.training import training
from interplay.trust import Trust, at_most, reach, signal
from interplay.trust.advice import beside_solid
from interplay.trust.curve import learning_curve
from interplay.trust.facts import counted
from interplay.trust.verdict import limited
from tests.test_attribution import make

W = np.array([1.0, -0.6, 0.5, 0.3, 0.0, -0.2, 0.8, 0.1])


def runs_of(rng, m=60, p=0.85, noise=0.05, K=8, **fields):
    X = ip.masks.bernoulli(K, m, p=p, rng=rng)
    return make(X, 5 - X @ W[:K] + noise * rng.normal(size=len(X)), **fields)


# ---- the permutation test and repeats


def test_p_is_small_where_the_target_follows_the_masks(rng):
    runs = runs_of(rng)
    rows = Rows.of(runs.masks)
    y = np.column_stack([runs.values[:, 0], rng.permutation(runs.values[:, 0]), np.full(len(runs), 2.0)])
    found = signal.test(runs.masks, y, rows, "raw")
    assert found.p[0] == pytest.approx(0.01)
    assert found.p[1] > 0.05
    assert found.p[2] == 1.0
    assert found.joint <= 0.05


def test_p_is_uniform_where_nothing_is_there():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = (rng.random((25, 6)) < 0.7).astype(float)
        p.append(signal.test(X, rng.normal(size=(25, 1)), Rows.of(X), "raw").p[0])
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.1) <= 0.2


def test_repeats_give_the_share_that_reproduces(rng):
    X = np.repeat((rng.random((40, 6)) < 0.7).astype(float), 4, axis=0)
    y = X @ np.arange(1.0, 7.0)
    noise = y.std() / 2
    found = signal.repeats((y + noise * rng.normal(size=len(y)))[:, None], Rows.of(X))
    assert found.share[0] == pytest.approx(0.8, abs=0.07)
    assert found.repeats[0] < 1e-6
    assert found.freedom == len(X) - len(np.unique(X, axis=0))
    alone = signal.repeats(y[::4, None], Rows(*vars(Rows.of(np.arange(40.0)[:, None])).values()))
    assert np.isnan(alone.share[0])
    assert alone.repeats[0] == 1.0


# ---- reach


@pytest.mark.parametrize(
    ("p", "reading", "far"),
    [(0.9, "leave-one-out", False), (0.5, "leave-one-out", True), (0.9, "banzhaf", True), (0.5, "banzhaf", False)],
)
def test_far_questions_are_seen(rng, p, reading, far):
    X = (rng.random((200, 20)) < p).astype(float)
    asked = question(X, "mask", reading)
    assert (reach.outside(X, "mask", asked) > 0.5) == far
    assert reach.outside(X, "mixture", asked) == 0.0


def test_what_is_not_explained_counts_more_with_distance():
    skill, left = np.array([0.8]), np.array([0.2])
    near, far = reach.factor(skill, left, 2.5), reach.factor(skill, left, 7.5)
    assert near[0] == pytest.approx(np.sqrt(0.8))
    assert far[0] < 0.6
    assert reach.factor(np.array([1.0]), np.array([0.0]), 9.0)[0] == 1.0
    assert reach.factor(np.array([-0.3]), np.array([1.0]), 1.0)[0] == 0.0


# ---- verdicts


def test_a_far_question_of_tasks_that_interact_is_not_solid(rng):
    X = ip.masks.bernoulli(12, 200, p=0.5, rng=rng)
    y = 4 - X[:, :4].prod(axis=1) * 6 - X[:, 4:8].prod(axis=1) * 5 - X @ np.linspace(0, 1, 12)
    runs = make(X, y + 0.05 * rng.normal(size=len(X)))
    assert ip.attribute(runs, reading="banzhaf", pairs=False).trust.verdict != "not supported"
    trust = ip.attribute(runs, reading="leave-one-out", pairs=False).trust
    assert trust.verdict != "solid"
    assert "standard deviations of their sizes from the question" in trust.reason
    assert "--for leave-one-out" in trust.advice


def test_an_additive_truth_may_be_extrapolated(rng):
    runs = runs_of(rng, m=100, p=0.5, noise=0.02)
    assert ip.attribute(runs, reading="leave-one-out", pairs=False).trust.verdict == "solid"


def test_xor_is_told_from_nothing(rng):
    X = np.repeat(ip.masks.all_subsets(6), 2, axis=0)
    y = sum((X[:, 2 * i] != X[:, 2 * i + 1]).astype(float) for i in range(3)) + 0.05 * rng.normal(size=len(X))
    answer = ip.attribute(make(X, -y), reading="banzhaf")
    assert answer.trust.verdict == "not supported"
    assert answer.trust.reason.startswith("Runs are predicted, but not by single tasks")
    assert "pairs" in answer.trust.advice
    assert answer.pairs_trust[0][0] == "solid"


def test_equal_effects_are_known_without_an_order(rng):
    X = ip.masks.bernoulli(10, 80, p=0.85, rng=rng)
    trust = ip.attribute(make(X, 5 - X.sum(axis=1) + 0.05 * rng.normal(size=len(X))), pairs=False).trust
    assert trust.verdict == "solid"


def test_aliased_tasks_limit_the_whole_answer(rng):
    X = np.repeat(ip.masks.all_subsets(3), 8, axis=0)
    wide = np.repeat(X, 4, axis=1)
    trust = ip.attribute(make(wide, 3 - X @ [1.0, 0.5, -0.5] + 0.02 * rng.normal(size=len(X))), pairs=False).trust
    assert trust.verdict == "not supported"
    assert trust.reason.startswith("3 of 12 tasks can be told apart")


def test_fewer_masks_than_tasks_are_indicative_at_most(rng):
    X = ip.masks.bernoulli(8, 7, p=0.6, rng=rng)
    assert ip.attribute(make(X, 3 - X @ W), pairs=False).trust.verdict != "solid"


def test_seeds_that_disagree_are_said(rng):
    parts = []
    for seed in range(3):
        X = ip.masks.bernoulli(8, 40, p=0.8, rng=rng)
        own = 0.4 * W + 0.6 * np.random.default_rng(seed).normal(size=8)
        parts.append(make(X, 3 - X @ own + 0.02 * rng.normal(size=len(X)), seed=np.full(40, seed)))
    runs = parts[0] + parts[1] + parts[2]
    trust = ip.attribute(runs, pairs=False).trust
    assert trust.verdict != "solid"
    assert trust.reason.startswith("Seeds disagree about the tasks")


def test_leave_one_out_tables_need_repeats_to_be_believed(rng):
    full = ip.masks.leave_one_out(8)
    y = 5 - full @ W
    once = make(full, y + 0.3 * rng.normal(size=9))
    assert ip.attribute(once, pairs=False).trust.verdict != "solid"
    often = np.repeat(full, 5, axis=0)
    seeds = np.tile(np.arange(5), 9)
    runs = make(often, np.repeat(y, 5) + 0.02 * rng.normal(size=45), seed=seeds)
    assert ip.attribute(runs, pairs=False).trust.verdict == "solid"


def test_targets_without_signal_are_named(rng):
    runs = runs_of(rng)
    y = np.column_stack([runs.values[:, 0], rng.normal(size=(len(runs), 3))])
    answer = ip.attribute(make(runs.masks, y, targets=["real", "a", "b", "c"]), pairs=False)
    assert answer.trust.targets[0] == "solid"
    assert answer.trust.verdict == "not supported"
    assert answer.trust.reason.startswith("Only 1 of 4 targets is known")
    assert "real" in answer.trust.advice
    silent = next(fact for fact in answer.trust.facts if fact.startswith("Not supported for"))
    assert "a, b, c" in silent


# ---- what is said, and whether it helps


def test_ceiling_is_unknown_without_repeats_and_says_how_many_would_tell(rng):
    facts = ip.attribute(runs_of(rng, noise=1.0), pairs=False).trust.facts
    assert any(fact.startswith("Ceiling: unknown, nothing is repeated. Repeating ") for fact in facts)
    runs = runs_of(rng, noise=0.5)
    twice = make(np.repeat(runs.masks, 2, axis=0), np.repeat(runs.values, 2, axis=0)[:, 0] + rng.normal(size=120))
    trust = ip.attribute(twice, pairs=False).trust
    assert any("variance reproduces" in fact for fact in trust.facts)
    assert 0 < trust.ceiling[0] < 1


def test_training_is_said():
    assert "not stated" in training({})
    assert "shorter" in training({"absent_tasks": "fixed_epochs"})
    assert training({"absent_tasks": "by hand"}).endswith("by hand.")


def test_leave_one_out_is_recommended_where_it_is_the_better_buy():
    rng = np.random.default_rng(1)
    X = np.vstack([ip.masks.bernoulli(6, 30, p=0.5, rng=rng)] * 2)
    y = 3 - X[:, :3].prod(axis=1) * 3 - X[:, 3:].prod(axis=1) * 2 + 0.05 * rng.normal(size=len(X))
    trust = ip.attribute(make(X, y), reading="leave-one-out", pairs=False).trust
    assert "leave-one-out itself is the better buy: 8 rounds of 7 runs" in trust.advice


def test_the_runs_that_are_asked_for_make_it_better():
    """Where more runs of the same design are asked for and made, the verdict rises in most draws."""
    order = ("not supported", "indicative", "solid")
    before, after = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X = ip.masks.bernoulli(8, 220, p=0.7, rng=rng)
        y = 5 - X @ W + 0.7 * rng.normal(size=len(X))
        first = ip.attribute(make(X[:24], y[:24]), pairs=False).trust
        if first.verdict != "indicative":
            continue
        assert first.advice.startswith("About ")
        more = int(first.advice.split()[1])
        second = ip.attribute(make(X[: 24 + more], y[: 24 + more]), pairs=False).trust
        before.append(order.index(first.verdict))
        after.append(order.index(second.verdict))
    assert len(before) >= 3
    assert np.mean(after) > np.mean(before) + 0.4


def test_more_than_a_thousand_runs_are_judged_whatever_is_taken(rng):
    X = ip.masks.bernoulli(12, 1100, p=0.7, rng=rng)
    runs = make(X, X @ np.linspace(-1, 1, 12) + 0.3 * rng.normal(size=len(X)))
    for surrogate in ("auto", "ridge"):
        assert ip.attribute(runs, surrogate=surrogate, pairs=False).trust.verdict == "solid"


def test_a_few_runs_of_many_tasks_are_not_solid_by_a_lucky_fit():
    said = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = ip.masks.bernoulli(10, 12, p=0.6, rng=rng)
        y = X @ rng.normal(size=10) + 1.5 * rng.normal(size=12)
        said.append(ip.attribute(make(X, y), pairs=False).trust.verdict)
    assert "solid" not in said


def test_constant_targets_count_in_no_mean(rng):
    runs = runs_of(rng)
    y = np.column_stack([runs.values[:, 0], 2 * runs.values[:, 0], np.ones(len(runs))])
    trust = ip.attribute(make(runs.masks, y), pairs=False).trust
    assert trust.verdict == "solid"
    assert trust.headline == "2 solid, 1 not supported of 3 targets"


def test_a_solid_answer_says_which_targets_are_less_and_what_would_lift_them(rng):
    X = ip.masks.bernoulli(8, 60, p=0.85, rng=rng)
    y = X @ np.outer(W, np.ones(9)) + np.array([0.05] * 8 + [2.0]) * rng.normal(size=(60, 9))
    trust = ip.attribute(make(X, y), surrogate="ridge", pairs=False).trust
    assert trust.verdict == "solid"
    assert trust.targets[-1] == "indicative"
    n = 9 - trust.targets.count("solid")
    assert trust.advice.startswith(f"{n} of 9 targets ")
    assert "loss_8" in trust.advice
    more = re.search(r"about (\d+) more runs of the same design should make (it|half of them) solid\.", trust.advice)
    assert int(more[1]) > 0
    assert trust.headline == f"{9 - n} solid, {n} indicative of 9 targets"


def test_a_solid_answer_without_repeats_says_how_many_would_tell(rng):
    runs = runs_of(rng, m=100)
    trust = ip.attribute(runs, surrogate="ridge", pairs=False).trust
    assert trust.verdict == "solid"
    assert re.match(r"Repeating \d+ runs under another seed would tell how much reproduces\.", trust.advice)
    y = np.repeat(runs.values, 2, axis=0)[:, 0] + 0.01 * rng.normal(size=200)
    twice = make(np.repeat(runs.masks, 2, axis=0), y, seed=np.tile([0, 1], 100))
    trust = ip.attribute(twice, surrogate="ridge", pairs=False).trust
    assert trust.verdict == "solid"
    assert trust.advice.startswith("Nothing is missing for this reading.")


@pytest.mark.parametrize(
    ("each", "lost", "said"),
    [
        ([2, 2, 2, 2], [], ""),
        ([2, 1, 2, 2], [], "1 of 4 targets is less than solid by itself (b): about "),
        ([1, 1, 2, 2], [], "2 of 4 targets are less than solid by themselves (a, b): about "),
        ([2, 1, 0, 2], [], "should make the one that is indicative solid."),
        ([2, 0, 0, 2], [], "make half of them indicative."),
        ([2, 1, 2, 2], [1], "(b): measure them in runs that switch every task."),
    ],
)
def test_what_lifts_targets_below_a_solid_answer(each, lost, said):
    found = SimpleNamespace(
        changes=np.ones(4, bool), resolution=np.full(4, 0.7), agreement=np.full(4, 0.8), masks=100, players=10
    )
    gone = np.isin(np.arange(4), lost)
    words = beside_solid(found, 100, "abcd", each, gone, wanted=(0.53, 0.89))
    assert said in words
    assert bool(said) == bool(words)
    elsewhere = beside_solid(found, 100, "abcd", each, gone, wanted=(0.53, 0.89), at="1b")
    assert ("more 1b runs would make" in elsewhere) == (bool(said) and not lost)


def test_targets_are_counted_in_words():
    assert counted(["solid"] * 2) == "both targets solid"
    assert counted(["indicative"] * 3) == "all 3 targets indicative"
    assert counted(["not supported", "solid", "indicative", "solid"]) == (
        "2 solid, 1 indicative, 1 not supported of 4 targets"
    )


@pytest.mark.parametrize(
    ("verdict", "targets", "said"),
    [
        ("indicative", ["indicative"], "indicative"),
        ("solid", ["solid"] * 13, "solid, all 13 targets"),
        ("not supported", ["not supported"] * 2, "not supported, both targets"),
        ("solid", ["indicative", "solid"], "1 solid, 1 indicative of 2 targets"),
        ("indicative", ["indicative", "solid", "solid"], "indicative together; 2 solid, 1 indicative of 3 targets"),
        ("indicative", ["solid"] * 3, "indicative together; all 3 targets solid"),
    ],
)
def test_the_headline_hides_no_target_behind_a_better_word(verdict, targets, said):
    assert Trust(verdict, "", "", tuple(targets), (), (), ()).headline == said


def test_means_and_medians_over_targets_are_told_apart(rng):
    X = ip.masks.bernoulli(8, 60, p=0.85, rng=rng)
    runs = make(X, X @ rng.normal(size=(8, 3)) + 0.3 * rng.normal(size=(60, 3)))
    trust = ip.attribute(runs, surrogate="ridge", pairs=False).trust
    assert ", mean of targets; held-out R^2 " in trust.reason
    assert trust.reason.endswith(", median of targets).")
    twice = next(fact for fact in trust.facts if fact.startswith("Twice the runs"))
    number = r"-?\d\.\d\d"
    assert re.fullmatch(
        rf"Twice the runs \(120\): from R\^2 {number} now to {number} expected "
        rf"\({number} to {number}\), mean of targets\.",
        twice,
    )
    one = ip.attribute(runs_of(rng), surrogate="ridge", pairs=False).trust
    assert "of targets" not in one.reason + " ".join(one.facts)


def test_tasks_that_are_never_switched_or_never_apart_are_said_to_need_runs(rng):
    X = ip.masks.bernoulli(6, 60, p=0.7, rng=rng)
    y = X @ W[:6] + 0.02 * rng.normal(size=60)
    wide = lambda *columns: make(np.column_stack([X, *columns]), y)
    advice = lambda *columns: ip.attribute(wide(*columns), surrogate="ridge", pairs=False).trust.advice
    on, off = np.ones(60), np.zeros(60)
    assert advice(on).startswith("Add runs with and without task_6.")
    assert advice(on, off).startswith("Add runs with and without task_6, task_7, each switched by itself.")
    assert advice(X[:, 0]).startswith("Add runs that switch tasks of one group apart.")
    assert advice(on, X[:, 0]).startswith(
        "Add runs with and without task_6, and runs that switch tasks of one group apart."
    )


# ---- the learning curve


def test_learning_curve_forecasts_what_more_runs_reach(rng):
    X = ip.masks.bernoulli(10, 200, p=0.6, rng=rng)
    y = X @ rng.normal(size=(10, 2)) + 0.8 * rng.normal(size=(200, 2))
    curve = learning_curve(compare(X[:50], y[:50]), y[:50])
    assert curve is not None
    assert (np.diff(curve.error) < 0.1).all()  # falls, but for chance
    mean, low, high = curve.forecast(100)
    assert low < mean < high
    many = compare(X[:100], y[:100]).surrogate.predict(X[100:])
    reached = 1 - (((many - y[100:]) ** 2).mean(axis=0) / y[100:].var(axis=0)).mean()
    assert low <= reached <= high
    assert curve.forecast(50)[0] == pytest.approx(1 - curve.now)
    assert curve.needed(1 - curve.now) == pytest.approx(50)
    assert curve.needed(0.9999) is None


def test_no_curve_of_few_masks(rng):
    X = ip.masks.bernoulli(5, 8, p=0.6, rng=rng)
    y = (X @ np.arange(5.0))[:, None]
    assert learning_curve(compare(X, y), y) is None


def test_a_cap_counts_the_targets_as_it_shows_them(rng):
    X = ip.masks.bernoulli(8, 60, p=0.85, rng=rng)
    y = X @ np.outer(W, np.ones(9)) + np.array([0.05] * 8 + [2.0]) * rng.normal(size=(60, 9))
    trust = ip.attribute(make(X, y), surrogate="ridge", pairs=False).trust
    solid = trust.targets.count("solid")
    assert solid
    assert trust.headline.startswith(f"{solid} solid, ")
    for state, verdict in (("ranking only", "indicative"), ("unfaithful", "not supported")):
        capped = limited(trust, {"verdict": state})
        assert (capped.verdict, set(capped.targets)) == (verdict, {verdict})
        assert f"the estimator is {state}." in capped.reason
        assert capped.headline == f"{verdict}, all 9 targets"
        assert "solid" not in capped.reason
    assert capped.facts[-1] == "Not supported for any of 9 targets."
    assert limited(trust, {"verdict": "faithful"}) == trust


def test_a_cap_that_leaves_the_verdict_lowers_its_targets_in_words_too():
    trust = Trust("indicative", "Why.", "what", ("solid", "solid", "not supported"), (), (), ())
    capped = at_most(trust, 1, "other", "else")
    assert capped.targets == ("indicative", "indicative", "not supported")
    assert (capped.reason, capped.advice) == ("Why.", "what")
    assert capped.headline == "indicative together; 2 indicative, 1 not supported of 3 targets"
    one = Trust("solid", "Why.", "", ("solid",), (), (), ())
    assert at_most(one, 1, "Other. Why.", "else").reason == "Other. Why."


# ---- targets of the tasks' own names


def test_what_is_known_of_other_tasks_is_said_beside_what_each_does_to_its_own_target(rng):
    K = 6
    X = ip.masks.bernoulli(K, 30, p=0.8, rng=rng)
    effects = 3 * np.eye(K) + 0.05 * rng.normal(size=(K, K))  # each helps itself, the rest is small
    values = 5 - X @ effects + 0.3 * rng.normal(size=(len(X), K))
    tasks = tuple(f"t{i}" for i in range(K))
    named = ip.Evaluations.from_arrays(X, values, tasks=tasks, targets=tuple(f"loss/{name}" for name in tasks))
    answer = ip.attribute(named, reading="leave-one-out")
    found = re.search(
        r"effects (\d\.\d\d), mean of targets; without those of tasks .* own name (\d\.\d\d);", answer.trust.reason
    )
    assert found, answer.trust.reason
    assert float(found[1]) > 0.9
    assert float(found[2]) < 0.7
    other = ip.Evaluations.from_arrays(X, values, tasks=tasks, targets=tuple("uvwxyz"))
    assert "own name" not in ip.attribute(other, reading="leave-one-out").trust.reason
