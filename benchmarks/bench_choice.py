"""Choosing among mixtures that are given: RegMix's 256 test runs, and held-out folds of olmix's swarm.

1. RegMix: from m of the 512 training runs, drawn at random, the best of the 256 test mixtures is chosen for each of the
   13 losses and for their mean. Weights were recorded with three digits: candidates are scaled to sum to one.
2. olmix dclm: from the runs of four folds the best of the fifth, for the mean of all 110 metrics and for the first
   `SINGLE` metrics of the alphabet; a draw is one fold of one shuffle. Mixtures of a source that no run of the four
   folds holds are no candidates: nothing is known of them.

Regret: the target at the choice minus the least of the candidates, in standard deviations of the target (over the 256
test runs, over all 127 runs). For a mean of targets every rival may fit the targets one by one and average predictions,
or fit the mean itself: the better of the two, over the draws, is shown.

At every method's own choice, in the direction of the benefit: optimism = predicted minus measured, in the same
standard deviations, positive where it was too rosy; its mean, and its mean size, which is what a single choice meets.
Of `select` also surprises, the share measured worse than predicted by more than 2 standard deviations of a measurement,
and the share of 95 % intervals of a measurement that hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold

import interplay as ip
from interplay.selection import fitted

from . import methods, rivals
from .draws import WHOLE, Figures, Method, Recording, Run, Split, difference, olmix, regmix, rows_of, wanted
from .machine import table

Array = NDArray[np.float64]
CODE = (*methods.CODE, *(Path(ip.__file__).parent / part for part in ("selection", "fitting.py", "predictor.py")))
OURS, BOLD = "select", "select, risk 0"
OWN: dict[str, dict[str, Any]] = {OURS: {}, BOLD: {"risk": 0.0}}
MEAN, Z = "mean(*)", 1.96
SIZES, SINGLE, SHUFFLES, FOLDS = (32, 64, 128), 10, 4, 5
LIGHTGBM, RECIPE = "LightGBM tuned", "LightGBM recipe"
LAW, ROOTS = "olmix's log-linear law", "ridge, square roots, log y"
POOL: dict[str, Method] = {
    "ridge, log weights": partial(rivals.ridge, features="log"),
    "ridge, log weights, log loss": partial(rivals.ridge, features="log", log=True),
    **rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned, LightGBM_recipe=rivals.lightgbm_recipe),
}
SWARM: dict[str, Method] = {
    "ridge, log y": partial(rivals.ridge, log=True),
    ROOTS: partial(rivals.ridge, features="sqrt", log=True),
    LAW: rivals.log_linear_law,
    **rivals.installed(LightGBM_recipe=rivals.lightgbm_recipe),
}


def report(data: Path, run: Run = WHOLE) -> str | None:
    pair, swarm = regmix(data), olmix(data)
    if pair is None or swarm is None:
        return None
    parts = [pool(*pair, run), folds(swarm, metric_names(data), run)]
    return (
        "# Choosing among given mixtures\n\n"
        + wanted(row for rows, _ in parts for row in rows)
        + "".join(text for _, text in parts)
        + rivals.note()
    )


def metric_names(data: Path) -> list[str]:
    """Names of the metrics of olmix's swarm, in the order of the recording."""
    return list(pd.read_csv(data / "olmix" / "dclm_metrics.csv", nrows=0).columns[4:])


# ---------------------------------------------------------------- choices


@contextmanager
def one_fit() -> Iterator[None]:
    """Let choices from the same runs share one fit, which hangs on neither risk nor candidates: it takes the time."""
    fit, kept = fitted.fit_design, []

    def first(*args: Any) -> Any:
        if not kept:
            kept.append(fit(*args))
        return kept[0]

    with patch.object(fitted, "fit_design", first):
        yield


