"""Parquet files: the columns of the CSV format, and kind, notes and warnings in the file's metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..fields import EvaluationsError
from .table import FACTS, Table, layout

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = ["read", "write"]


def read(path: Path) -> Table:
    """Read a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = path.name
    if not path.stat().st_size:
        raise EvaluationsError(f"{name} is empty. Give a Parquet file with one row for each run.")
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            for column in columns:
                if columns.count(column) > 1:
                    raise EvaluationsError(
                        f"{name} has {columns.count(column)} columns called {column!r}. Rename or remove all but one."
                    )
            table = file.read()
    except EvaluationsError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EvaluationsError(f"{name} is not a table that Parquet can read: {str(error)[:120]}") from None
    facts = (table.schema.metadata or {}).get(FACTS.encode())
    return Table(table.to_pandas(), name, None if facts is None else json.loads(facts))


def write(file: BinaryIO, runs: Evaluations) -> None:
    """Write all of a table of evaluations."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame, facts = layout(runs)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), FACTS.encode(): facts.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
