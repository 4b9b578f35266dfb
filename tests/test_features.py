"""Features in both modes against the Jacobian; on disk, interrupted and refused; precision; what users pass."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn

from interplay.evaluators import Linearized
from interplay.gradients import SUBSPACES, Curve, Examples, Network, basis, features, loss_named
from interplay.gradients.features import blocks_of, chosen_mode
from interplay.gradients.linear_model import dtype_of, linear_model
from interplay.gradients.random_bases import Drawn, Hashed

K = 3


def mlp(seed=0, dtype=torch.float64, width=9):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 4)).to(dtype)


def loaders(n=20, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"t{k}": (
            torch.from_numpy(rng.standard_normal((n + k, 6))).to(dtype),
            torch.from_numpy(rng.integers(0, 4, n + k)),
        )
        for k in range(K)
    }


def collected(model=None, dtype=torch.float64, memory=2**28, **options):
    network = Network(mlp(dtype=dtype) if model is None else model, memory=memory)
    loss = loss_named("cross_entropy")
    return network, Examples.collect(network, loaders(dtype=dtype, **options), loss, "loaders"), loss


def jacobian(network, examples):
    J = torch.zeros(*examples.offset.shape, network.size, dtype=torch.float64)
    for x, rows in examples.slices():
        network.jacobian(x, J.shape[1], lambda r, c, tile, at=rows.start: J[at:][r, c].copy_(tile))
    return J


@pytest.mark.parametrize("kind", SUBSPACES)
@pytest.mark.parametrize("mode", ["forward", "reverse", "auto"])
@pytest.mark.parametrize("orthonormal", [True, False])
def test_both_modes_equal_the_jacobian_times_the_basis(kind, mode, orthonormal):
    network, examples, loss = collected()
    R = basis(kind, network, examples, loss, 12, np.random.default_rng(0), orthonormal=orthonormal)
    found = features(network, examples, R, mode=mode)
    np.testing.assert_allclose(found.phi, jacobian(network, examples) @ R.dense(), atol=1e-10)
    np.testing.assert_allclose(found.head(5).phi, found.phi[..., :5])
    assert found.head(5).flat.shape == (examples.n * 4, 5)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_bases_that_are_made_anew_are_taken_by_blocks_of_columns(mode):
    network, examples, _ = collected(memory=2**14)
    for R in (Drawn("gaussian", network.size, 40, 3, network.W0, memory=0), Hashed(network.size, 40, 3, network.W0)):
        blocks = blocks_of(network, R, 4, mode)
        assert (len(blocks) > 1) == (mode == "forward")
        found = features(network, examples, R.orthonormalise(), mode=mode)
        np.testing.assert_allclose(found.phi, jacobian(network, examples) @ R.orthonormalise().dense(), atol=1e-10)


def test_the_cheaper_mode_is_chosen_by_counted_operations():
    network, examples, _ = collected()
    narrow = basis("gaussian", network, examples, None, 2, np.random.default_rng(0))
    assert network.cost.operations == 2 * (6 * 9 + 9 * 4)
    assert chosen_mode(network, narrow, 4) == "forward"
    assert chosen_mode(network, Hashed(network.size, 90, 0, network.W0, nonzeros=1), 1) == "reverse"
    assert chosen_mode(network, narrow, 4, "reverse") == "reverse"
    with pytest.raises(ValueError, match="mode is 'sideways'; it must be one of auto, forward, reverse"):
        chosen_mode(network, narrow, 4, "sideways")
    network.take("push", 3, "for the test")
    assert chosen_mode(network, narrow, 4) == "reverse"


class Refusing(nn.Module):
    """Runs out of memory once, when asked to."""

    def __init__(self):
        super().__init__()
        self.inner, self.refusals, self.seen = mlp(), 0, []

    def forward(self, x):
        self.seen.append(len(x))
        if self.refusals and len(x) > 4:
            self.refusals -= 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return self.inner(x)


def test_features_go_on_in_smaller_tiles_when_memory_is_refused():
    network, examples, loss = collected(Refusing())
    R = basis("gaussian", network, examples, loss, 1, np.random.default_rng(0))
    expected = features(network, examples, R, mode="forward").phi
    network.model.refusals = 1
    network.model.seen.clear()
    found = features(network, examples, R, mode="forward")
    np.testing.assert_allclose(found.phi, expected, atol=1e-12)
    n = examples.n
    assert network.model.seen == [n, -(-n // 2), n // 2]
    network.model.refusals = 10**9
    model = network.model
    model.forward = lambda x: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(MemoryError, match="one example with one direction does not fit into memory even alone"):
        features(network, examples, R, mode="forward")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 0.05), (torch.float16, 6e-3)])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_precision_follows_the_model(dtype, tolerance, mode):
    exact, examples, loss = collected(mlp().to(dtype).double())
    R = basis("gaussian", exact, examples, loss, 12, np.random.default_rng(0))
    network, rounded, _ = collected(mlp().to(dtype), dtype=dtype)
    same = [x.double() for x in rounded.batches]
    expected = torch.cat([exact.push(x, R.dense()).permute(1, 2, 0) for x in same])
    for stored in (torch.float32, torch.float64):
        found = features(network, rounded, R.dense().to(network.wide), stored, mode=mode).phi
        assert found.dtype == stored
        assert float((found - expected).norm() / expected.norm()) < tolerance


class Rooted(nn.Module):
    """The root has no derivative at 0, where the inputs are 0."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(6, 4, bias=False), nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.inner(x).abs().sqrt())


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_gradients_that_are_no_numbers_are_said_with_their_example(mode):
    torch.manual_seed(0)
    data = loaders()
    data["t1"][0][7] = 0
    network = Network(Rooted().double())
    examples = Examples.collect(network, data, loss_named("cross_entropy"), "loaders")
    R = basis("gaussian", network, examples, None, 6, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"gradient of example 7 of 't1' is not finite.*root or the norm of 0"):
        features(network, examples, R, mode=mode)


