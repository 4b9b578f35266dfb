"""Imported runs, and an account of what was taken and what was left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .draft import Draft, Left

if TYPE_CHECKING:
    import pandas as pd

    from ...evaluations import Evaluations
    from . import Importer

__all__ = ["Imported"]

_PASSWORD = re.compile(r"(:/+[^/@:\s]*):[^@\s]*@")


@dataclass(frozen=True, eq=False, repr=False)
class Imported:
    """Runs that another program wrote.

    Attributes
    ----------
    runs : Evaluations
    format : str
    files : tuple of str
    taken : tuple of (str, str, str)
        Role ('task', 'target', 'run', 'seed', 'cost', 'fidelity'), name, and the column it was read from.
    left : tuple of Left
        What was not taken, and why.
    """

    runs: Evaluations
    format: str
    files: tuple[str, ...]
    taken: tuple[tuple[str, str, str], ...]
    left: tuple[Left, ...]

    @classmethod
    def of(cls, importer: Importer, files: tuple[Path, ...], draft: Draft, runs: Evaluations) -> Self:
        """The account of a draft that became runs."""
        taken = [("task", name, column) for name, column in draft.tasks.items()]
        taken += [("target", name, target.column) for name, target in draft.targets.items()]
        taken += [(role, role, column) for role, column in draft.rows.items()]
        return cls(
            runs, importer.name, tuple(_PASSWORD.sub(r"\1:***@", str(file)) for file in files), tuple(taken), draft.left
        )

    def to_frame(self) -> pd.DataFrame:
        """Tidy: one row for each thing that was found, with what became of it."""
        import pandas as pd

        rows = [{"found": column, "taken_as": role, "name": name, "why": ""} for role, name, column in self.taken]
        rows += [{"found": what, "taken_as": "", "name": "", "why": why} for what, why in self.left]
        return pd.DataFrame(rows, columns=["found", "taken_as", "name", "why"])

    def __repr__(self) -> str:
        from ...report.imports import text

        return text(self)
