"""Losses against autograd, torch and independent optimisers; weights of examples; mixtures; errors in words."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from interplay.evaluators import Linearized
from interplay.gradients import (
    LOSSES,
    ConvexLoss,
    Examples,
    Features,
    Network,
    SoftBins,
    SoftmaxLoss,
    curvatures,
    loss_named,
    solve,
)
from interplay.gradients.subspaces import curvature_product, task_gradients


def huberised(f, y):
    """A convex function of three outputs whose curvature depends on the labels: softplus of a shift, and a quartic."""
    return functional.softplus(f[:, 0] - y) + 0.1 * (f[:, 1] + f[:, 2] - y) ** 4 + 0.2 * f.square().sum(1)


EDGES = [-3.0, -1.0, 0.0, 0.5, 3.0]
EVERY = (*LOSSES, "soft_bins", "convex")
CONVEX = tuple(name for name in EVERY if name != "gaussian_log_variance")


def case(name, n=7, seed=0, spread=1.0):
    """Loss, outputs (n, C) inside its domain, labels as the user has them."""
    rng = np.random.default_rng(seed)
    widths = {"binary": 1, "log_odds": 1, "gaussian_natural": 4, "gaussian_log_variance": 4, "gaussian": 2}
    C = widths.get(name, 4 if name == "soft_bins" else 3)
    f = torch.from_numpy(spread * rng.standard_normal((n, C)))
    real = torch.from_numpy(rng.standard_normal((n, max(1, C // 2))))
    labels = {
        "cross_entropy": torch.from_numpy(rng.integers(0, C, n)),
        "soft_labels": torch.from_numpy(rng.dirichlet(np.ones(C), n)),
        "binary": torch.from_numpy(rng.integers(0, 2, n)),
        "log_odds": torch.zeros(n),
        "multi_label": torch.from_numpy(rng.integers(0, 2, (n, C))),
        "squared": torch.from_numpy(rng.standard_normal((n, C))),
        "gaussian": torch.from_numpy(np.stack([rng.standard_normal((n, C)), rng.uniform(0.3, 3, (n, C))], -1)),
        "gaussian_natural": real,
        "gaussian_log_variance": real,
        "soft_bins": real[:, 0],
        "convex": real[:, 0],
    }[name]
    if name == "gaussian_natural":
        f[:, 2:] = f[:, 2:].abs() + 0.3
    loss = {"soft_bins": SoftBins(EDGES), "convex": ConvexLoss(huberised)}.get(name) or loss_named(name)
    return loss, f, labels


def checked(name, **options):
    loss, f, labels = case(name, **options)
    return loss, f, loss.check(f, labels, "loaders['a']")


@pytest.mark.parametrize("name", EVERY)
def test_residual_and_curvature_equal_autograd(name):
    loss, f, y = checked(name)
    g = f.clone().requires_grad_()
    value = loss.value(g, y)
    (expected,) = torch.autograd.grad(value.sum(), g)
    found, residual = loss.value_and_residual(f, y)
    np.testing.assert_allclose(found, value.detach(), atol=1e-12)
    np.testing.assert_allclose(residual, expected, atol=1e-10)
    C = f.shape[1]
    per = lambda one, label: loss.value(one[None], label[None])[0]
    if name == "gaussian_log_variance":  # the Fisher information: the Hessian's mean over y = m - s, m + s
        m, r = f.chunk(2, 1)
        sides = [m - (r / 2).exp(), m + (r / 2).exp()]
        H = sum(torch.stack([torch.func.hessian(per)(a, b) for a, b in zip(f, s, strict=True)]) for s in sides) / 2
    else:
        H = torch.stack([torch.func.hessian(per)(a, b) for a, b in zip(f, y, strict=True)])
    eye = torch.eye(C, dtype=torch.float64).expand(len(f), C, C)
    root = loss.curvature_root(f, eye, y)
    np.testing.assert_allclose(root.transpose(1, 2) @ root, H, atol=1e-9)
    v = torch.from_numpy(np.random.default_rng(1).standard_normal((5, *f.shape)))
    np.testing.assert_allclose(loss.curvature_product(f, v, y), torch.einsum("nab,dnb->dna", H, v), atol=1e-9)


@pytest.mark.parametrize("name", EVERY)
def test_masks_lead_the_outputs(name):
    loss, f, y = checked(name)
    outputs = torch.stack([f, 0.5 * f, f + 0.1])
    value, residual = loss.value_and_residual(outputs.clone(), y)
    for i, one in enumerate(outputs):
        alone, slope = loss.value_and_residual(one.clone(), y)
        np.testing.assert_allclose(value[i], alone, atol=1e-12)
        np.testing.assert_allclose(residual[i], slope, atol=1e-12)
        np.testing.assert_allclose(loss.value(outputs, y)[i], alone, atol=1e-12)
        for metric in loss.metrics:
            assert loss.measure(metric, outputs, y).shape == (3, len(f))
            np.testing.assert_allclose(loss.measure(metric, outputs, y)[i], loss.measure(metric, one, y), atol=1e-12)


@pytest.mark.parametrize("name", CONVEX)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.99), spread=st.floats(0.1, 6))
def test_convex_along_every_line(name, seed, share, spread):
    loss, f, y = checked(name, seed=seed, spread=spread)
    other = case(name, seed=seed + 1, spread=spread)[1]
    a, b = loss.value(f, y), loss.value(other, y)
    between = loss.value(share * f + (1 - share) * other, y)
    assert (between <= share * a + (1 - share) * b + 1e-9 * (1 + a.abs() + b.abs())).all()
    slope = (loss.value_and_residual(f, y)[1] * (other - f)).sum(1)
    assert (b >= a + slope - 1e-9 * (1 + a.abs() + b.abs() + slope.abs())).all()


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.1, 6))
def test_the_root_squared_is_the_curvature(name, seed, spread):
    loss, f, y = checked(name, seed=seed, spread=spread)
    v = torch.from_numpy(np.random.default_rng(seed).standard_normal((2, *f.shape)))
    root = loss.curvature_root(f, v.permute(1, 2, 0), y)
    product = loss.curvature_product(f, v, y)
    gram = torch.einsum("nrd,nre->nde", root, root)
    expected = torch.einsum("dnc,enc->nde", v, product)
    np.testing.assert_allclose(gram, expected, atol=1e-9 * float(1 + expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("cross_entropy", functional.cross_entropy),
        ("soft_labels", functional.cross_entropy),
        ("squared", functional.mse_loss),
        ("multi_label", lambda f, y: functional.binary_cross_entropy_with_logits(f, y.double())),
        ("binary", lambda f, y: functional.binary_cross_entropy_with_logits(f[:, 0], y.double())),
        ("log_odds", lambda f, y: functional.softplus(-f).mean()),
        ("gaussian", lambda f, y: functional.gaussian_nll_loss(f, y[..., 0], y[..., 1])),
        ("gaussian_natural", lambda f, y: functional.gaussian_nll_loss(f[:, :2] / f[:, 2:], y, 1 / f[:, 2:])),
        ("gaussian_log_variance", lambda f, y: functional.gaussian_nll_loss(f[:, :2], y, f[:, 2:].exp())),
    ],
)
def test_the_mean_is_torchs_loss(name, theirs):
    loss, f, labels = case(name)
    found = loss.value(f, loss.check(f, labels, "a")).mean()
    assert float(found) == pytest.approx(float(theirs(f, labels)), abs=1e-12)


K, D = 4, 5


def linear_problem(name, seed=0, per=9, weighted=True):
    """Features of a linear model of D coefficients, K tasks, weights, and outputs inside the domain at z = 0."""
    n = K * per
    loss, f, labels = case(name, n=n, seed=seed, spread=0.3)
    if name == "gaussian_natural":
        f[:, 2:] += 0.7
    rng = np.random.default_rng(seed + 7)
    y = loss.check(f, labels, "loaders")
    task = torch.arange(K).repeat_interleave(per)
    weights = torch.from_numpy(rng.uniform(0, 2, n)) if weighted else torch.ones(n, dtype=torch.float64)
    weights[3] = 0
    phi = torch.from_numpy(0.5 * rng.standard_normal((n, f.shape[1], D)))
    return loss, Features(phi, f, y, weights, task, torch.bincount(task, weights, minlength=K))


@pytest.mark.parametrize("normalise", ["all", "selected"])
@pytest.mark.parametrize("name", EVERY)
def test_solver_equals_scipy_on_masks_and_mixtures(name, normalise):
    """Every loss, weighted examples, masks and mixtures, against L-BFGS of scipy on torch's gradient."""
    loss, found = linear_problem(name)
    rng = np.random.default_rng(3)
    masks = np.concatenate([np.ones((1, K)), np.eye(K)[:2], [[1, 0, 1, 1]], rng.dirichlet(np.ones(K), 3)])
    ridge, pull = 0.1, torch.from_numpy(0.02 * rng.standard_normal(D))
    solution = solve(
        found,
        curvatures(found, loss),
        torch.from_numpy(masks),
        loss,
        ridge=ridge,
        pull=pull,
        normalise=normalise,
        tolerance=1e-9,
        steps=300,
    )
    assert float(solution.gradient.max()) < 1e-8
    task, w = found.task.numpy(), found.weights.numpy()
    for mask, z, value in zip(masks, solution.z.numpy(), solution.objective.numpy(), strict=True):
        total = w.sum() if normalise == "all" else (mask[task] * w).sum()
        share = torch.from_numpy(mask[task] * w / total)
        kept = share > 0

        def objective(v, share=share, kept=kept):
            v = torch.from_numpy(v).requires_grad_()
            f = found.offset + found.phi @ v
            per = loss.value(f[kept], found.labels[kept])
            all_of_it = (share[kept] * per).sum() + v @ pull + ridge / 2 * v @ v
            (g,) = torch.autograd.grad(all_of_it, v)
            return float(all_of_it.detach()), g.numpy()

        best = minimize(objective, np.zeros(D), jac=True, method="L-BFGS-B", options={"gtol": 1e-11, "ftol": 1e-16})
        if name == "gaussian_natural":  # its domain has an end, which a search by gradients may step over
            search = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 10**5, "maxfev": 10**5}
            best = minimize(lambda v: objective(v)[0], np.zeros(D), method="Nelder-Mead", options=search)
        assert value <= best.fun + 1e-10
        if name != "gaussian_log_variance":  # several optima may be reached there
            np.testing.assert_allclose(z, best.x, atol=1e-5)


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