def test_overflow_of_half_precision_is_said_with_its_remedy():
    model = mlp(dtype=torch.float16)
    network, examples, loss = collected(model, dtype=torch.float16)
    R = basis("gaussian", network, examples, loss, 6, np.random.default_rng(0)).dense() * 1e5
    with pytest.raises(ValueError, match=r"example \d of 't0' is not finite.*float16.*pass model\.float\(\)"):
        features(network, examples, R, mode="forward")


def built(**options):
    targets = {"val": loaders(seed=9)["t0"]}
    return Linearized(mlp(), loaders(), targets, **{"weight_decay": 0.05, "dim": 12, **options})


MASKS = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=float)


@pytest.mark.parametrize("kind", SUBSPACES)
def test_linearized_in_every_subspace_and_its_notes(kind):
    problem = built(subspace=kind)
    assert np.isfinite(problem.evaluate(MASKS)).all()
    notes = problem.notes["estimator"]["features"]
    assert notes["mode"] in ("forward", "reverse")
    assert notes["mode_from"] == "operations counted per example"
    assert notes["computed_in"] == notes["stored_in"] == "float64"
    json.dumps(problem.notes)
    other = built(subspace=kind, mode="reverse")
    np.testing.assert_allclose(other.evaluate(MASKS), problem.evaluate(MASKS), atol=1e-9)


def test_dimension_auto():
    problem = built(dim="auto", dim_tolerance=0.2)
    assert isinstance(problem.curve, Curve)
    assert problem.dim == problem.curve.chosen
    assert problem.notes["estimator"]["dim"] == problem.dim
    assert "curve of change" in problem.notes["estimator"]["dim_from"]
    full = built(dim=10_000).evaluate(MASKS)
    gap = (problem.evaluate(MASKS) - full).std() / full.std()
    assert gap < 0.4
    with pytest.raises(ValueError, match="dim is 'many'"):
        built(dim="many")
    with pytest.raises(ValueError, match="dim_tolerance is -1"):
        built(dim="auto", dim_tolerance=-1)
    strict = built(dim="auto", dim_tolerance=0.0)
    assert not strict.curve.settled
    assert any("still change with the dimension" in w for w in strict.warnings)


def test_dimension_auto_by_retrained_masks():
    from interplay import evaluate

    truth = evaluate(built(dim=10_000), MASKS)
    problem = built(dim="auto", retrained=truth, mu=0.0)
    assert np.isfinite(problem.curve.error).all()
    assert problem.curve.masks == len(np.unique(MASKS, axis=0))


