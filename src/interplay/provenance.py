"""What was done, so that it can be done again: version, options, and digests of what went in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .evaluations import Evaluations
from .evaluators.digests import UNKNOWN, described, digest

__all__ = ["fingerprint", "provenance"]


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
    if truth is not None:
        made["truth"] = {"rows": len(truth), "fingerprint": fingerprint(truth)}
    return made
