"""The learning curve: how well fewer runs did, and what up to four times as many are expected to bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .look import HELPS, OPEN, Spec, layout, numbers

if TYPE_CHECKING:
    from ..attribution import Attribution

FARTHEST = 4.0  # times the runs


def learning_curve(answer: Attribution) -> Spec | None:
    """Held-out R^2 against the number of runs, mean over targets; None where there are too few runs to tell."""
    curve = answer.curve
    if curve is None:
        return None
    sizes = np.geomspace(curve.runs, FARTHEST * curve.runs, 25)
    mean, low, high = np.array([curve.forecast(size) for size in sizes]).T
    tried = np.clip(1.0 - curve.error * curve.now / max(float(curve.error[-1]), 1e-12), -1.0, 1.0)
    now = {"type": "data", "array": numbers([1.96 * curve.now_error], 3), "thickness": 1.6, "width": 4}
    band = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "line": {"width": 0}, "showlegend": False}
    data = [
        band | {"x": numbers(sizes), "y": numbers(high)},
        band | {"x": numbers(sizes), "y": numbers(low), "fill": "tonexty", "fillcolor": "rgba(42,127,193,0.18)"},
        {
            "type": "scatter",
            "mode": "lines",
            "name": "expected",
            "x": numbers(sizes),
            "y": numbers(mean),
            "line": {"color": HELPS, "width": 2, "dash": "dash"},
            "hovertemplate": "%{x:.0f} runs: %{y:.3f}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers+lines",
            "name": "fewer of these runs, shape only",
            "x": numbers(curve.sizes),
            "y": numbers(tried),
            "line": {"color": OPEN, "width": 1},
            "marker": {"color": OPEN, "size": 6, "symbol": "circle-open"},
            "hovertemplate": "%{x:.0f} runs: %{y:.3f}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "name": "now, by folds",
            "x": [curve.runs],
            "y": numbers([1.0 - curve.now]),
            "error_y": now | {"color": HELPS},
            "marker": {"color": HELPS, "size": 9},
            "hovertemplate": "%{x} runs: %{y:.3f}<extra></extra>",
        },
    ]
    floor = min(float(np.min(low)), float(tried.min()), 0.9)
    span = [max(floor - 0.1 * (1.0 - floor), -1.0), 1.0 + 0.05 * (1.0 - floor)]
    over = "" if len(answer.targets) == 1 else ", mean of targets"
    what = f"masks, each under {answer.averaged} seeds" if answer.averaged > 1 else "runs"
    look = layout(
        f"{what}; band and bar: 95 % intervals", f"held-out R²{over}", yaxis={"range": span}, xaxis={"type": "log"}
    )
    look["xaxis"] |= {"tickmode": "array", "tickvals": (t := ticks(float(curve.sizes[0]), float(sizes[-1])))}
    look["xaxis"] |= {"ticktext": [f"{v:g}" for v in t]}
    return {"data": data, "layout": look | {"showlegend": True}}


def ticks(low: float, high: float) -> list[float]:
    """Round numbers of a logarithmic axis."""
    every = [m * 10.0**e for e in range(-1, 9) for m in (1, 2, 5)]
    return [v for v in every if low * 0.9 <= v <= high * 1.1]
