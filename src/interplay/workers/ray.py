"""Jobs on Ray: one actor for each slot, on whatever machines the cluster has; one that dies is replaced."""

from __future__ import annotations

import contextlib
import sys
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
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="interplay ray")

    def submit(self, job: Job) -> Future[Answer]:
        """Hand a job to an actor that is free, or to a new one."""
        return self._threads.submit(self._answer, job)

    def close(self, *, kill: bool) -> None:
        """End the actors; and Ray, where this pool started it."""
        if kill:
            self._end()
        self._threads.shutdown(wait=not kill, cancel_futures=True)
        self._end()
        if self._started:
            self._ray.shutdown()

    def _end(self) -> None:
        for actor in self._free:
            self._ray.kill(actor)
        self._free = []

    def _answer(self, job: Job) -> Answer:
        ray, actor = self._ray, None
        limit = None if self.timeout is None else self.timeout * len(job)
        try:
            actor = self._ready()
            found = ray.get(actor.answer.remote(job.masks, job.seeds), timeout=limit)
        except ray.exceptions.GetTimeoutError:
            ray.kill(actor)
            words = f"took longer than timeout={self.timeout:g} s, and was ended."
            return Answer.failed(len(job), words, float(limit or 0))
        except (ray.exceptions.RayActorError, ray.exceptions.RayTaskError, ray.exceptions.WorkerCrashedError) as error:
            if actor is not None:
                ray.kill(actor)
            raise WorkerDied(f"its Ray actor ended: {str(error).strip().splitlines()[0]}") from None
        self._free.append(actor)
        return found

    def _ready(self) -> Any:
        """Return an actor that stands; a cluster may have less room than there are slots, or take long to make it."""
        ray = self._ray
        with contextlib.suppress(IndexError):
            return self._free.pop()
        actor = self._actor.remote(self._evaluator, sys.path)
        ready = actor.ready.remote()
        while not ray.wait([ready], timeout=1.0)[0]:
            with contextlib.suppress(IndexError):
                free = self._free.pop()
                ray.kill(actor)
                return free
        ray.get(ready)
        return actor


class _Evaluating:
    """What an actor holds: the evaluator, unpacked once."""

    def __init__(self, evaluator: bytes, path: list[str]):
        import pickle

        sys.path[:] = [*sys.path, *(place for place in path if place not in sys.path)]
        self.evaluator = pickle.loads(evaluator)

    def ready(self) -> None:
        """Answer as soon as the actor stands."""

    def answer(self, masks: Any, seeds: Any) -> Answer:
        from .answers import answer

        return answer(self.evaluator, Job(masks, seeds))
