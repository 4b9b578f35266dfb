"""Subsets chosen by a surrogate, proven by training: digits (three problems, 20 sources) and a census (10 chunks).

Digits: runs are masks that hold each source with probability 1/2, drawn from 200 of one seed, with the test loss and
those of the ten classes, whose weighted mean it is. Every method may have `VERIFY` masks trained under that seed, one
after the other, refitting in between, and takes the best of what it has seen. Ridge is fitted to the loss and, a second
rival, to every class, the fits summed; the better of the two is compared with. The truth of what a method took is the
mean loss under `JUDGES`, seeds that no method sees. Regret: truth of the choice minus that of the best mask that any
method took in any draw, in standard deviations of the runs.
Census: all 1,023 subsets are known; regret in standard deviations over all of them. Each is one training, so the best
of them is also the luckiest. Two rows say what could be had: a cubic ridge that knows nine tenths of all subsets takes
the best four of those it does not know (`ceiling`), and the share of variance that pairs of chunks explain beyond
single ones (`beyond_single`): where that is nothing, no method can be expected to be better than ridge.
Optimism: what was predicted of a method's own optimum before anything is trained, minus what it came to, as a benefit:
under the seed of the runs, which is what `verify` trains, and in truth; its mean over draws, in which errors of both
signs cancel, and its mean size, which is what a single choice meets. Tried against it on digits problems 10 to 13,
which are not judged here, on RegMix's training runs and on the text mixtures: half a deviation off every prediction,
what refits without the best eighth of the runs came to, proposals from halves of the held-out runs, and the correction
shrunk by its standard error, or taken only where it is cautious. Predictions of free sets
from runs on halves of the sources are rosy by .1 to .3 standard deviations; those of sets of 8, and of any set from
runs on three quarters of the sources, are too low by as much: what mends one makes the other worse, and none is nearer
in root mean square. What is trained next makes no difference either, on problems 10 to 15: expected improvement, or
half a deviation or one added or taken off, instead of the best prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.preprocessing import PolynomialFeatures

import interplay as ip
from interplay import metrics
from interplay.draws import subsets
from interplay.problems.digits import Digits

from .draws import WHOLE, Figures, Run, difference, wanted
from .machine import table

Array = NDArray[np.float64]
CODE = (Path(ip.__file__).parent / "selection", Path(__file__))
POOL, SEED, JUDGES = 200, 100, (200, 201)
VERIFY = 4
RUNS = (40, 100)
DRAWS = 36
NOTHING = 0.02  # of the variance: pairs that explain no more are none
OURS, BOLD = "select", "select, no risk"
RIDGE, PARTS = "ridge + greedy", "ridge of every class + greedy"
SIZES: dict[str, int | None] = {"size 8": 8, "free size": None}
CENSUS = {"size 5": 5, "free size": None}
STORE = Path(__file__).resolve().parent / "recordings" / "raw" / "selection.db"


@dataclass(eq=False)
class Digit:
    """A digits problem: runs, more of them, and the truth."""

    problem: int
    higher_is_better: bool = False
    tasks: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.retrain = Digits(self.problem).retrain()
        self.tasks = tuple(self.retrain.tasks)

    @property
    def spread(self) -> float:
        """Standard deviation of the runs' losses: the unit of regret."""
        return float(self.pool.values[:, 0].std())

    def evaluated(self, masks: Array, seeds: Any = (SEED,)) -> ip.Evaluations:
        """Losses of masks (n, K), by default under the seed of the runs."""
        STORE.parent.mkdir(parents=True, exist_ok=True)
        how: dict[str, Any] = {"store": STORE, "tag": f"digits-{self.problem}", "progress": False}
        return ip.evaluate(self.retrain, masks, seeds=list(seeds), **how)

    @cached_property
    def pool(self) -> ip.Evaluations:
        """`POOL` random masks under one seed."""
        masks = ip.masks.bernoulli(20, POOL, np.random.default_rng([9, self.problem]), p=0.5)
        return self.evaluated(masks)

    def truth(self, masks: Array) -> Array:
        """Mean losses (n,) of masks (n, K) under the judges."""
        distinct, which = np.unique(masks, axis=0, return_inverse=True)
        values = self.evaluated(distinct, JUDGES).values[:, 0].reshape(len(JUDGES), -1)
        return values.mean(axis=0)[which.ravel()]


