"""Which settings of logged runs are seeds, and one number for each combination where several of them vary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .cells import looked_up, numbers_of, texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Seeds", "seeds_of"]

_SEED = re.compile(r"(.*[/.:_\- ])?seed", re.IGNORECASE)


class Seeds(NamedTuple):
    """The column of the seeds, or a number (m,) for each combination of several; the settings used; what is said."""

    column: str | None = None
    numbered: list[int] | None = None
    used: tuple[str, ...] = ()
    said: str = ""


def seeds_of(frame: pd.DataFrame, settings: Mapping[str, str], stated: str | None) -> Seeds:
    """Find the seeds: those that are stated, or the settings of whole numbers that are called so.

    Parameters
    ----------
    frame : DataFrame
    settings : mapping of str to str
        Names and their columns.
    stated : str, optional
        What --seed names.
    """
    if stated is not None:
        name = looked_up(stated, settings, "--seed")
        return Seeds(settings[name], None, (name,))
    numbers = numbers_of(frame, {n: c for n, c in settings.items() if _SEED.fullmatch(n)})
    called = tuple(n for n, held in numbers.items() if all(v != v or float(v).is_integer() for v in held))
    if not called:
        return Seeds()
    differing: dict[tuple[str, ...], str] = {}
    for name in called:
        cells = tuple(texts(frame[settings[name]]))
        if len(set(cells)) > 1:
            differing.setdefault(cells, name)
    if len(differing) < 2:
        return Seeds(settings[next(iter(differing.values()), called[0])], None, called)
    order: dict[tuple[str, ...], int] = {}
    pairs = [order.setdefault(pair, len(order)) for pair in zip(*differing, strict=True)]
    return Seeds(None, pairs, called, f"seeds number the combinations of {', '.join(differing.values())}")
