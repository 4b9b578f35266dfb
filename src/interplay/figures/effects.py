"""Benefits of the tasks with their 95 % intervals, the most helpful on top; the truth beside them where it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .look import (
    HELPS,
    HURTS,
    OPEN,
    SHAPES,
    TRUTH,
    Spec,
    ends,
    labels,
    layout,
    names_axis,
    numbers,
    signs,
    unit_of,
    zero,
)

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..truth import Comparison

MOST = 60
WORDS = {HELPS: "helps", HURTS: "hurts", OPEN: "interval includes 0"}


def effects(answer: Attribution, target: int = 0, most: int = MOST) -> Spec:
    """Dots and intervals of one target (column); of many tasks those of either end."""
    known = np.flatnonzero(np.isfinite(answer.effects[:, target]))
    order = known[np.argsort(-answer.effects[known, target], kind="stable")]
    shown = ends(order, most)
    (names, left_out), colours = labels(answer.tasks, shown), np.array(signs(answer, target))
    data = []
    for colour, words in WORDS.items():
        rows = [i for i, k in enumerate(shown) if colours[k] == colour]
        if not rows:
            continue
        own = shown[rows]
        half = (answer.upper - answer.effects)[own, target]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": numbers(answer.effects[own, target]),
                "y": [names[i] for i in rows],
                "error_x": {"type": "data", "array": numbers(half), "color": colour, "thickness": 1.6, "width": 3},
                "marker": {"color": colour, "symbol": SHAPES[colour], "size": 8, "line": {"width": 2, "color": colour}},
                "hovertemplate": "%{y}<br>%{x:.4g} ± %{error_x.array:.2g}<extra></extra>",
            }
        )
    beside = ""
    if answer.truth is not None and np.isfinite(answer.truth.effects[shown, target]).any():
        data.append(_truth(answer.truth, names, shown, target))
        beside = "; of retraining ± 1.96 standard errors over seeds" * ("error_x" in data[-1])
    title = f"benefit in {unit_of(answer, target)}; right of 0 helps<br>95 % intervals{beside}"
    if len(shown) < len(order):
        title += f"; the {most // 2} at either end of {len(order)} tasks"
    title += left_out
    return {
        "data": data,
        "layout": layout(title, rows=len(shown) + 2, yaxis=names_axis(names), xaxis=zero(), showlegend=True),
    }


def _truth(truth: Comparison, names: list[str], shown: np.ndarray, target: int) -> Spec:
    """What retraining measured of the same tasks, with intervals where there are seeds to tell them by."""
    half, seeds = truth.half[shown, target], f"{truth.seeds} seed{'s' * (truth.seeds != 1)}"
    dots: Spec = {
        "type": "scatter",
        "mode": "markers",
        "name": f"leave-one-out retraining, {seeds}",
        "x": numbers(truth.effects[shown, target]),
        "y": names,
        "marker": {"color": TRUTH, "symbol": SHAPES[TRUTH], "size": 9, "line": {"width": 2, "color": TRUTH}},
        "hovertemplate": "%{y}<br>retrained: %{x:.4g}<extra></extra>",
    }
    if np.isfinite(half).any():
        dots["error_x"] = {"type": "data", "array": numbers(half), "color": TRUTH, "thickness": 1, "width": 0}
        dots["hovertemplate"] = "%{y}<br>retrained: %{x:.4g} ± %{error_x.array:.2g}<extra></extra>"
    return dots
