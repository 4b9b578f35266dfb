"""Proposals: every question, seeds, repeats, costs, fidelities, whether they are worth it, limits, candidates."""

import re

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations, attribute, join, masks
from interplay.active import Campaign, propose
from interplay.active.beliefs import Arms
from interplay.active.costs import costs
from interplay.evaluations import EvaluationsError
from interplay.fitting import fit
from interplay.formats.points import Points
from interplay.problems.games import additive, polynomial

W = np.array([0.5, 0.3, 0.0, -0.2, 0.1, 0.4])
NAMES = ("en", "de", "code", "math", "web", "wiki")


def runs_of(m=16, seed=0, noise=0.05, p=0.8, **how):
    rng = np.random.default_rng(seed)
    X = masks.bernoulli(6, m, rng, p=p)
    y = 2.0 - X @ W - 0.3 * X[:, 0] * X[:, 1] + noise * rng.normal(size=m)
    return Evaluations.from_arrays(X, y, tasks=NAMES, targets=["loss"], **how)


def mixtures(m=24, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(6), m)
    y = 2.0 + np.exp(-3.0 * X @ W) + 0.01 * rng.normal(size=m)
    return Evaluations.from_arrays(X, y, tasks=NAMES, targets=["loss"])


def rng(seed=0):
    return np.random.default_rng(seed)


GROUPS = {"languages": ["en", "de"], "rest": ["web", "wiki"]}


@pytest.mark.parametrize("question", ["leave-one-out", "groups", "pairs", "shapley", "banzhaf", "selection"])
def test_every_question_of_masks(question):
    groups = GROUPS if question == "groups" else None
    out = propose(runs_of(), question, 5, rng=rng(), groups=groups)
    assert out.masks.shape == (5, 6)
    assert np.isin(out.masks, (0, 1)).all()
    assert (out.masks.sum(axis=1) > 0).all()
    assert 0 <= out.after <= out.before
    assert (out.gain >= 0).all()
    assert out.unit == "in loss"
    assert f"5 runs for {question}" in repr(out)
    assert list(out.to_frame().columns) == ["run", "seed", "fidelity", "repeat", "gain", "cost", *NAMES]


