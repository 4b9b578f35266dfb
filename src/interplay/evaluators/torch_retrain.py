"""One torch module trained per mask, coupled: convolutional networks, transformers, anything that is called on a batch.

Step t under mask or weights s takes the gradient of

    1/B sum_{i in batch t} s_{task of i} loss(f_W(x_i), y_i)

with initial weights, batches and normaliser of the seed alone; the optimiser is one of `interplay.unrolled.optimisers`,
plain or looking for flatter minima. It is also a course that `InRun` and `Metagradient` can follow, and what
`Linearized.from_training` takes its model, data and recipe from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..gradients.chunks import out_of_memory
from ..gradients.devices import full_float32
from ..gradients.losses import Loss, SoftmaxLoss, loss_named
from ..gradients.network import Network, Tensor, nn, torch
from ..gradients.products import plain_attention
from ..unrolled.optimisers import Optimiser
from ..unrolled.reactions import Reactions, chosen, outputs
from ..unrolled.training import Flatter, train
from .code import digest_of_model
from .coupled import CoupledRetrain
from .digests import digest
from .seeding import seeded
from .settings import Metric, directions_of, measured_by, metrics_of

__all__ = ["TorchRetrain"]

#: Examples that are measured at once.
CHUNK = 256
#: Outputs that all react, and outcomes of a softmax that do where there are more, unless something else is asked for.
OUTPUTS, OUTCOMES = 32, 8


class TorchRetrain(CoupledRetrain):
    """Train a torch module from the same start for every mask of a seed, and measure it on targets.

    Use it where models are too large to be stacked (`BatchedRetrain`), and where the estimators need the recipe.

    Parameters
    ----------
    model : callable or torch.nn.Module
        ``model(seed)`` returns the module with the initial weights of that seed; a module is where every seed starts
        (fine-tuning). It runs in evaluation mode: layers that draw random numbers draw none, batch norm keeps its
        statistics (use group or layer norm).
    sources, targets : mapping of str to (X, y)
        Tensors or arrays (n, ...) and labels as the loss wants them.
    loss : str or Loss
        See `interplay.gradients.losses`.
    metric, higher_is_better
        As in `interplay.evaluators.Linearized`.
    steps, epochs : int, float
        Length of the training; give one. With ``steps`` an absent task leaves its places in the batches empty, with
        ``epochs`` the training without a task is shorter.
    batch_size : int
    optimiser : Optimiser
    flatter : Flatter, optional
        Gradients that look for flatter minima.
    parameters : sequence of str, optional
        Names or globs of the parameters that are trained; default: all.
    device : torch.device or str, optional
        Where to train and to measure, such as ``"cuda"``; default: where the module is. Batches and the initial weights
        that ``model(seed)`` draws on the CPU are the same on every device.

    Attributes
    ----------
    tasks, targets : tuple of str
    notes : dict
        Facts that travel with the runs.
    """

    def __init__(
        self,
        model: Callable[[int], nn.Module] | nn.Module,
        sources: Mapping[str, tuple[Any, Any]],
        targets: Mapping[str, tuple[Any, Any]],
        *,
        loss: str | Loss = "cross_entropy",
        metric: Metric | Mapping[str, Metric] = "loss",
        higher_is_better: bool | Mapping[str, bool] | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int = 64,
        optimiser: Optimiser | None = None,
        flatter: Flatter | None = None,
        parameters: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ):
        if not sources or not targets:
            raise ValueError("sources and targets must each hold at least one (X, y).")
        super().__init__(optimiser or Optimiser(), flatter, steps=steps, epochs=epochs, batch_size=batch_size)
        self.tasks, self.targets = tuple(sources), tuple(targets)
        self.loss = loss_named(loss) if isinstance(loss, str) else loss
        self._metrics = metrics_of(metric, self.targets)
        self.higher_is_better = directions_of(higher_is_better, self._metrics)
        self.model, self.parameters = model, parameters
        self.network = Network(self.module(0), parameters, device=device)
        self.device = self.network.device
        self._X, self._y, self._group = self._joined(sources, "sources")
        self._X_target, self._y_target, self._target = self._joined(targets, "targets")
        self.network.probe(self._X[:2])
        self.schedule(0)

    @property
    def group(self) -> np.ndarray:
        """Task of each training example, ``(N,)``."""
        return self._group

    @property
    def size(self) -> int:
        """Number of trained parameters p."""
        return self.network.size

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: recipe, model, data."""
        recipe = {key: value for key, value in self.notes["training"].items() if key != "examples"}
        ends = [("sources", self.tasks, self._X, self._y, self._group)]
        ends += [("targets", self.targets, self._X_target, self._y_target, self._target)]
        return {
            **recipe,
            "loss": self.loss.name,
            **self.loss.facts(),
            **measured_by({name: metric for name, metric in self._metrics.items() if metric != "loss"}),
            "model": digest_of_model(self.network.model),
            "initial weights": digest(self.network.W0),
            **{
                f"{argument}.{name}": digest(X[part == k], y[part == k])
                for argument, names, X, y, part in ends
                for k, name in enumerate(names)
            },
        }

    def module(self, seed: int) -> nn.Module:
        """Return the untrained module of a seed, where it was made."""
        if isinstance(self.model, nn.Module):
            return self.model
        with seeded(seed):
            return self.model(seed)

    def trained(self, mask: Any = "all", seed: int = 0) -> nn.Module:
        """Train once and return the module, in evaluation mode."""
        return self.with_parameters(self.train(mask, seed), seed)

    def with_parameters(self, W: Tensor, seed: int) -> nn.Module:
        """Return the module with parameters W (p,)."""
        network = Network(self.module(seed), self.parameters, device=self.device)
        values = dict(network.model.named_parameters())
        with torch.no_grad():
            for name, shape, part in zip(network.names, network.shapes, W.split(network.sizes), strict=True):
                values[name].copy_(part.view(shape))
        return network.model

    def train(self, mask: Any = "all", seed: int = 0) -> Tensor:
        """Train once, on all tasks or those of a mask (K,); return the parameters (p,)."""
        s = self._weights(mask, seed)
        return train(
            self.initial(seed), self.batches(s, seed), self.gradient, self.optimiser, seed=seed, flatter=self.flatter
        )

    def initial(self, seed: int) -> Tensor:
        """Return the parameters (p,) before training."""
        return Network(self.module(seed), self.parameters, device=self.device).W0.clone()

    def gradient(self, W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i at W."""
        leaf = W.detach().requires_grad_()
        with full_float32():
            f = self.network.logits(leaf, self._X[indices])
            residual = self.loss.value_and_residual(f.detach(), self._y[indices])[1]
            return torch.autograd.grad(f, leaf, torch.from_numpy(weights).to(f)[:, None] * residual)[0]

    def hessian_product(self, W: Tensor, indices: np.ndarray, weights: np.ndarray, vectors: Tensor) -> Tensor:
        """Return the second derivative of sum_i weights_i loss_i at W times vectors (T, p): ``(T, p)``."""
        x, y, a = self._X[indices], self._y[indices], torch.from_numpy(weights).to(W)[:, None]

        def along(v: Tensor) -> Tensor:
            f, moved = torch.func.jvp(lambda U: self.network.logits(U, x), (W,), (v,))[:2]
            bent = a * self.loss.curvature_product(f, moved, y)  # Gauss-Newton part, then that of the outputs' own
            fixed = a * self.loss.value_and_residual(f, y)[1]
            own = torch.func.jvp(torch.func.grad(lambda U: (fixed * self.network.logits(U, x)).sum()), (W,), (v,))[1]
            return torch.func.vjp(lambda U: self.network.logits(U, x), W)[1](bent)[0] + own

        with plain_attention():
            return torch.stack([along(v) for v in vectors])

    def reactions(self, W: Tensor, indices: np.ndarray, R: int | None) -> Reactions:
        """Return losses and gradients of training examples at W (p,), and how the outputs of each react.

        Parameters
        ----------
        W : Tensor (p,)
        indices : (n,) array
        R : int or None
            0: nothing reacts. None: all outputs, or `OUTCOMES` where there are more than `OUTPUTS` and the loss is a
            softmax. Less than all: the R most uncertain outcomes of the softmax.
        """
        return self._reactions(W, self._X[indices], self._y[indices], R)

    def target_reactions(self, W: Tensor, R: int | None) -> Iterator[tuple[int, Reactions]]:
        """Iterate over chunks of the examples of every target: its index, and their `reactions`."""
        rows = max(1, min(CHUNK, 2**25 // W.numel()))
        for t, name in enumerate(self.targets):
            self._differentiable(name)
            for part in np.array_split(own := np.flatnonzero(self._target == t), -(-len(own) // rows)):
                yield t, self._reactions(W, self._X_target[part], self._y_target[part], R)

    def measure(self, W: Tensor) -> np.ndarray:
        """Return the targets (T,) of the model with parameters W (p,)."""
        with torch.no_grad(), full_float32():
            f = torch.cat([self.network.logits(W.to(self.device), x) for x in self._X_target.split(CHUNK)]).double()
        values = []
        for t, name in enumerate(self.targets):
            own = torch.from_numpy(self._target == t).to(self.device)
            metric = self._metrics[name]
            if callable(metric):
                values.append(float(metric(f[own].cpu(), self._y_target[own].cpu())))
            else:
                values.append(float(self.loss.measure(metric, f[own], self._y_target[own]).mean()))
        return np.array(values)

    def _reactions(self, W: Tensor, x: Tensor, y: Tensor, R: int | None) -> Reactions:
        with torch.no_grad(), full_float32():
            f = self.network.logits(W, x)
            losses, residual = self.loss.value_and_residual(f, y)
        if R == 0:
            return Reactions(losses, self._pulled(W, x, residual[:, None])[:, 0], W.new_zeros(len(x), 0, len(W)), None)
        if R is None:
            R = min(f.shape[1], OUTCOMES) if f.shape[1] > OUTPUTS and self._places else f.shape[1]
        if f.shape[1] > R:
            return self._outcomes(W, x, f, losses, residual, R)
        eye = torch.eye(f.shape[1], dtype=f.dtype, device=f.device)
        J = self._pulled(W, x, eye.expand(len(x), *eye.shape))

        def bend(change: Tensor) -> tuple[Tensor, Tensor]:
            value, turned = self.loss.value_and_residual(f + change, y)
            return turned - residual, value - losses - (residual * change).sum(-1)

        return Reactions(losses, torch.einsum("nc,ncp->np", residual, J), J, bend)

    @property
    def _places(self) -> int:
        """Softmaxes in the outputs of an example, 0 where the loss is none of classes."""
        return int(getattr(self.loss, "places", 1)) if isinstance(self.loss, SoftmaxLoss) else 0

    def _outcomes(self, W: Tensor, x: Tensor, f: Tensor, losses: Tensor, residual: Tensor, R: int) -> Reactions:
        """Return how the R most uncertain outcomes of each example react."""
        n, L = len(x), self._places
        if not L:
            raise ValueError(f"react is {R}; loss={self.loss.name!r} has no outcomes to choose from: use None or 0.")
        owner = torch.arange(n, device=f.device).repeat_interleave(L)
        with torch.enable_grad():
            leaf = f.detach().requires_grad_()
            logits = leaf.view(n * L, -1)
            found = chosen(logits.detach(), owner, n, R)
            q = outputs(logits, found)
            turns = [torch.autograd.grad(q[:, j].sum(), leaf, retain_graph=True)[0] for j in range(q.shape[1])]
        rows = self._pulled(W, x, torch.stack([residual, *turns], 1))
        return Reactions(losses, rows[:, 0], rows[:, 1:], found.bend, found)

    def _pulled(self, W: Tensor, x: Tensor, cotangents: Tensor) -> Tensor:
        """J_i' u for the cotangents (n, r, C) of each example: ``(n, r, p)``."""

        def one(xi: Tensor, ui: Tensor) -> Tensor:
            back = torch.func.vjp(lambda V: self.network.logits(V, xi[None])[0], W)[1]
            return torch.func.vmap(lambda u: back(u)[0])(ui)

        try:
            with plain_attention():  # fused attention is not taken over examples
                return torch.func.vmap(one)(x, cotangents)
        except RuntimeError as error:  # a module that vmap does not take
            if out_of_memory(error):
                raise
            return torch.stack([one(xi, ui) for xi, ui in zip(x, cotangents, strict=True)])

    def _joined(self, parts: Mapping[str, tuple[Any, Any]], argument: str) -> tuple[Tensor, Tensor, np.ndarray]:
        xs, ys, group = [], [], []
        for k, (name, pair) in enumerate(parts.items()):
            where = f"{argument}[{name!r}]"
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ValueError(f"{where} is a {type(pair).__name__}; pass a pair of arrays (X, y).")
            x, y = (torch.as_tensor(np.asarray(v) if not isinstance(v, Tensor) else v).to(self.device) for v in pair)
            if len(x) != len(y) or not len(x):
                raise ValueError(f"{where} has {len(x)} inputs and {len(y)} labels; both must be there and agree.")
            with torch.no_grad():
                f = self.network.logits(self.network.W0, x[:1])
            ys.append(self.loss.check(f.expand(len(y), f.shape[1]), y, where))
            xs.append(x)
            group.append(np.full(len(y), k))
        return torch.cat(xs), torch.cat(ys), np.concatenate(group)
