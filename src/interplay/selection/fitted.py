"""Fits the targets that goals use, and sees in held-out rows how far to believe what is chosen by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluations import Evaluations
from ..fitting import Design, checked, fit_design, with_parts
from ..held_out import HeldOut
from ..predictor import Predictor
from .judgement import Proposals
from .objective import Goal, Objective


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a choice is made from."""

    design: Design
    predictor: Predictor
    objective: Objective
    held: HeldOut
    proposals: Proposals

    @classmethod
    def of(
        cls, runs: Evaluations, goals: Sequence[Goal], wanted: int, risk: float, surrogate: str, at: str | None
    ) -> Fitted:
        """Fit the targets that goals use, the first ``wanted`` of which count; see what held-out proposals come to."""
        members = dict.fromkeys(member for goal in goals for member in goal.members)
        design = Design.of(checked(with_parts(runs, list(members))), at)
        predictor = fit_design(design, surrogate)
        held = HeldOut.of(design, predictor)
        objective = Objective.of(predictor, goals[:wanted], held, risk)
        return cls(design, predictor, objective, held, Proposals.of(objective, held))
