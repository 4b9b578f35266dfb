"""From evaluated runs to an attribution: surrogate, effects, pairs, trust, and the truth beside them.

benefit of k = sign x reading of g, sign = +1 where higher is better and -1 where lower is   (design: section 1)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .blocks import Effects, read_blocks
from .evaluations import MIN_RUNS, Evaluations, EvaluationsError
from .identifiability import identifiability, identifiability_by_target
from .players import Players
from .readings import Question, question
from .surrogates import Choice
from .trust import Trust, at_most, limited, trust
from .truth import Comparison, separate
from .truth import compare as compare_with_truth

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
LARGEST = 1e100
Z = 1.959963984540054  # 95 %


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """What K tasks do to T targets. Frozen; its ``repr`` is the table a person wants.

    Attributes
    ----------
    tasks : tuple of str (P,)
        Tasks as the runs can tell them apart; tasks that always switch together are one row.
    targets : tuple of str (T,)
    unit : tuple of str (T,)
        'own' (the target's own unit) or 'per cent' (of the target, under a log link).
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
        Held-out R^2 of 'ridge' and 'kernel'.
    trust : Trust
    truth : Comparison or None
    unidentified : tuple of str
        Tasks always on or always off: they have no effect here, not an effect of 0.
    notes : dict
        Facts that travel with the runs.
    warnings : tuple of str
    size : int
        Number of tasks in the sets of a swap effect.
    choices : tuple of (targets, Choice)
        Fitted surrogates with the targets they serve; not saved.
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
    choices: tuple[tuple[NDArray[np.int64], Choice], ...] = field(default=(), repr=False)

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
        import pandas as pd

        P, T = self.effects.shape
        frame = pd.DataFrame(
            {
                "task": np.repeat(self.tasks, T),
                "target": np.tile(self.targets, P),
                "benefit": self.effects.ravel(),
                "deviation": self.deviation.ravel(),
                "lower": self.lower.ravel(),
                "upper": self.upper.ravel(),
                "unit": np.tile(self.unit, P),
                "reading": self.reading,
                "runs": np.tile(self.rows, P),
                "verdict": np.tile(self.trust.targets, P),
            }
        )
        if self.truth is not None:
            frame["truth"] = self.truth.effects.ravel()
        if self.unidentified:
            missing = pd.DataFrame(
                {
                    "task": np.repeat(self.unidentified, T),
                    "target": np.tile(self.targets, len(self.unidentified)),
                    "unit": np.tile(self.unit, len(self.unidentified)),
                    "reading": self.reading,
                    "runs": np.tile(self.rows, len(self.unidentified)),
                    "verdict": "not identifiable",
                }
            )
            frame = pd.concat([frame, missing], ignore_index=True)
        return frame

    def pairs_frame(self) -> pd.DataFrame:
        """Tidy table of interactions: one row per pair and target."""
        import pandas as pd

        n, T = self.interactions.shape
        names = np.array(self.tasks, dtype=object)
        return pd.DataFrame(
            {
                "first": np.repeat(names[self.pairs[:, 0]], T),
                "second": np.repeat(names[self.pairs[:, 1]], T),
                "target": np.tile(self.targets, n),
                "interaction": self.interactions.ravel(),
                "deviation": self.interaction_deviation.ravel(),
                "unit": np.tile(self.unit, n),
                "reading": self.reading,
            }
        )

    def top(self, n: int = 5, target: str | None = None) -> pd.DataFrame:
        """Return the ``n`` most helpful and ``n`` most harmful tasks for one target (the first if not given)."""
        name = self.targets[0] if target is None else target
        if name not in self.targets:
            raise KeyError(f"no target {name!r}; there are {', '.join(self.targets[:8])}.")
        frame = self.to_frame()
        frame = frame.loc[(frame["target"] == name) & frame["benefit"].notna()]
        frame = frame.sort_values(by="benefit", ascending=False)
        return frame if len(frame) <= 2 * n else frame.iloc[[*range(n), *range(len(frame) - n, len(frame))]]

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


def attribute(
    runs: Evaluations,
    truth: Evaluations | None = None,
    reading: str = "auto",
    *,
    surrogate: str = "auto",
    reference: Any = None,
    pairs: bool = True,
    truth_masks: str = "exclude",
) -> Attribution:
    """Attribute the targets of evaluated runs to their tasks.

    Parameters
    ----------
    runs : Evaluations
        At least 5 runs of one fidelity.
    truth : Evaluations, optional
        Leave-one-out evaluations that judge the answer; rows of the runs that they share are taken out of the fit.
    reading : str
        'auto' takes leave-one-out beside a truth, else the reading that the design supports. By name: 'leave-one-out',
        'shapley', 'banzhaf', 'swap', 'gradient' for masks and weights, 'move', 'removal' for mixtures.
    surrogate : {'auto', 'ridge', 'kernel'}
        'auto' takes the kernel where it predicts held-out rows better than tuned ridge by more than a standard error.
    reference : 'mean', 'uniform' or array (K,), optional
        Mixture that moves start from.
    pairs : bool
        Whether to read interactions.
    truth_masks : {'exclude', 'other-seeds'}
        Which rows of the runs the truth takes out: all that share a mask with it, or only those of its own seeds.

    Returns
    -------
    Attribution

    Raises
    ------
    EvaluationsError
        For fewer than 5 runs, several fidelities, or a truth with other tasks or targets.
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
    runs = runs.require(name="runs")
    if (large := np.flatnonzero((np.abs(np.nan_to_num(runs.values)) > LARGEST).any(axis=0))).size:
        raise EvaluationsError(
            f"target {runs.targets[large[0]]!r} holds values beyond {LARGEST:g}, whose squares overflow. Rescale it, "
            "or leave out the runs that diverged."
        )
    fidelities = sorted(set(map(str, runs.fidelity)))
    if len(fidelities) > 1:
        raise EvaluationsError(
            f"runs hold several fidelities ({', '.join(fidelities)}); they are not pooled. "
            "Choose one with runs.where(fidelity=...), on the command line --fidelity."
        )
    warnings, dropped = list(runs.warnings), 0
    if truth is not None:
        if runs.kind != "mask":
            raise EvaluationsError(f"truth is leave-one-out retraining; it judges masks, and the runs are {runs.kind}.")
        runs, dropped = separate(runs, truth, truth_masks)
        if dropped and len(runs) < MIN_RUNS:
            raise EvaluationsError(
                f"{dropped} runs share their mask with the truth and are taken out of the fit: {len(runs)} are left, "
                f"at least {MIN_RUNS} are needed. Add runs of other masks, or take out only the seeds of the "
                "truth with truth_masks='other-seeds' (--truth-masks other-seeds)."
            )
        runs.require(name="runs without those of the truth")
        if dropped:
            warnings.append(f"{dropped} runs share their mask with the truth and were taken out of the fit.")
    runs, averaged = _average_crossed(runs)
    if averaged:
        warnings.append(f"every mask was run under the same {averaged} seeds: each mask's mean over them is fitted.")
    players = Players.of(runs.masks, runs.tasks, runs.kind)
    warnings += players.warnings
    if np.isnan(runs.values).any():
        warnings += _unidentified_where_measured(runs)
    if not players.names:
        raise EvaluationsError("no task is switched in the runs; add runs whose masks differ.")
    X = players.columns(runs.masks)
    given = reference if reference is None or isinstance(reference, str) else np.asarray(reference, float)
    if isinstance(given, np.ndarray) and given.shape == (runs.K,):
        given = given[players.first]
    beside = reading == "auto" and truth is not None and runs.kind == "mask"
    asked = question(X, runs.kind, "leave-one-out" if beside else reading, given)
    if beside:
        asked = replace(asked, why="that is what the truth measures")
    present = runs.masks.sum(axis=1)
    if runs.kind == "mask" and runs.K > 1 and present.max() == runs.K and present.min() >= runs.K - 1:
        warnings.append(
            "these runs are leave-one-out retraining itself: their differences are the effects "
            "(metrics.leave_one_out_effects), and no surrogate can add to them; pass them as the truth of other runs."
        )
    answer = read_blocks(runs, X, asked, surrogate, pairs)
    if constant := [name for name, still in zip(runs.targets, answer.constant, strict=True) if still]:
        warnings.append(f"{', '.join(constant[:5])} never changes: there is nothing to attribute.")
    verdict = _judge(runs, X, asked, answer, players)
    if "estimated" in fidelities:
        warnings.append("intervals are those of the surrogate; the estimator's own error is not in them.")
    comparison = None
    if truth is not None:
        if asked.name == "leave-one-out":
            comparison = compare_with_truth(answer.effects, players, runs, truth)
        else:
            warnings.append(
                f"the truth is leave-one-out and the reading {asked.name}: they are not compared. "
                "Ask for leave-one-out with reading='leave-one-out' (--reading leave-one-out)."
            )
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
        rows=answer.rows,
        surrogate=" ".join(dict.fromkeys(choice.sentence for _, choice in answer.choices)),
        skill={"ridge": tuple(answer.skill[1]), "kernel": tuple(answer.skill[2])},
        trust=verdict,
        truth=comparison,
        unidentified=players.unidentified,
        notes=dict(runs.notes),
        warnings=tuple(dict.fromkeys(warnings)),
        size=asked.size,
        choices=answer.choices,
    )


def _judge(runs: Evaluations, X: Array, asked: Question, answer: Effects, players: Players) -> Trust:
    """Judge the reading by its numbers, then by what the design and the estimator cannot support."""
    verdict = trust(
        answer.effects,
        answer.deviation,
        answer.prior,
        answer.skill[0],
        answer.over[0],
        answer.over[1],
        runs=min(answer.rows),
        reading=asked.name,
        unidentified=players.unidentified,
    )
    if all(answer.constant):
        verdict = replace(
            verdict,
            reason=f"{'The target never changes' if runs.T == 1 else 'No target changes'}: nothing can be attributed.",
            advice="Attribute a target that differs between runs.",
        )
    if runs.kind == "mask" and asked.name != "swap" and np.ptp(X.sum(axis=1)) == 0:
        verdict = at_most(
            verdict,
            0,
            f"Every run holds {X[0].sum():g} of {X.shape[1]} tasks: only differences between tasks are known, "
            f"never the level of {asked.name} effects.",
            "Read swap effects, or add runs of other sizes (interplay design --for ...).",
        )
    return limited(verdict, runs.notes.get("estimator", {})) if "estimated" in runs.fidelity else verdict


def _unidentified_where_measured(runs: Evaluations, most: int = 5) -> list[str]:
    """Say what the runs of single targets do not tell apart, beyond what no run does."""
    overall = identifiability(runs.masks)
    said = []
    for target, one in zip(runs.targets, identifiability_by_target(runs), strict=True):
        said += one.messages(runs.tasks, where=f"where {target} was measured", others=overall)
    return said if len(said) <= most else [*said[:most], f"{len(said) - most} more of this kind, in other targets"]


def _average_crossed(runs: Evaluations) -> tuple[Evaluations, int]:
    """Average each mask over its seeds where it was run as often under each, so that no seed's level is noise."""
    seeds = sorted(set(runs.seed.tolist()))
    index, first = runs.groups()
    if len(seeds) < 2 or -1 in seeds or len(first) < MIN_RUNS or np.isnan(runs.values).any():
        return runs, 0
    counts = np.zeros((len(first), len(seeds)))
    np.add.at(counts, (index, np.searchsorted(seeds, runs.seed)), 1)
    if (counts != counts[:, :1]).any():
        return runs, 0
    return runs.mean_by_mask(), len(seeds)
