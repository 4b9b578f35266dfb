"""The documentation: blocks of code run and print what their page shows, messages exist, links lead somewhere."""

import doctest
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed")

from docs import blocks, formulas, messages, verbs
from docs.renew import renew

from tests.browser import chromium, opened

PAGES = {page.name: page for page in blocks.pages()}
WITH_CODE = [name for name, page in PAGES.items() if any(block.runs for block in page.blocks)]
UNRUN = [
    pytest.param(page.name, words, id=f"{page.name}: {' '.join(words)[:60]}")
    for page in PAGES.values()
    for block in page.blocks
    if block.language == "sh" and not block.runs
    for words in blocks.commands(block)
]
#: Attributes by which a page makes the browser fetch something.
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}


@pytest.mark.parametrize("name", WITH_CODE)
def test_every_block_runs_and_prints_what_is_shown(name, tmp_path):
    page = PAGES[name]
    for package in page.needs:
        pytest.importorskip(package, reason=f"{package} is not installed")
    with blocks.session(page, tmp_path) as run:
        for block, shown in blocks.shown_after(page):
            printed = run(block)
            if shown is not None and block.runs:
                wrong = blocks.faults(shown.text, printed)
                assert not wrong, f"{name}:{shown.line + 1}, renew with: python docs/renew.py {name}\n{wrong}"


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_of_a_kind_that_is_checked(name):
    page = PAGES[name]
    for block in page.blocks:
        where = f"{name}:{block.line + 1}"
        assert block.title or block.language in (*blocks.RUN, *blocks.SHOWN), where
        assert set(block.classes) <= {"fails", "live", "form"}, where
        assert not page.text.splitlines()[block.line].startswith(" "), f"{where}: blocks stand at the margin"
    for block, after in blocks.shown_after(page):
        assert after is None or after.text.strip(), f"{name}:{after.line + 1}: nothing is shown"
        if block.language == "output":
            assert any(after is block for _, after in blocks.shown_after(page)), f"{name}:{block.line + 1}: of what?"


@pytest.mark.parametrize(("name", "words"), UNRUN)
def test_what_is_not_run_would_be_understood(name, words):
    if words[0] == "make":
        makefile = (blocks.ROOT / "Makefile").read_text()
        assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), words
    elif words[0] == "pip":
        extras = re.findall(r"\[(\w+)\]", " ".join(words))
        assert set(extras) <= set(metadata.metadata("interplay").get_all("Provides-Extra") or ())
    else:
        assert words[0] == "interplay", words
        understood(verbs._root(), words[1:])


def understood(command, words):
    """Parse a command line as the program would, without running it; what it does not know is an error."""
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("interplay", list(words))


def test_options_that_do_not_exist_are_not_understood():
    with pytest.raises(Exception, match="No such option"):
        understood(verbs._root(), ["attribute", "runs.csv", "--targets", "loss"])


@pytest.mark.parametrize(("name", "message"), list(messages.quoted()))
def test_every_message_comes_from_the_sources(name, message):
    assert messages.known(message), f"{name}: nothing in src/interplay says this any more"


def test_all_messages_are_listed():
    listed = [text for texts in messages.raised().values() for text in texts]
    assert len(listed) > 500
    assert "no task is switched in the runs; add runs whose masks differ." in messages.raised()["fitting"]
    assert any("at least … are needed to attribute anything" in text for text in listed)


def test_a_message_that_nothing_says_is_found():
    assert messages.known("interplay: no task is switched in the runs; add runs whose masks differ.")
    assert not messages.known("no task is ever switched in the runs; add runs whose masks differ.")
    assert not messages.known("runs.csv was eaten by the dog")


@pytest.mark.parametrize(
    ("shown", "printed", "said"),
    [
        ("a 1.23\nb\n", "a 1.23\nb\n", ""),
        ("a 1.23 in 4.5 s\n", "a 1.24 in 17 s\n", ""),
        ("a 1.23\n", "a 1.53\n", "printed: a 1.53"),
        ("2 runs\n", "3 runs\n", "printed: 3 runs"),
        ("a\n...\nd\n", "a\nb\nc\nd\n", ""),
        ("a\n...\n", "a\nb\nc\n", ""),
        ("a\nd\n", "a\nb\nc\nd\n", "printed: b"),
        ("a\n", "a\nb\n", "not shown: b"),
        ("a\n...\ne\n", "a\nb\n", "shown:   e"),
        ("a\nb\n", "a\n", "(nothing more)"),
    ],
)
def test_what_is_shown_is_compared(shown, printed, said):
    found = blocks.faults(shown, printed)
    assert said in found
    assert bool(found) == bool(said)


