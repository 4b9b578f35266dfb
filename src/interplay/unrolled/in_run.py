"""Trainings without some tasks, followed beside one real training of all: the run replayed where it is linear.

The real training goes W_0, W_1, ... Beside it goes, for every mask s, a copy W_s with its own optimiser on the same
batches, whose gradients are predicted from those that the real training computes, example by example (`Reactions`):

    g_s = sum_{i in batch t} s_{task of i} g_i(W_s) / B,    g_i(W_s) ~ g_i + Q_i' (l'(q_i + Q_i (W_s - W_t)) - l'(q_i))

Only the outputs q are linear, and they are linearised anew at every step of the real training; the loss is exact and so
is the optimiser. Examples that a copy fits worse, for want of a task, pull harder: that is how later steps undo what is
missing. Without reactions (R = 0) what remains is the sum of contributions in the optimiser's own metric, the usual
"in-run" estimate. Masks enter as they do in training, so removals are finite moves, not slopes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluators.rows import checked_rows
from ..gradients.devices import allowance
from .course import Course, check_followed, place_of
from .misfit import WORST, Misfit, warning
from .steps import shown, told

__all__ = ["InRun"]

#: Bytes held for each parameter of a copy, as measured: weights, the optimiser's moments and what a step makes.
HELD = 26
#: What estimates that nothing was held against say of themselves.
UNJUDGED = {"verdict": "unknown", "reason": "no retrained masks to judge by; Imitation(ways, retrained) judges"}


class InRun:
    """Estimate every mask from one coupled training of all tasks, while it runs.

    Use it where training is short and ends far from an optimum, as fine-tuning does. It is best for masks that keep
    most tasks, and follows any number of them in one training per seed.

    Parameters
    ----------
    course : Course
        `interplay.evaluators.Finetune` or `TorchRetrain`, with steps that do not depend on the mask.
    react : int or None
        Outputs of each example that react; each costs about one backward pass of the training. 0: contributions are
        summed and later steps undo nothing; None: the course's default (all outputs where they are few). Too few can
        rank masks worse than none, which `misfit` tells while the training is followed.
    targets : {"linear", "real"}
        How targets are measured: by the reactions of their examples at the end of the real training, or by the real
        model with parameters W_s, a forward pass over the targets for every mask.
    memory : int, optional
        Bytes for the copies of one pass; more masks are followed in several passes. Default: 2 GiB, and on a card half
        of what is free there if that is more.
    progress : bool
        Show the steps of each training on standard error; with `interplay.evaluate`, pass ``progress=False`` there.

    Attributes
    ----------
    tasks, targets, higher_is_better : tuple
    fidelity : str
        ``"estimated-in-run"``.
    moved : dict of int to float
        Per seed, the largest length of W_s - W at the end, relative to that of W - W_0, the way of the training itself.
    misfit : dict of int to float
        Per seed, the error of losses that reactions foresee along the run, relative to that without reactions: see
        `interplay.unrolled.misfit`.
    warnings : tuple of str
        What the reader of the estimates should be told; it is in ``notes["estimator"]`` too.

    References
    ----------
    Wang et al., Data Shapley in one training run (2024), sums contributions; Bae et al., Training data attribution via
    approximate unrolled differentiation (SOURCE, 2024), propagates them through segments of constant curvature.
    """

    fidelity = "estimated-in-run"

    def __init__(
        self,
        course: Course,
        *,
        react: int | None = None,
        targets: str = "linear",
        memory: int | None = None,
        progress: bool = False,
    ):
        if targets not in ("linear", "real"):
            raise ValueError(f"targets is {targets!r}; it must be 'linear' or 'real'.")
        if react is not None and (int(react) != react or react < 0):
            raise ValueError(f"react is {react!r}; it must be a number of outputs, 0 or more, or None.")
        check_followed(course)
        self.course, self.react = course, react
        self.memory = allowance(place_of(course), 2**31, 2) if memory is None else int(memory)
        self.tasks, self.targets = tuple(course.tasks), tuple(course.targets)
        self.higher_is_better = tuple(course.higher_is_better)
        self._measured, self.progress = targets, bool(progress)
        self.moved: dict[int, float] = {}
        self.misfit: dict[int, float] = {}

    @property
    def batch(self) -> int:
        """Rows that are best handed over at once: all that one pass can follow."""
        return max(1, self.memory // (HELD * self.course.size))

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        estimator = {"method": "in-run", "react": self.react, "targets": self._measured, **UNJUDGED}
        for name, seen in (("moved", self.moved), ("misfit", self.misfit)):
            if seen:
                estimator[name] = max(seen.values())
        if self.warnings:
            estimator["warnings"] = list(self.warnings)
        return {**self.course.notes, "estimator": estimator}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of the estimates should be told."""
        worst = max(self.misfit.values(), default=None)
        return () if worst is None or worst < WORST else (warning(worst, self.react),)

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able."""
        return {"method": "in-run", "react": self.react, "measured": self._measured, **self.course.fingerprint()}

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
                ends = self.follow(masks[part], seed)
                with told(f"measuring the targets of {len(part)} masks", self.progress):
                    values[part] = self.measure(*ends)
        return values

    def follow(self, masks: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return the end W (p,) of the real training of all tasks, and the ends (m, p) of the masks' copies."""
        course, optimiser = self.course, self.course.optimiser
        W = course.initial(seed)
        start, copies = W.clone(), W.repeat(len(masks), 1)
        state, states = optimiser.start(W), optimiser.start(copies)
        s = torch.from_numpy(masks).to(W)
        batches = course.batches(np.ones(len(self.tasks)), seed)
        misfit = Misfit(len(batches))
        for t, (indices, weights) in enumerate(shown(batches, seed, self.progress)):
            found = course.reactions(W, indices, self.react)
            if not torch.isfinite(found.losses).all():
                raise ValueError(f"the training of seed {seed} diverged at step {t}; lower its learning rate.")
            if self.react != 0:
                misfit.look(course, t, W, indices, found)
            a = torch.from_numpy(weights).to(W)
            rate = optimiser.rate(t, len(batches))
            optimiser.step(copies, found.pull(copies - W, s[:, course.group[indices]] * a), states, rate)
            optimiser.step(W, a @ found.gradients, state, rate)
        way = float((W - start).norm()) or 1.0
        self.moved[seed] = float((copies - W).norm(dim=1).max()) / way
        if misfit.value is not None:
            self.misfit[seed] = misfit.value
        return W, copies

    def measure(self, W: Tensor, copies: Tensor) -> np.ndarray:
        """Return the targets (m, T) of copies (m, p) beside the end W (p,) of the real training."""
        if self._measured == "real":
            return np.array([self.course.measure(copy) for copy in copies])
        moves, T = copies - W, len(self.targets)
        total, count = np.zeros((len(copies), T)), np.zeros(T)
        for t, found in self.course.target_reactions(W, self.react):
            total[:, t] += found.moved(moves).double().sum(1).cpu().numpy()
            count[t] += len(found.losses)
        return total / count
