"""Stores on the command line: read like files, listed, filtered, shown whole, exported, queued again, deleted."""

import json
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import Attribution, Evaluations, Store, evaluate
from interplay.cli.errors import without_passwords
from interplay.formats.store import is_store, title_of
from interplay.store import Filter, schema
from tests.command_line import loo, put, refused, stored, table
from tests.evaluators import DESIGN, TASKS, Additive, truth
from tests.test_import import loaded_after

SECRET = "s3cr3t"
UNREACHABLE = f"postgresql://me:{SECRET}%40word@127.0.0.1:1/runs?sslpassword={SECRET}"
FAILING_MASKS = [15, 14]  # the full one, and the one without wiki


def answer_of(shell, *words):
    """The whole answer, as it is saved."""
    assert shell("attribute", *words, "--out", "answer.json")[0] == 0
    return Attribution.load("answer.json")


# ---------------------------------------------------------------- a store is a file of runs


def test_a_store_is_read_like_a_file_and_keeps_all_that_it_knows(place):
    two = Additive(targets=("speed", "loss"), higher_is_better=["speed"])
    two.evaluate = lambda masks, seeds: np.hstack([truth(masks, seeds), -truth(masks, seeds)])
    made = evaluate(two, DESIGN, seeds=[3, 5], store=place)
    read = Evaluations.read(place)
    assert read.higher_is_better == (True, False)
    assert read.notes == {"coupled": True, "absent_tasks": "fixed_steps"}
    assert set(read.seed) == {3, 5}
    assert (read.cost >= 0).all()
    with Store(place) as store:
        assert read.equals(store.evaluations())
    assert read.equals(made)
    assert Evaluations.read(place, targets=["loss"], higher_is_better=["loss"]).higher_is_better == (True,)


def test_weights_of_a_store_may_be_mixtures_or_of_any_sign(shell, place):
    mixtures = np.random.default_rng(0).dirichlet(np.ones(4), 8)
    stored(place, design=mixtures, tag="mixtures")
    stored(place, design=mixtures - 0.3, tag="merging")
    with Store(place) as store:
        assert [store.evaluations(tag=tag).kind for tag in ("mixtures", "merging")] == ["mixture", "coefficients"]


def test_fidelities_of_one_tag_that_hold_masks_and_mixtures_are_weights(shell):
    stored("runs.db")
    runs = stored("runs.db", Additive(fidelity="small"), design=np.random.default_rng(0).dirichlet(np.ones(4), 8))
    assert (runs.kind, set(runs.fidelity)) == ("weights", {"retrained", "small"})


def test_attribute_reads_a_store_as_the_file_that_was_exported_from_it(shell, place):
    runs = stored(place, seeds=2)
    code, out, err = shell("runs", place, "--export", "runs.csv")
    assert (code, err) == (0, "")
    assert "22 runs that are evaluated. Next: interplay attribute runs.csv" in out
    assert shell("runs", place, "--export", "runs.parquet")[0] == 0
    for name in ("runs.csv", "runs.parquet"):
        assert Evaluations.read(name).equals(runs)
    first, second = answer_of(shell, place), answer_of(shell, "runs.csv")
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame())
    assert first.warnings == second.warnings
    assert "the number of steps is the same for every mask" in repr(first)


def test_a_store_stands_beside_files_under_a_word_and_as_the_truth(shell):
    frame = table().rename(columns=dict(zip("abcd", TASKS, strict=True))).drop(columns="e")
    put(frame, "more.csv")
    stored("runs.db")
    code, out, err = shell("attribute", "runs.db", "more.csv", "--target", "loss", "--higher-is-better", "loss")
    assert code == 0, err
    assert out.startswith("runs.db, more.csv: ")
    stored("small.db", Additive(lr=0.2))
    code, out, err = shell("compare", "70m=small.db", "1b=more.csv", "--target", "loss", "--json", "--at", "1b")
    assert code == 0, err
    stored("truth.db", design=DESIGN[:5], seeds=3)
    code, out, err = shell("attribute", "more.csv", "--target", "loss", "--truth", "truth.db")
    assert code == 0, err
    assert "truth" in out
    refused(shell("attribute", "runs.db", "runs.db"), "runs.db is given twice")
    refused(shell("attribute", "runs.db", "--metrics", "more.csv"), "runs.db is a store", "--metrics")


