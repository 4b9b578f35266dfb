"""Batches of a training run, fixed by the seed alone, and what a mask takes out of them.

Epoch e is a permutation pi_e of all N examples, drawn from (seed, e). The epochs stand one behind the other, and
batch t is positions t B, ..., (t + 1) B - 1 of that row: batches run on over the end of an epoch, so that every batch
is full and every epoch holds each example once. Under a mask or weights s (K,) the loss of step t is

    L_t = 1/B sum_{i in batch t} s_{task of i} loss_i .

B stays, whatever is absent: dividing by the number of examples present instead would turn up the others' weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Batch", "Schedule", "coupled_mean"]

Absent = Literal["weight", "drop"]

#: First word of the key of every permutation, so that other generators of the same seed draw something else.
STREAM = 48


def coupled_mean(losses: Any, weights: Any, batch_size: int) -> Any:
    """Weigh the losses of a batch and divide by the size of the full batch, absent examples included.

    Parameters
    ----------
    losses : (n,) array or tensor
        One loss per example (in PyTorch: ``reduction="none"``). NumPy, PyTorch and JAX arrays stay what they are.
    weights : (n,) array or tensor
        Weight of each example; 0 where it is absent.
    batch_size : int
        Size of the full batch. The parts of a batch (gradient accumulation) are divided by the full one too, and added.

    Returns
    -------
    scalar of the kind of ``losses``
        ``(weights * losses).sum() / batch_size``.

    Raises
    ------
    ValueError
        If ``losses`` are no longer one per example, or do not fit the weights.

    Examples
    --------
    >>> float(coupled_mean(np.array([0.5, 2.0, 1.0]), [1, 0, 1], batch_size=4))
    0.375
    """
    if isinstance(losses, list | tuple):
        losses = np.asarray(losses, float)
    shape = tuple(getattr(losses, "shape", ()))
    if len(shape) != 1 or shape[0] != len(weights):
        raise ValueError(
            f"losses has shape {shape}; it must be ({len(weights)},), one loss per example of the batch "
            "(reduction='none'; average or sum over an example's own tokens first)."
        )
    if hasattr(losses, "new_tensor"):  # PyTorch
        weights = weights.to(losses) if hasattr(weights, "to") else losses.new_tensor(np.asarray(weights))
    elif not hasattr(weights, "shape"):
        weights = np.asarray(weights, float)
    return (weights * losses).sum() / batch_size


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step trains on.

    Attributes
    ----------
    indices : int array (n,)
        Examples, in the order of the schedule.
    weights : array (n,)
        Weight of each.
    batch_size : int
        The normaliser: size of the full batch, absent examples included.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]
    batch_size: int

    def __len__(self) -> int:
        return len(self.indices)

    def mean(self, losses: Any) -> Any:
        """Return the loss to train on, from the losses ``(n,)`` of the examples, one by one: `coupled_mean`."""
        return coupled_mean(losses, self.weights, self.batch_size)


class Schedule:
    """Batches of example indices that depend on the seed and on nothing else.

    Parameters
    ----------
    source : (N,) array, or mapping of str to int or a sized object
        Which task each example belongs to: numbers 0 ... K - 1, or names (then ``tasks`` says their order). Or how many
        examples each task has, ``{"code": 1200, "web": 5000}``, or the data sets themselves: examples are then
        numbered through, task after task.
    seed : int
        The run's seed. Every mask trained under it gets the same batches.
    batch_size : int
        Examples per step, at most N.
    steps, epochs : int, float
        Length of the training; give one of them. Only the very last batch can be short, and only with ``epochs`` (each
        example is then read exactly that often); it is divided by ``batch_size`` like all others, so that its
        examples weigh what they weigh elsewhere.
    tasks : sequence of str, optional
        Names of the K tasks, in the order of the masks.

    Attributes
    ----------
    tasks : tuple of str or None
    K, N, steps : int
        Numbers of tasks, of examples and of batches.

    Notes
    -----
    One permutation of N is drawn per epoch and at most two are kept (4 bytes per example each): 10 million examples
    cost about a second per epoch. Any step can be asked for at any time, so a run can be resumed anywhere.

    Examples
    --------
    >>> schedule = Schedule({"a": 4, "b": 4}, seed=0, batch_size=4, epochs=1)
    >>> sorted(schedule.batch(0).tolist() + schedule.batch(1).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    >>> without_b = list(schedule.under([1, 0], absent="drop"))
    >>> [bool((batch.indices < 4).all()) for batch in without_b], without_b[0].batch_size
    ([True, True], 4)
    """

    def __init__(
        self,
        source: ArrayLike | Mapping[str, Any],
        *,
        seed: int,
        batch_size: int,
        steps: int | None = None,
        epochs: float | None = None,
        tasks: Sequence[str] | None = None,
    ):
        self.source, self.tasks, self.K = _read_source(source, tasks)
        self.N = len(self.source)
        self.seed = _whole("seed", seed, least=0)
        self.batch_size = _whole("batch_size", batch_size, least=1)
        if self.batch_size > self.N:
            raise ValueError(f"batch_size is {batch_size}, and there are {self.N} examples; use 1 to {self.N}.")
        if (steps is None) == (epochs is None):
            raise ValueError(f"steps is {steps} and epochs is {epochs}; give one of them.")
        if steps is not None:
            self.steps = _whole("steps", steps, least=1)
            self._total = self.steps * self.batch_size
        else:
            self._total = round(float(epochs or 0) * self.N)
            if self._total < 1:
                raise ValueError(f"epochs is {epochs}; it must be positive.")
            self.steps = -(-self._total // self.batch_size)
        self._orders: dict[int, NDArray[np.integer]] = {}

    def __len__(self) -> int:
        return self.steps

    def __repr__(self) -> str:
        what = f"{self.N} examples of {self.K} tasks, {self.steps} batches of {self.batch_size}, seed {self.seed}"
        return f"Schedule({what})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_orders": {}}

    def epoch(self, e: int) -> NDArray[np.int64]:
        """Return the order ``(N,)`` in which epoch ``e`` reads the examples, each once."""
        return self._order(_whole("e", e, least=0)).astype(np.int64)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the examples ``(B,)`` of a step, absent tasks' included."""
        step = _whole("step", step, least=0)
        if step >= self.steps:
            raise IndexError(f"step is {step}; the schedule has {self.steps} (0 to {self.steps - 1}).")
        start = step * self.batch_size
        stop = min(start + self.batch_size, self._total)
        parts = []
        for e in range(start // self.N, (stop - 1) // self.N + 1):
            parts.append(self._order(e)[max(start - e * self.N, 0) : stop - e * self.N])
        return np.concatenate(parts).astype(np.int64)

    def weights(self, mask: ArrayLike) -> NDArray[np.float64]:
        """Check a mask or weights and return them as an array ``(K,)``; entries > 0 are present."""
        weights = np.array(mask, float)
        if weights.shape != (self.K,):
            raise ValueError(
                f"mask has shape {weights.shape}; it must be ({self.K},), one entry per task. If the last tasks "
                "have no examples here, leave them out of the mask."
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            k = int(np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[0])
            name = self.tasks[k] if self.tasks else k
            raise ValueError(f"mask has {weights[k]:g} for task {name!r}; use 0 (absent), 1, or another weight >= 0.")
        return weights

    def part(self, step: int, mask: ArrayLike, *, absent: Absent = "weight") -> Batch:
        """Return what a step trains on under a mask.

        Parameters
        ----------
        step : int
        mask : (K,) array
            1 where a task is present and 0 where not; other weights >= 0 multiply the loss of its examples.
        absent : {"weight", "drop"}
            Examples of absent tasks stay with weight 0, or are left out (their order does not change; there may be
            none left).

        Returns
        -------
        Batch
        """
        return self._part(step, self.weights(mask), _absent(absent))

    def under(self, mask: ArrayLike, *, absent: Absent = "weight", start: int = 0) -> Iterator[Batch]:
        """Iterate over what every step from ``start`` on trains on under a mask: see `part`.

        Examples
        --------
        >>> schedule = Schedule([0, 0, 1, 1], seed=3, batch_size=2, steps=3)
        >>> w = 0.0
        >>> for batch in schedule.under([1, 0]):
        ...     gradients = w - batch.indices  # of the losses (w - i)^2 / 2
        ...     w -= 0.1 * batch.mean(gradients)
        """
        weights = self.weights(mask)
        _absent(absent)
        if not 0 <= start <= self.steps:
            raise ValueError(f"start is {start}; the schedule has {self.steps} steps.")
        return (self._part(step, weights, absent) for step in range(start, self.steps))

    def _part(self, step: int, weights: NDArray[np.float64], absent: Absent) -> Batch:
        indices = self.batch(step)
        own = weights[self.source[indices]]
        if absent == "drop":
            indices, own = indices[own > 0], own[own > 0]
        return Batch(indices, own, self.batch_size)

    def _order(self, e: int) -> NDArray[np.integer]:
        if e not in self._orders:
            for old in sorted(self._orders)[:-1]:
                del self._orders[old]
            order = np.random.default_rng([STREAM, self.seed, e]).permutation(self.N)
            self._orders[e] = order.astype(np.int32 if self.N < 2**31 else np.int64)
        return self._orders[e]


def _absent(absent: str) -> Absent:
    if absent not in ("weight", "drop"):
        raise ValueError(f"absent is {absent!r}; choose 'weight' (examples stay, weight 0) or 'drop'.")
    return absent  # type: ignore[return-value]


def _whole(argument: str, value: Any, *, least: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{argument} is {value!r}; it must be a whole number >= {least}.")
    return int(value)


def _read_source(source: Any, tasks: Sequence[str] | None) -> tuple[NDArray[np.integer], tuple[str, ...] | None, int]:
    """Return the task number of each example, in the smallest type that holds it, the names, and K."""
    if isinstance(source, Mapping):
        if tasks is not None:
            raise ValueError("tasks is given, and source names the tasks already; leave tasks out.")
        sizes = {
            name: int(size) if isinstance(size, int | np.integer) else _length(name, size)
            for name, size in source.items()
        }
        if not sizes or min(sizes.values()) < 1:
            raise ValueError(f"source is {sizes}; every task needs at least one example (leave empty ones out).")
        small = np.min_scalar_type(max(len(sizes) - 1, 1))
        return np.repeat(np.arange(len(sizes), dtype=small), list(sizes.values())), tuple(sizes), len(sizes)
    numbers = np.asarray(source)
    names = None if tasks is None else tuple(tasks)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"source has shape {numbers.shape}; it must be (N,), the task of each example, with N >= 1.")
    if numbers.dtype.kind in "UO":
        numbers = _numbered(numbers, names)
    if numbers.dtype.kind not in "iu" or numbers.min() < 0:
        raise ValueError("source must hold task numbers 0, 1, ..., or names together with tasks=[...].")
    K = len(names) if names is not None else int(numbers.max()) + 1
    if numbers.max() >= K:
        raise ValueError(f"source holds task number {numbers.max()}, and tasks names {K} (0 to {K - 1}).")
    count = np.bincount(numbers, minlength=K)
    if not count.all():
        k = int(np.flatnonzero(count == 0)[0])
        raise ValueError(f"source has no example of task {names[k] if names else k!r}; number the tasks 0 to K - 1.")
    return numbers.astype(np.min_scalar_type(max(K - 1, 1))), names, K


def _numbered(labels: NDArray[Any], names: tuple[str, ...] | None) -> NDArray[np.integer]:
    if names is None:
        raise ValueError("source holds names; pass tasks=[...] to say in which order the masks have them.")
    distinct, inverse = np.unique(labels.astype(str), return_inverse=True)
    unknown = [name for name in distinct.tolist() if name not in names]
    if unknown:
        raise ValueError(f"source holds {unknown[0]!r}, which is not among tasks ({', '.join(names[:5])}).")
    return np.array([names.index(name) for name in distinct.tolist()])[inverse]


def _length(name: str, data: Any) -> int:
    try:
        return len(data)
    except TypeError:
        raise ValueError(
            f"source[{name!r}] is of type {type(data).__name__}; give a number of examples or an object with a length "
            "(a streamed data set has none: load it, or the part that you train on)."
        ) from None
