"""A choice: what it holds beside the baseline and the best run; what each is predicted to come to, and what it gains.

Of masks a row per task and a column per candidate, a filled mark where the task is in; of mixtures the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..predictor import Z
from ..selection import result
from .look import (
    HELPS,
    HURTS,
    OPEN,
    SHAPES,
    TRUTH,
    Spec,
    label,
    labels,
    layout,
    names_axis,
    numbers,
    turned_axis,
    zero,
)

if TYPE_CHECKING:
    from ..selection.result import Candidate, Selection

MOST = 60
SHOWN = 10  # alternatives
TITLES = {
    result.CHOICE: "the choice",
    result.RUN: "best run",
    result.FREE: "without the rules",
    result.DRAWS: "mean of the best draws",
}
AS_DRAWN = "a run as drawn"
BETTER, APART = "the choice is better (95 %)", "cannot be told from the choice"
WORSE = "better than the choice (95 %)"
CANDIDATES = (result.CHOICE, result.BASELINE, result.RUN, result.DRAWS, result.FREE, result.ALTERNATIVE)


def compared(chosen: Selection) -> list[tuple[str, Candidate]]:
    """The choice, what it is compared with and its alternatives, each under a short title."""
    found: list[tuple[str, Candidate]] = []
    for role in CANDIDATES:
        for i, c in enumerate(chosen.of(role)[:SHOWN], 1):
            title = f"alternative {i}" if role == result.ALTERNATIVE else TITLES.get(role) or label(c.name)
            found.append((AS_DRAWN if c.drawn else title, c))
    titles = [title for title, _ in found]
    return [(f"{title} ({c.role})" if titles.count(title) > 1 else title, c) for title, c in found]


def choice(chosen: Selection, most: int = MOST) -> Spec:
    """What the choice holds; of many tasks those that differ most among what it is compared with."""
    return masks(chosen, most) if chosen.kind == "mask" else weights(chosen, most)


def masks(chosen: Selection, most: int = MOST) -> Spec:
    """Which tasks are in, of the choice, its alternatives and what it is compared with."""
    columns = [(title, c) for title, c in compared(chosen) if c.role != result.DRAWS and not c.drawn]
    X = np.array([c.weights for _, c in columns]) > 0
    differ = X.any(axis=0) & ~X.all(axis=0)
    order = np.lexsort((np.arange(X.shape[1]), -X.mean(axis=0), ~X[0]))  # what is in on top, the agreed first
    kept = np.argsort(~differ, kind="stable")[:most]
    rows = order[np.isin(order, kept)]
    (names, left_out), titles = labels(chosen.tasks, rows), [title for title, _ in columns]
    data = []
    for words, mark, own in (("in", HELPS, True), ("out", OPEN, False)):
        places = [(i, j) for i, k in enumerate(rows) for j in range(len(titles)) if X[j, k] == own]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": [titles[j] for _, j in places],
                "y": [names[i] for i, _ in places],
                "marker": {"color": mark, "symbol": "square" if own else "circle-open", "size": 10 if own else 5},
                "hovertemplate": f"%{{y}}: {words} (%{{x}})<extra></extra>",
            }
        )
    said = "tasks that the choice and others hold"
    if len(rows) < len(order):
        said += f"<br>{len(rows)} of {len(order)} tasks, those in which they differ first"
    axis = {"type": "category", "categoryarray": titles, "showgrid": False, **turned_axis()}
    axis |= {"minallowed": -0.7, "maxallowed": len(titles) - 0.3}
    look = layout(said + left_out, rows=len(rows) + 8, yaxis=names_axis(names), xaxis=axis, showlegend=True)
    return {"data": data, "layout": look}


def weights(chosen: Selection, most: int = MOST) -> Spec:
    """Weights of the choice as bars, those of the baseline and the best run as marks."""
    others = [(title, c) for title, c in compared(chosen) if c.role in (result.BASELINE, result.RUN)]
    own = chosen.weights
    largest = np.max([own, *(c.weights for _, c in others)], axis=0)
    kept = np.argsort(-largest, kind="stable")[:most]
    rows = kept[np.argsort(-own[kept], kind="stable")]
    names, left_out = labels(chosen.tasks, rows)
    data: list[Spec] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "the choice",
            "x": [v for w in numbers(own[rows], 4) for v in (0.0, w, None)],
            "y": [v for name in names for v in (name, name, None)],
            "line": {"color": HELPS, "width": 6},
            "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
        }
    ]
    marks = {result.BASELINE: (OPEN, "circle-open"), result.RUN: (TRUTH, "diamond-open")}
    for title, c in others:
        ink, symbol = marks[c.role]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title,
                "x": numbers(c.weights[rows], 4),
                "y": names,
                "marker": {"color": ink, "symbol": symbol, "size": 11, "line": {"width": 2, "color": ink}},
                "hovertemplate": f"%{{y}}: %{{x:.4g}} ({title})<extra></extra>",
            }
        )
    title = "weight" + (f"<br>the {len(rows)} of {len(own)} tasks with the largest" if len(rows) < len(own) else "")
    look = layout(title + left_out, rows=len(rows) + 2, yaxis=names_axis(names), xaxis=zero(), showlegend=True)
    return {"data": data, "layout": look}


def predicted(chosen: Selection, target: int = 0) -> Spec:
    """What the choice and others are predicted to come to on one target (column), and what they measured."""
    rows = compared(chosen)
    names, at = [title for title, _ in rows], lambda part: np.array([getattr(c, part)[target] for _, c in rows])
    data = _dots(rows, names, at("predicted"), Z * at("deviation"), target)
    measured = at("measured")
    if np.isfinite(measured).any():
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "measured",
                "x": numbers(measured),
                "y": names,
                "marker": {"color": TRUTH, "symbol": SHAPES[TRUTH], "size": 9, "line": {"width": 2, "color": TRUTH}},
                "hovertemplate": "%{y}<br>measured: %{x:.4g}<extra></extra>",
            }
        )
    better = "higher" if chosen.higher_is_better[target] else "lower"
    title = (
        f"{label(chosen.targets[target], 60)}, its own unit; {better} is better<br>95 % intervals of what is expected"
    )
    return {"data": data, "layout": layout(title, rows=len(rows) + 2, yaxis=names_axis(names), showlegend=True)}


def gains(chosen: Selection, target: int = 0) -> Spec:
    """By how much the choice is better than each, on one target (column)."""
    rows = [(title, c) for title, c in compared(chosen) if c.role != result.CHOICE]
    names, at = [title for title, _ in rows], lambda part: np.array([getattr(c, part)[target] for _, c in rows])
    title = f"benefit of the choice over each in {label(chosen.targets[target], 60)}, its own unit"
    title += "<br>95 % intervals of the difference; right of 0 the choice is better"
    data = _dots(rows, names, at("gain"), Z * at("gain_deviation"), target)
    look = layout(title, rows=len(rows) + 2, yaxis=names_axis(names), xaxis=zero(), showlegend=True)
    return {"data": data, "layout": look}


def standing(c: Candidate, target: int) -> str:
    """How the choice stands to one it is compared with, on one target (column)."""
    if c.role == result.CHOICE:
        return "the choice"
    gain, half = c.gain[target], Z * c.gain_deviation[target]
    return BETTER if gain > half else WORSE if gain < -half else APART


def _dots(
    rows: list[tuple[str, Candidate]], names: list[str], at: np.ndarray, half: np.ndarray, target: int
) -> list[Spec]:
    """Dots with intervals, by colour and shape: the choice, what it is better than, what it cannot be told from."""
    kinds = {
        "the choice": (HELPS, "circle"),
        BETTER: (HURTS, "square"),
        APART: (OPEN, "circle-open"),
        WORSE: (HELPS, "triangle-up"),
    }
    kind = [standing(c, target) for _, c in rows]
    data = []
    for words, (ink, symbol) in kinds.items():
        own = [i for i, said in enumerate(kind) if said == words]
        if not own:
            continue
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": numbers(at[own]),
                "y": [names[i] for i in own],
                "error_x": {"type": "data", "array": numbers(half[own]), "color": ink, "thickness": 1.6, "width": 3},
                "marker": {"color": ink, "symbol": symbol, "size": 8, "line": {"width": 2, "color": ink}},
                "hovertemplate": "%{y}<br>%{x:.4g} ± %{error_x.array:.2g}<extra></extra>",
            }
        )
    return data


def front(chosen: Selection, first: int = 0, second: int = 1) -> Spec | None:
    """Choices of which none is better in all targets, on two of these (columns); None where none are known."""
    if not chosen.front or len(chosen.targets) < 2:
        return None
    marks = {"none is better in all": (HELPS, "circle", list(chosen.front))}
    others = {result.CHOICE: (TRUTH, "diamond"), result.BASELINE: (OPEN, "circle-open"), result.RUN: (HURTS, "square")}
    for title, c in compared(chosen):
        if c.role in others:
            marks[title] = (*others[c.role], [c])
    data = []
    for words, (ink, symbol, held) in marks.items():
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": numbers([c.predicted[first] for c in held]),
                "y": numbers([c.predicted[second] for c in held]),
                "marker": {"color": ink, "symbol": symbol, "size": 9, "line": {"width": 2, "color": ink}},
                "hovertemplate": "%{x:.4g}, %{y:.4g}<extra></extra>",
            }
        )
        data[-1] |= {
            f"error_{axis}": {
                "type": "data",
                "array": numbers([Z * c.deviation[t] for c in held]),
                "color": ink,
                "thickness": 1,
                "width": 0,
            }
            for axis, t in (("x", first), ("y", second))
        }
    better = ["higher is better" if up else "lower is better" for up in chosen.higher_is_better]
    x, y = (f"{label(chosen.targets[t], 40)}, {better[t]}" for t in (first, second))
    return {"data": data, "layout": layout(f"{x}<br>predicted, with 95 % intervals", y, showlegend=True)}
