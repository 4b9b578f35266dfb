"""Record leave-one-out trainings with coupled seeds, and with seeds that share nothing: what does coupling gain?

    OMP_NUM_THREADS=1 python benchmarks/record_coupling.py --data ../shared/data    # continues where it stopped

Two problems, each with the full and all leave-one-out masks under seeds 0 to 7, once coupled (origin ``coupled``:
within a seed all masks share initial weights and batch schedule, absent examples weigh 0, the normaliser stays) and
once not (``uncoupled``: every training has its own initial weights and order):

- ``coupling-digits``: the digits problem by mini-batches of 64, 300 steps of Adam, K = 20 sources, 11 losses. Without
  coupling, too, absent examples weigh 0 in their batches: only the seeds differ.
- ``coupling-text``: a transformer of one layer from scratch on the bytes of K = 10 text sources (questions with their
  answers, commands, requests, reviews; 320 examples of at most 64 bytes each, 80 others of every source judge), 250
  steps of 32 by AdamW. Without coupling, batches of 32 are redrawn from the sources that are present, as most training
  scripts do. Targets: nats per byte of every source.

Both ways keep the number of steps. The trainings go through `interplay.evaluate` into a store, so that an interruption
loses nothing; what is committed is ``recordings/coupling-*.parquet``, written when all are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import interplay as ip
from interplay.coupling import Schedule
from interplay.evaluators import Retrain
from interplay.problems.digits import Digits

HERE = Path(__file__).resolve().parent
SEEDS = 8
SOURCES = (
    "gsm8k",
    "svamp",
    "arc_easy",
    "commonsenseqa",
    "mr_sentiment",
    "yelp_sentiment",
    "snips",
    "banking10",
    "nl2bash",
    "wikisql",
)
LENGTH, WIDTH, HEADS, STEPS, BATCH, LR = 64, 48, 4, 250, 32, 3e-3
TRAIN = 320


def path(problem: str) -> Path:
    return HERE / "recordings" / f"coupling-{problem}.parquet"


def record(problem: str, evaluators: dict[str, Any], K: int) -> None:
    """Evaluate both ways into a store, then write one table."""
    store = HERE / "recordings" / "raw" / f"coupling-{problem}.db"
    store.parent.mkdir(exist_ok=True)
    parts = []
    for way, evaluator in evaluators.items():
        runs = ip.evaluate(evaluator, ip.masks.leave_one_out(K), seeds=SEEDS, store=store, tag=way)
        assert runs.m == SEEDS * (K + 1), runs.warnings
        parts.append(replace(runs, origin=np.full(runs.m, way), notes={}))
    (parts[0] + parts[1]).write(path(problem))
    print(f"{path(problem).name}: {parts[0].m} trainings each way")


def digits() -> dict[str, Any]:
    problem = Digits(0, batch_size=64, steps=300)
    return {way: problem.retrain(coupled=way == "coupled", stack=42) for way in ("coupled", "uncoupled")}


def texts(data: Path, source: str) -> np.ndarray:
    """Bytes (400, LENGTH) of a source's examples, 0 behind their end."""
    found = np.zeros((400, LENGTH), np.int64)
    for i, line in enumerate((data / "instruct" / f"{source}.jsonl").read_text().splitlines()[:400]):
        row = json.loads(line)
        text = f"{row['prompt']} {row['answer']}".encode()[-LENGTH:]  # the end holds the answer
        found[i, : len(text)] = list(text)
    return found


class Text:
    """The text problem: `train` is what a user would write, coupled or as most scripts do."""

    def __init__(self, data: Path, coupled: bool):
        self.examples = np.stack([texts(data, source) for source in SOURCES])  # (K, 400, LENGTH)
        self.coupled = coupled

    def __call__(self, mask: np.ndarray, seed: int) -> dict[str, float]:
        import torch

        K, train = len(SOURCES), self.examples[:, :TRAIN].reshape(-1, LENGTH)
        source = np.repeat(np.arange(K), TRAIN)
        key = [seed] if self.coupled else [seed, *mask.astype(int).tolist()]
        torch.manual_seed(int(np.random.default_rng(key).integers(2**31)))
        model = _Transformer()
        optimiser = torch.optim.AdamW(model.parameters(), LR, betas=(0.9, 0.98), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
        if self.coupled:
            batches: Any = Schedule(source, seed=seed, batch_size=BATCH, steps=STEPS).under(mask)
        else:
            batches = _redrawn(np.flatnonzero(mask[source] > 0), np.random.default_rng([7, *key]))
        for batch in batches:
            losses = model.losses(torch.from_numpy(train[batch.indices]))
            loss = batch.mean(losses)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            judged = [model.losses(torch.from_numpy(own[TRAIN:])).mean().item() for own in self.examples]
        return {f"nats/{name}": loss for name, loss in zip(SOURCES, judged, strict=True)}


def _redrawn(present: np.ndarray, rng: np.random.Generator):
    """Batches of the examples that are present, epoch by epoch."""
    from interplay.coupling import Batch

    order: list[int] = []
    for _ in range(STEPS):
        while len(order) < BATCH:
            order += rng.permutation(present).tolist()
        indices, order = np.array(order[:BATCH]), order[BATCH:]
        yield Batch(indices, np.ones(BATCH), BATCH)


def _Transformer() -> Any:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bytes, self.places = nn.Embedding(256, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, batch_first=True, norm_first=True)
            self.out = nn.Linear(WIDTH, 256)
            self.register_buffer("causal", torch.triu(torch.full((LENGTH - 1, LENGTH - 1), -torch.inf), 1))

        def losses(self, x: torch.Tensor) -> torch.Tensor:
            """Mean nats per byte of each example."""
            hidden = self.bytes(x[:, :-1]) + self.places.weight[: LENGTH - 1]
            logits = self.out(self.layer(hidden, src_mask=self.causal, is_causal=True))
            nats = cross_entropy(logits.transpose(1, 2), x[:, 1:], reduction="none")
            there = (x[:, 1:] > 0).float()
            return (nats * there).sum(1) / there.sum(1)

    return Transformer()


def text(data: Path) -> dict[str, Any]:
    facts = {"tasks": SOURCES, "absent_tasks": "fixed_steps", "version": "1"}
    return {
        way: Retrain(Text(data, way == "coupled"), coupled=way == "coupled", **facts)
        for way in ("coupled", "uncoupled")
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    data = parser.parse_args(arguments).data
    record("digits", digits(), 20)
    record("text", text(data), len(SOURCES))


if __name__ == "__main__":
    main()
