"""Tables of runs put together whose tasks and targets differ: a source that came later, a result that was added.

Tasks of the joined table are those of all tables, in the order in which they first appear. Where a table lacks a task
that task was off: weight 0, if the user says so. Where it lacks a target the target was not measured: NaN, so that each
target is fitted on its own rows. A run that two tables hold counts once. Sources that two tables may call differently
are named, since each of them would be a task of its own that is off in half of the runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .evaluations import MIN_RUNS, Evaluations, EvaluationsError
from .fields import as_names, enough_measured, joined_notes, listed, unknown
from .namesakes import namesakes
from .phases import joined_phases

__all__ = ["join"]

Array = NDArray[np.float64]
DIGITS = 9  # masks and values that agree so far are the same, however they were written


def join(
    tables: Mapping[str, Evaluations] | Iterable[Evaluations],
    *,
    missing_tasks: Literal["error", "off"] = "error",
    same: Mapping[str, str] | None = None,
) -> Evaluations:
    """Join tables whose tasks may be in another order, or, where ``missing_tasks='off'``, differ.

    Parameters
    ----------
    tables : mapping of names to Evaluations, or sequence of them
        Names, such as those of the files, are used in messages and as the origin of rows that have none.
    missing_tasks : {"error", "off"}
        What a task means that a table lacks: an error, or weight 0 in all its runs (off; not merged).
    same : mapping of str to str, optional
        Other names of sources: ``{"wikipedia": "wiki"}`` calls the task wikipedia of any table wiki.

    Returns
    -------
    Evaluations
        Rows of the tables one after the other, with every target of any of them. A run that an earlier table holds
        too is left out: the same mask, fidelity, values and seed (or name, where no seed is stated).

    Raises
    ------
    EvaluationsError
        For tasks that some table lacks, kinds or directions that differ, a task that is a target elsewhere, a name in
        `same` that no table has, or a target that only some tables have and that fewer than 5 runs measured.

    Examples
    --------
    >>> import interplay as ip
    >>> old = ip.Evaluations.from_arrays([[1, 1], [0, 1]], [0.5, 0.7], tasks=["web", "wiki"], targets=["loss"])
    >>> new = ip.Evaluations.from_arrays([[1, 1, 1], [1, 1, 0]], [0.4, 0.6], tasks=["code", "web", "wiki"],
    ...                                  targets=["loss"])
    >>> ip.join({"old": old, "new": new}, missing_tasks="off")
    Evaluations: 4 runs of 4 masks, retrained
      3 tasks (mask): web, wiki, code
      1 target: loss ↓
      warning: code was not among the tasks of old: taken as off in its 2 runs
      warning: code is on in every run of new and in no other: its effect is not told apart from what else differs there
    """
    names, parts = _named(tables)
    if missing_tasks not in ("error", "off"):
        raise EvaluationsError(f"missing_tasks is {missing_tasks!r}; say 'error' or 'off'.")
    parts = _renamed(names, parts, same or {})
    _of_one_kind(names, parts)
    tasks = tuple(dict.fromkeys(task for part in parts for task in part.tasks))
    targets = tuple(dict.fromkeys(target for part in parts for target in part.targets))
    up = _directions(names, parts, targets)
    for task in tasks:
        if task in targets:
            a, b = (next(n for n, p in zip(names, parts, strict=True) if task in getattr(p, of)) for of in _COLUMNS)
            raise EvaluationsError(f"{task!r} is a task in {a} and a target in {b}. Leave it out of one, or rename it.")
    said = _missing_tasks(names, parts, tasks, missing_tasks)
    rows: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("fidelity", "seed")}
    rows |= {"cost": np.concatenate([part.cost for part in parts])}
    rows |= {"masks": np.concatenate([_widened(part.masks, part.tasks, tasks, 0.0) for part in parts])}
    rows |= {"values": np.concatenate([_widened(part.values, part.targets, targets, np.nan) for part in parts])}
    origins = [_origins(name, part, isinstance(tables, Mapping)) for name, part in zip(names, parts, strict=True)]
    rows |= {"origin": np.concatenate(origins)}
    table = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    keep, again = _once(rows, table, names, targets)
    rows = {name: column[keep] for name, column in rows.items()}
    said += [*_unmeasured(names, parts, targets, rows["values"]), *again]
    notes, differ = _notes(names, parts, rows["masks"], tasks)
    return Evaluations(
        **rows,
        tasks=tasks,
        targets=targets,
        higher_is_better=tuple(up[target] for target in targets),
        kind=parts[0].kind,
        notes=notes,
        warnings=(*_warnings(names, parts), *said, *differ),
    )


_COLUMNS = ("tasks", "targets")


def _named(tables: Mapping[str, Evaluations] | Iterable[Evaluations]) -> tuple[tuple[str, ...], list[Evaluations]]:
    if isinstance(tables, Evaluations):
        raise EvaluationsError("tables is a single table; give several, as in join([old, new]).")
    pairs = tables.items() if isinstance(tables, Mapping) else ((f"table {i + 1}", t) for i, t in enumerate(tables))
    named = {str(name): table for name, table in pairs}
    if not named:
        raise EvaluationsError("tables is empty; give at least one table to join.")
    for name, table in named.items():
        if not isinstance(table, Evaluations):
            raise EvaluationsError(f"{name} is {type(table).__name__}; give Evaluations (see Evaluations.read).")
    return tuple(named), list(named.values())


def _renamed(names: Sequence[str], parts: Sequence[Evaluations], same: Mapping[str, str]) -> list[Evaluations]:
    """Give the sources of every table their one name."""
    known = list(dict.fromkeys(task for part in parts for task in part.tasks))
    for old, new in same.items():
        if old not in known:
            raise EvaluationsError(f"same (--same) calls {old!r} {new!r}: {unknown(old, known, 'task')}")
        if new in same:
            raise EvaluationsError(
                f"same (--same) calls {old!r} {new!r}, and {new!r} something else. Say one name for all."
            )
        if new not in known and sum(other == new for other in same.values()) < 2:
            others = [task for task in known if task != old]
            raise EvaluationsError(f"same (--same) calls {old!r} {new!r}: {unknown(new, others, 'task')}")
    out = []
    for name, part in zip(names, parts, strict=True):
        tasks = [same.get(task, task) for task in part.tasks]
        for task in tasks:
            if tasks.count(task) > 1:
                both = [old for old, new in zip(part.tasks, tasks, strict=True) if new == task]
                raise EvaluationsError(
                    f"{' and '.join(map(repr, both))} are both among the tasks of {name}, so they cannot be the same "
                    "source. Put their columns together there, or leave same= (--same) out."
                )
        out.append(replace(part, tasks=as_names(tasks, "tasks", part.K)))
    return out


def _of_one_kind(names: Sequence[str], parts: Sequence[Evaluations]) -> None:
    for name, part in zip(names, parts, strict=True):
        if part.kind != parts[0].kind:
            raise EvaluationsError(
                f"kinds differ: {names[0]} holds {_KINDS[parts[0].kind]} and {name} {_KINDS[part.kind]}. Only like "
                "runs can be joined; if one of them was recognised wrongly, say what both are with kind= (--kind)."
            )


_KINDS = {"mask": "masks", "mixture": "mixtures", "weights": "weights", "coefficients": "coefficients"}


def _directions(names: Sequence[str], parts: Sequence[Evaluations], targets: Sequence[str]) -> dict[str, bool]:
    up: dict[str, bool] = {}
    for target in targets:
        ways = {
            name: part.higher_is_better[part.targets.index(target)]
            for name, part in zip(names, parts, strict=True)
            if target in part.targets
        }
        up[target] = next(iter(ways.values()))
        for name, way in ways.items():
            if way != up[target]:
                higher, lower = (name, next(iter(ways))) if way else (next(iter(ways)), name)
                raise EvaluationsError(
                    f"directions differ: higher {target!r} is better in {higher} and lower in {lower}. Say which is "
                    "meant with higher_is_better= or lower_is_better= (--higher-is-better, --lower-is-better)."
                )
    return up


def _missing_tasks(names: Sequence[str], parts: Sequence[Evaluations], tasks: Sequence[str], missing: str) -> list[str]:
    """Refuse tasks that some table lacks, or say where they are taken as off, and what may be one source."""
    lacking = {n: [t for t in tasks if t not in part.tasks] for n, part in zip(names, parts, strict=True)}
    lacking = {name: absent for name, absent in lacking.items() if absent}
    if not lacking:
        return []
    alike = [
        f"{a!r} in {first} and {b!r} in {second} may be one source: say so with same={{{b!r}: {a!r}}} "
        f"(--same {quote(f'{b}={a}')})"
        for (a, first), (b, second) in namesakes(dict(zip(names, (part.tasks for part in parts), strict=True)))
    ]
    runs = {name: len(part) for name, part in zip(names, parts, strict=True)}
    if missing == "error":
        where = "; ".join(
            f"{listed([repr(t) for t in absent])} {'is' if len(absent) == 1 else 'are'} not among the tasks of {name} "
            f"({runs[name]} run{'s' * (runs[name] != 1)})"
            for name, absent in lacking.items()
        )
        hints = "".join(f" {words}." for words in alike)
        raise EvaluationsError(
            f"tasks differ: {where}.{hints} Say missing_tasks='off' (--missing-tasks off) if a source that a table "
            "lacks was not trained on there; leave a column out that is no source (--ignore)."
        )
    said = [
        f"{listed(absent)} {'was' if len(absent) == 1 else 'were'} not among the tasks of {name}: taken as off in its "
        f"{runs[name]} run{'s' * (runs[name] != 1)}"
        for name, absent in lacking.items()
    ]
    said += alike
    for there, several in _confounded(names, parts, tasks).items():
        said.append(
            f"{listed(several)} {'is' if len(several) == 1 else 'are'} on in every run of {' and '.join(there)} and in "
            f"no other: {'its effect is' if len(several) == 1 else 'their effects are'} not told apart from what else "
            "differs there"
        )
    return said


def _confounded(
    names: Sequence[str], parts: Sequence[Evaluations], tasks: Sequence[str]
) -> dict[tuple[str, ...], list[str]]:
    """Tasks that switch with the table only, by the tables in whose runs they are always on."""
    by_tables: dict[tuple[str, ...], list[str]] = {}
    for task in tasks:
        held = [(n, p.masks[:, p.tasks.index(task)]) for n, p in zip(names, parts, strict=True) if task in p.tasks]
        column = np.concatenate([weights for _, weights in held])
        if len(held) < len(parts) and len(column) and column[0] != 0 and (column == column[0]).all():
            by_tables.setdefault(tuple(name for name, _ in held), []).append(task)
    return by_tables


def with_table(runs: Evaluations) -> tuple[str, ...]:
    """Tasks that runs switch, but only with the table that they come from, as `join` noted."""
    switched = dict(zip(runs.tasks, np.ptp(runs.masks, axis=0) > 0, strict=True))
    return tuple(task for task in runs.notes.get("confounded", ()) if switched.get(task))


def _widened(columns: Array, names: Sequence[str], wanted: Sequence[str], absent: float) -> Array:
    """Columns (m, n) under their names, in the order that is wanted; ``absent`` where there is none."""
    out = np.full((len(columns), len(wanted)), absent)
    out[:, [wanted.index(name) for name in names]] = columns
    return out


def _origins(name: str, part: Evaluations, stated: bool) -> NDArray[np.str_]:
    return np.array([origin or (name if stated else "") for origin in part.origin.tolist()], dtype="U")


def _once(
    rows: Mapping[str, Any], table: NDArray[np.int64], names: Sequence[str], targets: Sequence[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Find the rows (m,) to keep: not those of runs that an earlier table holds, whose other values go there.

    Two rows are one run where mask, fidelity, all values that both have and the seed agree. Where one states no seed,
    their names must not differ, if both tables name their runs. Each row stands for at most one of every later table.
    """
    masks, values, seed, origin = np.round(rows["masks"], DIGITS) + 0.0, rows["values"], rows["seed"], rows["origin"]
    own = [len(set(origin[table == t].tolist())) > 1 for t in range(len(names))]
    keep, taken = np.ones(len(table), dtype=bool), set()
    by_mask: dict[tuple[bytes, str], list[int]] = {}
    again: dict[tuple[int, int], list[int]] = {}
    differ: dict[tuple[int, int], list[int]] = {}
    for i, (mask, word) in enumerate(zip(masks, rows["fidelity"].tolist(), strict=True)):
        others = by_mask.setdefault((mask.tobytes(), word), [])
        disputed = None
        for j in others:
            stated = seed[i] >= 0 and seed[j] >= 0
            named = own[table[i]] and own[table[j]]
            if table[j] == table[i] or (j, table[i]) in taken or (stated and seed[i] != seed[j]):
                continue
            if not stated and named and origin[i] != origin[j]:
                continue
            both = np.isfinite(values[i]) & np.isfinite(values[j])
            if not both.any():
                continue
            if np.allclose(values[i, both], values[j, both], rtol=10.0**-DIGITS, atol=0.0):
                keep[i] = False
                values[j] = np.where(np.isnan(values[j]), values[i], values[j])
                taken.add((j, table[i]))
                again.setdefault((table[j], table[i]), []).append(i)
                break
            if stated and disputed is None:
                disputed = j
        if keep[i]:
            others.append(i)
            if disputed is not None:
                differ.setdefault((table[disputed], table[i]), []).append(i)
    counted = lambda found: f"{len(found)} run{'s' * (len(found) != 1)}"
    of = lambda found: f" ({listed(origin[found].tolist(), 3)})" if own[table[found[0]]] else ""
    said = [
        f"{counted(i)} of {names[b]} {'is that' if len(i) == 1 else 'are those'} of {names[a]} again, with the same "
        f"mask and values, and {'counts' if len(i) == 1 else 'count'} once{of(i)}"
        for (a, b), i in again.items()
    ]
    said += [
        f"{counted(i)} of {names[b]} {'shares' if len(i) == 1 else 'share'} mask and seed, but not the values, with "
        f"{names[a]}: both are kept{of(i)}"
        for (a, b), i in differ.items()
    ]
    return keep, said


