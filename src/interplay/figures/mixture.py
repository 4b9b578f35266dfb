"""The mixture that moves start from, the range of each weight in the runs, and which way a move helps one target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .effects import WORDS
from .look import OPEN, SHAPES, Spec, ends, label, labels, layout, names_axis, numbers, signs

if TYPE_CHECKING:
    from ..attribution import Attribution

MOST = 60
MOVES = {"helps": "more of it helps", "hurts": "more of it hurts", "interval includes 0": "cannot tell"}


def mixture(answer: Attribution, target: int = 0, most: int = MOST) -> Spec | None:
    """Weights of the reference within those of the runs; None for masks, or where the answer does not hold them."""
    held, reference = answer.coverage, answer.reference
    if held is None or reference is None:
        return None
    shown = ends(np.argsort(-reference, kind="stable"), most)
    (names, left_out), colours = labels(answer.tasks, shown), np.array(signs(answer, target))
    low, high = held.lowest[shown], held.highest[shown]
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "range of the runs",
            "x": [v for a, b in zip(numbers(low, 4), numbers(high, 4), strict=True) for v in (a, b, None)],
            "y": [v for name in names for v in (name, name, None)],
            "line": {"color": OPEN, "width": 4},
            "opacity": 0.45,
            "hoverinfo": "skip",
        }
    ]
    for colour, words in WORDS.items():
        rows = [i for i, k in enumerate(shown) if colours[k] == colour]
        if rows:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": MOVES[words],
                    "x": numbers(reference[shown[rows]], 4),
                    "y": [names[i] for i in rows],
                    "marker": {"color": colour, "symbol": SHAPES[colour], "size": 9, "line": {"width": 2}},
                    "hovertemplate": "%{y}: %{x:.4g}<extra></extra>",
                }
            )
            data[-1]["marker"]["line"]["color"] = colour
    title = "weight at the reference, within the range of the runs"
    title += f"<br>helps, hurts {label(answer.targets[target])}: the 95 % interval excludes 0{left_out}"
    return {"data": data, "layout": layout(title, rows=len(shown) + 2, yaxis=names_axis(names), showlegend=True)}
