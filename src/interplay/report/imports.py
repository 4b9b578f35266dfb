"""An import as plain text: what was taken as what, and what was left and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fields import listed
from .words import plain

if TYPE_CHECKING:
    from ..formats.imports import Imported

__all__ = ["text"]

TASKS, TARGETS, LEFT = 12, 12, 6  # names that are listed
_ROWS = ("run", "seed", "cost", "fidelity")


def text(imported: Imported) -> str:
    """Render an import.

    Parameters
    ----------
    imported : Imported
    """
    runs = imported.runs
    files = listed([plain(name.rsplit("/", 1)[-1], 60) for name in imported.files], 3)
    several = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    of = {"mask": "masks", "mixture": "mixtures", "weights": "weights", "coefficients": "coefficients"}[runs.kind]
    arrows = [f"{plain(t)} {'↑' if up else '↓'}" for t, up in zip(runs.targets, runs.higher_is_better, strict=True)]
    lines = [f"{files} ({imported.format}): {several} of {of}."]
    lines.append(f"Tasks, {runs.K}: {listed([plain(t) for t in runs.tasks], TASKS)}")
    lines.append(f"Target{'s' * (runs.T != 1)}, {runs.T}: {listed(arrows, TARGETS)}")
    lines += [_rows(imported)]
    if imported.left:
        lines.append("Left:")
        lines += [f"  {line}" for line in _left(imported)]
    lines += [f"Note: {plain(warning, 300)}" for warning in runs.warnings]
    return "\n".join(lines)


def _rows(imported: Imported) -> str:
    """What tells the runs apart, and what is not known of them."""
    runs, found = imported.runs, {role: column for role, _, column in imported.taken if role in _ROWS}
    seeds = len({int(s) for s in runs.seed if s >= 0})
    words = [f"named by {plain(found['run'])}" if "run" in found else "no names of runs"]
    words.append(f"{seeds} seed{'s' * (seeds != 1)} from {plain(found['seed'])}" if "seed" in found else "no seeds")
    if "cost" in found:
        words.append(f"cost from {plain(found['cost'])}")
    kinds = list(dict.fromkeys(map(str, runs.fidelity)))
    if "fidelity" in found or kinds != ["retrained"]:
        source = f" from {plain(found['fidelity'])}" if "fidelity" in found else ""
        words.append(f"fidelity{source}: {listed([plain(k) for k in kinds], 4)}")
    return f"Runs: {'; '.join(words)}."


def _left(imported: Imported) -> list[str]:
    """What was left, those of one reason together."""
    groups: dict[str, list[str]] = {}
    for what, why in imported.left:
        groups.setdefault(why, []).append(what)
    lines = []
    for why, held in groups.items():
        columns = [w.removeprefix("column ").strip("'") for w in held]
        together = len(held) > 1 and all(w.startswith("column ") for w in held)
        names = [plain(w) for w in columns] if together else [plain(w, 120) for w in held]
        lines.append(f"{f'{len(held)} columns: ' if together else ''}{listed(names, LEFT)}: {plain(why, 200)}")
    return lines
