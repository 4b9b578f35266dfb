"""Token counts of the tasks: the proportional mixture, repetition, and effects per token and per unit of cost.

Task k holds N_k different tokens, all of which together cost c_k to get (in any unit; reading them again is free). A
training reads B tokens of a mixture w. E_k is a benefit.

    proportional mixture    w_k = N_k / sum_j N_j                    every task is read equally often
    epochs                  w_k B / N_k                              how often task k is read
    a move of delta to k    w -> (1 - delta) w + delta e_k           n_k = delta (1 - w_k) B tokens more of task k
    the same in a phase     of the training's share s                n_k = delta (s - w_k) B
    leaving k out of all                                             n_k = N_k tokens fewer
    per billion tokens      E_k / (n_k / 1e9)                        tokens read, repeated ones too
    per unit of cost        E_k / (n_k c_k / N_k)                    n_k tokens at the price of k

Both are means over the whole move and no slopes: a move of another size has another benefit per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .fields import EvaluationsError, as_floats, as_names, frozen, listed

__all__ = ["Tokens"]

Array = NDArray[np.float64]
BILLION = 1e9


@dataclass(frozen=True, eq=False)
class Tokens:
    """How many tokens each task holds, and what they cost.

    Attributes
    ----------
    tasks : tuple of str (K,)
    tokens : array (K,)
    cost : array (K,)
        Of all tokens of a task; NaN where it is not known.

    Examples
    --------
    >>> tokens = Tokens(("web", "wiki"), np.array([9e9, 1e9]))
    >>> tokens.mixture.tolist(), tokens.epochs([0.5, 0.5], budget=4e9).round(2).tolist()
    ([0.9, 0.1], [0.22, 2.0])
    """

    tasks: tuple[str, ...]
    tokens: Array
    cost: Array = field(default_factory=lambda: np.array(np.nan))

    def __post_init__(self) -> None:
        tokens = np.atleast_1d(as_floats(self.tokens, "tokens"))
        tasks = as_names(self.tasks, "tasks", len(tokens))
        cost = np.broadcast_to(as_floats(self.cost, "cost"), tokens.shape)
        for name, values, known in (("tokens", tokens, tokens), ("cost", cost, np.nan_to_num(cost, nan=1.0))):
            for k in np.flatnonzero(~((known > 0) & np.isfinite(known)))[:1]:
                raise EvaluationsError(
                    f"{name} of task {tasks[k]!r} is {values[k]:g}; it must be a number above zero"
                    + (". Count its tokens." if name == "tokens" else ", or left empty where it is not known.")
                )
            object.__setattr__(self, name, frozen(values))
        object.__setattr__(self, "tasks", tasks)

    @classmethod
    def read(cls, path: str | Path, tasks: Sequence[str]) -> Tokens:
        """Read columns ``task``, ``tokens`` and, where it is known, ``cost``: one row for each of the tasks (K,).

        Raises
        ------
        EvaluationsError
            For a task that is unknown, missing or there twice, or a count or a cost that is not above zero.
        """
        from .formats.columns import as_numbers
        from .formats.points import sheet, tasks_of

        table = sheet(path)
        frame, name = table.frame, table.name
        if lacking := [column for column in ("task", "tokens") if column not in frame]:
            raise EvaluationsError(
                f"{name} has no column {lacking[0]!r} (its columns: {listed(list(frame.columns))}). Give 'task' and "
                "'tokens', and 'cost' where it is known, one row for each task."
            )
        index = tasks_of(table, tasks)
        for i, k in enumerate(index):
            if k in index[:i]:
                raise EvaluationsError(
                    f"{name}: row {i + 1} gives task {tasks[k]!r} again. Keep one row, or add them up."
                )
        if absent := [task for k, task in enumerate(tasks) if k not in index]:
            raise EvaluationsError(f"{name} has no row for {listed(absent)}. Every task of the runs needs its count.")
        order = np.argsort(index)
        tokens, cost = (
            as_numbers(frame, column, name, "Give a number.")[order] if column in frame else np.full(len(tasks), np.nan)
            for column in ("tokens", "cost")
        )
        return cls(tuple(tasks), tokens, cost)

    def over(self, tasks: Sequence[str]) -> Tokens:
        """The same in the order of some tasks (K,).

        Raises
        ------
        EvaluationsError
            For a task that is not counted.
        """
        if self.tasks == tuple(tasks):
            return self
        if absent := [task for task in tasks if task not in self.tasks]:
            raise EvaluationsError(f"tokens do not count {listed(absent)}. Every task of the runs needs its count.")
        own = [self.tasks.index(task) for task in tasks]
        return Tokens(tuple(tasks), self.tokens[own], self.cost[own])

    @property
    def mixture(self) -> Array:
        """The mixture (K,) in which every task is read equally often."""
        return self.tokens / self.tokens.sum()

    def reference(self, runs: ArrayLike) -> Array:
        """Return the proportional mixture (K,) of the tasks that some run (m, K) holds; of others nothing is known."""
        held = self.tokens * (np.asarray(runs, float) > 0).any(axis=0)
        return held / held.sum()

    def epochs(self, weights: ArrayLike, budget: float) -> Array:
        """How often each task is read when `budget` tokens are read of mixtures (..., K)."""
        return np.asarray(weights, float) * _budget(budget) / self.tokens

    def moved(self, reference: ArrayLike, delta: float, budget: float, share: ArrayLike = 1.0) -> Array:
        """Tokens (K,) by which a move of weight `delta` towards each task, from a reference (K,), raises it.

        Where training has phases, `share` (K,) is that of the phase of each task, of which `delta` is moved.
        """
        return delta * (np.asarray(share, float) - np.asarray(reference, float)) * _budget(budget)

    def per_billion(self, effects: ArrayLike, moved: ArrayLike | None = None) -> Array:
        """Benefit per billion tokens read, array (K, T); deviations may be given in place of effects.

        Parameters
        ----------
        effects : array (K, T)
        moved : array (K,), optional
            Tokens that the effects stand for, from `moved`; all that a task holds if not given (leave-one-out).
        """
        return _per(effects, (self.tokens if moved is None else np.asarray(moved, float)) / BILLION)

    def per_cost(self, effects: ArrayLike, moved: ArrayLike | None = None) -> Array:
        """Benefit per unit of cost, array (K, T); see `per_billion`. NaN where the cost is not known."""
        share = 1.0 if moved is None else np.asarray(moved, float) / self.tokens
        return _per(effects, self.cost * share)

    def joined(self, names: Sequence[str], members: Sequence[Sequence[int]]) -> Tokens:
        """Return the counts of players or groups (n,): sums over their members, tasks by their index."""
        tokens, cost = ([values[list(group)].sum() for group in members] for values in (self.tokens, self.cost))
        return Tokens(tuple(names), np.array(tokens), np.array(cost))


def _budget(tokens: float) -> float:
    if not (tokens > 0 and np.isfinite(tokens)):
        raise ValueError(f"budget is {tokens:g}; give the number of tokens that a training reads, as in 2e10.")
    return tokens


def _per(effects: ArrayLike, amount: Array) -> Array:
    """Divide effects (K, T) by amounts (K,); NaN where nothing moves."""
    return np.asarray(effects, float) / np.where(amount > 0, amount, np.nan)[:, None]
