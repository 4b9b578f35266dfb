"""The trainings on which a verdict about coupling rests: one task's weight and the seed vary, all else stays.

A training is F(s; seed) with s = 1 but for task k, whose weight is w. Distances between values of T targets are pooled,
each target in its own unit u_t:

    d(x, y)^2 = mean_t ((x_t - y_t) / u_t)^2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluators.failures import EvaluationFailed

__all__ = ["Trainings", "distance", "units"]

Array = NDArray[np.float64]


class Trainings:
    """Runs an evaluator on masks that differ in task k, each mask and seed once.

    Parameters
    ----------
    evaluator : Evaluator
    tasks : sequence of str (K,)
    k : int
    """

    def __init__(self, evaluator: Any, tasks: Sequence[str], k: int):
        self.evaluator, self.tasks, self.k = evaluator, tuple(tasks), k
        self.targets: tuple[str, ...] | None = None
        self.seeds: dict[int, None] = {}
        self._values: dict[tuple[int, float, int, int], Array] = {}

    def __call__(self, w: float, seed: int, *, repeat: int = 0, another: bool = False) -> Array:
        """Return the values ``(T,)`` with weight ``w`` for task k.

        Parameters
        ----------
        w : float
        seed : int
        repeat : int
            Asks for one more of the same.
        another : bool
            The weight is that of the task after k.

        Raises
        ------
        EvaluationFailed
            If the function raises, or returns other targets than before or values that are not finite.
        """
        k = (self.k + another) % len(self.tasks)
        key = (k, w, seed, repeat)
        if key not in self._values:
            self._values[key] = self._train(k, w, seed)
            self.seeds[seed] = None
        return self._values[key]

    def records(self) -> tuple[dict[str, Any], ...]:
        """Return what was trained, JSON-able: a task and its weight, the seed, and each target's value."""
        targets = self.targets or ()
        return tuple(
            {
                "task": self.tasks[k],
                "weight": w,
                "seed": seed,
                "values": dict(zip(targets, values.tolist(), strict=True)),
            }
            for (k, w, seed, _), values in self._values.items()
        )

    def _train(self, k: int, w: float, seed: int) -> Array:
        mask = np.ones((1, len(self.tasks)))
        mask[0, k] = w
        where = f"the training with weight {w:g} for task {self.tasks[k]!r} and 1 for the others, seed {seed}"
        try:
            values = np.asarray(self.evaluator.evaluate(mask, np.array([seed])), float)
        except Exception as error:
            kind = "" if isinstance(error, EvaluationFailed) else f"{type(error).__name__}: "
            raise EvaluationFailed(f"{where}, failed: {kind}{error}") from error
        if values.ndim != 2 or len(values) != 1 or not values.shape[1]:
            raise EvaluationFailed(
                f"{where}, gave values of shape {values.shape}; it must be (1, T), a value per target."
            )
        named = getattr(self.evaluator, "targets", None)
        targets = tuple(named) if named is not None else tuple(f"target_{t}" for t in range(values.shape[1]))
        if self.targets is None:
            self.targets = targets
        if targets != self.targets or len(targets) != values.shape[1]:
            raise EvaluationFailed(
                f"{where}, gave {values.shape[1]} values for targets {', '.join(targets)}; the first training had "
                f"{', '.join(self.targets)}. Every training must return the same targets."
            )
        if not np.isfinite(values).all():
            t = int(np.flatnonzero(~np.isfinite(values[0]))[0])
            raise EvaluationFailed(f"{where}, gave {values[0, t]} for target {targets[t]!r}; a training that diverged?")
        return values[0]


def units(values: Sequence[Array]) -> Array:
    """Return a unit ``(T,)`` for each target from a few trainings; inf where a target never moves.

    It is the standard deviation, drawn half-way (in squares) to what is usual among the targets relative to their
    size: of few trainings one target or another hardly moves by chance, and would count for all.
    """
    spread, size = np.std(np.stack(values), axis=0), np.abs(np.mean(values, axis=0))
    moving = (spread > 0) & (size > 0)
    usual = np.median((spread[moving] / size[moving]) ** 2) if moving.any() else 0.0
    return np.where(spread > 0, np.sqrt((spread**2 + usual * size**2) / 2), np.inf)


def distance(x: Array, y: Array, unit: Array) -> float:
    """Return d(x, y), over the targets that move.

    Examples
    --------
    >>> distance(np.array([1.0, 5.0]), np.array([3.0, 5.0]), np.array([2.0, np.inf]))
    1.0
    """
    moving = np.isfinite(unit)
    return float(np.sqrt(np.mean(((x - y)[moving] / unit[moving]) ** 2))) if moving.any() else 0.0
