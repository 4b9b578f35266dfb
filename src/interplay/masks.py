"""Designs: which masks s in {0,1}^K (or mixtures) to evaluate, as float64 arrays with one row per run.

Every design returns distinct rows. Drawing without replacement is exact: for K free tasks <= 16 all masks are
listed and the m largest of log P(s) + Gumbel noise are taken, which is successive sampling without
replacement (Yellott 1977); beyond that, repeated draws with duplicates left out have the same distribution.

``exclude`` takes masks (n, K) that must not be drawn: those of the truth, of a test set, or those already
run.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "QUESTIONS",
    "all_subsets",
    "antithetic",
    "bernoulli",
    "design",
    "dirichlet",
    "fixed_size",
    "leave_one_out",
    "leave_two_out",
    "stratified",
]

log = logging.getLogger(__name__)

#: Questions that `design` knows, with the words the command line shows.
QUESTIONS: dict[str, str] = {
    "leave-one-out": "the full mask, then near-full masks with p = 1 - 2/K, kept within .75 and .95",
    "shapley": "as many masks of each size, from the full mask to single tasks",
    "banzhaf": "p = 1/2 in antithetic pairs: a mask and its complement",
    "pairs": "p = 1/2 in antithetic pairs: a mask and its complement",
    "selection": "p = 1/2",
    "mixture": "weights on the simplex from a flat Dirichlet distribution",
}

_LISTED = 16  # list all 2^n masks up to this many free tasks
_DRAWS = 4_000_000  # rows drawn at most before a design says that it found no more


def bernoulli(
    K: int,
    m: int,
    rng: np.random.Generator,
    *,
    p: float | ArrayLike = 0.9,
    exclude: ArrayLike | None = None,
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
        Masks that must not be drawn. The empty mask is drawn like any other: exclude it with
        ``np.zeros((1, K))`` where nothing can be trained on it.

    Returns
    -------
    array (m, K)
        Distinct rows of 0 and 1; fewer rows, with a `UserWarning`, when fewer masks exist.

    Examples
    --------
    >>> bernoulli(3, 2, np.random.default_rng(0), p=0.5).shape
    (2, 3)
    """
    K, m = _sizes(K, m)
    rng = _generator(rng)
    chance = np.broadcast_to(np.asarray(p, dtype=float), (K,)) if np.ndim(p) <= 1 else np.asarray(p)
    if chance.shape != (K,) or not np.all((chance >= 0) & (chance <= 1)):
        raise ValueError(f"p is {p!r}; give one probability in [0, 1], or {K} of them, one for each task.")
    free = np.flatnonzero((chance > 0) & (chance < 1))
    taken = _keys(_excluded(exclude, K))

    def draw(n: int) -> np.ndarray:
        return (rng.random((n, K)) < chance).astype(np.uint8)

    if len(free) > _LISTED:
        return _distinct(draw, m, taken, f"bernoulli(K={K}, m={m}, p={p})")
    listed = np.tile((chance == 1).astype(np.uint8), (2 ** len(free), 1))
    listed[:, free] = _subsets(len(free))
    q = chance[free]
    s = listed[:, free].astype(float)
    logp = s @ np.log(q) + (1 - s) @ np.log1p(-q) if len(free) else np.zeros(1)
    return _from_list(listed, logp, m, rng, taken, f"bernoulli(K={K}, m={m}, p={p})")


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
    K, m = _sizes(K, m)
    rng = _generator(rng)
    if not 0 < p < 1:
        raise ValueError(f"p is {p!r}; antithetic masks need a probability between 0 and 1.")
    out = _excluded(exclude, K)
    taken = _keys(np.vstack([out, 1 - out]))
    pairs = (m + 1) // 2
    name = f"antithetic(K={K}, m={m}, p={p:g})"
    if K <= _LISTED:
        listed = _subsets(K)[2 ** (K - 1) :]  # those with the first task: one of each pair
        n1 = listed.sum(axis=1)
        logp = np.logaddexp(n1 * np.log(p) + (K - n1) * np.log1p(-p), (K - n1) * np.log(p) + n1 * np.log1p(-p))
        first = _from_list(listed, logp, pairs, rng, taken, name, what="pairs")
        one = first.sum(axis=1)
        swap = rng.random(len(first)) < 1 / (1 + np.exp((2 * one - K) * (np.log(p) - np.log1p(-p))))
        first = np.where(swap[:, None], 1 - first, first)
    else:

        def draw(n: int) -> np.ndarray:
            return (rng.random((n, K)) < p).astype(np.uint8)

        first = _distinct(draw, pairs, taken, name, mirrored=True, what="pairs")
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
    K, m = _sizes(K, m)
    rng = _generator(rng)
    if int(size) != size or not 0 <= size <= K:
        raise ValueError(f"size is {size!r}; give a number of tasks between 0 and K = {K}.")
    size = int(size)
    taken = _keys(_excluded(exclude, K))
    name = f"fixed_size(K={K}, m={m}, size={size})"
    if comb(K, size) <= 2**_LISTED:
        listed = np.zeros((comb(K, size), K), dtype=np.uint8)
        for row, chosen in zip(listed, combinations(range(K), size), strict=True):
            row[list(chosen)] = 1
        return _from_list(listed, np.zeros(len(listed)), m, rng, taken, name)

    def draw(n: int) -> np.ndarray:
        masks = np.zeros((n, K), dtype=np.uint8)
        np.put_along_axis(masks, np.argsort(rng.random((n, K)), axis=1)[:, :size], 1, axis=1)
        return masks

    return _distinct(draw, m, taken, name)


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
    K, m = _sizes(K, m)
    rng = _generator(rng)
    strata = list(range(K + 1)) if sizes is None else sorted({int(n) for n in sizes})
    if not strata or strata[0] < 0 or strata[-1] > K:
        raise ValueError(f"sizes is {sizes!r}; give numbers of tasks between 0 and K = {K}.")
    out = np.unique(_excluded(exclude, K), axis=0)
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
        _say_fewer(m - left, m, f"stratified(K={K}, m={m})")
    parts = [fixed_size(K, count[n], n, rng, exclude=out) for n in strata if count[n]]
    masks = np.concatenate(parts) if parts else np.zeros((0, K))
    return masks[rng.permutation(len(masks))]


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
    K, _ = _sizes(K, 0)
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
    K, _ = _sizes(K, 0)
    if K > 24:
        raise ValueError(f"K is {K}: 2^{K} masks do not fit in memory; draw some with bernoulli or stratified.")
    masks = _subsets(K).astype(float)
    return masks if empty else masks[1:]


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
    K, m = _sizes(K, m)
    rng = _generator(rng)
    a = np.asarray(alpha, dtype=float)
    if a.shape not in ((), (K,)) or not np.all(np.isfinite(a) & (a > 0)):
        raise ValueError(f"alpha is {alpha!r}; give one positive number, or {K} of them, one for each task.")
    a = np.broadcast_to(a, (K,))

    def key(w: np.ndarray) -> bytes:
        return (np.round(w, 9) + 0.0).tobytes()

    taken = set() if exclude is None else {key(w) for w in np.atleast_2d(np.asarray(exclude, dtype=float))}
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
        _say_fewer(len(found), m, f"dirichlet(K={K}, m={m})")
    return np.array(found).reshape(-1, K)


