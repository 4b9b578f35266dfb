"""From evidence to a verdict: solid, indicative or not supported; the reason in a sentence; what to run next.

Every reason for less than 'solid' is a `Doubt` with the level it allows, what it says, and what would lift it; the
verdict is the lowest level, and its doubt is the one that is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from ..readings import Question
from .advice import beside_solid, by_leave_one_out, more_runs, repeats_that_tell
from .evidence import Evidence
from .facts import SILENT, VERDICTS, counted, facts, numbers, overall
from .outlying import DECIDES
from .reach import HALF

Array = NDArray[np.float64]

COVERED = 0.9  # posterior sd in units of the prior's, above which nothing is known
AGREES, HINTS = 0.89, 0.53  # expected correlations with the truth
CERTAIN, NOTHING = 0.1, 0.3  # p up to which a target is taken to depend on the tasks, and from which it is not
SOLID = 0.05  # p above which no target is solid: of noise alone so many would be
TOGETHER = 0.05  # p of all targets together, at which each may be less certain by itself
NOTICEABLE = 1.5  # deviations of the largest effect
CHANCE = 0.1  # share of effects that stand out of their intervals, no more than which is nothing
SEEN = 0.02  # p at which a target is certain without a look at the error of its skill
CALIBRATED = 0.8  # share of held-out rows inside 95 % intervals
SURE = 3.0  # deviations of a group or contrast from 0
SEEDS = 0.2  # share of the spread of effects between seeds that is said
COMPLETE = "Nothing is missing for this reading."
PART = 0.6  # held-out R^2 below which runs are said to be predicted in part
FAINT = 0.5  # held-out R^2 above which effects that are all near 0 mean that tasks act together


@dataclass(frozen=True)
class Trust:
    """Verdict on one reading, overall and per target.

    Attributes
    ----------
    verdict : str
        'solid', 'indicative' or 'not supported'.
    reason, advice : str
        Why, in one sentence, and what to run to make it better.
    targets : tuple of str (T,)
        Verdict of each target.
    coverage, skill, resolution : tuple of float (T,)
        Posterior over prior deviation (median), held-out R^2, share of the spread of effects that is signal.
    agreement : tuple of float (T,)
        Expected correlation of the effects with the true ones.
    ranks : tuple of float (T,)
        Spearman of held-out rows.
    p : tuple of float (T,)
        Of the test whether the target depends on the tasks at all.
    calibration : tuple of float (T,)
        Share of held-out rows inside their 95 % intervals.
    ceiling : tuple of float (T,)
        Highest correlation that any prediction can reach with single runs, from repeats; NaN where no mask is repeated.
    facts : tuple of str
        The evidence in sentences.
    """

    verdict: str
    reason: str
    advice: str
    targets: tuple[str, ...]
    coverage: tuple[float, ...]
    skill: tuple[float, ...]
    resolution: tuple[float, ...]
    agreement: tuple[float, ...] = ()
    ranks: tuple[float, ...] = ()
    p: tuple[float, ...] = ()
    calibration: tuple[float, ...] = ()
    ceiling: tuple[float, ...] = ()
    facts: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The verdict in a few words; of several targets with how many have which.

        Where their verdicts differ, one word for all is said only if it is a warning.
        """
        if len(self.targets) < 2:
            return self.verdict
        alike, counts = len(set(self.targets)) == 1, counted(self.targets)
        if alike and self.targets[0] == self.verdict:
            return f"{self.verdict}, {counts.removesuffix(f' {self.verdict}')}"
        return counts if self.verdict == VERDICTS[-1] else f"{self.verdict} together; {counts}"


@dataclass(frozen=True)
class Doubt:
    """What keeps a verdict down."""

    level: int
    reason: str
    advice: str
    weight: float  # of doubts of one level the heaviest is said


