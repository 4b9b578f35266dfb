"""An attribution as interaction values of shapiq, for its plots.

Values of order 1 are the effects and those of order 2 the interactions of one target, both as benefits. The index says
what they are in shapiq's words: 'SII' for Shapley, 'BII' for Banzhaf, 'Co-Moebius' (differences at the full set) for
leave-one-out and removal, 'Moebius' (differences at the reference) for moves. Swaps and gradients are none of its
indices, and keep their own name. Without pairs 'SII' and 'BII' are 'SV' and 'BV'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fields import unknown

if TYPE_CHECKING:
    from shapiq import InteractionValues

    from ..attribution import Attribution

INDICES = {
    "shapley": "SII",
    "banzhaf": "BII",
    "leave-one-out": "Co-Moebius",
    "removal": "Co-Moebius",
    "move": "Moebius",
}


def interaction_values(answer: Attribution, target: str | None = None) -> InteractionValues:
    """Effects and interactions of one target, see `Attribution.to_shapiq`."""
    try:
        from shapiq import InteractionValues
    except ImportError as error:
        raise ImportError("to_shapiq needs shapiq, which is not installed: pip install 'interplay[shapiq]'") from error
    t = column(answer, target)
    single, both = answer.effects[:, t], answer.interactions[:, t]
    values = {(int(k),): float(single[k]) for k in np.flatnonzero(np.isfinite(single))}
    if not values:
        raise ValueError(f"no effect on {answer.targets[t]!r} is known; choose another target.")
    pairs = {tuple(map(int, answer.pairs[n])): float(both[n]) for n in np.flatnonzero(np.isfinite(both))}
    index = INDICES.get(answer.reading)
    found = InteractionValues(
        {**values, **pairs},
        index=index or "SII",
        min_order=1,
        max_order=2 if pairs else 1,
        n_players=len(answer.tasks),
        baseline_value=0.0,
    )
    if index is None:
        found.index = answer.reading
    return found


def column(answer: Attribution, target: str | None) -> int:
    """Column of a target; the first if none is named."""
    if target is not None and target not in answer.targets:
        raise unknown(target, answer.targets, "target")
    return 0 if target is None else answer.targets.index(target)