@pytest.mark.parametrize("normalise", ["all", "selected"])
def test_a_mixture_is_the_objective_that_the_docstring_states(normalise):
    """Weights on the simplex, brute force by torch; and w_k / n_k with "selected" is a mixture of task means."""
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

    N = counts.sum() if normalise == "all" else w @ counts
    expected = trained(lambda model: sum(w[k] * loss_of(model, k, "sum") for k in range(3)) / N)
    assert problem.evaluate(w[None])[0, 0] == pytest.approx(expected, abs=1e-8)
    if normalise == "selected":
        expected = trained(lambda model: sum(w[k] * loss_of(model, k, "mean") for k in range(3)))
        assert problem.evaluate((w / counts)[None])[0, 0] == pytest.approx(expected, abs=1e-8)
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


@pytest.mark.parametrize("name", EVERY)
def test_the_best_constant_is_the_best(name):
    loss, f, y = checked(name, n=30)
    weights = torch.from_numpy(np.random.default_rng(0).uniform(0, 2, 30))
    found = loss.best_constant(f, y, weights)
    if name == "log_odds":
        assert found is None
        return
    share = (weights / weights.sum()).numpy()

    def objective(c):
        return float(share @ loss.value(torch.from_numpy(c).expand(30, -1), y).numpy())

    best = minimize(objective, f.mean(0).numpy(), method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-12})
    assert found == pytest.approx(best.fun, abs=1e-5)


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