@dataclass(eq=False)
class Census:
    """One model of the census: every non-empty subset is known."""

    model: str
    X: Array
    y: Array
    tasks: tuple[str, ...]
    higher_is_better: bool = True

    @property
    def pool(self) -> ip.Evaluations:
        return self._runs(self.X, self.y)

    @property
    def spread(self) -> float:
        """Standard deviation over all subsets."""
        return float(self.y.std())

    def _runs(self, X: Array, y: Array) -> ip.Evaluations:
        return ip.Evaluations.from_arrays(
            X, y, tasks=self.tasks, targets=["loss"], higher_is_better=True, kind="mask", seed=SEED
        )

    def evaluated(self, masks: Array) -> ip.Evaluations:
        return self._runs(masks, self.truth(masks))

    def truth(self, masks: Array) -> Array:
        code = 1 << np.arange(len(self.tasks))
        order = np.argsort(self.X @ code)
        return self.y[order[np.searchsorted((self.X @ code)[order], masks @ code)]]


@cache
def census(data: Path) -> list[Census]:
    frame = pd.read_csv(data / "valuation" / "sources_adult.csv")
    tasks = [c for c in frame.columns if frame[c].isin((0, 1)).all()]
    return [
        Census(c, frame[tasks].to_numpy(float), frame[c].to_numpy(float), tuple(tasks))
        for c in frame.columns
        if c not in tasks
    ]


def predicted(problem: Census, degree: int, own: NDArray[np.bool_]) -> Array:
    """Held-out predictions of some subsets by ridge with products of up to ``degree`` chunks, fitted to these alone."""
    features = PolynomialFeatures(degree, interaction_only=True, include_bias=False).fit_transform(problem.X[own])
    folds = KFold(10, shuffle=True, random_state=0)
    return cross_val_predict(RidgeCV(np.logspace(-3, 4, 15)), features, problem.y[own], cv=folds)


def of_size(masks: Array, size: int | None) -> NDArray[np.bool_]:
    """Which masks (n, K) hold so many tasks; all of them where any size will do."""
    return np.ones(len(masks), bool) if size is None else masks.sum(axis=1) == size


def beyond_single(problem: Census, size: int | None) -> float:
    """Share of the variance over subsets of a size that pairs explain beyond single chunks, in held-out subsets."""
    own = of_size(problem.X, size)
    left = [((predicted(problem, degree, own) - problem.y[own]) ** 2).mean() for degree in (1, 2)]
    return float((left[0] - left[1]) / problem.y[own].var())


def ceiling(problem: Census, size: int | None) -> float:
    """Regret of the best of `VERIFY` subsets that fits to nine tenths of all take of those that they have not seen."""
    own, said = of_size(problem.X, size), predicted(problem, 3, of_size(problem.X, None))
    taken = np.flatnonzero(own)[np.argsort(-said[own], kind="stable")[:VERIFY]]
    return float((problem.y[own].max() - problem.y[taken].max()) / problem.spread)


# ---------------------------------------------------------------- methods: what to train next, given what was trained

Next = Callable[
    [ip.Evaluations, int | None, Array], tuple[Array, float]
]  # -> a mask not tried yet, its predicted value


def ours(runs: ip.Evaluations, size: int | None, tried: Array) -> tuple[Array, float]:
    """Take the best prediction of those not tried yet, as `selection.verify` does."""
    chosen = ip.select(runs, "loss", size=size, risk=0.0)
    for c in (chosen.choice, *chosen.of("alternative")):
        if not _in(c.weights, tried):
            return c.weights, float(c.predicted[0])
    return _random(size, tried), float("nan")


def ridge(runs: ip.Evaluations, size: int | None, tried: Array) -> tuple[Array, float]:
    """Tuned ridge: the best mask of a linear surrogate is its best tasks; the next best change the fewest of them."""
    return _best_ridge(runs, size, tried, runs.values[:, :1], np.ones(1))


def ridge_of_parts(runs: ip.Evaluations, size: int | None, tried: Array) -> tuple[Array, float]:
    """Tuned ridge for every class, summed as the loss is."""
    total, parts = runs.values[:, 0], runs.values[:, 1:]
    return _best_ridge(runs, size, tried, parts, np.linalg.lstsq(parts, total, rcond=None)[0])


def _best_ridge(runs: ip.Evaluations, size: int | None, tried: Array, Y: Array, each: Array) -> tuple[Array, float]:
    """The best mask not tried yet by ridge fitted to Y (m, n), summed with weights ``each`` (n,)."""
    fitted = ip.LinearSurrogate().fit(runs.masks, Y)
    nothing, *single = fitted.predict(np.vstack([np.zeros(runs.K), np.eye(runs.K)])) @ each
    gain = runs.benefit_sign[0] * (np.array(single) - nothing)
    return _best_linear(gain, size, tried, lambda s: nothing + runs.benefit_sign[0] * float(gain @ s))


def single(runs: ip.Evaluations, size: int | None, tried: Array) -> tuple[Array, float]:
    """Best single sources: by the mean over the runs that hold them, against the mean of all."""
    y = runs.benefit_sign[0] * runs.values[:, 0]
    gain = np.array([y[runs.masks[:, k] > 0].mean() for k in range(runs.K)]) - y.mean()
    return _best_linear(gain, size, tried, lambda s: np.nan)


