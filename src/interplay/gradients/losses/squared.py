"""Squared error: loss = |f - y|^2 / C, residual 2 (f - y) / C, curvature 2 I / C, L = sqrt(2 / C) I."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import Loss
from .labels import reals


class SquaredLoss(Loss):
    """Mean squared error of C outputs; labels (n, C), or (n,) for one output. ``torch.nn.MSELoss``.

    Ridge regression with penalty alpha on |W|^2 beside a sum of squares (scikit-learn's ``Ridge``) has
    ``weight_decay = 2 alpha / N``.
    """

    name = "squared"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "mse", "mae")

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C) after checking that they are finite and as many as the outputs."""
        return reals(labels, outputs.shape[-1:], where, "one number per output")

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and 2 (f - y) / C (..., n, C)."""
        error = outputs - labels
        return error.square().mean(-1), error * (2 / outputs.shape[-1])

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return 2 v / C for `vectors` (..., n, C)."""
        return 2 / outputs.shape[-1] * vectors

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return sqrt(2 / C) v, for `vectors` (n, C, d)."""
        return (2 / outputs.shape[-1]) ** 0.5 * vectors

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float:
        """Variance of the labels, mean over outputs."""
        share = weights.double() / weights.sum()
        return float(share @ (labels - share @ labels).square().mean(1))

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return f - y, shape (..., n, C)."""
        return outputs - labels
