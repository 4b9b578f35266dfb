"""Designs: which masks s in {0,1}^K (or mixtures) to evaluate, as float64 arrays with one row per run.

Every design returns distinct rows, drawn without replacement (`draws`). When fewer exist than were asked for, all of
them are returned, with a `UserWarning`.

``exclude`` takes masks (n, K) that must not be drawn: those of the truth, of a test set, or those already run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from .draws import LISTED, draw_distinct, draw_listed, excluded, generator, keys_of, say_fewer, sizes_of, subsets
from .repeats import first_of_each

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

#: Questions that `design` knows, with the words the command line shows.
QUESTIONS: dict[str, str] = {
    "leave-one-out": "the full mask, then near-full masks with p = 1 - 2/K, kept within .75 and .95",
    "shapley": "as many masks of each size, from the full mask to single tasks",
    "banzhaf": "p = 1/2 in antithetic pairs: a mask and its complement",
    "pairs": "p = 1/2 in antithetic pairs: a mask and its complement",
    "selection": "p = 1/2",
    "mixture": "weights on the simplex from a flat Dirichlet distribution",
}


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
        say_fewer(len(found), m, f"dirichlet(K={K}, m={m})")
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

    Notes
    -----
    For leave-one-out the full mask, and masks near it. For Shapley values half of the runs are single tasks, then all
    but one, and the rest of all sizes (benchmark `shapley`). For Banzhaf values and pairs random halves of the tasks,
    each with its complement; for selection random halves.

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
    K, runs = sizes_of(int(tasks) if isinstance(tasks, int | np.integer) else len(names), runs)
    if runs < 1:
        raise ValueError(f"runs is {runs}; give at least one run.")
    if question not in QUESTIONS:
        raise ValueError(f"question is {question!r}; choose one of {', '.join(QUESTIONS)}.")
    if question == "mixture":
        return dirichlet(K, runs, rng, exclude=exclude)
    out = np.vstack([excluded(exclude, K), np.zeros((1, K), dtype=np.uint8)])
    if question == "leave-one-out":
        p = float(np.clip(1 - 2 / K, 0.75, 0.95))
        full = np.ones((1, K))
        lead = full[: 0 if (out == 1).all(axis=1).any() else 1]
        rest = bernoulli(K, runs - len(lead), rng, p=p, exclude=np.vstack([out, full]))
        return np.vstack([lead, rest])
    if question == "shapley":
        ends = _ends(K, runs // 2, rng, out)
        rest = stratified(K, runs - len(ends), rng, sizes=range(1, K + 1), exclude=np.vstack([out, ends]))
        masks = np.vstack([ends, rest])
        return masks[rng.permutation(len(masks))]
    if question == "selection":
        return bernoulli(K, runs, rng, p=0.5, exclude=out)
    return antithetic(K, runs, rng, exclude=out)


def _ends(K: int, most: int, rng: np.random.Generator, exclude: np.ndarray) -> np.ndarray:
    """Draw single tasks, then all but one, array (n, K), n <= ``most``.

    Each of these weighs K - 1 times what a mask of two weighs in Shapley values, and single tasks differ most.
    """
    eye = np.eye(K)
    barred = np.vstack([exclude, np.ones((1, K))])
    listed = np.vstack([barred, eye[rng.permutation(K)], 1.0 - eye[rng.permutation(K)]])
    new = first_of_each(listed)
    return listed[new[new >= len(barred)][:most]]
