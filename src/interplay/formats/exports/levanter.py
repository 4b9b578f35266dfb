"""Levanter (and Marin): ``train_weights`` of the data, a mapping or a schedule of mappings.

Weights are divided by their sum and are shares of sequences, that is of tokens. Blocks of b = ``mixture_block_size``
sequences (2048 if not given) hold floor(w_i b) of each source and what is left over of the largest: a share below 1 / b
is never read. A schedule is a list of [step, weights]; the sequences before a step must fill whole blocks. A source
that is used up starts anew (``stop_strategy: restart``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...fields import listed
from .format import YAML, Draft, Format
from .mixture import Array, Plan
from .writing import Name

BLOCK = 2048


def draft(plan: Plan, path: Path) -> Draft:
    """A mapping, or a schedule where there are phases."""
    phases = list(dict.fromkeys(plan.stage))
    realised, weights, notes = np.zeros(len(plan.names)), [], []
    for phase in phases:
        own = np.array([i for i, p in enumerate(plan.stage) if p == phase])
        weights.append({Name(plan.names[i]): float(plan.shares[i]) for i in own})
        realised[own] = blocked(plan.shares[own])
    if lost := [plan.names[i] for i in np.flatnonzero(realised == 0)]:
        notes.append(
            f"with mixture_block_size {BLOCK} nothing is read of {listed(lost)}, whose share is below 1/{BLOCK}: set a "
            "larger one (below 65536)."
        )
    held: Any = weights[0]
    if len(phases) > 1:
        held = [[plan.starts[phase], own] for phase, own in zip(phases, weights, strict=True)]
        notes.append(
            "sequences before each step of the schedule (step x batch size) must be a multiple of mixture_block_size."
        )
    return Draft({"data": {"train_weights": held}}, plan.shares, realised, notes=tuple(notes))


def blocked(shares: Array) -> Array:
    """Shares that a block gives."""
    count = np.floor(shares * BLOCK)
    count[count.argmax()] += BLOCK - count.sum()
    return count / BLOCK


FORMAT = Format(
    name="levanter",
    title="Levanter",
    unit="tokens",
    weight="share of the tokens drawn",
    suffixes=YAML,
    writes="data.train_weights, with phases as a schedule",
    link="https://levanter.readthedocs.io/en/latest/reference/Data-Formats/",
    read_by="marin-levanter 0.2.20, LmDataConfig by draccus",
    draft=draft,
    whole=False,
    schedule=True,
)
