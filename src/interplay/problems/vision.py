"""Which groups of images help which, for a small residual network on CIFAR-10: convolutions, over a million parameters.

One network per mask s in {0,1}^K is trained from scratch for a fixed number of steps on

    1/B sum_{i in batch t} s_{group of i} CE(f_W(x_i), y_i)

with initial weights and batches of the seed alone. The network has residual blocks and group norms (batch norms would
let examples of absent groups speak through their neighbours), strides early and is wide late, so that a training takes
seconds on one core. It stops long before an optimum: a short training, as most are that people look at. The K = 14
groups, drawn anew from every ``problem_seed``:

==========================  =======================================================================
``rare_<class>``            four groups that are nearly the only ones with their class
``rare_<class>_copy``       one that repeats 85 % of a rare one, mirrored and with a little noise
``animals_a``, ``_b``       groups of the six animals, less the rare ones
``vehicles_a``, ``_b``      groups of the four vehicles, less the rare ones
``mixed_a``, ``_b``         all classes
``mixed_a_copy``            repeats 85 % of a mixed one, mirrored and with a little noise
``wrong_a``, ``_b``         all classes, 80 % of the labels wrong
==========================  =======================================================================

Targets are test losses of five groups of two classes each: ``road``, ``far``, ``pets``, ``hoofed``, ``small``.

The images are the user's: an archive ``.npz`` of ``train_images (n, 3, 32, 32)`` uint8, ``train_labels (n,)``,
``test_images`` and ``test_labels``; such arrays; or the folder of torchvision's ``CIFAR10``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .trained import TrainedProblem

__all__ = ["CLASSES", "TARGETS", "Vision", "read_images"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TARGETS = {
    "road": ("automobile", "truck"),
    "far": ("airplane", "ship"),
    "pets": ("cat", "dog"),
    "hoofed": ("deer", "horse"),
    "small": ("bird", "frog"),
}
VEHICLES = np.isin(CLASSES, ("airplane", "automobile", "ship", "truck"))
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
#: How much of a scarce class other groups hold, relative to a common one.
ELSEWHERE = 0.08


@dataclass(eq=False)
class Vision(TrainedProblem):
    """The vision problem of one problem seed, with the recipe that trains its networks.

    Parameters
    ----------
    images : path, or mapping of arrays
        See `read_images`. About 1,600 training images are needed at the default size of the groups.
    problem_seed : int
        Which images, scarce classes and wrong labels are drawn. Training seeds are apart from it.
    size : int
        Images per group.
    n_test : int
        Most test images of each target.
    widths : tuple of int
        Channels of the four stages; the first three halve the image, and so does the last.
    steps, batch_size, lr : int, int, float
        SGD with momentum .9, learning rate falling to 0 as a half cosine.

    Attributes
    ----------
    sources, targets : dict of str to (X, y)
        Images ``(n, 3, 32, 32)`` float32, centred and scaled, and classes ``(n,)`` int64.
    wrong_labels : dict of str to bool array
        Which labels were falsified (for checks; no estimator may look).
    """

    images: Any = field(repr=False)
    problem_seed: int = 0
    size: int = 100
    n_test: int = 100
    widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    steps: int = 200
    batch_size: int = 32
    lr: float = 0.05
    sources: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)
    targets: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False, repr=False)
    wrong_labels: dict[str, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self):
        data = read_images(self.images)
        rng = np.random.default_rng([32, self.problem_seed])
        self.sources, self.wrong_labels = _draw(data["train_images"], data["train_labels"], self.size, rng)
        self.targets = {}
        for name, classes in TARGETS.items():
            rows = np.flatnonzero(np.isin(data["test_labels"], [CLASSES.index(c) for c in classes]))
            rows = np.sort(rng.permutation(rows)[: self.n_test])
            if not len(rows):
                raise ValueError(f"test_images holds none of {' and '.join(classes)}, which target {name!r} wants.")
            self.targets[name] = _scaled(data["test_images"][rows]), data["test_labels"][rows].astype(np.int64)

    def model(self, seed: int = 0) -> Any:
        """Return the untrained network with the initial weights of a seed: 1.05 million parameters at these widths."""
        import torch

        network = _network(self.widths)
        generator = torch.Generator().manual_seed(int(np.random.default_rng([32, seed]).integers(2**31)))
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                    sd = (2 / module.weight[0].numel()) ** 0.5
                    module.weight.normal_(0, sd if module.weight.ndim == 4 else 0.5 * sd, generator=generator)
                    if module.bias is not None:
                        module.bias.zero_()
        return network

    def _recipe(self) -> dict[str, Any]:
        from ..unrolled.optimisers import Optimiser

        optimiser = Optimiser("sgd", lr=self.lr, momentum=0.9, schedule="cosine")
        return {"optimiser": optimiser}


def read_images(images: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return training and test images (n, 3, 32, 32) uint8 with their labels (n,), by name.

    Parameters
    ----------
    images : path, or mapping of arrays
        An archive ``.npz`` with ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``, such arrays,
        or the folder that holds torchvision's ``CIFAR10`` (nothing is downloaded).

    Raises
    ------
    ImportError
        If it is a folder and torchvision is not installed.
    ValueError
        If an array is missing or of another shape; says which.
    """
    if isinstance(images, Mapping):
        data = {name: np.asarray(images[name]) for name in ARRAYS if name in images}
    elif Path(images).is_dir():
        data = _of_torchvision(Path(images))
    else:
        with np.load(images) as file:
            data = {name: file[name] for name in ARRAYS if name in file}
    missing = [name for name in ARRAYS if name not in data]
    if missing:
        raise ValueError(f"images lacks {', '.join(missing)}; it must hold {', '.join(ARRAYS)}.")
    for part in ("train", "test"):
        x, y = data[f"{part}_images"], data[f"{part}_labels"]
        if x.ndim != 4 or x.shape[1:] != (3, 32, 32) or x.dtype != np.uint8:
            raise ValueError(f"{part}_images is {x.dtype} of shape {x.shape}; it must be uint8 (n, 3, 32, 32).")
        if y.shape != (len(x),) or (len(y) and not 0 <= y.min() <= y.max() < len(CLASSES)):
            raise ValueError(f"{part}_labels has shape {y.shape}; it must be ({len(x)},), classes 0 to 9.")
    return data


