"""The page of an answer, without a browser: what it says, what it carries, and that names in it are text."""

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interplay as ip
from interplay import figures
from interplay.predictor import Z
from interplay.report import document, downloads, frames, page, tables
from interplay.report.pairs import _share, kind_of_pair
from interplay.report.steps import steps
from interplay.report.summary import Summary
from interplay.report.table import text as terminal
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


def hostile_answer(names, targets=("<i>loss</i>",), **asked):
    rng = np.random.default_rng(0)
    masks = ip.masks.bernoulli(len(names), 3 * len(names), p=0.7, rng=rng)
    values = masks @ rng.normal(size=(len(names), len(targets)))
    runs = ip.Evaluations.from_arrays(masks, values, tasks=names, targets=targets, origin=names[0])
    return ip.attribute(runs, **{"pairs": False, "surrogate": "ridge", **asked})


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


@pytest.fixture(scope="module")
def every_table():
    """All tables of an answer whose names, of whatever, are hostile."""
    names = list(dict.fromkeys(taken(name) for name in NAMES.values()))
    point = (np.ones(len(names)), np.eye(len(names))[0])
    asked = {"groups": {name: names[:2] for name in names}, "contrasts": dict.fromkeys(names, point)}
    answer = hostile_answer(names, [f"{name} " for name in names[:12]], pairs=True, **asked)
    texts = {name: text for name, _, text in downloads.downloads(answer) if text is not None}
    assert set(texts) >= {
        f"{name}.csv" for name in ("effects", "overview", "targets", "pairs", "groups", "contrasts", "held_out")
    }
    return {name: pd.read_csv(io.StringIO(text), keep_default_na=False, dtype=str) for name, text in texts.items()}


@pytest.mark.parametrize("case", NAMES)
def test_no_cell_of_any_download_is_a_formula_and_names_are_kept(case, every_table):
    same = lambda text: text.removeprefix("'").replace("\r\n", "\n").replace("\r", "\n")
    for file, column in (("pairs", "first"), ("groups", "group"), ("contrasts", "contrast"), ("overview", "task")):
        cells = set(every_table[f"{file}.csv"][column])
        if column == "first":
            cells |= set(every_table["pairs.csv"]["second"])
        assert same(taken(NAMES[case])) in {same(cell) for cell in cells}, file
    for file, frame in every_table.items():
        named = [name for name in downloads.NAMES if name in frame]
        assert named or file == "surrogates.csv"
        cells = {cell for name in named for cell in frame[name]}
        assert not [cell for cell in cells if cell.lstrip(" ")[:1] in tuple("=+-@\t\r＝")], file


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
    assert done.stderr == "The page is written: report.html\n"
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
    said, text = files["held_out.csv"]
    assert text is None
    rows = answer.held_out.predicted.size
    assert said == f"not in this page, since it has {rows} rows, more than 10; in Python: answer.held_out_frame()"
    assert files["groups.csv"][1] is not None
    monkeypatch.setattr(downloads, "MOST", 5)
    files = {name: (what, text) for name, what, text in downloads.downloads(answer)}
    assert files["groups.csv"] == (
        "not in this page, since it has 10 rows, more than 5; in Python: answer.groups_frame()",
        None,
    )
    files = {name: what for name, what, _ in downloads.downloads(REPORTS["one"]())}
    assert files["pairs.csv"] == "the 5 strongest of 28 pairs; all: pairs_frame()"
    assert "target" not in files["pairs.csv"]
    assert {"overview.csv", "groups.csv"}.isdisjoint(files)


def column(table, title):
    """Cells of one column of a table of the page."""
    place = [one["title"] for one in table["columns"]].index(title)
    return [row[place] for row in table["rows"]]


# ---- what is said, with its unit and its interval


