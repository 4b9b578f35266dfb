"""Bases as products against their matrices, subspaces against the Gauss-Newton matrix, the choice of the dimension."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn

from interplay.gradients import SUBSPACES, Basis, Examples, Network, basis, loss_named
from interplay.gradients.bases import Held, as_basis
from interplay.gradients.dimensions import Curve, choose_dim, probing_masks, sizes
from interplay.gradients.random_bases import Drawn, Hashed, splitmix64
from interplay.gradients.subspaces import curvature_product, sketched_rows, task_gradients

RANDOM = SUBSPACES[2:]


def problem(K=3, n=20, classes=4, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, classes)).to(dtype)
    rng = np.random.default_rng(seed)
    loaders = {
        f"t{k}": (
            torch.from_numpy(rng.standard_normal((n + k, 6))).to(dtype),
            torch.from_numpy(rng.integers(0, classes, n + k)),
            torch.from_numpy(rng.random(n + k) + 0.5),
        )
        for k in range(K)
    }
    loss = loss_named("cross_entropy")
    network = Network(model)
    return network, Examples.collect(network, loaders, loss, "loaders"), loss


LIKE = torch.empty(0, dtype=torch.float64)
RAW = {
    "gaussian": lambda p, d, **o: Drawn("gaussian", p, d, 5, LIKE, **o),
    "rademacher": lambda p, d, **o: Drawn("rademacher", p, d, 5, LIKE, **o),
    "sparse": lambda p, d, **o: Hashed(p, d, 5, LIKE),
    "sparse, 3": lambda p, d, **o: Hashed(p, d, 5, LIKE, nonzeros=3),
    "held": lambda p, d, **o: as_basis(torch.from_numpy(np.random.default_rng(5).standard_normal((p, d)) / d**0.5)),
}


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("orthonormal", [False, True])
def test_products_equal_those_of_the_matrix(kind, memory, orthonormal):
    p, d = 70_000, 40  # more than one block of each side
    R = RAW[kind](p, d, memory=memory)
    if orthonormal:
        R = R.orthonormalise()
    assert isinstance(R, Basis)
    M = R.dense()
    assert R.shape == (p, d) == M.shape
    rng = np.random.default_rng(0)
    z, g = torch.from_numpy(rng.standard_normal((3, d))), torch.from_numpy(rng.standard_normal((3, p)))
    np.testing.assert_allclose(R.push(z), z @ M.T, atol=1e-10)
    np.testing.assert_allclose(R.pull(g), g @ M, atol=1e-9)
    np.testing.assert_allclose(R.T @ g[0], M.T @ g[0], atol=1e-9)
    np.testing.assert_allclose(R.T @ g.T, M.T @ g.T, atol=1e-9)
    np.testing.assert_allclose(R @ z[0], M @ z[0], atol=1e-10)
    np.testing.assert_allclose(R @ z.T, M @ z.T, atol=1e-10)
    np.testing.assert_allclose(R.gram(), M.T @ M, atol=1e-8)
    np.testing.assert_allclose(R.finish(R.columns(0, d).T), M, atol=1e-10)
    np.testing.assert_allclose(R.columns(30, 35), R.columns(0, d)[30:35])
    if orthonormal:
        np.testing.assert_allclose(M.T @ M, np.eye(d), atol=1e-9)
    else:
        assert float((M**2).sum()) == pytest.approx(p, rel=0.02)
    few = R.head(7)
    np.testing.assert_allclose(few.dense(), M[:, :7], atol=1e-10)
    np.testing.assert_allclose(few.pull(g), (g @ M)[:, :7], atol=1e-9)
    np.testing.assert_allclose(few.push(z[:, :7]), z[:, :7] @ M[:, :7].T, atol=1e-10)


@pytest.mark.parametrize("kind", RANDOM)
def test_entries_hang_on_the_seed_and_not_on_what_is_kept(kind):
    make = lambda seed, memory: (
        Hashed(1000, 20, seed, LIKE) if kind == "sparse" else Drawn(kind, 1000, 20, seed, LIKE, memory=memory)
    )
    kept, made = make(1, 2**30), make(1, 0)
    np.testing.assert_array_equal(kept.dense(), made.dense())
    assert not np.array_equal(kept.dense(), make(2, 2**30).dense())
    if kind != "sparse":
        assert kept.held
        assert not made.held
        assert made.bytes == 0 < kept.bytes


def test_a_hash_needs_no_matrix_and_spreads_evenly():
    R = Hashed(2**21, 64, 7, torch.empty(0))
    counts = R.gram_raw().diagonal()
    assert float(counts.sum()) == 2**21
    assert float((counts - 2**15).abs().max()) < 6 * 2**7.5  # six standard deviations
    assert R.nonzeros == 1
    assert Hashed(100, 50, 7, LIKE).nonzeros == 8


def test_mixed_bits_are_those_of_the_published_generator():
    start = np.uint64(2**63 - 2000)  # over the end of int64
    x = start + np.arange(4096, dtype=np.uint64)
    bits = splitmix64(torch.from_numpy(x.view(np.int64))).numpy().view(np.uint64)
    z = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    np.testing.assert_array_equal(bits, z ^ (z >> np.uint64(31)))
    share = ((bits[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).mean(0)
    assert np.abs(share - 0.5).max() < 0.05
    known = splitmix64(torch.tensor([0]))  # the first number of the generator with seed 0
    assert int(known) & (2**64 - 1) == 0xE220A8397B1DCDAF


def test_a_basis_may_be_stored_in_less():
    rng = np.random.default_rng(0)
    Q = torch.from_numpy(np.linalg.qr(rng.standard_normal((500, 40)))[0]).float()
    whole = Held(Q.T, Q)
    half = Held(Q.T, Q, storage=torch.bfloat16)
    assert half.bytes == whole.bytes // 2
    assert half.columns(0, 2).dtype == torch.float32
    z = torch.from_numpy(rng.standard_normal((2, 40))).float()
    np.testing.assert_allclose(half.push(z), whole.push(z), atol=0.03)
    np.testing.assert_allclose(half.pull(whole.push(z)), z, atol=0.05)
    drawn = Drawn("gaussian", 500, 40, 1, Q, storage=torch.bfloat16)
    g = torch.from_numpy(rng.standard_normal((2, 500))).float()
    np.testing.assert_allclose(drawn.pull(g), g @ drawn.dense(), atol=0.01)


@pytest.mark.parametrize("kind", SUBSPACES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_subspace_is_orthonormal_and_nested(kind, dtype):
    network, examples, loss = problem(dtype=dtype)
    R = basis(kind, network, examples, loss, 16, np.random.default_rng(0))
    np.testing.assert_allclose(R.gram(), np.eye(16), atol=1e-9 if dtype == torch.float64 else 1e-5)
    assert R.kind == kind
    assert R.like.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    few = R.head(5).gram()
    np.testing.assert_allclose(few, np.eye(5), atol=1e-9 if dtype == torch.float64 else 1e-5)


def gauss_newton(network, examples, loss):
    return curvature_product(network, examples, loss, torch.eye(network.size, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_sketched_rows_have_the_gauss_newton_matrix_as_their_mean(kind):
    network, examples, loss = problem()
    rows = sketched_rows(network, examples, loss, 4000, np.random.default_rng(0), kind=kind)
    G = gauss_newton(network, examples, loss) * examples.weights.sum()
    assert float((rows.T @ rows / 4000 - G).norm() / G.norm()) < 0.08


def test_sketched_rows_of_many_outputs_equal_those_of_few(monkeypatch):
    network, examples, loss = problem(classes=70, n=3)
    many = sketched_rows(network, examples, loss, 5, np.random.default_rng(0))
    eye = torch.eye(70, dtype=torch.float64).expand(examples.n, 70, 70)
    root = loss.curvature_root(examples.offset, eye, examples.labels)
    v = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (5, *root.shape[:2])) * 2.0 - 1)
    bent = torch.einsum("mnr,nrc,n->mnc", v, root, examples.weights.sqrt())
    expected = network.pull(examples.batches[0], bent)
    assert len(examples.batches) == 1
    np.testing.assert_allclose(many, expected, atol=1e-9)


def test_gauss_newton_subspace_holds_most_of_the_curvature_and_all_gradients():
    network, examples, loss = problem()
    G = gauss_newton(network, examples, loss)
    values = torch.linalg.eigvalsh(G).flip(0)
    held = {}
    for kind in ("gauss-newton", "gaussian"):
        R = basis(kind, network, examples, loss, 30, np.random.default_rng(0)).dense()
        held[kind] = float(torch.trace(R.T @ G @ R) / values.sum())
        if kind == "gauss-newton":
            for v in (network.W0, *task_gradients(network, examples, loss)):
                assert float((v - R @ (R.T @ v)).norm()) < 1e-8 * float(v.norm())
    best = float(values[:26].sum() / values.sum())
    assert held["gauss-newton"] > 0.97 * best
    assert held["gaussian"] < 0.5


def test_the_whole_space_where_the_dimension_reaches_it():
    network, examples, loss = problem()
    for kind in SUBSPACES:
        R = basis(kind, network, examples, loss, network.size + 5, np.random.default_rng(0))
        np.testing.assert_array_equal(R.dense(), np.eye(network.size))


def test_sizes_and_masks_of_the_probe():
    assert sizes(64) == [8, 16, 32, 64]
    assert sizes(5) == [5]
    masks = probing_masks(6, np.random.default_rng(0))
    assert masks.shape[1] == 6
    assert len(masks) <= 16
    assert (masks.sum(1) == 6).sum() == 1
    assert masks.any(1).all()
    assert len(probing_masks(1, np.random.default_rng(0))) == 1


def test_dimension_is_chosen_where_the_estimates_stop_changing():
    rng = np.random.default_rng(0)
    final, asked = rng.standard_normal((12, 2)), []
    wrong = rng.standard_normal((12, 2))

    def estimate(d):
        asked.append(d)
        return final + wrong * 8.0 / d**2 + d  # a shift of all masks counts for nothing

    curve = choose_dim([8, 16, 32, 64, 128], estimate, 0.05)
    assert (curve.chosen, asked) == (16, [8, 16, 32])
    assert curve.settled
    assert curve.change[1] <= 0.05 < curve.change[0]
    assert np.isnan(curve.change[2])
    assert "<- chosen" in repr(curve)
    assert repr(curve).splitlines()[2].split() == ["16", f"{curve.change[1]:.3f}", "-", "<-", "chosen"]
    frame = curve.to_frame()
    assert list(frame.columns) == ["d", "change", "error", "chosen"]
    assert frame.d[frame.chosen].tolist() == [16]
    unsettled = choose_dim([8, 16], lambda d: final * d + wrong * d**2, 0.05)
    assert unsettled.chosen == 16
    assert not unsettled.settled


def test_dimension_is_chosen_by_retrained_masks_where_there_are_any():
    rng = np.random.default_rng(0)
    truth, wrong = rng.standard_normal((12, 2)), rng.standard_normal((12, 2))
    errors = {8: 0.5, 16: 0.1, 32: 0.08, 64: 0.3}
    curve = choose_dim(list(errors), lambda d: truth + 3 + wrong * errors[d], 0.05, truth)
    assert curve.chosen == 16
    assert len(curve.dims) == 4
    assert curve.error[3] > curve.error[1]
    assert curve.settled
    constant = choose_dim([8, 16], lambda d: np.ones((5, 1)), 0.05)
    assert constant.chosen == 8
    assert isinstance(constant, Curve)
