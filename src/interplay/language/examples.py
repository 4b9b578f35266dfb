"""Prompts with answers as tokens: read from JSONL files, `datasets.Dataset`s or lists of rows, and checked.

The text of an example is ``prompt + " " + answer``. Its answer tokens are those behind the longest common prefix with
the tokens of the prompt alone, and the loss of an example is the mean cross-entropy of its answer tokens. For a
classifier the text is the prompt, and the answer one of its `Labels`, predicted at the last token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .labels import Labels

__all__ = ["Examples", "Rows", "json_lines", "read_rows", "tokenise"]

#: Names of the columns that are read: text before the answer, the answer, and (for accuracy) the possible answers.
COLUMNS = {"prompt": "prompt", "answer": "answer", "options": "label_options"}


@dataclass(frozen=True)
class Rows:
    """Text of a data set.

    Attributes
    ----------
    name : str
    prompts, answers : tuple of str (n,)
    options : tuple of (tuple of str or None) (n,)
        The possible answers of each example, where it has any.
    """

    name: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    options: tuple[tuple[str, ...] | None, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.name, self.prompts[rows], self.answers[rows], self.options[rows])


@dataclass(frozen=True, eq=False)
class Examples:
    """Token sequences with their answers.

    Attributes
    ----------
    ids : list of (l_i,) int arrays
    answer : (n,) int array
        Position of the first answer token.
    group : (n,) int array
        Data set of each example.
    names : tuple of str
        Names of the data sets.
    cut : dict of str to int
        Examples of each data set whose answer was cut off by the length limit.
    shortened : dict of str to int
        Examples whose prompt lost tokens at its beginning.
    labels : (n,) int array, or None
        What a classifier is to say at the token before ``answer``, behind which there is then nothing to predict.
    """

    ids: list[np.ndarray]
    answer: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]
    cut: Mapping[str, int] = field(default_factory=dict)
    shortened: Mapping[str, int] = field(default_factory=dict)
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each example, ``(n,)``."""
        return np.array([len(ids) for ids in self.ids])

    @property
    def counts(self) -> np.ndarray:
        """Number of examples of each data set."""
        return np.bincount(self.group, minlength=len(self.names))

    def predicted(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of an example at which something is predicted, and what: tokens, or its label."""
        ids, first = self.ids[i], int(self.answer[i])
        if self.labels is not None:
            return np.array([first - 1]), self.labels[[i]]
        return np.arange(first - 1, len(ids) - 1), ids[first:]


def read_rows(data: Any, name: str, argument: str, columns: Mapping[str, str], labels: Labels | None = None) -> Rows:
    """Read one data set: a path of JSON lines, a `datasets.Dataset`, or a sequence of mappings.

    With ``labels``, answers are names of labels, which are all the options that there are.

    Raises
    ------
    ValueError
        If it is empty, a column is missing, a prompt or answer is no text, or an answer no label.
    """
    where = f"{argument}[{name!r}]"
    prompts, answers, options = [], [], []
    prompt, answer, choices = (columns[key] for key in ("prompt", "answer", "options"))
    for i, row in enumerate(_rows(data, where)):
        for column in (prompt, answer):
            if column not in row:
                raise ValueError(
                    f"{where} has no column {column!r}; it has {', '.join(map(repr, row))}. Rename it, or pass "
                    f"columns={{'prompt': ..., 'answer': ...}}."
                )
            if column == answer and labels is not None:
                continue
            if not isinstance(row[column], str) or not row[column].strip():
                raise ValueError(f"{where}: {column!r} of row {i} is {row[column]!r}; it must be a text with content.")
        prompts.append(row[prompt])
        if labels is not None:
            answers.append(labels.named(row[answer], f"{where}: {answer!r} of row {i}"))
            options.append(None)
            continue
        answers.append(row[answer])
        given = row.get(choices)
        options.append(tuple(map(str, given)) if given else None)
        if given and row[answer] not in options[-1]:
            raise ValueError(f"{where}: the answer {row[answer]!r} of row {i} is none of its {choices} {list(given)}.")
    if not prompts:
        raise ValueError(f"{where} is empty: no example. Remove it, or give it some examples.")
    return Rows(name, tuple(prompts), tuple(answers), tuple(options))


def tokenise(sets: Sequence[Rows], tokenizer: Any, *, max_length: int, labels: Labels | None = None) -> Examples:
    """Return the tokens of all examples.

    Parameters
    ----------
    sets : sequence of Rows
    tokenizer
        A tokenizer of `transformers`.
    max_length : int
        A longer example loses tokens at the beginning of its prompt; where the answer alone is longer, it is cut at its
        end, which is counted.
    labels : Labels, optional
        Of a classifier.
    """
    if max_length < 2:
        raise ValueError(f"max_length is {max_length}; an example has at least 2 tokens.")
    ids, starts, group = [], [], []
    cut, shortened = dict.fromkeys((s.name for s in sets), 0), dict.fromkeys((s.name for s in sets), 0)
    least, needs = (2, "one before its answer and one in it") if labels is None else (1, "one")
    for k, rows in enumerate(sets):
        heads = wholes = tokenizer(list(rows.prompts))["input_ids"]
        texts = rows.prompts
        if labels is None:
            texts = [f"{p} {a}" for p, a in zip(rows.prompts, rows.answers, strict=True)]
            wholes = tokenizer(texts)["input_ids"]
        for i, (head, whole) in enumerate(zip(heads, wholes, strict=True)):
            if len(whole) < least:
                raise ValueError(
                    f"data set {rows.name!r}: row {i}, {texts[i][:60]!r}, has {len(whole)} tokens; it needs {needs}. "
                    "Check the tokenizer."
                )
            start = _behind_prompt(head, whole) if labels is None else _behind_last(whole, labels.padding)
            if len(whole) > max_length:
                spare = len(whole) - max_length
                dropped = min(spare, start - 1)
                shortened[rows.name] += dropped > 0
                cut[rows.name] += spare > dropped
                whole, start = whole[dropped:][:max_length], start - dropped
            ids.append(np.asarray(whole, np.int64))
            starts.append(start)
            group.append(k)
    said = None if labels is None else np.array([labels.number(answer) for rows in sets for answer in rows.answers])
    return Examples(ids, np.array(starts), np.array(group), tuple(s.name for s in sets), cut, shortened, said)


def json_lines(path: str | os.PathLike[str], where: str) -> Iterator[dict[str, Any]]:
    """Iterate over the objects of a file of JSON lines; `where` names it in messages."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{where} is {str(path)!r}, and there is no such file; pass a file of JSON lines.")
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: line {number} of {path.name} is no JSON ({error.msg}).") from None
        if not isinstance(row, dict):
            raise ValueError(f"{where}: line {number} of {path.name} is a {type(row).__name__}; a row is an object.")
        yield row


def _behind_prompt(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """Return where the answer begins: behind what prompt and whole share, and leaving a token on either side."""
    start = next((a for a, (h, w) in enumerate(zip(prompt, whole, strict=False)) if h != w), len(prompt))
    return max(1, min(start, len(whole) - 1))


def _behind_last(ids: Sequence[int], padding: int | None) -> int:
    """Return the place behind the last token that is none for padding."""
    return next((a + 1 for a in reversed(range(len(ids))) if ids[a] != padding), 1)


def _rows(data: Any, where: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, str | os.PathLike):
        yield from json_lines(data, where)
        return
    try:
        rows = iter(data)
    except TypeError:
        raise TypeError(f"{where} is a {type(data).__name__}; pass JSON lines, a datasets.Dataset or rows.") from None
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(
                f"{where}: row {i} is a {type(row).__name__}; rows are mappings with a prompt and an answer."
            )
        yield row
