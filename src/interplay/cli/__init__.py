"""Command line: every verb is one call of the library.

`main` is the entry point; it turns errors of the user's input into one line and exit code 2.
"""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line."""
    from .app import app
    from .errors import reported

    for stream in (sys.stdout, sys.stderr):  # a terminal that knows only ASCII shows '?' instead of failing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with reported(sys.stderr):
        app(prog_name="interplay")
