"""Losses of the gradient estimator, one file per family, by name or as objects.

==========================  ======================  ===============================  =========================
loss                        outputs of the model    labels                           torch's, as a mean
==========================  ======================  ===============================  =========================
``cross_entropy``           C logits                class                            ``CrossEntropyLoss``
``soft_labels``             C logits                distribution (C)                 ``CrossEntropyLoss``
``binary``                  one logit               0 or 1                           ``BCEWithLogitsLoss``
``multi_label``             C logits                C numbers in [0, 1]              ``BCEWithLogitsLoss``
``log_odds``                log-odds of the answer  none                             ``softplus(-o)``
``squared``                 C predictions           C numbers                        ``MSELoss``
``gaussian``                C means                 C pairs (target, variance)       ``GaussianNLLLoss``
``gaussian_natural``        C m/v, then C 1/v       C numbers                        ``GaussianNLLLoss``
``gaussian_log_variance``   C m, then C log v       C numbers                        ``GaussianNLLLoss``
``SoftBins(...)``           one logit per bin       number                           ``CrossEntropyLoss``
``ConvexLoss(fn)``          C outputs               what ``fn`` takes                ``fn``
==========================  ======================  ===============================  =========================
"""

from __future__ import annotations

from .base import Loss
from .binary import BinaryLoss, LogOddsLoss, MultiLabelLoss
from .bins import SoftBins
from .convex import ConvexLoss
from .gaussian import GaussianLoss, LogVarianceGaussianLoss, NaturalGaussianLoss
from .softmax import SoftLabelLoss, SoftmaxLoss
from .squared import SquaredLoss

_NAMED = (
    SoftmaxLoss,
    SoftLabelLoss,
    BinaryLoss,
    MultiLabelLoss,
    LogOddsLoss,
    SquaredLoss,
    GaussianLoss,
    NaturalGaussianLoss,
    LogVarianceGaussianLoss,
)
LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in _NAMED}

__all__ = [
    "LOSSES",
    "BinaryLoss",
    "ConvexLoss",
    "GaussianLoss",
    "LogOddsLoss",
    "LogVarianceGaussianLoss",
    "Loss",
    "MultiLabelLoss",
    "NaturalGaussianLoss",
    "SoftBins",
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
    said = f"it must be one of {', '.join(sorted(LOSSES))}, or a Loss such as SoftBins(...) or ConvexLoss(fn)."
    if not isinstance(loss, str):
        raise TypeError(f"loss is a {type(loss).__name__}; {said}")
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}; {said}")
    return LOSSES[loss]()
