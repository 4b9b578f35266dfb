"""An answer as the page shows it: sentences, tables and figures, of all targets together and of each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import figures
from ..fields import listed
from . import tables
from .summary import Summary
from .table import head, links, notes, orders_lines, pairs_lines, tested, truth_line
from .words import shown

if TYPE_CHECKING:
    from ..attribution import Attribution

Part = dict[str, Any]
NAMED = 5
COVERS = "standard deviation of an effect after the runs over that before (median)"
#: Targets above which each shows fewer pairs, so that the page stays small.
MANY = 100
WORDS = {
    "solid": "The answer is sound for this question.",
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
        "meaning": WORDS[answer.trust.verdict],
        "reason": answer.trust.reason,
        "advice": answer.trust.advice,
        "fidelities": [] if answer.fidelities is None else list(answer.fidelities.sentences),
        "surrogate": answer.surrogate,
        "links": links(answer),
        "facts": list(answer.trust.facts),
        "notes": notes(answer),
        "truth": truth_line(answer),
        "short": short(answer, 0) if T == 1 else short_over(answer),
        "made": made(answer),
        "targets": [shown(name) for name in answer.targets],
        "verdicts": list(answer.trust.targets),
    }
    part["figures"] = {"overview": figures.overview(answer), "learning_curve": figures.learning_curve(answer)}
    part["tables"] = {"surrogates": tables.surrogates(answer)}
    if T > 1:
        part["tables"] |= {"over_targets": tables.over_targets(answer), "targets": tables.targets(answer)}
    return part


def of_target(answer: Attribution, t: int) -> Part:
    """What concerns one target (column)."""
    direction = "higher is better" if answer.higher_is_better[t] else "lower is better"
    unit = "its own unit" if answer.unit[t] == "own" else f"{answer.unit[t]}: 100 × a difference of logarithms"
    trust, many = answer.trust, len(answer.targets) > MANY
    names = ("expected correlation with the true effects", "held-out R²", "held-out Spearman", "ceiling by repeats")
    values = zip(
        (*names, COVERS),
        (trust.agreement, trust.skill, trust.ranks, trust.ceiling, trust.coverage),
        strict=True,
    )
    known = "; ".join(f"{name} {one[t]:.2f}" for name, one in values if len(one) and np.isfinite(one[t]))
    return {
        "name": shown(answer.targets[t]),
        "verdict": trust.targets[t],
        "about": f"Benefit in {shown(answer.targets[t], 80)}, {unit}; {direction}; positive helps.",
        "known": known[:1].upper() + known[1:],
        "short": short(answer, t),
        "pairs": [*pairs_lines(answer, t, 60), *tested(answer, t)] if len(answer.interactions) else [],
        "orders": [line for line in orders_lines(answer, [t]) if line],
        "figures": {
            "effects": figures.effects(answer, t),
            "interactions": figures.interactions(answer, t, **({"most": 24} if many else {})),
            "measured_vs_predicted": figures.measured_vs_predicted(answer, t),
            "spectrum": figures.spectrum(answer, t),
            "coverage": figures.coverage(answer, t),
            "mixture": figures.mixture(answer, t),
        },
        "tables": {
            "effects": tables.effects(answer, t),
            "pairs": tables.pairs(answer, t, 60 if many else 200),
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
    named = lambda found: listed([f"{shown(answer.tasks[k], 40)} ({effects[k]:+.3g})" for k in found], NAMED)
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
    counts = [f"{list(answer.trust.targets).count(v)} {v}" for v in ("solid", "indicative", "not supported")]
    return [
        ("Helps more targets than it hurts", named(best) or "no task"),
        ("Hurts more targets than it helps", named(worst) or "no task"),
        ("Targets", ", ".join(counts)),
    ]


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