def test_groups_and_contrasts_say_what_they_measure_in_the_own_unit_of_their_target():
    answer = REPORTS["many"]()
    answer = replace(answer, unit=("per cent of the gap to the floor 1",) * 5)
    one = document.of_target(answer, 1)
    assert one["about"].startswith("Benefit in loss/b, per cent of the gap to the floor 1 (100 × a difference")
    for kind, own in (("groups", answer.groups), ("contrasts", answer.contrasts)):
        said = one["tables"][kind]["words"]
        assert said.lower().startswith(own.words.lower())
        assert said.endswith("benefit in loss/b, its own unit; from, to: the 95 % interval.")
        over = document.whole(answer)["tables"][f"{kind}_over"]
        assert column(over, "helps") == (own.lower > 0).sum(axis=1).tolist()
        assert column(over, "hurts") == (own.upper < 0).sum(axis=1).tolist()
        t = int(np.argmax(own.effects[0] / own.deviation[0]))
        sure = f"{answer.targets[t]} ({own.effects[0, t]:+.3g} ± {1.96 * own.deviation[0, t]:.2g})"
        assert column(over, "surest help")[0] == sure
        assert sure in repr(answer)  # the terminal says the same
    vague = replace(answer.groups, deviation=np.abs(answer.groups.effects))  # a deviation from 0 each
    cells = column(document.whole(replace(answer, groups=vague))["tables"]["groups_over"], "surest help")
    assert all("? ± " in cell for cell in cells if cell)
    assert any(cells)
    assert document.whole(REPORTS["one"]())["tables"].keys() == {"surrogates"}


def test_verdicts_of_targets_that_differ_are_all_in_the_headline():
    answer = REPORTS["many"]()
    levels = ("solid", "indicative", "solid", "not supported", "indicative")
    some = replace(answer, trust=replace(answer.trust, verdict="solid", targets=levels))
    whole = document.whole(some)
    assert whole["headline"] == "2 solid, 2 indicative, 1 not supported of 5 targets"
    assert whole["verdict"] == "indicative"  # the look of the page: half of the targets are no better
    assert whole["meaning"] == (
        "Each verdict is of the effects within one target: where solid, their order can be trusted on the whole, "
        "not that of neighbours whose intervals overlap; where indicative, the largest alone; where not supported, "
        "none. None is a verdict on the average over targets."
    )
    assert "Verdict: 2 solid, 2 indicative, 1 not supported of 5 targets. " in terminal(some)
    every = replace(answer, trust=replace(answer.trust, verdict="solid", targets=("solid",) * 5))
    whole = document.whole(every)
    assert (whole["headline"], whole["verdict"]) == ("solid, all 5 targets", "solid")
    assert whole["meaning"].startswith("Solid: within each target what helps and what hurts is told apart")
    assert whole["meaning"].endswith("This is no verdict on the average over targets.")
    one = REPORTS["one"]()
    assert document.whole(one)["headline"] == one.trust.verdict
    below = replace(answer, trust=replace(answer.trust, verdict="not supported", targets=("solid",) * 5))
    assert document.whole(below)["verdict"] == "not supported"
    none = replace(answer, trust=replace(answer.trust, verdict="not supported", targets=("not supported",) * 5))
    assert document.whole(none)["meaning"].startswith("These runs do not answer this question.")


def test_each_task_is_in_one_sentence_on_what_it_does_to_targets():
    answer = REPORTS["many"]()
    sign = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    effects = np.outer([2.0, -0.5, 0.0, -3.0, 0.0, 0.0], sign)
    effects[2], effects[4], effects[5] = 0.5, -0.5, [0.0, 0.0, 0.0, 0.0, 0.01]
    answer = replace(answer, effects=effects, deviation=np.full((6, 5), 0.05), held_out=None)
    said = dict(document.short_over(answer))
    assert said["Helps only"] == "math (5 of 5 targets)"
    assert said["Hurts only"] == "books (5 of 5 targets)"
    assert said["Certain on no target"].split() == [answer.tasks[5]]
    assert said["Helps some targets, hurts others"] == (
        "3 of 6 tasks, by number of targets. More helped than hurt: web (helps 3, most loss/a; hurts 2). "
        "More hurt than helped: code (helps 2, most loss/b; hurts 3), wiki (helps 2, most loss/b; hurts 3)"
    )
    for name in answer.tasks:
        parts = [
            words
            for title, words in said.items()
            if title not in ("On average over the targets", "Against that average")
        ]
        assert sum(words.split().count(name) for words in parts) == 1
    worse = dict(document.short_over(replace(answer, effects=-np.abs(effects) - 0.2)))
    assert worse["Helps only"] == "no task"
    assert "Helps some targets, hurts others" not in worse
    even = effects[:, :4].repeat([1, 1, 1, 2], axis=1)
    even[3, 4] = 0.0
    said = dict(document.short_over(replace(answer, effects=even)))
    assert "As many helped as hurt: wiki (helps 2, most loss/b; hurts 2)" in said["Helps some targets, hurts others"]


