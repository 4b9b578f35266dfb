"""Ask and tell: for people with a loop of their own, from nothing on.

>>> import numpy as np, interplay as ip
>>> from interplay.active import Campaign
>>> campaign = Campaign(["a", "b", "c", "d"], "leave-one-out", targets=["loss"], rng=np.random.default_rng(0))
>>> for _ in range(3):
...     proposal = campaign.ask(4)
...     _ = campaign.tell(2.0 - proposal.masks @ [0.5, 0.3, 0.0, -0.2])
>>> len(campaign.runs)
12
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..draws import generator
from ..evaluations import MIN_RUNS, Evaluations, EvaluationsError
from ..fields import as_names
from ..masks import design
from .beliefs import Arms
from .candidates import Region, candidates, distinct
from .designs import d_optimal
from .proposal import Proposal
from .proposing import propose
from .questions import MASKS, QUESTIONS, asked
from .runnable import key

Array = NDArray[np.float64]
START = 8  # runs of the start design, at least
STARTS = {"groups": "leave-one-out", "swap": "banzhaf"}
POOL = 1000


class Campaign:
    """A question that runs are gathered for: `ask` what to run, `tell` what came of it.

    Parameters
    ----------
    tasks : sequence of str (K,)
    question : str
        See `propose`.
    targets : sequence of str, optional
        Names; guessed from the first values told if not given.
    higher_is_better : bool, sequence of bool or of names, optional
        See `Evaluations.from_arrays`.
    rng : numpy.random.Generator
    kind : {'mask', 'mixture'}, optional
        Mixtures for the question 'mixture', masks otherwise, if not given.
    coupled : bool, optional
        Whether a seed is the same training for every mask: runs are then asked for under seed 0.
    start : int, optional
        Runs of the start design, before anything is fitted: as many as tasks, between 8 and 16, if not given.
    how
        Of `propose`: groups, target, surrogate, size, require, forbid, feasible, cost, ...

    Attributes
    ----------
    runs : Evaluations or None
        What was told.
    pending : Arms
        What was asked and not told.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        question: str = "leave-one-out",
        *,
        rng: np.random.Generator,
        targets: str | Sequence[str] | None = None,
        higher_is_better: Any = None,
        kind: str | None = None,
        coupled: bool | None = None,
        start: int | None = None,
        **how: Any,
    ):
        if isinstance(tasks, str):
            raise TypeError(f"tasks is the text {tasks!r}; give a list of names.")
        self.tasks = as_names(tasks, "tasks", len(tasks))
        if question not in QUESTIONS:
            raise EvaluationsError(f"question is {question!r}; choose one of {', '.join(QUESTIONS)}.")
        if question == "swap" and not isinstance(how.get("size"), int):
            raise EvaluationsError("question='swap' is about sets of one size: give it, such as size=4.")
        self.question, self.rng, self.how = question, generator(rng), how
        self.kind = kind or ("mask" if question in MASKS else "mixture")
        if self.kind not in ("mask", "mixture"):
            raise EvaluationsError(f"kind is {self.kind!r}; choose mask or mixture.")
        self.targets, self.higher_is_better, self.coupled = targets, higher_is_better, coupled
        if start is not None and start < MIN_RUNS:
            raise ValueError(f"start is {start}; a fit needs at least {MIN_RUNS} runs.")
        self.start = start or int(np.clip(len(self.tasks), START, 2 * START))
        self.runs: Evaluations | None = None
        none = np.zeros(0, np.int64)
        self.pending = Arms(np.zeros((0, len(self.tasks))), none, np.zeros(0, str))

    def ask(self, n: int = 1) -> Proposal:
        """Propose the next n runs; they are pending until they are told.

        The first ones are a design for the question (`masks.design`; D-optimal for mixtures), then `propose`.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n is {n!r}; ask for at least one run.")
        runs = self.runs
        if runs is None or len(runs) < self.start or not np.ptp(runs.masks, axis=0).any():
            out = self._started(int(n))
        else:
            how = {**self.how, "pending": self.pending if len(self.pending) else None}
            out = propose(runs, self.question, n, rng=self.rng, **how)
        under = Arms(out.masks, self._seeds_of(out), np.array(out.fidelity))
        self.pending = self.pending + under if len(self.pending) else under
        return out

    def tell(
        self,
        runs: Evaluations | ArrayLike,
        values: ArrayLike | None = None,
        *,
        seed: int | Sequence[int] | None = None,
        cost: float | Sequence[float] | None = None,
        fidelity: str | Sequence[str] = "retrained",
    ) -> Evaluations:
        """Add what was run: `Evaluations`; masks (n, K) and values (n, T); or the values of all that is pending.

        Returns
        -------
        Evaluations
            All runs so far.
        """
        if isinstance(runs, Evaluations):
            more = runs
        else:
            masks = np.asarray(runs if values is not None else self.pending.weights, dtype=float)
            if values is None:
                values, n = runs, len(self.pending)
                if np.shape(values)[:1] != (n,):
                    raise EvaluationsError(
                        f"values have shape {np.shape(values)} and {n} runs are pending; tell one row for each, or "
                        "masks and values."
                    )
                stated = self.pending.seed
                seed = stated.tolist() if seed is None and (stated >= 0).all() else seed
                fidelity = self.pending.fidelity.tolist()
            how: dict[str, Any] = {
                "tasks": self.tasks,
                "targets": self.targets,
                "higher_is_better": self.higher_is_better,
            }
            how |= {"kind": self.kind, "seed": seed, "cost": cost, "fidelity": fidelity}
            notes = {} if self.coupled is None else {"coupled": bool(self.coupled)}
            more = Evaluations.from_arrays(np.atleast_2d(masks), values, **how, notes=notes)
        self.runs = more if self.runs is None else self.runs + more
        self._done(more)
        return self.runs

    def _done(self, more: Evaluations) -> None:
        """Take what was told from what is pending, each run once."""
        left = list(range(len(self.pending)))
        for x in more.masks:
            hit = next((i for i in left if key(self.pending.weights[i]) == key(x)), None)
            if hit is not None:
                left.remove(hit)
        self.pending = self.pending[np.array(left, np.int64)]

    def _seeds_of(self, out: Proposal) -> NDArray[np.int64]:
        """Seeds as levels: none where the model has none."""
        return out.seeds if self.coupled else np.full(len(out), -1, np.int64)

    def _started(self, n: int) -> Proposal:
        """The next rows of a start design, none of which were told or are pending."""
        K = len(self.tasks)
        limits = {name: self.how[name] for name in ("size", "require", "forbid", "feasible") if name in self.how}
        region = Region(self.tasks, self.kind, **limits)
        told = np.zeros((0, K)) if self.runs is None else self.runs.masks
        out = np.vstack([told, self.pending.weights])
        if self.kind == "mixture":
            reference = np.full(K, 1.0 / K)
            put = asked("mixture", "mixture", reference[None], self.tasks, self.rng)
            pool = candidates(put, "mixture", reference[None], region, POOL, self.rng)
            X = d_optimal(pool, n, self.rng, given=out if len(out) else None)
        else:
            name = STARTS.get(self.question, self.question)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                X = design(K, n if not limits else 4 * n, name, self.rng, exclude=out)
            X = distinct(region.brought(X, self.rng))
            taken = {key(x) for x in out}
            X = X[region.holds(X) & np.array([key(x) not in taken for x in X], bool)][:n]
        if not len(X):
            raise EvaluationsError(f"n is {n}, and no mask is left to start from; tell more, or loosen the conditions.")
        said = [f"A start for {self.question}: nothing is fitted before {self.start} runs are told."]
        if self.question == "leave-one-out" and n >= 2 * (K + 1):
            said.append(
                f"For this one question {n // (K + 1)} rounds of leave-one-out ({K + 1} runs each, each with its own "
                "seed) are often the better buy: masks.leave_one_out."
            )
        m, nan = len(X), float("nan")
        return Proposal(
            masks=X,
            tasks=self.tasks,
            question=self.question,
            words="a start design",
            kind=self.kind,
            seeds=np.full(m, 0 if self.coupled else -1, np.int64),
            fidelity=("retrained",) * m,
            repeats=np.zeros(m, bool),
            gain=np.full(m, nan),
            cost=np.ones(m),
            before=nan,
            after=nan,
            unit="",
            worth_it=True,
            leave_one_out=False,
            how="design",
            sentences=tuple(said),
        )
