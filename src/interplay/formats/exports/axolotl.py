"""Axolotl: ``datasets`` of a training's YAML, where ``weight`` is no share but the fraction of that set that is kept.

    f_i = c s_i / n_i,    c = min n_j / s_j

keeps f_i n_i examples of source i, 0 < f_i <= 1, so that shares are s_i and as much is kept as can be; with a smaller
budget B in examples c = B. Sets without ``weight`` are read whole. The weight is of May 2026 (pull request 3690), and
has no effect where sets are streamed. No release up to 0.19.0 knows it: it is passed over there without a word, and
every set is read whole. That is said with every file that holds one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .format import YAML, Draft, Format
from .mixture import Array, Plan, needed
from .writing import Name

UNKNOWN = (
    "no release of axolotl up to 0.19.0 knows 'weight': it passes over it and reads each set whole. Check that yours "
    "knows it (pull request 3690), or cut the sets before."
)
COLUMNS = ("type", "split", "name", "ds_type", "data_files", "chat_template", "field_messages", "revision")


def draft(plan: Plan, path: Path) -> Draft:
    """One mapping per set."""
    kept = np.full(len(plan.names), np.nan)
    notes = []
    if not plan.whole:
        kept, said = fractions(plan, "the weight of axolotl is the fraction of that set, and no share")
        notes += said
    sets: list[dict[str, Any]] = []
    for name, fields, weight in zip(plan.names, plan.fields, kept, strict=True):
        own: dict[str, Any] = {"path": Name(name), **{key: Name(text) for key, text in fields.items()}}
        sets.append(own if np.isnan(weight) else {**own, "weight": float(weight)})
    if not all("type" in fields for fields in plan.fields):
        notes.append(
            "some sets have no 'type': axolotl takes those for tokenised. Give a column 'type' in the sources."
        )
    if plan.whole:
        return Draft({"datasets": sets}, kept, notes=tuple(notes))
    if (kept < 1).any():
        notes.append(UNKNOWN)
    count = np.floor(kept * plan.examples + 1e-9)
    return Draft({"datasets": sets}, kept, count / count.sum(), float(count.sum()), tuple(notes))


def fractions(plan: Plan, why: str) -> tuple[Array, list[str]]:
    """Fractions of the sets that give the shares: as much as can be, or the budget where that is less."""
    size = needed(plan, "examples", why)
    shares = plan.exact
    most = float((size / shares).min())
    total, notes = most, []
    if (budget := examples_of(plan)) < most:
        total = budget
        notes.append(f"each set is cut so that one pass reads the budget, {total:,.0f} examples.")
    else:
        name = plan.names[int((size / shares).argmin())]
        if len(size) > 1:
            notes.append(f"{name!r} is read whole, and of the others as much as keeps the shares.")
    kept = np.minimum(shares * total / size, 1.0)
    if (few := np.flatnonzero(kept * size < 1)).size:
        notes.append(f"the share of {plan.names[few[0]]!r} is less than one example of its set.")
    return kept, notes


def examples_of(plan: Plan) -> float:
    """The budget in examples; infinite where there is none, or mean lengths are not known."""
    budget = plan.options.budget
    if budget is None:
        return np.inf
    budget *= float(plan.part[0])
    if plan.options.budget_unit == "examples":
        return budget
    length = float((plan.shares * plan.tokens / plan.examples).sum())
    return budget / length if np.isfinite(length) else np.inf


FORMAT = Format(
    name="axolotl",
    title="Axolotl",
    unit="examples",
    weight="fraction of that set that is kept",
    suffixes=YAML,
    writes="datasets: path, weight and the columns of the sources",
    link="https://docs.axolotl.ai/docs/config-reference.html",
    read_by="axolotl 0.19.0, SFTDataset, which knows no weight",
    draft=draft,
    columns=COLUMNS,
    sized=True,
)
