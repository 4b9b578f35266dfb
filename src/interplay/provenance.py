"""What was done, so that it can be done again: version, options, and digests of what went in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .evaluations import Evaluations
from .evaluators.digests import UNKNOWN, described, digest

__all__ = ["counted", "fingerprint", "provenance"]


def fingerprint(runs: Evaluations) -> str:
    """16 hexadecimal digits that stand for the numbers and names of some runs, whatever file they came from.

    Examples
    --------
    >>> runs = Evaluations.from_arrays([[1, 1], [0, 1]], [0.5, 0.7])
    >>> fingerprint(runs) == fingerprint(Evaluations.from_arrays([[1, 1], [0, 1]], [0.5, 0.7]))
    True
    """
    rows = runs.masks, runs.values, runs.seed, list(map(str, runs.fidelity))
    return digest(*rows, runs.tasks, runs.targets, runs.higher_is_better, runs.kind)


def provenance(runs: Evaluations, truth: Evaluations | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Version, options that were given and fingerprints of an attribution, JSON-able.

    Parameters
    ----------
    runs, truth : Evaluations
        As they were given.
    options : mapping
        Of `attribute`; what is None is left out, what has no short form is told by its type.
    """
    from . import __version__

    given = {}
    for name, value in options.items():
        if value is not None:
            shown = described(value)
            given[name] = type(value).__name__ if shown is UNKNOWN else shown
    made: dict[str, Any] = {"interplay": __version__, "options": given}
    made["runs"] = {"rows": len(runs), "fingerprint": fingerprint(runs)}
    measured = np.isfinite(runs.values).sum(axis=0)
    if measured.min(initial=len(runs)) < len(runs):
        made["runs"]["measured"] = [int(measured.min()), int(measured.max())]  # of the targets, least and most
    if truth is not None:
        made["truth"] = {"rows": len(truth), "fingerprint": fingerprint(truth)}
    return made


def counted(noted: Mapping[str, Any], target: str) -> str:
    """Rows of what `provenance` noted of runs, and how many of them have a value of ``target``, in words.

    Examples
    --------
    >>> counted({"rows": 40, "measured": [39, 39]}, "loss"), counted({"rows": 40}, "loss")
    ('40 rows, 39 with a value of loss', '40 rows')
    """
    words = f"{noted['rows']} rows"
    if "measured" not in noted:
        return words
    least, most = noted["measured"]
    return f"{words}, {least if least == most else f'{least} to {most}'} with a value of {target}"
