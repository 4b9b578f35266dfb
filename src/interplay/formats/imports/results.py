"""Files of results of lm-evaluation-harness: which of them are there, and of which run and model each is.

``<run>/<model>/results_<date>.json``, with slashes of the model's name written ``__``; or files side by side.
Source: EleutherAI/lm-evaluation-harness, ``lm_eval/loggers/evaluation_tracker.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...fields import EvaluationsError, listed
from .documents import load, other_than
from .scores import DATE, Results, Score, joined, named, parting
from .sheets import existing

__all__ = ["Results", "Score", "by_model", "in_folder", "is_result", "named", "results_of"]

_FILE = re.compile(r".+\.json(\.gz)?", re.IGNORECASE)
_NAMES = ("peft", "delta", "pretrained", "model", "path", "engine")


def results_of(path: Path) -> Results:
    """Read the results of one run: a file, or all files in a folder and below it.

    Raises
    ------
    EvaluationsError
        For a folder without results, results of several models, broken files.
    """
    if existing(path, folder=True).is_file():
        held = _held(path, strict=True)
        found = None if held is None else joined([(path, held)], _name(path, _model(held)), str(path), _model(held))
    else:
        found = in_folder(path)
    if found is None:
        raise EvaluationsError(f"{path} holds no results of lm-eval. Give a folder with results_*.json.")
    return found


def in_folder(folder: Path) -> Results | None:
    """Read all files in a folder and below it as one run; None where there are none."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and is_result(file)]
    found = [(file, held) for file in files if (held := _held(file, strict=False)) is not None]
    if not found:
        return None
    models = list(dict.fromkeys(_model(held) for _, held in found))
    if len(models) > 1:
        raise EvaluationsError(
            f"{str(folder)!r} holds results of {len(models)} models: {listed([*map(repr, models)], 4)}. A run is a "
            f"folder with results of one: give the folder whose folders are the runs{parting([f for f, _ in found])}."
        )
    return joined(found, folder.name, str(folder), models[0])


def by_model(folder: Path) -> list[Results]:
    """Read the files directly in a folder: those of one name, which is that of the model or of the file, are a run."""
    held: dict[tuple[str, str], list[tuple[Path, Mapping[str, Any]]]] = {}
    for file in sorted(f for f in folder.iterdir() if f.is_file() and is_result(f)):
        one = _held(file, strict=False)
        if one is not None:
            held.setdefault((_name(file, _model(one)), _model(one)), []).append((file, one))
    return [joined(found, name, str(found[0][0]), model) for (name, model), found in held.items()]


def is_result(file: Path) -> bool:
    """Tell whether a file may hold results, by its name."""
    return bool(_FILE.fullmatch(file.name)) and not file.name.startswith("samples_")


def _held(file: Path, strict: bool) -> Mapping[str, Any] | None:
    """What a file holds; None for another JSON file, which is an error where the file itself was given."""
    document = load(file)
    results = document.get("results") if isinstance(document, Mapping) else None
    if isinstance(results, Mapping) and results and all(isinstance(one, Mapping) for one in results.values()):
        return document
    if not strict and not file.name.startswith("results"):
        return None
    other = other_than("lm-eval", file)
    raise EvaluationsError(f"{file} is no result of lm-eval: it has no 'results' of tasks.{other}")


def _model(held: Mapping[str, Any]) -> str:
    """The model, as the file states it or its arguments do."""
    if held.get("model_name"):
        return str(held["model_name"])
    config = held.get("config")
    given = config.get("model_args") if isinstance(config, Mapping) else None
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    if isinstance(given, Mapping):
        return str(next((given[key] for key in _NAMES if given.get(key)), ""))
    return ""


def _name(path: Path, model: str) -> str:
    """What a run of one file is called: by its model, unless the file has a name of its own."""
    stem = DATE.sub("", re.sub(r"\.json(\.gz)?$", "", path.name, flags=re.IGNORECASE)).strip("_")
    if stem and stem != "results":
        return stem
    return model.rstrip("/").rsplit("/", 1)[-1] or path.parent.name
