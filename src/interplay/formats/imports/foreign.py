"""Which program's table a file looks like, so that one given under another format is named and not misread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...fields import EvaluationsError

__all__ = ["format_of", "one_file", "refuse_foreign"]

_WORDS = {"wandb": "a table of runs of W&B", "mlflow": "an export of runs of MLflow", "optuna": "trials of Optuna"}


def format_of(columns: Sequence[str]) -> str | None:
    """Return the format of an exported table by its columns; None where they do not tell.

    Examples
    --------
    >>> format_of(["number", "value", "params_x", "state"]), format_of(["run_id", "status", "params.x"])
    ('optuna', 'mlflow')
    """
    names = set(columns)
    if "run_id" in names and any(n.startswith(("params.", "metrics.")) for n in names):
        return "mlflow"
    if {"number", "state"} <= names and any(n.startswith("params_") for n in names):
        return "optuna"
    if {"Name", "State"} <= names or {"Name", "Created", "Runtime"} <= names:
        return "wandb"
    return None


def refuse_foreign(columns: Sequence[str], name: str, format: str) -> None:
    """Raise an error where a table looks like that of another program."""
    found = format_of(columns)
    if found is not None and found != format:
        raise EvaluationsError(f"{name} looks like {_WORDS[found]}; `interplay import {found}` reads it.")


def one_file(paths: Sequence[Path], what: str) -> Path:
    """Return the one path that is given."""
    if len(paths) != 1:
        raise EvaluationsError(f"{len(paths)} files are given; give one, {what}.")
    return paths[0]
