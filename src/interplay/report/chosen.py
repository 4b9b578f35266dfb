"""A choice as one HTML file, in the look of an attribution's page (`page`): what to train, and what it gains."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fields import listed
from ..figures import choice as figures
from ..figures.look import numbers
from ..formats.archive import written_whole
from ..predictor import Z
from ..selection import result
from . import frames
from .page import PLOTLY, packed, rendered
from .selection import sentences
from .tables import Table, table
from .words import plainly, safe_cell, sentence, shortened, shown

if TYPE_CHECKING:
    import pandas as pd

    from ..selection.result import Candidate, Selection

__all__ = ["html", "short", "titled", "write"]

#: Tasks that are named in a line.
NAMED = 60
#: Weights of a mixture that are.
LARGEST = 12
WORDS = {
    "solid": "Train this: it is better than what it is compared with.",
    "indicative": "It is likely better. Verify it before you rely on it.",
    "not supported": "These runs do not support this choice. Do not rely on it.",
}


def html(chosen: Selection) -> str:
    """The page of a choice."""
    J = len(chosen.targets)
    document = whole(chosen)
    data = {
        "targets": [shown(name) for name in chosen.targets],
        "verdicts": [_sure(chosen, j) for j in range(J)],
        "whole": packed({"figures": {"choice": figures.choice(chosen)}, "tables": _tables(chosen)}),
        "each": [packed(of_target(chosen, j)) for j in range(J)],
        "files": [{"name": name, "what": what, "data": packed(text)} for name, what, text in downloads(chosen)],
        "live": None,
    }
    words = {**document, "many": J > 1}
    return rendered("selection.html", (PLOTLY, "report.js"), data, None, words)


def write(chosen: Selection, path: str | Path) -> Path:
    """Write the page of a choice, whole or not at all; returns the path."""
    path = Path(path)
    text = html(chosen)
    written_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return path


def whole(chosen: Selection) -> dict[str, Any]:
    """What does not concern a single target."""
    return {
        "title": shown(f"Choice to {chosen.objective}"),
        "verdict": chosen.verdict,
        "meaning": WORDS[chosen.verdict],
        "reason": sentence(shown(chosen.why, 600)),
        "short": short(chosen),
        "reading": f"From {chosen.runs} runs of {len(chosen.tasks)} tasks.",
        "rules": [shown(rule) for rule in chosen.rules],
        "facts": [shown(line, 1000) for line in sentences(chosen)],
        "notes": [shown(note, 1000) for note in chosen.warnings],
        "made": made(chosen),
    }


def short(chosen: Selection) -> list[tuple[str, str]]:
    """What to train and what it gains, in words."""
    said: list[tuple[str, str]] = []
    if chosen.kind == "mask":
        out = [task for task in chosen.tasks if task not in chosen.names]
        said.append((f"Train on {len(chosen.names)} of {len(chosen.tasks)}", _listed(chosen.names)))
        said += [("Leave out", _listed(out))] if out else []
    else:
        order = [k for k in np.argsort(-chosen.weights, kind="stable") if chosen.weights[k] >= 5e-4]
        percent = chosen.kind == "mixture"
        parts = [f"{shown(chosen.tasks[k], 60)} {_share(float(chosen.weights[k]), percent)}" for k in order]
        said.append(("Train on", listed(parts, LARGEST)))
    for role in (result.BASELINE, result.RUN):
        for c in chosen.of(role):
            title = f"Gains over {shown(c.name, 60)}"
            same = np.allclose(c.weights, chosen.weights)
            said.append((title, "it is the choice itself" if same else _gains(chosen, c)))
    if chosen.choice.runs:
        said.append(("Measured", f"in {chosen.choice.runs} run{'s' * (chosen.choice.runs != 1)} of the choice itself"))
    return said


def of_target(chosen: Selection, j: int) -> dict[str, Any]:
    """What concerns one target (column)."""
    better, name = "higher" if chosen.higher_is_better[j] else "lower", shown(chosen.targets[j], 80)
    noise = chosen.noise[j]
    known = f"Standard deviation of a measurement: {noise:.3g}" if np.isfinite(noise) else ""
    each = [
        (f"Gain over {shown(c.name, 60)}", _gain(c, j)) for r in (result.BASELINE, result.RUN) for c in chosen.of(r)
    ]
    second = 1 if j == 0 else 0
    return {
        "name": shown(chosen.targets[j]),
        "about": f"In {name}, its own unit; {better} is better. A positive gain is one of the choice.",
        "known": known,
        "short": each,
        "figures": {
            "gains": figures.gains(chosen, j),
            "predicted": figures.predicted(chosen, j),
            "front": figures.front(chosen, j, second),
        },
        "tables": {"candidates": candidates(chosen, j)},
    }


def candidates(chosen: Selection, j: int) -> Table:
    """The choice, what it is compared with and the alternatives, on one target."""
    rows = []
    for title, c in titled(chosen):
        low, high = numbers(c.predicted[j] + Z * c.deviation[j] * np.array([-1, 1]), 4)
        gain = [None] * 3 if c.role == result.CHOICE else _three(c, j)
        said = [] if c.role == result.CHOICE else [figures.standing(c, j)]
        rows.append(
            [
                title,
                *numbers([c.predicted[j]]),
                low,
                high,
                *numbers([c.measured[j]]),
                c.runs,
                *gain,
                ", ".join([*said, *(["far from the runs"] if c.far else [])]),
                _holds(chosen, c),
            ]
        )
    columns = [
        ("candidate", "text"),
        ("predicted", "number"),
        ("from", "number"),
        ("to", "number"),
        ("measured", "number"),
    ]
    columns += [("runs", "number"), ("gain of the choice", "signed"), ("from", "signed"), ("to", "signed")]
    return table([*columns, ("standing", "text"), ("holds", "text")], rows)


def made(chosen: Selection) -> list[tuple[str, str]]:
    """What was done, in rows of a name and words."""
    done = chosen.made
    rows = [("Search", sentence(chosen.search)), ("Surrogate", shown(chosen.surrogate, 1000))]
    if "interplay" in done:
        rows.append(("Version", f"interplay {done['interplay']}"))
    if options := done.get("options"):
        rows.append(("Options", shown(plainly(options), 2000)))
    for name, words in (("runs", "Runs"), ("truth", "Verified by")):
        if name in done:
            rows.append((words, f"{done[name]['rows']} rows, fingerprint {done[name]['fingerprint']}"))
    return [*rows, *([("Command", shown(done["command"], 2000))] if "command" in done else [])]


def downloads(chosen: Selection) -> Iterator[tuple[str, str, str]]:
    """Name of each file, what it holds, and its text."""
    holds, all_of = chosen.mixture(), chosen.to_frame()
    yield "choice.csv", f"the choice over {len(chosen.tasks)} tasks", _text(holds)
    every = _numbered(chosen)
    yield "candidates.csv", f"predictions and gains of {len(every)} candidates", _text(all_of)
    import pandas as pd

    wide = pd.DataFrame(np.array([c.weights for _, c in every]), columns=[*chosen.tasks])
    wide.insert(0, "run", [title for title, _ in every], allow_duplicates=True)
    yield "weights.csv", f"weights of {len(every)} candidates, a row each", _text(wide)


def _numbered(chosen: Selection) -> list[tuple[str, Candidate]]:
    """All candidates and the front, each under a title of its own."""
    every = (*chosen.candidates, *chosen.front)
    roles = [c.role for c in every]
    return [(r if roles.count(r) == 1 else f"{r} {roles[: i + 1].count(r)}", every[i]) for i, r in enumerate(roles)]


def _text(frame: pd.DataFrame) -> str:
    frame = frames.safe(frame, ("task", "candidate", "target", "run")).rename(columns=lambda name: safe_cell(str(name)))
    return frame.to_csv(index=False, lineterminator="\r\n", float_format="%.7g")


def _tables(chosen: Selection) -> dict[str, Table | None]:
    """Tables of all targets together."""
    held = [(shown(title, 60), c) for title, c in titled(chosen) if c.role in (result.BASELINE, result.RUN)]
    order = np.argsort(-chosen.weights, kind="stable")
    cells = lambda c: _inside(c) if chosen.kind == "mask" else numbers(c.weights, 4)
    kind = "text" if chosen.kind == "mask" else "number"
    columns = [cells(chosen.choice), *(cells(c) for _, c in held)]
    titles = [("task", "text"), ("the choice", kind), *((title, kind) for title, _ in held)]
    rows = [[shown(chosen.tasks[k]), *(column[k] for column in columns)] for k in order]
    found: dict[str, Table | None] = {"weights": table(titles, rows), "front": _front(chosen)}
    if len(chosen.targets) > 1:
        found["targets"] = _targets(chosen)
    return found


def _inside(c: Candidate) -> list[str]:
    """Which tasks a mask holds; of an average over masks in how many of them each is."""
    return [f"in {w:.0%}" if c.drawn else "in" if w else "" for w in c.weights]


def _targets(chosen: Selection) -> Table:
    """Every target of the objective: what the choice comes to, and what it gains."""
    base = chosen.of(result.BASELINE)[0]
    rows = [
        [
            shown(name),
            "higher" if chosen.higher_is_better[j] else "lower",
            *numbers([chosen.choice.predicted[j], base.predicted[j]]),
            *_three(base, j),
        ]
        for j, name in enumerate(chosen.targets)
    ]
    columns = [("target", "text"), ("better", "text"), ("the choice", "number"), (shown(base.name, 60), "number")]
    return table([*columns, ("gain of the choice", "signed"), ("from", "signed"), ("to", "signed")], rows)


def _front(chosen: Selection) -> Table | None:
    """Choices of which none is better in all targets."""
    if not chosen.front:
        return None
    rows = [[_holds(chosen, c), *numbers(c.predicted), c.runs] for c in chosen.front]
    columns = [("holds", "text"), *((shown(name, 60), "number") for name in chosen.targets), ("runs", "number")]
    return table(columns, rows)


def titled(chosen: Selection) -> list[tuple[str, Candidate]]:
    """What is compared under the names of the figures, as text."""
    return [(unescape(title), c) for title, c in figures.compared(chosen)]


def _sure(chosen: Selection, j: int) -> str:
    """Whether the choice is better than the baseline on one target, in words."""
    base = chosen.of(result.BASELINE)
    if not base:
        return chosen.verdict
    gain, half = base[0].gain[j], Z * base[0].gain_deviation[j]
    return "better" if gain > half else "worse" if gain < -half else "open"


def _gain(c: Candidate, j: int) -> str:
    half = Z * c.gain_deviation[j]
    return f"{c.gain[j]:+.3g} (95 %: {c.gain[j] - half:+.3g} to {c.gain[j] + half:+.3g})"


def _gains(chosen: Selection, c: Candidate) -> str:
    if len(chosen.targets) == 1:
        return f"{_gain(c, 0)} in {shown(chosen.targets[0], 80)}"
    sure = int((c.gain > Z * c.gain_deviation).sum())
    worse = int((c.gain < -Z * c.gain_deviation).sum())
    return f"for certain on {sure} of {len(chosen.targets)} targets; worse for certain on {worse}"


def _three(c: Candidate, j: int) -> list[float | None]:
    half = Z * c.gain_deviation[j]
    return [*numbers([c.gain[j]], 4), *numbers([c.gain[j] - half, c.gain[j] + half], 3)]


def _holds(chosen: Selection, c: Candidate) -> str:
    """What a candidate holds, of a mixture the largest weights; names without what all of them begin and end with."""
    if c.drawn:
        return f"{c.weights.sum():.3g} of {len(c.weights)} tasks"
    tasks = tuple(shortened(chosen.tasks)[0])
    return shown(result.named(tasks, c.weights, chosen.kind, NAMED if chosen.kind == "mask" else 4), 2000)


def _share(weight: float, percent: bool) -> str:
    return f"{weight:.1%}" if percent else f"{weight:.3g}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return listed([shown(name, 60) for name in names], NAMED)
