"""Which mixture of ten texts, some of them tiny? From 60 runs of a small transformer to a mixture that is trained.

python mixture.py                          # from the recording beside it: seconds, no torch
python mixture.py --live --data FOLDER     # trains for real (80 runs of 5 to 10 s), in a checkout
python mixture.py --picture                # writes picture.png too
FOLDER holds instruct/NAME.jsonl for each source, lines of {"prompt": ..., "answer": ...}.
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip

HERE = Path(__file__).parent
JUDGES = [100, 101, 102, 103, 104]  # seeds that no run was trained under: they only judge
BUDGET = 409_600  # bytes that one training reads


def trained(mixtures, seeds, name):
    """One training per mixture and seed: from the recording, or for real."""
    if "--live" in sys.argv:
        folder = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True)).get("--data", ".") or "(none)"
        if not Path(folder, "instruct").is_dir():
            sys.exit(f"--data {folder}: no instruct/ there. --data FOLDER says where the texts lie (../texts.md).")
        if not (HERE.parents[1] / "benchmarks" / "text_mixtures.py").is_file():
            sys.exit(f"--live: {HERE.parents[1]} has no benchmarks/text_mixtures.py; run it in a checkout (git clone).")
        sys.path.append(str(HERE.parents[1]))
        from benchmarks.text_mixtures import evaluator

        runs = ip.evaluate(evaluator(Path(folder)), mixtures, seeds=seeds, store=HERE / "live.db", tag="pool")
        name = f"live-{name}"  # the recording stays
        runs.select(["loss"]).write(HERE / name)
    return ip.Evaluations.read(HERE / name)


drawn = np.loadtxt(HERE / "mixtures.csv", delimiter=",", skiprows=1)  # uniform, proportional, 58 random ones
runs = trained(drawn, [0], "runs.parquet")
tokens = ip.Tokens.read(HERE / "tokens.csv", runs.tasks)
chosen = ip.select(runs, "loss", tokens=tokens, max_epochs=4, budget=BUDGET)  # no text is read more than four times
mixture = chosen.weights.round(6)
print(f"Train on {chosen.choice.name}")  # chosen.mixture() is the whole table
print(f"Verdict: {chosen.verdict}: {chosen.why}. Predicted: {chosen.choice.predicted[0]:.3f}")

best = chosen.of("best run")[0].weights
plans = {"the choice": mixture, "uniform": drawn[0], "proportional": drawn[1], "the best of the 60 runs": best}
judged = trained(np.array(list(plans.values())), JUDGES, "judged.parquet")
print(f"\nNats per byte under {len(JUDGES)} other seeds:  measured   gain of the choice")
for name, plan in plans.items():
    own, ours = (judged.filter(np.abs(judged.masks - w).max(axis=1) < 0.005).values for w in (plan, mixture))
    if not len(ours):
        sys.exit("this mixture was never trained (other versions or machines may choose another); --live trains it.")
    gain = own[:, 0] - ours[:, 0]
    told = f"{gain.mean():+.3f} ± {gain.std(ddof=1) / len(gain) ** 0.5:.3f}" if gain.any() else ""
    print(f"  {name:33s} {own.mean():.3f}   {told}".rstrip())

if "--picture" in sys.argv:
    ip.plots.save(ip.plots.selection(chosen), HERE / "picture.png", dpi=110)
