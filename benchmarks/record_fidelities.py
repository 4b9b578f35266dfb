"""Record cheaper fidelities of the digits problem: a narrow network, and estimates from three trained networks.

    OMP_NUM_THREADS=1 python benchmarks/record_fidelities.py          # records; continues where it stopped
    python benchmarks/record_fidelities.py --table                    # how well each ranks the dear runs

Per problem seed 0, 1, 2 one file ``recordings/fidelities-<seed>.parquet`` with the 240 near-full masks (p = .9) of the
digits recordings, each at three fidelities; origin ``near_full``, the 11 test losses as targets:

- ``narrow``: retrained under seed 100 at hidden width 12 instead of 48, by the same recipe;
- ``estimated``: the mean of `Linearized` around three networks trained on all sources with seeds 200, 201, 202;
- ``estimated one start``: `Linearized` around the network of seed 200 alone. Estimates have no seed: it is -1.

The dear fidelity, width 48 under seed 100, is in the digits recordings and not repeated here. ``cost`` counts in
trainings of width 48: parameters x steps for ``narrow`` (its processor seconds, in the notes, are about half of a
training's: overhead rules so small a network); for estimates processor seconds over those of a training, measured in
one go, with the training of the W0 and the features shared out among the 240 masks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interplay.metrics import spearman
from interplay.problems.digits import Digits
from record_digits import CHUNK, RUN_SEEDS, machine, read, runs_plan, write
from record_digits import path as digits_path

HERE = Path(__file__).resolve().parent
PROBLEMS, SEED, W0_SEEDS, NARROW = (0, 1, 2), RUN_SEEDS[0], (200, 201, 202), 12
FIDELITIES = ("estimated", "estimated one start", "narrow")


def path(problem_seed: int) -> Path:
    return HERE / "recordings" / f"fidelities-{problem_seed}.parquet"


def near_full(problem: Digits) -> np.ndarray:
    """Return the masks ``(240, K)`` that the digits recordings have under seed 100, in their order."""
    plan = runs_plan(problem.K, problem.problem_seed)
    return np.array([mask for mask, seed, origin in plan if (seed, origin) == (SEED, "near_full")])


class Recording:
    """A file that grows: rows of one fidelity after another, and what each fidelity is in the notes."""

    def __init__(self, problem: Digits):
        self.problem, self.file = problem, path(problem.problem_seed)
        self.frame, self.notes = read(self.file) if self.file.exists() else (pd.DataFrame(), {"fidelities": {}})

    def lacks(self, word: str, masks: np.ndarray) -> np.ndarray:
        """Return the masks that are not there at a fidelity, in their order."""
        done = set()
        if len(self.frame):
            rows = self.frame.loc[self.frame["fidelity"] == word, list(self.problem.tasks)]
            done = {row.tobytes() for row in rows.to_numpy(np.uint8)}
        return masks[[mask.astype(np.uint8).tobytes() not in done for mask in masks]]

    def add(self, word: str, masks: np.ndarray, values: np.ndarray, seed: int, cost: float) -> None:
        """Append rows of one fidelity, seed and cost."""
        new = pd.DataFrame(masks.astype(np.uint8), columns=list(self.problem.tasks))
        new["seed"], new["cost"], new["fidelity"], new["origin"] = np.int64(seed), cost, word, "near_full"
        new[list(self.problem.targets)] = values.astype(np.float32)
        self.frame = pd.concat([self.frame, new], ignore_index=True)

    def write(self, word: str, about: dict[str, Any], **notes: Any) -> None:
        """Write the file, and what the fidelity is."""
        self.notes["fidelities"][word] = about
        self.notes = {**self.notes, **notes, "problem": repr(self.problem), "machine": machine()}
        write(self.frame, self.notes, self.file)
        print(f"{self.file.name}: {(self.frame['fidelity'] == word).sum()} rows {word}", flush=True)


def record(problem_seed: int) -> None:
    problem = Digits(problem_seed)
    masks, recording = near_full(problem), Recording(problem)
    if any(len(recording.lacks(word, masks)) for word in ("estimated", "estimated one start")):
        record_estimates(problem, masks, recording)
    record_narrow(Digits(problem_seed, hidden=NARROW), masks, recording)


def record_estimates(problem: Digits, masks: np.ndarray, recording: Recording) -> None:
    """Estimate all masks; fast enough to be done in one go."""
    from interplay.evaluators import Linearized

    evaluator = problem.retrain(stack=CHUNK)
    seconds, _ = timed(lambda: evaluator.evaluate(masks[:CHUNK], np.full(CHUNK, SEED)))
    dear = seconds / CHUNK
    training, models = timed(lambda: problem.trained_models(W0_SEEDS))
    loaders, targets = problem.loaders(), problem.test_targets()
    build = lambda model: Linearized(model, loaders, targets, weight_decay=problem.weight_decay)
    building, members = timed(lambda: [build(model) for model in models])
    once = (training + building) / len(models)
    for word, of in (("estimated", Linearized.mean(members)), ("estimated one start", members[0])):
        solving, values = timed(lambda of=of: of.evaluate(masks))
        n = len(getattr(of, "members", [of]))
        cost = (n * once + solving) / len(masks) / dear
        about = {
            "W0_seeds": W0_SEEDS[:n],
            "estimator": of.notes["estimator"],
            "cpu_seconds": {"a dear training": dear, "W0 and features": n * once, f"{len(masks)} masks": solving},
        }
        about["cpu_seconds"] = {what: round(s, 3) for what, s in about["cpu_seconds"].items()}
        new = recording.lacks(word, masks)
        rows = [i for i, mask in enumerate(masks) if (mask == new).all(axis=1).any()]
        recording.add(word, masks[rows], values[rows], -1, float(f"{cost:.1g}"))
        recording.write(word, about, **({"estimator": of.notes["estimator"]} if n > 1 else {}))


def record_narrow(problem: Digits, masks: np.ndarray, recording: Recording) -> None:
    """Train what the file lacks, a chunk at a time."""
    evaluator = problem.retrain(stack=CHUNK)
    cost = round(parameters(problem) / parameters(Digits(problem.problem_seed)), 3)  # the steps are the same
    todo = recording.lacks("narrow", masks)
    for start in range(0, len(todo), CHUNK):
        part = todo[start : start + CHUNK]
        seconds, values = timed(lambda part=part: evaluator.evaluate(part, np.full(len(part), SEED)))
        so_far, notes = recording.notes["fidelities"].get("narrow", {}), evaluator.notes
        norms = (so_far.get("training", {}).get("gradient_norm", 0.0), notes["training"]["gradient_norm"])
        notes["training"]["gradient_norm"] = max(norms)
        seconds += so_far.get("cpu_seconds", 0.0)
        about = {"hidden": problem.hidden, "training": notes["training"], "cpu_seconds": round(seconds, 1)}
        recording.add("narrow", part, values, SEED, cost)
        recording.write("narrow", about, **notes)


def parameters(problem: Digits) -> int:
    return sum(p.numel() for p in problem.model().parameters())


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return processor seconds of a call and what it gave."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


# ---------------------------------------------------------------- the table


def dear(problem_seed: int, seed: int = SEED) -> pd.DataFrame:
    """Return the retrained rows of width 48, in the order of the plan."""
    frame = read(digits_path(problem_seed))[0]
    return frame.loc[(frame["origin"] == "near_full") & (frame["seed"] == seed)].reset_index(drop=True)


def table() -> str:
    lines = [
        "Spearman over the 240 near-full masks with the retrained runs of width 48 under seed 100. Other seed: the "
        "same masks and width under seed 101.",
        "",
        "| problem seed | fidelity | cost | loss | mean of 10 classes | lowest class | highest class |",
        "|---|---|---|---|---|---|---|",
    ]
    for problem_seed in PROBLEMS:
        problem, frame, real = Digits(problem_seed), read(path(problem_seed))[0], dear(problem_seed)
        tasks = list(problem.tasks)
        others = {word: frame[frame["fidelity"] == word] for word in FIDELITIES}
        for word, rows in {**others, "other seed": dear(problem_seed, RUN_SEEDS[1])}.items():
            joined = rows.merge(real, on=tasks, suffixes=("", "|real"), validate="one_to_one")
            r = [float(spearman(joined[t], joined[f"{t}|real"])) for t in problem.targets]
            cost = rows["cost"].iloc[0] if "cost" in rows else 1
            cells = f"{r[0]:.3f} | {np.mean(r[1:]):.3f} | {min(r[1:]):.3f} | {max(r[1:]):.3f}"
            lines.append(f"| {problem_seed} | {word} | {cost:g} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print how well each fidelity ranks the dear runs")
    if parser.parse_args().table:
        print(table(), end="")
        return
    for problem_seed in PROBLEMS:
        record(problem_seed)


if __name__ == "__main__":
    main()
