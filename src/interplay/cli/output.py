"""Files that the verbs write: checked before any work is done, and written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..attribution import Attribution

TABLES = (".csv", ".parquet", ".json")


def check_out(out: Path, suffixes: Iterable[str], inputs: Iterable[Path | None] = ()) -> None:
    """Refuse a file that cannot be written, or that would take the place of an input."""
    suffixes = list(suffixes)
    if out.suffix.lower() not in suffixes:
        raise ValueError(f"--out {out}: the suffix is {out.suffix!r}; choose {' or '.join(suffixes)}.")
    if out.is_dir():
        raise ValueError(f"--out {out}: this is a folder; give the name of a file in it.")
    if not out.parent.is_dir():
        raise ValueError(f"--out {out}: folder {str(out.parent)!r} does not exist; make it first.")
    written = [out, out.with_suffix(".npz")] if out.suffix.lower() == ".json" else [out]
    for given in inputs:
        if given is not None and any(w.resolve() == given.resolve() for w in written):
            raise ValueError(f"--out {out}: this would write over {given}, which is read; choose another name.")


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
    """Write the tidy table (.csv, .parquet), or the whole answer (.json with .npz beside it)."""
    from ..report.words import safe_cell

    suffix = out.suffix.lower()
    if suffix == ".json":
        answer.save(out)
        return
    frame = answer.to_frame()
    if suffix == ".csv":
        for column in ("task", "target"):
            frame[column] = frame[column].map(safe_cell)
        written_whole(out, lambda path: frame.to_csv(path, index=False, lineterminator="\n"))
    else:
        written_whole(out, lambda path: frame.to_parquet(path, index=False))


def written_whole(out: Path, write: Callable[[Path], object]) -> None:
    """Write beside the place first, then move there."""
    partial = out.with_name(out.name + ".partial")
    try:
        write(partial)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def json_lines(answer: Attribution) -> Iterator[str]:
    """Rows of the tidy table as JSON, one line each; what is not known is null."""
    for record in answer.to_frame().to_dict(orient="records"):
        yield json.dumps({str(name): _known(value) for name, value in record.items()}, allow_nan=False)


def _known(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
