"""Ask and tell: from nothing on, in any order, with failures, from a file; what is refused before a run is paid for."""

import numpy as np
import pandas as pd
import pytest

from interplay import Evaluations, masks, readings
from interplay.active import Campaign
from interplay.active.beliefs import Arms
from interplay.fitting import fit
from interplay.problems.games import additive
from tests.test_active_proposals import GROUPS, NAMES, W, rng


@pytest.mark.slow
def test_ask_and_tell_beats_random_masks():
    """Leave-one-out of a game with noise, from 24 runs: those that were proposed, and random near-full masks."""
    ours, theirs = [], []
    for seed in range(6):
        game = additive(seed, K=12, signal_to_noise=2.0)
        truth = game.effects("leave-one-out")[:, 0]

        def error(runs, truth=truth):
            found, effects = fit(runs, "ridge"), np.zeros(12)
            mean = -readings.leave_one_out(found.choices[0][1].surrogate).mean[:, 0]
            for p, members in enumerate(found.players.members):
                effects[list(members)] = mean[p] / len(members)
            return float(np.sqrt(np.mean((effects - truth) ** 2)) / truth.std())

        campaign = Campaign(game.tasks, rng=rng(seed), targets="loss", start=8, surrogate="ridge")
        for step in range(3):
            out = campaign.ask(8)
            campaign.tell(out.masks, game.evaluate(out.masks, np.arange(8) + 8 * step)[:, 0])
        X = masks.design(12, 24, "leave-one-out", rng(seed))
        values = game.evaluate(X, np.arange(24))[:, 0]
        ours.append(error(campaign.runs))
        theirs.append(error(Evaluations.from_arrays(X, values, tasks=game.tasks, targets="loss")))
    assert np.mean(ours) < np.mean(theirs), (ours, theirs)


def test_a_campaign_from_nothing():
    campaign = Campaign(NAMES, "shapley", rng=rng(), targets="loss", coupled=True)
    first = campaign.ask(5)
    assert first.how == "design"
    assert (first.seeds == 0).all()
    assert "nothing is fitted before" in repr(first)
    second = campaign.ask(5)
    assert not {x.tobytes() for x in first.masks} & {x.tobytes() for x in second.masks}
    assert len(campaign.pending) == 10
    with pytest.raises(ValueError, match="10 runs are pending"):
        campaign.tell(np.zeros(5))
    campaign.tell(2.0 - campaign.pending.weights @ W)
    assert len(campaign.pending) == 0
    assert campaign.runs.notes["coupled"] is True
    third, fourth = campaign.ask(3), campaign.ask(3)
    assert third.how == "variance"
    assert (third.seeds == 0).all()
    assert not {x.tobytes() for x in third.masks} & {x.tobytes() for x in fourth.masks}
    assert fourth.before < third.before  # what is under way counts as done
    campaign.tell(third.masks, 2.0 - third.masks @ W, seed=0)
    assert len(campaign.pending) == 3
    campaign.tell(campaign.runs[:1])
    assert len(campaign.runs) == 14


def test_campaigns_of_other_kinds():
    moving = Campaign(NAMES, "mixture", rng=rng(), targets="loss")
    start = moving.ask(10)
    np.testing.assert_allclose(start.masks.sum(axis=1), 1.0)
    moving.tell(start.masks, np.exp(-start.masks @ W))
    assert moving.ask(3).how == "variance"
    grouped = Campaign(NAMES, "groups", rng=rng(), groups=GROUPS, size=(4, 6))
    start = grouped.ask(9)
    assert (start.masks.sum(axis=1) >= 4).all()
    grouped.tell(start.masks, start.masks @ W)
    assert grouped.ask(2).question == "groups"
    assert "often the better buy" in repr(Campaign(NAMES, rng=rng()).ask(20))
    with pytest.raises(ValueError, match="question is 'x'"):
        Campaign(NAMES, "x", rng=rng())
    with pytest.raises(ValueError, match="kind is 'weights'"):
        Campaign(NAMES, kind="weights", rng=rng())
    with pytest.raises(ValueError, match="start is 2"):
        Campaign(NAMES, start=2, rng=rng())
    with pytest.raises(ValueError, match="n is 0"):
        Campaign(NAMES, rng=rng()).ask(0)
    with pytest.raises(TypeError, match="tasks is the text"):
        Campaign("abc", rng=rng())
    tiny = Campaign(["a", "b"], rng=rng(), start=5)
    tiny.ask(3)
    with pytest.raises(ValueError, match="no mask is left to start from"):
        tiny.ask(3)


