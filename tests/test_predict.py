"""Predicting what was not run: from runs and from a saved fit, with intervals, and far candidates said to be far."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import interplay as ip
from interplay.evaluations import EvaluationsError
from interplay.formats import archive
from interplay.predictor import Predictor, remoteness
from interplay.report import comparison, predictions
from interplay.surrogates import KernelSurrogate, load_surrogate
from interplay.surrogates.gaussian import Posterior
from tests.helpers import SURROGATES, every_mask
from tests.helpers import runs as game

W = np.array([0.5, 0.3, 0.2, 0.0, -0.4])
TASKS = list("abcde")


def masks(rng, m=40, p=0.6):
    return (rng.random((m, 5)) < p).astype(float)


def table(X, rng, noise=0.02, T=1, **more):
    y = 2.0 - X @ np.column_stack([W, W[::-1], 0.5 * W])[:, :T] - 0.3 * (X[:, :1] * X[:, 1:2])
    targets = [f"loss_{t}" for t in range(T)]
    return ip.Evaluations.from_arrays(X, y + noise * rng.normal(size=y.shape), tasks=TASKS, targets=targets, **more)


@pytest.fixture
def runs(rng):
    return table(masks(rng), rng, T=2)


@pytest.fixture
def predictor(runs):
    return ip.fit(runs)


# ---- predictions


def test_predictions_are_those_of_the_surrogate(predictor):
    X = every_mask(5)
    found = predictor.predict(X)
    ((targets, choice),) = predictor.choices
    mean, deviation = choice.surrogate.predict(X, return_std=True)
    noisy = choice.surrogate.predict(X, return_std=True, noise=True)[1]
    assert targets.tolist() == [0, 1]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.interval()[1] - found.interval()[0], 2 * 1.959964 * noisy, rtol=1e-6)
    np.testing.assert_allclose(found.interval(noise=False)[1], mean + 1.959964 * deviation, rtol=1e-6)
    assert (found.measured > found.deviation).all()


def test_an_answer_predicts_what_the_fit_does(runs, predictor):
    answer = ip.attribute(runs)
    X = every_mask(5)[:7]
    np.testing.assert_array_equal(answer.predict(X).mean, predictor.predict(X).mean)
    assert answer.surrogate == predictor.sentence


def test_new_measurements_lie_in_their_intervals(rng):
    inside = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        new = table(masks(rng, 60), rng, noise=0.1)
        low, high = ip.fit(table(masks(rng, 40), rng, noise=0.1)).predict(new.masks).interval()
        inside.append(((new.values > low) & (new.values < high)).mean())
    assert 0.88 <= np.mean(inside) <= 0.99


def test_forms_of_candidates(predictor, tmp_path):
    X = every_mask(5)[[3, 9, 30]]
    expected = predictor.predict(X).mean
    frame = pd.DataFrame(X, columns=TASKS).assign(price=[1, 2, 3], name=["x", "y", "z"], target=0.5)
    frame[["target", "name", *reversed(TASKS), "price"]].to_csv(tmp_path / "c.csv", index=False)
    for form in (frame, tmp_path / "c.csv", str(tmp_path / "c.csv")):
        found = predictor.predict(form)
        np.testing.assert_array_equal(found.mean, expected)
        assert found.names == ("x", "y", "z")
    tidy = found.to_frame()
    assert len(tidy) == 6
    assert tidy.price.tolist() == [1, 1, 2, 2, 3, 3]
    assert tidy["given:target"].tolist() == [0.5] * 6
    assert tidy.target.tolist() == ["loss_0", "loss_1"] * 3
    np.testing.assert_array_equal(tidy.prediction, expected.ravel())
    assert predictor.predict(X[0]).mean.shape == (1, 2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.ones((2, 4)), r"shape \(2, 4\); give one column for each of the 5 tasks"),
        (np.full((1, 5), 0.5), "candidate 1 has 0.5 for task 'a'; masks are 0 or 1"),
        (pd.DataFrame({"a": [1]}), "no column for 4 of 5 tasks: b, c, d, e"),
    ],
)
def test_bad_candidates(predictor, given, words):
    with pytest.raises(EvaluationsError, match=words):
        predictor.predict(given)


def test_candidates_of_tasks_that_never_switch(rng):
    X = np.column_stack([masks(rng)[:, :3], np.ones(40), np.zeros(40)])
    found = ip.fit(table(X, rng)).predict([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0]])
    assert any("d" in said and "is not known" in said for said in found.warnings)
    assert "Note: the runs never switch d" in repr(found)
    mixed = np.column_stack([rng.dirichlet(np.ones(4), 40), np.zeros(40)])
    with pytest.raises(EvaluationsError, match="is about e, which the runs never switch"):
        ip.fit(table(mixed, rng)).predict([[0.2] * 5])


# ---- far from the runs


@pytest.mark.parametrize("name", ["ridge cv", "rbf + linear", "stack"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_remoteness_against_refits_without_each_group(rng, name, repeats):
    X, y = game(4, 12, rng)
    X, y = np.repeat(X, repeats, axis=0), np.repeat(y, repeats, axis=0) + 0.1 * rng.normal(size=(12 * repeats, 2))
    fitted = clone(SURROGATES[name]).fit(X, y)
    points = rng.random((6, 4))
    there, left_out = np.zeros((6, 2)), np.zeros((len(X), 2))
    for member, weights in zip(fitted.members_, fitted.weights_, strict=True):
        for fit in member.fits:
            scale = weights[fit.targets] * fit.amplitude
            at = lambda P, posterior, kept, kernel=fit.kernel: posterior.variance(
                kernel.matrix(P, kept), kernel.paired(P, P), 1.0
            )
            there[:, fit.targets] += np.outer(at(points, fit.posterior, X), scale)
            for g in np.unique(fitted.rows_.groups.index):
                out = fitted.rows_.groups.index == g
                kept, rows = X[~out], fitted.rows_.take(~out)
                posterior = Posterior.of(fit.kernel.matrix(kept, kept), np.zeros((len(kept), 1)), fit.noise, rows)
                left_out[np.ix_(out, fit.targets)] += np.outer(at(X[out], posterior, kept), scale)
    np.testing.assert_allclose(remoteness(fitted, points), np.sqrt(there / left_out.max(axis=0)), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.booleans())
def test_no_run_is_far_from_the_runs(seed, mixture):
    rng = np.random.default_rng(seed)
    X = rng.dirichlet(np.ones(4), 12) if mixture else (rng.random((12, 4)) < 0.5).astype(float)
    surrogate = KernelSurrogate(kernel="rbf", links=("identity",)).fit(X, rng.normal(size=(12, 2)))
    assert (remoteness(surrogate, X) <= 1 + 1e-9).all()


def test_what_lies_far_is_said(rng):
    few = ip.masks.fixed_size(8, 40, 3, rng=rng)
    runs = ip.Evaluations.from_arrays(few, 3 - few @ np.linspace(0.1, 0.8, 8) + 0.01 * rng.normal(size=40))
    found = ip.fit(runs).predict(np.vstack([np.ones(8), few[0]]))
    assert found.far[:, 0].tolist() == [True, False]
    assert "candidate 1 lies far from the runs" in repr(found)
    X = rng.dirichlet(np.full(4, 8.0), 40)
    runs = ip.Evaluations.from_arrays(X, np.log(X + 0.1) @ [1.0, 0.2, 0.0, -0.3] + 0.01 * rng.normal(size=40))
    found = ip.fit(runs).predict([[0.97, 0.01, 0.01, 0.01], X.mean(axis=0)])
    assert found.far[:, 0].tolist() == [True, False]


def test_new_runs_like_the_old_are_seldom_far(rng):
    far = []
    for _ in range(4):
        X = rng.dirichlet(np.full(6, 2.0), 40)
        runs = ip.Evaluations.from_arrays(
            X, np.log(X + 0.1) @ rng.normal(size=(6, 1)) + 0.05 * rng.normal(size=(40, 1))
        )
        far.append(ip.fit(runs).predict(rng.dirichlet(np.full(6, 2.0), 200)).far.mean())
    assert np.mean(far) < 0.1


def test_many_far_candidates_are_counted(predictor, rng):
    few = ip.masks.fixed_size(5, 10, 2, rng=rng)
    runs = ip.Evaluations.from_arrays(np.vstack([few] * 3), rng.normal(size=30) + np.tile(few @ W, 3))
    found = ip.fit(runs).predict(np.vstack([np.ones((7, 5)), few[:1]]))
    assert found.far.sum() == 7
    assert "2 more of the 8 candidates lie far from the runs" in repr(found)
    all_far = ip.fit(runs).predict(np.ones((7, 5)))
    assert "all 7 candidates lie far from the runs" in repr(all_far)


# ---- the best, and tables


def test_the_best_is_best_in_the_direction_of_each_target(rng):
    X = masks(rng)
    down = ip.fit(table(X, rng))
    up = ip.fit(table(X, rng, higher_is_better=True))
    every = every_mask(5)
    assert down.best(every) == int(np.argmin(down.at(every)[0][:, 0]))
    assert up.best(every) == int(np.argmax(up.at(every)[0][:, 0]))
    two = ip.fit(table(X, rng, T=2))
    z = -(two.at(every)[0] - two.centre) / two.spread
    np.testing.assert_allclose(two.benefit(two.at(every)[0]), z.mean(axis=1))
    assert repr(two.predict(every)).index(f"candidate {two.best(every) + 1} ") < repr(two.predict(every)).index(
        "... 12"
    )


def test_constant_targets_do_not_count(rng):
    runs = table(masks(rng), rng, T=2)
    runs = ip.Evaluations.from_arrays(runs.masks, np.column_stack([runs.values[:, 0], np.full(40, 0.7)]), tasks=TASKS)
    fitted = ip.fit(runs)
    found = fitted.predict(every_mask(5))
    np.testing.assert_allclose(found.mean[:, 1], 0.7)
    assert not found.far[:, 1].any()
    np.testing.assert_allclose(fitted.benefit(found.mean), fitted.benefit(found.mean, [0]))
    assert fitted.benefit(found.mean, [1]).tolist() == [0.0] * 32
    assert fitted.skill["ridge"][1] == 0.0


def test_a_mean_over_seeds_is_predicted_and_said(rng):
    X = np.unique(masks(rng), axis=0)
    crossed = table(np.vstack([X, X]), rng, seed=np.repeat([0, 1], len(X)))
    found = ip.fit(crossed).predict(X[:2])
    assert "a new mask's mean over the same 2 seeds" in repr(found)


def test_comparison_names_what_is_taken(predictor):
    shown = comparison.text(predictor, by_target=True)
    frame = predictor.comparison()
    assert set(frame.surrogate) == {"ridge", "rbf", "ard", "stack"}
    assert frame.taken.sum() == 1
    (taken,) = frame.surrogate[frame.taken]
    assert predictor.choices[0][1].name == taken
    assert predictor.sentence in shown
    assert any(line.startswith(comparison.NAMES[taken]) and line.endswith("taken") for line in shown.splitlines())
    by_target = predictor.by_target()
    np.testing.assert_allclose(by_target[taken].mean(), frame.r2[frame.taken].iloc[0])
    assert by_target.taken.tolist() == [taken] * 2
    np.testing.assert_allclose(by_target.gain.mean(), predictor.choices[0][1].gain)  # means of paired differences
    assert (by_target.gain_lower < by_target.gain).all()
    assert (by_target.gain < by_target.gain_upper).all()
    assert repr(predictor) == comparison.text(predictor)


def test_one_target_shows_both_intervals(predictor):
    shown = predictions.text(predictor.predict(every_mask(5)), ["loss_1"], top=3)
    assert "Predicted loss_1, in its own unit (lower is better; best first)" in shown
    assert "95 %: a new run" in shown
    assert "29 more, predicted worse" in shown


# ---- saved and loaded


def kinds_of_runs(rng):
    gaps = table(masks(rng), rng, T=3)
    values = gaps.values.copy()
    values[:9, 2] = np.nan
    coupled = table(masks(rng), rng, seed=np.arange(40) % 3, notes={"coupled": True})
    return {
        "masks": table(masks(rng), rng, T=2),
        "joint": table(np.column_stack([masks(rng)[:, :3], *[rng.integers(0, 2, 40)] * 2]).astype(float), rng),
        "scores": table(masks(rng), rng, T=2, higher_is_better=True),
        "mixtures": table(rng.dirichlet(np.ones(5), 40), rng, T=2),
        "coupled seeds": coupled,
        "gaps": ip.Evaluations.from_arrays(gaps.masks, values, tasks=TASKS),
    }


@pytest.mark.parametrize("name", kinds_of_runs(np.random.default_rng(0)))
@pytest.mark.parametrize("surrogate", ["ridge", "stack"])
def test_a_saved_fit_predicts_the_same(rng, tmp_path, name, surrogate):
    runs = kinds_of_runs(rng)[name]
    fitted = ip.fit(runs, surrogate)
    path = fitted.save(tmp_path / "fit")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.json", "fit.npz"]
    back = Predictor.load(path)
    candidates = runs.masks[:9] if runs.kind == "mask" else rng.dirichlet(np.ones(5), 9)
    if name != "joint":
        candidates = rng.permuted(candidates, axis=1)
    a, b = fitted.predict(candidates), back.predict(candidates)
    for part in ("mean", "deviation", "measured", "remoteness"):
        np.testing.assert_allclose(getattr(b, part), getattr(a, part), rtol=1e-6, atol=1e-9)
    assert repr(b) == repr(a)
    assert repr(back) == repr(fitted)
    assert back.warnings == fitted.warnings
    for _, kept in archive.read(path, "predictor", 2, "")[1].items():
        assert kept.shape != (len(runs), len(runs))  # precision matrices are computed, not stored


@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_by_itself_is_saved_too(rng, tmp_path, name):
    X, y = game(5, 30, rng)
    fitted = clone(SURROGATES[name]).fit(X, y)
    back = load_surrogate(fitted.save(tmp_path / "g.json"))
    assert type(back) is type(fitted)
    assert back.get_params() == {k: list(v) if isinstance(v, tuple) else v for k, v in fitted.get_params().items()}
    for noise in (False, True):
        for a, b in zip(
            fitted.predict(every_mask(5), return_std=True, noise=noise),
            back.predict(every_mask(5), return_std=True, noise=noise),
            strict=True,
        ):
            np.testing.assert_allclose(b, a, rtol=1e-4)
    found, again = ip.readings.shapley(fitted), ip.readings.shapley(back)
    np.testing.assert_allclose(again.deviation, found.deviation, rtol=1e-4, atol=1e-9)
    if hasattr(fitted, "coef_"):
        np.testing.assert_array_equal(back.coef_, fitted.coef_)


def test_a_lasso_keeps_the_covariances_of_its_refits(rng, tmp_path):
    X = (rng.random((30, 40)) < 0.5).astype(float)
    y = X[:, 0] - 0.5 * X[:, 3] + 0.1 * rng.normal(size=30)
    fitted = ip.LinearSurrogate(penalty="lasso").fit(X, y)
    back = load_surrogate(fitted.save(tmp_path / "g"))
    for a, b in zip(fitted.predict(X, return_std=True), back.predict(X, return_std=True), strict=True):
        np.testing.assert_array_equal(b, a)
    np.testing.assert_array_equal(remoteness(back, X), remoteness(fitted, X))
    assert remoteness(fitted, X).max() == pytest.approx(1.0)


def test_noise_that_depends_on_the_mask_is_kept(rng, tmp_path):
    X = np.repeat(np.unique(masks(rng, 60), axis=0), 8, axis=0)
    y = 2 - X @ W + np.where(X[:, 0] == 1, 0.3, 0.01) * rng.normal(size=len(X))
    fitted = KernelSurrogate().fit(X, y)
    assert fitted.noise_ is not None
    back = load_surrogate(fitted.save(tmp_path / "g"))
    for noise in (False, True):
        a = fitted.predict(every_mask(5), return_std=True, noise=noise)[1]
        np.testing.assert_allclose(back.predict(every_mask(5), return_std=True, noise=noise)[1], a, rtol=1e-3)
    np.testing.assert_allclose(remoteness(back, every_mask(5)), remoteness(fitted, every_mask(5)), rtol=1e-3)


def test_a_single_target_stays_single(rng, tmp_path):
    X, y = game(5, 30, rng)
    fitted = ip.LinearSurrogate().fit(X, y[:, 0])
    back = load_surrogate(fitted.save(tmp_path / "g"))
    assert back.predict(X).shape == (30,)
    assert back.intercept_ == fitted.intercept_


def test_files_that_are_no_fit(predictor, runs, tmp_path):
    path = predictor.save(tmp_path / "fit.json")
    other = ip.fit(runs, "ridge").save(tmp_path / "other.json")
    load = lambda name: Predictor.load(tmp_path / name)
    with pytest.raises(EvaluationsError, match=r"no such file; interplay attribute RUNS --save FILE"):
        load("none.json")
    (tmp_path / "prose.json").write_text("Dear all")
    with pytest.raises(EvaluationsError, match="not a saved fit"):
        load("prose.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(EvaluationsError, match="not a saved fit"):
        load("list.json")
    ip.attribute(runs).save(tmp_path / "answer.json")
    with pytest.raises(EvaluationsError, match="not a saved fit, it is an attribution"):
        load("answer.json")
    with pytest.raises(EvaluationsError, match="not a saved surrogate, it is a saved fit"):
        load_surrogate(path)
    words = json.loads(path.read_text())
    (tmp_path / "late.json").write_text(json.dumps({**words, "version": 99}))
    with pytest.raises(EvaluationsError, match="version 99 of a saved fit, and this reads up to 2"):
        load("late.json")
    (tmp_path / "late.json").write_text(json.dumps(words))
    with pytest.raises(EvaluationsError, match=r"its arrays, late\.npz, are not beside it"):
        load("late.json")
    path.with_suffix(".npz").write_bytes(other.with_suffix(".npz").read_bytes())
    with pytest.raises(EvaluationsError, match=r"not the arrays of fit\.json, or damaged"):
        load("fit.json")


def changed(path, words=None, arrays=None):
    """Write a saved fit again with something else in it, and its checksum right."""
    said, held = archive.read(path, "predictor", 2, "")
    for name, value in (words or {}).items():
        said[name] = value
    for name, value in (arrays or {}).items():
        key = next(k for k in held if k.endswith(name))
        if value is None:
            del held[key]
        else:
            held[key] = value(held[key])
    archive.write(path, "predictor", 2, said, held)


@pytest.mark.parametrize(
    ("words", "arrays"),
    [
        ({}, {"theta": None}),
        ({}, {"theta": lambda a: a[1:]}),
        ({}, {"X_": lambda a: a[1:]}),
        ({}, {"X_": lambda a: a[:, 1:]}),
        ({}, {"sign": lambda a: a[:0]}),
        ({}, {"weights_": lambda a: a[:, :1]}),
        ({}, {"surrogate/0/0/targets": lambda a: a + 7}),
        ({}, {"gamma/0": lambda a: a[:2]}),
        ({}, {"spread": lambda a: a[:1]}),
        ({"targets": ["loss_0"]}, {}),
        ({"choices": []}, {}),
        ({"players": {}}, {}),
        ({"kind": None, "rows": None}, {}),
    ],
)
def test_a_damaged_fit_is_an_error_and_never_a_number(predictor, tmp_path, words, arrays):
    path = predictor.save(tmp_path / "fit.json")
    changed(path, words, arrays)
    with pytest.raises(EvaluationsError, match=r"fit\.json: damaged.*Fit again"):
        Predictor.load(path)


# ---- on the command line


@pytest.fixture
def files(rng, shell):
    """runs.csv with two losses, and candidates.csv with a price."""
    runs = table(masks(rng), rng, T=2)
    frame = pd.DataFrame(runs.masks.astype(int), columns=TASKS)
    frame.assign(loss_0=runs.values[:, 0], loss_1=runs.values[:, 1]).to_csv("runs.csv", index=False)
    every = pd.DataFrame(every_mask(5).astype(int), columns=TASKS).assign(price=range(32))
    every.to_csv("candidates.csv", index=False)
    return shell


RUNS = ("runs.csv", "--target", "loss_*")
ONE = ("--target", "loss_0", "--ignore", "loss_1")


def test_runs_and_a_saved_fit_predict_the_same(files):
    code, _, err = files("attribute", *RUNS, "--save", "fit.json")
    assert (code, err) == (0, "")
    code, from_runs, err = files("predict", "runs.csv", "candidates.csv", "--target", "loss_*", "--json")
    assert code == 0, err
    a = pd.read_json(io.StringIO(from_runs), lines=True)
    b = pd.read_json(io.StringIO(files("predict", "fit.json", "candidates.csv", "--json")[1]), lines=True)
    assert len(a) == 64
    assert a.price.tolist() == np.repeat(range(32), 2).tolist()
    pd.testing.assert_frame_equal(a, b, rtol=1e-6)
    one = pd.read_json(
        io.StringIO(files("predict", "fit.json", "candidates.csv", "--json", "--target", "loss_1")[1]), lines=True
    )
    pd.testing.assert_frame_equal(one, b[b.target == "loss_1"].reset_index(drop=True))


def test_what_a_person_sees(files):
    code, out, _ = files(
        "predict",
        "runs.csv",
        "candidates.csv",
        "--target",
        "loss_0",
        "--ignore",
        "loss_1",
        "--out",
        "p.csv",
        "--top",
        "4",
    )
    lines = out.splitlines()
    assert code == 0
    assert lines[:2] == ["runs.csv: 40 runs, 5 tasks (mask).", "candidates.csv: 32 candidates."]
    best = pd.read_csv("p.csv").sort_values("prediction").candidate.iloc[0]
    assert lines[5].startswith(best)
    assert "28 more, predicted worse" in out
    assert "held-out R^2" in out
    code, out, _ = files("predict", "runs.csv", "candidates.csv", "--target", "loss_*", "--out", "p.parquet")
    assert "Predicted benefit against the mean of the runs, over 2 targets" in out
    assert len(pd.read_parquet("p.parquet")) == 64


def test_far_candidates_reach_every_output(shell, rng):
    few = ip.masks.fixed_size(5, 10, 2, rng=rng)
    X = np.vstack([few] * 3)
    frame = pd.DataFrame(X.astype(int), columns=TASKS).assign(loss=2 - X @ W + 0.01 * rng.normal(size=30))
    frame.to_csv("runs.csv", index=False)
    pd.DataFrame([[1] * 5, few[0].astype(int)], columns=TASKS).assign(name=["full", "old"]).to_csv("c.csv", index=False)
    call = ("predict", "runs.csv", "c.csv", "--target", "loss")
    _, out, _ = shell(*call)
    assert "Note: full lies far from the runs" in out
    _, out, err = shell(*call, "--json")
    assert [json.loads(line)["far"] for line in out.splitlines()] == [True, False]
    assert "Note: full lies far from the runs" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runs.csv", "none.csv", *ONE), ["CANDIDATES: ", "'none.csv' does not exist"]),
        (("runs.csv", "halves.csv", *ONE), ["CANDIDATES: halves.csv: row 1 has 0.5", "0 or 1"]),
        (("fit.json", "candidates.csv"), ["fit.json: there is no such file"]),
        (
            ("runs.csv", "candidates.csv", "--target", "loss_0", "--out", "candidates.csv"),
            ["write over candidates.csv"],
        ),
        (("runs.csv", "candidates.csv", "--target", "loss_0", "--out", "x.json"), ["'.json'", ".csv or .parquet"]),
        (("runs.csv", "candidates.csv", *ONE, "--surrogate", "gp"), ["'gp'", "'ridge'"]),
    ],
)
def test_bad_input(files, words, said):
    Path("halves.csv").write_text("a,b,c,d,e\n.5,0,0,0,0\n")
    code, out, err = files("predict", *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for word in said:
        assert word in err


def test_a_saved_fit_takes_no_options_of_reading(files):
    assert files("attribute", *RUNS, "--save", "fit.json")[0] == 0
    for words in (("--kind", "mask"), ("--surrogate", "ridge"), ("--derive", "x=mean(loss_*)")):
        code, _, err = files("predict", "fit.json", "candidates.csv", *words)
        assert code == 2
        assert f"{words[0]}: fit.json is fitted already" in err
    code, _, err = files("predict", "fit.json", "candidates.csv", "--target", "nope")
    assert code == 2
    assert "no target is called 'nope'" in err


@pytest.mark.parametrize(
    ("save", "said"),
    [("fit.txt", "--save fit.txt: the suffix"), ("a.json", "--save a.json: this would write over a.json")],
)
def test_bad_places_to_save(files, save, said):
    code, _, err = files("attribute", *RUNS, "--out", "a.json", "--save", save)
    assert code == 2
    assert said in err


def test_compare(files):
    code, out, _ = files("compare", *RUNS)
    assert code == 0
    assert "Surrogates of 2 targets by their errors on held-out rows, 40 runs" in out
    for surrogate in ("ridge", "rbf", "ard", "stack"):
        name = comparison.NAMES[surrogate]
        assert sum(line.startswith(name) for line in out.splitlines()) == 1
    assert "Held-out R^2 of each target" not in out
    _, out, _ = files("compare", *RUNS, "--by-target")
    assert any(line.startswith("loss_1 ") for line in out.splitlines())
    _, out, _ = files("compare", *RUNS, "--json", "--out", "t.csv")
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["surrogate"] for r in records] == ["ridge", "rbf", "ard", "stack"]
    assert sum(r["taken"] for r in records) == 1
    assert all(r["lower"] <= r["worse"] <= r["upper"] for r in records)
    assert pd.read_csv("t.csv").surrogate.tolist() == [r["surrogate"] for r in records]
    _, out, _ = files("compare", *RUNS, "--json", "--by-target")
    assert [json.loads(line)["target"] for line in out.splitlines()] == ["loss_0", "loss_1"]
