"""What a format is: the unit of its weights, its files, and what it can say; and the options of an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...fields import EvaluationsError, match

if TYPE_CHECKING:
    from .mixture import Plan

Array = NDArray[np.float64]
UNITS = ("tokens", "examples")
STOPPING = ("first_exhausted", "all_exhausted")
YAML = (".yaml", ".yml")


@dataclass(frozen=True, eq=False)
class Draft:
    """What is to be written, and what the trainer makes of it.

    Attributes
    ----------
    body : str, or what YAML or JSON can hold
    written : array (n,)
        The weight of each row as it stands in the file; NaN where none does.
    realised : array (n,), optional
        Shares that the trainer draws of it, in its own unit; those of the plan if not given.
    once : float
        How much one pass reads in all, in the trainer's unit; NaN where that is not known or there are no passes.
    notes : tuple of str
    same : bool
        Whether every pass reads the same examples again.
    """

    body: Any
    written: Array
    realised: Array | None = None
    once: float = np.nan
    notes: tuple[str, ...] = ()
    same: bool = True


@dataclass(frozen=True, eq=False)
class Format:
    """A file that a trainer reads.

    Attributes
    ----------
    name, title : str
        On the command line, and as the trainer is called.
    unit : str
        'tokens' or 'examples': what is counted where shares are drawn. 'models' of a merge.
    weight : str
        What the weight in the file means.
    suffixes : tuple of str
    writes : str
        Which keys or arguments.
    link : str
        Its documentation.
    read_by : str
        What read its files back, with shares within 1e-6: a package and its version.
    columns : tuple of str
        Of the table of sources, beside ``source``, ``tokens`` and ``examples``.
    whole : bool
        Whether sources can be read whole without their sizes.
    sized : bool
        Whether a weight is the fraction of its own set, so that shares need ``examples``.
    schedule : bool
        Whether one file can hold the phases of a training.
    stops : bool
        Whether it draws until sources are exhausted (``stopping``).
    merges : bool
        Whether weights are merging coefficients.
    commented : bool
        Whether its files (other than JSON) may hold comments.
    """

    name: str
    title: str
    unit: str
    weight: str
    suffixes: tuple[str, ...]
    writes: str
    link: str
    read_by: str
    draft: Callable[[Plan, Path], Draft] = field(repr=False)
    columns: tuple[str, ...] = ()
    whole: bool = True
    sized: bool = False
    schedule: bool = False
    stops: bool = False
    merges: bool = False
    commented: bool = True

    def __repr__(self) -> str:
        return f"{self.name}: {self.title}, {self.weight} ({', '.join(self.suffixes)})"


@dataclass(frozen=True)
class Options:
    """Options of an export.

    Attributes
    ----------
    unit : 'tokens' or 'examples', optional
        What the shares of the choice are shares of: the unit of the runs. Not converted where it is not given.
    budget : float, optional
        How much the training reads in all, for epochs.
    budget_unit : 'tokens' or 'examples'
    equal : bool
        Give every source of a mask the same share, instead of reading it whole.
    phase : str, optional
        The phase to write, of a choice for a training in phases.
    phases : mapping of str to float, or sequence of str, optional
        Phases and their shares, where the choice does not say.
    steps : int, optional
        Steps of the training: where a schedule changes from one phase to the next.
    stopping : 'first_exhausted' or 'all_exhausted', optional
        When drawing ends; the first if not given.
    base_model, merge_method : str, optional
        Of a merge.
    coefficients : bool
        Write weights that are none as merging coefficients all the same.
    """

    unit: str | None = None
    budget: float | None = None
    budget_unit: str = "tokens"
    equal: bool = False
    phase: str | None = None
    phases: Any = None
    steps: int | None = None
    stopping: str | None = None
    base_model: str | None = None
    merge_method: str | None = None
    coefficients: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any], format_: Format) -> Options:
        """Read options, and refuse those that say nothing to a format."""
        match([*given], [f.name for f in fields(cls)], "option")
        options = cls(**given)
        _among("unit", options.unit, UNITS)
        _among("budget_unit", options.budget_unit, UNITS)
        _among("stopping", options.stopping, STOPPING)
        for name in ("budget", "steps"):
            value = getattr(options, name)
            if value is not None and not (_is_number(value) and np.isfinite(value) and value > 0):
                raise EvaluationsError(f"{name} is {value!r}; give a number above 0.")
        needs = {"stopping": format_.stops, "steps": format_.schedule}
        needs |= dict.fromkeys(("base_model", "merge_method", "coefficients"), format_.merges)
        needs |= dict.fromkeys(("unit", "budget", "equal", "phase", "phases"), not format_.merges)
        for name, known in needs.items():
            if not known and getattr(options, name) not in (None, False):
                raise EvaluationsError(f"{name}: {format_.title} has no such thing; leave it out.")
        return options


def _among(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise EvaluationsError(f"{name} is {value!r}; choose {' or '.join(choices)}.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
