"""Subsets of sources: coin_flip prompts, digits, and accuracies of all subsets of a census.

1. coin_flip: 80 of 200 prompts fitted, 120 judge, 30 shuffles; mean Spearman over the losses whose variance over the
   judging rows is at least .1 (433 or so of 869).
2. digits: 80 of 240 near-full masks of one seed fitted, 20 draws; R^2 on the other 160, and Spearman of leave-one-out
   with a recorded truth of eight other seeds; means over 11 losses. The additive game has nothing for a kernel to find.
3. Valuation: 40 or 120 random rows fitted, 10 draws, judged on all unseen rows. From the fit on sources, over all 1,023
   subsets: Shapley values against the exact ones, and regret of the subset with the highest prediction. The empty
   subset was not measured: its value is stated as `EMPTY`, for the truth and for every method. It moves all Shapley
   values alike, so it cancels in every figure shown.
"""

from __future__ import annotations

from functools import partial
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay import Evaluations, metrics, readings

from . import methods, rivals
from .bench_digits import problems
from .draws import WHOLE, Figures, Method, Recording, Run, against, coin_flip, difference, head, valuation, wanted
from .machine import table

OURS = "KernelSurrogate"
COMPONENTS = "ridge, 10 principal components of the targets"
#: Share of the larger class among the rows that judged `points`: what a model of one single point scores there.
EMPTY = 0.757874


def report(data: Path, run: Run = WHOLE) -> str | None:
    prompts, sources, points = coin_flip(data), valuation(data, "sources"), valuation(data, "points")
    if prompts is None or sources is None or points is None:
        return None
    parts = [coin(prompts, run), digits(run), subsets(sources, points, run)]
    return (
        "# Masks\n\n" + wanted(row for rows, _ in parts for row in rows) + "".join(text for _, text in parts)
    ) + rivals.note()


def over_one(what: str, ours: NDArray, theirs: NDArray, above: bool = True) -> tuple[str, str, str, bool]:
    """Check that ours is above theirs by more than the standard error, or else not below by more than that."""
    d = metrics.paired_difference(ours, theirs)
    least = f"more than {d.se:.4f} (1 s.e.)" if above else f"{-d.se:.4f} (1 s.e.)"
    return what, least, difference(ours, theirs), bool(d.mean > d.se if above else d.mean >= -d.se)


def coin(prompts: Recording, run: Run) -> tuple[list, str]:
    """Prompts of 4 out of 50 demonstrations."""
    rng = np.random.default_rng(0)  # the recording's own protocol: one generator, one permutation after the other
    orders = [rng.permutation(len(prompts.X)) for _ in range(30)]

    def score(method: Method, draw: int) -> dict[str, float]:
        split = prompts.split(orders[draw][:80], orders[draw][80:])
        judged = split.truth.var(axis=0) >= 0.1
        predicted = method(split).predict(split.new)
        return {"Spearman": float(np.mean(metrics.spearman(split.truth[:, judged], predicted[:, judged])))}

    beside = {
        COMPONENTS: partial(rivals.ridge, components=10),
        "ridge by scikit-learn": rivals.ridge,
    }
    figures = methods.figures(run, methods.own(run) | beside, run.draws(30), score, bench="coin_flip")
    ours, ridge, pooled = (figures[name]["Spearman"] for name in (OURS, "tuned ridge", COMPONENTS))
    checks = [
        over_one("coin_flip, Spearman: above tuned ridge", ours, ridge),
        over_one(f"coin_flip, Spearman: not below {COMPONENTS}", ours, pooled, above=False),
    ]
    text = f"\n## coin_flip\n\n{len(run.draws(30))} shuffles, 80 prompts fitted, 120 judge.\n\n"
    return checks, text + table(head(["Spearman"], OURS), against("", figures, OURS, ["Spearman"]))


def digits(run: Run) -> tuple[list, str]:
    """Near-full masks of the digits problems and of the additive game."""
    scores, lines, checks = ("R^2", "Spearman with the truth"), [], []

    def score(near: Evaluations, benefit: NDArray, method: Method, draw: int) -> dict[str, float]:
        split = Recording("", near.masks, near.values).draw(draw, 80)
        fitted: Any = method(split)
        read = readings.leave_one_out(fitted).mean * near.benefit_sign
        r2, rank = metrics.r2(split.truth, fitted.predict(split.new)), metrics.spearman(read, benefit)
        return {scores[0]: float(np.nanmean(r2)), scores[1]: float(np.nanmean(rank))}

    for name, near, truth in problems():
        benefit = metrics.leave_one_out_effects(truth).effects
        measure = partial(score, near, benefit)
        figures = methods.figures(run, methods.own(run), run.draws(20), measure, bench="digits", problem=name)
        lines += against(name, figures, OURS, scores)
        (r2, rank), (ridge_r2, ridge_rank) = ([figures[n][s] for s in scores] for n in (OURS, "tuned ridge"))
        if name == "additive game":
            checks.append(over_one(f"{name}, {scores[1]}: not below tuned ridge", rank, ridge_rank, above=False))
        else:
            checks.append(over_one(f"{name}, {scores[0]}: above tuned ridge", r2, ridge_r2))
            checks.append(over_one(f"{name}, {scores[1]}: above tuned ridge", rank, ridge_rank))
    text = f"\n## digits\n\n{len(run.draws(20))} draws, 80 near-full masks fitted, means over the losses.\n\n"
    return checks, text + table(head(scores, OURS), lines)


