"""Addresses of stores among files: ``sqlite:///study.db#name``, ``http://host:5000#experiment``, ``file:mlruns``.

A path makes one slash of two; what it took is put back. Passwords reach no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...fields import EvaluationsError, MissingFileError

__all__ = ["Address", "address_of", "is_sqlite", "tables_of"]

_SCHEME = re.compile(r"([a-z][a-z0-9+.]*):(/+)(.*)", re.DOTALL)
_SECRET = re.compile(r"(://[^/@:\s]*):[^@\s]*@")


@dataclass(frozen=True)
class Address:
    """An address, and what of it is asked for (after '#')."""

    url: str
    part: str | None = None

    @property
    def scheme(self) -> str:
        """Before '://', without the driver."""
        return re.split(r"[:+]", self.url, maxsplit=1)[0]

    @property
    def file(self) -> Path | None:
        """The SQLite file that it names."""
        return Path(self.url.split(":///", 1)[1].split("?", 1)[0]) if self.scheme == "sqlite" else None

    @property
    def title(self) -> str:
        """The address without its password."""
        file = self.file
        where = file.name if file is not None else _SECRET.sub(r"\1:***@", self.url)
        return f"{where}#{self.part}" if self.part else where

    def scrubbed(self, text: object) -> str:
        """Words of an error, in one line and without the password."""
        found = re.search(r"://[^/@:\s]*:([^@\s]*)@", self.url)
        words = " ".join(str(text).split())
        return (words.replace(found[1], "***") if found and found[1] else words)[:200]


def address_of(path: str | Path) -> Address | None:
    """Read an address; None for what is a path.

    Raises
    ------
    EvaluationsError
        For a SQLite file that is not there, or that two paths could mean.
    """
    text = str(path)
    found = _SCHEME.fullmatch(text)
    if not found or found[1] == "file":
        return None
    scheme, slashes, rest = found.groups()
    rest, _, part = rest.partition("#")
    if scheme.split("+")[0] != "sqlite":
        return Address(f"{scheme}://{rest}", part or None)
    file = _sqlite(rest.split("?", 1)[0], len(slashes), text)
    return Address(f"{scheme}:///{file}", part or None)


def _sqlite(rest: str, slashes: int, text: str) -> Path:
    """The file of an address; where slashes were lost, the one that is there."""
    absolute, relative = Path("/" + rest), Path(rest)
    choices = {4: [absolute], 3: [relative]}.get(slashes, [relative, absolute])
    there = [one for one in choices if one.is_file()]
    if len({one.resolve() for one in there}) > 1:
        raise EvaluationsError(f"{text!r} could be {relative} or {absolute}. Give the path of the file alone.")
    if not there:
        places = " nor ".join(repr(str(one)) for one in choices)
        raise MissingFileError(f"{text!r}: no file is at {places}. Write sqlite:///FILE, or the path alone.")
    return there[0]


def is_sqlite(path: Path) -> bool:
    """Tell whether a file is a SQLite database, by how it begins."""
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


def tables_of(file: Path) -> dict[str, int]:
    """Tables of a SQLite file, opened for reading only, and how many rows each holds.

    Raises
    ------
    EvaluationsError
        For a file that is no such database.
    """
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as there:
            names = [name for (name,) in there.execute("select name from sqlite_master where type = 'table'")]
            counted = 'select count(*) from "{}"'
            return {n: there.execute(counted.format(n.replace('"', '""'))).fetchone()[0] for n in names}
    except sqlite3.Error as error:
        raise EvaluationsError(f"{file.name} is no SQLite database that can be read ({error}).") from None
