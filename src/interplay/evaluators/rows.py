"""Rows that reach an evaluator: masks (b, K) and seeds (b,), checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["checked_rows"]


def checked_rows(masks: ArrayLike, seeds: ArrayLike, tasks: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return masks as float64 and seeds as int64.

    Raises
    ------
    ValueError
        If shapes do not fit each other or the tasks, or a weight is not finite.
    """
    masks, seeds = np.asarray(masks, float), np.asarray(seeds, np.int64)
    if masks.ndim != 2 or (tasks is not None and masks.shape[1] != len(tasks)):
        width = "K" if tasks is None else str(len(tasks))
        raise ValueError(f"masks has shape {masks.shape}; it must be (b, {width}), one column per task.")
    if seeds.shape != masks.shape[:1]:
        raise ValueError(f"seeds has shape {seeds.shape}; it must be ({len(masks)},), one per mask.")
    if not np.isfinite(masks).all():
        raise ValueError("masks holds weights that are not finite; use 0, 1 or other finite weights.")
    return masks, seeds
