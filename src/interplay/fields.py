"""Fields of a table of evaluations: how each is read, checked, and joined to that of another table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from .directions import GUESSED, guess_direction
from .kinds import KINDS, fault

#: What is said of values that are NaN holds this.
UNMEASURED = "not measured"

__all__ = [
    "UNMEASURED",
    "EvaluationsError",
    "MissingFileError",
    "UnknownName",
    "as_column",
    "as_directions",
    "as_floats",
    "as_names",
    "as_notes",
    "checked",
    "difference",
    "enough",
    "enough_measured",
    "frozen",
    "gaps",
    "guessed",
    "joined_notes",
    "listed",
    "match",
    "unknown",
]


class EvaluationsError(ValueError):
    """Bad input: the message says what is wrong, where, and what to do."""


class MissingFileError(EvaluationsError, FileNotFoundError):
    """A file that is not there."""


class UnknownName(EvaluationsError):
    """A name, or a glob, that stands for nothing; its parts for whoever says it in other words.

    Attributes
    ----------
    name : str
    known : tuple of str
        What there is.
    what : str
        What it should be the name of: 'target'.
    of : str
        What should hold it, such as a file; '' where that is plain.
    argument : str
        Which gave the name; '' where that is plain.
    """

    def __init__(self, name: str, known: Sequence[str], what: str, of: str = "", argument: str = ""):
        self.name, self.known, self.what, self.of, self.argument = str(name), tuple(known), what, of, argument
        super().__init__(self.name, self.known, what, of, argument)  # what a pickle keeps

    def __str__(self) -> str:
        n, what = len(self.known), f"{self.what} of {self.of}" if self.of else self.what
        there = f"are {n}, such as {self.near}" if n > 1 else f"is only {self.near}" if n else "is none"
        words = f"no {what} is called {self.name!r}. There {there}."
        return f"{self.argument}: {words}" if self.argument else words

    @property
    def near(self) -> str:
        """The known names that are nearest to it, or the first ones."""
        holding = [other for other in self.known if self.name and self.name.casefold() in other.casefold()][:3]
        close = get_close_matches(self.name, self.known, n=3, cutoff=0.5)
        near = list(dict.fromkeys([*holding, *close]))[: max(3, len(holding))] or self.known[:5]
        return ", ".join(map(repr, near))


def match(
    patterns: str | Sequence[str],
    names: Sequence[str],
    what: str,
    *,
    also: Sequence[str] = (),
    of: str = "",
    argument: str = "",
) -> list[str]:
    """Return the names that patterns (names or globs) stand for, each once, in the order of the patterns.

    A pattern that stands for none of the names, nor for one of those in `also`, is an `UnknownName`, to which `what`,
    `of` and `argument` are handed.
    """
    found: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else [str(p) for p in patterns]:
        hits = [pattern] if pattern in names else [n for n in names if fnmatchcase(n, pattern)]
        if not hits and not any(n == pattern or fnmatchcase(n, pattern) for n in also):
            raise UnknownName(pattern, names, what, of, argument)
        found.update(dict.fromkeys(hits))
    return list(found)


def unknown(name: str, names: Sequence[str], what: str, *, argument: str = "") -> UnknownName:
    """Return the error that says that a name is not among others, and which of them are near it."""
    return UnknownName(name, names, what, argument=argument)


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read every field of a table of evaluations; what breaks one is an error that says where."""
    masks, values = frozen(as_floats(given["masks"], "masks")), frozen(as_floats(given["values"], "values"))
    if masks.ndim != 2 or values.ndim != 2 or len(masks) != len(values):
        raise EvaluationsError(
            f"masks have shape {masks.shape} and values {values.shape}; "
            "give (m, K) and (m, T), one row for each run in both."
        )
    tasks = as_names(given["tasks"], "tasks", masks.shape[1])
    targets = as_names(given["targets"], "targets", values.shape[1])
    kind = given["kind"]
    if kind not in KINDS:
        raise EvaluationsError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    if problem := fault(masks, kind, tasks, row="masks: row"):
        raise EvaluationsError(problem)
    if np.isinf(values).any():
        i, t = np.argwhere(np.isinf(values))[0]
        raise EvaluationsError(
            f"values: row {i} has {values[i, t]:g} for target {targets[t]!r}; values must be "
            "finite. Leave that run out, or give NaN where a target was not measured."
        )
    types = {"fidelity": str, "seed": np.int64, "cost": np.float64, "origin": str}
    rows = {name: frozen(as_column(given[name], name, type_, len(masks))) for name, type_ in types.items()}
    if (rows["fidelity"] == "").any():
        raise EvaluationsError("fidelity is empty in some rows; say 'retrained', 'estimated' or your own word.")
    return {
        "masks": masks,
        "values": values,
        "tasks": tasks,
        "targets": targets,
        "higher_is_better": as_directions(given["higher_is_better"], targets, values),
        **rows,
        "notes": as_notes(given["notes"]),
        "warnings": tuple(dict.fromkeys(str(w) for w in given["warnings"])),
    }


def enough(m: int, least: int, name: str) -> None:
    """Raise an error where a table has fewer runs than `least`."""
    if m < least:
        raise EvaluationsError(
            f"{name} has {m} run{'s' * (m != 1)}; at least {least} are needed to attribute "
            "anything. Add runs: `interplay design` proposes masks."
        )


