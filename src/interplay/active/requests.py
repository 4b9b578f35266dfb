"""What is asked of `propose` beside its question: ways of choosing, surrogates, masks and mixtures to start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import EvaluationsError
from ..fitting import Design

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


def surrogate_for(asked_for: str, question: str, design: Design) -> str:
    """What is fitted: the stack where ridge alone, in which tasks only add up, has no say on what is asked."""
    if question != "pairs":
        return asked_for
    if asked_for == "ridge":
        raise ValueError("surrogate='ridge' (--surrogate): tasks only add up in it, it has no pairs. Take 'kernel'.")
    return "kernel" if asked_for == "auto" and design.at is None else asked_for


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
