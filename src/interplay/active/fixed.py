"""Runs that need no posterior to be chosen: a factorial around an incumbent, a D-optimal start, repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import EvaluationsError
from ..fields import match
from . import words
from .beliefs import Arms
from .designs import SWITCHED, d_optimal, factorial, repeats
from .gains import Gains
from .proposal import Proposal
from .requests import starting_point
from .runnable import Runnable
from .situation import Situation, pool, proposal

Array = NDArray[np.float64]


def by_design(here: Situation, X: Array, how: str) -> Proposal:
    """A design in its own order, with what it brings as far as the question has functionals."""
    found = Runnable.of(X, here.design.given, [here.fidelities[0]], True, here.pending, single=True)
    seen: set[bytes] = set()
    keep = []
    for i, x in enumerate(X):  # under one coupled seed a repeat is the same number again
        twice = x.tobytes() in seen or not found.open[i]
        seen.add(x.tobytes())
        keep.append(found.again or not twice)
    arms = found.arms[np.array(keep)]
    gain, ends, (unit, scale) = np.full(len(arms), np.nan), np.full(2, np.nan), words.unit(here.predictor)
    if here.asked.functional is not None and len(arms):
        gains = Gains(here.beliefs, here.asked.functional, arms)
        before = float(gains.variance.mean())
        gain = np.array([gains.take(j) for j in range(len(arms))]) / max(before, 1e-300)
        ends = scale * np.sqrt(np.array([before, max(before * (1.0 - gain.sum()), 0.0)]) / here.moving)
    return proposal(here, arms, gain, ends, unit, how, left=len(X) - len(arms))


def again(here: Situation, batch: int) -> Proposal:
    """Masks that were run, under another seed; runs under way count as done."""
    word = here.fidelities[0]
    there, under = here.design.given.where(fidelity=word), here.pending[here.pending.fidelity == word]
    X = repeats(np.vstack([there.masks, under.weights]), batch, here.rng)
    arms = Arms(X, np.full(len(X), -1), np.full(len(X), word))
    short = [f"batch is {batch} (--batch): {len(X)} different runs are there; each is proposed once."]
    nothing, (unit, _) = np.full(len(X), np.nan), words.unit(here.predictor)
    return proposal(here, arms, nothing, np.full(2, np.nan), unit, "repeats", short * (len(X) < batch))


def around(here: Situation, among: str | Sequence[str] | None, incumbent: ArrayLike | None) -> Array:
    """A factorial of the tasks that matter most, or that are named, around an incumbent that is run twice, (n, K)."""
    runs = here.runs
    if incumbent is None:
        near = runs.masks.mean() >= 0.7
        start = np.ones(runs.K) if near else runs.masks[here.predictor.best(here.design.X)]
    else:
        start = starting_point(incumbent, "mask", runs.K, "incumbent")
    if among is None:
        size = np.abs(words.stated(here.design, here.predictor, "leave-one-out")).mean(axis=1)
        order = np.argsort(-size, kind="stable")[:SWITCHED]
        columns = np.sort(here.design.players.first[order])
    else:
        columns = np.array([runs.tasks.index(t) for t in match(among, runs.tasks, "task (among=, --among)")])
    if not 2 <= len(columns) <= SWITCHED:
        raise EvaluationsError(
            f"among names {len(columns)} tasks (--among); a factorial switches 2 to {SWITCHED}: name the ones that "
            "matter most."
        )
    return np.vstack([start, factorial(start, columns), start])


def start(here: Situation, own: Array | None, batch: int) -> Array:
    """Masks or mixtures (batch, K) that tell most of a linear model, beside those that were run."""
    X = pool(here) if own is None else own
    features = "raw" if here.runs.kind == "mask" else "log"
    return d_optimal(X, batch, here.rng, features=features, given=here.runs.masks)
