"""The gradient estimator as a person uses it: exact where theory says so, and clear where the input is bad."""

import builtins
import json
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, TensorDataset

import interplay
from interplay import evaluate
from interplay.evaluations import Evaluations
from interplay.evaluators import Ensemble, Linearized

K, CLASSES, FEATURES = 5, 3, 4


def data(seed=0, n=30, classes=CLASSES, noise=1.0):
    """K tasks with their own noise, and a validation set."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((classes, FEATURES)) * 1.5

    def draw(count, wrong):
        y = rng.integers(0, classes, count)
        x = centres[y] + noise * rng.standard_normal((count, FEATURES))
        y = np.where(rng.random(count) < wrong, rng.integers(0, classes, count), y)
        return torch.from_numpy(x), torch.from_numpy(y)

    tasks = {f"t{k}": draw(n + 3 * k, 0.2 * k) for k in range(K)}
    return tasks, {"val": draw(60, 0.0)}


def objective(model, tasks, mask, decay, loss, normalise="all"):
    counts = np.array([len(y) for _, y in tasks.values()])
    N = counts.sum() if normalise == "all" else mask @ counts
    total = torch.zeros((), dtype=torch.float64)
    for weight, (x, y) in zip(mask, tasks.values(), strict=True):
        f = model(x)
        if loss == "binary":
            one = nn.functional.binary_cross_entropy_with_logits(f.reshape(-1), y.double(), reduction="sum")
        else:
            one = nn.functional.cross_entropy(f, y, reduction="sum")
        total = total + float(weight) * one / N
    return total + decay / 2 * sum((p**2).sum() for p in model.parameters())


def train(model, tasks, mask, decay, loss="cross_entropy", normalise="all", steps=20):
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=1e-15
    )

    def closure():
        optimiser.zero_grad()
        value = objective(model, tasks, mask, decay, loss, normalise)
        value.backward()
        return value

    for _ in range(steps):
        optimiser.step(closure)
    return model


def mlp(seed=0, width=CLASSES):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, width)).double()


@pytest.fixture(scope="module")
def trained():
    tasks, targets = data()
    return train(mlp(), tasks, np.ones(K), 0.02), tasks, targets


MASKS = np.concatenate([np.ones((1, K)), 1 - np.eye(K), np.random.default_rng(0).integers(0, 2, (6, K))])
MASKS = np.unique(MASKS[MASKS.sum(1) > 0], axis=0)[::-1]  # the full mask first


@pytest.mark.parametrize("loss", ["cross_entropy", "binary"])
@pytest.mark.parametrize("normalise", ["all", "selected"])
def test_logistic_regression_equals_real_retraining(loss, normalise):
    """A linear model in the full subspace: the estimate is retraining to convergence."""
    tasks, targets = data(classes=2 if loss == "binary" else CLASSES)
    width, decay = (1 if loss == "binary" else CLASSES), 0.03
    make = lambda: nn.Linear(FEATURES, width).double()
    W0 = train(make(), tasks, np.ones(K), decay, loss)
    problem = Linearized(
        W0, tasks, targets, loss=loss, weight_decay=decay, normalise=normalise, tolerance=1e-10, steps=100
    )
    assert problem.notes["estimator"]["subspace"] == "all parameters"
    estimate = problem.evaluate(MASKS)
    x, y = targets["val"]
    for mask, value in zip(MASKS, estimate[:, 0], strict=True):
        model = train(make(), tasks, mask, decay, loss, normalise)
        f = model(x).detach()
        if loss == "binary":
            real = nn.functional.binary_cross_entropy_with_logits(f[:, 0], y.double())
        else:
            real = nn.functional.cross_entropy(f, y)
        assert value == pytest.approx(float(real), abs=1e-6)


def test_binary_equals_two_class_softmax():
    """One logit f and softmax over (0, f), with the same parameters."""
    tasks, targets = data(classes=2)

    class Two(nn.Module):
        def __init__(self, one):
            super().__init__()
            self.one = one

        def forward(self, x):
            f = self.one(x)
            return torch.cat([torch.zeros_like(f), f], 1)

    one = train(mlp(width=1), tasks, np.ones(K), 0.02, "binary")
    options = {"weight_decay": 0.02, "dim": 20, "tolerance": 1e-10, "steps": 200}
    binary = Linearized(one, tasks, targets, loss="binary", **options)
    softmax = Linearized(Two(one), tasks, targets, **options)
    np.testing.assert_allclose(binary.evaluate(MASKS), softmax.evaluate(MASKS), atol=1e-6)


def test_one_logit_without_an_axis_is_binary_too():
    tasks, targets = data(classes=2)
    model = nn.Sequential(mlp(width=1), nn.Flatten(0))
    flat = Linearized(model, tasks, targets, loss="binary", weight_decay=0.02, metric="accuracy")
    column = Linearized(model[0], tasks, targets, loss="binary", weight_decay=0.02, metric="accuracy")
    np.testing.assert_allclose(flat.evaluate(MASKS), column.evaluate(MASKS), atol=1e-9)


def test_zero_displacement_gives_the_model_itself(trained):
    model, tasks, targets = trained
    x, y = targets["val"]
    problem = Linearized(
        model,
        tasks,
        {"loss": (x, y), "accuracy": (x, y), "error": (x, y)},
        weight_decay=0.02,
        metric={"loss": "loss", "accuracy": "accuracy", "error": lambda f, t: (f.argmax(1) != t).double().mean()},
        higher_is_better={"error": False},
    )
    assert problem.higher_is_better == (False, True, False)
    f = model(x).detach()
    accuracy = float((f.argmax(1) == y).double().mean())
    expected = [float(nn.functional.cross_entropy(f, y)), accuracy, 1 - accuracy]
    np.testing.assert_allclose(problem.measure(np.zeros((1, problem.dim)))[0], expected, atol=1e-12)
    full = problem.evaluate(np.ones((1, K)))[0]
    np.testing.assert_allclose(full, expected, atol=1e-3)


def test_estimates_follow_finetuning_to_convergence(trained):
    model, tasks, targets = trained
    x, y = targets["val"]
    real = []
    for mask in MASKS:
        copy = mlp()
        copy.load_state_dict(model.state_dict())
        f = train(copy, tasks, mask, 0.02)(x).detach()
        real.append(float(nn.functional.cross_entropy(f, y)))
    truth = Evaluations.from_arrays(MASKS, np.array(real)[:, None], tasks=list(tasks), targets=["val"])
    problem = Linearized(model, tasks, targets, weight_decay=0.02, mu=0.0, retrained=truth)
    runs = evaluate(problem, MASKS)
    notes = runs.notes["estimator"]
    assert set(runs.fidelity) == {"estimated"}
    assert notes["verdict"] == "faithful"
    assert notes["retrained"]["relative_error"] < notes["retrained"]["constant_relative_error"]
    assert 0 < notes["displacement_max"] < 1
    assert notes["gradient_at_W0"] < 1e-3
    assert runs.notes["absent_tasks"] == "fixed_steps"
    json.dumps(runs.notes)

    published = Linearized.published(model, tasks, targets, dim=30, retrained=truth)
    found = evaluate(published, MASKS).notes
    assert found["estimator"]["lambda"] in published.grid
    assert found["absent_tasks"] == "fixed_epochs"
    assert found["estimator"]["method"] == "published (c)"
    assert notes["retrained"]["relative_error"] < found["estimator"]["retrained"]["relative_error"]


def test_published_minimises_its_own_objective(trained):
    model, tasks, targets = trained
    problem = Linearized.published(model, tasks, targets, dim=10, grid=[0.05], steps=500)
    mask = MASKS[2]
    w = torch.from_numpy(problem.displacements(mask[None])[0]).requires_grad_()
    features = problem._train
    weight = torch.from_numpy(mask)[features.task]
    f = features.offset + features.phi @ w
    per = nn.functional.cross_entropy(f, features.labels, reduction="none")
    ((weight * per).sum() / weight.sum() + 0.05 * (w**2).sum()).backward()
    assert float(w.grad.abs().max()) < 1e-4
    assert not problem.displacements(np.zeros((1, K))).any()


def test_mu_from_training_and_from_retrained_masks(trained):
    model, tasks, targets = trained
    stated = Linearized(model, tasks, targets, training=(0.1, 50))
    assert stated.mu == pytest.approx(0.2)
    reference = Linearized(model, tasks, targets, mu=0.3)
    assert reference.notes["estimator"]["mu_from"] == "stated"
    truth = evaluate(reference, MASKS)
    chosen = Linearized(model, tasks, targets, retrained=truth)
    assert 0.05 < chosen.mu < 1.5
    assert chosen.notes["estimator"]["mu_from"] == f"{len(MASKS)} retrained masks"
    short = Linearized(model, tasks, targets, mu=1e6).evaluate(MASKS)
    assert np.ptp(short) < 1e-3


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sparse"])
def test_sketches_work_too(trained, kind):
    model, tasks, targets = trained
    problem = Linearized(model, tasks, targets, weight_decay=0.02, subspace=kind, dim=25, rng=np.random.default_rng(1))
    assert problem.dim == 25
    assert np.isfinite(problem.evaluate(MASKS)).all()


def test_chunks_of_masks_do_not_change_the_estimate(trained):
    model, tasks, targets = trained
    options = {"weight_decay": 0.02, "tolerance": 1e-10, "steps": 100}
    whole = Linearized(model, tasks, targets, **options).evaluate(MASKS)
    parts = Linearized(model, tasks, targets, memory=1, **options).evaluate(MASKS)
    np.testing.assert_allclose(parts, whole, atol=1e-9)


def test_only_chosen_parameters_move(trained):
    model, tasks, targets = trained
    problem = Linearized(model, tasks, targets, weight_decay=0.02, parameters=["2.*"])
    assert problem.notes["estimator"]["parameters"] == 8 * CLASSES + CLASSES


def test_ensemble_averages_and_reports_the_spread():
    tasks, targets = data()
    members = [
        Linearized(train(mlp(seed), tasks, np.ones(K), 0.02), tasks, targets, weight_decay=0.02) for seed in range(3)
    ]
    ensemble = Linearized.mean(members)
    assert isinstance(ensemble, Ensemble)
    runs = evaluate(ensemble, MASKS)
    np.testing.assert_allclose(runs.values, np.mean([m.evaluate(MASKS) for m in members], 0))
    notes = runs.notes["estimator"]
    assert notes["method"] == "mean of 3 linearized"
    assert 0 <= notes["spread_of_members"]["val"] < 1
    assert len(notes["members"]) == 3
    assert not ensemble.warnings
    judged = Linearized.mean(members[:2], retrained=runs)
    assert judged.notes["estimator"]["retrained"]["masks"] == len(MASKS)
    assert "averages 2 W0" in judged.warnings[0]
    with pytest.raises(ValueError, match="members is empty"):
        Ensemble([])
    other = Linearized(mlp(), tasks, {"test": targets["val"]}, weight_decay=0.02)
    with pytest.raises(ValueError, match=r"members\[1\] has targets"):
        Ensemble([members[0], other])


def test_untrained_model_is_said():
    tasks, targets = data()
    problem = Linearized(mlp(), tasks, targets, weight_decay=0.02)
    assert "does not look trained" in problem.warnings[0]
    assert "does not look trained" in problem.notes["estimator"]["warnings"][0]


def test_trained_model_is_not_accused(trained):
    model, tasks, targets = trained
    assert Linearized(model, tasks, targets, weight_decay=0.02).warnings == ()


def test_far_moves_and_unsolved_masks_are_said(trained):
    model, tasks, targets = trained
    problem = Linearized(model, tasks, targets, steps=2)
    problem.evaluate(np.eye(K))
    said = " ".join(problem.warnings)
    assert "outside the linear model's reach" in said
    assert "the solver left a gradient" in said


def test_batch_norm_in_training_mode_is_frozen_and_said():
    tasks, targets = data()
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(), nn.Linear(8, CLASSES))
    model = model.double()
    problem = Linearized(model, tasks, targets, weight_decay=0.02)
    assert "BatchNorm1d, Dropout in training mode" in problem.warnings[0]
    assert model.training
    model.eval()
    quiet = Linearized(model, tasks, targets, weight_decay=0.02)
    np.testing.assert_allclose(quiet.evaluate(MASKS), problem.evaluate(MASKS))


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(FEATURES, dtype=torch.float64), torch.tensor(0)


def replaced(tasks, value):
    return {**tasks, "t1": value}


def bad_loaders(tasks):
    x, y = tasks["t1"]
    holed = x.clone()
    holed[3] = float("nan")
    dataset = TensorDataset(x, y)
    return {
        "no task": ({}, "loaders is empty: no task"),
        "not loaders": (3, "loaders is a int"),
        "empty task": (replaced(tasks, (x[:0], y[:0])), r"loaders\['t1'\] is empty"),
        "labels": (replaced(tasks, (x, y + 2)), r"loaders\['t1'\]: \d+ labels lie outside 0..2"),
        "fractions": (replaced(tasks, (x, y + 0.5)), r"loaders\['t1'\]: \d+ labels lie outside 0..2"),
        "one-hot": (replaced(tasks, (x, nn.functional.one_hot(y))), "one class index per example"),
        "nan": (replaced(tasks, (holed, y)), r"loaders\['t1'\]: the loss at W0 is not finite"),
        "shuffles": (replaced(tasks, DataLoader(dataset, shuffle=True)), r"loaders\['t1'\] shuffles.*shuffle=False"),
        "shuffles batches": (
            replaced(tasks, DataLoader(dataset, batch_sampler=BatchSampler(RandomSampler(dataset), 4, False))),
            r"loaders\['t1'\] shuffles \(its sampler is a RandomSampler",
        ),
        "no length": (replaced(tasks, DataLoader(Stream())), r"loaders\['t1'\] has no length"),
        "generator": (replaced(tasks, ((x, y) for _ in range(2))), r"loaders\['t1'\] has no length"),
        "lengths": (replaced(tasks, (x, y[:-1])), "inputs and .* labels"),
        "no pair": (replaced(tasks, DataLoader(TensorDataset(x))), "must be a pair"),
        "rows": (replaced(tasks, [(x, y[:-1])]), "rows of logits"),
    }


@pytest.mark.parametrize("case", list(bad_loaders(data()[0])))
def test_bad_loaders(case):
    tasks, targets = data()
    loaders, message = bad_loaders(tasks)[case]
    with pytest.raises((ValueError, TypeError), match=message):
        Linearized(mlp(), loaders, targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": {}}, "targets is empty: no target"),
        ({"loss": "hinge"}, "loss is 'hinge'"),
        ({"loss": "binary"}, "needs one"),
        ({"weight_decay": -1}, "weight_decay is -1"),
        ({"mu": np.nan}, "mu is nan"),
        ({"mu": 1.0, "training": (0.1, 10)}, "mu and training are both given"),
        ({"training": 5}, "training is 5"),
        ({"training": (0.1, 0)}, "must be positive"),
        ({"normalise": "none"}, "normalise is 'none'"),
        ({"subspace": "fourier"}, "subspace is 'fourier'"),
        ({"dim": 0}, "dim is 0"),
        ({"metric": "f1"}, "metric of target 'val' is 'f1'"),
        ({"metric": {"test": "loss"}}, "metric names the targets"),
        ({"metric": lambda f, y: 0.0}, "higher_is_better of target 'val' is not stated"),
        ({"parameters": ["x*"]}, "matches no trainable parameter"),
    ],
)
def test_bad_settings(options, message):
    tasks, targets = data()
    with pytest.raises(ValueError, match=message):
        Linearized(mlp(), tasks, **{"targets": targets, **options})


def test_bad_models():
    tasks, targets = data()
    frozen = mlp().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        Linearized(frozen, tasks, targets)
    with pytest.raises(TypeError, match="model is a function"):
        Linearized(lambda x: x, tasks, targets)
    with pytest.raises(ValueError, match="needs two or more"):
        Linearized(mlp(width=1), tasks, targets)
    with pytest.raises(ValueError, match="cannot be called on a batch"):
        Linearized(nn.Linear(FEATURES + 1, CLASSES).double(), tasks, targets)
    with pytest.raises(ValueError, match=r"logits of shape \(b, C\)"):
        Linearized(nn.Sequential(mlp(), nn.Unflatten(1, (CLASSES, 1))), tasks, targets)

    class Detached(nn.Linear):
        def forward(self, x):
            return torch.from_numpy(super().forward(x).detach().numpy())

    with pytest.raises(ValueError, match=r"torch\.func"):
        Linearized(Detached(FEATURES, CLASSES).double(), tasks, targets)
    broken = mlp()
    with torch.no_grad():
        broken[0].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="loss at W0 is not finite"):
        Linearized(broken, tasks, targets)


def test_bad_masks_and_runs(trained):
    model, tasks, targets = trained
    problem = Linearized(model, tasks, targets, weight_decay=0.02)
    with pytest.raises(ValueError, match=r"masks has shape \(1, 3\)"):
        problem.evaluate(np.ones((1, 3)))
    with pytest.raises(ValueError, match="negative or non-finite"):
        problem.evaluate(-np.ones((1, K)))
    runs = evaluate(problem, MASKS)
    with pytest.raises(ValueError, match="retrained has the targets"):
        Linearized(model, tasks, {"test": targets["val"]}, retrained=runs)
    with pytest.raises(ValueError, match="no such term"):
        Linearized.published(model, tasks, targets, weight_decay=0.1)
    with pytest.raises(ValueError, match="grid is"):
        Linearized.published(model, tasks, targets, grid=[0.0])
    with pytest.raises(ValueError, match="projection is 'data'"):
        Linearized.published(model, tasks, targets, projection="data")


def test_loaders_may_be_a_list_and_batches_may_be_small(trained):
    model, tasks, targets = trained
    loaders = [DataLoader(TensorDataset(*pair), batch_size=7) for pair in tasks.values()]
    problem = Linearized(model, loaders, list(targets.values()), weight_decay=0.02, tolerance=1e-10)
    assert problem.tasks == tuple(f"task_{k}" for k in range(K))
    assert problem.targets == ("target_0",)
    named = Linearized(model, tasks, targets, weight_decay=0.02, tolerance=1e-10)
    np.testing.assert_allclose(problem.evaluate(MASKS), named.evaluate(MASKS), atol=1e-7)


def test_the_model_is_not_changed(trained):
    model, tasks, targets = trained
    before = [p.clone() for p in model.parameters()]
    problem = interplay.evaluators.Linearized(model, tasks, targets, weight_decay=0.02)
    problem.evaluate(MASKS)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_without_torch_the_message_names_the_extra(monkeypatch):
    real = builtins.__import__

    def hidden(name, *args, **kwargs):
        if name == "torch" or name.startswith("torch."):
            raise ImportError("No module named 'torch'")
        return real(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.startswith(("interplay.gradients", "interplay.evaluators.linearized"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(ImportError, match=r"pip install 'interplay\[torch\]'"):
        import interplay.evaluators.linearized  # noqa: F401