def test_runs_are_counted_where_each_mask_was_run_under_several_seeds(rng):
    masks = np.unique(ip.masks.bernoulli(6, 40, p=0.7, rng=rng), axis=0)
    loss = 5 - masks @ [1.0, 0.5, 0.2, 0.0, -0.4, -0.8]
    twice = np.concatenate([loss, loss + 0.1]) + 0.02 * rng.normal(size=2 * len(loss))
    there = ip.Evaluations.from_arrays(np.vstack([masks, masks]), twice, seed=np.repeat([0, 1], len(masks)))
    answer, n = ip.attribute(there, surrogate="ridge"), len(masks)
    said = terminal(answer)
    assert answer.averaged == 2
    assert f"to 6 tasks, {2 * n} runs ({n} masks, each under 2 seeds)" in said
    assert f"The {2 * n} runs tell" in said
    assert f"Twice the runs ({4 * n})" in said
    axis = document.whole(answer)["figures"]["learning_curve"]["layout"]["xaxis"]["title"]["text"]
    assert axis.startswith("masks, each under 2 seeds")


def test_targets_that_are_called_like_tasks_are_set_beside_them():
    answer = REPORTS["many"]()  # five targets, six tasks: web code math wiki books mail
    names = tuple(f"loss/{name.upper()}" for name in answer.tasks[:5])
    effects = -np.ones((6, 5)) + 3.0 * np.eye(6, 5)
    effects[3, 0], effects[4, 4] = 9.0, 0.0  # wiki helps web most; books do nothing to their own
    answer = replace(answer, targets=names, effects=effects, deviation=np.full((6, 5), 0.05), held_out=None)
    own = dict(document.short_over(answer))["Target of the same name"]
    first, fourth, fifth = answer.tasks[0], answer.tasks[3], answer.tasks[4]
    assert own.startswith("3 of the 5 tasks that have one help it for certain, more than any other; not ")
    assert f"{fourth} (helps it, and {names[0]} most)" in own
    assert f"{fifth} (nothing for certain)" in own
    assert first not in own
    numbered = replace(answer, tasks=tuple(f"task_{k}" for k in range(6)), targets=tuple(f"t_{k}" for k in range(5)))
    assert "Target of the same name" not in dict(document.short_over(numbered))


def test_the_average_names_only_what_is_certain_on_it():
    answer = REPORTS["many"]()
    answer = replace(answer, held_out=None)
    unit = "Unit: each target's own typical effect (root mean square over tasks); ± half of the 95 % interval, as if "
    unit += "the errors of all targets were one. In a fit of the average itself those near 0 may be open."
    said = lambda **of: dict(document.short_over(replace(answer, **of)))["On average over the targets"]
    ones = np.ones((6, 5))
    effects = ones * np.array([1.0, 0.2, 0.1, 0.0, -0.1, -1.0])[:, None]
    size = np.sqrt((effects[:, 0] ** 2).mean())
    cell = lambda name, value, half: f"{name} ({value / size:+.2f} ± {half / size:.2g})"
    half = Z * 0.2
    first, last = cell("web", 1.0, half), cell(answer.tasks[5], -1.0, half)
    sure = said(effects=effects, deviation=0.2 * ones)
    assert sure == f"Helps, its interval above 0: {first}. Hurts, its interval below 0: {last}. {unit}"
    open_ = said(effects=effects, deviation=9.0 * ones)
    assert open_ == f"No task is told apart from 0; the highest mean is that of {cell('web', 1.0, Z * 9)}. {unit}"
    assert said(effects=np.minimum(effects, 0.0), deviation=0.2 * ones).startswith("No task helps for certain. ")
    assert ". No task hurts for certain. " in said(effects=np.maximum(effects, 0.0), deviation=0.2 * ones)
    shown = terminal(replace(answer, effects=effects, deviation=0.2 * ones))
    own = "The verdict is of the effects within each target."
    line = f"On average over the targets: h{sure[1:]} {own}"
    assert line in shown.splitlines()
    near = said(effects=effects, deviation=0.9999 / Z * ones)  # more digits where two would not tell
    assert f"web ({1 / size:+.4f} ± {0.9999 / size:.4f})" in near
    row = next(line for line in shown.splitlines() if line.startswith("code "))
    assert row.split()[1].endswith("?")  # its mean is not told from 0


