"""The model linear around W0 in a subspace: basis, features of all examples, curvature of each task, coordinates of W0.

f(W0 + R z, x) = f0(x) + Phi(x) z;  H_k in the subspace;  R'W0, the pull of weight decay.
Its head is the same in the subspace of the first columns: features and curvature are cut, not computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .bases import Basis
from .examples import Examples
from .features import Features, blocks_of, chosen_mode, features
from .folder import Folder
from .losses import Loss
from .network import Network
from .solver import curvatures

#: Bytes of features up to which they are stored in float64.
DOUBLE = 2**30


@dataclass(frozen=True, eq=False)
class LinearModel:
    """What all masks are solved and measured in.

    Attributes
    ----------
    R : Basis (p, d)
    train : Features
    targets : dict of str to Features
    H : Tensor (K, d, d), float64
    pull : Tensor (d,), float64
        R'W0.
    notes : dict
        How features were computed, JSON-able.
    """

    R: Basis
    train: Features
    targets: dict[str, Features]
    H: Tensor
    pull: Tensor
    notes: dict[str, Any]

    def head(self, dim: int) -> LinearModel:
        """Return the model in the subspace of the first columns."""
        if dim >= self.R.dim:
            return self
        targets = {name: one.head(dim) for name, one in self.targets.items()}
        H = self.H[:, :dim, :dim].contiguous()
        return LinearModel(self.R.head(dim), self.train.head(dim), targets, H, self.pull[:dim], self.notes)


def linear_model(
    network: Network,
    train: Examples,
    tests: Mapping[str, Examples],
    loss: Loss,
    make: Callable[[], Basis],
    *,
    mode: str = "auto",
    dtype: torch.dtype | None = None,
    storage: torch.dtype | None = None,
    folder: Folder | None = None,
    data: Mapping[str, str] | None = None,
) -> LinearModel:
    """Build the linear model, from a folder as far as it is there.

    Parameters
    ----------
    network, train, tests, loss
    make : callable
        Finds the basis.
    mode : {"auto", "forward", "reverse"}
    dtype : torch.dtype, optional
        What features are stored in; default: float64 up to 1 GiB, then float32.
    storage : torch.dtype, optional
        What a basis from the folder is kept in.
    folder : Folder, optional
    data : mapping, optional
        Digests of the examples, by "tasks" and "targets.NAME", for the folder.
    """
    R = make() if folder is None else folder.basis(make, storage, network.device)
    if dtype is None:
        size = 8 * R.dim * sum(e.offset.numel() for e in (train, *tests.values()))
        dtype = torch.float64 if size <= DOUBLE else torch.float32

    way = chosen_mode(network, R, train.offset.shape[1], mode)

    def of(name: str, examples: Examples) -> Features:
        if folder is None:
            return features(network, examples, R, dtype, mode=way)
        blocks = blocks_of(network, R, examples.offset.shape[1], way)
        shape = (examples.n, examples.offset.shape[1], R.dim)
        part = folder.part(name, {"examples": (data or {}).get(name)}, shape, dtype, len(examples.batches), blocks)
        return features(network, examples, R, dtype, mode=way, part=part)

    found = of("tasks", train)
    targets = {name: of(f"targets.{name}", examples) for name, examples in tests.items()}
    notes = {
        "mode": way,
        "mode_from": "stated" if mode != "auto" else "operations counted per example",
        "way": network.ways["push" if way == "forward" else "rows"],
        "computed_in": str(network.W0.dtype).removeprefix("torch."),
        "stored_in": str(dtype).removeprefix("torch."),
        "smaller_tiles": sum(chunk.halved for chunk in network._chunks.values()),
        "basis_bytes": R.bytes,
        "on_disk": folder is not None,
    }
    return LinearModel(R, found, targets, curvatures(found, loss), (R.T @ network.W0).double(), notes)


def dtype_of(argument: str, name: str | None) -> torch.dtype | None:
    """Precision of that name; features are stored in full precision, a basis in half precision too."""
    allowed = ("float32", "float64") if argument == "features_dtype" else ("float32", "float64", "bfloat16", "float16")
    if name is None:
        return None
    if str(name).removeprefix("torch.") not in allowed:
        raise ValueError(f"{argument} is {name!r}; it must be one of {', '.join(allowed)}.")
    return getattr(torch, str(name).removeprefix("torch."))
