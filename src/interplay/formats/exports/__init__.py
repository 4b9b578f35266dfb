"""A chosen mixture or subset as what a trainer reads: one module per format, all held in `FORMATS`.

choice + `sources` (what the trainer calls each task, and how much of it there is)
    -> `mixture`  shares in the unit that the trainer's weight has; masks whole
    -> a format   the file, and what the trainer makes of it
    -> `Exported` asked and realised share, amount read and epochs of every source

Trainers differ in what a weight is: the share of tokens drawn, the share of examples drawn, or the fraction of that one
set that is kept. What is written states which; nothing is converted without the sizes that this takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...fields import EvaluationsError, unknown
from . import (
    axolotl,
    interleave,
    levanter,
    llama_factory,
    llm_foundry,
    megatron,
    mergekit,
    ms_swift,
    nanotron,
    olmo_core,
    open_instruct,
    trl,
)
from .exported import Exported
from .format import Format, Options

if TYPE_CHECKING:
    from ...selection.result import Selection

__all__ = ["FORMATS", "Exported", "Format", "Options", "export", "format_of"]

#: Every format by the name that it has on the command line.
FORMATS: Mapping[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        interleave,
        llama_factory,
        axolotl,
        trl,
        ms_swift,
        open_instruct,
        megatron,
        nanotron,
        llm_foundry,
        levanter,
        olmo_core,
        mergekit,
    )
}


def format_of(name: str) -> Format:
    """Return the format of this name; an unknown one is an error that suggests the nearest."""
    if name in FORMATS:
        return FORMATS[name]
    raise EvaluationsError(f"to: {unknown(name, list(FORMATS), 'format')} All: {', '.join(FORMATS)}.")


def export(
    choice: Selection | Mapping[str, float] | str | Path,
    to: str,
    out: str | Path,
    sources: Any = None,
    *,
    kind: str | None = None,
    command: str | None = None,
    inputs: Iterable[Path | None] = (),
    **options: Any,
) -> Exported:
    """Write a choice as the configuration of a trainer.

    Parameters
    ----------
    choice : Selection, mapping of str to float, or path
        What was chosen; or a mixture made by hand: a mapping, or a file with columns ``task`` and ``weight``.
    to : str
        Name of a format, see `FORMATS`.
    out : path
        File to write. Where the format has no comments, what the mixture came from stands in ``FILE.provenance.json``.
    sources : path, frame or mapping, optional
        One row per task: ``task`` and, where they are known, ``source`` (what the trainer calls it; the task's own name
        if not given), ``tokens`` and ``examples`` (how much there is), and columns that the format takes
        (`Format.columns`). A mapping gives the source of each task, or a mapping of these columns.
    kind : str, optional
        Of a mixture made by hand: 'mask', 'mixture', 'weights' or 'coefficients'. Guessed if not given.
    command : str, optional
        What was typed, kept with the file.
    inputs : paths
        Files that must not be written over.
    **options
        See `Options`: ``unit``, ``budget``, ``budget_unit``, ``equal``, ``phase``, ``phases``, ``steps``, ``stopping``,
        ``base_model``, ``merge_method``, ``coefficients``.

    Returns
    -------
    Exported

    Raises
    ------
    EvaluationsError
        For an unknown format or option, a suffix that the format does not have, sources that are missing, doubled or
        empty, or sizes that the format needs and that are not known.

    Examples
    --------
    >>> import tempfile, interplay as ip
    >>> from interplay.formats.exports import export
    >>> path = Path(tempfile.mkdtemp()) / "mix.yaml"
    >>> export({"web": 0.7, "code": 0.3}, "llama-factory", path, unit="examples").realised.tolist()
    [0.7, 0.3]
    """
    from . import writing
    from .holding import held
    from .mixture import planned

    format_ = format_of(to)
    wanted = Options.of(options, format_)
    place = writing.place(Path(out), format_, (*_files(choice), *_files(sources), *inputs))
    holding = held(choice, kind)
    plan = planned(holding, format_, sources, wanted)
    draft = format_.draft(plan, place)
    found = Exported.of(place, plan, draft)
    writing.write(place, plan, draft, found, holding, command)
    return found


def _files(given: Any) -> tuple[Path, ...]:
    """Files that an argument stands for."""
    if not isinstance(given, str | Path):
        return ()
    path = Path(given)
    return (path, path.with_suffix(".npz")) if path.suffix == ".json" else (path,)