def weigh(
    found: Evidence,
    asked: Question,
    *,
    runs: int,
    single: int,
    targets: Sequence[str],
    unidentified: Sequence[str] = (),
    opposed: Sequence[tuple[str, str]] = (),
    lost: NDArray[np.bool_] | None = None,
    far: NDArray[np.bool_] | None = None,
    outliers: tuple[str, str] = ("", ""),
    training: str = "",
    seeds: Collection[int] = (),
    estimated: bool = False,
    at: str | None = None,
    averaged: int = 1,
) -> Trust:
    """Weigh the evidence on the effects that were read.

    Parameters
    ----------
    found : Evidence
    asked : Question
    runs, single : int
        Rows of the fit, and single runs behind them.
    targets : sequence of str (T,)
    unidentified : sequence of str
        Tasks that no run tells anything about.
    opposed : sequence of (str, str)
        Pairs of tasks of which always one is in.
    lost : array (T,) of bool, optional
        Targets whose own runs never switch some task.
    far : array (T,) of bool, optional
        Targets on which runs lie so far from all others that they may decide the answer, see `outlying`.
    outliers : (str, str)
        These runs, and their values, in words.
    training : str
        How the runs were trained where tasks were left out, in words.
    seeds : collection of int
        Seeds of the runs; -1 where not stated.
    estimated : bool
        Whether the runs are estimates, which repeat exactly and stand for other runs.
    at : str, optional
        The fidelity that is asked about, where there are several.
    averaged : int
        Runs in each row of the fit: seeds under which every mask was run.
    """
    T, runs = len(targets), runs * averaged
    believed = _believed(found)
    lost = np.zeros(T, bool) if lost is None else lost
    far, few = np.zeros(T, bool) if far is None else far, ()
    unknown = (lost | far).tolist() if not unidentified else [True] * T
    each = [_level(found, t, float(believed[t]), unknown[t]) for t in range(T)]
    doubts = _doubts(found, believed, asked, runs, targets, unidentified, opposed, each, at)
    if lost.all():
        reason = "Some tasks are never switched where the targets were measured; the others are known."
        doubts.append(Doubt(1, reason, "Measure these targets in runs that switch them.", 0.1))
    if far.any():
        which, values = outliers
        several = which.startswith("runs")
        reason = f"{which[:1].upper()}{which[1:]} {'stand' if several else 'stands'} out ({values}), {DECIDES}."
        advice = f"Check {which}, repeat {'them' if several else 'it'}, or leave {'them' if several else 'it'} out."
        if 2 * far.sum() >= found.changes.sum():  # said before all else
            lowest = min((doubt.level for doubt in doubts), default=1)
            besides = min((one for one in doubts if one.level == 0), key=lambda one: -one.weight, default=None)
            reason += f" {besides.reason}" if besides else ""
            doubts.append(Doubt(min(lowest, 1), reason, advice, 9.0))
        else:
            few = (f"{reason} {advice}",)
    worst = min(doubts, key=lambda doubt: (doubt.level, -doubt.weight), default=None)
    if worst is None:
        level, by = 2, "predict runs they have not seen" + ", in part" * (float(np.median(found.skill)) < PART)
        if not (found.skill > 1.96 * found.skill_error)[found.changes].any():
            by = "repeat well"
        reason = f"The {runs} runs tell {asked.name} effects apart and {by}."
        weaker = beside_solid(found, runs, targets, each, lost, wanted=(HINTS, AGREES), at=at)
        repeats = "" if estimated else repeats_that_tell(found, " runs")
        advice = weaker or repeats or COMPLETE
    else:
        level, reason, advice = worst.level, worst.reason, worst.advice
    better = "" if estimated else by_leave_one_out(found, asked, single)
    values = (found.coverage, found.skill, found.resolution, believed * found.agreement)
    values = (*values, found.ranks, found.p, found.calibration, np.sqrt(found.share))
    return Trust(
        VERDICTS[level],
        f"{reason.removesuffix('.')} {numbers(found, believed, T, estimated)}.",
        f"{advice} {better}".strip(),
        tuple(VERDICTS[one] for one in each),
        *(tuple(np.asarray(value, float).tolist()) for value in values),
        facts=(*few, *facts(found, believed, targets, each, training, seeds, estimated, averaged)),
    )


