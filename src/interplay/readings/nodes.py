"""Quadrature of averages over sets of tasks, and what a kernel makes of each task at its nodes.

A task's effect is an average of g(S + k) - g(S) over random sets S of the other tasks, a pair's of four terms. For a
product kernel averages over sets are sums over a few nodes of products of one factor per task:

semivalues   every other task is in with probability p_q at node q: Shapley has Gauss-Legendre nodes on [0, 1],
             ceil(K / 2) of them are exact; Banzhaf has one, p = 1/2
fixed size   the coefficient of z^n of prod (b + a z) by FFT on a circle of radius n / (K - n)

A kernel on 'sized' features is a product once the size of the set is known: every semivalue is then an average over
sizes of averages over sets of a size (`Nodes.by_size`), with factors of that size.

References
----------
Owen 1972 for the multilinear extension; design: section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, xlog1py, xlogy

from ..surrogates.features import SIZED, amount, unit
from ..surrogates.kernels import Kernel

Array = NDArray[np.float64]
BLOCK = 1 << 21  # numbers of a block of pairs of nodes


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
    size : int or None
        Tasks in each set, those whose effect is asked among them, where it is fixed.
    """

    inside: NDArray
    outside: NDArray
    log_scale: NDArray
    size: int | None = None

    @property
    def upper(self) -> Nodes:
        """Of a circle the upper half, counted twice: the same real part."""
        if not np.iscomplexobj(self.inside):
            return self
        half = len(self.inside) // 2
        return Nodes(self.inside[:half], self.outside[:half], self.log_scale[:half] + np.log(2.0), self.size)

    def by_size(self, K: int) -> list[tuple[int, Nodes]]:
        """Sizes of sets of K tasks, those of effects counted in, and the nodes of each: their sum is the same average.

        A semivalue gives all sets of c other tasks together w_c = C(K - g, c) sum_q w_q p_q^c (1 - p_q)^(K - g - c);
        at size n the terms with j of the g given tasks in are of sets with n - j others.
        """
        if self.size is not None:
            return [(self.size, self)]
        g = self.log_scale.shape[1] - 1
        c, p = np.arange(K - g + 1), np.real(self.inside)[:, None]
        each = logsumexp(np.real(self.log_scale[:, :1]) + xlogy(c, p) + xlog1py(K - g - c, -p), axis=0)  # w_c / C
        each = np.where(each + _log_sets(K - g) > np.log(1e-300), each, -np.inf)
        parts = ((n, _of_size(K, n, each)) for n in range(K + 1))
        return [(n, nodes) for n, nodes in parts if np.isfinite(nodes.log_scale).any()]


def _of_size(K: int, n: int, each: Array) -> Nodes:
    """Nodes of a weighted sum over all sets of n of K tasks, given which of g tasks are in.

    The coefficients of z^c, c the number of other tasks that are in, times exp(each_c), c = 0 to K - g, by the discrete
    Fourier transform on a circle that balances the coefficients. It has an even number of nodes, symmetric about the
    real axis, of which none lies on its negative half, where a factor b + a z could be zero.
    """
    g, Q = K + 1 - len(each), K + K % 2
    others = n - np.arange(g + 1)
    some = (others >= 0) & (others <= K - g)
    some[some] = np.isfinite(each[others[some]])
    inside, outside = max(n - g / 2, 0.5), max(K - n - g / 2, 0.5)
    log_z = np.log(inside / outside) + 2j * np.pi * (np.arange(Q) + 0.5) / Q
    scale = np.full((Q, g + 1), -np.inf, complex)
    scale[:, some] = each[others[some]] - np.multiply.outer(log_z, others[some]) - np.log(Q)
    return Nodes(np.exp(log_z), np.ones(Q), scale, n)


def _log_sets(n: int) -> Array:
    """Logarithm of the number of sets of c = 0 to n of n tasks, array (n + 1,)."""
    c = np.arange(n + 1)
    return gammaln(n + 1) - gammaln(c + 1) - gammaln(n - c + 1)


def semivalue_nodes(probabilities: Array, weights: Array, terms: int) -> Nodes:
    """Nodes of sum_q w_q E[... | every other task is in with probability p_q]."""
    scale = np.repeat(np.log(np.asarray(weights, float))[:, None], terms, axis=1)
    return Nodes(np.asarray(probabilities, float), 1.0 - np.asarray(probabilities, float), scale)


