"""Runs of Weights & Biases: the table of runs as its page exports it, or its API's runs as lines of JSON.

Columns of the CSV are ``Name, State, Notes, User, Tags, Created, Runtime, Sweep``, then the keys of the configuration
in order, then those of the summary in order: where the order starts anew, the results begin. ``Runtime`` is in seconds.
Lines of JSON hold ``name, id, state, config, summary``, the last two as objects.
Source: docs.wandb.ai, "Export run data"; exported tables in public repositories.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, listed
from ..contents import opened, refuse_other, start_of
from .cells import numbers_of
from .documents import looks_like
from .draft import Draft, Options
from .foreign import one_file, refuse_foreign
from .halves import halves
from .log import Log, drafted
from .sheets import existing, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_FACTS = frozenset(
    """name,agent,state,notes,user,tags,created,runtime,sweep,id,group,job type,updated,end time,hostname,description,
    commit,git commit,git repo,gpu count,gpu type,cpu count,python version,os,url,created_at,createdat,job_type,
    heartbeat_at,entity,project,path,sweep_name,storage_id,username""".replace("\n    ", "").split(",")
)
_WHY = "what the tool notes of a run"
_INTERNAL = re.compile(r"_.*")
_REASONS = {
    "running": "its results are not its last",
    "crashed": "it may have stopped early",
    "failed": "it may have stopped early",
    "killed": "it was stopped",
}
#: Numbers that JSON lacks, as the tool writes them.
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_JSON = (".json", ".jsonl", ".ndjson")


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read an export of runs."""
    path = existing(one_file(paths, "an export of runs"))
    start = start_of(path)
    if Path(path.name.lower().removesuffix(".gz")).suffix in _JSON or start.lstrip()[:1] in (b"{", b"["):
        refuse_other(path, start)
        if shape := looks_like(start):
            raise EvaluationsError(f"{path.name} looks like {shape}; `interplay import {shape.format}` reads it.")
        frame, settings, results, rest = _from_json(_records(path), path.name)
    else:
        frame = read_sheet(path).frame
        refuse_foreign([str(c) for c in frame.columns], path.name, "wandb")
        _refuse_chart([str(c) for c in frame.columns], path.name)
        packed = [c for c in ("config", "summary") if c in frame.columns]
        if packed:
            frame, settings, results, rest = _from_json(_unpacked(frame, packed, path.name), path.name)
        else:
            settings, results, rest = {}, {}, [str(c) for c in frame.columns]
    return drafted(_log(frame, path.name, settings, results, rest), options)


def _log(
    frame: pd.DataFrame, name: str, settings: Mapping[str, str], results: Mapping[str, str], rest: Sequence[str]
) -> Log:
    """Sort the columns; `rest` are those of which only their order tells what they are."""
    facts = {c: _WHY for c in rest if c.lower() in _FACTS}
    called = {c.lower(): c for c in facts}
    if "name" not in called and "id" not in called:
        raise EvaluationsError(
            f"{name} has no column Name: it is no table of runs of W&B. Export the table of runs as CSV; of another "
            "table with a row for each run, `interplay import wide` reads any columns."
        )
    open_ = [c for c in rest if c not in facts]
    first, second = halves(open_)
    settings = {**settings, **{c: c for c in first}}
    results = {**results, **{c: c for c in second}}
    internal = {c: _WHY for n, c in [*settings.items(), *results.items()] if _INTERNAL.fullmatch(n)}
    times = [
        c
        for c in (called.get("runtime"), "_wandb.runtime", "_runtime", "summary._runtime")
        if c is not None and c in frame.columns
    ]
    cost = next((c for c in times if c in numbers_of(frame, {c: c})), None)
    return Log(
        frame=frame,
        name=name,
        settings={n: c for n, c in settings.items() if c not in internal},
        results={n: c for n, c in results.items() if c not in internal},
        facts=facts | internal,
        run=called.get("name") or called.get("id"),
        apart=called.get("id"),
        cost=cost,
        state=called.get("state"),
        good=("finished",),
        reasons=_REASONS,
    )


def _refuse_chart(columns: Sequence[str], name: str) -> None:
    if any(c.endswith(("__MIN", "__MAX")) for c in columns):
        raise EvaluationsError(
            f"{name} is the export of a chart (columns such as 'run - metric__MIN'), and says nothing of settings. "
            "Export the table of runs as CSV."
        )


