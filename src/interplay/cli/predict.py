"""The verb `predict`: what candidates that were not run would come to, from runs or from what `attribute` saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import inputs
from .compare import At
from .reading import File, RunsFiles, Surrogate, option, reads_runs, summary

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
    file: RunsFiles,
    candidates: Annotated[Path, typer.Argument(metavar="CANDIDATES", help=inputs.CANDIDATES)],
    surrogate: Surrogate = "auto",
    at: At = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Candidates to show, the best first.")] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tidy table as JSON lines, one candidate x target each.")
    ] = False,
    out: Annotated[File, option("FILE", "Write the tidy table: .csv or .parquet.")] = None,
) -> None:
    """Predict candidates, with intervals; RUNS are runs, or a fit that `attribute --save` wrote (.json)."""
    from ..fields import match
    from ..fitting import fit
    from ..phases import parse, shares_of
    from ..progress import waiting
    from ..report.predictions import far_words, text
    from ..report.words import plain
    from .output import check_out, json_lines, say, write_frame

    if out is not None:
        check_out(out, (".csv", ".parquet"), inputs=(*file.files, candidates))
    saved = Path(file.runs[0]).suffix.lower() == ".json"
    if saved:
        predictor, head = _saved(file, surrogate, at), f"{plain(file.name)}: a saved fit."
        with inputs.option("--phases"):
            phases = None if file.phases is None else shares_of(parse(file.phases))
        with inputs.option("CANDIDATES"):
            given = inputs.candidates(candidates, predictor.tasks, predictor.kind, phases)
    else:
        with waiting("reading the runs"):
            runs = file.read()
            whole = file.with_parts(runs)
        head = summary(runs, file)
        with inputs.option("CANDIDATES"):  # what is wrong with them is said before the fit
            given = inputs.candidates(candidates, runs.tasks, runs.kind, inputs.phases_of(runs))
        with waiting("fitting"):
            predictor = fit(whole, surrogate, at, runs.targets)
    with inputs.option("CANDIDATES"), waiting("predicting"):
        found = predictor.predict(given)
    targets = list(found.targets)
    if saved and file.target:
        targets = match(file.targets, found.targets, "target", argument="--target")
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


def _saved(file: RunsFiles, surrogate: str, at: str | None) -> Predictor:
    """Read a saved fit, to which the options of reading and fitting runs do not apply."""
    from ..predictor import Predictor

    own = {"--surrogate": surrogate != "auto", "--at": at is not None}
    given = [name for name in file.given if name not in ("--target", "--phases")]
    given += [name for name, said in own.items() if said]
    if given:
        raise ValueError(f"{given[0]}: {file.name} is fitted already; leave it out, or give the runs again.")
    return Predictor.load(file.runs[0])
