"""Candidates as runs: under which seed and of which fidelity, whether they are repeats, and which are left.

Seeds are coupled (a seed shifts all its masks alike, and one mask under one seed is one number): runs are proposed
under seeds that exist, since a new seed's level is unknown, and no mask twice under one of them. Seeds are not coupled,
or not stated: a repeat is a run like any other, under a seed that this mask has not had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..evaluations import Evaluations
from ..repeats import key
from .beliefs import Arms, coupled_seeds

Array = NDArray[np.float64]
SEEDS = 4  # coupled seeds under which runs are proposed: those with most runs


@dataclass(frozen=True, eq=False)
class Runnable:
    """Arms of a batch.

    Attributes
    ----------
    arms : Arms
    open : array (A,) of bool
        Which may be picked.
    again : bool
        Whether one arm may be run several times.
    """

    arms: Arms
    open: NDArray[np.bool_]
    again: bool

    @classmethod
    def of(
        cls, X: Array, runs: Evaluations, words: Sequence[str], repeats: bool, pending: Arms, single: bool = False
    ) -> Runnable:
        """Make arms of masks X (n, K) under every seed and of every fidelity in ``words``.

        Parameters
        ----------
        X : array (n, K)
        runs : Evaluations
        words : sequence of str
        repeats : bool
            Whether masks that were run may be run again.
        pending : Arms
            Runs under way: as good as done.
        single : bool
            One arm for each mask and fidelity, under the first seed that is free.
        """
        several, coupled = coupled_seeds(runs), is_coupled(runs)
        there = [(key(x), w, s) for x, w, s in zip(runs.masks, runs.fidelity.tolist(), runs.seed.tolist(), strict=True)]
        under = zip(pending.weights, pending.fidelity.tolist(), pending.seed.tolist(), strict=True)
        done = {*there, *((key(x), w, s) for x, w, s in under)}
        known = {(mask, word) for mask, word, _ in done}

        def free(mask: bytes, word: str, seed: int) -> bool:
            if not repeats or (coupled and seed < 0):
                return (mask, word) not in known
            return not coupled or (mask, word, seed) not in done

        made: list[tuple[Array, int, str, bool]] = []
        for word in words:
            seeds = _seeds(runs.where(fidelity=word)) if several else [-1]
            for x in X:
                options = [(seed, free(key(x), word, seed)) for seed in seeds]
                if single:
                    options = [next((o for o in options if o[1]), options[-1])]
                made += [(x, seed, word, ok) for seed, ok in options]
        if not made:
            return cls(pending[np.zeros(0, np.int64)], np.zeros(0, bool), False)
        masks, seeds, fidelity, ok = zip(*made, strict=True)
        arms = Arms(np.array(masks), np.array(seeds, np.int64), np.array(fidelity))
        return cls(arms, np.array(ok), again=repeats and not coupled)


def is_coupled(runs: Evaluations) -> bool:
    """Whether one mask under one seed is one number: coupled seeds, one or several."""
    return runs.notes.get("coupled") is True and -1 not in set(runs.seed.tolist())


def _seeds(runs: Evaluations) -> list[int]:
    """The seeds with most runs, the lowest first among equals."""
    seeds, counts = np.unique(runs.seed, return_counts=True)
    return [int(seeds[i]) for i in np.lexsort((seeds, -counts))[:SEEDS]]


def seeded(picked: Arms, runs: Evaluations) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seeds under which picked arms are to be run, and which of them repeat a mask of their fidelity; (n,) each."""
    used: dict[tuple[bytes, str], set[int]] = {}
    for x, word, seed in zip(runs.masks, runs.fidelity.tolist(), runs.seed.tolist(), strict=True):
        used.setdefault((key(x), word), set()).add(seed)
    out, repeats = picked.seed.copy(), np.zeros(len(picked), bool)
    for i, (x, word) in enumerate(zip(picked.weights, picked.fidelity.tolist(), strict=True)):
        own = used.setdefault((key(x), word), set())
        repeats[i] = bool(own)
        stated = sorted(set(runs.seed[runs.fidelity == word].tolist()) - {-1})
        if out[i] < 0 and stated:
            free = [s for s in stated if s not in own]
            out[i] = free[0] if free else max(stated[-1], max(own)) + 1
        own.add(int(out[i]))
    return out, repeats
