"""Columns of a table: their cells as numbers or text, and which of them cannot be a task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ..directions import metric_word, words
from ..fields import EvaluationsError
from ..kinds import SIMPLEX_TOLERANCE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_numbers", "as_text", "as_whole", "clear_targets", "odd_columns", "phases", "suggested_targets"]

_BOOKKEEPING = frozenset(
    re.findall(
        r"\w+",
        """step steps epoch epochs lr learning_rate batch_size tokens num_tokens n_tokens total_tokens
        time runtime duration train_time timestamp date id trial number flops params n_params num_params model_size
        git_hash replicate fold split""",
    )
)


def as_numbers(frame: pd.DataFrame, column: str, name: str, remedy: str) -> np.ndarray:
    """Return a column (m,) as floats, NaN where it is empty; text is an error that names the first cell."""
    import pandas as pd

    cells: Any = frame[column]
    if cells.dtype.kind in "biuf":
        return cells.to_numpy(dtype=float)
    if cells.dtype.kind not in "Mmc":
        plain = cells.astype(object)
        here = cells.notna().to_numpy()
        truth = {True: 1.0, False: 0.0, "True": 1.0, "False": 0.0, "true": 1.0, "false": 0.0, "TRUE": 1.0}
        truth["FALSE"] = 0.0
        held = list(plain[here])
        if held and all(isinstance(v, bool | np.bool_ | str) and v in truth for v in held):
            plain = plain.map(lambda v: truth.get(v, np.nan) if isinstance(v, bool | np.bool_ | str) else np.nan)
        coerced: Any = pd.to_numeric(plain, errors="coerce")
        numbers = coerced.to_numpy(dtype=float, na_value=np.nan)
        bad = np.flatnonzero(here & np.isnan(numbers) & np.array([not _blank(v) for v in plain]))
        if not len(bad):
            return numbers
        row, cell = int(bad[0]), plain.iloc[int(bad[0])]
    else:
        row, cell = 0, cells.iloc[0]
    from .csv import odd_number

    why = odd_number(cell)
    raise EvaluationsError(
        f"{name}: column {column!r} holds {str(cell)[:40]!r} in row {row + 1}, which is no number"
        f"{f': {why}' if why else ''}. {remedy}"
    )


def as_text(frame: pd.DataFrame, column: str) -> list[str]:
    """Return a column as text: "" where it is empty, whole numbers without a decimal point."""
    cells: Any = frame[column]
    held = cells.tolist()
    if all(type(value) is str for value in held):
        return held
    out = []
    for value, empty in zip(cells.astype(object), cells.isna(), strict=True):
        if empty:
            out.append("")
        elif isinstance(value, float) and value == int(value):
            out.append(str(int(value)))
        else:
            out.append(str(value))
    return out


def as_whole(frame: pd.DataFrame, column: str, name: str) -> np.ndarray:
    """Return a column (m,) as whole numbers, -1 where it is empty."""
    if frame[column].dtype == np.int64:
        return frame[column].to_numpy()
    out = np.empty(len(frame), dtype=np.int64)
    for i, text in enumerate(as_text(frame, column)):
        text = re.sub(r"\.0*$", "", text.strip())
        try:
            out[i] = int(text) if text else -1
        except (ValueError, OverflowError):
            raise EvaluationsError(
                f"{name}: column {column!r} holds {text!r} in row {i + 1}; seeds are whole numbers. "
                f"Number the seeds, or leave the column out with --ignore {quote(column)}."
            ) from None
    return out


def odd_columns(
    values: np.ndarray, names: Sequence[str], *, by_name: bool = True, by_value: bool = True
) -> tuple[list[int], str] | None:
    """Find columns (of m rows) that break the kind which the others have; None when all are of one kind.

    Parameters
    ----------
    values : array (m, K)
    names : sequence of str (K,)
    by_name : bool
        Whether a column called like a metric (``loss``, ``eval/*``) or like bookkeeping (``step``) is odd too
        where the values cannot tell.
    by_value : bool
        Whether the values are looked at.

    Returns
    -------
    columns : list of int
    reason : str
        "it holds 0.83 (row 1) while the other 10 columns are masks of 0 and 1".
    """
    K = values.shape[1]
    binary = np.isin(values, (0, 1)).all(axis=0)
    called = [k for k in range(K) if by_name and (metric_word(names[k]) or _bookkeeping(names[k]))]
    looks = "it is called like a result or a setting of the run"
    if binary.all() or not by_value:
        return (called, looks) if called else None
    if _on_simplex(values.sum(axis=1)) and values.min() >= -SIMPLEX_TOLERANCE:
        return None
    if phases(values, names):
        return None
    switching = binary & (values.min(axis=0) == 0) & (values.max(axis=0) == 1)
    if switching.any():
        odd = np.flatnonzero(~binary)
        row = int(np.flatnonzero(~np.isin(values[:, odd[0]], (0, 1)))[0])
        which = "it" if len(odd) == 1 else repr(names[odd[0]])
        held = f"{which} holds {values[row, odd[0]]:g} in row {row + 1}"
        rest = (
            f"the other {binary.sum()} columns are" if binary.sum() > 1 else f"{names[np.flatnonzero(binary)[0]]!r} is"
        )
        return odd.tolist(), f"{held} while {rest} 0 or 1"
    total = values.sum(axis=1)
    outside = np.flatnonzero((values.max(axis=0) > 1 + SIMPLEX_TOLERANCE) | (values.min(axis=0) < 0)).tolist()
    trials = [called, outside, sorted({*called, *outside}), *([k] for k in range(K))]
    if K <= 40:
        trials += [list(pair) for pair in combinations(range(K), 2)]
    for left_out in trials:
        if left_out and K - len(left_out) >= 2 and _on_simplex(total - values[:, left_out].sum(axis=1)):
            return left_out, f"without {'it' if len(left_out) == 1 else 'them'} the rows sum to one"
    return (called, looks) if called else None


def suggested_targets(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """List columns that look like results, by name or because they break the kind of the others."""
    numbers = {}
    for column in columns:
        try:
            numbers[column] = as_numbers(frame, column, "", "")
        except EvaluationsError:
            continue
    likely = [c for c in numbers if metric_word(c)]
    rest = [c for c in numbers if c not in likely]
    if rest:
        values = np.nan_to_num(np.column_stack([numbers[c] for c in rest]), nan=-1.0, posinf=-1.0, neginf=-1.0)
        if odd := odd_columns(values, rest, by_name=False):
            likely += [rest[k] for k in odd[0]]
        likely += [c for c in rest if np.isnan(numbers[c]).any() and c not in likely]
    return [c for c in columns if c in likely]


def clear_targets(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """List the columns that can be nothing but results: called like metrics, no masks, beside columns of one kind.

    Empty where there is any doubt.
    """
    found = [c for c in columns if metric_word(c)]
    rest = [c for c in columns if c not in found]
    if not found or len(rest) < 2 or suggested_targets(frame, columns) != found:
        return []
    try:
        results, masks = (np.column_stack([as_numbers(frame, c, "", "") for c in part]) for part in (found, rest))
    except EvaluationsError:
        return []
    clear = (~np.isin(results, (0, 1))).any(axis=0).all() and odd_columns(masks, rest) is None
    of_one_kind = bool(np.isin(masks, (0, 1)).all()) or _on_simplex(masks.sum(axis=1)) or bool(phases(masks, rest))
    return found if clear and of_one_kind else []


def phases(values: np.ndarray, names: Sequence[str]) -> tuple[str, ...]:
    """Return what the names of all columns (of m rows) begin with before ':', where these are two or more mixtures."""
    first = [name.partition(":")[0] for name in names]
    found = tuple(dict.fromkeys(first))
    if len(found) < 2 or not all(":" in name for name in names) or values.min(initial=0.0) < -SIMPLEX_TOLERANCE:
        return ()
    sums = [values[:, [one == phase for one in first]].sum(axis=1) for phase in found]
    return found if all(map(_on_simplex, sums)) else ()


def _on_simplex(total: np.ndarray) -> bool:
    """Tell whether at least half of the rows sum to one."""
    return bool(np.mean(np.abs(total - 1) <= SIMPLEX_TOLERANCE) >= 0.5)


def _bookkeeping(name: str) -> bool:
    return name.lower() in _BOOKKEEPING or "_".join(words(name)) in _BOOKKEEPING


def _blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()