def test_the_mean_over_targets_is_that_of_benefits_in_standard_deviations():
    """Where effects are in own units; its interval shrinks as far as held-out errors of the targets do not add up."""
    answer = REPORTS["mixture"]()
    assert set(answer.unit) == {"own"}
    found, held = Summary.of(answer), answer.held_out
    spread = held.measured.std(axis=0)
    np.testing.assert_allclose(found.mean, (answer.effects / spread).mean(axis=1))
    sign = np.where(answer.higher_is_better, 1.0, -1.0)
    error = ((held.measured - held.predicted) * sign / spread).sum(axis=1)
    size = (held.deviation / spread).sum(axis=1)
    together = np.sqrt(np.mean((error / size) ** 2))
    assert 0.1 < together < 1.0
    np.testing.assert_allclose(found.half, together * Z * (answer.deviation / spread).mean(axis=1))
    assert "standard deviations of each target over the runs; ± half of the 95 % interval. In a fit of" in repr(answer)
    cents = Summary.of(replace(answer, unit=("own", "per cent")))
    assert not cents.standard
    assert cents.together == 1.0


def test_what_is_certain_on_many_targets_is_tested_together():
    answer = REPORTS["many"]()
    effects, deviation = np.zeros((6, 5)), np.ones((6, 5))
    effects[0] = [2.1, 0.0, 0.0, 0.0, 0.0]  # p = .036: one of five is no news
    effects[1] = [9.0, 0.0, 0.0, 0.0, -2.1]  # p = .036 times 5 / 2 is above .05
    effects[2] = [2.5, 2.6, 2.7, 2.8, -2.9]  # all of them below .0125 times ...
    found = Summary.of(replace(answer, effects=effects, deviation=deviation))
    assert found.certain[:3].tolist() == [[0] * 5, [1, 0, 0, 0, 0], [1, 1, 1, 1, -1]]
    exact = Summary.of(replace(answer, effects=effects, deviation=np.zeros((6, 5))))
    assert (exact.certain == np.sign(effects)).all()
    unknown = Summary.of(replace(answer, effects=effects * np.nan))
    assert not unknown.certain.any()


def test_targets_that_answer_the_opposite_way_are_counted_and_told_what_helps_them(rng):
    masks = ip.masks.bernoulli(6, 60, p=0.5, rng=rng)
    each = np.outer(masks @ [3.0, 1.0, 0.0, 0.0, -1.0, -2.0], [1, 1, 1, 1, 1, 1, -1, -1])
    names = ["web", "code", "math", "wiki", "books", "mail"]
    there = ip.Evaluations.from_arrays(
        masks, 9 - each + 0.05 * rng.normal(size=each.shape), tasks=names, targets=[f"loss/{t}" for t in range(8)]
    )
    answer = ip.attribute(there, surrogate="ridge")
    found = Summary.of(answer)
    assert found.opposed.tolist() == [False] * 6 + [True] * 2
    assert found.alike[6] == pytest.approx(-1.0, abs=0.01)
    said = dict(document.short_over(answer))["Against that average"]
    assert said.startswith("2 of 8 targets answer the opposite way (most loss/")
    files = {name: text for name, _, text in downloads.downloads(answer)}
    assert files["opposite.txt"] == "loss/6\nloss/7\n"
    trust = replace(answer.trust, verdict="solid")
    given = {"runs": "runs.csv", "target": ["loss/*"], "derived": False}
    solid = replace(answer, trust=trust, made={**answer.made, "given": given})
    (step,) = (step for step in steps(solid) if "opposite" in step.words)
    assert step.command == "interplay attribute runs.csv --derive 'opposite=mean_z(@opposite.txt)'"
    assert "Most help to them: mail (2), books (2); most harm: web (2), code (2), each with how many" in said
    assert f"Against that average: {said}" in terminal(answer).splitlines()
    np.testing.assert_allclose(column(tables.targets(answer), "with the others"), found.alike, atol=0.01)
    assert not Summary.of(replace(answer, deviation=np.full((6, 8), 50.0))).opposed.any()
    weak = answer.effects.copy()
    weak[:, 6:] = np.array([-0.2, 1.0, 3.0, -3.0, -1.0, 0.0])[:, None]  # hardly related
    assert not Summary.of(replace(answer, effects=weak)).opposed.any()
    assert "Against that average" not in dict(document.short_over(replace(answer, effects=weak)))


