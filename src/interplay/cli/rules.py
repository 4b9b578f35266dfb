"""Options of `interplay select`: what a choice is for and what it must keep, as the library takes them."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import UnknownName, listed, unknown
from . import arguments, inputs
from .reading import RunsFiles

if TYPE_CHECKING:
    import numpy as np

    from ..evaluations import Evaluations
    from ..tokens import Tokens

TARGET = (
    "What is to be made better: a target, or an expression that is computed within each run, such as 'mean(bpb/*)' or "
    "'0.7*mmlu + 0.3*gsm'."
)
WORST = "Instead of --target: several, of which the worst counts, each in standard deviations; repeatable, globs."
PARETO = "Instead of --target: several whose front is looked for, choices of which none is better in all; repeatable."
WITHIN = "Target that may be worse than at the baseline by no more than this, in its own unit; repeatable, globs."
AT_MOST = (
    "At most N (of mixtures: a share) of these tasks: 2:en,de,fr, or GROUP=2 with the groups of --groups; repeatable."
)
GROUPS = "Table task,group for --at-most. Or a row per group with a 0/1 column per task."
COSTS = "Table task,cost; what the tasks of a mask cost together stays within --budget."
BUDGET = "What tasks may cost together; of mixtures the tokens that one training reads: 2e10."
CAP = "Largest share of a task (names, globs), or of every task: web=0.6, or 0.3; repeatable."
FLOOR = "Smallest share of a task, or of every task; repeatable."
TOKENS = "Table task,tokens[,cost]: the token-proportional baseline, and how often tasks are read (--max-epochs)."
NEAR = "Mixture to stay near to: one row with a column per task, or task,weight."
AMONG = "Choose among these candidates only: one row each, one column per task."
AGAINST = (
    "Baseline, what would be trained without a choice: all, mean (masks; mean: a run as they were drawn); uniform, "
    "tokens, mean (mixtures); or a file."
)
RISK = "Standard deviations that are taken off every prediction; 0 takes the plain optimum."
VERIFY = "Propose the choice and its best alternatives, N in all, to be run; with --command the trainings it may take."
#: What can be done about each clash of --store; --tag is that of RUNS here.
MISMATCH = {
    "settings": "Name another one with --store, or delete the old ones (interplay runs STORE --delete). If the change "
    "touches no value, go on with --accept-changed.",
    "tag": "Fidelities of one store answer one question here: name another one with --store.",
}
WORDS = ("all", "uniform", "tokens", "mean")
#: Arguments of the library, and those whose option has another name.
ARGUMENTS = (
    *("size", "require", "forbid", "at_most", "costs", "budget", "max_epochs", "near", "kl", "among", "against"),
    *("risk", "within", "worst", "pareto", "target", "verified"),
)
OTHERS = {"caps": "--cap", "floors": "--floor", "trainings": "--verify"}


def named() -> AbstractContextManager[None]:
    """Call an argument by its option where an error of the library begins with it."""
    return arguments.named(ARGUMENTS, OTHERS)


def read(file: RunsFiles, target: str | None, beside: Mapping[str, Sequence[str]]) -> Evaluations:
    """Read the runs with what an objective is made of: a target, or the members of an expression; and ``beside``.

    These are the names and globs of other options, which an error about one of them names.
    """
    try:
        return _read(file, target, [name for names in beside.values() for name in names])
    except UnknownName as error:
        if error.what != "target" or not error.of:
            raise
        given = [option for option, names in beside.items() if error.name in names]
        if not given and target is not None and not file.derive and error.name in target:
            given = ["--target"]
        n = len(error.known)
        may = f"{n} column{'s' * (n != 1)} that may be one, such as {error.near}" if n else "no column that may be one"
        words = f"no target of {error.of} is called {error.name!r}. It has {may}."
        raise ValueError(": ".join([*given[:1], words])) from error


def _read(file: RunsFiles, target: str | None, others: Sequence[str]) -> Evaluations:
    from ..derived import FormulaError, parse

    reading = lambda names: replace(file, target=list(dict.fromkeys([*names, *others])) or None).read()
    if target is None:
        return reading([])
    if formulas := file.formulas:  # a sum is fitted by its members, so they are kept beside it
        with inputs.option("--derive"):
            plan = parse(formulas)
        own = [one.name for one in plan]
        others = [*others, *(member for one in plan for member in one.members if member not in own)]
    expression = target.partition("=")[2] if "=" in target else target
    try:
        members = list(parse({"objective": expression} if expression.strip() else [target])[0].members)
    except ValueError as error:
        try:
            return reading([target])  # a column may be called like this
        except ValueError:
            reason = error.reason if isinstance(error, FormulaError) else error
            raise ValueError(f"--target {target}: {reason}") from error
    try:
        return reading(members)
    except ValueError:
        if members != [target]:
            try:
                return reading([target])
            except ValueError:
                pass
        raise


def tolerances(given: Sequence[str]) -> dict[str, float]:
    """--within: NAME=TOL."""
    return _numbers(given, "--within", "mmlu=0.01")


def shares(
    given: Sequence[str], name: str, example: str = "web=0.6, or 0.3 for every task"
) -> dict[str, float] | float | None:
    """--cap, --floor and --empty: one NUMBER for all, or NAME=NUMBER; what is named keeps its own."""
    every = [text for text in given if _number(text) is not None]
    found = _numbers([text for text in given if text not in every], name, example)
    if len(set(every)) > 1:
        raise ValueError(f"{name}: {every[0]} and {every[1]} are given for all; give one of them.")
    if not every:
        return found or None
    share = _number(every[0])
    assert share is not None
    return {"*": share, **found} if found else share


def sizes(text: str | None) -> int | tuple[int | None, int | None] | None:
    """--size: N, MIN-MAX, or MIN- for at least so many."""
    if text is None:
        return None
    if not (found := re.fullmatch(r"\s*(\d+)\s*(?:(-)\s*(\d*)\s*)?", text)):
        raise ValueError(f"--size {text}: give how many tasks, such as 8, or MIN-MAX, such as 4-9; 1-9 is at most 9.")
    least, dash, most = found.groups()
    if most and int(least) > int(most):
        raise ValueError(f"--size {text}: give the fewest first, then the most, such as {most}-{least}.")
    return (int(least), int(most) if most else None) if dash else int(least)


def at_most(given: Sequence[str], members: Path | None, tasks: Sequence[str]) -> dict[str, tuple[list[str], float]]:
    """--at-most: N:NAME,NAME, or GROUP=N of --groups."""
    held = inputs.groups(members, tasks)
    groups: dict[str, list[str]] = {}
    if held is not None:
        for name, row in zip(held.names, held.weights, strict=True):
            groups[name] = [task for task, inside in zip(tasks, row, strict=True) if inside]
        if not given:
            raise ValueError("--groups: say how many of a group may be in, with --at-most GROUP=N.")
    found: dict[str, tuple[list[str], float]] = {}
    for text in given:
        first, colon, rest = text.partition(":")
        if colon and (number := _number(first)) is not None:
            names = next(csv.reader([rest], skipinitialspace=True), [])
            if not names:
                raise ValueError(f"--at-most {text}: it names no task; write N:NAME,NAME.")
            found[", ".join(names)] = (names, number)
            continue
        name, _, number = text.rpartition("=")
        if not name or (most := _number(number)) is None:
            raise ValueError(f"--at-most {text}: write N:NAME,NAME, as in 2:en,de,fr; or GROUP=N with --groups.")
        if name not in groups:
            if held is None:
                raise ValueError(f"--at-most {text}: name the file that says who is in {name!r} with --groups.")
            raise ValueError(f"--at-most {text}: {unknown(name, list(groups), 'group')}")
        found[name] = (groups[name], most)
    return found


def costs(path: Path | None, tasks: Sequence[str]) -> dict[str, float] | None:
    """--costs: columns task and cost, a row for each task."""
    import numpy as np

    from ..formats.columns import as_numbers
    from ..formats.points import sheet, tasks_of

    if path is None:
        return None
    with inputs.option("--costs"):
        table = sheet(path)
        if absent := [name for name in ("task", "cost") if name not in table.frame]:
            raise ValueError(f"{table.name} has no column {absent[0]!r}; give columns task and cost, a row per task.")
        index = tasks_of(table, tasks)
        given = as_numbers(table.frame, "cost", table.name, "Give a number >= 0.")
        for i, k in enumerate(index):
            if k in index[:i]:
                raise ValueError(f"{table.name}: row {i + 1} gives task {tasks[k]!r} again. Keep one row.")
            if not (np.isfinite(given[i]) and given[i] >= 0):
                raise ValueError(
                    f"{table.name}: row {i + 1} has cost {given[i]:g} of {tasks[k]!r}; give a number >= 0."
                )
        if left := [task for k, task in enumerate(tasks) if k not in index]:
            raise ValueError(f"{table.name} has no cost of {listed(left)}. Give one for every task, 0 if it is free.")
        return {tasks[k]: float(cost) for k, cost in zip(index, given, strict=True)}


def near(path: Path | None, runs: Evaluations) -> np.ndarray | None:
    """--near: the mixture (K,) of a file."""
    with inputs.option("--near"):
        return None if path is None else inputs.single(path, runs, "a mixture to stay near to")


def baseline(text: str | None, runs: Evaluations) -> str | np.ndarray | None:
    """--against: a word, or the mask or mixture (K,) of a file."""
    if text is None or text in WORDS:
        return text
    with inputs.option("--against"):
        if not Path(text).suffix:
            raise ValueError(f"{text!r} is none of {', '.join(WORDS[:-1])} and {WORDS[-1]}, and no file.")
        return inputs.single(text, runs, "a baseline")


def priced(runs: Evaluations, counted: Tokens | None, spent: Path | None, budget: float | None) -> dict[str, Any]:
    """--tokens, --costs and --budget: masks have the costs of their tasks, which may stand beside the tokens."""
    own = costs(spent, runs.tasks)
    if own is None and runs.kind == "mask" and budget is not None and counted is not None:
        return {"costs": counted, "budget": budget, "tokens": counted}
    return {"costs": own, "budget": budget, "tokens": counted}


def _numbers(given: Sequence[str], option: str, example: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not name or (value := _number(number)) is None:
            raise ValueError(f"{option} {text}: write NAME=NUMBER, as in {example}.")
        if found.get(name, value) != value:
            raise ValueError(f"{option}: {name!r} has {found[name]:g} and {value:g}; give one of them.")
        found[name] = value
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
