"""nanotron: ``dataset_folder`` and ``dataset_weights`` of a data stage (Nanoset).

Weights are divided by their sum and are shares of the samples of sequence length, that is of tokens; without weights
folders are read whole. A training in phases has one stage each, from its first step on (counted from 1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name


def draft(plan: Plan, path: Path) -> Draft:
    """One data stage per phase."""
    stages = []
    for phase in dict.fromkeys(plan.stage):
        own = [i for i, p in enumerate(plan.stage) if p == phase]
        data: dict[str, Any] = {"dataset_folder": [Name(plan.names[i]) for i in own]}
        if not plan.whole:
            data["dataset_weights"] = [float(plan.shares[i]) for i in own]
        stages.append(
            {
                "name": Name(phase or "training"),
                "start_training_step": plan.starts[phase] + 1,
                "data": {"dataset": data, "num_loading_workers": 1, "seed": 42},
            }
        )
    written = np.full(len(plan.names), np.nan) if plan.whole else plan.shares
    return Draft({"data_stages": stages}, written)


FORMAT = Format(
    name="nanotron",
    title="nanotron",
    unit="tokens",
    weight="share of the tokens drawn",
    suffixes=YAML,
    writes="data_stages: dataset_folder and dataset_weights",
    link="https://github.com/huggingface/nanotron/blob/main/docs/nanoset.md",
    read_by="dacite, into the classes of its source: the package, 0.4, is older than data stages",
    draft=draft,
    schedule=True,
)
