"""What people see of an attribution."""

from .table import text

__all__ = ["text"]