def test_the_mean_over_targets_has_the_interval_that_it_comes_to_at_most():
    answer = replace(REPORTS["many"](), held_out=None)
    found = Summary.of(answer)
    scale = np.sqrt((answer.effects**2).mean(axis=0))
    np.testing.assert_allclose(found.mean, (answer.effects / scale).mean(axis=1))
    sd = answer.deviation / scale
    for together in (0.0, 0.5, 1.0):  # correlation of the errors of any two targets
        covariance = together * np.ones((5, 5)) + (1 - together) * np.eye(5)
        widths = Z * np.sqrt(np.einsum("kt,ts,ks->k", sd, covariance, sd)) / 5
        assert (widths <= found.half * (1 + 1e-9)).all()
    np.testing.assert_allclose(widths, found.half)
    table = tables.over_targets(answer)
    rows = dict(zip(column(table, "task"), zip(column(table, "from"), column(table, "to"), strict=True), strict=True))
    for k, name in enumerate(answer.tasks):
        assert rows[name] == pytest.approx((found.mean[k] - found.half[k], found.mean[k] + found.half[k]), rel=1e-2)


def test_most_helped_and_most_hurt_are_certain_or_not_named():
    answer = REPORTS["many"]()
    effects, deviation = np.full((6, 5), 0.1), np.full((6, 5), 1.0)
    effects[0] = [5.0, 1.0, 0.5, -0.5, -9.0]
    deviation[0] = [9.0, 0.1, 0.1, 0.1, 9.0]
    answer = replace(answer, effects=effects, deviation=deviation)
    table = tables.over_targets(answer)
    named = zip(column(table, "task"), column(table, "most helped"), column(table, "most hurt"), strict=True)
    assert {name: ends for name, *ends in named} == {
        "web": ["loss/b", "accuracy/d"],
        **{name: ["", ""] for name in answer.tasks[1:]},
        "base": ["", ""],
    }
    lines = {
        line.split()[0]: line.split()[-2:] for line in terminal(answer).splitlines() if line[:4] in ("web ", "code")
    }
    assert lines == {"web": ["loss/b", "accuracy/d"], "code": ["-", "-"]}


def test_what_helps_and_hurts_has_an_interval_and_a_unit():
    answer = REPORTS["one"]()
    said = dict(document.whole(answer)["short"])
    k = int(np.argmax(answer.effects[:, 0]))
    half = answer.upper[k, 0] - answer.effects[k, 0]
    assert said["Helps"].startswith(f"{answer.tasks[k]} ({answer.effects[k, 0]:+.3g} ± {half:.2g})")
    assert said["Unit"] == "loss, its own unit; ± is half of the 95 % interval"
    assert "± is half of the 95 % interval" in document.of_target(answer, 0)["about"]


def test_a_pair_has_one_size_and_a_mark_by_one_rule():
    answer = REPORTS["one"]()
    found = answer.discoveries
    (n,) = np.flatnonzero(found.named[:, 0])
    half = 1.96 * answer.interaction_deviation[n, 0]
    said = document.of_target(answer, 0)["pairs"]
    assert said[0].startswith("Pairs: 1 of 28 named at 5 % false discoveries, all tested together")
    assert said[1].endswith(f"({answer.interactions[n, 0]:+.3g} ± {half:.2g})")
    map_of = figures.interactions(answer, 0)
    dots = np.argwhere(np.array(map_of["data"][0]["text"]) == "●")
    names = [{map_of["data"][0]["y"][i] for i in pair} for pair in dots]
    assert names == [{answer.tasks[k] for k in answer.pairs[n]}] * 2
    title = map_of["layout"]["xaxis"]["title"]["text"].replace("<br>", " ")
    assert "dots: pairs named when all are tested together, 5 % of them falsely at most" in title
    rows = document.of_target(answer, 0)["tables"]["pairs"]["rows"]
    assert [row[6] for row in rows].count("named") == 1
    few = replace(found, q=np.where(np.arange(len(found.q))[:, None] == 5, np.nan, found.q))
    said = document.of_target(replace(answer, discoveries=few), 0)["pairs"]
    assert said[2] == "1 cannot be tested: fewer than 2 runs hold one of their four combinations."
    narrow = replace(answer, interaction_deviation=answer.interaction_deviation / 100)
    assert document.of_target(narrow, 0)["pairs"][2].startswith("One at a time, ")  # more than chance gives


