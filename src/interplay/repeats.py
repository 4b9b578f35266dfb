"""Rows that repeat one mask under one fidelity, such as its seeds: numbered, and averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .evaluations import Evaluations

__all__ = ["groups", "means"]


def groups(runs: Evaluations) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows of each mask and fidelity a number, in the order in which they first appear.

    Returns
    -------
    index : array (m,) of int64
        The group of each row.
    first : array (n,) of int64
        The first row of each group.
    """
    number: dict[tuple[bytes, str], int] = {}
    first: list[int] = []
    index = np.empty(runs.m, dtype=np.int64)
    for i, (mask, word) in enumerate(zip(runs.masks + 0.0, runs.fidelity.tolist(), strict=True)):
        index[i] = number.setdefault((mask.tobytes(), word), len(number))
        if index[i] == len(first):
            first.append(i)
    return index, np.array(first, dtype=np.int64)


def means(runs: Evaluations) -> dict[str, np.ndarray]:
    """Average the rows of each mask and fidelity.

    Returns
    -------
    dict
        Fields of n rows: means of the values that were measured, sums of the costs, the seed where all rows of a mask
        have the same one and -1 otherwise, and masks, fidelity and origin of the first row.
    """
    index, first = groups(runs)
    count, total = np.zeros((2, len(first), runs.T))
    cost = np.zeros(len(first))
    np.add.at(count, index, ~np.isnan(runs.values))
    np.add.at(total, index, np.nan_to_num(runs.values))
    np.add.at(cost, index, runs.cost)
    seed = runs.seed[first]
    seed[index[runs.seed != seed[index]]] = -1
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    same = {name: getattr(runs, name)[first] for name in ("masks", "fidelity", "origin")}
    return {**same, "values": mean, "seed": seed, "cost": cost}
