"""CSV files (also separated by tabs or semicolons, or compressed), read with their cells named in every complaint.

Written files need no option to be read back: targets are called ``target:lower:NAME`` or
``target:higher:NAME``, tasks by their own name (``task:NAME`` where that is the name of another column),
``fidelity, seed, cost, origin`` follow, and a last column ``interplay`` holds kind, notes and warnings as
JSON in its first cell.

Where tabs or semicolons separate, numbers may have decimal commas (``0,25``), if no number of the file has a decimal
point: ``1.234`` beside ``0,25`` may be either, and is refused. Thousands separators are read nowhere.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from ..fields import EvaluationsError
from .contents import opened, packed, refuse_other, start_of
from .table import FACTS, Table, is_metadata, layout

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluations import Evaluations

__all__ = ["odd_number", "read", "write", "write_masks"]

_EMPTY = ["", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "null", "NULL", "None", "<NA>", "#N/A"]
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_COMMA = re.compile(rf"[+-]?\d*,\d+{_EXPONENT}")  # 0,25
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # 1,234: a number above one thousand, or one above one
_POINT = re.compile(rf"[+-]?(?:\d+\.\d*|\.\d+){_EXPONENT}")
_WHOLE = re.compile(rf"[+-]?\d+{_EXPONENT}")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:(?:[,' \u00a0\u202f]\d{3})+(?:\.\d*)?|(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})")
_WAYS = (("whole", _WHOLE), ("comma", _COMMA), ("point", _POINT))
_QUOTED = re.compile(r'(?:^|(?<=[,;\t\n]))[ ]*"(?:[^"]|"")*"', re.MULTILINE)
_COMMAS = " (numbers with decimal commas or thousands separators take more cells than one where commas separate)"


def read(path: Path) -> Table:
    """Read a CSV file; numbers keep all their digits, metadata stays text."""
    name = path.name
    header, separator, spaced = _header(path)
    columns = [c.strip() or f"Unnamed: {i}" for i, c in enumerate(header)]
    for column in columns:
        if columns.count(column) > 1:
            raise EvaluationsError(
                f"{name} has {columns.count(column)} columns called {column!r}. Rename or remove all but one."
            )
    text = [c for c in columns if is_metadata(c)]
    frame = _frame(path, columns, separator, spaced, text)
    if separator != ",":
        frame = _with_decimal_commas(frame, lambda: _frame(path, columns, separator, spaced, columns), name)
    for k, column in enumerate(columns):
        if not header[k].strip() and not _numbers_rows(frame[column]):
            raise EvaluationsError(
                f"{name}: column {k + 1} has no name and does not number the rows. Name it, or remove it."
            )
    return Table(frame, name)


def odd_number(cell: object) -> str | None:
    """Say why a cell that a person reads as a number is none here; None where it is a number, or plain text.

    Examples
    --------
    >>> odd_number("1,234.5"), odd_number("0,25"), odd_number("0.25"), odd_number("web")
    ('it has a thousands separator', 'it has a decimal comma', None, None)
    """
    text = str(cell).strip()
    if _EITHER.fullmatch(text):
        return "its comma may be a decimal one or part the thousands"
    if _COMMA.fullmatch(text):
        return "it has a decimal comma"
    if _THOUSANDS.fullmatch(text):
        return "it has a thousands separator"
    if text.endswith("%") and (_POINT.fullmatch(text[:-1].strip()) or _WHOLE.fullmatch(text[:-1].strip())):
        return "it has a percent sign"
    return None


def _frame(path: Path, columns: list[str], separator: str, spaced: bool, text: Sequence[str]) -> pd.DataFrame:
    """Read the rows; the columns ``text`` as text."""
    import zlib

    import pandas as pd

    exact: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}
    try:
        return pd.read_csv(
            path,
            sep=separator,
            names=columns,
            header=0,
            encoding="utf-8-sig",
            compression="gzip" if packed(path) else None,
            dtype=dict.fromkeys(text, str),  # pyright: ignore[reportArgumentType]
            keep_default_na=False,
            na_values={c: _EMPTY for c in columns if c not in text},
            **exact,
            skipinitialspace=spaced,
            low_memory=False,
        )
    except UnicodeDecodeError as error:
        raise _no_utf8(path.name, error) from None
    except (EOFError, OSError, zlib.error) as error:
        raise EvaluationsError(f"{path.name} cannot be read to its end ({error}). Fetch it again.") from None
    except ValueError as error:  # pandas' parser errors are ValueErrors
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise EvaluationsError(
            f"{path.name} is not a table: {reason}. Give one header line and as many cells in every row"
            f"{_COMMAS if separator == ',' else ''}."
        ) from None


def _no_utf8(name: str, error: UnicodeDecodeError) -> EvaluationsError:
    return EvaluationsError(
        f"{name} is not a table in UTF-8 ({error.reason}); it may be in Latin-1. Save it as UTF-8 text."
    )


def _with_decimal_commas(frame: pd.DataFrame, as_text: Callable[[], pd.DataFrame], name: str) -> pd.DataFrame:
    """Turn columns of numbers with decimal commas into numbers; where points are decimal too, that is an error.

    Parameters
    ----------
    frame : DataFrame
        As it was read with decimal points.
    as_text : callable
        Reads it again, every cell as it is written.
    name : str
    """
    from pandas.api.types import is_numeric_dtype

    open_ = [c for c in frame.columns if c.lower() == "cost" or not is_metadata(c)]
    texts = [_written(frame[c]) for c in open_ if not is_numeric_dtype(frame[c])]
    if not any(_COMMA.fullmatch(v) and not _EITHER.fullmatch(v) for held in texts for v in held.values()):
        return frame
    cells, out = as_text(), frame.copy()
    for column in open_:
        held = _written(cells[column])
        ways = {next((w for w, p in _WAYS if p.fullmatch(v)), "text"): v for v in held.values()}
        if "text" in ways:
            continue
        if "point" in ways:
            raise EvaluationsError(
                f"{name}: column {column!r} holds {ways['point'][:40]!r} while other numbers of the file have decimal "
                "commas; its point may be a decimal one or part the thousands. Write all numbers one way."
            )
        if "comma" in ways:
            numbers = {i: float(v.replace(",", ".")) for i, v in held.items()}
            out[column] = [numbers.get(i, np.nan) for i in range(len(cells))]
    return out


def _written(column: Any) -> dict[int, str]:
    """The cells of a column that are not empty, by the number of their row."""
    texts = {i: v.strip() for i, v in enumerate(column) if isinstance(v, str)}
    return {i: v for i, v in texts.items() if v not in _EMPTY}


def _numbers_rows(cells: Any) -> bool:
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
    tabbed = name.lower().removesuffix(".gz").endswith(".tsv")
    begin = start_of(path)
    refuse_other(path, begin)
    if b"\0" in begin[:1024]:
        raise EvaluationsError(f"{name} is not a table: it holds binary data. Give a text file.")
    try:
        with opened(path) as packed_, io.TextIOWrapper(packed_, newline="", encoding="utf-8-sig") as file:
            start = file.read(65536)
            if "\0" in start:
                raise EvaluationsError(f"{name} is not a table: it holds binary data. Give a text file.")
            if not start.strip():
                raise EvaluationsError(f"{name} is empty. Give a header line and one row for each run.")
            file.seek(0)
            line = next(line for line in start.splitlines() if line.strip())
            bare = next((line for line in _QUOTED.sub('""', start).splitlines() if line.strip()), line)
            separator = max(",\t;", key=bare.count) if not tabbed else "\t"
            spaced = f"{separator} " in line and not line.endswith(f"{separator}{FACTS}")
            rows = (row for row in csv.reader(file, delimiter=separator, skipinitialspace=spaced) if row)
            header = next(rows)
            try:
                first = next(rows, None)
            except csv.Error:  # a cell longer than the csv module takes: pandas reads it
                first = None
    except UnicodeDecodeError as error:
        raise _no_utf8(name, error) from None
    if len(header) < 2:
        raise EvaluationsError(
            f"{name} is not a table: its first line {line[:60]!r} has a single column. "
            "Give a header with one column for each task, separated by commas."
        )
    if first is not None and len(first) > len(header):
        raise EvaluationsError(
            f"{name} is not a table: the header has {len(header)} names and the first row "
            f"{len(first)} cells. "
            f"Name every column (an unnamed index needs an empty name){_COMMAS if separator == ',' else ''}."
        )
    return header, separator, spaced
