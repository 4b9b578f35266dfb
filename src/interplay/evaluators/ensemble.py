"""The mean of several evaluators of one problem, such as the gradient estimator around several W0.

Fhat(s) = 1/n sum_r Fhat_r(s)
spread  = sd over members of Fhat_r(s) - mean_s Fhat_r(s), in units of the sd over masks
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .settings import stated, truth_of

if TYPE_CHECKING:
    from ..evaluations import Evaluations


class Ensemble:
    """Average of evaluators that share tasks, targets and directions.

    Use it for `Linearized` around at least three W0 trained from different seeds: what one W0 says of a source
    is partly the seed's accident.

    Parameters
    ----------
    members : sequence of evaluators
    retrained : Evaluations, optional
        Retrained masks that judge the mean; default: those that the first member was given.

    Attributes
    ----------
    spread : numpy.ndarray (T,) or None
        Disagreement of the members on the masks evaluated last: 0 = none, 1 = as large as masks differ.
    """

    def __init__(self, members: Sequence[Any], *, retrained: Evaluations | None = None):
        self.members = list(members)
        if not self.members:
            raise ValueError("members is empty; pass at least one evaluator, better three.")
        first = self.members[0]
        for i, member in enumerate(self.members):
            for what in ("tasks", "targets", "higher_is_better"):
                if tuple(getattr(member, what)) != tuple(getattr(first, what)):
                    raise ValueError(
                        f"members[{i}] has {what} {getattr(member, what)}, members[0] has "
                        f"{getattr(first, what)}; they must agree."
                    )
        self.tasks, self.targets = tuple(first.tasks), tuple(first.targets)
        self.higher_is_better = tuple(first.higher_is_better)
        self.fidelity = first.fidelity
        self.spread: np.ndarray | None = None
        self._agreement: dict[str, Any] | None = None
        self._truth = getattr(first, "_truth", None)
        if retrained is not None:
            self._truth = truth_of(retrained, self.tasks, self.targets)
        if self._truth is not None:
            from ..gradients.diagnostics import agreement

            masks, values = self._truth
            self._agreement = agreement(self.evaluate(masks), values, self.targets)

    @property
    def batch(self) -> int:
        """Rows that are best handed over at once: as many as every member takes."""
        return min(getattr(member, "batch", 1) for member in self.members)

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: the fingerprints of the members."""
        found: dict[str, Any] = {"method": f"mean of {len(self.members)}"}
        for i, member in enumerate(self.members):
            found |= {f"members.{i}.{key}": value for key, value in member.fingerprint().items()}
        return found

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Mean estimate of every mask, shape (b, T)."""
        masks = np.asarray(masks, float)
        seeds = np.zeros(len(masks), np.int64) if seeds is None else seeds
        values = np.stack([member.evaluate(masks, seeds) for member in self.members])
        if len(masks) > 1:
            centred = values - values.mean(1, keepdims=True)
            differences = centred.mean(0).std(0)
            noise = centred.std(0, ddof=1).mean(0) if len(self.members) > 1 else np.zeros(len(self.targets))
            self.spread = noise / np.maximum(differences, 1e-30)
        return values.mean(0)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of the members, each once, and of the mean."""
        found = list(dict.fromkeys(w for member in self.members for w in getattr(member, "warnings", ())))
        if len(self.members) < 3:
            found.append(f"the estimate averages {len(self.members)} W0; with three or more seeds it is steadier.")
        return tuple(found)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs: those of the first member, and the estimators' own."""
        notes = dict(getattr(self.members[0], "notes", {}))
        members = [getattr(member, "notes", {}).get("estimator", {}) for member in self.members]
        estimator: dict[str, Any] = {
            "method": f"mean of {len(self.members)} " + str(members[0].get("method", "evaluators")),
            "members": members,
            **stated(self._agreement),
            "warnings": list(self.warnings),
        }
        for key in ("subspace", "dim", "mu", "weight_decay", "loss", "normalise"):
            if key in members[0]:
                estimator[key] = members[0][key]
        for key in ("displacement_max", "gradient_at_W0", "solver_gradient_left"):
            if key in members[0]:
                estimator[key] = max(m[key] for m in members)
        if self.spread is not None:
            estimator["spread_of_members"] = dict(zip(self.targets, self.spread.tolist(), strict=True))
        return {**notes, "estimator": estimator}
