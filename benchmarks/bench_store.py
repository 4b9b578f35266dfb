"""The store under kills, many workers and many rows, and many small models trained as one.

Evaluations are those of `tests.evaluators.Additive`: a known value, so many milliseconds, and a line in a log whenever
a row was evaluated, whatever became of it: what the log holds beyond one line a row was paid twice.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from tests.evaluators import Additive, truth
from tests.postgresql import Server, programs

from interplay import Evaluations, Store, attribute, evaluate
from interplay.problems.digits import Digits
from interplay.store import Filter, schema
from interplay.store.claims import Result
from interplay.store.encoding import keys_of, masks_to, values_to

from .draws import Run
from .machine import table, time_text

ROOT = Path(__file__).resolve().parent.parent
ROWS, BATCH, SLOTS = 3000, 2, 2


def design(m: int) -> np.ndarray:
    return np.random.default_rng(0).random((m, 4))


@contextmanager
def places(file: Path) -> Iterator[dict[str, str]]:
    """Addresses of empty stores: SQLite, and PostgreSQL where it is installed."""
    found, server = {"SQLite": str(file)}, None
    if programs() is not None and find_spec("psycopg"):
        server = Server()
        found["PostgreSQL"] = server.address
    try:
        yield found
    finally:
        if server is not None:
            server.close()


def program(place: str, m: int, log: Path, seconds: float, workers: int, tag: str = "") -> str:
    return (
        "import numpy as np\nfrom interplay import evaluate\nfrom tests.evaluators import Additive\n"
        f"masks = np.random.default_rng(0).random(({m}, 4))\n"
        f"evaluator = Additive({seconds}, batch={BATCH}, log={str(log)!r})\n"
        f"evaluate(evaluator, masks, store={place!r}, workers={workers}, tag={tag!r}, progress=False)\n"
    )


def started(code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)


def logged(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def checked(place: str, m: int, tag: str = "") -> list[str]:
    """What is wrong with the rows of a store that should be complete."""
    with Store(place) as store:
        frame, runs = store.frame(tag=tag), store.evaluations(tag=tag)
    wrong = []
    if len(frame) != m or frame[["web", "code", "books", "wiki"]].duplicated().any():
        wrong.append(f"{len(frame)} rows of {m}")
    if not frame["status"].eq("done").all():
        wrong.append(f"{(frame['status'] != 'done').sum()} not done")
    if not np.allclose(runs.values, truth(runs.masks, runs.seed), rtol=1e-12):
        wrong.append("other values")
    return wrong


def kills(name: str, place: str, folder: Path, wanted: int) -> list[object]:
    """Kill the process that evaluates, with two workers, at random moments; all rows done, a new table begins."""
    rng, log = np.random.default_rng(1), folder / f"{name}.log"
    killed = gone = rounds = again = done = 0
    wrong: list[str] = []
    while killed < wanted:
        tag = f"round {rounds}"
        running = started(program(place, ROWS, log, 0.01, SLOTS, tag))
        time.sleep(0.8 + 1.2 * rng.random())
        if running.poll() is None:
            running.kill()
            killed += 1
        running.wait()
        with Store(place) as store:
            now = sum(n["done"] for problem, n in store.problems() if problem.tag == tag)
        gone, done = gone + (now < done), now
        if running.returncode == 0 or killed == wanted:
            assert started(program(place, ROWS, log, 0.0, 1, tag)).wait() == 0
            again += logged(log) - ROWS
            wrong += checked(place, ROWS, tag)
            rounds, done = rounds + 1, 0
            log.unlink()
    twice = f"{again} ({again / killed:.2f} a kill)"
    return [name, killed, rounds, gone, twice, ", ".join(wrong) or "the same"]


def together(name: str, place: str, folder: Path, m: int) -> list[object]:
    """Let four processes evaluate the same rows in one store, or Ray with four workers."""
    log = folder / f"{name}-together.log"
    began = time.perf_counter()
    if name == "Ray":
        evaluate(Additive(0.002, log=str(log)), design(m), store=place, workers=4, executor="ray", progress=False)
    else:
        running = [started(program(place, m, log, 0.002, 1)) for _ in range(4)]
        assert all(process.wait() == 0 for process in running)
    seconds = time.perf_counter() - began
    return [name, logged(log) - m, ", ".join(checked(place, m)) or "the same", time_text(seconds)]


def overhead(folder: Path, m: int) -> list[list[object]]:
    """Claims and results a second, one transaction for each, and in whole calls of `evaluate`."""
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE r (id INTEGER PRIMARY KEY, s, v)"
    )
    bare.executemany("INSERT INTO r VALUES (?, 0, NULL)", [(i,) for i in range(m)])
    began = time.perf_counter()
    for i in range(m):
        bare.execute("UPDATE r SET s = 1 WHERE id = ?", (i,))
        bare.execute("UPDATE r SET s = 2, v = ? WHERE id = ?", (b"x" * 8, i))
    fastest = m / (time.perf_counter() - began)
    rows: list[list[object]] = [["sqlite3 alone, two updates by number", f"{fastest:,.0f}", "1"]]
    masks = design(m)
    store = Store(folder / "claims.db")
    problem = store.settle(Additive(), Additive.tasks)
    claims = store.claims(problem, store.enlist(problem, masks, np.zeros(m, int)), retries=1)
    began = time.perf_counter()
    while got := claims.claim(1):
        claims.record([Result(got[0], np.ones(1), 0.0)])
    rate = m / (time.perf_counter() - began)
    claims.release()
    rows.append(["a claim and a result, one by one", f"{rate:,.0f}", f"{rate / fastest:.2f}"])
    for workers in (1, 2):
        began = time.perf_counter()
        evaluate(Additive(), masks, store=folder / f"w{workers}.db", workers=workers, progress=False)
        rate = m / (time.perf_counter() - began)
        name = "evaluate(), in its own process" if workers == 1 else "evaluate(workers=2), with their start"
        rows.append([name, f"{rate:,.0f}", f"{rate / fastest:.2f}"])
    return rows


def fill(place: Path, m: int, K: int) -> None:
    """Write a store of a large problem of m done rows, and a small one of 60 under the tag 'small'."""
    rng = np.random.default_rng(0)
    masks = (rng.permutation(2**K)[:m][:, None] >> np.arange(K) & 1).astype(float)
    values = masks @ rng.normal(size=(K, 2)) + 0.1 * rng.normal(size=(m, 2))
    with Store(place) as store:
        for tag, n in (("large", m), ("small", 60)):
            evaluator = Additive(tasks=tuple(f"task_{k}" for k in range(K)), targets=("loss", "acc"))
            problem = store.settle(evaluator, evaluator.tasks, tag)
            encoded, seeds = masks_to(masks[:n]), np.arange(n) % 2
            fixed = {"problem": problem.id, "status": schema.DONE, "attempts": 0, "losses": 0, "cost": 1.0}
            rows = [
                {"key": key, "mask": mask, "seed": seed, "measured": values_to(value), "started": 0.0, "ended": 1.0}
                | fixed
                for key, mask, seed, value in zip(
                    keys_of(encoded, seeds), encoded, seeds.tolist(), values[:n], strict=True
                )
            ]
            store.database.write(lambda c, rows=rows: c.execute(sa.insert(schema.runs), rows))


def million(folder: Path, m: int) -> list[list[object]]:
    """Seconds of listing, filtering, reading and attributing in a store of so many rows."""
    place = folder / "million.db"
    fill(place, m, 20)
    store = Store(place)
    rows: list[list[object]] = []

    def timed(what: str, call, count=len) -> object:
        began = time.perf_counter()
        found = call()
        rows.append([what, f"{count(found):,}", time_text(time.perf_counter() - began)])
        return found

    timed("count by status, all problems", store.problems, lambda found: sum(n["done"] for _, n in found))
    timed("the last 20 rows", lambda: store.frame(tag="large", last=20))
    timed("the last 20 without a task", lambda: store.frame(tag="large", last=20, which=Filter(without=["task_3"])))
    timed(
        "runs of one seed with a task", lambda: store.evaluations(tag="large", which=Filter(["done"], [1], ["task_3"]))
    )
    runs = timed("all runs", lambda: store.evaluations(tag="large"))
    assert isinstance(runs, Evaluations)
    timed("read and attribute the problem of 60 runs", lambda: attribute(store.evaluations(tag="small")), lambda _: 60)
    path = runs.write(folder / "million.parquet")
    timed("beside it: all runs from Parquet", lambda: Evaluations.read(path))
    return rows


def batched(models: int) -> list[list[object]]:
    """Seconds of training so many small models one at a time, and as one, with a thread for each core."""
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    problem = Digits(0)
    masks = (np.random.default_rng(0).random((models, problem.K)) < 0.9).astype(float)
    seeds = np.zeros(models, int)
    rows, values = [], {}
    for batch_size in (None, 64):
        for stack in (1, models):
            evaluator = problem.retrain(stack=stack, batch_size=batch_size)
            began = time.perf_counter()
            values[stack] = evaluator.evaluate(masks, seeds)
            rows.append([batch_size or "all", stack, time.perf_counter() - began])
        one, many = rows[-2], rows[-1]
        largest = np.abs(values[1] - values[models]).max()
        for row, ratio in ((one, 1.0), (many, one[2] / many[2])):
            row[2:] = [time_text(row[2]), f"{ratio:.1f}", "0" if row is one else f"{largest:.1g}"]
    return rows


def report(data: Path, run: Run) -> str:
    wanted, m, many, models = (10, 200, 20_000, 10) if run.quick else (200, 2000, 10**6, 50)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with places(folder / "killed.db") as found:
            killed = [kills(n, place, folder, wanted if n == "SQLite" else wanted // 4) for n, place in found.items()]
        with places(folder / "together.db") as found:
            crowd = {**found, **({"Ray": str(folder / "ray.db")} if find_spec("ray") else {})}
            crowded = [together(n, place, folder, m) for n, place in crowd.items()]
        fast, large = overhead(folder, m), million(folder, many)
    return (
        "# Evaluations that survive\n\n"
        f"{ROWS:,} evaluations of 10 ms, two at a time in two processes; their parent is killed (SIGKILL) at random "
        "moments, and the next one goes on. Evaluated twice: rows in flight when a kill came, two batches of two at "
        "most. The table after the last one is compared with the known values.\n\n"
        + table(
            ["store", "kills", "tables", "times that done rows were gone", "evaluated twice", "tables in the end"],
            killed,
        )
        + f"\nFour processes on one store, and Ray with four workers, {m:,} evaluations of 2 ms. Wanted: none "
        "twice.\n\n"
        + table(["store", "evaluated twice", "table", "time, with start-up"], crowded)
        + "\nClaims and results a second on SQLite, every result synced to the disk. Wanted: 500.\n\n"
        + table(["", "a second", "of sqlite3 alone"], fast)
        + f"\nA store of {many:,} runs of 20 tasks and two targets. Wanted: 10 s.\n\n"
        + table(["", "rows", "time"], large)
        + f"\n{models} models of the digits problem, 500 steps, one at a time and as one stack, a thread "
        "for each core. Wanted: 3 times as fast.\n\n"
        + table(["examples a step", "models at once", "time", "times as fast", "largest difference"], batched(models))
    )
