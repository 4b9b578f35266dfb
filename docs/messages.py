"""Messages that the pages quote, and the texts in the sources of the package that they must come from.

A ``message`` block holds one message a line, as it is printed. Each must be what some text in the sources gives, with
its names and numbers filled in; so a message that was changed or removed is found.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docs.blocks import ROOT, pages

SOURCE = ROOT / "src" / "interplay"
#: A text with fewer fixed characters than this would fit anything.
FIXED = 15


def quoted() -> Iterator[tuple[str, str]]:
    """Yield (page, message) for every message that a page quotes."""
    for page in pages():
        for block in page.blocks:
            if block.language == "message":
                yield from ((page.name, line) for line in block.text.splitlines() if line.strip())


def known(message: str) -> bool:
    """Whether some text in the sources gives this message."""
    words = re.sub(r"^(interplay|Note|[A-Z]\w+Error): ", "", message.strip())
    python = re.sub(r"^--([a-z-]+)", lambda option: option.group(1).replace("-", "_"), words)  # as Python calls it
    starts = [0, *(space.end() for space in re.finditer(" ", words))]  # many are said of something: "a.csv holds ..."
    ends = [python, *(words[start:] for start in starts if len(words) - start > len(words) / 2)]
    return any(pattern.fullmatch(end) for end in ends for pattern in patterns())


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """Return a pattern for every text in the sources that could be a message; what is filled in fits anything."""
    found = {text for path in sorted(SOURCE.rglob("*.py")) for text in _texts(path)}
    return tuple(re.compile(text, re.DOTALL) for text in sorted(found))


def raised() -> dict[str, list[str]]:
    """Return every message that an error of the package can have, by room; what is filled in is shown as …."""
    found: dict[str, dict[str, None]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                parts = list(_parts(node.exc.args[0]))
                if sum(len(part) for part in parts if part is not None) >= FIXED:
                    found.setdefault(room, {})[" ".join("".join(part or "…" for part in parts).split())] = None
    return {room: list(texts) for room, texts in found.items()}


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = list(_parts(node))
        if sum(len(part) for part in parts if part is not None) >= FIXED:
            yield "".join(".*?" if part is None else re.escape(part) for part in parts)


def _parts(node: ast.AST) -> Iterator[str | None]:
    """Yield the fixed parts of a text in their order, None for what is filled in; nothing if it is no text."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield str(value.value) if isinstance(value, ast.Constant) else None
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for side in (node.left, node.right):
            yield from list(_parts(side)) or [None]
