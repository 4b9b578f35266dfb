"""Interactions of pairs as a matrix: what two tasks bring beyond their sum; a dot where they are said to interact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..predictor import Z
from ..report import pairs
from .look import SCALE, Spec, colorbar, labels, layout, names_axis, numbers, turned_axis, unit_of

if TYPE_CHECKING:
    from ..attribution import Attribution

MOST = 40


def interactions(answer: Attribution, target: int = 0, most: int = MOST) -> Spec | None:
    """Heat map of one target (column), of the tasks in the strongest pairs.

    None where no pairs were read, or the fit is additive: of rounding errors nothing is drawn.
    """
    if not len(answer.interactions) or not np.isfinite(value := answer.interactions[:, target]).any():
        return None
    if pairs.additive(answer, target):
        return None
    half = Z * answer.interaction_deviation[:, target]
    P, (k, l) = len(answer.tasks), answer.pairs[: len(value)].T
    matrix, width, sure = np.full((P, P), np.nan), np.full((P, P), np.nan), np.zeros((P, P), bool)
    told, by = pairs.told(answer, target)
    matrix[k, l] = matrix[l, k] = value
    width[k, l] = width[l, k] = half
    sure[k, l] = sure[l, k] = told
    strength = np.nan_to_num(np.abs(matrix)).max(axis=1)
    shown = np.sort(np.argsort(-strength, kind="stable")[:most])
    matrix, width, sure = (array[np.ix_(shown, shown)] for array in (matrix, width, sure))
    names, left_out = labels(answer.tasks, shown, 22)
    largest = float(np.nanmax(np.abs(matrix))) or 1.0
    said = (
        f"{'dots' if told.any() else 'no dots, since there are none'}: pairs {by}" if by else "read without intervals"
    )
    said += "; 95 % intervals by pointing at a cell" * bool(np.isfinite(width).any())
    if len(shown) < P:
        said += f"; the {len(shown)} tasks with the strongest pairs of {P}"
    said += left_out
    spec = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": [numbers(row, 3) for row in matrix],
        "zmin": -largest,
        "zmax": largest,
        "colorscale": SCALE,
        "colorbar": colorbar("interaction"),
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "customdata": [numbers(row, 2) for row in width],
        "text": [["●" if one else "" for one in row] for row in sure],
        "texttemplate": "%{text}",
        "textfont": {"size": 7, "color": "#1c2126"},
        "hovertemplate": "%{y}<br>%{x}<br>%{z:+.3g} ± %{customdata:.2g}<extra></extra>",
    }
    title = f"benefit of both beyond their sum, in {unit_of(answer, target)}<br>{said}"
    axis = {**names_axis(names), "ticks": ""}
    look = layout(title, rows=len(shown), yaxis=axis, xaxis={**axis, "autorange": True, **turned_axis()})
    look["height"] += 110
    look["xaxis"]["title"]["standoff"] = 8
    return {"data": [spec], "layout": look}
