"""What is asked of `evaluate`, checked before anything is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .fields import EvaluationsError
from .kinds import fitting_kind

__all__ = ["check_evaluator", "check_how", "check_masks", "check_seeds", "check_table"]

#: Characters of a tag or a fidelity.
LONGEST = 200


def check_how(*, workers: Any, retries: Any, timeout: Any, executor: Any, tag: Any) -> None:
    """Refuse what is no way to evaluate."""
    for name, value, least in (("workers", workers, 1), ("retries", retries, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; give a whole number >= {least}.")
        if value < least:
            raise ValueError(f"{name} is {value}; give a whole number >= {least}.")
    if timeout is not None and (not isinstance(timeout, int | float) or isinstance(timeout, bool)):
        raise TypeError(f"timeout is {timeout!r}; give seconds, or None.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; give seconds > 0, or None.")
    if executor not in (None, "ray") and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor is {executor!r}; give None (processes of this machine), 'ray', or an executor with "
            "submit(function, *arguments) -> future, as concurrent.futures has."
        )
    _check_word("tag", tag)


def check_evaluator(evaluator: Any, *, stored: bool) -> None:
    """Refuse what does not follow the protocol; a store needs a fingerprint."""
    name = type(evaluator).__name__
    if isinstance(evaluator, type):
        raise TypeError(f"evaluator is the class {evaluator.__name__}; pass an object: {evaluator.__name__}(...).")
    parts = ["tasks", "targets", "fidelity", "evaluate", *(["fingerprint"] if stored else [])]
    if lacking := [part for part in parts if not hasattr(evaluator, part)]:
        raise TypeError(f"evaluator {name} lacks {', '.join(lacking)}; see the protocol Evaluator.")
    for what in ("tasks", "targets"):
        if isinstance(getattr(evaluator, what), str):
            raise TypeError(f"{what} of {name} is {getattr(evaluator, what)!r}; give a sequence of names.")
    batch = getattr(evaluator, "batch", 1)
    if not isinstance(batch, int | np.integer) or batch < 1:
        raise TypeError(f"batch of {name} is {batch!r}; give a whole number >= 1.")
    _check_word("fidelity", evaluator.fidelity)


def check_table(masks: np.ndarray, tasks: Sequence[str], targets: Sequence[str] | None) -> None:
    """Refuse names of which no table can be built, before anything is evaluated."""
    from .evaluations import Evaluations

    named = ["target"] if targets is None else list(targets)
    if odd := [name for name in (*tasks, *named) if not isinstance(name, str)]:
        raise TypeError(f"{odd[0]!r} is the name of a task or target; names are text.")
    Evaluations.from_arrays(
        masks, np.zeros((len(masks), len(named))), tasks=tasks, targets=named, kind=fitting_kind(masks)
    )


def _check_word(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; give text.")
    if len(value) > LONGEST or not value.isprintable():
        raise EvaluationsError(f"{name} is {value[:40]!r}; give at most {LONGEST} characters that can be printed.")


def check_masks(masks: ArrayLike, tasks: Sequence[str] | None) -> np.ndarray:
    """Read masks (m, K), one column for each task where tasks have names."""
    K = None if tasks is None else len(tasks)
    try:
        designs = np.asarray(masks, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"masks cannot be read as an array of numbers ({error}); pass (m, {K or 'K'}).") from None
    if designs.ndim != 2 or not designs.size or (K is not None and designs.shape[1] != K):
        named = f", a column for each task of the evaluator: {', '.join(tasks[:4])}" if tasks else ""
        raise ValueError(
            f"masks has shape {designs.shape}; it must be (m, {K or 'K'}) with m >= 1{named}"
            f"{', ...' if tasks and len(tasks) > 4 else ''}."
        )
    if not np.isfinite(designs).all():
        i, k = np.argwhere(~np.isfinite(designs))[0]
        name = tasks[k] if tasks else f"task_{k}"
        raise ValueError(f"masks[{i}] has {designs[i, k]} for task {name!r}; every entry must be finite.")
    return designs


def check_seeds(seeds: int | Sequence[int]) -> np.ndarray:
    """Read how many seeds, or which, as an array (n,)."""
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds < 1:
            raise ValueError(f"seeds is {seeds}; ask for at least one, or list them.")
        return np.arange(int(seeds), dtype=np.int64)
    which = np.asarray(seeds)
    if which.ndim != 1 or (len(which) and which.dtype.kind not in "iu"):
        raise TypeError(f"seeds is {seeds!r}; pass how many (an int) or which ones (a sequence of ints).")
    if not len(which) or len(np.unique(which)) < len(which) or which.min() < 0:
        raise ValueError(f"seeds is {seeds!r}; list at least one seed >= 0, and each once.")
    if which.max() >= 2**63:
        raise ValueError(f"seeds holds {which.max()}; the largest is 2**63 - 1.")
    return which.astype(np.int64)
