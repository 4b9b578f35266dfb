"""Runs of MLflow: ``mlflow.search_runs()`` saved as a table, a tracking address, or a folder ``mlruns``.

Columns of the frame are ``run_id, experiment_id, status, artifact_uri, start_time, end_time, metrics.*, params.*,
tags.*``; parameters are text. ``runs.csv`` of MLflow's page has ``Start Time, Duration, Run ID, Name, ..., Status``,
then parameters and metrics under their own names. An address (``sqlite:///mlflow.db``, ``http://host:5000``, with
``#EXPERIMENT``) is read through MLflow's library; a folder is read as the text files it consists of. Artefacts are
never opened.
Source: mlflow.org, "mlflow.search_runs"; the file store's layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, MissingFileError, listed
from .addresses import Address, address_of, is_sqlite, tables_of
from .cells import texts
from .documents import load, mapping_of
from .draft import Draft, Options
from .foreign import one_file, refuse_foreign
from .halves import halves
from .log import Log, drafted
from .sheets import existing, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_WHY = "what the tool notes of a run"
_STATES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_REASONS = {
    "running": "its results are not its last",
    "scheduled": "it has not begun",
    "failed": "it may have stopped early",
    "killed": "it was stopped",
}
_PAGE_FACTS = ("Start Time", "Duration", "Run ID", "Name", "Source Type", "Source Name", "User", "Status", "Created")
_COST = "seconds from start_time to end_time"
_PAGE = 1000


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read a saved table of runs, or a store of them."""
    path = one_file(paths, "a table of runs, an address or a folder")
    address = address_of(path)
    if address is not None:
        return drafted(_sorted(_of_address(address), address.title), options)
    folder, part = _folder(str(path))
    if folder is not None:
        return drafted(_sorted(_of_folder(folder, part), folder.name), options)
    if is_sqlite(existing(path)):
        return drafted(_sorted(_of_address(Address(f"sqlite:///{path.resolve()}")), path.name), options)
    frame = read_sheet(path).frame
    refuse_foreign([str(c) for c in frame.columns], path.name, "mlflow")
    return drafted(_sorted(frame, path.name), options)


def _sorted(frame: pd.DataFrame, name: str) -> Log:
    """Sort the columns of a table of runs."""
    columns = [str(c) for c in frame.columns]
    if {"Run ID", "Status"} <= set(columns):
        return _of_page(frame, name)
    params = {c.removeprefix("params."): c for c in columns if c.startswith("params.")}
    metrics = {c.removeprefix("metrics."): c for c in columns if c.startswith("metrics.")}
    if not params and not metrics:
        raise EvaluationsError(
            f"{name} has no columns params.* and metrics.*: it is no table of runs of MLflow. Save the frame that "
            "mlflow.search_runs() returns, with to_csv or to_parquet."
        )
    both = set(params) & set(metrics)
    params = {(f"params.{n}" if n in both else n): c for n, c in params.items()}
    metrics = {(f"metrics.{n}" if n in both else n): c for n, c in metrics.items()}
    facts = {c: _WHY for c in columns if c not in {*params.values(), *metrics.values()}}
    seconds = _seconds(frame)
    if seconds is not None:
        frame = frame.assign(**{_COST: seconds})
        facts |= {_COST: _WHY}
    named = "tags.mlflow.runName"
    there = named in columns and any(texts(frame[named]))
    return Log(
        frame=frame,
        name=name,
        settings=params,
        results=metrics,
        facts=facts,
        run=named if there else "run_id" if "run_id" in columns else None,
        apart="run_id" if "run_id" in columns else None,
        cost=_COST if seconds is not None else None,
        state="status" if "status" in columns else None,
        good=("finished",),
        reasons=_REASONS,
    )


