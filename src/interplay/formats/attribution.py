"""An attribution on disk: JSON for words and names, npz for arrays beside it; never a pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution import Attribution
from ..evaluations import EvaluationsError
from ..trust import Trust
from ..truth import Comparison

VERSION = 1
_ARRAYS = ("effects", "deviation", "pairs", "interactions", "interaction_deviation")
_TUPLES = ("tasks", "targets", "unit", "higher_is_better", "rows", "unidentified", "warnings")


def as_json(answer: Attribution) -> dict[str, Any]:
    """Everything but arrays and fitted surrogates, as JSON-able values."""
    skip = {*_ARRAYS, "choices", "trust", "truth"}
    out: dict[str, Any] = {"interplay": "attribution", "version": VERSION}
    out |= {f.name: getattr(answer, f.name) for f in fields(answer) if f.name not in skip}
    out["trust"] = asdict(answer.trust)
    out["truth"] = None if answer.truth is None else {"seeds": answer.truth.seeds}
    return out


def save(answer: Attribution, path: Path) -> Path:
    """Write ``path`` and the arrays in the file of the same name with the suffix .npz."""
    path = path if path.suffix == ".json" else path.with_name(path.name + ".json")
    arrays = {name: getattr(answer, name) for name in _ARRAYS}
    if answer.truth is not None:
        arrays |= {f"truth_{name}": np.asarray(v) for name, v in vars(answer.truth).items() if name != "seeds"}
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    path.write_text(json.dumps(as_json(answer), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Attribution:
    """Read what `save` wrote.

    Raises
    ------
    EvaluationsError
        If the file is not an attribution, or a later version wrote it.
    """
    path = path if path.suffix == ".json" else path.with_name(path.name + ".json")
    if not path.exists():
        raise EvaluationsError(f"{path}: there is no such file; Attribution.save writes it.")
    words = json.loads(path.read_text(encoding="utf-8"))
    if words.pop("interplay", None) != "attribution" or words.pop("version", VERSION + 1) > VERSION:
        raise EvaluationsError(f"{path}: not an attribution that this version can read; save it with Attribution.save.")
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = dict(file)
    judged = {name.removeprefix("truth_"): arrays.pop(name) for name in list(arrays) if name.startswith("truth_")}
    truth = words.pop("truth")
    trusted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in words.pop("trust").items()}
    words |= {name: tuple(words[name]) for name in _TUPLES}
    words["skill"] = {name: tuple(values) for name, values in words["skill"].items()}
    return Attribution(
        **words,
        **arrays,
        trust=Trust(**trusted),
        truth=None if truth is None else Comparison(**judged, seeds=truth["seeds"]),
    )
