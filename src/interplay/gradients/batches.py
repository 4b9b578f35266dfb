"""Batches of inputs (a tensor, or a dict or tuple of tensors), how a module is called on one, and its logits.

A mapping whose keys are names of forward's arguments is passed by name, a tuple that forward takes as several
arguments is passed as several; anything else is passed as it is. Logits are the output itself, its ``logits``, its
entry ``"logits"``, or the first of a tuple.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree


def rows_of(x: Any) -> int:
    """Rows of a batch of inputs."""
    return next(len(t) for t in pytree.tree_leaves(x) if isinstance(t, Tensor) and t.ndim)


def has_rows(leaf: Any, rows: int) -> bool:
    """Whether a leaf of a batch has one entry per example."""
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == rows


def part(x: Any, rows: slice) -> Any:
    """Return some rows of a batch."""
    count = rows_of(x)
    if rows.start == 0 and rows.stop >= count:
        return x
    return pytree.tree_map(lambda t: t[rows] if has_rows(t, count) else t, x)


def opened(x: Any) -> tuple[list[Tensor], Callable[..., Any]]:
    """Return the tensors of a batch that have rows, and what puts one example's parts back as a batch of one."""
    count = rows_of(x)
    leaves, spec = pytree.tree_flatten(x)
    places = [i for i, leaf in enumerate(leaves) if has_rows(leaf, count)]

    def single(*parts: Tensor) -> Any:
        filled = list(leaves)
        for i, one in zip(places, parts, strict=True):
            filled[i] = one.unsqueeze(0)
        return pytree.tree_unflatten(filled, spec)

    return [leaves[i] for i in places], single


def arguments(model: nn.Module, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments with which a module is called on a batch."""
    if not isinstance(x, (Mapping, tuple, list)):
        return (x,), {}
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return (x,), {}
    named = {name for name, p in signature.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if isinstance(x, Mapping):
        fits = x.keys() <= named and _binds(signature, (), dict(x))
        return ((), dict(x)) if fits else ((x,), {})
    return (tuple(x), {}) if len(x) > 1 and not _binds(signature, (x,), {}) else ((x,), {})


def logits_of(out: Any) -> Any:
    """Return the logits of a module's output, or the output itself where none are found; (b,) becomes (b, 1)."""
    if not isinstance(out, Tensor):
        named = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", None)
        if isinstance(named, Tensor):
            out = named
        elif isinstance(out, (tuple, list)) and out and isinstance(out[0], Tensor):
            out = out[0]
    return out.unsqueeze(-1) if isinstance(out, Tensor) and out.ndim == 1 else out


def _binds(signature: inspect.Signature, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    try:
        signature.bind(*args, **named)
    except TypeError:
        return False
    return True
