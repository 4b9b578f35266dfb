"""Settings of the gradient estimator, checked: metrics, directions, finite training, retrained runs.

mu = 1 / (learning rate x steps) stands for plain gradient descent that starts from W0 and stops early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .code import code_of

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


def measured_by(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Return what tells the metrics apart in a fingerprint: their names, or the code of functions."""
    return {
        f"metric.{name}": metric if isinstance(metric, str) else code_of(metric).get("code", "a function")
        for name, metric in metrics.items()
    }


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


def stated(found: dict[str, Any] | None) -> dict[str, Any]:
    """Return what notes say of an agreement: the verdict, its reason and the figures, or that nothing judges."""
    if found is None:
        return {"verdict": "unknown", "reason": "no retrained masks to judge by; pass retrained="}
    return {"verdict": found["verdict"], "reason": found["reason"], "retrained": found}


def aligned(runs: Evaluations, tasks: tuple[str, ...], targets: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Masks (m, K) and values (m, T) of runs, columns in the order of tasks and targets."""
    for what, ours, theirs in (("task", tasks, runs.tasks), ("target", targets, runs.targets)):
        missing = [name for name in ours if name not in theirs]
        if missing or (what == "task" and len(ours) != len(theirs)):
            raise ValueError(
                f"retrained has the {what}s {', '.join(theirs)}; the estimator has {', '.join(ours)}. Name them alike."
            )
    masks = np.asarray(runs.masks)[:, [runs.tasks.index(name) for name in tasks]]
    return masks, np.asarray(runs.values)[:, [runs.targets.index(name) for name in targets]]


def truth_of(runs: Evaluations, tasks: tuple[str, ...], targets: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct masks and mean values of retrained runs, columns in the order of tasks and targets."""
    rows, values = aligned(runs, tasks, targets)
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
