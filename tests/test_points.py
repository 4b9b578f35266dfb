"""Masks, mixtures and groups given by the names of tasks: candidates, contrasts, references; and players."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interplay import Evaluations, masks
from interplay.cli import inputs
from interplay.evaluations import EvaluationsError
from interplay.formats.groups import read_groups
from interplay.formats.points import read_contrasts, read_points
from interplay.players import Players
from interplay.tokens import Tokens

TASKS = ("web", "code", "wiki")


@pytest.fixture
def write(tmp_path):
    def file(text, name="a.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return file


# ---- points


def test_candidates_keep_what_is_beside_the_tasks(write):
    got = read_points(write("wiki,note,web,run,code,price\n1,x,0,r7,1,3.5\n0,y,1,r8,1,2\n"), TASKS, "mask")
    np.testing.assert_array_equal(got.weights, [[0, 1, 1], [1, 1, 0]])
    assert got.beside.to_dict("list") == {"note": ["x", "y"], "run": ["r7", "r8"], "price": [3.5, 2.0]}
    assert got.names == ("r7", "r8")  # by the first of name, run and run_id whose values differ


def test_designs_and_written_runs_are_candidates(tmp_path, write):
    drawn = masks.bernoulli(3, 6, p=0.5, rng=np.random.default_rng(0))
    runs = Evaluations.from_arrays(drawn, np.arange(6.0), tasks=["seed", "name", "x"], targets=["loss"])
    for suffix in ("csv", "parquet"):
        got = read_points(runs.write(tmp_path / f"runs.{suffix}"), runs.tasks, "mask")
        np.testing.assert_array_equal(got.weights, runs.masks)
        assert got.beside.columns.tolist() == ["target:lower:loss", "fidelity", "seed", "cost", "origin"]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**16))
def test_the_order_of_columns_and_rows_is_free(tmp_path_factory, order, seed):
    tasks = ["a", "task", "weight", "b c"]
    w = np.random.default_rng(seed).dirichlet(np.ones(4), 3).round(3)
    w[:, 0] += 1 - w.sum(axis=1)
    path = tmp_path_factory.mktemp("points") / "a.csv"
    lines = [",".join(tasks[k] for k in order), *(",".join(repr(float(row[k])) for k in order) for row in w)]
    path.write_text("\n".join(lines))
    np.testing.assert_array_equal(read_points(path, tasks, "mixture").weights, w)
    tasks[1] = "d"
    rows = [f"p{n},{tasks[k]},{float(w[n, k])!r}" for n in range(3) for k in order]
    path.write_text("\n".join(["name,task,weight", *rows]))
    long = read_points(path, tasks, "mixture")
    np.testing.assert_array_equal(long.weights, w)
    assert long.names == ("p0", "p1", "p2")


def test_long_files_list_what_is_in(write):
    got = read_points(write("task,weight\nwiki,.25\nweb,.75\n", "mix.csv"), TASKS, "mixture")
    np.testing.assert_array_equal(got.weights, [[0.75, 0, 0.25]])
    assert got.names == ("mix",)
    assert len(got.beside) == 1


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("web,code\n1,0\n", "mask", "a.csv has no column for 1 of 3 tasks: wiki. Add one .* or give columns 'task'"),
        ("web,code,wiki\n1,0,.5\n", "mask", "a.csv: row 1 has 0.5 for task 'wiki'; masks are 0 or 1"),
        ("web,code,wiki\n1,0,0\n.5,.2,.2\n", "mixture", "a.csv: row 2 sums to 0.9; mixtures must sum to one"),
        ("web,code,wiki\n1,-1,1\n", "weights", "row 1 has weight -1 for task 'code'"),
        ("web,code,wiki\n1,,1\n", "mask", "row 1 has nan for task 'code'; masks and weights must be finite"),
        ("web,code,wiki\n1,yes,1\n", "mask", "column 'code' holds 'yes' in row 1.*Give 0 or 1, or a weight"),
        ("web,code,wiki\n", "mask", "a.csv has no rows"),
        ("task,weight\nweb,1\nwikki,1\n", "mask", "row 2: no task of the runs is called 'wikki'.*'wiki'"),
        ("task,weight\nweb,1\nweb,1\n", "mask", "row 2 gives task 'web' of 'a' again. Keep one row"),
        ("task,weight\nweb,\n", "mask", "row 1 has no weight. Every row needs one"),
        ("name,task,weight\nx,web,1\n,web,1\n", "mask", "row 2 has no name. Every row needs one"),
        ("task,weight\nweb,.5\n", "mixture", "a.csv: point 1 sums to 0.5"),
    ],
)
def test_bad_points(write, text, kind, words):
    with pytest.raises(EvaluationsError, match=words):
        read_points(write(text), TASKS, kind)


# ---- contrasts


def test_contrasts_by_row_or_against_one(write):
    several = write("name,web,code,wiki\nboth,1,1,0\nall,1,1,1\n", "a.csv")
    single = write("task,weight\nweb,1\n", "b.csv")
    got = read_contrasts(several, single, TASKS, "mask")
    assert got.names == ("both against b", "all against b")
    np.testing.assert_array_equal(got.first, [[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(got.second, [[1, 0, 0], [1, 0, 0]])
    turned = read_contrasts(single, several, TASKS, "mask")
    np.testing.assert_array_equal(turned.first, got.second)
    assert read_contrasts(several, several, TASKS, "mask").names == ("both against both", "all against all")
    three = write("web,code,wiki\n1,1,0\n1,1,1\n0,0,0\n", "c.csv")
    with pytest.raises(EvaluationsError, match=r"a.csv has 2 rows and c.csv 3; give as many in both, or a single one"):
        read_contrasts(several, three, TASKS, "mask")


# ---- groups


def test_groups_long_and_wide(write):
    long = read_groups(write("task,group\nwiki,text\ncode,code\nweb,text\nweb,crawled\n"), TASKS)
    wide = read_groups(write("group,code,web,wiki\ntext,0,1,1\ncode,1,0,0\ncrawled,0,1,0\n"), TASKS)
    for got in (long, wide):
        assert got.names == ("text", "code", "crawled")
        np.testing.assert_array_equal(got.weights, [[1, 0, 1], [0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task,family\nweb,x\n", "no column 'group' .its columns: task, family.*Give columns 'task' and 'group'"),
        ("task,group\nweb,x\nwbe,x\n", "row 2: no task of the runs is called 'wbe'.*'web'"),
        ("task,group\nweb,x\nweb,x\n", "row 2 gives task 'web' of 'x' again"),
        ("task,group\nweb,\n", "row 1 has no group"),
        ("group,web,code,wiki\nx,1,.5,0\n", "a.csv: group 1 has 0.5 for task 'code'; masks are 0 or 1"),
        ("group,web,code,wiki\nx,0,0,0\n", "group 'x' has no task. Name its tasks, or remove it"),
        ("group,web,code\nx,0,0\n", "no column for 1 of 3 tasks: wiki"),
    ],
)
def test_bad_groups(write, text, words):
    with pytest.raises(EvaluationsError, match=words):
        read_groups(write(text), TASKS)


# ---- players


@pytest.fixture
def players():
    tasks = ("a", "b", "c", "on", "off")
    runs = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 0], [1, 1, 1, 1, 0], [0, 0, 0, 1, 0]], dtype=float)
    return Players.of(runs, tasks, "mask"), tasks


def test_points_are_reduced_to_players(players):
    players, tasks = players
    assert players.names == ("a + b", "c")
    points = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=float)
    columns, said = players.reduced(points, ["x", "y", "z"], tasks, "mask")
    np.testing.assert_array_equal(columns, [[1, 0], [0, 1], [1, 1]])
    assert said == (
        "the runs never switch on: what this does in y is not known and is left out.",
        "the runs never switch off: what this does in z is not known and is left out.",
    )
    with pytest.raises(
        EvaluationsError, match=r"y parts a \+ b, which always switch together in the runs.*or add runs"
    ):
        players.reduced(np.array([[1, 1, 0, 1, 0], [1, 0, 0, 1, 0.0]]), ["x", "y"], tasks, "mask")


def test_groups_are_reduced_to_players(players):
    players, tasks = players
    groups = np.array([[1, 1, 0, 1, 1], [0, 0, 1, 0, 0]], dtype=float)
    columns, said = players.reduced(groups, ["first", "second"], tasks, "group")
    np.testing.assert_array_equal(columns, [[1, 0], [0, 1]])
    assert said == ("the runs never switch on, off: what this does in first is not known and is left out.",)
    with pytest.raises(EvaluationsError, match="g is about on, which the runs never switch: nothing is known"):
        players.reduced(np.array([[0, 0, 0, 1, 0.0]]), ["g"], tasks, "group")
    with pytest.raises(EvaluationsError, match=r"g parts a \+ b"):
        players.reduced(np.array([[1, 0, 1, 0, 0.0]]), ["g"], tasks, "group")


def test_mixtures_hold_no_weight_on_what_was_never_used():
    runs = np.array([[0.5, 0.5, 0], [0.2, 0.8, 0], [0.9, 0.1, 0]])
    players = Players.of(runs, TASKS, "mixture")
    columns, said = players.reduced(np.array([[0.3, 0.7, 0]]), ["x"], TASKS, "mixture")
    np.testing.assert_array_equal(columns, [[0.3, 0.7]])
    assert said == ()
    with pytest.raises(EvaluationsError, match="y is about wiki, which the runs never switch"):
        players.reduced(np.array([[0.3, 0.7, 0], [0.3, 0.5, 0.2]]), ["x", "y"], TASKS, "mixture")


# ---- options


def test_options(write):
    runs = Evaluations.from_arrays([[0.5, 0.5, 0], [0.2, 0.8, 0], [0.9, 0.1, 0]], [1, 2, 3], tasks=TASKS)
    counted = inputs.tokens(write("task,tokens\nweb,3\ncode,1\nwiki,6\n"), TASKS)
    assert isinstance(counted, Tokens)
    assert inputs.reference("uniform", runs, counted) == "uniform"
    assert inputs.reference("tokens", runs, counted) == "tokens"
    np.testing.assert_allclose(counted.reference(runs.masks), [0.75, 0.25, 0])
    mixture = write("task,weight\nweb,.4\ncode,.6\n")
    np.testing.assert_allclose(inputs.reference(str(mixture), runs, None), [0.4, 0.6, 0])
    np.testing.assert_allclose(inputs.contrasts((mixture, mixture), runs).first, [[0.4, 0.6, 0]])
    assert inputs.groups(write("task,group\nweb,x\n"), TASKS).names == ("x",)
    assert inputs.tokens(None, TASKS) is inputs.groups(None, TASKS) is inputs.contrasts(None, runs) is None
    assert inputs.reference(None, runs, counted) is None


def test_errors_name_the_option(write):
    runs = Evaluations.from_arrays([[0.5, 0.5, 0], [0.2, 0.8, 0], [0.9, 0.1, 0]], [1, 2, 3], tasks=TASKS)
    bad = write("task,x\nweb,1\n")
    with pytest.raises(ValueError, match=r"--tokens: a.csv has no column 'tokens'"):
        inputs.tokens(bad, TASKS)
    with pytest.raises(ValueError, match=r"--groups: a.csv has no column 'group'"):
        inputs.groups(bad, TASKS)
    with pytest.raises(ValueError, match=r"--contrast: a.csv has no column for 3 of 3 tasks"):
        inputs.contrasts((bad, bad), runs)
    with pytest.raises(ValueError, match=r"--reference: there are no token counts; name their file with --tokens"):
        inputs.reference("tokens", runs, None)
    with pytest.raises(ValueError, match=r"--reference: 'unifrom' is none of mean, uniform, tokens and best"):
        inputs.reference("unifrom", runs, None)
    two = write("web,code,wiki\n1,0,0\n0,1,0\n")
    with pytest.raises(ValueError, match=r"--reference: .*a.csv holds 2 rows; a reference is one"):
        inputs.reference(str(two), runs, None)
