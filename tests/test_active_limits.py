"""Which runs may be proposed: limits in every way of choosing, masks that are left, runs without a value."""

from dataclasses import replace

import numpy as np
import pytest

from interplay import Evaluations, masks
from interplay.active import propose
from tests.test_active_proposals import NAMES, mixtures, rng, runs_of


def test_factorials_heed_what_may_be_run():
    ask = lambda **how: propose(runs_of(), "pairs", 1, rng=rng(), how="factorial", **how)
    out = ask(forbid="en", require="wiki")
    assert (out.masks[:, 0] == 0).all()
    assert (out.masks[:, 5] == 1).all()
    assert len(np.unique(out.masks, axis=0)) == 16
    once = ask(repeats=False)
    assert len(np.unique(once.masks, axis=0)) == len(once)
    assert not {x.tobytes() for x in once.masks} & {x.tobytes() for x in runs_of().masks}
    with pytest.raises(ValueError, match=r"task 'en' is in among= \(--among\), .* require= or forbid="):
        ask(forbid="en", among=["en", "de", "web"])
    rules = {"size": (5, 6), "feasible": lambda X: X[:, 0] == 1, "candidates": masks.leave_one_out(6)}
    for name, rule in rules.items():
        with pytest.raises(ValueError, match=f"runs of this factorial do not meet .*{name}="):
            ask(**{name: rule})
    with pytest.raises(ValueError, match="runs that may be done switch 1 task; a factorial switches 2 to 5"):
        ask(forbid=list(NAMES[:5]))


def test_repeats_heed_what_may_be_run():
    ask = lambda **how: propose(runs_of(), "leave-one-out", 20, rng=rng(), how="repeats", **how)
    assert (ask(forbid="en").masks[:, 0] == 0).all()
    assert (ask(require="wiki", size=(4, 5)).masks.sum(axis=1) <= 5).all()
    assert (ask(feasible=lambda X: X[:, 1] == 0).masks[:, 1] == 0).all()
    assert ask(candidates=runs_of().masks[:1]).masks.tolist() == runs_of().masks[:1].tolist()
    with pytest.raises(ValueError, match="no mask that was run meets size="):
        ask(candidates=np.eye(6)[:1])
    with pytest.raises(ValueError, match=r"repeats=False \(--no-repeats\) rules out all that how='repeats'"):
        ask(repeats=False)


def test_d_optimal_proposes_no_run_twice_where_repeats_are_ruled_out():
    runs = mixtures(10)
    out = propose(runs, "mixture", 4, rng=rng(), how="d-optimal", candidates=runs.masks)
    assert out.repeats.all()
    own = np.vstack([runs.masks, mixtures(2, seed=1).masks])
    out = propose(runs, "mixture", 4, rng=rng(), how="d-optimal", candidates=own, repeats=False)
    assert {x.tobytes() for x in out.masks} == {x.tobytes() for x in own[-2:]}
    with pytest.raises(ValueError, match="no mixture is left that may be run"):
        propose(runs, "mixture", 4, rng=rng(), how="d-optimal", candidates=runs.masks, repeats=False)


def test_a_batch_is_filled_from_all_masks_that_are_left():
    runs = runs_of()
    left = 63 - len(np.unique(runs.masks, axis=0))
    for question in ("leave-one-out", "selection"):
        out = propose(runs, question, left - 1, rng=rng(), repeats=False)
        assert len(np.unique(out.masks, axis=0)) == left - 1
        assert not out.repeats.any()
        with pytest.warns(UserWarning, match=f"only {left} masks are left to run; all of them are proposed"):
            assert len(propose(runs, question, 70, rng=rng(), repeats=False)) == left
    X = masks.bernoulli(12, 14, rng(), p=0.9)
    many = Evaluations.from_arrays(X, X @ rng().normal(size=12))
    with pytest.warns(UserWarning, match="masks are left of those that tell something of this question"):
        propose(many, "leave-one-out", 1500, rng=rng(), repeats=False)


def test_a_run_without_a_value_is_not_done():
    runs = runs_of(20, seed=4)
    different = Evaluations.from_arrays(
        np.unique(runs.masks, axis=0)[:10], np.arange(10.0), tasks=NAMES, targets=["loss"], seed=0
    )
    values = different.values.copy()
    values[3] = np.nan
    for notes, repeats in (({"coupled": True}, True), ({}, False)):
        failed = replace(different, values=values, notes=notes)
        own = different.masks[[2, 3, 4]]
        out = propose(failed, "leave-one-out", 1, rng=rng(), candidates=own, repeats=repeats)
        assert out.masks.tolist() == [own[1].tolist()]
        assert not out.repeats.any()
    few = replace(different, values=np.where(np.arange(10)[:, None] < 4, different.values, np.nan))
    with pytest.raises(ValueError, match="runs hold 4 runs with a value of loss; leave-one-out needs at least 5"):
        propose(few, rng=rng())


# ---- repeats of runs


@pytest.mark.parametrize(("seed", "under"), [(None, [-1] * 4), (np.full(16, 3), [4] * 4)])
def test_repeats_are_runs_once_more_under_another_seed(seed, under):
    runs = runs_of()
    if seed is not None:
        runs = replace(runs, seed=seed, notes={"coupled": True})
    found = propose(runs, "shapley", 4, how="repeats", rng=rng())
    done = {row.tobytes() for row in runs.masks}
    assert len({row.tobytes() for row in found.masks} & done) == 4
    assert found.seeds.tolist() == under
    assert found.repeats.all()
    assert np.isnan(found.gain).all()
    assert found.how == "repeats"
    assert found.sentences[0] == "4 masks that were run, once more: they tell how much reproduces."


def test_repeats_take_first_what_was_run_least():
    runs = runs_of(m=8, seed=2)
    distinct = len(np.unique(runs.masks, axis=0))
    again = Evaluations.from_arrays(
        np.vstack([runs.masks, runs.masks[:3]]), np.append(runs.values[:, 0], runs.values[:3, 0]), tasks=NAMES
    )
    twice = {row.tobytes() for row in runs.masks[:3]}
    found = propose(again, "leave-one-out", distinct - len(twice), how="repeats", rng=rng())
    assert not {row.tobytes() for row in found.masks} & twice
    every = propose(again, "leave-one-out", 50, how="repeats", rng=rng())
    assert len(every) == distinct
    assert f"batch is 50 (--batch): {distinct} different runs are there; each is proposed once." in every.warnings


def test_mixtures_are_repeated_too():
    runs = mixtures()
    found = propose(runs, "mixture", 3, how="repeats", rng=rng())
    assert all((runs.masks == row).all(axis=1).any() for row in found.masks)
    assert found.sentences[0].startswith("3 mixtures that were run, once more")
