"""Whether reactions foresee what losses really do, seen along the run itself: no mask is retrained for it.

At some steps t the reactions of the batch at W_t are asked for its losses at V, where the run was a few steps before,
with reactions (lhat) and to first order only (l0), and held against what they are there:

    misfit = sum |lhat_i - l_i| / sum |l0_i - l_i|    over the examples of these batches, l = losses at V

0 is exact, 1 no better than without reactions. Where it is large, copies mostly go where gradients do not lead them:
their values are of no use, and their order can be worse than that of contributions which are summed. It falls as more
outputs react.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from torch import Tensor

from .course import Course
from .reactions import Reactions

__all__ = ["Misfit", "warning"]

#: Looks along a run; each costs a pass over a batch without reactions.
LOOKS = 20
#: How many steps they look back, and the largest share of the run that this may be.
BACK, SHARE = 5, 1 / 6
#: Share of the steps before the first look: the first ones are small.
EARLY = 0.1
#: Misfit from which reactions are doubted. In nine trainings above it (a residual network with 2 or 4 of 10 outputs, a
#: small GPT-2 with 4 or 16) the centred error was above that of a constant in eight, and ranks were worse than without
#: reactions in five; the ninth is a false alarm, all 10 outputs under Adam. In twelve below it (at most .50; digits, a
#: transformer, SmolLM2, the residual network with 6 outputs or more) neither happened.
WORST = 0.53
#: An error of losses, as a share of them, that is only rounding.
ROUNDING = 1e-5


class Misfit:
    """The looks along one run of so many steps.

    Parameters
    ----------
    steps : int
    """

    def __init__(self, steps: int):
        self.back = max(1, min(BACK, int(SHARE * steps)))
        first = max(self.back, EARLY * steps)
        self.at = {int(t) for t in np.linspace(first, steps - 1, LOOKS).round()} if steps > self.back else set()
        self._past: deque[Tensor] = deque(maxlen=self.back)
        self._with = self._without = self._level = 0.0

    @property
    def value(self) -> float | None:
        """The misfit of the run; None where there was nothing to see."""
        return self._with / self._without if self._without > ROUNDING * self._level else None

    def look(self, course: Course, t: int, W: Tensor, indices: np.ndarray, found: Reactions) -> None:
        """Look back from step t, if it is one of those, at W (p,) with the reactions of its batch."""
        if t in self.at:
            V = self._past[0]
            move, real = (V - W)[None], course.reactions(V, indices, 0).losses
            self._with += float((found.moved(move)[0] - real).abs().sum())
            self._without += float((found.losses + (move @ found.gradients.T)[0] - real).abs().sum())
            self._level += float(real.abs().sum())
        self._past.append(W.clone())


def warning(value: float, react: int | None) -> str:
    """Say what a misfit that is too large means, and what to do."""
    now = "the default: 2 outcomes of a language model, else all outputs or 8" if react is None else str(react)
    return (
        f"reactions foresee little of what losses do along the run: their error is {value:.2f} of that without them. "
        f"From {WORST} on values were mostly no better than a constant, and ranks often worse than with react=0. "
        f"Raise react (now {now}), or retrain a few masks and compare (Imitation)."
    )
