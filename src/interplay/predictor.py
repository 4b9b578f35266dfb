"""What was fitted to some runs, with the names that it goes by: predicts masks and mixtures that were not run.

remoteness of x = sqrt(v(x) / max_i v_i)

v(x) is the posterior variance of g at x, and v_i that at run i when its own runs (the seeds of its mask) are left out:
above 1, x is farther from the runs than any of them is from the others. Of new runs drawn like the m old ones about
1 in m + 1 lies there. It means the same for masks and mixtures; of a linear surrogate it compares leverages, as the
test for hidden extrapolation does.

References
----------
Montgomery, Peck & Vining, Introduction to Linear Regression Analysis, 2012, section 3.8 (hidden extrapolation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .fields import EvaluationsError, listed
from .kinds import fault
from .players import Players
from .surrogates import Choice
from .surrogates.base import GaussianSurrogate, threads
from .surrogates.members import Fit, Member, by_kernel
from .units import formula

if TYPE_CHECKING:
    import pandas as pd

    from .formats.points import Points

Array = NDArray[np.float64]
Z = 1.959963984540054  # 95 %
AT_ONCE = 2000  # candidates that are predicted together


@dataclass(frozen=True, eq=False, repr=False)
class Predictor:
    """The surrogates of all targets. Make it with `fit`, or take that of an answer; frozen.

    Attributes
    ----------
    tasks, targets : tuple of str (K,), (T,)
    higher_is_better : tuple of bool (T,)
    kind : str
        Of the runs, see `Evaluations.kind`.
    fidelity : str
        Of the runs: predictions are of runs like them.
    players : Players
    choices : tuple of (targets, Choice)
        Which surrogate was taken for targets that were measured in the same runs.
    rows : tuple of int (T,)
        Runs that each target was fitted on.
    centre, spread : array (T,)
        Mean and standard deviation of the fitted values; spread is 0 where a target never changes.
    averaged : int
        Seeds that each fitted value is the mean of.
    warnings : tuple of str
    beside : int
        How many of the last targets are there for others that are their sums, and not asked about.
    """

    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    kind: str
    fidelity: str
    players: Players
    choices: tuple[tuple[NDArray[np.int64], Choice], ...]
    rows: tuple[int, ...]
    centre: Array
    spread: Array
    averaged: int = 1
    warnings: tuple[str, ...] = ()
    beside: int = 0

    @property
    def sign(self) -> Array:
        """Sign (T,) that turns a rise of a target into a benefit."""
        return np.where(np.array(self.higher_is_better, dtype=bool), 1.0, -1.0)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Targets that never change, array (T,)."""
        return self.spread == 0

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Targets that change and are asked about, array (T,)."""
        return ~self.constant & (np.arange(len(self.targets)) < len(self.targets) - self.beside)

    @property
    def sentence(self) -> str:
        """Which surrogate was taken, and why; which targets are predicted as sums of others."""
        said = [choice.sentence for _, choice in self.choices]
        for own, choice in self.choices:
            for one in choice.surrogate.sums_:
                of = listed([self.targets[t] for t in own[one.parts]], 3)
                said.append(
                    f"{self.targets[own[one.target]]} is predicted as the weighted sum that it is, of {of}: held-out "
                    f"R^2 {choice.skill[choice.name][one.target]:.2f}."
                )
        return " ".join(dict.fromkeys(said))

    @property
    def links(self) -> tuple[str, ...]:
        """What was fitted of each target y: 'y', 'log y', 'log(y - c)' or 'log(c - y)'."""
        out = ["y"] * len(self.targets)
        for targets, choice in self.choices:
            for i, t in enumerate(targets):
                out[t] = formula(choice.surrogate.link_, i)
        return tuple(out)

    @property
    def skill(self) -> dict[str, tuple[float, ...]]:
        """Held-out R^2 of every surrogate that was compared, for each target; 0 for one that never changes."""
        names = dict.fromkeys(name for _, choice in self.choices for name in choice.skill)
        out = {name: np.full(len(self.targets), np.nan) for name in names}
        for targets, choice in self.choices:
            for name, values in choice.skill.items():
                out[name][targets] = values
        return {name: tuple(np.where(self.constant, 0.0, values).tolist()) for name, values in out.items()}

    def comparison(self) -> pd.DataFrame:
        """Compare the surrogates: one row for each, for each set of targets that were measured in the same runs.

        ``worse`` is the mean difference of absolute errors of held-out rows to the best one, in standard deviations of
        the target, with its 95 % interval; ``r2`` the mean over these targets.
        """
        import pandas as pd

        tables = [
            pd.DataFrame(choice.table()).assign(
                runs=self.rows[targets[0]], targets=", ".join(self.targets[t] for t in targets)
            )
            for targets, choice in self.choices
        ]
        return pd.concat(tables, ignore_index=True)

    def by_target(self) -> pd.DataFrame:
        """Held-out R^2 of every surrogate for each target, and which one was taken: one row per target.

        ``gain`` is the mean difference of absolute errors, ridge minus the stack, in standard deviations of the target,
        with its 95 % interval.
        """
        import pandas as pd

        taken, gain = np.empty(len(self.targets), dtype=object), np.full((2, len(self.targets)), np.nan)
        for targets, choice in self.choices:
            taken[targets], gain[:, targets] = choice.name, choice.gain_of_target
        width = 1.96 * gain[1]
        differences = {"gain": gain[0], "gain_lower": gain[0] - width, "gain_upper": gain[0] + width}
        return pd.DataFrame({"target": self.targets, **self.skill, **differences, "taken": taken, "runs": self.rows})

    def at(self, X: Array, noise: bool = False) -> tuple[Array, Array]:
        """Means and standard deviations (n, T) of g, or of a measurement, at points (n, P) by players."""
        mean, deviation = np.empty((2, len(X), len(self.targets)))
        for targets, choice in self.choices:
            with threads(len(choice.surrogate.X_)):
                mean[:, targets], deviation[:, targets] = choice.surrogate.predict(X, return_std=True, noise=noise)
        return mean, deviation

    def benefit(self, mean: Array, targets: Sequence[int] | None = None) -> Array:
        """Mean over targets (n,) of predictions (n, T) as benefits, in standard deviations around the runs' mean."""
        known = np.flatnonzero(self.asked) if targets is None else np.asarray(targets)
        known = known[~self.constant[known]]
        if not len(known):
            return np.zeros(len(mean))
        return (self.sign * (mean - self.centre))[:, known] @ (1.0 / self.spread[known]) / len(known)

    def best(self, X: Array) -> int:
        """Which of some rows (n, P) is predicted to be best: by its target, or by `benefit` over several."""
        return int(np.argmax(self.benefit(self.at(X)[0])))

    def predict(self, candidates: Points | pd.DataFrame | ArrayLike | str | Path) -> Predictions:
        """Predict every target of masks or mixtures that were not run.

        Parameters
        ----------
        candidates : array (n, K) or (K,), data frame, file, or Points
            Over the tasks of the runs, and of their kind. A frame or a file has a column for each task; the others
            are kept.

        Raises
        ------
        EvaluationsError
            For a candidate that breaks the kind, or of which the runs tell nothing (`Players.reduced`).
        """
        points = as_points(candidates, self.tasks, self.kind)
        columns, said = self.players.reduced(points.weights, points.names, self.tasks, self.kind)
        shape = len(columns), len(self.targets)
        mean, deviation, measured, remote = (np.empty(shape) for _ in range(4))
        for start in range(0, len(columns), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            mean[part], deviation[part] = self.at(columns[part])
            measured[part] = self.at(columns[part], noise=True)[1]
            for targets, choice in self.choices:
                with threads(len(choice.surrogate.X_)):
                    remote[part, targets] = remoteness(choice.surrogate, columns[part])
        mean, deviation, measured, remote = (
            values[:, : len(self.targets) - self.beside] for values in (mean, deviation, measured, remote)
        )
        return Predictions(points.names, mean, deviation, measured, remote, points.beside, self, said)

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (JSON) and the arrays beside it (the same name with .npz); returns the path."""
        from .formats.predictor import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Read what `save` wrote; it predicts the same numbers."""
        from .formats.predictor import load

        return load(Path(path))

    def __repr__(self) -> str:
        from .report.comparison import text

        return text(self)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """Predictions of n candidates for T targets, in the targets' own units.

    Attributes
    ----------
    names : tuple of str (n,)
    mean : array (n, T)
    deviation : array (n, T)
        Standard deviation of g, what is expected there.
    measured : array (n, T)
        Standard deviation of one more measurement, its noise included.
    remoteness : array (n, T)
        Above 1, a candidate is farther from the runs than any of them is from the others.
    beside : pandas.DataFrame
        What else was said of the candidates, n rows.
    predictor : Predictor
    warnings : tuple of str
    """

    names: tuple[str, ...]
    mean: Array
    deviation: Array
    measured: Array
    remoteness: Array
    beside: pd.DataFrame
    predictor: Predictor
    warnings: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets (T,)."""
        return self.predictor.targets[: self.mean.shape[1]]

    @property
    def far(self) -> NDArray[np.bool_]:
        """Whether a candidate lies far from the runs, array (n, T)."""
        return self.remoteness > 1.0

    def interval(self, noise: bool = True) -> tuple[Array, Array]:
        """95 % intervals (n, T) of one more measurement, or of what is expected there."""
        half = Z * (self.measured if noise else self.deviation)
        return self.mean - half, self.mean + half

    def to_frame(self) -> pd.DataFrame:
        """Tidy table: one row per candidate and target, with what else was said of the candidate."""
        import pandas as pd

        n, T = self.mean.shape
        (lower, upper), (least, most) = self.interval(), self.interval(noise=False)
        own = {
            "candidate": np.repeat(np.array(self.names, dtype=object), T),
            "target": np.tile(np.array(self.targets, dtype=object), n),
            "prediction": self.mean.ravel(),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
            "expected_lower": least.ravel(),
            "expected_upper": most.ravel(),
            "remoteness": self.remoteness.ravel(),
            "far": self.far.ravel(),
        }
        beside = self.beside.rename(columns={c: f"given:{c}" for c in self.beside.columns if c in own})
        rows = beside.iloc[np.repeat(np.arange(n), T)].reset_index(drop=True)
        return pd.concat([pd.DataFrame({"candidate": own.pop("candidate")}), rows, pd.DataFrame(own)], axis=1)

    def __repr__(self) -> str:
        from .report.predictions import text

        return text(self)


def remoteness(surrogate: GaussianSurrogate, X: Array, farthest: Array | None = None) -> Array:
    """How far points (n, P) are from the fitted rows, array (n, T), in units of the row that is farthest from the rest.

    Variances are those of the members, weighted as in the predictions, in the units of the links.
    """
    there = np.zeros((len(X), surrogate.n_targets_))
    for member, weights in zip(surrogate.members_, surrogate.weights_, strict=True):
        for kernel, fits in by_kernel(member.fits):
            across, own = kernel.matrix(X, member.rows(surrogate.X_)), kernel.paired(X, X)
            for fit in fits:
                v = np.maximum(fit.posterior.variance(across, own, surrogate.level_), 0.0)
                there[:, fit.targets] += np.multiply.outer(v, weights[fit.targets] * fit.amplitude)
    farthest = farthest_run(surrogate) if farthest is None else farthest
    return np.sqrt(np.divide(there, farthest, out=np.zeros_like(there), where=farthest > 0))


def farthest_run(surrogate: GaussianSurrogate) -> Array:
    """Variance (T,) of g at the run that is farthest from the others, without it: the unit of `remoteness`, squared.

    Of several fidelities those runs count that are of the one asked about.
    """
    rows = np.zeros((len(surrogate.X_), surrogate.n_targets_))
    for member, weights in zip(surrogate.members_, surrogate.weights_, strict=True):
        for fit in member.fits:
            scale = weights[fit.targets] * fit.amplitude
            rows[:, fit.targets] += np.multiply.outer(_left_out(surrogate, member, fit), scale)
    return rows[getattr(surrogate, "own_", slice(None))].max(axis=0)


def _left_out(surrogate: GaussianSurrogate, member: Member, fit: Fit) -> Array:
    """Variance (m,) of g at every fitted row without its group, in units of the amplitude: (Q_GG)^-1 less the noise.

    With a flat prior, where leaving rows out may leave nothing known, it is the variance with all rows.
    """
    X, kernel = surrogate.X_, fit.kernel
    if not fit.posterior.prior:
        across = kernel.matrix(X, member.rows(X))
        return np.maximum(fit.posterior.variance(across, kernel.paired(X, X), surrogate.level_), 0.0)
    out = np.empty(len(X))
    for block in surrogate.rows_.groups.blocks:
        Q = fit.posterior.precision[block[:, :, None], block[:, None, :]]
        out[block] = np.diagonal(np.linalg.inv(Q), axis1=1, axis2=2)
    return np.maximum(out - fit.noise * surrogate.rows_.noise, 0.0)


def as_points(given: Any, tasks: Sequence[str], kind: str) -> Points:
    """Candidates in any form, as points over the tasks."""
    import pandas as pd

    from .formats.points import Points, names_column, read_points, wide_points
    from .formats.table import Table

    if isinstance(given, Points):
        return given
    if isinstance(given, str | Path):
        return read_points(given, tasks, kind)
    if isinstance(given, pd.DataFrame):
        table = Table(given.reset_index(drop=True), "candidate")
        points = wide_points(table, tasks, names_column(given, tasks))
    else:
        weights = np.atleast_2d(np.asarray(given, dtype=np.float64))
        if weights.ndim != 2 or weights.shape[1] != len(tasks):
            raise EvaluationsError(
                f"candidates have shape {np.shape(given)}; give one column for each of the {len(tasks)} tasks."
            )
        names = tuple(f"candidate {i + 1}" for i in range(len(weights)))
        points = Points(names, weights, pd.DataFrame(index=range(len(weights))))
    if problem := fault(points.weights, kind, tasks, row="candidate", first=1):
        raise EvaluationsError(problem)
    return points
