"""What a proposal is made of: the runs, what is believed of them, what is asked and what may be run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..evaluations import Evaluations, EvaluationsError
from ..fitting import Design
from ..predictor import Predictor
from . import words
from .beliefs import Arms, Belief
from .candidates import Region, candidates
from .costs import Cost, costs
from .proposal import Proposal
from .questions import Asked
from .runnable import Runnable, is_coupled, seeded

Array = NDArray[np.float64]
HELD = 3e7  # numbers that are kept in memory for the rows of all candidates in all fits
MOST, FEWEST = 1200, 150  # candidates


@dataclass(frozen=True, eq=False)
class Situation:
    """What a proposal is made of."""

    runs: Evaluations
    design: Design
    predictor: Predictor
    asked: Asked
    region: Region
    beliefs: list[Belief]
    fidelities: tuple[str, ...]
    pending: Arms
    cost: Cost | None
    repeats: bool
    rng: np.random.Generator
    hedged: bool

    @property
    def moving(self) -> int:
        """Targets that change and are asked about."""
        return int(self.predictor.asked.sum())


def proposal(
    here: Situation, arms: Arms, gain: Array, ends: Array, unit: str, how: str, said: Sequence[str] = (), left: int = 0
) -> Proposal:
    """A proposal of these arms, before it is judged; ``left`` of a design were left out."""
    given_runs = here.design.given
    seeds, again = seeded(arms, given_runs)
    asked_of = here.asked
    out = Proposal(
        masks=arms.weights,
        tasks=here.runs.tasks,
        question=asked_of.name,
        words=asked_of.words,
        kind=here.runs.kind,
        seeds=seeds,
        fidelity=tuple(arms.fidelity.tolist()),
        repeats=again,
        gain=gain,
        cost=costs(arms, given_runs, here.cost, here.design.at) if len(arms) else np.zeros(0),
        before=float(ends[0]),
        after=float(ends[1]),
        unit=unit,
        worth_it=True,
        leave_one_out=False,
        how=how,
    )
    weighed = how == "variance" and len(here.fidelities) > 1
    told = [*words.of_design(out, left), *words.of_runs(out, here.design, here.predictor, weighed)]
    links = words.of_links(here.predictor) if np.isfinite(gain).any() else []
    noted = [*here.predictor.warnings, *said, *links]
    return replace(out, sentences=tuple(told), warnings=tuple(dict.fromkeys(noted)))


def pool(here: Situation) -> Array:
    """Masks or mixtures that can tell something of the question, as many as memory allows."""
    seeds = 4 if here.design.seeds is not None else 1
    most = HELD / max(sum(len(b.X) for b in here.beliefs), 1) / (seeds * len(here.fidelities))
    return candidates(
        here.asked, here.runs.kind, here.runs.masks, here.region, int(np.clip(most, FEWEST, MOST)), here.rng
    )


def short(found: Runnable, batch: int) -> bool:
    """Whether fewer runs may be picked than are asked for."""
    return not found.again and int(found.open.sum()) < batch


def with_pending(
    here: Situation, found: Runnable, batch: int, every: bool
) -> tuple[Arms, NDArray[np.bool_], list[str]]:
    """All arms, those under way at the end; which may be picked; a warning where they are too few, if ``every`` one."""
    left = int(found.open.sum())
    what = "masks" if here.runs.kind == "mask" else "mixtures"
    if not left:
        why = " of those that may be run" if len(found.arms) else ": no candidate meets the conditions"
        coupled = is_coupled(here.design.given) or not here.repeats
        remedy = "Add a seed, give other candidates, or stop." if coupled else "Give other candidates= or conditions."
        raise EvaluationsError(f"batch is {batch} (--batch), and no {what} are left{why}. {remedy}")
    said = []
    if short(found, batch):
        of = "to run" if every else "of those that tell something of this question"
        said.append(f"batch is {batch} (--batch): only {left} {what} are left {of}; all of them are proposed.")
        warnings.warn(said[0], UserWarning, stacklevel=4)
    closed = np.zeros(len(here.pending), bool)
    return found.arms + here.pending, np.append(found.open, closed), said
