"""What one run of lm-evaluation-harness says: scores by task, metric and filter, with directions and standard errors.

``results``: {task: {"acc,none": .5, "acc_stderr,none": .01}}; before version .4 keys had no filter. ``groups`` repeats
the scores of groups, ``group_subtasks`` lists their members. Several files of one run: of each task the latest.
Source: EleutherAI/lm-evaluation-harness, ``lm_eval/result_schema.py`` and ``lm_eval/loggers/evaluation_tracker.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeGuard

from ...fields import EvaluationsError, listed
from .documents import load, looks_like
from .draft import Left
from .sheets import existing

__all__ = ["Results", "Score", "by_model", "in_folder", "is_result", "named", "results_of"]

_FILE = re.compile(r".+\.json(\.gz)?", re.IGNORECASE)
_DATE = re.compile(r"_?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)")
_ERROR = re.compile(r"(.+)_stderr(_\w+)?")
_NAMES = ("peft", "delta", "pretrained", "model", "path", "engine")
_SETUP = ("chat_template_sha", "system_instruction_sha", "fewshot_as_multiturn")


class Score(NamedTuple):
    """A score: its task, metric and filter ('' or 'none': none), value, direction and standard error."""

    task: str
    metric: str
    filter: str
    value: float
    higher_is_better: bool | None = None
    error: float | None = None


@dataclass(frozen=True)
class Results:
    """Results of one run.

    Attributes
    ----------
    name, path, model : str
        Of the run: its folder, or its file or model; where it lies; its model.
    scores : tuple of Score
    members : frozenset of str
        Tasks that belong to a group whose own score is there.
    shots, versions, questions, limited : mapping of str
        Of each task: examples in the prompt, version, questions asked, (asked, all) where these differ.
    setup : mapping
        How the model was prompted, as far as it is stated.
    limit : number or None
        That of the evaluation.
    left : tuple of Left
    """

    name: str
    path: str
    model: str
    scores: tuple[Score, ...]
    members: frozenset[str] = frozenset()
    shots: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    questions: Mapping[str, Any] = field(default_factory=dict)
    limited: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    setup: Mapping[str, Any] = field(default_factory=dict)
    limit: Any = None
    left: tuple[Left, ...] = ()

    @property
    def targets(self) -> dict[str, Score]:
        """Scores by their names within this run."""
        return named([self])[0]

    def called(self, name: str) -> Self:
        """The same results under another name."""
        return replace(self, name=name)


def results_of(path: Path) -> Results:
    """Read the results of one run: a file, or all files in a folder and below it.

    Raises
    ------
    EvaluationsError
        For a folder without results, results of several models, broken files.
    """
    if existing(path, folder=True).is_file():
        held = _held(path, strict=True)
        found = None if held is None else _joined([(path, held)], _name(path, _model(held)), str(path), _model(held))
    else:
        found = in_folder(path)
    if found is None:
        raise EvaluationsError(f"{path.name} holds no results of lm-eval. Give a folder with results_*.json.")
    return found


def in_folder(folder: Path) -> Results | None:
    """Read all files in a folder and below it as one run; None where there are none."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and is_result(file)]
    found = [(file, held) for file in files if (held := _held(file, strict=False)) is not None]
    if not found:
        return None
    models = list(dict.fromkeys(_model(held) for _, held in found))
    if len(models) > 1:
        raise EvaluationsError(
            f"{str(folder)!r} holds results of {len(models)} models: {listed([*map(repr, models)], 4)}. A run is a "
            "folder with results of one: give the folder above them."
        )
    return _joined(found, folder.name, str(folder), models[0])


def by_model(folder: Path) -> list[Results]:
    """Read the files directly in a folder: those of one name, which is that of the model or of the file, are a run."""
    held: dict[tuple[str, str], list[tuple[Path, Mapping[str, Any]]]] = {}
    for file in sorted(f for f in folder.iterdir() if f.is_file() and is_result(f)):
        one = _held(file, strict=False)
        if one is not None:
            held.setdefault((_name(file, _model(one)), _model(one)), []).append((file, one))
    return [_joined(found, name, str(found[0][0]), model) for (name, model), found in held.items()]


def is_result(file: Path) -> bool:
    """Tell whether a file may hold results, by its name."""
    return bool(_FILE.fullmatch(file.name)) and not file.name.startswith("samples_")


def named(runs: Sequence[Results]) -> list[dict[str, Score]]:
    """Name the scores of each run: ``TASK/METRIC``, and the filter where a metric went through several."""
    filters: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        for score in run.scores:
            filters.setdefault((score.task, score.metric), set()).add(score.filter)
    held = []
    for run in runs:
        names: dict[str, Score] = {}
        for score in run.scores:
            several = len(filters[score.task, score.metric]) > 1
            name = f"{score.task}/{score.metric}" + (f",{score.filter or 'none'}" if several else "")
            if name in names:
                raise EvaluationsError(f"{run.path}: two results are called {name!r}. Rename a task.")
            names[name] = score
        held.append(names)
    return held


