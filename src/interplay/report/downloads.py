"""Tables of an answer as CSV, carried by the page; names that a spreadsheet would take for formulas are quoted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from . import frames

if TYPE_CHECKING:
    import pandas as pd

    from ..attribution import Attribution

#: Rows of a table that the page carries; of more pairs the strongest of each target, of more runs none.
MOST = 50_000
NAMES = ("task", "target", "first", "second", "group", "contrast", "origin")


def downloads(answer: Attribution) -> Iterator[tuple[str, str, str]]:
    """Name of each file, what it holds, and its text."""
    effects = answer.to_frame()
    yield "effects.csv", f"benefits of {len(answer.tasks)} tasks on {len(answer.targets)} targets", _text(effects)
    n, T = answer.interactions.shape
    if n:
        if n * T <= MOST:
            frame, what = answer.pairs_frame(), f"interactions of {n} pairs"
        else:
            each = max(MOST // T, 1)
            frame, what = _strongest(answer, each), f"the {each} strongest pairs of each target; all: pairs_frame()"
        yield "pairs.csv", what, _text(frame)
    for name, frame in (("groups", answer.groups_frame()), ("contrasts", answer.contrasts_frame())):
        if len(frame):
            yield f"{name}.csv", f"{name} that were asked for", _text(frame)
    orders = answer.orders_frame()
    if len(orders):
        yield "variance.csv", "shares of the variance", _text(orders)
    held = answer.held_out
    if held is not None and held.predicted.size <= MOST:
        yield "runs.csv", "measured and held-out predictions", _text(frames.held_out(answer))


def _strongest(answer: Attribution, each: int) -> pd.DataFrame:
    """Rows of the strongest pairs of each target."""
    T = answer.interactions.shape[1]
    size = np.nan_to_num(np.abs(answer.interactions))
    rows = np.argsort(-size, axis=0, kind="stable")[:each]
    places = np.sort((rows * T + np.arange(T)).ravel())
    return frames.pairs(answer, places)


def _text(frame: pd.DataFrame) -> str:
    return frames.safe(frame, NAMES).to_csv(index=False, lineterminator="\r\n", float_format="%.7g")
