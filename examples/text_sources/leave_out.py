"""Which of twelve text sources to leave out when a language model is fine-tuned to solve word problems.

python leave_out.py                         # from the recording beside it: seconds, no torch
python leave_out.py --live --data FOLDER    # fine-tunes SmolLM2-135M for real (`make lm`), about 40 times a minute
python leave_out.py --picture               # writes picture.png too
FOLDER holds instruct/NAME.jsonl for each source, lines of {"prompt": ..., "answer": ...}.
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip

HERE, JUDGES = Path(__file__).parent, [1, 2, 3]  # seeds that only judge; all else is of seed 0
TARGET = "loss/svamp"  # nats per token of the answers; word problems are none of the sources


def trained(masks, seeds, name, follow=False):
    """Fine-tunings, or one fine-tuning that is followed for all masks: from the recording, or for real."""
    if "--live" in sys.argv:
        folder = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True)).get("--data", ".") or "(none)"
        if not Path(folder, "instruct").is_dir():
            sys.exit(f"--data {folder}: no instruct/ there. --data FOLDER says where the texts lie (../texts.md).")
        sys.stderr.write(f"{name}: SmolLM2 loads and trains about {4 if follow else len(masks) * len(seeds)} minutes\n")
        from interplay.problems.instruct import finetuning

        way = finetuning(Path(folder, "instruct"), cache=HERE / "live.db-states")
        way = ip.unrolled.InRun(way, react=2) if follow else way
        runs = ip.evaluate(way, masks, seeds=seeds, store=HERE / "live.db").select([TARGET])
        runs.write(HERE / (name := f"live-{name}"))  # the recording stays
    return ip.Evaluations.read(HERE / name)


# One fine-tuning that is followed for 112 subsets, the time of 3.7 of them, and what is chosen from it.
loo, near = ip.masks.leave_one_out(12), np.loadtxt(HERE / "subsets.csv", delimiter=",", skiprows=1)
random = ip.masks.bernoulli(12, 100, p=0.9, rng=np.random.default_rng(15))
estimates = trained(np.unique(np.vstack([loo, near, random]), axis=0), [0], "estimates.parquet", follow=True)
chosen = ip.select(estimates, TARGET)
print(f"Leave out {', '.join(np.array(chosen.tasks)[chosen.weights == 0])}")
print(f"Verdict: {chosen.verdict}: {chosen.why}.\nNote: {chosen.warnings[0]}")

# Beside it: 15 subsets fine-tuned as well; and by hand, each source left out once, and dropped if the loss was lower.
both = ip.select(estimates + trained(near, [0], "retrained.parquet"), TARGET, at="retrained", surrogate="auto")
effects = ip.metrics.leave_one_out_effects(trained(loo, [0], "leave_one_out.parquet")).per_seed[0, :, 0]
plans = {"the choice (3.7 fine-tunings)": chosen.weights, "and 15 of them retrained (18.7)": both.weights}
plans |= {"leave-one-out by hand (13)": effects >= 0, "all sources (0)": np.ones(12)}
judged = trained(np.unique(list(plans.values()), axis=0), JUDGES, "judged.parquet")
print(f"\nNats per token under {len(JUDGES)} other seeds:  measured   gain of the choice")
for name, plan in plans.items():
    own, ours = (judged.filter((judged.masks == m).all(axis=1)).values for m in (plan, chosen.weights))
    if not len(ours) or not len(own):
        sys.exit(f"{name}: never fine-tuned; --live does it.")
    gain = own[:, 0] - ours[:, 0]
    told = f"{gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f}" if gain.any() else ""
    print(f"  {name:35s} {own.mean():.3f}   {told}".rstrip())
if "--picture" in sys.argv:
    ip.plots.save(ip.plots.selection(chosen), HERE / "picture.png", dpi=110)
