"""Subspaces of the parameters in which the training of every mask is solved: W = W0 + R z, R (p, d).

data       : W0, the first-order response (G + ridge I)^-1 g_k and the mean loss gradient g_k of each task,
             leading eigenvectors of the Gauss-Newton matrix G = sum_i J_i'(diag p_i - p_i p_i')J_i / N
             (randomised range finding, two power steps); orthonormal
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
    ridge: float = 0.0,
    orthonormal: bool = True,
) -> Tensor:
    """Basis R (p, d) of a subspace; the identity where d reaches the number of parameters.

    Parameters
    ----------
    kind : {"data", "gaussian", "rademacher", "sparse"}
    network, examples, loss
        The trained network and the examples of all tasks.
    dim : int
        Number of columns d.
    rng : numpy.random.Generator
    ridge : float
        Ridge of the training objective (weight decay + mu), for the responses of "data".
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
        return data_subspace(network, examples, loss, int(dim), rng, ridge=ridge)
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
    residual = loss.value_and_residual(examples.offset, examples.labels)[1] * examples.weights.unsqueeze(-1)
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
        bent = loss.curvature_product(examples.offset[rows].to(moved), moved, examples.labels[rows])
        total += network.pull(x, bent.to(moved) * examples.weights[rows].to(moved).unsqueeze(-1)).T
    return total / examples.weights.sum().to(total)


def data_subspace(
    network: Network,
    examples: Examples,
    loss: Loss,
    dim: int,
    rng: np.random.Generator,
    *,
    ridge: float = 0.0,
    power: int = 2,
    conjugate: int = 10,
) -> Tensor:
    """W0, each task's first-order response and mean gradient, leading eigenvectors of G, orthonormal (p, d)."""
    with torch.no_grad():
        gradients = task_gradients(network, examples, loss).T
        tasks = gradients.shape[1]
        values, leading = leading_eigenvectors(
            network, examples, loss, max(dim - 2 * tasks - 1, min(dim, 16)), rng, power
        )
        responses = _responses(network, examples, loss, gradients, ridge, values, leading, conjugate)
        fixed = torch.cat([network.W0[:, None], responses, gradients], 1)
        fixed = fixed / fixed.norm(dim=0).clamp_min(1e-30)
        if tasks + 1 > dim:
            return torch.linalg.svd(fixed[:, : tasks + 1].double(), full_matrices=False)[0][:, :dim].to(fixed)
        return independent(torch.cat([fixed, leading], 1), dim).to(fixed)


def leading_eigenvectors(
    network: Network, examples: Examples, loss: Loss, count: int, rng: np.random.Generator, power: int
) -> tuple[Tensor, Tensor]:
    """Leading eigenvalues (c,) and eigenvectors (p, c) of G by randomised range finding, largest first."""
    columns = min(network.size, count + 8)
    start = torch.from_numpy(rng.standard_normal((network.size, columns))).to(network.W0)
    basis = torch.linalg.qr(curvature_product(network, examples, loss, start))[0]
    for _ in range(power):
        basis = torch.linalg.qr(curvature_product(network, examples, loss, basis))[0]
    image = curvature_product(network, examples, loss, basis)
    values, vectors = torch.linalg.eigh((basis.T @ image).double())
    chosen = slice(max(0, columns - count), None)
    return values[chosen].flip(0).clamp_min(0).to(basis), basis @ vectors[:, chosen].flip(1).to(basis)


def _responses(
    network: Network,
    examples: Examples,
    loss: Loss,
    gradients: Tensor,
    ridge: float,
    values: Tensor,
    vectors: Tensor,
    steps: int,
) -> Tensor:
    """(G + ridge I)^-1 g_k for each column, roughly: conjugate gradients preconditioned by G's eigenvectors."""
    ridge = max(ridge, 1e-4 * float(values[0]), 1e-12)

    def precondition(residual: Tensor) -> Tensor:
        inside = vectors.T @ residual
        outside = residual - vectors @ inside
        return vectors @ (inside / (values + ridge)[:, None]) + outside / (values[-1] + ridge)

    found = torch.zeros_like(gradients)
    residual = gradients.clone()
    direction = precondition(residual)
    inner = (residual * direction).sum(0)
    for _ in range(steps):
        image = curvature_product(network, examples, loss, direction) + ridge * direction
        step = inner / (direction * image).sum(0).clamp_min(1e-30)
        found += step * direction
        residual -= step * image
        turned = precondition(residual)
        new = (residual * turned).sum(0)
        direction = turned + new / inner.clamp_min(1e-30) * direction
        inner = new
    return found


def independent(columns: Tensor, dim: int) -> Tensor:
    """First `dim` linearly independent directions of the columns, orthonormal, in order."""
    columns = columns.double()
    Q = torch.empty(len(columns), min(dim, *columns.shape), dtype=columns.dtype, device=columns.device)
    found = 0
    for column in columns.T:
        rest = column
        for _ in range(2):
            rest = rest - Q[:, :found] @ (Q[:, :found].T @ rest)
        if float(rest.norm()) > 1e-6 * float(column.norm()):
            Q[:, found] = rest / rest.norm()
            found += 1
        if found == Q.shape[1]:
            break
    return Q[:, :found]
