"""What the next runs are for: the functionals of each question, and what they are called.

masks     leave-one-out, groups, pairs (at the full mask where the runs lie near it, else Banzhaf), shapley, banzhaf;
          swap (having a task rather than another in sets of the one size that all runs have)
mixtures  mixture (moves towards each task), groups (removals), pairs (of moves)

and selection, which is no mean over functionals but one point, the best (`selection`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..fields import EvaluationsError, match
from ..kinds import size_of_all
from ..readings import questions as readings
from ..readings.functional import Combination, Functional
from ..readings.nodes import semivalue_nodes, shapley_nodes, size_nodes
from ..readings.sets import SetEffects, SetPairs

if TYPE_CHECKING:
    from ..formats.points import Points

Array = NDArray[np.float64]
MASKS = ("leave-one-out", "groups", "pairs", "shapley", "banzhaf", "swap", "selection")
MIXTURES = ("mixture", "groups", "pairs", "selection")
QUESTIONS = tuple(dict.fromkeys((*MASKS, *MIXTURES)))
MOST_PAIRS = 1000  # that stand for all where there are more
DELTA = readings.DELTA


@dataclass(frozen=True, eq=False)
class Asked:
    """A question about K tasks.

    Attributes
    ----------
    name, words : str
    functional : Functional or None
        None for selection.
    names : tuple of str (n,)
        Of the functionals.
    reference : array (K,)
        The full mask, or the mixture that moves start from.
    sets : array (g, K)
        Groups of a question about groups; no rows otherwise.
    blocks : array (K,) of int or None
        The phase of each task of mixtures.
    """

    name: str
    words: str
    functional: Functional | None
    names: tuple[str, ...]
    reference: Array
    sets: Array
    blocks: NDArray[np.int64] | None = None


def check(question: Any, kind: str) -> str:
    """The question, if there is such a one for this kind of runs.

    Raises
    ------
    EvaluationsError
        For an unknown question, or one that the kind has no meaning for.
    """
    if question not in QUESTIONS:
        raise EvaluationsError(f"question is {question!r} (--for); choose one of {', '.join(QUESTIONS)}.")
    if kind not in ("mask", "mixture"):
        raise EvaluationsError(
            f"the runs are {kind}; next runs are proposed for masks and mixtures. State kind 'mask' or 'mixture' if "
            "they are that, or normalise each row to sum 1."
        )
    known, one, other = (MASKS, "masks", "mixtures") if kind == "mask" else (MIXTURES, "mixtures", "masks")
    if question not in known:
        raise EvaluationsError(
            f"question is {question!r} (--for), which is asked of {other}, and the runs are {one}; choose one of "
            f"{', '.join(known)}."
        )
    return question


def asked(
    question: str,
    kind: str,
    X: Array,
    tasks: Sequence[str],
    rng: np.random.Generator,
    *,
    groups: Points | Mapping[str, Sequence[str]] | None = None,
    reference: Array | None = None,
    blocks: NDArray[np.int64] | None = None,
) -> Asked:
    """Put a question, see `propose`.

    Parameters
    ----------
    question : str
        That `check` let through.
    kind : {'mask', 'mixture'}
    X : array (m, K)
        The runs.
    tasks : sequence of str (K,)
    rng : numpy.random.Generator
        Draws the pairs that stand for all where there are very many.
    groups, reference, blocks : optional
    """
    K, full = len(tasks), np.ones(len(tasks))
    w = full if kind == "mask" else X.mean(axis=0) / X.mean(axis=0).sum() if reference is None else reference
    if (question == "groups") != (groups is not None):
        raise EvaluationsError(
            "question='groups' needs the groups: groups={'name': [tasks]} (--groups FILE)."
            if groups is None
            else f"groups= (--groups) are given and the question is {question!r}; ask for 'groups', or leave them out."
        )
    if question == "pairs" and K < 2:
        raise EvaluationsError("question='pairs' needs two tasks; the runs have one.")
    names, sets = (tuple(tasks), np.zeros((0, K))) if groups is None else memberships(groups, tasks)
    eye, functional = np.eye(K), None
    match question, kind:
        case "leave-one-out", _:
            functional, words = _differences(full, full - eye), "leaving one task out of all"
        case "groups", "mask":
            functional, words = _differences(full, full * (1.0 - sets)), "leaving a group out of all tasks"
        case "groups", _:
            left = w * (1.0 - sets)
            if (lost := left.sum(axis=1) <= 0).any():
                raise EvaluationsError(
                    f"group {names[int(lost.argmax())]!r} leaves no weight in the mixture; shrink it."
                )
            words = "removing a group of the mixture and renormalising"
            functional = _differences(w, left / left.sum(axis=1, keepdims=True))
        case "shapley", _:
            functional, words = SetEffects(shapley_nodes(K, 2), eye), "Shapley values"
        case "banzhaf", _:
            functional = SetEffects(semivalue_nodes(np.array([0.5]), np.ones(1), 2), eye)
            words = "Banzhaf values (adding a task to a random half of the others)"
        case "swap", _:
            size = _one_size(X)
            linear = eye - (1.0 - eye) / (K - 1)
            functional = SetEffects(size_nodes(K, size, 2), linear)
            words = f"having a task rather than another in sets of {size}"
        case "mixture", _:
            functional = _differences(w, _moves(w, blocks))
            words = f"moving {DELTA:.0%} of the weight towards a task, off all others in proportion"
        case "pairs", _:
            functional, names, words = _pairs(kind, X, w, tasks, rng, blocks)
        case _:
            words = "the best " + ("subset" if kind == "mask" else "mixture")
    return Asked(question, words, functional, names, w, sets, blocks)


def memberships(groups: Points | Mapping[str, Sequence[str]], tasks: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """Names and 0/1 memberships (g, K) of groups."""
    if not isinstance(groups, Mapping):
        return groups.names, groups.weights
    sets = np.zeros((len(groups), len(tasks)))
    for i, (name, members) in enumerate(groups.items()):
        for task in match(members, tasks, f"task (of group {name!r})"):
            sets[i, list(tasks).index(task)] = 1.0
    if not len(sets) or not sets.any(axis=1).all():
        raise EvaluationsError("groups= (--groups) holds no group, or one without a task; name the tasks of each.")
    return tuple(groups), sets


def _one_size(X: Array) -> int:
    """Number of tasks that every mask of X (m, K) holds."""
    size, K = size_of_all(X), X.shape[1]
    if size is None or not 0 < size < K:
        sizes = X.sum(axis=1)
        held = f"{sizes.min():g} to {sizes.max():g}" if size is None else f"{size}"
        raise EvaluationsError(
            f"question='swap' (--for swap) is about sets of one size between 1 and {K - 1}, and the runs hold {held} "
            f"of {K} tasks; ask for leave-one-out, shapley or banzhaf."
        )
    return size


def _differences(one: Array, others: Array) -> Combination:
    """g(one) - g(others), functionals by row."""
    return Combination(np.array([1.0, -1.0]), np.stack([np.tile(one, (len(others), 1)), others]))


def _moves(w: Array, blocks: NDArray[np.int64] | None) -> Array:
    """Where moves of `readings.move` lead, array (K, K)."""
    together = np.ones((len(w), len(w))) if blocks is None else np.equal.outer(blocks, blocks).astype(float)
    return (1.0 - DELTA * together) * w + DELTA * (together @ w)[:, None] * np.eye(len(w))


def _pairs(
    kind: str, X: Array, w: Array, tasks: Sequence[str], rng: np.random.Generator, blocks: NDArray[np.int64] | None
) -> tuple[Functional, tuple[str, ...], str]:
    K = len(tasks)
    k, l = np.triu_indices(K, 1)
    if len(k) > MOST_PAIRS:
        some = np.sort(rng.permutation(len(k))[:MOST_PAIRS])
        k, l = k[some], l[some]
    names = tuple(f"{tasks[i]} x {tasks[j]}" for i, j in zip(k.tolist(), l.tolist(), strict=True))
    signs, eye, tiled = np.array([1.0, -1.0, -1.0, 1.0]), np.eye(K), np.tile(w, (len(k), 1))
    if kind == "mixture":
        step = _moves(w, blocks) - w
        points = np.stack([w + step[k] + step[l], w + step[k], w + step[l], tiled])
        return Combination(signs, np.maximum(points, 0.0)), names, "pairs of moves of the mixture"
    if X.mean() >= readings.NEAR_FULL:
        points = np.stack([tiled, w - eye[k], w - eye[l], w - eye[k] - eye[l]])
        return Combination(signs, points), names, "pairs of tasks, left out of all"
    nodes = semivalue_nodes(np.array([0.5]), np.ones(1), 3)
    return SetPairs(nodes, K, (k, l)), names, "pairs of tasks, over random halves of the others"
