"""An answer with names as short as they may be, for sentences and tables of a page; and what was left out of them.

Names that all begin and end alike, such as ``train_the_pile_arxiv``, fill a table with what tells nothing. Where one is
longer than `LONG`, what all share is left out, said once, and kept for tooltips. Files that are saved hold whole names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..namesakes import around, without
from .words import harmless, shown

if TYPE_CHECKING:
    from ..attribution import Attribution

LONG = 24  # characters of a name that a column has room for
SPARED = 6  # characters that leaving out must bring
NOTHING = ("", "")
#: Columns of the page's tables that hold names, of tasks and of targets.
COLUMNS = {"task": "tasks", "with": "tasks", "target": "targets", "most helped": "targets", "most hurt": "targets"}


@dataclass(frozen=True, eq=False)
class Brief:
    """An answer with short names.

    Attributes
    ----------
    answer : Attribution
        With short names of tasks and targets.
    tasks, targets : (str, str)
        What all names begin and end with that was left out; '' and '' where nothing was.
    """

    answer: Attribution
    tasks: tuple[str, str]
    targets: tuple[str, str]

    @classmethod
    def of(cls, answer: Attribution) -> Brief:
        """Shorten the names of an answer."""
        tasks, targets = common((*answer.tasks, *answer.unidentified)), common(answer.targets)
        cut = lambda names, ends: tuple(without(names, ends))
        named: dict[str, Any] = {
            "tasks": cut(answer.tasks, tasks),
            "unidentified": cut(answer.unidentified, tasks),
            "targets": cut(answer.targets, targets),
        }
        if (found := answer.discoveries) is not None and found.tasks == answer.tasks:
            named["discoveries"] = replace(found, tasks=named["tasks"])
        return cls(replace(answer, **named), tasks, targets)

    @property
    def said(self) -> str:
        """What was left out, in a sentence; '' for nothing."""
        return self._said(("tasks", "targets"))

    def _said(self, kinds: Sequence[str]) -> str:
        cut = [f"{kind} are {shown('…'.join(ends), 80)}" for kind in kinds if any(ends := getattr(self, kind))]
        return f"Names are shortened: {', '.join(cut)}." if cut else ""

    def titled(self, table: dict[str, Any] | None) -> dict[str, Any] | None:
        """A table of the short answer that knows the whole names, and says what was left out."""
        if table is None:
            return None
        kinds = {i: kind for i, c in enumerate(table["columns"]) if (kind := COLUMNS.get(c["title"]))}
        heads = [
            {**column, "around": [harmless(end) for end in ends]}
            if (kind := kinds.get(i)) and any(ends := getattr(self, kind))
            else column
            for i, column in enumerate(table["columns"])
        ]
        said = self._said([kind for kind in ("tasks", "targets") if kind in kinds.values()])
        return table | {"columns": heads, "words": " ".join(filter(None, (table["words"], said)))}


def common(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, where one of them is long and leaving it out brings something."""
    ends = around(names) if max(map(len, names), default=0) > LONG else NOTHING
    return ends if sum(map(len, ends)) >= SPARED else NOTHING
