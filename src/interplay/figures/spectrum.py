"""How much of a target's variance over random halves of the tasks is additive, how much pairs, how much more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .look import HELPS, Spec, label, layout, numbers

if TYPE_CHECKING:
    from ..attribution import Attribution

ORDERS = ("single tasks", "pairs", "three and more")


def unread(answer: Attribution) -> str:
    """Why an answer, or one target of it, has no spectrum, in words."""
    if answer.reference is not None:
        return "not told of weights, only of tasks that are switched on and off"
    if answer.reading not in ("shapley", "banzhaf"):
        return (
            f"shares of the variance are not read with {answer.reading}; runs on about half of the tasks tell them "
            "(reading banzhaf)"
        )
    return (
        "the runs do not tell shares of the variance, since tuned ridge was taken, which has single tasks only, or "
        "nothing shows that the target depends on the tasks"
    )


def spectrum(answer: Attribution, target: int = 0) -> Spec | None:
    """Bars with 95 % intervals of one target (column); None where the runs do not answer this."""
    if target >= answer.orders.shape[1] or not np.isfinite(share := answer.orders[:, target]).all():
        return None
    half = 1.96 * answer.orders_deviation[:, target]
    low, high = np.clip(share - half, 0.0, 1.0), np.clip(share + half, 0.0, 1.0)
    bars = {
        "type": "bar",
        "x": list(ORDERS),
        "y": numbers(100 * share, 3),
        "error_y": {"type": "data", "symmetric": False} | {"array": numbers(100 * (high - share), 3)},
        "marker": {"color": HELPS},
        "width": 0.5,
        "hovertemplate": "%{x}: %{y:.3g} %<extra></extra>",
    }
    bars["error_y"] |= {"arrayminus": numbers(100 * (share - low), 3), "thickness": 1.4, "width": 5}
    what, link = label(answer.targets[target]), answer.links[target]
    what = what if link == "y" else f"{link}, y = {what},"
    title = f"variance of {what} over random halves of the tasks; 95 % intervals"
    look = layout(title, "share of the variance, %", yaxis={"range": [0, 105]}, xaxis={"type": "category"})
    return {"data": [bars], "layout": look | {"height": 280}}
