"""How far a reading may be believed: one verdict with its reason, and what to run next to make it better.

solid          the stated effects are expected to correlate with the true ones by .89 or more, and nothing that such
               runs cannot show is in question
indicative     by .53 or more: large effects are in sight, the order of the others is not
not supported  by less, or nothing shows that the target depends on the tasks at all

The expected correlation, and all else that a verdict rests on, is in `evidence`; what is said of it in `verdict`.
Thresholds were set on the tuning half of the cases in `benchmarks/cases.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .evidence import Evidence, gather
from .judgement import judge
from .outlying import outlying
from .verdict import CERTAIN, COMPLETE, COVERED, VERDICTS, Trust, at_most, limited, of_named, of_pairs, weigh

if TYPE_CHECKING:
    from ..evaluations import Evaluations

__all__ = [
    "CERTAIN",
    "COMPLETE",
    "COVERED",
    "VERDICTS",
    "Evidence",
    "Trust",
    "at_most",
    "gather",
    "judge",
    "limited",
    "of_named",
    "of_pairs",
    "outlying",
    "trust",
    "weigh",
]


def trust(runs: Evaluations, surrogate: str = "auto", reading: str = "auto", **options: Any) -> Trust:
    """How far a reading of some runs may be believed; ``options`` are those of `attribute`, whose answer holds it too.

    Examples
    --------
    >>> import numpy as np, interplay as ip
    >>> from interplay.trust import trust
    >>> masks = ip.masks.bernoulli(6, 40, p=0.8, rng=np.random.default_rng(0))
    >>> runs = ip.Evaluations.from_arrays(masks, 2.0 - masks @ [0.5, 0.3, 0.0, 0.0, -0.2, 0.1], targets=["loss"])
    >>> trust(runs).verdict
    'solid'
    """
    from ..attributing import attribute

    return attribute(runs, reading=reading, surrogate=surrogate, pairs=False, **options).trust
