"""Devices: what `device=` names, how much memory is free there, and products in float32 that are in float32.

A card computes in its own memory, so that tiles and chunks are measured by what is free on it, not on the machine.
Convolutions on a card round their operands to TF32 (10 bits of 23) unless they are told not to, matrix products only
if they are told to. Derivatives that are compared with each other need all bits: here both keep them, unless
`torch.set_float32_matmul_precision` was set to "high" or "medium", which then holds for both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["allowance", "checked", "free", "full_float32", "home"]


def checked(device: Any, argument: str = "device") -> torch.device:
    """Return a device that is there, with its number.

    Parameters
    ----------
    device : torch.device, str or int
    argument : str
        What messages call it.

    Raises
    ------
    ValueError
        If it names no device, or none that this machine has, or one that cannot compute in float64.
    """
    shown = f"{argument} is {str(device)!r}"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"{shown}, which names no device; use 'cpu', 'cuda', or 'cuda:1' for the second of several cards."
        ) from None
    if found.type == "meta":
        raise ValueError(f"{shown}, which holds no numbers; load the model's weights, on 'cpu' or 'cuda'.")
    if found.type == "cuda":
        _check_card(found, shown)
        return torch.zeros(1, device=found).device
    try:
        return torch.zeros(1, dtype=torch.float64, device=found).device
    except Exception:  # each kind of device has its own
        raise ValueError(
            f"{shown}, which is not here or cannot compute in float64, as the solver does; use 'cpu' or 'cuda'."
        ) from None


def home(module: nn.Module) -> torch.device:
    """Return the device on which all parameters and buffers of a module lie; the CPU where it has none.

    Raises
    ------
    ValueError
        If they lie on several.
    """
    places = {tensor.device: None for tensor in (*module.parameters(), *module.buffers())}
    if len(places) > 1:
        raise ValueError(
            f"model lies on several devices ({', '.join(map(str, places))}); pass device=, or move it to one: "
            "model.to('cuda')."
        )
    return checked(next(iter(places)), "the model's device") if places else torch.device("cpu")


def free(device: torch.device) -> int:
    """Bytes that are free: on a card, those that torch keeps for itself without using them included."""
    if device.type == "cuda":
        unused = torch.cuda.mem_get_info(device)[0]
        return unused + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # pragma: no cover - not on this system
        return 2**33


def allowance(device: torch.device, otherwise: int, share: int = 8) -> int:
    """Bytes that one piece of work may take: a share (one in so many) of what is free on a card, else a number."""
    return max(otherwise, free(device) // share) if device.type == "cuda" else otherwise


@contextmanager
def full_float32() -> Iterator[None]:
    """Let convolutions keep all bits of float32 meanwhile, unless the user lets matrix products drop some."""
    before = _rounding()
    if not before:
        yield
        return
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _rounding() -> bool:
    """Whether convolutions on a card round to TF32 though nobody asked for it."""
    if not torch.cuda.is_initialized():  # no tensor is on a card
        return False
    try:
        return torch.get_float32_matmul_precision() == "highest" and bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # set for each kind of operation by itself, and so by intention
        return False


def _check_card(device: torch.device, shown: str) -> None:
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda or torch.version.hip else f", as torch {torch.__version__} is built without it"
        raise ValueError(f"{shown} and this machine has no CUDA{built}; use 'cpu'.")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        names = ", ".join(f"'cuda:{i}'" for i in range(count))
        raise ValueError(f"{shown} and this machine has {count} card{'s' if count > 1 else ''}; use {names} or 'cpu'.")
