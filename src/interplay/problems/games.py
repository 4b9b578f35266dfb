"""Small games with known answers: what every surrogate, reading and bench can be held against.

A game is a multilinear polynomial F(s) = sum_S a_S prod_{k in S} s_k (S = {} is the constant), or any function of
masks. Exact effects of the polynomial, negated where lower is better:

    leave-one-out  sum_{S : k in S} a_S         Shapley  sum_{S : k in S} a_S / |S|
    Banzhaf        sum_{S : k in S} a_S / 2^(|S| - 1)

and for pairs {i, j} the same with both in S: a_S, a_S / (|S| - 1), a_S / 2^(|S| - 2). A game that is only a function is
expanded first, a_S = sum_{R <= S} (-1)^{|S| - |R|} F(R), which needs all 2^K values. Noise of runs, where a game has
some, depends on (mask, seed) alone: the same run always returns the same value.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..evaluators.digests import digest

if TYPE_CHECKING:
    from ..evaluations import Evaluations

Reading = Literal["leave-one-out", "shapley", "banzhaf"]

#: Largest K whose 2^K values are enumerated for a game that is no polynomial.
ENUMERABLE = 16


@dataclass(frozen=True, eq=False)
class Game:
    """A game on masks of K tasks with T targets; follows the `interplay.evaluators.Evaluator` protocol.

    Attributes
    ----------
    tasks, targets : tuple of str
    function : callable
        Masks ``(b, K)`` -> noiseless values ``(b, T)``.
    terms : mapping of frozenset of int to (T,) array, or None
        Coefficients a_S when the game is a polynomial; None if they must be computed from all 2^K values.
    noise : (T,) array
        Standard deviation of a run about its noiseless value.
    noise_seed : int
        Another one draws other noise for the same game.
    higher_is_better : tuple of bool
    fidelity : str
    notes : mapping
    """

    tasks: tuple[str, ...]
    targets: tuple[str, ...]
    function: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    terms: Mapping[frozenset[int], np.ndarray] | None = field(default=None, repr=False)
    noise: np.ndarray | None = field(default=None, repr=False)
    noise_seed: int = 0
    higher_is_better: tuple[bool, ...] = (True,)
    fidelity: str = "retrained"
    notes: Mapping[str, Any] = field(default_factory=lambda: {"coupled": False}, repr=False)
    batch = 1000

    @property
    def K(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def T(self) -> int:
        """Number of targets."""
        return len(self.targets)

    def __call__(self, masks: ArrayLike) -> np.ndarray:
        """Return noiseless values ``(b, T)`` of masks ``(b, K)``."""
        masks = np.asarray(masks, float)
        if masks.ndim != 2 or masks.shape[1] != self.K:
            raise ValueError(f"masks has shape {masks.shape}; it must be (b, {self.K}).")
        return np.asarray(self.function(masks), float).reshape(len(masks), self.T)

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets: coefficients or, without them, values; noise."""
        if self.terms is not None:
            what = {"terms": digest({str(sorted(S)): a for S, a in self.terms.items()})}
        else:
            rng = np.random.default_rng(0)
            probes = np.vstack([np.ones(self.K), 1 - np.eye(self.K), rng.random((100, self.K)) < 0.5])
            what = {"values": digest([f"{value:.10g}" for value in self(probes).ravel()])}
        noise = None if self.noise is None else digest(self.noise)
        return {**what, "noise": noise, "noise_seed": self.noise_seed}

    def evaluate(self, masks: ArrayLike, seeds: ArrayLike) -> np.ndarray:
        """Return the values ``(b, T)`` of runs: masks ``(b, K)`` under seeds ``(b,)``, with the game's noise."""
        masks = np.asarray(masks, float)
        values = self(masks)
        if self.noise is None:
            return values
        for i, (mask, seed) in enumerate(zip(masks, np.asarray(seeds, np.int64), strict=True)):
            rng = np.random.default_rng([self.noise_seed, int(seed), zlib.crc32(mask.tobytes())])
            values[i] += self.noise * rng.standard_normal(self.T)
        return values

    @cached_property
    def coefficients(self) -> Mapping[frozenset[int], np.ndarray]:
        """Coefficients a_S ``(T,)`` of the polynomial, from all 2^K values if the game does not state them."""
        if self.terms is not None:
            return self.terms
        if self.K > ENUMERABLE:
            raise ValueError(f"this game has K = {self.K} tasks; effects of a mere function need K <= {ENUMERABLE}.")
        K = self.K
        masks = (np.arange(2**K)[:, None] >> np.arange(K)) & 1
        a = self(masks).reshape(*(2,) * K, self.T)  # axis j belongs to task K - 1 - j
        for axis in range(K):
            out, present = np.moveaxis(a, axis, 0)
            a = np.stack([out, present - out], axis)
        a = a.reshape(2**K, self.T)
        return {frozenset(np.flatnonzero(mask).tolist()): row for mask, row in zip(masks, a, strict=True)}

    def effects(self, reading: Reading = "leave-one-out") -> np.ndarray:
        """Return the exact benefits ``(K, T)`` of the tasks."""
        weight = _weight(reading, 1)
        total = np.zeros((self.K, self.T))
        for S, a in self.coefficients.items():
            for k in S:
                total[k] += weight(len(S)) * a
        return total * self._benefit

    def pairs(self, reading: Reading = "leave-one-out") -> np.ndarray:
        """Return the exact benefits ``(K, K, T)`` of pairs beyond the sum of both; the diagonal is 0."""
        weight = _weight(reading, 2)
        total = np.zeros((self.K, self.K, self.T))
        for S, a in self.coefficients.items():
            for i in S:
                for j in S - {i}:
                    total[i, j] += weight(len(S)) * a
        return total * self._benefit

    @property
    def truth(self) -> Evaluations:
        """The full mask and the K leave-one-out masks, without noise."""
        from ..evaluations import Evaluations

        masks = np.vstack([np.ones(self.K), 1 - np.eye(self.K)])
        return Evaluations.from_arrays(
            masks,
            self(masks),
            tasks=self.tasks,
            targets=self.targets,
            higher_is_better=self.higher_is_better,
            fidelity=self.fidelity,
            origin="exact",
            notes={"exact": True},
        )

    @property
    def _benefit(self) -> np.ndarray:
        return np.where(self.higher_is_better, 1.0, -1.0)


