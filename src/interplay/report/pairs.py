"""Pairs of tasks in words: which interact, how, and by how much.

I = benefit of both beyond the sum:
I > 0 synergy; I < 0 and each helps while the other is out, redundancy; I < 0 otherwise, antagonism  (design: section 1)

Where all pairs were tested together, that test says which of them interact, and their sizes are those of the reading,
as in the table and the map: one pair has one size. Elsewhere a pair is said where its own interval excludes 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..readings.discoveries import reliability
from ..readings.functional import Reading
from ..readings.spike_slab import CELL
from .words import plain

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..readings.discoveries import Discoveries

LIMIT = 5  # pairs in words
OPEN = "size open"  # of a pair that is named, where its own interval includes 0
UNSEEN = "size not seen"  # of one that is named, where the fit is additive


def pairs_lines(answer: Attribution, t: int, width: int = 24) -> list[str]:
    """What the runs say of the pairs on one target (column), the surest ones by name, in so many characters each."""
    if still(answer, t):
        return [f"Pairs: none, since {plain(answer.targets[t], 60)} never changes."]
    if np.isnan(answer.interactions[:, t]).all():
        read = [f"Pairs: none are read for {answer.reading}."]
    elif np.isnan(answer.interaction_deviation[:, t]).all():
        read = [f"Pairs: {len(answer.interactions)} read without intervals; none is put in words."]
    elif additive(answer, t):
        read = ["Pairs: none; in what was fitted, effects add up."]
    else:
        read = []
    found = answer.discoveries
    if found is not None and found.withheld(t):
        unknown = answer.trust.targets[t] == "not supported"
        why = "that it depends on the tasks is not supported" if unknown else "runs that stand out may make them"
        return [f"Pairs: none is named of {plain(answer.targets[t], 60)}: {why}."]
    if found is None or np.isnan(found.q[:, t]).all():
        untested = [f"Not tested together: {answer.untested.removesuffix('.')}."] if answer.untested else []
        return [*(read or _alone(answer, t, width)), *untested]
    together = _together(answer, found, t, width)
    if additive(answer, t):  # where pairs are named it is said in their line
        return together if found.named[:, t].any() else [*together, *read]
    return [*together, *(read or _count(answer, t))]


def _alone(answer: Attribution, t: int, width: int) -> list[str]:
    """The pairs whose own intervals exclude 0, where these are more than chance gives."""
    value, n = answer.interactions[:, t], len(answer.interactions)
    order = np.argsort(-np.abs(np.where(sure(answer, t), value, 0.0)), kind="stable")[:LIMIT]
    certain = int(sure(answer, t).sum())
    if not certain:
        return [f"Pairs: of {n} none differs from the sum of its tasks with certainty."]
    if certain <= 0.05 * n:
        return [f"Pairs: {certain} of {n} intervals exclude 0, no more than chance alone gives; none is put in words."]
    verdict = f"{answer.pairs_trust[t][0]}; " if answer.pairs_trust else ""
    lines = [f"  {_names(answer.tasks, answer.pairs[i], width)}: {_sized(answer, int(i), t)}" for i in order[:certain]]
    return [f"Pairs: {verdict}{_chance(answer, t)}:", *lines]


def _together(answer: Attribution, found: Discoveries, t: int, width: int) -> list[str]:
    """The pairs that the test of all together names, the surest first."""
    own = len(answer.interactions) == len(found.pairs) and bool(np.isfinite(answer.interaction_deviation[:, t]).all())
    order = np.lexsort((-np.abs(found.statistic[:, t]), found.q[:, t]))
    order = order[found.named[order, t]]
    few = int(np.isnan(found.q[:, t]).sum())
    rate, tested = f"at {100 * found.level:.3g} % false discoveries", len(found.pairs) - few
    cannot = f" {few} cannot be tested: fewer than {CELL} runs hold one of their four combinations." if few else ""
    if not len(order):
        size = found.resolution[t]
        seen = f"; most of those above {size:.2g} would be" if np.isfinite(size) and size > 0 else ""
        return [f"Pairs: none of {tested} is named {rate}, all tested together{seen}.{cannot}"]
    lines, unseen = [], additive(answer, t)
    for n in order[:LIMIT]:
        said = _sized(answer, int(n), t) if own else _tested_size(found, int(n), t)
        lines.append(f"  {_names(found.tasks, found.pairs[n], width)}{'' if unseen else f': {said}'}")
    more = [f"  {len(order) - LIMIT} more"] if len(order) > LIMIT else []
    unit = "" if own or not answer.links or answer.links[t] == "y" else f", in {answer.links[t]}"
    beside = f" (± half of its own 95 % interval{unit})"
    if unseen:
        beside = f"; in the fit, which is additive, {'its size is' if len(order) == 1 else 'their sizes are'} not seen"
    head = f"Pairs: {len(order)} of {tested} named {rate}, all tested together{beside}:"
    return [head, *lines, *more, *([cannot.strip()] if cannot else [])]


def _count(answer: Attribution, t: int) -> list[str]:
    """How many would be said one at a time, where these are more than chance gives, and how far sizes are known."""
    if sure(answer, t).sum() <= 0.05 * len(answer.interactions):
        return []
    verdict = f"; their sizes are {answer.pairs_trust[t][0]}" if answer.pairs_trust else ""
    return [f"One at a time, {_chance(answer, t)}{verdict}."]


def _chance(answer: Attribution, t: int) -> str:
    n, told = len(answer.interactions), reliability(_known(answer, t))[0]
    beside = f"chance alone: about {0.05 * n:.0f}; reliability {told:.2f}"
    return f"{int(sure(answer, t).sum())} of {n} intervals exclude 0 ({beside})"


def _names(tasks: tuple[str, ...], pair: NDArray[np.int64], width: int) -> str:
    first, second = (plain(tasks[k], width) for k in pair)
    return f"{first} and {second}"


def _sized(answer: Attribution, n: int, t: int) -> str:
    """Kind and size of one pair as it was read."""
    kind = kinds_of_interactions(answer, np.array([n * len(answer.targets) + t]))[0]
    return f"{kind} ({answer.interactions[n, t]:+.3g} ± {1.96 * answer.interaction_deviation[n, t]:.2g})"


def _tested_size(found: Discoveries, n: int, t: int) -> str:
    """Kind and size of one pair by the test itself, where the reading has none."""
    both = float(found.interaction[n, t])
    return f"{found.kind(n, t)} ({both:+.3g} ± {1.96 * abs(both / found.statistic[n, t]):.2g})"


def over_targets(answer: Attribution) -> list[str]:
    """Pairs that are named on some target, those of most targets first."""
    found = answer.discoveries
    if found is None:
        return ["", f"Pairs are not tested together: {answer.untested}."] if answer.untested else []
    T, counts = len(answer.targets), found.named.sum(axis=1)
    order = np.argsort(-counts, kind="stable")[: min(LIMIT, int((counts > 0).sum()))]
    rate = f"at {100 * found.level:.3g} % false discoveries"
    if not len(order):
        return ["", f"Pairs: none of {len(counts)} is named {rate} on any target."]
    said = [f"{_names(answer.tasks, answer.pairs[n], 24)} on {counts[n]} of {T} targets" for n in order]
    if more := int((counts > 0).sum()) - len(order):
        said.append(f"{more} more pairs")
    return ["", f"Pairs named {rate}: {', '.join(said)}."]


def sure(answer: Attribution, t: int) -> NDArray[np.bool_]:
    """Pairs (n,) whose own interval on one target (column) excludes 0 by more than rounding."""
    value, half = answer.interactions[:, t], 1.96 * answer.interaction_deviation[:, t]
    with np.errstate(invalid="ignore"):
        return (np.abs(value) > half) & (np.abs(value) > rounding(answer, t))


def told(answer: Attribution, t: int) -> tuple[NDArray[np.bool_], str]:
    """Pairs (n,) that are said to interact on one target, and which these are in words; '' where nothing tells."""
    found = answer.discoveries
    if found is not None and found.withheld(t):
        return np.zeros(len(answer.interactions), bool), "that are named; too little is known of this target"
    if found is not None and len(found.named) == len(answer.interactions) and np.isfinite(found.q[:, t]).any():
        said = f"named when all are tested together, {100 * found.level:.3g} % of them falsely at most"
        return found.named[:, t], said
    known = np.isfinite(answer.interaction_deviation[:, t]).any()
    return sure(answer, t), "whose 95 % interval excludes 0" if known else ""


def additive(answer: Attribution, t: int) -> bool:
    """Whether the interactions of one target (column) were read and are all 0, but for rounding."""
    value = answer.interactions[:, t]
    return bool(np.isfinite(value).any() and not np.nanmax(np.abs(value)) > rounding(answer, t))


def still(answer: Attribution, t: int) -> bool:
    """Whether one target (column) never changes: its effects are 0 for certain."""
    return bool(((answer.effects[:, t] == 0) & (answer.deviation[:, t] == 0)).all())


def rounding(answer: Attribution, target: int) -> float:
    """Size below which an interaction is rounding error: 1e-9 of the largest effect."""
    effects = np.abs(answer.effects[:, target])
    return 1e-9 * float(np.max(effects, where=np.isfinite(effects), initial=0.0))


def kinds_of_interactions(answer: Attribution, places: NDArray[np.int64]) -> list[str]:
    """What is known of each interaction, for places in the interactions laid out row by row.

    Synergy, redundancy or antagonism, see `kind_of_pair`; where its interval includes 0 'open', or `OPEN` if the test
    of all pairs names it nevertheless (`UNSEEN` where the fit is additive); 'no interval' where there is none, '' where
    nothing is known.
    """
    pair, t = np.divmod(places, answer.interactions.shape[1])
    value, half = answer.interactions.ravel()[places], 1.96 * answer.interaction_deviation.ravel()[places]
    least = np.array([rounding(answer, target) for target in range(len(answer.targets))])
    inside = _share(answer) * value
    with np.errstate(invalid="ignore"):
        redundant = (answer.effects[answer.pairs[pair].T, t] > inside).all(axis=0)
        kind = np.where(value > 0, "synergy", np.where(redundant, "redundancy", "antagonism"))
        certain = (np.abs(value) > half) & (np.abs(value) > least[t])
    found = answer.discoveries
    named = np.zeros(len(places), bool) if found is None else found.named.ravel()[places]
    flat = np.zeros(len(answer.targets), bool)
    flat[[target for target in np.unique(t[named]) if additive(answer, int(target))]] = True
    kind = np.where(certain, kind, np.where(named, np.where(flat[t], UNSEEN, OPEN), "open"))
    kind = np.where(np.isfinite(half), kind, "no interval")
    return np.where(np.isfinite(value), kind, "").tolist()


def kind_of_pair(interaction: float, first: float, second: float, share: float) -> str:
    """Synergy, redundancy or antagonism.

    The benefit of a task while the other is out is its effect less the ``share`` of the interaction that is in it: all
    where the other was in (leave-one-out), half where it was in half of the time, none for moves from a reference.
    """
    if interaction > 0:
        return "synergy"
    helps = first - share * interaction > 0 and second - share * interaction > 0
    return "redundancy" if helps else "antagonism"


def _known(answer: Attribution, t: int) -> Reading:
    """Interactions that are known on one target, with their deviations; their prior is not kept."""
    mean, deviation = answer.interactions[:, [t]], answer.interaction_deviation[:, [t]]
    known = (np.isfinite(mean) & np.isfinite(deviation))[:, 0]
    return Reading(mean[known], deviation[known], np.full_like(mean[known], np.nan))


def _share(answer: Attribution) -> float:
    """Share of an interaction that lies in the single effects: how often the other task was in."""
    if answer.reading == "swap":
        return (answer.size - 1) / max(len(answer.tasks) - 1, 1)
    return {"leave-one-out": 1.0, "move": 0.0}.get(answer.reading, 0.5)
