"""Whether the next runs are worth it, and whether plain leave-one-out is the better buy: in numbers and in words.

before, after   root mean posterior variance of what is asked
s^2 = spread of the stated effects around their mean + before^2       (what true effects are expected to spread)
the batch is worth it unless after > .98 before (it tells nothing beside the noise), or before^2 < .01 s^2 (effects are
told apart: their expected correlation with the truth is above .995)

leave-one-out over R seeds, K + 1 runs each, correlates with the truth by  sqrt(s^2 / (s^2 + 2 noise / R)); as many runs
that are proposed, those of the batch first, by sqrt((s^2 - ahead^2) / s^2), and while there are fewer than two masks
for every task by no more than the root of the held-out R^2 (`trust.evidence`): nothing else tells noise from effects
then. noise is that of repeats, or the mean
squared held-out error where no mask is repeated, which is no less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..fields import listed
from ..fitting import Design
from ..joined import with_table
from ..predictor import Predictor
from ..readings.functional import read
from ..surrogates.rows import Rows
from ..trust import signal
from .beliefs import coupled_seeds, slopes
from .costs import known
from .opinions import SURE
from .proposal import Proposal
from .questions import Asked, asked
from .runnable import is_coupled

Array = NDArray[np.float64]
SMALL = 0.02  # share by which the deviation falls, below which a batch is not worth it
APART = 0.01  # share of the variance of effects that is unknown, below which they are told apart
BETTER = 0.03  # of the expected correlation, as in `trust.advice`
MANY = 2  # masks for every task, see `trust.evidence`
LEFT = 0.1  # of a run's noise, below which what runs find for a selection cannot be seen


def unit(predictor: Predictor) -> tuple[str, float]:
    """The unit of deviations in words, and what a standard deviation of the targets is in it."""
    moving = np.flatnonzero(predictor.asked)
    if len(moving) == 1:
        return f"in {predictor.targets[moving[0]]}", float(predictor.spread[moving[0]])
    return "standard deviations of the targets", 1.0


def stated(design: Design, predictor: Predictor, question: str, of: Asked | None = None) -> Array:
    """Posterior means (n, T) of what is asked of the players, in standard deviations of the targets."""
    players, X = design.players, design.X
    groups, reference, blocks = None, None, None
    if of is not None:
        reference, blocks = of.reference[players.first], of.blocks
        reference = reference / reference.sum() if design.runs.kind == "mixture" else None
        blocks = None if blocks is None else blocks[players.first]
        if question == "groups":
            groups = {n: [players.names[p] for p in np.flatnonzero(s[players.first])] for n, s in _sets(of)}
            groups = {name: members for name, members in groups.items() if members}
    if (question == "groups" and not groups) or (question == "pairs" and len(players.names) < 2):
        return np.zeros((1, len(predictor.targets)))
    how = {"groups": groups, "reference": reference, "blocks": blocks}
    put = asked(question, design.runs.kind, X, players.names, np.random.default_rng(0), **how)
    out = np.zeros((len(put.names), len(predictor.targets)))
    for block, choice in predictor.choices:
        spread = np.where(predictor.spread[block] > 0, predictor.spread[block], np.inf)
        mean = read(choice.surrogate, put.functional, intervals=False).mean  # pyright: ignore[reportArgumentType]
        out[:, block] = mean * slopes(predictor, choice.surrogate, block) / spread
    return out


def _sets(of: Asked):
    return zip(of.names, of.sets, strict=True)


@dataclass(frozen=True)
class Judged:
    """What speaks for a batch.

    Attributes
    ----------
    before, after : float
        Root mean variance, in standard deviations of the targets.
    spread : float
        s^2.
    reached, plain : float
        Expected correlation with the truth of plain leave-one-out, and of as many runs that are proposed; NaN where it
        is no question of leave-one-out, or there are too few runs for a round.
    rounds : int
        Of plain leave-one-out; 0 where it is none.
    confounded : tuple of str
        Tasks that so far switch with the file that runs come from alone.
    """

    before: float
    after: float
    spread: float
    reached: float
    plain: float
    rounds: int
    confounded: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        design: Design,
        predictor: Predictor,
        question: Asked,
        before: float,
        after: float,
        rounds: int = 0,
        ahead: float = np.nan,
    ) -> Judged:
        """Judge a batch that brings the mean variance from ``before`` to ``after``.

        As many proposed runs as ``rounds`` of leave-one-out have bring it to ``ahead``.
        """
        effects = stated(design, predictor, question.name, question)[:, predictor.asked]
        spread = float(effects.var(axis=0).mean()) + before
        tied = with_table(design.runs)
        if not rounds:
            return cls(np.sqrt(before), np.sqrt(after), spread, np.nan, np.nan, 0, tied)
        K = len(predictor.tasks)
        reached = float(np.sqrt(max(spread - ahead, 0.0) / max(spread, 1e-300)))
        if len(np.unique(design.X, axis=0)) + rounds * (K + 1) < MANY * K:
            skill = [
                s
                for block, choice in predictor.choices
                for s in choice.skill.get(choice.name, np.zeros(len(block)))[predictor.asked[block]]
            ]
            reached = min(reached, float(np.sqrt(np.clip(np.mean(skill), 0.0, 1.0))))
        plain = float(np.sqrt(spread / (spread + 2.0 * noise(design, predictor) / rounds)))
        return cls(np.sqrt(before), np.sqrt(after), spread, reached, plain, rounds, tied)

    @property
    def falls(self) -> float:
        """Share by which the deviation falls."""
        return 1.0 - self.after / self.before if self.before > 0 else 0.0

    @property
    def apart(self) -> bool:
        """Whether effects are told apart already."""
        return bool(self.before**2 < APART * self.spread)

    @property
    def worth_it(self) -> bool:
        """Whether the batch tells more than noise."""
        return bool(self.confounded) or bool(self.falls >= SMALL and not self.apart)

    @property
    def better(self) -> bool:
        """Whether plain leave-one-out is the better buy."""
        return bool(np.isfinite(self.plain) and self.plain >= self.reached + BETTER)

    def sentences(self, proposal: Proposal, question: Asked) -> list[str]:
        """What the reader must know."""
        n = len(proposal)
        runs = f"these {n} runs" if n > 1 else "this run"
        head = runs[0].upper() + runs[1:]
        said = [
            f"{head} should lower what is uncertain of {question.words} from {proposal.before:.3g} to "
            f"{proposal.after:.3g} {proposal.unit} ({self.falls:.0%} less)."
        ]
        if self.confounded:
            held = [proposal.tasks.index(task) for task in self.confounded]
            out = int((proposal.masks[:, held] == 0).any(axis=1).sum())
            one = len(held) == 1
            said.append(
                f"{listed(list(self.confounded), 3)} so far switch{'es' if one else ''} with the file that runs come "
                f"from alone: {out} of {runs} leave{'s' * (out == 1)} {'it' if one else 'one'} out. Run them as the "
                "newer file was run, and put them there."
            )
        elif self.apart:
            unknown = self.before**2 / self.spread
            said.append(
                f"The effects are told apart already: what is unknown of them is {unknown:.2%} of their variance, "
                f"below {APART:.0%}."
            )
        elif not self.worth_it:
            said.append(
                f"What {runs} can gain is below the noise ({self.falls:.1%} of the deviation): stop here, or run many."
            )
        if self.better:
            said.append(
                f"For this one question leave-one-out itself is the better buy: {self.rounds} "
                f"round{'s' * (self.rounds > 1)} of {len(proposal.tasks) + 1} runs, each with its own seed, should "
                f"correlate {self.plain:.2f} with the truth, as many proposed runs {self.reached:.2f}."
            )
        return said


def noise(design: Design, predictor: Predictor) -> float:
    """Mean over targets of the variance of a single run's noise, in squared standard deviations of the targets."""
    runs = design.given if design.at is None else design.given.where(fidelity=design.at)
    found = []
    for block, choice in predictor.choices:
        measured = np.isfinite(runs.values[:, block]).all(axis=1)
        X, Y = runs.masks[measured], runs.values[np.ix_(measured, block)]
        raw = signal.repeats(Y, Rows.of(X, seeds=runs.seed[measured] if coupled_seeds(runs) else None))
        kept = design.runs.values if design.at is None else design.runs.where(fidelity=design.at).values
        kept = kept[np.isfinite(kept[:, block]).all(axis=1)][:, block][choice.kept]
        held = ((choice.held_out - kept) ** 2).mean(axis=0)
        moving = predictor.asked[block]
        own = np.where(np.isnan(raw.share), held, raw.within)[moving]
        found += (own / predictor.spread[block][moving] ** 2).tolist()
    return float(np.mean(found))