def design(
    tasks: int | Sequence[str],
    runs: int,
    question: str,
    rng: np.random.Generator,
    *,
    exclude: ArrayLike | None = None,
) -> np.ndarray:
    """Choose masks to run for a question.

    Parameters
    ----------
    tasks : int or sequence of str
        The tasks, or how many there are.
    runs : int
        Number of runs that can be afforded.
    question : str
        One of `QUESTIONS`: leave-one-out, shapley, banzhaf, pairs, selection, mixture.
    rng : numpy.random.Generator
    exclude : array (n, K), optional
        Masks that must not be drawn. The empty mask is never drawn: nothing is trained on it.

    Returns
    -------
    array (runs, K)
        Fewer rows, with a `UserWarning`, when fewer distinct masks exist.

    Examples
    --------
    >>> design(["a", "b", "c", "d"], 5, "leave-one-out", np.random.default_rng(0))[0]
    array([1., 1., 1., 1.])
    """
    if isinstance(tasks, str):
        raise TypeError(f"tasks is the text {tasks!r}; give a list of names or their number.")
    names = [] if isinstance(tasks, int | np.integer) else [str(t) for t in tasks]
    if doubled := sorted({t for t in names if names.count(t) > 1}):
        raise ValueError(f"tasks names {doubled[0]!r} twice; give every task its own name.")
    K, runs = _sizes(int(tasks) if isinstance(tasks, int | np.integer) else len(names), runs)
    if runs < 1:
        raise ValueError(f"runs is {runs}; give at least one run.")
    if question not in QUESTIONS:
        raise ValueError(f"question is {question!r}; choose one of {', '.join(QUESTIONS)}.")
    if question == "mixture":
        return dirichlet(K, runs, rng, exclude=exclude)
    out = np.vstack([_excluded(exclude, K), np.zeros((1, K), dtype=np.uint8)])
    if question == "leave-one-out":
        p = float(np.clip(1 - 2 / K, 0.75, 0.95))
        full = np.ones((1, K))
        lead = full[: 0 if (out == 1).all(axis=1).any() else 1]
        rest = bernoulli(K, runs - len(lead), rng, p=p, exclude=np.vstack([out, full]))
        return np.vstack([lead, rest])
    if question == "shapley":
        return stratified(K, runs, rng, sizes=range(1, K + 1), exclude=out)
    if question == "selection":
        return bernoulli(K, runs, rng, p=0.5, exclude=out)
    return antithetic(K, runs, rng, exclude=out)


