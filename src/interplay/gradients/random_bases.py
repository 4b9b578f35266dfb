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
from .devices import free

#: Bytes of hashed places that are kept, or a sixteenth of the memory that is free where that is more.
KEPT = 2**27
#: Numbers that are gathered at once, on a card.
GATHERED = 2**28


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
        kept = 8 * size * self.nonzeros <= max(KEPT, free(self.like.device) // 16)
        on_card = self.like.device.type == "cuda"  # where hashing is nothing, and adding up in any order slow
        self._kept = list(self._hashes()) if kept and not on_card else None
        self._sorted = (
            [(rows, self._by_place(place)) for rows, _, place in self._hashes()] if kept and on_card else None
        )

    @property
    def held(self) -> bool:
        """Whether entries are in memory."""
        return self._kept is not None or self._sorted is not None

    @property
    def bytes(self) -> int:
        """Bytes that are held in memory."""
        places = [place for *_, place in self._kept or self._sorted or ()]
        return super().bytes + sum(place.numel() * place.element_size() for place in places)

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
        if self._sorted is not None:
            self._add_sorted(both, g)
        else:
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

    def _by_place(self, place: Tensor) -> Tensor:
        """Which parameters of a block are at each place, (2 d, most at one), filled up with the block's length."""
        count = torch.bincount(place, minlength=2 * self._total)
        within = torch.arange(int(count.max()), device=place.device)
        at = (count.cumsum(0) - count)[:, None] + within
        order = place.argsort(stable=True)
        return torch.where(within < count[:, None], order[at.clamp_max(len(order) - 1)], len(order))

    def _add_sorted(self, both: Tensor, g: Tensor) -> None:
        """Add g (m, p) up at its places, `both` (m, 2 d), each place by one sum: fast on a card, and always alike."""
        for rows, parameters in self._sorted or ():
            step = max(1, GATHERED // parameters.numel())
            for sums, some in zip(both.split(step), g[:, rows].split(step), strict=True):
                padded = torch.nn.functional.pad(some, (0, 1))
                sums += padded[:, parameters.flatten()].unflatten(1, parameters.shape).sum(-1)

    def _signs(self, place: Tensor) -> Tensor:
        return torch.where(place < self._total, self._scale, -self._scale).to(self.like)

    def _places(self) -> Iterator[tuple[slice, int, Tensor]]:
        return iter(self._kept) if self._kept is not None else self._hashes()

    def _hashes(self) -> Iterator[tuple[slice, int, Tensor]]:
        """Parameters, repetition, and the place of each: its column, plus d where its sign is -."""
        device = self.like.device
        block = 2**20 if device.type == "cpu" else 2**22
        for first in range(0, self.size, block):
            rows = slice(first, min(first + block, self.size))
            number = torch.arange(rows.start, rows.stop, device=device) * self.nonzeros
            for r in range(self.nonzeros):
                bits = splitmix64(number + _signed(self.seed + r))
                yield rows, r, (_shifted(bits, 1) % self._total).add_(bits & 1, alpha=self._total)


def splitmix64(x: Tensor) -> Tensor:
    """Mixed bits of 64-bit numbers (Steele, Lea, Flood 2014), modulo 2^64 in int64, alike on every device."""
    x = (x * _signed(0x9E3779B97F4A7C15)).add_(_signed(0x9E3779B97F4A7C15))
    x = x.bitwise_xor_(_shifted(x, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    x = x.bitwise_xor_(_shifted(x, 27)).mul_(_signed(0x94D049BB133111EB))
    return x.bitwise_xor_(_shifted(x, 31))


def _shifted(x: Tensor, by: int) -> Tensor:
    """Bits moved to the right, with zeros from the left."""
    return (x >> by).bitwise_and_(2 ** (64 - by) - 1)


def _signed(x: int) -> int:
    """Return the number of int64 with these 64 bits."""
    return (x + 2**63) % 2**64 - 2**63