def test_what_is_told_is_done_as_it_was_asked_for():
    full, one = np.ones((2, 6)), np.ones((1, 6))

    def left(seeds, words, told, **how):
        campaign = Campaign(NAMES, rng=rng(), targets="loss")
        campaign.pending = Arms(full[: len(seeds)], np.array(seeds), np.array(words))
        campaign.tell(told, 1.0 + np.arange(len(told)), **how)
        return list(zip(campaign.pending.seed.tolist(), campaign.pending.fidelity.tolist(), strict=True))

    both = ["retrained", "estimated"]
    assert left([0, 1], ["retrained"] * 2, one, seed=1) == [(0, "retrained")]
    assert left([0, 1], ["retrained"] * 2, one, seed=2) == [(0, "retrained"), (1, "retrained")]
    assert left([0, 1], ["retrained"] * 2, one) == [(1, "retrained")]  # a seed that is not stated
    assert left([-1, -1], both, one, fidelity="estimated") == [(-1, "retrained")]
    assert left([-1, -1], both, one, seed=3, fidelity="estimated") == [(-1, "retrained")]
    assert left([-1, -1], both, full, fidelity=both[::-1]) == []
    assert left([-1], ["estimated"], full, fidelity=both) == []
    assert left([0], ["retrained"], one, seed=0, fidelity="small") == []  # a start does not know its name
    assert left([0], ["retrained"], 1.0 - np.eye(6)[:1], seed=0) == [(0, "retrained")]


def test_a_start_is_of_the_candidates():
    own = masks.leave_one_out(6)
    for question in ("leave-one-out", "shapley", "selection"):
        campaign = Campaign(NAMES, question, rng=rng(), targets="loss", candidates=np.vstack([own, own]))
        first, second = campaign.ask(4), campaign.ask(4)  # seven there are
        both = np.vstack([first.masks, second.masks])
        assert {x.tobytes() for x in both} == {x.tobytes() for x in own}
        assert len(both) == 7
        with pytest.raises(ValueError, match="no mask is left to start from; tell more"):
            campaign.ask(1)
        campaign.tell(2.0 - both @ W)
        assert {x.tobytes() for x in campaign.ask(2).masks} <= {x.tobytes() for x in own}
    pool = rng().dirichlet(np.ones(6), 30)
    start = Campaign(NAMES, "mixture", rng=rng(), candidates=pd.DataFrame(pool, columns=NAMES)).ask(8)
    assert {x.tobytes() for x in start.masks} <= {x.tobytes() for x in pool}
    limited = Campaign(NAMES, rng=rng(), candidates=own, forbid="wiki")
    assert limited.ask(3).masks.tolist() == [[1, 1, 1, 1, 1, 0]]
    with pytest.raises(ValueError, match="candidates have shape"):
        Campaign(NAMES, rng=rng(), candidates=own[:, :5])


SMALL = {
    "three tasks": (NAMES[:3], {}, 7),
    "pairs of four": (NAMES[:4], {"size": 2}, 6),
    "nearly all of six": (NAMES, {"size": (5, 6)}, 7),
}


@pytest.mark.parametrize("case", SMALL)
def test_a_start_that_is_exhausted_leads_on(case):
    tasks, how, n = SMALL[case]
    campaign = Campaign(tasks, rng=rng(), targets="loss", **how)
    first = campaign.ask(8)
    assert len(first) == n
    assert f"n is 8, and only {n} masks are left to start from" in first.sentences[0]
    with pytest.raises(ValueError, match="a fit needs 5 runs that differ and have a value, and 0 were told"):
        campaign.ask(1)
    campaign.tell(2.0 - first.masks @ W[: len(tasks)] + 0.1 * rng(1).normal(size=n))
    assert campaign.ask(2).how == "variance"


