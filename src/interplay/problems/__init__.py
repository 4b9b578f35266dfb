"""Real problems that a user can run, with their recordings; each module is imported when it is first named."""

from importlib import import_module
from typing import Any

_MODULES = ("digits", "games", "gpt2", "instruct", "modular", "vision")

__all__ = [*_MODULES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
