"""A language model: leave-one-out of SmolLM2's fine-tuning on text sources, estimated and retrained.

Judged against the mean effects of the other seeds (what is judged has never seen them), in three scores: rank
correlation of all effects, correlation between sources only (without a source's effect on its own loss), and rank
correlation per target, mean over targets. Costs are processor seconds of one thread over those of one training with
its measurement. Wanted: `WANTED` in each score for a quarter of a round at most; with eight near-full retrainings
beside it what a round of one seed reaches.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np

import interplay as ip
from interplay import Evaluations
from interplay.gradients import diagnostics
from interplay.gradients.diagnostics import FEWEST, agreement
from interplay.metrics import leave_one_out_effects, pearson, spearman

from .draws import Run, wanted
from .machine import table
from .record_instruct import CASES, WAYS, Case

WANTED, QUARTER = 0.6, 0.25
OURS = "in run, 2"  # as it is unless told otherwise
SCORES = ("all effects", "between sources", "per target")
FEW, DRAWS = 8, 3
ROUND, FUSED = "one round of leave-one-out", f"{OURS}, and {FEW} retrainings"
CORRECTED = f"{FUSED}, linear correction"
LARGEST = f"{OURS}, the {FEW} largest retrained"


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


def corrected(cheap: Evaluations, few: Evaluations) -> np.ndarray:
    """The estimates' effects, and what retrainings show beyond them as a linear correction of the left-out sources.

    Corrections are normal, a share of the noise of a retraining that is likeliest over all targets.
    """
    place = [int(np.flatnonzero((cheap.masks == mask).all(axis=1))[0]) for mask in few.masks]
    left, Z, best = few.values - cheap.values[place], 1.0 - few.masks, (-np.inf, 0.0)
    m, T = left.shape
    for share in (0.0, *np.geomspace(0.01, 10.0, 25)):
        G = share * Z @ Z.T + np.eye(m)
        fit = np.einsum("it,it->t", left, np.linalg.solve(G, left)) / m
        best = max(best, (-0.5 * m * np.log(fit).sum() - 0.5 * T * np.linalg.slogdet(G)[1], share))
    share = best[1]
    correction = share * Z.T @ np.linalg.solve(share * Z @ Z.T + np.eye(m), left)
    return leave_one_out_effects(cheap).effects + correction


def report(data: Path, run: Run) -> str | None:
    parts = [part for case in CASES.values() if (part := section(case, run)) is not None]
    return "# A language model\n\n" + "\n".join(parts) if parts else None


def section(case: Case, run: Run) -> str | None:
    """The tables of one case; None where it is not recorded."""
    if not all(case.path(end).exists() for end in (".parquet", "-estimates.parquet", "-costs.json")):
        return None
    runs, estimates = (Evaluations.read(case.path(f"{end}.parquet")) for end in ("", "-estimates"))
    costs = json.loads(case.path("-costs.json").read_text())
    loo, near = runs.filter(runs.origin == "loo"), runs.filter(runs.origin == "near")
    cheap = {way: estimates.filter(estimates.origin == way) for way in WAYS if (estimates.origin == way).any()}
    truth = np.array(leave_one_out_effects(loo).per_seed)
    S = len(truth)
    others = [np.delete(truth, seed, 0).mean(0) for seed in range(S)]
    whole = float(case.K + 1)
    figures: dict[str, tuple[float, list[np.ndarray]]] = {
        ROUND: (whole, [scores(truth[s], others[s]) for s in range(S)])
    }
    mean: dict[str, np.ndarray] = {}
    for way, own in cheap.items():
        seeds = sorted(set(own.seed.tolist()))
        found, spent = leave_one_out_effects(own).per_seed, list(costs[way].values())
        one = costs["training and measurement"]
        if way.endswith("new seeds"):
            several, cost = np.mean(found, axis=0), float(np.sum(spent)) / one
            name = f"{OURS}, mean of {len(seeds)} seeds"
            figures[name] = cost, [scores(several, other) for other in others]
            both = [scores(largest_retrained(several, t), other) for t, other in zip(truth, others, strict=True)]
            figures[f"{name}, the {FEW} largest retrained"] = cost + FEW, both
            continue
        mean[way] = np.mean(found, axis=0)
        turns = costs.get("turns", {}).get(way)
        figures[way] = (
            float(np.mean(spent)) / one if turns is None else float(np.mean([took / train for train, took in turns])),
            [scores(e, others[s]) for e, s in zip(found, seeds, strict=True) if s < S],
        )
    for name, together in ((FUSED, joined), (CORRECTED, corrected)):
        if fused := with_few(cheap[OURS], near, others, 1 if run.quick else DRAWS, together):
            figures[name] = figures[OURS][0] + FEW, fused
    single = leave_one_out_effects(cheap[OURS]).per_seed
    replaced = [scores(largest_retrained(e, t), o) for e, t, o in zip(single, truth, others, strict=False)]
    figures[LARGEST] = figures[OURS][0] + FEW, replaced
    rows = [[way, f"{spent:.1f}", *shown(found)] for way, (spent, found) in figures.items()]
    K, T = truth[0].shape
    about = (
        f"Leave-one-out effects of SmolLM2-135M ({case.recipe}, {K} sources, {T} losses) against the mean of the other "
        f"{S - 1} seeds, mean over seeds ± standard error. `in run, R`: one training followed with R outcomes of each "
        f"example that react ({len(case.asked(0))} masks in the same run). `replay`: the schedule in the model linear "
        "around the end of the training, `optimum`: its optimum. `and 8 retrainings`: random near-full masks, fitted "
        "together with the estimates, or what they show beyond these as a linear correction. `the 8 largest "
        "retrained`: leave-one-out of the sources with the largest estimates, in place of these. Cost in trainings"
        f"{f', those of `{OURS}` timed in turn with them' * (OURS in costs.get('turns', {}))}."
    )
    text = f"## {K} sources\n\n{wanted(checks(figures, whole))}\n{about}\n\n{table(['way', 'cost', *SCORES], rows)}"
    pooled = truth.mean(0)
    pairs = [scores(truth[i], truth[j]) for i in range(S) for j in range(i)]
    r = np.mean(pairs, axis=0)
    ceiling = np.sqrt(S * r / (1 + (S - 1) * r))
    against = [[f"ceiling of {S} seeds", *(f"{c:.2f}" for c in ceiling)]]
    against += [["two seeds, mean over pairs", *(f"{c:.2f}" for c in r)]]
    against += [[f"{way}, mean of its seeds", *(f"{v:.2f}" for v in scores(e, pooled))] for way, e in mean.items()]
    text += "\nAgainst the mean of all seeds, in which the seeds of the estimates take part:\n\n" + table(
        ["way", *SCORES], against
    )
    if not near.m:
        return text
    head = [
        "way",
        "relative error",
        "constant's",
        "error / spread",
        "centred",
        "ranks",
        "verdicts",
        "right",
        "not excluded",
    ]
    ways = [verdicts(way, own, near) for way, own in cheap.items() if not way.endswith("new seeds")]
    about = (
        f"On the near-full masks of each seed ({near.m} in all), mean over targets and seeds; the verdict of half of "
        "them, how often it is that of the others, and how often it does not exclude theirs; where a seed has few, of "
        "all in one seed and in the others:"
    )
    return f"{text}\n{about}\n\n{table(head, ways)}"


def checks(figures: dict[str, tuple[float, list[np.ndarray]]], whole: float) -> list[tuple]:
    """What is wanted, and whether it is reached."""
    ours, spent = np.mean(figures[OURS][1], axis=0), figures[OURS][0]
    found = [(f"{OURS}: {name}", WANTED, f"{v:.2f}", v >= WANTED) for name, v in zip(SCORES, ours, strict=True)]
    found.append((f"{OURS}: trainings", f"at most {QUARTER * whole:.2f}", f"{spent:.1f}", spent <= QUARTER * whole))
    if FUSED in figures:
        bar, both = (np.mean(figures[way][1], axis=0) for way in (ROUND, FUSED))
        found += [
            (f"{FUSED}: {name}", f"a round of one seed, {b:.2f}", f"{v:.2f}", v >= b)
            for name, v, b in zip(SCORES, both, bar, strict=True)
        ]
    return found


def with_few(
    cheap: Evaluations, near: Evaluations, others: list[np.ndarray], draws: int, together: Callable
) -> list[np.ndarray]:
    """Scores of estimates and some near-full retrainings of the same seed together, of each seed that has enough."""
    fused = []
    for seed in range(len(others)):
        own, rng, drawn = near.filter(near.seed == seed), np.random.default_rng([8, seed]), []
        for _ in range(draws if own.m > FEW else int(own.m == FEW)):
            pick = np.zeros(own.m, bool)
            pick[rng.permutation(own.m)[:FEW]] = True
            drawn.append(scores(together(cheap.where(seed=seed), own.filter(pick)), others[seed]))
        if drawn:
            fused.append(np.mean(drawn, axis=0))
    return fused


def largest_retrained(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Estimated effects (K, T), those of the sources with the largest ones, in units of each target, as retrained."""
    size = ((estimate / estimate.std(axis=0)) ** 2).sum(axis=1)
    largest = np.argsort(-size)[:FEW]
    out = estimate.copy()
    out[largest] = truth[largest]
    return out


