"""The examples behind one loader or all tasks' loaders, checked once, in an order that does not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from .losses import Loss
from .network import Network


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs in batches, with labels, logits at W0 and the task of each example.

    Attributes
    ----------
    batches : list
        Inputs as the loader collated them, on the model's device.
    labels : Tensor (n,), int64
    offset : Tensor (n, C), float64
        Logits f0 at W0.
    task : Tensor (n,), int64
        Index of the task of each example (0 for a target's examples).
    names : tuple of str
        Names of the tasks, or of the one target.
    """

    batches: list[Any]
    labels: Tensor
    offset: Tensor
    task: Tensor
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.labels.numel()

    @property
    def counts(self) -> Tensor:
        """Number of examples of each task, shape (K,), float64."""
        return torch.bincount(self.task, minlength=len(self.names)).double()

    def slices(self) -> Iterator[tuple[Any, slice]]:
        """Each batch of inputs with the rows it holds."""
        start = 0
        for x in self.batches:
            stop = start + length(x)
            yield x, slice(start, stop)
            start = stop

    @classmethod
    def collect(cls, network: Network, loaders: Mapping[str, Any], loss: Loss, argument: str) -> Examples:
        """Read every loader once and check what is in it; `argument` names them in messages."""
        batches, labels, offsets, task = [], [], [], []
        device = network.W0.device
        for k, (name, loader) in enumerate(loaders.items()):
            where = f"{argument}[{name!r}]"
            before = sum(len(y) for y in labels)
            for x, y in _pairs(loader, where):
                x = pytree.tree_map(lambda t: t.to(device) if isinstance(t, Tensor) else t, x)
                if not batches:
                    network.probe(x)
                with torch.no_grad():
                    f0 = network.logits(network.W0, x)
                if len(y) != len(f0):
                    raise ValueError(
                        f"{where}: a batch has {len(f0)} rows of logits and {len(y)} labels; they must agree."
                    )
                batches.append(x)
                labels.append(loss.check(f0, y.to(device), where))
                offsets.append(f0.double())
                task.append(torch.full((len(y),), k, device=device))
                if not torch.isfinite(loss.value(offsets[-1], labels[-1])).all():
                    raise ValueError(
                        f"{where}: the loss at W0 is not finite (nan or inf). "
                        "Look for NaN among the inputs or parameters; a diverged model cannot be linearised."
                    )
            if sum(len(y) for y in labels) == before:
                raise ValueError(f"{where} is empty: no example. Remove it, or give its loader some examples.")
        return cls(_joined(batches), torch.cat(labels), torch.cat(offsets), torch.cat(task), tuple(loaders))


def named(loaders: Mapping[str, Any] | Sequence[Any], argument: str, prefix: str) -> dict[str, Any]:
    """Loaders by name; a sequence is named prefix_0, prefix_1, ..."""
    if isinstance(loaders, Mapping):
        found = {str(name): loader for name, loader in loaders.items()}
    elif isinstance(loaders, (list, tuple)):
        found = {f"{prefix}_{i}": loader for i, loader in enumerate(loaders)}
    else:
        raise TypeError(
            f"{argument} is a {type(loaders).__name__}; pass a dict {{name: loader}}, or a list of loaders."
        )
    if not found:
        raise ValueError(f"{argument} is empty: no {prefix}. Pass at least one, {{name: loader}}.")
    return found


def length(x: Any) -> int:
    """Rows of a batch of inputs (a tensor, or a dict or tuple of tensors)."""
    return next(len(t) for t in pytree.tree_leaves(x) if isinstance(t, Tensor) and t.ndim)


def _pairs(loader: Any, where: str) -> Iterator[tuple[Any, Tensor]]:
    if isinstance(loader, tuple) and len(loader) == 2 and all(isinstance(t, Tensor) for t in loader):
        x, y = loader
        if len(x) != len(y):
            raise ValueError(f"{where} has {len(x)} inputs and {len(y)} labels; they must agree.")
        yield from ((x[i : i + 256], y[i : i + 256]) for i in range(0, len(x), 256))
        return
    try:
        len(loader)
    except TypeError as error:
        raise ValueError(
            f"{where} has no length (an iterable dataset or a generator), and the estimator must see the same "
            "examples each time. Pass a DataLoader over a dataset with __len__, or a pair of tensors (inputs, labels)."
        ) from error
    samplers = [getattr(loader, "sampler", None), getattr(getattr(loader, "batch_sampler", None), "sampler", None)]
    for sampler in samplers:
        if not isinstance(sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
            continue
        raise ValueError(
            f"{where} shuffles (its sampler is a {type(sampler).__name__}), and the estimator must see the "
            "same examples in the same order. Pass DataLoader(..., shuffle=False, drop_last=False)."
        )
    for batch in loader:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise ValueError(
                f"{where} gives a batch of type {type(batch).__name__}; each must be a pair (inputs, labels)."
            )
        x, y = batch
        yield x, torch.as_tensor(y)


def _joined(batches: list[Any], rows: int = 256) -> list[Any]:
    """Join neighbouring small batches of plain tensors, up to about so many rows each."""
    joined: list[list[Any]] = []
    for x in batches:
        last = joined[-1] if joined else []
        fits = last and sum(map(length, last)) + length(x) <= rows
        if fits and isinstance(x, Tensor) and isinstance(last[0], Tensor) and x.shape[1:] == last[0].shape[1:]:
            last.append(x)
        else:
            joined.append([x])
    return [torch.cat(group) if len(group) > 1 else group[0] for group in joined]
