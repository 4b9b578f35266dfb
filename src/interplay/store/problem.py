"""What is evaluated, so that results of something else are never taken for it.

A store holds one problem for each (tag, fidelity). Its fingerprint covers tasks, targets, the evaluator's settings and
the tag; an evaluator that differs is refused, with what differs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ..fields import EvaluationsError, as_directions, as_notes, listed
from . import schema

__all__ = ["Problem", "ProblemMismatch", "find", "given", "learnt", "noted", "problem_of", "settled", "still_there"]


#: What can be done about each clash by who can name a tag.
_REMEDIES = {
    "settings": "Keep both under tags of their own (tag='...', --tag), name another store, or delete the old ones "
    "(interplay runs STORE --delete). If the change touches no value, go on with accept_changed=True "
    "(--accept-changed).",
    "tag": "Fidelities of one tag answer one question: give these a tag of their own (tag='...', --tag).",
    "deleted": "Run the same again.",
}


class ProblemMismatch(EvaluationsError):
    """A store that holds another problem under the same tag and fidelity.

    Attributes
    ----------
    statement : str
        What the store holds, and what it was asked to hold.
    clash : 'settings', 'tag' or 'deleted'
        Another problem of this tag and fidelity; other tasks or targets under this tag; none any more.
    remedy : str
        What can be done, where a tag can be named.
    """

    def __init__(self, statement: str, clash: Literal["settings", "tag", "deleted"]):
        self.statement, self.clash, self.remedy = statement, clash, _REMEDIES[clash]
        super().__init__(statement, clash)  # what a pickle keeps

    def __str__(self) -> str:
        return f"{self.statement} {self.remedy}"


@dataclass(frozen=True)
class Problem:
    """A problem in a store.

    Attributes
    ----------
    tag, fidelity, evaluator : str
    tasks : tuple of str (K,)
    targets : tuple of str (T,), or None
        None until the first result names them.
    higher_is_better : bool, names or globs, or None
        As `Evaluations` takes it.
    settings : dict
        What the evaluator's `fingerprint` said.
    notes : dict
        Facts that travel with the runs.
    id : int
        0 where it is not in a store yet.
    created : float
        When it was put there, in seconds since 1970.
    """

    tag: str
    fidelity: str
    evaluator: str
    tasks: tuple[str, ...]
    targets: tuple[str, ...] | None
    higher_is_better: Any
    settings: Mapping[str, Any]
    notes: Mapping[str, Any]
    id: int = 0
    created: float = 0.0

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits over all that must agree."""
        text = json.dumps([self.tag, self.fidelity, self._identity(self.targets)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether higher is better, for each target."""
        return as_directions(self.higher_is_better, self.targets or ())

    @property
    def label(self) -> str:
        """What people call it: its tag and its fidelity."""
        return f"{self.tag!r}, {self.fidelity}" if self.tag else self.fidelity

    def _identity(self, targets: Sequence[str] | None) -> dict[str, Any]:
        return {"evaluator": self.evaluator, "tasks": self.tasks, "targets": targets, **self.settings}

    def differences(self, other: Problem) -> list[str]:
        """Return what differs between two problems of one tag and fidelity, in words; nothing for the same problem."""
        known = self.targets is not None and other.targets is not None
        alike = known and set(self.targets or ()) == set(other.targets or ())  # values are put in order by name
        mine = as_notes(self._identity(self.targets if known and not alike else None))
        theirs = as_notes(other._identity(other.targets if known and not alike else None))
        return list(_differences(mine, theirs))

    def refuse(self, said: Sequence[str], where: str) -> None:
        """Raise an error that says what differs, if anything does."""
        if not said:
            return
        raise ProblemMismatch(
            f"{where} holds other runs ({self.label}): {'; '.join(said[:6])}{'; ...' if len(said) > 6 else ''}.",
            "settings",
        )


def given(evaluator: Any, tasks: Sequence[str], tag: str) -> Problem:
    """Describe what an evaluator evaluates."""
    targets = evaluator.targets
    settings = evaluator.fingerprint() if hasattr(evaluator, "fingerprint") else {}
    higher = getattr(evaluator, "higher_is_better", None)
    if not isinstance(settings, Mapping):
        raise TypeError(
            f"fingerprint() of {type(evaluator).__name__} returned {type(settings).__name__}; return a dict of all "
            "that changes a value, such as {'lr': 0.01}."
        )
    return Problem(
        tag=tag,
        fidelity=str(evaluator.fidelity),
        evaluator=type(evaluator).__name__,
        tasks=tuple(tasks),
        targets=None if targets is None else tuple(targets),
        higher_is_better=higher if higher is None or isinstance(higher, bool | str) else list(higher),
        settings=as_notes(settings),
        notes=as_notes(getattr(evaluator, "notes", {})),
    )


def find(connection: Connection, tag: str | None = None, fidelity: str | None = None) -> list[Problem]:
    """Read the problems of a store, or those with a tag or a fidelity."""
    query = sa.select(schema.problems).order_by(schema.problems.c.id)
    if tag is not None:
        query = query.where(schema.problems.c.tag == tag)
    if fidelity is not None:
        query = query.where(schema.problems.c.fidelity == fidelity)
    return [problem_of(row) for row in connection.execute(query)]


def problem_of(row: Row) -> Problem:
    """Read a problem from its row."""
    held = row._mapping

    def read(name: str) -> Any:
        return None if held[name] is None else json.loads(held[name])

    targets = read("targets")
    return Problem(
        tag=held["tag"],
        fidelity=held["fidelity"],
        evaluator=held["evaluator"],
        tasks=tuple(read("tasks")),
        targets=None if targets is None else tuple(targets),
        higher_is_better=read("higher_is_better"),
        settings=read("settings"),
        notes=read("notes"),
        id=held["id"],
        created=held["created"],
    )


def settled(connection: Connection, problem: Problem, where: str, accept: bool = False) -> Problem:
    """Find a problem in the store, or put it there; with `accept`, settings that differ take the place of those there.

    Raises
    ------
    ProblemMismatch
        If the store holds another one under its tag and fidelity, or one of other tasks or targets under its tag.
    """
    for other in find(connection, problem.tag):
        if other.fidelity == problem.fidelity:
            targets = set(other.targets or ()) == set(problem.targets or other.targets or ())
            if accept and targets and other.tasks == problem.tasks:
                settings = json.dumps(problem.settings)
                accepted = replace(other, settings=problem.settings, evaluator=problem.evaluator)
                kept = {"evaluator": problem.evaluator, "fingerprint": accepted.fingerprint}
                _put(connection, other, settings=settings, **kept)
                other = accepted
            differences = other.differences(problem)
            if differences and not _begun(connection, other):  # a script that never ran well may be mended
                connection.execute(sa.delete(schema.runs).where(schema.runs.c.problem == other.id))
                connection.execute(sa.delete(schema.problems).where(schema.problems.c.id == other.id))
                continue
            other.refuse(differences, where)
            if problem.higher_is_better != other.higher_is_better:  # how values are read, not what they are
                _put(connection, other, higher_is_better=json.dumps(problem.higher_is_better))
                other = replace(other, higher_is_better=problem.higher_is_better)
            if other.targets is None and problem.targets is not None:
                return learnt(connection, other, problem.targets)
            return other
        for what in ("tasks", "targets"):
            mine, theirs = getattr(problem, what), getattr(other, what)
            same = set(mine or ()) == set(theirs or ()) if what == "targets" else mine == theirs
            if mine is not None and theirs is not None and not same:
                raise ProblemMismatch(
                    f"{where} holds runs of fidelity {other.fidelity!r} under this tag whose {what} are "
                    f"{listed(theirs, 4)}, not {listed(mine, 4)}.",
                    "tag",
                )
    put = sa.insert(schema.problems).values(
        tag=problem.tag,
        fidelity=problem.fidelity,
        evaluator=problem.evaluator,
        fingerprint=problem.fingerprint,
        tasks=json.dumps(problem.tasks),
        targets=None if problem.targets is None else json.dumps(problem.targets),
        higher_is_better=json.dumps(problem.higher_is_better),
        settings=json.dumps(problem.settings),
        notes=json.dumps(problem.notes),
        created=schema.epoch(),
    )
    table, number = schema.problems, connection.execute(put).inserted_primary_key[0]  # type: ignore[index]
    return problem_of(connection.execute(sa.select(table).where(table.c.id == number)).one())


def still_there(connection: Connection, problem: Problem, *, lock: bool = False) -> None:
    """Raise an error where somebody deleted a problem meanwhile; with `lock`, hold it to the end of the transaction."""
    query = sa.select(schema.problems.c.created).where(schema.problems.c.id == problem.id)
    if connection.execute(query.with_for_update() if lock else query).scalar_one_or_none() != problem.created:
        raise ProblemMismatch(f"the runs of {problem.label} were deleted from the store meanwhile.", "deleted")


def learnt(connection: Connection, problem: Problem, targets: Sequence[str]) -> Problem:
    """Give a problem the targets that its first result named, unless another worker was first; return what holds."""
    table = schema.problems
    mine = replace(problem, targets=tuple(targets))
    naming = sa.update(table).where(table.c.id == problem.id, table.c.targets.is_(None))
    connection.execute(naming.values(targets=json.dumps(mine.targets), fingerprint=mine.fingerprint))
    return problem_of(connection.execute(sa.select(table).where(table.c.id == problem.id)).one())


def noted(connection: Connection, problem: Problem, notes: Mapping[str, Any]) -> Problem:
    """Add the facts of another batch to those that travel with the runs; of numbers that differ the larger is kept."""
    table = schema.problems
    held = json.loads(
        connection.execute(sa.select(table.c.notes).where(table.c.id == problem.id).with_for_update()).scalar_one()
    )
    joined = _worst(held, as_notes(notes))
    if joined != held:
        _put(connection, problem, notes=json.dumps(joined))
    return replace(problem, notes=joined)


def _begun(connection: Connection, problem: Problem) -> bool:
    """Tell whether any run of a problem is done, or under way."""
    table = schema.runs
    query = sa.select(table.c.id).where(
        table.c.problem == problem.id, table.c.status.in_((schema.DONE, schema.RUNNING))
    )
    return connection.execute(query.limit(1)).first() is not None


def _put(connection: Connection, problem: Problem, **columns: Any) -> None:
    table = schema.problems
    connection.execute(sa.update(table).where(table.c.id == problem.id).values(**columns))


def _worst(a: Any, b: Any) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        return {key: _worst(a[key], b[key]) if key in a and key in b else {**a, **b}[key] for key in {**a, **b}}
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b)]
    return max(a, b) if all(numbers) else b


def _differences(mine: Any, theirs: Any, name: str = "") -> Iterator[str]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in {**mine, **theirs}:
            inner = f"{name}.{key}" if name else str(key)
            if key not in theirs or key not in mine:
                side, held = ("the store", mine) if key in mine else ("this evaluator", theirs)
                yield f"{inner}: {_short(json.dumps(held[key]))} in {side} only"
            else:
                yield from _differences(mine[key], theirs[key], inner)
    elif mine != theirs:
        if isinstance(mine, list) and isinstance(theirs, list) and mine and theirs:
            if len(mine) != len(theirs):
                yield f"{name}: {len(mine)} in the store, {len(theirs)} now"
                return
            i = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
            name, mine, theirs = f"{name}[{i}]", mine[i], theirs[i]
        held, now = _pair(mine, theirs)
        yield f"{name}: {held} in the store, {now} now"


def _pair(mine: Any, theirs: Any) -> tuple[str, str]:
    """Write two values so that one sees where they differ."""
    a, b = (value if isinstance(value, str) else json.dumps(value) for value in (mine, theirs))
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    start = max(0, same - 20) if max(len(a), len(b)) > 60 else 0
    return _short(a, start), _short(b, start)


def _short(text: str, start: int = 0) -> str:
    cut = ("..." if start else "") + text[start:]
    return cut if len(cut) <= 60 else cut[:57] + "..."
