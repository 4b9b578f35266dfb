"""Training without retraining on four kinds of models: every way of estimating against coupled retrainings.

Ten of the recorded masks, drawn at random once, are the handful that a user would retrain: they choose the ridge of one
way and the way of each model, give each way its verdict, and are in no other figure.
"One seed": estimates of seed 0 against retrainings of seed 0. "Two": the means of seeds 0 and 1 on both sides.

- ``optimum``: `Linearized` at the end of the full mask's training: training to the optimum, mu = 0; with
  mu = 1 / (sum of the learning rates), which is exact for gradient descent from W0 alone; with mu by the handful.
  The decoupled weight decay of AdamW is left out, as it belongs to no objective;
- ``in run``: `InRun`, the training replayed for every mask with R outputs of each example that react, R = 0: the sum of
  contributions;
- ``metagradient``: `Metagradient`, the exact slopes of the training in the weights of the tasks.

A verdict is right if judging on the other masks gives the same; it states too which verdicts its masks leave open.
Both are repeated over draws of the handful, judged by the figures of both seeds on the other masks. Time: processor
seconds on one thread for all masks of a seed, training included, in units of one training; retraining them takes as
many units as there are masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay import Evaluations
from interplay.evaluators import Linearized
from interplay.gradients.diagnostics import ERROR, RANK, agreement, judge, nearest
from interplay.unrolled import InRun, Metagradient

from .draws import WHOLE, Run
from .machine import table
from .record_models import evaluator, path

HANDFUL, SEEDS, DRAWS = 10, 2, 200
#: Sizes of the handfuls that verdicts are drawn from.
SIZES = (6, 10, 14)
MODELS = {
    "digits": "MLP on digits, 300 steps of AdamW",
    "modular": "transformer on addition mod 23, 800 steps of AdamW: it generalises, without two blocks hardly",
    "gpt2": "GPT-2 from scratch, 300 steps of AdamW",
    "vision": "residual network on CIFAR-10, 200 steps of SGD; the optimum is left out, it takes too long here",
    "grokked": "the transformer after 2,000 steps, past generalisation",
}
#: Outputs that react, by model: all, or the most uncertain outcomes of each example.
REACT = {"digits": None, "modular": 4, "gpt2": 4, "vision": None, "grokked": 4}
#: More of them, where it can be paid.
MORE = {"gpt2": 64}
#: Models without the optimum: features of 1.2 million parameters take more than ten minutes a seed on one core.
LONG = ("vision",)
#: Models whose metagradients are computed: a second-order product per step and target.
STEEPEST = ("digits", "gpt2")
VERDICTS = ["masks", "that of the others", "faithful or not, right", "others' not excluded"]
VERDICTS += ["one verdict left", "and right"]
SOURCE = Path(__file__).resolve().parent.parent / "src" / "interplay"
CODE = tuple(SOURCE / name for name in ("unrolled", "evaluators/torch_retrain.py", "gradients/solver.py"))
HEAD = ["model", "way", "relative error", "constant's", "error / spread", "centred", "Spearman"]
HEAD += ["verdict of ten", "left open", "on the others", "x one training"]


def report(data: Path, run: Run = WHOLE) -> str | None:
    """One table of all models, and what falls short."""
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    rights: list[np.ndarray] = []
    said: list[str] = []
    for name, what in MODELS.items():
        if not path(name).exists() or (name in ("vision", "gpt2") and not data.is_dir()) or _few(name):
            said.append(f"- `{name}`: {what}; not recorded here.")
            continue
        found, right, level = _model(name, data, run)
        rows += found
        rights += right
        said.append(f"- `{name}`: {what}; {level}")
    if not rows:
        return None
    return "\n".join(
        [
            "# Estimates beside retrainings, on four kinds of models",
            "",
            *said,
            "",
            "Mean over targets, one seed / mean of two seeds. Centred: after the mean difference is taken out. Chosen: "
            "the way of least centred error on the ten.",
            "",
            table(HEAD, rows),
            f"The verdict of ten is that of the others in {sum(row[7] == row[9] for row in rows)} of {len(rows)} rows, "
            f"and leaves it open in {sum(row[7] != row[9] and row[9] in row[8] for row in rows)} more.",
            "",
            f"Verdicts of drawn masks, mean over the {len(rights)} ways, {DRAWS} draws each:",
            "",
            table(VERDICTS, _drawn(np.array(rights))),
        ]
    )


def _drawn(rights: np.ndarray) -> list[list[str]]:
    """Rows of the second table, from shares (ways, sizes, 5)."""
    rows = []
    for n, (same, possible, one, sure, usable) in zip(SIZES, rights.mean(0), strict=True):
        rows.append([str(n), *(f"{share:.0%}" for share in (same, usable, possible, one, sure / one))])
    return rows


def _few(name: str) -> bool:
    """Whether too few masks are recorded to judge by."""
    near = Evaluations.read(path(name))
    return sum(np.asarray(near.origin) == "near_full") < SEEDS * HANDFUL


class Optimum:
    """`Linearized` around the end of each seed's training of all tasks, built once a seed for all ridges."""

    def __init__(self, course: Any, handful: Evaluations):
        self.course, self.handful = course, handful
        self._built: dict[int, tuple[Any, float, float]] = {}
        self.spared = 0.0  # seconds of building that the last call found done

    def __call__(self, seed: int, masks: np.ndarray, mu: float | None) -> np.ndarray:
        """Estimates (m, T) with a ridge; None: the one that the handful chooses."""
        began, there = time.process_time(), seed in self._built
        if not there:
            estimator = Linearized(
                self.course.trained("all", seed),
                *_arrays(self.course),
                loss=self.course.loss,
                retrained=self.handful.where(seed=seed),
                features_dtype="float32",
            )
            self._built[seed] = estimator, estimator.mu, time.process_time() - began
        estimator, chosen, seconds = self._built[seed]
        self.spared = seconds if there else 0.0
        estimator.mu = chosen if mu is None else mu
        return estimator.evaluate(masks)