def test_options_mean_for_stores_what_they_mean_for_files(shell):
    stored("runs.db")
    stored("runs.db", Additive(fidelity="small"))
    out = shell("attribute", "runs.db", "--fidelity", "small", "--trained", "fixed-epochs")[1]
    assert "11 runs" in out
    assert "every example is read equally often" in out
    refused(shell("attribute", "runs.db", "--fidelity", "large"), "--fidelity large", "small")
    refused(shell("attribute", "runs.db", "--target", "acc"), "'acc'")
    assert shell("attribute", "runs.db", "--at", "small", "--target", "lo*")[0] == 0
    put(pd.DataFrame(DESIGN[:3], columns=TASKS), "candidates.csv")
    code, out, err = shell("predict", "runs.db", "candidates.csv", "--fidelity", "small")
    assert (code, err) == (0, "")


def test_a_tag_is_named_where_there_are_several(shell):
    for tag in ("first", "second"):
        stored("runs.db", tag=tag)
    for verb in (["attribute"], ["compare"]):
        refused(shell(*verb, "runs.db"), "2 tags: 'first', 'second'", "--tag")
        assert shell(*verb, "runs.db", "--tag", "second")[0] == 0
    refused(shell("attribute", "runs.db", "--tag", "third"), "'third'", "'first'")
    put(loo(), "runs.csv")
    refused(shell("attribute", "runs.csv", "--target", "loss", "--tag", "first"), "only stores hold tags", "runs.csv")
    stored("runs.db", design=DESIGN[:5], tag="truth", seeds=2)
    own = ["attribute", "runs.db", "--tag", "first", "--truth-masks", "other-seeds", "--truth"]
    refused(shell(*own, "runs.db"), "--truth: ", "3 tags", "--truth-tag")
    assert "truth" in shell("attribute", "runs.db", "--tag", "first", "--truth", "runs.db", "--truth-tag", "truth")[1]
    refused(shell(*own, "runs.csv", "--truth-tag", "truth"), "--truth-tag truth", "runs.csv is none")
    refused(shell("attribute", "runs.db", "--tag", "first", "--truth-tag", "truth"), "there is no truth")


def test_what_failed_or_is_still_queued_is_said_with_every_answer(shell):
    runs = stored("runs.db", Additive(fails=FAILING_MASKS))
    assert runs.warnings == ("not among the runs: 2 failed; see `interplay runs runs.db`",)
    assert (
        shell("runs", "runs.db", "--retry")[1]
        == "runs.db: 2 failed runs queued again; run the same evaluation again.\n"
    )
    out = shell("attribute", "runs.db")[1]
    assert "Note: not among the runs: 2 not evaluated yet" in out
    assert "Note: not among the runs: 2 not evaluated yet" in shell("attribute", "runs.db", "--json")[2]
    stored("runs.db", Additive(fidelity="small"))
    assert "2 not evaluated yet (retrained)" in Evaluations.read("runs.db").warnings[0]


def test_too_few_runs_are_told_with_those_that_are_missing(shell):
    with Store("runs.db") as store:
        problem = store.settle(Additive(), TASKS)
        store.enlist(problem, DESIGN, np.zeros(len(DESIGN), int))
    refused(shell("attribute", "runs.db"), "none of 11 runs is evaluated yet", "goes on")
    evaluate(Additive(), DESIGN[:3], store="runs.db")
    refused(shell("attribute", "runs.db"), "8 not evaluated yet", "has 3 runs; at least 5")


def test_a_store_of_any_name_is_known_by_how_it_begins(shell):
    stored("runs")
    assert is_store("runs")
    assert shell("attribute", "runs")[0] == 0
    runs = Evaluations.read("runs")
    with pytest.raises(ValueError, match=r"x\.db cannot be written: .* \.csv"):
        runs.write("x.db")


