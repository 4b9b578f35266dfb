"""Pairs of tasks in words, and names that are safe to show.

I = benefit of both beyond the sum, said only where its interval excludes 0:
I > 0 synergy; I < 0 and each helps while the other is out, redundancy; I < 0 otherwise, antagonism  (design: section 1)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..fields import listed

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..readings.discoveries import Discoveries


HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
FORMULA = (*"=+-@\t\r\n", *"＝＋－＠")  # first characters; the wide ones count in some countries
NAMES = 60  # texts of up to this many characters are names


def plain(name: str, width: int = 40) -> str:
    """Name without control, direction and line characters, cut to ``width``; '(empty)' if nothing is left."""
    shown = harmless(name).strip() or "(empty)"
    if len(shown) <= width:
        return shown
    end = width // 3 if width <= NAMES else 0  # names often differ only in their end
    return shown[: width - 1 - end] + "…" + shown[len(shown) - end :]


def harmless(text: str) -> str:
    """Text with a question mark for each control, direction and line character."""
    return "".join("?" if unicodedata.category(c) in HIDDEN else c for c in text)


def shown(name: str, width: int = 500) -> str:
    """`plain` for pages, where there is room for long names."""
    return plain(str(name), width)


def shortened(names: Sequence[str]) -> tuple[list[str], str]:
    """Names without what they all begin and end with, cut at a separator; and that, as 'begin...end' or ''."""
    ends = around(names)
    return without(names, ends), "...".join(ends) if any(ends) else ""


def around(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator; '' and '' where that would leave nothing of one."""
    if len(names) < 2:
        return "", ""
    start = _common(names)
    end = _common([name[len(start) :][::-1] for name in names])[::-1]
    return ("", "") if any(len(name) == len(start) + len(end) for name in names) else (start, end)


def without(names: Sequence[str], ends: tuple[str, str]) -> list[str]:
    """Names without what all of them begin and end with."""
    start, end = map(len, ends)
    return [name[start : len(name) - end] for name in names]


def _common(names: Sequence[str]) -> str:
    """What all names begin with, up to a separator."""
    least, most = min(names), max(names)
    n = next((i for i, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))
    return least[: max((least.rfind(separator, 0, n) for separator in "/_.:- "), default=-1) + 1]


def pair_words(answer: Attribution, target: int, limit: int = 5, width: int = 24) -> tuple[list[str], int]:
    """Strongest pairs of one target in words, and how many intervals exclude 0.

    Parameters
    ----------
    answer : Attribution
    target : int
        Column.
    limit : int
        Pairs to put in words.
    width : int
        Characters of a name.
    """
    if not len(answer.interactions):
        return [], 0
    value, deviation = answer.interactions[:, target], answer.interaction_deviation[:, target]
    with np.errstate(invalid="ignore"):
        certain = (np.abs(value) > 1.96 * deviation) & (np.abs(value) > rounding(answer, target))
    order = np.argsort(-np.abs(np.where(certain, value, 0.0)), kind="stable")[: min(limit, int(certain.sum()))]
    lines = []
    for n in order:
        k, l = answer.pairs[n]
        kind = kind_of_interaction(answer, int(n), target)
        lines.append(
            f"{plain(answer.tasks[k], width)} and {plain(answer.tasks[l], width)}: {kind} "
            f"({value[n]:+.3g} ± {1.96 * deviation[n]:.2g})"
        )
    return lines, int(certain.sum())


def rounding(answer: Attribution, target: int) -> float:
    """Size below which an interaction is rounding error: 1e-9 of the largest effect."""
    effects = np.abs(answer.effects[:, target])
    return 1e-9 * float(np.max(effects, where=np.isfinite(effects), initial=0.0))


def kind_of_interaction(answer: Attribution, pair: int, target: int) -> str:
    """Synergy, redundancy or antagonism of one pair (row) on one target, see `kind_of_pair`."""
    first, second = answer.effects[answer.pairs[pair], target]
    return kind_of_pair(float(answer.interactions[pair, target]), first, second, _share(answer))


