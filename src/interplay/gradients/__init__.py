"""Per-example Jacobian features, subspaces and the all-masks solver (needs the torch extra)."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by a test that hides torch
    raise ImportError(
        "interplay.gradients and the Linearized evaluator need torch, which is not installed: "
        "pip install 'interplay[torch]'"
    ) from error

from .examples import Examples
from .features import Features, features
from .losses import (
    LOSSES,
    BinaryLoss,
    ConvexLoss,
    GaussianLoss,
    LogOddsLoss,
    LogVarianceGaussianLoss,
    Loss,
    MultiLabelLoss,
    NaturalGaussianLoss,
    SoftBins,
    SoftLabelLoss,
    SoftmaxLoss,
    SquaredLoss,
    loss_named,
)
from .network import Network
from .solver import Solution, curvatures, solve
from .subspaces import SUBSPACES, subspace

__all__ = [
    "LOSSES",
    "SUBSPACES",
    "BinaryLoss",
    "ConvexLoss",
    "Examples",
    "Features",
    "GaussianLoss",
    "LogOddsLoss",
    "LogVarianceGaussianLoss",
    "Loss",
    "MultiLabelLoss",
    "NaturalGaussianLoss",
    "Network",
    "SoftBins",
    "SoftLabelLoss",
    "SoftmaxLoss",
    "Solution",
    "SquaredLoss",
    "curvatures",
    "features",
    "loss_named",
    "solve",
    "subspace",
]