def _sizes(K: int, m: int) -> tuple[int, int]:
    for name, value, least in (("K", K, 1), ("m", m, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name} is {value!r}; give a whole number.")
        if value < least:
            raise ValueError(f"{name} is {value}; give at least {least}.")
    return int(K), int(m)


def _generator(rng: np.random.Generator) -> np.random.Generator:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {rng!r}; pass a numpy Generator such as np.random.default_rng(0).")
    return rng


def _subsets(n: int) -> np.ndarray:
    """All masks of n tasks in binary order, the first task being the highest bit: (2^n, n) uint8."""
    return ((np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1).astype(np.uint8)


def _excluded(exclude: ArrayLike | None, K: int) -> np.ndarray:
    if exclude is None:
        return np.zeros((0, K), dtype=np.uint8)
    out = np.atleast_2d(np.asarray(exclude, dtype=float))
    if out.size == 0:
        return np.zeros((0, K), dtype=np.uint8)
    if out.ndim != 2 or out.shape[1] != K or not np.isin(out, (0, 1)).all():
        raise ValueError(f"exclude has shape {out.shape}; give masks of 0 and 1 with shape (n, {K}).")
    return out.astype(np.uint8)


def _keys(masks: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in np.packbits(masks.astype(np.uint8), axis=1)}


def _from_list(
    listed: np.ndarray,
    logp: np.ndarray,
    m: int,
    rng: np.random.Generator,
    taken: set[bytes],
    name: str,
    what: str = "masks",
) -> np.ndarray:
    """Draw m of the listed masks without replacement, with probabilities proportional to exp(logp)."""
    if taken:
        keep = np.array([row.tobytes() not in taken for row in np.packbits(listed, axis=1)])
        listed, logp = listed[keep], logp[keep]
    if len(listed) < m:
        _say_fewer(len(listed), m, name, what)
    order = np.argsort(-(logp + rng.gumbel(size=len(listed))), kind="stable")
    return listed[order[:m]].astype(float)


def _distinct(
    draw: Callable[[int], np.ndarray],
    m: int,
    taken: set[bytes],
    name: str,
    *,
    mirrored: bool = False,
    what: str = "masks",
) -> np.ndarray:
    """Draw until m masks are distinct; with `mirrored`, a mask and its complement count as one."""
    taken, found, drawn = set(taken), [], 0
    while len(found) < m and drawn < _DRAWS:
        masks = draw(min(max(2 * (m - len(found)), 256), 65536))
        drawn += len(masks)
        keys = [row.tobytes() for row in np.packbits(masks, axis=1)]
        partners = [row.tobytes() for row in np.packbits(1 - masks, axis=1)] if mirrored else keys
        for mask, key, partner in zip(masks, keys, partners, strict=True):
            if key not in taken and len(found) < m:
                found.append(mask)
                taken.update((key, partner))
    if len(found) < m:
        _say_fewer(len(found), m, f"{name} after {drawn:,} draws", what)
    return np.array(found, dtype=float) if found else np.zeros((0, draw(1).shape[1]))


def _say_fewer(found: int, asked: int, name: str, what: str = "masks") -> None:
    message = f"{name}: only {found} distinct {what} to be had, {asked} were asked for; all {found} are returned."
    log.info(message)
    warnings.warn(message, UserWarning, stacklevel=4)
