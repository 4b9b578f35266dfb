"""Runs that need no posterior to be chosen: a factorial around an incumbent, a D-optimal start, repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import EvaluationsError
from ..fields import match
from . import words
from .beliefs import Arms
from .candidates import among_rows
from .designs import SWITCHED, d_optimal, factorial, repeats
from .gains import Gains
from .proposal import Proposal
from .requests import starting_point
from .runnable import Runnable
from .situation import Situation, pool, proposal

Array = NDArray[np.float64]


def by_design(here: Situation, X: Array, how: str) -> Proposal:
    """A design in its own order, with what it brings as far as the question has functionals."""
    found = Runnable.of(X, here.design.given, [here.fidelities[0]], here.repeats, here.pending, single=True)
    seen: set[bytes] = set()
    keep = []
    for i, x in enumerate(X):  # under one coupled seed a repeat is the same number again
        twice = x.tobytes() in seen or not found.open[i]
        seen.add(x.tobytes())
        keep.append(found.again or not twice)
    arms = found.arms[np.array(keep, bool)]
    if not len(arms):
        raise EvaluationsError(f"all {len(X)} runs of this design were run: nothing is left of it. Ask for another.")
    gain, ends, (unit, scale) = np.full(len(arms), np.nan), np.full(2, np.nan), words.unit(here.predictor)
    if here.asked.functional is not None:
        gains = Gains(here.beliefs, here.asked.functional, arms)
        before = float(gains.variance.mean())
        gain = np.array([gains.take(j) for j in range(len(arms))]) / max(before, 1e-300)
        ends = scale * np.sqrt(np.array([before, max(before * (1.0 - gain.sum()), 0.0)]) / here.moving)
    return proposal(here, arms, gain, ends, unit, how, left=len(X) - len(arms))


def again(here: Situation, own: Array | None, batch: int) -> Proposal:
    """Masks that were run and may be run, under another seed; runs under way count as done."""
    word = here.fidelities[0]
    there, under = here.design.given.where(fidelity=word), here.pending[here.pending.fidelity == word]
    X = np.vstack([there.masks, under.weights])
    X = X[_allowed(here, X, own)]
    if not len(X):
        raise EvaluationsError(
            f"how is 'repeats' (--how), and no {here.runs.kind} that was run meets size=, require=, forbid=, "
            "feasible= and candidates=; loosen them."
        )
    X = repeats(X, batch, here.rng)
    arms = Arms(X, np.full(len(X), -1), np.full(len(X), word))
    short = [f"batch is {batch} (--batch): {len(X)} different runs are there; each is proposed once."]
    nothing, (unit, _) = np.full(len(X), np.nan), words.unit(here.predictor)
    return proposal(here, arms, nothing, np.full(2, np.nan), unit, "repeats", short * (len(X) < batch))


def around(here: Situation, own: Array | None, among: str | Sequence[str] | None, incumbent: ArrayLike | None) -> Array:
    """A factorial of the tasks that matter most, or are named, between two runs of an incumbent, array (n, K).

    Required and forbidden tasks are not switched.

    Raises
    ------
    EvaluationsError
        Where fewer than two tasks, or more than five, would be switched, or some mask of it may not be run.
    """
    runs, region = here.runs, here.region
    held = region.required | region.forbidden
    if incumbent is None:
        near = runs.masks.mean() >= 0.7
        start = np.ones(runs.K) if near else runs.masks[here.predictor.best(here.design.X)].copy()
        start[region.required], start[region.forbidden] = 1.0, 0.0
    else:
        start = starting_point(incumbent, "mask", runs.K, "incumbent")
    if among is None:
        size = np.abs(words.stated(here.design, here.predictor, "leave-one-out")).mean(axis=1)
        columns = here.design.players.first[np.argsort(-size, kind="stable")]
        columns = np.sort(columns[~held[columns]][:SWITCHED])
    else:
        columns = np.array([runs.tasks.index(t) for t in match(among, runs.tasks, "task (among=, --among)")])
        if held[columns].any():
            raise EvaluationsError(
                f"task {runs.tasks[columns[held[columns]][0]]!r} is in among= (--among), which switches it, and in "
                "require= or forbid=; take it out of one."
            )
    if not 2 <= len(columns) <= SWITCHED:
        names = "runs that may be done switch" if among is None else "among (--among) names"
        raise EvaluationsError(
            f"{names} {len(columns)} task{'s' * (len(columns) != 1)}; a factorial switches 2 to {SWITCHED}: name the "
            "ones that matter most."
        )
    X = np.vstack([start, factorial(start, columns), start])
    if bad := int((~_allowed(here, X, own) & X.any(axis=1)).sum()):
        raise EvaluationsError(
            f"{bad} of the {len(X)} runs of this factorial do not meet size=, require=, forbid=, feasible= or "
            "candidates=; leave these out, or name other tasks with among= (--among)."
        )
    return X


def _allowed(here: Situation, X: Array, own: Array | None) -> NDArray[np.bool_]:
    """Which rows (n, K) may be run, array (n,)."""
    ok = here.region.holds(X)
    return ok if own is None else ok & among_rows(X, own)


def start(here: Situation, own: Array | None, batch: int) -> Array:
    """Masks or mixtures (batch, K) that tell most of a linear model, beside those that were run."""
    X = pool(here) if own is None else own
    found = Runnable.of(X, here.design.given, [here.fidelities[0]], here.repeats, here.pending, single=True)
    X = found.arms.weights[found.open]
    if not len(X):
        raise EvaluationsError(f"batch is {batch} (--batch), and no {here.runs.kind} is left that may be run.")
    features = "raw" if here.runs.kind == "mask" else "log"
    done = np.vstack([here.runs.masks, here.pending.weights])
    return d_optimal(X, batch, here.rng, features=features, given=done)
