"""An attribution: what tasks do to targets, how far to believe it, and the truth beside it. `attributing` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .amounts import Amounts
from .coverage import Coverage
from .fidelities import Fidelities
from .held_out import HeldOut
from .named import Named
from .predictor import Predictions, Predictor, Z
from .readings.discoveries import Discoveries
from .surrogates import Choice
from .trust import Trust
from .truth import Comparison

if TYPE_CHECKING:
    import pandas as pd
    from shapiq import InteractionValues

    from .formats.points import Points
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
    def averaged(self) -> int:
        """Seeds under which every mask was run, and whose mean was fitted; 1 where runs were fitted as they are."""
        return 1 if self.predictor is None else self.predictor.averaged

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
