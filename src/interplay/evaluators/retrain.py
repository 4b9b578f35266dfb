"""F(s) by calling a user's function: any framework, one run at a time.

Coupled seeds (design: section 3): within a seed all masks should share initial weights and batch schedule; the function
takes both from `seed` and drops the examples of absent tasks, so that nothing else changes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import numpy as np

from .code import code_of, name_of, names_in
from .digests import flat
from .results import ALONE, notes_of, row_of
from .rows import checked_rows
from .seeding import seeded

__all__ = ["Retrain"]

_TORCH = frozenset(("torch", "transformers", "lightning", "pytorch_lightning", "peft", "trl"))


class Retrain:
    """Evaluate masks by a function that trains and measures: ``fn(mask, seed) -> {target: number}``.

    Parameters
    ----------
    fn : callable
        Takes a mask (K,), a float array of its own with 0 or 1 (or a weight) for each task, and the seed, an int. It
        returns a number for each target, the same targets every time; a bare number is the one target ``"target"``.
    tasks : sequence of str, optional
        Names of the K tasks; without them they are called task_0, task_1, ...
    targets : sequence of str, optional
        Names of the T targets; without them they are learnt from the first result.
    higher_is_better : sequence of bool or of names, optional
        Direction of each target, or the targets (names, globs) that go up; None: guessed from their names.
    fidelity : str
        ``"retrained"``, or a word for a cheaper or dearer way of training, such as a model size.
    coupled : bool, optional
        Whether all masks of a seed share initial weights and batch schedule; None where it is not known.
    absent_tasks : {"fixed_steps", "fixed_epochs"}, optional
        What happens to the training without a task; None where it is not known.
    settings : mapping, optional
        What else changes the values (learning rate, version of the data), JSON-able: compared with the store.
    version : str, optional
        Stands in the place of the function's code where runs are compared: with it the code may change, and whoever
        changes what the runs return must change the version.
    seed_globals : bool
        Seed the global generators of `random`, NumPy and torch before each call, and put them back after it: a
        function that draws from them returns the same in whatever order and process.

    Attributes
    ----------
    notes : dict
        ``coupled`` and ``absent_tasks``, where they are stated.

    Examples
    --------
    >>> def train(mask, seed):
    ...     return {"loss": 1.0 - 0.5 * mask[0] * mask[1], "accuracy": mask.mean()}
    >>> runs = Retrain(train, tasks=["code", "prose"])
    >>> runs.evaluate(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([0, 0])).tolist()
    [[0.5, 1.0], [1.0, 0.5]]
    >>> runs.targets
    ('loss', 'accuracy')
    """

    batch = 1
    isolated = False

    def __init__(
        self,
        fn: Callable[[np.ndarray, int], Any],
        *,
        tasks: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        higher_is_better: Sequence[bool] | Sequence[str] | None = None,
        fidelity: str = "retrained",
        coupled: bool | None = None,
        absent_tasks: str | None = None,
        settings: Mapping[str, Any] | None = None,
        version: str | None = None,
        seed_globals: bool = True,
    ):
        _check_function(fn)
        self.fn, self.seed_globals, self.fidelity = fn, seed_globals, fidelity
        self.tasks = None if tasks is None else tuple(tasks)
        self.targets = None if targets is None else tuple(targets)
        self.higher_is_better = higher_is_better
        self.notes = notes_of(coupled, absent_tasks)
        self._who = f"{name_of(fn)}(mask, seed)"
        self._uses_torch = bool(_TORCH & names_in(fn))
        code = code_of(fn)  # as it is now: what runs may change the variables around it
        if version is not None:
            code = {key: value for key, value in code.items() if key != "code"} | {"version": str(version)}
        self._fingerprint = {**code, **flat(settings or {}, "settings")}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: code, the values it reads, settings."""
        return dict(self._fingerprint)

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Call the function for each row.

        Parameters
        ----------
        masks : (b, K) array
        seeds : (b,) array of int

        Returns
        -------
        (b, T) array

        Raises
        ------
        EvaluationFailed
            If a target is missing, extra, no number or not finite. What the function raises passes through.
        """
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        if self.seed_globals and self._uses_torch and "torch" not in sys.modules:
            import_module("torch")  # imported by the first run only, it would be seeded from the second on
        rows = []
        for mask, seed in zip(masks, seeds.tolist(), strict=True):
            with seeded(seed) if self.seed_globals else nullcontext():
                result = self.fn(mask.copy(), seed)
            if not isinstance(result, Mapping) and _is_number(result):
                alone = self.targets[0] if self.targets is not None and len(self.targets) == 1 else ALONE
                result = {alone: result}
            self.targets, row = row_of(result, self.targets, self._who)
            rows.append(row)
        return np.array(rows).reshape(len(masks), len(self.targets or ()))


def _is_number(result: Any) -> bool:
    return hasattr(result, "__float__") and not getattr(result, "ndim", 0)


def _check_function(fn: Any) -> None:
    if not callable(fn):
        raise TypeError(f"fn is a {type(fn).__name__}; pass a function fn(mask, seed) -> {{target: number}}.")
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(np.ones(1), 0)
    except TypeError as error:
        raise TypeError(f"fn{signature} cannot be called as fn(mask, seed): {error}.") from None
