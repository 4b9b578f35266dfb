"""What may be true of the benefit U beside what was fitted: Gaussian processes of many scales, as likely as they are.

P(h | runs) ~ |K_h + nu_h D|_H^-1/2 (u' Q_h u)^-(m - p)/2      (restricted likelihood; its root for mixtures)
g | h, runs ~ Student t of m - p degrees of freedom            (posterior of U; amplitude integrated out)
left        = max_x g(x) - g(x*)                               (x* = what the fits predict best; draws of h and g)

with h over shares of a linear kernel, rates of an RBF kernel beside it and levels nu of noise. A fit holds one of them
for certain, the likeliest. Of few runs that is often one that takes what it does not explain for noise, ridge foremost:
then nothing seems left to gain. What repeats say of the noise is in the likelihood. Mixtures are seen through several
maps: what is said to be left at most is so under each that the runs do not rule out, since beyond the runs, where the
best mostly lies, they differ.

Measured on made-up problems that nothing was set on (8 to 15 tasks; pairs, thresholds, noise of 0 to .6 of the spread;
40 or 64 runs), beside what the fits alone said, which stopped at an expected gain below a tenth of the noise, or where
a batch should find as little: what was left at the stop in spreads, how often it was above what was said, how many
stopped; and how often more was left than what is said at most, at any step.

- 24 sets of masks: .29, 33 %, 18 of 24, 24 % -> .03, none, 8 of 24 (nothing was left at last in 14), 5 %
- 14 and 16 of mixtures: 2.0, all, 13 of 14, 77 % -> .16, 2 of 5, 5 of 16, 8 %; above the noise that was said: 1 of 5

References
----------
Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, section 5.2 (averaging over models instead of the
likeliest); Handcock & Stein, Technometrics 1993 (amplitude integrated out: Student t); Grünwald & van Ommen, Bayesian
Analysis 2017 (a power of the likelihood where no model is true).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluations import MIN_RUNS, Evaluations
from ..fitting import Design
from ..predictor import Predictor
from ..surrogates.gaussian import Spectrum
from ..surrogates.kernels import candidates, matrices
from ..surrogates.rows import Rows
from .beliefs import Arms, Belief, coupled_seeds

Array = NDArray[np.float64]
FEATURES = {"mask": ("raw",), "mixture": ("log", "raw")}
SHARES = np.array([1.0, 0.7, 0.4, 0.0])  # of the linear kernel
RATES = {"mask": np.array([0.15, 0.5, 1.5]), "mixture": np.array([0.15, 0.5, 1.5, 4.0])}  # of the RBF kernel
NOISES = np.array([0.003, 0.02, 0.1, 0.3, 1.0, 3.0])  # over the variance of U among the runs
LEAST = 1e-4  # of the likeliest map's, below which a map is ruled out
OPINIONS = 12  # drawn of each map of features, as likely as they are
POWER = {"mask": 1.0, "mixture": 0.5}  # of the likelihood: no map of mixtures is true
MOST = 600  # runs that are looked at
DRAWS = 1200
SURE = 0.9  # probability of what is said to be the most that is left
TAKEN = {"mask": SURE, "mixture": 0.95}  # of the draws for it: between the points of mixtures there are better ones
QUIET = 0.25  # quantile of the opinions' noise that is said to be a run's: structure that looks like noise is no noise


@dataclass(frozen=True, eq=False)
class Opinion:
    """One Gaussian process of U, conditioned on the runs.

    Attributes
    ----------
    belief : Belief
        Its weight is the amplitude.
    u : array (m,)
        U of every run.
    """

    belief: Belief
    u: Array

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the amplitude."""
        return len(self.u) - self.belief.G.shape[0]

    @property
    def noise(self) -> float:
        """Variance of a single run's noise."""
        return self.belief.weight * self.belief.noise[self.belief.words[0]]

    def mean(self, arms: Arms) -> Array:
        """Posterior means of runs (A,), noise apart."""
        b = self.belief
        return b.rows(arms) @ (b.Q @ self.u) + b.levels(arms) @ (b.G @ self.u)

    def upper(self, arms: Arms, deviations: float) -> Array:
        """Posterior means of runs and some standard deviations more (A,)."""
        own = self.belief.own(arms, self.belief.rows(arms))
        return self.mean(arms) + deviations * np.sqrt(self.belief.weight * own)


