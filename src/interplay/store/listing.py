"""Rows of a store, filtered: as a frame to look at, and as the evaluations that everything is learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..fields import EvaluationsError, listed, unknown
from ..kinds import fitting_kind
from .claims import gone
from .encoding import masks_from, values_from
from .problem import Problem
from .schema import DONE, FAILED, QUEUED, RUNNING, STATUS, problems, runs, workers

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = [
    "Filter",
    "SeveralTags",
    "counts",
    "delete",
    "evaluations_of",
    "failures",
    "ids_of",
    "one",
    "retry",
    "standing",
]

_CHUNK, _MANY = 500, 20_000


class SeveralTags(EvaluationsError):
    """A store that holds runs under several tags, of which none was named.

    Attributes
    ----------
    where : str
        The store.
    tags : tuple of str
    """

    def __init__(self, where: str, tags: Sequence[str]):
        self.where, self.tags = where, tuple(tags)
        super().__init__(where, self.tags)  # what a pickle keeps

    def __str__(self) -> str:
        return f"{self.statement} Name one (tag=, --tag)."

    @property
    def statement(self) -> str:
        """What it holds, as a sentence."""
        return f"{self.where} holds runs under {len(self.tags)} tags: {listed([repr(t) for t in self.tags])}."


@dataclass(frozen=True)
class Filter:
    """Which rows of a problem: every condition that is given must hold.

    Attributes
    ----------
    status : sequence of {"queued", "running", "done", "failed"}
    seeds : sequence of int
    having, without : sequence of str
        Tasks that must be present, or absent.
    """

    status: Sequence[str] = ()
    seeds: Sequence[int] = ()
    having: Sequence[str] = ()
    without: Sequence[str] = ()

    def where(self, problem: Problem) -> list[sa.ColumnElement[bool]]:
        """Return the conditions that the database checks."""
        found: list[sa.ColumnElement[bool]] = [runs.c.problem == problem.id]
        if self.status:
            for word in self.status:
                if word not in STATUS:
                    raise EvaluationsError(f"status is {word!r}; choose of {', '.join(STATUS)}.")
            found.append(runs.c.status.in_([STATUS.index(word) for word in self.status]))
        if self.seeds:
            found.append(runs.c.seed.in_([int(seed) for seed in self.seeds]))
        return found

    def masks(self, problem: Problem, masks: np.ndarray) -> np.ndarray:
        """Return which masks (n, K) hold and lack the tasks named."""
        keep = np.ones(len(masks), bool)
        for names, present in ((self.having, True), (self.without, False)):
            for name in names:
                if name not in problem.tasks:
                    raise unknown(name, problem.tasks, "task")
                keep &= (masks[:, problem.tasks.index(name)] != 0) == present
        return keep

    @property
    def by_mask(self) -> bool:
        """Whether masks decide."""
        return bool(self.having or self.without)


def counts(connection: Connection) -> dict[int, dict[str, int]]:
    """Count the rows of every problem by where they stand."""
    found: dict[int, dict[str, int]] = {}
    query = sa.select(runs.c.problem, runs.c.status, sa.func.count()).group_by(runs.c.problem, runs.c.status)
    for problem, status, n in connection.execute(query):
        found.setdefault(problem, {name: 0 for name in STATUS})[STATUS[status]] = n
    return found


def standing(connection: Connection, problem: Problem, ids: np.ndarray) -> dict[str, int]:
    """Count some rows (n,) by where they stand."""
    found: dict[str, int] = {status: 0 for status in STATUS}
    near = sa.and_(runs.c.problem == problem.id, runs.c.id.between(int(ids.min()), int(ids.max())))
    query = sa.select(runs.c.status, sa.func.count()).where(near).group_by(runs.c.status)
    found |= {STATUS[status]: n for status, n in connection.execute(query)}
    if sum(found.values()) == len(ids):
        return found
    wanted, found = set(ids.tolist()), {status: 0 for status in STATUS}
    for number, status in connection.execute(sa.select(runs.c.id, runs.c.status).where(near)):
        if number in wanted:
            found[STATUS[status]] += 1
    return found


def evaluations_of(
    connection: Connection, problem: Problem, *, which: Filter | None = None, ids: np.ndarray | None = None
) -> Evaluations | None:
    """Read what was measured, in the order of the rows' numbers, or of `ids`; None if nothing was."""
    from ..evaluations import Evaluations

    which = which or Filter()
    if problem.targets is None:
        return None
    columns = [runs.c.id, runs.c.mask, runs.c.seed, runs.c.measured, runs.c.cost]
    query = sa.select(*columns).where(*which.where(problem), runs.c.status == DONE).order_by(runs.c.id)
    if ids is not None and len(ids):  # a range of numbers, then exactly those: no list of a million in a statement
        query = query.where(runs.c.id.between(int(ids.min()), int(ids.max())))
    parts = []
    for rows in connection.execute(query).partitions(_MANY):  # a million at once would take twice as long
        numbers, encoded, seeds, kept, cost = zip(*rows, strict=True)
        decoded = masks_from(encoded, len(problem.tasks)), values_from(kept, len(problem.targets))
        parts.append((np.array(numbers), *decoded, np.array(seeds, np.int64), np.array(cost, float)))
    if not parts:
        return None
    numbers, masks, values, seeds, cost = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    keep = np.arange(len(numbers))
    if ids is not None:
        place = {number: i for i, number in enumerate(numbers.tolist())}
        keep = np.array([place[i] for i in ids.tolist() if i in place], int)
    if which.by_mask:
        keep = keep[which.masks(problem, masks[keep])]
    if not len(keep):
        return None
    return Evaluations.from_arrays(
        masks[keep],
        values[keep],
        tasks=problem.tasks,
        targets=problem.targets,
        higher_is_better=problem.directions,
        fidelity=problem.fidelity,
        seed=seeds[keep],
        cost=cost[keep],
        origin=problem.evaluator,
        notes=problem.notes,
        kind=fitting_kind(masks),
    )


