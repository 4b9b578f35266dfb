"""The examples behind one loader or all tasks' loaders, checked once, in an order that does not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from .devices import full_float32
from .losses import Loss
from .network import Network


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs in batches, with labels, weights, outputs at W0 and the task of each example.

    Attributes
    ----------
    batches : list
        Inputs as the loader collated them, on the model's device.
    labels : Tensor (n, ...)
        As the loss wants them.
    weights : Tensor (n,), float64
        1 where none are given.
    offset : Tensor (n, C), float64
        Outputs f0 at W0.
    task : Tensor (n,), int64
        Index of the task of each example (0 for a target's examples).
    names : tuple of str
        Names of the tasks, or of the one target.
    """

    batches: list[Any]
    labels: Tensor
    weights: Tensor
    offset: Tensor
    task: Tensor
    names: tuple[str, ...]

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def counts(self) -> Tensor:
        """Sum of the weights of each task's examples, shape (K,), float64: their number without weights."""
        return torch.bincount(self.task, self.weights, minlength=len(self.names))

    @property
    def weighted(self) -> bool:
        """Whether any example weighs other than 1."""
        return bool((self.weights != 1).any())

    @property
    def content(self) -> tuple[Any, ...]:
        """What tells these examples from others: inputs, labels, tasks, and weights where there are any."""
        return (self.batches, self.labels, self.task, *([self.weights] if self.weighted else []))

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
        batches, labels, weights, offsets, task = [], [], [], [], []
        device = network.device
        for k, (name, loader) in enumerate(loaders.items()):
            where = f"{argument}[{name!r}]"
            before = sum(len(y) for y in labels)
            for x, y, w in _triples(loader, where, loss.labelled):
                x = pytree.tree_map(lambda t: t.to(device) if isinstance(t, Tensor) else t, x)
                if not batches:
                    network.probe(x)
                with torch.no_grad(), full_float32():
                    f0 = network.logits(network.W0, x)
                y = torch.ones(len(f0)) if y is None else y
                if len(y) != len(f0):
                    raise ValueError(
                        f"{where}: a batch has {len(f0)} rows of logits and {len(y)} labels; they must agree."
                    )
                batches.append(x)
                labels.append(loss.check(f0, y.to(device), where))
                weights.append(_weights(w, len(f0), where).to(device))
                offsets.append(f0.double())
                task.append(torch.full((len(f0),), k, device=device))
                if not torch.isfinite(loss.value(offsets[-1], labels[-1])).all():
                    raise ValueError(
                        f"{where}: the loss at W0 is not finite (nan or inf). "
                        "Look for NaN among the inputs or parameters; a diverged model cannot be linearised."
                    )
            if sum(len(y) for y in labels) == before:
                raise ValueError(f"{where} is empty: no example. Remove it, or give its loader some examples.")
        found = cls(
            _joined(batches),
            torch.cat(labels),
            torch.cat(weights),
            torch.cat(offsets),
            torch.cat(task),
            tuple(loaders),
        )
        for name, total in zip(loaders, found.counts.tolist(), strict=True):
            if not total > 0:
                raise ValueError(
                    f"{argument}[{name!r}]: its weights sum to {total:g}; give some example a weight above 0, "
                    "or leave the whole out."
                )
        return found


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


def mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over examples, the last axis of `values` (..., n), for weights (n,)."""
    return values.double() @ weights / weights.sum()


def length(x: Any) -> int:
    """Rows of a batch of inputs (a tensor, or a dict or tuple of tensors)."""
    return next(len(t) for t in pytree.tree_leaves(x) if isinstance(t, Tensor) and t.ndim)


def _triples(loader: Any, where: str, labelled: bool) -> Iterator[tuple[Any, Tensor | None, Tensor | None]]:
    """Inputs, labels and weights of each batch; weights may be missing, labels where the loss needs none."""
    if isinstance(loader, tuple) and len(loader) in (2, 3) and all(isinstance(t, Tensor) for t in loader):
        for part, what in zip(loader[1:], ("labels", "weights"), strict=False):
            if len(part) != len(loader[0]):
                raise ValueError(f"{where} has {len(loader[0])} inputs and {len(part)} {what}; they must agree.")
        for start in range(0, len(loader[0]), 256):
            x, y, *rest = (t[start : start + 256] for t in loader)
            yield x, y, rest[0] if rest else None
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
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        if not (1 if not labelled else 2) <= len(parts) <= 3:
            raise ValueError(
                f"{where} gives a batch of type {type(batch).__name__} with {len(parts)} parts; each must be a pair "
                "(inputs, labels) or a triple (inputs, labels, weights)."
            )
        x, y, w = parts + (None,) * (3 - len(parts))
        yield x, None if y is None else torch.as_tensor(y), None if w is None else torch.as_tensor(w)


def _weights(weights: Tensor | None, n: int, where: str) -> Tensor:
    """Weights of n examples, float64, checked; ones where there are none."""
    if weights is None:
        return torch.ones(n, dtype=torch.float64)
    found = weights.double()
    if found.shape != (n,):
        raise ValueError(f"{where}: weights have shape {tuple(found.shape)}; ({n},) is needed, one per example.")
    bad = ~(torch.isfinite(found) & (found >= 0))
    if bad.any():
        i = int(bad.nonzero()[0])
        raise ValueError(
            f"{where}: the weight of example {i} is {found[i].item():g}; weights must be finite and >= 0. "
            "Leave an example out by the weight 0."
        )
    return found


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
