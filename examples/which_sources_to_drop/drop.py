"""Which sources should be dropped? From 48 runs on subsets of 20 sources of handwritten digits to a trained choice.

python drop.py              # from the recording beside it: seconds, no torch
python drop.py --live       # trains for real (63 small networks) and records; goes on where it stopped
python drop.py --picture    # writes picture.png too
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip

HERE = Path(__file__).parent
JUDGES = [100, 101, 102, 103, 104]  # seeds that no run was trained under: they only judge


def trained(masks, seeds, name):
    """One training per mask and seed: from the recording, or for real."""
    if "--live" in sys.argv:
        from interplay.problems.digits import Digits

        runs = ip.evaluate(Digits().retrain(), masks, seeds=seeds, store=HERE / "live.db")
        name = f"live-{name}"  # the recording stays
        runs.select(["loss"]).write(HERE / name)
    return ip.Evaluations.read(HERE / name)


# Runs that keep each source with probability 3/4, all under seed 0, and the choice among all 2^20 subsets.
runs = trained(ip.masks.bernoulli(20, 48, np.random.default_rng(0), p=0.75), [0], "runs.parquet")
chosen = ip.select(runs, "loss")  # print(chosen) shows all that is known of it

left_out = [name for name in chosen.tasks if name not in chosen.names]
print(f"Leave out {len(left_out)} of {len(chosen.tasks)}: {', '.join(left_out)}")
print(f"Verdict: {chosen.verdict}: {chosen.why}.")

# What is proposed, what would be trained without it, and the best run that there is: trained under the judges.
everything, best = chosen.of("baseline")[0], chosen.of("best run")[0]
plans = {"the choice": chosen.choice, "all sources": everything, "the best of the 48 runs": best}
judged = trained(np.array([plan.weights for plan in plans.values()]), JUDGES, "judged.parquet")


def measured(plan):
    """Losses (5,) of a plan under the judges."""
    own = judged.filter((judged.masks == plan.weights).all(axis=1))
    return own.values[:, 0] if len(own) else sys.exit(f"{plan.name} was never trained; --live trains it.")


print(f"\nTest loss under {len(JUDGES)} other seeds:  predicted  measured   gain of the choice")
for name, plan in plans.items():
    gain = measured(plan) - measured(chosen.choice)
    told = f"{gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f} nats" if plan is not chosen.choice else ""
    print(f"  {name:32s} {plan.predicted[0]:.3f}      {measured(plan).mean():.3f}   {told}".rstrip())

if "--picture" in sys.argv:
    ip.plots.save(ip.plots.selection(chosen), HERE / "picture.png", dpi=110)
