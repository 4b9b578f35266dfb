"""The verb `evaluate`: masks (m, K) evaluated by a command that trains, into a store, resumably."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import inputs
from .design import task_names
from .reading import File, Name, Names, option

if TYPE_CHECKING:
    import numpy as np

COMMAND = "'python train.py --mask {mask_file} --out {result}'"
EXAMPLES = "\n\n".join(
    (
        "Examples:",
        f"interplay evaluate masks.csv --store runs.db --command {COMMAND}",
        f"interplay evaluate --for leave-one-out --tasks en,de,code --seeds 3 --store truth.db --command {COMMAND}",
        "The command gets {mask_file}, JSON {tasks, weights, seed}, or {weights}, {tasks}, {seed}; it writes JSON "
        "{target: number} to {result}. Ctrl-C stops; the same call again goes on.",
    )
)
Seconds = Optional[float]  # noqa: UP045 - typer reads these at run time
SEEDS = "How many seeds (0, 1, ...), or which: 100,101,102. If not given those of MASKS's column seed, or one."
FIDELITY = "What kind of runs these are, such as a size. If not given that of MASKS's column fidelity, or retrained."


def evaluate(
    store: Annotated[str, option("STORE", "Where results are kept: runs.db, or postgresql://user@host/runs.")],
    command: Annotated[str, option("COMMAND", "Trains and measures one mask; no shell runs it. See below.")],
    masks: Annotated[File, typer.Argument(metavar="MASKS", help="A row per run, a column per task.")] = None,
    question: Annotated[
        Name, typer.Option("--for", metavar="leave-one-out", help="Instead of MASKS: all tasks, and all but each.")
    ] = None,
    tasks: Annotated[Name, option("A,B,...", "Names of the tasks; with MASKS, the columns that are tasks.")] = None,
    seeds: Annotated[Name, option("N", SEEDS)] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Evaluations at once.")] = 1,
    executor: Annotated[Name, option("ray", "Where workers run: on a Ray cluster, not on this machine.")] = None,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="How often a failed one is tried again.")] = 1,
    timeout: Annotated[Seconds, option("SECONDS", "Time that one evaluation may take.")] = None,
    tag: Annotated[str, option("NAME", "Tells problems apart in one store.")] = "",
    fidelity: Annotated[Name, option("WORD", FIDELITY)] = None,
    target: Annotated[Names, option("NAME", "Targets that every result holds; repeatable; those of the first.")] = None,
    higher_is_better: Annotated[Names, option("NAME", "Targets where higher is better; repeatable, globs.")] = None,
    trained: Annotated[
        Name, option("WAY", "Without a task: fixed-steps, or fixed-epochs (shorter); it is said.")
    ] = None,
    coupled: Annotated[bool, typer.Option("--coupled", help="A seed is the same training for every mask.")] = False,
    not_coupled: Annotated[bool, typer.Option("--not-coupled", help="It is not.")] = False,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Go on though the script differs: the change touches no value.")
    ] = False,
) -> None:
    """Evaluate masks by a command that trains, and keep the results in a store."""
    from ..evaluators import CommandRetrain
    from ..fields import match

    if coupled and not_coupled:
        raise ValueError("--coupled and --not-coupled are both given; say one, or none where it is not known.")
    names, designs = _designs(masks, question, tasks)
    fidelity, own = _fidelity(masks, names, fidelity)
    if target and higher_is_better:  # otherwise they are known after the first result
        with inputs.option("--higher-is-better"):
            match(higher_is_better, target, "target")
    if executor not in (None, "ray"):
        raise ValueError(f"--executor {executor}: choose ray, or leave it out for processes of this machine.")
    evaluator = CommandRetrain(
        command,
        tasks=names,
        targets=target or None,
        higher_is_better=higher_is_better or None,
        fidelity=fidelity,
        coupled=coupled if coupled or not_coupled else None,
        absent_tasks=None if trained is None else inputs.way_of(trained),
    )
    how: dict[str, Any] = {"tag": tag, "accept_changed": accept_changed}
    how |= {"workers": workers, "executor": executor, "retries": retries, "timeout": timeout}
    which = _seeds(masks, names, seeds)
    if own is not None:
        designs, which = designs[own], which if isinstance(which, int | list) else which[own]
    run(evaluator, designs, which, store, **how)


def run(evaluator: Any, designs: np.ndarray, which: int | list[int] | np.ndarray, store: str, **how: Any) -> None:
    """Evaluate into the store, and say what is done and what to do next.

    Parameters
    ----------
    evaluator : Evaluator
    designs : (m, K) array
    which : int, list of int or array (m,)
        How many seeds, or which; an array holds that of each row.
    store : str
    how
        Of `interplay.evaluate`.
    """
    import numpy as np

    from ..campaign import Interrupted
    from ..campaign import evaluate as evaluate_masks
    from ..evaluations import MIN_RUNS
    from ..formats.store import is_address, title_of
    from ..report.words import plain

    if isinstance(which, np.ndarray):
        parts = [(designs[which == seed], [int(seed)]) for seed in np.unique(which)]
    else:
        parts = [(designs, which)]
    try:
        several = [evaluate_masks(evaluator, some, seeds=own, store=store, **how) for some, own in parts]
    except Interrupted as stopped:
        typer.echo(f"interplay: {plain(str(stopped), 600)}", err=True)
        raise typer.Exit(130) from None
    for warning in dict.fromkeys(warning for runs in several for warning in runs.warnings):
        typer.echo(f"Note: {plain(warning, 600)}", err=True)
    done = sum(map(len, several))
    asked = sum(len(np.unique(some, axis=0)) * (own if isinstance(own, int) else len(own)) for some, own in parts)
    where = store if not is_address(store) else title_of(store)
    failed = f", {asked - done} failed (interplay runs {quote(where)} --status failed)" * (done < asked)
    tag = how.get("tag")
    following = ["interplay", "attribute", quote(where), *(["--tag", quote(tag)] if tag else [])]
    ready = f" Next: {' '.join(following)}" if done >= MIN_RUNS else ""
    typer.echo(f"{where}: {done} of {asked} evaluations are done{failed}.{ready}")


def _designs(masks: Path | None, question: str | None, tasks: str | None) -> tuple[Sequence[str], np.ndarray]:
    """MASKS, or --for with --tasks: names (K,) and masks (m, K)."""
    from ..formats.points import read_design
    from ..masks import leave_one_out

    if (masks is None) == (question is None):
        raise ValueError("give MASKS, a file such as `interplay design` writes, or --for leave-one-out with --tasks.")
    names = None if tasks is None else task_names(tasks)
    if masks is not None:
        with inputs.option("MASKS"):
            return read_design(masks, names)
    if question != "leave-one-out":
        raise ValueError(f"--for {question}: only leave-one-out needs no file; `interplay design` writes the others.")
    if names is None:
        raise ValueError("--for leave-one-out: name the tasks with --tasks A,B,...")
    return names, leave_one_out(len(names))


def _fidelity(masks: Path | None, tasks: Sequence[str], given: str | None) -> tuple[str, np.ndarray | None]:
    """--fidelity, or what MASKS states; and which of its rows (m,) are of it, where they are of several."""
    from ..formats.points import read_fidelities

    with inputs.option("MASKS"):
        stated = None if masks is None else read_fidelities(masks, tasks)
    counts = {} if stated is None else {word: int((stated == word).sum()) for word in dict.fromkeys(stated.tolist())}
    word = given or next(iter(counts), "retrained")
    if stated is None or len(counts) == 1:  # what is said goes before what is stated
        return word, None
    words = ", ".join(f"{n} {one}" for one, n in counts.items())
    if given not in counts:
        raise ValueError(f"MASKS holds rows of several fidelities ({words}): --fidelity says which this command makes.")
    typer.echo(f"Note: of the rows of MASKS ({words}) those of fidelity {given} are evaluated.", err=True)
    return word, stated == word


def _seeds(masks: Path | None, tasks: Sequence[str], given: str | None) -> int | list[int] | np.ndarray:
    """--seeds, or what MASKS states row by row, or one."""
    from ..formats.points import read_seeds

    with inputs.option("MASKS"):
        stated = None if given is not None or masks is None else read_seeds(masks, tasks)
    return seeds_of(given or "1") if stated is None else stated


def seeds_of(text: str) -> int | list[int]:
    """--seeds: how many, or which."""
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError:
        raise ValueError(f"--seeds {text}: give how many, such as 3, or which, such as 100,101,102 or 100,") from None
    return numbers if "," in text else numbers[0]
