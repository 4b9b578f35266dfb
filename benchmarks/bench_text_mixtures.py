"""A mixture found with 60 runs and trained with five seeds: ten text sources, some of them tiny, a byte transformer.

One draw: 60 of the 200 recorded runs (seed 0). Every method finds the mixture with the lowest predicted loss, of
which no source is read more than `MAX_EPOCHS` times; `select` by its own search, rivals among 20,000 random mixtures
of that region, of whose 100 best they take the mean, as RegMix does. All predict the four evaluation sets one by one
and add them up. What each takes is trained under five seeds that no run has; differences are paired over seeds and
draws. Uniform and token-proportional mixtures are what people train without runs (uniform reads two sources more
often than allowed). The judging seeds lie .01 above that of the runs (mean over uniform and proportional): so much of
the last column is theirs. That level is the same for every mixture, and 60 runs of one coupled seed cannot know it: so
surprises are counted under the judging seeds, under the seed of the runs, which is what `verify` trains, and of the
gain over the token-proportional mixture, in which the level cancels; and once more under the judging seeds where 12 of
the 60 runs repeat six of the other 48 mixtures under two more seeds, so that the levels of seeds are in sight.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import interplay as ip
from interplay.selection import result
from interplay.selection.constraints import Constraints
from interplay.selection.mixtures import draws as mixtures_of

from . import rivals
from .draws import WHOLE, Run, Split, difference, wanted
from .machine import table
from .record_text_mixtures import DRAWS, JUDGES, LOSS, POOL, REPEATED, REPEATS, SEEDS, anchors, drawn, tokens, verified
from .text_mixtures import BUDGET, EVALUATED, MAX_EPOCHS

Array = NDArray[np.float64]
RUNS = 60
TARGET = f"mean({', '.join(f'nats/{name}' for name in EVALUATED)})"
OURS, PLAIN, BEST = "select", "select, no risk", "best of the 60"
LEVELS = "select, 12 of the 60 under other seeds"
GAIN = f"{OURS}: gain"
OWN = 0  # the seed of the runs
CODE = (Path(ip.__file__).parent / "selection", Path(__file__))
RIVALS = {
    "ridge, log weights": partial(rivals.ridge, features="log"),
    "ridge, raw weights": rivals.ridge,
    **rivals.installed(LightGBM_tuned=rivals.lightgbm_tuned),
}


def pool() -> ip.Evaluations:
    """The recorded runs of seed 0 that draws are taken from."""
    runs = ip.Evaluations.read(POOL)
    return runs.filter(np.isin(runs.origin, ("sizes", "flat")))


def repeating(runs: ip.Evaluations) -> ip.Evaluations:
    """As many runs, the last of them under other seeds: repeats of the first."""
    repeats = ip.Evaluations.read(REPEATS)
    again = [np.abs(repeats.masks - x).max(axis=1) < 1e-9 for x in runs.masks[:REPEATED]]
    out = runs[: -REPEATED * len(SEEDS)] + repeats.filter(np.any(again, axis=0))
    assert len(out) == len(runs)
    return out


def rules() -> dict[str, Any]:
    """What every choice keeps."""
    return {"tokens": tokens(), "max_epochs": MAX_EPOCHS, "budget": float(BUDGET)}


def found(draw: int) -> dict[str, tuple[Array, float, float]]:
    """Every method's mixture (K,), its predicted loss and the deviation of that."""
    whole = pool()
    runs = whole[drawn(draw)[:RUNS]]
    out = {}
    for name, given, risk in ((OURS, runs, {}), (PLAIN, runs, {"risk": 0.0}), (LEVELS, repeating(runs), {})):
        chosen = ip.select(given, TARGET, **rules(), **risk)
        (choice, beside) = chosen.choice, chosen.of(result.BASELINE)[0]
        out[name] = choice.weights, float(choice.predicted[0]), float(choice.deviation[0])
        out[f"{name}: gain"] = beside.weights, float(beside.gain[0]), float(beside.gain_deviation[0])
    region = Constraints(**rules()).region_of(runs)
    random = mixtures_of(region, runs.masks, np.random.default_rng(0))
    parts = runs.select([f"nats/{name}" for name in EVALUATED]).values
    for name, method in RIVALS.items():
        predict = method(Split(runs.masks, parts, random, np.zeros((0, 4)))).predict
        order = np.argsort(np.asarray(predict(random)).mean(axis=1), kind="stable")
        w = random[order[:100]].mean(axis=0)
        out[name] = w, float(np.asarray(predict(w[None])).mean()), np.nan
    (inside,) = np.nonzero(region.feasible(runs.masks))
    i = inside[np.argmin(parts[inside].mean(axis=1))]
    out[BEST] = runs.masks[i], float(parts[i].mean()), np.nan
    return out


