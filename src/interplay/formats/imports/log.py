"""Runs as a log of experiments has them (W&B, MLflow, Optuna), sorted into a `Draft`.

A log knows which of its columns are settings of a run, which are results and which are bookkeeping; which settings are
sources it does not know (`sources`). Runs that did not finish or have no result are left and named (`finished`); what
varies beside the sources is said (`leftovers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np

from ...directions import metric_word
from ...fields import EvaluationsError, listed, match, unknown
from ..csv import odd_number
from .beside import mixed
from .cells import looked_up, numbers_of, texts
from .draft import Draft, Left, Options, Target, counted, lacked
from .finished import finished, named, once, with_values
from .leftovers import leftovers
from .maps import unfolded
from .seeds import seeds_of
from .sources import completed, recognised

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Log", "drafted"]

_RUN, _SEED = "run, told apart", "seed, numbered"


@dataclass(frozen=True)
class Log:
    """Runs of a log: one row each, and what its columns are.

    Attributes
    ----------
    frame : DataFrame
    name : str
        Of the file, for messages.
    settings, results : mapping of str to str
        Names and their columns.
    facts : mapping of str to str
        Columns that are neither, and why they are not taken.
    run, apart, cost : str, optional
        Columns: names of the runs, what tells two of one name apart, costs.
    state : str, optional
        Column of states.
    good : tuple of str
        States of runs that finished, in small letters.
    reasons : mapping of str to str
        What more is to be said of runs in other states.
    directions : mapping of str to bool
        Of results, as far as they are stated.
    all_results : bool
        Whether all results are targets unless some are named; otherwise those called like metrics are.
    left, notes, warnings
        As in `Draft`.
    """

    frame: pd.DataFrame
    name: str
    settings: Mapping[str, str]
    results: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)
    run: str | None = None
    apart: str | None = None
    cost: str | None = None
    state: str | None = None
    good: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    directions: Mapping[str, bool | None] = field(default_factory=dict)
    all_results: bool = False
    left: tuple[Left, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """All columns by the names that options may use."""
        return {c: c for c in self.facts} | dict(self.results) | dict(self.settings)


def drafted(log: Log, options: Options) -> Draft:
    """Sort a log into tasks, targets, seeds and what is left.

    Raises
    ------
    EvaluationsError
        Where the sources or the targets cannot be told, or nothing is left.
    """
    frame, settings, maps = unfolded(log.frame, log.settings)
    log = replace(log, frame=frame, settings=settings, left=(*log.left, *maps))
    sorting = _Sorting(log, options)
    sorting.rows_kept()
    sorting.roles()
    sorting.targets_chosen()
    sorting.tasks_chosen()
    sorting.rows_measured()
    sorting.account()
    return Draft(
        frame=sorting.frame.reset_index(drop=True),
        name=log.name,
        tasks=sorting.tasks,
        targets={n: Target(c, log.directions.get(n)) for n, c in sorting.targets.items()},
        rows=sorting.rows,
        left=(*log.left, *sorting.left),
        notes=log.notes,
        warnings=(*log.warnings, *sorting.warnings),
    )


class _Sorting:
    """A log on its way: its rows, what each column became, what is still open."""

    def __init__(self, log: Log, options: Options) -> None:
        self.log, self.options = log, options
        self.left: list[Left] = []
        self.warnings: list[str] = []
        self.rows: dict[str, str] = {}
        self.tasks: dict[str, str] = {}
        self.targets: dict[str, str] = {}
        self.accounted: set[str] = set()
        columns = log.columns
        names = [*columns, *(c for c in columns.values() if c not in columns)]
        gone = {columns.get(n, n) for n in match(options.ignore, names, f"column of {log.name}")}
        self.left += [Left(f"column {c!r}", "left out by --ignore") for c in columns.values() if c in gone]
        self.accounted |= gone
        self.open = {n: c for n, c in log.settings.items() if c not in gone}
        self.results = {n: c for n, c in log.results.items() if c not in gone}
        self.frame: Any = log.frame.reset_index(drop=True).copy()

    @property
    def names(self) -> list[str]:
        """Of the rows that are kept."""
        return self.frame[_RUN].tolist()

    def rows_kept(self) -> None:
        """Name the rows, and keep those that are asked for and finished."""
        log, options = self.log, self.options
        stated = options.run and log.columns[looked_up(options.run, log.columns, "--run")]
        column, apart = stated or log.run, None if stated else log.apart
        self._keep(*once(self.frame, column, log.apart))
        names, said = named(self.frame, column, apart)
        self.warnings += said
        keep, left = finished(self.frame, names, log.columns, options.where, log.state, log.good, log.reasons)
        self.frame = self.frame.assign(**{_RUN: names})
        self.accounted |= {c for c in (column,) if c}
        self._keep(keep, left)
        if log.state is None or not any(texts(self.frame[log.state])):
            self.warnings.append(_UNSTATED)
        if column is not None and texts(self.frame[column]) == self.names:
            self.rows["run"] = column
        else:
            words = " and ".join(c for c in (column, apart) if c) or "row"
            self.frame, self.rows["run"] = self.frame.assign(**{words: self.names}), words

    def roles(self) -> None:
        """Find seeds, costs and fidelities."""
        log, options = self.log, self.options
        for role, stated, known in (("cost", options.cost, log.cost), ("fidelity", options.fidelity, None)):
            column = known
            if stated is not None and (role == "cost" or stated in {*log.columns, *log.columns.values()}):
                column = log.columns[looked_up(stated, log.columns, f"--{role}")]
            if column is not None and column not in self.accounted:
                self.rows[role] = column
                self._use(column)
        settings = self.open if options.seed is None else log.columns
        seeds = seeds_of(self.frame, settings, options.seed)
        if seeds.numbered is not None:
            self.frame = self.frame.assign(**{_SEED: seeds.numbered})
            self.warnings.append(seeds.said)
        column = seeds.column if seeds.numbered is None else _SEED
        if column is not None:
            self.rows["seed"] = column
        for used in (settings[name] for name in seeds.used):
            if used != column:
                self.left.append(Left(f"column {used!r}", seeds.said or "a seed that tells no more than the one taken"))
            self._use(used)

    def targets_chosen(self) -> None:
        """Take the targets that are named, or those that are called like metrics."""
        if self.options.targets:
            there = self.results | self.open
            for pattern in self.options.targets:
                among = self.results if _hits(pattern, self.results) else there
                self.targets |= _matched(pattern, among, f"result of {self.log.name}")
        else:
            self.targets = self._plain_targets()
        for column in self.targets.values():
            self._use(column)

    def tasks_chosen(self) -> None:
        """Take the tasks that are named, or those of --mixtures, or recognise them."""
        if self.options.mixtures is not None:
            beside, self.tasks, left, _ = mixed(self.names, self.options, self.log.name)
            self.frame = self.frame.reset_index(drop=True).assign(**{str(c): beside[c] for c in beside.columns})
            self.left += left
        elif self.options.tasks:
            for pattern in self.options.tasks:
                free = {n: c for n, c in self.results.items() if c not in self.accounted}
                among = self.open if _hits(pattern, self.open) else self.open | free
                self.tasks |= _matched(pattern, among, f"setting of {self.log.name}")
        else:
            numbers = numbers_of(self.frame, self.open)
            words = {n: texts(self.frame[c]) for n, c in self.open.items() if n not in numbers}
            group = recognised(numbers, self.log.name, self.names, words)
            self.tasks = {name: self.open[name] for name in group.names}
            self.warnings.append(f"taken as tasks: {group.why}, {group.glob!r}; --tasks names others")
        for column in self.tasks.values():
            self._use(column)

    def rows_measured(self) -> None:
        """Leave the runs that have no value of any target, or no weight of any task; complete the weights of others."""
        for what, columns in (("target", self.targets), ("task", self.tasks)):
            self._keep(*with_values(self.frame, self.names, [*columns.values()], what))
        numbers = numbers_of(self.frame, self.tasks)
        if len(numbers) < len(self.tasks):
            self._refuse_odd_numbers([n for n in self.tasks if n not in numbers])
            return  # other text, which building the table refuses by its cell
        full, filled = completed(np.column_stack([numbers[name] for name in self.tasks]))
        self.frame = self.frame.assign(**dict(zip(self.tasks.values(), full.T, strict=True)))
        if filled:
            self.warnings.append(f"{filled} weights are not stated and taken as 0: the others sum to one")
        self._refuse_gaps(full)

    def _refuse_odd_numbers(self, names: Sequence[str]) -> None:
        """Refuse weights that a person reads as numbers and a program does not."""
        for name in names:
            for run, cell in zip(self.names, texts(self.frame[self.tasks[name]]), strict=True):
                if (why := odd_number(cell)) is not None:
                    raise EvaluationsError(
                        f"{self.log.name}: {name!r} holds {cell[:40]!r} in run {run!r}, and {why}. Write numbers as "
                        f"0.25, or leave it out with --ignore {quote(name)}."
                    )

    def _refuse_gaps(self, held: np.ndarray) -> None:
        """Refuse weights (m, K) that some runs do not state: these may be 0, or not known."""
        for k, name in enumerate(self.tasks):
            if lacking := [run for run, value in zip(self.names, held[:, k], strict=True) if np.isnan(value)]:
                raise EvaluationsError(
                    f"{self.log.name}: {name!r} is not stated in {counted(len(lacking), 'run', lacking)}. Write 0 "
                    f"where it was out, take the runs out of the file, or leave it out with --ignore {quote(name)}."
                )

    def account(self) -> None:
        """Say of every column that is left why."""
        left, varying = leftovers(self.frame, [*self.open.values()])
        self.left += left
        if varying:
            self.warnings.append(f"{listed([*varying], 4)}: {_CONFOUNDED}")
        numeric = numbers_of(self.frame, self.results)
        for name, column in self.results.items():
            if column not in self.accounted:
                why = self._no_target(name, numeric[name]) if name in numeric else _NO_NUMBER
                self.left.append(Left(f"column {column!r}", why))
        facts = {c: why for c, why in self.log.facts.items() if c not in self.accounted}
        self.left += [Left(f"column {c!r}", why) for c, why in facts.items()]

    def _no_target(self, name: str, held: np.ndarray) -> str:
        """Why a result that is a number is no target; runs that lack it are named where it might have been one."""
        lacking = [run for run, gap in zip(self.names, np.isnan(held), strict=True) if gap]
        if self.options.targets or not lacking or not (self.log.all_results or metric_word(name)):
            return "a result that is no target"
        return lacked(lacking)

    def _plain_targets(self) -> dict[str, str]:
        """Results that are numbers, vary, and are there in every run."""
        numbers = numbers_of(self.frame, self.results)
        varying = [n for n, held in numbers.items() if len(np.unique(held[~np.isnan(held)])) > 1]
        called = [n for n in varying if self.log.all_results or metric_word(n)]
        most = max((int((~np.isnan(numbers[n])).sum()) for n in called), default=0)
        skip = self.options.missing == "skip"
        found = [n for n in called if skip or int((~np.isnan(numbers[n])).sum()) == most]
        if not found:
            hint = (
                f"Numbers that vary: {listed(varying, 12)}." if varying else "No result of it is a number that varies."
            )
            words = {n: texts(self.frame[c]) for n, c in self.results.items() if n not in numbers and metric_word(n)}
            held = [f"{n} ({next(filter(None, cells))[:20]!r})" for n, cells in words.items() if any(cells)]
            hint += f" No numbers: {listed(held)}." if held else ""
            raise EvaluationsError(
                f"{self.log.name} does not say which results are targets. Name them with --target (repeatable, globs "
                f"such as 'eval/*'). {hint}"
            )
        if not self.log.all_results:
            self.warnings.append(f"taken as targets by their names: {listed(found)}; --target names others")
        return {name: self.results[name] for name in found}

    def _keep(self, keep: Sequence[bool], left: Sequence[Left]) -> None:
        self.left += left
        self.frame = self.frame[list(keep)]
        if not len(self.frame):
            whys = list(dict.fromkeys(one.why for one in self.left if one.what.startswith("run ")))
            raise EvaluationsError(f"{self.log.name} has no run left: {listed(whys, 3)}. Check --where and --target.")

    def _use(self, column: str) -> None:
        self.accounted.add(column)
        self.open = {n: c for n, c in self.open.items() if c != column}


_CONFOUNDED = "effects of tasks hold part of what this does, unless it was set independently of them"
_UNSTATED = "which runs finished is not stated: all are taken, also those that may have stopped early"
_NO_NUMBER = "a result that is no number, or empty"


def _hits(pattern: str, columns: Mapping[str, str]) -> bool:
    try:
        return bool(_matched(pattern, columns, ""))
    except EvaluationsError:
        return False


def _matched(pattern: str, columns: Mapping[str, str], what: str) -> dict[str, str]:
    """Columns that a name or glob stands for: as they are called here, or else as in the file."""
    by_column = {c: n for n, c in columns.items()}
    for names in ([*columns], [*by_column]):
        try:
            found = match(pattern, names, what)
        except EvaluationsError:
            continue
        return {by_column.get(n, n) if n not in columns else n: columns.get(n, n) for n in found}
    raise unknown(pattern, [*columns], what)
