import subprocess
import sys

import numpy as np
import pytest

from interplay import evaluators
from interplay.evaluators import Evaluator, evaluate
from interplay.problems import games


class Returns:
    """An evaluator that returns what it is given, and remembers what it was asked."""

    tasks, targets, higher_is_better, fidelity = ("a", "b"), ("loss", "loss/x"), (False, False), "small"

    def __init__(self, values=None):
        self.values, self.calls, self.notes = values, [], {}

    def evaluate(self, masks, seeds):
        self.calls.append((masks.copy(), seeds.copy()))
        self.notes = {"coupled": True, "calls": len(self.calls)}
        if self.values is not None:
            return np.broadcast_to(self.values, (len(masks), np.shape(self.values)[-1]))
        return np.column_stack([masks @ [1.0, 2.0] + 10 * seeds, seeds])


MASKS = np.array([[1, 1], [0, 1], [1, 0]])


def test_rows_come_seed_by_seed_with_names_and_notes():
    runs = evaluate(Returns(), MASKS, seeds=[3, 5])
    np.testing.assert_array_equal(runs.masks, np.vstack([MASKS, MASKS]))
    np.testing.assert_array_equal(runs.seed, [3, 3, 3, 5, 5, 5])
    np.testing.assert_array_equal(runs.values[:, 0], [33, 32, 31, 53, 52, 51])
    assert (runs.tasks, runs.targets, runs.higher_is_better) == (("a", "b"), ("loss", "loss/x"), (False, False))
    assert set(runs.fidelity) == {"small"}
    assert runs.notes == {"coupled": True, "calls": 1}
    assert set(runs.origin) == {"Returns"}


def test_a_number_of_seeds_counts_from_zero():
    assert evaluate(Returns(), MASKS, seeds=2).seed.tolist() == [0, 0, 0, 1, 1, 1]


def test_progress_is_told_and_changes_nothing():
    masks = np.tile(MASKS, (20, 1))
    seen, watched = [], Returns()
    runs = evaluate(watched, masks, seeds=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 120), (50, 120), (100, 120), (120, 120)]
    assert len(watched.calls) == 3
    np.testing.assert_array_equal(runs.values, evaluate(Returns(), masks, seeds=2).values)


def test_a_target_not_measured_may_be_nan():
    assert np.isnan(evaluate(Returns([[1.0, np.nan]]), MASKS).values[:, 1]).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, np.inf]], r"returned inf for target 'loss/x' \(seed 0, 2 tasks present\)"),
        ([[np.nan, np.nan]], "returned nan for target 'loss'"),
        ([[1.0]], r"shape \(3, 1\) for 3 masks and 2 targets; it must return \(3, 2\)"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Returns(values), MASKS)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((2, 3)), r"must be \(m, 2\)"),
        (np.ones(2), r"must be \(m, 2\)"),
        (np.ones((0, 2)), "m >= 1"),
        ([[1, np.nan]], r"masks\[0\] has nan for task 'b'"),
        ([["on", "off"]], "cannot be read"),
    ],
)
def test_bad_masks_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Returns(), masks)


@pytest.mark.parametrize(
    ("seeds", "error"),
    [(0, ValueError), ([], ValueError), ([1, 1], ValueError), ([-1], ValueError), ([0.5], TypeError)],
)
def test_bad_seeds_are_refused(seeds, error):
    with pytest.raises(error, match="seeds"):
        evaluate(Returns(), MASKS, seeds=seeds)


def test_what_is_no_evaluator_is_told_what_it_lacks():
    with pytest.raises(TypeError, match="lacks tasks, targets, higher_is_better, fidelity, notes"):
        evaluate(np.random.default_rng(0), MASKS)  # type: ignore[arg-type]


def test_games_follow_the_protocol():
    assert isinstance(games.additive(0), Evaluator)
    assert evaluate(games.additive(0), np.ones((1, 20)), seeds=2).m == 2


