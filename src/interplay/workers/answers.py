"""What an evaluator answers to a batch of rows: values of those that went well, words for those that did not."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..evaluators.failures import EvaluationFailed
from ..fields import EvaluationsError, as_notes
from ..signals import Terminated

__all__ = ["Answer", "Job", "answer", "traceback_of"]

#: Characters of a traceback or of what a run printed that are kept.
KEPT = 64 * 1024


@dataclass(frozen=True)
class Job:
    """Rows to evaluate: masks (b, K) and seeds (b,)."""

    masks: np.ndarray
    seeds: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    def row(self, i: int) -> Job:
        """Return one row as a job of its own."""
        return Job(self.masks[i : i + 1], self.seeds[i : i + 1])


@dataclass
class Answer:
    """What came of a job.

    Attributes
    ----------
    values : list (b,)
        An array (T,), or None where the row failed.
    errors : list (b,)
        Words of the failure, or None.
    seconds : list (b,)
    outputs : list (b,)
        What each run printed, where the evaluator keeps it.
    targets : tuple of str, or None
        Names of the values.
    notes : dict
        The evaluator's facts after the job.
    complaint : str
        Why there are none.
    """

    values: list[np.ndarray | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    outputs: list[str | None] = field(default_factory=list)
    targets: tuple[str, ...] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    complaint: str = ""

    def add(self, other: Answer) -> None:
        """Put the rows of another answer behind these."""
        for name in ("values", "errors", "seconds", "outputs"):
            getattr(self, name).extend(getattr(other, name))
        self.targets, self.notes = other.targets or self.targets, other.notes or self.notes
        self.complaint = other.complaint or self.complaint

    @classmethod
    def failed(cls, b: int, error: str, seconds: float = 0.0, output: str | None = None) -> Answer:
        """Answer that all b rows of a job failed for one reason."""
        return cls([None] * b, [error[-KEPT:]] * b, [seconds / b] * b, [output] * b)


def answer(evaluator: Any, job: Job) -> Answer:
    """Evaluate a job; an exception is an answer as well, but for those that mean to end the process.

    Where an evaluator fails on several rows together, each is evaluated by itself, so that the good ones are kept.
    """
    began = time.perf_counter()
    try:
        values = np.asarray(evaluator.evaluate(job.masks.copy(), job.seeds.copy()), float)
        targets = None if evaluator.targets is None else tuple(evaluator.targets)
        _check_shape(values, len(job), targets)
    except (Exception, SystemExit) as error:  # a script that calls sys.exit has failed
        if isinstance(error, Terminated):
            raise
        seconds = time.perf_counter() - began
        if len(job) > 1:
            found = Answer()
            for i in range(len(job)):
                found.add(answer(evaluator, job.row(i)))
            return found
        words = str(error) if isinstance(error, EvaluationFailed) else traceback_of(error)
        return Answer.failed(1, words, seconds, error.output or None if isinstance(error, EvaluationFailed) else None)
    b, seconds = len(job), time.perf_counter() - began
    printed = getattr(evaluator, "outputs", None)
    errors = [_fault(row, targets or ()) for row in values]
    try:
        notes, complaint = as_notes(getattr(evaluator, "notes", {})), ""
    except (EvaluationsError, TypeError, ValueError) as error:
        notes, complaint = {}, f"{error} They are not kept."
    return Answer(
        values=[row if error is None else None for row, error in zip(values, errors, strict=True)],
        errors=errors,
        seconds=[seconds / b] * b,
        outputs=[text or None for text in printed] if printed is not None and len(printed) == b else [None] * b,
        targets=targets,
        notes=notes,
        complaint=complaint,
    )


def traceback_of(error: BaseException) -> str:
    """Write an exception with its traceback; one that cannot be written by its kind alone."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return f"{type(error).__name__}, which cannot be shown"


def _check_shape(values: np.ndarray, b: int, targets: Sequence[str] | None) -> None:
    if targets is None:
        raise ValueError("the evaluator has targets None after an evaluation; name them there.")
    if values.shape != (b, len(targets)):
        raise ValueError(
            f"the evaluator returned shape {values.shape} for {b} masks and {len(targets)} targets; it must return "
            f"({b}, {len(targets)})."
        )


def _fault(row: np.ndarray, targets: Sequence[str]) -> str | None:
    bad = [f"{name!r} is {value}" for name, value in zip(targets, row.tolist(), strict=True) if not np.isfinite(value)]
    if not bad:
        return None
    more = f", and {len(bad) - 4} more" if len(bad) > 4 else ""
    return (
        f"not finite: target {', '.join(bad[:4])}{more}. Did the training diverge? Lower its learning rate, or leave "
        "the mask out."
    )
