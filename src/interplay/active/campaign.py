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

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..draws import generator
from ..evaluations import MIN_RUNS, Evaluations, EvaluationsError
from ..fidelities import estimated
from ..fields import as_column, as_floats, as_names, match, unknown
from ..repeats import key, keys
from .beliefs import Arms
from .candidates import Region, distinct, given
from .costs import said
from .proposal import Proposal
from .proposing import propose
from .questions import MASKS, QUESTIONS, asked, check
from .requests import check_effect, checked_how, checked_surrogate, starting_point, whole
from .starting import start_masks, start_proposal

Array = NDArray[np.float64]
START = 8  # runs of the start design, at least
LIMITS = ("size", "require", "forbid", "feasible")
OWN = ("runs", "question", "batch", "rng", "pending")  # of `propose`: what a campaign gives itself
Stated = tuple[bytes, str, int]
OTHER = 3


class Campaign:
    """A question that runs are gathered for: `ask` what to run, `tell` what came of it.

    Answers may come in any order, some of them or all: what was asked for and is not told is pending and counts as
    done. A run that failed is told as NaN, or given up with `forget`: it may then be proposed again (what always fails
    is ruled out by ``feasible`` or ``forbid``). To go on another day, keep ``runs`` in a file, make the campaign anew
    and tell it what was read: ``campaign.tell(Evaluations.read("runs.parquet"))``; what was pending is asked anew.

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
        Whether a seed is the same training for every mask: runs are then asked for under seed 0. As the runs that are
        told say, if not given.
    start : int, optional
        Runs of the start design, before anything is fitted: as many as tasks, between 8 and 16, if not given. No more
        than there are candidates, or masks that may be run.
    how
        Of `propose`: groups, target, surrogate, how, candidates, size, require, forbid, feasible, cost, ...

    Attributes
    ----------
    runs : Evaluations or None
        What was told.
    pending : Arms
        What was asked and not told.

    Raises
    ------
    EvaluationsError, ValueError, TypeError
        For what `propose` would refuse whatever the runs.
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
        if question == "swap" and not isinstance(how.get("size"), int | np.integer):
            raise EvaluationsError("question='swap' is about sets of one size: give it, such as size=4.")
        self.question, self.rng, self.how = question, generator(rng), how
        self.kind = kind or ("mask" if question in MASKS else "mixture")
        if self.kind not in ("mask", "mixture"):
            raise EvaluationsError(f"kind is {self.kind!r}; choose mask or mixture.")
        self.targets, self.higher_is_better, self.coupled = targets, higher_is_better, coupled
        if start is not None and start < MIN_RUNS:
            raise ValueError(f"start is {start}; a fit needs at least {MIN_RUNS} runs.")
        self.start = start or int(np.clip(len(self.tasks), START, 2 * START))
        self.region = Region(self.tasks, self.kind, **{name: how[name] for name in LIMITS if name in how})
        self._check()
        if how.get("candidates") is not None:
            own = distinct(given(how["candidates"], self.tasks, self.kind))
            how["candidates"] = own = own[self.region.holds(own)]
            self.start = min(self.start, max(len(own), MIN_RUNS))
        self.runs: Evaluations | None = None
        none = np.zeros(0, np.int64)
        self.pending = Arms(np.zeros((0, len(self.tasks))), none, np.zeros(0, str))

    def ask(self, n: int = 1) -> Proposal:
        """Propose the next n runs; they are pending until they are told.

        The first ones are a design for the question (`masks.design`; D-optimal for mixtures, and among candidates where
        these are given), then `propose`: once ``start`` runs are told, or five where no mask is left to start from.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"n is {n!r}; ask for at least one run.")
        known, runs = self._measured(), self.runs
        m = 0 if runs is None else int(known.sum())
        fits = runs is not None and m >= MIN_RUNS and np.ptp(runs.masks[known], axis=0).any()
        X = None if fits and m >= self.start else self._start(int(n), known)
        if runs is not None and (X is None or (fits and not len(X))):
            how = {**self.how, "pending": self.pending if len(self.pending) else None}
            out = propose(runs, self.question, n, rng=self.rng, **how)
        elif X is None or not len(X):
            raise EvaluationsError(
                f"n is {n}, and no {self.kind} is left to start from; tell more, or loosen the conditions: a fit needs "
                f"{MIN_RUNS} runs that differ and have a value, and {m} were told."
            )
        else:
            out = start_proposal(X, int(n), self.tasks, self.question, self.kind, bool(self._levels), self.start)
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
        fidelity: str | Sequence[str] | None = None,
    ) -> Evaluations:
        """Add what was run: `Evaluations`; masks and values; or the values of all that is pending, in its order.

        Parameters
        ----------
        runs : Evaluations, array (n, K) or (K,), or array (n, T) or (n,)
            Masks or mixtures where ``values`` are given, else the values of the n runs that are pending.
        values : array (n, T) or (n,), optional
            NaN of a run that failed, or where a target was not measured.
        seed : int or sequence of int (n,), optional
            Under which each was run; as it was asked for if not given.
        cost : float or sequence of float (n,), optional
            What each took, in any unit that is the same for all, see `propose`; unknown if not given.
        fidelity : str or sequence of str (n,), optional
            How each was trained, a word of yours; as it was asked for if not given ('retrained' at the start).

        Returns
        -------
        Evaluations
            All runs so far.
        """
        if isinstance(runs, Evaluations):
            more = runs
            if self.coupled is not None and "coupled" not in more.notes:
                more = replace(more, notes={**more.notes, "coupled": bool(self.coupled)})
        else:
            if values is None:
                values, n = runs, len(self.pending)
                if np.shape(values)[:1] != (n,):
                    raise EvaluationsError(
                        f"values have shape {np.shape(values)} and {n} runs are pending; tell one row for each, or "
                        "masks and values."
                    )
                masks, stated = self.pending.weights, self.pending.seed
                seeds = stated if seed is None else seed
                words = self.pending.fidelity if fidelity is None else fidelity
            else:
                masks = as_floats(runs, "masks")
                if masks.ndim == 1:
                    masks, values = masks[None], np.atleast_1d(as_floats(values, "values"))[None]
                if masks.ndim != 2 or masks.shape[1] != len(self.tasks):
                    raise EvaluationsError(
                        f"masks have shape {masks.shape}; give one column for each of the {len(self.tasks)} tasks."
                    )
                seeds, words = self._as_asked(masks, seed, fidelity)
            like = self if self.runs is None else self.runs
            how: dict[str, Any] = {"targets": like.targets, "higher_is_better": like.higher_is_better}
            how |= {"tasks": self.tasks, "kind": self.kind, "seed": seeds, "cost": cost, "fidelity": words}
            notes = {} if self._levels is None else {"coupled": self._levels}
            more = Evaluations.from_arrays(masks, values, **how, notes=notes)
        self.runs = more if self.runs is None else self.runs + more
        self._done(more, self.runs)
        return self.runs

    def forget(self, masks: ArrayLike | None = None) -> None:
        """Give up what is pending, all of it or that of masks (n, K): it may be asked for again.

        Raises
        ------
        EvaluationsError
            For a mask that is not pending.
        """
        if masks is None:
            self.pending = self.pending[np.zeros(0, np.int64)]
            return
        under = keys(self.pending.weights)
        given_up = keys(np.atleast_2d(as_floats(masks, "masks")))
        if lost := [i for i, one in enumerate(given_up) if one not in under]:
            raise EvaluationsError(f"masks: row {lost[0]} is not pending; give rows of pending.weights.")
        self.pending = self.pending[np.array([i for i, one in enumerate(under) if one not in given_up], np.int64)]

    def _check(self) -> None:
        """Refuse what `propose` would refuse whatever the runs.

        Raises
        ------
        EvaluationsError, ValueError, TypeError
        """
        how, K = self.how, len(self.tasks)
        known = [name for name in inspect.signature(propose).parameters if name not in OWN]
        if strange := [name for name in how if name not in known]:
            raise TypeError(str(unknown(strange[0], known, "argument of Campaign")))
        question = check(self.question, self.kind)
        way = checked_how(how.get("how", "auto"), question, self.kind)
        effects = ("among", "incumbent", "reference", "cost", "repeats")
        check_effect(way, question, **{name: how[name] for name in effects if name in how})
        checked_surrogate(how.get("surrogate", "auto"), question)
        if how.get("target") is not None and self.targets is not None:
            match(how["target"], [self.targets] if isinstance(self.targets, str) else self.targets, "target")
        if how.get("budget") is not None:
            whole(how["budget"], "budget", 0)
        full = np.ones((1, K)) / (1 if self.kind == "mask" else K)
        X = self.region.brought(full, np.random.default_rng(0))
        start = None if how.get("reference") is None else starting_point(how["reference"], self.kind, K)
        put = {"groups": how.get("groups"), "reference": start}
        asked(question, self.kind, X if question == "swap" else full, self.tasks, np.random.default_rng(0), **put)
        if how.get("incumbent") is not None:
            starting_point(how["incumbent"], "mask", K, "incumbent")
        if how.get("among") is not None:
            match(how["among"], self.tasks, "task (among=)")
        if how.get("cost") is not None:
            said(how["cost"], X)

    def _measured(self) -> NDArray[np.bool_]:
        """Which runs have a value of a target that is asked about, array (m,)."""
        if self.runs is None:
            return np.zeros(0, bool)
        runs, target = self.runs, self.how.get("target")
        runs = runs if target is None else runs.select(match(target, runs.targets, "target"))
        return np.atleast_1d(np.isfinite(runs.values).any(axis=1))

    @property
    def _levels(self) -> bool | None:
        """Whether seeds are coupled: as was said, or as the runs say."""
        if self.coupled is not None or self.runs is None:
            return None if self.coupled is None else bool(self.coupled)
        return self.runs.notes.get("coupled")

    def _as_asked(
        self, masks: Array, seed: int | Sequence[int] | None, fidelity: str | Sequence[str] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Seeds and fidelities (n,) of masks (n, K): as they are stated, else those of the pending run of that mask."""
        n, left, out = len(masks), _stated(self.pending), []
        seeds = [None] * n if seed is None else as_column(seed, "seed", np.int64, n).tolist()
        words = [None] * n if fidelity is None else as_column(fidelity, "fidelity", str, n).tolist()
        for i, (x, own, word) in enumerate(zip(masks, seeds, words, strict=True)):
            fits = [one for one in left if one[0] == key(x) and (own is None or own == one[2] or -1 in (own, one[2]))]
            hit = min(fits, key=lambda one: (word not in (None, one[1]), own not in (None, one[2])), default=None)
            if hit is not None:
                left.remove(hit)
            word = word or ("retrained" if hit is None else hit[1])
            own = own if own is not None else -1 if hit is None else hit[2]
            if self._levels and own < 0 and not estimated(word):
                raise EvaluationsError(
                    f"masks: row {i} is not pending, and a seed is the same training for every mask (coupled): state "
                    "the one that it was run under, seed=."
                )
            out.append((own, word))
        return np.array([one for one, _ in out], np.int64), np.array([word for _, word in out], str)

    def _done(self, more: Evaluations, runs: Evaluations) -> None:
        """Take what was told from what is pending, each run once: first what is told as it was asked for."""
        words, left, told = set(runs.fidelity.tolist()), dict(enumerate(_stated(self.pending))), _stated(more)
        for most in range(OTHER):
            others = []
            for run in told:
                hit = next((i for i, one in left.items() if _apart(run, one, words) <= most), None)
                if hit is None:
                    others.append(run)
                else:
                    del left[hit]
            told = others
        self.pending = self.pending[np.array(list(left), np.int64)]

    def _seeds_of(self, out: Proposal) -> NDArray[np.int64]:
        """Seeds as levels: none where the model has none."""
        return out.seeds if self._levels else np.full(len(out), -1, np.int64)

    def _start(self, n: int, known: NDArray[np.bool_]) -> Array:
        """The next rows (at most n, K) of a start design: those not told nor pending, then those without a value."""
        none = np.zeros((0, len(self.tasks)))
        told, done = (none, none) if self.runs is None else (self.runs.masks, self.runs.masks[known])
        for there in (told, done):
            out = np.vstack([there, self.pending.weights])
            X = start_masks(n, out, self.tasks, self.question, self.region, self.how.get("candidates"), self.rng)
            if len(X) or len(told) == len(done):
                break
        return X


def _stated(runs: Arms | Evaluations) -> list[Stated]:
    """Mask, fidelity and seed of every run."""
    X = runs.weights if isinstance(runs, Arms) else runs.masks
    return list(zip(keys(X), runs.fidelity.tolist(), runs.seed.tolist(), strict=True))


def _apart(told: Stated, pending: Stated, words: set[str]) -> int:
    """How far a run is from one asked for: 0 the same, 1 a seed not stated, 2 another fidelity, `OTHER` not that run.

    Another fidelity will do where no run, ``words`` being those of all, is of the one asked for: a start design does
    not know its name.
    """
    (mask, word, seed), (same, other, under) = told, pending
    if mask != same or (word != other and other in words) or (seed != under and -1 not in (seed, under)):
        return OTHER
    return 2 if word != other else int(seed != under)