def random(runs: ip.Evaluations, size: int | None, tried: Array) -> tuple[Array, float]:
    """Random masks: the best of the runs and of some more."""
    return _random(size, tried, runs.K), np.nan


def _random(size: int | None, tried: Array, K: int | None = None) -> Array:
    K = tried.shape[1] if K is None else K
    rng = np.random.default_rng([3, len(tried), int(tried.sum())])
    while True:
        s = np.zeros(K)
        s[rng.permutation(K)[: size or rng.binomial(K, 0.5) or 1]] = 1.0
        if not _in(s, tried):
            return s


def _best_linear(gain: Array, size: int | None, tried: Array, value: Callable[[Array], float]) -> tuple[Array, float]:
    """The best mask not tried yet: all are gone through up to 20 tasks."""
    S = _all(len(gain))
    score = S @ gain
    held = S.sum(axis=1)
    score[(held == 0) if size is None else (held != size)] = -np.inf
    for i in np.argsort(-score, kind="stable")[: len(tried) + 1]:
        if not _in(S[i], tried):
            return S[i].astype(float), value(S[i])
    raise AssertionError("no mask is left")


@cache
def _all(K: int) -> Array:
    return subsets(K).astype(np.float32)


def _in(s: Array, tried: Array) -> bool:
    return bool((np.abs(tried - s).max(axis=1) < 0.5).any()) if len(tried) else False


METHODS: dict[str, Next] = {
    OURS: ours,
    RIDGE: ridge,
    PARTS: ridge_of_parts,
    "best single sources": single,
    "random": random,
}


def take(problem: Digit | Census, name: str, runs: ip.Evaluations, size: int | None) -> dict[str, float]:
    """Let a method propose, train `VERIFY` of its proposals, and take the best of what it saw.

    Returns
    -------
    dict
        Benefits in units of the problem's spread: the truth of what it takes (``best``), of what it would take by what
        was measured (``seen``) and without any training (``first``, with what it predicts of it and the deviation of
        that; ``bold``: the same without risk).
    """
    sign, unit = runs.benefit_sign[0], problem.spread
    out: dict[str, Any] = {}
    known = runs
    for i in range(VERIFY):
        s, value = METHODS[name](known, size, known.masks)
        if i == 0:
            out = {"bold": s, "bold predicted": value, "first": s, "predicted": value, "sd": np.nan}
        known = known + problem.evaluated(s[None])
    fits = of_size(known.masks, size)
    out["seen"] = out["best"] = known.masks[fits][np.argmax(sign * known.values[fits, 0])]
    if name == OURS:
        careful = ip.select(runs, "loss", size=size)
        choice = careful.choice
        out |= {"first": choice.weights, "predicted": choice.predicted[0], "sd": choice.deviation[0] / unit}
        out["best"] = ip.select(runs, "loss", size=size, verified=known[len(runs) :]).weights
    masks = {key: value for key, value in out.items() if np.ndim(value)}
    out |= dict(zip(masks, problem.truth(np.array(list(masks.values()))), strict=True))
    for key in ("first", "bold"):
        out[f"{key} proven"] = problem.evaluated(masks[key][None]).values[0, 0]
    return {key: float(value) if key == "sd" else float(sign * value / unit) for key, value in out.items()}


def report(data: Path, run: Run = WHOLE) -> str | None:
    if not (data / "valuation").is_dir():
        return None
    parts = [
        compared("digits", [Digit(p) for p in range(3)], SIZES, run),
        compared("census", census(data), CENSUS, run),
    ]
    return (
        "# Subsets chosen by a surrogate\n\n"
        + wanted(row for rows, _ in parts for row in rows)
        + "".join(text for _, text in parts)
    )


def compared(title: str, problems: list, sizes: dict[str, int | None], run: Run) -> tuple[list, str]:
    """Regret of every method on some problems."""
    draws, checks, text = run.draws(DRAWS, 3), [], ""
    for m in RUNS[:1] if run.quick else RUNS:
        for words, size in sizes.items():
            found = {}
            for name in METHODS:
                if name == PARTS and problems[0].pool.T == 1:
                    continue

                def measure(draw: int, name: str = name, m: int = m, size: int | None = size) -> dict[str, float]:
                    problem = problems[draw % len(problems)]
                    rows = np.random.default_rng([5, draw]).permutation(len(problem.pool))[:m]
                    return take(problem, name, problem.pool[rows], size)

                found[name] = run.over(draws, measure, CODE, bench=f"selection {title}", m=m, size=words, method=name)
            rows, lines = _case(title, f"{m} runs, {words}", problems, size, found, draws)
            checks += rows
            text += f"\n## {title}, {m} runs, {words}\n\n{lines}"
    return checks, text


