"""attribute: players, questions, the choice, the truth beside it, saving, the table."""

import numpy as np
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.readings import question
from interplay.report import text
from interplay.report.pairs import kind_of_pair
from interplay.report.words import plain, safe_cell
from interplay.truth import separate


def make(masks, values, **more):
    values = np.asarray(values, float)
    targets = more.pop("targets", ["loss"] if values.ndim == 1 else [f"loss_{t}" for t in range(values.shape[1])])
    return ip.Evaluations.from_arrays(masks, values, targets=targets, **more)


@pytest.fixture
def near_full(rng):
    return (rng.random((60, 8)) < 0.85).astype(float)  # with repeats of a mask


W = np.array([0.5, 0.3, 0.2, 0.1, 0.0, 0.0, -0.2, -0.4])


def loss(masks, rng, noise=0.01):
    return 3.0 - masks @ W + noise * rng.normal(size=len(masks))


def test_benefits_of_an_additive_game(near_full, rng):
    answer = ip.attribute(make(near_full, loss(near_full, rng)))
    assert answer.reading == "leave-one-out"
    np.testing.assert_allclose(answer.effects[:, 0], W, atol=0.03)
    assert answer.trust.verdict == "solid"
    assert (np.abs(answer.effects[:, 0] - W) <= 3 * answer.deviation[:, 0]).all()
    assert answer.top(1).task.tolist() == ["task_0", "task_7"]
    with pytest.raises(KeyError, match="no target 'acc'"):
        answer.top(1, "acc")


def test_higher_is_better_turns_the_sign(near_full, rng):
    y = loss(near_full, rng)
    down = ip.attribute(make(near_full, y))
    up = ip.attribute(make(near_full, y, targets=["accuracy"], higher_is_better=[True]))
    np.testing.assert_allclose(up.effects, -down.effects, rtol=1e-9)
    np.testing.assert_allclose(up.interactions, -down.interactions, rtol=1e-9, atol=1e-12)


def test_additive_game_is_a_tie_and_the_answer_says_so(near_full, rng):
    answer = ip.attribute(make(near_full, loss(near_full, rng, 0.1)))
    assert "Tuned ridge" in answer.surrogate
    assert "simpler" in answer.surrogate


def test_interactions_choose_the_kernel_and_are_put_in_words(rng):
    masks = ip.masks.bernoulli(6, 60, p=0.75, rng=rng)
    y = (
        2
        - 0.5 * np.maximum(masks[:, 0], masks[:, 1])
        - 0.6 * masks[:, 2] * masks[:, 3]
        + 0.005 * rng.normal(size=len(masks))
    )
    answer = ip.attribute(make(masks, y))
    assert answer.surrogate.startswith(("The RBF kernel", "ARD", "The stack of kernels"))
    shown = repr(answer)
    assert "task_0 and task_1: redundancy" in shown
    assert "task_2 and task_3: synergy" in shown
    frame = answer.pairs_frame()
    assert len(frame) == 15
    assert frame.loc[(frame["first"] == "task_2") & (frame["second"] == "task_3"), "interaction"].iloc[0] > 0.2


def test_words_for_pairs():
    assert kind_of_pair(0.1, 0.0, 0.0, 0.5) == "synergy"
    assert kind_of_pair(-0.4, 0.0, 0.0, 1.0) == "redundancy"  # each helps while the other is out
    assert kind_of_pair(-0.1, -0.5, 0.4, 1.0) == "antagonism"
    assert kind_of_pair(-0.1, 0.01, 0.4, 0.0) == "redundancy"


def test_tasks_that_cannot_be_told_apart(rng):
    masks = ip.masks.bernoulli(4, 14, p=0.6, rng=rng)
    wide = np.column_stack([masks, masks[:, 1], np.ones(len(masks)), np.zeros(len(masks))])
    y = 3 - masks @ [0.5, 0.4, 0.0, -0.3]
    answer = ip.attribute(make(wide, y, tasks=["a", "b", "c", "d", "b2", "on", "off"]))
    assert answer.tasks == ("a", "b + b2", "c", "d")
    assert answer.unidentified == ("on", "off")
    shown = repr(answer)
    assert shown.count("not identifiable") >= 2
    assert answer.trust.verdict != "solid"
    frame = answer.to_frame()
    assert frame.loc[frame.task == "on", "benefit"].isna().all()
    assert frame.loc[frame.task == "on", "verdict"].tolist() == ["not identifiable"]


