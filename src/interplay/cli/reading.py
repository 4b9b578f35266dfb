"""Options that every verb shares which reads runs, written once.

``@reads_runs`` gives a verb the argument RUNS and the options of `RunsFiles`; it gets them as one object. A verb that
has arguments of its own reads one file of runs, the others several.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy as np
import typer

from ..fields import UnknownName, listed
from ..formats.several import Source
from . import arguments, inputs
from .errors import without_passwords

if TYPE_CHECKING:
    from ..evaluations import Evaluations

Name = Optional[str]  # noqa: UP045 - typer reads these at run time
Names = Optional[list[str]]  # noqa: UP045
File = Optional[Path]  # noqa: UP045
Paths = Optional[list[Path]]  # noqa: UP045


def option(metavar: str, help: str) -> Any:
    """An option whose value is called ``metavar``."""
    return typer.Option(metavar=metavar, help=help)


Surrogate = Annotated[str, option("auto|ridge|rbf|ard|stack", "What is fitted; auto chooses, and says why.")]


@dataclass(frozen=True)
class RunsFiles:
    """Files of runs, and how they are to be read."""

    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUNS",
            help="Runs: one row per run, one column per task (0/1, weights, mixture); or a store (.db, or an address "
            "such as postgresql://...). Several are joined; WORD=FILE gives the runs of a file the fidelity WORD.",
        ),
    ]
    metrics: Annotated[
        Paths, option("FILE", "Results in a second file, joined on run, run_id or index; one for each file of RUNS.")
    ] = None
    target: Annotated[Names, option("NAME", inputs.TARGET)] = None
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
    tag: Annotated[Name, option("NAME", "Take the runs of this tag, of a store that holds several.")] = None
    missing_tasks: Annotated[
        str, option("error|off", "A task that one of several files lacks: refuse, or take it as off there.")
    ] = "error"
    same: Annotated[Names, option("OLD=NAME", "A source that is called OLD in some file; repeatable.")] = None
    phases: Annotated[Name, option("NAME=SHARE,...", inputs.PHASES)] = None
    trained: Annotated[Name, option("fixed-steps|fixed-epochs", inputs.TRAINED)] = None

    @property
    def sources(self) -> list[Source]:
        """The files of runs, each with its metrics, fidelity and tag.

        Raises
        ------
        ValueError
            If there are metrics for some of several files only, or a tag and no store.
        """
        from ..formats.store import is_store

        metrics = list(self.metrics or ())
        if metrics and len(metrics) != len(self.runs):
            raise ValueError(
                f"--metrics: {len(metrics)} of them for {len(self.runs)} files of runs "
                f"({', '.join(self.runs[:4])}); give one for each, in their order, or none."
            )
        made = [inputs.tagged(text) for text in self.runs]
        tags = [self.tag if self.tag is not None and is_store(path) else None for path, _ in made]
        if self.tag is not None and tags == [None] * len(tags):
            titles = [Source(path).title for path, _ in made]
            raise ValueError(f"--tag {self.tag}: only stores hold tags, and {listed(titles, 4)} is none.")
        several = zip(made, metrics or [None] * len(made), tags, strict=True)
        return [Source(path, second, word, tag) for (path, word), second, tag in several]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read; a database at an address is none."""
        return tuple(p for source in self.sources for p in (source.path, source.metrics) if isinstance(p, Path))

    @property
    def name(self) -> str:
        """What the files are called in a line."""
        return listed([source.title for source in self.sources], 4)

    @property
    def given(self) -> list[str]:
        """Options that were given, as they are written."""
        shared = inspect.signature(RunsFiles).parameters
        changed = [n for n, p in shared.items() if n != "runs" and getattr(self, n) not in (p.default, None, [])]
        return [f"--{name.replace('_', '-')}" for name in changed]

    def as_given(self, at: str | None = None, truth: Source | None = None) -> dict[str, Any] | None:
        """What was read, for a command that reads the same: files with their options, patterns of targets.

        Options of the targets are left to each command; ``at`` is the fidelity that is asked about. None beside a truth
        that may be what --same is about: a command without the truth would refuse it.
        """
        if truth is not None and self.same:
            return None
        words = [shlex.quote(text) for text in self.runs]
        for name in inspect.signature(RunsFiles).parameters:
            if name not in ("runs", "target") and f"--{name.replace('_', '-')}" in self.given:
                value = getattr(self, name)
                for one in value if isinstance(value, list) else [value]:
                    words.append(f"--{name.replace('_', '-')} {shlex.quote(str(one))}")
        words += [f"--at {shlex.quote(at)}"] if at else []
        return {
            "runs": without_passwords(" ".join(words)),
            "target": list(self.target or ()),
            "derived": bool(self.derive),
        }

    @property
    def targets(self) -> list[str]:
        """Names and globs of the targets."""
        return inputs.names(self.target)

    @property
    def formulas(self) -> list[str]:
        """Targets that are computed from others."""
        return [inputs.formula(one) for one in self.derive or ()]

    @property
    def renamed(self) -> dict[str, str]:
        """Other names of sources."""
        with inputs.option("--same"):
            return inputs.other_names(self.same or ())

    def read(self, truth: Source | None = None) -> Evaluations:
        """Read the runs, with targets that are computed from others; what --same names may be in the truth only."""
        from ..phases import parse, phased

        read = lambda targets: self._read(targets, truth)
        runs = inputs.trained(inputs.runs_with_derived(read, self.targets or None, self.formulas or None), self.trained)
        with inputs.option("--phases"):
            return runs if self.phases is None else phased(runs, parse(self.phases))

    def with_parts(self, runs: Evaluations) -> Evaluations:
        """Runs of some targets (--target), with those that some of them are the sums of, where the files mark these."""
        from ..fitting import with_parts

        if not self.targets or self.formulas:
            return runs
        try:
            every = replace(self, target=None).read()
        except ValueError:  # no marks, or values that nobody asked for are missing
            return runs
        if not set(runs.targets) <= set(every.targets):
            return runs
        whole = with_parts(every, runs.targets)
        return replace(whole, warnings=runs.warnings) if whole.T > runs.T else runs

    def read_truth(self, source: Source, runs: Evaluations, name: str = "--truth") -> Evaluations:
        """Read the truth of runs that were read, or more of them, with their columns and derived targets.

        ``name`` is the option that gave them.
        """
        from ..formats.several import read_like

        made = runs.notes.get("derived") or {}
        own = [name for name in runs.targets if f"{name}:up" not in made and f"{name}:down" not in made]
        up = dict(zip(runs.targets, runs.higher_is_better, strict=True))

        def read(targets: list[str] | None) -> Evaluations:
            names = targets or []
            how: dict[str, Any] = {"missing": self.missing, "same": self.renamed}
            how |= {"higher_is_better": [n for n in names if up.get(n)]}
            how |= {"lower_is_better": [n for n in names if n in up and not up[n]]}
            return read_like(source, runs.tasks, targets=names, **how)

        try:
            judge = inputs.runs_with_derived(read, own, made, given=None)
        except ValueError as error:
            raise ValueError(f"{name}: {_of_truth(error, source, own, name)}") from error
        held, here = set(map(str, judge.fidelity)), sorted(set(map(str, runs.fidelity)))
        if held == {"retrained"} and {*here} & {one.fidelity for one in self.sources} and "retrained" not in here:
            if len(here) > 1:
                place = source.path if isinstance(source.path, Path) else source.title
                raise ValueError(
                    f"{name}: {source.title} does not say of which fidelity it is ({listed(here)}); write "
                    f"{shlex.quote(f'{here[0]}={place}')} if it is of {here[0]} runs."
                )
            judge = replace(judge, fidelity=np.array(here[0]))  # the user's word for the runs
        return judge.where(fidelity=self.fidelity) if len(held) > 1 and self.fidelity in held else judge

    def _read(self, targets: list[str] | None, truth: Source | None) -> Evaluations:
        from ..formats.several import read_several

        kind = self.kind or ("weights" if self.phases else None)  # a phase that holds one task is no column of a mask
        how: dict[str, Any] = {"tasks": self.tasks, "ignore": self.ignore, "kind": kind}
        how |= {"higher_is_better": self.higher_is_better, "lower_is_better": self.lower_is_better}
        how |= {"targets": targets, "missing": self.missing, "missing_tasks": self.missing_tasks}
        how |= {"same": self.renamed, "fidelity": self.fidelity}
        with arguments.named(("higher_is_better", "lower_is_better")):
            return read_several(self.sources, **how, beside=truth)


