"""OLMo-core: ``sources`` of a SourceMixtureList, with a ``target_ratio`` of tokens each.

Ratios must sum to one. A source that holds fewer tokens than its ratio of ``requested_tokens`` is an error there unless
``max_repetition_ratio`` lets it be read again: it is written where the budget and the tokens say that it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name


def draft(plan: Plan, path: Path) -> Draft:
    """One mapping per source, called as the task."""
    budget = plan.options.budget if plan.options.budget_unit == "tokens" else None
    times = np.full(len(plan.names), np.nan) if budget is None else plan.shares * budget * plan.part / plan.tokens
    sources: list[dict[str, Any]] = []
    for task, name, share, often in zip(plan.tasks, plan.names, plan.shares, times, strict=True):
        own: dict[str, Any] = {"source_name": Name(task), "target_ratio": float(share), "paths": [Name(name)]}
        if often > 1:
            own["max_repetition_ratio"] = float(np.ceil(often * 1.0001 * 1e4) / 1e4)
        sources.append(own)
    if budget is None:
        note = "give the budget and 'tokens' to have max_repetition_ratio where a source must be read more than once."
    else:
        note = f"build it with requested_tokens {budget * float(plan.part[0]):.0f}."
        if np.isnan(times).any():
            note += " Sources without 'tokens' have max_repetition_ratio 1: they must hold enough."
    return Draft({"sources": sources}, plan.shares, notes=(note,))


FORMAT = Format(
    name="olmo-core",
    title="OLMo-core",
    unit="tokens",
    weight="share of the tokens drawn",
    suffixes=YAML,
    writes="sources: source_name, target_ratio, paths and max_repetition_ratio",
    link="https://olmo-core.readthedocs.io/en/latest/guides/data_mixing.html",
    read_by="ai2-olmo-core 3.0.0, SourceMixtureList",
    draft=draft,
    whole=False,
)
