"""Draws, recordings and figures of the benchmarks.

A draw is a number: it seeds everything random about its split, so that every method meets the same rows, and figures
of two methods are compared draw by draw (mean difference +- 1.96 standard errors over draws).

Figures per draw can be kept (`Run.kept`): a benchmark that was stopped goes on where it was, and rivals, which do not
change, are not measured again. The name of a kept file holds a digest of the protocol and of the code that was
measured, so figures of other code are never taken for those of this one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interplay import metrics

from .machine import table

Array = NDArray[np.float64]
Figures = dict[str, Array]  # score -> (draws, ...)


@dataclass(frozen=True, eq=False)
class Split:
    """What one draw gives: rows to fit on, and rows that judge.

    Attributes
    ----------
    X, Y : array (m, K), (m, T)
    new, truth : array (n, K), (n, T)
        In no fit and in no choice.
    higher_is_better : bool
    """

    X: Array
    Y: Array
    new: Array
    truth: Array
    higher_is_better: bool = False


class Predictor(Protocol):
    """Whatever predicts values (n, T) of rows (n, K)."""

    def predict(self, X: Array, /) -> Any: ...


Method = Callable[[Split], Predictor]


@dataclass(frozen=True, eq=False)
class Function:
    """A predictor that is a function."""

    predict: Callable[[Array], Array]


@dataclass(frozen=True)
class Run:
    """How a benchmark is run.

    Attributes
    ----------
    quick : bool
        Few draws and small sizes: a signal within about a minute.
    kept : Path, optional
        Folder of figures per draw; nothing is kept or taken from there if not given.
    """

    quick: bool = False
    kept: Path | None = None

    def draws(self, full: int, quick: int = 2) -> range:
        """Numbers of the draws; the quick ones are the first of all."""
        return range(min(quick, full) if self.quick else full)

    def over(
        self, draws: Iterable[int], measure: Callable[[int], Mapping[str, Any]], code: tuple[Path, ...], **protocol: Any
    ) -> Figures:
        """Figures of every draw, score by score.

        Parameters
        ----------
        draws : iterable of int
        measure : callable
            A draw -> scores: numbers, or lists of one shape for all draws.
        code : tuple of Path
            Files and folders of the code that is measured.
        **protocol
            Everything else that the figures hang on: names, sizes, versions of a rule.
        """
        file, found = self._file(protocol, code), {}
        if file is not None and file.exists():
            found = json.loads(file.read_text())["figures"]
        for draw in draws:
            if str(draw) not in found:
                found[str(draw)] = {score: np.asarray(v, float).tolist() for score, v in measure(draw).items()}
                if file is not None:
                    _write(file, {"protocol": protocol, "figures": found})
        rows = [found[str(draw)] for draw in draws]
        return {score: np.array([row[score] for row in rows], dtype=float) for score in rows[0]}

    def _file(self, protocol: Mapping[str, Any], code: tuple[Path, ...]) -> Path | None:
        if self.kept is None:
            return None
        text = json.dumps(protocol, sort_keys=True, default=str) + _digest(code)
        name = "-".join(_word(v) for v in protocol.values() if isinstance(v, (str, int)))
        return self.kept / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json"


WHOLE = Run()


@cache
def _digest(paths: tuple[Path, ...]) -> str:
    files = sorted(file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path]))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _word(value: Any) -> str:
    return "".join(c if c.isalnum() else "_" for c in str(value))[:24]


def _write(file: Path, content: Any) -> None:
    """Write a whole file or none; the folder keeps itself out of git."""
    file.parent.mkdir(parents=True, exist_ok=True)
    (file.parent / ".gitignore").write_text("*\n")
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    os.replace(partial, file)


def rows_of(n: int, draw: int, *more: int) -> NDArray[np.int64]:
    """All row numbers in the order of a draw; prefixes of one order are nested fitting sets."""
    return np.random.default_rng([draw, *more]).permutation(n)


# ---------------------------------------------------------------- recordings


@dataclass(frozen=True, eq=False)
class Recording:
    """Runs of one design: weights or masks X (m, K), values Y (m, T)."""

    name: str
    X: Array
    Y: Array
    higher_is_better: bool = False

    def split(self, fit: NDArray, judge: NDArray) -> Split:
        """Rows that are fitted and rows that judge."""
        return Split(self.X[fit], self.Y[fit], self.X[judge], self.Y[judge], self.higher_is_better)

    def draw(self, draw: int, m: int) -> Split:
        """m random rows to fit, all others to judge."""
        order = rows_of(len(self.X), draw)
        return self.split(order[:m], order[m:])


def regmix(data: Path) -> tuple[Recording, Recording] | None:
    """RegMix's 512 training and 256 test runs (17 domains, 13 losses), or None where they are not there."""
    if not (data / "regmix").is_dir():
        return None
    parts = []
    for part in ("train", "test"):
        mixtures = pd.read_csv(data / "regmix" / f"{part}_mixture_1m.csv").set_index("index")
        losses = pd.read_csv(data / "regmix" / f"{part}_pile_loss_1m.csv").set_index("index").loc[mixtures.index]
        parts.append(Recording(f"RegMix {part}", mixtures.to_numpy(float), losses.to_numpy(float)))
    return parts[0], parts[1]


