"""Trainings without some tasks, followed beside one real training: contributions in the run.

The real training of all tasks goes W_0, W_1, ... with the gradients g_i(W_t) of the examples of batch t one by one. Beside
it goes, for every mask s, its own copy W_s with its own optimiser, on the same batches, whose gradients are predicted from
the real ones instead of computed:

    g_i(W_s) ~ c_i g_i(W_t),   u_i = g_i(W_t)'(W_s - W_t)

    propagate=False   c_i = 1: later steps do not react (contributions summed, in the optimiser's own metric)
    propagate=True    c_i = (1 - p(o_i + do_i)) / (1 - p_i),   do_i = -u_i / (1 - p_i)

with p_i = exp(-loss_i) and o_i = log p_i / (1 - p_i): the loss as a function of the log-odds o of the answer, o linear in W.
To first order that is the Gauss-Newton matrix p/(1-p) g g' of each example, exact for one label with two options. An
example that the copy fits worse, for want of a task, pulls harder, which is what the others undo. The masks' weights s
enter where the examples do, so that removals are finite moves, not slopes. No pass through the model is added but
that for the gradients of single examples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluators.rows import checked_rows
from .course import Course

__all__ = ["InRun"]

#: Furthest that the log-odds of one example are believed to move.
FAR = 20.0


class InRun:
    """Estimate every mask from one coupled training of all tasks, while it runs.

    Use it where training is short and ends far from an optimum, as fine-tuning does; it imitates masks that keep most
    tasks best. It costs about one training per seed, and follows any number of masks in it.

    Parameters
    ----------
    course : Course
        Such as `interplay.evaluators.Finetune`, with a number of steps that does not depend on the mask.
    propagate : bool
        Whether later steps react to what has changed.
    targets : {"linear", "real"}
        How targets are measured: by the gradients of their examples at the end of the real training (through the same
        log-odds), or by the real model with parameters W_s, one forward pass per mask.
    memory : int
        Bytes for the copies of one pass; more masks are followed in several passes.

    Attributes
    ----------
    tasks, targets, higher_is_better : tuple
    fidelity : str
        ``"in-run"``.
    moved : dict of int to float
        Per seed, the largest \\|W_s - W\\| at the end, relative to the way \\|W - W_0\\| of the training itself.

    References
    ----------
    Wang et al., Data Shapley in one training run (2024), for the sum of contributions; the propagation is a
    Gauss-Newton form of unrolled differentiation.
    """

    fidelity = "in-run"

    def __init__(
        self, course: Course, *, propagate: bool = True, targets: str = "linear", memory: int = 2**31
    ):
        if targets not in ("linear", "real"):
            raise ValueError(f"targets is {targets!r}; it must be 'linear' or 'real'.")
        if course.notes.get("absent_tasks") != "fixed_steps":
            raise ValueError(
                "course trains for a fixed number of epochs, so that masks differ in their steps; give it steps=..."
            )
        self.course, self.propagate, self.memory = course, propagate, memory
        self.tasks, self.targets = tuple(course.tasks), tuple(course.targets)
        self.higher_is_better = tuple(course.higher_is_better)
        self._measured = targets
        self.moved: dict[int, float] = {}

    @property
    def batch(self) -> int:
        """Rows that are best handed over at once: all that one pass can follow."""
        return max(1, self.memory // (12 * self.course.initial(0).numel()))

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        estimator = {"method": "in-run", "propagate": self.propagate, "targets": self._measured}
        if self.moved:
            estimator["moved"] = max(self.moved.values())
        return {**self.course.notes, "estimator": estimator}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able."""
        return {
            "method": "in-run",
            "propagate": self.propagate,
            "measured": self._measured,
            **self.course.fingerprint(),
        }

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Estimate the targets of masks, one real training for each seed (and pass).

        Parameters
        ----------
        masks : (b, K) array
        seeds : (b,) array of int

        Returns
        -------
        (b, T) array
        """
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        values = np.empty((len(masks), len(self.targets)))
        for seed in dict.fromkeys(seeds.tolist()):
            rows = np.flatnonzero(seeds == seed)
            for part in np.split(rows, np.arange(self.batch, len(rows), self.batch)):
                W, copies = self.follow(masks[part], seed)
                values[part] = self._measure(W, copies)
        return values

    def follow(self, masks: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return the end W (p,) of the real training of all tasks, and the ends (m, p) of the masks' copies."""
        course, optimiser = self.course, self.course.optimiser
        W = course.initial(seed)
        start = W.clone()
        copies = W.repeat(len(masks), 1)
        state, states = optimiser.start(W), optimiser.start(copies)
        s = torch.from_numpy(masks).to(W.dtype)
        batches = course.batches(np.ones(len(self.tasks)), seed)
        for t, (indices, weights) in enumerate(batches):
            losses, G = course.example_gradients(W, indices)
            if not torch.isfinite(losses).all():
                raise ValueError(f"the training of seed {seed} diverged at step {t}; lower its learning rate.")
            a = torch.from_numpy(weights).to(W)
            shares = s[:, course.group[indices]] * a
            if self.propagate:
                shares = shares * pull(losses, (copies - W) @ G.T)
            rate = optimiser.rate(t, len(batches))
            optimiser.step(copies, shares @ G, states, rate)
            optimiser.step(W, a @ G, state, rate)
        way = float((W - start).norm()) or 1.0
        self.moved[seed] = float((copies - W).norm(dim=1).max()) / way
        return W, copies

    def _measure(self, W: Tensor, copies: Tensor) -> np.ndarray:
        if self._measured == "real":
            return np.array([self.course.measure(copy) for copy in copies])
        moves, T = copies - W, len(self.targets)
        total, count = np.zeros((len(copies), T)), np.zeros(T)
        for t, losses, G in self.course.target_gradients(W):
            total[:, t] += moved_loss(losses, moves @ G.T).double().sum(1).numpy()
            count[t] += len(losses)
        return total / count


def pull(losses: Tensor, change: Tensor) -> Tensor:
    """Return c = (1 - p(o + do)) / (1 - p), by which the gradients of examples grow, ``(m, n)``.

    Parameters
    ----------
    losses : Tensor (n,)
        -log p.
    change : Tensor (m, n)
        What the losses would change by along their gradients, u = -(1 - p) do.
    """
    p, do = _odds(losses, change)
    return 1 / ((1 - p) + p * do.exp())  # (1 - p(o + do)) / (1 - p) = 1 / (1 - p + p e^do)


def moved_loss(losses: Tensor, change: Tensor) -> Tensor:
    """Return log(1 + exp(-(o + do))), the losses (m, n) after the change."""
    p, do = _odds(losses, change)
    return losses + torch.log((1 - p) * (-do).exp() + p)


def _odds(losses: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    p = (-losses).exp()
    do = -change / (-torch.expm1(-losses)).clamp_min(1e-6)
    return p, do.clamp(-FAR, FAR)
