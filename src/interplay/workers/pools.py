"""Where jobs are evaluated: in this process, in processes of this machine, on Ray, or on any executor of futures.

A pool takes as many jobs at once as it has slots, and answers each with a future. A process that dies, or that takes
longer than the timeout, fails its job alone: another takes its place.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from .answers import Answer, Job, answer

__all__ = ["Executed", "Inline", "Pool", "Processes", "WorkerDied", "first_done", "packed", "pool_of"]

#: What sets the threads of numerical libraries; left as they are where the user set one.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


#: Seconds in which a process that is asked to end may tidy up.
_GRACE = 3.0
#: Where this package lies.
_PACKAGES = str(Path(__file__).resolve().parents[2])


class WorkerDied(RuntimeError):
    """A process that evaluated a job and ended without an answer."""


class Pool(Protocol):
    """What the campaign asks of those who evaluate."""

    slots: int

    def submit(self, job: Job) -> Future[Answer]:
        """Evaluate a job; the future raises `WorkerDied` where there came no answer."""
        ...

    def close(self, *, kill: bool) -> None:
        """End, after the jobs under way, or at once with `kill`."""
        ...


def pool_of(evaluator: Any, workers: int, executor: Any, timeout: float | None) -> Pool:
    """Choose the pool for what the user asks for."""
    if executor == "ray":
        from .ray import RayActors

        return RayActors(evaluator, workers, timeout)
    if executor is not None:
        if timeout is not None:
            raise ValueError("timeout cannot be kept with an executor of yours; leave it out, or let executor be None.")
        return Executed(evaluator, workers, executor)
    if workers == 1 and timeout is None and not getattr(evaluator, "isolated", False):
        return Inline(evaluator)
    return Processes(evaluator, workers, timeout)


def packed(evaluator: Any) -> bytes:
    """Pickle an evaluator for another process; functions of scripts and notebooks by value.

    Raises
    ------
    TypeError
        If it cannot be pickled.
    """
    import cloudpickle

    try:
        return cloudpickle.dumps(evaluator)
    except Exception as error:
        raise TypeError(
            f"{type(evaluator).__name__} cannot be sent to another process ({type(error).__name__}: {error}). Open "
            "files, connections and generators inside its function, or evaluate with workers=1 and no timeout."
        ) from error


class Inline:
    """The process itself, a job at a time."""

    slots = 1

    def __init__(self, evaluator: Any):
        self.evaluator = evaluator

    def submit(self, job: Job) -> Future[Answer]:
        """Evaluate a job before returning."""
        future: Future[Answer] = Future()
        future.set_result(answer(self.evaluator, job))
        return future

    def close(self, *, kill: bool) -> None:
        """Nothing to end."""


class Executed:
    """An executor of the user's: `concurrent.futures`, dask, submitit, mpi4py."""

    def __init__(self, evaluator: Any, workers: int, executor: Any):
        self.slots, self.executor, self._packed = workers, executor, packed(evaluator)
        self._futures: list[Any] = []

    def submit(self, job: Job) -> Future[Answer]:
        """Hand a job to the executor."""
        self._futures = [future for future in self._futures if not future.done()]
        self._futures.append(self.executor.submit(unpacked_answer, self._packed, job))
        return self._futures[-1]

    def close(self, *, kill: bool) -> None:
        """Cancel what has not begun; the executor stays the user's."""
        for future in self._futures:
            future.cancel()


def unpacked_answer(evaluator: bytes, job: Job) -> Answer:
    """Evaluate a job in a process that knows nothing yet."""
    import pickle

    return answer(pickle.loads(evaluator), job)


