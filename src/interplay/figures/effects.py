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
    if answer.truth is not None and np.isfinite(true := answer.truth.effects[shown, target]).any():
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"leave-one-out retraining, {answer.truth.seeds} seed{'s' * (answer.truth.seeds != 1)}",
                "x": numbers(true),
                "y": names,
                "marker": {"color": TRUTH, "symbol": SHAPES[TRUTH], "size": 9, "line": {"width": 2, "color": TRUTH}},
                "hovertemplate": "%{y}<br>retrained: %{x:.4g}<extra></extra>",
            }
        )
    title = f"benefit in {unit_of(answer, target)}; right of 0 helps<br>95 % intervals"
    if len(shown) < len(order):
        title += f"; the {most // 2} at either end of {len(order)} tasks"
    title += left_out
    return {
        "data": data,
        "layout": layout(title, rows=len(shown) + 2, yaxis=names_axis(names), xaxis=zero(), showlegend=True),
    }