def test_nothing_switched_is_an_error():
    with pytest.raises(EvaluationsError, match="no task is switched"):
        ip.attribute(make(np.ones((6, 3)), np.arange(6.0)))


def test_constant_target_has_nothing_to_attribute(near_full, rng):
    y = np.column_stack([loss(near_full, rng), np.full(len(near_full), 2.0)])
    answer = ip.attribute(make(near_full, y))
    assert any("loss_1 never changes" in w for w in answer.warnings)
    np.testing.assert_array_equal(answer.effects[:, 1], 0.0)
    assert answer.trust.targets == ("solid", "not supported")


def test_pure_noise_is_not_supported(near_full, rng):
    answer = ip.attribute(make(near_full, rng.normal(size=len(near_full)) + 5))
    assert answer.trust.verdict == "not supported"
    assert "Nothing shows that loss depends on the tasks" in repr(answer)


def test_missing_values_are_fitted_on_their_own_rows(near_full, rng):
    y = np.column_stack([loss(near_full, rng), loss(near_full, rng)])
    y[near_full[:, 0] == 0, 1] = np.nan
    runs = make(near_full, y)
    answer = ip.attribute(runs, pairs=False)
    measured = int(near_full[:, 0].sum())
    assert answer.rows == (len(near_full), measured)
    alone = ip.attribute(make(near_full[near_full[:, 0] == 1], y[near_full[:, 0] == 1, 1]), pairs=False)
    np.testing.assert_allclose(answer.effects[1:, 1], alone.effects[:, 0], atol=0.02)


def test_a_target_with_too_few_rows_is_named(near_full, rng):
    y = np.column_stack([loss(near_full, rng)] * 2)
    y[4:, 1] = np.nan
    with pytest.raises(EvaluationsError, match="'loss_1' was measured in 4 of 60 runs"):
        ip.attribute(make(near_full, y))


def test_several_fidelities_are_one_answer_about_the_dear(near_full, rng):
    words = np.where(np.arange(len(near_full)) % 3 == 0, "retrained", "estimated")
    notes = {"estimator": {"verdict": "unfaithful", "reason": "said so"}}
    runs = make(near_full, loss(near_full, rng), fidelity=words, notes=notes)
    answer = ip.attribute(runs)
    assert (answer.fidelities.at, answer.trust.verdict) == ("retrained", "solid")  # the runs say whether ranks transfer
    with pytest.raises(EvaluationsError, match=r"several fidelities \(a, b\).*at='a' \(--at a\).*--fidelity"):
        ip.attribute(make(near_full, loss(near_full, rng), fidelity=np.where(words == "retrained", "a", "b")))


@pytest.mark.parametrize(
    ("state", "verdict"), [("faithful", "solid"), ("unknown", "indicative"), ("unfaithful", "not supported")]
)
def test_no_verdict_on_estimates_is_better_than_the_estimators(near_full, rng, state, verdict):
    notes = {"estimator": {"verdict": state, "reason": "said so"}}
    runs = make(near_full, loss(near_full, rng), fidelity="estimated", notes=notes)
    answer = ip.attribute(runs)
    assert answer.trust.verdict == verdict
    assert f"Estimator: {state}: said so" in repr(answer)


def test_an_estimate_far_outside_the_linear_model_is_not_believed(near_full, rng):
    notes = {"estimator": {"verdict": "unknown", "displacement_max": 58.0}}
    runs = make(near_full, loss(near_full, rng), fidelity="estimated", notes=notes)
    assert ip.attribute(runs).trust.verdict == "not supported"


def test_leave_one_out_runs_need_no_surrogate(rng):
    masks = ip.masks.leave_one_out(8)
    answer = ip.attribute(make(masks, loss(masks, rng)))
    assert any("leave-one-out retraining itself" in w for w in answer.warnings)


def truth_of(rng, seeds=4, noise=0.02):
    masks = np.tile(ip.masks.leave_one_out(8), (seeds, 1))
    seed = np.repeat(np.arange(seeds), 9)
    level = rng.normal(size=seeds)[seed]
    return make(masks, loss(masks, rng, noise) + level, seed=seed, notes={"coupled": True})


