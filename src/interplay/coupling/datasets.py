"""The batches of a `Schedule` as one Hugging Face data set to be read from top to bottom.

Row t B + j is example j of batch t, with a column of weights s_{task}: a loop that reads B rows per step, in order,
and divides the weighted losses by B trains on the batches of the schedule. Examples of absent tasks stay (weight 0):
without them the rows of later batches would move up, and batches would differ between masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .schedule import Schedule

__all__ = ["coupled_dataset"]


def coupled_dataset(
    sources: Mapping[str, Any],
    mask: ArrayLike,
    *,
    seed: int,
    batch_size: int,
    steps: int | None = None,
    epochs: float | None = None,
    column: str = "weight",
) -> Any:
    """Return one `datasets.Dataset` whose order is the schedule, and whose weights are the mask.

    Parameters
    ----------
    sources : mapping of str to datasets.Dataset
        One data set per task, with the same columns.
    mask : (K,) array
        Which tasks are present, in the order of ``sources``; other weights >= 0 multiply the loss.
    seed, batch_size, steps, epochs
        See `Schedule`. ``batch_size`` is what one step of the optimiser takes: the size per device times gradient
        accumulation (times devices).
    column : str
        Name of the column of weights.

    Returns
    -------
    datasets.Dataset
        ``steps * batch_size`` rows. Read them in order, never shuffled; see ``examples/coupled_trainer`` for a
        `transformers.Trainer` (it needs ``remove_unused_columns=False``, or the weights are lost).

    Raises
    ------
    ImportError
        If ``datasets`` is not installed.
    ValueError
        If the data sets cannot be put together, or have a column of that name.
    """
    try:
        from datasets import Dataset, concatenate_datasets
    except ImportError as error:
        raise ImportError("coupled_dataset needs Hugging Face datasets: pip install datasets") from error
    schedule = Schedule(sources, seed=seed, batch_size=batch_size, steps=steps, epochs=epochs)
    weights = schedule.weights(mask)
    parts = []
    for (name, data), weight in zip(sources.items(), weights, strict=True):
        if not isinstance(data, Dataset):
            raise ValueError(f"sources[{name!r}] is of type {type(data).__name__}; give a datasets.Dataset.")
        if column in data.column_names:
            raise ValueError(f"sources[{name!r}] has a column {column!r} already; pass column='another name'.")
        parts.append(data.add_column(column, np.full(len(data), weight, np.float32)))  # type: ignore[call-arg]
    try:
        whole = concatenate_datasets(parts)
    except ValueError as error:
        raise ValueError(f"sources cannot be put together: {error} Give every data set the same columns.") from error
    return whole.select(np.concatenate([schedule.batch(step) for step in range(schedule.steps)]))
