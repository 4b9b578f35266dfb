"""The loss of examples as a convex function of what reacts in them, for the all-masks solver.

Outputs of example i are o = (u, dq): the change u = g_i'D of its loss to first order, and the changes dq = Q_i D of its
outputs; the loss is l_i + u + [l(q + dq) - l(q) - l'(q)'dq], convex in o (see `Reactions`). Labels are the numbers of
examples, by which their outcomes are found again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..gradients.losses import Loss
from .reactions import Outcomes

__all__ = ["OutcomeLoss"]


class OutcomeLoss(Loss):
    """Loss of examples with chosen outcomes, at the parameters where these were taken.

    Parameters
    ----------
    losses : Tensor (N,)
    outcomes : Outcomes
        Of all N examples.
    """

    name = "outcomes"

    def __init__(self, losses: Tensor, outcomes: Outcomes):
        self.losses, self.outcomes = losses.double(), outcomes

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return the labels: numbers of examples."""
        return labels.long()

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative in the outputs (..., n, 1 + R)."""
        own = self.outcomes.of(labels)
        change, second = own.bend(outputs[..., 1:])
        value = self.losses[labels] + outputs[..., 0] + second
        return value, torch.cat([torch.ones_like(change[..., :1]), change], -1)

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v, shape (n, 2 R, d): sqrt(p)(v - mean) of the outcomes, and of the rest of each place."""
        p, share, mean = self._moments(outputs, vectors[:, 1:], labels)
        inside = p.sqrt()[..., None] * (vectors[:, 1:] - mean)
        outside = share.sqrt()[..., None] * mean
        return torch.cat([inside, outside], 1) * self.outcomes.of(labels).weight.sqrt()[:, None, None]

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L L' v for `vectors` (..., n, 1 + R)."""
        v = vectors[..., 1:]
        own = self.outcomes.of(labels)
        p = own.probabilities(outputs[..., 1:])
        mean = (own.together.to(v) @ (p * v).unsqueeze(-1)).squeeze(-1)
        bent = p * (v - mean) * own.weight[:, None]
        return torch.cat([torch.zeros_like(bent[..., :1]), bent], -1)

    def _moments(self, outputs: Tensor, v: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities (n, R), the rest's share of each place given to its first outcome, and means (n, R, d)."""
        own = self.outcomes.of(labels)
        p, together = own.probabilities(outputs[..., 1:]), own.together.to(v)
        mean = together @ (p[..., None] * v)
        rest = (1 - (together @ p[..., None]).squeeze(-1)).clamp_min(0)
        first = ~(own.together.tril(-1).any(-1))
        return p, rest * first, mean
