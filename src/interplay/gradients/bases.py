"""Bases R (p, d) of subspaces, W = W0 + R z, as products instead of matrices.

R = raw mix   raw (p, d): a matrix that is held here, or one whose entries are made again whenever they are needed
              (see `interplay.gradients.random_bases`)
              mix (d, d): upper triangular, the inverse transposed Cholesky factor of raw'raw, so that R'R = I while
              the first columns of R span those of raw; absent where R'R = I already, or is not wanted
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

#: Parameters and columns of one block.
BLOCK, COLUMNS = 65536, 32


class Basis(ABC):
    """A basis R (p, d); ``R.T @ g``, ``R @ z``, `push` and `pull` are its products.

    Attributes
    ----------
    size, dim : int
        p and d.
    kind : str
    mix : Tensor (d, d), float64, optional
    like : Tensor
        Has the precision and the device in which products are computed.
    bytes : int
        Memory that the basis holds.
    """

    kind = "given"

    def __init__(self, size: int, dim: int, like: Tensor, mix: Tensor | None = None):
        self.size, self.dim, self.mix = int(size), int(dim), mix
        wide = like.dtype if like.dtype in (torch.float32, torch.float64) else torch.float32
        self.like = torch.empty(0, dtype=wide, device=like.device)

    @property
    def shape(self) -> tuple[int, int]:
        """(p, d)."""
        return self.size, self.dim

    @property
    def T(self) -> Transposed:
        """R', for ``R.T @ g``."""
        return Transposed(self)

    @property
    def bytes(self) -> int:
        """Bytes that are held in memory."""
        return 0 if self.mix is None else 8 * self.dim**2

    @property
    def held(self) -> bool:
        """Whether entries are in memory; otherwise they are made again for each use."""
        return True

    @property
    @abstractmethod
    def pull_operations(self) -> float:
        """What R'g costs per parameter, in operations of a matrix product."""

    @abstractmethod
    def columns(self, start: int, stop: int) -> Tensor:
        """Columns of raw, as rows (stop - start, p)."""

    @abstractmethod
    def head(self, dim: int) -> Basis:
        """Return the basis of the first columns alone."""

    @abstractmethod
    def pull_raw(self, g: Tensor) -> Tensor:
        """raw'g for rows g (m, p): (m, d)."""

    @abstractmethod
    def push_raw(self, z: Tensor) -> Tensor:
        """Raw z for rows z (m, d): (m, p)."""

    @abstractmethod
    def gram_raw(self) -> Tensor:
        """raw'raw (d, d), float64."""

    def push(self, z: Tensor) -> Tensor:
        """R z for rows z (m, d): (m, p)."""
        return self.push_raw((z if self.mix is None else z.double() @ self.mix.T).to(self.like))

    def pull(self, g: Tensor) -> Tensor:
        """R'g for rows g (m, p): (m, d)."""
        return self.finish(self.pull_raw(g.to(self.like)))

    def finish(self, raw: Tensor) -> Tensor:
        """Features (..., d) in R from those in raw."""
        return raw if self.mix is None else (raw.double() @ self.mix).to(raw.dtype)

    def gram(self) -> Tensor:
        """R'R (d, d), float64."""
        gram = self.gram_raw()
        return gram if self.mix is None else self.mix.T @ gram @ self.mix

    def orthonormalise(self) -> Basis:
        """Return the basis with R'R = I that spans the same, column by column."""
        if self.size >= 4 * self.dim:
            factor, failed = torch.linalg.cholesky_ex(self.gram_raw())
            if not failed and float(factor.diagonal().min()) > 1e-6 * float(factor.diagonal().max()):
                eye = torch.eye(self.dim, dtype=torch.float64, device=factor.device)
                found = self.head(self.dim)
                found.mix = torch.linalg.solve_triangular(factor.T, eye, upper=True)
                return found
        Q = torch.linalg.qr(self.dense().double())[0]
        return Held(Q.T, self.like, kind=self.kind)

    def dense(self) -> Tensor:
        """R as a matrix (p, d), in memory."""
        raw = self.columns(0, self.dim)
        return raw.T.contiguous() if self.mix is None else (self.mix.T @ raw.double()).T.to(self.like)

    def __matmul__(self, z: Tensor) -> Tensor:
        return self.push(z[None])[0] if z.ndim == 1 else self.push(z.T).T


class Transposed:
    """R' (d, p) of a basis, for products alone."""

    def __init__(self, basis: Basis):
        self.basis, self.shape = basis, (basis.dim, basis.size)

    def __matmul__(self, g: Tensor) -> Tensor:
        return self.basis.pull(g[None])[0] if g.ndim == 1 else self.basis.pull(g.T).T


class Held(Basis):
    """A matrix in memory, kept as rows (d, p), in single or half precision if wanted.

    Parameters
    ----------
    rows : Tensor (d, p)
        Columns of R.
    like : Tensor
    kind : str
    storage : torch.dtype, optional
        What is kept; products are computed in the precision of `like`. float32 halves, bfloat16 quarters what a
        float64 basis takes.
    """

    def __init__(self, rows: Tensor, like: Tensor, *, kind: str = "given", storage: torch.dtype | None = None):
        super().__init__(rows.shape[1], rows.shape[0], like)
        self.kind = kind
        self.rows = rows.to(device=self.like.device, dtype=storage or self.like.dtype).contiguous()

    @property
    def bytes(self) -> int:
        """Bytes that are held in memory."""
        return self.rows.numel() * self.rows.element_size()

    @property
    def pull_operations(self) -> float:
        """What R'g costs per parameter."""
        return 2.0 * self.dim

    def columns(self, start: int, stop: int) -> Tensor:
        """Columns of raw, as rows (stop - start, p)."""
        return self.rows[start:stop].to(self.like.dtype)

    def head(self, dim: int) -> Held:
        """Return the basis of the first columns alone."""
        found = Held(self.rows[:dim], self.like, kind=self.kind, storage=self.rows.dtype)
        found.mix = None if self.mix is None else self.mix[:dim, :dim]
        return found

    def pull_raw(self, g: Tensor) -> Tensor:
        """raw'g for rows g (m, p): (m, d)."""
        if self.rows.dtype == g.dtype:
            return g @ self.rows.T
        return torch.cat([g @ self.columns(c, c + COLUMNS).T for c in range(0, self.dim, COLUMNS)], 1)

    def push_raw(self, z: Tensor) -> Tensor:
        """Raw z for rows z (m, d): (m, p)."""
        return sum(
            (z[:, c : c + COLUMNS] @ self.columns(c, c + COLUMNS) for c in range(0, self.dim, COLUMNS)),
            start=torch.zeros(len(z), self.size, dtype=z.dtype, device=z.device),
        )

    def gram_raw(self) -> Tensor:
        """raw'raw (d, d), float64."""
        total = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=self.rows.device)
        for start in range(0, self.size, BLOCK):
            block = self.rows[:, start : start + BLOCK].double()
            total += block @ block.T
        return total


def as_basis(R: Basis | Tensor) -> Basis:
    """Return a basis; a matrix (p, d) becomes one that holds it."""
    return R if isinstance(R, Basis) else Held(R.T, R)