def test_reading_stores_leaves_the_core_light():
    assert loaded_after("import interplay, interplay.formats.several", names=("sqlalchemy",)) == set()


# ---------------------------------------------------------------- passwords


@pytest.mark.parametrize(
    "words",
    [
        ["attribute", UNREACHABLE],
        ["attribute", "runs.csv", UNREACHABLE, "--target", "loss"],
        ["attribute", f"1b={UNREACHABLE}"],
        ["attribute", "runs.csv", "--target", "loss", "--truth", UNREACHABLE],
        ["attribute", "runs.csv", "--target", "loss", "--metrics", UNREACHABLE],
        ["attribute", "runs.csv", "--target", "loss", "--groups", UNREACHABLE],
        ["attribute", "runs.csv", "--target", "loss", "--out", UNREACHABLE],
        ["attribute", UNREACHABLE.replace(":1/", ":port/")],
        ["attribute", UNREACHABLE.replace("postgresql", "nonsense")],
        ["attribute", "runs.csv", "--target", "loss", "--truth", UNREACHABLE, "--truth-tag", "x", "--tag", "y"],
        ["predict", "runs.csv", UNREACHABLE, "--target", "loss"],
        ["compare", UNREACHABLE, "--json"],
        ["runs", UNREACHABLE],
        ["runs", UNREACHABLE, "--delete", "--yes"],
        ["evaluate", "runs.csv", "--store", UNREACHABLE, "--tasks", "a,b", "--command", "x {tasks} {result}"],
    ],
)
def test_no_error_tells_a_password(shell, words):
    pytest.importorskip("psycopg", reason="PostgreSQL: the extra 'postgresql' is not installed")
    put(loo(2))
    code, out, err = shell(*words)
    assert code == 2, err
    assert SECRET not in out + err
    assert "interplay: " in err


def test_no_answer_tells_the_password_of_the_address_that_it_was_read_from(shell, postgresql, caplog):
    place = postgresql.empty()
    assert SECRET in place
    runs = stored(place, Additive(fails=FAILING_MASKS), seeds=2)
    assert runs.warnings
    heard = [repr(runs), repr(runs.to_frame()), repr(Store(place)), title_of(place)]
    runs.write("runs.csv")
    for words in (
        ["attribute", place, "--out", "answer.json", "--save", "fit.json"],
        ["attribute", place, "--json"],
        ["attribute", "runs.csv", place],
        ["compare", f"1b={place}"],
        ["runs", place],
        ["runs", place, "--json"],
        ["runs", place, "--show", "1"],
        ["runs", place, "--export", "x.csv"],
        ["runs", place, "--retry"],
        ["runs", place, "--delete"],
        ["runs", place, "--delete", "--yes"],
        ["runs", place],
    ):
        heard += map(str, shell(*words))
    heard += [Path(name).read_bytes().decode("latin-1") for name in ("answer.json", "fit.json", "runs.csv", "x.csv")]
    assert SECRET not in "".join(heard) + caplog.text
    assert "***" in "".join(heard)


def test_passwords_are_taken_out_of_addresses_in_any_text():
    said = without_passwords("a postgresql://me:pw:/@x@host/a?password=pw&b=1, and pg:/me:pw@host; C:/users/me")
    assert said == "a postgresql://me:***@host/a?password=***&b=1, and pg:/me:***@host; C:/users/me"


# ---------------------------------------------------------------- listing


