"""Proposed runs against random masks with twice as many, on live trainings of the digits problem.

Every draw is one coupled training seed of its own. Twenty masks of `masks.design` are run, then batches of ten that
`active.propose` asks for, up to 40 and 80 runs. Beside them

- random masks: 80 and 160 as the published method draws them, uniform of one size, .6 of the tasks (`PUBLISHED`);
- designed masks: 40, 80 and 160 of `masks.design`, which draws masks for the question at hand; for leave-one-out also
  40 and 80 of these spread over two and four coupled seeds, which would tell if the one seed is what limits.

What is read from any is judged by trainings of other seeds:

1. leave-one-out: Spearman with the recorded truth of eight seeds, mean over the 11 losses; beside it leave-one-out
   itself, repeated over one to four of those seeds and judged by the other four;
2. Shapley values: Spearman with those of a kernel on 400 masks of all sizes under two seeds;
3. best subset: overall test loss of the subset that the fit predicts to be best, retrained under three seeds.

Trainings are kept in a store under recordings/raw, so that a run that was stopped goes on where it was; each takes
about .4 s on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import interplay
from interplay import Evaluations, active, evaluate, fit, masks, metrics, readings
from interplay.problems.digits import Digits, recording

from .draws import WHOLE, Figures, Run, against, difference, head, wanted
from .machine import table

Array = NDArray[np.float64]
RAW = Path(__file__).resolve().parent / "recordings" / "raw"
CODE = (Path(__file__).resolve(), Path(active.__file__).resolve().parent)
DRAWS, START, BATCH, SIZES = 10, 20, 10, (40, 80)
FIRST = 1000  # training seed of draw 0: none of the recordings
PUBLISHED = 0.6  # share of the tasks in a mask of the published method, for images
SPREAD = 100  # between the seeds of one draw
JUDGES, TRUTH_MASKS, TRUTH_SEEDS = (900, 901, 902), 400, (910, 911)


def report(data: Path, run: Run = WHOLE) -> str | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    draws, questions = run.draws(DRAWS, 1), {"leave-one-out": SIZES, "shapley": SIZES, "selection": (40,)}
    checks, text = [], ""
    for question, sizes in questions.items():
        score = {"leave-one-out": by_leave_one_out, "shapley": by_shapley, "selection": by_best}[question]
        label = "loss of the best subset" if question == "selection" else "Spearman"
        lines: list[list[str]] = []
        for m in sizes:
            figures = measured(run, draws, question, m, score, label)
            lines += against("", figures, f"{m} proposed", [label])
            for how in ("random", "designed"):
                theirs, own = figures[f"{2 * m} {how}"][label], figures[f"{m} proposed"][label]
                pair = (theirs, own) if question == "selection" else (own, theirs)
                d = metrics.paired_difference(*pair)
                what = f"{question}: {m} proposed runs no worse than {2 * m} {how} ones"
                checks.append((what, f"{-d.se:.4f} (1 s.e.)", difference(*pair), bool(d.mean >= -d.se)))
        text += f"\n## {question}\n\n{len(draws)} draws.\n\n" + table(head([label], "proposed"), lines)
        if question == "leave-one-out":
            text += repeated()
        if question == "shapley":
            text += f"\nThe truth's two seeds agree by {ceiling():.3f} (Spearman, mean over losses).\n"
    return "# Proposed runs\n\n" + wanted(checks) + text


def measured(run: Run, draws: range, question: str, m: int, score: Callable, label: str) -> dict[str, Figures]:
    """Figures of m proposed runs and of their rivals, draw by draw."""
    rivals = [("random", 2 * m, 1), ("designed", m, 1), ("designed", 2 * m, 1)]
    if question == "leave-one-out":
        rivals += [("designed", m, 2), ("designed", m, 4)]
    out = {}
    for how, n, seeds in [("proposed", m, 1), *rivals]:

        def one(draw: int, how: str = how, n: int = n, seeds: int = seeds) -> dict[str, float]:
            if how == "proposed":
                return {label: score(proposed(question, n, draw))}
            return {label: score(drawn(how, question, n, draw, seeds))}

        name = f"{n} {how}" + f" over {seeds} seeds" * (seeds > 1)
        out[name] = run.over(draws, one, CODE, bench="active", question=question, how=how, m=n, seeds=seeds)
    return out


# ---------------------------------------------------------------- runs


@cache
def problem() -> Digits:
    return Digits(0)


@cache
def evaluator() -> Any:
    return problem().retrain(stack=42)


def trained(X: Array, seeds: tuple[int, ...]) -> Evaluations:
    """Trainings of masks (n, K) under every seed, kept."""
    RAW.mkdir(parents=True, exist_ok=True)
    return evaluate(evaluator(), X, seeds=list(seeds), store=str(RAW / "active-digits.db"), progress=False)


def targets_of(question: str) -> list[str]:
    return ["loss"] if question == "selection" else list(problem().targets)


def drawn(how: str, question: str, n: int, draw: int, seeds: int = 1) -> Evaluations:
    """n masks as published, or of the design, which come first in more of it; each under one of the seeds in turn."""
    K, rng = problem().K, np.random.default_rng([draw, 1])
    if how == "random":
        X = masks.fixed_size(K, n, round(PUBLISHED * K), rng)
    else:
        X = masks.design(K, 2 * max(SIZES), question, rng)
        X = np.vstack([X[:1], X[1:][np.random.default_rng([draw, 2]).permutation(len(X) - 1)]])[:n]
    parts = [trained(X[s::seeds], (FIRST + draw + SPREAD * s,)).select(targets_of(question)) for s in range(seeds)]
    return sum(parts[1:], start=parts[0])


@cache
def proposed(question: str, n: int, draw: int) -> Evaluations:
    """The first masks of the same design, then batches that are proposed, n in all."""
    if n <= START:
        return drawn("designed", question, START, draw)
    before = proposed(question, n - BATCH, draw)
    found = active.propose(before, question, BATCH, rng=np.random.default_rng([draw, n]))
    return before + trained(found.masks, (FIRST + draw,)).select(targets_of(question))


# ---------------------------------------------------------------- what they are judged by


def effects(runs: Evaluations, question: str) -> Array:
    """Benefits (K, T) as the default fit reads them; 0 for a task that no run switches."""
    found, K = fit(runs), runs.K
    out = np.zeros((K, runs.T))
    read = readings.leave_one_out if question == "leave-one-out" else readings.shapley
    for block, choice in found.choices:
        mean = read(choice.surrogate).mean * runs.benefit_sign[block]
        for p, members in enumerate(found.players.members):
            out[np.ix_(members, block)] = mean[p] / len(members)
    return out


@cache
def truth() -> Evaluations:
    return recording("truth")


def by_leave_one_out(runs: Evaluations) -> float:
    judge = metrics.leave_one_out_effects(truth()).effects
    return float(np.nanmean(metrics.spearman(effects(runs, "leave-one-out"), judge)))


@cache
def exact() -> tuple[Array, Array]:
    """Shapley values (K, T) by each of two seeds."""
    X = masks.design(problem().K, TRUTH_MASKS, "shapley", np.random.default_rng(77))
    runs = trained(X, TRUTH_SEEDS)
    first, second = (effects(runs.where(seed=seed), "shapley") for seed in TRUTH_SEEDS)
    return first, second


def ceiling() -> float:
    return float(np.nanmean(metrics.spearman(*exact())))


def by_shapley(runs: Evaluations) -> float:
    return float(np.nanmean(metrics.spearman(effects(runs, "shapley"), sum(exact()) / 2.0)))


def by_best(runs: Evaluations) -> float:
    """Overall loss, under other seeds, of the subset that the fit predicts to be best: by flips from many starts."""
    found, rng = fit(runs), np.random.default_rng(0)
    K, first = runs.K, found.players.first

    def value(X: Array) -> Array:
        return found.benefit(found.at(X[:, first])[0])

    X = np.vstack([runs.masks, (rng.random((1000, K)) < rng.random((1000, 1))).astype(float)])
    X = X[X.any(axis=1)]
    for _ in range(2 * K):
        X = X[np.argsort(-value(X), kind="stable")[:20]]
        near = np.abs(X[:, None] - np.eye(K)).reshape(-1, K)
        both = np.unique(np.vstack([X, near[near.any(axis=1)]]), axis=0)
        if value(both).max() <= value(X).max():
            break
        X = both
    best = X[[int(np.argmax(value(X)))]]
    return float(trained(best, JUDGES)["loss"].values.mean())


def repeated() -> str:
    """Leave-one-out itself, repeated over seeds, judged by four other seeds."""
    seeds, rows = sorted(set(truth().seed.tolist()))[:8], []
    of = lambda some: metrics.leave_one_out_effects(truth().where(seed=list(some))).effects
    for n in (1, 2, 4):
        found = []
        for some in list(combinations(seeds, n))[:: max(len(list(combinations(seeds, n))) // 8, 1)]:
            others = [s for s in seeds if s not in some][:4]
            found.append(np.nanmean(metrics.spearman(of(some), of(others))))
        rows.append([str(n), str(n * (truth().K + 1)), f"{np.mean(found):.4f}"])
    said = "\nLeave-one-out itself, repeated over seeds, against the mean of four other seeds:\n\n"
    return said + table(["seeds", "trainings", "Spearman"], rows)


if __name__ == "__main__":
    print(interplay.__version__, report(Path(), Run(quick=True)))
