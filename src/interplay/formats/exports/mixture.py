"""From a choice to what a trainer is to draw: sources, shares in the trainer's unit, rounded so that they sum to one.

a_i                        share asked for, of tokens or of examples
l_i = tokens / examples    mean length
s_i ~ a_i / l_i            share of examples that gives a_i of the tokens;  a_i l_i the other way round
a mask                     sources whole: no share, or s_i ~ size where a format knows shares only
k_i, sum k_i = 1 / GRID    s_i in whole steps, what is left over given to the largest remainders
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fields import EvaluationsError, listed
from . import phases, sources
from .format import Format, Options
from .holding import Holding

Array = NDArray[np.float64]
GRID = 10**9
LEAST = 1e-7  # smaller shares are left out


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be written: n rows, of which those of one phase stand together.

    Attributes
    ----------
    format, options : Format, Options
    tasks, names, stage : tuple of str (n,)
        Tasks (joined by ' + ' where they have one source), what the trainer calls them, and phases ('' for none).
    asked : array (n,)
        Shares within the phase, in the unit of the choice; NaN where sources are read whole. Merging coefficients.
    shares : array (n,)
        The same in the trainer's unit and rounded.
    part : array (n,)
        Share of the training that the phase is.
    tokens, examples : array (n,)
        NaN where they are not known.
    fields : tuple of mappings (n,)
        Other columns of the sources.
    whole : bool
        Whether sources are read whole.
    converted : bool
        Whether the unit of `asked` is not that of `shares`.
    starts : dict of str to int
        First step of each phase, counted from 0.
    notes : tuple of str
    """

    format: Format
    options: Options
    tasks: tuple[str, ...]
    names: tuple[str, ...]
    stage: tuple[str, ...]
    asked: Array
    shares: Array
    part: Array
    tokens: Array
    examples: Array
    fields: tuple[Mapping[str, str], ...]
    whole: bool
    converted: bool
    starts: Mapping[str, int]
    notes: tuple[str, ...]

    def size(self, unit: str) -> Array:
        """How much there is of each row in a unit, array (n,)."""
        return {"tokens": self.tokens, "examples": self.examples}[unit]

    @property
    def exact(self) -> Array:
        """Shares (n,) in the trainer's unit before they were rounded."""
        return self.translated(self.asked, self.options.unit or "", self.format.unit) if self.converted else self.asked

    def within(self, values: Array) -> Array:
        """Values (n,) divided by their sum in each phase."""
        stage = np.array(self.stage, object)
        sums = np.array([values[stage == p].sum() for p in stage])
        return values / np.where(np.abs(sums - 1.0) < 1e-12, 1.0, sums)

    def translated(self, shares: Array, unit: str, into: str) -> Array:
        """Shares (n,) of one unit as those of another; NaN where a mean length is not known."""
        if unit == into:
            return shares
        length = self.tokens / self.examples
        return self.within(shares / length if into == "examples" else shares * length)


def planned(holding: Holding, format_: Format, given: object, options: Options) -> Plan:
    """Bring a choice, its sources and the options together."""
    table = sources.read(given, format_.columns)
    if format_.merges != (holding.kind == "coefficients") and not (format_.merges and options.coefficients):
        raise EvaluationsError(_misplaced(holding, format_))
    if options.equal and holding.kind != "mask":
        raise EvaluationsError(f"equal: the choice is of kind {holding.kind!r} and has its own shares; leave it out.")
    found, notes = phases.stages(holding, format_, options)
    if holding.verdict == "not supported":
        notes.insert(0, "the runs do not support this choice: the verdict is 'not supported'.")
    plan = _rows(found, table, holding, format_, options, notes)
    return plan if format_.merges else _shared(plan, holding)


def _misplaced(holding: Holding, format_: Format) -> str:
    if format_.merges:
        return (
            f"to: {format_.title} merges models by coefficients, and the choice is of kind {holding.kind!r}. Say "
            "coefficients=True (--as-coefficients) to take its weights for coefficients."
        )
    return f"to: the choice holds merging coefficients, and {format_.title} mixes data. Merge with 'mergekit'."