def test_weights_from_a_state_or_a_file(tmp_path):
    trained = mlp(seed=3)
    expected = Linearized(trained, loaders(), {"val": loaders(seed=9)["t0"]}, weight_decay=0.05, dim=12)
    state = trained.state_dict()
    torch.save(state, tmp_path / "W0.pt")
    for W0 in (state, tmp_path / "W0.pt", str(tmp_path / "W0.pt")):
        np.testing.assert_allclose(built(W0=W0).evaluate(MASKS), expected.evaluate(MASKS))
    torch.save(mlp(width=8).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"another configuration.*\(8, 6\) in W0, \(9, 6\) in the model"):
        built(W0=tmp_path / "other.pt")


def test_precisions_by_name():
    assert dtype_of("features_dtype", None) is None
    assert dtype_of("basis_dtype", "bfloat16") == torch.bfloat16
    with pytest.raises(ValueError, match="features_dtype is 'bfloat16'; it must be one of float32, float64"):
        built(features_dtype="bfloat16")
    exact = built().evaluate(MASKS)
    np.testing.assert_allclose(built(features_dtype="float32").evaluate(MASKS), exact, rtol=1e-4)
    single = built(basis_dtype="float32")
    np.testing.assert_allclose(single.evaluate(MASKS), exact, rtol=1e-3)
    assert single.fingerprint()["basis_dtype"] == "torch.float32"
    assert "basis_dtype" not in built().fingerprint()


