"""The mixture or weights that moves start from, as people state it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .fitting import Design
from .phases import no_token_proportion

if TYPE_CHECKING:
    from .tokens import Tokens


def starting_point(design: Design, reference: Any, tokens: Tokens | None) -> tuple[Any, str]:
    """What moves start from, by players, and in words; the best run is found after the fit."""
    if isinstance(reference, str):
        if reference == "tokens" and design.runs.kind == "mixture":
            no_token_proportion(design.runs.notes)
            if tokens is None:
                raise ValueError("reference='tokens' needs the token counts: tokens= (--tokens).")
            return tokens.reference(design.runs.masks)[design.players.first], "the token-proportional mixture"
        return ("mean" if reference == "best" and design.runs.kind == "mixture" else reference), ""
    given = reference if reference is None else np.asarray(reference, float)
    if given is not None and given.shape == (design.runs.K,):
        given = given[design.players.first]
    return given, "the given mixture"
