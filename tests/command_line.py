"""What the tests of the command line share: tables of runs, and how a refusal must look."""

import numpy as np
import pandas as pd

K, M, TASKS = 5, 24, list("abcde")
W = np.array([0.5, 0.3, 0.0, -0.2, 0.1])


def table(seed=0, kind="mask"):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(K), M) if kind == "mixture" else (rng.random((M, K)) < 0.8).astype(int)
    frame = pd.DataFrame(X, columns=TASKS)
    frame.insert(0, "run", [f"r{i}" for i in range(M)])
    frame["loss"] = 2 - X @ W + 0.01 * rng.normal(size=M)
    return frame


def loo(seeds=1):
    masks = np.vstack([np.ones((1, K)), 1 - np.eye(K)]).astype(int)
    parts = [pd.DataFrame(masks, columns=TASKS).assign(seed=s, loss=2 - masks @ W + 0.002 * s) for s in range(seeds)]
    return pd.concat(parts, ignore_index=True)


def put(frame, name="runs.csv", **cells):
    """Write a table, with some cells changed: loss={3: "oops"}."""
    frame = frame.astype(object)
    for column, changed in cells.items():
        for row, value in changed.items():
            frame.loc[row, column] = value
    frame.to_csv(name, index=False)


def refused(outcome, *words):
    """One message with what, where and remedy; exit code 2; nothing else."""
    code, out, err = outcome
    assert (code, out) == (2, ""), err
    assert err.startswith("interplay: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err, err


def stored(place, evaluator=None, design=None, **how):
    """Fill a store, and return what is in it."""
    from interplay import Evaluations, evaluate
    from tests.evaluators import DESIGN, Additive

    evaluate(evaluator or Additive(), DESIGN if design is None else design, store=place, progress=False, **how)
    return None if "tag" in how else Evaluations.read(place)
