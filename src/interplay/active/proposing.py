"""Propose the next runs for a question: candidates, what they would tell, the batch, and whether it is worth it.

What is left of a question is its root mean posterior variance over functionals and targets, in standard deviations of
the targets (in the target's own unit where there is one). Under a log link variances are taken in the link's unit,
times the slope of the link at the mean of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..draws import generator
from ..evaluations import MIN_RUNS, Evaluations, EvaluationsError
from ..fields import listed
from ..fitting import Design, asked_of, checked, fit_design
from ..joined import with_table
from ..phases import phase_blocks
from ..predictor import Predictor
from ..surrogates.base import threads
from ..surrogates.fidelity import FidelitySurrogate
from . import fixed, words
from .beliefs import Arms, beliefs, cautious
from .candidates import Feasible, Region, among_rows, distinct, filled, given
from .costs import Cost, costs, known
from .gains import Gains, greedy
from .proposal import Proposal
from .questions import asked, check
from .requests import (
    check_effect,
    checked_how,
    checked_surrogate,
    start_for,
    starting_point,
    surrogate_for,
    whole,
)
from .runnable import Runnable
from .selecting import selection
from .situation import Situation, pool, proposal, short, with_pending

if TYPE_CHECKING:
    from ..formats.points import Points

Array = NDArray[np.float64]
HEDGED = ("auto", "stack", "kernel")
AHEAD = 200  # runs, about, up to which the batch is followed to compare it with rounds of leave-one-out


def propose(
    runs: Evaluations,
    question: str = "leave-one-out",
    batch: int = 8,
    *,
    rng: np.random.Generator,
    target: str | Sequence[str] | None = None,
    at: str | None = None,
    candidates: Any = None,
    groups: Points | Mapping[str, Sequence[str]] | None = None,
    surrogate: str = "auto",
    how: str = "auto",
    reference: ArrayLike | None = None,
    size: int | tuple[int, int] | None = None,
    require: str | Sequence[str] = (),
    forbid: str | Sequence[str] = (),
    feasible: Feasible | None = None,
    cost: Cost | None = None,
    repeats: bool = True,
    among: str | Sequence[str] | None = None,
    incumbent: ArrayLike | None = None,
    pending: Arms | None = None,
    budget: int | None = None,
) -> Proposal:
    """Propose the batch of runs that tells most of a question, given those that were done.

    Parameters
    ----------
    runs : Evaluations
        At least 5 with a value of the targets asked about, others count as not done; with none yet, start from
        `masks.design` or a `Campaign`.
    question : str
        Of masks 'leave-one-out', 'groups', 'pairs', 'shapley', 'banzhaf', 'swap' (runs of one size), 'selection' (the
        best subset); of mixtures 'mixture' (moves), 'groups', 'pairs', 'selection' (the best mixture).
    batch : int
        How many runs.
    rng : numpy.random.Generator
        Draws candidates.
    target : str or sequence of str, optional
        Targets that are asked about, names or globs; all if not given.
    at : str, optional
        Where runs hold several fidelities, the one that is asked about, see `fit`.
    candidates : array (n, K), Points, frame or file, optional
        The only masks or mixtures that may be run.
    groups : mapping of names to tasks, or Points
        For the question 'groups'.
    surrogate : str
        See `fit`; 'auto' is the stack for pairs. Beside 'auto' and the stack a cautious kernel has its say
        (`beliefs.cautious`), for selection many (`opinions`); a surrogate that is named is taken at its word, also on
        what is left to gain.
    how : str
        'auto' is 'variance', for selection 'knowledge-gradient'; 'thompson' for selection; 'factorial' for pairs (2 to
        5 tasks around an incumbent: 18 runs for five, whatever ``batch`` is); 'd-optimal' for mixtures; 'repeats' of
        runs under another seed, which tell how much reproduces.
    reference : array (K,), optional
        Mixture that moves start from; the mean of the runs if not given.
    size, require, forbid, feasible : optional
        Which masks may be run: number of tasks (or least and most), tasks that are always or never in, and a function
        of masks (n, K) that returns (n,) of bool.
    cost : callable or array (K,), optional
        Masks (n, K) -> costs (n,), or what each task adds, of the fidelity asked about; as the runs state it if not
        given. Gains are per cost; designs and repeats only state it, and 'thompson' has no part for it.
    repeats : bool
        Whether masks that were run may be run again.
    among : names, optional
        Tasks that a factorial switches; the five with the largest effects, of those neither required nor forbidden, if
        not given.
    incumbent : array (K,), optional
        Mask that a factorial stays around; all tasks, or the best run where those are far from all tasks.
    pending : Arms, optional
        Runs under way (`Campaign` keeps them): counted as done.
    budget : int, optional
        Runs that can be afforded in all from now on, for the comparison of rounds of plain leave-one-out with as many
        proposed runs; ``batch`` if not given.

    Returns
    -------
    Proposal

    Raises
    ------
    EvaluationsError
        For an unknown question or one that the runs' kind has no meaning for, fewer than 5 runs, unknown names, or
        where no run is left.
    ValueError
        For a batch below 1, a budget below 0, an unknown ``how``, or what has no effect with it.
    TypeError
        For runs that are no `Evaluations`, or what is no whole number.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> rng = np.random.default_rng(0)
    >>> X = ip.masks.bernoulli(6, 12, rng, p=0.8)
    >>> runs = ip.Evaluations.from_arrays(X, 2.0 - X @ [0.5, 0.3, 0.0, 0.0, -0.2, 0.1], targets=["loss"])
    >>> from interplay.active import propose
    >>> proposal = propose(runs, "leave-one-out", batch=4, rng=rng)
    >>> proposal.masks.shape, proposal.after < proposal.before
    ((4, 6), True)
    """
    rng = generator(rng)
    if not isinstance(runs, Evaluations):
        raise TypeError(f"runs is {runs!r:.60}; give Evaluations, such as Evaluations.read('runs.csv').")
    batch = whole(batch, "batch", 1)
    budget = batch if budget is None else max(whole(budget, "budget", 0), batch)
    question = check(question, runs.kind)
    how = checked_how(how, question, runs.kind)
    check_effect(how, question, among=among, incumbent=incumbent, reference=reference, cost=cost, repeats=repeats)
    checked_surrogate(surrogate, question)
    runs, n = asked_of(runs, target)
    measured = np.isfinite(runs.values[:, :n]).any(axis=1)
    if (m := int(measured.sum())) < MIN_RUNS:
        of = "" if measured.all() else f" with a value of {listed(runs.targets[:n], 4)}"
        raise EvaluationsError(
            f"runs hold {m} run{'s' * (m != 1)}{of}; {question} needs at least {MIN_RUNS} before the next are "
            f"proposed. Start with masks.design (interplay design --for {start_for(question)}), or with a Campaign."
        )
    runs = runs if measured.all() else runs.filter(measured)
    region = Region(runs.tasks, runs.kind, size, require, forbid, feasible)
    blocks = phase_blocks(runs.notes, runs.tasks)
    start = None if reference is None else starting_point(reference, runs.kind, runs.K)
    ask = asked(question, runs.kind, runs.masks, runs.tasks, rng, groups=groups, reference=start, blocks=blocks)
    own = None if candidates is None else distinct(given(candidates, runs.tasks, runs.kind))
    if own is not None:
        own = own[region.holds(own)]
    design = Design.of(checked(runs), at)
    predictor = fit_design(design, surrogate_for(surrogate, question, design))
    predictor = replace(predictor, beside=runs.T - n)
    if not predictor.asked.any():
        raise EvaluationsError(
            f"{listed(runs.targets[:n], 4)} never changes in the runs: there is nothing to ask next."
        )
    under = Arms(np.zeros((0, runs.K)), np.zeros(0, np.int64), np.zeros(0, str)) if pending is None else pending
    with threads(len(design.given)):
        believed = [] if how == "repeats" else beliefs(design, predictor, np.flatnonzero(predictor.asked).tolist())
        made = (runs, design, predictor, ask, region, believed, _fidelities(design, predictor), under)
        here = Situation(*made, cost, repeats, rng, hedged=surrogate in HEDGED)
        if how == "repeats":
            return fixed.again(here, own, batch)
        if how in ("factorial", "d-optimal"):
            X = fixed.around(here, own, among, incumbent) if how == "factorial" else fixed.start(here, own, batch)
            return fixed.by_design(here, X, how)
        if question == "selection":
            return selection(here, batch, how, own)
        return _by_variance(here, batch, own, budget)


def _by_variance(here: Situation, batch: int, own: Array | None, budget: int) -> Proposal:
    X, every = (pool(here), False) if own is None else (own, True)
    runnable = lambda X: Runnable.of(X, here.design.given, here.fidelities, here.repeats, here.pending)
    found = runnable(X)
    if short(found, batch) and not every:
        X, every = filled(X, here.asked.name, here.region)
        found = runnable(X)
    arms, open_, said = with_pending(here, found, batch, every)
    second = cautious(here.beliefs, words.noise_share(here.design, here.predictor)) if here.hedged else None
    gains = Gains(here.beliefs, here.asked.functional, arms, second)  # pyright: ignore[reportArgumentType]
    for j in range(len(found.arms), len(arms)):
        gains.take(j)
    unit, scale = words.unit(here.predictor)
    n = here.moving
    before = float(gains.variance.mean())
    price = costs(arms, here.design.given, here.cost, here.design.at)
    unasked, most = _unasked(here, arms, batch)
    unasked &= open_
    picks, falls = greedy(gains, min(most, int(unasked.sum())), price, unasked, False)
    if not found.again:
        open_[picks] = False
    more = greedy(gains, batch - len(picks), price, open_, found.again)
    picks, falls = picks + more[0], falls + more[1]
    after = max(before - sum(falls), 0.0)
    ends = scale * np.sqrt(np.array([before, after]) / n)
    rounds = _rounds(here, own, budget)
    more = max(rounds * (here.runs.K + 1) - len(picks), 0)
    if more and not found.again:
        open_[picks] = False
    ahead = [*falls, *greedy(gains, more, price, open_, found.again)[1]][: rounds * (here.runs.K + 1)]
    known_ = (before / n, after / n, rounds, max(before - sum(ahead), 0.0) / n)
    judged = words.Judged.of(here.design, here.predictor, here.asked, *known_)
    share = np.array(falls) / before if before > 0 else np.zeros(len(falls))
    out = proposal(here, arms[np.array(picks, np.int64)], share, ends, unit, "variance", said)
    told = [*judged.sentences(out, here.asked), *out.sentences]
    return replace(out, worth_it=judged.worth_it, leave_one_out=judged.better, sentences=tuple(told))


def _rounds(here: Situation, own: Array | None, budget: int) -> int:
    """Rounds of plain leave-one-out that a budget has and that the batch is compared with; 0 where it is none."""
    K = here.runs.K
    if here.asked.name != "leave-one-out" or budget <= K:
        return 0
    X = np.vstack([np.ones((1, K)), 1.0 - np.eye(K)])
    ok = here.region.holds(X) & (True if own is None else among_rows(X, own))
    return min(budget // (K + 1), max(AHEAD // (K + 1), 1)) if ok.all() else 0


def _unasked(here: Situation, arms: Arms, batch: int) -> tuple[NDArray[np.bool_], int]:
    """Arms (A,) that nothing that the posterior weighs asks for, and how many of a batch are such.

    Half of it without a task that so far switches with the file that runs come from alone: of differences between files
    the posterior knows nothing. For Shapley values single tasks, and all but one, until half of all runs are such, as
    in `masks.design`: they weigh most and differ most from set to set, and its kernels take all sets to be alike.
    """
    columns = [here.runs.tasks.index(name) for name in with_table(here.runs)]
    apart, most = (arms.weights[:, columns] == 0).any(axis=1), -(-batch // 2)
    if here.asked.name != "shapley":
        return apart, most
    done = distinct(np.vstack([here.design.given.masks, here.pending.weights]))
    size = arms.weights.sum(axis=1)
    ends = ((size == 1) | (size == here.runs.K - 1)) & ~among_rows(arms.weights, done)
    owed = -(-(len(done) + batch) // 2) - int(np.isin(done.sum(axis=1), (1, here.runs.K - 1)).sum())
    return apart | ends, int(np.clip(owed, most if len(columns) else 0, batch))


def _fidelities(design: Design, predictor: Predictor) -> tuple[str, ...]:
    """Fidelities that runs may be of, the one asked about first: all where they are fitted together and costs known."""
    if design.at is None:
        return (str(design.given.fidelity[0]),)
    names = [design.at, *(w for w in dict.fromkeys(map(str, design.given.fidelity)) if w != design.at)]
    joint = all(isinstance(choice.surrogate, FidelitySurrogate) for _, choice in predictor.choices)
    return tuple(names) if joint and known(design.given.cost) else (design.at,)
