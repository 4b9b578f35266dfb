"""What one example costs: operations of a forward pass, and numbers it computes on the way.

Counted on one call, not timed, so that what is decided by them is decided alike wherever shapes are alike. Matrix
products and convolutions count 2 operations per multiplication, as in `torch.utils.flop_counter`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from .products import plain_attention


@dataclass(frozen=True)
class Cost:
    """Of one example.

    Attributes
    ----------
    operations : int
        F, of one forward pass.
    activations : int
        Numbers that one forward pass computes.
    """

    operations: int
    activations: int


class _Counter(TorchDispatchMode):
    """Counts the numbers that operations return."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not getattr(func, "is_view", False):
            self.numbers += sum(t.numel() for t in pytree.tree_leaves(out) if isinstance(t, Tensor))
        return out


def cost_of(forward: Callable[[], Any], rows: int) -> Cost | None:
    """Cost of one of so many examples of a forward pass; None where it cannot be counted."""
    flops = FlopCounterMode(display=False)
    counter = _Counter()
    try:
        with torch.no_grad(), plain_attention(), flops, counter:
            forward()
    except Exception:
        return None
    return Cost(max(1, flops.get_total_flops() // rows), max(1, counter.numbers // rows))
