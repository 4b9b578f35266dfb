"""Designs: which masks s in {0,1}^K (or mixtures) to evaluate, as float64 arrays with one row per run.

Every design returns distinct rows, drawn without replacement (`draws`). When fewer exist than were asked for, all of
them are returned, with a `UserWarning`.

``exclude`` takes masks (n, K) that must not be drawn: those of the truth, of a test set, or those already run.
"""

from .drawn import antithetic, bernoulli, dirichlet, fixed_size, stratified
from .listed import all_subsets, leave_one_out, leave_two_out
from .questions import QUESTIONS, design

__all__ = [
    "QUESTIONS",
    "all_subsets",
    "antithetic",
    "bernoulli",
    "design",
    "dirichlet",
    "fixed_size",
    "leave_one_out",
    "leave_two_out",
    "stratified",
]