def _records(path: Path) -> list[Mapping[str, Any]]:
    """Objects of a file: one a line, or a list of them."""
    with opened(path) as file:
        held = file.read()
    try:
        text = held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationsError(f"{path.name} is not text in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    found: list[Any] = []
    try:
        whole = json.loads(text) if text.lstrip()[:1] == "[" else None
        found = whole if isinstance(whole, list) else []
    except (ValueError, RecursionError) as error:
        raise EvaluationsError(f"{path.name} is no JSON ({error}). Export it again.") from None
    for number, line in enumerate([] if found else text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise EvaluationsError(
                f"{path.name}: line {number} is no JSON ({str(error)[:80]}). Write one object a line for each run: "
                "name, state, config, summary."
            ) from None
    if not found:
        raise EvaluationsError(f"{path.name} is empty. Write one object a line for each run.")
    for number, one in enumerate(found, 1):
        if not isinstance(one, Mapping):
            raise EvaluationsError(f"{path.name}: entry {number} is no object. Write one object for each run.")
    return found


def _unpacked(frame: pd.DataFrame, packed: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Rows whose columns `config` and `summary` hold JSON as text."""
    rows = []
    for number, record in enumerate(frame.astype(object).where(frame.notna(), None).to_dict("records"), 1):
        row: dict[str, Any] = {str(k): v for k, v in record.items()}
        for column in packed:
            cell = row[column]
            try:
                row[column] = json.loads(cell) if isinstance(cell, str) else dict(cell or {})
            except (TypeError, ValueError, RecursionError):
                raise EvaluationsError(
                    f"{name}: column {column!r} holds {str(cell)[:40]!r} in row {number}, which is no JSON (a Python "
                    "dictionary, perhaps, which is not read). Write it with json.dumps, or the frame with "
                    "to_json(orient='records', lines=True)."
                ) from None
        rows.append(row)
    return rows


def _from_json(
    records: Iterable[Mapping[str, Any]], name: str
) -> tuple[pd.DataFrame, dict[str, str], dict[str, str], list[str]]:
    """Lay out records as a frame: columns of the configuration, of the summary, and the rest."""
    import pandas as pd

    rows, kinds = [], {"config": {}, "summary": {}, "": {}}
    for record in records:
        row: dict[str, Any] = {}
        for part in ("config", "summary"):
            held = record.get(part) or {}
            if not isinstance(held, Mapping):
                raise EvaluationsError(
                    f"{name}: {part} is {str(held)[:40]!r}, which is no object. Write a JSON object."
                )
            for key, value in _flat(held):
                kinds[part].setdefault(key, f"{part}.{key}")
                row[f"{part}.{key}"] = value
        for key, value in _flat({k: v for k, v in record.items() if k not in ("config", "summary")}):
            kinds[""].setdefault(key, key)
            row[key] = value
        rows.append(row)
    frame = pd.DataFrame(rows)
    both = set(kinds["config"]) & set(kinds["summary"])
    settings = {(f"config.{n}" if n in both else n): c for n, c in kinds["config"].items()}
    results = {(f"summary.{n}" if n in both else n): c for n, c in kinds["summary"].items()}
    if not kinds[""]:
        raise EvaluationsError(f"{name} names no runs: each object needs name, config and summary.")
    columns = [c for c in kinds[""] if c in frame.columns]
    if clash := [c for c in columns if c in {*settings.values(), *results.values()}]:
        raise EvaluationsError(f"{name}: {listed(clash)} is given twice, inside config or summary and beside it.")
    return frame, settings, results, columns


def _flat(held: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Keys and values of nested objects, joined by dots; W&B's ``{"value": x, "desc": ...}`` is x."""
    found: list[tuple[str, Any]] = []
    for key, value in held.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and "value" in value and set(value) <= {"value", "desc"}:
            value = value["value"]
        if isinstance(value, Mapping) and len(name) < 1000:
            found += _flat(value, name)
        elif isinstance(value, Mapping | list):
            found.append((name, json.dumps(value)))
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
            found.append((name, str(value)))
        else:
            found.append((name, _NUMBERS.get(value, value) if isinstance(value, str) else value))
    return found
