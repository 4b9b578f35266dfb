"""What the columns of a design are, and the features in which a surrogate sees them.

Masks (0/1) and weights are seen as they are; mixtures (rows that sum to one) through log(w + 1e-3), since their
losses are close to linear in the logarithm of a weight (design: section 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kinds import SIMPLEX_TOLERANCE

Array = NDArray[np.float64]
FLOOR = 1e-3


def kind_of(X: Array) -> str:
    """Say 'mask', 'mixture', 'weights' or 'coefficients' from the numbers alone."""
    if np.isin(X, (0.0, 1.0)).all():
        return "mask"
    if X.min() < 0:
        return "coefficients"
    if X.shape[1] > 1 and np.abs(X.sum(axis=1) - 1.0).max() <= SIMPLEX_TOLERANCE:
        return "mixture"
    return "weights"


def transform(X: Array, name: str) -> Array:
    """Features of rows X (n, K): 'raw' or 'log'."""
    return np.log(np.maximum(X, 0.0) + FLOOR) if name == "log" else X
