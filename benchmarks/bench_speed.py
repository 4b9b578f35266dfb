"""Shapley values and all pairs, against shapiq's exact computer and alone at K = 500; choosing; start-up."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from .machine import peak, seconds, table, time_text

LARGE = ["-m", "benchmarks.bench_speed"]  # the large case by itself, so that its peak memory is its own


def at_sixteen() -> list[list]:
    from interplay import readings
    from interplay.surrogates import KernelSurrogate

    K, rng = 16, np.random.default_rng(0)
    X = (rng.random((200, K)) < 0.5).astype(float)
    y = X @ rng.normal(size=K) - X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=200)
    fitted = KernelSurrogate(gamma=0.05, alpha=0.01, linear=0.2, links=("identity",)).fit(X, y)
    ours = lambda **kw: (readings.shapley(fitted, **kw).mean, readings.shapley_pairs(fitted, **kw).mean)
    time_plain, time_intervals = seconds(lambda: ours(intervals=False), 20), seconds(ours, 5)
    rows = [
        ["interplay", time_text(time_plain), "1", "0"],
        ["interplay, with posterior intervals", time_text(time_intervals), f"{time_intervals / time_plain:.1f}", "0"],
    ]
    try:
        import shapiq
    except ImportError:
        return [*rows, ["shapiq's exact computer", "not installed", "", ""]]
    predictions = [0.0]

    def game(S):
        began = time.perf_counter()
        values = np.concatenate(
            [fitted.predict(part) for part in np.array_split(S.astype(float), max(len(S) >> 12, 1))]
        )
        predictions[0] += time.perf_counter() - began
        return values

    began = time.perf_counter()
    computer = shapiq.ExactComputer(game, K)
    values, pairs = computer(index="SV", order=1), computer(index="SII", order=2)
    theirs = time.perf_counter() - began
    single, double = ours(intervals=False)
    worst = max(
        np.abs(single[:, 0] - [values[k,] for k in range(K)]).max(),
        np.abs(double[:, 0] - [pairs[p] for p in combinations(range(K), 2)]).max(),
    )
    name = f"shapiq's exact computer ({time_text(predictions[0])} of it the surrogate's 2^16 predictions, in batches)"
    return [*rows, [name, time_text(theirs), f"{theirs / time_plain:,.0f}", f"{worst:.1g}"]]


def large() -> None:
    """K = 500, m = 200, one target, one kernel: fit and read; prints seconds and MB at the peak and before."""
    from interplay import readings
    from interplay.surrogates import KernelSurrogate

    K, rng = 500, np.random.default_rng(0)
    X = (rng.random((200, K)) < 0.5).astype(float)
    y = X @ rng.normal(size=K) + 0.1 * rng.normal(size=200)
    before = peak()
    began = time.perf_counter()
    fitted = KernelSurrogate(gamma=0.002, alpha=0.01, linear=0.01, links=("identity",)).fit(X, y)
    fit_time = time.perf_counter() - began
    readings.shapley(fitted, intervals=False)
    shapley_time = time.perf_counter() - began - fit_time
    readings.shapley_pairs(fitted, intervals=False)
    total = time.perf_counter() - began
    print(fit_time, shapley_time, total - fit_time - shapley_time, peak(), before)


def choosing() -> list[list[str]]:
    """Seconds of a choice among 1,000 tasks, and of a batch of 16 for each question about 100, beside a tuned ridge."""
    import interplay as ip
    from interplay.surrogates import LinearSurrogate

    def case(K: int, m: int, p: float) -> ip.Evaluations:
        rng = np.random.default_rng(K)
        X = ip.masks.bernoulli(K, m, rng, p=p)
        y = 0.1 * X @ (rng.normal(size=K) * (rng.random(K) < 0.2)) + 0.02 * rng.normal(size=m)
        y += 0.3 * np.tanh(0.2 * X[:, : K // 20] @ rng.normal(size=K // 20))
        return ip.Evaluations.from_arrays(X, y, targets=["loss"], seed=0)

    many, few = case(1000, 500, 0.5), case(100, 200, 0.9)
    calls = {"select, K = 1,000, 500 runs, 100 to 400 tasks": (many, lambda: ip.select(many, size=(100, 400)), 2)}
    for question in ("leave-one-out", "pairs", "shapley", "selection"):
        ask = lambda question=question: ip.propose(few, question, batch=16, rng=np.random.default_rng(0))
        calls[f"propose 16 for {question}, K = 100, 200 runs"] = few, ask, 3
    rows = []
    for name, (runs, call, repeats) in calls.items():
        taken = seconds(call, repeats)
        ridge = seconds(lambda runs=runs: LinearSurrogate().fit(runs.masks, runs.values[:, 0]), 3)
        rows.append([name, "10 s", time_text(taken), "yes" if taken <= 10 else "no", f"{taken / ridge:,.0f}"])
    return rows


def start(code: list[str], repeats: int = 5) -> float:
    """Median seconds of a fresh Python."""
    return seconds(lambda: subprocess.run([sys.executable, *code], check=True, stdout=subprocess.DEVNULL), repeats)


def report(data: Path) -> str:
    root = Path(__file__).resolve().parent.parent
    printed = subprocess.run([sys.executable, *LARGE], check=True, capture_output=True, text=True, cwd=root).stdout
    fit, single, pairs, peak, before = map(float, printed.split())
    bare, pandas, ours = start(["-c", ""]), start(["-c", "import pandas"]), start(["-c", "import interplay"])
    rows = [
        ["python, nothing imported", time_text(bare), ""],
        ["import pandas", time_text(pandas), "1"],
        ["import interplay", time_text(ours), f"{ours / pandas:.2f}"],
    ]
    used = start(["-c", "from interplay import attribute"])
    rows.append(["from interplay import attribute", time_text(used), f"{used / pandas:.2f}"])
    script = "import sys; sys.argv = ['interplay', '--help']; from interplay.cli import main; main()"
    line = start(["-c", script])
    rows.append(["interplay --help", time_text(line), f"{line / pandas:.2f}"])
    return (
        "# Speed\n\nShapley values and interactions of all pairs, K = 16, one target, 200 runs, RBF + linear. Wanted: "
        "shapiq's exact computer takes at least 1,000 times as long.\n\n"
        + table(["", "time", "times ours", "largest difference"], at_sixteen())
        + "\nK = 500, 200 runs, one target, one kernel, no intervals, in its own process. Wanted: 3 s and 1 GB.\n\n"
        + table(
            ["fit", "Shapley values", "all 124,750 pairs", "together", "peak memory", "of it before the fit"],
            [[*map(time_text, (fit, single, pairs, fit + single + pairs)), f"{peak:.0f} MB", f"{before:.0f} MB"]],
        )
        + "\nWhat to train next, all of it: fits, held-out proposals, search.\n\n"
        + table(["", "at most", "time", "reached", "times fitting a tuned ridge"], choosing())
        + "\nStart-up, median of five fresh processes. Wanted: `import interplay` at most 1.3 times `import pandas`, "
        "`interplay --help` at most 1 s.\n\n" + table(["", "time", "times pandas"], rows)
    )


if __name__ == "__main__":
    large()