def _rows(
    found: Sequence[phases.Stage],
    table: sources.Sources,
    holding: Holding,
    format_: Format,
    options: Options,
    notes: list[str],
) -> Plan:
    """All rows whose weight is not zero; tasks that have one source are one row."""
    out: list[str] = []
    rows: dict[tuple[Any, ...], tuple[list[str], sources.Source, float, phases.Stage]] = {}
    absent: dict[tuple[Any, ...], str] = {}
    for stage in found:
        for task, short, weight in zip(stage.tasks, stage.short, stage.weights, strict=True):
            if not format_.merges and weight < -1e-9:
                raise EvaluationsError(f"choice: task {task!r} has weight {weight:g}; weights of a mixture are >= 0.")
            if weight == 0 or (not format_.merges and weight < LEAST * max(stage.weights.sum(), 0.0)):
                out.append(task)
                if task in table.rows or short in table.rows:
                    absent[table.of(task, short).key] = task
                continue
            row = table.of(task, short)
            key = (stage.phase, *row.key)
            if key in rows:
                _same_size(rows[key][0][0], rows[key][1], task, row)
            tasks, first, total, _ = rows.get(key, ([], row, 0.0, stage))
            rows[key] = ([*tasks, task], first, total + float(weight), stage)
    if not rows:
        raise EvaluationsError("choice: no task has a weight above 0, so there is nothing to write.")
    if holding.kind == "mask" and (both := [key for key in absent if ("", *key) in rows]):
        raise EvaluationsError(
            f"sources: {both[0][0]!r} is the source of a task that is in and of {absent[both[0]]!r}, which is out. "
            "Give each task its own source."
        )
    if out:
        notes.append(f"left out, with weight 0 or below {LEAST:g} of all: {listed(out, 8)}.")
    if shared := [" + ".join(tasks) for tasks, *_ in rows.values() if len(tasks) > 1]:
        notes.append(f"tasks with one source are written as one: {listed(shared)}.")
    if table.title and (unused := table.unused(holding.tasks, phased=bool(found[0].phase))):
        notes.append(f"rows of {table.title} that are no task of the choice are not used: {listed(unused)}.")
    weights = np.array([total for _, _, total, _ in rows.values()])
    if holding.kind == "mask" and not format_.merges:
        weights = np.ones(len(rows))
    each = [row for _, row, _, _ in rows.values()]
    return Plan(
        format_,
        options,
        tuple(" + ".join(tasks) for tasks, *_ in rows.values()),
        tuple(row.name for row in each),
        tuple(stage.phase for *_, stage in rows.values()),
        weights,
        weights,
        np.array([stage.share for *_, stage in rows.values()]),
        np.array([row.tokens for row in each]),
        np.array([row.examples for row in each]),
        tuple(row.fields for row in each),
        False,
        False,
        {stage.phase: stage.start for stage in found},
        tuple(notes),
    )


def _in_unit_of(plan: Plan, holding: Holding) -> Plan:
    """The same with the unit that the choice says its shares are of, where none is given and they can be turned."""
    if plan.options.unit is not None or holding.unit is None:
        return plan
    sizes = np.array([plan.tokens, plan.examples])
    if holding.unit != plan.format.unit and not (np.isfinite(sizes) & (sizes > 0)).all():
        return plan
    return _with(plan, options=replace(plan.options, unit=holding.unit))


def _same_size(task: str, first: sources.Source, other: str, row: sources.Source) -> None:
    """Refuse two rows of one source that tell different sizes of it."""
    for unit in ("tokens", "examples"):
        a, b = getattr(first, unit), getattr(row, unit)
        if not (a == b or (np.isnan(a) and np.isnan(b))):
            raise EvaluationsError(
                f"sources: tasks {task!r} and {other!r} have one source, {row.name!r}, with {unit} {a:g} and {b:g}. "
                "Give those of the whole source on both rows, or each task its own source."
            )


