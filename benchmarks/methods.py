"""Surrogates of interplay as methods (a split -> what predicts), and methods measured over draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import interplay
from interplay import KernelSurrogate, LinearSurrogate
from interplay.surrogates import compare

from .draws import Figures, Method, Predictor, Run, Split

Array = NDArray[np.float64]
#: What figures of interplay hang on, and those of rivals.
CODE = tuple(Path(interplay.__file__).parent / room for room in ("surrogates", "readings", "metrics.py"))
RIVALS = (Path(__file__).parent / "rivals.py",)


def kernel(split: Split, kind: str = "auto") -> Predictor:
    """KernelSurrogate, as it is without arguments; ``kind`` names its kernel."""
    return KernelSurrogate(kernel=kind, higher_is_better=split.higher_is_better).fit(split.X, split.Y)


def chosen(split: Split) -> Predictor:
    """What `attribute` takes."""
    return compare(split.X, split.Y, higher_is_better=split.higher_is_better).surrogate


def linear(split: Split) -> Predictor:
    """Tuned ridge on the algebra of interplay, which has intervals."""
    return LinearSurrogate().fit(split.X, split.Y)


def published(split: Split, linear: bool = False) -> Predictor:
    """Kernel ridge or least squares exactly as the method's authors released them, untuned."""
    return (LinearSurrogate if linear else KernelSurrogate).published().fit(split.X, split.Y)


rbf: Method = partial(kernel, kind="rbf")
ard: Method = partial(kernel, kind="ard")


def own(run: Run) -> dict[str, Method]:
    """Surrogates of interplay, without options first; a quick run leaves out what the others nearly tell."""
    slow: dict[str, Method] = {} if run.quick else {"as attribute chooses": chosen, "ARD": ard}
    return {"KernelSurrogate": kernel, **slow, "RBF": rbf, "tuned ridge": linear}


def with_noise(fitted: Predictor, X: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (n, T) of one more measurement."""
    mean, deviation = fitted.predict(X, return_std=True, noise=True)  # pyright: ignore[reportCallIssue]
    return mean, deviation


def figures(
    run: Run,
    methods: Mapping[str, Method],
    draws: Iterable[int],
    score: Callable[[Method, int], Mapping[str, Any]],
    **protocol: Any,
) -> dict[str, Figures]:
    """Scores of every method over draws, see `Run.over`."""
    return {
        name: run.over(draws, partial(score, method), _code(method), **protocol, method=name)
        for name, method in methods.items()
    }


def _code(method: Method) -> tuple[Path, ...]:
    """The code that a method's figures hang on: rivals do not change with interplay."""
    return CODE if getattr(method, "func", method) in (kernel, chosen, linear, published) else RIVALS
