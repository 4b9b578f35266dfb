"""Runs of Hugging Face's Trainer: ``trainer_state.json`` in one folder for each run, or in its checkpoints.

``log_history`` is a list of ``{"eval_loss": 1.2, "step": 1000, "epoch": 2.0, ...}``; entries of one step are one
evaluation. The last one is taken, or that of ``--where step=1000``. A state in a checkpoint holds all that came before.
``training_args.bin`` is a pickle and never loaded.
Source: huggingface/transformers, ``trainer_callback.py`` (TrainerState) and ``trainer_pt_utils.py`` (save_metrics).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

import numpy as np

from ...fields import EvaluationsError, listed, match
from .beside import mixed, refuse, with_column
from .draft import Draft, Left, Options, Target, lacked
from .sheets import distinct, existing
from .states import STATE, Run, plain_in, run_of, states_in

__all__ = ["read"]

_SPEEDS = re.compile(
    r".*_(runtime|samples_per_second|steps_per_second|jit_compilation_time|model_preparation_time|samples)"
)
_PICKLE = Left(
    "training_args.bin", "a pickle, which is never loaded; a seed stands in training_args.json or --mixtures"
)
_BEST = Left("best_metric", "the best of several evaluations of a run, so that it looks better than the run is")
_WHERE = ("step", "epoch")


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read the evaluations of several runs, and their mixtures."""
    refuse(options, ("run", "cost"), "states of a trainer", "Rename the folders, or leave it out.")
    if wrong := [name for name in options.where if name not in _WHERE]:
        raise EvaluationsError(f"--where {wrong[0]}: evaluations are picked by step or epoch, as in --where step=1000.")
    found, left = _runs(paths)
    picked = [(run, step) for run in found if (step := _step(run, options.where)) is not None]
    wanted = ", ".join(f"{k}={v}" for k, v in options.where.items())
    why = f"no evaluation at {wanted}" if wanted else "no evaluation in its log"
    left += [Left(f"run {run.name!r}", why) for run in found if run not in [one for one, _ in picked]]
    if not picked:
        steps = sorted({step for run in found for step in run.evaluations})
        there = f" There are some at steps {listed([f'{s:g}' for s in steps], 6)}." if steps else ""
        raise EvaluationsError(
            f"none of {len(found)} runs has an evaluation{' at ' + wanted if wanted else ''}.{there}"
        )
    runs, steps = [run for run, _ in picked], [step for _, step in picked]
    names = [run.name for run in runs]
    frame, tasks, more, seeds = mixed(names, options, "states of a trainer", seeded=True)
    results = [run.evaluations[step] for run, step in picked]
    chosen, gone = _chosen(names, results, options)
    _refuse_unmeasured(picked, chosen, options)
    targets: dict[str, Target] = {}
    for name in chosen:
        frame, column = with_column(frame, f"log_history: {name}", [one.get(name, np.nan) for one in results])
        targets[name] = Target(column)
    rows: dict[str, str] = {}
    frame, rows["run"] = with_column(frame, "run", names)
    if any(run.seconds is not None for run in runs):
        cells = [np.nan if run.seconds is None else run.seconds for run in runs]
        frame, rows["cost"] = with_column(frame, "train_runtime", cells)
    if options.seed is None and all(run.seed is not None for run in runs):
        seeds = [run.seed or "" for run in runs]
    if seeds is not None:
        frame, rows["seed"] = with_column(frame, "seed", seeds)
    more = (*more, *([_PICKLE] if any(run.pickled for run in runs) else []))
    more = (*more, *([_BEST] if any(run.best for run in runs) else []))
    if others := [*dict.fromkeys(key for run in runs for key in run.others)]:
        more = (*more, Left(f"log_history: {listed(others, 12)}", "of the training, and no evaluation (eval_*)"))
    return Draft(
        frame=frame,
        name=f"states of a trainer with {options.mixtures.name}" if options.mixtures else "states of a trainer",
        tasks=tasks,
        targets=targets,
        rows=rows,
        left=(*left, *more, *gone),
        warnings=_warnings(runs, steps, options.where),
    )


