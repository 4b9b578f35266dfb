"""Digits, three problems, and the additive game: surrogates on unseen masks, and leave-one-out against the truth.

80 of 240 near-full masks (one coupled seed) are fitted, 20 draws; R^2 on the 160 others; Spearman of leave-one-out
with the recorded truth of eight other seeds. Differences are paired over draws (draws overlap, so intervals describe
the draw, not the problem). At equal cost stands leave-one-out itself, repeated over seeds.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from interplay import Evaluations, KernelSurrogate, LinearSurrogate, evaluate, masks, metrics, readings
from interplay.problems.digits import TARGETS, recording
from interplay.problems.games import additive
from interplay.surrogates import compare

M, DRAWS = 80, 20
SURROGATES = {
    "tuned ridge": LinearSurrogate,
    "kernel": KernelSurrogate,
    "published kernel": KernelSurrogate.published,
    "published least squares": LinearSurrogate.published,
}


def report(data: Path) -> str:
    """Tables of the digits problems and of the additive game."""
    lines = [
        "# Digits: surrogates and the truth",
        "",
        f"m = {M} near-full retrained masks of one seed, mean over {DRAWS} draws. Overall test loss / mean of all 11",
        "targets. 'chosen' is what `attribute` takes: ridge unless the kernel is better by more than a standard error.",
        "",
        "| problem | surrogate | R^2 on unseen masks | Spearman with the truth | kernel chosen |",
        "|---|---|---|---|---|",
    ]
    paired = [
        "",
        "| problem | kernel - tuned ridge | mean difference | 95 % interval over draws |",
        "|---|---|---|---|",
    ]
    repeated = [
        "",
        "Leave-one-out itself, against the mean of the other seeds (Spearman, overall loss / mean of targets):",
        "",
        "| problem | one seed (21 trainings) | four seeds (84 trainings) | ceiling of eight seeds |",
        "|---|---|---|---|",
    ]
    for name, near, truth in problems():
        effects = metrics.leave_one_out_effects(truth)
        r2, rho, chosen = _draws(near, effects.effects)
        for surrogate in (*SURROGATES, "chosen"):
            share = f"{chosen:.0%}" if surrogate == "chosen" else ""
            lines.append(f"| {name} | {surrogate} | {_two(r2[surrogate])} | {_two(rho[surrogate])} | {share} |")
        for what, values in (("R^2", r2), ("Spearman", rho)):
            for label, pick in (("overall", lambda v: v[:, 0]), ("mean of targets", lambda v: v.mean(axis=1))):
                d = metrics.paired_difference(pick(values["kernel"]), pick(values["tuned ridge"]))
                paired.append(f"| {name} | {what}, {label} | {d.mean:+.4f} | {d.low:+.4f} to {d.high:+.4f} |")
        seeds = len(effects.per_seed)
        one = [_rank(effects.per_seed[[i]], effects.per_seed, (i,)) for i in range(seeds)]
        four = [_rank(effects.per_seed[list(c)], effects.per_seed, c) for c in combinations(range(seeds), seeds // 2)]
        repeated.append(
            f"| {name} | {_two(np.array(one))} | {_two(np.array(four))} | {_two(_ceiling(effects.per_seed)[None])} |"
        )
    return "\n".join(lines + paired + repeated) + "\n"


def problems() -> list[tuple[str, Evaluations, Evaluations]]:
    """Near-full runs of one seed and the truth of every recorded problem, and of the additive game."""
    out = []
    for seed in range(3):
        path = Path(__file__).parent / "recordings" / f"digits-{seed}.parquet"
        runs = recording() if seed == 0 else Evaluations.read(path, targets=TARGETS)
        near = runs.filter((runs.origin == "near_full") & (runs.seed == 100))
        out.append((f"digits {seed}", near, runs.filter(runs.origin == "truth")))
    game = additive(0)
    leave_one_out = masks.leave_one_out(len(game.tasks))
    rng = np.random.default_rng(0)
    near_full = masks.bernoulli(len(game.tasks), 240, p=0.9, rng=rng, exclude=leave_one_out)
    near = evaluate(game, near_full, seeds=[100])
    out.append(("additive game", near, evaluate(game, leave_one_out, seeds=list(range(8)))))
    return out


def _draws(near: Evaluations, truth: np.ndarray) -> tuple[dict, dict, float]:
    rng = np.random.default_rng(0)
    r2, rho, chosen = ({name: [] for name in (*SURROGATES, "chosen")} for _ in range(3))
    for _ in range(DRAWS):
        order = rng.permutation(len(near))
        fit, unseen = order[:M], order[M:]
        X, Y = near.masks[fit], near.values[fit]
        choice = compare(X, Y)
        fitted = {name: build().fit(X, Y) for name, build in SURROGATES.items()} | {"chosen": choice.surrogate}
        chosen["chosen"].append(choice.name == "stack")
        for name, surrogate in fitted.items():
            r2[name].append(metrics.r2(near.values[unseen], surrogate.predict(near.masks[unseen])))
            benefit = readings.leave_one_out(surrogate).mean * near.benefit_sign
            rho[name].append(metrics.spearman(benefit, truth))
    stack = lambda values: {name: np.array(v) for name, v in values.items()}
    return stack(r2), stack(rho), float(np.mean(chosen["chosen"]))


def _rank(mean_of: np.ndarray, per_seed: np.ndarray, taken: tuple[int, ...]) -> np.ndarray:
    others = np.delete(per_seed, taken, axis=0).mean(axis=0)
    return np.asarray(metrics.spearman(mean_of.mean(axis=0), others))


def _ceiling(per_seed: np.ndarray) -> np.ndarray:
    """Ceiling of Spearman per target: by the reliability of ranks (by Pearson a few large effects make it 1)."""
    return np.asarray(metrics.ceiling(metrics.reliability(per_seed, method=metrics.spearman)))


def _two(values: np.ndarray) -> str:
    return f"{np.nanmean(values[:, 0]):.3f} / {np.nanmean(values):.3f}"
