"""What `check_coupling` found, in plain words, with the numbers it rests on."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Coupling"]

_SHARE = (
    "within a seed share the initial weights and the batch schedule (interplay.coupling.BatchSampler), and divide the "
    "loss by the size of the full batch, absent examples included"
)
_VERDICTS = {True: "yes", False: "no", None: "cannot tell"}

#: For each reason: what it means, and what to do.
REASONS: dict[str, tuple[str, str]] = {
    "smooth": ("A small change of a weight changes the values little: masks of one seed share their noise.", ""),
    "deterministic": ("There is no noise: one seed is enough.", ""),
    "shared": ("Masks of one seed share most of their noise: it cancels in their differences.", ""),
    "unrepeatable": (
        "The same mask and seed give other values each time, about as different as two seeds.",
        "Draw everything that is random from the seed, make model and optimiser anew in every call, and "
        + _SHARE
        + ".",
    ),
    "redrawn": (
        "A task of no weight changes the values about as much as another seed does, or the task itself: something "
        "random depends on which tasks are present (batches drawn anew, a generator seeded by the mask), or the "
        "normaliser does.",
        _SHARE[0].upper() + _SHARE[1:] + ".",
    ),
    "resampled": (
        "A small change of a weight changes the values about as much as another seed does: what is drawn depends on "
        "the weights.",
        _SHARE[0].upper() + _SHARE[1:] + "; let weights multiply the losses.",
    ),
    "not shared": (
        "What two masks of one seed have in common is no more than chance.",
        _SHARE[0].upper() + _SHARE[1:] + ".",
    ),
    "no effect": (
        "Leaving the task out changes nothing beyond the noise of a repeated training, so it cannot be seen whether "
        "the mask is read, nor how.",
        "Use the mask in the training (a loss weighted by it), or ask about a task that matters: task=....",
    ),
    "constant": (
        "All values are equal, whatever the mask and the seed.",
        "Use the mask and the seed in the training, and return what was measured after it.",
    ),
    "no seeds": (
        "The seed changes nothing and weights between 0 and 1 are not read, so there is no noise to compare with: it "
        "may be that every mask is trained with noise of its own that no seed averages out.",
        "Draw initial weights and batches from the seed, and let the loss of each example be multiplied by its "
        "task's weight.",
    ),
    "unclear": (
        "The trainings do not decide it.",
        "Train more seeds (seeds=8), measure more targets, or let the loss of each example be multiplied by its task's "
        "weight: weights are the sharper test.",
    ),
    "large effect": (
        "Leaving the task out changes the values far more than another seed does, so that their noise is another too.",
        "Ask about a task that matters less: task=....",
    ),
    "weights": (
        "Weights between 0 and 1 are not read, or only in steps, and takes='weights' allows no other test.",
        "Pass takes='auto', or let the loss of each example be multiplied by its task's weight.",
    ),
}


@dataclass(frozen=True, repr=False)
class Coupling:
    """Whether the runs of a training function are coupled; its ``repr`` is the answer in words.

    Attributes
    ----------
    coupled : bool or None
        None: the trainings do not tell.
    reason : str
        Why, in a word (a key of what ``repr`` says in full).
    repeatable : bool
        Whether the same mask and seed give the same values, up to a small part of what another seed changes.
    seed_matters : bool
        Whether another seed gives other values.
    reads_weights : bool or None
        Whether values follow weights between 0 and 1 smoothly; None: not found out.
    task : str
        The task whose weight was changed.
    repeat, tiny, step : float or None
        How much values change when a training is repeated, when the task has a tiny weight instead of 0, and when its
        weight changes a little near one half (off the straight line to weight 1); each over the change with another
        seed, or, where the seed changes nothing, over the change without the task. None: not trained.
    effect : float
        The same for leaving the task out.
    cancelled : float or None
        Share of the seeds' variance that cancels between masks with all tasks and with all but one (1: all of it).
    seeds : tuple of int
        Seeds that were trained.
    runs : tuple of dict
        Every training: task, its weight (the others have 1), seed, values.
    """

    coupled: bool | None
    reason: str
    repeatable: bool
    seed_matters: bool
    reads_weights: bool | None
    task: str
    effect: float
    repeat: float | None
    tiny: float | None
    step: float | None
    cancelled: float | None
    seeds: tuple[int, ...]
    runs: tuple[dict[str, Any], ...]

    @property
    def trainings(self) -> int:
        """Number of trainings that were run."""
        return len(self.runs)

    @property
    def remedy(self) -> str:
        """What to change in the function; empty where nothing needs to be."""
        return REASONS[self.reason][1]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return {
            **asdict(self),
            "seeds": list(self.seeds),
            "runs": [dict(run) for run in self.runs],
            "remedy": self.remedy,
        }

    def __repr__(self) -> str:
        lines = [f"Coupled: {_VERDICTS[self.coupled]}. {REASONS[self.reason][0]}"]
        if self.remedy:
            lines.append(f"Remedy: {self.remedy}")
        lines.append(
            f"Measured with {self.trainings} trainings, {_count(self.seeds)}, by the weight of task {self.task!r}:"
        )
        lines += [f"  {line}" for line in self._evidence()]
        return "\n".join(
            part for line in lines for part in textwrap.wrap(line, 118, subsequent_indent="  " + _indent(line))
        )

    def _evidence(self) -> list[str]:
        if self.reason == "constant":
            return ["the values never changed."]
        unit = "of the change with another seed" if self.seed_matters else "of the change without the task"
        found = [f"another seed: {'other values' if self.seed_matters else 'the same values'}"]
        for value, words in (
            (self.repeat, "the same mask and seed again"),
            (self.effect if self.seed_matters else None, "weight 0 instead of 1"),
            (self.tiny, "a tiny weight instead of 0"),
            (self.step, "a small step near one half, off the straight line"),
        ):
            if value is not None:
                found.append(f"{words}: {_percent(value)} {unit}")
        if self.reads_weights is False:
            found.append("weights between 0 and 1 are not read, or only in steps")
        if self.cancelled is not None:
            found.append(f"share of the seeds' variance that cancels without the task: {self.cancelled:.2f}")
        return found


def _indent(line: str) -> str:
    return " " * (len(line) - len(line.lstrip()))


def _percent(value: float) -> str:
    if value == 0:
        return "0 %"
    return "below 0.1 %" if value < 1e-3 else f"{100 * value:.3g} %" if value < 10 else f"{value:.0f} times the size"


def _count(seeds: tuple[int, ...]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
