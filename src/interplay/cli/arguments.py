"""Arguments of the library by the names of their options, where an error begins with one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


@contextmanager
def named(arguments: Sequence[str], others: Mapping[str, str] | None = None) -> Iterator[None]:
    """Call an argument by its option in an error of the library that begins with it: ``max_epochs: ...``.

    Parameters
    ----------
    arguments : sequence of str
        Of the call within.
    others : mapping, optional
        What stands on the command line for those of which it is not the name: ``--cap``, ``CHOICE``.
    """
    known = {one: f"--{one.replace('_', '-')}" for one in arguments} | dict(others or {})
    try:
        yield
    except ValueError as error:
        words = str(error)
        found = re.match(r"(\w+)(?=[ :=])", words)
        if found and found[1] in known:
            raise ValueError(f"{known[found[1]]}{words[found.end() :]}") from error
        raise
