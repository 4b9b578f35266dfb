"""Figures: what each shows, that they can be printed and are text for whatever a task is called; shapiq; notebooks."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import interplay as ip
from interplay import figures
from interplay.evaluations import EvaluationsError
from interplay.figures.look import label, labels, wrapped
from interplay.report.summary import Summary
from tests.test_attribution import W, loss, make, truth_of
from tests.test_import import fresh, without

HOSTILE = ["$x$", "<b>bold</b>", "a & b", "שלום", "😀 cat", "a<br>b", r"\frac{1}$^_{", "%{y}", "</script><script>"]
OWN = [name for name in figures.__all__ if name != "overview"]
SVG = "{http://www.w3.org/2000/svg}"
#: What a printed figure is made of; the image is the scale of colours.
DRAWN = {"svg", "defs", "style", "g", "path", "use", "text", "clipPath", "rect", "image"}


@pytest.fixture(scope="module")
def answers():
    """Answers about masks with their truth, random masks, a mixture, many targets, and names that are markup."""
    rng = np.random.default_rng(0)
    near = (rng.random((60, 8)) < 0.85).astype(float)
    half = ip.masks.bernoulli(9, 80, p=0.6, rng=rng)
    curved = 3 - half @ rng.normal(size=(9, 2)) + 0.5 * half[:, :1] * half[:, 1:2] + 0.02 * rng.normal(size=(80, 2))
    mix = rng.dirichlet(np.ones(5), 60)
    many = 3 - near @ rng.normal(size=(8, 45)) + 0.1 * rng.normal(size=(60, 45))
    found = {
        "masks": ip.attribute(make(near, loss(near, rng)), truth_of(rng)),
        "hostile": ip.attribute(
            make(half, curved, tasks=HOSTILE, targets=["<i>loss</i> $y$", "שלום & </script>"]),
            reading="banzhaf",
            surrogate="stack",
        ),
        "mixture": ip.attribute(make(mix, 2 - np.log(mix + 0.02) @ [0.3, 0.1, 0.0, 0.0, -0.05])),
        "many": ip.attribute(make(near, many, targets=[f"metric/loss_of_target_{t:02d}" for t in range(45)])),
    }
    assert found["hostile"].trust.verdict == "solid"
    return found


def specs(answers):
    made = {(a, f): getattr(figures, f)(answers[a]) for a in answers for f in figures.__all__}
    return {names: spec for names, spec in made.items() if spec is not None}


def text_of(spec):
    """Titles of the axes and names of the traces of a figure."""
    titles = [spec["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
    return " ".join([*titles, *(trace.get("name", "") for trace in spec["data"])]).replace("<br>", " ")


# ---------------------------------------------------------------- specifications


def test_which_figures_an_answer_has(answers):
    shown = {a: {f for b, f in specs(answers) if b == a} for a in answers}
    always = {"effects", "measured_vs_predicted", "learning_curve", "coverage"}  # of additive fits no map of pairs
    assert shown["masks"] == always
    assert shown["hostile"] == always | {"interactions", "overview", "spectrum"}
    assert shown["mixture"] == always | {"interactions", "mixture"}
    assert shown["many"] == always | {"overview"}


def test_specifications_are_json_and_say_unit_and_interval(answers):
    for (_, name), spec in specs(answers).items():
        json.dumps(spec, allow_nan=False)
        said = text_of(spec)
        assert "95 %" in said or "after the runs over that before" in said, name
        unit = {"learning_curve": "R²", "mixture": "weight", "overview": "standard deviations", "spectrum": "%"}
        if name in ("effects", "interactions"):
            assert "its own unit" in said
        elif name in unit:
            assert unit[name] in said
        assert all(len(line) < 110 for line in re.split("<br>", spec["layout"]["xaxis"]["title"]["text"]))


def test_effects_are_those_of_the_answer(answers):
    answer = answers["masks"]
    *own, truth = figures.effects(answer)["data"]
    order = np.argsort(-answer.effects[:, 0], kind="stable")
    shown = dict(zip([y for t in own for y in t["y"]], [x for t in own for x in t["x"]], strict=True))
    for k, name in enumerate(answer.tasks):
        assert shown[name] == pytest.approx(answer.effects[k, 0], rel=1e-4)
    halves = np.concatenate([t["error_x"]["array"] for t in own])
    assert sorted(halves) == pytest.approx(sorted(1.96 * answer.deviation[:, 0]), rel=1e-3)
    assert truth["name"] == "leave-one-out retraining, 4 seeds"
    np.testing.assert_allclose(truth["x"], answer.truth.effects[order, 0], rtol=1e-4)
    np.testing.assert_allclose(truth["error_x"]["array"], answer.truth.half[order, 0], rtol=1e-4)
    assert "of retraining ± 1.96 standard errors over seeds" in text_of(figures.effects(answer))
    once = replace(answer, truth=replace(answer.truth, error=answer.truth.error * np.nan))
    assert "error_x" not in figures.effects(once)["data"][-1]
    assert "retraining ±" not in text_of(figures.effects(once))
    assert {t["name"] for t in own} == {"helps", "hurts", "interval includes 0"}
    assert len({t["marker"]["symbol"] for t in own}) == 3


def test_of_many_tasks_either_end_is_shown(answers):
    spec = figures.effects(answers["masks"], most=4)
    assert spec["layout"]["yaxis"]["categoryarray"] == ["task_0", "task_1", "task_6", "task_7"]
    assert "the 2 at either end of 8 tasks" in text_of(spec)
    assert "3 tasks with the strongest pairs of 9" in text_of(figures.interactions(answers["hostile"], most=3))


def test_interactions_are_symmetric_with_an_empty_diagonal(answers):
    answer = answers["hostile"]
    z = np.array(figures.interactions(answer)["data"][0]["z"], float)
    assert np.isnan(np.diag(z)).all()
    np.testing.assert_array_equal(z, z.T)
    np.testing.assert_allclose(z[np.triu_indices(9, 1)], answer.interactions[:, 0], rtol=1e-2)


def test_the_truth_has_standard_errors_over_its_seeds(rng):
    near, truth = (rng.random((60, 8)) < 0.85).astype(float), truth_of(rng)
    answer = ip.attribute(make(near, loss(near, rng)), truth)
    sides = [truth.masks.sum(axis=1) == 8, *(truth.masks[:, k] == 0 for k in range(8))]
    full, *left = (truth.values[side, 0][np.argsort(truth.seed[side])] for side in sides)
    each = np.array([one - full for one in left])  # lower is better: what is lost without the task is its benefit
    np.testing.assert_allclose(answer.truth.effects[:, 0], each.mean(axis=1))
    np.testing.assert_allclose(answer.truth.error[:, 0], each.std(axis=1, ddof=1) / np.sqrt(each.shape[1]))
    np.testing.assert_allclose(answer.truth.half, 1.96 * answer.truth.error)
    held = {name: value for name, value in vars(answer.truth).items() if name != "error"}
    before = type(answer.truth)(**held)  # as read from a file of an earlier version
    assert before.half.shape == answer.truth.effects.shape
    assert np.isnan(before.half).all()


def test_the_overview_tells_what_is_certain_and_where_its_colours_end(answers):
    answer = answers["hostile"]
    spec = figures.overview(answer)
    (cells,) = spec["data"]
    order = np.argsort(-Summary.of(answer).mean, kind="stable")
    certain = Summary.of(answer).certain[order] != 0
    assert certain.any()
    assert [[word == "●" for word in row] for row in cells["text"]] == certain.tolist()
    scale = answer.held_out.measured.std(axis=0)
    np.testing.assert_allclose(cells["z"], (answer.effects / scale)[order], rtol=0.02, atol=1e-3)
    said = np.array(cells["customdata"], object)
    held = said[..., :3].astype(float)
    np.testing.assert_allclose(held[..., 2], (answer.effects / scale)[order], rtol=0.05)
    assert (said[..., 3] == np.where(certain, "certain", "not certain")).all()
    np.testing.assert_allclose(held[..., 0], answer.effects[order], rtol=1e-2)
    np.testing.assert_allclose(held[..., 1], 1.96 * answer.deviation[order], rtol=0.06)
    assert "in its own unit" in cells["hovertemplate"]
    assert "dots: certain, all targets of a task tested together" in text_of(spec)
    assert "colours end" not in text_of(spec)
    effects = np.where(np.arange(9)[:, None] == 0, 10.0, 0.1) * np.ones((9, 2))
    large = figures.overview(replace(answer, effects=effects))
    limit = 2.5 * np.sqrt(np.mean((effects / scale) ** 2))
    assert f"colours end at ±{limit:.2g}, 2 cells lie beyond" in text_of(large)
    units = replace(answer, unit=("own", "per cent"))
    assert figures.overview(units)["data"][0]["hovertemplate"].count("own unit") == 0


def test_of_many_targets_what_is_open_has_no_colour(answers):
    answer = answers["many"]
    spec = figures.overview(answer)
    (cells,) = spec["data"]
    assert "text" not in cells
    assert "without colour: not certain, all targets of a task tested together" in text_of(spec)
    held, z = np.array(cells["customdata"], object)[..., :2].astype(float), np.array(cells["z"], float)
    coloured = z != 0
    assert (np.abs(held[..., 0]) > held[..., 1])[coloured].all()  # single intervals exclude 0 there
    found = Summary.of(answer)
    np.testing.assert_array_equal(coloured.sum(axis=1), (found.certain[found.order] != 0).sum(axis=1))
    assert (z == 0).any()
    gone = answer.effects.copy()
    gone[0, 0] = np.nan
    unknown = figures.overview(replace(answer, effects=gone))["data"][0]
    assert sum(value is None for row in unknown["z"] for value in row) == 1


def test_runs_that_stand_out_are_named(answers):
    answer = answers["masks"]
    held = answer.held_out
    measured = held.measured.copy()
    measured[3] += 20 * np.nanmax(held.deviation)
    data = figures.measured_vs_predicted(replace(answer, held_out=replace(held, measured=measured)))["data"]
    assert [trace["name"] for trace in data] == ["runs", "beyond three deviations"]
    assert data[1]["text"] == [f"run 4, seed {held.seed[3]}" if held.seed[3] >= 0 else "run 4"]


def test_labels_are_text_and_all_different():
    assert label("<b> & $x$") == "&lt;b&gt; &amp; &#36;x&#36;"
    cut = labels(["a" * 50, "a" * 49 + "b", "a" * 51], width=10)[0]
    assert cut == ["aaaaaa…aaa", "aaaaaa…aab", "aaaaaa…aaa (2)"]
    assert labels(["b (2)", "b ", "b"])[0] == ["b (2)", "b", "b (3)"]
    names = [f"train_the_pile_{name}_validation_loss" for name in ("arxiv", "github", "cc")]
    assert labels(names, [2, 0]) == (["cc", "arxiv"], "<br>names are train_the_pile_..._validation_loss")


def test_titles_break_between_words_only():
    assert wrapped("one two three four<br>five &lt;b&gt; six", 12) == "one two<br>three four<br>five &lt;b&gt; six"
    assert wrapped("", 12) == ""


# ---------------------------------------------------------------- plotly


def every_plot(answers):
    shown = {"masks": ["effects"], "hostile": figures.__all__, "mixture": ["mixture"], "many": ["overview"]}
    for name, answer in answers.items():
        for f in shown[name]:
            if getattr(figures, f)(answer) is not None:
                yield name, f, getattr(ip.plots, f)(answer)


def test_plots_are_figures_of_plotly(answers):
    go = pytest.importorskip("plotly.graph_objects")
    for name, f, figure in every_plot(answers):
        assert isinstance(figure, go.Figure)
        assert len(figure.data) == len(getattr(figures, f)(answers[name])["data"])
        assert figure.layout.paper_bgcolor == "white"


def test_targets_are_chosen_by_name(answers):
    pytest.importorskip("plotly")
    answer = answers["many"]
    for f in ("effects", "coverage", "measured_vs_predicted"):
        plot = getattr(ip.plots, f)
        assert plot(answer, answer.targets[7]) == plot(answer, target=answer.targets[7])
        assert plot(answer) != plot(answer, answer.targets[7])
        with pytest.raises(EvaluationsError, match=r"no target is called 'metric/loss_of_target_7'. There are 45"):
            plot(answer, "metric/loss_of_target_7")
    assert len(ip.plots.effects(answer, most=4).layout.yaxis.categoryarray) == 4
    with pytest.raises(ValueError, match="most is 1; give 2 or more"):
        ip.plots.effects(answer, most=1)


def test_what_an_answer_does_not_hold_is_said(answers):
    masks, mixture, many = answers["masks"], answers["mixture"], answers["many"]
    without_pairs = replace(masks, interactions=masks.interactions[:0])
    unread = replace(masks, interactions=masks.interactions * np.nan, reading="gradient")
    old = replace(mixture, coverage=None, held_out=None, curve=None)
    never = replace(
        masks,
        held_out=replace(masks.held_out, predicted=masks.held_out.predicted * np.nan),
        coverage=replace(masks.coverage, known=masks.coverage.known * np.nan),
        curve=None,
    )
    ridge = replace(masks, reading="banzhaf", orders=np.full((3, 1), np.nan))
    for plot, answer, message in (
        ("interactions", without_pairs, r"no pairs; ask for them with attribute\(..., pairs=True\)"),
        ("interactions", unread, "no pairs were read for 'loss' by 'gradient' over 8 tasks"),
        ("interactions", replace(without_pairs, tasks=("a",)), "one task; interactions need two"),
        ("measured_vs_predicted", old, "saved by a version .* attribute the runs again"),
        ("measured_vs_predicted", never, "'loss' was held out, since it never changes"),
        ("coverage", old, "saved by a version"),
        ("coverage", never, "'loss' never changes"),
        ("learning_curve", old, "saved by a version"),
        ("learning_curve", never, "52 runs do not tell a learning curve: .* `interplay design`"),
        ("mixture", old, "saved by a version"),
        ("mixture", masks, "about masks, which have no reference mixture"),
        ("spectrum", mixture, "mixtures and weights have no spectrum"),
        ("spectrum", many, r"the reading is 'leave-one-out'; ask for attribute\(..., reading='banzhaf'\)"),
        ("spectrum", ridge, "tuned ridge was taken"),
        ("overview", masks, "'loss' is the only target; plot its `effects`"),
    ):
        message = message.replace("52", str(max(answer.rows)))
        with pytest.raises(ValueError, match=message):
            getattr(ip.plots, plot)(answer)


def test_without_plotly_and_matplotlib_it_is_said_what_to_install():
    program = (
        "import interplay as ip, numpy as np\n"
        "m = ip.masks.bernoulli(4, 14, p=.7, rng=np.random.default_rng(0))\n"
        "a = ip.attribute(ip.Evaluations.from_arrays(m, m.sum(axis=1), targets=['loss']))\n"
        "try:\n    print({})\nexcept ImportError as error:\n    print(error)"
    )
    installed = "which is not installed: pip install 'interplay[plots]'"
    assert without(("plotly",), program.format("ip.plots.effects(a)")) == f"ip.plots needs plotly, {installed}"
    said = without(("shapiq",), program.format("a.to_shapiq()"))
    assert said == "to_shapiq needs shapiq, which is not installed: pip install 'interplay[shapiq]'"
    pytest.importorskip("plotly")
    said = without(("matplotlib",), program.format("ip.plots.save(ip.plots.effects(a), 'a.pdf')"))
    assert said == f"saving .pdf needs matplotlib, {installed}"


# ---------------------------------------------------------------- print


@pytest.mark.filterwarnings("error")
def test_every_figure_prints(answers, tmp_path):
    pytest.importorskip("plotly")
    pytest.importorskip("matplotlib")
    for name, f, figure in every_plot(answers):
        for suffix in (".png", ".svg", ".pdf") if name == "hostile" else (".png",):
            path = ip.plots.save(figure, tmp_path / f"{name}-{f}{suffix}", dpi=60)
            start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
            assert path.read_bytes().startswith(start)


def written(path: Path):
    """Elements of an SVG, and all that is written in it."""
    tree = ElementTree.parse(path)
    elements = {e.tag.removeprefix(SVG) for e in tree.iter() if e.tag.startswith(SVG)}
    return elements - {"metadata"}, ["".join(e.itertext()) for e in tree.iter(f"{SVG}text")]


def test_names_are_text_in_print(answers, tmp_path):
    pytest.importorskip("plotly")
    pytest.importorskip("matplotlib")
    for f in ("effects", "interactions", "overview", "coverage"):
        elements, texts = written(ip.plots.save(getattr(ip.plots, f)(answers["hostile"]), tmp_path / f"{f}.svg"))
        assert elements <= DRAWN
        assert set(HOSTILE) <= set(texts)
    _, texts = written(ip.plots.save(ip.plots.effects(answers["hostile"]), tmp_path / "x.svg"))
    assert "benefit in <i>loss</i> $y$, its own unit; right of 0 helps" in texts


def test_print_is_the_same_each_time_and_as_wide_as_asked(answers, tmp_path, monkeypatch):
    pytest.importorskip("plotly")
    matplotlib = pytest.importorskip("matplotlib")
    figure = ip.plots.effects(answers["masks"])
    for suffix in (".png", ".svg", ".pdf"):
        first = ip.plots.save(figure, tmp_path / f"1{suffix}", width=3.5, dpi=100).read_bytes()
        with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "text.usetex": True}):
            again = ip.plots.save(figure, tmp_path / f"2{suffix}", width=3.5, dpi=100).read_bytes()
        assert first == again
    root = ElementTree.parse(tmp_path / "1.svg").getroot()
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(3.5 * 72)
    tall = figure.layout.height * 0.65
    assert float(root.get("height").removesuffix("pt")) == pytest.approx(tall, abs=0.1)


def test_nothing_is_cut_at_the_edges(answers):
    pytest.importorskip("matplotlib")
    from interplay.figures.printed import printed

    for width in (3.3, 6.3):
        for (answer, name), spec in specs(answers).items():
            if answer == "many" or (answer == "masks" and name != "effects"):
                continue
            figure = printed(spec, width)
            box = figure.get_tightbbox()
            assert box.x0 > -0.02, name
            assert box.y0 > -0.02, name
            assert box.x1 < width + 0.02, name
            assert box.y1 < figure.get_figheight() + 0.02, name


def test_a_heading_is_printed_and_what_cannot_be_is_refused(answers, tmp_path):
    go = pytest.importorskip("plotly.graph_objects")
    pytest.importorskip("matplotlib")
    figure = ip.plots.effects(answers["masks"]).update_layout(title="Which tasks help")
    assert "Which tasks help" in written(ip.plots.save(figure, tmp_path / "a.svg"))[1]
    with pytest.raises(ValueError, match=r"type 'pie' cannot be printed; save the figure as .html"):
        ip.plots.save(go.Figure(go.Pie(values=[1])), tmp_path / "a.png")
    with pytest.raises(ValueError, match="type 'circle' cannot be printed"):
        ip.plots.save(ip.plots.effects(answers["masks"]).add_shape(type="circle"), tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"path ends in '.jpeg'; figures are saved as .png, .svg, .pdf or .html"):
        ip.plots.save(figure, tmp_path / "a.jpeg")
    with pytest.raises(ValueError, match="width is -1; give a number above 0"):
        ip.plots.save(figure, tmp_path / "a.png", width=-1)
    with pytest.raises(TypeError, match=r"figure is dict; give one that ip.plots returned"):
        ip.plots.save({}, tmp_path / "a.png")


def test_pages_hold_all_they_need(answers, tmp_path):
    pytest.importorskip("plotly")
    page = ip.plots.save(ip.plots.effects(answers["hostile"]), tmp_path / "a.html").read_text(encoding="utf-8")
    assert len(page) > 1e6
    assert not re.search("<script[^>]* src=", page)
    assert "<b>bold" not in page


def test_printing_never_touches_pyplot():
    pytest.importorskip("plotly")
    pytest.importorskip("matplotlib")
    shown = fresh(
        "import sys, tempfile, numpy as np, interplay as ip\n"
        "m = ip.masks.bernoulli(4, 14, p=.7, rng=np.random.default_rng(0))\n"
        "a = ip.attribute(ip.Evaluations.from_arrays(m, m.sum(axis=1), targets=['loss']))\n"
        "ip.plots.save(ip.plots.effects(a), tempfile.mkdtemp() + '/a.svg')\nprint('matplotlib.pyplot' in sys.modules)"
    )
    assert shown == "False"


# ---------------------------------------------------------------- notebooks


def test_notebooks_show_the_verdict_and_the_effects(answers):
    shown = answers["masks"]._repr_html_()
    assert "Verdict: solid" in shown
    assert shown.count("<tr>") == 9
    assert f"{answers['masks'].effects[0, 0]:+.4g}" in shown
    assert "loss, its own unit (lower is better" in shown
    ElementTree.fromstring(shown.replace("&nbsp;", " "))


def test_in_notebooks_names_are_text(answers):
    shown = answers["hostile"]._repr_html_()
    tree = ElementTree.fromstring(shown.replace("&nbsp;", " "))
    known = {"div", "p", "b", "code", "table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "path", "circle"}
    assert {e.tag for e in tree.iter()} <= known
    assert set(HOSTILE) <= {"".join(cell.itertext()) for cell in tree.iter("td")}
    assert "the first of 2 targets" in shown


def test_notebooks_stay_short_and_say_what_is_not_known(answers):
    rng = np.random.default_rng(1)
    masks = ip.masks.bernoulli(50, 70, p=0.9, rng=rng)
    wide = np.column_stack([masks, np.ones(70)])
    noise = ip.attribute(make(wide, rng.normal(size=70), tasks=[*(f"t{k}" for k in range(50)), "always"]))
    shown = noise._repr_html_()
    assert "<b>Next:</b>" in shown
    assert "... 20 more" in shown
    assert re.search("always</td><td[^>]*>not identifiable", shown)
    constant = ip.attribute(make(masks, np.column_stack([np.ones(70), masks[:, 0]])))
    assert constant._repr_html_().count(">none&nbsp;<") == 30


# ---------------------------------------------------------------- shapiq


def test_shapiq_takes_effects_and_pairs(answers):
    shapiq = pytest.importorskip("shapiq")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    for name, index in (("masks", "Co-Moebius"), ("hostile", "BII"), ("mixture", "Moebius")):
        answer = answers[name]
        values = answer.to_shapiq(answer.targets[-1])
        assert (values.index, values.max_order, values.n_players) == (index, 2, len(answer.tasks))
        assert values[(1,)] == answer.effects[1, -1]
        k, l = answer.pairs[4]
        assert values[(k, l)] == answer.interactions[4, -1]
        plain = list(map(str, range(len(answer.tasks))))
        assert shapiq.network_plot(values, feature_names=plain) is not None
        assert shapiq.upset_plot(values, feature_names=plain) is not None
        matplotlib.pyplot.close("all")
    with pytest.raises(EvaluationsError, match=r"no target is called 'los'. There is only 'loss'"):
        answers["masks"].to_shapiq("los")


def test_the_index_is_the_one_that_shapiq_computes(rng):
    shapiq = pytest.importorskip("shapiq")
    masks = ip.masks.all_subsets(5)
    runs = make(masks, 3 - masks @ W[:5] - masks[:, 0] * masks[:, 1])
    for reading in ("shapley", "banzhaf", "leave-one-out"):
        answer = ip.attribute(replace(runs, notes={"deterministic": True}), reading=reading)
        values = answer.to_shapiq()
        fitted = lambda S, answer=answer: -answer.predict(S.astype(float)).mean[:, 0]
        measured = lambda S: S @ W[:5] + S[:, 0] * S[:, 1] - 3
        theirs = shapiq.ExactComputer(fitted, 5)(index=values.index, order=2)
        for pair in [(0, 1), (2, 4)]:
            assert values[pair] == pytest.approx(theirs[pair], abs=1e-6)
        if reading == "shapley":  # of sets that were all run: what they measured
            theirs = shapiq.ExactComputer(measured, 5)(index=values.index, order=2)
        for player in [(0,), (3,)]:
            assert values[player] == pytest.approx(theirs[player], abs=1e-6)


def test_readings_that_shapiq_does_not_know_keep_their_name(answers, rng):
    pytest.importorskip("shapiq")
    masks = ip.masks.fixed_size(8, 50, 3, rng=rng)
    assert ip.attribute(make(masks, loss(masks, rng))).to_shapiq().index == "swap"
    single = replace(answers["hostile"], interactions=answers["hostile"].interactions[:0]).to_shapiq()
    assert (single.index, single.max_order) == ("BV", 1)
    masked = answers["masks"]
    unknown = replace(masked, effects=np.where(np.arange(8)[:, None] == 2, np.nan, masked.effects)).to_shapiq()
    assert (2,) not in unknown.interactions
    with pytest.raises(ValueError, match="no effect on 'loss' is known"):
        replace(masked, effects=masked.effects * np.nan).to_shapiq()
