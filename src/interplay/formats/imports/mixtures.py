"""What each run was trained on, where its results do not say it: ``--mixtures``.

A table (wide: a row for each run and a column for each task; long: run, task, weight), a YAML or JSON file of
``run: {task: weight}``, a file ``train: {task: weight}`` for each run, or a folder of such files or of CLIMB's scripts.
Runs are found by their names: exactly, then by the last part of a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...fields import EvaluationsError, listed, match
from ..columns import as_numbers, as_text
from ..table import FACTS, UNNAMED, Table, is_metadata
from .documents import load, mapping_of, number
from .draft import Left, Options, counted
from .sheets import column_called, existing, numbers, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Mixed", "Mixtures", "SCRIPTS", "mixtures_of", "read_mixtures"]

SCRIPTS = (".sh",)
_DOCUMENTS = (".yaml", ".yml", ".json")
_TASK = ("task", "source", "domain", "dataset")
_WEIGHT = ("weight", "share", "ratio", "proportion")
_KEYS = ("run", "run_id", "name", "model", "model_name", "index")


class Mixtures(NamedTuple):
    """Mixtures by the names of their runs (rows in `frame`, tasks its columns), and what was left."""

    names: dict[str, tuple[str, ...]]  # of each column that may name the runs, the names
    frame: pd.DataFrame
    left: tuple[Left, ...]
    table: pd.DataFrame | None = None  # of a table with a row for each run, all that it holds


class Mixed(NamedTuple):
    """What some runs (m,) were trained on: a frame, the column of each task in it, what was left, and seeds."""

    frame: pd.DataFrame
    tasks: dict[str, str]
    left: tuple[Left, ...]
    seeds: list[str] | None = None


def mixtures_of(path: Path, runs: Sequence[str], options: Options, *, seeded: bool = False) -> Mixed:
    """Read what each of some runs was trained on.

    Parameters
    ----------
    path : Path
    runs : sequence of str (m,)
        Names of the runs, as the results have them; several rows may be of one run.
    options : Options
        Of these `tasks`, `ignore` and `seed`: the column of seeds is no task.
    seeded : bool
        Whether it is this file that states the seeds, so that it must have the column that is named.

    Returns
    -------
    Mixed
        A row for each run, in their order.

    Raises
    ------
    EvaluationsError
        For runs that have no mixture, or several.
    """
    held = read_mixtures(path)
    rows = _rows(held, runs, path.name)
    seed = _seed(held, path, options.seed, seeded)
    names = [str(c) for c in held.frame.columns if c != seed]
    wanted = match(options.tasks, names, f"task of {path.name}") if options.tasks else names
    dropped = set(match(options.ignore, names, f"task of {path.name}", also=[*options.ignore]))
    taken = [name for name in wanted if name not in dropped]
    if not taken:
        raise EvaluationsError(f"{path.name} has no task left; its columns are {listed(names)}. Check --ignore.")
    left = [*held.left]
    left += [
        Left(f"{path.name}: {n}", "left out by --ignore" if n in dropped else "not among --tasks")
        for n in names
        if n not in taken
    ]
    if spare := [n for i, n in enumerate(next(iter(held.names.values()))) if i not in set(rows)]:
        left.append(Left(f"{path.name}: {counted(len(spare), 'mixture', spare)}", "no run has such a name"))
    columns = {name: f"{path.name}: {name}" for name in taken}
    frame = held.frame[taken].iloc[rows].reset_index(drop=True)
    seeds = None if seed is None or held.table is None else [as_text(held.table, seed)[i].strip() for i in rows]
    return Mixed(frame.set_axis([*columns.values()], axis=1), columns, tuple(left), seeds)


def _seed(held: Mixtures, path: Path, stated: str | None, seeded: bool) -> str | None:
    """The column of seeds of a table of mixtures: the one that is stated, or the one that is called so."""
    columns = [] if held.table is None else [str(c) for c in held.table.columns]
    found = next((c for c in columns if c.strip().lower() == (stated or "seed").lower()), None)
    if seeded and stated is not None and found is None:
        raise EvaluationsError(f"--seed {stated}: {path.name} has no such column. Name a column of --mixtures.")
    return found


def read_mixtures(path: Path) -> Mixtures:
    """Read a file or a folder of mixtures, whatever their runs are called."""
    existing(path, folder=True)
    if path.is_dir():
        return _folder(path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _DOCUMENTS:
        return _made(_document(path), path.name)
    if suffix in SCRIPTS:
        from .climb import not_run, script_of

        script = script_of(path)
        return _made({path.stem: script.weights}, path.name, not_run({path.stem: script}))
    return _table(read_sheet(path))


def _folder(path: Path) -> Mixtures:
    """Read a folder: of scripts (CLIMB), or of YAML and JSON files."""
    from .climb import not_run, scripts_in

    if scripts := scripts_in(path):
        return _made({run: script.weights for run, script in scripts.items()}, path.name, not_run(scripts))
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in _DOCUMENTS and f.is_file())
    if not files:
        raise EvaluationsError(
            f"folder {path.name!r} holds no mixtures: neither scripts of CLIMB (n0.sh) nor .yaml or .json files."
        )
    held: dict[str, Mapping[str, float]] = {}
    for file in files:
        for run, weights in _document(file).items():
            if run in held:
                raise EvaluationsError(f"{path.name}: run {run!r} has two mixtures, one in {file.name}. Keep one.")
            held[run] = weights
    return _made(held, path.name)


def _document(path: Path) -> dict[str, dict[str, float]]:
    """``run: {task: weight}``, or the mixture of one run, named after the file (``train: {...}`` of RegMix)."""
    document = mapping_of(load(path), path.name, "the document")
    weights = document.get("train", document)
    if isinstance(weights, Mapping) and weights and not any(isinstance(v, Mapping) for v in weights.values()):
        document = {path.name.removesuffix(".gz").rsplit(".", 1)[0]: weights}
    found = {}
    for run, given in document.items():
        given = mapping_of(given, path.name, f"the mixture of {run!r}")
        found[run] = {t: number(w, path.name, f"weight of {t!r} in {run!r}") for t, w in given.items()}
    if not any(found.values()):
        raise EvaluationsError(f"{path.name} holds no mixture. Give run: {{task: weight}}.")
    return found


def _made(held: Mapping[str, Mapping[str, float]], name: str, left: Sequence[Left] = ()) -> Mixtures:
    """Tables of mixtures that name only what is in them; what is not named is 0, and that is said."""
    import pandas as pd

    tasks = list(dict.fromkeys(task for weights in held.values() for task in weights))
    rows = [[weights.get(task, 0.0) for task in tasks] for weights in held.values()]
    unsaid = sum(len(tasks) - len(weights) for weights in held.values())
    said = [Left(f"{name}: {counted(unsaid, 'weight')} not stated", "taken as 0")] if unsaid else []
    return Mixtures({"run": tuple(held)}, pd.DataFrame(rows, columns=tasks, dtype=float), (*left, *said))


def _table(table: Table) -> Mixtures:
    """A table, wide or long."""
    frame, name = table.frame, table.name
    task, weight = column_called(frame, *_TASK), column_called(frame, *_WEIGHT)
    if task and weight and not numbers(frame, [task])[task]:
        key = column_called(frame, *_KEYS)
        if key is None:
            raise EvaluationsError(f"{name} names no runs: a column run is needed beside {task} and {weight}.")
        return _long(table, key, task, weight)
    keys = [c for c in frame.columns if c.lower() in _KEYS] or [str(frame.columns[0])]
    if UNNAMED.fullmatch(keys[0]) and len(frame.columns) > 1:  # an index that was written with the table
        texts = [c for c, yes in numbers(frame, [str(c) for c in frame.columns]).items() if not yes]
        keys = texts[:1] or keys
    rest = [str(c) for c in frame.columns if c not in keys and not is_metadata(str(c)) and c != FACTS]
    numeric = numbers(frame, rest)
    tasks = {c: c.removeprefix("task:") for c, yes in numeric.items() if yes}
    left = [Left(f"{name}: {c}", "text, and no weight") for c, yes in numeric.items() if not yes]
    if not tasks:
        raise EvaluationsError(f"{name} has no column of weights; its columns are {listed(list(frame.columns))}.")
    named = {key: tuple(t.strip() for t in as_text(frame, key)) for key in keys}
    return Mixtures(named, frame.loc[:, list(tasks)].set_axis([*tasks.values()], axis=1), tuple(left), frame)


def _long(table: Table, key: str, task: str, weight: str) -> Mixtures:
    frame, name = table.frame, table.name
    runs, tasks = as_text(frame, key), as_text(frame, task)
    weights = as_numbers(frame, weight, name, "Give a weight.")
    held: dict[str, dict[str, float]] = {}
    for i, (run, one, value) in enumerate(zip(runs, tasks, weights, strict=True)):
        if not run or not one:
            raise EvaluationsError(f"{name}: row {i + 1} has no {task if run else key}. Every row needs one.")
        if one in held.setdefault(run, {}):
            raise EvaluationsError(f"{name}: row {i + 1} gives {one!r} of {run!r} again. Keep one row.")
        held[run][one] = float(value)
    return _made(held, name)


def _rows(held: Mixtures, runs: Sequence[str], name: str) -> list[int]:
    """The row of each run, by the column that names most of them."""
    tried = [_found(names, runs) for names in held.names.values()]
    rows = min(tried, key=lambda found: (sum(len(hits) != 1 for hits in found), sum(not hits for hits in found)))
    names = [*held.names.values()][tried.index(rows)]
    if several := [run for run, hits in zip(runs, rows, strict=True) if len(hits) > 1]:
        which = listed([repr(names[i]) for i in rows[runs.index(several[0])]], 3)
        raise EvaluationsError(
            f"{name} has several mixtures for {counted(len(set(several)), 'run')}, such as {several[0]!r}: {which}. "
            "Keep one of each, or name them as the runs are named."
        )
    if absent := [run for run, hits in zip(runs, rows, strict=True) if not hits]:
        known = listed([repr(n) for n in names], 3)
        raise EvaluationsError(
            f"{name} has no mixture for {len(set(absent))} of {len(set(runs))} runs: "
            f"{listed([repr(r) for r in dict.fromkeys(absent)], 4)}. Its mixtures are of {known}. Add them, name them "
            "as the runs are named, or leave these runs out."
        )
    return [hits[0] for hits in rows]


def _found(names: Sequence[str], runs: Sequence[str]) -> list[list[int]]:
    """The rows that each run may have: of its whole name, else of the last part of a path."""
    whole, last = {}, {}
    for i, name in enumerate(names):
        whole.setdefault(name, []).append(i)
        last.setdefault(_last(name), []).append(i)
    return [whole.get(run.strip()) or last.get(_last(run)) or [] for run in runs]


def _last(name: str) -> str:
    """The last part of a path; lm-eval writes ``org__model`` for ``org/model``."""
    return name.strip().replace("\\", "/").replace("__", "/").rstrip("/").rsplit("/", 1)[-1]
