"""Per-example features Phi(x) = J0(x) R, the Jacobian of the outputs in a subspace of the parameters.

f(W0 + R z, x) ~ f0(x) + Phi(x) z, with Phi (n, C, d), in one of two modes:

forward : J0 times each column of R                          operations per example  3 F d
reverse : each row of J0 by a backward pass, then times R                            F + C (2 F + (20 + r) p)

with F the operations of one forward pass (2 p without shared weights), and r those of R'g per parameter (2 d for a
matrix, 100 s for a hash with s entries per parameter, which is bound by memory and not by arithmetic). The cheaper by
this count is taken: it hangs on shapes alone, so that it is the same on every machine. The Jacobian of all examples
is never formed. A module that has neither forward mode nor two backward passes is always done in reverse.

Products are computed in the model's own precision, Phi is stored in float64 or float32. Relative error of Phi against
the same weights in float64, on convolutions and on attention (benchmarks/results/features.md): computed in float32
2e-7, float16 5e-4 and 3e-3, bfloat16 2e-2 and 1e-2; storing in float32 adds nothing to that. Half precision is for
models that would not fit otherwise; float32 is the default of torch and enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .bases import Basis, as_basis
from .examples import Examples
from .network import Network
from .products import PUSHES

if TYPE_CHECKING:
    from .folder import Part

MODES = ("auto", "forward", "reverse")


@dataclass(frozen=True, eq=False)
class Features:
    """What the linear model needs of a set of examples.

    Attributes
    ----------
    phi : Tensor (n, C, d), float64
    offset : Tensor (n, C), float64
    labels : Tensor (n, ...)
    weights : Tensor (n,), float64
    task : Tensor (n,), int64
    counts : Tensor (K,), float64
        Sum of the weights of each task's examples: their number where no weights are given.
    """

    phi: Tensor
    offset: Tensor
    labels: Tensor
    weights: Tensor
    task: Tensor
    counts: Tensor

    @property
    def flat(self) -> Tensor:
        """Features with one row per logit, shape (n C, d)."""
        return self.phi.reshape(-1, self.phi.shape[-1])

    def logits(self, z: Tensor) -> Tensor:
        """Logits of the linear model, shape (m, n, C), for displacements z (m, d)."""
        return self.offset + (z.to(self.phi.dtype) @ self.flat.T).reshape(len(z), *self.offset.shape)

    def head(self, dim: int) -> Features:
        """Features in the subspace of the first columns alone."""
        phi = self.phi[..., :dim].contiguous()
        return Features(phi, self.offset, self.labels, self.weights, self.task, self.counts)


def features(
    network: Network,
    examples: Examples,
    R: Basis | Tensor,
    dtype: torch.dtype = torch.float64,
    *,
    mode: str = "auto",
    part: Part | None = None,
) -> Features:
    """Features of the examples in the subspace R (p, d).

    Parameters
    ----------
    network : Network
    examples : Examples
    R : Basis or Tensor (p, d)
    dtype : torch.dtype
        What Phi is stored in; products are computed in the model's own precision.
    mode : {"auto", "forward", "reverse"}
        "auto" takes the cheaper one by the count above.
    part : Part, optional
        Where Phi is kept on disk; what is there already is not computed again.

    Returns
    -------
    Features

    Raises
    ------
    ValueError
        If a feature is NaN or infinite; names the first example and what helps.
    MemoryError
        If one example with one direction does not fit into memory.
    """
    basis = as_basis(R)
    n, C = examples.offset.shape
    phi: Tensor | None = None
    if part is None:
        phi = torch.empty(n, C, basis.dim, dtype=dtype, device=examples.offset.device)
    mode = chosen_mode(network, basis, C, mode)  # once: a way that fails on the way must not change it
    blocks = blocks_of(network, basis, C, mode)
    with torch.no_grad():
        for b, (start, stop) in enumerate(blocks):
            product: Callable[[object, int], Tensor] | None = None
            for i, (x, rows) in enumerate(examples.slices()):
                if part is not None and part.done(b, i):
                    continue
                if product is None:
                    product = _product(network, basis, C, mode, start, stop)
                tile = product(x, rows.stop - rows.start)
                _check(tile, examples, rows, network)
                if part is not None:
                    part.write(b, i, rows, slice(start, stop), tile)
                elif phi is not None:
                    phi[rows, :, start:stop] = tile.to(phi)
        if part is not None:
            phi = part.read(basis, examples.offset.device)
        elif phi is not None and basis.mix is not None:
            for rows in torch.arange(n).split(max(1, 2**24 // (C * basis.dim))):
                phi[rows] = basis.finish(phi[rows])
    assert phi is not None
    return Features(phi, examples.offset, examples.labels, examples.weights, examples.task, examples.counts)


def chosen_mode(network: Network, basis: Basis, outputs: int, mode: str = "auto") -> str:
    """Return the mode with fewer operations per example, see the head of this module."""
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(MODES)}.")
    if mode != "auto":
        return mode
    if network.ways["push"] == tuple(PUSHES)[-1]:
        return "reverse"
    F, p = network.cost.operations, network.size
    forward = 3 * F * basis.dim
    reverse = F + outputs * (2 * F + (20 + basis.pull_operations) * p)
    return "forward" if forward <= reverse else "reverse"


def blocks_of(network: Network, basis: Basis, outputs: int, mode: str) -> list[tuple[int, int]]:
    """Ranges of columns that are in memory together."""
    if chosen_mode(network, basis, outputs, mode) == "reverse" or (basis.held and basis.kind != "sparse"):
        return [(0, basis.dim)]
    width = max(1, min(basis.dim, network.block // (basis.size * basis.like.element_size())))
    return [(start, min(start + width, basis.dim)) for start in range(0, basis.dim, width)]


def _product(
    network: Network, basis: Basis, outputs: int, mode: str, start: int, stop: int
) -> Callable[[object, int], Tensor]:
    """Features of a batch in some columns of raw, (b, C, columns)."""
    if mode == "forward":
        V = basis.columns(start, stop).to(network.W0.dtype)
        return lambda x, count: network.push_rows(x, V).permute(1, 2, 0)

    def reverse(x: object, count: int) -> Tensor:
        tile = torch.empty(count, outputs, basis.dim, dtype=basis.like.dtype, device=basis.like.device)

        def use(rows: slice, columns: slice, J: Tensor) -> None:
            raw = basis.pull_raw(J.reshape(-1, J.shape[-1]).to(basis.like))
            tile[rows, columns] = raw.reshape(*J.shape[:2], -1)

        network.jacobian(x, outputs, use)
        return tile

    return reverse


def _check(tile: Tensor, examples: Examples, rows: slice, network: Network) -> None:
    """Refuse features that are no numbers, and say whose they are."""
    good = torch.isfinite(tile).all(-1).all(-1)
    if good.all():
        return
    row = rows.start + int((~good).nonzero()[0])
    task = int(examples.task[row])
    within = int((examples.task[:row] == task).sum())
    dtype = str(network.W0.dtype).removeprefix("torch.")
    remedy = (
        f"The model computes in {dtype}, whose range gradients can leave: pass model.float(), or model.bfloat16()."
        if network.W0.dtype == torch.float16
        else "Look for a step without a finite derivative there (the root or the norm of 0, a logarithm of 0, 0 / 0) "
        "and keep it away from 0, or leave the example out."
    )
    raise ValueError(
        f"the gradient of example {within} of {examples.names[task]!r} is not finite (nan or inf). {remedy}"
    )
