"""What is proposed: the next runs, what they are expected to bring, and whether they are worth it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..fields import listed

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Proposal:
    """The next runs for a question. Make it with `propose` or `Campaign.ask`; frozen.

    Attributes
    ----------
    masks : array (n, K)
        Masks or mixtures, the first being the most urgent.
    tasks : tuple of str (K,)
    question, words : str
        As it was asked, and what it measures.
    kind : {'mask', 'mixture'}
    seeds : array (n,) of int64
        Under which each is to be run; -1 where no seeds are stated.
    fidelity : tuple of str (n,)
    repeats : array (n,) of bool
        Whether that mask was run already, or is proposed before.
    gain : array (n,)
        Share by which each lowers the mean variance of the question, after those before it; for selection by how much
        it is expected to raise the best posterior mean, in ``unit``. NaN for designs without a fit.
    cost : array (n,)
        What each costs; 1 where nothing is known.
    before, after : float
        Root mean posterior variance of what is asked, in ``unit``, now and after the batch; for selection what is left
        to gain. NaN for designs without a fit.
    unit : str
    worth_it : bool
        False where what the batch can gain is below the noise, or too little is unknown for more runs; for selection
        where ``most`` is below the noise of a run.
    leave_one_out : bool
        Whether plain leave-one-out, repeated over seeds, is the better buy of as many runs.
    how : str
        'variance', 'knowledge-gradient', 'thompson', 'factorial', 'd-optimal', 'repeats' or 'design'.
    sentences, warnings : tuple of str
    most : float
        For selection: what is left to gain is less than this with a probability of 90 %. NaN otherwise.
    """

    masks: Array
    tasks: tuple[str, ...]
    question: str
    words: str
    kind: str
    seeds: NDArray[np.int64]
    fidelity: tuple[str, ...]
    repeats: NDArray[np.bool_]
    gain: Array
    cost: Array
    before: float
    after: float
    unit: str
    worth_it: bool
    leave_one_out: bool
    how: str
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    most: float = float("nan")

    def __len__(self) -> int:
        return len(self.masks)

    def described(self, i: int, most: int = 6) -> str:
        """Row i in words: what is left out where that is shorter, otherwise what is in."""
        from ..report.words import plain

        row, names = self.masks[i], [plain(task, 24) for task in self.tasks]
        if self.kind == "mixture":
            order = np.argsort(-row, kind="stable")
            order = order[row[order] > 0.005]
            return listed([f"{names[k]} {row[k]:.0%}" for k in order], most) or "(no weight above .5 %)"
        out = [n for n, s in zip(names, row, strict=True) if not s]
        held = [n for n, s in zip(names, row, strict=True) if s]
        if not out:
            return "all tasks"
        return f"all but {listed(out, most)}" if len(out) <= len(held) else f"only {listed(held, most)}"

    def to_frame(self) -> pd.DataFrame:
        """One row per run: run, seed, fidelity, repeat, gain, cost, then the tasks."""
        import pandas as pd

        head = {"run": self.names, "seed": self.seeds, "fidelity": list(self.fidelity)}
        head |= {"repeat": self.repeats, "gain": self.gain, "cost": self.cost}
        tasks = pd.DataFrame(self._cells(), columns=self._columns(tuple(head)))
        return pd.concat([pd.DataFrame(head), tasks], axis=1)

    @property
    def names(self) -> list[str]:
        """Of the runs (n,)."""
        return [f"next-{i:04d}" for i in range(len(self))]

    def save(self, path: str | Path) -> Path:
        """Write a design: run, seed and fidelity where they are stated, one column per task (.csv or .parquet).

        `interplay evaluate` and `Evaluations` take it as it is; ``to_frame`` holds what else is known.
        """
        import pandas as pd

        from ..formats.archive import written_whole

        path = Path(path)
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise ValueError(f"path is {str(path)!r}; the suffix must be .csv or .parquet.")
        head: dict[str, Any] = {"run": self.names}
        if (self.seeds >= 0).all():
            head["seed"] = self.seeds
        head["fidelity"] = list(self.fidelity)
        frame = pd.concat([pd.DataFrame(head), pd.DataFrame(self._cells(), columns=self._columns(()))], axis=1)
        if path.suffix.lower() == ".csv":
            written_whole(path, lambda p: frame.to_csv(p, index=False, lineterminator="\n"))
        else:
            written_whole(path, lambda p: frame.to_parquet(p, index=False))
        return path

    def _cells(self) -> NDArray:
        return self.masks.astype(int) if self.kind == "mask" else self.masks

    def _columns(self, taken: tuple[str, ...]) -> list[str]:
        from ..formats.table import is_metadata

        return [f"task:{t}" if is_metadata(t) or t in taken else t for t in self.tasks]

    def _table(self) -> list[str]:
        """Lines of the runs, and what each should bring."""
        from ..report.columns import table

        n, known = range(len(self)), np.isfinite(self.gain).any()
        columns = {"run": [str(i + 1) for i in n], self.kind: [self.described(i) for i in n]}
        columns[""] = ["repeat" if again else "new" for again in self.repeats]
        if (self.seeds >= 0).any():
            columns["seed"] = [str(seed) if seed >= 0 else "" for seed in self.seeds]
        if len(set(self.fidelity)) > 1:
            columns["fidelity"] = list(self.fidelity)
        if known and self.question == "selection":
            columns["best rises by"] = [f"{gain:.3g}" for gain in self.gain]
        elif known:
            columns["variance falls by"] = [f"{gain:.1%}" for gain in self.gain]
        return table(list(columns), list(zip(*columns.values(), strict=True)))

    def __repr__(self) -> str:
        n = len(self)
        lines = [f"Proposal: {n} run{'s' * (n != 1)} for {self.question} ({self.words})", ""]
        lines += self._table() if n else []
        lines += ["", *self.sentences] if self.sentences else []
        lines += [f"Note: {warning}" for warning in self.warnings]
        return "\n".join(lines)
