"""Whether a training function's runs are coupled, found out from a few trainings of it.

A = F(1), Z = F(1 - e_k), and F(w) with weight w for task k, all under one seed, B = F(1) under another, distances d of
`trainings`. In coupled runs the noise is a function of the seed alone, so F is smooth in w:

    d(F(w -> 0), Z)  and  d(F(1/2 + h), the straight line from F(1/2) to A)    are small beside    d(A, B),

while batches that are drawn anew for other masks or weights change F as much as another seed. Functions that read
weights in steps only (present or not, how many examples to draw) are constant or jump; of those, seeds are compared:
`cancelling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ..evaluators.failures import EvaluationFailed
from .cancelling import cancelled
from .result import Coupling
from .trainings import Trainings, distance, units

__all__ = ["check_coupling"]

#: Instead of 0: so small that Adam's epsilon (1e-8) drowns what it does to parameters that only this task reaches.
TINY = 1e-12
#: Parts of the change with another seed that count as nothing, and as a change of that size.
CLOSE, FAR = 0.05, 0.25
#: The same for the step near one half, which bends a little in coupled runs as well; and its smallest and largest size.
#: Small: where weights decide how many examples are drawn, or which, values jump or do not change at all.
BENT, STEPS = 0.1, (1e-4, 0.1)
#: Run-to-run noise that may be overlooked beside the change without the task, in functions that ignore their seed.
FAINT = 0.01
#: Change without the task, over that with another seed, from which on unlike noise is no sign of uncoupled trainings.
LARGE = 2.0


def check_coupling(
    fn: Callable[[np.ndarray, int], Any] | Any,
    tasks: int | Sequence[str] | None = None,
    *,
    seed: int = 0,
    seeds: int = 4,
    task: int | str | None = None,
    takes: Literal["auto", "weights", "masks"] = "auto",
) -> Coupling:
    """Train a few masks and say whether a function's runs are coupled.

    It costs 7 trainings if the function reads weights. If it reads only which tasks are present, or weights do not
    decide it, four seeds of two masks are compared, and of a third mask if that is not clear: 10 to 17 trainings
    altogether. A function that is not repeatable is found out after 5.

    Parameters
    ----------
    fn : callable or evaluator
        ``fn(mask, seed) -> {target: number}``, called as `interplay.evaluators.Retrain` calls it (global generators
        seeded); or any object with ``evaluate(masks (b, K), seeds (b,)) -> (b, T)``.
    tasks : int or sequence of str, optional
        How many tasks the masks have, or their names; not needed for an evaluator that has ``tasks``.
    seed : int
        First seed; the following ones are used as well.
    seeds : int
        How many seeds are compared if weights do not decide it, at least 3.
    task : int or str, optional
        Whose weight changes; the first task. It should matter to some target.
    takes : {"auto", "weights", "masks"}
        "masks": never pass anything but 0 and 1, and compare seeds (9 or 13 trainings). "weights": never compare seeds.

    Returns
    -------
    Coupling
        ``coupled`` is True, False, or None where the trainings do not tell; print it for the reason and the remedy.

    Raises
    ------
    EvaluationFailed
        If a training with masks of 0 and 1 fails, returns other targets than the first, or a value that is not finite.
        (Refusing other weights is no failure.)
    ValueError, TypeError
        If an argument does not fit.

    Notes
    -----
    Small run-to-run noise (GPU kernels) is allowed for. Optimisers that forget the size of a gradient altogether (sign
    descent, Lion, Adafactor) make a tiny weight count wherever only this task reaches a parameter: use takes="masks".

    Examples
    --------
    >>> def train(mask, seed):  # the noise is the seed's alone
    ...     noise = np.random.default_rng(seed).normal(size=3)
    ...     return {"loss": float(np.exp(-mask.sum()) + 0.1 * noise @ (1 + 0.2 * mask))}
    >>> check_coupling(train, 3).coupled
    True
    >>> def train(mask, seed):  # a generator for every set of tasks
    ...     noise = np.random.default_rng([seed, *(mask > 0).astype(int)]).normal()
    ...     return {"loss": float(np.exp(-mask.sum()) + 0.1 * noise)}
    >>> print(check_coupling(train, 3, takes="weights").coupled)
    False
    """
    if takes not in ("auto", "weights", "masks"):
        raise ValueError(f"takes is {takes!r}; choose 'auto', 'weights' or 'masks'.")
    for name, value, least in (("seed", seed, 0), ("seeds", seeds, 3)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number >= {least}.")
    evaluator, names = _evaluator(fn, tasks)
    return _Check(Trainings(evaluator, names, _which(task, names)), int(seed), int(seeds), takes).run()


class _Check:
    """One check: trains what the next decision needs, and notes the numbers that it rests on."""

    def __init__(self, train: Trainings, seed: int, seeds: int, takes: str):
        self.train, self.seed, self.seeds, self.takes = train, seed, seeds, takes
        self.noted: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.cancelled: float | None = None
        self.repeatable = self.seed_matters = True
        self.reads_weights: bool | None = None

    def run(self) -> Coupling:
        train, seed = self.train, self.seed
        self.A, self.again, self.Z = train(1.0, seed), train(1.0, seed, repeat=1), train(0.0, seed)
        self.others = [train(1.0, seed + 1)]
        self.unit = units([self.A, self.again, *self.others, self.Z])
        if not np.isfinite(self.unit).any() and (self.again == self.A).all():
            self.seed_matters = False
            return self.verdict(None, "constant")
        if self.noise > FAINT * self.effect and self.noise >= FAR * self.between:
            self.third_seed()
        if self.noise >= FAR * self.between:
            if self.noise > FAINT * self.effect:
                self.repeatable = False
                return self.verdict(False, "unrepeatable")
            self.seed_matters = False
        if self.effect <= 3 * self.noise:
            return self.verdict(None, "no effect")
        return self.by_seeds() if self.takes == "masks" else self.by_weights()

    def by_weights(self) -> Coupling:
        """Judge by whether F is smooth in the weight of task k, at 0 and near one half."""
        tiny = self.weighted(TINY)
        if tiny is None:
            return self.by_seeds()
        to_Z, to_A = self.d(tiny, self.Z), self.d(tiny, self.A)
        if to_A < to_Z and to_A <= max(3 * self.noise, CLOSE * self.scale):  # present at any weight
            self.reads_weights = False
            return self.by_seeds()
        size = self.size("tiny", tiny, self.Z, CLOSE)
        if size > CLOSE:
            moves = self.d(tiny, self.Z)
            certain = moves > 3 * self.noise and (size >= FAR or moves >= FAR * self.effect)
            return self.verdict(False, "redrawn") if certain else self.by_seeds()
        half = self.weighted(0.5)
        if half is None:
            return self.by_seeds()
        noise = max(3 * self.noise, 3 * self.d(tiny, self.Z), 1e-9 * self.scale)
        if min(self.d(half, self.A), self.d(half, self.Z)) <= noise:  # rounded, or held to a threshold
            self.reads_weights = False
            return self.by_seeds()
        slope = self.d(half, self.A) / 0.5
        h = float(np.clip(noise / slope / 0.5, *STEPS))  # to be seen above the noise
        beyond = self.weighted(0.5 + h)
        if beyond is None:
            return self.by_seeds()
        if self.d(half, beyond) <= noise:
            return self.by_jumps(half, min(STEPS[1], 0.1 * self.scale / slope), noise)
        self.reads_weights = True
        size = self.size("step", beyond, half + h / 0.5 * (self.A - half), BENT)
        if size > BENT:
            return self.verdict(False, "resampled") if size >= FAR else self.by_seeds()
        return self.verdict(True, "smooth" if self.seed_matters else "deterministic")

    def by_jumps(self, half: np.ndarray, h: float, noise: float) -> Coupling:
        """Judge a function that is constant near one half: by a jump at a larger step, or else by seeds."""
        self.reads_weights = False
        beyond = self.weighted(0.5 + h)
        if beyond is None or self.d(half, beyond) <= noise or self.d(beyond, self.A) <= noise:
            return self.by_seeds()
        size = self.size("step", beyond, half + h / 0.5 * (self.A - half), BENT)
        return self.verdict(False, "resampled") if size >= FAR else self.by_seeds()

    def weighted(self, w: float) -> np.ndarray | None:
        """Train with weight ``w``; None if the function fails under it, as it may: it was made for 0 and 1."""
        try:
            return self.train(w, self.seed)
        except EvaluationFailed:
            self.reads_weights = False
            return None

    def size(self, name: str, x: np.ndarray, y: np.ndarray, small: float) -> float:
        """Note and return d(x, y) over the change with another seed, made firmer by a third one if it is not small."""
        if self.d(x, y) > small * self.scale and self.seed_matters:
            self.third_seed()
        self.noted[name] = (x, y)
        return self.d(x, y) / self.scale

    def by_seeds(self) -> Coupling:
        """Judge by how much of the seeds' variance cancels between F(1), F(1 - e_k) and, if need be, a third mask."""
        if not self.seed_matters:
            return self.verdict(None, "no seeds")
        if self.takes == "weights":
            return self.verdict(None, "weights" if self.reads_weights is False else "unclear")
        seeds = range(self.seed, self.seed + self.seeds)
        masks = [[self.train(w, seed) for seed in seeds] for w in (1.0, 0.0)]
        found = cancelled(np.array(masks))
        if found.verdict is None and len(self.train.tasks) > 2:
            masks.append([self.train(0.0, seed, another=True) for seed in seeds])
            found = cancelled(np.array(masks))
        self.cancelled = found.share
        if found.verdict is False and self.effect > LARGE * self.scale:  # the noise itself is another without the task
            return self.verdict(None, "large effect")
        reason = {True: "shared", False: "not shared", None: "unclear"}[found.verdict]
        return self.verdict(found.verdict, reason)

    def third_seed(self) -> None:
        self.others = [self.train(1.0, self.seed + i) for i in (1, 2)]
        self.unit = units([self.A, self.again, *self.others, self.Z])

    def d(self, x: np.ndarray, y: np.ndarray) -> float:
        return distance(x, y, self.unit)

    @property
    def noise(self) -> float:
        return self.d(self.A, self.again)

    @property
    def effect(self) -> float:
        return self.d(self.A, self.Z)

    @property
    def between(self) -> float:
        """The change with another seed: root mean square over the pairs of seeds."""
        pairs = combinations([self.A, *self.others], 2)
        return float(np.sqrt(np.mean([self.d(x, y) ** 2 for x, y in pairs])))

    @property
    def scale(self) -> float:
        return self.between if self.seed_matters else self.effect

    def verdict(self, coupled: bool | None, reason: str) -> Coupling:
        scale = self.scale
        shares = {name: self.d(*self.noted[name]) / scale if name in self.noted else None for name in ("tiny", "step")}
        return Coupling(
            coupled=coupled,
            reason=reason,
            repeatable=self.repeatable,
            seed_matters=self.seed_matters,
            reads_weights=self.reads_weights,
            task=self.train.tasks[self.train.k],
            effect=self.effect / scale if scale else 0.0,
            repeat=self.noise / scale if scale else 0.0,
            **shares,
            cancelled=self.cancelled,
            seeds=tuple(self.train.seeds),
            runs=self.train.records(),
        )


