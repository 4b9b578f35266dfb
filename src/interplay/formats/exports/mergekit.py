"""mergekit: ``models`` with a ``weight`` each, for choices of merging coefficients.

``task_arithmetic`` adds sum_i w_i (theta_i - theta_base) to the base model; ``linear`` is sum_i w_i theta_i, here as it
stands (``normalize: false``), which scales the network unless the coefficients sum to one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...fields import EvaluationsError
from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name


def draft(plan: Plan, path: Path) -> Draft:
    """Models, method, base model and dtype."""
    options, total = plan.options, float(plan.asked.sum())
    method = options.merge_method or ("task_arithmetic" if options.base_model else "linear")
    if options.merge_method is None and options.base_model is None and abs(total - 1) > 1e-6:
        raise EvaluationsError(
            f"base_model: the coefficients sum to {total:.4g}. Name the model whose differences they weigh "
            "(base_model=, --base-model), or say merge_method='linear' (--merge-method linear) to sum models as they "
            "stand."
        )
    models = []
    for name, weight, fields in zip(plan.names, plan.asked, plan.fields, strict=True):
        settings: dict[str, Any] = {"weight": float(weight)}
        if "density" in fields:
            settings["density"] = _density(name, fields["density"])
        models.append({"model": Name(name), "parameters": settings})
    body: dict[str, Any] = {"models": models, "merge_method": Name(method)}
    if options.base_model is not None:
        body["base_model"] = Name(options.base_model)
    body |= {"parameters": {"normalize": False}, "dtype": "bfloat16"}
    said = f"coefficients sum to {total:.6g} and are not normalised; the merge is in bfloat16."
    return Draft(body, np.array(plan.asked), notes=(said,))


def _density(name: str, text: str) -> float:
    try:
        density = float(text)
    except ValueError:
        density = np.nan
    if not 0 < density <= 1:
        raise EvaluationsError(f"sources: density of {name!r} is {text!r}; give a number above 0 and up to 1.")
    return density


FORMAT = Format(
    name="mergekit",
    title="mergekit",
    unit="models",
    weight="merging coefficient of the model",
    suffixes=YAML,
    writes="models, merge_method, base_model and parameters",
    link="https://github.com/arcee-ai/mergekit",
    read_by="mergekit 0.1.5, MergeConfiguration",
    draft=draft,
    columns=("density",),
    merges=True,
)
