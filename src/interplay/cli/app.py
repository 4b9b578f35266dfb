"""The verbs, from `attribute` and `select` to `import` and `export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from . import arguments, design, inputs, rules
from .compare import At, compare
from .evaluate import EXAMPLES as EVALUATE_EXAMPLES
from .evaluate import evaluate
from .export import EXAMPLES as EXPORT_EXAMPLES
from .export import export
from .imports import EXAMPLES as IMPORT_EXAMPLES
from .imports import import_runs
from .next import EXAMPLES as NEXT_EXAMPLES
from .next import next_runs
from .predict import EXAMPLES as PREDICT_EXAMPLES
from .predict import predict
from .problem import problems
from .reading import File, Name, Names, RunsFiles, Surrogate, check_truth_masks, option, reads_runs, summary, truth_of
from .runs import EXAMPLES as RUNS_EXAMPLES
from .runs import runs as list_runs
from .select import EXAMPLES as SELECT_EXAMPLES
from .select import select
from .serve import EXAMPLES as SERVE_EXAMPLES
from .serve import serve

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay attribute runs.csv --target loss",
        "interplay attribute runs.db --out report.html",
        "interplay attribute ratios.csv --metrics metrics.csv --out table.csv",
        "interplay attribute runs.csv --target 'eval/*' --truth truth.csv --json",
        "interplay attribute old.csv new.csv --target loss --missing-tasks off --same wikipedia=wiki",
        "interplay attribute 1b=large.csv 70m=small.csv --target loss",
        "interplay attribute ratios.csv --metrics metrics.csv --derive 'overall=mean(bpb/*)' --reference best",
        "interplay attribute runs.db --truth truth.db",
    )
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Task attribution: which training sources help a target, which hurt, and which only work together.",
)

Files = Optional[tuple[Path, Path]]  # noqa: UP045 - typer reads this at run time


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


@app.command(epilog=EXAMPLES)
@reads_runs
def attribute(
    file: RunsFiles,
    truth: Annotated[Name, option("FILE", "Leave-one-out runs that judge the answer; none of them is fitted.")] = None,
    truth_tag: Annotated[Name, option("NAME", "Tag of the truth's runs, where its store holds several.")] = None,
    truth_masks: Annotated[
        str, option("exclude|other-seeds", "Runs of the truth's masks: leave out, or keep those of other seeds.")
    ] = "exclude",
    reading: Annotated[
        str, option("READING", "auto, leave-one-out, shapley, banzhaf, swap, gradient; mixtures: move, removal.")
    ] = "auto",
    surrogate: Surrogate = "auto",
    at: At = None,
    reference: Annotated[Name, option("WORD|FILE", inputs.REFERENCE)] = None,
    groups: Annotated[File, option("FILE", inputs.GROUPS)] = None,
    contrast: Annotated[Files, option("FILE FILE", inputs.CONTRAST)] = None,
    tokens: Annotated[File, option("FILE", inputs.TOKENS)] = None,
    budget: Annotated[Optional[float], option("N", inputs.BUDGET)] = None,  # noqa: UP045
    empty: Annotated[Names, option("NUMBER|TARGET=NUMBER", inputs.EMPTY)] = None,
    pairs: Annotated[bool, typer.Option(help="Whether to read pairs.")] = True,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks to show from each end.")] = 15,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tidy table as JSON lines, one task x target each.")
    ] = False,
    out: Annotated[
        File, option("FILE", "Write a page, .html; the tidy table, .csv or .parquet; or all of it, .json (+ .npz).")
    ] = None,
    save: Annotated[File, option("FILE", "Save what was fitted, for `interplay predict`: .json (+ .npz).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 where the verdict is 'not supported'.")] = False,
) -> None:
    """Say what each task does to the target(s)."""
    from ..attributing import attribute as attribute_runs
    from ..progress import waiting
    from ..report.table import text
    from ..report.words import plain
    from .errors import NOT_SUPPORTED
    from .output import ANSWERS, check_out, command, json_lines, say, write_answer

    judged_by = truth_of(truth, truth_tag)
    files = () if judged_by is None or not isinstance(judged_by.path, Path) else (judged_by.path,)
    read = (*file.files, *files, groups, tokens, *(contrast or ()))
    if out is not None:
        check_out(out, ANSWERS, inputs=read)
    if save is not None:
        check_out(save, (".json",), inputs=(*read, out), name="--save")
    check_truth_masks(truth_masks, judged_by)
    inputs.check_budget(budget, tokens)
    with waiting("reading the runs"):
        runs = file.read(judged_by)
        whole, own = file.with_parts(runs), runs.targets if file.targets else None
        asked = inputs.asked(runs, tokens, budget, groups, contrast, reference)
        asked["empty"] = rules.shares(empty or (), "--empty", "2.3, or loss=2.3")
        judge = None if judged_by is None else file.read_truth(judged_by, runs)
    words = f"fitting and reading {len(runs)} runs, {runs.K} tasks, {runs.T} target{'s' * (runs.T != 1)}"
    with waiting(words), arguments.named(("empty",)):
        answer = attribute_runs(
            whole, judge, reading, target=own, surrogate=surrogate, at=at, pairs=pairs, truth_masks=truth_masks, **asked
        )
    answer = replace(answer, made={**answer.made, "command": command(), "given": file.as_given(at, judged_by)})
    if out is not None:
        with waiting("writing the answer"):
            write_answer(answer, out)
        if out.suffix.lower() == ".html":
            typer.echo(f"The page is written: {plain(str(out), 200)}", err=True)
    if save is not None and answer.predictor is not None:
        answer.predictor.save(save)
    if as_json:
        for warning in answer.warnings:
            typer.echo(f"Note: {plain(warning, 300)}", err=True)
        say(json_lines(answer.to_frame()))
    else:
        say([summary(runs, file), text(answer, top=top)])
    if strict and answer.trust.verdict == "not supported":
        raise typer.Exit(NOT_SUPPORTED)


app.command()(compare)
app.command(epilog=PREDICT_EXAMPLES)(predict)
app.command(epilog=SELECT_EXAMPLES)(select)
app.command(epilog=EXPORT_EXAMPLES)(export)
app.command(name="next", epilog=NEXT_EXAMPLES)(next_runs)
app.command(epilog=design.EXAMPLE)(design.design)
app.command(epilog=EVALUATE_EXAMPLES)(evaluate)
app.command(name="import", epilog=IMPORT_EXAMPLES)(import_runs)
app.command(name="runs", epilog=RUNS_EXAMPLES)(list_runs)
app.command(epilog=SERVE_EXAMPLES)(serve)
app.add_typer(problems, name="problem")


@app.command()
def demo(
    live: Annotated[
        bool, typer.Option(help="Train with torch where it is installed; otherwise use the recording.")
    ] = True,
    out: Annotated[File, option("FILE", "Write the answer too: .html, .csv, .parquet or .json.")] = None,
) -> None:
    """Go the whole way once, on handwritten digits: estimate, attribute, compare with recorded retraining."""
    from .demo import run
    from .output import ANSWERS, check_out

    if out is not None:
        check_out(out, ANSWERS)
    run(live, out)
