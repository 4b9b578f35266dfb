"""Transactions that outlast an outage: a full disk, a locked file, a server that goes away and comes back.

Work is a function of a connection. It runs inside one transaction, whole or not at all, and again after a pause where
the database was not to be had; what it writes must therefore mean the same when it runs twice.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine

from .address import scrubbed, shown

__all__ = ["Database", "StoreUnavailable"]

logger = logging.getLogger("interplay.store")
Result = TypeVar("Result")

#: SQLite's primary error codes that pass by themselves or by somebody's hand: the disk, a lock, a place that is away.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


class StoreUnavailable(OSError):
    """A store that cannot be opened, or that did not come back in time."""


class Database:
    """A database and its transactions.

    Parameters
    ----------
    url : sqlalchemy.engine.URL
    outage : float
        Seconds for which work waits for a database that went away, before `StoreUnavailable` is raised.
    """

    def __init__(self, url: URL, *, outage: float = 3600.0):
        self.url, self.outage = url, outage
        self.where = shown(url)
        self.engine = _engine(url)
        self._file = os.path.abspath(url.database) if url.get_backend_name() == "sqlite" and url.database else None
        #: When (time.monotonic) the database was away last; -inf if never.
        self.away = -float("inf")

    def scrub(self, text: str) -> str:
        """Take the secrets of the address out of a text."""
        return scrubbed(text, self.url)

    def first(self, work: Callable[[Connection], Result], *, write: bool = True) -> Result:
        """Run work without waiting: whoever opens a store should hear at once that it is not there.

        Where several open a new store at the same time, one makes its tables, and the others look again.
        """
        tries = 0
        while True:
            try:
                with self.engine.execution_options(interplay_write=write).begin() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                tries += 1
                if tries > 10 or not isinstance(error, exc.ProgrammingError | exc.IntegrityError):
                    raise StoreUnavailable(f"store {self.where} cannot be opened: {self._words(error)}.") from None
                time.sleep(0.1 * tries)

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run work that only reads."""
        return self._lasting(work, write=False)

    def write(self, work: Callable[[Connection], Result], *, synced: bool = False) -> Result:
        """Run work that writes, whole or not at all.

        A process that is killed loses nothing that was written. With `synced` neither does a machine that loses its
        power: SQLite then waits for the disk, some milliseconds; servers do so always.
        """
        return self._lasting(work, write=True, synced=synced)

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """Within it an outage is waited for so long at most: somebody wants to stop."""
        outage, self.outage = self.outage, min(self.outage, seconds)
        try:
            yield
        finally:
            self.outage = outage

    def share(self) -> None:
        """Let a SQLite file be read while it is written, and written without waiting for the disk (WAL)."""
        if self.engine.dialect.name == "sqlite":
            connection = self.engine.raw_connection()
            connection.cursor().execute("PRAGMA journal_mode=WAL")
            connection.close()

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _lasting(self, work: Callable[[Connection], Result], *, write: bool, synced: bool = False) -> Result:
        began, pause, said, tries = time.monotonic(), 0.05, -float("inf"), 0
        while True:
            if write and self._file and not os.path.exists(self._file):
                raise StoreUnavailable(f"store {self.where} was deleted while it was in use.")
            try:
                options = {"interplay_write": write, "interplay_synced": synced}
                with self.engine.execution_options(**options).begin() as connection:
                    return work(connection)
            except (exc.DBAPIError, exc.TimeoutError) as error:
                tries += isinstance(error, exc.IntegrityError)
                if isinstance(error, exc.IntegrityError) and tries < 5:
                    continue  # another worker put the same there a moment before; now it is found
                if not _passes(error):
                    # `from None`: the statement's parameters are the user's data, and the cause may name the address
                    raise StoreUnavailable(f"store {self.where}: {self._words(error)}.") from None
                now = self.away = time.monotonic()
                if now - began > self.outage:
                    raise StoreUnavailable(
                        f"store {self.where} was away for {now - began:.0f} s: {self._words(error)}. "
                        "Run the same again when it is back: what was recorded before is there."
                    ) from None
                if now - said > 60 and pause > 0.5:
                    logger.warning(
                        "store %s: %s; results are kept in memory, trying again", self.where, self._words(error)
                    )
                    said = now
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    def _words(self, error: Exception) -> str:
        cause = getattr(error, "orig", None) or error
        return self.scrub(str(cause).strip().rstrip(".").replace("\n", " "))


def _passes(error: Exception) -> bool:
    """Tell an outage from a mistake."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in _PASSING
    return isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError) or (
        isinstance(error, exc.DBAPIError) and error.connection_invalidated
    )


def _only_readable(file: str) -> bool:
    """Tell whether a file can be read and not written, nor the log beside it that SQLite needs even to read."""
    folder = os.path.dirname(os.path.abspath(file))
    writable = os.access(file, os.W_OK) and os.access(folder, os.W_OK)
    return os.path.exists(file) and not writable and not os.path.exists(f"{file}-wal")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True)
    if url.database and _only_readable(url.database):
        file = f"file:{quote(os.path.abspath(url.database))}"
        url = url.set(database=file, query={"mode": "ro", "immutable": "1", "uri": "true"})
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": 30, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver thinks
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("interplay_write", False):
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('interplay_synced') else 'NORMAL'}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")

    return engine
