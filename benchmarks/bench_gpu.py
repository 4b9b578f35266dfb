"""A card beside the CPU of the same machine: the same results within rounding, and how many times sooner.

Every row is done by both in one process, on `THREADS` threads of the CPU, after a small one of its kind that is not
counted. Models have random weights or a few steps of training; data are random, but for the digits: what is compared
is arithmetic. At the end a transformer of over 100 million trained parameters and 20,000 examples, on the card; on
the CPU a few of the examples, from which all are extrapolated. Its peak memory must stay below `_bound`.

python -m benchmarks gpu --resume      # goes on where it stopped: figures are kept in results/raw
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interplay.gradients import Examples, Network, basis, curvatures, features, loss_named, solve
from interplay.gradients.subspaces import task_gradients

from .bench_cost import resident
from .cases_gpu import KINDS, MASKS, PARTS, Figures, NextWord, masks_of, timed
from .draws import WHOLE, Run
from .machine import table, time_text

THREADS = 2  # of the CPU

SOURCE = Path(__file__).resolve().parent.parent / "src" / "interplay"
CODE = (
    Path(__file__),
    Path(__file__).with_name("cases_gpu.py"),
    *(SOURCE / room for room in ("gradients", "unrolled", "language", "evaluators")),
)
#: Of the big one: tasks, examples of each, tokens of a text, dimension, and examples that the CPU does.
BIG = {"K": 20, "each": 1_000, "places": 16, "d": 512, "few": 2}
QUICK = {**BIG, "K": 4, "each": 16, "d": 64}


def report(data: Path, run: Run = WHOLE) -> str | None:
    """Tables of trainings, features, trainings that are followed, a fine-tuning, precision, and the big one."""
    del data
    if not torch.cuda.is_available():
        print("gpu: this machine has no CUDA, so that its table stays as it is.")
        return None
    torch.set_num_threads(THREADS)
    card = torch.cuda.get_device_properties(0)
    said = HEAD.format(card.name, card.total_memory / 2**30, torch.__version__)
    big = _big(_kept("100 million parameters", lambda: big_one(QUICK if run.quick else BIG), run), run.quick)
    parts = ["# A card beside the CPU", said]
    for title, cases in PARTS.items():
        rows = [(name, _kept(name, call, run)) for name, call in cases(run.quick).items()]
        parts += [f"## {title}", SHOWN[title](rows)]
    return "\n\n".join(part.strip() for part in (*parts, "## 100 million parameters", big)) + "\n"


HEAD = (
    "{}, {:.0f} GiB, torch {}; the CPU of the same machine on 2 threads, in the same process. Ratio: seconds of the "
    "CPU / seconds of the card. Apart: the largest difference between both, in units of the spread over masks (of one "
    "row: relative); of features, the relative difference of their inner products, which do not hang on how a basis is "
    "turned within its span. float32, without TF32; the solver in float64. Small trainings wait for the card, which "
    "pays by width. AdamW moves parameters of almost no gradient by their sign, so that rounding shows first in "
    "fine-tunings."
)
PRECISION = (
    "On the card alone: features in the same sparse subspace (d = 64) against those of float64. TF32 is what "
    '`torch.set_float32_matmul_precision("high")` allows; without it convolutions keep all bits too, which torch by '
    "itself does not see to. bfloat16: `model.bfloat16()`. The residual network has ReLUs: one that rounding "
    "takes over 0 changes the gradient of its example at once."
)


def _kept(name: str, call: Callable[[], Figures], run: Run) -> Figures:
    began = time.perf_counter()
    found = run.over([0], lambda _: call(), CODE, name="gpu", case=name, threads=THREADS, quick=run.quick)
    print(f"gpu: {name}, {time.perf_counter() - began:.0f} s", flush=True)
    return {key: float(values[0]) for key, values in found.items()}


# ---------------------------------------------------------------- the big one


def big_one(case: Mapping[str, int]) -> Figures:
    """Features of all examples on the card and masks solved in them; a few examples on the CPU."""
    from transformers import GPT2Config, GPT2LMHeadModel

    loss, quick = loss_named("log_odds"), case["d"] < BIG["d"]
    torch.manual_seed(0)
    size = {"n_embd": 96, "n_layer": 2} if quick else {"n_embd": 768, "n_layer": 12}
    size |= {"vocab_size": 20_000, "n_positions": case["places"], "n_head": 12}
    dropped = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = NextWord(GPT2LMHeadModel(GPT2Config(**size, **dropped, use_cache=False)))
    rng = np.random.default_rng(7)  # random words, each task with a thousand of its own
    ids = [rng.integers(900 * k, 900 * k + 1_000, (case["each"], case["places"] + 1)) for k in range(case["K"])]
    sets = {f"task_{k}": (torch.from_numpy(x), torch.ones(len(x))) for k, x in enumerate(ids)}
    found, phi = _big_card(model, sets, loss, case)
    torch.cuda.empty_cache()

    network, few = Network(model), {"task_0": tuple(part[: case["few"]] for part in sets["task_0"])}
    examples = Examples.collect(network, few, loss, "loaders")
    R, found["CPU subspace"] = timed(lambda: _sparse(network, examples, loss, case))
    own, found["CPU features"] = timed(lambda: features(network, examples, R, torch.float64).phi)
    return found | {"few": case["few"], "apart": float((own - phi[: case["few"]]).norm() / own.norm())}


def _sparse(network: Network, examples: Examples, loss: Any, case: Mapping[str, int]) -> Any:
    return basis("sparse", network, examples, loss, case["d"], np.random.default_rng(0))


def _big_card(model: nn.Module, sets: Any, loss: Any, case: Mapping[str, int]) -> tuple[Figures, Tensor]:
    seconds: Figures = {}
    before = resident(reset=True)
    torch.cuda.reset_peak_memory_stats()

    def part(name: str, call: Callable[[], Any]) -> Any:
        value, seconds[name] = timed(call)
        return value

    network = part("model to the card", lambda: Network(model, device="cuda"))
    examples = part("outputs", lambda: Examples.collect(network, sets, loss, "loaders"))
    R = part("subspace", lambda: _sparse(network, examples, loss, case))
    found = part("features", lambda: features(network, examples, R, torch.float64))
    peak, p, n = torch.cuda.max_memory_allocated(), network.size, examples.n
    H = part("curvature", lambda: curvatures(found, loss))
    masks, pull = torch.from_numpy(masks_of(case["K"], MASKS)).cuda(), H.new_zeros(R.dim)
    part("masks", lambda: solve(found, H, masks, loss, ridge=1e-3, pull=pull, memory=2**32))
    part("gradients", lambda: task_gradients(network, examples, loss))
    bound = 4 * 8 * p + 2 * network.memory + R.bytes + 3 * 8 * found.phi.numel()  # weights, tiles, places, features
    assert network.ways["rows"] == "reverse mode over examples", network.warnings
    assert peak < bound, f"the card held {peak / 2**30:.1f} GiB, more than {bound / 2**30:.1f}"
    assert case["d"] < BIG["d"] or bound < min(4 * p * n, 4 * p * R.dim), "neither p x n nor p x d"
    chunk = network._chunks["rows"]
    figures = {
        **{f"{name} seconds": value for name, value in seconds.items()},
        **{"p": p, "n": n, "d": R.dim, "tile": network.memory, "peak": peak, "bound": bound, "rows": chunk.rows},
        **{"all": torch.cuda.max_memory_allocated(), "host": resident() - before, "halved": chunk.halved},
    }
    return figures, found.phi.cpu()


def _big(f: Figures, quick: bool) -> str:
    case, n = QUICK if quick else BIG, int(f["n"])
    gib = lambda value: f"{value / 2**30:,.1f} GiB"
    cpu = {"features": f["CPU features"] * f["n"] / f["few"], "subspace": f["CPU subspace"]}
    named = {"masks": f"{MASKS} masks solved", "gradients": "mean gradients of the tasks"}
    rows = []
    for name in ("model to the card", "outputs", "subspace", "features", "curvature", "masks", "gradients"):
        here, there = f[f"{name} seconds"], cpu.get(name)
        beside = "" if there is None else time_text(there) if there < 3_600 else f"{there / 3_600:.1f} h"
        rows.append([named.get(name, name), time_text(here), beside, "" if there is None else f"{there / here:,.0f}"])
    said = (
        f"GPT-2 small, vocabulary of 20,000: {f['p'] / 1e6:.1f} million parameters, all trained, tied embeddings, "
        f"{n:,} texts of {case['places']} tokens in {case['K']} tasks; one output, the log-odds of the next token; "
        f"sparse subspace of d = {int(f['d'])}; reverse mode, at most {int(f['rows'])} examples at once. On the CPU "
        f"features of {int(f['few'])} of the examples were computed, {f['apart']:.0e} apart from the card's, and their "
        f"time was multiplied by {f['n'] / f['few']:,.0f}."
    )
    memory = (
        f"Peak memory of the card with the features: {gib(f['peak'])}. A tile may take {gib(f['tile'])}, a quarter of "
        f"what is free. It is asserted that the peak stays below {gib(f['bound'])}, and this below p x n and p x d "
        f"numbers, which are {gib(4 * f['p'] * f['n'])} and {gib(4 * f['p'] * f['d'])}. With gradients of all tasks "
        f"(K x p numbers, for the diagnostics), which come after: {gib(f['all'])}. Memory of the machine beyond the "
        f"model: {f['host'] / 1024:.1f} GiB. Tiles were halved {int(f['halved'])} times."
    )
    return "\n\n".join([said, table(["part", "card", "CPU", "ratio"], rows).strip(), memory])


# ---------------------------------------------------------------- tables


def _pair(f: Figures, part: str) -> list[str]:
    here, there = f[f"{part} cpu"], f[f"{part} cuda"]
    return [time_text(here), time_text(there), f"{here / there:.2g}"]


def _parts(rows: list[tuple[str, Figures]]) -> str:
    lines: list[list[str]] = []
    for name, f in rows:
        parts = [key.removesuffix(" apart") for key in f if key.endswith(" apart")]
        own = [[part, *_pair(f, part), f"{f[f'{part} apart']:.0e}"] for part in parts]
        if "SmolLM2" in name:
            own.insert(0, ["loading, and hidden states of 144 examples", *_pair(f, "making"), ""])
        lines += [[name if i == 0 else "", *line] for i, line in enumerate(own)]
    return table(["what", "part", "CPU", "card", "ratio", "apart"], lines)


def _estimated(rows: list[tuple[str, Figures]]) -> str:
    apart = lambda f, part: f"{f[f'{part} apart']:.0e}"
    lines = [
        [*name.rsplit(": ", 1), *_pair(f, "making"), apart(f, "features"), *_pair(f, "solving"), apart(f, "solving")]
        for name, f in rows
    ]
    head = ["model", "subspace", "building: CPU", "card", "ratio", "features apart"]
    return table([*head, f"{MASKS} masks: CPU", "card", "ratio", "estimates apart"], lines)


def _precise(rows: list[tuple[str, Figures]]) -> str:
    lines = [
        [name, kind, f"{f[f'{kind} error']:.1e}", time_text(f[f"{kind} seconds"])] for name, f in rows for kind in KINDS
    ]
    return f"{PRECISION}\n\n" + table(["model", "computed in", "relative error of features", "card"], lines)


SHOWN = {**dict.fromkeys(PARTS, _parts), "Features and estimates": _estimated, "Precision": _precise}
