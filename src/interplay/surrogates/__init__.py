"""Surrogates of F: scikit-learn regressors on one Gaussian algebra, and the choice among them."""

from .base import load_surrogate
from .choice import Choice, compare
from .kernel import KernelSurrogate
from .linear import LinearSurrogate

__all__ = ["Choice", "KernelSurrogate", "LinearSurrogate", "compare", "load_surrogate"]
