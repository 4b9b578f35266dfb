"""The page, figures and notebook of a choice: what they say, that names stay text, in a real Chromium and on paper."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.figures import choice as figures
from interplay.figures.printed import printed
from interplay.report import chosen as pages
from interplay.selection import result
from tests.browser import opened, serious
from tests.choices import CHOICES, choice
from tests.hostile import NAMES, TASKS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choices")
    return {name: pages.write(CHOICES[name](), folder / f"{name}.html") for name in CHOICES}


# ---- figures


def specs(chosen):
    made = {"choice": figures.choice(chosen), "gains": figures.gains(chosen), "predicted": figures.predicted(chosen)}
    return made | ({"front": found} if (found := figures.front(chosen)) else {})


@pytest.mark.parametrize("name", CHOICES)
def test_figures_are_json_say_their_unit_and_can_be_printed(name):
    pytest.importorskip("matplotlib")
    made = specs(CHOICES[name]())
    assert ("front" in made) == (name == "worst")
    for kind, spec in made.items():
        json.dumps(spec, allow_nan=False)
        said = spec["layout"]["xaxis"]["title"]["text"].replace("<br>", " ")
        assert {"choice": "weight" if name in ("mixture", "worst") else "tasks"}.get(kind, "95 % intervals") in said
        assert printed(spec).axes


def test_what_is_in_and_what_is_told_apart():
    chosen = choice()
    spec = figures.choice(chosen)
    inside, out = spec["data"]
    own = {name for name, x in zip(inside["y"], inside["x"], strict=True) if x == "the choice"}
    assert own == set(chosen.names)
    assert {name for name, x in zip(out["y"], out["x"], strict=True) if x == "the choice"} == set(chosen.tasks) - own
    better, open_ = figures.gains(chosen)["data"]
    tied = [c for c in chosen.of(result.ALTERNATIVE) if not c.told_apart]
    assert better["name"] == "the choice is better (95 %)"
    assert 0 < len(tied) < 6
    assert sum(name.startswith("alternative") for name in open_["y"]) == chosen.tied == len(tied)
    assert "the choice" not in better["y"] + open_["y"]


def test_many_tasks_are_cut_to_those_that_differ():
    names = [f"task {i}" for i in range(200)]
    masks = figures.choice(choice("mask", names), 20)
    assert len(set(masks["layout"]["yaxis"]["categoryarray"])) == 20
    assert "20 of 200 tasks" in masks["layout"]["xaxis"]["title"]["text"]
    weights = figures.choice(choice("mixture", names), 20)
    assert "the 20 of 200 tasks with the largest" in weights["layout"]["xaxis"]["title"]["text"].replace("<br>", " ")


def test_plots(tmp_path):
    pytest.importorskip("plotly")
    for chosen in (choice(), choice("mixture", targets=("a", "b"))):
        for name, figure in (("holds", ip.plots.selection(chosen)), ("gains", ip.plots.selection_gains(chosen))):
            assert figure.data
            for suffix in (".png", ".svg", ".pdf", ".html"):
                assert ip.plots.save(figure, tmp_path / f"{name}{suffix}").stat().st_size > 1000
    assert "in b" in ip.plots.selection_gains(chosen, "b").layout.xaxis.title.text
    with pytest.raises(EvaluationsError, match="no target is called 'c'"):
        ip.plots.selection_gains(chosen, "c")
    with pytest.raises(ValueError, match="give 2 or more"):
        ip.plots.selection(chosen, most=1)


# ---- the page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", sorted(CHOICES))
def test_it_opens_without_errors_within_its_width(browser, files, name, width, scheme):
    with opened(browser, files[name], width, scheme) as page:
        assert page.said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".figure:not(.empty) .main-svg").count() >= 3
        text = page.locator("main").inner_text()
        assert CHOICES[name]().verdict in text
        assert "undefined" not in text
        assert "NaN" not in text.replace("nan", "")


def test_axe_finds_nothing_serious(browser, files):
    for scheme in ("light", "dark"):
        with opened(browser, files["worst"], scheme=scheme) as page:
            assert serious(page) == []


def test_targets_are_chosen(browser, files):
    chosen = CHOICES["worst"]()
    with opened(browser, files["worst"]) as page:
        page.locator('[data-table="targets"]').get_by_role("button", name="acc/c").click()
        page.locator("#target-about", has_text="acc/c").wait_for()
        cells = page.locator('[data-table="candidates"] tbody tr:first-child td').all_inner_texts()
        assert cells[0] == "the choice"
        assert float(cells[4]) == pytest.approx(chosen.choice.measured[2], rel=1e-3)
        assert page.said == []


def test_downloads_are_the_tables(browser, files, tmp_path):
    chosen = CHOICES["mixture"]()
    with opened(browser, files["mixture"]) as page:
        for name in ("choice.csv", "candidates.csv", "weights.csv"):
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            download.value.save_as(tmp_path / name)
        assert page.said == []
    np.testing.assert_allclose(pd.read_csv(tmp_path / "choice.csv")["weight"], chosen.weights, rtol=1e-5)
    assert len(pd.read_csv(tmp_path / "candidates.csv")) == len(chosen.candidates)
    wide = pd.read_csv(tmp_path / "weights.csv").set_index("run")
    np.testing.assert_allclose(wide.loc["choice", list(chosen.tasks)].astype(float), chosen.weights, rtol=1e-5)
    assert "alternative 6" in wide.index


def test_a_page_without_scripts_still_says_the_choice(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(Path(files["mask"]).as_uri())
    text = page.locator("main").inner_text()
    context.close()
    for words in ("solid", *choice().names, "Gains over all tasks", "Gains over the best run", "size 3 to 5"):
        assert words in text


# ---- names that mean harm


@pytest.fixture(scope="module", params=["mask", "mixture"])
def hostile(request, browser, tmp_path_factory):
    """A page whose tasks, targets, rules and notes are all hostile, with every target chosen once."""
    names = TASKS[:8]
    chosen = choice(request.param, TASKS, [f"{name} " for name in names], front=2, warnings=TASKS, rules=TASKS)
    path = pages.write(chosen, tmp_path_factory.mktemp("hostile") / "<img src=x>.html")
    with opened(browser, path) as page:
        cells = page.locator('[data-table="weights"] tbody tr td:first-child').all_inner_texts()
        for t in range(len(names)):
            page.locator("#target").select_option(str(t))
            page.wait_for_timeout(60)
        page.mouse.move(300, 300)
        yield page, [cell.strip() for cell in cells]


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_neither_runs_nor_is_lost(case, hostile):
    page, seen = hostile
    letters = lambda text: [c for c in text if c.isalnum()]
    name = NAMES[case].strip() or "(blank)"
    assert any(letters(cell) == letters(name) for cell in seen)
    assert page.evaluate("window.hacked") is None
    assert page.said == []
    assert page.locator("main img, main iframe, main a[href^=javascript], main script").count() == 0


@pytest.mark.parametrize("kind", ["mask", "mixture"])
def test_hostile_names_in_tables_terminal_notebook_and_print(kind):
    pytest.importorskip("matplotlib")
    names = tuple(NAMES.values())
    chosen = choice(kind, names, names[:3], warnings=names, rules=names, objective=" ".join(names))
    for _, _, text in pages.downloads(chosen):
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        cells = [
            *frame.columns,
            *frame.select_dtypes("str" if "str" in map(str, frame.dtypes) else "object").to_numpy().ravel(),
        ]
        named = [cell for cell in cells if not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell)]
        assert not [cell for cell in named if cell.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝")]
    assert not set(repr(chosen)) & {"\x1b", "\x07", "\r", "\u202e", "\u200b", "\0"}
    fragment = chosen._repr_html_()
    for tag in ("<script", "<img", "<svg onload", "<iframe", "<b>bold", "<a "):
        assert tag not in fragment
    assert "Verdict: solid" in fragment
    for spec in specs(chosen).values():
        printed(spec)


def test_a_notebook_says_what_a_choice_gains():
    chosen = choice(targets=("a", "b"))
    fragment = chosen._repr_html_()
    assert "In a, the first of 2 targets (lower is better" in fragment
    assert "+0.3&nbsp;" in fragment
    assert fragment.count("?") >= chosen.tied
