"""Linearized with every kind of loss: exact ridge and logistic retraining, mixtures, weights of examples, metrics."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from interplay.evaluators import Linearized
from interplay.gradients import ConvexLoss, Examples, Network, SoftBins, loss_named
from interplay.gradients.subspaces import curvature_product, task_gradients


def sets(seed=0, per=(12, 8, 15), features=3, outputs=1, weighted=False, classes=0):
    """Three tasks of unequal size and a target: (x, y) or (x, y, w)."""
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((features, outputs))

    def draw(n):
        x = rng.standard_normal((n, features))
        y = x @ B + 0.5 * rng.standard_normal((n, outputs)) + 1
        y = (y > 1).astype(np.int64) if classes else y
        parts = (x, y[:, 0] if outputs == 1 else y, *([rng.uniform(0, 3, n)] if weighted else []))
        return tuple(torch.from_numpy(p) for p in parts)

    return {f"t{k}": draw(n) for k, n in enumerate(per)}, {"val": draw(40)}


def linear(features=3, outputs=1, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(features, outputs).double()


MIXTURES = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0.2, 0.5, 0.3], [1 / 3, 1 / 3, 1 / 3]])
EXACT = {"tolerance": 1e-12, "steps": 200}


def stacked(tasks, mask, normalise):
    """Design with a column of ones, labels, and the weight of each example in the mean."""
    x = np.concatenate([t[0].numpy() for t in tasks.values()])
    y = np.concatenate([t[1].numpy() for t in tasks.values()])
    w = [t[2].numpy() if len(t) == 3 else np.ones(len(t[0])) for t in tasks.values()]
    a = np.concatenate([s * v for s, v in zip(mask, w, strict=True)])
    return np.c_[x, np.ones(len(x))], y, a / (np.concatenate(w).sum() if normalise == "all" else a.sum())


@pytest.mark.parametrize("normalise", ["all", "selected"])
@pytest.mark.parametrize(("outputs", "weighted"), [(1, False), (1, True), (2, True)])
def test_squared_error_is_ridge_in_closed_form(normalise, outputs, weighted):
    tasks, targets = sets(outputs=outputs, weighted=weighted)
    decay = 0.05
    problem = Linearized(
        linear(outputs=outputs),
        tasks,
        targets,
        loss="squared",
        metric="mse",
        weight_decay=decay,
        normalise=normalise,
        mu=0.0,
        **EXACT,
    )
    x, y, *w = (t.numpy() for t in targets["val"])
    y = y.reshape(len(y), outputs)
    weight = w[0] / w[0].sum() if w else np.full(len(y), 1 / len(y))
    for mask, found in zip(MIXTURES, problem.evaluate(MIXTURES)[:, 0], strict=True):
        X, Y, a = stacked(tasks, mask, normalise)
        Y = Y.reshape(len(Y), outputs)
        A = 2 / outputs * (X * a[:, None]).T @ X + decay * np.eye(X.shape[1])
        B = np.linalg.solve(A, 2 / outputs * (X * a[:, None]).T @ Y)
        error = ((np.c_[x, np.ones(len(x))] @ B - y) ** 2).mean(1)
        assert found == pytest.approx(weight @ error, rel=1e-9)


def test_ridge_of_scikit_learn():
    tasks, targets = sets()
    no_bias = nn.Linear(3, 1, bias=False).double()
    N, alpha = sum(len(t[1]) for t in tasks.values()), 0.7
    problem = Linearized(no_bias, tasks, targets, loss="squared", weight_decay=2 * alpha / N, mu=0.0, **EXACT)
    X, y, a = stacked(tasks, [1, 0, 1], "all")
    theirs = Ridge(alpha=alpha, fit_intercept=False).fit(X[a > 0, :3], y[a > 0])
    x, t = (v.numpy() for v in targets["val"])
    assert problem.evaluate([[1, 0, 1]])[0, 0] == pytest.approx(((theirs.predict(x) - t) ** 2).mean(), rel=1e-9)


@pytest.mark.parametrize("loss", ["binary", "multi_label", "cross_entropy", "soft_labels"])
def test_weighted_logistic_regression_of_scikit_learn(loss):
    tasks, targets = sets(classes=2, weighted=True)
    x, y, w = (t.numpy() for t in targets["val"])
    two = loss in ("cross_entropy", "soft_labels")
    if loss == "soft_labels":
        one_hot = lambda t: (t[0], functional.one_hot(t[1], 2).double(), t[2])
        tasks, targets = {k: one_hot(t) for k, t in tasks.items()}, {"val": one_hot(targets["val"])}
    decay = 0.02
    model = nn.Linear(3, 2 if two else 1, bias=False).double()
    problem = Linearized(model, tasks, targets, loss=loss, weight_decay=decay, normalise="selected", mu=0.0, **EXACT)
    X, Y, a = stacked(tasks, [0.5, 2, 1], "selected")
    Y = Y.argmax(1) if loss == "soft_labels" else Y
    # two rows of weights that only differ matter as one of them times sqrt(2): half the penalty
    theirs = LogisticRegression(C=1 / (decay / 2 if two else decay), fit_intercept=False, tol=1e-10, max_iter=5000)
    f = theirs.fit(X[:, :3], Y, sample_weight=a).decision_function(x)
    expected = w @ (np.logaddexp(0, f) - y * f) / w.sum()
    assert problem.evaluate([[0.5, 2, 1]])[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("normalise", ["all", "selected", "mixture"])
def test_a_mixture_is_the_objective_that_the_docstring_states(normalise):
    """Weights on the simplex against brute force by torch."""
    tasks, targets = sets(classes=2)
    w, decay = np.array([0.2, 0.5, 0.3]), 0.05
    counts = np.array([len(t[1]) for t in tasks.values()])
    problem = Linearized(
        linear(), tasks, targets, loss="binary", weight_decay=decay, normalise=normalise, mu=0.0, **EXACT
    )

    def trained(data):
        model = linear()
        optimiser = torch.optim.LBFGS(
            model.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-12, tolerance_change=0
        )

        def closure():
            optimiser.zero_grad()
            total = data(model) + decay / 2 * sum((p**2).sum() for p in model.parameters())
            total.backward()
            return total

        optimiser.step(closure)
        x, y = targets["val"]
        return functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.double()).item()

    def loss_of(model, k, reduction):
        x, y = tasks[f"t{k}"]
        return functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.double(), reduction=reduction)

    if normalise == "mixture":
        expected = trained(lambda model: sum(w[k] * loss_of(model, k, "mean") for k in range(3)))
    else:
        N = counts.sum() if normalise == "all" else w @ counts
        expected = trained(lambda model: sum(w[k] * loss_of(model, k, "sum") for k in range(3)) / N)
    assert problem.evaluate(w[None])[0, 0] == pytest.approx(expected, abs=1e-8)
    assert any('normalise="mixture"' in said for said in problem.warnings) == (normalise != "mixture")
    if normalise != "all":
        np.testing.assert_allclose(problem.evaluate(w[None]), problem.evaluate(7 * w[None]), atol=1e-9)


@pytest.mark.parametrize("normalise", ["all", "selected"])
def test_a_weight_counts_as_so_many_copies(normalise):
    tasks, targets = sets()
    rng = np.random.default_rng(0)
    copies = {k: torch.from_numpy(rng.integers(0, 3, len(t[1]))) for k, t in tasks.items()}
    weighted = {k: (*t, copies[k]) for k, t in tasks.items()}
    repeated = {k: tuple(p.repeat_interleave(copies[k], 0) for p in t) for k, t in tasks.items()}
    loaders = {k: DataLoader(TensorDataset(*t), batch_size=5) for k, t in weighted.items()}
    options = {"loss": "squared", "weight_decay": 0.1, "normalise": normalise, "mu": 0.0, **EXACT}
    found = [Linearized(linear(), data, targets, **options) for data in (weighted, loaders, repeated)]
    for one in found[1:]:
        np.testing.assert_allclose(one.evaluate(MIXTURES), found[0].evaluate(MIXTURES), rtol=1e-9)
    assert found[0].fingerprint() != Linearized(linear(), tasks, targets, **options).fingerprint()
    torch.testing.assert_close(found[0]._train.counts, found[2]._train.counts)


def test_weights_reach_gradients_curvature_and_targets():
    tasks, targets = sets(weighted=True)
    model, loss = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double(), loss_named("squared")
    network = Network(model)
    examples = Examples.collect(network, tasks, loss, "loaders")
    x, y, w = tasks["t1"]
    values = list(model.parameters())
    total = (w * (model(x)[:, 0] - y) ** 2).sum() / w.sum()
    expected = torch.cat([g.reshape(-1) for g in torch.autograd.grad(total, values)])
    np.testing.assert_allclose(task_gradients(network, examples, loss)[1], expected, atol=1e-12)
    eye = torch.eye(network.size, dtype=torch.float64)
    G = curvature_product(network, examples, loss, eye)
    J = torch.cat([network.push(x, eye)[..., 0].T for x, _, _ in tasks.values()])
    a = torch.cat([t[2] for t in tasks.values()])
    np.testing.assert_allclose(G, 2 * (J * a[:, None]).T @ J / a.sum(), atol=1e-12)
    problem = Linearized(model, tasks, targets, loss="squared", metric=lambda f, t, v: v @ (f - t) ** 2, mu=1.0,
                         higher_is_better=False)  # fmt: skip
    x, y, w = targets["val"]
    with torch.no_grad():
        real = float(w @ (model(x)[:, 0] - y) ** 2)
    assert problem.measure(np.zeros((1, problem.dim)))[0, 0] == pytest.approx(real, rel=1e-9)


def trained_mlp(loss, outputs, tasks, seed=0, decay=0.02, labels=lambda y: y):
    """A small network at the optimum of its own objective on all tasks."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, outputs)).double()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=3000, line_search_fn="strong_wolfe")
    x, y = (torch.cat([t[i] for t in tasks.values()]) for i in (0, 1))

    def closure():
        optimiser.zero_grad()
        f = model(x)
        total = loss.value(f, loss.check(f, y, "a")).mean() + decay / 2 * sum((p**2).sum() for p in model.parameters())
        total.backward()
        return total

    optimiser.step(closure)
    return model


