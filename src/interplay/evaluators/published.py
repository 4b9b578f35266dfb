"""The gradient estimator as its authors describe it, version (c): random projection, one mask at a time.

zhat(s) = argmin_w  mean_{i in s} loss(f0_i + J0_i P w, y_i) + lambda |w|^2,   P (p, d) random / sqrt(d)

Source: the method's released code (its version closest to the theory, arXiv 2602.03783), with analytic gradients
and L-BFGS from w = 0 in place of finite differences and 40 iterations, and the best lambda of a grid on the
retrained masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from ..gradients import Basis, Examples, basis
from ..gradients.subspaces import RANDOM
from .linearized import Linearized
from .settings import check_choice

if TYPE_CHECKING:
    from ..evaluations import Evaluations

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


class PublishedLinearized(Linearized):
    """Version (c) of the published estimator, to compare `Linearized` with.

    Parameters
    ----------
    model, loaders, targets
        As in `Linearized`.
    dim : int
        Columns of the projection.
    projection : {"gaussian", "rademacher", "sparse"}
    grid : sequence of float
        Values of lambda; the one with the smallest mean error on the retrained masks is kept.
    retrained : Evaluations, optional
        Without it lambda is the grid's middle value.
    steps : int
        Most L-BFGS iterations per mask.
    options
        ``loss``, ``metric``, ``higher_is_better``, ``parameters``, ``rng``, ``memory``, ``device`` of
        `Linearized`.

    Attributes
    ----------
    lam : float
        The lambda in use.
    """

    def __init__(
        self,
        model: nn.Module,
        loaders: Mapping[str, Any] | Sequence[Any],
        targets: Mapping[str, Any] | Sequence[Any],
        *,
        dim: int = 512,
        projection: str = "gaussian",
        grid: Sequence[float] = GRID,
        retrained: Evaluations | None = None,
        steps: int = 200,
        **options: Any,
    ):
        check_choice("projection", projection, RANDOM)
        if not len(grid) or any(not lam > 0 for lam in grid):
            raise ValueError(f"grid is {grid!r}; it needs at least one lambda, each above 0.")
        refused = {"weight_decay", "mu", "training", "normalise", "subspace"} & set(options)
        if refused:
            raise ValueError(
                f"{', '.join(sorted(refused))}: the published estimator has no such term; use Linearized(...)."
            )
        self._gram: Tensor | None = None
        self.grid, self.lam = tuple(float(lam) for lam in grid), float(grid[len(grid) // 2])
        super().__init__(
            model,
            loaders,
            targets,
            dim=dim,
            subspace=projection,
            normalise="selected",
            retrained=retrained,
            steps=steps,
            **options,
        )

    def _basis(self, train: Examples, dim: int, rng: np.random.Generator) -> Basis:
        return basis(self.subspace, self.network, train, self._loss, dim, rng, orthonormal=False)

    def _choose_mu(self, truth: tuple[np.ndarray, np.ndarray]) -> None:
        """Keep the lambda whose estimates of the retrained masks have the smallest mean relative error."""
        masks, values = truth
        errors = []
        for lam in self.grid:
            self.lam = lam
            estimate = self.measure(self._solve(torch.from_numpy(masks).to(self.network.device)).cpu().numpy())
            errors.append(float(np.nanmean(np.nanmean(np.abs(estimate - values), 0) / np.nanmean(np.abs(values), 0))))
        self.lam = self.grid[int(np.argmin(errors))]
        self._mu_from = f"{len(masks)} retrained masks"
        self._gradient_left, self._steps_taken = 0.0, 0

    def _solve(self, masks: Tensor, mu: float | None = None) -> Tensor:
        """Solve each mask by itself, with its selected examples only."""
        return torch.stack([self._solve_one(mask) for mask in masks.double()])

    def _solve_one(self, mask: Tensor) -> Tensor:
        train, d = self._train, self.dim
        weight = mask[train.task] * train.weights
        chosen = weight.nonzero()[:, 0]
        if not len(chosen):
            return torch.zeros(d, dtype=torch.float64, device=mask.device)
        phi, f0, labels = train.phi[chosen].double(), train.offset[chosen], train.labels[chosen]
        flat, share = phi.reshape(-1, d), weight[chosen] / weight.sum()

        def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
            v = torch.from_numpy(w).to(mask.device)
            value, residual = self._loss.value_and_residual(f0 + (flat @ v).reshape(f0.shape), labels)
            gradient = (share[:, None] * residual).reshape(-1) @ flat + 2 * self.lam * v
            return float(share @ value + self.lam * v @ v), gradient.cpu().numpy()

        found = minimize(
            objective,
            np.zeros(d),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.steps, "ftol": 1e-9, "gtol": 1e-6},
        )
        self._steps_taken = max(self._steps_taken, int(found.nit))
        return torch.from_numpy(found.x).to(mask.device)

    def _moved(self, z: Tensor) -> Tensor:
        if self._gram is None:
            self._gram = self.R.gram()
        return (z * (z @ self._gram)).sum(1).clamp_min(0).sqrt()

    def _description(self) -> dict[str, Any]:
        return {**super()._description(), "method": "published (c)", "mu": None, "lambda": self.lam}
