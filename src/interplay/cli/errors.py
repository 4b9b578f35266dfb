"""Errors of the user's input, as one message without a traceback and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

INPUT, NOT_SUPPORTED = 2, 3


@contextmanager
def reported(stream: TextIO) -> Iterator[None]:
    """Say what was wrong with the input and exit with 2; anything that is not the user's keeps its traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        from ..report.words import plain

        words = _os_words(error) if isinstance(error, OSError) and error.strerror is not None else str(error)
        stream.write(f"interplay: {plain(words, 2000)}\n")
        sys.exit(INPUT)


def _os_words(error: OSError) -> str:
    place = "" if error.filename is None else f"{error.filename}: "
    return f"{place}{error.strerror}. Check the path and whether it may be read or written."
