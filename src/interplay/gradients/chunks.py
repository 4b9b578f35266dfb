"""Work cut into tiles that fit into memory: a tile that does not fit is cut in halves, what is done is kept.

A tile is a range of rows (examples) times a range of columns (directions, or outputs). The sizes start at what an
estimate of memory allows; when the allocator refuses a tile, the longer side that can be halved is halved for this
and all later tiles, and the same tile is tried again. Tiles that are done are never computed again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass

import torch

_REFUSALS = (
    "out of memory",
    "DefaultCPUAllocator",
    "can't allocate memory",
    "Cannot allocate memory",
    "_STATUS_ALLOC_FAILED",  # of cuBLAS, cuDNN and cuSOLVER, which ask the card for room of their own
)


@dataclass
class Chunk:
    """Sizes of the tiles in use, at least 1 each.

    Attributes
    ----------
    rows, columns : int
    halved : int
        How often memory did not suffice.
    """

    rows: int
    columns: int
    halved: int = 0

    def halve(self, rows: int, columns: int) -> None:
        """Make the tiles smaller than one of so many rows and columns."""
        self.halved += 1
        if columns > 1:
            self.columns = (columns + 1) // 2
        else:
            self.rows = (rows + 1) // 2


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _REFUSALS)
    )


def in_tiles(
    rows: int, columns: int, chunk: Chunk, compute: Callable[[slice, slice], None], what: str = "one row"
) -> None:
    """Call ``compute(rows, columns)`` on tiles that cover all rows and columns, once each.

    Parameters
    ----------
    rows, columns : int
    chunk : Chunk
        Largest tile; made smaller in place where memory does not suffice.
    compute : callable
        Takes a slice of rows and a slice of columns; it must keep nothing of a tile that it did not finish.
    what : str
        What one row is, for the message.

    Raises
    ------
    MemoryError
        If a single row with a single column does not fit.
    """
    waiting = [(0, rows, 0, columns)]
    while waiting:
        r0, r1, c0, c1 = waiting.pop()
        if r1 <= r0 or c1 <= c0:
            continue
        if r1 - r0 > chunk.rows:
            waiting.append((r0 + chunk.rows, r1, c0, c1))
            r1 = r0 + chunk.rows
        if c1 - c0 > chunk.columns:
            waiting.append((r0, r1, c0 + chunk.columns, c1))
            c1 = c0 + chunk.columns
        refused = None
        try:
            compute(slice(r0, r1), slice(c0, c1))
        except Exception as error:
            if not out_of_memory(error):
                raise
            refused = str(error).split("\n", 1)[0]  # the error itself would keep the tensors of its frames alive
        if refused is None:
            continue
        if r1 - r0 == 1 and c1 - c0 == 1:
            raise MemoryError(
                f"{what} does not fit into memory even alone ({refused}). Choose fewer parameters (parameters=[...]), "
                "shorter inputs, a model in half precision, or a machine or card with more memory."
            )
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        chunk.halve(r1 - r0, c1 - c0)
        waiting.append((r0, r1, c0, c1))
