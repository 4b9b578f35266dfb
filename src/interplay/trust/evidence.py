"""What speaks for and against a reading, in numbers: one entry per target.

agreement   expected correlation of the stated effects with the true ones,  q = sqrt(resolution) a f
            resolution = spread / (spread + v), spread that of the stated effects around their mean (around 0 where they
            are all alike), v their mean posterior variance; where several seeds ran, v is at least 1.5 b, b the
            variance of the mean over seeds, itself unsure; a, f: the factors below
told apart  a = sqrt((players - 1) / (tasks - 1)): tasks that no run switches, or never by themselves, have no effect of
            their own; of two of which always one is in only the difference is known
far         f = sqrt(R^2 / (R^2 + u (d / 2.5)^2)): what is not explained, u, may be structure that grows with the
            distance d of the question from the runs, in standard deviations of their sizes; 1 where runs lie around it
thin        with fewer masks than twice the tasks and no repeats nothing tells noise from effects: q is at most the
            square root of the held-out R^2
signal      p values, see `signal`
coverage    median over effects of posterior / prior standard deviation: near 1, the runs say nothing of the question
skill       R^2 and Spearman of held-out rows
calibration share of held-out rows inside their 95 % intervals
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..blocks import Effects
from ..evaluations import Evaluations
from ..fitting import Design
from ..identifiability import identifiability
from ..namesakes import own
from ..predictor import Predictor
from ..readings import Question
from ..surrogates.base import GaussianSurrogate
from ..surrogates.fidelity import FidelitySurrogate
from ..surrogates.rows import Rows
from . import reach, signal
from .curve import LearningCurve, learning_curve, subset

Array = NDArray[np.float64]
REPEATED = 10.0  # a second test: it must be that much surer
FEW_SEEDS = 1.5
SHRUNK = 4.0  # most that effects of one seed's runs are scaled by, squared
MANY = 2  # masks for every task, below which posterior variances are not believed beyond the skill
ALIKE = 0.2  # spread of effects in units of their mean, below which their order is no question


@dataclass(frozen=True, eq=False)
class Evidence:
    """Numbers behind a verdict.

    Attributes
    ----------
    agreement : array (T,)
    resolution : array (T,)
    elsewhere : array (T,)
        Agreement of the effects of tasks that have another name than the target; NaN where none has its name.
    largest : array (T,)
        Largest effect in units of its deviation.
    sure : array (T,)
        Share of the effects whose 95 % intervals exclude 0.
    ridge : array (T,)
        Held-out R^2 of tuned ridge; NaN where it was not fitted.
    extra : array (T,)
        Variance of every effect that its posterior does not hold: between seeds, and of what is left unexplained
        where the question is far.
    p : array (T,)
        Probability of so much skill, or reproducibility, where nothing is there: the smaller of both tests.
    joint : float
        The same of all targets together.
    coverage, skill, ranks, skill_error, calibration : array (T,)
    share : array (T,)
        Share of the variance of a fitted row (a run, or the mean of its seeds) that is not noise of repeats; NaN where
        no mask is repeated.
    repeats : int
        Repeats beyond the first of each mask.
    between : float
        Largest share of the spread of a target's effects that seeds differ by.
    outside, distance : float
        See `reach`.
    masks, players, tasks : int
    table : bool
        Whether the runs are leave-one-out retraining itself: all tasks, and all but one.
    changes : array (T,) of bool
        Targets that are not constant: the others count in no mean.
    curve : LearningCurve or None
    noise : array (T,)
        Variance of a single run's noise in the target's own unit; an upper bound where no mask is repeated.
    spread : array (T,)
        Mean square of the true effects that is expected, spread + v.
    """

    agreement: Array
    resolution: Array
    elsewhere: Array
    largest: Array
    sure: Array
    ridge: Array
    extra: Array
    p: Array
    joint: float
    coverage: Array
    skill: Array
    ranks: Array
    skill_error: Array
    calibration: Array
    share: Array
    repeats: int
    between: float
    outside: float
    distance: float
    masks: int
    players: int
    tasks: int
    table: bool
    changes: NDArray[np.bool_]
    curve: LearningCurve | None
    noise: Array
    spread: Array

    def first(self, n: int) -> Evidence:
        """The same of the first ``n`` targets."""
        return replace(self, **{name: a[:n] for name, a in vars(self).items() if isinstance(a, np.ndarray)})


def gather(design: Design, predictor: Predictor, asked: Question, answer: Effects) -> Evidence:
    """Gather the evidence on the effects that were read."""
    T, runs = len(predictor.targets), design.runs
    p, repeats, share, ranks, error, inside, noise = (np.full(T, np.nan) for _ in range(7))
    ridge = np.full(T, np.nan)
    joint, freedom, curve = 1.0, 0, None
    between = np.zeros(T)
    for targets, choice in predictor.choices:
        measured = np.isfinite(runs.values[:, targets[0]])
        if design.at is not None:
            measured &= runs.fidelity == design.at
        Y, X = runs.values[np.ix_(measured, targets)], design.X[measured]
        rows = Rows.of(X, seeds=None if design.seeds is None else design.seeds[measured])
        surrogate = choice.surrogate
        Z = surrogate.link_.forward(Y)
        found = signal.test(X, Z, rows, surrogate.features_)
        if isinstance(surrogate, FidelitySurrogate):  # a few dear runs show nothing that many cheap ones may show
            found = _stronger(found, design, surrogate, targets)
        raw = _repeats_of(design, predictor, targets)
        p[targets], repeats[targets], share[targets] = found.p, raw.repeats, raw.share
        joint, freedom = min(joint, found.joint * len(predictor.choices)), max(freedom, raw.freedom)
        kept = Y[choice.kept]
        ranks[targets] = np.nan_to_num(metrics.spearman(kept, choice.held_out))
        error[targets], squares = _skill_error(kept, choice.held_out, choice.constant, choice.groups)
        noise[targets] = np.where(np.isnan(raw.share), squares, raw.within)
        ridge[targets] = choice.skill.get("ridge", np.nan)
        cv = surrogate.cv_
        if cv.mean.shape == kept.shape:
            inside[targets] = (np.abs(cv.mean - kept) <= 1.96 * cv.deviation).mean(axis=0)
        if len(predictor.choices) == 1:
            curve = learning_curve(choice, Y, predictor.asked[targets])
        between[targets] = _between_seeds(design, surrogate, targets, asked, answer.effects[:, targets])
    E, v = answer.effects, _mean(answer.deviation**2)
    spread, resolution = _resolved(E, answer.deviation, between)
    outside, distance = reach.outside(design.X, runs.kind, asked), reach.distance(design.X, runs.kind, asked)
    P, K, opposed = E.shape[0], runs.K, identifiability(design.X).opposed
    apart = np.sqrt(max(P - len(opposed) - 1, 0) / (K - 1)) if P - len(opposed) < K else 1.0
    r = float(predictor.averaged)
    share = r * share / (1.0 + (r - 1.0) * share)  # of the mean over the seeds that were averaged (Spearman-Brown)
    known = np.where(np.isnan(share), 1.0, np.maximum(share, answer.skill))
    far = reach.factor(answer.skill, np.maximum(known - np.maximum(answer.skill, 0.0), 0.0), distance)
    far = np.where(outside > reach.HALF, far, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(answer.prior > 0, answer.deviation / answer.prior, np.nan)
        largest = np.nanmax(np.where(answer.deviation > 0, np.abs(E) / answer.deviation, 0.0), axis=0, initial=0.0)
        sure = _mean((np.abs(E) > 1.96 * answer.deviation).astype(float))
        differ = np.divide(between, spread, out=np.zeros(T), where=spread > 0)
    masks, sizes = len(np.unique(design.X, axis=0)), set(design.X.sum(axis=1).tolist())
    table = runs.kind == "mask" and sizes == {P, P - 1.0}
    bound = np.sqrt(np.clip(answer.skill, 0.0, 1.0)) if masks < MANY * P and not freedom else 1.0
    agreement = lambda resolved: np.minimum(np.sqrt(resolved) * apart * far, bound)
    same = own(design.players.names, predictor.targets)
    others = _resolved(np.where(same, np.nan, E), answer.deviation, between)[1]
    return Evidence(
        agreement=agreement(resolution),
        resolution=resolution,
        elsewhere=np.where(same.any(axis=0), agreement(others), np.nan),
        largest=largest,
        sure=sure,
        ridge=ridge,
        extra=np.maximum(between - v, 0.0) + np.where(far > 0, spread * (1.0 / np.maximum(far, 0.1) ** 2 - 1.0), 0.0),
        p=np.fmin(p, np.minimum(REPEATED * repeats, 1.0)),
        joint=joint,
        coverage=_middle(ratio),
        skill=answer.skill,
        ranks=ranks,
        skill_error=error,
        calibration=np.full(T, np.nan) if table else inside,  # no other mask lacks the task of a held-out one
        share=share,
        repeats=freedom,
        between=float(differ[predictor.asked].max(initial=0.0)),
        outside=outside,
        distance=distance,
        masks=masks,
        players=P - len(opposed),
        tasks=K,
        table=table,
        changes=~predictor.constant,
        curve=curve,
        noise=noise,
        spread=spread + v,
    )


def _resolved(E: Array, deviation: Array, between: Array) -> tuple[Array, Array]:
    """Spread of the stated effects (P, T), and the share of it that is signal, (T,) each; see the head."""
    T, v = E.shape[1], _mean(np.where(np.isfinite(E), deviation**2, np.nan))
    mean = _mean(E)
    around, size = _mean((E - mean) ** 2), _mean(E**2)
    spread = np.where(np.sqrt(around + v) < ALIKE * np.abs(mean), size, around)
    resolution = np.divide(spread, spread + v, out=np.zeros(T), where=spread + v > 0)
    disputed = spread + FEW_SEEDS * between
    return spread, np.minimum(resolution, np.divide(spread, disputed, out=np.zeros(T), where=disputed > 0))


def _stronger(
    found: signal.Signal, design: Design, surrogate: FidelitySurrogate, targets: NDArray[np.int64]
) -> signal.Signal:
    """The test of the runs asked about, or that of the fidelity with most masks where it is the more certain."""
    runs = design.runs
    base = runs.fidelity == surrogate.fidelities_[surrogate.base_]
    base &= np.isfinite(runs.values[:, targets]).all(axis=1)
    X, Z = design.X[base], surrogate.link_.forward(runs.values[np.ix_(base, targets)])
    other = signal.test(X, Z, Rows.of(X), surrogate.features_)
    return replace(found, p=np.minimum(1.0, 2.0 * np.minimum(found.p, other.p)), joint=min(found.joint, other.joint))


def _repeats_of(design: Design, predictor: Predictor, targets: NDArray[np.int64]) -> signal.Signal:
    """What repeats say of single runs, as they were given: seeds that were averaged are repeats too."""
    runs = design.single
    measured = np.isfinite(runs.values[:, targets]).all(axis=1)
    X, Y = predictor.players.columns(runs.masks[measured]), runs.values[np.ix_(measured, targets)]
    seeds = runs.seed[measured]
    coupled = runs.notes.get("coupled") is not False and -1 not in seeds and len(set(seeds.tolist())) > 1
    return signal.repeats(Y, Rows.of(X, seeds=seeds if coupled else None))


def _between_seeds(
    design: Design, surrogate: GaussianSurrogate, targets: NDArray[np.int64], asked: Question, together: Array
) -> Array:
    """Variance (n,) of the mean over seeds of the effects that each seed's runs have by themselves; 0 where unknown.

    Fewer runs shrink effects more: they are scaled to the size of those of all runs ``together`` (P, n).
    """
    runs: Evaluations = design.given
    names = [s for s in np.unique(runs.seed).tolist() if s >= 0]
    measured = np.isfinite(runs.values[:, targets]).all(axis=1)
    n, plain = len(targets), all(fit.loadings is None for m in surrogate.members_ for fit in m.fits)
    if design.at is not None or len(names) < 2 or len(names) > 8 or not measured.all() or not plain:
        return np.zeros(n)
    X = design.players.columns(runs.masks)
    if min(len(np.unique(X[runs.seed == s], axis=0)) for s in names) < X.shape[1] + 1:
        return np.zeros(n)
    if not np.isfinite(surrogate.link_.forward(runs.values[:, targets])).all():
        return np.zeros(n)  # single runs beyond the floor or ceiling of their means
    whole = _of_all(surrogate, X, design.averaged)
    own = np.array([asked.effects(subset(whole, runs.values[:, targets], runs.seed == s)).mean for s in names])
    mean, sizes = own.mean(axis=0), np.nansum(together**2, axis=0)
    grown = np.minimum(sizes / np.maximum((mean**2).sum(axis=0), 1e-300), SHRUNK)
    return np.var(own, axis=0, ddof=1).mean(axis=0) / len(names) * grown


def _of_all(surrogate: GaussianSurrogate, X: Array, averaged: int) -> GaussianSurrogate:
    """The surrogate with single runs as rows: where means over seeds were fitted each is as noisy as all together."""
    out = copy(surrogate)
    plain = Rows.of(X)
    out.X_, out.rows_ = X, Rows(plain.groups, np.full(len(X), float(averaged)), plain.basis)
    return out


def _skill_error(Y: Array, held: Array, constant: Array, groups: NDArray[np.int64]) -> tuple[Array, Array]:
    """Standard error of R^2 over groups of rows, and mean squared error, (T,) each."""
    base = ((constant - Y) ** 2).mean(axis=0)
    base = np.where(base > 1e-24 * (Y**2).mean(axis=0), base, np.inf)  # a target that never changes
    squares = (held - Y) ** 2
    away = (squares - squares.mean(axis=0)) / base
    sums = np.zeros((int(groups.max()) + 1, Y.shape[1]))
    np.add.at(sums, groups, away)
    return np.sqrt((sums**2).sum(axis=0)) / len(Y), squares.mean(axis=0)


def _mean(values: Array) -> Array:
    """Mean over tasks that have an effect (P, T) -> (T,), 0 where none has."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _middle(ratio: Array) -> Array:
    """Median over tasks that have an effect (P, T) -> (T,), 1 where none has."""
    known = np.isfinite(ratio)
    return np.array([np.median(c[k]) if k.any() else 1.0 for c, k in zip(ratio.T, known.T, strict=True)])
