"""What problems share whose models are trained one per mask by `TorchRetrain`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..evaluators.torch_retrain import TorchRetrain

__all__ = ["TrainedProblem"]


class TrainedProblem(ABC):
    """A problem with sources, targets, a model and the recipe that trains it.

    Attributes
    ----------
    sources, targets : mapping or sequence of str
        Names of the K tasks and of the targets; with their examples where `_data` gives no others.
    steps, batch_size : int
    """

    sources: Any
    targets: Any
    steps: int
    batch_size: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the K sources."""
        return tuple(self.sources)

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.sources)

    @abstractmethod
    def model(self, seed: int = 0) -> Any:
        """Return the untrained model with the initial weights of a seed."""

    def retrain(self, **options: Any) -> TorchRetrain:
        """Return the evaluator that trains one model per mask, coupled; options as in `TorchRetrain`."""
        from ..evaluators.torch_retrain import TorchRetrain

        recipe: dict[str, Any] = {"batch_size": self.batch_size, **self._recipe()}
        if "epochs" not in options:
            recipe["steps"] = self.steps
        return TorchRetrain(self.model, *self._data(), **{**recipe, **options})

    @abstractmethod
    def _recipe(self) -> dict[str, Any]:
        """Return the options of `TorchRetrain` that are the problem's own: its optimiser, and its loss."""

    def _data(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return examples (X, y) of the sources and of the targets."""
        return self.sources, self.targets