def _of_torchvision(folder: Path) -> dict[str, np.ndarray]:
    try:
        from torchvision.datasets import CIFAR10  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"images is the folder {folder.name!r}, which torchvision reads and which is not installed: "
            "pip install torchvision, or pass an .npz archive."
        ) from error
    data = {}
    for part, train in (("train", True), ("test", False)):
        found = CIFAR10(str(folder), train=train)
        data[f"{part}_images"] = np.ascontiguousarray(np.asarray(found.data).transpose(0, 3, 1, 2))
        data[f"{part}_labels"] = np.asarray(found.targets)
    return data


def _scaled(images: np.ndarray) -> np.ndarray:
    return ((images.astype(np.float32) / 255 - 0.47) / 0.25).astype(np.float32)


def _draw(
    images: np.ndarray, labels: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, np.ndarray]]:
    """Return the groups and their falsified labels; images are drawn without replacement, copies apart."""
    C = len(CLASSES)
    pool = {c: list(rng.permutation(np.flatnonzero(labels == c))) for c in range(C)}
    rare = np.sort(
        np.concatenate([rng.choice(np.flatnonzero(side), 2, replace=False) for side in (VEHICLES, ~VEHICLES)])
    )
    common = np.where(np.isin(np.arange(C), rare), ELSEWHERE, 1.0)
    sources: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    wrong: dict[str, np.ndarray] = {}

    def draw(weights: np.ndarray, n: int) -> np.ndarray:
        taken: list[int] = []
        while len(taken) < n:
            left = weights * np.array([len(pool[c]) > 0 for c in range(C)])
            if not left.any():
                raise ValueError(f"train_images has too few images for groups of {size}; lower size.")
            taken.append(pool[int(rng.choice(C, p=left / left.sum()))].pop())
        return np.array(taken)

    def add(name: str, rows: np.ndarray) -> None:
        sources[name] = _scaled(images[rows]), labels[rows].astype(np.int64)
        wrong[name] = np.zeros(len(rows), bool)

    def add_copy(name: str, weights: np.ndarray) -> None:
        x, y = sources[name]
        keep = rng.permutation(len(y))[: round(0.85 * len(y))]
        fresh = draw(weights, len(y) - len(keep))
        mirrored = x[keep, :, :, ::-1] + rng.normal(scale=0.1, size=x[keep].shape).astype(np.float32)
        both = np.concatenate([mirrored, _scaled(images[fresh])]), np.concatenate([y[keep], labels[fresh]])
        sources[f"{name}_copy"] = both[0].astype(np.float32), both[1].astype(np.int64)
        wrong[f"{name}_copy"] = np.zeros(len(y), bool)

    for i, c in enumerate(rare):
        weights = 0.2 * common / common.sum()
        weights[c] += 0.8
        add(f"rare_{CLASSES[c]}", draw(weights, size))
        if i == 0:
            add_copy(f"rare_{CLASSES[c]}", weights)
    for letter in "ab":
        add(f"animals_{letter}", draw(np.where(VEHICLES, 0, common), size))
    for letter in "ab":
        add(f"vehicles_{letter}", draw(np.where(VEHICLES, common, 0), size))
    for letter in "ab":
        add(f"mixed_{letter}", draw(common, size))
    add_copy("mixed_a", common)
    for letter in "ab":
        add(f"wrong_{letter}", draw(common, size))
        x, y = sources[f"wrong_{letter}"]
        false = np.zeros(size, bool)
        false[rng.permutation(size)[: round(0.8 * size)]] = True
        y[false] = (y[false] + rng.integers(1, C, size=int(false.sum()))) % C
        sources[f"wrong_{letter}"], wrong[f"wrong_{letter}"] = (x, y), false
    return sources, wrong


def _network(widths: tuple[int, int, int, int]) -> Any:
    """Nine layers: four convolutions of stride 2, two residual blocks of two each, and a linear head."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    def layer(n: int, m: int, stride: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(n, m, 3, stride, 1, bias=False), nn.GroupNorm(max(1, m // 16), m), nn.ReLU())

    a, b, c, d = widths
    return nn.Sequential(
        layer(3, a, 2),
        layer(a, b, 2),
        Residual(nn.Sequential(layer(b, b, 1), layer(b, b, 1))),
        layer(b, c, 2),
        layer(c, d, 2),
        Residual(nn.Sequential(layer(d, d, 1), layer(d, d, 1))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(d, len(CLASSES)),
    )
