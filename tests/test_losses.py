"""Losses against autograd, torch and an independent optimiser on weighted examples and mixtures; errors in words."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch.nn import functional

from interplay.gradients import LOSSES, ConvexLoss, Features, SoftBins, SoftmaxLoss, curvatures, loss_named, solve


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


@pytest.mark.parametrize("name", ["cross_entropy", "soft_labels", "binary", "multi_label", "squared", "soft_bins"])
def test_the_least_loss_is_that_of_a_model_that_knows_the_labels(name):
    loss, f, y = checked(name)
    weights = torch.from_numpy(np.random.default_rng(0).uniform(0, 2, len(f)))
    knows = {
        "cross_entropy": lambda: 60.0 * functional.one_hot(y, f.shape[1]),
        "squared": lambda: y,
        "binary": lambda: 60.0 * (2 * y.reshape(f.shape) - 1),
        "multi_label": lambda: 60.0 * (2 * y - 1),
    }
    best = knows.get(name, lambda: loss.distribution(y).log())()
    expected = weights @ loss.value(best.double(), y) / weights.sum()
    assert loss.least(y, weights) == pytest.approx(float(expected), abs=1e-9)


def test_a_function_that_is_convex_at_w0_alone_has_no_best_constant():
    loss = ConvexLoss(lambda f, y: (f**4 - 6 * f**2).sum(1), name="double_well")
    f = torch.tensor([[2.0], [-2.0]], dtype=torch.float64)
    y = loss.check(f, torch.zeros(2), "loaders['a']")
    assert loss.best_constant(f, y, torch.ones(2)) is None
    with pytest.raises(ValueError, match="double_well is not convex at example 0"):
        loss.check(0 * f, y, "loaders['a']")


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
