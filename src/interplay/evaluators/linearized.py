"""The gradient estimator: what every mask's training would give, from one trained model, without retraining.

The model is linear around its trained parameters W0, W = W0 + R z, in a subspace R (p, d) with R'R = I:

    f(x) = f0(x) + Phi(x) z,   Phi = J0 R
    zhat(s) = argmin_z sum_k s_k sum_{i in k} w_i loss(f(x_i), y_i) / N_s
                       + (weight_decay/2)|W0 + R z|^2 + (mu/2)|R z|^2
    Fhat(s) = metric of the linear model at zhat(s) on the targets; F(W0) exactly at z = 0  (design: section 3)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..gradients import SUBSPACES, Curve, Examples, Features, Loss, Network, loss_named, solve
from ..gradients.devices import allowance
from ..gradients.diagnostics import agreement, nearest
from ..gradients.examples import mean, named
from ..gradients.features import MODES
from ..gradients.linear_model import dtype_of
from ..gradients.network import Tensor, nn, torch  # torch by way of our room, which says how to install it
from ..gradients.solver import NORMALISE, stiffness
from ..kinds import guess_kind
from .checkpoint import load_state
from .code import digest_of_model
from .digests import digest
from .doubts import Start, doubts
from .preparation import Prepared
from .settings import (
    Metric,
    check_choice,
    check_number,
    check_rows,
    directions_of,
    measured_by,
    metrics_of,
    mu_of,
    stated,
    truth_of,
)

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from ..unrolled.course import Course
    from .course_linearized import CourseLinearized
    from .ensemble import Ensemble
    from .published import PublishedLinearized


class Linearized(Prepared):
    """Estimates of all masks from one trained torch model.

    Use it when the model was trained (nearly) to an optimum on all tasks and retraining is dear. It imitates
    training to the optimum of the objective above; for short trainings state ``training`` or ``retrained``.

    Parameters
    ----------
    model : torch.nn.Module
        Trained on all tasks; gives outputs (b, C), or (b,) where there is one. Copied, never changed.
    loaders : mapping of str to loader, or sequence of loaders
        Training examples of each task: DataLoader(shuffle=False) of (inputs, labels) or (inputs, labels, weights),
        or such a tuple of tensors. Means become weighted means, and N counts weights.
    targets : mapping of str to loader
        Examples on which the estimate is measured.
    loss : {"cross_entropy", "binary", "multi_label", "squared", "gaussian", "log_odds", ...} or Loss
        The training loss, by a name in `interplay.gradients.LOSSES`, or `SoftBins(...)`, `ConvexLoss(fn)`.
    metric : {"loss", "accuracy", "mse", "mae"}, callable, or mapping from target to one of these
        What is measured; a callable maps outputs (n, C), or (n,), and labels of a target (and its weights, where it
        has any) to a number.
    higher_is_better : bool or mapping from target to bool, optional
        Direction of each target; needed for callables, known for named metrics.
    weight_decay : float
        Coefficient of |W|^2 / 2 in the objective whose data term is a mean over N examples.
    mu : float, optional
        Coefficient of |R z|^2 / 2, which stands for finite training; default 0: training to the optimum.
    training : (learning_rate, steps), optional
        Sets mu = 1 / (learning_rate x steps): plain gradient descent for so many steps from W0.
    retrained : Evaluations, optional
        A handful of retrained masks: they judge the estimator, and choose mu where neither it nor training
        is given.
    normalise : {"all", "selected", "mixture"}
        N_s counts all examples (fixed steps: an absent task leaves a hole) or the selected, s_k times each (fixed
        epochs). "mixture": s_k is task k's share of what is read, sum_k s_k mean_{i in k} loss_i / sum_k s_k.
    subspace : {"data", "gauss-newton", "gaussian", "rademacher", "sparse"}
        How R is found, see `interplay.gradients.subspaces`.
    dim : int or "auto", optional
        Dimension d; default 64 + 2 K, at most the number of parameters (then nothing is left out). "auto": as many
        of the first columns of 4 (64 + 2 K) as a few masks, or the retrained ones, need (see `curve`).
    dim_tolerance : float
        For "auto": change of the estimates from d to 2 d that is small enough, relative to their spread over masks.
    parameters : str or sequence of str, optional
        Names or globs of the parameters that training changes, ``"!glob"`` for those it does not; default: all
        that require a gradient.
    W0 : mapping of str to Tensor, or path, optional
        State dict of the trained model, or its file (see `load_state`); default: what `model` holds.
    mode : {"auto", "forward", "reverse"}
        How features are computed; "auto" counts operations, see `interplay.gradients.features`.
    features : path, optional
        Folder in which features are kept (Zarr, extra "zarr"); an interrupted computation goes on from there.
    features_dtype, basis_dtype : {"float32", "float64"}, and for the basis {"bfloat16", "float16"}, optional
        What features and R are stored in; default: float64 up to 1 GiB, then float32; and the model's precision.
    steps, tolerance : int, float
        Most quasi-Newton steps, and the relative gradient norm at which a mask is done.
    rng : numpy.random.Generator or int
        Randomness of the subspace.
    memory : int, optional
        Bytes for one chunk of masks; default: 64 MB, and on a card an eighth of what is free there if that is more.
    device : torch.device or str, optional
        Where features are computed and masks solved, such as ``"cuda"``; default: where the model is. The subspace is
        drawn from the same numbers on every device. A card is used in float32 as it is, unless
        ``torch.set_float32_matmul_precision("high")`` lets it round to TF32; the solver computes in float64.

    Attributes
    ----------
    tasks, targets : tuple of str
    notes : dict
        Facts that travel with the runs; ``notes["estimator"]`` holds the diagnostics.
    curve : Curve or None
        Change of the estimates against the dimension, where it was chosen.
    warnings : tuple of str
        What the reader of the estimates should be told.

    Examples
    --------
    >>> problem = Linearized(model, loaders, targets={"val": val_loader})  # doctest: +SKIP
    >>> runs = interplay.evaluate(problem, masks)  # doctest: +SKIP
    """

    fidelity = "estimated"
    batch = 1000
    _mixtures = False

    def __init__(
        self,
        model: nn.Module,
        loaders: Mapping[str, Any] | Sequence[Any],
        targets: Mapping[str, Any] | Sequence[Any],
        *,
        loss: str | Loss = "cross_entropy",
        metric: Metric | Mapping[str, Metric] = "loss",
        higher_is_better: bool | Mapping[str, bool] | None = None,
        weight_decay: float = 0.0,
        mu: float | None = None,
        training: tuple[float, int] | None = None,
        retrained: Evaluations | None = None,
        normalise: str = "all",
        subspace: str = "data",
        dim: int | str | None = None,
        dim_tolerance: float = 0.05,
        parameters: str | Sequence[str] | None = None,
        W0: Mapping[str, Tensor] | str | os.PathLike[str] | None = None,
        mode: str = "auto",
        features: str | os.PathLike[str] | None = None,
        features_dtype: str | None = None,
        basis_dtype: str | None = None,
        steps: int = 50,
        tolerance: float = 1e-4,
        rng: np.random.Generator | int = 0,
        memory: int | None = None,
        device: torch.device | str | None = None,
    ):
        check_choice("normalise", normalise, NORMALISE)
        check_choice("subspace", subspace, SUBSPACES)
        check_number("weight_decay", weight_decay)
        self.normalise, self.weight_decay = normalise, float(weight_decay)
        self.steps, self.tolerance = int(steps), float(tolerance)
        check_choice("mode", mode, MODES)
        check_number("dim_tolerance", dim_tolerance)
        if isinstance(dim, str):
            check_choice("dim", dim, ("auto",))
        self.subspace, self._mode, self._dim_tolerance = subspace, mode, float(dim_tolerance)
        self._dtypes = (dtype_of("features_dtype", features_dtype), dtype_of("basis_dtype", basis_dtype))
        self._loss = loss_named(loss)
        state = load_state(W0) if isinstance(W0, (str, os.PathLike)) else W0
        self.network = Network(model, parameters, W0=state, device=device)
        self.memory = allowance(self.network.device, 2**26) if memory is None else int(memory)
        self._warnings: list[str] = []
        self.curve: Curve | None = None
        task_loaders = named(loaders, "loaders", "task")
        target_loaders = named(targets, "targets", "target")
        self.tasks, self.targets = tuple(task_loaders), tuple(target_loaders)
        self._metrics = metrics_of(metric, self.targets, self._loss.metrics)
        self.higher_is_better = directions_of(higher_is_better, self._metrics)
        train = Examples.collect(self.network, task_loaders, self._loss, "loaders")
        tests = {
            name: Examples.collect(self.network, {name: loader}, self._loss, "targets")
            for name, loader in target_loaders.items()
        }
        self.mu, self._mu_from = mu_of(mu, training)
        self._data = {"tasks": digest(*train.content)}
        self._data |= {f"targets.{name}": digest(*e.content) for name, e in tests.items()}
        generator = np.random.default_rng(rng)
        self._rng = digest(generator.bit_generator.state)
        self._truth = None if retrained is None else truth_of(retrained, self.tasks, self.targets)
        self._largest_move, self._gradient_left, self._steps_taken = 0.0, 0.0, 0
        self._prepare(train, tests, dim, generator, features)
        if self._mu_from == "none" and self._truth is not None:
            self._choose_mu(self._truth)
        self._examine(train)
        self._agreement = None
        if self._truth is not None:
            self._agreement = agreement(self.evaluate(self._truth[0]), self._truth[1], self.targets)

    @classmethod
    def published(cls, model: nn.Module, loaders: Any, targets: Any, **options: Any) -> PublishedLinearized:
        """Build the estimator as the method's authors describe it: see `PublishedLinearized`."""
        from .published import PublishedLinearized

        return PublishedLinearized(model, loaders, targets, **options)

    @classmethod
    def from_finetune(cls, base: Course, W0: Any, **options: Any) -> CourseLinearized:
        """Build the estimator around the end W0 of a training that a course describes: see `CourseLinearized`."""
        from .course_linearized import CourseLinearized

        return CourseLinearized(base, W0, **options)

    @classmethod
    def mean(cls, members: Sequence[Self], **options: Any) -> Ensemble:
        """Average of estimators around several W0 (three training seeds or more), with their spread."""
        from .ensemble import Ensemble

        return Ensemble(members, **options)

    @property
    def dim(self) -> int:
        """Dimension of the subspace."""
        return self.R.shape[1]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of the estimates should be told."""
        weighed = self.normalise if self._mixtures and self.normalise != "mixture" else None
        seen = doubts(self._largest_move, self._gradient_left, self.tolerance, self._steps_taken, weighed)
        return (*self.network.warnings, *self._warnings, *seen)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        estimator = {
            **self._description(),
            "displacement_max": self._largest_move,
            "gradient_at_W0": self._start.gradient,
            "full_mask_decrease": self._start.decrease,
            "solver_steps": self._steps_taken,
            "solver_gradient_left": self._gradient_left,
            **stated(self._agreement),
            "features": self._features_notes,
            "warnings": list(self.warnings),
        }
        if self.curve is not None:
            estimator["dim_from"] = f"curve of change against dimension, tolerance {self.curve.tolerance:g}"
        return {
            "coupled": True,
            "deterministic": True,
            "absent_tasks": "fixed_epochs" if self.normalise == "selected" else "fixed_steps",
            "estimator": estimator,
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: options, W0 and data."""
        options = self._description()
        return {
            **{key: value for key, value in options.items() if key != "mu_from"},
            **{f"loss.{key}": value for key, value in self._loss.facts().items()},
            "mu": None if options["mu"] is None else float(f"{self.mu:.6g}"),
            "steps": self.steps,
            "tolerance": self.tolerance,
            "rng": self._rng,
            **measured_by(self._metrics),
            "model": digest_of_model(self.network.model),
            "W0": digest(self.network.names, self.network.W0, self.network.fixed),
            **{f"data.{name}": content for name, content in self._data.items()},
        }

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Estimate the targets of every mask.

        Parameters
        ----------
        masks : (b, K) array
            Masks, or non-negative weights.
        seeds : ignored
            The estimate has no randomness of its own; average over several W0 with `Linearized.mean`.

        Returns
        -------
        (b, T) array
        """
        return self.measure(self.displacements(masks))

    def displacements(self, masks: np.ndarray) -> np.ndarray:
        """Solve every mask: zhat, shape (b, d)."""
        masks = check_rows(masks, len(self.tasks))
        self._mixtures |= guess_kind(masks) == "mixture"
        z = self._solve(torch.from_numpy(masks).to(self._train.labels.device))
        self._largest_move = max(self._largest_move, float(self._moved(z).max()) / self._size)
        return z.cpu().numpy()

    def measure(self, z: np.ndarray) -> np.ndarray:
        """Measure the linear model on the targets at displacements z (b, d): shape (b, T)."""
        moves = torch.as_tensor(z, dtype=torch.float64, device=self._train.labels.device)
        values = np.empty((len(moves), len(self.targets)))
        for t, (name, target) in enumerate(self._targets.items()):
            chunk = max(1, self.memory // (8 * 4 * target.offset.numel()))
            for start in range(0, len(moves), chunk):
                rows = slice(start, start + chunk)
                values[rows, t] = self._measure_target(target, target.logits(moves[rows]).double(), name)
        return values

    def _measure_target(self, target: Features, outputs: Tensor, name: str) -> np.ndarray:
        metric, labels = self._metrics[name], target.labels
        if isinstance(metric, str):
            return mean(self._loss.measure(metric, outputs, labels), target.weights).cpu().numpy()
        weights = [target.weights.cpu()] if bool((target.weights != 1).any()) else []
        if outputs.shape[-1] == 1:
            outputs = outputs.squeeze(-1)
        labels = labels.squeeze(1) if labels.ndim > 1 else labels  # (n, 1) would broadcast with (n,)
        return np.array([float(metric(f.cpu(), labels.cpu(), *weights)) for f in outputs])

    def _solve(self, masks: Tensor, mu: float | None = None) -> Tensor:
        """Solve masks (b, K) for their displacements (b, d)."""
        found = solve(
            self._train,
            self._H,
            masks,
            self._loss,
            ridge=max(self.weight_decay + (self.mu if mu is None else mu), self._floor),
            pull=self.weight_decay * self._pull,
            normalise=self.normalise,
            steps=self.steps,
            tolerance=self.tolerance,
            memory=self.memory,
        )
        self._gradient_left = max(self._gradient_left, float(found.gradient.max()))
        self._steps_taken = max(self._steps_taken, found.steps)
        return found.z

    @property
    def _floor(self) -> float:
        """Smallest ridge, for objectives that have no optimum of their own."""
        return 1e-9 * self._stiffness

    @property
    def _stiffness(self) -> float:
        """Largest eigenvalue of the curvature of the mean loss over all examples."""
        return stiffness(self._H, self._train.counts)

    def _moved(self, z: Tensor) -> Tensor:
        """Length |R z|, shape (b,)."""
        return z.norm(dim=1)

    def _description(self) -> dict[str, Any]:
        return {
            "method": "linearized",
            "subspace": self.subspace if self.dim < self.network.size else "all parameters",
            "dim": self.dim,
            "parameters": self.network.size,
            "mu": self.mu,
            "mu_from": self._mu_from,
            "weight_decay": self.weight_decay,
            "loss": self._loss.name,
            "normalise": self.normalise,
            **({"basis_dtype": str(self._dtypes[1])} if self._dtypes[1] else {}),
        }

    def _choose_mu(self, truth: tuple[np.ndarray, np.ndarray]) -> None:
        """Choose mu on a grid by the centred error on retrained masks, in units of each target's spread."""
        masks, values = truth
        grid = [0.0, *(self._stiffness * 10.0 ** np.arange(-5, 0.1, 0.5))]
        rows = torch.from_numpy(masks).to(self._train.labels.device)
        best = nearest((self.measure(self._solve(rows, mu).cpu().numpy()) for mu in grid), values, self.targets)
        self.mu, self._mu_from = (float(grid[best]), f"{len(masks)} retrained masks")
        self._gradient_left, self._steps_taken = 0.0, 0

    def _examine(self, train: Examples) -> None:
        """Say whether W0 looks trained: its gradient, and how far the linear model can still lower the loss."""
        everything = train.counts if self.normalise == "mixture" else torch.ones_like(train.counts)
        outputs = self._train.logits(self._solve(everything[None]))[0]
        self._start = Start.of(self.network, train, outputs, self._loss, self.weight_decay)
        self._warnings += self._start.warnings