def test_outputs_are_renewed(tmp_path, monkeypatch):
    text = "# A\n\n```python\nprint('one')\nprint('two 2.5')\n```\n\n```output\none\n```\n\n```python\nx = 3\n```\n"
    text += "\n```python\nprint(1)\nprint(2)\nprint(x)\n```\n\n```output\n...\n4\n```\n"
    monkeypatch.setattr(blocks, "DOCS", tmp_path)
    monkeypatch.setattr("docs.renew.DOCS", tmp_path)
    (tmp_path / "a.md").write_text(text)
    assert renew(blocks.read(tmp_path / "a.md")) == ["a.md:8", "a.md:22"]
    again = blocks.read(tmp_path / "a.md")
    assert [block.text for block in again.blocks if block.language == "output"] == ["one\ntwo 2.5\n", "...\n1\n"]


def test_a_block_that_fails_is_no_success(tmp_path):
    text = "```python\n1 / 0\n```\n"
    page = blocks.Page("a.md", text, tuple(blocks.fences(text)))
    with blocks.session(page, tmp_path) as run, pytest.raises(ZeroDivisionError):
        run(page.blocks[0])
    fails = blocks.replace(page.blocks[0], classes=("fails",))
    with blocks.session(page, tmp_path) as run:
        assert run(fails) == "ZeroDivisionError: division by zero\n"
    with blocks.session(page, tmp_path) as run, pytest.raises(AssertionError, match="was to fail and did not"):
        run(blocks.replace(fails, text="1\n"))
    with pytest.raises(ValueError, match="line 1: this block is never closed"):
        list(blocks.fences("```python\n1\n"))


def test_the_front_page_answers_the_eight_questions():
    text = PAGES["index.md"].text
    others = {"how-to/index.md", "how-to/coming-from.md"}
    questions = [name for name in PAGES if name.startswith("how-to/") and name not in others]
    assert len(questions) == 8
    for name in questions:
        assert f"]({name})" in text, name
        page = PAGES[name]
        title = re.findall(r"^# (.*)$", page.text, re.MULTILINE)[0]
        assert f"[{title}](" in text, "the question stands on the front page as it does on its own"
        assert page.blocks[0].line < 20, f"{name}: the answer comes first"
        for heading in ("## Limits", "## Messages"):
            assert f"\n{heading}\n" in page.text, name


@pytest.mark.parametrize("module", [blocks, formulas])
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(
    ("formula", "drawn"),
    [
        (r"2^K", "<msup><mn>2</mn><mi>K</mi></msup>"),
        (r"a_{ik} - .5", "<msub><mi>a</mi><mrow><mi>i</mi><mi>k</mi></mrow></msub><mo>−</mo><mn>.5</mn>"),
        (r"\frac{1}{n}", "<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>"),
        (r"x < \theta", "<mi>x</mi><mo>&lt;</mo><mi>θ</mi>"),
        (r"\text{loss}(y)", "<mtext>loss</mtext><mo>(</mo><mi>y</mi><mo>)</mo>"),
        (r"\sum_i s", "<msub><mo>∑</mo><mi>i</mi></msub><mi>s</mi>"),
    ],
)
def test_formulas_are_drawn_without_scripts(formula, drawn):
    assert formulas.mathml(formula) == f"<math>{drawn}</math>"
    assert formulas.written(f"of \\({formula}\\).") == f"of <span><math>{drawn}</math></span>."
    assert formulas.written(f"```text\n\\({formula}\\)\n```") == f"```text\n\\({formula}\\)\n```"
    assert "<munder>" in formulas.written("```math\n\\sum_i s\n```")


@pytest.mark.parametrize(
    ("formula", "said"),
    [("x_", "ends too early"), ("{x", "never closed"), ("x}", "closes nothing"), (r"\alpha", r"\\alpha is not known")],
)
def test_formulas_that_are_not_understood(formula, said):
    with pytest.raises(ValueError, match=said):
        formulas.mathml(formula)


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ") and line != "| what | figure |"]


