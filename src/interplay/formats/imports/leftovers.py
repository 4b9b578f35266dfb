"""Columns that are neither tasks nor targets: why each is left, and which of them differ between the runs.

A setting that differs between the runs beside the mixture (a *confounder*) may be what moved the results, so that it
is said with every answer: "lr varies between runs (3 values)".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...directions import metric_word, words
from ...fields import EvaluationsError
from ..columns import as_numbers
from ..csv import odd_number
from ..table import is_metadata
from .draft import Left

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["is_setting", "leftovers"]

_SETTINGS = frozenset(
    re.findall(
        r"\w+",
        """step steps epoch epochs lr learning_rate weight_decay batch_size batch tokens num_tokens n_tokens
        total_tokens trial number flops params n_params num_params model_size layers n_layers depth width replicate
        fold split trainer_seed data_seed model_seed init_seed""",
    )
)
_MEASURED = frozenset(re.findall(r"\w+", "time runtime duration train_time timestamp date id git_hash created updated"))


def leftovers(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[Left, ...], tuple[str, ...]]:
    """Say why columns are left, and which of them are confounders.

    Parameters
    ----------
    frame : DataFrame
        The rows that are taken.
    columns : sequence of str
        Those of its columns that became nothing.

    Returns
    -------
    left : tuple of Left
    warnings : tuple of str
        One for each confounder.
    """
    left, warnings = [], []
    for column in columns:
        why, confounds = _why(frame[column], column)
        left.append(Left(f"column {column!r}", why))
        if confounds:
            warnings.append(f"{column} {confounds}")
    return tuple(left), tuple(warnings)


def is_setting(name: str) -> bool:
    """Tell whether a column is called like a setting of the run, or something that was noted of it."""
    return bool({name.lower(), "_".join(words(name))} & (_SETTINGS | _MEASURED))


def _why(cells: Any, column: str) -> tuple[str, str | None]:
    """The reason in words; of a confounder, what is to be said of it."""
    shown = [str(v) for v in cells.dropna().tolist() if str(v).strip()]
    distinct = list(dict.fromkeys(shown))
    if is_metadata(column):
        return "a number or a name of the row", None
    if not distinct:
        return "no value in any run", None
    numeric = _numeric(cells)
    if numeric and metric_word(column):
        return "looks like a result that was not asked for", None
    if len(distinct) == 1 and len(shown) == len(cells):
        return f"a setting that never varies ({distinct[0][:40]})", None
    if not numeric and (odd := next((v for v in distinct if odd_number(v)), None)) is not None:
        return f"no numbers: {odd[:40]!r}, {odd_number(odd)}", None
    if {column.lower().lstrip("_"), "_".join(words(column))} & _MEASURED:
        return "noted of the run, and no setting", None
    if not numeric and len(distinct) == len(shown) > 2:
        return "text that differs in every run", None
    several = f"{len(distinct)} values" if len(shown) == len(cells) else f"{len(distinct)} values, and none in some"
    kind = "" if numeric else "text, "
    return f"{kind}varies between runs and is no task ({several})", f"varies between runs ({several})"


def _numeric(cells: Any) -> bool:
    try:
        as_numbers(cells.to_frame("x"), "x", "", "")
    except (EvaluationsError, TypeError, ValueError):
        return False
    return True


def constant(values: np.ndarray) -> bool:
    """Tell whether numbers (m,) never vary."""
    return bool((values == values[0]).all())