def _of_truth(error: ValueError, source: Source, targets: Sequence[str], option: str) -> str:
    """What is wrong with runs that ``option`` gave, by its own remedies."""
    from ..store.listing import SeveralTags

    if isinstance(error, UnknownName) and error.of == source.title and error.name in targets:
        return f"{source.title} has no column {error.name!r}, a target of the runs. Add it, with what each row got."
    if isinstance(error, SeveralTags) and option == "--truth":
        return f"{error.statement} Name one with --truth-tag."
    if isinstance(error, SeveralTags):
        place = shlex.quote(source.title if isinstance(source.path, str) else str(source.path))
        alone = f"interplay runs {place} --tag NAME --export FILE"
        return f"{error.statement} Write those of one into a file, and give this: {alone}"
    return str(error)


def check_truth_masks(way: str, truth: Source | None) -> None:
    """--truth-masks: it says nothing without --truth."""
    if truth is None and way != "exclude":
        raise ValueError(f"--truth-masks {way}: there is no truth; name its file with --truth.")


def truth_of(text: str | None, tag: str | None) -> Source | None:
    """--truth and --truth-tag: a file of runs, or a store."""
    from ..formats.store import is_store

    if text is None:
        if tag is not None:
            raise ValueError(f"--truth-tag {tag}: there is no truth; name its store with --truth.")
        return None
    path, word = inputs.tagged(text)
    source = Source(path, fidelity=word, tag=tag)
    if tag is not None and not is_store(path):
        raise ValueError(f"--truth-tag {tag}: only stores hold tags, and {source.title} is none.")
    return source


