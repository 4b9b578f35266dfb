"""Short digests of data and weights: equal content, equal digest, in every process and on every machine.

What has no content of its own to compare (open files, generators, locations on a disk) counts only by its type.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

__all__ = ["UNKNOWN", "described", "digest", "flat"]

#: Stands for a value whose content cannot be told.
UNKNOWN = object()
#: Longest JSON that is shown as it is; longer values are shown as their digest.
SHORT = 200


def digest(*values: Any) -> str:
    """Return 16 hexadecimal digits that stand for numbers, strings, arrays, tensors, frames and containers of these.

    Examples
    --------
    >>> digest([1, 2.5, "a"]) == digest((1, 2.5, "a")), digest(np.zeros(2)) == digest(np.zeros(3))
    (True, False)
    """
    hasher = hashlib.blake2b(digest_size=8)
    for value in values:
        _feed(hasher, value, set())
    return hasher.hexdigest()


def described(value: Any) -> Any:
    """Return a value as a person may read it in JSON: itself where it is short, else its digest, or `UNKNOWN`.

    Examples
    --------
    >>> described(0.03), described((64, 32)), described(np.zeros(3))
    (0.03, [64, 32], 'ndarray (3,) f4450d88dc80ac5e')
    """
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return UNKNOWN if os.path.isabs(value) else value if len(value) <= SHORT else f"str {digest(value)}"
    hasher = hashlib.blake2b(digest_size=8)
    if not _feed(hasher, value, set()):
        return UNKNOWN
    if isinstance(value, list | tuple | dict):
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            text = None
        if text is not None and len(text) <= SHORT:
            return json.loads(text)
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{'' if shape is None else f' {tuple(shape)}'} {hasher.hexdigest()}"


def flat(mapping: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a user's settings with dotted names, JSON-able.

    Raises
    ------
    ValueError
        If a value is none that JSON knows.

    Examples
    --------
    >>> flat({"lr": 0.03, "model": {"width": 64}}, "settings")
    {'settings.lr': 0.03, 'settings.model.width': 64}
    """
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{prefix} is {mapping!r}; pass a mapping of names to values, such as {{'lr': 0.03}}.")
    found: dict[str, Any] = {}
    for name, value in mapping.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            found |= flat(value, key)
            continue
        plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        try:
            found[key] = json.loads(json.dumps(plain, allow_nan=False))
        except (TypeError, ValueError):
            raise ValueError(
                f"{key} is {value!r}; settings are compared and stored, so they must be numbers, strings, lists or "
                "mappings of these."
            ) from None
    return found


def _feed(hasher: Any, value: Any, above: set[int]) -> bool:
    """Add a value to a hasher; return whether any of its content could be told."""

    def add(kind: str, content: bytes | np.ndarray = b"") -> bool:
        hasher.update(f"{kind}:{len(content)}:".encode())
        hasher.update(content)
        return True

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex):
        return add("number", repr(value).encode())
    if isinstance(value, str):
        if os.path.isabs(value):  # where something lies on this machine, not what it is
            add("path")
            return False
        return add("str", value.encode(errors="surrogatepass"))
    if isinstance(value, bytes | bytearray):
        return add("bytes", bytes(value))
    if isinstance(value, PurePath):
        return _feed(hasher, str(value), above)
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            return add(f"array{value.shape}") and _feed(hasher, value.ravel().tolist(), above)
        dtype = value.dtype.newbyteorder("<")
        return add(f"{dtype.str}{value.shape}", np.ascontiguousarray(value, dtype).reshape(-1).view(np.uint8))
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.layout == torch.strided:
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return add(f"{value.dtype}{tuple(value.shape)}", raw)
    if id(value) in above:
        return add("again")
    above = above | {id(value)}
    if torch is not None and isinstance(value, torch.nn.Module):
        return add(repr(value)) and _feed(hasher, dict(value.state_dict()), above)
    if hasattr(value, "columns") and hasattr(value, "iloc"):  # a data frame
        columns = [(str(name), value.iloc[:, i].to_numpy()) for i, name in enumerate(value.columns)]
        return _feed(hasher, columns, above)
    if isinstance(value, Mapping):
        add(f"mapping{len(value)}")
        known = [_feed(hasher, (k, value[k]), above) for k in sorted(value, key=lambda k: (type(k).__name__, str(k)))]
        return any(known) or not known
    if isinstance(value, set | frozenset):
        return add("set") and _feed(hasher, sorted(digest(v) for v in value), above)
    if isinstance(value, list | tuple):
        add(f"sequence{len(value)}")
        known = [_feed(hasher, v, above) for v in value]
        return any(known) or not known
    add(type(value).__qualname__)
    return False