def enough_measured(values: np.ndarray, targets: Sequence[str], least: int, name: str) -> None:
    """Raise an error where a target of values (m, T) was measured in fewer runs than `least`."""
    measured = (~np.isnan(values)).sum(axis=0)
    for t in np.flatnonzero(measured < least)[:1]:
        raise EvaluationsError(
            f"{name}: target {targets[t]!r} was measured in {measured[t]} of {len(values)} runs; at least {least} are "
            "needed. Leave it out (--target names those to keep), or add runs."
        )


def gaps(values: np.ndarray, targets: Sequence[str]) -> str:
    """Say which values (m, T) were not measured, NaN; '' where all were."""
    missing, m = np.isnan(values).sum(axis=0), len(values)
    short = [f"{targets[t]} on {m - missing[t]} of {m} runs" for t in np.flatnonzero(missing).tolist()]
    were = "1 value was" if missing.sum() == 1 else f"{missing.sum()} values were"
    return f"{were} {UNMEASURED}; fitted on fewer runs: {listed(short)}" if short else ""


def as_directions(given: Any, targets: Sequence[str], values: np.ndarray | None = None) -> tuple[bool, ...]:
    """Read directions: one bool, one for each target, names or globs of those that go up; None: guessed.

    Values (m, T) help to guess.
    """
    if given is None:
        return tuple(bool(guess_direction(t, None if values is None else values[:, j])) for j, t in enumerate(targets))
    if isinstance(given, bool | np.bool_):
        return (bool(given),) * len(targets)
    given = [given] if isinstance(given, str) else list(given)
    if all(isinstance(g, str) for g in given):
        up = set(match(given, targets, "target", argument="higher_is_better"))
        return tuple(t in up for t in targets)
    if len(given) != len(targets):
        raise EvaluationsError(
            f"higher_is_better has {len(given)} entries for {len(targets)} targets; give one for each."
        )
    return tuple(bool(g) for g in given)


def guessed(names: Sequence[str]) -> str:
    """Say that directions of targets were guessed, whose names do not say them.

    Examples
    --------
    >>> guessed(["x"])
    'x is taken as lower is better: its name does not say; if higher is better, name it with --higher-is-better'
    """
    one = len(names) == 1
    said = "its name does" if one else "their names do"
    end = "name it" if one else "name those where it is"
    return (
        f"{listed(names)} {'is' if one else 'are'} {GUESSED}: {said} not say; if higher is better, {end} with "
        "--higher-is-better"
    )


def as_floats(values: Any, name: str) -> np.ndarray:
    """Read an array of floats."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationsError(f"{name} cannot be read as numbers ({error}); give an array of floats.") from None


def as_column(values: Any, name: str, kind: type, m: int) -> np.ndarray:
    """Read one entry for each of m rows, or one for all of them, as str, np.int64 or np.float64."""
    try:
        array = np.asarray(values)
        if kind is str:
            if array.dtype.kind != "U":
                array = np.array([str(v) for v in array.ravel()], dtype="U").reshape(array.shape)
        else:
            if kind is np.int64 and array.dtype.kind not in "iub" and not np.array_equal(array, np.floor(array)):
                raise ValueError("these are not whole numbers")
            array = array.astype(kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise EvaluationsError(
            f"{name} is {str(values)[:40]!r} ({error}); give {'whole ' * (kind is np.int64)}numbers."
        ) from None
    if array.ndim == 0:
        array = np.broadcast_to(array, (m,))
    if array.shape != (m,):
        raise EvaluationsError(f"{name} has shape {array.shape}; give one entry for each of the {m} rows.")
    return array


def frozen(array: np.ndarray) -> np.ndarray:
    """Copy an array so that nobody can write to it."""
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array


def as_names(names: Any, what: str, size: int) -> tuple[str, ...]:
    """Read the names of tasks or targets: as many as columns, none empty, none twice."""
    out = tuple(str(n).strip() for n in ([names] if isinstance(names, str) else names))
    if len(out) != size:
        raise EvaluationsError(f"{what} has {len(out)} names for {size} columns; give one name for each.")
    if not size:
        raise EvaluationsError(f"there are no {what}; give at least one.")
    if "" in out:
        raise EvaluationsError(f"{what} holds an empty name; name every column.")
    if len(set(out)) < size:
        twice = next(n for n in out if out.count(n) > 1)
        raise EvaluationsError(f"{what} names {twice!r} twice; give every column its own name.")
    return out


def as_notes(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Read notes as what JSON gives back of them."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} is not JSON")

    try:
        return json.loads(json.dumps(dict(notes), default=plain))
    except (TypeError, ValueError) as error:
        raise EvaluationsError(
            f"notes cannot be written as JSON ({error}); use numbers, text, lists and dicts."
        ) from None


def joined_notes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Join notes: what both state alike, or one alone states, is kept.

    What they dispute becomes None, and is said. A yes or no that only one of the two states is disputed: it
    says nothing of the other's rows.
    """
    notes, said = {**a, **b}, []
    for key, value in notes.items():
        stated_once = (key in a) != (key in b)
        if (stated_once and not isinstance(value, bool)) or (not stated_once and a[key] == b[key]):
            continue
        notes[key] = None
        mine, theirs = (repr(side[key]) if key in side else "not stated" for side in (a, b))
        said.append(f"the tables put together differ in {key!r}: {mine[:60]} and {theirs[:60]}")
    return notes, said


def difference(mine: Any, theirs: Any) -> str:
    """Say where two fields differ."""
    if isinstance(mine, str):
        return f"{mine} and {theirs}"
    if len(mine) != len(theirs):
        return f"{len(mine)} and {len(theirs)} of them"
    i = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
    return f"number {i} is {mine[i]!r} and {theirs[i]!r}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """List the first names, and say how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", ... ({more} more)" if more > 0 else "")
