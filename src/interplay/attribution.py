"""From evaluated runs to an attribution: surrogate, effects, pairs, trust, and the truth beside them.

benefit of k = sign x reading of g, sign = +1 where higher is better and -1 where lower is   (design: section 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .amounts import Amounts, amounts
from .blocks import read_discoveries, read_effects, read_fidelities, read_orders
from .coverage import Coverage
from .evaluations import Evaluations
from .fidelities import Fidelities
from .fitting import Design, checked, fit_design, without_truth
from .held_out import HeldOut
from .named import Named, read_contrasts, read_groups
from .phases import phase_blocks
from .predictor import Predictions, Predictor, Z
from .provenance import provenance
from .readings import question
from .readings.discoveries import Discoveries
from .reference import starting_point
from .surrogates import Choice
from .trust import CERTAIN, Trust, gather, judge, of_pairs
from .truth import Comparison
from .truth import compare as compare_with_truth

if TYPE_CHECKING:
    import pandas as pd
    from shapiq import InteractionValues

    from .formats.points import Contrasts, Points
    from .tokens import Tokens
    from .trust.curve import LearningCurve

Array = NDArray[np.float64]
NOWHERE = np.full((3, 0), np.nan)


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """What K tasks do to T targets. Frozen; its ``repr`` is the table a person wants.

    Attributes
    ----------
    tasks : tuple of str (P,)
        Tasks as the runs can tell them apart; tasks that always switch together are one row.
    targets : tuple of str (T,)
    unit : tuple of str (T,)
        'own' (the target's own unit); or, under a log link that cannot be brought back to it, 'per cent' (of the
        target) or 'per cent of the gap to the floor c' (or ceiling): 100 times a difference of logarithms.
    higher_is_better : tuple of bool (T,)
    reading, words, why : str
        Which question was answered, in words, and why this one.
    effects, deviation : array (P, T)
        Benefits (positive helps the target) and posterior standard deviations.
    pairs : array (n, 2) of int
        Tasks of each pair.
    interactions, interaction_deviation : array (n, T)
        Benefit of both beyond the sum; deviation is NaN where intervals would take too much memory.
    rows : tuple of int (T,)
        Runs that each target was fitted on.
    surrogate : str
        What was fitted, and why.
    skill : dict of str to tuple of float (T,)
        Held-out R^2 of every surrogate that was compared: 'ridge', 'rbf', 'ard' (masks), 'stack'.
    trust : Trust
    truth : Comparison or None
    unidentified : tuple of str
        Tasks always on or always off: they have no effect here, not an effect of 0.
    notes : dict
        Facts that travel with the runs.
    warnings : tuple of str
    size : int
        Number of tasks in the sets of a swap effect.
    reference : array (P,) or None
        Mixture or weights that the effects start from.
    groups, contrasts : Named or None
        Benefits of leaving named groups out, and of one mask or mixture in place of another.
    links : tuple of str (T,)
        What was fitted of each target y: 'y', 'log y', 'log(y - c)', 'log(c - y)'.
    orders, orders_deviation : array (3, T)
        Shares of single tasks, pairs and more in the variance of that over masks that hold each task with probability
        1/2; NaN where the runs do not answer this.
    amounts : Amounts or None
        Tokens behind the effects.
    discoveries : Discoveries or None
        Which pairs interact, at a stated rate of false names; None for mixtures, and where the runs cannot tell.
    untested : str
        Why they cannot.
    predictor : Predictor or None
        What was fitted; not saved with the answer (`Predictor.save`).
    fidelities : Fidelities or None
        Where the runs hold several, what they say together.
    pairs_trust : tuple of (str, str) (T,)
        Verdict on the interactions of each target, and why; empty where pairs have no intervals.
    coverage : Coverage or None
        Runs with and without each task, and how far they narrowed each effect.
    held_out : HeldOut or None
        The fitted runs beside what the others predict of them.
    curve : LearningCurve or None
        Skill against the number of runs; None where there are too few to tell.
    made : dict
        Version, options and fingerprints of the runs, see `provenance`.
    """

    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    unit: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    reading: str
    words: str
    why: str
    effects: Array
    deviation: Array
    pairs: NDArray[np.int64]
    interactions: Array
    interaction_deviation: Array
    rows: tuple[int, ...]
    surrogate: str
    skill: dict[str, tuple[float, ...]]
    trust: Trust
    truth: Comparison | None = None
    unidentified: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    size: int = 0
    reference: Array | None = None
    groups: Named | None = None
    contrasts: Named | None = None
    links: tuple[str, ...] = ()
    orders: Array = field(default_factory=lambda: NOWHERE)
    orders_deviation: Array = field(default_factory=lambda: NOWHERE)
    amounts: Amounts | None = None
    discoveries: Discoveries | None = None
    untested: str = ""
    predictor: Predictor | None = None
    fidelities: Fidelities | None = None
    pairs_trust: tuple[tuple[str, str], ...] = ()
    coverage: Coverage | None = None
    held_out: HeldOut | None = None
    curve: LearningCurve | None = None
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def choices(self) -> tuple[tuple[NDArray[np.int64], Choice], ...]:
        """Fitted surrogates with the targets that they serve; none after loading."""
        return () if self.predictor is None else self.predictor.choices

    @property
    def lower(self) -> Array:
        """Lower ends of the 95 % intervals, array (P, T)."""
        return self.effects - Z * self.deviation

    @property
    def upper(self) -> Array:
        """Upper ends of the 95 % intervals, array (P, T)."""
        return self.effects + Z * self.deviation

    def to_frame(self) -> pd.DataFrame:
        """Tidy table: one row per task and target."""
        from .report import frames

        return frames.effects(self)

    def pairs_frame(self) -> pd.DataFrame:
        """Tidy table of interactions: one row per pair and target."""
        from .report import frames

        return frames.pairs(self)

    def groups_frame(self) -> pd.DataFrame:
        """Tidy table of groups: one row per group and target."""
        from .report import frames

        return frames.named(self, self.groups, "group")

    def contrasts_frame(self) -> pd.DataFrame:
        """Tidy table of contrasts: one row per contrast and target."""
        from .report import frames

        return frames.named(self, self.contrasts, "contrast")

    def orders_frame(self) -> pd.DataFrame:
        """Tidy table of shares of the variance: one row per order of interaction and target."""
        from .report import frames

        return frames.orders(self)

    def held_out_frame(self) -> pd.DataFrame:
        """Tidy table of the fitted runs beside their held-out predictions: one row per run and target."""
        from .report import frames

        return frames.held_out(self)

    def predict(self, candidates: Points | pd.DataFrame | ArrayLike | str | Path) -> Predictions:
        """Predict masks or mixtures that were not run, see `Predictor.predict`."""
        if self.predictor is None:
            raise ValueError(
                "this answer was loaded and holds no surrogates; save them with answer.predictor.save(path) "
                "(interplay attribute --save) and load them with Predictor.load(path)."
            )
        return self.predictor.predict(candidates)

    def top(self, n: int = 5, target: str | None = None) -> pd.DataFrame:
        """Return the ``n`` most helpful and ``n`` most harmful tasks for one target (the first if not given)."""
        name = self.targets[0] if target is None else target
        if name not in self.targets:
            raise KeyError(f"no target {name!r}; there are {', '.join(self.targets[:8])}.")
        frame = self.to_frame()
        frame = frame.loc[(frame["target"] == name) & frame["benefit"].notna()]
        frame = frame.sort_values(by="benefit", ascending=False)
        return frame if len(frame) <= 2 * n else frame.iloc[[*range(n), *range(len(frame) - n, len(frame))]]

    def to_shapiq(self, target: str | None = None) -> InteractionValues:
        """Effects and interactions on one target (the first if not given) as shapiq's, see `formats.shapiq`.

        Effects that are not known are left out. ``shapiq.network_plot(values, feature_names=list(answer.tasks))``.
        """
        from .formats.shapiq import interaction_values

        return interaction_values(self, target)

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (JSON) and the arrays beside it (the same name with .npz); returns the path."""
        from .formats.attribution import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Attribution:
        """Read what `save` wrote; the fitted surrogates are not part of it."""
        from .formats.attribution import load

        return load(Path(path))

    def __repr__(self) -> str:
        from .report.table import text

        return text(self)

    def _repr_html_(self) -> str:
        from .report.notebook import html

        return html(self)


