"""95 % intervals of held-out values: how often they hold the value, and how long they are.

Mean +- 1.96 standard deviations of one more measurement. Coverage: share of all held-out values. Interval score
(Gneiting and Raftery 2007; lower is better): length plus 40 times the miss, in standard deviations of the target,
mean over values. Paired over draws; a draw is a random choice of the fitted rows (RegMix: of the training runs; olmix:
one shuffle of five folds), all other rows judge. Losses that hardly vary are left out as in the recordings' notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from interplay import metrics

from . import methods
from .bench_digits import problems
from .draws import (
    WHOLE,
    Method,
    Recording,
    Run,
    Split,
    coin_flip,
    difference,
    modular_addition,
    olmix,
    regmix,
    rows_of,
    valuation,
    wanted,
)
from .machine import table

OURS, RIDGE = "KernelSurrogate", "tuned ridge"
METHODS: dict[str, Method] = {OURS: methods.kernel, RIDGE: methods.linear}
Splits = Callable[[int], list[Split]]  # of a draw


def cases(data: Path, quick: bool) -> dict[str, tuple[int, Splits]]:
    """Every data set with its number of draws and its splits."""
    found: dict[str, tuple[int, Splits]] = {}
    if pair := regmix(data):
        train, test = pair
        for m in (64,) if quick else (64, 256):
            found[f"RegMix, {m}"] = 10, partial(_regmix, train, test, m)
    if swarm := olmix(data):
        found["olmix, 5 folds"] = 1 if quick else 3, partial(_folds, swarm)
    if prompts := coin_flip(data):
        varied = replace(prompts, Y=prompts.Y[:, prompts.Y.var(axis=0) >= 0.1])
        found["coin_flip, 80"] = 1 if quick else 10, partial(_drawn, varied, 80)
    if modular := modular_addition(data):
        varied = replace(modular, Y=modular.Y[:, modular.Y.var(axis=0) > 0])
        found["modular addition, 40"] = 10, partial(_drawn, varied, 40)
    for name, near, _ in problems():
        found[f"{name}, 80"] = 20, partial(_drawn, Recording(name, near.masks, near.values), 80)
    for name in ("sources", "points"):
        if subsets := valuation(data, name):
            for m in (40,) if quick else (40, 120):
                found[f"{name}, {m}"] = 10, partial(_drawn, subsets, m)
    return found


def report(data: Path, run: Run = WHOLE) -> str | None:
    lines, checks = [], []
    for case, (draws, splits) in cases(data, run.quick).items():
        score = partial(_score, splits)
        figures = methods.figures(run, METHODS, run.draws(draws), score, bench="intervals", case=case)
        ridge = figures[RIDGE]["interval score"]
        for name, figure in figures.items():
            share, length = figure["coverage"], figure["interval score"]
            gap = "" if name == RIDGE else difference(length, ridge, 3)
            lines.append([case, name, f"{share.mean():.3f}", f"{share.min():.3f}", f"{length.mean():.3f}", gap])
        ours = figures[OURS]
        covered, d = ours["coverage"].mean(), metrics.paired_difference(ours["interval score"], ridge)
        checks.append((f"{case}: coverage", ".90 to .98", f"{covered:.3f}", 0.9 <= covered <= 0.98))
        what = f"{case}: interval score minus ridge's"
        checks.append(
            (what, f"at most {np.nan_to_num(d.se):.3f} (1 s.e.)", f"{d.mean:+.3f}", d.mean <= np.nan_to_num(d.se))
        )
    head = ["data, rows fitted", "method", "coverage", "of the worst draw", "interval score", f"minus {RIDGE}'s"]
    return "# 95 % intervals of held-out values\n\n" + wanted(checks) + "\n" + table(head, lines)


def _score(splits: Splits, method: Method, draw: int) -> dict[str, float]:
    truth, low, high = [], [], []
    for split in splits(draw):
        mean, deviation = methods.with_noise(method(split), split.new)
        unit = np.vstack([split.Y, split.truth]).std(axis=0)  # a unit to score in: the same for every method
        truth.append((split.truth / unit).ravel())
        low.append(((mean - 1.96 * deviation) / unit).ravel())
        high.append(((mean + 1.96 * deviation) / unit).ravel())
    ends = (np.concatenate(truth), np.concatenate(low), np.concatenate(high))
    return {"coverage": metrics.coverage(*ends), "interval score": metrics.interval_score(*ends)}


def _regmix(train: Recording, test: Recording, m: int, draw: int) -> list[Split]:
    pick = rows_of(len(train.X), draw)[:m]
    return [Split(train.X[pick], train.Y[pick], test.X, test.Y)]


def _folds(swarm: Recording, draw: int) -> list[Split]:
    return [swarm.split(*rows) for rows in KFold(5, shuffle=True, random_state=draw).split(swarm.X)]


def _drawn(recording: Recording, m: int, draw: int) -> list[Split]:
    return [recording.draw(draw, m)]
