"""Rivals, in one form: a method takes a split and gives what predicts.

Methods see the fitting rows, split.X and split.Y, and nothing else. The one exception is RegMix's own recipe, which
stops early on the test rows as published, and is named so in the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .draws import Function, Method, Predictor, Split

Array = NDArray[np.float64]


# ---------------------------------------------------------------- linear

RIDGES = np.logspace(-3, 4, 29)
FEATURES: Mapping[str, Callable[[Array], Array]] = {
    "raw": lambda w: w,
    "log": lambda w: np.log(w + 1e-3),
    "sqrt": np.sqrt,
}


def ridge(split: Split, features: str = "raw", log: bool = False, components: int | None = None) -> Predictor:
    """scikit-learn's RidgeCV, its penalty by leave-one-out per target.

    Parameters
    ----------
    split : Split
    features : str
        Of `FEATURES`.
    log : bool
        Fit log y.
    components : int, optional
        Fit that many principal components of the centred targets instead of the targets.
    """
    Y = np.log(split.Y) if log else split.Y
    level, basis = Y.mean(axis=0), np.eye(Y.shape[1])
    if components is not None:
        basis = np.linalg.svd(Y - level, full_matrices=False)[2][:components]
    transform = FEATURES[features]
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGES, alpha_per_target=True))
    model.fit(transform(split.X), (Y - level) @ basis.T)
    back = np.exp if log else lambda z: z
    return Function(lambda X: back(np.reshape(model.predict(transform(X)), (len(X), -1)) @ basis + level))


def log_linear_law(split: Split) -> Predictor:
    """Olmix's law of mixtures, y = exp(c) + exp(w . t), per target by a Huber loss of width .02, from three starts.

    Ye et al. 2024 (Data Mixing Laws) and allenai/olmix, olmix/fit/law.py, there from 300 starts.
    """
    X, width, rng = split.X, 0.02, np.random.default_rng(42)

    def law(p: Array, Z: Array) -> tuple[Array, Array]:
        return np.exp(p[0]), np.exp(np.minimum(Z @ p[1:], 50.0))

    def fit(y: Array) -> Array:
        def loss(p: Array) -> tuple[float, Array]:
            floor, rest = law(p, X)
            d = floor + rest - y
            slope = np.clip(d, -width, width)
            return float((slope * (d - 0.5 * slope)).sum()), np.r_[floor * slope.sum(), X.T @ (rest * slope)]

        starts = [np.r_[c, 0.1 * rng.random(X.shape[1])] for c in (-2.0, -0.25, 1.5)]
        found = [minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400}) for start in starts]
        return min(found, key=lambda result: result.fun).x

    P = [fit(y) for y in split.Y.T]
    return Function(lambda Z: np.column_stack([sum(law(p, Z)) for p in P]))


# ---------------------------------------------------------------- LightGBM, where it is installed

TREES: dict[str, Any] = {
    "objective": "regression",
    "verbosity": -1,
    "num_threads": 1,
    "seed": 42,
    "deterministic": True,
}
GRID = [{"min_data_in_leaf": n, "num_leaves": l} for n in (2, 5, 10) for l in (4, 31)]


def lightgbm_recipe(split: Split) -> Predictor:
    """RegMix's own: LightGBM at its defaults, rate .01, 1,000 trees, stopped after 3 without gain on the test rows.

    sail-sg/regmix, regression_fitting/regression.ipynb.
    """
    import lightgbm as lgb

    options = {**TREES, "learning_rate": 0.01, "metric": ["l1", "l2"]}
    models = []
    for y, truth in zip(split.Y.T, split.truth.T, strict=True):
        train = lgb.Dataset(split.X, y)
        judge = [lgb.Dataset(split.new, truth, reference=train)]
        stop = [lgb.early_stopping(3, verbose=False)]
        models.append(lgb.train(options, train, 1000, valid_sets=judge, callbacks=stop))
    return _columns(models)


def lightgbm_tuned(split: Split, rounds: int = 300, grid: Sequence[Mapping[str, int]] = GRID) -> Predictor:
    """LightGBM with leaves, their smallest size and the number of trees chosen per target by five folds."""
    folds = list(KFold(5, shuffle=True, random_state=0).split(split.X))
    return _columns([_tuned(split.X, y, folds, rounds, grid) for y in split.Y.T])


def _tuned(X: Array, y: Array, folds: Sequence, rounds: int, grid: Sequence[Mapping[str, int]]) -> Predictor:
    import lightgbm as lgb

    best = np.inf, 0, {}
    for choice in grid:
        options = {**TREES, "learning_rate": 0.1, "min_data_in_bin": 1, **choice}
        data = lambda rows, options=options, **more: lgb.Dataset(X[rows], y[rows], params=options, **more)
        errors = np.zeros(rounds)
        for seen, out in folds:
            trace, train = {}, data(seen)
            note = lgb.record_evaluation(trace)
            judge = [data(out, reference=train)]
            lgb.train({**options, "metric": "l2"}, train, rounds, valid_sets=judge, callbacks=[note])
            errors += len(out) * np.array(trace["valid_0"]["l2"])
        if errors.min() < best[0]:
            best = errors.min(), int(errors.argmin()) + 1, options
    _, trees, options = best
    return lgb.train(options, lgb.Dataset(X, y, params=options), trees)


def _columns(models: Sequence[Predictor]) -> Predictor:
    return Function(lambda X: np.column_stack([model.predict(X) for model in models]))


@cache
def trees() -> bool:
    """Whether LightGBM is there; its wheel also wants the system's libgomp."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def installed(**methods: Method) -> dict[str, Method]:
    """Methods that need LightGBM, underscores read as spaces; none where it is missing."""
    return {name.replace("_", " "): method for name, method in methods.items()} if trees() else {}


def note() -> str:
    """A line about rivals that are missing."""
    return "" if trees() else "\nLightGBM is not installed (`pip install 'interplay[rivals]'`): left out.\n"
