"""Kernel surrogate: Gaussian process regression with product and linear kernels, tuned and stacked per target.

g(s) = b + sum_i theta_i k(s, s_i),  k = product + linear       (KernelSM, arXiv 2602.03783, section 3; design: 3)

With kernel='rbf' close to scikit-learn's `KernelRidge` in a `GridSearchCV` per target, with a constant, posterior
variances and closed-form leave-one-out instead of refitting; the default stacks it with ridge and with kernels that
have a length scale per task, weighed by what they predict of runs held out.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import GaussianSurrogate, grid
from .features import sizes_tell, transform
from .kernels import Kernel, candidates
from .members import Member
from .recipes import GAMMAS, NOISES, SHARES, stack
from .rows import Rows
from .search import CrossValidation, search
from .stacking import fit_members, held_out, weights
from .sums import better, sums

Array = NDArray[np.float64]
KERNELS = ("auto", "rbf", "ard")
LARGE = 1000  # rows above which hyper-parameters are those of a random sample of them, shared by all targets


class KernelSurrogate(GaussianSurrogate):
    """Surrogate for tasks that may interact: duplicates, saturation, sources that need each other. The default.

    Parameters
    ----------
    gamma : 'cv', float or sequence of floats
        Rate of exp(-gamma |x - x'|^2) of an RBF kernel. 'cv' tries rates that follow the spread of the design, and
        scales the kernel to it; numbers are taken as they are.
    alpha : 'cv', float or sequence of floats
        Noise variance in units of the kernel's amplitude, > 0: the ridge on the diagonal.
        Of several numbers that predict held-out rows equally well the most likely one is taken.
    linear : 'cv', float or sequence of floats
        With ``gamma='cv'`` the share (0 to 1) of the linear kernel in the prior variance; with numbers for gamma the
        weight of x . x' beside the RBF.
    kernel : {'auto', 'rbf', 'ard'}
        'auto' stacks an RBF kernel, ridge and length scales per task (on masks; of differing sizes those on 'sized'
        features too), or RBF and length scales on two feature maps (on mixtures); with numbers for gamma, alpha or
        linear it is 'rbf'. 'ard' is length scales alone.
    links : 'auto' or sequence of str
        Units to choose from per target: 'identity', 'log', 'floor' (see `surrogates.links`); 'auto' is all of them.
    features : str
        'auto' takes maps that spread small weights for mixtures (see `surrogates.features`) and the columns themselves
        otherwise; or one of 'raw', 'log', 'sqrt', 'both', 'sized' (predictions alone: readings want 'auto').
    higher_is_better : bool or sequence of bool (T,)
        Whether a target is a score: a bounded link then has a ceiling instead of a floor.
    constant : bool
        Whether there is a constant with a flat prior.

    Attributes
    ----------
    members_ : list of Member
        Kernels, noise levels and posteriors of each member of the stack.
    weights_ : array (F, T)
        Of the members, per target.
    link_ : Link
        Of each target.
    cv_ : CrossValidation
        Predictions of held-out rows by folds in which everything was chosen anew ('rbf': closed-form at the chosen
        hyper-parameters).
    held_out_ : HeldOut
        The same of each member.
    noise_ : Noise or None
        How the noise depends on the mask, where repeated seeds show it.
    sums_ : tuple of Sum
        Targets that are weighted sums of others, and are better predicted by these (see `surrogates.sums`).
    kept_ : array of int
        Rows that hyper-parameters, weights and ``cv_`` come from: all, or a sample of more than `LARGE`.
    given_up_ : str
        What was left out because of the number of rows, in words.
    kind_, features_ : str
        What the columns were taken for.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> X = ip.masks.all_subsets(4)
    >>> y = 1.0 - X[:, 0] * X[:, 1]
    >>> surrogate = ip.KernelSurrogate().fit(X, y)
    >>> bool(abs(surrogate.predict(X) - y).max() < 0.05)
    True
    """

    def __init__(
        self,
        gamma: Any = "cv",
        alpha: Any = "cv",
        linear: Any = "cv",
        *,
        kernel: str = "auto",
        links: Any = "auto",
        features: str = "auto",
        higher_is_better: Any = False,
        constant: bool = True,
    ):
        self.gamma = gamma
        self.alpha = alpha
        self.linear = linear
        self.kernel = kernel
        self.links = links
        self.features = features
        self.higher_is_better = higher_is_better
        self.constant = constant

    @property
    def given_up_(self) -> str:
        """What was left out because of the number of rows, in words; empty if nothing was."""
        if len(self.X_) <= LARGE or not hasattr(self, "kept_"):
            return ""
        return (
            f"{len(self.X_):,} runs: kernels, length scales and weights are those of {len(self.kept_):,} of them, "
            "shared by all targets, without components of the targets; the fit itself holds all runs."
        )

    @classmethod
    def published(cls, alpha: float = 1e-3) -> KernelSurrogate:
        """Kernel ridge exactly as the authors released it.

        exp(-|s - s'|^2 / K) on raw masks, no constant, no centring, no tuning; ``alpha`` (1e-3; theirs is 1e-1 for
        in-context learning, 1e-2 for modular addition) and a jitter of 1e-8 on the diagonal.
        """
        return cls("published", alpha + 1e-8, 0.0, links=("identity",), features="raw", constant=False)

    def _fit(self, X: Array, Y: Array, rows: Rows) -> None:
        for name in ("noise_", "held_out_", "kept_"):  # of an earlier fit
            vars(self).pop(name, None)
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel={self.kernel!r}; choose one of {', '.join(map(repr, KERNELS))}.")
        tuned = all(isinstance(value, str) and value == "cv" for value in (self.gamma, self.alpha, self.linear))
        if self.kernel == "ard" and not (tuned and self.constant):
            raise ValueError("kernel='ard' finds its own gamma, alpha and linear, beside a constant: leave them out.")
        if self.kernel == "rbf" or not tuned or not self.constant:
            noises = grid(self.alpha, NOISES, "alpha", above=True)
            found = search(X, Y, rows, self._kernels(X), noises, self._links(Y), settle=True)
            self.members_, self.link_, self.cv_ = [Member("rbf", found.fits)], found.link, found.cv
            self.sums_ = ()
            self.weights_ = np.ones((1, Y.shape[1]))
            return
        large = len(X) > LARGE
        recipes = stack(self.kind_, Y.shape[1], self.features, self.kernel == "ard", large, sized=sizes_tell(X))
        kept = rows.sample(LARGE) if large else np.arange(len(X))
        some, own = rows.take(kept) if large else rows, Y[kept]
        fitted = fit_members(X[kept], own, some, recipes, self._links(Y), self._maps)
        self.link_, self.members_, self.noise_ = fitted.link, fitted.members, fitted.noise
        self.held_out_ = held_out(X[kept], own, some, recipes, self._links, self._maps, self.members_)
        self.weights_ = weights(self.held_out_.mean, own)
        mean, variance = self.held_out_.stacked(own)
        self.sums_ = better(sums(own), own, mean, variance, self.held_out_.fold)
        self.cv_ = CrossValidation.of(mean, variance, own, some.groups.index)
        self.kept_ = kept
        if self.noise_ is not None:
            rows = self.rows_ = replace(rows, noise=self.noise_.at(X))
        if large:
            self.members_ = [member.conditioned(X, self.link_.forward(Y), rows) for member in self.members_]

    def only(self, name: str) -> KernelSurrogate:
        """The same fit with one member alone, and that member's held-out predictions."""
        if name not in self.held_out_.names:
            raise ValueError(f"there is no member {name!r}; there are {', '.join(self.held_out_.names)}.")
        f, alone = self.held_out_.names.index(name), copy(self)
        alone.members_, alone.weights_, alone.sums_ = [self.members_[f]], np.ones((1, self.n_targets_)), ()
        alone.cv_ = CrossValidation(
            self.held_out_.mean[f], np.sqrt(self.held_out_.variance[f]), self.held_out_.error[f], self.cv_.groups
        )
        return alone

    def _kernels(self, X: Array) -> list[Kernel]:
        D = transform(X[:1], self.features_).shape[1]
        of = lambda gamma, rbf, linear: Kernel(np.full(D, gamma), rbf, linear, self.features_, self.features_)
        if isinstance(self.gamma, str) and self.gamma == "published":
            return [of(1.0 / D, 1.0, 0.0)]
        rates, shares = grid(self.gamma, GAMMAS, "gamma"), grid(self.linear, SHARES, "linear")
        if isinstance(self.gamma, str):
            if (shares > 1).any():
                raise ValueError(f"linear={self.linear!r}; with gamma='cv' it is a share between 0 and 1.")
            return candidates(X, self.features_, rates, shares)
        beside = np.zeros(1) if isinstance(self.linear, str) else shares
        return [of(rate, 1.0, weight) for rate in rates for weight in beside]
