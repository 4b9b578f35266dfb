"""Choices proven by training: `verify` runs the most promising, refits, and goes on until the best is certain.

propose   the choice with the best prediction of those not run yet (no risk taken off: a bad one costs one training);
          of a front, where there is no best, the choice and then members that lie as far apart as can be
train     it, and first of all the baseline, under the seeds of the runs
refit     with what came out; choose among what was run, with risk
stop      when the budget is spent, or the choice is certain to be better than the baseline and no other is predicted
          to be better than it by more than the noise of a training (of several targets: on any)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..campaign import EvaluationsFailed, evaluate
from ..evaluations import Evaluations, EvaluationsError
from ..predictor import Z
from . import result
from .choose import select
from .result import Selection
from .simplex import alike

if TYPE_CHECKING:
    from ..evaluators import Evaluator
    from ..store import Store

Array = NDArray[np.float64]


def verify(
    runs: Evaluations,
    evaluator: Evaluator,
    target: str | None = None,
    *,
    trainings: int = 5,
    seeds: Sequence[int] | None = None,
    store: str | Path | Store | None = None,
    tag: str = "",
    workers: int = 1,
    baseline: bool = True,
    progress: bool | Callable[[int, int], None] = True,
    **rules: Any,
) -> Selection:
    """Choose, train the most promising choices, and choose among what came out.

    Parameters
    ----------
    runs : Evaluations
        See `select`.
    evaluator : Evaluator
        Trains masks or mixtures; of the tasks and targets of the runs.
    target : str, optional
        See `select`.
    trainings : int
        How many may be spent, those of the baseline among them; one that fails and is tried again counts once.
    seeds : sequence of int, optional
        Seeds of each choice. If not given those of the runs, where every mask was run under the same ones; else the one
        that most runs have.
    store, tag, workers, progress
        See `evaluate`.
    baseline : bool
        Whether to train the baseline too, where it was not run.
    **rules
        Everything else that `select` takes.

    Returns
    -------
    Selection
        Among its candidates the choice was run; ``verified`` counts the trainings, ``trained`` holds them. With
        ``pareto`` its front is that of what was run.

    Raises
    ------
    EvaluationsError
        If the evaluator is of other tasks, or the trainings do not pay for one choice.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> from interplay.problems import games
    >>> game = games.additive_game([0.5, -0.2, 0.3, 0.1])
    >>> runs = ip.evaluate(game, ip.masks.bernoulli(4, 12, np.random.default_rng(0)), progress=False)
    >>> chosen = ip.selection.verify(runs, game, trainings=3, progress=False)
    >>> chosen.names, chosen.choice.runs > 0, len(chosen.trained) == chosen.verified
    (('task_0', 'task_2', 'task_3'), True, True)
    """
    own = tuple(evaluator.tasks or runs.tasks)
    if own != runs.tasks:
        raise EvaluationsError(
            f"the evaluator has the tasks {own[:4]}..., the runs {runs.tasks[:4]}...: they must agree."
        )
    which = _seeds(runs) if seeds is None else [int(s) for s in seeds]
    if trainings < len(which):
        raise EvaluationsError(
            f"trainings is {trainings}; one choice takes {len(which)}, one for each of the seeds {which}. Give more, "
            "or fewer seeds."
        )
    how = {"seeds": which, "store": store, "tag": tag, "workers": workers, "progress": progress}
    trainer = _Trainer(runs, evaluator, how, trainings)
    first = select(runs, target, **rules)
    as_drawn = {"against": "mean"} if first.of(result.BASELINE)[0].drawn else {}  # other sizes trained or not
    if baseline and not first.of(result.BASELINE)[0].runs and trainer.left >= 2:
        trainer.train(first.of(result.BASELINE)[0].weights)
    chosen = first
    while trainer.left:
        bold = select(trainer.together, target, **{**rules, **as_drawn, "risk": 0.0})
        new = [c for c in bold.promising if not trainer.knows(c.weights)]
        if not new or (trainer.proven is not None and _done(chosen, new[0], bold)):
            break
        if trainer.train(new[0].weights) and trainer.proven is not None:
            chosen = select(runs, target, verified=trainer.proven, **rules)
    if trainer.proven is None:
        why = (
            "none of the choices could be trained" if trainer.failed else "there was no choice that was not run before"
        )
        said = (*chosen.warnings, *trainer.failed, f"{why}: nothing is verified.")
        verdict = "not supported" if trainer.failed else chosen.verdict
        return replace(chosen, warnings=said, verdict=verdict, why=why if trainer.failed else chosen.why)
    chosen = select(runs, target, verified=trainer.proven, **rules)
    said = (*chosen.warnings, *_as_said(first, trainer.proven), *trainer.failed)
    return replace(chosen, warnings=said, trained=trainer.proven)


@dataclass(eq=False)
class _Trainer:
    """Trains choices, and keeps what came out."""

    runs: Evaluations
    evaluator: Evaluator
    how: dict[str, Any]
    left_over: int
    proven: Evaluations | None = None

    def __post_init__(self) -> None:
        self.failed: list[str] = []
        self.tried: list[Array] = []

    @property
    def left(self) -> int:
        """Choices that the budget still pays for."""
        return self.left_over // len(self.how["seeds"])

    @property
    def together(self) -> Evaluations:
        """All runs that are known."""
        return self.runs if self.proven is None else self.runs + self.proven

    def knows(self, weights: Array) -> bool:
        """Whether a choice (K,) was run, or tried in vain."""
        known = np.vstack([self.together.masks, *self.tried])
        return bool(alike(known, weights).any())

    def train(self, weights: Array) -> bool:
        """Train a choice (K,) under all seeds; a failure is kept, and costs its trainings too."""
        self.left_over -= len(self.how["seeds"])
        self.tried.append(weights)
        name = result.named(self.runs.tasks, weights, self.runs.kind)
        try:
            found = evaluate(self.evaluator, weights[None], **self.how)
        except EvaluationsFailed as error:
            self.failed.append(f"{name} could not be trained ({str(error).splitlines()[0][:200]}); the rest went on.")
            return False
        found = replace(found.select(list(self.runs.targets)), kind=self.runs.kind, warnings=())
        found = replace(found, higher_is_better=self.runs.higher_is_better, notes=dict(self.runs.notes))
        self.proven = found if self.proven is None else self.proven + found
        return True


def _as_said(first: Selection, proven: Evaluations) -> list[str]:
    """What was predicted of the first choice before it was trained, and what it came to; of one measured target."""
    own, (target, *others) = alike(proven.masks, first.weights), first.targets
    if others or target not in proven.targets or not own.any():
        return []
    measured, half = float(proven[target].values[own].mean()), Z * float(first.choice.deviation[0])
    predicted = f"{first.choice.predicted[0]:.4g} ± {half:.2g}"
    return [f"Before any training {first.choice.name} was predicted {predicted}; it came to {measured:.4g}."]


def _seeds(runs: Evaluations) -> list[int]:
    """Seeds that every mask was run under, or the commonest one."""
    seeds, counts = np.unique(runs.seed[runs.seed >= 0], return_counts=True)
    if not len(seeds):
        return [0]
    distinct = len(np.unique(runs.masks, axis=0))
    if len(seeds) > 1 and (counts == distinct).all() and len(runs) == distinct * len(seeds):
        return seeds.tolist()
    return [int(seeds[int(counts.argmax())])]


def _done(chosen: Selection, best: result.Candidate, bold: Selection) -> bool:
    """Whether the choice is certain, and nothing else is predicted to be better by more than the noise."""
    if chosen.verdict != "solid" or not chosen.choice.runs or bold.front:  # of a front more members say more
        return False
    gain = bold.sign * (best.predicted - chosen.choice.predicted)
    return bool((gain < np.maximum(chosen.noise, 1e-12)).all())
