"""The store: what is claimed once, recorded once, never mixed, and outlasts what happens to it."""

import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from interplay import Evaluations, Store, evaluate
from interplay.formats.store import is_store
from interplay.store import Filter, ProblemMismatch, StoreUnavailable, schema
from interplay.store.address import address_of, scrubbed, shown
from interplay.store.claims import LOSSES, Result
from interplay.store.encoding import keys_of, masks_from, masks_to, values_from, values_to
from tests.evaluators import DESIGN, TASKS, Additive, truth

V1 = Path(__file__).parent / "stores" / "version-1.db"


def opened(place, design=DESIGN, retries=1, **options):
    """Return a store with rows of one seed that nobody has claimed, their numbers, and a worker for them."""
    store = Store(place, **options)
    problem = store.settle(Additive(), TASKS)
    ids = store.enlist(problem, design, np.zeros(len(design), int))
    return store, problem, ids, store.claims(problem, ids, retries=retries)


@pytest.fixture(autouse=True)
def _hearts_stop(monkeypatch):
    """Let no worker's heart outlive its test."""
    workers, claims = [], Store.claims
    monkeypatch.setattr(Store, "claims", lambda *words, **how: workers.append(claims(*words, **how)) or workers[-1])
    yield
    for worker in workers:
        worker._stop.set()


def done(claim):
    return Result(claim, truth(claim.mask[None], [claim.seed])[0], 1.5)


def silence(store, worker):
    """Set a worker's heartbeat back, as if it had not been heard of for an hour."""
    change = sa.update(schema.workers).where(schema.workers.c.id == worker)
    store.database.write(lambda c: c.execute(change.values(heartbeat=schema.epoch() - 3600)))


# ---------------------------------------------------------------- how rows are kept


@given(
    arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=st.sampled_from([0.0, -0.0, 1.0, 0.25])),
    st.integers(0, 2**40),
)
def test_masks_and_weights_come_back_exactly(masks, seed):
    encoded = masks_to(masks)
    np.testing.assert_array_equal(masks_from(encoded, masks.shape[1]), masks)
    keys = keys_of(encoded, np.full(len(masks), seed))
    assert len(set(keys)) == len(np.unique(masks, axis=0))
    assert not set(keys) & set(keys_of(encoded, np.full(len(masks), seed + 1)))


@given(arrays(float, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.floats(allow_nan=True)))
def test_values_come_back_exactly(values):
    np.testing.assert_array_equal(values_from([values_to(row) for row in values], values.shape[1]), values)


# ---------------------------------------------------------------- claims


def test_each_row_is_claimed_once_whoever_asks(place):
    store, problem, ids, first = opened(place)
    second = store.claims(problem, ids, retries=1)
    got = [*first.claim(4), *second.claim(3), *first.claim(100), *second.claim(100)]
    assert sorted(claim.id for claim in got) == sorted(ids)
    for claim in got:
        np.testing.assert_array_equal(claim.mask, DESIGN[list(ids).index(claim.id)])


