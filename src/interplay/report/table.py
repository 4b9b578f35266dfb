"""An attribution as plain text: the verdict, one table, the strongest pairs in words, the truth, what to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .words import pair_words, plain, rounding

if TYPE_CHECKING:
    from ..attribution import Attribution

SHOWN = 15  # tasks of each end that are printed


def text(answer: Attribution, target: str | None = None, top: int = SHOWN) -> str:
    """Render an attribution.

    Parameters
    ----------
    answer : Attribution
    target : str, optional
        Show this target; with several targets and none named, a table over all of them.
    top : int
        At most this many tasks from each end.
    """
    T = len(answer.targets)
    lines = [*_head(answer), ""]
    if target is not None or T == 1:
        t = answer.targets.index(target) if target is not None else 0
        lines += _one(answer, t, top)
    else:
        lines += _many(answer, top)
    lines += [*_truth(answer), *_foot(answer)]
    return "\n".join(lines)


def _head(answer: Attribution) -> list[str]:
    T = len(answer.targets)
    named = plain(answer.targets[0]) if T == 1 else f"{T} targets"
    lowest, highest = min(answer.rows), max(answer.rows)
    runs = f"{lowest} runs" if lowest == highest else f"{lowest} to {highest} runs a target"
    lines = [
        f"Attribution of {named} to {len(answer.tasks)} task{'s' * (len(answer.tasks) != 1)}, {runs}",
        f"Reading: {answer.reading}, {answer.words} ({answer.why}).",
        f"Verdict: {answer.trust.verdict}. {answer.trust.reason}",
    ]
    if answer.trust.verdict != "solid":
        lines.append(f"Next: {answer.trust.advice}")
    lines.append(answer.surrogate)
    return lines


def _one(answer: Attribution, t: int, top: int) -> list[str]:
    unit = "per cent" if answer.unit[t] == "per cent" else plain(answer.targets[t], 30)
    arrow = "higher is better" if answer.higher_is_better[t] else "lower is better"
    truth = answer.truth
    columns = ["task", "benefit", "95 % interval"] + (["truth"] if truth is not None else [])
    rows = []
    order = np.argsort(-answer.effects[:, t], kind="stable")
    unknown = order[np.isnan(answer.effects[order, t])]  # they come last
    order = order[: len(order) - len(unknown)]
    for k in [*_ends(order, top), *map(int, unknown)]:
        if k is None:
            rows.append([f"... {len(order) - 2 * top} more"] + [""] * (len(columns) - 1))
            continue
        if np.isnan(answer.effects[k, t]):
            rows.append([plain(answer.tasks[k]), "not identifiable"] + [""] * (len(columns) - 2))
            continue
        if answer.effects[k, t] == answer.deviation[k, t] == 0:  # a target that never changes
            rows.append([plain(answer.tasks[k]), "none "] + [""] * (len(columns) - 2))
            continue
        certain = answer.lower[k, t] > 0 or answer.upper[k, t] < 0
        row = [
            plain(answer.tasks[k]),
            f"{answer.effects[k, t]:+.4g}{' ' if certain else '?'}",
            f"{answer.lower[k, t]:+.3g} to {answer.upper[k, t]:+.3g}",
        ]
        rows.append(row + ([] if truth is None else [_number(truth.effects[k, t])]))
    rows += [[plain(name), "not identifiable"] + [""] * (len(columns) - 2) for name in answer.unidentified]
    lines = [f"Benefit in {unit} ({arrow}; positive helps; ? = the interval includes 0)", *_columns(columns, rows)]
    words, certain = pair_words(answer, t)
    if len(answer.interactions):
        lines += ["", *_pairs(answer, words, certain, t)]
    return lines


def _pairs(answer: Attribution, words: list[str], certain: int, t: int) -> list[str]:
    n = len(answer.interactions)
    if np.isnan(answer.interactions[:, t]).all():
        return [f"Pairs: none are read for {answer.reading}."]
    if np.isnan(answer.interaction_deviation[:, t]).all():
        return [f"Pairs: {n} read without intervals; none is put in words."]
    if not np.nanmax(np.abs(answer.interactions[:, t]), initial=0.0) > rounding(answer, t):
        return ["Pairs: none; in what was fitted, effects add up."]
    if not words:
        return [f"Pairs: of {n} none differs from the sum of its tasks with certainty."]
    expected = 0.05 * n
    return [
        f"Pairs: {certain} of {n} intervals exclude 0 (chance alone: about {expected:.0f}); the strongest:",
        *(f"  {line}" for line in words),
    ]


def _many(answer: Attribution, top: int) -> list[str]:
    """Over many targets: effects in units of the spread of each target's effects, and how many they help or hurt."""
    squares, found = np.nan_to_num(answer.effects) ** 2, np.isfinite(answer.effects).sum(axis=0)
    scale = np.sqrt(squares.sum(axis=0) / np.maximum(found, 1))
    relative = answer.effects / np.where(scale > 0, scale, np.inf)
    known = np.isfinite(relative)
    relative = np.where(known, relative, 0.0)
    mean = relative.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    helps, hurts = (answer.lower > 0).sum(axis=1), (answer.upper < 0).sum(axis=1)
    best, worst = relative.argmax(axis=1), relative.argmin(axis=1)
    order = np.argsort(-mean, kind="stable")
    rows = []
    for k in _ends(order, top):
        if k is None:
            rows.append([f"... {len(order) - 2 * top} more", "", "", "", "", ""])
            continue
        rows.append(
            [
                plain(answer.tasks[k]),
                f"{mean[k]:+.2f}" if known[k].any() else "not identifiable",
                str(helps[k]),
                str(hurts[k]),
                plain(answer.targets[best[k]], 22) if relative[k, best[k]] > 0 else "-",
                plain(answer.targets[worst[k]], 22) if relative[k, worst[k]] < 0 else "-",
            ]
        )
    rows += [[plain(name), "not identifiable", "", "", "", ""] for name in answer.unidentified]
    verdicts = {v: answer.trust.targets.count(v) for v in ("solid", "indicative", "not supported")}
    counted = ", ".join(f"{n} {v}" for v, n in verdicts.items() if n)
    return [
        f"Mean benefit over {len(answer.targets)} targets (each in root mean squares of its own effects); positive",
        "helps; number of targets whose interval lies above 0 (helps) and below 0 (hurts)",
        *_columns(["task", "benefit", "helps", "hurts", "most helped", "most hurt"], rows),
        f"Targets: {counted}. Show one with --target NAME.",
    ]


