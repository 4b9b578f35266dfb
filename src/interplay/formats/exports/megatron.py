"""Megatron-LM: the file of ``--data-args-path``, or with the suffix .json that of ``--per-split-data-args-path``.

The first holds ``weight prefix`` pairs and is split at white space, so it can hold no comments and no prefix with a
blank. The second has one list per split; ``null`` for a split without data. Weights are divided by their sum and are
shares of the samples of sequence length, that is of tokens. Prefixes without weights are read whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...fields import EvaluationsError
from .format import Draft, Format
from .mixture import Plan
from .writing import Name, positional


def draft(plan: Plan, path: Path) -> Draft:
    """Pairs of weight and prefix, or prefixes alone."""
    split = path.suffix.lower() == ".json"
    for name in plan.names:
        blank = not split and (" " in name or not name.isprintable())
        if blank or _number(name):
            what = (
                "holds a blank or a control character, at which the file is split" if blank else "looks like a weight"
            )
            raise EvaluationsError(f"sources: prefix {name!r} {what}. Rename it, or give a path such as './{name}'.")
    if plan.whole:
        words = [Name(name) for name in plan.names]
        written = np.full(len(words), np.nan)
    else:
        pairs = zip(map(positional, plan.shares), plan.names, strict=True)
        words, written = [Name(word) for pair in pairs for word in pair], plan.shares
    if split:
        said = "the splits 'valid' and 'test' are null: fill in their data."
        return Draft({"train": words, "valid": None, "test": None}, written, notes=(said,))
    lines = words if plan.whole else [f"{w} {n}" for w, n in zip(words[::2], words[1::2], strict=True)]
    return Draft("\n".join(lines) + "\n", written, notes=_phased(plan))


def _phased(plan: Plan) -> tuple[str, ...]:
    if plan.options.phase is None:
        return ()
    return ("a training in phases changes its data file at --phase-transition-iterations.",)


def _number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


FORMAT = Format(
    name="megatron-lm",
    title="Megatron-LM",
    unit="tokens",
    weight="share of the tokens drawn",
    suffixes=(".txt", ".args", ".json"),
    writes="weight and prefix pairs for --data-args-path; .json: train, valid and test for --per-split-data-args-path",
    link="https://docs.nvidia.com/megatron-core/developer-guide/latest/api-guide/datasets.html",
    read_by="megatron-core 0.16.1, get_blend_from_list",
    draft=draft,
    commented=False,
)