def verdicts(way: str, estimates: Evaluations, near: Evaluations) -> list[str]:
    """Agreement with near-full masks, and whether the verdict of some holds for the others."""
    figures, pairs, held = [], [], []
    for seed in sorted(set(estimates.seed.tolist())):
        own, real = estimates.where(seed=seed), near.filter(near.seed == seed)
        if not real.m:
            continue
        place = [int(np.flatnonzero((own.masks == mask).all(axis=1))[0]) for mask in real.masks]
        pairs.append((own.values[place], real.values))
        figures.append([agreement(*pairs[-1], real.targets)[name] for name in diagnostics.SCORES])
    if pairs and len(pairs[0][0]) < 2 * FEWEST:  # too few for halves: another seed confirms the verdict
        held = list(permutations([agreement(*pair, near.targets) for pair in pairs], 2))
    else:
        for seed, (guess, real) in enumerate(pairs):
            rng = np.random.default_rng([9, seed])
            for _ in range(10):
                order, half = rng.permutation(len(real)), (len(real) + 1) // 2
                parts = order[:half], order[half:]
                held.append(tuple(agreement(guess[i], real[i], near.targets) for i in parts))
    said = [few["verdict"] for few, _ in held]
    right = [few["verdict"] == rest["verdict"] for few, rest in held]
    open_ = [rest["verdict"] in few["possible"] for few, rest in held]
    common = max(set(said), key=said.count)
    return [
        way,
        *(f"{v:.2f}" for v in np.mean(figures, axis=0)),
        common,
        f"{np.mean(right):.0%}",
        f"{np.mean(open_):.0%}",
    ]


if __name__ == "__main__":
    print(report(Path(), Run(False, None)))