def _believed(found: Evidence) -> Array:
    """How far each target is taken to depend on the tasks, 0 to 1, array (T,)."""
    p = found.p / 2.0 if found.joint <= TOGETHER and len(found.p) > 1 else found.p
    weight = np.clip((NOTHING - p) / (NOTHING - CERTAIN), 0.0, 1.0)
    together = (found.skill >= FAINT) & (found.sure <= CHANCE) & (found.ridge < found.skill / 2.0)
    known = (found.largest >= NOTICEABLE) & ~together
    if found.masks <= found.players + 1 and not found.repeats:  # nothing is left over to tell the noise by
        known &= found.skill > 0
    return np.where(known, weight, 0.0)


def _level(found: Evidence, t: int, believed: float, unknown: bool) -> int:
    """Level of one target."""
    q = believed * found.agreement[t]
    if q < HINTS or found.coverage[t] > COVERED:
        return 0
    few = found.masks < found.players or found.calibration[t] < CALIBRATED or not _skilled(found)[t]
    few |= found.p[t] > SOLID
    return 2 if q >= AGREES and not few and not unknown else 1


def _skilled(found: Evidence) -> NDArray[np.bool_]:
    """Targets whose skill is certain, by held-out runs or by repeats, array (T,)."""
    return (found.skill > 1.96 * found.skill_error) | (found.p <= SEEN)


