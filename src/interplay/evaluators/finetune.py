"""Fine-tuning of a language model on the sources that a mask names, coupled: the truth that estimates stand for.

Step t of a training under mask or weights s minimises

    1/B sum_{i in batch t} s_{task of i} loss_i(W),    loss_i = mean cross-entropy of the answer tokens of example i,

with batches, initial LoRA weights and normaliser of the seed alone. Layers below the first trained one run once for
each example; what they give is kept (`interplay.language`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coupling import Schedule
from ..gradients.network import Tensor, torch  # torch by way of our room, which says how to install it
from ..language.adapter import Adapter, by_length
from ..language.cut import Cut
from ..language.examples import COLUMNS, Examples, Rows, read_rows, tokenise
from ..language.loading import adapt, first_trained, load
from ..language.states import States
from ..language.targets import Target
from ..unrolled.optimisers import Optimiser
from ..unrolled.reactions import Reactions
from ..unrolled.training import Flatter, batches, train
from .digests import digest
from .rows import checked_rows
from .settings import Metric, directions_of, metrics_of

__all__ = ["Finetune", "Trained"]

#: Outcomes of an example that react, where nothing else is asked for: each costs a backward pass.
OUTCOMES = 2


@dataclass(frozen=True, eq=False)
class Trained:
    """Parameters at the end of a training.

    Attributes
    ----------
    W : Tensor (p,)
    names, shapes : tuple
        Of the parameters, in the order of W.
    mask : tuple of float (K,)
    seed : int
    """

    W: Tensor
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    mask: tuple[float, ...]
    seed: int


class Finetune:
    """Fine-tune a causal language model for each mask, and measure it on evaluation sets.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A name on the Hugging Face hub, a folder of safetensors or with a GGUF file, or a loaded model (copied).
    datasets : mapping of str to data set
        The K sources: files of JSON lines, `datasets.Dataset`s or sequences of rows, with a prompt and an answer each.
    targets : mapping of str to data set
        The T evaluation sets.
    lora : peft.LoraConfig, int or None
        A configuration, or the rank of LoRA in all linear parts of the layers; None trains ``parameters``.
    layers : int, sequence of int or None
        The upper so many layers, or which ones, get LoRA; None: all.
    parameters : sequence of str, optional
        Names or globs of the parameters to train as they are, with ``lora=None``.
    steps, epochs : int, float
        Length of the training; give one. With ``steps`` an absent task leaves its places in the batches empty; with
        ``epochs`` every example of the present tasks is read so often, and the training without a task is shorter.
    batch_size : int
    lr, weight_decay, betas, eps, schedule, warmup, optimiser, momentum
        See `interplay.unrolled.Optimiser`.
    flatter : Flatter, optional
        Gradients that look for flatter minima.
    metric : {"loss", "accuracy"}, callable, or mapping from target to one of these
        The mean loss of the answers; the share of examples whose answer has the lowest loss among its options; or a
        function of the losses (n,) and the rows of a target.
    higher_is_better : bool or mapping from target to bool, optional
        Direction of targets whose metric is a function.
    tokenizer, columns, max_length
        Default: the model's own tokenizer, columns prompt, answer and label_options, 256 tokens.
    dtype : torch.dtype
        Of the frozen weights and hidden states; trained parameters are float32.
    cache : path, optional
        Folder for hidden states; default: in memory up to ``memory`` bytes, beyond that an error that asks for one.
    memory : int
        Bytes of hidden states that may be held in memory.

    Attributes
    ----------
    tasks, targets : tuple of str
    notes : dict
    warnings : tuple of str
        Answers that were cut off, prompts that were shortened.

    Examples
    --------
    >>> base = Finetune("SmolLM2", {"a": "a.jsonl", "b": "b.jsonl"}, {"val": "val.jsonl"}, steps=60)  # doctest: +SKIP
    >>> runs = interplay.evaluate(base, interplay.masks.leave_one_out(2), store="runs.db")  # doctest: +SKIP
    """

    fidelity = "retrained"
    batch = 1

    def __init__(
        self,
        model: Any,
        datasets: Mapping[str, Any],
        targets: Mapping[str, Any],
        *,
        lora: Any = 8,
        layers: int | Sequence[int] | None = None,
        parameters: Sequence[str] | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int = 16,
        lr: float = 2e-3,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        schedule: str = "linear",
        warmup: float = 0.1,
        optimiser: str = "adamw",
        momentum: float = 0.0,
        flatter: Flatter | None = None,
        metric: Metric | Mapping[str, Metric] = "loss",
        higher_is_better: bool | Mapping[str, bool] | None = None,
        tokenizer: Any = None,
        columns: Mapping[str, str] | None = None,
        max_length: int = 256,
        dtype: Any = torch.float32,
        cache: str | os.PathLike[str] | None = None,
        memory: int = 2**32,
    ):
        self.optimiser = Optimiser(
            optimiser, lr, weight_decay, tuple(betas), eps, momentum, schedule, warmup  # type: ignore[arg-type]
        )
        if (steps is None) == (epochs is None):
            raise ValueError(f"steps is {steps} and epochs is {epochs}; give one of them.")
        self.steps, self.epochs, self.batch_size, self.flatter = steps, epochs, batch_size, flatter
        names = {**COLUMNS, **(columns or {})}
        sources = _sets(datasets, "datasets", names)
        evaluated = _sets(targets, "targets", names)
        self.tasks, self.targets = tuple(s.name for s in sources), tuple(s.name for s in evaluated)
        self._metrics = metrics_of(metric, self.targets)
        self.higher_is_better = directions_of(higher_is_better, self._metrics)
        loaded, self.tokenizer, self.name = load(model, tokenizer, dtype=dtype)
        self._frozen = digest(dict(loaded.state_dict()))
        adapted = adapt(loaded, lora, layers, parameters)
        self.adapter = Adapter(Cut(adapted, first_trained(adapted)))
        self._pretrained = self.adapter.W.clone()
        self._lora = lora is not None
        self.examples = tokenise(sources, self.tokenizer, max_length=max_length)
        self.evaluation = {
            rows.name: Target(rows, self._metrics[rows.name], self.tokenizer, max_length) for rows in evaluated
        }
        self.schedule(0)  # checks batch size and length
        self.warnings = tuple(_cuts(self.examples, "datasets")) + tuple(
            w for target in self.evaluation.values() for w in _cuts(target.examples, "targets")
        )
        total = sum(e.lengths.sum() for e in (self.examples, *(t.examples for t in self.evaluation.values())))
        needs = 4 * self.adapter.cut.width * int(total)
        if self.adapter.cut.first is not None and cache is None and needs > memory:
            raise ValueError(
                f"cache is None and the hidden states take {needs / 2**30:.1f} GiB, more than memory allows "
                f"({memory / 2**30:.1f}); pass a folder, cache='states'."
            )
        self._cache = cache
        self.states = self._states(self.examples)
        for target in self.evaluation.values():
            target.states = self._states(target.examples)

    @property
    def K(self) -> int:
        """Number of tasks."""
        return len(self.tasks)

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        return {
            "coupled": True,
            "absent_tasks": "fixed_steps" if self.steps is not None else "fixed_epochs",
            "training": {
                **self.optimiser.describe(),
                **({} if self.flatter is None else self.flatter.describe()),
                **({"steps": self.steps} if self.steps is not None else {"epochs": self.epochs}),
                "batch_size": self.batch_size,
                "examples": len(self.examples),
                "model": os.path.basename(self.name.rstrip("/")),
                "trained parameters": self.adapter.size,
            },
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: recipe, model, tokens."""
        recipe = {key: value for key, value in self.notes["training"].items() if key not in ("examples", "model")}
        return {
            **recipe,
            "model": self._frozen,
            "parameters": digest(self.adapter.names, [tuple(s) for s in self.adapter.shapes]),
            "first trained layer": self.adapter.cut.first,
            "dtype": str(self.adapter.dtype).removeprefix("torch."),
            **{
                f"datasets.{name}": _digest(self.examples, np.flatnonzero(self.examples.group == k))
                for k, name in enumerate(self.tasks)
            },
            **{f"targets.{name}": target.digest() for name, target in self.evaluation.items()},
        }

    def schedule(self, seed: int) -> Schedule:
        """Return the batches of a seed, whatever the mask."""
        return Schedule(
            self.examples.group,
            seed=seed,
            batch_size=self.batch_size,
            steps=self.steps,
            epochs=self.epochs,
            tasks=self.tasks,
        )

    def batches(self, mask: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the examples and their weights s_k / B, step after step, absent ones left out."""
        return batches(self.schedule(seed), mask, refill=self.steps is None)

    def initial(self, seed: int) -> Tensor:
        """Return the parameters (p,) before training: LoRA's of the seed, or the pretrained ones."""
        if not self._lora:
            return self._pretrained.clone()
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for name, shape in zip(self.adapter.names, self.adapter.shapes, strict=True):
            bound = 0.0 if ".lora_B." in name else shape[-1] ** -0.5  # uniform, as torch.nn.Linear
            parts.append((2 * torch.rand(shape, generator=generator) - 1).reshape(-1) * bound)
        return torch.cat(parts)

    def train(self, mask: Any = "all", seed: int = 0) -> Trained:
        """Train once.

        Parameters
        ----------
        mask : "all" or (K,) array
        seed : int

        Returns
        -------
        Trained
        """
        s = np.ones(self.K) if isinstance(mask, str) and mask == "all" else np.asarray(mask, float)
        s = self.schedule(seed).weights(s)
        W = train(
            self.initial(seed), self.batches(s, seed), self.gradient, self.optimiser, seed=seed, flatter=self.flatter
        )
        return Trained(W, self.adapter.names, tuple(map(tuple, self.adapter.shapes)), tuple(s.tolist()), seed)

    def gradient(self, W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i at W."""
        self.adapter.place(W)
        return self.adapter.total_gradient(self.examples, self.states, indices, weights)

    def measure(self, W: Tensor) -> np.ndarray:
        """Return the targets (T,) of the real model with parameters W (p,)."""
        self.adapter.place(W)
        return np.array([target.measure(self.adapter) for target in self.evaluation.values()])

    def evaluate(self, masks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Train a model per row and return its targets.

        Parameters
        ----------
        masks : (b, K) array
            1 where a source trains and 0 where not; other weights >= 0 multiply the source's loss.
        seeds : (b,) array of int

        Returns
        -------
        (b, T) array
        """
        masks, seeds = checked_rows(masks, seeds, self.tasks)
        return np.array([self.measure(self.train(s, int(seed)).W) for s, seed in zip(masks, seeds, strict=True)])

    @property
    def group(self) -> np.ndarray:
        """Task of each training example, ``(N,)``."""
        return self.examples.group

    def hessian_product(self, W: Tensor, indices: np.ndarray, weights: np.ndarray, vectors: Tensor) -> Tensor:
        """Return the second derivative of sum_i weights_i loss_i at W times vectors (T, p): ``(T, p)``."""
        self.adapter.place(W)
        return self.adapter.hessian_product(self.examples, self.states, indices, weights, vectors)

    def reactions(self, W: Tensor, indices: np.ndarray, R: int | None) -> Reactions:
        """Return losses and gradients of training examples at W (p,), and how R outcomes of each react."""
        self.adapter.place(W)
        return self.adapter.reactions(self.examples, self.states, indices, OUTCOMES if R is None else R)

    def target_reactions(self, W: Tensor, R: int | None) -> Iterator[tuple[int, Reactions]]:
        """Iterate over chunks of the examples of every target: its index, and their `reactions`."""
        self.adapter.place(W)
        for t, (name, target) in enumerate(self.evaluation.items()):
            if target.metric != "loss":
                raise ValueError(
                    f"the metric of target {name!r} is no loss, so it has no gradients; measure it with the real model "
                    "(targets='real')."
                )
            for indices in by_length(target.examples.lengths, 1024):
                found = self.adapter.reactions(
                    target.examples, target.states, indices, OUTCOMES if R is None else R
                )
                yield t, found

    def _states(self, examples: Examples) -> States:
        key = digest(self._frozen, self.adapter.cut.first, examples.ids, str(self.adapter.dtype))
        return States(self.adapter.cut, examples, self._cache, key)


def _sets(datasets: Mapping[str, Any], argument: str, columns: Mapping[str, str]) -> list[Rows]:
    if not isinstance(datasets, Mapping):
        raise TypeError(f"{argument} is a {type(datasets).__name__}; pass a mapping of names to data sets.")
    if not datasets:
        raise ValueError(f"{argument} is empty; pass at least one data set.")
    return [read_rows(data, str(name), argument, columns) for name, data in datasets.items()]


def _cuts(examples: Examples, argument: str) -> list[str]:
    found = []
    for name in examples.names:
        if n := examples.cut[name]:
            found.append(f"{argument}[{name!r}]: {n} answers are longer than max_length and were cut off at their end.")
        if n := examples.shortened[name]:
            found.append(f"{argument}[{name!r}]: {n} prompts lost tokens at their beginning (max_length).")
    return found


def _digest(examples: Examples, rows: np.ndarray) -> str:
    return digest([examples.ids[i] for i in rows], examples.answer[rows])
