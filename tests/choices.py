"""Choices made up, of every kind, for the tests of pages, figures and files: nothing is fitted."""

import numpy as np

from interplay.selection import result
from interplay.selection.result import Candidate, Selection, named

NAMES = ("web", "code", "math", "wiki", "books", "mail", "news", "spam")


def choice(kind="mask", tasks=NAMES, targets=("loss",), alternatives=6, front=0, verified=False, **more):
    """A choice with everything it can hold."""
    rng = np.random.default_rng(len(tasks) + 10 * len(targets))
    K, J = len(tasks), len(targets)

    def drawn():
        return rng.dirichlet(np.ones(K)) if kind == "mixture" else (rng.random(K) < 0.5).astype(float)

    def candidate(role, name, weights, gain, runs=0):
        deviation = 0.02 * (1 + rng.random(J))
        measured = 1.0 + gain + 0.01 * rng.normal(size=J) if runs else np.full(J, np.nan)
        return Candidate(
            role,
            name or named(tuple(tasks), weights, kind),
            weights,
            1.0 + gain * np.ones(J),
            deviation,
            measured,
            np.full(J, 0.004 if runs > 1 else np.nan),
            runs,
            float(rng.normal()),
            1.4 if role == result.FREE else 0.5,
            np.asarray(gain) * np.ones(J),
            deviation * (role != result.CHOICE),
        )

    best, base = drawn(), np.ones(K) / (K if kind == "mixture" else 1)
    found = [candidate(result.CHOICE, "", best, 0.0, 2 * verified)]
    found += [candidate(result.ALTERNATIVE, "", drawn(), 0.012 * (i + 1), int(verified)) for i in range(alternatives)]
    found.append(candidate(result.RUN, "the best run", drawn(), 0.04, 3))
    found.append(candidate(result.BASELINE, "uniform" if kind == "mixture" else "all tasks", base, 0.3))
    found.append(candidate(result.FREE, "the optimum without the rules", drawn(), -0.03))
    if kind == "mixture":
        found.append(candidate(result.DRAWS, "the mean of the best 100 random mixtures", drawn(), 0.05))
    given = {
        "tasks": tuple(tasks),
        "kind": kind,
        "targets": tuple(targets),
        "higher_is_better": (False,) * J,
        "objective": f"lower {targets[0]}" if J == 1 else f"make the worst of {J} targets better",
        "rules": ("size 3 to 5", f"require {tasks[0]}"),
        "candidates": tuple(found),
        "verdict": "solid",
        "why": "its gain over the baseline exceeds its uncertainty (95 %)",
        "exact": kind == "mask",
        "search": "all 256 choices were gone through",
        "risk": 1.0,
        "bias": -0.12,
        "stretch": 1.3,
        "rank": 0.91,
        "runs": 64,
        "surrogate": "The stack of kernels: its held-out error is lower (R^2 of tuned ridge 0.90).",
        "noise": np.full(J, 0.01),
        "verified": 5 * verified,
        "warnings": (f"the runs never switch {tasks[-1]}.",),
        "made": {
            "interplay": "0.1.0",
            "options": {"target": targets[0], "size": [3, 5]},
            "runs": {"rows": 64, "fingerprint": "0123456789abcdef"},
        },
        "front": tuple(candidate("front", "", drawn(), 0.1 * rng.normal(size=J)) for _ in range(front)),
    }
    return Selection(**{**given, **more})


def nothing():
    """One that the runs do not support, of which hardly anything is known."""
    nan = float("nan")
    few = choice(alternatives=0, rules=(), warnings=(), made={}, noise=np.full(1, nan), rank=nan, bias=0.0, stretch=1.0)
    return Selection(**{**vars(few), "verdict": "not supported", "exact": False, "candidates": few.candidates[:3]})


CHOICES = {
    "mask": choice,
    "mixture": lambda: choice("mixture"),
    "worst": lambda: choice("mixture", targets=("bpb/a", "bpb/b", "acc/c"), front=7, verified=True),
    "nothing": nothing,
}
