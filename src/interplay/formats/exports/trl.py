"""TRL: ``datasets`` of a script's YAML, where ``fraction`` is the share of a set in the mixture.

TRL divides the fractions by their sum and reads the first round(f_i N) examples of each set, N = min n_i / f_i: no set
is read twice. Either all sets have a fraction or none, and then they are read whole; none may be streamed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name


def draft(plan: Plan, path: Path) -> Draft:
    """One mapping per set."""
    sets: list[dict[str, Any]] = []
    for name, fields in zip(plan.names, plan.fields, strict=True):
        sets.append({"path": Name(name), **{key: Name(text) for key, text in fields.items()}})
    if plan.whole:
        return Draft({"datasets": sets}, np.full(len(sets), np.nan))
    for own, share in zip(sets, plan.shares, strict=True):
        own["fraction"] = float(share)
    notes = ["TRL reads the first examples of each set: shuffle the sets before, if their order means something."]
    if np.isnan(plan.examples).any():
        notes.append("as much is read as no set is read twice for; give 'examples' to see how much that is.")
        return Draft({"datasets": sets}, plan.shares, notes=tuple(notes))
    total = float((plan.examples / plan.shares).min())
    count = np.round(plan.shares * total)
    if (lost := np.flatnonzero(count == 0)).size:
        notes.append(f"nothing is read of {plan.names[lost[0]]!r}: its share is less than half an example.")
    return Draft({"datasets": sets}, plan.shares, count / count.sum(), float(count.sum()), tuple(notes))


FORMAT = Format(
    name="trl",
    title="TRL",
    unit="examples",
    weight="share of the examples in the mixture",
    suffixes=YAML,
    writes="datasets: path, fraction and the columns of the sources",
    link="https://huggingface.co/docs/trl/script_utils",
    read_by="trl 1.16.0, TrlParser and get_dataset",
    draft=draft,
    columns=("name", "data_dir", "data_files", "split"),
)