def test_threads_that_claim_at_once_share_the_rows(place):
    store, problem, _, _ = opened(place)
    rng = np.random.default_rng(0)
    ids = store.enlist(problem, rng.random((300, 4)), np.zeros(300, int))
    got = [[] for _ in range(4)]

    def work(mine):
        claims = store.claims(problem, ids, retries=1)
        while part := claims.claim(7):
            mine += part
            claims.record([done(claim) for claim in part])

    threads = [threading.Thread(target=work, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim.id for mine in got for claim in mine) == sorted(ids)
    assert store.standing(problem, ids)["done"] == 300


def test_only_what_is_wanted_is_claimed(place):
    store, problem, ids, _ = opened(place)
    few = store.claims(problem, ids[[7, 2, 5]], retries=1)
    assert [claim.id for claim in few.claim(10)] == [ids[2], ids[5], ids[7]]


def test_rows_are_enlisted_once(place):
    store, problem, ids, _ = opened(place)
    again = store.enlist(problem, DESIGN[::-1], np.zeros(len(DESIGN), int))
    np.testing.assert_array_equal(again, ids[::-1])
    assert set(store.enlist(problem, DESIGN, np.ones(len(DESIGN), int))).isdisjoint(ids)


def test_a_silent_worker_is_taken_over_and_its_late_result_dropped(place):
    store, problem, ids, lost = opened(place, DESIGN[:2])
    late = lost.claim(5)
    other = store.claims(problem, ids, retries=1)
    assert other.claim(5) == []
    silence(store, lost.worker)
    assert other.take_over() == 2
    taken = other.claim(5)
    assert [claim.id for claim in taken] == [claim.id for claim in late]
    assert other.record([done(claim) for claim in taken]) == 0
    assert lost.record([replace(done(claim), values=np.array([99.0])) for claim in late]) == 2
    np.testing.assert_array_equal(store.evaluations().values, truth(DESIGN[:2], [0, 0]))
    count = sa.select(schema.workers.c.late).where(schema.workers.c.id == lost.worker)
    assert store.database.read(lambda c: c.execute(count).scalar_one()) == 2


def test_a_result_whose_receipt_was_lost_is_recorded_once(place):
    store, problem, ids, claims = opened(place, DESIGN[:1])
    (claim,) = claims.claim(1)
    assert claims.record([done(claim)]) == 0
    assert claims.record([done(claim)]) == 0
    assert store.standing(problem, ids)["done"] == 1


def test_a_worker_that_ends_gives_back_what_it_holds(place):
    store, problem, ids, claims = opened(place)
    claims.claim(3)
    claims.release()
    assert store.standing(problem, ids)["queued"] == len(ids)


def test_failures_are_tried_again_and_then_kept(place):
    store, problem, ids, claims = opened(place, DESIGN[:1], retries=2)
    for _ in range(3):
        (claim,) = claims.claim(1)
        claims.record([Result(claim, None, 0.1, "Traceback\nRuntimeError: no luck", "epoch 1\n")])
    assert claims.claim(1) == []
    assert store.failures(problem, ids) == [(ids[0], "Traceback\nRuntimeError: no luck")]
    assert store.run(int(ids[0]))[1]["output"] == "epoch 1\n"
    assert store.retry(problem) == 1
    (claim,) = claims.claim(1)
    claims.record([done(claim)])
    assert store.evaluations().m == 1
    assert store.run(int(ids[0]))[1]["error"] is None


def test_a_row_that_kills_every_worker_is_given_up(place):
    store, problem, ids, _ = opened(place, DESIGN[:1])
    for _ in range(LOSSES):
        victim = store.claims(problem, ids, retries=1)
        assert len(victim.claim(1)) == 1
        silence(store, victim.worker)
    other = store.claims(problem, ids, retries=1)
    other.take_over()
    assert other.claim(1) == []
    assert f"{LOSSES} workers" in store.failures(problem, ids)[0][1]


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Additive(lr=0.01), r"lr: 0.1 in the store, 0.01 now"),
        (Additive(targets=("acc",)), r"targets\[0\]: loss in the store, acc now"),
        (Additive(targets=("loss", "acc")), r"targets: 1 in the store, 2 now"),
        (Additive(fingerprint=lambda: {"lr": 0.1, "data": {"rows": 90}}), r"data.rows: 100 in the store, 90 now"),
        (
            Additive(fingerprint=lambda: {"lr": 0.1, "width": 8}),
            r"data: .* in the store only; width: 8 in this evaluat",
        ),
    ],
)
def test_runs_of_another_problem_are_refused_with_what_differs(tmp_path, other, words):
    place = tmp_path / "runs.db"
    evaluate(Additive(), DESIGN, store=place)
    with pytest.raises(ProblemMismatch, match=words) as caught:
        evaluate(other, DESIGN, store=place)
    assert "tag='...'" in str(caught.value)
    runs = evaluate(other, DESIGN[:3], store=place, tag="other") if other.targets == ("loss",) else None
    assert runs is None or runs.m == 3
    assert Store(place).evaluations(tag="").m == len(DESIGN)


