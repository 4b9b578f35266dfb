"""ADMIRE: ``model, ratio_<source>..., metric_<benchmark>..., train_time`` in one table."""

from __future__ import annotations

from pathlib import Path

from .draft import Draft, Options
from .prefixes import of_names, single

__all__ = ["read"]


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read one table; ``train_time`` is what a run cost."""
    roles = {"run": "model", "cost": "train_time"}
    return of_names(
        single(paths), options, "admire", r"ratio_(.+)", r"metric_(.+)", roles, "ratio_SOURCE and metric_BENCHMARK"
    )
