"""What is exported: the tasks and weights of a choice, or of a mixture made by hand, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...fields import EvaluationsError, as_floats, as_names
from ...kinds import KINDS, fault, guess_kind

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Holding:
    """Tasks and weights (K,), their kind, the phases of the training where there are some, and where they come from.

    ``origin`` is what stands in the provenance of the file; ``verdict`` is None for a mixture made by hand; ``unit`` is
    what shares are of, where the choice was made with token counts.
    """

    tasks: tuple[str, ...]
    weights: Array
    kind: str
    phases: Mapping[str, float] | None = None
    verdict: str | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None


def held(choice: Any, kind: str | None = None) -> Holding:
    """Read a choice, the file of one, or a mixture made by hand."""
    from ...selection.result import Selection

    if isinstance(choice, str | Path) and Path(choice).suffix.lower() == ".json":
        choice = Selection.load(choice)
    if isinstance(choice, Selection):
        if kind is not None:
            raise EvaluationsError(
                f"kind: the choice is of kind {choice.kind!r}; say it of mixtures made by hand only."
            )
        return _of_selection(choice)
    if isinstance(choice, Mapping):
        tasks = as_names(list(choice), "choice", len(choice))
        return _by_hand(tasks, as_floats(list(choice.values()), "choice"), kind, "a mapping")
    if isinstance(choice, str | Path):
        from ..points import read_design

        tasks, rows = read_design(choice)
        if len(rows) != 1:
            raise EvaluationsError(
                f"{Path(choice).name} holds {len(rows)} mixtures; one is exported. Keep one of them."
            )
        return _by_hand(tasks, rows[0], kind, Path(choice).name)
    raise EvaluationsError(
        f"choice is a {type(choice).__name__}; give a Selection, its .json, or a mixture with columns task and weight."
    )


def _of_selection(chosen: Any) -> Holding:
    phases = chosen.made.get("phases")
    several = phases if isinstance(phases, Mapping) and len(phases) > 1 else None
    unit = "tokens" if chosen.made.get("unit") == "tokens" else None
    return Holding(chosen.tasks, np.array(chosen.weights), chosen.kind, several, chosen.verdict, _origin(chosen), unit)


def _origin(chosen: Any) -> dict[str, Any]:
    """Facts of a choice: objective, runs, verdict and predicted gain over the baseline with its 95 % interval."""
    from ...predictor import Z
    from ...selection.result import BASELINE

    runs = {"rows": chosen.runs, **dict(chosen.made.get("runs") or {})}
    found: dict[str, Any] = {"objective": chosen.objective, "runs": runs, "chosen_by": chosen.made.get("interplay", "")}
    found |= {"verdict": chosen.verdict, "why": chosen.why, "rules": list(chosen.rules)}
    for base in chosen.of(BASELINE)[:1]:
        found["baseline"] = base.name
        found["predicted_gain"] = {
            target: [known(g), known(g - Z * d), known(g + Z * d)]
            for target, g, d in zip(chosen.targets, base.gain, base.gain_deviation, strict=True)
        }
    if "command" in chosen.made:
        found["chosen_with"] = str(chosen.made["command"])
    return found


def _by_hand(tasks: tuple[str, ...], weights: Array, kind: str | None, name: str) -> Holding:
    if kind is not None and kind not in KINDS:
        raise EvaluationsError(f"kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    found = kind or (guess_kind(weights[None]) if (weights >= 0).all() else "coefficients")
    if problem := fault(weights[None], found, tasks, row=f"{name}: mixture", first=1):
        raise EvaluationsError(problem)
    return Holding(tasks, weights, found, origin={"objective": f"none: a mixture made by hand ({name})"})


def known(value: float) -> float | None:
    """A number for JSON; None where it is not finite."""
    return float(value) if np.isfinite(value) else None
