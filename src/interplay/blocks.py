"""Readings of all targets: every surrogate of a predictor is asked, and what it says becomes benefits.

benefit = sign x reading of g, sign = +1 where higher is better and -1 where lower is. Under a log link g is
log(y - c) or log(c - y); what cannot be brought back to the target's own unit is 100 times a difference of these
logarithms: per cent, where it is small, of the gap between the target and its floor or ceiling c  (design: section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from .fidelities import Fidelities, described, worth_of_runs
from .fitting import Design
from .predictor import Predictor, Z
from .readings import Question, Reading, walsh_spectrum
from .readings.discoveries import LEAST, Discoveries, discover
from .surrogates.alternatives import extra_variance
from .surrogates.base import GaussianSurrogate, threads
from .surrogates.fidelity import FidelitySurrogate
from .units import OWN, unit

Array = NDArray[np.float64]
AFFORDABLE = 5e10
INSIDE = 0.95  # of the intervals
RESOLVED = 3.0  # runs for each task and pair of a mixture, from which links are told apart well enough
MANY_TARGETS = 20  # above, testing the pairs of all targets would take longer than everything else


@dataclass(frozen=True, eq=False)
class Effects:
    """What the surrogates of all targets say, put together.

    Attributes
    ----------
    effects, deviation, prior : array (P, T)
        Benefits, posterior and prior standard deviations; NaN where a target's runs never switch the task.
    interactions, interaction_deviation : array (n, T)
    skill : array (T,)
        Held-out R^2 of the surrogate taken.
    over : array (2, T)
        Gain over the constant and its standard error, see `surrogates.Choice`.
    unit : tuple of str (T,)
    """

    effects: Array
    deviation: Array
    prior: Array
    interactions: Array
    interaction_deviation: Array
    skill: Array
    over: Array
    unit: tuple[str, ...]

    def first(self, n: int) -> Effects:
        """The same of the first ``n`` targets."""
        each = ("effects", "deviation", "prior", "interactions", "interaction_deviation", "skill", "over")
        kept: dict[str, Any] = {name: getattr(self, name)[..., :n] for name in each}
        return replace(self, **kept, unit=self.unit[:n])

    @property
    def told(self) -> Array:
        """How many effects the runs tell, array (T,): sum of 1 - posterior / prior variance (MacKay 1992)."""
        ratio = np.divide(self.deviation, self.prior, out=np.ones_like(self.prior), where=self.prior > 0)
        return np.nansum(1.0 - np.minimum(ratio, 1.0) ** 2, axis=0)

    def widened(self, extra: Array, student: Array) -> Effects:
        """The same with deviations ``student`` (T,) times as large, and a variance ``extra`` (T,) beside."""
        known = self.deviation > 0  # what never changes stays certain
        return replace(self, deviation=np.where(known, np.sqrt(student**2 * self.deviation**2 + extra), self.deviation))


def student(freedom: Array) -> Array:
    """How much wider 95 % intervals are where noise is known by so many degrees of freedom (T,): Student's t."""
    return student_t.ppf(0.5 * (1.0 + INSIDE), np.maximum(freedom, 1.0)) / Z


def read_effects(predictor: Predictor, asked: Question, pairs: bool) -> Effects:
    """Ask every surrogate for the effects of all tasks, and of all pairs if ``pairs``."""
    P, T = len(predictor.players.names), len(predictor.targets)
    skill, over, units = np.zeros(T), np.zeros((2, T)), [OWN] * T
    for targets, choice in predictor.choices:
        skill[targets] = choice.skill[choice.name]
        over[:, targets] = choice.over_constant, choice.over_constant_error
        if not asked.own_unit(choice.surrogate):
            for i, t in enumerate(targets):
                units[t] = unit(choice.surrogate.link_, i)
    skill[predictor.constant] = 0.0
    scale = np.where(np.array(units) == OWN, 1.0, 100.0)
    single = gathered(predictor, asked.effects, np.eye(P), scale)
    k, l = np.triu_indices(P if pairs else 0, 1)
    both = gathered(predictor, asked.pairs if pairs else None, np.eye(P)[k] + np.eye(P)[l], scale)
    for targets, choice in predictor.choices:
        if _one_at_a_time(choice.surrogate.X_):
            both.mean[:, targets] = both.deviation[:, targets] = np.nan
    return Effects(single.mean, single.deviation, single.prior, both.mean, both.deviation, skill, over, tuple(units))


def _one_at_a_time(X: Array) -> bool:
    """Whether these are masks (m, P) none of which lacks two tasks: what two do together is the prior's alone."""
    return bool(np.isin(X, (0.0, 1.0)).all() and (X == 0).sum(axis=1).max() < 2)


def over_links(found: Effects, design: Design, predictor: Predictor, asked: Question) -> Effects:
    """The same with what the choice of the links adds to the variances, where few runs of mixtures leave that open.

    Few: less than `RESOLVED` for each task and pair.
    """
    runs, n, P = design.runs, len(found.interactions), len(found.effects)
    if runs.kind != "mixture" or design.at is not None:
        return found

    def ask(surrogate: GaussianSurrogate) -> Array:
        both = asked.pairs(surrogate) if n else None
        return np.concatenate([asked.effects(surrogate).mean, *([] if both is None else [both.mean])])

    deviation = np.concatenate([found.deviation, found.interaction_deviation])
    for targets, choice in predictor.choices:
        measured = np.isfinite(runs.values[:, targets[0]])
        if measured.sum() >= RESOLVED * P * (P + 1) / 2:
            continue
        with threads(int(measured.sum())):
            extra = extra_variance(choice.surrogate, runs.values[np.ix_(measured, targets)], ask)
        cells = np.ix_(np.arange(len(extra)), targets)
        still = predictor.constant[targets]
        deviation[cells] = np.where(still, deviation[cells], np.sqrt(deviation[cells] ** 2 + extra))
    return replace(found, deviation=deviation[:P], interaction_deviation=deviation[P:])