def test_torch_is_imported_only_when_used():
    code = (
        "import sys, interplay.evaluators as e, interplay.problems.digits, interplay.problems.games;"
        "assert 'torch' not in sys.modules; assert 'BatchedRetrain' in dir(e)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        evaluators.Nothing  # noqa: B018


# ---------------------------------------------------------------- BatchedRetrain


@pytest.fixture
def small(rng):
    """Three sources of two-dimensional blobs, a linear classifier, one target."""
    torch = pytest.importorskip("torch")

    def blob(n):
        y = rng.integers(0, 3, n)
        x = np.eye(3)[y] @ rng.normal(size=(3, 4)) * 2 + rng.normal(size=(n, 4))
        return x.astype(np.float32), y

    def model(seed):
        generator = torch.Generator().manual_seed(seed)
        mlp = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        for p in mlp.parameters():
            p.data = 0.5 * torch.randn(p.shape, generator=generator)
        return mlp

    sources = {"a": blob(20), "b": blob(15), "c": blob(10)}
    return model, sources, {"loss": blob(40), "loss/b": blob(12)}


def one_by_one(small, mask, seed, steps=40, lr=0.03, weight_decay=0.01):
    """Train a single model as its user would, example by example weights and torch's Adam."""
    import torch
    from torch.nn.functional import cross_entropy

    model, sources, targets = small
    net = model(seed)
    X = torch.from_numpy(np.concatenate([x for x, _ in sources.values()]))
    y = torch.from_numpy(np.concatenate([y for _, y in sources.values()]))
    weight = torch.from_numpy(np.repeat(mask, [len(y) for _, y in sources.values()])).float()
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.9, 0.99))
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
        optimiser.zero_grad()
        decay = sum(p.square().sum() for p in net.parameters())
        loss = (cross_entropy(net(X), y, reduction="none") * weight).sum() / len(y) + weight_decay / 2 * decay
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return [cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)).item() for x, y in targets.values()]


RECIPE = {"steps": 40, "lr": 0.03, "weight_decay": 0.01}
DESIGN = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0.5, 2.0, 0]])


def test_stacked_training_equals_training_one_by_one(small):
    trainer = evaluators.BatchedRetrain(*small, **RECIPE, stack=3)
    seeds = np.array([0, 1, 0, 1, 0])
    alone = [one_by_one(small, mask, seed) for mask, seed in zip(DESIGN, seeds.tolist(), strict=True)]
    np.testing.assert_allclose(trainer.evaluate(DESIGN, seeds), alone, atol=2e-5)


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("batch_size", [None, 9])
def test_a_run_depends_on_mask_and_seed_alone(small, coupled, batch_size):
    trainer = evaluators.BatchedRetrain(*small, **RECIPE, coupled=coupled, batch_size=batch_size)
    seeds = np.array([4, 4, 5, 5, 5])
    together = trainer.evaluate(DESIGN, seeds)
    apart = [trainer.evaluate(DESIGN[i : i + 1], seeds[i : i + 1])[0] for i in (4, 3, 2, 1, 0)]
    np.testing.assert_allclose(together, apart[::-1], atol=2e-5)
    assert not np.allclose(together, trainer.evaluate(DESIGN, seeds + 1), atol=1e-4)


def test_coupled_runs_share_their_start_and_uncoupled_do_not(small):
    for coupled in (True, False):
        trainer = evaluators.BatchedRetrain(*small, steps=1, lr=1e-9, coupled=coupled)
        start = trainer.evaluate(DESIGN[:3], np.zeros(3))
        assert np.allclose(start, start[0], atol=1e-5) == coupled
        assert trainer.notes["coupled"] is coupled


def test_absent_sources_leave_no_trace_in_minibatches(small):
    """With its examples dropped, labels of an absent source may be anything."""
    model, sources, targets = small
    spoilt = sources | {"c": (sources["c"][0] + 9, (sources["c"][1] + 1) % 3)}
    mask = np.array([[1, 1, 0]])
    a, b = (
        evaluators.BatchedRetrain(model, s, targets, **RECIPE, batch_size=9).evaluate(mask, np.zeros(1))
        for s in (sources, spoilt)
    )
    np.testing.assert_array_equal(a, b)


def test_training_converges_and_says_so(small):
    trainer = evaluators.BatchedRetrain(*small, steps=1500, lr=0.03, weight_decay=0.02)
    runs = evaluate(trainer, DESIGN[:2])
    assert runs.notes["training"]["gradient_norm"] < 1e-3
    assert runs.notes["absent_tasks"] == "fixed_steps"
    assert set(runs.fidelity) == {"retrained"}


def test_lbfgs_reaches_the_optimum_that_adam_approaches(small):
    import torch

    def convex(seed):
        return torch.nn.Linear(4, 3)

    problem, seeds = (convex, *small[1:]), np.zeros(len(DESIGN), int)
    optimum = evaluators.BatchedRetrain(*problem, weight_decay=0.05, optimiser="lbfgs", steps=500, tolerance=1e-6)
    adam = evaluators.BatchedRetrain(*problem, weight_decay=0.05, steps=1500, lr=0.03)
    np.testing.assert_allclose(optimum.evaluate(DESIGN, seeds), adam.evaluate(DESIGN, seeds), atol=2e-3)
    training = optimum.notes["training"]
    assert training["optimiser"] == "lbfgs"
    assert training["gradient_norm"] <= 1e-6
    with pytest.raises(ValueError, match="'lbfgs' with batch_size=None"):
        evaluators.BatchedRetrain(*small, optimiser="lbfgs", batch_size=5)