def test_runs_lists_problems_and_the_last_rows(shell, place, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stored(place, Additive(fails=FAILING_MASKS), seeds=2)
    code, out, err = shell("runs", place, "--last", "12")
    assert (code, err) == (0, "")
    for words in (
        "1 problem, 22 runs",
        "retrained: 18 done, 4 failed",
        "Additive (lr: 0.1; data: {'rows': 100})",
        "4 tasks    web, code, books, wiki",
        "1 target   loss ↓",
        "coupled: a seed is the same training for every mask",
        "the number of steps is the same for every mask",
        "The last 12",
        "RuntimeError: out of luck",
    ):
        assert words in out, out
    rows = out[out.index("run  status") :].splitlines()
    assert [int(row.split()[0]) for row in rows[1:13]] == list(range(11, 23))
    assert rows[1].split()[:6] == ["11", "done", "0", "web,", "books", "0.00"]
    assert "all but books" in out
    assert max(map(len, rows[:13])) <= 100


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (["--status", "failed"], lambda run: run["status"] == "failed"),
        (["--status", "failed,done", "--seed", "1"], lambda run: run["seed"] == 1),
        (["--with", "web", "--without", "code"], lambda run: run["weights"]["web"] and not run["weights"]["code"]),
        (
            ["--seed", "0", "--seed", "7", "--without", "wiki"],
            lambda run: not run["seed"] and not run["weights"]["wiki"],
        ),
    ],
)
def test_rows_are_filtered_and_given_as_json(shell, place, filters, kept):
    stored(place, Additive(fails=FAILING_MASKS), seeds=2)
    every = [json.loads(line) for line in shell("runs", place, "--json")[1].splitlines()]
    assert [run["run"] for run in every] == sorted(run["run"] for run in every)
    assert len(every) == 22
    out = shell("runs", place, "--json", *filters)[1]
    found = [json.loads(line) for line in out.splitlines()]
    assert found == [run for run in every if kept(run)]
    assert 0 < len(found) < 22
    last = shell("runs", place, "--json", "--last", "2", *filters)[1].splitlines()
    assert [json.loads(line) for line in last] == found[-2:]
    done = next(run for run in every if run["status"] == "done")
    assert done["values"]["loss"] == truth([list(done["weights"].values())], [done["seed"]])[0, 0]


def test_last_rows_are_found_over_pages_of_a_large_store(shell):
    with Store("runs.db") as store:
        problem = store.settle(Additive(), TASKS)
        masks = np.random.default_rng(0).random((12_000, 4)) < 0.5
        masks[:, 0] = np.arange(12_000) < 3
        store.enlist(problem, masks, np.arange(12_000))
        which = Filter(having=("web",))
        assert [run.id for run in store.rows(problem, which, last=2)] == [2, 3]
        assert [run.id for run in store.rows(problem, which)] == [1, 2, 3]
        assert [run.id for run in store.rows(problem)] == list(range(1, 12_001))
        assert store.matching(problem, which) == 3
        assert store.matching(problem, Filter(seeds=[5])) == 1


