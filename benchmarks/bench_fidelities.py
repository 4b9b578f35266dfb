"""Several fidelities together: estimates beside retrainings, a narrow network beside the default one.

Estimates: 200 near-full masks of a digits problem, estimated from three trained networks (or one), and 10, 20 or 40
retrained under one of two seeds each; leave-one-out effects against the recorded truth of eight other seeds. Sizes: 30
masks run by a network of a quarter of the width, 3 to 8 of them by the default one; the default's values at the 210
other masks. Shuffled: estimates whose values were given to other masks, so that nothing transfers.

Beside what `attribute` takes stand each fidelity alone and the literal shift: log y of the cheap runs' surrogate plus
the mean of log y of the dear runs above it. Everything is paired over draws. Intervals of effects are also judged with
the truth's standard error beside the posterior's: eight seeds leave an error as large as the posterior deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay import Evaluations, LinearSurrogate, metrics, readings
from interplay.fidelities import described
from interplay.problems.digits import TARGETS, recording
from interplay.surrogates import compare, compare_fidelities
from interplay.surrogates.base import GaussianSurrogate

from . import methods
from .draws import WHOLE, Figures, Run, difference, rows_of, wanted
from .machine import table

Array = NDArray[np.float64]
HERE = Path(__file__).parent
RECORDINGS = HERE / "recordings"
PROBLEMS, CHEAP, SIZED, DRAWS = (0, 1, 2), 200, 30, 10
JOINT, DEAR, SHIFT = "together", "dear alone", "literal shift"
ESTIMATES, NARROW = "estimates alone", "narrow alone + mean gap"
CODE = (*methods.CODE, HERE.parent / "src" / "interplay" / "fidelities.py")
EFFECTS = (
    "Spearman, overall loss",
    "Spearman, mean of targets",
    "relative error",
    "coverage",
    "with the truth's error",
)
VALUES = ("Spearman", "centred R^2")


@dataclass(frozen=True, eq=False)
class Problem:
    """Recorded runs of one digits problem.

    Attributes
    ----------
    near : dict of int to Evaluations
        Near-full masks at the default width, by seed, in one order of masks.
    cheap : dict of str to Evaluations
        The same masks at other fidelities, in the same order.
    effects, error : array (K, T)
        Truth of leave-one-out benefits and its standard error.
    sign : array (T,)
    """

    near: dict[int, Evaluations]
    cheap: dict[str, Evaluations]
    effects: Array
    error: Array
    sign: Array

    @classmethod
    def of(cls, seed: int) -> Problem:
        """Read the recordings of a problem."""
        path = RECORDINGS / f"digits-{seed}.parquet"
        runs = recording() if seed == 0 else Evaluations.read(path, targets=TARGETS)
        every, fidelities = runs.filter(runs.origin == "near_full"), RECORDINGS / f"fidelities-{seed}.parquet"
        cheap = Evaluations.read(fidelities, targets=TARGETS)
        first = every.filter(every.seed == 100)
        ordered = partial(_ordered, first.masks)
        truth = metrics.leave_one_out_effects(runs.filter(runs.origin == "truth"))
        return cls(
            {s: ordered(every.filter(every.seed == s)) for s in (100, 101)},
            {word: ordered(cheap.where(fidelity=word)) for word in dict.fromkeys(map(str, cheap.fidelity))},
            truth.effects,
            truth.per_seed.std(axis=0, ddof=1) / np.sqrt(len(truth.per_seed)),
            runs.benefit_sign,
        )


def report(data: Path, run: Run = WHOLE) -> str | None:
    problems = {seed: Problem.of(seed) for seed in PROBLEMS[: 1 if run.quick else 3]}
    sizes, few = ((20,), (4,)) if run.quick else ((20, 10, 40), (3, 4, 5, 8))
    over = lambda measure, **protocol: run.over(run.draws(DRAWS), measure, CODE, bench="fidelities", **protocol)
    checks, effects, values, shuffled = [], [], [], []
    for n, word in [*((n, "estimated") for n in sizes), (20, "estimated one start")]:
        for seed, problem in problems.items():
            figures = over(partial(_effects, problem, n, word), case=word, n=n, problem=seed)
            figures |= over(partial(_estimates, problem, word), case=f"{word} alone", problem=seed)
            effects += _rows(f"digits {seed}, {n} + {CHEAP} {word}", figures, EFFECTS)
            checks += _never_worse(f"digits {seed}, {n} retrainings + {word}", figures, ESTIMATES, n == 20)
    for n in few:
        for seed, problem in problems.items():
            figures = over(partial(_values, problem, n), case="sizes", n=n, problem=seed)
            values += _rows(f"digits {seed}, {n} + {SIZED} narrow", figures, VALUES)
            checks += _sizes(f"digits {seed}, {n} of the default width + {SIZED} narrow", figures, n <= 5)
    for seed, problem in problems.items():
        figures = over(partial(_shuffled, problem, 20), case="shuffled", n=20, problem=seed)
        shuffled += _rows(f"digits {seed}, 20 + {CHEAP} shuffled", figures, EFFECTS[:1] + EFFECTS[2:3])
        share = f"{figures['not said to transfer'].mean():.0%}"
        checks.append((f"digits {seed}, shuffled: said not to transfer", "all draws", share, share == "100%"))
        checks += _never_worse(f"digits {seed}, shuffled", figures, None, False)
    return "\n".join(
        [
            "# Several fidelities in one surrogate\n",
            wanted(checks),
            "Leave-one-out effects against the truth of eight seeds; each score is followed by 'together' minus it:\n",
            table(_head(EFFECTS), effects),
            "Values of the default width at 210 masks that it did not run, mean of 11 targets:\n",
            table(_head(VALUES), values),
            "Estimates shuffled among the masks (overall loss only):\n",
            table(_head(EFFECTS[:1] + EFFECTS[2:3]), shuffled),
        ]
    )


# ---------------------------------------------------------------- one draw


def _effects(problem: Problem, n: int, word: str, draw: int) -> dict[str, Any]:
    """Scores of leave-one-out effects from n retrainings and estimates, and of the retrainings alone."""
    X, Y, C, V = _drawn(problem, n, word, draw)
    how: dict[str, Any] = {"higher_is_better": problem.sign > 0, "features": "raw"}
    fitted = {JOINT: _together(X, Y, C, V, how), DEAR: compare(X, Y, **how).surrogate}
    return _effect_scores(problem, fitted) | _shift_scores(problem, X, Y, C, V)


def _estimates(problem: Problem, word: str, draw: int) -> dict[str, Any]:
    """The same of the estimates alone, which are those of the draw whatever the number of retrainings."""
    _, _, C, V = _drawn(problem, 0, word, draw)
    fitted = compare(C, V, higher_is_better=problem.sign > 0, features="raw").surrogate
    return _effect_scores(problem, {ESTIMATES: fitted})


def _shuffled(problem: Problem, n: int, draw: int) -> dict[str, Any]:
    """The same of the overall loss, where the values of the estimates belong to other masks; and what is said."""
    X, Y, C, V = _drawn(problem, n, "estimated", draw)
    Y, V = Y[:, :1], np.random.default_rng([draw, 9]).permutation(V[:, :1])
    words = ["retrained"] * n + ["estimated"] * len(C)
    runs = Evaluations.from_arrays(np.vstack([X, C]), np.vstack([Y, V]), targets=["loss"], fidelity=words)
    said = described(runs, "retrained", True, (), ()).sentences[1]
    how: dict[str, Any] = {"higher_is_better": problem.sign[:1] > 0, "features": "raw"}
    fitted = {JOINT: _together(X, Y, C, V, how), DEAR: compare(X, Y, **how).surrogate}
    return _effect_scores(problem, fitted) | {"not said to transfer": not said.startswith("Ranks transfer")}


def _values(problem: Problem, n: int, draw: int) -> dict[str, Any]:
    """Scores of the default's values at masks that it did not run, from n of them and 30 of the narrow network."""
    order = rows_of(len(problem.near[100]), draw, 1)
    near, narrow = problem.near[100], problem.cheap["narrow"]
    dear, cheap, judge = order[:n], order[:SIZED], order[SIZED:]
    X, Y, C, V, new = near.masks[dear], near.values[dear], narrow.masks[cheap], narrow.values[cheap], near.masks[judge]
    how: dict[str, Any] = {"higher_is_better": problem.sign > 0, "features": "raw"}
    small = compare(C, V, **how).surrogate
    alone = compare(X, Y, **how).surrogate if n >= 5 else LinearSurrogate().fit(X, Y)
    together = _together(X, Y, C, V, how)
    predicted = {JOINT: together.predict(new), DEAR: alone.predict(new), NARROW: small.predict(new)}
    predicted[SHIFT] = _shifted(X, Y, C, V)(new)
    truth, out = near.values[judge], {}
    for name, p in predicted.items():
        centred, miss = truth - truth.mean(axis=0), (truth - p) - (truth - p).mean(axis=0)
        r2 = 1.0 - (miss**2).sum(axis=0) / (centred**2).sum(axis=0)
        ranks = np.nan_to_num(metrics.spearman(p, truth))  # a constant ranks nothing
        out |= {f"{name}: Spearman": float(np.mean(ranks)), f"{name}: centred R^2": float(r2.mean())}
    return out


