"""Regression through soft bins: a target becomes a distribution over bins, a prediction the mean of their values.

encoder  q(y) = softmax_j(slope_j u + intercept_j),  u = (y - centre) / scale
         fixed: bins of width h with midpoints c_j, q_j ~ exp(-(y - c_j)^2 / (2 width^2 h^2))
decoder  mu(p) = sum_j p_j value_j
loss     cross-entropy of softmax(f) against q(y); curvature diag p - p p'
learned  slope, intercept, value minimise mean (mu(q(y)) - y)^2, the auto-encoding error, from the fixed ones

Source: Stewart, Bach and Berthet, "Building Bridges between Regression, Clustering, and Classification" (2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .labels import reals
from .softmax import SoftLabelLoss


class SoftBins(SoftLabelLoss):
    """Cross-entropy against soft bins of a real target; the model gives one logit per bin.

    Use it where a network is trained for regression as a classifier. "mse" and "mae" are errors of the decoded
    prediction, in the target's own unit; "accuracy" is the share of examples whose most likely bin is the target's.

    Parameters
    ----------
    bins : int or sequence of float
        Number of bins B between `low` and `high`, or their B + 1 edges, ascending.
    low, high : float, optional
        Ends of the bins, needed with a number. Decoded predictions lie between the outer midpoints.
    width : float
        Spread of a soft label in units of the mean bin width; towards 0 a label is one bin.

    Attributes
    ----------
    slope, intercept, values : Tensor (B,), float64
        Of encoder and decoder.
    centre, scale : float

    Examples
    --------
    >>> loss = SoftBins(4, low=0.0, high=8.0, width=0.5)
    >>> loss.values.tolist()
    [1.0, 3.0, 5.0, 7.0]
    >>> [round(q, 3) for q in loss.distribution(torch.tensor([3.0], dtype=torch.float64))[0].tolist()]
    [0.106, 0.787, 0.106, 0.0]
    """

    name = "soft_bins"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy", "mse", "mae")

    def __init__(
        self, bins: int | Sequence[float], low: float | None = None, high: float | None = None, *, width: float = 1.0
    ):
        edges = _edges(bins, low, high)
        if not (np.isfinite(width) and width > 0):
            raise ValueError(f"width is {width!r}; it must be a finite number above 0, in units of a bin.")
        c = (edges[1:] + edges[:-1]) / 2
        self.centre, self.scale = float(c.mean()), float(width * np.diff(edges).mean())
        self.slope = torch.from_numpy((c - self.centre) / self.scale)
        self.intercept = -0.5 * self.slope.square()
        self.values = torch.from_numpy(c)

    @classmethod
    def over(cls, targets: Any, bins: int, *, width: float = 1.0) -> SoftBins:
        """Bins of equal width from the smallest to the largest of the training targets (n,)."""
        y = _numbers(targets)
        return cls(bins, float(y.min()), float(y.max()), width=width)

    @classmethod
    def learned(cls, targets: Any, bins: int, *, width: float = 1.0, steps: int = 100) -> SoftBins:
        """Encoder and decoder that reproduce the training targets (n,) best, found from `over` by L-BFGS."""
        loss, y = cls.over(targets, bins, width=width), torch.from_numpy(_numbers(targets))
        u = ((y - loss.centre) / loss.scale).unsqueeze(1)
        slope, intercept = (p.clone().requires_grad_() for p in (loss.slope, loss.intercept))
        values = ((loss.values - loss.centre) / loss.scale).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [slope, intercept, values], max_iter=steps, line_search_fn="strong_wolfe", tolerance_change=1e-12
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            error = (slope * u + intercept).softmax(1) @ values - u[:, 0]
            error.square().mean().backward()
            return error.square().mean()

        with torch.enable_grad():
            optimiser.step(closure)
        loss.slope, loss.intercept = slope.detach(), intercept.detach()
        loss.values = values.detach() * loss.scale + loss.centre
        return loss

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return targets as float64 (n,) after checking that there is one logit per bin."""
        if outputs.shape[-1] != len(self.values):
            raise ValueError(
                f"{where}: the model gives {outputs.shape[-1]} outputs per example and there are {len(self.values)} "
                "bins; they must agree. Change the model's last layer or the number of bins."
            )
        return reals(labels, (), where, "one number per example")

    def distribution(self, labels: Tensor) -> Tensor:
        """Encode targets (n,) as distributions over the bins, shape (n, B)."""
        u = ((labels - self.centre) / self.scale).unsqueeze(-1)
        return (self.slope.to(labels) * u + self.intercept.to(labels)).softmax(-1)

    def decode(self, outputs: Tensor) -> Tensor:
        """Prediction in the target's own unit from logits (..., B), shape (...)."""
        return outputs.softmax(-1) @ self.values.to(outputs)

    def error(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Decoded prediction less target, shape (..., n, 1)."""
        return (self.decode(outputs) - labels).unsqueeze(-1)

    def reconstruction(self, targets: Any) -> float:
        """Root mean square of decoded less real targets (n,): what the bins lose before any model errs."""
        y = torch.from_numpy(_numbers(targets))
        return float((self.distribution(y) @ self.values - y).square().mean().sqrt())

    def facts(self) -> dict[str, Any]:
        """Encoder and decoder, as one digest, and the number of bins."""
        from ...evaluators.digests import digest

        return {
            "bins": len(self.values),
            "encoder": digest(self.slope, self.intercept, self.values, self.centre, self.scale),
        }


def _edges(bins: int | Sequence[float], low: float | None, high: float | None) -> np.ndarray:
    """Ascending edges (B + 1,), B >= 2."""
    if isinstance(bins, (int, np.integer)):
        if bins < 2:
            raise ValueError(f"bins is {bins}; at least 2 are needed.")
        if low is None or high is None or not low < high or not np.isfinite([low, high]).all():
            raise ValueError(
                f"bins is {bins} with low={low} and high={high}; a number of bins needs finite ends, low < high. "
                "Use SoftBins.over(targets, bins) to take them from the training targets."
            )
        return np.linspace(float(low), float(high), int(bins) + 1)
    edges = np.asarray(bins, float)
    if low is not None or high is not None:
        raise ValueError("bins holds edges, and low or high is given too; pass one or the other.")
    if edges.ndim != 1 or len(edges) < 3 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        raise ValueError(f"bins has the edges {bins!r}; at least 3 finite numbers in ascending order are needed.")
    return edges


def _numbers(targets: Any) -> np.ndarray:
    """Training targets as finite numbers (n,)."""
    y = np.asarray(targets.detach().cpu() if isinstance(targets, Tensor) else targets, float).reshape(-1)
    if len(y) < 2 or not np.isfinite(y).all() or y.min() == y.max():
        raise ValueError(f"targets holds {len(y)} numbers; at least two that are finite and differ are needed.")
    return y