def test_a_change_that_touches_no_value_can_be_accepted(tmp_path):
    place, changed = tmp_path / "runs.db", Additive(lr=0.10001)
    evaluate(Additive(), DESIGN[:4], store=place)
    assert evaluate(changed, DESIGN, store=place, accept_changed=True).m == len(DESIGN)
    assert len(changed.calls) == len(DESIGN) - 4
    evaluate(changed, DESIGN, store=place)
    with pytest.raises(ProblemMismatch, match=r"lr: 0.10001 in the store, 0.1 now.*accept_changed=True"):
        evaluate(Additive(), DESIGN, store=place)
    with pytest.raises(ProblemMismatch, match="targets"):
        evaluate(Additive(targets=("acc",)), DESIGN, store=place, accept_changed=True)


def test_what_never_ran_well_may_be_mended(tmp_path):
    place = tmp_path / "runs.db"
    with pytest.raises(RuntimeError, match="out of luck"):
        evaluate(Additive(fails=range(16)), DESIGN, store=place)
    mended = Additive(lr=0.01, tasks=("a", "b", "c"), evaluate=lambda masks, seeds: masks[:, :1])
    assert evaluate(mended, DESIGN[:, :3], store=place).m == len(np.unique(DESIGN[:, :3], axis=0))
    with pytest.raises(ProblemMismatch):
        evaluate(Additive(), DESIGN, store=place)


def test_long_settings_are_shown_where_they_differ():
    from interplay.store.problem import given

    a, b = (given(Additive(fingerprint=lambda n=n: {"command": "x" * 200 + n}), TASKS, "") for n in ("lr1", "lr2"))
    with pytest.raises(ProblemMismatch, match=r"command: \.\.\.x{18}lr1 in the store, \.\.\.x{18}lr2 now"):
        a.refuse(a.differences(b), "runs.db")


def test_other_tasks_are_refused_under_any_fidelity_of_a_tag(tmp_path):
    place = tmp_path / "runs.db"
    evaluate(Additive(), DESIGN, store=place)
    with pytest.raises(ProblemMismatch, match=r"tasks are web, code, .* not a, b"):
        evaluate(Additive(tasks=("a", "b", "c", "d"), fidelity="small"), DESIGN, store=place)
    evaluate(Additive(fidelity="small"), DESIGN[:5], store=place)
    runs = Store(place).evaluations()
    assert dict(zip(*np.unique(runs.fidelity, return_counts=True), strict=True)) == {"retrained": 11, "small": 5}
    assert Store(place).evaluations(fidelity="small").m == 5


def test_a_direction_said_later_is_taken(tmp_path):
    place = tmp_path / "runs.db"
    assert evaluate(Additive(), DESIGN, store=place).higher_is_better == (False,)
    assert evaluate(Additive(higher_is_better=[True]), DESIGN, store=place).higher_is_better == (True,)


def test_several_tags_must_be_told_apart(tmp_path):
    place = tmp_path / "runs.db"
    for tag in ("a", "b"):
        evaluate(Additive(), DESIGN[:3], store=place, tag=tag)
    with pytest.raises(ValueError, match=r"2 tags: 'a', 'b'. Name one"):
        Store(place).evaluations()
    with pytest.raises(ValueError, match="no tag is called 'c'"):
        Store(place).evaluations(tag="c")
    with pytest.raises(ValueError, match=r"Name one \(tag=, --tag\)"):
        Evaluations.read(place, min_runs=1)
    assert Evaluations.read(place, min_runs=1, tag="b").m == 3


def test_rows_can_be_filtered_listed_and_deleted(place):
    evaluate(Additive(fails=(7,), notes={}), DESIGN, seeds=2, store=place, retries=0)
    with Store(place) as store:
        (problem,) = store.chosen(None, None)
        assert store.evaluations(which=Filter(seeds=[1], without=["wiki"])).masks[:, 3].tolist() == [0] * 4
        frame = store.frame(which=Filter(status=["failed"]))
        assert frame["web"].tolist() == [0, 0]
        assert frame["error"].str.contains("out of luck").all()
        assert store.frame(last=3)["id"].is_monotonic_increasing
        with pytest.raises(ValueError, match="status is 'lost'"):
            store.frame(which=Filter(status=["lost"]))
        with pytest.raises(ValueError, match=r"no task is called 'wik'.*'wiki'"):
            store.frame(which=Filter(having=["wik"]))
        assert store.delete(problem, Filter(status=["failed"])) == 2
        assert store.delete(problem) == 2 * len(DESIGN) - 2
        assert store.problems() == []


