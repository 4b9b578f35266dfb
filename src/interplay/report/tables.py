"""Tables of the page as columns and rows of values: numbers stay numbers, so that a reader can sort by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures.look import numbers
from ..figures.predictions import run_name
from ..trust import COVERED, VERDICTS, of_named
from .comparison import NAMES
from .summary import Summary
from .words import binary, kind_of_interaction, of_mask, shown

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..named import Named

Table = dict[str, Any]
#: Runs that stand out and are listed.
RUNS = 50


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> Table:
    """Columns of (title, kind) and rows; kinds: 'text', 'number', 'signed', 'share'."""
    return {"columns": [{"title": title, "kind": kind} for title, kind in columns], "rows": [list(r) for r in rows]}


def effects(answer: Attribution, t: int) -> Table:
    """Every task: its benefit with the interval, what the runs cover, amounts and truth."""
    low, high = answer.lower[:, t], answer.upper[:, t]
    said = ["helps" if a > 0 else "hurts" if b < 0 else "open" for a, b in zip(low, high, strict=True)]
    cells: dict[tuple[str, str], Sequence[Any]] = {
        ("task", "text"): [shown(name) for name in answer.tasks],
        ("benefit", "signed"): numbers(answer.effects[:, t]),
        ("from", "signed"): numbers(low, 4),
        ("to", "signed"): numbers(high, 4),
        ("", "text"): [one if np.isfinite(v) else "not identifiable" for one, v in zip(said, low, strict=True)],
    }
    if answer.truth is not None:
        cells["retrained", "signed"] = numbers(answer.truth.effects[:, t])
    if answer.reference is not None:
        cells["weight", "number"] = numbers(answer.reference, 3)
    if (counted := answer.amounts) is not None:
        column = answer.effects[:, [t]]
        amounts = {"epochs": counted.epochs, "per 1e9 tokens": counted.per_billion(column)[:, 0]}
        amounts["per cost"] = counted.per_cost(column)[:, 0]
        cells |= {(name, "number"): numbers(v, 4) for name, v in amounts.items() if np.isfinite(v).any()}
    if (held := answer.coverage) is not None:
        cells["runs with", "number"], cells["without", "number"] = held.present.tolist(), held.absent.tolist()
        cells["sd after / before", "number"] = numbers(held.known[:, t], 2)
    order = np.argsort(-np.nan_to_num(answer.effects[:, t], nan=-np.inf), kind="stable")
    rows = [[values[k] for values in cells.values()] for k in order]
    blank = [None] * (len(cells) - 5)
    rows += [[shown(name), None, None, None, "not identifiable", *blank] for name in answer.unidentified]
    return table(list(cells), rows)


def pairs(answer: Attribution, t: int, most: int) -> Table | None:
    """Pairs of one target by size, at most so many."""
    if not len(answer.interactions) or not np.isfinite(value := answer.interactions[:, t]).any():
        return None
    half = 1.96 * answer.interaction_deviation[:, t]
    order = np.argsort(-np.abs(np.nan_to_num(value)), kind="stable")[:most]
    rows = []
    for n in order[np.isfinite(value[order])]:
        k, l = answer.pairs[n]
        sure = bool(abs(value[n]) > half[n]) if np.isfinite(half[n]) else None
        kind = kind_of_interaction(answer, int(n), t) if sure else "open" if sure is False else "no interval"
        low, high = numbers([value[n] - half[n], value[n] + half[n]], 3)
        rows.append([shown(answer.tasks[k]), shown(answer.tasks[l]), *numbers([value[n]], 4), low, high, kind])
        if answer.discoveries is not None:
            rows[-1] += ["named" if answer.discoveries.named[n, t] else "", *numbers([answer.discoveries.q[n, t]], 2)]
    columns = [("task", "text"), ("with", "text"), ("interaction", "signed"), ("from", "signed"), ("to", "signed")]
    columns += [("", "text")]
    if answer.discoveries is not None:
        columns += [("tested together", "text"), ("false share", "number")]
    return table(columns, rows)


def asked(answer: Attribution, given: Named | None, kind: str, t: int) -> Table | None:
    """Groups or contrasts of one target."""
    if given is None or not given.names:
        return None
    levels = of_named(given.effects, given.deviation, given.coverage, answer.trust)
    rows = []
    for i, name in enumerate(given.names):
        cells = numbers([given.effects[i, t], given.lower[i, t], given.upper[i, t]], 4)
        far = given.coverage[i, t] > COVERED
        rows.append([shown(name), *cells, VERDICTS[levels[i, t]], "the runs say almost nothing of it" if far else ""])
    columns = [(kind, "text"), ("benefit", "signed"), ("from", "signed"), ("to", "signed")]
    return table([*columns, ("verdict", "text"), ("", "text")], rows)


def outliers(answer: Attribution, t: int) -> Table | None:
    """Runs that stand out on one target; None where none does."""
    held = answer.held_out
    if held is None or not len(rows := held.outliers(t)[:RUNS]):
        return None
    z = held.standardised(t)
    cells = [
        [
            shown(run_name(held, int(i))),
            *numbers([held.measured[i, t], held.predicted[i, t], z[i]], 4),
            of_mask(answer.tasks, held.weights[i]),
        ]
        for i in rows
    ]
    columns = [("run", "text"), ("measured", "number"), ("predicted", "number"), ("deviations off", "signed")]
    return table([*columns, ("without" if binary(held.weights) else "weights", "text")], cells)


def over_targets(answer: Attribution) -> Table:
    """Every task over all targets."""
    found, names = Summary.of(answer), [shown(name) for name in answer.targets]
    rows = []
    for k in found.order:
        best = names[found.best[k]] if found.relative[k, found.best[k]] > 0 else ""
        worst = names[found.worst[k]] if found.relative[k, found.worst[k]] < 0 else ""
        mean = numbers([found.mean[k] if found.known[k] else np.nan], 3)
        rows.append([shown(answer.tasks[k]), *mean, int(found.helps[k]), int(found.hurts[k]), best, worst])
    rows += [[shown(name), None, None, None, "", ""] for name in answer.unidentified]
    counts = [("helps", "number"), ("hurts", "number")]
    columns = [("task", "text"), ("mean benefit", "signed"), *counts, ("most helped", "text"), ("most hurt", "text")]
    return table(columns, rows)


def targets(answer: Attribution) -> Table:
    """Every target: its verdict, and what this rests on."""
    trust, up = answer.trust, answer.higher_is_better
    arrows = ["higher" if one else "lower" for one in up]
    held = [numbers(values, 3) for values in (trust.agreement, trust.skill, trust.ranks, trust.ceiling)]
    names = [shown(name) for name in answer.targets]
    columns = [("target", "text"), ("better", "text"), ("verdict", "text"), ("expected correlation", "number")]
    columns += [("held-out R²", "number"), ("held-out Spearman", "number"), ("ceiling", "number"), ("runs", "number")]
    if answer.truth is not None:
        columns += [("Spearman with truth", "number"), ("its ceiling", "number")]
        held += [numbers(answer.truth.spearman, 3), numbers(answer.truth.ceiling, 3)]
    order = [*held[:4], list(answer.rows), *held[4:]]
    each = zip(names, arrows, trust.targets, *order, strict=True)
    return table(columns, each)


def surrogates(answer: Attribution) -> Table:
    """Surrogates that were compared: held-out R^2, and how far above the best their errors lie."""
    columns = [("surrogate", "text"), ("held-out R²", "number")]
    if answer.predictor is None:
        rows = [[NAMES.get(name, name), *numbers([np.nanmean(values)], 3)] for name, values in answer.skill.items()]
        return table(columns, rows)
    frame = answer.predictor.comparison()
    several = len(answer.predictor.choices) > 1
    rows = [
        [
            NAMES.get(row["surrogate"], row["surrogate"]),
            *numbers([row["r2"], row["worse"], row["lower"], row["upper"]], 3),
            "taken" if row["taken"] else "",
            *([shown(row["targets"], 60), row["runs"]] if several else []),
        ]
        for row in frame.to_dict(orient="records")
    ]
    columns += [("error above the best", "number"), ("from", "signed"), ("to", "signed"), ("", "text")]
    return table([*columns, *([("targets", "text"), ("runs", "number")] if several else [])], rows)