def _of_page(frame: pd.DataFrame, name: str) -> Log:
    """Sort the columns of ``runs.csv`` as MLflow's page saves it: parameters and metrics under their own names."""
    columns = [str(c) for c in frame.columns]
    facts = {c: _WHY for c in columns if c in _PAGE_FACTS}
    params, metrics = halves([c for c in columns if c not in facts])
    named = "Name" if "Name" in columns and any(texts(frame["Name"])) else "Run ID"
    return Log(
        frame=frame,
        name=name,
        settings={c: c for c in params},
        results={c: c for c in metrics},
        facts=facts,
        run=named,
        apart="Run ID",
        state="Status",
        good=("finished",),
        reasons=_REASONS,
    )


def _seconds(frame: pd.DataFrame) -> Any:
    """Seconds between start and end of each run; None where these are not stated."""
    import pandas as pd

    if not {"start_time", "end_time"} <= {str(c) for c in frame.columns}:
        return None
    times = []
    for column in ("start_time", "end_time"):
        cells = frame[column]
        unit = "ms" if cells.dtype.kind in "iuf" else None
        how: dict[str, Any] = {"unit": unit} if unit else {"format": "ISO8601"}
        times.append(pd.to_datetime(cells, errors="coerce", utc=True, **how))
    seconds = (times[1] - times[0]).dt.total_seconds()
    return seconds if seconds.notna().any() else None


def _of_address(address: Address) -> pd.DataFrame:
    """Runs of a tracking store, through MLflow's library."""
    import pandas as pd

    if address.file is not None:
        _check_database(address.file)
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise EvaluationsError(
            "reading an address needs MLflow's library. Install it: pip install 'interplay[mlflow]'; or save what "
            "mlflow.search_runs() returns as CSV."
        ) from None
    try:
        client = MlflowClient(tracking_uri=address.url)
        names = {e.name: e.experiment_id for e in _pages(client.search_experiments)}
        wanted = _experiments(names, address.part, address.title)
        runs = [run for name in wanted for run in _pages(client.search_runs, experiment_ids=[names[name]])]
    except EvaluationsError:
        raise
    except (MlflowException, ImportError, OSError, ValueError) as error:
        raise EvaluationsError(f"{address.title} cannot be read by MLflow: {address.scrubbed(error)}") from None
    used = {run.info.experiment_id for run in runs}
    _one_experiment([name for name in wanted if names[name] in used], address.title)
    runs.sort(key=lambda run: (run.info.start_time or 0, run.info.run_name or "", run.info.run_id))
    rows = [
        _row(
            r.info.run_id, r.info.status, r.info.start_time, r.info.end_time, r.data.params, r.data.metrics, r.data.tags
        )
        for r in runs
    ]
    if not rows:
        raise EvaluationsError(f"{address.title} holds no runs.")
    return pd.DataFrame(rows)


def _pages(search: Any, **how: Any) -> Iterator[Any]:
    """All answers of a search, page by page."""
    token = None
    while True:
        page = search(max_results=_PAGE, page_token=token, **how)
        yield from page
        token = page.token
        if not token:
            return


