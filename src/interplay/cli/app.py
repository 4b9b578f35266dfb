"""The verbs: attribute, design, demo."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Task attribution: which training sources help a target, which hurt, and which only work together.",
)

Files = Annotated[Path, typer.Argument(help="Runs: one row per run, one column per task (0/1, weights or mixture).")]
Names = Optional[list[str]]  # noqa: UP045 - typer reads this at run time


def _version(show: bool) -> None:
    if show:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Task attribution: which training sources help a target, which hurt, and which only work together."""


@app.command()
def attribute(
    runs: Files,
    metrics: Annotated[
        Path | None, typer.Option(help="Results in a second file, joined on run, run_id or index.")
    ] = None,
    target: Annotated[Names, typer.Option(help="Column(s) to attribute; repeatable, globs allowed.")] = None,
    tasks: Annotated[Names, typer.Option(help="Columns that are tasks; repeatable, globs allowed.")] = None,
    ignore: Annotated[Names, typer.Option(help="Columns to leave out; repeatable, globs allowed.")] = None,
    kind: Annotated[str | None, typer.Option(help="mask, mixture, weights or coefficients.")] = None,
    higher_is_better: Annotated[Names, typer.Option(help="Targets where higher is better; repeatable, globs.")] = None,
    lower_is_better: Annotated[Names, typer.Option(help="Targets where lower is better; repeatable, globs.")] = None,
    missing: Annotated[str, typer.Option(help="error, or skip: each target is fitted on its own rows.")] = "error",
    fidelity: Annotated[str | None, typer.Option(help="Take the runs of this fidelity only.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Leave-one-out runs that judge the answer.")] = None,
    truth_masks: Annotated[
        str, typer.Option(help="exclude, or other-seeds: which runs the truth takes out.")
    ] = "exclude",
    reading: Annotated[
        str, typer.Option(help="auto, leave-one-out, shapley, banzhaf, swap, gradient, move, removal.")
    ] = "auto",
    surrogate: Annotated[str, typer.Option(help="auto, ridge or kernel.")] = "auto",
    reference: Annotated[str | None, typer.Option(help="Mixture that moves start from: mean or uniform.")] = None,
    pairs: Annotated[bool, typer.Option(help="Whether to read pairs.")] = True,
    top: Annotated[int, typer.Option(min=1, help="Tasks to show from each end.")] = 15,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tidy table as JSON lines, one task x target each.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the tidy table: .csv or .parquet; or .json (+ .npz), whole.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 3 where the verdict is 'not supported'.")] = False,
) -> None:
    """Say what each task does to the target(s).

    Example: interplay attribute runs.csv --target loss
    """
    from ..attribution import attribute as attribute_runs
    from ..evaluations import Evaluations
    from ..report.table import text
    from .progress import progress

    if out is not None and out.suffix.lower() not in (".csv", ".parquet", ".json"):
        raise ValueError(f"--out {out.name}: the table is written as .csv, .parquet or .json; choose one of them.")
    how = {"tasks": tasks or None, "ignore": ignore or (), "kind": kind, "missing": missing}
    ways = {"higher_is_better": higher_is_better or (), "lower_is_better": lower_is_better or ()}
    with progress("reading the runs"):
        evaluations = Evaluations.read(runs, metrics=metrics, targets=target or None, **how, **ways)
        judge = None if truth is None else _truth(truth, evaluations, how)
    if fidelity is not None:
        evaluations = evaluations.where(fidelity=fidelity)
    if not as_json:
        typer.echo(f"{runs.name}: {len(evaluations)} runs, {evaluations.K} tasks ({evaluations.kind}).")
    with progress("fitting and reading"):
        answer = attribute_runs(
            evaluations,
            judge,
            reading,
            surrogate=surrogate,
            reference=reference,
            pairs=pairs,
            truth_masks=truth_masks,
        )
    if out is not None:
        _write(answer, out)
    if as_json:
        for record in json.loads(answer.to_frame().to_json(orient="records")):
            typer.echo(json.dumps(record))
    else:
        typer.echo(text(answer, top=top))
    if strict and answer.trust.verdict == "not supported":
        raise typer.Exit(3)


def _truth(path: Path, runs, how: dict):
    """Read the truth with the columns of the runs."""
    from ..evaluations import Evaluations

    names = list(runs.targets)
    higher = [name for name, up in zip(names, runs.higher_is_better, strict=True) if up]
    lower = [name for name in names if name not in higher]
    how = how | {"tasks": list(runs.tasks)}
    try:
        return Evaluations.read(path, targets=names, higher_is_better=higher, lower_is_better=lower, min_runs=1, **how)
    except ValueError as error:
        raise ValueError(f"truth: {error}") from error


def _write(answer, out: Path) -> None:
    """Write the tidy table, or the whole answer."""
    from ..report.words import safe_cell

    if out.suffix.lower() == ".json":
        answer.save(out)
        return
    frame = answer.to_frame()
    if out.suffix.lower() == ".csv":
        for column in ("task", "target"):
            frame[column] = frame[column].map(safe_cell)
        frame.to_csv(out, index=False)
    else:
        frame.to_parquet(out, index=False)


@app.command()
def design(
    tasks: Annotated[str, typer.Option(help="Names of the tasks, separated by commas.")],
    runs: Annotated[int, typer.Option(min=1, help="How many runs you can afford.")],
    question: Annotated[
        str, typer.Option("--for", help="leave-one-out, shapley, banzhaf, pairs, selection or mixture.")
    ] = "leave-one-out",
    out: Annotated[Path | None, typer.Option(help="CSV to write; standard output if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    exclude: Annotated[Path | None, typer.Option(help="CSV of masks that must not be drawn (truth, tests).")] = None,
) -> None:
    """Write the masks to train for a question.

    Example: interplay design --tasks en,de,code --runs 5 --for leave-one-out --out masks.csv
    """
    import numpy as np
    import pandas as pd

    from .. import masks

    names = [name.strip() for name in tasks.split(",")]
    if len(names) < 2 or "" in names:
        raise ValueError(f"--tasks {tasks!r}: give at least two names separated by commas.")
    barred = None
    if exclude is not None:
        table = pd.read_csv(exclude)
        if absent := [name for name in names if name not in table]:
            raise ValueError(f"--exclude {exclude.name} has no column {absent[0]!r}; it needs one for each task.")
        barred = table[names].to_numpy(float)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        drawn = masks.design(names, runs, question, np.random.default_rng(seed), exclude=barred)
    for warning in caught:
        typer.echo(f"Note: {warning.message}", err=True)
    frame = pd.DataFrame(drawn, columns=names)
    if question != "mixture":
        frame = frame.astype(int)
    frame.insert(0, "run", [f"run-{i:04d}" for i in range(len(frame))])
    frame.to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        size = drawn.sum(axis=1)
        held = f"{size.min():g} to {size.max():g} of {len(names)} tasks each"
        typer.echo(f"{out.name}: {len(frame)} runs for {question}, {held if question != 'mixture' else 'mixtures'}.")
        typer.echo(
            "Train each, with the same seed (initialisation and batch order) for all of them; add a column with "
            f"the result, then: interplay attribute {out.name} --target RESULT"
        )


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option(help="Train with torch where it is installed; otherwise use the recording.")
    ] = True,
) -> None:
    """Go the whole way once, on handwritten digits: estimate, attribute, compare with recorded retraining."""
    from .demo import run

    run(live)