@pytest.mark.parametrize("K", [6, 30])  # all sets are gone through, or drawn
def test_half_of_all_runs_for_shapley_values_are_single_tasks_and_all_but_one(K):
    X = masks.bernoulli(K, 10, rng(1), p=0.5)
    X = np.vstack([X[(X.sum(axis=1) > 1) & (X.sum(axis=1) < K - 1)], np.eye(K)[:4]])
    said = X @ np.linspace(-1, 1, K)
    runs = Evaluations.from_arrays(X, 2.0 - said + 0.1 * rng(2).normal(size=len(X)), targets=["loss"], kind="mask")
    out = propose(runs, "shapley", 8, rng=rng())
    size = out.masks.sum(axis=1)
    ends = out.masks[(size == 1) | (size == K - 1)]
    assert len(ends) >= -(-(len(X) + 8) // 2) - 4
    assert len(np.unique(np.vstack([ends, np.eye(K)[:4]]), axis=0)) == len(ends) + 4
    # once all of them were run, a batch is what the posterior asks for
    X = np.vstack([X, np.eye(K)[4:], 1.0 - np.eye(K)])
    runs = Evaluations.from_arrays(X, 2.0 - X @ np.linspace(-1, 1, K), targets=["loss"], kind="mask")
    assert len(propose(runs, "shapley", 4, rng=rng(), repeats=False)) == 4


@pytest.mark.parametrize("K", [8, 30])  # all sets are gone through, or drawn
def test_sets_of_one_size_are_asked_for_swaps(K):
    X = np.zeros((40, K))
    order = np.argsort(rng(1).random((40, K)), axis=1)[:, :3]
    np.put_along_axis(X, order, 1.0, axis=1)
    loss = 2.0 - X @ np.linspace(-1, 1, K) + 0.1 * rng(2).normal(size=40)
    runs = Evaluations.from_arrays(X, loss, targets=["loss"])
    out = propose(runs, "swap", 6, rng=rng())
    assert (out.masks.sum(axis=1) == 3).all()
    assert len(np.unique(out.masks[~out.repeats], axis=0)) == (~out.repeats).sum()
    assert 0 <= out.after < out.before
    assert "having a task rather than another in sets of 3" in repr(out)
    assert attribute(runs).reading == "swap"  # the question that such runs answer


def test_swaps_need_runs_of_one_size():
    with pytest.raises(EvaluationsError, match=r"swap.*the runs hold .* of 6 tasks; ask for leave-one-out"):
        propose(runs_of(), "swap", 2, rng=rng())
    with pytest.raises(EvaluationsError, match="give it, such as size=4"):
        Campaign(NAMES, "swap", rng=rng())
    started = Campaign(NAMES, "swap", rng=rng(), size=2).ask(5)
    assert (started.masks.sum(axis=1) == 2).all()


@pytest.mark.parametrize(
    ("question", "how"),
    [("mixture", "auto"), ("mixture", "d-optimal"), ("pairs", "auto"), ("groups", "auto"), ("selection", "thompson")],
)
def test_every_question_of_mixtures(question, how):
    groups = GROUPS if question == "groups" else None
    out = propose(mixtures(), question, 4, rng=rng(), groups=groups, how=how, forbid=["code"])
    np.testing.assert_allclose(out.masks.sum(axis=1), 1.0)
    assert out.masks.min() >= 0
    assert (out.masks[:, 2] == 0).all() or how == "auto"
    assert "%" in out.described(0)
    assert len(out) == 4


def test_phases_keep_their_shares():
    from interplay import phased

    generator = rng()
    X = np.hstack([generator.dirichlet(np.ones(3), 20), generator.dirichlet(np.ones(2), 20)])
    names = ["main:a", "main:b", "main:c", "late:a", "late:b"]
    runs = phased(
        Evaluations.from_arrays(X, X @ [1.0, 0, 2, 1, 3], tasks=names, targets=["loss"]), {"main": 0.8, "late": 0.2}
    )
    out = propose(runs, "mixture", 4, rng=rng())
    np.testing.assert_allclose(out.masks[:, :3].sum(axis=1), 0.8)
    np.testing.assert_allclose(out.masks[:, 3:].sum(axis=1), 0.2)


def test_tasks_that_no_run_tells_apart_are_what_is_asked_next():
    X = masks.bernoulli(6, 16, rng(1), p=0.7)
    X[:, 3], X[:, 5] = X[:, 0], 1.0
    runs = Evaluations.from_arrays(X, 2.0 - X @ W + 0.05 * rng(2).normal(size=16), tasks=NAMES, targets=["loss"])
    out = propose(runs, "leave-one-out", 6, rng=rng())
    assert (out.masks[:, 5] == 0).any()
    assert (out.masks[:, 0] != out.masks[:, 3]).any()
    said = " ".join(out.sentences)
    assert "No run so far switches wiki" in said
    assert "No run so far tells en, math apart" in said


# ---- seeds, repeats, costs, fidelities -----------------------------------------------------------------------


def test_seeds_that_are_not_stated():
    runs = runs_of(m=10, noise=0.6)
    out = propose(runs, "leave-one-out", 8, rng=rng(), candidates=runs.masks)
    assert out.repeats.all()
    assert (out.seeds == -1).all()
    assert "run repeats with an initialisation" in " ".join(out.sentences)
    with pytest.raises(ValueError, match="no masks are left of those that may be run"):
        propose(runs, "leave-one-out", 8, rng=rng(), candidates=runs.masks, repeats=False)


def test_seeds_that_are_stated_and_not_coupled():
    runs = runs_of(m=10, noise=0.6, seed=0)
    runs = Evaluations.from_arrays(runs.masks, runs.values, tasks=NAMES, targets=["loss"], seed=3)
    out = propose(runs, "leave-one-out", 8, rng=rng(), candidates=runs.masks[:2])
    assert out.repeats.all()
    pairs = {(x.tobytes(), s) for x, s in zip(out.masks, out.seeds.tolist(), strict=True)}
    assert len(pairs) == 8  # a mask never twice under one seed
    assert out.seeds.min() == 4
    new = propose(runs, "leave-one-out", 2, rng=rng(), candidates=masks.all_subsets(6)[1:9], repeats=False)
    assert (new.seeds == 3).all()
    assert not new.repeats.any()


def coupled(m=12, seeds=(0, 1), values=0.02):
    one = runs_of(m)
    shifts = np.repeat(np.arange(len(seeds)) * 1.0, m)
    tiled = np.tile(one.values[:, 0], len(seeds)) + shifts + values * rng(5).normal(size=m * len(seeds))
    X, label = np.tile(one.masks, (len(seeds), 1)), np.repeat(seeds, m)
    return Evaluations.from_arrays(X, tiled, tasks=NAMES, targets=["loss"], seed=label, notes={"coupled": True})


def test_coupled_seeds_are_those_that_exist():
    runs = coupled(seeds=(7, 9))
    for part in (runs, runs[np.arange(24) != 20]):  # crossed, and not
        out = propose(part, "leave-one-out", 6, rng=rng())
        assert set(out.seeds.tolist()) <= {7, 9}
        done = {(x.tobytes(), s) for x, s in zip(part.masks, part.seed.tolist(), strict=True)}
        asked = [(x.tobytes(), s) for x, s in zip(out.masks, out.seeds.tolist(), strict=True)]
        assert not done & set(asked)
        assert len(set(asked)) == 6
        assert "Seeds are coupled" in " ".join(out.sentences)


def test_one_coupled_seed_gives_each_mask_once():
    runs = coupled(seeds=(4,))
    out = propose(runs, "leave-one-out", 5, rng=rng())
    assert (out.seeds == 4).all()
    assert not out.repeats.any()
    assert "share one seed" in " ".join(out.sentences)
    with pytest.warns(UserWarning, match=r"batch is 5 \(--batch\): only 2 masks are left"):
        few = propose(
            runs, "leave-one-out", 5, rng=rng(), candidates=np.vstack([runs.masks, runs.masks[:1], out.masks[:2]])
        )
    assert len(few) == 2
    assert "only 2 masks are left" in repr(few)
    with pytest.raises(ValueError, match=r"batch is 5 .* no masks are left .* Add a seed"):
        propose(runs, "leave-one-out", 5, rng=rng(), candidates=runs.masks)


def test_costs():
    runs = runs_of()
    dear = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 500.0])
    free = propose(runs, "shapley", 6, rng=rng())
    thrifty = propose(runs, "shapley", 6, rng=rng(), cost=dear)
    assert thrifty.masks[:, 5].mean() < free.masks[:, 5].mean()
    np.testing.assert_allclose(thrifty.cost, thrifty.masks @ dear)
    stated = Evaluations.from_arrays(
        runs.masks, runs.values, tasks=NAMES, targets=["loss"], cost=2.0 + runs.masks @ dear
    )
    known = propose(stated, "shapley", 6, rng=rng())
    np.testing.assert_allclose(known.cost, 2.0 + known.masks @ dear, rtol=1e-6)
    assert propose(runs, "shapley", 2, rng=rng(), cost=lambda X: 1.0 + X[:, 0]).cost.max() <= 2.0
    with pytest.raises(ValueError, match="cost has shape"):
        propose(runs, "shapley", 2, rng=rng(), cost=np.ones(5))
    with pytest.raises(ValueError, match="one cost > 0 for each"):
        propose(runs, "shapley", 2, rng=rng(), cost=lambda X: 0.0 * X[:, 0])


