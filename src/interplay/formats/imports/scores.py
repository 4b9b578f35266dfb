"""Scores of one run of lm-evaluation-harness: by task, metric and filter, with directions and standard errors.

``results``: {task: {"acc,none": .5, "acc_stderr,none": .01}}; before version .4 keys had no filter. ``groups`` repeats
the scores of groups, ``group_subtasks`` lists their members. Several files of one run: of each task the latest.
Source: EleutherAI/lm-evaluation-harness, ``lm_eval/result_schema.py``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeGuard

from ...fields import EvaluationsError, listed
from .draft import Left, Options

__all__ = ["DATE", "Results", "Score", "direction", "joined", "named", "parting"]

#: When a file was written, as its name says it.
DATE = re.compile(r"_?(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)")
_ERROR = re.compile(r"(.+)_stderr(_\w+)?")
_NO_METRICS = ("alias", "name", "sample_len", "sample_count", "bypass", " ")
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
    blank : tuple of str
        Results that are no numbers.
    left : tuple of Left
    files : frozenset of Path
        Where the scores stand.
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
    blank: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    files: frozenset[Path] = frozenset()

    @property
    def targets(self) -> dict[str, Score]:
        """Scores by their names within this run."""
        return named([self])[0]

    def called(self, name: str) -> Self:
        """The same results under another name."""
        return replace(self, name=name)


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


def direction(name: str, cells: Sequence[Score | None], options: Options) -> bool | None:
    """Return what the files say of a result; None where they say nothing, or the user says it.

    Raises
    ------
    EvaluationsError
        Where files disagree and the user does not say.
    """
    stated = {s.higher_is_better for s in cells if s is not None and s.higher_is_better is not None}
    if len(stated) < 2:
        return stated.pop() if stated else None
    told = (*options.higher_is_better, *options.lower_is_better)
    if not any(pattern == name or fnmatchcase(name, pattern) for pattern in told):
        raise EvaluationsError(
            f"{name!r}: some files say that higher is better, others that lower is. Say which with "
            "--higher-is-better or --lower-is-better, or leave it out with --ignore."
        )
    return None


def joined(found: Sequence[tuple[Path, Mapping[str, Any]]], name: str, path: str, model: str) -> Results:
    """Put the files of one run together: of each task the latest."""
    times = {file: _when(file, held) for file, held in found}
    if len(found) > 1 and (None in times.values() or len({t is not None and not t[0] for t in times.values()}) > 1):
        undated = [file.name for file, _ in found]
        raise EvaluationsError(f"{name}: which of {listed(undated, 4)} is the latest is not said. Keep one of them.")
    ordered = sorted(found, key=lambda one: times[one[0]] or ("", 0.0))
    scores: dict[str, list[Score]] = {}
    left, blank = [], []
    places: dict[str, Path] = {}
    for file, held in ordered:
        new, more = _scores(held, str(file))
        blank += more
        if again := [task for task in new if task in scores]:
            _in_one_folder(again, places, file, name)
            left.append(Left(f"earlier results of {name!r}: {listed(again, 4)}", f"{file.name} has later ones"))
        scores |= new
        places |= dict.fromkeys(new, file.parent)
    parts: dict[str, dict[str, Any]] = {}
    for key in ("n-shot", "versions", "n-samples", "group_subtasks", "groups"):
        for _, held in ordered:
            part = held.get(key)
            parts.setdefault(key, {}).update(part if isinstance(part, Mapping) else {})
    last = ordered[-1][1]
    config = last.get("config")
    config = config if isinstance(config, Mapping) else {}
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
        config.get("limit"),
        tuple(blank),
        (*left, *_of_the_evaluation(last, config)),
        frozenset(file.resolve() for file, _ in found),
    )


def _when(file: Path, held: Mapping[str, Any]) -> tuple[str, float] | None:
    """When a file was written: its name says it, or its date."""
    if found := DATE.search(file.name):
        return found[1], 0.0
    date = held.get("date")
    return ("", float(date)) if isinstance(date, int | float) and not isinstance(date, bool) else None


def _in_one_folder(again: Sequence[str], places: Mapping[str, Path], file: Path, name: str) -> None:
    """Refuse results of one task in two folders of a run: they may be of two runs, or of two ways to evaluate."""
    for task in again:
        if places[task] != file.parent:
            raise EvaluationsError(
                f"{name}: results of {task!r} are in two folders, {places[task]} and {file.parent}. If these are two "
                f"runs, give the folder whose folders are the runs{parting([places[task] / file.name, file])}; "
                "otherwise take one out."
            )


def parting(files: Sequence[Path]) -> str:
    """The folder in which the ways to some files part, in words; '' where they lie in one."""
    ways = [str(file.parent) for file in files]
    shared = os.path.commonpath(ways)
    return f", here perhaps {shared!r}" if shared and any(way != shared for way in ways) else ""


def _of_the_evaluation(held: Mapping[str, Any], config: Mapping[str, Any]) -> list[Left]:
    """What is of the evaluation, and not of the training."""
    left = []
    if seeds := [key for key in config if key.endswith("_seed")]:
        left.append(Left(f"config: {', '.join(seeds)}", "seeds of the evaluation, not of the training"))
    if held.get("total_evaluation_time_seconds") is not None:
        left.append(Left("total_evaluation_time_seconds", "the cost of the evaluation, not of the training"))
    return left


def _scores(held: Mapping[str, Any], file: str) -> tuple[dict[str, list[Score]], list[str]]:
    """Scores of each task and group, and results that are no numbers."""
    groups = held.get("groups")
    everything = {**held["results"]}
    for group, metrics in groups.items() if isinstance(groups, Mapping) else ():
        everything.setdefault(group, metrics)
    found: dict[str, list[Score]] = {}
    blank = []
    for task, metrics in everything.items():
        if not isinstance(metrics, Mapping):
            raise EvaluationsError(
                f"{file}: results of {task!r} are {str(metrics)[:40]!r}, and no scores. Evaluate again."
            )
        errors = {key: value for key, value in metrics.items() if _ERROR.fullmatch(key.split(",")[0])}
        ways = (held.get("higher_is_better") or {}).get(task) or {}
        for key, value in metrics.items():
            metric, _, filter_ = key.partition(",")
            if key in errors or metric in _NO_METRICS:
                continue
            if not _number(value):
                blank.append(f"{task}/{metric}")
                continue
            error = errors.get(f"{metric}_stderr" + (f",{filter_}" if filter_ else ""))
            way = ways.get(metric) if isinstance(ways, Mapping) else None
            stated = way if isinstance(way, bool) else None
            found.setdefault(task, []).append(
                Score(task, metric, filter_, float(value), stated, float(error) if _number(error) else None)
            )
    return found, blank


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
