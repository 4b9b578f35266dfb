"""How the gradients of single examples react when parameters move: linear in a few outputs, exact in the loss.

Example i has a loss l(q) of R outputs q = q_i(W) and a part that does not react. For parameters that have moved by D,

    q' = q + Q D,   Q = dq/dW (R, p)            only the outputs are linear
    g' = g + Q' (l'(q') - l'(q))                the gradient, exact at D = 0
    l' = l + g D + [l(q') - l(q) - l'(q)'Q D]

For a softmax over very many classes (a vocabulary) the outputs are the R most uncertain ones of an example, each
against the rest of its own softmax:

    q_j = f_j - log sum_{v not chosen} exp f_v,    p = softmax(q, 0),   chosen by largest p_j (1 - p_j)

R = 1 leaves the log-odds of one outcome; with all outcomes nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Outcomes", "Reactions", "chosen", "outputs"]

#: Furthest that an output is believed to move.
FAR = 20.0


@dataclass(frozen=True, eq=False)
class Reactions:
    """Gradients of examples at W, and how they react.

    Attributes
    ----------
    losses : Tensor (n,)
    gradients : Tensor (n, p)
        g, of each example's loss.
    rows : Tensor (n, R, p)
        Q.
    bend : callable or None
        Changes of the outputs ``(m, n, R)`` to the changes of l'(q), ``(m, n, R)``, and to the part of the loss that
        is of second and higher order, ``(m, n)``; None if nothing reacts.
    outcomes : Outcomes or None
        What the rows are of, where they are outcomes of a softmax.
    """

    losses: Tensor
    gradients: Tensor
    rows: Tensor
    bend: Callable[[Tensor], tuple[Tensor, Tensor]] | None
    outcomes: Outcomes | None = None

    def pull(self, moves: Tensor, shares: Tensor) -> Tensor:
        """Return sum_i shares_i g_i(W + D) for moves D (m, p) and shares (m, n): ``(m, p)``."""
        total = shares @ self.gradients
        if self.bend is not None:
            change = self.bend(self._outputs(moves))[0]
            total += (change * shares.unsqueeze(-1)).flatten(1) @ self.rows.flatten(0, 1)
        return total

    def moved(self, moves: Tensor) -> Tensor:
        """Return the losses at W + D for moves D (m, p): ``(m, n)``."""
        found = self.losses + moves @ self.gradients.T
        return found if self.bend is None else found + self.bend(self._outputs(moves))[1]

    def _outputs(self, moves: Tensor) -> Tensor:
        change = (moves @ self.rows.flatten(0, 1).T).unflatten(1, self.rows.shape[:2])
        return change.clamp(-FAR, FAR)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The most uncertain outcomes of examples whose losses are means of softmax losses over their places.

    Attributes
    ----------
    place : int64 Tensor (n, R)
        Softmax (row of the logits) of each chosen outcome.
    outcome : int64 Tensor (n, R)
        Its class.
    q : Tensor (n, R)
        Its value at W.
    weight : Tensor (n,)
        One over the places of an example.
    """

    place: Tensor
    outcome: Tensor
    q: Tensor
    weight: Tensor

    @property
    def together(self) -> Tensor:
        """Whether two outcomes are of one place, ``(n, R, R)``."""
        return self.place[:, :, None] == self.place[:, None, :]

    def of(self, examples: Tensor) -> Outcomes:
        """Return the outcomes of some examples."""
        return Outcomes(self.place[examples], self.outcome[examples], self.q[examples], self.weight[examples])

    def double(self) -> Outcomes:
        """Return the outcomes with values in float64."""
        return Outcomes(self.place, self.outcome, self.q.double(), self.weight.double())

    @staticmethod
    def stacked(parts: Sequence[Outcomes]) -> Outcomes:
        """Return the outcomes of all examples of the parts; those with fewer are filled up."""
        R = max(part.place.shape[1] for part in parts)

        def filled(tensor: Tensor, missing: Tensor) -> Tensor:
            return torch.cat([tensor, missing.expand(len(tensor), -1)[:, : R - tensor.shape[1]].to(tensor)], 1)

        q = parts[0].q
        never = q.new_full((1, R), -1e4)
        return Outcomes(
            torch.cat([filled(part.place, -1 - R - torch.arange(R, device=q.device)[None]) for part in parts]),
            torch.cat([filled(part.outcome, q.new_zeros(1, R)) for part in parts]),
            torch.cat([filled(part.q, never) for part in parts]),
            torch.cat([part.weight for part in parts]),
        )

    def probabilities(self, change: Tensor) -> Tensor:
        """Return p (..., n, R) after the outputs have changed by (..., n, R)."""
        return _softmax(self.q + change, self.together)[0]

    def bend(self, change: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changes of l'(q), and what the loss changes beyond the first order: see `Reactions.bend`."""
        together = self.together
        p, log_z = _softmax(self.q, together)
        p_new, log_z_new = _softmax(self.q + change, together)
        once = 1 / together.sum(-1).to(change.dtype)  # outcomes of one place share its normaliser
        second = ((log_z_new - log_z) * once - p * change).sum(-1)
        return (p_new - p) * self.weight[:, None], second * self.weight


def chosen(logits: Tensor, owner: Tensor, n: int, R: int) -> Outcomes:
    """Choose the R most uncertain outcomes of each of n examples.

    Parameters
    ----------
    logits : Tensor (a, V)
    owner : int64 Tensor (a,)
        Example of each place, in order.
    n, R : int
        Examples, each with at least one place, and outcomes; a place has V - 1 outcomes at most, the last is the rest.
    """
    with torch.no_grad():
        logits = logits if logits.dtype == torch.float64 else logits.float()
        p = logits.softmax(-1)
        most, which = p.topk(min(R, p.shape[1] - 1), dim=-1)
        score = most * (1 - most)
        k = most.shape[1]
        places = torch.bincount(owner, minlength=n)
        longest = int(places.max())
        start = torch.cumsum(places, 0) - places
        numbers = lambda count: torch.arange(count, device=logits.device)
        within = numbers(len(owner)) - start[owner]
        table = score.new_full((n, longest * k), -1.0)
        table[owner[:, None], within[:, None] * k + numbers(k)] = score
        R = min(R, longest * k)
        best = table.topk(R, dim=-1).indices
        # an example that has fewer than R outcomes gets some that never are, each in a place of its own
        real = table.gather(1, best) >= 0
        place = torch.where(real, start[:, None] + best // k, -1 - numbers(R))
        outcome = which[place.clamp_min(0), best % k]
        found = Outcomes(place, outcome, place.to(logits.dtype), 1 / places.to(score.dtype))
        q = torch.where(real, outputs(logits, found), torch.full_like(score[:1, :1], -1e4))
    return replace(found, q=q)


def outputs(logits: Tensor, outcomes: Outcomes) -> Tensor:
    """Return q (n, R) as a function of the logits (a, V); 0 where an example has fewer outcomes."""
    real, logits = outcomes.place >= 0, logits if logits.dtype == torch.float64 else logits.float()
    rest = _rest(logits, outcomes.place[real], outcomes.outcome[real])
    place = outcomes.place.clamp_min(0)
    return torch.where(real, logits[place, outcomes.outcome] - rest[place], 0.0)


def _rest(logits: Tensor, place: Tensor, outcome: Tensor) -> Tensor:
    """Return log sum exp over what is not chosen, for each place (a,)."""
    taken = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    taken[place.reshape(-1), outcome.reshape(-1)] = True
    return logits.masked_fill(taken, -torch.inf).logsumexp(-1)


def _softmax(q: Tensor, together: Tensor) -> tuple[Tensor, Tensor]:
    """Return p (..., R) of outcomes against the others of their place and 0, and the logarithm of its normaliser."""
    others = q.unsqueeze(-2).expand(*q.shape, q.shape[-1]).masked_fill(~together, -torch.inf)
    log_z = torch.cat([others, torch.zeros_like(q).unsqueeze(-1)], -1).logsumexp(-1)
    return (q - log_z).exp(), log_z
