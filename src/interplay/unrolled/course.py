"""What the followers of a training ask of it: its start, its batches, gradients of single examples, its targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .optimisers import Optimiser
from .reactions import Reactions

__all__ = ["Course", "check_followed", "parameters_of", "place_of"]


class Course(Protocol):
    """A coupled training of flat parameters W (p,) that can be followed step by step.

    Attributes
    ----------
    tasks, targets : sequence of str
    higher_is_better : sequence of bool
    optimiser : Optimiser
    size : int
        Number of trained parameters p.
    group : (N,) int array
        Task of each training example.
    notes : mapping

    What it returns lies on the device where it trains; batches and initial parameters are drawn on the CPU, so that a
    seed is the same training everywhere.
    """

    @property
    def tasks(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def targets(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def higher_is_better(self) -> Sequence[bool]: ...  # noqa: D102

    @property
    def optimiser(self) -> Optimiser: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def group(self) -> np.ndarray: ...  # noqa: D102

    @property
    def notes(self) -> dict[str, Any]: ...  # noqa: D102

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value, JSON-able."""
        ...

    def initial(self, seed: int) -> Tensor:
        """Return W (p,) before the first step of a seed."""
        ...

    def batches(self, mask: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return examples and weights s_k / B of every step."""
        ...

    def gradient(self, W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i at W."""
        ...

    def hessian_product(self, W: Tensor, indices: np.ndarray, weights: np.ndarray, vectors: Tensor) -> Tensor:
        """Return its second derivative times vectors (T, p): ``(T, p)``."""
        ...

    def reactions(self, W: Tensor, indices: np.ndarray, R: int | None) -> Reactions:
        """Return losses and gradients of training examples at W, and how R outputs react (None: the default)."""
        ...

    def target_reactions(self, W: Tensor, R: int | None) -> Iterator[tuple[int, Reactions]]:
        """Iterate over chunks of the examples of every target: its index, and their `reactions` at W."""
        ...

    def measure(self, W: Tensor) -> np.ndarray:
        """Return the targets (T,) of the model with parameters W."""
        ...


def check_followed(course: Course) -> None:
    """Refuse a training that cannot be followed step by step for masks other than its own."""
    notes = course.notes
    if notes.get("absent_tasks") != "fixed_steps":
        raise ValueError(
            "course trains for a number of epochs, so that masks differ in their steps; give it steps=... instead."
        )
    if "flatter" in notes.get("training", {}):
        raise ValueError("course takes gradients for flatter minima, which cannot be followed; leave flatter out.")


def parameters_of(W0: Any, course: Course) -> Tensor:
    """Return the parameters (p,) of what ``course.train`` returned, checked against the course."""
    W = getattr(W0, "W", W0)
    if not isinstance(W, Tensor) or W.shape != (course.size,):
        raise ValueError(
            f"W0 has {getattr(W, 'shape', type(W0).__name__)}, and the course trains {course.size} parameters; pass "
            "what course.train('all') returned."
        )
    return W.to(place_of(course))


def place_of(course: Course) -> torch.device:
    """Return the device on which a course trains; the CPU where it does not say."""
    return torch.device(getattr(course, "device", "cpu"))
