"""What was chosen, what it is expected to bring, what it is compared with, and what it came to when it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from ..predictor import Z

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluations import Evaluations
    from ..formats.exports import Exported

Array = NDArray[np.float64]
CHOICE, ALTERNATIVE, RUN, BASELINE = "choice", "alternative", "best run", "baseline"
FREE, DRAWS, FRONT = "without the rules", "best draws", "front"
APART = 0.02  # total variation between distinct mixtures
ROUNDING = 1e-5  # of remoteness: an optimum at the limit ends on either side of it


@dataclass(frozen=True, eq=False)
class Candidate:
    """A mask or mixture with what is known of it.

    Attributes
    ----------
    role : str
        'choice', 'alternative', 'best run', 'baseline', 'without the rules', 'best draws' or 'front'.
    name : str
    weights : array (K,)
        Of an average over masks the share of its runs that hold each task.
    predicted, deviation : array (J,)
        Of every target of the objective, in its own unit; corrected as `Selection.bias` says. Of runs under several
        coupled seeds the deviation holds how far the mean of other seeds may lie from theirs.
    measured, standard_error : array (J,)
        Mean of its runs, NaN where there is none; its standard error from the spread between seeds, NaN for one run.
    runs : int
    worth : float
        Least benefit over the targets less the risk, in standard deviations over the runs. Choices that were not run
        are ranked by more: what the runs around them show beyond the surrogate.
    remoteness : float
        Above 1 it is farther from the runs than any of them from the others.
    gain, gain_deviation : array (J,)
        Predicted benefit of the choice over it, in the targets' units (of an alternative: how much it is behind).
    drawn : int
        Where it stands for the mean of so many runs, a run as these were drawn; 0 for a mask or mixture itself.
    """

    role: str
    name: str
    weights: Array
    predicted: Array
    deviation: Array
    measured: Array
    standard_error: Array
    runs: int
    worth: float
    remoteness: float
    gain: Array
    gain_deviation: Array
    drawn: int = 0

    @property
    def far(self) -> bool:
        """Whether it lies far from the runs."""
        return self.remoteness > 1.0 + ROUNDING

    @property
    def told_apart(self) -> bool:
        """Whether the choice is better than it, by what is known, on some target; 95 %."""
        return bool((self.gain > Z * self.gain_deviation).any())


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """A subset or mixture to train next. Frozen; its ``repr`` is what a person wants to know.

    Attributes
    ----------
    tasks : tuple of str (K,)
    kind : str
    targets : tuple of str (J,)
        Of the objective; of several the worst counts.
    higher_is_better : tuple of bool (J,)
    objective : str
        In words.
    rules : tuple of str
        What the choice had to keep, in words.
    candidates : tuple of Candidate
        The choice first, then what it is compared with.
    verdict, why : str
        'solid', 'indicative' or 'not supported': whether the choice is better than the baseline.
    exact : bool
        Whether every subset was gone through.
    search : str
        How it was looked for, in words.
    risk : float
    bias, stretch : float
        What held-out proposals came to: see `judgement.Proposals`.
    rank : float
        Rank correlation of held-out predictions with the measured worth of the runs.
    runs : int
        Runs that it was chosen from.
    verified : int
        Trainings of what was proposed before that came in.
    surrogate : str
    noise : array (J,)
        Standard deviation of a measurement.
    warnings : tuple of str
    made : dict
        Version, options and fingerprint of the runs.
    front : tuple of Candidate
        Where several targets were asked for: choices of which none is better in all of them.
    trained : Evaluations, optional
        The trainings that `verify` did.
    """

    tasks: tuple[str, ...]
    kind: str
    targets: tuple[str, ...]
    higher_is_better: tuple[bool, ...]
    objective: str
    rules: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    verdict: str
    why: str
    exact: bool
    search: str
    risk: float
    bias: float
    stretch: float
    rank: float
    runs: int
    surrogate: str
    noise: Array
    verified: int = 0
    warnings: tuple[str, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)
    front: tuple[Candidate, ...] = ()
    trained: Evaluations | None = None

    @property
    def choice(self) -> Candidate:
        """What was chosen."""
        return self.candidates[0]

    @property
    def weights(self) -> Array:
        """Of the choice, array (K,)."""
        return self.choice.weights

    @property
    def names(self) -> tuple[str, ...]:
        """Tasks that the choice holds."""
        return tuple(task for task, w in zip(self.tasks, self.weights, strict=True) if w > 0)

    @property
    def sign(self) -> Array:
        """Sign (J,) that turns a rise of a target into a benefit."""
        return np.where(np.array(self.higher_is_better, bool), 1.0, -1.0)

    def of(self, role: str) -> tuple[Candidate, ...]:
        """Candidates of one role."""
        return tuple(c for c in self.candidates if c.role == role)

    @property
    def tied(self) -> int:
        """Alternatives that cannot be told apart from the choice."""
        return sum(not c.told_apart for c in self.of(ALTERNATIVE))

    @property
    def promising(self) -> tuple[Candidate, ...]:
        """What is worth verifying, in this order: the choice, then the best distinct alternatives.

        Where several targets have a front, its members come before the alternatives, each as far as can be from those
        before it: there is no best among them, and a few that lie apart say what one target costs another.
        """
        kept: list[Candidate] = []
        for c in (self.choice, *_spread(self.choice, self.front), *self.of(ALTERNATIVE)):
            if all(0.5 * np.abs(c.weights - own.weights).sum() >= APART for own in kept):
                kept.append(c)
        return tuple(kept)

    def shortlist(self, n: int) -> Array:
        """The first n of what is worth verifying (`promising`), array (n, K)."""
        return np.array([c.weights for c in self.promising[:n]])

    def to_frame(self) -> pd.DataFrame:
        """Tidy table: one row per candidate and target, those of the front last."""
        import pandas as pd

        rows = []
        for c in (*self.candidates, *self.front):
            for j, target in enumerate(self.targets):
                rows.append(
                    {
                        "role": c.role,
                        "candidate": c.name,
                        "target": target,
                        "predicted": c.predicted[j],
                        "lower": c.predicted[j] - Z * c.deviation[j],
                        "upper": c.predicted[j] + Z * c.deviation[j],
                        "measured": c.measured[j],
                        "standard_error": c.standard_error[j],
                        "runs": c.runs,
                        "gain_of_choice": c.gain[j],
                        "gain_lower": c.gain[j] - Z * c.gain_deviation[j],
                        "gain_upper": c.gain[j] + Z * c.gain_deviation[j],
                        "worth": c.worth,
                        "remoteness": c.remoteness,
                        "far": c.far,
                    }
                )
        return pd.DataFrame(rows)

    def mixture(self) -> pd.DataFrame:
        """The choice itself: one row per task, with what the baseline and the best run give it.

        Of a baseline that is a run as the runs were drawn it is the share of them that hold the task.
        """
        import pandas as pd

        columns = {"task": self.tasks, "weight": self.weights}
        columns |= {c.role: c.weights for role in (BASELINE, RUN) for c in self.of(role)}
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> Path:
        """Write ``path`` (JSON) and the arrays beside it (the same name with .npz); returns the path."""
        from ..formats.selection import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Selection:
        """Read what `save` wrote."""
        from ..formats.selection import load

        return load(Path(path))

    def export(self, to: str, out: str | Path, sources: Any = None, **options: Any) -> Exported:
        """Write the configuration of a trainer; see `interplay.formats.exports.export`."""
        from ..formats.exports import export

        return export(self, to, out, sources, **options)

    def __repr__(self) -> str:
        from ..report.selection import text

        return text(self)

    def _repr_html_(self) -> str:
        from ..report.notebook import selection_html

        return selection_html(self)


def _spread(start: Candidate, front: tuple[Candidate, ...]) -> list[Candidate]:
    """A front in such an order that each is predicted farthest from those before it, in shares of its extent."""
    if not front:
        return []
    z = np.array([c.predicted for c in (start, *front)])
    z = z / np.maximum(np.ptp(z, axis=0), 1e-300)
    distance = np.linalg.norm(z - z[0], axis=1)
    order, left = [], list(range(1, len(z)))
    while left:
        far = max(left, key=lambda i: distance[i])
        order.append(front[far - 1])
        left.remove(far)
        distance = np.minimum(distance, np.linalg.norm(z - z[far], axis=1))
    return order


def apart(tasks: tuple[str, ...], own: Array, other: Array, most: int = 4) -> str:
    """Another mask by what it leaves out of the choice's own, and what it takes in."""
    out, into = (
        listed([t for t, there in zip(tasks, rows, strict=True) if there], most) for rows in (own > other, other > own)
    )
    without, taken = f" without {out}" if out else "", f"{' and' if out else ''} with {into}" if into else ""
    return f"the choice{without}{taken}"


def named(tasks: tuple[str, ...], weights: Array, kind: str, most: int = 6) -> str:
    """A mask or mixture in a few words: what it holds, or what it leaves out where that is shorter."""
    if kind != "mask":
        order = [k for k in np.argsort(-weights, kind="stable") if weights[k] >= 5e-4][:most]
        more = int((weights >= 5e-4).sum()) - len(order)
        text = ", ".join(f"{tasks[k]} {weights[k]:.1%}" for k in order)
        return text + (f", {more} more" if more else "")
    held = [t for t, w in zip(tasks, weights, strict=True) if w > 0]
    out = [t for t, w in zip(tasks, weights, strict=True) if not w]
    if not out:
        return f"all {len(tasks)} tasks"
    return listed(held, most) if len(held) <= len(out) else f"all but {listed(out, most)}"
