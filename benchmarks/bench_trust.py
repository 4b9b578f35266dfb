"""Verdicts on cases whose verdict is known, intervals of effects where an answer is believed, learning curves.

Verdicts: the judging half of `cases`, whose labels were fixed before any threshold was tuned on the other half; draws
that no labelling saw. False solid: share of 'solid' verdicts on cases that are not. Intervals: 95 % intervals of the
effects against the exact ones (digits: the recorded truth of eight seeds), where the verdict is solid or indicative;
those of estimated runs do not hold the estimator's error, which is said with them, and stand apart. Forecasts: R^2
that 2 m runs reach, forecast from m runs of six recordings (mean over targets; rows in neither fit judge).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import interplay
from interplay import attribute
from interplay.surrogates import compare
from interplay.trust.curve import learning_curve

from .bench_digits import problems
from .cases import cases
from .draws import WHOLE, Recording, Run, coin_flip, olmix, regmix, valuation, wanted
from .labels import VERDICTS, Case
from .machine import table

Array = NDArray[np.float64]
HERE = Path(__file__).parent
CODE = tuple(Path(interplay.__file__).parent / room for room in ("surrogates", "readings", "trust", "fitting.py"))
KNOWN = tuple(HERE / f"{name}.py" for name in ("cases", "cases_games", "cases_designs", "cases_problems"))
FIRST = 200  # draws below were used for labels and thresholds
NOTHING = ("noise", "constant")  # families without effects that an interval could hold


def report(data: Path, run: Run = WHOLE) -> str:
    """Tables of verdicts, of intervals and of forecasts."""
    found = {half: _verdicts(data, run, half) for half in ("judge", "tune")}
    lines, checks = [], []
    for half, rows in found.items():
        names, solid = {case.name for case, _, _ in rows}, sum(got == "solid" for _, got, _ in rows)
        lines.append([half, len(names), len(rows), f"{_right(rows):.3f}", f"{solid}", f"{_false(rows):.3f}"])
    judge = found["judge"]
    right = _right(judge)
    checks.append(("verdicts right, judging cases", ".90", f"{right:.3f} +- {_error(judge):.3f}", right >= 0.9))
    checks.append(("'solid' verdicts that are false", "at most .05", f"{_false(judge):.3f}", _false(judge) <= 0.05))
    cover = _coverage([row for rows in found.values() for row in rows if row[1] != "not supported"])[0]
    checks.append(("95 % intervals of effects, believed answers", ".90 to .98", f"{cover:.3f}", 0.9 <= cover <= 0.98))
    curves, share = _forecasts(data, run)
    checks.append(("forecasts of R^2 at 2 m inside their intervals", ".85", f"{share:.2f}", share >= 0.85))
    heads = ["half", "cases", "verdicts", "right", "solid", "of these false"]
    parts = ["# How far to believe it\n", wanted(checks), table(heads, lines)]
    parts += ["Verdicts by known verdict, judging half:\n", _confusion(judge)]
    parts += ["Intervals of effects by verdict:\n", _covered(found)]
    parts += ["Wrong on the judging half (times of draws):\n", _wrong(judge), "Learning curves:\n"]
    parts.append(table(["data", "m", "R^2 now", "forecast for 2 m", "interval", "reached", "inside"], curves))
    return "\n".join(parts)


Row = tuple[Case, str, float]


def _verdicts(data: Path, run: Run, half: str) -> list[Row]:
    """Case, verdict and coverage of its intervals, for every draw."""
    out = []
    for case in cases(data):
        if case.half != half:
            continue
        draws = [FIRST + draw for draw in run.draws(4, 1)]
        measure = lambda draw, case=case: _one(case, draw)
        scores = run.over(draws, measure, (*CODE, *KNOWN), bench="trust", case=case.name)
        for verdict, inside in zip(scores["verdict"], scores["inside"], strict=True):
            out.append((case, VERDICTS[int(verdict)], float(inside)))
    return out


def _one(case: Case, draw: int) -> Mapping[str, float]:
    asked = case.build(draw)
    answer = attribute(asked.runs, pairs=False, **asked.options)
    inside, E = float("nan"), asked.truth
    if E is not None and E.any() and len(answer.tasks) == asked.runs.K and case.family not in NOTHING:
        inside = float(((answer.lower <= E) & (answer.upper >= E)).mean())
    return {"verdict": VERDICTS.index(answer.trust.verdict), "inside": inside}


def _right(rows: list[Row]) -> float:
    return float(np.mean([case.verdict == got for case, got, _ in rows]))


def _error(rows: list[Row]) -> float:
    """Standard error over cases: draws of a case are alike."""
    by_case: dict[str, list[bool]] = {}
    for case, got, _ in rows:
        by_case.setdefault(case.name, []).append(case.verdict == got)
    means = [np.mean(one) for one in by_case.values()]
    return float(np.std(means, ddof=1) / np.sqrt(len(means)))


def _false(rows: list[Row]) -> float:
    solid = [case.verdict != "solid" for case, got, _ in rows if got == "solid"]
    return float(np.mean(solid)) if solid else 0.0


def _confusion(rows: list[Row]) -> str:
    counts = Counter((case.verdict, got) for case, got, _ in rows)
    return table(["known", *VERDICTS], [[known, *(counts[known, got] for got in VERDICTS)] for known in VERDICTS])


def _coverage(rows: list[Row], estimated: bool = False) -> tuple[float, int]:
    """Mean coverage over answers, and how many they are; estimated runs by themselves or not at all."""
    held = [c for case, _, c in rows if np.isfinite(c) and (case.family == "estimated") == estimated]
    return (float(np.mean(held)) if held else float("nan")), len(held)


def _covered(found: Mapping[str, list[Row]]) -> str:
    rows = [row for rows in found.values() for row in rows]
    lines = []
    for verdict in VERDICTS:
        cover, count = _coverage([row for row in rows if row[1] == verdict])
        lines.append([verdict, count, f"{cover:.3f}"])
    cover, count = _coverage(rows, estimated=True)
    lines.append(["estimated runs, any verdict", count, f"{cover:.3f}"])
    return table(["verdict", "answers", "coverage"], lines)


def _wrong(rows: list[Row]) -> str:
    counts = Counter((case.name, case.verdict, got) for case, got, _ in rows if case.verdict != got)
    return table(["case", "known", "said", "draws"], [[*key, n] for key, n in counts.most_common()])


def _forecasts(data: Path, run: Run) -> tuple[list[list[Any]], float]:
    lines, inside = [], []
    for name, (recording, sizes) in _recordings(data).items():
        for m in sizes:
            measure = lambda draw, recording=recording, m=m: _forecast(recording, m, draw)
            scores = run.over(run.draws(10), measure, CODE, bench="forecast", data=name, m=m)
            held = (scores["low"] <= scores["reached"]) & (scores["reached"] <= scores["high"])
            inside.append(held)
            names = ("now", "expected", "low", "high", "reached")
            now, expected, low, high, reached = (scores[name].mean() for name in names)
            ends = f"{low:.3f} to {high:.3f}"
            lines.append([name, m, f"{now:.3f}", f"{expected:.3f}", ends, f"{reached:.3f}", f"{held.mean():.2f}"])
    return lines, float(np.mean([one.mean() for one in inside])) if inside else float("nan")


def _forecast(recording: Recording, m: int, draw: int) -> Mapping[str, float]:
    few, many = recording.draw(draw, m), recording.draw(draw, 2 * m)
    how: dict[str, Any] = {"higher_is_better": recording.higher_is_better}
    choice = compare(few.X, few.Y, **how)
    curve = learning_curve(choice, few.Y)
    assert curve is not None
    mean, low, high = curve.forecast(2 * m)
    predicted = compare(many.X, many.Y, **how).surrogate.predict(many.new)
    error = ((predicted - many.truth) ** 2).mean(axis=0) / ((many.Y.mean(axis=0) - many.truth) ** 2).mean(axis=0)
    return {"now": 1.0 - curve.now, "expected": mean, "low": low, "high": high, "reached": 1.0 - float(error.mean())}


def _recordings(data: Path) -> dict[str, tuple[Recording, tuple[int, ...]]]:
    """Six recordings, each with the numbers of runs to forecast from."""
    found: dict[str, tuple[Recording, tuple[int, ...]]] = {}
    if pair := regmix(data):
        both = (np.vstack([getattr(part, name) for part in pair]) for name in ("X", "Y"))
        found["RegMix"] = Recording("RegMix", next(both), next(both)), (32, 64)
    if swarm := olmix(data):
        found["olmix"] = swarm, (40,)
    if prompts := coin_flip(data):
        varied = np.flatnonzero(prompts.Y.var(axis=0) >= 0.1)[::10]
        found["coin_flip"] = replace(prompts, Y=prompts.Y[:, varied]), (40, 80)
    for name, near, _ in problems()[:1]:
        found[name] = Recording(name, near.masks, near.values), (30, 60)
    for name in ("sources", "points"):
        if subsets := valuation(data, name):
            found[name] = subsets, (40, 100)
    return found
