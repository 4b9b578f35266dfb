"""Columns of an exported table that does not mark which are settings of a run and which its results.

Such tables hold the settings in order and then the results in order. Where the order starts anew, the results begin, if
the names agree with that: none of the settings is called like a metric, some of the results are, none of them is a
setting that everybody has, and no group of names that begin alike is cut in two. Otherwise the names alone decide.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...directions import metric_word

__all__ = ["called_like_a_result", "halves"]

_PREFIX = re.compile(r"(.+[/.:_-])[^/.:_-]+")
_SETTINGS = (
    "lr",
    "learning_rate",
    "weight_decay",
    "batch_size",
    "seed",
    "optimizer",
    "dropout",
    "model",
)
_OVER_STEPS = re.compile(r"[._/](min|max|mean|best|last|first|median|std)$")


def called_like_a_result(name: str) -> bool:
    """Tell whether a column is called like a metric, or like one over the steps of a run.

    Examples
    --------
    >>> [n for n in ("loss", "val_loss.min", "acc.best", "lr", "lr.max") if called_like_a_result(n)]
    ['loss', 'val_loss.min', 'acc.best']
    """
    return metric_word(name) or metric_word(_OVER_STEPS.sub("", name))


def halves(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return settings and results: by where their order starts anew if the names agree, otherwise by the names."""
    for key in (str, str.casefold):
        falls = [i for i in range(1, len(columns)) if key(columns[i]) < key(columns[i - 1])]
        if len(falls) == 1:
            first, second = list(columns[: falls[0]]), list(columns[falls[0] :])
            if _agree(first, second):
                return first, second
    results = [c for c in columns if called_like_a_result(c)]
    return [c for c in columns if c not in results], results


def _agree(first: Sequence[str], second: Sequence[str]) -> bool:
    """Tell whether names may be those of settings, and those of results."""
    if any(map(called_like_a_result, first)) or not any(map(called_like_a_result, second)):
        return False
    beginnings = [found[1] if (found := _PREFIX.fullmatch(name)) else None for name in (first[-1], second[0])]
    one_group = beginnings[0] is not None and beginnings[0] == beginnings[1]
    return not one_group and not any(name.lower() in _SETTINGS for name in second)
