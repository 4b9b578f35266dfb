"""Shapley values at an equal budget of evaluations: a census cut into 10 chunks, three models, all subsets known.

phi_k = sum over S without k of |S|! (K - |S| - 1)! / K! (F(S + k) - F(S)), exactly, of the whole table; F(none) was not
measured and is stated for the truth and every method, see `bench_masks.EMPTY`.

A method may look at m subsets, none and all of them among these, as shapiq's approximators do. 'attribute' and linear
rivals see as many masks of every size (`masks.stratified`); shapiq's draw their own. So does interplay in two rows:
what `masks.design` draws for Shapley values, and `START` of these with batches of `BATCH` that `active.propose` asks
for, the counterpart of ShaplEIG. A draw seeds any. Each model is a game by itself.

Errors are in thousandths of accuracy. A wrong value of none or all moves all Shapley values alike: the error without
the common level, and the rank correlation, do not see it. 'To the sum' puts the values of a rival's surrogate right by
(F(all) - F(none) - sum of phi) / K, as shapiq's regressions have it by construction, and fits without the run of none.
`attribute` takes all it needs from the runs (`lasting`).

ShaplEIG chooses its subsets one by one; shapiq has it from 1.6 on, which wants Python 3.12. On 3.11 its files run
beside shapiq 1.4: SHAPLEIG names, separated by ':', the folder that holds them (shapiq/approximator of the newer wheel)
and one with the packages that it wants (gpytorch, botorch, ...). It refits by its own schedule 'decaying'.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import interplay as ip
from interplay.metrics import paired_difference, spearman

from . import methods, rivals
from .bench_masks import EMPTY, shapley
from .draws import WHOLE, Figures, Method, Recording, Run, Split, against, difference, head, valuation, wanted
from .machine import table

Array = NDArray[np.float64]
Game = Callable[[Array], Array]  # masks (n, K) -> values (n,)
Estimate = Callable[[Game, int, int], Array]  # a game of K players, budget, draw -> Shapley values (K,)
SCORES = ("mean absolute error", "root mean square error", "error without the level", "Spearman")
HERE = Path(ip.__file__).parent
OWN = ("attributing.py", "blocks.py", "fitting.py", "lasting.py", "masks", "repeats.py", "active")
CODE = (*methods.CODE, *(HERE / file for file in OWN))
K, DRAWS = 10, {40: 60, 100: 60, 200: 20}  # draws by number of subsets
OURS, EXACT = "attribute", "attribute, evaluations said to be exact"
DESIGNED, PROPOSED = "attribute, masks of masks.design", "attribute, proposed runs"
START, BATCH = 20, 5
SHAPLEIG, MOST = "ShaplEIG", 40
WANTED = ("KernelSHAP", "ProxySPEX", SHAPLEIG)


def report(data: Path, run: Run = WHOLE) -> str | None:
    sources = valuation(data, "sources")
    if sources is None:
        return None
    lines, checks, spent, middle = [], [], [], ""
    exact = shapley(sources.X, sources.Y)
    for m in list(DRAWS)[:1] if run.quick else DRAWS:
        figures = measured(sources, exact, m, run)
        lines += against(str(m), figures, OURS, SCORES, 3)
        checks += compared(m, figures)
        if SHAPLEIG in figures:
            halves = (
                f"'{name}' {np.median(figures[name][SCORES[0]]):.3f}" for name in (OURS, DESIGNED, PROPOSED, SHAPLEIG)
            )
            middle += f"\nMedian error over draws and models, {m} subsets: {', '.join(halves)}.\n"
        spent += [[str(m), name, f"{figure['evaluations'].mean():.0f}"] for name, figure in figures.items()]
    short = [row for row in spent if int(row[2]) < int(row[0])]
    size = f"{1e3 * np.abs(exact).mean():.2f}, standard deviation {1e3 * exact.std(axis=0).mean():.2f} between chunks"
    draws = ", ".join(f"{len(run.draws(n))} ({m} subsets)" for m, n in DRAWS.items())
    return (
        "# Shapley values at equal budget\n\n"
        + wanted(checks)
        + f"\n## A census in 10 chunks\n\nDraws: {draws}; means over three models; thousandths of "
        f"accuracy. Mean size of an exact value: {size}; none: {EMPTY}. '{OURS}' is `attribute(runs, "
        f"reading='shapley')` with none among the runs, '{EXACT}' has the note `deterministic`.\n\n"
        + table(head(SCORES, OURS), lines)
        + (
            "\nFewer subsets than they might: " + "; ".join(f"{n} {e} of {m}" for m, n, e in short) + ".\n"
            if short
            else ""
        )
        + middle
        + note()
    )


def measured(sources: Recording, exact: Array, m: int, run: Run) -> dict[str, Figures]:
    """Figures of every method at one budget: scores (draws, models)."""

    def score(estimate: Estimate, draw: int) -> dict[str, list[float]]:
        rows = []
        for t, truth in enumerate(exact.T):
            game = Counted(sources, t)
            rows.append([*scores(estimate(game, m, draw), truth), len(game.seen)])
        return {
            name: list(column) for name, column in zip((*SCORES, "evaluations"), zip(*rows, strict=True), strict=True)
        }

    draws, found = run.draws(DRAWS[m]), {}
    for name, (estimate, code) in estimators(m).items():
        shared = {"shapiq": version("shapiq")} if code is methods.RIVALS and name in shapiq() else {}
        found[name] = run.over(draws, partial(score, estimate), code, bench="shapley", method=name, m=m, **shared)
    return found


def scores(phi: Array, truth: Array) -> tuple[float, ...]:
    """Errors in thousandths, and the rank correlation, of Shapley values (K,)."""
    e = 1e3 * (phi - truth)
    rank = float(np.nan_to_num(spearman(truth, phi)))
    return float(np.abs(e).mean()), float(np.sqrt((e**2).mean())), float(np.abs(e - e.mean()).mean()), rank


def compared(m: int, figures: Mapping[str, Figures]) -> list:
    """Checks: the error below those of the rivals that were named beforehand, by more than chance."""
    rows = []
    for name in (OURS, DESIGNED, PROPOSED):
        for rival in WANTED:
            if rival in figures:
                mine, its = figures[name][SCORES[0]], figures[rival][SCORES[0]]
                what = f"{m} subsets, mean absolute error of '{name}': below {rival}"
                d = paired_difference(mine.mean(axis=1), its.mean(axis=1))
                rows.append((what, "below 0 (95 %)", difference(mine, its, 3), bool(d.mean + 1.96 * d.se < 0)))
    return rows


class Counted:
    """One model's accuracies of subsets, and the distinct ones that were looked at."""

    def __init__(self, sources: Recording, model: int):
        self.values = np.full(1 << K, EMPTY)
        self.values[self._code(sources.X)] = sources.Y[:, model]
        self.seen: set[int] = set()

    def _code(self, masks: Array) -> NDArray[np.int64]:
        return np.atleast_2d(masks).astype(np.int64) @ (1 << np.arange(K))

    def __call__(self, masks: Array) -> Array:
        code = self._code(masks)
        self.seen.update(code.tolist())
        return self.values[code]


