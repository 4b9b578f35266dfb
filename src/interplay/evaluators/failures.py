"""What an evaluator raises where one evaluation failed and it can say why."""

from __future__ import annotations

__all__ = ["EvaluationFailed"]


class EvaluationFailed(Exception):
    """One evaluation F(s) failed, for the reason that the message gives; others may go on.

    Use it for failures that a person understands without a traceback. Any other exception of an evaluator counts as
    a failure as well, and its traceback is kept.

    Parameters
    ----------
    message : str
    output : str
        What the evaluation printed before it failed.

    Examples
    --------
    >>> raise EvaluationFailed("the licence server does not answer")
    Traceback (most recent call last):
    interplay.evaluators.failures.EvaluationFailed: the licence server does not answer
    """

    def __init__(self, message: str, output: str = ""):
        super().__init__(message)
        self.output = output
