"""RegMix: mixtures of 17 domains, 13 losses; surrogates fitted on some runs, judged on 256 others."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from interplay.metrics import relative_error, spearman
from interplay.surrogates import KernelSurrogate, LinearSurrogate

from .machine import table, time_text

SURROGATES = {
    "KernelSurrogate": KernelSurrogate,
    "LinearSurrogate": LinearSurrogate,
    "LinearSurrogate, log link": lambda: LinearSurrogate(links=("identity", "log")),
    "published kernel": KernelSurrogate.published,
    "published linear": LinearSurrogate.published,
}
LEVEL = {64: (0.951, None), 512: (0.985, 0.0157)}  # an RBF on log(w + 1e-3) by cross-validation, measured before


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    mixtures = pd.read_csv(folder / f"{part}_mixture_1m.csv").set_index("index")
    losses = pd.read_csv(folder / f"{part}_pile_loss_1m.csv").set_index("index")
    return mixtures.to_numpy(float), losses.loc[mixtures.index].to_numpy(float)


def report(data: Path) -> str | None:
    folder = data / "regmix"
    if not folder.is_dir():
        return None
    X, y = load(folder, "train")
    new, truth = load(folder, "test")
    rng = np.random.default_rng(0)
    draws = {"64, the first": [np.arange(64)], "64, ten draws": [rng.permutation(len(X))[:64] for _ in range(10)]}
    draws["512"] = [np.arange(len(X))]
    rows = []
    for size, picks in draws.items():
        for name, make in SURROGATES.items():
            scores, took = [], []
            for pick in picks:
                began = time.perf_counter()
                fitted = make().fit(X[pick], y[pick])
                took.append(time.perf_counter() - began)
                predicted = fitted.predict(new)
                scores.append([np.mean(spearman(truth, predicted)), np.mean(relative_error(truth, predicted))])
            mean, error = np.mean(scores, axis=0), np.std(scores, axis=0) / np.sqrt(max(len(scores) - 1, 1))
            spread = [f" +- {e:.4f}" if len(scores) > 1 else "" for e in error]
            rows.append(
                [size, name, *(f"{v:.4f}{s}" for v, s in zip(mean, spread, strict=True)), time_text(np.mean(took))]
            )
        level = LEVEL[int(size[:3].rstrip(","))]
        rows.append([size, "*RBF level of the recording's notes*", *(f"{v}" if v else "not stated" for v in level), ""])
    constant = np.mean(relative_error(truth, np.tile(y.mean(axis=0), (len(truth), 1))))
    return (
        "# RegMix: data mixtures of language models\n\nMean over 13 targets of the Spearman correlation and of the "
        f"mean |error| / loss on 256 test runs (the constant's relative error: {constant:.4f}).\n\n"
        + table(["training runs", "surrogate", "Spearman", "relative error", "time to fit"], rows)
    )
