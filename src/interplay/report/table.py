"""An attribution as plain text: the verdict, one table, the strongest pairs in words, the truth, what to know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..directions import GUESSED
from ..trust.outlying import DECIDES
from ..units import OWN, meaning
from . import named, pairs
from .average import of_average
from .columns import table
from .steps import steps
from .summary import Summary
from .words import plain, shortened

if TYPE_CHECKING:
    from ..attribution import Attribution

SHOWN = 15  # tasks of each end that are printed
NARROW = 22  # characters of a target's name in a column
MOST_ORDERS = 6
LONG = 4000  # characters of what nobody would cut
ORDERS = ("single tasks", "pairs", "more")


def text(answer: Attribution, target: str | None = None, top: int = SHOWN) -> str:
    """Render an attribution.

    Parameters
    ----------
    answer : Attribution
    target : str, optional
        Show this target; with several targets and none named, a table over all of them.
    top : int
        At most this many tasks from each end.
    """
    T = len(answer.targets)
    if all(pairs.still(answer, t) for t in range(T)):
        title, _, verdict, *_ = head(answer)
        return "\n".join([title, verdict, f"Next: {plain(answer.trust.advice, LONG)}"])
    lines = [*head(answer), ""]
    if target is not None or T == 1:
        t = answer.targets.index(target) if target is not None else 0
        lines += [*_one(answer, t, top), *named.one(answer, t), *orders_lines(answer, [t])]
    else:
        lines += [
            *_many(answer, top),
            *pairs.over_targets(answer),
            *named.many(answer),
            *orders_lines(answer, range(T)),
        ]
    judged = truth_line(answer)
    lines += [*(["", judged] if judged else []), *_evidence(answer), *_foot(answer)]
    return "\n".join(lines)


def head(answer: Attribution) -> list[str]:
    """Title, reading, verdict and surrogate in sentences."""
    T = len(answer.targets)
    target = plain(answer.targets[0]) if T == 1 else f"{T} targets"
    lowest, highest = min(answer.rows), max(answer.rows)
    runs = f"{lowest} runs" if lowest == highest else f"{lowest} to {highest} runs a target"
    if (n := answer.averaged) > 1 and answer.fidelities is None:
        runs = f"{lowest * n} runs ({lowest} masks, each under {n} seeds)"
    lines = [
        f"Attribution of {target} to {len(answer.tasks)} task{'s' * (len(answer.tasks) != 1)}, {runs}",
        f"Reading: {answer.reading}, {answer.words}; {answer.why}.",
        f"Verdict: {answer.trust.headline}. {plain(answer.trust.reason, LONG)}",
        *(f"Check: {line}" for line in doubts(answer)),
    ]
    for i, step in enumerate(steps(answer)):
        lines.append(f"{'      ' if i else 'Next: '}{step.words}{f' {step.command}' * bool(step.command)}")
    said = [] if answer.fidelities is None else [plain(line, 400) for line in answer.fidelities.sentences]
    return [*lines, *said, answer.surrogate, *links(answer)]


def doubts(answer: Attribution) -> list[str]:
    """What a reader must know before the numbers: directions that were guessed, and runs that stand out on few targets.

    Said of runs that stand out on most targets is the verdict itself.
    """
    few = [fact for fact in answer.trust.facts if DECIDES in fact]
    guessed = [f"{warning.removesuffix('.')}." for warning in answer.warnings if GUESSED in warning]
    return [plain(line, 400) for line in (*few, *guessed)]


def links(answer: Attribution) -> list[str]:
    """In which unit the targets were fitted, where that is not their own."""
    logs = [link for link in answer.links if link != "y"]
    if not logs:
        return []
    if len(answer.targets) == 1:
        return [f"Fitted to {logs[0]}, y the target: its held-out rows are predicted best so."]
    gaps = sum(link != "log y" for link in logs)
    of = f"{len(logs)} of {len(answer.targets)} targets ({gaps} of the gap to a floor or ceiling)"
    return [f"Fitted to logarithms: {of}; their held-out rows are predicted best so."]


def _one(answer: Attribution, t: int, top: int) -> list[str]:
    if pairs.still(answer, t):
        return [f"{plain(answer.targets[t], 60)} never changes: there is nothing to attribute."]
    arrow = "higher is better" if answer.higher_is_better[t] else "lower is better"
    unit = answer.unit[t]
    own = f"{plain(answer.targets[t], 30)}, its own unit"
    meant = [] if unit == OWN else [f"Per cent: {meaning(unit, answer.higher_is_better[t])}."]
    unit = own if unit == OWN else unit
    columns, more = _beside(answer, t)
    columns = ["task", "benefit", "95 % interval", *columns]
    blank = [""] * (len(columns) - 2)
    rows = []
    order = np.argsort(-answer.effects[:, t], kind="stable")
    unknown = order[np.isnan(answer.effects[order, t])]  # they come last
    order = order[: len(order) - len(unknown)]
    for k in [*_ends(order, top), *map(int, unknown)]:
        if k is None:
            rows.append([f"... {len(order) - 2 * top} more", "", *blank])
            continue
        if np.isnan(answer.effects[k, t]):
            rows.append([plain(answer.tasks[k]), "not identifiable", *blank])
            continue
        certain = answer.lower[k, t] > 0 or answer.upper[k, t] < 0
        rows.append(
            [
                plain(answer.tasks[k]),
                f"{answer.effects[k, t]:+.4g}{' ' if certain else '?'}",
                f"{answer.lower[k, t]:+.3g} to {answer.upper[k, t]:+.3g}",
                *(cells[k] for cells in more),
            ]
        )
    rows += [[plain(name), "not identifiable", *blank] for name in answer.unidentified]
    head = f"Benefit in {unit} ({arrow}; positive helps; ? = the interval includes 0)"
    lines = [head, *meant, *table(columns, rows)]
    if len(answer.interactions):
        lines += ["", *pairs.pairs_lines(answer, t)]
    return lines


def _beside(answer: Attribution, t: int) -> tuple[list[str], list[list[str]]]:
    """Columns beside the benefits of one target, and their cells (P,)."""
    found: dict[str, list[str]] = {}
    if answer.reference is not None:
        found["weight"] = [f"{w:.3g}" for w in answer.reference]
    if (counted := answer.amounts) is not None:
        if np.isfinite(counted.epochs).any():
            found["epochs"] = [_number(n, "") for n in counted.epochs]
        effects = answer.effects[:, [t]]
        for name, values in (("per 1e9 tokens", counted.per_billion(effects)), ("per cost", counted.per_cost(effects))):
            if np.isfinite(values).any():
                found[name] = [
                    _number(v) + (" " if low > 0 or high < 0 else "?")
                    for v, low, high in zip(values[:, 0], answer.lower[:, t], answer.upper[:, t], strict=True)
                ]
    if answer.truth is not None:
        found["truth"] = [_number(v) for v in answer.truth.effects[:, t]]
    return list(found), list(found.values())


def _many(answer: Attribution, top: int) -> list[str]:
    """Over many targets: effects in units of the spread of each target's effects, and how many they help or hurt."""
    found = Summary.of(answer)
    names, around = short_targets(answer)
    names, order = [*names, "-"], found.order  # the last stands for none
    rows = []
    for k in _ends(order, top):
        if k is None:
            rows.append([f"... {len(order) - 2 * top} more", "", "", "", "", ""])
            continue
        rows.append(
            [
                plain(answer.tasks[k]),
                f"{found.mean[k]:+.{found.places}f}{' ' if found.sure[k] else '?'}"
                if found.known[k]
                else "not identifiable",
                str(found.helps[k]),
                str(found.hurts[k]),
                names[found.best[k]],
                names[found.worst[k]],
            ]
        )
    rows += [[plain(name), "not identifiable", "", "", "", ""] for name in answer.unidentified]
    return [
        f"Mean benefit over {len(answer.targets)} targets, in {found.unit}; positive helps;",
        "? = the interval of the mean includes 0. Number of targets that a task helps and hurts for certain, all",
        "tested together (5 % false discoveries)" + around,
        *table(["task", "benefit", "helps", "hurts", "most helped", "most hurt"], rows),
        *(plain(line, LONG) for line in of_average(answer, found)),
    ]


