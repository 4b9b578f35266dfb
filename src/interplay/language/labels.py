"""Classifiers made of decoders: a linear head, `score`, gives one logit for each label at the last token of a text.

The label is to the head what the next token is to a language model: the one thing predicted at the last place of the
prompt, from a vocabulary of labels. Losses, packed rows and kept states are then those of a language model.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from torch import nn

from ..fields import listed

__all__ = ["HEAD", "Labels", "is_classifier", "labels_of"]

#: Name of the head in the models of `transformers`.
HEAD = "score"
#: What a configuration that names no labels calls them.
DEFAULT = "LABEL_{}"


@dataclass(frozen=True)
class Labels:
    """What a classifier tells apart.

    Attributes
    ----------
    names : tuple of str (L,)
        ``id2label`` of its configuration.
    padding : int or None
        Token that it passes over where it looks for the last one.
    """

    names: tuple[str, ...]
    padding: int | None = None

    def named(self, value: Any, what: str) -> str:
        """Return the label that an answer names; `what` tells the answer in the message.

        Raises
        ------
        ValueError
            If it names none.

        Examples
        --------
        >>> Labels(("LABEL_0", "LABEL_1")).named(1, "'answer' of row 0")
        'LABEL_1'
        >>> Labels(("no", "yes")).named("yes", "'answer' of row 0")
        'yes'
        """
        number = isinstance(value, Integral) and not isinstance(value, bool)
        text = str(int(value)) if number else value
        if isinstance(text, str):
            if text in self.names:
                return text
            if self._unnamed and text in map(str, range(len(self.names))):
                return self.names[int(text)]
        numbers = f", or the numbers 0 to {len(self.names) - 1}" if self._unnamed else ""
        raise ValueError(
            f"{what} is {value!r}, no label of the model; it has {listed([repr(n) for n in self.names], 12)}{numbers}. "
            "Rename the answers, or give the model's configuration other labels (id2label)."
        )

    def number(self, name: str) -> int:
        """Return the place of a label among the logits."""
        return self.names.index(name)

    @property
    def _unnamed(self) -> bool:
        return self.names == tuple(DEFAULT.format(i) for i in range(len(self.names)))


def is_classifier(model: Any) -> bool:
    """Whether a model is one of the classes for sequence classification of `transformers`."""
    return any(kind.__name__.endswith("ForSequenceClassification") for kind in type(model).__mro__)


def labels_of(model: Any) -> Labels | None:
    """Return the labels of a classifier; None for a language model.

    Raises
    ------
    ValueError
        If it is a classifier of another kind than those that can be trained here.
    """
    if not is_classifier(model):
        return None
    if not isinstance(getattr(model, HEAD, None), nn.Linear):
        raise ValueError(
            f"model is a {type(model).__name__}, which is no decoder with a linear head {HEAD!r} on its last token. "
            "Take a classifier made of a causal language model, such as LlamaForSequenceClassification, "
            "Qwen2ForSequenceClassification or GPT2ForSequenceClassification."
        )
    config, L = model.config, int(model.config.num_labels)
    problem = getattr(config, "problem_type", None)
    if L < 2 or problem not in (None, "single_label_classification"):
        raise ValueError(
            f"model has num_labels={L} and problem_type={problem!r}; a classifier is trained by the "
            "cross-entropy of one label of two or more. Load it with num_labels=2 or more, and without problem_type."
        )
    names = tuple(str((config.id2label or {}).get(i, DEFAULT.format(i))) for i in range(L))
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"model calls two labels {twice[0]!r}; give each a name of its own (id2label).")
    return Labels(names, config.get_text_config().pad_token_id)
