"""Who evaluates what: rows are claimed, and a claim holds as long as its worker's heart beats.

queued --claim--> running --record--> done, or queued again after a failure, or failed after the last try
running --worker not heard of for `patience` seconds, or known to be dead--> queued

A result counts only under the claim that it was evaluated for: one that comes after its claim was taken over is
dropped and counted, so that nothing is recorded twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from .database import Database, StoreUnavailable, logger
from .encoding import keys_of, masks_from, masks_to, plain_text, values_to
from .places import alive, here, this_process
from .problem import Problem, still_there
from .schema import DONE, FAILED, QUEUED, RUNNING, epoch, runs, workers

__all__ = ["HURRY", "LOSSES", "Claim", "Claims", "Result", "enlist", "gone"]

#: A row whose workers died so many times is taken to kill them, and kept as failed.
LOSSES = 10
#: Seconds of work whose results are synced to the disk, which takes some milliseconds.
WORTH = 0.05
#: Seconds for which a worker that ends waits for a database that is away.
HURRY = 20.0
_CHUNK = 500


@dataclass(frozen=True)
class Claim:
    """A row to evaluate, and the token under which its result counts."""

    id: int
    token: str
    mask: np.ndarray
    seed: int


@dataclass(frozen=True)
class Result:
    """What came of a claim: values (T,), or the words of a failure."""

    claim: Claim
    values: np.ndarray | None
    seconds: float
    error: str | None = None
    output: str | None = None


def enlist(database: Database, problem: Problem, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Put rows (n,) into the store that it does not hold yet; return the numbers of all of them (n,)."""
    encoded = masks_to(masks)
    keys = keys_of(encoded, seeds)

    def numbers(connection: Connection, some: Sequence[bytes]) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for start in range(0, len(some), _CHUNK):
            theirs = (runs.c.problem == problem.id, runs.c.key.in_(some[start : start + _CHUNK]))
            query = sa.select(runs.c.key, runs.c.id).where(*theirs)
            found |= {bytes(key): number for key, number in connection.execute(query)}
        return found

    def put(connection: Connection) -> dict[bytes, int]:
        still_there(connection, problem, lock=True)  # one at a time, so that no row is put twice
        known = numbers(connection, keys)
        fresh = {"problem": problem.id, "status": QUEUED, "attempts": 0, "losses": 0}
        missing: dict[bytes, dict[str, Any]] = {}
        for key, mask, seed in zip(keys, encoded, seeds.tolist(), strict=True):
            if key not in known:
                missing[key] = {"key": key, "mask": mask, "seed": seed, **fresh}
        if missing:
            connection.execute(sa.insert(runs), list(missing.values()))
        return known | numbers(connection, list(missing))

    known = database.write(put)
    return np.array([known[key] for key in keys], np.int64)


def gone(connection: Connection, patience: float) -> list[int]:
    """Return the workers who hold rows and are dead, or were not heard of for so many seconds."""
    busy = sa.select(runs.c.worker).where(runs.c.status == RUNNING).distinct()
    query = sa.select(workers, (epoch() - workers.c.heartbeat).label("silent")).where(workers.c.id.in_(busy))
    rows = connection.execute(query)
    return [row.id for row in rows if row.silent > patience or alive(row.place, row.process) is False]


