"""YAML and JSON of somebody else's: loaded safely, keys as they are written, none twice.

``no: 0.1`` names a source 'no' here, which YAML 1.1 reads as false; a tag such as ``!!python/object`` is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...fields import EvaluationsError
from ..contents import opened, refuse_other, start_of
from .sheets import existing

__all__ = ["Shape", "is_table", "load", "looks_like", "mapping_of", "number", "other_than"]

_MOST = 200_000_000  # bytes of a document; a small packed file can hold far more


class Shape(NamedTuple):
    """What a document looks like, and the format that reads it."""

    words: str
    format: str

    def __str__(self) -> str:
        return self.words


def load(path: Path) -> Any:
    """Load a YAML or JSON file, which may be compressed with gzip.

    Raises
    ------
    EvaluationsError
        For text that is neither, a key that is there twice, a tag that is not plain YAML.
    """
    name, text = str(path), _text(existing(path))
    is_json = Path(path.name.lower().removesuffix(".gz")).suffix == ".json" or text.lstrip()[:1] in ("{", "[")
    if text.lstrip()[:1] not in ("{", "[") and is_table(text):
        raise EvaluationsError(
            f"{name} is no JSON or YAML: it looks like a table. `interplay import wide` reads tables with a row for "
            "each run; --mixtures takes one that is called .csv."
        )
    try:
        if is_json:
            return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, name))
        return _yaml(text, name)
    except (json.JSONDecodeError, RecursionError) as error:
        if is_json and path.suffix.lower() in (".yaml", ".yml"):
            return _yaml(text, name)
        raise EvaluationsError(f"{name} is no JSON ({_line(error)}). Correct it, or export it again.") from None


def is_table(text: str) -> bool:
    r"""Tell whether text looks like a table: its first lines have equally many commas, semicolons or tabs.

    Examples
    --------
    >>> is_table("run,web\nr0,1\n"), is_table("r0: {web: 1, code: 0}\nr1: {web: 0, code: 1}\n")
    (True, False)
    """
    first = [line for line in text[:65536].splitlines() if line.strip()][:3]
    if len(first) < 2 or any(re.match(r"\s*(#|-\s|---)|.*:(\s|$)", line) for line in first):
        return False
    return any(len({line.count(mark) for line in first}) == 1 and mark in first[0] for mark in ",;\t")


def _text(path: Path) -> str:
    """What a file holds, which the whole path names in every complaint: hundreds may have one name."""
    name = str(path)
    start = start_of(path, name=name)
    refuse_other(path, b"" if start.startswith(b"PAR1") else start, name)
    with opened(path, name) as file:
        held = file.read(_MOST + 1)
    if start.startswith(b"PAR1"):
        raise EvaluationsError(f"{name} is a table in Parquet, and no YAML or JSON.")
    if len(held) > _MOST:
        raise EvaluationsError(f"{name} holds more than {_MOST // 10**6} MB; give a smaller file.")
    try:
        text = held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationsError(f"{name} is not text in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    if not text.strip():
        raise EvaluationsError(f"{name} is empty. Take it away, or write it again.")
    return text


def number(value: Any, name: str, what: str) -> float:
    """Return a number, also where YAML made text of it (``1e12``); anything else is an error."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise EvaluationsError(f"{name}: {what} is {str(value)[:40]!r}, which is no number. Correct it.")
    try:
        return float(value)
    except ValueError:
        raise EvaluationsError(f"{name}: {what} is {str(value)[:40]!r}, which is no number. Correct it.") from None


def other_than(format: str, file: Path) -> str:
    """A sentence, after a blank, that names the importer of a file of another format; '' where it is not known."""
    shape = looks_like(file.read_bytes()[:65536]) if not file.name.endswith(".gz") else None
    if shape is None or shape.format == format:
        return ""
    return f" It looks like {shape}; `interplay import {shape.format}` reads it."


def looks_like(start: bytes) -> Shape | None:
    """Return what a document that begins so looks like; None where nothing is recognised."""
    text = start.decode("utf-8", "replace")
    keys = set(re.findall(r'"([\w.-]+)"\s*:', text)) | set(re.findall(r"^([\w.-]+)\s*:", text, re.MULTILINE))
    if "results" in keys and keys & {"configs", "versions", "n-shot", "higher_is_better", "group_subtasks"}:
        return Shape("results of lm-eval", "lm-eval")
    if "log_history" in keys:
        return Shape("the state of a Hugging Face trainer", "trainer")
    if {"swarm", "priors"} <= keys:
        return Shape("a fit of olmix", "olmix")
    return None


def _yaml(text: str, name: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain YAML whose keys stay as they are written."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[str, Any]:
        pairs = []
        for key, value in node.value:
            where = f"{name}: line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise EvaluationsError(f"{where} has a key that is no text. Correct it.")
            if key.tag == "tag:yaml.org,2002:merge":
                raise EvaluationsError(f"{where} merges another mapping ('<<'), which is not read. Write it out.")
            pairs.append((str(key.value), loader.construct_object(value, deep=True)))
        return _once(pairs, name)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except yaml.constructor.ConstructorError as error:
        raise EvaluationsError(
            f"{name} holds what is no plain YAML ({_line(error)}); nothing in it is run. Take it out."
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, EvaluationsError):
            raise
        raise EvaluationsError(f"{name} is no YAML ({_line(error)}). Correct it.") from None


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for key, value in pairs:
        if key in held:
            raise EvaluationsError(f"{name} has key {key!r} twice. Keep one.")
        held[key] = value
    return held


def _line(error: Exception) -> str:
    words = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    return f"{words}, line {mark.line + 1}"[:160] if mark is not None else str(words)[:160]


def mapping_of(document: Any, name: str, what: str) -> Mapping[str, Any]:
    """Return a mapping; anything else is an error."""
    if not isinstance(document, Mapping):
        raise EvaluationsError(f"{name}: {what} is no mapping of names to values. Correct it.")
    return document
