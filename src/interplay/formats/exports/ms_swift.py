"""ms-swift: ``dataset``, ``interleave_prob`` and ``stopping_strategy`` (``swift sft --config FILE``).

With ``interleave_prob`` sets are drawn by `datasets.interleave_datasets`, without it they are concatenated. A name is
read as ``hf::SET:SUBSET/SUBSET#N`` (or ``ms::``), which takes N examples of the subsets; each part but SET may lack. A
name of which a part would get lost in that reading is refused.
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

HUBS = ("hf", "ms")


def draft(plan: Plan, path: Path) -> Draft:
    """Lists of names and of probabilities."""
    parts = [subsets(name) for name in plan.names]
    said = tuple(
        f"ms-swift reads {name!r} as subset {part!r}, unless there is a file or folder of this name."
        for name, part in zip(plan.names, parts, strict=True)
        if part
    )
    body: dict[str, object] = {"dataset": [Name(name) for name in plan.names]}
    if plan.whole:
        return Draft(body, np.full(len(plan.names), np.nan), notes=said)
    strategy, once, notes = stopping(plan)
    body |= {"interleave_prob": plan.shares.tolist(), "stopping_strategy": strategy}
    return Draft(body, plan.shares, once=once, notes=(*notes, *said))


def subsets(name: str) -> str:
    """The subsets that ms-swift takes a name to hold, '' for none; a name that it would misread is an error.

    Examples
    --------
    >>> subsets("hf::org/web:en/de#500")
    'en/de'
    """
    hub, twice, rest = name.rpartition("::")
    first, number, count = rest.partition("#")
    chosen, colon, part = first.partition(":")
    why = ""
    if number and not re.fullmatch(r"\d+", count, re.ASCII):
        why = "takes what follows '#' for a number of examples"
    elif twice and hub.lower() not in HUBS:
        why = f"takes what stands before '::' for a hub ({' or '.join(HUBS)})"
    elif part.startswith("//"):
        why = "reads no addresses: it takes what follows ':' for subsets"
    elif any(one != one.strip() or not one for one in (chosen, *(part.split("/") if colon else ()))):
        why = "drops blanks around names, and has no empty ones"
    if why:
        raise EvaluationsError(f"sources: {name!r} cannot be named to ms-swift, which {why}. Rename it.")
    return part


FORMAT = Format(
    name="ms-swift",
    title="ms-swift",
    unit="examples",
    weight="share of the examples drawn",
    suffixes=YAML,
    writes="dataset, interleave_prob and stopping_strategy",
    link="https://swift.readthedocs.io/en/latest/Instruction/Command-line-parameters.html",
    read_by="ms-swift 4.6.0, DataArguments and DatasetSyntax",
    draft=draft,
    stops=True,
)