def report(data: Path, run: Run = WHOLE) -> str | None:
    if not POOL.exists():
        return None
    methods = (OURS, PLAIN, LEVELS, *RIVALS, BEST)

    def measure(draw: int) -> dict[str, Any]:
        taken = found(draw)
        values = verified(np.array([taken[m][0] for m in methods]), data=data)[:, :, LOSS]  # (methods, seeds)
        said = {f"{m}: said": list(taken[m][1:]) for m in (*methods, GAIN)}
        own = verified(np.array([taken[m][0] for m in methods]), (OWN,), data=data)[:, 0, LOSS]
        under = {f"{m}: own": float(value) for m, value in zip(methods, own, strict=True)}
        return said | {m: row.tolist() for m, row in zip(methods, values, strict=True)} | under

    figures = run.over(run.draws(DRAWS), measure, CODE, bench="text mixtures", runs=RUNS)
    proportional = tokens().mixture
    known = anchors(proportional)
    for name, row in zip(known, verified(np.array(list(known.values())), data=data)[:, :, LOSS], strict=True):
        figures[name] = np.tile(row, (len(figures[OURS]), 1))
    ours, lines, checks = figures[OURS], [], []
    for name in (*methods, *known):
        loss = figures[name]
        gaps = ["", ""]
        if name in methods:
            told = figures[f"{name}: said"][:, 0]
            gaps = [difference(values, told) for values in (figures[f"{name}: own"], loss.mean(axis=1))]
        apart = "" if name == OURS else difference(loss, ours)
        lines.append([name, f"{loss.mean():.4f}", apart, *gaps])
        if name not in (OURS, PLAIN, LEVELS):
            met = loss.mean() > ours.mean()
            checks.append((f"loss below that of {name}", "an interval above 0", apart, met))
    said, gain, levels = (figures[f"{name}: said"] for name in (OURS, GAIN, LEVELS))
    surprises = {
        "worse than predicted by 2 deviations, judging seeds": ours.mean(axis=1) > said[:, 0] + 2.0 * said[:, 1],
        "the same, 12 of the runs under other seeds": (
            figures[LEVELS].mean(axis=1) > levels[:, 0] + 2.0 * levels[:, 1]
        ),
        "the same, seed of the runs": figures[f"{OURS}: own"] > said[:, 0] + 2.0 * said[:, 1],
        "gain over proportional less than predicted by 2 deviations, judging seeds": (
            figures["proportional"].mean(axis=1) - ours.mean(axis=1) < gain[:, 0] - 2.0 * gain[:, 1]
        ),
    }
    checks.append(
        (
            "verified loss with risk not above that without",
            0,
            difference(figures[PLAIN], ours),
            ours.mean() <= figures[PLAIN].mean(),
        )
    )
    checks += [(name, "at most 10 %", f"{seen.mean():.0%}", seen.mean() <= 0.1) for name, seen in surprises.items()]
    rosy = {name: float((figures[f"{name}: own"] - figures[f"{name}: said"][:, 0]).mean()) for name in (OURS, *RIVALS)}
    least = min(RIVALS, key=lambda name: abs(rosy[name]))
    what = "true - predicted, seed of the runs: nearest to 0"
    checks.append((what, f"{rosy[least]:+.4f}, {least}", f"{rosy[OURS]:+.4f}", abs(rosy[OURS]) <= abs(rosy[least])))
    text = f"\n{RUNS} runs a draw, {len(ours)} draws, {len(JUDGES)} judging seeds; nats per byte, four sets.\n\n"
    columns = [
        "mixture",
        "loss",
        f"it - {OURS}, paired",
        *(f"true - predicted, {which}" for which in ("seed of the runs", "judging seeds")),
    ]
    return "# A mixture of text sources, trained\n\n" + wanted(checks) + text + table(columns, lines) + rivals.note()