def _evaluator(fn: Any, tasks: int | Sequence[str] | None) -> tuple[Any, tuple[str, ...]]:
    """Return something with ``evaluate``, and the names of the tasks."""
    own = getattr(fn, "tasks", None) if hasattr(fn, "evaluate") else None
    if tasks is None and own is None:
        raise ValueError("tasks is missing; say how many tasks the masks have, or their names.")
    if isinstance(tasks, str | bool):
        raise TypeError(f"tasks is {tasks!r}; give a number of tasks, or a sequence of names.")
    if tasks is None:
        names = tuple(own or ())
    elif isinstance(tasks, int | np.integer):
        names = tuple(own) if own is not None else tuple(f"task_{k}" for k in range(tasks))
        if len(names) != tasks:
            raise ValueError(f"tasks is {tasks}, and the evaluator has {len(names)}; leave tasks out.")
    else:
        names = tuple(tasks)
    if len(names) < 2:
        raise ValueError(f"tasks names {len(names)}; at least two are needed, for one is left out.")
    if hasattr(fn, "evaluate"):
        return fn, names
    from ..evaluators.retrain import Retrain

    return Retrain(fn), names


def _which(task: int | str | None, names: tuple[str, ...]) -> int:
    if task is None:
        return 0
    if isinstance(task, str):
        if task not in names:
            raise ValueError(f"task is {task!r}, which is none of {', '.join(names[:8])}.")
        return names.index(task)
    if isinstance(task, bool) or not 0 <= task < len(names):
        raise ValueError(f"task is {task!r}; give a name or a number from 0 to {len(names) - 1}.")
    return int(task)
