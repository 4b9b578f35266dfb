"""Problems with exact effects, from which the cases are made: games, designs, noise, laws of mixtures.

Each problem is a callable `rng -> Asked`. Noise is stated as a ratio: variance of the noiseless values over the runs of
the design, over that of the noise (for heavy tails over the square of its scale); 0 stands for noise alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from interplay import Evaluations, masks
from interplay.problems.games import Game, polynomial
from interplay.readings.questions import DELTA

from .labels import Array, Asked, Problem

Make = Callable[[np.random.Generator, int, int], Game]  # rng, K, T -> game
Law = Callable[[Array], Array]  # mixtures (n, K) -> losses (n, T)


# ---------------------------------------------------------------- games


def mixed_game(
    pairs: float = 0.0, order: int = 2, few: int | None = None, lower: bool = False, skewed: bool = False
) -> Make:
    """Single tasks with normal worths, and 2 K random sets of `order` tasks with worths of sd `pairs`.

    few: all but so many tasks do nothing. skewed: a few tasks carry most.
    """

    def make(rng: np.random.Generator, K: int, T: int) -> Game:
        w = rng.standard_normal((K, T)) * (rng.gamma(0.5, size=(K, 1)) if skewed else 1.0)
        if few is not None:
            w[rng.permutation(K)[few:]] = 0.0
        terms: dict[tuple[int, ...], Array] = {(): np.full(T, 3.0), **{(k,): w[k] for k in range(K)}}
        for _ in range(2 * K if pairs else 0):
            terms[tuple(sorted(rng.permutation(K)[:order].tolist()))] = pairs * rng.standard_normal(T)
        return polynomial(terms, K, higher_is_better=not lower)

    return make


def copies_game(own: float = 0.3, size: int = 2) -> Make:
    """Groups of `size` copies: one is worth as much as all (a gamma worth), beside small worths of each alone."""

    def make(rng: np.random.Generator, K: int, T: int) -> Game:
        alone, terms = own * rng.standard_normal((K, T)), {}
        for first in range(0, K, size):
            worth = 2.0 * rng.gamma(1.0, size=T)  # times max_k s_k = sum over R of (-1)^(|R| + 1) prod_{k in R} s_k
            for n in range(1, size + 1):
                terms |= {R: (-1.0) ** (n + 1) * worth for R in combinations(range(first, min(first + size, K)), n)}
        return polynomial(terms | {(k,): terms[(k,)] + alone[k] for k in range(K)}, K)

    return make


def xor_game(rng: np.random.Generator, K: int, T: int) -> Game:
    """Pairs of which exactly one should be there; all pairs are worth the same."""
    terms: dict[tuple[int, ...], Array] = {(k,): np.ones(T) for k in range(K)}
    return polynomial(terms | {(i, i + 1): np.full(T, -2.0) for i in range(0, K - 1, 2)}, K)


def falling_game(rng: np.random.Generator, K: int, T: int) -> Game:
    """Losses exp(-sum_k w_k s_k), that saturate: w from a gamma distribution, about 2 in sum."""
    w = rng.gamma(1.0, size=(K, T)) * 2.0 / K
    return function_game(lambda s: np.exp(-s @ w), K, T, higher=False)


def product_game(rng: np.random.Generator, K: int, T: int) -> Game:
    """Scores 1 - prod_k (1 - q_k s_k): every task closes a part of the gap that the others leave."""
    q = rng.uniform(0.0, 0.5, size=(K, T))
    return function_game(lambda s: 1.0 - np.exp(s @ np.log1p(-q)), K, T, higher=True)


def chaotic_game(rng: np.random.Generator, K: int, T: int) -> Game:
    """Every mask has a value of its own, which nothing about its tasks foretells, and keeps it."""
    a = rng.uniform(1e3, 1e4, size=(K, T))

    def value(s: Array) -> Array:
        x = np.sin(s @ a) * 43758.5453
        return np.floor((x - np.floor(x)) * 1e6) / 1e6

    return function_game(value, K, T, higher=True)


def function_game(value: Law, K: int, T: int, higher: bool) -> Game:
    """A game that is a function of masks."""
    tasks, targets = tuple(f"task_{k}" for k in range(K)), tuple(f"target_{t}" for t in range(T))
    return Game(tasks, targets, value, higher_is_better=(higher,) * T)


def exact(game: Game, reading: str, size: int = 0) -> Array:
    """Exact benefits (K, T)."""
    sign = np.where(game.higher_is_better, 1.0, -1.0)
    if reading == "leave-one-out":
        values = game(masks.leave_one_out(game.K))
        return (values[0] - values[1:]) * sign
    if reading != "swap":
        return game.effects(reading)  # type: ignore[arg-type]
    out, K = np.zeros((game.K, game.T)), game.K
    inside = lambda r, n: comb(K - 1 - r, n - r) / comb(K - 1, n) if 0 <= r <= n else 0.0
    for S, a in game.coefficients.items():
        r = len(S)
        for k in range(K):
            share = inside(r - 1, size - 1) if k in S else inside(r, size - 1) - inside(r, size)
            out[k] += share * a
    return out * sign


# ---------------------------------------------------------------- runs


def drawn(design: str | tuple[str, float], K: int, m: int, rng: np.random.Generator) -> Array:
    """Masks (m, K) of a design by name.

    near, beside (near without the masks of leave-one-out), half, again (half, with
    replacement), p, spread, one (leave-one-out itself), size.
    """
    name, number = (design, 0.0) if isinstance(design, str) else design
    match name:
        case "near":
            return masks.design(K, m, "leave-one-out", rng)
        case "half":
            return masks.bernoulli(K, m, rng, p=0.5)
        case "again":
            return (rng.random((m, K)) < 0.5).astype(float)
        case "p":
            return masks.bernoulli(K, m, rng, p=number)
        case "spread":
            return masks.design(K, m, "shapley", rng)
        case "beside":
            return masks.design(K, m, "leave-one-out", rng, exclude=masks.leave_one_out(K))
        case "one":
            return masks.leave_one_out(K)
        case "size":
            return masks.fixed_size(K, m, int(number), rng)
    raise ValueError(f"no design {design!r}.")


def noisy(F: Array, ratio: float, rng: np.random.Generator, tails: float = np.inf) -> Array:
    """Values (m, T) with noise; Student's t with `tails` degrees of freedom."""
    noise = rng.standard_normal(F.shape) if np.isinf(tails) else rng.standard_t(tails, size=F.shape)
    return noise if ratio == 0 else F + noise * F.std(axis=0) / np.sqrt(ratio)


