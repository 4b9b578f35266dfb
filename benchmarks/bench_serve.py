"""Whether people who read `interplay serve` slow the evaluations that it shows.

Workers evaluate masks of 20 tasks, each by 5 ms of work of the processor, into a SQLite store. Meanwhile the page is
served by a process in a session of its own, as from another terminal, and readers ask as the script of the page does:
its state every two seconds, and the page anew whenever its version is another one. All of it on the same machine, since
the page is served to this machine alone.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from interplay import evaluate

from .draws import Run
from .machine import table

ROOT = Path(__file__).resolve().parent.parent
K, ROWS, WORK = 20, 2000, 0.005
READERS, EVERY, ROUNDS = (0, 1, 10, 50), 2.0, 5
WARM = 0.1  # share of the rows that pass before the rate is taken


class Busy:
    """loss = -s'c after 5 ms of work; the moment at which a row ends goes into a log."""

    tasks, targets, fidelity = tuple(f"t{k}" for k in range(K)), ("loss",), "retrained"
    higher_is_better = (False,)

    def __init__(self, log: str):
        self.log = log
        self.notes = {"absent_tasks": "fixed_steps"}

    def fingerprint(self) -> dict[str, object]:
        return {"work": WORK}

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        for _ in masks:
            end = time.thread_time() + WORK
            while time.thread_time() < end:
                pass
            with open(self.log, "a") as file:
                file.write(f"{time.time()}\n")
        noise = [
            np.random.default_rng(int(seed) + int(mask @ 2.0 ** np.arange(K))).normal()
            for mask, seed in zip(masks, seeds, strict=True)
        ]
        return (0.01 * np.array(noise) - masks @ np.linspace(-1, 1, K))[:, None]


def work(store: str, log: str, rows: int, workers: int) -> None:
    """Evaluate so many masks: what a process of its own does."""
    masks = (np.random.default_rng(0).random((rows, K)) < 0.5).astype(float)
    evaluate(Busy(log), masks, store=store, workers=workers, progress=False)


@dataclass
class Reader:
    """Asks a server as the script of the page does, until it is told to stop."""

    port: int
    late: float
    took: list[float] = field(default_factory=list)
    pages: int = 0

    def run(self, stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        version = None
        stop.wait(self.late)
        while not stop.is_set():
            state = json.loads(self.ask(connection, "/state.json"))
            if state["version"] != version:
                self.ask(connection, "/", text=False)
                version, self.pages = state["version"], self.pages + 1
            stop.wait(EVERY)
        connection.close()

    def ask(self, connection: http.client.HTTPConnection, path: str, text: bool = True) -> bytes:
        """Ask, and say how long it took; a browser inflates the answer, which is left out here for the page."""
        began = time.perf_counter()
        connection.request("GET", path, headers={"Accept-Encoding": "identity" if text else "gzip"})
        body = connection.getresponse().read()
        self.took.append(time.perf_counter() - began)
        return body


@contextmanager
def served(store: str) -> Iterator[tuple[int, int]]:
    """The page of a store, by a process in a session of its own; its port and number."""
    words = [sys.executable, "-m", "interplay", "serve", store, "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None, "the server did not start"
        yield int(found[1]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def processor(pid: int) -> float:
    """Seconds of processor that a process had (Linux)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """Evaluations a second, the server's share of one core, and how long readers waited (s) for how many answers."""

    rate: float
    share: float
    took: tuple[float, ...]
    pages: int


def measured(workers: int, readers: int | None, rows: int) -> Seen:
    """Evaluate while so many people read; None: nothing is served."""
    with tempfile.TemporaryDirectory() as folder:
        store, log = str(Path(folder) / "runs.db"), str(Path(folder) / "log")
        work(store, log, 5, 1)  # there is a store to be served
        Path(log).unlink()
        if readers is None:
            rate, _ = _evaluated(store, log, rows, workers)
            return Seen(rate, 0.0, (), 0)
        with served(store) as (port, pid):
            stop, asking = threading.Event(), [Reader(port, EVERY * n / max(readers, 1)) for n in range(readers)]
            threads = [threading.Thread(target=one.run, args=(stop,)) for one in asking]
            for thread in threads:
                thread.start()
            rate, share = _evaluated(store, log, rows, workers, pid)
            stop.set()
            for thread in threads:
                thread.join()
        return Seen(rate, share, tuple(t for one in asking for t in one.took), sum(one.pages for one in asking))


def _evaluated(store: str, log: str, rows: int, workers: int, pid: int | None = None) -> tuple[float, float]:
    """Evaluations a second once they run, and the share of one core that a process had meanwhile."""
    call = f"work({store!r}, {log!r}, {rows}, {workers})"
    program = f"from benchmarks.bench_serve import work\n\nif __name__ == '__main__':\n    {call}\n"
    script = Path(store).with_name("evaluating.py")
    script.write_text(program)
    began, used = time.perf_counter(), processor(pid) if pid else 0.0
    how = {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT)}, "start_new_session": True}
    subprocess.run([sys.executable, str(script)], check=True, **how)  # type: ignore[call-overload]
    passed = time.perf_counter() - began
    share = (processor(pid) - used) / passed if pid else 0.0
    ends = np.sort(np.array(Path(log).read_text().split(), float))[int(WARM * rows) :]
    return float((len(ends) - 1) / (ends[-1] - ends[0])), share


def _beside(seen: list[Seen], others: list[Seen]) -> str:
    """Ratio of evaluations a second round by round: median, least and most."""
    ratios = sorted(one.rate / other.rate for one, other in zip(seen, others, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def report(data: Path, run: Run) -> str:
    """Table of evaluations a second with so many readers."""
    rows, rounds = (300, 1) if run.quick else (ROWS, ROUNDS)
    cases = [(workers, readers) for workers in (1, 2) for readers in (None, *READERS)]
    found: dict[tuple[int, int | None], list[Seen]] = {case: [] for case in cases}
    for _ in range(rounds):  # in turn, so that what else the machine does falls on all
        for case in cases:
            found[case].append(measured(*case, rows))
    lines = []
    for (workers, readers), seen in found.items():
        took = np.array([t for one in seen for t in one.took])
        pages = sum(one.pages for one in seen)
        lines.append(
            [
                workers,
                "nothing is served" if readers is None else readers,
                f"{statistics.median(one.rate for one in seen):.0f}",
                "" if readers is None else _beside(seen, found[workers, None]),
                _beside(seen, found[workers, 0]) if readers else "",
                "" if readers is None else f"{statistics.median(one.share for one in seen):.0%}",
                f"{len(took) / rounds:,.0f}, {pages / rounds:.0f}" if len(took) else "",
                f"{1000 * np.quantile(took, 0.5):.0f}, {1000 * np.quantile(took, 0.99):.0f}" if len(took) else "",
            ]
        )
    head = ["workers", "readers", "evaluations a second", "beside nothing served", "beside no reader"]
    head += ["server, of one core", "requests, of them pages", "answered in ms: median, 99 %"]
    return "\n".join(
        [
            "# Readers of the page while runs come in",
            "",
            f"{rows:,} evaluations of {1000 * WORK:.0f} ms of processor each, median of {rounds} rounds in turn; "
            "ratios are those of one round: their median, least and most. `interplay serve` over the same store, in a "
            "session of its own. Readers ask for the state every two seconds, and for the page whenever it is another.",
            "",
            table(head, lines),
            "",
        ]
    )