def read_orders(predictor: Predictor) -> tuple[Array, Array]:
    """Shares of single tasks, pairs and more in the variance over random masks, and their deviations, (3, T) each.

    NaN for a target that never changes, or whose surrogate has single tasks only: there the shares are assumed; and
    where there are so many runs that products of m x m matrices, a few for every fit, would take minutes.
    """
    share, deviation = np.full((2, 3, len(predictor.targets)), np.nan)
    for targets, choice in predictor.choices:
        fits = [fit for fit in choice.surrogate.fits_ if fit.loadings is None]
        if choice.name == "ridge" or len(fits) * float(len(choice.surrogate.X_)) ** 3 > AFFORDABLE:
            continue
        with threads(len(choice.surrogate.X_)):
            found = walsh_spectrum(choice.surrogate)
        share[:, targets], deviation[:, targets] = found.expected, found.deviation
    share[:, predictor.constant] = deviation[:, predictor.constant] = np.nan
    return share, deviation


def read_discoveries(design: Design, predictor: Predictor) -> tuple[Discoveries | None, str]:
    """Test every pair of players on every target, in the unit of its link; and say why none is tested.

    Levels of coupled seeds are taken off first. Columns of targets that never change are NaN; those that nobody asks
    about are left out.
    """
    runs, P, T = design.runs, len(predictor.players.names), len(predictor.targets) - predictor.beside
    if runs.kind != "mask" or P < 2 or not predictor.asked.any():
        return None, ""
    if design.at is not None:
        return None, "on runs of several fidelities; take one alone (--fidelity)"
    if predictor.asked.sum() > MANY_TARGETS:
        return None, f"for at most {MANY_TARGETS} targets at once; choose some (--target)"
    parts = []
    for targets, choice in predictor.choices:
        if not (own := predictor.asked[targets]).any():
            continue
        surrogate, link = choice.surrogate, choice.surrogate.link_[own]
        measured = np.isfinite(runs.values[:, targets[0]])
        Z = link.forward(runs.values[np.ix_(measured, targets[own])])
        up = np.array(predictor.higher_is_better)[targets[own]] == (link.sign >= 0)
        try:
            found = discover(surrogate.X_, _level(Z, surrogate, own), higher_is_better=up)
        except ValueError as error:
            if _one_at_a_time(surrogate.X_):
                return None, "no run lacks two tasks, so nothing is known of pairs (interplay design --for pairs)"
            fewest = P + 1 + LEAST - len(np.unique(surrogate.X_, axis=0))
            return None, f"{fewest} more masks are needed for that" if fewest > 0 else str(error)
        parts.append((targets[own], found))
    whole: dict[str, Any] = {"tasks": predictor.players.names, "targets": predictor.targets[:T]}
    for name in ("interaction", "statistic", "p", "probability", "q", "named", "effects", "resolution"):
        first = getattr(parts[0][1], name)
        whole[name] = np.full((*first.shape[:-1], T), False if name == "named" else np.nan)
        for columns, found in parts:
            whole[name][..., columns] = getattr(found, name)
    return replace(parts[0][1], **whole), ""


def read_fidelities(design: Design, predictor: Predictor, asked: Question) -> Fidelities:
    """Compare the fidelities, and what one more run of each would bring to the effects."""
    worth, names, joined = np.empty(0), (), False
    for _, choice in predictor.choices:
        surrogate = choice.surrogate
        if isinstance(surrogate, FidelitySurrogate):
            joined, names = True, surrogate.fidelities_
            if surrogate.affordable:
                with threads(len(surrogate.X_)):
                    worth = worth_of_runs(surrogate, lambda one: asked.effects(one).deviation)
            break
    return described(design.runs, predictor.fidelity, joined, worth.tolist(), names if len(worth) else ())


def _level(Z: Array, surrogate: GaussianSurrogate, own: NDArray[np.bool_]) -> Array:
    """Values (m, n) without the levels of coupled seeds: the mean residual of each seed's runs."""
    H = surrogate.rows_.basis
    if H.shape[1] < 2:
        return Z
    residual = Z - surrogate.link_[own].forward(np.reshape(surrogate.predict(surrogate.X_), (len(Z), -1))[:, own])
    return Z - H @ np.linalg.lstsq(H, residual, rcond=None)[0]


def gathered(
    predictor: Predictor,
    ask: Callable[[GaussianSurrogate], Reading | None] | None,
    involved: Array,
    scale: Array | float = 1.0,
) -> Reading:
    """Benefits (n, T) of n questions; ``involved`` (n, P) is not 0 for the players that each is about.

    What involves a player that the runs of a target never switch is NaN there; where a target never changes it is 0.
    """
    shape = len(involved), len(predictor.targets)
    mean, deviation, prior = (np.full(shape, np.nan) for _ in range(3))
    for targets, choice in predictor.choices:
        with threads(len(choice.surrogate.X_)):
            found = None if ask is None or not len(involved) else ask(choice.surrogate)
        if found is None:
            continue
        lost = (involved[:, np.ptp(choice.surrogate.X_, axis=0) == 0] != 0).any(axis=1)
        for held, values in ((mean, found.mean), (deviation, found.deviation), (prior, found.prior)):
            held[:, targets] = np.where(lost[:, None], np.nan, values)
    with np.errstate(invalid="ignore"):
        for held in (mean, deviation, prior):
            held[:, predictor.constant] *= 0.0  # nothing changes: what is left is rounding; NaN stays
    return Reading(mean * scale * predictor.sign, deviation * scale, prior * scale)