def polynomial(
    terms: Mapping[tuple[int, ...], ArrayLike],
    K: int,
    *,
    tasks: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    higher_is_better: bool = True,
    noise: ArrayLike | None = None,
    noise_seed: int = 0,
) -> Game:
    """Build a game from its coefficients a_S, keyed by the tasks of S (``()`` is the constant).

    Examples
    --------
    >>> both = polynomial({(0, 1): 1.0}, K=3)
    >>> both.effects("shapley").ravel().tolist()
    [0.5, 0.5, 0.0]
    """
    exact = {frozenset(S): np.atleast_1d(np.asarray(a, float)) for S, a in terms.items()}
    if outside := [k for S in exact for k in S if not 0 <= k < K]:
        raise ValueError(f"terms name task {outside[0]}; tasks are 0 to {K - 1} as K is {K}.")
    T = max((len(a) for a in exact.values()), default=1)
    exact = {S: np.broadcast_to(a, (T,)) for S, a in exact.items()}

    def value(masks: np.ndarray) -> np.ndarray:
        total = np.zeros((len(masks), T))
        for S, a in exact.items():
            total += masks[:, sorted(S)].prod(axis=1)[:, None] * a
        return total

    return Game(
        tasks=tuple(tasks) if tasks is not None else tuple(f"task_{k}" for k in range(K)),
        targets=tuple(targets) if targets is not None else tuple(f"score_{t}" for t in range(T)),
        function=value,
        terms=exact,
        noise=None if noise is None else np.broadcast_to(np.asarray(noise, float), (T,)),
        noise_seed=noise_seed,
        higher_is_better=(higher_is_better,) * T,
    )


