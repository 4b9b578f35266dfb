"""Record trainings on mixtures of ten texts (`text_mixtures`), and verify mixtures that somebody chose.

    export OMP_NUM_THREADS=1
    python -m benchmarks.record_text_mixtures pool                   # goes on where it stopped
    python -m benchmarks.record_text_mixtures repeats                # after the pool
    python -m benchmarks.record_text_mixtures verify mixtures.csv    # columns `name` and one per source; or npz

- ``recordings/text-mixtures.parquet``, the pool that draws of a benchmark are taken from: 200 mixtures under seed 0, in
  turn from a Dirichlet distribution around the proportional mixture p, as RegMix draws (origin ``sizes``: alpha = c p
  with c from 3 to 30), and from the flat one (``flat``); beside them the uniform and the proportional mixture (origin
  ``uniform``, ``proportional``) under seed 0 and under those that judge, 100 to 104. Written after every 20 mixtures.
- ``recordings/text-mixtures-repeats.parquet``: of each draw of runs that a benchmark takes (`drawn`) the first six
  mixtures under seeds 1 and 2, for draws that spend 12 of their runs on other seeds.
- ``recordings/text-mixtures-verified.parquet``: mixtures that were chosen, under seeds 100 to 104, which no fit sees.
  A benchmark asks `verified`, which trains only what no recording holds.
- ``recordings/text-mixtures-tokens.csv``: bytes that each source holds, for `interplay.tokens.Tokens.read`.

Mixtures are rounded to six decimals before they are trained or looked up. All trainings go through
`interplay.evaluate` into ``recordings/raw/text-mixtures.db``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

import interplay as ip

from .text_mixtures import SOURCES, TARGETS, TextMixtures, evaluator

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE / "recordings"
POOL, VERIFIED = RECORDINGS / "text-mixtures.parquet", RECORDINGS / "text-mixtures-verified.parquet"
REPEATS = RECORDINGS / "text-mixtures-repeats.parquet"
TOKENS, STORE = RECORDINGS / "text-mixtures-tokens.csv", RECORDINGS / "raw" / "text-mixtures.db"
DATA = HERE.parent.parent / "shared" / "data"
#: Seeds that judge; they are in no fit.
JUDGES = (100, 101, 102, 103, 104)
MIXTURES, CHUNK, DECIMALS = 200, 20, 6
#: Draws of runs, mixtures of each that are repeated, and the seeds of the repeats.
DRAWS, REPEATED, SEEDS = 10, 6, (1, 2)


def tokens() -> ip.Tokens:
    """Return how many bytes each source holds."""
    return ip.Tokens.read(TOKENS, tuple(SOURCES))


def rounded(weights: ArrayLike) -> np.ndarray:
    """Return mixtures (n, K) as they are trained and looked up."""
    w = np.round(np.atleast_2d(np.asarray(weights, float)), DECIMALS) + 0.0  # -0 is 0
    if w.shape[1] != len(SOURCES) or (w < 0).any() or (np.abs(w.sum(axis=1) - 1) > 1e-4).any():
        raise ValueError(f"weights of shape {w.shape}: rows of {len(SOURCES)} weights >= 0 that sum to one are needed.")
    return w


def anchors(proportional: np.ndarray) -> dict[str, np.ndarray]:
    """Return the two mixtures of which everybody knows the value beforehand."""
    K = len(proportional)
    return {"uniform": rounded(np.full(K, 1 / K))[0], "proportional": rounded(proportional)[0]}


def plan(proportional: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mixtures (200, K) and the origin of each; drawn here, not by `interplay.masks`: they never change."""
    rng = np.random.default_rng(29)
    half = MIXTURES // 2
    sizes = [rng.dirichlet(c * proportional) for c in rng.permutation(np.geomspace(3, 30, half))]
    flat = rng.dirichlet(np.ones(len(proportional)), half)
    mixed = np.stack([sizes, flat], 1).reshape(MIXTURES, -1)
    return rounded(mixed), np.tile(["sizes", "flat"], half)


def pool(data: Path) -> None:
    """Train what the store lacks of the pool, and write the file as it grows."""
    training = evaluator(data)
    held = TextMixtures(data).tokens
    pd.DataFrame({"task": list(held), "tokens": list(held.values())}).to_csv(TOKENS, index=False)
    proportional = tokens().mixture
    parts = []
    for name, w in anchors(proportional).items():
        runs = ip.evaluate(training, w[None], seeds=[0, *JUDGES], store=STORE, tag="pool", progress=False)
        parts.append(replace(runs, origin=np.full(runs.m, name)))
    mixtures, origin = plan(proportional)
    for i in range(0, MIXTURES, CHUNK):
        chunk = mixtures[i : i + CHUNK]
        runs = ip.evaluate(training, chunk, seeds=[0], store=STORE, tag="pool", progress=False)
        assert runs.m == len(chunk), runs.warnings
        parts.append(replace(runs, origin=origin[i : i + CHUNK]))
        whole = _joined(parts)
        whole.write(POOL)
        print(f"{POOL.name}: {whole.m} trainings, {np.sum(whole.cost):.0f} s", flush=True)


