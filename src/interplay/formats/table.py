"""A table with one row per run, and which of its columns are tasks, targets and metadata.

Columns ``run, run_id, index, name, seed, cost, fidelity, origin`` and an unnamed index are metadata. Targets
are named by the user, or by the table itself: ``target:NAME``, ``target:lower:NAME``, ``target:higher:NAME``.
All other columns are tasks if they are of one kind; ``task:NAME`` is a task whatever its name. A column
``interplay`` holds, in its first cell, what else `Evaluations.write` knew: kind, notes, warnings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from shlex import quote
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..directions import guess_direction
from ..fields import EvaluationsError, as_names, enough, enough_measured, gaps, guessed, listed, match
from ..kinds import KINDS, PER_CENT, fault, guess_kind, per_cent
from .columns import as_numbers, as_text, as_whole, clear_targets, odd_columns, phases, suggested_targets

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluations import Evaluations

__all__ = ["FACTS", "METADATA", "UNNAMED", "Table", "build", "frame_of", "layout"]

METADATA = ("run", "run_id", "index", "name", "seed", "cost", "fidelity", "origin")
#: Column, or key, under which a file keeps kind, notes and warnings as JSON.
FACTS = "interplay"
_ROWS = ("fidelity", "seed", "cost", "origin")
UNNAMED = re.compile(r"(Unnamed: \d+(_level_\d+)?|__index_level_\d+__|)")
_TARGET = re.compile(r"target:(?:(lower|higher):)?(.+)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """What a file holds: a frame as it was read, the name for messages, facts of our own files, what is to be said."""

    frame: pd.DataFrame
    name: str
    facts: Mapping[str, Any] | None = None
    said: tuple[str, ...] = ()


def is_metadata(column: str) -> bool:
    """Tell whether a column is metadata by its name."""
    return column.lower() in METADATA or column == FACTS or bool(UNNAMED.fullmatch(column))


def build(
    table: Table,
    *,
    targets: str | Sequence[str] | None,
    tasks: str | Sequence[str] | None,
    ignore: str | Sequence[str],
    kind: str | None,
    higher_is_better: str | Sequence[str],
    lower_is_better: str | Sequence[str],
    missing: str,
    fidelity: str | None,
    min_runs: int,
) -> dict[str, Any]:
    """Sort the columns of a table and check them; return the arguments of `Evaluations`."""
    frame, name, facts = _cleaned(table)
    if missing not in ("error", "skip"):
        raise EvaluationsError(f"missing is {missing!r}; say 'error' or 'skip'.")
    if kind is not None and kind not in KINDS:
        raise EvaluationsError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    if not len(frame):
        raise EvaluationsError(f"{name} has no rows: it is empty below its header. Give one row for each run.")
    enough(len(frame), min_runs, name + "".join(f" ({words})" for words in table.said))
    task_columns, target_columns, guessed = _sorted_columns(frame, name, targets, tasks, ignore)
    names = tuple(task_columns)
    masks = np.column_stack([as_numbers(frame, c, name, _no_task(c)) for c in task_columns.values()])
    if not np.isfinite(masks).all():
        i, k = np.argwhere(~np.isfinite(masks))[0]
        held = "no value" if np.isnan(masks[i, k]) else f"{masks[i, k]:g}"
        column = list(task_columns.values())[k]
        raise EvaluationsError(
            f"{name}: column {column!r} has {held} in row {i + 1}; tasks need a finite number in every run. "
            f"Correct it; if it is no task, name it with --target, or leave it out with --ignore {quote(column)}."
        )
    stated = (facts or {}).get("kind")
    if stated is None:
        _refuse_odd_columns(masks, names, name, kind, by_name=tasks is None)
    if kind is None and stated is None and (several := phases(masks, names)):
        guessed.append(
            f"{' and '.join(several)} sum to 1 each: if these are phases of training, say so with --phases "
            f"{','.join(f'{phase}=SHARE' for phase in several)} (`phased`)"
        )
    if kind is None and stated is None and per_cent(masks):
        masks = masks / 100.0
        guessed.append(PER_CENT)
    kind = kind or stated or guess_kind(masks)
    if problem := fault(masks, str(kind), names, row=f"{name}: row", first=1):
        raise EvaluationsError(problem)
    remedy = "Leave it out with --ignore, or name the targets with --target."
    values = np.column_stack([as_numbers(frame, c, name, remedy) for _, c, _ in target_columns])
    labels = as_names([t for t, _, _ in target_columns], "targets", len(target_columns))
    said = _missing(values, labels, name, missing == "skip" or bool((facts or {}).get("missing")), min_runs)
    if facts and facts.get("missing"):
        said = []
    up, unsure = _directions(target_columns, values, higher_is_better, lower_is_better)
    rows = _row_facts(frame, name, fidelity)
    return {
        "masks": masks,
        "values": values,
        "tasks": names,
        "targets": labels,
        "higher_is_better": up,
        "kind": kind,
        **rows,
        "notes": (facts or {}).get("notes", {}),
        "warnings": (*(facts or {}).get("warnings", ()), *table.said, *guessed, *said, *unsure),
    }


def frame_of(runs: Evaluations) -> pd.DataFrame:
    """Return the rows as a person wants them: metadata, tasks, targets, each under its own name where that is free."""
    import pandas as pd

    tasks = [f"task:{n}" if n in _ROWS else n for n in runs.tasks]
    own = {n: getattr(runs, n) for n in _ROWS} | dict(zip(tasks, _cells(runs), strict=True))
    taken = set(own)
    values = {(f"target:{t}" if t in taken else t): v for t, v in zip(runs.targets, runs.values.T, strict=True)}
    return pd.DataFrame({**own, **values})


def layout(runs: Evaluations) -> tuple[pd.DataFrame, str]:
    """Return the columns of a file, named so that `build` needs no option, and the facts as JSON."""
    import pandas as pd

    def task(name: str) -> str:
        return f"task:{name}" if is_metadata(name) or re.match(r"(task|target):", name) else name

    columns = dict(zip(map(task, runs.tasks), _cells(runs), strict=True))
    for name, up, column in zip(runs.targets, runs.higher_is_better, runs.values.T, strict=True):
        columns[f"target:{'higher' if up else 'lower'}:{name}"] = column
    columns |= {n: getattr(runs, n) for n in _ROWS}
    facts = {
        "version": 1,
        "kind": runs.kind,
        "missing": bool(np.isnan(runs.values).any()),
        "notes": runs.notes,
        "warnings": runs.warnings,
    }
    return pd.DataFrame(columns), json.dumps(facts)


def _cells(runs: Evaluations) -> list[np.ndarray]:
    whole = runs.kind == "mask"
    return [column.astype(np.int64) if whole else column for column in runs.masks.T]


def _cleaned(table: Table) -> tuple[pd.DataFrame, str, Mapping[str, Any] | None]:
    frame, facts = table.frame, table.facts
    if frame.index.name is not None and is_metadata(str(frame.index.name)):
        frame = frame.reset_index()
    columns = [str(c).strip() for c in frame.columns]
    for column in columns:
        if columns.count(column) > 1 and not UNNAMED.fullmatch(column):
            raise EvaluationsError(
                f"{table.name} has {columns.count(column)} columns called {column!r}. Rename or remove all but one."
            )
    frame = frame.set_axis([c or f"Unnamed: {i}" for i, c in enumerate(columns)], axis=1)
    if facts is None and FACTS in columns:
        cell = next((str(v) for v in frame[FACTS] if isinstance(v, str) and v.strip()), "")
        try:
            facts = json.loads(cell)
        except ValueError:
            facts = None
        facts = facts if isinstance(facts, dict) and facts.get("version") == 1 else None
        if facts is not None:
            frame = frame.drop(columns=FACTS)
    return frame, table.name, facts


def _sorted_columns(
    frame: pd.DataFrame, name: str, targets: Any, tasks: Any, ignore: Any
) -> tuple[dict[str, str], list[tuple[str, str, str | None]], list[str]]:
    """Sort columns into tasks {name: column} and targets [(name, column, stated direction)], and say what was guessed.

    Targets are guessed only where their names and their values agree: called like a metric, beside columns of one kind.
    """
    columns = [str(c) for c in frame.columns]
    marked = {c: found.groups() for c in columns if (found := _TARGET.fullmatch(c))}
    forced = {c: c.removeprefix("task:") for c in columns if c.startswith("task:") and len(c) > 5}
    plain = [c for c in columns if c not in marked and c not in forced and not is_metadata(c)]
    titles = [title for _, title in marked.values()]
    ignore, stated = ([n] if isinstance(n, str) else list(n or ()) for n in (ignore, targets))
    dropped = set(match(ignore, [*columns, *titles, *forced.values()], "column", of=name))
    dropped -= set(stated) - set(ignore)  # a target that is named stays where others like it are ignored by a glob
    named: dict[str, tuple[str, str | None]] = {title: (c, way) for c, (way, title) in marked.items()}
    if len(named) < len(marked):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise EvaluationsError(f"{name} has two columns for target {twice!r}. Rename or remove one.")
    candidates = named or {c: (c, None) for c in plain}
    candidates = {t: cw for t, cw in candidates.items() if cw[0] not in dropped and t not in dropped}
    guessed = []
    if targets is None:
        chosen = [t for t in named if t in candidates]
        if not chosen:
            left = [c for c in plain if c not in dropped]
            chosen = clear_targets(frame, left) if tasks is None else []
            if not chosen:
                _ask_for_targets(frame, name, left)
            guessed = [f"taken as targets by their names: {listed([repr(c) for c in chosen])}; --target names others"]
    else:
        exact = {c: (c, None) for c in columns if c not in candidates and c not in dropped}
        wanted = [targets] if isinstance(targets, str) else list(targets)
        candidates |= {t: exact[t] for t in wanted if t in exact}
        held = lambda names, t: t in names or any(fnmatchcase(c, t) for c in names)
        if away := [t for t in wanted if held(dropped, t) and not held(candidates, t)]:
            raise EvaluationsError(
                f"{name}: {away[0]!r} is to be a target (--target) and to be left out (--ignore). Name it in one only."
            )
        chosen = match(wanted, list(candidates), "target", of=name)
    picked = [(t, *candidates[t]) for t in chosen]
    used = {c for _, c, _ in picked}

    open_ = {c: c for c in plain} | {title: c for c, title in forced.items()}
    if tasks is None:
        found = {t: c for t, c in open_.items() if c not in used and c not in dropped and t not in dropped}
    else:
        wanted = [tasks] if isinstance(tasks, str) else list(tasks)
        open_ |= {c: c for c in columns if c in wanted and c not in open_}
        found = {t: open_[t] for t in match(wanted, list(open_), "task", of=name)}
        if both := [t for t, c in found.items() if c in used]:
            raise EvaluationsError(
                f"{name}: {both[0]!r} is a target that is also a task. Name it in one of --target and --tasks only."
            )
    if not found:
        raise EvaluationsError(
            f"{name} has no column left for the tasks: its columns are {listed(columns)}. "
            "One column for each task is needed; check --target, --tasks and --ignore."
        )
    order = {c: i for i, c in enumerate(columns)}
    return dict(sorted(found.items(), key=lambda item: order[item[1]])) if tasks is None else found, picked, guessed


def _ask_for_targets(frame: pd.DataFrame, name: str, columns: list[str]) -> NoReturn:
    likely = suggested_targets(frame, columns)
    hint = f"These look like results: {listed([repr(c) for c in likely])}. " if likely else ""
    raise EvaluationsError(
        f"{name} does not say which columns are targets. {hint}Name them with --target"
        + (f" {quote(likely[0])}" if likely else " NAME")
        + " (repeatable, globs such as 'eval/*'; targets=[...] in Python), or give a second file "
        "with --metrics."
    )


def _no_task(column: str) -> str:
    return (
        f"It is no task: leave it out with --ignore {quote(column)}, list the tasks with --tasks, "
        "or name it with --target if it is a result."
    )


def _refuse_odd_columns(masks: np.ndarray, names: Sequence[str], name: str, kind: str | None, *, by_name: bool) -> None:
    """Raise an error that names the columns which break the kind of the others."""
    odd = odd_columns(masks, names, by_name=by_name, by_value=kind not in ("weights", "coefficients"))
    if odd is None:
        return
    columns, reason = [names[k] for k in odd[0]], odd[1]
    several = len(columns) > 1
    raise EvaluationsError(
        f"{name}: column{'s' * several} {listed([repr(c) for c in columns])} cannot be "
        f"{'tasks' if several else 'a task'}: {reason}. Name results with --target, leave other columns out with "
        f"--ignore {quote(columns[0])}, list the tasks with --tasks"
        + ("." if kind else f", or say what the numbers are with --kind ({', '.join(KINDS)}).")
    )


def _missing(values: np.ndarray, targets: Sequence[str], name: str, skip: bool, least: int) -> list[str]:
    missing = np.isnan(values)
    if np.isinf(values).any():
        i, t = np.argwhere(np.isinf(values))[0]
        raise EvaluationsError(
            f"{name}: row {i + 1} has {values[i, t]:g} for target {targets[t]!r}; values must be finite. "
            "Leave that run out, or leave the cell empty and say --missing skip."
        )
    if not missing.any():
        return []
    per_target = missing.sum(axis=0)
    if not skip:
        i, t = np.argwhere(missing)[0]
        raise EvaluationsError(
            f"{name}: {missing.sum()} of {missing.size} values are missing, in {int((per_target > 0).sum())} of "
            f"{len(targets)} targets; the first is target {targets[t]!r} in row {i + 1}. If these "
            "were not measured, say "
            "--missing skip (missing='skip'): each target is then fitted on its own rows."
        )
    enough_measured(values, targets, least, name)
    return [gaps(values, targets)]


def _directions(
    targets: Sequence[tuple[str, str, str | None]],
    values: np.ndarray,
    higher: str | Sequence[str],
    lower: str | Sequence[str],
) -> tuple[tuple[bool, ...], list[str]]:
    names = [t for t, _, _ in targets]
    up = set(match(higher, names, "target", argument="higher_is_better"))
    down = set(match(lower, names, "target", argument="lower_is_better"))
    if both := sorted(up & down):
        raise EvaluationsError(f"target {both[0]!r} is named as higher and as lower is better; name it in one only.")
    out, unsure = [], []
    for (name, _, way), column in zip(targets, values.T, strict=True):
        guess = guess_direction(name, column)
        if name in up or name in down:
            out.append(name in up)
        elif way is not None:
            out.append(way == "higher")
        else:
            out.append(bool(guess))
            if guess is None:
                unsure.append(name)
    if not unsure:
        return tuple(out), []
    return tuple(out), [guessed(unsure)]


def _row_facts(frame: pd.DataFrame, name: str, fidelity: str | None) -> dict[str, np.ndarray]:
    m = len(frame)
    by_name = {str(c).lower(): c for c in reversed(list(frame.columns))}

    def column(*names: str) -> Any:
        return next((by_name[n] for n in names if n in by_name), None)

    words, seeds, costs = column("fidelity"), column("seed"), column("cost")
    origin = column("origin", "run", "run_id", "name", "index")
    if fidelity is not None:
        word = np.full(m, str(fidelity))
    elif words is None:
        word = np.full(m, "retrained")
    else:
        word = np.array([w or "retrained" for w in as_text(frame, words)])
    return {
        "fidelity": word,
        "seed": np.full(m, -1) if seeds is None else as_whole(frame, seeds, name),
        "cost": np.full(m, np.nan) if costs is None else as_numbers(frame, costs, name, "Correct it."),
        "origin": np.full(m, name) if origin is None else np.array(as_text(frame, origin)),
    }