class Claims:
    """A worker of a store: it claims rows of one problem among those wanted, and records what came of them.

    Parameters
    ----------
    database : Database
    problem : Problem
    wanted : (n,) array of int
        Numbers of the rows that this worker may claim.
    retries : int
        How often a failed evaluation is tried again.
    patience : float
        Seconds without a heartbeat after which a worker's claims are taken over.
    """

    def __init__(self, database: Database, problem: Problem, wanted: np.ndarray, *, retries: int, patience: float):
        self.database, self.problem, self.retries, self.patience = database, problem, retries, patience
        self._wanted = set(wanted.tolist())
        self._first, self._last = int(wanted.min()), int(wanted.max())
        self._from = 0  # rows before this one were looked at
        self._count = 0
        self._looked = self._awake = -float("inf")
        self._beaten = time.time()
        #: Rows that this worker recorded as failed for good.
        self.failed = 0
        name = f"{here().split(' ')[0]}:{os.getpid()}"
        row = {"name": name, "place": here(), "process": this_process(), "late": 0}
        put = sa.insert(workers).values(**row, started=epoch(), heartbeat=epoch())
        self.worker: int = database.write(lambda c: c.execute(put).inserted_primary_key[0])  # type: ignore[index]
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="interplay heartbeat", daemon=True)
        self._heart.start()

    # ---- claiming ---------------------------------------------------------------------------------------

    def claim(self, n: int) -> list[Claim]:
        """Claim up to n rows; fewer, or none, where all others are done, failed or claimed."""
        if time.monotonic() - self._looked > self.patience / 4:
            self.take_over()
        found = self._claim(n)
        if not found and self._from:
            self._from = 0  # rows that failed once, or were taken over, are queued again
            found = self._claim(n)
        return found

    def _claim(self, n: int) -> list[Claim]:
        self._count += 1
        token = f"{self.worker}-{self._count}"
        columns = (runs.c.id, runs.c.mask, runs.c.seed)

        def work(connection: Connection) -> tuple[list[Any], int]:
            still_there(connection, self.problem)
            taken = list(connection.execute(sa.select(*columns).where(_under(self.problem, self.worker, token))))
            if taken:  # an earlier try was committed, and the answer was lost
                return taken, taken[-1].id + 1
            start, most = max(self._from, self._first), n
            open_ = (runs.c.problem == self.problem.id, runs.c.status == QUEUED)
            while len(taken) < n:
                query = sa.select(*columns).where(*open_, runs.c.id.between(start, self._last))
                rows = connection.execute(query.order_by(runs.c.id).limit(most).with_for_update(skip_locked=True)).all()
                taken += [row for row in rows if row.id in self._wanted][: n - len(taken)]
                if not rows:
                    break
                start = (taken[-1].id if len(taken) == n else rows[-1].id) + 1
                most = min(2 * most, 5000)  # rows of an earlier call, which nobody asks for now, lie between
            now = {"status": RUNNING, "worker": self.worker, "claim": token, "started": epoch(), "ended": None}
            for part in range(0, len(taken), _CHUNK):
                ids = [row.id for row in taken[part : part + _CHUNK]]
                connection.execute(sa.update(runs).where(runs.c.id.in_(ids)).values(**now))
            return taken, start

        taken, self._from = self.database.write(work)
        masks = masks_from([row.mask for row in taken], len(self.problem.tasks))
        return [Claim(row.id, token, mask, row.seed) for row, mask in zip(taken, masks, strict=True)]

    def take_over(self) -> int:
        """Queue again what workers left that are not heard of any more; return how many rows."""
        self._looked = time.monotonic()
        if time.monotonic() - self.database.away < self.patience or time.time() < self._awake + self.patience:
            return 0  # the others' hearts could not beat either
        if time.time() > self._beaten + self.patience:  # this process slept, perhaps the machine with all the others
            self._awake = time.time()
            return 0

        def work(connection: Connection) -> int:
            dead = [worker for worker in gone(connection, self.patience) if worker != self.worker]
            if not dead:
                return 0
            theirs = (runs.c.problem == self.problem.id, runs.c.status == RUNNING, runs.c.worker.in_(dead))
            kills = (
                f"{LOSSES} workers that evaluated it died or were not heard of any more; does it need too much memory?"
            )
            connection.execute(
                sa.update(runs)
                .where(*theirs, runs.c.losses >= LOSSES - 1)
                .values(status=FAILED, error=kills, claim=None, ended=epoch(), losses=runs.c.losses + 1)
            )
            again = sa.update(runs).where(*theirs).values(status=QUEUED, claim=None, losses=runs.c.losses + 1)
            return connection.execute(again).rowcount

        taken = self.database.write(work)
        if taken:
            self._from = 0
            logger.info("%d runs of workers that are gone are queued again", taken)
        return taken

    # ---- recording --------------------------------------------------------------------------------------

    def record(self, results: Sequence[Result]) -> int:
        """Record results; return how many came too late, after their claim had been taken over."""

        def work(connection: Connection) -> tuple[list[Result], int]:
            held: dict[int, tuple[str, int, int]] = {}
            ids = [result.claim.id for result in results]
            columns = (runs.c.id, runs.c.claim, runs.c.status, runs.c.attempts)
            for start in range(0, len(ids), _CHUNK):
                query = sa.select(*columns).where(runs.c.id.in_(ids[start : start + _CHUNK])).with_for_update()
                held |= {row.id: (row.claim, row.status, row.attempts) for row in connection.execute(query)}
            late, rows = [], []
            for result in results:
                claim, status, attempts = held.get(result.claim.id, (None, QUEUED, 0))
                if claim != result.claim.token:
                    late.append(result)
                elif status == RUNNING:  # otherwise an earlier try was committed, and the answer was lost
                    rows.append(self._row(result, attempts))
            if rows:
                columns = {name: sa.bindparam(f"new_{name}") for name in rows[0] if name != "row"}
                update = sa.update(runs).where(runs.c.id == sa.bindparam("row")).values(**columns, ended=epoch())
                connection.execute(update, [{k if k == "row" else f"new_{k}": v for k, v in r.items()} for r in rows])
            if late:
                counting = sa.update(workers).where(workers.c.id == self.worker)
                connection.execute(counting.values(late=workers.c.late + len(late)))
            return late, sum(row["status"] == FAILED for row in rows)

        try:
            synced = sum(result.seconds for result in results) > WORTH
            late, failed = self.database.write(work, synced=synced)
        except StoreUnavailable:
            for result in results:
                logger.error("not recorded: row %d, values %s", result.claim.id, result.values)
            raise
        self.failed += failed
        for result in late:
            logger.warning("a result of row %d came after its claim had been taken over; dropped", result.claim.id)
        return len(late)

    def _row(self, result: Result, attempts: int) -> dict[str, Any]:
        output = self._kept(result.output)
        row: dict[str, Any] = {
            "row": result.claim.id,
            "claim": result.claim.token,
            "attempts": attempts,
            "output": output,
        }
        if result.error is None:
            assert result.values is not None
            return {**row, "status": DONE, "measured": values_to(result.values), "cost": result.seconds, "error": None}
        again = attempts + 1 <= self.retries
        row |= {"attempts": attempts + 1, "claim": None if again else result.claim.token}
        error = self._kept(result.error)
        return {**row, "status": QUEUED if again else FAILED, "measured": None, "cost": result.seconds, "error": error}

    def _kept(self, text: str | None) -> str | None:
        """Return a text as every database can hold it, without the secrets of the address."""
        return None if text is None else self.database.scrub(plain_text(text))

    def release(self) -> None:
        """Queue again all that this worker holds, and say that it ended."""
        self._stop.set()
        self._heart.join(timeout=5)

        def work(connection: Connection) -> None:
            mine = (runs.c.problem == self.problem.id, runs.c.worker == self.worker, runs.c.status == RUNNING)
            connection.execute(sa.update(runs).where(*mine).values(status=QUEUED, claim=None))
            connection.execute(sa.update(workers).where(workers.c.id == self.worker).values(ended=epoch()))

        try:
            with self.database.hurried(HURRY):
                self.database.write(work)
        except StoreUnavailable as error:
            logger.warning("%s Others take over what this worker had claimed when its heart is silent.", error)

    def _beat(self) -> None:
        beat = sa.update(workers).where(workers.c.id == self.worker).values(heartbeat=epoch())
        while not self._stop.wait(self.patience / 4):
            try:
                self.database.write(lambda connection: connection.execute(beat))
                self._beaten = time.time()
            except Exception as error:
                logger.warning("no heartbeat: %s", error)


def _under(problem: Problem, worker: int, token: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        runs.c.problem == problem.id, runs.c.status == RUNNING, runs.c.worker == worker, runs.c.claim == token
    )
