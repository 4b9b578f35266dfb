"""From runs to fitted surrogates: what is checked of the runs, what becomes of their seeds, one fit per set of runs.

Targets that were measured in the same runs share one fit. Where every mask was run under the same seeds, its mean over
them is fitted; where seeds are coupled but not crossed, each seed has a level of its own  (design: section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluations import MIN_RUNS, Evaluations, EvaluationsError
from .fidelities import asked_about, estimated
from .fields import UNMEASURED, gaps, listed, match
from .identifiability import identifiability, identifiability_by_target
from .players import Players
from .predictor import Predictor
from .surrogates import compare, compare_fidelities
from .surrogates.fidelity import FEWEST
from .surrogates.sums import sums
from .truth import separate

Array = NDArray[np.float64]
LARGEST = 1e100
#: Masks of a fidelity above which a sample of so many is fitted: time grows with the cube of their number.
MOST_MASKS = 5000


@dataclass(frozen=True, eq=False)
class Design:
    """Runs as they are fitted.

    Attributes
    ----------
    runs : Evaluations
    players : Players
    X : array (m, P)
        Their masks, by players.
    seeds : array (m,) or None
        Coupled seeds, each with a level of its own.
    averaged : int
        Seeds that each row is the mean of; 1 where nothing was averaged.
    warnings : tuple of str
    given : Evaluations
        The runs as they were given, before seeds were averaged.
    at : str or None
        Where there are several fidelities, the one that is asked about.
    """

    runs: Evaluations
    players: Players
    X: Array
    seeds: NDArray[np.int64] | None
    averaged: int
    warnings: tuple[str, ...]
    given: Evaluations
    at: str | None = None

    @property
    def single(self) -> Evaluations:
        """The runs as they were given, of the fidelity that is asked about."""
        return self.given if self.at is None else self.given.where(fidelity=self.at)

    @classmethod
    def of(cls, runs: Evaluations, at: str | None = None) -> Design:
        """Prepare runs that `checked` let through.

        Raises
        ------
        EvaluationsError
            If no task is switched in them, or nothing says which of several fidelities is asked about.
        """
        at = asked_about(runs, at)
        runs, said = _sampled(runs)
        warnings, averaged, given = [*runs.warnings, *said], 1, runs
        for name in dict.fromkeys(map(str, runs.fidelity)):
            one, seeds = _average_crossed(runs.where(fidelity=name))
            if seeds > 1:
                of = "" if at is None else f" {name}"
                warnings.append(
                    f"every{of} mask was run under the same {seeds} seeds: their mean is fitted for each mask."
                )
                runs = one if at is None else runs.filter(runs.fidelity != name) + one
                averaged = seeds if name == at or at is None else averaged
        players = Players.of(runs.masks, runs.tasks, runs.kind)
        warnings += players.warnings
        if np.isnan(runs.values).any():
            if not any(UNMEASURED in said for said in runs.warnings):  # runs of a file say it as they are read
                warnings.append(gaps(runs.values, runs.targets))
            warnings += _unidentified_where_measured(runs)
        switched(players.names)
        seeds = set(runs.seed.tolist())
        stated = at is not None or -1 not in seeds  # estimates have no seed: they share a level
        coupled = runs.notes.get("coupled") is True and len(seeds) > 1 and stated
        X = players.columns(runs.masks)
        return cls(runs, players, X, runs.seed if coupled else None, averaged, tuple(warnings), given, at)


def switched(columns: Sequence[Any]) -> None:
    """Raise an error where no column of the masks differs between runs."""
    if not len(columns):
        raise EvaluationsError("no task is switched in the runs; add runs whose masks differ.")


def checked(runs: Evaluations) -> Evaluations:
    """Return the runs if they can be fitted.

    Raises
    ------
    EvaluationsError
        For fewer than 5 runs, or values that overflow.
    """
    runs = runs.require(name="runs")
    if (large := np.flatnonzero((np.abs(np.nan_to_num(runs.values)) > LARGEST).any(axis=0))).size:
        raise EvaluationsError(
            f"target {runs.targets[large[0]]!r} holds values beyond {LARGEST:g}, whose squares overflow. Rescale it, "
            "or leave out the runs that diverged."
        )
    return runs


def asked_of(runs: Evaluations, target: str | Sequence[str] | None) -> tuple[Evaluations, int]:
    """Runs with the targets that are asked about (names or globs) first, how many these are, and their parts behind."""
    if target is None:
        return runs, runs.T
    names = match(target, runs.targets, "target", argument="target")
    return with_parts(runs, names), len(names)


def with_parts(runs: Evaluations, targets: Sequence[str]) -> Evaluations:
    """Runs with these targets and, after them, those that some of them are the weighted sums of (`surrogates.sums`).

    Parts that were not measured in the same runs are left out: these would share no fit.
    """
    kept = dict.fromkeys(targets)
    for own, measured in blocks(runs):
        if not any(runs.targets[t] in targets for t in own):
            continue
        for one in sums(runs.values[np.ix_(measured, own)]):
            if runs.targets[own[one.target]] in targets:
                kept |= dict.fromkeys(runs.targets[part] for part in own[one.parts])
    return runs.select(list(kept))


def without_truth(runs: Evaluations, truth: Evaluations, truth_masks: str) -> tuple[Evaluations, list[str]]:
    """Take out of the runs what the truth is made of, and say how many they are.

    Raises
    ------
    EvaluationsError
        If the runs are no masks, or too few are left.
    """
    if runs.kind != "mask":
        raise EvaluationsError(f"truth is leave-one-out retraining; it judges masks, and the runs are {runs.kind}.")
    runs, dropped = separate(runs, truth, truth_masks)
    if not dropped:
        return runs, []
    if len(runs) < MIN_RUNS:
        raise EvaluationsError(
            f"{dropped} runs share their mask with the truth and are taken out of the fit: {len(runs)} are left, "
            f"at least {MIN_RUNS} are needed. Add runs of other masks, or take out only the seeds of the "
            "truth with truth_masks='other-seeds' (--truth-masks other-seeds)."
        )
    runs.require(name="runs without those of the truth")
    return runs, [f"{dropped} runs share their mask with the truth and were taken out of the fit."]


def fit(
    runs: Evaluations,
    surrogate: str = "auto",
    at: str | None = None,
    target: str | Sequence[str] | None = None,
) -> Predictor:
    """Fit every target of evaluated runs and choose among the surrogates; what `attribute` reads, and what predicts.

    Parameters
    ----------
    runs : Evaluations
        At least 5 runs.
    surrogate : {'auto', 'ridge', 'rbf', 'ard', 'stack', 'kernel'}
        'auto' takes the stack of kernels where it predicts held-out rows better than tuned ridge by more than a
        standard error, see `surrogates.compare`; 'kernel' is the stack.
    at : str, optional
        Where runs hold several fidelities, the one to answer for: the dearest if not given. All are fitted together
        where that predicts its held-out runs no worse, see `surrogates.compare_fidelities`.
    target : str or sequence of str, optional
        Targets to predict (names or globs), all of them if not given; see `attribute`.

    Raises
    ------
    EvaluationsError
        For fewer than 5 runs, fewer than 3 of the fidelity asked about, or runs in which no task is switched.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> masks = ip.masks.bernoulli(6, 40, p=0.8, rng=np.random.default_rng(0))
    >>> runs = ip.Evaluations.from_arrays(masks, 2.0 - masks @ [0.5, 0.3, 0.0, 0.0, -0.2, 0.1], targets=["loss"])
    >>> ip.fit(runs).predict([1, 0, 1, 1, 1, 1]).mean.round(2).tolist()
    [[1.6]]
    """
    runs, asked = asked_of(runs, target)
    return replace(fit_design(Design.of(checked(runs), at), surrogate), beside=runs.T - asked)


def fit_design(design: Design, surrogate: str = "auto") -> Predictor:
    """Fit runs that are prepared, see `fit`."""
    runs, choices, rows = design.runs, [], [0] * design.runs.T
    for targets, measured in blocks(runs):
        X, Y = design.X[measured], runs.values[np.ix_(measured, targets)]
        how: dict[str, Any] = {"prefer": surrogate, "features": "auto" if runs.kind in ("mask", "mixture") else "raw"}
        how |= {"higher_is_better": np.array(runs.higher_is_better)[targets]}
        how |= {"seeds": None if design.seeds is None else design.seeds[measured]}
        if design.at is None or set(runs.fidelity[measured].tolist()) == {design.at}:
            choice = compare(X, Y, **how)
        else:
            _enough_at(design, measured, runs.targets[targets[0]])
            choice = compare_fidelities(X, Y, runs.fidelity[measured], design.at, **how)
        choices.append((targets, choice))
        for t in targets:
            rows[t] = int(measured.sum())
    warnings = [*design.warnings, *(choice.given_up for _, choice in choices if choice.given_up)]
    if design.seeds is not None and design.at is None:
        levels = max(choice.surrogate.rows_.basis.shape[1] for _, choice in choices)
        if levels > 1:
            warnings.append(f"seeds are coupled: each of the {levels} has a level of its own, predicted at their mean.")
        else:
            warnings.append("seeds are coupled, but some seed ran a single mask: they share one level.")
    if design.at is None and any(map(estimated, runs.fidelity)):
        warnings.append("intervals are those of the surrogate; the estimator's own error is not in them.")
    runs = runs if design.at is None else runs.where(fidelity=design.at)
    with np.errstate(invalid="ignore"):
        size = np.nanmax(np.abs(runs.values), axis=0)
        still = np.nanmax(runs.values, axis=0) - np.nanmin(runs.values, axis=0) <= 1e-12 * size
    if constant := [name for name, one in zip(runs.targets, still, strict=True) if one]:
        never = "never changes" if len(constant) == 1 else "never change"
        warnings.append(f"{listed(constant, 5)} {never}: there is nothing to attribute.")
    return Predictor(
        tasks=runs.tasks,
        targets=runs.targets,
        higher_is_better=runs.higher_is_better,
        kind=runs.kind,
        fidelity=design.at or str(runs.fidelity[0]),
        players=design.players,
        choices=tuple(choices),
        rows=tuple(rows),
        centre=np.nanmean(runs.values, axis=0),
        spread=np.where(still, 0.0, np.nanstd(runs.values, axis=0)),
        averaged=design.averaged,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def blocks(runs: Evaluations) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Targets that were measured in the same runs, with those runs."""
    measured = np.isfinite(runs.values)
    patterns, which = np.unique(measured, axis=1, return_inverse=True)
    which = which.reshape(-1)
    return [(np.flatnonzero(which == i), patterns[:, i]) for i in range(patterns.shape[1])]


