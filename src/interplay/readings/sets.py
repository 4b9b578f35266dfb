"""Shapley, Banzhaf and swap effects of product-kernel surrogates, and their pairs, exactly and without 2^K.

A task's effect is an average of g(S + k) - g(S) over random sets S of the other tasks; a pair's is an average of
g(S + k + l) - g(S + k) - g(S + l) + g(S). For a product kernel with factors a_ik (task k in) and b_ik (out) for run
i, averages over sets are sums over a few nodes q of products of one factor per task:

semivalues   phi_k = sum_q w_q sum_i theta_i (a_ik - b_ik) prod_{j != k} (p_q a_ij + (1 - p_q) b_ij)
             Shapley: Gauss-Legendre nodes on [0, 1], ceil(K / 2) of them are exact; Banzhaf: p = 1/2
swap         E[g | k in] - E[g | k out] over sets of n tasks = sum_i theta_i (a_ik [z^(n-1)] P / C(K-1, n-1)
             - b_ik [z^n] P / C(K-1, n)),  P = prod_{j != k} (b_ij + a_ij z), by FFT on a circle of radius n / (K - n)

(design: section 3; Owen 1972 for the multilinear extension; Grabisch & Roubens 1999 for the interaction indices.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from ..surrogates.kernels import Kernel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Quadrature of an average over sets: at node q every other task has the factor out_q b + in_q a.

    Attributes
    ----------
    inside, outside : array (Q,)
        in_q and out_q, real (semivalues) or complex (fixed size).
    log_scale : array (Q, C)
        Logarithm of the coefficient of the terms with c = 0, 1 (single effects: out, in) or 0, 1, 2 (pairs: both
        out, one of them in, both in); signs are the functional's business.
    """

    inside: NDArray
    outside: NDArray
    log_scale: NDArray


def semivalue_nodes(probabilities: Array, weights: Array, terms: int) -> Nodes:
    """Nodes of sum_q w_q E[... | every other task is in with probability p_q]."""
    scale = np.repeat(np.log(np.asarray(weights, float))[:, None], terms, axis=1)
    return Nodes(np.asarray(probabilities, float), 1.0 - np.asarray(probabilities, float), scale)


