"""The batches of a `Schedule` under a mask, as the ``batch_sampler`` of a PyTorch DataLoader.

The sampler yields lists of indices; `BatchSampler.over` goes through the loader and hands out, beside each batch, the
weights and the normaliser that belong to it, so that ``batch.mean(losses)`` is

    1/B sum_i s_{task of i} loss_i    with the B of the full batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .schedule import Absent, Batch, Schedule, _absent

__all__ = ["BatchSampler"]

Item = TypeVar("Item")


class BatchSampler:
    """Coupled batches for ``DataLoader(dataset, batch_sampler=...)``; PyTorch itself is not needed here.

    Parameters
    ----------
    schedule : Schedule, or what `Schedule` takes as its source
        With a source, ``seed``, ``batch_size`` and ``steps`` or ``epochs`` (and ``tasks``) make the schedule.
    mask : (K,) array
        Which tasks are present; other weights >= 0 multiply the loss of their examples.
    absent : {"weight", "drop"}
        What happens to the examples of absent tasks.

        "weight" (the default): they stay in their batch and weigh 0. Shapes are constant and every step draws as many
        random numbers (dropout, augmentation), so that nothing but the mask changes. Whoever forgets the weights
        gets the same values for every mask, and notices.

        "drop": they are left out, which saves their share of the time, and keeps them out of batch norm's statistics;
        but dropout then draws other numbers, so its noise is not shared. A batch of which nothing is left keeps its
        first example, with weight 0 (a DataLoader cannot collate an empty list, and leaving out the step would change
        the optimiser's state and learning rate).
    start : int
        First step, to go on from a checkpoint taken after ``start`` steps.

    Examples
    --------
    >>> sampler = BatchSampler({"a": 6, "b": 6}, [1, 0], seed=0, batch_size=4, steps=3)
    >>> [len(indices) for indices in sampler]
    [4, 4, 4]
    >>> loader = ([float(i) for i in indices] for indices in sampler)  # DataLoader(data, batch_sampler=sampler)
    >>> for values, batch in sampler.over(loader):
    ...     loss = batch.mean(np.array(values) ** 2)  # weights and normaliser are inside

    In PyTorch the loop is

    .. code-block:: python

        loader = DataLoader(dataset, batch_sampler=sampler)
        for (x, y), batch in sampler.over(loader):
            loss = batch.mean(cross_entropy(model(x), y, reduction="none"))
    """

    #: Read by libraries that wrap batch samplers.
    drop_last = False

    def __init__(
        self,
        schedule: Schedule | ArrayLike | Mapping[str, Any],
        mask: ArrayLike,
        *,
        seed: int | None = None,
        batch_size: int | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        tasks: Sequence[str] | None = None,
        absent: Absent = "weight",
        start: int = 0,
    ):
        given = {"seed": seed, "batch_size": batch_size, "steps": steps, "epochs": epochs, "tasks": tasks}
        if isinstance(schedule, Schedule):
            if twice := [name for name, value in given.items() if value is not None]:
                raise ValueError(f"{', '.join(twice)} given beside a Schedule, which has its own; leave that out.")
            self.schedule = schedule
        else:
            if seed is None or batch_size is None:
                missing = "seed" if seed is None else "batch_size"
                raise ValueError(f"{missing} is missing; pass {missing}=..., or a Schedule.")
            self.schedule = Schedule(
                schedule, seed=seed, batch_size=batch_size, steps=steps, epochs=epochs, tasks=tasks
            )
        self.mask = self.schedule.weights(mask)
        self.absent: Absent = _absent(absent)
        if not 0 <= start <= self.schedule.steps:
            raise ValueError(f"start is {start}; the schedule has {self.schedule.steps} steps.")
        self.start = int(start)

    @property
    def batch_size(self) -> int:
        """The normaliser: size of the full batch."""
        return self.schedule.batch_size

    def __len__(self) -> int:
        return self.schedule.steps - self.start

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.indices.tolist() for batch in self.batches())

    def batches(self) -> Iterator[Batch]:
        """Iterate over the batches with their weights, in the order in which the sampler yields their indices."""
        return (self._batch(step) for step in range(self.start, self.schedule.steps))

    def over(self, loader: Iterable[Item]) -> Iterator[tuple[Item, Batch]]:
        """Go through a loader that was made with this sampler; with each item comes the `Batch` it holds.

        Raises
        ------
        ValueError
            If the loader has another batch sampler, or ends before or after the schedule (as one that was split over
            several processes does).
        """
        own = getattr(loader, "batch_sampler", self)
        if self not in (own, getattr(own, "batch_sampler", None)):  # the second: wrapped once more
            raise ValueError("loader was not made with this sampler; use DataLoader(dataset, batch_sampler=sampler).")
        items = iter(loader)
        for step, batch in enumerate(self.batches(), self.start):
            try:
                item = next(items)
            except StopIteration:
                raise ValueError(f"loader ended before step {step} of {self.schedule.steps}{_SPLIT}") from None
            yield item, batch
        if next(items, _END) is not _END:
            raise ValueError(f"loader has more than the {len(self)} batches of the schedule{_SPLIT}")

    def _batch(self, step: int) -> Batch:
        batch = self.schedule._part(step, self.mask, self.absent)
        return batch if len(batch) else Batch(self.schedule.batch(step)[:1], np.zeros(1), self.batch_size)


_END = object()
_SPLIT = "; its batches no longer match their weights (a loader must not be split over processes or be reused midway)."
