"""Figures of an answer as plain plotly specifications: what the page draws, `plots` returns and matplotlib prints.

Every figure states its unit, and shows intervals of 95 % or says in words which values they leave open. Signs are told
by shape as well as by colour.
"""

from .coverage import coverage
from .curve import learning_curve
from .effects import effects
from .interactions import interactions
from .mixture import mixture
from .overview import overview
from .predictions import measured_vs_predicted
from .spectrum import spectrum

__all__ = [
    "coverage",
    "effects",
    "interactions",
    "learning_curve",
    "measured_vs_predicted",
    "mixture",
    "overview",
    "spectrum",
]
