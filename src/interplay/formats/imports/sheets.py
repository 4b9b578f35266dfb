"""One table of somebody else's, whatever it is called: CSV (tabs, semicolons, decimal commas, gzip) or Parquet.

What cannot be read without a guess is refused with the reason (`formats.csv`, `formats.contents`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...fields import EvaluationsError, MissingFileError
from ..contents import packed, refuse_other, start_of
from ..table import Table
from .draft import Left

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["column_called", "distinct", "existing", "numbers", "read_sheet"]

_TEXTS = (".csv", ".tsv", ".txt")
_DOCUMENTS = (".json", ".yaml", ".yml", ".jsonl")


def read_sheet(path: Path) -> Table:
    """Read a table with one header and at least one row; names of columns without blanks around them.

    Raises
    ------
    EvaluationsError
        For a file that is not there, is no table, or cannot be read without a guess.
    """
    from .. import csv, parquet

    existing(path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    start = start_of(path)
    if suffix == ".npz":
        raise EvaluationsError(f"{path.name} is an archive of arrays. Give it to `interplay attribute` as it is.")
    if start.startswith(b"PAR1") and packed(path):
        raise EvaluationsError(f"{path.name} is a Parquet file compressed with gzip. Unpack it.")
    if start.startswith(b"PAR1"):
        table = parquet.read(path)
    elif suffix in (".parquet", ".pq"):
        if start:
            refuse_other(path, start)
        table = parquet.read(path)
    else:
        refuse_other(path, start)
        if suffix in _DOCUMENTS or start.lstrip()[:1] in (b"{", b"["):
            raise EvaluationsError(f"{path.name} {_document(start)}Give a table: {', '.join(_TEXTS)} or .parquet.")
        table = csv.read(path)
    frame = table.frame
    if frame.index.name is not None:
        frame = frame.reset_index()
    frame = frame.set_axis([str(c).strip() for c in frame.columns], axis=1)
    if not len(frame):
        raise EvaluationsError(f"{table.name} has no rows: it is empty below its header. Give one row for each run.")
    return Table(frame, table.name, table.facts)


def existing(path: Path, folder: bool = False) -> Path:
    """Return a path that is there, and a file unless folders may be given too."""
    if not path.exists():
        raise MissingFileError(f"file {str(path)!r} does not exist. Check the path (now in {os.getcwd()}).")
    if path.is_dir() and not folder:
        raise EvaluationsError(f"{str(path)!r} is a folder. Give the files in it.")
    return path


def distinct(paths: Sequence[Path]) -> tuple[list[Path], list[Left]]:
    """Paths that are each given once; of others it is said."""
    first = {path.resolve(): path for path in reversed(paths)}
    again = [path for path in paths if first[path.resolve()] is not path]
    return [*dict.fromkeys(first[path.resolve()] for path in paths)], [
        Left(str(path), "given twice; taken once") for path in again
    ]


def column_called(frame: pd.DataFrame, *names: str) -> str | None:
    """Return the first column that is called by one of these names, in small or capital letters."""
    there = {str(c).lower(): str(c) for c in reversed(list(frame.columns))}
    return next((there[name] for name in names if name in there), None)


def numbers(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, bool]:
    """Tell of each column whether all its cells are numbers, truth values or empty."""
    from ..columns import as_numbers

    found = {}
    for column in columns:
        try:
            as_numbers(frame, column, "", "")
            found[column] = True
        except (EvaluationsError, TypeError, ValueError):
            found[column] = False
    return found


def _document(start: bytes) -> str:
    """Say what a file of JSON or YAML looks like."""
    from .documents import looks_like

    shape = looks_like(start)
    return f"looks like {shape}; `interplay import {shape.format}` reads it. " if shape else "is no table. "
