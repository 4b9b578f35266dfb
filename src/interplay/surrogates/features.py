"""What the columns of a design are, and the features in which a surrogate sees them.

Masks (0/1) and weights are seen as they are. Losses of mixtures are often close to linear in the logarithm of a weight
while it is small, so they are seen through maps that spread small weights: log(w + 1e-3), log(w + 3e-3), sqrt(w), or
logarithm and root side by side (design: section 3). Others are linear in the shares themselves: what is fitted to
mixtures chooses between both, since a link would bend such a loss back and show it as pairs that do not exist.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kinds import SIMPLEX_TOLERANCE

Array = NDArray[np.float64]
FLOOR = 1e-3
ROOT = 16.0  # scale of the root beside the logarithm: both then vary about alike over Dirichlet mixtures
MAPS = {
    "raw": lambda X: X,
    "log": lambda X: np.log(np.maximum(X, 0.0) + FLOOR),
    "log3": lambda X: np.log(np.maximum(X, 0.0) + 3.0 * FLOOR),
    "sqrt": lambda X: np.sqrt(np.maximum(X, 0.0)),
    "both": lambda X: np.hstack([MAPS["log"](X), ROOT * MAPS["sqrt"](X)]),
}


def kind_of(X: Array) -> str:
    """Say 'mask', 'mixture', 'weights' or 'coefficients' from the numbers alone."""
    if np.isin(X, (0.0, 1.0)).all():
        return "mask"
    if X.min() < 0:
        return "coefficients"
    if X.shape[1] > 1 and np.abs(X.sum(axis=1) - 1.0).max() <= SIMPLEX_TOLERANCE:
        return "mixture"
    return "weights"


def choices(kind: str, features: str = "auto") -> tuple[str, ...]:
    """Maps that a fit chooses among for a kind of design, the usual one first; the one that was asked for."""
    if features != "auto":
        return (features,)
    return ("log", "raw") if kind == "mixture" else ("raw",)


def transform(X: Array, name: str) -> Array:
    """Features (n, D) of rows X (n, K); ``name`` is among `MAPS`."""
    return MAPS[name](X)


def derivative(X: NDArray, name: str, least: float = 1e-8) -> Array:
    """Derivatives (n, D) of the features of rows X (n, K), each in its own weight.

    That of a root is infinite at 0 and is taken at ``least`` there.
    """
    inside = np.maximum(X, 0.0)
    if name == "raw":
        return np.ones_like(X)
    if name == "sqrt":
        return 0.5 / np.sqrt(np.maximum(inside, least))
    if name == "both":
        return np.hstack([derivative(X, "log"), ROOT * derivative(X, "sqrt", least)])
    return 1.0 / (inside + (FLOOR if name == "log" else 3.0 * FLOOR))