def ours(split: Split, names: Sequence[str], asked: Sequence[str], spread: Array) -> dict[str, Array]:
    """What `select` chose for each target asked for, scores (ways of `OWN`, n); candidates are the judging rows."""
    runs = ip.Evaluations.from_arrays(split.X, split.Y, targets=names, kind="mixture")
    candidates = split.new  # as they are: rounded shares
    scores = np.empty((3, len(OWN), len(asked)))
    for j, name in enumerate(asked):
        y = split.truth.mean(axis=1) if name == MEAN else split.truth[:, list(names).index(name)]
        with one_fit():
            for i, options in enumerate(OWN.values()):
                chosen = ip.select(runs, name, among=candidates, **options)
                pick = int(np.abs(candidates - chosen.weights).sum(axis=1).argmin())
                rosy = y[pick] - chosen.choice.predicted[0]
                deviation = np.hypot(chosen.choice.deviation[0], chosen.noise[0])
                scores[:, i, j] = (y[pick] - y.min()) / spread[j], rosy / spread[j], rosy / deviation
    return dict(zip(("regret", "optimism", "z"), scores, strict=True))


def apart(figures: Figures) -> dict[str, Figures]:
    """Figures of each way of `OWN`."""
    return {name: {score: v[:, i] for score, v in figures.items()} for i, name in enumerate(OWN)}


def theirs(split: Split, method: Method, columns: Sequence[int], y: Array, spread: Array) -> dict[str, Array]:
    """What a rival chose for some targets, then for the mean by a sum of fits, then by a fit to the mean: scores (n,).

    Truth y (candidates, n), in standard deviations (n,).
    """
    level = lambda Y: np.column_stack([Y, Y.mean(axis=1)])
    predicted = method(Split(split.X, level(split.Y), split.new, level(split.truth))).predict(split.new)
    every = np.column_stack([predicted[:, list(columns)], predicted[:, :-1].mean(axis=1), predicted[:, -1]])
    pick, each = every.argmin(axis=0), np.arange(every.shape[1])
    taken = y[pick, each]
    return {"regret": (taken - y.min(axis=0)) / spread, "optimism": (taken - every[pick, each]) / spread}


def better(figure: Figures) -> tuple[int, str]:
    """Which column of a rival is the mean of targets by the better of its two ways, and which way that is."""
    regret = figure["regret"]
    way = int(regret[:, -1].mean() < regret[:, -2].mean())
    return way - 2, ("a sum of fits", "a fit to the mean")[way]


# ---------------------------------------------------------------- RegMix


def pool(train: Recording, test: Recording, run: Run) -> tuple[list, str]:
    """Choose among RegMix's 256 test mixtures."""
    T = train.Y.shape[1]
    names = [f"loss_{t}" for t in range(T)]
    truth = np.column_stack([test.Y, test.Y.mean(axis=1)])
    spread = truth.std(axis=0)

    def split(m: int, draw: int) -> Split:
        rows = rows_of(len(train.X), draw)[:m]
        return Split(train.X[rows], train.Y[rows], test.X, test.Y)

    def own(m: int, draw: int) -> dict[str, Array]:
        return ours(split(m, draw), names, [*names, MEAN], spread)

    def rival(m: int, method: Method, draw: int) -> dict[str, Array]:
        y, s = np.column_stack([truth, truth[:, -1]]), np.append(spread, spread[-1])
        return theirs(split(m, draw), method, range(T), y, s)

    def measured(m: int, draw: int) -> dict[str, Array]:
        seen = split(m, draw).Y
        best = np.append(seen.min(axis=0), seen.mean(axis=1).min())
        return {"regret": (best - truth.min(axis=0)) / spread}

    found: dict[int, dict[str, Figures]] = {}
    draws = run.draws(10)
    for m in SIZES[:1] if run.quick else SIZES:
        found[m] = apart(run.over(draws, partial(own, m), CODE, bench="choice", data="regmix", method=OURS, m=m))
        found[m] |= methods.figures(run, POOL, draws, partial(rival, m), bench="choice", data="regmix", m=m)
        found[m]["the best run itself"] = {"regret": np.array([measured(m, draw)["regret"] for draw in draws])}
    whole = methods.figures(
        run, {} if run.quick else POOL, range(1), partial(rival, len(train.X)), bench="choice", data="regmix", m=512
    )
    lines, told, checks = [], [], []
    for m, figures in found.items():
        lines += compared(str(m), figures, T)
        told += beliefs(str(m), figures, T)
        checks += nearest(f"RegMix, {m} runs", figures, T)
    for name, figure in whole.items():
        lines += compared("512, one draw", {name: figure}, T)
    if 64 in found and LIGHTGBM in whole:
        checks = against_whole(found[64][OURS]["regret"], whole[LIGHTGBM]) + checks
    random = f"{((truth.mean(axis=0) - truth.min(axis=0)) / spread)[:-1].mean():.2f}"
    random = f"{random} (mean of the losses {(truth[:, -1].mean() - truth[:, -1].min()) / spread[-1]:.2f})"
    each = by_target(found, whole, [*names, "their mean"])
    text = (
        f"\n## RegMix\n\nRegret among 256 test mixtures, {len(draws)} random draws of the training runs; mean over the "
        f"13 losses, and of their mean. '{OURS}' is as it is without options (risk .5). '{RECIPE}' stops "
        "early on the test runs, as published. 'The best run itself' is no test mixture: what it measured less the "
        f"least of the test mixtures. A random mixture: {random}.\n\n"
        + table(HEAD, lines)
        + "\nWhat methods predicted of their own choice.\n\n"
        + table(BELIEFS, told)
        + (f"\nBy target.\n\n{each}" if each else "")
    )
    return checks, text


