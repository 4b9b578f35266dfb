"""Trials of Optuna: ``study.trials_dataframe()`` saved as a table, or a storage and a study in it.

Columns of the table are ``number, value | values_0.., datetime_start, datetime_complete, duration, params_*,
user_attrs_*, system_attrs_*, state``. An address (``sqlite:///study.db#STUDY``) is read through Optuna's library;
SQLite files are opened for reading only. A sampler proposes its trials, so they are no random design, and that is said.
Source: optuna.readthedocs.io, "Study.trials_dataframe".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, listed, unknown
from ..contents import start_of
from .addresses import Address, address_of, is_sqlite, tables_of
from .cells import holds
from .draft import Draft, Options
from .foreign import one_file, refuse_foreign
from .log import Log, drafted
from .sheets import existing, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]

_WHY = "what the tool notes of a trial"
_REASONS = {
    "pruned": "stopped because it did badly, so what is left is no random choice of trials",
    "fail": "it has no result",
    "running": "it has no result yet",
    "waiting": "it has not begun",
}
_CROWD = (
    "trials that an optimiser proposed are no random design: they crowd where it found the best results, and what it "
    "left alone is hardly known (trials of a RandomSampler or QMCSampler are not affected)"
)
_PRUNED = "pruned trials are left: they were stopped because they did badly, so that the others are no random choice"
#: Columns of results: ``values_0`` keeps its name, ``values_loss`` and ``value_loss`` are ``loss``.
_RESULT = re.compile(r"values?_(?!\d+$)(?=.)|(?=values_\d+$)")
_COST = "seconds of duration"


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read a saved table of trials, or a study in a storage."""
    path = one_file(paths, "a table of trials or an address")
    address = address_of(path)
    if address is None and is_sqlite(existing(path)):
        address = Address(f"sqlite:///{path.resolve()}")
    if address is not None:
        frame, directions, title = _of_storage(address)
        return drafted(_sorted(frame, title, directions), options)
    first = start_of(path, 4096).split(b"\n", 1)[0].decode("utf-8", "replace")
    _refuse_two_headers([cell.strip().strip('"') for cell in re.split(r"[,;\t]", first)], path.name)
    frame = read_sheet(path).frame
    columns = [str(c) for c in frame.columns]
    _refuse_two_headers([c.removeprefix("('").split("'", 1)[0] for c in columns], path.name)
    refuse_foreign(columns, path.name, "optuna")
    return drafted(_sorted(frame, path.name, ()), options)


def _refuse_two_headers(names: Sequence[str], file: str) -> None:
    """Refuse a table of ``trials_dataframe(multi_index=True)``, whose columns have names in two lines or in pairs."""
    if "number" in names and {"params", "user_attrs", "system_attrs"} & {*names}:
        raise EvaluationsError(
            f"{file} has names of columns in two lines, as trials_dataframe(multi_index=True) writes them. Save what "
            "study.trials_dataframe() returns."
        )


def _sorted(frame: pd.DataFrame, name: str, directions: Sequence[bool]) -> Log:
    """Sort the columns of a table of trials; directions of its results, as far as they are known."""
    columns = [str(c) for c in frame.columns]
    settings = _settings(columns)
    results = {_RESULT.sub("", c, count=1): c for c in columns if c in ("value",) or _RESULT.match(c)}
    if "number" not in columns or not results or not any(c.startswith("params_") for c in columns):
        raise EvaluationsError(
            f"{name} has no columns number, value and params_*: it is no table of trials of Optuna. Save the frame "
            "that study.trials_dataframe() returns."
        )
    if both := [n for n in results if n in settings]:
        results = {(c if n in both else n): c for n, c in results.items()}
    facts = {c: _WHY for c in columns if c not in {*settings.values(), *results.values()}}
    seconds = _seconds(frame)
    if seconds is not None:
        frame = frame.assign(**{_COST: seconds})
        facts |= {_COST: _WHY}
    pruned = sum(holds(frame, "state", "pruned")) if "state" in columns else 0
    return Log(
        frame=frame,
        name=name,
        settings=settings,
        results=results,
        facts=facts,
        run="number",
        cost=_COST if seconds is not None else None,
        state="state" if "state" in columns else None,
        good=("complete",),
        reasons=_REASONS,
        directions=dict(zip(results, directions, strict=False)),
        all_results=True,
        warnings=(_CROWD, *([f"{pruned} {_PRUNED}"] if pruned else [])),
    )


