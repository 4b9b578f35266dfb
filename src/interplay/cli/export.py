"""The verb `export`: a chosen mixture or subset as the configuration of a trainer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Optional

import typer

from .arguments import named
from .reading import File, Name, option

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay select ratios.csv --metrics metrics.csv --target 'mean(bpb/*)' --out choice.json",
        "interplay export choice.json --to llama-factory --out dataset_mix.yaml --sources sources.csv --budget 5e9",
        "interplay export choice.json --to axolotl --out mix.yaml --sources sources.csv --unit tokens",
        "interplay export choice.json --to levanter --out mix.yaml --sources sources.csv --steps 10000",
        "interplay export mix.csv --to megatron-lm --out blend.txt --sources sources.csv",
        "interplay export --formats",
    )
)
CHOICE = "What `select --out choice.json` wrote; or a mixture made by hand, a table task,weight."
SOURCES = (
    "Table task[,source,tokens,examples]: what the trainer calls each task and how much of it there is, with columns "
    "that the format takes (type, split, ...)."
)
UNIT = "What the shares of the choice are shares of. Shares are not converted where it is not said."
PHASES = "Phases and their shares, where the choice does not say: main=0.9,anneal=0.1."
#: Arguments of the library, whose options have the same names, and what stands for the others.
ARGUMENTS = (
    *("to", "out", "sources", "unit", "budget", "budget_unit", "equal", "kind", "phase", "phases", "steps", "stopping"),
    *("base_model", "merge_method"),
)
OTHERS = {"choice": "CHOICE", "coefficients": "--as-coefficients"}
Number = Optional[float]  # noqa: UP045 - typer reads these at run time
Count = Optional[int]  # noqa: UP045


def _formats(show: bool) -> None:
    if show:
        from .output import say

        say(listing())
        raise typer.Exit


def export(
    choice: Annotated[File, typer.Argument(metavar="CHOICE", help=CHOICE)] = None,
    to: Annotated[Name, option("FORMAT", "Trainer to write for; --formats lists them.")] = None,
    out: Annotated[File, option("FILE", "File to write.")] = None,
    sources: Annotated[File, option("FILE", SOURCES)] = None,
    unit: Annotated[Name, option("tokens|examples", UNIT)] = None,
    budget: Annotated[Number, option("N", "How much the training reads in all, for epochs: 5e9.")] = None,
    budget_unit: Annotated[str, option("tokens|examples", "What --budget counts.")] = "tokens",
    equal: Annotated[bool, typer.Option("--equal", help="Equal shares for a mask, instead of sources whole.")] = False,
    kind: Annotated[Name, option("KIND", "Of a mixture made by hand: mask, mixture, weights or coefficients.")] = None,
    phase: Annotated[Name, option("NAME", "Phase to write, of a choice for a training in phases.")] = None,
    phases: Annotated[Name, option("NAME=SHARE,...", PHASES)] = None,
    steps: Annotated[Count, typer.Option(min=1, metavar="N", help="Steps of the training, for a schedule.")] = None,
    stopping: Annotated[Name, option("WORD", "first_exhausted or all_exhausted: when drawing ends.")] = None,
    base_model: Annotated[Name, option("NAME", "Model that a merge starts from.")] = None,
    merge_method: Annotated[Name, option("NAME", "Method of mergekit: linear, task_arithmetic, ties, ...")] = None,
    as_coefficients: Annotated[
        bool, typer.Option("--as-coefficients", help="Take weights that are none for merging coefficients.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON lines, one source each.")] = False,
    formats: Annotated[
        bool, typer.Option("--formats", callback=_formats, is_eager=True, help="List all formats and their units.")
    ] = False,
) -> None:
    """Write a chosen mixture or subset as the configuration of a trainer, and say what comes of it."""
    from ..formats.exports import export as write
    from ..report.words import plain
    from .output import command, json_lines, say

    given = {"CHOICE": choice, "--to": to, "--out": out}
    if lacking := [name for name, value in given.items() if value is None]:
        raise ValueError(
            f"{lacking[0]} is not given: interplay export CHOICE --to FORMAT --out FILE (--formats lists them)."
        )
    assert choice is not None
    assert to is not None
    assert out is not None
    with named(ARGUMENTS, OTHERS):
        found = write(
            choice,
            to,
            out,
            sources,
            kind=kind,
            command=command(),
            unit=unit,
            budget=budget,
            budget_unit=budget_unit,
            equal=equal,
            phase=phase,
            phases=phases,
            steps=steps,
            stopping=stopping,
            base_model=base_model,
            merge_method=merge_method,
            coefficients=as_coefficients,
        )
    if as_json:
        for note in found.notes:
            typer.echo(f"Note: {plain(note, 400)}", err=True)
        say(json_lines(found.to_frame()))
    else:
        say([repr(found)])


def listing() -> Iterator[str]:
    """All formats, a line each: name, trainer, what its weight means, and its files."""
    from ..formats.exports import FORMATS

    names = ("--to", "trainer", "weight", "files")
    rows = [(one.name, one.title, one.weight, " ".join(one.suffixes)) for one in FORMATS.values()]
    widths = [max(len(row[i]) for row in (names, *rows)) for i in range(len(names))]
    for row in (names, tuple("-" * width for width in widths), *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
