"""The user's schedule replayed in the model that is linear around the end W0 of one training.

Every mask s trains a copy W_s from the same start, on the same batches and by the same optimiser, with gradients

    g_i(W_s) = g_i + Q_i' (l'(q_i + Q_i (W_s - W0)) - l'(q_i))        g, Q, q at W0 in every step

all masks together. It differs from `InRun` in one thing, the point at which outputs are linear: fixed, and not moving
with the run. The level is that of the real model: F(s) = F(W0) + Fhat(s) - Fhat(1), with the full mask replayed too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..evaluators.digests import digest
from .course import Course, parameters_of
from .in_run import InRun
from .steps import shown

__all__ = ["Replay"]


class Replay(InRun):
    """Estimate every mask by its own training in the linear model around W0.

    Use it where W0 is at hand and the run that led there is not, or to tell what `InRun` gains by moving along.

    Parameters
    ----------
    course : Course
    W0 : Tensor (p,) or what ``course.train`` returned
        End of the training of all tasks.
    react, targets, memory, progress
        As in `InRun`.

    Attributes
    ----------
    fidelity : str
        ``"estimated-replay"``.
    """

    fidelity = "estimated-replay"

    def __init__(self, course: Course, W0: Any, **options: Any):
        super().__init__(course, **options)
        self.W0 = parameters_of(W0, course)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        found = super().notes
        return {**found, "estimator": {**found["estimator"], "method": "replay"}}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able."""
        return {**super().fingerprint(), "method": "replay", "W0": digest(self.W0)}

    def follow(self, masks: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
        """Return W0 (p,) and the ends (m + 1, p) of the masks' copies, that of the full mask last."""
        course, optimiser = self.course, self.course.optimiser
        start = course.initial(seed)
        copies = start.repeat(len(masks) + 1, 1)
        states = optimiser.start(copies)
        s = torch.from_numpy(np.vstack([masks, np.ones(len(self.tasks))])).to(copies)
        batches = course.batches(np.ones(len(self.tasks)), seed)
        for t, (indices, weights) in enumerate(shown(batches, seed, self.progress)):
            found = course.reactions(self.W0, indices, self.react)
            shares = s[:, course.group[indices]] * torch.from_numpy(weights).to(copies)
            optimiser.step(copies, found.pull(copies - self.W0, shares), states, optimiser.rate(t, len(batches)))
        way = float((self.W0 - start).norm()) or 1.0
        self.moved[seed] = float((copies - self.W0).norm(dim=1).max()) / way
        return self.W0, copies

    def measure(self, W: Tensor, copies: Tensor) -> np.ndarray:
        """Return the targets (m, T) of copies (m + 1, p), of which the last is that of the full mask."""
        values = super().measure(W, copies)
        return self.course.measure(W) + values[:-1] - values[-1]