def test_truth_stands_beside_the_answer_and_is_never_fitted(near_full, rng):
    truth = truth_of(rng)
    y = loss(near_full, rng)
    poisoned = make(
        np.vstack([near_full, truth.masks[:9]]), np.concatenate([y, np.full(9, 50.0)]), seed=np.zeros(len(y) + 9, int)
    )
    answer = ip.attribute(poisoned, truth)
    shared = int((near_full.sum(axis=1) >= 7).sum())
    assert answer.rows[0] == len(near_full) - shared
    np.testing.assert_allclose(answer.effects[:, 0], W, atol=0.05)
    assert answer.truth is not None
    assert answer.truth.seeds == 4
    assert answer.truth.spearman[0] > 0.9
    assert 0.9 < answer.truth.ceiling[0] <= 1.0
    assert f"{shared + 9} runs share their mask with the truth" in repr(answer)
    assert "truth" in answer.to_frame()


def test_rows_of_other_seeds_may_stay(rng):
    truth = truth_of(rng)
    runs = make(ip.masks.leave_one_out(8), np.arange(9.0), seed=np.array([0] * 4 + [7] * 5))
    kept, dropped = separate(runs, truth, "other-seeds")
    assert (len(kept), dropped) == (5, 4)
    assert separate(runs, truth, "exclude")[1] == 9
    with pytest.raises(EvaluationsError, match="truth_masks='all'"):
        separate(runs, truth, "all")


def test_truth_must_fit_the_runs(near_full, rng):
    runs = make(near_full, loss(near_full, rng))
    other = make(ip.masks.leave_one_out(3), np.arange(4.0))
    with pytest.raises(EvaluationsError, match="truth has tasks"):
        ip.attribute(runs, other)
    with pytest.raises(EvaluationsError, match="truth has no target 'loss'"):
        ip.attribute(runs, make(ip.masks.leave_one_out(8), np.arange(9.0), targets=["other"]))
    answer = ip.attribute(runs, truth_of(rng), "shapley")
    assert answer.truth is None
    assert any("are not compared" in w for w in answer.warnings)


def test_crossed_seeds_are_averaged(near_full, rng):
    level = np.array([0.0, 5.0])
    near_full = np.unique(near_full, axis=0)
    masks = np.vstack([near_full, near_full])
    seed = np.repeat([0, 1], len(near_full))
    answer = ip.attribute(make(masks, loss(masks, rng) + level[seed], seed=seed))
    assert answer.rows == (len(near_full),)
    assert "same 2 seeds" in repr(answer)
    np.testing.assert_allclose(answer.effects[:, 0], W, atol=0.03)


def test_question_follows_the_design(rng):
    ask = lambda masks, kind="mask", **more: question(masks, kind, **more)
    assert ask(ip.masks.bernoulli(10, 50, p=0.9, rng=rng)).name == "leave-one-out"
    assert ask(ip.masks.bernoulli(10, 50, p=0.5, rng=rng)).name == "banzhaf"
    assert ask(ip.masks.all_subsets(4)).name == "banzhaf"
    fixed = ask(ip.masks.fixed_size(10, 40, 4, rng=rng))
    assert (fixed.name, fixed.size) == ("swap", 4)
    assert ask(np.tril(np.ones((20, 20)))).name == "shapley"
    mixture = rng.dirichlet(np.ones(4), 20)
    assert ask(mixture, "mixture").name == "move"
    np.testing.assert_allclose(ask(mixture, "mixture", reference="uniform").reference, 0.25)
    assert ask(rng.random((9, 3)) * 2, "weights").name == "gradient"
    with pytest.raises(ValueError, match="mixtures have move, removal"):
        ask(mixture, "mixture", reading="shapley")
    with pytest.raises(ValueError, match="reading='move'"):
        ask(np.eye(3), reading="move")
    with pytest.raises(ValueError, match="reference='best'"):
        ask(mixture, "mixture", reference="best")
    with pytest.raises(ValueError, match="one weight for each of the 4"):
        ask(mixture, "mixture", reference=np.ones(3))


def test_fixed_size_runs_are_read_as_swaps(rng):
    masks = ip.masks.fixed_size(8, 50, 3, rng=rng)
    answer = ip.attribute(make(masks, loss(masks, rng)))
    assert answer.reading == "swap"
    others = (W.sum() - W) / 7
    np.testing.assert_allclose(answer.effects[:, 0], W - others, atol=0.05)


