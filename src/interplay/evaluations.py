"""The one table everything is learnt from: rows of masks or weights s (m, K) and what was measured, F(s) (m, T).

Each row also states its fidelity (`retrained`, `estimated`, or a word of the user's), its seed, its cost and its
origin; each target states its direction. Rows of the same mask with other seeds stay rows. Effects elsewhere are
benefits: `benefit_sign` is +1 where higher is better and -1 where lower is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from .directions import guess_direction
from .kinds import KINDS, fault, guess_kind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MIN_RUNS", "Evaluations", "EvaluationsError", "MissingFileError"]

#: Fewer runs than this support no attribution; `Evaluations.read` and `attribute` refuse them.
MIN_RUNS = 5


class EvaluationsError(ValueError):
    """Bad input: the message says what is wrong, where, and what to do."""


class MissingFileError(EvaluationsError, FileNotFoundError):
    """A file that is not there."""


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
        A file or run name.
    notes : dict
        Facts that travel with the runs and can be written as JSON: ``{"coupled": True, ...}``.
    warnings : tuple of str
        What the reader of any result should be told.

    Examples
    --------
    >>> runs = Evaluations.from_arrays([[1, 1], [0, 1], [1, 0]], [.5, .7, .6], tasks=["a", "b"], targets=["loss"])
    >>> runs["loss"].values[:, 0]
    array([0.5, 0.7, 0.6])
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
        put = lambda name, value: object.__setattr__(self, name, value)
        put("masks", _frozen(_floats(self.masks, "masks")))
        put("values", _frozen(_floats(self.values, "values")))
        if self.masks.ndim != 2 or self.values.ndim != 2 or len(self.masks) != len(self.values):
            raise EvaluationsError(
                f"masks have shape {self.masks.shape} and values {self.values.shape}; "
                "give (m, K) and (m, T), one row for each run in both."
            )
        m, K, T = self.m, self.masks.shape[1], self.values.shape[1]
        for name, size in (("tasks", K), ("targets", T)):
            put(name, _names(getattr(self, name), name, size))
        directions = tuple(bool(up) for up in self.higher_is_better)
        if len(directions) != T:
            raise EvaluationsError(
                f"higher_is_better has {len(directions)} entries for {T} targets; give one each."
            )
        put("higher_is_better", directions)
        if self.kind not in KINDS:
            raise EvaluationsError(f"kind is {self.kind!r}; choose one of {', '.join(KINDS)}.")
        if problem := fault(self.masks, self.kind, self.tasks, row="masks: row"):
            raise EvaluationsError(problem)
        if np.isinf(self.values).any():
            i, t = np.argwhere(np.isinf(self.values))[0]
            raise EvaluationsError(
                f"values: row {i} has {self.values[i, t]:g} for target {self.targets[t]!r}; values must be finite. "
                "Leave that run out, or give NaN where a target was not measured."
            )
        for name, kind in (("fidelity", str), ("seed", np.int64), ("cost", np.float64), ("origin", str)):
            column = _column(getattr(self, name), name, kind)
            if column.shape != (m,):
                raise EvaluationsError(
                    f"{name} has shape {column.shape}; give one entry for each of the {m} rows."
                )
            put(name, _frozen(column))
        put("notes", _plain(self.notes))
        put("warnings", tuple(dict.fromkeys(str(w) for w in self.warnings)))

    # ---- building -------------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        masks: ArrayLike,
        values: ArrayLike,
        *,
        tasks: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        higher_is_better: bool | Sequence[bool] | Sequence[str] | None = None,
        kind: str | None = None,
        fidelity: str | Sequence[str] | np.ndarray = "retrained",
        seed: int | Sequence[int] | np.ndarray | None = None,
        cost: float | Sequence[float] | np.ndarray | None = None,
        origin: str | Sequence[str] | np.ndarray | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build the table from arrays.

        Parameters
        ----------
        masks : array (m, K)
        values : array (m, T) or (m,)
            NaN where a target was not measured.
        tasks, targets : sequence of str, optional
            Names; ``task_0`` and ``target_0`` onwards when not given ("target" for a single one).
        higher_is_better : bool, sequence of bool (T,), or sequence of names, optional
            Directions; guessed from the names of the targets when not given, lower is better where those say
            nothing. With names, those targets go up and the others down.
        kind : str, optional
            "mask", "mixture", "weights" or "coefficients"; recognised from the values when not given.
        fidelity, seed, cost, origin : one value or one for each row, optional
        notes : mapping, optional
            Facts that travel with the runs; anything that JSON can hold.
        """
        x = _floats(masks, "masks")
        y = _floats(values, "values")
        y = y[:, None] if y.ndim == 1 else y
        if x.ndim != 2 or y.ndim != 2:
            raise EvaluationsError(
                f"masks have shape {x.shape} and values {np.shape(values)}; give (m, K), (m, T)."
            )
        m, T = len(x), y.shape[1]
        if tasks is None:
            tasks = [f"task_{k}" for k in range(x.shape[1])]
        if targets is None:
            targets = ["target"] if T == 1 else [f"target_{t}" for t in range(T)]
        targets = _names(targets, "targets", T)
        row = lambda given, default, kind: np.array(
            np.broadcast_to(_column(default if given is None else given, "row facts", kind), (m,))
            if np.ndim(default if given is None else given) == 0
            else _column(given, "row facts", kind)
        )
        return cls(
            masks=x,
            values=y,
            tasks=tuple(tasks),
            targets=targets,
            higher_is_better=_directions(higher_is_better, targets),
            kind=guess_kind(x) if kind is None else kind,
            fidelity=row(fidelity, "retrained", str),
            seed=row(seed, -1, np.int64),
            cost=row(cost, np.nan, np.float64),
            origin=row(origin, "", str),
            notes={} if notes is None else notes,
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        targets: str | Sequence[str] | None = None,
        tasks: str | Sequence[str] | None = None,
        ignore: str | Sequence[str] = (),
        kind: str | None = None,
        higher_is_better: str | Sequence[str] = (),
        lower_is_better: str | Sequence[str] = (),
        missing: Literal["error", "skip"] = "error",
        fidelity: str | None = None,
        min_runs: int = MIN_RUNS,
        name: str = "frame",
    ) -> Self:
        """Build the table from a data frame with one row per run; see `read` for the parameters."""
        from .formats.table import build

        return cls(
            **build(
                frame,
                targets=targets,
                tasks=tasks,
                ignore=ignore,
                kind=kind,
                higher_is_better=higher_is_better,
                lower_is_better=lower_is_better,
                missing=missing,
                fidelity=fidelity,
                min_runs=min_runs,
                name=name,
            )
        )

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        metrics: str | Path | None = None,
        targets: str | Sequence[str] | None = None,
        tasks: str | Sequence[str] | None = None,
        ignore: str | Sequence[str] = (),
        kind: str | None = None,
        higher_is_better: str | Sequence[str] = (),
        lower_is_better: str | Sequence[str] = (),
        missing: Literal["error", "skip"] = "error",
        fidelity: str | None = None,
        min_runs: int = MIN_RUNS,
    ) -> Self:
        """Read runs from a file: .csv, .tsv, .parquet or .npz.

        Parameters
        ----------
        path : path
            One row per run and one column per task, with the targets beside them or in `metrics`.
        metrics : path, optional
            A second file with the targets, joined on ``run``, ``run_id`` or ``index`` (olmix, RegMix): all its
            columns that are not metadata are targets, unless `targets` says which.
        targets, tasks, ignore : name, glob, or a sequence of them, optional
            Columns that are targets, that are tasks, that are neither. ``run, run_id, index, name, seed, cost,
            fidelity, origin`` and an unnamed index are metadata; all other columns are tasks if they are of one
            kind. Targets are never guessed: they must be named, here or in the file (columns ``target:NAME``,
            ``target:lower:NAME``, ``target:higher:NAME``, as `write` names them).
        kind : str, optional
            "mask", "mixture", "weights" or "coefficients"; recognised from the values when not given.
        higher_is_better, lower_is_better : name, glob, or a sequence of them, optional
            Directions of targets; guessed from the names of the others.
        missing : {"error", "skip"}
            Whether a target without a value in some run is an error, or is left at NaN there.
        fidelity : str, optional
            Fidelity of all rows; otherwise that of the file's column, or "retrained".
        min_runs : int
            Fewer runs than this are an error.
        """
        from .formats import read_table

        table = read_table(path, metrics=metrics, targets=targets, ignore=ignore)
        from .formats.table import build

        return cls(
            **build(
                table.frame,
                targets=table.targets if targets is None else targets,
                tasks=tasks,
                ignore=ignore,
                kind=kind,
                higher_is_better=higher_is_better,
                lower_is_better=lower_is_better,
                missing=missing,
                fidelity=fidelity,
                min_runs=min_runs,
                name=table.name,
                facts=table.facts,
                paired=table.paired,
            )
        )

    # ---- out ------------------------------------------------------------------------------------------------

    def write(self, path: str | Path) -> Path:
        """Write all of it to .csv, .parquet or .npz; `read` gives it back identically, without any option."""
        from .formats import write_table

        return write_table(path, self)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per run: fidelity, seed, cost, origin, then the tasks, then the targets.

        A target with the name of a task (or of such a column) is called ``target:NAME``.
        """
        from .formats.table import frame_of

        return frame_of(self)

    # ---- rows and columns -----------------------------------------------------------------------------------

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
        """Return some rows (slice, mask of bools, integers), or one target by its name."""
        if isinstance(rows, str):
            return self.select([rows])
        if isinstance(rows, int | np.integer):
            rows = [int(rows)]
        index = np.arange(self.m)[rows if isinstance(rows, slice) else _index(rows)]
        return self._with(
            masks=self.masks[index],
            values=self.values[index],
            **{name: getattr(self, name)[index] for name in ("fidelity", "seed", "cost", "origin")},
        )

    def filter(self, rows: ArrayLike | Callable[[Evaluations], ArrayLike]) -> Self:
        """Keep the rows where `rows` (m,) is true; a function is called with this table."""
        keep = np.asarray(rows(self) if callable(rows) else rows)
        if keep.dtype != bool or keep.shape != (self.m,):
            raise EvaluationsError(
                f"filter wants {self.m} booleans, one for each row; got {keep.dtype} {keep.shape}."
            )
        return self[keep]

    def where(
        self, *, fidelity: str | Iterable[str] | None = None, seed: int | Iterable[int] | None = None
    ) -> Self:
        """Keep the rows of one or several fidelities and seeds."""
        keep = np.ones(self.m, dtype=bool)
        if fidelity is not None:
            keep &= np.isin(
                self.fidelity, [fidelity] if isinstance(fidelity, str) else [str(f) for f in fidelity]
            )
        if seed is not None:
            keep &= np.isin(
                self.seed, [seed] if isinstance(seed, int | np.integer) else [int(s) for s in seed]
            )
        return self[keep]

    def select(self, targets: str | Sequence[str]) -> Self:
        """Keep some targets, by name or glob, in the order given."""
        wanted = match(targets, self.targets, "target")
        columns = [self.targets.index(t) for t in wanted]
        return self._with(
            values=self.values[:, columns],
            targets=tuple(wanted),
            higher_is_better=tuple(self.higher_is_better[t] for t in columns),
        )

    def __add__(self, other: Evaluations) -> Self:
        """Put the rows of two tables of the same tasks, targets, kind and directions one under the other."""
        if not isinstance(other, Evaluations):
            return NotImplemented
        for name in ("tasks", "targets", "kind", "higher_is_better"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise EvaluationsError(
                    f"{name} differ: {_difference(mine, theirs)}. Only like tables can be added."
                )
        notes, said = _merged(self.notes, other.notes)
        rows = ("masks", "values", "fidelity", "seed", "cost", "origin")
        return self._with(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in rows},
            notes=notes,
            warnings=(*self.warnings, *other.warnings, *said),
        )

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Number the distinct pairs of mask and fidelity, in the order in which they first appear.

        Returns
        -------
        index : array (m,) of int64
            The group of each row.
        first : array (n,) of int64
            The first row of each group.
        """
        number: dict[tuple[bytes, str], int] = {}
        index, first = np.empty(self.m, dtype=np.int64), []
        for i, (mask, word) in enumerate(zip(self.masks + 0.0, self.fidelity, strict=True)):
            key = (mask.tobytes(), str(word))
            if key not in number:
                number[key] = len(number)
                first.append(i)
            index[i] = number[key]
        return index, np.array(first, dtype=np.int64)

    def mean_by_mask(self) -> Self:
        """Average the rows of each mask and fidelity: means of what was measured, sums of the costs.

        The seed stays where all rows of a mask have the same one, and is -1 otherwise.
        """
        index, first = self.groups()
        n = len(first)
        here = ~np.isnan(self.values)
        count, total = np.zeros((n, self.T)), np.zeros((n, self.T))
        np.add.at(count, index, here)
        np.add.at(total, index, np.where(here, self.values, 0.0))
        cost = np.zeros(n)
        np.add.at(cost, index, self.cost)
        mixed = np.zeros(n, dtype=bool)
        mixed[index[self.seed != self.seed[first][index]]] = True
        return self._with(
            masks=self.masks[first],
            values=np.divide(total, count, out=np.full((n, self.T), np.nan), where=count > 0),
            fidelity=self.fidelity[first],
            seed=np.where(mixed, -1, self.seed[first]),
            cost=cost,
            origin=self.origin[first],
        )

    # ---- checks and words -----------------------------------------------------------------------------------

    def require(self, min_runs: int = MIN_RUNS, *, name: str = "the table") -> Self:
        """Raise an `EvaluationsError` unless there are enough runs, for every target; return the table."""
        if self.m < min_runs:
            raise EvaluationsError(
                f"{name} has {self.m} run{'s' * (self.m != 1)}; at least {min_runs} are needed to attribute anything. "
                "Add runs: `interplay design` proposes masks."
            )
        measured = (~np.isnan(self.values)).sum(axis=0)
        if (measured < min_runs).any():
            t = int(np.flatnonzero(measured < min_runs)[0])
            raise EvaluationsError(
                f"{name} has {measured[t]} values of target {self.targets[t]!r} in {self.m} runs; at least {min_runs} "
                "are needed. Leave that target out (--target names the ones to keep), or add runs."
            )
        return self

    def equals(self, other: Evaluations) -> bool:
        """Tell whether all fields are identical, NaN being equal to NaN."""
        same = lambda a, b: (
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b
        )
        return isinstance(other, Evaluations) and all(
            same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __repr__(self) -> str:
        index, first = self.groups()
        plural = {
            "mask": "masks",
            "mixture": "mixtures",
            "weights": "weightings",
            "coefficients": "coefficients",
        }
        seeds = len(set(self.seed.tolist()) - {-1})
        words = sorted(set(self.fidelity.tolist()))
        lines = [
            f"Evaluations: {self.m} runs of {len(first)} {plural[self.kind]}"
            + (f", {seeds} seed{'s' * (seeds != 1)}" if seeds else "")
            + (f", {', '.join(f'{(self.fidelity == w).sum()} {w}' if len(words) > 1 else w for w in words)}"),
            f"  {self.K} tasks ({self.kind}): {_listed(self.tasks)}",
            f"  {self.T} target{'s' * (self.T != 1)}: "
            + _listed(
                [
                    f"{t} {'↑' if up else '↓'}"
                    for t, up in zip(self.targets, self.higher_is_better, strict=True)
                ]
            ),
        ]
        if gaps := int(np.isnan(self.values).sum()):
            lines.append(f"  {gaps} of {self.values.size} values not measured")
        return "\n".join([*lines, *(f"  warning: {w}" for w in self.warnings)])

    def _with(self, **changes: Any) -> Self:
        return type(self)(**{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)})


