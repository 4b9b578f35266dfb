"""An attribution in a notebook: its verdict, what to run next, the effects on the first target; and a choice."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..figures.look import HELPS, HURTS, OPEN
from .average import of_average
from .steps import steps
from .summary import Summary
from .table import doubts, notes
from .words import plain

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..selection.result import Selection

SHOWN = 15  # tasks of each end
WIDTH, HEIGHT = 180, 14  # pixels of a drawn interval
COLOURS = {1: HELPS, -1: HURTS, 0: OPEN}
LEFT = "text-align:left;padding:.15em .8em;white-space:nowrap"
RIGHT = "text-align:right;padding:.15em .8em;white-space:nowrap;font-variant-numeric:tabular-nums"


def html(answer: Attribution) -> str:
    """Fragment without scripts; every name in it is text."""
    T, P = len(answer.targets), len(answer.tasks)
    runs = f"{min(answer.rows)} to {max(answer.rows)}" if len(set(answer.rows)) > 1 else f"{answer.rows[0]}"
    of = _name(answer.targets[0]) if T == 1 else f"{T} targets"
    said = [f"<b>Verdict: {_text(answer.trust.headline)}.</b> {_text(answer.trust.reason)}"]
    said += [f"<b>Check:</b> {_text(line)}" for line in doubts(answer)]
    if T > 1:
        said += map(_text, of_average(answer, Summary.of(answer)))
    following = (f"{_text(s.words)}{f' <code>{_text(s.command)}</code>' * bool(s.command)}" for s in steps(answer))
    said.append(f"<b>Next:</b> {' '.join(following)}")
    said.append(f"<b>Reading:</b> {_text(answer.reading)}, {_text(answer.words)}; {_text(answer.why)}.")
    noted = [line.removeprefix("Note: ") for line in notes(answer) if line.startswith("Note: ")]
    said += [f"<b>Note:</b> {_text(line)}" for line in noted[:3]]
    more = "<code>print(answer)</code> shows pairs and evidence, <code>answer.to_frame()</code> all numbers"
    if T > 1:
        more += f", <code>interplay.plots.overview(answer)</code> all {T} targets"
    return "".join(
        [
            '<div style="max-width:60em">',
            f'<p style="font-weight:600">Attribution of {of} to {P} task{"s" * (P != 1)}, {runs} runs</p>',
            *(f'<p style="margin:.3em 0">{line}</p>' for line in said),
            *_table(answer, 0),
            f'<p style="margin:.3em 0;opacity:.75">{more}.</p></div>',
        ]
    )


def selection_html(chosen: Selection) -> str:
    """Fragment of a choice: what to train, and what it gains over what it is compared with."""
    from ..predictor import Z
    from .chosen import short, titled
    from .selection import sentences

    said = [f"<b>Verdict: {_text(chosen.verdict)}.</b> {_text(chosen.why)}"]
    said += [f"<b>{_text(name)}:</b> {_text(words)}" for name, words in short(chosen)]
    rows = []
    for title, c in titled(chosen)[: SHOWN - 1]:
        first = c is chosen.choice
        half = Z * c.gain_deviation[0]
        gain = "" if first else f"{c.gain[0]:+.4g}{'&nbsp;' if abs(c.gain[0]) > half else '?'}"
        interval = "" if first else f"{c.gain[0] - half:+.3g} to {c.gain[0] + half:+.3g}"
        measured = f"{c.measured[0]:.4g}" if c.runs else ""
        cells = (f"{c.predicted[0]:.4g}", measured, gain, interval)
        line = "".join(f'<td style="{RIGHT}">{cell}</td>' for cell in cells)
        rows.append(f'<tr><td style="{LEFT}">{_text(title)}</td>{line}</tr>')
    J, better = len(chosen.targets), "higher" if chosen.higher_is_better[0] else "lower"
    of = _name(chosen.targets[0]) + (f", the first of {J} targets" if J > 1 else "")
    heads = ("predicted", "measured", "gain of the choice", "95 % interval")
    more = "<code>print(choice)</code> shows how far to believe it, <code>choice.to_frame()</code> all numbers"
    notes = [f"<b>Note:</b> {_text(line)}" for line in chosen.warnings[:3]]
    return "".join(
        [
            '<div style="max-width:60em">',
            f'<p style="font-weight:600">Choice to {_text(chosen.objective)}, from {chosen.runs} runs</p>',
            *(f'<p style="margin:.3em 0">{line}</p>' for line in [*said, *map(_text, sentences(chosen)[:1]), *notes]),
            '<table style="border-collapse:collapse"><caption style="text-align:left;padding:.4em 0">',
            f"In {of} ({better} is better; ? = cannot be told apart)</caption><thead><tr>",
            f'<th style="{LEFT}"></th>',
            *(f'<th style="{RIGHT}">{head}</th>' for head in heads),
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table>",
            f'<p style="margin:.3em 0;opacity:.75">{more}.</p></div>',
        ]
    )


def _table(answer: Attribution, t: int) -> Iterator[str]:
    """Effects on one target with their intervals, drawn and in numbers."""
    arrow = "higher is better" if answer.higher_is_better[t] else "lower is better"
    unit = f"{_name(answer.targets[t])}, its own unit"
    if answer.unit[t] != "own":
        unit = f"{_text(answer.unit[t])} of {_name(answer.targets[t])}"
    which = ""
    if (T := len(answer.targets)) > 1:
        which = f"; the first of {T} targets, which by itself is {_text(answer.trust.targets[t])}"
    effect, low, high = (values[:, t] for values in (answer.effects, answer.lower, answer.upper))
    order = np.argsort(-effect, kind="stable")
    order = order[np.isfinite(effect[order])]
    shown = order if len(order) <= 2 * SHOWN + 1 else np.concatenate([order[:SHOWN], [-1], order[-SHOWN:]])
    drawn = shown[shown >= 0]
    ends = np.concatenate([[0.0], effect[drawn], low[drawn], high[drawn]])
    least, most = np.nanmin(ends), np.nanmax(ends)
    place = lambda value: 4 + (WIDTH - 8) * (value - least) / ((most - least) or 1.0)
    yield f'<table style="border-collapse:collapse"><caption style="text-align:left;padding:.4em 0">Benefit in {unit} '
    yield f"({arrow}; positive helps; ? = the interval includes 0{which})</caption><thead><tr>"
    yield f'<th style="{LEFT}">task</th><th style="{RIGHT}">benefit</th>'
    yield f'<th style="{RIGHT}">95 % interval</th><th></th></tr></thead><tbody>'
    for k in shown:
        if k < 0:
            yield f'<tr><td style="{LEFT}" colspan="4">... {len(order) - 2 * SHOWN} more</td></tr>'
            continue
        sign = int(low[k] > 0) - int(high[k] < 0)
        yield f'<tr><td style="{LEFT}">{_name(answer.tasks[k])}</td>'
        if effect[k] == low[k] == high[k] == 0:  # a target that never changes
            yield f'<td style="{RIGHT}">none&nbsp;</td><td></td><td></td></tr>'
            continue
        yield f'<td style="{RIGHT}">{effect[k]:+.4g}{"&nbsp;" if sign else "?"}</td>'
        yield f'<td style="{RIGHT}">{low[k]:+.3g} to {high[k]:+.3g}</td><td style="{LEFT}">'
        yield _drawn(place(low[k]), place(effect[k]), place(high[k]), place(0.0), COLOURS[sign])
        yield "</td></tr>"
    unknown = [answer.tasks[k] for k in np.flatnonzero(~np.isfinite(effect))]
    for name in (*unknown, *answer.unidentified):
        yield f'<tr><td style="{LEFT}">{_name(name)}</td><td style="{LEFT}" colspan="3">not identifiable</td></tr>'
    yield "</tbody></table>"


def _drawn(low: float, at: float, high: float, zero: float, ink: str) -> str:
    """Draw an interval beside 0."""
    y = HEIGHT / 2
    parts = [f'<path d="M{zero:.1f} 0V{HEIGHT}" stroke="currentColor" stroke-opacity=".4"/>']
    if np.isfinite(low) and np.isfinite(high):
        parts.append(f'<path d="M{low:.1f} {y:g}H{high:.1f}" stroke="{ink}" stroke-width="2"/>')
    parts.append(f'<circle cx="{at:.1f}" cy="{y:g}" r="3.5" fill="{ink}"/>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'


def _text(sentence: str) -> str:
    return escape(plain(sentence, 1000))


def _name(name: str) -> str:
    return escape(plain(name))
