"""Readings: what a fitted surrogate says of tasks, groups and pairs, exactly and with posterior intervals."""

from .effects import (
    banzhaf,
    banzhaf_pairs,
    contrast,
    gradient,
    leave_group_out,
    leave_one_out,
    leave_one_out_pairs,
    move,
    move_pairs,
    removal,
    shapley,
    shapley_pairs,
    slopes,
    swap,
    swap_pairs,
)
from .functional import Combination, Functional, Reading, read, read_points
from .questions import Question, question
from .spectrum import OrderShares, walsh_spectrum

__all__ = [
    "Combination",
    "Functional",
    "OrderShares",
    "Question",
    "Reading",
    "banzhaf",
    "banzhaf_pairs",
    "contrast",
    "gradient",
    "leave_group_out",
    "leave_one_out",
    "leave_one_out_pairs",
    "move",
    "move_pairs",
    "question",
    "read",
    "read_points",
    "removal",
    "shapley",
    "shapley_pairs",
    "slopes",
    "swap",
    "swap_pairs",
    "walsh_spectrum",
]
