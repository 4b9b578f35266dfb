"""What an importer makes of files that somebody else's program wrote, before it becomes `Evaluations`.

An importer says of every column (or key, or row) what it became or why it was left; nothing disappears unsaid. The
draft then goes through the same checks as a table that was read (`formats.table.build`), so that a file that was
imported and one that was written by hand are treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...directions import guess_direction
from ...fields import listed
from ..columns import as_text

if TYPE_CHECKING:
    import pandas as pd

    from ...evaluations import Evaluations

__all__ = ["Draft", "Left", "Options", "Target", "as_paths", "counted", "lacked"]

_ROWS = ("run", "seed", "cost", "fidelity")
_MARK = re.compile(r"(?<=')(?:task:|target:(?:lower:|higher:)?)|(?<=--ignore )task:")
_ROW = re.compile(r"(?<=: |n )row (\d+)\b")  # "in row 3", ": row 3 sums to"


class Left(NamedTuple):
    """Something that was not taken, and why: ``Left("column 'lr'", "a setting that never varies")``."""

    what: str
    why: str


class Target(NamedTuple):
    """A target: its column in the frame, and its direction where the file states it (None where its name must do)."""

    column: str
    higher_is_better: bool | None = None


@dataclass(frozen=True)
class Options:
    """What the user said beside the files; every importer takes what it needs and refuses what it cannot use.

    Attributes
    ----------
    tasks, targets, ignore : tuple of str
        Names or globs; empty where not given.
    higher_is_better, lower_is_better : tuple of str
    mixtures : Path, optional
        A file or folder that says what each run was trained on, where the results do not.
    run, seed, cost, fidelity : str, optional
        Columns (or keys) that hold these, where their names do not say; `fidelity` may also be a word for all runs.
    kind, missing : as in `Evaluations.read`
    where : mapping of str to str
        Columns and what they must hold for a row to be taken.
    """

    tasks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    higher_is_better: tuple[str, ...] = ()
    lower_is_better: tuple[str, ...] = ()
    mixtures: Path | None = None
    run: str | None = None
    seed: str | None = None
    cost: str | None = None
    fidelity: str | None = None
    kind: str | None = None
    missing: str = "error"
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """Runs as an importer sorted them.

    Attributes
    ----------
    frame : DataFrame
        One row for each run, cells as they were read.
    name : str
        Of the file or files, for messages.
    tasks : mapping of str to str
        Name of each task and its column.
    targets : mapping of str to Target
    rows : mapping of str to str
        Columns of 'run' (where it came from), 'seed', 'cost' and 'fidelity', as far as there are any.
    left : tuple of Left
    notes : dict
        Facts that travel with the runs.
    warnings : tuple of str
        What readers of any result should be told.
    kind : str, optional
        Where the format fixes it.
    """

    frame: pd.DataFrame
    name: str
    tasks: Mapping[str, str]
    targets: Mapping[str, Target]
    rows: Mapping[str, str] = field(default_factory=dict)
    left: tuple[Left, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    kind: str | None = None

    def evaluations(self, options: Options, *, min_runs: int = 5) -> Evaluations:
        """Check it all and return the table.

        Raises
        ------
        EvaluationsError
            For whatever `Evaluations.read` refuses, in the words of the foreign file.
        """
        from dataclasses import replace

        from ...evaluations import Evaluations, EvaluationsError
        from ..table import Table, build

        try:
            fields = build(
                Table(self._columns(), self.name),
                targets=None,
                tasks=[*self.tasks],
                ignore=(),
                kind=options.kind or self.kind,
                higher_is_better=options.higher_is_better,
                lower_is_better=options.lower_is_better,
                missing=options.missing,
                fidelity=options.fidelity if "fidelity" not in self.rows else None,
                min_runs=min_runs,
            )
        except EvaluationsError as error:  # columns and runs by the names that the user knows
            said = re.sub(_MARK, "", str(error))
            raise EvaluationsError(re.sub(_ROW, self._called, said, count=1)) from None
        runs = Evaluations(**fields)
        said = (*runs.warnings, *self.warnings, *_short(runs))
        return replace(runs, notes={**runs.notes, **self.notes}, warnings=said)

    def _called(self, found: re.Match[str]) -> str:
        """A row of the draft by the name of its run: it need not be the row of the file, of which some may be left."""
        i = int(found[1]) - 1
        if "run" not in self.rows or not 0 <= i < len(self.frame):
            return found[0]
        return f"{found[0]} (run {as_text(self.frame, self.rows['run'])[i]!r})"

    def _columns(self) -> pd.DataFrame:
        """The frame under the names that `build` needs no option for."""
        import pandas as pd

        words = {True: "target:higher:", False: "target:lower:", None: "target:"}
        columns: dict[str, Any] = {f"task:{task}": self.frame[column] for task, column in self.tasks.items()}
        for name, (column, way) in self.targets.items():
            way = bool(guess_direction(name)) if way is None and name.startswith(("lower:", "higher:")) else way
            columns[words[way] + name] = self.frame[column]
        columns |= {role: self.frame[self.rows[role]] for role in _ROWS if role in self.rows}
        return pd.DataFrame(columns).reset_index(drop=True)


def _short(runs: Evaluations) -> list[str]:
    """What looks like shares of which one is missing."""
    total = runs.masks.sum(axis=1)
    if runs.kind != "weights" or runs.masks.max() > 1 or total.max() > 1.01 or total.min() > 0.99:
        return []
    return [
        f"the weights of a run sum to {total.min():.3g} to {total.max():.3g}, and none above 1: if they are shares, a "
        "source is missing"
    ]


def as_paths(paths: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """One path or several, as a tuple."""
    return tuple(map(Path, [paths] if isinstance(paths, str | Path) else paths))


def counted(n: int, word: str, names: Sequence[str] = ()) -> str:
    """How many of something there are, and the first of their names.

    Examples
    --------
    >>> counted(1, "run", ["r1"]), counted(2, "row")
    ('1 run (r1)', '2 rows')
    """
    return f"{n} {word}{'s' * (n != 1)}" + (f" ({listed(list(names), 4)})" if names else "")


def lacked(runs: Sequence[str]) -> str:
    """Say which runs lack a result that is therefore left, and how it is taken all the same.

    Examples
    --------
    >>> lacked(["r1"])
    '1 run (r1) lacks it; --target and --missing skip take it'
    """
    return f"{counted(len(runs), 'run', runs)} lack{'s' * (len(runs) == 1)} it; --target and --missing skip take it"
