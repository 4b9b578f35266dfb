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
    except (ValueError, FileNotFoundError, IsADirectoryError, PermissionError, ImportError) as error:
        from ..report.words import plain

        words = str(error) if not isinstance(error, OSError) or error.strerror is None else _os_words(error)
        stream.write(f"interplay: {plain(words, 2000)}\n")
        sys.exit(INPUT)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _os_words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"
