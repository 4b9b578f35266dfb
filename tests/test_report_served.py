"""Hostile names in the page that is served: as tasks, targets, tags, words of failed runs and name of the store."""

import json
import re
from types import SimpleNamespace as Seen

import numpy as np
import pytest

from interplay import Store, evaluate
from interplay.formats.several import Source
from interplay.report import live, page
from interplay.report.store import harmless
from interplay.report.words import plain
from tests.browser import drawn, opened, pages_of, serious, served
from tests.evaluators import DESIGN, Additive
from tests.hostile import NAMES
from tests.reports import REPORTS
from tests.test_report import Parts, carried, taken, unpacked

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
from interplay.report import server

RAW = {taken(name): name for name in NAMES.values()}
TASKS = tuple(RAW)
HIDDEN = re.compile("[\x00-\x1f\x7f\u200b\u2028\u2029\u202e\ufeff]")
MARKUP = "main img, main svg[onload], main iframe, main a[href^=javascript], main script, main textarea, main style"


def letters(text):
    return [c for c in text if c.isalnum()]


def held(cells, name):
    """Whether one of the cells is a name, whatever stands for what cannot be seen of it."""
    return any(letters(cell) == letters(name) for cell in cells)


def failing(masks, seeds):
    """Runs without one task fail with the words of that name; the others are measured."""
    if (masks[0] == 0).sum() == 1:
        raise RuntimeError(RAW[TASKS[int(np.flatnonzero(masks[0] == 0)[0])]])
    return masks @ np.random.default_rng(0).normal(size=(len(TASKS), len(TASKS)))


def cells(tab, table, n):
    """Texts of one column of a table of a page."""
    found = tab.locator(f"{table} tbody tr td:nth-child({n})")
    return found.evaluate_all("cells => cells.map(cell => cell.innerText)")


