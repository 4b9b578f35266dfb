"""Options that name files or formulas, as the objects that the library takes; errors name the option."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ..evaluations import Evaluations
    from ..formats.points import Contrasts, Points
    from ..tokens import Tokens

TARGET = "Column(s) that are targets; repeatable, globs allowed; @FILE: names in a file, one in a line."
DERIVE = (
    "A target computed within each run: 'overall=mean(bpb/*)', '0.7*mmlu + 0.3*gsm', worst(...), median, min, max, "
    "sum, mean_z (standardised). Repeatable; attributed beside those of --target, or alone."
)
TOKENS = "Table task,tokens[,cost]: the token-proportional reference, epochs per task, benefit per billion tokens."
TRAINED = "How runs were trained where a task was left out: as many steps, or as many epochs (shorter); it is said."
BUDGET = "Tokens that one training reads, for epochs and benefit per billion tokens: 2e10."
GROUPS = "Table task,group: what leaving each group out does. Or a row per group with a 0/1 column per task."
CONTRAST = "Two files of masks or mixtures (task,weight; or one column per task): the first against the second, by row."
REFERENCE = "Mixture that moves start from: mean, uniform, tokens (with --tokens), best (predicted), or a file."
EMPTY = "Shapley values: what the target is without any task, so that they add up to all less none; repeatable."
WORDS = ("mean", "uniform", "tokens", "best")
PHASES = (
    "Training in phases, each with its share of it: main=0.9,anneal=0.1 (or main,anneal: equal). Tasks are called "
    "PHASE:TASK; the weights of a phase sum to 1, or to its share."
)
CANDIDATES = "Masks or mixtures to predict: one row each, one column per task; other columns are kept."
#: A file of names in a formula.
_FILE = re.compile(r"(?<![^\s,(=])@([^\s,()]+)")


def names(given: Sequence[str] | None) -> list[str]:
    """Names and globs, with those of a file, one in a line, for @FILE; a name that is no file is itself."""
    found: list[str] = []
    for text in given or ():
        found += _listed(text[1:]) if text.startswith("@") and _is_file(text[1:]) else [text]
    return found


def formula(text: str) -> str:
    """A formula with the names of a file, quoted, for each @FILE in it."""
    from ..derived import quoted

    put = lambda found: ", ".join(map(quoted, _listed(found[1]))) if _is_file(found[1]) else found[0]
    return _FILE.sub(put, text)


def _is_file(path: str) -> bool:
    """Whether names are in a file; one that ends like a text and is missing is an error."""
    if path.endswith(".txt") and not Path(path).is_file():
        raise ValueError(f"@{path}: there is no such file here; save it first (a page has such files under Tables).")
    return Path(path).is_file()


def _listed(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"@{path}: it is no text ({error.reason}); write one name in a line, in UTF-8.") from error
    if not (found := [name for line in lines if (name := line.removesuffix("\r"))]):
        raise ValueError(f"@{path}: it holds no name; write one in a line.")
    return found


def tagged(text: str) -> tuple[Path | str, str | None]:
    """RUNS as FILE or WORD=FILE: the file, or the address of a store, and the fidelity of its rows."""
    from ..formats.store import is_address, place_of

    word, stated, file = text.partition("=")
    there = is_address(file) or Path(file).exists()
    if Path(text).exists() or not (word and stated and file) or set(word) & set("/\\.") or not there:
        return place_of(text), None
    return place_of(file), word


def other_names(given: Sequence[str]) -> dict[str, str]:
    """--same: OLD=NAME, other names of sources."""
    same: dict[str, str] = {}
    for text in given:
        old, _, new = (part.strip() for part in text.partition("="))
        if not old or not new:
            raise ValueError(f"{text!r} names no two sources; write OLD=NAME, as in wikipedia=wiki.")
        if same.get(old, new) != new:
            raise ValueError(f"{old!r} is said to be {same[old]!r} and {new!r}; say one of them.")
        same[old] = new
    return same


def runs_with_derived(
    read: Callable[[list[str] | None], Evaluations],
    target: Sequence[str] | None,
    derive: Sequence[str] | Mapping[str, str] | None,
    given: str | None = "--derive",
) -> Evaluations:
    """Read what --target names and what --derive uses; keep the named and the derived targets.

    Parameters
    ----------
    read : callable
        Reads runs with these targets (names or globs), or with those that the file itself marks (None).
    target : sequence of str or None
    derive : sequence of str, or mapping
        As `Evaluations.derive`; ``notes["derived"]`` of the runs for their truth.
    given : str, optional
        The option that gave the formulas, which an error in them names.
    """
    from ..derived import derive as derived
    from ..derived import parse

    if not derive:
        return read(list(target) if target else None)
    named = lambda: nullcontext() if given is None else option(given)
    with named():
        plan = parse(derive)
    made = [one.name for one in plan]
    own = [name for name in target or () if name not in made]
    used = [member for i, one in enumerate(plan) for member in one.members if member not in made[:i]]
    runs = read([*own, *used])
    with named():
        return derived(runs, derive).select([*own, *made])


def trained(runs: Evaluations, way: str | None) -> Evaluations:
    """--trained: a fact that travels with the runs."""
    return runs if way is None else replace(runs, notes={**runs.notes, "absent_tasks": way_of(way)})


def way_of(text: str) -> str:
    """--trained: the word of `training.WAYS`."""
    from ..training import WAYS

    known = text.replace("-", "_")
    if known not in WAYS:
        raise ValueError(f"--trained {text}: choose {' or '.join(name.replace('_', '-') for name in WAYS)}.")
    return known


def tokens(path: Path | None, tasks: Sequence[str]) -> Tokens | None:
    """--tokens: counts of all tasks of the runs."""
    from ..tokens import Tokens

    with option("--tokens"):
        return None if path is None else Tokens.read(path, tasks)


def groups(path: Path | None, tasks: Sequence[str]) -> Points | None:
    """--groups: named memberships."""
    from ..formats.groups import read_groups

    with option("--groups"):
        return None if path is None else read_groups(path, tasks)


def contrasts(files: tuple[Path, Path] | None, runs: Evaluations) -> Contrasts | None:
    """--contrast: pairs of masks or mixtures, of the kind of the runs."""
    from ..formats.points import read_contrasts

    with option("--contrast"):
        if files is None:
            return None
        phases = phases_of(runs)
        read = read_contrasts(*files, runs.tasks, "weights" if phases else runs.kind)
        first, second = (_phased(side, runs.tasks, phases) for side in (read.first, read.second))
        return replace(read, first=first, second=second)


def reference(text: str | None, runs: Evaluations, counted: Tokens | None) -> str | np.ndarray | None:
    """--reference: a word that `attribute` knows, or the mixture (K,) of a file."""
    with option("--reference"):
        if text == "tokens" and counted is None:
            raise ValueError("there are no token counts; name their file with --tokens.")
        if text is None or text in WORDS:
            return text
        if not Path(text).suffix:
            raise ValueError(f"{text!r} is none of {', '.join(WORDS[:-1])} and {WORDS[-1]}, and no file.")
        return single(text, runs, "a reference")


def single(path: str | Path, runs: Evaluations, what: str) -> np.ndarray:
    """The one mask or mixture (K,) that a file holds, of the kind of the runs; ``what`` it is."""
    from ..formats.points import read_points

    phases = phases_of(runs)
    given = read_points(path, runs.tasks, "weights" if phases else runs.kind).weights
    if len(given) > 1:
        raise ValueError(f"{path} holds {len(given)} rows; {what} is one.")
    return _phased(given, runs.tasks, phases)[0]


def check_budget(budget: float | None, path: Path | None) -> None:
    """--budget: it says nothing without --tokens."""
    if budget is not None and path is None:
        raise ValueError("--budget: there are no token counts; name their file with --tokens.")


def asked(
    runs: Evaluations,
    counts: Path | None,
    budget: float | None,
    members: Path | None,
    contrast: tuple[Path, Path] | None,
    start: str | None,
) -> dict[str, Any]:
    """What `attribute` is asked beside its reading: --tokens, --budget, --groups, --contrast and --reference."""
    counted = tokens(counts, runs.tasks)
    found: dict[str, Any] = {"tokens": counted, "budget": budget, "groups": groups(members, runs.tasks)}
    return found | {"contrasts": contrasts(contrast, runs), "reference": reference(start, runs, counted)}


def candidates(path: Path, tasks: Sequence[str], kind: str, phases: Mapping[str, float] | None) -> Points:
    """CANDIDATES: masks or mixtures of the kind of the runs, which may have phases."""
    from ..formats.points import read_points

    points = read_points(path, tasks, "weights" if phases else kind)
    return replace(points, weights=_phased(points.weights, tasks, phases))


def phases_of(runs: Evaluations) -> dict[str, float] | None:
    """The shares of the phases of runs that have several."""
    from ..phases import phase_blocks

    return None if phase_blocks(runs.notes, runs.tasks) is None else runs.notes["phases"]


def _phased(weights: np.ndarray, tasks: Sequence[str], phases: Mapping[str, float] | None) -> np.ndarray:
    """Mixtures (n, K) as they are given; those of phases may sum to 1 in each phase, as in the runs."""
    from ..phases import scaled

    return scaled(weights, tasks, phases, [f"row {i + 1}" for i in range(len(weights))]) if phases else weights


@contextmanager
def option(name: str) -> Iterator[None]:
    """Put the option before the words of an error in its input."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
