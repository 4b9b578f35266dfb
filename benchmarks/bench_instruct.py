"""A language model: leave-one-out of SmolLM2's fine-tuning on 12 text sources, estimated and retrained.

Judged against the mean effects of the other three seeds (what is judged has never seen them), in three scores: rank
correlation of all 168 effects, correlation between sources only (without a source's effect on its own loss), and rank
correlation per target, mean over the 14. Costs are processor seconds of one thread over those of one training with its
measurement.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import interplay as ip
from interplay import Evaluations
from interplay.gradients.diagnostics import agreement
from interplay.metrics import leave_one_out_effects, pearson, spearman

from .draws import Run
from .machine import table
from .record_instruct import SEEDS, WAYS

HERE = Path(__file__).resolve().parent / "recordings"
SCORES = ("all effects", "between sources", "per target")
FEW, DRAWS = 8, 3


def scores(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The three scores of effects (K, T)."""
    K, T = truth.shape
    own = np.eye(K, T, dtype=bool)
    per_target = np.mean([spearman(found[:, t], truth[:, t]) for t in range(T)])
    return np.array([spearman(found.ravel(), truth.ravel()), pearson(found[~own], truth[~own]), per_target])


def shown(rows: list[np.ndarray]) -> list[str]:
    """Mean ± standard error of each score over seeds."""
    values = np.array(rows)
    error = values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.full(3, np.nan)
    return [f"{m:.2f} ± {e:.2f}" if np.isfinite(e) else f"{m:.2f}" for m, e in zip(values.mean(0), error, strict=True)]


def joined(cheap: Evaluations, few: Evaluations) -> np.ndarray:
    """Leave-one-out effects of estimates and a few retrainings together."""
    return ip.attribute(cheap + few, at="retrained").effects


def report(data: Path, run: Run) -> str | None:
    if not (HERE / "instruct.parquet").exists() or not (HERE / "instruct-estimates.parquet").exists():
        return None
    runs, estimates = (Evaluations.read(HERE / f"instruct{end}.parquet") for end in ("", "-estimates"))
    costs = json.loads((HERE / "instruct-costs.json").read_text())
    one = costs["training and measurement"]
    loo, near = runs.filter(runs.origin == "loo"), runs.filter(runs.origin == "near")
    truth = leave_one_out_effects(loo).per_seed
    others = [np.delete(truth, seed, 0).mean(0) for seed in range(SEEDS)]
    rows = [["one round of leave-one-out", "13", *shown([scores(truth[s], others[s]) for s in range(SEEDS)])]]
    cheap = {way: estimates.filter(estimates.origin == way) for way in WAYS if (estimates.origin == way).any()}
    mean: dict[str, np.ndarray] = {}
    for way, own in cheap.items():
        seeds = sorted(set(own.seed.tolist()))
        found = leave_one_out_effects(own).per_seed
        if way.endswith("new seeds"):
            spent = np.sum(list(costs[way].values())) / one
            both = [scores(np.mean(found, axis=0), other) for other in others]
            rows.append([f"in run, 2, mean of {len(seeds)} seeds", f"{spent:.1f}", *shown(both)])
            continue
        mean[way] = np.mean(found, axis=0)
        spent = np.mean(list(costs[way].values())) / one
        rows.append([way, f"{spent:.1f}", *shown([scores(e, others[s]) for e, s in zip(found, seeds, strict=True)])])
    draws = 1 if run.quick else DRAWS
    fused = []
    for seed in range(SEEDS):
        drawn, rng = [], np.random.default_rng([8, seed])
        own = near.where(seed=seed)
        for _ in range(draws):
            pick = np.zeros(own.m, bool)
            pick[rng.permutation(own.m)[:FEW]] = True
            drawn.append(scores(joined(cheap["in run, 2"].where(seed=seed), own.filter(pick)), others[seed]))
        fused.append(np.mean(drawn, axis=0))
    spent = np.mean(list(costs["in run, 2"].values())) / one + FEW
    rows.append([f"in run, 2, and {FEW} retrainings", f"{spent:.1f}", *shown(fused)])
    pooled = truth.mean(0)
    pairs = [scores(truth[i], truth[j]) for i in range(SEEDS) for j in range(i)]
    r = np.mean(pairs, axis=0)
    ceiling = np.sqrt(SEEDS * r / (1 + (SEEDS - 1) * r))
    whole = [["ceiling of four seeds", *(f"{c:.2f}" for c in ceiling)]]
    whole += [[f"{way}, mean of its seeds", *(f"{v:.2f}" for v in scores(e, pooled))] for way, e in mean.items()]
    about = (
        "Leave-one-out effects of SmolLM2-135M (LoRA of rank 8 in the upper four layers, 60 coupled steps of 16 by "
        "AdamW, 12 sources, 14 losses) against the mean of the three other seeds, mean over seeds ± standard error. "
        "`in run, R`: one training followed with R outcomes of each example that react (113 masks in the same run; the "
        "mean of three seeds is of seeds in no truth, leave-one-out alone). `replay`: the schedule in the model linear "
        "around the end of the training, `optimum`: its optimum. Cost in trainings."
    )
    near_about = (
        "On the 15 near-full masks of each seed, mean over targets and seeds; the verdict of 8 of them, and how often "
        "it is that of the other 7:"
    )
    head = ["way", "relative error", "constant's", "error / spread", "centred", "ranks", "verdicts", "right"]
    ways = [verdicts(way, own, near) for way, own in cheap.items() if not way.endswith("new seeds")]
    return (
        f"# A language model\n\n{about}\n\n"
        + table(["way", "cost", *SCORES], rows)
        + "\nAgainst the mean of all four seeds, in which the seeds of the estimates take part:\n\n"
        + table(["way", *SCORES], whole)
        + f"\n{near_about}\n\n"
        + table(head, ways)
    )


def verdicts(way: str, estimates: Evaluations, near: Evaluations) -> list[str]:
    """Agreement with near-full masks, and whether the verdict of some holds for the others."""
    names = ("relative_error", "constant_relative_error", "error_over_spread", "centred_error_over_spread", "spearman")
    figures, said, right = [], [], []
    for seed in sorted(set(estimates.seed.tolist())):
        own, real = estimates.where(seed=seed), near.where(seed=seed)
        place = [int(np.flatnonzero((own.masks == mask).all(axis=1))[0]) for mask in real.masks]
        guess = own.values[place]
        figures.append([agreement(guess, real.values, real.targets)[name] for name in names])
        rng = np.random.default_rng([9, seed])
        for _ in range(10):
            order = rng.permutation(real.m)
            few, rest = (agreement(guess[i], real.values[i], real.targets)["verdict"] for i in (order[:8], order[8:]))
            said.append(few)
            right.append(few == rest)
    common = max(set(said), key=said.count)
    return [way, *(f"{v:.2f}" for v in np.mean(figures, axis=0)), common, f"{np.mean(right):.0%}"]


if __name__ == "__main__":
    print(report(Path(), Run(False, None)))
