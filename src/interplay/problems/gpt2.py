"""Which texts help which, for a small GPT-2 trained from scratch on their characters.

The model is transformers' GPT-2 with random weights and tied embeddings; the loss of an example is the mean
cross-entropy of the next character over all places of a window of text,

    l(f, y) = 1/L sum_{j < L} (log sum_v exp f_jv - f_{j y_j}),     f (L, 96), all places in one vector of outputs,

so that estimators meet a model of many outputs per example. A character is one of the 95 printable ones of ASCII, or
"other". Sources are files of JSON lines with ``prompt`` and ``answer``, or texts; windows start anywhere in the text of
a source, those that train in the first four fifths, those that judge in the last. The K = 12 sources by default: word
problems, questions with choices, reviews, intents, commands, code, translations. Targets: nats per character of
held-out windows of six of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..gradients.losses import SoftmaxLoss
from ..gradients.losses.softmax import entropy
from .trained import TrainedProblem

__all__ = ["GPT2", "SOURCES", "TARGETS", "V", "NextCharacterLoss", "encode"]

SOURCES = (
    "gsm8k",
    "svamp",
    "arc_easy",
    "commonsenseqa",
    "amazon_sentiment",
    "yelp_sentiment",
    "snips",
    "banking10",
    "nl2bash",
    "mbpp",
    "wikisql",
    "tatoeba_fr",
)
TARGETS = ("svamp", "arc_easy", "yelp_sentiment", "banking10", "nl2bash", "tatoeba_fr")
#: Characters: the printable ones of ASCII, and all others as one.
V = 96


class NextCharacterLoss(SoftmaxLoss):
    """Mean cross-entropy over the places of a window; outputs (n, places x V), labels (n, places).

    Parameters
    ----------
    places : int
    """

    name = "next_character"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy")

    def __init__(self, places: int):
        self.places = places

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 (n, places) after checking them against the outputs."""
        if labels.ndim != 2 or labels.shape[1] != self.places:
            raise ValueError(f"{where}: labels have shape {tuple(labels.shape)}; they must be (n, {self.places}).")
        if outputs.shape[-1] % self.places:
            raise ValueError(
                f"{where}: the model gives {outputs.shape[-1]} outputs; a multiple of {self.places} is needed."
            )
        one = super().check(self._by_place(outputs[:1]).flatten(0, -2), labels.flatten(), where)
        return one.view(labels.shape)

    def value(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        return super().value(self._by_place(outputs), labels).mean(-1)

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative in the outputs (..., n, places x V)."""
        value, residual = super().value_and_residual(self._by_place(outputs), labels)
        return value.mean(-1), residual.flatten(-2).div_(self.places)

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """H v for `vectors` (..., n, places x V)."""
        found = super().curvature_product(self._by_place(outputs), self._by_place(vectors), labels)
        return found.flatten(-2) / self.places

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v for `vectors` (n, places x V, d)."""
        root = super().curvature_root(self._by_place(outputs), vectors.unflatten(1, (self.places, -1)), labels)
        return root.flatten(1, 2) / self.places**0.5

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Share of the places that are predicted, shape (..., n)."""
        return super().correct(self._by_place(outputs), labels).double().mean(-1)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float:
        """Entropy of the characters' frequencies."""
        shares = weights.double()[:, None].expand(labels.shape).flatten()
        return entropy(torch.bincount(labels.flatten(), shares) / shares.sum())

    def facts(self) -> dict[str, Any]:
        """Return what tells this loss from another of the same name."""
        return {"places": self.places}

    def _by_place(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(-1, (self.places, -1))


@dataclass(eq=False)
class GPT2(TrainedProblem):
    """The problem of texts, with the recipe that trains its models.

    Parameters
    ----------
    folder : path, or mapping of str to str
        Holds ``<source>.jsonl`` for each of `sources` (rows with ``prompt`` and ``answer``); or the texts by name.
    problem_seed : int
        Which windows are drawn. Training seeds are apart from it.
    sources, targets : sequence of str
        What trains, and what is measured.
    places : int
        Characters that are predicted in a window.
    size, n_test : int
        Windows of each source that train, and of each target that judge.
    width, layers, heads : int
        Of GPT-2.
    steps, batch_size, lr : int, int, float
        AdamW, weight decay .01, learning rate falling to 0 as a half cosine.

    Attributes
    ----------
    source_windows, target_windows : dict of str to (X, y)
        Characters ``(n, places)`` int64, and the next ones.
    """

    folder: Any = field(repr=False)
    problem_seed: int = 0
    sources: Sequence[str] = SOURCES
    targets: Sequence[str] = TARGETS
    places: int = 16
    size: int = 64
    n_test: int = 48
    width: int = 64
    layers: int = 2
    heads: int = 4
    steps: int = 300
    batch_size: int = 32
    lr: float = 3e-3
    source_windows: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)
    target_windows: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self):
        texts = {name: encode(_text(self.folder, name)) for name in dict.fromkeys((*self.sources, *self.targets))}
        self.source_windows = {
            name: self._windows(texts[name][: len(texts[name]) * 4 // 5], self.size, name, 0) for name in self.sources
        }
        self.target_windows = {
            name: self._windows(texts[name][len(texts[name]) * 4 // 5 :], self.n_test, name, 1) for name in self.targets
        }

    def model(self, seed: int = 0) -> Any:
        """Return the untrained model with the initial weights of a seed; logits (n, places x V)."""
        from transformers import GPT2Config, GPT2LMHeadModel

        from ..evaluators.seeding import seeded

        config = GPT2Config(
            vocab_size=V,
            n_positions=self.places,
            n_embd=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            initializer_range=0.05,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
        with seeded(seed):
            return NextCharacter(GPT2LMHeadModel(config))

    def _recipe(self) -> dict[str, Any]:
        from ..unrolled.optimisers import Optimiser

        optimiser = Optimiser("adamw", lr=self.lr, weight_decay=0.01, schedule="cosine")
        return {"optimiser": optimiser, "loss": NextCharacterLoss(self.places)}

    def _data(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        return self.source_windows, self.target_windows

    def _windows(self, codes: np.ndarray, n: int, name: str, part: int) -> tuple[np.ndarray, np.ndarray]:
        if len(codes) <= self.places + n:
            raise ValueError(
                f"the text of {name!r} has {len(codes)} characters; more than {self.places + n} are needed."
            )
        key = [ord(c) for c in name]
        rng = np.random.default_rng([96, self.problem_seed, part, *key])
        start = np.sort(rng.choice(len(codes) - self.places, n, replace=False))
        found = codes[start[:, None] + np.arange(self.places + 1)]
        return found[:, :-1].copy(), found[:, 1:].copy()


class NextCharacter(nn.Module):
    """A causal language model whose logits (n, places, V) are laid out as one row per window.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(input_ids=...)``; gives an output with ``.logits``.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (n, places x V) of windows (n, places)."""
        return self.model(input_ids=ids).logits.flatten(1)


def encode(text: str) -> np.ndarray:
    """Return characters as numbers 0 to 94, all that are not printable ASCII as 95.

    Examples
    --------
    >>> encode(" A~é").tolist()
    [0, 33, 94, 95]
    """
    codes = np.array([ord(c) for c in text], np.int64) - 32
    return np.where((codes >= 0) & (codes < V - 1), codes, V - 1)


def _text(folder: Any, name: str) -> str:
    if isinstance(folder, Mapping):
        if name not in folder:
            raise ValueError(f"folder holds the texts {', '.join(folder)}; {name!r} is missing.")
        return folder[name]
    from ..language.examples import json_lines

    path = Path(os.fspath(folder)) / f"{name}.jsonl"
    return "\n".join(f"{row['prompt']} {row['answer']}" for row in json_lines(path, f"sources[{name!r}]"))
