"""The verb `compare`: which surrogate predicts held-out runs best, and by how much."""

from __future__ import annotations

from typing import Annotated

import typer

from .reading import File, Name, RunsFiles, option, reads_runs, summary

At = Annotated[
    Name, option("WORD", "Where runs hold several fidelities, the one to answer for; the dearest if not given.")
]


@reads_runs
def compare(
    file: RunsFiles,
    at: At = None,
    by_target: Annotated[bool, typer.Option("--by-target", help="Also show the held-out R^2 of each target.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON lines.")] = False,
    out: Annotated[File, option("FILE", "Write the table: .csv or .parquet.")] = None,
) -> None:
    """Compare the surrogates on held-out runs, and say which one is taken and why."""
    from ..fitting import fit
    from ..progress import waiting
    from ..report.comparison import text
    from .output import check_out, json_lines, say, write_frame

    if out is not None:
        check_out(out, (".csv", ".parquet"), inputs=file.files)
    with waiting("reading the runs"):
        runs = file.read()
    with waiting("fitting and comparing"):
        predictor = fit(runs, at=at)
    frame = predictor.by_target() if by_target else predictor.comparison()
    if out is not None:
        write_frame(frame, out, names=("target", "targets"))
    if as_json:
        say(json_lines(frame))
        return
    notes = [f"Note: {warning}" for warning in predictor.warnings]
    say([summary(runs, file), text(predictor, by_target), *([""] if notes else []), *notes])
