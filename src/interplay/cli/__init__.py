"""Command line: every verb is one call of the library.

`main` is the entry point; it turns errors of the user's input into one line and exit code 2.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    from .app import app
    from .errors import reported

    with reported(sys.stderr):
        app(prog_name="interplay")