def test_fidelities():
    dear, cheap = runs_of(8, seed=1), runs_of(40, seed=2, noise=0.1)
    X, y = np.vstack([dear.masks, cheap.masks]), np.concatenate([dear.values[:, 0], cheap.values[:, 0] + 1.0])
    word = np.repeat(["retrained", "small"], [8, 40])
    build = lambda cost: Evaluations.from_arrays(X, y, tasks=NAMES, targets=["loss"], fidelity=word, cost=cost)
    out = propose(build(np.repeat([20.0, 1.0], [8, 40])), "leave-one-out", 6, rng=rng(), at="retrained")
    assert set(out.fidelity) <= {"retrained", "small"}
    assert "By gain per cost the batch is of" in " ".join(out.sentences)
    unknown = propose(build(None), "leave-one-out", 3, rng=rng(), at="retrained")
    assert set(unknown.fidelity) == {"retrained"}
    assert "state the cost of runs" in " ".join(unknown.sentences)
    equal = propose(build(np.ones(48)), "leave-one-out", 6, rng=rng(), at="retrained")
    assert equal.fidelity.count("retrained") >= out.fidelity.count("retrained")
    chosen = propose(build(np.ones(48)), "selection", 3, rng=rng(), at="retrained")
    assert set(chosen.fidelity) == {"retrained"}
    for question, how in (("selection", "auto"), ("pairs", "factorial"), ("leave-one-out", "repeats")):
        said = " ".join(propose(build(np.ones(48)), question, 3, rng=rng(), at="retrained", how=how).sentences)
        assert "gain per cost" not in said
        assert "All are retrained." in said


