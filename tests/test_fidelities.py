"""Several fidelities in one answer: which it is about, whether ranks transfer, what one more run brings, the verbs."""

from dataclasses import replace

import numpy as np
import pytest

import interplay as ip
from interplay.attribution import Attribution
from interplay.evaluations import EvaluationsError
from interplay.fidelities import Fidelities, asked_about, described, worth_of_runs
from interplay.predictor import Predictor
from interplay.surrogates.fidelity import FidelitySurrogate
from tests.command_line import TASKS, W, loo, put, refused, table

K = 6
BENEFIT = np.array([0.5, 0.3, 0.2, 0.0, -0.1, -0.3])


def words(*names, cost=None):
    """One run of each fidelity."""
    m = len(names)
    return ip.Evaluations.from_arrays(np.arange(2 * m).reshape(m, 2) % 2, np.arange(m), fidelity=names, cost=cost)


def both(rng, dear=20, cheap=60, noise=0.02, shift=1.0, T=1, names=("estimated", "retrained"), **more):
    """Cheap runs, and dear ones of masks among theirs."""
    X = (rng.random((cheap, K)) < 0.8).astype(float)
    y = 3.0 - (X @ BENEFIT)[:, None] * np.arange(1, T + 1)
    values = np.vstack([y + shift, y[:dear]]) + noise * rng.normal(size=(cheap + dear, T))
    said = [names[0]] * cheap + [names[1]] * dear
    targets = [f"loss_{t}" for t in range(T)]
    return ip.Evaluations.from_arrays(np.vstack([X, X[:dear]]), values, targets=targets, fidelity=said, **more)


@pytest.fixture
def runs(rng):
    return both(rng, dear=12, noise=0.1, T=2, cost=np.repeat([0.01, 1.0], [60, 12]))


@pytest.fixture
def answer(runs):
    return ip.attribute(runs)


# ---- which fidelity is asked about


@pytest.mark.parametrize(
    ("names", "cost", "dear"),
    [
        (("retrained", "retrained"), None, None),
        (("estimated", "retrained"), None, "retrained"),
        (("estimated one start", "estimated", "large"), None, "large"),
        (("70m", "1b"), None, "1b"),
        (("pythia-410m", "pythia-1.4b", "pythia-70m"), None, "pythia-1.4b"),
        (("wide", "narrow"), (1.0, 5.0), "narrow"),
        (("70m", "1b"), (9.0, 2.0), "70m"),
        (("1b step 1000", "1b step 5000"), None, "1b step 5000"),
    ],
)
def test_the_dear_one_is_found(names, cost, dear):
    assert asked_about(words(*names, cost=cost), None) == dear


def test_any_may_be_asked_for():
    assert asked_about(words("70m", "1b"), "70m") == "70m"
    with pytest.raises(EvaluationsError, match=r"at='7b' \(--at\): no run is of this fidelity; there are 70m, 1b"):
        asked_about(words("70m", "1b"), "7b")


@pytest.mark.parametrize("names", [("wide", "narrow"), ("wide", "1b"), ("estimated", "estimated one start")])
def test_what_nothing_tells_is_asked(names):
    with pytest.raises(EvaluationsError, match=rf"several fidelities \({names[0]}, {names[1]}\).*at='{names[0]}'"):
        asked_about(words(*names), None)
    with pytest.raises(EvaluationsError, match="neither their costs nor their names"):
        asked_about(words("wide", "narrow", cost=(1.0, 1.0)), None)


# ---- what is said


def said(spearman=0.9, lower=0.8, upper=0.95, shared=20, worth=(0.04, 0.01), cost=(1.0, 0.01)):
    held = ((1.0, spearman), (1.0, lower), (1.0, upper), worth, cost)
    return Fidelities("1b", ("1b", "70m"), (20, 60), (20, shared), *held).sentences


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({}, "Ranks transfer from 70m to 1b runs (Spearman 0.90, 0.80 to 0.95, over 20 shared masks)."),
        ({"spearman": 0.5, "lower": 0.2, "upper": 0.7}, "Ranks of 70m and 1b runs agree in part (Spearman 0.50"),
        ({"spearman": 0.0, "lower": -0.3, "upper": 0.3}, "Ranks do not transfer from 70m to 1b runs (Spearman 0.00"),
        (
            {"spearman": 0.2, "lower": -0.3, "upper": 0.6},
            "Whether ranks transfer from 70m to 1b runs cannot be told (Spe",
        ),
        (
            {"spearman": np.nan, "shared": 1},
            "Whether ranks transfer from 70m to 1b runs cannot be told from 1 mask that both ran; 8 would tell.",
        ),
    ],
)
def test_whether_ranks_transfer(how, sentence):
    first, second, _ = said(**how)
    assert first == "The answer is about 1b runs; there are 20 runs of 1b, 60 runs of 70m."
    assert second.startswith(sentence)


