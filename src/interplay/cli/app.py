"""The verbs: attribute, design, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import design

if TYPE_CHECKING:
    from ..evaluations import Evaluations

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay attribute runs.csv --target loss",
        "interplay attribute ratios.csv --metrics metrics.csv --out table.csv",
        "interplay attribute runs.csv --target 'eval/*' --truth truth.csv --json",
    )
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Task attribution: which training sources help a target, which hurt, and which only work together.",
)

Files = Annotated[
    Path,
    typer.Argument(metavar="RUNS", help="Runs: one row per run, one column per task (0/1, weights or mixture)."),
]
Name = Optional[str]  # noqa: UP045 - typer reads these at run time
Names = Optional[list[str]]  # noqa: UP045
File = Optional[Path]  # noqa: UP045


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


def _option(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, help=help)


@app.command(epilog=EXAMPLES)
def attribute(
    runs: Files,
    metrics: Annotated[File, _option("FILE", "Results in a second file, joined on run, run_id or index.")] = None,
    target: Annotated[Names, _option("NAME", "Column(s) to attribute; repeatable, globs allowed.")] = None,
    tasks: Annotated[Names, _option("NAME", "Columns that are tasks; repeatable, globs allowed.")] = None,
    ignore: Annotated[Names, _option("NAME", "Columns to leave out; repeatable, globs allowed.")] = None,
    kind: Annotated[Name, _option("KIND", "mask, mixture, weights or coefficients; guessed and said.")] = None,
    higher_is_better: Annotated[Names, _option("NAME", "Targets where higher is better; repeatable, globs.")] = None,
    lower_is_better: Annotated[Names, _option("NAME", "Targets where lower is better; repeatable, globs.")] = None,
    missing: Annotated[
        str, _option("error|skip", "Targets with missing values: refuse, or fit each on its own rows.")
    ] = "error",
    fidelity: Annotated[Name, _option("WORD", "Take the runs of this fidelity only.")] = None,
    truth: Annotated[File, _option("FILE", "Leave-one-out runs that judge the answer; none of them is fitted.")] = None,
    truth_masks: Annotated[
        str, _option("exclude|other-seeds", "Runs of the truth's masks: leave out, or keep those of other seeds.")
    ] = "exclude",
    reading: Annotated[
        str, _option("READING", "auto, leave-one-out, shapley, banzhaf, swap, gradient; mixtures: move, removal.")
    ] = "auto",
    surrogate: Annotated[str, _option("auto|ridge|kernel", "What is fitted.")] = "auto",
    reference: Annotated[Name, _option("mean|uniform", "Mixture that moves start from.")] = None,
    pairs: Annotated[bool, typer.Option(help="Whether to read pairs.")] = True,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks to show from each end.")] = 15,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tidy table as JSON lines, one task x target each.")
    ] = False,
    out: Annotated[File, _option("FILE", "Write the tidy table: .csv or .parquet; or .json (+ .npz), whole.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 where the verdict is 'not supported'.")] = False,
) -> None:
    """Say what each task does to the target(s)."""
    from ..attribution import attribute as attribute_runs
    from ..evaluations import Evaluations
    from ..report.table import text
    from ..report.words import plain
    from .errors import NOT_SUPPORTED
    from .output import TABLES, check_out, json_lines, say, write_answer
    from .progress import progress

    if out is not None:
        check_out(out, TABLES, inputs=(runs, metrics, truth))
    if truth is None and truth_masks != "exclude":
        raise ValueError(f"--truth-masks {truth_masks}: there is no truth; name its file with --truth.")
    how: dict[str, Any] = {"tasks": tasks or None, "ignore": ignore or (), "kind": kind, "missing": missing}
    ways: dict[str, Any] = {"higher_is_better": higher_is_better or (), "lower_is_better": lower_is_better or ()}
    with progress("reading the runs"):
        evaluations = Evaluations.read(runs, metrics=metrics, targets=target or None, **how, **ways)
        if fidelity is not None:
            evaluations = _only(evaluations, fidelity, runs)
        judge = None if truth is None else _truth(truth, evaluations, missing, fidelity)
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
        write_answer(answer, out)
    if as_json:
        for warning in answer.warnings:
            typer.echo(f"Note: {plain(warning, 300)}", err=True)
        say(json_lines(answer))
    else:
        head = f"{plain(runs.name)}: {len(evaluations)} runs, {_tasks(evaluations)} ({evaluations.kind})."
        say([head, text(answer, top=top)])
    if strict and answer.trust.verdict == "not supported":
        raise typer.Exit(NOT_SUPPORTED)


def _tasks(runs: Evaluations) -> str:
    return f"{runs.K} task{'s' * (runs.K != 1)}"


def _only(runs: Evaluations, fidelity: str, path: Path) -> Evaluations:
    """Runs of one fidelity."""
    held = sorted(set(map(str, runs.fidelity)))
    if fidelity not in held:
        raise ValueError(f"--fidelity {fidelity}: {path.name} has no such runs; its fidelities are {', '.join(held)}.")
    return runs.where(fidelity=fidelity)


def _truth(path: Path, runs: Evaluations, missing: Any, fidelity: str | None) -> Evaluations:
    """Read the truth with the columns of the runs."""
    from ..evaluations import Evaluations

    names, tasks = list(runs.targets), list(runs.tasks)
    higher = [name for name, up in zip(names, runs.higher_is_better, strict=True) if up]
    lower = [name for name in names if name not in higher]
    how: dict[str, Any] = {"targets": names, "tasks": tasks, "higher_is_better": higher, "lower_is_better": lower}
    try:
        judge = Evaluations.read(path, **how, missing=missing, min_runs=1)
    except ValueError as error:
        raise ValueError(f"--truth: {error}") from error
    held = set(map(str, judge.fidelity))
    return judge.where(fidelity=fidelity) if len(held) > 1 and fidelity in held else judge


app.command(epilog=design.EXAMPLE)(design.design)


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option(help="Train with torch where it is installed; otherwise use the recording.")
    ] = True,
) -> None:
    """Go the whole way once, on handwritten digits: estimate, attribute, compare with recorded retraining."""
    from .demo import run

    run(live)
