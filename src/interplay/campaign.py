"""All evaluations of a design, whatever happens on the way: `evaluate`.

    enlist (mask, seed) in the store -> claim -> evaluate in a pool -> record -> until none of them is open

What the store holds is not evaluated again. Several processes, on one machine or many, may do this for one store at the
same time: each claims what is free, waits for what others have claimed, and takes over what was claimed by the dead.
The table that comes back is the same whoever evaluated what.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .fields import EvaluationsError, as_names
from .progress import Progress
from .requests import check_evaluator, check_how, check_masks, check_seeds, check_table
from .signals import Signals, Terminated
from .store import Store
from .store.claims import HURRY, Claim, Claims, Result
from .store.database import StoreUnavailable, logger
from .workers.answers import Answer, Job
from .workers.pools import Pool, WorkerDied, first_done, pool_of

if TYPE_CHECKING:
    from .evaluations import Evaluations
    from .evaluators import Evaluator

__all__ = ["EvaluationsFailed", "Interrupted", "evaluate"]

#: Evaluations that fail before the first success, after which nothing more is tried: the mistake is not in a mask.
GIVE_UP = 3
#: Seconds of work that are claimed and recorded together where evaluations are short.
TOGETHER = 0.02
_MOST = 500


class EvaluationsFailed(RuntimeError):
    """Nothing could be evaluated; the message holds the last failure."""


class Interrupted(KeyboardInterrupt):
    """Stopped by Ctrl-C, cleanly; the message says what is recorded and how to go on."""


def evaluate(
    evaluator: Evaluator,
    masks: ArrayLike,
    *,
    seeds: int | Sequence[int] = 1,
    store: str | Path | Store | None = None,
    tag: str = "",
    accept_changed: bool = False,
    workers: int = 1,
    executor: Any = None,
    retries: int = 1,
    timeout: float | None = None,
    progress: bool | Callable[[int, int], None] = True,
) -> Evaluations:
    """Evaluate every mask under every seed, resumably.

    Parameters
    ----------
    evaluator : Evaluator
        Ours (`interplay.evaluators`), or any object with ``tasks``, ``targets``, ``fidelity``, ``fingerprint()`` and
        ``evaluate(masks, seeds)``.
    masks : (m, K) array
        Masks, mixtures or weights.
    seeds : int or sequence of int
        How many seeds (0, 1, ...), or which ones. The same seed reaches every mask.
    store : path, address or Store, optional
        Where results are kept, and found again: ``"runs.db"``, or ``"postgresql://user@host/runs"`` for several
        machines. Call it again after an interruption, or in several processes at once. Without one, results live
        only as long as the call.
    tag : str
        Tells problems in one store apart whose evaluators differ.
    accept_changed : bool
        Go on where the evaluator's settings or code differ from those of the runs in the store: you know that the
        change touches no value.
    workers : int
        Evaluations at once. One, without a timeout, happens in this process; more in processes of their own.
    executor : None, "ray" or an executor
        Where workers run: processes of this machine, actors of a Ray cluster, or anything with
        ``submit(function, *arguments) -> future``.
    retries : int
        How often a failed evaluation is tried again; then it is kept as failed.
    timeout : float, optional
        Seconds that one evaluation may take; then its process is ended, and that is a failure.
    progress : bool or callable
        True: a bar on a terminal, a line a minute elsewhere, both on standard error and only if it takes some seconds.
        A callable is called as ``progress(done, total)``.

    Returns
    -------
    Evaluations
        One row per (mask, seed), all masks of the first seed first; ``cost`` in seconds. What failed is left out, and
        said in ``warnings``.

    Raises
    ------
    EvaluationsFailed
        If nothing could be evaluated.
    ProblemMismatch
        If the store holds runs of another evaluator under this tag and fidelity; says what differs.
    StoreUnavailable
        If the database cannot be reached, or did not come back.
    Interrupted
        After Ctrl-C; a `KeyboardInterrupt`.
    TypeError, ValueError
        If ``evaluator`` lacks a part of the protocol, or an argument is none that it can be.

    Examples
    --------
    >>> from interplay.problems import games
    >>> runs = evaluate(games.additive_game([0.5, -0.2]), [[1, 1], [0, 1]])
    >>> runs.values[:, 0].round(6).tolist()
    [0.3, -0.2]
    """
    check_how(workers=workers, retries=retries, timeout=timeout, executor=executor, tag=tag)
    check_evaluator(evaluator, stored=store is not None)
    designs, which = check_masks(masks, evaluator.tasks), check_seeds(seeds)
    tasks = list(evaluator.tasks or [f"task_{k}" for k in range(designs.shape[1])])
    check_table(designs, tasks, evaluator.targets)
    rows, row_seeds = np.tile(designs, (len(which), 1)), np.repeat(which, len(designs))
    with _opened(store) as held:
        problem = held.settle(evaluator, tasks, tag, accept_changed=accept_changed)
        ids = np.array(list(dict.fromkeys(held.enlist(problem, rows, row_seeds).tolist())))
        campaign = _Campaign(evaluator, held, problem, ids, progress)
        if campaign.open():
            campaign.run(lambda: pool_of(evaluator, workers, executor, timeout), retries)
        twice = len(rows) - len(ids)
        said = [f"{twice} of {len(rows)} masks are listed twice; each was evaluated once."] if twice else []
        return campaign.table(said)


class _Campaign:
    """One call of `evaluate`."""

    def __init__(self, evaluator: Any, store: Store, problem: Any, ids: np.ndarray, progress: Any):
        self.evaluator, self.store, self.problem, self.ids = evaluator, store, problem, ids
        self._progress = progress
        self._done = self._failed = 0
        self._noted: dict[str, Any] = dict(problem.notes)
        self._complaint = ""
        self._errors: dict[int, str] = {}
        self._recorded = time.monotonic()
        self._evaluated, self._seconds = 0, 0.0  # in this call

    def open(self) -> bool:
        """Count again what is done; tell whether anything is still to come."""
        n = self.store.standing(self.problem, self.ids)
        self._done, self._failed = n["done"], n["failed"]
        return n["queued"] + n["running"] > 0

    def run(self, pool: Callable[[], Pool], retries: int) -> None:
        """Claim, evaluate and record until nothing is open."""
        shown = Progress(len(self.ids), self._done, self._progress)
        claims = self.store.claims(self.problem, self.ids, retries=retries)
        results: list[Result] = []
        crew = None
        try:
            with Signals() as signals:
                crew = pool()
                self._loop(claims, crew, shown, results, signals)
        except BaseException as error:
            if crew is not None:
                crew.close(kill=True)
            with self.store.database.hurried(HURRY):
                try:
                    claims.record(results)
                    self.open()
                except StoreUnavailable as away:
                    logger.warning("%s", away)
            if isinstance(error, KeyboardInterrupt | Terminated):
                self._say_stopped(error)
            raise
        else:
            crew.close(kill=False)
        finally:
            claims.release()
            shown.close()

    def _loop(self, claims: Claims, pool: Pool, shown: Progress, results: list[Result], signals: Signals) -> None:
        batch = max(1, int(getattr(self.evaluator, "batch", 1)))
        waiting: deque[list[Claim]] = deque()
        under_way: dict[Any, list[Claim]] = {}
        while True:
            while len(under_way) < pool.slots:
                if not waiting:
                    claimed = claims.claim(batch * max(pool.slots - len(under_way), self._ahead() // batch))
                    waiting.extend(claimed[i : i + batch] for i in range(0, len(claimed), batch))
                if not waiting:
                    break
                part = waiting.popleft()
                job = Job(np.array([claim.mask for claim in part]), np.array([claim.seed for claim in part], np.int64))
                under_way[pool.submit(job)] = part
                signals.check()
            if not under_way:
                self._record(claims, results, shown)
                if not self.open():
                    return
                claims.failed = 0  # they are counted now
                shown.update(self._done, self._failed)
                time.sleep(min(0.5, claims.patience / 4))  # the rest is with other workers
                continue
            for future in first_done(list(under_way), 0.5):
                part = under_way.pop(future)
                try:
                    answer = future.result()
                except BrokenExecutor as error:
                    raise EvaluationsFailed(f"the executor is broken ({error}); give a new one.") from error
                except TypeError:  # what cannot be sent to a worker
                    raise
                except Exception as error:
                    if len(part) > 1:  # each by itself, so that only the row that does it fails
                        waiting.extend([claim] for claim in part)
                        continue
                    how = error if isinstance(error, WorkerDied) else f"{type(error).__name__}: {error}"
                    answer = Answer.failed(1, f"the worker died: {how}.")
                results.extend(self._results(part, answer))
            late = time.monotonic() - self._recorded > TOGETHER
            if results and (late or not waiting or results[-1].error is not None):
                self._record(claims, results, shown)
            else:
                shown.update(self._done, self._failed + claims.failed)

    def _results(self, part: list[Claim], answer: Answer) -> Iterator[Result]:
        order, wrong = self._aligned(answer)
        if answer.complaint and answer.complaint != self._complaint:
            self._complaint = answer.complaint
            logger.warning("%s", answer.complaint)
        if answer.notes and answer.notes != self._noted:
            self._noted = answer.notes
            self.problem = self.store.note(self.problem, answer.notes)
        for claim, values, error, seconds, output in zip(
            part, answer.values, answer.errors, answer.seconds, answer.outputs, strict=True
        ):
            words = error or wrong
            if words is not None:
                words = self._errors[claim.id] = self.store.database.scrub(words)
            kept = None if words is not None or values is None else values[order]
            yield Result(claim, kept, seconds, words, output)

    def _aligned(self, answer: Answer) -> tuple[np.ndarray | None, str | None]:
        """Return the order that puts values under the problem's targets, or what is wrong with their names."""
        if answer.targets is None:
            return None, None
        if self.problem.targets is None:
            try:
                as_names(answer.targets, "targets", len(answer.targets))
            except EvaluationsError as error:
                return None, str(error)
            self.problem = self.store.learn(self.problem, answer.targets)
        mine, theirs = self.problem.targets or (), answer.targets
        if set(mine) != set(theirs):
            missing, extra = [t for t in mine if t not in theirs], [t for t in theirs if t not in mine]
            words = [
                f"{what} {', '.join(map(repr, names[:4]))}"
                for what, names in (("lacks the target", missing), ("has the unknown target", extra))
                if names
            ]
            return None, f"the result {' and '.join(words)}; other runs of this problem have {', '.join(mine[:6])}."
        return np.array([theirs.index(target) for target in mine]), None

    def _record(self, claims: Claims, results: list[Result], shown: Progress) -> None:
        if not results:
            return
        claims.record(results)
        self._recorded = time.monotonic()
        self._evaluated += len(results)
        self._seconds += sum(result.seconds for result in results)
        self._done += sum(result.error is None for result in results)
        results.clear()
        if self.problem.targets is not None:
            _ = self.problem.directions  # a name that stands for no target is said now, not when all is done
        if self._done == 0 and len(self._errors) >= GIVE_UP:
            raise EvaluationsFailed(
                f"the first {len(self._errors)} evaluations failed, none succeeded; nothing more is tried. The last "
                f"failure: {_reason(list(self._errors.values())[-1])}"
            )
        shown.update(self._done, self._failed + claims.failed)

    def _ahead(self) -> int:
        """How many evaluations last so long that claiming and recording them together saves time."""
        return min(int(TOGETHER * self._evaluated / max(self._seconds, 1e-9)), _MOST)

    def _say_stopped(self, error: BaseException) -> None:
        where = self.store.where if self.store.lasting else None
        kept = f"{self._done} of {len(self.ids)} evaluations are in {where}; run the same again to go on"
        words = f"stopped: {kept if where else 'without a store nothing is kept; pass store='}."
        if isinstance(error, Terminated):
            logger.warning("%s", words)
        else:
            raise Interrupted(words) from None

    def table(self, said: Sequence[str]) -> Evaluations:
        """Return what is done, in the order in which it was asked for; say what failed."""
        runs = self.store.measured(self.problem, self.ids)
        failed = self.store.failures(self.problem, self.ids)
        if (gone := len(self.ids) - len(failed) - (0 if runs is None else len(runs))) > 0:
            raise EvaluationsFailed(f"{gone} of {len(self.ids)} evaluations were deleted from {self.store.where}.")
        how = "run the same with a store (store=, --store)"
        if self.store.lasting:
            how = f"`interplay runs {quote(self.store.where)} --retry`"
        if runs is None:
            reason = _reason(failed[-1][1])
            if len(failed) == 1:
                raise EvaluationsFailed(f"the evaluation failed; to try it again: {how}. The failure: {reason}")
            raise EvaluationsFailed(
                f"all {len(failed)} evaluations failed; to try them again: {how}. The last failure: {reason}"
            )
        if failed:
            from .report.store import last_words

            said = [
                *said,
                f"{len(failed)} of {len(self.ids)} evaluations failed and are left out "
                f"({last_words(failed[-1][1])}); to try them again: {how}.",
            ]
        return replace(runs, warnings=(*runs.warnings, *said))


def _reason(error: str) -> str:
    """A failure with its last words in its first line, and below that what else it says."""
    from .report.store import last_words

    lines, last = error.strip().split("\n"), last_words(error)
    if len(lines) == 1:
        return lines[0]
    if lines[0].startswith("Traceback"):
        return "\n".join([last, *lines])
    below = [] if len(lines) == 3 and lines[2].strip() == last else lines[1:]
    return "\n".join([f"{lines[0].rstrip('.')}: {last}", *below])


@contextmanager
def _opened(store: str | Path | Store | None) -> Iterator[Store]:
    if isinstance(store, Store):
        yield store
    elif store is not None:
        with Store(store) as held:
            yield held
    else:
        with tempfile.TemporaryDirectory(prefix="interplay-") as folder, Store(Path(folder) / "runs.db") as held:
            held.lasting = False
            yield held
