"""Tables whose tasks and targets differ, joined: what is aligned, filled, dropped, said and refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interplay as ip
from interplay import Evaluations
from interplay.evaluations import EvaluationsError
from interplay.formats.several import Source, read_several
from interplay.namesakes import namesakes, near
from tests.command_line import TASKS, loo, put, refused, table


def runs(tasks, m=8, seed=0, kind=None, targets=("loss",), **more):
    rng = np.random.default_rng(seed)
    masks = rng.dirichlet(np.ones(len(tasks)), m) if kind == "mixture" else rng.integers(0, 2, (m, len(tasks)))
    return Evaluations.from_arrays(
        masks, rng.normal(size=(m, len(targets))), tasks=tasks, targets=list(targets), kind=kind, **more
    )


def by_name(joined):
    """Rows as a set of what they say, whatever the order of rows and tasks."""
    tasks = sorted(joined.tasks)
    columns = [joined.tasks.index(t) for t in tasks]
    rows = zip(joined.masks[:, columns].tolist(), joined.values.tolist(), joined.seed.tolist(), strict=True)
    return tasks, sorted(map(str, rows))


# ---- what is joined -----------------------------------------------------------------------------------------


def test_tasks_in_another_order_are_aligned():
    old, new = runs(["web", "wiki", "code"]), runs(["code", "web", "wiki"], seed=1)
    joined = ip.join([old, new])
    assert joined.tasks == old.tasks
    np.testing.assert_array_equal(joined.masks[8:], new.masks[:, [1, 2, 0]])
    assert joined.warnings == ()


def test_a_task_that_came_later_is_off_before_and_that_is_said():
    old, new = runs(["web", "wiki"]), runs(["code", "web", "wiki"], seed=1)
    with pytest.raises(
        EvaluationsError, match=r"tasks differ: 'code' is not among the tasks of old\.csv \(8 runs\)"
    ) as e:
        ip.join({"old.csv": old, "new.csv": new})
    assert "missing_tasks='off' (--missing-tasks off)" in str(e.value)
    joined = ip.join({"old.csv": old, "new.csv": new}, missing_tasks="off")
    assert joined.tasks == ("web", "wiki", "code")
    assert not joined.masks[:8, 2].any()
    np.testing.assert_array_equal(joined.masks[8:, 2], new.masks[:, 0])
    assert joined.warnings == ("code was not among the tasks of old.csv: taken as off in its 8 runs",)
    assert set(joined.origin) == {"old.csv", "new.csv"}
    assert ip.attribute(joined).warnings[0] == joined.warnings[0]


@pytest.mark.parametrize("kind", ["mixture", "weights", "coefficients"])
def test_every_kind_takes_zero_where_a_task_is_missing(kind):
    old, new = runs(["a", "b"], kind="mixture"), runs(["a", "b", "c"], seed=1, kind="mixture")
    joined = ip.join([replace(old, kind=kind), replace(new, kind=kind)], missing_tasks="off")
    assert joined.kind == kind
    assert not joined.masks[:8, 2].any()
    np.testing.assert_allclose(joined.masks.sum(axis=1), 1)


def test_targets_are_the_union_each_fitted_on_its_own_rows():
    old, new = runs(["a", "b", "c"], 12), runs(["a", "b", "c"], 9, seed=1, targets=["acc", "loss"])
    joined = ip.join({"old": old, "new": new})
    assert joined.targets == ("loss", "acc")
    assert joined.higher_is_better == (False, True)
    assert np.isnan(joined.values[:12, 1]).all()
    assert "acc was not measured in old: fitted on 9 runs" in joined.warnings
    assert ip.attribute(joined).rows == (21, 9)
    with pytest.raises(EvaluationsError, match=r"old and new together: target 'acc' was measured in 4 of 16 runs"):
        ip.join({"old": old, "new": new[:4]})


def test_columns_that_are_equal_after_joining_are_named():
    old, new = runs(["web", "wiki"], 12), runs(["web", "wiki", "code"], 12, seed=1)
    twin = replace(new, masks=np.column_stack([new.masks, new.masks[:, 2]]), tasks=(*new.tasks, "code_v2"))
    joined = ip.join({"old.csv": old, "new.csv": twin}, missing_tasks="off")
    answer = ip.attribute(joined)
    assert "code + code_v2" in answer.tasks
    assert any(w.startswith("code and code_v2 always switch together") for w in answer.warnings)


def test_a_task_that_is_on_in_all_of_one_table_only_is_said_to_be_confounded():
    old, new = runs(["web", "wiki"]), runs(["web", "wiki"], seed=1)
    new = replace(new, masks=np.column_stack([new.masks, np.ones(8)]), tasks=("web", "wiki", "code"))
    said = ip.join({"old": old, "new": new}, missing_tasks="off").warnings
    assert (
        "code is on in every run of new and in no other: its effect is not told apart from what else differs there"
        in said
    )


def test_what_switches_with_the_table_only_is_never_solid(tmp_path):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(5, 30, rng, p=0.5)
    values = 2.0 - masks @ [0.5, 0.3, 0.2, -0.2, 0.1] + 0.01 * rng.normal(size=30)
    tasks = ["web", "wiki", "code", "chat", "books"]
    later = masks[:, 4] == 1
    whole = ip.Evaluations.from_arrays(masks, values, tasks=tasks, targets=["loss"])
    assert ip.attribute(whole).trust.verdict == "solid"
    old, new = whole.filter(~later), whole.filter(later)
    old = ip.Evaluations.from_arrays(old.masks[:, :4], old.values, tasks=tasks[:4], targets=["loss"])
    joined = ip.join({"old": old, "new": new}, missing_tasks="off")
    trust = ip.attribute(ip.Evaluations.read(joined.write(tmp_path / "runs.parquet"))).trust
    assert trust.verdict == "indicative"
    assert trust.reason.startswith("books switches only with the file that runs come from: what else differs there is")
    assert trust.advice.startswith("Run a few masks with and without it")
    apart = ip.attribute(joined.filter(joined.masks[:, 4] == 1)).trust
    assert "switches only with the file" not in apart.reason


def test_facts_of_the_rows_notes_and_warnings_travel():
    old = runs(["a", "b"], seed=1, notes={"model": "30m", "lr": 1}, warnings=["odd", "both"], cost=2.0, fidelity="30m")
    new = runs(["b", "a"], seed=2, notes={"model": "30m", "lr": 2}, warnings=["both"], origin=list("stuvwxyz"))
    joined = ip.join({"old": old, "new": new})
    assert joined.notes == {"model": "30m", "lr": None}
    assert joined.warnings == ("old: odd", "both", "the tables put together differ in 'lr': 1 and 2")
    assert joined.fidelity.tolist() == ["30m"] * 8 + ["retrained"] * 8
    assert joined.origin.tolist() == ["old"] * 8 + list("stuvwxyz")
    np.testing.assert_array_equal(joined.cost, [2.0] * 8 + [np.nan] * 8)


# ---- a run that is there twice ------------------------------------------------------------------------------


def seeded(rows, values, seed=0, **more):
    return Evaluations.from_arrays(rows, values, tasks=["a", "b"], targets=["loss"], seed=seed, **more)


def test_the_same_run_counts_once_and_another_result_is_said():
    old = seeded([[1, 1], [0, 1], [1, 0]], [1.0, 2.0, 3.0], origin=["x", "y", "z"])
    new = seeded([[0, 1], [1, 0], [1, 1]], [2.0 + 1e-12, 3.5, 1.0], seed=[0, 0, 1], origin=["p", "q", "r"])
    joined = ip.join({"old": old, "new": new})
    assert joined.origin.tolist() == ["x", "y", "z", "q", "r"]  # p is y; q differs from z; r has another seed
    assert joined.warnings == (
        "1 run of new is that of old again, with the same mask and values, and counts once (p)",
        "1 run of new shares mask and seed, but not the values, with old: both are kept (q)",
    )


def test_without_a_seed_the_names_of_runs_tell_them_apart():
    old = seeded([[1, 1], [0, 1]], [1.0, 2.0], seed=None, origin=["x", "y"])
    assert len(ip.join([old, replace(old, origin=np.array(["x", "z"]))])) == 3
    unnamed = replace(old, origin=np.array(["", ""]))
    assert len(ip.join({"old": unnamed, "new": unnamed})) == 2  # whoever names no run reads them twice
    assert len(ip.join([old, replace(old, fidelity=np.array(["1b", "1b"]))])) == 4
    assert len(ip.join([replace(old, masks=[[1, 1], [1, 1]], values=[[1.0], [1.0]]), old])) == 3  # in one table: kept


def test_each_row_stands_for_one_of_a_later_table():
    once = seeded([[1, 1]], [1.0], seed=None)
    twice = seeded([[1, 1], [1, 1]], [1.0, 1.0], seed=None)
    assert len(ip.join([once, twice])) == 2
    assert len(ip.join([once, once, once])) == 1


def test_values_that_only_the_second_table_has_are_kept():
    old = seeded(np.eye(2)[[0, 1, 0, 1, 0]], np.arange(5.0), seed=range(5))
    new = replace(
        old,
        values=np.column_stack([old.values, old.values + 10]),
        targets=("loss", "acc"),
        higher_is_better=(False, True),
    )
    joined = ip.join([old, new])
    assert len(joined) == 5
    np.testing.assert_array_equal(joined.values[:, 1], np.arange(5.0) + 10)


# ---- what always holds --------------------------------------------------------------------------------------


@st.composite
def tables(draw):
    K = draw(st.integers(2, 5))
    m = draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return Evaluations.from_arrays(
        rng.integers(0, 2, (m, K)), rng.normal(size=(m, 2)), targets=["loss", "acc"], seed=rng.integers(-1, 3, m),
        origin=[f"r{i}" for i in range(m)], notes={"model": "x"},
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(whole=tables(), cut=st.integers(1, 11), data=st.data())
def test_a_table_split_in_two_is_given_back(whole, cut, data):
    first, second = whole[: min(cut, len(whole) - 1)], whole[min(cut, len(whole) - 1) :]
    order = data.draw(st.permutations(range(whole.K)))
    shuffled = replace(second, masks=second.masks[:, order], tasks=tuple(whole.tasks[k] for k in order))
    joined = ip.join([first, shuffled])  # which says where mask and seed repeat with other values
    assert replace(joined, warnings=()).equals(whole)


@settings(max_examples=40, deadline=None)
@given(first=tables(), second=tables())
def test_the_order_of_tables_changes_only_the_order_of_rows_and_tasks(first, second):
    there, back = (ip.join(pair, missing_tasks="off") for pair in ([first, second], [second, first]))
    assert by_name(there) == by_name(back)


# ---- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("wiki", "wikipedia"),
        ("Stack-Exchange", "stack_exchange"),
        ("book", "books"),
        ("math.ap", "math/ap"),
        ("arxiv", "arxvi"),
    ],
)
def test_names_of_one_source(a, b):
    assert near(a, b) > 0


@pytest.mark.parametrize(
    ("a", "b"), [("task_1", "task_2"), ("clean_a", "clean_b"), ("web", "code"), ("c4", "c4_2"), ("mc4_en", "mc4_de")]
)
def test_names_that_differ_on_purpose(a, b):
    assert near(a, b) == 0


def test_a_renamed_source_is_named_and_put_together():
    old, new = runs(["web", "wiki", "book"]), runs(["web", "wikipedia", "Books", "math"], seed=1)
    pair = {"a.csv": old, "b.csv": new}
    hint = (
        "'wiki' in a.csv and 'wikipedia' in b.csv may be one source: say so with same={'wikipedia': 'wiki'} "
        "(--same wikipedia=wiki)"
    )
    with pytest.raises(EvaluationsError) as error:
        ip.join(pair)
    assert hint in str(error.value)
    assert "(--same Books=book)" in str(error.value)
    assert hint in ip.join(pair, missing_tasks="off").warnings
    joined = ip.join(pair, missing_tasks="off", same={"wikipedia": "wiki", "Books": "book"})
    assert joined.tasks == ("web", "wiki", "book", "math")
    assert joined.warnings == ("math was not among the tasks of a.csv: taken as off in its 8 runs",)


def test_tasks_that_one_table_holds_both_of_are_two():
    assert namesakes({"a": ["wiki", "web"], "b": ["wiki", "wikipedia"]}) == []
    assert namesakes({"a": ["wiki"], "b": ["wikipedia"], "c": ["wiki", "wikipedia"]}) == []
    assert namesakes({"a": ["wiki"], "b": ["wikipedia", "wikis"]}) == [(("wiki", "a"), ("wikis", "b"))]


@pytest.mark.parametrize(
    ("same", "words"),
    [
        ({"wikipedai": "wiki"}, "no task is called 'wikipedai'. There are 3, such as 'wikipedia'"),
        ({"wikipedia": "wikki"}, "no task is called 'wikki'"),
        ({"wikipedia": "web"}, "'web' and 'wikipedia' are both among the tasks of b"),
        ({"wikipedia": "wiki", "wiki": "w"}, "'wiki' something else. Say one name for all"),
    ],
)
def test_bad_names(same, words):
    with pytest.raises(EvaluationsError, match=r"same|both") as error:
        ip.join({"a": runs(["web", "wiki"]), "b": runs(["web", "wikipedia"], seed=1)}, same=same)
    assert words in str(error.value)


# ---- what is refused ----------------------------------------------------------------------------------------


def test_only_like_tables_are_joined():
    old, new = runs(["a", "b"]), runs(["a", "b"], seed=1)
    with pytest.raises(EvaluationsError, match=r"kinds differ: x\.csv holds masks and y\.csv mixtures.*\(--kind\)"):
        ip.join({"x.csv": old, "y.csv": runs(["a", "b"], kind="mixture")})
    with pytest.raises(EvaluationsError, match="higher 'loss' is better in y and lower in x"):
        ip.join({"x": old, "y": replace(new, higher_is_better=(True,))})
    with pytest.raises(EvaluationsError, match="'acc' is a task in y and a target in x"):
        ip.join({"x": runs(["a", "b"], targets=["loss", "acc"]), "y": runs(["a", "b", "acc"])})
    with pytest.raises(EvaluationsError, match="missing_tasks is 'on'; say 'error' or 'off'"):
        ip.join([old, new], missing_tasks="on")  # pyright: ignore
    for none in ([], {}):
        with pytest.raises(EvaluationsError, match="tables is empty"):
            ip.join(none)
    with pytest.raises(EvaluationsError, match="tables is a single table"):
        ip.join(old)  # pyright: ignore
    with pytest.raises(EvaluationsError, match="table 2 is str; give Evaluations"):
        ip.join([old, "y.csv"])  # pyright: ignore


# ---- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def two(shell):
    """A file without the task e and one with it, which starts with two runs of the former."""
    old = table(1).drop(columns="e")
    new = table(2)
    put(old.assign(run=[f"o{i}" for i in range(len(old))]), "old.csv")
    put(new, "new.csv")
    return lambda *words: shell("attribute", "old.csv", "new.csv", "--target", "loss", *words)


def test_several_files_in_one_call(two):
    refused(two(), "tasks differ: 'e' is not among the tasks of old.csv (24 runs)", "--missing-tasks off")
    code, out, err = two("--missing-tasks", "off")
    assert code == 0, err
    assert out.startswith("old.csv, new.csv: 48 runs, 5 tasks (mask).")
    assert "Note: e was not among the tasks of old.csv: taken as off in its 24 runs" in out
    assert two("--missing-tasks", "offf")[2].startswith("interplay: missing_tasks is 'offf'")
    refused(two("--tasks", "a", "--tasks", "b", "--tasks", "zz"), "'zz'")


def test_renamed_sources_on_the_command_line(two):
    put(table(2).rename(columns={"a": "a_source", "e": "d_"}), "new.csv")
    refused(two("--missing-tasks", "off", "--same", "x=a"), "--same", "no task is called 'x'")
    refused(two("--same", "a_source"), "--same: 'a_source' names no two sources", "wikipedia=wiki")
    refused(two("--same", "a_source=a", "--same", "a_source=b"), "--same: 'a_source' is said to be 'a' and 'b'")
    code, out, err = two("--missing-tasks", "off", "--same", "a_source=a")
    assert code == 0, err
    assert "5 tasks (mask)" in out
    following = next(line for line in out.splitlines() if line.startswith("Next: "))
    assert following.endswith("interplay select old.csv new.csv --missing-tasks off --same a_source=a --target loss")
    assert "a_source" not in out.replace(following, "")


def test_options_name_columns_of_some_of_the_files(two):
    put(table(2).assign(acc=lambda t: 1 - t.loss / 9, memo="x"), "new.csv")
    code, out, err = two("--missing-tasks", "off", "--target", "acc", "--ignore", "memo", "--higher-is-better", "acc")
    assert code == 0, err
    assert "24 to 48 runs a target" in out
    assert "acc was not measured in old.csv: fitted on 24 runs" in out
    refused(two("--missing-tasks", "off", "--ignore", "nothing"), "'nothing'")


def test_metrics_for_each_file_or_for_none(shell):
    for name, frame in (("old", table(1)), ("new", table(2))):
        put(frame.drop(columns="loss"), f"{name}.csv")
        put(frame[["run", "loss"]], f"{name}_metrics.csv")
    call = ("attribute", "old.csv", "new.csv", "--metrics", "old_metrics.csv")
    refused(shell(*call), "--metrics: 1 of them for 2 files of runs (old.csv, new.csv)", "one for each")
    code, out, err = shell(*call, "--metrics", "new_metrics.csv")
    assert code == 0, err
    assert "48 runs" in out


def test_a_word_states_the_fidelity_of_a_file(shell):
    put(table(1).drop(columns="e"), "small.csv")
    put(table(2), "large.csv")
    call = ("attribute", "30m=small.csv", "1b=large.csv", "--target", "loss")
    both = read_several([Source(Path("small.csv"), None, "30m"), Source(Path("large.csv"), None, "1b")],
                        targets="loss", missing_tasks="off")  # fmt: skip
    assert both.fidelity.tolist() == ["30m"] * 24 + ["1b"] * 24
    assert shell(*call, "--missing-tasks", "off")[0] == 0
    code, out, err = shell(*call, "--fidelity", "1b")  # the other file is not joined, so it lacks nothing
    assert code == 0, err
    assert "24 runs, 5 tasks (mask)" in out
    assert "Note" not in out
    refused(shell(*call, "--fidelity", "7b"), "no run of small.csv, large.csv is of fidelity '7b'", "1b, 30m")
    refused(shell("attribute", "1b=none.csv", "--target", "loss"), "'1b=none.csv' does not exist")
    put(table(2).assign(fidelity="60m"), "large.csv")
    refused(shell(*call), "1b=large.csv", "'fidelity' says 60m")
    Path("large.csv").rename("1b=large.csv")
    assert shell("attribute", "1b=large.csv", "--target", "loss")[0] == 0


def test_truth_beside_joined_runs(two):
    judge = loo(seeds=2)
    put(judge, "truth.csv")
    code, out, err = two("--missing-tasks", "off", "--truth", "truth.csv")
    assert code == 0, err
    assert "Truth: leave-one-out retraining, 2 seeds. Spearman 1.00" in out
    put(judge.rename(columns={"b": "bee"}), "truth.csv")
    refused(two("--missing-tasks", "off", "--truth", "truth.csv"), "--truth", "'b'")
    code, renamed, err = two("--missing-tasks", "off", "--truth", "truth.csv", "--same", "bee=b")
    assert code == 0, err
    without = lambda text: [line for line in text.splitlines() if not line.startswith("Next: ")]
    assert without(renamed) == without(out)


def test_truth_takes_the_word_of_the_runs(shell):
    put(table(1), "runs.csv")
    put(loo(seeds=2), "truth.csv")
    say = "runs share their mask with the truth and were taken out"
    for word, truth in (("", "truth.csv"), ("1b=", "truth.csv"), ("1b=", "1b=truth.csv")):
        code, out, err = shell("attribute", f"{word}runs.csv", "--target", "loss", "--truth", truth)
        assert code == 0, err
        assert say in out
    put(table(2), "large.csv")
    call = ("attribute", "30m=runs.csv", "1b=large.csv", "--target", "loss", "--truth")
    refused(
        shell(*call, "truth.csv"), "--truth: truth.csv does not say of which fidelity it is (1b, 30m)", "1b=truth.csv"
    )
    assert shell(*call, "1b=truth.csv")[0] == 0


def test_files_that_are_called_alike(shell):
    for folder in ("x", "y"):
        Path(folder).mkdir()
        put(table(len(folder) + ord(folder)).drop(columns="run"), f"{folder}/runs.csv")
    refused(shell("attribute", "x/runs.csv", "x/../x/runs.csv", "--target", "loss"), "given twice")
    put(table(2).drop(columns=["run", "e"]), "y/runs.csv")
    code, out, err = shell("compare", "x/runs.csv", "y/runs.csv", "--target", "loss", "--missing-tasks", "off")
    assert code == 0, err
    assert "e was not among the tasks of y/runs.csv" in out


def test_predict_takes_one_file(shell):
    put(table())
    put(table(3).drop(columns="loss"), "candidates.csv")
    assert shell("predict", "runs.csv", "candidates.csv", "--target", "loss")[0] == 0
    assert shell("predict", "runs.csv", "candidates.csv", "candidates.csv", "--target", "loss")[0] == 2
    assert shell("predict", "runs.csv", "candidates.csv", "--target", "loss", "--same", "a=b")[0] == 2


def test_joined_runs_are_written_and_read(two, tmp_path):
    parts = [Evaluations.read(name, targets=["loss"]) for name in ("old.csv", "new.csv")]
    joined = ip.join({"old.csv": parts[0], "new.csv": parts[1]}, missing_tasks="off")
    for suffix in ("csv", "parquet", "npz"):
        assert Evaluations.read(joined.write(tmp_path / f"joined.{suffix}")).equals(joined)
    assert set(pd.read_csv(tmp_path / "joined.csv").columns) >= set(TASKS)
