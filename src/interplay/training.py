"""How the runs were trained where a task was left out: it changes every effect, and must be stated.

fixed steps    the absent task's share of the training goes to the others, or is dropped from the batches
fixed epochs   without it the training is shorter
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["WAYS", "training"]

WAYS = {
    "fixed_steps": "the number of steps is the same for every mask",
    "fixed_epochs": "every example is read equally often, so that runs with fewer tasks are shorter",
}


def training(notes: Mapping[str, Any]) -> str:
    """Say how runs were trained without a task; ``notes["absent_tasks"]`` states it.

    Examples
    --------
    >>> training({"absent_tasks": "fixed_steps"})
    'Training without a task: the number of steps is the same for every mask.'
    """
    way = notes.get("absent_tasks")
    if way is None:
        return "Training without a task: not stated; fixed steps or fixed epochs change every effect (--trained)."
    return f"Training without a task: {WAYS.get(str(way), str(way))}."
