"""The trained part of a language model: a flat vector W of its parameters, losses of examples, gradients of each.

The loss of an example is the mean cross-entropy of its answer tokens. The gradient of one example by itself needs no
backward pass of its own where a parameter is the weight of a linear part y = x A': its gradient is the sum over the
example's tokens of (dL/dy)' x, and one backward pass of the summed losses gives dL/dy for all examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..gradients.chunks import out_of_memory
from ..unrolled.reactions import Reactions, chosen, outputs
from .cut import Cut
from .examples import Examples
from .packing import pack
from .states import States

__all__ = ["Adapter"]

#: A trained linear part, its input, and the gradient of its output.
Record = tuple[slice, Tensor, Tensor]
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
        self._slices: list[slice] = []
        start = 0
        for p in self.parameters:
            part = slice(start, start + p.numel())
            p.data = self.W[part].view(p.shape)
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

    def total_gradient(self, examples: Examples, states: States, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i; out of memory, by halves."""
        try:
            losses = self.losses(examples, states, indices)
            total = (losses * torch.from_numpy(weights).to(losses)).sum()
            return torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, self.parameters)])
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not out_of_memory(error) or len(indices) < 2:
                raise
        parts = np.array_split(np.arange(len(indices)), 2)
        return sum(self.total_gradient(examples, states, indices[part], weights[part]) for part in parts)  # type: ignore

    def hessian_product(
        self, examples: Examples, states: States, indices: np.ndarray, weights: np.ndarray, vectors: Tensor
    ) -> Tensor:
        """Return the second derivative of sum_i weights_i loss_i times vectors (T, p): ``(T, p)``.

        Fused attention has no second derivative, so that the pass goes through plain one.
        """
        with sdpa_kernel(SDPBackend.MATH):
            losses = self.losses(examples, states, indices)
            total = (losses * torch.from_numpy(weights).to(losses)).sum()
            first = torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(total, self.parameters, create_graph=True)]
            )
            rows = []
            for t, v in enumerate(vectors):
                parts = torch.autograd.grad(first @ v, self.parameters, retain_graph=t < len(vectors) - 1)
                rows.append(torch.cat([g.reshape(-1) for g in parts]))
        return torch.stack(rows)

    def reactions(self, examples: Examples, states: States, indices: np.ndarray, R: int) -> Reactions:
        """Return losses and gradients of some examples, and how they react in their R most uncertain outcomes.

        One backward pass for the losses and one for each outcome, on one graph.
        """
        where, labels, owner = answer_tokens(examples, indices)
        n = len(indices)
        with self._recorded() as records:
            logits = self.cut.logits(states.of(indices, self.dtype), examples.lengths[indices], where)
            losses = _means(functional.cross_entropy(logits.float(), labels, reduction="none"), owner, n)
            wanted = [losses]
            bend: Any = None
            if R:
                outcomes = chosen(logits.detach(), owner, n, R)
                bend = outcomes.bend
                wanted += list(outputs(logits, outcomes).T)
            found = [
                self._each(value, records, examples.lengths[indices], last=value is wanted[-1]) for value in wanted
            ]
        rows = torch.stack(found[1:], 1) if R else found[0].new_zeros(n, 0, self.size)
        return Reactions(losses.detach(), found[0], rows, bend)

    def _each(self, values: Tensor, records: list[Record], lengths: np.ndarray, last: bool) -> Tensor:
        """Return the gradient of each of the values (n,), of one example each: ``(n, p)``."""
        if not self.by_layer:
            rows = [
                torch.autograd.grad(value, self.parameters, retain_graph=not last or e < len(values) - 1)
                for e, value in enumerate(values)
            ]
            return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])
        records.clear()
        torch.autograd.grad(values.sum(), self.parameters, retain_graph=not last)  # for what passes on the way
        G = torch.zeros(len(values), self.size)
        packed = pack(lengths)
        for part, x, dy in records:
            x, dy = (t.reshape(-1, t.shape[-1])[packed.place] for t in (x, dy))
            for e, (start, stop) in enumerate(pairwise(packed.starts)):
                torch.mm(dy[start:stop].T, x[start:stop], out=G[e, part].view(dy.shape[1], x.shape[1]))
        return G

    @contextmanager
    def _recorded(self) -> Iterator[list[Record]]:
        """Record input and gradient of the output of every trained linear part."""
        records: list[Record] = []
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
