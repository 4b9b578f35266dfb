"""Each run as measured and as the other runs predict it, with 95 % intervals; what stands out is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..predictor import Z
from ..report.words import plain
from .look import HELPS, HURTS, SHAPES, Spec, label, layout, numbers, steps

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..held_out import HeldOut

NAMED = 5  # runs that stand out


def measured_vs_predicted(answer: Attribution, target: int = 0) -> Spec | None:
    """Scatter of one target (column); None where the answer holds no held-out runs."""
    held = answer.held_out
    if held is None or not (known := np.isfinite(held.predicted[:, target])).any():
        return None
    both = np.concatenate([held.predicted[known, target], held.measured[known, target]])
    low, high = float(both.min()), float(both.max())
    far = np.zeros(len(known), bool)
    far[held.outliers(target)] = True
    data = []
    for words, colour, rows in (("runs", HELPS, known & ~far), ("beyond three deviations", HURTS, known & far)):
        if not rows.any():
            continue
        half = Z * held.deviation[rows, target]
        one = {
            "type": "scatter",
            "mode": "markers",
            "name": words,
            "x": steps(held.predicted[rows, target], low, high),
            "y": steps(held.measured[rows, target], low, high),
            "marker": {"color": colour, "symbol": SHAPES[colour], "size": 7, "opacity": 0.8},
            "text": [label(run_name(held, i), 60) for i in map(int, np.flatnonzero(rows))],
            "hovertemplate": "%{text}<br>measured %{y:.5g}<br>predicted %{x:.5g}<extra></extra>",
        }
        if np.isfinite(half).any():
            one["error_x"] = {"type": "data", "array": numbers(half, 2), "color": colour, "thickness": 0.6, "width": 0}
        data.append(one)
    line = {"type": "line", "x0": low, "y0": low, "x1": high, "y1": high, "layer": "between"}
    name = label(answer.targets[target])
    title = f"{name}, predicted without the run, with 95 % interval"
    look = layout(title, f"{name}, measured", shapes=[line | {"line": {"color": "#5d656d", "width": 1, "dash": "dot"}}])
    look |= {"height": 400, "showlegend": len(data) > 1}
    return {"data": data, "layout": look}


def run_name(held: HeldOut, row: int) -> str:
    """What a run is called: its place, its origin and its seed, where they are stated."""
    origin, seed = held.origin[row], held.seed[row]
    place = (held.places[row] if len(held.places) == len(held.seed) else row) + 1
    said = origin and origin != str(place)
    return f"run {place}" + (f", {plain(origin)}" if said else "") + (f", seed {seed}" if seed >= 0 else "")
