"""Evaluation sets: mean loss of the answers, accuracy over the options of each example, or a user's function.

accuracy   share of examples whose own answer has the lowest loss, mean over its tokens, among the example's options;
           of a classifier, whose own label has the highest logit
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np

from ..evaluators.code import code_of
from ..evaluators.digests import digest
from .adapter import Adapter
from .examples import Rows, tokenise
from .labels import Labels
from .states import States

__all__ = ["Target"]


class Target:
    """One evaluation set.

    Parameters
    ----------
    rows : Rows
    metric : {"loss", "accuracy"} or callable
        A callable gets the losses (n,) and the `Rows`.
    tokenizer, max_length, labels
        See `tokenise`.

    Attributes
    ----------
    examples : Examples
        Rows with their answers or, for the accuracy of a language model, with each of their options.
    states : States
        Of these examples; set by who has the model.
    """

    states: States

    def __init__(
        self,
        rows: Rows,
        metric: str | Callable[..., Any],
        tokenizer: Any,
        max_length: int,
        labels: Labels | None = None,
    ):
        self.rows, self.metric = rows, metric
        self.row = np.arange(len(rows))
        self.right = np.ones(len(rows), bool)
        shown = rows
        if metric == "accuracy" and labels is None:
            if bare := [i for i, options in enumerate(rows.options) if not options or len(options) < 2]:
                raise ValueError(
                    f"targets[{rows.name!r}]: metric is 'accuracy' and row {bare[0]} has no two options (column "
                    "label_options, or columns={'options': ...}). Use metric='loss'."
                )
            every = [(i, option) for i, options in enumerate(rows.options) for option in options or ()]
            self.row = np.array([i for i, _ in every])
            self.right = np.array([option == rows.answers[i] for i, option in every])
            shown = Rows(
                rows.name,
                tuple(rows.prompts[i] for i, _ in every),
                tuple(option for _, option in every),
                (None,) * len(every),
            )
        self.examples = tokenise([shown], tokenizer, max_length=max_length, labels=labels)

    def measure(self, adapter: Adapter) -> float:
        """Return the value of the metric at the adapter's current parameters."""
        if self.metric == "accuracy" and self.examples.labels is not None:
            return float(adapter.measure(self.examples, self.states, adapter.right).mean())
        losses = adapter.measure(self.examples, self.states)
        if self.metric == "loss":
            return float(losses.mean())
        if self.metric != "accuracy":
            assert callable(self.metric)
            return float(self.metric(losses, self.rows))
        best = np.full(len(self.rows), np.inf)
        np.minimum.at(best, self.row, losses)
        right = np.full(len(self.rows), np.inf)
        np.minimum.at(right, self.row[self.right], losses[self.right])
        return float((right <= best).mean())

    def digest(self) -> str:
        """Digest of what is measured."""
        labels = () if self.examples.labels is None else (self.examples.labels,)
        if self.metric == "loss":
            return digest(self.metric, self.examples.ids, self.examples.answer, *labels)
        how = self.metric if isinstance(self.metric, str) else code_of(self.metric)
        seen = (self.row, self.right) if isinstance(how, str) else astuple(self.rows)
        return digest(how, self.examples.ids, self.examples.answer, *seen, *labels)
