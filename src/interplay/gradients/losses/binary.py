"""Logistic losses: one label per example, the log-odds of an answer, or C labels at once.

p = sigmoid(f);  loss = log(1 + exp(f)) - y f, residual p - y, curvature p (1 - p) = L L', L = sqrt(p (1 - p))
log-odds    : o = log(p / (1 - p)) of the right answer, loss = log(1 + exp(-o)): y = 1 throughout
multi-label : the mean of C such losses
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from .base import Loss
from .labels import integers, reals
from .softmax import entropy


class MultiLabelLoss(Loss):
    """Mean logistic loss of C labels; labels (n, C) lie in [0, 1]. ``torch.nn.BCEWithLogitsLoss``."""

    name = "multi_label"
    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy")

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as float64 (n, C) after checking that they lie in [0, 1]."""
        found = reals(labels, outputs.shape[-1:], where, "one label per logit")
        bad = (found < 0) | (found > 1)
        if bad.any():
            i, c = (int(v) for v in bad.nonzero()[0])
            raise ValueError(
                f"{where}: label {c} of example {i} is {found[i, c].item():g}; loss={self.name!r} wants 0 and 1, or "
                "numbers between. Pass loss='squared' for numbers without bounds."
            )
        return found

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and (p - y) / C (..., n, C)."""
        value = (functional.softplus(outputs) - labels * outputs).mean(-1)
        return value, (outputs.sigmoid() - labels) / outputs.shape[-1]

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return p (1 - p) v / C for `vectors` (..., n, C)."""
        p = outputs.sigmoid()
        return p * (1 - p) * vectors / outputs.shape[-1]

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Return sqrt(p (1 - p) / C) v, for `vectors` (n, C, d)."""
        p = outputs.sigmoid()
        return (p * (1 - p) / outputs.shape[-1]).sqrt().unsqueeze(-1) * vectors

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Share of the C labels whose logit has the right sign, shape (..., n)."""
        return ((outputs > 0) == (labels > 0.5)).to(outputs.dtype).mean(-1)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float | None:
        """Mean entropy of the labels' frequencies."""
        share = weights.double() @ labels.double() / weights.sum()
        return entropy(torch.stack([share, 1 - share])) / len(share)

    def least(self, labels: Tensor, weights: Tensor) -> float:
        """Weighted mean entropy of the labels, 0 where all are 0 or 1."""
        y = torch.stack([labels, 1 - labels]).double()
        spread = -(y * y.clamp_min(1e-30).log()).sum(0)
        return float(weights.double() @ spread.reshape(len(labels), -1).mean(1) / weights.sum())


class BinaryLoss(MultiLabelLoss):
    """Logistic loss of one logit, labels (n,) 0 or 1; the same as softmax over the logits (0, f)."""

    name = "binary"
    hard: ClassVar[bool] = True

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 (n,) after checking that they are 0 or 1."""
        self._one(outputs, where, "Pass loss='cross_entropy', or loss='multi_label' for several labels at once.")
        return integers(labels, 2, where, "the two classes of loss='binary'")

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and p - y (..., n, 1)."""
        return super().value_and_residual(outputs, labels.unsqueeze(-1))

    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Whether the sign of the logit agrees with the label, shape (..., n)."""
        return (outputs.squeeze(-1) > 0) == (labels > 0)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> float | None:
        """Entropy of the two classes' frequencies."""
        return super().best_constant(outputs, labels.unsqueeze(-1), weights)

    def _one(self, outputs: Tensor, where: str, remedy: str) -> None:
        if outputs.shape[-1] != 1:
            raise ValueError(
                f"{where}: the model gives {outputs.shape[-1]} logits per example; loss={self.name!r} needs one. "
                f"{remedy}"
            )


class LogOddsLoss(BinaryLoss):
    """log(1 + exp(-o)) of one scalar o = log(p / (1 - p)) per example, the log-odds of its right answer.

    For language models: o averaged over the answer's tokens. No labels (what a batch holds as labels is not
    looked at), no intercept; accuracy is the share of examples with p > 1/2.
    """

    name = "log_odds"
    labelled: ClassVar[bool] = False

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return ones (n,), int64: the right answer is the label."""
        self._one(outputs, where, "Let the model return log p - log(1 - p) of each example's right answer.")
        return torch.ones(len(outputs), dtype=torch.int64, device=outputs.device)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 0) -> None:
        """None: the best constant is infinitely sure of every answer."""
