"""Cross-entropy of C >= 2 classes, with one class or a distribution over classes as the label.

p = softmax(f);  classes: loss = logsumexp(f) - f_y, residual p - e_y;  distributions q: logsumexp(f) - q'f, p - q
curvature diag p - p p' = L L',  L = diag(sqrt p) - p sqrt(p)'
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from .base import Loss
from .labels import integers, probabilities, reals


class SoftmaxLoss(Loss):
    """Cross-entropy of C >= 2 classes; labels (n,) are class indices. ``torch.nn.CrossEntropyLoss``."""

    name = "cross_entropy"
    hard: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy")

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 (n,) after checking them against the C classes."""
        self._classes(outputs, where)
        return integers(labels, outputs.shape[-1], where, "the classes of the model's output")

    def value(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        picked = outputs.gather(-1, labels.expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        return outputs.logsumexp(-1) - picked

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and p - e_y (..., n, C), with one exponential per logit."""
        index = labels.expand(outputs.shape[:-1]).unsqueeze(-1)
        log_total, p, total = _exponentials(outputs)
        value = (log_total - outputs.gather(-1, index)).squeeze(-1)
        return value, p.scatter_add_(-1, index, torch.full_like(total, -1.0))

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """(diag p - p p') v for `vectors` (..., n, C)."""
        p = outputs.softmax(-1)
        return p * (vectors - (p * vectors).sum(-1, keepdim=True))

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v = sqrt(p) * (v - p'v), for `vectors` (n, C, d)."""
        p = outputs.softmax(-1).unsqueeze(-1)
        return p.sqrt() * (vectors - (p * vectors).sum(-2, keepdim=True))

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the largest logit is the label's, shape (..., n)."""
        return outputs.argmax(-1) == labels

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float:
        """Entropy of the classes' frequencies."""
        return entropy(torch.bincount(labels, weights.double()) / weights.sum())

    def _classes(self, outputs: Tensor, where: str) -> None:
        if outputs.shape[-1] < 2:
            raise ValueError(
                f"{where}: the model gives {outputs.shape[-1]} logit per example; loss={self.name!r} needs two or "
                "more. Pass loss='binary' for one logit per example."
            )


class SoftLabelLoss(SoftmaxLoss):
    """Cross-entropy against distributions q over C >= 2 classes; labels (n, C), as for distillation."""

    name = "soft_labels"
    hard: ClassVar[bool] = False

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C) after checking that each row is a distribution."""
        self._classes(outputs, where)
        return probabilities(reals(labels, outputs.shape[-1:], where, "one distribution per example"), where)

    def distribution(self, labels: Tensor) -> Tensor:
        """Distribution q over the classes that stands for each label, shape (n, C)."""
        return labels

    def value(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        return outputs.logsumexp(-1) - (self.distribution(labels) * outputs).sum(-1)

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and p - q (..., n, C)."""
        q = self.distribution(labels)
        log_total, p, _ = _exponentials(outputs)
        return log_total.squeeze(-1) - (q * outputs).sum(-1), p.sub_(q)

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the largest logit is at the largest entry of the label, shape (..., n)."""
        return outputs.argmax(-1) == self.distribution(labels).argmax(-1)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float:
        """Entropy of the labels' weighted mean."""
        return entropy(weights.double() @ self.distribution(labels).double() / weights.sum())

    def least(self, labels: Tensor, weights: Tensor) -> float:
        """Weighted mean entropy of the labels."""
        q = self.distribution(labels).double()
        return float(-(weights.double() @ (q * q.clamp_min(1e-30).log()).sum(-1)) / weights.sum())


def entropy(p: Tensor) -> float:
    """Entropy of a distribution, in nats."""
    return float(-(p * p.clamp_min(1e-30).log()).sum())


def _exponentials(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log of the normaliser (..., 1), probabilities in memory of their own, normaliser of the shifted logits."""
    top = outputs.amax(-1, keepdim=True)
    p = (outputs - top).exp_()
    total = p.sum(-1, keepdim=True)
    log_total = total.log() + top
    p /= total
    return log_total, p, total
