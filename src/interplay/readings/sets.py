"""Shapley, Banzhaf and swap effects of product-kernel surrogates, and their pairs, exactly and without 2^K.

A task's effect is an average of g(S + k) - g(S) over random sets S of the other tasks; a pair's is an average of
g(S + k + l) - g(S + k) - g(S + l) + g(S). For a product kernel with factors a_ik (task k in) and b_ik (out) for run
i, averages over sets are sums over a few nodes q of products of one factor per task (`nodes`):

semivalues   phi_k = sum_q w_q sum_i theta_i (a_ik - b_ik) prod_{j != k} (p_q a_ij + (1 - p_q) b_ij)
swap         E[g | k in] - E[g | k out] over sets of n tasks = sum_i theta_i (a_ik [z^(n-1)] P / C(K-1, n-1)
             - b_ik [z^n] P / C(K-1, n)),  P = prod_{j != k} (b_ij + a_ij z), by FFT on a circle of radius n / (K - n)

(design: section 3; Owen 1972 for the multilinear extension; Grabisch & Roubens 1999 for the interaction indices.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..surrogates.features import SIZED
from ..surrogates.kernels import Kernel
from .nodes import Nodes, against, between

Array = NDArray[np.float64]
SINGLE = np.array([[1.0, -1.0], [-1.0, 1.0]])  # signs of the terms of two effects, each out or in
STATES = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a pair


@dataclass(frozen=True, eq=False)
class SetEffects:
    """Single effects of all K tasks as a functional of g.

    Attributes
    ----------
    nodes : Nodes
        With two terms.
    linear : array (K, K)
        What each effect does to the linear part, rows L x.
    """

    nodes: Nodes
    linear: Array

    def __len__(self) -> int:
        return len(self.linear)

    def rows(self, kernel: Kernel, X: Array) -> Array:
        """See `functional.Functional`."""
        out = kernel.linear * (self.linear @ X.T)
        for nodes, a, b, height in against(kernel, X, self.nodes):
            for inside, outside, scale in _each(nodes):
                f = outside * b + inside * a
                logs = np.log(f).sum(axis=1, keepdims=True)
                with np.errstate(under="ignore"):
                    term = np.exp(logs + scale[1]) * (a / f) - np.exp(logs + scale[0]) * (b / f)
                out += height * term.real.T
        return out

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `functional.Functional`."""
        return self.rows(kernel, X) @ theta

    def own(self, kernel: Kernel) -> Array:
        """See `functional.Functional`."""
        out = kernel.linear * (self.linear**2).sum(axis=1)
        if not kernel.rbf:
            return out
        rates, which, counts = _task_rates(kernel)
        found = np.zeros(len(rates))
        for block in between(kernel, self.nodes, rates, counts, len(rates)):
            left_out = np.einsum("qab,qr->abr", block.weight, 1.0 / block.factor).real
            found += np.einsum("ab,abr,abr->r", SINGLE, block.own, left_out)
        return out + kernel.rbf * found[which]


@dataclass(frozen=True, eq=False)
class SetPairs:
    """Effects of pairs of tasks as a functional of g.

    Attributes
    ----------
    nodes : Nodes
        With three terms.
    K : int
    pairs : pair of arrays (n,), optional
        The pairs (k, l); all k < l in the order of ``np.triu_indices(K, 1)`` if not given.
    """

    nodes: Nodes
    K: int
    pairs: tuple[NDArray, NDArray] | None = None

    def __len__(self) -> int:
        return len(self.index[0])

    @property
    def index(self) -> tuple[NDArray, NDArray]:
        """The pairs (k, l)."""
        return np.triu_indices(self.K, 1) if self.pairs is None else self.pairs

    def rows(self, kernel: Kernel, X: Array) -> Array:
        """See `functional.Functional`."""
        k, l = self.index
        out = np.zeros((len(self), len(X)))
        for nodes, a, b, height in against(kernel, X, self.nodes):
            for inside, outside, scale in _each(nodes):
                f = outside * b + inside * a
                logs = np.log(f).sum(axis=1, keepdims=True)
                A, B = (a / f).T, (b / f).T
                with np.errstate(under="ignore"):
                    w = np.exp(logs + scale)
                term = w[:, 2] * A[k] * A[l] - w[:, 1] * (A[k] * B[l] + B[k] * A[l]) + w[:, 0] * B[k] * B[l]
                out += height * term.real
        return out

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `functional.Functional`; one matrix product per node and target, nothing of the size of the rows."""
        k, l = self.index
        T = theta.shape[1]
        total = np.zeros((T, self.K, self.K))
        for nodes, a, b, height in against(kernel, X, self.nodes):
            weighed = theta * height[:, None]
            for inside, outside, scale in _each(nodes):
                f = outside * b + inside * a
                logs = np.log(f).sum(axis=1, keepdims=True)
                with np.errstate(under="ignore"):
                    w = np.exp(logs + scale)
                if np.ptp(scale.real) == 0 and not np.iscomplexobj(w):  # one difference instead of four terms
                    D = (a - b) / f
                    for t in range(T):
                        total[t] += D.T @ (D * (w[:, 0] * weighed[:, t])[:, None])
                    continue
                A, B = a / f, b / f
                for t in range(T):
                    u = w * weighed[:, t : t + 1]
                    cross = A.T @ (B * u[:, 1:2])
                    both = A.T @ (A * u[:, 2:]) + B.T @ (B * u[:, :1])
                    total[t] += (both - cross - cross.T).real
        return total[:, k, l].T

    def own(self, kernel: Kernel) -> Array:
        """See `functional.Functional`."""
        if not kernel.rbf:
            return np.zeros(len(self))
        rates, which, counts = _task_rates(kernel)
        pairs, of = np.unique(which[np.array(self.index)], axis=1, return_inverse=True)
        k, l = pairs
        found = np.zeros(len(k))
        for block in between(kernel, self.nodes, rates, counts, len(k)):
            left_out = 1.0 / block.factor
            both = np.einsum("qab,qn->abn", block.weight, left_out[:, k] * left_out[:, l], optimize=True).real
            for s, t in product(STATES, STATES):
                sign = (-1.0) ** (sum(s) + sum(t))
                found += sign * block.own[s[0], t[0]][k] * block.own[s[1], t[1]][l] * both[sum(s), sum(t)]
        return kernel.rbf * found[of.ravel()]


def _each(nodes: Nodes):
    return zip(nodes.inside, nodes.outside, nodes.log_scale, strict=True)


def _task_rates(kernel: Kernel) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Different rates of the tasks (R,), which of them is a task's, and how many tasks have each."""
    rates = kernel.gamma[:-1] if kernel.features == SIZED else kernel.gamma
    return np.unique(rates, return_inverse=True, return_counts=True)
