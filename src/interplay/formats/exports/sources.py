"""What a trainer calls each task, and how much of it there is: the table of sources, however it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...fields import EvaluationsError, listed, unknown
from .format import UNITS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """One row: what the trainer calls it, how much there is (NaN: not known), and other columns that are not empty."""

    name: str
    tokens: float = np.nan
    examples: float = np.nan
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others: one path may stand for several sets (files, splits)."""
        return self.name, tuple(self.fields.items())


@dataclass(frozen=True)
class Sources:
    """Rows by task, and what the table is called; no rows where none was given."""

    rows: Mapping[str, Source]
    title: str

    def of(self, task: str, short: str) -> Source:
        """Return the row of a task, which may go by its name without that of its phase."""
        if not self.title:
            return Source(short)
        for name in (task, short):
            if name in self.rows:
                return self.rows[name]
        raise EvaluationsError(
            f"sources: {unknown(task, list(self.rows), 'task')} Every task that the choice reads needs its row in "
            f"{self.title}."
        )

    def unused(self, tasks: Sequence[str], phased: bool) -> list[str]:
        """Rows of no task, whose names may stand without that of their phase."""
        short = tuple(f":{row}" for row in self.rows) if phased else ()
        ends = {end[1:] for end in short if any(task.endswith(end) for task in tasks)}
        return [row for row in self.rows if row not in tasks and row not in ends]


def read(given: Any, columns: Sequence[str]) -> Sources:
    """Read sources from a file, a frame, or a mapping of tasks; ``columns`` are those that the format takes."""
    if given is None:
        return Sources({}, "")
    frame, title = _frame(given)
    if "task" not in frame:
        raise EvaluationsError(
            f"sources: {title} has no column 'task' (its columns: {listed([str(c) for c in frame.columns])}). Give "
            "'task' and, where they are known, 'source', 'tokens' and 'examples'."
        )
    from ..columns import as_numbers, as_text

    n = len(frame)
    texts = {name: [t.strip() for t in as_text(frame, name)] for name in ("task", "source", *columns) if name in frame}
    sizes = {
        name: as_numbers(frame, name, f"sources: {title}", "Give a count, or leave it empty.")
        if name in frame
        else np.full(n, np.nan)
        for name in UNITS
    }
    rows: dict[str, Source] = {}
    for i, task in enumerate(texts["task"]):
        if not task or task in rows:
            what = f"gives task {task!r} again. Keep one row" if task else "names no task. Name one, or take it out"
            raise EvaluationsError(f"sources: {title}: row {i + 1} {what}.")
        for unit, values in sizes.items():
            if values[i] < 0 or np.isinf(values[i]):
                raise EvaluationsError(
                    f"sources: {title}: {unit} of task {task!r} is {values[i]:g}; give a count, or leave it empty."
                )
        fields = {name: texts[name][i] for name in columns if name in texts and texts[name][i]}
        name = texts["source"][i] if "source" in texts and texts["source"][i] else task
        rows[task] = Source(name, float(sizes["tokens"][i]), float(sizes["examples"][i]), fields)
    return Sources(rows, title)


def _frame(given: Any) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if isinstance(given, str | Path):
        from ..points import sheet

        try:
            table = sheet(given)
        except EvaluationsError as error:
            raise EvaluationsError(f"sources: {error}") from None
        return table.frame, table.name
    if isinstance(given, Mapping):
        rows = [{"task": task, **(row if isinstance(row, Mapping) else {"source": row})} for task, row in given.items()]
        return pd.DataFrame(rows, columns=None if rows else ["task"]), "the mapping"
    if isinstance(given, pd.DataFrame):
        return given, "the frame"
    raise EvaluationsError(f"sources is a {type(given).__name__}; give a file, a frame, or a mapping of tasks.")
