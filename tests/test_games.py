from itertools import permutations

import numpy as np
import pytest

from interplay.problems import games

READINGS = ("leave-one-out", "shapley", "banzhaf")
CASES = {
    "additive": games.additive_game([[0.5, 1.0], [-0.2, 0.0], [0.1, -1.0], [0.0, 2.0]], constant=3.0),
    "xor": games.xor_pairs(4),
    "duplicates": games.duplicates(5),
    "null": games.null_task(5),
    "saturating": games.saturating(5),
    "triple": games.polynomial({(): 2.0, (0, 1, 2): 6.0, (3,): 1.0}, 4, higher_is_better=False),
}


def all_masks(K):
    return ((np.arange(2**K)[:, None] >> np.arange(K)) & 1).astype(float)


def shapley_by_permutations(game):
    """Average marginal contribution over all orders, straight from the definition."""
    total = np.zeros((game.K, game.T))
    orders = list(permutations(range(game.K)))
    for order in orders:
        masks = np.zeros((game.K + 1, game.K))
        for step, k in enumerate(order):
            masks[step + 1 :, k] = 1
        total[list(order)] += np.diff(game(masks), axis=0)
    return total / len(orders) * np.where(game.higher_is_better, 1, -1)


@pytest.mark.parametrize("game", CASES.values(), ids=CASES)
def test_shapley_equals_its_definition(game):
    np.testing.assert_allclose(game.effects("shapley"), shapley_by_permutations(game), atol=1e-12)


@pytest.mark.parametrize("game", CASES.values(), ids=CASES)
def test_leave_one_out_and_banzhaf_equal_differences(game):
    sign = np.where(game.higher_is_better, 1, -1)
    K, masks = game.K, all_masks(game.K)
    for k in range(K):
        without = masks[masks[:, k] == 0]
        present = without + np.eye(K)[k]
        gain = sign * (game(present) - game(without))
        np.testing.assert_allclose(game.effects("banzhaf")[k], gain.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(game.effects("leave-one-out")[k], gain[-1], atol=1e-12)


@pytest.mark.parametrize("game", CASES.values(), ids=CASES)
def test_pairs_equal_second_differences(game):
    sign = np.where(game.higher_is_better, 1, -1)
    K, masks, unit = game.K, all_masks(game.K), np.eye(game.K)
    for i in range(K):
        for j in range(K):
            if i == j:
                assert not game.pairs("shapley")[i, j].any()
                continue
            s = masks[(masks[:, i] == 0) & (masks[:, j] == 0)]
            second = sign * (game(s + unit[i] + unit[j]) - game(s + unit[i]) - game(s + unit[j]) + game(s))
            np.testing.assert_allclose(game.pairs("banzhaf")[i, j], second.mean(axis=0), atol=1e-12)
            np.testing.assert_allclose(game.pairs("leave_one_out")[i, j], second[-1], atol=1e-12)


@pytest.mark.parametrize("reading", READINGS)
def test_stated_terms_agree_with_enumeration(reading):
    stated = CASES["triple"]
    computed = games.Game(stated.tasks, stated.targets, stated.function, higher_is_better=stated.higher_is_better)
    np.testing.assert_allclose(stated.effects(reading), computed.effects(reading), atol=1e-12)
    np.testing.assert_allclose(stated.pairs(reading), computed.pairs(reading), atol=1e-12)


def test_known_answers():
    np.testing.assert_allclose(games.xor_pairs(4).effects("shapley"), 0)
    np.testing.assert_allclose(games.duplicates(4).effects("leave-one-out"), 0)
    np.testing.assert_allclose(games.duplicates(4).effects("shapley").ravel(), [0.5, 0.5, 1.5, 1.5])
    assert not games.null_task(4).effects("shapley")[-1].any()
    assert (games.saturating(4).effects() > 0).all()
    assert (games.saturating(4).pairs("shapley")[~np.eye(4, dtype=bool)] < 0).all()


@pytest.mark.parametrize("game", CASES.values(), ids=CASES)
def test_shapley_is_efficient(game):
    ends = game(np.array([np.zeros(game.K), np.ones(game.K)]))
    total = (ends[1] - ends[0]) * np.where(game.higher_is_better, 1, -1)
    np.testing.assert_allclose(game.effects("shapley").sum(axis=0), total, atol=1e-12)


class TestAdditive:
    def test_runs_repeat_and_seeds_differ(self):
        game = games.additive(0)
        masks = (np.random.default_rng(0).random((6, 20)) < 0.9).astype(float)
        first = game.evaluate(masks, np.zeros(6, int))
        np.testing.assert_array_equal(first[::-1], game.evaluate(masks[::-1], np.zeros(6, int)))
        assert not np.allclose(first, game.evaluate(masks, np.ones(6, int)))
        assert not np.allclose(first, games.additive(1).evaluate(masks, np.zeros(6, int)))

    def test_truth_is_additive_and_in_benefits(self):
        game = games.additive(2)
        truth = game.truth
        assert (truth.K, truth.T, truth.m) == (20, 3, 21)
        assert truth.higher_is_better == (False,) * 3
        np.testing.assert_allclose(truth.values[1:] - truth.values[0], game.effects("leave-one-out"), atol=1e-12)
        np.testing.assert_allclose(game.effects("shapley"), game.effects("leave-one-out"), atol=1e-12)
        assert not game.pairs().any()

    @pytest.mark.parametrize("problem_seed", range(3))
    def test_noise_is_what_was_asked(self, problem_seed):
        game = games.additive(problem_seed, signal_to_noise=3.0)
        masks = (np.random.default_rng(1).random((3000, 20)) < 0.9).astype(float)
        signal = game(masks)
        noise = game.evaluate(masks, np.arange(3000)) - signal
        np.testing.assert_allclose(signal.var(axis=0) / noise.var(axis=0), 3.0, rtol=0.15)
        assert (signal > 0).all()


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"must be \(b, 4\)"):
        games.xor_pairs(4)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="games know leave-one-out"):
        games.xor_pairs(4).effects("owen")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tasks are 0 to 2"):
        games.polynomial({(3,): 1.0}, 3)
    with pytest.raises(ValueError, match="K <= 16"):
        games.saturating(17).effects()
