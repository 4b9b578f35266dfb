"""Runs whose results do not say what they were trained on, and the file beside them that does (``--mixtures``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...fields import EvaluationsError, listed
from .draft import Options
from .mixtures import Mixed, mixtures_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["mixed", "refuse", "with_column"]


def mixed(
    runs: Sequence[str], options: Options, title: str, *, other: Sequence[str] = (), seeded: bool = False
) -> Mixed:
    """What each run was trained on, from ``--mixtures``, by its name or else by another name of it.

    Parameters
    ----------
    runs : sequence of str (m,)
    options : Options
    title : str
        What the results are, for the error where no mixtures are given.
    other : sequence of str (m,), optional
        Other names of the runs, such as those of their models.
    seeded : bool
        Whether seeds are stated there, as ``--seed`` then says.
    """
    path = options.mixtures
    if path is None:
        raise EvaluationsError(
            f"{title} do not say what their runs were trained on. Give --mixtures FILE, a table with a column 'run' "
            f"that names the {len(runs)} runs ({listed([*map(repr, runs)], 8)}) and one column for each task."
        )
    try:
        return mixtures_of(path, runs, options, seeded=seeded)
    except EvaluationsError as error:
        if len(set(other)) == len(runs) and all(other) and list(other) != list(runs):
            try:
                return mixtures_of(path, other, options, seeded=seeded)
            except EvaluationsError:
                pass
        raise error


def refuse(options: Options, names: Sequence[str], title: str, remedy: str) -> None:
    """Raise an error for the first of some options that is given and that these results have no use for."""
    for name in names:
        if getattr(options, name):
            raise EvaluationsError(f"--{name} is not for {title}, which have no columns. {remedy}")


def with_column(frame: pd.DataFrame, column: str, cells: Sequence[object]) -> tuple[pd.DataFrame, str]:
    """Add a column under a name that is free, and return that name."""
    while column in frame.columns:
        column += "'"
    return frame.assign(**{column: list(cells)}), column
