"""The verb `predict`: what candidates that were not run would come to, from runs or from what `attribute` saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import inputs
from .reading import File, RunsFile, Surrogate, option, reads_runs, summary

if TYPE_CHECKING:
    from ..predictor import Predictor

EXAMPLES = "\n\n".join(
    (
        "Examples:",
        "interplay predict runs.csv candidates.csv --target loss",
        "interplay attribute runs.csv --target loss --save fit.json",
        "interplay predict fit.json candidates.csv --out predictions.csv",
    )
)


@reads_runs
def predict(
    file: RunsFile,
    candidates: Annotated[Path, typer.Argument(metavar="CANDIDATES", help=inputs.CANDIDATES)],
    surrogate: Surrogate = "auto",
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Candidates to show, the best first.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tidy table as JSON lines, one candidate x target each.")
    ] = False,
    out: Annotated[File, option("FILE", "Write the tidy table: .csv or .parquet.")] = None,
) -> None:
    """Predict candidates, with intervals; RUNS are runs, or a fit that `attribute --save` wrote (.json)."""
    from ..fields import match
    from ..fitting import fit
    from ..report.predictions import far_words, text
    from ..report.words import plain
    from .output import check_out, json_lines, say, write_frame
    from .progress import progress

    if out is not None:
        check_out(out, (".csv", ".parquet"), inputs=(*file.files, candidates))
    saved = file.runs.suffix.lower() == ".json"
    if saved:
        predictor, head = _saved(file, surrogate), f"{plain(file.runs.name)}: a saved fit."
    else:
        with progress("reading the runs"):
            runs = file.read()
        head = summary(runs, file)
        with inputs.option("CANDIDATES"):  # what is wrong with them is said before the fit
            inputs.candidates(candidates, runs)
        with progress("fitting"):
            predictor = fit(runs, surrogate)
    with inputs.option("CANDIDATES"), progress("predicting"):
        found = predictor.predict(candidates)
    targets = match(file.target, predictor.targets, "target") if saved and file.target else list(predictor.targets)
    frame = found.to_frame()
    frame = frame.loc[frame["target"].isin(targets), :]
    if out is not None:
        write_frame(frame, out, names=("candidate", "target"))
    if as_json:
        for note in (*far_words(found, [found.targets.index(name) for name in targets]), *found.warnings):
            typer.echo(f"Note: {plain(note, 300)}", err=True)
        say(json_lines(frame))
        return
    several = f"{plain(candidates.name)}: {len(found.names)} candidate{'s' * (len(found.names) != 1)}."
    say([head, several, text(found, targets, top)])


def _saved(file: RunsFile, surrogate: str) -> Predictor:
    """Read a saved fit, to which the options of reading and fitting runs do not apply."""
    from ..predictor import Predictor

    given = [name for name in file.given if name != "--target"] + ["--surrogate"] * (surrogate != "auto")
    if given:
        raise ValueError(f"{given[0]}: {file.runs.name} is fitted already; leave it out, or give the runs again.")
    return Predictor.load(file.runs)