def test_costs_that_are_given_are_those_of_the_fidelity_asked_about():
    X, word = masks.bernoulli(6, 20, rng(), p=0.7), np.repeat(["dear", "small"], 10)
    stated = np.append(np.linspace(5.0, 15.0, 10), np.ones(10))
    runs = Evaluations.from_arrays(X, X @ W, tasks=NAMES, targets=["loss"], fidelity=word, cost=stated)
    arms = Arms(X[:2], np.full(2, -1), np.array(["dear", "small"]))
    hundred = lambda X: np.full(len(X), 100.0)
    np.testing.assert_allclose(costs(arms, runs, hundred, "dear"), [100.0, 10.0])
    np.testing.assert_allclose(costs(arms, runs, hundred, "small"), [1000.0, 100.0])
    unknown = Evaluations.from_arrays(X, X @ W, tasks=NAMES, targets=["loss"], fidelity=word)
    np.testing.assert_allclose(costs(arms, unknown, hundred, "dear"), [100.0, 100.0])
    out = propose(runs, "leave-one-out", 6, rng=rng(), at="dear", cost=hundred)
    np.testing.assert_allclose(out.cost, [{"dear": 100.0, "small": 10.0}[word] for word in out.fidelity])


# ---- is it worth it -------------------------------------------------------------------------------------------


def test_it_stops_where_nothing_is_left():
    X = masks.all_subsets(4)[1:]
    runs = Evaluations.from_arrays(
        np.tile(X, (6, 1)), np.tile(X @ [1.0, 2.0, -1.0, 0.5], 6) + 0.001 * rng().normal(size=90)
    )
    out = propose(runs, "leave-one-out", 4, rng=rng())
    assert not out.worth_it
    assert re.search(r"told apart already: what is unknown of them is 0\.\d+% of their variance, below 1%", repr(out))
    noise = Evaluations.from_arrays(np.tile(X, (20, 1)), rng().normal(size=300))
    out = propose(noise, "leave-one-out", 1, rng=rng())
    assert not out.worth_it
    assert "below the noise" in " ".join(out.sentences)
    assert propose(runs_of(8, noise=0.3), "leave-one-out", 6, rng=rng()).worth_it


def test_it_says_where_leave_one_out_itself_is_the_better_buy():
    """Six masks of ten tasks: what proposed runs would reach is not believed beyond the held-out R^2."""
    rng_ = rng(3)
    game = additive(0, K=10)
    pairs = rng_.normal(size=(10, 10)) * np.triu(np.ones((10, 10)), 1)
    X = np.tile(masks.bernoulli(10, 6, rng_, p=0.85), (2, 1))
    y = X @ rng_.normal(size=10) + 2.0 * np.einsum("mk,ml,kl->m", X, X, pairs) + 0.01 * rng_.normal(size=12)
    runs = Evaluations.from_arrays(X, y, tasks=game.tasks, seed=np.repeat([0, 1], 6))
    out = propose(runs, "leave-one-out", 3, rng=rng(), budget=11)
    assert out.leave_one_out
    assert "1 round of 11 runs, each with its own seed" in " ".join(out.sentences)
    assert "as many proposed runs 0." in " ".join(out.sentences)
    assert not propose(runs, "leave-one-out", 3, rng=rng()).leave_one_out  # no budget for a round
    assert not propose(runs, "shapley", 3, rng=rng(), budget=11).leave_one_out
    assert not propose(runs, "leave-one-out", 3, rng=rng(), budget=11, forbid="source_00").leave_one_out


def test_leave_one_out_is_compared_with_as_many_proposed_runs():
    """Two runs tell less than 10 rounds of 11; 110 proposed runs tell more."""
    generator = rng(1)
    X = masks.bernoulli(10, 24, generator, p=0.8)
    runs = Evaluations.from_arrays(X, X @ generator.normal(size=10) + 0.8 * generator.normal(size=24))
    few, many = (propose(runs, "leave-one-out", n, rng=rng(), budget=110) for n in (2, 110))
    assert (few.leave_one_out, many.leave_one_out) == (False, False)
    with pytest.raises(ValueError, match=r"budget is -1 \(--budget\)"):
        propose(runs, "leave-one-out", 2, rng=rng(), budget=-1)


def test_selection_heeds_its_limits():
    runs = runs_of()
    for how in ("knowledge-gradient", "thompson"):
        out = propose(runs, "selection", 5, rng=rng(), how=how, size=(2, 3), require="en", forbid=["w*"])
        assert np.isin(out.masks.sum(axis=1), (2, 3)).all()
        assert (out.masks[:, 0] == 1).all()
        assert (out.masks[:, 4:] == 0).all()
    out = propose(runs, "selection", 3, rng=rng(), feasible=lambda X: X[:, 1] == 0)
    assert (out.masks[:, 1] == 0).all()
    assert "The best mask so far is predicted better than the mean of the runs by" in out.sentences[0]
    assert "better still by about" in out.sentences[0]
    own = propose(runs, "selection", 3, rng=rng(), candidates=masks.leave_one_out(6))
    assert (own.masks.sum(axis=1) >= 5).all()


