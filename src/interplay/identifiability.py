"""What a design can tell apart: tasks that never switch, and tasks that always switch together.

A column of masks that never varies has no effect that data could show, and columns that are equal (or, in masks,
one the complement of the other) have one effect between them: in both cases the effect is *not identifiable*, which
is not the same as zero. For weights, columns that are proportional count as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .fields import listed

if TYPE_CHECKING:
    from .evaluations import Evaluations

__all__ = ["Identifiability", "identifiability", "identifiability_by_target"]


@dataclass(frozen=True)
class Identifiability:
    """What the rows of a design tell apart. Tasks are given by their index.

    Attributes
    ----------
    K : int
        Number of tasks.
    always_on, always_off : tuple of int
        Tasks with one and the same value in all rows: above zero, or zero (or below).
    aliased : tuple of tuple of int
        Groups of two or more tasks that always switch together: one effect for each group.
    opposed : tuple of tuple of int
        Pairs of tasks of which always exactly one is present; for a group of aliased tasks its first one stands.
    size : int or None
        The number of tasks present, where it is the same in all rows (masks): then only differences between the
        effects of tasks are identifiable, by swapping one for another.
    rank : int
        Rank of the centred columns: how many directions an additive model can tell apart.
    """

    K: int
    always_on: tuple[int, ...]
    always_off: tuple[int, ...]
    aliased: tuple[tuple[int, ...], ...]
    opposed: tuple[tuple[int, int], ...]
    size: int | None
    rank: int

    @property
    def identifiable(self) -> np.ndarray:
        """Whether each task (K,) varies, and not always together with (or against) another one."""
        out = np.ones(self.K, dtype=bool)
        out[[*self.always_on, *self.always_off]] = False
        for group in (*self.aliased, *self.opposed):
            out[list(group)] = False
        return out

    def alias_of(self, k: int) -> tuple[int, ...]:
        """Return the other tasks that always switch together with task k."""
        return tuple(j for group in self.aliased if k in group for j in group if j != k)

    def messages(self, tasks: Sequence[str], *, where: str = "", others: Identifiability | None = None) -> list[str]:
        """Say in words what cannot be identified.

        Parameters
        ----------
        tasks : sequence of str (K,)
        where : str
            Added to each sentence: "where loss_a was measured".
        others : Identifiability, optional
            Findings that were already said, and are left out here.
        """
        where = f" {where}" if where else ""
        out = []
        for word, name in (("on", "always_on"), ("off", "always_off")):
            known = getattr(others, name) if others else ()
            known = {*known, *(others.always_on if others else ()), *(others.always_off if others else ())}
            if never := [str(tasks[k]) for k in getattr(self, name) if k not in known]:
                out.append(
                    f"{listed(never)} {'is' if len(never) == 1 else 'are'} always {word}{where}: "
                    f"{'its effect is' if len(never) == 1 else 'their effects are'} not identifiable"
                )
        for group in self.aliased:
            if others and group in others.aliased:
                continue
            out.append(
                f"{' and '.join(tasks[k] for k in group)} always switch together{where}: one effect, "
                "not identifiable one by one"
            )
        for a, b in self.opposed:
            if others and (a, b) in others.opposed:
                continue
            out.append(
                f"{tasks[a]} is on exactly when {tasks[b]} is off{where}: only the difference of their effects is "
                "identifiable"
            )
        return out


def identifiability(masks: ArrayLike) -> Identifiability:
    """Find what masks, mixtures or weights (m, K) tell apart.

    Examples
    --------
    >>> identifiability([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1]]).aliased
    ((1, 2),)
    """
    x = np.asarray(masks, dtype=float)
    if x.ndim != 2:
        raise ValueError(f"masks have shape {x.shape}; give (m, K).")
    m, K = x.shape
    if not m:
        return Identifiability(K, (), tuple(range(K)), (), (), None, 0)
    binary = bool(np.isin(x, (0, 1)).all())
    still = (x == x[0]).all(axis=0)
    on, off = np.flatnonzero(still & (x[0] > 0)), np.flatnonzero(still & (x[0] <= 0))
    peak = np.abs(x).max(axis=0)
    keys = (np.round(x / np.where(peak > 0, peak, 1), 9) + 0.0).T
    groups: dict[bytes, list[int]] = {}
    for k in np.flatnonzero(~still).tolist():
        groups.setdefault(keys[k].tobytes(), []).append(k)
    opposed = []
    if binary:
        for group in groups.values():
            partner = groups.get((1 - keys[group[0]] + 0.0).tobytes())
            if partner is not None and group[0] < partner[0]:
                opposed.append((group[0], partner[0]))
    sizes = x.sum(axis=1)
    return Identifiability(
        K=K,
        always_on=tuple(on.tolist()),
        always_off=tuple(off.tolist()),
        aliased=tuple(tuple(g) for g in groups.values() if len(g) > 1),
        opposed=tuple(opposed),
        size=int(sizes[0]) if binary and m > 1 and (sizes == sizes[0]).all() else None,
        rank=int(np.linalg.matrix_rank(x - x.mean(axis=0))) if m > 1 else 0,
    )


def identifiability_by_target(runs: Evaluations) -> tuple[Identifiability, ...]:
    """Find for each target what the rows tell apart in which it was measured.

    A task's own loss is often measured only where the task was on: there its effect is not identifiable.
    """
    known: dict[bytes, Identifiability] = {}
    out = []
    for column in runs.values.T:
        here = ~np.isnan(column)
        key = here.tobytes()
        if key not in known:
            known[key] = identifiability(runs.masks[here])
        out.append(known[key])
    return tuple(out)