def _unmeasured(names: Sequence[str], parts: Sequence[Evaluations], targets: Sequence[str], values: Array) -> list[str]:
    """Say which targets a table lacks, and refuse those that too few runs are left to measure."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for target in targets:
        if without := tuple(n for n, part in zip(names, parts, strict=True) if target not in part.targets):
            lacking.setdefault(without, []).append(target)
    some = [t for t, target in enumerate(targets) if any(target in several for several in lacking.values())]
    enough_measured(values[:, some], [targets[t] for t in some], MIN_RUNS, f"{' and '.join(names)} together")
    said = []
    for without, several in lacking.items():
        counts = np.isfinite(values[:, [targets.index(target) for target in several]]).sum(axis=0)
        runs = f"{counts.min()}" + (f" to {counts.max()}" if np.ptp(counts) else "")
        were = "was" if len(several) == 1 else "were"
        said.append(f"{listed(several)} {were} not measured in {listed(without, 3)}: fitted on {runs} runs")
    return said


def _notes(
    names: Sequence[str], parts: Sequence[Evaluations], masks: Array, tasks: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    phases, said = joined_phases(names, parts, masks, tasks)
    notes, *others = ({k: v for k, v in part.notes.items() if k != "phases" or not phases} for part in parts)
    for other in others:
        notes, differ = joined_notes(notes, other)
        said += differ
    if confounded := [task for several in _confounded(names, parts, tasks).values() for task in several]:
        notes = {**notes, "confounded": confounded}
    return notes | phases, said


def _warnings(names: Sequence[str], parts: Sequence[Evaluations]) -> list[str]:
    """Warnings of the tables, with the name of the table where not all say the same."""
    everywhere = set(parts[0].warnings).intersection(*(part.warnings for part in parts))
    return [
        words if words in everywhere else f"{name}: {words}"
        for name, part in zip(names, parts, strict=True)
        for words in part.warnings
    ]