def ways(name: str, course: Any, optimum: Optimum) -> dict[str, Callable[[int, np.ndarray], np.ndarray]]:
    """Estimates (m, T) of masks by name, as functions of seed and masks."""

    def in_run(seed: int, masks: np.ndarray, react: int | None) -> np.ndarray:
        return InRun(course, react=react).evaluate(masks, np.full(len(masks), seed))

    rates = sum(course.optimiser.rate(t, course.steps) for t in range(course.steps)) / (1 - course.optimiser.momentum)
    react = REACT[name]
    found: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {}
    if name not in LONG:
        found |= {
            "optimum": lambda s, m: optimum(s, m, 0.0),
            "optimum, mu = 1 / sum of rates": lambda s, m: optimum(s, m, 1 / rates),
            "optimum, mu by the ten": lambda s, m: optimum(s, m, None),
        }
    found[f"in run, {'all' if react is None else react} react"] = lambda s, m: in_run(s, m, react)
    if more := MORE.get(name):
        found[f"in run, {more} react"] = lambda s, m: in_run(s, m, more)
    found["in run, none reacts"] = lambda s, m: in_run(s, m, 0)
    if name in STEEPEST:
        found["metagradient"] = lambda s, m: Metagradient(course).evaluate(m, np.full(len(m), s))
    return found


