"""How masks, values and their identity are kept in a row: bytes, so that a million rows are read in seconds.

mask    0/1: a zero byte, then K bits, eight to a byte; other weights: a one byte, then K float64
values  T float64
key     16 bytes of BLAKE2b over mask and seed: one row for each (mask, seed) of a problem
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

__all__ = ["keys_of", "masks_from", "masks_to", "plain_text", "values_from", "values_to"]

_BITS, _FLOATS = b"\x00", b"\x01"


def masks_to(masks: np.ndarray) -> list[bytes]:
    """Encode masks or weights (n, K)."""
    masks = np.asarray(masks, "<f8") + 0.0  # -0 is 0
    binary = ((masks == 0) | (masks == 1)).all(axis=1)
    packed = np.packbits(masks == 1, axis=1)
    return [
        _BITS + packed[i].tobytes() if bits else _FLOATS + masks[i].tobytes() for i, bits in enumerate(binary.tolist())
    ]


def masks_from(encoded: Sequence[bytes], K: int) -> np.ndarray:
    """Decode masks (n, K)."""
    masks = np.empty((len(encoded), K))
    joined = b"".join(encoded)
    if len(joined) == len(encoded) * (width := 1 + -(-K // 8)):  # all of them bits
        return np.unpackbits(np.frombuffer(joined, np.uint8).reshape(-1, width)[:, 1:], axis=1, count=K).astype(float)
    binary = np.fromiter((e[:1] == _BITS for e in encoded), bool, len(encoded))
    for bits in (True, False):
        rows = np.flatnonzero(binary == bits)
        if len(rows):
            joined = b"".join(bytes(encoded[i][1:]) for i in rows.tolist())
            if bits:
                packed = np.frombuffer(joined, np.uint8).reshape(len(rows), -1)
                masks[rows] = np.unpackbits(packed, axis=1, count=K)
            else:
                masks[rows] = np.frombuffer(joined, "<f8").reshape(len(rows), K)
    return masks


def keys_of(encoded: Sequence[bytes], seeds: np.ndarray) -> list[bytes]:
    """Return the identity of each (mask, seed)."""
    marks = [seed.tobytes() for seed in np.asarray(seeds, "<i8")]
    return [blake2b(mark + mask, digest_size=16).digest() for mask, mark in zip(encoded, marks, strict=True)]


def plain_text(text: str) -> str:
    """Return a text without what databases refuse: lone surrogates and NUL become the replacement character."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def values_to(values: np.ndarray) -> bytes:
    """Encode the values (T,) of one row."""
    return np.asarray(values, "<f8").tobytes()


def values_from(encoded: Sequence[bytes], T: int) -> np.ndarray:
    """Decode values (n, T)."""
    return np.frombuffer(b"".join(map(bytes, encoded)), "<f8").reshape(len(encoded), T)
