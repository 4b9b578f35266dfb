"""Benefits of what is asked for by name: of groups of tasks, and of one mask or mixture against another.

group      g(reference) - g(reference without the group), renormalised for mixtures
contrast   g(first) - g(second)

Both are differences of g at given points, so they come in the target's own unit under every link  (design: section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .blocks import gathered
from .fields import EvaluationsError, unknown
from .kinds import fault
from .predictor import Predictor, Z
from .readings import Question, Reading

if TYPE_CHECKING:
    from .formats.points import Contrasts, Points

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Named:
    """Benefits of groups or contrasts.

    Attributes
    ----------
    names : tuple of str (n,)
    words : str
        What each benefit measures.
    effects, deviation : array (n, T)
        Benefits in the targets' own units, and posterior standard deviations; NaN where the runs tell nothing.
    coverage : array (n, T)
        Posterior over prior standard deviation: near 1, the runs say nothing of the question.
    """

    names: tuple[str, ...]
    words: str
    effects: Array
    deviation: Array
    coverage: Array

    def first(self, n: int) -> Named:
        """The same of the first ``n`` targets."""
        return replace(self, **{name: getattr(self, name)[:, :n] for name in ("effects", "deviation", "coverage")})

    def widened(self, student: Array) -> Named:
        """The same with deviations ``student`` (T,) times as large."""
        return replace(self, deviation=self.deviation * student)

    @property
    def lower(self) -> Array:
        """Lower ends of the 95 % intervals, array (n, T)."""
        return self.effects - Z * self.deviation

    @property
    def upper(self) -> Array:
        """Upper ends of the 95 % intervals, array (n, T)."""
        return self.effects + Z * self.deviation


def read_groups(
    predictor: Predictor, asked: Question, groups: Points | Mapping[str, Sequence[str]]
) -> tuple[Named, tuple[str, ...]]:
    """Ask what taking each group out of the reference does; and say what is left out of it.

    Parameters
    ----------
    predictor : Predictor
    asked : Question
        Whose reference the groups are taken out of.
    groups : Points, or mapping of names to tasks
        0/1 memberships.
    """
    names, members = _memberships(groups, predictor.tasks) if isinstance(groups, Mapping) else _of(groups)
    columns, said = predictor.players.reduced(members, names, predictor.tasks, "group")
    found = gathered(predictor, lambda surrogate: asked.groups(surrogate, columns), columns)
    if asked.reference is not None and predictor.kind == "mixture":
        blocks = np.zeros(columns.shape[1]) if asked.blocks is None else asked.blocks
        for block in np.unique(blocks):
            here = asked.reference * (blocks == block)
            whole = "the mixture" if asked.blocks is None else "a phase"
            for i in np.flatnonzero(((1.0 - columns) @ here <= 0) & here.any()):
                said += (f"{names[i]} holds all of {whole} that it would be taken out of: nothing would be left.",)
    return _named(names, asked.group_words, found), said


def read_contrasts(
    predictor: Predictor, asked: Question, contrasts: Contrasts | Mapping[str, tuple[ArrayLike, ArrayLike]]
) -> tuple[Named, tuple[str, ...]]:
    """Ask how much better each first mask or mixture is than the second; and say what is left out of it."""
    names = tuple(contrasts) if isinstance(contrasts, Mapping) else contrasts.names
    if isinstance(contrasts, Mapping):
        sides = [np.array([np.asarray(pair[i], float) for pair in contrasts.values()]) for i in (0, 1)]
    else:
        sides = [contrasts.first, contrasts.second]
    columns, said = [], []
    for side in sides:
        if side.ndim != 2 or side.shape[1] != len(predictor.tasks):
            K = len(predictor.tasks)
            raise EvaluationsError(f"contrasts have shape {side.shape}; give a weight for each of {K} tasks, twice.")
        if problem := fault(side, predictor.kind, predictor.tasks, row="contrast", first=1):
            raise EvaluationsError(problem)
        reduced, left_out = predictor.players.reduced(side, names, predictor.tasks, predictor.kind)
        columns.append(reduced)
        said += left_out
    first, second = columns
    found = gathered(predictor, lambda surrogate: asked.contrasts(surrogate, first, second), first - second)
    return _named(names, "the first in place of the second", found), tuple(dict.fromkeys(said))


def _of(groups: Points) -> tuple[tuple[str, ...], Array]:
    return groups.names, groups.weights


def _memberships(groups: Mapping[str, Sequence[str]], tasks: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    members = np.zeros((len(groups), len(tasks)))
    for row, names in zip(members, groups.values(), strict=True):
        for name in names:
            if name not in tasks:
                raise unknown(name, tasks, "task of the runs")
            row[list(tasks).index(name)] = 1.0
    return tuple(groups), members


def _named(names: tuple[str, ...], words: str, found: Reading) -> Named:
    with np.errstate(divide="ignore", invalid="ignore"):
        coverage = np.where(found.prior > 0, found.deviation / found.prior, np.nan)
    return Named(names, words, found.mean, found.deviation, coverage)
