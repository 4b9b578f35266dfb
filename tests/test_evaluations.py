"""The table of evaluations: immutable, checked, and joined, filtered and averaged without losing a row."""

import dataclasses
import pickle

import numpy as np
import pytest

from interplay import Evaluations
from interplay.directions import guess_direction, metric_word
from interplay.evaluations import EvaluationsError


@pytest.fixture
def runs():
    return Evaluations.from_arrays(
        [[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 1]],
        [[0.5, 0.9], [0.7, 0.8], [np.nan, 0.7], [0.6, 0.8], [0.9, np.nan], [0.1, 0.2]],
        tasks=["a", "b", "c"],
        targets=["val_loss", "acc"],
        fidelity=["retrained"] * 5 + ["estimated"],
        seed=[0, 0, 0, 1, 0, -1],
        cost=[1, 2, 3, 4, 5, 6],
        origin=[f"run{i}" for i in range(6)],
        notes={"coupled": True, "n": np.int64(3)},
    )


def test_fields(runs):
    assert (runs.m, runs.K, runs.T, len(runs)) == (6, 3, 2, 6)
    assert runs.kind == "mask"
    assert runs.higher_is_better == (False, True)
    np.testing.assert_array_equal(runs.benefit_sign, [-1, 1])
    assert runs.notes == {"coupled": True, "n": 3}
    assert runs.masks.dtype == runs.values.dtype == runs.cost.dtype == np.float64
    assert runs.seed.dtype == np.int64
    assert runs.fidelity.dtype.kind == "U"


def test_immutable(runs):
    for name in ("masks", "values", "fidelity", "seed", "cost", "origin"):
        with pytest.raises(ValueError, match=r"read-only"):
            getattr(runs, name)[0] = getattr(runs, name)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        runs.kind = "mixture"
    mine = np.ones((5, 2))
    table = Evaluations.from_arrays(mine, np.arange(5.0))
    mine[0] = 7
    assert table.masks.max() == 1
    assert pickle.loads(pickle.dumps(runs)).equals(runs)


def test_defaults_and_names():
    table = Evaluations.from_arrays(np.eye(3), np.zeros((3, 2)))
    assert table.tasks == ("task_0", "task_1", "task_2")
    assert table.targets == ("target_0", "target_1")
    assert set(table.fidelity) == {"retrained"}
    assert set(table.seed) == {-1}
    assert np.isnan(table.cost).all()
    assert Evaluations.from_arrays(np.eye(3), np.zeros(3)).targets == ("target",)
    assert Evaluations.from_arrays(np.eye(3), np.zeros(3), seed=4, cost=2.0, origin="x").seed.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, (False, True, False)),
        (True, (True, True, True)),
        ([True, False, True], (True, False, True)),
        (["x"], (False, False, True)),
        ("*o*s", (True, False, False)),
        ([], (False, False, False)),
    ],
)
def test_directions(given, expected):
    table = Evaluations.from_arrays(
        np.eye(2), np.zeros((2, 3)), targets=["loss", "arc_acc", "x"], higher_is_better=given
    )
    assert table.higher_is_better == expected


@pytest.mark.parametrize(
    ("names", "direction"),
    [
        ("loss val_loss eval/lm.loss perplexity ppl wiki_bpb bits_per_byte test-error MSE reward_loss nll wer", False),
        ("bpb/mmlu mmlu_loss mmlu_ppl squad_bits_per_byte top1_error cosine_distance neg_log_likelihood", False),
        ("accuracy_gap reward_hacking win_rate_drop score-forgetting squad_error", False),
        ("acc arc_acc_norm accuracy F1 macro-f1 reward mean_score win_rate winRate bleu rougeL r2 R2 pass@1 em", True),
        ("logprob log_likelihood loglik elbo hits@10 top1 top_5 comet cider kappa cosine solve_rate throughput", True),
        (
            "mmlu gsm8k eval/hellaswag arc hellaswag:rc::olmes basic_skills:rc::olmes wikipedia ap_news em_dash",
            None,
        ),
    ],
)
def test_directions_are_guessed_from_names(names, direction):
    assert {guess_direction(name) for name in names.split()} == {direction}