def _drawn(problem: Problem, n: int, word: str, draw: int) -> tuple[Array, Array, Array, Array]:
    """n retrained masks, each under one of two seeds, and estimates of others: masks and values of both."""
    rng = np.random.default_rng([draw, 2])
    order, seeds = rng.permutation(len(problem.near[100])), rng.integers(2, size=len(problem.near[100]))
    either = np.where(seeds[:, None] == 0, problem.near[100].values, problem.near[101].values)
    cheap, pick = problem.cheap[word], rng.permutation(len(problem.cheap[word]))[:CHEAP]
    return problem.near[100].masks[order[:n]], either[order[:n]], cheap.masks[pick], cheap.values[pick]


def _together(X: Array, Y: Array, C: Array, V: Array, how: Mapping[str, Any]) -> GaussianSurrogate:
    words = ["cheap"] * len(C) + ["dear"] * len(X)
    return compare_fidelities(np.vstack([C, X]), np.vstack([V, Y]), words, "dear", **how).surrogate


def _effect_scores(problem: Problem, fitted: Mapping[str, GaussianSurrogate]) -> dict[str, float]:
    out = {}
    for name, surrogate in fitted.items():
        read = readings.leave_one_out(surrogate)
        out |= _judged(problem, name, read.mean * problem.sign[: surrogate.n_targets_], read.deviation)
    return out