def test_soft_bins_encode_and_decode():
    y = np.random.default_rng(0).gamma(2.0, size=400)
    hard, soft = SoftBins.over(y, 30, width=1e-3), SoftBins.over(y, 30)
    q = hard.distribution(torch.from_numpy(y))
    np.testing.assert_array_equal(q.argmax(1), np.clip((y - y.min()) / np.ptp(y) * 30, 0, 29).astype(int))
    assert hard.reconstruction(y) <= np.ptp(y) / 30 / 2
    inner = torch.linspace(*np.quantile(y, [0.3, 0.7]), 50, dtype=torch.float64)
    np.testing.assert_allclose(soft.decode(soft.distribution(inner).log()), inner, atol=1e-3)
    few = SoftBins.over(y, 5)
    assert SoftBins.learned(y, 5).reconstruction(y) < 0.5 * few.reconstruction(y)
    assert torch.equal(SoftBins.learned(y, 5).slope, SoftBins.learned(torch.from_numpy(y), 5).slope)
    np.testing.assert_allclose(SoftBins(EDGES).values, [-2, -0.5, 0.25, 1.75])


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


def nothing_convex(f, y):
    return (f[:, 0] - y).abs().sqrt()


BAD_LABELS = {
    "one logit": ("cross_entropy", torch.zeros(3, 1), torch.zeros(3), "needs two or more"),
    "two logits": ("binary", torch.zeros(3, 2), torch.zeros(3), "loss='binary' needs one"),
    "log-odds": ("log_odds", torch.zeros(3, 2), torch.zeros(3), "log p - log"),
    "width": ("squared", torch.zeros(3, 2), torch.zeros(3), r"one number per output, shape \(3, 2\), are needed"),
    "nan": ("squared", torch.zeros(3, 1), torch.tensor([0, np.nan, 0]), "label of example 1 is not finite"),
    "bounds": ("multi_label", torch.zeros(3, 1), torch.tensor([0, 1, 2.0]), "label 0 of example 2 is 2"),
    "sums": ("soft_labels", torch.zeros(2, 2), torch.tensor([[0.5, 0.5], [0.5, 0.6]]), "example 1 .* sums to 1.1"),
    "variance": ("gaussian", torch.zeros(2, 1), torch.tensor([[0.0, 1], [0, 0]]), "variance of example 1 is 0"),
    "no variance": ("gaussian", torch.zeros(2, 1), torch.zeros(2), "target and variance"),
    "odd": ("gaussian_natural", torch.ones(2, 3), torch.zeros(2), "needs two per target"),
    "precision": ("gaussian_natural", torch.zeros(2, 2), torch.zeros(2), "example 0 a precision of 0"),
    "bins": (SoftBins(EDGES), torch.zeros(2, 3), torch.zeros(2), "3 outputs per example and there are 4 bins"),
    "shape": (ConvexLoss(lambda f, y: f), torch.zeros(2, 3), torch.zeros(2), r"gives \(2, 3\) for 2 examples"),
    "mean": (ConvexLoss(lambda f, y: f.square().mean()), torch.zeros(2, 3), torch.zeros(2), "without a mean"),
    "call": (ConvexLoss(lambda f, y: f @ y), torch.zeros(2, 3), torch.zeros(2), "cannot be called on outputs"),
    "mixes": (
        ConvexLoss(lambda f, y: f.sum(1) - f.mean()),
        torch.ones(2, 3) * torch.arange(2)[:, None],
        torch.zeros(2),
        "must not depend on the batch",
    ),
    "concave": (
        ConvexLoss(lambda f, y: torch.where(y > 0, -1, 1) * f.square().sum(1)),
        torch.ones(3, 2),
        torch.tensor([0.0, 0, 1]),
        r"the function is not convex at example 2, outputs \(1, 1\): .* eigenvalue -2",
    ),
    "kink": (ConvexLoss(nothing_convex), torch.zeros(2, 1), torch.zeros(2), "at example 0, .* is not finite"),
    "item": (
        ConvexLoss(lambda f, y: torch.tensor([v.item() for v in f[:, 0]])),
        torch.zeros(2, 1),
        torch.zeros(2),
        r"cannot be differentiated twice by torch\.func",
    ),
}


