"""A run as the runs were drawn: against the joint posterior of all masks by hand, and wherever it is shown."""

from dataclasses import fields, replace

import numpy as np
import pytest

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.figures import choice as figures
from interplay.problems import games
from interplay.readings.functional import Combination, read_points
from interplay.report import chosen as pages
from interplay.selection import drawn, result
from interplay.selection.baseline import one_size
from interplay.selection.result import Candidate

K, HELD = 12, 3
GAINS = np.linspace(0.6, -0.5, K)


def prompts(m=40, seed=0, K=K, size=HELD):
    """Masks of one size, such as prompts of so many demonstrations."""
    return ip.masks.fixed_size(K, m, size, np.random.default_rng(seed))


def runs_of(S, noise=0.05, seed=0, targets=("loss",), **how):
    y = 3.0 - S @ GAINS[: S.shape[1]] + noise * np.random.default_rng(seed).normal(size=len(S))
    Y = np.column_stack([y] + [4.0 - 0.5 * y + 0.3 * S[:, -1]] * (len(targets) - 1))
    return ip.Evaluations.from_arrays(S, Y, targets=list(targets), **how)


# ---- the functional


def by_hand(surrogate, member, points):
    """Joint posterior of g at points (J, P) of a member, mean (J,) and covariance (J, J): universal kriging."""
    (fit,) = member.fits
    X, z, k = surrogate.X_, surrogate.link_.forward(surrogate.y_given)[:, 0], fit.kernel.matrix
    inverse = np.linalg.inv(k(X, X) + fit.noise * np.eye(len(X)))
    total = inverse.sum()
    level = inverse.sum(axis=0) @ z / total
    rest = 1.0 - k(points, X) @ inverse.sum(axis=1)
    mean = level + k(points, X) @ inverse @ (z - level)
    known = k(points, X) @ inverse @ k(X, points)
    return mean, fit.amplitude[0] * (k(points, points) - known + np.outer(rest, rest) / total)