def test_figures_of_the_readme_are_those_of_the_page():
    readme = (blocks.ROOT / "README.md").read_text().split("## What was measured")[1].split("\n## ")[0]
    page = rows(PAGES["explanation/measured.md"].text)
    assert len(rows(readme)) == 6
    assert set(rows(readme)) <= set(page)
    assert f"Six of {len(page)} figures" in readme


def test_the_choice_in_the_readme_is_what_is_printed(tmp_path):
    from interplay.problems.digits import recording

    fences = blocks.fences((blocks.ROOT / "README.md").read_text())
    command, shown = next(block.text for block in fences if "$ interplay select" in block.text).split("\n", 1)
    block = blocks.Block(0, "sh", (), None, command.removeprefix("$ "))
    with blocks.session(blocks.Page("README.md", "", (block,)), tmp_path) as run:
        recording("p75").where(seed=100).select(["loss"]).write("runs.csv")
        wrong = blocks.faults(shown, run(block))
    assert not wrong, wrong


class Ids(HTMLParser):
    """Collects what a page links to, loads and names."""

    def __init__(self):
        super().__init__()
        self.links, self.loads, self.ids = set(), set(), set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])
        if tag == "link" and given.get("href"):
            self.loads.add(given["href"])
        if given.get(LOADS.get(tag, "")):
            self.loads.add(given[LOADS[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", folder],
        cwd=blocks.ROOT,
        env={**blocks.os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def read(path):
    found = Ids()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def test_the_site_stands_by_itself(site):
    """One test, so that the site is built once: links, anchors, pictures, and nothing from another host."""
    pages = {path.resolve(): read(path) for path in site.rglob("*.html")}
    assert len(pages) > 80
    for path, page in pages.items():
        for address in page.links | page.loads:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                assert address not in page.loads or parts.scheme == "data", f"{path.name} loads {address}"
                continue
            if path.name == "404.html" and address.startswith("/"):
                address = "." + address  # it is served at any depth
            place = (path.parent / unquote(urlsplit(address).path)).resolve() if urlsplit(address).path else path
            place = place / "index.html" if place.is_dir() else place
            assert place.exists(), f"{path.relative_to(site)} points to {address}, which is not there"
            if parts.fragment and place in pages and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in pages[place].ids, f"{path.relative_to(site)}: no {address}"
    for path in [*site.rglob("*.css"), *pages]:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)\"']*", text), path
    for verb in ("attribute", "select", "problem-instruct"):
        assert (site / "reference" / "command-line" / f"{verb}.html").exists()
    errors = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert errors.count("<li><code>") == len(list(messages.quoted()))
    assert '<math display="block">' in (site / "explanation" / "how-it-works.html").read_text(encoding="utf-8")
    hidden = [path for path in site.rglob("*") if path.suffix == ".py" and "examples" not in path.parts]
    assert not hidden
    assert not [path for path in site.rglob("*") if path.suffix in (".db", ".pyc")]
    mixture = (site / "tutorials" / "mixture.html").read_text(encoding="utf-8")
    assert '<span class="go row">gsm8k  ' in mixture
    assert '<span class="go">Verdict: ' in mixture
    if find_spec("playwright"):
        search_works_from_a_folder(site)
        tables_keep_their_columns(site)


def search_works_from_a_folder(site):
    with chromium() as browser, opened(browser, site / "how-to" / "noisy-runs.html", ready=False) as page:
        page.click(".md-search__input")
        page.keyboard.type("which sources hurt")
        first = page.wait_for_selector(".md-search-result__item a")
        assert first.get_attribute("href").split("?")[0].endswith("/how-to/which-sources-hurt.html")
        assert page.said == []


def tables_keep_their_columns(site):
    """On a narrow screen rows of printed tables are one line each and scroll in their block; sentences wrap."""
    lines = "all => all.map(one => one.getClientRects().length)"
    with chromium() as browser, opened(browser, site / "tutorials" / "mixture.html", 400, ready=False) as page:
        assert set(page.locator(".language-output .row").evaluate_all(lines)) == {1}
        assert max(page.locator(".language-output .go:not(.row)").evaluate_all(lines)) > 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.said == []


def test_pictures_are_small():
    pictures = list((blocks.DOCS / "pictures").glob("*.png"))
    assert {path.stem for path in pictures} == {"effects", "interactions", "mixture", "page"}
    for path in pictures:
        assert path.stat().st_size < 200_000, path
        assert Path(path).read_bytes().startswith(b"\x89PNG")
