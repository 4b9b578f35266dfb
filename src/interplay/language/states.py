"""Hidden states of all examples at the first trained layer: in memory, or in a file where they are too large.

A file is made for one content (lower part of the model, tokens) and named by its digest; it grows by chunks of whole
examples, and an interrupted one goes on behind the last chunk.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

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
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._ids = examples.ids
        if cut.first is None:
            self._values: np.ndarray | None = None
            return
        shape, done = (int(self.starts[-1]), cut.width), 0
        dtype = np.float32  # bfloat16 has no NumPy type; float32 holds it exactly
        if folder is None:
            self._values = np.empty(shape, dtype)
        else:
            path = Path(folder) / f"states-{key}.npy"
            progress = path.with_suffix(".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and progress.exists():
                done = int(json.loads(progress.read_text())["examples"])
            mode = "r+" if done else "w+"
            self._values = np.lib.format.open_memmap(path, mode=mode, dtype=dtype, shape=None if done else shape)
            if self._values.shape != shape:
                raise ValueError(f"{path.name} has shape {self._values.shape}, {shape} is needed; remove the file.")
        for stop in _chunks(self.starts, done):
            values = cut.lower(examples.ids[done:stop])
            self._values[self.starts[done] : self.starts[stop]] = values.float().numpy()
            done = stop
            if folder is not None:
                assert isinstance(self._values, np.memmap)
                self._values.flush()
                progress.with_suffix(".new").write_text(json.dumps({"examples": done}))
                os.replace(progress.with_suffix(".new"), progress)

    def of(self, indices: np.ndarray, dtype: torch.dtype) -> Tensor:
        """Return the states ``(tokens, D)`` of some examples, one after another; their ids where nothing is kept."""
        if self._values is None:
            return torch.from_numpy(np.concatenate([self._ids[i] for i in indices]))
        parts = [self._values[self.starts[i] : self.starts[i + 1]] for i in indices]
        return torch.from_numpy(np.concatenate(parts)).to(dtype)


def _chunks(starts: np.ndarray, done: int) -> list[int]:
    """Ends of chunks of whole examples, each of about `CHUNK` tokens."""
    ends = []
    while done < len(starts) - 1:
        done = max(done + 1, int(np.searchsorted(starts, starts[done] + CHUNK, side="right")) - 1)
        ends.append(done)
    return ends