@pytest.mark.parametrize("problem", list(BAD_LABELS))
def test_bad_labels_and_functions(problem):
    loss, f, labels, message = BAD_LABELS[problem]
    with pytest.raises(ValueError, match=message):
        loss_named(loss).check(f, labels, "loaders['a']")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: loss_named("hinge"), "loss is 'hinge'; it must be one of binary, cross_entropy, gaussian"),
        (lambda: loss_named(SoftmaxLoss), "loss is a "),
        (lambda: ConvexLoss("huber"), "fn is a str"),
        (lambda: SoftBins(1, 0, 1), "bins is 1; at least 2"),
        (lambda: SoftBins(5), "bins is 5 with low=None"),
        (lambda: SoftBins(5, 1, 1), "low < high"),
        (lambda: SoftBins([0, 2, 1]), "ascending order"),
        (lambda: SoftBins([0, 1, 2], low=0), "bins holds edges"),
        (lambda: SoftBins(5, 0, 1, width=0), "width is 0"),
        (lambda: SoftBins.over([1.0, 1.0], 5), "two that are finite and differ"),
        (lambda: loss_named("squared").correct(torch.zeros(1, 1), torch.zeros(1, 1)), "predicts no classes"),
        (lambda: loss_named("binary").error(torch.zeros(1, 1), torch.zeros(1)), "predicts no numbers"),
    ],
)
def test_bad_losses(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


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