def test_benchmarks_in_per_cent_are_scores():
    """As bits per byte they are not: names of benchmarks say no more than that."""
    names = ["mmlu", "MMLU-Pro", "gsm8k", "eval/hellaswag", "HumanEval", "arc", "TriviaQA", "open_book_qa", "aime24"]
    assert all(guess_direction(name, np.array([12.0, 41.5, np.nan])) for name in names)
    assert {guess_direction(name, np.array([0.7, 1.9])) for name in names} == {None}
    assert guess_direction("wikipedia", np.array([12.0, 41.5])) is None
    assert guess_direction("mmlu_ppl", np.array([12.0, 41.5])) is False
    table = Evaluations.from_arrays(np.eye(2), [[41.0, 0.9], [43.0, 0.8]], targets=["mmlu", "piqa"])
    assert table.higher_is_better == (True, False)


def test_metric_words():
    assert all(map(metric_word, ["loss", "c4_loss", "metric/x", "eval/x", "acc", "acc_tree", "my accuracy", "f1"]))
    assert not any(
        map(
            metric_word, ["wiki", "github", "error_analysis", "chunk1", "stackexchange", "///", "bits_of_code", "gsm8k"]
        )
    )


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[1, 0], [0, 1], [1, 1]], "mask"),
        ([[0.5, 0.5], [0.3, 0.7], [0.995, 0]], "mixture"),
        ([[1, 0], [0.3, 0.7], [0, 1]], "mixture"),
        ([[2, 0], [0.3, 0.9], [0, 1]], "weights"),
    ],
)
def test_kinds_are_recognised(rows, kind):
    assert Evaluations.from_arrays(rows, [0, 1, 2]).kind == kind


def test_kind_can_be_set():
    assert Evaluations.from_arrays([[1, 0], [0, 1]], [0, 1], kind="mixture").kind == "mixture"
    assert Evaluations.from_arrays([[1, -2], [0, 1]], [0, 1], kind="coefficients").kind == "coefficients"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"masks": [[1, -1], [0, 1]]}, "weight -1 for task 'task_1'.*kind 'coefficients'"),
        ({"masks": [[0.5, 0.5], [0.5, 0.4]]}, "row 1 sums to 0.9.*within 0.01 .1 of 2 rows"),
        ({"masks": [[1, 0.5], [0, 1]], "kind": "mask"}, "row 0 has 0.5 for task 'task_1'; masks are 0 or 1"),
        ({"masks": [[1, np.nan], [0, 1]]}, "row 0 has nan for task 'task_1'"),
        ({"masks": [1, 0]}, r"shape \(2,\)"),
        ({"masks": [["a", 1], [0, 1]]}, "masks cannot be read as numbers"),
        ({"masks": np.zeros((2, 0))}, "no tasks"),
        ({"values": [1, np.inf]}, "row 1 has inf for target 'target'"),
        ({"values": [1, 2, 3]}, r"\(3, 1\)"),
        ({"tasks": ["a"]}, "tasks has 1 names for 2 columns"),
        ({"tasks": ["a", "a"]}, "tasks names 'a' twice"),
        ({"tasks": ["a", " "]}, "tasks holds an empty name"),
        ({"targets": ["a", "b"]}, "targets has 2 names for 1 columns"),
        ({"kind": "masks"}, "kind is 'masks'; choose one of mask, mixture"),
        ({"higher_is_better": [True, False]}, "2 entries for 1 targets"),
        ({"higher_is_better": ["acc"]}, "no target is called 'acc'"),
        ({"seed": [0]}, r"seed has shape \(1,\)"),
        ({"seed": [0.5, 1]}, "seed .* whole numbers"),
        ({"seed": ["x", "y"]}, "seed .* whole numbers"),
        ({"fidelity": ["", "x"]}, "fidelity is empty"),
        ({"notes": {"f": open}}, "notes cannot be written as JSON"),
    ],
)
def test_bad_arrays(change, words):
    with pytest.raises(EvaluationsError, match=f"(?s){words}"):
        Evaluations.from_arrays(**{"masks": [[1, 0], [0, 1]], "values": [0, 1], **change})


