"""The page of a store while runs come in: what it says, who may read it, that it follows, and that it only reads."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from interplay import Store, evaluate
from interplay.formats.several import Source
from interplay.report import live
from tests.browser import PATIENCE, drawn, opened, pages_of, served, state_of
from tests.command_line import put, refused, stored, table
from tests.evaluators import DESIGN, TASKS, Additive

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from interplay.report import server

SECRET = "s3cr3t"
ADDRESS = f"postgresql://me:{SECRET}%40word@127.0.0.1:1/runs?sslpassword={SECRET}"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(server, "EVERY", 0.0)
    monkeypatch.setattr(server, "LOOKING", 0.0)
    monkeypatch.setattr(server, "RESTING", 0.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---------------------------------------------------------------- what is said


def test_a_store_is_followed_from_its_first_rows_to_its_answers(folder):
    with Store("runs.db") as store:
        problem = store.settle(Additive(), TASKS)
        store.enlist(problem, DESIGN, np.zeros(len(DESIGN), int))
    pages = pages_of()
    pages.step()
    assert state_of(pages)["words"] == "11 queued; an attribution needs at least 5"
    assert b"No attribution yet" in pages.page.body
    waited = state_of(pages)["version"]
    evaluate(Additive(fails=[15]), DESIGN[:4], store="runs.db", progress=False)
    pages.step()
    assert state_of(pages)["words"] == "3 done, 1 failed, 7 queued; an attribution needs at least 5"
    assert state_of(pages)["version"] == waited
    evaluate(Additive(fails=[15]), DESIGN[:8], store="runs.db", progress=False)
    pages.step()
    words = state_of(pages)["words"]
    assert re.fullmatch(r"7 done, 1 failed, 3 queued; the page is that of 7 runs \(as of \d\d:\d\d:\d\d\)", words), (
        words
    )
    first = state_of(pages)["version"]
    assert first != waited
    assert json.dumps(first).encode() in pages.page.body
    page = pages.page
    pages.step()
    assert pages.page is page
    with Store("runs.db") as store:
        store.retry(store.problems()[0][0])
    pages.step()
    assert pages.page is page  # no other runs are done
    assert "4 queued" in state_of(pages)["words"]
    evaluate(Additive(), DESIGN, store="runs.db", progress=False)
    pages.step()
    assert "11 done; the page is that of 11 runs" in state_of(pages)["words"]
    assert state_of(pages)["version"] not in (waited, first)


def test_stores_of_each_kind_are_followed(place):
    stored(place, seeds=2)
    pages = pages_of(place)
    pages.step()
    assert state_of(pages)["words"].startswith("22 done; the page is that of 22 runs")
    assert len(state_of(pages)["table"]["rows"]) == 22


def test_the_last_rows_are_those_under_way_then_those_that_ended_then_some_that_wait(folder):
    with Store("runs.db") as store:
        problem = store.settle(Additive(), TASKS)
        ids = store.enlist(problem, np.repeat(DESIGN, 8, axis=0), np.tile(np.arange(8), len(DESIGN)))
        store.claims(problem, ids[:2], retries=1).claim(2)
        several = Additive(fails=[14], targets=("speed", "loss", "a", "b", "c", "d"))
        whole = Additive.evaluate
        several.evaluate = lambda masks, seeds: whole(several, masks, seeds) + np.arange(6)
        evaluate(several, DESIGN, seeds=8, store="runs.db", tag="other", progress=False)
    seen = live.look([Source("runs.db")])
    assert seen.words.startswith("retrained: 2 running, 86 queued; retrained, tag 'other': ")
    titles = [column["title"] for column in seen.table["columns"]]
    assert titles == ["run", "tag", "status", "time", "seed", "tasks", "seconds", "loss", "speed", "a", "b", "error"]
    rows = [dict(zip(titles, row, strict=True)) for row in seen.table["rows"]]
    assert len(rows) == live.ROWS
    assert [row["status"] for row in rows[:2]] == ["running"] * 2
    assert all(row["time"].startswith("since ") for row in rows[:2])
    assert [row["status"] for row in rows[-4:]] == ["queued"] * 4
    assert 6 <= [row["status"] for row in rows].count("failed") < 24
    assert rows[0]["loss"] is None
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["error"] == "RuntimeError: out of luck"
    assert failed["tasks"] == "all but wiki"
    assert {row["tasks"] for row in rows} >= {"all", "all but web"}
    asked = live.look([Source("runs.db", tag="other")], targets=["d", "sp*"]).table["columns"]
    assert [column["title"] for column in asked[-3:]] == ["d", "speed", "error"]
    mixtures = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    evaluate(Additive(fidelity="mixed"), mixtures, store="runs.db", tag="mixed", progress=False)
    row = live.look([Source("runs.db", tag="mixed")]).table["rows"][-1]
    assert f"web {mixtures[0, 0]:.3g}" in row[4]


def test_an_error_of_several_lines_is_told_whole_without_its_traceback(folder):
    evaluator = Additive()
    whole = evaluator.evaluate

    def measured(masks, seeds):
        if masks.sum() == 2:
            raise RuntimeError("out of memory:\n  tried 20 GiB\n\n(see the log)")
        return whole(masks, seeds)

    evaluator.evaluate = measured
    evaluate(evaluator, DESIGN, store="runs.db", progress=False)
    seen = live.look([Source("runs.db")]).table
    errors = {row[-1] for row in seen["rows"] if row[1] == "failed"}
    assert errors == {"RuntimeError: out of memory: tried 20 GiB (see the log)"}


def test_a_claim_of_a_worker_that_is_gone_is_told(folder):
    from interplay.store import schema

    with Store("runs.db") as store:
        problem = store.settle(Additive(), TASKS)
        ids = store.enlist(problem, DESIGN, np.zeros(len(DESIGN), int))
        store.claims(problem, ids, retries=1).claim(2)
        gone = schema.workers.update().values(heartbeat=schema.epoch() - 3600)
        store.database.write(lambda c: c.execute(gone))
    assert "2 running, 9 queued (2 of them by workers that are gone)" in live.look([Source("runs.db")]).words


def test_a_file_is_read_again_when_it_was_written_anew(folder):
    put(table(), "runs.csv")
    pages = pages_of(Path("runs.csv"), targets=["loss"])
    pages.step()
    assert re.match(r"written \d\d:\d\d:\d\d; the page is that of 24 runs", state_of(pages)["words"])
    page = pages.page
    put(table(1).iloc[:20], "runs.csv")
    pages.step()
    assert "the page is that of 20 runs" in state_of(pages)["words"]
    assert pages.page is not page
    page = pages.page
    put(table(), "runs.csv", loss={3: "oops"})
    pages.step()
    assert "that of 20 runs" in state_of(pages)["words"]
    assert "what came since cannot be attributed: " in state_of(pages)["words"]
    assert "'oops'" in state_of(pages)["words"]
    Path("runs.csv").unlink()
    pages.step()
    assert "they cannot be looked at now: " in state_of(pages)["words"]
    assert pages.page is page
    os.utime(put(table(), "runs.csv") or "runs.csv", (1e9, 1e9))
    assert live.look([Source(Path("runs.csv"))]).words.startswith("written 2001-09-0")


def test_several_places_are_told_by_their_names_and_a_truth_is_watched(folder):
    stored("runs.db")
    put(table(), "more.csv")
    stored("truth.db", tag="x")
    seen = live.look([Source("runs.db"), Source(Path("more.csv"))], Source("truth.db", tag="x"))
    assert re.fullmatch(r"runs\.db: 11 done; more\.csv: written [\d:]+", seen.words)
    assert (seen.done, seen.few, len(seen.mark)) == (None, False, 3)


def test_a_fault_while_attributing_is_told_and_is_not_tried_again_on_the_same_runs(folder, caplog):
    stored("runs.db")
    pages, calls = pages_of(), []

    def broken():
        calls.append(1)
        raise KeyError("<b>odd\x1b[31m</b>")

    pages._attribute = broken
    pages.step()
    pages.step()
    assert len(calls) == 1
    assert state_of(pages)["words"] == "11 done; no attribution yet: KeyError: '<b>odd\\x1b[31m</b>'"
    assert b"<b>odd" not in pages.page.body
    assert "please report it" in caplog.text


def test_what_passes_by_itself_is_tried_again_after_a_rest(folder, monkeypatch):
    stored("runs.db")
    pages, calls = pages_of(), []
    whole = pages._attribute

    def away():
        calls.append(1)
        if len(calls) < 3:
            raise OSError(f"no way to {ADDRESS}")
        return whole()

    pages._attribute, pages._places = away, [ADDRESS]
    pages.step()
    pages.step()
    assert SECRET not in pages.state.body.decode() + pages.page.body.decode()
    assert "no way to postgresql://me:***@127.0.0.1" in state_of(pages)["words"]
    pages.step()
    assert "the page is that of 11 runs" in state_of(pages)["words"]
    monkeypatch.setattr(server, "RESTING", 1000.0)
    evaluate(Additive(), DESIGN, seeds=[1], store="runs.db", progress=False)
    pages.step()
    assert "that of 22 runs" in state_of(pages)["words"]
    evaluate(Additive(), DESIGN, seeds=[2], store="runs.db", progress=False)
    pages.step()
    assert "33 done; the page is that of 22 runs" in state_of(pages)["words"]


@pytest.mark.parametrize("busy", [False, True])
def test_attributions_rest_longer_where_all_cores_are_busy(busy, folder, monkeypatch):
    stored("runs.db")
    pages, cores = pages_of(), os.cpu_count() or 1
    sight = pages._look()

    def wrong():
        raise ValueError("no")

    pages._look, pages._attribute = lambda: sight, wrong
    monkeypatch.setattr(server, "RESTING", 2.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (cores if busy else 0.9 * cores, 0.0, 0.0))
    clock = iter((100.0, 101.0, 110.0, 113.0, 120.0))  # look: begin, end; attribution: begin, and both ends
    monkeypatch.setattr(server.time, "monotonic", lambda: next(clock))
    pages.step()
    assert pages._rest == pytest.approx(113.0 + 2.0 * (4.5 if busy else 1.0) * (120.0 - 110.0))


# ---------------------------------------------------------------- who may read it


def test_only_names_of_this_machine_and_only_reading_are_answered(folder):
    with served(pages_of()) as ask:
        for host in ("127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1"):
            assert ask("/", Host=host)[0] == 200
        bad = [
            "evil.example",
            "evil.example:{port}",
            "127.0.0.1:1",
            "localhost.evil.example:{port}",
            "",
            "user@localhost",
        ]
        for host in [*bad, ["localhost", "evil.example"]]:
            status, headers, body = ask("/state.json", Host=host)
            assert status == 400, host
            assert b"evil" not in body
            assert "version" not in body.decode()
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            for path in ("/", "/state.json", "/nothing"):
                status, headers, _ = ask(path, method)
                assert (status, headers["allow"]) == (405, "GET, HEAD")
        for path in ("/nothing", "/state.json/", "/../runs.db", "/%2e%2e/runs.db", "/runs.db", "//", "/favicon.ico"):
            assert ask(path)[0] == 404, path
        status, headers, body = ask("/", "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["content-length"]) > 1000


def test_every_answer_has_the_headers_that_keep_others_out(folder):
    stored("runs.db")
    pages = pages_of()
    with served(pages) as ask:
        waiting = ask("/")
        pages.step()
        page, state = ask("/"), ask("/state.json")
        refusals = [ask("/nothing"), ask("/", "POST"), ask("/", Host="evil.example")]
    for status, headers, _ in (waiting, page, state, *refusals):
        assert headers["cache-control"] == "no-store", status
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    assert state[1]["content-type"] == "application/json"
    for _, headers, body in (waiting, page):
        assert headers["content-type"] == "text/html; charset=utf-8"
        stated = re.search(r'Content-Security-Policy" content="([^"]*)"', body.decode())[1].replace("&#39;", "'")
        assert headers["content-security-policy"] == stated
        assert "connect-src 'self'" in stated
        assert "'unsafe-inline'" not in stated.split("script-src")[1].split(";")[0]


def test_pages_are_compressed_where_that_is_taken(folder):
    with served(pages_of()) as ask:
        plain = ask("/")
        assert "content-encoding" not in plain[1]
        for taken in ("gzip", "br, GZIP;q=0.5", "deflate, gzip"):
            short = ask("/", Accept_Encoding=taken)
            assert short[1]["content-encoding"] == "gzip"
            assert gzip.decompress(short[2]) == plain[2]
            assert short[1]["vary"] == "Accept-Encoding"
        for refused_ in ("gzip;q=0", "identity", "gzip; q=0.0"):
            assert ask("/", Accept_Encoding=refused_)[2] == plain[2]


# ---------------------------------------------------------------- while runs come in


def test_the_state_follows_evaluations_and_many_readers_ask_for_nothing_more(folder):
    evaluate(Additive(), DESIGN[:3], store="runs.db", progress=False)
    pages, looks = pages_of(), []
    look = pages._look
    pages._look = lambda: looks.append(1) or look()
    with served(pages, follow=True) as ask:
        worker = threading.Thread(
            target=evaluate, args=(Additive(0.05), DESIGN), kwargs={"store": "runs.db", "progress": False}
        )
        worker.start()
        seen, end = [], time.monotonic() + PATIENCE
        while time.monotonic() < end and "11 done; the page is that of 11 runs" not in (seen or [""])[-1]:
            seen.append(json.loads(ask("/state.json")[2])["words"])
            time.sleep(0.02)
        worker.join()
        assert "11 done; the page is that of 11 runs" in seen[-1]
        assert len(set(seen)) >= 3, set(seen)
        n, before = 0, len(looks)
        began = time.monotonic()
        while n < 100:
            n += ask("/")[0] == 200
        passed = time.monotonic() - began
        assert len(looks) - before <= passed / 0.02 + 2
        assert pages.stop(PATIENCE)
        assert ask("/")[2] == pages.page.body


def test_a_store_is_only_read(folder):
    stored("runs.db", Additive(fails=[15]))
    before, files = Path("runs.db").read_bytes(), sorted(os.listdir())
    os.utime("runs.db", (1e9, 1e9))
    pages = pages_of()
    with served(pages, follow=True) as ask:
        end = time.monotonic() + PATIENCE
        while b"that of 10 runs" not in pages.state.body and time.monotonic() < end:
            ask("/")
            time.sleep(0.02)
        time.sleep(0.2)
    assert b"that of 10 runs" in pages.state.body
    assert Path("runs.db").read_bytes() == before
    assert os.stat("runs.db").st_mtime == 1e9
    assert sorted(os.listdir()) == files


# ---------------------------------------------------------------- the verb


@pytest.fixture
def verb(shell, monkeypatch):
    """Run the verb without serving: `ran` are the pages, after one step, and where they would have been served."""
    ran = []

    def once(pages, listening):
        pages.stop(PATIENCE)
        pages.step()
        ran.append((pages, listening.getsockname()))

    monkeypatch.setattr(server, "run", once)
    monkeypatch.setattr(server.Pages, "_run", lambda self: None)
    return lambda *words: (*shell("serve", "--port", "0", *words), ran)


def test_the_verb_serves_this_machine_with_the_options_of_attribute(verb):
    stored("runs.db")
    stored("truth.db", design=DESIGN[:5], seeds=[7, 8])
    code, out, err, ran = verb(
        "runs.db", "--target", "lo*", "--surrogate", "ridge", "--no-pairs", "--truth", "truth.db"
    )
    assert (code, err) == (0, "")
    pages, (host, port) = ran[0]
    assert host == "127.0.0.1"
    assert out == f"runs.db: http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
    assert "the page is that of 11 runs" in state_of(pages)["words"]
    text = pages.page.body.decode()
    assert "Against retraining" in text
    assert "interplay serve --port 0 runs.db --target" in text
    code, _, err, ran = verb("runs.db", "--reading", "shapely")
    assert code == 0
    assert "no attribution yet: " in state_of(ran[1][0])["words"]
    assert "shapely" in state_of(ran[1][0])["words"]


def test_an_attribution_under_way_does_not_hold_up_the_end(verb, monkeypatch):
    stored("runs.db")
    left = []
    monkeypatch.setattr(server.Pages, "stop", lambda self, seconds=1: False)
    monkeypatch.setattr(server, "run", lambda *_: None)
    monkeypatch.setattr(os, "_exit", left.append)
    assert verb("runs.db")[0] == 0
    assert left == [0]


def test_the_verb_waits_for_the_first_runs_of_a_store(verb):
    Store("runs.db").close()
    code, _, _, ran = verb("runs.db", "--target", "anything")
    assert code == 0
    assert state_of(ran[0][0])["words"] == "no runs yet; an attribution needs at least 5"


def test_what_cannot_be_served_is_refused(shell, monkeypatch):
    refused(shell("serve", "none.db"), "'none.db' does not exist")
    refused(shell("serve", "none.csv"), "none.csv", "No such file")
    stored("runs.db", tag="first")
    refused(shell("serve", "runs.db", "--tag", "third"), "'third'", "'first'")
    stored("runs.db", tag="second")
    refused(shell("serve", "runs.db"), "2 tags", "--tag")
    refused(shell("serve", "runs.db", "--tag", "first", "--target", "acc"), "'acc'")
    refused(shell("serve", "runs.db", "--tag", "first", "--fidelity", "large"), "'large'")
    refused(shell("serve", "runs.db", "--truth-tag", "x"), "there is no truth")
    refused(shell("serve", "runs.db", "--truth-masks", "other-seeds"), "there is no truth")
    refused(shell("serve", "runs.db", "--budget", "1e9"), "--tokens")
    code, _, err = shell("serve", ADDRESS)
    assert code == 2
    assert SECRET not in err
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(
            shell("serve", "runs.db", "--tag", "first", "--port", port),
            f"--port {port}: something listens there already",
            "--port 0",
        )
    for name in ("starlette", "uvicorn"):
        with monkeypatch.context() as without:
            without.delitem(sys.modules, "interplay.report.server", raising=False)
            without.delattr("interplay.report.server", raising=False)
            for module in [m for m in sys.modules if m.split(".")[0] == name]:
                without.delitem(sys.modules, module)
            without.setitem(sys.modules, name, None)
            refused(
                shell("serve", "runs.db"),
                f"interplay serve needs {name}, which is not installed: pip install 'interplay[serve]'",
            )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_without_a_word(folder):
    stored("runs.db")
    words = [sys.executable, "-m", "interplay", "serve", "runs.db", "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        port = int(re.fullmatch(r"runs\.db: http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\n", line)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/state.json")
        assert json.loads(connection.getresponse().read())["version"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()


# ---------------------------------------------------------------- in a browser


@pytest.mark.slow
def test_a_page_that_is_read_changes_under_the_reader_who_keeps_his_place(browser, folder):
    two = Additive(targets=("loss", "accuracy"))
    whole = Additive.evaluate
    two.evaluate = lambda masks, seeds: np.hstack([whole(two, masks, seeds), -2 * whole(two, masks, seeds)])
    with Store("runs.db") as store:
        store.enlist(store.settle(two, TASKS), DESIGN, np.zeros(len(DESIGN), int))
    pages = pages_of()
    pages.step()
    with served(pages) as ask:
        address = f"http://127.0.0.1:{ask.port}/"

        def until(words, place="#live-words"):
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                if words in page.locator(place).first.inner_text():
                    return
                page.wait_for_timeout(100)
            raise AssertionError(page.locator(place).inner_text())

        with opened(browser, address, ready=False) as page:
            until("11 queued", "#live-words")
            evaluate(two, DESIGN[:3], store="runs.db", progress=False)
            pages.step()
            until("3 done", "#live-words")
            assert page.locator("#live-rows tbody tr").count() == 7
            evaluate(two, DESIGN[:9], store="runs.db", progress=False)
            pages.step()
            drawn(page)
            until("9 done, 2 queued; the page is that of 9 runs")
            page.select_option("#target", label=page.locator("#target option").nth(1).inner_text())
            page.click('[data-table="effects"] thead th:first-child button')
            page.fill("#live-rows input", "done")
            page.evaluate("scrollTo(0, 500)")
            evaluate(two, DESIGN, store="runs.db", progress=False)
            pages.step()
            until("11 done; the page is that of 11 runs")
            assert "11 runs" in page.title()
            assert page.locator("#target").input_value() == "1"
            assert page.locator('[data-table="effects"] th').first.get_attribute("aria-sort") == "ascending"
            assert page.locator("#live-rows input").input_value() == "done"
            assert page.evaluate("document.activeElement.closest('#live-rows') !== null")
            assert page.evaluate("scrollY") >= 450
            assert page.locator(".plot").count() == page.locator(".js-plotly-plot").count()
            assert page.said == []