@pytest.mark.parametrize("links", [["identity"], ["log"], ["floor"]])
@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("make", [ip.LinearSurrogate, lambda **how: ip.KernelSurrogate(kernel="rbf", **how)])
def test_mean_and_deviation_are_those_of_the_joint_posterior(make, links, higher):
    S = prompts(30)
    y = np.exp(0.4 * (3.0 - S @ GAINS + 0.1 * np.random.default_rng(1).normal(size=30)))
    surrogate = make(links=links, higher_is_better=higher).fit(S, y[:, None])
    surrogate.y_given = y[:, None]
    (member,), link = surrogate.members_, surrogate.link_
    x = np.ones(K)
    shares = np.full(30, 1 / 30)
    for c, points in ((shares, S), (np.append(1.0, -shares), np.vstack([x, S]))):
        mu, V = by_hand(surrogate, member, points)
        if link.log[0]:
            most = link.most[0]
            E = np.exp(mu + np.minimum(np.diag(V), most) / 2)
            spread = np.expm1(V) if V.max() <= most else V * np.expm1(most) / most
            mean = link.bound[0] * c.sum() + link.sign[0] * c @ E
            variance = (c * E) @ spread @ (c * E)
        else:
            mean, variance = c @ mu, c @ V @ c
        found = drawn.combined(surrogate, c, points)
        np.testing.assert_allclose(found[0][0], mean, rtol=1e-8)
        np.testing.assert_allclose(found[1][0], np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize("rows", [256, 4])
def test_it_is_the_combination_of_points_where_they_are_few(rows, monkeypatch):
    """Members mixed, links of several kinds, targets that share kernels: as `read_points` has it, pair by pair."""
    monkeypatch.setattr(drawn, "ROWS", rows)
    S = prompts(40)
    y = 3.0 - S @ GAINS + 0.1 * np.random.default_rng(1).normal(size=40)
    surrogate = ip.KernelSurrogate().fit(S, np.column_stack([np.exp(y), y, np.exp(-y), y**2]))
    assert 0 < surrogate.link_.log.sum() < 4
    assert len(surrogate.members_) > 1
    points, c = np.vstack([np.ones(K), S[:8]]), np.append(1.0, np.full(8, -1 / 8))
    mean, deviation = drawn.combined(surrogate, c, points)
    beside = read_points(surrogate, Combination(c, points[:, None]))
    np.testing.assert_allclose(mean, beside.mean[0], atol=1e-9)
    np.testing.assert_allclose(deviation, beside.deviation[0], rtol=1e-6)
    alone = drawn.combined(surrogate, np.ones(1), points[:1])
    there = surrogate.predict(points[:1], return_std=True)
    for one, other in zip(alone, there, strict=True):
        np.testing.assert_allclose(one, other[0], rtol=1e-8)


def test_masks_that_were_run_twice_count_twice():
    S = np.vstack([prompts(20), prompts(20)[:5]])
    runs = runs_of(S, seed=2)
    chosen = ip.select(runs, surrogate="ridge")
    (base,) = chosen.of(result.BASELINE)
    np.testing.assert_allclose(base.weights, S.mean(axis=0))
    assert base.measured[0] == pytest.approx(runs.values.mean())
    assert base.predicted[0] == pytest.approx(runs.values.mean(), abs=0.02)
    assert base.standard_error[0] == pytest.approx(runs.values.std(ddof=1) / 5)


# ---- when, and what is said


def test_the_baseline_of_runs_of_one_size_is_a_run_as_drawn():
    runs = runs_of(prompts())
    chosen = ip.select(runs, size=HELD)
    (base,) = chosen.of(result.BASELINE)
    assert (base.name, base.drawn, base.runs) == ("a run as drawn (mean of 40 runs)", 40, 40)
    np.testing.assert_allclose(base.weights, runs.masks.mean(axis=0))
    assert base.predicted[0] == pytest.approx(runs.values.mean(), abs=0.05)
    assert not base.far
    assert chosen.verdict == "solid"
    assert "Its gain over a run as drawn (mean of 40 runs) exceeds" in repr(chosen)
    assert "which hold 3 of 12 tasks." in repr(chosen)
    true = 3.0 - prompts().mean(axis=0) @ GAINS - (3.0 - chosen.weights @ GAINS)
    assert abs(base.gain[0] - true) < 1.96 * base.gain_deviation[0]
    assert base.gain[0] == pytest.approx(base.predicted[0] - chosen.choice.predicted[0])
    same = ip.select(runs, size=HELD, against="mean").of(result.BASELINE)[0]
    assert (same.name, same.gain.tolist()) == (base.name, base.gain.tolist())


@pytest.mark.parametrize(
    ("masks", "name"),
    [
        (ip.masks.bernoulli(K, 40, np.random.default_rng(0)), "all tasks"),  # of several sizes
        (np.vstack([prompts(), np.ones((1, K))]), "all tasks"),
        (1.0 - np.eye(K), "all tasks"),  # all but one: each is next to all tasks
    ],
)
def test_other_runs_are_compared_with_all_tasks(masks, name):
    runs = runs_of(masks)
    assert not one_size(runs)
    (base,) = ip.select(runs, surrogate="ridge").of(result.BASELINE)
    assert (base.name, base.drawn) == (name, 0)


def test_who_names_a_baseline_gets_it():
    runs = runs_of(prompts())
    for against, name in (("all", "all tasks"), (np.eye(K)[0], "the given one")):
        (base,) = ip.select(runs, surrogate="ridge", against=against).of(result.BASELINE)
        assert (base.name, base.drawn) == (name, 0)
    with pytest.raises(EvaluationsError, match="against='uniform'; give all or mean, or the weights"):
        ip.select(runs, against="uniform")
    several = runs_of(ip.masks.bernoulli(K, 40, np.random.default_rng(0)))
    (base,) = ip.select(several, surrogate="ridge", against="mean").of(result.BASELINE)
    assert base.drawn == 40
    assert base.predicted[0] == pytest.approx(several.values.mean(), abs=0.05)


def test_intervals_of_the_gain_hold_what_it_is():
    inside = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        S, w = prompts(30, seed), 0.3 * rng.normal(size=K)
        true = lambda S, w=w: 2.0 - S @ w
        runs = ip.Evaluations.from_arrays(S, true(S) + 0.3 * rng.normal(size=30), targets=["loss"])
        chosen = ip.select(runs, size=HELD, surrogate="ridge")
        (base,) = chosen.of(result.BASELINE)
        gain = true(S).mean() - true(chosen.weights)
        inside.append(abs(gain - base.gain[0]) < 1.96 * base.gain_deviation[0])
    assert np.mean(inside) >= 0.85


def test_a_choice_of_another_size_than_all_runs_is_not_solid():
    chosen = ip.select(runs_of(prompts()), surrogate="ridge", beyond=True)
    assert len(chosen.names) > HELD
    assert chosen.verdict == "indicative"
    assert any(f"Every run holds 3 tasks and the choice {len(chosen.names)}" in note for note in chosen.warnings)
    own = ip.select(runs_of(prompts()), surrogate="ridge", size=HELD)
    assert own.verdict == "solid"
    assert not any("Every run holds" in note for note in own.warnings)


def test_targets_that_are_kept_are_kept_against_it():
    runs = runs_of(prompts(60), targets=("loss", "other"))
    chosen = ip.select(runs, "loss", within={"other": 0.1}, size=HELD, risk=0.0)
    other = lambda w: 4.0 - 0.5 * (3.0 - w @ GAINS) + 0.3 * w[..., -1]
    assert other(chosen.weights) <= other(runs.masks).mean() + 0.1 + 0.05
    worst = ip.select(runs, worst=["loss", "other"], size=HELD)
    (base,) = worst.of(result.BASELINE)
    np.testing.assert_allclose(base.predicted, runs.values.mean(axis=0), atol=0.05)
    assert base.gain.shape == (2,)


def test_verification_spends_nothing_on_it_and_leaves_it_as_it_was():
    game = games.additive_game(GAINS)
    runs = ip.evaluate(game, prompts(25), progress=False)
    first = ip.select(runs, size=(2, 4))
    chosen = ip.selection.verify(runs, game, trainings=3, progress=False, size=(2, 4))
    old, base = first.of(result.BASELINE)[0], chosen.of(result.BASELINE)[0]
    assert (base.name, base.drawn) == ("a run as drawn (mean of 25 runs)", 25)
    np.testing.assert_array_equal(base.weights, old.weights)
    np.testing.assert_array_equal(base.measured, runs.values.mean(axis=0))
    assert chosen.trained is not None
    assert np.isin(chosen.trained.masks, (0.0, 1.0)).all()
    assert chosen.choice.runs
    assert "Measured gain over a run as drawn (mean of 25 runs): +" in repr(chosen)


def test_only_runs_of_the_fidelity_that_is_asked_about_count():
    S, more = prompts(30), prompts(10, seed=5)
    values = np.append(runs_of(S).values[:, 0], runs_of(more).values[:, 0] + 10.0)
    words = np.array(["retrained"] * 30 + ["estimated"] * 10)
    runs = ip.Evaluations.from_arrays(np.vstack([S, more]), values, targets=["loss"], fidelity=words)
    (base,) = ip.select(runs, surrogate="ridge", at="retrained").of(result.BASELINE)
    assert (base.drawn, base.measured[0]) == (30, pytest.approx(values[:30].mean()))


# ---- wherever it is shown


@pytest.fixture(scope="module")
def shown():
    return ip.select(runs_of(prompts()), size=HELD)


def test_it_is_saved_and_read_again_and_files_from_before_are_read(shown, tmp_path, monkeypatch):
    again = ip.Selection.load(shown.save(tmp_path / "choice.json"))
    assert again.of(result.BASELINE)[0].drawn == 40
    assert repr(again) == repr(shown)
    before = [f.name for f in fields(Candidate) if f.name not in ("role", "name", "drawn")]
    monkeypatch.setattr("interplay.formats.selection._parts", lambda: before)
    path = shown.save(tmp_path / "old.json")
    monkeypatch.undo()
    old = ip.Selection.load(path)
    assert [c.drawn for c in old.candidates] == [0] * len(old.candidates)
    np.testing.assert_array_equal(old.weights, shown.weights)


def test_tables_figures_and_page(shown):
    frame = shown.to_frame().set_index("role")
    assert frame.loc["baseline", "candidate"] == "a run as drawn (mean of 40 runs)"
    assert frame.loc["baseline", "gain_lower"] > 0
    np.testing.assert_allclose(shown.mixture()["baseline"], prompts().mean(axis=0))
    titles = figures.choice(shown)["layout"]["xaxis"]["categoryarray"]
    assert not any("as drawn" in title for title in titles)  # no mask of its own
    assert any(name == "a run as drawn" for part in figures.gains(shown)["data"] for name in part["y"])
    held = pages._tables(shown)["weights"]
    assert held is not None
    assert held["columns"][2]["title"] == "a run as drawn"
    text = pages.html(shown)
    assert "Gains over a run as drawn (mean of 40 runs)" in text
    rows = pages.candidates(shown, 0)["rows"]
    (own,) = [row for row in rows if row[0] == "a run as drawn"]
    assert own[-1] == "3 of 12 tasks"
    cells = pages._inside(shown.of(result.BASELINE)[0])
    assert cells == [f"in {share:.0%}" for share in prompts().mean(axis=0)]


def test_a_candidate_stands_for_itself_unless_said():
    assert replace(ip.select(runs_of(prompts()), surrogate="ridge").choice).drawn == 0


def test_a_search_that_leads_too_far_begins_again_at_the_runs():
    """Of many tasks single flips by the prediction alone lead away from prompts of four: what lies near is found."""
    K = 30
    S = prompts(60, K=K, size=4)
    w = 0.5 * np.random.default_rng(4).random(K)
    runs = ip.Evaluations.from_arrays(S, 3.0 - S @ w, targets=["loss"])
    chosen = ip.select(runs, surrogate="ridge")
    assert not chosen.choice.far
    assert not any("lies farther from the runs" in note for note in chosen.warnings)
    assert chosen.choice.worth >= max(c.worth for c in chosen.of(result.RUN))
