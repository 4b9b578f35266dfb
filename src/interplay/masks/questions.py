"""Masks to run for a question, before anything is known of the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..draws import excluded, sizes_of
from ..repeats import first_of_each
from .drawn import antithetic, bernoulli, dirichlet, stratified

#: Questions that `design` knows, with the words the command line shows.
QUESTIONS: dict[str, str] = {
    "leave-one-out": "the full mask, then near-full masks with p = 1 - 2/K, kept within .75 and .95",
    "shapley": "as many masks of each size, from the full mask to single tasks",
    "banzhaf": "p = 1/2 in antithetic pairs: a mask and its complement",
    "pairs": "p = 1/2 in antithetic pairs: a mask and its complement",
    "selection": "p = 1/2",
    "mixture": "weights on the simplex from a flat Dirichlet distribution",
}


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