def shapley_nodes(K: int, terms: int) -> Nodes:
    """Gauss-Legendre nodes on [0, 1], exact for polynomials of degree K - 1."""
    x, w = np.polynomial.legendre.leggauss(max((K + 1) // 2, 1))
    return semivalue_nodes(0.5 * (x + 1.0), 0.5 * w, terms)


def size_nodes(K: int, n: int, terms: int) -> Nodes:
    """Nodes of averages over all sets of exactly n of K tasks, given which of one or two tasks are in.

    The coefficient of z^(n - c), c the number of the given tasks that are in, over C(K - g, n - c) with g = terms - 1
    given tasks, by the discrete Fourier transform on a circle that balances the coefficients. The nodes are turned by
    a quarter step, so that no factor b + a z is zero for equal a and b.
    """
    g = terms - 1
    if not g <= n <= K - g:
        raise ValueError(f"size={n}; swap effects of {'pairs' if g == 2 else 'tasks'} need {g} <= size <= {K - g}.")
    q = np.arange(K)
    log_z = np.log(n / (K - n)) + 2j * np.pi * (q + 0.25) / K
    sizes = n - np.arange(terms)
    binomial = gammaln(K - g + 1) - gammaln(sizes + 1) - gammaln(K - g - sizes + 1)
    scale = -np.multiply.outer(log_z, sizes) - binomial - np.log(K)
    return Nodes(np.exp(log_z), np.ones(K), scale)


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
        if kernel.rbf:
            a, b = factors(kernel, X)
            for inside, outside, scale in _each(self.nodes):
                f = outside * b + inside * a
                logs = np.log(f).sum(axis=1, keepdims=True)
                with np.errstate(under="ignore"):
                    term = np.exp(logs + scale[1]) * (a / f) - np.exp(logs + scale[0]) * (b / f)
                out += kernel.rbf * term.real.T
        return out

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `functional.Functional`."""
        return self.rows(kernel, X) @ theta

    def own(self, kernel: Kernel) -> Array:
        """See `functional.Functional`."""
        out = kernel.linear * (self.linear**2).sum(axis=1)
        if not kernel.rbf:
            return out
        r = np.exp(-kernel.gamma)
        sign = np.array([-1.0, 1.0])
        for f, weight in _double(self.nodes, r):
            # weight (Q, 2, 2): terms of the two arguments; the task itself contributes 1 where they agree, r if not
            agree = np.einsum("qaa->q", weight * np.multiply.outer(sign, sign))
            differ = np.einsum("qab,ab->q", weight, np.multiply.outer(sign, sign)) - agree
            out += kernel.rbf * (np.einsum("q,qk->k", agree, f) + r * np.einsum("q,qk->k", differ, f)).real
        return out


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
        if kernel.rbf:
            a, b = factors(kernel, X)
            for inside, outside, scale in _each(self.nodes):
                f = outside * b + inside * a
                logs = np.log(f).sum(axis=1, keepdims=True)
                A, B = (a / f).T, (b / f).T
                with np.errstate(under="ignore"):
                    w = np.exp(logs + scale)
                term = w[:, 2] * A[k] * A[l] - w[:, 1] * (A[k] * B[l] + B[k] * A[l]) + w[:, 0] * B[k] * B[l]
                out += kernel.rbf * term.real
        return out

    def apply(self, kernel: Kernel, X: Array, theta: Array) -> Array:
        """See `functional.Functional`; one matrix product per node and target, nothing of the size of the rows."""
        k, l = self.index
        T = theta.shape[1]
        total = np.zeros((T, self.K, self.K))
        if not kernel.rbf:
            return np.zeros((len(self), T))
        a, b = factors(kernel, X)
        for inside, outside, scale in _each(self.nodes):
            f = outside * b + inside * a
            logs = np.log(f).sum(axis=1, keepdims=True)
            with np.errstate(under="ignore"):
                w = np.exp(logs + scale)
            if np.ptp(scale.real) == 0 and not np.iscomplexobj(w):  # semivalues: one difference instead of four terms
                D = (a - b) / f
                for t in range(T):
                    total[t] += D.T @ (D * (w[:, 0] * theta[:, t])[:, None])
                continue
            A, B = a / f, b / f
            for t in range(T):
                u = w * theta[:, t : t + 1]
                cross = A.T @ (B * u[:, 1:2])
                both = A.T @ (A * u[:, 2:]) + B.T @ (B * u[:, :1])
                total[t] += (both - cross - cross.T).real
        return kernel.rbf * total[:, k, l].T

    def own(self, kernel: Kernel) -> Array:
        """See `functional.Functional`."""
        k, l = self.index
        out = np.zeros(len(self))
        if not kernel.rbf:
            return out
        r = np.exp(-kernel.gamma)
        states = [(0, 0), (0, 1), (1, 0), (1, 1)]
        for f, weight in _double(self.nodes, r, self.index):
            for s in states:
                for t in states:
                    sign = (-1.0) ** (sum(s) + sum(t))
                    both = (r[k] if s[0] != t[0] else 1.0) * (r[l] if s[1] != t[1] else 1.0)
                    out += kernel.rbf * sign * both * np.einsum("q,qn->n", weight[:, sum(s), sum(t)], f).real
        return out


def factors(kernel: Kernel, X: Array) -> tuple[Array, Array]:
    """Factors of the product kernel with each task in (1) and out (0), two arrays (m, K)."""
    return np.exp(-kernel.gamma * (1.0 - X) ** 2), np.exp(-kernel.gamma * X**2)


def _each(nodes: Nodes):
    return zip(nodes.inside, nodes.outside, nodes.log_scale, strict=True)


def _double(nodes: Nodes, r: Array, pairs: tuple[NDArray, NDArray] | None = None):
    """Yield, for blocks of node pairs, the products over the other tasks (Q, n) and coefficients (Q, C, C).

    With both arguments of k averaged, every other task has the factor in in' + out out' + r (in out' + out in').
    Each task by itself is left out of the product (n = K), or each pair of ``pairs``; n = 1 where all are equal.
    """
    rates, which = np.unique(r, return_inverse=True)
    counts = np.bincount(which)
    left_out = 1 if pairs is None else 2
    same = len(rates) == 1
    for inside, outside, scale in _each(nodes):
        agree = inside * nodes.inside + outside * nodes.outside
        differ = inside * nodes.outside + outside * nodes.inside
        logs = np.log((agree[:, None] + np.multiply.outer(differ, rates)).astype(scale.dtype, copy=False))
        total = logs @ counts
        with np.errstate(under="ignore"):
            # The product without the task's own factors: logarithms may be large and cancel the scale's
            weight = scale[None, :, None] + nodes.log_scale[:, None, :]
            shift = (total - left_out * logs[:, 0]) if same else total
            weight = np.exp(weight + shift[:, None, None])
            if same:
                f = np.ones((len(total), 1))  # the same for every task or pair
            elif pairs is None:
                f = np.exp(-logs[:, which])
            else:
                f = np.exp(-logs[:, which[pairs[0]]] - logs[:, which[pairs[1]]])
        yield f, weight
