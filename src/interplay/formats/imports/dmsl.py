"""dmsl (scaling laws of data mixtures): ``weight_<domain>..., model_size, n_tokens, <domain>_loss...`` in one table.

Models of several sizes are several fidelities, in the words of ``model_size``.
"""

from __future__ import annotations

from pathlib import Path

from .draft import Draft, Options
from .prefixes import of_names, single

__all__ = ["read"]


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read one table; names of losses stay whole, since domains are called like them."""
    roles = {"run": "model", "fidelity": "model_size"}
    return of_names(
        single(paths), options, "dmsl", r"weight_(.+)", r"(.+_loss)", roles, "weight_DOMAIN and DOMAIN_loss"
    )
