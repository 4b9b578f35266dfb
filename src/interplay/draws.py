"""Drawing distinct masks, exactly: successive sampling without replacement.

Where n masks can be listed (n <= 2^16), the m largest of log P(s) + Gumbel noise are such a sample (Yellott 1977).
Beyond that, masks are drawn with replacement and duplicates left out, which has the same distribution.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

log = logging.getLogger(__name__)

#: All 2^n masks of up to this many tasks are listed.
LISTED = 16
#: Rows drawn at most before it is said that no more were found.
DRAWS = 4_000_000


def sizes_of(K: int, m: int) -> tuple[int, int]:
    """Check the numbers of tasks and of masks."""
    for name, value, least in (("K", K, 1), ("m", m, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name} is {value!r}; give a whole number.")
        if value < least:
            raise ValueError(f"{name} is {value}; give at least {least}.")
    return int(K), int(m)


def generator(rng: np.random.Generator) -> np.random.Generator:
    """Check that randomness comes from a generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {rng!r}; pass a numpy Generator such as np.random.default_rng(0).")
    return rng


def subsets(n: int) -> np.ndarray:
    """List all masks of n tasks in binary order, the first task being the highest bit: (2^n, n) uint8."""
    return ((np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1).astype(np.uint8)


def excluded(exclude: ArrayLike | None, K: int) -> np.ndarray:
    """Read masks that must not be drawn: (n, K) uint8."""
    if exclude is None:
        return np.zeros((0, K), dtype=np.uint8)
    out = np.atleast_2d(np.asarray(exclude, dtype=float))
    if out.size == 0:
        return np.zeros((0, K), dtype=np.uint8)
    if out.ndim != 2 or out.shape[1] != K or not np.isin(out, (0, 1)).all():
        raise ValueError(f"exclude has shape {out.shape}; give masks of 0 and 1 with shape (n, {K}).")
    return out.astype(np.uint8)


def keys_of(masks: np.ndarray) -> set[bytes]:
    """Return the masks, packed to bits, as a set."""
    return {row.tobytes() for row in np.packbits(masks.astype(np.uint8), axis=1)}


def draw_listed(
    listed: np.ndarray,
    logp: np.ndarray,
    m: int,
    rng: np.random.Generator,
    taken: set[bytes],
    name: str,
    what: str = "masks",
) -> np.ndarray:
    """Draw m of the listed masks without replacement, with probabilities proportional to exp(logp)."""
    if taken:
        keep = np.array([row.tobytes() not in taken for row in np.packbits(listed, axis=1)])
        listed, logp = listed[keep], logp[keep]
    if len(listed) < m:
        say_fewer(len(listed), m, name, what, stacklevel=4)
    order = np.argsort(-(logp + rng.gumbel(size=len(listed))), kind="stable")
    return listed[order[:m]].astype(float)


def draw_distinct(
    draw: Callable[[int], np.ndarray],
    m: int,
    taken: set[bytes],
    name: str,
    *,
    mirrored: bool = False,
    what: str = "masks",
) -> np.ndarray:
    """Draw until m masks are distinct; with `mirrored`, a mask and its complement count as one."""
    taken, found, drawn = set(taken), [], 0
    while len(found) < m and drawn < DRAWS:
        masks = draw(min(max(2 * (m - len(found)), 256), 65536))
        drawn += len(masks)
        keys = [row.tobytes() for row in np.packbits(masks, axis=1)]
        partners = [row.tobytes() for row in np.packbits(1 - masks, axis=1)] if mirrored else keys
        for mask, key, partner in zip(masks, keys, partners, strict=True):
            if key not in taken and len(found) < m:
                found.append(mask)
                taken.update((key, partner))
    if len(found) < m:
        say_fewer(len(found), m, f"{name} after {drawn:,} draws", what, stacklevel=4)
    return np.array(found, dtype=float) if found else np.zeros((0, draw(1).shape[1]))


def say_fewer(found: int, asked: int, name: str, what: str = "masks", stacklevel: int = 3) -> None:
    """Log and warn that fewer distinct rows exist than were asked for."""
    message = f"{name}: only {found} distinct {what} to be had, {asked} were asked for; all {found} are returned."
    log.info(message)
    warnings.warn(message, UserWarning, stacklevel=stacklevel)
