"""Per-example Jacobian features, subspaces and the all-masks solver (needs the torch extra)."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:  # pragma: no cover - exercised by a test that hides torch
    raise ImportError(
        "interplay.gradients and the Linearized evaluator need torch, which is not installed: "
        "pip install 'interplay[torch]'"
    ) from error

from .bases import Basis
from .dimensions import Curve
from .examples import Examples
from .features import Features, features
from .linear_model import LinearModel, linear_model
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
from .subspaces import SUBSPACES, basis, subspace

__all__ = [
    "LOSSES",
    "SUBSPACES",
    "Basis",
    "BinaryLoss",
    "Curve",
    "ConvexLoss",
    "Examples",
    "Features",
    "LinearModel",
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
    "basis",
    "curvatures",
    "features",
    "linear_model",
    "loss_named",
    "solve",
    "subspace",
]
