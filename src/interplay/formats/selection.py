"""A choice on disk: words and names as JSON, all that is a number of a candidate as npz (`archive`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluations import Evaluations, EvaluationsError
from ..selection.result import Candidate, Selection
from . import archive

__all__ = ["load", "save"]

VERSION = 1
REMEDY = "interplay select RUNS --out FILE, or Selection.save, writes one."
_LISTS = ("candidates", "front")
_NUMBERS = ("risk", "bias", "stretch", "rank")  # which may be NaN
_WORDS = ("role", "name")  # of a candidate
_WHOLE = {"runs": int, "worth": float, "remoteness": float, "drawn": int}
_LATER = ("drawn",)  # which files of earlier versions lack
_ROWS = ("masks", "values", "fidelity", "seed", "cost", "origin")  # of trainings


def save(chosen: Selection, path: Path) -> Path:
    """Write ``path`` and the arrays in the file of the same name with the suffix .npz."""
    arrays: dict[str, np.ndarray] = {"noise": chosen.noise}
    arrays["numbers"] = np.array([getattr(chosen, name) for name in _NUMBERS], float)
    held = ("noise", "trained", *_NUMBERS, *_LISTS)
    words: dict[str, Any] = {f.name: getattr(chosen, f.name) for f in fields(chosen) if f.name not in held}
    for name in _LISTS:
        given: Sequence[Candidate] = getattr(chosen, name)
        words[name] = [{word: getattr(c, word) for word in _WORDS} for c in given]
        arrays |= {f"{name}/{part}": np.array([getattr(c, part) for c in given]) for part in _parts()}
    if chosen.trained is not None:
        arrays |= {f"trained/{name}": getattr(chosen.trained, name) for name in _ROWS}
        facts = ("targets", "higher_is_better", "notes", "warnings")
        words["trained"] = {name: getattr(chosen.trained, name) for name in facts}
    return archive.write(path, "selection", VERSION, words, arrays)


def load(path: Path) -> Selection:
    """Read what `save` wrote.

    Raises
    ------
    EvaluationsError
        If the file is not a choice, a later version wrote it, or it is damaged.
    """
    words, arrays = archive.read(path, "selection", VERSION, REMEDY)
    try:
        trained = words.pop("trained", None)
        found: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in words.items()}
        for name in _LISTS:
            found[name] = tuple(_candidate(said, arrays, name, i) for i, said in enumerate(words[name]))
        numbers = dict(zip(_NUMBERS, map(float, arrays["numbers"]), strict=True))
        if trained is not None:
            rows = {part: arrays[f"trained/{part}"] for part in _ROWS}
            found["trained"] = Evaluations(tasks=found["tasks"], kind=found["kind"], **rows, **trained)
        chosen = Selection(**found, **numbers, noise=arrays["noise"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise EvaluationsError(f"{path}: damaged, or written by another version ({error!s:.80}).") from None
    K, J = len(chosen.tasks), len(chosen.targets)
    if not chosen.candidates or any(c.weights.shape != (K,) or c.predicted.shape != (J,) for c in chosen.candidates):
        raise EvaluationsError(f"{path}: damaged, its candidates do not fit its tasks and targets.")
    return chosen


def _parts() -> list[str]:
    """What a candidate holds beside its words."""
    return [f.name for f in fields(Candidate) if f.name not in _WORDS]


def _candidate(said: dict[str, str], arrays: dict[str, np.ndarray], name: str, i: int) -> Candidate:
    """One candidate of a list."""
    held = [part for part in _parts() if part not in _LATER or f"{name}/{part}" in arrays]
    own: dict[str, Any] = {part: arrays[f"{name}/{part}"][i] for part in held}
    own |= {part: kind(own[part]) for part, kind in _WHOLE.items() if part in own}
    return Candidate(**{word: said[word] for word in _WORDS}, **own)
