"""A store of evaluations: durable, resumable, shared by as many workers as there are.

`interplay.evaluate(..., store="runs.db")` fills one; `Store` reads it. A SQLite file by default; for workers on several
machines any database that SQLAlchemy knows, such as ``postgresql://user@host/runs``. SQLite must lie on a disk of the
machine itself: its log is shared memory, which folders of a network do not have.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..fields import EvaluationsError
from . import listing, overview, schema
from .address import address_of
from .claims import Claims, enlist
from .database import Database, StoreUnavailable
from .listing import Filter
from .overview import Run, Standing
from .problem import Problem, ProblemMismatch, find, given, learnt, noted, settled

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluations import Evaluations

__all__ = [
    "Filter",
    "Problem",
    "ProblemMismatch",
    "Run",
    "Standing",
    "Store",
    "StoreUnavailable",
]


class Store:
    """A store of evaluations.

    Parameters
    ----------
    where : path or str
        A SQLite file such as ``runs.db``, made where it is not there; or ``dialect+driver://user@host/database``.
    patience : float
        Seconds without a heartbeat after which what a worker claimed is taken over. Workers of this machine that are
        dead are known to be at once.
    outage : float
        Seconds for which workers wait for a database that went away, their results in memory.
    must_exist : bool
        Whether a place that holds no store is an error; otherwise one is made there.

    Raises
    ------
    EvaluationsError
        If the place cannot be a store, or is one of a newer version.
    StoreUnavailable
        If the database cannot be reached.

    Examples
    --------
    >>> import tempfile
    >>> from interplay import evaluate, masks
    >>> from interplay.problems.games import additive_game
    >>> folder = tempfile.TemporaryDirectory()
    >>> runs = evaluate(additive_game([0.5, -0.2]), masks.leave_one_out(2), store=f"{folder.name}/runs.db")
    >>> with Store(f"{folder.name}/runs.db") as store:
    ...     store.evaluations().m
    3
    >>> folder.cleanup()
    """

    def __init__(self, where: str | Path, *, patience: float = 60.0, outage: float = 3600.0, must_exist: bool = False):
        for name, value in {"patience": patience, "outage": outage}.items():
            if not value > 0:
                raise ValueError(f"{name} is {value!r}; give seconds > 0.")
        url = address_of(where)
        file = url.get_backend_name() == "sqlite" and url.database
        if file and must_exist and not Path(file).exists():
            raise EvaluationsError(f"store {file!r} does not exist. Check the path; `interplay evaluate` makes stores.")
        self.patience = patience
        #: Whether it outlasts the call that uses it.
        self.lasting = True
        self.database = Database(url, outage=outage)
        if not self.database.first(lambda connection: schema.current(connection, self.where), write=False):
            if must_exist and not self.database.first(schema.holds_a_store, write=False):
                raise EvaluationsError(f"{self.where} holds no store of interplay; `interplay evaluate` makes stores.")
            self.database.first(lambda connection: schema.upgrade(connection, self.where))
            self.database.share()

    @property
    def where(self) -> str:
        """The file or the address, without any password."""
        return self.database.where

    def __repr__(self) -> str:
        lines = [f"Store {self.where}"]
        for problem, n in self.problems():
            stands = ", ".join(f"{count} {status}" for status, count in n.items() if count) or "no runs"
            lines.append(f"  {problem.label}: {stands}; {len(problem.tasks)} tasks, evaluated by {problem.evaluator}")
        return "\n".join(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    # ---- reading ----------------------------------------------------------------------------------------

    def problems(self, tag: str | None = None, fidelity: str | None = None) -> list[tuple[Problem, dict[str, int]]]:
        """Return what is evaluated here, each with the number of its rows by status."""
        found, n = self.database.read(lambda c: (find(c, tag, fidelity), listing.counts(c)))
        return [(problem, n.get(problem.id, dict.fromkeys(schema.STATUS, 0))) for problem in found]

    def evaluations(
        self, *, tag: str | None = None, fidelity: str | None = None, which: Filter | None = None
    ) -> Evaluations:
        """Read what was measured, the runs of all fidelities under one tag.

        Raises
        ------
        EvaluationsError
            If nothing was measured, or there are several tags and none is named.
        """
        problems = self.chosen(tag, fidelity)
        parts = [self.database.read(lambda c, p=p: listing.evaluations_of(c, p, which=which)) for p in problems]
        measured = [part for part in parts if part is not None]
        if not measured:
            raise EvaluationsError(self._nothing(problems, which))
        kinds = {part.kind for part in measured}
        if len(kinds) > 1:  # of masks in one fidelity and mixtures in another, all are weights
            kind = "coefficients" if "coefficients" in kinds else "weights"
            measured = [replace(part, kind=kind) for part in measured]
        runs = measured[0]
        for part in measured[1:]:
            runs = runs + part.select(runs.targets)
        return runs

    def _nothing(self, problems: Sequence[Problem], which: Filter | None) -> str:
        """Say why there is nothing to read."""
        counted = [n for problem, n in self.problems() if problem in problems]
        n = {status: sum(count[status] for count in counted) for status in schema.STATUS}
        if n["done"] and which is not None:
            return f"{self.where}: none of {n['done']} runs that are evaluated is among those asked for."
        see = f"; `interplay runs {quote(self.where)} --status failed` says why" if n["failed"] else ""
        return (
            f"{self.where}: none of {sum(n.values())} runs is evaluated yet ({n['failed']} failed{see}). Run the "
            "evaluation (again): it goes on where it stopped."
        )

    def standings(self, tag: str | None = None, fidelity: str | None = None) -> list[Standing]:
        """Return where each problem stands: its rows by status, what they took; counted by the database."""
        return self.database.read(lambda c: overview.standings(c, tag, fidelity, self.patience))

    def rows(self, problem: Problem, which: Filter | None = None, *, last: int | None = None) -> Iterator[Run]:
        """Go through the rows of a problem, whatever became of them, in the order of their numbers.

        Parameters
        ----------
        problem : Problem
        which : Filter, optional
        last : int, optional
            Only so many, the latest.
        """
        which = which or Filter()
        whole = last is None or which.by_mask
        how: dict[str, Any] = {"newest_first": last is not None, "n": 5000 if whole else max(last or 1, 1)}
        parts = [self._pages(problem, which, status, **how) for status in which.status or schema.STATUS]
        merged = heapq.merge(*parts, key=lambda run: run.id, reverse=last is not None)
        return merged if last is None else iter(list(islice(merged, last))[::-1])

    def _pages(self, problem: Problem, which: Filter, status: str, **how: Any) -> Iterator[Run]:
        beyond = None
        while True:
            found, beyond = self.database.read(
                lambda c, b=beyond: overview.page(c, problem, which, status, beyond=b, **how)
            )
            yield from found
            if beyond is None:
                return

    def matching(self, problem: Problem, which: Filter | None = None) -> int:
        """Count the rows of a problem that pass a filter."""
        return self.database.read(lambda c: overview.matching(c, problem, which or Filter()))

    def frame(self, *, tag: str | None = None, which: Filter | None = None, last: int | None = None) -> pd.DataFrame:
        """Return one line per row, whatever became of it, of all fidelities under one tag."""
        import pandas as pd

        found = self.chosen(tag, None)
        parts = [overview.as_frame(problem, list(self.rows(problem, which, last=last))) for problem in found]
        frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
        return frame if last is None else frame.sort_values("id").tail(last)

    def run(self, number: int) -> tuple[Problem, dict[str, Any]]:
        """Return one row by its number, with its problem: mask, values, error and all else."""
        return self.database.read(lambda c: listing.one(c, number))

    def chosen(self, tag: str | None, fidelity: str | None) -> list[Problem]:
        """Return the problems of one tag; an error where it is not said which of several."""
        found = [problem for problem, _ in self.problems()]
        return listing.chosen(found, tag, fidelity, self.where)

    # ---- changing ---------------------------------------------------------------------------------------

    def retry(self, problem: Problem, which: Filter | None = None) -> int:
        """Queue failed rows again, to be evaluated by the next call of `evaluate`; return how many."""
        return self.database.write(lambda c: listing.retry(c, problem, which or Filter()))

    def delete(self, problem: Problem, which: Filter | None = None) -> int:
        """Delete a problem with all its rows, or some of them; return how many rows.

        Raises
        ------
        EvaluationsError
            If some of them are being evaluated.
        """
        return self.database.write(lambda c: listing.delete(c, problem, which, self.patience))

    # ---- for those who evaluate -------------------------------------------------------------------------

    def settle(self, evaluator: Any, tasks: Sequence[str], tag: str = "", *, accept_changed: bool = False) -> Problem:
        """Find the problem of an evaluator here, or put it here; refuse another one under its tag and fidelity."""
        mine = given(evaluator, tasks, tag)
        return self.database.write(lambda c: settled(c, mine, self.where, accept_changed))

    def enlist(self, problem: Problem, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Put rows (n,) here that are not yet; return their numbers (n,)."""
        return enlist(self.database, problem, masks, seeds)

    def claims(self, problem: Problem, wanted: np.ndarray, *, retries: int) -> Claims:
        """Become a worker for some rows."""
        return Claims(self.database, problem, wanted, retries=retries, patience=self.patience)

    def learn(self, problem: Problem, targets: Sequence[str]) -> Problem:
        """Name the targets of a problem, unless they are named; return it as it is here."""
        return self.database.write(lambda c: learnt(c, problem, targets))

    def note(self, problem: Problem, notes: dict[str, Any]) -> Problem:
        """Add facts that travel with the runs."""
        return self.database.write(lambda c: noted(c, problem, notes))

    def standing(self, problem: Problem, ids: np.ndarray) -> dict[str, int]:
        """Count rows (n,) by where they stand."""
        return self.database.read(lambda c: listing.standing(c, problem, ids))

    def measured(self, problem: Problem, ids: np.ndarray) -> Evaluations | None:
        """Read rows by their numbers (n,), in that order, those that are done."""
        return self.database.read(lambda c: listing.evaluations_of(c, problem, ids=ids))

    def failures(self, problem: Problem, ids: np.ndarray) -> list[tuple[int, str]]:
        """Return number and words of the rows among these (n,) that failed for good."""
        return self.database.read(lambda c: listing.failures(c, problem, ids))
