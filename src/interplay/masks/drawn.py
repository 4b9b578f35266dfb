"""Masks and mixtures drawn at random: distinct rows, without replacement (`draws`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from ..draws import LISTED, draw_distinct, draw_listed, excluded, generator, keys_of, say_fewer, sizes_of, subsets
from ..repeats import key, keys


def bernoulli(
    K: int,
    m: int,
    rng: np.random.Generator,
    *,
    p: float | ArrayLike = 0.9,
    exclude: ArrayLike | None = None,
    empty: bool = False,
) -> np.ndarray:
    """Draw m distinct masks in which task k is present with probability p.

    Use p near 1 for leave-one-out, p = 1/2 for Banzhaf values and selection.

    Parameters
    ----------
    K, m : int
        Number of tasks and of masks.
    rng : numpy.random.Generator
    p : float or array (K,)
        Probability that a task is present; one number, or one for each task.
    exclude : array (n, K), optional
        Masks that must not be drawn.
    empty : bool
        Whether the empty mask may be drawn; nothing is trained on it, and its value is far from all others.

    Returns
    -------
    array (m, K)
        Distinct rows of 0 and 1; fewer rows, with a `UserWarning`, when fewer masks exist.

    Examples
    --------
    >>> bernoulli(3, 2, np.random.default_rng(0), p=0.5).shape
    (2, 3)
    """
    K, m = sizes_of(K, m)
    rng = generator(rng)
    chance = np.asarray(p, dtype=float)
    if chance.shape not in ((), (K,)) or not np.all((chance >= 0) & (chance <= 1)):
        raise ValueError(f"p is {p!r}; give one probability in [0, 1], or {K} of them, one for each task.")
    chance = np.broadcast_to(chance, (K,))
    free = np.flatnonzero((chance > 0) & (chance < 1))
    barred = excluded(exclude, K)
    taken = keys_of(barred if empty else np.vstack([barred, np.zeros((1, K), dtype=np.uint8)]))

    def draw(n: int) -> np.ndarray:
        return (rng.random((n, K)) < chance).astype(np.uint8)

    if len(free) > LISTED:
        return draw_distinct(draw, m, taken, f"bernoulli(K={K}, m={m}, p={p})")
    listed = np.tile((chance == 1).astype(np.uint8), (2 ** len(free), 1))
    listed[:, free] = subsets(len(free))
    q = chance[free]
    s = listed[:, free].astype(float)
    logp = s @ np.log(q) + (1 - s) @ np.log1p(-q) if len(free) else np.zeros(1)
    return draw_listed(listed, logp, m, rng, taken, f"bernoulli(K={K}, m={m}, p={p})")


def antithetic(
    K: int, m: int, rng: np.random.Generator, *, p: float = 0.5, exclude: ArrayLike | None = None
) -> np.ndarray:
    """Draw pairs of a mask and its complement: rows 2i and 2i + 1 sum to one for every task.

    Effects of odd order cancel in the sum of a pair and those of even order in its difference, so readings of
    second order become exact sooner. With odd m the last mask has no partner.

    Parameters
    ----------
    K, m : int
        Number of tasks and of masks (not of pairs).
    rng : numpy.random.Generator
    p : float
        Probability that a task is present in the first mask of a pair.
    exclude : array (n, K), optional
        Masks that must not be drawn; a pair goes when either of its masks is excluded.

    Returns
    -------
    array (m, K)
    """
    K, m = sizes_of(K, m)
    rng = generator(rng)
    if not 0 < p < 1:
        raise ValueError(f"p is {p!r}; antithetic masks need a probability between 0 and 1.")
    out = excluded(exclude, K)
    taken = keys_of(np.vstack([out, 1 - out]))
    pairs = (m + 1) // 2
    name = f"antithetic(K={K}, m={m}, p={p:g})"
    if K <= LISTED:
        listed = subsets(K)[2 ** (K - 1) :]  # those with the first task: one of each pair
        n1 = listed.sum(axis=1)
        logp = np.logaddexp(n1 * np.log(p) + (K - n1) * np.log1p(-p), (K - n1) * np.log(p) + n1 * np.log1p(-p))
        first = draw_listed(listed, logp, pairs, rng, taken, name, what="pairs")
        one = first.sum(axis=1)
        swap = rng.random(len(first)) < 1 / (1 + np.exp((2 * one - K) * (np.log(p) - np.log1p(-p))))
        first = np.where(swap[:, None], 1 - first, first)
    else:

        def draw(n: int) -> np.ndarray:
            return (rng.random((n, K)) < p).astype(np.uint8)

        first = draw_distinct(draw, pairs, taken, name, mirrored=True, what="pairs")
    masks = np.empty((2 * len(first), K))
    masks[0::2], masks[1::2] = first, 1 - first
    return masks[:m]


def fixed_size(K: int, m: int, size: int, rng: np.random.Generator, *, exclude: ArrayLike | None = None) -> np.ndarray:
    """Draw m distinct masks with exactly `size` tasks present, all equally likely.

    Such a design answers swap effects at that size; it says nothing of leave-one-out at the full mask.

    Parameters
    ----------
    K, m, size : int
        Number of tasks, of masks, and of tasks present in each mask.
    rng : numpy.random.Generator
    exclude : array (n, K), optional
        Masks that must not be drawn.

    Returns
    -------
    array (m, K)
    """
    K, m = sizes_of(K, m)
    rng = generator(rng)
    if int(size) != size or not 0 <= size <= K:
        raise ValueError(f"size is {size!r}; give a number of tasks between 0 and K = {K}.")
    size = int(size)
    out = excluded(exclude, K)
    taken = keys_of(out[out.sum(axis=1) == size])
    name = f"fixed_size(K={K}, m={m}, size={size})"
    exist = comb(K, size)
    if exist <= 2**LISTED and 8 * m > exist - len(taken):
        listed = np.zeros((exist, K), dtype=np.uint8)
        chosen = np.array(list(combinations(range(K), size)), dtype=np.int64).reshape(exist, size)
        np.put_along_axis(listed, chosen, 1, axis=1)
        return draw_listed(listed, np.zeros(exist), m, rng, taken, name)

    def draw(n: int) -> np.ndarray:
        masks = np.zeros((n, K), dtype=np.uint8)
        np.put_along_axis(masks, np.argsort(rng.random((n, K)), axis=1)[:, :size], 1, axis=1)
        return masks

    return draw_distinct(draw, m, taken, name)


def stratified(
    K: int,
    m: int,
    rng: np.random.Generator,
    *,
    sizes: Sequence[int] | None = None,
    exclude: ArrayLike | None = None,
) -> np.ndarray:
    """Draw as many masks of every size, as far as they exist; the rest goes to sizes that have more.

    Shapley values weigh all sizes alike, so this is their design.

    Parameters
    ----------
    K, m : int
        Number of tasks and of masks.
    rng : numpy.random.Generator
    sizes : sequence of int, optional
        The sizes to draw from; all of 0 to K when not given. With fewer masks than sizes the largest and the
        smallest size come first, then sizes at random.
    exclude : array (n, K), optional
        Masks that must not be drawn.

    Returns
    -------
    array (m, K)
        Rows of all sizes in random order.
    """
    K, m = sizes_of(K, m)
    rng = generator(rng)
    strata = list(range(K + 1)) if sizes is None else sorted({int(n) for n in sizes})
    if not strata or strata[0] < 0 or strata[-1] > K:
        raise ValueError(f"sizes is {sizes!r}; give numbers of tasks between 0 and K = {K}.")
    out = np.unique(excluded(exclude, K), axis=0)
    gone = np.bincount(out.sum(axis=1), minlength=K + 1)
    room = {n: comb(K, n) - int(gone[n]) for n in strata}
    ends = [strata[-1], strata[0]] if len(strata) > 1 else strata
    order = ends + [strata[1:-1][i] for i in rng.permutation(max(len(strata) - 2, 0))]
    count, left = dict.fromkeys(strata, 0), m
    while left and (open_ := [n for n in order if count[n] < room[n]]):
        share = max(left // len(open_), 1)
        for n in open_[:left]:
            more = min(share, room[n] - count[n], left)
            count[n] += more
            left -= more
    if left:
        say_fewer(m - left, m, f"stratified(K={K}, m={m})")
    parts = [fixed_size(K, count[n], n, rng, exclude=out) for n in strata if count[n]]
    masks = np.concatenate(parts) if parts else np.zeros((0, K))
    return masks[rng.permutation(len(masks))]


def dirichlet(
    K: int,
    m: int,
    rng: np.random.Generator,
    *,
    alpha: float | ArrayLike = 1.0,
    exclude: ArrayLike | None = None,
) -> np.ndarray:
    """Draw m mixtures: weights on the simplex, from a Dirichlet distribution.

    Parameters
    ----------
    K, m : int
        Number of tasks and of mixtures.
    rng : numpy.random.Generator
    alpha : float or array (K,)
        Concentration. 1 is flat on the simplex; below 1 a few tasks dominate each mixture; an array
        proportional to the natural proportions centres the mixtures there.
    exclude : array (n, K), optional
        Mixtures that must not be drawn (within 1e-9).

    Returns
    -------
    array (m, K)
        Rows that sum to one.
    """
    K, m = sizes_of(K, m)
    rng = generator(rng)
    a = np.asarray(alpha, dtype=float)
    if a.shape not in ((), (K,)) or not np.all(np.isfinite(a) & (a > 0)):
        raise ValueError(f"alpha is {alpha!r}; give one positive number, or {K} of them, one for each task.")
    a = np.broadcast_to(a, (K,))

    taken = set() if exclude is None else set(keys(np.atleast_2d(np.asarray(exclude, dtype=float))))
    found: list[np.ndarray] = []
    for _ in range(100):
        for w in rng.dirichlet(a, size=m - len(found)):
            w = w / w.sum()
            if key(w) not in taken:
                found.append(w)
                taken.add(key(w))
        if len(found) == m:
            break
    if len(found) < m:
        say_fewer(len(found), m, f"dirichlet(K={K}, m={m})")
    return np.array(found).reshape(-1, K)