def _row(
    run: str,
    status: str,
    start: int | None,
    end: int | None,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> dict[str, Any]:
    row: dict[str, Any] = {"run_id": run, "status": status, "start_time": start, "end_time": end}
    for word, held in (("metrics", metrics), ("params", params), ("tags", tags)):
        row |= {f"{word}.{key}": value for key, value in sorted(held.items())}
    return row


def _experiments(names: Mapping[str, str], part: str | None, title: str) -> list[str]:
    if part is None:
        return list(names)
    if part in names:
        return [part]
    by_id = {i: name for name, i in names.items()}
    if part in by_id:
        return [by_id[part]]
    raise EvaluationsError(f"{title}: no experiment is called {part!r}. There are {listed([*map(repr, names)], 5)}.")


def _one_experiment(used: list[str], title: str) -> None:
    if len(used) > 1:
        raise EvaluationsError(
            f"{title} holds runs of {len(used)} experiments: {listed([*map(repr, used)], 5)}. Choose one: "
            f"{title}#{used[0]}"
        )


def _check_database(file: Path) -> None:
    """Refuse a SQLite file that is none of MLflow's: its library would turn it into one."""
    if odd := set("?#%") & set(str(file)):
        raise EvaluationsError(f"{str(file)!r}: MLflow takes {''.join(odd)!r} in a path for more than that. Rename it.")
    tables = tables_of(file)
    if not {"experiments", "runs", "params", "metrics"} <= set(tables):
        other = "; it looks like a study of Optuna: `interplay import optuna` reads it" if "studies" in tables else ""
        raise EvaluationsError(f"{file.name} is no store of MLflow{other}.")
    if not tables["runs"]:
        raise EvaluationsError(f"{file.name} holds no runs.")


def _folder(text: str) -> tuple[Path | None, str | None]:
    """A folder of runs, and the experiment that is asked for: ``mlruns``, ``file:mlruns#name``."""
    stated = text.startswith("file:")
    where, _, part = text.removeprefix("file:").partition("#")
    path = Path(re.sub(r"^/+", "/", where)) if stated else Path(where)
    if Path(text).is_dir():
        return Path(text), None
    if path.is_dir():
        return path, part or None
    if stated:
        raise MissingFileError(f"folder {str(path)!r} does not exist. Check the path.")
    return None, None


def _of_folder(folder: Path, part: str | None) -> pd.DataFrame:
    """Runs of the file store: ``EXPERIMENT/RUN/{meta.yaml, params/, metrics/, tags/}``."""
    import pandas as pd

    held: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(folder.glob("*/*/meta.yaml")):
        if run.parent.parent.name == ".trash":
            continue
        row = _of_run(run)
        if row is not None:
            held.setdefault(_experiment(run.parent.parent), []).append(row)
    if not held:
        raise EvaluationsError(f"folder {folder.name!r} holds no runs of MLflow (EXPERIMENT/RUN/meta.yaml).")
    wanted = _experiments({name: name for name in held}, part, folder.name)
    _one_experiment(wanted, folder.name)
    rows = [row for name in wanted for row in held[name]]
    rows.sort(key=lambda row: (row["start_time"] or 0, row.get("tags.mlflow.runName", ""), row["run_id"]))
    return pd.DataFrame(rows)


def _experiment(folder: Path) -> str:
    meta = folder / "meta.yaml"
    held = mapping_of(load(meta), str(meta), "the document") if meta.is_file() else {}
    return str(held.get("name") or folder.name)


def _of_run(meta: Path) -> dict[str, Any] | None:
    """One run, or None where it was deleted or is none."""
    info, folder = mapping_of(load(meta), str(meta), "the document"), meta.parent
    if info.get("lifecycle_stage") == "deleted" or not (info.get("run_id") or info.get("run_uuid")):
        return None
    params, tags = (dict(_texts(folder / part)) for part in ("params", "tags"))
    metrics = {key: _last(text, folder / "metrics" / key) for key, text in _texts(folder / "metrics")}
    if info.get("run_name"):
        tags.setdefault("mlflow.runName", str(info["run_name"]))
    status = info.get("status")
    state = _STATES.get(status, "UNKNOWN") if isinstance(status, int) else str(status)
    run = str(info.get("run_id") or info.get("run_uuid"))
    return _row(run, state, info.get("start_time"), info.get("end_time"), params, metrics, tags)


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Names of files below a folder, as keys, and what they hold."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8", errors="replace")


def _last(text: str, file: Path) -> float:
    """The last value of a metric, whose lines are ``time value step``: of the largest step, then the latest."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        try:
            found.append((int(parts[2]) if len(parts) > 2 else 0, int(parts[0]), float(parts[1])))
        except (ValueError, IndexError):
            raise EvaluationsError(f"{file.name}: {line[:60]!r} is no line of a metric (time value step).") from None
    return max(found)[2] if found else float("nan")