@pytest.mark.slow
def test_selection_gains_on_what_is_known():
    """The best subset of a small game is among what is run, sooner than by random masks."""
    game = polynomial({(0,): 1.0, (1,): -1.0, (2, 3): 1.5, (2,): -0.4, (4,): 0.2}, K=6, noise=0.1)
    best = game(masks.all_subsets(6)).max()
    regrets = []
    for seed in range(8):
        generator = rng(seed)
        campaign = Campaign(game.tasks, "selection", rng=generator, higher_is_better=True, start=8)
        for n in (8, 4, 4):
            found = campaign.ask(n)
            campaign.tell(found.masks, game.evaluate(found.masks, np.full(n, seed)))
        model = fit(campaign.runs)
        every = masks.all_subsets(6)[1:]
        chosen = every[[model.best(model.players.columns(every))]]
        regrets.append(best - game(chosen)[0, 0])
    assert np.mean(regrets) < 0.3


def test_factorial():
    out = propose(runs_of(), "pairs", 1, rng=rng(), how="factorial", incumbent=np.ones(6))
    assert out.masks.shape == (18, 6)
    assert (out.masks[0] == 1).all()
    assert (out.masks[-1] == 1).all()
    assert "16 masks around the incumbent, 18 runs, the incumbent 3 times among them: no pair is confounded" in repr(
        out
    )
    assert "run whole, whatever batch is" in repr(out)
    few = propose(runs_of(), "pairs", 1, rng=rng(), how="factorial", among=["en", "de"], incumbent=[1, 1, 0, 1, 0, 1])
    assert len(few) == 6
    assert (few.masks[:, 2] == 0).all()
    one = propose(coupled(seeds=(4,)), "pairs", 1, rng=rng(), how="factorial", among=NAMES[:5])
    assert not one.repeats.any()
    assert "left out" in " ".join(one.sentences)
    for among in (["en"], list(NAMES)):
        with pytest.raises(ValueError, match="a factorial switches 2 to 5"):
            propose(runs_of(), "pairs", 1, rng=rng(), how="factorial", among=among)


def test_candidates_in_every_form(tmp_path):
    runs, own = runs_of(), masks.leave_one_out(6)[1:4]
    frame = pd.DataFrame(own, columns=NAMES).assign(name=["x", "y", "z"])
    frame.to_csv(tmp_path / "own.csv", index=False)
    for given in (own, frame, tmp_path / "own.csv", Points(("x", "y", "z"), own, pd.DataFrame(index=range(3)))):
        out = propose(runs, "leave-one-out", 4, rng=rng(), candidates=given)
        assert {x.tobytes() for x in out.masks} <= {x.tobytes() for x in own}


def test_many_tasks():
    generator = rng()
    X = masks.bernoulli(50, 30, generator, p=0.9)
    runs = Evaluations.from_arrays(X, X @ generator.normal(size=50) + generator.normal(size=30))
    for question in ("pairs", "banzhaf", "leave-one-out"):
        out = propose(runs, question, 3, rng=generator, surrogate="rbf")
        assert len(out) == 3


def test_a_source_that_came_with_a_new_file_is_left_out_in_half_of_the_next_runs():
    old, new = runs_of(30), runs_of(10, seed=1)
    old = Evaluations.from_arrays(old.masks[:, :5], old.values, tasks=NAMES[:5], targets=["loss"])
    held = np.hstack([new.masks[:, :5], np.ones((10, 1))])
    new = Evaluations.from_arrays(held, new.values, tasks=NAMES, targets=["loss"])
    both = join({"old": old, "new": new}, missing_tasks="off")
    out = propose(both, "leave-one-out", 5, rng=rng())
    assert (out.masks[:, 5] == 0).sum() >= 3
    assert out.worth_it
    assert "wiki so far switches with the file that runs come from alone: " in repr(out)
    assert "told apart already" not in repr(out)
    ran = Evaluations.from_arrays(out.masks, np.ones(5), tasks=NAMES, targets=["loss"])
    again = propose(join({"old": old, "new": new + ran}, missing_tasks="off"), "leave-one-out", 5, rng=rng())
    assert "so far switches" not in repr(again)
