"""Token counts: read for the tasks of runs, the proportional mixture, repetition, effects per token and per cost."""

import numpy as np
import pytest

from interplay.evaluations import EvaluationsError
from interplay.tokens import Tokens

TASKS = ("web", "code", "wiki")


def read(tmp_path, text, tasks=TASKS):
    (tmp_path / "tokens.csv").write_text(text)
    return Tokens.read(tmp_path / "tokens.csv", tasks)


@pytest.fixture
def tokens(tmp_path):
    return read(tmp_path, "task,tokens,cost\nwiki,1e9,300\nweb,7000000000,\ncode,2e9,50\n")


def test_read_in_the_order_of_the_tasks(tokens):
    assert tokens.tasks == TASKS
    np.testing.assert_array_equal(tokens.tokens, [7e9, 2e9, 1e9])
    np.testing.assert_array_equal(tokens.cost, [np.nan, 50, 300])
    with pytest.raises(ValueError, match="read-only"):
        tokens.tokens[0] = 1


def test_tables_may_be_separated_by_tabs_and_say_more(tmp_path):
    (tmp_path / "t.tsv").write_text("note\ttask\ttokens\nx\tb\t3\ny\ta\t1\n")
    got = Tokens.read(tmp_path / "t.tsv", ["a", "b"])
    np.testing.assert_array_equal(got.tokens, [1, 3])
    assert np.isnan(got.cost).all()
    assert Tokens.read(tmp_path / "t.tsv", ["a", "b"]).mixture.tolist() == [0.25, 0.75]


def test_the_proportional_mixture_reads_every_task_equally_often(tokens):
    np.testing.assert_allclose(tokens.mixture, [0.7, 0.2, 0.1])
    np.testing.assert_allclose(tokens.epochs(tokens.mixture, 25e9), 2.5)
    runs = np.array([[1, 0, 0], [0.4, 0, 0.6]])
    np.testing.assert_allclose(tokens.reference(runs), [7 / 8, 0, 1 / 8])


def test_epochs_add_up_to_the_budget(tokens):
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(3), 5)
    epochs = tokens.epochs(w, 4e9)
    assert epochs.shape == (5, 3)
    np.testing.assert_allclose(epochs @ tokens.tokens, 4e9)
    with pytest.raises(ValueError, match="budget is 0; give the number of tokens"):
        tokens.epochs(w, 0)


def test_a_move_raises_what_it_says(tokens):
    """Tokens moved are those of the mixture after the move, less those before."""
    w, delta, budget = np.array([0.5, 0.3, 0.2]), 0.05, 8e9
    after = (1 - delta) * w + delta * np.eye(3)
    rise = np.diag((tokens.epochs(after, budget) - tokens.epochs(w, budget)) * tokens.tokens)
    np.testing.assert_allclose(tokens.moved(w, delta, budget), rise)


def test_effects_per_token_and_per_cost(tokens):
    effects = np.array([[0.7, -7.0], [0.2, 1.0], [0.1, 0.0]])
    np.testing.assert_allclose(tokens.per_billion(effects), [[0.1, -1.0], [0.1, 0.5], [0.1, 0.0]])
    np.testing.assert_allclose(tokens.per_cost(effects), [[np.nan, np.nan], [0.004, 0.02], [0.1 / 300, 0.0]])
    moved = tokens.moved([0.5, 0.5, 0.0], 0.1, 10e9)  # .5, .5 and 1 billion tokens
    np.testing.assert_allclose(tokens.per_billion(effects, moved), effects / [[0.5], [0.5], [1.0]])
    np.testing.assert_allclose(tokens.per_cost(effects, moved)[1:], effects[1:] / [[12.5], [300]])
    assert np.isnan(tokens.per_billion(effects, tokens.moved([1, 0, 0], 0.1, 1e9))[0]).all()  # nothing moves


def test_players_and_groups_hold_the_sum_of_their_members(tokens):
    got = tokens.joined(["web", "code + wiki"], [(0,), (1, 2)])
    np.testing.assert_array_equal(got.tokens, [7e9, 3e9])
    np.testing.assert_array_equal(got.cost, [np.nan, 350])
    assert got.tasks == ("web", "code + wiki")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task,tokens\nweb,1\ncode,2\nwki,3\n", "row 3: no task of the runs is called 'wki'.*'wiki'"),
        ("task,tokens\nweb,1\nwiki,3\n", "tokens.csv has no row for code. Every task of the runs needs its count"),
        ("task,tokens\nweb,1\ncode,2\nwiki,3\nweb,4\n", "row 4 gives task 'web' again. Keep one row, or add them up"),
        ("task,tokens\nweb,1\ncode,0\nwiki,3\n", "tokens of task 'code' is 0; it must be a number above zero. Count"),
        ("task,tokens\nweb,1\ncode,-5\nwiki,3\n", "tokens of task 'code' is -5"),
        ("task,tokens\nweb,1\ncode,\nwiki,3\n", "tokens of task 'code' is nan"),
        ("task,tokens\nweb,1\ncode,inf\nwiki,3\n", "tokens of task 'code' is inf"),
        ("task,tokens\nweb,1\ncode,2B\nwiki,3\n", "column 'tokens' holds '2B' in row 2.*Give a number"),
        (
            "task,tokens,cost\nweb,1,1\ncode,2,0\nwiki,3,1\n",
            "cost of task 'code' is 0.*left empty where it is not known",
        ),
        ("task,count\nweb,1\n", "has no column 'tokens' .its columns: task, count.. Give 'task' and 'tokens'"),
        ("source,tokens\nweb,1\n", "has no column 'task'"),
        ("task,tokens\n", "has no rows"),
        ("task,tokens\n,1\n", "row 1: no task of the runs is called ''"),
    ],
)
def test_bad_tables(tmp_path, text, words):
    with pytest.raises(EvaluationsError, match=words):
        read(tmp_path, text)
