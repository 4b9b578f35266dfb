"""Groups and contrasts of an attribution as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..trust import COVERED
from .columns import table
from .words import plain

if TYPE_CHECKING:
    from ..attribution import Attribution
    from ..named import Named

MOST = 20  # groups or contrasts that are printed


def one(answer: Attribution, t: int) -> list[str]:
    """For one target: benefit and interval, in the target's own unit."""
    lines = []
    for kind, asked in _asked(answer):
        rows = []
        for i in range(len(asked.names)):
            value, low, high = (array[i, t] for array in (asked.effects, asked.lower, asked.upper))
            if not np.isfinite(value):
                rows.append([plain(asked.names[i]), "not known", "", ""])
                continue
            sure = low > 0 or high < 0
            far = "the runs say almost nothing of it" if asked.coverage[i, t] > COVERED else ""
            cells = [f"{value:+.4g}{' ' if sure else '?'}", f"{low:+.3g} to {high:+.3g}", far]
            rows.append([plain(asked.names[i]), *cells])
        lines += ["", _heading(kind, asked, f" (benefit in {plain(answer.targets[t], 30)}, its own unit)")]
        lines += _cut(table([kind, "benefit", "95 % interval", ""], rows), len(rows), kind)
    return lines


def many(answer: Attribution) -> list[str]:
    """Over several targets: how many are helped and hurt, and which most surely."""
    from .table import short_targets

    names, _ = short_targets(answer)
    lines = []
    for kind, asked in _asked(answer):
        counts = over(asked, names)
        rows = [
            [plain(name), *map(str, cells[:3]), cells[3] or "-", cells[4] or "-"]
            for name, cells in zip(asked.names, counts, strict=True)
        ]
        about = ": number of targets whose interval lies above 0 (helps), below 0 (hurts), or that no run tells of"
        columns = [kind, "helps", "hurts", "unknown", "surest help", "surest harm"]
        lines += ["", _heading(kind, asked, about), *_cut(table(columns, rows), len(rows), kind)]
    return lines


def over(asked: Named, targets: Sequence[str]) -> Iterator[tuple[int, int, int, str, str]]:
    """Over targets of these names, for each group or contrast: how many it helps, hurts and that nothing is known of.

    Then the surest help and the surest harm in words, with their intervals in the target's own unit; '' for none, and
    a question mark where even that interval includes 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = np.nan_to_num(asked.effects / asked.deviation, posinf=0.0, neginf=0.0)
    helps, hurts, covered = asked.lower > 0, asked.upper < 0, asked.coverage <= COVERED
    for i in range(len(asked.names)):
        best, worst = int(sure[i].argmax()), int(sure[i].argmin())
        said = []
        for t in (best, worst):
            mark = "" if helps[i, t] or hurts[i, t] else "?"
            said.append(f"{targets[t]} ({asked.effects[i, t]:+.3g}{mark} ± {1.96 * asked.deviation[i, t]:.2g})")
        surest = said[0] if sure[i, best] > 0 else "", said[1] if sure[i, worst] < 0 else ""
        yield int(helps[i].sum()), int(hurts[i].sum()), int((~covered[i]).sum()), *surest


def _asked(answer: Attribution) -> list[tuple[str, Named]]:
    asked = (("group", answer.groups), ("contrast", answer.contrasts))
    return [(kind, named) for kind, named in asked if named is not None and named.names]


def _heading(kind: str, asked: Named, more: str) -> str:
    return f"{kind.capitalize()}s, {asked.words}{more}"


def _cut(lines: list[str], n: int, kind: str) -> list[str]:
    """At most `MOST` rows below the two lines of the header."""
    return lines if n <= MOST else [*lines[: MOST + 2], f"... {n - MOST} more ({kind}s_frame(), or --out)"]
