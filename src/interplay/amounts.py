"""Tokens behind the effects of an answer: how often each task is read, benefit per billion tokens and unit of cost.

Which amount an effect stands for depends on the reading (`tokens`): all tokens of a task where it is left out of, or
added to, sets of tasks; those that a move or a removal shifts where mixtures are read, given the budget of a training.
Swaps and slopes stand for none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .players import Players
from .readings import Question
from .readings.questions import DELTA
from .tokens import Tokens

Array = NDArray[np.float64]
WHOLE = ("leave-one-out", "shapley", "banzhaf")


@dataclass(frozen=True, eq=False)
class Amounts:
    """Tokens of the players of an answer.

    Attributes
    ----------
    tokens : Tokens
        Of P players.
    moved : array (P,)
        Tokens that each effect stands for; NaN where it stands for none, or the budget is not known.
    epochs : array (P,)
        How often each is read at the reference; NaN where that is not known.
    """

    tokens: Tokens
    moved: Array
    epochs: Array

    def per_billion(self, effects: Array) -> Array:
        """Benefit per billion tokens, array (P, T)."""
        return self.tokens.per_billion(effects, self.moved)

    def per_cost(self, effects: Array) -> Array:
        """Benefit per unit of cost, array (P, T)."""
        return self.tokens.per_cost(effects, self.moved)


def amounts(tokens: Tokens, players: Players, asked: Question, budget: float | None) -> tuple[Amounts, tuple[str, ...]]:
    """Count the tokens that the effects of a question stand for; and say what cannot be counted."""
    own = tokens.joined(players.names, players.members)
    moved = epochs = np.full(len(own.tokens), np.nan)
    said: tuple[str, ...] = ()
    if asked.name in WHOLE:
        moved = own.tokens
    elif asked.name not in ("move", "removal") or asked.reference is None:
        said = (f"benefit per billion tokens is not shown: {asked.name} effects stand for no number of tokens.",)
    elif budget is None:
        said = ("epochs and benefit per billion tokens need the tokens that a training reads: budget= (--budget).",)
    else:
        epochs = own.epochs(asked.reference, budget)
        taken = asked.reference * budget
        moved = own.moved(asked.reference, DELTA, budget, asked.shares) if asked.name == "move" else taken
    return Amounts(own, moved, epochs), said
