"""Record coupled trainings of four kinds of models: what estimates without retraining are held against.

    OMP_NUM_THREADS=1 python benchmarks/record_models.py --data ../shared/data          # continues where it stopped
    OMP_NUM_THREADS=1 python benchmarks/record_models.py digits modular                 # some of them

Per model one file, ``recordings/models-NAME.parquet``: the full mask, every leave-one-out mask, and 12 masks that lack
two or three tasks (origin ``full``, ``leave_one_out``, ``near_full``), each under seeds 0 and 1. The models:

- ``digits``: the MLP of the digits problem by mini-batches, K = 20 sources, 11 losses;
- ``vision``: a residual network of a million parameters on part of CIFAR-10, K = 14 groups, 5 losses;
- ``modular``: a transformer on addition modulo 23, K = 16 blocks of the grid, 800 steps: past generalisation with all
  blocks, on the steep part of it without two; ``grokked``: the same, 2,000 steps;
- ``gpt2``: a GPT-2 of two layers from scratch on the characters of K = 12 texts, 6 losses.

The trainings go through `interplay.evaluate` into a store under ``recordings/raw``, one group of masks and one seed
after the other; the file is written after each. Images and texts lie under ``--data``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1)
NEAR = 12


def path(name: str) -> Path:
    return HERE / "recordings" / f"models-{name}.parquet"


def digits(**options: Any) -> Any:
    from interplay.evaluators import TorchRetrain
    from interplay.problems.digits import Digits
    from interplay.unrolled.optimisers import Optimiser

    problem = Digits(0)
    sources = dict(zip(problem.tasks, zip(problem.X, problem.y, strict=True), strict=True))
    optimiser = Optimiser("adamw", lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, schedule="cosine")
    recipe = {"steps": 300, "batch_size": 64, "optimiser": optimiser}
    return TorchRetrain(problem.model, sources, problem.test_arrays(), **{**recipe, **options})


def vision(data: Path, **options: Any) -> Any:
    from interplay.problems.vision import Vision

    return Vision(data / "cifar10_part.npz").retrain(**options)


def modular(**options: Any) -> Any:
    from interplay.problems.modular import Modular

    return Modular().retrain(**options)


def grokked(**options: Any) -> Any:
    from interplay.problems.modular import Modular

    return Modular(steps=2000).retrain(**options)


def gpt2(data: Path, **options: Any) -> Any:
    from interplay.problems.gpt2 import GPT2

    return GPT2(data / "instruct").retrain(**options)


def evaluator(name: str, data: Path, **options: Any) -> Any:
    """Return the coupled training of a model, with other settings where they are given."""
    if name in ("vision", "gpt2"):
        return {"vision": vision, "gpt2": gpt2}[name](data, **options)
    return {"digits": digits, "modular": modular, "grokked": grokked}[name](**options)


NAMES = ("digits", "modular", "vision", "gpt2", "grokked")


def plan(K: int) -> dict[str, np.ndarray]:
    """Return the masks of each origin; drawn here and not by `interplay.masks`, so that they never change."""
    rng, near = np.random.default_rng([12, K]), {}
    while len(near) < NEAR:
        mask = np.ones(K)
        mask[rng.permutation(K)[: 2 + int(rng.random() < 0.5)]] = 0
        near.setdefault(mask.tobytes(), mask)
    return {"full": np.ones((1, K)), "near_full": np.array(list(near.values())), "leave_one_out": 1 - np.eye(K)}


def record(name: str, data: Path) -> None:
    """Train what the store lacks, and write the file after every group of masks."""
    training = evaluator(name, data)
    store = HERE / "recordings" / "raw" / f"models-{name}.db"
    store.parent.mkdir(parents=True, exist_ok=True)
    runs: Any = None
    for origin, masks in plan(len(training.tasks)).items():
        for seed in SEEDS:
            found = ip.evaluate(training, masks, seeds=[seed], store=store)
            assert found.m == len(masks), found.warnings
            part = replace(found, origin=np.full(found.m, origin))
            runs = part if runs is None else runs + part
            runs.write(path(name))
            print(f"{path(name).name}: {runs.m} trainings, {np.sum(runs.cost):.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"among {', '.join(NAMES)}; all if none is given")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    chosen = parser.parse_args(arguments)
    for name in chosen.names or NAMES:
        if name not in NAMES:
            parser.error(f"no model {name!r}; there are {', '.join(NAMES)}")
        record(name, chosen.data)


if __name__ == "__main__":
    main()
