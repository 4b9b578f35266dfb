"""Files of evaluations, in and out: one module per format, chosen by the suffix of the file's name.

``.csv`` ``.tsv`` ``.parquet`` ``.npz``; stores of evaluations, ``.db`` or the address of a database (`store`); pairs of
files joined on a column (`pairs`); several files read alike, joined (`several`).
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import EvaluationsError, MissingFileError

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from .table import Table

__all__ = ["FORMATS", "read_table", "write_table"]

#: Module of each suffix.
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
}


def read_table(path: str | Path, metrics: str | Path | None = None, *, tag: str | None = None) -> Table:
    """Read one file, or two that are joined; or what a store holds under a tag."""
    from .store import is_store, title_of

    table = _read(path, tag)
    if metrics is None:
        return table
    for where in (path, metrics):
        if is_store(where):
            raise EvaluationsError(
                f"{title_of(where)} is a store, whose runs hold their results; it is not joined with a second file. "
                "Leave --metrics (metrics=) out."
            )
    from .pairs import join

    return join(table, _read(metrics))


def write_table(path: str | Path, runs: Evaluations) -> Path:
    """Write evaluations whole or not at all: to a file beside the place first, then moved there."""
    path = Path(path)
    module = _module(path, "written")
    if path.suffix.lower() in (".tsv", ".txt"):
        raise EvaluationsError(f"{path.name} cannot be written: choose .csv, .parquet or .npz.")
    if not len(runs):
        raise EvaluationsError(f"{path.name} is not written: there are no runs in the table.")
    if not path.parent.is_dir():
        raise MissingFileError(f"folder {str(path.parent)!r} does not exist. Make it first.")
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            module.write(file, runs)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _read(where: str | Path, tag: str | None = None) -> Table:
    from . import store

    if store.is_address(where):
        return store.read(where, tag)
    path = Path(where)
    if not path.exists():
        raise MissingFileError(f"file {str(path)!r} does not exist. Check the path (now in {os.getcwd()}).")
    if path.is_dir():
        raise EvaluationsError(f"{str(path)!r} is a folder. Give one file: {', '.join(FORMATS)}.")
    if store.is_store(path):
        return store.read(path, tag)
    return _module(path, "read").read(path)


def _module(path: Path, what: str) -> Any:
    name = FORMATS.get(path.suffix.lower())
    if what == "read" and path.suffix.lower() == ".gz" and FORMATS.get(path.with_suffix("").suffix.lower()) == "csv":
        name = "csv"
    if name is None:
        raise EvaluationsError(
            f"{path.name} cannot be {what}: suffix {path.suffix!r} is not one of .csv, .parquet, .npz (or .tsv, .txt)"
            f"{', nor is it a store (.db)' if what == 'read' else ''}."
        )
    return import_module(f"{__name__}.{name}")
