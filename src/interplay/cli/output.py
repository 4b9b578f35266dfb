"""Files that the verbs write: checked before any work is done, and written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats.archive import written_whole
from .errors import without_passwords

if TYPE_CHECKING:
    import pandas as pd

    from ..attribution import Attribution

TABLES = (".csv", ".parquet", ".json")
ANSWERS = (".html", *TABLES)


def check_out(out: Path, suffixes: Iterable[str], inputs: Iterable[Path | None] = (), name: str = "--out") -> None:
    """Refuse a file that cannot be written, or that would take the place of another."""
    suffixes = list(suffixes)
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"{name} {out}: the suffix is {out.suffix!r}; choose {' or '.join(suffixes)}.")
    if out.is_dir():
        raise ValueError(f"{name} {out}: this is a folder; give the name of a file in it.")
    if not out.parent.is_dir():
        raise ValueError(f"{name} {out}: folder {str(out.parent)!r} does not exist; make it first.")
    written = [out, out.with_suffix(".npz")] if out.suffix.lower() == ".json" else [out]
    for given in inputs:
        taken = [] if given is None else [given, given.with_suffix(".npz")] if given.suffix == ".json" else [given]
        if any(w.resolve() == t.resolve() for w in written for t in taken):
            raise ValueError(f"{name} {out}: this would write over {given}; choose another name.")


def command() -> str:
    """The command that is running, as it may be given again; without passwords in addresses."""
    return without_passwords(shlex.join(["interplay", *sys.argv[1:]]))


def say(lines: Iterable[str]) -> None:
    """Print lines; where nobody reads them any more (``| head``), stop without a word."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def write_answer(answer: Attribution, out: Path) -> None:
    """Write the page (.html), the tidy table (.csv, .parquet), or the whole answer (.json with .npz beside it)."""
    if out.suffix.lower() == ".html":
        from ..report.page import write

        write(answer, out)
        return
    if out.suffix.lower() == ".json":
        answer.save(out)
        return
    write_frame(answer.to_frame(), out, names=("task", "target"))


def write_frame(frame: pd.DataFrame, out: Path, names: Iterable[str]) -> None:
    """Write a table (.csv, .parquet); the columns ``names`` hold what somebody else called things."""
    from ..report.frames import safe

    if out.suffix.lower() == ".csv":
        frame = safe(frame, names)
        written_whole(out, lambda path: frame.to_csv(path, index=False, lineterminator="\n"))
    else:
        written_whole(out, lambda path: frame.to_parquet(path, index=False))


def json_lines(frame: pd.DataFrame) -> Iterator[str]:
    """Rows of a table as JSON, one line each; what is not known is null."""
    for record in frame.to_dict(orient="records"):
        yield json.dumps({str(name): _known(value) for name, value in record.items()}, allow_nan=False)


def _known(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)  # a date, as in the columns of candidates
