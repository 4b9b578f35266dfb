"""The list of public recordings, `public.toml`: where they lie, their checksums, and the tables made of them.

Authors publish some as JSON. What the benchmarks read is made of it by the functions here, and was made so when the
tables of `results/` were measured:

- modular addition: masks and losses of the trainings to fit on and of those that judge;
- coin_flip: a prompt's demonstrations, as a mask over all 50, and its losses;
- games of shapiq (sources, points): 0 or 1 per player, then the accuracy of each model, six digits. The empty set,
  which was not measured, is left out; of the 32,767 other subsets of 15 points, 4,096 were drawn once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interplay.fields import EvaluationsError

HERE = Path(__file__).resolve().parent
LIST, INTO, BESIDE = HERE / "public.toml", HERE / "recordings" / "public", HERE.parent.parent / "shared" / "data"
FORMS = {"repository": r"[\w.-]+/[\w.-]+", "commit": r"[0-9a-f]{40}", "sha256": r"[0-9a-f]{64}"}


@dataclass(frozen=True)
class File:
    """A file of a repository, and its place below the folder of recordings."""

    repository: str
    commit: str
    path: str
    to: str
    size: int
    sha256: str | None = None


@dataclass(frozen=True)
class Made:
    """A table made from files; the names are places below the folder of recordings."""

    to: str
    by: str
    sources: tuple[str, ...]
    sha256: str | None = None


@dataclass(frozen=True)
class Public:
    """A set of files that one repository publishes, and the tables made of them."""

    name: str
    about: str
    licence: str
    files: tuple[File, ...]
    made: tuple[Made, ...] = ()


def recordings() -> Path:
    """Folder of the public recordings: ../shared/data beside the checkout, or else what `fetch` downloaded."""
    return BESIDE if BESIDE.is_dir() else INTO


def read(path: Path = LIST) -> dict[str, Public]:
    """Sets of the list by name; what is not of its form is an error, before anything is asked for."""
    sets = {}
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationsError(f"{path.name}: not TOML: {error}") from None
    for name, told in listed.items():
        where = f"{path.name}: {name}"
        try:
            files = tuple(File(told["repository"], **one) for one in told["files"])
            made = tuple(Made(m["to"], m["by"], tuple(m["from"]), m.get("sha256")) for m in told.get("made", ()))
            sets[name] = Public(name, told["about"], told["licence"], files, made)
        except (KeyError, TypeError) as error:
            raise EvaluationsError(f"{where}: an entry lacks a field or has one too many: {error}") from None
        for one in files:
            _check(one, f"{where}: {one.to}", (one.repository, one.path, one.to))
        for one in made:
            _check(one, f"{where}: {one.to}", (one.to, *one.sources))
            if missing := set(one.sources) - {file.to for file in files}:
                raise EvaluationsError(f"{where}: {one.to}: made from {min(missing)!r}, which is no file of {name}")
    return sets


def _check(one: File | Made, where: str, places: Sequence[str]) -> None:
    for place in places:  # first: all else is of no concern for a path that leads elsewhere
        if not place or re.search(r"^/|/$|//|(^|/)\.\.?(/|$)|[\\:\x00-\x1f]", place):
            raise EvaluationsError(f"{where}: {place!r} may lead out of its folder; give a path below it, without '..'")
    for field, form in FORMS.items():
        value = getattr(one, field, None)
        if value is not None and not re.fullmatch(form, value):
            raise EvaluationsError(f"{where}: {field} is {value!r}; it is of the form {form}")
    if isinstance(one, File) and not (type(one.size) is int and one.size > 0):
        raise EvaluationsError(f"{where}: size is {one.size!r}; give the number of bytes")
    if isinstance(one, Made) and one.by not in MAKERS:
        raise EvaluationsError(f"{where}: by is {one.by!r}; choose one of {', '.join(MAKERS)}")


# ---------------------------------------------------------------- tables made of what authors publish


def _modular_addition(told: dict[str, Any]) -> dict[str, Any]:
    names = {"masks": ("w", np.uint8), "losses": ("subset_scores", np.float32)}
    return {
        f"{part}_{n}": np.array(told[f"{part}_{k}"], t) for part in ("train", "test") for n, (k, t) in names.items()
    }


def _coin_flip(ids: list[list[int]], losses: list[list[float]]) -> dict[str, Any]:
    demonstrations = np.array(ids, np.uint8)
    masks = np.zeros((len(ids), 50), np.uint8)
    np.put_along_axis(masks, demonstrations.astype(int), 1, axis=1)
    return {"masks": masks, "demonstrations": demonstrations, "losses": np.array(losses, np.float32)}


def _games(task: str, K: int, models: Sequence[str], drawn: int | None = None) -> Callable[..., str]:
    def lines(*games: dict[str, Any]) -> str:
        known = [game["data"] for game in games]
        subsets = [key for key in known[0] if key != "Empty"]
        if drawn is not None:  # by the generator that drew them once: which subsets they are is part of the recording
            subsets = [subsets[i] for i in sorted(np.random.RandomState(0).choice(len(subsets), drawn, replace=False))]
        rows = [",".join([*(f"{task}{k + 1}" for k in range(K)), *(f"acc_{model}" for model in models)])]
        for key in subsets:
            on = {int(k) for k in key.split(",")}
            rows.append(",".join([*("01"[k in on] for k in range(K)), *(repr(round(of[key], 6)) for of in known)]))
        return "\n".join(rows) + "\n"

    return lines


MAKERS: dict[str, Callable[..., Any]] = {
    "modular_addition": _modular_addition,
    "coin_flip": _coin_flip,
    "sources": _games("chunk", 10, ("decision_tree", "gradient_boosting", "random_forest")),
    "points": _games("point", 15, ("decision_tree", "random_forest"), 4096),
}
