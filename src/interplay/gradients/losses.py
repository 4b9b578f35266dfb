"""Losses as functions of logits: value, residual and curvature, for all masks at once.

softmax: loss = logsumexp(f) - f_y, residual p - e_y, curvature diag p - p p' = L L',
         L = diag(sqrt p) - p sqrt(p)'
binary : loss = log(1 + exp(f)) - y f, residual p - y, curvature p (1 - p)
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Loss(Protocol):
    """A convex loss of logits (..., n, C) and labels (n,)."""

    name: str

    def check(self, logits: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 after checking them against the logits' width."""
        ...

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        ...

    def value_and_residual(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative in the logits (..., n, C)."""
        ...

    def curvature_product(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """Second derivative at `logits` (n, C) times `vectors` (..., n, C)."""
        ...

    def curvature_root(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """L' v with L L' the second derivative at `logits` (n, C), for `vectors` (n, C, d)."""
        ...

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Whether the most likely class is the label, shape (..., n)."""
        ...


class SoftmaxLoss:
    """Cross-entropy of C >= 2 classes."""

    name = "cross_entropy"

    def check(self, logits: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 after checking them against the C classes."""
        classes = logits.shape[-1]
        if classes < 2:
            raise ValueError(
                f"{where}: the model gives {classes} logit per example; loss='cross_entropy' needs two or "
                "more. Pass loss='binary' for one logit per example."
            )
        return _integers(labels, classes, where, "the classes of the model's output")

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        picked = logits.gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        return logits.logsumexp(-1) - picked

    def value_and_residual(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and p - e_y (..., n, C), with one exponential per logit."""
        index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
        top = logits.amax(-1, keepdim=True)
        p = (logits - top).exp_()
        total = p.sum(-1, keepdim=True)
        value = (total.log() + top - logits.gather(-1, index)).squeeze(-1)
        p /= total
        return value, p.scatter_add_(-1, index, torch.full_like(total, -1.0))

    def curvature_product(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """(diag p - p p') v for `vectors` (..., n, C)."""
        p = logits.softmax(-1)
        return p * (vectors - (p * vectors).sum(-1, keepdim=True))

    def curvature_root(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """L' v = sqrt(p) * (v - p'v), for `vectors` (n, C, d)."""
        p = logits.softmax(-1).unsqueeze(-1)
        return p.sqrt() * (vectors - (p * vectors).sum(-2, keepdim=True))

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Whether the largest logit is the label's, shape (..., n)."""
        return logits.argmax(-1) == labels


class BinaryLoss:
    """Logistic loss of one logit; the same as softmax over the logits (0, f)."""

    name = "binary"

    def check(self, logits: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return labels as int64 after checking that they are 0 or 1."""
        if logits.shape[-1] != 1:
            raise ValueError(
                f"{where}: the model gives {logits.shape[-1]} logits per example; loss='binary' needs one. "
                "Pass loss='cross_entropy'."
            )
        return _integers(labels, 2, where, "the two classes of loss='binary'")

    def value(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        f = logits.squeeze(-1)
        return functional.softplus(f) - labels * f

    def value_and_residual(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and p - y (..., n, 1)."""
        f = logits.squeeze(-1)
        return functional.softplus(f) - labels * f, (f.sigmoid() - labels).unsqueeze(-1)

    def curvature_product(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """Return p (1 - p) v for `vectors` (..., n, 1)."""
        p = logits.sigmoid()
        return p * (1 - p) * vectors

    def curvature_root(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """Return sqrt(p (1 - p)) v, for `vectors` (n, 1, d)."""
        p = logits.sigmoid()
        return (p * (1 - p)).sqrt().unsqueeze(-1) * vectors

    def correct(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Whether the sign of the logit agrees with the label, shape (..., n)."""
        return (logits.squeeze(-1) > 0) == (labels > 0)


def loss_named(name: str) -> Loss:
    """Loss of that name: "cross_entropy" or "binary"."""
    losses = {"cross_entropy": SoftmaxLoss, "binary": BinaryLoss}
    if name not in losses:
        raise ValueError(f"loss is {name!r}; it must be one of {sorted(losses)}.")
    return losses[name]()


def _integers(labels: Tensor, classes: int, where: str, what: str) -> Tensor:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"{where}: labels have shape {tuple(labels.shape)}; one class index per example, (n,), is "
            "needed. Pass class indices instead of one-hot rows or token sequences."
        )
    whole = labels.long()
    bad = (whole != labels) | (whole < 0) | (whole >= classes)
    if bad.any():
        i = int(bad.nonzero()[0])
        raise ValueError(
            f"{where}: {int(bad.sum())} labels lie outside 0..{classes - 1} ({what}), the first is "
            f"{labels[i].item()} at example {i}. Renumber the labels or widen the model's last layer."
        )
    return whole
