"""Sections about the formats that are imported and exported, made from their registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from docs.verbs import text

REGISTRIES = {"imports": ("interplay.formats.imports", "IMPORTS"), "exports": ("interplay.formats.exports", "FORMATS")}
#: What is shown of an entry, in this order: its field, and what that is called on the page.
SHOWN = {
    "files": "files",
    "tasks": "sources",
    "targets": "targets",
    "seeds": "seeds",
    "left": "left out",
    "weight": "a weight is",
    "writes": "writes",
    "suffixes": "files",
    "columns": "further columns of the table of sources",
    "link": "its documentation",
    "read_by": "read back by",
}


def registry(which: str) -> Mapping[str, Any]:
    """Return the formats of one registry by their names."""
    module, name = REGISTRIES[which]
    return getattr(import_module(module), name)


def table(which: str) -> str:
    """Return one section per format, with what its entry in the registry states."""
    lines = []
    for name, entry in registry(which).items():
        lines += [f"### `{name}`: {text(entry.title)} {{#{which}-{name}}}", "", *_items(entry), ""]
    return "\n".join(lines)


def _items(entry: Any) -> Iterator[str]:
    for field, words in SHOWN.items():
        value = getattr(entry, field, None)
        if field == "link" and value:
            yield f"- {words}: <{value}>"
        elif field in ("suffixes", "columns") and value:
            yield f"- {words}: {', '.join(f'`{one}`' for one in value)}"
        elif isinstance(value, str) and value:
            yield f"- {words}: {text(value)}"
