"""Which program's table a file looks like, so that one given under another format is named and not misread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ...fields import EvaluationsError

__all__ = ["format_of", "one_file", "other_format", "refuse_foreign"]

_WORDS = {
    "wandb": "a table of runs of W&B",
    "mlflow": "an export of runs of MLflow",
    "optuna": "trials of Optuna",
    "climb": "results of CLIMB",
    "admire": "a table of ADMIRE",
    "dmsl": "a table of mixture scaling laws",
    "marin": "a swarm of Marin",
    "regmix": "half of RegMix's runs",
    "long": "a long table",
}
_LOGS = ("wandb", "mlflow", "optuna")
#: Formats whose tables are known by columns that each begin or end so.
_NAMES = {
    "admire": (r"ratio_.+", r"metric_.+"),
    "dmsl": (r"weight_.+", r".+_loss"),
    "marin": (r"phase_?\d+_.+", r"phase_?\d+_.+"),
}


def format_of(columns: Sequence[str]) -> str | None:
    """Return the format of an exported table by its columns; None where they do not tell.

    Examples
    --------
    >>> format_of(["number", "value", "params_x", "state"]), format_of(["run_id", "status", "params.x"])
    ('optuna', 'mlflow')
    """
    names = set(columns)
    if {"Run ID", "Source Type", "Status"} <= names:
        return "mlflow"
    if "run_id" in names and any(n.startswith(("params.", "metrics.")) for n in names):
        return "mlflow"
    if {"number", "state"} <= names and any(n.startswith("params_") for n in names):
        return "optuna"
    if {"Name", "State"} <= names or {"Name", "Created", "Runtime"} <= names:
        return "wandb"
    if "valid_avg" in names or "model_benchmark_path" in names:
        return "climb"
    for format, patterns in _NAMES.items():
        if all(any(re.fullmatch(pattern, name) for name in names) for pattern in patterns):
            return format
    if "index" in names and any(n.startswith(("train_", "metric/")) for n in names):
        return "regmix"
    lower = {name.lower() for name in names}
    if lower & {"source", "task", "domain", "metric"} and lower & {"weight", "share", "ratio", "value"}:
        return "long"
    return None


def other_format(columns: Sequence[str], format: str) -> str:
    """A sentence, after a blank, that names the importer of a table of another format; '' where it is not known."""
    found = format_of(columns)
    return "" if found in (None, format) else f" It looks like {_WORDS[found]}; `interplay import {found}` reads it."


def refuse_foreign(columns: Sequence[str], name: str, format: str) -> None:
    """Raise an error where a table looks like a log of another program, whose columns cannot be taken for this one."""
    if format_of(columns) in _LOGS and (other := other_format(columns, format)):
        raise EvaluationsError(name + other.replace(" It", "", 1))


def one_file(paths: Sequence[Path], what: str) -> Path:
    """Return the one path that is given."""
    if len(paths) != 1:
        raise EvaluationsError(f"{len(paths)} files are given; give one, {what}.")
    return paths[0]
