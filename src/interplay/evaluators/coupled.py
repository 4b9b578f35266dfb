"""What trainings of flat parameters share, whatever the model: one schedule per seed, and a training for each row.

Step t under mask or weights s takes the gradient of 1/B sum_{i in batch t} s_{task of i} loss_i, with initial
parameters, batches and normaliser of the seed alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..coupling import Schedule
from ..unrolled.optimisers import Optimiser
from ..unrolled.training import Flatter, batches
from .rows import checked_rows
from .settings import Metric

__all__ = ["CoupledRetrain"]


class CoupledRetrain(ABC):
    """A training that `evaluate` runs once per row; `Finetune` and `TorchRetrain` say of what.

    Attributes
    ----------
    tasks, targets : tuple of str
    steps, epochs : int or None, float or None
        One of them: with ``steps`` an absent task leaves its places in the batches empty, with ``epochs`` the training
        without a task is shorter.
    batch_size : int
    optimiser : Optimiser
    flatter : Flatter or None
    """

    fidelity = "retrained"
    batch = 1
    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    _metrics: dict[str, Metric]

    def __init__(
        self,
        optimiser: Optimiser,
        flatter: Flatter | None,
        *,
        steps: int | None,
        epochs: float | None,
        batch_size: int,
    ):
        if (steps is None) == (epochs is None):
            raise ValueError(f"steps is {steps} and epochs is {epochs}; give one of them.")
        self.optimiser, self.flatter = optimiser, flatter
        self.steps, self.epochs, self.batch_size = steps, epochs, batch_size

    @property
    def K(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    @abstractmethod
    def group(self) -> np.ndarray:
        """Task of each training example, ``(N,)``."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of trained parameters p."""

    @abstractmethod
    def train(self, mask: Any = "all", seed: int = 0) -> Any:
        """Train once, on all tasks or those of a mask (K,)."""

    @abstractmethod
    def measure(self, W: Any) -> np.ndarray:
        """Return the targets (T,) of what `train` returned, or of parameters (p,)."""

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        return {
            "coupled": True,
            "absent_tasks": "fixed_steps" if self.steps is not None else "fixed_epochs",
            "training": {
                **self.optimiser.describe(),
                **({} if self.flatter is None else self.flatter.describe()),
                **({"steps": self.steps} if self.steps is not None else {"epochs": self.epochs}),
                "batch_size": self.batch_size,
                "examples": len(self.group),
                "trained parameters": self.size,
            },
        }

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Train a model per row and return its targets.

        Parameters
        ----------
        masks : (b, K) array
            1 where a source trains and 0 where not; other weights >= 0 multiply the source's loss.
        seeds : (b,) array of int

        Returns
        -------
        (b, T) array
        """
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        return np.array([self.measure(self.train(s, int(seed))) for s, seed in zip(masks, seeds, strict=True)])

    def schedule(self, seed: int) -> Schedule:
        """Return the batches of a seed, whatever the mask."""
        how = {"batch_size": self.batch_size, "steps": self.steps, "epochs": self.epochs}
        return Schedule(self.group, seed=seed, tasks=self.tasks, **how)  # type: ignore[arg-type]

    def batches(self, mask: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the examples and their weights s_k / B, step after step, absent ones left out."""
        return batches(self.schedule(seed), mask, refill=self.steps is None)

    def _weights(self, mask: Any, seed: int) -> np.ndarray:
        """Return "all" or a mask as weights (K,), checked."""
        return self.schedule(seed).weights(np.ones(self.K) if isinstance(mask, str) and mask == "all" else mask)

    def _differentiable(self, target: str) -> None:
        """Refuse a target that is no loss where its gradients are wanted."""
        if self._metrics[target] != "loss":
            raise ValueError(
                f"the metric of target {target!r} is no loss, so it has no gradients; measure it with the real model "
                "(targets='real')."
            )
