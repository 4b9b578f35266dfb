"""Targets that are weighted sums of others: found in their values, predicted and read by their parts."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import interplay as ip
from interplay import readings
from interplay.active import propose
from interplay.fitting import with_parts
from interplay.report import page
from interplay.selection.objective import Goal
from interplay.surrogates import FidelitySurrogate, KernelSurrogate, LinearSurrogate, load_surrogate
from interplay.surrogates.sums import SPARE, sums
from tests.helpers import every_mask

K, PARTS = 8, 5
NAMES = ["loss", *(f"loss/{c}" for c in range(PARTS))]


def losses(X):
    """Losses of five domains, each of which three tasks divide, and before them their weighted mean."""
    rng = np.random.default_rng(2)
    strength = np.zeros((K, PARTS))
    for c in range(PARTS):
        strength[rng.permutation(K)[:3], c] = rng.uniform(0.5, 2.5, size=3)
    parts = np.exp(0.3 - X @ strength) + 0.1 * np.exp(-X @ rng.uniform(0.0, 0.5, size=(K, PARTS)))
    return np.column_stack([parts @ (np.arange(1, PARTS + 1) / 15), parts])


@pytest.fixture
def runs():
    X = ip.masks.bernoulli(K, 40, np.random.default_rng(1), p=0.5)
    return ip.Evaluations.from_arrays(X, losses(X), targets=NAMES)


@pytest.fixture
def fitted(runs):
    return KernelSurrogate().fit(runs.masks, runs.values)


# ---------------------------------------------------------------- what is a sum


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), parts=st.integers(2, 6), others=st.integers(0, 3), scale=st.floats(-3, 3))
def test_positive_sums_are_found_and_nothing_else(seed, parts, others, scale):
    rng = np.random.default_rng(seed)
    n = parts + others
    Y = rng.normal(size=(n + 1 + SPARE, n)) * 10.0**scale + rng.normal()
    own, b, c = rng.permutation(n)[:parts], rng.uniform(0.2, 3.0, size=parts), rng.normal()
    (one,) = sums(np.column_stack([Y, c + Y[:, own] @ b]))
    assert one.target == n
    assert one.parts.tolist() == sorted(own)
    assert_allclose(one.coefficients, b[np.argsort(own)], rtol=1e-6)
    assert_allclose(one.of(Y), c + Y[:, own] @ b, atol=1e-7 * 10.0**scale * np.abs(Y).max())
    assert sums(Y) == []


def test_values_of_a_table_are_rounded(rng):
    Y = rng.normal(size=(60, 4))
    (one,) = sums(np.round(np.column_stack([Y, Y.mean(axis=1)]), 2))
    assert one.target == 4
    assert_allclose(one.coefficients, 0.25, atol=0.01)


def test_a_sum_with_noise_of_its_own_is_none(rng):
    Y = rng.normal(size=(60, 4))
    total = Y.mean(axis=1)
    assert sums(np.column_stack([Y, total + 0.05 * total.std() * rng.normal(size=60)])) == []


def test_a_difference_is_no_sum(rng):
    Y = rng.normal(size=(40, 3))
    assert sums(np.column_stack([Y, Y[:, 0] - Y[:, 1]]))[0].target == 0  # the first is the second and the difference
    assert sums(np.column_stack([Y, Y[:, 0] - Y[:, 1] - Y[:, 2]]))[0].target == 0
    assert sums(np.column_stack([Y, -Y.sum(axis=1)])) == []


def test_totals_of_totals_are_sums_of_their_parts(rng):
    Y = rng.normal(size=(40, 4))
    some = Y[:, :2].sum(axis=1)
    found = {one.target: one.parts.tolist() for one in sums(np.column_stack([Y, some, some + Y[:, 2:].sum(axis=1)]))}
    assert found == {4: [0, 1], 5: [0, 1, 2, 3]}


def test_a_total_and_its_mean_do_not_hide_each_other(rng):
    Y = rng.exponential(size=(40, 3))
    total = Y.sum(axis=1)
    found = {one.target: one for one in sums(np.column_stack([total / 3, Y, 1 + 2 * total]))}
    assert {t: one.parts.tolist() for t, one in found.items()} == {0: [1, 2, 3], 4: [1, 2, 3]}
    assert_allclose(found[0].coefficients, 1 / 3)
    assert_allclose(found[4].coefficients, 2.0)


def test_sizes_far_apart(rng):
    Y = rng.uniform(1.0, 2.0, size=(40, 4)) * [1e150, 1.0, 1e-150, 1e20]
    assert sums(Y) == []
    (one,) = sums(np.column_stack([Y, Y[:, 1] + 1e-20 * Y[:, 3]]))
    assert_allclose(one.coefficients, [1.0, 1e-20])


def test_copies_constants_and_few_rows_are_none(rng):
    Y = rng.normal(size=(30, 3))
    assert sums(np.column_stack([Y, Y[:, 0]])) == []
    assert sums(np.column_stack([Y[:, :2], np.ones(30)])) == []
    whole = np.column_stack([Y, Y.sum(axis=1)])
    assert len(sums(whole[: 4 + SPARE])) == 1
    assert sums(whole[: 3 + SPARE]) == sums(whole[:0]) == []


# ---------------------------------------------------------------- what is predicted and read


def test_a_sum_is_predicted_by_its_parts(runs, fitted):
    (one,) = fitted.sums_
    assert one.target == 0
    new = every_mask(K)
    mean, deviation = fitted.predict(new, return_std=True)
    assert_allclose(mean[:, 0], mean[:, 1:] @ (np.arange(1, PARTS + 1) / 15), rtol=1e-9)
    assert 0.1 <= one.together <= 1.0
    assert_allclose(deviation[:, 0], one.together * deviation[:, 1:] @ one.coefficients)
    alone = KernelSurrogate().fit(runs.masks, runs.values[:, 0])
    error = lambda said: np.sqrt(((said - losses(new)[:, 0]) ** 2).mean())
    assert error(mean[:, 0]) < 0.7 * error(alone.predict(new))
    # and the held-out rows, that say whether it is taken, are those of the sum
    held = ((fitted.cv_.mean[:, 0] - runs.values[:, 0]) ** 2).mean()
    assert_allclose(held, fitted.cv_.error[0])
    assert held < alone.cv_.error[0]


def test_what_predicts_no_better_is_left_alone(rng):
    """A sum that is exactly additive, of parts that are noise apart from it."""
    X = ip.masks.bernoulli(K, 40, rng)
    total, noise = X @ np.arange(1.0, K + 1), rng.normal(size=(40, 3)) * 30
    noise -= noise.mean(axis=1, keepdims=True)
    Y = np.column_stack([total, total[:, None] / 3 + noise])
    assert [one.target for one in sums(Y)] == [0]
    assert KernelSurrogate().fit(X, Y).sums_ == ()


def test_only_the_stack_takes_sums(runs, fitted):
    assert fitted.only("rbf").sums_ == ()
    assert KernelSurrogate(kernel="rbf").fit(runs.masks, runs.values).sums_ == ()
    assert LinearSurrogate().fit(runs.masks, runs.values).sums_ == ()
    assert len(fitted.sums_) == 1


@pytest.mark.parametrize("name", ["leave_one_out", "shapley_pairs", "shapley", "gradient"])
def test_effects_on_a_sum_are_sums_where_they_are_in_its_unit(fitted, name):
    found = getattr(readings, name)(fitted)
    (one,) = fitted.sums_
    own = name == "leave_one_out" or not fitted.link_.log.any()
    summed = found.mean[:, one.parts] @ one.coefficients
    assert np.allclose(found.mean[:, 0], summed) == own
    if own:
        assert_allclose(found.deviation[:, 0], one.size(found.deviation))
        assert_allclose(found.prior[:, 0], one.size(found.prior))


def test_without_logarithms_every_reading_sums(runs):
    plain = KernelSurrogate(links=("identity",)).fit(runs.masks, runs.values)
    if not plain.sums_:  # taken or not is what held-out rows say: here only how it is read matters
        plain.sums_ = tuple(sums(runs.values))
    (one,) = plain.sums_
    for found in (readings.shapley(plain), readings.banzhaf_pairs(plain, intervals=False), readings.swap(plain, 3)):
        assert_allclose(found.mean[:, 0], one.of(found.mean) - one.offset)


def test_shapley_values_of_a_sum_add_up_in_its_own_unit(runs):
    answer = ip.attribute(runs, reading="shapley", surrogate="stack", empty=None)
    assert answer.unit[0] == "own"
    ends = answer.predict(np.array([np.ones(K), np.zeros(K)])).mean[:, 0]
    assert_allclose(answer.effects[:, 0].sum(), -(ends[0] - ends[1]), rtol=1e-3)
    weights = np.arange(1, PARTS + 1) / 15
    assert_allclose(answer.effects[:, 0], answer.effects[:, 1:] @ weights, rtol=1e-6, atol=1e-9)
    assert (
        "loss is predicted as the weighted sum that it is, of loss/0, loss/1, loss/2, ... (2 more): held-out R^2 "
        in repr(answer)
    )
    assert_allclose(answer.held_out.predicted[:, 0], answer.choices[0][1].surrogate.cv_.mean[:, 0])


def test_it_is_saved(fitted, tmp_path):
    again = load_surrogate(fitted.save(tmp_path / "fit.json"))
    new = every_mask(K)[::7]
    for mine, theirs in zip(fitted.predict(new, return_std=True), again.predict(new, return_std=True), strict=True):
        assert_allclose(mine, theirs, rtol=1e-5)
    assert_allclose(again.sums_[0].coefficients, fitted.sums_[0].coefficients)


def test_what_is_asked_about_has_its_parts_beside_it(runs, tmp_path):
    """Everything that is said of one target is what is said of it among all of them."""
    more = {"groups": {"pair": list(runs.tasks[:2])}, "contrasts": {"one": (np.eye(K)[0], np.eye(K)[1])}}
    every = ip.attribute(runs, surrogate="stack", **more)
    one = ip.attribute(runs, target="loss", surrogate="stack", **more)
    assert one.targets == ("loss",)
    assert one.predictor.targets == runs.targets
    for name in ("effects", "deviation", "interactions", "interaction_deviation", "orders"):
        assert_allclose(getattr(one, name), getattr(every, name)[..., :1], err_msg=name)
    for name in ("unit", "rows", "links", "higher_is_better"):
        assert getattr(one, name) == getattr(every, name)[:1]
    assert {k: v[0] for k, v in one.skill.items()} == {k: v[0] for k, v in every.skill.items()}
    assert_allclose(one.groups.effects, every.groups.effects[:, :1])
    assert_allclose(one.contrasts.deviation, every.contrasts.deviation[:, :1])
    assert_allclose(one.held_out.predicted, every.held_out.predicted[:, :1])
    assert_allclose(one.coverage.known, every.coverage.known[:, :1])
    assert_allclose(one.discoveries.probability, every.discoveries.probability[:, :1])
    assert one.discoveries.targets == ("loss",)
    assert one.trust.agreement == every.trust.agreement[:1]
    assert len(one.trust.targets) == 1
    assert one.pairs_trust == every.pairs_trust[:1]
    assert "Attribution of loss to 8 tasks" in repr(one)
    assert "targets" not in one.trust.reason
    new = every_mask(K)[1:4]
    assert_allclose(one.predict(new).mean, every.predict(new).mean[:, :1])
    assert one.predict(new).targets == ("loss",)
    assert set(one.predict(new).to_frame()["target"]) == {"loss"}
    again = ip.Predictor.load(one.predictor.save(tmp_path / "fit.json"))
    assert again.predict(new).targets == ("loss",)
    assert_allclose(again.predict(new).mean, one.predict(new).mean, rtol=1e-6)
    assert ip.Attribution.load(one.save(tmp_path / "answer.json")).targets == ("loss",)
    assert not {f"loss/{c}" for c in range(PARTS)} & set(one.to_frame()["target"])


def test_parts_that_were_measured_elsewhere_are_left_out(runs):
    values = runs.values.copy()
    values[:4, 2] = np.nan
    holes = replace(runs, values=values)
    assert with_parts(runs, ["loss"]).targets == runs.targets
    assert with_parts(holes, ["loss"]).targets == ("loss",)
    assert with_parts(runs, ["loss/1"]).targets == ("loss/1",)
    assert ip.attribute(holes, target="loss", surrogate="stack").rows == (40,)


def test_parts_are_found_beside_a_target_that_few_runs_measured(runs):
    values = np.column_stack([runs.values, np.where(np.arange(len(runs)) < 6, 1.0, np.nan)])
    more = replace(
        runs, values=values, targets=(*runs.targets, "rare"), higher_is_better=(*runs.higher_is_better, False)
    )
    assert with_parts(more, ["loss"]).targets == runs.targets


def test_a_truth_of_the_target_alone_judges_it(runs):
    full = np.vstack([np.ones((1, K)), 1 - np.eye(K)])
    truth = ip.Evaluations.from_arrays(full, losses(full)[:, 0], targets=["loss"])
    answer = ip.attribute(runs, truth, target="loss")
    assert answer.truth is not None
    assert answer.truth.spearman.shape == (1,)
    assert answer.truth.spearman[0] > 0.8
    report = page.html(answer)
    assert "Spearman" in report


# ---------------------------------------------------------------- what is chosen


def test_a_choice_by_a_sum_is_one_by_its_parts(runs):
    total = ip.select(runs, "loss", size=3)
    by_hand = "+".join(f"{(c + 1) / 15}*loss/{c}" for c in range(PARTS))
    parts = ip.select(runs.select(NAMES[1:]), by_hand, size=3)
    assert total.names == parts.names
    assert_allclose(total.choice.predicted, parts.choice.predicted, rtol=0.01)
    assert_allclose(total.of("best run")[0].measured, runs.values[runs.masks.sum(axis=1) == 3, 0].min())
    best = losses(every_mask(K)[every_mask(K).sum(axis=1) == 3])[:, 0].min()
    assert losses(total.weights[None])[0, 0] < 1.2 * best


def test_goals_are_taken_apart(runs):
    predictor = ip.fit(runs, "stack")
    goal = Goal.of(runs.derive({"both": "0.5*loss + 2*loss/1"}), "both").in_parts(predictor)
    assert set(goal.members) == set(NAMES[1:])
    coefficients = dict(zip(goal.members, goal.coefficients, strict=True))
    assert_allclose(coefficients["loss/1"], 2 + 0.5 * 2 / 15)
    assert_allclose(coefficients["loss/4"], 0.5 * 5 / 15)
    assert Goal.of(runs, "loss/2").in_parts(predictor).members == ("loss/2",)


def test_a_tolerance_on_a_part_beside_its_sum(runs):
    chosen = ip.select(runs, "loss", within={"loss/0": 0.0}, size=(1, 4), against="mean")
    free = ip.select(runs, "loss", size=(1, 4), against="mean")
    assert chosen.choice.predicted[0] >= free.choice.predicted[0] - 1e-9


def test_fidelities_sum_too(runs):
    cheap = ip.masks.bernoulli(K, 60, np.random.default_rng(4), p=0.5)
    both = np.vstack([runs.masks, cheap])
    shifted = losses(cheap) * 1.2
    which = np.repeat(["dear", "cheap"], [len(runs), len(cheap)])
    fitted = FidelitySurrogate("dear").fit(both, np.vstack([runs.values, shifted]), fidelity=which)
    (one,) = fitted.sums_
    mean, deviation = fitted.predict(every_mask(K), return_std=True)
    assert_allclose(mean[:, 0], one.of(mean))
    assert_allclose(deviation[:, 0], one.size(deviation))


# ---------------------------------------------------------------- what is proposed, and at the command line


def test_proposals_for_a_sum_know_its_parts(runs):
    for question in ("leave-one-out", "selection", "shapley"):
        found = propose(runs, question, 3, target="loss", rng=np.random.default_rng(0))
        assert found.unit == "in loss"
        alone = propose(runs.select(["loss"]), question, 3, rng=np.random.default_rng(0))
        if question != "selection":  # there other surrogates of the sum itself have their say
            assert found.before < alone.before  # less is unknown
    others = propose(runs, "selection", 3, target="loss/2", rng=np.random.default_rng(0))
    assert others.unit == "in loss/2"


def test_benefits_and_the_best_are_of_what_is_asked(runs):
    predictor = ip.fit(runs, "stack")
    asked = replace(predictor, beside=PARTS)
    assert asked.asked.tolist() == [True] + [False] * PARTS
    mean = predictor.predict(every_mask(K)[1:]).mean
    assert_allclose(asked.benefit(mean), predictor.benefit(mean, [0]))
    assert_allclose(predictor.benefit(mean), predictor.benefit(mean, range(PARTS + 1)))


def test_commands_find_parts_in_the_file(runs, shell):
    runs.write("runs.csv")
    ((code, out, err),) = [shell("attribute", "runs.csv", "--target", "loss")]
    assert code == 0, err
    assert "Attribution of loss to 8 tasks" in out
    assert "loss is predicted as the weighted sum that it is, of loss/0, loss/1, loss/2, ... (2 more)" in out
    assert "weighted sum" not in shell("attribute", "runs.csv", "--target", "loss/*")[1]
    told = json.loads(shell("select", "runs.csv", "--target", "loss", "--size", "3", "--json")[1])
    assert told["tasks"] == list(ip.select(runs, "loss", size=3).names)
    code, out, err = shell("next", "runs.csv", "--target", "loss", "--for", "selection", "--batch", "2", "--json")
    proposed = propose(runs, "selection", 2, target="loss", rng=np.random.default_rng(0))
    assert code == 0, err
    assert [json.loads(line)["task_0"] for line in out.splitlines()] == proposed.masks[:, 0].tolist()


def test_predictions_at_the_command_line_know_the_parts(runs, shell):
    runs.write("runs.csv")
    pd.DataFrame(every_mask(K)[1:5].astype(int), columns=list(runs.tasks)).to_csv("new.csv", index=False)
    said = ip.fit(runs, target="loss").predict(every_mask(K)[1:5])
    assert said.targets == ("loss",)
    shell("attribute", "runs.csv", "--target", "loss", "--save", "fit.json")
    for first in ("runs.csv --target loss", "fit.json", "fit.json --target loss"):
        code, out, err = shell("predict", *first.split()[:1], "new.csv", *first.split()[1:], "--json")
        assert code == 0, err
        found = [json.loads(line) for line in out.splitlines()]
        assert {one["target"] for one in found} == {"loss"}
        assert_allclose([one["prediction"] for one in found], said.mean[:, 0], rtol=1e-4)


@pytest.mark.parametrize("columns", [["loss"], NAMES])
def test_what_is_verified_may_hold_the_parts_or_not(runs, shell, columns):
    runs.write("runs.csv")
    rules = ("select", "runs.csv", "--target", "loss", "--size", "3")
    out = shell(*rules, "--verify", "2", "--masks-out", "check.csv")[1]
    assert "(loss; where you have them, loss/0, loss/1, loss/2, ... (2 more) too: it is predicted by these)" in out
    check = pd.read_csv("check.csv")
    values = pd.DataFrame(losses(check[list(runs.tasks)].to_numpy(float)), columns=NAMES)
    pd.concat([check, values[columns]], axis=1).to_csv("check.csv", index=False)
    code, out, err = shell(*rules, "--verified", "check.csv")
    assert code == 0, err
    assert "from 42 runs" in out
    assert ("loss is predicted as the weighted sum" in out) == (len(columns) > 1)
