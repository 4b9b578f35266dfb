"""Which sources should a training script be given? Its runs are made by two processes, and may be killed at any time.

python two_processes.py              # from the recording beside it: seconds
python two_processes.py --live       # runs train.py 42 times, two at a time, and records; goes on where it stopped
python two_processes.py --picture    # writes picture.png too
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip

HERE = Path(__file__).parent
TASKS = ["plain", "shifted_right", "shifted_down", "noisy", "faint", "mirrored", "transposed", "inverted"]
JUDGES = [100, 101, 102, 103, 104]  # seeds that no run was trained under: they only judge
SCRIPT = ip.evaluators.CommandRetrain(
    ["{python}", "train.py", "--mask", "{mask_file}", "--out", "{result}"],
    tasks=TASKS,
    targets=["loss"],
    coupled=True,  # a seed fixes the initial weights and the batches, whatever sources are on
    absent_tasks="fixed_steps",
    cwd=HERE,
)


def trained(masks, seeds, name):
    """One run of the script per mask and seed: from the recording, or for real."""
    if "--live" in sys.argv:
        runs = ip.evaluate(SCRIPT, masks, seeds=seeds, workers=2, store=HERE / "live.db")
        runs.write(HERE / (name := f"live-{name}"))  # the recording stays
    return ip.Evaluations.read(HERE / name)


runs = trained(ip.masks.bernoulli(8, 16, np.random.default_rng(0), p=0.5), [0], "runs.parquet")
first = ip.select(runs)
print(f"From 16 runs:  {', '.join(first.names)}\n  {first.verdict}: {first.why}")
verified = trained(np.vstack([np.ones(8), first.shortlist(5)]), [0], "verified.parquet")
chosen = ip.select(runs, verified=verified)
print(f"From 6 more:   {', '.join(chosen.names)}\n  {chosen.verdict}: {chosen.why}")

plans = {"the choice": chosen.weights, "all sources": np.ones(8), "the plain images only": np.eye(8)[0]}
plans["the best of the 16 runs"] = runs.masks[runs.values[:, 0].argmin()]
judged = trained(np.unique(list(plans.values()), axis=0), JUDGES, "judged.parquet")
print(f"\nTest loss under {len(JUDGES)} other seeds:    measured   gain of the choice")
for name, plan in plans.items():
    own, best = (judged.filter((judged.masks == m).all(axis=1)).values for m in (plan, chosen.weights))
    if not len(best):
        sys.exit(f"{', '.join(chosen.names)} was never trained; --live trains it.")
    gain = own[:, 0] - best[:, 0]
    told = f"{gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f} nats" if gain.any() else ""
    print(f"  {name:34s} {own.mean():.3f}   {told}".rstrip())

if "--picture" in sys.argv:
    ip.plots.save(ip.plots.selection(chosen), HERE / "picture.png", dpi=110)
