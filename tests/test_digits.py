from importlib import resources

import numpy as np
import pytest

from interplay.evaluations import Evaluations
from interplay.problems.digits import Digits, recording


@pytest.fixture(scope="module", params=range(3))
def problem(request):
    return Digits(request.param)


def test_twenty_sources_and_a_test_set_apart(problem):
    assert problem.K == len(problem.tasks) == len(set(problem.tasks)) == 20
    assert problem.targets == ("loss", *(f"loss/{c}" for c in range(10)))
    assert problem.X_test.shape == (700, 64)
    np.testing.assert_array_equal(np.bincount(problem.y_test), 70)
    assert ((problem.sizes >= 40) & (problem.sizes <= 70)).all()
    for x, y, wrong in zip(problem.X, problem.y, problem.wrong_labels, strict=True):
        assert x.dtype == np.float32
        assert 0 <= x.min() <= x.max() <= 1
        assert len(x) == len(y) == len(wrong)
    test = {x.tobytes() for x in problem.X_test}
    assert not any(x.tobytes() in test for part in problem.X for x in part)


def test_sources_are_what_their_names_say(problem):
    parts = dict(zip(problem.tasks, zip(problem.X, problem.y, problem.wrong_labels, strict=True), strict=True))
    counts = {name: np.bincount(y, minlength=10) for name, (_, y, _) in parts.items()}
    for name, (x, y, wrong) in parts.items():
        assert wrong.mean() == pytest.approx(0.8 if name.startswith("wrong") else 0.0, abs=0.01)
        if name.endswith("_copy"):
            original, labels, _ = parts[name.removesuffix("_copy")]
            distance = np.abs(x[:, None] - original[None]).mean(axis=2)
            near = distance.min(axis=1) < 0.05
            assert near.mean() > 0.8
            assert (distance.min(axis=1) > 0).all()
            assert (y[near] == labels[distance.argmin(axis=1)][near]).all()
        if name.startswith("skew"):
            c = int(name.split("_")[1])
            elsewhere = sum(n[c] for other, n in counts.items() if not other.startswith((f"skew_{c}", "wrong")))
            assert counts[name][c] > 0.6 * len(y)
            assert elsewhere < 0.6 * counts[name][c]


def test_problem_seeds_differ_and_repeat():
    a, b, other = Digits(0), Digits(0), Digits(1)
    assert all((x == y).all() for x, y in zip(a.X, b.X, strict=True))
    assert a.tasks != other.tasks
    with pytest.raises(ValueError, match="n_test is 50"):
        Digits(0, n_test=50)


# ---------------------------------------------------------------- the packaged recording


def test_the_package_ships_the_runs_and_the_truth():
    runs = recording()
    assert runs.tasks == Digits(0).tasks
    assert runs.targets == Digits(0).targets
    assert not any(runs.higher_is_better)
    assert runs.notes["coupled"] is True
    assert {origin: int((runs.origin == origin).sum()) for origin in np.unique(runs.origin)} == {
        "near_full": 480, "p75": 200, "size15": 120, "truth": 192,
    }  # fmt: skip
    truth, learnt = recording("truth"), runs.filter(runs.origin != "truth")
    assert set(truth.seed[truth.masks.sum(axis=1) == 19]) == set(range(8))
    assert set(truth.seed[truth.masks.all(axis=1)]) == set(range(32))
    assert set(learnt.seed) == {100, 101}
    assert (learnt.masks.sum(axis=1) <= 18).all()
    assert not {m.tobytes() for m in learnt.masks} & {m.tobytes() for m in truth.masks}
    assert (recording("size15").masks.sum(axis=1) == 15).all()


def test_the_recording_reads_like_any_file():
    with resources.as_file(resources.files("interplay.problems") / "recordings/digits.parquet") as path:
        assert path.stat().st_size < 1_000_000
        runs = Evaluations.read(path, targets=["loss", "loss/*"])
    assert (runs.m, runs.K, runs.T, runs.kind) == (992, 20, 11, "mask")
    with pytest.raises(ValueError, match="origin is 'nothing'"):
        recording("nothing")


def test_the_truth_is_reliable_enough_to_judge():
    """Split-half reliability of eight coupled seeds, stepped up; the ceiling is its root."""
    truth = recording("truth").where(seed=range(8))
    order = np.lexsort((truth.masks @ np.arange(20), truth.masks.sum(axis=1) == 20, truth.seed))
    values = truth.values[order, 0].reshape(8, 21)
    effects = values[:, :20] - values[:, 20:]
    r = np.corrcoef(effects[::2].mean(axis=0), effects[1::2].mean(axis=0))[0, 1]
    assert np.sqrt(2 * r / (1 + r)) > 0.9


# ---------------------------------------------------------------- training


def test_models_start_from_their_seed_and_loaders_keep_the_order():
    torch = pytest.importorskip("torch")
    problem = Digits(0)
    a, b, other = problem.model(3), problem.model(3), problem.model(4)
    assert [tuple(p.shape) for p in a.parameters()] == [(48, 64), (48,), (10, 48), (10,)]
    assert all((p == q).all() for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not (a[0].weight == other[0].weight).any()
    loaders, targets = problem.loaders(batch_size=32), problem.test_targets()
    assert tuple(loaders) == problem.tasks
    assert tuple(targets) == problem.targets
    x, y = (torch.cat(parts).numpy() for parts in zip(*loaders["wrong_d"], strict=True))
    np.testing.assert_array_equal(x, problem.X[-1])
    np.testing.assert_array_equal(y, problem.y[-1])
    assert [len(loader.dataset) for loader in targets.values()] == [700, *[70] * 10]


def test_a_recorded_run_can_be_repeated():
    pytest.importorskip("torch")
    problem, runs = Digits(0), recording("truth").where(seed=0)
    again = problem.retrain().evaluate(runs.masks[:3], runs.seed[:3])
    np.testing.assert_allclose(again, runs.values[:3], rtol=0.05, atol=0.01)


def test_finetuning_starts_at_the_model_and_feels_what_is_left_out():
    pytest.importorskip("torch")
    problem = Digits(0)
    W0 = problem.trained(0)
    masks = np.ones((2, 20))
    masks[1, problem.tasks.index("wrong_d")] = 0
    short = problem.finetune(W0, masks, steps=1)
    scratch = recording("truth").where(seed=0)
    full = scratch.values[scratch.masks.all(axis=1)][0]
    np.testing.assert_allclose(short[0], full, atol=0.05)
    values = problem.finetune(W0, masks, steps=200)
    assert values[1, 0] < values[0, 0] - 0.02
