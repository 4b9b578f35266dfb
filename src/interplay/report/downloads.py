"""Tables of an answer as CSV, carried by the page; names that a spreadsheet would take for formulas are quoted.

Rows are in the order of their targets: what they share then lies near, so that long names cost a page little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from . import frames
from .average import opposite
from .steps import OPPOSITE
from .summary import Summary
from .words import harmless

if TYPE_CHECKING:
    import pandas as pd

    from ..attribution import Attribution

#: Rows of a table that the page carries; of more pairs the strongest, of more of anything else but effects none.
MOST = 30_000
#: Columns of names, and of several names in one cell.
NAMES = ("task", "target", "first", "second", "group", "contrast", "origin", "most_helped", "most_hurt", "targets")


def downloads(answer: Attribution) -> Iterator[tuple[str, str, str | None]]:
    """Name of each file, what it holds, and its text; None where the page leaves it out, and the words say why."""
    P, T = answer.effects.shape
    yield "effects.csv", f"benefits of {P} tasks on {T} target{'s' * (T != 1)}", _text(answer.to_frame(), answer)
    if T > 1:
        yield "overview.csv", f"{P} tasks over all targets", _text(frames.over_targets(answer))
    yield "targets.csv", "the verdict of each target, and what it rests on", _text(frames.targets(answer))
    if T > 1 and (names := opposite(answer, Summary.of(answer))):
        what = f"names of {len(names)} targets that answer the opposite way, as a target: @{OPPOSITE}"
        yield OPPOSITE, what, "".join(f"{harmless(name)}\n" for name in names)
    if len(answer.interactions):
        yield ("pairs.csv", *_pairs(answer))
    for name, frame in (("groups", answer.groups_frame()), ("contrasts", answer.contrasts_frame())):
        if len(frame):
            yield _if_small(name, f"{name} that were asked for", frame)
    orders = answer.orders_frame()
    if len(orders):
        yield _if_small("variance", "shares of the variance", orders, "orders_frame")
    held = answer.held_out
    if held is not None and (n := held.predicted.size) > MOST:
        yield "held_out.csv", _left_out(n, "held_out_frame"), None
    elif held is not None:
        yield "held_out.csv", "runs as measured, and held-out predictions", _text(frames.held_out(answer))
    yield "surrogates.csv", "surrogates that were compared", _text(frames.surrogates(answer))


def _pairs(answer: Attribution) -> tuple[str, str]:
    """What the table of pairs holds, and its text."""
    n, T = answer.interactions.shape
    if n * T <= MOST:
        return f"interactions of {n} pairs", _text(answer.pairs_frame(), answer)
    each = max(MOST // T, 1)
    of = f"the {each:,} strongest of {n:,} pairs{' on each target' * (T > 1)}; all: pairs_frame()"
    return of, _text(_strongest(answer, each), answer)


def _strongest(answer: Attribution, each: int) -> pd.DataFrame:
    """Rows of the strongest pairs of each target."""
    T = answer.interactions.shape[1]
    size = np.nan_to_num(np.abs(answer.interactions))
    rows = np.argsort(-size, axis=0, kind="stable")[:each]
    places = np.sort((rows * T + np.arange(T)).ravel())
    return frames.pairs(answer, places)


def _if_small(name: str, what: str, frame: pd.DataFrame, method: str = "") -> tuple[str, str, str | None]:
    if len(frame) > MOST:
        return f"{name}.csv", _left_out(len(frame), method or f"{name}_frame"), None
    return f"{name}.csv", what, _text(frame)


def _left_out(rows: int, method: str) -> str:
    return f"not in this page, since it has {rows:,} rows, more than {MOST:,}; in Python: answer.{method}()"


def _text(frame: pd.DataFrame, answer: Attribution | None = None) -> str:
    """The table as CSV; of an answer's targets, target by target."""
    if answer is not None and len(answer.targets) > 1:
        place = {name: t for t, name in enumerate(answer.targets)}
        frame = frame.iloc[np.argsort([place[name] for name in frame["target"]], kind="stable")]
    return frames.safe(frame, NAMES).to_csv(index=False, lineterminator="\r\n", float_format="%.6g")