# ---------------------------------------------------------------- methods


def estimators(m: int) -> dict[str, tuple[Estimate, tuple[Path, ...]]]:
    """Every method, with the code that its figures hang on."""
    own: dict[str, Estimate] = {
        OURS: attributed,
        EXACT: partial(attributed, notes={"deterministic": True}),
        DESIGNED: designed,
        PROPOSED: proposed,
    }
    beside: dict[str, Estimate] = {
        "tuned ridge, to the sum": partial(surrogate, rivals.ridge),
        **{
            f"{name}, to the sum": partial(surrogate, method)
            for name, method in rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned).items()
        },
        **shapiq(),
    }
    if m <= MOST and shapleig() is not None:
        beside[SHAPLEIG] = by_shapleig
    code = {name: CODE for name in own} | {name: methods.RIVALS for name in beside}
    return {name: (estimate, code[name]) for name, estimate in (own | beside).items()}


def looked_at(m: int, draw: int) -> Array:
    """All, none, and as many masks of every other size, array (m, K)."""
    rng = np.random.default_rng([draw, m])
    return np.vstack([np.ones(K), np.zeros(K), ip.masks.stratified(K, m - 2, rng, sizes=range(1, K))])


def to_the_sum(phi: Array, game: Game) -> Array:
    """Shapley values (K,) moved alike until they add up to F(all) - F(none)."""
    full, none = game(np.vstack([np.ones(K), np.zeros(K)]))
    return phi + (full - none - phi.sum()) / K


