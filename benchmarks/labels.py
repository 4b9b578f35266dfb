"""What a case is, and the rule by which its verdict is known.

E (K, T) are the exact effects of the reading that is asked, as benefits; e (K, T) is what the library states: the
effects of `interplay.attribute`, never its verdict. The effect of tasks that always switch together is shared evenly
among them, and that of a task that is never switched counts as 0: nothing is stated about it.

r of a draw is the mean over targets of the Pearson correlation of e and E; the cosine where the effects in E are nearly
all equal (sd < 5 % of their rms), 0 where the target has no effects (E = 0), for then nothing could be found:

    solid          mean over draws >= .93, and r >= .9 in at least 85 % of the draws; every task is switched
    indicative     .60 <= mean <= .86
    not supported  mean <= .45, and r <= .6 in at least 85 % of the draws

Problems in between are in no case, so that a verdict is right or wrong and no matter of taste. The rule looks at E,
which no user has and no verdict can see.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay import Evaluations, attribute, metrics

Array = NDArray[np.float64]

Problem = Callable[[np.random.Generator], "Asked"]

SOLID, INDICATIVE, NOT = VERDICTS = ("solid", "indicative", "not supported")


@dataclass(frozen=True, eq=False)
class Asked:
    """Runs, and what is asked of them.

    Attributes
    ----------
    runs : Evaluations
    options : dict
        Keyword arguments of `interplay.attribute`.
    truth : array (K, T) or None
        Exact effects of the reading that is asked, as benefits; None where there are none to know.
    target : int
        A target whose own verdict, too, is that of the case.
    """

    runs: Evaluations
    options: dict[str, Any] = field(default_factory=dict)
    truth: Array | None = None
    target: int = 0


@dataclass(frozen=True, eq=False)
class Case:
    """A problem whose verdict is known.

    Attributes
    ----------
    name : str
    family : str
    build : callable
        The number of a draw -> runs and what is asked. Everything random is seeded from the name and the draw.
    verdict : str
        'solid', 'indicative' or 'not supported'.
    why : str
        One sentence of an honest statistician.
    half : str
        'tune' or 'judge'.
    measured : bool
        Whether the rule sets the verdict; otherwise it holds by construction, and `why` says how.
    """

    name: str
    family: str
    build: Callable[[int], Asked]
    verdict: str
    why: str
    half: str = ""
    measured: bool = True


def generator(name: str, draw: int) -> np.random.Generator:
    """The source of everything random in a draw of a case: no two cases and no two draws share noise."""
    return np.random.default_rng([zlib.crc32(name.encode()), draw])


def case(family: str, name: str, verdict: str, why: str, problem: Problem, *, measured: bool = True) -> Case:
    """A case whose draws are seeded by its name."""
    return Case(name, family, lambda draw: problem(generator(name, draw)), verdict, why, measured=measured)


def score(asked: Asked) -> float:
    """r of one draw: how well the stated effects agree with the exact ones."""
    if asked.truth is None:
        return float("nan")
    if not asked.truth.any():
        return 0.0
    e, E = stated(asked), asked.truth
    return float(np.mean([_agreement(e[:, t], E[:, t]) for t in range(E.shape[1])]))


def stated(asked: Asked) -> Array:
    """What the library states of every single task (K, T)."""
    runs = asked.runs
    answer = attribute(runs, pairs=False, **asked.options)
    out = np.zeros((runs.K, runs.T))
    for player, effects in zip(answer.tasks, np.nan_to_num(answer.effects), strict=True):
        members = [runs.tasks.index(name) for name in player.split(" + ")]
        out[members] = effects / len(members)
    return out


def label(scores: Iterable[float]) -> str:
    """The verdict that the rule gives to r over draws, '' where it gives none."""
    r = np.asarray(list(scores), float)
    if r.mean() >= 0.93 and share(r, SOLID) >= 0.85:
        return SOLID
    if 0.60 <= r.mean() <= 0.86:
        return INDICATIVE
    return NOT if r.mean() <= 0.45 and share(r, NOT) >= 0.85 else ""


def share(scores: Iterable[float], verdict: str) -> float:
    """Share of draws on the verdict's side: r >= .9 (solid), r <= .6 (not supported), within .45 and .93 (between)."""
    r = np.asarray(list(scores), float)
    sides = {SOLID: r >= 0.9, NOT: r <= 0.6, INDICATIVE: (r > 0.45) & (r < 0.93)}
    return float(sides[verdict].mean())


def _agreement(e: Array, E: Array) -> float:
    size = float(np.sqrt((E**2).mean()))
    if size == 0:
        return 0.0
    if E.std() < 0.05 * size:
        length = float(np.linalg.norm(e) * np.linalg.norm(E))
        return float(e @ E) / length if length else 0.0
    return float(np.nan_to_num(metrics.pearson(e, E)))
