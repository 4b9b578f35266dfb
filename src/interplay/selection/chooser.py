"""Sets the best choice beside the baseline, the best run and the others, and says what it is worth.

The steps are those of `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import Evaluations, EvaluationsError
from ..fidelities import estimated
from ..fields import match
from ..formats.points import Points
from ..predictor import as_points
from ..readings.effects import contrast
from . import pareto, result
from .baseline import Baseline, baseline, other_size
from .constraints import Constraints
from .drawn import Drawn
from .fitted import Fitted
from .judgement import AT_THE_END, about_seeds, beside, unexplained, verdict_on
from .mixtures import best_mixtures
from .objective import Goal, Objective
from .recorded import Recorded, Settled
from .region import Region
from .result import APART, Candidate, Selection
from .simplex import alike, total_variation
from .subsets import Found, Pool, best_masks

Array = NDArray[np.float64]
SHOWN = 10  # alternatives that are kept
ENDS = 0.999  # of how far a choice may lie from the runs
NONE: Mapping[int, Drawn] = MappingProxyType({})  # no row is an average


class Chooser:
    """Looks for the best, corrects what is expected of it, and sets it beside the rest.

    ``fresh`` (m,) are the runs of choices that were proposed before: what is chosen is one that was run.
    """

    def __init__(
        self,
        fitted: Fitted,
        runs: Evaluations,
        constraints: Constraints,
        rng: np.random.Generator,
        farthest: float,
        fresh: NDArray[np.bool_] | None = None,
    ):
        self.fitted, self.runs, self.constraints, self.rng, self.farthest = fitted, runs, constraints, rng, farthest
        self.fresh = fresh
        self.predictor, self.objective = fitted.predictor, fitted.objective
        self.players, self.kind = fitted.predictor.players, fitted.predictor.kind
        self.region = constraints.region(runs.masks, runs.tasks, self.players, self.kind, runs.notes)
        self.recorded = self._recorded(runs)
        self.warnings = [
            f"{goal.name} sums {goal.parts} targets: it is fitted as one, not target by target."
            for goal in self.objective.everything
            if goal.parts
        ]
        self.free: Array | None = None
        self.average: Array | None = None
        self.given: Array | None = None
        self.keeping: tuple[str, ...] = ()

    def _recorded(self, runs: Evaluations) -> Recorded:
        """Those of the fidelity that is asked about."""
        design = self.fitted.design
        asked = runs.where(fidelity=design.at or str(self.runs.fidelity[0]))
        return Recorded(asked, self.players, self.objective, design.seeds is not None)

    def baseline(self, against: ArrayLike | str | None) -> Baseline:
        """What would be trained without a choice."""
        drawn = self.runs if self.fresh is None else self.runs[~self.fresh]
        return baseline(against, drawn, self._recorded(drawn), self.constraints.tokens)

    def _expected(self, base: Baseline) -> tuple[Array, Array]:
        """Mean and deviation (1, T) of the baseline."""
        if base.drawn is None:
            return self.predictor.at(self.players.columns(base.weights[None]))
        mean, deviation = base.drawn.expected
        return mean[None], deviation[None]

    def keep(self, kept: Sequence[Goal], within: Mapping[str, float], base: Baseline) -> None:
        """Let targets lose no more than their tolerance against the prediction of the baseline."""
        if not kept:
            return
        loose = self.objective.keeping(kept, np.full(len(kept), -np.inf), self.fitted.held)
        z = loose.standardised(*self._expected(base))[0][0, len(self.objective.goals) :]
        names, tolerances = [goal.name for goal in kept], {}
        for pattern, tolerance in within.items():
            for name in match(pattern, names, "target"):
                tolerances.setdefault(name, tolerance)
        floors = [b - tolerances[goal.name] / (goal.spread or 1.0) for b, goal in zip(z, kept, strict=True)]
        self.objective = replace(loose, floors=np.array(floors))
        self.keeping = tuple(f"{g.name} no more than {tolerances[g.name]:g} worse than {base.name}" for g in kept)

    def found(self, among: Any) -> Found:
        """Look for the best; the unconstrained optimum beside it where rules leave it out."""
        if among is not None or self.fresh is not None:
            return self._given(among)
        found = self._best(self.region, self.farthest)
        if not len(found.X):
            self.farthest = np.inf
            found = self._best(self.region, self.farthest)
            self.warnings.append(
                "every choice that keeps the rules lies farther from the runs than any of them does from the others: "
                "its prediction extrapolates. Run some masks of this kind first (interplay next)."
            )
        if not len(found.X):
            raise EvaluationsError(
                "no choice keeps the tolerances of within with certainty; widen them, lower risk, or add runs."
            )
        if self.region.rules or self.region.prior is not None:
            rules = tuple(r for r in self.region.rules if r.words == "at least one task")
            free = self._best(replace(self.region, rules=rules, prior=None), self.farthest)
            better = len(free.X) and free.worth[0] > found.worth[0] + 1e-6
            self.free = free.X[0] if better else None
        return found

    def _best(self, region: Region, farthest: float) -> Found:
        runs = np.unique(self.fitted.design.X, axis=0)
        if self.kind == "mask":
            return best_masks(self.objective, region, runs, self.rng, farthest)
        found, average = best_mixtures(self.objective, region, runs, self.rng, farthest)
        self.average = average if region is self.region else self.average
        return found

    def front(self, choice: Array, base: Baseline) -> tuple[Candidate, ...]:
        """Choices of which none is better in all goals; of those that were run or given, where only these count."""

        def search(objective: Objective) -> Array:
            mine = self.objective
            self.objective = objective
            try:
                return self._best(self.region, self.farthest).X
            finally:
                self.objective = mine

        if self.given is None:
            X = pareto.front(self.objective, search)
        else:
            X, J = self.given, len(self.objective.goals)
            y, deviation, _ = self._settled(X)
            sign, centre, scale = (a[:J] for a in self.objective.scales)
            X = X[pareto.unbeaten((sign * (y - centre) - self.objective.risk * deviation) * scale)]
        rows = [(result.CHOICE, "", self.players.columns(choice[None])[0])]  # gains are of the choice
        return self._candidates([*rows, *((result.FRONT, "", x) for x in X)], base)[1:]

    def _given(self, among: Any) -> Found:
        """Look among candidates that were given, or that were run, or both."""
        self.farthest = np.inf  # who names candidates may name far ones; it is said
        X = None if among is None else self._candidates_given(as_points(among, self.runs.tasks, self.kind))
        if self.fresh is not None:
            ran = np.unique(self.players.columns(self.runs.masks), axis=0)
            some = ran if X is None else ran[[bool(alike(X, x).any()) for x in ran]]
            if not len(some):
                self.warnings.append("none of the candidates was run: the choice is by prediction.")
            X = some if len(some) or X is None else X
        assert X is not None
        pool = Pool(self.objective, self.region, self.farthest, most=len(X))
        pool.add(X)
        keeps = self.region.feasible(X)
        if among is not None and (left := int((~keeps).sum())):
            self.warnings.append(f"{left} of {len(X)} candidates break the rules and are left out.")
        if not len(pool.X):
            raise EvaluationsError(f"none of the {len(X)} candidates keeps the rules: {'; '.join(self._rules())}.")
        self.given = X[keeps & self.objective.keeps(*self.predictor.at(X))]
        return Found(pool.X, pool.worth, True, len(X))

    def _rules(self) -> tuple[str, ...]:
        words = dict.fromkeys(rule.words for rule in self.region.rules if rule.words != "at least one task")
        near = () if self.region.prior is None else (f"within {self.region.kl:g} nats of the prior",)
        return (*words, *near, *self.keeping)

    def _candidates_given(self, points: Points) -> Array:
        """Candidates (n, P) by players, without those that hold tasks of which nothing is known."""
        known = np.ones(len(points.names), bool)
        if self.kind == "mixture":
            known = (points.weights[:, np.isin(self.runs.tasks, self.players.always_off)] == 0).all(axis=1)
        if not known.any():
            raise EvaluationsError(
                f"each of the {len(known)} candidates holds a task that no run holds, so nothing is known of them."
            )
        if not known.all():
            self.warnings.append(f"{int((~known).sum())} candidates hold tasks that no run holds, and are left out.")
        names = [name for name, there in zip(points.names, known, strict=True) if there]
        X, said = self.players.reduced(points.weights[known], names, self.runs.tasks, self.kind)
        self.warnings += said
        return X

    def selection(
        self,
        found: Found,
        base: Baseline,
        words: str,
        made: dict[str, Any],
    ) -> Selection:
        """Set the best beside the rest."""
        X, fresh = found.X, self.fresh
        if fresh is None:
            worth = found.worth + unexplained(self.objective, X, self.fitted.held, self.kind == "mask")
        else:
            worth = self._worth(*self._settled(X)[:2])
        order = np.argsort(-worth, kind="stable")
        best = self._distinct(X[order])[: SHOWN + 1]
        measured = self.recorded.best(self.region, self.objective)
        rows = [(result.CHOICE, "", best[0])]
        whole = self._whole(best)
        told = lambda w: result.apart(self.runs.tasks, whole[0], w) if self.kind == "mask" else ""
        rows += [(result.ALTERNATIVE, told(w), x) for x, w in zip(best[1:], whole[1:], strict=True)]
        if measured is not None:
            rows.append((result.RUN, "the best run", measured))
        rows.append((result.BASELINE, base.name, self.players.columns(base.weights[None])[0]))
        if self.free is not None:
            rows.append((result.FREE, "the optimum without the rules", self.free))
        if self.average is not None:
            rows.append((result.DRAWS, "the mean of the best 100 random mixtures", self.average))
        candidates = self._candidates(rows, base)
        p, fitted, goals = self.predictor, self.fitted, self.objective.goals
        there = self.objective.standardised(*self._expected(base))[0][0, : len(goals)]
        keeps = base.drawn is None and bool(self.region.feasible(self.players.columns(base.weights[None]))[0])
        verdict, why = verdict_on(candidates, fitted.proposals, int(there.argmin()), [g.name for g in goals], keeps)
        if candidates[0].remoteness > ENDS * self.farthest:
            self.warnings.append(AT_THE_END)
        if not estimated(p.fidelity):
            self.warnings += about_seeds(self.runs, self.recorded.elsewhere)
        if verdict != "solid" and (more := beside(candidates)):
            why += f"; {more}"
        if size := other_size(self.runs, whole[0]):
            self.warnings.append(size)
            if verdict == "solid":
                verdict, why = "indicative", "no run holds that number of tasks: verify it first"
        if verdict == "solid" and estimated(p.fidelity) and not candidates[0].runs:
            verdict, why = "indicative", "it was chosen from estimates, which rank better than they predict: train it"
        expected, measurement = (
            self.objective.values(*p.at(best[:1], noise=noise))[1][0, : len(goals)] for noise in (False, True)
        )
        return Selection(
            tasks=self.runs.tasks,
            kind=self.kind,
            targets=tuple(goal.name for goal in goals),
            higher_is_better=tuple(goal.up for goal in goals),
            objective=words,
            rules=self._rules(),
            candidates=candidates,
            verdict=verdict,
            why=why,
            exact=found.exact,
            search=_searched(found),
            risk=self.objective.risk,
            bias=fitted.proposals.bias,
            stretch=fitted.proposals.stretch,
            rank=fitted.proposals.rank,
            runs=len(self.runs),
            surrogate=p.sentence,
            noise=np.sqrt(np.maximum(measurement**2 - expected**2, 0.0)),
            verified=0 if fresh is None else int((fresh & np.isfinite(self.runs.values).all(axis=1)).sum()),
            warnings=tuple(dict.fromkeys((*p.warnings, *self.warnings))),
            made=made,
        )

    def _distinct(self, X: Array) -> Array:
        if self.kind == "mask":
            return X
        kept: list[Array] = []
        for x in X:
            if not kept or total_variation(x[None], np.array(kept)).min() >= APART:
                kept.append(x)
        return np.array(kept)

    def _at(self, X: Array, drawn: Mapping[int, Drawn]) -> tuple[Array, Array]:
        """Means and deviations (n, T) of choices; row i is that of the average ``drawn[i]`` where there is one."""
        mean, deviation = self.predictor.at(X)
        for i, average in drawn.items():
            mean[i], deviation[i] = average.expected
        return mean, deviation

    def _settled(self, X: Array, drawn: Mapping[int, Drawn] = NONE) -> tuple[Array, Array, Settled]:
        """Predictions and deviations (n, J) of choices, with what their runs show beyond the surrogate."""
        J = len(self.objective.goals)
        mean, deviation = (a[:, :J] for a in self.objective.values(*self._at(X, drawn)))
        found = self.recorded.settled(X, mean)
        for part in found:  # what belongs to single masks averages out
            part[list(drawn)] = 0.0
        return mean + found.shift, np.sqrt(((1.0 - found.share) * deviation) ** 2 + found.left), found

    def _worth(self, y: Array, sd: Array) -> Array:
        """What choices (n,) are worth, from settled predictions and deviations (n, J)."""
        sign, centre, scale = (a[: y.shape[1]] for a in self.objective.scales)
        return (sign * (y - centre) * scale - self.objective.risk * sd * scale).min(axis=1)

    def _candidates(self, rows: list[tuple[str, str, Array]], base: Baseline) -> tuple[Candidate, ...]:
        objective, proposals = self.objective, self.fitted.proposals
        J, X = len(objective.goals), np.array([x for _, _, x in rows])
        sign, _, scale = (a[:J] for a in objective.scales)
        spread = np.divide(1.0, scale, out=np.zeros(J), where=scale > 0)
        stands = [i for i, (role, _, _) in enumerate(rows) if role == result.BASELINE]
        drawn = {} if base.drawn is None else dict.fromkeys(stands, base.drawn)
        (mean, deviation, settled), far = self._settled(X, drawn), objective.far(X)
        worth = self._worth(mean, deviation)
        gain, gain_deviation = self._gains(X, settled, drawn)
        whole, runs = self._whole(X), [self.recorded.of(x) for x in X]
        whole[stands], far[list(drawn)] = base.weights, 0.0
        for i, average in drawn.items():
            runs[i] = average.measured
        # only of what was taken for its prediction, and not measured since, is the prediction too good
        taken = [
            role not in (result.BASELINE, result.RUN) and not of.runs
            for (role, _, _), of in zip(rows, runs, strict=True)
        ]
        shift = np.multiply.outer(np.array(taken, float), proposals.bias * spread)
        gain += shift[0] - shift
        return tuple(
            Candidate(
                role=role,
                name=name or result.named(self.runs.tasks, whole[i], self.kind),
                weights=whole[i],
                predicted=mean[i] + sign * shift[i],
                deviation=np.hypot(deviation[i] * proposals.stretch, self.recorded.elsewhere),
                measured=runs[i].mean,
                standard_error=runs[i].error,
                runs=runs[i].runs,
                worth=float(worth[i]),
                remoteness=float(far[i]),
                gain=gain[i],
                gain_deviation=gain_deviation[i] * proposals.stretch,
                drawn=drawn[i].measured.runs if i in drawn else 0,
            )
            for i, (role, name, _) in enumerate(rows)
        )

    def _gains(self, X: Array, settled: Settled, drawn: Mapping[int, Drawn] = NONE) -> tuple[Array, Array]:
        """Benefit (n, J) of the first of some choices over each, with its deviation.

        Variance of (1 - s_0) g(x_0) - (1 - s_i) g(x_i), s the settled shares, and of what is left of both choices.
        """
        p, objective, J = self.predictor, self.objective, len(self.objective.goals)
        mean, deviation = np.zeros((2, len(X), len(p.targets)))
        for own, choice in p.choices:
            if np.isin(own, objective.targets).any():
                found = contrast(choice.surrogate, np.tile(X[0], (len(X), 1)), X)
                mean[:, own], deviation[:, own] = found.mean, found.deviation
        for i, average in drawn.items():
            mean[i], deviation[i] = average.below(X[0])
        A = objective.matrix()[:J]
        gain = objective.scales[0][:J] * (mean @ A.T + settled.shift[0] - settled.shift)
        apart = (deviation @ np.abs(A).T * objective.together[:J]) ** 2
        own = objective.values(*self._at(X, drawn))[1][:, :J] ** 2
        rest = 1.0 - settled.share
        # the covariance of g(x_0) and g(x_i) follows from the variance of their difference
        variance = rest[0] * rest * apart + (rest[0] - rest) * (rest[0] * own[0] - rest * own)
        variance = np.maximum(variance, 0.0) + settled.left[0] + settled.left
        same = alike(X, X[0])
        same[list(drawn)] = False
        variance[same] = 0.0
        return gain, np.sqrt(variance)

    def _whole(self, X: Array) -> Array:
        """Weights (n, K) over tasks; those that are on in every run are on."""
        out = np.zeros((len(X), self.runs.K))
        out[:, np.isin(self.runs.tasks, self.players.always_on)] = 1.0
        for p, members in enumerate(self.players.members):
            out[:, list(members)] = X[:, [p]]
        return out


def _searched(found: Found) -> str:
    if found.exact:
        return f"all {found.looked:,} choices were gone through"
    return f"local search: {found.agreed:.0%} of its starts ended at the best of them"