def _doubts(
    found: Evidence,
    believed: Array,
    asked: Question,
    runs: int,
    targets: Sequence[str],
    unidentified: Sequence[str],
    opposed: Sequence[tuple[str, str]],
    each: Sequence[int],
    at: str | None,
) -> list[Doubt]:
    """Everything that speaks against 'solid', over all targets together."""
    q = overall(found, believed)
    level, out = 2 if q >= AGREES else 1 if q >= HINTS else 0, []
    further = lambda wanted: more_runs(found, runs, wanted, at)
    faint = (found.p <= CERTAIN) & (believed == 0) & (found.skill >= FAINT) & (found.ridge < found.skill / 2.0)
    seen = [name for name, one in zip(targets, each, strict=True) if one > 0]
    if level == 0 and found.table and not found.repeats:
        reason = "Leave-one-out was run once: nothing tells what a task does from the noise of a training."
        advice = f"Repeating {found.masks} of them under another seed would tell."
        out.append(Doubt(0, reason, advice, 3.0))
    elif level == 0 and faint.mean() >= 0.5:
        reason = "Runs are predicted, but not by single tasks: none has an effect that differs from 0 on average."
        out.append(Doubt(0, reason, "Read the pairs: tasks act together here.", 3.0))
    elif level == 0 and not believed.any():
        reason = f"Nothing shows that {_named(targets)} depends on the tasks"
        least = f"p = {found.p.min():.2f}{', the least' * (len(targets) > 1)}"
        reason += f": shuffled runs are predicted as well ({least})."
        if found.p.min() <= CERTAIN:
            reason = f"No effect stands out of its interval in {runs} runs."
        advice = f"Nothing says that more such runs would help. {repeats_that_tell(found)}".strip()
        out.append(Doubt(0, reason, advice, 3.0))
    elif level == 0 and len(targets) > 1 and seen and (believed > 0).mean() < 0.5:
        are = "is" if len(seen) == 1 else "are"
        reason = f"Only {len(seen)} of {len(targets)} targets {are} known at all."
        out.append(Doubt(0, reason, f"Attribute by itself what is known (--target): {listed(seen, 5)}.", 3.0))
    far = found.outside > HALF
    if far and level < 2:
        reason = (
            f"The runs lie {found.distance:.1f} standard deviations of their sizes from the question of {asked.name}"
        )
        reason += ", and what they leave unexplained may be what decides there."
        design = f"interplay design --for {_design(asked.name)}"
        advice = f"Make runs for this question ({design}), or read what these runs answer."
        out.append(Doubt(level, reason, advice, 2.0))
    if float(np.median(found.coverage)) > COVERED:
        reason = (
            f"The runs say almost nothing about the question of {asked.name}: the posterior is as wide as the prior."
        )
        advice = "Make runs for this question (interplay design --for ...), or ask for a reading that these runs cover."
        out.append(Doubt(0, reason, advice, 1.5 if level == 0 else 2.5))
    if found.players < found.tasks:
        missing = found.tasks - found.players
        alike = missing > len(unidentified) + len(opposed)
        never = f"{listed(unidentified, 4)} {'is' if len(unidentified) == 1 else 'are'} never switched"
        either = [f"{a} and {b}" for a, b in opposed]
        one = f"always one of {listed(either, 3)} is in, and only their difference is known"
        why = [never] * bool(unidentified) + [one] * bool(opposed)
        why += ["the effects are those of groups that always switch together"] * (alike and not unidentified)
        reason = f"{found.players} of {found.tasks} tasks can be told apart: {'; '.join(why)}."
        itself = "" if len(unidentified) == 1 else ", each switched by itself"
        wanted = [f"with and without {listed(unidentified, 4)}{itself}"] * bool(unidentified)
        wanted += [f"with both of {listed(either, 3)}, or neither"] * bool(opposed)
        wanted += ["that switch tasks of one group apart"] * alike
        advice = f"Add runs {', and runs '.join(wanted)}."
        cap = 1 if unidentified or missing else 2
        apart = np.sqrt(max(found.players - 1, 0) / (found.tasks - 1))
        out.append(Doubt(min(cap, 0 if apart < HINTS else level), reason, advice, 1.8))
    if level < 2:
        reason = (
            "The order of the tasks is not resolved: effects differ little beside their intervals."
            if level == 0
            else "Large effects are in sight, the order of the others is not."
        )
        if level and (told := float(np.median(found.sure[found.changes]))) <= CHANCE:
            reason = (
                f"The effects stand out together, hardly any by itself: {told * found.players:.0f} of "
                f"{found.players} intervals exclude 0{', median of targets' * (len(targets) > 1)}; by chance alone "
                f"{0.05 * found.players:.0f} would."
            )
        if level and not (found.skill[found.changes] > 0).any():
            reason = (
                "Some effects stand out of their intervals, but held-out runs are predicted no better than by the mean."
            )
        if found.between > SEEDS:
            reason = (
                f"Seeds disagree about the tasks: {found.between:.0%} of the spread of the effects is between them."
            )
        out.append(Doubt(level, reason, further(AGREES if level else HINTS), 1.0))
    if level == 2 and not np.median(_skilled(found)[found.changes]):
        reason = "Effects stand out of their intervals, but it is not certain that held-out runs are predicted at all."
        out.append(Doubt(1, reason, further(AGREES), 0.9))
    if found.masks < found.players:
        counts = f"fewer different runs ({found.masks}) than tasks ({found.players})"
        reason = f"There are {counts}: most of what is said is the prior's."
        out.append(Doubt(min(level, 1), reason, further(AGREES if level else HINTS), 1.2 if level else 0.5))
    inside = float(np.nanmedian(found.calibration)) if np.isfinite(found.calibration).any() else 1.0
    if inside < CALIBRATED:
        reason = f"Intervals are too narrow: {inside:.0%} of held-out runs lie inside their 95 % intervals."
        out.append(Doubt(min(level, 1), reason, "Repeat masks over seeds, so that the noise is seen.", 1.1))
    return out


