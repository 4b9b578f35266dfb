"""A predictor on disk: names, players and the choice among surrogates as JSON, arrays as npz (`archive`)."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..fields import EvaluationsError
from ..players import Players
from ..predictor import Predictor
from ..surrogates import Choice
from . import archive
from .surrogate import Arrays, pack, plain, unpack

__all__ = ["load", "save"]

VERSION = 2
REMEDY = "interplay attribute RUNS --save FILE, or Predictor.save, writes one."
_HELD = ("held_out", "constant", "groups", "kept")  # arrays of the choice
_WORDS = ("kind", "fidelity", "averaged", "beside")
_TUPLES = ("tasks", "targets", "higher_is_better", "rows", "warnings")


def save(predictor: Predictor, path: Path) -> Path:
    """Write ``path`` and the arrays in the file of the same name with the suffix .npz."""
    arrays: Arrays = {"centre": predictor.centre, "spread": predictor.spread}
    words: dict[str, Any] = {name: getattr(predictor, name) for name in (*_TUPLES, *_WORDS)}
    words |= {"players": asdict(predictor.players), "choices": []}
    for b, (targets, choice) in enumerate(predictor.choices):
        arrays[f"{b}/targets"] = targets
        arrays |= {f"{b}/{name}": getattr(choice, name) for name in _HELD}
        said = {f.name: plain(getattr(choice, f.name)) for f in fields(Choice) if f.name not in ("surrogate", *_HELD)}
        words["choices"].append({**said, "surrogate": pack(choice.surrogate, arrays, f"{b}/surrogate/")})
    return archive.write(path, "predictor", VERSION, words, arrays)


def load(path: Path) -> Predictor:
    """Read what `save` wrote.

    Raises
    ------
    EvaluationsError
        If the file is something else, or damaged.
    """
    words, arrays = archive.read(path, "predictor", VERSION, REMEDY)
    try:
        told: dict[str, Any] = {name: tuple(words[name]) for name in _TUPLES}
        words.setdefault("beside", 0)  # files of before have nothing beside what is asked about
        told |= {name: words[name] for name in _WORDS}
        players = {name: _tuples(value) for name, value in words["players"].items()}
        choices = []
        for b, given in enumerate(words["choices"]):
            surrogate = unpack(given.pop("surrogate"), arrays, str(path), f"{b}/surrogate/")
            held = {name: arrays[f"{b}/{name}"] for name in _HELD}
            choices.append((arrays[f"{b}/targets"], Choice(surrogate=surrogate, **held, **_arrays(given))))
        predictor = Predictor(
            players=Players(**players),
            choices=tuple(choices),
            centre=arrays["centre"],
            spread=arrays["spread"],
            **told,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise EvaluationsError(f"{path}: damaged, or written by another version ({error!s:.80}). Fit again.") from None
    served = sorted(int(t) for targets, _ in choices for t in targets)
    widths = {choice.surrogate.X_.shape[1] for _, choice in choices}
    fits = served == list(range(len(predictor.targets))) and widths == {len(predictor.players.names)}
    if not fits or not predictor.centre.shape == predictor.spread.shape == (len(predictor.targets),):
        raise EvaluationsError(f"{path}: damaged, its surrogates do not fit its tasks and targets. Fit again.")
    return predictor


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _arrays(said: dict[str, Any]) -> dict[str, Any]:
    """Lists as arrays, in dictionaries too."""
    if isinstance(said, dict):
        return {name: _arrays(value) for name, value in said.items()}
    return np.asarray(said) if isinstance(said, list) else said