def drawn(draw: int) -> np.ndarray:
    """Return the places in the pool's 200 mixtures in the order in which a draw takes them."""
    return np.random.default_rng([11, draw]).permutation(MIXTURES)


def repeats(data: Path) -> None:
    """Train what draws of several seeds repeat."""
    mixtures, origin = plan(tokens().mixture)
    places = np.unique([drawn(draw)[:REPEATED] for draw in range(DRAWS)])
    runs = ip.evaluate(evaluator(data), mixtures[places], seeds=list(SEEDS), store=STORE, tag="repeats", progress=False)
    assert runs.m == len(places) * len(SEEDS), runs.warnings
    replace(runs, origin=np.tile(origin[places], len(SEEDS))).write(REPEATS)


def verified(
    weights: ArrayLike, seeds: Sequence[int] = JUDGES, *, names: Sequence[str] | None = None, data: Path = DATA
) -> np.ndarray:
    """Return what mixtures reach under seeds: looked up, or trained, recorded and written.

    Parameters
    ----------
    weights : array (n, K)
    seeds : sequence of int (S,)
    names : sequence of str (n,), optional
        Origins in the recording; ``chosen`` if not given.
    data : Path
        Where the texts lie, if something must be trained.

    Returns
    -------
    array (n, S, T)
        Targets as in `TARGETS`; `LOSS` is the index of the main one.

    Raises
    ------
    FileNotFoundError
        If some are in no recording and the texts are not at hand.
    """
    asked, which = rounded(weights), [int(seed) for seed in seeds]
    known = _known()
    missing = {}
    for i, w in enumerate(asked):
        for seed in which:
            if (w.tobytes(), seed) not in known:
                missing.setdefault(seed, {}).setdefault(w.tobytes(), i)
    if missing:
        if not (data / "instruct").is_dir():
            n = sum(map(len, missing.values()))
            raise FileNotFoundError(f"{n} trainings are in no recording, and {data} holds no texts; give data=.")
        STORE.parent.mkdir(parents=True, exist_ok=True)
        training = evaluator(data)
        parts = [ip.Evaluations.read(VERIFIED, min_runs=1)] if VERIFIED.exists() else []
        for seed, rows in missing.items():
            index = list(rows.values())
            runs = ip.evaluate(training, asked[index], seeds=[seed], store=STORE, tag="verified", progress=False)
            assert runs.m == len(index), runs.warnings
            origin = np.array(["chosen" if names is None else names[i] for i in index])
            parts.append(replace(runs, kind="mixture", origin=origin))  # one source alone looks like a mask
            _joined(parts).write(VERIFIED)
        known = _known()
    return np.array([[known[w.tobytes(), seed] for seed in which] for w in asked])


#: Index of the main target in the values.
LOSS = TARGETS.index("loss")


def _known() -> dict[tuple[bytes, int], np.ndarray]:
    """Return the values (T,) of each recorded mixture and seed."""
    known = {}
    for path in (POOL, VERIFIED):
        if path.exists():
            runs = ip.Evaluations.read(path, min_runs=1)
            order = [runs.targets.index(target) for target in TARGETS]
            for w, seed, values in zip(rounded(runs.masks), runs.seed.tolist(), runs.values[:, order], strict=True):
                known[w.tobytes(), seed] = values
    return known


def _joined(parts: list[ip.Evaluations]) -> ip.Evaluations:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def listed(path: Path) -> tuple[list[str], np.ndarray]:
    """Read names (n,) and mixtures (n, K) from a csv or an npz file (``names``, ``weights``)."""
    if path.suffix == ".npz":
        with np.load(path) as held:
            return held["names"].astype(str).tolist(), held["weights"]
    frame = pd.read_csv(path)
    return frame["name"].astype(str).tolist(), frame[list(SOURCES)].to_numpy(float)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("pool", "repeats", "verify"))
    parser.add_argument("mixtures", type=Path, nargs="?", help="csv or npz, for verify")
    parser.add_argument("--data", type=Path, default=DATA)
    chosen = parser.parse_args(arguments)
    STORE.parent.mkdir(parents=True, exist_ok=True)
    if chosen.stage == "pool":
        pool(chosen.data)
    elif chosen.stage == "repeats":
        repeats(chosen.data)
    elif chosen.mixtures is None:
        parser.error("verify needs a file of mixtures")
    else:
        names, weights = listed(chosen.mixtures)
        loss = verified(weights, names=names, data=chosen.data)[..., LOSS]
        for name, mean, sd in zip(names, loss.mean(axis=1), loss.std(axis=1, ddof=1), strict=True):
            print(f"{name:30s} {mean:.4f} ({sd:.4f} between seeds)")


if __name__ == "__main__":
    main()
