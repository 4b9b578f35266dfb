"""What all figures share: colours that colour-blind people can tell apart, labels that no reader takes for markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import unescape
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ..report.words import plain, shortened

if TYPE_CHECKING:
    from ..attribution import Attribution

Spec = dict[str, Any]

#: After Okabe and Ito; each at least 3 : 1 against white and against the page's dark ground.
HELPS, HURTS, OPEN, TRUTH = "#2a7fc1", "#d55e00", "#7d858d", "#00936b"
#: Shapes beside the colours.
SHAPES = {HELPS: "circle", HURTS: "square", OPEN: "circle-open", TRUTH: "diamond-open"}
#: From hurts through nothing to helps.
SCALE = [[0.0, HURTS], [0.25, "#eea878"], [0.5, "#f4f4f2"], [0.75, "#92bfe2"], [1.0, HELPS]]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
ROW = 19  # pixels of a row of names
WIDTH = 30  # characters of a name
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"})


def label(name: str, width: int = WIDTH) -> str:
    """Name as plotly shows it: its own markup, and mathematics, are text here, and stay text."""
    return plain(name, width).translate(ENTITIES)


def labels(names: Sequence[str], rows: Iterable[int] | None = None, width: int = WIDTH) -> tuple[list[str], str]:
    """Labels of some of several names, all different; and a line of what all of them have besides, or ''.

    Where a name is too long, what all begin and end with is left out; names that look alike when cut are numbered.
    """
    short, around = shortened(names) if max(map(len, names)) > width else (list(names), "")
    out: dict[str, None] = {}
    for row in range(len(names)) if rows is None else rows:
        first, count = label(short[row], width), 1
        shown = first
        while shown in out:
            count += 1
            shown = f"{first} ({count})"
        out[shown] = None
    return list(out), f"<br>names are {label(around, 60)}" if around else ""


def numbers(values: Iterable[Any], digits: int = 5) -> list[float | None]:
    """Values with so many digits, None where they are not known."""
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in values]


def steps(values: np.ndarray, least: float, most: float) -> list[float | None]:
    """Values rounded to some thousandths of a range, however far from 0 it lies; None where they are not known."""
    size = most - least
    decimals = int(np.clip(3 - np.floor(np.log10(size)), 0, 15)) if size > 0 else 15
    return [round(float(v), decimals) if np.isfinite(v) else None for v in values]


def unit_of(answer: Attribution, target: int) -> str:
    """Unit of the benefits of one target, in words."""
    unit = answer.unit[target]
    return f"{label(answer.targets[target])}, its own unit" if unit == "own" else label(unit, 80)


def signs(answer: Attribution, target: int) -> list[str]:
    """Colour of each task (P,): helps or hurts where the interval excludes 0, open where it does not."""
    low, high = answer.lower[:, target], answer.upper[:, target]
    return [HELPS if a > 0 else HURTS if b < 0 else OPEN for a, b in zip(low, high, strict=True)]


def ends(order: np.ndarray, most: int) -> np.ndarray:
    """First and last of an order, at most so many."""
    return order if len(order) <= most else np.concatenate([order[: most // 2], order[len(order) - most // 2 :]])


def layout(x: str, y: str = "", rows: int | None = None, **more: Any) -> Spec:
    """Layout with the titles of the axes, as high as its rows need."""
    axis = {"zeroline": False, "automargin": True, "gridcolor": "#d9dde1", "linecolor": "#9aa2aa", "ticks": "outside"}
    axis["exponentformat"] = "power"
    found: Spec = {
        "xaxis": {**axis, "title": {"text": (title := wrapped(x, 60))}},
        "yaxis": {**axis, "title": {"text": wrapped(y, 36)}},
        "font": {"family": FONT, "size": 13, "color": "#1c2126"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 12, "r": 16, "t": 12, "b": 44},
        "height": (340 if rows is None else 84 + ROW * max(rows, 2)) + 17 * title.count("<br>"),
        "hovermode": "closest",
        "showlegend": False,
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
    }
    for name, value in more.items():
        found[name] = {**found[name], **value} if isinstance(found.get(name), dict) else value
    return found


def wrapped(title: str, width: int) -> str:
    """Title on lines of about so many characters."""
    lines = "\n".join(balanced(unescape(line), width) for line in title.split("<br>"))
    return lines.translate(ENTITIES).replace("\n", "<br>")


def balanced(line: str, width: int) -> str:
    """Text on as few lines of this many characters as will do, of about one length."""
    least = fill(line, width, break_long_words=False, break_on_hyphens=False)
    count = least.count("\n")
    for narrow in range(len(line) // (count + 1), width):
        found = fill(line, max(narrow, 1), break_long_words=False, break_on_hyphens=False)
        if found.count("\n") == count:
            return found
    return least


def names_axis(shown: Sequence[str]) -> Spec:
    """An axis of names from top to bottom, without room for more."""
    axis = {"type": "category", "categoryarray": list(shown), "autorange": "reversed", "showgrid": False}
    return axis | {"minallowed": -0.7, "maxallowed": len(shown) - 0.3}


def turned_axis() -> Spec:
    """What an axis of upright names below a matrix has besides: they may lie below the names at its side."""
    return {"tickangle": -60, "ticks": "", "automargin": "height"}


def colorbar(title: str) -> Spec:
    """A scale of colours at the right."""
    return {"thickness": 12, "outlinewidth": 0, "exponentformat": "power", "title": {"text": title, "side": "right"}}


def zero() -> Spec:
    """What shows 0 on an axis, and a line there through the whole figure."""
    return {"rangemode": "tozero", "zeroline": True, "zerolinecolor": "#5d656d", "zerolinewidth": 1}
