"""Intervals of mixtures' effects and pairs from few runs, with and without what other links would have said.

K sources at Dirichlet mixtures, noise of .05 or .3 standard deviations of the runs. Laws whose effects are known:
linear in shares; linear in their logarithms; logarithms of what is read; exponential, as the data mixing law; a third
of the pairs planted; square roots. The rule was chosen on other draws of all but the last. Truth: the moves and second
differences of the law itself. Inside: share of them in their 95 % intervals. Certain: pairs whose interval excludes 0;
wrong: those of them whose sign is not that of the law, or that do not interact there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import interplay as ip
from interplay.blocks import over_links, read_effects
from interplay.fitting import Design, fit_design
from interplay.readings import question
from interplay.readings.questions import DELTA

from .draws import WHOLE, Run, wanted
from .machine import table

Array = NDArray[np.float64]
Law = Callable[[Array], Array]
CODE = (Path(ip.__file__).parent / "surrogates", Path(__file__))
DRAWS, FIRST = 20, 50_000
CASES = ((5, 16, 0.05), (5, 32, 0.05), (5, 16, 0.3), (10, 40, 0.05))
LEAST = 0.9  # of effects, with the links


def linear(rng: np.random.Generator, K: int) -> Law:
    c = rng.normal(size=K)
    return lambda w: 3.0 + w @ c


def logarithms(rng: np.random.Generator, K: int) -> Law:
    a = rng.dirichlet(np.ones(K))
    return lambda w: 3.0 - 0.3 * np.log(w + 0.02) @ a


def power(rng: np.random.Generator, K: int) -> Law:
    a = 2.0 * rng.gamma(0.4, size=K)
    return lambda w: 4.0 - 0.3 * np.log(w @ a + 0.02)


def exponential(rng: np.random.Generator, K: int) -> Law:
    b = 1.5 * rng.standard_normal(K)
    return lambda w: 2.0 + np.exp(-w @ b)


def pairs(rng: np.random.Generator, K: int) -> Law:
    c = rng.normal(size=K)
    Q = np.triu(rng.normal(size=(K, K)) * (rng.random((K, K)) < 0.3), 1) * 3.0
    return lambda w: 3.0 + w @ c + np.einsum("...i,ij,...j", w, Q, w)


def roots(rng: np.random.Generator, K: int) -> Law:
    a = rng.normal(size=K)
    return lambda w: 3.0 - np.sqrt(w) @ a


LAWS = {one.__name__: one for one in (linear, logarithms, power, exponential, pairs, roots)}


def measured(
    law: Callable[[np.random.Generator, int], Law], K: int, m: int, noise: float, draw: int
) -> dict[str, Array]:
    """Of one draw, without and with the links: effects and pairs inside, pairs that are certain, and wrong."""
    rng = np.random.default_rng(FIRST + draw)
    f, X = law(rng, K), rng.dirichlet(np.ones(K), m)
    y = f(X)
    y = y + noise * y.std() * rng.normal(size=m)
    design = Design.of(ip.Evaluations.from_arrays(X, y, targets=["loss"]))
    predictor, asked = fit_design(design, "auto"), question(design.X, "mixture")
    found = read_effects(predictor, asked, True)
    w, E = X.mean(axis=0), np.eye(K)
    moved = lambda *ks: (1.0 - DELTA * len(ks)) * w + DELTA * sum(E[k] for k in ks)
    single = f(w) - np.array([f(moved(k)) for k in range(K)])
    both = np.array(
        [f(moved(k)) + f(moved(l)) - f(moved(k, l)) - f(w) for k, l in zip(*np.triu_indices(K, 1), strict=True)]
    )
    least = 1e-9 * float(np.abs(single).max())
    out = {name: np.zeros(2) for name in ("effects", "pairs", "certain", "wrong")}
    for i, answer in enumerate((found, over_links(found, design, predictor, asked))):
        size, half = answer.interactions[:, 0], 1.96 * answer.interaction_deviation[:, 0] + least
        out["effects"][i] = (np.abs(answer.effects[:, 0] - single) <= 1.96 * answer.deviation[:, 0] + least).mean()
        out["pairs"][i] = (np.abs(size - both) <= half).mean()
        sure = np.abs(size) > half
        out["certain"][i] = sure.sum()
        out["wrong"][i] = (sure & ((np.sign(size) != np.sign(both)) | (np.abs(both) < least))).sum()
    return out


def report(data: Path, run: Run = WHOLE) -> str:
    """Recordings are not needed."""
    rows, effects, false = [], [], np.zeros((2, 2))
    for K, m, noise in CASES:
        for name, law in LAWS.items():
            found = run.over(
                run.draws(DRAWS),
                partial(measured, law, K, m, noise),
                CODE,
                bench="links",
                law=name,
                K=K,
                m=m,
                noise=noise,
            )
            mean = {score: values.mean(axis=0) for score, values in found.items()}
            cells = [f"{a:.2f} -> {b:.2f}" for a, b in (mean["effects"], mean["pairs"])]
            counts = [f"{found[s][:, 0].sum():.0f} -> {found[s][:, 1].sum():.0f}" for s in ("certain", "wrong")]
            rows.append([str(K), str(m), f"{noise:g}", name, *cells, *counts])
            effects.append(mean["effects"])
            false += [found["certain"].sum(axis=0), found["wrong"].sum(axis=0)]
    before, after = np.mean(effects, axis=0)
    share = false[1] / np.maximum(false[0], 1.0)
    held, names = f"{after:.1%} (without {before:.1%})", f"{share[1]:.1%} (without {share[0]:.1%})"
    checks = [
        ("effects inside their intervals, mean over laws and sizes", f"{LEAST:.0%}", held, after >= LEAST),
        ("of the pairs that are certain, wrong", "at most 5 %", names, share[1] <= 0.05),
    ]
    heads = ["K", "runs", "noise", "law", "effects inside", "pairs inside", "pairs certain", "of them wrong"]
    return (
        f"# Few runs of mixtures, and other links\n\n{wanted(checks)}\n"
        f"{DRAWS} draws of each law; without -> with what other links would have said.\n\n{table(heads, rows)}"
    )
