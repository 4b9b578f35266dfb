"""The comparison of surrogates as plain text: held-out R^2, distance to the best with its interval, the choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .columns import table
from .words import plain

if TYPE_CHECKING:
    from ..predictor import Predictor
    from ..surrogates import Choice

NAMES = {
    "ridge": "tuned ridge",
    "rbf": "RBF kernel",
    "ard": "ARD kernel",
    "stack": "stack of kernels",
    "joint": "all fidelities together",
}
MOST = 40  # targets that are printed one by one


def text(predictor: Predictor, by_target: bool = False) -> str:
    """Render the comparison, of every set of targets that were measured in the same runs."""
    lines = []
    for targets, choice in predictor.choices:
        names = [predictor.targets[t] for t in targets]
        of = plain(names[0]) if len(names) == 1 else f"{len(names)} targets"
        if len(predictor.choices) > 1 and len(names) > 1:
            of += f" ({plain(', '.join(names), 60)})"
        lines += [f"Surrogates of {of} by their errors on held-out rows, {predictor.rows[targets[0]]} runs"]
        lines += [*_compared(choice), choice.sentence]
        if choice.best in ("rbf", "ard") and not choice.asked:
            lines.append(f"The choice is between ridge and the stack; {NAMES[choice.best]} is a member of the stack.")
        lines.append("")
    lines += [
        "Every fold chooses all hyper-parameters anew, all surrogates predict the same rows: differences are paired.",
        "Absolute errors in standard deviations of each target; intervals count a mask with all its seeds once.",
    ]
    if by_target:
        lines += ["", *_by_target(predictor)]
    return "\n".join(lines)


def _compared(choice: Choice) -> list[str]:
    several = len(next(iter(choice.skill.values()))) > 1
    rows = []
    for row in choice.table():
        best = row["surrogate"] == choice.best
        distance = ["best", ""] if best else [f"{row['worse']:.4f}", f"{row['lower']:+.4f} to {row['upper']:+.4f}"]
        taken = ("taken, as asked" if choice.asked else "taken") if row["taken"] else ""
        rows.append([NAMES[str(row["surrogate"])], f"{row['r2']:.3f}", *distance, taken])
    r2 = "mean R^2" if several else "R^2"
    return table(["surrogate", r2, "error above the best", "95 % interval", ""], rows)


def _by_target(predictor: Predictor) -> list[str]:
    frame = predictor.by_target()
    surrogates = list(predictor.skill)
    rows = [
        [
            plain(row["target"]),
            *(f"{row[name]:.3f}" if np.isfinite(row[name]) else "-" for name in surrogates),
            f"{row['gain']:+.4f}",
            f"{row['gain_lower']:+.4f} to {row['gain_upper']:+.4f}",
        ]
        for row in frame.head(MOST).to_dict(orient="records")
    ]
    columns = ["target", *(NAMES[name] for name in surrogates), "ridge - stack", "95 % interval"]
    lines = ["Held-out R^2 of each target, and the error of ridge above the stack's", *table(columns, rows)]
    return lines if len(frame) <= MOST else [*lines, f"... {len(frame) - MOST} more targets (--json or --out has all)"]
