"""Handwritten digits from K = 20 unequal sources: a problem small enough to know its truth.

One model per mask s in {0,1}^K, an MLP 64-48-10 trained from scratch for a fixed number of full-batch steps on

    L(W; s) = 1/N sum_k s_k sum_{i in source k} CE(f_W(x_i), y_i) + weight_decay/2 |W|^2,    N = all examples

which ends near an optimum, not at it. A source that is left out takes its examples away and changes nothing else
(fixed steps; normaliser and weight decay stay). Targets are test losses: over all classes (``loss``) and over
each (``loss/0`` to ``loss/9``). The sources, drawn anew from every ``problem_seed``:

======================  ==============================================================================
``skew_<c>``            five sources that are nearly the only ones with their class c; sizes differ
``skew_<c>_copy``       two sources that repeat 85 % of a skewed one with a little pixel noise
``clean_a`` .. ``_g``   seven correctly labelled sources, each with its own mix of classes
``clean_<x>_copy``      two sources that repeat 85 % of a clean one with a little pixel noise
``wrong_a`` .. ``_d``   four sources in which 80 % of the labels are wrong
======================  ==============================================================================

The data come with scikit-learn (1,797 images of 8 x 8 pixels, scaled to [0, 1]); torch is imported only where
a model is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from ..evaluators.batched import BatchedRetrain

CLASSES = 10
ORIGINS = ("truth", "near_full", "p75", "size15")
TARGETS = ("loss", *(f"loss/{c}" for c in range(CLASSES)))


@dataclass(eq=False)
class Digits:
    """The digits problem of one problem seed, with the recipe that trains its models.

    Parameters
    ----------
    problem_seed : int
        Which parts are drawn: images, scarce classes, mixes, wrong labels. Training seeds are apart from it.
    n_test : int
        Held-out images of the targets, stratified by class; no source sees them.
    hidden : int
        Width of the hidden layer (tanh).
    steps, lr, weight_decay : int, float, float
        Adam (betas .9 and .99) on the objective above, learning rate falling to 0 as a half cosine.
    batch_size : int or None
        Examples per step out of the N; None is full batch. The schedule is the seed's, whatever the mask.

    Attributes
    ----------
    tasks, targets : tuple of str
        The K = 20 sources and the 11 test losses.
    X, y : list of K arrays
        Images ``(n_k, 64)`` float32 and labels ``(n_k,)`` int64 per source.
    X_test, y_test : arrays
        Held-out images ``(n_test, 64)`` and labels.
    wrong_labels : list of K bool arrays
        Which labels were falsified (for checks; no estimator may look).
    """

    problem_seed: int = 0
    n_test: int = 700
    hidden: int = 48
    steps: int = 500
    lr: float = 0.03
    weight_decay: float = 2e-3
    batch_size: int | None = None
    tasks: tuple[str, ...] = field(init=False, repr=False, default=())
    targets: tuple[str, ...] = field(init=False, repr=False, default=TARGETS)
    higher_is_better: tuple[bool, ...] = field(init=False, repr=False, default=(False,) * len(TARGETS))
    X: list[np.ndarray] = field(init=False, repr=False)
    y: list[np.ndarray] = field(init=False, repr=False)
    wrong_labels: list[np.ndarray] = field(init=False, repr=False)
    X_test: np.ndarray = field(init=False, repr=False)
    y_test: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        if not 100 <= self.n_test <= 800:
            raise ValueError(f"n_test is {self.n_test}; it must be 100 to 800 (of 1,797 images).")
        rng = np.random.default_rng([20, self.problem_seed])
        images, labels = _images()
        test = _stratified(labels, self.n_test, rng)
        self.X_test, self.y_test = images[test], labels[test]
        parts = _draw_sources(images, labels, ~test, rng)
        self.tasks = tuple(parts)
        self.X = [x for x, _, _ in parts.values()]
        self.y = [y for _, y, _ in parts.values()]
        self.wrong_labels = [wrong for _, _, wrong in parts.values()]

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.tasks)

    @property
    def sizes(self) -> np.ndarray:
        """Examples per source, ``(K,)``."""
        return np.array([len(y) for y in self.y])

    def model(self, seed: int = 0) -> Any:
        """Return the untrained torch MLP 64-48-10 with the initial weights of training seed ``seed``."""
        import torch

        rng = np.random.default_rng([64, seed])
        layers = torch.nn.Linear(64, self.hidden), torch.nn.Linear(self.hidden, CLASSES)
        with torch.no_grad():
            for layer in layers:
                shape = layer.out_features, layer.in_features
                layer.weight.copy_(torch.from_numpy(rng.normal(scale=shape[1] ** -0.5, size=shape)))
                layer.bias.zero_()
        return torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])

    def loaders(self, batch_size: int = 256) -> dict[str, Any]:
        """Return one torch DataLoader per source (in order, never shuffled)."""
        return {name: _loader(x, y, batch_size) for name, x, y in zip(self.tasks, self.X, self.y, strict=True)}

    def test_targets(self, batch_size: int = 1024) -> dict[str, Any]:
        """Return one torch DataLoader per target: all test images, then those of each class."""
        return {name: _loader(x, y, batch_size) for name, (x, y) in self.test_arrays().items()}

    def test_arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return images and labels per target: all test images, then those of each class."""
        rows = [np.ones(len(self.y_test), bool), *(self.y_test == c for c in range(CLASSES))]
        return {name: (self.X_test[r], self.y_test[r]) for name, r in zip(self.targets, rows, strict=True)}

    def retrain(self, *, coupled: bool = True, **options: Any) -> BatchedRetrain:
        """Return the evaluator that trains one model per mask from scratch, many at once.

        Parameters
        ----------
        coupled : bool
            Within a seed all masks share initial weights and batch schedule (the default). False gives every
            mask its own, as a careless protocol does.
        options
            Passed to `interplay.evaluators.BatchedRetrain` (``steps``, ``initial``, ``stack``, ...).
        """
        from ..evaluators.batched import BatchedRetrain

        recipe = {name: getattr(self, name) for name in ("steps", "lr", "weight_decay", "batch_size")}
        sources = {name: (x, y) for name, x, y in zip(self.tasks, self.X, self.y, strict=True)}
        return BatchedRetrain(self.model, sources, self.test_arrays(), coupled=coupled, **{**recipe, **options})

    def trained(self, seed: int = 0, mask: np.ndarray | None = None, *, converged: bool = False) -> Any:
        """Return the torch model of one training run: all sources by default, or those of a mask ``(K,)``.

        With ``converged`` the run goes on by L-BFGS until it is at an optimum, as in `finetune`.
        """
        return self.trained_models([seed], mask, converged=converged)[0]

    def trained_models(
        self, seeds: Sequence[int], mask: np.ndarray | None = None, *, converged: bool = False
    ) -> list[Any]:
        """Return the torch models of one training run per seed, trained as one stack."""
        masks = np.tile(np.ones(self.K) if mask is None else np.asarray(mask, float), (len(seeds), 1))
        state = self.retrain().train(masks, np.asarray(seeds))
        models = [self.model(seed) for seed in seeds]
        for i, model in enumerate(models):
            model.load_state_dict({name: value[i] for name, value in state.items()})
            if converged:
                optimum = self.retrain(initial=model, **self.finetuning).train(masks[i : i + 1], np.zeros(1))
                model.load_state_dict({name: value[0] for name, value in optimum.items()})
        return models

    @property
    def finetuning(self) -> dict[str, Any]:
        """The recipe by which a trained model is brought to the optimum of a mask: L-BFGS, full batch."""
        return {"optimiser": "lbfgs", "steps": 1500, "tolerance": 1e-4, "batch_size": None}

    def finetune(self, W0: Any, masks: np.ndarray, **options: Any) -> np.ndarray:
        """Retrain from trained weights to the optimum of every mask, full batch; return targets ``(b, 11)``.

        Parameters
        ----------
        W0 : torch.nn.Module or state dict
            The model every mask starts from, usually the one trained on all sources (`trained`).
        masks : (b, K) array of 0 and 1
        options
            Other settings of the recipe, see `retrain`.
        """
        evaluator = self.retrain(initial=W0, **{**self.finetuning, **options})
        return evaluator.evaluate(masks, np.zeros(len(masks), np.int64))


