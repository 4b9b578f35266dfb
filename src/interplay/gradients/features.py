"""Per-example features Phi(x) = J0(x) R, the Jacobian of the logits in a subspace of the parameters.

f(W0 + R z, x) ~ f0(x) + Phi(x) z, with Phi (n, C, d) by forward-mode products: the Jacobian is never formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .examples import Examples
from .network import Network


@dataclass(frozen=True, eq=False)
class Features:
    """What the linear model needs of a set of examples.

    Attributes
    ----------
    phi : Tensor (n, C, d), float64
    offset : Tensor (n, C), float64
    labels : Tensor (n, ...)
    weights : Tensor (n,), float64
    task : Tensor (n,), int64
    counts : Tensor (K,), float64
        Sum of the weights of each task's examples: their number where no weights are given.
    """

    phi: Tensor
    offset: Tensor
    labels: Tensor
    weights: Tensor
    task: Tensor
    counts: Tensor

    @property
    def flat(self) -> Tensor:
        """Features with one row per logit, shape (n C, d)."""
        return self.phi.reshape(-1, self.phi.shape[-1])

    def logits(self, z: Tensor) -> Tensor:
        """Logits of the linear model, shape (m, n, C), for displacements z (m, d)."""
        return self.offset + (z.to(self.phi.dtype) @ self.flat.T).reshape(len(z), *self.offset.shape)


def features(network: Network, examples: Examples, R: Tensor, dtype: torch.dtype = torch.float64) -> Features:
    """Features of the examples in the subspace R (p, d).

    Parameters
    ----------
    network : Network
    examples : Examples
    R : Tensor (p, d)
    dtype : torch.dtype
        What Phi is stored in; products are computed in the model's own precision.

    Returns
    -------
    Features
    """
    n, classes = examples.offset.shape
    phi = torch.empty(n, classes, R.shape[1], dtype=dtype, device=R.device)
    with torch.no_grad():
        for x, rows in examples.slices():
            phi[rows] = network.push(x, R).permute(1, 2, 0).to(dtype)
    return Features(phi, examples.offset, examples.labels, examples.weights, examples.task, examples.counts)
