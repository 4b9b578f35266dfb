"""LLaMA-Factory: ``dataset``, ``mix_strategy`` and ``interleave_probs`` of a training's YAML.

``interleave_under`` is `datasets.interleave_datasets` with ``first_exhausted``, ``interleave_over`` with
``all_exhausted``; ``concat`` reads all sources whole. Names and probabilities are one text each, parted by commas, so a
name cannot hold one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...fields import EvaluationsError
from .format import YAML, Draft, Format
from .interleave import stopping
from .mixture import Plan
from .writing import Name, positional

STRATEGIES = {"first_exhausted": "interleave_under", "all_exhausted": "interleave_over"}


def draft(plan: Plan, path: Path) -> Draft:
    """One text of names, and one of probabilities."""
    for name in plan.names:
        if "," in name or name != name.strip():
            raise EvaluationsError(
                f"sources: {name!r} cannot be named to LLaMA-Factory, which parts names at commas. Give it another "
                "name in dataset_info.json, and in the column 'source'."
            )
    body: dict[str, object] = {"dataset": Name(",".join(plan.names))}
    if plan.whole or len(plan.names) == 1:
        return Draft(
            body | {"mix_strategy": "concat"},
            np.full(len(plan.names), np.nan),
            once=np.nan if plan.whole else float(plan.examples[0]),
        )
    strategy, once, notes = stopping(plan)
    body |= {"mix_strategy": STRATEGIES[strategy], "interleave_probs": Name(",".join(map(positional, plan.shares)))}
    return Draft(body, plan.shares, once=once, notes=notes)


FORMAT = Format(
    name="llama-factory",
    title="LLaMA-Factory",
    unit="examples",
    weight="share of the examples drawn",
    suffixes=YAML,
    writes="dataset, mix_strategy and interleave_probs",
    link="https://llamafactory.readthedocs.io/en/latest/advanced/arguments.html",
    read_by="llamafactory 0.9.5, DataArguments; datasets 5.2.0 draws with its probabilities",
    draft=draft,
    stops=True,
)