def match(patterns: str | Sequence[str], names: Sequence[str], what: str) -> list[str]:
    """Return the names that the patterns (names or globs) stand for, each once, in the order of the patterns."""
    found: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        hits = [pattern] if pattern in names else [n for n in names if fnmatchcase(n, pattern)]
        if not hits:
            from difflib import get_close_matches

            near = get_close_matches(pattern, names, n=3, cutoff=0.5) or list(names)[:5]
            raise EvaluationsError(
                f"no {what} is called {pattern!r}. "
                + (
                    f"There are {len(names)}, such as {', '.join(map(repr, near))}."
                    if names
                    else "There are none."
                )
            )
        found.update(dict.fromkeys(hits))
    return list(found)


def _directions(given: Any, targets: Sequence[str]) -> tuple[bool, ...]:
    if given is None:
        return tuple(bool(guess_direction(t)) for t in targets)
    if isinstance(given, bool | np.bool_):
        return (bool(given),) * len(targets)
    given = [given] if isinstance(given, str) else list(given)
    if given and all(isinstance(g, str) for g in given):
        up = set(match(given, targets, "target"))
        return tuple(t in up for t in targets)
    return tuple(given)


def _floats(values: Any, name: str) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationsError(
            f"{name} cannot be read as numbers ({error}); give an array of floats."
        ) from None


