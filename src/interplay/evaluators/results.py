"""One result {target: number} as one row F(s) (T,): every evaluation must measure the same targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..training import WAYS
from .failures import EvaluationFailed

__all__ = ["ALONE", "notes_of", "row_of"]

#: Name of the target where a function returns a bare number and no name was given.
ALONE = "target"


def row_of(result: Any, targets: Sequence[str] | None, who: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return targets and row (T,) of a result, checked.

    Parameters
    ----------
    result : mapping of str to number
        Numbers may be NumPy scalars, or arrays and tensors without dimensions.
    targets : sequence of str or None
        The targets that must be there, no more and no fewer; None takes those of the result, in its order.
    who : str
        Who returned it, for messages.

    Raises
    ------
    EvaluationFailed
        If a target is missing, extra, no number or not finite.

    Examples
    --------
    >>> row_of({"loss": 0.5, "acc": 1}, None, "the function")
    (('loss', 'acc'), array([0.5, 1. ]))
    """
    if not isinstance(result, Mapping):
        raise EvaluationFailed(
            f"{who} returned {_shown(result)}; it must return the value of every target, such as {{'loss': 0.25}}."
        )
    if strange := [name for name in result if not isinstance(name, str)]:
        raise EvaluationFailed(f"{who} returned a value for {strange[0]!r}; names of targets are strings.")
    if not result:
        raise EvaluationFailed(f"{who} returned no target; it must return at least one, such as {{'loss': 0.25}}.")
    names = tuple(result) if targets is None else tuple(targets)
    for word, which in (
        ("lacks", [name for name in names if name not in result]),
        ("has the unexpected", [name for name in result if name not in names]),
    ):
        if which:
            raise EvaluationFailed(
                f"the result of {who} {word} target{'s' if len(which) > 1 else ''} {', '.join(map(repr, which))}; "
                f"every evaluation must measure {', '.join(map(repr, names))}, and nothing else."
            )
    return names, np.array([_number(result[name], name, who) for name in names])


def notes_of(coupled: bool | None, absent_tasks: str | None) -> dict[str, Any]:
    """Return the facts that a user stated of the runs, checked.

    Examples
    --------
    >>> notes_of(True, "fixed-steps")
    {'coupled': True, 'absent_tasks': 'fixed_steps'}
    """
    notes: dict[str, Any] = {}
    if coupled is not None:
        if not isinstance(coupled, bool):
            raise ValueError(f"coupled is {coupled!r}; use True or False, or None where it is not known.")
        notes["coupled"] = coupled
    if absent_tasks is not None:
        way = str(absent_tasks).replace("-", "_")
        if way not in WAYS:
            known = "; ".join(f"'{word}' ({meaning})" for word, meaning in WAYS.items())
            raise ValueError(f"absent_tasks is {absent_tasks!r}; use {known}; or None where it is not known.")
        notes["absent_tasks"] = way
    return notes


def _number(value: Any, name: str, who: str) -> float:
    if value is None or isinstance(value, str | bytes | complex) or getattr(value, "ndim", 0):
        raise EvaluationFailed(f"target {name!r} in the result of {who} is {_shown(value)}; it must be one number.")
    try:
        number = float(value.detach() if hasattr(value, "detach") else value)
    except Exception:
        raise EvaluationFailed(
            f"target {name!r} in the result of {who} is {_shown(value)}; it must be one number."
        ) from None
    if not math.isfinite(number):
        raise EvaluationFailed(
            f"target {name!r} in the result of {who} is {number}; a training that diverged? Lower its learning rate, "
            "or leave that mask out."
        )
    return number


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if getattr(value, "ndim", 0):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, str | int | float | list | dict) and len(repr(value)) < 60:
        return f"{value!r} ({type(value).__name__})"
    return f"a {type(value).__name__}"
