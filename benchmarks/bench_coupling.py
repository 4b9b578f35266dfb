"""What coupled seeds gain: how well the leave-one-out effects of one seed agree with those of another.

r      mean rank correlation of the effects of two seeds, over all pairs of seeds
n      seeds whose mean has a ceiling of .9:  sqrt(n r / (1 + (n - 1) r)) = .9   <=>   n = .81 (1 - r) / (.19 r)
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from interplay import Evaluations
from interplay.metrics import leave_one_out_effects, spearman

from .machine import table

HERE = Path(__file__).resolve().parent
PROBLEMS = {
    "digits": "digits, mini-batches of 64, 20 sources, 11 losses",
    "text": "a transformer on 10 text sources, their 10 losses",
}
WAYS = ("uncoupled", "coupled")


def agreements(e: np.ndarray, own: np.ndarray | None) -> dict[str, np.ndarray]:
    """Symmetric (seeds, seeds) matrices of rank correlations of all effects, by target, and between sources only."""
    n, _, T = e.shape
    found = {name: np.full((n, n), np.nan) for name in ("all effects", "mean of targets", "between sources only")}
    for i, j in combinations(range(n), 2):
        scores = {
            "all effects": spearman(e[i].ravel(), e[j].ravel()),
            "mean of targets": np.mean([spearman(e[i, :, t], e[j, :, t]) for t in range(T)]),
        }
        if own is not None:
            scores["between sources only"] = spearman(e[i][~own], e[j][~own])
        for name, score in scores.items():
            found[name][i, j] = found[name][j, i] = score
    return found


def mean_and_error(pairs: np.ndarray) -> tuple[float, float]:
    """Mean over pairs of seeds, and its standard error by leaving out one seed at a time (jackknife)."""
    n = len(pairs)
    without = [np.nanmean(np.delete(np.delete(pairs, i, 0), i, 1)) for i in range(n)]
    return float(np.nanmean(pairs)), float(np.sqrt((n - 1) / n * np.square(without - np.mean(without)).sum()))


def seeds_for(r: float, ceiling: float = 0.9) -> str:
    """Seeds whose mean has this ceiling."""
    rho = ceiling**2
    return f"{max(1, int(np.ceil(rho * (1 - r) / ((1 - rho) * r))))}" if r > 0 else "none"


def rows(problem: str) -> list[list[str]]:
    """One row for each score."""
    recorded = Evaluations.read(HERE / "recordings" / f"coupling-{problem}.parquet")
    own = np.eye(recorded.K, dtype=bool) if recorded.K == recorded.T else None
    found = {
        way: agreements(leave_one_out_effects(recorded.filter(recorded.origin == way)).per_seed, own) for way in WAYS
    }
    out = []
    for name, pairs in found["coupled"].items():
        if np.isnan(pairs).all():
            continue
        cells = []
        for way in WAYS:
            r, error = mean_and_error(found[way][name])
            cells += [f"{r:.2f} ± {error:.2f}", seeds_for(r)]
        gain, error = mean_and_error(pairs - found["uncoupled"][name])
        out.append([PROBLEMS[problem], name, *cells, f"{gain:+.2f} ± {error:.2f}"])
    return out


def report(data: Path) -> str:
    there = [name for name in PROBLEMS if (HERE / "recordings" / f"coupling-{name}.parquet").exists()]
    head = ["problem", "effects", "uncoupled: r", "seeds for .9", "coupled: r", "seeds for .9", "gain"]
    return (
        "# Coupled seeds\n\nRank correlation r of the leave-one-out effects of two seeds, mean over the 28 pairs of 8 "
        "seeds ± its standard error (jackknife over seeds), and the number of seeds whose mean has a ceiling of .9 "
        "(Spearman-Brown). Wanted: higher when coupled. How both were trained stands in `record_coupling.py`; between "
        "sources only: without the effect of a source on its own loss.\n\n"
        + table(head, [row for name in there for row in rows(name)])
    )
