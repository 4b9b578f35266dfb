"""Runs for finding the best mask or mixture: what they bring, and whether anything is left to gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from . import best, words
from .beliefs import Arms
from .candidates import among_rows, filled
from .costs import costs
from .opinions import TAKEN, Opinion, left, noise, opinions
from .proposal import Proposal
from .runnable import Runnable
from .situation import Situation, proposal, short, with_pending

Array = NDArray[np.float64]
AT_ONCE = 1000
MOST = 340  # points among which it is asked what is left


def selection(here: Situation, batch: int, how: str, own: Array | None) -> Proposal:
    """Propose runs that should find a better mask or mixture than the one that is predicted best now.

    Parameters
    ----------
    here : Situation
    batch : int
    how : {'knowledge-gradient', 'thompson'}
    own : array (N, K) or None
        The only ones that may be run, and chosen.
    """
    predictor, runs, T = here.predictor, here.runs, here.moving
    held = opinions(here.design, predictor) if here.hedged else []
    word = here.design.at or str(runs.fidelity[0])
    places = lambda X: Arms(X, np.full(len(X), -2, np.int64), np.full(len(X), word))

    def score(X: Array, beside: Sequence[Opinion] = ()) -> tuple[Array, Array]:
        mean, upper = np.empty((2, len(X)))
        for start in range(0, len(X), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            mu, sd = predictor.at(X[part][:, here.design.players.first])
            mean[part], moving = predictor.benefit(mu), predictor.asked
            deviation = np.sqrt(((sd[:, moving] / predictor.spread[moving]) ** 2).sum(axis=1)) / T
            most = [mean[part] + best.DEVIATIONS * deviation]
            most += [one.upper(places(X[part]), best.DEVIATIONS) for one in dict.fromkeys(beside)]
            upper[part] = np.max(most, axis=0)
        return mean, upper

    if own is None:
        points, mean = best.pool(runs.masks, runs.kind, score, here.region, here.rng)
    else:
        points, mean = own, score(own)[0] if len(own) else np.zeros(0)
    every = own is not None
    runnable = lambda X: Runnable.of(X, here.design.given, [word], here.repeats, here.pending, single=True)
    found = runnable(points)
    if short(found, batch) and not every and len(points):
        points, every = filled(points, here.asked.name, here.region)
        found, mean = runnable(points), score(points)[0]
    arms, open_, said = with_pending(here, found, batch, every)
    belief = best.Beliefs.of(here.beliefs, mean, places(points), arms, T)
    top, (unit, scale) = int(np.argmax(mean)), words.unit(predictor)
    rng = np.random.default_rng(0)
    if held:
        among, believed = points, mean
        if not every:  # what leads by the fits is alike: what may be best elsewhere is looked for beside it
            hopeful = lambda X: score(X, held)
            more, their = best.pool(runs.masks, runs.kind, hopeful, here.region, rng, best.WIDE)
            new = ~among_rows(more, points)
            among, believed = np.vstack([points, more[new]]), np.append(mean, their[new])
        if len(among) > MOST:
            some = best.leading(believed, score(among, held)[1], MOST - best.WIDE, best.WIDE, rng)
            among, believed = among[some], believed[some]
        gain = left(held, places(among), int(np.argmax(believed)), rng)
    else:
        gain = belief.left(rng)[:, None]
    expected, most = scale * float(gain.mean()), scale * float(np.quantile(gain, TAKEN[runs.kind], axis=0).max())
    quiet = scale * (noise(held) if held else float(np.sqrt(np.median(belief.noise))))
    for j in range(len(found.arms), len(arms)):
        belief = belief.after(j)
    if how == "thompson":
        picks, gains = best.thompson_batch(belief, batch, open_, here.rng)
    else:
        price = costs(arms, here.design.given, here.cost, here.design.at)
        picks, gains = best.gradient_batch(belief, batch, price, open_, found.again, here.rng)
    brought = min(scale * best.worth(belief, picks, np.random.default_rng(0)), expected)
    ends = np.array([expected, expected - brought])
    out = proposal(here, arms[np.array(picks, np.int64)], scale * np.array(gains), ends, unit, how, said)
    out = replace(out, most=most)
    told, worth_it = words.of_selection(out, quiet, scale * float(mean[top]))
    return replace(out, worth_it=worth_it, sentences=(*told, *out.sentences))
