"""The verb `runs`: what a store of evaluations holds; filtered, shown whole, exported, queued again, deleted."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .reading import File, Name, Names, option

if TYPE_CHECKING:
    from ..store import Filter, Problem, Run, Standing, Store

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay runs runs.db --status failed --without code",
        "interplay runs runs.db --show 17",
        "interplay runs runs.db --export runs.csv",
        "interplay runs runs.db --retry",
    )
)
Seeds = Optional[list[int]]  # noqa: UP045 - typer reads these at run time
Number = Optional[int]  # noqa: UP045
LAST = 20


def runs(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A store: runs.db, or postgresql://user@host/runs.")],
    last: Annotated[Number, typer.Option(min=1, metavar="N", help="Rows to list: 20; with --json, all.")] = None,
    status: Annotated[Name, option("STATUS,...", "Rows that are done, failed, running or queued.")] = None,
    seed: Annotated[Seeds, option("N", "Rows of this seed; repeatable.")] = None,
    having: Annotated[Names, typer.Option("--with", metavar="TASK", help="Rows that hold a task; repeatable.")] = None,
    without: Annotated[Names, option("TASK", "Rows that lack a task; repeatable.")] = None,
    tag: Annotated[Name, option("NAME", "Rows of this tag.")] = None,
    fidelity: Annotated[Name, option("WORD", "Rows of this fidelity.")] = None,
    show: Annotated[Number, option("NUMBER", "Show one run whole: mask, values, traceback, what it printed.")] = None,
    export: Annotated[File, option("FILE", "Write the runs that are evaluated: .csv or .parquet.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Queue failed runs for the next evaluation.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the runs of a tag, after a question.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON lines.")] = False,
) -> None:
    """List what a store of evaluations holds, or export, retry or delete some of it."""
    from ..fields import unknown
    from ..formats.store import OUTAGE
    from ..store import Filter, Store
    from .output import say

    actions = {"--show": show is not None, "--export": export is not None, "--retry": retry, "--delete": delete}
    asked = [name for name, given in actions.items() if given]
    if len(asked) > 1:
        raise ValueError(f"{' and '.join(asked)} are given; do one at a time.")
    if asked and last is not None:
        raise ValueError(f"--last: it says how many rows are listed, and chooses none for {asked[0]}. Leave it out.")
    if as_json and asked not in ([], ["--show"]):
        raise ValueError(f"--json: it prints rows, and {asked[0]} has none to print. Leave it out.")
    if yes and not delete:
        raise ValueError("--yes: there is no question to answer without --delete. Leave it out.")
    words = [word.strip() for word in (status or "").split(",") if word.strip()]
    which = Filter(tuple(words), tuple(seed or ()), tuple(having or ()), tuple(without or ()))
    with Store(store, must_exist=True, outage=OUTAGE) as held:
        if show is not None:
            say(_whole(held, show, as_json))
        elif export is not None:
            _export(held, export, tag, fidelity, which)
        elif delete:
            _delete(held, tag, fidelity, which, yes)
        else:
            stands = held.standings(tag, fidelity)
            if not stands and fidelity is not None and tag is None:
                raise unknown(fidelity, sorted({problem.fidelity for problem, _ in held.problems()}), "fidelity")
            if not stands and tag is not None:
                held.chosen(tag, fidelity)  # says what there is
            problems = _holding([one.problem for one in stands], which)
            if retry:
                _retry(held, problems, which)
            elif as_json:
                say(json.dumps(_record(run)) for run in _rows(held, problems, which, last))
            else:
                say(_listing(held, stands, problems, which, last or LAST))


def _holding(problems: list[Problem], which: Filter) -> list[Problem]:
    """Return the problems that have the tasks of the filter; an error where none has."""
    named = [*which.having, *which.without]
    found = [problem for problem in problems if set(named) <= set(problem.tasks)]
    if problems and not found:
        import numpy as np

        which.masks(problems[0], np.zeros((0, len(problems[0].tasks))))
    return found


def _rows(held: Store, problems: Sequence[Problem], which: Filter, last: int | None) -> Iterator[Run]:
    """Go through the rows of several problems; the latest of all of them, where only the last are asked for."""
    if last is None:
        for problem in problems:
            yield from held.rows(problem, which)
        return
    found = [run for problem in problems for run in held.rows(problem, which, last=last)]
    yield from sorted(found, key=lambda run: run.id)[-last:]


def _record(run: Run) -> dict[str, Any]:
    from ..report.store import as_record

    return as_record(run)


def _listing(
    held: Store, stands: Sequence[Standing], problems: Sequence[Problem], which: Filter, last: int
) -> Iterator[str]:
    from ..report.store import overview, table
    from ..store import Filter

    if not stands:
        yield f"{held.where} holds no runs yet; `interplay evaluate` puts them there."
        return
    width = shutil.get_terminal_size().columns
    found = list(_rows(held, problems, which, last))
    yield from overview(held.where, stands, width)
    yield ""
    if not found:
        yield "No run matches." if which != Filter() else "There are no runs."
        return
    if len(found) < last:
        yield f"{'Runs' if which == Filter() else 'Runs that match'}, {len(found)}:"
    else:
        yield f"The last {last}{'' if which == Filter() else ' that match'} (--last N shows more):"
    yield from table(found, width)
    if failed := next((run for run in reversed(found) if run.status == "failed"), None):
        place = quote(held.where)
        yield ""
        yield f"Why one failed: interplay runs {place} --show {failed.id}; try again: interplay runs {place} --retry"


def _whole(held: Store, number: int, as_json: bool) -> list[str]:
    from ..report.store import whole
    from ..store import Run

    problem, row = held.run(number)
    if not as_json:
        return whole(held.where, problem, row)
    names = ("status", "mask", "values", "worker", "id", "seed", "attempts", "losses", "started", "ended", "error")
    run = Run(problem, seconds=row["cost"], **{name: row[name] for name in names})
    return [json.dumps(_record(run) | {"output": row["output"]})]


def _export(held: Store, out: Path, tag: str | None, fidelity: str | None, which: Filter) -> None:
    from ..formats.store import is_address, left_out
    from ..report.words import plain
    from ..store import Filter
    from .output import check_out

    check_out(out, (".csv", ".parquet"), name="--export")
    runs = held.evaluations(tag=tag, fidelity=fidelity, which=None if which == Filter() else which)
    if which == Filter():
        name = held.where if is_address(held.where) else Path(held.where).name
        runs = replace(runs, warnings=(*runs.warnings, *left_out(held.standings(tag, fidelity), name)))
    runs.write(out)
    for warning in runs.warnings:
        typer.echo(f"Note: {plain(warning, 300)}", err=True)
    file = plain(quote(str(out)), 200)
    typer.echo(f"{plain(out.name)}: {len(runs)} runs that are evaluated. Next: interplay attribute {file}")


def _retry(held: Store, problems: Sequence[Problem], which: Filter) -> None:
    if which.status and "failed" not in which.status:
        raise ValueError(f"--status {','.join(which.status)}: only failed runs are queued again. Leave it out.")
    n = sum(held.retry(problem, which) for problem in problems)
    again = "run the same evaluation again" if n else "nothing to do"
    typer.echo(f"{held.where}: {n} failed run{'s' * (n != 1)} queued again; {again}.")


def _delete(held: Store, tag: str | None, fidelity: str | None, which: Filter, yes: bool) -> None:
    from ..report.store import deletion
    from ..store import Filter

    problems = _holding(held.chosen(tag, fidelity), which)
    stands = {one.problem.id: one for one in held.standings(tag, fidelity)}
    n = [held.matching(problem, which) for problem in problems]
    if not sum(n) and which != Filter():
        typer.echo(f"{held.where}: no run matches; nothing is deleted.")
        return
    parts = [deletion(stands[p.id], None if which == Filter() else count) for p, count in zip(problems, n, strict=True)]
    words = f"{sum(n)} run{'s' * (sum(n) != 1)} of {held.where} ({'; '.join(parts)})"
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError(
                f"--delete asks before it deletes {words}, and here is no terminal to answer. Say --yes if you mean it."
            )
        if not typer.confirm(f"Delete {words}, for good?", err=True):
            typer.echo("Nothing is deleted.")
            raise typer.Exit(1)
    for problem in problems:
        held.delete(problem, None if which == Filter() else which)
    typer.echo(f"Deleted {words}.")
