"""Data mixtures of language models: RegMix (17 domains, 13 losses) and olmix (24 sources, 110 metrics).

1. RegMix, m of the 512 training runs drawn at random, judged on the 256 test runs.
2. The optimum beyond the runs. Pool: the 512 training runs. The quarter of the pool with the lowest loss of a target is
   withheld, 64 of the rest are fitted. Candidates: all runs that were not fitted, the 256 test runs among them. Regret:
   loss of the candidate with the lowest prediction minus the lowest loss there, in standard deviations of the target
   over the candidates. First 8 targets.
3. olmix dclm, five shuffled folds, predictions pooled; one draw is one shuffle, and shuffle 0 is the published one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from interplay.metrics import relative_error, spearman

from . import methods, rivals
from .draws import WHOLE, Method, Recording, Run, Split, against, difference, head, olmix, regmix, rows_of, wanted
from .machine import table

OURS, RECIPE = "KernelSurrogate", "LightGBM recipe"
LEVELS = {32: 0.935, 64: 0.976, 128: 0.987, 256: 0.991, 512: 0.993}
SIZES = {
    "ridge, log weights, log loss": partial(rivals.ridge, features="log", log=True),
    "ridge, raw weights, log loss": partial(rivals.ridge, log=True),
    "published kernel": methods.published,
    "published least squares": partial(methods.published, linear=True),
    **rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned, LightGBM_recipe=rivals.lightgbm_recipe),
}
BEYOND = {
    "ridge, log weights": partial(rivals.ridge, features="log"),
    "ridge, raw weights": rivals.ridge,
    **rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned),
}
SWARM = {
    "ridge, log y": partial(rivals.ridge, log=True),
    "ridge, square roots, log y": partial(rivals.ridge, features="sqrt", log=True),
    "olmix's log-linear law": rivals.log_linear_law,
    **rivals.installed(LightGBM_recipe=rivals.lightgbm_recipe),
}
FIT, TARGETS = 64, 8


def report(data: Path, run: Run = WHOLE) -> str | None:
    pair, swarm = regmix(data), olmix(data)
    if pair is None or swarm is None:
        return None
    parts = [sizes(*pair, run), beyond(*pair, run), folds(swarm, run)]
    return (
        "# Data mixtures\n\n"
        + wanted(row for rows, _ in parts for row in rows)
        + "".join(text for _, text in parts)
        + rivals.note()
    )


def sizes(train: Recording, test: Recording, run: Run) -> tuple[list, str]:
    """RegMix by number of runs."""

    def score(m: int, method: Method, draw: int) -> dict[str, float]:
        pick = rows_of(len(train.X), draw)[:m]
        predicted = method(Split(train.X[pick], train.Y[pick], test.X, test.Y)).predict(test.X)
        rank = np.nan_to_num(spearman(test.Y, predicted))  # a constant ranks nothing
        return {"Spearman": float(np.mean(rank)), "relative error": float(np.mean(relative_error(test.Y, predicted)))}

    scores, lines, checks, found = ("Spearman", "relative error"), [], [], {}
    for m in (32, 64) if run.quick else LEVELS:
        draws = run.draws(10 if m < len(train.X) else 1)
        figures = found[m] = methods.figures(
            run, methods.own(run) | SIZES, draws, partial(score, m), bench="sizes", m=m
        )
        lines += against(str(m), figures, OURS, scores)
        ours = figures[OURS]["Spearman"]
        checks.append((f"RegMix, {m} runs: Spearman", LEVELS[m], f"{ours.mean():.4f}", ours.mean() >= LEVELS[m]))
        for name in figures:
            if name.startswith("LightGBM"):
                theirs = figures[name]["Spearman"]
                what = f"RegMix, {m} runs: Spearman above {name}"
                checks.append((what, 0, difference(ours, theirs), ours.mean() > theirs.mean()))
    if 512 in found:
        error = found[512][OURS]["relative error"].mean()
        checks.append(("RegMix, 512 runs: relative error", "at most .0082", f"{error:.4f}", error <= 0.0082))
        if RECIPE in found[512]:
            ours, theirs = found[256][OURS]["Spearman"], found[512][RECIPE]["Spearman"].mean()
            text = difference(ours, np.full(len(ours), theirs))
            checks.append((f"RegMix, 256 runs: Spearman above {RECIPE} from 512", 0, text, ours.mean() >= theirs))
    constant = np.mean(relative_error(test.Y, np.tile(train.Y.mean(axis=0), (len(test.Y), 1))))
    text = (
        "\n## RegMix\n\nRuns fitted, random draws of the 512 (ten; one of 512); mean over 13 targets of the Spearman "
        f"correlation and of |error| / loss on 256 test runs (the constant: {constant:.4f}). '{RECIPE}' stops early "
        "on the test runs, as published.\n\n" + table(head(scores, OURS), lines)
    )
    return checks, text


def beyond(train: Recording, test: Recording, run: Run) -> tuple[list, str]:
    """Regret where the optimum lies beyond the runs."""
    X, Y = np.vstack([train.X, test.X]), np.vstack([train.Y, test.Y])

    def score(method: Method, draw: int) -> dict[str, list[float]]:
        return {"regret": [regret(X, Y[:, [t]], len(train.X), method, (draw, t)) for t in range(TARGETS)]}

    figures = methods.figures(run, methods.own(run) | BEYOND, run.draws(8), score, bench="beyond")
    rows = []
    for name, figure in figures.items():
        each = figure["regret"].ravel()
        mean = f"{each.mean():.3f} +- {1.96 * each.std(ddof=1) / np.sqrt(each.size):.3f}"
        gap = "" if name == OURS else difference(figures[OURS]["regret"], figure["regret"], 3)
        rows.append([name, mean, f"{np.median(each):.3f}", gap])
    text = (
        f"\n## The optimum beyond the runs\n\nRegMix, {FIT} runs, the best quarter withheld; regret at the pick in "
        f"standard deviations, over draws x targets, +- 1.96 standard errors.\n\n"
        + table(["method", "mean regret", "median", f"{OURS} - it, paired over draws"], rows)
    )
    found = figures[OURS]["regret"].mean()
    return [("RegMix, optimum beyond the runs: regret", "at most .18", f"{found:.3f}", found <= 0.18)], text


def regret(X: NDArray, y: NDArray, pool: int, method: Method, seed: tuple[int, int]) -> float:
    """Regret of the best prediction: the first ``pool`` rows may be fitted, their best quarter is not."""
    rest = np.flatnonzero(y[:pool, 0] >= np.quantile(y[:pool, 0], 0.25))
    fit = np.random.default_rng(seed).choice(rest, FIT, replace=False)
    free = np.setdiff1d(np.arange(len(X)), fit)
    truth = y[free, 0]
    predicted = np.ravel(method(Split(X[fit], y[fit], X[free], y[free])).predict(X[free]))
    return float((truth[predicted.argmin()] - truth.min()) / truth.std())


def folds(swarm: Recording, run: Run) -> tuple[list, str]:
    """Pooled predictions of five folds on olmix's swarm."""
    scores, draws = ("mean Spearman", "Spearman of the averaged metric"), run.draws(5, 1)

    def score(method: Method, draw: int) -> dict[str, float]:
        predicted = np.empty_like(swarm.Y)
        for fit, judge in KFold(5, shuffle=True, random_state=draw).split(swarm.X):
            predicted[judge] = method(swarm.split(fit, judge)).predict(swarm.X[judge])
        average = spearman(swarm.Y.mean(axis=1), predicted.mean(axis=1))
        return {scores[0]: float(np.nanmean(spearman(swarm.Y, predicted))), scores[1]: float(average)}

    figures = methods.figures(run, methods.own(run) | SWARM, draws, score, bench="folds")
    checks = []
    for what, level in zip(scores, (0.855, 0.975), strict=True):
        found = figures[OURS][what][0]
        checks.append((f"olmix, shuffle 0: {what}", level, f"{found:.4f}", found >= level))
    first = {name: {s: v[:1] for s, v in figure.items()} for name, figure in figures.items()}
    lines = against("0", first, OURS, scores) + (against("all", figures, OURS, scores) if len(draws) > 1 else [])
    text = f"\n## olmix dclm\n\n127 runs, five folds pooled, by shuffle; {len(draws)} of them.\n\n"
    return checks, text + table(head(scores, OURS), lines)
