"""What a file holds, by its first bytes: gzip is unpacked, what cannot be read is named; nothing is loaded or run."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..fields import EvaluationsError

__all__ = ["PICKLES", "opened", "packed", "refuse_other", "start_of"]

#: Suffixes of files that hold pickles, whatever they begin with.
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt")
_PICKLE = re.compile(rb"\x80[\x02-\x05]|c[\w.]+\r?\n[\w.]+\r?\n|\([dl]p?\d*\r?\n|\(i[\w.]+\r?\n")
_PICKLED = "holds a pickle, which may run code when it is loaded, and is never read. Save the table as CSV or Parquet."
_STARTS = (
    (b"PAR1", "is a Parquet file. Call it by a name that ends in .parquet."),
    (b"SQLite format 3\0", "is an SQLite database, and no table in text. Name it as a store (.db), or export a table."),
    (b"\x89HDF", "is an HDF5 file. Save the table as CSV or Parquet."),
    (b"BZh", "is compressed with bzip2. Unpack it, or compress it with gzip."),
    (b"\xfd7zXZ", "is compressed with xz. Unpack it, or compress it with gzip."),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Unpack it, or compress it with gzip."),
)
_SIZE = 65536


def packed(path: Path) -> bool:
    """Tell whether a file is compressed with gzip."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[BinaryIO]:
    """Open a file, unpacked where it is compressed with gzip; what is broken on the way is an error in words.

    These call it by ``name``, or by its own without its folders.
    """
    try:
        with gzip.open(path) if packed(path) else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        name = name or path.name
        raise EvaluationsError(f"{name} is compressed with gzip and broken ({error}). Fetch it again.") from None


def start_of(path: Path, size: int = _SIZE, name: str | None = None) -> bytes:
    """Return the first bytes of what a file holds; errors call it as in `opened`."""
    with opened(path, name) as file:
        return file.read(size)


def refuse_other(path: Path, start: bytes, name: str | None = None) -> None:
    """Raise an error, which calls it as in `opened`, where a file that should be text begins like something else."""
    name = name or path.name
    if start[:4] == b"PK\x03\x04":
        if b"data.pkl" in start or path.suffix.lower() in PICKLES:
            raise EvaluationsError(f"{name} {_PICKLED}")
        raise EvaluationsError(f"{name} is a zip archive. Unpack it, and give the file that is in it.")
    if _PICKLE.match(start) or path.suffix.lower() in PICKLES:
        raise EvaluationsError(f"{name} {_PICKLED}")
    for bytes_, words in _STARTS:
        if start.startswith(bytes_):
            raise EvaluationsError(f"{name} {words}")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or _sixteen(start):
        raise EvaluationsError(f"{name} is text in UTF-16. Save it as UTF-8 (in Excel: 'CSV UTF-8').")


def _sixteen(start: bytes) -> bool:
    """Tell whether every other byte is 0, as in UTF-16 of Latin letters without a mark at its start."""
    head = start[:200]
    return len(head) >= 4 and any(set(head[i::2]) == {0} and 0 not in head[1 - i :: 2] for i in (0, 1))
