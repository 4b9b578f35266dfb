"""An attribution on disk: words and names as JSON, arrays as npz (`archive`); what was fitted is not part of it."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..amounts import Amounts
from ..attribution import Attribution
from ..coverage import Coverage
from ..fidelities import Fidelities
from ..fields import EvaluationsError
from ..held_out import HeldOut
from ..named import Named
from ..readings.discoveries import Discoveries
from ..tokens import Tokens
from ..trust import Trust
from ..trust.curve import LearningCurve
from ..truth import Comparison
from . import archive

VERSION = 3
REMEDY = "Attribution.save writes one."
_ARRAYS = ("effects", "deviation", "pairs", "interactions", "interaction_deviation", "orders", "orders_deviation")
_TUPLES = ("tasks", "targets", "unit", "links", "higher_is_better", "rows", "unidentified", "warnings")
_WHOLE: dict[str, Any] = {
    "discoveries": Discoveries,
    "coverage": Coverage,
    "held_out": HeldOut,
    "curve": LearningCurve,
}
_PARTS = ("trust", "truth", "groups", "contrasts", "amounts", "reference", "predictor", "fidelities", *_WHOLE)


def save(answer: Attribution, path: Path) -> Path:
    """Write ``path`` and the arrays in the file of the same name with the suffix .npz."""
    arrays: dict[str, np.ndarray] = {name: getattr(answer, name) for name in _ARRAYS}
    words = {f.name: getattr(answer, f.name) for f in fields(answer) if f.name not in (*_ARRAYS, *_PARTS)}
    words |= {"trust": asdict(answer.trust), "truth": None, "amounts": answer.amounts is not None}
    words["fidelities"] = None if answer.fidelities is None else asdict(answer.fidelities)
    if answer.reference is not None:
        arrays["reference"] = answer.reference
    if answer.truth is not None:
        words["truth"] = {"seeds": answer.truth.seeds}
        arrays |= {f"truth/{name}": value for name, value in vars(answer.truth).items() if name != "seeds"}
    for name in ("groups", "contrasts"):
        asked: Named | None = getattr(answer, name)
        words[name] = None if asked is None else {"names": asked.names, "words": asked.words}
        if asked is not None:
            arrays |= {f"{name}/{part}": getattr(asked, part) for part in ("effects", "deviation", "coverage")}
    for name in _WHOLE:
        words[name] = None
        if (found := getattr(answer, name)) is not None:
            held = {f.name: getattr(found, f.name) for f in fields(found)}
            words[name] = {key: value for key, value in held.items() if not isinstance(value, np.ndarray)}
            arrays |= {f"{name}/{key}": value for key, value in held.items() if isinstance(value, np.ndarray)}
    if (counted := answer.amounts) is not None:
        arrays |= {"amounts/tokens": counted.tokens.tokens, "amounts/cost": counted.tokens.cost}
        arrays |= {"amounts/moved": counted.moved, "amounts/epochs": counted.epochs}
    return archive.write(path, "attribution", VERSION, words, arrays)


def load(path: Path) -> Attribution:
    """Read what `save` wrote.

    Raises
    ------
    EvaluationsError
        If the file is not an attribution, a later version wrote it, or it is damaged.
    """
    words, arrays = archive.read(path, "attribution", VERSION, REMEDY)
    try:
        return _attribution(words, arrays)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EvaluationsError(f"{path}: damaged, or written by another version ({error!s:.80}).") from None


def _attribution(words: dict[str, Any], arrays: dict[str, np.ndarray]) -> Attribution:
    part = lambda name: {k.removeprefix(f"{name}/"): v for k, v in arrays.items() if k.startswith(f"{name}/")}
    told: dict[str, Any] | None = words.pop("fidelities", None)
    several: dict[str, Any] | None = None
    if told is not None:
        several = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    words["pairs_trust"] = tuple(tuple(pair) for pair in words.get("pairs_trust", ()))
    trusted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in words.pop("trust").items()}
    truth = words.pop("truth")
    asked: dict[str, Any] = {}
    for name in ("groups", "contrasts"):
        said = words.pop(name)
        asked[name] = None if said is None else Named(tuple(said["names"]), said["words"], **part(name))
    for name, kind in _WHOLE.items():
        if (found := words.pop(name, None)) is not None:
            held: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
            asked[name] = kind(**held, **part(name))
    counted = None
    if words.pop("amounts"):
        given = part("amounts")
        tokens = Tokens(tuple(words["tasks"]), given.pop("tokens"), given.pop("cost"))
        counted = Amounts(tokens, **given)
    words |= {name: tuple(words[name]) for name in _TUPLES}
    words |= {name: arrays[name] for name in _ARRAYS}
    words["skill"] = {name: tuple(values) for name, values in words["skill"].items()}
    return Attribution(
        **words,
        **asked,
        reference=arrays.get("reference"),
        trust=Trust(**trusted),
        truth=None if truth is None else Comparison(**part("truth"), seeds=truth["seeds"]),
        amounts=counted,
        fidelities=None if several is None else Fidelities(**several),
    )
