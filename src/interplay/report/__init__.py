"""What people see of an attribution: `table` in a terminal, `page` in a browser, `notebook` in between."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .table import text

if TYPE_CHECKING:
    from . import page

__all__ = ["page", "text"]


def __getattr__(name: str) -> Any:
    if name == "page":
        return import_module(f"{__name__}.page")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
