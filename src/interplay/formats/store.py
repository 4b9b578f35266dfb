"""A store of evaluations as a file of runs: what was evaluated, as a table whose columns need no option.

runs.db, runs.sqlite, any SQLite file       a path
dialect+driver://user@host/database         kept as text, as a path makes one slash of two; shown without its password
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ..fields import EvaluationsError
from .table import Table, layout

if TYPE_CHECKING:
    from ..store import Standing

__all__ = ["SUFFIXES", "is_address", "is_store", "left_out", "place_of", "read", "title_of"]

#: Suffixes of files that are taken for stores; others are if they begin as SQLite files do.
SUFFIXES = (".db", ".sqlite", ".sqlite3")
_BEGIN = b"SQLite format 3\x00"
#: Seconds for which reading waits for a database that went away.
OUTAGE = 30.0


def is_address(where: str | Path) -> bool:
    """Tell whether a text is the address of a database, and not a path.

    Examples
    --------
    >>> is_address("postgresql://me@host/runs"), is_address("runs.db")
    (True, False)
    """
    return isinstance(where, str) and "://" in where


def is_store(where: str | Path) -> bool:
    """Tell whether runs lie in a store: by the address, the suffix, or how the file begins."""
    if is_address(where) or Path(where).suffix.lower() in SUFFIXES:
        return True
    try:
        with open(where, "rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def place_of(text: str) -> Path | str:
    """Return a path, or an address as it is."""
    return text if is_address(text) else Path(text)


def title_of(where: str | Path) -> str:
    """Return what a file or an address is called in a line: its name, or all of it but its secrets."""
    if not is_address(where):
        return Path(where).name
    from ..store.address import address_of, shown

    try:
        return shown(address_of(where))
    except EvaluationsError:
        return f"{str(where).partition('://')[0]}://..."


def read(where: str | Path, tag: str | None = None) -> Table:
    """Read what was evaluated under one tag, all fidelities, and say what was not.

    Raises
    ------
    EvaluationsError
        If nothing was evaluated, there are several tags and none is named, or it is no store.
    StoreUnavailable
        If the database cannot be reached.
    """
    from ..store import Store

    with Store(where, must_exist=True, outage=OUTAGE) as store:
        runs = store.evaluations(tag=tag)
        stands = [one for one in store.standings() if tag is None or one.problem.tag == tag]
        name = store.where if is_address(where) else Path(where).name
    frame, facts = layout(runs)
    return Table(frame, name, json.loads(facts), left_out(stands, name))


def left_out(stands: Sequence[Standing], name: str) -> tuple[str, ...]:
    """Say how many runs are not among those evaluated, of each fidelity where there are several."""
    said = []
    for one in stands:
        n = one.counts
        words = [f"{n['failed']} failed"] * bool(n["failed"]) + [f"{n['running']} under way"] * bool(n["running"])
        words += [f"{n['queued']} not evaluated yet"] * bool(n["queued"])
        if words:
            of = f" ({one.problem.fidelity})" if len(stands) > 1 else ""
            said.append(f"not among the runs: {', '.join(words)}{of}; see `interplay runs {quote(name)}`")
    return tuple(said)
