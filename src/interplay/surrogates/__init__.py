"""Surrogates of F: scikit-learn regressors on one Gaussian algebra, and the choice among them."""

from .base import load_surrogate
from .choice import Choice, compare, compare_fidelities
from .fidelity import FidelitySurrogate
from .kernel import KernelSurrogate
from .linear import LinearSurrogate

__all__ = [
    "Choice",
    "FidelitySurrogate",
    "KernelSurrogate",
    "LinearSurrogate",
    "compare",
    "compare_fidelities",
    "load_surrogate",
]
