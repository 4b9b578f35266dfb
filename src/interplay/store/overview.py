"""What a person sees of a store: where its problems stand, and its rows, page by page, in order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .encoding import masks_from, values_from
from .listing import Filter, counts, gone, ids_of
from .problem import Problem, find
from .schema import DONE, RUNNING, STATUS, runs, workers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run", "Standing", "as_frame", "matching", "page", "standings"]

_RUN = ("id", "seed", "mask", "measured", "cost", "attempts", "losses", "started", "ended", "error")


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One row of a store.

    Attributes
    ----------
    problem : Problem
    status : {"queued", "running", "done", "failed"}
    mask : array (K,)
    values : array (T,), or None
    worker : str, or None
        Machine and process.
    id, seed : int
    seconds : float, or None
        What the last evaluation took.
    attempts, losses : int
        Evaluations that failed; workers that were lost on the way.
    started, ended : float, or None
        Seconds since 1970 by the clock of the database.
    error : str, or None
        Words of the last failure.
    """

    problem: Problem
    status: str
    mask: np.ndarray
    values: np.ndarray | None
    worker: str | None
    id: int
    seed: int
    seconds: float | None
    attempts: int
    losses: int
    started: float | None
    ended: float | None
    error: str | None


@dataclass(frozen=True)
class Standing:
    """Where the rows of a problem stand.

    Attributes
    ----------
    problem : Problem
    counts : dict of str to int
        Rows by status.
    seconds, total : float
        What an evaluation that is done took, in the mean and all together; NaN where none is.
    lost : int
        Rows that are being evaluated by workers of whom nothing is heard any more: the next `evaluate` takes them over.
    """

    problem: Problem
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS, 0))
    seconds: float = float("nan")
    total: float = float("nan")
    lost: int = 0


def standings(connection: Connection, tag: str | None, fidelity: str | None, patience: float) -> list[Standing]:
    """Count the rows of problems by where they stand, with what they took; the database does it."""
    n = counts(connection)
    took = sa.select(runs.c.problem, sa.func.avg(runs.c.cost), sa.func.sum(runs.c.cost)).where(runs.c.status == DONE)
    spent = {problem: (mean, total) for problem, mean, total in connection.execute(took.group_by(runs.c.problem))}
    silent = gone(connection, patience)
    busy = sa.select(runs.c.problem, sa.func.count()).where(runs.c.status == RUNNING, runs.c.worker.in_(silent))
    lost = {problem: count for problem, count in connection.execute(busy.group_by(runs.c.problem))} if silent else {}
    return [
        Standing(
            problem,
            n.get(problem.id, dict.fromkeys(STATUS, 0)),
            *(float("nan") if number is None else float(number) for number in spent.get(problem.id, (None, None))),
            lost=lost.get(problem.id, 0),
        )
        for problem in find(connection, tag, fidelity)
    ]


def page(
    connection: Connection,
    problem: Problem,
    which: Filter,
    status: str,
    *,
    beyond: int | None = None,
    newest_first: bool = False,
    n: int = 5000,
) -> tuple[list[Run], int | None]:
    """Read the next rows of one status; return those that pass the filter, and the number beyond which to go on.

    One status at a time, since that is how the database has them in order.

    Parameters
    ----------
    connection, problem, which
    status : str
    beyond : int, optional
        Number of the row after which, in this order, the page begins.
    newest_first : bool
    n : int
        Rows to look at.

    Returns
    -------
    list of Run
    int or None
        None after the last page.
    """
    columns = [*(runs.c[name] for name in _RUN), workers.c.name]
    query = sa.select(*columns).outerjoin(workers, workers.c.id == runs.c.worker)
    query = query.where(*which.where(problem), runs.c.status == STATUS.index(status))
    if beyond is not None:
        query = query.where(runs.c.id < beyond if newest_first else runs.c.id > beyond)
    rows = connection.execute(query.order_by(runs.c.id.desc() if newest_first else runs.c.id).limit(n)).all()
    masks = masks_from([row.mask for row in rows], len(problem.tasks))
    found = []
    for i in np.flatnonzero(which.masks(problem, masks)).tolist():
        number, seed, _, measured, *others, worker = tuple(rows[i])
        values = None if measured is None else values_from([measured], len(problem.targets or ()))[0]
        found.append(Run(problem, status, masks[i], values, worker, number, seed, *others))
    return found, rows[-1].id if len(rows) == n else None


def as_frame(problem: Problem, rows: Sequence[Run]) -> pd.DataFrame:
    """Return one line per row of a problem: what became of it, then its weights (K), then its values (T).

    A task or target whose name is taken is called ``task:NAME`` or ``target:NAME``.
    """
    import pandas as pd

    taken = ("id", "status", "fidelity", "seed", "cost", "attempts", "worker", "started", "ended", "error")
    facts = {name: [getattr(run, name) for run in rows] for name in taken if name not in ("fidelity", "cost")}
    facts |= {"fidelity": [problem.fidelity] * len(rows), "cost": [run.seconds for run in rows]}
    facts |= {name: pd.to_datetime(facts[name], unit="s", utc=True) for name in ("started", "ended")}
    tasks = [f"task:{name}" if name in taken else name for name in problem.tasks]
    targets = [f"target:{name}" if name in (*taken, *tasks) else name for name in problem.targets or ()]
    missing = np.full(len(targets), np.nan)
    masks = np.array([run.mask for run in rows]).reshape(len(rows), len(tasks))
    values = np.array([missing if run.values is None else run.values for run in rows]).reshape(len(rows), len(targets))
    numbers = (pd.DataFrame(masks, columns=tasks), pd.DataFrame(values, columns=targets))
    return pd.concat([pd.DataFrame(facts)[list(taken)], *numbers], axis=1)


def matching(connection: Connection, problem: Problem, which: Filter) -> int:
    """Count the rows that pass a filter."""
    if which.by_mask:
        return len(ids_of(connection, problem, which, None))
    return connection.execute(sa.select(sa.func.count()).select_from(runs).where(*which.where(problem))).scalar_one()