def opinions(design: Design, predictor: Predictor) -> list[Opinion]:
    """Draw what may be true of U, equally likely each; none where too few runs have all targets that are asked about.

    Parameters
    ----------
    design : Design
        Runs of the fidelity asked about are looked at, `MOST` of them at most.
    predictor : Predictor
        Whose benefit U is.
    """
    runs = design.single
    runs = runs.filter(np.isfinite(runs.values[:, predictor.asked]).all(axis=1))
    if len(runs) > MOST:
        runs = runs.filter(np.sort(np.random.default_rng(0).permutation(len(runs))[:MOST]))
    if len(runs) < MIN_RUNS or not np.ptp(runs.masks, axis=0).any():
        return []
    u = predictor.benefit(runs.values)
    if not np.ptp(u):
        return []
    seeds = runs.seed if coupled_seeds(runs) else None
    rows, word = Rows.of(runs.masks, seeds=seeds), design.at or str(runs.fidelity[0])
    columns = {}
    if seeds is not None and rows.basis.shape[1] > 1:
        columns = {(word, int(s)): i for i, s in enumerate(np.unique(seeds).tolist())}
    how = {"columns": columns, "words": (word,)}
    made = [_of_map(runs, u, rows, features, how) for features in FEATURES[runs.kind]]
    best = max(likely for likely, _ in made)
    return [one for likely, drawn in made if likely >= best + np.log(LEAST) for one in drawn]


def _of_map(runs: Evaluations, u: Array, rows: Rows, features: str, how: dict[str, Any]) -> tuple[float, list[Opinion]]:
    """Log of the likelihood of a map of features, to the `POWER`, and opinions drawn of it."""
    kernels = candidates(runs.masks, features, RATES[runs.kind], SHARES)
    spectra = [Spectrum.of(k, rows) for k in matrices(kernels, runs.masks)]
    likely = np.array([[s.log_likelihood(u[:, None], nu)[0] for nu in NOISES] for s in spectra])
    likely = POWER[runs.kind] * likely.ravel()
    P = np.exp(likely - likely.max())
    drawn = np.searchsorted(np.cumsum(P / P.sum()), (np.arange(OPINIONS) + 0.5) / OPINIONS)
    found: dict[int, Opinion] = {}
    for one in dict.fromkeys(drawn.tolist()):
        i, nu = one // len(NOISES), float(NOISES[one % len(NOISES)])
        weight = float(spectra[i].amplitude(u[:, None], nu)[0])
        found[one] = Opinion(Belief.of(kernels[i], runs.masks, rows, nu, weight=weight, **how), u)
    return float(likely.max() + np.log(P.mean())), [found[one] for one in drawn.tolist()]


def left(held: Sequence[Opinion], places: Arms, best: int, rng: np.random.Generator) -> Array:
    """What opinions hold that is left to gain above point ``best`` of points (N,): draws (DRAWS, maps of features)."""
    out = []
    for features in dict.fromkeys(one.belief.kernel.features for one in held):
        own, gains = counted([one for one in held if one.belief.kernel.features == features]), []
        total = sum(times for _, times in own)
        for one, times in own:
            n = -(-DRAWS * times // total)
            values, vectors = np.linalg.eigh(one.belief.weight * one.belief.covariance(places, places))
            z = rng.standard_normal((n, len(values))) * np.sqrt(np.maximum(values, 0.0))
            t = np.sqrt(one.freedom / rng.chisquare(one.freedom, n))
            drawn = one.mean(places) + t[:, None] * (z @ vectors.T)
            gains.append(drawn.max(axis=1) - drawn[:, best])
        out.append(np.concatenate(gains)[:DRAWS])
    return np.column_stack(out)


def noise(held: Sequence[Opinion]) -> float:
    """Standard deviation of a run's noise in U, that of the `QUIET` opinions."""
    return float(np.sqrt(np.quantile([one.noise for one in held], QUIET)))


def counted(held: Sequence[Opinion]) -> list[tuple[Opinion, int]]:
    """Different opinions, and how often each was drawn."""
    return list(Counter(held).items())