def failures(connection: Connection, problem: Problem, ids: np.ndarray) -> list[tuple[int, str]]:
    """Return the numbers and the words of those rows (n,) that failed for good."""
    wanted = set(ids.tolist())
    query = sa.select(runs.c.id, runs.c.error).where(runs.c.problem == problem.id, runs.c.status == FAILED)
    return [(row.id, row.error) for row in connection.execute(query.order_by(runs.c.id)) if row.id in wanted]


def one(connection: Connection, number: int) -> tuple[Problem, dict[str, Any]]:
    """Read one row whole, with its problem.

    Raises
    ------
    EvaluationsError
        If there is no row of this number.
    """
    from .problem import problem_of

    row = connection.execute(sa.select(runs).where(runs.c.id == number)).one_or_none()
    if row is None:
        raise EvaluationsError(f"there is no run {number} in this store; `interplay runs STORE` lists them.")
    problem = problem_of(connection.execute(sa.select(problems).where(problems.c.id == row.problem)).one())
    held = dict(row._mapping)
    held["mask"] = masks_from([row.mask], len(problem.tasks))[0]
    held["values"] = None
    if (measured := held.pop("measured")) is not None:
        held["values"] = values_from([measured], len(problem.targets or ()))[0]
    held["status"] = STATUS[row.status]
    name = sa.select(workers.c.name).where(workers.c.id == row.worker)
    held["worker"] = connection.execute(name).scalar_one_or_none()
    return problem, held


def retry(connection: Connection, problem: Problem, which: Filter) -> int:
    """Queue failed rows again, with all their tries; return how many."""
    ids = ids_of(connection, problem, which, FAILED)
    for start in range(0, len(ids), _CHUNK):
        again = sa.update(runs).where(runs.c.id.in_(ids[start : start + _CHUNK]), runs.c.status == FAILED)
        connection.execute(again.values(status=QUEUED, attempts=0, losses=0, claim=None))
    return len(ids)


def delete(connection: Connection, problem: Problem, which: Filter | None = None, patience: float = 60.0) -> int:
    """Delete rows of a problem, and the problem where no row is left; return how many rows.

    Rows that are being evaluated are not deleted, but those of workers who are dead, or were not heard of for
    `patience` seconds.
    """
    silent = gone(connection, patience)
    busy = sa.select(sa.func.count()).where(*(which or Filter()).where(problem), runs.c.status == RUNNING)
    if n := connection.execute(busy.where(runs.c.worker.not_in(silent))).scalar_one():
        raise EvaluationsError(
            f"{n} runs of {problem.label} are being evaluated; stop their workers first, or delete them when they are "
            "through."
        )
    if which is None or which == Filter():
        n = connection.execute(sa.delete(runs).where(runs.c.problem == problem.id)).rowcount
    else:
        ids = ids_of(connection, problem, which, None)
        n = len(ids)
        for start in range(0, n, _CHUNK):
            connection.execute(sa.delete(runs).where(runs.c.id.in_(ids[start : start + _CHUNK])))
    if not connection.execute(sa.select(runs.c.id).where(runs.c.problem == problem.id).limit(1)).first():
        connection.execute(sa.delete(problems).where(problems.c.id == problem.id))
    return n


def chosen(found: Sequence[Problem], tag: str | None, fidelity: str | None, where: str) -> list[Problem]:
    """Return the problems that are asked about: those of one tag.

    Raises
    ------
    EvaluationsError
        If there are none, or several tags and none is named.
    """
    if not found:
        raise EvaluationsError(f"{where} holds no runs yet.")
    tags = list(dict.fromkeys(problem.tag for problem in found))
    if tag is None and len(tags) > 1:
        raise SeveralTags(where, tags)
    if tag is not None and tag not in tags:
        raise unknown(tag, tags, "tag")
    found = [problem for problem in found if tag in (None, problem.tag)]
    if fidelity is not None and fidelity not in [problem.fidelity for problem in found]:
        raise unknown(fidelity, [problem.fidelity for problem in found], "fidelity")
    return [problem for problem in found if fidelity in (None, problem.fidelity)]


def ids_of(connection: Connection, problem: Problem, which: Filter, status: int | None) -> list[int]:
    """Return the numbers of the rows that pass a filter, of one status or any."""
    query = sa.select(runs.c.id, runs.c.mask).where(*which.where(problem))
    if status is not None:
        query = query.where(runs.c.status == status)
    rows = connection.execute(query).all()
    keep = which.masks(problem, masks_from([row.mask for row in rows], len(problem.tasks)))
    return [row.id for row, kept in zip(rows, keep.tolist(), strict=True) if kept]
