"""Limited-memory BFGS on many small problems at once, each with its own history and line search.

Row i of W (b, P) minimises its own f_i by W_i <- W_i - t_i H_i g_i, where H_i is the inverse Hessian that the last
pairs (step, change of gradient) imply (two-loop recursion: Nocedal and Wright, algorithm 7.4) and t_i is found by
bisection until f_i falls enough and its slope flattens enough (weak Wolfe conditions: Lewis and Overton 2013). For
optima that Adam approaches too slowly; scipy's counterpart for one problem is ``minimize(method="L-BFGS-B")``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FALL, FLATTEN = 1e-4, 0.9
TRIALS = 25
REMEMBERED = 20  # pairs


def minimise(
    objective: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    W: Tensor,
    *,
    steps: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Minimise b functions together.

    Parameters
    ----------
    objective : callable
        Points ``(r, P)`` and which rows they belong to ``(r,)`` -> values ``(r,)`` and gradients ``(r, P)``.
    W : (b, P) tensor
        Where to start; float64 if the tolerance is below 1e-4.
    steps : int
        Iterations at most.
    tolerance : float
        A row rests when the norm of its gradient is below this.

    Returns
    -------
    W : (b, P) tensor
    norms : (b,) tensor
        Norms of the gradients there.
    """
    f, g = objective(W, torch.arange(len(W), device=W.device))
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    gamma = 1.0 / g.norm(dim=1).clamp(min=1.0)
    moving, failures = g.norm(dim=1) > tolerance, torch.zeros(len(W), device=W.device)
    for _ in range(steps):
        if not moving.any():
            break
        d = _direction(g, pairs, gamma)
        t, f_new, g_new = _search(objective, W, f, g, d, moving & ((g * d).sum(1) < 0))
        step, change = t[:, None] * d, g_new - g
        W, f, g = W + step, f_new, g_new
        product = (step * change).sum(1)
        useful = product > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
        rho = torch.where(useful, 1.0 / product, 0.0)
        gamma = torch.where(useful, product / change.square().sum(1), gamma)
        # a row whose direction leads nowhere forgets its history and starts again down its gradient
        lost = moving & (t == 0)
        pairs = [(s, y, torch.where(lost, 0.0, r)) for s, y, r in [*pairs, (step, change, rho)][-REMEMBERED:]]
        gamma = torch.where(lost, 1.0 / g.norm(dim=1).clamp(min=1.0), gamma)
        failures = torch.where(lost, failures + 1, 0.0)
        moving &= (g.norm(dim=1) > tolerance) & (failures < 2)
    return W, g.norm(dim=1)


def _search(objective, W: Tensor, f: Tensor, g: Tensor, d: Tensor, moving: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return step lengths ``(b,)``, 0 where none was found, with values and gradients there."""
    slope = (g * d).sum(1)
    t = moving.to(W.dtype)
    low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
    best, f_best, g_best = torch.zeros_like(t), f.clone(), g.clone()
    rows = moving.nonzero()[:, 0]
    for _ in range(TRIALS):
        if not len(rows):
            break
        f_new, g_new = objective(W[rows] + t[rows, None] * d[rows], rows)
        falls = f_new <= f[rows] + FALL * t[rows] * slope[rows] + 1e-14 * f[rows].abs()
        flat = (g_new * d[rows]).sum(1) >= FLATTEN * slope[rows]
        fell = rows[falls]
        best[fell], f_best[fell], g_best[fell] = t[fell], f_new[falls], g_new[falls]
        low[fell], high[rows[~falls]] = t[fell], t[rows[~falls]]
        rows = rows[~(falls & flat)]
        t = torch.where(high.isinf(), 2 * low, 0.5 * (low + high))
    return best, f_best, g_best


def _direction(g: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]], gamma: Tensor) -> Tensor:
    """Return -H g; a pair with rho = 0 is skipped by its row."""
    q, alphas = g.clone(), []
    for step, change, rho in reversed(pairs):
        alpha = rho * (step * q).sum(1)
        q -= alpha[:, None] * change
        alphas.append(alpha)
    q *= gamma[:, None]
    for (step, change, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * (change * q).sum(1))[:, None] * step
    return -q
