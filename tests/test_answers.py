"""What an answer holds beside effects: groups, contrasts, references, tokens, shares of the variance, units, seeds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay import blocks, readings
from interplay.blocks import read_effects
from interplay.evaluations import EvaluationsError
from interplay.readings import question, questions
from interplay.report import text
from interplay.report.words import shortened
from interplay.surrogates.links import Link
from interplay.units import formula, unit
from tests.helpers import every_mask

TASKS = list("abcde")
W = np.array([0.5, 0.3, 0.2, 0.0, -0.4])


def table(X, y, rng, noise=0.01, **more):
    y = np.asarray(y, float)
    more = {"tasks": TASKS[: X.shape[1]], "targets": ["loss"] if y.ndim == 1 else None} | more
    return ip.Evaluations.from_arrays(X, y + noise * rng.normal(size=y.shape), **more)


@pytest.fixture
def masks(rng):
    return (rng.random((50, 5)) < 0.8).astype(float)


@pytest.fixture
def mixtures(rng):
    return rng.dirichlet(np.full(5, 1.5), 50)


def law(X):
    return 2 - np.log(X + 0.05) @ [0.3, 0.2, 0.1, 0.0, -0.1]


@pytest.fixture
def moves(mixtures, rng):
    return table(mixtures, law(mixtures), rng)


# ---- groups and contrasts


@pytest.mark.parametrize("up", [False, True])
def test_groups_and_contrasts_of_masks(masks, rng, up):
    runs = table(masks, (1 if up else -1) * (masks @ W) + 3, rng, higher_is_better=up)
    answer = ip.attribute(
        runs,
        groups={"first": ["a", "b"], "mixed": ["c", "e"]},
        contrasts={"ab for de": ([1, 1, 0, 0, 0], [0, 0, 0, 1, 1])},
    )
    np.testing.assert_allclose(answer.groups.effects[:, 0], [0.8, -0.2], atol=0.04)
    np.testing.assert_allclose(answer.contrasts.effects[:, 0], [1.2], atol=0.08)
    surrogate = answer.choices[0][1].surrogate
    sign = 1 if up else -1
    g = lambda mask: surrogate.predict(np.array([mask], float))[0]
    gone = sign * (g([1] * 5) - g([0, 0, 1, 1, 1]))
    np.testing.assert_allclose(answer.groups.effects[0], gone, atol=1e-9)
    np.testing.assert_allclose(answer.groups.effects[0], (answer.groups.lower + answer.groups.upper)[0] / 2)
    shown = repr(answer)
    assert "Groups, leaving a group out of all tasks (benefit in loss, its own unit)" in shown
    assert "ab for de" in shown


def test_groups_of_mixtures_renormalise(moves):
    w = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
    answer = ip.attribute(moves, groups={"cd": ["c", "d"], "all": TASKS}, reference=w)
    surrogate = answer.choices[0][1].surrogate
    g = lambda p: surrogate.predict(np.array([p]))[0]
    without = np.array([0.4, 0.3, 0, 0, 0.1]) / 0.8
    np.testing.assert_allclose(answer.groups.effects[0], g(without) - g(w), atol=1e-9)
    assert np.isnan(answer.groups.effects[1]).all()
    assert any(said.startswith("all holds all of the mixture") for said in answer.warnings)
    assert "all" in repr(answer)
    assert "not known" in repr(answer)
    assert "removing a group and renormalising, from the given mixture" in repr(answer)


def test_a_group_of_one_is_the_task(masks, moves, rng):
    runs = table(masks, 3 - masks @ W, rng)
    answer = ip.attribute(runs, groups={name: [name] for name in TASKS})
    np.testing.assert_allclose(answer.groups.effects, answer.effects, atol=1e-9)
    np.testing.assert_allclose(answer.groups.deviation, answer.deviation, atol=1e-9)
    gone = ip.attribute(moves, reading="removal", groups={name: [name] for name in TASKS})
    np.testing.assert_allclose(gone.groups.effects, gone.effects, atol=1e-9)


def test_a_group_of_weights_is_set_to_zero(rng):
    X = rng.uniform(0, 2, size=(50, 3))
    answer = ip.attribute(table(X, 3 - X @ [0.5, 0.2, 0.0], rng, kind="weights"), groups={"ab": ["a", "b"]})
    np.testing.assert_allclose(answer.groups.effects[0, 0], X.mean(axis=0)[:2] @ [0.5, 0.2], atol=0.05)
    assert "setting the weights of a group to 0, from the mean of the runs" in repr(answer)


def test_groups_that_the_runs_say_nothing_of_are_marked(rng):
    X = ip.masks.fixed_size(30, 12, 2, rng=rng)
    runs = ip.Evaluations.from_arrays(X, X @ rng.normal(size=30) + rng.normal(size=12))
    switched = [runs.tasks[k] for k in np.flatnonzero(X.any(axis=0))]
    answer = ip.attribute(runs, groups={"two": switched[:2]}, pairs=False)
    assert answer.groups.coverage[0, 0] > 0.9
    assert "the runs say almost nothing of it" in repr(answer)


def test_what_is_not_switched_is_left_out_and_said(masks, rng):
    X = np.column_stack([masks[:, :3], np.ones(50), masks[:, 0]])
    answer = ip.attribute(table(X, 3 - X @ W, rng), groups={"bd": ["b", "d"], "ae": ["a", "e"]})
    np.testing.assert_allclose(answer.groups.effects[:, 0], [0.3, 0.1], atol=0.05)
    assert any("never switch d" in said and "bd" in said for said in answer.warnings)
    with pytest.raises(EvaluationsError, match=r"parts a \+ e, which always switch together"):
        ip.attribute(table(X, 3 - X @ W, rng), groups={"a": ["a"]})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"groups": {"x": ["z"]}}, "no task of the runs is called 'z'"),
        ({"contrasts": {"x": ([1, 1], [0, 0])}}, r"shape \(1, 2\); give a weight for each of 5 tasks"),
        ({"contrasts": {"x": ([0.5] * 5, [1] * 5)}}, "contrast 1 has 0.5 for task 'a'; masks are 0 or 1"),
    ],
)
def test_bad_groups_and_contrasts(masks, rng, asked, words):
    with pytest.raises(EvaluationsError, match=words):
        ip.attribute(table(masks, masks @ W, rng), **asked)


def test_targets_that_never_switch_a_task_know_nothing_of_its_group(masks, rng):
    y = np.column_stack([3 - masks @ W, 3 - masks @ W])
    y[masks[:, 0] == 0, 1] = np.nan
    answer = ip.attribute(
        table(masks, y, rng), groups={"ab": ["a", "b"], "bc": ["b", "c"]}, contrasts={"x": ([1] * 5, [0, 1, 1, 1, 1])}
    )
    assert np.isnan(answer.groups.effects).tolist() == [[False, True], [False, False]]
    assert np.isnan(answer.contrasts.effects).tolist() == [[False, True]]
    assert "unknown" in repr(answer)


def test_many_groups_are_cut_and_many_targets_counted(masks, rng):
    y = np.column_stack([3 - masks @ W, 3 + masks @ W])
    groups = {f"group {i}": ["a", "b"] for i in range(25)}
    answer = ip.attribute(table(masks, y, rng), groups=groups)
    shown = repr(answer)
    assert "... 5 more (groups_frame(), or --out)" in shown
    row = next(line for line in shown.splitlines() if line.startswith("group 0"))
    assert row.split()[2:5] == ["1", "1", "0"]
    assert "target_0 (+0.79" in row


# ---- references


def test_the_best_run_is_the_one_predicted_best(moves, mixtures):
    answer = ip.attribute(moves, reference="best")
    predicted = answer.predict(mixtures).mean[:, 0]
    np.testing.assert_allclose(answer.reference, mixtures[np.argmin(predicted)] / mixtures[np.argmin(predicted)].sum())
    assert "from the run that is predicted to be best" in repr(answer)
    assert answer.to_frame().reference.tolist() == answer.reference.tolist()


def test_the_best_run_over_several_targets(mixtures, rng):
    two = table(mixtures, np.column_stack([law(mixtures), 100 - 50 * mixtures[:, 3]]), rng)
    answer = ip.attribute(two, reference="best")
    predicted = answer.predict(mixtures).mean
    z = (predicted - two.values.mean(axis=0)) / two.values.std(axis=0)
    best = mixtures[np.argmin(z.mean(axis=1))]
    np.testing.assert_allclose(answer.reference, best / best.sum())


def test_references_by_word(moves, masks, rng):
    tokens = ip.Tokens(tuple(TASKS), np.array([5.0, 2.0, 1.0, 1.0, 1.0]) * 1e9)
    answer = ip.attribute(moves, reference="tokens", tokens=tokens, budget=2e9)
    np.testing.assert_allclose(answer.reference, [0.5, 0.2, 0.1, 0.1, 0.1])
    assert "from the token-proportional mixture" in repr(answer)
    np.testing.assert_allclose(ip.attribute(moves, reference="uniform").reference, 0.2)
    with pytest.raises(ValueError, match="'tokens' needs the token counts"):
        ip.attribute(moves, reference="tokens")
    with pytest.raises(ValueError, match="give 'mean', 'uniform', 'tokens', 'best'"):
        ip.attribute(moves, reference="bset")
    for word in ("best", "tokens"):
        with pytest.raises(ValueError, match="mask designs have none"):
            ip.attribute(table(masks, masks @ W, rng), reference=word)


# ---- tokens


def test_repetition_and_benefit_per_token(moves):
    tokens = ip.Tokens(tuple(TASKS), np.array([4.0, 2.0, 1.0, 1.0, 2.0]) * 1e9, np.array([8.0, 1.0, 1.0, np.nan, 1.0]))
    answer = ip.attribute(moves, tokens=tokens, budget=10e9, reference="tokens")
    frame = answer.to_frame()
    np.testing.assert_allclose(frame.epochs, 1.0)
    moved = 0.05 * (1 - answer.reference) * 10
    np.testing.assert_allclose(frame.per_billion_tokens, answer.effects[:, 0] / moved)
    expected = answer.effects[:, 0] / (moved * np.array([2.0, 0.5, 1.0, np.nan, 0.5]))
    np.testing.assert_allclose(frame.per_cost, expected)
    shown = repr(answer)
    for column in ("weight", "epochs", "per 1e9 tokens", "per cost"):
        assert column in shown
    gone = ip.attribute(moves, reading="removal", tokens=tokens, budget=10e9).to_frame()
    np.testing.assert_allclose(gone.per_billion_tokens, gone.benefit / (gone.reference * 10))


def test_leaving_out_stands_for_all_tokens_of_a_task(masks, rng):
    tokens = ip.Tokens(tuple(TASKS), np.array([4.0, 2.0, 1.0, 1.0, 2.0]) * 1e9)
    X = np.column_stack([masks[:, :4], masks[:, 0]])  # a and e are one player
    frame = ip.attribute(table(X, 3 - X @ W, rng), tokens=tokens).to_frame()
    np.testing.assert_allclose(frame.tokens, np.array([6.0, 2.0, 1.0, 1.0]) * 1e9)
    np.testing.assert_allclose(frame.per_billion_tokens, frame.benefit / [6, 2, 1, 1])
    assert frame.epochs.isna().all()


def test_what_cannot_be_counted_is_said(moves, rng):
    tokens = ip.Tokens(tuple(TASKS), np.full(5, 1e9))
    answer = ip.attribute(moves, tokens=tokens)
    assert any("need the tokens that a training reads" in said for said in answer.warnings)
    assert "per 1e9" not in repr(answer)
    X = ip.masks.fixed_size(5, 10, 2, rng=rng)
    swap = ip.attribute(table(X, X @ W, rng), tokens=tokens)
    assert any("swap effects stand for no number of tokens" in said for said in swap.warnings)


# ---- shares of the variance


def test_orders_say_what_interacts(rng):
    X = np.vstack([every_mask(5)] * 2)
    y = np.column_stack([3 - X @ W, 3 - (2 * X[:, 0] - 1) * (2 * X[:, 1] - 1)])
    answer = ip.attribute(table(X, y, rng), surrogate="rbf")
    np.testing.assert_allclose(answer.orders[:, 0], [1, 0, 0], atol=0.05)
    np.testing.assert_allclose(answer.orders[:, 1], [0, 1, 0], atol=0.1)
    frame = answer.orders_frame()
    assert len(frame) == 6
    assert ((frame.lower <= frame.share) & (frame.share <= frame.upper)).all()
    assert "Variance over random halves of the tasks" in repr(answer)
    assert "target_1: single tasks" in text(answer, "target_1")


def test_orders_of_a_stack_lie_between_those_of_its_members(rng):
    X = every_mask(5)
    runs = table(X, 3 - X @ W - X[:, 0] * X[:, 1], rng, noise=0.05)
    surrogate = ip.attribute(runs, surrogate="stack").choices[0][1].surrogate
    found = readings.walsh_spectrum(surrogate)
    alone = [readings.walsh_spectrum(surrogate.only(name)).expected[1, 0] for name in ("rbf", "linear", "ard")]
    assert min(alone) <= found.expected[1, 0] <= max(alone)
    assert found.deviation[1, 0] > 0
    np.testing.assert_allclose(found.expected.sum(axis=0), 1)


@pytest.mark.parametrize("case", ["near full", "ridge", "noise", "constant"])
def test_orders_are_not_said_where_they_are_not_known(masks, rng, case):
    half = (rng.random((50, 5)) < 0.5).astype(float)
    X = masks if case == "near full" else half
    y = {"noise": rng.normal(size=50), "constant": np.ones(50)}.get(case, 3 - X @ W)
    surrogate = "ridge" if case == "ridge" else "rbf"
    answer = ip.attribute(table(X, y, rng, noise=0.0 if case == "constant" else 0.01), surrogate=surrogate)
    assert np.isnan(answer.orders).all()
    assert answer.orders_frame().empty
    assert "what explains it" not in repr(answer)


# ---- units


def test_units_of_links_in_words():
    link = Link(np.array([0.0, 1.0, 1.0, 1.0, -1.0]), np.array([0.0, 0.0, 1.25, -0.5, 0.98]), np.full(5, np.inf))
    assert [formula(link, t) for t in range(5)] == ["y", "log y", "log(y - 1.25)", "log(y + 0.5)", "log(0.98 - y)"]
    assert [unit(link, t) for t in range(5)] == [
        "own",
        "per cent",
        "per cent of the gap to the floor 1.25",
        "per cent of the gap to the floor -0.5",
        "per cent of the gap to the ceiling 0.98",
    ]


def logged(rng, P=6):
    X = (rng.random((70, P)) < 0.5).astype(float)
    w = np.array([1.0, 0.8, 0.5, 0.3, -0.4, 0.0])
    return X, np.exp(1.0 - X[:, :6] @ w + 0.005 * rng.normal(size=70))


def test_what_is_too_expensive_to_enumerate_stays_per_cent_throughout(rng, monkeypatch):
    X, y = logged(rng)
    runs = ip.Evaluations.from_arrays(X, y, targets=["loss"])
    own = ip.attribute(runs, surrogate="stack")
    assert own.links[0].startswith("log")
    assert own.unit == ("own",)
    monkeypatch.setattr(questions, "AFFORDABLE", 1e3)
    cents = ip.attribute(runs, surrogate="stack")
    surrogate = cents.choices[0][1].surrogate
    assert cents.unit[0].startswith("per cent")
    np.testing.assert_allclose(cents.effects, -100 * readings.banzhaf(surrogate).mean)
    np.testing.assert_allclose(cents.interactions, -100 * readings.banzhaf_pairs(surrogate).mean)
    assert f"Benefit in {cents.unit[0]} (" in repr(cents)
    assert "Per cent: 100 × a difference of logarithms: +b divides the " in repr(cents)
    assert f"Fitted to {cents.links[0]}" in repr(cents)
    full = surrogate.predict(every_mask(6))
    banzhaf = [full[every_mask(6)[:, k] == 1].mean() - full[every_mask(6)[:, k] == 0].mean() for k in range(6)]
    np.testing.assert_allclose(own.effects[:, 0], -np.array(banzhaf), rtol=1e-6, atol=1e-9)


def test_cost_of_enumeration_counts_players_members_and_targets(rng):
    X, y = logged(rng)
    one = ip.KernelSurrogate(kernel="rbf", links=("log",)).fit(X, y)
    assert questions.enumerable(one)
    big = ip.KernelSurrogate(kernel="rbf", links=("log",)).fit((rng.random((70, 17)) < 0.5).astype(float), y)
    assert not questions.enumerable(big)
    many = ip.KernelSurrogate(kernel="rbf", links=("log",)).fit(
        (rng.random((70, 16)) < 0.5).astype(float), np.tile(y[:, None], 50)
    )
    assert not questions.enumerable(many)
    plain = ip.KernelSurrogate(kernel="rbf", links=("identity",)).fit(many.X_, np.tile(y[:, None], 50))
    assert questions.enumerable(plain)  # nothing to enumerate


@pytest.mark.parametrize("links", [("identity",), ("floor",), ("log",)])
def test_slopes_are_differences_of_predictions(rng, links):
    X = rng.uniform(1, 3, (60, 3))
    y = 1 + np.exp(-X @ [0.5, 0.2, 0.0]) + 0.001 * rng.normal(size=60)
    surrogate = ip.KernelSurrogate(kernel="rbf", links=links, features="raw").fit(X, y)
    at, h = X.mean(axis=0), 1e-4
    expected = [(surrogate.predict([at + d]) - surrogate.predict([at - d]))[0] / (2 * h) for d in h * np.eye(3)]
    found = readings.slopes(surrogate, at)
    np.testing.assert_allclose(found.mean[:, 0], expected, rtol=1e-4, atol=1e-6)
    if links == ("identity",):
        exact = readings.gradient(surrogate, at)
        np.testing.assert_allclose(found.deviation, exact.deviation, rtol=1e-3)
        np.testing.assert_allclose(found.prior, exact.prior, rtol=1e-3)
    answer = ip.attribute(table(X, y, rng, noise=0.0, kind="weights"), surrogate="rbf")
    assert answer.unit == ("own",)


def test_skill_holds_every_surrogate(masks, moves, rng):
    assert set(ip.attribute(table(masks, masks @ W, rng)).skill) == {"ridge", "rbf", "ard", "stack"}
    assert set(ip.attribute(moves).skill) == {"ridge", "rbf", "stack"}


def test_one_task_has_no_pairs(rng):
    X = rng.integers(0, 2, (20, 1)).astype(float)
    answer = ip.attribute(table(X, 2 - X[:, 0], rng))
    np.testing.assert_allclose(answer.effects, [[1.0]], atol=0.05)
    assert len(answer.interactions) == 0
    assert answer.pairs_frame().empty


# ---- seeds


def test_coupled_seeds_have_levels_of_their_own(rng):
    X = (rng.random((60, 5)) < 0.8).astype(float)
    seed = np.arange(60) % 3
    y = 3 - X @ W + np.array([0.0, 4.0, -4.0])[seed]
    coupled = ip.attribute(table(X, y, rng, seed=seed, notes={"coupled": True}))
    np.testing.assert_allclose(coupled.effects[:, 0], W, atol=0.03)
    assert any("each of the 3 has a level of its own" in said for said in coupled.warnings)
    uncoupled = ip.attribute(table(X, y, rng, seed=seed))
    assert not any("coupled" in said for said in uncoupled.warnings)
    assert np.abs(uncoupled.effects[:, 0] - W).max() > 0.1
    predicted = coupled.predict(np.ones((1, 5))).mean[0, 0]
    np.testing.assert_allclose(predicted, 3 - W.sum(), atol=0.1)  # at the mean of the levels
    assert "a new run at the mean of the seeds' levels" in repr(coupled.predict(np.ones((1, 5))))


def test_a_coupled_seed_of_one_mask_shares_its_level(rng):
    X = (rng.random((20, 5)) < 0.8).astype(float)
    seed = np.r_[0, np.ones(19, int)]
    answer = ip.attribute(table(X, 3 - X @ W, rng, seed=seed, notes={"coupled": True}))
    assert any("they share one level" in said for said in answer.warnings)


# ---- saved, shown


def test_all_of_it_is_saved(moves, tmp_path):
    tokens = ip.Tokens(tuple(TASKS), np.arange(1.0, 6) * 1e9)
    w = np.full(5, 0.2)
    asked = {"groups": {"ab": ["a", "b"]}, "contrasts": {"x": (w, [1, 0, 0, 0, 0])}}
    answer = ip.attribute(moves, tokens=tokens, budget=1e10, reference="best", **asked)
    back = ip.Attribution.load(answer.save(tmp_path / "answer"))
    assert repr(back) == repr(answer)
    for frame in ("to_frame", "pairs_frame", "groups_frame", "contrasts_frame", "orders_frame"):
        pd.testing.assert_frame_equal(getattr(back, frame)(), getattr(answer, frame)())
    assert back.choices == ()
    with pytest.raises(ValueError, match="holds no surrogates; save them with"):
        back.predict(w)
    path = tmp_path / "answer.npz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(EvaluationsError, match="or damaged"):
        ip.Attribution.load(tmp_path / "answer.json")


def test_masks_are_saved_with_their_orders(rng, tmp_path):
    X = np.vstack([every_mask(4)] * 2)
    answer = ip.attribute(table(X, 3 - X[:, 0] * X[:, 1], rng), surrogate="stack")
    back = ip.Attribution.load(answer.save(tmp_path / "answer"))
    assert np.isfinite(answer.orders).all()
    assert repr(back) == repr(answer)
    assert back.groups_frame().empty


def test_names_that_share_their_ends_are_told_apart():
    assert shortened(["metric/arxiv_loss", "metric/git_loss"]) == (["arxiv", "git"], "metric/..._loss")
    assert shortened(["loss", "acc"]) == (["loss", "acc"], "")
    assert shortened(["a_x", "a_"]) == (["a_x", "a_"], "")
    assert shortened(["one"]) == (["one"], "")


def test_long_names_of_targets_are_readable(masks, rng):
    names = [f"metric/the_pile_{name}_validation_loss" for name in ("arxiv", "github")]
    answer = ip.attribute(table(masks, np.column_stack([masks @ W, -masks @ W]), rng, targets=names))
    shown = repr(answer)
    assert "targets are metric/the_pile_..._validation_loss" in shown
    assert any(line.split()[-2:] == ["github", "arxiv"] for line in shown.splitlines())


def test_pairs_that_chance_would_give_are_not_named(masks, rng):
    answer = ip.attribute(table(masks, 3 - masks @ W, rng, noise=0.3), surrogate="rbf")
    below = [0.0] * 9 + [1.0]
    twisted = ip.Attribution(
        **{f: getattr(answer, f) for f in answer.__dataclass_fields__ if f not in ("interactions", "predictor")},
        interactions=np.array(below)[:, None] * 10 * np.nanmax(answer.interaction_deviation),
    )
    few = text(replace(twisted, discoveries=None))
    assert "synergy" in few  # one of ten is twice what chance gives
    together = text(twisted)  # tested together none is named, and one at a time it is only counted
    assert "Pairs: none of 9 is named at 5 % false discoveries, all tested together" in together
    assert "One at a time, 1 of 10 intervals exclude 0 (chance alone: about 0" in together
    assert "synergy" not in together


# ---- on the command line


def put(X, name="runs.csv", **columns):
    pd.DataFrame(X, columns=TASKS).assign(**columns).to_csv(name, index=False)


def test_mixtures_with_everything(shell, mixtures, rng):
    put(mixtures, loss=law(mixtures) + 0.01 * rng.normal(size=50), other=mixtures[:, 0])
    with open("tokens.csv", "w") as file:
        file.write("task,tokens,cost\n" + "".join(f"{task},{k + 1}e9,2\n" for k, task in enumerate(TASKS)))
    with open("groups.csv", "w") as file:
        file.write("task,group\na,ab\nb,ab\nc,rest\nd,rest\n")
    with open("one.csv", "w") as file:
        file.write("task,weight\na,.5\nb,.5\n")
    with open("two.csv", "w") as file:
        file.write("task,weight\nd,.5\ne,.5\n")
    call = ("attribute", "runs.csv", "--target", "loss", "--ignore", "other", "--tokens", "tokens.csv")
    more = ("--groups", "groups.csv", "--contrast", "one.csv", "two.csv", "--budget", "1e10", "--out", "answer.json")
    for reference in ("tokens", "best", "two.csv", "uniform"):
        code, out, err = shell(*call, *more, "--reference", reference)
        assert (code, err) == (0, "")
        assert "one against two" in out
        assert "Groups, removing a group and renormalising" in out
    answer = ip.Attribution.load("answer.json")
    np.testing.assert_allclose(answer.reference, 0.2)
    assert answer.groups.names == ("ab", "rest")
    assert (answer.contrasts.effects > 0).all()
    code, _, err = shell("attribute", "runs.csv", "--target", "loss", "--ignore", "other", "--reference", "tokens")
    assert (code, "--reference: there are no token counts" in err) == (2, True)
    code, _, err = shell("attribute", "runs.csv", "--target", "loss", "--ignore", "other", "--budget", "1e9")
    assert (code, "--budget: there are no token counts" in err) == (2, True)


def test_a_derived_target_is_judged_by_the_same_formula(shell, masks, rng):
    full = np.vstack([np.ones((1, 5)), 1 - np.eye(5)])
    losses = lambda X: {"bpb/x": 2 - X @ W, "bpb/y": 1 - X @ W[::-1]}
    put(masks.astype(int), **{n: y + 0.01 * rng.normal(size=50) for n, y in losses(masks).items()})
    put(full.astype(int), "truth.csv", **losses(full))
    call = ("attribute", "runs.csv", "--derive", "overall=0.75*bpb/x + 0.25*bpb/y", "--truth", "truth.csv")
    code, out, err = shell(*call, "--out", "answer.json")
    assert (code, err) == (0, "")
    answer = ip.Attribution.load("answer.json")
    assert answer.targets == ("overall",)
    expected = 0.75 * W + 0.25 * W[::-1]
    np.testing.assert_allclose(answer.truth.effects[:, 0], expected, atol=1e-9)
    np.testing.assert_allclose(answer.effects[:, 0], expected, atol=0.05)
    assert "Spearman 1.00" in out
    code, out, err = shell(*call, "--target", "bpb/x", "--out", "answer.json")
    assert (code, err) == (0, "")
    assert ip.Attribution.load("answer.json").targets == ("bpb/x", "overall")
    put(full.astype(int), "truth.csv", **{"bpb/x": losses(full)["bpb/x"]})
    code, _, err = shell(*call)
    assert code == 2
    assert err.startswith("interplay: --truth: ")
    assert "bpb/y" in err


def test_a_target_that_is_named_stays_where_a_glob_ignores_the_others(shell, masks):
    put(masks.astype(int), loss_x=3 - masks @ W, loss_y=masks @ W)
    code, out, _ = shell("attribute", "runs.csv", "--target", "loss_x", "--ignore", "loss_*")
    assert code == 0
    assert "Attribution of loss_x to 5 tasks" in out
    code, _, err = shell("attribute", "runs.csv", "--target", "loss_x", "--ignore", "loss_x")
    assert (code, "'loss_x' is to be a target (--target) and to be left out (--ignore)" in err) == (2, True)


def test_questions_know_where_they_start():
    X = np.random.default_rng(0).dirichlet(np.ones(4), 20)
    asked = question(X, "mixture", reference=X[0], where="the run of last week")
    assert asked.words.endswith("from the run of last week")
    assert asked.group_words.endswith("from the run of last week")
    assert question(X, "mixture").where == "the mean mixture of the runs"
    assert question(np.eye(4), "mask").where == "all tasks"


def test_effects_of_a_loaded_fit_are_the_same(masks, rng, tmp_path):
    runs = table(masks, 3 - masks @ W - masks[:, 0] * masks[:, 1], rng)
    fitted = ip.fit(runs)
    back = ip.Predictor.load(fitted.save(tmp_path / "fit"))
    asked = question(masks, "mask")
    a, b = (read_effects(predictor, asked, True) for predictor in (fitted, back))
    for name in ("effects", "deviation", "interactions", "interaction_deviation"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-4, atol=1e-9)


def test_orders_of_very_many_runs_are_left_out(rng, monkeypatch):
    X = np.vstack([every_mask(5)] * 2)
    runs = table(X, 3 - X[:, 0] * X[:, 1], rng)
    assert np.isfinite(ip.attribute(runs, surrogate="rbf").orders).all()
    monkeypatch.setattr(blocks, "AFFORDABLE", 64**3 - 1.0)
    assert np.isnan(ip.attribute(runs, surrogate="rbf").orders).all()


# ---- pairs, tested together


def paired(rng, P=8, m=80, sign=1.0, log=False):
    """Masks around half; every task helps, and the first two only once between them."""
    X = (rng.random((m, P)) < 0.5).astype(float)
    effect = 0.2 * X.sum(axis=1) - 0.6 * X[:, 0] * X[:, 1]
    y = np.exp(1 - effect) if log else 3 + sign * effect
    return X, y


@pytest.mark.parametrize(("sign", "log"), [(1.0, False), (-1.0, False), (-1.0, True)])
def test_a_planted_pair_is_named_in_every_direction_and_unit(rng, tmp_path, sign, log):
    X, y = paired(rng, sign=sign, log=log)
    up = [sign > 0]
    runs = ip.Evaluations.from_arrays(X, y + 0.02 * rng.normal(size=80), targets=["y"], higher_is_better=up)
    answer = ip.attribute(runs)
    frame = answer.pairs_frame()
    assert frame.loc[frame.named, ["first", "second"]].values.tolist() == [["task_0", "task_1"]]
    shown = repr(answer)
    assert "1 of 28 named at 5 % false discoveries, all tested together (± half of its own 95 % interval):" in shown
    size, half = answer.interactions[0, 0], 1.96 * answer.interaction_deviation[0, 0]  # as in the table, in its unit
    assert f"  task_0 and task_1: redundancy ({size:+.3g} ± {half:.2g})" in shown
    back = ip.Attribution.load(answer.save(tmp_path / "answer"))
    assert repr(back) == shown
    pd.testing.assert_frame_equal(back.pairs_frame(), frame)


def test_levels_of_coupled_seeds_hide_no_pair(rng):
    X, y = paired(rng)
    seed = np.arange(80) % 3
    y = y + np.array([0.0, 5.0, -5.0])[seed] + 0.02 * rng.normal(size=80)
    runs = ip.Evaluations.from_arrays(X, y, seed=seed, notes={"coupled": True}, higher_is_better=True)
    assert ip.attribute(runs).discoveries.named[:, 0].tolist() == [True] + [False] * 27


def test_several_targets_share_a_line(rng):
    X, y = paired(rng)
    three = np.column_stack([y, y, 3 + 0.2 * X.sum(axis=1)]) + 0.02 * rng.normal(size=(80, 3))
    three = np.column_stack([three, np.ones(80)])
    three[:9, 1] = np.nan
    answer = ip.attribute(ip.Evaluations.from_arrays(X, three, higher_is_better=True))
    assert answer.discoveries.named[0].tolist() == [True, True, False, False]
    assert np.isnan(answer.discoveries.q[:, 3]).all()
    assert "Pairs named at 5 % false discoveries: task_0 and task_1 on 2 of 4 targets" in repr(answer)
    assert "Pairs: none of 28 is named at 5 % false discoveries, all tested together" in text(answer, "target_2")
    additive = ip.attribute(ip.Evaluations.from_arrays(X, three[:, [2, 2]], higher_is_better=True))
    assert "Pairs: none of 28 is named at 5 % false discoveries on any target" in repr(additive)


def test_where_pairs_cannot_be_tested_it_is_said(masks, moves, rng):
    few = ip.attribute(table(masks[:12], masks[:12] @ W, rng))
    assert few.discoveries is None
    assert "more masks are needed for that" in few.untested
    assert f"Not tested together: {few.untested}." in repr(few)
    many = ip.attribute(table(masks, np.tile((masks @ W)[:, None], 21), rng, targets=[f"t{i}" for i in range(21)]))
    assert many.discoveries is None
    assert "Pairs are not tested together: for at most 20 targets at once" in repr(many)
    assert ip.attribute(moves).discoveries is None
    assert ip.attribute(table(masks, masks @ W, rng), pairs=False).discoveries is None
