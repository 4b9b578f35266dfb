"""One run of Hugging Face's Trainer: its evaluations by step, from ``trainer_state.json`` and what is beside it.

``log_history`` is a list of ``{"eval_loss": 1.2, "step": 1000, "epoch": 2.0, ...}``; entries of one step are one
evaluation. A state in a checkpoint holds all that came before; ``all_results.json`` is read where no state has any.
Source: huggingface/transformers, ``trainer_callback.py`` (TrainerState) and ``trainer_pt_utils.py`` (save_metrics).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...fields import EvaluationsError, listed
from .documents import load, other_than

__all__ = ["STATE", "Run", "plain_in", "run_of", "states_in"]

STATE = "trainer_state.json"
_RESULTS = ("eval_results.json", "all_results.json")


@dataclass(frozen=True)
class Run:
    """A run of a trainer.

    Attributes
    ----------
    name, folder : str, Path
    last : float
        Its last step; NaN where that is not stated.
    evaluations : mapping of float to mapping
        Results by step (-1 where that is not stated), with the epoch of each.
    seconds : float or None
        Of training.
    seed : str or None
    pickled : bool
        Whether its arguments lie beside it as a pickle.
    file : Path
        Where its evaluations stand.
    others : tuple of str
        What its log holds beside evaluations.
    best : bool
        Whether it states the best of its evaluations.
    """

    name: str
    folder: Path
    last: float
    evaluations: Mapping[float, Mapping[str, float]]
    seconds: float | None
    seed: str | None
    pickled: bool
    file: Path
    others: tuple[str, ...] = ()
    best: bool = False


def states_in(folder: Path) -> list[Path]:
    """States of a run that a folder holds itself: beside the model, and in its checkpoints."""
    return [*plain_in(folder), *sorted(folder.glob(f"checkpoint-*/{STATE}"))]


def plain_in(folder: Path) -> list[Path]:
    """State and results that lie directly in a folder."""
    return [file for name in (STATE, *_RESULTS) if (file := folder / name).is_file()]


def run_of(files: Sequence[Path], name: str, *, strict: bool) -> Run:
    """Read one run: its latest state, and the results that were saved beside it where that has none.

    Raises
    ------
    EvaluationsError
        For files of several runs, and files that are no states (where `strict`).
    """
    folder = _owner(files, name)
    states = [(_document(file), file) for file in dict.fromkeys(files) if file.name not in _RESULTS]
    states = [(held, file) for held, file in states if "log_history" in held]
    if strict and not states:
        _document(files[0], refused=True)
    states.sort(key=lambda one: (_number(one[0].get("global_step")) or 0.0, one[1].parent == folder))
    held, source = states[-1] if states else ({}, files[0])
    history, last = held.get("log_history") or [], _number(held.get("global_step"))
    evaluations = _evaluations(history, source)
    saved: dict[str, Any] = {}
    for result in _RESULTS:
        if (folder / result).is_file():
            saved |= _document(folder / result)
            source = source if evaluations else folder / result
    if not evaluations and (results := _results(saved)):
        evaluations = {-1.0 if last is None else last: results}
    times = [t for entry in history if (t := _number(entry.get("train_runtime"))) is not None]
    others = dict.fromkeys(k for e in history for k in e if not k.startswith("eval_") and k not in ("step", "epoch"))
    return Run(
        name=name,
        folder=folder,
        last=math.nan if last is None else last,
        evaluations=evaluations,
        seconds=times[-1] if times else _number(saved.get("train_runtime")),
        seed=_seed(folder),
        pickled=any(folder.rglob("training_args.bin")),
        file=source,
        others=tuple(k for k in others if k != "train_runtime"),
        best=held.get("best_metric") is not None,
    )


def _owner(files: Sequence[Path], name: str) -> Path:
    """The folder of a run, in which its checkpoints lie."""
    checkpoints = [file.parent.name.startswith("checkpoint-") for file in files]
    owners = dict.fromkeys(f.parent.parent if c else f.parent for f, c in zip(files, checkpoints, strict=True))
    if len(owners) > 1:
        raise EvaluationsError(
            f"{name!r} holds states of {len(owners)} runs: {listed([str(one) for one in owners], 3)}. Give the folder "
            "that these lie in."
        )
    return next(iter(owners))


def _document(file: Path, refused: bool = False) -> dict[str, Any]:
    """An object of JSON; anything else is an error, which says what it looks like."""
    held = load(file)
    if isinstance(held, dict) and not refused and isinstance(held.get("log_history", []), list):
        return held
    other = other_than("trainer", file)
    raise EvaluationsError(f"{file} is no state of a trainer: it has no list 'log_history'.{other}")


def _evaluations(history: Sequence[Any], file: Path) -> dict[float, dict[str, float]]:
    """Results by step: entries with keys ``eval_*``; those of one step belong together, a later one counts."""
    found: dict[float, dict[str, float]] = {}
    for entry in history:
        if not isinstance(entry, Mapping):
            raise EvaluationsError(
                f"{file}: log_history holds {str(entry)[:40]!r}, which is no object. Save the state again."
            )
        step = _number(entry.get("step"))
        if step is not None and (results := _results(entry)):
            known = found.setdefault(step, {})
            known |= results
            if (epoch := _number(entry.get("epoch"))) is not None:
                known["epoch"] = epoch
    return found


def _results(entry: Mapping[str, Any]) -> dict[str, float]:
    return {k: v for k, given in entry.items() if k.startswith("eval_") and (v := _number(given)) is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _seed(folder: Path) -> str | None:
    """The seed in ``training_args.json``, where somebody saved it so."""
    file = folder / "training_args.json"
    held = load(file) if file.is_file() else None
    seed = held.get("seed") if isinstance(held, Mapping) else None
    return str(seed) if isinstance(seed, int) and not isinstance(seed, bool) else None
