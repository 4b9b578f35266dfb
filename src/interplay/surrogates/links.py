"""Links: the unit in which a target is close to additive.

identity  z = y          log  z = log y (targets that are positive everywhere)

Predictions come back in the unit of the target as the mean of the lognormal distribution, E y = exp(mu + v / 2)
(design: section 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LINKS = ("identity", "log")


def forward(y: Array, link: str) -> Array:
    """From the target's own unit to the unit of the link."""
    return np.log(y) if link == "log" else y


def backward(mean: Array, variance: Array, link: str) -> Array:
    """Mean in the target's own unit from the Gaussian mean and variance in the unit of the link."""
    return np.exp(np.minimum(mean + 0.5 * variance, 700.0)) if link == "log" else mean


def backward_deviation(mean: Array, variance: Array, link: str) -> Array:
    """Standard deviation in the target's own unit."""
    if link == "log":
        return backward(mean, variance, link) * np.sqrt(np.expm1(np.minimum(variance, 700.0)))
    return np.sqrt(variance)
