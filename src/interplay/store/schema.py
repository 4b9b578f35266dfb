"""Tables of a store, their version, and how an older store becomes one of today.

problems   what is evaluated: tasks, targets, settings; one for each tag and fidelity
workers    who evaluates: place, process, and when they were last heard of
runs       a row for each mask and seed of a problem: where it stands, and what came of it
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from ..fields import EvaluationsError

__all__ = [
    "DONE",
    "FAILED",
    "QUEUED",
    "RUNNING",
    "STATUS",
    "VERSION",
    "epoch",
    "problems",
    "runs",
    "upgrade",
    "workers",
]

#: Version of the tables. A change of them raises it and adds the step that leads there to `_STEPS`.
VERSION = 2

QUEUED, RUNNING, DONE, FAILED = range(4)
STATUS = ("queued", "running", "done", "failed")

_tables = sa.MetaData()
_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_bytes = sa.LargeBinary().with_variant(sa.LargeBinary(2**24), "mysql", "mariadb")
_text = sa.Text().with_variant(sa.Text(2**24), "mysql", "mariadb")

meta = sa.Table(
    "interplay_store",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # 1: of two that make a store, one succeeds
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)

problems = sa.Table(
    "interplay_problems",
    _tables,
    sa.Column("id", _id, primary_key=True),
    sa.Column("tag", sa.String(200), nullable=False),
    sa.Column("fidelity", sa.String(200), nullable=False),
    sa.Column("evaluator", sa.String(200), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("tasks", _text, nullable=False),
    sa.Column("targets", _text),  # null until the first result names them
    sa.Column("higher_is_better", _text),
    sa.Column("settings", _text, nullable=False),
    sa.Column("notes", _text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.UniqueConstraint("tag", "fidelity", name="interplay_one_problem"),
    sqlite_autoincrement=True,  # no number is used again: a worker that slept might take one problem for another
)

workers = sa.Table(
    "interplay_workers",
    _tables,
    sa.Column("id", _id, primary_key=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("place", sa.String(300), nullable=False),  # machine, its start and its space of processes
    sa.Column("process", sa.String(100), nullable=False),  # number and start of the process
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("ended", sa.Double),
    sa.Column("late", sa.Integer, nullable=False),  # results that came after their claim had been taken over
    sqlite_autoincrement=True,
)

runs = sa.Table(
    "interplay_runs",
    _tables,
    sa.Column("id", _id, primary_key=True),
    sa.Column("problem", _id, sa.ForeignKey(problems.c.id), nullable=False),
    sa.Column("key", sa.LargeBinary(16), nullable=False),
    sa.Column("mask", _bytes, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("measured", _bytes),
    sa.Column("cost", sa.Double),  # seconds
    sa.Column("started", sa.Double),
    sa.Column("ended", sa.Double),
    sa.Column("worker", _id, sa.ForeignKey(workers.c.id)),
    sa.Column("claim", sa.String(40)),
    sa.Column("attempts", sa.Integer, nullable=False),  # evaluations that failed
    sa.Column("losses", sa.Integer, nullable=False),  # claims whose worker was not heard of any more
    sa.Column("error", _text),
    sa.Column("output", _text),  # what the run printed
    sa.UniqueConstraint("problem", "key", name="interplay_one_run"),
    sa.Index("interplay_open_runs", "problem", "status", "id"),
    sqlite_autoincrement=True,
)

#: Step i leads from version i + 1 to i + 2: statements, or functions of the connection.
_STEPS: tuple[tuple[str | Callable[[Connection], None], ...], ...] = (
    ("ALTER TABLE interplay_runs ADD COLUMN output TEXT",),
)


class epoch(FunctionElement):
    """Seconds since 1970 by the clock of the database, which is one for all workers."""

    type = sa.Double()
    inherit_cache = True


@compiles(epoch)
def _epoch(element, compiler, **kw):
    return "UNIX_TIMESTAMP(NOW(6))"


@compiles(epoch, "sqlite")
def _epoch_sqlite(element, compiler, **kw):
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(epoch, "postgresql")
def _epoch_postgresql(element, compiler, **kw):
    return "extract(epoch from clock_timestamp())::double precision"


def current(connection: Connection, where: str) -> bool:
    """Tell, without writing, whether the tables are there and of today's version.

    Raises
    ------
    EvaluationsError
        If the tables are of a newer version, or the database holds something else.
    """
    there = set(sa.inspect(connection).get_table_names())
    if meta.name in there:
        return _version(connection, where) == VERSION
    if connection.dialect.name == "sqlite" and there:
        raise EvaluationsError(
            f"{where} is a SQLite file, but no store of interplay: it holds {', '.join(sorted(there)[:4])}. "
            "Name another file."
        )
    return False


def holds_a_store(connection: Connection) -> bool:
    """Tell whether the tables are there, of any version."""
    return sa.inspect(connection).has_table(meta.name)


def upgrade(connection: Connection, where: str) -> None:
    """Make the tables where there are none, and bring older ones to today's version.

    Raises
    ------
    EvaluationsError
        If the tables are of a newer version.
    """
    if not holds_a_store(connection):
        _tables.create_all(connection)
        connection.execute(sa.insert(meta).values(id=1, version=VERSION, created=epoch()))
        return
    version = _version(connection, where)
    for step in range(version, VERSION):
        for statement in _STEPS[step - 1]:
            if callable(statement):
                statement(connection)
            else:
                connection.execute(sa.text(statement))
    if version < VERSION:
        connection.execute(sa.update(meta).values(version=VERSION))


def _version(connection: Connection, where: str) -> int:
    version = connection.execute(sa.select(meta.c.version)).scalar_one()
    if version > VERSION:
        raise EvaluationsError(
            f"{where} is a store of version {version}; this interplay reads up to {VERSION}. Upgrade interplay."
        )
    return version
