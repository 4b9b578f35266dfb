"""What the gradient estimator prepares once: a subspace, features in it, curvature, and as many dimensions as it needs.

The subspace is found and the features are computed at one dimension; smaller ones are the first columns of it.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..gradients import Basis, Curve, Examples, LinearModel, Loss, Network, basis, linear_model
from ..gradients.dimensions import choose_dim, probing_masks, sizes
from ..gradients.folder import Folder
from ..gradients.network import Tensor, torch
from .code import digest_of_model
from .digests import digest


class Prepared(ABC):
    """The part of `Linearized` that builds its linear model."""

    tasks: tuple[str, ...]
    subspace: str
    weight_decay: float
    mu: float
    network: Network
    curve: Curve | None
    _loss: Loss
    _mode: str
    _dtypes: tuple[torch.dtype | None, torch.dtype | None]
    _dim_tolerance: float
    _rng: str
    _data: dict[str, str]
    _truth: tuple[np.ndarray, np.ndarray] | None
    _warnings: list[str]

    @abstractmethod
    def measure(self, z: np.ndarray) -> np.ndarray:
        """Measure the linear model at displacements z (b, d): shape (b, T)."""

    @abstractmethod
    def _solve(self, masks: Tensor, mu: float | None = None) -> Tensor:
        """Solve masks (b, K) for their displacements (b, d)."""

    def _prepare(
        self,
        train: Examples,
        tests: Mapping[str, Examples],
        dim: int | str | None,
        rng: np.random.Generator,
        path: str | os.PathLike[str] | None,
    ) -> None:
        """Find the subspace, the features in it and the curvature of each task."""
        default = 64 + 2 * len(self.tasks)
        if isinstance(dim, str):
            d = 4 * default if 4 * default < self.network.size else min(default, self.network.size)
        else:
            d = default if dim is None else dim
        dtype, storage = self._dtypes
        folder = None if path is None else Folder(path, self._made_of(d))
        make = lambda: self._basis(train, d, rng)
        options = {"mode": self._mode, "dtype": dtype, "storage": storage, "folder": folder, "data": self._data}
        self._size = max(float(self.network.W0.double().norm()), 1e-30)
        found = linear_model(self.network, train, tests, self._loss, make, **options)
        self._use(found)
        if isinstance(dim, str):
            self._choose_dim(found)

    def _basis(self, train: Examples, dim: int, rng: np.random.Generator) -> Basis:
        ridge = self.weight_decay + self.mu
        storage = self._dtypes[1]
        return basis(self.subspace, self.network, train, self._loss, dim, rng, ridge=ridge, storage=storage)

    def _made_of(self, dim: int) -> dict[str, Any]:
        """Return all that changes a feature besides the examples of the targets, JSON-able."""
        return {
            "model": digest_of_model(self.network.model),
            "parameters": digest(self.network.names),
            "W0": digest(self.network.W0, self.network.fixed),
            "tasks": self._data["tasks"],
            "loss": [self._loss.name, self._loss.facts()],
            "subspace": [type(self).__name__, self.subspace, dim, self.weight_decay + self.mu],
            "rng": self._rng,
            "basis_dtype": str(self._dtypes[1]),
        }

    def _use(self, model: LinearModel) -> None:
        self.R, self._train, self._targets = model.R, model.train, model.targets
        self._H, self._pull, self._features_notes = model.H, model.pull, model.notes

    def _choose_dim(self, whole: LinearModel) -> None:
        """Keep as many of the first columns as the estimates of a few masks need: see `Curve`."""
        masks = probing_masks(len(self.tasks), np.random.default_rng(0)) if self._truth is None else self._truth[0]

        def estimate(d: int) -> np.ndarray:
            self._use(whole.head(d))
            return self.measure(self._solve(torch.from_numpy(masks).to(self._train.offset.device)).cpu().numpy())

        truth = None if self._truth is None else self._truth[1]
        self.curve = choose_dim(sizes(whole.R.dim), estimate, self._dim_tolerance, truth)
        self._use(whole.head(self.curve.chosen))
        self._gradient_left, self._steps_taken = 0.0, 0
        if not self.curve.settled:
            self._warnings.append(
                f"the estimates still change with the dimension at {self.curve.chosen}, the largest that was tried "
                f"(by {self.curve.last:.0%} of their spread in the last step): pass a larger dim, or state "
                "weight_decay or training if masks have no optimum."
            )
