"""Tables of the page as columns and rows of values: numbers stay numbers, so that a reader can sort by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..figures.look import numbers
from ..figures.predictions import run_name
from ..trust import COVERED, VERDICTS, of_named
from .comparison import NAMES
from .named import over
from .pairs import OPEN, UNSEEN, additive, kinds_of_interactions
from .summary import Summary
from .words import binary, of_mask, shown

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..named import Named

Table = dict[str, Any]
#: Columns that a narrow page leaves out until they are asked for.
MINOR = (
    *("runs with", "without", "narrowed to", "epochs", "per 1e9 tokens", "per cost", "better", "held-out Spearman"),
    *("ceiling", "runs", "with the others", "Spearman's ceiling", "false share", "most helped", "most hurt"),
)
#: Runs that stand out and are listed.
RUNS = 50


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]], words: Sequence[str] = ()) -> Table:
    """Columns of (title, kind), rows, and what the titles mean in words; kinds: 'text', 'number', 'signed'."""
    heads = [{"title": title, "kind": kind, **({"minor": True} if title in MINOR else {})} for title, kind in columns]
    return {"columns": heads, "rows": [list(r) for r in rows], "words": " ".join(words)}


def effects(answer: Attribution, t: int) -> Table:
    """Every task: its benefit with the interval, what the runs cover, amounts and truth."""
    low, high = answer.lower[:, t], answer.upper[:, t]
    said = ["helps" if a > 0 else "hurts" if b < 0 else "open" for a, b in zip(low, high, strict=True)]
    cells: dict[tuple[str, str], Sequence[Any]] = {
        ("task", "text"): [shown(name) for name in answer.tasks],
        ("benefit", "signed"): numbers(answer.effects[:, t]),
        ("from", "signed"): numbers(low, 4),
        ("to", "signed"): numbers(high, 4),
        ("sign", "text"): [one if np.isfinite(v) else "not identifiable" for one, v in zip(said, low, strict=True)],
    }
    words = ["From, to: the 95 % interval; open where it includes 0."]
    if answer.truth is not None:
        cells["retrained", "signed"] = numbers(answer.truth.effects[:, t])
        if np.isfinite(half := answer.truth.half[:, t]).any():
            cells["± of it", "number"] = numbers(half, 2)
            words.append("Retrained: leave-one-out retraining, ± 1.96 standard errors over its seeds.")
    if answer.reference is not None:
        cells["weight", "number"] = numbers(answer.reference, 3)
    if (counted := answer.amounts) is not None:
        column = answer.effects[:, [t]]
        amounts = {"epochs": counted.epochs, "per 1e9 tokens": counted.per_billion(column)[:, 0]}
        amounts["per cost"] = counted.per_cost(column)[:, 0]
        cells |= {(name, "number"): numbers(v, 4) for name, v in amounts.items() if np.isfinite(v).any()}
    if (held := answer.coverage) is not None:
        cells["runs with", "number"], cells["without", "number"] = held.present.tolist(), held.absent.tolist()
        cells["narrowed to", "number"] = numbers(held.known[:, t], 2)
        words.append("Runs with, without: those that hold the task, and those that do not.")
        words.append(
            "Narrowed to: standard deviation of the effect after the runs over that before; near 1 they tell nothing."
        )
    order = np.argsort(-np.nan_to_num(answer.effects[:, t], nan=-np.inf), kind="stable")
    rows = [[values[k] for values in cells.values()] for k in order]
    blank = [None] * (len(cells) - 5)
    rows += [[shown(name), None, None, None, "not identifiable", *blank] for name in answer.unidentified]
    return table(list(cells), rows, words)


def pairs(answer: Attribution, t: int, most: int) -> Table | None:
    """Pairs of one target by size, at most so many."""
    if not len(answer.interactions) or not np.isfinite(value := answer.interactions[:, t]).any():
        return None
    half, flat, found = 1.96 * answer.interaction_deviation[:, t], additive(answer, t), answer.discoveries
    if flat and (found is None or not found.named[:, t].any()):
        return None
    strength = np.abs(np.nan_to_num(value)) if found is None or not flat else found.named[:, t].astype(float)
    order = np.argsort(-strength, kind="stable")[:most]
    order = order[np.isfinite(value[order])]
    if flat:
        order, value, half = order[strength[order] > 0], value * np.nan, half * np.nan
    rows = []
    for n, kind in zip(order, kinds_of_interactions(answer, order * len(answer.targets) + t), strict=True):
        k, l = answer.pairs[n]
        low, high = numbers([value[n] - half[n], value[n] + half[n]], 3)
        rows.append([shown(answer.tasks[k]), shown(answer.tasks[l]), *numbers([value[n]], 4), low, high, kind])
        if answer.discoveries is not None:
            rows[-1] += ["named" if answer.discoveries.named[n, t] else "", *numbers([answer.discoveries.q[n, t]], 2)]
    columns = [("task", "text"), ("with", "text"), ("interaction", "signed"), ("from", "signed"), ("to", "signed")]
    columns += [("kind", "text")]
    words = [] if flat else ["From, to: the 95 % interval of one pair by itself; open where it includes 0."]
    if answer.discoveries is not None:
        columns += [("tested together", "text"), ("false share", "number")]
        rate = f"{100 * answer.discoveries.level:.3g} %"
        words.append(f"Alone one interval in twenty excludes 0 by chance: act on pairs that are named, {rate} of which")
        words.append(f"may be false; {OPEN}: named, and its own interval includes 0." if not flat else "may be false.")
        words.append("False share: expected among the pairs that are at least as certain; – where too few runs tell.")
    if flat:
        words.append(f"{UNSEEN[:1].upper()}{UNSEEN[1:]}: the fit is additive, and all of its interactions are 0.")
    elif len(rows) < len(answer.pairs):
        words.append(f"The strongest of {len(answer.pairs):,} pairs.")
    return table(columns, rows, words)


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
    name = shown(answer.targets[t], 80)
    words = [
        f"{given.words[:1].upper()}{given.words[1:]}; benefit in {name}, its own unit; from, to: the 95 % interval."
    ]
    return table([*columns, ("verdict", "text"), ("note", "text")], rows, words)


def asked_over(answer: Attribution, given: Named | None, kind: str) -> Table | None:
    """Groups or contrasts over all targets."""
    if given is None or not given.names:
        return None
    counts = over(given, [shown(name, 80) for name in answer.targets])
    rows = [[shown(name), *cells] for name, cells in zip(given.names, counts, strict=True)]
    columns = [(kind, "text"), ("helps", "number"), ("hurts", "number"), ("unknown", "number")]
    words = [
        f"{given.words[:1].upper()}{given.words[1:]}: number of targets whose 95 % interval",
        "lies above 0 (helps), below 0 (hurts), or that no run tells of (unknown).",
        "Surest help and harm: the benefit that is farthest from 0 beside its interval, in that target's own unit;",
        "? where even that includes 0.",
    ]
    return table([*columns, ("surest help", "text"), ("surest harm", "text")], rows, words)


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
    return table([*columns, ("tasks" if binary(held.weights) else "weights", "text")], cells)


def over_targets(answer: Attribution) -> Table:
    """Every task over all targets."""
    found, names = Summary.of(answer), [*(shown(name) for name in answer.targets), ""]
    rows = []
    for k in found.order:
        ends = found.mean[k] + found.half[k] * np.array([0.0, -1.0, 1.0])
        mean = numbers(ends if found.known[k] else ends * np.nan, 3)
        counts = [int(found.helps[k]), int(found.hurts[k])]
        rows.append([shown(answer.tasks[k]), *mean, *counts, names[found.best[k]], names[found.worst[k]]])
    rows += [[shown(name), None, None, None, None, None, "", ""] for name in answer.unidentified]
    means = [("mean benefit", "signed"), ("from", "signed"), ("to", "signed")]
    counts = [("helps", "number"), ("hurts", "number")]
    words = [
        f"Mean benefit: in {found.unit}; from, to: its 95 % interval.",
        "Helps, hurts: number of targets for certain, all targets tested together (5 % false discoveries).",
        "Most helped, most hurt: of these.",
    ]
    return table([("task", "text"), *means, *counts, ("most helped", "text"), ("most hurt", "text")], rows, words)


def targets(answer: Attribution) -> Table:
    """Every target: its verdict, and what this rests on."""
    trust, up = answer.trust, answer.higher_is_better
    arrows = ["higher" if one else "lower" for one in up]
    held = [numbers(values, 3) for values in (trust.agreement, trust.skill, trust.ranks, trust.ceiling)]
    names = [shown(name) for name in answer.targets]
    columns = [("target", "text"), ("better", "text"), ("verdict", "text"), ("expected Pearson", "number")]
    columns += [("held-out R²", "number"), ("held-out Spearman", "number"), ("ceiling", "number"), ("runs", "number")]
    words = [
        "Expected Pearson: correlation of the effects with the true ones, as far as the runs tell.",
        "Ceiling: the",
    ]
    words += ["highest correlation that any prediction can reach with single runs; unknown where none is repeated."]
    columns.append(("with the others", "signed"))
    words.append("With the others: cosine of its effects and their mean over the other targets; -1 the opposite way.")
    held.append(numbers(Summary.of(answer).alike, 2))
    if answer.truth is not None:
        columns += [
            ("Pearson with truth", "number"),
            ("Spearman with truth", "number"),
            ("Spearman's ceiling", "number"),
        ]
        held += [numbers(values, 3) for values in (answer.truth.pearson, answer.truth.spearman, answer.truth.ceiling)]
    order = [*held[:4], list(answer.rows), *held[4:]]
    each = zip(names, arrows, trust.targets, *order, strict=True)
    return table(columns, each, words)


def surrogates(answer: Attribution) -> Table:
    """Surrogates that were compared: held-out R^2, and how far above the best their errors lie."""
    r2 = "held-out R²" + ", mean of targets" * (len(answer.targets) > 1)
    columns = [("surrogate", "text"), (r2, "number")]
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
    columns += [("error above the best", "number"), ("from", "signed"), ("to", "signed"), ("choice", "text")]
    words = ["Error: absolute, of held-out runs, in standard deviations of each target; from, to: its 95 % interval."]
    return table([*columns, *([("targets", "text"), ("runs", "number")] if several else [])], rows, words)