def attribute(
    runs: Evaluations,
    truth: Evaluations | None = None,
    reading: str = "auto",
    *,
    surrogate: str = "auto",
    reference: str | ArrayLike | None = None,
    pairs: bool = True,
    at: str | None = None,
    truth_masks: str = "exclude",
    groups: Points | Mapping[str, Sequence[str]] | None = None,
    contrasts: Contrasts | Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    tokens: Tokens | None = None,
    budget: float | None = None,
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
    options |= {} if truth is None else {"truth_masks": truth_masks}
    made = provenance(runs, truth, options)
    runs, warnings = checked(runs), []
    if truth is not None:
        runs, warnings = without_truth(runs, truth, truth_masks)
    design = Design.of(runs, at)
    runs, players, X = design.runs, design.players, design.X
    beside = reading == "auto" and truth is not None
    phases = phase_blocks(runs.notes, players.names)
    ask = lambda given, where: question(X, runs.kind, "leave-one-out" if beside else reading, given, where, phases)
    asked = ask(*starting_point(design, reference, tokens))
    if beside:
        asked = replace(asked, why="that is what the truth measures")
    predictor = fit_design(design, surrogate)
    if isinstance(reference, str) and reference == "best":
        asked = ask(X[predictor.best(X)], "the run that is predicted to be best")
    answer = read_effects(predictor, asked, pairs)
    warnings += predictor.warnings
    present = runs.masks.sum(axis=1)
    if runs.kind == "mask" and runs.K > 1 and present.max() == runs.K and present.min() >= runs.K - 1:
        warnings.append(
            "these runs are leave-one-out retraining itself: their differences are the effects "
            "(metrics.leave_one_out_effects), and no surrogate can add to them; pass them as the truth of other runs."
        )
    evidence = gather(design, predictor, asked, answer)
    verdict = judge(design, predictor, asked, evidence, answer)
    coverage, answer = Coverage.of(design, answer), answer.widened(evidence.extra)
    comparison = None
    if truth is not None:
        if asked.name == "leave-one-out":
            comparison = compare_with_truth(answer.effects, players, runs, truth)
        else:
            warnings.append(
                f"the truth is leave-one-out and the reading {asked.name}: they are not compared. "
                "Ask for leave-one-out with reading='leave-one-out' (--reading leave-one-out)."
            )
    named, said = (None, ()) if groups is None else read_groups(predictor, asked, groups)
    contrasted, more = (None, ()) if contrasts is None else read_contrasts(predictor, asked, contrasts)
    counted, uncounted = (None, ()) if tokens is None else amounts(tokens, players, asked, budget)
    discovered, untested = read_discoveries(design, predictor) if pairs else (None, "")
    warnings += [*said, *more, *uncounted]
    orders = np.full((2, 3, runs.T), np.nan)
    supported = (np.array(verdict.p) <= CERTAIN) & (np.array(verdict.skill) > 0)
    if asked.random_masks and supported.any():
        orders = np.where(supported, read_orders(predictor), np.nan)
    return Attribution(
        tasks=players.names,
        targets=runs.targets,
        unit=answer.unit,
        higher_is_better=runs.higher_is_better,
        reading=asked.name,
        words=asked.words,
        why=asked.why,
        effects=answer.effects,
        deviation=answer.deviation,
        pairs=np.stack(np.triu_indices(len(players.names), 1), axis=1),
        interactions=answer.interactions,
        interaction_deviation=answer.interaction_deviation,
        rows=predictor.rows,
        surrogate=predictor.sentence,
        skill=predictor.skill,
        trust=verdict,
        truth=comparison,
        unidentified=players.unidentified,
        notes=dict(runs.notes),
        warnings=tuple(dict.fromkeys(warnings)),
        size=asked.size,
        reference=None if runs.kind == "mask" else asked.reference,
        groups=named,
        contrasts=contrasted,
        links=predictor.links,
        orders=orders[0],
        orders_deviation=orders[1],
        amounts=counted,
        discoveries=discovered,
        untested=untested,
        predictor=predictor,
        fidelities=None if design.at is None else read_fidelities(design, predictor, asked),
        pairs_trust=of_pairs(answer.interactions, answer.interaction_deviation, verdict),
        coverage=coverage,
        held_out=HeldOut.of(design, predictor),
        curve=evidence.curve,
        made=made,
    )
