"""The tidy tables of an attribution: one row per task, pair, group or contrast, and target."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..trust import VERDICTS, of_named
from .pairs import kinds_of_interactions
from .summary import Summary
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
    if (held := answer.coverage) is not None:
        frame["coverage"] = held.known.ravel()
        frame["runs_with"], frame["runs_without"] = np.repeat(held.present, T), np.repeat(held.absent, T)
    if answer.truth is not None:
        frame["truth"], frame["truth_error"] = answer.truth.effects.ravel(), answer.truth.half.ravel() / 1.96
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
    value, deviation = answer.interactions.ravel()[rows], answer.interaction_deviation.ravel()[rows]
    frame = pd.DataFrame(
        {
            "first": names[k],
            "second": names[l],
            "target": np.array(answer.targets, dtype=object)[rows % T],
            "interaction": value,
            "deviation": deviation,
            "lower": value - 1.96 * deviation,
            "upper": value + 1.96 * deviation,
            "kind": kinds_of_interactions(answer, rows),
            "unit": np.array(answer.unit, dtype=object)[rows % T],
            "reading": answer.reading,
        }
    )
    if (found := answer.discoveries) is not None and n:
        frame["named"] = found.named.ravel()[rows]
        frame["false_share"] = found.q.ravel()[rows]
    return frame


def over_targets(answer: Attribution) -> pd.DataFrame:
    """One row per task: its mean benefit over all targets, see `Summary`, and how many it helps and hurts."""
    found, names = Summary.of(answer), np.array([*answer.targets, ""], dtype=object)
    mean, half = (np.where(found.known, values, np.nan) for values in (found.mean, found.half))
    frame = pd.DataFrame(
        {
            "task": answer.tasks,
            "mean_benefit": mean,
            "lower": mean - half,
            "upper": mean + half,
            "helps": found.helps,
            "hurts": found.hurts,
            "most_helped": names[found.best],
            "most_hurt": names[found.worst],
            "of_targets": len(answer.targets),
        }
    )
    return frame.iloc[found.order].reset_index(drop=True)


def targets(answer: Attribution) -> pd.DataFrame:
    """One row per target: its verdict, and what this rests on."""
    trust = answer.trust
    frame = pd.DataFrame(
        {
            "target": answer.targets,
            "unit": answer.unit,
            "fitted": answer.links or "y",
            "higher_is_better": answer.higher_is_better,
            "runs": answer.rows,
            "verdict": trust.targets,
        }
    )
    evidence = {"expected_correlation": trust.agreement, "p": trust.p, "held_out_r2": trust.skill}
    evidence |= {"held_out_spearman": trust.ranks, "inside_intervals": trust.calibration}
    evidence |= {"ceiling": trust.ceiling, "coverage": trust.coverage}
    for name, values in evidence.items():
        frame[name] = np.array(values) if len(values) else np.nan
    if (truth := answer.truth) is not None:
        frame["truth_spearman"], frame["truth_pearson"] = truth.spearman, truth.pearson
        frame["truth_ceiling"] = truth.ceiling
    if len(answer.targets) > 1:
        frame["with_the_others"] = Summary.of(answer).alike
    return frame


def surrogates(answer: Attribution) -> pd.DataFrame:
    """One row per surrogate that was compared; of a loaded answer its mean held-out R^2 alone."""
    if answer.predictor is not None:
        frame = answer.predictor.comparison()
        return frame if len(answer.choices) > 1 else frame.drop(columns="targets")
    return pd.DataFrame({"surrogate": list(answer.skill), "r2": [np.nanmean(v) for v in answer.skill.values()]})


def held_out(answer: Attribution) -> pd.DataFrame:
    """One row per fitted run and target: measured, predicted without the run, and how far off in its deviations."""
    columns = ["run", "origin", "seed", "target", "measured", "predicted", "deviation", "standardised"]
    if (held := answer.held_out) is None:
        return pd.DataFrame(columns=columns)
    m, T = held.predicted.shape
    off = np.stack([held.standardised(t) for t in range(T)], axis=1)
    places = np.array(held.places if len(held.places) == m else range(m)) + 1
    cells = [np.repeat(places, T), np.repeat(np.array(held.origin, dtype=object), T)]
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