def _case(
    title: str, case: str, problems: list, size: int | None, found: dict[str, Figures], draws: range
) -> tuple[list, str]:
    """Wanted rows and table of one case."""
    best = _best_known(problems, size, found, draws)
    regret = {name: {key: best - figures[key] for key in ("first", "best")} for name, figures in found.items()}
    ridges = [name for name in (RIDGE, PARTS) if name in found]
    rosy = {name: found[name]["predicted"] - found[name]["first proven"] for name in (OURS, *ridges)}
    nearest = min((rosy[name].mean() for name in ridges), key=abs)
    off = {name: np.abs(e).mean() for name, e in rosy.items()}
    least = min(off[name] for name in ridges)
    surprise = rosy[OURS] > 2.0 * found[OURS]["sd"]
    mine, its = regret[OURS]["best"], min((regret[name]["best"] for name in ridges), key=np.mean)
    shown = f"{mine.mean():.3f} ({its.mean():.3f})"
    known = [p for p in problems if isinstance(p, Census)]
    pairs = float(np.mean([beyond_single(p, size) for p in known])) if known else 1.0
    if pairs < NOTHING:
        d = metrics.paired_difference(mine, its)
        checks = [(f"{title}, {case}: regret", "ridge's (95 %)", shown, bool(d.mean - 1.96 * d.se <= 0))]
    else:
        checks = [(f"{title}, {case}: regret", "half of ridge's", shown, mine.mean() <= its.mean() / 2)]
    checks += [
        (
            f"{title}, {case}: optimism, its size in a draw",
            "ridge's",
            f"{off[OURS]:.2f} ({least:.2f})",
            off[OURS] <= least,
        ),
        (
            f"{title}, {case}: optimism, its mean, nearest to 0",
            "ridge's",
            f"{difference(found[OURS]['predicted'], found[OURS]['first proven'], 2)} ({nearest:+.2f})",
            abs(rosy[OURS].mean()) <= abs(nearest),
        ),
        (
            f"{title}, {case}: truth with risk above that without",
            0,
            difference(found[OURS]["first"], found[OURS]["bold"], 3),
            found[OURS]["first"].mean() >= found[OURS]["bold"].mean(),
        ),
        (f"{title}, {case}: surprises", "at most 10 %", f"{surprise.mean():.0%}", surprise.mean() <= 0.1),
    ]
    lines = []
    for name, figures in regret.items():
        gap = "" if name == OURS else difference(mine, figures["best"], 3)
        expected = found[name]["predicted"]
        told = [
            difference(expected, found[name][key], 2) if np.isfinite(expected).all() else ""
            for key in ("first proven", "first")
        ]
        told.insert(1, f"{off[name]:.2f}" if name in off else "")
        lines.append([name, f"{figures['first'].mean():.3f}", f"{figures['best'].mean():.3f}", gap, *told])
    bold = found[OURS]["bold predicted"]
    told = [difference(bold, found[OURS][key], 2) for key in ("bold proven", "bold")]
    told.insert(1, f"{np.abs(bold - found[OURS]['bold proven']).mean():.2f}")
    lines.append([BOLD, f"{(best - found[OURS]['bold']).mean():.3f}", "", "", *told])
    seen = f"{(best - found[OURS]['seen']).mean():.3f}"
    lines.append([f"{OURS}, by what was measured", "", seen, "", "", "", ""])
    if known:
        had = [ceiling(p, size) for p in known]
        lines.append(["cubic ridge of all other subsets", "", f"{np.mean(had):.3f}", "", "", "", ""])
    columns = [
        "method",
        "regret without training",
        f"after {VERIFY} trainings",
        f"{OURS} - it",
        "predicted - verified, its own first",
        "size of that",
        "predicted - true",
    ]
    said = f"\nPairs explain {pairs:.1%} of the variance beyond single chunks.\n" if known else ""
    return checks, table(columns, lines) + said


def _best_known(problems: list, size: int | None, found: dict[str, Figures], draws: range) -> Array:
    """Truth (draws,) of the best that is known of each draw's problem, as a benefit in units of the spread."""
    out = np.zeros(len(draws))
    for i, draw in enumerate(draws):
        problem = problems[draw % len(problems)]
        if isinstance(problem, Census):
            fits = of_size(problem.X, size)
            out[i] = problem.y[fits].max() / problem.spread
        else:
            same = [j for j, other in enumerate(draws) if other % len(problems) == draw % len(problems)]
            out[i] = max(
                figures[key][same].max() for figures in found.values() for key in ("first", "best", "bold", "seen")
            )
    return out
