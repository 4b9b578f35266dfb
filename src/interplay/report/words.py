"""Names and masks in words that are safe to show."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..fields import listed
from ..namesakes import around, without

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
FORMULA = (*"=+-@\t\r\n", *"＝＋－＠")  # first characters; the wide ones count in some countries
TASKS = 12  # of a run, that are named
NAMES = 60  # texts of up to this many characters are names


def plain(name: str, width: int = 40) -> str:
    """Name without control, direction and line characters, cut to ``width``; '(empty)' if nothing is left."""
    shown = harmless(name).strip() or "(empty)"
    if len(shown) <= width:
        return shown
    end = width // 3 if width <= NAMES else 0  # names often differ only in their end
    return shown[: width - 1 - end] + "…" + shown[len(shown) - end :]


def harmless(text: str) -> str:
    """Text with a question mark for each control, direction and line character."""
    return "".join("?" if unicodedata.category(c) in HIDDEN else c for c in text)


def shown(name: str, width: int = 500) -> str:
    """`plain` for pages, where there is room for long names."""
    return plain(str(name), width)


def shortened(names: Sequence[str]) -> tuple[list[str], str]:
    """Names without what they all begin and end with, cut at a separator; and that, as 'begin...end' or ''."""
    ends = around(names)
    return without(names, ends), "...".join(ends) if any(ends) else ""


def of_mask(tasks: Sequence[str], mask: np.ndarray) -> str:
    """At most `TASKS` tasks of a run: what it holds, or 'all but' the fewer that it lacks; of weights the largest."""
    if not binary(mask):
        order = [int(k) for k in np.argsort(-np.abs(mask), kind="stable") if mask[k]]
        return listed([f"{shown(tasks[k], 40)} {mask[k]:.3g}" for k in order], TASKS)
    out, inside = np.flatnonzero(mask == 0).tolist(), np.flatnonzero(mask != 0).tolist()
    if not out or not inside:
        return "all" if inside else "none"
    fewer, start = (out, "all but ") if len(out) <= len(inside) else (inside, "")
    return start + listed([shown(tasks[k], 40) for k in fewer], TASKS)


def sentence(text: str) -> str:
    """Text with a capital at its beginning and one full stop at its end; '' of ''."""
    text = text.rstrip(".")
    return text[:1].upper() + text[1:] + "." if text else ""


def binary(masks: np.ndarray) -> bool:
    """Whether each task is in or out, without weights."""
    return bool(np.isin(masks, (0, 1)).all())


def plainly(options: Mapping[str, Any]) -> str:
    """Options as a person would write them: 'size 4, require none, beyond no'."""
    return ", ".join(f"{name} {_value(one)}" for name, one in options.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_value(one)}" for name, one in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(one) for one in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "not given", True: "yes", False: "no"}[value]
    return str(value)


def safe_cell(name: str) -> str:
    """Name for a CSV cell that no spreadsheet takes for a formula."""
    return "'" + name if name.lstrip(" ")[:1] in FORMULA else name