def subsets(sources: Recording, points: Recording, run: Run) -> tuple[list, str]:
    """Accuracies of subsets of a census: unseen subsets, Shapley values and the best subset."""
    scores, read = ("R^2", "Spearman"), ("error of Shapley", "Spearman of Shapley", "regret of the best subset")
    exact = shapley(sources.X, sources.Y)

    def score(recording: Recording, m: int, method: Method, draw: int) -> dict[str, NDArray]:
        split = recording.draw(draw, m)
        fitted = method(split)
        predicted = fitted.predict(split.new)
        of = (metrics.r2(split.truth, predicted), metrics.spearman(split.truth, predicted))
        found = dict(zip(scores, map(np.asarray, of), strict=True))
        return found | (questions(recording, fitted.predict(recording.X), exact) if recording is sources else {})

    lines, more, checks = [], [], []
    for recording in (sources, points):
        for m in (40,) if run.quick else (40, 120):
            measure, case = partial(score, recording, m), f"{recording.name}, {m}"
            figures = methods.figures(
                run, methods.own(run), run.draws(10, 3), measure, bench="valuation", data=recording.name, m=m
            )
            lines += against(case, figures, OURS, scores)
            checks += compared(case, figures, scores)
            more += against(case, figures, OURS, read) if recording is sources else []
    text = (
        "\n## Subsets of a census\n\nAccuracies (higher is better) on all unseen subsets; means over targets.\n\n"
        + table(head(scores, OURS), lines)
        + f"\nSources, from predictions of all 1,023 subsets, the empty one at {EMPTY}: error of the Shapley values as "
        "a share of their spread (root mean square over standard deviation), their rank correlation, and the regret of "
        "the subset with the highest prediction, in standard deviations of the target over all subsets.\n\n"
        + table(head(read, OURS), more)
    )
    return checks, text


def compared(case: str, figures: dict[str, Figures], scores: tuple[str, ...]) -> list:
    """Not below the better of ridge and RBF on any target; above both on the average."""
    checks = []
    for score in scores:
        ours = figures[OURS][score]
        rival = [figures[name][score] for name in ("tuned ridge", "RBF")]
        for t in range(ours.shape[1]):
            better = rival[int(np.argmax([v[:, t].mean() for v in rival]))]
            what = f"{case}, {score}, target {t}: not below the better of ridge and RBF"
            checks.append(over_one(what, ours[:, t], better[:, t], above=False))
        best = max(rival, key=lambda v: v.mean())
        met = bool(ours.mean() > best.mean())
        what = f"{case}, {score}, mean of targets: above ridge and RBF"
        checks.append((what, 0, difference(ours, best), met))
    return checks


def shapley(masks: NDArray, values: NDArray) -> NDArray:
    """Exact Shapley values (K, T) of all non-empty subsets, the empty one at `EMPTY`."""
    K = masks.shape[1]
    code = (masks @ (1 << np.arange(K))).astype(int)
    table_of = np.full((1 << K, values.shape[1]), EMPTY)
    table_of[code] = values
    every = np.arange(1 << K)
    size = ((every[:, None] >> np.arange(K)) & 1).sum(axis=1)
    weight = np.array([factorial(n) * factorial(K - n - 1) / factorial(K) for n in range(K)])
    out = np.empty((K, values.shape[1]))
    for k in range(K):
        without = every[(every >> k) & 1 == 0]
        out[k] = weight[size[without]] @ (table_of[without | 1 << k] - table_of[without])
    return out


def questions(recording: Recording, predicted: NDArray, exact: NDArray) -> dict[str, NDArray]:
    """Shapley values and the best subset from predictions of all subsets, scores (T,)."""
    found = shapley(recording.X, predicted)
    pick = predicted.argmax(axis=0)
    lost = recording.Y.max(axis=0) - recording.Y[pick, np.arange(len(pick))]
    return {
        "error of Shapley": np.sqrt(((found - exact) ** 2).mean(axis=0)) / exact.std(axis=0),
        "Spearman of Shapley": np.asarray(metrics.spearman(found, exact)),
        "regret of the best subset": lost / recording.Y.std(axis=0),
    }
