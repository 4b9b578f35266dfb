"""Options that every verb shares which reads runs, written once.

``@reads_runs`` gives a verb the argument RUNS and the options of `RunsFile`; it gets them as one object.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from . import inputs

if TYPE_CHECKING:
    from ..evaluations import Evaluations

Name = Optional[str]  # noqa: UP045 - typer reads these at run time
Names = Optional[list[str]]  # noqa: UP045
File = Optional[Path]  # noqa: UP045


def option(metavar: str, help: str) -> Any:
    """An option whose value is called ``metavar``."""
    return typer.Option(metavar=metavar, help=help)


Surrogate = Annotated[str, option("auto|ridge|rbf|ard|stack", "What is fitted; auto chooses, and says why.")]


@dataclass(frozen=True)
class RunsFile:
    """A file of runs, and how it is to be read."""

    runs: Annotated[
        Path, typer.Argument(metavar="RUNS", help="Runs: one row per run, one column per task (0/1, weights, mixture).")
    ]
    metrics: Annotated[File, option("FILE", "Results in a second file, joined on run, run_id or index.")] = None
    target: Annotated[Names, option("NAME", "Column(s) that are targets; repeatable, globs allowed.")] = None
    derive: Annotated[Names, option("NAME=FORMULA", inputs.DERIVE)] = None
    tasks: Annotated[Names, option("NAME", "Columns that are tasks; repeatable, globs allowed.")] = None
    ignore: Annotated[Names, option("NAME", "Columns to leave out; repeatable, globs allowed.")] = None
    kind: Annotated[Name, option("KIND", "mask, mixture, weights or coefficients; guessed and said.")] = None
    higher_is_better: Annotated[Names, option("NAME", "Targets where higher is better; repeatable, globs.")] = None
    lower_is_better: Annotated[Names, option("NAME", "Targets where lower is better; repeatable, globs.")] = None
    missing: Annotated[
        str, option("error|skip", "Targets with missing values: refuse, or fit each on its own rows.")
    ] = "error"
    fidelity: Annotated[Name, option("WORD", "Take the runs of this fidelity only.")] = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """What is read."""
        return self.runs, self.metrics

    @property
    def given(self) -> list[str]:
        """Options that were given, as they are written."""
        shared = inspect.signature(RunsFile).parameters
        changed = [n for n, p in shared.items() if n != "runs" and getattr(self, n) not in (p.default, None, [])]
        return [f"--{name.replace('_', '-')}" for name in changed]

    def read(self) -> Evaluations:
        """Read the runs, with targets that are computed from others."""
        return inputs.runs_with_derived(self._read, self.target or None, self.derive or None)

    def read_truth(self, path: Path, runs: Evaluations) -> Evaluations:
        """Read the truth of runs that were read, with their columns and derived targets."""
        from ..evaluations import Evaluations

        made = runs.notes.get("derived") or {}
        own = [name for name in runs.targets if f"{name}:up" not in made and f"{name}:down" not in made]
        up = dict(zip(runs.targets, runs.higher_is_better, strict=True))

        def read(targets: list[str] | None) -> Evaluations:
            names = targets or []
            how: dict[str, Any] = {"tasks": list(runs.tasks), "missing": self.missing, "min_runs": 1}
            how |= {"higher_is_better": [n for n in names if up.get(n)]}
            how |= {"lower_is_better": [n for n in names if n in up and not up[n]]}
            return Evaluations.read(path, targets=names, **how)

        try:
            judge = inputs.runs_with_derived(read, own, made)
        except ValueError as error:
            raise ValueError(f"--truth: {str(error).removeprefix('--derive: ')}") from error
        held = set(map(str, judge.fidelity))
        return judge.where(fidelity=self.fidelity) if len(held) > 1 and self.fidelity in held else judge

    def _read(self, targets: list[str] | None) -> Evaluations:
        from ..evaluations import Evaluations

        how: dict[str, Any] = {"tasks": self.tasks or None, "ignore": self.ignore or (), "kind": self.kind}
        how |= {"higher_is_better": self.higher_is_better or (), "lower_is_better": self.lower_is_better or ()}
        how |= {"metrics": self.metrics, "targets": targets, "missing": self.missing}
        runs = Evaluations.read(self.runs, **how)
        if self.fidelity is None:
            return runs
        held = sorted(set(map(str, runs.fidelity)))
        if self.fidelity not in held:
            raise ValueError(
                f"--fidelity {self.fidelity}: {self.runs.name} has no such runs; its fidelities are {', '.join(held)}."
            )
        return runs.where(fidelity=self.fidelity)


def reads_runs(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb, whose first parameter is a `RunsFile`, the argument and the options of one."""
    shared = inspect.signature(RunsFile, eval_str=True).parameters
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    arguments = [p for p in own if p.default is inspect.Parameter.empty]
    ordered = [*shared.values(), *own] if not arguments else [shared["runs"], *arguments]
    ordered += [p for p in (*shared.values(), *own) if p not in ordered]

    @wraps(verb)
    def command(**given: Any) -> None:
        file = RunsFile(**{name: given.pop(name) for name in shared})
        verb(file, **given)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def summary(runs: Evaluations, file: RunsFile) -> str:
    """What was read, in a line."""
    from ..report.words import plain

    tasks = f"{runs.K} task{'s' * (runs.K != 1)}"
    return f"{plain(file.runs.name)}: {len(runs)} runs, {tasks} ({runs.kind})."
