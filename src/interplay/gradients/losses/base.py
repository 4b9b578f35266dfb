"""What the estimator asks of a loss: value, derivative and curvature in the model's outputs f (n, C).

l(f, y)      loss of one example; for a data term that is a mean over examples, as torch's reduction="mean"
residual     dl/df
curvature    d2l/df2, or a matrix that stands for it, = L L' >= 0; only its products H v and L' v are needed
best constant  min_c sum_i a_i l(c, y_i) / sum_i a_i, by Newton steps with that curvature
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor


class Loss(ABC):
    """A loss of outputs (..., n, C) and labels (n, ...), convex in the outputs unless it says otherwise.

    A leading axis of the outputs is one of masks: every mask has its own outputs and all share the labels.

    Attributes
    ----------
    name : str
    metrics : tuple of str
        What can be measured of a target by name.
    hard : bool
        Whether labels are classes that can be told apart, so that a trained model beats guessing.
    labelled : bool
        Whether a batch must hold labels.
    bounded : bool
        Whether outputs can leave the loss's domain, where it is infinite.
    """

    name: str
    metrics: ClassVar[tuple[str, ...]] = ("loss",)
    hard: ClassVar[bool] = False
    labelled: ClassVar[bool] = True
    bounded: ClassVar[bool] = False

    @abstractmethod
    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as the loss wants them after checking them against the outputs (n, C)."""

    @abstractmethod
    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative in the outputs (..., n, C), in memory of their own."""

    @abstractmethod
    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v, shape (n, r, d), at outputs (n, C), for `vectors` (n, C, d)."""

    @abstractmethod
    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L L' v at outputs (n, C), for `vectors` (..., n, C)."""

    def value(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        return self.value_and_residual(outputs, labels)[0]

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the prediction is the label, or the share of its parts that are, shape (..., n)."""
        raise ValueError(f"loss={self.name!r} predicts no classes, so there is no accuracy; use {self._known()}.")

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Prediction less target, in the target's own unit, shape (..., n, targets per example)."""
        raise ValueError(f"loss={self.name!r} predicts no numbers, so there is no such error; use {self._known()}.")

    def measure(self, metric: str, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss, accuracy, squared ("mse") or absolute ("mae") error of each example, shape (..., n)."""
        if metric == "loss":
            return self.value(outputs, labels)
        if metric == "accuracy":
            return self.correct(outputs, labels).double()
        error = self.error(outputs, labels)
        return (error.square() if metric == "mse" else error.abs()).mean(-1)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 30) -> float | None:
        """Weighted mean loss of the best constant output; None where a constant says nothing."""
        share = weights.double() / weights.sum()
        c, C = share @ outputs.double(), outputs.shape[1]
        eye = torch.eye(C, dtype=torch.float64, device=c.device)
        parts = torch.arange(len(labels), device=c.device).split(max(1, 2**22 // C**2))

        def measure(point: Tensor) -> tuple[Tensor, Tensor]:
            value, residual = self.value_and_residual(point.expand(len(labels), C).contiguous(), labels)
            return share @ value, share @ residual

        value, slope = measure(c)
        for _ in range(steps):
            H = torch.zeros_like(eye)
            for part in parts:
                root = self.curvature_root(c.expand(len(part), C), eye.expand(len(part), C, C), labels[part])
                H += torch.einsum("n,nra,nrb->ab", share[part], root, root)
            step = torch.linalg.solve(H + (1e-9 * H.diagonal().max() + 1e-12) * eye, slope)
            for _ in range(30):
                new, turned = measure(c - step)
                if new <= value:
                    break
                step = 0.5 * step
            else:
                break
            gained = float(value - new)
            c, value, slope = c - step, new, turned
            if gained < 1e-9 * max(abs(float(value)), 1e-9):
                break
        return float(value)

    def least(self, labels: Tensor, weights: Tensor) -> float:
        """Weighted mean loss of a model that knows the labels: 0, or the entropy of soft ones."""
        return 0.0

    def facts(self) -> dict[str, Any]:
        """Return what else tells this loss from another of the same name, JSON-able."""
        return {}

    def _known(self) -> str:
        return " or ".join(repr(metric) for metric in self.metrics) + " or a callable"
