"""All targets at once: effects of the tasks in units of the size of each target's effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..report.summary import Summary
from .look import SCALE, Spec, colorbar, ends, labels, layout, names_axis, numbers, turned_axis

if TYPE_CHECKING:
    from ..attribution import Attribution

MOST = 60
LABELLED = 40  # targets whose names are written


def overview(answer: Attribution, most: int = MOST) -> Spec | None:
    """Heat map of tasks by targets; None for one target. What the intervals leave open is faint."""
    T = len(answer.targets)
    if T < 2:
        return None
    found = Summary.of(answer)
    shown = ends(found.order, most)
    (tasks, left_out), (targets, around) = labels(answer.tasks, shown), labels(answer.targets, width=24)
    with np.errstate(invalid="ignore"):
        sure = (answer.lower > 0) | (answer.upper < 0)
    z = np.where(sure, found.relative, 0.35 * found.relative)[shown]
    order = np.argsort(-z.mean(axis=0), kind="stable") if T > LABELLED else np.arange(T)
    spec = {
        "type": "heatmap",
        "x": [targets[t] for t in order],
        "y": tasks,
        "z": [numbers(row, 2) for row in z[:, order]],
        "zmin": -2.5,
        "zmax": 2.5,
        "colorscale": SCALE,
        "colorbar": colorbar("benefit"),
        "hovertemplate": "%{y}<br>%{x}<extra></extra>",
    }
    title = f"{T} targets; benefit in root mean squares of each target's effects<br>faint: the 95 % interval includes 0"
    if T > LABELLED:
        title += "; targets in the order of their mean"
    title += left_out + around.replace("names", "targets", 1)
    axis = {"type": "category", "showgrid": False, "showticklabels": T <= LABELLED, **turned_axis()}
    look = layout(title, rows=len(shown) + 2, yaxis={**names_axis(tasks), "ticks": ""}, xaxis=axis)
    look["height"] += 110 if T <= LABELLED else 20
    look["xaxis"]["title"]["standoff"] = 8
    return {"data": [spec], "layout": look}
