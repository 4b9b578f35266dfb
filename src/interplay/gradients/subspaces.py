"""Subspaces of the parameters in which the training of every mask is solved: W = W0 + R z, R (p, d).

data       : mean loss gradient of each task, W0, leading eigenvectors of the Gauss-Newton matrix
             G = sum_i J_i'(diag p_i - p_i p_i')J_i / N by randomised range finding (two power steps), orthonormal
gaussian   : entries N(0, 1)          rademacher : entries +-1
sparse     : entries 0 with probability 2/3, else +-sqrt(3)      (Achlioptas); all three divided by sqrt(d)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .examples import Examples
from .losses import Loss
from .network import Network

SUBSPACES = ("data", "gaussian", "rademacher", "sparse")


def subspace(
    kind: str,
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    orthonormal: bool = True,
) -> Tensor:
    """Basis R (p, d) of a subspace; the identity where d reaches the number of parameters.

    Parameters
    ----------
    kind : {"data", "gaussian", "rademacher", "sparse"}
    network, examples, loss
        The trained network and the examples of all tasks.
    dim : int
        Number of columns d; "data" never has fewer than one per task and one for W0, unless p is smaller.
    rng : numpy.random.Generator
    orthonormal : bool
        Orthonormalise a random sketch (the span stays; |R z| = |z|). "data" always is.
    """
    if kind not in SUBSPACES:
        raise ValueError(f"subspace is {kind!r}; it must be one of {', '.join(SUBSPACES)}.")
    if int(dim) != dim or dim < 1:
        raise ValueError(f"dim is {dim!r}; it must be a whole number of at least 1.")
    if kind == "data":
        if dim >= network.size:
            return torch.eye(network.size, dtype=network.W0.dtype, device=network.W0.device)
        return data_subspace(network, examples, loss, int(dim), rng)
    R = sketch(kind, network.size, int(dim), rng).to(network.W0)
    if not orthonormal:
        return R
    if dim >= network.size:
        return torch.eye(network.size, dtype=network.W0.dtype, device=network.W0.device)
    return torch.linalg.qr(R)[0]


def sketch(kind: str, p: int, d: int, rng: np.random.Generator) -> Tensor:
    """Random projection (p, d) with E[R'R] = (p/d) I, in float32."""
    if kind == "gaussian":
        R = rng.standard_normal((p, d), dtype=np.float32)
    elif kind == "rademacher":
        R = rng.integers(0, 2, (p, d), dtype=np.int8).astype(np.float32) * 2 - 1
    else:
        signs = rng.integers(0, 6, (p, d), dtype=np.int8)
        R = np.float32(np.sqrt(3)) * ((signs == 0).astype(np.float32) - (signs == 1).astype(np.float32))
    return torch.from_numpy(R / np.float32(np.sqrt(d)))


def task_gradients(network: Network, examples: Examples, loss: Loss) -> Tensor:
    """Mean loss gradient of each task at W0, shape (K, p)."""
    K = len(examples.names)
    residual = loss.value_and_residual(examples.offset, examples.labels)[1]
    total = torch.zeros(K, network.size, dtype=network.W0.dtype, device=network.W0.device)
    for x, rows in examples.slices():
        present = examples.task[rows].unique()
        chosen = (examples.task[rows] == present[:, None]).unsqueeze(-1)
        total[present] += network.pull(x, (chosen * residual[rows]).to(network.W0.dtype))
    return total / examples.counts.to(total)[:, None]


def curvature_product(network: Network, examples: Examples, loss: Loss, vectors: Tensor) -> Tensor:
    """Gauss-Newton matrix of all examples' mean loss times `vectors` (p, d), shape (p, d)."""
    total = torch.zeros_like(vectors)
    for x, rows in examples.slices():
        moved = network.push(x, vectors)
        bent = loss.curvature_product(examples.offset[rows].to(moved), moved)
        total += network.pull(x, bent).T
    return total / examples.n


def data_subspace(
    network: Network, examples: Examples, loss: Loss, dim: int, rng: np.random.Generator, *, power: int = 2
) -> Tensor:
    """Task-mean gradients, W0, and leading eigenvectors of the Gauss-Newton matrix, orthonormal (p, d)."""
    gradients = task_gradients(network, examples, loss).T
    fixed = torch.cat([network.W0[:, None], gradients], 1)
    fixed = fixed / fixed.norm(dim=0).clamp_min(1e-30)
    extra = max(0, dim - fixed.shape[1])
    if extra == 0:
        return independent(fixed, fixed.shape[1])
    with torch.no_grad():
        start = torch.from_numpy(rng.standard_normal((network.size, extra + 8))).to(network.W0)
        basis = torch.linalg.qr(curvature_product(network, examples, loss, start))[0]
        for _ in range(power):
            basis = torch.linalg.qr(curvature_product(network, examples, loss, basis))[0]
        image = curvature_product(network, examples, loss, basis)
        values, vectors = torch.linalg.eigh((basis.T @ image).double())
        leading = basis @ vectors.flip(1).to(basis)
    return independent(torch.cat([fixed, leading], 1), dim)


def independent(columns: Tensor, dim: int) -> Tensor:
    """First `dim` linearly independent directions of the columns, orthonormal, in order."""
    Q, T = torch.linalg.qr(columns.double())
    scale = columns.double().norm(dim=0).clamp_min(1e-30)
    kept = (T.diagonal().abs() > 1e-6 * scale).nonzero()[:dim, 0]
    return Q[:, kept].to(columns.dtype)