@pytest.mark.parametrize("name", ["squared", "gaussian_log_variance", "soft_bins"])
def test_a_trained_regression_is_not_accused_and_an_untrained_one_is(name):
    tasks, targets = sets(per=(30, 30, 30))
    loss = SoftBins.over(torch.cat([t[1] for t in tasks.values()]), 6) if name == "soft_bins" else loss_named(name)
    width = {"squared": 1, "gaussian_log_variance": 2, "soft_bins": 6}[name]
    options = {"loss": loss, "weight_decay": 0.02, "metric": {"val": "mse"}}
    problem = Linearized(trained_mlp(loss, width, tasks), tasks, targets, **options)
    assert problem.warnings == ()
    assert problem.higher_is_better == (False,)
    assert np.isfinite(problem.evaluate(MIXTURES)).all()
    torch.manual_seed(0)
    fresh = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, width)).double()
    assert "does not look trained" in Linearized(fresh, tasks, targets, **options).warnings[0]


def test_log_odds_needs_no_labels():
    tasks, targets = sets(classes=2)
    options = {"loss": "log_odds", "weight_decay": 0.05, "metric": "accuracy", "mu": 0.0, **EXACT}
    plain = lambda data: {k: DataLoader(TensorDataset(t[0]), batch_size=6) for k, t in data.items()}
    without = Linearized(linear(), plain(tasks), plain(targets), **options)
    ones = lambda data: {k: (t[0], torch.ones_like(t[1])) for k, t in data.items()}
    binary = Linearized(linear(), ones(tasks), ones(targets), **{**options, "loss": "binary"})
    np.testing.assert_allclose(without.evaluate(MIXTURES), binary.evaluate(MIXTURES), atol=1e-9)
    dicts = lambda data: {k: [{"input": t[0]}] for k, t in data.items()}
    found = Linearized(linear(), dicts(tasks), dicts(targets), **options).evaluate(MIXTURES)
    np.testing.assert_allclose(found, without.evaluate(MIXTURES), atol=1e-9)