def short_targets(answer: Attribution) -> tuple[list[str], str]:
    """Names of the targets that fit into a column, and what was left out of them."""
    names = list(answer.targets)
    around = ""
    if max(map(len, names)) > NARROW:
        names, around = shortened(names)
    return [plain(name, NARROW) for name in names], f"; targets are {plain(around)}" if around else ""


def orders_lines(answer: Attribution, targets: Iterable[int]) -> list[str]:
    """How much of the variance single tasks, pairs and more explain: a line per target for which that is known."""
    known = [t for t in targets if t < answer.orders.shape[1] and np.isfinite(answer.orders[:, t]).all()]
    if not known:
        return []
    lines = []
    for t in known[:MOST_ORDERS]:
        share, half = answer.orders[:, t], 1.96 * answer.orders_deviation[:, t]
        ends = zip(share, np.maximum(share - half, 0.0), np.minimum(share + half, 1.0), strict=True)
        cells = [f"{name} {s:.0%} ({low:.0%} to {high:.0%})" for name, (s, low, high) in zip(ORDERS, ends, strict=True)]
        of = "" if answer.links[t] == "y" else f", of {answer.links[t]}"
        lines.append(f"  {plain(answer.targets[t])}{of}: {', '.join(cells)}")
    if len(known) > MOST_ORDERS:
        lines.append(f"  ... {len(known) - MOST_ORDERS} more targets")
    return ["", "Variance over random halves of the tasks, and what explains it (95 % intervals):", *lines]


