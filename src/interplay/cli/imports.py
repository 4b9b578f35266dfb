"""The verb `import`: runs that another program wrote, as a table of runs; and an account of what was taken and left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from . import arguments
from .reading import File, Name, Names, option

if TYPE_CHECKING:
    from ..formats.imports import Imported

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay import --formats",
        "interplay import wandb export.csv --tasks 'data/*' --target eval/loss --out runs.parquet",
        "interplay import lm-eval results/ --mixtures mixtures.csv --out runs.parquet",
        "interplay import regmix train_mixture_1m.csv train_pile_loss_1m.csv --out runs.parquet",
        "interplay import olmix fit.yaml --out runs.parquet --tokens-out tokens.csv --prior-out prior.csv",
        "interplay import wide sweep.csv --tasks 'w_*' --target acc --where state=finished --cost gpu_hours",
    )
)
Words = Optional[list[str]]  # noqa: UP045 - typer reads this at run time
WRITTEN = (".csv", ".parquet", ".npz")


def import_runs(
    format: Annotated[
        Name, typer.Argument(metavar="FORMAT", help="What wrote the files; --formats lists them.")
    ] = None,
    files: Annotated[Words, typer.Argument(metavar="FILES", help="Files or folders, as the format has them.")] = None,
    tasks: Annotated[Names, option("NAME", "What is a task (a source); repeatable, globs allowed.")] = None,
    target: Annotated[Names, option("NAME", "What is a target; repeatable, globs allowed.")] = None,
    ignore: Annotated[Names, option("NAME", "What to leave out; repeatable, globs allowed.")] = None,
    mixtures: Annotated[
        File,
        option(
            "FILE|FOLDER", "What each run was trained on, where the results do not say: run, then a column per task."
        ),
    ] = None,
    run: Annotated[Name, option("COLUMN", "Names of the runs.")] = None,
    seed: Annotated[Name, option("COLUMN", "Seeds.")] = None,
    cost: Annotated[Name, option("COLUMN", "What a run cost, in any unit.")] = None,
    fidelity: Annotated[Name, option("COLUMN|WORD", "What the runs are of (a model size), or a word for all.")] = None,
    where: Annotated[Names, option("COLUMN=VALUE", "Take only runs whose column holds this; repeatable.")] = None,
    higher_is_better: Annotated[Names, option("NAME", "Targets where higher is better; repeatable, globs.")] = None,
    lower_is_better: Annotated[Names, option("NAME", "Targets where lower is better; repeatable, globs.")] = None,
    kind: Annotated[Name, option("KIND", "mask, mixture, weights or coefficients; guessed and said.")] = None,
    missing: Annotated[
        str, option("error|skip", "Targets with missing values: refuse, or fit each on its own rows.")
    ] = "error",
    out: Annotated[
        File, option("FILE", "Write the runs: .parquet, .csv or .npz. Without it, only the account.")
    ] = None,
    tokens_out: Annotated[File, option("FILE", "Write the token counts that a fit of olmix states: .csv.")] = None,
    prior_out: Annotated[File, option("FILE", "Write the mixture that a fit of olmix stays near to: .csv.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was found, and what became of it, as JSON lines.")
    ] = False,
    formats: Annotated[bool, typer.Option("--formats", help="List the formats.")] = False,
) -> None:
    """Read runs that another program wrote, and say what was taken and what was left."""
    from ..formats.imports import IMPORTS
    from ..formats.imports import import_runs as read
    from ..progress import waiting
    from ..report.imports import text
    from .output import check_out, json_lines, say

    if formats:
        say(listing())
        return
    if format is None or not files:
        raise ValueError(
            f"interplay import FORMAT FILES: the formats are {', '.join(IMPORTS)}; --formats says what each is."
        )
    given = [Path(name) for name in files]
    for name, path, suffixes in (
        ("--out", out, WRITTEN),
        ("--tokens-out", tokens_out, (".csv",)),
        ("--prior-out", prior_out, (".csv",)),
    ):
        others = [other for other in (out, tokens_out, prior_out) if other is not None and other is not path]
        if path is not None:
            check_out(path, suffixes, inputs=(*given, mixtures, *others), name=name)
    with waiting("reading the runs"), arguments.named(("higher_is_better", "lower_is_better")):
        imported = read(
            format,
            given,
            tasks=tasks or (),
            targets=target or (),
            ignore=ignore or (),
            higher_is_better=higher_is_better or (),
            lower_is_better=lower_is_better or (),
            mixtures=mixtures,
            run=run,
            seed=seed,
            cost=cost,
            fidelity=fidelity,
            kind=kind,
            missing=missing,
            where=conditions(where or ()),
        )
    beside = _beside(imported, tokens_out, prior_out)
    if out is not None:
        imported.runs.write(out)
    for path, lines in beside:
        _write(path, lines)
    if as_json:
        from ..report.words import plain

        for warning in imported.runs.warnings:
            typer.echo(f"Note: {plain(warning, 300)}", err=True)
        say(json_lines(imported.to_frame()))
        return
    say([text(imported), *_following(imported, out, tokens_out, prior_out)])


def listing() -> list[str]:
    """The formats, one line each."""
    from ..formats.imports import IMPORTS

    width = max(map(len, IMPORTS), default=0)
    return [f"{name.ljust(width)}  {one.title}: {one.files}" for name, one in IMPORTS.items()]


def conditions(given: Sequence[str]) -> dict[str, str]:
    """--where: COLUMN=VALUE."""
    found: dict[str, str] = {}
    for text in given:
        column, stated, value = (part.strip() for part in text.partition("="))
        if not column or not stated:
            raise ValueError(f"--where {text}: write COLUMN=VALUE, as in state=finished.")
        if found.get(column, value) != value:
            raise ValueError(
                f"--where: {column!r} is to be {found[column]!r} and {value!r}; one run holds one of them."
            )
        found[column] = value
    return found


def _beside(
    imported: Imported, tokens_out: Path | None, prior_out: Path | None
) -> list[tuple[Path, list[tuple[str, str]]]]:
    """Tables of tokens and of the prior, checked before anything is written."""
    from ..formats.imports import olmix

    tasks, notes = imported.runs.tasks, imported.runs.notes
    written: list[tuple[Path, list[tuple[str, str]]]] = []
    for name, path, made, column in (
        ("--tokens-out", tokens_out, olmix.tokens_of, "tokens"),
        ("--prior-out", prior_out, olmix.prior_of, "weight"),
    ):
        if path is None:
            continue
        try:
            held = made(notes, tasks)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        written.append((path, [("task", column), *((task, f"{value:.12g}") for task, value in held.items())]))
    return written


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    """Write a table of two columns."""
    import csv

    from ..formats.archive import written_whole

    def put(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    written_whole(path, put)


def _following(imported: Imported, out: Path | None, tokens: Path | None, prior: Path | None) -> Iterator[str]:
    """What to do next."""
    from ..report.words import plain

    if out is None:
        yield "Nothing is written; say --out runs.parquet."
        return
    for path in (tokens, prior):
        if path is not None:
            yield f"Written beside them: {plain(str(path), 200)}"
    yield f"Next: interplay attribute {plain(quote(str(out)), 200)}"
    if "olmix" not in imported.runs.notes:
        return
    from ..formats.imports.counterparts import selection

    names = [None if path is None else str(path) for path in (tokens, prior)]
    command, said = selection(imported.runs.notes, imported.runs.targets, str(out), *names)
    yield f"As the fit asks: {plain(command, 2000)}"
    yield from (f"  {plain(line, 300)}" for line in said)