def test_what_one_more_run_brings():
    assert said()[2] == (
        "One more run would lower the variance of the effects by: 1b 4.0%, 70m 1.0%; "
        "per cost (1b 1, 70m 0.01) 70m runs bring most."
    )
    assert "1b runs bring most" in said(cost=(1.0, 0.5))[2]
    assert "state the cost of runs" in said(cost=(1.0, np.nan))[2]
    assert len(said(worth=(np.nan, np.nan))) == 2
    assert "by: 1b 4.0%;" in said(worth=(0.04, np.nan))[2]


def test_fidelities_are_compared_mask_by_mask(rng):
    runs = both(rng, dear=20, noise=0.0)
    found = described(runs, "retrained", True, (0.1, 0.2), ("estimated", "retrained"))
    shared = len(np.unique(runs.where(fidelity="retrained").masks, axis=0))
    assert (found.names, found.runs, found.shared) == (("retrained", "estimated"), (20, 60), (shared, shared))
    assert found.spearman[1] > 0.99
    assert found.worth == (0.2, 0.1)
    assert np.isnan(found.cost).all()
    shuffled = replace(runs, values=np.vstack([rng.permutation(runs.values[:60]), runs.values[60:]]))
    assert "transfer from" in described(shuffled, "retrained", True, (), ()).sentences[1]
    assert not described(shuffled, "retrained", True, (), ()).sentences[1].startswith("Ranks transfer")
    apart = both(rng, dear=3)
    shared = len(np.unique(apart.masks[60:], axis=0))
    assert (
        f"cannot be told from {shared} masks that both ran" in described(apart, "retrained", True, (), ()).sentences[1]
    )


def test_ranks_are_predicted_where_no_masks_are_shared(rng, tmp_path):
    X = np.unique((rng.random((80, K)) < 0.6).astype(float), axis=0)
    said = np.where(np.arange(len(X)) % 3 == 0, "1b", "70m")
    y = 3.0 - X @ BENEFIT + 0.02 * rng.normal(size=len(X))
    n = int((said == "1b").sum())
    answer = ip.attribute(ip.Evaluations.from_arrays(X, y, fidelity=said), pairs=False)
    assert (answer.fidelities.shared[1], answer.fidelities.predicted) == (0, (0, n))
    sentence = answer.fidelities.sentences[1]
    assert sentence.startswith("Ranks transfer from 70m to 1b runs (Spearman 0.9")
    assert sentence.endswith(f"over {n} 1b masks, as 70m runs predict them).")
    assert repr(Attribution.load(answer.save(tmp_path / "answer.json"))) == repr(answer)
    y[said == "70m"] = rng.permutation(y[said == "70m"])
    found = described(ip.Evaluations.from_arrays(X, y, fidelity=said), "1b", True, (), ())
    assert found.sentences[1].startswith("Whether ranks transfer from 70m to 1b runs cannot be told (Spearman")
    assert found.sentences[1].endswith("8 masks that both ran would tell.")
    y[said == "70m"] = np.nan
    nothing = described(ip.Evaluations.from_arrays(X, np.column_stack([y, y]), fidelity=said), "1b", True, (), ())
    assert nothing.sentences[1].endswith("cannot be told from 0 masks that both ran; 8 would tell.")