def _model(name: str, data: Path, run: Run) -> tuple[list[list[str]], list[np.ndarray], str]:
    runs, course = Evaluations.read(path(name)), evaluator(name, data)
    assert runs.targets == tuple(course.targets), runs.targets
    twice = [sum((mask == runs.masks).all(1)) == SEEDS for mask in runs.masks]  # recorded under both seeds
    runs = runs.filter(np.array(twice))
    first = runs.where(seed=0)
    masks = first.masks
    real = np.stack([_in_order(runs.where(seed=s), masks) for s in range(SEEDS)])
    ten = np.sort(np.random.default_rng(0).permutation(len(masks))[:HANDFUL])
    others = np.setdiff1d(np.arange(len(masks)), ten)
    handful = runs.filter((runs.masks[:, None] == masks[ten]).all(-1).any(1))
    one = run.over(range(SEEDS), lambda s: {"seconds": _seconds(lambda: course.train(seed=s))}, CODE, model=name)
    rows, rights, values = [], [], []
    optimum = Optimum(course, handful)
    for way, estimate in ways(name, course, optimum).items():

        def measure(seed: int, estimate: Any = estimate) -> dict[str, Any]:
            began, optimum.spared = time.process_time(), 0.0
            values = estimate(seed, masks)
            return {"values": values, "seconds": time.process_time() - began + optimum.spared}

        found = run.over(range(SEEDS), measure, CODE, model=name, way=way, react=REACT[name], m=len(masks))
        scores = [agreement(e[others], t[others], course.targets) for e, t in _both(found["values"], real)]
        verdict = agreement(found["values"][0][ten], real[0][ten], course.targets)
        rights.append(_rights(found["values"], real, course.targets))
        cost = float(np.mean(found["seconds"] / one["seconds"]))
        left = " or ".join(verdict["possible"][1:])
        rows.append([name, way, *_figures(scores), verdict["verdict"], left, scores[0]["verdict"], f"{cost:.1f}"])
        values.append(found["values"][0][ten])
    rows[nearest(values, real[0][ten], course.targets)][1] += " (chosen)"
    means = [f"{k} {v:.2f}" for k, v in zip(course.targets, real[:, others].mean((0, 1)), strict=True)]
    between = agreement(real[1][others], real[0][others], course.targets)
    level = (
        f"K = {len(course.tasks)}, {course.network.size:,} parameters, {len(others)} of {len(masks)} masks judge; mean "
        f"{', '.join(means[:6])}. Real retrainings of seed 1 against those of seed 0: centred error "
        f"{between['centred_error_over_spread']:.2f} of the spread, Spearman {between['spearman']:.2f}. "
        f"One training: {float(np.mean(one['seconds'])):.1f} s."
    )
    return rows, rights, level


def _rights(values: np.ndarray, real: np.ndarray, targets: tuple[str, ...]) -> np.ndarray:
    """Shares of draws, for each size of the handful: see the second table."""
    found = np.empty((len(SIZES), 5))
    for row, n in enumerate(SIZES):
        seen = []
        for draw in range(DRAWS):
            order = np.random.default_rng([draw, n]).permutation(values.shape[1])
            few, rest = order[:n], order[n:]
            verdict = agreement(values[0][few], real[0][few], targets)
            both = [agreement(values[s][rest], real[s][rest], targets) for s in range(SEEDS)]
            theirs = judge({key: float(np.mean([one[key] for one in both])) for key in (ERROR, RANK)}, len(rest))[0]
            usable = (verdict["verdict"] == "faithful") == (theirs == "faithful")
            same, one = verdict["verdict"] == theirs, len(verdict["possible"]) == 1
            seen.append([same, theirs in verdict["possible"], one, same and one, usable])
        found[row] = np.mean(seen, axis=0)
    return found


def _both(values: np.ndarray, real: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Estimates and truth of seed 0, and the means over seeds."""
    return [(values[0], real[0]), (values.mean(0), real.mean(0))]


def _figures(scores: list[dict[str, Any]]) -> list[str]:
    pair = lambda key, form: " / ".join(format(score[key], form) for score in scores)
    return [
        pair("relative_error", ".1%"),
        pair("constant_relative_error", ".1%"),
        *(pair(key, ".2f") for key in ("error_over_spread", "centred_error_over_spread", "spearman")),
    ]


def _in_order(runs: Evaluations, masks: np.ndarray) -> np.ndarray:
    """Values (m, T) of the masks, in their order."""
    place = {mask.tobytes(): i for i, mask in enumerate(np.ascontiguousarray(runs.masks))}
    return runs.values[[place[mask.tobytes()] for mask in np.ascontiguousarray(masks)]]


def _arrays(course: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Training examples by task and those of the targets, as tensors."""
    loaders = {k: (course._X[course.group == i], course._y[course.group == i]) for i, k in enumerate(course.tasks)}
    own = {t: course._target == i for i, t in enumerate(course.targets)}
    return loaders, {t: (course._X_target[rows], course._y_target[rows]) for t, rows in own.items()}


def _seconds(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began
