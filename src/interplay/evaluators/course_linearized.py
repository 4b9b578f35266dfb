"""The linearised optimum of every mask for a training that was followed: the model is linear around its end W0.

    zhat(s) = argmin_z 1/N sum_i s_{task of i} l_i(o_i(z)) + (mu/2)|z|^2,    o_i = (g_i'R z, Q_i R z)

with gradients g and rows Q of the R most uncertain outcomes of each example (`interplay.unrolled.Reactions`), in a
subspace R (p, d) of the leading directions of all rows, found through a count sketch, so that nothing of size
(examples x p) is ever in memory. It imitates training to the optimum; mu stands for stopping before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..gradients import curvatures, solve
from ..gradients.bases import as_basis
from ..gradients.devices import allowance
from ..gradients.diagnostics import agreement, nearest
from ..gradients.features import Features
from ..gradients.network import Tensor, torch
from ..gradients.random_bases import Hashed
from ..gradients.solver import stiffness
from ..unrolled.course import Course, parameters_of
from ..unrolled.outcome_loss import OutcomeLoss
from ..unrolled.reactions import Outcomes, Reactions
from .digests import digest
from .settings import check_rows, mu_of, stated, truth_of

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = ["CourseLinearized"]

#: Examples whose gradients are in memory at once.
CHUNK = 16
GRID = tuple(10.0 ** np.arange(-6, 1.1, 0.5))


class CourseLinearized:
    """Estimates of all masks from the end of one training of a course.

    Use it for trainings that end near an optimum; for short ones `InRun` is closer, as it follows the steps.

    Parameters
    ----------
    course : Course
        Such as `interplay.evaluators.Finetune`.
    W0 : Tensor (p,) or what ``course.train`` returned
        The end of the training of all tasks.
    react : int or None
        Outcomes of each example that react; None: the course's default.
    dim : int, optional
        Dimension d; default 64 + 2 K.
    sketch : int
        Columns of the count sketch through which the subspace is found.
    mu : float, optional
        Coefficient of the ridge; default: chosen on ``retrained`` or, without it, 1 / (sum of the learning rates) for
        gradient descent and 1e-3 of the stiffness for Adam, whose steps no single ridge stands for.
    retrained : Evaluations, optional
        A handful of retrained masks that choose mu and judge.
    rng : int
        Seed of the sketch.

    Attributes
    ----------
    tasks, targets, higher_is_better : tuple
    fidelity : str
        ``"estimated"``.
    """

    fidelity = "estimated"
    batch = 1000

    def __init__(
        self,
        course: Course,
        W0: Any,
        *,
        react: int | None = None,
        dim: int | None = None,
        sketch: int = 4096,
        mu: float | None = None,
        retrained: Evaluations | None = None,
        rng: int = 0,
    ):
        self.course, self.W0 = course, parameters_of(W0, course)
        self.tasks, self.targets = tuple(course.tasks), tuple(course.targets)
        self.higher_is_better = tuple(course.higher_is_better)
        self.react = react
        d = 64 + 2 * len(self.tasks) if dim is None else dim
        p, W0 = course.size, self.W0
        whole = sketch >= p
        self._sketch = as_basis(torch.eye(p).to(W0)) if whole else Hashed(p, sketch, rng, W0)
        self._described = {"dim": d, "sketch": self._sketch.dim, "react": react, "rng": rng}
        self._fit(d)
        self._moved_most = 0.0
        self.mu, self._mu_from = mu_of(mu, None)
        truth = None if retrained is None else truth_of(retrained, self.tasks, self.targets)
        if mu is None:
            self.mu, self._mu_from = self._default_mu() if truth is None else self._chosen_mu(*truth)
        self._agreement = None
        if truth is not None:
            self._agreement = agreement(self.evaluate(truth[0]), truth[1], self.targets)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        estimator = {
            "method": "linearized",
            **self._described,
            "mu": self.mu,
            "mu_from": self._mu_from,
            "displacement_max": self._moved_most,
            **stated(self._agreement),
        }
        return {**self.course.notes, "deterministic": True, "estimator": estimator}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able."""
        return {
            "method": "linearized",
            **self._described,
            "mu": float(f"{self.mu:.6g}"),
            "W0": digest(self.W0),
            **self.course.fingerprint(),
        }

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Estimate the targets of masks (b, K) in the linear model: ``(b, T)``; seeds are ignored."""
        return self.measure(self.displacements(masks))

    def displacements(self, masks: np.ndarray) -> np.ndarray:
        """Solve every mask: zhat, shape (b, d)."""
        z = self._solve(torch.from_numpy(check_rows(masks, len(self.tasks))).to(self.W0.device), self.mu)
        self._moved_most = max(self._moved_most, float(z.norm(dim=1).max()) / max(float(self.W0.norm()), 1e-30))
        return z.cpu().numpy()

    def measure(self, z: np.ndarray) -> np.ndarray:
        """Measure the linear model on the targets at displacements z (b, d): shape (b, T)."""
        moves = torch.from_numpy(z).to(self.W0.device)
        found = []
        for features, loss in self._judged:
            found.append(loss.value(features.logits(moves), features.labels).mean(1))
        return torch.stack(found, 1).cpu().numpy()

    def parameters(self, z: np.ndarray) -> Tensor:
        """Return W0 + R z (b, p), to measure the real model at: ``course.measure(W)``."""
        return self.W0 + self._sketch.push(torch.from_numpy(z).to(self._V) @ self._V.T).to(self.W0)

    def _fit(self, d: int) -> None:
        """Sketch all rows, find the subspace, and keep features in it."""
        course = self.course
        N = len(course.group)
        train = self._sketched(
            course.reactions(self.W0, part, self.react) for part in np.array_split(np.arange(N), -(-N // CHUNK))
        )
        tests: dict[int, list[Reactions]] = {}
        judged = []
        for t, found in course.target_reactions(self.W0, self.react):
            tests.setdefault(t, []).append(self._small(found))
        rows = train[0].flatten(0, 1).double()
        G = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
        values, vectors = torch.linalg.eigh(G)
        keep = torch.arange(len(values), device=values.device).flip(0)[:d]
        keep = keep[values[keep] > 1e-10 * values[-1]]
        V = rows.T @ vectors[:, keep] / values[keep].sqrt() if len(rows) <= rows.shape[1] else vectors[:, keep]
        self._V = V
        self._train, self._loss = self._features(*train, torch.from_numpy(np.asarray(course.group)))
        for t in range(len(self.targets)):
            judged.append(self._features(*self._stacked(tests[t]), None))
        self._judged = judged
        self._H = curvatures(self._train, self._loss)
        self._stiffness = stiffness(self._H, self._train.counts)

    def _small(self, found: Reactions) -> Reactions:
        """Reactions whose gradients and rows are sketched."""
        rows = self._sketch.pull(found.rows.flatten(0, 1)).unflatten(0, found.rows.shape[:2])
        return Reactions(found.losses, self._sketch.pull(found.gradients), rows, found.bend, found.outcomes)

    def _sketched(self, parts: Any) -> tuple[Tensor, Tensor, Outcomes]:
        return self._stacked([self._small(found) for found in parts])

    @staticmethod
    def _stacked(parts: Sequence[Reactions]) -> tuple[Tensor, Tensor, Outcomes]:
        rows = torch.cat([torch.cat([p.gradients[:, None], p.rows], 1) for p in parts])
        outcomes = [p.outcomes for p in parts]
        if any(o is None for o in outcomes):
            raise ValueError("the course gives no outcomes of its examples; use Linearized(model, loaders, ...).")
        return rows, torch.cat([p.losses for p in parts]), Outcomes.stacked(outcomes)  # type: ignore[arg-type]

    def _features(
        self, rows: Tensor, losses: Tensor, outcomes: Outcomes, group: Tensor | None
    ) -> tuple[Features, OutcomeLoss]:
        n = len(losses)
        place = rows.device
        task = (torch.zeros(n, dtype=torch.int64) if group is None else group.long()).to(place)
        counts = torch.bincount(task, minlength=len(self.tasks) if group is not None else 1).double()
        phi = rows.double() @ self._V
        offset = torch.zeros(phi.shape[:2], dtype=torch.float64, device=place)
        weights, numbers = torch.ones(n, dtype=torch.float64, device=place), torch.arange(n, device=place)
        return Features(phi, offset, numbers, weights, task, counts), OutcomeLoss(losses, outcomes.double())

    def _solve(self, masks: Tensor, mu: float) -> Tensor:
        """Solve masks (b, K); W0 is taken as where the full mask's training ended, so that its pull is subtracted."""
        found = solve(
            self._train,
            self._H,
            masks,
            self._loss,
            ridge=max(mu, 1e-9 * self._stiffness),
            pull=-self._full_gradient,
            memory=allowance(self.W0.device, 2**26),
        )
        return found.z

    @property
    def _full_gradient(self) -> Tensor:
        """Gradient of the full mask's objective at W0: training stopped there, so that it does not count."""
        return self._train.phi[:, 0].mean(0)

    def _default_mu(self) -> tuple[float, str]:
        optimiser = self.course.optimiser
        steps = len(self.course.batches(np.ones(len(self.tasks)), 0))
        if optimiser.name == "sgd":
            total = sum(optimiser.rate(t, steps) for t in range(steps)) / (1 - optimiser.momentum)
            return 1 / total, "learning rates of the training"
        return 1e-3 * self._stiffness, "stiffness: Adam's steps have no ridge of their own; pass retrained="

    def _chosen_mu(self, masks: np.ndarray, values: np.ndarray) -> tuple[float, str]:
        """Choose mu by the centred error on retrained masks, in units of each target's spread."""
        rows, grid = torch.from_numpy(masks).to(self.W0.device), [share * self._stiffness for share in GRID]
        best = nearest((self.measure(self._solve(rows, mu).cpu().numpy()) for mu in grid), values, self.targets)
        return grid[best], f"{len(masks)} retrained masks"
