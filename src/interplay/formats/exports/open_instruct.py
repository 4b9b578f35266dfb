"""open-instruct: ``dataset_mixer_list``, pairs of a set and how much of it is read.

A number with a point is the fraction of the set, one without is a count of examples (but "1" was the whole set in some
versions, and a count above the size of the set an error). It is no share: fractions are found as for `axolotl` and
written as counts, or as "1.0" where a set is read whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .axolotl import fractions
from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name, positional


def draft(plan: Plan, path: Path) -> Draft:
    """The list of pairs."""
    if plan.whole:
        return Draft(_body(plan.names, ["1.0"] * len(plan.names)), np.ones(len(plan.names)))
    kept, notes = fractions(plan, "open-instruct reads a count or a fraction of each set, and no share")
    count = np.maximum(np.round(kept * plan.examples), 1.0)
    amounts, written = [], []
    for n, size in zip(count, plan.examples, strict=True):
        if n >= size:
            amounts.append("1.0")
        elif n == 1:
            amounts.append(positional(min(1.5 / size, 0.999)))
        else:
            amounts.append(str(int(n)))
        written.append(float(amounts[-1]))
    return Draft(_body(plan.names, amounts), np.array(written), count / count.sum(), float(count.sum()), tuple(notes))


def _body(names: tuple[str, ...], amounts: list[str]) -> dict[str, object]:
    pairs = [Name(text) for pair in zip(names, amounts, strict=True) for text in pair]
    return {"dataset_mixer_list": pairs}


FORMAT = Format(
    name="open-instruct",
    title="open-instruct",
    unit="examples",
    weight="examples of that set that are read (with a point: fraction of that set)",
    suffixes=YAML,
    writes="dataset_mixer_list",
    link="https://allenai.github.io/open-instruct/",
    read_by="no package of it: a reader after its source",
    draft=draft,
    sized=True,
)