def test_what_is_being_evaluated_is_not_deleted(place):
    store, problem, ids, claims = opened(place)
    claims.claim(1)
    with pytest.raises(ValueError, match="1 runs of retrained are being evaluated"):
        store.delete(problem)
    claims.release()
    assert store.delete(problem) == len(ids)


# ---------------------------------------------------------------- versions


def test_a_store_of_version_1_is_brought_up_to_date_and_read(tmp_path):
    place = shutil.copy(V1, tmp_path / "old.db")
    with Store(place) as store:
        assert [n for _, n in store.problems()] == [
            {"queued": 1, "running": 0, "done": 7, "failed": 1},
            {"queued": 0, "running": 0, "done": 2, "failed": 0},
        ]
        runs = store.evaluations(fidelity="retrained")
        assert runs.tasks == ("web", "code", "books")
        np.testing.assert_allclose(runs.values[:, 0], 3 - runs.masks @ [1, 0.5, 0.25] + runs.seed / 100)
        assert runs.notes == {"coupled": True, "absent_tasks": "fixed_steps"}
        frame = store.frame(which=Filter(status=["failed"]))
        assert "diverged" in frame["error"].item()
        assert store.run(int(frame["id"].item()))[1]["output"] is None
    held = sqlite3.connect(place)
    assert held.execute("SELECT version FROM interplay_store").fetchone() == (schema.VERSION,)


def test_an_old_store_goes_on_where_it_stopped(tmp_path):
    place = shutil.copy(V1, tmp_path / "old.db")
    with Store(place) as store:
        problem = store.chosen(None, "retrained")[0]

    class E(Additive):
        tasks = problem.tasks

        def fingerprint(self):
            return {"lr": 0.1}

        def evaluate(self, masks, seeds):
            self.calls.append(masks)
            return (3 - masks @ [1.0, 0.5, 0.25] + 0.01 * seeds)[:, None]

    again = E()
    runs = evaluate(again, np.vstack([[1, 0, 0], 1 - np.eye(3), np.ones(3)]), store=place)
    assert runs.m == 5
    assert len(again.calls) == 1  # the one that was queued


def test_a_newer_store_and_a_file_of_something_else_are_refused(tmp_path):
    place = shutil.copy(V1, tmp_path / "new.db")
    held = sqlite3.connect(place)
    held.execute("UPDATE interplay_store SET version = 99")
    held.commit()
    with pytest.raises(ValueError, match=r"new.db is a store of version 99; .* Upgrade interplay"):
        Store(place)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE songs (name TEXT)")
    other.commit()
    before = (tmp_path / "other.db").read_bytes()
    with pytest.raises(ValueError, match="no store of interplay: it holds songs"):
        Store(tmp_path / "other.db")
    assert (tmp_path / "other.db").read_bytes() == before
    (tmp_path / "empty.db").touch()
    with pytest.raises(ValueError, match="holds no store of interplay"):
        Store(tmp_path / "empty.db", must_exist=True)
    assert (tmp_path / "empty.db").read_bytes() == b""
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(StoreUnavailable, match=r"text.db cannot be opened: file is not a database"):
        Store(tmp_path / "text.db")


def test_places_that_are_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder. Name a file"):
        Store(tmp_path)
    with pytest.raises(ValueError, match=r"folder .* does not exist"):
        Store(tmp_path / "none" / "runs.db")
    with pytest.raises(ValueError, match=r"does not exist. Check the path"):
        Store(tmp_path / "runs.db", must_exist=True)
    with pytest.raises(ValueError, match="patience is 0"):
        Store(tmp_path / "runs.db", patience=0)
    with pytest.raises(ValueError, match="install its driver"):
        Store("nosuchbase://host/runs")
    assert is_store("runs.db")
    assert is_store("postgresql://host/runs")
    assert not is_store("runs.csv")


# ---------------------------------------------------------------- passwords