def recording(origin: str | None = None) -> Evaluations:
    """Return the recorded runs of problem seed 0 that ship with the package: 992 trainings of this recipe.

    Parameters
    ----------
    origin : str, optional
        Only these rows: ``"truth"`` (full and leave-one-out masks under seeds 0 to 7, the full mask also under 8
        to 31), ``"near_full"`` (p = .9), ``"p75"`` (p = .75) or ``"size15"``, the last three under seeds 100, 101.
    """
    from ..evaluations import Evaluations

    with resources.as_file(resources.files("interplay.problems") / "recordings" / "digits.parquet") as path:
        runs = Evaluations.read(path, targets=TARGETS)
    if origin is None:
        return runs
    if origin not in ORIGINS:
        raise ValueError(f"origin is {origin!r}; choose one of {', '.join(ORIGINS)}, or None for all.")
    return runs.filter(runs.origin == origin)


def _images() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return (np.asarray(images) / 16.0).astype(np.float32), np.asarray(labels).astype(np.int64)


def _stratified(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return a bool array that picks n images, n/10 of each class."""
    chosen = np.zeros(len(labels), bool)
    for c in range(CLASSES):
        of_class = rng.permutation(np.flatnonzero(labels == c))
        chosen[of_class[: n // CLASSES + (c < n % CLASSES)]] = True
    return chosen


def _draw_sources(images, labels, free, rng) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return name -> (X, y, wrong) for the 20 sources; images are drawn without replacement, copies apart."""
    pool = {c: list(rng.permutation(np.flatnonzero(free & (labels == c)))) for c in range(CLASSES)}
    scarce = rng.permutation(CLASSES)[:5]
    common = np.setdiff1d(np.arange(CLASSES), scarce)

    def draw(weights: np.ndarray, n: int) -> np.ndarray:
        """Take n images, classes in proportion to the weights as long as the pool has them."""
        taken: list[int] = []
        while len(taken) < n:
            left = weights * np.array([len(pool[c]) > 0 for c in range(CLASSES)])
            taken.append(pool[rng.choice(CLASSES, p=left / left.sum())].pop())
        return np.array(taken)

    parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def add(name: str, rows: np.ndarray) -> None:
        parts[name] = (images[rows], labels[rows].copy(), np.zeros(len(rows), bool))

    def add_copy(name: str, weights: np.ndarray) -> None:
        """Repeat 85 % of a source with pixel noise of sd .04 and fill up with fresh images."""
        x, y, _ = parts[name]
        keep = rng.permutation(len(y))[: round(0.85 * len(y))]
        fresh = draw(weights, len(y) - len(keep))
        noisy = np.clip(x[keep] + rng.normal(scale=0.04, size=(len(keep), 64)), 0, 1).astype(np.float32)
        copy = np.concatenate([noisy, images[fresh]]), np.concatenate([y[keep], labels[fresh]])
        parts[f"{name}_copy"] = (*copy, np.zeros(len(y), bool))

    elsewhere = np.full(CLASSES, 1.0)
    elsewhere[scarce] = 0.06
    mixes = {}
    shares, sizes = (0.9, 0.85, 0.8, 0.75, 0.7), (60, 40, 55, 70, 45)
    for c, share, n in zip(scarce, shares, sizes, strict=True):
        weights = elsewhere * (1 - share) / (elsewhere.sum() - elsewhere[c])
        weights[c] = share
        mixes[f"skew_{c}"] = weights
        add(f"skew_{c}", draw(weights, n))
    for letter, n in zip("abcdefg", (70, 65, 60, 55, 50, 45, 40), strict=True):
        weights = elsewhere / elsewhere.sum()
        weights[common] = rng.dirichlet(np.full(len(common), 1.0)) * weights[common].sum()
        mixes[f"clean_{letter}"] = weights
        add(f"clean_{letter}", draw(weights, n))
    for name in (f"skew_{scarce[0]}", f"skew_{scarce[2]}", "clean_a", "clean_c"):
        add_copy(name, mixes[name])
    for letter, n in zip("abcd", (40, 50, 60, 70), strict=True):
        rows = draw(np.where(np.isin(np.arange(CLASSES), scarce), 0.3, 1.0), n)
        wrong = np.zeros(n, bool)
        wrong[rng.permutation(n)[: round(0.8 * n)]] = True
        y = labels[rows].copy()
        y[wrong] = (y[wrong] + rng.integers(1, CLASSES, size=wrong.sum())) % CLASSES
        parts[f"wrong_{letter}"] = (images[rows], y, wrong)
    order = {"skew": 0, "clean": 1, "wrong": 2}
    return dict(sorted(parts.items(), key=lambda item: (order[item[0].split("_")[0]], item[0])))


def _loader(x: np.ndarray, y: np.ndarray, batch_size: int) -> Any:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=batch_size, shuffle=False)
