"""Names that may mean one source: 'wiki' and 'wikipedia', 'Stack-Exchange' and 'stack_exchange', 'book' and 'books'.

Two names are near where their words, without case, separators and plural, are the same, where one begins with the
other, or where difflib finds them alike. Names that differ in a number or a letter (task_1 and task_2, clean_a and
clean_b) count on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

__all__ = ["namesakes", "near", "own"]

ALIKE = 0.8  # share of matching characters
BEGINS = 4  # letters that a shorter name must have in common with the longer one


def namesakes(tasks: Mapping[str, Sequence[str]]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Pairs of tasks that no table holds both of, and whose names are near.

    Parameters
    ----------
    tasks : mapping of names of tables to their tasks

    Returns
    -------
    list of ((task, table), (task, table))
        The one that appears first, with the first table that holds it, comes first; each task is in one pair.
    """
    first: dict[str, str] = {}
    for table, names in tasks.items():
        for name in names:
            first.setdefault(name, table)
    alone = [name for name in first if not all(name in names for names in tasks.values())]
    found = []
    for i, a in enumerate(alone):
        for b in alone[i + 1 :]:
            if not any(a in names and b in names for names in tasks.values()) and (score := near(a, b)):
                found.append((score, a, b))
    taken: set[str] = set()
    pairs = []
    for _, a, b in sorted(found, key=lambda pair: -pair[0]):
        if not {a, b} & taken:
            taken |= {a, b}
            pairs.append(((a, first[a]), (b, first[b])))
    return pairs


def near(a: str, b: str) -> float:
    """How near two names are, from 0 (not at all) to 1 (the same words).

    Examples
    --------
    >>> near("Stack-Exchange", "stack_exchanges"), near("task_1", "task_2"), near("wiki", "wikipedia") > 0
    (1.0, 0.0, True)
    """
    first, second = _words(a), _words(b)
    one, other = "".join(first), "".join(second)
    if one == other:
        return 1.0
    if re.findall(r"\d+", a) != re.findall(r"\d+", b):
        return 0.0
    if len(first) == len(second):
        changed = [(x, y) for x, y in zip(first, second, strict=True) if x != y]
        if len(changed) == 1 and min(map(len, changed[0])) <= 2:
            return 0.0
    score = SequenceMatcher(None, one, other).ratio()
    short, long = sorted((one, other), key=len)
    begins = len(short) >= BEGINS and long.startswith(short)
    return score if begins or score >= ALIKE else 0.0


def own(tasks: Sequence[str], targets: Sequence[str]) -> NDArray[np.bool_]:
    """Which targets are of a task's own name, with or without a measure's name beside a slash: ``(K, T)``.

    Examples
    --------
    >>> own(["gsm8k", "wiki"], ["loss/gsm8k", "loss/all", "Wiki"]).astype(int).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    plain = ["".join(_words(task)) for task in tasks]
    found = np.zeros((len(plain), len(targets)), bool)
    for t, target in enumerate(targets):
        names = {"".join(_words(part)) for part in (target, *target.split("/"))}
        found[:, t] = [name in names for name in plain]
    return found


def _words(name: str) -> list[str]:
    """The words of a name, without case, separators and plural."""
    parts = [part for part in re.split(r"[-_ ./:]+", name.lower()) if part] or [name]
    return [part.removesuffix("s") if len(part) > BEGINS - 1 else part for part in parts]
