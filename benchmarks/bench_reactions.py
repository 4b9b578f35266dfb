"""How many outputs must react: `InRun` on a residual network and CIFAR-10, against retrained near-full masks.

Masks that hold 90 % of the tasks or more, one seed. Each output that reacts costs about a backward pass of the
training; `misfit` is what the run itself tells of its foresight, before any mask is retrained. Wanted: half the error
of the best constant, which knows the truth's mean.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay import Evaluations
from interplay.gradients.diagnostics import agreement
from interplay.unrolled import InRun

from .bench_models import CODE, _seconds
from .draws import WHOLE, Run, wanted
from .machine import table
from .record_models import evaluator, path

NAME, SEED, HELD = "vision", 0, 0.9
REACT: tuple[int | None, ...] = (0, 2, 5, None)


def report(data: Path, run: Run = WHOLE) -> str | None:
    """One table."""
    if not path(NAME).exists() or not data.is_dir():
        return None
    torch.set_num_threads(1)
    runs, course = Evaluations.read(path(NAME)).where(seed=SEED), evaluator(NAME, data)
    judges = runs.filter((runs.masks.mean(axis=1) >= HELD) & (runs.masks.min(axis=1) == 0))
    one = run.over(range(1), lambda _: {"seconds": _seconds(lambda: course.train(seed=SEED))}, CODE, model=NAME)
    rows, checks = [], []
    for react in REACT[: 2 if run.quick else None]:

        def measure(_: int, react: int | None = react) -> dict[str, Any]:
            began, way = time.process_time(), InRun(course, react=react)
            values = way.evaluate(judges.masks, np.full(judges.m, SEED))
            told = max(way.misfit.values(), default=float("nan"))
            return {"values": values, "misfit": told, "seconds": time.process_time() - began}

        found = run.over(range(1), measure, CODE, bench="reactions", react=react, m=judges.m)
        score = agreement(found["values"][0], judges.values, course.targets)
        error, constant = score["relative_error"], score["constant_relative_error"]
        told, cost = float(found["misfit"][0]), float(found["seconds"][0] / one["seconds"][0])
        figures = [f"{score[key]:.2f}" for key in ("error_over_spread", "centred_error_over_spread", "spearman")]
        last = ["" if np.isnan(told) else f"{told:.2f}", f"{cost:.1f}"]
        rows.append(["all" if react is None else str(react), f"{error:.1%}", f"{constant:.1%}", *figures, *last])
        if react is None:
            both = f"{error:.1%} ({constant:.1%})"
            checks.append(("all react: relative error", "half the constant's", both, error <= constant / 2))
    head = ["outputs that react", "relative error", "constant's", "error / spread", "centred", "Spearman", "misfit"]
    about = (
        f"{judges.m} masks that hold {HELD:.0%} or more of {len(course.tasks)} tasks; mean over {len(course.targets)} "
        f"targets. {course.network.size:,} parameters."
    )
    title = "# How many outputs must react: a residual network on CIFAR-10"
    return f"{title}\n\n{wanted(checks) if checks else ''}\n{about}\n\n{table([*head, 'x one training'], rows)}"
