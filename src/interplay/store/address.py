"""Where a store lies: a file, or the address of a database; passwords of addresses never reach a text.

runs.db, runs.sqlite, runs.sqlite3    a SQLite file
dialect+driver://user@host/database   any database that SQLAlchemy knows; postgresql:// is taken with psycopg
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ..fields import EvaluationsError

__all__ = ["address_of", "scrubbed", "shown"]

_SECRET = re.compile("pass|secret|token|key", re.IGNORECASE)
_EXTRA = {
    "postgresql": "pip install 'interplay[postgresql]', or install the driver that the address names",
}


def address_of(where: str | Path | URL) -> URL:
    """Read a path or an address.

    Raises
    ------
    EvaluationsError
        If the text is neither, or names a database whose driver is not installed; it never holds a password.
    """
    if isinstance(where, URL):
        return where
    text = str(where)
    if not text.strip() or not isinstance(where, str | Path):
        raise EvaluationsError(f"store is {where!r}; name a file such as runs.db, or the address of a database.")
    if text in ("sqlite://", "sqlite:///:memory:", ":memory:"):
        raise EvaluationsError(f"store {text!r} would not outlast this process; leave store out, or name a file.")
    if isinstance(where, Path) or "://" not in text:
        path = Path(text).expanduser()
        if path.is_dir():
            raise EvaluationsError(f"store {text!r} is a folder. Name a file in it: {path / 'runs.db'}")
        if not path.parent.is_dir():
            raise EvaluationsError(f"store {text!r}: folder {str(path.parent)!r} does not exist. Make it first.")
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(text)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise EvaluationsError(
            f"store: {text.split('://')[0]!r} is no database that can be used here; install its driver."
        ) from None
    except (ArgumentError, ValueError):
        raise EvaluationsError(
            f"store: the address that starts with {text.split('://')[0]!r} cannot be read. Write a file such as "
            "runs.db, or dialect+driver://user@host/database; signs like @ or / in a password are written %40 and %2F."
        ) from None
    except ImportError as error:
        dialect = text.split("://")[0].split("+")[0]
        remedy = _EXTRA.get(dialect.replace("postgres", "postgresql", dialect == "postgres"), "install its driver")
        raise EvaluationsError(
            f"store: {text.split('://')[0]} cannot be used here ({type(error).__name__}: {error}); {remedy}."
        ) from None
    return url


def shown(url: URL) -> str:
    """Return the address as people may see it: a file's path, or the address without its secrets."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    query = {name: "***" if _SECRET.search(name) else value for name, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)


def scrubbed(text: str, url: URL) -> str:
    """Take the secrets of an address out of a text, such as the words of an error."""
    values = [url.password, *(v for name, v in url.query.items() if _SECRET.search(name))]
    secrets = {str(v) for value in values if value for v in ([value] if isinstance(value, str) else value)}
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, quote(secret, safe=""), quote(secret, safe=" +"), quote_plus(secret)}:
            text = re.sub(re.escape(form), "***", text, flags=re.IGNORECASE if "%" in form else 0)
    return text