def olmix(data: Path) -> Recording | None:
    """The 127 mixtures of 24 sources of olmix's dclm swarm with 110 metrics in bits per byte."""
    if not (data / "olmix").is_dir():
        return None
    ratios, values = (
        pd.read_csv(data / "olmix" / f"dclm_{part}.csv").set_index("run") for part in ("ratios", "metrics")
    )
    numbers = lambda frame: frame.loc[ratios.index].iloc[:, 3:].to_numpy(float)  # after a counter, name and index
    return Recording("olmix dclm", numbers(ratios), numbers(values))


def coin_flip(data: Path) -> Recording | None:
    """200 prompts of 4 out of 50 demonstrations with 869 losses."""
    return _npz(data / "coin_flip_icl.npz", "coin_flip", "masks", "losses")


def modular_addition(data: Path) -> Recording | None:
    """40 released training rows and 10 test rows together, the 25 groups of columns as tasks, 500 losses."""
    path = data / "modular_addition.npz"
    if not path.exists():
        return None
    with np.load(path) as file:
        masks = np.vstack([file["train_masks"], file["test_masks"]]).astype(float)
        losses = np.vstack([file["train_losses"], file["test_losses"]]).astype(float)
    _, first = np.unique(masks, axis=1, return_index=True)
    return Recording("modular addition", masks[:, np.sort(first)], losses)


def valuation(data: Path, name: str) -> Recording | None:
    """Accuracies of subsets of 'sources' (K = 10, all 1,023) or of 'points' (K = 15, 4,096)."""
    path = data / "valuation" / f"{name}_adult.csv"
    if not path.exists():
        return None
    frame = pd.read_csv(path)
    scores = [column for column in frame if column.startswith("acc")]
    return Recording(name, frame.drop(columns=scores).to_numpy(float), frame[scores].to_numpy(float), True)


def _npz(path: Path, name: str, masks: str, values: str) -> Recording | None:
    if not path.exists():
        return None
    with np.load(path) as file:
        return Recording(name, file[masks].astype(float), file[values].astype(float))


# ---------------------------------------------------------------- tables


def difference(a: Array, b: Array, digits: int = 4) -> str:
    """Mean of a - b over draws, +- 1.96 standard errors; of more than one number per draw, the mean first."""
    d = metrics.paired_difference(*(np.reshape(v, (len(v), -1)).mean(axis=1) for v in (a, b)))
    return f"{d.mean:+.{digits}f}" + ("" if np.isnan(d.se) else f" +- {1.96 * d.se:.{digits}f}")


def against(
    case: str, figures: Mapping[str, Figures], ours: str, scores: Sequence[str], digits: int = 4
) -> list[list[str]]:
    """Rows of a table: per method its mean scores, each followed by ours minus it, paired over draws."""
    rows = []
    for method, found in figures.items():
        row = [case, method]
        for score in scores:
            row.append(f"{found[score].mean():.{digits}f}")
            row.append("" if method == ours else difference(figures[ours][score], found[score], digits))
        rows.append(row)
    return rows


def head(scores: Sequence[str], ours: str) -> list[str]:
    """Columns of `against`."""
    return ["", "method", *(column for score in scores for column in (score, f"{ours} - it"))]


def wanted(checks: Iterable[tuple[str, Any, str, bool]]) -> str:
    """Table of what must be shown and what was found: (what, at least, found, whether it was reached)."""
    return table(
        ["wanted", "at least", "found", "reached"], [[*map(str, row), "yes" if met else "no"] for *row, met in checks]
    )
