"""The way of estimating that agrees best with a handful of retrained masks, and how well each of them does.

agreement of a way = centred error over spread on the retrained masks, each under its own seed

The retrained masks choose and judge at once, so that the figures of the chosen way are a little too good; with fewer
than `FEWEST` of them nothing is chosen and the first way is taken, unjudged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..gradients.diagnostics import FEWEST, SCORES, agreement
from .settings import aligned, stated

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = ["Imitation"]


class Imitation:
    """Several ways to imitate one training, compared on retrained masks; it estimates by the best.

    Use it before 200 estimates are believed: pass the ways and 5 to 10 coupled retrainings of masks like those that
    will be asked for.

    Parameters
    ----------
    ways : mapping of str to evaluator
        Such as ``{"in run": InRun(course), "optimum": Linearized.from_finetune(course, W0)}``, of the same tasks and
        targets; the first is the default.
    retrained : Evaluations
        Retrained masks with their seeds.

    Attributes
    ----------
    chosen : str
        Name of the way in use.
    table : dict of str to dict
        Agreement of every way: masks, errors relative to the level and to the spread of F, rank correlation, verdict.

    Examples
    --------
    >>> best = Imitation({"in run": InRun(base), "optimum": optimum}, few)  # doctest: +SKIP
    >>> best  # doctest: +SKIP
    """

    def __init__(self, ways: Mapping[str, Any], retrained: Evaluations):
        if not ways:
            raise ValueError("ways is empty; pass at least one evaluator by name.")
        self.ways = dict(ways)
        first = next(iter(self.ways.values()))
        for name, way in self.ways.items():
            for what in ("tasks", "targets", "higher_is_better"):
                if tuple(getattr(way, what)) != tuple(getattr(first, what)):
                    raise ValueError(f"ways[{name!r}] has other {what} than the first; all must estimate the same.")
        self.tasks, self.targets = tuple(first.tasks), tuple(first.targets)
        self.higher_is_better = tuple(first.higher_is_better)
        masks, values = aligned(retrained, self.tasks, self.targets)
        seeds = np.maximum(np.asarray(retrained.seed), 0)
        self.table = {
            name: agreement(way.evaluate(masks, seeds), values, self.targets) for name, way in self.ways.items()
        }
        judged = {
            name: found["centred_error_over_spread"]
            for name, found in self.table.items()
            if found["masks"] >= FEWEST and "centred_error_over_spread" in found
        }
        self.chosen = min(judged, key=lambda name: judged[name]) if judged else next(iter(self.ways))

    @property
    def fidelity(self) -> str:
        """That of the way in use."""
        return self.ways[self.chosen].fidelity

    @property
    def batch(self) -> int:
        """Rows that are best handed over at once."""
        return getattr(self.ways[self.chosen], "batch", 1)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs: those of the way in use, and how every way agreed."""
        notes = dict(self.ways[self.chosen].notes)
        found = self.table[self.chosen]
        estimator = {
            **notes.get("estimator", {}),
            "chosen": self.chosen,
            **stated(found),
            "reason": f"{self.chosen}: {found['reason']}",
            "ways": {name: {key: row[key] for key in SCORES if key in row} for name, row in self.table.items()},
        }
        return {**notes, "estimator": estimator}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets: the fingerprint of the way in use."""
        return self.ways[self.chosen].fingerprint()

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Estimate the targets of masks (b, K), each under its seed (b,), by the chosen way: ``(b, T)``."""
        return self.ways[self.chosen].evaluate(masks, seeds)

    def __repr__(self) -> str:
        head = f"{'way':24}{'error/spread':>13}{'centred':>9}{'ranks':>7}  verdict"
        lines = [head]
        for name, row in self.table.items():
            figures = [row.get(key, np.nan) for key in SCORES[2:]]
            mark = " (chosen)" if name == self.chosen else ""
            said = " or ".join(row["possible"])
            lines.append(f"{name[:23]:24}{figures[0]:13.2f}{figures[1]:9.2f}{figures[2]:7.2f}  {said}{mark}")
        masks = self.table[self.chosen]["masks"]
        return "\n".join([f"Estimates beside {masks} retrained masks (1 = no better than a constant)", *lines])