def test_a_pair_that_is_named_while_its_size_is_open_says_so():
    answer = REPORTS["one"]()
    (n,) = np.flatnonzero(answer.discoveries.named[:, 0])
    wide = answer.interaction_deviation.copy()
    wide[n] = 10.0
    open_ = replace(answer, interaction_deviation=wide)
    assert "size open (" in document.of_target(open_, 0)["pairs"][1]
    assert open_.pairs_frame()["kind"][n] == "size open"
    unread = replace(answer, interaction_deviation=np.full_like(wide, np.nan))  # then the test's own size
    size = answer.discoveries.interaction[n, 0]
    assert f"({size:+.3g} ± {1.96 * abs(size / answer.discoveries.statistic[n, 0]):.2g})" in repr(unread)


def test_where_no_shares_of_the_variance_are_known_it_is_said_why():
    one, mixture, half = REPORTS["one"](), REPORTS["mixture"](), REPORTS["nothing"]()
    assert document.of_target(one, 0)["orders"] == [
        "How much is additive: shares of the variance are not read with leave-one-out; runs on about half of the tasks "
        "tell them (reading banzhaf)."
    ]
    assert "not told of weights" in document.of_target(mixture, 0)["orders"][0]
    unknown = replace(half, reading="banzhaf", orders=np.full((3, 1), np.nan))
    assert "tuned ridge was taken" in document.of_target(unknown, 0)["orders"][0]


def test_every_column_has_a_title_and_notes_are_not_called_so_twice(answer):
    parts = [document.whole(answer), document.of_target(answer, 0)]
    for part in parts:
        for name, table in part["tables"].items():
            assert table is None or all(one["title"] for one in table["columns"]), name
    warned = replace(answer, warnings=("something", "Note: twice"))
    assert [line for line in document.whole(warned)["notes"] if "something" in line] == ["something"]


def test_correlations_say_which_kind_they_are():
    answer = REPORTS["one"]()
    table = tables.targets(answer)
    assert column(table, "Pearson with truth") == pytest.approx(answer.truth.pearson, rel=1e-2)
    assert column(table, "Spearman with truth") == pytest.approx(answer.truth.spearman, rel=1e-2)
    assert column(table, "expected Pearson") == pytest.approx(answer.trust.agreement, rel=1e-2)


# ---- downloads


def test_every_table_of_the_page_has_a_file(answer):
    texts = {name: text for name, _, text in downloads.downloads(answer)}
    several = len(answer.targets) > 1
    wanted = {"effects.csv", "targets.csv", "pairs.csv", "held_out.csv", "surrogates.csv"}
    wanted |= {"overview.csv"} if several else set()
    assert wanted <= set(texts)
    read = {name: pd.read_csv(io.StringIO(text)) for name, text in texts.items()}
    effects = read["effects.csv"].dropna(subset="benefit")
    own = effects.set_index(["target", "task"])
    for t, target in enumerate(answer.targets):
        cells = own.loc[target].loc[list(answer.tasks)]
        np.testing.assert_allclose(cells["benefit"], answer.effects[:, t], rtol=1e-5)
        np.testing.assert_allclose(cells["coverage"], answer.coverage.known[:, t], rtol=1e-5)
        assert cells["runs_with"].tolist() == answer.coverage.present.tolist()
    assert read["targets.csv"]["target"].tolist() == list(answer.targets)
    np.testing.assert_allclose(read["targets.csv"]["expected_correlation"], answer.trust.agreement, rtol=1e-5)
    assert set(read["surrogates.csv"]["surrogate"]) == set(answer.skill)
    if several:
        found = Summary.of(answer)
        table = read["overview.csv"].set_index("task").loc[list(answer.tasks)]
        np.testing.assert_allclose(table["mean_benefit"], found.mean, rtol=1e-4)
        assert table["hurts"].tolist() == found.hurts.tolist()


