"""Exact metagradients: dF_t/ds_k of a whole training run, by one pass backwards through its steps.

The run keeps (W, m, v) of every step. For every target t the adjoint starts as the gradient of F_t at the end and goes
back through the optimiser and the loss:

    lambda_g = (1 - b1) lambda_m' + 2 (1 - b2) g lambda_v'        adjoint of the step's gradient
    dF/ds_k += sum_{i in batch, i in k} g_i'lambda_g / B
    lambda_W <- (1 - lr wd) lambda_W + H lambda_g                 H = second derivative of the step's loss

and likewise for m and v (see `_back`). Adam divides by roots of v that can be almost 0, where adjoints explode: steps
of parameters whose root is far below the typical one are held constant. The result is a slope at the full mask:

    F(s) ~ F(1) - sum_k (1 - s_k) dF/ds_k
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluators.rows import checked_rows
from ..gradients.devices import free
from .course import Course, check_followed, place_of
from .optimisers import Optimiser, State

__all__ = ["Metagradient"]

#: Least root of v, as a share of its root mean square at that step, below which a parameter's step is held constant.
STEEP = 1e-2


class Metagradient:
    """Slopes of every target in the weight of every task, exactly, through one coupled training.

    Use it for short trainings whose states fit into memory, to check `InRun` or where slopes are what is asked for. It
    costs a second-order product per step and target; what it says of leaving a task out is the tangent, not the move.

    Parameters
    ----------
    course : Course
        With ``hessian_product``, as `interplay.evaluators.Finetune` and `TorchRetrain` have.
    memory : int, optional
        Bytes that the states of all steps may take. Default: 8 GiB; on a card, half of what is free there.

    Attributes
    ----------
    tasks, targets, higher_is_better : tuple
    fidelity : str
        ``"estimated-metagradient"``.

    References
    ----------
    Engstrom et al., Optimizing ML training with metagradient descent (MAGIC, 2025).
    """

    fidelity = "estimated-metagradient"
    batch = 10_000

    def __init__(self, course: Course, *, memory: int | None = None):
        check_followed(course)
        place = place_of(course)
        self.course = course
        self.memory = (free(place) // 2 if place.type == "cuda" else 2**33) if memory is None else int(memory)
        self.tasks, self.targets = tuple(course.tasks), tuple(course.targets)
        self.higher_is_better = tuple(course.higher_is_better)
        self._slopes: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        return {**self.course.notes, "estimator": {"method": "metagradient"}}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able."""
        return {"method": "metagradient", **self.course.fingerprint()}

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return F(1) - sum_k (1 - s_k) dF/ds_k for masks (b, K), each with its seed (b,): ``(b, T)``."""
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        values = np.empty((len(masks), len(self.targets)))
        for seed in dict.fromkeys(seeds.tolist()):
            full, slopes = self.slopes(seed)
            values[seeds == seed] = full - (1 - masks[seeds == seed]) @ slopes
        return values

    def slopes(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the targets (T,) of the full mask, and their slopes (K, T) in the tasks' weights."""
        if seed not in self._slopes:
            self._slopes[seed] = self._backwards(seed)
        return self._slopes[seed]

    def _backwards(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        course, optimiser = self.course, self.course.optimiser
        K, T = len(self.tasks), len(self.targets)
        batches = course.batches(np.ones(K), seed)
        W = course.initial(seed)
        needs = W.element_size() * W.numel() * 4 * len(batches)
        if needs > self.memory:
            raise ValueError(
                f"the states of {len(batches)} steps take {needs / 2**30:.1f} GiB, more than memory allows "
                f"({self.memory / 2**30:.1f}); raise memory, or use InRun, which keeps none."
            )
        state, kept = optimiser.start(W), []
        for t, (indices, weights) in enumerate(batches):
            g = course.gradient(W, indices, weights)
            kept.append((W.clone(), state.clone(), g))
            optimiser.step(W, g, state, optimiser.rate(t, len(batches)))
        full = course.measure(W)
        adjoint = torch.zeros(T, W.numel(), dtype=W.dtype, device=W.device)
        count = np.zeros(T)
        for t, found in course.target_reactions(W, 0):
            adjoint[t] += found.gradients.sum(0)
            count[t] += len(found.losses)
        adjoint /= torch.from_numpy(count).to(W)[:, None]
        moments = torch.zeros_like(adjoint), torch.zeros_like(adjoint)
        slopes = np.zeros((K, T))
        for t in reversed(range(len(batches))):
            (indices, weights), (W, state, g) = batches[t], kept.pop()
            adjoint, moments, turned = _back(optimiser, optimiser.rate(t, len(batches)), g, state, adjoint, moments)
            each = course.reactions(W, indices, 0).gradients @ turned.T  # (n, T)
            np.add.at(slopes, course.group[indices], weights[:, None] * each.double().cpu().numpy())
            adjoint = adjoint + course.hessian_product(W, indices, weights, turned)
        return full, slopes


def _back(
    optimiser: Optimiser, rate: float, g: Tensor, state: State, adjoint: Tensor, moments: tuple[Tensor, Tensor]
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Go back through one step: adjoints of W, of the moments before it, and of its gradient."""
    lm, lv = moments
    kept = 1 - rate * optimiser.weight_decay
    if state.v is None:
        lm = lm - rate * adjoint
        return kept * adjoint, (optimiser.momentum * lm, lv), lm
    (b1, b2), t = optimiser.betas, state.t + 1
    m = b1 * state.m + (1 - b1) * g
    v = b2 * state.v + (1 - b2) * g * g
    m_hat, root = m / (1 - b1**t), (v / (1 - b2**t)).sqrt()
    moving = root > STEEP * root.square().mean().sqrt()
    scale = rate / (root + optimiser.eps)
    reached = adjoint * moving
    lm = lm - reached * (scale / (1 - b1**t))
    bend = scale / (root + optimiser.eps) * m_hat / (2 * root.clamp_min(1e-30)) / (1 - b2**t)
    lv = lv + reached * bend
    turned = (1 - b1) * lm + 2 * (1 - b2) * g * lv
    return kept * adjoint, (b1 * lm, b2 * lv), turned
