"""Gaussian likelihoods, -log N(y; m, v) less log(2 pi) / 2 and averaged over C targets, with three kinds of outputs.

known variance   f = m:               loss = (log v + (y - m)^2 / v) / 2, curvature 1/v
natural          f = (b, t), t > 0:   m = b / t, v = 1 / t; loss = (t y^2 - 2 b y + b^2 / t - log t) / 2,
                 curvature (1/t) (1, -m)(1, -m)' + diag(0, 1 / (2 t^2)) = its Hessian: jointly convex, no labels in it
log-variance     f = (m, r):          v = exp(r); loss = (r + (y - m)^2 exp(-r)) / 2, not convex in both;
                 curvature diag(exp(-r), 1/2): the Fisher information, the Hessian's mean over y ~ N(m, v)

The natural parameters of the normal are (b, -t/2). Outputs of a model with learnt variance: C means first (or b's),
then C log-variances (or precisions t).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from .base import Loss
from .labels import reals


class GaussianLoss(Loss):
    """Gaussian likelihood whose variance is known per example. ``torch.nn.GaussianNLLLoss``.

    Labels (n, C, 2) hold target and variance side by side; (n, 2) for one output. A target's errors ("mse", "mae")
    are those of the mean.
    """

    name = "gaussian"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "mse", "mae")

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C, 2) after checking that the variances are above 0."""
        C = outputs.shape[-1]
        found = reals(labels, (C, 2), where, "target and variance of each output, side by side")
        bad = (found[..., 1] <= 0).any(1)
        if bad.any():
            i = int(bad.nonzero()[0])
            raise ValueError(
                f"{where}: the variance of example {i} is {found[i, :, 1].min().item():g}; variances must be above 0. "
                "Labels hold (target, variance)."
            )
        return found

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and (f - y) / (v C) (..., n, C)."""
        y, v = labels.unbind(-1)
        error = outputs - y
        value = 0.5 * (v.log() + error.square() / v).mean(-1)
        return value, error / (v * outputs.shape[-1])

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return v' / (v C) for vectors v' (..., n, C) and variances v."""
        return vectors / (labels[..., 1] * outputs.shape[-1])

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return v' / sqrt(v C), for vectors v' (n, C, d) and variances v."""
        return vectors / (labels[..., 1] * outputs.shape[-1]).sqrt().unsqueeze(-1)

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return f - y, shape (..., n, C)."""
        return outputs - labels[..., 0]


class _LearntVariance(Loss):
    """What both parametrisations of a learnt variance share: labels (n, C) beside outputs (n, 2 C)."""

    metrics: ClassVar[tuple[str, ...]] = ("loss", "mse", "mae")
    outputs: ClassVar[str]

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C) after checking them against the 2 C outputs."""
        width = outputs.shape[-1]
        if width % 2:
            raise ValueError(
                f"{where}: the model gives {width} outputs per example; loss={self.name!r} needs two per target, "
                f"{self.outputs}. Double the model's last layer, or pass loss='gaussian' with known variances."
            )
        return reals(labels, (width // 2,), where, "one number per pair of outputs")


class NaturalGaussianLoss(_LearntVariance):
    """Gaussian likelihood with learnt variance in natural parameters: outputs b = m / v and t = 1 / v > 0.

    Jointly convex, so that every mask has one optimum. The linear model may take an output t to 0 or below, where the
    loss is infinite: the solver stops short of it for training examples, a target example that gets there makes the
    estimate infinite. Let the model end in a positive function (softplus) for t.
    """

    name = "gaussian_natural"
    bounded: ClassVar[bool] = True
    outputs: ClassVar[str] = "m / v of every target, then 1 / v of every target"

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C) after checking that the precisions at W0 are above 0."""
        found = super().check(outputs, labels, where)
        bad = (outputs.chunk(2, -1)[1] <= 0).any(1)
        if bad.any():
            i = int(bad.nonzero()[0])
            raise ValueError(
                f"{where}: the model gives example {i} a precision of {outputs.chunk(2, -1)[1][i].min().item():g}; "
                f"loss={self.name!r} needs 1 / v above 0. Pass the last outputs through softplus, or use "
                "loss='gaussian_log_variance'."
            )
        return found

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n), infinite where t <= 0, and its derivative (m - y, (y^2 - m^2 - v) / 2) / C."""
        b, t = outputs.chunk(2, -1)
        inside, safe = t > 0, t.clamp_min(1e-300)
        m, y = b / safe, labels
        value = 0.5 * (t * (y - m).square() - safe.log())
        value = value.masked_fill(~inside, torch.inf).mean(-1)
        residual = torch.cat([m - y, 0.5 * ((y - m) * (y + m) - 1 / safe)], -1)
        return value, residual / y.shape[-1]

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Hessian times `vectors` (..., n, 2 C)."""
        b, t = outputs.chunk(2, -1)
        m, (vb, vt) = b / t, vectors.chunk(2, -1)
        along = (vb - m * vt) / t
        return torch.cat([along, 0.5 * vt / t.square() - m * along], -1) / b.shape[-1]

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v: (v_b - m v_t) / sqrt(t C), then v_t / (t sqrt(2 C)), for `vectors` (n, 2 C, d)."""
        b, t = (part.unsqueeze(-1) for part in outputs.chunk(2, -1))
        vb, vt = vectors.chunk(2, 1)
        C = b.shape[1]
        return torch.cat([(vb - b / t * vt) / (C * t).sqrt(), vt / (t * (2 * C) ** 0.5)], 1)

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return m - y with m = b / t, shape (..., n, C)."""
        b, t = outputs.chunk(2, -1)
        return b / t - labels


class LogVarianceGaussianLoss(_LearntVariance):
    """Gaussian likelihood with learnt variance as networks have it: outputs m and log v.

    Not convex in both: a mask ends at the optimum reached from W0. The curvature is the Fisher information.
    """

    name = "gaussian_log_variance"
    outputs: ClassVar[str] = "the mean of every target, then the log-variance of every target"

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative ((m - y) / v, (1 - (y - m)^2 / v) / 2) / C."""
        m, r = outputs.chunk(2, -1)
        precision, error = (-r).exp(), m - labels
        scaled = error.square() * precision
        value = 0.5 * (r + scaled).mean(-1)
        return value, torch.cat([error * precision, 0.5 * (1 - scaled)], -1) / labels.shape[-1]

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Fisher information times `vectors` (..., n, 2 C)."""
        return self._fisher(outputs) * vectors

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v, for `vectors` (n, 2 C, d)."""
        return self._fisher(outputs).sqrt().unsqueeze(-1) * vectors

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return m - y, shape (..., n, C)."""
        return outputs.chunk(2, -1)[0] - labels

    def facts(self) -> dict[str, Any]:
        """The curvature is not the Hessian."""
        return {"curvature": "Fisher"}

    @staticmethod
    def _fisher(outputs: Tensor) -> Tensor:
        """Diagonal of the Fisher information, shape (n, 2 C)."""
        r = outputs.chunk(2, -1)[1]
        return torch.cat([(-r).exp(), torch.full_like(r, 0.5)], -1) / r.shape[-1]
