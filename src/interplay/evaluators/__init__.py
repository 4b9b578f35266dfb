"""Evaluators: whatever turns masks s (b, K) and seeds (b,) into values F(s) (b, T).

`interplay.evaluate` runs one on a design; `Evaluator` states the protocol, which any object of the user's can follow.
Ours: `Retrain` (a function of the user's), `CommandRetrain` (a script or cluster job), `BatchedRetrain` (many small
torch models trained at once), `Linearized` (the gradient estimator: all masks from one trained model, without
retraining), `Ensemble` (the mean of several). They are imported when they are first used, so that nothing here needs
torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from .batched import BatchedRetrain
    from .checkpoint import load_state
    from .command import CommandRetrain
    from .ensemble import Ensemble
    from .failures import EvaluationFailed
    from .finetune import Finetune
    from .imitation import Imitation
    from .linearized import Linearized
    from .retrain import Retrain
    from .torch_retrain import TorchRetrain

_LAZY = {
    "BatchedRetrain": "batched",
    "CommandRetrain": "command",
    "Ensemble": "ensemble",
    "EvaluationFailed": "failures",
    "Finetune": "finetune",
    "Imitation": "imitation",
    "Linearized": "linearized",
    "Retrain": "retrain",
    "TorchRetrain": "torch_retrain",
    "load_state": "checkpoint",
}

__all__ = [
    "BatchedRetrain",
    "CommandRetrain",
    "Ensemble",
    "EvaluationFailed",
    "Evaluator",
    "Finetune",
    "Imitation",
    "Linearized",
    "Retrain",
    "TorchRetrain",
    "load_state",
]


@runtime_checkable
class Evaluator(Protocol):
    """What `interplay.evaluate` asks of an evaluator.

    Within a seed all masks should share whatever is random (initial weights, batch schedule): coupled seeds make
    effects far more reproducible. Say in ``notes`` whether they do: ``{"coupled": True}``.

    Attributes
    ----------
    tasks : sequence of str, or None
        Names of the K tasks; None: ``task_0``, ... by the width of the masks.
    targets : sequence of str, or None
        Names of the T targets; None until the first evaluation has shown them.
    fidelity : str
        ``"retrained"``, ``"estimated"``, or a word of the user's such as a model size.
    higher_is_better : sequence of bool, optional
        Direction of each target; guessed from their names where there is no such attribute.
    notes : mapping, optional
        Facts that travel with the runs (JSON-able); read after each call of ``evaluate``. ``"coupled"`` says whether
        masks share what is random in a seed, ``"absent_tasks"`` what becomes of a task that is left out:
        ``"fixed_steps"`` or ``"fixed_epochs"``.
    batch : int, optional
        Rows to hand over at once; 1 where it is not said.
    isolated : bool, optional
        Whether it must run in a process of its own, which can be ended with all that it started.
    outputs : sequence of str, optional
        What each run of the last call printed.

    Examples
    --------
    An evaluator is a small class:

    >>> import numpy as np
    >>> import interplay as ip
    >>> class Ridge:
    ...     tasks, targets, fidelity = ("a", "b"), ("loss",), "retrained"
    ...
    ...     def __init__(self, penalty):
    ...         self.penalty = penalty
    ...
    ...     def fingerprint(self):
    ...         return {"penalty": self.penalty}
    ...
    ...     def evaluate(self, masks, seeds):
    ...         return (1 / (self.penalty + masks.sum(axis=1)))[:, None]
    >>> ip.evaluate(Ridge(0.5), ip.masks.leave_one_out(2)).values.ravel().tolist()
    [0.4, 0.6666666666666666, 0.6666666666666666]
    """

    @property
    def tasks(self) -> Sequence[str] | None: ...  # noqa: D102

    @property
    def targets(self) -> Sequence[str] | None: ...  # noqa: D102

    @property
    def fidelity(self) -> str: ...  # noqa: D102

    def fingerprint(self) -> Mapping[str, Any]:
        """Return all that changes a value, JSON-able: a store refuses to mix runs whose fingerprints differ."""
        ...

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Return the values ``(b, T)`` of masks ``(b, K)``, each under its seed ``(b,)``.

        A row that failed is NaN where the others of the batch are good; an exception fails them all.
        """
        ...


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
