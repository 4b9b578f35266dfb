"""Sequences of different lengths side by side in the rows of one batch, each seeing only itself.

Padding every sequence to the longest costs two to three times the work; instead rows of one length are filled with
whole sequences (first fit, longest first). Attention is causal inside a sequence and blocked between sequences:

    A[r, a, b] = 0 where a and b belong to one sequence and b <= a, -inf elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Packed", "pack"]

#: Rows are at least this long where there are sequences enough to fill them.
ROW = 192


@dataclass(frozen=True, eq=False)
class Packed:
    """Where each token of each sequence lies in rows of one length.

    Attributes
    ----------
    shape : (int, int)
        Rows R and their length L.
    place : int64 Tensor (tokens,)
        Flat position r L + a of every token, sequence after sequence.
    positions : int64 Tensor (R, L)
        Position of each token within its sequence; 0 where a row is not filled.
    sequence : int64 Tensor (R, L)
        Which sequence it belongs to; -1 where a row is not filled.
    starts : int64 array (n + 1,)
        Tokens starts[i] to starts[i + 1] are those of sequence i.
    """

    shape: tuple[int, int]
    place: Tensor
    positions: Tensor
    sequence: Tensor
    starts: np.ndarray

    def spread(self, values: Tensor) -> Tensor:
        """Put values of the tokens ``(tokens, ...)`` into rows ``(R, L, ...)``, zeros elsewhere."""
        R, L = self.shape
        out = values.new_zeros(R * L, *values.shape[1:])
        return out.index_copy(0, self.place, values).reshape(R, L, *values.shape[1:])

    def attention(self, dtype: torch.dtype, causal: bool = True) -> Tensor:
        """Return the additive attention mask ``(R, 1, L, L)``."""
        device = self.sequence.device
        own = (self.sequence[:, :, None] == self.sequence[:, None, :]) & (self.sequence[:, None, :] >= 0)
        if causal:
            own &= torch.ones(self.shape[1], self.shape[1], dtype=torch.bool, device=device).tril()
        # unfilled places see themselves, so that nothing is NaN
        own |= torch.eye(self.shape[1], dtype=torch.bool, device=device)
        mask = torch.zeros(own.shape, dtype=dtype, device=device).masked_fill_(~own, torch.finfo(dtype).min)
        return mask[:, None]


def pack(lengths: np.ndarray, row: int = ROW, device: torch.device | None = None) -> Packed:
    """Lay sequences of these lengths ``(n,)`` into rows, whose places lie on a device.

    Examples
    --------
    >>> packed = pack(np.array([3, 2, 4]), row=5)
    >>> packed.shape, packed.place.tolist()
    ((2, 5), [5, 6, 7, 8, 9, 0, 1, 2, 3])
    """
    lengths = np.asarray(lengths)
    L = int(max(lengths.max(), min(row, lengths.sum())))
    used: list[int] = []
    at = np.empty((len(lengths), 2), np.int64)
    for i in np.argsort(-lengths, kind="stable"):
        r = next((r for r, u in enumerate(used) if u + lengths[i] <= L), len(used))
        if r == len(used):
            used.append(0)
        at[i] = r, used[r]
        used[r] += int(lengths[i])
    L = max(used)
    inside = np.concatenate([np.arange(n) for n in lengths])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    place = at[owner, 0] * L + at[owner, 1] + inside
    positions, sequence = np.zeros(len(used) * L, np.int64), np.full(len(used) * L, -1)
    positions[place], sequence[place] = inside, owner
    shape = len(used), L
    return Packed(
        shape,
        torch.from_numpy(place).to(device),
        torch.from_numpy(positions).reshape(shape).to(device),
        torch.from_numpy(sequence).reshape(shape).to(device),
        np.concatenate([[0], np.cumsum(lengths)]),
    )