HEAD = ["runs", "method", "regret", f"{OURS} - it", "regret, mean of targets", f"{OURS} - it", "by"]
BELIEFS = [
    "runs",
    "method",
    "optimism",
    "its size",
    "optimism, mean of targets",
    "its size",
    "surprises",
    "intervals that hold it",
]


def compared(case: str, figures: Mapping[str, Figures], single: int) -> list[list[str]]:
    """Rows of a table: regret over single targets and of their mean, with paired differences."""
    lines = []
    for name, figure in figures.items():
        mean, way = figure["regret"][:, single], ""
        if "z" not in figure and figure["regret"].shape[1] == single + 2:
            column, way = better(figure)
            mean = figure["regret"][:, column]
        row = [case, name]
        for mine, its in zip(
            (None, None)
            if OURS not in figures
            else (figures[OURS]["regret"][:, :single], figures[OURS]["regret"][:, single]),
            (figure["regret"][:, :single], mean),
            strict=True,
        ):
            row += [f"{its.mean():.3f}", "" if mine is None or name == OURS else difference(mine, its, 3)]
        lines.append([*row, way])
    return lines


def rosy(figure: Figures, single: int) -> tuple[Array, Array]:
    """Optimism of choices for single targets (draws, single), and of that for their mean (draws,)."""
    column = single if "z" in figure else better(figure)[0]
    return figure["optimism"][:, :single], figure["optimism"][:, column]


def beliefs(case: str, figures: Mapping[str, Figures], single: int) -> list[list[str]]:
    """Rows of a table: what was predicted of choices, beside what they measured."""
    lines = []
    for name, figure in figures.items():
        if "optimism" not in figure:
            continue
        line = [case, name]
        for v in rosy(figure, single):
            line += [difference(v, np.zeros_like(v), 3), f"{np.abs(v).mean():.3f}"]
        z = figure.get("z")
        lines.append([*line, *(("", "") if z is None else (f"{(z > 2).mean():.3f}", f"{(np.abs(z) <= Z).mean():.3f}"))])
    return lines


def nearest(case: str, figures: Mapping[str, Figures], single: int) -> list:
    """Checks of the optimism of `select` against that of every rival: its size, and its mean."""
    checks = []
    told = {name: rosy(f, single) for name, f in figures.items() if "optimism" in f and (name == OURS or "z" not in f)}
    for i, what in enumerate(("single targets", "mean of targets")):
        mine = told[OURS][i]
        for score, of in (("its size", lambda v: np.abs(v).mean()), ("its mean", lambda v: abs(v.mean()))):
            least = min((name for name in told if name != OURS), key=lambda name: of(told[name][i]))
            shown = f"{np.abs(mine).mean():.3f}" if score == "its size" else difference(mine, np.zeros_like(mine), 3)
            met = bool(of(mine) <= of(told[least][i]))
            checks.append((f"{case}, optimism, {what}: {score}", f"{of(told[least][i]):.3f}, {least}", shown, met))
    return checks