def shapley_nodes(K: int, terms: int) -> Nodes:
    """Gauss-Legendre nodes on [0, 1], exact for polynomials of degree K - 1."""
    x, w = np.polynomial.legendre.leggauss(max((K + 1) // 2, 1))
    return semivalue_nodes(0.5 * (x + 1.0), 0.5 * w, terms)


def size_nodes(K: int, n: int, terms: int) -> Nodes:
    """Nodes of averages over all sets of exactly n of K tasks, given which of g = terms - 1 tasks are in."""
    g = terms - 1
    if not g <= n <= K - g:
        raise ValueError(f"size={n}; swap effects of {'pairs' if g == 2 else 'tasks'} need {g} <= size <= {K - g}.")
    return _of_size(K, n, -_log_sets(K - g))


# ---------------------------------------------------------------- factors of a kernel


def factors(kernel: Kernel, X: Array) -> tuple[Array, Array]:
    """Factors of the product kernel with each task in (1) and out (0), two arrays (m, K)."""
    return np.exp(-kernel.gamma * (1.0 - X) ** 2), np.exp(-kernel.gamma * X**2)


Against = tuple[Nodes, Array, Array, Array]


def against(kernel: Kernel, X: Array, nodes: Nodes) -> Iterator[Against]:
    """Yield nodes, factors in and out (m, K) and what each row counts (m,), of averages against rows X (m, K)."""
    if not kernel.rbf:
        return
    if kernel.features != SIZED:
        yield nodes.upper, *factors(kernel, X), np.full(len(X), kernel.rbf)
        return
    rates, size = kernel.gamma[:-1], X.sum(axis=1)
    rows = X * unit(size)[:, None]
    out = np.exp(-rates * rows**2)
    for n, part in nodes.by_size(X.shape[1]):
        height = np.exp(-kernel.gamma[-1] * (amount(n) - amount(size)) ** 2)
        yield part.upper, np.exp(-rates * (unit(n) - rows) ** 2), out, kernel.rbf * height


@dataclass(frozen=True, eq=False)
class Between:
    """Two averages against each other, at some pairs of their nodes.

    Attributes
    ----------
    weight : array (Q, C, C)
        Coefficients of the terms of both, times the factors of all tasks.
    factor : array (Q, R)
        Of a task of each rate: what those left out are divided by.
    own : array (2, 2, R)
        Of a task that is out or in on either side.
    """

    weight: NDArray
    factor: NDArray
    own: Array


def between(kernel: Kernel, nodes: Nodes, rates: Array, counts: NDArray[np.int64], n: int) -> Iterator[Between]:
    """Yield blocks of pairs of nodes, for different rates (R,) of which each is that of so many tasks.

    With both arguments averaged a task has the factor out out' + r10 in out' + r01 out in' + r11 in in'. Real parts are
    what counts. Blocks are small enough to hold ``n`` numbers for each pair of nodes.
    """
    if kernel.features != SIZED:
        r, one = np.exp(-rates), np.ones_like(rates)
        yield from _pairs(nodes, nodes, np.array([[one, r], [r, one]]), counts, 1.0, n)
        return
    parts = nodes.by_size(int(counts.sum()))
    for i, (n_first, first) in enumerate(parts):
        for n_second, second in parts[i:]:
            u, v = unit(n_first), unit(n_second)
            own = np.exp(-np.multiply.outer([[0.0, v**2], [u**2, (u - v) ** 2]], rates))
            height = np.exp(-kernel.gamma[-1] * (amount(n_first) - amount(n_second)) ** 2)
            yield from _pairs(first, second, own, counts, height if first is second else 2.0 * height, n)


def _pairs(first: Nodes, second: Nodes, own: Array, counts: NDArray, height: float, n: int) -> Iterator[Between]:
    """All pairs of nodes, the lower half of the first's circle left out."""
    first = first.upper
    step = max(BLOCK // (len(second.inside) * max(n, own.shape[2])), 1)
    for start in range(0, len(first.inside), step):
        at = slice(start, start + step)
        a, b = first.inside[at, None, None], first.outside[at, None, None]
        c, d = second.inside[:, None], second.outside[:, None]
        f = b * d * own[0, 0] + a * d * own[1, 0] + b * c * own[0, 1] + a * c * own[1, 1]
        logs = np.log(f) @ counts
        with np.errstate(under="ignore", invalid="ignore"):
            # Logarithms of the product may be large and cancel the coefficients'
            scale = first.log_scale[at, None, :, None] + second.log_scale[:, None, :]
            weight = height * np.exp(scale + logs[:, :, None, None])
        yield Between(weight.reshape(-1, *weight.shape[2:]), f.reshape(-1, f.shape[2]), own)