def test_pairs_have_their_interval_and_kind(answer):
    frame, T = answer.pairs_frame(), len(answer.targets)
    value, half = answer.interactions.ravel(), 1.96 * answer.interaction_deviation.ravel()
    np.testing.assert_allclose(frame["lower"], value - half)
    np.testing.assert_allclose(frame["upper"], value + half)
    for place, kind in enumerate(frame["kind"]):
        wanted = "open"
        if abs(value[place]) > half[place]:
            alone = answer.effects[answer.pairs[place // T], place % T]
            wanted = kind_of_pair(value[place], *alone, _share(answer))
        elif answer.discoveries is not None and answer.discoveries.named[place // T, place % T]:
            wanted = "size open"
        assert kind == wanted
    assert frame["kind"].nunique() > 1 or answer.trust.verdict == "not supported"
    unknown = replace(answer, interaction_deviation=np.full_like(answer.interactions, np.nan))
    assert set(frames.pairs(unknown)["kind"]) == {"no interval"}
    assert set(frames.pairs(replace(answer, interactions=answer.interactions * np.nan))["kind"]) == {""}


# ---- pages of many targets


@given(
    st.lists(
        st.lists(st.text(alphabet=st.sampled_from('ab"\\\x7f:,é<0'), max_size=9), max_size=6), min_size=1, max_size=6
    )
)
def test_common_strings_are_carried_once_and_nothing_is_lost(parts):
    values = [{"a:": part, "common name": ["common name", "\x7f0", *part]} for part in parts]
    texts = [page.as_text(value) for value in values]
    common = page.Common(texts)
    short = [common.short(text) for text in texts]
    assert "common name" in common.strings

    def restored(value):
        if isinstance(value, dict):
            return {name: restored(one) for name, one in value.items()}
        if isinstance(value, list):
            return [restored(one) for one in value]
        return common.strings[int(value[1:])] if value[:1] == page.MARK else value

    assert [restored(json.loads(text)) for text in short] == values
    assert page.Common(()).short(texts[0]) == texts[0]


def wide(P, T, m):
    """An answer of this size whose numbers do not compress and whose names are long and unlike each other."""
    rng = np.random.default_rng(0)
    named = lambda n: tuple("".join(map(chr, rng.integers(97, 123, 40))) for _ in range(n))
    tasks, targets, small = named(P), named(T), REPORTS["one"]()
    n, held, noise = P * (P - 1) // 2, small.held_out, lambda *shape: rng.normal(size=shape)
    many = lambda values: tuple(rng.uniform(0.3, 0.9, T).tolist()) if len(values) else ()
    evidence = ("coverage", "skill", "resolution", "agreement", "ranks", "p", "calibration", "ceiling")
    return replace(
        small,
        **{
            "tasks": tasks,
            "targets": targets,
            "unit": ("own",) * T,
            "higher_is_better": (True,) * T,
            "links": ("y",) * T,
        },
        **{"effects": noise(P, T), "deviation": np.abs(noise(P, T)), "pairs": np.argwhere(np.triu(np.ones((P, P)), 1))},
        **{"interactions": noise(n, T), "interaction_deviation": np.abs(noise(n, T)) / 3, "rows": (m,) * T},
        **{"orders": np.zeros((3, 0)), "orders_deviation": np.zeros((3, 0)), "discoveries": None, "truth": None},
        trust=replace(
            small.trust, targets=("solid",) * T, **{name: many(getattr(small.trust, name)) for name in evidence}
        ),
        coverage=replace(
            small.coverage, present=rng.integers(0, m, P), absent=rng.integers(0, m, P), known=rng.random((P, T))
        ),
        held_out=replace(
            held,
            **{"measured": noise(m, T), "predicted": noise(m, T), "deviation": rng.uniform(1.4, 1.5, (m, T))},
            **{"origin": ("runs",) * m, "seed": np.arange(m), "weights": rng.integers(0, 2, (m, P)).astype(float)},
        ),
        predictor=None,
        pairs_trust=(("solid", "nothing"),) * T,
    )


@pytest.mark.slow
def test_a_page_of_900_targets_and_long_names_stays_small():
    text = page.html(wide(50, 900, 200))
    data = carried(text)
    assert len(text.encode()) < 15e6
    assert len(data["each"]) == 900
    assert "held_out.csv" in [file["name"] for file in data["files"] if file["data"] is None]
