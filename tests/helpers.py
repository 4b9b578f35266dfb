"""Cases that all tests share: small games with known answers, brute force over 2^K, fitted surrogates."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np

from interplay.surrogates import KernelSurrogate, LinearSurrogate

SURROGATES = {
    "least squares": LinearSurrogate(alpha=0.0),
    "ridge": LinearSurrogate(alpha=0.3),
    "ridge cv": LinearSurrogate(),
    "published linear": LinearSurrogate.published(),
    "rbf": KernelSurrogate(gamma=0.2, alpha=0.05, links=("identity",)),
    "rbf + linear": KernelSurrogate(gamma=0.15, alpha=0.05, linear=0.3, links=("identity",)),
    "rbf cv": KernelSurrogate(kernel="rbf", links=("identity",)),
    "ard": KernelSurrogate(kernel="ard", links=("identity",)),
    "stack": KernelSurrogate(links=("identity",)),
    "published": KernelSurrogate.published(),
}


def every_mask(K: int) -> np.ndarray:
    """All 2^K masks; row index = sum_k s_k 2^k."""
    return ((np.arange(2**K)[:, None] >> np.arange(K)) & 1).astype(float)


def brute_average(g: np.ndarray, K: int, k: tuple[int, ...], weight) -> np.ndarray:
    """sum over sets S without k of weight(|S|) times the difference of g over the tasks of k; g is (2^K, T)."""
    others = [j for j in range(K) if j not in k]
    total = np.zeros(g.shape[1])
    for size in range(len(others) + 1):
        w = weight(size)
        if w == 0:
            continue
        for S in combinations(others, size):
            base = sum(1 << j for j in S)
            for inside in range(len(k) + 1):
                for I in combinations(k, inside):
                    total += w * (-1.0) ** (len(k) - inside) * g[base + sum(1 << j for j in I)]
    return total


def shapley_weight(K: int, order: int):
    n = K - order + 1
    return lambda size: factorial(size) * factorial(n - 1 - size) / factorial(n)


def runs(K: int, m: int, rng: np.random.Generator, T: int = 2, p: float = 0.6):
    """Random masks and values of a game with interactions and noise."""
    X = (rng.random((m, K)) < p).astype(float)
    w = rng.normal(size=(K, T))
    pairs = rng.normal(size=(K, K, T)) * 0.5
    y = 3.0 + X @ w + np.einsum("mk,ml,klt->mt", X, X, pairs) + 0.1 * rng.normal(size=(m, T))
    return X, y
