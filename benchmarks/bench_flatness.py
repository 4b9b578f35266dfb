"""Does training for flatter minima make the linearised estimate better?

Each training looks for flatter minima in its own way (none, sharpness-aware with rho = .01 and .05, noise stability
with sigma = .01); its masks are retrained in that way, and estimated around the end of its own full mask's training. So
every way is judged on its own truth: `Linearized` to the optimum (mu = 0), and with mu = 1 / (sum of learning rates).
The models: the digits MLP, and the transformer on modular addition stopped at 300 steps, before it generalises.
Eight masks that lack two tasks and the full mask, three seeds; differences to the plain training are paired by seed,
with 95 % intervals by Student's t (two degrees of freedom: 4.3 standard errors).

What is compared is the error over the spread of F over masks, since flatter training changes level and spread of the
losses too; both stand beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student

from interplay.evaluators import Linearized
from interplay.gradients.diagnostics import agreement
from interplay.unrolled.training import Flatter

from .bench_models import CODE, _arrays
from .draws import WHOLE, Run
from .machine import table
from .record_models import evaluator

MODELS = {
    "digits": {},
    "modular": {"steps": 300},  # before generalisation, whose moment hangs on the seed
}
WAYS = {
    "plain": None,
    "SAM, rho = .01": Flatter("sam", 0.01),
    "SAM, rho = .05": Flatter("sam", 0.05),
    "noise, sigma = .01": Flatter("noise", 0.01),
}
SEEDS, MASKS = 3, 8
RIDGES = ("mu = 0", "mu = 1 / sum of rates")


def report(data: Path, run: Run = WHOLE) -> str:
    """One table of all models and ways."""
    torch.set_num_threads(1)
    rows, better = [], []
    for name in MODELS:
        figures = {}
        for way, flatter in WAYS.items():
            measure = lambda seed, f=flatter, n=name: _errors(n, data, f, seed)
            protocol = {"flatness": name, "way": way, "masks": MASKS}
            figures[way] = run.over(range(SEEDS), measure, CODE, **protocol)
        for way, found in figures.items():
            row: list[Any] = [name, way, f"{found['level'].mean():.3f}", f"{found['spread'].mean():.4f}"]
            for key in ("error", "spearman"):
                for r in range(len(RIDGES)):
                    row.append(f"{found[key][:, r].mean():.2f}")
            for r, ridge in enumerate(RIDGES):
                if way == "plain":
                    row.append("")
                    continue
                mean, half = _interval(found["error"][:, r] - figures["plain"]["error"][:, r])
                row.append(f"{mean:+.2f} +- {half:.2f}")
                if mean + half < 0 or mean - half > 0:
                    better.append(f"{name}, {way}, {ridge}: {'lower' if mean < 0 else 'higher'}")
            rows.append(row)
    head = ["model", "training", "mean loss", "spread over masks"]
    head += [f"error / spread, {r}" for r in RIDGES] + [f"Spearman, {r}" for r in RIDGES]
    head += [f"error less plain's, {r}" for r in RIDGES]
    said = "; ".join(better) if better else "none"
    return "\n".join(
        [
            "# Flatter minima and the linearised estimate",
            "",
            "Mean over targets and three seeds.",
            "",
            table(head, rows),
            f"Differences whose interval excludes 0 ({2 * len(MODELS) * (len(WAYS) - 1)} were looked at): {said}.",
            "",
        ]
    )


def _errors(name: str, data: Path, flatter: Flatter | None, seed: int) -> dict[str, Any]:
    course = evaluator(name, data, flatter=flatter, **MODELS[name])
    K, steps = len(course.tasks), course.steps
    rng, masks = np.random.default_rng([8, K]), np.ones((MASKS + 1, K))
    for mask in masks[1:]:
        mask[rng.permutation(K)[:2]] = 0
    real = course.evaluate(masks, np.full(len(masks), seed))
    rates = sum(course.optimiser.rate(t, steps) for t in range(steps)) / (1 - course.optimiser.momentum)
    estimator, found = Linearized(course.trained("all", seed), *_arrays(course), loss=course.loss), []
    for mu in (0.0, 1 / rates):
        estimator.mu = mu
        found.append(agreement(estimator.evaluate(masks), real, course.targets))
    return {
        "error": [f["error_over_spread"] for f in found],
        "centred": [f["centred_error_over_spread"] for f in found],
        "spearman": [f["spearman"] for f in found],
        "level": real.mean(),
        "spread": np.abs(real - real.mean(0)).mean(),
    }


def _interval(differences: np.ndarray) -> tuple[float, float]:
    """Mean, and half of the 95 % interval by Student's t."""
    n = len(differences)
    return float(differences.mean()), float(student.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))
