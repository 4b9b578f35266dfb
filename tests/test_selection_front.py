"""The front of several targets: what of it is worth verifying, and what is left of it when it was run."""

import numpy as np
import pytest

import interplay as ip
from interplay.evaluators import Evaluator
from interplay.selection import pareto, result
from tests.choices import choice

GAINS = np.array([[0.8, 0.6, -0.1, -0.1, -0.2, 0.3, 0.4], [-0.5, -0.1, 0.6, 0.5, -0.2, 0.3, -0.3]])
K = 7


class Losses:
    """Two additive losses that want different tasks, each with a rough part of its own."""

    tasks, targets, fidelity = tuple(f"task_{k}" for k in range(K)), ("a", "b"), "retrained"

    def fingerprint(self):
        return {}

    def evaluate(self, masks, seeds):
        rough = np.random.default_rng(0).normal(size=(2**K, 2)) * 0.1
        return 3.0 - masks @ GAINS.T + rough[(masks @ 2 ** np.arange(K)).astype(int)]


def runs_of(m=24):
    return ip.evaluate(Losses(), ip.masks.bernoulli(K, m, np.random.default_rng(0)), progress=False)


def test_unbeaten_choices_by_hand():
    z = np.array([[0.0, 3.0], [2.0, 2.0], [1.0, 1.0], [3.0, 0.0], [2.0, 1.9], [3.0, 0.0]])
    assert pareto.unbeaten(z).tolist() == [3, 5, 1, 0]
    assert pareto.unbeaten(np.zeros((0, 2))).tolist() == []


def test_the_shortlist_is_spread_along_the_front():
    """After the choice the end that lies farther from it, then the other one; alternatives are last."""
    chosen = choice(targets=("a", "b"), front=7)
    assert chosen.promising[0] is chosen.choice
    at = lambda c: c.predicted / np.ptp([chosen.choice.predicted, *(c.predicted for c in chosen.front)], axis=0)
    left, shown = list(chosen.front), [chosen.choice]
    while left:
        nearest = [min(np.linalg.norm(at(c) - at(own)) for own in shown) for c in left]
        shown.append(left.pop(int(np.argmax(nearest))))
    distinct = []
    for c in (*shown, *chosen.of(result.ALTERNATIVE)):
        if not any((c.weights == own.weights).all() for own in distinct):
            distinct.append(c)
    assert list(chosen.promising) == distinct
    np.testing.assert_array_equal(chosen.shortlist(3), [c.weights for c in chosen.promising[:3]])
    assert len(chosen.shortlist(1000)) == len(distinct)


def test_without_a_front_the_shortlist_holds_the_alternatives():
    chosen = choice()
    np.testing.assert_array_equal(chosen.shortlist(4), [c.weights for c in chosen.candidates[:4]])


def test_mixtures_that_hardly_differ_are_verified_once():
    chosen = choice("mixture", targets=("a", "b"), front=3)
    twin = [result.Candidate(**{**vars(c), "weights": chosen.weights + 1e-4}) for c in chosen.front[:1]]
    again = ip.Selection(**{**vars(chosen), "front": (*twin, *chosen.front)})
    assert len(again.shortlist(99)) == len(chosen.shortlist(99))


def test_the_ends_of_the_front_are_among_the_first_that_are_verified():
    runs = runs_of()
    chosen = ip.select(runs, pareto=["a", "b"])
    best = [min(chosen.front, key=lambda c: c.predicted[j]).weights for j in range(2)]
    first = chosen.shortlist(3)
    for end in best:
        assert (np.abs(first - end).sum(axis=1) < 1e-9).any()
    frame = chosen.to_frame()
    assert frame["role"].tolist().count("front") == 2 * len(chosen.front)
    for c in chosen.front:  # gains are of the choice, as everywhere
        np.testing.assert_allclose(c.gain, c.predicted - chosen.choice.predicted, atol=1e-6)


def test_verification_trains_the_front_and_leaves_that_of_what_was_run():
    evaluator, runs = Losses(), runs_of()
    assert isinstance(evaluator, Evaluator)
    chosen = ip.selection.verify(runs, evaluator, pareto=["a", "b"], trainings=8, progress=False)
    true = lambda X: evaluator.evaluate(np.atleast_2d(X), None)
    assert chosen.trained is not None
    together = runs + chosen.trained
    for c in ip.select(together, pareto=["a", "b"], risk=0.0).front:  # it goes on until none of these is left
        assert (np.abs(together.masks - c.weights).sum(axis=1) < 1e-9).any()
    assert chosen.verified < 8
    assert len(chosen.front) >= 3
    assert all(c.runs for c in chosen.front)
    values = np.array([c.predicted for c in chosen.front])
    assert pareto.unbeaten(-values).size == len(values)
    single = ip.selection.verify(runs, evaluator, worst=["a", "b"], trainings=8, progress=False)
    hypervolume = lambda trained: _volume(true(np.vstack([runs.masks, trained.trained.masks])))
    assert hypervolume(chosen) > hypervolume(single) + 0.01


def _volume(values, worst=4.5):
    """Area between a front of two losses and a point that is worse than all of it."""
    front = values[pareto.unbeaten(-values)]
    front = front[(front < worst).all(axis=1)]
    front = front[np.argsort(front[:, 0])]
    tops = np.append(worst, front[:-1, 1])
    return float(((worst - front[:, 0]) * (tops - front[:, 1])).sum())


def test_the_front_of_candidates_is_of_these():
    runs = runs_of()
    given = ip.masks.bernoulli(K, 20, np.random.default_rng(3))
    chosen = ip.select(runs, pareto=["a", "b"], among=given, surrogate="ridge")
    assert "(the front is below)" in chosen.objective
    assert chosen.front
    for c in chosen.front:
        assert (np.abs(given - c.weights).sum(axis=1) < 1e-9).any()
    assert "None of these is predicted to be better" in repr(chosen)


@pytest.mark.parametrize("n", [2, 4])
def test_gains_over_a_front_are_zero_at_the_choice(n):
    chosen = ip.select(runs_of(), pareto=["a", "b"], size=n, surrogate="ridge")
    own = [c for c in chosen.front if (c.weights == chosen.weights).all()]
    for c in own:
        assert c.gain.tolist() == [0.0, 0.0]