def _shift_scores(problem: Problem, X: Array, Y: Array, C: Array, V: Array) -> dict[str, float]:
    full = np.ones((1, X.shape[1]))
    predict = _shifted(X, Y, C, V)
    effects = (predict(full) - predict(full - np.eye(X.shape[1]))) * problem.sign
    return _judged(problem, SHIFT, effects, np.full_like(effects, np.nan))


def _shifted(X: Array, Y: Array, C: Array, V: Array) -> Callable[[Array], Array]:
    """The literal shift: the surrogate of log y of the cheap runs, and the mean gap of log y of the dear ones to it."""
    small = compare(C, np.log(V), features="raw").surrogate
    gap = (np.log(Y) - small.predict(X)).mean(axis=0)
    return lambda new: np.exp(small.predict(new) + gap)


def _judged(problem: Problem, name: str, effects: Array, deviation: Array) -> dict[str, float]:
    T = effects.shape[1]
    truth, error = problem.effects[:, :T], problem.error[:, :T]
    ranks = np.atleast_1d(metrics.spearman(effects, truth))
    relative = np.sqrt(((effects - truth) ** 2).sum(axis=0) / (truth**2).sum(axis=0))
    miss = np.where(np.isfinite(deviation), np.abs(effects - truth), np.nan)
    found = [ranks[0], ranks.mean(), relative.mean()]
    found += [_share(miss, deviation), _share(miss, np.sqrt(deviation**2 + error**2))]
    return {f"{name}: {score}": float(value) for score, value in zip(EFFECTS, found, strict=True)}


