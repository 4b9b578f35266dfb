"""What to do with an answer: choose from the runs where it is solid, else what makes it so; with the commands.

The commands name the files and options as they were given (``made["given"]``, which the command line notes); where
there are none, they are calls of the library.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..trust import COMPLETE
from .average import opposite, told_apart
from .summary import Summary
from .words import plain

if TYPE_CHECKING:
    from ..attribution import Attribution

#: What stands in an expression without quotes.
BARE = re.compile(r"(?:@[\w./]|[A-Za-z_*])[\w./:*?-]*")
LONG = 2000
ONE_TARGET = "One target by itself, with its unit and intervals (numbers differ a little: here all targets share a fit)"
#: How the advice counts runs and repeats, and how many new runs are proposed at once.
MORE, REPEATS, BATCH = re.compile(r"[Aa]bout (\d+) more runs"), re.compile(r"Repeating (\d+) "), 16
#: File of the page with the targets that answer the opposite way.
OPPOSITE = "opposite.txt"
#: What `interplay next` calls a reading.
ASKED = {name: name for name in ("leave-one-out", "shapley", "banzhaf", "swap")} | {"move": "mixture"}


class Step(NamedTuple):
    """What to do: words, the command for it where there is one, and the file of the page that it reads."""

    words: str
    command: str = ""
    file: str = ""


def steps(answer: Attribution) -> list[Step]:
    """What to do next, the first thing first."""
    advice = _advice(answer)
    if answer.trust.verdict != "solid":
        return [advice, *_one_of(answer)]
    several = len(answer.targets) > 1
    summary = Summary.of(answer) if several else None
    unsure = summary is not None and not summary.better.size
    found = [_choice(answer, unsure)]
    if summary and (step := _average(answer, summary)):
        found.insert(0 if unsure else 1, step)
        found += _opposite(answer, len(opposite(answer, summary)))
    return [*found, *_one_of(answer), *([] if advice.words == COMPLETE else [advice])]


def _advice(answer: Attribution) -> Step:
    """What the verdict advises; where that is more runs, or repeats, with the command that proposes them."""
    advice, given = plain(answer.trust.advice, LONG), answer.made.get("given")
    more, again, asked = MORE.search(advice), REPEATS.search(advice), ASKED.get(answer.reading)
    if asked is None or (more or again) is None:
        return Step(advice)
    n = min(int(more[1]), BATCH) if more else int(again[1]) if again else 0
    words = f"{advice} {f'Those that tell most, {n} at a time' if more else 'These'}:"
    if given is None:
        how = "" if more else "how='repeats', "
        return Step(words, f"interplay.propose(runs, {asked!r}, {n}, {how}rng=numpy.random.default_rng(0))")
    options = " ".join(f"--target {shlex.quote(one)}" for one in given["target"])
    how = "--out next.csv" if more else "--how repeats --out repeats.csv"
    return Step(words, _line("interplay next", given["runs"], options, f"--for {asked} --batch {n}", how))


def _one_of(answer: Attribution) -> list[Step]:
    """Of several targets one by itself, first that on which most is told apart."""
    if len(answer.targets) < 2:
        return []
    t, n = told_apart(answer)
    single = f"{n} of {len(answer.tasks)} single intervals exclude 0"
    most = f"; most is told apart on this one ({single})" * bool(n)
    words = f"{ONE_TARGET}{most}:"
    name, given = answer.targets[t], answer.made.get("given")
    if given is None:
        return [Step(words, f"print(interplay.report.text(answer, {_text(name)}))")]
    return [Step(words, _line("interplay attribute", given["runs"], f"--target {shlex.quote(name)}"))]


def _choice(answer: Attribution, unsure: bool) -> Step:
    """The choice that such runs allow; ``unsure`` where no task is certain to help on average."""
    mask, several = answer.reference is None, len(answer.targets) > 1
    given, fixed = answer.made.get("given"), answer.reading == "swap"
    what = "what to train on" if mask else "a mixture" if answer.reading in ("move", "removal") else "the weights"
    what = f"{answer.size} of the {len(answer.tasks)} tasks" if fixed else what
    words, common = f"Choose {what}", _one_direction(answer)
    if several:
        average = ", best on average over the targets, each in its own standard deviations"
        words += average if common else ", best on the target that it serves worst"
        words += " (no task is certain to help on average: it may gain nothing, and says so)" * (unsure and common)
    if mask and not fixed and len(answer.tasks) > 8:
        words += f" (as many tasks as are best; {'size=8' if given is None else '--size 8'} for eight)"
    if given is None:
        aim = ('"mean_z(*)"' if common else 'worst="*"') if several else _text(answer.targets[0])
        return Step(f"{words}:", f"interplay.select(runs, {aim}{f', size={answer.size}' * fixed})")
    aim = _aim(given["target"], common) if several else _target(given["target"], answer.targets[0])
    return Step(f"{words}:", _line("interplay select", given["runs"], aim, f"--size {answer.size}" * fixed))


def _average(answer: Attribution, summary: Summary) -> Step | None:
    """The average as a target of its own, whose intervals hold what the errors of the targets share."""
    given = answer.made.get("given")
    if given is None or not _one_direction(answer) or given["derived"] or not _bare(given["target"]):
        return None
    other = "" if summary.standard else "; it weighs targets by their standard deviations, so the order may differ"
    words = f"The average in full, as a target of its own with its verdict{other}:"
    derived = f"--derive {shlex.quote('average=' + _mean(given['target']))}"
    return Step(words, _line("interplay attribute", given["runs"], derived))


def _opposite(answer: Attribution, n: int) -> list[Step]:
    """The average of the targets that answer the opposite way, which that over all hides."""
    if not n:
        return []
    words = f"The average of the {n} targets that answer the opposite way; first save {OPPOSITE} of the page here:"
    derived = f"--derive {shlex.quote(f'opposite=mean_z(@{OPPOSITE})')}"
    return [Step(words, _line("interplay attribute", answer.made["given"]["runs"], derived), OPPOSITE)]


def _aim(patterns: Sequence[str], common: bool) -> str:
    """Options of `select` for several targets."""
    if common and _bare(patterns):
        return f"--target {shlex.quote(_mean(patterns))}"
    return " ".join(f"--worst {shlex.quote(one)}" for one in patterns or ["*"])


def _mean(patterns: Sequence[str]) -> str:
    """The average that weighs all targets alike, as `average` does; raw units would let a few targets decide."""
    return f"mean_z({', '.join(patterns or ['*'])})"


def _target(patterns: Sequence[str], name: str) -> str:
    """Option of `select` for one target; it needs none where none was given."""
    return f"--target {shlex.quote(name)}" if patterns else ""


def _bare(patterns: Sequence[str]) -> bool:
    return all(BARE.fullmatch(one) for one in patterns)


def _one_direction(answer: Attribution) -> bool:
    return len(set(answer.higher_is_better)) == 1


def _line(*parts: str) -> str:
    return plain(" ".join(part for part in parts if part), LONG)


def _text(name: str) -> str:
    """A name as it stands in Python."""
    return plain(repr(name), LONG)
