"""ms-swift: ``dataset``, ``interleave_prob`` and ``stopping_strategy`` (``swift sft --config FILE``).

With ``interleave_prob`` sets are drawn by `datasets.interleave_datasets`, without it they are concatenated. A name may
end in ``#N``, which takes N examples of it; any other '#' would be misread.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...fields import EvaluationsError
from .format import YAML, Draft, Format
from .interleave import stopping
from .mixture import Plan
from .writing import Name


def draft(plan: Plan, path: Path) -> Draft:
    """Lists of names and of probabilities."""
    for name in plan.names:
        if "#" in name and not re.fullmatch(r"[^#]+#\d+", name):
            raise EvaluationsError(
                f"sources: {name!r} cannot be named to ms-swift, which takes what follows '#' for a number of "
                "examples. Rename it."
            )
    body: dict[str, object] = {"dataset": [Name(name) for name in plan.names]}
    if plan.whole:
        return Draft(body, np.full(len(plan.names), np.nan))
    strategy, once, notes = stopping(plan)
    body |= {"interleave_prob": plan.shares.tolist(), "stopping_strategy": strategy}
    return Draft(body, plan.shares, once=once, notes=notes)


FORMAT = Format(
    name="ms-swift",
    title="ms-swift",
    unit="examples",
    weight="share of the examples drawn",
    suffixes=YAML,
    writes="dataset, interleave_prob and stopping_strategy",
    link="https://swift.readthedocs.io/en/latest/Instruction/Command-line-parameters.html",
    draft=draft,
    stops=True,
)
