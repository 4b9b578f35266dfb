"""Judge an answer: the evidence, what the kind of runs cannot support, and the estimator behind estimated runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..blocks import Effects
from ..fidelities import estimated
from ..fields import listed
from ..fitting import Design
from ..identifiability import identifiability
from ..joined import with_table
from ..kinds import size_of_all
from ..predictor import Predictor
from ..readings import Question
from ..surrogates.choice import JUDGED
from ..training import training
from .evidence import Evidence
from .outlying import Outlying, told
from .verdict import Trust, at_most, limited, weigh


def judge(
    design: Design,
    predictor: Predictor,
    asked: Question,
    found: Evidence,
    answer: Effects,
    far: Sequence[Outlying] = (),
) -> Trust:
    """Judge the effects that were read of fitted runs, some of which may stand ``far`` out."""
    runs, names, T = design.runs, design.players.names, len(found.p)
    single = design.single
    estimates = design.at is None and any(map(estimated, runs.fidelity))
    verdict = weigh(
        found,
        asked,
        runs=min(predictor.rows) if design.at is None else len(single),
        at=design.at,
        single=len(single),
        targets=runs.targets[:T],
        unidentified=design.players.unidentified,
        opposed=[(names[a], names[b]) for a, b in identifiability(design.X).opposed],
        far=np.isin(np.arange(T), [one.target for one in far]),
        outliers=told(far, runs.targets[:T], design) if far else ("", ""),
        lost=np.asarray(np.isnan(answer.effects).any(axis=0)),
        training="" if runs.kind == "mixture" else training(runs.notes),
        seeds=set(single.seed.tolist()),
        estimated=estimates,
        averaged=design.averaged if design.at is None else 1,
    )
    if not predictor.asked.any():
        which = "The target never" if T == 1 else "No target ever"
        advice = "Attribute a target that differs between runs."
        verdict = replace(verdict, reason=f"{which} changes: nothing can be attributed.", advice=advice, facts=())
        return replace(verdict, skill=(np.nan,) * T, ranks=(np.nan,) * T, calibration=(np.nan,) * T)
    if runs.kind == "mask" and asked.name != "swap" and (size := size_of_all(runs.masks)) is not None:
        verdict = at_most(
            verdict,
            0,
            f"Every run holds {size} of {runs.K} tasks: only differences between tasks are known, "
            f"never the level of {asked.name} effects.",
            "Read swap effects, or add runs of other sizes (interplay design --for ...).",
        )
    masks = len(np.unique(single.masks, axis=0))
    if design.at is not None and masks < JUDGED:
        few = f"Only {masks} masks were run at {design.at}: that the other runs hold for it is hardly tested."
        advice = f"Run {JUDGED} masks or more at {design.at}, best such that other runs hold too."
        verdict = at_most(replace(verdict, facts=(few, *verdict.facts)), 1, f"{few} {verdict.reason}", advice)
    if tied := with_table(runs):
        one = len(tied) == 1
        why = f"{listed(tied)} {'switches' if one else 'switch'} only with the file that runs come from"
        apart = f"what else differs there is not told apart from {'its effect' if one else 'their effects'}"
        advice = f"Run a few masks with and without {'it' if one else 'them'}, all in one way, and put them in."
        verdict = at_most(verdict, 1, f"{why}: {apart}. {verdict.reason}", advice)
    return limited(verdict, runs.notes.get("estimator", {})) if estimates else verdict