def _runs(paths: Sequence[Path]) -> tuple[list[Run], list[Left]]:
    """The runs of some paths: files, folders of one run, folders of such folders."""
    found: list[Run] = []
    for path in paths:
        existing(path, folder=True)
    paths, left = distinct(paths)
    for path in paths:
        if existing(path, folder=True).is_file():
            folder = path.absolute().parent
            name = (folder.parent if folder.name.startswith("checkpoint-") else folder).name
            found.append(run_of([path], name, strict=True))
            continue
        own = states_in(path)
        for folder in [path] if own else sorted(one for one in path.iterdir() if one.is_dir()):
            files = own if own else sorted(folder.rglob(STATE)) + plain_in(folder)
            if files:
                found.append(run_of(files, folder.absolute().name, strict=False))
            else:
                left.append(Left(f"folder {folder.name!r}", f"no {STATE} in it"))
    if not found:
        raise EvaluationsError(
            f"{listed([str(p) for p in paths], 3)}: no {STATE} is there. Give the folder that holds one folder for "
            "each run."
        )
    alone = {run.file.resolve(): run for run in reversed(found)}
    left += [Left(f"run {r.name!r}", "given twice; taken once") for r in found if alone[r.file.resolve()] is not r]
    found = [run for run in found if alone[run.file.resolve()] is run]
    names = [run.name for run in found]
    return [replace(r, name=str(r.folder)) if names.count(r.name) > 1 else r for r in found], left


def _step(run: Run, where: Mapping[str, str]) -> float | None:
    """The step of the evaluation that is asked for, or of the last one."""
    if not where:
        return max(run.evaluations, default=None)
    wanted = {}
    for name, text in where.items():
        try:
            wanted[name] = float(text)
        except ValueError:
            raise EvaluationsError(f"--where {name}={text}: {name} is a number, as in --where step=1000.") from None
    fits = [
        step
        for step, results in run.evaluations.items()
        if wanted.get("step", step) == step and _near(wanted.get("epoch"), results.get("epoch"))
    ]
    return max(fits, default=None)


def _near(wanted: float | None, epoch: float | None) -> bool:
    return wanted is None or (epoch is not None and abs(wanted - epoch) < 1e-6)


def _chosen(
    runs: Sequence[str], results: Sequence[Mapping[str, float]], options: Options
) -> tuple[list[str], list[Left]]:
    """Targets: those named, or all results but speeds that every run has."""
    names = [n for n in dict.fromkeys(name for one in results for name in one) if n != "epoch"]
    gone = set(match(options.ignore, names, "", also=options.ignore)) if options.ignore else set()
    if options.targets:
        chosen = [n for n in match(options.targets, names, "result of the trainer") if n not in gone]
        return chosen, [Left(f"result {n!r}", "not among --target") for n in names if n not in chosen]
    chosen, left = [], []
    for name in names:
        lack = [run for run, one in zip(runs, results, strict=True) if name not in one]
        if name in gone:
            left.append(Left(f"result {name!r}", "left out by --ignore"))
        elif _SPEEDS.fullmatch(name):
            left.append(Left(f"result {name!r}", "how fast the evaluation was, or on how many examples"))
        elif options.missing != "skip" and lack:
            left.append(Left(f"result {name!r}", lacked(lack)))
        else:
            chosen.append(name)
    if not chosen:
        raise EvaluationsError(f"no result is there in all runs; name one with --target: {listed(names, 6)}.")
    return chosen, left


def _refuse_unmeasured(picked: Sequence[tuple[Run, float]], chosen: Sequence[str], options: Options) -> None:
    """Refuse results that are no finite number, as a training that diverged writes them, with their file and step."""
    for name in chosen:
        odd = [(run, step) for run, step in picked if not np.isfinite(run.evaluations[step].get(name, 0.0))]
        if options.missing == "skip":
            odd = [(run, step) for run, step in odd if not np.isnan(run.evaluations[step][name])]
        if not odd:
            continue
        run, step = odd[0]
        at = f" at step {step:g}" if step >= 0 else ""
        others = f", and in {len(odd) - 1} other runs" if len(odd) > 1 else ""
        raise EvaluationsError(
            f"{run.file}: {name} is {run.evaluations[step][name]:g}{at}{others}: the training may have diverged. Take "
            "the folder out, take another evaluation with --where step=N, or leave the result out with --ignore "
            f"{quote(name)}; --missing skip leaves out values that are nan."
        )


def _warnings(runs: Sequence[Run], steps: Sequence[float], asked: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between runs in when they were evaluated."""
    said = []
    known = sorted({step for step in steps if step >= 0})
    if len(known) > 1:
        usual = max(known, key=lambda step: (list(steps).count(step), step))
        odd = [f"{run.name!r} at {step:g}" for run, step in zip(runs, steps, strict=True) if step not in (usual, -1)]
        said.append(
            f"runs are evaluated at different steps ({known[0]:g} to {known[-1]:g}; most at {usual:g}, "
            f"{listed(odd, 3)}): what a task did and how long a run was trained are not told apart; --where step=N "
            "takes one step of all, or take the folder of a run that did not end out"
        )
    early = [run.name for run, step in zip(runs, steps, strict=True) if run.last > step >= 0]
    if early and asked:
        said.append(f"{len(early)} runs were trained beyond what was asked for: {listed([*map(repr, early)], 4)}")
    elif early:
        said.append(f"the last step of {len(early)} runs was not evaluated: {listed([*map(repr, early)], 4)}")
    return tuple(said)