SECRET = "postgresql://me:hun%2Fter@127.0.0.1:1/runs?sslpassword=k3y&connect_timeout=2"


def test_passwords_are_in_no_text():
    url = sa.make_url(SECRET)  # needs no driver
    assert url.password == "hun/ter"
    text = shown(url) + scrubbed("could not log in with hun/ter or hun%2Fter, or k3y", url)
    for secret in ("hun", "ter ", "k3y"):
        assert secret not in text
    assert "could not log in with *** or ***, or ***" in text


def test_a_server_that_is_not_there_is_said_at_once_without_the_password():
    pytest.importorskip("psycopg", reason="PostgreSQL: the extra is not installed")
    with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
        Store(SECRET)
    assert "hun" not in str(caught.value)
    assert "k3y" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_an_address_that_cannot_be_read_is_not_repeated():
    with pytest.raises(ValueError, match="cannot be read") as caught:
        address_of("postgresql://me:hunter@[::bad/runs")
    assert "hunter" not in str(caught.value)


def test_a_password_in_a_failure_of_training_is_not_kept(postgresql):
    class Leaks(Additive):
        def evaluate(self, masks, seeds):
            raise RuntimeError("cannot connect with s3cr3t@word")

    place = postgresql.empty()
    with pytest.raises(RuntimeError):
        evaluate(Leaks(), DESIGN, store=place, retries=0)
    frame = Store(place).frame(which=Filter(status=["failed"]))
    assert frame["error"].str.contains(r"connect with \*\*\*").all()
    assert "s3cr3t" not in repr(Store(place)) + frame.to_csv()


# ---------------------------------------------------------------- outages


def limit(store, pages):
    """Let a SQLite store grow to so many pages at most, as on a full disk."""

    def set_limit(connection, *_):
        connection.execute(f"PRAGMA max_page_count={pages}")

    store.database.engine.dispose()
    sa.event.listen(store.database.engine, "connect", set_limit)
    return lambda: (sa.event.remove(store.database.engine, "connect", set_limit), store.database.engine.dispose())


def test_results_wait_while_the_disk_is_full(tmp_path):
    store, problem, _, _ = opened(tmp_path / "runs.db")
    ids = store.enlist(problem, np.random.default_rng(0).random((200, 4)), np.zeros(200, int))
    claims = store.claims(problem, ids, retries=1)
    got = claims.claim(200)
    undo = limit(store, 1)
    thread = threading.Thread(
        target=claims.record, args=([Result(c, np.arange(500.0), 1.0, output="x" * 2000) for c in got],)
    )
    thread.start()
    thread.join(timeout=1)
    assert thread.is_alive()  # full
    undo()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert store.standing(problem, ids)["done"] == 200


def test_a_disk_that_stays_full_is_an_error_that_loses_nothing_before(tmp_path, caplog):
    store, problem, ids, claims = opened(tmp_path / "runs.db", outage=0.2)
    first, second = claims.claim(2)
    claims.record([done(first)])
    limit(store, 1)
    with pytest.raises(StoreUnavailable, match=r"away for .* full"):
        claims.record([Result(second, np.arange(5000.0), 1.0, output="x" * 100_000)])
    assert f"not recorded: row {second.id}" in caplog.text
    again = Store(tmp_path / "runs.db")
    assert again.standing(problem, ids)["done"] == 1


def test_a_server_that_goes_away_and_comes_back_loses_nothing(postgresql):
    place = postgresql.empty()
    store, problem, ids, claims = opened(place)
    got = claims.claim(len(ids))
    postgresql.stop()
    thread = threading.Thread(target=claims.record, args=([done(claim) for claim in got],))
    thread.start()
    thread.join(timeout=1)
    assert thread.is_alive()
    postgresql.start()
    thread.join(timeout=30)
    assert store.standing(problem, ids)["done"] == len(ids)
    assert claims.take_over() == 0  # nobody's heart could beat while it was away
    store.close()


def test_a_store_reads_and_writes_like_a_table(place, tmp_path):
    runs = evaluate(Additive(), DESIGN, seeds=2, store=place)
    path = Store(place).evaluations().write(tmp_path / "runs.parquet")
    back = Evaluations.read(path)
    np.testing.assert_array_equal(back.values, runs.values)
    np.testing.assert_array_equal(back.seed, runs.seed)
    assert back.notes == runs.notes


