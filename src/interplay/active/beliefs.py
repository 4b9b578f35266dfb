"""What the fits of a surrogate believe of g and of runs that were not done: covariances, exactly.

y_c = e_c'b + g_f(c) + noise        a run of mask or mixture c under the level e_c of its seed, of fidelity f

cov(L g, y_c)    = L k c - L k_X Q k_X c - L k_X G' e_c                            (L 1 = 0)
cov(y_c, g(c'))  = k(c, c') - k_c Q k_c'' + e_c' S e_c' - e_c' G k_c'' - e_c'' G k_c'

in units of the amplitude, with Q of `surrogates.gaussian`, G = (H'A^-1 H)^-1 H'A^-1 the weights of the levels and S
their covariance. Under several fidelities every k(x, x') has the factor B_ff' of `surrogates.coupling`.

Beliefs are over tasks, not over `players`: hyper-parameters are those of the fit and are held fixed, every run stands
for itself (a mean over seeds is taken apart again), and a task that no run switches has the rate that the others have
on average. So what the runs do not tell apart is what most is unknown of. Of a target that is a sum of others what is
unknown is what is unknown of its parts, as far as their errors add up (`counted`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..evaluations import Evaluations
from ..fitting import Design
from ..players import Players
from ..predictor import Predictor
from ..readings.functional import Functional
from ..surrogates.base import GaussianSurrogate
from ..surrogates.features import SIZED, transform, unit
from ..surrogates.fidelity import FidelitySurrogate
from ..surrogates.gaussian import precision
from ..surrogates.kernels import Kernel
from ..surrogates.noise import Noise
from ..surrogates.rows import Rows
from ..surrogates.sums import Sum

Array = NDArray[np.float64]
RATE = 0.4  # of the cautious kernel, over the mean squared distance of two runs
NOISE, LEAST, MOST = 0.1, 0.03, 0.9  # its noise as a share of the variance of the runs: unless repeats tell; bounds
LIGHT = 0.01  # weight of a member below which it has no say
SAMPLE = 200  # rows of a fit, about, that deviations of parts of a sum are compared at


@dataclass(frozen=True, eq=False)
class Arms:
    """Runs that could be done.

    Attributes
    ----------
    weights : array (A, K)
        Masks or mixtures.
    seed : array (A,) of int64
        The coupled seed; -1 where levels of seeds are none of the model.
    fidelity : array (A,) of str
    """

    weights: Array
    seed: NDArray[np.int64]
    fidelity: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, rows: NDArray) -> Arms:
        return Arms(self.weights[rows], self.seed[rows], self.fidelity[rows])

    def __add__(self, other: Arms) -> Arms:
        parts = [(getattr(self, n), getattr(other, n)) for n in ("weights", "seed", "fidelity")]
        return Arms(*(np.concatenate(part) for part in parts))


@dataclass(frozen=True, eq=False)
class Belief:
    """One fit of one member, conditioned on all runs.

    Attributes
    ----------
    kernel : Kernel
        Over all K tasks.
    X : array (m, K)
    Q, G, S : array (m, m), (p, m), (p, p)
    level : array (p,)
        What a prediction makes of the levels.
    columns : dict of (fidelity, seed) to int
        The level of a run.
    noise : dict of fidelity to float
        Variance of a single run's noise in units of the amplitude.
    weight : float
        What a variance in units of the amplitude counts: sum over targets of weight of the member x amplitude
        x (slope of the link / spread of the target)^2.
    between : array (F, F)
        B.
    words : tuple of str (F,)
    number : array (m,) of int
        Fidelity of every run.
    at : int
        The fidelity asked about.
    depends : Noise or None
        How noise depends on the mask.
    first : array (P,) of int
        Columns that ``depends`` knows.
    given : Rows or None
        The rows of the fit, equally noisy.
    """

    kernel: Kernel
    X: Array
    Q: Array
    G: Array
    S: Array
    level: Array
    columns: dict[tuple[str, int], int]
    noise: dict[str, float]
    weight: float
    between: Array
    words: tuple[str, ...]
    number: NDArray[np.int64]
    at: int = 0
    depends: Noise | None = None
    first: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    given: Rows | None = None

    @classmethod
    def of(
        cls,
        kernel: Kernel,
        X: Array,
        rows: Rows,
        noise: float,
        *,
        weight: float = 1.0,
        columns: dict[tuple[str, int], int] | None = None,
        ratio: Array | None = None,
        between: Array | None = None,
        words: Sequence[str] = ("",),
        number: NDArray[np.int64] | None = None,
        at: int = 0,
        depends: Noise | None = None,
        first: NDArray[np.int64] | None = None,
    ) -> Belief:
        """Condition on runs X (m, K); ``noise`` is their variance at relative noise 1, ``ratio`` (F,) by fidelity."""
        number = np.zeros(len(X), np.int64) if number is None else number
        B = np.ones((1, 1)) if between is None else between
        ratio = np.ones(len(B)) if ratio is None else ratio
        plain = replace(rows, noise=np.ones(len(X)))
        rows = replace(rows, noise=rows.noise * ratio[number])
        k = kernel.matrix(X, X) * B[np.ix_(number, number)]
        Q, _ = precision(k + noise * np.diag(rows.noise), rows)
        inverse, gram = rows.solve_levels()
        G = inverse - (inverse @ k) @ Q
        S = inverse @ k @ G.T + noise * gram
        single = {word: noise * float(r) for word, r in zip(words, ratio, strict=True)}
        seen = np.arange(X.shape[1]) if first is None else first
        where = {} if columns is None else columns
        return cls(
            kernel, X, Q, G, S, rows.level, where, single, weight, B, tuple(words), number, at, depends, seen, plain
        )

    def numbers(self, arms: Arms) -> NDArray[np.int64]:
        """Fidelity of every arm (A,)."""
        return np.array([self.words.index(w) if w in self.words else self.at for w in arms.fidelity.tolist()])

    def levels(self, arms: Arms) -> Array:
        """How every arm takes the levels, array (A, p): that of its seed; their mean where it is of none."""
        e = np.tile(self.level, (len(arms), 1))
        for i, key in enumerate(zip(arms.fidelity.tolist(), arms.seed.tolist(), strict=True)):
            column = self.columns.get(key, self.columns.get((key[0], -1)))
            if column is not None:
                e[i] = 0.0
                e[i, column] = 1.0
        return e

    def noises(self, arms: Arms) -> Array:
        """Variance of the noise of every arm (A,), in units of the amplitude."""
        own = np.array([self.noise.get(w, self.noise[self.words[self.at]]) for w in arms.fidelity.tolist()])
        return own if self.depends is None else own * self.depends.at(arms.weights[:, self.first])

    def rows(self, arms: Arms) -> Array:
        """k(c, X), array (A, m)."""
        return self.kernel.matrix(arms.weights, self.X) * self.between[np.ix_(self.numbers(arms), self.number)]

    def question(self, functional: Functional) -> tuple[Array, Array]:
        """L k_X (n, m), and the posterior variances (n,) of the functional."""
        there = self.between[self.at, self.number]
        R = functional.rows(self.kernel, self.X) * there
        own = functional.own(self.kernel) * self.between[self.at, self.at]
        return R, np.maximum(own - np.einsum("im,im->i", R @ self.Q, R), 0.0)

    def across(self, functional: Functional, R: Array, arms: Arms, C: Array) -> Array:
        """cov(L g, y_c), array (n, A); R (n, m) and C (A, m) are the rows of the functional and of the arms."""
        own = functional.rows(self.kernel, arms.weights) * self.between[self.at, self.numbers(arms)]
        return own - (R @ self.Q) @ C.T - (R @ self.G.T) @ self.levels(arms).T

    def covariance(self, arms: Arms, others: Arms) -> Array:
        """cov of the noiseless runs, array (A, A')."""
        C, D, e, d = self.rows(arms), self.rows(others), self.levels(arms), self.levels(others)
        k = (
            self.kernel.matrix(arms.weights, others.weights)
            * self.between[np.ix_(self.numbers(arms), self.numbers(others))]
        )
        return k - (C @ self.Q) @ D.T + e @ self.S @ d.T - e @ (self.G @ D.T) - (C @ self.G.T) @ d.T

    def own(self, arms: Arms, C: Array) -> Array:
        """Variances (A,) of the noiseless runs; C (A, m) are their rows."""
        e, number = self.levels(arms), self.numbers(arms)
        k = self.kernel.paired(arms.weights, arms.weights) * self.between[number, number]
        known = np.einsum("am,am->a", C @ self.Q, C)
        levels = np.einsum("ap,ap->a", e @ self.S, e) - 2.0 * np.einsum("ap,ap->a", e, C @ self.G.T)
        return np.maximum(k - known + levels, 0.0)


def beliefs(design: Design, predictor: Predictor, targets: Sequence[int]) -> list[Belief]:
    """What every fit believes, for some of the targets; see the module.

    Parameters
    ----------
    design : Design
    predictor : Predictor
        What was fitted to it.
    targets : sequence of int
        Those that are asked about; targets that never change are left out.
    """
    found = []
    for block, choice in predictor.choices:
        own = [i for i, t in enumerate(block.tolist()) if t in set(targets) and not predictor.constant[t]]
        if not own:
            continue
        surrogate = choice.surrogate
        scale, slope, spread = np.zeros(len(block)), slopes(predictor, surrogate, block), predictor.spread[block]
        scale[own] = (slope[own] / spread[own]) ** 2
        for one in surrogate.sums_:
            if one.target in own:
                scale[one.target] = 0.0
                each = one.coefficients * slope[one.parts] / spread[one.target]
                scale[one.parts] += counted(surrogate, one) * each**2
        if isinstance(surrogate, FidelitySurrogate):
            found += _joined(design, surrogate, block, scale)
        else:
            found += _alone(design, surrogate, block, scale)
    return found


def slopes(predictor: Predictor, surrogate: GaussianSurrogate, block: NDArray[np.int64]) -> Array:
    """|dF / dz| at the mean of the runs, array (n,): 1, or the distance from the bound under a log link."""
    link = surrogate.link_
    return np.where(link.log, np.abs(predictor.centre[block] - link.bound), 1.0)


def counted(surrogate: GaussianSurrogate, one: Sum) -> float:
    """What the variances of the parts of a sum count, so that they are its own (`surrogates.sums`) when added.

    (together sum_j b_j sd_j)^2 / sum_j b_j^2 sd_j^2, mean over rows of the fit: together^2 to so many times that as
    there are parts; 1 where nothing is unknown at the rows.
    """
    X = surrogate.X_[:: -(-len(surrogate.X_) // SAMPLE)]
    deviation = surrogate.predict(X, return_std=True)[1]
    apart = ((deviation[:, one.parts] * one.coefficients) ** 2).sum(axis=1)
    known = np.isfinite(apart) & (apart > 0)
    return float(np.mean(one.size(deviation)[known] ** 2 / apart[known])) if known.any() else 1.0


def _weights(surrogate: GaussianSurrogate, scale: Array):
    """Every fit that has a say, with what a variance of it counts."""
    for f, member in enumerate(surrogate.members_):
        for fit in member.fits:
            w = surrogate.weights_[f, fit.targets] * (scale[fit.targets] > 0)
            weight = float(w @ (fit.amplitude * scale[fit.targets]))
            if weight > 0 and w.max() >= LIGHT:
                yield fit, weight


def _alone(design: Design, surrogate: GaussianSurrogate, block: NDArray, scale: Array) -> list[Belief]:
    runs = design.given if design.at is None else design.given.where(fidelity=design.at)
    runs = runs[np.isfinite(runs.values[:, block]).all(axis=1)]
    seeds = runs.seed if coupled_seeds(runs) else None
    plain, depends = Rows.of(runs.masks, seeds=seeds), getattr(surrogate, "noise_", None)
    first = design.players.first
    rows = plain if depends is None else replace(plain, noise=depends.at(runs.masks[:, first]))
    word = design.at or str(runs.fidelity[0])
    columns = {}
    if seeds is not None and rows.basis.shape[1] > 1:
        columns = {(word, int(s)): i for i, s in enumerate(np.unique(seeds).tolist())}
    how = {"columns": columns, "words": (word,), "depends": depends, "first": first}
    kernels: dict[int, Kernel] = {}
    found = []
    for fit, weight in _weights(surrogate, scale):
        kernel = kernels.setdefault(id(fit.kernel), over_tasks(fit.kernel, design.players, runs.K))
        found.append(Belief.of(kernel, runs.masks, rows, fit.noise * design.averaged, weight=weight, **how))
    return found


def _joined(design: Design, surrogate: FidelitySurrogate, block: NDArray, scale: Array) -> list[Belief]:
    plan, _, _, rows, found = surrogate._given
    runs = design.runs[np.isfinite(design.runs.values[:, block]).all(axis=1)]
    words, number = surrogate.fidelities_, plan.fidelity
    columns = {}
    for f, word in enumerate(words):
        used = rows.basis[number == f].sum(axis=0)
        columns[word, -1] = int(used.argmax())
        for seed in np.unique(runs.seed[number == f]).tolist():
            own = rows.basis[(number == f) & (runs.seed == seed)].sum(axis=0)
            columns[word, int(seed)] = int(own.argmax())
    half = len(surrogate.members_) // 2
    coupling, out = found.coupling(len(words), True), []
    for t in np.flatnonzero(scale).tolist():
        B = coupling.matrix(t)
        for f, member in enumerate(found.base.members):
            weight = float(surrogate.weights_[f, t] + surrogate.weights_[half + f, t])
            fit = next(one for one in member.fits if t in one.targets)
            sigma2 = float(fit.amplitude[np.flatnonzero(fit.targets == t)[0]])
            if weight < LIGHT or sigma2 <= 0:
                continue
            unit = fit.noise * sigma2
            noise = coupling.noise[:, t] * found.variance[t] / unit if unit > 0 else np.ones(len(words))
            kernel = over_tasks(fit.kernel, design.players, runs.K)
            how = {"ratio": np.clip(np.nan_to_num(noise, nan=1.0), 1e-6, 1e6), "between": B, "words": words}
            how |= {"number": number, "at": surrogate.at_, "columns": columns, "weight": weight * sigma2 * scale[t]}
            out.append(Belief.of(kernel, runs.masks, rows, fit.noise, **how))
    return out


def cautious(believed: Sequence[Belief], share: float | None) -> Belief:
    """A second opinion, which holds that tasks interact though the fits may not show it: an RBF kernel, little noise.

    gamma = `RATE` / (mean squared distance of two runs), noise = `NOISE` of the variance of the runs, or what repeats
    say. Few runs cannot tell interactions from noise, and a fit that takes them for noise asks for runs far from the
    question. Its weight, a half, was set on two games of which neither is a benchmark's. Root mean square error of
    leave-one-out over the spread of the effects:

    - recorded digits as a kernel means them, little noise, 20 random and 20 proposed runs, ten draws: fits alone .27,
      half and half .21, .8 to .2 .18; 40 random near-full masks .23, 80 of them .12
    - additive, much noise, ridge, 8 and 16 runs, eight draws: .39, .43, .57; 24 random ones .49

    Parameters
    ----------
    believed : sequence of Belief
        What the fits believe: levels, fidelities and features are those of the one of most weight.
    share : float, optional
        Share of the variance of the runs that is noise, where repeats tell it.
    """
    like = max(believed, key=lambda b: b.weight)
    name = like.kernel.features
    U = transform(like.X, name)
    distance = 2.0 * float(U.var(axis=0).sum())
    kernel = Kernel(np.full(U.shape[1], RATE / max(distance, 1e-12)), 1.0, 0.0, name, name)
    spread = max(1.0 - float(kernel.matrix(like.X, like.X).mean()), 1e-9)
    noise = spread * (NOISE if share is None else float(np.clip(share, LEAST, MOST)) / (1.0 - min(share, MOST)))
    base = like.noise[like.words[like.at]]
    ratio = np.array([like.noise[word] / max(base, 1e-300) for word in like.words])
    how = {"columns": like.columns, "ratio": ratio, "between": like.between, "words": like.words}
    return Belief.of(kernel, like.X, like.given or Rows.of(like.X), noise, number=like.number, at=like.at, **how)


def over_tasks(kernel: Kernel, players: Players, K: int) -> Kernel:
    """A kernel on P players as one on K tasks: members share a player's rate, tasks never switched have the mean rate.

    The rate of features side by side is laid out feature by feature, (D / P, P). Sizes of masks count players: where
    these are fewer than the tasks, the kernel is taken that is the same near masks of half of the players.
    """
    P = len(players.members)
    if P == K:
        return kernel
    if kernel.features == SIZED:
        kernel = replace(kernel, gamma=kernel.gamma[:-1] * unit(P / 2) ** 2, features="raw")
    rates = kernel.gamma.reshape(-1, P)
    wide = np.repeat(rates.mean(axis=1, keepdims=True), K, axis=1)
    for p, members in enumerate(players.members):
        wide[:, list(members)] = rates[:, [p]] / len(members)
    return replace(kernel, gamma=wide.ravel())


def coupled_seeds(runs: Evaluations) -> bool:
    """Whether the runs say that a seed shifts all its masks alike, and there are several."""
    seeds = set(runs.seed.tolist())
    return runs.notes.get("coupled") is True and len(seeds) > 1 and -1 not in seeds
