"""The verb `design`: masks (m, K) to train for a question, as a table with one row per run to add results to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    import numpy as np

EXAMPLE = "Example: interplay design --tasks en,de,code --runs 5 --for leave-one-out --out masks.csv"
File = Optional[Path]  # noqa: UP045 - typer reads this at run time


def design(
    tasks: Annotated[str, typer.Option(metavar="A,B,...", help="Names of the tasks, separated by commas.")],
    runs: Annotated[int, typer.Option(min=1, metavar="N", help="How many runs you can afford.")],
    question: Annotated[
        str,
        typer.Option("--for", metavar="QUESTION", help="leave-one-out, shapley, banzhaf, pairs, selection or mixture."),
    ] = "leave-one-out",
    out: Annotated[File, typer.Option(metavar="FILE", help="CSV to write; standard output if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the draw.")] = 0,
    exclude: Annotated[
        File, typer.Option(metavar="FILE", help="Masks that must not be drawn (truth, tests, runs that you have).")
    ] = None,
) -> None:
    """Write the masks to train for a question."""
    import numpy as np
    import pandas as pd

    from .. import masks
    from ..report.words import plain
    from .output import check_out, say, written_whole

    names = task_names(tasks)
    if out is not None:
        check_out(out, [".csv"], inputs=(exclude,))
        keep_results(out, names)
    barred = None if exclude is None else _masks(exclude, names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        drawn = masks.design(names, runs, question, np.random.default_rng(seed), exclude=barred)
    left = " outside those excluded" if exclude is not None else ""
    if not len(drawn):
        raise ValueError(f"no mask of {len(names)} tasks is left{left}: nothing to run. Give fewer in --exclude.")
    if len(drawn) < runs:
        typer.echo(f"Note: --runs {runs}: only {len(drawn)} distinct masks exist{left}; all are written.", err=True)
    else:
        for warning in caught:
            typer.echo(f"Note: {plain(str(warning.message), 300)}", err=True)
    frame = pd.DataFrame(drawn, columns=names)
    if question != "mixture":
        frame = frame.astype(int)
    frame.insert(0, "run", [f"run-{i:04d}" for i in range(len(frame))])
    if out is None:
        say(frame.to_csv(index=False, lineterminator="\n").splitlines())
        return
    written_whole(out, lambda path: frame.to_csv(path, index=False, lineterminator="\n"))
    size = drawn.sum(axis=1)
    held = f"{size.min():g} to {size.max():g} of {len(names)} tasks each" if question != "mixture" else "mixtures"
    file = plain(quote(str(out)), 200)
    typer.echo(f"{plain(out.name)}: {len(frame)} runs for {question}, {held}.")
    typer.echo(
        "Train each, with the same seed (initialisation and batch order) for all of them; add a column with "
        f"the result, then: interplay attribute {file} --target RESULT"
    )
    typer.echo(f"Or let them be trained: interplay evaluate {file} --store runs.db --command '...'")


def task_names(tasks: str) -> list[str]:
    """--tasks: names, none of them one that the table of runs keeps for itself."""
    from ..formats.table import METADATA, is_metadata

    names = [name.strip() for name in tasks.split(",")]
    if len(names) < 2 or "" in names:
        raise ValueError(f"--tasks {tasks!r}: give at least two names separated by commas, none of them empty.")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--tasks names {name!r} twice; give every task its own name.")
        if is_metadata(name) or name.startswith(("task:", "target:")):
            raise ValueError(
                f"--tasks {name!r}: a table of runs keeps this name for itself (as {', '.join(METADATA)}, task:, "
                "target:); call the task something else."
            )
    return names


def _masks(path: Path, names: list[str]) -> np.ndarray:
    """Masks of another file (n, K), by the names of the tasks."""
    import numpy as np

    from ..formats import read_table
    from ..formats.columns import as_numbers

    try:
        frame = read_table(path).frame
        by_name = {str(column).strip().removeprefix("task:"): str(column) for column in frame.columns}
        if absent := [name for name in names if name not in by_name]:
            raise ValueError(f"{path.name} has no column {absent[0]!r}; it needs one for each task.")
        remedy = "Masks are 0 or 1."
        table = np.column_stack([as_numbers(frame, by_name[name], path.name, remedy) for name in names])
        if not np.isfinite(table).all():
            i, k = np.argwhere(~np.isfinite(table))[0]
            raise ValueError(f"{path.name}: row {i + 1} has no finite number for task {names[k]!r}. {remedy}")
    except ValueError as error:
        raise ValueError(f"--exclude: {error}") from error
    return table


def keep_results(out: Path, names: Sequence[str], option: str = "--out") -> None:
    """Refuse to write over a design that somebody has added results to."""
    import csv

    if not out.exists():
        return
    with out.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        header = next(csv.reader(file), [])
    if added := [column for column in header if column.strip() not in ("run", "", *names)]:
        raise ValueError(
            f"{option} {out}: this file exists and holds a column {added[0]!r} that would be lost; "
            "choose another name, or remove it first."
        )