def noise_share(design: Design, predictor: Predictor) -> float | None:
    """Share of the variance of the runs that is noise, mean over targets; None where no mask is repeated."""
    runs = design.given if design.at is None else design.given.where(fidelity=design.at)
    found = []
    for block, _ in predictor.choices:
        measured = np.isfinite(runs.values[:, block]).all(axis=1)
        seeds = runs.seed[measured] if coupled_seeds(runs) else None
        raw = signal.repeats(runs.values[np.ix_(measured, block)], Rows.of(runs.masks[measured], seeds=seeds))
        found += (1.0 - raw.share)[predictor.asked[block]].tolist()
    known = [share for share in found if np.isfinite(share)]
    return float(np.mean(known)) if known else None


def of_runs(proposal: Proposal, design: Design, predictor: Predictor, weighed: bool) -> list[str]:
    """Repeats, seeds, fidelities, and tasks that no run switched; ``weighed``: whether fidelities were, by cost."""
    said, n, given = [], len(proposal), design.given
    if again := int(proposal.repeats.sum()):
        which = "All" if again == n else f"{again} of {n}"
        said.append(f"{which} repeat a {proposal.kind} that was run, under another seed: its noise averages.")
    if (given.seed < 0).any() and again:
        said.append("The runs state no seeds: run repeats with an initialisation and order of their own.")
    if is_coupled(given):
        seeds = sorted(set(proposal.seeds.tolist()))
        said.append(f"Seeds are coupled: run each under the seed that is named ({listed(list(map(str, seeds)))}).")
        if len(set(given.seed.tolist())) == 1:
            said.append(
                "All runs share one seed: what it alone does cannot be told from effects. A few masks under a second "
                "seed, two at least, would show it."
            )
    words = list(dict.fromkeys(proposal.fidelity))
    if design.at is not None:
        names = list(dict.fromkeys(map(str, given.fidelity)))
        counts = ", ".join(f"{proposal.fidelity.count(w)} {w}" for w in words)
        if weighed:
            said.append(f"By gain per cost the batch is of: {counts} (for {design.at}; there are {listed(names)}).")
        elif proposal.how == "variance" and not known(given.cost):
            said.append(f"All are {design.at}; state the cost of runs to weigh other fidelities against it.")
        else:
            said.append(f"All are {design.at}.")
    never = [t for members in predictor.players.members if len(members) > 1 for t in members]
    apart = [predictor.tasks[k] for k in never]
    if lost := predictor.players.unidentified:
        said.append(f"No run so far switches {listed(list(lost), 5)}: their effect is wholly unknown.")
    if apart and predictor.kind == "mask":
        said.append(f"No run so far tells {listed(apart, 5)} apart from what they always switch with.")
    return said


