"""Fine-tuning of a language model on the sources that a mask names, coupled: the truth that estimates stand for.

Step t of a training under mask or weights s minimises

    1/B sum_{i in batch t} s_{task of i} loss_i(W),    loss_i = mean cross-entropy of the answer tokens of example i,

or of its label where the model is a classifier, with batches, initial LoRA weights and normaliser of the seed alone.
Layers below the first trained one run once for each example; what they give is kept (`interplay.language`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..gradients.devices import checked, home
from ..gradients.network import Tensor, torch  # torch by way of our room, which says how to install it
from ..language.adapter import Adapter, by_length, is_lora, trained_part
from ..language.examples import COLUMNS, Examples, tokenise
from ..language.loading import adapt, load
from ..language.sets import cuts, overlaps, read_sets
from ..language.states import States
from ..language.targets import Target
from ..language.trained import Trained
from ..unrolled.optimisers import Optimiser
from ..unrolled.reactions import Reactions
from ..unrolled.training import Flatter, train
from .coupled import CoupledRetrain
from .digests import digest
from .failures import EvaluationFailed
from .settings import Metric, directions_of, metrics_of

__all__ = ["Finetune", "Trained"]

#: Outcomes of an example that react, where nothing else is asked for: each costs a backward pass.
OUTCOMES = 2


class Finetune(CoupledRetrain):
    """Fine-tune a causal language model, or a classifier made of one, for each mask, and measure it on evaluation sets.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A name on the Hugging Face hub, a folder of safetensors or with a GGUF file, or a loaded model (copied).
        A classifier (such as Qwen2ForSequenceClassification) predicts a label at the last token of a prompt.
    datasets : mapping of str to data set
        The K sources: files of JSON lines, `datasets.Dataset`s or sequences of rows, with a prompt and an answer each:
        a text, or one of the labels of a classifier (by number where its configuration does not name them).
    targets : mapping of str to data set
        The T evaluation sets.
    lora : peft.LoraConfig, int or None
        A configuration, or the rank of LoRA in all linear parts of the layers; None trains ``parameters``. The head of
        a classifier is trained beside a rank, as with ``task_type="SEQ_CLS"`` or ``modules_to_save=["score"]``.
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
        The mean loss of the answers; the share of examples whose answer has the lowest loss among its options, or whose
        label is the one that a classifier says; or a function of the losses (n,) and the rows of a target.
    higher_is_better : bool or mapping from target to bool, optional
        Direction of targets whose metric is a function.
    tokenizer, columns, max_length
        Default: the model's own tokenizer, columns prompt, answer and label_options, 256 tokens.
    dtype : torch.dtype
        Of the frozen weights and hidden states; trained parameters and the head of a classifier are float32.
    cache : path, optional
        Folder for hidden states; default: in memory up to ``memory`` bytes, beyond that an error that asks for one.
    memory : int
        Bytes of hidden states that may be held in memory; on a card too they are kept in that of the machine.
    device : torch.device or str, optional
        Where to train, such as ``"cuda"``; default: where a loaded model is, else the CPU. Batches and the first LoRA
        weights of a seed are the same on every device.

    Attributes
    ----------
    tasks, targets : tuple of str
    notes : dict
    warnings : tuple of str
        Examples that two data sets share, answers that were cut off, prompts that were shortened, a head that was
        drawn; they are in ``notes`` too, so that they travel with the runs.
    labels : Labels or None
        Of a classifier.

    Notes
    -----
    Pickled for other processes it leaves the model out, which is loaded again from its name or folder when it is
    needed; a model that was passed as an object travels. Hidden states on disk stay there, those in memory travel.

    The head of a classifier starts every training as the model has it. ``AutoModelForSequenceClassification`` draws the
    head of a model that has none: save the model once, or seed torch before, for a store to know it again.

    Examples
    --------
    >>> base = Finetune("SmolLM2", {"a": "a.jsonl", "b": "b.jsonl"}, {"val": "val.jsonl"}, steps=60)  # doctest: +SKIP
    >>> runs = interplay.evaluate(base, interplay.masks.leave_one_out(2), store="runs.db")  # doctest: +SKIP
    """

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
        device: torch.device | str | None = None,
    ):
        recipe = Optimiser(optimiser, lr, weight_decay, (betas[0], betas[1]), eps, momentum, schedule, warmup)
        super().__init__(recipe, flatter, steps=steps, epochs=epochs, batch_size=batch_size)
        self._dtype, names = dtype, {**COLUMNS, **(columns or {})}
        self.device: torch.device | None = None if device is None else checked(device)  # said before a model is loaded
        loaded = load(model, tokenizer, dtype=dtype)
        self.device = home(loaded.model) if self.device is None else self.device
        self.tokenizer, self.name, self.labels = loaded.tokenizer, loaded.name, loaded.labels
        sources, evaluated = (
            read_sets(data, argument, names, self.labels)
            for data, argument in ((datasets, "datasets"), (targets, "targets"))
        )
        shared = overlaps(sources, evaluated)
        self.tasks, self.targets = tuple(s.name for s in sources), tuple(s.name for s in evaluated)
        self._metrics = metrics_of(metric, self.targets)
        self.higher_is_better = directions_of(higher_is_better, self._metrics)
        self._frozen = digest(dict(loaded.model.state_dict()))
        self._where = model if isinstance(model, str | os.PathLike) else None
        self._how = (lora, layers, parameters, loaded.drawn)
        self._adapter: Adapter | None = trained_part(adapt(loaded.model.to(self.device), *self._how))
        self._module: Any = None
        self._pretrained = self._adapter.W.clone()
        self._drawn = isinstance(lora, int) or getattr(lora, "init_lora_weights", None) is True
        self.examples = tokenise(sources, self.tokenizer, max_length=max_length, labels=self.labels)
        self.evaluation = {
            rows.name: Target(rows, self._metrics[rows.name], self.tokenizer, max_length, self.labels)
            for rows in evaluated
        }
        self.schedule(0)  # checks batch size and length
        every = [self.examples, *(target.examples for target in self.evaluation.values())]
        cut = cuts(self.examples, "datasets") + [w for examples in every[1:] for w in cuts(examples, "targets")]
        drawn = f"model: the files of {self._called} hold no head; it is drawn, and alike in every training."
        self.warnings = (*([drawn] if loaded.drawn else []), *shared, *cut)
        limit = getattr(self.adapter.cut.inner.config.get_text_config(), "max_position_embeddings", None)
        if limit and (longest := max(int(e.lengths.max()) for e in every)) > limit:
            raise ValueError(
                f"max_length is {max_length} and an example has {longest} tokens; the model {self.name} takes {limit}. "
                f"Pass max_length={limit}."
            )
        total = sum(e.lengths.sum() for e in every)
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
        self.adapter.check(self.examples, self.states)

    @property
    def adapter(self) -> Adapter:
        """The model's trained part; loaded when it is first asked for in another process."""
        if self._adapter is None:
            if self._where is None:
                self._adapter, self._module = trained_part(self._module), None
            else:
                loaded = load(self._where, self.tokenizer, dtype=self._dtype).model
                if digest(dict(loaded.state_dict())) != self._frozen:
                    raise ValueError(f"model {self.name} holds other weights than before; make the evaluator anew.")
                self._adapter = trained_part(adapt(loaded.to(self.device), *self._how))
        return self._adapter

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the model where it can be loaded again."""
        if self._where is None and self._adapter is not None:
            self._module, self._adapter = self._adapter.released(), None
        return {**self.__dict__, "_adapter": None}

    @property
    def size(self) -> int:
        """Number of trained parameters p."""
        return self.adapter.size

    @property
    def group(self) -> np.ndarray:
        """Task of each training example, ``(N,)``."""
        return self.examples.group

    @property
    def notes(self) -> dict[str, Any]:
        """Facts that travel with the runs, JSON-able."""
        notes = super().notes
        said = {"warnings": list(self.warnings)} if self.warnings else {}
        return {**notes, "training": {**notes["training"], "model": self._called}, **said}

    def fingerprint(self) -> dict[str, Any]:
        """Return what changes a value besides tasks and targets, JSON-able: recipe, model, tokens."""
        recipe = {key: value for key, value in self.notes["training"].items() if key not in ("examples", "model")}
        return {
            **recipe,
            "model": self._frozen,
            "parameters": digest(self.adapter.names, [tuple(s) for s in self.adapter.shapes]),
            "first trained layer": self.adapter.cut.first,
            "dtype": str(self.adapter.dtype).removeprefix("torch."),
            **({} if self.labels is None else {"labels": len(self.labels.names)}),
            **self._unusual(),
            **{
                f"datasets.{name}": _digest(self.examples, np.flatnonzero(self.examples.group == k))
                for k, name in enumerate(self.tasks)
            },
            **{f"targets.{name}": target.digest() for name, target in self.evaluation.items()},
        }

    def initial(self, seed: int) -> Tensor:
        """Return the parameters (p,) before training: LoRA's of the seed, or the pretrained ones."""
        if not self._drawn:
            return self._pretrained.clone()
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for name, own in self.adapter.split(self._pretrained).items():
            bound = 0.0 if ".lora_B." in name else own.shape[-1] ** -0.5  # uniform, as torch.nn.Linear
            drawn = (2 * torch.rand(own.shape, generator=generator) - 1) * bound
            parts.append((drawn.to(own.device) if is_lora(name) else own).reshape(-1))
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
        s = self._weights(mask, seed)
        steps = self.batches(s, seed)

        def gradient(W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
            g = self.gradient(W, indices, weights)
            if not torch.isfinite(g).all():
                raise self._diverged(next(t for t, (rows, _) in enumerate(steps) if rows is indices), indices, seed)
            return g

        W = train(self.initial(seed), steps, gradient, self.optimiser, seed=seed, flatter=self.flatter)
        return Trained(W, self.adapter.names, tuple(map(tuple, self.adapter.shapes)), tuple(s.tolist()), seed)

    def gradient(self, W: Tensor, indices: np.ndarray, weights: np.ndarray) -> Tensor:
        """Return the gradient (p,) of sum_i weights_i loss_i at W."""
        self._place(W)
        return self.adapter.total_gradient(self.examples, self.states, indices, weights)

    def measure(self, W: Tensor | Trained) -> np.ndarray:
        """Return the targets (T,) of the real model with parameters W (p,), or with those of a training."""
        self._place(W)
        return np.array([target.measure(self.adapter) for target in self.evaluation.values()])

    def hessian_product(self, W: Tensor, indices: np.ndarray, weights: np.ndarray, vectors: Tensor) -> Tensor:
        """Return the second derivative of sum_i weights_i loss_i at W times vectors (T, p): ``(T, p)``."""
        self._place(W)
        return self.adapter.hessian_product(self.examples, self.states, indices, weights, vectors)

    def reactions(self, W: Tensor, indices: np.ndarray, R: int | None) -> Reactions:
        """Return losses and gradients of training examples at W (p,), and how R outcomes of each react."""
        self._place(W)
        return self.adapter.reactions(self.examples, self.states, indices, OUTCOMES if R is None else R)

    def target_reactions(self, W: Tensor, R: int | None) -> Iterator[tuple[int, Reactions]]:
        """Iterate over chunks of the examples of every target: its index, and their `reactions`."""
        self._place(W)
        for t, (name, target) in enumerate(self.evaluation.items()):
            self._differentiable(name)
            for indices in by_length(target.examples.lengths, 1024):
                found = self.adapter.reactions(target.examples, target.states, indices, OUTCOMES if R is None else R)
                yield t, found

    @property
    def _called(self) -> str:
        """Name of the model, whatever folder it is in."""
        return os.path.basename(self.name.rstrip("/"))

    def _place(self, W: Tensor | Trained) -> None:
        adapter = self.adapter
        if isinstance(W, Trained):
            if found := W.differs(adapter.names, tuple(map(tuple, adapter.shapes))):
                raise ValueError(
                    f"W was trained in another configuration: {found}. Take the lora, layers and parameters of that "
                    "training."
                )
            W = W.vector(adapter.names)
        if W.shape != adapter.W.shape:
            raise ValueError(
                f"W has shape {tuple(W.shape)}; this model trains {adapter.size} parameters, ({adapter.size},)."
            )
        adapter.place(W)

    def _unusual(self) -> dict[str, Any]:
        """What changes a value besides names and shapes of parameters, where it is not as an integer lora has it."""
        scales = self.adapter.lora_scales() if self._how[0] is not None else []
        return {
            **({} if all(scale == 2 for scale in scales) else {"lora scales": digest(scales)}),
            **({} if self._drawn or self._how[0] is None else {"initial": digest(self._pretrained)}),
        }

    def _diverged(self, step: int, indices: np.ndarray, seed: int) -> EvaluationFailed:
        """Name the first example of a step whose loss or gradient is not finite, at the current parameters."""
        adapter, tasks = self.adapter, [self.tasks[k] for k in self.group[indices]]
        bad = [not bool(torch.isfinite(adapter.losses(self.examples, self.states, row[None]))) for row in indices]
        what, of = ("loss", tasks[bad.index(True)]) if any(bad) else ("gradient", tasks[0])
        kind = str(adapter.dtype).removeprefix("torch.")
        half = "" if adapter.dtype == torch.float32 else ", or pass dtype=torch.float32"
        return EvaluationFailed(
            f"the training of seed {seed} diverged at step {step}: the {what} of an example of {of!r} is not finite in "
            f"{kind}; lower lr ({self.optimiser.lr:g}){half}."
        )

    def _states(self, examples: Examples) -> States:
        key = digest(self._frozen, self.adapter.cut.first, examples.ids, str(self.adapter.dtype))
        return States(self.adapter.cut, examples, self._cache, key)


def _digest(examples: Examples, rows: np.ndarray) -> str:
    labels = () if examples.labels is None else (examples.labels[rows],)
    return digest([examples.ids[i] for i in rows], examples.answer[rows], *labels)
