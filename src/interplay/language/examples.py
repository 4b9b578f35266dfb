"""Prompts with answers as tokens: read from JSONL files, `datasets.Dataset`s or lists of rows, and checked.

The text of an example is ``prompt + " " + answer``. Its answer tokens are those behind the longest common prefix with
the tokens of the prompt alone, and the loss of an example is the mean cross-entropy of its answer tokens.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
    """

    ids: list[np.ndarray]
    answer: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]
    cut: Mapping[str, int] = field(default_factory=dict)
    shortened: Mapping[str, int] = field(default_factory=dict)

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


def read_rows(data: Any, name: str, argument: str, columns: Mapping[str, str]) -> Rows:
    """Read one data set: a path of JSON lines, a `datasets.Dataset`, or a sequence of mappings.

    Raises
    ------
    ValueError
        If it is empty, a column is missing, or a prompt or answer is no text.
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
            if not isinstance(row[column], str) or not row[column].strip():
                raise ValueError(f"{where}: {column!r} of row {i} is {row[column]!r}; it must be a text with content.")
        prompts.append(row[prompt])
        answers.append(row[answer])
        given = row.get(choices)
        options.append(tuple(map(str, given)) if given else None)
        if given and row[answer] not in options[-1]:
            raise ValueError(f"{where}: the answer {row[answer]!r} of row {i} is none of its {choices} {list(given)}.")
    if not prompts:
        raise ValueError(f"{where} is empty: no example. Remove it, or give it some examples.")
    return Rows(name, tuple(prompts), tuple(answers), tuple(options))


def tokenise(sets: Sequence[Rows], tokenizer: Any, *, max_length: int) -> Examples:
    """Return the tokens of all examples.

    Parameters
    ----------
    sets : sequence of Rows
    tokenizer
        A tokenizer of `transformers`.
    max_length : int
        A longer example loses tokens at the beginning of its prompt; where the answer alone is longer, it is cut at its
        end, which is counted.
    """
    if max_length < 2:
        raise ValueError(f"max_length is {max_length}; an example has at least 2 tokens.")
    ids, starts, group = [], [], []
    cut, shortened = dict.fromkeys((s.name for s in sets), 0), dict.fromkeys((s.name for s in sets), 0)
    for k, rows in enumerate(sets):
        heads = tokenizer(list(rows.prompts))["input_ids"]
        wholes = tokenizer([f"{p} {a}" for p, a in zip(rows.prompts, rows.answers, strict=True)])["input_ids"]
        for i, (head, whole) in enumerate(zip(heads, wholes, strict=True)):
            if len(whole) < 2:
                raise ValueError(
                    f"data set {rows.name!r}: row {i}, {f'{rows.prompts[i]} {rows.answers[i]}'[:60]!r}, has "
                    f"{len(whole)} tokens; it needs one before its answer and one in it. Check the tokenizer."
                )
            start = next((a for a, (h, w) in enumerate(zip(head, whole, strict=False)) if h != w), len(head))
            start = max(1, min(start, len(whole) - 1))
            if len(whole) > max_length:
                spare = len(whole) - max_length
                dropped = min(spare, start - 1)
                shortened[rows.name] += dropped > 0
                cut[rows.name] += spare > dropped
                whole, start = whole[dropped:][:max_length], start - dropped
            ids.append(np.asarray(whole, np.int64))
            starts.append(start)
            group.append(k)
    return Examples(ids, np.array(starts), np.array(group), tuple(s.name for s in sets), cut, shortened)


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
