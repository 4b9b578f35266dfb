"""Results on disk: JSON for words and names, and npz for arrays in the file of the same name; never a pickle.

The JSON states what it is, the version that wrote it, and a checksum of the arrays, so that two files which do not
belong together, or of which one was cut short, are an error and never a wrong number.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..fields import EvaluationsError

__all__ = ["place", "read", "write", "written_whole"]

_KINDS = {
    "attribution": "an attribution",
    "predictor": "a saved fit",
    "selection": "a choice",
    "surrogate": "a saved surrogate",
}


def place(path: Path) -> Path:
    """The path with the suffix .json."""
    return path if path.suffix == ".json" else path.with_name(path.name + ".json")


def write(path: Path, kind: str, version: int, words: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
    """Write both files, each whole or not at all; returns the path of the JSON."""
    path = place(path)
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)  # pyright: ignore[reportArgumentType]
    head = {"interplay": kind, "version": version, "arrays": hashlib.sha256(held.getvalue()).hexdigest()}
    text = json.dumps({**head, **words}, indent=1, ensure_ascii=False) + "\n"
    written_whole(path.with_suffix(".npz"), lambda partial: partial.write_bytes(held.getvalue()))
    written_whole(path, lambda partial: partial.write_bytes(text.encode()))
    return path


def written_whole(out: Path, write: Callable[[Path], object]) -> None:
    """Write beside the place first, then move there."""
    partial = out.with_name(out.name + ".partial")
    try:
        write(partial)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, kind: str, version: int, remedy: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write` wrote.

    Raises
    ------
    EvaluationsError
        If the file is something else, was written by a later version, or does not belong to its arrays.
    """
    path = place(path)
    if not path.exists():
        raise EvaluationsError(f"{path}: there is no such file; {remedy}")
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationsError(f"{path}: not {_KINDS[kind]} ({error}); {remedy}") from None
    found = words.pop("interplay", None) if isinstance(words, dict) else None
    if found != kind:
        held = f", it is {_KINDS[found]}" if found in _KINDS else ""
        raise EvaluationsError(f"{path}: not {_KINDS[kind]}{held}; {remedy}")
    if not isinstance(written := words.pop("version", None), int) or written > version:
        raise EvaluationsError(f"{path}: version {written} of {_KINDS[kind]}, and this reads up to {version}. Upgrade.")
    beside = path.with_suffix(".npz")
    if not beside.exists():
        raise EvaluationsError(f"{path}: its arrays, {beside.name}, are not beside it; keep both files together.")
    content = beside.read_bytes()
    if words.pop("arrays", None) != hashlib.sha256(content).hexdigest():
        raise EvaluationsError(f"{beside}: not the arrays of {path.name}, or damaged; {remedy}")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return words, dict(file)