def _column(values: Any, name: str, kind: type) -> np.ndarray:
    if kind is str:
        array = np.asarray(values)
        return (
            array
            if array.dtype.kind == "U"
            else np.array([str(v) for v in array.ravel()], "U").reshape(array.shape)
        )
    try:
        array = np.asarray(values)
        if kind is np.int64 and array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
            raise ValueError("not whole numbers")
        return array.astype(kind)
    except (TypeError, ValueError) as error:
        raise EvaluationsError(
            f"{name}: {error}; give {'whole ' if kind is np.int64 else ''}numbers."
        ) from None


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array


def _names(names: Any, what: str, size: int) -> tuple[str, ...]:
    if isinstance(names, str):
        names = [names]
    out = tuple(str(n).strip() for n in names)
    if len(out) != size:
        raise EvaluationsError(f"{what} has {len(out)} names for {size} columns; give one name for each.")
    if not size:
        raise EvaluationsError(f"there are no {what}; give at least one.")
    for n in out:
        if not n:
            raise EvaluationsError(f"{what} holds an empty name; name every column.")
        if out.count(n) > 1:
            raise EvaluationsError(f"{what} names {n!r} twice; give every column its own name.")
    return out


def _index(rows: Any) -> np.ndarray:
    array = np.asarray(rows)
    return array if array.dtype == bool or array.size else array.astype(int)


def _plain(notes: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} is not JSON")

    try:
        return json.loads(json.dumps(dict(notes), default=plain))
    except (TypeError, ValueError) as error:
        raise EvaluationsError(
            f"notes cannot be written as JSON ({error}); use numbers, text, lists and dicts."
        ) from None


def _merged(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Join notes: what both state alike or one alone states is kept, what they dispute becomes None and is said."""
    notes, said = {**a, **b}, []
    for key in notes:
        if key in a and key in b and a[key] == b[key]:
            continue
        if (key in a) != (key in b) and not isinstance(notes[key], bool):
            continue
        notes[key] = None
        said.append(f"the tables that were added differ in {key!r}: {a.get(key)!r} and {b.get(key)!r}")
    return notes, said


def _difference(mine: Any, theirs: Any) -> str:
    if isinstance(mine, str) or len(mine) != len(theirs):
        return f"{mine if isinstance(mine, str) else len(mine)} against {theirs if isinstance(mine, str) else len(theirs)}"
    i = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
    return f"number {i} is {mine[i]!r} against {theirs[i]!r}"


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names) - most} more)" if len(names) > most else "")
