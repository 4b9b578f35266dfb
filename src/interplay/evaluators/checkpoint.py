"""Weights W0 from a file, without running anything that the file holds.

A checkpoint may be a pickle, and unpickling runs code of whoever wrote it. Only tensors in plain containers are read,
from files of `torch.save` (``weights_only=True``) or safetensors.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..gradients.network import Tensor, torch  # torch by way of our room, which says how to install it

__all__ = ["load_state"]

_INSIDE = ("state_dict", "model_state_dict", "model", "module")


def load_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a state dict (name -> tensor, on the CPU).

    Parameters
    ----------
    path : path
        Written by ``torch.save(model.state_dict(), path)`` or as safetensors; the state may lie one level down, under
        ``"state_dict"``, ``"model_state_dict"``, ``"model"`` or ``"module"``.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the file holds more than tensors in plain containers, as a pickled model does, or no state dict.
    ImportError
        If it is a safetensors file and that package is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; it must be a file of torch.save or safetensors.")
    content = _safetensors(path) if _is_safetensors(path) else _torch(path)
    for inside in (content, *(content.get(key) for key in _INSIDE if isinstance(content, Mapping))):
        if isinstance(inside, Mapping) and inside and all(isinstance(v, Tensor) for v in inside.values()):
            return {str(name): tensor for name, tensor in inside.items()}
    held = (
        f"the keys {', '.join(map(str, list(content)[:6]))}"
        if isinstance(content, Mapping)
        else f"a {type(content).__name__}"
    )
    raise ValueError(
        f"{path} holds no state dict (names to tensors) but {held}; write torch.save(model.state_dict(), path)."
    )


def _torch(path: Path) -> Any:
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        reason = next((f" {line.strip()}" for line in str(error).splitlines() if "global" in line.lower()), "")
        raise ValueError(
            f"{path} is refused: it holds more than tensors (a whole model or other Python objects), and reading those "
            f"would run code that the file brings along.{reason} Where it was made, write the weights alone: "
            "torch.save(model.state_dict(), path)."
        ) from None
    except Exception as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({first}); write one with torch.save(model.state_dict(), path)."
        ) from None


def _is_safetensors(path: Path) -> bool:
    """A safetensors file begins with the length of its header (8 bytes) and the header, a JSON object."""
    with open(path, "rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise ImportError(f"{path} is a safetensors file; pip install safetensors to read it.") from None
    try:
        return load_file(path, device="cpu")
    except Exception as error:
        raise ValueError(f"{path} cannot be read as safetensors ({error}).") from None
