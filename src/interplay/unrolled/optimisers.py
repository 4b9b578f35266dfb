"""Optimisers on flat vectors, for one training or for many side by side.

sgd    m <- momentum m + g;                          W <- W - lr (m + weight_decay W)
adamw  m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2
       W <- W - lr (m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay W)

The arithmetic is that of `torch.optim.SGD` (without dampening) with decoupled decay, and of `torch.optim.AdamW`; one
class serves the real training (W of shape (p,)) and the trainings that are followed beside it (W of shape (m, p)).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Optimiser", "State"]


@dataclass
class State:
    """Moments of an optimiser; `m` and `v` have the shape of W, `t` steps were taken."""

    m: Tensor
    v: Tensor | None
    t: int = 0

    def clone(self) -> State:
        """Return a copy that shares nothing."""
        return State(self.m.clone(), None if self.v is None else self.v.clone(), self.t)


@dataclass(frozen=True)
class Optimiser:
    """A first-order optimiser with its learning rate over the steps.

    Parameters
    ----------
    name : {"adamw", "sgd"}
    lr : float
        Peak learning rate.
    weight_decay : float
        Decoupled: each step takes lr x weight_decay x W away.
    betas, eps : (float, float), float
        Of Adam.
    momentum : float
        Of SGD.
    schedule : {"linear", "cosine", "constant"}
        How the learning rate falls after the warm-up: to 0 along a line or a half cosine, or not at all.
    warmup : float
        Share of the steps in which the learning rate rises linearly from 0.
    """

    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.0
    schedule: str = "linear"
    warmup: float = 0.1

    def __post_init__(self):
        for argument, choices in {"name": ("adamw", "sgd"), "schedule": ("linear", "cosine", "constant")}.items():
            if getattr(self, argument) not in choices:
                raise ValueError(f"{argument} is {getattr(self, argument)!r}; it must be one of {', '.join(choices)}.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr is {self.lr!r}; it must be positive.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay is {self.weight_decay!r}; it must be >= 0.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup!r}; it is a share of the steps, from 0 to below 1.")
        if not (len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)):
            raise ValueError(f"betas is {self.betas!r}; both must be from 0 to below 1.")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0.

        Examples
        --------
        >>> [round(Optimiser(lr=1.0, warmup=0.5).rate(t, 4), 2) for t in range(4)]
        [0.5, 1.0, 1.0, 0.5]
        """
        warm = math.ceil(self.warmup * steps)
        if step < warm:
            return self.lr * (step + 1) / warm
        left = (step - warm) / max(1, steps - warm)
        if self.schedule == "linear":
            return self.lr * (1 - left)
        return self.lr * (0.5 * (1 + math.cos(math.pi * left)) if self.schedule == "cosine" else 1.0)

    def start(self, W: Tensor) -> State:
        """Return the state before the first step."""
        return State(torch.zeros_like(W), torch.zeros_like(W) if self.name == "adamw" else None)

    def step(self, W: Tensor, g: Tensor, state: State, rate: float) -> None:
        """Take one step in place, from gradients `g` of the shape of `W`."""
        state.t += 1
        if self.weight_decay:
            W.mul_(1 - rate * self.weight_decay)
        if state.v is None:
            state.m.mul_(self.momentum).add_(g)
            W.sub_(state.m, alpha=rate)
            return
        b1, b2 = self.betas
        state.m.lerp_(g, 1 - b1)
        state.v.mul_(b2).addcmul_(g, g, value=1 - b2)
        denominator = (state.v / (1 - b2**state.t)).sqrt_().add_(self.eps)
        W.addcdiv_(state.m, denominator, value=-rate / (1 - b1**state.t))

    def describe(self) -> dict[str, Any]:
        """Return what changes a training, JSON-able."""
        own = asdict(self)
        for irrelevant in ("momentum",) if self.name == "adamw" else ("betas", "eps"):
            del own[irrelevant]
        return {"optimiser": own.pop("name"), **own, **({"betas": list(self.betas)} if "betas" in own else {})}
