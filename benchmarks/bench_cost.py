"""Processor time and peak memory of the whole estimate without retraining, as each of its sizes grows tenfold.

K tasks, m masks, n examples of all tasks together, p parameters and C outputs grow one at a time from `BASE`, for

- `Linearized` around a trained model: building it (basis, features, curvature) and evaluating m masks, with the
  data-driven subspace and with a sparse sketch of the same dimension, the default 64 + 2 K;
- `InRun` with two outputs of each example that react, and with none: one training and m copies beside it;
- the alternative, m retrainings of the same recipe (`TorchRetrain`): a few are measured, their mean counts m times.

Each figure is a process of its own, one thread, which first does a tiny problem of the same kind, so that nothing that
is loaded on first use is counted; median of `TURNS`. Peak memory is what was resident beyond model and data.

python -m benchmarks.bench_cost '{"K": 10, "m": 100, "n": 200, "p": 100000, "C": 2, "way": "sparse"}'   # one figure
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.evaluators import Linearized, TorchRetrain
from interplay.unrolled import InRun

from .dattri_features import WIDTH, model_and_data, peak
from .draws import WHOLE, Run, wanted
from .machine import table, time_text

BASE = {"K": 10, "m": 100, "n": 200, "p": 100_000, "C": 2}
QUICK = {"K": 4, "m": 20, "n": 40, "p": 2_000, "C": 2}
BIG = {"K": 20, "m": 200, "n": 2_000, "p": 1_000_000, "C": 10}
TINY = {"K": 2, "m": 4, "n": 40, "p": 1_000}
GROWN = {"K": "tasks", "m": "masks", "n": "examples", "p": "parameters", "C": "outputs"}
TARGETS, EACH = 2, 50
STEPS, BATCH, TRAININGS = 20, 32, 30
DECAY = 0.01  # of the objective of `Linearized`: every mask has an optimum
TURNS = 3  # of the growing cases; one of the big one
LINEARIZED, IN_RUN = ("data", "sparse"), ("2", "0")
#: Way -> its name, and its colour (Okabe and Ito's, which most colour-blind people tell apart), marker and line.
WAYS = {
    "data": ("Linearized, data-driven", "#0072B2", "o", "-"),
    "sparse": ("Linearized, sparse sketch", "#56B4E9", "s", "-"),
    "2": ("InRun, 2 react", "#D55E00", "^", "-"),
    "0": ("InRun, none reacts", "#E69F00", "v", "-"),
    "retraining": ("m retrainings, one after the other", "#000000", "D", "--"),
}
PARTS = {"building": ": building", "evaluating": ": evaluating, most steps of the solver", "seconds": ""}
MB = 2**20
FLOOR = {"seconds": 1e-3, "MB": 1.0}  # least that is drawn
CHUNK = 256  # MB that a block of columns of R may take, and a tile of products besides, `Network(memory=)`
FEW = 8  # times p x d that the data-driven subspace may take while it is found
SOURCE = Path(__file__).resolve().parent.parent / "src" / "interplay"
CODE = (SOURCE / "gradients", SOURCE / "unrolled")
CODE += tuple(
    SOURCE / "evaluators" / f"{name}.py" for name in ("linearized", "preparation", "torch_retrain", "coupled")
)

BESIDE = (
    "Peak memory beyond model and data, and what float32 matrices of p x n and of p x d numbers would take; the "
    "Jacobians of all examples are C times the first. The data-driven subspace is a matrix of p x d, and takes a few "
    "times that while it is found; the sparse one holds 8 bytes per parameter at most. "
    f"A chunk, {CHUNK} MB, is what a block of columns or a tile of products may take."
)

Figures = dict[tuple[str, str], dict[str, float]]  # (case, way) -> figures


def report(data: Path, run: Run = WHOLE) -> str:
    """Time, memory, what memory must not do, and the plot."""
    base, grown = (QUICK, ("m", "p")) if run.quick else (BASE, tuple(GROWN))
    cases = {"base": base} | {name: base | {name: 10 * base[name]} for name in grown}
    found: Figures = {(name, way): _figures(case, way, run, TURNS) for name, case in cases.items() for way in WAYS}
    picture = _picture(cases, found, run)
    if not run.quick:
        cases["big"] = BIG
        found |= {("big", way): _figures(BIG, way, run, 1) for way in (*LINEARIZED, "retraining")}
    parts = ["# What an estimate costs, and how that grows", _problem(base), "Processor seconds."]
    parts += [_times(cases, found), _said(found), BESIDE, _memory(cases, found), _checks(cases, found)]
    return "\n\n".join(part.strip() for part in (*parts, _copies(cases, found), picture)) + "\n"


# ---------------------------------------------------------------- one figure


def measure(case: Mapping[str, Any]) -> dict[str, float]:
    """One figure in this process, after a tiny one."""
    torch.set_num_threads(1)
    _measure(TINY | {"C": case["C"], "way": case["way"]})
    return _measure(case)


def _measure(case: Mapping[str, Any]) -> dict[str, float]:
    K, n, way = case["K"], case["n"], case["way"]
    model, x, y = model_and_data(case["p"], n + TARGETS * EACH, case["C"])
    sources = {f"task_{k}": (x[k:n:K], y[k:n:K]) for k in range(K)}
    targets = {f"target_{t}": (x[i : i + EACH], y[i : i + EACH]) for t in range(TARGETS) for i in [n + t * EACH]}
    masks = (np.random.default_rng(0).random((case["m"], K)) < 0.8).astype(float)
    seeds = np.zeros(len(masks), dtype=int)
    course = TorchRetrain(model, sources, targets, steps=STEPS, batch_size=BATCH)
    if way in LINEARIZED:
        model = course.trained("all", 0)
        before, began = resident(reset=True), time.process_time()
        problem = Linearized(model, sources, targets, weight_decay=DECAY, subspace=way)
        built = time.process_time()
        problem.evaluate(masks)
        ended = time.process_time()
        notes = problem.notes["estimator"]
        more = {
            "building": built - began,
            "evaluating": ended - built,
            "d": problem.dim,
            "steps": notes["solver_steps"],
            "forward": notes["features"]["mode"] == "forward",
        }
        return {"seconds": ended - began, "MB": resident() - before, **more}
    before, began = resident(reset=True), time.process_time()
    if way == "retraining":
        course.evaluate(masks[:TRAININGS], seeds[:TRAININGS])
        one = (time.process_time() - began) / min(TRAININGS, len(masks))
        return {"seconds": one * len(masks), "MB": resident() - before, "one": one}
    InRun(course, react=int(way)).evaluate(masks, seeds)
    return {"seconds": time.process_time() - began, "MB": resident() - before}


def resident(reset: bool = False) -> float:
    """Most MB that were resident since the last reset; where Linux cannot be asked, since the start.

    `peak` starts at what the process that started this one held, which would hide what takes less.
    """
    try:
        if reset:
            gc.collect()
            getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)  # what is free goes back to the system
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return peak()


def _figures(case: dict[str, int], way: str, run: Run, turns: int) -> dict[str, float]:
    """Medians over turns, each a process."""
    given = json.dumps({**case, "way": way})
    command = [sys.executable, "-m", "benchmarks.bench_cost", given]

    def turn(_: int) -> dict[str, float]:
        root = Path(__file__).resolve().parent.parent
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    found = run.over(run.draws(turns, 1), turn, CODE, name="cost", way=way, **case, each=[STEPS, BATCH, DECAY])
    return {key: float(np.median(values)) for key, values in found.items()}


# ---------------------------------------------------------------- tables


def _problem(base: dict[str, int]) -> str:
    stated = ", ".join(f"{name} = {value:,} {GROWN[name]}" for name, value in base.items())
    return (
        f"Perceptron of {WIDTH} inputs and two hidden layers. Base: {stated}, n of all tasks together; {TARGETS} "
        f"targets of {EACH} examples. Recipe: {STEPS} steps of AdamW on batches of {BATCH}. `Linearized` is built "
        f"around its end (that one training is not counted) with d = 64 + 2 K and weight decay {DECAY:g}. In brackets "
        "the exponent: log10 of the ratio to the base, where one size is ten times the base's."
    )


def _label(name: str, cases: dict[str, dict[str, int]]) -> str:
    if name == "base":
        return "base"
    if name in GROWN:
        return f"{name} = {cases[name][name]:,}"
    return ", ".join(f"{key} = {value:,}" for key, value in cases[name].items())


def _grown(shown: str, value: float, base: float, name: str) -> str:
    """A figure with its ratio to the base, and the exponent."""
    if name not in GROWN or min(value, base) <= 0:
        return shown
    return f"{shown}, x {value / base:.1f} ({math.log10(value / base):.2f})"


def _times(cases: dict[str, dict[str, int]], found: Figures) -> str:
    columns = [(way, part) for way in LINEARIZED for part in ("building", "evaluating")]
    columns += [(way, "seconds") for way in (*IN_RUN, "retraining")]
    head = ["case", *(WAYS[way][0] + PARTS[part] for way, part in columns)]
    rows = []
    for name in cases:
        row = [_label(name, cases)]
        for way, part in columns:
            if (name, way) not in found:
                row.append("")
                continue
            value = found[name, way][part]
            steps = f", {found[name, way]['steps']:.0f} steps" if part == "evaluating" else ""
            row.append(_grown(time_text(value) + steps, value, found["base", way][part], name))
        even = [_even(found, name, way) for way in LINEARIZED]
        rows.append([*row, " / ".join(f"{steps:,.0f}" for steps in even)])
    return table([*head, "steps of training that make m retrainings as dear, data-driven / sparse"], rows)


def _even(found: Figures, name: str, way: str) -> float:
    """Steps of a training, m of which cost as much as an estimate that does not depend on them."""
    return STEPS * found[name, way]["seconds"] / found[name, "retraining"]["seconds"]


def _said(found: Figures) -> str:
    retraining = found["base", "retraining"]
    within = [found["base", way]["seconds"] / retraining["seconds"] for way in IN_RUN]
    names = list(dict.fromkeys(name for name, _ in found))
    modes = [
        f"{way} {', '.join(name for name in names if found[name, way]['forward']) or 'nowhere'}" for way in LINEARIZED
    ]
    return (
        f"m retrainings: the mean of {TRAININGS} trainings, {time_text(retraining['one'])} at the base, times m. They "
        f"and `InRun` grow with the steps of the training, `Linearized` does not. At the base `InRun` takes "
        f"{within[0]:.1f} (2 react) and {within[1]:.1f} (none) times as long as m retrainings: a step of a copy costs "
        "some operations per parameter, one of a training some per parameter and place where an example uses it. In a "
        "perceptron that is one place, the worst case for `InRun`; in convolutions and language models it is many.\n\n"
        f"Features are computed in forward mode where it is cheaper: {'; '.join(modes)}."
    )


def _sizes(case: dict[str, int], d: float) -> tuple[float, float]:
    """MB of p x n and of p x d numbers in float32."""
    return 4 * case["p"] * case["n"] / MB, 4 * case["p"] * d / MB


def _memory(cases: dict[str, dict[str, int]], found: Figures) -> str:
    head = ["case", "p x n", "p x d", *(WAYS[way][0] for way in WAYS if way != "retraining"), "one retraining"]
    rows = []
    for name, case in cases.items():
        sizes = _sizes(case, found[name, "sparse"]["d"])
        row = [_label(name, cases), *(f"{size:,.0f} MB" for size in sizes)]
        for way in WAYS:
            value = found[name, way]["MB"] if (name, way) in found else None
            base = found["base", way]["MB"]
            row.append("" if value is None else _grown(f"{value:,.0f} MB", value, base, name))
        rows.append(row)
    return table(head, rows)


def _checks(cases: dict[str, dict[str, int]], found: Figures) -> str:
    """Whether memory stays within two chunks of the base, for the data-driven subspace with a few p x d besides."""
    rows = []
    for name in list(cases)[1:]:
        for way in LINEARIZED:
            now, then = found[name, way], found["base", way]
            n_now, d_now = _sizes(cases[name], now["d"])
            n_then, d_then = _sizes(cases["base"], then["d"])
            most = 2 * CHUNK + (FEW * (d_now - d_then) if way == "data" else 0)
            rule = "two chunks" + (f", {FEW} times the growth of p x d" if way == "data" else "")
            beside = f"p x n {n_now - n_then:+,.0f}, p x d {d_now - d_then:+,.0f}"
            grown = now["MB"] - then["MB"]
            what = f"{_label(name, cases)}: {WAYS[way][0]}, MB more than at the base ({beside})"
            rows.append((what, f"at most {most:,.0f}: {rule}", f"{grown:+,.0f}", grown <= most))
    return wanted(rows)


def _copies(cases: dict[str, dict[str, int]], found: Figures) -> str:
    each = [found["m", way]["MB"] * MB / (cases["m"]["m"] * cases["m"]["p"]) for way in IN_RUN]
    return (
        f"`InRun` holds {each[0]:.0f} (2 react) and {each[1]:.0f} (none) bytes per mask and parameter at "
        f"{_label('m', cases)}; 12 of them are the copies with AdamW's moments; its `memory` counts 26."
    )


# ---------------------------------------------------------------- plot


def _picture(cases: dict[str, dict[str, int]], found: Figures, run: Run) -> str:
    """Draw the plot and show it, or say why it is not there."""
    folder = Path(tempfile.gettempdir()) if run.quick else Path(__file__).resolve().parent / "results"
    try:
        _draw(cases, found, folder / "cost.png")
    except ImportError:
        return "The plot was left out: matplotlib is not installed."
    if run.quick:
        return f"Plot: {folder / 'cost.png'}"
    return "![Processor time and peak memory as each size grows tenfold, on logarithmic scales](cost.png)"


def _draw(cases: dict[str, dict[str, int]], found: Figures, path: Path) -> None:
    """One column per size that grows, time above and memory below, from the base to ten times that."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter
    from PIL import Image  # comes with matplotlib

    names = [name for name in cases if name in GROWN]
    figure = Figure(figsize=(2.1 * len(names), 5.6) if len(names) > 2 else (9, 5.6), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(names), sharey="row")
    for row, (kind, label) in zip(axes, {"seconds": "processor time, s", "MB": "peak memory, MB"}.items(), strict=True):
        for name, ax in zip(names, row, strict=True):
            ends = [cases["base"][name], cases[name][name]]
            for way, (shown, colour, marker, line) in WAYS.items():
                values = [max(found[case, way][kind], FLOOR[kind]) for case in ("base", name)]
                style = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5, "linewidth": 1.6}
                ax.plot(ends, values, label=shown, **style)
            ax.set(xscale="log", yscale="log", xlim=(ends[0] / 1.35, ends[1] * 1.35))
            ax.set_xticks(ends, [EngFormatter(sep="")(end) for end in ends])
            ax.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
            ax.set_xlabel(f"{GROWN[name]}, {name}", fontsize=9)
            ax.yaxis.set_major_formatter("{x:,g}")
            ax.grid(axis="y", color="0.9", linewidth=0.8)
            ax.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(label)
        middle = math.sqrt(math.prod(row[0].get_ylim()))
        for name, ax in zip(names, row, strict=True):
            ends = [cases["base"][name], cases[name][name]]
            rise = [middle / math.sqrt(10), middle * math.sqrt(10)]
            ax.plot(ends, rise, color="0.75", linestyle=":", zorder=0, label="slope of what grows in proportion")
    for name, ax in zip(names, axes[0], strict=True):
        ax.set_title(f"{GROWN[name]} x 10", fontsize=10)
    figure.suptitle("Cost of the whole estimate as one size grows tenfold, the others as in the base", fontsize=11)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
