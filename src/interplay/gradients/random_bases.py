"""Random bases, whose entries are made again from a seed instead of kept: nothing of size p x d need be in memory.

gaussian      raw_ij ~ N(0, 1) / sqrt(d)        rademacher   raw_ij = +-1 / sqrt(d)
sparse        each parameter i is in s columns h_1(i), ..., h_s(i), with signs: raw = +-1 / sqrt(s); s = 1 is the
              count sketch (Charikar, Chen, Farach-Colton 2002), s > 1 a sparse Johnson-Lindenstrauss transform (Kane,
              Nelson 2014). Column and sign come from splitmix64(seed + s i + r)

All have E[raw'raw] = (p/d) I. Entries hang on seed, parameter and column only, not on what is asked for together.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
import torch
from torch import Tensor

from .bases import BLOCK, COLUMNS, Basis


class Drawn(Basis):
    """Gaussian or Rademacher entries, drawn from a seed block by block, kept only where that takes little memory.

    Parameters
    ----------
    kind : {"gaussian", "rademacher"}
    size, dim, seed : int
    like : Tensor
    memory : int
        Bytes up to which the entries are kept.
    storage : torch.dtype, optional
        What kept entries are stored in.
    """

    def __init__(
        self,
        kind: str,
        size: int,
        dim: int,
        seed: int,
        like: Tensor,
        *,
        memory: int = 2**30,
        storage: torch.dtype | None = None,
    ):
        super().__init__(size, dim, like)
        self.kind, self.seed, self.memory, self._scale = kind, int(seed), int(memory), 1 / dim**0.5
        self._rows: Tensor | None = None
        storage = storage or self.like.dtype
        if size * dim * storage.itemsize <= memory:
            kept = torch.empty(dim, size, dtype=storage, device=self.like.device)
            for rows, block in self._blocks(0, dim):
                kept[:, rows] = block.T.to(storage)
            self._rows = kept

    @property
    def held(self) -> bool:
        """Whether entries are in memory."""
        return self._rows is not None

    @property
    def bytes(self) -> int:
        """Bytes that are held in memory."""
        kept = 0 if self._rows is None else self._rows.numel() * self._rows.element_size()
        return super().bytes + kept

    @property
    def pull_operations(self) -> float:
        """What R'g costs per parameter."""
        return 2.0 * self.dim if self.held else 50.0 * self.dim

    def columns(self, start: int, stop: int) -> Tensor:
        """Columns of raw, as rows (stop - start, p)."""
        if self._rows is not None:
            return self._rows[start:stop].to(self.like.dtype)
        found = torch.empty(stop - start, self.size, dtype=self.like.dtype, device=self.like.device)
        for rows, block in self._blocks(start, stop):
            found[:, rows] = block.T
        return found

    def head(self, dim: int) -> Drawn:
        """Return the basis of the first columns alone."""
        found = copy(self)
        found.dim, found.mix = dim, None if self.mix is None else self.mix[:dim, :dim]
        if self._rows is not None:
            found._rows = self._rows[:dim]
        return found

    def pull_raw(self, g: Tensor) -> Tensor:
        """raw'g for rows g (m, p): (m, d)."""
        if self._rows is not None and self._rows.dtype == g.dtype:
            return g @ self._rows.T
        total = torch.zeros(len(g), self.dim, dtype=g.dtype, device=g.device)
        for rows, block in self._blocks(0, self.dim):
            total += g[:, rows] @ block
        return total

    def push_raw(self, z: Tensor) -> Tensor:
        """Raw z for rows z (m, d): (m, p)."""
        found = torch.empty(len(z), self.size, dtype=z.dtype, device=z.device)
        for rows, block in self._blocks(0, self.dim):
            found[:, rows] = z @ block.T
        return found

    def gram_raw(self) -> Tensor:
        """raw'raw (d, d), float64."""
        total = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=self.like.device)
        for _, block in self._blocks(0, self.dim):
            total += block.double().T @ block.double()
        return total

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[slice, Tensor]]:
        """Entries of some columns, BLOCK parameters at a time: (rows, columns)."""
        for i, first in enumerate(range(0, self.size, BLOCK)):
            rows = slice(first, min(first + BLOCK, self.size))
            if self._rows is not None:
                yield rows, self._rows[start:stop, rows].T.to(self.like.dtype)
                continue
            first_block, last_block = start // COLUMNS, -(-stop // COLUMNS)
            entries = np.concatenate(
                [self._entries(i, j, rows.stop - rows.start) for j in range(first_block, last_block)], 1
            )
            cut = entries[:, start - first_block * COLUMNS : stop - first_block * COLUMNS]
            yield rows, torch.from_numpy(cut).to(self.like) * self._scale

    def _entries(self, i: int, j: int, rows: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, i, j])
        if self.kind == "gaussian":
            return rng.standard_normal((rows, COLUMNS), dtype=np.float32)
        bits = np.unpackbits(np.frombuffer(rng.bytes(rows * COLUMNS // 8), np.uint8)).reshape(rows, COLUMNS)
        return bits.astype(np.float32) * 2 - 1


class Hashed(Basis):
    """Sparse signs whose places are hashed from the parameter's number: nothing of size p x d anywhere.

    Parameters
    ----------
    size, dim, seed : int
    like : Tensor
    nonzeros : int, optional
        s, entries per parameter; default: 1, or as many as give each column at least about 16 parameters.
    """

    kind = "sparse"

    def __init__(self, size: int, dim: int, seed: int, like: Tensor, *, nonzeros: int | None = None):
        super().__init__(size, dim, like)
        self.nonzeros = min(dim, nonzeros or max(1, -(-16 * dim // size)))
        self.seed, self._total, self._scale = int(seed), dim, 1 / self.nonzeros**0.5
        self._kept = list(self._hashes()) if size * self.nonzeros <= 2**24 else None

    @property
    def held(self) -> bool:
        """Whether entries are in memory."""
        return self._kept is not None

    @property
    def bytes(self) -> int:
        """Bytes that are held in memory."""
        return super().bytes + (8 * self.size * self.nonzeros if self._kept is not None else 0)

    @property
    def pull_operations(self) -> float:
        """What R'g costs per parameter."""
        return 100.0 * self.nonzeros

    def columns(self, start: int, stop: int) -> Tensor:
        """Columns of raw, as rows (stop - start, p)."""
        found = torch.zeros(stop - start, self.size, dtype=self.like.dtype, device=self.like.device)
        for rows, _, place in self._places():
            column, sign = place % self._total, self._signs(place)
            inside = ((column >= start) & (column < stop)).nonzero()[:, 0]
            found[:, rows].index_put_((column[inside] - start, inside), sign[inside], accumulate=True)
        return found

    def head(self, dim: int) -> Hashed:
        """Return the basis of the first columns alone."""
        found = copy(self)
        found.dim, found.mix = dim, None if self.mix is None else self.mix[:dim, :dim]
        return found

    def pull_raw(self, g: Tensor) -> Tensor:
        """raw'g for rows g (m, p): (m, d)."""
        both = torch.zeros(len(g), 2 * self._total, dtype=g.dtype, device=g.device)  # sums of + and of -
        for rows, _, place in self._places():
            both.index_add_(1, place, g[:, rows])
        plus, minus = both[:, : self._total], both[:, self._total :]
        return ((plus - minus) * self._scale)[:, : self.dim]

    def push_raw(self, z: Tensor) -> Tensor:
        """Raw z for rows z (m, d): (m, p)."""
        found = torch.zeros(len(z), self.size, dtype=z.dtype, device=z.device)
        padded = torch.nn.functional.pad(z, (0, self._total - self.dim)) * self._scale
        both = torch.cat([padded, -padded], 1)
        for rows, _, place in self._places():
            found[:, rows] += both[:, place]
        return found

    def gram_raw(self) -> Tensor:
        """raw'raw (d, d), float64."""
        d, total = self._total, torch.zeros(self._total**2, dtype=torch.float64, device=self.like.device)
        blocks: dict[int, list[Tensor]] = {}
        for rows, _, place in self._places():
            blocks.setdefault(rows.start, []).append(place)
            if len(blocks[rows.start]) < self.nonzeros:
                continue
            for a in blocks[rows.start]:
                for b in blocks[rows.start]:
                    weight = (self._signs(a) * self._signs(b)).double()
                    total += torch.bincount((a % d) * d + b % d, weight, minlength=d * d)
            del blocks[rows.start]
        return total.reshape(d, d)[: self.dim, : self.dim]

    def _signs(self, place: Tensor) -> Tensor:
        return torch.where(place < self._total, self._scale, -self._scale).to(self.like)

    def _places(self) -> Iterator[tuple[slice, int, Tensor]]:
        return iter(self._kept) if self._kept is not None else self._hashes()

    def _hashes(self, block: int = 2**20) -> Iterator[tuple[slice, int, Tensor]]:
        """Parameters, repetition, and the place of each: its column, plus d where its sign is -."""
        for first in range(0, self.size, block):
            rows = slice(first, min(first + block, self.size))
            for r in range(self.nonzeros):
                key = np.arange(rows.start, rows.stop, dtype=np.uint64) * np.uint64(self.nonzeros) + np.uint64(r)
                bits = splitmix64(key + np.uint64(self.seed & (2**64 - 1)))
                place = (bits >> np.uint64(1)) % np.uint64(self._total) + (bits & np.uint64(1)) * np.uint64(self._total)
                yield rows, r, torch.from_numpy(place.astype(np.int64)).to(self.like.device)


def splitmix64(x: np.ndarray) -> np.ndarray:
    """Mixed bits of 64-bit numbers (Steele, Lea, Flood 2014)."""
    x = x * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
