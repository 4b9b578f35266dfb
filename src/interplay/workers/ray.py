"""Jobs on Ray: one actor for each slot, on whatever machines the cluster has; one that dies is replaced."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .answers import Answer, Job
from .pools import WorkerDied, packed

__all__ = ["RayActors"]


class RayActors:
    """Actors of a Ray cluster, each for one job at a time.

    Uses the cluster that this process is connected to, that of ``RAY_ADDRESS``, or one that it starts on this machine.
    What an evaluation needs of it (a GPU, memory) is set on the evaluator: ``evaluator.ray_options = {"num_gpus": 1}``.

    Parameters
    ----------
    evaluator : Evaluator
    workers : int
    timeout : float or None
        Seconds that one evaluation may take, from when its actor is there.
    """

    def __init__(self, evaluator: Any, workers: int, timeout: float | None):
        try:
            import ray
        except ImportError:
            raise ImportError("executor='ray' needs Ray: pip install 'interplay[ray]'.") from None
        self.slots, self.timeout, self._ray = workers, timeout, ray
        self._started = not ray.is_initialized()
        if self._started:
            ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
        self._evaluator = ray.put(packed(evaluator))
        options = {"num_cpus": 1, **getattr(evaluator, "ray_options", {}), "max_restarts": 0, "max_task_retries": 0}
        self._actor = ray.remote(**options)(_Evaluating)
        self._free: list[Any] = []
        self._actors: list[Any] = []
        self._lock, self._closed = threading.Lock(), False
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="interplay ray")

    def submit(self, job: Job) -> Future[Answer]:
        """Hand a job to an actor that is free, or to a new one."""
        return self._threads.submit(self._answer, job)

    def close(self, *, kill: bool) -> None:
        """End the actors; and Ray, where this pool started it."""
        if kill:
            self._end()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._end()
        if self._started:
            self._ray.shutdown()

    def _end(self) -> None:
        with self._lock:
            self._closed = True
            actors, self._actors, self._free = self._actors, [], []
        for actor in actors:
            self._ray.kill(actor)

    def _answer(self, job: Job) -> Answer:
        ray, actor = self._ray, None
        limit = None if self.timeout is None else self.timeout * len(job)
        try:
            actor = self._ready()
            found = ray.get(actor.answer.remote(job.masks, job.seeds), timeout=limit)
        except ray.exceptions.GetTimeoutError:
            words = f"took longer than timeout={self.timeout:g} s, and was ended."
            self._kill(actor)
            if len(job) > 1:
                raise WorkerDied(words) from None
            return Answer.failed(1, words, float(limit or 0))
        except ray.exceptions.RayError as error:
            self._kill(actor)
            raise WorkerDied(f"its Ray actor ended: {str(error).strip().splitlines()[0]}") from None
        with self._lock:
            self._free.append(actor)
        return found

    def _ready(self) -> Any:
        """Return an actor that stands; a cluster may have less room than there are slots, or take long to make it."""
        if (free := self._taken()) is not None:
            return free
        with self._lock:
            if self._closed:
                raise WorkerDied("the pool is closed")
            actor = self._actor.remote(self._evaluator, sys.path, sys.argv)
            self._actors.append(actor)
        ready = actor.ready.remote()
        while not self._ray.wait([ready], timeout=1.0)[0]:
            if (free := self._taken()) is not None:
                self._kill(actor)
                return free
        self._ray.get(ready)
        return actor

    def _taken(self) -> Any:
        with self._lock:
            return self._free.pop() if self._free else None

    def _kill(self, actor: Any) -> None:
        with self._lock:
            self._actors = [other for other in self._actors if other is not actor]
        if actor is not None:
            self._ray.kill(actor)


class _Evaluating:
    """What an actor holds: the evaluator, unpacked once."""

    def __init__(self, evaluator: bytes, path: list[str], words: list[str]):
        import pickle

        sys.argv[:] = words
        sys.path[:] = [*sys.path, *(place for place in path if place not in sys.path)]
        self.evaluator = pickle.loads(evaluator)

    def ready(self) -> None:
        """Answer as soon as the actor stands."""

    def answer(self, masks: Any, seeds: Any) -> Answer:
        from .answers import answer

        return answer(self.evaluator, Job(masks, seeds))