def test_worth_is_what_a_refit_with_one_more_run_shows(rng):
    runs = both(rng, dear=6, noise=0.1)
    surrogate = FidelitySurrogate("retrained", links=("identity",)).fit(runs.masks, runs.values, runs.fidelity)
    deviation = lambda one: ip.readings.leave_one_out(one).deviation
    worth = worth_of_runs(surrogate, deviation)
    assert worth.shape == (2,)
    assert (worth >= 0).all()
    assert worth[surrogate.at_] > worth[1 - surrogate.at_]  # one of six against one of sixty
    assert worth_of_runs(surrogate, lambda one: np.zeros((K, 1))).tolist() != [0.0, 0.0]  # nothing to lower: NaN


# ---- answers


def test_attribute_takes_all_runs(runs, answer):
    assert answer.fidelities.at == answer.predictor.fidelity == "retrained"
    assert answer.fidelities.joined
    assert answer.rows == (72, 72)
    np.testing.assert_allclose(answer.effects[:, 0], BENEFIT, atol=0.2)
    assert ((answer.lower[:, 0] <= BENEFIT) & (answer.upper[:, 0] >= BENEFIT)).mean() > 0.6
    shown = repr(answer)
    assert "The answer is about retrained runs; there are 12 runs of retrained, 60 runs of estimated." in shown
    assert "Ranks transfer from estimated to retrained runs" in shown
    assert "One more run would lower the variance of the effects by: retrained" in shown
    assert "per cost (retrained 1, estimated 0.01)" in shown
    assert answer.untested.startswith("on runs of several fidelities")
    # few dear runs, near the full set: their spread is no unit; and what the estimator warns of is not lost
    assert "Mean benefit over 2 targets, in each target's own typical effect" in shown
    told = replace(answer, notes={**answer.notes, "estimator": {"warnings": ["it drifts."]}})
    assert "Estimator, before retrained masks judged it: it drifts." in repr(told)


def test_a_saved_answer_says_the_same(answer, tmp_path):
    loaded = Attribution.load(answer.save(tmp_path / "answer.json"))
    assert repr(loaded) == repr(answer)
    assert loaded.fidelities == answer.fidelities


def test_a_saved_fit_predicts_the_same(runs, answer, tmp_path):
    loaded = Predictor.load(answer.predictor.save(tmp_path / "fit.json"))
    X = runs.masks[:5]
    for name in ("mean", "deviation", "measured", "remoteness"):
        np.testing.assert_allclose(getattr(loaded.predict(X), name), getattr(answer.predict(X), name), rtol=1e-8)
    assert loaded.sentence == answer.surrogate


def test_either_may_be_asked_about(runs):
    cheap = ip.fit(runs, at="estimated")
    dear = ip.fit(runs)
    difference = cheap.predict(runs.masks[:9]).mean - dear.predict(runs.masks[:9]).mean
    np.testing.assert_allclose(difference, 1.0, atol=0.25)
    with pytest.raises(EvaluationsError, match="no run is of this fidelity; there are estimated, retrained"):
        ip.attribute(runs, at="large")


def test_the_truth_stands_beside_the_answer(rng):
    runs = both(rng)
    masks = np.vstack([np.ones((1, K)), 1 - np.eye(K)])
    values = np.concatenate([3.0 - masks @ BENEFIT + 0.001 * rng.normal(size=K + 1) for _ in range(3)])
    truth = ip.Evaluations.from_arrays(np.tile(masks, (3, 1)), values, targets=["loss_0"], seed=np.repeat([0, 1, 2], 7))
    answer = ip.attribute(runs, truth)
    assert answer.truth.spearman[0] > 0.9
    assert answer.fidelities.runs[0] < 20  # runs of its masks are in no fit
    assert answer.fidelities.runs[1] == 60  # what estimates say of them is


def test_fewer_than_three_dear_runs_are_refused(rng):
    with pytest.raises(EvaluationsError, match="target 'loss_0' was measured in 2 retrained runs; at least 3"):
        ip.attribute(both(rng, dear=2))
    runs = both(rng, T=2)
    values = runs.values.copy()
    values[62:, 1] = np.nan
    with pytest.raises(EvaluationsError, match="target 'loss_1' was measured in 2 retrained runs"):
        ip.fit(replace(runs, values=values))