def test_regression_metrics_are_in_the_targets_unit():
    tasks, targets = sets()
    y = torch.cat([t[1] for t in tasks.values()])
    loss = SoftBins.over(y, 8)
    torch.manual_seed(0)
    model = nn.Linear(3, 8).double()
    x, t = targets["val"]
    both = {"a": targets["val"], "b": targets["val"], "c": targets["val"]}
    metric = {"a": "mse", "b": "mae", "c": "accuracy"}
    problem = Linearized(model, tasks, both, loss=loss, metric=metric, mu=1.0)
    assert problem.higher_is_better == (False, False, True)
    found = problem.measure(np.zeros((1, problem.dim)))[0]
    with torch.no_grad():
        predicted = model(x).softmax(1) @ loss.values
    np.testing.assert_allclose(found[:2], [((predicted - t) ** 2).mean(), (predicted - t).abs().mean()], rtol=1e-12)
    assert problem.fingerprint()["loss.bins"] == 8
    other = Linearized(model, tasks, both, loss=SoftBins.over(y, 8, width=0.5), metric=metric, mu=1.0)
    assert other.fingerprint() != problem.fingerprint()


def test_callables_see_labels_as_the_user_has_them():
    tasks, targets = sets()
    shapes = []

    def rmse(f, y):
        shapes.append((f.shape, y.shape))
        return (f[:, 0] / f[:, 1] - y).square().mean().sqrt()

    model = nn.Sequential(linear(outputs=2), nn.Softplus())
    options = {"metric": rmse, "higher_is_better": False, "mu": 1.0}
    found = Linearized(model, tasks, targets, loss="gaussian_natural", **options).evaluate(np.ones((1, 3)))
    assert shapes == [((40, 2), (40,))]
    assert np.isfinite(found).all()


