"""What the columns of a design are, and the features in which a surrogate sees them.

Masks (0/1) and weights are seen as they are. Losses of mixtures are often close to linear in the logarithm of a weight
while it is small, so they are seen through maps that spread small weights: log(w + 1e-3), sqrt(w), or logarithm and
root side by side (design: section 3). Others are linear in the shares themselves: what is fitted to mixtures chooses
between both, since a link would bend such a loss back and show it as pairs that do not exist.

One member of the stack sees masks of differing sizes as what they are to a training, a composition and an amount:
'sized' is x / sqrt(|x|) beside `AMOUNT` log |x|, with |x| the number of tasks in the mask. One task more is then a long
way from a single one, and a short way from all; on the columns themselves both are as far. Two features of a task that
is in differ only by the sizes, so that averages over sets of one size keep a closed form (`readings.nodes`).
Held-out error over the spread of the runs, digits problems 10 and 11 (20 sources, 11 losses, no benchmark's): .526 ->
.497 with 40 runs on random halves, .389 -> .369 and .336 -> .318 with 100; with 80 runs of all sizes, of masks that
hold 9 to 15 sources .195 -> .153. Powers from 1/4 to 3/4 and amounts from .1 to 1 in its place were as good; the
logarithm alone gains half as much. The columns themselves stay beside it: games of pairs, which no size bends, lose up
to 3 % of the error with 40 runs where it is added, up to 9 % where it takes their place, and nothing with 100.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kinds import SIMPLEX_TOLERANCE

Array = NDArray[np.float64]
FLOOR = 1e-3
ROOT = 16.0  # scale of the root beside the logarithm: both then vary about alike over Dirichlet mixtures
AMOUNT = 0.3  # scale of the logarithm of a size beside the tasks, of which each is at most 1
MOST_SIZED = 32  # tasks, above which averages over sets of every size take too long
SIZED = "sized"


def unit(size: ArrayLike) -> Array:
    """What a task that is in counts in a mask of some size; the empty mask is taken for one of a single task."""
    return 1.0 / np.sqrt(np.maximum(size, 1.0))


def amount(size: ArrayLike) -> Array:
    """The feature of a mask's size beside those of its tasks."""
    return AMOUNT * np.log(np.maximum(size, 1.0))


def _sized(X: Array) -> Array:
    size = X.sum(axis=1, keepdims=True)
    return np.hstack([X * unit(size), amount(size)])


MAPS = {
    "raw": lambda X: X,
    "log": lambda X: np.log(np.maximum(X, 0.0) + FLOOR),
    "sqrt": lambda X: np.sqrt(np.maximum(X, 0.0)),
    "both": lambda X: np.hstack([MAPS["log"](X), ROOT * MAPS["sqrt"](X)]),
    SIZED: _sized,
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


def sizes_tell(X: Array) -> bool:
    """Whether rows X (m, K) are masks whose sizes differ, of few enough tasks to be seen as 'sized' too."""
    return 1 < X.shape[1] <= MOST_SIZED and kind_of(X) == "mask" and np.ptp(X.sum(axis=1)) > 0


def transform(X: Array, name: str) -> Array:
    """Features (n, D) of rows X (n, K); ``name`` is among `MAPS`."""
    return MAPS[name](X)


def derivative(X: NDArray, name: str, least: float = 1e-8) -> Array:
    """Derivatives (n, D) of the features of rows X (n, K), each in its own weight.

    That of a root is infinite at 0 and is taken at ``least`` there. 'sized' has no such form: see `jacobian`.
    """
    if name == SIZED:
        raise ValueError("features='sized': each depends on all weights.")
    inside = np.maximum(X, 0.0)
    if name == "raw":
        return np.ones_like(X)
    if name == "sqrt":
        return 0.5 / np.sqrt(np.maximum(inside, least))
    if name == "both":
        return np.hstack([derivative(X, "log"), ROOT * derivative(X, "sqrt", least)])
    return 1.0 / (inside + FLOOR)


def jacobian(x: Array, name: str) -> Array:
    """Derivatives (D, K) of all features of one row x (K,) in all weights."""
    if name != SIZED:
        slopes = derivative(x[None], name)[0].reshape(-1, len(x))
        return np.vstack([np.diag(row) for row in slopes])
    size = x.sum()
    bent = np.zeros_like(x) if size <= 1.0 else -0.5 * x * unit(size) / size
    more = 0.0 if size <= 1.0 else AMOUNT / size
    return np.vstack([unit(size) * np.eye(len(x)) + bent[:, None], np.full(len(x), more)])
