"""One coupled training of flat parameters, and gradients that look for flatter minima.

plain   g = dL/dW at W
sam     g = dL/dW at W + rho g1/|g1|, g1 the plain one        (Foret et al., Sharpness-aware minimization, 2021)
noise   g = mean of dL/dW at W + sigma e and W - sigma e, e ~ N(0, I)
                                                    (Zhang et al., Noise stability optimization for flat minima, 2024)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..coupling import Schedule
from ..evaluators.failures import EvaluationFailed
from .optimisers import Optimiser

__all__ = ["Flatter", "batches", "train"]

Gradient = Callable[[Tensor, np.ndarray, np.ndarray], Tensor]


@dataclass(frozen=True)
class Flatter:
    """How a training looks for flatter minima.

    Parameters
    ----------
    way : {"sam", "noise"}
    size : float
        The radius rho of "sam", or the standard deviation sigma of "noise".

    Examples
    --------
    >>> Flatter("sam", 0.05).describe()
    {'flatter': 'sam', 'flatter_size': 0.05}
    """

    way: str
    size: float

    def __post_init__(self):
        if self.way not in ("sam", "noise"):
            raise ValueError(f"flatter is {self.way!r}; it must be 'sam' or 'noise'.")
        if not (np.isfinite(self.size) and self.size > 0):
            raise ValueError(f"the size of {self.way} is {self.size!r}; it must be positive (.01 to .05 are usual).")

    def describe(self) -> dict[str, Any]:
        """Return what changes a training, JSON-able."""
        return {"flatter": self.way, "flatter_size": self.size}

    def gradient(self, plain: Gradient, W: Tensor, batch: tuple[np.ndarray, np.ndarray], rng: Any) -> Tensor:
        """Return the gradient of one step from that at any point, ``plain(W, indices, weights)``."""
        if self.way == "sam":
            first = plain(W, *batch)
            norm = first.norm()
            return first if norm == 0 else plain(W + self.size / norm * first, *batch)
        e = self.size * torch.randn(W.shape, generator=rng, dtype=W.dtype).to(W.device)
        return 0.5 * (plain(W + e, *batch) + plain(W - e, *batch))


def batches(schedule: Schedule, mask: np.ndarray, *, refill: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the examples and their weights s_k / B of every step, absent ones left out.

    Parameters
    ----------
    schedule : Schedule
    mask : (K,) array
    refill : bool
        False: what is absent leaves its place empty (fixed steps). True: those that follow move up, and the training
        is shorter (fixed epochs).
    """
    B = schedule.batch_size
    if not refill:
        return [(batch.indices, batch.weights / B) for batch in schedule.under(mask, absent="drop")]
    weights = schedule.weights(mask)[schedule.source]
    row = np.concatenate([schedule.batch(t) for t in range(schedule.steps)])
    row = row[weights[row] > 0]
    return [(row[i : i + B], weights[row[i : i + B]] / B) for i in range(0, len(row), B)]


def train(
    W: Tensor,
    batches: list[tuple[np.ndarray, np.ndarray]],
    gradient: Gradient,
    optimiser: Optimiser,
    *,
    seed: int,
    flatter: Flatter | None = None,
) -> Tensor:
    """Train in place and return W (p,).

    Parameters
    ----------
    W : Tensor (p,)
        Where training starts.
    batches : list of (indices, weights)
        Examples and their weights s_k / B, step after step; an empty step keeps its place.
    gradient : callable
        ``gradient(W, indices, weights)`` is that of sum_i weights_i loss_i, ``(p,)``.
    optimiser : Optimiser
    seed : int
        Of the noise of ``flatter``, which all masks of a seed share.
    flatter : Flatter, optional

    Raises
    ------
    EvaluationFailed
        If the parameters are no longer finite.
    """
    state = optimiser.start(W)
    noise = torch.Generator(device="cpu").manual_seed(seed)  # the same on every device
    for t, (indices, weights) in enumerate(batches):
        if not len(indices):
            g = torch.zeros_like(W)
        elif flatter is None:
            g = gradient(W, indices, weights)
        else:
            g = flatter.gradient(gradient, W, (indices, weights), noise)
        optimiser.step(W, g, state, optimiser.rate(t, len(batches)))
    if not torch.isfinite(W).all():
        raise EvaluationFailed(
            f"the training of seed {seed} diverged: its parameters are not finite; lower lr ({optimiser.lr:g})."
        )
    return W
