"""Measure the labels of the cases: `python -m benchmarks.label_cases` writes results/cases.md.

For every case r over draws (see `labels`), the share of draws on its verdict's side, and whether the rule agrees.

python -m benchmarks.label_cases                       # all, 20 draws
python -m benchmarks.label_cases additive              # those whose "family: name" holds a word; the other lines stay
python -m benchmarks.label_cases --draws 4             # a first look; writes nothing
python -m benchmarks.label_cases --moves               # the moves of RegMix that are taken for true
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

from time import perf_counter

import numpy as np
import pandas as pd

from interplay import attribute

from . import cases_recordings
from .cases import cases
from .labels import VERDICTS, Case, label, score, share
from .machine import machine, table
from .public import recordings

HERE = Path(__file__).resolve().parent
PAGE = HERE / "results" / "cases.md"
DRAWS = 20
HEAD = ["case", "family", "verdict", "half", "r", "sd over draws", "share of draws", "label by", "seconds a draw"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names or families; all cases if none is given")
    parser.add_argument("--data", type=Path, default=recordings())
    parser.add_argument("--moves", action="store_true", help="write recordings/moves.csv (minutes)")
    parser.add_argument("--draws", type=int, default=DRAWS)
    arguments = parser.parse_args()
    if arguments.moves:
        moves(arguments.data)
        return
    known = cases(arguments.data)
    chosen = [
        case
        for case in known
        if not arguments.words or any(word in f"{case.family}: {case.name}" for word in arguments.words)
    ]
    rows = {line[0]: line for line in kept()}
    for case in chosen:
        rows[case.name] = row(case, arguments.draws)
        print(" | ".join(rows[case.name]), flush=True)
        if arguments.draws >= DRAWS:
            PAGE.write_text(text(known, [rows[one.name] for one in known if one.name in rows]))


def kept() -> list[list[str]]:
    """Lines of the table that is there, in which only the cases measured now are replaced."""
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [line for line in cells if len(line) == len(HEAD) and line[0] not in ("case", "---")]


def moves(data: Path) -> None:
    """Read moves of RegMix's domains from the runs that no case uses, at their mean mixture."""
    _, others = cases_recordings.regmix_parts(data)
    w = others.masks.mean(axis=0)
    answer = attribute(others, reading="move", reference=w, pairs=False)
    frame = pd.DataFrame(answer.effects, columns=pd.Index(answer.targets))
    frame.insert(0, "reference", w)
    frame.insert(0, "domain", answer.tasks)
    frame.to_csv(cases_recordings.MOVES, index=False)


def row(case: Case, draws: int) -> list[str]:
    """One line of the table."""
    began = perf_counter()
    r = np.array([score(case.build(draw)) for draw in range(draws)])
    seconds = (perf_counter() - began) / draws
    if np.isnan(r).all():
        return [case.name, case.family, case.verdict, case.half, "", "", "", "construction", f"{seconds:.2f}"]
    found = label(r)
    by = "rule" if case.measured else f"construction (rule: {found or 'between'})"
    if case.measured and found != case.verdict:
        by = f"UNCLEAR: the rule says {found or 'between'}"
    figures = [f"{r.mean():.3f}", f"{r.std():.3f}", f"{share(r, case.verdict):.2f}"]
    return [case.name, case.family, case.verdict, case.half, *figures, by, f"{seconds:.2f}"]


def text(known: list[Case], rows: list[list[str]]) -> str:
    """The whole page."""
    count = Counter((case.verdict, case.half) for case in known)
    lines = [[v, *(str(count[v, half]) for half in ("tune", "judge"))] for v in VERDICTS]
    whys = "\n".join(f"- **{case.name}** ({case.verdict}): {case.why}" for case in known)
    return (
        f"# Cases with known verdicts\n\nr is the agreement of stated and exact effects, mean over {DRAWS} draws; the "
        "share of draws is that\nwith r >= .9 (solid), r <= .6 (not supported), .45 < r < .93 (indicative). The rule "
        f"is in `benchmarks/labels.py`.\n\n{table(['', 'tune', 'judge'], lines)}\n{table(HEAD, rows)}\n"
        f"Why:\n\n{whys}\n\n{machine()}\n"
    )


if __name__ == "__main__":
    main()
