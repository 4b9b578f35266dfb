"""A torch module as a function f(W, x) of one flat vector W of its trainable parameters.

f0(x) = f(W0, x); products with the Jacobian J0 = df/dW at W0 from both sides: J0 v forward, J0' u backward.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

_BATCH_DEPENDENT = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


class Network:
    """Frozen copy of a module, in evaluation mode, as a function of a flat parameter vector.

    Parameters
    ----------
    model : torch.nn.Module
        Maps a batch of inputs to logits (b, C), or (b,) for one logit. It is copied, never changed.
    parameters : sequence of str, optional
        Names or globs (as in `fnmatch`) of the parameters that training changes; default: all that require a
        gradient.

    Attributes
    ----------
    W0 : Tensor (p,)
        The trained parameters, flattened in the order of `names`.
    warnings : list of str
        What was changed in the copy (layers that were in training mode).
    """

    def __init__(self, model: nn.Module, parameters: Sequence[str] | None = None):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is a {type(model).__name__}; it must be a torch.nn.Module.")
        self.warnings: list[str] = []
        training = sorted({type(m).__name__ for m in model.modules() if m.training and isinstance(m, _BATCH_DEPENDENT)})
        if training:
            self.warnings.append(
                f"the model has {', '.join(training)} in training mode, where outputs depend on the batch; "
                "the estimator uses a copy in evaluation mode. Call model.eval() to make that explicit."
            )
        self.model = copy.deepcopy(model).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter.requires_grad and parameter.is_floating_point())
        trainable = {n: p.detach() for n, p in self.model.named_parameters() if p.requires_grad}
        if parameters is not None:
            patterns = [parameters] if isinstance(parameters, str) else list(parameters)
            for pattern in patterns:
                if not any(fnmatchcase(n, pattern) for n in trainable):
                    raise ValueError(
                        f"parameters={pattern!r} matches no trainable parameter; there are: "
                        f"{', '.join(trainable) or 'none'}."
                    )
            trainable = {n: p for n, p in trainable.items() if any(fnmatchcase(n, q) for q in patterns)}
        if not trainable:
            raise ValueError(
                "model has no trainable parameter: every one has requires_grad=False. "
                "Set requires_grad_(True) on the parameters that training changes."
            )
        self.names = tuple(trainable)
        self.shapes = tuple(p.shape for p in trainable.values())
        self.sizes = tuple(p.numel() for p in trainable.values())
        self.W0 = torch.cat([p.reshape(-1) for p in trainable.values()])
        self.fixed = {n: p.detach() for n, p in self.model.named_parameters() if n not in trainable}
        self.fixed |= {n: b.detach() for n, b in self.model.named_buffers()}

    @property
    def size(self) -> int:
        """Number of trainable parameters p."""
        return self.W0.numel()

    def logits(self, W: Tensor, x: Any) -> Tensor:
        """Logits (b, C) of a batch at parameters W (p,)."""
        parts = W.split(self.sizes)
        values = {n: part.view(s) for n, s, part in zip(self.names, self.shapes, parts, strict=True)}
        out = functional_call(self.model, (self.fixed, values), (x,))
        return out.unsqueeze(-1) if out.ndim == 1 else out

    def push(self, x: Any, vectors: Tensor, chunk: int = 32) -> Tensor:
        """J0 v for each column: `vectors` (p, d) to (d, b, C), by forward-mode products."""

        def one(v: Tensor) -> Tensor:
            return jvp(lambda W: self.logits(W, x), (self.W0,), (v,))[1]

        return vmap(one, in_dims=1, chunk_size=chunk)(vectors)

    def pull(self, x: Any, cotangents: Tensor, chunk: int = 32) -> Tensor:
        """J0' u for each leading entry: `cotangents` (d, b, C) to (d, p), by backward products."""
        _, back = vjp(lambda W: self.logits(W, x), self.W0)[:2]
        return vmap(lambda u: back(u)[0], chunk_size=chunk)(cotangents)

    def probe(self, x: Any) -> None:
        """Run one forward and one backward product, so that an unsuitable model fails early and in words."""
        try:
            with torch.no_grad():
                out = self.logits(self.W0, x)
        except Exception as error:
            raise ValueError(
                f"the model cannot be called on a batch of the loader through torch.func: {error}. "
                "It must map the first element of a batch to logits (b, C) and change no state in doing so."
            ) from error
        if not isinstance(out, Tensor) or out.ndim != 2:
            shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"the model returns {shape}; logits of shape (b, C) or (b,) are needed. Wrap the model.")
        try:
            moved = self.push(x, torch.zeros_like(self.W0)[:, None])
            self.pull(x, moved)
        except Exception as error:
            raise ValueError(
                f"the model is not supported by torch.func (forward- and backward-mode products): {error}. "
                "Replace the layer that is named there (fused attention: use its 'math' or 'eager' variant)."
            ) from error
