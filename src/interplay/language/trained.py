"""Parameters at the end of a training, kept in one safetensors file: numbers and names, nothing that is run."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .loading import needed

__all__ = ["Trained"]

#: Entry of the file's header that says what the tensors are.
ENTRY = "interplay"


@dataclass(frozen=True, eq=False)
class Trained:
    """Parameters at the end of a training.

    Attributes
    ----------
    W : Tensor (p,)
    names, shapes : tuple
        Of the parameters, in the order of W.
    mask : tuple of float (K,)
    seed : int
    """

    W: Tensor
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    mask: tuple[float, ...]
    seed: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with one tensor for each parameter, under its name.

        Raises
        ------
        ValueError
            If the name does not end in ``.safetensors``.
        """
        needed("safetensors", "Trained.save")
        from safetensors.torch import save_file

        about = json.dumps({"names": self.names, "mask": self.mask, "seed": self.seed})
        parts = self.W.split([_size(shape) for shape in self.shapes])
        tensors = {n: part.view(s).clone() for n, s, part in zip(self.names, self.shapes, parts, strict=True)}
        save_file(tensors, _checked(path), metadata={ENTRY: about})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trained:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is none that `save` wrote.
        """
        needed("safetensors", "Trained.load")
        from safetensors import SafetensorError, safe_open

        place = _checked(path)
        if not place.is_file():
            raise FileNotFoundError(f"path is {str(path)!r}, and there is no such file; Trained.save writes one.")
        try:
            with safe_open(place, "pt") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {})[ENTRY])
                tensors = [file.get_tensor(name) for name in about["names"]]
            return cls(
                torch.cat([tensor.reshape(-1) for tensor in tensors]),
                tuple(about["names"]),
                tuple(tuple(tensor.shape) for tensor in tensors),
                tuple(map(float, about["mask"])),
                int(about["seed"]),
            )
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"path: {place.name} is no file that Trained.save wrote ({type(error).__name__}: {error}); save the "
                "training again."
            ) from error

    def differs(self, names: tuple[str, ...], shapes: tuple[tuple[int, ...], ...]) -> str | None:
        """Say in which parameter this differs from a model with these trained ones; None if in none."""
        if len(self.names) != len(names) or set(self.names) != set(names):
            other = next((n for n in (*self.names, *names) if (n in self.names) != (n in names)), "")
            here = "is trained here and not there" if other in self.names else "is trained there and not here"
            return f"{len(self.names)} parameters, not {len(names)} ({other} {here})"
        for name, wanted in zip(names, shapes, strict=True):
            own = self.shapes[self.names.index(name)]
            if tuple(own) != tuple(wanted):
                return f"{name} of shape {tuple(own)}, not {tuple(wanted)}"
        return None

    def vector(self, names: tuple[str, ...]) -> Tensor:
        """Return the parameters in another order of their names, ``(p,)``."""
        parts = dict(zip(self.names, self.W.split([_size(shape) for shape in self.shapes]), strict=True))
        return torch.cat([parts[name] for name in names])


def _checked(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    if place.suffix != ".safetensors":
        raise ValueError(f"path is {place.name!r}; trained parameters are kept as safetensors: end it in .safetensors.")
    return place


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
