"""The page of an answer, without a browser: what it says, what it carries, and that names in it are text."""

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import interplay as ip
from interplay.report import document, downloads, page
from interplay.report.words import safe_cell

from .hostile import NAMES
from .reports import REPORTS


class Parts(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.scripts, self._inside = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1][1] += data
        elif not self._inside:
            self.text.append(data)


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def carried(text):
    """What a page carries for its scripts."""
    return json.loads(next(body for attrs, body in Parts(text).scripts if attrs.get("id") == "data"))


@pytest.fixture(scope="module", params=sorted(REPORTS))
def answer(request):
    return REPORTS[request.param]()


def test_a_page_says_the_verdict_first_and_carries_every_target(answer):
    text = page.html(answer)
    parts, data = Parts(text), carried(text)
    words = " ".join(" ".join(parts.text).split())
    assert words.index(answer.trust.verdict) < words.rindex("What was done")
    assert answer.trust.advice.replace("R^2", "R²") in words
    assert len(data["each"]) == len(data["targets"]) == len(answer.targets)
    for t, packed in enumerate(data["each"]):
        one = unpacked(packed)
        rows = one["tables"]["effects"]["rows"]
        assert one["verdict"] == answer.trust.targets[t]
        assert len(rows) == len(answer.tasks) + len(answer.unidentified)
        benefits = [row[1] for row in rows if row[1] is not None]
        np.testing.assert_allclose(benefits, np.sort(answer.effects[:, t])[::-1], rtol=1e-4)
    assert {"interplay", "options", "runs"} <= set(answer.made)
    assert answer.made["runs"]["fingerprint"] in words


def test_every_table_has_a_cell_for_every_column(answer):
    parts = [document.whole(answer), *(document.of_target(answer, t) for t in range(len(answer.targets)))]
    for part in parts:
        for name, table in part["tables"].items():
            if table is not None:
                assert {len(row) for row in table["rows"]} <= {len(table["columns"])}, name
        json.dumps(part, allow_nan=False)


def test_a_loaded_answer_has_the_same_page(answer, tmp_path):
    loaded = ip.Attribution.load(answer.save(tmp_path / "answer.json"))
    whole, again = document.whole(answer), document.whole(loaded)
    assert whole["short"] == again["short"]
    assert whole["figures"] == again["figures"]
    for t in range(len(answer.targets)):
        assert document.of_target(answer, t) == document.of_target(loaded, t)


def test_only_the_scripts_of_the_page_may_run(answer):
    text = page.html(answer)
    scripts = Parts(text).scripts
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert "default-src 'none'" in policy.replace("&#39;", "'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert policy.count("sha256-") == sum("type" not in attrs for attrs, _ in scripts) == 2
    assert all(value.startswith("#") for name, value in Parts(text).attributes if name in ("href", "src"))


def hostile_answer(names):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(len(names), 3 * len(names), p=0.7, rng=rng)
    runs = ip.Evaluations.from_arrays(masks, masks @ rng.normal(size=len(names)), tasks=names, targets=["<i>loss</i>"])
    return ip.attribute(runs, pairs=False)


def taken(name):
    """Name as the table of runs takes it: without white space around it, never empty."""
    return name.strip() or "(blank)"


@pytest.fixture(scope="module")
def hostile():
    names = list(dict.fromkeys(taken(name) for name in NAMES.values()))
    answer = hostile_answer(names)
    return answer, page.html(answer)


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_is_text_in_the_page(case, hostile):
    _, text = hostile
    plain = page.html(REPORTS["one"]())
    assert sorted(set(Parts(text).tags)) == sorted(set(Parts(plain).tags))
    rows = unpacked(carried(text)["each"][0])["tables"]["effects"]["rows"]
    shown = [row[0] for row in rows]
    letters = [c for c in taken(NAMES[case]) if c.isalnum()]
    assert any([c for c in one if c.isalnum()] == letters for one in shown)
    assert not any("\x00" <= c < " " or c in "\u202e\u2028\u200b" for one in shown for c in one)
    for body in (body for attrs, body in Parts(text).scripts if attrs.get("id") == "data"):
        assert "<" not in body


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_is_no_formula_in_a_download_and_is_not_lost(case, hostile):
    answer, _ = hostile
    texts = {name: text for name, _, text in downloads.downloads(answer)}
    frame = pd.read_csv(io.StringIO(texts["effects.csv"]), keep_default_na=False, lineterminator=None)
    name = taken(NAMES[case])
    cells = frame["task"].tolist()
    same = lambda text: text.replace("\r\n", "\n").replace("\r", "\n")
    assert any(same(cell.removeprefix("'")) == same(name) or same(cell) == same(name) for cell in cells)
    assert not any(cell[:1] in "=+-@＝" for cell in cells if cell)
    assert safe_cell(NAMES[case])[:1] not in tuple("=+-@\t\r＝")


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_writes_no_control_codes_to_a_terminal(case, hostile):
    text = repr(hostile_answer([taken(NAMES[case]), "other", "third"]))
    assert not any(c in text for c in "\x1b\x07\x08\x00\r\u202e\u2028\u200b")


@pytest.mark.parametrize("case", NAMES)
def test_a_hostile_name_in_a_file_stays_the_name(case, tmp_path):
    name = taken(NAMES[case])
    same = lambda text: text.replace("\r\n", "\n").replace("\r", "\n")
    runs = ip.Evaluations.from_arrays(np.eye(6)[:, :3], np.arange(6.0), tasks=[name, "b", "c"], targets=["loss"])
    if "\0" in name:  # no CSV: other programs would cut the name there
        with pytest.raises(ip.evaluations.EvaluationsError, match="binary"):
            ip.Evaluations.read(runs.write(tmp_path / "runs.csv"))
        return
    back = ip.Evaluations.read(runs.write(tmp_path / "runs.csv"))
    assert [same(task) for task in back.tasks] == [same(name), "b", "c"]


def test_the_command_line_writes_a_page(tmp_path):
    masks = ip.masks.bernoulli(5, 30, p=0.7, rng=np.random.default_rng(0))
    runs = ip.Evaluations.from_arrays(masks, masks @ np.arange(5.0), targets=["loss"])
    runs.write(tmp_path / "runs.csv")
    command = [sys.executable, "-m", "interplay", "attribute", "runs.csv", "--target", "loss", "--out", "report.html"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.html").read_text()
    assert "attribute runs.csv --target loss --out report.html" in text
    assert not list(tmp_path.glob("*.partial"))


def test_many_pairs_are_cut_to_the_strongest_in_the_download(monkeypatch):
    answer = REPORTS["many"]()
    monkeypatch.setattr(downloads, "MOST", 2 * len(answer.targets))
    files = {name: (what, text) for name, what, text in downloads.downloads(answer)}
    frame = pd.read_csv(io.StringIO(files["pairs.csv"][1]))
    assert "2 strongest" in files["pairs.csv"][0]
    assert (frame.groupby("target").size() == 2).all()
    whole = answer.pairs_frame().set_index(["first", "second", "target"])["interaction"]
    for target, own in frame.groupby("target"):
        strongest = whole.xs(target, level="target").abs().nlargest(2).to_numpy()
        np.testing.assert_allclose(np.sort(own["interaction"].abs())[::-1], strongest, rtol=1e-5)
    assert "runs.csv" not in files
