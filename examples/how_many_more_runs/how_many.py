"""How many more runs? What 24 runs say of 20 sources, which 8 to make next, what those bring, and when to stop.

python how_many.py              # from the recording beside it: seconds, no torch
python how_many.py --start 3    # from other 24 runs; --picture writes picture.png too
python how_many.py --live       # trains what is asked for (40 small networks); goes on where it stopped
"""

import sys
from pathlib import Path

import numpy as np

import interplay as ip

HERE = Path(__file__).parent
start = int(sys.argv[sys.argv.index("--start") + 1]) if "--start" in sys.argv else 0
pool = ip.Evaluations.read(HERE / "pool.parquet")  # 240 subsets that may be run, under seed 100, as they were recorded
truth = ip.Evaluations.read(HERE / "truth.parquet")  # each source left out, under seeds 0 to 7: it only judges
true = dict(zip(pool.tasks, ip.metrics.leave_one_out_effects(truth).per_seed[:, :, 0].mean(axis=0), strict=True))


def trained(masks):
    """One training per mask: from the recording, or for real."""
    if "--live" in sys.argv:
        from interplay.problems.digits import Digits

        return ip.evaluate(Digits().retrain(), masks, seeds=[100], store=HERE / "live.db").select(["loss"])
    return pool.filter([any((mask == m).all() for m in masks) for mask in pool.masks])


def error(runs):
    """Attribution, and how far its effects are from the truth, in per cent of it."""
    answer = ip.attribute(runs, reading="leave-one-out")
    wanted = np.array([sum(true[k] for k in name.split(" + ")) for name in answer.tasks])  # two that no run tells apart
    return answer, 100 * np.sqrt(np.mean((answer.effects[:, 0] - wanted) ** 2) / np.mean(wanted**2))


def drawn(n, seed=0):
    """Rows of n random runs of the pool, of which the first 24 are the same for all seeds."""
    order = np.random.default_rng(start).permutation(len(pool))
    return np.append(order[:24], np.random.default_rng(seed).permutation(order[24:])[: n - 24])


print("runs  verdict        measured error   the next 8 should narrow the intervals by")
masks = pool.masks[drawn(24)]
for _ in range(4):
    answer, off = error(trained(masks))
    how = {"rng": np.random.default_rng(0), "candidates": pool.masks, "repeats": False}
    found = ip.propose(trained(masks), "leave-one-out", 8, **how)  # print(found) shows which runs, and why
    print(f"{len(masks):4d}  {answer.trust.verdict:13s}  {off:10.0f} %      {1 - found.after / found.before:20.0%}")
    if found.after > 0.8 * found.before:
        print(f"      less than a fifth: stop with {len(masks)} runs")
        break
    masks = np.vstack([masks, found.masks])
if "--picture" in sys.argv:
    ip.plots.save(ip.plots.learning_curve(error(trained(masks[:32]))[0]), HERE / "picture.png", dpi=110)
print("\nThe 24 and random ones instead, mean of three draws:")
for n in (32, 40, 48, 56):
    print(f"{n:4d}  {'':13s}  {np.mean([error(pool[drawn(n, seed)])[1] for seed in range(3)]):10.0f} %")