def _share(miss: Array, deviation: Array) -> float:
    return float((miss <= 1.96 * deviation).mean()) if np.isfinite(miss).all() else float("nan")


def _ordered(masks: Array, runs: Evaluations) -> Evaluations:
    """The runs in the order of these masks."""
    number = {mask.tobytes(): i for i, mask in enumerate(runs.masks)}
    return runs[[number[mask.tobytes()] for mask in masks]]


# ---------------------------------------------------------------- tables


def _rows(case: str, figures: Figures, scores: Sequence[str]) -> list[list[str]]:
    """A row per method: its mean scores, each followed by ours minus it."""
    names, rows = dict.fromkeys(key.split(": ")[0] for key in figures if ": " in key), []
    for name in names:
        row = [case, name]
        for score in scores:
            values = figures[f"{name}: {score}"]
            row.append(f"{values.mean():.3f}" if np.isfinite(values).all() else "")
            compared = name != JOINT and np.isfinite(values).all()
            row.append(difference(figures[f"{JOINT}: {score}"], values, 3) if compared else "")
        rows.append(row)
    return rows


def _head(scores: Sequence[str]) -> list[str]:
    return ["", "method", *(column for score in scores for column in (score, f"{JOINT} - it"))]


def _never_worse(case: str, figures: Figures, cheap: str | None, above: bool) -> list[tuple[str, Any, str, bool]]:
    """Not worse than the better of the two by more than a standard error; above both where that is asked."""
    checks, errors = [], {name: figures[f"{name}: relative error"] for name in (JOINT, DEAR, cheap or DEAR)}
    better = min((DEAR, cheap or DEAR), key=lambda name: float(errors[name].mean()))
    d = metrics.paired_difference(errors[better], errors[JOINT])
    words, se = f"gain in relative error over the better ({better})", float(np.nan_to_num(d.se))
    least = se if above else -se
    checks.append((f"{case}: {words}", f"{least:+.3f} (1 s.e.)", f"{d.mean:+.3f}", bool(d.mean >= least)))
    for score in EFFECTS[: 2 if cheap else 1]:
        ranks = {name: figures[f"{name}: {score}"] for name in (JOINT, DEAR, cheap or DEAR)}
        better = max((DEAR, cheap or DEAR), key=lambda name: float(ranks[name].mean()))
        d = metrics.paired_difference(ranks[JOINT], ranks[better])
        least, what = -float(np.nan_to_num(d.se)), f"{case}: {score}, over the better ({better})"
        checks.append((what, f"{least:+.3f} (-1 s.e.)", f"{d.mean:+.3f}", bool(d.mean >= least)))
    return checks


def _sizes(case: str, figures: Figures, above: bool) -> list[tuple[str, Any, str, bool]]:
    """Better than either size alone."""
    checks = []
    for score in VALUES:
        found = {name: figures[f"{name}: {score}"] for name in (JOINT, DEAR, NARROW)}
        better = max((DEAR, NARROW), key=lambda name: float(found[name].mean()))
        d = metrics.paired_difference(found[JOINT], found[better])
        least = 0.0 if above else -float(np.nan_to_num(d.se))
        checks.append(
            (f"{case}: {score}, over the better ({better})", f"{least:+.3f}", f"{d.mean:+.3f}", d.mean >= least)
        )
    return checks