def _named(targets: Sequence[str]) -> str:
    return targets[0] if len(targets) == 1 else f"any of {len(targets)} targets"


def _design(reading: str) -> str:
    return reading if reading in ("leave-one-out", "shapley", "banzhaf", "swap") else "..."


def of_pairs(mean: Array, deviation: Array, effects: Trust) -> tuple[tuple[str, str], ...]:
    """Verdict on the interactions (n, T) of every target, and why; nothing where they have no intervals.

    They are judged by their own intervals; what speaks against the target itself speaks against its pairs.
    """
    if not mean.size or np.isnan(deviation).all():
        return ()
    out = []
    for t, (E, sd) in enumerate(zip(mean.T, deviation.T, strict=True)):
        known = np.isfinite(E) & np.isfinite(sd)
        size, noise = float((E[known] ** 2).mean()), float((sd[known] ** 2).mean())
        share = size / (size + noise) if size + noise > 0 else 0.0
        certain, chance = int((np.abs(E[known]) > 1.96 * sd[known]).sum()), 0.05 * known.sum()
        agreement = np.sqrt(share)
        if effects.p[t] > CERTAIN or certain <= chance or agreement < HINTS:
            level, why = 0, f"{certain} of {known.sum()} intervals exclude 0, chance alone gives {chance:.0f}"
        else:
            level = 2 if agreement >= AGREES and certain > 3.0 * chance else 1
            why = f"expected correlation with the true interactions {agreement:.2f}"
        out.append((VERDICTS[level], why))
    return tuple(out)


def of_named(effects: Array, deviation: Array, coverage: Array, trust: Trust) -> NDArray[np.int64]:
    """Verdicts on groups or contrasts (n, T), as indices of `VERDICTS`, each by its own interval.

    Not supported where the runs say nothing of it, or of its target; solid where it is far from 0 and well covered.
    """
    signal = np.array([p <= CERTAIN for p in trust.p])
    with np.errstate(invalid="ignore"):
        sure = (np.abs(effects) > SURE * deviation) & (coverage <= COVERED / 2)
        known = signal & (coverage <= COVERED) & np.isfinite(effects)
    return np.where(known, 1 + sure, 0)


def limited(found: Trust, estimator: Mapping[str, Any]) -> Trust:
    """Let no verdict on estimated runs be better than the estimator's own.

    Parameters
    ----------
    found : Trust
    estimator : mapping
        Diagnostics that travel with the runs; 'faithful' limits nothing, 'ranking only' and 'unknown' (nothing was
        retrained to judge by) allow 'indicative', 'unfaithful' nothing.
    """
    state = str(estimator.get("verdict", "unknown"))
    if state == "unknown" and float(estimator.get("displacement_max", 0.0)) > 2.0:  # in units of |W0|
        state = "unfaithful"
    return at_most(
        found,
        {"faithful": 2, "ranking only": 1, "unfaithful": 0}.get(state, 1),
        f"The runs are estimates, and the estimator is {state}. {found.reason}",
        "Retrain a few of these masks and attribute them together with the estimates: then it is measured how far "
        "these are off.",
    )


def at_most(found: Trust, level: int, reason: str, advice: str) -> Trust:
    """Lower a verdict to ``level`` (an index of `VERDICTS`), with another reason and advice, where it is better.

    Targets are lowered by themselves.
    """
    before = [VERDICTS.index(one) for one in found.targets]
    after = [min(one, level) for one in before]
    facts = found.facts
    if after != before and len(after) > 1 and not any(after):
        kept = [line for line in facts if not line.startswith(SILENT)]
        facts = (*kept, f"{SILENT} any of {len(after)} targets.")
    lowered = replace(found, targets=tuple(VERDICTS[one] for one in after), facts=facts)
    if VERDICTS.index(found.verdict) <= level:
        return lowered
    return replace(lowered, verdict=VERDICTS[level], reason=reason, advice=advice)
