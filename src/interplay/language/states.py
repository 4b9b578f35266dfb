"""Hidden states of all examples at the first trained layer: in memory, or in a file where they are too large.

A file is made for one content (lower part of the model, tokens) and named by its digest; it grows by chunks of whole
examples, and an interrupted one goes on behind the last chunk.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .cut import Cut
from .examples import Examples

__all__ = ["States"]

#: Tokens that pass through the lower part at once.
CHUNK = 4096


class States:
    """What enters the first trained layer, for the tokens of all examples.

    Parameters
    ----------
    cut : Cut
    examples : Examples
    folder : path, optional
        Where to keep them on disk; None: in memory.
    key : str
        Digest of what they depend on, the name of the file.
    """

    def __init__(self, cut: Cut, examples: Examples, folder: str | os.PathLike[str] | None, key: str):
        self.lengths = examples.lengths
        self._path: Path | None = None
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._ids = examples.ids
        if cut.first is None:
            self._values: np.ndarray | None = None
            return
        shape, done = (int(self.starts[-1]), cut.width), 0
        dtype = np.float32  # bfloat16 has no NumPy type; float32 holds it exactly
        if folder is None:
            kept = self._values = np.empty(shape, dtype)
        else:
            path = self._path = Path(folder).absolute() / f"states-{key}.npy"
            progress = path.with_suffix(".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            _made(path, progress, shape, dtype)
            if progress.exists():
                done = int(json.loads(progress.read_text())["examples"])
            mode = "r" if done == len(examples) else "r+"
            kept = self._values = np.load(path, mmap_mode=mode, allow_pickle=False)
            if kept.shape != shape:
                raise ValueError(f"{path.name} has shape {kept.shape}, {shape} is needed; remove the file.")
        for stop in _chunks(self.starts, done):
            values = cut.lower(examples.ids[done:stop])
            kept[self.starts[done] : self.starts[stop]] = values.float().cpu().numpy()
            done = stop
            if isinstance(kept, np.memmap):
                kept.flush()
                new = progress.with_suffix(f".{os.getpid()}")
                new.write_text(json.dumps({"examples": done}))
                os.replace(new, progress)

    def of(self, indices: np.ndarray, dtype: torch.dtype) -> Tensor:
        """Return the states ``(tokens, D)`` of some examples, one after another; their ids where nothing is kept."""
        if self._values is None:
            return torch.from_numpy(np.concatenate([self._ids[i] for i in indices]))
        parts = [self._values[self.starts[i] : self.starts[i + 1]] for i in indices]
        return torch.from_numpy(np.concatenate(parts)).to(dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a file holds."""
        return {**self.__dict__, **({} if self._path is None else {"_values": None})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._path is not None:
            self._values = np.load(self._path, mmap_mode="r", allow_pickle=False)


def _made(path: Path, progress: Path, shape: tuple[int, int], dtype: Any) -> None:
    """Make the file if there is none: whole, so that another process that does the same takes nothing away."""
    if path.exists():
        return
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        np.lib.format.open_memmap(new, mode="w+", dtype=dtype, shape=shape)
        progress.unlink(missing_ok=True)  # of a file that is gone
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _chunks(starts: np.ndarray, done: int) -> list[int]:
    """Ends of chunks of whole examples, each of about `CHUNK` tokens."""
    ends = []
    while done < len(starts) - 1:
        done = max(done + 1, int(np.searchsorted(starts, starts[done] + CHUNK, side="right")) - 1)
        ends.append(done)
    return ends
