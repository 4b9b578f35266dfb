"""Labels, checked: class indices, real numbers, distributions over classes."""

from __future__ import annotations

import torch
from torch import Tensor


def integers(labels: Tensor, classes: int, where: str, what: str) -> Tensor:
    """Class indices (n,), int64, of 0..classes-1."""
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


def reals(labels: Tensor, shape: tuple[int, ...], where: str, what: str) -> Tensor:
    """Finite numbers of shape (n, *shape), float64; axes of length 1 may be left out."""
    full = (len(labels), *shape)
    if tuple(s for s in labels.shape[1:] if s != 1) != tuple(s for s in shape if s != 1):
        raise ValueError(
            f"{where}: labels have shape {tuple(labels.shape)}; {what}, shape {full}, are needed. "
            "Reshape the labels or change the width of the model's last layer."
        )
    found = labels.double().reshape(full)
    bad = ~torch.isfinite(found)
    if bad.any():
        i = int(bad.reshape(len(found), -1).any(1).nonzero()[0])
        raise ValueError(f"{where}: the label of example {i} is not finite (nan or inf). Leave such examples out.")
    return found


def probabilities(labels: Tensor, where: str) -> Tensor:
    """Distributions (n, C), after checking that every row is >= 0 and sums to 1."""
    bad = (labels < 0).any(-1) | ((labels.sum(-1) - 1).abs() > 1e-4)
    if bad.any():
        i = int(bad.nonzero()[0])
        raise ValueError(
            f"{where}: the label of example {i} is no distribution over the classes: it sums to "
            f"{labels[i].sum().item():.4g}, its smallest entry is {labels[i].min().item():.4g}. Normalise the rows."
        )
    return labels / labels.sum(-1, keepdim=True)
