"""The trained part of a language model: a flat vector W of its parameters, losses of examples, gradients of each.

The loss of an example is the mean cross-entropy of its answer tokens, or of its label. The gradient of one example by
itself needs no backward pass of its own where a parameter is the weight of a linear part y = x A': its gradient is the
sum over the example's tokens of (dL/dy)' x, and one backward pass of the summed losses gives dL/dy for all examples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..gradients.chunks import out_of_memory
from ..unrolled.reactions import Outcomes, Reactions, chosen, outputs
from .cut import Cut
from .examples import Examples
from .loading import first_trained
from .packing import Packed, pack
from .states import States

__all__ = ["Adapter", "by_length", "is_lora", "trained_part"]

#: A trained linear part, whether it is in the head, its input, and the gradient of its output.
Record = tuple[slice, bool, Tensor, Tensor]
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
        used = Counter(id(p) for module in cut.model.modules() for p in module.parameters(recurse=False))
        head = set(cut.head.modules())
        self._linear = [
            (module, place[id(module.weight)], module in head)
            for module in cut.model.modules()
            if isinstance(module, nn.Linear) and module.bias is None and used[id(module.weight)] == 1
            if id(module.weight) in place
        ]
        self.by_layer = sum(part.stop - part.start for _, part, _ in self._linear) == self.size

    @property
    def size(self) -> int:
        """Number of trained parameters p."""
        return self.W.numel()

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the hidden states."""
        return self.cut.dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.W.device

    def check(self, examples: Examples, states: States) -> None:
        """Compare two examples, packed and from kept states, with the whole model on each by itself.

        Raises
        ------
        ValueError
            If the model computes something else: its attention or positions are not those that packing counts on.
        """
        order = np.argsort(examples.lengths, kind="stable")
        indices = np.unique(order[[len(order) // 4, len(order) // 2]])
        with torch.no_grad():
            found = self.losses(examples, states, indices)
            for i, packed in zip(indices, found.tolist(), strict=True):
                where, labels, _ = answer_tokens(examples, np.array([i]))
                logits = self.cut.alone(examples.ids[i], where)
                alone = float(functional.cross_entropy(logits.float(), labels.to(logits.device)))
                if not abs(packed - alone) <= (1e-3 if self.dtype == torch.float32 else 0.1) * (1 + abs(alone)):
                    raise ValueError(
                        f"model is a {type(self.cut.inner).__name__} whose loss of an example is {alone:.4g} alone and "
                        f"{packed:.4g} beside others in one row; it cannot be trained here. Take a causal language "
                        "model with an attention mask and position_ids, such as Llama, Qwen or GPT-2, or a classifier "
                        "made of one."
                    )

    def released(self) -> Any:
        """Return the model with parameters of their own again, as another `Adapter` or a pickle takes it."""
        for p in self.parameters:
            p.data = p.data.clone()
        return self.cut.model

    def lora_scales(self) -> list[float]:
        """Return what the product of each LoRA is multiplied by."""
        scales = (getattr(module, "scaling", None) for module in self.cut.model.modules())
        return [float(value) for one in scales if isinstance(one, dict) for value in one.values()]

    def place(self, W: Tensor) -> None:
        """Make W (p,) the current parameters."""
        self.W.copy_(W)

    def split(self, W: Tensor) -> dict[str, Tensor]:
        """Return the parameters of a flat vector by name."""
        return {n: W[part].view(s) for n, part, s in zip(self.names, self._slices, self.shapes, strict=True)}

    def losses(self, examples: Examples, states: States, indices: np.ndarray) -> Tensor:
        """Return the loss of each example, ``(n,)``, as a function of the current parameters."""
        logits, labels, owner = self._logits(examples, states, indices)
        return _means(functional.cross_entropy(logits.float(), labels, reduction="none"), owner, len(indices))

    def right(self, examples: Examples, states: States, indices: np.ndarray) -> Tensor:
        """Return the share of the answer tokens (or the label) of each example that has the highest logit, ``(n,)``."""
        logits, labels, owner = self._logits(examples, states, indices)
        return _means((logits.argmax(-1) == labels).float(), owner, len(indices))

    def measure(
        self,
        examples: Examples,
        states: States,
        what: Callable[[Examples, States, np.ndarray], Tensor] | None = None,
    ) -> np.ndarray:
        """Return `losses` or `right` of all examples, ``(n,)``; out of memory, by halves."""
        found, what = np.empty(len(examples)), what or self.losses
        parts = list(by_length(examples.lengths))
        while parts:
            indices = parts.pop()
            try:
                with torch.no_grad():
                    found[indices] = what(examples, states, indices).cpu().numpy()
            except (MemoryError, RuntimeError) as error:
                parts += _halves(error, examples, indices)
        return found

    def total_gradient(self, examples: Examples, states: States, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i; out of memory, by halves."""
        try:
            losses = self.losses(examples, states, indices)
            total = (losses * torch.from_numpy(weights).to(losses)).sum()
            return torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, self.parameters)])
        except (MemoryError, RuntimeError) as error:
            first, second = (len(half) for half in _halves(error, examples, indices))
        g = self.total_gradient(examples, states, indices[:first], weights[:first])
        return g.add_(self.total_gradient(examples, states, indices[-second:], weights[-second:]))

    def hessian_product(
        self, examples: Examples, states: States, indices: np.ndarray, weights: np.ndarray, vectors: Tensor
    ) -> Tensor:
        """Return the second derivative of sum_i weights_i loss_i times vectors (T, p): ``(T, p)``.

        Fused attention has no second derivative, so that the pass goes through plain one.
        """
        with sdpa_kernel(SDPBackend.MATH):
            losses = self.losses(examples, states, indices)
            total = (losses * torch.from_numpy(weights).to(losses)).sum()
            first = torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, self.parameters, create_graph=True)])
            rows = []
            for t, v in enumerate(vectors):
                parts = torch.autograd.grad(first @ v, self.parameters, retain_graph=t < len(vectors) - 1)
                rows.append(torch.cat([g.reshape(-1) for g in parts]))
        return torch.stack(rows)

    def reactions(self, examples: Examples, states: States, indices: np.ndarray, R: int) -> Reactions:
        """Return losses and gradients of some examples, and how they react in their R most uncertain outcomes.

        One backward pass for the losses and one for each outcome, on one graph; out of memory, by halves.
        """
        try:
            return self._reactions(examples, states, indices, R)
        except (MemoryError, RuntimeError) as error:
            halves = _halves(error, examples, indices)
        return _stacked([self.reactions(examples, states, half, R) for half in halves])

    def _reactions(self, examples: Examples, states: States, indices: np.ndarray, R: int) -> Reactions:
        n, packed = len(indices), pack(examples.lengths[indices], device=self.device)
        with self._recorded(packed.shape) as records:
            logits, labels, owner = self._logits(examples, states, indices)
            losses = _means(functional.cross_entropy(logits.float(), labels, reduction="none"), owner, n)
            wanted = [losses]
            outcomes = chosen(logits.detach(), owner, n, R) if R else None
            if outcomes is not None:
                wanted += list(outputs(logits, outcomes).T)
            found = [self._each(value, records, packed, owner, last=value is wanted[-1]) for value in wanted]
        rows = torch.stack(found[1:], 1) if R else found[0].new_zeros(n, 0, self.size)
        return Reactions(losses.detach(), found[0], rows, outcomes.bend if outcomes else None, outcomes)

    def _logits(self, examples: Examples, states: States, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits (a, V) at the answer tokens of some examples, the tokens (a,), and their examples (a,)."""
        where, labels, owner = (part.to(self.device) for part in answer_tokens(examples, indices))
        hidden = states.of(indices, self.dtype).to(self.device)
        return self.cut.logits(hidden, examples.lengths[indices], where), labels, owner

    def _each(self, values: Tensor, records: list[Record], packed: Packed, owner: Tensor, last: bool) -> Tensor:
        """Return the gradient of each of the values (n,), of one example each: ``(n, p)``."""
        if not self.by_layer:
            rows = [
                torch.autograd.grad(value, self.parameters, retain_graph=not last or e < len(values) - 1)
                for e, value in enumerate(values)
            ]
            return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])
        records.clear()
        torch.autograd.grad(values.sum(), self.parameters, retain_graph=not last)  # for what passes on the way
        G = torch.zeros(len(values), self.size, device=self.device)
        answers = np.concatenate([[0], np.cumsum(np.bincount(owner.cpu().numpy(), minlength=len(values)))])
        for part, in_head, x, dy in records:
            x, dy = (t.reshape(-1, t.shape[-1]) for t in (x, dy))
            if not in_head:
                x, dy = x[packed.place], dy[packed.place]
            sums = _sums_padded if G.is_cuda else _sums
            sums(dy, x, answers if in_head else packed.starts, G[:, part])
        return G

    @contextmanager
    def _recorded(self, shape: tuple[int, int]) -> Iterator[list[Record]]:
        """Record input and gradient of the output of every trained linear part."""
        records: list[Record] = []
        handles = []

        def hook(part: slice, in_head: bool) -> Any:
            def record(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
                x = args[0].detach()
                if not in_head and x.shape[:-1] != shape:  # not all tokens in their order: experts
                    self.by_layer = False
                output.register_hook(lambda dy: records.append((part, in_head, x, dy.detach())))

            return record

        for module, part, in_head in self._linear:
            handles.append(module.register_forward_hook(hook(part, in_head)))
        try:
            yield records
        finally:
            for handle in handles:
                handle.remove()


def trained_part(model: Any) -> Adapter:
    """Return the trained part of a model that `adapt` prepared; refuse parameters that its precision cannot hold."""
    for name, p in model.named_parameters():
        if p.requires_grad and p.dtype != torch.float32 and not is_lora(name):
            raise ValueError(
                f"dtype is {p.dtype} and {name} is trained itself, which is done in float32; pass dtype=torch.float32, "
                "or train LoRA alone."
            )
    return Adapter(Cut(model, first_trained(model)))


def is_lora(name: str) -> bool:
    """Whether a parameter is a factor of a LoRA."""
    return ".lora_A." in name or ".lora_B." in name


def answer_tokens(examples: Examples, indices: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for the answer tokens of some examples, where they are predicted, the token, and its example."""
    where, labels, owner, start = [], [], [], 0
    for e, i in enumerate(indices):
        places, tokens = examples.predicted(i)
        where.append(start + places)
        labels.append(tokens)
        owner.append(np.full(len(tokens), e))
        start += len(examples.ids[i])
    return tuple(torch.from_numpy(np.concatenate(part)) for part in (where, labels, owner))  # type: ignore[return-value]


def by_length(lengths: Sequence[int] | np.ndarray, tokens: int = CHUNK) -> Iterator[np.ndarray]:
    """Indices of examples of similar length, in chunks of about so many tokens."""
    order = np.argsort(lengths, kind="stable")
    total = np.cumsum(np.asarray(lengths)[order])
    yield from (part for part in np.split(order, np.flatnonzero(np.diff(total // tokens)) + 1) if len(part))


def _sums(dy: Tensor, x: Tensor, bounds: np.ndarray, out: Tensor) -> None:
    """Write the sum of dy_j x_j' over the tokens j of each example, bounds[e] to bounds[e + 1], into out (n, o i)."""
    for e, (start, stop) in enumerate(pairwise(bounds)):
        torch.mm(dy[start:stop].T, x[start:stop], out=out[e].view(dy.shape[1], x.shape[1]))


def _sums_padded(dy: Tensor, x: Tensor, bounds: np.ndarray, out: Tensor) -> None:
    """Do what `_sums` does in one product over examples of one length, filled up: a card is slow at many small ones."""
    token = bounds[:-1, None] + np.arange(np.diff(bounds).max())
    token[token >= bounds[1:, None]] = bounds[-1]  # a row of zeros
    place = torch.from_numpy(token).to(x.device)
    dy, x = (torch.cat([rows, rows.new_zeros(1, rows.shape[1])])[place] for rows in (dy, x))
    out.copy_((dy.mT @ x).flatten(1))


def _halves(error: BaseException, examples: Examples, indices: np.ndarray) -> list[np.ndarray]:
    """Return two halves of examples that were too many for the memory; raise what is no matter of memory."""
    if not out_of_memory(error):
        raise error
    if len(indices) < 2:
        raise MemoryError(
            f"out of memory with one example of {examples.lengths[indices[0]]} tokens; lower max_length, train fewer "
            "layers or a smaller rank, or take a smaller model."
        ) from error
    return np.array_split(indices, 2)


def _stacked(parts: Sequence[Reactions]) -> Reactions:
    """Put the reactions of several groups of examples together; those with fewer outcomes are filled up."""
    R = max(part.rows.shape[1] for part in parts)
    rows = torch.cat([functional.pad(part.rows, (0, 0, 0, R - part.rows.shape[1])) for part in parts])
    found = [part.outcomes for part in parts if part.outcomes is not None]
    outcomes = Outcomes.stacked(found) if found else None
    losses, gradients = (torch.cat([getattr(part, what) for part in parts]) for what in ("losses", "gradients"))
    return Reactions(losses, gradients, rows, outcomes.bend if outcomes else None, outcomes)


def _means(values: Tensor, owner: Tensor, n: int) -> Tensor:
    """Mean of the values of each owner, ``(n,)``."""
    counts = torch.bincount(owner, minlength=n)
    return values.new_zeros(n).index_add(0, owner, values) / counts
