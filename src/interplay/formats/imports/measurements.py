"""Values of long tables: one row for each run, seed and metric, and for each step where there are several.

Rows without a value are no measurements. Of several steps the last one counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...fields import EvaluationsError
from ..columns import as_numbers, as_text
from .draft import Left, Options, Target, counted
from .sheets import column_called

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Part", "filled", "measured"]

_STEP = ("step", "global_step", "epoch")
_OTHERS = ("task", "source", "domain", "weight", "share", "ratio", "proportion")  # of weights in the same table

Pair = tuple[str, str]


class Part(NamedTuple):
    """Half of a long table: its rows, the name of the table, and which columns hold run, item and value."""

    frame: pd.DataFrame
    name: str
    run: str
    item: str
    value: str

    def row(self, i: int) -> int:
        """The number of a row in the file."""
        return int(self.frame.index[i]) + 1


def filled(part: Part, column: str) -> list[str]:
    """A column as text, which no row may lack."""
    texts = [text.strip() for text in as_text(part.frame, column)]
    for i, text in enumerate(texts):
        if not text:
            raise EvaluationsError(f"{part.name}: row {part.row(i)} has no {column}. Every row needs one.")
    return texts


def measured(part: Part, options: Options) -> tuple[pd.DataFrame, dict[str, Target], list[Left], list[str]]:
    """Return a row for each run and seed, with a column for each metric, and what else is known of the runs.

    Returns
    -------
    frame : DataFrame
        Columns ``run``, ``seed`` where there is one, the metrics, and settings.
    targets : dict of str to Target
    left : list of Left
    warnings : list of str
    """
    import pandas as pd

    part, left = _with_values(part)
    frame = part.frame
    seed = options.seed if options.seed in frame else column_called(frame, "seed")
    step = column_called(frame, *_STEP)
    seeds = [""] * len(frame) if seed is None else as_text(frame, seed)
    pairs, metrics = list(zip(filled(part, part.run), seeds, strict=True)), filled(part, part.item)
    steps = _steps(part, None if step in options.where else step)
    kept = _last(part, [(*pair, metric) for pair, metric in zip(pairs, metrics, strict=True)], steps)
    if (earlier := len(frame) - len(kept)) > 0:
        why = f"the last {step} of each counts; --where {quote(f'{step}=N')} takes another"
        left.append(Left(f"{counted(earlier, 'value')} of earlier {step}s", why))
    ends = {float(steps[i]) for i in kept.values()}
    warnings = [f"runs and metrics end at different {step}s ({min(ends):g} to {max(ends):g})"] if len(ends) > 1 else []
    numbers = as_numbers(frame, part.value, part.name, "")
    rows, columns = list(dict.fromkeys(pairs)), {metric: f"{part.item} {metric}" for metric in metrics}
    cells = [[numbers[kept[(*pair, m)]] if (*pair, m) in kept else np.nan for m in columns] for pair in rows]
    out = pd.DataFrame(cells, columns=[*columns.values()], dtype=float).assign(run=[run for run, _ in rows])
    if seed is not None:
        out["seed"] = [s or None for _, s in rows]
    known = [part.run, part.item, part.value, *(c for c in (seed, step) if c is not None)]
    others = [str(c) for c in frame.columns if c not in known and str(c).lower() not in _OTHERS]
    settings, more = _settings(part, others, pairs, {pair: n for n, pair in enumerate(rows)}, [*out.columns])
    out = pd.concat([out, settings], axis=1)
    return out, {metric: Target(column) for metric, column in columns.items()}, [*left, *more], warnings


def _with_values(part: Part) -> tuple[Part, list[Left]]:
    """Leave rows without a value, and name the runs that have none."""
    numbers = as_numbers(part.frame, part.value, part.name, "Give a number, or leave the cell empty.")
    empty = np.isnan(numbers)
    if not empty.any():
        return part, []
    kept = part._replace(frame=part.frame.loc[~empty, :])
    runs, there = filled(part, part.run), set(filled(kept, part.run))
    left = [Left(f"{counted(int(empty.sum()), 'row')} without {part.value}", "nothing was measured")]
    if lost := list(dict.fromkeys(run for run in runs if run not in there)):
        left.append(Left(counted(len(lost), "run", lost), "no value of any metric"))
    if not there:
        raise EvaluationsError(f"{part.name}: no row has a {part.value}. Give the values of the metrics.")
    return kept, left


def _steps(part: Part, step: str | None) -> np.ndarray:
    """The step of each row (m,); 0 where there are none."""
    if step is None:
        return np.zeros(len(part.frame))
    steps = as_numbers(part.frame, step, part.name, "Give a number.")
    for i in np.flatnonzero(np.isnan(steps))[:1]:
        raise EvaluationsError(f"{part.name}: row {part.row(int(i))} has no {step}. Give one, or take the column out.")
    return steps


def _last(part: Part, keys: Sequence[tuple[str, str, str]], steps: np.ndarray) -> dict[tuple[str, str, str], int]:
    """The row of each run, seed and metric with the last step."""
    kept: dict[tuple[str, str, str], int] = {}
    seen: dict[tuple[str, str, str, float], int] = {}
    for i, key in enumerate(keys):
        if (first := seen.setdefault((*key, float(steps[i])), i)) != i:
            raise EvaluationsError(
                f"{part.name}: {part.item} {key[2]!r} of run {key[0]!r} is there twice (rows {part.row(first)} and "
                f"{part.row(i)}). Keep one; several results of one run need a column 'seed', several times a column "
                "'step'."
            )
        if key not in kept or steps[i] > steps[kept[key]]:
            kept[key] = i
    return kept


def _settings(
    part: Part, others: Sequence[str], pairs: Sequence[Pair], place: Mapping[Pair, int], taken: Sequence[str]
) -> tuple[pd.DataFrame, list[Left]]:
    """Other columns, of which each run has one value; what varies within runs is left."""
    import pandas as pd

    first: dict[int, int] = {}
    for i, pair in enumerate(pairs):
        first.setdefault(place[pair], i)
    at, found, left = [first[n] for n in range(len(place))], {}, []
    for column in others:
        texts = as_text(part.frame, column)
        if len(set(zip(pairs, texts, strict=True))) > len(place):
            left.append(Left(f"column {column!r}", "varies within runs"))
        elif column in taken:
            left.append(Left(f"column {column!r}", "another column tells the runs apart"))
        else:
            found[column] = part.frame[column].iloc[at].to_numpy()
    return pd.DataFrame(found, index=range(len(place))), left
