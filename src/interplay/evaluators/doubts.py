"""What speaks against estimates around W0: a W0 that is not trained, moves out of reach, problems without an optimum.

gradient    |dL/dW at W0| over the typical |dL_k/dW| of a task: 0 at an optimum of all tasks
decrease    (L(W0) - L of the linear model's own optimum) / |L(W0)|: what training has left to win
"""

from __future__ import annotations

from dataclasses import dataclass

from ..gradients import Examples, Loss, Network
from ..gradients.examples import mean
from ..gradients.network import Tensor
from ..gradients.subspaces import task_gradients

__all__ = ["Start", "doubts", "untrained"]


@dataclass(frozen=True)
class Start:
    """How trained W0 is on all tasks.

    Attributes
    ----------
    gradient, decrease : float
        See the top of this file.
    warnings : tuple of str
    """

    gradient: float
    decrease: float
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, network: Network, train: Examples, outputs: Tensor, loss: Loss, weight_decay: float) -> Start:
        """Examine W0; `outputs` (n, C) are those of the linear model at its optimum on all tasks."""
        counts = train.counts
        gradients = task_gradients(network, train, loss)  # K numbers for each parameter
        total = (counts / counts.sum()).to(gradients) @ gradients + weight_decay * network.W0
        typical = float(counts @ gradients.norm(dim=1).double() / counts.sum())
        gradient = float(total.norm()) / max(typical, 1e-30)
        before, after = (
            float(mean(loss.value(f, train.labels), train.weights)) for f in (train.offset, outputs.double())
        )
        decrease = (before - after) / max(abs(before), 1e-30)
        guess = loss.best_constant(train.offset, train.labels, train.weights)
        if not untrained(before, after, guess, loss.least(train.labels, train.weights), loss.hard):
            return cls(gradient, decrease, ())
        guessing = "" if guess is None else f" (guessing one output for all: {guess:.3g})"
        warning = (
            f"W0 does not look trained on these tasks: its mean loss is {before:.3g}{guessing}, the linear model takes "
            f"it to {after:.3g}, and its gradient is {gradient:.2g} of a task's own. Estimates imitate training to the "
            "optimum: train W0 on all tasks first, or state training=(learning_rate, steps)."
        )
        return cls(gradient, decrease, (warning,))


def untrained(before: float, after: float, guess: float | None, least: float, hard: bool) -> bool:
    """Whether W0 does not look trained, by mean losses: W0's, the linear model's, the best constant's, the least.

    Classes can be told apart, so that W0 should beat guessing; numbers may hardly be predictable, so that W0 is
    only suspected where the linear model promises more than all the training so far has brought.
    """
    promised, before = before - after, before - least
    if guess is None:
        return promised > 0.5 * abs(before)
    guess -= least
    if hard:
        return before > 0.9 * guess or (promised > 0.5 * before and promised > 0.05 * guess)
    return promised > max(guess - before, 0.05 * abs(guess))


def doubts(move: float, gradient: float, tolerance: float, steps: int, weighed: str | None) -> list[str]:
    """What the reader of solved masks should be told.

    Parameters
    ----------
    move : float
        Longest displacement, in units of |W0|.
    gradient, tolerance, steps : float, float, int
        What the solver left, was asked to leave, and took.
    weighed : str or None
        How examples were weighed by rows that sum to one, None where there were none.
    """
    found = []
    if move > 1:
        found.append(
            f"a mask moves the parameters by {move:.2g} |W0|, outside the linear model's reach; state weight_decay, "
            "training=(learning_rate, steps) or retrained masks."
        )
    if gradient > max(1e-3, tolerance):
        found.append(
            f"the solver left a gradient of {gradient:.1g} of its start after {steps} steps; raise steps, or state "
            "weight_decay or training where the linear model has no optimum."
        )
    if weighed is not None:
        found.append(
            f"rows of masks sum to one, and normalise={weighed!r} takes them as weights of examples, so that a larger "
            'task counts for more; pass normalise="mixture" if they are shares of what is read.'
        )
    return found
