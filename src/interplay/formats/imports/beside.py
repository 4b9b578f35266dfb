"""Runs whose results do not say what they were trained on, and the file beside them that does (``--mixtures``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...fields import EvaluationsError, listed
from .cells import texts
from .draft import Left, Options
from .mixtures import mixtures_of, read_mixtures
from .sheets import read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["mixed", "refuse", "seeds_beside", "with_column"]


def mixed(
    runs: Sequence[str], options: Options, title: str, *, other: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, str], tuple[Left, ...]]:
    """What each run was trained on, from ``--mixtures``, by its name or else by another name of it.

    Parameters
    ----------
    runs : sequence of str (m,)
    options : Options
    title : str
        What the results are, for the error where no mixtures are given.
    other : sequence of str (m,), optional
        Other names of the runs, such as those of their models.
    """
    path = options.mixtures
    if path is None:
        raise EvaluationsError(
            f"{title} do not say what their runs were trained on. Give --mixtures FILE, a table with a column 'run' "
            f"that names the {len(runs)} runs ({listed([*map(repr, runs)], 8)}) and one column for each task."
        )
    if options.seed is not None:
        options = replace(options, ignore=(*options.ignore, options.seed))
    try:
        return mixtures_of(path, runs, options)
    except EvaluationsError as error:
        if len(set(other)) == len(runs) and all(other) and list(other) != list(runs):
            try:
                return mixtures_of(path, other, options)
            except EvaluationsError:
                pass
        raise error


def refuse(options: Options, names: Sequence[str], title: str, remedy: str) -> None:
    """Raise an error for the first of some options that is given and that these results have no use for."""
    for name in names:
        if getattr(options, name):
            raise EvaluationsError(f"--{name} is not for {title}, which have no columns. {remedy}")


def seeds_beside(options: Options, runs: Sequence[str], other: Sequence[str] = ()) -> list[str] | None:
    """Seeds (m,) of runs as the table of mixtures states them, as text; None where it has no column of seeds."""
    path, column = options.mixtures, options.seed or "seed"
    if path is None or path.is_dir():
        return None
    try:
        frame = read_sheet(path).frame
    except EvaluationsError:
        frame = None  # no table: `mixtures_of` reads other files, which state no seeds
    there = {} if frame is None else {str(c).lower(): str(c) for c in frame.columns}
    if frame is None or column.lower() not in there:
        if options.seed is not None:
            raise EvaluationsError(f"--seed {column}: {path.name} has no such column. Name a column of --mixtures.")
        return None
    seeds = texts(frame[there[column.lower()]])
    for names in read_mixtures(path).names.values():
        for called in (runs, other):
            if len(names) == len(seeds) and (found := _found(names, called, seeds)):
                return found
    return None


def with_column(frame: pd.DataFrame, column: str, cells: Sequence[object]) -> tuple[pd.DataFrame, str]:
    """Add a column under a name that is free, and return that name."""
    while column in frame.columns:
        column += "'"
    return frame.assign(**{column: list(cells)}), column


def _found(names: Sequence[str], runs: Sequence[str], seeds: Sequence[str]) -> list[str] | None:
    """The seed of each run by its name, or by the last part of it; None where one has none."""
    held: Mapping[str, str] = dict(zip(names, seeds, strict=True))
    last = {_last(name): seed for name, seed in held.items()}
    found = [held.get(run, last.get(_last(run))) for run in runs]
    return [seed for seed in found if seed is not None] if runs and None not in found else None


def _last(name: str) -> str:
    return name.replace("\\", "/").replace("__", "/").rstrip("/").rsplit("/", 1)[-1]