# ---------------------------------------------------------------- found by a review


def test_a_commit_that_fails_once_loses_no_row(tmp_path, monkeypatch):
    store, problem, _ids, _ = opened(tmp_path / "runs.db", DESIGN[:1])
    failed = []

    def fail_once(connection):
        if not failed:
            failed.append(True)
            raise sqlite_full()

    sa.event.listen(store.database.engine, "commit", fail_once)
    found = store.enlist(problem, DESIGN, np.zeros(len(DESIGN), int))
    assert failed
    assert len(set(found.tolist())) == len(DESIGN)
    assert store.standing(problem, found)["queued"] == len(DESIGN)


def sqlite_full():
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return sa.exc.OperationalError("COMMIT", {}, error)


def test_a_worker_that_slept_while_its_problem_was_replaced_claims_nothing(place):
    store, problem, _ids, sleeper = opened(place)
    store.delete(problem)
    other = store.settle(Additive(lr=0.5), TASKS)
    store.enlist(other, DESIGN, np.zeros(len(DESIGN), int))
    with pytest.raises(ProblemMismatch, match="were deleted from the store meanwhile"):
        sleeper.claim(1)


def test_texts_that_databases_refuse_are_kept_readable(place):
    store, problem, ids, claims = opened(place, DESIGN[:2], retries=0)
    good, bad = claims.claim(2)
    claims.record([replace(done(good), output="a\x00b"), Result(bad, None, 0.1, "\udcff lost\x00")])
    assert store.run(good.id)[1]["output"] == "a\ufffdb"
    assert store.failures(problem, ids)[0][1] == "? lost\ufffd"


def test_many_rows_are_claimed_at_once_among_many_that_nobody_asks_for(place):
    store, problem, _ids, _ = opened(place)
    rng = np.random.default_rng(0)
    many = store.enlist(problem, rng.random((3000, 4)), np.zeros(3000, int))
    assert len(store.claims(problem, many, retries=0).claim(2500)) == 2500
    few = store.claims(problem, many[[2600, 2999]], retries=0)
    assert [claim.id for claim in few.claim(5)] == many[[2600, 2999]].tolist()


def test_targets_in_another_order_are_the_same_targets(tmp_path):
    place = tmp_path / "runs.db"
    both = lambda order: Additive(
        targets=order, evaluate=lambda m, s: np.hstack([truth(m, s) * (1 if t == "loss" else -1) for t in order])
    )
    evaluate(both(("loss", "gain")), DESIGN[:5], store=place)
    runs = evaluate(both(("gain", "loss")), DESIGN, store=place)
    assert runs.targets == ("loss", "gain")
    np.testing.assert_array_equal(runs.values, truth(DESIGN, np.zeros(11)) * [1, -1])
    small = both(("gain", "loss"))
    small.fidelity = "small"
    evaluate(small, DESIGN, store=place)
    np.testing.assert_array_equal(Store(place).evaluations().values, np.vstack([runs.values, runs.values]))


def test_a_store_that_is_deleted_while_in_use_is_said(tmp_path):
    _store, _problem, _ids, claims = opened(tmp_path / "runs.db")
    (claim,) = claims.claim(1)
    (tmp_path / "runs.db").unlink()
    with pytest.raises(StoreUnavailable, match="was deleted while it was in use"):
        claims.record([done(claim)])


def test_memory_is_no_store():
    for place in (":memory:", "sqlite://", "", 5):
        with pytest.raises(ValueError, match="name a file"):
            Store(place)


def test_who_slept_hears_the_others_before_it_takes_over(place):
    store, problem, ids, lost = opened(place, DESIGN[:2])
    lost.claim(2)
    silence(store, lost.worker)
    other = store.claims(problem, ids, retries=1)
    other._beaten -= 3600  # it was not heard of either: the machine slept, perhaps with all of them
    assert other.take_over() == 0
    other._beaten += 3600
    assert other.take_over() == 0  # a whole patience is waited for
    other._awake -= 3600
    assert other.take_over() == 2
