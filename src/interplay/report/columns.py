"""Rows of cells as a table in plain text: the first column to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

LEFT = ("most helped", "most hurt", "surest help", "surest harm", "taken", "", "mask", "mixture", "weights")


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with its header."""
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(names)]

    def line(cells: Sequence[str]) -> str:
        rest = (
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(names[1:], cells[1:], widths[1:], strict=True)
        )
        return "  ".join([cells[0].ljust(widths[0]), *rest]).rstrip()

    return [line(names), line(["-" * width for width in widths]), *(line(row) for row in rows)]
