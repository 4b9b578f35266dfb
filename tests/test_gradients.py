"""Features against autograd, subspaces, losses, and the all-masks solver against an independent optimiser."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from scipy import stats
from scipy.optimize import minimize
from torch import nn
from torch.func import functional_call

from interplay.gradients import Examples, Network, curvatures, features, loss_named, solve, subspace
from interplay.gradients.diagnostics import agreement
from interplay.gradients.subspaces import curvature_product, independent_rows, task_gradients


def small_problem(loss="cross_entropy", K=5, n=14, classes=4, seed=0):
    """Float64 MLP with K tasks of random examples; returns network, examples, loss."""
    torch.manual_seed(seed)
    width = 1 if loss == "binary" else classes
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, width)).double()
    rng = np.random.default_rng(seed)
    loaders = {}
    for k in range(K):
        x = torch.from_numpy(rng.standard_normal((n + k, 6)))
        y = torch.from_numpy(rng.integers(0, 2 if loss == "binary" else classes, n + k))
        loaders[f"t{k}"] = (x, y)
    chosen = loss_named(loss)
    network = Network(model)
    return network, Examples.collect(network, loaders, chosen, "loaders"), chosen, loaders


def jacobian(network, x):
    """Jacobian (n, C, p) by reverse-mode autograd, one row at a time."""
    values = {n: p.clone().requires_grad_() for n, p in network.model.named_parameters()}
    out = functional_call(network.model, values, (x,))
    rows = [
        torch.cat([g.reshape(-1) for g in torch.autograd.grad(o, list(values.values()), retain_graph=True)])
        for o in out.reshape(-1)
    ]
    return torch.stack(rows).reshape(*out.shape, -1).detach()


@pytest.mark.parametrize("loss", ["cross_entropy", "binary"])
def test_features_equal_the_jacobian_times_the_basis(loss):
    network, examples, chosen, loaders = small_problem(loss)
    R = subspace("gaussian", network, examples, chosen, 7, np.random.default_rng(0))
    found = features(network, examples, R)
    J = torch.cat([jacobian(network, x) for x, _ in loaders.values()])
    np.testing.assert_allclose(found.phi, J @ R, atol=1e-12)
    z = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 7)))
    expected = examples.offset + torch.einsum("ncd,md->mncd", J @ R, z).sum(-1)
    np.testing.assert_allclose(found.logits(z), expected, atol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary"])
def test_gauss_newton_products_and_task_gradients_equal_the_explicit_ones(loss):
    network, examples, chosen, loaders = small_problem(loss)
    J = torch.cat([jacobian(network, x) for x, _ in loaders.values()])
    f = examples.offset
    if loss == "binary":
        p = f.sigmoid()
        middle = (p * (1 - p))[:, :, None]
        residual = p - examples.labels[:, None]
    else:
        p = f.softmax(-1)
        middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        residual = p - nn.functional.one_hot(examples.labels, f.shape[1])
    G = torch.einsum("nap,nab,nbq->pq", J, middle, J) / examples.n
    V = torch.from_numpy(np.random.default_rng(2).standard_normal((network.size, 3)))
    np.testing.assert_allclose(curvature_product(network, examples, chosen, V), G @ V, atol=1e-12)
    g = torch.einsum("ncp,nc->np", J, residual)
    expected = torch.stack([g[examples.task == k].mean(0) for k in range(5)])
    np.testing.assert_allclose(task_gradients(network, examples, chosen), expected, atol=1e-12)
    eye = torch.eye(network.size, dtype=torch.float64)
    H = curvatures(features(network, examples, eye), chosen)
    np.testing.assert_allclose(H.sum(0) / examples.n, G, atol=1e-12)


@pytest.mark.parametrize("kind", ["data", "gaussian", "rademacher", "sparse"])
def test_subspaces_are_orthonormal_and_reproducible(kind):
    network, examples, chosen, _ = small_problem()
    make = lambda: subspace(kind, network, examples, chosen, 20, np.random.default_rng(3), ridge=0.01)
    R = make()
    assert R.shape == (network.size, 20)
    np.testing.assert_allclose(R.T @ R, np.eye(20), atol=1e-10)
    np.testing.assert_array_equal(R, make())


@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "sparse"])
def test_sketches_keep_lengths_on_average(kind):
    network, examples, chosen, _ = small_problem()
    R = subspace(kind, network, examples, chosen, 40, np.random.default_rng(3), orthonormal=False)
    assert float((R**2).sum()) == pytest.approx(network.size, rel=0.15)


def test_data_subspace_holds_w0_and_the_task_gradients():
    network, examples, chosen, _ = small_problem()
    R = subspace("data", network, examples, chosen, 20, np.random.default_rng(0), ridge=0.01)
    for v in (network.W0, *task_gradients(network, examples, chosen)):
        assert float((v - R @ (R.T @ v)).norm()) < 1e-8 * float(v.norm())


def test_data_subspace_holds_the_first_order_response_of_every_task():
    network, examples, chosen, _ = small_problem()
    ridge = 0.05
    R = subspace("data", network, examples, chosen, 11, np.random.default_rng(0), ridge=ridge)
    eye = torch.eye(network.size, dtype=torch.float64)
    G = curvature_product(network, examples, chosen, eye)
    responses = torch.linalg.solve(G + ridge * eye, task_gradients(network, examples, chosen).T)
    missed = responses - R @ (R.T @ responses)
    assert float(missed.norm()) < 1e-3 * float(responses.norm())


def test_data_subspace_of_fewer_dimensions_than_tasks_and_of_all_parameters():
    network, examples, chosen, _ = small_problem()
    few = subspace("data", network, examples, chosen, 3, np.random.default_rng(0))
    assert few.shape == (network.size, 3)
    full = subspace("data", network, examples, chosen, 10_000, np.random.default_rng(0))
    np.testing.assert_array_equal(full, np.eye(network.size))


def test_independent_rows_drop_repeated_ones():
    assert independent_rows(torch.eye(4)[[0, 0, 1, 2]], 4).shape == (3, 4)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary"])
@pytest.mark.parametrize("normalise", ["all", "selected"])
@pytest.mark.parametrize("chunk", [2**28, 1])
def test_solver_equals_an_independent_optimiser(loss, normalise, chunk):
    network, examples, chosen, _ = small_problem(loss)
    R = subspace("data", network, examples, chosen, 16, np.random.default_rng(0))
    found = features(network, examples, R)
    rng = np.random.default_rng(4)
    masks = np.concatenate([np.ones((1, 5)), rng.integers(0, 2, (6, 5)), rng.random((2, 5)), np.zeros((1, 5))])
    ridge, pull = 0.02, 0.02 * (R.T @ network.W0)
    solution = solve(
        found,
        curvatures(found, chosen),
        torch.from_numpy(masks),
        chosen,
        ridge=ridge,
        pull=pull,
        normalise=normalise,
        tolerance=1e-10,
        steps=200,
        memory=chunk,
    )
    assert float(solution.gradient.max()) < 1e-9
    phi, f0, y, task = (t.numpy() for t in (found.phi, found.offset, found.labels, found.task))
    counts = np.bincount(task)
    for mask, z, value in zip(masks, solution.z.numpy(), solution.objective.numpy(), strict=True):
        N = counts.sum() if normalise == "all" else max(mask @ counts, 1e-300)
        a = mask[task] / N if mask.any() else np.zeros(len(task))

        def objective(v, a=a):
            f = torch.from_numpy(f0 + phi @ v).requires_grad_()
            if loss == "binary":
                per = nn.functional.binary_cross_entropy_with_logits(
                    f[:, 0], torch.from_numpy(y).double(), reduction="none"
                )
            else:
                per = nn.functional.cross_entropy(f, torch.from_numpy(y), reduction="none")
            total = (per * torch.from_numpy(a)).sum()
            (g,) = torch.autograd.grad(total, f)
            value = float(total.detach()) + pull.numpy() @ v + ridge / 2 * v @ v
            return value, np.einsum("nc,ncd->d", g.numpy(), phi) + pull.numpy() + ridge * v

        best = minimize(objective, np.zeros(16), jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-16})
        np.testing.assert_allclose(z, best.x, atol=2e-6)
        assert value <= best.fun + 1e-12


def test_solver_survives_an_objective_without_a_minimum():
    network, examples, chosen, _ = small_problem(n=2)
    found = features(network, examples, torch.eye(network.size, dtype=torch.float64))
    solution = solve(
        found,
        curvatures(found, chosen),
        torch.ones(1, 5),
        chosen,
        ridge=1e-12,
        pull=torch.zeros(network.size, dtype=torch.float64),
    )
    assert torch.isfinite(solution.z).all()
    assert float(solution.objective) < float(chosen.value(examples.offset, examples.labels).mean())


def test_parameters_can_be_chosen_by_name():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    assert Network(model, ["2.*"]).names == ("2.weight", "2.bias")
    assert Network(model, "0.weight").size == 30
    with pytest.raises(ValueError, match=r"parameters='head\.\*' matches no trainable parameter"):
        Network(model, ["head.*"])


def test_unknown_names_are_refused():
    network, examples, chosen, _ = small_problem()
    with pytest.raises(ValueError, match="loss is 'hinge'"):
        loss_named("hinge")
    with pytest.raises(ValueError, match="subspace is 'fourier'"):
        subspace("fourier", network, examples, chosen, 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="dim is 0"):
        subspace("data", network, examples, chosen, 0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (lambda F: F + 0.01, "faithful"),
        (lambda F: 3 * F + 5, "ranking only"),
        (lambda F: -F, "unfaithful"),
        (lambda F: F[:3], "unknown"),
    ],
)
def test_verdicts(estimate, verdict):
    F = np.random.default_rng(0).standard_normal((12, 2)) + 10
    Fhat = estimate(F)
    report = agreement(Fhat, F[: len(Fhat)], ["a", "b"])
    assert report["verdict"] == verdict
    assert report["reason"]


def test_agreement_of_constant_and_missing_targets():
    F = np.array([[1.0, np.nan]] * 6)
    report = agreement(np.ones((6, 2)), F, ["constant", "missing"])
    assert report["verdict"] == "unknown"
    assert report["relative_error"] == 0
    assert set(report["by_target"]) == {"constant"}
    flat = agreement(np.zeros((6, 1)), np.arange(6.0)[:, None], ["t"])
    assert flat["spearman"] == 0
    once = agreement(np.zeros((6, 1)), np.eye(6)[:, :1], ["moved by one mask"])
    assert np.isfinite(once["intervals"]["error_over_spread"]).all()


def test_intervals_of_a_verdict_are_those_of_the_jackknife():
    rng = np.random.default_rng(1)
    F = rng.standard_normal((9, 2))
    Fhat = F + 0.8 * rng.standard_normal((9, 2))
    Fhat[:3, 0] = Fhat[0, 0]  # ties

    def figures(rows):
        a, b = F[rows], Fhat[rows]
        over = np.abs(a - b).mean(0) / np.abs(a - a.mean(0)).mean(0)
        return over.mean(), np.mean([stats.spearmanr(a[:, t], b[:, t]).statistic for t in range(2)])

    report = agreement(Fhat, F, ["a", "b"])
    whole, rest = np.array(figures(np.arange(9))), np.array([figures(np.delete(np.arange(9), i)) for i in range(9)])
    reach = stats.t.ppf(0.9, 8) * np.sqrt(8 / 9 * ((rest - rest.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose([report["error_over_spread"], report["spearman"]], whole)
    found = np.array([report["intervals"][key] for key in ("error_over_spread", "spearman")])
    np.testing.assert_allclose(found, np.clip(np.column_stack([whole - reach, whole + reach]), [[0], [-1]], [[9], [1]]))


def test_a_verdict_names_the_others_that_so_few_masks_leave_open():
    rng = np.random.default_rng(0)
    F = rng.standard_normal((400, 1))
    Fhat = F + 1.2 * rng.standard_normal((400, 1))
    few, many = agreement(Fhat[:6], F[:6], ["t"]), agreement(Fhat, F, ["t"])
    assert many["verdict"] == "ranking only"
    assert many["possible"] == ["ranking only"]
    assert len(few["possible"]) > 1
    assert few["verdict"] in few["possible"]
    assert "not excluded by so few masks" in few["reason"]
    assert "not excluded" not in many["reason"]
