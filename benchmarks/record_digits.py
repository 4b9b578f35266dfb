"""Record the digits problem: training runs to learn from, and the truth that judges.

    OMP_NUM_THREADS=1 python benchmarks/record_digits.py              # records; continues where it stopped
    python benchmarks/record_digits.py --table                        # prints benchmarks/digits_recordings.md

Per problem seed one Parquet file (seed 0 ships in the package), one row per training:
one 0/1 column per source, ``seed, fidelity, origin`` and the 11 test losses. Origins:

- ``truth``: the full mask and the 20 leave-one-out masks under seeds 0..7, the full mask also under 8..31;
- ``near_full`` (240 masks, p = .9), ``p75`` (100, p = .75), ``size15`` (60 of size 15), each under seeds 100 and 101;
  none of these masks is in the truth.

Of problem seeds 3 to 5 only the truth is recorded. Two files stand beside them for problem seed 0:
``digits-0-uncoupled`` (the truth again, every training with its own initial weights) and ``digits-0-finetuned`` (40
near-full masks retrained by L-BFGS from the model of seed 0, itself
taken to its optimum first).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import pearsonr, rankdata

from interplay.formats.table import FACTS
from interplay.problems.digits import Digits

HERE = Path(__file__).resolve().parent
PACKAGED = HERE.parent / "src/interplay/problems/recordings/digits.parquet"
TRUTH_SEEDS, FULL_SEEDS, RUN_SEEDS = range(8), range(32), (100, 101)
JUDGING = range(3, 6)  # problems of which only the truth is recorded: no choice of ours has seen it
CHUNK = 42  # models trained at once; twice the truth of a seed


def path(problem_seed: int, variant: str = "") -> Path:
    if problem_seed == 0 and not variant:
        return PACKAGED
    return HERE / "recordings" / f"digits-{problem_seed}{variant and '-' + variant}.parquet"


def truth_plan(K: int, full_seeds=FULL_SEEDS) -> list[tuple[np.ndarray, int, str]]:
    rows = [(mask, seed, "truth") for seed in TRUTH_SEEDS for mask in leave_one_out(K)]
    return rows + [(np.ones(K), seed, "truth") for seed in full_seeds if seed not in TRUTH_SEEDS]


def runs_plan(K: int, problem_seed: int) -> list[tuple[np.ndarray, int, str]]:
    """List the runs to learn from; drawn here and not by `interplay.masks`, so that they never change."""
    rng = np.random.default_rng([1000, problem_seed])
    draws = {
        "near_full": (240, lambda: rng.random(K) < 0.9),
        "p75": (100, lambda: rng.random(K) < 0.75),
        "size15": (60, lambda: rng.permutation(K) < 15),
    }
    taken = {_bits(mask).tobytes() for mask in leave_one_out(K)}
    plan = []
    for origin, (m, draw) in draws.items():
        masks = []
        while len(masks) < m:
            mask = draw()
            if _bits(mask).tobytes() not in taken:
                taken.add(_bits(mask).tobytes())
                masks.append(mask.astype(float))
        plan += [(mask, seed, origin) for seed in RUN_SEEDS for mask in masks]
    return plan


def leave_one_out(K: int) -> np.ndarray:
    return np.vstack([np.ones(K), 1 - np.eye(K)])


def record(problem: Digits, evaluator, plan, file: Path, fidelity: str = "retrained") -> None:
    """Train what the file lacks, a chunk at a time, and write after every chunk."""
    tasks, targets = list(problem.tasks), list(problem.targets)
    frame, notes = read(file) if file.exists() else (pd.DataFrame(), {})
    done = set()
    if len(frame):
        done = {(mask.tobytes(), seed) for mask, seed in zip(_bits(frame[tasks]), frame["seed"], strict=True)}
    todo = [row for row in plan if (_bits(row[0]).tobytes(), row[1]) not in done]
    print(f"{file.name}: {len(frame)} rows there, {len(todo)} to train", flush=True)
    for start in range(0, len(todo), CHUNK):
        masks, seeds, origins = (list(column) for column in zip(*todo[start : start + CHUNK], strict=True))
        began = time.perf_counter()
        values = evaluator.evaluate(np.array(masks), np.array(seeds))
        seconds = notes.get("seconds", 0.0) + time.perf_counter() - began
        new = pd.DataFrame(_bits(np.array(masks)), columns=tasks)
        new["seed"], new["fidelity"], new["origin"] = np.array(seeds, np.int64), fidelity, origins
        new[targets] = values.astype(np.float32)
        frame = pd.concat([frame, new], ignore_index=True)
        worst = notes.get("training", {}).get("gradient_norm", 0.0)
        notes = {**evaluator.notes, "problem": repr(problem), "machine": machine(), "seconds": round(seconds, 1)}
        notes["training"]["gradient_norm"] = max(worst, notes["training"]["gradient_norm"])
        write(frame, notes, file)
        print(f"{file.name}: {len(frame)} rows, {seconds:.0f} s", flush=True)


def read(file: Path) -> tuple[pd.DataFrame, dict]:
    table = pq.read_table(file)
    return table.to_pandas(), json.loads(table.schema.metadata[FACTS.encode()])["notes"]


def write(frame: pd.DataFrame, notes: dict, file: Path) -> None:
    """Write a plain table; the notes lie where `Evaluations.read` finds them. Never leaves half a file."""
    facts = {"version": 1, "kind": "mask", "missing": False, "notes": notes, "warnings": []}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**table.schema.metadata, FACTS.encode(): json.dumps(facts)})
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd")
    os.replace(partial, file)


def record_all() -> None:
    for problem_seed in range(3):
        problem = Digits(problem_seed)
        plan = truth_plan(problem.K) + runs_plan(problem.K, problem_seed)
        record(problem, problem.retrain(stack=CHUNK), plan, path(problem_seed))
    for problem_seed in JUDGING:
        problem = Digits(problem_seed)
        record(problem, problem.retrain(stack=CHUNK), truth_plan(problem.K), path(problem_seed))
    problem = Digits(0)
    evaluator = problem.retrain(coupled=False, stack=CHUNK)
    record(problem, evaluator, truth_plan(problem.K, TRUTH_SEEDS), path(0, "uncoupled"))
    plan = [(mask, 0, origin) for mask, _, origin in runs_plan(problem.K, 0)[:40]]
    evaluator = problem.retrain(initial=problem.trained(0, converged=True), stack=CHUNK, **problem.finetuning)
    record(problem, evaluator, plan, path(0, "finetuned"), "finetuned")


def _bits(masks) -> np.ndarray:
    return np.ascontiguousarray(masks, dtype=np.uint8)


def machine() -> str:
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{platform.machine()}, {os.cpu_count()} cores, {threads} thread(s), Python {platform.python_version()}"


# ---------------------------------------------------------------- the table


def effects(frame: pd.DataFrame, tasks: list[str], target: str) -> np.ndarray:
    """Leave-one-out benefits per truth seed, ``(8, K)``: F(1 - e_k) - F(1), both of the same seed."""
    truth = frame[(frame["origin"] == "truth") & frame["seed"].isin(TRUTH_SEEDS)]
    absent = len(tasks) - truth[tasks].sum(axis=1)
    full = truth[absent == 0].set_index("seed")[target].sort_index().astype(float)
    columns = []
    for name in tasks:
        without = truth[(absent == 1) & (truth[name] == 0)].set_index("seed")[target].sort_index().astype(float)
        columns.append(without - full)
    return np.array(columns).T


def reliability(e: np.ndarray, rank: bool) -> float:
    """Return the mean split-half correlation of the effects over all splits of the seeds, stepped up to n."""
    n = len(e)
    correlations = []
    for half in itertools.combinations(range(n), n // 2):
        if 0 in half:
            other = [i for i in range(n) if i not in half]
            a, b = e[list(half)].mean(0), e[other].mean(0)
            correlations.append(pearsonr(rankdata(a), rankdata(b))[0] if rank else pearsonr(a, b)[0])
    r = float(np.mean(correlations))
    return 2 * r / (1 + r)


def single_seed(e: np.ndarray) -> float:
    """Return the mean rank correlation of one seed's effects with the mean of the others'."""
    rest = (e.sum(0) - e) / (len(e) - 1)
    return float(np.mean([pearsonr(rankdata(a), rankdata(b))[0] for a, b in zip(e, rest, strict=True)]))


def table() -> str:
    frames, facts = zip(*(read(path(s)) for s in range(3)), strict=True)
    problems = {s: Digits(s) for s in range(3)}
    lines = ["# Recordings of the digits problem", ""]
    notes = facts[0]
    lines += [
        f"Printed by `python benchmarks/record_digits.py --table`. Recorded on {notes['machine']}; recipe: "
        f"`{json.dumps(notes['training'])}`. Seconds are wall time on cores shared with other work; an "
        "undisturbed thread needs .37 s a training.",
        "",
        "| problem seed | trainings | masks | wall seconds | loss, all sources | its sd over seeds | effects, "
        "smallest to "
        "largest |",
        "|---|---|---|---|---|---|---|",
    ]
    for s, frame in enumerate(frames):
        tasks = list(problems[s].tasks)
        full = frame[(frame[tasks].sum(axis=1) == len(tasks))]["loss"].astype(float)
        e = effects(frame, tasks, "loss").mean(0)
        lines.append(
            f"| {s} | {len(frame)} | {len(frame[tasks].drop_duplicates())} | {facts[s]['seconds']:.0f} | "
            f"{full.mean():.4f} | {full.std():.4f} (n = {len(full)}) | {e.min():.4f} ({tasks[e.argmin()]}) to "
            f"{e.max():.4f} ({tasks[e.argmax()]}) |"
        )
    lines += [
        "",
        "## How good the truth is",
        "",
        "Leave-one-out effects of eight coupled seeds. Reliability rho: correlation of the effects of four seeds with "
        "those of the other four, mean over the 35 splits, stepped up by Spearman-Brown; the ceiling of any "
        "correlation with the truth is sqrt(rho). One seed: rank correlation of one round of real leave-one-out "
        "with the mean of the other seven. A few large effects rule rho, so the ranks tell more.",
        "",
        "| problem seed | target | rho | ceiling | rho, ranks | ceiling, ranks | one seed, ranks |",
        "|---|---|---|---|---|---|---|",
    ]
    for s, frame in enumerate(frames):
        tasks = list(problems[s].tasks)
        for target in problems[s].targets:
            e = effects(frame, tasks, target)
            rho, ranks = reliability(e, False), reliability(e, True)
            lines.append(
                f"| {s} | `{target}` | {rho:.3f} | {_root(rho)} | {ranks:.3f} | {_root(ranks)} | {single_seed(e):.3f} |"
            )
    if path(0, "uncoupled").exists():
        lines += _coupling(frames[0], read(path(0, "uncoupled"))[0], problems[0])
    return "\n".join(lines) + "\n"


def _coupling(coupled: pd.DataFrame, uncoupled: pd.DataFrame, problem: Digits) -> list[str]:
    lines = [
        "",
        "## What coupling gains",
        "",
        "Problem seed 0, eight rounds of leave-one-out (168 trainings) each way. Coupled: within a round all masks "
        "share initial weights. Uncoupled: every training has its own. Noise: standard deviation of one round's "
        "effect over rounds, mean over sources. Against the coupled truth: mean rank correlation of one "
        "round with the mean of the coupled rounds (the round itself left out).",
        "",
        "| target | seeds | noise of an effect | rho | ceiling | rho, ranks | one round against the coupled truth |",
        "|---|---|---|---|---|---|---|",
    ]
    tasks = list(problem.tasks)
    rows: dict[str, list[tuple[float, ...]]] = {"coupled": [], "uncoupled": []}
    for target in problem.targets:
        reference = effects(coupled, tasks, target)
        for name, frame in {"coupled": coupled, "uncoupled": uncoupled}.items():
            e = effects(frame, tasks, target)
            noise = e.std(axis=0, ddof=1).mean()
            rest = (reference.sum(0) - reference) / (len(e) - 1)
            one = np.mean([pearsonr(rankdata(a), rankdata(b))[0] for a, b in zip(e, rest, strict=True)])
            rho, ranks = reliability(e, False), reliability(e, True)
            rows[name].append((noise, ranks, float(one)))
            lines.append(f"| `{target}` | {name} | {noise:.4f} | {rho:.3f} | {_root(rho)} | {ranks:.3f} | {one:.3f} |")
    for name, measured in rows.items():
        noise, ranks, one = np.mean(measured, axis=0)
        lines.append(f"| mean of {len(measured)} | {name} | {noise:.4f} | | | {ranks:.3f} | {one:.3f} |")
    return lines


def _root(rho: float) -> str:
    return f"{np.sqrt(rho):.3f}" if rho > 0 else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the table of what is recorded")
    if parser.parse_args().table:
        print(table(), end="")
    else:
        record_all()


if __name__ == "__main__":
    main()
