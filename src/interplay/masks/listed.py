"""Masks that are listed, not drawn: all of a kind, in a known order."""

from __future__ import annotations

import numpy as np

from ..draws import sizes_of, subsets


def leave_one_out(K: int) -> np.ndarray:
    """List the full mask, then K masks that each lack one task: row 1 + k lacks task k.

    Returns
    -------
    array (K + 1, K)

    Examples
    --------
    >>> leave_one_out(2)
    array([[1., 1.],
           [0., 1.],
           [1., 0.]])
    """
    K, _ = sizes_of(K, 0)
    return np.vstack([np.ones((1, K)), 1 - np.eye(K)])


def leave_two_out(K: int) -> np.ndarray:
    """List the full mask, the K masks that lack one task, and the K (K - 1) / 2 that lack two (i < j).

    These are the masks from which pairs at the full mask are read exactly.

    Returns
    -------
    array (1 + K + K (K - 1) / 2, K)
    """
    singles = leave_one_out(K)
    i, j = np.triu_indices(K, 1)
    pairs = np.ones((len(i), K))
    pairs[np.arange(len(i)), i] = pairs[np.arange(len(i)), j] = 0
    return np.vstack([singles, pairs])


def all_subsets(K: int, *, empty: bool = True) -> np.ndarray:
    """List all 2^K masks in binary order: the empty mask first (or not at all), the full mask last.

    Returns
    -------
    array (2^K, K)
    """
    K, _ = sizes_of(K, 0)
    if K > 24:
        raise ValueError(f"K is {K}: 2^{K} masks do not fit in memory; draw some with bernoulli or stratified.")
    masks = subsets(K).astype(float)
    return masks if empty else masks[1:]
