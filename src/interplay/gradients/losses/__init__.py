"""Losses of the gradient estimator, one file per family, by name or as objects."""

from __future__ import annotations

from .base import Loss
from .binary import BinaryLoss, LogOddsLoss, MultiLabelLoss
from .softmax import SoftLabelLoss, SoftmaxLoss
from .squared import SquaredLoss

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss for loss in (SoftmaxLoss, SoftLabelLoss, BinaryLoss, MultiLabelLoss, LogOddsLoss, SquaredLoss)
}

__all__ = [
    "LOSSES",
    "BinaryLoss",
    "LogOddsLoss",
    "Loss",
    "MultiLabelLoss",
    "SoftLabelLoss",
    "SoftmaxLoss",
    "SquaredLoss",
    "loss_named",
]


def loss_named(loss: str | Loss) -> Loss:
    """Loss of that name, or the loss itself.

    Raises
    ------
    ValueError
        If there is no loss of that name.
    TypeError
        If it is neither a name nor a `Loss`.

    Examples
    --------
    >>> loss_named("squared").metrics
    ('loss', 'mse', 'mae')
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    said = f"it must be one of {', '.join(sorted(LOSSES))}, or a Loss such as SoftBins(...) or ConvexLoss(fn)."
    if isinstance(loss, str):
        raise ValueError(f"loss is {loss!r}; {said}")
    raise TypeError(f"loss is a {type(loss).__name__}; {said}")
