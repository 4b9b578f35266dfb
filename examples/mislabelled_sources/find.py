"""Which sources have wrong labels? From one network, trained on all of them three times, without any retraining.

python find.py              # from the recording beside it: seconds, no torch
python find.py --live       # trains and estimates for real (34 small networks), and records
python find.py --picture    # writes picture.png too
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip
from interplay.problems.digits import Digits

HERE, LIVE = Path(__file__).parent, "--live" in sys.argv
STARTS, JUDGES = [200, 201, 202], [100, 101, 102, 103, 104]
problem = Digits(1)  # 20 sources of handwritten digits
everything = np.ones((1, problem.K))


def trained(masks, seeds, name):
    """One training per mask and seed: from the recording, or for real."""
    if LIVE:
        runs = ip.evaluate(problem.retrain(), np.unique(masks, axis=0), seeds=seeds, store=HERE / "live.db")
        name = f"live-{name}"  # the recording stays
        runs.select(["loss"]).write(HERE / name)
    return ip.Evaluations.read(HERE / name)


# 200 subsets, estimated around the networks that were trained on everything.
if LIVE:
    loaders, targets = problem.loaders(), {"loss": problem.test_targets()["loss"]}
    around = [
        ip.evaluators.Linearized(model, loaders, targets, weight_decay=problem.weight_decay)
        for model in problem.trained_models(STARTS)
    ]
    subsets = ip.masks.bernoulli(problem.K, 200, np.random.default_rng(0), p=0.9)
    ip.evaluate(ip.evaluators.Linearized.mean(around), subsets).write(HERE / "live-estimates.parquet")
answer = ip.attribute(ip.Evaluations.read(HERE / f"{'live-' * LIVE}estimates.parquet"), reading="leave-one-out")
found = answer.upper[:, 0] < 0  # hurts, and its interval excludes 0

# Without interplay: every source left out once, 21 trainings, and those dropped without which the loss was lower.
loo = trained(ip.masks.leave_one_out(problem.K), [0], "leave_one_out.parquet")
by_hand = ip.metrics.leave_one_out_effects(loo).per_seed[0, :, 0] < 0

wrong = np.array([flags.mean() > 0.5 for flags in problem.wrong_labels])  # the truth, which nobody else looks at
judged = trained(np.vstack([everything, ~found, ~by_hand]), JUDGES, "judged.parquet")
print(f"Sources found: {', '.join(np.array(problem.tasks)[found])}. Verdict: {answer.trust.verdict}")
print("                          trainings  found  right  of the wrong  loss without them   gain")
for name, cost, flags in (("interplay", 3, found), ("leave-one-out by hand", 21, by_hand)):
    kept = judged.filter((judged.masks == ~flags).all(axis=1)).values[:, 0]
    gain = judged.filter(judged.masks.all(axis=1)).values[:, 0] - kept
    told = f"{kept.mean():.3f}   {gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f} nats"
    print(f"{name:24s} {cost:8d} {flags.sum():8d} {(flags & wrong).sum():6d} {wrong.sum():10d}        {told}")

if "--picture" in sys.argv:
    ip.plots.save(ip.plots.effects(answer), HERE / "picture.png", dpi=110)
