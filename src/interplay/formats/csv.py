"""CSV files (also separated by tabs or semicolons), read with their cells named in every complaint.

Written files need no option to be read back: targets are called ``target:lower:NAME`` or
``target:higher:NAME``, tasks by their own name (``task:NAME`` where that is the name of another column),
``fidelity, seed, cost, origin`` follow, and a last column ``interplay`` holds kind, notes and warnings as
JSON in its first cell.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from ..fields import EvaluationsError
from .table import FACTS, Table, is_metadata, layout

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluations import Evaluations

__all__ = ["read", "write", "write_masks"]

_EMPTY = ["", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "<NA>", "#N/A"]


def read(path: Path) -> Table:
    """Read a CSV file; numbers keep all their digits, metadata stays text."""
    import pandas as pd

    name = path.name
    header, separator, spaced = _header(path)
    columns = [c.strip() or f"Unnamed: {i}" for i, c in enumerate(header)]
    for column in columns:
        if columns.count(column) > 1:
            raise EvaluationsError(
                f"{name} has {columns.count(column)} columns called {column!r}. Rename or remove all but one."
            )
    text = [c for c in columns if is_metadata(c)]
    exact: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            names=columns,
            header=0,
            encoding="utf-8-sig",
            dtype=dict.fromkeys(text, str),  # pyright: ignore[reportArgumentType]
            keep_default_na=False,
            na_values={c: _EMPTY for c in columns if c not in text},
            **exact,
            skipinitialspace=spaced,
            low_memory=False,
        )
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise EvaluationsError(
            f"{name} is not a table: {reason}. Give one header line and as many cells in every row."
        ) from None
    for k, column in enumerate(columns):
        if not header[k].strip() and not _numbers_rows(frame[column]):
            raise EvaluationsError(
                f"{name}: column {k + 1} has no name and does not number the rows. Name it, or remove it."
            )
    return Table(frame, name)


def _numbers_rows(cells: pd.Series) -> bool:
    """Tell whether a column without a name can be the index of a table: text or whole numbers, more than 0 and 1."""
    import pandas as pd

    numbers = np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=float)
    numbers = numbers[~np.isnan(numbers)]
    return bool((numbers % 1 == 0).all()) and (len(numbers) < 3 or not np.isin(numbers, (0, 1)).all())


def write(file: BinaryIO, runs: Evaluations) -> None:
    """Write all of a table of evaluations."""
    frame, facts = layout(runs)
    frame[FACTS] = [facts] + [""] * (len(frame) - 1)
    file.write(frame.to_csv(index=False, lineterminator="\n").encode())


def write_masks(path: str | Path, masks: ArrayLike, tasks: Sequence[str]) -> Path:
    """Write a design (m, K) as CSV: a column ``run`` that numbers the rows, then one column for each task."""
    import pandas as pd

    array = np.asarray(masks, dtype=float)
    if array.ndim != 2 or array.shape[1] != len(tasks):
        raise EvaluationsError(f"masks have shape {array.shape} for {len(tasks)} tasks; give one column for each.")
    if np.isin(array, (0, 1)).all():
        array = array.astype(int)
    frame = pd.DataFrame(array, columns=list(tasks))
    if not any(str(t).lower() == "run" for t in tasks):
        frame.insert(0, "run", np.arange(len(frame)))
    frame.to_csv(path, index=False, lineterminator="\n")
    return Path(path)


def _header(path: Path) -> tuple[list[str], str, bool]:
    """Return the names in the first line, what separates them, and whether a blank follows; refuse what is no table."""
    name = path.name
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            start = file.read(65536)
            if "\0" in start:
                raise EvaluationsError(f"{name} is not a table: it holds binary data. Give a text file.")
            if not start.strip():
                raise EvaluationsError(f"{name} is empty. Give a header line and one row for each run.")
            file.seek(0)
            line = next(line for line in start.splitlines() if line.strip())
            separator = max(",\t;", key=line.count) if path.suffix.lower() != ".tsv" else "\t"
            spaced = f"{separator} " in line and not line.endswith(f"{separator}{FACTS}")
            rows = (row for row in csv.reader(file, delimiter=separator, skipinitialspace=spaced) if row)
            header = next(rows)
            try:
                first = next(rows, None)
            except csv.Error:  # a cell longer than the csv module takes: pandas reads it
                first = None
    except UnicodeDecodeError as error:
        raise EvaluationsError(f"{name} is not a table in UTF-8 ({error.reason}). Save it as UTF-8 text.") from None
    if len(header) < 2:
        raise EvaluationsError(
            f"{name} is not a table: its first line {line[:60]!r} has a single column. "
            "Give a header with one column for each task, separated by commas."
        )
    if first is not None and len(first) > len(header):
        raise EvaluationsError(
            f"{name} is not a table: the header has {len(header)} names and the first row "
            f"{len(first)} cells. "
            "Name every column (an unnamed index needs an empty name)."
        )
    return header, separator, spaced
