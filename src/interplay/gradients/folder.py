"""Features kept on disk in Zarr 3, so that an interrupted computation goes on where it stopped.

folder.zarr/            attributes: what it was made of (model, W0, subspace, rng), and the version of this layout
    basis               (d, p) R', where finding it takes passes over the data
    tasks/, targets.*/  attributes: the examples
        phi             (n, C, d) features in raw columns, R = raw mix (see `interplay.gradients.bases`)
        done            (blocks of columns, batches) 1 where features of a batch are complete

A chunk is marked done after it was written, so a run that is ended in between computes that chunk again and no other.
Features that do not fit into memory are mapped into it from a plain file beside the arrays, from which the solver
reads what it needs, page by page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bases import Basis, Held
from .devices import free

VERSION = 1
CPU = torch.device("cpu")


class Folder:
    """A folder of features.

    Parameters
    ----------
    path : path
        Made where there is none.
    made_of : mapping
        JSON-able: all that changes a feature. A folder that was made of something else is refused.
    limit : int, optional
        Bytes of features to hold in memory; more than that is mapped from disk. Default: half of what is free. On a
        card nothing can be mapped.

    Raises
    ------
    ImportError
        If zarr is not installed.
    ValueError
        If the folder holds features of something else, or something else than features.
    """

    def __init__(self, path: str | os.PathLike[str], made_of: Mapping[str, Any], *, limit: int | None = None):
        try:
            import zarr
        except ImportError:
            raise ImportError(
                "features on disk need zarr, which is not installed: pip install 'interplay[zarr]'"
            ) from None
        self.path, self.limit = Path(path), limit
        made_of = json.loads(json.dumps({"layout": VERSION, **made_of}, sort_keys=True))
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / "zarr.json").exists():
            raise ValueError(f"features={str(path)!r} is a folder of something else; name a new one.")
        self._group: Any = zarr.open_group(str(self.path), mode="a", zarr_format=3)
        held = self._group.attrs.get("made_of")
        if held is None:
            self._group.attrs["made_of"] = made_of
        elif held != made_of:
            raise ValueError(_refusal(f"features={str(path)!r}", held, made_of))

    def basis(
        self, make: Callable[[], Basis], storage: torch.dtype | None = None, device: torch.device | None = None
    ) -> Basis:
        """Return the basis that is kept, or make it and keep it. Random ones are made again: they need no room."""
        if "basis" in self._group and self._group["basis"].attrs.get("complete"):
            kept = self._group["basis"]
            rows = torch.from_numpy(np.asarray(kept[:]))
            dtype = getattr(torch, kept.attrs["dtype"])
            return Held(rows, torch.empty(0, dtype=dtype, device=device), kind=kept.attrs["kind"], storage=storage)
        found = make()
        if isinstance(found, Held):
            rows = found.rows.float() if found.rows.element_size() < 4 else found.rows
            chunk = (1, min(found.size, 2**22))
            kept = self._group.create_array(
                "basis", shape=found.shape[::-1], chunks=chunk, dtype=_name(rows), compressors=None, overwrite=True
            )
            kept[:] = rows.cpu().numpy()
            kept.attrs["kind"], kept.attrs["dtype"] = found.kind, str(found.like.dtype).removeprefix("torch.")
            kept.attrs["complete"] = True
        return found

    def part(
        self,
        name: str,
        made_of: Mapping[str, Any],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        batches: int,
        blocks: list[tuple[int, int]],
    ) -> Part:
        """Features of one set of examples, (n, C, d).

        Parameters
        ----------
        name : str
        made_of : mapping
            JSON-able: what tells these examples from others.
        shape : (n, C, d)
        dtype : torch.dtype
            float32 or float64.
        batches : int
        blocks : list of (int, int)
            Ranges of columns that are computed together.
        """
        name = name.replace("/", "_")
        made_of = {**made_of, "batches": batches, "blocks": [list(b) for b in blocks], "shape": list(shape)}
        made_of = json.loads(json.dumps({**made_of, "dtype": str(dtype).removeprefix("torch.")}))
        if name in self._group and self._group[name].attrs.get("made_of"):
            group = self._group[name]
            if group.attrs["made_of"] != made_of:
                held = group.attrs["made_of"]
                raise ValueError(_refusal(f"features={str(self.path)!r}, {name!r}", held, made_of))
        else:
            group = self._group.require_group(name)
            width = max(stop - start for start, stop in blocks)
            rows = max(1, min(-(-shape[0] // batches), 2**26 // (shape[1] * width * dtype.itemsize)))
            group.create_array(
                "phi",
                shape=shape,
                chunks=(rows, shape[1], width),
                dtype=made_of["dtype"],
                compressors=None,
                overwrite=True,
            )
            group.create_array("done", shape=(len(blocks), batches), chunks=(1, 1), dtype="uint8", overwrite=True)
            group.attrs["made_of"] = made_of
        return Part(group, dtype, self.path / f"{name}.mapped", free(CPU) // 2 if self.limit is None else self.limit)


class Part:
    """Features of one set of examples on disk."""

    def __init__(self, group: Any, dtype: torch.dtype, mapped: Path, limit: int):
        self._phi, self._done, self.dtype = group["phi"], group["done"], dtype
        self._mapped, self._limit = mapped, limit
        self._marks = np.asarray(self._done[:]).astype(bool)

    def done(self, block: int, batch: int) -> bool:
        """Whether a batch is complete in a block of columns."""
        return bool(self._marks[block, batch])

    def write(self, block: int, batch: int, rows: slice, columns: slice, tile: Tensor) -> None:
        """Keep features (b, C, columns) of a batch, then mark them done."""
        self._phi[rows, :, columns] = tile.to(self.dtype).cpu().numpy()
        self._done[block, batch] = 1
        self._marks[block, batch] = True

    def read(self, basis: Basis, device: torch.device) -> Tensor:
        """Phi = (features in raw columns) mix: in memory, or mapped into it where it is larger than the limit."""
        n, C, d = self._phi.shape
        size = n * C * d * self.dtype.itemsize
        if device.type == "cuda" and size > free(device):
            raise MemoryError(
                f"the features take {size / 2**30:.1f} GiB, and {device} has {free(device) / 2**30:.1f} free; pass "
                "features_dtype='float32', a smaller dim, or device='cpu', where they are mapped from the folder."
            )
        name = str(self.dtype).removeprefix("torch.")
        if size > self._limit:
            found = np.memmap(self._mapped, dtype=name, mode="w+", shape=(n, C, d))
        else:
            found = np.empty((n, C, d), dtype=name)
        step = self._phi.chunks[0]
        for start in range(0, n, step):
            rows = torch.from_numpy(np.asarray(self._phi[start : start + step]))
            mixed = rows if basis.mix is None else rows.double() @ basis.mix.cpu()
            found[start : start + step] = mixed.to(self.dtype).numpy()
        if isinstance(found, np.memmap):
            found.flush()
            found = np.memmap(self._mapped, dtype=name, mode="c", shape=(n, C, d))
        return torch.from_numpy(found).to(device)


def _refusal(where: str, held: Mapping[str, Any], made_of: Mapping[str, Any]) -> str:
    differ = sorted(k for k in held.keys() | made_of.keys() if held.get(k) != made_of.get(k))
    shown = ", ".join(f"{k} ({held.get(k)!r} there, {made_of.get(k)!r} now)" for k in differ[:4])
    return f"{where} holds features of something else: {shown} differ. Name another folder, or remove this one."


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
