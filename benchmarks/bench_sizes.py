"""Time and memory of the default fit: RegMix, coin_flip, olmix, and the largest sizes that are promised.

Every row is a process of its own with two threads, so that its peak memory is its own. Rivals stand beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from interplay import LinearSurrogate

from . import methods, rivals
from .draws import WHOLE, Method, Run, Split, coin_flip, olmix, regmix, wanted
from .machine import peak, table, time_text

METHODS: dict[str, Method] = {
    "KernelSurrogate": methods.kernel,
    "as attribute chooses": methods.chosen,
    "tuned ridge": methods.linear,
    "lasso": lambda split: LinearSurrogate(penalty="lasso").fit(split.X, split.Y),
    "log-linear law": rivals.log_linear_law,
    **rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned),
}
BOTH = ("KernelSurrogate", "as attribute chooses")
#: Work -> methods measured, most seconds wanted of interplay's own, whether a quick run leaves it out.
ROWS: dict[str, tuple[tuple[str, ...], float, bool]] = {
    "RegMix, 64 runs, 13 targets": ((*BOTH, "LightGBM tuned"), 10, False),
    "RegMix, 512 runs, 13 targets": ((*BOTH, "LightGBM tuned"), 300, True),
    "coin_flip, 80 runs, 869 targets": ((*BOTH, "tuned ridge"), 20, False),
    "olmix, five folds of 127 runs, 110 targets": ((*BOTH, "log-linear law"), 60, True),
    "m = 200, K = 1000": (("lasso", "KernelSurrogate", "tuned ridge"), 600, True),
    "m = 500, K = 100": (("KernelSurrogate", "tuned ridge"), 600, False),
    "m = 5000, K = 1000": (("KernelSurrogate", "tuned ridge"), 600, True),
}
MOST_MEMORY = 16 * 1024  # MB


def splits(work: str, data: Path) -> list[Split]:
    """The fits that a row does, all of them timed together."""
    if work.startswith("RegMix"):
        pair, m = regmix(data), int(work.split()[1])
        return [Split(pair[0].X[:m], pair[0].Y[:m], pair[1].X, pair[1].Y)] if pair else []
    if work.startswith("coin_flip"):
        prompts = coin_flip(data)
        return [] if prompts is None else [prompts.draw(0, 80)]
    if work.startswith("olmix"):
        swarm = olmix(data)
        return [swarm.split(*rows) for rows in KFold(5, shuffle=True, random_state=0).split(swarm.X)] if swarm else []
    m, K = (int(part.split()[-1]) for part in work.split(","))
    rng = np.random.default_rng(0)
    X = (rng.random((m + 200, K)) < 0.5).astype(float)
    few = rng.random(K) < (1.0 if m > K else 0.01)  # with more tasks than runs only few of them matter
    pairs = X[:, 0::2] * X[:, 1::2] @ (few[::2] * rng.normal(size=K // 2))
    y = (X @ (few * rng.normal(size=K)) + pairs + rng.normal(size=len(X)))[:, None]
    return [Split(X[:m], y[:m], X[m:], y[m:])]


def measure(work: str, method: str, data: Path) -> None:
    """Print seconds, MB at the peak and before, R^2 on the judging rows and what was said, as JSON."""
    todo = splits(work, data)
    before = peak()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        began = time.perf_counter()
        fitted = [METHODS[method](split) for split in todo]
        seconds = time.perf_counter() - began
    predicted = np.concatenate([np.reshape(f.predict(s.new), s.truth.shape) for f, s in zip(fitted, todo, strict=True)])
    truth = np.concatenate([s.truth for s in todo])
    r2 = float(np.mean(1 - ((predicted - truth) ** 2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)))
    words = [getattr(fitted[0], "given_up_", ""), *(str(w.message) for w in said)]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peak": peak(),
                "before": before,
                "r2": r2,
                "said": " ".join(dict.fromkeys(filter(None, words))),
            }
        )
    )


def report(data: Path, run: Run = WHOLE) -> str | None:
    if regmix(data) is None or coin_flip(data) is None or olmix(data) is None:
        return None
    root, lines, checks = Path(__file__).resolve().parent.parent, [], []
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")}
    call = partial(subprocess.run, check=True, stdout=subprocess.PIPE, text=True, cwd=root, env=environment)
    for work, (names, most, long) in ROWS.items():
        for name in (n for n in names if n in METHODS and not (run.quick and long)):
            printed = call([sys.executable, "-m", "benchmarks.bench_sizes", work, name, str(data.resolve())]).stdout
            found = json.loads(printed.splitlines()[-1])
            memory = f"{found['peak']:.0f} MB ({found['before']:.0f} before)"
            lines.append([work, name, time_text(found["seconds"]), memory, f"{found['r2']:.3f}", found["said"]])
            if name in (*BOTH, "lasso"):
                met = found["seconds"] <= most and found["peak"] <= MOST_MEMORY
                checks.append((f"{work}: {name}", f"at most {most:g} s, 16 GB", time_text(found["seconds"]), met))
    return (
        "# Time and memory of the default fit\n\nTwo threads; LightGBM has one. R^2 on rows that were not fitted.\n\n"
        + wanted(checks)
        + "\n"
        + table(["work", "method", "time", "peak memory", "R^2", "said"], lines)
        + rivals.note()
    )


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
