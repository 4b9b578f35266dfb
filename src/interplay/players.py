"""The players of a design: tasks as the runs can tell them apart.

A task that is always on or always off has no effect that any surrogate could know, and is left out; tasks that always
switch together are one player, since only their joint effect is known. Every reading is then taken over players.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import EvaluationsError, listed
from .identifiability import identifiability

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Players:
    """Columns of a design that can be told apart.

    Attributes
    ----------
    names : tuple of str (P,)
        A task's name, or the names of tasks that always switch together, joined by ' + '.
    members : tuple of tuples of int
        Tasks of each player.
    always_on, always_off : tuple of str
        Tasks whose effect is not identifiable.
    warnings : tuple of str
        What the reader must know of tasks that are not told apart.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    always_on: tuple[str, ...]
    always_off: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, masks: Array, tasks: Sequence[str], kind: str) -> Players:
        """Find the players of masks or mixtures (m, K)."""
        K = masks.shape[1]
        found = identifiability(masks)
        warnings = tuple(found.messages(list(tasks)))
        if kind != "mask":
            warnings = tuple(w for w in warnings if "together" not in w) + tuple(
                f"{' and '.join(tasks[k] for k in group)} are proportional in every run: "
                "how their joint effect divides between them is not in the data."
                for group in found.aliased
            )
            members = tuple((k,) for k in range(K) if k not in found.always_off)
            names = tuple(tasks[k] for (k,) in members)
            return cls(names, members, (), tuple(tasks[k] for k in found.always_off), warnings)
        fixed = {*found.always_on, *found.always_off}
        together = {k: tuple(group) for group in found.aliased for k in group}
        members = tuple(
            together.get(k, (k,)) for k in range(K) if k not in fixed and (k not in together or together[k][0] == k)
        )
        return cls(
            tuple(" + ".join(tasks[k] for k in group) for group in members),
            members,
            tuple(tasks[k] for k in found.always_on),
            tuple(tasks[k] for k in found.always_off),
            warnings,
        )

    @property
    def unidentified(self) -> tuple[str, ...]:
        """Tasks without an effect."""
        return self.always_on + self.always_off

    @property
    def first(self) -> NDArray[np.int64]:
        """The first task of each player, array (P,)."""
        return np.array([group[0] for group in self.members], dtype=np.int64)

    def columns(self, masks: Array) -> Array:
        """Reduce masks (m, K) to players (m, P)."""
        return masks[:, self.first]

    def reduced(
        self, points: Array, names: Sequence[str], tasks: Sequence[str], kind: str
    ) -> tuple[Array, tuple[str, ...]]:
        """Reduce masks, mixtures or groups that were not run to players.

        Parameters
        ----------
        points : array (n, K)
            Masks or mixtures, or 0/1 memberships of groups.
        names : sequence of str (n,)
        tasks : sequence of str (K,)
        kind : str
            That of the runs, or "group".

        Returns
        -------
        columns : array (n, P)
        said : tuple of str
            Which of them involve tasks that the runs never switch: what these do is not known, and left out.

        Raises
        ------
        EvaluationsError
            For one that parts tasks of a player, a mixture with weight on a task that is off in every run, or a group
            of which the runs switch no task.
        """
        for player, group in zip(self.names, self.members, strict=True):
            for i in np.flatnonzero(np.ptp(points[:, list(group)], axis=1))[:1]:
                raise EvaluationsError(
                    f"{names[i]} parts {player}, which always switch together in the runs: what one of them does "
                    "without the others is not in the data. Put them in or leave them out together, or add runs."
                )
        on, off = (np.isin(tasks, fixed) for fixed in (self.always_on, self.always_off))
        unknown = (points != 0) & (on | off) if kind == "group" else np.where(points != 0, off, on)
        columns, left_out = self.columns(points), {}
        for i in np.flatnonzero(unknown.any(axis=1)).tolist():
            never = listed([task for task, lost in zip(tasks, unknown[i], strict=True) if lost])
            if kind == "mixture" or (kind == "group" and not columns[i].any()):
                raise EvaluationsError(
                    f"{names[i]} is about {never}, which the runs never switch: nothing is known of it. Leave it out, "
                    "or add runs."
                )
            left_out.setdefault(never, []).append(names[i])
        return columns, tuple(
            f"the runs never switch {never}: what this does in {listed(several)} is not known and is left out."
            for never, several in left_out.items()
        )
