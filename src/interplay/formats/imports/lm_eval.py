"""Results of lm-evaluation-harness: ``results_*.json``, one folder for each run.

Targets are ``TASK/METRIC`` (``TASK/METRIC,FILTER`` where a metric went through several filters); their directions and
standard errors are in the files. Of a group its own score is taken and those of its members are left. What differs
between runs in how they were evaluated (examples in the prompt, versions, limits) is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...fields import EvaluationsError, listed, match
from .beside import mixed, refuse, with_column
from .draft import Draft, Left, Options, Target, lacked
from .results import Results, Score, by_model, in_folder, named, results_of
from .scores import direction
from .sheets import distinct, existing
from .standard_errors import mean_errors, of_no_fit, within_errors

__all__ = ["Results", "Score", "read", "results_of"]


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read the results of several runs, and their mixtures."""
    refuse(options, ("where", "run", "cost"), "results of lm-eval", "Give the folders of the runs wanted.")
    runs, left = _runs(paths)
    names = [run.name for run in runs]
    models = [run.model for run in runs]
    frame, tasks, more, seeds = mixed(names, options, "results of lm-eval", other=models, seeded=True)
    held = named(runs)
    chosen, gone = _chosen(runs, held, options)
    scores = {name: [one.get(name) for one in held] for name in chosen}
    targets: dict[str, Target] = {}
    for name, cells in scores.items():
        frame, column = with_column(frame, f"results: {name}", [np.nan if s is None else s.value for s in cells])
        targets[name] = Target(column, direction(name, cells, options))
    frame, run = with_column(frame, "run", names)
    rows = {"run": run}
    if seeds is not None:
        frame, rows["seed"] = with_column(frame, "seed", seeds)
    errors = mean_errors(scores)
    return Draft(
        frame=frame,
        name=f"results of lm-eval with {options.mixtures.name}" if options.mixtures else "results of lm-eval",
        tasks=tasks,
        targets=targets,
        rows=rows,
        left=(*dict.fromkeys(left), *more, *gone, *_blank(runs, held), *of_no_fit(errors)),
        notes={"standard_errors": errors} if errors else {},
        warnings=(*within_errors(scores, errors), *_differences(runs, scores)),
    )


def _runs(paths: Sequence[Path]) -> tuple[list[Results], list[Left]]:
    """The runs of some paths, each under a name of its own, and what is left."""
    runs = []
    for path in paths:
        existing(path, folder=True)
    paths, left = distinct(paths)
    for path in paths:
        found, gone = _below(existing(path, folder=True), alone=len(paths) == 1)
        runs += found
        left += gone
    if not runs:
        raise EvaluationsError(
            f"{listed([str(p) for p in paths], 3)}: no results of lm-eval (results_*.json) are there. Give the folder "
            "that holds one folder for each run."
        )
    once: list[Results] = []
    for run in runs:
        if any(run.files & other.files for other in once):
            left.append(Left(f"run {run.name!r}", "given twice; taken once"))
        else:
            once.append(run)
    runs = once
    names = [run.name for run in runs]
    runs = [run.called(run.path) if names.count(run.name) > 1 else run for run in runs]
    return runs, [*left, *(one for run in runs for one in run.left)]


def _below(path: Path, alone: bool) -> tuple[list[Results], list[Left]]:
    """The runs of one path: a file; files side by side and folders in a folder; or a folder that is one of several."""
    if path.is_file():
        return [results_of(path)], []
    below = {folder: in_folder(folder) for folder in sorted(path.iterdir()) if folder.is_dir()}
    found = [one for one in below.values() if one is not None]
    beside = by_model(path)
    if not beside and len(found) == 1 and not alone:
        return [found[0].called(path.name)], []
    left = [
        Left(f"folder {folder.name!r}", "no results of lm-eval in it") for folder, one in below.items() if one is None
    ]
    return [*beside, *found], left


def _chosen(
    runs: Sequence[Results], held: Sequence[Mapping[str, Score]], options: Options
) -> tuple[list[str], list[Left]]:
    """Targets: those named, or all of the main tasks that every run has and that vary."""
    names = list(dict.fromkeys(name for one in held for name in one))
    if options.targets:
        chosen = match(options.targets, names, "result of lm-eval")
        dropped = set(match(options.ignore, names, "", also=options.ignore)) if options.ignore else set()
        return [n for n in chosen if n not in dropped], [
            Left(f"result {n!r}", "not among --target") for n in names if n not in chosen
        ]
    members = set().union(*(run.members for run in runs))
    dropped = set(match(options.ignore, names, "", also=options.ignore)) if options.ignore else set()
    chosen, left = [], []
    for name in names:
        cells = [one.get(name) for one in held]
        there = [s for s in cells if s is not None]
        if name in dropped:
            why = "left out by --ignore"
        elif there[0].task in members:
            why = "a member of a group whose own score is taken (--target takes it)"
        elif len(there) < len(runs) and options.missing != "skip":
            why = lacked([run.name for run, one in zip(runs, held, strict=True) if name not in one])
        elif len({s.value for s in there}) == 1 and len(runs) > 1:
            why = "the same in all runs"
        else:
            chosen.append(name)
            continue
        left.append(Left(f"result {name!r}", why))
    if not chosen:
        raise EvaluationsError(
            f"no result is there in all runs and differs between them; of {len(names)} results "
            f"({listed([*map(repr, names)], 5)}) name those wanted with --target."
        )
    return chosen, left


def _blank(runs: Sequence[Results], held: Sequence[Mapping[str, Score]]) -> list[Left]:
    """Results that are a number in no run."""
    there = {f"{score.task}/{score.metric}" for one in held for score in one.values()}
    names = dict.fromkeys(name for run in runs for name in run.blank if name not in there)
    return [Left(f"result {name!r}", "no number in any run") for name in names]


def _differences(runs: Sequence[Results], scores: Mapping[str, Sequence[Score | None]]) -> list[str]:
    """Warn of what differs between runs in how they were evaluated, and of evaluations on a part of the questions."""
    tasks = list(dict.fromkeys(s.task for cells in scores.values() for s in cells if s is not None))
    said = []
    what: list[tuple[str, Callable[[Results], Mapping[str, Any]]]] = [
        ("examples in the prompt (n-shot)", lambda run: run.shots),
        ("versions", lambda run: run.versions),
        ("numbers of questions", lambda run: run.questions),
    ]
    for words, of in what:
        odd = []
        for task in tasks:
            found = dict.fromkeys(str(of(run)[task]) for run in runs if task in of(run))
            if len(found) > 1:
                odd.append(f"{task} ({', '.join(list(found)[:4])})")
        if odd:
            said.append(f"runs were evaluated with different {words}: {listed(odd, 5)}; they are hardly comparable")
    for key in dict.fromkeys(key for run in runs for key in run.setup):
        found = dict.fromkeys(str(run.setup[key])[:40] for run in runs if key in run.setup)
        if len(found) > 1:
            said.append(f"runs were evaluated with different {key}: {listed([*found], 3)}")
    cut = {t: run.limited[t] for run in reversed(runs) for t in tasks if t in run.limited}
    if cut:
        parts = [f"{task} ({effective} of {original})" for task, (effective, original) in cut.items()]
        said.append(f"evaluated on a part of the questions (--limit): {listed(parts, 5)}")
    elif any(run.limit for run in runs):
        said.append("evaluated on a part of the questions (--limit)")
    return said
