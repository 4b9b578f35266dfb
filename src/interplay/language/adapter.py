"""The trained part of a language model: a flat vector W of its parameters, losses of examples, gradients of each.

The loss of an example is the mean cross-entropy of its answer tokens. The gradient of one example by itself needs no
backward pass of its own where a parameter is the weight of a linear part y = x A': its gradient is the sum over the
example's tokens of (dL/dy)' x, and one backward pass of the summed losses gives dL/dy for all examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .cut import Cut
from .examples import Examples
from .packing import pack
from .states import States

__all__ = ["Adapter"]

#: Tokens of a chunk of examples that are only measured.
CHUNK = 3072


class Adapter:
    """Trained parameters of a model whose lower part is cut off, as one flat vector.

    Parameters
    ----------
    cut : Cut

    Attributes
    ----------
    names, shapes : tuple
        Of the trained parameters, in the order of the vector.
    W : Tensor (p,)
        Their current values: the model's own storage.
    """

    def __init__(self, cut: Cut):
        self.cut = cut
        trained = [(name, p) for name, p in cut.model.named_parameters() if p.requires_grad]
        self.names = tuple(name for name, _ in trained)
        self.shapes = tuple(p.shape for _, p in trained)
        self.parameters = [p for _, p in trained]
        self.W = torch.cat([p.detach().reshape(-1) for p in self.parameters]).float()
        self.gradient = torch.zeros_like(self.W)
        self._slices: list[slice] = []
        start = 0
        for p in self.parameters:
            part = slice(start, start + p.numel())
            p.data = self.W[part].view(p.shape)
            p.grad = self.gradient[part].view(p.shape)
            self._slices.append(part)
            start = part.stop
        place = {id(p): part for p, part in zip(self.parameters, self._slices, strict=True)}
        self._linear = [
            (module, place[id(module.weight)])
            for module in cut.model.modules()
            if isinstance(module, nn.Linear) and id(module.weight) in place and module.bias is None
        ]
        self.by_layer = sum(part.stop - part.start for _, part in self._linear) == self.size

    @property
    def size(self) -> int:
        """Number of trained parameters p."""
        return self.W.numel()

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the hidden states."""
        return next(self.cut.head.parameters()).dtype

    def place(self, W: Tensor) -> None:
        """Make W (p,) the current parameters."""
        self.W.copy_(W)

    def split(self, W: Tensor) -> dict[str, Tensor]:
        """Return the parameters of a flat vector by name."""
        return {n: W[part].view(s) for n, part, s in zip(self.names, self._slices, self.shapes, strict=True)}

    def losses(self, examples: Examples, states: States, indices: np.ndarray) -> Tensor:
        """Return the loss of each example, ``(n,)``, as a function of the current parameters."""
        lengths = examples.lengths[indices]
        where, labels, owner = answer_tokens(examples, indices)
        logits = self.cut.logits(states.of(indices, self.dtype), lengths, where)
        return _means(functional.cross_entropy(logits.float(), labels, reduction="none"), owner, len(indices))

    def measure(self, examples: Examples, states: States) -> np.ndarray:
        """Return the losses of all examples, ``(n,)``."""
        found = np.empty(len(examples))
        for indices in by_length(examples.lengths):
            with torch.no_grad():
                found[indices] = self.losses(examples, states, indices).numpy()
        return found

    def add_gradient(self, examples: Examples, states: States, indices: np.ndarray, weights: np.ndarray) -> None:
        """Add the gradient of sum_i weights_i loss_i to `gradient`; out of memory, by halves."""
        try:
            losses = self.losses(examples, states, indices)
            (losses * torch.from_numpy(weights).to(losses)).sum().backward()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or len(indices) < 2:
                raise
            half = len(indices) // 2
            self.add_gradient(examples, states, indices[:half], weights[:half])
            self.add_gradient(examples, states, indices[half:], weights[half:])

    def example_gradients(
        self, examples: Examples, states: States, indices: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Return the losses ``(n,)`` and the gradient of each example's loss, ``(n, p)``."""
        if not self.by_layer:
            rows, values = [], []
            for i in indices:
                loss = self.losses(examples, states, np.array([i]))
                rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss[0], self.parameters)]))
                values.append(loss.detach())
            return torch.cat(values), torch.stack(rows)
        lengths = examples.lengths[indices]
        packed = pack(lengths)
        G = torch.zeros(len(indices), self.size)
        with self._recorded() as records:
            losses = self.losses(examples, states, indices)
            torch.autograd.grad(losses.sum(), self.parameters)  # the sums are not used, only what passed on the way
        bounds = packed.starts
        for part, x, dy in records:
            x, dy = (t.reshape(-1, t.shape[-1])[packed.place] for t in (x, dy))
            for e in range(len(indices)):
                own = slice(bounds[e], bounds[e + 1])
                torch.mm(dy[own].T, x[own], out=G[e, part].view(dy.shape[1], x.shape[1]))
        return losses.detach(), G

    @contextmanager
    def _recorded(self) -> Iterator[list[tuple[slice, Tensor, Tensor]]]:
        """Record input and gradient of the output of every trained linear part."""
        records: list[tuple[slice, Tensor, Tensor]] = []
        handles = []

        def hook(part: slice) -> Any:
            def record(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
                x = args[0].detach()
                output.register_hook(lambda dy: records.append((part, x, dy.detach())))

            return record

        for module, part in self._linear:
            handles.append(module.register_forward_hook(hook(part)))
        try:
            yield records
        finally:
            for handle in handles:
                handle.remove()


def answer_tokens(examples: Examples, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for the answer tokens of some examples, where they are predicted, the token, and its example."""
    where, labels, owner, start = [], [], [], 0
    for e, i in enumerate(indices):
        ids, first = examples.ids[i], int(examples.answer[i])
        where.append(start + np.arange(first - 1, len(ids) - 1))
        labels.append(ids[first:])
        owner.append(np.full(len(ids) - first, e))
        start += len(ids)
    return tuple(torch.from_numpy(np.concatenate(part)) for part in (where, labels, owner))  # type: ignore[return-value]


def by_length(lengths: Sequence[int] | np.ndarray, tokens: int = CHUNK) -> Iterator[np.ndarray]:
    """Indices of examples of similar length, in chunks of about so many tokens."""
    order = np.argsort(lengths, kind="stable")
    total = np.cumsum(np.asarray(lengths)[order])
    yield from (part for part in np.split(order, np.flatnonzero(np.diff(total // tokens)) + 1) if len(part))


def _means(values: Tensor, owner: Tensor, n: int) -> Tensor:
    """Mean of the values of each owner, ``(n,)``."""
    counts = torch.bincount(owner, minlength=n)
    return values.new_zeros(n).index_add(0, owner, values) / counts


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "out of memory" in str(error)
