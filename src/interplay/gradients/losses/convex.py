"""Any convex function of the outputs, differentiated: loss = fn(f, y), residual = grad, curvature = Hessian = L L'.

Per example H = V diag(e) V', L = V diag(sqrt e); fn is convex there where no eigenvalue e is below -1e-8 max |e|.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import grad_and_value, hessian, vmap

from .base import Loss

TOLERANCE = 1e-8


class ConvexLoss(Loss):
    """A user's loss: a convex function of the outputs of one example, written in torch.

    Use it for a training loss that has no name here. Each solver step differentiates it (`torch.func`), and the
    curvature forms C x C per example: for some tens of outputs, not for a vocabulary.

    Parameters
    ----------
    fn : callable
        ``fn(outputs (n, C), labels (n, ...)) -> (n,)``, the loss of each example: twice differentiable by torch,
        convex in the outputs, and of one example at a time (no mean over the batch).
    name : str, optional
        What it is called in notes and messages; default: the function's name.

    Raises
    ------
    ValueError
        While examples are read: where ``fn`` has another shape, mixes examples, or is not convex at W0 (the message
        names the example).

    Examples
    --------
    >>> pinball = ConvexLoss(lambda f, y: torch.nn.functional.softplus(y - f[:, 0]) + 0.3 * (f[:, 0] - y))
    >>> pinball.value(torch.zeros(1, 1), torch.zeros(1))
    tensor([0.6931])
    """

    bounded: ClassVar[bool] = True

    def __init__(self, fn: Callable[[Tensor, Tensor], Tensor], name: str | None = None):
        if not callable(fn):
            raise TypeError(f"fn is a {type(fn).__name__}; pass a function fn(outputs (n, C), labels) -> (n,).")
        self.fn = fn
        known = getattr(fn, "__name__", type(fn).__name__)
        self.name = name or ("the function" if known == "<lambda>" else known)

    def check(self, outputs: Tensor, labels: Tensor, where: str) -> Tensor:
        """Return the labels (floating ones as float64) after trying the function and its curvature on them."""
        labels = labels.double() if labels.is_floating_point() else labels
        outputs = outputs.double()
        try:
            value = self.fn(outputs, labels)
        except Exception as error:
            raise ValueError(
                f"{where}: {self.name} cannot be called on outputs {tuple(outputs.shape)} and labels "
                f"{tuple(labels.shape)}: {error}. It must map them to one loss per example."
            ) from error
        if not isinstance(value, Tensor) or value.shape != outputs.shape[:1]:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"{where}: {self.name} gives {shape} for {len(outputs)} examples; ({len(outputs)},) is needed, one "
                "loss per example, without a mean. Check that outputs (n, C) and labels do not broadcast."
            )
        alone = self.fn(outputs[-1:], labels[-1:])
        if not torch.allclose(alone, value[-1:], rtol=1e-6, atol=1e-9, equal_nan=True):
            raise ValueError(
                f"{where}: {self.name} gives the last example {value[-1].item():.6g} among others and "
                f"{alone.item():.6g} alone; the loss of an example must not depend on the batch."
            )
        self._eigen(outputs, labels, where)
        return labels

    def value(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each example, shape (..., n)."""
        return self._over_masks(outputs, labels, self.fn)

    def value_and_residual(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (..., n) and its derivative (..., n, C)."""

        def total(f: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            value = self.fn(f, y)
            return value.sum(), value

        def both(f: Tensor, y: Tensor) -> Tensor:
            slope, (_, value) = grad_and_value(total, has_aux=True)(f, y)
            return torch.cat([value.detach().unsqueeze(-1), slope], -1)

        found = self._over_masks(outputs, labels, both)
        return found[..., 0], found[..., 1:].contiguous()

    def curvature_product(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """Hessian times `vectors` (..., n, C)."""
        return torch.einsum("nab,...nb->...na", self._hessian(outputs, labels).to(vectors), vectors)

    def curvature_root(self, outputs: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
        """L' v, for `vectors` (n, C, d)."""
        values, V = self._eigen(outputs, labels, "outputs")
        root = V * values.clamp_min(0).sqrt().unsqueeze(1)
        return torch.einsum("nab,nad->nbd", root.to(vectors), vectors)

    def best_constant(self, outputs: Tensor, labels: Tensor, weights: Tensor, steps: int = 30) -> float | None:
        """Loss of the best constant output; None where the function is not convex on the way there."""
        try:
            return super().best_constant(outputs, labels, weights, steps)
        except ValueError:
            return None

    def facts(self) -> dict[str, Any]:
        """Digest of the function's code."""
        from ...evaluators.code import code_of

        return {"function": code_of(self.fn).get("code", "a function")}

    def _over_masks(self, outputs: Tensor, labels: Tensor, call: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Call on outputs (n, C); those of several masks (..., n, C) are laid end to end."""
        lead = outputs.shape[:-2]
        copies = int(torch.tensor(lead).prod()) if lead else 1
        y = labels.repeat(copies, *[1] * (labels.ndim - 1)) if copies != 1 else labels
        found = call(outputs.reshape(-1, outputs.shape[-1]), y)
        return found.reshape(*lead, len(labels), *found.shape[1:])

    def _hessian(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Hessian of each example, shape (n, C, C), float64."""

        def one(f: Tensor, y: Tensor) -> Tensor:
            return self.fn(f.unsqueeze(0), y.unsqueeze(0)).squeeze(0)

        return vmap(hessian(one))(outputs.double(), labels).detach()

    def _eigen(self, outputs: Tensor, labels: Tensor, where: str) -> tuple[Tensor, Tensor]:
        """Eigenvalues (n, C) and eigenvectors (n, C, C) of the Hessians, after checking that none is negative."""
        try:
            H = self._hessian(outputs, labels)
        except Exception as error:
            raise ValueError(
                f"{where}: {self.name} cannot be differentiated twice by torch.func: {error}. Write it in torch, "
                "without .item(), .numpy() or branches on values (torch.where instead)."
            ) from error
        if not torch.isfinite(H).all():
            i = int((~torch.isfinite(H)).flatten(1).any(1).nonzero()[0])
            raise ValueError(
                f"{where}: the second derivative of {self.name} at example {i}, outputs {_shown(outputs[i])}, is not "
                "finite. Smooth the function there."
            )
        values, V = torch.linalg.eigh(0.5 * (H + H.transpose(1, 2)))
        bad = values[:, 0] < -TOLERANCE * values.abs().amax(1).clamp_min(1e-12)
        if bad.any():
            i = int(bad.nonzero()[0])
            raise ValueError(
                f"{where}: {self.name} is not convex at example {i}, outputs {_shown(outputs[i])}: its second "
                f"derivative has the eigenvalue {values[i, 0].item():.3g}. Pass a function that is convex in the "
                "outputs, or let the model give parameters in which it is."
            )
        return values, V


def _shown(outputs: Tensor) -> str:
    """The first few outputs of an example, as text."""
    few = ", ".join(f"{v:.3g}" for v in outputs[:4].tolist())
    return f"({few}{', ...' if len(outputs) > 4 else ''})"
