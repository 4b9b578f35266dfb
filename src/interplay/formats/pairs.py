"""Pairs of files, as olmix and RegMix write them: what was trained on, and what was measured.

Both files have one row per run and share a column ``run``, ``run_id`` or ``index``. Columns of the first file
are tasks, all columns of the second that are not metadata are targets. A second file with a column ``seed``
may hold several rows per run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fields import EvaluationsError, listed
from .columns import as_text
from .table import Table, is_metadata

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["JOINS", "join"]

JOINS = ("run", "run_id", "index")


def join(ratios: Table, metrics: Table) -> Table:
    """Join two tables: rows in the order of the first, columns of the second called ``target:NAME``."""
    import pandas as pd

    left, right = ratios.frame, metrics.frame
    key = _key(ratios, metrics)
    runs, results = _runs(ratios, key), _runs(metrics, key)
    _no_repeats(ratios, runs, [()] * len(runs), key)
    seeds = next((as_text(right, c) for c in right.columns if str(c).strip().lower() == "seed"), None)
    _no_repeats(metrics, results, [()] * len(results) if seeds is None else [(s,) for s in seeds], key)
    _same_runs(ratios, runs, metrics, results, key)

    rows: dict[str, list[int]] = {}
    for i, run in enumerate(results):
        rows.setdefault(run, []).append(i)
    order = [(i, j) for i, run in enumerate(runs) for j in rows[run]]
    first = left.iloc[[i for i, _ in order]].reset_index(drop=True)
    second = right.iloc[[j for _, j in order]].reset_index(drop=True)
    second = second.rename(columns={c: _renamed(str(c).strip()) for c in second.columns})
    both = {str(c).strip().lower() for c in second.columns if is_metadata(str(c).strip())}
    first = first.drop(columns=[c for c in first.columns if str(c).strip().lower() in both and c != _column(left, key)])
    second = second.drop(columns=_column(second, key))
    return Table(pd.concat([first, second], axis=1), f"{ratios.name} with {metrics.name}")


def _renamed(column: str) -> str:
    return column if is_metadata(column) or column.startswith("target:") else f"target:{column}"


def _column(frame: pd.DataFrame, key: str) -> str | None:
    return next((c for c in frame.columns if str(c).strip().lower() == key), None)


def _key(ratios: Table, metrics: Table) -> str:
    for key in JOINS:
        if _column(ratios.frame, key) is not None and _column(metrics.frame, key) is not None:
            return key
    held = []
    for table in (ratios, metrics):
        some = [c for c in JOINS if _column(table.frame, c) is not None]
        held.append(f"{table.name} has {listed(some) or 'none of them'}")
    raise EvaluationsError(
        f"{ratios.name} and {metrics.name} share no column to be joined on: {' or '.join(JOINS)} "
        "is needed in both; "
        f"{', '.join(held)}. Add or rename one."
    )


def _runs(table: Table, key: str) -> list[str]:
    runs = [run.strip().removesuffix(".0") for run in as_text(table.frame, str(_column(table.frame, key)))]
    for i, run in enumerate(runs):
        if not run:
            raise EvaluationsError(f"{table.name}: row {i + 1} has no {key}. Every row needs one to be joined on.")
    return runs


def _no_repeats(table: Table, runs: list[str], seeds: list[tuple[str, ...]], key: str) -> None:
    seen: dict[tuple[str, ...], int] = {}
    for i, (run, seed) in enumerate(zip(runs, seeds, strict=True)):
        if (run, *seed) in seen:
            where = f"rows {seen[(run, *seed)] + 1} and {i + 1}"
            raise EvaluationsError(
                f"{table.name}: {key} {run!r} is there twice "
                f"({where}{f', both of seed {seed[0]}' if seed else ''}). "
                "Keep one of them; several results of one run need a column 'seed' in the metrics file."
            )
        seen[(run, *seed)] = i


def _same_runs(ratios: Table, runs: list[str], metrics: Table, results: list[str], key: str) -> None:
    alone = [
        (table.name, other.name, [r for r in dict.fromkeys(mine) if r not in theirs])
        for table, other, mine, theirs in (
            (ratios, metrics, runs, set(results)),
            (metrics, ratios, results, set(runs)),
        )
    ]
    if parts := [f"{len(r)} only in {a} ({listed(r, 3)})" for a, _, r in alone if r]:
        raise EvaluationsError(
            f"runs are not the same in the two files, joined on {key}: {' and '.join(parts)}. "
            "Remove them, or add their rows to the other file."
        )
