"""RegMix: ``train_mixture_1m.csv`` and ``train_pile_loss_1m.csv``, joined on ``index``; or losses and YAML mixtures.

Names stay as they are in the files (``train_the_pile_arxiv``, ``metric/the_pile_arxiv_val_loss``): RegMix's YAML files,
and candidates or token counts made from them, name the sources so too. All results are losses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...fields import EvaluationsError, listed
from ..columns import as_text
from ..table import Table, is_metadata
from .draft import Draft, Left, Options, Target
from .mixtures import mixtures_of, read_mixtures
from .pairing import paired
from .sheets import column_called, existing, numbers, read_sheet
from .sorting import chosen, drafted, row_columns, stated_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read"]


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read mixtures and losses, or losses beside ``--mixtures``."""
    if len(paths) == 1 and existing(paths[0], folder=True).is_dir():
        paths = _both_in(paths[0])
    if len(paths) == 2:
        ratios, metrics = (read_sheet(path) for path in paths)
        if _losses(ratios) and not _losses(metrics):
            raise EvaluationsError(
                f"{ratios.name} holds losses. Give the mixtures first: {metrics.name} {ratios.name}."
            )
        return paired(ratios, metrics, options, kind="mixture", higher_is_better=False)
    if len(paths) != 1:
        raise EvaluationsError(f"{len(paths)} files are given; give the mixtures and the losses.")
    if options.mixtures is None:
        raise EvaluationsError(
            f"{paths[0].name} is one file; give the mixtures and the losses, or say what each run was trained on with "
            "--mixtures FILE|FOLDER."
        )
    return _with_mixtures(read_sheet(paths[0]), options, options.mixtures)


def _both_in(folder: Path) -> tuple[Path, Path]:
    """The mixtures and the losses in a folder, by their names."""
    files = sorted(f for f in folder.iterdir() if f.is_file())
    found = [[f for f in files if re.search(word, f.name.lower())] for word in ("mixture", "loss")]
    if [len(one) for one in found] != [1, 1]:
        held = [listed([repr(f.name) for f in one], 3) or "none" for one in found]
        raise EvaluationsError(
            f"{str(folder)!r} is a folder: of files called like mixtures it holds {held[0]}, like losses {held[1]}. "
            "Give the two files of the same runs, such as train_mixture_1m.csv and train_pile_loss_1m.csv."
        )
    return found[0][0], found[1][0]


def _with_mixtures(table: Table, options: Options, mixtures: Path) -> Draft:
    import pandas as pd

    frame, left = stated_rows(table, options)
    rows = row_columns(frame, table.name, options)
    key = options.run or column_called(frame, "index", "run", "run_id", "name")
    if key is None:
        raise EvaluationsError(f"{table.name} has no column 'index'. Say with --run which column names the runs.")
    rows["run"] = key
    mixed, tasks, more, _ = mixtures_of(mixtures, _called(as_text(frame, key), mixtures), options)
    found = _results(frame)
    targets = chosen(options.targets, found, {}, f"target of {table.name}", options.ignore)
    more = (*more, *(Left(f"column {c!r}", "a result that --target does not name") for c in found if c not in targets))
    both = pd.concat([frame, mixed], axis=1)
    silent = [c for c in found if c not in targets]
    known = [*found, *map(str, read_mixtures(mixtures).frame.columns)]
    return drafted(
        both, table.name, tasks, targets, options, rows=rows, left=(*left, *more), silent=silent, known=known
    )


def _called(names: list[str], mixtures: Path) -> list[str]:
    """Names of runs as the mixtures have them: RegMix's run 7 is trained by ``n7.yaml``."""
    known = next(iter(read_mixtures(mixtures).names.values()))
    if all(re.fullmatch(r"\d+", n) for n in names) and known and all(re.fullmatch(r"n\d+", k) for k in known):
        return [f"n{n}" for n in names]
    return names


def _results(frame: pd.DataFrame) -> dict[str, Target]:
    """Columns of numbers, which are losses; text is left."""
    numeric = numbers(frame, [str(c) for c in frame.columns if not is_metadata(str(c))])
    return {c: Target(c, False) for c, yes in numeric.items() if yes}


def _losses(table: Table) -> bool:
    columns = [str(c) for c in table.frame.columns if not is_metadata(str(c))]
    return bool(columns) and all(c.startswith("metric/") or c.endswith(("_loss", "_val")) for c in columns)