def test_rows(runs):
    assert runs[1:3].origin.tolist() == ["run1", "run2"]
    assert runs[[4, 0]].origin.tolist() == ["run4", "run0"]
    assert runs[runs.seed == 1].origin.tolist() == ["run3"]
    assert runs[-1].origin.tolist() == ["run5"]
    assert len(runs[[]]) == 0
    assert runs.where(fidelity="estimated").origin.tolist() == ["run5"]
    assert runs.where(fidelity=["retrained"], seed=[1, 7]).origin.tolist() == ["run3"]
    assert runs.where(seed=0).m == 4
    assert runs.filter(lambda r: r.cost > 4).origin.tolist() == ["run4", "run5"]
    with pytest.raises(EvaluationsError, match=r"6 booleans"):
        runs.filter([0, 1])


def test_select(runs):
    one = runs["acc"]
    assert one.targets == ("acc",)
    assert one.higher_is_better == (True,)
    np.testing.assert_array_equal(one.values[:, 0], runs.values[:, 1])
    assert runs.select(["acc", "val*"]).targets == ("acc", "val_loss")
    with pytest.raises(EvaluationsError, match=r"no target is called 'ac'.*'acc'"):
        runs.select("ac")


def test_groups_and_means(runs):
    index, first = runs.groups()
    assert index.tolist() == [0, 1, 2, 0, 1, 3]
    assert first.tolist() == [0, 1, 2, 5]
    mean = runs.mean_by_mask()
    np.testing.assert_allclose(mean.values, [[0.55, 0.85], [0.8, 0.8], [np.nan, 0.7], [0.1, 0.2]])
    assert mean.seed.tolist() == [-1, 0, 0, -1]
    assert mean.cost.tolist() == [5, 7, 3, 6]
    assert mean.origin.tolist() == ["run0", "run1", "run2", "run5"]
    assert mean.mean_by_mask().equals(mean)


def test_addition(runs):
    both = runs + runs
    assert both.m == 12
    assert both.notes == runs.notes
    assert both[:6].equals(runs)
    other = dataclasses.replace(runs, notes={"coupled": False, "estimator": {"error": 0.1}})
    mixed = runs + other
    assert mixed.notes == {"coupled": None, "n": 3, "estimator": {"error": 0.1}}
    assert mixed.warnings == ("the tables put together differ in 'coupled': True and False",)
    silent = runs + dataclasses.replace(runs, notes={})
    assert silent.notes == {"coupled": None, "n": 3}
    assert "not stated" in silent.warnings[0]
    with pytest.raises(TypeError):
        runs + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tasks": ("a", "b", "d")}, "tasks differ .number 2 is 'c' and 'd'"),
        ({"targets": ("val_loss", "f1")}, "targets differ"),
        ({"kind": "weights"}, "kind differ .mask and weights"),
        ({"higher_is_better": (True, True)}, "higher_is_better differ .number 0 is False and True"),
    ],
)
def test_unlike_tables_are_not_added(runs, change, words):
    with pytest.raises(EvaluationsError, match=words):
        runs + dataclasses.replace(runs, **change)
    with pytest.raises(EvaluationsError, match=r"targets differ .2 and 1 of them"):
        runs + runs["acc"]


def test_require(runs):
    assert runs[:5].select("acc").require(4) is not None
    with pytest.raises(EvaluationsError, match=r"x.csv has 3 runs; at least 5 .*interplay design"):
        runs[:3].require(name="x.csv")
    with pytest.raises(EvaluationsError, match=r"'val_loss' was measured in 4 of 5 runs"):
        runs[:5].require()


def test_repr(runs):
    text = repr(runs)
    assert "6 runs of 4 masks, 2 seeds, 1 estimated, 5 retrained" in text
    assert "3 tasks (mask): a, b, c" in text
    assert "val_loss ↓, acc ↑" in text
    assert "2 of 12 values not measured" in text
    many = Evaluations.from_arrays(np.eye(9), np.zeros(9), warnings=["look out"])
    assert "... (3 more)" in repr(many)
    assert "warning: look out" in repr(many)


def test_equals(runs):
    assert runs.equals(dataclasses.replace(runs))
    assert not runs.equals(runs[:5])
    assert not runs.equals(dataclasses.replace(runs, notes={}))
    assert not runs.equals(3)


def test_tasks_and_targets_may_share_names():
    table = Evaluations.from_arrays(np.eye(3), np.zeros((3, 2)), tasks=["a", "b", "seed"], targets=["a", "x"])
    assert table.to_frame().columns.tolist() == [
        "fidelity",
        "seed",
        "cost",
        "origin",
        "a",
        "b",
        "task:seed",
        "target:a",
        "x",
    ]