def _truth(answer: Attribution) -> list[str]:
    truth = answer.truth
    if truth is None:
        return []
    spearman, ceiling, one = (_mean(values) for values in (truth.spearman, truth.ceiling, truth.one_round))
    over = "" if len(answer.targets) == 1 else f", mean of {len(answer.targets)} targets"
    seeds = f"{truth.seeds} seed{'s' if truth.seeds != 1 else ''}"
    line = f"Truth: leave-one-out retraining, {seeds}{over}. "
    if not np.isfinite(spearman):
        return ["", line + "Too few tasks with an effect on both sides to correlate."]
    line += f"Spearman {spearman:.2f}"
    if np.isfinite(ceiling):
        line += f", ceiling {ceiling:.2f}; one round of leave-one-out of one seed reaches {one:.2f}"
    else:
        line += "; ceiling unknown " + ("(one seed)" if truth.seeds < 2 else "(no two seeds ran every task)")
    return ["", line + "."]


def _number(value: float) -> str:
    return f"{value:+.4g}" if np.isfinite(value) else "-"


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _foot(answer: Attribution) -> list[str]:
    lines = [f"Note: {plain(warning, 300)}" for warning in answer.warnings]
    estimator = answer.notes.get("estimator")
    if isinstance(estimator, dict) and "verdict" in estimator:
        lines.append(
            f"Estimator: {plain(str(estimator['verdict']), 40)}: {plain(str(estimator.get('reason', '')), 600)}"
        )
        lines += [f"Estimator: {plain(str(warning), 300)}" for warning in estimator.get("warnings", ())]
    return ["", *lines] if lines else []


def _ends(order: np.ndarray, top: int) -> list[int | None]:
    if len(order) <= 2 * top + 1:
        return [int(k) for k in order]
    return [*(int(k) for k in order[:top]), None, *(int(k) for k in order[-top:])]


def _columns(names: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(names)]

    def line(cells: list[str]) -> str:
        first = cells[0].ljust(widths[0])
        text_columns = names[-2:] if names[-1] == "most hurt" else []
        rest = (
            cell.ljust(width) if name in text_columns else cell.rjust(width)
            for name, cell, width in zip(names[1:], cells[1:], widths[1:], strict=True)
        )
        return "  ".join([first, *rest]).rstrip()

    return [line(names), line(["-" * width for width in widths]), *(line(row) for row in rows)]
