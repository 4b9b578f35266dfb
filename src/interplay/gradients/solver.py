"""Training of every mask at once, in the linear model: quasi-Newton steps from a frozen curvature.

min_z  sum_i a_i loss(f0_i + Phi_i z, y_i) + (ridge/2)|z|^2 + pull'z,   a_i = s_task(i) w_i / N_s
H_s = sum_k s_k H_k / N_s + ridge I,  H_k = sum_{i in k} w_i Phi_i' L_i L_i' Phi_i at W0, L L' the loss's curvature

One Cholesky per mask. Each step is a limited-memory BFGS step whose initial metric is H_s^-1, so that the first
is a Newton step. Logits are linear in z, so a step costs two matrix products for all masks together, whatever
the line search does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .features import Features
from .losses import Loss

NORMALISE = ("all", "selected", "mixture")


@dataclass(frozen=True, eq=False)
class Solution:
    """Displacements of all masks.

    Attributes
    ----------
    z : Tensor (m, d), float64
    objective : Tensor (m,)
        Objective at z, less the constant (that is, at z = 0 the data term alone).
    gradient : Tensor (m,)
        Norm of the objective's gradient at z, relative to its norm at z = 0 of the same mask.
    steps : int
        Steps of the slowest mask.
    """

    z: Tensor
    objective: Tensor
    gradient: Tensor
    steps: int


def curvatures(features: Features, loss: Loss, rows: int = 65536) -> Tensor:
    """Curvature H_k of each task's summed loss at W0 in the subspace, shape (K, d, d), float64."""
    d, K = features.phi.shape[-1], len(features.counts)
    H = torch.zeros(K, d, d, dtype=torch.float64, device=features.phi.device)
    for k in range(K):
        index = (features.task == k).nonzero()[:, 0]
        for part in index.split(max(1, rows // features.phi.shape[1])):
            phi = features.phi[part].double() * features.weights[part].sqrt()[:, None, None]
            root = loss.curvature_root(features.offset[part], phi, features.labels[part]).reshape(-1, d)
            H[k] += root.T @ root
    return H


def stiffness(H: Tensor, counts: Tensor) -> float:
    """Largest eigenvalue of the curvature of the mean loss over all examples, for H (K, d, d) and counts (K,)."""
    return max(float(torch.linalg.eigvalsh(H.sum(0) / counts.sum())[-1]), 1e-12)


def solve(
    features: Features,
    H: Tensor,
    masks: Tensor,
    loss: Loss,
    *,
    ridge: float,
    pull: Tensor,
    normalise: str = "all",
    steps: int = 50,
    tolerance: float = 1e-7,
    memory: int = 2**26,
    history: int = 8,
) -> Solution:
    """Solve all masks, in chunks that fit into `memory` bytes.

    Parameters
    ----------
    features : Features
        Of the training examples.
    H : Tensor (K, d, d)
        From `curvatures`.
    masks : Tensor (m, K)
        Masks or non-negative weights.
    loss : Loss
    ridge : float
        Coefficient of |z|^2 / 2 (weight decay + mu).
    pull : Tensor (d,)
        Linear term (weight decay times the coordinates of W0).
    normalise : {"all", "selected", "mixture"}
        As in `shares`.
    steps : int
        Most steps per mask.
    tolerance : float
        A mask is done when its gradient is this small relative to its gradient at z = 0.
    memory : int
        Bytes for the logits of a chunk of masks and what is computed from them.
    history : int
        Pairs kept by the limited-memory update.
    """
    n, classes, d = features.phi.shape
    per_mask = 8 * ((8 if loss.bounded else 5) * n * classes + 3 * d * d + (2 * history + 8) * d)
    parts = [
        _solve_chunk(features, H, part, loss, ridge, pull, normalise, steps, tolerance, history)
        for part in masks.double().split(max(1, int(memory) // per_mask))
    ]
    return Solution(
        torch.cat([p.z for p in parts]),
        torch.cat([p.objective for p in parts]),
        torch.cat([p.gradient for p in parts]),
        max(p.steps for p in parts),
    )


def shares(masks: Tensor, counts: Tensor, normalise: str) -> Tensor:
    """Weight of one example of each task in the data term, shape (m, K).

    "all": s_k / sum_j n_j. "selected": s_k / sum_j s_j n_j. "mixture": (s_k / n_k) / sum_j s_j, so that s_k is the
    share of task k in what is read, whatever its size n_k. The last two do not change when a row is scaled.
    """
    if normalise == "all":
        return masks / counts.sum()
    if normalise == "mixture":
        masks = masks / counts
    selected = masks @ counts
    return masks / torch.where(selected > 0, selected, torch.ones_like(selected))[:, None]


def _solve_chunk(
    features: Features,
    H: Tensor,
    masks: Tensor,
    loss: Loss,
    ridge: float,
    pull: Tensor,
    normalise: str,
    steps: int,
    tolerance: float,
    history: int,
) -> Solution:
    m, d = len(masks), features.phi.shape[-1]
    flat, labels = features.flat, features.labels
    share = shares(masks, features.counts, normalise)
    a = share[:, features.task] * features.weights
    outside = (a == 0) if loss.bounded else None
    eye = torch.eye(d, dtype=torch.float64, device=H.device)
    curvature = (share @ H.reshape(len(H), -1)).reshape(m, d, d)
    factor = torch.linalg.cholesky(curvature + ridge * eye)
    del curvature

    def measure(f: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Objective (m,) and weighted residuals (m, n, C) at logits f and displacements z."""
        value, residual = loss.value_and_residual(f, labels)
        if outside is not None:  # an absent example may leave the domain, where 0 x inf is no number
            value = value.masked_fill(outside, 0.0)
            residual = residual.masked_fill(outside.unsqueeze(-1), 0.0)
        residual *= a.unsqueeze(-1)
        return (a * value).sum(1) + z @ pull + 0.5 * ridge * z.square().sum(1), residual

    def gradient(residual: Tensor, z: Tensor) -> Tensor:
        return (residual.reshape(m, -1).to(flat.dtype) @ flat).double() + pull + ridge * z

    z = torch.zeros(m, d, dtype=torch.float64, device=H.device)
    f = features.offset.expand(m, *features.offset.shape).clone()
    objective, residual = measure(f, z)
    g = gradient(residual, z)
    first = g.norm(dim=1).clamp_min(1e-12)
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    taken = 0
    for _ in range(steps):
        active = g.norm(dim=1) > tolerance * first
        if not active.any():
            break
        direction = -_inverse(g, factor, pairs)
        slope = (g * direction).sum(1)
        steepest = -torch.cholesky_solve(g.unsqueeze(-1), factor).squeeze(-1)
        direction = torch.where((slope < 0)[:, None], direction, steepest)
        slope = torch.minimum(slope, (g * direction).sum(1)).clamp_max(0)
        direction = direction * active[:, None]
        df = (direction.to(flat.dtype) @ flat.T).double().reshape(f.shape)
        t = active.double()
        for _ in range(30):
            moved = torch.addcmul(f, df, t[:, None, None])
            new, residual = measure(moved, z + t[:, None] * direction)
            worse = active & ~(new <= objective + 1e-4 * t * slope + 1e-14 * objective.abs())
            if not worse.any():
                break
            t = torch.where(worse, 0.5 * t, t)
        else:
            t = torch.where(worse, torch.zeros_like(t), t)
            moved = torch.addcmul(f, df, t[:, None, None])
            new, residual = measure(moved, z + t[:, None] * direction)
            if not t.any():
                break
        f = moved
        step = t[:, None] * direction
        z = z + step
        turned = gradient(residual, z)
        change = turned - g
        inner = (change * step).sum(1)
        pairs = [*pairs[-(history - 1) :], (step, change, torch.where(inner > 0, 1 / inner, 0.0))]
        g, objective = turned, new
        taken += 1
    return Solution(z, objective, g.norm(dim=1) / first, taken)


def _inverse(g: Tensor, factor: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Two-loop recursion for all masks: the quasi-Newton inverse times g (m, d)."""
    q, alphas = g, []
    for step, change, rho in reversed(pairs):
        alpha = rho * (step * q).sum(1)
        q = q - alpha[:, None] * change
        alphas.append(alpha)
    q = torch.cholesky_solve(q.unsqueeze(-1), factor).squeeze(-1)
    for (step, change, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = rho * (change * q).sum(1)
        q = q + (alpha - beta)[:, None] * step
    return q