def test_targets_of_different_runs(rng):
    runs = both(rng, T=3)
    values = runs.values.copy()
    values[:40, 1] = values[:60, 2] = np.nan  # of the last target there are dear runs only
    answer = ip.attribute(replace(runs, values=values), pairs=False)
    assert answer.rows == (80, 40, 20)
    for t in range(3):
        np.testing.assert_allclose(answer.effects[:, t], (t + 1) * BENEFIT, atol=0.2)
    assert len(answer.choices) == 3
    assert [choice.name != "joint" for targets, choice in answer.choices if 2 in targets] == [True]


def test_crossed_seeds_are_averaged_in_each_fidelity(rng):
    X = np.unique((rng.random((40, K)) < 0.8).astype(float), axis=0)[:12]
    y = 3.0 - X @ BENEFIT
    masks = np.vstack([X, X, X])
    values = np.concatenate([y + 1, y + 0.1, y - 0.1])
    fidelity, seed = np.repeat(["estimated", "retrained"], [12, 24]), np.repeat([-1, 0, 1], 12)
    fitted = ip.fit(ip.Evaluations.from_arrays(masks, values, fidelity=fidelity, seed=seed))
    assert fitted.averaged == 2
    assert any("every retrained mask was run under the same 2 seeds" in line for line in fitted.warnings)


def test_mixtures_of_two_sizes(rng):
    X = rng.dirichlet(np.ones(4), 50)
    loss = 2.0 + np.exp(-2 * X[:, 0]) - 0.5 * X[:, 1]
    names = np.array(["70m"] * 40 + ["1b"] * 10)
    runs = ip.Evaluations.from_arrays(X, np.where(names == "70m", loss + 0.5, loss), kind="mixture", fidelity=names)
    answer = ip.attribute(runs, pairs=False)
    assert (answer.fidelities.at, answer.reading) == ("1b", "move")
    predicted = answer.predict(X[:20]).mean[:, 0]
    assert np.corrcoef(predicted, loss[:20])[0, 1] > 0.98
    assert np.abs(predicted - loss[:20]).max() < 0.1


# ---- the command line


def two_files(dear=9):
    """A file of each size."""
    small = table().drop(columns="run")
    put(small, "small.csv")
    X = small[TASKS].to_numpy()[:dear]
    put(small.iloc[:dear].assign(loss=2.5 - X @ W), "large.csv")


def test_attribute_reads_a_file_of_each_size(shell):
    two_files()
    code, out, err = shell("attribute", "1b=large.csv", "70m=small.csv", "--target", "loss")
    assert code == 0, err
    assert "The answer is about 1b runs; there are 9 runs of 1b, 24 runs of 70m." in out
    code, out, err = shell(
        "attribute", "1b=large.csv", "70m=small.csv", "--target", "loss", "--at", "70m", "--no-pairs"
    )
    assert code == 0, err
    assert "The answer is about 70m runs; there are 24 runs of 70m, 9 runs of 1b." in out
    refused(shell("attribute", "1b=large.csv", "70m=small.csv", "--target", "loss", "--at", "7b"), "--at", "1b, 70m")


def test_compare_and_predict_take_all_sizes(shell):
    two_files()
    code, out, err = shell("compare", "1b=large.csv", "70m=small.csv", "--target", "loss", "--at", "1b")
    assert code == 0, err
    assert "all fidelities together" in out.lower()
    frame = table().drop(columns="run").assign(fidelity="70m")
    put(frame.assign(fidelity=["1b"] * 6 + ["70m"] * 18), "runs.csv")
    put(frame[TASKS].head(3), "new.csv")
    code, out, err = shell("predict", "runs.csv", "new.csv", "--target", "loss", "--at", "70m")
    assert code == 0, err
    assert "new.csv: 3 candidates." in out
    code, _, err = shell("attribute", "runs.csv", "--target", "loss", "--save", "fit.json", "--no-pairs")
    assert code == 0, err
    assert shell("predict", "fit.json", "new.csv")[0] == 0
    refused(shell("predict", "fit.json", "new.csv", "--at", "1b"), "--at: fit.json is fitted already")


def test_truth_of_several_sizes(shell):
    two_files()
    put(loo(seeds=2), "truth.csv")
    words = ("--target", "loss", "--truth", "1b=truth.csv", "--no-pairs")
    code, out, err = shell("attribute", "1b=large.csv", "70m=small.csv", *words)
    assert code == 0, err
    assert "Truth: leave-one-out retraining, 2 seeds" in out