def test_a_folder_keeps_features_and_refuses_others(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "features.zarr"
    for kind in ("data", "sparse"):
        expected = built(subspace=kind).evaluate(MASKS)
        where = tmp_path / f"{kind}.zarr"
        for _ in range(2):
            problem = built(subspace=kind, features=where)
            np.testing.assert_allclose(problem.evaluate(MASKS), expected, atol=1e-12)
            assert problem.notes["estimator"]["features"]["on_disk"]
    built(features=str(path))
    with pytest.raises(ValueError, match=r"holds features of something else: rng \("):
        built(features=path, rng=1)
    with pytest.raises(ValueError, match=r"W0 \("):
        built(features=path, W0=mlp(seed=4).state_dict())
    with pytest.raises(ValueError, match=r"subspace \("):
        built(features=path, dim=13)
    with pytest.raises(ValueError, match=r"'targets\.val'.*examples \("):
        Linearized(mlp(), loaders(), {"val": loaders(seed=8)["t0"]}, weight_decay=0.05, dim=12, features=path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match="is a folder of something else; name a new one"):
        built(features=tmp_path / "mine")


class Ended(Exception):
    pass


class Dying(nn.Module):
    """Ends after so many calls."""

    def __init__(self):
        super().__init__()
        self.inner, self.left, self.seen = mlp(), 10**9, 0

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise Ended
        self.seen += len(x)
        return self.inner(x)


@pytest.mark.parametrize("kind", ["sparse", "gaussian", "gauss-newton"])
def test_an_interrupted_computation_goes_on_where_it_stopped(kind, tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    from interplay.gradients.folder import Folder

    network, examples, loss = collected(Dying(), n=300)
    assert len(examples.batches) == 6
    first = basis(kind, network, examples, loss, 8, np.random.default_rng(0))
    expected = features(network, examples, first, mode="forward").phi
    made = []

    def make():
        made.append(kind)
        return basis(kind, network, examples, loss, 8, np.random.default_rng(0))

    def run():
        folder = Folder(tmp_path / "f.zarr", {"seed": 0})
        return linear_model(network, examples, {}, loss, make, mode="forward", folder=folder, data={"tasks": "same"})

    def die(*a):
        raise Ended

    with monkeypatch.context() as patched:
        calls = []
        whole = Network.push_rows

        def push(self, x, V):
            calls.append(len(x))
            if len(calls) > 3 and kind != "never":
                raise Ended
            return whole(self, x, V)

        if kind == "gauss-newton":
            run_basis = Folder(tmp_path / "f.zarr", {"seed": 0}).basis(make)
            np.testing.assert_array_equal(run_basis.dense(), first.dense())
        patched.setattr(Network, "push_rows", push)
        with pytest.raises(Ended):
            run()
    with monkeypatch.context() as patched:
        again = []
        whole = Network.push_rows
        patched.setattr(Network, "push_rows", lambda self, x, V: again.append(len(x)) or whole(self, x, V))
        found = run()
    assert again == [len(x) for x in examples.batches[3:]]
    np.testing.assert_allclose(found.train.phi, expected, atol=1e-12)
    assert made.count(kind) == (1 if kind == "gauss-newton" else 2)


def test_features_larger_than_memory_are_mapped(tmp_path):
    pytest.importorskip("zarr")
    from interplay.gradients.folder import Folder

    network, examples, loss = collected()
    make = lambda: basis("gaussian", network, examples, loss, 8, np.random.default_rng(0))
    expected = linear_model(network, examples, {}, loss, make)
    folder = Folder(tmp_path / "f.zarr", {"seed": 0}, limit=0)
    mapped = linear_model(network, examples, {}, loss, make, folder=folder)
    np.testing.assert_allclose(mapped.train.phi, expected.train.phi, atol=1e-12)
    np.testing.assert_allclose(mapped.H, expected.H, atol=1e-12)
    assert (tmp_path / "f.zarr" / "tasks.mapped").stat().st_size == expected.train.phi.numel() * 8


def test_folders_say_when_zarr_is_missing(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"pip install 'interplay\[zarr\]'"):
        built(features=tmp_path / "f.zarr")


class Branching(nn.Module):
    """A branch for each example, by a number computed from it: neither vmap over examples nor a graph can take it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = mlp(0), mlp(1)

    def forward(self, x):
        return torch.cat([(self.a if r.sum().item() > 0 else self.b)(r[None]) for r in x])


def test_linearized_of_a_branching_model_equals_that_of_its_written_out_form():
    class WrittenOut(Branching):
        def forward(self, x):
            return torch.where(x.sum(1, keepdim=True) > 0, self.a(x), self.b(x))

    targets = {"val": loaders(seed=9)["t0"]}
    torch.manual_seed(0)
    models = Branching(), WrittenOut()
    found = [
        Linearized(m, loaders(), targets, weight_decay=0.05, dim=12, subspace="sparse", mode="reverse") for m in models
    ]
    np.testing.assert_allclose(found[0].evaluate(MASKS), found[1].evaluate(MASKS), atol=1e-9)
    assert found[0].network.ways["rows"] == "plain autograd, example by example"
    assert any("gradients per example is computed by plain autograd" in w for w in found[0].warnings)
    assert found[0].notes["estimator"]["features"]["way"] == found[0].network.ways["rows"]


def test_linearized_of_parameters_in_two_precisions():
    torch.manual_seed(0)

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(6, 9).bfloat16(), nn.Linear(9, 4)

        def forward(self, x):
            return self.head(self.body(x.bfloat16()).float().tanh())

    problem = Linearized(
        Mixed(), loaders(dtype=torch.float32), {"val": loaders(dtype=torch.float32)["t0"]}, weight_decay=0.05, dim=12
    )
    assert problem.network.W0.dtype == torch.float32
    assert np.isfinite(problem.evaluate(MASKS)).all()


def test_linearized_of_a_transformers_classifier_with_inputs_by_name():
    transformers = pytest.importorskip("transformers")
    from torch.utils.data import DataLoader

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=9, num_labels=3
    )
    model = transformers.BertForSequenceClassification(config)

    def loader(n):
        rows = [
            ({"input_ids": torch.randint(0, 13, (5,)), "attention_mask": torch.ones(5, dtype=torch.long)}, i % 3)
            for i in range(n)
        ]
        return DataLoader(rows, batch_size=4)

    problem = Linearized(
        model, {"a": loader(6), "b": loader(5)}, {"val": loader(4)}, weight_decay=0.1, dim=6, parameters="!*embeddings*"
    )
    assert np.isfinite(problem.evaluate(np.array([[1, 1], [1, 0]]))).all()
    assert not any("embeddings" in name for name in problem.network.names)


def test_a_way_that_fails_in_the_middle_does_not_change_the_mode():
    class Late(nn.Module):
        """Forward mode fails on the batch that holds the mark."""

        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def forward(self, x):
            out = self.inner(x)
            return OldIdentity.apply(out) if (x == 77).any() else out

    class OldIdentity(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return g

    network, examples, _ = collected(Late(), n=300)
    R = Drawn("gaussian", network.size, 40, 3, network.W0, memory=0)
    network.memory = 2**14
    expected = features(network, examples, R, mode="reverse").phi
    examples.batches[3][5, 0] = 77
    found = features(network, examples, R, mode="auto").phi
    assert network.ways["push"] == "one backward pass per output"
    kept = [i for i in range(examples.n) if not any(i == r.start + 5 for _, r in list(examples.slices())[3:4])]
    np.testing.assert_allclose(found[kept], expected[kept], atol=1e-9)
