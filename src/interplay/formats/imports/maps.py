"""Settings that are maps of names to numbers, such as ``{"web": 0.3, "code": 0.7}``, as one setting for each name.

Programs log a mapping as one cell: as JSON, or as Python prints it (``{'web': 0.3}``), which is read as text here and
never run. Only flat maps of numbers are taken; whatever else a cell holds stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .draft import Left, counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["map_of", "unfolded"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_PAIR = re.compile(rf"""\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*:\s*({_NUMBER})\s*(?:,|$)""")
_MOST = 1_000_000  # characters of a cell


def map_of(cell: Any) -> dict[str, float] | None:
    """Return the names and numbers that a cell holds; None for any other cell.

    Examples
    --------
    >>> map_of('{"web": 0.3, "code": 0.7}'), map_of("{'web': 1}"), map_of("{'web': open('x')}"), map_of("[0.3, 0.7]")
    ({'web': 0.3, 'code': 0.7}, {'web': 1.0}, None, None)
    """
    if isinstance(cell, str):
        pairs = _pairs(cell.strip())
    else:
        pairs = [(str(k), v) for k, v in cell.items() if v is not None] if isinstance(cell, Mapping) else None
    if not pairs or len({key for key, _ in pairs}) < len(pairs):
        return None
    if any(isinstance(value, bool) or not isinstance(value, int | float) for _, value in pairs):
        return None
    return {key: float(value) for key, value in pairs}


def unfolded(frame: pd.DataFrame, settings: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, str], tuple[Left, ...]]:
    """Give each name in settings that are maps a column of its own.

    Parameters
    ----------
    frame : DataFrame
    settings : mapping of str to str
        Names and their columns.

    Returns
    -------
    frame : DataFrame
        With the new columns; a name that a map does not state is empty there.
    settings : dict of str to str
        ``mixture`` has become ``mixture.web`` and ``mixture.code``.
    left : tuple of Left
        The columns of the maps.
    """
    found: dict[str, str] = {}
    left: list[Left] = []
    more: dict[str, Sequence[float | None]] = {}
    for name, column in settings.items():
        maps = _maps(frame[column])
        keys = list(dict.fromkeys(key for held in maps or () for key in held or ()))
        new = {f"{name}.{key}": f"{column}.{key}" for key in keys}
        if maps is None or len(keys) < 2 or {*new} & {*settings, *found} or {*new.values()} & {*frame.columns, *more}:
            found[name] = column
            continue
        found |= new
        more |= {f"{column}.{key}": [None if held is None else held.get(key) for held in maps] for key in keys}
        left.append(Left(f"column {column!r}", f"a map, whose {counted(len(keys), 'name')} are settings of their own"))
    if not more:
        return frame, dict(settings), ()
    import pandas as pd

    columns = pd.DataFrame({c: pd.Series(cells, dtype=float) for c, cells in more.items()})
    return pd.concat([frame.reset_index(drop=True), columns], axis=1), found, tuple(left)


def _maps(cells: Any) -> list[dict[str, float] | None] | None:
    """The map in each cell, None where it is empty; None altogether where some cell is no map."""
    if cells.dtype.kind in "biufMm":
        return None
    maps: list[dict[str, float] | None] = []
    for cell in cells.astype(object):
        empty = cell is None or cell != cell or (isinstance(cell, str) and not cell.strip())
        held = None if empty else map_of(cell)
        if held is None and not empty:
            return None
        maps.append(held)
    return maps if any(maps) else None


def _pairs(text: str) -> list[tuple[str, Any]] | None:
    """Names and numbers in text, as JSON or Python writes them; None where it is anything else."""
    if not (text.startswith("{") and text.endswith("}")) or len(text) > _MOST:
        return None
    try:
        held = json.loads(text, object_pairs_hook=list)
        return held if all(isinstance(pair, tuple) for pair in held) else None
    except (ValueError, RecursionError):
        pass
    inner, found, at = text[1:-1].strip(), [], 0
    while at < len(inner):
        one = _PAIR.match(inner, at)
        if one is None:
            return None
        found.append((one[1] if one[1] is not None else one[2], float(one[3])))
        at = one.end()
    return found