def _settings(columns: Sequence[str]) -> dict[str, str]:
    """Parameters and attributes by their own names, or by those of their columns where two are alike."""
    found: dict[str, str] = {}
    for prefix in ("params_", "user_attrs_"):
        for column in columns:
            if column.startswith(prefix):
                short = column.removeprefix(prefix)
                found[column if short in found or not short else short] = column
    return found


def _seconds(frame: pd.DataFrame) -> Any:
    """Durations (m,) in seconds; None where there are none."""
    import pandas as pd

    if "duration" not in frame.columns:
        return None
    cells: Any = frame["duration"]
    seconds = pd.to_timedelta(cells, errors="coerce").dt.total_seconds()
    return seconds if seconds.notna().any() else None


def _of_storage(address: Address) -> tuple[pd.DataFrame, list[bool], str]:
    """Trials of a study in a storage, the directions of its results, and what it is called."""
    if address.scheme == "redis":
        raise EvaluationsError(f"{address.title}: a storage in Redis holds pickles, and is not read. Save the trials.")
    file = address.file
    if file is not None and "studies" not in tables_of(file):
        raise EvaluationsError(f"{file.name} is no storage of Optuna: it has no table of studies.")
    try:
        import optuna as library
    except ImportError:
        raise EvaluationsError(
            "reading a storage needs Optuna. Install it: pip install 'interplay[optuna]'; or save what "
            "study.trials_dataframe() returns as CSV."
        ) from None
    try:
        storage = _for_reading(address)
        names = library.get_all_study_names(storage)
        study = library.load_study(study_name=_study(names, address), storage=storage)
        frame = study.trials_dataframe()
    except EvaluationsError:
        raise
    except (ImportError, KeyError, OSError, RuntimeError, ValueError) as error:
        raise EvaluationsError(f"{address.title} cannot be read by Optuna: {address.scrubbed(error)}") from None
    except Exception as error:  # what a database driver raises has no common class
        raise EvaluationsError(
            f"{address.title} cannot be reached: {address.scrubbed(error.__cause__ or error)}"
        ) from None
    title = address.title if address.part else f"{address.title}#{study.study_name}"
    if not len(frame):
        raise EvaluationsError(f"{title} holds no trials.")
    up = [direction == library.study.StudyDirection.MAXIMIZE for direction in study.directions]
    return frame, up, title


def _for_reading(address: Address) -> Any:
    """A storage in which no tables are made; nothing at all can be written to a SQLite file."""
    import sqlite3

    from optuna.storages import RDBStorage

    file = address.file
    if file is None:
        return RDBStorage(address.url, skip_table_creation=True)
    where = f"{file.resolve().as_uri()}?mode=ro"

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(where, uri=True, check_same_thread=False)

    return RDBStorage("sqlite://", engine_kwargs={"creator": opened}, skip_table_creation=True)


def _study(names: Sequence[str], address: Address) -> str:
    if not names:
        raise EvaluationsError(f"{address.title} holds no studies.")
    if address.part is not None:
        if address.part not in names:
            raise unknown(address.part, names, f"study in {address.title}")
        return address.part
    if len(names) > 1:
        raise EvaluationsError(
            f"{address.title} holds {len(names)} studies: {listed([*map(repr, names)], 5)}. Choose one: "
            f"{address.title}#{names[0]}"
        )
    return names[0]
