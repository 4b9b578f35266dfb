"""The data sets of a fine-tuning, read, and compared with each other: what is in two of them is in neither's effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from .examples import Examples, Rows, read_rows
from .labels import Labels

__all__ = ["cuts", "overlaps", "read_sets"]


def read_sets(data: Mapping[str, Any], argument: str, columns: Mapping[str, str], labels: Labels | None) -> list[Rows]:
    """Read a mapping of names to data sets, for a classifier with its labels; `argument` names it in messages."""
    if not isinstance(data, Mapping):
        raise TypeError(f"{argument} is a {type(data).__name__}; pass a mapping of names to data sets.")
    if not data:
        raise ValueError(f"{argument} is empty; pass at least one data set.")
    return [read_rows(rows, str(name), argument, columns, labels) for name, rows in data.items()]


def overlaps(sources: Sequence[Rows], targets: Sequence[Rows]) -> list[str]:
    """Say which examples two sources share, or a source and a target.

    Raises
    ------
    ValueError
        If two of them hold the same examples throughout.
    """
    counts = {id(rows): Counter(zip(rows.prompts, rows.answers, strict=True)) for rows in (*sources, *targets)}
    said = []
    for first, second, where in _pairs(sources, targets):
        a, b = counts[id(first)], counts[id(second)]
        if a == b:
            raise ValueError(
                f"datasets[{first.name!r}] and {where}[{second.name!r}] are identical ({a.total()} examples); leave "
                "one out, or give it examples of its own."
            )
        if shared := (a & b).total():
            effect = "one can stand in for the other" if where == "datasets" else "the target rewards learning by heart"
            said.append(
                f"datasets[{first.name!r}] and {where}[{second.name!r}] share {shared} examples (of {a.total()} and "
                f"{b.total()}): {effect}. Remove them from one."
            )
    return said


def cuts(examples: Examples, argument: str) -> list[str]:
    """Say which answers and prompts were cut by the length limit."""
    found = []
    for name in examples.names:
        if n := examples.cut[name]:
            found.append(f"{argument}[{name!r}]: {n} answers are longer than max_length and were cut off at their end.")
        if n := examples.shortened[name]:
            found.append(f"{argument}[{name!r}]: {n} prompts lost tokens at their beginning (max_length).")
    return found


def _pairs(sources: Sequence[Rows], targets: Sequence[Rows]) -> Iterator[tuple[Rows, Rows, str]]:
    yield from ((a, b, "datasets") for a, b in combinations(sources, 2))
    yield from ((a, b, "targets") for a in sources for b in targets)