def _held(file: Path, strict: bool) -> Mapping[str, Any] | None:
    """What a file holds; None for another JSON file, which is an error where the file itself was given."""
    document = load(file)
    results = document.get("results") if isinstance(document, Mapping) else None
    if isinstance(results, Mapping) and results and all(isinstance(one, Mapping) for one in results.values()):
        return document
    if not strict and not file.name.startswith("results"):
        return None
    shape = looks_like(file.read_bytes()[:65536]) if not file.name.endswith(".gz") else None
    other = (
        f" It looks like {shape}; `interplay import {shape.format}` reads it."
        if shape and shape.format != "lm-eval"
        else ""
    )
    raise EvaluationsError(f"{file.name} is no result of lm-eval: it has no 'results' of tasks.{other}")


def _model(held: Mapping[str, Any]) -> str:
    """The model, as the file states it or its arguments do."""
    if held.get("model_name"):
        return str(held["model_name"])
    config = held.get("config")
    given = config.get("model_args") if isinstance(config, Mapping) else None
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    if isinstance(given, Mapping):
        return str(next((given[key] for key in _NAMES if given.get(key)), ""))
    return ""


def _name(path: Path, model: str) -> str:
    """What a run of one file is called: by its model, unless the file has a name of its own."""
    stem = _DATE.sub("", re.sub(r"\.json(\.gz)?$", "", path.name, flags=re.IGNORECASE)).strip("_")
    if stem and stem != "results":
        return stem
    return model.rstrip("/").rsplit("/", 1)[-1] or path.parent.name


def _when(file: Path, held: Mapping[str, Any]) -> tuple[str, float] | None:
    """When a file was written: its name says it, or its date."""
    if found := _DATE.search(file.name):
        return found[1], 0.0
    date = held.get("date")
    return ("", float(date)) if isinstance(date, int | float) and not isinstance(date, bool) else None


def _joined(found: Sequence[tuple[Path, Mapping[str, Any]]], name: str, path: str, model: str) -> Results:
    """Put the files of one run together: of each task the latest."""
    times = {file: _when(file, held) for file, held in found}
    if len(found) > 1 and (None in times.values() or len({t is not None and not t[0] for t in times.values()}) > 1):
        undated = [file.name for file, _ in found]
        raise EvaluationsError(f"{name}: which of {listed(undated, 4)} is the latest is not said. Keep one of them.")
    ordered = sorted(found, key=lambda one: times[one[0]] or ("", 0.0))
    scores: dict[str, list[Score]] = {}
    left = []
    for file, held in ordered:
        new = _scores(held, file.name)
        if again := [task for task in new if task in scores]:
            left.append(Left(f"earlier results of {name!r}: {listed(again, 4)}", f"{file.name} has later ones"))
        scores |= new
    parts: dict[str, dict[str, Any]] = {}
    for key in ("n-shot", "versions", "n-samples", "group_subtasks", "groups"):
        for _, held in ordered:
            part = held.get(key)
            parts.setdefault(key, {}).update(part if isinstance(part, Mapping) else {})
    last = ordered[-1][1]
    config = last.get("config")
    return Results(
        name,
        path,
        model,
        tuple(score for one in scores.values() for score in one),
        _members(parts["group_subtasks"], scores),
        parts["n-shot"],
        parts["versions"],
        *_questions(parts["n-samples"]),
        {key: last[key] for key in _SETUP if last.get(key) is not None},
        config.get("limit") if isinstance(config, Mapping) else None,
        tuple(left),
    )


def _scores(held: Mapping[str, Any], file: str) -> dict[str, list[Score]]:
    """Scores of each task and group."""
    groups = held.get("groups")
    everything = {**held["results"]}
    for group, metrics in groups.items() if isinstance(groups, Mapping) else ():
        everything.setdefault(group, metrics)
    found: dict[str, list[Score]] = {}
    for task, metrics in everything.items():
        if not isinstance(metrics, Mapping):
            raise EvaluationsError(
                f"{file}: results of {task!r} are {str(metrics)[:40]!r}, and no scores. Evaluate again."
            )
        errors = {key: value for key, value in metrics.items() if _ERROR.fullmatch(key.split(",")[0])}
        ways = (held.get("higher_is_better") or {}).get(task) or {}
        for key, value in metrics.items():
            metric, _, filter_ = key.partition(",")
            if key in errors or metric in ("alias", "name", "sample_len", "bypass") or not _number(value):
                continue
            error = errors.get(f"{metric}_stderr" + (f",{filter_}" if filter_ else ""))
            way = ways.get(metric) if isinstance(ways, Mapping) else None
            stated = way if isinstance(way, bool) else None
            found.setdefault(task, []).append(
                Score(task, metric, filter_, float(value), stated, float(error) if _number(error) else None)
            )
    return found


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _members(groups: Mapping[str, Any], scores: Mapping[str, Any]) -> frozenset[str]:
    """Members, of any depth, of groups that have a score of their own."""
    found: set[str] = set()
    open_ = [
        task
        for group, tasks in groups.items()
        if group in scores and isinstance(tasks, list)
        for task in tasks
        if task != group
    ]
    while open_:
        task = str(open_.pop())
        if task not in found:
            found.add(task)
            below = groups.get(task)
            open_ += below if isinstance(below, list) else []
    return frozenset(found)


def _questions(samples: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """Questions asked for each task, and where these are a part: how many of how many."""
    held = {t: (s.get("effective"), s.get("original")) for t, s in samples.items() if isinstance(s, Mapping)}
    held = {t: pair for t, pair in held.items() if _number(pair[0]) and _number(pair[1])}
    return {t: asked for t, (asked, _) in held.items()}, {t: pair for t, pair in held.items() if pair[0] < pair[1]}
