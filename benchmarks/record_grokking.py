"""Record a transformer halfway through grokking: effects that one seed repeats and the next one does not.

    OMP_NUM_THREADS=1 python benchmarks/record_grokking.py            # records; continues where it stopped
    python benchmarks/record_grokking.py --table                      # how the test loss falls, what repeats itself

Addition modulo p = 23 by a decoder of one layer, without layer norms, that reads ``a b =`` and answers at ``=``. The
K = 25 tasks are the blocks of the (a, b) grid, five parts of a by five of b (``a0b0`` .. ``a4b4``). A tenth of the
pairs is the test set, fixed, and drawn with its mirror images: with (b, a) in training, (a, b) would be known by
symmetry alone. A model is trained on the other pairs of the blocks that are present, full batch, 1,500 steps of AdamW
(decoupled weight decay 1); an absent block takes its pairs away and changes nothing else. By then the training loss
has long been zero and the test loss is on its steep way down. Targets: mean test ``loss``, ``accuracy``, and the mean
loss of the test pairs in each part of a (``loss/a0`` .. ``loss/a4``).

One file, ``recordings/grokking.parquet``; within a seed all masks share the initial weights W0. Origins:

- ``near_full``: 80 masks (p = .9) under seed 100, none of them in the truth;
- ``truth``: the full mask and the 25 leave-one-out masks under seeds 0 to 3;
- ``perturbed``: the masks of the truth under seed 0 once more, every weight of W0 times 1 + .001 N(0, 1).

What is seen: the test loss of a seed falls early or late, and a block that is left out shifts when. Effects are large
and repeat themselves from the perturbed W0; those of another W0 differ. Expected beforehand was that even the
perturbed twin would not repeat them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from interplay.metrics import reliability, spearman
from record_digits import leave_one_out, machine, read, write

FILE = Path(__file__).resolve().parent / "recordings/grokking.parquet"
P, PARTS, HEADS, WIDTH, MLP, SPREAD = 23, 5, 4, 96, 2, 1.4  # SPREAD widens W0: wider groks later
STEPS, LR, DECAY, BETAS = 1500, 1e-3, 1.0, (0.9, 0.98)
TRUTH_SEEDS, RUN_SEED, PERTURBATION = range(4), 100, 1e-3
STACK = 5  # models trained at once
WATCHED = (500, 1000, 1500, 3000)

PART = np.repeat(np.arange(PARTS), [len(part) for part in np.array_split(np.arange(P), PARTS)])
A, B = np.divmod(np.arange(P * P), P)  # the pairs, row by row of the grid
BLOCK = PART[A] * PARTS + PART[B]
ANSWER = torch.from_numpy((A + B) % P)
TASKS = [f"a{i}b{j}" for i in range(PARTS) for j in range(PARTS)]
TARGETS = ["loss", "accuracy", *(f"loss/a{i}" for i in range(PARTS))]
K = len(TASKS)
Weights = dict[str, Tensor]


def tested() -> np.ndarray:
    """Return which pairs are the test set: a tenth of the grid, each with its mirror image."""
    found = np.zeros((P, P), bool)
    a, b = np.triu_indices(P)
    for pair in np.random.default_rng([P]).permutation(len(a)):
        if found.sum() >= round(P * P / 10):
            break
        found[a[pair], b[pair]] = found[b[pair], a[pair]] = True
    return found.ravel()


TEST = tested()
TRAIN = torch.from_numpy(np.flatnonzero(~TEST))

# ---------------------------------------------------------------- the model


def initial(seed: int, perturbation: float = 0.0) -> dict[str, np.ndarray]:
    """Return W0 of a seed; perturbed by so much of each weight."""
    rng, d = np.random.default_rng([P, seed]), WIDTH
    shapes = {
        "number": (P, d), "place": (2, d), "equals": (1, d), "q": (d, d), "k": (d, d), "v": (d, d), "o": (d, d),
        "up": (d, MLP * d), "up_bias": (1, MLP * d), "down": (MLP * d, d), "down_bias": (1, d), "out": (d, P),
    }  # fmt: skip
    fan_in = {"number": d, "place": d, "equals": d}
    W0 = {n: SPREAD * rng.normal(size=s) / np.sqrt(fan_in.get(n, s[0])) for n, s in shapes.items()}
    noise = np.random.default_rng([P, seed, 1])
    W0 = {n: w * (1 + perturbation * noise.normal(size=w.shape)) for n, w in W0.items()}
    return {n: (0 if n.endswith("bias") else 1) * w.astype(np.float32) for n, w in W0.items()}


def logits(W: Mapping[str, Tensor], pairs: Tensor | slice) -> Tensor:
    """Return the logits ``(b, pairs, P)`` of stacked models: at ``=``, which attends to a, b and itself."""
    b, d = len(W["number"]), WIDTH
    numbers = [W["number"] + W["place"][:, i : i + 1] for i in range(2)]
    tokens = torch.cat([*numbers, W["equals"]], 1)  # (b, 2 P + 1, d): all that can stand before or at =
    k, v = ((tokens @ W[n]).view(b, -1, HEADS, d // HEADS) for n in "kv")
    q = (W["equals"] @ W["q"]).view(b, 1, HEADS, d // HEADS)
    scores = (q * k).sum(-1) * (d // HEADS) ** -0.5
    first, second, own = scores.split([P, P, 1], 1)
    grid = [s.expand(b, P, P, HEADS) for s in (first[:, :, None], second[:, None], own[:, None])]
    weights = torch.stack(grid).softmax(0)[..., None]
    first, second, own = v.split([P, P, 1], 1)
    heads = weights[0] * first[:, :, None] + weights[1] * second[:, None] + weights[2] * own[:, None]
    x = W["equals"] + heads.reshape(b, P * P, d)[:, pairs] @ W["o"]
    x = x + torch.baddbmm(W["up_bias"], x, W["up"]).relu() @ W["down"] + W["down_bias"]
    return x @ W["out"]


def train(starts: Sequence[Mapping[str, np.ndarray]], masks: np.ndarray, watched: Iterable[int] = (STEPS,)) -> dict:
    """Train one model per mask, all at once; return step -> targets ``(b, T)`` for every step that is watched."""
    W = {n: torch.from_numpy(np.stack([W0[n] for W0 in starts])).requires_grad_() for n in starts[0]}
    optimiser = torch.optim.AdamW(W.values(), lr=LR, betas=BETAS, weight_decay=DECAY, foreach=True)
    present = torch.from_numpy(masks[:, BLOCK].astype(np.float32))[:, TRAIN]
    found = {}
    for step in range(1, max(watched) + 1):
        optimiser.zero_grad()
        losses = cross_entropy(logits(W, TRAIN).transpose(1, 2), ANSWER[TRAIN].expand(len(masks), -1), reduction="none")
        ((losses * present).sum() / len(TRAIN)).backward()
        optimiser.step()
        if step in watched:
            found[step] = measured(W)
    return found


@torch.no_grad()
def measured(W: Weights) -> np.ndarray:
    """Return the targets ``(b, T)``."""
    f, answers = logits(W, slice(None))[:, TEST].double(), ANSWER[TEST]
    losses = cross_entropy(f.transpose(1, 2), answers.expand(len(f), -1), reduction="none").numpy()
    accuracy = (f.argmax(2) == answers).double().mean(1).numpy()
    parts = [losses[:, PART[A[TEST]] == i].mean(1) for i in range(PARTS)]
    return np.stack([losses.mean(1), accuracy, *parts], 1)


# ---------------------------------------------------------------- the recording


def near_full() -> np.ndarray:
    """Return the 80 masks to learn from, distinct and not in the truth."""
    rng = np.random.default_rng([1000, RUN_SEED])
    taken, masks = {mask.tobytes() for mask in leave_one_out(K)}, []
    while len(masks) < 80:
        mask = (rng.random(K) < 0.9).astype(float)
        if mask.tobytes() not in taken:
            taken.add(mask.tobytes())
            masks.append(mask)
    return np.array(masks)


def plan() -> list[tuple[np.ndarray, int, str]]:
    rows = [(mask, seed, "truth") for seed in TRUTH_SEEDS for mask in leave_one_out(K)]
    rows += [(mask, 0, "perturbed") for mask in leave_one_out(K)]
    return rows + [(mask, RUN_SEED, "near_full") for mask in near_full()]


def start(seed: int, origin: str) -> dict[str, np.ndarray]:
    return initial(seed, PERTURBATION if origin == "perturbed" else 0.0)


def record() -> None:
    """Train what the file lacks, a stack at a time, and write after every stack."""
    frame, notes = read(FILE) if FILE.exists() else (pd.DataFrame(), {"seconds": 0.0})
    done = set()
    if len(frame):
        bits = frame[TASKS].to_numpy(np.uint8)
        done = {(m.tobytes(), s, o) for m, s, o in zip(bits, frame["seed"], frame["origin"], strict=True)}
    todo = [row for row in plan() if (row[0].astype(np.uint8).tobytes(), *row[1:]) not in done]
    print(f"{FILE.name}: {len(frame)} rows there, {len(todo)} to train", flush=True)
    for first in range(0, len(todo), STACK):
        masks, seeds, origins = (list(column) for column in zip(*todo[first : first + STACK], strict=True))
        began = time.perf_counter()
        values = train([start(*of) for of in zip(seeds, origins, strict=True)], np.array(masks))[STEPS]
        seconds = notes["seconds"] + time.perf_counter() - began
        new = pd.DataFrame(np.array(masks, np.uint8), columns=TASKS)
        new["seed"], new["fidelity"], new["origin"] = np.array(seeds, np.int64), "retrained", origins
        new[TARGETS] = values.astype(np.float32)
        frame = pd.concat([frame, new], ignore_index=True)
        notes = {**notes, **about(), "seconds": round(seconds, 1)}
        write(frame, notes, FILE)
        print(f"{FILE.name}: {len(frame)} rows, {seconds:.0f} s", flush=True)
    if "full_mask" not in notes:
        write(frame, {**notes, "full_mask": watch()}, FILE)


def about() -> dict[str, Any]:
    """Return the facts that travel with the runs."""
    training = {"optimiser": "AdamW", "steps": STEPS, "lr": LR, "weight_decay": DECAY, "betas": BETAS}
    return {
        "coupled": True,
        "absent_tasks": "fixed_steps",
        "training": {**training, "batch_size": None, "examples": len(TRAIN), "from": "scratch"},
        "problem": f"addition modulo {P}, {K} blocks of the grid, {int(TEST.sum())} test pairs",
        "model": {"layers": 1, "width": WIDTH, "heads": HEADS, "spread_of_W0": SPREAD},
        "perturbation": PERTURBATION,
        "machine": machine(),
    }


def watch() -> dict[str, dict[str, list[float]]]:
    """Follow the full mask beyond the recorded length: name of the run -> step -> test loss and accuracy."""
    runs = [*((seed, "truth") for seed in TRUTH_SEEDS), (0, "perturbed"), (RUN_SEED, "near_full")]
    found = train([start(*run) for run in runs], np.ones((len(runs), K)), WATCHED)
    names = [f"seed {seed}{', perturbed' if origin == 'perturbed' else ''}" for seed, origin in runs]
    return {
        name: {str(step): np.round(values[i, :2], 4).tolist() for step, values in found.items()}
        for i, name in enumerate(names)
    }


# ---------------------------------------------------------------- the table


def effects(frame: pd.DataFrame, seed: int, origin: str) -> np.ndarray:
    """Leave-one-out differences ``(K, T)`` of a seed: F(1 - e_k) - F(1)."""
    rows = frame[(frame["seed"] == seed) & (frame["origin"] == origin)]
    absent = K - rows[TASKS].sum(axis=1)
    full = rows.loc[absent == 0, TARGETS].to_numpy(float)[0]
    return np.array([rows.loc[(absent == 1) & (rows[k] == 0), TARGETS].to_numpy(float)[0] - full for k in TASKS])


def table() -> str:
    frame, notes = read(FILE)
    lines = [
        f"{len(frame)} trainings. The full mask on its way, test loss / accuracy (recorded: step {STEPS}):",
        "",
        f"| run | {' | '.join(map(str, WATCHED))} |",
        "|---" * (len(WATCHED) + 1) + "|",
    ]
    for name, found in notes["full_mask"].items():
        lines.append(f"| {name} | " + " | ".join("{:.2f} / {:.2f}".format(*found[str(s)]) for s in WATCHED) + " |")
    truth = {seed: effects(frame, seed, "truth") for seed in TRUTH_SEEDS}
    twin = effects(frame, 0, "perturbed")
    rank = lambda a, b, t: float(spearman(a[:, t], b[:, t]))
    per_seed = np.array(list(truth.values()))
    rho = np.asarray(reliability(per_seed, method=spearman))
    lines += [
        "",
        f"Spearman of {K} leave-one-out effects: between two seeds (mean, lowest and highest of the six pairs), and "
        f"between seed 0 and its twin from a W0 perturbed by {PERTURBATION:.1%}. Reliability of the mean of the "
        "seeds: split halves, stepped up; the ceiling of any correlation with it is its root.",
        "",
        "| target | two seeds | lowest | highest | perturbed twin | sd over tasks, seed 0 | the twin's | reliability |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for t, target in enumerate(TARGETS):
        r = [rank(truth[i], truth[j], t) for i, j in itertools.combinations(TRUTH_SEEDS, 2)]
        numbers = [
            np.mean(r),
            min(r),
            max(r),
            rank(truth[0], twin, t),
            *(e[:, t].std() for e in (truth[0], twin)),
            rho[t],
        ]
        lines.append(f"| `{target}` | " + " | ".join(f"{number:.2f}" for number in numbers) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print what repeats itself and what does not")
    if parser.parse_args().table:
        print(table(), end="")
    else:
        record()


if __name__ == "__main__":
    main()
