"""Whether a module suits the estimator: the shape of its output, no memory of past calls, derivatives that agree.

Products by different ways must be those of one Jacobian: <u, J v> = <J'u, v>, and J'u as plain autograd has it.
A way that fails this on two examples (a custom function whose jvp is wrong, an operation whose derivative is missing)
is left for the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .chunks import out_of_memory
from .products import PULLS, PUSHES, plain_attention

if TYPE_CHECKING:
    from .network import Network

NO_DERIVATIVE = (
    "the model gives no derivative of its outputs in its parameters, neither through torch.func nor through plain "
    "autograd. Let every step between parameters and logits be a differentiable torch operation (no .detach(), .data, "
    "numpy or torch.no_grad() in forward)."
)
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.05}  # of products
_REPEATED = {torch.float64: 1e-7, torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}  # of logits


def check_output(out: Any, rows: int) -> None:
    """Refuse an output that is not logits (b, C)."""
    if not isinstance(out, Tensor) or out.ndim != 2:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(
            f"the model returns {shape}; logits of shape (b, C) or (b,) are needed, or an output that has them as "
            "`.logits`, under 'logits' or first in a tuple. Wrap the model."
        )
    if len(out) != rows:
        raise ValueError(
            f"the model returns {len(out)} rows of logits for a batch of {rows} examples; one per example is needed. "
            "Wrap the model so that it gives one row of logits per example."
        )


def check_products(network: Network, x: Any, expected: Tensor) -> None:
    """Find ways that work and agree, on a few examples with logits `expected`; see `Network.ways`."""
    device, dtype = network.W0.device, network.W0.dtype
    tolerance = _TOLERANCE.get(dtype, 2e-3)
    with torch.no_grad(), plain_attention():
        again = network.logits(network.W0, x)
    scale = float(expected.abs().max()) or 1.0
    if (
        torch.isfinite(expected).all()
        and float((again - expected).abs().max()) > _REPEATED.get(expected.dtype, 1e-3) * scale
    ):
        raise ValueError(
            "the model gives other logits for the same examples when it is called again on fewer of them: its outputs "
            "are random, depend on the rest of the batch, or on earlier calls. Make forward a function of each "
            "example alone (no dropout outside nn.Dropout, no statistics of the batch, no state kept between calls)."
        )
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1, *expected.shape, generator=generator, dtype=torch.float64).to(device, expected.dtype)
    v = torch.randn(1, network.size, generator=generator, dtype=torch.float64).to(device, dtype)
    plain = _or_none(lambda: PULLS["plain autograd"](network._function(x), network.W0, u))
    pulled = network._product("pull", x, u)
    if plain is None and not pulled.any():
        raise ValueError(NO_DERIVATIVE)
    if plain is not None and _far(pulled, plain, tolerance):
        network.take("pull", len(PULLS) - 1, "what torch.func gives differs from plain autograd")
        pulled = plain
    if not torch.isfinite(pulled).all():
        return  # said with the example it comes from, when features are computed
    moved = v
    for _ in PUSHES:
        moved = network._product("push", x, v)
        ours, theirs = float((u.double() * moved.double()).sum()), float((pulled.double() * v.double()).sum())
        size = float(u.double().norm() * moved.double().norm()) + float(pulled.double().norm() * v.double().norm())
        way = network._way["push"]
        if abs(ours - theirs) <= tolerance * max(size, 1e-30) or way == len(PUSHES) - 1:
            break
        network.take("push", way + 1, f"what {network.ways['push']} gives contradicts the backward pass")

    _compare_with_differences(network, x, v[0], moved[0], float(expected.abs().max()))


def _compare_with_differences(network: Network, x: Any, v: Tensor, moved: Tensor, scale: float) -> None:
    """Say where the outputs move otherwise than their derivative: a step of the model is hidden from it."""
    if v.dtype not in (torch.float32, torch.float64):
        return
    eps = torch.finfo(v.dtype).eps
    h = eps ** (1 / 3) * max(float(network.W0.norm()), 1e-3) / float(v.norm())
    with torch.no_grad(), plain_attention():
        ahead, behind = (network.logits(network.W0 + sign * h * v, x) for sign in (1, -1))
    measured = (ahead - behind) / (2 * h)
    gap, noise = float((measured - moved).norm()), 100 * eps * scale / h
    if gap > 0.3 * float(measured.norm()) + noise:
        network.warnings.append(
            f"the derivative of the outputs is {float(moved.norm()):.2g} along a random direction and finite "
            f"differences give {float(measured.norm()):.2g}: part of the model is hidden from its derivative "
            "(.detach(), .data, rounding, torch.no_grad()), and the estimates will miss it."
        )


def failing_layer(model: nn.Module, call: Callable[[], Any]) -> str:
    """Say in which layer a call fails, where that can be told."""
    inside: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        if name:
            label = f"{name} ({type(module).__name__})"
            hooks.append(module.register_forward_pre_hook(lambda m, a, label=label: inside.append(label)))
            hooks.append(module.register_forward_hook(lambda m, a, o: inside.pop() and None))
    try:
        with torch.no_grad():
            call()
    except Exception:
        return f" (in the layer {inside[-1]})" if inside else ""
    finally:
        for hook in hooks:
            hook.remove()
    return ""


def _far(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return not float((a.double() - b.double()).norm()) <= tolerance * max(float(b.double().norm()), 1e-30)


def _or_none(call: Callable[[], Tensor]) -> Tensor | None:
    try:
        with plain_attention():
            return call()
    except Exception as error:
        if out_of_memory(error):
            raise
        return None
