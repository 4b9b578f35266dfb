"""Arguments of `datasets.interleave_datasets` (Hugging Face), as JSON.

With ``probabilities`` the next example is drawn from source i with probability p_i. ``first_exhausted`` ends as soon as
one source has given all n_i examples, about min n_i / p_i in all; ``all_exhausted`` goes on, starting sources anew,
until every one has, about max n_i / p_i. Without probabilities, ``all_exhausted_without_replacement`` gives every
example of every source once. The probabilities must sum to one, and a source with none is never exhausted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .format import Draft, Format
from .mixture import Plan
from .writing import Name

SEED = 0


def draft(plan: Plan, path: Path) -> Draft:
    """Datasets, probabilities, seed and stopping strategy."""
    names = [Name(name) for name in plan.names]
    if plan.whole:
        strategy = "all_exhausted_without_replacement"
        body = {"datasets": names, "probabilities": None, "seed": SEED, "stopping_strategy": strategy}
        said = f"every example is read once ({strategy}); concatenate_datasets gives the same examples."
        return Draft(body, np.full(len(names), np.nan), notes=(said,))
    strategy, once, notes = stopping(plan)
    body = {"datasets": names, "probabilities": plan.shares.tolist(), "seed": SEED, "stopping_strategy": strategy}
    return Draft(body, plan.shares, once=once, notes=notes)


def stopping(plan: Plan) -> tuple[str, float, tuple[str, ...]]:
    """The strategy, how many examples one pass draws with it (NaN where sizes lack), and what that means."""
    strategy = plan.options.stopping or "first_exhausted"
    first = strategy == "first_exhausted"
    passes = plan.examples / plan.shares
    if np.isnan(passes).any():
        end = "as soon as one source" if first else "when every source"
        return strategy, np.nan, (f"drawing ends {end} is used up ({strategy}); give 'examples' to see when that is.",)
    i = int(passes.argmin() if first else passes.argmax())
    name = plan.names[i]
    if len(plan.names) == 1:
        said = f"the one source is read once ({strategy})"
    elif first:
        said = f"drawing ends when {name!r} is used up ({strategy}), after about {passes[i]:,.0f} examples"
    else:
        said = f"drawing ends when {name!r}, the last, is used up ({strategy}), after about {passes[i]:,.0f} examples"
    return strategy, float(passes[i]), (f"{said}.",)


FORMAT = Format(
    name="interleave-datasets",
    title="Hugging Face datasets",
    unit="examples",
    weight="share of the examples drawn",
    suffixes=(".json",),
    writes="arguments of interleave_datasets: datasets, probabilities, seed, stopping_strategy",
    link="https://huggingface.co/docs/datasets/package_reference/main_classes#datasets.interleave_datasets",
    read_by="datasets 5.2.0, whose interleave_datasets draws with these arguments",
    draft=draft,
    stops=True,
)
