"""An answer as the page shows it: sentences, tables and figures, of all targets together and of each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures
from ..fields import listed
from ..figures.spectrum import unread
from . import tables
from .summary import Summary
from .table import head, links, notes, orders_lines, pairs_lines, tested, truth_line
from .words import shown

if TYPE_CHECKING:
    from ..attribution import Attribution

Part = dict[str, Any]
NAMED = 5
COVERS = "standard deviation of an effect after the runs over that before (median)"
HALF = "± is half of the 95 % interval"
#: Tasks of the largest mean, or of the largest effect on one target, that are named.
BEST = 3
#: Targets up to which each shows so many tasks in the map of pairs, and so many pairs; so that the page stays small.
ROOM = ((100, 40, 200), (500, 24, 60), (np.inf, 16, 40))
WORDS = {
    "solid": "The answer is sound for this question{}.",
    "indicative": "Trust the largest effects, not the order of the rest.",
    "not supported": "These runs do not answer this question. Do not act on the effects below.",
}


def whole(answer: Attribution) -> Part:
    """What concerns all targets."""
    T = len(answer.targets)
    title, reading, *_ = head(answer)
    part: Part = {
        "title": title,
        "reading": reading,
        "verdict": answer.trust.verdict,
        "meaning": meaning(answer),
        "reason": answer.trust.reason,
        "advice": answer.trust.advice,
        "fidelities": [] if answer.fidelities is None else list(answer.fidelities.sentences),
        "surrogate": answer.surrogate,
        "links": links(answer),
        "facts": list(answer.trust.facts),
        "notes": [note.removeprefix("Note: ") for note in notes(answer)],
        "truth": truth_line(answer),
        "short": [*short(answer, 0), ("Unit", f"{unit(answer, 0)}; {HALF}")] if T == 1 else short_over(answer),
        "made": made(answer),
        "targets": [shown(name) for name in answer.targets],
        "verdicts": list(answer.trust.targets),
    }
    part["figures"] = {"overview": figures.overview(answer), "learning_curve": figures.learning_curve(answer)}
    held: dict[str, tables.Table | None] = {"surrogates": tables.surrogates(answer)}
    if T > 1:
        held |= {"over_targets": tables.over_targets(answer), "targets": tables.targets(answer)}
        for kind, given in (("group", answer.groups), ("contrast", answer.contrasts)):
            held[f"{kind}s_over"] = tables.asked_over(answer, given, kind)
    return part | {"tables": held}


def meaning(answer: Attribution) -> str:
    """What the verdict means for who acts on it."""
    T, sound = len(answer.targets), answer.trust.targets.count("solid")
    over = f", on average over targets: {sound} of {T} are solid by themselves" if sound < T else ""
    return WORDS[answer.trust.verdict].format(over)


def unit(answer: Attribution, t: int) -> str:
    """In what the benefits of one target are, in words."""
    own, name = answer.unit[t], shown(answer.targets[t], 80)
    return f"{name}, its own unit" if own == "own" else f"{name}, {own}: 100 × a difference of logarithms"


def of_target(answer: Attribution, t: int) -> Part:
    """What concerns one target (column)."""
    direction = "higher is better" if answer.higher_is_better[t] else "lower is better"
    trust, (tasks, pairs) = answer.trust, next(room[1:] for room in ROOM if len(answer.targets) <= room[0])
    names = ("expected Pearson correlation with the true effects", "held-out R²", "held-out Spearman")
    values = zip(
        (*names, "ceiling by repeats", COVERS),
        (trust.agreement, trust.skill, trust.ranks, trust.ceiling, trust.coverage),
        strict=True,
    )
    known = "; ".join(f"{name} {one[t]:.2f}" for name, one in values if len(one) and np.isfinite(one[t]))
    return {
        "name": shown(answer.targets[t]),
        "verdict": trust.targets[t],
        "about": f"Benefit in {unit(answer, t)}; {direction}; positive helps; {HALF}.",
        "known": known[:1].upper() + known[1:],
        "short": short(answer, t),
        "pairs": [*pairs_lines(answer, t, 60), *tested(answer, t, intervals=True)] if len(answer.interactions) else [],
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
            "effects": tables.effects(answer, t),
            "pairs": tables.pairs(answer, t, pairs),
            "groups": tables.asked(answer, answer.groups, "group", t),
            "contrasts": tables.asked(answer, answer.contrasts, "contrast", t),
            "outliers": tables.outliers(answer, t),
        },
    }


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
    if answer.unidentified:
        said.append(("Never switched", listed([shown(name, 40) for name in answer.unidentified], NAMED)))
    return said


def short_over(answer: Attribution) -> list[tuple[str, str]]:
    """The same over all targets."""
    T = len(answer.targets)
    found = Summary.of(answer)
    helps, hurts = found.helps, found.hurts
    best = [k for k in np.argsort(-(helps - hurts), kind="stable") if helps[k] > hurts[k]]
    worst = [k for k in np.argsort(-(hurts - helps), kind="stable") if hurts[k] > helps[k]]
    named = lambda rows: listed(
        [f"{shown(answer.tasks[k], 40)} (helps {helps[k]} of {T} targets, hurts {hurts[k]})" for k in rows], NAMED
    )
    counts = {v: answer.trust.targets.count(v) for v in ("solid", "indicative", "not supported")}
    said = [("Best on average", _on_average(answer, found))]
    said.append(("Helps more targets than it hurts", named(best) or "no task"))
    if single := _on_one(answer, found):
        said.append(("Helps some targets, hurts others", single))
    said.append(("Hurts more targets than it helps", named(worst) or "no task"))
    return [*said, ("Targets", ", ".join(f"{n} {v}" for v, n in counts.items() if n))]


def _on_average(answer: Attribution, found: Summary) -> str:
    """The tasks of the highest mean benefit, in words."""
    T, helps, hurts = len(answer.targets), found.helps, found.hurts
    best = [k for k in found.order if found.known[k] and found.mean[k] > 0][:BEST]
    if not best:
        return "no task: every mean is at most 0"
    words = []
    for k in best:
        sure = "" if found.mean[k] > found.half[k] else "?"
        size = f"{found.mean[k]:+.2f}{sure} ± {found.half[k]:.2g} at most"
        words.append(f"{shown(answer.tasks[k], 40)} ({size}; helps {helps[k]} of {T} targets, hurts {hurts[k]})")
    open_ = "; ? = that interval includes 0" if any("?" in word for word in words) else ""
    return f"{'; '.join(words)}. In root mean squares of each target's own effects{open_}"


def _on_one(answer: Attribution, found: Summary) -> str:
    """Tasks that help and hurt targets for certain, and the target that each helps most, in words; '' for none."""
    both = np.flatnonzero((found.best >= 0) & (found.worst >= 0))
    order = both[np.argsort(-found.relative[both, found.best[both]], kind="stable")]
    words = []
    for k in order[:NAMED]:
        t = found.best[k]
        value, half = found.relative[k, t], found.width[k, t]
        words.append(f"{shown(answer.tasks[k], 40)}, most {shown(answer.targets[t], 40)} ({value:+.2f} ± {half:.2g})")
    more = f"; ... ({len(order) - NAMED} more)" if len(order) > NAMED else ""
    return f"{'; '.join(words)}{more}. In root mean squares of that target's effects" if words else ""


def made(answer: Attribution) -> list[tuple[str, str]]:
    """What was done, in rows of a name and words."""
    done = answer.made
    rows = [("Reading", f"{answer.reading}: {answer.words}; {answer.why}"), ("Surrogate", answer.surrogate)]
    if done:
        options = ", ".join(f"{name}={value!r}" for name, value in done["options"].items())
        rows += [("Version", f"interplay {done['interplay']}"), ("Options", options)]
        for name in ("runs", "truth"):
            if name in done:
                rows.append((name.capitalize(), f"{done[name]['rows']} rows, fingerprint {done[name]['fingerprint']}"))
        rows += [("Command", shown(done["command"], 2000))] if "command" in done else []
    kinds = [name for name in ("coupled", "absent_tasks", "training", "optimizer") if name in answer.notes]
    rows += [(f"Noted: {name}", shown(str(answer.notes[name]), 400)) for name in kinds]
    return rows
