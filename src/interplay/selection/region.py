"""Where a choice may lie: linear rules over players, in words, and which of them clash.

    masks      s in {0, 1}^P,    least_q <= a_q . s <= most_q
    mixtures   w >= 0, sum of each phase fixed, least_q <= a_q . w <= most_q, KL(w || prior) <= kl

Sizes, groups, costs, caps and floors are all rules of this form. Whether any choice keeps them all is a mixed-integer
linear program (HiGHS); where none does, rules are dropped one at a time while the rest still clash, and what is left
is a smallest set that cannot hold together (Chinneck & Dravnieks, ORSA J. Computing 1991, deletion filter).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp, minimize

from ..fields import EvaluationsError, listed
from ..kinds import SIMPLEX_TOLERANCE
from .simplex import STEPS, project
from .simplex import kl as divergence

Array = NDArray[np.float64]
TOLERANCE = 1e-7
#: Rules of one sort that a message lists.
LISTED = 4


@dataclass(frozen=True, eq=False)
class Rule:
    """One rule, least <= coefficients . x <= most, and the words it was stated in.

    Attributes
    ----------
    words : str
    coefficients : array (P,)
    least, most : float
    about : str
        What sort of rule it is.
    budget, epochs : float
        What it was counted from: the budget of costs; the tokens that a training reads, and how often each may be.
    """

    words: str
    coefficients: Array
    least: float = -np.inf
    most: float = np.inf
    about: str = ""
    budget: float = np.nan
    epochs: float = np.nan


@dataclass(frozen=True, eq=False)
class Region:
    """All choices that keep the rules.

    Attributes
    ----------
    names : tuple of str (P,)
        Players.
    kind : str
        'mask', 'mixture', 'weights' or 'coefficients'.
    rules : tuple of Rule
    low, high : array (P,)
        Between which every player stays whatever the rules: 0 and 1, or the range of the runs.
    blocks : array (P,) of int
        Phase of each player of a mixture.
    totals : array (B,)
        Weight of each phase; empty where weights need not sum to anything.
    prior : array (P,) or None
        Mixture to stay near to.
    kl : float
        Largest divergence from it, in nats.
    """

    names: tuple[str, ...]
    kind: str
    rules: tuple[Rule, ...]
    low: Array
    high: Array
    blocks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    totals: Array = field(default_factory=lambda: np.zeros(0))
    prior: Array | None = None
    kl: float = np.inf

    @property
    def binary(self) -> bool:
        """Whether choices are masks."""
        return self.kind == "mask"

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper ends (P,) of every player: its range, and the rules about it alone."""
        low, high = self.low.copy(), self.high.copy()
        for rule in self.rules:
            (own,) = np.nonzero(rule.coefficients)
            if len(own) == 1:
                ends = np.array([rule.least, rule.most]) / rule.coefficients[own[0]]
                low[own[0]], high[own[0]] = max(low[own[0]], ends.min()), min(high[own[0]], ends.max())
        return low, high

    @cached_property
    def rows(self) -> tuple[Array, Array, Array]:
        """Rules about several players: coefficients (q, P), least and most (q,)."""
        several = [rule for rule in self.rules if np.count_nonzero(rule.coefficients) > 1]
        A = np.array([rule.coefficients for rule in several]).reshape(-1, len(self.names))
        return A, np.array([rule.least for rule in several]), np.array([rule.most for rule in several])

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Players (P,) that the bounds leave a choice."""
        low, high = self.bounds
        return np.floor(high + TOLERANCE) > np.ceil(low - TOLERANCE) if self.binary else high > low

    def feasible(self, X: Array) -> NDArray[np.bool_]:
        """Which choices (n, P) keep all rules, array (n,)."""
        A, least, most = self.rows
        low, high = self.bounds
        ok = np.asarray(((low - TOLERANCE <= X) & (high + TOLERANCE >= X)).all(axis=1))
        if len(A):
            sums, slack = X @ A.T, TOLERANCE * np.maximum(np.abs(A).sum(axis=1), 1.0)
            ok &= ((sums >= least - slack) & (sums <= most + slack)).all(axis=1)
        for b, total in enumerate(self.totals):
            ok &= np.abs(X[:, self.blocks == b].sum(axis=1) - total) <= SIMPLEX_TOLERANCE  # shares may be rounded
        if self.prior is not None:
            ok &= divergence(X, self.prior) <= self.kl + 1e-6
        return ok

    def project(self, X: Array) -> Array:
        """Return weights (n, P) near others that keep all rules.

        Bounds and totals by projection; the rest by going back towards `interior` until they hold: the region is
        convex, so that they hold from there on.
        """
        low, high = self.bounds
        out = np.clip(X, low, high)
        for b, total in enumerate(self.totals):
            own = self.blocks == b
            out[:, own] = project(X[:, own], low[own], high[own], total)
        (far,) = np.nonzero(~self.feasible(out))
        if not len(far):
            return out
        back, lo, hi = self.interior - out[far], np.zeros((len(far), 1)), np.ones((len(far), 1))
        for _ in range(STEPS):
            t = 0.5 * (lo + hi)
            keeps = self.feasible(out[far] + t * back)[:, None]
            lo, hi = np.where(keeps, lo, t), np.where(keeps, t, hi)
        out[far] += hi * back
        return out

    def best_linear(self, gains: Array) -> Array:
        """Return the choice (P,) with the largest gains . x (P,), the distance from the prior left aside.

        Raises
        ------
        EvaluationsError
            If no choice keeps all rules; says which of them clash.
        """
        found = self._solve(self.rules, -gains)
        if found is None:
            raise EvaluationsError(self.clash())
        return np.round(found) if self.binary else found

    def check(self) -> None:
        """Raise an error that names the rules that clash, if no choice keeps all of them."""
        self.best_linear(np.zeros(len(self.names)))
        if self.prior is not None and np.isfinite(self.kl):
            nearest = self._nearest()
            if (least := float(divergence(nearest[None], self.prior)[0])) > self.kl + 1e-6:
                raise EvaluationsError(
                    f"no mixture keeps all rules within {self.kl:g} nats of the prior: the nearest lies {least:.3g} "
                    f"nats away. Raise kl to {least * 1.05:.2g}, or loosen: {self.words(self.rules)}."
                )

    @cached_property
    def interior(self) -> Array:
        """Some choice (P,) that keeps all rules: for mixtures the nearest to the prior, or to even shares."""
        return self.best_linear(np.zeros(len(self.names))) if self.binary else self._nearest()

    def clash(self) -> str:
        """Say which rules cannot hold together."""
        left = list(self.rules)
        for rule in self.rules:
            fewer = [other for other in left if other is not rule]
            if self._solve(fewer, np.zeros(len(self.names))) is None:
                left = fewer
        words = self.words(left) or "the weights must sum to one"
        amounts = self._cheapest(left) or self._short(left) or "Loosen one of them."
        return f"no choice keeps all of these: {words}. {amounts}"

    def _cheapest(self, clash: Sequence[Rule]) -> str:
        """What rules beside the budget cost at least, where it is the budget that clashes."""
        costs = next((rule for rule in clash if rule.about == "costs"), None)
        if costs is None:
            return ""
        for rules in (self.rules, clash):  # all of them; or those shown, where all clash without the budget too
            found = self._solve([rule for rule in rules if rule is not costs], costs.coefficients)
            if found is not None:
                fixed = costs.budget - costs.most  # of what is on in every run
                least = float(costs.coefficients @ np.round(found)) + fixed
                names = listed([name for name, there in zip(self.names, found, strict=True) if there > 0.5])
                beside = f" with the {fixed:g} of what is on in every run" if fixed else ""
                return (
                    f"The cheapest choice that keeps the others is {names}, which costs {least:g}{beside}: raise "
                    "budget= (--budget), or loosen one of them."
                )
        return ""

    def _short(self, clash: Sequence[Rule]) -> str:
        """What shares come to where they cannot sum to what they must; which budget of tokens fits."""
        loose = replace(self, totals=np.zeros(0))
        for b, total in enumerate(self.totals):
            own = (self.blocks == b).astype(float)
            lowest, highest = (loose._solve(clash, sign * own) for sign in (1.0, -1.0))
            if lowest is None or highest is None:
                return ""
            sums = "shares sum to 1" if len(self.totals) == 1 else f"those of their phase sum to {total:.4g}"
            if (share := float(own @ highest)) < total - TOLERANCE:
                words = f"Together they leave a share of {share:.4g}, and {sums}"
                return f"{words}{self._fitting(loose, clash, own, total)}"
            if (share := float(own @ lowest)) > total + TOLERANCE:
                return f"Together they need a share of {share:.4g}, and {sums}. Loosen one of them."
        return ""

    def _fitting(self, loose: Region, clash: Sequence[Rule], own: Array, total: float) -> str:
        """The budget of tokens, and how often they may be read, with which shares sum to what they must."""
        reads = next((rule for rule in clash if rule.about == "reads"), None)
        if reads is not None and all(rule.about in ("reads", "forbid") for rule in clash):
            limits = [rule for rule in self.rules if rule.about in ("reads", "forbid")]
            highest = loose._solve(limits, -own)
            if highest is not None and (share := float(own @ highest)) > TOLERANCE:
                budget = _digits(reads.budget * share / total, up=False)
                epochs = _digits(reads.epochs * total / share, up=True)
                return f": a budget= (--budget) of {budget:g} fits, or max_epochs= (--max-epochs) of {epochs:g}."
        return ". Loosen one of them."

    @staticmethod
    def words(rules: Sequence[Rule]) -> str:
        """Rules as they were stated, each once; of many of one sort the first."""
        sorts: dict[str, list[str]] = {}
        for rule in rules:
            sort = sorts.setdefault(rule.about or rule.words, [])
            if rule.words not in sort:
                sort.append(rule.words)
        for sort, said in sorts.items():
            more = len(said) - LISTED
            sorts[sort] = [*said[:LISTED], f"... ({more} more)"] if more > 0 else said
        return "; ".join(word for said in sorts.values() for word in said)

    def _solve(self, rules: Sequence[Rule], costs: Array) -> Array | None:
        """Return the cheapest choice (P,), or None where there is none."""
        A = [rule.coefficients for rule in rules]
        ends = [(rule.least, rule.most) for rule in rules]
        for b, total in enumerate(self.totals):
            A.append((self.blocks == b).astype(float))
            ends.append((total, total))
        constraints = []
        if A:
            least, most = np.array(ends, float).T
            constraints = [LinearConstraint(np.array(A), least, most)]
        bounds: Any = Bounds(self.low, self.high)  # pyright: ignore[reportArgumentType]
        for whole in (0, 1) if self.binary else (0,):  # sizes and groups mostly have whole vertices: seldom a search
            found = milp(costs, integrality=np.full(len(costs), whole), bounds=bounds, constraints=constraints)
            if found.x is None or np.abs(found.x - np.round(found.x)).max() < TOLERANCE:
                break
        return None if found.x is None else np.asarray(found.x)

    def _nearest(self) -> Array:
        """Return the mixture (P,) within the rules, without the limit of distance, that is nearest to the prior."""
        some = self.best_linear(np.zeros(len(self.names)))
        goal = self.prior
        if goal is None:
            goal = np.clip(np.where(np.isfinite(self.high), 0.5 * (self.low + self.high), some), self.low, self.high)
            for b, total in enumerate(self.totals):
                goal[self.blocks == b] = total / max((self.blocks == b).sum(), 1)
        if self._keeps(goal[None])[0]:
            return goal
        low, high = self.bounds
        A, least, most = self.rows
        equal = [
            {"type": "eq", "fun": lambda w, o=self.blocks == b, t=t: w[o].sum() - t} for b, t in enumerate(self.totals)
        ]
        above = [{"type": "ineq", "fun": lambda w: np.concatenate(_slack(A, least, most, w))}] if len(A) else []
        if self.prior is None:
            distance = lambda w: float(((w - goal) ** 2).sum())
        else:
            distance = lambda w: float(divergence(w[None], goal)[0])
        found = minimize(
            distance, some, method="SLSQP", bounds=list(zip(low, high, strict=True)), constraints=[*equal, *above]
        ).x
        return found if self._keeps(found[None])[0] else some

    def _keeps(self, X: Array) -> NDArray[np.bool_]:
        return Region(self.names, self.kind, self.rules, self.low, self.high, self.blocks, self.totals).feasible(X)


def _slack(A: Array, least: Array, most: Array, w: Array) -> tuple[Array, Array]:
    sums = A @ w
    return (sums - least)[np.isfinite(least)], (most - sums)[np.isfinite(most)]


def _digits(value: float, *, up: bool) -> float:
    """A positive number with four digits, not below it or not above it."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 3)
    return float(np.ceil(value / unit - 1e-6) if up else np.floor(value / unit + 1e-6)) * unit
