"""The page of an answer in a real Chromium: it opens, sorts, filters, switches, downloads; names stay text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.report import page as pages
from interplay.report.average import told_apart

from .browser import opened, serious
from .hostile import NAMES, TASKS
from .reports import REPORTS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = {name: folder / f"{name}.html" for name in REPORTS}
    for name, path in made.items():
        pages.write(REPORTS[name](), path)
    return made


RIGHT = "all => all.map(one => one.getBoundingClientRect().right)"


def column(page, table, n):
    cells = page.locator(f'[data-table="{table}"] tbody tr td:nth-child({n})')
    return cells.evaluate_all("cells => cells.map(cell => cell.innerText.trim())")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_it_opens_without_errors_within_its_width(browser, files, name, width, scheme):
    with opened(browser, files[name], width, scheme) as page:
        assert page.said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".figure:not(.empty) .main-svg").count() >= 3
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        text = page.locator("main").inner_text()
        assert "undefined" not in text
        assert "NaN" not in text


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_axe_finds_nothing_serious(browser, files, name):
    for scheme in ("light", "dark"):
        with opened(browser, files[name], scheme=scheme) as page:
            assert serious(page) == []


def test_tables_sort_and_filter(browser, files):
    answer = REPORTS["one"]()
    with opened(browser, files["one"]) as page:
        table = page.locator('[data-table="effects"]')
        order = np.argsort(-answer.effects[:, 0])
        assert column(page, "effects", 1) == [answer.tasks[k] for k in order]
        table.get_by_role("button", name="task").click()
        assert column(page, "effects", 1) == sorted(answer.tasks)
        table.get_by_role("button", name="task").click()
        assert column(page, "effects", 1) == sorted(answer.tasks, reverse=True)
        table.get_by_role("button", name="benefit").focus()
        page.keyboard.press("Enter")
        assert table.locator('th[aria-sort="descending"]').inner_text().startswith("benefit")
        assert column(page, "effects", 1) == [answer.tasks[k] for k in order]
        pairs = page.locator('[data-table="pairs"]')
        pairs.get_by_role("searchbox").fill("spam")
        rows = pairs.locator("tbody tr").all_inner_texts()
        assert len(rows) == 7
        assert all("spam" in row for row in rows)
        assert "7 of 28 rows" in pairs.inner_text()


def test_targets_are_found_chosen_and_shown(browser, files):
    answer = REPORTS["many"]()
    with opened(browser, files["many"]) as page:
        best = lambda t: answer.tasks[int(np.argmax(answer.effects[:, t]))]
        first, _ = told_apart(answer)  # the page opens on the target that tells most
        assert page.locator("#target").input_value() == str(first)
        assert column(page, "effects", 1)[0] == best(first)
        page.locator("#target").select_option("2")
        page.locator("#target-about", has_text="loss/c").wait_for()
        assert column(page, "effects", 1)[0] == best(2)
        page.locator("#find").fill("accuracy/e")
        page.locator("#target-about", has_text="accuracy/e").wait_for()
        assert "higher is better" in page.locator("#target-about").inner_text()
        page.locator('[data-table="targets"]').get_by_role("button", name="loss/b").click()
        page.locator("#target-about", has_text="loss/b").wait_for()
        assert page.locator("#target").input_value() == "1"
        assert column(page, "groups", 1) == ["text", "all but base"]
        assert page.said == []


def test_what_is_not_found_is_said(browser, files):
    with opened(browser, files["many"]) as page:
        shown = lambda: page.locator("#target").evaluate("select => select.selectedOptions[0].text")
        page.locator("#find").fill("nowhere")
        assert page.locator("#target option").all_text_contents() == ["no target"]
        assert shown() == "no target"
        page.locator("#find").fill("accuracy")
        assert shown() == "2 targets found"
        page.locator("#target").select_option("4")
        page.locator("#target-about", has_text="accuracy/e").wait_for()
        page.locator("#find").fill("")
        assert page.locator("#target option").count() == 5
        assert page.locator("#target").input_value() == "4"
        assert page.said == []


def test_groups_say_their_unit_and_stand_over_all_targets_too(browser, files):
    with opened(browser, files["many"]) as page:
        own = page.locator('[data-table="groups"]')
        name = REPORTS["many"]().targets[told_apart(REPORTS["many"]())[0]]
        assert f"benefit in {name}, its own unit" in own.inner_text()
        assert column(page, "groups_over", 1) == ["text", "all but base"]
        assert "surest help" in page.locator('[data-table="groups_over"]').inner_text()
        page.locator("#target").select_option("3")
        page.locator("#target-about", has_text="accuracy/d").wait_for()
        assert "benefit in accuracy/d, its own unit" in own.inner_text()
        assert page.locator(".about").count() == page.locator(".table:not(.empty):has(.about)").count()
    with opened(browser, files["one"]) as page:
        assert page.locator('[data-table="groups"]').evaluate("one => one.classList.contains('empty')")


def test_long_names_leave_room_for_benefits_and_their_intervals(browser, tmp_path):
    answer = REPORTS["one"]()
    names = tuple(f"{name}/a/rather/long/name/of/a/source/{name}" for name in answer.tasks)
    path = pages.write(replace(answer, tasks=names), tmp_path / "long.html")
    with opened(browser, path, 400) as page:
        heads = page.locator('[data-table="effects"] thead th')
        right = dict(zip(heads.all_inner_texts(), heads.evaluate_all(RIGHT), strict=True))
        assert right["to"] < page.locator('[data-table="effects"] .scroll').evaluate_all(RIGHT)[0]
        assert sorted(column(page, "effects", 1)) == sorted(names)


def test_what_all_names_share_is_left_out_of_tables_and_kept_in_tooltips_and_files(browser, tmp_path):
    answer = REPORTS["many"]()
    task, target = (
        lambda name: f"train_the_pile_of_2024_<{name}>",
        lambda name: f"valid/the_pile_{name.replace('/', '_')}/loss",
    )
    long = replace(
        answer,
        tasks=tuple(map(task, answer.tasks)),
        targets=tuple(map(target, answer.targets)),
        unidentified=tuple(map(task, answer.unidentified)),
    )
    with opened(browser, pages.write(long, tmp_path / "long.html"), 1280) as page:
        for name in ("over_targets", "targets", "effects", "pairs"):
            box = page.locator(f'[data-table="{name}"] .scroll')
            assert box.evaluate("one => one.scrollWidth <= one.clientWidth"), name
        said = "Names are shortened: tasks are train_the_pile_of_2024_…, targets are valid/the_pile_…/loss."
        assert said in page.locator('[data-table="over_targets"] .about').inner_text()
        assert said in page.locator(".verdict").inner_text()
        assert sorted(column(page, "effects", 1)) == sorted(
            f"<{name}>" for name in (*answer.tasks, *answer.unidentified)
        )
        first = page.locator('[data-table="over_targets"] tbody tr').first.locator("td div")
        name = first.first.inner_text()
        assert first.first.get_attribute("title") == task(name[1:-1])
        assert first.nth(1).get_attribute("title").startswith("valid/the_pile_")
        for blank in first.all():
            assert blank.inner_text() or blank.get_attribute("title") is None  # a task that helps no target
        button = page.locator('[data-table="targets"] tbody button').nth(2)
        assert button.inner_text() == "loss_c"
        button.click()
        page.locator("#target-about", has_text=target("loss/c")).wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="effects.csv").click()
        download.value.save_as(tmp_path / "effects.csv")
        assert page.said == []
    frame = pd.read_csv(tmp_path / "effects.csv")
    assert set(frame["task"]) == {*long.tasks, *long.unidentified}
    assert set(frame["target"]) == set(long.targets)


def test_a_page_of_many_targets_carries_common_strings_once(browser, tmp_path):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(6, 40, p=0.6, rng=rng)
    names = ["web", "\x7f0", "<b>bold</b>", *"def"]
    runs = ip.Evaluations.from_arrays(masks, masks @ rng.normal(size=(6, 101)), tasks=names)
    answer = ip.attribute(runs, surrogate="ridge", pairs=False)
    with opened(browser, pages.write(answer, tmp_path / "wide.html")) as page:
        for t in (0, 100):
            page.locator("#target").select_option(str(t))
            page.locator("#target-about", has_text=answer.targets[t]).wait_for()
            order = np.argsort(-answer.effects[:, t], kind="stable")
            assert column(page, "effects", 1) == [answer.tasks[k].replace("\x7f", "?") for k in order]
        assert page.locator("main b").count() == 0
        assert page.said == []


def test_downloads_are_the_tables(browser, files, tmp_path):
    answer = REPORTS["many"]()
    with opened(browser, files["many"]) as page:
        listed = page.locator("#files button").all_inner_texts()
        assert {"overview.csv", "targets.csv", "pairs.csv", "groups.csv", "surrogates.csv"} < set(listed)
        for name in listed:
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            download.value.save_as(tmp_path / name)
        assert page.said == []
    raw = (tmp_path / "effects.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # so that spreadsheets read it as UTF-8
    frame = pd.read_csv(tmp_path / "effects.csv")
    whole = answer.to_frame().set_index(["task", "target"])["benefit"]
    assert frame["target"].drop_duplicates().tolist() == list(answer.targets)  # target by target
    shown = frame.set_index(["task", "target"])["benefit"].reindex(whole.index)
    np.testing.assert_allclose(shown, whole, rtol=1e-5)
    assert len(pd.read_csv(tmp_path / "held_out.csv")) == answer.held_out.predicted.size


def test_the_theme_is_switched_and_print_is_light(browser, files):
    with opened(browser, files["one"], scheme="dark") as page:
        page.locator("#theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        page.locator("#theme").click()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        drawn = page.locator(".figure:not(.empty) .main-svg").evaluate_all("all => all.map(one => one.clientWidth)")
        assert max(drawn) <= 900  # what a browser still makes fit on paper
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.pdf().startswith(b"%PDF")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.locator("main").bounding_box()["width"] == 1200
        assert page.said == []


def test_a_page_without_scripts_still_says_the_answer(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Path(files["one"]).as_uri())
    text = page.locator("main").inner_text()
    context.close()
    answer = REPORTS["one"]()
    assert answer.trust.verdict in text
    assert answer.tasks[int(np.argmax(answer.effects[:, 0]))] in text
    assert "need scripts" in text


@pytest.fixture(scope="module")
def hostile(browser, tmp_path_factory):
    """A page whose tasks, targets and groups are all hostile, with every target chosen once."""
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(len(TASKS), 2 * len(TASKS), p=0.7, rng=rng)
    names = TASKS[:12]
    values = masks @ rng.normal(size=(len(TASKS), len(names)))
    runs = ip.Evaluations.from_arrays(
        masks, values, tasks=TASKS, targets=[f"{name} " for name in names], origin=names[0]
    )
    answer = ip.attribute(runs, groups={name: TASKS[:2] for name in TASKS})
    path = pages.write(answer, tmp_path_factory.mktemp("hostile") / "<img src=x>.html")
    with opened(browser, path) as page:
        seen = {cell: page.evaluate("window.hacked") for cell in column(page, "effects", 1)}
        texts = [page.locator("main").inner_html()]
        for t in range(len(names)):
            page.locator("#target").select_option(str(t))
            page.wait_for_timeout(60)
        page.mouse.move(300, 300)
        yield page, seen, texts


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_neither_runs_nor_is_lost(case, hostile):
    page, seen, _ = hostile
    letters = lambda text: [c for c in text if c.isalnum()]
    name = NAMES[case].strip() or "(blank)"
    assert any(letters(cell) == letters(name) for cell in seen)
    assert page.evaluate("window.hacked") is None
    assert page.said == []
    assert page.locator("main img, main iframe, main a[href^=javascript], main script").count() == 0


def test_a_step_saves_the_file_that_it_reads(browser, tmp_path):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(6, 60, p=0.5, rng=rng)
    each = np.outer(masks @ [3.0, 1.0, 0.0, 0.0, -1.0, -2.0], [1, 1, 1, 1, 1, 1, -1, -1])
    runs = ip.Evaluations.from_arrays(masks, 9 - each + 0.05 * rng.normal(size=each.shape))
    answer = ip.attribute(runs, surrogate="ridge")
    given = {"runs": "runs.csv", "target": [], "derived": False}
    answer = replace(answer, trust=replace(answer.trust, verdict="solid"), made={**answer.made, "given": given})
    with opened(browser, pages.write(answer, tmp_path / "page.html")) as page:
        step = page.locator(".step", has_text="opposite way")
        assert step.locator("code").inner_text() == (
            "interplay attribute runs.csv --derive 'opposite=mean_z(@opposite.txt)'"
        )
        with page.expect_download() as download:
            step.get_by_role("button").click()
        assert download.value.suggested_filename == "opposite.txt"
        download.value.save_as(tmp_path / "opposite.txt")
        assert page.said == []
    assert (tmp_path / "opposite.txt").read_text(encoding="utf-8-sig").split() == ["target_6", "target_7"]