def truth_line(answer: Attribution) -> str:
    """How near the truth the effects are, beside its ceiling; '' without a truth."""
    truth = answer.truth
    if truth is None:
        return ""
    spearman, ceiling, one = (_mean(values) for values in (truth.spearman, truth.ceiling, truth.one_round))
    over = "" if len(answer.targets) == 1 else f", mean of {len(answer.targets)} targets"
    seeds = f"{truth.seeds} seed{'s' if truth.seeds != 1 else ''}"
    line = f"Truth: leave-one-out retraining, {seeds}{over}. "
    if not np.isfinite(spearman):
        return line + "Too few tasks with an effect on both sides to correlate."
    line += f"Spearman {spearman:.2f}"
    if np.isfinite(ceiling):
        line += f", ceiling {ceiling:.2f}; one round of leave-one-out of one seed reaches {one:.2f}"
    else:
        line += "; ceiling unknown " + ("(one seed)" if truth.seeds < 2 else "(no two seeds ran every task)")
    known = np.isfinite(truth.effects) & np.isfinite(answer.effects)
    inside = ((answer.lower <= truth.effects) & (truth.effects <= answer.upper))[known].mean()
    return f"{line}. {inside:.0%} of the measured effects lie inside the 95 % intervals."


def _evidence(answer: Attribution) -> list[str]:
    """What the verdict rests on."""
    facts = [plain(fact, 400) for fact in answer.trust.facts if DECIDES not in fact]
    return ["", "How far to believe it (ranges are 95 % intervals):", *(f"  {fact}" for fact in facts)] if facts else []


def _number(value: float, sign: str = "+") -> str:
    return f"{value:{sign}.4g}" if np.isfinite(value) else "-"


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _foot(answer: Attribution) -> list[str]:
    lines = notes(answer)
    return ["", *lines] if lines else []


def notes(answer: Attribution) -> list[str]:
    """What to know: of the runs, of the data that they were trained on, and of the estimator behind estimates."""
    lines = [f"Note: {plain(warning, 300)}" for warning in answer.warnings if GUESSED not in warning]
    lines += [f"Data: {plain(str(warning), 300)}" for warning in answer.notes.get("warnings") or ()]
    estimator = answer.notes.get("estimator")
    if isinstance(estimator, dict):
        if answer.fidelities is None and "verdict" in estimator:  # of several fidelities their own sentences say it
            said = f"{plain(str(estimator['verdict']), 40)}: {plain(str(estimator.get('reason', '')), 600)}"
            lines += [f"Estimator: {said}"]
        who = "Estimator" if answer.fidelities is None else "Estimator, before retrained masks judged it"
        lines += [f"{who}: {plain(str(warning), 400)}" for warning in estimator.get("warnings", ())]
    return lines


def _ends(order: np.ndarray, top: int) -> list[int | None]:
    if len(order) <= 2 * top + 1:
        return [int(k) for k in order]
    return [*(int(k) for k in order[:top]), None, *(int(k) for k in order[-top:])]