def attributed(game: Game, m: int, draw: int, notes: Mapping[str, Any] | None = None) -> Array:
    """What `attribute` reads of the runs."""
    return read(runs_of(game, looked_at(m, draw), notes))


def designed(game: Game, m: int, draw: int) -> Array:
    """What `attribute` reads of a design for Shapley values."""
    return read(runs_of(game, design(m, draw)))


def proposed(game: Game, m: int, draw: int) -> Array:
    """What `attribute` reads of some runs of the design and of those that are proposed after them."""
    runs = runs_of(game, design(START, draw))
    while len(runs) < m:
        rng = np.random.default_rng([draw, len(runs)])
        more = ip.active.propose(runs, "shapley", min(BATCH, m - len(runs)), rng=rng, repeats=False).masks
        runs = runs + runs_of(game, more)
    return read(runs)


def design(m: int, draw: int) -> Array:
    """None, and masks of a design for Shapley values, array (m, K)."""
    masks = ip.masks.design(K, m - 1, "shapley", np.random.default_rng([draw, m]))
    return np.vstack([np.zeros((1, K)), masks])


def runs_of(game: Game, masks: Array, notes: Mapping[str, Any] | None = None) -> ip.Evaluations:
    return ip.Evaluations.from_arrays(
        masks, game(masks), targets=["accuracy"], higher_is_better=True, kind="mask", notes=notes
    )


def read(runs: ip.Evaluations) -> Array:
    return ip.attribute(runs, reading="shapley", pairs=False).effects[:, 0]


def surrogate(method: Method, game: Game, m: int, draw: int) -> Array:
    """Exact Shapley values of what a rival predicts of all subsets, none not fitted, with their sum put right."""
    masks = looked_at(m, draw)
    masks, every = masks[masks.any(axis=1)], ip.masks.all_subsets(K, empty=False)
    y = game(masks)[:, None]
    predicted = method(Split(masks, y, masks, y, True)).predict(every)
    return to_the_sum(shapley(every, np.reshape(predicted, (-1, 1)))[:, 0], game)


@cache
def shapiq() -> dict[str, Estimate]:
    """Approximators of shapiq, as they are without options; none where it is missing."""
    try:
        version("shapiq")
    except PackageNotFoundError:
        return {}
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        "KernelSHAP": ("KernelSHAP", {}),
        "KernelSHAP, pairs of complements": ("KernelSHAP", {"pairing_trick": True}),
        "kADD-SHAP, order 2": ("kADDSHAP", {"max_order": 2}),
        "SVARM": ("SVARM", {}),
        "permutation sampling": ("PermutationSamplingSV", {}),
    }
    if rivals.trees():
        rows["ProxySPEX"] = ("ProxySPEX", {"index": "SV", "max_order": 1})
    return {name: partial(approximated, *row) for name, row in rows.items()}


def approximated(name: str, options: Mapping[str, Any], game: Game, m: int, draw: int) -> Array:
    """Shapley values by an approximator of shapiq."""
    approximator = getattr(import_module("shapiq.approximator"), name)(n=K, random_state=draw, **options)
    found = approximator.approximate(m, game)
    return np.array([found[(k,)] for k in range(K)])


@cache
def shapleig() -> Any:
    """The class ShaplEIG, or None where it is not there."""
    try:
        approximator = import_module("shapiq.approximator")
        more = [path for path in os.environ.get("SHAPLEIG", "").split(":") if path]
        sys.path += more
        approximator.__path__ += more
        import_module("torch").set_num_threads(1)
        return import_module("shapiq.approximator.shapleig").ShaplEIG
    except ImportError:
        return None


def by_shapleig(game: Game, m: int, draw: int) -> Array:
    """Shapley values by ShaplEIG."""
    approximator = shapleig()(n=K, refit="decaying", show_progress=False, random_state=draw)
    found = approximator.approximate(m, game)
    return np.array([found[(k,)] for k in range(K)])


def note() -> str:
    """Lines about rivals that are missing."""
    text = rivals.note()
    if not shapiq():
        text += "\nshapiq is not installed (`pip install 'interplay[rivals]'`): left out.\n"
    if shapleig() is None:
        text += (
            f"\n{SHAPLEIG} is not here: shapiq has it from 1.6 on, which wants Python 3.12 (or SHAPLEIG, see above).\n"
        )
    else:
        text += f"\n{SHAPLEIG} only up to {MOST} subsets: it refits after each of them.\n"
    return text
