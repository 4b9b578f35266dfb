"""Evaluators: whatever turns masks s (b, K) and seeds (b,) into values F(s) (b, T).

`evaluate` runs one on a design and checks what comes back; `Evaluator` states the protocol, which any object of the
user's can follow. Ours: `BatchedRetrain` (many small torch models trained at once), `Linearized` (the gradient
estimator: all masks from one trained model, without retraining), `Ensemble` (the mean of several). They are imported
when they are first used, so that nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from .batched import BatchedRetrain
    from .ensemble import Ensemble
    from .linearized import Linearized

__all__ = ["BatchedRetrain", "Ensemble", "Evaluator", "Linearized", "evaluate"]

_LAZY = {"BatchedRetrain": "batched", "Linearized": "linearized", "Ensemble": "ensemble"}

#: Rows handed over at once when somebody watches the progress.
BATCH = 50


@runtime_checkable
class Evaluator(Protocol):
    """What `evaluate` asks of an evaluator.

    Within a seed all masks should share whatever is random (initial weights, batch schedule): coupled seeds make
    effects far more reproducible. Say in ``notes`` whether they do: ``{"coupled": True}``.

    Attributes
    ----------
    tasks, targets : sequence of str
        Names of the K tasks and T targets.
    higher_is_better : sequence of bool
        Direction of each target.
    fidelity : str
        ``"retrained"``, ``"estimated"``, or a word of the user's such as a model size.
    notes : mapping
        Facts that travel with the runs (JSON-able); read after the last call of ``evaluate``.
    """

    @property
    def tasks(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def targets(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def higher_is_better(self) -> Sequence[bool]: ...  # noqa: D102

    @property
    def fidelity(self) -> str: ...  # noqa: D102

    @property
    def notes(self) -> Mapping[str, Any]: ...  # noqa: D102

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the values ``(b, T)`` of masks ``(b, K)``, each under its seed ``(b,)``."""
        ...


def evaluate(
    evaluator: Evaluator,
    masks: ArrayLike,
    *,
    seeds: int | Sequence[int] = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluations:
    """Run an evaluator on every mask under every seed.

    Parameters
    ----------
    evaluator : Evaluator
    masks : (m, K) array
        Masks, mixtures or weights.
    seeds : int or sequence of int
        How many seeds (0, 1, ...), or which ones.
    progress : callable, optional
        Called as ``progress(done, total)`` before the first row and after every batch of rows; without it all rows
        are handed over at once.

    Returns
    -------
    Evaluations
        One row per (mask, seed), all masks of the first seed first.

    Raises
    ------
    TypeError
        If ``evaluator`` lacks a part of the protocol, or ``seeds`` are no integers.
    ValueError
        If masks do not fit the tasks, or values come back in the wrong shape or not finite.

    Examples
    --------
    >>> from interplay.problems import games
    >>> runs = evaluate(games.additive_game([0.5, -0.2]), [[1, 1], [0, 1]])
    >>> runs.values[:, 0].round(6).tolist()
    [0.3, -0.2]
    """
    from ..evaluations import Evaluations

    parts = ("tasks", "targets", "higher_is_better", "fidelity", "notes", "evaluate")
    if lacking := [part for part in parts if not hasattr(evaluator, part)]:
        raise TypeError(f"evaluator {type(evaluator).__name__} lacks {', '.join(lacking)}; see the protocol Evaluator.")
    tasks, targets = tuple(evaluator.tasks), tuple(evaluator.targets)
    designs, which = _check_masks(masks, tasks), _check_seeds(seeds)
    rows, row_seeds = np.tile(designs, (len(which), 1)), np.repeat(which, len(designs))
    total = len(rows)
    batch = total if progress is None else BATCH
    values = np.empty((total, len(targets)))
    if progress is not None:
        progress(0, total)
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        part = np.asarray(evaluator.evaluate(rows[start:stop], row_seeds[start:stop]), float)
        _check_values(part, stop - start, targets, rows[start:stop], row_seeds[start:stop])
        values[start:stop] = part
        if progress is not None:
            progress(stop, total)
    return Evaluations.from_arrays(
        rows,
        values,
        tasks=tasks,
        targets=targets,
        higher_is_better=tuple(evaluator.higher_is_better),
        fidelity=evaluator.fidelity,
        seed=row_seeds,
        origin=type(evaluator).__name__,
        notes=dict(evaluator.notes),
    )


def _check_masks(masks: ArrayLike, tasks: tuple[str, ...]) -> np.ndarray:
    try:
        designs = np.asarray(masks, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"masks cannot be read as an array of numbers ({error}); pass (m, {len(tasks)}).") from None
    if designs.ndim != 2 or designs.shape[1] != len(tasks) or not len(designs):
        raise ValueError(
            f"masks has shape {designs.shape}; it must be (m, {len(tasks)}) with m >= 1, a column for each task of the "
            f"evaluator: {', '.join(tasks[:4])}{', ...' if len(tasks) > 4 else ''}."
        )
    if not np.isfinite(designs).all():
        i, k = np.argwhere(~np.isfinite(designs))[0]
        raise ValueError(f"masks[{i}] has {designs[i, k]} for task {tasks[k]!r}; every entry must be finite.")
    return designs


def _check_seeds(seeds: int | Sequence[int]) -> np.ndarray:
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds is {seeds}; ask for at least one, or list them.")
        return np.arange(int(seeds), dtype=np.int64)
    which = np.asarray(seeds)
    if which.ndim != 1 or (len(which) and which.dtype.kind not in "iu"):
        raise TypeError(f"seeds is {seeds!r}; pass how many (an int) or which ones (a sequence of ints).")
    if not len(which) or len(np.unique(which)) < len(which) or which.min() < 0:
        raise ValueError(f"seeds is {seeds!r}; list at least one seed >= 0, and each once.")
    return which.astype(np.int64)


def _check_values(values: np.ndarray, b: int, targets: tuple[str, ...], masks: np.ndarray, seeds: np.ndarray) -> None:
    if values.shape != (b, len(targets)):
        raise ValueError(
            f"the evaluator returned shape {values.shape} for {b} masks and {len(targets)} targets; it must return "
            f"({b}, {len(targets)})."
        )
    bad = np.isinf(values) | np.isnan(values).all(axis=1, keepdims=True)
    if bad.any():
        i, t = np.argwhere(bad)[0]
        raise ValueError(
            f"the evaluator returned {values[i, t]} for target {targets[t]!r} (seed {seeds[i]}, "
            f"{int((masks[i] > 0).sum())} tasks present); a training that diverged? Lower its learning rate, or leave "
            "that mask out. NaN is allowed where a target was not measured, if others were."
        )


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
