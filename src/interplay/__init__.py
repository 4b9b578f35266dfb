"""Task attribution: which training sources help a target, which hurt, and which only work together.

The way through the package is one line: masks -> evaluators -> `Evaluations` -> surrogates -> readings -> `attribute`.
Names are imported when they are first used, so that ``import interplay`` stays as light as numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = (
    "active",
    "coupling",
    "evaluators",
    "formats",
    "gradients",
    "masks",
    "metrics",
    "plots",
    "problems",
    "readings",
    "report",
    "selection",
    "store",
    "surrogates",
    "trust",
    "unrolled",
)
_NAMES = {
    "Attribution": "attribution",
    "attribute": "attributing",
    "Evaluations": "evaluations",
    "Imported": "formats.imports",
    "Predictor": "predictor",
    "Selection": "selection",
    "Store": "store",
    "Tokens": "tokens",
    "evaluate": "campaign",
    "check_coupling": "coupling",
    "fit": "fitting",
    "import_runs": "formats.imports",
    "join": "joined",
    "phased": "phases",
    "propose": "active",
    "select": "selection",
    "KernelSurrogate": "surrogates",
    "LinearSurrogate": "surrogates",
    "load_surrogate": "surrogates",
}
__all__ = ["__version__", *_NAMES, *_ROOMS]

if TYPE_CHECKING:  # names for type checkers; at run time __getattr__ imports them
    from . import (
        active,
        coupling,
        evaluators,
        formats,
        gradients,
        masks,
        metrics,
        plots,
        problems,
        readings,
        report,
        selection,
        store,
        surrogates,
        trust,
        unrolled,
    )
    from .active import propose
    from .attributing import attribute
    from .attribution import Attribution
    from .campaign import evaluate
    from .coupling import check_coupling
    from .evaluations import Evaluations
    from .fitting import fit
    from .formats.imports import Imported, import_runs
    from .joined import join
    from .phases import phased
    from .predictor import Predictor
    from .selection import Selection, select
    from .store import Store
    from .surrogates import KernelSurrogate, LinearSurrogate, load_surrogate
    from .tokens import Tokens


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
