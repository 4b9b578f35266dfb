"""The command line on recordings of others, where they are at hand; what the recordings in `benchmarks/` hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from interplay import metrics
from interplay.evaluations import Evaluations
from interplay.problems.digits import TARGETS, Digits, recording
from tests.command_line import refused

DATA = Path(__file__).parents[2] / "shared" / "data"
OURS = Path(__file__).parents[1] / "benchmarks" / "recordings"


def needs(*names, folder=DATA):
    paths = [folder / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip(f"recordings: {folder / names[0]} is not there")
    return paths


def test_olmix(shell):
    ratios, metrics = needs("olmix/dclm_ratios.csv", "olmix/dclm_metrics.csv")
    call = ("attribute", ratios, "--metrics", metrics, "--target", "mbpp:*", "--target", "hellaswag*", "--json")
    code, out, err = shell(*call)
    frame = pd.DataFrame(map(json.loads, out.splitlines()))
    assert code == 0
    assert set(frame.target) == {"mbpp:3shot::none", "hellaswag:rc::olmes"}
    assert frame.task.nunique() == 24
    assert set(frame.reading) == {"move"}
    assert "taken as lower is better" in err
    coding = frame[frame.target == "mbpp:3shot::none"].set_index("task").benefit
    assert coding.idxmax() == "software_development"


def test_regmix(shell):
    mixtures, losses = needs("regmix/train_mixture_1m.csv", "regmix/train_pile_loss_1m.csv")
    for source, name in ((mixtures, "m.csv"), (losses, "l.csv")):
        pd.read_csv(source).head(100).to_csv(name, index=False)
    call = ("attribute", "m.csv", "--metrics", "l.csv", "--target", "*github*", "--target", "*arxiv*", "--json")
    code, out, err = shell(*call, "--no-pairs")
    frame = pd.DataFrame(map(json.loads, out.splitlines()))
    assert (code, err) == (0, "")
    best = frame.loc[frame.groupby("target").lower.idxmax()].set_index("target").task
    assert {target.split("pile_")[-1].split("_")[0]: task.split("pile_")[-1] for target, task in best.items()} == {
        "github": "github",
        "arxiv": "arxiv",
    }


def test_valuation(shell):
    (sources,) = needs("valuation/sources_adult.csv")
    pd.read_csv(sources).sample(150, random_state=0).to_csv("s.csv", index=False)
    code, out, _ = shell("attribute", "s.csv")
    assert code == 0
    assert "Attribution of 3 targets to 10 tasks, 150 runs" in out
    assert "Note: taken as targets by their names: 'acc_decision_tree'" in out
    refused(shell("attribute", "s.csv", "--target", "acc_random_forest"), "'acc_decision_tree'", "--ignore")
    code, out, _ = shell("attribute", "s.csv", "--target", "acc_random_forest", "--ignore", "acc_[dg]*")
    assert code == 0
    assert "10 tasks (mask)" in out
    assert "higher is better" in out


# ---------------------------------------------------------------- ours


def bits(masks):
    return {mask.astype(np.uint8).tobytes() for mask in masks}


def digits(problem_seed):
    """All recorded runs of the digits problem at its own width."""
    if problem_seed == 0:
        return recording()
    (path,) = needs(f"digits-{problem_seed}.parquet", folder=OURS)
    return Evaluations.read(path, targets=TARGETS)


def fidelities(problem_seed):
    (path,) = needs(f"fidelities-{problem_seed}.parquet", folder=OURS)
    return Evaluations.read(path, targets=TARGETS)


def grokking():
    (path,) = needs("grokking.parquet", folder=OURS)
    return Evaluations.read(path, targets=["loss", "accuracy", "loss/*"])


def test_ours_are_small():
    paths = needs(*(f"fidelities-{problem_seed}.parquet" for problem_seed in range(3)), "grokking.parquet", folder=OURS)
    assert sum(path.stat().st_size for path in paths) < 1_000_000


@pytest.mark.parametrize("problem_seed", range(3))
def test_fidelities_have_the_masks_of_the_dear_runs(problem_seed):
    runs, every = fidelities(problem_seed), digits(problem_seed)
    dear = every.filter(every.origin == "near_full").where(seed=100)
    truth = every.filter(every.origin == "truth")
    assert (runs.m, runs.kind) == (720, "mask")
    assert (runs.tasks, runs.targets, runs.higher_is_better) == (dear.tasks, dear.targets, dear.higher_is_better)
    assert set(runs.origin) == {"near_full"}
    assert np.isfinite(runs.values).all()
    assert (runs.values > 0).all()
    assert not bits(runs.masks) & bits(truth.masks)
    for word, seed in {"narrow": 100, "estimated": -1, "estimated one start": -1}.items():
        rows = runs.where(fidelity=word)
        np.testing.assert_array_equal(rows.masks, dear.masks)
        assert set(rows.seed) == {seed}
        assert metrics.spearman(rows.values[:, 0], dear.values[:, 0]) > 0.95
        assert np.min(metrics.spearman(rows.values, dear.values)) > 0.5


@pytest.mark.parametrize("problem_seed", range(3))
def test_fidelities_say_what_they_cost_and_how_they_were_made(problem_seed):
    runs = fidelities(problem_seed)
    costs = {word: set(runs.where(fidelity=word).cost) for word in set(runs.fidelity)}
    assert all(len(cost) == 1 for cost in costs.values())
    one, three, narrow = (costs[word].pop() for word in ("estimated one start", "estimated", "narrow"))
    assert 0 < one < three < narrow < 1
    notes = runs.notes
    assert notes["coupled"] is True
    assert notes["training"]["steps"] == Digits(problem_seed).steps
    assert notes["fidelities"]["narrow"]["hidden"] == 12
    assert notes["fidelities"]["narrow"]["training"] == notes["training"]
    assert notes["fidelities"]["estimated"]["W0_seeds"] == [200, 201, 202]
    assert notes["fidelities"]["estimated one start"]["W0_seeds"] == [200]
    assert notes["estimator"] == notes["fidelities"]["estimated"]["estimator"]


def test_a_narrow_run_can_be_repeated():
    pytest.importorskip("torch")
    rows = fidelities(0).where(fidelity="narrow")[:2]
    again = Digits(0, hidden=12).retrain().evaluate(rows.masks, rows.seed)
    np.testing.assert_allclose(again, rows.values, rtol=0.05, atol=0.01)


def test_grokking_has_runs_to_learn_from_and_a_truth():
    runs = grokking()
    assert (runs.m, runs.K, runs.T, runs.kind) == (210, 25, 7, "mask")
    assert dict(zip(runs.targets, runs.higher_is_better, strict=True)) == {
        "loss": False, "accuracy": True, **{f"loss/a{i}": False for i in range(5)},
    }  # fmt: skip
    assert np.isfinite(runs.values).all()
    assert runs.notes["coupled"] is True
    assert runs.notes["training"]["steps"] == 1500
    near, truth, twin = (runs.filter(runs.origin == origin) for origin in ("near_full", "truth", "perturbed"))
    assert (near.m, truth.m, twin.m) == (80, 4 * 26, 26)
    assert set(near.seed) == {100}
    assert len(bits(near.masks)) == 80
    assert not bits(near.masks) & bits(truth.masks)
    assert set(truth.seed) == set(range(4))
    for seed in range(4):
        np.testing.assert_array_equal(truth.where(seed=seed).masks, np.vstack([np.ones(25), 1 - np.eye(25)]))
    assert set(twin.seed) == {0}
    np.testing.assert_array_equal(twin.masks, truth.where(seed=0).masks)


def test_grokking_repeats_itself_from_perturbed_weights_but_hardly_over_seeds():
    runs = grokking()
    truth, twin = (metrics.leave_one_out_effects(runs.filter(runs.origin == o)) for o in ("truth", "perturbed"))
    first = truth.per_seed[0]
    assert np.min(metrics.spearman(first, twin.effects)) > 0.7
    others = [metrics.spearman(first, other) for other in truth.per_seed[1:]]
    assert np.mean(others) < 0.3
    full = runs.filter((runs.origin == "truth") & runs.masks.all(axis=1)).select(["accuracy"]).values
    assert 0.3 < full.mean() < 0.9