def test_several_tags_and_fidelities_lie_in_one_list(shell, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    stored("runs.db", tag="first")
    stored("runs.db", Additive(fidelity="small"), tag="first")
    other = Additive(targets=("acc", "f1"))
    other.evaluate = lambda masks, seeds: np.hstack([truth(masks, seeds)] * 2)
    stored("runs.db", other, tag="second")
    out = shell("runs", "runs.db", "--last", "24")[1]
    assert "3 problems, 33 runs" in out
    assert "small, tag 'first': 11 done" in out
    rows = out[out.index("run  tag     fidelity") :].splitlines()
    assert rows[1].split()[1:4] == ["first", "retrained", "done"]
    assert "acc 2.5, f1 2.5" in out
    assert "first" not in shell("runs", "runs.db", "--tag", "second")[1]
    assert "small" not in shell("runs", "runs.db", "--fidelity", "retrained")[1]
    refused(shell("runs", "runs.db", "--tag", "third"), "'third'", "'first'")
    refused(shell("runs", "runs.db", "--fidelity", "large"), "'large'")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_rows_fit_the_terminal_and_names_do_no_harm(shell, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    tasks = (*(f"a very long name of a source, number {k}" for k in range(3)), "\x1b[31mred")
    targets = tuple(f"eval/some_benchmark_{t}" for t in range(12))
    evaluator = Additive(tasks=tasks, targets=targets, fails=FAILING_MASKS)
    whole = Additive.evaluate
    evaluator.evaluate = lambda masks, seeds: np.hstack([whole(evaluator, masks, seeds)] * 12)
    stored("runs.db", evaluator)
    out = shell("runs", "runs.db")[1]
    assert "\x1b" not in out
    rows = out[out.index("run  status") :].splitlines()
    assert max(map(len, rows[:12])) <= width
    assert max(map(len, out[: out.index("run  status")].splitlines())) <= width
    assert "more targets: --json, or --show a run" in out


def test_mixtures_are_listed_with_their_weights(shell):
    stored(
        "runs.db", design=np.array([[0.5, 0.25, 0.25, 0], [0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4]] * 2) + np.eye(6, 4) / 1e3
    )
    out = shell("runs", "runs.db")[1]
    assert "weights" in out
    assert "web 0.501 code 0.25 books 0.25" in out


def test_claims_of_workers_that_are_gone_are_told_and_may_be_deleted(shell, place):
    stored(place, design=DESIGN[:6])
    with Store(place) as store:
        problem = store.settle(Additive(), TASKS)
        ids = store.enlist(problem, DESIGN, np.zeros(len(DESIGN), int))
        store.claims(problem, ids, retries=1).claim(2)
        assert store.standings()[0].lost == 0
        refused(shell("runs", place, "--delete", "--yes"), "2 runs", "being evaluated")
        gone = schema.workers.update().values(heartbeat=schema.epoch() - 3600)
        store.database.write(lambda c: c.execute(gone))
        assert store.standings()[0].lost == 2
        assert "2 of them by workers that are gone" in shell("runs", place)[1]
        assert "2 under way" in Evaluations.read(place).warnings[0]
    assert shell("runs", place, "--delete", "--yes")[0] == 0


# ---------------------------------------------------------------- one run


def test_a_run_is_shown_whole_and_harmless(shell, place):
    evaluator = Additive(fails=FAILING_MASKS)
    evaluator.outputs = ["\x1b[1mbold\x1b[0m\n 10 %\r100 %\nbell\x07\n\tend"]
    stored(place, evaluator)
    code, out, err = shell("runs", place, "--show", "1")
    assert (code, err) == (0, "")
    for words in (
        "Run 1 of",
        "failed, after 2 failed evaluations",
        "absent   none",
        "Traceback",
        'raise RuntimeError("out',
    ):
        assert words in out, out
    out = shell("runs", place, "--show", "2")[1]
    assert out.endswith("output:\n  bold\n  100 %\n  bell?\n          end\n")
    assert f"loss ↓ {float(truth(DESIGN[1:2], [0])[0, 0])!r}" in out
    whole = json.loads(shell("runs", place, "--show", "2", "--json")[1])
    assert whole["output"] == evaluator.outputs[0]
    assert whole["weights"] == {"web": 0, "code": 1, "books": 1, "wiki": 1}
    refused(shell("runs", place, "--show", "99"), "no run 99")


# ---------------------------------------------------------------- export, retry, delete


def test_an_export_may_be_filtered_and_says_what_is_missing(shell):
    stored("runs.db", Additive(fails=FAILING_MASKS), seeds=2)
    assert (
        shell("runs", "runs.db", "--export", "runs.csv")[2]
        == "Note: not among the runs: 4 failed; see `interplay runs runs.db`\n"
    )
    assert Evaluations.read("runs.csv").equals(Evaluations.read("runs.db"))
    assert shell("runs", "runs.db", "--export", "some.csv", "--seed", "1", "--with", "code")[0] == 0
    some = Evaluations.read("some.csv", min_runs=1)
    assert set(some.seed) == {1}
    assert some.masks[:, 1].all()
    refused(shell("runs", "runs.db", "--export", "x.csv", "--status", "failed"), "none of 18 runs", "asked for")
    refused(shell("runs", "runs.db", "--export", "x.json"), "--export x.json", ".csv or .parquet")
    stored("runs.db", tag="other")
    refused(shell("runs", "runs.db", "--export", "x.csv"), "2 tags", "--tag")
    assert shell("runs", "runs.db", "--export", "x.csv", "--tag", "other")[0] == 0


def test_failed_runs_are_queued_again_and_go_on(shell, place):
    failing = Additive(fails=FAILING_MASKS)
    stored(place, failing, seeds=2)
    refused(shell("runs", place, "--retry", "--status", "done"), "--status done", "only failed runs")
    assert "0 failed runs queued again; nothing to do." in shell("runs", place, "--retry", "--seed", "5")[1]
    assert ": 1 failed run queued again" in shell("runs", place, "--retry", "--seed", "1", "--with", "wiki")[1]
    assert ": 3 failed runs queued again" in shell("runs", place, "--retry")[1]
    stored(place, seeds=2)
    with Store(place) as store:
        assert store.problems()[0][1] == {"queued": 0, "running": 0, "done": 22, "failed": 0}


def test_nothing_is_deleted_without_a_yes(shell, monkeypatch):
    stored("runs.db", Additive(fails=FAILING_MASKS))
    refused(shell("runs", "runs.db", "--delete"), "11 runs of runs.db (retrained: 9 done, 2 failed", "--yes")

    class Terminal:
        answer = "n\n"
        isatty = staticmethod(lambda: True)
        readline = lambda self, *_: self.answer
        fileno = lambda self: 0

    monkeypatch.setattr(sys, "stdin", Terminal())
    code, out, _ = shell("runs", "runs.db", "--delete", "--status", "failed")
    assert (code, out.strip()) == (1, "Nothing is deleted.")
    Terminal.answer = "y\n"
    assert shell("runs", "runs.db", "--delete", "--status", "failed")[0] == 0
    assert len(Evaluations.read("runs.db")) == 9
    assert Evaluations.read("runs.db").warnings == ()


def test_a_tag_or_some_rows_are_deleted(shell, place):
    for tag in ("first", "second"):
        stored(place, tag=tag)
    refused(shell("runs", place, "--delete", "--yes"), "2 tags", "--tag")
    out = shell("runs", place, "--delete", "--yes", "--tag", "first", "--without", "web")[1]
    with Store(place) as store:
        n = {problem.tag: counts["done"] for problem, counts in store.problems()}
        gone = sum(DESIGN[:, 0] == 0)
        assert n["second"] == 11
        assert f"Deleted {11 - n['first']} runs" in out
        assert store.evaluations(tag="first").masks[:, 0].all()
        assert gone
    assert "no run matches" in shell("runs", place, "--delete", "--yes", "--tag", "first", "--without", "web")[1]
    assert shell("runs", place, "--delete", "--yes", "--tag", "second")[0] == 0
    with Store(place) as store:
        assert [problem.tag for problem, _ in store.problems()] == ["first"]


# ---------------------------------------------------------------- what is no store


def test_places_that_are_no_store_are_refused(shell):
    put(loo(), "runs.csv")
    Path("folder.db").mkdir()
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE mine (a)")
    stored("runs.db")
    shutil.copy("runs.db", "newer.db")
    with sqlite3.connect("newer.db") as newer:
        newer.execute("UPDATE interplay_store SET version = 99")
    for verb in (["runs"], ["attribute"]):
        refused(shell(*verb, "none.db"), "'none.db' does not exist")
        refused(shell(*verb, "other.db"), "no store of interplay", "mine")
        refused(shell(*verb, "newer.db"), "version 99", "Upgrade")
        refused(shell(*verb, "folder.db"), "is a folder")
    refused(shell("runs", "runs.csv"), "runs.csv cannot be opened")
    assert not Path("none.db").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--status", "lost"], ["'lost'", "queued, running, done, failed"]),
        (["--with", "nope"], ["'nope'", "'code'"]),
        (["--retry", "--delete"], ["--retry and --delete", "one at a time"]),
        (["--export", "x.csv", "--last", "3"], ["--last", "--export"]),
        (["--retry", "--json"], ["--json", "--retry"]),
        (["--yes"], ["--yes", "--delete"]),
    ],
)
def test_options_of_runs_that_do_not_go_together(shell, options, words):
    stored("runs.db")
    refused(shell("runs", "runs.db", *options), *words)


def test_an_empty_store_is_listed(shell):
    Store("runs.db").close()
    assert shell("runs", "runs.db") == (0, "runs.db holds no runs yet; `interplay evaluate` puts them there.\n", "")
    refused(shell("attribute", "runs.db"), "holds no runs yet")
