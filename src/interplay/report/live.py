"""Runs as they stand while they come in, in words and as a table, for a page that is served.

A store is opened for each look, asked in transactions that only read, and closed; a file is known by its time and size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluations import MIN_RUNS
from ..figures.look import numbers
from ..formats.several import Source
from ..formats.store import is_address, is_store
from .store import harmless, label, last_words, standing_words
from .tables import Table, table
from .words import binary, of_mask, plain, shown

if TYPE_CHECKING:
    from ..store import Problem, Run, Standing, Store

__all__ = ["Sight", "clock", "latest", "look", "words_of"]

#: Rows that are shown; how many of a status are among them however many others there are, in the order of the table.
ROWS, OF = 30, {"running": 12, "failed": 6, "queued": 4}
#: Targets that are shown.
TARGETS = 4
#: Problems of a store that are told one by one.
TOLD = 6
#: Seconds for which a look waits for a database that is away.
OUTAGE = 2.0


@dataclass(frozen=True)
class Sight:
    """What was seen of all places of runs at once.

    Attributes
    ----------
    mark : tuple
        Another one when there is something new to read.
    done : int or None
        Runs that are evaluated; None where some lie in a file, which is not read for it.
    words : str
    table : Table
        The last rows: those under way, then those that ended, then some that wait.
    """

    mark: tuple[Any, ...]
    done: int | None
    words: str
    table: Table

    @property
    def few(self) -> bool:
        """Whether there are certainly fewer runs than an attribution needs."""
        return self.done is not None and self.done < MIN_RUNS


def look(
    sources: Sequence[Source],
    beside: Source | None = None,
    *,
    fidelity: str | None = None,
    targets: Sequence[str] = (),
) -> Sight:
    """Look at places of runs.

    Parameters
    ----------
    sources : sequence of Source
    beside : Source, optional
        The truth: it changes the mark alone.
    fidelity : str, optional
        Of the runs of stores that are looked at.
    targets : sequence of str
        Names or globs of the targets whose values are shown first.

    Raises
    ------
    ValueError, OSError
        If a place is not there, cannot be reached, or is no store.
    """
    seen = [_at(source, None if source.fidelity else fidelity) for source in sources]
    marks = [mark for mark, *_ in seen] + ([] if beside is None else [_at(beside, None)[0]])
    counts = [done for _, done, *_ in seen]
    said = [words for _, _, words, _ in seen]
    if len(sources) > 1:
        said = [f"{shown(source.title, 80)}: {words}" for source, words in zip(sources, said, strict=True)]
    done = sum(n for n in counts if n is not None) if None not in counts else None
    rows = _chosen([run for *_, runs in seen for run in runs])
    return Sight(tuple(marks), done, "; ".join(said), latest(rows, targets))


def _at(source: Source, fidelity: str | None) -> tuple[tuple[Any, ...], int | None, str, list[Run]]:
    """Mark, number of runs, words and rows of one place."""
    if not is_store(source.path):
        stats = [
            file.stat() for file in (source.path, source.metrics) if file is not None and not isinstance(file, str)
        ]
        written = max(one.st_mtime for one in stats)
        return tuple((one.st_mtime_ns, one.st_size) for one in stats), None, f"written {_moment(written)}", []
    from ..store import Store

    with Store(source.path, must_exist=True, outage=OUTAGE) as store:
        stands = store.standings(source.tag, fidelity)
        rows = [run for one in stands for run in _rows(store, one.problem)]
    ended = max((run.ended for run in rows if run.status == "done" and run.ended is not None), default=0.0)
    counted = tuple((one.problem.id, one.counts["done"]) for one in stands)
    return (counted, ended), sum(n for _, n in counted), _standing(stands), rows


def _rows(store: Store, problem: Problem) -> Iterator[Run]:
    from ..store import Filter
    from ..store.schema import STATUS

    for status in STATUS:
        yield from store.rows(problem, Filter(status=(status,)), last=ROWS)


def _chosen(runs: Sequence[Run]) -> list[Run]:
    """Rows that are shown: under way, then ended, then waiting; the latest of each first."""
    latest_first = sorted(runs, key=lambda run: (-(run.ended or 0.0), -run.id))
    some = {status: [run for run in latest_first if run.status == status][:n] for status, n in OF.items()}
    kept = {id(run) for found in some.values() for run in found}
    others = [run for run in latest_first if run.status in ("done", "failed") and id(run) not in kept]
    shown_too = {id(run) for run in (*some["failed"], *others[: ROWS - len(kept)])}
    return [*some["running"], *(run for run in latest_first if id(run) in shown_too), *some["queued"]]


def _standing(stands: Sequence[Standing]) -> str:
    """Counts of each problem, and what nobody works at any more."""
    said = []
    for one in stands[:TOLD]:
        of = f"{label(one.problem)}: " if len(stands) > 1 else ""
        lost = f" ({one.lost} of them by workers that are gone)" if one.lost else ""
        said.append(f"{of}{standing_words(one.counts)}{lost}")
    more = [f"{len(stands) - TOLD} more problems"] if len(stands) > TOLD else []
    return "; ".join([*said, *more]) or "no runs yet"


def latest(runs: Sequence[Run], targets: Sequence[str]) -> Table:
    """Rows of a store as a table of the page: status, what was left out, values, the last words of errors.

    Parameters
    ----------
    runs : sequence of Run
    targets : sequence of str
        Names or globs of the targets that are shown first.
    """
    problems = list({run.problem.id: run.problem for run in runs}.values())
    cells: dict[tuple[str, str], list[Any]] = {("run", "number"): [run.id for run in runs]}
    for name in ("tag", "fidelity"):
        if len({getattr(problem, name) for problem in problems}) > 1:
            cells[name, "text"] = [shown(getattr(run.problem, name), 80) for run in runs]
    cells["status", "text"] = [run.status for run in runs]
    cells["time", "text"] = [_time(run) for run in runs]
    cells["seed", "number"] = [run.seed for run in runs]
    held = "tasks" if all(binary(run.mask) for run in runs) else "weights"
    cells[held, "text"] = [of_mask(run.problem.tasks, run.mask) for run in runs]
    cells["seconds", "number"] = numbers([np.nan if run.seconds is None else run.seconds for run in runs], 4)
    columns, values = list(cells), list(cells.values())
    for name in _targets(problems, targets):
        columns.append((shown(name, 80), "number"))
        values.append(numbers([_value(run, name) for run in runs], 5))
    if any(run.error for run in runs):
        columns.append(("error", "text"))
        values.append([plain(last_words(run.error), 300) if run.error else "" for run in runs])
    return table(columns, zip(*values, strict=True))


def _targets(problems: Sequence[Problem], first: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name for problem in problems for name in problem.targets or ()))
    asked = [n for pattern in first for n in names if n == pattern or fnmatchcase(n, pattern)]
    return list(dict.fromkeys(asked or names))[:TARGETS]


def _value(run: Run, target: str) -> float:
    names = run.problem.targets or ()
    return np.nan if run.values is None or target not in names else float(run.values[names.index(target)])


def _time(run: Run) -> str:
    if run.status == "running" and run.started is not None:
        return f"since {_moment(run.started)}"
    return "" if run.status == "queued" or run.ended is None else _moment(run.ended)


def _moment(epoch: float) -> str:
    """Time of day on this machine; with the day where that is another one."""
    then = datetime.fromtimestamp(epoch)
    return then.strftime("%H:%M:%S" if then.date() == datetime.now().date() else "%Y-%m-%d %H:%M")


def clock() -> str:
    """What time it is on this machine."""
    return datetime.now().strftime("%H:%M:%S")


def words_of(error: Exception, places: Sequence[Path | str]) -> str:
    """An error in one harmless line, without the secrets of the addresses among the places."""
    from ..store.address import address_of, scrubbed

    text = str(error) if isinstance(error, ValueError | OSError | ImportError) else f"{type(error).__name__}: {error}"
    for place in places:
        if is_address(place):
            text = scrubbed(text, address_of(place))
    return plain(" ".join(line for line in harmless(text) if line), 600).rstrip(".")
