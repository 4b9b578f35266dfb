"""Which settings of logged runs are sources: named with ``--tasks``, or recognised by what they sum to.

A group of settings whose names begin alike is taken where its shares sum to one in every run, or where all of it is 0
or 1; where two such groups are there, or none, the user is asked. Nothing is guessed from names alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import NamedTuple

import numpy as np

from ...fields import EvaluationsError, listed
from ...kinds import SIMPLEX_TOLERANCE
from ..csv import odd_number

__all__ = ["Group", "ask", "completed", "groups", "recognised"]

_SEPARATORS = re.compile(r"[/.:_-]")
#: So many settings of 0 and 1 are taken for sources; two may be two switches of a program.
_FEWEST_SWITCHES = 3


class Group(NamedTuple):
    """Settings that may be the sources: their names, the glob that stands for them, and what speaks for it."""

    names: tuple[str, ...]
    glob: str
    why: str


def groups(numbers: Mapping[str, np.ndarray]) -> list[Group]:
    """Find the groups of settings that may be sources.

    Parameters
    ----------
    numbers : mapping of str to array (m,)
        Settings that are numbers; NaN where a run has none.

    Examples
    --------
    >>> a = np.array([0.2, 0.7])
    >>> [group.glob for group in groups({"data/wiki": a, "data/code": 1 - a, "lr": a})]
    ['data/*']
    """
    shares, switches = [], []
    for prefix, names in _by_prefix(numbers):
        held = np.column_stack([numbers[name] for name in names])
        held = held[~np.isnan(held).all(axis=1)]
        if not len(held) or (held == held[:1]).all():
            continue
        if _shares(held):
            shares.append(Group(names, prefix + "*", f"{len(names)} settings that sum to one"))
        elif prefix and _switches(held):
            switches.append(Group(names, prefix + "*", f"{len(names)} settings that are 0 or 1"))
    return _smallest(shares) or _largest(switches)


def recognised(
    numbers: Mapping[str, np.ndarray],
    name: str,
    runs: Sequence[str] = (),
    words: Mapping[str, Sequence[str]] | None = None,
) -> Group:
    """Return the one group of settings that are sources.

    Parameters
    ----------
    numbers : mapping of str to array (m,)
        Settings that are numbers; NaN where a run has none.
    name : str
        Of the file.
    runs : sequence of str (m,), optional
    words : mapping of str to sequence of str (m,), optional
        Settings that are no numbers, for the error where no group is found.

    Raises
    ------
    EvaluationsError
        Where there is none, or several.
    """
    found = groups(numbers)
    if len(found) == 1:
        return found[0]
    raise ask(found, numbers, name, [*_near(numbers, runs), *_unread(words or {})])


def ask(
    found: Sequence[Group], numbers: Mapping[str, np.ndarray], name: str, hints: Sequence[str] = ()
) -> EvaluationsError:
    """Return the error that asks for --tasks and lists what could be meant."""
    if found:
        could = listed([f"--tasks {quote(g.glob)} ({g.why})" for g in found], 4)
        return EvaluationsError(f"{name}: several groups of settings could be the sources. Choose one: {could}.")
    varying = [n for n, held in numbers.items() if len(np.unique(held)) > 1]
    hint = f"Numbers that vary between runs: {listed(varying, 12)}." if varying else ""
    hint = " ".join([*hints[:3], *([hint] if hint else [])]) or "No setting of them varies."
    return EvaluationsError(
        f"{name} does not say which settings are sources: no group of them sums to one in every run, nor is 0 or 1. "
        f"Name them with --tasks (repeatable, globs such as 'data/*'), or give --mixtures. {hint}"
    )


def _near(numbers: Mapping[str, np.ndarray], runs: Sequence[str]) -> list[str]:
    """What is wrong with groups of shares that sum to one in most runs: which runs do not, and what they lack."""
    said = []
    for prefix, names in _by_prefix(numbers):
        held = np.column_stack([numbers[name] for name in names])
        off = np.abs(np.nansum(held, axis=1) - 1) > SIMPLEX_TOLERANCE
        if not prefix or np.nanmin(held) < 0 or not 0 < off.sum() < len(held) / 2 or len(runs) != len(held):
            continue
        i = int(np.flatnonzero(off)[0])
        lacking = [name for name, gap in zip(names, np.isnan(held[i]), strict=True) if gap]
        lack = f", where {listed(lacking, 3)} {'is' if len(lacking) == 1 else 'are'} not stated" if lacking else ""
        otherwise = "" if lacking else f", or take them as they are with --tasks {quote(f'{prefix}*')}"
        said.append(
            f"'{prefix}*' sum to one in {int((~off).sum())} of {len(held)} runs, but to {np.nansum(held[i]):.3g} in "
            f"run {runs[i]!r}{lack}: correct that run or take it out of the file{otherwise}."
        )
    return said


def _unread(words: Mapping[str, Sequence[str]]) -> list[str]:
    """Settings that a person reads as numbers and that are none."""
    for name, cells in words.items():
        held = [cell for cell in cells if cell]
        if odd := next((cell for cell in held if odd_number(cell)), None):
            return [f"{name} holds {odd[:40]!r}, and {odd_number(odd)}: write numbers as 0.25."]
    lists = [name for name, cells in words.items() if any(cell[:1] in ("[", "{", "(") for cell in cells)]
    if lists:
        return [f"No map of names to numbers: {listed(lists, 3)}; write {{'web': 0.3, 'code': 0.7}}."]
    return []


def completed(held: np.ndarray) -> tuple[np.ndarray, int]:
    """Fill gaps in shares (m, K) with 0 where every run then sums to one; return them and how many were filled."""
    gaps = np.isnan(held)
    if not gaps.any() or not _shares(held):
        return held, 0
    return np.where(gaps, 0.0, held), int(gaps.sum())


def _by_prefix(numbers: Mapping[str, np.ndarray]) -> list[tuple[str, tuple[str, ...]]]:
    """Names by what they begin with, up to a separator; of equal groups the one with the longest beginning."""
    prefixes: dict[str, list[str]] = {"": list(numbers)}
    for name in numbers:
        for found in _SEPARATORS.finditer(name):
            if found.end() < len(name):
                prefixes.setdefault(name[: found.end()], []).append(name)
    longest: dict[tuple[str, ...], str] = {}
    for prefix, names in prefixes.items():
        if len(names) >= 2:
            longest[tuple(names)] = max(longest.get(tuple(names), ""), prefix, key=len)
    return [(prefix, names) for names, prefix in longest.items()]


def _shares(held: np.ndarray) -> bool:
    there = held[~np.isnan(held)]
    if not np.isfinite(there).all() or (there < 0).any():
        return False
    return bool((np.abs(np.nansum(held, axis=1) - 1) <= SIMPLEX_TOLERANCE).all())


def _switches(held: np.ndarray) -> bool:
    if not np.isin(held, (0, 1)).all():
        return False
    return int((held.min(axis=0) != held.max(axis=0)).sum()) >= _FEWEST_SWITCHES


def _smallest(found: list[Group]) -> list[Group]:
    """Groups that hold no other one: what is in the larger alone is 0 in every run."""
    return [g for g in found if not any(set(other.names) < set(g.names) for other in found)]


def _largest(found: list[Group]) -> list[Group]:
    """Groups that lie in no other one: parts of a group of switches are switches too."""
    return [g for g in found if not any(set(other.names) > set(g.names) for other in found)]
