"""The rival of `bench_features`: features of dattri's TRAK, in an interpreter that has dattri; needs nothing of ours.

python dattri_features.py '{"p": 100000, "n": 200, "C": 1, "d": 13}'

Per output the gradient of each example (vmap of grad) times a random normal matrix (its projector on a CPU, which
draws the matrix anew for each batch), as `TRAKAttributor.cache` does, without the rest of TRAK. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

WIDTH = 64


def model_and_data(p: int, n: int, C: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """A perceptron of about p parameters, two hidden layers of one width, and n random examples of C outputs."""
    torch.manual_seed(seed)
    b = WIDTH + C + 2
    h = max(2, round((-b + (b * b + 4 * p) ** 0.5) / 2))
    model = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, h), torch.nn.Tanh(), torch.nn.Linear(h, h), torch.nn.Tanh(), torch.nn.Linear(h, C)
    )
    return model, torch.randn(n, WIDTH), torch.randint(0, max(C, 2), (n,))


def peak() -> float:
    """Most memory that this program ever had, in MB, as `machine.peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    from dattri.func.projection import random_project

    case = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    model, x, _ = model_and_data(case["p"], case["n"], case["C"])
    names = [name for name, _ in model.named_parameters()]
    values = {name: value.detach() for name, value in model.named_parameters()}
    rows = max(8, min(64, 2**26 // case["p"]))
    before, began = peak(), time.process_time()
    found = []
    for c in range(case["C"]):

        def output(parameters: Any, one: Any, c: int = c) -> Any:
            return torch.func.functional_call(model, parameters, (one[None],))[0, c]

        gradient = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))
        parts = []
        for batch in x.split(rows):
            each = gradient(values, batch)
            flat = torch.cat([each[name].flatten(1) for name in names], 1)
            project = random_project(flat, len(flat), proj_dim=case["d"], proj_max_batch_size=32, device="cpu")
            parts.append(project(flat))
        found.append(torch.cat(parts))
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "MB": peak() - before, "shape": list(torch.stack(found, 1).shape)}))


if __name__ == "__main__":
    main()
