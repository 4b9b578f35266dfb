"""The gradient estimator on digits: against the published one, and its leave-one-out against the truth.

1. W0 trained to the optimum of the full mask; near-full masks retrained from it to their optima. Ours has nothing
   to tune (weight decay is the training's, mu = 0); the published one gets its best lambda on eight retrained masks
   that are in no figure. Time: processor seconds on one thread for 200 masks, features and solving and measuring.
2. Leave-one-out from estimates alone, the mean of three W0 trained from scratch with seeds that are not in the truth,
   against the recorded truth of eight seeds. Beside it one real round of leave-one-out: each seed of the truth
   against the mean of the other seven.

Retraining the masks that judge takes most of the time.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay import Evaluations, masks, metrics
from interplay.evaluators import Linearized
from interplay.gradients.diagnostics import agreement
from interplay.problems.digits import TARGETS, Digits, recording

from .machine import table

PROBLEMS, SEEDS = (0, 1, 2), (200, 201, 202)
UNSEEN = (3, 4, 5)  # problems whose truth no choice of the estimator has seen
CHOOSING, JUDGING, TIMED = 8, 24, 200


def report(data: Path) -> str:
    """Both tables."""
    torch.set_num_threads(1)
    return "\n".join(["# The gradient estimator on digits", "", *_errors(), "", *_leave_one_out()]) + "\n"


def _errors() -> list[str]:
    rows, ratios = [], []
    for seed in PROBLEMS:
        problem = Digits(seed)
        W0 = problem.trained(0, converged=True)
        rng = np.random.default_rng([7, seed])
        near = masks.bernoulli(problem.K, TIMED, p=0.9, rng=rng)
        real = problem.finetune(W0, near[: CHOOSING + JUDGING])
        choosing = Evaluations.from_arrays(
            near[:CHOOSING], real[:CHOOSING], tasks=problem.tasks, targets=problem.targets, fidelity="finetuned"
        )
        loaders, targets = problem.loaders(), problem.test_targets()
        chosen = Linearized.published(W0, loaders, targets, dim=512, retrained=choosing).lam
        found = {}
        ours = partial(Linearized, W0, loaders, targets, weight_decay=problem.weight_decay)
        published = partial(Linearized.published, W0, loaders, targets, dim=512, grid=[chosen])
        for name, build in (("ours", ours), ("published, d = 512", published)):
            began = time.process_time()
            estimate = build().evaluate(near)
            seconds = time.process_time() - began
            judged = slice(CHOOSING, CHOOSING + JUDGING)
            figures = agreement(estimate[judged], real[judged], problem.targets)
            found[name] = (figures["relative_error"], seconds)
            overall = figures["by_target"]["loss"]
            rows.append(
                [
                    f"digits {seed}",
                    name if name[0] == "o" else f"{name}, lambda = {chosen:g}",
                    *(_percent(overall[k], figures[k]) for k in ("relative_error", "constant_relative_error")),
                    f"{overall['error_over_spread']:.2f} / {figures['error_over_spread']:.2f}",
                    f"{overall['spearman']:.3f} / {figures['spearman']:.3f}",
                    f"{seconds:.1f}",
                ]
            )
        (error, fast), (their_error, slow) = found["ours"], found["published, d = 512"]
        ratios.append((error / their_error, slow / fast))
    error, speed = np.mean(ratios, axis=0)
    return [
        f"Truth: {JUDGING} near-full masks retrained from the same W0. Overall test loss / mean of all 11 targets.",
        "",
        table(
            [
                "problem",
                "estimator",
                "relative error",
                "best constant's",
                "error / spread",
                "Spearman",
                "CPU s, 200 masks",
            ],
            rows,
        ),
        f"Mean over problems: {error:.2f} of the published error (mean of targets), {speed:.0f} times faster.",
    ]


def _leave_one_out() -> list[str]:
    rows: list[list[Any]] = []
    shares = []
    for seed in (*PROBLEMS, *UNSEEN):
        problem, truth = Digits(seed), _truth(seed)
        design = masks.leave_one_out(problem.K)
        effects = metrics.leave_one_out_effects(truth)
        per_seed = effects.per_seed
        ceiling = np.asarray(metrics.ceiling(metrics.reliability(per_seed, method=metrics.spearman)))
        real = np.mean(
            [metrics.spearman(one, np.delete(per_seed, i, 0).mean(0)) for i, one in enumerate(per_seed)], axis=0
        )
        members = [
            Linearized(problem.trained(s), problem.loaders(), problem.test_targets(), weight_decay=problem.weight_decay)
            for s in SEEDS
        ]
        each = [_benefits(member, design) for member in members]
        mean = np.asarray(metrics.spearman(_benefits(Linearized.mean(members), design), effects.effects))
        single = np.mean([metrics.spearman(one, effects.effects) for one in each], axis=0)
        share = mean / ceiling
        shares.append((share[0], share.mean(), real[0] / ceiling[0], (real / ceiling).mean()))
        rows.append(
            [f"digits {seed}", *(_two(v) for v in (mean, single, real, ceiling, share))],
        )
    seen, unseen = np.mean(shares[: len(PROBLEMS)], axis=0), np.mean(shares[len(PROBLEMS) :], axis=0)
    said = "{:.3f} / {:.3f}; one real round {:.3f} / {:.3f}"
    return [
        "Leave-one-out without retraining, Spearman with the truth of eight seeds. Overall loss / mean of 11 targets.",
        "",
        table(
            ["problem", "mean of three W0", "one W0", "one real round, one seed", "ceiling", "mean of W0 / ceiling"],
            rows,
        ),
        f"Mean share of the ceiling, problems 0 to 2: {said.format(*seen)}.",
        "",
        f"Problems 3 to 5: {said.format(*unseen)}. The directions of the subspace were chosen with the truth of "
        "problems 0 to 2 in view; these three judge that choice.",
    ]


def _truth(seed: int) -> Evaluations:
    if seed == 0:
        return recording("truth")
    path = Path(__file__).parent / "recordings" / f"digits-{seed}.parquet"
    runs = Evaluations.read(path, targets=TARGETS)
    return runs.filter(runs.origin == "truth")


def _benefits(evaluator: Any, design: np.ndarray) -> np.ndarray:
    """Estimated benefits (K, T) of a loss from the full mask and the K masks that lack one task."""
    values = evaluator.evaluate(design)
    return values[1:] - values[0]


def _percent(a: float, b: float) -> str:
    return f"{a:.1%} / {b:.1%}"


def _two(values: np.ndarray) -> str:
    return f"{values[0]:.3f} / {values.mean():.3f}"
