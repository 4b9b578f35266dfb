"""LLM Foundry: ``streams`` with a ``proportion`` each, of its StreamingDataset.

A proportion is the share of samples; where samples were packed to one length that is the share of tokens as well. An
epoch has as many samples as all streams together unless ``epoch_size`` says otherwise, so that a small stream with a
large proportion is read several times in it. Either all streams have a proportion or none, and then each is read once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .format import YAML, Draft, Format
from .mixture import Plan
from .writing import Name

PLACES = ("local", "remote")


def draft(plan: Plan, path: Path) -> Draft:
    """One stream per source, called as the task."""
    streams: dict[Name, dict[str, Any]] = {}
    for i, (task, name, fields) in enumerate(zip(plan.tasks, plan.names, plan.fields, strict=True)):
        own: dict[str, Any] = {key: Name(text) for key, text in fields.items()}
        if not any(key in own for key in PLACES):
            own = {"remote" if "://" in name else "local": Name(name), **own}
        if not plan.whole:
            own["proportion"] = float(plan.shares[i])
        streams[Name(task)] = own
    body = {"train_loader": {"dataset": {"streams": streams}}}
    if plan.whole:
        return Draft(body, np.full(len(plan.names), np.nan))
    said = (
        "a proportion is a share of samples: of tokens too where samples were packed to one length.",
        "an epoch has as many samples as all streams together, unless epoch_size says otherwise.",
    )
    return Draft(body, plan.shares, once=float(plan.examples.sum()), same=False, notes=said)


FORMAT = Format(
    name="llm-foundry",
    title="LLM Foundry",
    unit="examples",
    weight="share of the samples drawn",
    suffixes=YAML,
    writes="train_loader.dataset.streams: local or remote, and proportion",
    link="https://docs.mosaicml.com/projects/streaming/en/stable/dataset_configuration/mixing_data_sources.html",
    read_by="mosaicml-streaming 0.13.0, Stream and apply_weights, which llm-foundry 0.22.0 hands the streams to",
    draft=draft,
    columns=(*PLACES, "split"),
)
