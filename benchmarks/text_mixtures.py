"""Which mixture of ten texts trains the best small transformer, where some of the texts are tiny?

A byte transformer from scratch (one layer of width 64 over sums of embeddings of the last four bytes, so that it learns
within seconds) reads BUDGET = STEPS x BATCH x LENGTH = 409,600 bytes by AdamW. Source k holds N_k bytes, cut into
windows of LENGTH; a mixture w says with which probability a slot of a batch holds a window of source k. Its windows are
read in turn, in another order every epoch, so that source k is read w_k BUDGET / N_k times: a small one with a large
weight is read often, and over-fits.

Coupled seeds: a seed fixes the initial weights, the orders of every source's windows, and one number u per slot, which
becomes a source by the inverse of the mixture's cumulative distribution. The numbers u of a training are one from each
of its equal parts of [0, 1), shuffled, so that a source is read as often as its weight says, to one window.

Targets, nats per byte, lower is better: ``nats/NAME`` of 80 held-out examples of every source, and of the evaluation
sets, which are in no source; ``loss`` is the mean over the evaluation sets, fixed before anything was fitted.

The sources nearest to the evaluation sets are small (gsm8k to svamp, arc_easy to arc_challenge, amazon_sentiment to
yelp_sentiment, snips to clinc_domain), the large ones are farther or far from them: the proportional mixture hardly
reads what matters, the uniform one reads snips and amazon_sentiment 7 to 8 times. A user would state MAX_EPOCHS: up to
four epochs repeated text is worth about as much as fresh text (Muennighoff et al. 2023, "Scaling Data-Constrained
Language Models"); it binds for the four small sources at weights of .05 to .14.

Steps, width, learning rate and sizes were set on signal and noise alone: on 5 mixtures under 3 seeds `loss` varies by
.08 between mixtures, and by .006 between seeds beyond what all mixtures of a seed share; one training lasts 5 s on a
core of its own. Along the line from the large sources to the four small ones `loss` was seen (seed 0, 6 mixtures) to
fall from 2.20 to 2.10 and to rise again from about half on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interplay.evaluators import Retrain

__all__ = ["BUDGET", "EVALUATED", "MAX_EPOCHS", "SOURCES", "TARGETS", "TextMixtures", "evaluator", "slots", "windows"]

#: Examples that each source holds: of its file's 400 less 80 held out, and of the 600 of ``NAME_icl`` where it is more.
SOURCES: dict[str, int] = {
    "gsm8k": 40,
    "arc_easy": 40,
    "commonsenseqa": 320,
    "amazon_sentiment": 60,
    "mr_sentiment": 920,
    "snips": 60,
    "banking10": 920,
    "e2e_nlg": 320,
    "mbpp": 320,
    "wikisql": 320,
}
#: Sets that no source holds; `loss` is the mean over them.
EVALUATED = ("svamp", "arc_challenge", "yelp_sentiment", "clinc_domain")
TARGETS = (*(f"nats/{name}" for name in (*SOURCES, *EVALUATED)), "loss")
HELD_OUT = 80
#: Lines of a source's own file; a larger one goes on in NAME_icl.jsonl.
LINES = 400
LENGTH, LAGS, WIDTH, HEADS, LAYERS, STEPS, BATCH, LR = 64, 4, 64, 2, 1, 400, 16, 5e-3
#: Bytes are one of these; what is not ASCII is the last of them.
SYMBOLS = 128
#: Bytes that one training reads.
BUDGET = STEPS * BATCH * LENGTH
#: How often a user would have any source read at most.
MAX_EPOCHS = 4


def windows(lines: list[str]) -> np.ndarray:
    """Return the texts, one behind the other, as bytes (n, LENGTH); what is left over at the end is not read."""
    whole = np.frombuffer("".join(line + "\n\n" for line in lines).encode(), np.uint8)
    n = len(whole) // LENGTH
    return np.minimum(whole[: n * LENGTH], SYMBOLS - 1).reshape(n, LENGTH).astype(np.int64)


def slots(w: np.ndarray, sizes: np.ndarray, seed: int, steps: int, batch: int) -> np.ndarray:
    """Return which window each slot holds, array (steps, batch, 2): source and window."""
    S = steps * batch
    rng = np.random.default_rng([17, seed])
    u = (rng.permutation(S) + rng.random(S)) / S
    source = np.searchsorted(np.cumsum(w)[:-1] / np.sum(w), u, side="right")
    window = np.empty(S, np.int64)
    for k in np.unique(source):
        own = np.flatnonzero(source == k)
        epochs = -(-len(own) // sizes[k])
        orders = [np.random.default_rng([18, seed, k, e]).permutation(sizes[k]) for e in range(epochs)]
        window[own] = np.concatenate(orders)[: len(own)]
    return np.stack([source, window], 1).reshape(steps, batch, 2)


class TextMixtures:
    """The training: ``problem(w, seed) -> {target: nats per byte}``; `data` is the folder that holds ``instruct``."""

    def __init__(self, data: Path):
        self.train, self.judge = [], {}
        large = [f"{name}_icl" for name, lines in SOURCES.items() if lines > LINES - HELD_OUT]
        files = [data / "instruct" / f"{name}.jsonl" for name in (*SOURCES, *large, *EVALUATED)]
        if missing := [file.name for file in files if not file.is_file()]:
            raise FileNotFoundError(f"{data / 'instruct'} lacks {', '.join(missing)}; see examples/texts.md.")
        for name in (*SOURCES, *EVALUATED):
            lines = _lines(data, name)
            self.judge[name] = windows(lines[-HELD_OUT:])
            if name in SOURCES:
                more = _lines(data, f"{name}_icl") if SOURCES[name] > len(lines) - HELD_OUT else []
                self.train.append(windows((lines[:-HELD_OUT] + more)[: SOURCES[name]]))

    @property
    def tokens(self) -> dict[str, int]:
        """Bytes that each source holds, N_k."""
        return {name: int(own.size) for name, own in zip(SOURCES, self.train, strict=True)}

    def __call__(self, w: np.ndarray, seed: int) -> dict[str, float]:
        import torch

        torch.manual_seed(int(np.random.default_rng([16, seed]).integers(2**31)))
        model = _transformer()
        optimiser = torch.optim.AdamW(model.parameters(), LR, betas=(0.9, 0.98), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
        sizes = np.array([len(own) for own in self.train])
        starts, whole = np.cumsum(sizes) - sizes, np.concatenate(self.train)
        for step in slots(np.asarray(w, float), sizes, seed, STEPS, BATCH):
            loss = model.nats(torch.from_numpy(whole[starts[step[:, 0]] + step[:, 1]]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            nats = {name: model.nats(torch.from_numpy(own)).item() for name, own in self.judge.items()}
        return measured(nats)


def evaluator(data: Path) -> Retrain:
    """Return the evaluator of mixtures; what sets the values above is part of its fingerprint."""
    return Retrain(
        TextMixtures(data),
        tasks=tuple(SOURCES),
        targets=TARGETS,
        higher_is_better=[False] * len(TARGETS),
        coupled=True,
        absent_tasks="fixed_steps",
        version="1",
    )


def measured(nats: Mapping[str, float]) -> dict[str, float]:
    """Return the targets from nats per byte of every set."""
    return {f"nats/{name}": value for name, value in nats.items()} | {
        "loss": float(np.mean([nats[name] for name in EVALUATED]))
    }


def _lines(data: Path, name: str) -> list[str]:
    rows = map(json.loads, (data / "instruct" / f"{name}.jsonl").read_text().splitlines())
    return [f"{row['prompt']} {row['answer']}" for row in rows]


def _transformer() -> Any:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, gelu, pad, scaled_dot_product_attention

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv, self.mixed = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            b, n, _ = x.shape
            q, k, v = self.qkv(self.before(x)).view(b, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            seen = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, n, WIDTH)
            x = x + self.mixed(seen)
            return x + self.down(gelu(self.up(self.between(x)), approximate="tanh"))

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bytes = nn.ModuleList(nn.Embedding(SYMBOLS, WIDTH) for _ in range(LAGS))
            self.places = nn.Embedding(LENGTH - 1, WIDTH)
            self.layers, self.last = nn.Sequential(*(Layer() for _ in range(LAYERS))), nn.LayerNorm(WIDTH)
            self.out = nn.Linear(WIDTH, SYMBOLS)

        def nats(self, x: torch.Tensor) -> torch.Tensor:
            """Mean nats per byte of windows (n, LENGTH)."""
            before = pad(x[:, :-1], (LAGS - 1, 0))
            lags = [own(before[:, j : j + LENGTH - 1]) for j, own in enumerate(self.bytes)]
            hidden = self.layers(sum(lags, self.places.weight))
            return cross_entropy(self.out(self.last(hidden)).flatten(0, 1), x[:, 1:].flatten())

    return Transformer()