def additive_game(weights: ArrayLike, constant: float = 0.0) -> Game:
    """Every task adds its weight, whatever else is present; weights ``(K,)`` or ``(K, T)``."""
    w = np.asarray(weights, float)
    w = w[:, None] if w.ndim == 1 else w
    return polynomial({(): np.full(w.shape[1], constant), **{(k,): row for k, row in enumerate(w)}}, len(w))


def xor_pairs(K: int) -> Game:
    """Tasks 2i and 2i + 1 are worth 1 when exactly one of them is present; over all masks no task is good or bad."""
    terms: dict[tuple[int, ...], float] = {}
    for i in range(0, K - 1, 2):
        terms |= {(i,): 1.0, (i + 1,): 1.0, (i, i + 1): -2.0}
    return polynomial(terms, K)


def duplicates(K: int) -> Game:
    """Tasks 2i and 2i + 1 are copies: one of them is worth all, a second adds nothing (redundancy)."""
    terms: dict[tuple[int, ...], float] = {}
    for i in range(0, K - 1, 2):
        worth = 1.0 + i
        terms |= {(i,): worth, (i + 1,): worth, (i, i + 1): -worth}
    return polynomial(terms, K)


def null_task(K: int) -> Game:
    """The last task does nothing; the others act alone and with their neighbour."""
    terms = {(k,): 1.0 + k for k in range(K - 1)} | {(k, k + 1): (-1.0) ** k for k in range(K - 2)}
    return polynomial(terms, K)


def saturating(K: int) -> Game:
    """A loss that falls ever more slowly: F(s) = exp(-sum_k w_k s_k), w_k = (1 + k) / K; lower is better."""
    w = (1.0 + np.arange(K)) / K
    tasks = tuple(f"task_{k}" for k in range(K))
    return Game(tasks, ("loss",), lambda masks: np.exp(-masks @ w)[:, None], higher_is_better=(False,))


def additive(problem_seed: int = 0, *, K: int = 20, signal_to_noise: float = 3.0) -> Game:
    """Three losses to which every source adds its own share, measured with the noise of real runs.

    Nothing here is for a kernel to find: a tuned ridge is the right answer, and whoever claims more is fooled. A
    few sources carry most of each target, some harm it.

    Parameters
    ----------
    problem_seed : int
        Which effects, and which noise.
    K : int
        Number of sources.
    signal_to_noise : float
        Variance of the noiseless values over near-full masks (p = .9) over that of the noise. The default leaves
        R^2 = .75 to the true coefficients on unseen noisy masks.
    """
    rng = np.random.default_rng([3, problem_seed])
    shared = rng.gamma(1.0, size=K)
    benefit = 0.01 * (shared[:, None] * rng.normal(0.8, 1.0, size=(K, 3)) + 0.3 * rng.standard_normal((K, 3)))
    noise = np.sqrt(0.9 * 0.1 * (benefit**2).sum(axis=0) / signal_to_noise)
    constant = 0.3 + benefit.sum(axis=0)
    return polynomial(
        {(): constant, **{(k,): -row for k, row in enumerate(benefit)}},
        K,
        tasks=[f"source_{k:02d}" for k in range(K)],
        targets=["loss_a", "loss_b", "loss_c"],
        higher_is_better=False,
        noise=noise,
        noise_seed=problem_seed,
    )


def _weight(reading: str, order: int) -> Callable[[int], float]:
    """Return the share of a coefficient of size n that goes to each subset of the given order."""
    weights: dict[str, Callable[[int], float]] = {
        "leave-one-out": lambda n: 1.0,
        "shapley": lambda n: 1.0 / (n - order + 1),
        "banzhaf": lambda n: 0.5 ** (n - order),
    }
    reading = reading.replace("_", "-")
    if reading not in weights:
        raise ValueError(f"reading is {reading!r}; games know {', '.join(weights)} exactly.")
    return weights[reading]
