"""Figures for print: a specification of this room as a matplotlib figure, written without a browser.

Understands what the figures here use of plotly (scatter, bar, heatmap, straight shapes) and nothing more. One pixel of
the specification is `POINT` points, so that its letters have the size of those of a paper; names are never mathematics.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .look import Spec, balanced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.3  # inches: the text of a page
DPI = 200
VECTOR = 288  # dots per inch at which letters are measured where there are none
POINT = 0.65  # points of a pixel
INK, LINE = "#1c2126", "#9aa2aa"
#: Suffix: metadata without a date, so that the same figure is the same file.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "ModDate": None},
}
SYMBOLS = {"circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X", "triangle-up": "^"}
SEEN_THROUGH = ("diamond-open",)  # it stands upon other marks
DASHES = {"solid": "-", "dash": (0, (4.5, 2.5)), "dot": (0, (1.2, 1.8)), "dashdot": "-."}
#: Fonts for what the first one lacks, as far as they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Hiragino Sans", "Microsoft YaHei", "MS Gothic")
FONTS += ("WenQuanYi Zen Hei", "Noto Sans", "Arial Unicode MS", "Noto Emoji", "Segoe UI Symbol", "Symbola")
STYLE: dict[str, Any] = {
    "font.size": 13 * POINT,
    "font.family": "sans-serif",
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "grid.color": "#d9dde1",
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 12 * POINT,
    "ytick.labelsize": 12 * POINT,
    "legend.fontsize": 12 * POINT,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "interplay",
    "pdf.fonttype": 42,
}


def save(spec: Spec, path: Path, width: float = WIDTH, dpi: float = DPI) -> None:
    """Write a figure as PNG, SVG or PDF, as the suffix of the path says; ``width`` in inches."""
    kind = path.suffix.lower()
    with _style():
        figure = printed(spec, width, dpi if kind == ".png" else VECTOR)
        figure.savefig(path, format=kind[1:], dpi=dpi, metadata=FORMATS[kind], facecolor="white")


def printed(spec: Spec, width: float = WIDTH, dpi: float = VECTOR) -> Figure:
    """Matplotlib figure of a specification; as high as its layout says.

    Raises
    ------
    ValueError
        For a kind of trace that no figure here has.
    """
    from matplotlib.figure import Figure

    layout = spec["layout"]
    with _style():
        height = layout.get("height", 340)
        figure = Figure((width, height * POINT / 72), dpi, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        places = _axis(axes, "x", layout.get("xaxis", {}), spec["data"])
        places |= _axis(axes, "y", layout.get("yaxis", {}), spec["data"])
        for shape in layout.get("shapes") or ():
            _shape(axes, shape)
        before: tuple[Any, Any] = (None, None)
        for level, trace in enumerate(spec["data"]):
            x, y = (_values(trace.get(name) or (), places.get(name)) for name in "xy")
            match trace.get("type", "scatter"):
                case "scatter":
                    _scatter(axes, trace, x, y, before, 2 + 0.01 * level)
                case "bar":
                    _bar(axes, trace, x, y)
                case "heatmap":
                    _heatmap(axes, trace, x, y, height)
                case other:
                    raise ValueError(f"a trace of type {other!r} cannot be printed; save the figure as .html.")
            before = x, y
        for name in "xy":
            _ends(axes, name, layout.get(name + "axis", {}), places.get(name))
        if heading := _title(layout):
            figure.suptitle(heading)
        if layout.get("showlegend"):
            _legend(figure, spec["data"])
        _inside(figure, axes, len(places.get("x", ())))
    return figure


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's own defaults and ours, whatever the user has set; glyphs that no font has are boxes."""
    import matplotlib.style
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    fonts = [name for name in FONTS if name in installed]
    with matplotlib.style.context(["default", {**STYLE, "font.sans-serif": fonts}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def text(shown: str) -> str:
    """What plotly shows of a text: its line breaks and entities."""
    return unescape(re.sub(r"<br\s*/?>", "\n", shown))


def colour(shown: str) -> Any:
    """Colour as matplotlib takes it."""
    if not (found := re.fullmatch(r"rgba?\(([^)]*)\)", shown)):
        return shown
    parts = [float(part) for part in found[1].split(",")]
    return (*(part / 255 for part in parts[:3]), *parts[3:])


def _title(part: Spec) -> str:
    title = part.get("title") or ""
    return text(title if isinstance(title, str) else title.get("text") or "")


def _axis(axes: Axes, name: str, axis: Spec, data: Sequence[Spec]) -> dict[str, dict[str, int]]:
    """Set an axis up; of categories also the place of each, as plotly orders them."""
    own: Any = axes.xaxis if name == "x" else axes.yaxis
    own.set_label_text(_title(axis))
    own.set_tick_params(length=0 if axis.get("ticks") == "" else 3, width=0.6)
    if axis.get("type") != "category":
        if axis.get("showgrid", True):
            axes.grid(axis=name)  # pyright: ignore[reportArgumentType]
        if axis.get("type") == "log":
            (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        if axis.get("zeroline"):
            draw = axes.axvline if name == "x" else axes.axhline
            draw(0, color=colour(axis["zerolinecolor"]), linewidth=axis["zerolinewidth"] * POINT, zorder=1.2)
        if (values := axis.get("tickvals")) is not None:
            own.set_ticks(values, [text(word) for word in axis.get("ticktext") or map(str, values)])
            own.set_minor_locator(_nothing())
        return {}
    given = [category for trace in data for category in trace.get(name) or () if category is not None]
    names = dict.fromkeys([*(axis.get("categoryarray") or ()), *given])
    places = {category: place for place, category in enumerate(names)}
    own.set_ticks(range(len(places)), [text(category) for category in places])
    if not axis.get("showticklabels", True):
        own.set_tick_params(labelbottom=False, labelleft=False)
    if name == "x" and (angle := axis.get("tickangle")):
        for label in axes.get_xticklabels():
            label.set(rotation=-angle, ha="right" if angle < 0 else "left", va="center", rotation_mode="anchor")
    return {name: places}


def _nothing() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _ends(axes: Axes, name: str, axis: Spec, places: dict[str, int] | None) -> None:
    """Set where an axis begins and ends."""
    limit = axes.set_xlim if name == "x" else axes.set_ylim
    if places is not None:
        margin = 0.5 if axes.collections and axes.collections[0].get_gid() == "heatmap" else 0.7
        ends = -margin, max(len(places), 1) - 1 + margin
        limit(*(ends[::-1] if axis.get("autorange") == "reversed" else ends))
    elif axis.get("range"):
        limit(*(10.0 ** np.array(axis["range"], float) if axis.get("type") == "log" else axis["range"]))


def _values(values: Sequence[Any], places: dict[str, int] | None) -> np.ndarray:
    """Numbers of one side of a trace, NaN where there is none."""
    if places is not None:
        values = [None if value is None else places[value] for value in values]
    return np.array([np.nan if value is None else value for value in values], float)


def _shape(axes: Axes, shape: Spec) -> None:
    """Draw a straight line, in numbers of the axes or in shares of the paper."""
    if shape.get("type") != "line":
        raise ValueError(f"a shape of type {shape.get('type')!r} cannot be printed; save the figure as .html.")
    transform: Any = {
        (False, False): axes.transData,
        (False, True): axes.get_xaxis_transform(),
        (True, False): axes.get_yaxis_transform(),
        (True, True): axes.transAxes,
    }[shape.get("xref") == "paper", shape.get("yref") == "paper"]
    ends = [shape["x0"], shape["x1"]], [shape["y0"], shape["y1"]]
    level = 4 if shape.get("layer", "above") == "above" else 1.2
    axes.plot(*ends, transform=transform, zorder=level, **_stroke(shape.get("line", {})))


def _stroke(line: Spec, default: str = INK) -> Spec:
    """Properties of a line."""
    dash = DASHES[line.get("dash", "solid")]
    return {"color": colour(line.get("color", default)), "linewidth": line.get("width", 2) * POINT, "linestyle": dash}


def _markers(marker: Spec, alpha: float) -> Iterator[tuple[Any, Any, Spec]]:
    """Properties of markers, by colour and symbol."""
    colours, symbols = marker.get("color", INK), marker.get("symbol", "circle")
    n = max((len(given) for given in (colours, symbols) if not isinstance(given, str)), default=0)
    each = [[given] * max(n, 1) if isinstance(given, str) else list(given) for given in (colours, symbols)]
    kinds = list(zip(*each, strict=True))
    for kind in dict.fromkeys(kinds):
        ink, symbol = colour(kind[0]), kind[1]
        open_ = symbol.endswith("-open")
        edge = marker.get("line", {}).get("width", 1.3 if open_ else 0)
        look = {"marker": SYMBOLS[symbol.removesuffix("-open")], "markersize": marker.get("size", 6) * POINT}
        look |= {"markerfacecolor": ("none" if symbol in SEEN_THROUGH else "white") if open_ else ink}
        look |= {"markeredgecolor": ink, "markeredgewidth": edge * POINT}
        look |= {"alpha": alpha * marker.get("opacity", 1.0), "linestyle": "none"}
        if look["marker"] == "D":
            look["markersize"] *= 0.75  # matplotlib's diamond is as wide as its circle, and looks larger
        rows = np.array([one == kind for one in kinds]) if n else slice(None)
        yield rows, kind, look


def _scatter(axes: Axes, trace: Spec, x: np.ndarray, y: np.ndarray, before: tuple[Any, Any], level: float) -> None:
    """Draw points, lines, their error bars, and the band down to the trace before."""
    mode, alpha, marker = trace.get("mode", "lines"), trace.get("opacity", 1.0), trace.get("marker", {})
    if trace.get("fill") == "tonexty" and before[1] is not None:
        band = before[1] if np.array_equal(before[0], x) else np.interp(x, *before)
        axes.fill_between(x, y, band, color=colour(trace["fillcolor"]), linewidth=0, zorder=1.5)
    if "lines" in mode and trace.get("line", {}).get("width", 2):
        stroke = _stroke(trace.get("line", {}), str(marker.get("color", INK)))
        axes.plot(x, y, alpha=alpha, zorder=level, solid_capstyle="butt", **stroke)
    for name in ("error_x", "error_y"):
        if (error := trace.get(name)) is not None:
            _errors(axes, name[-1], error, x, y, marker.get("color", INK), level)
    if "markers" in mode:
        for rows, _, look in _markers(marker, alpha):
            axes.plot(x[rows], y[rows], zorder=level + 0.005, **look)


def _errors(axes: Axes, name: str, error: Spec, x: np.ndarray, y: np.ndarray, ink: Any, level: float) -> None:
    """Draw error bars along one axis."""
    above = _values(error["array"], None)
    below = above if error.get("symmetric", True) else _values(error["arrayminus"], None)
    known = np.isfinite(above) & np.isfinite(below)
    width, cap = error.get("thickness", 2) * POINT, error.get("width", 4) * POINT
    look: Spec = {"ecolor": colour(error.get("color", ink)), "elinewidth": width, "capthick": width, "capsize": cap}
    look[f"{name}err"] = np.stack([below, above])[:, known]
    axes.errorbar(x[known], y[known], fmt="none", zorder=level, **look)


def _bar(axes: Axes, trace: Spec, x: np.ndarray, y: np.ndarray) -> None:
    """Draw upright bars with their error bars."""
    axes.bar(x, y, trace.get("width", 0.8), color=colour(trace.get("marker", {}).get("color", INK)), zorder=2)
    if (error := trace.get("error_y")) is not None:
        _errors(axes, "y", error, x, y, INK, 3)


def _heatmap(axes: Axes, trace: Spec, x: np.ndarray, y: np.ndarray, height: float) -> None:
    """Draw a matrix with its scale of colours; cells that are not known are empty."""
    from matplotlib.colors import LinearSegmentedColormap

    z = np.stack([_values(row, None) for row in trace["z"]])
    scale = LinearSegmentedColormap.from_list("interplay", [(at, colour(ink)) for at, ink in trace["colorscale"]])
    edge = {"edgecolors": "white", "linewidth": trace["xgap"] * POINT} if trace.get("xgap") else {}
    sides = [np.arange(len(along) + 1) - 0.5 for along in (x, y)]
    mesh = axes.pcolormesh(
        *sides, np.ma.masked_invalid(z), cmap=scale, vmin=trace["zmin"], vmax=trace["zmax"], gid="heatmap", **edge
    )
    if "text" in trace:
        rows, columns = np.nonzero(np.array([[bool(word) for word in row] for row in trace["text"]]))
        font = trace.get("textfont", {})
        look: Spec = {"markersize": 0.55 * font.get("size", 7) * POINT, "color": font.get("color", INK)}
        axes.plot(x[columns], y[rows], linestyle="none", marker="o", markeredgewidth=0, **look)
    bar = trace.get("colorbar", {})
    beside = axes.figure.colorbar(mesh, ax=axes, pad=0.015, aspect=max(height - 150, 60) / bar.get("thickness", 30))
    beside.outline.set_visible(False)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    beside.set_label(_title(bar), rotation=270, va="bottom")
    for side in axes.spines.values():
        side.set_visible(False)


def _legend(figure: Figure, data: Sequence[Spec]) -> None:
    """Put the names of the traces above the axes, on as many lines as they need."""
    from matplotlib.lines import Line2D

    handles = []
    for trace in data:
        if not trace.get("name") or not trace.get("showlegend", True):
            continue
        look: Spec = {"linestyle": "none"}
        if "markers" in trace.get("mode", ""):
            _, _, look = next(_markers(trace.get("marker", {}), trace.get("opacity", 1.0)))
        if "lines" in trace.get("mode", ""):
            look |= {**_stroke(trace.get("line", {})), "alpha": trace.get("opacity", 1.0)}
        handles.append(Line2D([], [], label=text(trace["name"]), **look))
    for columns in range(max(len(handles), 1), 0, -1):
        legend = figure.legend(handles=handles, loc="outside upper left", ncols=columns, columnspacing=1.4)
        if columns == 1 or legend.get_window_extent().width <= 0.97 * figure.bbox.width:
            return
        legend.remove()


def _inside(figure: Figure, axes: Axes, columns: int) -> None:
    """Lay the figure out so that nothing is cut or overlaps: titles are wrapped and shifted, turned names shrink."""
    for axis, along in ((axes.xaxis, 0), (axes.yaxis, 1)):
        label, most = axis.label, (figure.bbox.width, figure.bbox.height)[along] * 0.98
        if (length := _extent(label, along)[1]) > most:
            lines = label.get_text().splitlines()
            width = max(int(max(map(len, lines)) * most / length), 8)
            label.set_text("\n".join(balanced(line, width) for line in lines))
    figure.draw_without_rendering()
    if columns and (turned := [label for label in axes.get_xticklabels() if label.get_rotation()]):
        room = 0.85 * axes.bbox.width / columns * 72 / figure.dpi
        for label in turned:
            label.set_fontsize(min(label.get_fontsize(), max(room, 3.5)))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis, along in ((axes.xaxis, 0), (axes.yaxis, 1)):
        start, length = _extent(axis.label, along)
        whole, own = ((box.width, box.height)[along] for box in (figure.bbox, axes.bbox))
        edge = 0.01 * whole
        if shift := max(edge - start, 0.0) - max(start + length - whole + edge, 0.0):
            x, y = axis.label.get_position()
            axis.label.set_position((x + shift / own, y) if along == 0 else (x, y + shift / own))


def _extent(label: Any, along: int) -> tuple[float, float]:
    box = label.get_window_extent()
    return (box.x0, box.width) if along == 0 else (box.y0, box.height)
