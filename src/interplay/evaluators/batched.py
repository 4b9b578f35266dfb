"""Many small models trained at once, as one stacked torch model: the truth by retraining, affordable.

For every mask s (a row of b) the model minimises

    L(W; s) = 1/N sum_k s_k sum_{i in k} CE(f_W(x_i), y_i) + weight_decay/2 |W|^2,    N = all examples

by Adam with a learning rate that falls to 0 as a half cosine, or by L-BFGS to the optimum. Parameters carry a
leading axis b, `torch.vmap` runs the forward pass, and since the models share nothing the gradient of the sum over b
is every model's own. Absent sources keep their places in the schedule: their examples are dropped from the batches,
steps and normaliser stay.

Coupled seeds (design: section 3): within a seed all masks share initial weights and batch schedule, so that
effects are differences within a seed and the noise that masks have in common cancels.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import cross_entropy

from ..gradients.devices import checked, full_float32
from .checkpoint import load_state
from .code import digest_of_model
from .digests import digest
from .lbfgs import minimise
from .seeding import seeded

BETAS = (0.9, 0.99)
_RECIPES = {"adam": {"optimiser": "adam, half-cosine learning rate"}, "lbfgs": {"optimiser": "lbfgs"}}


class BatchedRetrain:
    """Train one classifier per mask from scratch, many masks stacked into one model.

    Use it for models so small that overhead rules their training; the outcome equals training them one by one
    (up to float rounding).

    Parameters
    ----------
    model : callable
        ``model(seed)`` returns a `torch.nn.Module` with the initial weights of that seed, from ``(n, ...)`` to
        logits ``(n, C)``; its forward pass draws nothing at random (no dropout) and keeps no batch statistics.
    sources : mapping of str to (X, y) or an iterable of batches
        One entry per task: arrays or tensors ``(n_k, ...)`` and integer labels ``(n_k,)``, or a DataLoader.
    targets : mapping of str to (X, y) or an iterable of batches
        Where the mean cross-entropy is measured.
    steps, lr, weight_decay : int, float, float
        Steps of Adam (betas .9 and .99), peak learning rate, and the coefficient of |W|^2 / 2 (in the loss).
        For L-BFGS ``steps`` is the most it may take, and ``lr`` is not used.
    batch_size : int or None
        Examples per step, drawn epoch by epoch from all sources; None is full batch.
    coupled : bool
        True: masks of one seed share initial weights and schedule. False: each (mask, seed) has its own.
    optimiser : {"adam", "lbfgs"}
        L-BFGS is full batch, runs in float64 and stops where the norm of the gradient is below ``tolerance``.
    tolerance : float
    initial : torch.nn.Module, state dict, path or None
        Weights to start every model from (fine-tuning), or a file that holds them (see `load_state`); None takes
        those of ``model(seed)``.
    stack : int
        Models trained at once.
    fidelity : str
        ``"retrained"``, or a word for another way of training: few steps from W0 are ``initial=W0, steps=5,
        fidelity="few-steps"``.
    device : torch.device or str
        Where stacks are trained, such as ``"cuda"``, where a larger ``stack`` takes hardly longer. Schedules and the
        initial weights that ``model(seed)`` draws on the CPU are the same on every device.

    Attributes
    ----------
    tasks, targets : tuple of str
    higher_is_better : tuple of bool
    notes : dict
        Facts that travel with the runs; after `evaluate` also ``gradient_norm``, the largest norm of the
        gradient of L at the end of any training so far (full batch), which tells how converged the models are.
    batch : int
        Rows that are best handed over at once: a stack.
    """

    def __init__(
        self,
        model: Callable[[int], nn.Module],
        sources: Mapping[str, Any],
        targets: Mapping[str, Any],
        *,
        steps: int = 300,
        lr: float = 0.03,
        weight_decay: float = 1e-3,
        batch_size: int | None = None,
        coupled: bool = True,
        optimiser: Literal["adam", "lbfgs"] = "adam",
        tolerance: float = 1e-5,
        initial: nn.Module | Mapping[str, Tensor] | str | os.PathLike[str] | None = None,
        stack: int = 50,
        fidelity: str = "retrained",
        device: torch.device | str = "cpu",
    ):
        if not sources or not targets:
            raise ValueError("sources and targets must each hold at least one (X, y).")
        for name, value in {"steps": steps, "lr": lr, "stack": stack, "tolerance": tolerance}.items():
            if not value > 0:
                raise ValueError(f"{name} is {value!r}; it must be positive.")
        self.tasks = tuple(sources)
        self.targets = tuple(targets)
        self.higher_is_better = (False,) * len(self.targets)
        self.model, self.steps, self.lr, self.weight_decay = model, steps, lr, weight_decay
        if optimiser not in ("adam", "lbfgs") or (optimiser == "lbfgs" and batch_size is not None):
            raise ValueError(f"optimiser is {optimiser!r}; use 'adam', or 'lbfgs' with batch_size=None.")
        self.coupled, self.stack, self.optimiser, self.tolerance = coupled, stack, optimiser, tolerance
        if isinstance(initial, str | os.PathLike):
            initial = load_state(initial)
        self.initial = initial.state_dict() if isinstance(initial, nn.Module) else initial
        self.fidelity = fidelity
        self.device = checked(device)
        self._X, self._y, self._source = _concatenate(sources, "sources", self.device)
        self._X_target, self._y_target, self._target = _concatenate(targets, "targets", self.device)
        n = len(self._y)
        if batch_size is not None and not 0 < batch_size <= n:
            raise ValueError(f"batch_size is {batch_size}; use 1 to {n} (all examples), or None for full batch.")
        self.batch_size = None if batch_size == n else batch_size
        self._gradient_norm: float | None = None

    @property
    def notes(self) -> dict[str, Any]:
        """Facts about how the runs were made, JSON-able."""
        notes: dict[str, Any] = {
            "coupled": self.coupled,
            "absent_tasks": "fixed_steps",
            "training": {
                **_RECIPES[self.optimiser],
                "steps": self.steps,
                **({"lr": self.lr} if self.optimiser == "adam" else {"tolerance": self.tolerance}),
                "weight_decay": self.weight_decay,
                "batch_size": self.batch_size,
                "examples": len(self._y),
                "from": "scratch" if self.initial is None else "given weights",
            },
        }
        if self._gradient_norm is not None:
            notes["training"]["gradient_norm"] = self._gradient_norm
        return notes

    @property
    def batch(self) -> int:
        """Rows that are best handed over at once."""
        return self.stack

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: recipe, model, weights, data."""
        model, recipe = self._built(0), self.notes["training"]
        start = model.state_dict() if self.initial is None else self.initial
        ends = [("sources", self.tasks, self._X, self._y, self._source)]
        ends += [("targets", self.targets, self._X_target, self._y_target, self._target)]
        return {
            **{key: value for key, value in recipe.items() if key not in ("examples", "gradient_norm")},
            "coupled": self.coupled,
            "model": digest_of_model(model),
            "initial weights": digest(dict(start)),
            **{
                f"{argument}.{name}": digest(X[part == k], y[part == k])
                for argument, names, X, y, part in ends
                for k, name in enumerate(names)
            },
        }

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Train a model per row and return its target losses.

        Parameters
        ----------
        masks : (b, K) array
            1 where a source trains and 0 where not; other weights >= 0 multiply the source's loss.
        seeds : (b,) array of int
            The training seed of each row.

        Returns
        -------
        (b, T) array
            Mean cross-entropy on each target; NaN in rows whose training diverged.
        """
        masks, seeds = np.asarray(masks, float), np.asarray(seeds, np.int64)
        if masks.ndim != 2 or masks.shape[1] != len(self.tasks):
            raise ValueError(f"masks has shape {masks.shape}; it must be (b, {len(self.tasks)}), one per source.")
        if seeds.shape != masks.shape[:1]:
            raise ValueError(f"seeds has shape {seeds.shape}; it must be ({len(masks)},), one per mask.")
        if not (np.isfinite(masks).all() and (masks >= 0).all()):
            raise ValueError("masks holds negative or non-finite weights; use 0, 1 or other finite weights >= 0.")
        values = np.empty((len(masks), len(self.targets)))
        for start in range(0, len(masks), self.stack):
            rows = slice(start, start + self.stack)
            state, norms = self._train(masks[rows], seeds[rows])
            values[rows] = np.where(norms.isfinite().cpu().numpy()[:, None], self._losses(state), np.nan)
        return values

    def train(self, masks: np.ndarray, seeds: np.ndarray) -> dict[str, Tensor]:
        """Train one stack; return its parameters by name, each with a leading axis b."""
        return self._train(np.asarray(masks, float), seeds)[0]

    def _train(self, masks: np.ndarray, seeds: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
        """Return parameters of one stack, and the norms ``(b,)`` of the final gradients."""
        keys = [self._key(mask, int(seed)) for mask, seed in zip(masks, seeds, strict=True)]
        self._skeleton, parameters, buffers = self._stacked_model(keys)
        weights = torch.tensor(masks, device=self.device)[:, self._source]  # (b, N)
        with full_float32():
            if self.optimiser == "adam":
                schedule = None if self.batch_size is None else _Schedule(keys, len(self._y), self.batch_size)
                norms = self._adam(parameters, buffers, weights.float(), schedule)
            else:
                parameters, norms = self._lbfgs(parameters, buffers, weights)
        if norms.isfinite().any():
            self._gradient_norm = max(float(norms[norms.isfinite()].max()), self._gradient_norm or 0.0)
        return {name: p.detach() for name, p in {**parameters, **buffers}.items()}, norms

    def _adam(self, parameters, buffers, weights: Tensor, schedule: _Schedule | None) -> Tensor:
        """Train the parameters in place; return the norms ``(b,)`` of the final gradients."""
        optimiser = torch.optim.Adam(parameters.values(), lr=self.lr, betas=BETAS, foreach=True)
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = self.lr * 0.5 * (1 + math.cos(math.pi * step / self.steps))
            batch = None if schedule is None else schedule.batch(step).to(self.device)
            _, gradients = self._objective(parameters, buffers, weights, self._X, batch)
            for p, gradient in zip(parameters.values(), gradients, strict=True):
                p.grad = gradient
            optimiser.step()
        _, gradients = self._objective(parameters, buffers, weights, self._X)
        return torch.cat([gradient.flatten(1) for gradient in gradients], 1).norm(dim=1)

    def _lbfgs(self, parameters, buffers, weights: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the parameters at the optimum near the given ones, and the norms ``(b,)`` of the gradients."""
        X = self._X.double()
        buffers = {name: v.double() if v.is_floating_point() else v for name, v in buffers.items()}
        shapes = {name: p.shape[1:] for name, p in parameters.items()}
        sizes = [p[0].numel() for p in parameters.values()]

        def unflatten(W: Tensor) -> dict[str, Tensor]:
            parts = W.split(sizes, dim=1)
            return {n: part.reshape(-1, *shape) for (n, shape), part in zip(shapes.items(), parts, strict=True)}

        def objective(W: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            leaves = {name: part.detach().requires_grad_() for name, part in unflatten(W).items()}
            own = {name: buffer[rows] for name, buffer in buffers.items()}
            values, gradients = self._objective(leaves, own, weights[rows], X)
            return values, torch.cat([gradient.flatten(1) for gradient in gradients], 1)

        start = torch.cat([p.detach().flatten(1) for p in parameters.values()], 1).double()
        W, norms = minimise(objective, start, steps=self.steps, tolerance=self.tolerance)
        return {name: part.float() for name, part in unflatten(W).items()}, norms

    def _objective(
        self, parameters, buffers, weights: Tensor, X: Tensor, batch: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return L(W_b; s_b) ``(b,)`` and its gradients; ``batch`` holds indices ``(B,)`` or ``(b, B)``."""
        y = self._y
        if batch is not None:
            X, y = X[batch], y[batch]
            weights = weights[:, batch] if batch.ndim == 1 else weights.gather(1, batch)
        shared = batch is None or batch.ndim == 1
        logits = torch.vmap(self._forward, in_dims=(0, None if shared else 0))({**parameters, **buffers}, X)
        b, n, C = logits.shape
        losses = cross_entropy(logits.reshape(b * n, C), y.expand(b, n).reshape(-1), reduction="none")
        decay = sum(p.flatten(1).square().sum(1) for p in parameters.values())
        values = (losses.view(b, n) * weights).sum(1) / n + 0.5 * self.weight_decay * decay
        return values.detach(), torch.autograd.grad(values.sum(), list(parameters.values()))

    def _forward(self, state: dict[str, Tensor], X: Tensor) -> Tensor:
        return functional_call(self._skeleton, state, (X,))

    @torch.no_grad()
    def _losses(self, state: dict[str, Tensor]) -> np.ndarray:
        with full_float32():
            logits = torch.vmap(self._forward, in_dims=(0, None))(state, self._X_target)
        b, n, C = logits.shape
        losses = cross_entropy(logits.reshape(b * n, C), self._y_target.expand(b, n).reshape(-1), reduction="none")
        member = nn.functional.one_hot(self._target, len(self.targets)).double()  # (n, T)
        return (losses.view(b, n).double() @ (member / member.sum(0))).cpu().numpy()

    def _stacked_model(self, keys: Sequence[int]) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
        models = {key: self._built(key) for key in (dict.fromkeys(keys) if self.initial is None else keys[:1])}
        if self.initial is not None:
            models[keys[0]].load_state_dict(self.initial)
            models = dict.fromkeys(keys, models[keys[0]])
        parameters, buffers = stack_module_state([models[key] for key in keys])  # type: ignore[arg-type]
        frozen = {name for name, p in models[keys[0]].named_parameters() if not p.requires_grad}
        leaves = {n: p.detach().clone().requires_grad_() for n, p in parameters.items() if n not in frozen}
        if not leaves:
            raise ValueError("the model has no trainable parameter; set requires_grad on those to train.")
        fixed = {n: p.detach() for n, p in parameters.items() if n in frozen}
        return models[keys[0]].to("meta"), leaves, {**buffers, **fixed}

    def _built(self, key: int) -> nn.Module:
        """Return ``model(key)``; what it draws from global generators is the key's as well."""
        with seeded(key):
            model = self.model(key)
        _check_layers(model)
        return model.to(self.device)

    def _key(self, mask: np.ndarray, seed: int) -> int:
        """Return the seed of initial weights and schedule: the run's own, or one that the mask changes too."""
        return seed if self.coupled else zlib.crc32(mask.tobytes(), seed & 0xFFFFFFFF)


def _check_layers(model: nn.Module) -> None:
    """Refuse layers whose training is random, or depends on the batch: stacked, it is another than one by one."""
    for name, layer in model.named_modules():
        where = f"the model's layer {name or 'itself'!r} ({type(layer).__name__})"
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and (layer.training or not layer.track_running_stats):
            raise ValueError(
                f"{where} normalises by its batch and keeps statistics of it, which stacked training does not do. Use "
                "GroupNorm or LayerNorm, or freeze its statistics with .eval() in model(seed)."
            )
        drops = getattr(layer, "p" if isinstance(layer, nn.modules.dropout._DropoutNd) else "dropout", 0.0)
        if layer.training and isinstance(drops, float) and drops > 0:
            raise ValueError(
                f"{where} drops units at random, which stacked training does not do. Set its probability to 0, or turn "
                "it off with .eval() in model(seed)."
            )


class _Schedule:
    """Batches of every row, epoch by epoch: ``(B,)`` indices if all rows share a seed, else ``(b, B)``."""

    def __init__(self, keys: Sequence[int], n: int, size: int):
        self.n, self.size, self.per_epoch = n, size, n // size
        distinct = list(dict.fromkeys(keys))
        self.rngs = [np.random.default_rng([48, key]) for key in distinct]
        self.row = np.array([distinct.index(key) for key in keys])

    def batch(self, step: int) -> Tensor:
        within = step % self.per_epoch
        if within == 0:
            self.orders = np.stack([rng.permutation(self.n) for rng in self.rngs])
        indices = torch.from_numpy(self.orders[:, within * self.size : (within + 1) * self.size])
        return indices[0] if len(indices) == 1 else indices[self.row]


def _concatenate(parts: Mapping[str, Any], argument: str, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return all examples ``(n, ...)``, labels ``(n,)`` and the number of the part each belongs to ``(n,)``."""
    images, labels = [], []
    for name, part in parts.items():
        batches = [part] if isinstance(part, tuple) else list(part)
        if not batches or sum(len(y) for _, y in batches) == 0:
            raise ValueError(f"{argument}[{name!r}] is empty; leave it out or give it examples.")
        images.append(torch.cat([torch.as_tensor(x) for x, _ in batches]).float())
        labels.append(torch.cat([torch.as_tensor(y) for _, y in batches]).long())
        if len(images[-1]) != len(labels[-1]):
            raise ValueError(f"{argument}[{name!r}] has {len(images[-1])} examples and {len(labels[-1])} labels.")
    member = torch.cat([torch.full((len(y),), k) for k, y in enumerate(labels)])
    return torch.cat(images).to(device), torch.cat(labels).to(device), member.to(device)
