"""The cases that are recordings of real trainings; draws of one case share rows of its recording.

- digits: leave-one-out truth of eight seeds, runs of another one.
- coin_flip, RegMix and olmix with their values permuted among the rows: noise with real margins.
- RegMix: moves from a fixed mixture, read from a fit on 512 runs that no case uses (`label_cases --moves`, kept in
  recordings/moves.csv), asked of the 256 others. (olmix has sources in 1 to 9 of 127 runs: its moves are not known.)
- Census: Banzhaf values of the complete table of 10 sources, the empty set at the lowest accuracy of all, and of 15
  points by least squares on all 4,096 random subsets (the Banzhaf values are its population slopes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from interplay import Evaluations, metrics
from interplay.problems.digits import TARGETS, recording

from . import draws
from .labels import INDICATIVE, NOT, SOLID, Array, Asked, Case, Problem, case

RECORDINGS = Path(__file__).parent / "recordings"
MOVES = RECORDINGS / "moves.csv"
GROKKING = RECORDINGS / "grokking.parquet"
PERMUTED = "The values were permuted among the runs: nothing of the tasks is left in them."
HELD = 256  # training runs of RegMix that cases draw from; the others make the truth


def cases(data: Path) -> list[Case]:
    """All cases, whether or not their recordings are there: their order fixes the halves."""
    return [*_digits(), *_permuted(data), *_mixtures(data), *_census(data), *_grokking()]


def present(one: Case, data: Path) -> bool:
    """Whether the recording of a case is there."""
    place = {
        "coin_flip": data / "coin_flip_icl.npz",
        "RegMix": data / "regmix",
        "olmix": data / "olmix",
        "sources": data / "valuation" / "sources_adult.csv",
        "points": data / "valuation" / "points_adult.csv",
    }
    if one.name.startswith("grokking"):
        return _complete()
    return all(path.exists() for word, path in place.items() if one.name.startswith(word))


# ---------------------------------------------------------------- masks


def _digits() -> list[Case]:
    of = lambda name, verdict, why, problem: case("digits", f"digits {name}", verdict, why, problem)
    return [
        of("0, 80 near-full runs", SOLID, "80 clean trainings, each effect many times its error.", _near(0, 80)),
        of("1, 200 near-full runs", SOLID, "200 clean trainings for 20 sources.", _near(1, 200)),
        of("2, 80 runs, p .75", SOLID, "80 clean trainings not far from the full set.", _near(2, 80, "p75")),
        of("0, 15 near-full runs", INDICATIVE, "15 trainings for 20 sources: large effects only.", _near(0, 15)),
        of("1, 13 near-full runs", INDICATIVE, "13 trainings for 20 sources: large effects only.", _near(1, 13)),
        case(
            "digits", "digits 2 permuted, 80 near-full runs", NOT, PERMUTED, _near(2, 80, permuted=True), measured=False
        ),
    ]


@cache
def _recorded(problem: int) -> tuple[Evaluations, Array]:
    path = RECORDINGS / f"digits-{problem}.parquet"
    runs = (recording() if problem == 0 else Evaluations.read(path, targets=TARGETS)).select("loss")
    return runs, metrics.leave_one_out_effects(runs.filter(runs.origin == "truth")).effects


def _near(problem: int, m: int, origin: str = "near_full", permuted: bool = False) -> Problem:
    def asked(rng: np.random.Generator) -> Asked:
        runs, E = _recorded(problem)
        near = runs.filter((runs.origin == origin) & (runs.seed == 100))
        near = near[rng.permutation(len(near))[:m]]
        if permuted:
            near, E = replace(near, values=rng.permutation(near.values)), 0.0 * E
        return Asked(near, {"reading": "leave-one-out"}, E)

    return asked


def _grokking() -> list[Case]:
    def asked(rng: np.random.Generator) -> Asked:
        near, E = _grokked()
        return Asked(near[rng.permutation(len(near))[:60]], {"reading": "leave-one-out"}, E)

    why = "When a network groks differs from run to run more than any source can move it."
    return [case("irreproducible", "grokking, 60 near-full runs", NOT, why, asked, measured=False)]


@cache
def _grokked() -> tuple[Evaluations, Array]:
    runs = Evaluations.read(GROKKING).select("loss")
    truth = runs.filter(runs.origin == "truth")
    return runs.filter(runs.origin == "near_full"), metrics.leave_one_out_effects(truth).effects


def _complete() -> bool:
    """Whether grokking was recorded to its end."""
    if not GROKKING.exists():
        return False
    origin, K = pd.read_parquet(GROKKING, columns=["origin"])["origin"], 25
    return bool(sum(origin == "near_full") >= 80 and sum(origin == "truth") > K)


# ---------------------------------------------------------------- values permuted


def _permuted(data: Path) -> list[Case]:
    def of(name: str, found: Callable[[], draws.Recording | None], m: int, T: int, reading: str) -> Case:
        def asked(rng: np.random.Generator) -> Asked:
            known = found()
            assert known is not None
            rows, columns = rng.permutation(len(known.X))[:m], rng.permutation(known.Y.shape[1])[:T]
            X, Y = known.X[rows], known.Y[rng.permutation(rows)][:, columns]
            X = X[:, np.ptp(X, axis=0) > 0]
            X = X if reading == "swap" else X / X.sum(axis=1, keepdims=True)
            runs = Evaluations.from_arrays(X, Y, kind="mask" if reading == "swap" else "mixture")
            return Asked(runs, {"reading": reading}, np.zeros((runs.K, T)))

        return case("permuted", f"{name} permuted, m {m}", NOT, PERMUTED, asked, measured=False)

    mix = lambda: (_regmix(data) or (None,))[0]
    return [
        of("coin_flip", lambda: _coin_flip(data), 120, 2, "swap"),
        of("RegMix", mix, 64, 2, "move"),
        of("RegMix", mix, 120, 1, "move"),
        of("olmix", lambda: _olmix(data), 100, 2, "move"),
    ]


_coin_flip = cache(draws.coin_flip)
_regmix = cache(draws.regmix)
_olmix = cache(draws.olmix)
_valuation = cache(draws.valuation)


# ---------------------------------------------------------------- RegMix


def _mixtures(data: Path) -> list[Case]:
    of = lambda target, m, verdict, why: case(
        "RegMix", f"RegMix {target}, {m} runs", verdict, why, _moves(data, m, target)
    )
    smooth = "So many trainings of a smooth law that hardly differs from seed to seed."
    rare = "Moves to rare domains stay unsure, those to common ones are seen."
    return [
        of("GitHub", 120, SOLID, smooth),
        of("GitHub", 200, SOLID, smooth),
        of("GitHub", 34, INDICATIVE, rare),
        of("Pile-CC", 28, INDICATIVE, rare),
        of("Pile-CC", 48, INDICATIVE, rare),
    ]


def regmix_parts(data: Path) -> tuple[Evaluations, Evaluations]:
    """Runs that cases draw from, and the 512 others that make the truth; Pile-CC's loss and GitHub's."""
    found = _regmix(data)
    assert found is not None
    train, test = found
    X, Y = (np.vstack([getattr(train, name), getattr(test, name)]) for name in "XY")
    runs = Evaluations.from_arrays(
        X / X.sum(axis=1, keepdims=True), Y[:, [8, 5]], targets=["Pile-CC", "GitHub"], higher_is_better=False
    )
    return runs[:HELD], runs[HELD:]


@cache
def _known_moves() -> pd.DataFrame:
    return pd.read_csv(MOVES)


def _moves(data: Path, m: int, target: str) -> Problem:
    def asked(rng: np.random.Generator) -> Asked:
        here, _ = regmix_parts(data)
        known = _known_moves()
        runs = here.select(target)
        return Asked(
            runs[rng.permutation(len(runs))[:m]],
            {"reading": "move", "reference": known["reference"].to_numpy()},
            known[[target]].to_numpy(float),
        )

    return asked


# ---------------------------------------------------------------- the census


def _census(data: Path) -> list[Case]:
    of = lambda what, m, verdict, why: case("census", f"{what}, {m} runs", verdict, why, _subsets(data, what, m))
    return [
        of("sources", 450, SOLID, "450 of all 1,023 subsets of 10 sources."),
        of("sources", 60, INDICATIVE, "60 subsets: trainings differ nearly as much by chance as by their sources."),
        case(
            "census",
            "sources, one decision tree, 8 runs",
            NOT,
            "Eight subsets of 10 sources, and single trees that differ much by chance.",
            _subsets(data, "sources", 8, model=0),
        ),
        of("points", 200, SOLID, "200 subsets of 15 points."),
        of("points", 400, SOLID, "400 subsets of 15 points."),
        of("points", 26, INDICATIVE, "26 subsets of 15 points: large effects only."),
    ]


def _subsets(data: Path, what: str, m: int, model: int = -1) -> Problem:
    def asked(rng: np.random.Generator) -> Asked:
        known, E = _table(data, what, model)
        rows = rng.permutation(len(known.X))[:m]
        runs = Evaluations.from_arrays(known.X[rows], known.Y[rows][:, [model]], targets=["accuracy"])
        return Asked(runs, {"reading": "banzhaf"}, E)

    return asked


@cache
def _table(data: Path, what: str, model: int) -> tuple[draws.Recording, Array]:
    known = _valuation(data, what)
    assert known is not None
    X, y = known.X, known.Y[:, [model]]
    if what == "sources":
        X, y = np.vstack([X, np.zeros((1, X.shape[1]))]), np.vstack([y, y.min(keepdims=True)])
    slopes = np.linalg.lstsq(np.hstack([np.ones((len(X), 1)), X]), y, rcond=None)[0]
    return known, np.asarray(slopes[1:], float)
