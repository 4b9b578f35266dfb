"""A store as plain text: where its problems stand, its last rows as a table as wide as the terminal, one row whole.

What users, commands and tracebacks wrote is shown without control characters, so that it cannot write to a terminal.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import dropwhile
from typing import TYPE_CHECKING, Any

import numpy as np

from ..fields import EvaluationsError
from ..progress import duration
from ..training import training
from .words import plain

if TYPE_CHECKING:
    from ..store import Problem, Run, Standing

__all__ = ["as_record", "deletion", "harmless", "label", "last_words", "overview", "standing_words", "table", "whole"]

#: Characters that what is absent, and an error, get at least.
ABSENT, ERROR = 8, 18
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def harmless(text: str) -> list[str]:
    r"""Lines of a text as a terminal would leave them standing, without colours and other control characters.

    Examples
    --------
    >>> harmless("\x1b[31mred\x1b[0m\n10 %\r100 %\n\tback\x08")
    ['red', '100 %', '        back?']
    """
    lines = []
    for line in _ESCAPES.sub("", text).split("\n"):
        last = line.rstrip("\r").rsplit("\r", 1)[-1].expandtabs()
        lines.append("".join(c if unicodedata.category(c)[0] != "C" else "?" for c in last).rstrip())
    return lines


def last_words(error: str | None) -> str:
    """What an error says: what stands below the frames of its traceback, else its last line; '' without an error."""
    lines = harmless(error or "")
    if frames := [n for n, line in enumerate(lines) if line.startswith('  File "')]:
        below = dropwhile(lambda line: line.startswith("    "), lines[frames[-1] + 1 :])
        if said := " ".join(line.strip() for line in below if line.strip()):
            return said
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "failed" if error else ""


def label(problem: Problem) -> str:
    """What a problem is called: its fidelity, and its tag where it has one."""
    return plain(problem.fidelity) + (f", tag {plain(problem.tag)!r}" if problem.tag else "")


def standing_words(counts: Mapping[str, int]) -> str:
    """Counts by status: '15 done, 2 failed, 1 queued'."""
    order = ("done", "failed", "running", "queued")
    return ", ".join(f"{counts[status]} {status}" for status in order if counts[status]) or "no runs"


def overview(where: str, stands: Sequence[Standing], width: int) -> Iterator[str]:
    """What a store holds, a paragraph for each problem."""
    n, runs = len(stands), sum(sum(one.counts.values()) for one in stands)
    yield f"{where}: {_counted(n, 'problem')}, {_counted(runs, 'run')}"
    for one in stands:
        yield ""
        yield from _problem(one, width)


def _problem(one: Standing, width: int) -> Iterator[str]:
    problem, notes = one.problem, one.problem.notes
    lost = f" ({one.lost} of them by workers that are gone: the next evaluation takes them over)" if one.lost else ""
    yield f"{label(problem)}: {standing_words(one.counts)}{lost}"
    settings = "; ".join(f"{name}: {value}" for name, value in problem.settings.items())
    lines = {"evaluator": problem.evaluator + (f" ({settings})" if settings else "")}
    lines[_counted(len(problem.tasks), "task")] = ", ".join(problem.tasks)
    if problem.targets is None:
        lines["targets"] = "not known before the first result"
    else:
        lines[_counted(len(problem.targets), "target")] = ", ".join(_arrows(problem))
    if math.isfinite(one.seconds):
        lines["time"] = f"{duration(one.seconds)} a run, {duration(one.total)} in all"
    coupled: dict[Any, str] = {True: "coupled: a seed is the same training for every mask", False: "not coupled"}
    lines["seeds"] = coupled.get(notes.get("coupled"), "coupled or not: not stated")
    before, _, after = training(notes).partition(": ")
    lines["training"] = f"{before.removeprefix('Training ')}: {after.rstrip('.')}"
    indent = max(map(len, lines)) + 4
    for name, words in lines.items():
        yield f"  {name.ljust(indent - 2)}{_cut(words, width - indent)}"


def _arrows(problem: Problem) -> list[str]:
    targets = problem.targets or ()
    try:
        return [f"{name} {'↑' if up else '↓'}" for name, up in zip(targets, problem.directions, strict=True)]
    except EvaluationsError:  # names of directions that fit no target
        return list(targets)


def deletion(one: Standing, n: int | None) -> str:
    """What would be deleted of a problem: all of it, or n runs."""
    if n is not None:
        return f"{label(one.problem)}: {n} of {sum(one.counts.values())}"
    took = f", {duration(one.total)} of evaluations" if math.isfinite(one.total) else ""
    return f"{label(one.problem)}: {standing_words(one.counts)}{took}"


def table(runs: Sequence[Run], width: int) -> list[str]:
    """Rows of a store, one line each: what became of them, what was absent, the values or the last words of the error.

    Parameters
    ----------
    runs : sequence of Run
    width : int
        Characters of a line. What is absent and errors are cut, workers and the last targets left out, where it is
        narrow.
    """
    problems = list({run.problem.id: run.problem for run in runs}.values())
    columns: dict[str, list[str]] = {"run": [str(run.id) for run in runs]}
    for name in ("tag", "fidelity"):
        if len({getattr(problem, name) for problem in problems}) > 1:
            columns[name] = [_cut(getattr(run.problem, name) or "-", 16) for run in runs]
    columns["status"] = [run.status for run in runs]
    columns["seed"] = [str(run.seed) for run in runs]
    columns["seconds"] = ["" if run.seconds is None else _number(run.seconds) for run in runs]
    size = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}

    one = {problem.targets for problem in problems if problem.targets is not None}
    targets = list(next(iter(one))) if len(one) == 1 else ["results"]
    values = [_values(run, len(one) == 1) for run in runs]
    names = [plain(target, 14) for target in targets]
    sizes = [max([len(name), *(len(row[t]) for row in values if row)]) for t, name in enumerate(names)]
    errors = [last_words(run.error) for run in runs]
    least = max(sizes[0], ERROR if any(errors) else 0)

    absent = [_mask(run) for run in runs]
    title = "absent" if all(_binary(run.mask) for run in runs) else "weights"
    workers = [run.worker or "" for run in runs]
    room = width - sum(n + 2 for n in size.values()) - least
    size[title] = min(max(len(title), *map(len, absent)), max(room - 2, ABSENT))
    columns[title] = [_cut(cell, size[title]) for cell in absent]
    room -= size[title] + 2
    if len(set(workers) - {""}) > 1 and room >= max(map(len, workers)) + 2:
        columns["worker"], size["worker"] = workers, max(6, *map(len, workers))
        room -= size["worker"] + 2
    room += least
    shown = 1
    while shown < len(names) and sum(n + 2 for n in sizes[: shown + 1]) - 2 <= room:
        shown += 1

    left = ("tag", "fidelity", "status", title, "worker")
    aligned = lambda name, cell: cell.ljust(size[name]) if name in left else cell.rjust(size[name])
    ends = [
        "  ".join(cell.rjust(n) for cell, n in zip(row[:shown], sizes, strict=False)) if row else "" for row in values
    ]
    ends = [_cut(error, max(room, ERROR)) if error else end for error, end in zip(errors, ends, strict=True)]
    header = "  ".join(name.rjust(n) for name, n in zip(names[:shown], sizes, strict=False))
    order = [
        name for name in ("run", "tag", "fidelity", "status", "seed", title, "seconds", "worker") if name in columns
    ]
    lines = ["  ".join([*(aligned(name, name) for name in order), header])]
    for i, end in enumerate(ends):
        lines.append("  ".join([*(aligned(name, columns[name][i]) for name in order), end]).rstrip())
    if shown < len(names):
        lines.append(f"({len(names) - shown} more target{'s' * (len(names) - shown != 1)}: --json, or --show a run)")
    return lines


def whole(where: str, problem: Problem, held: Mapping[str, Any]) -> list[str]:
    """One row with all that is known of it."""
    after = f", after {held['attempts']} failed evaluation{'s' * (held['attempts'] != 1)}" if held["attempts"] else ""
    lines = [f"Run {held['id']} of {where}: {held['status']}{after}"]
    facts = {"problem": f"{label(problem)}; evaluated by {plain(problem.evaluator)}", "seed": str(held["seed"])}
    mask = np.asarray(held["mask"])
    present = [plain(name) for name, weight in zip(problem.tasks, mask, strict=True) if weight]
    if _binary(mask):
        away = [plain(name) for name, weight in zip(problem.tasks, mask, strict=True) if not weight]
        facts |= {"present": ", ".join(present) or "none", "absent": ", ".join(away) or "none"}
    else:
        pairs = zip(problem.tasks, mask.tolist(), strict=True)
        facts["weights"] = ", ".join(f"{plain(name)} {weight:.6g}" for name, weight in pairs)
    if held["values"] is not None:
        pairs = zip(_arrows(problem), held["values"].tolist(), strict=True)
        facts["values"] = ", ".join(f"{plain(name)} {value!r}" for name, value in pairs)
    if held["cost"] is not None:
        facts["seconds"] = f"{held['cost']:.4g}"
    times = [f"{name} {_moment(held[name])}" for name in ("started", "ended") if held[name] is not None]
    if times:
        facts["time"] = ", ".join(times)
    if held["worker"]:
        facts["worker"] = plain(held["worker"], 300)
    lines += [f"  {name.ljust(9)}{words}" for name, words in facts.items()]
    for name in ("error", "output"):
        if held[name]:
            lines += ["", f"{name}:", *(f"  {line}".rstrip() for line in harmless(held[name].strip("\n")))]
    return lines


def as_record(run: Run) -> dict[str, Any]:
    """One row as JSON holds it: names of tasks and targets lie in objects of their own."""
    problem, values = run.problem, run.values
    targets = problem.targets or ()
    return {
        "run": run.id,
        "tag": problem.tag,
        "fidelity": problem.fidelity,
        "status": run.status,
        "seed": run.seed,
        "weights": dict(zip(problem.tasks, run.mask.tolist(), strict=True)),
        "values": None if values is None else dict(zip(targets, values.tolist(), strict=True)),
        "seconds": run.seconds,
        "attempts": run.attempts,
        "worker": run.worker,
        "started": None if run.started is None else _moment(run.started),
        "ended": None if run.ended is None else _moment(run.ended),
        "error": run.error,
    }


def _number(seconds: float) -> str:
    return f"{seconds:.{0 if seconds >= 100 else 1 if seconds >= 1 else 2}f}"


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(" ", "seconds")


def _binary(mask: np.ndarray) -> bool:
    return bool(np.isin(mask, (0, 1)).all())


def _mask(run: Run) -> str:
    """What was absent; all weights where they are not 0 and 1, the largest first."""
    tasks, mask = run.problem.tasks, run.mask
    if not _binary(mask):
        order = np.argsort(-np.abs(mask), kind="stable")
        return " ".join(f"{plain(tasks[k])} {mask[k]:.3g}" for k in order if mask[k])
    absent = [plain(name) for name, weight in zip(tasks, mask, strict=True) if not weight]
    present = [plain(name) for name, weight in zip(tasks, mask, strict=True) if weight]
    if not present:
        return "all"
    if len(absent) > len(present):
        return f"all but {', '.join(present)}"
    return ", ".join(absent) or "-"


def _values(run: Run, one: bool) -> list[str]:
    """Cells of the values: a column for each target, or one for all where problems differ in them."""
    if run.values is None:
        return []
    if one:
        return [f"{value:.4g}" for value in run.values]
    pairs = zip(run.problem.targets or (), run.values.tolist(), strict=True)
    return [", ".join(f"{plain(name)} {value:.4g}" for name, value in pairs)]


def _cut(text: str, width: int) -> str:
    """A text in one line of so many characters."""
    shown = plain(text, 10_000)
    return shown if len(shown) <= width else shown[: max(width - 1, 0)] + "…"


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"