def test_stacked_lbfgs_agrees_with_scipy():
    torch = pytest.importorskip("torch")
    from scipy.optimize import minimize, rosen, rosen_der

    from interplay.evaluators.lbfgs import minimise

    def rosenbrock(W, rows):
        return tuple(torch.from_numpy(np.array([f(w) for w in W.numpy()])) for f in (rosen, rosen_der))

    start = np.array([[-1.2, 1.0, 0.5], [3.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
    W, norms = minimise(rosenbrock, torch.from_numpy(start), steps=300, tolerance=1e-8)
    assert (norms < 1e-8).all()
    for w, begin in zip(W.numpy(), start, strict=True):
        np.testing.assert_allclose(w, minimize(rosen, begin, jac=rosen_der, tol=1e-12).x, atol=1e-5)


def test_lbfgs_stops_where_nothing_falls():
    torch = pytest.importorskip("torch")
    from interplay.evaluators.lbfgs import minimise

    def wrong_gradient(W, rows):
        return W.square().sum(1), -2 * W

    start = torch.ones(2, 3, dtype=torch.float64)
    W, norms = minimise(wrong_gradient, start, steps=50, tolerance=1e-8)
    np.testing.assert_array_equal(W, start)
    assert (norms > 1).all()


def test_given_weights_are_the_start(small):
    model, *_ = small
    from_seed = evaluators.BatchedRetrain(*small, **RECIPE).evaluate(DESIGN[:1], np.array([7]))
    for initial in (model(7), model(7).state_dict()):
        trainer = evaluators.BatchedRetrain(*small, **RECIPE, initial=initial)
        np.testing.assert_allclose(trainer.evaluate(DESIGN[:1], np.array([0])), from_seed, atol=1e-6)
    assert trainer.notes["training"]["from"] == "given weights"


def test_frozen_parameters_stay(small):
    model, sources, targets = small

    def frozen(seed):
        mlp = model(seed)
        mlp[0].requires_grad_(False)
        return mlp

    trainer = evaluators.BatchedRetrain(frozen, sources, targets, **RECIPE)
    state = trainer.train(DESIGN[:2], np.zeros(2))
    assert (state["0.weight"] == model(0)[0].weight).all()
    assert not (state["2.weight"] == model(0)[2].weight).any()
    with pytest.raises(ValueError, match="no trainable parameter"):
        evaluators.BatchedRetrain(lambda seed: model(seed).requires_grad_(False), sources, targets).train(
            DESIGN[:1], np.zeros(1)
        )


def test_loaders_are_as_good_as_arrays(small):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model, sources, targets = small
    loaders = {
        k: DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=7)
        for k, (x, y) in sources.items()
    }
    values = [
        evaluators.BatchedRetrain(model, s, targets, **RECIPE).evaluate(DESIGN, np.zeros(5)) for s in (sources, loaders)
    ]
    np.testing.assert_array_equal(*values)


def test_batched_retrain_refuses_bad_input(small):
    model, sources, targets = small
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, int))
    with pytest.raises(ValueError, match="at least one"):
        evaluators.BatchedRetrain(model, {}, targets)
    with pytest.raises(ValueError, match=r"sources\['c'\] is empty"):
        evaluators.BatchedRetrain(model, sources | {"c": empty}, targets)
    with pytest.raises(ValueError, match="20 examples and 3 labels"):
        evaluators.BatchedRetrain(model, sources | {"a": (sources["a"][0], np.zeros(3))}, targets)
    with pytest.raises(ValueError, match="steps is 0"):
        evaluators.BatchedRetrain(model, sources, targets, steps=0)
    with pytest.raises(ValueError, match="batch_size is 99"):
        evaluators.BatchedRetrain(model, sources, targets, batch_size=99)
    trainer = evaluators.BatchedRetrain(model, sources, targets)
    with pytest.raises(ValueError, match=r"must be \(b, 3\)"):
        trainer.evaluate(np.ones((1, 2)), np.zeros(1))
    with pytest.raises(ValueError, match=r"must be \(1,\)"):
        trainer.evaluate(np.ones((1, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="negative"):
        trainer.evaluate(-np.ones((1, 3)), np.zeros(1))
