"""The verb `next`: which runs to do next for a question, given those that were done."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from . import inputs
from .compare import At
from .errors import without_passwords
from .reading import File, Name, Names, RunsFiles, option, reads_runs, summary

if TYPE_CHECKING:
    from ..active import Proposal

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay next runs.csv --target loss --for leave-one-out --batch 8 --out masks.csv",
        "interplay next runs.csv --target loss --for selection --size 3-8 --require en --batch 4",
        "interplay next runs.csv --target loss --for pairs --how factorial --among en,de,code,math,web",
        "interplay next ratios.csv --metrics metrics.csv --for mixture --batch 8 --out mixtures.csv",
        "interplay next runs.csv --target loss --how repeats --batch 20 --out repeats.csv",
    )
)
Whole = Optional[int]  # noqa: UP045 - typer reads this at run time
QUESTION = (
    "leave-one-out, groups, pairs, shapley, banzhaf, swap, selection; mixtures: mixture, groups, pairs, selection."
)
HOW = (
    "auto, which is variance, or knowledge-gradient for selection; selection: thompson (no cost); pairs of masks: "
    "factorial (18 runs for five tasks, whatever --batch); mixtures: d-optimal; repeats (of runs, under another seed)."
)
FITTED = (
    "What is fitted: auto chooses, beside a cautious second opinion (for pairs the stack); kernel is the stack; a name "
    "is taken at its word. ridge has no pairs."
)


@reads_runs
def next_runs(
    file: RunsFiles,
    question: Annotated[str, typer.Option("--for", metavar="QUESTION", help=QUESTION)] = "leave-one-out",
    batch: Annotated[int, typer.Option(metavar="N", help="How many runs to propose; a factorial is run whole.")] = 8,
    at: At = None,
    groups: Annotated[File, option("FILE", "Table task,group, for --for groups.")] = None,
    candidates: Annotated[File, option("FILE", "The only masks or mixtures that may be run.")] = None,
    how: Annotated[str, option("HOW", HOW)] = "auto",
    size: Annotated[Name, option("N|A-B", "Tasks that a mask may hold: 5, or 3-8.")] = None,
    require: Annotated[Names, option("TASK", "A task that every run holds; repeatable, globs allowed.")] = None,
    forbid: Annotated[Names, option("TASK", "A task that no run holds; repeatable, globs allowed.")] = None,
    among: Annotated[Name, option("A,B,...", "Tasks that --how factorial switches, 2 to 5.")] = None,
    budget: Annotated[
        Whole, option("N", "Runs that you can afford in all: is leave-one-out by hand the better buy?")
    ] = None,
    repeats: Annotated[bool, typer.Option(help="Whether masks that were run may be run again.")] = True,
    surrogate: Annotated[str, option("auto|ridge|rbf|ard|stack|kernel", FITTED)] = "auto",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the draw of candidates.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the runs as JSON lines.")] = False,
    out: Annotated[File, option("FILE", "Write the masks for `interplay evaluate`: .csv or .parquet.")] = None,
) -> None:
    """Propose the next runs for a question, and say what they are expected to bring."""
    import warnings

    import numpy as np

    from ..active import propose
    from ..progress import waiting
    from ..report.words import plain
    from .output import check_out, json_lines, say

    if out is not None:
        check_out(out, (".csv", ".parquet"), inputs=(*file.files, groups, candidates))
    limits = _size(size)
    with waiting("reading the runs"):
        runs = file.read()
        whole = file.with_parts(runs)
        members = inputs.groups(groups, runs.tasks)
        with inputs.option("--candidates"):
            own = (
                None
                if candidates is None
                else inputs.candidates(candidates, runs.tasks, runs.kind, inputs.phases_of(runs))
            )
    with waiting("fitting and looking ahead"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it is among the notes
        found = propose(
            whole,
            question,
            batch,
            target=runs.targets,
            rng=np.random.default_rng(seed),
            at=at,
            candidates=own,
            groups=members,
            surrogate=surrogate,
            how=how,
            size=limits,
            require=require or (),
            forbid=forbid or (),
            repeats=repeats,
            among=None if among is None else [name.strip() for name in among.split(",")],
            budget=budget,
        )
    if out is not None:
        found.save(out)
    if as_json:
        for note in (*found.sentences, *found.warnings):
            typer.echo(f"Note: {plain(note, 600)}", err=True)
        say(json_lines(found.to_frame()))
        return
    say([summary(runs, file), repr(found), *_following(found, out, file, runs.T)])


def _size(text: str | None) -> int | tuple[int, int] | None:
    """--size: a number of tasks, or the least and the largest."""
    if text is None:
        return None
    least, dash, most = text.partition("-")
    try:
        return (int(least), int(most)) if dash else int(least)
    except ValueError:
        raise ValueError(f"--size {text}: give a number of tasks, such as 5, or a range, such as 3-8.") from None


def _following(found: Proposal, out: Path | None, file: RunsFiles, targets: int) -> list[str]:
    """What to do with the runs."""
    from ..report.words import plain

    if out is None:
        return []
    name = plain(out.name)
    each = "Train each under its seed" if (found.seeds >= 0).all() else "Train each"  # which the file names
    results = "a column with the result" if targets == 1 else f"a column for each of the {targets} targets"
    if file.metrics:
        second = out.with_name(f"{out.stem}-metrics.csv")
        options = " ".join(f"--metrics {shlex.quote(str(one))}" for one in (*file.metrics, second))
        again = f"interplay attribute {without_passwords(shlex.join([*file.runs, str(out)]))} {options}"
        return [plain(f"{name}: {len(found)} runs. {each}, write run and {results} into {second}; then: {again}", 1000)]
    return [
        f"{name}: {len(found)} runs. {each} and add {results}; or: "
        f"interplay evaluate {plain(shlex.quote(str(out)), 200)} --store runs.db --command '...'"
    ]
