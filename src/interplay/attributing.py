"""From evaluated runs to an attribution: surrogate, effects, pairs, trust, and the truth beside them.

benefit of k = sign x reading of g, sign = +1 where higher is better and -1 where lower is   (design: section 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .amounts import amounts
from .attribution import Attribution
from .blocks import over_links, read_discoveries, read_effects, read_fidelities, read_orders, student
from .coverage import Coverage
from .evaluations import Evaluations
from .fitting import Design, asked_of, checked, fit_design, without_truth
from .held_out import HeldOut
from .lasting import completed, left_out, value_of_none, without_none
from .named import read_contrasts, read_groups
from .phases import phase_blocks
from .provenance import provenance
from .readings import question
from .readings.questions import supported
from .reference import starting_point
from .trust import CERTAIN, VERDICTS, gather, judge, of_pairs, outlying
from .truth import compare as compare_with_truth

if TYPE_CHECKING:
    from .formats.points import Contrasts, Points
    from .tokens import Tokens

Array = NDArray[np.float64]


def attribute(
    runs: Evaluations,
    truth: Evaluations | None = None,
    reading: str = "auto",
    *,
    target: str | Sequence[str] | None = None,
    surrogate: str = "auto",
    reference: str | ArrayLike | None = None,
    pairs: bool = True,
    at: str | None = None,
    truth_masks: str = "exclude",
    groups: Points | Mapping[str, Sequence[str]] | None = None,
    contrasts: Contrasts | Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    tokens: Tokens | None = None,
    budget: float | None = None,
    empty: float | Mapping[str, float] | None = None,
) -> Attribution:
    """Attribute the targets of evaluated runs to their tasks.

    Parameters
    ----------
    runs : Evaluations
        At least 5 runs.
    truth : Evaluations, optional
        Leave-one-out evaluations that judge the answer; rows of the runs that they share are taken out of the fit.
    reading : str
        'auto' takes leave-one-out beside a truth, else the reading that the design supports. By name: 'leave-one-out',
        'shapley', 'banzhaf', 'swap', 'gradient' for masks and weights, 'move', 'removal' for mixtures.
    target : str or sequence of str, optional
        Targets to attribute (names or globs), all of them if not given. Others that some of these are the weighted sums
        of help to predict them (`surrogates.sums`): runs that were selected beforehand do not have these.
    surrogate : {'auto', 'ridge', 'rbf', 'ard', 'stack', 'kernel'}
        'auto' takes the stack of kernels where it predicts held-out rows better than tuned ridge by more than a
        standard error, see `surrogates.compare`; 'kernel' is the stack.
    reference : 'mean', 'uniform', 'tokens', 'best' or array (K,), optional
        Mixture that moves start from: the mean of the runs if not given; 'tokens' is the one in which every task is
        read equally often, 'best' the run that is predicted to be best (by its target, or by the mean over several
        targets of benefits in standard deviations).
    pairs : bool
        Whether to read interactions.
    at : str, optional
        Where runs hold several fidelities, the one to answer for, see `fit`.
    truth_masks : {'exclude', 'other-seeds'}
        Which rows of the runs the truth takes out: all that share a mask with it, or only those of its own seeds.
    groups : mapping of names to tasks, or Points, optional
        What leaving each of these groups out does.
    contrasts : mapping of names to two arrays (K,), or Contrasts, optional
        What each first mask or mixture does in place of the second.
    tokens : Tokens, optional
        Of the tasks of the runs.
    budget : float, optional
        Tokens that one training reads.
    empty : float or mapping of targets to floats, optional
        What the targets are without any task, for Shapley values: stated and not fitted, see `lasting`. If it is not
        given, runs without any task say it.

    Returns
    -------
    Attribution

    Raises
    ------
    EvaluationsError
        For fewer than 5 runs, fidelities of which none is the dear one, or a truth with other tasks or targets.
    ValueError
        For a reading that the kind of design has no meaning for.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> masks = ip.masks.bernoulli(6, 40, p=0.8, rng=np.random.default_rng(0))
    >>> loss = 2.0 - masks @ [0.5, 0.3, 0.0, 0.0, -0.2, 0.1]
    >>> answer = ip.attribute(ip.Evaluations.from_arrays(masks, loss, targets=["loss"]))
    >>> answer.top(1).task.tolist()
    ['task_0', 'task_4']
    """
    options = {"reading": reading, "surrogate": surrogate, "reference": reference, "pairs": pairs, "at": at}
    options |= {"groups": groups, "contrasts": contrasts, "tokens": tokens, "budget": budget}
    options |= {} if empty is None else {"empty": empty}
    options |= {} if target is None else {"target": target}
    options |= {} if truth is None else {"truth_masks": truth_masks}
    made = provenance(runs, truth, options)
    runs, n = asked_of(runs, target)
    tokens = None if tokens is None else tokens.over(runs.tasks)
    runs, warnings = checked(runs), []
    if truth is not None:
        runs, warnings = without_truth(runs, truth, truth_masks)
    runs, none, said = _without_empty(runs, empty, reading, truth)
    warnings += said
    design = Design.of(runs, at)
    runs, players, X = design.runs, design.players, design.X
    beside = reading == "auto" and truth is not None
    phases = phase_blocks(runs.notes, players.names)
    ask = lambda given, where: question(X, runs.kind, "leave-one-out" if beside else reading, given, where, phases)
    asked = ask(*starting_point(design, reference, tokens))
    if beside:
        asked = replace(asked, why="that is what the truth measures")
    predictor = replace(fit_design(design, surrogate), beside=runs.T - n)
    if isinstance(reference, str) and reference == "best":
        asked = ask(X[predictor.best(X)], "the run that is predicted to be best")
    answer = over_links(read_effects(predictor, asked, pairs), design, predictor, asked)
    if asked.name == "shapley":
        answer = completed(answer, design, predictor, none)
        warnings += without_none(predictor, none)
    rows = np.isfinite(runs.values).sum(axis=0)
    if asked.name == "leave-one-out" and (itself := left_out(answer, design, predictor)) is not answer:
        answer, rows = itself, np.full(runs.T, np.inf)
    warnings += predictor.warnings
    present = runs.masks.sum(axis=1)
    if runs.kind == "mask" and runs.K > 1 and present.max() == runs.K and present.min() >= runs.K - 1:
        warnings.append(
            "these runs are leave-one-out retraining itself: the effects are their differences, and no surrogate can "
            "add to them; pass them as the truth of other runs."
        )
    evidence, answer = gather(design, predictor, asked, answer).first(n), answer.first(n)
    far = outlying(design, predictor)
    verdict = judge(design, predictor, asked, evidence, answer, far)
    coverage, wider = Coverage.of(design, answer), student(rows[:n] - 1.0 - answer.told)
    answer = answer.widened(evidence.extra, wider)
    comparison = None
    if truth is not None:
        if asked.name == "leave-one-out":
            comparison = compare_with_truth(answer.effects, players, runs.select(list(runs.targets[:n])), truth)
        else:
            warnings.append(
                f"the truth is leave-one-out and the reading {asked.name}: they are not compared. "
                "Ask for leave-one-out with reading='leave-one-out' (--reading leave-one-out)."
            )
    if evidence.table and (groups is not None or contrasts is not None):
        groups = contrasts = None
        warnings.append(
            "groups and contrasts are left out: no run lacks two tasks, so nothing is known of several. Run masks that "
            "do (masks.design, interplay design)."
        )
    named, said = (None, ()) if groups is None else read_groups(predictor, asked, groups)
    contrasted, more = (None, ()) if contrasts is None else read_contrasts(predictor, asked, contrasts)
    counted, uncounted = (None, ()) if tokens is None else amounts(tokens, players, asked, budget)
    discovered, untested = read_discoveries(design, predictor) if pairs else (None, "")
    warnings += [*said, *more, *uncounted]
    orders = np.full((2, 3, n), np.nan)
    supported = (np.array(verdict.p) <= CERTAIN) & (np.array(verdict.skill) > 0)
    if discovered is not None:
        unknown = ~supported & (np.array(verdict.targets) == VERDICTS[0])
        discovered = discovered.silent(unknown | np.isin(np.arange(n), [one.target for one in far]))
    if asked.random_masks and supported.any():
        orders = np.where(supported, np.array(read_orders(predictor))[..., :n], np.nan)
    return Attribution(
        tasks=players.names,
        targets=runs.targets[:n],
        unit=answer.unit,
        higher_is_better=runs.higher_is_better[:n],
        reading=asked.name,
        words=asked.words,
        why=asked.why,
        effects=answer.effects,
        deviation=answer.deviation,
        pairs=np.stack(np.triu_indices(len(players.names), 1), axis=1),
        interactions=answer.interactions,
        interaction_deviation=answer.interaction_deviation,
        rows=predictor.rows[:n],
        surrogate=predictor.sentence,
        skill={name: values[:n] for name, values in predictor.skill.items()},
        trust=verdict,
        truth=comparison,
        unidentified=players.unidentified,
        notes=dict(runs.notes),
        warnings=tuple(dict.fromkeys(warnings)),
        size=asked.size,
        reference=None if runs.kind == "mask" else asked.reference,
        groups=None if named is None else named.first(n).widened(wider),
        contrasts=None if contrasted is None else contrasted.first(n).widened(wider),
        links=predictor.links[:n],
        orders=orders[0],
        orders_deviation=orders[1],
        amounts=counted,
        discoveries=discovered,
        untested=untested,
        predictor=predictor,
        fidelities=None if design.at is None else read_fidelities(design, predictor, asked),
        pairs_trust=of_pairs(answer.interactions, answer.interaction_deviation, verdict),
        coverage=coverage,
        held_out=HeldOut.of(design, predictor).first(n),
        curve=evidence.curve,
        made=made,
    )


def _without_empty(
    runs: Evaluations, empty: float | Mapping[str, float] | None, reading: str, truth: Evaluations | None
) -> tuple[Evaluations, Array, list[str]]:
    """Runs to fit and what the targets are without any task, where Shapley values are read; NaN elsewhere."""
    chosen = supported(runs.masks, runs.kind)[0] if reading == "auto" and runs.kind == "mask" else reading
    if runs.kind == "mask" and chosen == "shapley" and (reading != "auto" or truth is None):
        return value_of_none(runs, empty)
    if empty is not None:
        raise ValueError(
            f"empty={empty!r} belongs to Shapley values, and the reading is {chosen!r}: say reading='shapley' "
            "(--reading shapley), or leave it out."
        )
    return runs, np.full(runs.T, np.nan), []