def of_links(predictor: Predictor) -> list[str]:
    """Under which links variances are linear only at the mean of the runs."""
    forms = zip(predictor.targets, predictor.links, predictor.asked, strict=True)
    log = [t for t, form, asked in forms if asked and form != "y"]
    return [f"{listed(log, 4)}: fitted as a logarithm; gains are those at the mean of the runs."] if log else []


def of_selection(proposal: Proposal, noise_: float, mean: float) -> tuple[list[str], bool]:
    """What runs for a selection bring, and whether they are worth it; all numbers in the unit of the proposal."""
    brings = proposal.before - proposal.after
    what, n = proposal.kind, len(proposal)
    these = f"these {n} runs" if n > 1 else "this run"
    said = [
        f"The best {what} so far is predicted {'better' if mean >= 0 else 'worse'} than the mean of the runs by "
        f"{abs(mean):.3g} {proposal.unit}; the true best should be better still by about {proposal.before:.3g} (with "
        f"{SURE:.0%} probability by less than {proposal.most:.3g}), of which {these} should find {brings:.3g}."
    ]
    worth_it = proposal.most > noise_
    if not worth_it:
        said.append(f"That is below the noise of a run ({noise_:.3g}): stop here, and verify the best {what}.")
    elif brings <= LEFT * noise_ / np.sqrt(n):
        said.append(
            f"{these[0].upper()}{these[1:]} should find little beside the noise of a run ({noise_:.3g}), and something "
            "may be left: run many at once, or verify the best and leave it at that."
        )
    return said, worth_it


def of_design(proposal: Proposal, left_out: int) -> list[str]:
    """What a fixed design is; nothing of runs that were looked for."""
    n = len(proposal)
    if proposal.how == "factorial":
        different, counts = np.unique(proposal.masks, axis=0, return_counts=True)
        times = f", the incumbent {counts.max()} times among them" if counts.max() > 1 else ""
        said = [
            f"A factorial of {len(different)} masks around the incumbent, {n} runs{times}: no pair is confounded with "
            "another. It is run whole, whatever batch is."
        ]
    elif proposal.how == "repeats":
        return [f"{n} {proposal.kind}{'s' * (n != 1)} that were run, once more: they tell how much reproduces."]
    elif proposal.how != "d-optimal":
        return []
    else:
        said = [f"{n} mixtures from which a model linear in the logarithms of the weights is known best (D-optimal)."]
    if np.isfinite(proposal.before):
        said.append(
            f"They should lower what is uncertain of {proposal.words} from {proposal.before:.3g} to "
            f"{proposal.after:.3g} {proposal.unit}."
        )
    if left_out:
        said.append(f"{left_out} of its runs would repeat another and are left out.")
    return said