def on_masks(
    K: int,
    m: int,
    ratio: float,
    make: Make | None = None,
    *,
    design: str | tuple[str, float] = "near",
    reading: str = "leave-one-out",
    T: int = 1,
    tails: float = np.inf,
    crossed: int = 1,
    levels: int = 0,
) -> Problem:
    """m masks of a game, read as asked; ratio 0 is noise alone, all effects 0.

    crossed: every mask is run under so many seeds. levels: runs come from so many coupled seeds, each with a level.
    """

    def problem(rng: np.random.Generator) -> Asked:
        game = (make or mixed_game())(rng, K, T)
        X = drawn(design, K, m, rng)
        E = exact(game, reading, round(float(np.median(X.sum(axis=1))))) if ratio else np.zeros((K, T))
        X, seed, notes = np.tile(X, (crossed, 1)), np.repeat(np.arange(crossed), len(X)), {}
        Y = noisy(game(X), ratio, rng, tails)
        if levels:
            seed, notes = rng.permutation(np.arange(len(X)) % levels), {"coupled": True}
            Y = Y + 2.0 * Y.std(axis=0) * rng.standard_normal((levels, T))[seed]
        runs = Evaluations.from_arrays(
            X,
            Y,
            tasks=game.tasks,
            targets=game.targets,
            higher_is_better=game.higher_is_better,
            seed=seed if crossed > 1 or levels else None,
            notes=notes,
        )
        return Asked(runs, {"reading": reading}, E)

    return problem


def of_columns(K: int, m: int, ratio: float, columns: Callable[[Array], Array], design: Any = "near") -> Problem:
    """An additive game on masks of which only some columns vary freely: `columns` turns masks (m, K) into those run."""

    def problem(rng: np.random.Generator) -> Asked:
        game = mixed_game()(rng, K, 1)
        X = columns(drawn(design, K, m, rng))
        runs = Evaluations.from_arrays(X, noisy(game(X), ratio, rng), higher_is_better=True)
        return Asked(runs, {"reading": "leave-one-out"}, exact(game, "leave-one-out"))

    return problem


