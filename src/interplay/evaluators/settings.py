"""Settings of the gradient estimator, checked: metrics, directions, finite training, retrained runs.

mu = 1 / (learning rate x steps) stands for plain gradient descent that starts from W0 and stops early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..evaluations import Evaluations

#: Named metrics, and whether more of them is better.
METRICS = {"loss": False, "accuracy": True, "mse": False, "mae": False}
Metric = str | Callable[[Any, Any], Any]


def metrics_of(
    metric: Metric | Mapping[str, Metric], targets: tuple[str, ...], known: Sequence[str] = ("loss", "accuracy")
) -> dict[str, Metric]:
    """Metric of each target, checked; `known` are the names that the training loss can measure."""
    found = dict(metric) if isinstance(metric, Mapping) else dict.fromkeys(targets, metric)
    if set(found) != set(targets):
        raise ValueError(f"metric names the targets {sorted(found)}; there are {sorted(targets)}. Name each once.")
    for name, one in found.items():
        if not callable(one) and one not in known:
            names = ", ".join(repr(other) for other in known)
            raise ValueError(f"metric of target {name!r} is {one!r}; with this loss use {names} or a callable.")
    return {name: found[name] for name in targets}


def directions_of(given: bool | Mapping[str, bool] | None, metrics: Mapping[str, Metric]) -> tuple[bool, ...]:
    """Whether more is better, per target: known for named metrics, stated for functions."""
    stated = dict(given) if isinstance(given, Mapping) else dict.fromkeys(metrics, given)
    directions = []
    for name, metric in metrics.items():
        known = METRICS.get(metric) if isinstance(metric, str) else stated.get(name)
        if known is None:
            raise ValueError(
                f"higher_is_better of target {name!r} is not stated and its metric is a function. "
                f"Pass higher_is_better={{{name!r}: True}} or False."
            )
        directions.append(bool(known))
    return tuple(directions)


def mu_of(mu: float | None, training: tuple[float, int] | None) -> tuple[float, str]:
    """Coefficient mu and where it comes from: stated, training or none."""
    if mu is not None and training is not None:
        raise ValueError("mu and training are both given; training sets mu = 1 / (learning_rate x steps). Pass one.")
    if mu is not None:
        check_number("mu", mu)
        return float(mu), "stated"
    if training is None:
        return 0.0, "none"
    try:
        rate, steps = (float(v) for v in training)
    except (TypeError, ValueError):
        raise ValueError(f"training is {training!r}; pass (learning_rate, steps), such as (0.1, 500).") from None
    if not (rate > 0 and steps > 0):
        raise ValueError(f"training is {training!r}; learning rate and steps must be positive.")
    return 1.0 / (rate * steps), "training"


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


def stated(found: dict[str, Any] | None) -> dict[str, Any]:
    """Return what notes say of an agreement: the verdict, its reason and the figures, or that nothing judges."""
    if found is None:
        return {"verdict": "unknown", "reason": "no retrained masks to judge by; pass retrained="}
    return {"verdict": found["verdict"], "reason": found["reason"], "retrained": found}


def aligned(
    runs: Evaluations, tasks: tuple[str, ...], targets: tuple[str, ...], argument: str = "retrained"
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (m, K) and values (m, T) of runs, columns in the order of tasks and targets."""
    for what, ours, theirs in (("task", tasks, runs.tasks), ("target", targets, runs.targets)):
        missing = [name for name in ours if name not in theirs]
        if missing or (what == "task" and len(ours) != len(theirs)):
            raise ValueError(
                f"{argument} has the {what}s {', '.join(theirs)}; the estimator has {', '.join(ours)}. Name them alike."
            )
    masks = np.asarray(runs.masks)[:, [runs.tasks.index(name) for name in tasks]]
    return masks, np.asarray(runs.values)[:, [runs.targets.index(name) for name in targets]]


def truth_of(
    runs: Evaluations, tasks: tuple[str, ...], targets: tuple[str, ...], argument: str = "retrained"
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct masks and mean values of retrained runs, columns in the order of tasks and targets."""
    rows, values = aligned(runs, tasks, targets, argument)
    masks, group = np.unique(rows, axis=0, return_inverse=True)
    sums, seen = np.zeros((len(masks), len(targets))), np.zeros((len(masks), len(targets)))
    np.add.at(sums, group.reshape(-1), np.nan_to_num(values))
    np.add.at(seen, group.reshape(-1), np.isfinite(values))
    means = np.full(sums.shape, np.nan)
    np.divide(sums, seen, out=means, where=seen > 0)
    return masks, means


def check_rows(masks: np.ndarray, K: int) -> np.ndarray:
    """Masks or non-negative weights (b, K), checked, as rows of their own that torch can take."""
    rows = np.array(masks, dtype=float, order="C")  # torch wants writable rows of positive stride
    if rows.ndim != 2 or rows.shape[1] != K:
        raise ValueError(f"masks has shape {rows.shape}; (b, {K}) is needed, one column per task.")
    if not np.isfinite(rows).all() or (rows < 0).any():
        raise ValueError("masks holds negative or non-finite values; pass 0/1 masks or non-negative weights.")
    return rows


def check_choice(argument: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{argument} is {value!r}; it must be one of {', '.join(choices)}.")


def check_number(argument: str, value: float) -> None:
    """Refuse a negative or non-finite number."""
    if not np.isfinite(value) or value < 0:
        raise ValueError(f"{argument} is {value!r}; it must be a finite number >= 0.")
