"""From evaluated runs to a choice: `select`.

runs -> surrogate -> the best within the rules, less risk -> ranked with what the runs around them show too -> corrected
by held-out proposals -> beside the baseline, the best run, and what the rules cost
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..evaluations import Evaluations, EvaluationsError
from ..fields import match, unknown
from ..fitting import switched
from ..phases import phase_blocks
from ..provenance import provenance
from ..tokens import Tokens
from .chooser import Chooser
from .constraints import Constraints, Shares
from .fitted import Fitted
from .objective import Goal
from .result import Selection

RISK = 0.5
MOST_GOALS = 5  # of a front
FARTHEST = 1.0


def select(
    runs: Evaluations,
    target: str | None = None,
    *,
    worst: Sequence[str] = (),
    pareto: Sequence[str] = (),
    within: Mapping[str, float] | None = None,
    size: int | tuple[int | None, int | None] | None = None,
    require: Sequence[str] = (),
    forbid: Sequence[str] = (),
    at_most: Mapping[str, tuple[Sequence[str], float]] | None = None,
    costs: Mapping[str, float] | Tokens | None = None,
    budget: float | None = None,
    caps: Shares | None = None,
    floors: Shares | None = None,
    tokens: Tokens | None = None,
    max_epochs: float | None = None,
    near: ArrayLike | Mapping[str, float] | None = None,
    kl: float | None = None,
    among: Any = None,
    against: ArrayLike | str | None = None,
    verified: Evaluations | None = None,
    risk: float = RISK,
    beyond: bool = False,
    surrogate: str | None = None,
    at: str | None = None,
    rng: np.random.Generator | None = None,
) -> Selection:
    """Choose the subset or mixture to train next.

    Parameters
    ----------
    runs : Evaluations
        Masks, mixtures or weights, at least 5 runs.
    target : str, optional
        What is to be made better: a target, or an expression such as ``'mean(bpb/*)'`` or ``'0.7*a + 0.3*b'`` that is
        computed within each run (`Evaluations.derive`). May be left out where the runs have one target.
    worst : sequence of str, optional
        Instead of a target: several (names or globs), of which the worst counts, each in standard deviations.
    pareto : sequence of str, optional
        Instead of a target: several (names or globs), whose front is looked for: choices of which none is better in all
        of them. The choice itself is the one whose worst is best. With ``among`` or ``verified`` the front of these.
    within : mapping of str to float, optional
        Targets that may be worse than at the baseline by no more than this, in their own unit.
    size, require, forbid, at_most, costs, budget, caps, floors, tokens, max_epochs, near, kl
        Rules, see `Constraints`.
    among : array (n, K), frame, file or Points, optional
        Choose among these candidates only.
    against : 'all', 'uniform', 'tokens', 'mean' or array (K,), optional
        The baseline that the choice is compared with: what would be trained without it. All tasks for masks; where all
        of them hold one number of tasks, and fewer than all but one, a run as they were drawn ('mean'): the mean of
        what is expected of the masks that were run. For mixtures the token-proportional one where ``tokens`` are given,
        else the uniform one; 'mean' is the mean mixture of the runs.
    verified : Evaluations, optional
        Runs of choices that were proposed before: they are fitted too, and the choice is made among them and the best
        of the other runs.
    risk : float
        Standard deviations of the prediction that are taken off: 0 takes the plain optimum.
    beyond : bool
        Whether the choice may lie farther from the runs than any of them does from the others.
    surrogate, at
        See `attribute`. If not given the stack of kernels, since it sees what only pays together, and whoever takes the
        best of many predictions needs deviations that grow away from the runs: on digits it chose better than what
        predicts best. Of several fidelities all together, where that predicts no worse.
    rng : numpy.random.Generator, optional
        Of the search; that of seed 0 if not given.

    Returns
    -------
    Selection

    Raises
    ------
    EvaluationsError
        For names that are unknown, rules that clash, or too few runs.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> masks = ip.masks.bernoulli(6, 40, p=0.5, rng=np.random.default_rng(0))
    >>> runs = ip.Evaluations.from_arrays(masks, 2.0 - masks @ [0.5, 0.3, 0.1, 0.0, -0.2, 0.1], targets=["loss"])
    >>> ip.select(runs, size=2).names
    ('task_0', 'task_1')
    """
    options = {name: value for name, value in locals().items() if name not in ("runs", "rng", "verified")}
    rng = np.random.default_rng(0) if rng is None else rng
    if not (np.isfinite(risk) and risk >= 0):
        raise EvaluationsError(f"risk is {risk!r}; give a number >= 0: standard deviations taken off the prediction.")
    made = provenance(runs, verified, {name: value for name, value in options.items() if _given(value)})
    if phase_blocks(runs.notes, runs.tasks) is not None:
        made["phases"] = dict(runs.notes["phases"])
    if tokens is not None:
        made["unit"] = "tokens"  # of which shares are limited by token counts
    together, fresh = runs, None
    if verified is not None:
        together, fresh = runs + verified, np.arange(len(runs) + len(verified)) >= len(runs)
    switched(np.flatnonzero(np.ptp(together.masks, axis=0)).tolist())
    tokens = None if tokens is None else tokens.over(runs.tasks)
    costs = costs.over(runs.tasks) if isinstance(costs, Tokens) else costs
    together, goals, kept, words = asked_for(together, target, worst, pareto, within or {})
    constraints = Constraints(
        size, require, forbid, at_most or {}, costs, budget, caps, floors, tokens, max_epochs, near, kl
    )
    constraints.region_of(together)  # what clashes is said before the fit
    if surrogate is None:
        surrogate = "stack" if len(set(map(str, together.fidelity))) == 1 else "auto"
    fitted = Fitted.of(together, (*goals, *kept), len(goals), risk, surrogate, at)
    chooser = Chooser(fitted, together, constraints, rng, np.inf if beyond else FARTHEST, fresh)
    base = chooser.baseline(against)
    chooser.keep(kept, within or {}, base)
    found = chooser.found(among)
    chosen = chooser.selection(found, base, words, made)
    return replace(chosen, front=chooser.front(chosen.weights, base)) if pareto else chosen


def _given(value: Any) -> bool:
    return value is not None and not (isinstance(value, tuple | dict) and not value)


def asked_for(
    runs: Evaluations, target: str | None, worst: Sequence[str], pareto: Sequence[str], within: Mapping[str, float]
) -> tuple[Evaluations, tuple[Goal, ...], tuple[Goal, ...], str]:
    """Runs with what is derived, goals, targets that are kept, and the objective in words."""
    if sum((target is not None, bool(worst), bool(pareto))) > 1:
        raise EvaluationsError(
            "give one of target, worst and pareto: one target; the worst of several; or the front of several."
        )
    if not isinstance(within, Mapping):
        raise EvaluationsError(f"within is {within!r}; give by how much each may be worse, such as {{'mmlu': 0.01}}.")
    kept = match(list(within), runs.targets, "target", argument="within") if within else []
    for name, tolerance in within.items():
        if not (np.isfinite(tolerance) and tolerance >= 0):
            raise EvaluationsError(f"within: {name}={tolerance!r}; give by how much it may be worse, >= 0.")
    if worst or pareto:
        name, several = ("worst", worst) if worst else ("pareto", pareto)
        if not isinstance(several, Iterable):
            raise EvaluationsError(f"{name} is {several!r}; give names of targets, such as {list(runs.targets[:2])}.")
        wanted = match(several, runs.targets, "target", argument=name)
        if pareto and not 2 <= len(wanted) <= MOST_GOALS:
            raise EvaluationsError(f"pareto names {len(wanted)} targets; give 2 to {MOST_GOALS}, or a mean of some.")
    elif target is None:
        if runs.T - len(kept) != 1:
            shown = ", ".join(map(repr, runs.targets[:4]))
            raise EvaluationsError(
                f"the runs have {runs.T} targets ({shown}, ...): say which is to be made better (target=, --target), "
                "give an expression such as 'mean(*)', or several of which the worst counts (worst=, --worst)."
            )
        wanted = [name for name in runs.targets if name not in kept]
    elif target in runs.targets:
        wanted = [target]
    else:
        runs = _derived(runs, target)
        wanted = [runs.targets[-1]]
    if clash := [name for name in kept if name in wanted]:
        raise EvaluationsError(f"within: {clash[0]!r} is what is to be made better; leave it out of within.")
    goals = tuple(Goal.of(runs, name) for name in wanted)
    way = "raise" if goals[0].up else "lower"
    words = f"{way} {wanted[0]}" if len(wanted) == 1 else f"make the worst of {len(wanted)} targets better"
    words = f"balance {len(wanted)} targets (the front is below)" if pareto else words
    return runs, goals, tuple(Goal.of(runs, name) for name in kept), words


def _derived(runs: Evaluations, target: str) -> Evaluations:
    """Add the target that an expression, or NAME=EXPRESSION, stands for."""
    if not any(c in target for c in "()+*/,-=\"'` "):
        raise unknown(target, runs.targets, "target", argument="target")
    name, _, expression = target.partition("=")
    try:
        return runs.derive({name: expression} if expression else {f'"{target}"': target})
    except EvaluationsError as error:
        raise EvaluationsError(f"target: {error}") from None
