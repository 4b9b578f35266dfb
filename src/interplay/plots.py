"""Figures of an answer: interactive ones of plotly, for notebooks and pages; as PNG, SVG and PDF without a browser.

>>> import numpy as np, interplay as ip
>>> masks = ip.masks.bernoulli(6, 40, p=0.8, rng=np.random.default_rng(0))
>>> loss = 2.0 - masks @ [0.5, 0.3, 0.0, 0.0, -0.2, 0.1]
>>> answer = ip.attribute(ip.Evaluations.from_arrays(masks, loss, targets=["loss"]))
>>> figure = ip.plots.effects(answer)                       # doctest: +SKIP
>>> ip.plots.save(figure, "effects.pdf")                    # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import figures
from .fields import match
from .figures import choice
from .figures.effects import MOST
from .figures.interactions import MOST as PAIRED
from .figures.look import Spec
from .figures.printed import DPI, FORMATS, WIDTH
from .figures.printed import save as save_printed
from .formats.shapiq import column
from .report.pairs import additive

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from .attribution import Attribution
    from .selection import Selection

__all__ = [
    "coverage",
    "effects",
    "interactions",
    "learning_curve",
    "measured_vs_predicted",
    "mixture",
    "overview",
    "save",
    "selection",
    "selection_gains",
    "spectrum",
]

INSTALL = "which is not installed: pip install 'interplay[plots]'"
OLDER = "this answer was saved by a version of interplay that did not keep them; attribute the runs again."


def effects(answer: Attribution, target: str | None = None, *, most: int = MOST) -> Figure:
    """Benefits of the tasks on one target with their 95 % intervals, and the truth where it is given.

    Parameters
    ----------
    answer : Attribution
    target : str, optional
        The first if not given.
    most : int
        Of more tasks, those at either end are shown.

    Raises
    ------
    EvaluationsError
        For a target that the answer does not have.
    ImportError
        If plotly is not installed.
    """
    return _figure(figures.effects(answer, column(answer, target), _enough(most)))


def interactions(answer: Attribution, target: str | None = None, *, most: int = PAIRED) -> Figure:
    """What two tasks bring beyond their sum, as a matrix of the tasks in the strongest pairs; see `effects`.

    Raises
    ------
    ValueError
        If the answer holds no pairs.
    """
    t = column(answer, target)
    if (spec := figures.interactions(answer, t, _enough(most))) is None:
        if len(answer.tasks) < 2:
            raise ValueError(f"{_name(answer, t)} has effects of one task; interactions need two.")
        if not len(answer.interactions):
            raise ValueError("this answer holds no pairs; ask for them with attribute(..., pairs=True).")
        if additive(answer, t):
            raise ValueError(f"the fit of {_name(answer, t)} is additive: all of its interactions are 0.")
        raise ValueError(
            f"no pairs were read for {_name(answer, t)} by {answer.reading!r} over {len(answer.tasks)} tasks; "
            "ask for another reading, such as attribute(..., reading='leave-one-out') of masks, 'move' of mixtures."
        )
    return _figure(spec)


def measured_vs_predicted(answer: Attribution, target: str | None = None) -> Figure:
    """Every run as measured and as the other runs predict it, with 95 % intervals; see `effects`.

    Raises
    ------
    ValueError
        If the answer holds no held-out runs.
    """
    t = column(answer, target)
    if (spec := figures.measured_vs_predicted(answer, t)) is None:
        if answer.held_out is None:
            raise ValueError(f"measured_vs_predicted needs held-out runs; {OLDER}")
        raise ValueError(f"no run of {_name(answer, t)} was held out, since it never changes; choose another target.")
    return _figure(spec)


def spectrum(answer: Attribution, target: str | None = None) -> Figure:
    """Shares of single tasks, pairs and more in the variance over random halves of the tasks; see `effects`.

    Raises
    ------
    ValueError
        If the runs do not answer this.
    """
    t = column(answer, target)
    if (spec := figures.spectrum(answer, t)) is None:
        if answer.reference is not None:
            raise ValueError(
                "mixtures and weights have no spectrum, since they are not switched on and off; plot `effects`."
            )
        if answer.reading not in ("shapley", "banzhaf"):
            raise ValueError(
                f"the spectrum is one of masks of many sizes, and the reading is {answer.reading!r}; "
                "ask for attribute(..., reading='banzhaf'), which runs on about half of the tasks answer best."
            )
        raise ValueError(
            f"the runs do not tell the spectrum of {_name(answer, t)}: tuned ridge was taken, which has single tasks "
            "only, or nothing shows that the target depends on the tasks. Add runs, or ask for surrogate='stack'."
        )
    return _figure(spec)


def learning_curve(answer: Attribution) -> Figure:
    """Held-out R^2 against the number of runs, and what up to four times as many are expected to bring.

    Raises
    ------
    ValueError
        If the runs are too few to tell.
    """
    if (spec := figures.learning_curve(answer)) is None:
        if answer.coverage is None:
            raise ValueError(f"learning_curve needs the skills of fewer runs; {OLDER}")
        raise ValueError(
            f"{max(answer.rows)} runs do not tell a learning curve: it takes 12 different masks or mixtures of one "
            "fidelity and a target that depends on them. Add runs: `interplay design` proposes masks."
        )
    return _figure(spec)


def coverage(answer: Attribution, target: str | None = None, *, most: int = MOST) -> Figure:
    """How far the runs narrowed each effect, and how many runs hold each task; see `effects`.

    Raises
    ------
    ValueError
        If the answer does not hold it.
    """
    t = column(answer, target)
    if (spec := figures.coverage(answer, t, _enough(most))) is None:
        if answer.coverage is None:
            raise ValueError(f"coverage needs deviations before the runs; {OLDER}")
        raise ValueError(f"{_name(answer, t)} never changes, so that nothing is known of it; choose another target.")
    return _figure(spec)


def mixture(answer: Attribution, target: str | None = None, *, most: int = MOST) -> Figure:
    """Weights of the reference within those of the runs, and which way a move helps the target; see `effects`.

    Raises
    ------
    ValueError
        If the answer is one about masks.
    """
    t = column(answer, target)
    if (spec := figures.mixture(answer, t, _enough(most))) is None:
        if answer.reference is None:
            raise ValueError("this answer is about masks, which have no reference mixture; plot `effects`.")
        raise ValueError(f"mixture needs the ranges of the weights in the runs; {OLDER}")
    return _figure(spec)


def overview(answer: Attribution, *, most: int = MOST) -> Figure:
    """Effects of the tasks on all targets, each in units of the size of its effects.

    Raises
    ------
    ValueError
        If there is one target.
    """
    if (spec := figures.overview(answer, _enough(most))) is None:
        raise ValueError(f"{_name(answer, 0)} is the only target; plot its `effects`.")
    return _figure(spec)


def selection(chosen: Selection, *, most: int = MOST) -> Figure:
    """What a choice holds: of masks which tasks are in, beside its alternatives; of mixtures the weights.

    Parameters
    ----------
    chosen : Selection
    most : int
        Of more tasks, those that differ most, or have the largest weights, are shown.
    """
    return _figure(choice.choice(chosen, _enough(most)))


def selection_gains(chosen: Selection, target: str | None = None) -> Figure:
    """By how much a choice is better than the baseline, the best run and its alternatives, with 95 % intervals.

    Raises
    ------
    EvaluationsError
        For a target that is none of the objective.
    """
    found = chosen.targets if target is None else match(target, chosen.targets, "target", argument="target")
    return _figure(choice.gains(chosen, chosen.targets.index(found[0])))


def save(figure: Figure, path: str | Path, *, width: float = WIDTH, dpi: float = DPI) -> Path:
    """Write a figure of this module: .png, .svg, .pdf for print, .html with what moves it; returns the path.

    Parameters
    ----------
    figure : plotly Figure
    path : path
    width : float
        Inches of what is printed; letters keep their size, and the height is that of the figure.
    dpi : float
        Of .png.

    Raises
    ------
    TypeError
        For what is no figure of plotly.
    ValueError
        For another suffix, or a width or dpi that is not above 0.
    ImportError
        If matplotlib is not installed, which prints.
    """
    if not hasattr(figure, "write_html"):
        raise TypeError(f"figure is {type(figure).__name__}; give one that ip.plots returned, such as effects(answer).")
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".html":
        figure.write_html(path, include_plotlyjs=True, config={"displaylogo": False})
        return path
    if suffix not in FORMATS:
        raise ValueError(f"path ends in {suffix!r}; figures are saved as {', '.join(FORMATS)} or .html.")
    for name, value in (("width", width), ("dpi", dpi)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}; give a number above 0.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(f"saving {suffix} needs matplotlib, {INSTALL}") from error
    save_printed(figure.to_dict(), path, width, dpi)
    return path


def _figure(spec: Spec) -> Figure:
    try:
        from plotly.graph_objects import Figure
    except ImportError as error:
        raise ImportError(f"ip.plots needs plotly, {INSTALL}") from error
    figure = Figure(spec["data"], {**spec["layout"], "template": "none"})
    return figure.update_layout(paper_bgcolor="white", plot_bgcolor="white")


def _enough(most: int) -> int:
    if most < 2:
        raise ValueError(f"most is {most!r}; give 2 or more tasks to show.")
    return most


def _name(answer: Attribution, target: int) -> str:
    return repr(answer.targets[target])
