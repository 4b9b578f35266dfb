"""Errors of the user's input, as one message without a traceback and exit code 2; evaluations that all failed, 1.

Whatever is written here was stripped of the passwords of addresses before.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

FAILED, INPUT, NOT_SUPPORTED = 1, 2, 3
_PASSWORD = re.compile(r"(\w:/+[^\s/:@]*):\S*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:pass|secret|token|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)


@contextmanager
def reported(stream: TextIO) -> Iterator[None]:
    """Say what was wrong with the input and exit with 2; anything that is not the user's keeps its traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        from ..report.words import plain

        words = _os_words(error) if isinstance(error, OSError) and error.strerror is not None else str(error)
        stream.write(f"interplay: {plain(without_passwords(words), 2000)}\n")
        sys.exit(INPUT)
    except RuntimeError as error:
        from ..campaign import EvaluationsFailed
        from ..report.store import harmless

        if not isinstance(error, EvaluationsFailed):
            raise
        lines = harmless(without_passwords(str(error)))
        stream.write("\n".join([f"interplay: {lines[0]}", *lines[1:]]) + "\n")
        sys.exit(FAILED)


def without_passwords(text: str) -> str:
    """Take passwords out of the addresses in a text, also where a path made one slash of two.

    Examples
    --------
    >>> without_passwords("no file postgresql:/me:pw@host/runs?sslpassword=x&a=1")
    'no file postgresql:/me:***@host/runs?sslpassword=***&a=1'
    """
    return _QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def _os_words(error: OSError) -> str:
    place = "" if error.filename is None else f"{error.filename}: "
    return f"{place}{error.strerror}. Check the path and whether it may be read or written."
