"""Cells of logged runs: as text that tells them apart, as numbers, and whether they hold what an option asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, unknown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["holds", "looked_up", "numbers_of", "texts"]


def texts(cells: Any) -> list[str]:
    """Cells as text that tells them apart: '' where empty, 1 and 1.0 alike."""
    out = []
    for value, empty in zip(cells.astype(object), cells.isna(), strict=True):
        if empty:
            out.append("")
        elif isinstance(value, float) and value.is_integer():
            out.append(str(int(value)))
        else:
            out.append(str(value).strip())
    return out


def numbers_of(frame: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, Any]:
    """Columns that are numbers or truth values, as arrays (m,), by their names; those without any value are not."""
    import numpy as np

    from ..columns import as_numbers

    found = {}
    for name, column in columns.items():
        try:
            held = as_numbers(frame, column, "", "")
        except (EvaluationsError, TypeError, ValueError):
            continue
        if not np.isnan(held).all():
            found[name] = held
    return found


def looked_up(wanted: str, columns: Mapping[str, str], option: str) -> str:
    """The name of a column that an option gives: as it is called here, or as in the file."""
    if wanted in columns:
        return wanted
    for name, column in columns.items():
        if column == wanted:
            return name
    raise unknown(wanted, [*columns], f"column ({option})")


def holds(frame: pd.DataFrame, column: str, wanted: str) -> list[bool]:
    """Tell of each row whether a column holds a value: as text, in any case of letters, or as a number."""

    def like(text: str) -> bool:
        if text.casefold() == wanted.strip().casefold():
            return True
        try:
            return float(text) == float(wanted)
        except ValueError:
            return False

    return [like(text) for text in texts(frame[column])]