@pytest.mark.parametrize("surrogate", ["ridge", "kernel"])
def test_leave_one_out_is_refused_to_runs_of_one_size(rng, surrogate):
    masks = ip.masks.fixed_size(30, 60, 4, rng=rng)
    y = np.exp(3 - 0.5 * masks @ rng.random(30) + 0.05 * rng.normal(size=60))
    answer = ip.attribute(make(masks, y), reading="leave-one-out", surrogate=surrogate)
    assert answer.trust.verdict == "not supported"
    assert np.isfinite(answer.deviation).all()
    level = ip.attribute(make(masks[:, :20], y[:]), reading="swap", surrogate=surrogate)
    assert level.reading == "swap"


@pytest.mark.parametrize("reading", ["shapley", "banzhaf", "gradient", "leave-one-out"])
def test_every_reading_of_masks(near_full, rng, reading):
    answer = ip.attribute(make(near_full, loss(near_full, rng)), reading=reading)
    assert answer.reading == reading
    np.testing.assert_allclose(answer.effects[:, 0], W, atol=0.05)


def test_mixtures_are_read_by_moves_and_removal(rng):
    X = rng.dirichlet(np.ones(5), 60)
    y = 2 - np.log(X + 0.02) @ [0.3, 0.1, 0.0, 0.0, -0.05]
    runs = make(X, y)
    moved = ip.attribute(runs)
    assert moved.reading == "move"
    assert moved.effects[:, 0].argmax() == 0
    assert len(moved.interactions) == 10
    gone = ip.attribute(runs, reading="removal")
    assert gone.effects[:, 0].argmax() == 0
    assert ip.attribute(runs, reference=np.full(5, 0.2)).reading == "move"


def test_log_link_says_its_unit(rng):
    w = np.append([1.0, 0.8, 0.5, 0.3, -0.4, 0.0], np.zeros(12))
    masks = ip.masks.bernoulli(18, 90, p=0.5, rng=rng)
    y = np.exp(2.0 - masks @ w + 0.01 * rng.normal(size=len(masks)))
    answer = ip.attribute(make(masks, y), surrogate="kernel")
    assert answer.unit[0].startswith("per cent")  # too many players to enumerate exp(g)
    np.testing.assert_allclose(answer.effects[:6, 0], [100, 80, 50, 30, -40, 0], atol=8)
    assert "Benefit in per cent" in repr(answer)
    few = ip.attribute(make(masks[:, :6], y), surrogate="kernel")
    assert few.unit == ("own",)
    own = ip.attribute(make(masks[:, :6], y), surrogate="kernel", reading="leave-one-out")
    assert own.unit == ("own",)
    np.testing.assert_allclose(own.effects[0, 0], np.exp(2.0 - 2.2) * (np.e - 1), rtol=0.25)


def test_save_and_load(near_full, rng, tmp_path):
    answer = ip.attribute(make(near_full, loss(near_full, rng)), truth_of(rng))
    path = answer.save(tmp_path / "answer.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["answer.json", "answer.npz"]
    back = ip.Attribution.load(path)
    assert repr(back) == repr(answer)
    assert back.to_frame().equals(answer.to_frame())
    np.testing.assert_array_equal(back.interactions, answer.interactions)
    assert back.trust == answer.trust
    with pytest.raises(EvaluationsError, match="no such file"):
        ip.Attribution.load(tmp_path / "other")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(EvaluationsError, match="not an attribution"):
        ip.Attribution.load(tmp_path / "x.json")


def test_many_targets_and_many_tasks_stay_readable(rng):
    masks = ip.masks.bernoulli(70, 90, p=0.9, rng=rng)
    y = 3 - masks @ rng.normal(size=(70, 3)) * 0.1 + 0.01 * rng.normal(size=(90, 3))
    answer = ip.attribute(make(masks, y))
    shown = text(answer)
    assert "40 more" in shown
    assert "Mean benefit over 3 targets" in shown
    assert len(shown.splitlines()) < 60
    one = text(answer, target="loss_1")
    assert "read without intervals" in one
    assert np.isnan(answer.interaction_deviation).all()


def test_names_are_shown_harmlessly():
    assert plain("a\x1b[31mb\u202e") == "a?[31mb?"
    assert plain("\n") == "?"
    assert plain("") == "(empty)"
    assert len(plain("x" * 500)) == 40
    assert safe_cell("=1+1") == "'=1+1"
    assert safe_cell("en") == "en"
