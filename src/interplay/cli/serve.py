"""The verb `serve`: the page of an attribution on this machine, kept up to date while runs come in."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import inputs
from .compare import At
from .reading import File, Name, RunsFiles, Surrogate, check_truth_masks, option, reads_runs, truth_of

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..formats.several import Source

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay serve runs.db",
        "interplay serve runs.db --target loss --truth truth.db --port 0",
        "From another machine: ssh -L 8000:127.0.0.1:8000 HOST, then http://127.0.0.1:8000/ here.",
    )
)
Files = Optional[tuple[Path, Path]]  # noqa: UP045 - typer reads these at run time
HOST = "127.0.0.1"


@reads_runs
def serve(
    file: RunsFiles,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help=f"Port of {HOST}; 0 takes one that is free.")
    ] = 8000,
    truth: Annotated[Name, option("FILE", "Leave-one-out runs that judge the answer; none of them is fitted.")] = None,
    truth_tag: Annotated[Name, option("NAME", "Tag of the truth's runs, where its store holds several.")] = None,
    truth_masks: Annotated[
        str, option("exclude|other-seeds", "Runs of the truth's masks: leave out, or keep those of other seeds.")
    ] = "exclude",
    reading: Annotated[str, option("READING", "As of `interplay attribute`.")] = "auto",
    surrogate: Surrogate = "auto",
    at: At = None,
    reference: Annotated[Name, option("WORD|FILE", inputs.REFERENCE)] = None,
    groups: Annotated[File, option("FILE", inputs.GROUPS)] = None,
    contrast: Annotated[Files, option("FILE FILE", inputs.CONTRAST)] = None,
    tokens: Annotated[File, option("FILE", inputs.TOKENS)] = None,
    budget: Annotated[Optional[float], option("N", inputs.BUDGET)] = None,  # noqa: UP045
    pairs: Annotated[bool, typer.Option(help="Whether to read pairs.")] = True,
) -> None:
    """Serve the page of an attribution to this machine, kept up to date while runs come in; Ctrl-C ends it."""
    server = _server()
    from ..attributing import attribute
    from ..progress import waiting
    from ..report.live import look
    from ..report.words import plain
    from .output import command

    judged_by = truth_of(truth, truth_tag)
    check_truth_masks(truth_masks, judged_by)
    inputs.check_budget(budget, tokens)
    sources = file.sources
    places = [source.path for source in (*sources, *([judged_by] if judged_by else []))]
    made, given = command(), file.as_given(at, judged_by)

    def see() -> Any:
        return look(sources, judged_by, fidelity=file.fidelity, targets=file.targets)

    def read() -> tuple[tuple[Any, ...], dict[str, Any]]:
        runs = file.read(judged_by)
        asked = inputs.asked(runs, tokens, budget, groups, contrast, reference)
        judge = None if judged_by is None else file.read_truth(judged_by, runs)
        return (runs, judge, reading), asked

    def answer() -> Attribution:
        data, asked = read()
        found = attribute(*data, surrogate=surrogate, at=at, pairs=pairs, truth_masks=truth_masks, **asked)
        return replace(found, made={**found.made, "command": made, "given": given})

    with waiting("reading the runs"):
        _check(sources, file.fidelity)
        if not see().few:
            read()  # what is wrong with the options is said here, and not on the page alone
    pages = server.Pages(file.name, see, answer, places)
    with _listening(port) as listening:
        pages.start()
        address = f"http://{HOST}:{listening.getsockname()[1]}/"
        typer.echo(f"{plain(file.name, 120)}: {address} (Ctrl-C ends it)")
        sys.stdout.flush()
        server.run(pages, listening)
    if not pages.stop():  # an attribution is under way, which leaves nothing behind
        sys.stdout.flush()
        os._exit(0)


def _server() -> Any:
    try:
        from ..report import server
    except ImportError as error:
        name = (error.name or "").split(".")[0]
        if name not in ("starlette", "uvicorn"):
            raise
        raise ImportError(
            f"interplay serve needs {name}, which is not installed: pip install 'interplay[serve]'"
        ) from error
    return server


def _check(sources: Sequence[Source], fidelity: str | None) -> None:
    """Refuse places that are not there, and a tag or fidelity that has to be named, or is not known."""
    from ..formats.store import OUTAGE, is_store
    from ..store import Store

    for source in sources:
        if is_store(source.path):
            with Store(source.path, must_exist=True, outage=OUTAGE) as store:
                if store.problems():
                    alone = len(sources) == 1 and source.fidelity is None
                    store.chosen(source.tag, fidelity if alone else None)


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = "something listens there already" if error.errno == errno.EADDRINUSE else str(error.strerror).lower()
        other = port + 1 if 1024 <= port < 65535 else 8000
        raise ValueError(f"--port {port}: {why}. Take another, such as --port {other}, or --port 0.") from None
