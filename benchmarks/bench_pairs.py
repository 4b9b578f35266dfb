"""Pairs named by `discover` in games whose interacting pairs are known, at a false discovery rate of 5 %.

K tasks, 4 K masks of p = 1/2, main effects of every size, noise of variance 1. Interactions are planted in standard
errors of the estimate that knows which pairs interact (least squares beside the main effects): of 3 to 4, 4 to 6 and 6
to 10, of either sign. A third of the games keeps planted pairs apart, the others let them share tasks as they fall.

Rivals: each pair's t-test beside the main effects with Benjamini and Hochberg's step-up, and the pairs that a lasso
tuned by cross-validation keeps. The share of false names is 0 where none is named; a name of the wrong sign is false.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, t
from sklearn.linear_model import LassoCV

from interplay.readings.discoveries import discover

from . import methods
from .draws import WHOLE, Run, wanted
from .machine import table

Array = NDArray[np.float64]
LEVEL = 0.05
TASKS = (12, 20, 40)
PLANTED = (0, 3, 8)
STRENGTHS = ((3.0, 4.0), (4.0, 6.0), (6.0, 10.0))
GAMES = 200


def report(data: Path, run: Run = WHOLE) -> str:
    """Recordings are not needed."""
    rows: list[list[str]] = []
    ours = {"none": [], "planted": [], "recall": []}
    for K in TASKS:
        for planted in PLANTED:
            for strength in STRENGTHS if planted else STRENGTHS[:1]:
                found = {
                    name: run.over(
                        range(20 if run.quick else GAMES),
                        partial(score, name_pairs, K, planted, strength),
                        methods.CODE if name == "discover" else methods.RIVALS,
                        K=K, planted=planted, strength=list(strength), method=name,
                    )
                    for name, name_pairs in METHODS.items()
                }  # fmt: skip
                for name, figures in found.items():
                    false, some, recall = (np.asarray(figures[key]) for key in ("false", "some", "recall"))
                    shown = [_mean(recall), f"{some.mean():.2f}"] if planted else ["", f"{some.mean():.2f}"]
                    size = f"{strength[0]:g} to {strength[1]:g}" if planted else ""
                    rows.append([str(K), str(planted), size, name, _mean(false), *shown])
                if planted:
                    ours["planted"].append(found["discover"]["false"])
                    ours["recall"].append(found["discover"]["recall"])
                else:
                    ours["none"].append(found["discover"]["some"])
    none, false, recall = (np.concatenate(ours[key]) for key in ("none", "planted", "recall"))
    checks = [
        ("none planted: share of games that name a pair", "at most 0.05", _mean(none), bool(none.mean() <= LEVEL)),
        ("planted: share of false names", "at most 0.05", _mean(false), bool(false.mean() <= LEVEL)),
        ("planted, 3 to 10 standard errors: recall", 0.7, _mean(recall), bool(recall.mean() >= 0.7)),
    ]
    for i, strength in enumerate(STRENGTHS):
        own = np.concatenate(ours["recall"][i :: len(STRENGTHS)])
        size = f"{strength[0]:g} to {strength[1]:g}"
        checks.append((f"planted, {size} standard errors: recall", 0.7, _mean(own), bool(own.mean() >= 0.7)))
    head = ["tasks", "planted", "standard errors", "method", "share of false names", "recall", "games that name any"]
    count = 20 if run.quick else GAMES
    return f"# Pairs\n\n{wanted(checks)}\n## Games\n\n{count} games a row, +- 1.96 standard errors.\n\n" + table(
        head, rows
    )


def score(name_pairs: Callable[..., dict], K: int, planted: int, strength: tuple[float, float], draw: int) -> dict:
    """Share of false names, whether any is named, and recall, of one game."""
    X, y, truth = game(K, planted, strength, draw)
    named = name_pairs(X, y)
    right = sum(truth.get(pair) == sign for pair, sign in named.items())
    return {
        "false": (len(named) - right) / max(len(named), 1),
        "some": float(len(named) > 0),
        "recall": right / planted if planted else np.nan,
    }


def game(K: int, planted: int, strength: tuple[float, float], draw: int) -> tuple[Array, Array, dict]:
    """Masks, values, and the sign of every planted pair."""
    rng = np.random.default_rng([K, planted, int(strength[0]), draw])
    X = (rng.random((4 * K, K)) < 0.5).astype(float)
    if draw % 3:
        every = list(combinations(range(K), 2))
        pairs = [every[i] for i in rng.permutation(len(every))[:planted]]
    else:
        tasks = rng.permutation(K)
        pairs = [tuple(sorted(tasks[[2 * i % K, (2 * i + 1) % K]].tolist())) for i in range(min(planted, K // 2))]
        pairs += [pair for pair in combinations(range(K), 2) if pair not in pairs][: planted - len(pairs)]
    y = X @ (rng.normal(size=K) * np.exp(rng.normal(size=K))) + rng.normal(size=len(X))
    if not planted:
        return X, y, {}
    design = np.column_stack([np.ones(len(X)), X, *(X[:, k] * X[:, l] for k, l in pairs)])
    error = np.sqrt(np.diagonal(np.linalg.pinv(design.T @ design))[-planted:])
    sign = rng.choice([-1.0, 1.0], planted)
    y = y + design[:, -planted:] @ (sign * error * rng.uniform(*strength, planted))
    return X, y, dict(zip(pairs, sign.tolist(), strict=True))


def ours(X: Array, y: Array) -> dict[tuple[int, int], float]:
    """Name pairs by `discover`."""
    found = discover(X, y, level=LEVEL)
    kept = np.flatnonzero(found.named[:, 0])
    return {tuple(found.pairs[n].tolist()): float(np.sign(found.interaction[n, 0])) for n in kept}


def step_up(X: Array, y: Array) -> dict[tuple[int, int], float]:
    """Benjamini and Hochberg over t-tests of one pair at a time."""
    design = np.column_stack([np.ones(len(X)), X])
    Q = np.linalg.qr(design)[0]
    pairs = np.stack(np.triu_indices(X.shape[1], 1), axis=1)
    F = X[:, pairs[:, 0]] * X[:, pairs[:, 1]]
    F, r = F - Q @ (Q.T @ F), y - Q @ (Q.T @ y)
    square = np.maximum((F**2).sum(axis=0), 1e-12)
    b, freedom = F.T @ r / square, len(X) - design.shape[1] - 1
    left = np.maximum(r @ r - b**2 * square, 1e-12) / freedom
    q = false_discovery_control(2 * t.sf(np.abs(b) * np.sqrt(square / left), freedom))
    return {tuple(pairs[n].tolist()): float(np.sign(b[n])) for n in np.flatnonzero(q <= LEVEL)}


def lasso(X: Array, y: Array) -> dict[tuple[int, int], float]:
    """Keep the pairs of a cross-validated lasso on all tasks and pairs."""
    pairs = np.stack(np.triu_indices(X.shape[1], 1), axis=1)
    Z = X - X.mean(axis=0)
    w = LassoCV(cv=5).fit(np.hstack([Z, Z[:, pairs[:, 0]] * Z[:, pairs[:, 1]]]), y).coef_[X.shape[1] :]
    return {tuple(pairs[n].tolist()): float(np.sign(w[n])) for n in np.flatnonzero(w)}


METHODS: dict[str, Callable[[Array, Array], Any]] = {"discover": ours, "t-tests, step-up": step_up, "lasso": lasso}


def _mean(values: Array) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    return f"{values.mean():.3f} +- {1.96 * values.std(ddof=1) / np.sqrt(len(values)):.3f}"
