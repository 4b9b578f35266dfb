"""Two tables with one row for each run: what it was trained on, and what was measured (olmix, RegMix).

Rows are joined on the first of ``run, run_id, index, name`` that both have. A run that only one of them has is left,
and said. A table of results with a column ``seed`` may hold several rows for each run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, listed
from ..columns import as_text
from ..table import Table, is_metadata
from .draft import Draft, Left, Options, Target, counted
from .leftovers import is_setting
from .sheets import column_called, numbers
from .sorting import chosen, drafted, no_mixtures, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["joined", "paired"]

_KEYS = ("run", "run_id", "index", "name")


def paired(
    ratios: Table,
    metrics: Table,
    options: Options,
    *,
    notes: Mapping[str, Any] | None = None,
    left: tuple[Left, ...] = (),
    kind: str | None = None,
    unasked: Mapping[str, str] | None = None,
    higher_is_better: bool | None = None,
) -> Draft:
    """Return the draft of a table of tasks and a table of results.

    Parameters
    ----------
    ratios, metrics : Table
    options : Options
        ``--where`` and ``--run`` are of either table.
    notes, left, kind
        As in `Draft`.
    unasked : mapping of str to str, optional
        Results that are left unless they are named, and why.
    higher_is_better : bool, optional
        Direction of all results, where the format fixes it.
    """
    no_mixtures(options, ratios.name)
    if ratios.frame.equals(metrics.frame):
        raise EvaluationsError(
            f"{ratios.name} and {metrics.name} hold the same table. Give one of what the runs were trained on, and one "
            "of what was measured."
        )
    frame, name, first, second, more = joined(ratios, metrics, options)
    unasked = {n: why for n, why in (unasked or {}).items() if n not in options.targets}
    numeric = numbers(frame, [*first.values(), *second.values()])
    text = {n for n, c in [*first.items(), *second.items()] if not numeric[c]}
    settings = {n for n in first if is_setting(n)}
    tasks = {n: c for n, c in first.items() if n not in text and n not in settings}
    targets = {n: Target(c, higher_is_better) for n, c in second.items() if n not in text and n not in unasked}
    tasks = chosen(options.tasks, tasks, first, f"task of {ratios.name}", options.ignore)
    others = {n: Target(c, higher_is_better) for n, c in second.items()}
    targets = chosen(options.targets, targets, others, f"target of {metrics.name}", options.ignore)
    dropped = {n: why for n, why in unasked.items() if n in second and n not in targets}
    said = [Left(f"column {n!r}", why) for n, why in dropped.items()]
    unwanted = [c for n, c in first.items() if options.tasks and n not in tasks]
    said += [Left(f"column {c!r}", "not among --tasks") for c in unwanted]
    measured = [
        c for n, c in second.items() if options.targets and n not in targets and n not in dropped and n not in text
    ]
    said += [Left(f"column {c!r}", "a result that --target does not name") for c in measured]
    silent = [*(second[n] for n in dropped), *unwanted, *measured]
    return drafted(
        frame,
        name,
        tasks,
        targets,
        options,
        left=(*left, *more, *said),
        silent=silent,
        known=[*first, *second],
        notes=notes,
        kind=kind,
    )


def joined(
    ratios: Table, metrics: Table, options: Options
) -> tuple[pd.DataFrame, str, dict[str, str], dict[str, str], list[Left]]:
    """Join two tables on the runs that both have.

    Returns
    -------
    frame : DataFrame
        Rows in the order of the first table.
    name : str
    first, second : dict of name to column
        Columns of each that are not metadata.
    left : list of Left
        Rows that only one of them has.
    """
    import pandas as pd

    key = _key(ratios, metrics, options)
    where = [{c: v for c, v in options.where.items() if c in table.frame} for table in (ratios, metrics)]
    if lost := [c for c in options.where if c not in where[0] and c not in where[1]]:
        raise EvaluationsError(f"--where: neither {ratios.name} nor {metrics.name} has a column {lost[0]!r}.")
    tables, left = [], []
    for table, conditions in zip((ratios, metrics), where, strict=True):
        rows, said = stated_rows(table, replace(options, where=conditions))
        tables.append(rows)
        left += said
    runs, results = (_names(t, n, key) for t, n in zip(tables, (ratios.name, metrics.name), strict=True))
    _once(runs, [""] * len(runs), ratios.name, key)
    seed = options.seed if options.seed in tables[1] else column_called(tables[1], "seed")
    _once(results, [""] * len(results) if seed is None else as_text(tables[1], seed), metrics.name, key)
    at: dict[str, list[int]] = {}
    for j, run in enumerate(results):
        at.setdefault(run, []).append(j)
    order = [(i, j) for i, run in enumerate(runs) for j in at.get(run, ())]
    if not order:
        raise EvaluationsError(
            f"{ratios.name} and {metrics.name} share no run, joined on {key}: {listed(runs, 3)} and "
            f"{listed(results, 3)}. Give the files of the same runs."
        )
    for mine, theirs, this in ((runs, set(results), ratios.name), (results, set(runs), metrics.name)):
        if alone := [run for run in dict.fromkeys(mine) if run not in theirs]:
            left.append(Left(counted(len(alone), "run", alone), f"only in {this}"))
    one = tables[0].iloc[[i for i, _ in order]].reset_index(drop=True)
    two = tables[1].iloc[[j for _, j in order]].reset_index(drop=True)
    two = two.drop(
        columns=[c for c in two if is_metadata(str(c)) and c in one and str(c).lower() not in ("seed", "cost")]
    )
    one = one.drop(columns=[c for c in one if is_metadata(str(c)) and c in two])
    renamed = {c: f"{metrics.name}: {c}" for c in two if c in one}
    frame = pd.concat([one, two.rename(columns=renamed)], axis=1)
    first = {str(c): str(c) for c in one if not is_metadata(str(c))}
    second = {str(c): renamed.get(c, str(c)) for c in two if not is_metadata(str(c))}
    for role in ("seed", "cost", "fidelity", "run"):  # a column that --seed and the like name is no task
        first.pop(getattr(options, role) or "", None)
        second.pop(getattr(options, role) or "", None)
    return frame, f"{ratios.name} with {metrics.name}", first, second, left


def _key(ratios: Table, metrics: Table, options: Options) -> str:
    if options.run is not None and options.run in ratios.frame and options.run in metrics.frame:
        return options.run
    keys = [k for k in _KEYS if column_called(ratios.frame, k) and column_called(metrics.frame, k)]
    if not keys:
        held = [f"{t.name} has {listed([str(c) for c in t.frame.columns], 4)}" for t in (ratios, metrics)]
        raise EvaluationsError(
            f"{ratios.name} and {metrics.name} share no column to be joined on: {', '.join(_KEYS[:-1])} or {_KEYS[-1]} "
            f"is needed in both; {' and '.join(held)}. Rename one, or say --run COLUMN."
        )
    return keys[0]


def _names(frame: pd.DataFrame, name: str, key: str) -> list[str]:
    column = key if key in frame else column_called(frame, key)
    names = [text.strip().removesuffix(".0") for text in as_text(frame, str(column))]
    for i, run in enumerate(names):
        if not run:
            raise EvaluationsError(f"{name}: row {i + 1} has no {key}. Every row needs one to be joined on.")
    return names


def _once(runs: list[str], seeds: list[str], name: str, key: str) -> None:
    seen: dict[tuple[str, str], int] = {}
    for i, pair in enumerate(zip(runs, seeds, strict=True)):
        if pair in seen:
            raise EvaluationsError(
                f"{name}: {key} {pair[0]!r} is there twice (rows {seen[pair] + 1} and {i + 1}"
                f"{f', both of seed {pair[1]}' if pair[1] else ''}). Keep one of them; several results of one run need "
                "a column 'seed' in the table of results."
            )
        seen[pair] = i
