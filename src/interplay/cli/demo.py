"""The demonstration: the whole way once, on handwritten digits.

With torch: train W0 on all sources, estimate 200 masks without retraining, attribute, retrain a few masks beside it.
Without torch: the recorded retrainings that ship with the package. Either way recorded leave-one-out retraining of
eight seeds, with its ceiling, stands beside the answer.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..attributing import attribute
from ..campaign import evaluate
from ..masks import bernoulli
from ..problems.digits import Digits, recording
from ..progress import waiting
from ..report.table import text
from .output import write_answer

if TYPE_CHECKING:
    from ..evaluations import Evaluations

W0_SEEDS = (200, 201, 202)  # disjoint from the seeds of the truth and of the recorded masks
MASKS, BESIDE, TARGET = 200, 8, "loss"


def run(live: bool = True, out: Path | None = None) -> None:
    """Print the demonstration, and write its answer to a file where one is named."""
    truth = recording("truth")
    torch = find_spec("torch") is not None
    print(
        "Digits: one small network is trained on 20 sources of handwritten digits: clean ones, ones that hold few\n"
        "classes, near-copies of others (.._copy), and ones with 80 % wrong labels (wrong_..).\n"
        "What does each do to the test loss?\n"
    )
    if live and torch:
        runs = _estimate(truth)
    else:
        why = "torch is not installed (pip install 'interplay[torch]')" if live else "as asked"
        print(f"Recorded: 80 retrained near-full masks that ship with the package ({why}).\n")
        near = recording("near_full").where(seed=100)
        runs = near.filter(np.arange(len(near)) < 80)
    start = time.perf_counter()
    with waiting("fitting and reading"):
        answer = attribute(runs.select([TARGET]), truth.select([TARGET]))
    spent = time.perf_counter() - start
    print(text(answer))
    if out is not None:
        write_answer(answer, out)
    print(f"\nFitted and read in {spent:.1f} s. The truth was trained beforehand: 192 trainings of the same recipe.")


def _estimate(truth: Evaluations) -> Evaluations:
    """Estimate masks around several W0, and say how far the estimate is off where masks are really retrained."""
    from ..evaluators import Ensemble, Linearized

    problem = Digits()
    rng = np.random.default_rng(0)
    every = bernoulli(problem.K, MASKS + BESIDE, p=0.9, rng=rng, exclude=truth.masks)
    masks, beside = every[:MASKS], every[MASKS:]
    start = time.perf_counter()
    with waiting(f"training the network on all sources, {len(W0_SEEDS)} seeds"):
        models = problem.trained_models(W0_SEEDS)
    trained = time.perf_counter()
    with waiting(f"retraining {BESIDE} masks, to judge the estimate"):
        few = evaluate(problem.retrain(), beside, seeds=list(W0_SEEDS)).mean_by_mask()
    retrained = time.perf_counter()
    with waiting(f"estimating {MASKS} masks without retraining"):
        loaders, targets = problem.loaders(), problem.test_targets()
        members = [Linearized(model, loaders, targets, weight_decay=problem.weight_decay) for model in models]
        estimator = Ensemble(members, retrained=few)
        runs = evaluate(estimator, masks)
    estimated = time.perf_counter()
    print(
        f"W0: the network trained on all sources, {len(W0_SEEDS)} seeds ({trained - start:.1f} s).\n"
        f"Estimated: {MASKS} masks without retraining ({estimated - retrained:.1f} s), the mean over the W0.\n"
        f"Retrained beside them: {BESIDE} other masks, {len(W0_SEEDS)} seeds ({retrained - trained:.1f} s): they judge"
        " the estimate, nothing is fitted to them.\n"
    )
    return runs
