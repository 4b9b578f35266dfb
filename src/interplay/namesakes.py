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

__all__ = ["around", "namesakes", "near", "own", "without"]

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
    """Which targets are called like a task, ``(K, T)``: without what all names of a kind share, or beside a slash.

    Names that are numbers say nothing.

    Examples
    --------
    >>> own(["train_wiki", "train_code"], ["valid_code", "valid_wiki"]).astype(int).tolist()
    [[0, 1], [1, 0]]
    >>> own(["gsm8k", "wiki"], ["loss/gsm8k", "loss", "Wiki"]).astype(int).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    short = lambda names: zip(names, without(names, around(names)), strict=True)
    said = [_plain(forms) for forms in short(tasks)]
    measured = [_plain((*forms, *forms[0].split("/"))) for forms in short(targets)]
    return np.array([[bool(one & other) for other in measured] for one in said])


def _plain(forms: Sequence[str]) -> set[str]:
    """Names as they are compared; without those that are numbers."""
    return {plain for form in forms if (plain := "".join(_words(form))) and not plain.isdigit()}


def around(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator; '' and '' where that would leave nothing of one."""
    if len(names) < 2:
        return "", ""
    start = _common(names)
    end = _common([name[len(start) :][::-1] for name in names])[::-1]
    return ("", "") if any(len(name) == len(start) + len(end) for name in names) else (start, end)


def without(names: Sequence[str], ends: tuple[str, str]) -> list[str]:
    """Names without what all of them begin and end with."""
    start, end = map(len, ends)
    return [name[start : len(name) - end] for name in names]


def _common(names: Sequence[str]) -> str:
    """What all names begin with, up to a separator."""
    least, most = min(names), max(names)
    n = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))
    return least[: max((least.rfind(separator, 0, n) for separator in "/_.:- "), default=-1) + 1]


def _words(name: str) -> list[str]:
    """The words of a name, without case, separators and plural."""
    parts = [part for part in re.split(r"[-_ ./:]+", name.lower()) if part] or [name]
    return [part.removesuffix("s") if len(part) > BEGINS - 1 else part for part in parts]