def against_whole(regret: Array, figure: Figures) -> list:
    """Checks of regret (draws, T + 1) from few runs against tuned LightGBM from all, target by target."""
    rival = np.append(figure["regret"][0, :-2], figure["regret"][0, better(figure)[0]])
    names = [*(f"loss {t}" for t in range(len(rival) - 1)), "mean of the losses"]
    what = "RegMix, regret from 64 runs not above tuned LightGBM's from 512"
    each = regret.mean(axis=0)
    text = difference(regret[:, :-1], np.tile(rival[:-1], (len(regret), 1)), 3)
    checks: list[Any] = [(f"{what}, mean over losses", "at most 0", text, each[:-1].mean() <= rival[:-1].mean())]
    for t, name in enumerate(names):
        text = difference(regret[:, t], np.full(len(regret), rival[t]), 3)
        checks.append((f"{what}, {name}", "at most 0", text, bool(each[t] <= rival[t])))
    return checks


def by_target(found: Mapping[int, Mapping[str, Figures]], whole: Mapping[str, Figures], names: Sequence[str]) -> str:
    """Table of mean regrets, a row for each target."""
    columns = {
        f"{name}, {m}": figures[name] for m, figures in found.items() for name in (OURS, LIGHTGBM) if name in figures
    }
    columns |= {f"{name}, 512": figure for name, figure in whole.items() if name == LIGHTGBM}
    values = []
    for figure in columns.values():
        each = figure["regret"].mean(axis=0)
        values.append(each if "z" in figure else np.append(each[:-2], each[better(figure)[0]]))
    return table(["", *columns], [[name, *(f"{v[t]:.3f}" for v in values)] for t, name in enumerate(names)])


# ---------------------------------------------------------------- olmix


def folds(swarm: Recording, names: Sequence[str], run: Run) -> tuple[list, str]:
    """Choose in a held-out fold of olmix's swarm."""
    asked = sorted(names)[:SINGLE]
    columns = [list(names).index(name) for name in asked]
    every = np.column_stack([swarm.Y[:, columns], swarm.Y.mean(axis=1)])
    spread = every.std(axis=0)

    def split(draw: int) -> tuple[Split, Array]:
        parts = KFold(FOLDS, shuffle=True, random_state=draw // FOLDS).split(swarm.X)
        fit, judge = list(parts)[draw % FOLDS]
        judge = judge[~(swarm.X[judge][:, ~(swarm.X[fit] > 0).any(axis=0)] > 0).any(axis=1)]
        return swarm.split(fit, judge), every[judge]

    def own(draw: int) -> dict[str, Array]:
        return ours(split(draw)[0], names, [*asked, MEAN], spread)

    def rival(method: Method, draw: int) -> dict[str, Array]:
        part, y = split(draw)
        y, s = np.column_stack([y, y[:, -1]]), np.append(spread, spread[-1])
        return theirs(part, method, columns, y, s)

    draws = run.draws(SHUFFLES * FOLDS, 1)
    figures = apart(run.over(draws, own, CODE, bench="choice", data="olmix", method=OURS))
    figures |= methods.figures(run, SWARM, draws, rival, bench="choice", data="olmix")
    mine, checks = figures[OURS]["regret"], []
    for name in (LAW, ROOTS, "ridge, log y"):
        its = figures[name]["regret"]
        for what, a, b in (
            ("the average metric", mine[:, -1], its[:, better(figures[name])[0]]),
            (f"{SINGLE} single metrics", mine[:, :-1].mean(axis=1), its[:, :SINGLE].mean(axis=1)),
        ):
            checks.append((f"olmix, regret on {what}: below {name}", 0, difference(a, b, 3), a.mean() < b.mean()))
    checks += nearest("olmix", figures, SINGLE)
    worst = np.mean([(y.mean(axis=0) - y.min(axis=0)) / spread for y in (split(d)[1] for d in draws)], axis=0)
    text = (
        f"\n## olmix dclm\n\nRegret in the held-out fold (some 25 mixtures), {len(draws)} folds, "
        f"{FOLDS} to a shuffle; mean over {SINGLE} single metrics, and of the mean of all {len(names)}. A random "
        f"mixture: {worst[:-1].mean():.2f} (the mean of all {worst[-1]:.2f}).\n\n"
        + table(HEAD, compared("", figures, SINGLE))
        + "\nWhat methods predicted of their own choice.\n\n"
        + table(BELIEFS, beliefs("", figures, SINGLE))
    )
    return checks, text
