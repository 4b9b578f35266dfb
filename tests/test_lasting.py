"""Shapley values with what measured sets show beyond the surrogate: beside brute force over all sets."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay.blocks import read_effects
from interplay.evaluations import EvaluationsError
from interplay.fitting import Design, checked, fit_design
from interplay.lasting import completed, left_out, shapley_weights, value_of_none
from interplay.readings import question

K = 5
S = ip.masks.all_subsets(K)


def brute_force(values):
    """Shapley values of a table over ``S``, by going through all orders."""
    at = {tuple(s.astype(int)): v for s, v in zip(S, values, strict=True)}
    phi = np.zeros(K)
    orders = list(permutations(range(K)))
    for order in orders:
        held = np.zeros(K, int)
        for k in order:
            before = at[tuple(held)]
            held[k] = 1
            phi[k] += at[tuple(held)] - before
    return phi / len(orders)


def rough(seed=0, jump=0.0):
    """A game that no smooth surrogate follows, and that jumps where nothing is in."""
    rng = np.random.default_rng(seed)
    return 1.0 + S @ [0.3, 0.2, 0.1, 0.0, -0.1] + 0.15 * rng.normal(size=len(S)) - jump * ~S.any(axis=1)


def runs_of(masks, values, **how):
    return ip.Evaluations.from_arrays(masks, values, targets=["accuracy"], higher_is_better=True, kind="mask", **how)


@given(st.lists(st.floats(-1, 1), min_size=32, max_size=32))
@settings(max_examples=20, deadline=None)
def test_the_weights_are_those_of_shapley_values(values):
    np.testing.assert_allclose(shapley_weights(S).T @ values, brute_force(values), atol=1e-12)


def test_where_every_set_was_run_without_noise_the_values_are_exact():
    y = rough()
    exact = replace(runs_of(S, y), notes={"deterministic": True})
    answer = ip.attribute(exact, reading="shapley", surrogate="ridge", empty=float(y[~S.any(axis=1)][0]))
    np.testing.assert_allclose(answer.effects[:, 0], brute_force(y), atol=1e-9)
    bare = ip.attribute(exact, reading="shapley", surrogate="ridge")  # the run of no task says the same
    np.testing.assert_allclose(bare.effects, answer.effects, atol=1e-9)
    assert any("not fitted" in warning for warning in bare.warnings)


def test_the_values_add_up_to_all_less_none_which_is_not_fitted():
    y = rough(jump=2.0)
    some = np.random.default_rng(1).permutation(31)[:18] + 1
    some = np.union1d(some, [31])
    full, none = y[S.all(axis=1)][0], y[~S.any(axis=1)][0]
    runs = replace(runs_of(S[some], y[some]), notes={"deterministic": True})
    answer = ip.attribute(runs, reading="shapley", empty={"acc*": none})
    assert answer.effects.sum() == pytest.approx(full - none)
    plain = ip.attribute(runs, reading="shapley")
    np.testing.assert_allclose(np.diff(answer.effects[:, 0]), np.diff(plain.effects[:, 0]), atol=1e-9)  # one level
    truth = brute_force(y)
    assert np.abs(answer.effects[:, 0] - truth).mean() < 0.3 * np.abs(plain.effects[:, 0] - truth).mean()


def test_noise_of_a_run_is_not_taken_for_what_a_set_shows():
    """Of noise alone, seen in repeats, next to nothing is added."""
    rng = np.random.default_rng(0)
    X, seed = np.repeat(S, 6, axis=0), np.tile(np.arange(6), len(S))
    y = 1.0 + X @ [0.3, 0.2, 0.1, 0.0, -0.1] + 0.3 * rng.normal(size=len(X))
    runs = checked(runs_of(X, y, seed=seed))
    design = Design.of(runs)
    predictor = fit_design(design, "ridge")
    asked = question(design.X, "mask", "shapley")
    read = read_effects(predictor, asked, False)
    moved = completed(read, design, predictor, np.array([np.nan]))
    assert np.abs(moved.effects - read.effects).max() < 0.2 * 0.3 / np.sqrt(6)
    assert (moved.deviation >= read.deviation).all()


def test_the_variance_is_that_of_what_was_not_measured():
    """Of white l of known variance: beside the joint Gaussian over all sets."""
    y = rough(3)
    some = np.arange(6, 26)
    runs = replace(runs_of(S[some], y[some]), notes={"deterministic": True})
    design = Design.of(checked(runs))
    predictor = fit_design(design, "rbf")
    read = read_effects(predictor, question(design.X, "mask", "shapley"), False)
    moved = completed(read, design, predictor, np.array([np.nan]))
    noisy, sd = (predictor.at(design.X, noise=noise)[1] ** 2 for noise in (True, False))
    lasting = (noisy - sd).mean()
    W = shapley_weights(S)
    unseen = np.setdiff1d(np.arange(32), some)
    np.testing.assert_allclose(
        moved.deviation[:, 0] ** 2, read.deviation[:, 0] ** 2 + lasting * (W[unseen] ** 2).sum(axis=0), rtol=1e-6
    )


def test_intervals_hold_the_values_of_rough_games():
    inside = []
    for seed in range(12):
        y = rough(seed)
        some = np.random.default_rng(seed).permutation(32)[:20]
        runs = replace(runs_of(S[some], y[some]), notes={"deterministic": True})
        answer = ip.attribute(runs, reading="shapley", surrogate="ridge")
        truth = brute_force(y)
        inside.append((answer.lower[:, 0] <= truth) & (truth <= answer.upper[:, 0]))
    assert np.mean(inside) > 0.9


def test_runs_without_any_task_stay_where_they_tell_tasks_apart():
    X = np.vstack([S[S[:, 0] > 0], np.zeros((1, K))])
    runs = runs_of(X, X @ np.arange(1.0, K + 1))
    rest, none, said = value_of_none(runs, None)
    assert (len(rest), said) == (len(runs), [])
    assert np.isnan(none).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"empty": np.nan}, "empty is nan for target 'accuracy'; give what it is"),
        ({"empty": {"acuracy": 0.5}}, "accuracy"),
        ({"empty": 0.5, "reading": "leave-one-out"}, "belongs to Shapley values.*reading='shapley'"),
        ({"empty": 0.5, "masks": S[S[:, 0] > 0]}, "task 'task_0' is on in every run"),
    ],
)
def test_what_cannot_be_is_said(how, words):
    how = {"reading": "shapley", "masks": S[1:], **how}
    masks = how.pop("masks")
    runs = runs_of(masks, masks @ np.arange(1.0, K + 1))
    with pytest.raises((EvaluationsError, ValueError), match=words):
        ip.attribute(runs, **how)


def test_the_command_line_states_it(shell, tmp_path):
    y = rough(jump=2.0)
    runs_of(S[1:], y[1:]).write(tmp_path / "runs.csv")
    none = float(y[0])
    code, out, err = shell("attribute", "runs.csv", "--reading", "shapley", "--empty", f"accuracy={none}", "--json")
    assert code == 0, err
    assert '"reading": "shapley"' in out or "benefit" in out
    code, _, err = shell("attribute", "runs.csv", "--reading", "shapley", "--empty", "x")
    assert code == 2
    assert "--empty" in err
    code, _, err = shell("attribute", "runs.csv", "--reading", "banzhaf", "--empty", "0.5")
    assert code == 2
    assert "Shapley" in err


# ---- leave-one-out tables

EFFECTS = np.array([0.30, 0.25, 0.20, 0.15, 0.10])


def table(seeds=2, noise=0.005, rng=None, levels=0.0, **how):
    """Leave-one-out under some seeds of a loss that every task lowers."""
    rng = np.random.default_rng(0) if rng is None else rng
    X = np.tile(ip.masks.leave_one_out(K), (seeds, 1))
    seed = np.repeat(np.arange(seeds), K + 1)
    y = 2.0 - X @ EFFECTS + noise * rng.normal(size=len(X)) + levels * seed
    return ip.Evaluations.from_arrays(X, y, targets=["loss"], kind="mask", seed=seed, **how)


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("surrogate", ["auto", "rbf"])
def test_a_leave_one_out_table_says_what_was_measured(seeds, surrogate):
    """The best fit by held-out masks is flat: each task is out in one mask alone."""
    runs = table(seeds)
    answer = ip.attribute(runs, surrogate=surrogate)
    measured = ip.metrics.leave_one_out_effects(runs).effects
    np.testing.assert_allclose(answer.effects, measured, rtol=0.03)
    assert (answer.upper - answer.lower).max() < 0.05
    assert answer.trust.verdict == "solid"
    assert "better buy" not in answer.trust.advice


def test_intervals_of_leave_one_out_tables_hold_the_effects():
    inside = []
    for seed in range(60):
        answer = ip.attribute(table(2 + seed % 3, 0.1, np.random.default_rng(seed)), surrogate="ridge", pairs=False)
        inside.append((answer.lower[:, 0] <= EFFECTS) & (answer.upper[:, 0] >= EFFECTS))
    assert np.mean(inside) > 0.9


def test_a_table_that_was_run_once_could_be_noise():
    runs = table(1)
    answer = ip.attribute(runs)
    np.testing.assert_allclose(answer.effects, ip.metrics.leave_one_out_effects(runs).effects, rtol=1e-9)
    assert (answer.lower < 0).all()
    assert answer.trust.verdict == "not supported"
    assert answer.trust.reason.startswith("Leave-one-out was run once")
    assert "another seed" in answer.trust.advice
    certain = ip.attribute(replace(runs, notes={"deterministic": True}))
    np.testing.assert_allclose(certain.effects, answer.effects, rtol=1e-9)
    assert (certain.upper - certain.lower).max() < 0.05


def test_levels_of_coupled_seeds_are_no_effects():
    runs = table(3, levels=5.0, notes={"coupled": True})
    answer = ip.attribute(runs.filter(np.arange(len(runs)) != 3))
    np.testing.assert_allclose(answer.effects[:, 0], EFFECTS, atol=0.02)


def test_seeds_that_share_no_mask_tell_no_differences():
    runs = table(1, levels=1.0)
    apart = replace(runs, seed=np.arange(len(runs)), notes={"coupled": True})
    design = Design.of(checked(apart))
    predictor = fit_design(design, "ridge")
    read = read_effects(predictor, question(design.X, "mask", "leave-one-out"), False)
    assert left_out(read, design, predictor) is read


def test_a_target_that_was_measured_in_some_runs_is_read_of_these():
    runs = table(3)
    values = np.column_stack([runs.values[:, 0], runs.values[:, 0]])
    values[3::6, 1] = np.nan  # the mask without the third task
    some = ip.Evaluations.from_arrays(runs.masks, values, targets=["all", "some"], kind="mask", seed=runs.seed)
    effects = ip.attribute(some).effects
    np.testing.assert_allclose(effects[:, 0], EFFECTS, atol=0.02)
    np.testing.assert_allclose(np.delete(effects[:, 1], 2), np.delete(EFFECTS, 2), atol=0.02)


def test_of_pairs_and_groups_a_leave_one_out_table_says_nothing():
    """A fit to a logarithm bends, and would have tasks act together."""
    X = np.tile(ip.masks.leave_one_out(3), (3, 1))
    runs = ip.Evaluations.from_arrays(X, 2 - X @ [0.3, 0.1, -0.1], targets=["loss"], seed=np.repeat(np.arange(3), 4))
    answer = ip.attribute(runs, groups={"both": ["task_0", "task_1"]})
    assert np.isnan(answer.interactions).all()
    assert "no run lacks two tasks" in answer.untested
    assert answer.groups is None
    assert any("groups and contrasts are left out" in said for said in answer.warnings)


def test_runs_of_other_masks_without_repeats_are_read_as_they_were():
    rng = np.random.default_rng(0)
    X = np.vstack([ip.masks.leave_one_out(K), ip.masks.bernoulli(K, 9, rng, p=0.6, exclude=ip.masks.leave_one_out(K))])
    runs = checked(runs_of(X, X @ EFFECTS + 0.1 * rng.normal(size=len(X))))
    design = Design.of(runs)
    predictor = fit_design(design, "ridge")
    read = read_effects(predictor, question(design.X, "mask", "leave-one-out"), False)
    assert left_out(read, design, predictor) is read
