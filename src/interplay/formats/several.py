"""Several files of runs, read with one set of options and joined (`joined`).

A name or glob that an option gives must stand for a column of some file, and is used for the files that have it:
results and sources need not be the same in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from ..fields import EvaluationsError, listed
from . import read_table
from .columns import as_text
from .store import title_of
from .table import Table, build

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = ["Source", "read_like", "read_several"]

Names = str | Sequence[str] | None
_MARKS = ("target:lower:", "target:higher:", "target:", "task:")


@dataclass(frozen=True)
class Source:
    """A file of runs, a second one with their results, and the fidelity of all its rows where the file states none.

    Or a store, whose address is a text; `tag` names the runs of one that holds several.
    """

    path: Path | str
    metrics: Path | None = None
    fidelity: str | None = None
    tag: str | None = None

    @property
    def title(self) -> str:
        """The file's name, or the address without its secrets."""
        return title_of(self.path)

    def read(self) -> Table:
        """Read it."""
        return read_table(self.path, self.metrics, tag=self.tag)


def read_several(
    sources: Sequence[Source],
    *,
    targets: Names = None,
    tasks: Names = None,
    ignore: Names = None,
    higher_is_better: Names = None,
    lower_is_better: Names = None,
    kind: str | None = None,
    missing: Literal["error", "skip"] = "error",
    missing_tasks: Literal["error", "off"] = "error",
    same: Mapping[str, str] | None = None,
    fidelity: str | None = None,
    beside: Source | None = None,
) -> Evaluations:
    """Read files of runs and join them; one file is read as `Evaluations.read` does.

    Parameters
    ----------
    sources : sequence of Source
    targets, tasks, ignore, higher_is_better, lower_is_better, kind, missing
        As in `Evaluations.read`, for all files.
    missing_tasks, same
        As in `join`.
    fidelity : str, optional
        Take the runs of this fidelity only; files without any are not joined.
    beside : Source, optional
        A file that is read with `read_like` later, in which some of `same` may be needed and nowhere else.

    Raises
    ------
    EvaluationsError
        For a file that is given twice, one that states another fidelity than the user, and all that `Evaluations.read`
        and `join` refuse.
    """
    from ..evaluations import MIN_RUNS, Evaluations
    from ..joined import join

    tables = _tables(sources)
    given = {"targets": targets, "tasks": tasks, "ignore": ignore}
    given |= {"higher_is_better": higher_is_better, "lower_is_better": lower_is_better}
    options = {name: [n] if isinstance(n, str) else list(n or ()) for name, n in given.items()}
    columns = [_names(table) for table in tables]
    parts: dict[str, Evaluations] = {}
    for source, table, own in zip(sources, tables, columns, strict=True):
        others = [names for names in columns if names is not own]
        how: dict[str, Any] = {name: _applying(patterns, own, others) for name, patterns in options.items()}
        for name in ("targets", "tasks"):  # where none of those that are named is there, the table says so
            how[name] = how[name] or options[name] or None
        least = MIN_RUNS if len(tables) == 1 else 1
        fields = build(table, **how, kind=kind, missing=missing, fidelity=_fidelity(source, table), min_runs=least)
        parts[table.name] = Evaluations(**fields)
    parts = _of_fidelity(parts, fidelity)
    elsewhere = _names(beside.read()) - set().union(*columns) if same and beside else set()
    same = {old: new for old, new in (same or {}).items() if old not in elsewhere}
    if len(parts) == 1 and not same:
        return next(iter(parts.values()))
    return join(parts, missing_tasks=missing_tasks, same=same).require(name=listed(list(parts), 3))


def read_like(
    source: Source, tasks: Sequence[str], *, same: Mapping[str, str] | None = None, **how: Any
) -> Evaluations:
    """Read a file with the tasks (K,) of other runs, in their order, each under this name or one that is the same."""
    from ..evaluations import Evaluations

    table = source.read()
    held = _names(table)
    other = {new: old for old, new in (same or {}).items() if old in held and new not in held}
    called = [other.get(task, task) for task in tasks]
    options: dict[str, Any] = {"ignore": (), "kind": None, "min_runs": 1, **how}
    read = Evaluations(**build(table, tasks=called, fidelity=_fidelity(source, table), **options))
    return replace(read, tasks=tuple(tasks))


def _tables(sources: Sequence[Source]) -> list[Table]:
    """Read the files, each under a name of its own: that of the file, with its folder where two are called alike."""
    seen: set[tuple[Path | str, Path | None]] = set()
    tables: list[Table] = []
    for source in sources:
        where = source.path.resolve() if isinstance(source.path, Path) else source.path
        key = where, source.metrics and source.metrics.resolve()
        if key in seen:
            words = source.path if isinstance(source.path, Path) else source.title
            raise EvaluationsError(f"{words} is given twice. Give each file of runs once.")
        seen.add(key)
        tables.append(source.read())
    titles = [table.name for table in tables]
    return [
        replace(table, name=str(source.path))
        if titles.count(table.name) > 1 and isinstance(source.path, Path)
        else table
        for source, table in zip(sources, tables, strict=True)
    ]


def _of_fidelity(parts: Mapping[str, Evaluations], fidelity: str | None) -> dict[str, Evaluations]:
    """Keep the runs of one fidelity, of the tables that have any."""
    if fidelity is None:
        return dict(parts)
    kept = {name: part.where(fidelity=fidelity) for name, part in parts.items()}
    if not any(map(len, kept.values())):
        held = sorted({word for part in parts.values() for word in part.fidelity.tolist()})
        raise EvaluationsError(
            f"no run of {listed(list(parts), 3)} is of fidelity {fidelity!r} (--fidelity {quote(fidelity)}); theirs: "
            f"{listed(held)}."
        )
    return {name: part for name, part in kept.items() if len(part)}


def _names(table: Table) -> set[str]:
    """What an option may call the columns of a table: their titles, with the mark of a target or task and without."""
    columns = {str(c).strip() for c in table.frame.columns}
    return columns | {c.removeprefix(mark) for c in columns for mark in _MARKS}


def _applying(patterns: Sequence[str], own: set[str], others: Sequence[set[str]]) -> list[str]:
    """Patterns that stand for something in this table, or in none, which is an error when the table is built."""
    stands = lambda pattern, names: pattern in names or any(fnmatchcase(name, pattern) for name in names)
    return [p for p in patterns if stands(p, own) or not any(stands(p, names) for names in others)]


def _fidelity(source: Source, table: Table) -> str | None:
    """The fidelity that the user gives to a file; an error where the file states another."""
    if source.fidelity is None:
        return None
    column = next((str(c) for c in table.frame.columns if str(c).strip().lower() == "fidelity"), None)
    stated = set() if column is None else set(as_text(table.frame, column)) - {"", "retrained", source.fidelity}
    if stated:
        raise EvaluationsError(
            f"{source.fidelity}={table.name}: the file's column {column!r} says {listed(sorted(stated))}. Leave the "
            "word before '=' out, or correct the column."
        )
    return source.fidelity