def _enough_at(design: Design, measured: NDArray[np.bool_], target: str) -> None:
    """Raise an error where a target was measured in too few runs of the fidelity asked about."""
    count = int((design.runs.fidelity[measured] == design.at).sum())
    if count < FEWEST:
        raise EvaluationsError(
            f"target {target!r} was measured in {count} {design.at} run{'s' * (count != 1)}; at least {FEWEST} are "
            f"needed to tie the other fidelities to it. Add {design.at} runs, or answer for another fidelity with at= "
            "(--at)."
        )


def _sampled(runs: Evaluations) -> tuple[Evaluations, list[str]]:
    """Keep all runs of `MOST_MASKS` masks of each fidelity that has more, drawn from a fixed seed, and say so."""
    if len(runs) <= MOST_MASKS:
        return runs, []
    index, first = runs.groups()
    words, counts = np.unique(runs.fidelity[first], return_counts=True)
    keep, said = np.ones(len(first), bool), []
    for word, count in zip(words.tolist(), counts.tolist(), strict=True):
        if count > MOST_MASKS:
            own = np.flatnonzero(runs.fidelity[first] == word)
            left = np.random.default_rng(0).permutation(own)[MOST_MASKS:]
            keep[left] = False
            said.append(
                f"of {count:,} masks or mixtures that were {word}, {MOST_MASKS:,} drawn at random are fitted; more "
                "take too long."
            )
    return (runs.filter(keep[index]), said) if said else (runs, [])


def _average_crossed(runs: Evaluations) -> tuple[Evaluations, int]:
    """Average each mask over its seeds where it was run as often under each, so that no seed's level is noise."""
    seeds = sorted(set(runs.seed.tolist()))
    index, first = runs.groups()
    if len(seeds) < 2 or -1 in seeds or len(first) < MIN_RUNS or np.isnan(runs.values).any():
        return runs, 1
    counts = np.zeros((len(first), len(seeds)))
    np.add.at(counts, (index, np.searchsorted(seeds, runs.seed)), 1)
    if (counts != counts[:, :1]).any():
        return runs, 1
    return runs.mean_by_mask(), len(seeds)


def _unidentified_where_measured(runs: Evaluations, most: int = 5) -> list[str]:
    """Say what the runs of single targets do not tell apart, beyond what no run does."""
    overall = identifiability(runs.masks)
    said = []
    for target, one in zip(runs.targets, identifiability_by_target(runs), strict=True):
        said += one.messages(runs.tasks, where=f"where {target} was measured", others=overall)
    return said if len(said) <= most else [*said[:most], f"{len(said) - most} more of this kind, in other targets"]
