"""A course that is linear in its parameters: softmax regression, whose every estimate has a known answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from interplay.coupling import Schedule  # noqa: E402
from interplay.unrolled.optimisers import Optimiser  # noqa: E402
from interplay.unrolled.reactions import Reactions, chosen, outputs  # noqa: E402
from interplay.unrolled.training import batches, train  # noqa: E402


class SoftmaxRegression:
    """K sources of examples with `places` labels each, logits X W; float64."""

    fidelity = "retrained"
    batch = 1

    def __init__(
        self,
        K: int = 4,
        n: int = 10,
        classes: int = 3,
        width: int = 4,
        places: int = 2,
        optimiser: Optimiser | None = None,
        steps: int = 25,
    ):
        rng = np.random.default_rng(5)
        self.optimiser, self.steps, self.shape = optimiser or Optimiser("sgd", lr=0.3), steps, (width, classes)
        self.tasks = tuple(f"task_{k}" for k in range(K))
        self.targets, self.higher_is_better = ("val", "test"), (False, False)
        self.group = np.repeat(np.arange(K), n)
        self.X = torch.from_numpy(rng.normal(size=(K * n, places, width)))
        self.y = torch.from_numpy(rng.integers(0, classes, (K * n, places)))
        self.T = [
            (
                torch.from_numpy(rng.normal(size=(8, places, width))),
                torch.from_numpy(rng.integers(0, classes, (8, places))),
            )
            for _ in self.targets
        ]
        self.notes: dict[str, Any] = {"coupled": True, "absent_tasks": "fixed_steps", "training": {}}

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def fingerprint(self) -> dict[str, Any]:
        return {"course": "softmax regression"}

    def initial(self, seed: int) -> Tensor:
        return torch.from_numpy(np.random.default_rng([9, seed]).normal(scale=0.3, size=np.prod(self.shape)))

    def batches(self, mask: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        schedule = Schedule(self.group, seed=seed, batch_size=8, steps=self.steps)
        return batches(schedule, np.asarray(mask, float), refill=False)

    def losses(self, W: Tensor, X: Tensor, y: Tensor) -> Tensor:
        f = X @ W.view(self.shape)
        return cross_entropy(f.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(1)

    def gradient(self, W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        total = lambda V: (self.losses(V, self.X[indices], self.y[indices]) * torch.from_numpy(weights)).sum()
        return torch.func.grad(total)(W)

    def hessian_product(self, W: Tensor, indices: np.ndarray, weights: np.ndarray, vectors: Tensor) -> Tensor:
        g = lambda V: self.gradient(V, indices, weights)
        return torch.stack([torch.func.jvp(g, (W,), (v,))[1] for v in vectors])

    def reactions(self, W: Tensor, indices: np.ndarray, R: int | None) -> Reactions:
        return self._reactions(W, self.X[indices], self.y[indices], R)

    def target_reactions(self, W: Tensor, R: int | None) -> Iterator[tuple[int, Reactions]]:
        for t, (X, y) in enumerate(self.T):
            yield t, self._reactions(W, X, y, R)

    def measure(self, W: Tensor) -> np.ndarray:
        return np.array([float(self.losses(W, X, y).mean()) for X, y in self.T])

    def train(self, mask: Any = "all", seed: int = 0) -> Tensor:
        s = np.ones(len(self.tasks)) if isinstance(mask, str) else mask
        return train(self.initial(seed), self.batches(s, seed), self.gradient, self.optimiser, seed=seed)

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return np.array([self.measure(self.train(s, int(seed))) for s, seed in zip(masks, seeds, strict=True)])

    def _reactions(self, W: Tensor, X: Tensor, y: Tensor, R: int | None) -> Reactions:
        n, places = y.shape
        R = places * (self.shape[1] - 1) if R is None else R
        each = torch.func.vmap(torch.func.grad(lambda V, x, z: self.losses(V, x[None], z[None])[0]), (None, 0, 0))
        G = each(W, X, y)
        if not R:
            return Reactions(self.losses(W, X, y), G, G.new_zeros(n, 0, len(W)), None)
        owner = torch.arange(n).repeat_interleave(places)
        f = lambda V: (X @ V.view(self.shape)).flatten(0, 1)
        picked = chosen(f(W), owner, n, R)
        rows = torch.func.jacrev(lambda V: outputs(f(V), picked))(W)
        return Reactions(self.losses(W, X, y), G, rows, picked.bend, picked)