def test_a_known_loss_as_a_function_gives_the_same_estimates():
    tasks, targets = sets(outputs=2)
    options = {"weight_decay": 0.05, "mu": 0.0, **EXACT}
    named = Linearized(linear(outputs=2), tasks, targets, loss="squared", **options)
    theirs = ConvexLoss(lambda f, y: (f - y).square().mean(1))
    own = Linearized(linear(outputs=2), tasks, targets, loss=theirs, **options)
    np.testing.assert_allclose(own.evaluate(MIXTURES), named.evaluate(MIXTURES), rtol=1e-9)
    assert own.fingerprint()["loss.function"] != "a function"
    published = Linearized.published(linear(outputs=2), tasks, targets, loss=theirs, dim=4)
    assert np.isfinite(published.evaluate(MIXTURES[:2])).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda w: -w - 1, r"loaders\['t0'\]: the weight of example 0 is -1; weights must be finite and >= 0"),
        (lambda w: w.index_fill(0, torch.tensor([2]), np.inf), "weight of example 2 is inf"),
        (lambda w: w, r"loaders\['t0'\]: its weights sum to 0"),
        (lambda w: w[:, None], r"weights have shape \(12, 1\)"),
        (lambda w: w[1:], "has 12 inputs and 11 weights"),
    ],
)
def test_bad_weights(weights, message):
    tasks, targets = sets()
    tasks["t0"] = (*tasks["t0"], weights(torch.zeros(12, dtype=torch.float64)))
    with pytest.raises(ValueError, match=message):
        Linearized(linear(), tasks, targets, loss="squared")


@pytest.mark.parametrize(("loss", "metric"), [("squared", "accuracy"), ("binary", "mse"), ("gaussian", "accuracy")])
def test_metrics_that_a_loss_does_not_have(loss, metric):
    tasks, targets = sets()
    with pytest.raises(ValueError, match=f"metric of target 'val' is '{metric}'; with this loss use 'loss'"):
        Linearized(linear(), tasks, targets, loss=loss, metric=metric)
