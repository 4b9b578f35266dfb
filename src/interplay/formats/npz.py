"""NumPy archives without pickles: arrays by name, everything else as one JSON text under ``interplay``.

Keys: ``masks`` (m, K), ``values`` (m, T) and, where known, ``fidelity, seed, cost, origin`` (m,). An archive
from elsewhere needs ``masks`` and ``values``, and may have ``tasks`` and ``targets`` (names); losses may be called
``losses``, and rows to fit may be set apart from others as ``train_masks`` and ``train_losses``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..fields import EvaluationsError
from .table import FACTS, Table, layout

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = ["read", "write"]

_ROWS = ("fidelity", "seed", "cost", "origin")


def read(path: Path) -> Table:
    """Read an archive; pickled objects in it are refused."""
    import zipfile

    import pandas as pd

    name = path.name
    if not path.stat().st_size:
        raise EvaluationsError(f"{name} is empty. Give an archive with masks and values.")
    if not zipfile.is_zipfile(path):
        raise EvaluationsError(f"{name} is not an archive of arrays. Write it with numpy.savez, or give a CSV file.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            held: dict[str, Any] = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise EvaluationsError(
            f"{name} is not an archive of plain arrays ({str(error)[:100]}). Write it with numpy.savez, "
            "without objects."
        ) from None
    held, said = _renamed(held, name)
    if lacking := [key for key in ("masks", "values") if key not in held]:
        raise EvaluationsError(
            f"{name} has no array {lacking[0]!r}; it holds {', '.join(sorted(held)) or 'nothing'}. "
            "Give masks (m, K) and values (m, T)."
        )
    masks, values = held["masks"], held["values"]
    values = values[:, None] if values.ndim == 1 else values
    if masks.ndim != 2 or values.ndim != 2 or len(masks) != len(values):
        raise EvaluationsError(
            f"{name}: masks have shape {masks.shape} and values {values.shape}; give (m, K) and (m, T)."
        )
    facts = json.loads(str(held[FACTS])) if FACTS in held else None
    tasks = _names(held, facts, "tasks", [f"task_{k}" for k in range(masks.shape[1])], name)
    plain = ["target"] if values.shape[1] == 1 else [f"target_{t}" for t in range(values.shape[1])]
    targets = _names(held, facts, "targets", plain, name)
    ways = None if facts is None else facts["higher_is_better"]
    columns = {f"task:{t}": masks[:, k] for k, t in enumerate(tasks)}
    for t, target in enumerate(targets):
        way = "" if ways is None else ("higher:" if ways[t] else "lower:")
        columns[f"target:{way}{target}"] = values[:, t]
    columns |= {key: held[key] for key in _ROWS if key in held}
    if odd := [key for key in _ROWS if key in held and held[key].shape != (len(masks),)]:
        raise EvaluationsError(f"{name}: {odd[0]} has shape {held[odd[0]].shape}; give {len(masks)} entries.")
    return Table(pd.DataFrame(columns), name, facts, said)


def write(file: BinaryIO, runs: Evaluations) -> None:
    """Write all of a table of evaluations."""
    facts = json.loads(layout(runs)[1]) | {
        "tasks": runs.tasks,
        "targets": runs.targets,
        "higher_is_better": runs.higher_is_better,
    }
    arrays: dict[str, Any] = {key: getattr(runs, key) for key in ("masks", "values", *_ROWS)}
    arrays[FACTS] = np.array(json.dumps(facts))
    np.savez_compressed(file, **arrays)


def _renamed(held: dict[str, Any], name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give masks and values their names where an archive from elsewhere has others, and say what is left unread."""
    if "masks" in held and "values" in held:
        return held, ()
    for masks, values in (("masks", "losses"), ("train_masks", "train_values"), ("train_masks", "train_losses")):
        if masks not in held or values not in held:
            continue
        taken = {"masks": held[masks], "values": held[values]}
        if masks == "masks":
            taken |= {key: held[key] for key in ("tasks", "targets", *_ROWS) if key in held}
        if values.endswith("losses") and "targets" not in taken:
            count = 1 if held[values].ndim == 1 else held[values].shape[1]
            taken["targets"] = np.array(["loss"] if count == 1 else [f"loss_{t}" for t in range(count)])
        unread = sorted(set(held) - {masks, values} - set(taken))
        return taken, (f"{name}: {masks} and {values} are read" + (f"; {', '.join(unread)} are not" if unread else ""),)
    return held, ()


def _names(held: dict[str, Any], facts: Any, key: str, plain: list[str], name: str) -> list[str]:
    given = facts[key] if facts is not None else held.get(key)
    if given is None:
        return plain
    names = [str(n) for n in np.atleast_1d(np.asarray(given))] if facts is None else list(given)
    if len(names) != len(plain):
        raise EvaluationsError(f"{name}: {key} has {len(names)} names for {len(plain)} columns; give one each.")
    return names
