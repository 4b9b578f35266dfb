"""What people ask of a choice, by the names of their tasks, and the `Region` that it means over players.

Masks have sizes, required and forbidden tasks, groups of which at most n may be in, costs within a budget. Mixtures
have caps and floors, groups with at most some share, sources that may be read so many times, a prior to stay near to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluations import Evaluations
from ..fields import EvaluationsError, as_floats, listed, match
from ..phases import phase_blocks
from ..players import Players
from ..tokens import Tokens
from .region import Region, Rule

Array = NDArray[np.float64]
Shares = Mapping[str, float] | float
MASKS = ("size", "require", "costs")
MIXTURES = ("caps", "floors", "max_epochs", "near", "kl")


@dataclass(frozen=True, eq=False)
class Constraints:
    """What a choice must keep. All of it is optional.

    Attributes
    ----------
    size : int, or pair of int or None
        Tasks in a mask: so many, or (at least, at most); at least one in any case.
    require, forbid : sequence of str
        Names or globs of tasks that must be in, that must be out.
    at_most : mapping of str to (sequence of str, number)
        For each group its tasks, and how many of them may be in; of a mixture the share that they may have together.
    costs : mapping of str to float, or Tokens
        What each task costs (names or globs; `Tokens` that know the cost of each), 0 if it is free; the sum stays
        within ``budget``.
    budget : float
        Of costs; of mixtures the tokens that one training reads, for ``max_epochs``.
    caps, floors : float, or mapping of str to float
        Largest and smallest share of tasks (names or globs), or of every task.
    tokens : Tokens
        How many each task holds.
    max_epochs : float
        How often a task may be read: its share stays below max_epochs x tokens / budget.
    near : array (K,) or mapping of str to float
        Mixture to stay near to, within ``kl``.
    kl : float
        How near: KL(mixture || near) in nats.
    """

    size: int | tuple[int | None, int | None] | None = None
    require: Sequence[str] = ()
    forbid: Sequence[str] = ()
    at_most: Mapping[str, tuple[Sequence[str], float]] = field(default_factory=dict)
    costs: Mapping[str, float] | Tokens | None = None
    budget: float | None = None
    caps: Shares | None = None
    floors: Shares | None = None
    tokens: Tokens | None = None
    max_epochs: float | None = None
    near: ArrayLike | Mapping[str, float] | None = None
    kl: float | None = None

    def region(
        self, masks: Array, tasks: Sequence[str], players: Players, kind: str, notes: Mapping[str, Any]
    ) -> Region:
        """Return what these constraints leave of masks or mixtures like those that were run.

        Parameters
        ----------
        masks : array (m, K)
            The runs.
        tasks : sequence of str (K,)
        players : Players
        kind : str
        notes : mapping
            Of the runs: phases of training.

        Raises
        ------
        EvaluationsError
            For an unknown name, a constraint that this kind of runs has no meaning for, or constraints that clash.
        """
        return _Reader(self, masks, tuple(tasks), players, kind).region(notes)

    def region_of(self, runs: Evaluations) -> Region:
        """Return `region` of some runs."""
        players = Players.of(runs.masks, runs.tasks, runs.kind)
        return self.region(runs.masks, runs.tasks, players, runs.kind, runs.notes)


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads constraints over tasks as rules over players."""

    asked: Constraints
    masks: Array
    tasks: tuple[str, ...]
    players: Players
    kind: str

    def region(self, notes: Mapping[str, Any]) -> Region:
        """Read all of them, and see that they can hold together."""
        self._meant()
        mask, P = self.kind == "mask", len(self.players.names)
        rules = self._masks() if mask else self._weights()
        rules += self._groups()
        low, high = np.zeros(P), np.ones(P)
        if self.kind in ("weights", "coefficients"):
            X = self.players.columns(self.masks)
            low, high = X.min(axis=0), X.max(axis=0)
        blocks, totals = np.zeros(P, np.int64), np.zeros(0)
        if self.kind == "mixture":
            phases = phase_blocks(notes, self.players.names)
            blocks = blocks if phases is None else phases
            shares = self.players.columns(self.masks).mean(axis=0)
            totals = np.array([shares[blocks == b].sum() for b in range(blocks.max() + 1)]) / shares.sum()
        near, kl = self._near()
        found = Region(self.players.names, self.kind, tuple(rules), low, high, blocks, totals, near, kl)
        found.check()
        return found

    def _meant(self) -> None:
        """Refuse what has no meaning for this kind of runs, and numbers that are none."""
        mask = self.kind == "mask"
        for name in MIXTURES if mask else MASKS:
            value = getattr(self.asked, name)
            if value is not None and np.size(value):
                raise EvaluationsError(
                    f"{name} is for {'mixtures' if mask else 'masks'}, and the runs are {self._kinds}; "
                    + ("give size, require, forbid, at_most or costs." if mask else "give caps, floors or at_most.")
                )
        for name in ("budget", "max_epochs", "kl"):
            value = getattr(self.asked, name)
            if value is not None and not (_is_number(value) and value >= 0 and (value > 0 or name == "kl")):
                least = ">= 0" if name == "kl" else "above zero"
                raise EvaluationsError(f"{name} is {value!r}; give a finite number {least}.")
        if self.asked.max_epochs is not None and self.asked.tokens is None:
            raise EvaluationsError("max_epochs limits how often a task is read: give its tokens= too (--tokens).")
        if not mask and self.asked.budget is not None and self.asked.max_epochs is None:
            raise EvaluationsError(
                f"budget is {self.asked.budget!r}: of {self._kinds} it limits only how often a task is read. Say how "
                "often that may be with max_epochs= (--max-epochs), or leave budget out."
            )
        if self.asked.kl is not None and self.asked.near is None:
            raise EvaluationsError("kl is a distance from a mixture: say which with near= (--near).")

    @property
    def _kinds(self) -> str:
        """What the runs are, in the plural."""
        return self.kind if self.kind.endswith("s") else f"{self.kind}s"

    def _index(self, names: str | Sequence[str], what: str) -> list[int]:
        if not isinstance(names, Iterable):
            raise EvaluationsError(f"{what} is {names!r}; give names of tasks, such as {list(self.tasks[:2])}.")
        return [self.tasks.index(name) for name in match(names, self.tasks, "task", argument=what)]

    def _row(self, index: Sequence[int], weights: Sequence[float] | None = None) -> tuple[Array, float, list[int]]:
        """Coefficients (P,) of some tasks over players, what those that are always on add, and those always off."""
        given = dict(zip(index, np.ones(len(index)) if weights is None else weights, strict=True))
        row, constant, gone = np.zeros(len(self.players.names)), 0.0, []
        for p, members in enumerate(self.players.members):
            row[p] = sum(given.pop(k, 0.0) for k in members)
        for k, weight in given.items():
            if self.tasks[k] in self.players.always_on:
                constant += weight
            else:
                gone.append(k)
        return row, constant, gone

    def _masks(self) -> list[Rule]:
        asked, P, rules = self.asked, len(self.players.names), []
        required, forbidden = self._index(asked.require, "require"), self._index(asked.forbid, "forbid")
        if both := [self.tasks[k] for k in required if k in forbidden]:
            raise EvaluationsError(f"{listed(both)} is required and forbidden at once; leave it out of one of them.")
        for what, index, end in (("require", required, 1.0), ("forbid", forbidden, 0.0)):
            for k in index:
                task = self.tasks[k]
                if task in (self.players.always_off if end else self.players.always_on):
                    raise EvaluationsError(
                        f"{what} {task!r}: it is {'off' if end else 'on'} in every run, so nothing is known of the "
                        "other way. Run some masks that switch it."
                    )
                own = [p for p, members in enumerate(self.players.members) if k in members]
                if own:
                    rules.append(Rule(f"{what} {task}", np.eye(P)[own[0]], end, end, what))
        row, there, _ = self._row(range(len(self.tasks)))
        if (size := self._size()) is not None:
            least, most = size
            words = f"size {least}" if least == most else f"size {least} to {most}"
            rules.append(Rule(words, row, least - there, most - there, "size"))
        elif not self.players.always_on:
            rules.append(Rule("at least one task", row, 1.0))
        if asked.costs is not None:
            rules.append(self._costs())
        elif asked.budget is not None:
            raise EvaluationsError("budget limits what tasks cost: give their costs= too (--costs).")
        return rules

    def _size(self) -> tuple[int, int] | None:
        """The fewest and the most tasks of a mask."""
        asked, K, fixed = self.asked.size, len(self.tasks), len(self.players.always_on)
        if asked is None:
            return None
        least, most = ends = asked if isinstance(asked, tuple | list) and len(asked) == 2 else (asked, asked)
        if not all(e is None or (_is_number(e) and e == int(e)) for e in ends):
            raise EvaluationsError(
                f"size is {asked!r}; give how many tasks, such as 8, or (at least, at most), such as (4, 9)."
            )
        least, most = 0 if least is None else int(least), K if most is None else int(most)
        words = f"size is {least}" if least == most else f"size is {least} to {most}"
        if least > most:
            raise EvaluationsError(f"{words}: give the fewest first, then the most.")
        if least < 0 or most > K:
            raise EvaluationsError(f"{words}; there are {K} tasks: give a number from 1 to {K}, or a range of these.")
        if most < max(fixed, 1):
            why = (
                f"{fixed} of the tasks {'is' if fixed == 1 else 'are'} on in every run"
                if fixed
                else "a choice holds at least one"
            )
            raise EvaluationsError(f"{words}; {why}: give {max(fixed, 1)} or more.")
        return max(least, 1), most

    def _costs(self) -> Rule:
        asked, K = self.asked, len(self.tasks)
        given = asked.costs
        if isinstance(given, Tokens):
            costs = given.cost
            if np.isnan(costs).any():
                names = [given.tasks[k] for k in np.flatnonzero(np.isnan(costs))]
                raise EvaluationsError(f"costs: that of {listed(names)} is not known; give one for every task.")
        else:
            if not isinstance(given, Mapping):
                raise EvaluationsError(f"costs is {given!r}; give the cost of each task, such as {{'web': 2.0}}.")
            costs, priced = np.zeros(K), np.zeros(K, bool)
            for name, cost in given.items():
                index = self._index(name, "costs")
                if not (_is_number(cost) and cost >= 0):
                    raise EvaluationsError(f"costs: that of {name!r} is {cost!r}; give a number >= 0.")
                costs[index], priced[index] = cost, True
            if not priced.all():
                left = listed([self.tasks[k] for k in np.flatnonzero(~priced)])
                raise EvaluationsError(f"costs: that of {left} is not given; give one for every task, 0 if it is free.")
        if asked.budget is None:
            raise EvaluationsError("costs need a budget= to stay within (--budget).")
        row, there, _ = self._row(range(K), list(costs))
        words = f"costs within {asked.budget:g} (the cheapest task costs {costs.min():g})"
        return Rule(words, row, -np.inf, asked.budget - there, "costs", asked.budget)

    def _groups(self) -> list[Rule]:
        rules, given, mask, shares = [], self.asked.at_most, self.kind == "mask", self.kind == "mixture"
        form = "{'group': (['en', 'de'], " + ("1)}" if mask else "0.5)}")
        if not isinstance(given, Mapping):
            raise EvaluationsError(f"at_most is {given!r}; give the tasks and the number of each group: {form}.")
        for name, limit in given.items():
            if not (isinstance(limit, tuple | list) and len(limit) == 2):
                raise EvaluationsError(f"at_most {name!r} is {limit!r}; give its tasks and a number: {form}.")
            members, most = limit
            if not _is_number(most) or (mask and not 0 <= most == int(most)) or (shares and not 0 <= most <= 1):
                number = "a whole number >= 0" if mask else "a share between 0 and 1" if shares else "a number"
                raise EvaluationsError(f"at_most {name!r} is {most!r}; give {number}.")
            row, there, _ = self._row(self._index(members, f"at_most {name!r}"))
            of = f"{most:g} of" if mask else f"a share of {most:g} in"
            rules.append(Rule(f"at most {of} {name}", row, -np.inf, most - there, "at most"))
        return rules

    def _weights(self) -> list[Rule]:
        asked, P, rules = self.asked, len(self.players.names), []
        single = lambda k: np.eye(P)[[m[0] for m in self.players.members].index(k)]
        known = {m[0] for m in self.players.members}
        for k in self._index(asked.forbid, "forbid"):
            if k in known:
                rules.append(Rule(f"forbid {self.tasks[k]}", single(k), most=0.0, about="forbid"))
        for what, given in (("cap", asked.caps), ("floor", asked.floors)):
            for k, share in self._shares(given, f"{what}s").items():
                if k not in known:
                    if what == "floor" and share > 0:
                        raise EvaluationsError(
                            f"floors: {self.tasks[k]!r} has no weight in any run, so nothing is known of it. Run some."
                        )
                    continue
                ends = {"most": share} if what == "cap" else {"least": share}
                of = self.tasks[k] if isinstance(given, Mapping) else "every task"
                rules.append(Rule(f"{what} {of}={share:g}", single(k), **ends, about=what))
        if asked.max_epochs is not None and asked.tokens is not None:
            budget = self.reads
            for k in known:
                share = asked.max_epochs * asked.tokens.tokens[k] / budget
                if share < 1.0:
                    words = f"{self.tasks[k]} at most {asked.max_epochs:g} times (a share of {share:.3g})"
                    rules.append(
                        Rule(words, single(k), most=share, about="reads", budget=budget, epochs=asked.max_epochs)
                    )
        return rules

    @property
    def reads(self) -> float:
        """Tokens that a training reads: the budget, or all there are."""
        assert self.asked.tokens is not None
        return float(self.asked.tokens.tokens.sum()) if self.asked.budget is None else self.asked.budget

    def _shares(self, given: Shares | None, what: str) -> dict[int, float]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            if not _is_number(given):
                raise EvaluationsError(f"{what}: {given!r} is no share; give a number, or one by task: {{'web': 0.3}}.")
            given = {"*": given}
        found = {}
        for name, share in given.items():
            if not (_is_number(share) and 0 <= share <= 1):
                raise EvaluationsError(f"{what}: {name}={share!r}; give a share between 0 and 1.")
            found |= dict.fromkeys(self._index(name, what), float(share))
        return found

    def _near(self) -> tuple[Array | None, float]:
        if self.asked.near is None:
            return None, np.inf
        given, K = self.asked.near, len(self.tasks)
        if isinstance(given, Mapping):
            whole = np.zeros(K)
            for name, share in given.items():
                if not _is_number(share):
                    raise EvaluationsError(f"near: the weight of {name!r} is {share!r}; give a number >= 0.")
                whole[self._index(name, "near")] = share
        else:
            whole = as_floats(given, "near")
        if whole.shape != (K,):
            raise EvaluationsError(f"near has shape {whole.shape}; give a weight >= 0 for each of {K} tasks.")
        for k in np.flatnonzero(~(np.isfinite(whole) & (whole >= 0)))[:1]:
            raise EvaluationsError(f"near: the weight of {self.tasks[k]!r} is {whole[k]:g}; give a number >= 0.")
        if not whole.sum():
            raise EvaluationsError("near gives no weight to any task; give some of them weight.")
        prior = self.players.columns(whole[None])[0]
        prior = prior / prior.sum()
        barred = set(self._index(self.asked.forbid, "forbid"))
        held = self.players.columns(self.masks).max(axis=0) > 0
        lost = [
            name
            for p, (name, members) in enumerate(zip(self.players.names, self.players.members, strict=True))
            if prior[p] == 0 and held[p] and members[0] not in barred
        ]
        if lost:
            raise EvaluationsError(
                f"near gives no weight to {listed(lost)}, which the runs do: any mixture that holds it is infinitely "
                "far from it. Give it a little weight there, or forbid it."
            )
        if self.asked.kl is None:
            raise EvaluationsError("near is a mixture to stay near to: say how near with kl= (--kl), in nats.")
        return prior, float(self.asked.kl)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number, and none of True and False."""
    return (
        isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and np.isfinite(value)
    )
