"""Designs: distinct, of the right law, and honest when fewer masks exist than were asked for."""

import logging
import warnings
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import masks
from interplay.masks import drawn

RANDOM = {
    "bernoulli": lambda K, m, rng, **k: masks.bernoulli(K, m, rng, p=0.6, **k),
    "antithetic": lambda K, m, rng, **k: masks.antithetic(K, m, rng, **k),
    "fixed_size": lambda K, m, rng, **k: masks.fixed_size(K, m, K // 2, rng, **k),
    "stratified": lambda K, m, rng, **k: masks.stratified(K, m, rng, **k),
    "dirichlet": lambda K, m, rng, **k: masks.dirichlet(K, m, rng, **k),
}
BINARY = [name for name in RANDOM if name != "dirichlet"]


def distinct(rows):
    return len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("name", RANDOM)
@settings(max_examples=30, deadline=None)
@given(K=st.integers(1, 30), m=st.integers(0, 40), seed=st.integers(0, 99))
def test_rows_are_distinct_floats(name, K, m, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = RANDOM[name](K, m, np.random.default_rng(seed))
    assert rows.shape[1] == K
    assert len(rows) <= m
    assert rows.dtype == np.float64
    assert distinct(rows)
    if name == "dirichlet":
        np.testing.assert_allclose(rows.sum(axis=1), 1)
    else:
        assert np.isin(rows, (0, 1)).all()


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("K", [6, 20])
def test_excluded_masks_are_not_drawn(name, K, rng):
    out = np.vstack([masks.leave_one_out(K), masks.all_subsets(6)[:20] if K == 6 else masks.fixed_size(K, 9, 10, rng)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = RANDOM[name](K, 60, rng, exclude=out)
    assert len(rows)
    assert not (rows[:, None] == out[None]).all(axis=2).any()


@pytest.mark.parametrize(
    ("draw", "exist"),
    [
        (lambda rng: masks.bernoulli(4, 50, rng, p=0.9), 15),
        (lambda rng: masks.bernoulli(4, 50, rng, p=0.9, empty=True), 16),
        (lambda rng: masks.bernoulli(4, 50, rng, p=[1, 0.5, 0.5, 0]), 4),
        (lambda rng: masks.antithetic(4, 50, rng), 16),
        (lambda rng: masks.fixed_size(5, 50, 2, rng), 10),
        (lambda rng: masks.stratified(4, 50, rng), 16),
        (lambda rng: masks.stratified(4, 50, rng, sizes=[3, 4]), 5),
        (lambda rng: masks.bernoulli(4, 50, rng, exclude=masks.leave_one_out(4)), 10),
        (lambda rng: masks.antithetic(4, 50, rng, exclude=masks.leave_one_out(4)), 6),
        (lambda rng: masks.dirichlet(1, 50, rng), 1),
    ],
)
def test_fewer_exist_than_asked(draw, exist, rng, caplog):
    with caplog.at_level(logging.INFO, "interplay"), pytest.warns(UserWarning, match=rf"only .*{exist}|only") as caught:
        rows = draw(rng)
    assert len(rows) == exist
    assert distinct(rows)
    assert "were asked for" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert "were asked for" in caplog.text


@pytest.mark.parametrize("K", [5, 20])
def test_bernoulli_has_the_chance_asked_for(K, rng):
    chance = np.linspace(0.3, 0.7, K)
    rows = np.concatenate([masks.bernoulli(K, 1, rng, p=chance) for _ in range(2000)])
    assert np.abs(rows.mean(axis=0) - chance).max() < 0.06


def test_listing_draws_without_replacement_like_repeated_draws(monkeypatch):
    def shares(listed):
        monkeypatch.setattr(drawn, "LISTED", listed)
        rng = np.random.default_rng(0)
        rows = [masks.bernoulli(3, 3, rng, p=0.8) for _ in range(4000)]
        return np.mean([r.mean(axis=0) for r in rows], axis=0), np.mean([r[0] for r in rows], axis=0)

    for one, other in zip(shares(16), shares(0), strict=True):
        np.testing.assert_allclose(one, other, atol=0.03)


@pytest.mark.parametrize("K", [7, 30])
def test_antithetic_rows_come_as_mask_and_complement(K, rng):
    rows = masks.antithetic(K, 40, rng)
    np.testing.assert_array_equal(rows[0::2] + rows[1::2], np.ones((20, K)))
    assert len(masks.antithetic(K, 7, rng)) == 7


def test_antithetic_first_masks_follow_p(rng):
    first = np.concatenate([masks.antithetic(6, 2, rng, p=0.8)[:1] for _ in range(2000)])
    assert np.abs(first.mean(axis=0) - 0.8).max() < 0.04


@pytest.mark.parametrize(("K", "size", "m"), [(8, 3, 20), (8, 3, 55), (40, 20, 100), (6, 0, 1), (6, 6, 1)])
def test_fixed_size(K, size, m, rng):
    rows = masks.fixed_size(K, m, size, rng)
    assert len(rows) == m
    assert (rows.sum(axis=1) == size).all()


def test_fixed_size_is_uniform(rng):
    counts = np.zeros(6)
    for _ in range(3000):
        counts += masks.fixed_size(6, 2, 2, rng).sum(axis=0)
    assert np.abs(counts / counts.sum() - 1 / 6).max() < 0.01


def test_stratified_spreads_over_sizes(rng):
    sizes = np.bincount(masks.stratified(10, 110, rng).sum(axis=1).astype(int), minlength=11)
    assert sizes[0] == sizes[10] == 1
    assert sizes.sum() == 110
    assert sizes[2:9].min() >= 10
    assert np.ptp(sizes[2:9]) <= 1
    few = masks.stratified(10, 4, rng).sum(axis=1)
    assert {0, 10} <= set(few)
    assert len(set(few)) == 4
    out = masks.stratified(5, 20, rng, sizes=[1, 2, 3, 4], exclude=np.eye(5))
    assert not (out.sum(axis=1) == 1).any()


def test_listed_designs():
    for K in (1, 2, 5):
        one = masks.leave_one_out(K)
        assert one.shape == (K + 1, K)
        np.testing.assert_array_equal(one[0], np.ones(K))
        np.testing.assert_array_equal(one[1:], 1 - np.eye(K))
        two = masks.leave_two_out(K)
        assert len(two) == 1 + K + comb(K, 2)
        assert distinct(two)
        np.testing.assert_array_equal(two[: K + 1], one)
    np.testing.assert_array_equal(masks.all_subsets(3), list(product((0, 1), repeat=3)))
    assert len(masks.all_subsets(3, empty=False)) == 7


def test_dirichlet_centres_where_told(rng):
    rows = masks.dirichlet(3, 2000, rng, alpha=[6, 3, 1])
    np.testing.assert_allclose(rows.mean(axis=0), [0.6, 0.3, 0.1], atol=0.02)
    again = masks.dirichlet(3, 5, np.random.default_rng(1))
    other = masks.dirichlet(3, 5, np.random.default_rng(1), exclude=again[:2])
    assert not any(np.allclose(a, b) for a in again[:2] for b in other)


@pytest.mark.parametrize("question", masks.QUESTIONS)
def test_designs_for_questions(question, rng):
    names = [f"t{k}" for k in range(12)]
    rows = masks.design(names, 80, question, rng)
    assert rows.shape == (80, 12)
    assert distinct(rows)
    assert (rows.sum(axis=1) > 0).all()
    size = rows.sum(axis=1)
    if question == "leave-one-out":
        assert size[0] == 12
        assert 0.75 <= rows.mean() <= 0.9
    elif question == "shapley":
        assert set(range(1, 13)) == set(size)
        assert ((size == 1).sum(), (size == 11).sum()) == (12, 12)  # they weigh most
    elif question == "mixture":
        np.testing.assert_allclose(size, 1)
    else:
        assert abs(rows.mean() - 0.5) < 0.05


@pytest.mark.parametrize(("runs", "singles", "all_but_one"), [(2, 1, 0), (10, 5, 0), (40, 12, 8), (60, 12, 12)])
def test_half_of_a_design_for_shapley_values_is_single_tasks_then_all_but_one(runs, singles, all_but_one, rng):
    size = masks.design(12, runs, "shapley", rng).sum(axis=1)
    assert len(size) == runs
    assert (size == 1).sum() >= singles
    assert (size == 11).sum() >= all_but_one
    assert (size == 12).sum() == 1


@pytest.mark.parametrize("K", [1, 2, 3])
def test_a_design_for_shapley_values_of_few_tasks_lists_all_masks(K, rng):
    with pytest.warns(UserWarning, match="were asked for"):
        rows = masks.design(K, 20, "shapley", rng)
    assert len(rows) == 2**K - 1
    run = rows[: len(rows) // 2]
    with pytest.warns(UserWarning, match="were asked for"):
        rest = masks.design(K, 20, "shapley", rng, exclude=run)
    assert distinct(np.vstack([run, rest]))


def test_design_leaves_out_what_was_run(rng):
    out = np.ones((1, 6))
    rows = masks.design(6, 20, "leave-one-out", rng, exclude=out)
    assert len(rows) == 20
    assert rows.sum(axis=1).max() == 5
    with pytest.warns(UserWarning, match=r"were asked for"):
        assert len(masks.design(3, 80, "leave-one-out", rng)) == 7


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda r: masks.bernoulli(0, 3, r), ValueError, "K is 0"),
        (lambda r: masks.bernoulli(3, -1, r), ValueError, "m is -1"),
        (lambda r: masks.bernoulli(3.5, 2, r), TypeError, "K is 3.5"),
        (lambda r: masks.bernoulli(3, 2, r, p=1.2), ValueError, "p is 1.2"),
        (lambda r: masks.bernoulli(3, 2, r, p=[0.5, 0.5]), ValueError, "3 of them"),
        (lambda r: masks.bernoulli(3, 2, 0), TypeError, "default_rng"),
        (lambda r: masks.bernoulli(3, 2, r, exclude=np.ones((2, 4))), ValueError, r"shape \(n, 3\)"),
        (lambda r: masks.antithetic(3, 2, r, p=1.0), ValueError, "between 0 and 1"),
        (lambda r: masks.fixed_size(3, 2, 4, r), ValueError, "size is 4"),
        (lambda r: masks.stratified(3, 2, r, sizes=[5]), ValueError, "sizes is"),
        (lambda r: masks.dirichlet(3, 2, r, alpha=0), ValueError, "alpha is 0"),
        (lambda r: masks.all_subsets(30), ValueError, "fit in memory"),
        (lambda r: masks.design(3, 0, "pairs", r), ValueError, "at least one run"),
        (lambda r: masks.design("abc", 5, "pairs", r), TypeError, "list of names"),
        (lambda r: masks.design(["a", "a"], 5, "pairs", r), ValueError, "'a' twice"),
        (lambda r: masks.design(3, 5, "anything", r), ValueError, "leave-one-out, shapley"),
    ],
)
def test_bad_arguments(call, error, words, rng):
    with pytest.raises(error, match=words):
        call(rng)


def test_concentrated_law_says_that_it_found_no_more(monkeypatch, rng):
    monkeypatch.setattr("interplay.draws.DRAWS", 2000)
    with pytest.warns(UserWarning, match=r"after 2,"):
        rows = masks.bernoulli(20, 500, rng, p=0.9999)
    assert 1 <= len(rows) < 500
    monkeypatch.setattr("interplay.draws.DRAWS", 0)
    with pytest.warns(UserWarning, match=r"only 0"):
        assert masks.bernoulli(20, 5, rng).shape == (0, 20)
