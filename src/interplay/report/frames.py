"""The tidy tables of an attribution: one row per task, pair, group or contrast, and target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..trust import VERDICTS, of_named
from .words import safe_cell

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..named import Named


def effects(answer: Attribution) -> pd.DataFrame:
    """One row per task and target, and tasks that cannot be told at the end."""
    P, T = answer.effects.shape
    frame = pd.DataFrame(
        {
            "task": np.repeat(answer.tasks, T),
            "target": np.tile(answer.targets, P),
            "benefit": answer.effects.ravel(),
            "deviation": answer.deviation.ravel(),
            "lower": answer.lower.ravel(),
            "upper": answer.upper.ravel(),
            "unit": np.tile(answer.unit, P),
            "reading": answer.reading,
            "runs": np.tile(answer.rows, P),
            "verdict": np.tile(answer.trust.targets, P),
        }
    )
    if answer.reference is not None:
        frame["reference"] = np.repeat(answer.reference, T)
    if (counted := answer.amounts) is not None:
        frame["tokens"] = np.repeat(counted.tokens.tokens, T)
        frame["epochs"] = np.repeat(counted.epochs, T)
        frame["per_billion_tokens"] = counted.per_billion(answer.effects).ravel()
        frame["per_cost"] = counted.per_cost(answer.effects).ravel()
    if answer.truth is not None:
        frame["truth"] = answer.truth.effects.ravel()
    if answer.unidentified:
        missing = pd.DataFrame(
            {
                "task": np.repeat(answer.unidentified, T),
                "target": np.tile(answer.targets, len(answer.unidentified)),
                "unit": np.tile(answer.unit, len(answer.unidentified)),
                "reading": answer.reading,
                "runs": np.tile(answer.rows, len(answer.unidentified)),
                "verdict": "not identifiable",
            }
        )
        frame = pd.concat([frame, missing], ignore_index=True)
    return frame


def pairs(answer: Attribution, rows: NDArray[np.int64] | None = None) -> pd.DataFrame:
    """One row per pair and target; or those of some places in that order."""
    n, T = answer.interactions.shape
    rows = np.arange(n * T) if rows is None else rows
    names, (k, l) = np.array(answer.tasks, dtype=object), answer.pairs[rows // T].T
    frame = pd.DataFrame(
        {
            "first": names[k],
            "second": names[l],
            "target": np.array(answer.targets, dtype=object)[rows % T],
            "interaction": answer.interactions.ravel()[rows],
            "deviation": answer.interaction_deviation.ravel()[rows],
            "unit": np.array(answer.unit, dtype=object)[rows % T],
            "reading": answer.reading,
        }
    )
    if (found := answer.discoveries) is not None and n:
        frame["named"] = found.named.ravel()[rows]
        frame["false_share"] = found.q.ravel()[rows]
    return frame


def held_out(answer: Attribution) -> pd.DataFrame:
    """One row per fitted run and target: measured, predicted without the run, and how far off in its deviations."""
    columns = ["run", "origin", "seed", "target", "measured", "predicted", "deviation", "standardised"]
    if (held := answer.held_out) is None:
        return pd.DataFrame(columns=columns)
    m, T = held.predicted.shape
    off = np.stack([held.standardised(t) for t in range(T)], axis=1)
    cells = [np.repeat(np.arange(1, m + 1), T), np.repeat(np.array(held.origin, dtype=object), T)]
    cells += [np.repeat(held.seed, T), np.tile(np.array(answer.targets, dtype=object), m)]
    cells += [values.ravel() for values in (held.measured, held.predicted, held.deviation, off)]
    frame = pd.DataFrame(dict(zip(columns, cells, strict=True)))
    return frame.loc[frame["predicted"].notna()].reset_index(drop=True)


def safe(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The table with the columns ``names`` as no spreadsheet takes them for formulas."""
    return frame.assign(**{name: frame[name].map(safe_cell) for name in names if name in frame})


def named(answer: Attribution, asked: Named | None, column: str) -> pd.DataFrame:
    """One row per group or contrast (its name in ``column``) and target; no rows where none was asked for."""
    columns = [column, "target", "benefit", "deviation", "lower", "upper", "coverage", "verdict", "unit"]
    if asked is None:
        return pd.DataFrame(columns=columns)
    n, T = asked.effects.shape
    values = (asked.effects, asked.deviation, asked.lower, asked.upper, asked.coverage)
    levels = of_named(asked.effects, asked.deviation, asked.coverage, answer.trust)
    verdicts = np.array(VERDICTS, dtype=object)[levels].ravel()
    cells = [np.repeat(asked.names, T), np.tile(answer.targets, n), *(v.ravel() for v in values), verdicts, "own"]
    return pd.DataFrame(dict(zip(columns, cells, strict=True)))


def orders(answer: Attribution) -> pd.DataFrame:
    """One row per order (single tasks, pairs, more) and target for which shares of the variance are known."""
    share, deviation = answer.orders, answer.orders_deviation
    known = np.flatnonzero(np.isfinite(share).all(axis=0))
    names = np.array(answer.targets, dtype=object)[known]
    share, deviation = share[:, known].ravel(), deviation[:, known].ravel()
    return pd.DataFrame(
        {
            "order": np.repeat(["single tasks", "pairs", "more"], len(known)),
            "target": np.tile(names, 3),
            "share": share,
            "deviation": deviation,
            "lower": np.clip(share - 1.96 * deviation, 0.0, 1.0),
            "upper": np.clip(share + 1.96 * deviation, 0.0, 1.0),
        }
    )