class Processes:
    """Processes of this machine, each for one job at a time, restarted when they die.

    Parameters
    ----------
    evaluator : Evaluator
    workers : int
    timeout : float or None
        Seconds that one evaluation may take.
    """

    def __init__(self, evaluator: Any, workers: int, timeout: float | None):
        self.slots, self.timeout, self._packed = workers, timeout, packed(evaluator)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="interplay worker")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._closed = False

    def submit(self, job: Job) -> Future[Answer]:
        """Hand a job to a process that is free."""
        return self._threads.submit(self._answer, job)

    def close(self, *, kill: bool) -> None:
        """End all processes, and what they started."""
        if kill:
            self._end()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._closed = True
            children, self._children = self._children, set()
        for child in children:  # all are asked before any is waited for
            child.ask_to_end()
        for child in children:
            child.end()

    def _answer(self, job: Job) -> Answer:
        child: _Child | None = getattr(self._own, "child", None)
        if child is None:
            child = self._own.child = self._born()
        limit = None if self.timeout is None else self.timeout * len(job)
        try:
            return child.ask(job, limit)
        except TimeoutError:
            words = f"took longer than timeout={self.timeout:g} s, and was ended."
            child.ask_to_end()
            self._gone(child)
            if len(job) > 1:
                raise WorkerDied(words) from None
            return Answer.failed(1, words, float(limit or 0))
        except Exception as error:  # the connection ended, or somebody else wrote to it
            raise WorkerDied(self._gone(child)) from error

    def _born(self) -> _Child:
        with self._lock:
            if self._closed:
                raise WorkerDied("the pool is closed")
            child = _Child(max(1, (os.cpu_count() or 1) // self.slots))
            self._children.add(child)
        try:
            child.greet(self._packed)
        except BaseException:
            self._gone(child)
            raise
        return child

    def _gone(self, child: _Child) -> str:
        self._own.child = None
        with self._lock:
            self._children.discard(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(0.5)  # its connection ends a moment before it does
        return child.end()


class _Child:
    """A process of `child`, and the connection to it."""

    def __init__(self, threads: int):
        self._lock = threading.Lock()
        mine, theirs = socket.socketpair()
        life, self._life = os.pipe()
        env = dict(os.environ)
        if not any(name in env for name in _THREADS):
            env |= dict.fromkeys(_THREADS, str(threads))
        start = f"import sys; sys.path.append({_PACKAGES!r}); from interplay.workers.child import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", start, str(theirs.fileno()), str(life)],
            env=env,
            pass_fds=(theirs.fileno(), life),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(life)
        self.connection = Connection(mine.detach())
        self._asked = False

    def greet(self, evaluator: bytes) -> None:
        """Hand over what every job needs."""
        try:
            self.connection.send((sys.path, sys.argv))
            self.connection.send_bytes(evaluator)
            refused = self._received(None)
        except (EOFError, OSError):
            raise WorkerDied(f"a process that should evaluate did not start: {self.end()}") from None
        if refused is not None:
            raise TypeError(f"the evaluator cannot be read in another process: {refused}.")

    def ask(self, job: Job, limit: float | None) -> Answer:
        """Hand over a job and wait for the answer; TimeoutError after so many seconds, EOFError if it ended."""
        self.connection.send(job)
        return self._received(limit)

    def _received(self, limit: float | None) -> Any:
        until = None if limit is None else time.monotonic() + limit
        while not self.connection.poll(0.5 if until is None else min(0.5, max(0.0, until - time.monotonic()))):
            if self.process.poll() is not None and not self.connection.poll(0):
                raise EOFError  # what it forked may hold the connection open
            if until is not None and time.monotonic() >= until:
                raise TimeoutError
        return self.connection.recv()

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process and all that it started."""
        self._asked = True
        self._signal(signal.SIGTERM)

    def end(self) -> str:
        """End the process with all that it started, by force if need be; say how it had ended, if it had."""
        if self._asked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE)
        code = None if self._asked else self.process.poll()
        self._signal(signal.SIGKILL)
        self.process.wait()
        with self._lock:
            if self._life >= 0:
                os.close(self._life)
                self._life = -1
        self.connection.close()
        if code is None:
            return "ended by us"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            return f"its process was ended by signal {name}{'; out of memory?' if name == 'SIGKILL' else ''}"
        return f"its process ended with exit code {code}"

    def _signal(self, number: int) -> None:
        for process in _descendants(self.process.pid):  # those that left the group
            with contextlib.suppress(OSError):
                os.kill(process, number)
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, number)


def _descendants(process: int) -> list[int]:
    """Return the processes that a process started, and those that these did, where the system tells (Linux)."""
    found, todo = [], [process]
    while todo:
        for path in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                own = [int(number) for number in path.read_text().split()]
                found += own
                todo += own
    return found


def first_done(futures: Collection[Any], seconds: float) -> set[Any]:
    """Wait until one of the futures is done, or the seconds are over; return those that are."""
    if all(isinstance(future, Future) for future in futures):
        return concurrent.futures.wait(futures, seconds, return_when=concurrent.futures.FIRST_COMPLETED).done
    until = time.monotonic() + seconds
    while not (done := {future for future in futures if future.done()}) and time.monotonic() < until:
        time.sleep(0.05)
    return done
