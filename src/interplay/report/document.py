"""An answer as the page shows it: sentences, tables and figures, of all targets together and of each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures
from ..fields import listed
from ..figures.spectrum import unread
from ..provenance import counted
from ..trust import VERDICTS
from ..trust.facts import limits
from ..units import OWN
from ..units import meaning as meaning_of
from . import tables
from .average import AGAINST, OVER, against, on_average, task_by_task
from .brief import Brief
from .pairs import pairs_lines, still
from .steps import steps
from .summary import Summary
from .table import doubts, head, links, notes, orders_lines, truth_line
from .words import plainly, shown

if TYPE_CHECKING:
    from ..attribution import Attribution

Part = dict[str, Any]
NAMED = 5
COVERS = "standard deviation of an effect after the runs over that before (median)"
HALF = "± is half of the 95 % interval"
#: Targets up to which each shows so many tasks in the map of pairs, and so many pairs; so that the page stays small.
ROOM = ((100, 40, 200), (500, 24, 60), (np.inf, 16, 40))
WORDS = {
    "solid": "Solid: what helps and what hurts is told apart, and its order can be trusted on the whole; not that of "
    "neighbours whose intervals overlap.",
    "indicative": "Trust the largest effects, not the order of the rest.",
    "not supported": "These runs do not answer this question. Do not act on the effects below.",
}
#: The same of several targets.
MANY = {
    "solid": "Solid: within each target what helps and what hurts is told apart, and its order can be trusted on the "
    "whole; not that of neighbours whose intervals overlap. This is no verdict on the average over targets.",
    "mixed": "Each verdict is of the effects within one target: where solid, their order can be trusted on the "
    "whole, not that of neighbours whose intervals overlap; where indicative, the largest alone{}. "
    "None is a verdict on the average over targets.",
    "indicative": "Within each target trust the largest effects, not the order of the rest. "
    "This is no verdict on the average over targets.",
}
NONE = "; where not supported, none"


def whole(answer: Attribution) -> Part:
    """What concerns all targets."""
    T = len(answer.targets)
    title, reading, *_ = head(answer)
    brief, unseen = Brief.of(answer), limits(answer.trust.facts)
    first = [*short(brief.answer, 0), ("Unit", f"{unit(answer, 0)}; {HALF}")] if T == 1 else short_over(brief.answer)
    moves = not all(still(answer, t) for t in range(T))
    first = first if moves else []
    part: Part = {
        "title": title,
        "reading": reading,
        "verdict": look(answer),
        "headline": answer.trust.headline,
        "meaning": meaning(answer),
        "reason": answer.trust.reason,
        "doubts": doubts(answer),
        "steps": steps(answer),
        "fidelities": [] if answer.fidelities is None else list(answer.fidelities.sentences),
        "surrogate": answer.surrogate if moves else "",
        "links": links(answer),
        "facts": list(answer.trust.facts),
        "notes": [note.removeprefix("Note: ") for note in notes(answer)],
        "truth": truth_line(answer),
        "short": [*first, *([("Not in these runs", " ".join(unseen))] if unseen else [])],
        "names": brief.said,
        "made": made(answer),
        "targets": [shown(name) for name in answer.targets],
        "verdicts": list(answer.trust.targets),
    }
    part["figures"] = {"overview": figures.overview(answer), "learning_curve": figures.learning_curve(answer)}
    held: dict[str, tables.Table | None] = {"surrogates": tables.surrogates(answer) if moves else None}
    if T > 1:
        held |= {"over_targets": tables.over_targets(brief.answer), "targets": tables.targets(brief.answer)}
        for kind, given in (("group", answer.groups), ("contrast", answer.contrasts)):
            held[f"{kind}s_over"] = tables.asked_over(answer, given, kind)
    return part | {"tables": {name: brief.titled(table) for name, table in held.items()}}


def meaning(answer: Attribution) -> str:
    """What the verdict is of, and what it means for who acts on it."""
    each, verdict = set(answer.trust.targets), answer.trust.verdict
    if len(answer.targets) == 1 or each == {"not supported"}:
        return WORDS[verdict]
    if len(each) > 1:
        return MANY["mixed"].format(NONE * ("not supported" in each))
    return MANY.get(verdict, WORDS[verdict])


def look(answer: Attribution) -> str:
    """The verdict that the page's colour and mark show: of several targets no better than that of half of them."""
    levels = sorted(VERDICTS.index(one) for one in answer.trust.targets)
    return VERDICTS[min(VERDICTS.index(answer.trust.verdict), levels[(len(levels) - 1) // 2])]


def unit(answer: Attribution, t: int) -> str:
    """In what the benefits of one target are, in words."""
    own, name = answer.unit[t], shown(answer.targets[t], 80)
    return f"{name}, its own unit" if own == OWN else f"{name}, {own} ({meaning_of(own, answer.higher_is_better[t])})"


def of_target(answer: Attribution, t: int, brief: Brief | None = None) -> Part:
    """What concerns one target (column); ``brief`` is the answer with short names, where it is at hand."""
    brief = brief or Brief.of(answer)
    short_names = brief.answer
    direction = "higher is better" if answer.higher_is_better[t] else "lower is better"
    trust, (tasks, pairs) = answer.trust, next(room[1:] for room in ROOM if len(answer.targets) <= room[0])
    names = ("expected Pearson correlation with the true effects", "held-out R²", "held-out Spearman")
    values = zip(
        (*names, "ceiling by repeats", COVERS),
        (trust.agreement, trust.skill, trust.ranks, trust.ceiling, trust.coverage),
        strict=True,
    )
    if still(answer, t):
        return {
            "name": shown(answer.targets[t]),
            "verdict": trust.targets[t],
            "about": never(answer, t),
            "known": "",
        } | {"short": [], "pairs": pairs_lines(short_names, t, 60), "orders": [], "figures": {}, "tables": {}}
    known = "; ".join(f"{name} {one[t]:.2f}" for name, one in values if len(one) and np.isfinite(one[t]))
    return {
        "name": shown(answer.targets[t]),
        "verdict": trust.targets[t],
        "about": f"Benefit in {unit(answer, t)}; {direction}; positive helps; {HALF}.",
        "known": known[:1].upper() + known[1:],
        "short": short(short_names, t),
        "pairs": pairs_lines(short_names, t, 60) if len(answer.interactions) else [],
        "orders": [line for line in orders_lines(answer, [t]) if line] or [f"How much is additive: {unread(answer)}."],
        "figures": {
            "effects": figures.effects(answer, t),
            "interactions": figures.interactions(answer, t, tasks),
            "measured_vs_predicted": figures.measured_vs_predicted(answer, t),
            "spectrum": figures.spectrum(answer, t),
            "coverage": figures.coverage(answer, t),
            "mixture": figures.mixture(answer, t),
        },
        "tables": {
            "effects": brief.titled(tables.effects(short_names, t)),
            "pairs": brief.titled(tables.pairs(short_names, t, pairs)),
            "groups": tables.asked(answer, answer.groups, "group", t),
            "contrasts": tables.asked(answer, answer.contrasts, "contrast", t),
            "outliers": tables.outliers(short_names, t),
        },
    }


def never(answer: Attribution, t: int) -> str:
    """That one target (column) never changes, which is all that there is to say."""
    return f"{shown(answer.targets[t], 80)} never changes: there is nothing to attribute."


def short(answer: Attribution, t: int) -> list[tuple[str, str]]:
    """What helps, what hurts and what is open on one target, in words."""
    effects, low, high = answer.effects[:, t], answer.lower[:, t], answer.upper[:, t]
    order = np.argsort(-np.nan_to_num(effects), kind="stable")
    helps, hurts = [k for k in order if low[k] > 0], [k for k in order[::-1] if high[k] < 0]
    unknown = [k for k in range(len(effects)) if not (low[k] > 0 or high[k] < 0)]
    cell = lambda k: f"{shown(answer.tasks[k], 40)} ({effects[k]:+.3g} ± {high[k] - effects[k]:.2g})"
    named = lambda found: listed([cell(k) for k in found], NAMED)
    said = [("Helps", named(helps) or "nothing for certain"), ("Hurts", named(hurts) or "nothing for certain")]
    if unknown:
        said.append(("Cannot be told from 0", f"{len(unknown)} of {len(effects)} tasks"))
    return [*said, *_never(answer)]


def short_over(answer: Attribution) -> list[tuple[str, str]]:
    """The same over all targets."""
    found = Summary.of(answer)
    other = [(AGAINST, words)] if (words := against(answer, found)) else []
    return [(OVER, on_average(answer, found)), *other, *task_by_task(answer, found), *_never(answer)]


def _never(answer: Attribution) -> list[tuple[str, str]]:
    """Tasks that no run tells anything about."""
    names = [shown(name, 40) for name in answer.unidentified]
    return [("Never switched", listed(names, NAMED))] if names else []


def made(answer: Attribution) -> list[tuple[str, str]]:
    """What was done, in rows of a name and words."""
    done = answer.made
    rows = [("Reading", f"{answer.reading}: {answer.words}; {answer.why}")]
    if not all(still(answer, t) for t in range(len(answer.targets))):
        rows.append(("Surrogate", answer.surrogate))
    if done:
        options = shown(plainly(done["options"]), 2000)
        rows += [("Version", f"interplay {done['interplay']}"), ("Options", options)]
        for name in ("runs", "truth"):
            if name in done:
                of = shown(answer.targets[0], 80) if len(answer.targets) == 1 else "each target"
                words = f"{counted(done[name], of)}, fingerprint {done[name]['fingerprint']}"
                rows.append((name.capitalize(), words))
        rows += [("Command", shown(done["command"], 2000))] if "command" in done else []
    kinds = [name for name in ("coupled", "absent_tasks", "training", "optimizer") if name in answer.notes]
    noted = {name: plainly(one) if isinstance(one := answer.notes[name], dict) else str(one) for name in kinds}
    rows += [(f"Noted: {name}", shown(words, 400)) for name, words in noted.items()]
    return rows
