"""What is asked of `propose` beside its question: ways of choosing, surrogates, masks and mixtures to start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import EvaluationsError
from ..fitting import Design
from ..surrogates.choice import ASKED

Array = NDArray[np.float64]
HOW = ("auto", "variance", "knowledge-gradient", "thompson", "factorial", "d-optimal", "repeats")


def starting_point(given_: ArrayLike, kind: str, K: int, name: str = "reference") -> Array:
    """Read the mixture that moves start from, or the mask that a factorial stays around, array (K,)."""
    w = np.asarray(given_, dtype=float)
    if kind == "mask" and name == "reference":
        raise EvaluationsError("reference is where moves of mixtures start; the runs are masks. Leave it out.")
    if w.shape != (K,):
        raise EvaluationsError(f"{name} has shape {w.shape}; give one number for each of the {K} tasks.")
    if kind == "mixture" and (w.min() < 0 or abs(w.sum() - 1.0) > 0.01):
        raise EvaluationsError(f"{name} sums to {w.sum():g}; a mixture has weights >= 0 that sum to 1.")
    if kind == "mask" and not np.isin(w, (0, 1)).all():
        raise EvaluationsError(f"{name} is no mask of 0 and 1; give one entry for each task.")
    return w / w.sum() if kind == "mixture" else w


def whole(value: Any, name: str, least: int) -> int:
    """A number of runs.

    Raises
    ------
    TypeError, ValueError
        For what is no whole number, or one below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r} (--{name}); give a whole number of runs >= {least}.")
    if value < least:
        few = "at least one run" if least == 1 else f"a whole number of runs >= {least}"
        raise ValueError(f"{name} is {value} (--{name}); give {few}.")
    return int(value)


def checked_surrogate(asked_for: str, question: str) -> str:
    """The surrogate, if there is such a one and it has a say on the question."""
    if asked_for not in ASKED:
        raise ValueError(f"surrogate={asked_for!r} (--surrogate); choose {', '.join(map(repr, ASKED))}.")
    if asked_for == "ridge" and question == "pairs":
        raise ValueError("surrogate='ridge' (--surrogate): tasks only add up in it, it has no pairs. Take 'kernel'.")
    return asked_for


def surrogate_for(asked_for: str, question: str, design: Design) -> str:
    """What is fitted: the stack where ridge alone, in which tasks only add up, has no say on what is asked."""
    checked_surrogate(asked_for, question)
    stack = question == "pairs" and asked_for == "auto" and design.at is None
    return "kernel" if stack else asked_for


def check_effect(
    how: str,
    question: str,
    *,
    among: Any = None,
    incumbent: Any = None,
    reference: Any = None,
    cost: Any = None,
    repeats: bool = True,
) -> None:
    """Refuse what would have no effect on how runs are chosen, ``how`` being definite.

    Raises
    ------
    ValueError
    """
    for name, given_ in (("among= (--among)", among), ("incumbent=", incumbent)):
        if given_ is not None and how != "factorial":
            raise ValueError(
                f"{name} is for a factorial, and how is {how!r}; leave it out, or ask for 'pairs' of masks with "
                "how='factorial' (--for pairs --how factorial)."
            )
    if reference is not None and question == "selection":
        raise ValueError("reference= is where moves start, and a selection looks for the best mixture; leave it out.")
    if cost is not None and how == "thompson":
        raise ValueError(
            "cost= has no part in how='thompson', which takes the best of each draw; leave it out, or take "
            "how='knowledge-gradient', whose gains are per cost."
        )
    if how == "repeats" and not repeats:
        raise ValueError(
            "repeats=False (--no-repeats) rules out all that how='repeats' (--how repeats) proposes; leave one out."
        )


def checked_how(how: str, question: str, kind: str) -> str:
    """The way in which runs are chosen, if there is such a one for the question; 'auto' is made definite."""
    if how not in HOW:
        raise ValueError(f"how is {how!r} (--how); choose one of {', '.join(HOW)}.")
    fits = {
        "variance": question != "selection",
        "knowledge-gradient": question == "selection",
        "thompson": question == "selection",
        "factorial": question == "pairs" and kind == "mask",
        "d-optimal": kind == "mixture" and question != "selection",
        "repeats": True,
    }
    if how == "auto":
        return "knowledge-gradient" if question == "selection" else "variance"
    if not fits[how]:
        known_ = [name for name, ok in fits.items() if ok]
        raise ValueError(
            f"how is {how!r} (--how), which is not for {question} of {kind}s; choose {' or '.join(known_)}."
        )
    return how


def start_for(question: str) -> str:
    """The design to start a question from."""
    return (
        question
        if question in ("leave-one-out", "shapley", "banzhaf", "pairs", "selection", "mixture")
        else ("leave-one-out")
    )
