"""Products with the Jacobian J = df/dW of a function f of one flat vector, by whatever the function allows.

J v, forward   : dual numbers through all columns at once (vmap of jvp), or column by column; else twice backward,
                 J v = d/du <J'u, v>, since J'u is linear in u; else row by row, the slowest, which needs no more
                 than a backward pass
J'u, backward  : all cotangents at once (vmap of vjp), one by one, else plain autograd
J by examples  : all examples at once (vmap over examples), else plain autograd, example by example

The first way of a list that works is used. Twice backward: J. Townsend, "A new trick for calculating Jacobian vector
products" (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from .devices import full_float32

Function = Callable[[Tensor], Tensor]  # W (p,) -> logits (b, C)
Way = Callable[[Function, Tensor, Tensor], Tensor]


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention as matrix products in full precision, no fused encoder layers: fused kernels have no forward mode."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), full_float32():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def push_together(f: Function, W: Tensor, V: Tensor) -> Tensor:
    """J v for the rows of V (c, p) by forward mode, all at once: (c, b, C)."""
    return vmap(lambda v: jvp(f, (W,), (v,))[1])(V)


def push_each(f: Function, W: Tensor, V: Tensor) -> Tensor:
    """J v by forward mode, one after the other."""
    return torch.stack([jvp(f, (W,), (v,))[1] for v in V])


def push_twice_backward(f: Function, W: Tensor, V: Tensor) -> Tensor:
    """J v as the derivative of <J'u, v> in u."""
    with torch.enable_grad():
        W = W.detach().requires_grad_()
        out = f(W)
        u = torch.zeros_like(out, requires_grad=True)
        (g,) = torch.autograd.grad(out, W, u, create_graph=True)
        return torch.stack([torch.autograd.grad(g, u, v, retain_graph=True)[0] for v in V]).detach()


def push_by_rows(f: Function, W: Tensor, V: Tensor) -> Tensor:
    """J v from the rows of J, one backward pass each."""
    with torch.enable_grad():
        W = W.detach().requires_grad_()
        out = f(W)
        moved = [V @ torch.autograd.grad(o, W, retain_graph=True)[0] for o in out.reshape(-1)]
    return torch.stack(moved, 1).reshape(len(V), *out.shape).detach()


def pull_together(f: Function, W: Tensor, U: Tensor) -> Tensor:
    """J'u for the entries of U (c, b, C), all at once: (c, p)."""
    out, back = vjp(f, W)[:2]
    return vmap(lambda u: back(u)[0])(U.to(out.dtype))


def pull_each(f: Function, W: Tensor, U: Tensor) -> Tensor:
    """J'u, one after the other."""
    out, back = vjp(f, W)[:2]
    return torch.stack([back(u)[0] for u in U.to(out.dtype)])


def pull_plainly(f: Function, W: Tensor, U: Tensor) -> Tensor:
    """J'u by plain autograd."""
    with torch.enable_grad():
        W = W.detach().requires_grad_()
        out = f(W)
        return torch.stack([torch.autograd.grad(out, W, u, retain_graph=True)[0] for u in U.to(out.dtype)]).detach()


PUSHES: dict[str, Way] = {
    "forward mode": push_together,
    "forward mode, one direction at a time": push_each,
    "twice backward": push_twice_backward,
    "one backward pass per output": push_by_rows,
}
PULLS: dict[str, Way] = {
    "reverse mode": pull_together,
    "reverse mode, one vector at a time": pull_each,
    "plain autograd": pull_plainly,
}
