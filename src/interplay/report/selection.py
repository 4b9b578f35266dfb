"""A choice as plain text: what to train, what it should bring, beside what; how far to believe it, what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fields import listed
from ..predictor import Z
from ..selection import result
from .columns import table
from .words import plain, sentence

if TYPE_CHECKING:
    from ..selection.result import Candidate, Selection

WIDTH = 60
TASKS = 30  # tasks of a mixture that are printed
ROUNDING = 1e-9  # of an interval: what is less is nothing
LEFT = 12  # tasks that are left out, that are named
FRONT = 12  # choices of the front that are printed


def text(chosen: Selection, top: int = TASKS) -> str:
    """Render a choice."""
    lines = [f"Choice to {plain(chosen.objective, 100)}, from {chosen.runs} runs"]
    lines += [f"Rules: {plain('; '.join(chosen.rules), 300)}."] if chosen.rules else []
    lines += [*_holds(chosen, top), "", f"Verdict: {chosen.verdict}. {plain(sentence(chosen.why), 400)}", ""]
    lines += [*_table(chosen), *_front(chosen), "", *(plain(line, 400) for line in sentences(chosen))]
    notes = [f"Note: {plain(note, 300)}" for note in chosen.warnings]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def sentences(chosen: Selection) -> list[str]:
    """What the reader must know of a choice, in sentences."""
    said = [
        f"Search: {chosen.search}."
        + (f" Risk: {chosen.risk:g} standard deviations are taken off." if chosen.risk else "")
    ]
    if chosen.bias or chosen.stretch > 1:
        said.append(
            f"Predictions of the best are corrected by {chosen.bias:+.2f} standard deviations of the target and their "
            f"intervals widened {chosen.stretch:.2f} times: what proposals from held-out runs came to."
        )
    if np.isfinite(chosen.rank):
        said.append(f"Held-out runs are ranked with a correlation of {chosen.rank:.2f}. {sentence(chosen.surrogate)}")
    for base in chosen.of(result.BASELINE):
        if base.drawn:
            said.append(
                f"{base.name[:1].upper()}{base.name[1:]} is no single choice: it is what is expected of their masks on "
                f"average, which hold {base.weights.sum():.3g} of {len(chosen.tasks)} tasks."
            )
    if chosen.tied:
        more = "At least " if chosen.tied == len(chosen.of(result.ALTERNATIVE)) else ""
        others = f"{chosen.tied} other{'s' * (chosen.tied != 1)} cannot be told apart from it"
        said.append(f"{more}{others}{'.' if chosen.verified else ': verify the best few to decide between them.'}")
    for run in chosen.of(result.RUN):
        if len(chosen.targets) != 1 or run.told_apart or not (run.weights != chosen.weights).any():
            continue
        if run.gain[0] < 0:
            said.append(
                f"The best run that keeps the rules came to {run.measured[0]:.4g}, and the choice is predicted no "
                "better: keep that run, or verify the choice first."
            )
        else:
            first = "." if chosen.choice.runs else ": verify it first."
            said.append(f"It is not certain to be better than the best run that keeps the rules{first}")
    if chosen.rules and not chosen.of(result.RUN):
        said.append("No run keeps the rules, so there is no best run to set it beside.")
    for free in chosen.of(result.FREE):
        cost, half = max(-free.gain[0], 0.0), Z * free.gain_deviation[0]
        held = result.named(chosen.tasks, free.weights, chosen.kind)
        of = f" in {chosen.targets[0]}" if len(chosen.targets) > 1 else ""
        said.append(f"Without the rules the optimum is {held}: {_cost(cost, half)}{of}.")
    if chosen.verified:
        said.append(_verified(chosen))
    return said


def _cost(cost: float, half: float) -> str:
    if cost <= half:
        return f"what they cost is not told apart from nothing, at most {cost + half:.2g}"
    return f"they cost {cost:.3g} (95 % interval {cost - half:.3g} to {cost + half:.3g})"


def _verified(chosen: Selection) -> str:
    choice, best, base = chosen.choice, chosen.of(result.RUN), chosen.of(result.BASELINE)[0]
    said = f"{chosen.verified} training{'s' * (chosen.verified != 1)} of what was proposed came in."
    if choice.runs and base.runs:
        gain = chosen.sign * (choice.measured - base.measured)
        said += f" Measured gain over {base.name}: {', '.join(f'{g:+.3g}' for g in gain)}."
    if choice.runs and best:
        regret = chosen.sign * (best[0].measured - choice.measured)
        lost = max(float(regret.max()), 0.0)
        best_of = "It is the best run that keeps the rules" if lost < 1e-12 else f"The best run is better by {lost:.3g}"
        said += f" {best_of}."
    return said


def _holds(chosen: Selection, top: int) -> list[str]:
    if chosen.kind == "mask":
        out = [t for t in chosen.tasks if t not in chosen.names]
        lines = ["", f"Train on {len(chosen.names)} of {len(chosen.tasks)}: {plain(', '.join(chosen.names), 1000)}"]
        return [*lines, *([f"Leave out: {plain(listed(out, LEFT), 1000)}"] if out else [])]
    columns = [c for role in (result.BASELINE, result.RUN) for c in chosen.of(role)]
    order = np.argsort(-chosen.weights, kind="stable")[:top]
    rows = [
        [plain(chosen.tasks[k]), f"{chosen.weights[k]:.3f}", *(f"{c.weights[k]:.3f}" for c in columns)] for k in order
    ]
    lines = ["", *table(["task", "weight", *(plain(c.name) for c in columns)], rows)]
    left = len(chosen.tasks) - len(order)
    return lines if left <= 0 else [*lines, f"... {left} more tasks of lower weight (--top N, --out)"]


def _table(chosen: Selection) -> list[str]:
    if len(chosen.targets) != 1:
        return _targets(chosen)
    roles = (result.CHOICE, result.BASELINE, result.RUN, result.DRAWS, result.ALTERNATIVE)
    shown = [c for role in roles for c in chosen.of(role)[: 3 if role == result.ALTERNATIVE else 1]]
    (target,) = chosen.targets
    way = "higher" if chosen.higher_is_better[0] else "lower"
    columns = ["", "predicted", "95 % interval", "measured", "gain of the choice", "95 % interval", ""]
    rows = [_row(c, 0) for c in shown]
    return [f"In the unit of {plain(target, WIDTH)} ({way} is better)", *table(columns, rows)]


def _targets(chosen: Selection) -> list[str]:
    """One row for each of several targets: the choice beside the baseline and the best run."""
    beside = [c for role in (result.BASELINE, result.RUN) for c in chosen.of(role)[:1]]
    columns = ["target", "the choice", *(column for c in beside for column in (plain(c.name), "gain", "95 % interval"))]
    rows = []
    for j, target in enumerate(chosen.targets):
        arrow = "↑" if chosen.higher_is_better[j] else "↓"
        row = [f"{plain(target)} {arrow}", f"{chosen.choice.predicted[j]:.4g}"]
        for c in beside:
            row += [f"{c.predicted[j]:.4g}", *_gain(c, j)]
        rows.append(row)
    return ["Predicted, each target in its own unit", *table(columns, rows)]


def _gain(c: Candidate, j: int) -> list[str]:
    half = Z * c.gain_deviation[j]
    return [f"{c.gain[j]:+.3g}", f"{c.gain[j] - half:+.3g} to {c.gain[j] + half:+.3g}"]


def _front(chosen: Selection) -> list[str]:
    """Choices of which none is better in all targets, predicted."""
    if not chosen.front:
        return []
    rows = [[plain(c.name, WIDTH), *(f"{value:.4g}" for value in c.predicted)] for c in chosen.front[:FRONT]]
    lines = ["", "None of these is predicted to be better in all targets (--out FILE has the intervals)"]
    lines += table(["choice", *(plain(name, 24) for name in chosen.targets)], rows)
    return lines if len(chosen.front) <= FRONT else [*lines, f"... {len(chosen.front) - FRONT} more"]


def _row(c: Candidate, j: int) -> list[str]:
    half, own = Z * c.deviation[j], c.role == result.CHOICE
    mean = 0.0 if abs(c.measured[j]) <= ROUNDING * half else c.measured[j]
    measured = "" if not c.runs else f"{mean:.4g} ({c.runs} run{'s' * (c.runs != 1)})"
    return [
        "the choice" if own else plain(c.name, WIDTH),
        f"{c.predicted[j]:.4g}",
        f"{c.predicted[j] - half:.4g} to {c.predicted[j] + half:.4g}",
        measured,
        *(["", ""] if own else _gain(c, j)),
        "far" if c.far else "",
    ]
