"""Runs to start a question from, before anything is fitted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..masks import design
from .candidates import Region, among_rows, candidates, distinct, filled
from .designs import d_optimal
from .proposal import Proposal
from .questions import asked

Array = NDArray[np.float64]
STARTS = {"groups": "leave-one-out", "swap": "banzhaf"}
POOL = 1000
MORE = 4  # times as many rows of a design are drawn where not all of them may be run


def start_masks(
    n: int,
    out: Array,
    tasks: Sequence[str],
    question: str,
    region: Region,
    own: Array | None,
    rng: np.random.Generator,
) -> Array:
    """Draw at most n rows (n, K) of a start design, none of which is in ``out`` (m, K); none where none is left.

    Parameters
    ----------
    n : int
    out : array (m, K)
        Told or pending.
    tasks : sequence of str (K,)
    question : str
    region : Region
        Which may be run.
    own : array (N, K) or None
        The only ones that may be run.
    rng : numpy.random.Generator
    """
    left = lambda X: X[~among_rows(X, out)]
    if own is None and region.kind == "mask":
        name, limited = STARTS.get(question, question), region.limited
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            X = design(len(tasks), MORE * n if limited else n, name, rng, exclude=out)
        X = distinct(region.brought(X, rng))
        X = left(X[region.holds(X)])[:n]
        return X if len(X) == n else left(filled(X, "", region)[0])[:n]
    pool = left(_mixtures(tasks, region, rng) if own is None else own[rng.permutation(len(own))])[:POOL]
    features = "raw" if region.kind == "mask" else "log"
    return d_optimal(pool, n, rng, features=features, given=out if len(out) else None) if len(pool) else pool


def start_proposal(
    X: Array, n: int, tasks: tuple[str, ...], question: str, kind: str, coupled: bool, start: int
) -> Proposal:
    """A proposal of a start design X (m, K), of the n runs that were asked for."""
    m, K, nan = len(X), len(tasks), float("nan")
    said = [f"A start for {question}: nothing is fitted before {start} runs are told."]
    if m < n:
        said = [f"A start for {question}: n is {n}, and only {m} {kind}s are left to start from."]
    if question == "leave-one-out" and n >= 2 * (K + 1):
        said.append(
            f"For this one question {n // (K + 1)} rounds of leave-one-out ({K + 1} runs each, each with its own "
            "seed) are often the better buy: masks.leave_one_out."
        )
    return Proposal(
        masks=X,
        tasks=tasks,
        question=question,
        words="a start design",
        kind=kind,
        seeds=np.full(m, 0 if coupled else -1, np.int64),
        fidelity=("retrained",) * m,
        repeats=np.zeros(m, bool),
        gain=np.full(m, nan),
        cost=np.ones(m),
        before=nan,
        after=nan,
        unit="",
        worth_it=True,
        leave_one_out=False,
        how="design",
        sentences=tuple(said),
    )


def _mixtures(tasks: Sequence[str], region: Region, rng: np.random.Generator) -> Array:
    """Mixtures to start from, array (N, K)."""
    reference = np.full((1, len(tasks)), 1.0 / len(tasks))
    put = asked("mixture", "mixture", reference, tasks, rng)
    return candidates(put, "mixture", reference, region, POOL, rng)
