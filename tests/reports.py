"""Answers of every kind, fitted once, for the tests of pages and figures."""

from functools import cache

import numpy as np

import interplay as ip


@cache
def one():
    """Masks, one target, with a truth."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=8)
    loss = lambda X: 3.0 - X @ weights - 0.8 * X[:, 0] * X[:, 1]
    masks = ip.masks.bernoulli(8, 80, p=0.8, rng=rng)
    names = ["web", "code", "math", "wiki", "books", "mail", "news", "spam"]
    held = {"tasks": names, "targets": ["loss"]}
    runs = ip.Evaluations.from_arrays(masks, loss(masks) + 0.05 * rng.normal(size=len(masks)), **held)
    left = np.repeat(ip.masks.leave_one_out(8), 3, axis=0)
    values = loss(left) + 0.05 * rng.normal(size=len(left))
    truth = ip.Evaluations.from_arrays(left, values, seed=np.tile(np.arange(3), len(left) // 3), **held)
    return ip.attribute(runs, truth, truth_masks="other-seeds")


@cache
def many():
    """Masks, five targets of both directions, groups, contrasts, a task that never switches, a run that stands out."""
    rng = np.random.default_rng(2)
    masks = np.column_stack([ip.masks.bernoulli(6, 60, p=0.5, rng=rng), np.ones(60)])
    values = masks @ rng.normal(size=(7, 5)) + 0.05 * rng.normal(size=(60, 5))
    values[7, 0] += 9.0
    names = ["web", "code", "math", "wiki", "books", "mail", "base"]
    targets = ["loss/a", "loss/b", "loss/c", "accuracy/d", "accuracy/e"]
    runs = ip.Evaluations.from_arrays(masks, values, tasks=names, targets=targets)
    half = np.array([1, 1, 1, 0, 0, 0, 1.0])
    return ip.attribute(
        runs,
        groups={"text": ["wiki", "books"], "all but base": names[:-1]},
        contrasts={"left for right": (half, np.append(1 - half[:-1], 1.0))},
    )


@cache
def mixture():
    """Mixtures, two targets."""
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.ones(5), 64)
    values = np.log(shares + 0.01) @ rng.normal(size=(5, 2)) * 0.1 + 2.0 + 0.01 * rng.normal(size=(64, 2))
    return ip.attribute(ip.Evaluations.from_arrays(shares, values, targets=["loss/x", "loss/y"]))


@cache
def nothing():
    """Noise: not supported."""
    rng = np.random.default_rng(4)
    masks = ip.masks.bernoulli(5, 24, p=0.7, rng=rng)
    return ip.attribute(ip.Evaluations.from_arrays(masks, rng.normal(size=24), targets=["loss"]))


REPORTS = {"one": one, "many": many, "mixture": mixture, "nothing": nothing}