@pytest.fixture(scope="module")
def everything_shown():
    """Tables of the last runs with room for every name, and pages that wait for nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ROWS": 300, "OF": {"running": 1, "failed": 100, "queued": 100}, "TARGETS": 100}.items():
            patch.setattr(live, name, value)
        for name in ("EVERY", "LOOKING", "RESTING"):
            patch.setattr(server, name, 0.0)
        yield


def shown_live(tab):
    """The table of the last runs, by columns."""
    tab.wait_for_selector("#live-rows td")
    titles = tab.locator("#live-rows th").all_inner_texts()
    return {title: cells(tab, "#live-rows", n + 1) for n, title in enumerate(titles)}


def ended(tab):
    """What ran that must not, elements that must not be there, and what the browser complained about."""
    return tab.evaluate("window.hacked"), tab.locator(MARKUP).count(), list(tab.said)


@pytest.fixture(scope="module")
def seen(browser, tmp_path_factory, everything_shown):
    """What came over HTTP and what Chromium showed, before there was an answer and after."""
    found, place = Seen(), tmp_path_factory.mktemp("hostile") / "runs.db"
    failed = np.vstack([np.ones(len(TASKS)), 1 - np.eye(len(TASKS))])  # the first is measured
    masks = (np.random.default_rng(1).random((60, len(TASKS))) < 0.6).astype(float)
    evaluator = Additive(tasks=TASKS, targets=TASKS)
    evaluator.evaluate = failing
    evaluate(evaluator, failed, store=place, progress=False)
    pages = pages_of(place)
    pages.step()
    with served(pages) as ask:
        found.waiting, found.state = ask("/")[2].decode(), ask("/state.json")[2].decode()
        with opened(browser, f"http://127.0.0.1:{ask.port}/", ready=False) as tab:
            found.live, found.early = shown_live(tab), ended(tab)
            evaluate(evaluator, masks, store=place, progress=False)
            pages.step()
            drawn(tab)
            found.page = ask("/")[2].decode()
            found.tasks = cells(tab, '[data-table="effects"]', 1)
            found.targets = cells(tab, '[data-table="targets"]', 1)
            found.options = tab.locator("#target option").all_text_contents()
            for name in filter(set("<$%{&").intersection, TASKS):  # what a figure might take for markup
                tab.locator("#target").select_option(str(TASKS.index(name)))
                tab.wait_for_timeout(20)
            found.late = ended(tab)
    return found


def last_words(case):
    """What of the words of a failed run has a place in a table."""
    return "".join(letters(" ".join(harmless(NAMES[case])))[:200])


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_is_text_in_what_is_served(case, seen):
    name, state = taken(NAMES[case]), json.loads(seen.state)
    columns = [column["title"] for column in state["table"]["columns"]]
    tasks, error = columns.index("tasks"), columns.index("error")
    row = next(row for row in state["table"]["rows"] if held([row[tasks]], f"all but {plain(name)}"))
    assert last_words(case) in "".join(letters(row[error]))
    assert held(columns, plain(name, 80))
    assert not any(HIDDEN.search(str(cell)) for cell in (*columns, *row))
    assert "<" not in seen.state
    for text in (seen.waiting, seen.page):
        assert not HIDDEN.search(" ".join(Parts(text).text).replace("\n", ""))
        assert "<" not in name or name not in text
    data = carried(seen.page)
    assert held(data["targets"], name)
    assert held([row[0] for row in unpacked(data["each"][0])["tables"]["effects"]["rows"]], name)


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_neither_runs_nor_is_lost_in_a_page_that_is_served(case, seen):
    name = taken(NAMES[case])
    row = next(n for n, cell in enumerate(seen.live["tasks"]) if held([cell], f"all but {plain(name)}"))
    assert last_words(case) in "".join(letters(seen.live["error"][row]))
    assert held(seen.live, plain(name, 80))
    assert held(seen.tasks, name)
    assert held(seen.targets, name)
    assert any("".join(letters(option)).startswith("".join(letters(name))[:50]) for option in seen.options)
    assert seen.early == seen.late == (None, 0, [])


def test_names_make_no_elements_in_pages_that_are_served(seen):
    state = {"where": "runs.db", "version": "0", "words": "11 done"}
    for text, harmless_text in ((seen.waiting, page.waiting(state)), (seen.page, page.html(REPORTS["many"](), state))):
        made, harmless = ({*Parts(one).tags} - {"code"} for one in (text, harmless_text))  # of a command to run next
        assert made == harmless


def test_axe_finds_nothing_serious_before_there_is_an_answer_and_after(browser, tmp_path, everything_shown):
    place, failing = tmp_path / "runs.db", Additive(fails=[15])  # a run that fails stands in the table of the last
    with Store(place) as store:
        store.enlist(store.settle(failing, failing.tasks), DESIGN, np.zeros(len(DESIGN), int))
    evaluate(failing, DESIGN[:3], store=place, progress=False)
    pages = pages_of(place)
    pages.step()
    with served(pages) as ask:
        address = f"http://127.0.0.1:{ask.port}/"
        for ready in (False, True):
            if ready:
                evaluate(failing, DESIGN, store=place, progress=False)
                pages.step()
            for scheme in ("light", "dark"):
                with opened(browser, address, scheme=scheme, ready=ready) as tab:
                    tab.wait_for_selector("#live-rows td")
                    assert ("No attribution yet" in tab.locator("main").inner_text()) != ready
                    assert serious(tab) == []
                    assert tab.said == []


@pytest.fixture(scope="module")
def tagged(browser, tmp_path_factory, everything_shown):
    """A store in which every name is the tag of a problem and a fidelity: its state, and what Chromium shows of it."""
    found, place = Seen(), tmp_path_factory.mktemp("tags") / "runs.db"
    with Store(place) as store:
        for name in TASKS:
            evaluator = Additive(fidelity=name)
            store.enlist(store.settle(evaluator, evaluator.tasks, name), np.ones((1, 4)), np.zeros(1, int))
    found.place, pages = place, pages_of(place)
    pages.step()
    with served(pages) as ask:
        found.state = json.loads(ask("/state.json")[2])
        with opened(browser, f"http://127.0.0.1:{ask.port}/", ready=False) as tab:
            found.live, found.end = shown_live(tab), ended(tab)
    return found


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_tag_or_fidelity_neither_runs_nor_is_lost(case, tagged):
    name = taken(NAMES[case])
    own = plain(name, 80)
    for column in ("tag", "fidelity"):
        assert held(tagged.live[column], own)
    assert any(held([row[1]], own) and held([row[2]], own) for row in tagged.state["table"]["rows"])
    assert tagged.end == (None, 0, [])
    one = live.look([Source(tagged.place, tag=name)])
    assert (one.words, len(one.table["rows"])) == ("1 queued", 1)


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_of_a_store_is_text(case):
    name = taken(NAMES[case])
    parts = Parts(server.Pages(name, lambda: None, lambda: None).page.body.decode())
    assert parts.tags == Parts(page.waiting({"where": "", "version": "", "words": ""})).tags
    assert "".join(letters(name)) in "".join(letters("".join(parts.text)))
    assert not HIDDEN.search("".join(parts.text).replace("\n", ""))