def _shared(plan: Plan, holding: Holding) -> Plan:
    """Shares in the trainer's unit, or sources whole."""
    plan = _in_unit_of(plan, holding)
    format_, options, notes = plan.format, plan.options, list(plan.notes)
    for unit in ("tokens", "examples"):
        if (empty := np.flatnonzero(plan.size(unit) == 0)).size:
            raise EvaluationsError(
                f"sources: {plan.names[empty[0]]!r} has 0 {unit} and is to be read. Correct its {unit}, or take the "
                "task out of the choice."
            )
    if holding.kind == "mask" and not options.equal:
        if format_.whole:
            if options.stopping is not None:
                raise EvaluationsError("stopping: the sources of a mask are read whole, once; leave it out.")
            nothing = np.full(len(plan.names), np.nan)
            return _with(plan, asked=nothing, shares=nothing, whole=True)
        size = needed(
            plan, format_.unit, "it knows shares only, and a mask reads its sources whole", "say equal=True (--equal)"
        )
        asked, converted = plan.within(size), False
        notes.append(f"the sources of a mask are read whole: shares are those of their {format_.unit}.")
    else:
        asked = plan.within(plan.asked)
        converted = options.unit is not None and options.unit != format_.unit and len(plan.names) > 1
        if holding.kind == "weights":
            notes.append("weights that are no mixture were divided by their sum.")
        if options.equal:
            notes.append(f"every source has an equal share of the {format_.unit}, whatever its size.")
            converted = False
        elif options.unit is None and len(plan.names) > 1:
            notes.append(
                f"the choice has shares of {holding.unit}; without the sizes of its sources they are written as shares "
                f"of {format_.unit}. Give sources with columns 'tokens' and 'examples' to turn them."
                if holding.unit
                else f"the choice does not say what its shares are of; they are written as shares of {format_.unit}. "
                "Say unit= (--unit tokens or examples) if it is not so."
            )
    shares = asked
    if converted:
        for unit in ("tokens", "examples"):
            why = f"the choice has shares of {options.unit} and {format_.title} draws {format_.unit}"
            needed(plan, unit, why, "leave unit (--unit) out to write the shares as they are")
        shares = plan.translated(asked, options.unit or "", format_.unit)
        notes.append(
            f"shares of {options.unit} were turned into shares of {format_.unit} by the mean length of each source."
        )
    rounded = shares.copy()
    for p in dict.fromkeys(plan.stage):
        own = np.array([q == p for q in plan.stage])
        rounded[own] = apportioned(shares[own])
    return _with(plan, asked=asked, shares=rounded, converted=converted, notes=tuple(notes))


def needed(plan: Plan, unit: str, why: str, instead: str = "") -> Array:
    """Sizes of all rows; those that lack are an error that says why they are needed, and what would do instead."""
    size = plan.size(unit)
    if (lost := np.flatnonzero(np.isnan(size))).size:
        raise EvaluationsError(
            f"sources: the {unit} of {listed([repr(plan.names[i]) for i in lost])} are not known; {why}. Give a column "
            f"{unit!r}{f', or {instead}' if instead else ''}."
        )
    return size


def apportioned(shares: Array) -> Array:
    """Round shares to whole steps of 1 / GRID that sum to one; each keeps at least one.

    Examples
    --------
    >>> apportioned(np.array([1, 1, 1]) / 3).tolist()
    [0.333333334, 0.333333333, 0.333333333]
    """
    exact = shares / shares.sum() * GRID
    steps = np.maximum(np.floor(exact).astype(np.int64), 1)
    left = GRID - int(steps.sum())
    order = np.argsort(-(exact - steps), kind="stable")
    if left > 0:
        steps[order[:left]] += 1
    elif left < 0:
        steps[np.argmax(steps)] += left
    return np.array([round(int(k) / GRID, 9) for k in steps])


def _with(plan: Plan, **changed: object) -> Plan:
    return replace(plan, **changed)  # pyright: ignore[reportArgumentType]
