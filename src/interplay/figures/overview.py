"""All targets at once: effects of the tasks in the unit of the table over all targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..report.summary import Summary
from .look import SCALE, Spec, colorbar, ends, label, labels, layout, names_axis, numbers, turned_axis

if TYPE_CHECKING:
    from ..attribution import Attribution

MOST = 60
LABELLED = 40  # targets whose names are written, and whose cells have room for a dot
VALUE = "%{customdata[0]:+.3g} ± %{customdata[1]:.2g}"
CLIP = 2.5  # root mean squares of all cells at which the scale of colours ends


def overview(answer: Attribution, most: int = MOST) -> Spec | None:
    """Heat map of tasks by targets; None for one target.

    A dot says that the effect is certain among all targets of its task. Of many targets, where dots find no room, what
    is not has no colour.
    """
    T = len(answer.targets)
    if T < 2:
        return None
    found = Summary.of(answer)
    shown = ends(found.order, most)
    (tasks, left_out), (targets, around) = labels(answer.tasks, shown), labels(answer.targets, width=24)
    order = np.argsort(-found.alike, kind="stable") if T > LABELLED else np.arange(T)
    cells = np.ix_(shown, order)
    effects, half = answer.effects[cells], (answer.upper - answer.effects)[cells]
    sure = found.certain[cells] != 0
    z = np.where(np.isfinite(effects), found.relative[cells], np.nan)
    limit = CLIP * float(np.sqrt(np.nanmean(z**2))) or 1.0
    said = "dots: certain, all targets of a task tested together (5 % false discoveries)"
    if T > LABELLED:
        z = np.where(sure | np.isnan(z), z, 0.0)
        said = "without colour: not certain, all targets of a task tested together"
    short = "standard deviations" if found.standard else "typical effects"
    words = [["certain" if one else "not certain" for one in row] for row in sure]
    parts = zip(_rows(effects, 3), _rows(half, 2), _rows(found.relative[cells], 2), words, strict=True)
    cells_said = [[list(cell) for cell in zip(*row, strict=True)] for row in parts]
    spec = {
        "type": "heatmap",
        "x": [targets[t] for t in order],
        "y": tasks,
        "z": _rows(z, 3),
        "zmin": -limit,
        "zmax": limit,
        "colorscale": SCALE,
        "colorbar": colorbar(f"benefit, {short}"),
        "hoverongaps": False,
        "customdata": cells_said,
        "hovertemplate": f"%{{y}}<br>%{{x}}<br>{VALUE}{_unit(answer)}<br>%{{customdata[2]:+.2g}} "
        f"{short}, %{{customdata[3]}}<extra></extra>",
    }
    if T <= LABELLED:
        spec["text"] = [["●" if one else "" for one in row] for row in sure]
        spec |= {"texttemplate": "%{text}", "textfont": {"size": 7, "color": "#1c2126"}, "xgap": 1, "ygap": 1}
    title = f"{T} targets; benefit in {found.unit}<br>{said}; 95 % intervals by pointing"
    if beyond := int((np.abs(z) > limit).sum()):
        title += f"; colours end at ±{limit:.2g}, {beyond} cell{'s lie' if beyond > 1 else ' lies'} beyond"
    if T > LABELLED:
        title += "; targets by how far they go with the others"
    title += left_out + around.replace("names", "targets", 1)
    axis = {"type": "category", "showgrid": False, "showticklabels": T <= LABELLED, **turned_axis()}
    look = layout(title, rows=len(shown) + 2, yaxis={**names_axis(tasks), "ticks": ""}, xaxis=axis)
    look["height"] += 110 if T <= LABELLED else 20
    look["xaxis"]["title"]["standoff"] = 8
    return {"data": [spec], "layout": look}


def _rows(values: np.ndarray, digits: int) -> list[list[float | None]]:
    return [numbers(row, digits) for row in values]


def _unit(answer: Attribution) -> str:
    """Unit of the numbers beside a cell, where all targets share it."""
    own = set(answer.unit)
    if own == {"own"}:
        return " in its own unit"
    return f" {label(answer.unit[0], 80)}" if len(own) == 1 else ""
