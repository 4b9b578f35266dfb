"""Runs whose values lie so far from all others that they may decide an answer by themselves: diverged, or crashed.

Of one target, S = the n values farthest from the median (n <= m / 10), R = range of the others, G = gap between S and
them. S stands out extremely where
- G > 3 R: it lies farther from the others than three times as far as these lie from each other;
- the other runs do not predict it: their prediction is nearer to them than to it;
- its tasks do not explain it: other runs share each of them with it, and, of several runs, each pair of them that all
  of S hold alike; of weights, others lie about where it does.

R and not the spread of residuals is the measure, so that no effect or interaction that the other runs show is taken for
a mistake. Simulated, 8 tasks, 20 to 400 runs, 1,500 tables each: of normal noise no table has such a run; of t noise
with 4 degrees of freedom 0.1 to 0.4 %, with 3 0.3 to 0.9 % (least where tasks matter); of games with redundant pairs
0.07 % at most, with products of all tasks 0.3 %, with products of four 0.6 %, of mixtures under power laws 1 %. At
twice R it would be 2.3 % of t noise with 3 and 3 % of products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from ..fitting import Design
from ..predictor import Predictor

Array = NDArray[np.float64]
TIMES = 3.0  # the range of the others
SHARE, MOST = 0.1, 10  # of the runs, and runs, that may stand out
FEWEST, DISTINCT = 10, 5  # runs, and different values among the others, below which nothing is said
NEAR = 0.1  # of the range of the others' weights, by which a run may lie beyond it
DECIDES = "and may decide the answer"  # what is said of them ends so


@dataclass(frozen=True, eq=False)
class Outlying:
    """Runs that stand out on one target (column): rows of the fitted table, values, and the ends of the others'."""

    target: int
    rows: NDArray[np.int64]
    values: Array
    low: float
    high: float


def outlying(design: Design, predictor: Predictor) -> list[Outlying]:
    """Find the runs that stand out extremely, on each target that is asked about."""
    runs, out = design.runs, []
    own = np.ones(len(runs), bool) if design.at is None else runs.fidelity == design.at
    for targets, choice in predictor.choices:
        rows = np.flatnonzero(own & np.isfinite(runs.values[:, targets[0]]))
        held = np.full((len(rows), len(targets)), np.nan)
        if choice.kept.max(initial=-1) < len(rows):
            held[choice.kept] = choice.held_out
        for column, t in enumerate(targets.tolist()):
            if predictor.asked[t]:
                y = runs.values[rows, t]
                far = farthest(y, design.X[rows], held[:, column])
                if len(far):
                    rest = np.delete(y, far)
                    out.append(Outlying(t, rows[far], y[far], float(rest.min()), float(rest.max())))
    return sorted(out, key=lambda one: one.target)


def farthest(y: Array, X: Array, held: Array | None = None) -> NDArray[np.int64]:
    """Rows of values y (m,) of masks or weights X (m, K) that stand out extremely; ``held`` are their predictions.

    Examples
    --------
    >>> X = (np.random.default_rng(0).random((40, 4)) < 0.5).astype(float)
    >>> y = X @ [0.1, 0.2, 0.0, -0.1] + np.linspace(0.0, 0.01, 40)
    >>> y[7] = 9.0
    >>> farthest(y, X).tolist()
    [7]
    """
    found, m = np.empty(0, np.int64), len(y)
    if m < FEWEST:
        return found
    order = np.argsort(-np.abs(y - np.median(y)), kind="stable")
    for n in range(1, max(1, min(int(SHARE * m), MOST)) + 1):
        far, rest = order[:n], order[n:]
        low, high = y[rest].min(), y[rest].max()
        gap = np.maximum(low - y[far], y[far] - high)
        if gap.min() <= TIMES * (high - low) or len(np.unique(y[rest])) < DISTINCT:
            continue
        if held is not None and (np.abs(held[far] - y[far]) < gap / 2.0).any():  # unknown predictions are no less
            continue
        if not _explained(X[far], X[rest]):
            found = far
    return np.sort(found)


def _explained(far: Array, others: Array) -> bool:
    """Whether runs hold what no other run does: a task in or out, or of several runs a pair; of weights, far ones."""
    if not np.isin(far, (0.0, 1.0)).all() or not np.isin(others, (0.0, 1.0)).all():
        low, high = others.min(axis=0), others.max(axis=0)
        room = NEAR * (high - low)
        return bool(((far < low - room) | (far > high + room)).any())
    if not (far[:, None, :] == others[None]).any(axis=1).all():
        return True
    alike = np.flatnonzero((far == far[0]).all(axis=0)) if len(far) > 1 else ()
    return any(not (others[:, [k, l]] == far[0, [k, l]]).all(axis=1).any() for k, l in combinations(alike, 2))


def told(found: Sequence[Outlying], targets: Sequence[str], design: Design) -> tuple[str, str]:
    """Which runs stand out in words, and on which targets with which values: 'run 6', 'loss 40, ... 1.2 to 1.9'."""
    rows = np.unique(np.concatenate([one.rows for one in found])).tolist()
    names = [_name(design, row) for row in rows]
    which = f"run{'s' * (len(rows) > 1)} {' and '.join(names) if len(names) < 3 else listed(names, 5)}"
    first = found[0]
    values = listed([f"{v:.4g}" for v in first.values], 3)
    said = f"{targets[first.target]} {values}, all others {first.low:.4g} to {first.high:.4g}"
    more = f"; so on {len(found)} of {len(targets)} targets" if len(targets) > 1 else ""
    return which, f"{said}{more}"


def _name(design: Design, row: int) -> str:
    origin = str(design.runs.origin[row])
    several = len(np.unique(design.runs.origin)) > 1
    return f"{row + 1}{f' ({origin})' * (several and origin != str(row + 1) and bool(origin))}"
