"""Surrogates of F: scikit-learn regressors on one Gaussian algebra, and the choice among them."""

from .kernel import KernelSurrogate
from .linear import LinearSurrogate

__all__ = ["KernelSurrogate", "LinearSurrogate"]