#: What a verb that reads one file takes in place of these, and what it does without.
ONE = {
    "runs": Annotated[
        str,
        typer.Argument(
            metavar="RUNS", help="Runs: a row each, one column per task (0/1, weights, mixture); or a store."
        ),
    ],
    "metrics": Annotated[File, option("FILE", "Results in a second file, joined on run, run_id or index.")],
}
OF_SEVERAL = ("missing_tasks", "same")


def reads_runs(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb, whose first parameter is a `RunsFiles`, the arguments and the options of one.

    An option of the verb's own takes the place of one of the same name.
    """
    shared = dict(inspect.signature(RunsFiles, eval_str=True).parameters)
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    shared = {name: p for name, p in shared.items() if name not in [one.name for one in own]}
    arguments = [p for p in own if p.default is inspect.Parameter.empty]
    if arguments:
        shared = {n: p.replace(annotation=ONE.get(n, p.annotation)) for n, p in shared.items() if n not in OF_SEVERAL}
    ordered = [*shared.values(), *own] if not arguments else [shared["runs"], *arguments]
    ordered += [p for p in (*shared.values(), *own) if p not in ordered]

    @wraps(verb)
    def command(**given: Any) -> None:
        read = {name: given.pop(name) for name in shared}
        if arguments:
            read |= {name: value if value is None else [value] for name, value in read.items() if name in ONE}
        verb(RunsFiles(**read), **given)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def summary(runs: Evaluations, file: RunsFiles) -> str:
    """What was read, in a line."""
    from ..phases import phase_blocks
    from ..report.words import plain

    tasks = f"{runs.K} task{'s' * (runs.K != 1)}"
    of = "" if phase_blocks(runs.notes, runs.tasks) is None else f" of {len(runs.notes['phases'])} phases"
    return f"{plain(file.name, 120)}: {len(runs)} runs, {tasks} ({runs.kind}{of})."
