"""Features and subspaces of the gradient estimator: time and memory, beside dattri's TRAK features, and precision.

1. Processor seconds (one thread) and peak memory of each subspace and mode where parameters p, examples n, outputs C
   and dimension d grow tenfold, one after the other. Each figure is a process of its own; peak memory is what that
   process held beyond model and data.
2. Ours and dattri 0.3.0's features of the same dimension, model, examples and outputs, taken in turns; ratios of
   processor seconds per turn. DATTRI_PYTHON names an interpreter that has dattri, if this one has not.
3. Relative error of the features, model and storage in each precision, against the same weights in float64.

python -m benchmarks.bench_features '{"p": 100000, "n": 200, "C": 1, "d": 13, "kind": "sparse"}'   # one case
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.gradients import SUBSPACES, Examples, Network, basis, features, loss_named
from interplay.gradients.features import chosen_mode

from .dattri_features import WIDTH, model_and_data, peak
from .draws import Run
from .machine import table

TASKS = 10
BASE = {"p": 100_000, "n": 200, "C": 1, "d": 13}
BIG = {"p": 1_000_000, "n": 2_000, "C": 10, "d": 130}
SMALL = {"p": 100_000, "n": 200, "C": 10, "d": 130}
TURNS = 5  # of the small case; one of the big one, which takes half an hour


def report(data: Path, run: Run) -> str:
    """All three tables."""
    parts = ["# Features and subspaces", "", *_growth(run), "", *_against_dattri(run), "", *_precision()]
    return "\n".join(parts) + "\n"


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One case in this process."""
    torch.set_num_threads(1)
    model, x, y = model_and_data(case["p"], case["n"], case["C"])
    loss = loss_named("cross_entropy" if case["C"] > 1 else "binary")
    network = Network(model)
    examples = Examples.collect(network, {f"t{k}": (x[k::TASKS], y[k::TASKS]) for k in range(TASKS)}, loss, "loaders")
    before, began = peak(), time.process_time()
    R = basis(
        case["kind"], network, examples, loss, case["d"], np.random.default_rng(0), memory=case.get("held", 2**30)
    )
    found = time.process_time()
    phi = features(network, examples, R, torch.float32, mode=case.get("mode", "auto")).phi
    ended = time.process_time()
    return {
        "basis": found - began,
        "features": ended - found,
        "seconds": ended - began,
        "MB": peak() - before,
        "mode": chosen_mode(network, R, case["C"], case.get("mode", "auto")),
        "shape": list(phi.shape),
    }


def _growth(run: Run) -> list[str]:
    cases = [("as stated", BASE), *((f"{name} x 10", BASE | {name: 10 * BASE[name]}) for name in BASE)]
    cases = cases[:1] + cases[-1:] if run.quick else cases
    ways = [(kind, "auto") for kind in SUBSPACES] + [("sparse", "forward"), ("sparse", "reverse")]
    ways += [("gaussian", "forward"), ("gaussian", "reverse"), ("gaussian, not kept", "auto")]
    rows = []
    for kind, mode in ways:
        row = [kind, mode]
        for _, case in cases:
            given = {**case, "kind": kind.split(",")[0], "mode": mode, "held": 0 if "not" in kind else 2**30}
            got = _here(given)
            shown = f"{got['seconds']:.2f} s, {got['MB']:.0f} MB"
            row.append(f"{shown}, {got['mode']}" if mode == "auto" else shown)
        rows.append(row)
    stated = ", ".join(f"{name} = {value:,}" for name, value in BASE.items())
    return [
        f"Perceptron of {WIDTH} inputs and two hidden layers; {stated}; one of them ten times that in each column. "
        "Basis and features together; the mode that was taken stands last where it was chosen.",
        "",
        table(["subspace", "mode", *(name for name, _ in cases)], rows),
    ]


def _against_dattri(run: Run) -> list[str]:
    python = os.environ.get("DATTRI_PYTHON", sys.executable)
    there = subprocess.run([python, "-c", "import dattri"], capture_output=True).returncode == 0
    if not there:
        return ["dattri is not installed here and DATTRI_PYTHON names no interpreter that has it: no comparison."]
    rows = []
    for case, turns in [(SMALL, 2)] if run.quick else [(SMALL, TURNS), (BIG, 1)]:
        theirs, ours = [], {kind: [] for kind in SUBSPACES}
        for _ in range(turns):
            theirs.append(_run([python, str(Path(__file__).with_name("dattri_features.py")), json.dumps(case)]))
            for kind, found in ours.items():
                found.append(_here({**case, "kind": kind}))
        name = ", ".join(f"{k} = {v:,}" for k, v in case.items())
        typical = np.median([t["seconds"] for t in theirs])
        rows.append([name, "dattri, normal", "reverse", f"{typical:.1f}", "1", f"{theirs[0]['MB']:.0f}"])
        for kind, found in ours.items():
            ratios = [o["seconds"] / t["seconds"] for o, t in zip(found, theirs, strict=True)]
            spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if turns > 1 else ""
            seconds = np.median([o["seconds"] for o in found])
            rows.append(
                [
                    name,
                    kind,
                    found[0]["mode"],
                    f"{seconds:.1f}",
                    f"{np.median(ratios):.3f}{spread}",
                    f"{found[0]['MB']:.0f}",
                ]
            )
    return [
        "Beside dattri's TRAK features, per output the projected gradient of each example. Ratio to dattri's processor "
        "seconds in the same turn, median and range where there were several; basis and features together.",
        "",
        table(["case", "subspace", "mode", "s", "time / dattri's", "peak MB"], rows),
    ]


class _Convolutions(torch.nn.Sequential):
    def __init__(self):
        conv = torch.nn.Conv2d
        super().__init__(
            *(conv(1, 8, 3), torch.nn.ReLU(), conv(8, 16, 3, stride=2), torch.nn.ReLU()),
            *(torch.nn.Flatten(), torch.nn.Linear(144, 10)),
        )


class _Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            *(torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(2))
        )
        self.head = torch.nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.layers(x).mean(1))


def _precision() -> list[str]:
    rows = []
    for name, make, shape in (
        ("convolutions", _Convolutions, (64, 1, 10, 10)),
        ("attention", _Attention, (64, 12, 32)),
    ):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            torch.manual_seed(0)
            model, x, y = make().to(dtype), torch.randn(shape).to(dtype), torch.randint(0, 10, (shape[0],))
            exact = _phi(model.double(), x.double(), y, torch.float64)
            torch.manual_seed(0)
            row = [name, str(dtype).removeprefix("torch.")]
            for stored in (torch.float32, torch.float64):
                found = _phi(make().to(dtype), x, y, stored)
                row.append(f"{float((found.double() - exact).norm() / exact.norm()):.1e}")
                torch.manual_seed(0)
            rows.append(row)
    return [
        "Relative error |Phi - Phi64| / |Phi64|, against the same (rounded) weights and inputs in float64.",
        "",
        table(["model", "computed in", "stored in float32", "stored in float64"], rows),
    ]


def _phi(model: Any, x: Any, y: Any, stored: torch.dtype) -> Any:
    network, loss = Network(model), loss_named("cross_entropy")
    examples = Examples.collect(network, {"t": (x, y)}, loss, "loaders")
    R = basis("gaussian", network, examples, loss, 32, np.random.default_rng(0), orthonormal=False)
    return features(network, examples, R, stored, mode="forward").phi


def _here(case: dict[str, Any]) -> dict[str, Any]:
    return _run([sys.executable, "-m", "benchmarks.bench_features", json.dumps(case)])


def _run(command: list[str]) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
