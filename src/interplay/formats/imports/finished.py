"""Which rows of a log are runs to take: those that finished, under names that are theirs alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, listed
from .cells import holds, looked_up, texts
from .draft import Left, counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["finished", "named", "once", "with_values"]


def once(frame: pd.DataFrame, run: str | None, apart: str | None) -> tuple[list[bool], list[Left]]:
    """Tell which rows are taken: of those that are alike, cell for cell, the first where they are of one run.

    Parameters
    ----------
    frame : DataFrame
    run, apart : str or None
        Columns of the names and of what tells two of one name apart. Without the latter, names must tell all other
        rows apart for two alike to be one run that is there twice.
    """
    column = apart or run
    again = frame.astype(str).duplicated().tolist() if column else []
    if column is None or not any(again):
        return [True] * len(frame), []
    names = texts(frame[column])
    first = [name for name, twice in zip(names, again, strict=True) if not twice]
    if apart is None and len(set(first)) < len(first):
        return [True] * len(frame), []
    called = list(dict.fromkeys(name for name, twice in zip(names, again, strict=True) if twice))
    left = Left(counted(sum(again), "row", called), "there twice, cell for cell; taken once")
    return [not twice for twice in again], [left]


def named(frame: pd.DataFrame, run: str | None, apart: str | None) -> tuple[list[str], list[str]]:
    """Name each row; rows of one name are told apart by their identity, or by a number, which is said.

    Returns
    -------
    names : list of str (m,)
    warnings : list of str
    """
    called = texts(frame[run]) if run else [f"row {i + 1}" for i in range(len(frame))]
    identity = texts(frame[apart]) if apart else [""] * len(frame)
    called = [name or one or f"row {i + 1}" for i, (name, one) in enumerate(zip(called, identity, strict=True))]
    counted = Counter(called)
    names = [
        f"{n} ({one})" if counted[n] > 1 and one and one != n else n for n, one in zip(called, identity, strict=True)
    ]
    twice = [n for n, count in Counter(names).items() if count > 1]
    met: Counter[str] = Counter()
    for i, name in enumerate(names):
        if name in twice:
            met[name] += 1
            names[i] = f"{name} ({met[name]})"
    if not twice:
        return names, []
    return names, [f"several runs are called {listed([*map(repr, twice)], 3)}: they may be one run that was resumed"]


def finished(
    frame: pd.DataFrame,
    names: Sequence[str],
    columns: Mapping[str, str],
    where: Mapping[str, str],
    state: str | None,
    good: Sequence[str],
    reasons: Mapping[str, str],
) -> tuple[list[bool], list[Left]]:
    """Tell which rows are taken: those that `where` asks for and that finished.

    Parameters
    ----------
    frame, names
    columns : mapping of str to str
        Columns by the names that `where` may use.
    where : mapping of str to str
    state : str or None
        Column of states; where `where` names it, all that it asks for are taken.
    good : sequence of str
        States of runs that finished.
    reasons : mapping of str to str
        What more is to be said of other states.
    """
    keep, left = [True] * len(frame), []
    asked = {looked_up(wanted, columns, "--where"): value for wanted, value in where.items()}
    for name, value in asked.items():
        held = holds(frame, columns[name], value)
        if not any(held):
            there = listed([repr(t) for t in dict.fromkeys(texts(frame[columns[name]]))], 5)
            raise EvaluationsError(f"--where {name}={value}: no run has this; {name} is {there}.")
        for i in range(len(frame)):
            if keep[i] and not held[i]:
                keep[i] = False
                left.append(Left(f"run {names[i]!r}", f"--where {name}={value} does not hold"))
    if state is None or state in {columns[name] for name in asked}:
        return keep, left
    for i, text in enumerate(texts(frame[state])):
        if keep[i] and text and text.lower() not in good:
            keep[i] = False
            more = reasons.get(text.lower(), "")
            left.append(Left(f"run {names[i]!r}", f"its state is {text!r}" + (f": {more}" if more else "")))
    return keep, left


def with_values(
    frame: pd.DataFrame, names: Sequence[str], columns: Sequence[str], what: str
) -> tuple[list[bool], list[Left]]:
    """Tell which rows hold a value in some of these columns; of others it is said that they have none."""
    held: Any = frame[list(columns)]
    there = held.notna().any(axis=1).tolist()
    return there, [
        Left(f"run {n!r}", f"no value of any {what}") for n, yes in zip(names, there, strict=True) if not yes
    ]