def blocks(size: int, free: int = 0) -> Callable[[Array], Array]:
    """Tasks after the first `free` always switch together in blocks of `size`."""
    return lambda X: X[:, [k if k < free else free + (k - free) // size * size for k in range(X.shape[1])]]


def never(on: int = 0, off: int = 0) -> Callable[[Array], Array]:
    """The first `on` tasks are in all runs, the next `off` in none."""
    return lambda X: np.hstack([np.ones((len(X), on)), np.zeros((len(X), off)), X[:, on + off :]])


def per_run(K: int, m: int, own: float, seeds: int = 0, common: bool = True, design: Any = "near") -> Problem:
    """An additive game that is drawn anew for each run, or each of some coupled seeds: w + own x (its own worths)."""

    def problem(rng: np.random.Generator) -> Asked:
        w = rng.standard_normal((K, 1)) * common
        X = drawn(design, K, m, rng)
        which = rng.permutation(np.arange(m) % seeds) if seeds else np.arange(m)
        others = own * rng.standard_normal((which.max() + 1, K))
        Y = X @ w + ((X - X.mean(axis=0)) * others[which]).sum(axis=1, keepdims=True)
        Y += 0.1 * Y.std() * rng.standard_normal(Y.shape)
        kept: dict[str, Any] = {"seed": which, "notes": {"coupled": True}} if seeds else {}
        runs = Evaluations.from_arrays(X, Y, higher_is_better=True, **kept)
        return Asked(runs, {"reading": "leave-one-out"}, w)

    return problem


def estimated(K: int, m: int, alike: float, verdict: str, T: int = 1, make: Make | None = None) -> Problem:
    """Runs of an estimator: its own game correlates `alike` with the real one, and it was judged by retrained masks."""

    def problem(rng: np.random.Generator) -> Asked:
        real, other = (((make or mixed_game(0.2))(rng, K, T)) for _ in range(2))
        X = drawn("near", K, m, rng)
        scale = lambda game: game(X) / exact(game, "leave-one-out").std(axis=0)
        F = alike * scale(real) + np.sqrt(1 - alike**2) * scale(other)
        runs = Evaluations.from_arrays(
            X,
            noisy(F, 200.0, rng),
            tasks=real.tasks,
            higher_is_better=True,
            fidelity="estimated",
            notes={"estimator": {"verdict": verdict, "reason": "judged by 12 retrained masks."}},
        )
        return Asked(runs, {"reading": "leave-one-out"}, exact(real, "leave-one-out"))

    return problem


def few_targets(K: int, m: int, ratio: float, T: int, carrying: int) -> Problem:
    """T targets of which the last few carry signal and the others are noise."""

    def problem(rng: np.random.Generator) -> Asked:
        whole = on_masks(K, m, ratio, T=T)(rng)
        assert whole.truth is not None
        Y, E = whole.runs.values.copy(), whole.truth.copy()
        Y[:, : T - carrying], E[:, : T - carrying] = rng.standard_normal((m, T - carrying)), 0.0
        runs = Evaluations.from_arrays(whole.runs.masks, Y, higher_is_better=True)
        return Asked(runs, whole.options, E)

    return problem


def constant(K: int, m: int, T: int = 1, design: Any = "near") -> Problem:
    """Targets that never change."""

    def problem(rng: np.random.Generator) -> Asked:
        X = masks.dirichlet(K, m, rng) if design == "mixture" else drawn(design, K, m, rng)
        return Asked(Evaluations.from_arrays(X, np.full((m, T), 0.7)), {}, np.zeros((K, T)))

    return problem


# ---------------------------------------------------------------- mixtures and weights


def exponential(rng: np.random.Generator, K: int, T: int) -> Law:
    """The data mixing law: c + exp(-sum_k b_k w_k)."""
    b = 1.5 * rng.standard_normal((K, T))
    return lambda w: 2.0 + np.exp(-w @ b)


def power(rng: np.random.Generator, K: int, T: int) -> Law:
    """Losses that fall with the logarithm of what each target reads of its sources: c - log(sum_k a_k w_k + .02)."""
    a = rng.gamma(0.4, size=(K, T)) * 2.0
    return lambda w: 4.0 - 0.3 * np.log(w @ a + 0.02)


def on_mixtures(
    K: int,
    m: int,
    ratio: float,
    law: Callable[[np.random.Generator, int, int], Law] = power,
    *,
    reading: str = "move",
    T: int = 1,
    alpha: float = 1.0,
    absent: Sequence[int] = (),
    crossed: int = 1,
) -> Problem:
    """Dirichlet mixtures of sources, read by moves or removals from their mean; `absent` sources are in no run."""

    def problem(rng: np.random.Generator) -> Asked:
        loss = law(rng, K, T)
        held = np.setdiff1d(np.arange(K), absent)
        X = np.zeros((m, K))
        X[:, held] = masks.dirichlet(len(held), m, rng, alpha=alpha)
        w = X.mean(axis=0) / X.mean(axis=0).sum()
        others = w * (1.0 - np.eye(K))
        moved = (
            (1.0 - DELTA) * w + DELTA * np.eye(K) if reading == "move" else others / others.sum(axis=1, keepdims=True)
        )
        E = (loss(w[None]) - loss(moved)) * (1.0 if reading == "move" else -1.0)
        X, seed = np.tile(X, (crossed, 1)), np.repeat(np.arange(crossed), m)
        runs = Evaluations.from_arrays(
            X,
            noisy(loss(X), ratio, rng),
            targets=[f"loss_{t}" for t in range(T)],
            kind="mixture",
            seed=seed if crossed > 1 else None,
        )
        return Asked(runs, {"reading": reading}, E if ratio else 0.0 * E)

    return problem


def on_weights(K: int, m: int, ratio: float, T: int = 1, falling: bool = False) -> Problem:
    """Weights between 0 and 1.5, read by the gradient at their mean: of a linear score, or of exp(-sum_k b_k w_k)."""

    def problem(rng: np.random.Generator) -> Asked:
        X, b = rng.uniform(0.0, 1.5, size=(m, K)), rng.standard_normal((K, T)) * (0.7 if falling else 1.0)
        F = np.exp(-X @ b) if falling else X @ b
        E = b * np.exp(-X.mean(axis=0) @ b) if falling else b
        runs = Evaluations.from_arrays(X, noisy(F, ratio, rng), kind="weights", higher_is_better=not falling)
        return Asked(runs, {"reading": "gradient"}, E if ratio else 0.0 * E)

    return problem
