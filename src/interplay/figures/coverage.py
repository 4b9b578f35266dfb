"""How far the runs narrowed each effect, and how many runs hold each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..trust import COVERED
from .look import HELPS, HURTS, SHAPES, Spec, ends, label, labels, layout, names_axis, numbers

if TYPE_CHECKING:
    from ..attribution import Attribution

MOST = 60


def coverage(answer: Attribution, target: int = 0, most: int = MOST) -> Spec | None:
    """Posterior over prior deviation of each task, best known on top; None where the answer does not hold it."""
    held = answer.coverage
    if held is None or not np.isfinite(known := held.known[:, target]).any():
        return None
    order = np.argsort(np.where(np.isfinite(known), known, np.inf), kind="stable")
    shown = ends(order[np.isfinite(known[order])], most)
    names, left_out = labels(answer.tasks, shown)
    colours = [HURTS if known[k] > COVERED else HELPS for k in shown]
    counts = [f"in {held.present[k]} runs, absent from {held.absent[k]}" for k in shown]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": numbers(known[shown], 3),
        "y": names,
        "text": counts,
        "marker": {"color": colours, "symbol": [SHAPES[c] for c in colours], "size": 8},
        "hovertemplate": "%{y}: %{x:.2f}<br>%{text}<extra></extra>",
    }
    name = label(answer.targets[target])
    title = f"standard deviation of the effect on {name}"
    title += f"<br>after the runs over that before; above {COVERED:g} nothing is known{left_out}"
    limit = {"type": "line", "x0": COVERED, "x1": COVERED, "y0": -0.5, "y1": len(shown) - 0.5, "layer": "between"}
    limit["line"] = {"color": HURTS, "width": 1.5, "dash": "dot"}
    far = max(1.05, float(np.nanmax(known)) * 1.05)
    look = layout(
        title, rows=len(shown) + 1, yaxis=names_axis(names), xaxis={"range": [-0.02 * far, far]}, shapes=[limit]
    )
    return {"data": [dots], "layout": look}
