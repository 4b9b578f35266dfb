"""The one table everything is learnt from: masks or weights s (m, K) and what was measured, F(s) (m, T).

Each row also states its fidelity (`retrained`, `estimated`, or a word of the user's), its seed, its cost and
its origin; each target states its direction. Rows of one mask with other seeds stay rows. Effects elsewhere
are benefits: `benefit_sign` is +1 where higher is better and -1 where lower is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from .fields import (
    EvaluationsError,
    MissingFileError,
    as_directions,
    as_floats,
    as_names,
    checked,
    difference,
    enough,
    enough_measured,
    joined_notes,
    listed,
    match,
)
from .kinds import guess_kind
from .repeats import groups, means

if TYPE_CHECKING:
    import pandas as pd

    from .derived import Definitions

__all__ = ["MIN_RUNS", "Evaluations", "EvaluationsError", "MissingFileError"]

#: Fewer runs than this support no attribution.
MIN_RUNS = 5

_ROWS = ("masks", "values", "fidelity", "seed", "cost", "origin")
_PLURAL = {"mask": "masks", "mixture": "mixtures", "weights": "weightings", "coefficients": "mergings"}

Names = str | Sequence[str]


@dataclass(frozen=True, eq=False, repr=False)
class Evaluations:
    """Evaluated masks, mixtures or weights. Immutable; build it with `from_arrays`, `from_frame` or `read`.

    Attributes
    ----------
    masks : array (m, K) of float64
        Masks, mixtures, weights or coefficients, one row per run. Read-only, like all arrays here.
    values : array (m, T) of float64
        What was measured; NaN where a target was not.
    tasks, targets : tuple of str
        Names of the K tasks and T targets.
    higher_is_better : tuple of bool (T,)
    kind : str
        "mask", "mixture", "weights" or "coefficients".
    fidelity : array (m,) of str
        "retrained", "estimated", or a word of the user's such as a model size.
    seed : array (m,) of int64
        -1 where it was not stated.
    cost : array (m,) of float64
        NaN where it was not stated.
    origin : array (m,) of str
        A file or a run.
    notes : dict
        Facts that travel with the runs and can be written as JSON: ``{"coupled": True, ...}``.
    warnings : tuple of str
        What the reader of any result should be told.

    Examples
    --------
    >>> runs = Evaluations.from_arrays([[1, 1], [0, 1], [1, 0]], [0.5, 0.7, 0.6], targets=["loss"])
    >>> runs
    Evaluations: 3 runs of 3 masks, retrained
      2 tasks (mask): task_0, task_1
      1 target: loss ↓
    """

    masks: np.ndarray
    values: np.ndarray
    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    kind: str
    fidelity: np.ndarray
    seed: np.ndarray
    cost: np.ndarray
    origin: np.ndarray
    notes: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, value in checked(vars(self)).items():
            object.__setattr__(self, name, value)

    # ---- in and out -------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        masks: ArrayLike,
        values: ArrayLike,
        *,
        tasks: Sequence[str] | None = None,
        targets: Names | None = None,
        higher_is_better: bool | Sequence[bool] | Names | None = None,
        kind: str | None = None,
        fidelity: str | Sequence[str] | np.ndarray = "retrained",
        seed: int | Sequence[int] | np.ndarray | None = None,
        cost: float | Sequence[float] | np.ndarray | None = None,
        origin: str | Sequence[str] | np.ndarray | None = None,
        notes: Mapping[str, Any] | None = None,
        warnings: Sequence[str] = (),
    ) -> Self:
        """Build the table from arrays.

        Parameters
        ----------
        masks : array (m, K)
        values : array (m, T) or (m,)
            NaN where a target was not measured.
        tasks, targets : sequence of str, optional
            Names; ``task_0``, ``target_0`` onwards when not given ("target" for a single one).
        higher_is_better : bool, sequence of bool (T,), or sequence of names or globs, optional
            Directions. Names say which targets go up, the others go down. When not given they are guessed
            from the names of the targets: lower is better where those say nothing.
        kind : str, optional
            "mask", "mixture", "weights" or "coefficients"; recognised from the values when not given.
        fidelity, seed, cost, origin : one value, or one for each row, optional
        notes, warnings : optional
            Facts that travel with the runs (anything that JSON can hold), and what readers should be told.
        """
        x, y = as_floats(masks, "masks"), as_floats(values, "values")
        y = y[:, None] if y.ndim == 1 else y
        if x.ndim != 2 or y.ndim != 2:
            raise EvaluationsError(f"masks have shape {x.shape} and values {y.shape}; give (m, K) and (m, T).")
        if tasks is None:
            tasks = [f"task_{k}" for k in range(x.shape[1])]
        if targets is None:
            targets = ["target"] if y.shape[1] == 1 else [f"target_{t}" for t in range(y.shape[1])]
        targets = as_names(targets, "targets", y.shape[1])
        return cls(
            masks=x,
            values=y,
            tasks=tuple(tasks),
            targets=targets,
            higher_is_better=as_directions(higher_is_better, targets, y),
            kind=guess_kind(x) if kind is None else kind,
            fidelity=np.asarray(fidelity),
            seed=np.asarray(-1 if seed is None else seed),
            cost=np.asarray(np.nan if cost is None else cost, dtype=float),
            origin=np.asarray("" if origin is None else origin),
            notes=notes or {},
            warnings=tuple(warnings),
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        targets: Names | None = None,
        tasks: Names | None = None,
        ignore: Names = (),
        kind: str | None = None,
        higher_is_better: Names = (),
        lower_is_better: Names = (),
        missing: Literal["error", "skip"] = "error",
        fidelity: str | None = None,
        min_runs: int = MIN_RUNS,
        name: str = "frame",
    ) -> Self:
        """Build the table from a data frame with one row per run.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns ``run, run_id, index, name, seed, cost, fidelity, origin`` and an unnamed index are
            metadata.
        targets, tasks, ignore : name, glob, or a sequence of them, optional
            Columns that are targets, that are tasks, that are neither. Columns not named are tasks if all are
            of one kind. Targets are named here, or in the frame (columns ``target:NAME``,
            ``target:lower:NAME``, ``target:higher:NAME``); otherwise columns that are called like metrics are
            taken where nothing speaks against it, and that is said.
        kind : str, optional
            "mask", "mixture", "weights" or "coefficients"; recognised from the values when not given.
        higher_is_better, lower_is_better : name, glob, or a sequence of them, optional
            Directions of targets; the others' are guessed from their names.
        missing : {"error", "skip"}
            Whether a target without a value in some run is an error, or stays NaN there.
        fidelity : str, optional
            Fidelity of all rows; otherwise that of the column, or "retrained".
        min_runs : int
            Fewer runs than this, in all or with some target, are an error.
        name : str
            What the frame is called in messages.
        """
        from .formats.table import Table, build

        how: dict[str, Any] = {"targets": targets, "tasks": tasks, "ignore": ignore, "kind": kind, "missing": missing}
        ways: dict[str, Any] = {"higher_is_better": higher_is_better, "lower_is_better": lower_is_better}
        return cls(**build(Table(frame, name), **how, **ways, fidelity=fidelity, min_runs=min_runs))

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        metrics: str | Path | None = None,
        targets: Names | None = None,
        tasks: Names | None = None,
        ignore: Names = (),
        kind: str | None = None,
        higher_is_better: Names = (),
        lower_is_better: Names = (),
        missing: Literal["error", "skip"] = "error",
        fidelity: str | None = None,
        min_runs: int = MIN_RUNS,
        tag: str | None = None,
    ) -> Self:
        """Read runs from a file: .csv, .tsv, .parquet or .npz; or from a store.

        Parameters
        ----------
        path : path, or address of a database
            One row per run and one column per task, with the targets beside them or in `metrics`. Of a store
            (``runs.db``, ``postgresql://user@host/runs``) what was evaluated, and a warning of what was not.
        metrics : path, optional
            A second file with the targets, joined on ``run``, ``run_id`` or ``index`` (olmix, RegMix): all
            its columns that are not metadata are targets, unless `targets` says which.
        targets, tasks, ignore, kind, higher_is_better, lower_is_better, missing, fidelity, min_runs
            As in `from_frame`.
        tag : str, optional
            Which runs of a store that holds several tags.
        """
        from .formats import read_table
        from .formats.table import build

        how: dict[str, Any] = {"targets": targets, "tasks": tasks, "ignore": ignore, "kind": kind, "missing": missing}
        ways: dict[str, Any] = {"higher_is_better": higher_is_better, "lower_is_better": lower_is_better}
        return cls(**build(read_table(path, metrics, tag=tag), **how, **ways, fidelity=fidelity, min_runs=min_runs))

    def write(self, path: str | Path) -> Path:
        """Write all of it to .csv, .parquet or .npz; `read` gives it back identically, without any option."""
        from .formats import write_table

        return write_table(path, self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per run: fidelity, seed, cost, origin, then the tasks, then the targets.

        A task with the name of one of the first four is called ``task:NAME``, a target whose name is taken
        ``target:NAME``.
        """
        from .formats.table import frame_of

        return frame_of(self)

    # ---- rows and columns -------------------------------------------------------------------------------

    @property
    def m(self) -> int:
        """Number of rows."""
        return len(self.masks)

    @property
    def K(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def T(self) -> int:
        """Number of targets."""
        return len(self.targets)

    @property
    def benefit_sign(self) -> np.ndarray:
        """Sign (T,) that turns a rise of a target into a benefit: +1 higher is better, -1 lower."""
        return np.where(np.array(self.higher_is_better, dtype=bool), 1.0, -1.0)

    def __len__(self) -> int:
        return self.m

    def __getitem__(self, rows: int | slice | str | ArrayLike) -> Self:
        """Return some rows (slice, booleans, integers), or one target by its name."""
        if isinstance(rows, str):
            return self.select([rows])
        if not isinstance(rows, slice):
            rows = np.atleast_1d(np.asarray(rows))
            rows = rows if rows.size else rows.astype(int)
        index = np.arange(self.m)[rows]
        return self._with(**{name: getattr(self, name)[index] for name in _ROWS})

    def filter(self, rows: ArrayLike | Callable[[Evaluations], ArrayLike]) -> Self:
        """Keep the rows where `rows` (m,) is true; a function is called with this table."""
        keep = np.asarray(rows(self) if callable(rows) else rows)
        if keep.dtype != bool or keep.shape != (self.m,):
            raise EvaluationsError(f"filter got {keep.dtype} {keep.shape}; give {self.m} booleans, one for each row.")
        return self[keep]

    def where(self, *, fidelity: str | Iterable[str] | None = None, seed: int | Iterable[int] | None = None) -> Self:
        """Keep the rows of one or several fidelities and seeds."""
        keep = np.ones(self.m, dtype=bool)
        if fidelity is not None:
            keep &= np.isin(self.fidelity, [fidelity] if isinstance(fidelity, str) else list(fidelity))
        if seed is not None:
            keep &= np.isin(self.seed, [seed] if isinstance(seed, int | np.integer) else list(seed))
        return self[keep]

    def select(self, targets: Names) -> Self:
        """Keep some targets, by name or glob, in the order given."""
        wanted = match(targets, self.targets, "target")
        columns = [self.targets.index(t) for t in wanted]
        up = tuple(self.higher_is_better[t] for t in columns)
        return self._with(values=self.values[:, columns], targets=tuple(wanted), higher_is_better=up)

    def derive(self, definitions: Definitions) -> Evaluations:
        """Add targets that are computed from others within each run: ``'overall=mean(bpb/*)'``.

        Means, medians, weighted sums (``'0.7*mmlu + 0.3*gsm'``), the worst case (``'worst(acc/*)'``), named groups of
        targets; see `derived.derive`. The interval of an effect on one holds the correlation of its members' errors.
        """
        from .derived import derive

        return derive(self, definitions)

    def __add__(self, other: Evaluations) -> Self:
        """Put the rows of two tables of the same tasks, targets, kind and directions one under the other."""
        if not isinstance(other, Evaluations):
            return NotImplemented
        for name in ("tasks", "targets", "kind", "higher_is_better"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise EvaluationsError(f"{name} differ ({difference(mine, theirs)}); only like tables can be added.")
        notes, said = joined_notes(self.notes, other.notes)
        rows = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ROWS}
        return self._with(**rows, notes=notes, warnings=(*self.warnings, *other.warnings, *said))

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Number each mask and fidelity by first appearance: the group of each row (m,), the first row of each (n,)."""
        return groups(self)

    def mean_by_mask(self) -> Self:
        """Average the rows of each mask and fidelity: means of what was measured, sums of the costs.

        The seed stays where all rows of a mask have the same one, and is -1 otherwise.
        """
        return self._with(**means(self))

    # ---- checks and words -------------------------------------------------------------------------------

    def require(self, min_runs: int = MIN_RUNS, *, name: str = "the table") -> Self:
        """Raise an `EvaluationsError` unless there are enough runs, for every target; return the table."""
        enough(self.m, min_runs, name)
        enough_measured(self.values, self.targets, min_runs, name)
        return self

    def equals(self, other: object) -> bool:
        """Tell whether all fields are identical, NaN being equal to NaN."""

        def same(a: Any, b: Any) -> bool:
            if isinstance(a, np.ndarray):
                return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            return a == b

        return isinstance(other, Evaluations) and all(
            same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __repr__(self) -> str:
        seeds, words = len(set(self.seed.tolist()) - {-1}), sorted(set(self.fidelity.tolist()))
        counted = [f"{(self.fidelity == w).sum()} {w}" for w in words] if len(words) > 1 else words
        facts = [f"{self.m} runs of {len(self.groups()[1])} {_PLURAL[self.kind]}"]
        facts += [f"{seeds} seed{'s' * (seeds != 1)}"] if seeds else []
        arrows = [f"{t} {'↑' if up else '↓'}" for t, up in zip(self.targets, self.higher_is_better, strict=True)]
        lines = [
            "Evaluations: " + ", ".join(facts + counted),
            f"  {self.K} task{'s' * (self.K != 1)} ({self.kind}): {listed(self.tasks)}",
            f"  {self.T} target{'s' * (self.T != 1)}: {listed(arrows)}",
        ]
        if gaps := int(np.isnan(self.values).sum()):
            lines.append(f"  {gaps} of {self.values.size} values not measured")
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])

    def _with(self, **changes: Any) -> Self:
        return type(self)(**{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)})
