"""How many dimensions the subspace needs: estimates of a few masks in nested subspaces of more and more of them.

change(d) = mean over targets of  sd_s( Fhat_2d(s) - Fhat_d(s) ) / sd_s( Fhat_2d(s) )          (sd over masks s)
error(d)  = mean over targets of  mean_s |e - mean e| / mean_s |F - mean F|,  e = Fhat_d - F  (where F is retrained)

The smallest d is taken whose change is at most the tolerance; with retrained masks, whose error is within the tolerance
of the smallest. A constant shift of all masks counts for nothing: it cancels in every effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

EACH = 5  # masks of a kind that tell a dimension


@dataclass(frozen=True)
class Curve:
    """Change or error of the estimates against the dimension d.

    Attributes
    ----------
    dims : tuple of int
    change : tuple of float
        From each d to the next one, relative to the spread over masks; nan for the last.
    error : tuple of float
        On retrained masks, relative to the spread over masks; nan without them.
    chosen : int
    tolerance : float
    masks : int
        How many masks were solved.
    """

    dims: tuple[int, ...]
    change: tuple[float, ...]
    error: tuple[float, ...]
    chosen: int
    tolerance: float
    masks: int

    @property
    def settled(self) -> bool:
        """Whether the dimension was chosen by the tolerance and not by the end of the dimensions that were tried."""
        i = self.dims.index(self.chosen)
        return bool(self.change[i] <= self.tolerance) or (bool(np.isfinite(self.error[i])) and i + 1 < len(self.dims))

    @property
    def last(self) -> float:
        """Change of the last step that was tried; nan where there was one dimension alone."""
        return self.change[-2] if len(self.change) > 1 else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """One row per dimension: d, change, error, chosen."""
        import pandas as pd

        columns = {"d": self.dims, "change": self.change, "error": self.error}
        return pd.DataFrame({**columns, "chosen": [d == self.chosen for d in self.dims]})

    def __repr__(self) -> str:
        text = lambda v: "-" if np.isnan(v) else f"{v:.3f}"
        rows = [
            f"{d:>6}  {text(c):>8}  {text(e):>8}{'  <- chosen' if d == self.chosen else ''}"
            for d, c, e in zip(self.dims, self.change, self.error, strict=True)
        ]
        said = f"relative to the spread over {self.masks} masks, tolerance {self.tolerance:g}"
        return "\n".join([f"{'d':>6}  {'change':>8}  {'error':>8}", *rows, said])


def sizes(largest: int, fewest: int = 8) -> list[int]:
    """Dimensions to try: halves of the largest one, ascending."""
    found = [largest]
    while found[-1] >= 2 * fewest:
        found.append(found[-1] // 2)
    return found[::-1]


def choose_dim(
    dims: Sequence[int],
    estimate: Callable[[int], np.ndarray],
    tolerance: float,
    truth: np.ndarray | None = None,
) -> Curve:
    """Choose among nested dimensions.

    Parameters
    ----------
    dims : sequence of int
        Ascending.
    estimate : callable
        Estimates (m, T) of the same masks at a dimension; called in order, no further than it must be.
    tolerance : float
    truth : array (m, T), optional
        Retrained values of these masks; then all dimensions are tried.
    """
    found: list[np.ndarray] = []
    change: list[float] = []
    for d in dims:
        found.append(estimate(d))
        if len(found) > 1:
            change.append(_share((found[-1] - found[-2]).std(0), found[-1].std(0)))
            if truth is None and change[-1] <= tolerance:
                break
    change.append(np.nan)
    tried = tuple(int(d) for d in dims[: len(found)])
    error = [np.nan] * len(tried)
    if truth is None:
        settled = [i for i, c in enumerate(change) if c <= tolerance]
        chosen = settled[0] if settled else len(tried) - 1
    else:
        error = [_error(one, truth) for one in found]
        chosen = int(np.flatnonzero(np.array(error) <= np.nanmin(error) + tolerance)[0])
    return Curve(tried, tuple(change), tuple(error), tried[chosen], tolerance, len(found[0]))


def probing_masks(tasks: int, rng: np.random.Generator) -> np.ndarray:
    """Few masks of all kinds: full, and `EACH` of leave-one-out, nine in ten, one in two. Shape (m, K)."""
    left_out = 1.0 - np.eye(tasks)[rng.permutation(tasks)[:EACH]]
    near, half = (1.0 * (rng.random((EACH, tasks)) < p) for p in (0.9, 0.5))
    masks = np.unique(np.concatenate([np.ones((1, tasks)), left_out, near, half]), axis=0)
    return masks[masks.any(1)]


def _error(estimate: np.ndarray, truth: np.ndarray) -> float:
    e, F = estimate - truth, truth - np.nanmean(truth, 0)
    return _share(np.nanmean(np.abs(e - np.nanmean(e, 0)), 0), np.nanmean(np.abs(F), 0))


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Mean ratio over the targets that differ from mask to mask; 0 where none does."""
    spread = whole > 1e-12
    return float(np.mean(part[spread] / whole[spread])) if spread.any() else 0.0
