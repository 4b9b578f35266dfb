r"""CLIMB (NeMo Curator): mixtures as shell scripts, which are read as text and never run, and results of lm-eval.

A script prints ``weight path`` lines from a here-document; a run is called by its iteration and number,
``mixtures_0/n7.sh`` is ``0/n7``. Results lie in ``lm_eval_results_0/n7/<model>/results_*.json``, or together with the
mixtures in ``lm_harness_results.csv``: scores up to ``valid_avg``, then one column for each source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...directions import metric_word
from ...fields import EvaluationsError, listed
from ..contents import opened, refuse_other, start_of
from ..table import Table, is_metadata
from .draft import Draft, Left, Options, Target, counted
from .foreign import other_format
from .scores import Results, direction, named
from .sheets import existing, numbers, read_sheet
from .sorting import chosen, drafted, no_mixtures, row_columns, stated_rows
from .standard_errors import mean_errors, of_no_fit, within_errors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Script", "not_run", "read", "script_of", "scripts_in"]

_HERE = re.compile(r"^[^#\n]*<<(-?)\s*([\"']?)([\w.]+)\2[^\n]*\n(.*?)^\t*\3[ \t]*$", re.MULTILINE | re.DOTALL)
_LINE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s+(\S(?:.*\S)?)\s*")
_SCRIPT = re.compile(r"n\d+\.sh")
_ITERATION = re.compile(r"(?:mixtures|lm_eval_results)_(\w+)")
_FIRST, _LAST_SCORE = "model_benchmark_path", "valid_avg"
_MOST = 10_000_000  # bytes of a script
_PRINTS = re.compile(r"\s*cat\s*<<-?\s*([\"']?)[\w.]+\1\s*(#.*)?")


class Script(NamedTuple):
    """What a script would print, and how many lines of other commands it has, which are not run."""

    weights: dict[str, float]
    commands: int = 0


def read(paths: tuple[Path, ...], options: Options) -> Draft:
    """Read ``lm_harness_results.csv``, or folders of scripts and of results."""
    for path in paths:
        existing(path, folder=True)
    if len(paths) == 1 and paths[0].is_file():
        return _together(read_sheet(paths[0]), options)
    scripts: dict[str, Script] = {}
    results: dict[str, Path] = {}
    for path in (*paths, *([options.mixtures] if options.mixtures is not None else [])):
        for run, script in (scripts_in(path) if path.is_dir() else {}).items():
            if scripts.setdefault(run, script) != script:
                raise EvaluationsError(
                    f"run {run!r} has two mixtures, one in {path}. Give one folder of each iteration."
                )
    for path in paths:
        for run, place in (_results_in(path) if path.is_dir() else {}).items():
            if results.setdefault(run, place).resolve() != place.resolve():
                raise EvaluationsError(
                    f"run {run!r} has results in {results[run]} and in {place}. Give one folder of each iteration."
                )
    if not scripts or not results:
        what = "mixtures (n0.sh)" if not scripts else "results (lm_eval_results_R/nK/MODEL/results_*.json)"
        raise EvaluationsError(
            f"{listed([str(p) for p in paths], 3)}: no {what} are there. Give the folders of mixtures and of results, "
            "or lm_harness_results.csv."
        )
    return _apart(scripts, results, options, listed([p.name for p in paths], 3))


def script_of(path: Path) -> Script:
    """Return what a script would print: the weight of each path. It is read as text.

    Raises
    ------
    EvaluationsError
        For a script without a here-document of ``weight path`` lines, or one that a shell would fill in.
    """
    refuse_other(path, start_of(path))
    with opened(path) as file:
        held = file.read(_MOST + 1)
    try:
        text = held.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise EvaluationsError(f"{path.name} is not text in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    text = text if text.endswith("\n") else f"{text}\n"
    documents = _HERE.findall(text)
    if len(documents) != 1 or len(held) > _MOST:
        raise EvaluationsError(
            f"{path.name} is no mixture of CLIMB: one here-document (cat <<EOF ... EOF) of 'weight path' lines is "
            f"expected, it has {len(documents)}."
        )
    _, quoted, _, body = documents[0]
    weights: dict[str, float] = {}
    for line in body.split("\n"):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None or (not quoted and re.search(r"[$`\\]", line)):
            raise EvaluationsError(
                f"{path.name}: line {line.strip()[:60]!r} is no weight and path in plain text; nothing in a script is "
                "run. Write the numbers out."
            )
        if found[2] in weights:
            raise EvaluationsError(f"{path.name} gives {found[2]!r} twice. Keep one line.")
        weights[found[2]] = float(found[1])
    if not weights:
        raise EvaluationsError(f"{path.name} is no mixture of CLIMB: its here-document is empty.")
    return Script(weights, _commands(text))


def not_run(scripts: Mapping[str, Script], runs: Iterable[str] | None = None) -> list[Left]:
    """Say how many lines of commands some scripts have beside what they print."""
    there = {run: scripts[run].commands for run in (scripts if runs is None else runs) if scripts[run].commands}
    words = f"in {counted(len(there), 'script', [*there])}"
    return [Left(f"commands of scripts: {counted(sum(there.values()), 'line')} {words}", "not run")] if there else []


def _commands(text: str) -> int:
    """Lines outside the here-document that a shell would run, but for the one that prints it."""
    found = _HERE.search(text)
    assert found is not None
    first = found[0].split("\n", 1)[0]
    around = [*text[: found.start()].split("\n"), *text[found.end() :].split("\n")]
    lines = [line.strip() for line in around if line.strip() and not line.lstrip().startswith("#")]
    return len(lines) + (_PRINTS.fullmatch(first) is None)


def scripts_in(folder: Path) -> dict[str, Script]:
    """Return the mixtures of a folder of scripts, or of several iterations, by run: ``0/n7``."""
    files = sorted(f for f in folder.rglob("n*.sh") if _SCRIPT.fullmatch(f.name) and f.is_file())
    held = {_run(file.parent, file.stem): script_of(file) for file in files}
    if len(held) < len(files):
        raise EvaluationsError(f"{folder.name} holds two scripts of one run. Give one folder of each iteration.")
    return _shortened(held)


def _run(folder: Path, name: str) -> str:
    found = _ITERATION.fullmatch(folder.name)
    return f"{found[1]}/{name}" if found else name


def _shortened(held: Mapping[str, Script]) -> dict[str, Script]:
    """Call paths by their last part, where these are told apart."""
    paths = list(dict.fromkeys(path for script in held.values() for path in script.weights))
    last = {path: path.rstrip("/").rsplit("/", 1)[-1] or path for path in paths}
    if len(set(last.values())) < len(paths):
        last = {path: path for path in paths}
    return {run: Script({last[p]: w for p, w in one.weights.items()}, one.commands) for run, one in held.items()}


def _together(table: Table, options: Options) -> Draft:
    """The table of results and mixtures: scores up to ``valid_avg``, then sources."""
    no_mixtures(options, table.name)
    frame, left = stated_rows(table, options)
    columns = [str(c) for c in frame.columns]
    if other := other_format(columns, "climb"):
        raise EvaluationsError(f"{table.name} is no lm_harness_results.csv.{other}")
    key = columns[0] if options.run is None else options.run
    open_ = [c for c in columns if c != key and not is_metadata(c)]
    numeric = numbers(frame, open_)
    open_ = [c for c in open_ if numeric[c]]
    cut = open_.index(_LAST_SCORE) + 1 if _LAST_SCORE in open_ else None
    scores = open_[:cut] if cut is not None else [c for c in open_ if metric_word(c)]
    sources = [c for c in open_ if c not in scores]
    if not scores or not sources or (cut is None and columns[0] != _FIRST):
        raise EvaluationsError(
            f"{table.name} is no lm_harness_results.csv: scores up to {_LAST_SCORE!r} and then sources are expected, "
            f"it has {listed(columns)}. `interplay import wide` reads other tables."
        )
    return _draft(frame, table.name, {c: c for c in sources}, scores, options, key, left)


def _apart(scripts: Mapping[str, Script], results: Mapping[str, Path], options: Options, name: str) -> Draft:
    """Scripts and results that lie in folders of the same names."""
    import pandas as pd

    from .results import results_of

    left: list[Left] = []
    for mine, others, words in ((scripts, results, "no results"), (results, scripts, "no mixture")):
        if alone := [run for run in mine if run not in others]:
            left.append(Left(counted(len(alone), "run", alone), words))
    both = [run for run in scripts if run in results]
    if not both:
        raise EvaluationsError(
            f"{name}: mixtures are of {listed([*scripts], 3)}, results of {listed([*results], 3)}; none is of both. "
            "Name the folders mixtures_R/nK.sh and lm_eval_results_R/nK."
        )
    held: list[Results] = [results_of(results[run]) for run in both]
    left += [one for found in held for one in found.left]
    rows = named(held)
    weights = {run: scripts[run].weights for run in both}
    sources = list(dict.fromkeys(s for held in weights.values() for s in held))
    unsaid = sum(len(sources) - len(held) for held in weights.values())
    left += [Left(f"{counted(unsaid, 'weight')} not stated in scripts", "taken as 0")] if unsaid else []
    left += not_run(scripts, both)
    cells = {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for row in rows for n in row)}
    mixed = {f"script: {s}": [held.get(s, 0.0) for held in weights.values()] for s in sources}
    measured = {n: [None if s is None else s.value for s in scores] for n, scores in cells.items()}
    frame = pd.DataFrame({"run": both, **mixed, **measured})
    tasks = {s: f"script: {s}" for s in sources}
    draft = _draft(frame, name, tasks, [*cells], options, "run", tuple(left))
    ways = {n: t._replace(higher_is_better=direction(n, cells[n], options)) for n, t in draft.targets.items()}
    taken = {n: cells[n] for n in ways}
    errors = mean_errors(taken)
    return replace(
        draft,
        targets=ways,
        left=(*draft.left, *of_no_fit(errors)),
        notes={"standard_errors": errors} if errors else {},
        warnings=(*draft.warnings, *within_errors(taken, errors)),
    )


def _results_in(folder: Path) -> dict[str, Path]:
    """Folders of results by their runs: ``lm_eval_results_0/n7``."""
    found: dict[str, Path] = {}
    for place in sorted(p for p in (folder, *folder.rglob("n*")) if p.is_dir() and re.fullmatch(r"n\d+", p.name)):
        if any(place.rglob("results*.json")):
            run = _run(place.parent, place.name)
            if run in found:
                raise EvaluationsError(f"{folder.name} holds results of {run!r} twice. Give each iteration once.")
            found[run] = place
    return found


def _draft(
    frame: pd.DataFrame,
    name: str,
    sources: dict[str, str],
    scores: list[str],
    options: Options,
    key: str,
    left: tuple[Left, ...],
) -> Draft:
    rows = row_columns(frame, name, options) | {"run": key}
    tasks = chosen(options.tasks, sources, {}, f"task of {name}", options.ignore)
    found = {s: Target(s, True if s == _LAST_SCORE else None) for s in scores}
    targets = chosen(options.targets, found, {}, f"target of {name}", options.ignore)
    said = [Left(f"column {c!r}", "not among --tasks, or ignored") for n, c in sources.items() if n not in tasks]
    said += [Left(f"column {s!r}", "not among --target, or ignored") for s in scores if s not in targets]
    silent = [*sources.values(), *scores]
    return drafted(
        frame, name, tasks, targets, options, rows=rows, left=(*left, *said), silent=silent, known=[*sources, *scores]
    )