def kinds_of_interactions(answer: Attribution, places: NDArray[np.int64]) -> list[str]:
    """What the interval of each interaction says, for places in the interactions laid out row by row.

    Synergy, redundancy or antagonism; 'open' where it includes 0, 'no interval' where there is none, '' where nothing
    is known.
    """
    pair, t = np.divmod(places, answer.interactions.shape[1])
    value, half = answer.interactions.ravel()[places], 1.96 * answer.interaction_deviation.ravel()[places]
    least = np.array([rounding(answer, target) for target in range(len(answer.targets))])
    inside = _share(answer) * value
    with np.errstate(invalid="ignore"):
        redundant = (answer.effects[answer.pairs[pair].T, t] > inside).all(axis=0)
        found = np.where(value > 0, "synergy", np.where(redundant, "redundancy", "antagonism"))
        found = np.where((np.abs(value) > half) & (np.abs(value) > least[t]), found, "open")
    found = np.where(np.isfinite(half), found, "no interval")
    return np.where(np.isfinite(value), found, "").tolist()


def named_pairs(found: Discoveries, target: int, limit: int = 5, width: int = 60) -> str:
    """Pairs that a test of all together names on one target, the surest first, each with its 95 % interval.

    The interval is that of the pair's own t; of pairs that were picked for their size it is a little too far out.
    """
    order = np.lexsort((-np.abs(found.statistic[:, target]), found.q[:, target]))
    order = order[found.named[order, target]]
    words = []
    for n in order[:limit]:
        (k, l), both = found.pairs[n], float(found.interaction[n, target])
        alone = found.effects[[k, l], target] - found.presence[[l, k]] * both  # while the other is out
        kind = kind_of_pair(both, float(alone[0]), float(alone[1]), 0.0)
        half = 1.96 * abs(both / found.statistic[n, target])
        words.append(
            f"{plain(found.tasks[k], width)} + {plain(found.tasks[l], width)} {kind} ({both:+.3g} ± {half:.2g})"
        )
    return ", ".join([*words, *([f"{len(order) - limit} more"] if len(order) > limit else [])])


def _share(answer: Attribution) -> float:
    """Share of an interaction that lies in the single effects: how often the other task was in."""
    if answer.reading == "swap":
        return (answer.size - 1) / max(len(answer.tasks) - 1, 1)
    return {"leave-one-out": 1.0, "move": 0.0}.get(answer.reading, 0.5)


def kind_of_pair(interaction: float, first: float, second: float, share: float) -> str:
    """Synergy, redundancy or antagonism.

    The benefit of a task while the other is out is its effect less the ``share`` of the interaction that is in it: all
    where the other was in (leave-one-out), half where it was in half of the time, none for moves from a reference.
    """
    if interaction > 0:
        return "synergy"
    helps = first - share * interaction > 0 and second - share * interaction > 0
    return "redundancy" if helps else "antagonism"


def of_mask(tasks: Sequence[str], mask: np.ndarray, most: int = 12) -> str:
    """Tasks that a run lacks, or holds where these are fewer; of weights the largest. At most so many are named."""
    if not binary(mask):
        order = [int(k) for k in np.argsort(-np.abs(mask), kind="stable") if mask[k]]
        return listed([f"{shown(tasks[k], 40)} {mask[k]:.3g}" for k in order], most)
    out, inside = np.flatnonzero(mask == 0).tolist(), np.flatnonzero(mask != 0).tolist()
    if not out or not inside:
        return "nothing" if inside else "everything"
    fewer, start = (out, "") if len(out) <= len(inside) else (inside, "all but ")
    return start + listed([shown(tasks[k], 40) for k in fewer], most)


def binary(masks: np.ndarray) -> bool:
    """Whether each task is in or out, without weights."""
    return bool(np.isin(masks, (0, 1)).all())


def safe_cell(name: str) -> str:
    """Name for a CSV cell that no spreadsheet takes for a formula."""
    return "'" + name if name.lstrip(" ")[:1] in FORMULA else name