MISTAKES = {
    "no groups": ({"question": "groups"}, "needs the groups"),
    "group": ({"question": "groups", "groups": {"a": ["enn"]}}, "no task .* is called 'enn'"),
    "argument": ({"requre": "en"}, "no argument of Campaign is called 'requre'. .*'require'"),
    "surrogate": ({"surrogate": "xyz"}, "surrogate='xyz' .*choose 'auto'"),
    "ridge": ({"question": "pairs", "surrogate": "ridge"}, "it has no pairs"),
    "how": ({"question": "selection", "how": "thomson"}, "how is 'thomson' .*choose one of"),
    "how here": ({"how": "thompson"}, "not for leave-one-out of masks"),
    "target": ({"targets": "loss", "target": "lss"}, "no target is called 'lss'"),
    "cost": ({"cost": np.ones(3)}, r"cost has shape \(3,\)"),
    "mixtures": ({"kind": "mixture"}, "'leave-one-out' .*asked of masks, and the runs are mixtures"),
    "masks": ({"question": "mixture", "kind": "mask"}, "'mixture' .*asked of mixtures, and the runs are masks"),
    "among": ({"among": ["en", "de"]}, "among= .* is for a factorial"),
    "reference": ({"question": "mixture", "reference": np.ones(6)}, "reference sums to 6"),
    "budget": ({"budget": -1}, "budget is -1"),
    "size": ({"size": "a"}, "size is 'a'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_campaign_refuses_at_once_what_it_would_refuse_later(case):
    how, words = MISTAKES[case]
    with pytest.raises((ValueError, TypeError), match=words):
        Campaign(NAMES, rng=rng(), **how)


@pytest.mark.parametrize("how", [{"coupled": True}, {"repeats": False}])
def test_runs_that_failed(how):
    campaign = Campaign(NAMES, rng=rng(), targets="loss", candidates=masks.all_subsets(6)[1:], **how)
    start = campaign.ask(10)
    values = 2.0 - start.masks @ W
    values[4] = np.nan
    campaign.tell(values)
    assert len(campaign.pending) == 0
    again = campaign.ask(54)  # of 63 masks all that have no value
    assert (again.masks == start.masks[4]).all(axis=1).any()
    assert not again.repeats.any()
    campaign.forget(again.masks[:50])
    assert len(campaign.pending) == 4
    campaign.forget()
    assert len(campaign.pending) == 0
    with pytest.raises(ValueError, match="masks: row 0 is not pending"):
        campaign.forget(start.masks[:1])
    assert {x.tobytes() for x in campaign.ask(54).masks} == {x.tobytes() for x in again.masks}


def test_a_start_asks_again_for_what_failed_once_nothing_else_is_left():
    campaign = Campaign(NAMES[:3], rng=rng(), targets="loss")
    first = campaign.ask(7)
    values = 2.0 - first.masks @ W[:3]
    values[3:] = np.nan
    campaign.tell(values)
    second = campaign.ask(7)
    assert {x.tobytes() for x in second.masks} == {x.tobytes() for x in first.masks[3:]}
    campaign.tell(2.0 - second.masks @ W[:3])
    assert campaign.ask(1).how == "variance"


def test_answers_in_any_order_keep_the_seeds_that_were_asked_for():
    campaign = Campaign(NAMES, rng=rng(), targets="loss", coupled=True)
    proposal = campaign.ask(10)
    campaign.tell(proposal.masks[[3]], 2.0 - proposal.masks[[3]] @ W)
    campaign.tell(proposal.masks[7], 2.0 - proposal.masks[7] @ W)
    campaign.tell(2.0 - campaign.pending.weights @ W)
    assert campaign.runs.seed.tolist() == [0] * 10
    assert (campaign.ask(4).seeds == 0).all()
    with pytest.raises(ValueError, match=r"masks: row 0 is not pending, .* state the one that it was run under, seed="):
        campaign.tell(proposal.masks[[3]], [1.0])
    with pytest.raises(ValueError, match="one column for each of the 6 tasks"):
        campaign.tell(np.ones((1, 5)), [1.0])
    assert campaign.tell(proposal.masks[[3]], [1.0], seed=2).seed[-1] == 2


def test_a_fidelity_that_was_asked_for_is_told_without_saying_so():
    campaign = Campaign(NAMES, rng=rng(), targets="loss")
    campaign.pending = Arms(np.ones((2, 6)), np.array([-1, -1]), np.array(["large", "small"]))
    assert campaign.tell(np.ones((1, 6)), [1.0], fidelity="small").fidelity.tolist() == ["small"]
    assert campaign.tell(np.ones((1, 6)), [1.0]).fidelity.tolist() == ["small", "large"]
    assert len(campaign.pending) == 0


def test_a_campaign_goes_on_from_a_file(tmp_path):
    campaign = Campaign(NAMES, rng=rng(), targets="loss", coupled=True)
    proposal = campaign.ask(10)
    campaign.tell(2.0 - proposal.masks @ W).write(tmp_path / "runs.parquet")
    for coupled in (True, None):
        later = Campaign(NAMES, rng=rng(), coupled=coupled)
        later.tell(Evaluations.read(tmp_path / "runs.parquet"))
        out = later.ask(2)
        later.tell(2.0 - out.masks @ W)
        assert later.runs.seed.tolist() == [0] * 12
        assert later.runs.notes["coupled"] is True
        assert later.runs.targets == ("loss",)
    told = Evaluations.from_arrays(proposal.masks, proposal.masks @ W, tasks=NAMES, targets=["loss"], seed=0)
    later = Campaign(NAMES, rng=rng(), coupled=True)
    assert later.tell(told).notes["coupled"] is True
