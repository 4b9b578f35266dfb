"""Every kind of module against finite differences: what torch.func cannot take goes another way, and says so."""

import copy

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from interplay.gradients import Network
from interplay.gradients.chunks import Chunk, in_tiles, out_of_memory
from interplay.gradients.products import PULLS, PUSHES


class Control(nn.Module):
    """Another branch for each half of the inputs, chosen by a number that depends on data and parameters."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return torch.stack([self.a(r).tanh() if self.a(r).sum().item() > 0 else self.b(r).sin() for r in x])


class InPlace(nn.Module):
    """Writes of a parameter's product into a buffer made on the way, and in-place activations."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = functional.elu_(self.a(x))
        out = torch.zeros(len(x), 3, dtype=x.dtype)
        out[:] = self.b(h)
        out += 0.1 * self.b(h) ** 2
        return out


class Tied(nn.Module):
    """Embedding and head share their weight, as in GPT-2."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.middle = nn.Linear(5, 5)
        self.head = nn.Linear(5, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(self.middle(self.embedding(x).mean(1)).tanh())


class Attention(nn.Module):
    """Fused attention."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 24), nn.Linear(8, 3)

    def forward(self, x):
        q, k, v = self.inner(x).reshape(len(x), -1, 2, 12).transpose(1, 2).split(4, -1)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(out.transpose(1, 2).flatten(2).mean(1))


class Encoder(nn.Module):
    """torch's own encoder layer, which has a fused path for inference."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.layer(x).mean(1))


class OldCube(torch.autograd.Function):
    """As of old: neither setup_context nor jvp."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3 / 3

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] ** 2


class OnceCube(OldCube):
    """Not even differentiable twice."""

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] ** 2


class WrongCube(torch.autograd.Function):
    """Its forward-mode derivative is wrong by a factor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3 / 3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] ** 2

    @staticmethod
    def jvp(ctx, t):
        return 2 * t * ctx.saved_tensors[0] ** 2


class Custom(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(4, 5), nn.Linear(5, 3), function

    def forward(self, x):
        return self.b(self.function.apply(self.a(x)))


class Wrapped(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


class Named(nn.Module):
    """Inputs by name, with one that has no rows."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, left, right, scale=None):
        return self.a(left).tanh() * self.b(right) * (1 if scale is None else scale)


class Counting(nn.Linear):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x).tanh()


def plain():
    return torch.randn(5, 4)


MODELS = {
    "mlp": (lambda: Wrapped(lambda f: f), plain, "forward mode"),
    "one logit": (lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), plain, "forward mode"),
    "control flow": (Control, plain, None),
    "in place": (InPlace, plain, None),
    "tied": (Tied, lambda: torch.randint(0, 7, (5, 3)), "forward mode"),
    "attention": (Attention, lambda: torch.randn(5, 6, 4), "forward mode"),
    "encoder": (Encoder, lambda: torch.randn(5, 6, 4), "forward mode"),
    "old function": (lambda: Custom(OldCube), plain, "twice backward"),
    "once differentiable": (lambda: Custom(OnceCube), plain, "one backward pass per output"),
    "wrong jvp": (lambda: Custom(WrongCube), plain, "twice backward"),
    "dict output": (lambda: Wrapped(lambda f: {"logits": f, "hidden": f}), plain, "forward mode"),
    "tuple output": (lambda: Wrapped(lambda f: (f, None)), plain, "forward mode"),
    "dict input": (
        Named,
        lambda: {"left": torch.randn(5, 4), "right": torch.randn(5, 2), "scale": torch.tensor(2.0)},
        "forward mode",
    ),
    "tuple input": (Named, lambda: (torch.randn(5, 4), torch.randn(5, 2)), "forward mode"),
    "batch norm": (lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)), plain, "forward mode"),
    "convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
        ),
        lambda: torch.randn(5, 1, 6, 6),
        "forward mode",
    ),
    "recurrent": (lambda: Recurrent(), lambda: torch.randn(5, 3, 4), None),
    "counting": (Counting, plain, None),
}


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


def built(case):
    make, inputs, way = MODELS[case]
    torch.manual_seed(0)
    x = inputs()
    double = lambda t: t.double() if t.is_floating_point() else t
    x = torch.utils._pytree.tree_map(double, x)
    network = Network(make().double())
    network.probe(x)
    return network, x, way


def finite_differences(network, x, V, h=1e-6):
    with torch.no_grad():
        f = lambda W: network.logits(W, x)
        return torch.stack([(f(network.W0 + h * v) - f(network.W0 - h * v)) / (2 * h) for v in V])


@pytest.mark.parametrize("case", MODELS)
def test_products_equal_finite_differences(case):
    network, x, way = built(case)
    V = torch.from_numpy(np.random.default_rng(0).standard_normal((4, network.size)))
    expected = finite_differences(network, x, V)
    moved = network.push(x, V.T)
    np.testing.assert_allclose(moved, expected, atol=1e-7)
    u = torch.from_numpy(np.random.default_rng(1).standard_normal(expected.shape[1:]))
    pulled = network.pull(x, torch.stack([u, 2 * u]))
    np.testing.assert_allclose(pulled @ V.T, torch.stack([1 * u, 2 * u]).flatten(1) @ expected.flatten(1).T, atol=1e-6)
    J = torch.zeros(*expected.shape[1:], network.size, dtype=torch.float64)

    def use(rows, outputs, tile):
        assert not J[rows, outputs].any()
        J[rows, outputs] = tile

    network.jacobian(x, J.shape[1], use)
    np.testing.assert_allclose((J @ V.T).permute(2, 0, 1), expected, atol=1e-7)
    assert set(network.ways) == {"push", "pull", "rows"}
    if way is not None:
        assert network.ways["push"] == way
    slow = [p for p, first in (("push", "forward mode"), ("pull", "reverse mode")) if network.ways[p] != first]
    assert all(any(network.ways[p] in w for w in network.warnings) for p in slow)


@pytest.mark.parametrize("push", PUSHES)
@pytest.mark.parametrize("pull", PULLS)
def test_every_way_gives_the_same(push, pull):
    network, x, _ = built("mlp")
    V = torch.from_numpy(np.random.default_rng(0).standard_normal((3, network.size)))
    U = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 5, 3)))
    f = network._function(x)
    expected, pulled = network.push(x, V.T), network.pull(x, U)
    np.testing.assert_allclose(PUSHES[push](f, network.W0, V), expected, atol=1e-12)
    np.testing.assert_allclose(PULLS[pull](f, network.W0, U), pulled, atol=1e-12)


def test_tiles_of_any_size_give_the_same():
    network, x, _ = built("mlp")
    V = torch.from_numpy(np.random.default_rng(0).standard_normal((network.size, 7)))
    U = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 5, 3)))
    whole = network.push(x, V), network.pull(x, U)
    small = Network(network.model, memory=1)
    assert small._chunk("push", 7) == Chunk(1, 1)
    np.testing.assert_allclose(small.push(x, V), whole[0], atol=1e-12)
    np.testing.assert_allclose(small.pull(x, U), whole[1], atol=1e-12)


def test_a_tile_is_not_wider_than_what_is_asked_for():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    x, size = torch.randn(9, 4), 19
    network = Network(model, memory=3 * 4 * size * 5)  # five gradients
    seen = []
    network.jacobian(x, 1, lambda rows, columns, J: seen.append(tuple(J.shape)))
    assert seen == [(5, 1, size), (4, 1, size)]
    network.probe(x)
    few, many = network._chunk("pull", 1), network._chunk("pull", 5)
    assert (few.columns, many.columns) == (1, 3)
    assert few.rows // 3 == many.rows


def test_tiles_are_halved_when_memory_is_refused_and_nothing_is_done_twice():
    done, refusals = [], []

    def compute(rows, columns):
        if (rows.stop - rows.start) * (columns.stop - columns.start) > 6:
            refusals.append((rows, columns))
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")
        done.extend((i, j) for i in range(rows.start, rows.stop) for j in range(columns.start, columns.stop))

    chunk = Chunk(8, 4)
    in_tiles(19, 7, chunk, compute)
    assert sorted(done) == [(i, j) for i in range(19) for j in range(7)]
    assert len(refusals) == chunk.halved == 3
    assert (chunk.rows, chunk.columns) == (4, 1)


def test_one_row_that_does_not_fit_is_said():
    def compute(rows, columns):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with pytest.raises(MemoryError, match=r"one example does not fit into memory even alone .*Choose fewer parameters"):
        in_tiles(4, 4, Chunk(4, 4), compute, "one example")
    with pytest.raises(RuntimeError, match="something else"):
        in_tiles(1, 1, Chunk(1, 1), lambda r, c: (_ for _ in ()).throw(RuntimeError("something else")))
    assert out_of_memory(MemoryError())


class Greedy(nn.Module):
    """Refuses, once, a batch of more than two rows."""

    def __init__(self):
        super().__init__()
        self.inner, self.armed, self.seen = nn.Linear(4, 3), False, []

    def forward(self, x):
        self.seen.append(len(x))
        if self.armed and len(x) > 2:
            self.armed = False
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(x).tanh()


def test_products_go_on_in_smaller_tiles_after_memory_was_refused():
    torch.manual_seed(0)
    x = torch.randn(8, 4).double()
    network = Network(Greedy().double())
    network.probe(x)
    V = torch.randn(network.size, 1, dtype=torch.float64)
    expected = network.push(x, V)
    model = network.model
    model.seen.clear()
    model.armed = True
    np.testing.assert_allclose(network.push(x, V), expected, atol=1e-12)
    assert model.seen == [8, 4, 4]  # the refused tile, and its halves
    assert network.ways["push"] == "forward mode"


def test_tied_parameters_count_once_under_any_of_their_names():
    network = built("tied")[0]
    assert network.names == ("embedding.weight", "middle.weight", "middle.bias")
    assert network.size == 35 + 30
    for pattern in ("head.*", "embedding.*", "*.weight"):
        assert "embedding.weight" in Network(Tied(), pattern).names
    assert Network(Tied(), "!head.weight").names == ("middle.weight", "middle.bias")


def test_gpt2_ties_its_head_and_returns_an_object():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lm = transformers.GPT2LMHeadModel(config)

        def forward(self, x):
            return self.lm(x).logits[:, -1]

    x = torch.randint(0, 11, (3, 5))
    network = Network(Last().double())
    network.probe(x)
    assert sum("wte" in n or "lm_head" in n for n in network.names) == 1
    assert network.size == sum(p.numel() for p in Last().parameters())
    V = torch.from_numpy(np.random.default_rng(0).standard_normal((2, network.size)))
    np.testing.assert_allclose(network.push(x, V.T), finite_differences(network, x, V), atol=1e-6)


def test_a_transformers_classifier_is_called_by_names_and_read_by_its_logits():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=9, num_labels=3
    )
    model = transformers.BertForSequenceClassification(config).double()
    x = {"input_ids": torch.randint(0, 13, (3, 5)), "attention_mask": torch.ones(3, 5, dtype=torch.long)}
    network = Network(model, ["classifier.*", "bert.pooler.*"])
    network.probe(x)
    V = torch.from_numpy(np.random.default_rng(0).standard_normal((2, network.size)))
    np.testing.assert_allclose(network.push(x, V.T), finite_differences(network, x, V), atol=1e-6)
    J = torch.zeros(3, 3, network.size, dtype=torch.float64)
    network.jacobian(x, 3, lambda rows, outputs, tile: J[rows, outputs].copy_(tile))
    np.testing.assert_allclose((J @ V.T).permute(2, 0, 1), network.push(x, V.T), atol=1e-9)


def test_batch_norm_is_frozen_and_the_model_is_left_alone():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    before = copy.deepcopy(model.state_dict())
    network = Network(model)
    network.probe(torch.randn(6, 4))
    assert "BatchNorm1d in training mode" in network.warnings[0]
    assert model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_calls_that_count_leave_the_buffers_alone():
    network, x, _ = built("counting")
    network.push(x, torch.eye(network.size, dtype=torch.float64))
    assert float(network.fixed["calls"]) == 0


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(functional.dropout(x, 0.5, training=True))


class OfTheBatch(nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


@pytest.mark.parametrize("kind", [Noisy, OfTheBatch])
def test_outputs_that_are_random_or_depend_on_the_batch_are_refused(kind):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="gives other logits for the same examples"):
        Network(kind(4, 3)).probe(torch.randn(6, 4))


def test_the_layer_that_fails_is_named():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(6, 3))
    with pytest.raises(ValueError, match=r"cannot be called on a batch.*in the layer 2 \(Linear\)"):
        Network(model).probe(torch.randn(6, 4))


def test_a_model_without_derivative_is_refused_with_the_remedy():
    class Detached(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match=r"gives no derivative.*no \.detach\(\)"):
        Network(Detached(4, 3)).probe(torch.randn(6, 4))

    class Hidden(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 3 * functional.linear(x, self.weight.detach())

    network = Network(Hidden(4, 3))
    network.probe(torch.randn(6, 4))
    assert "hidden from its derivative" in network.warnings[0]
    with pytest.raises(ValueError, match="rows of logits for a batch of 6"):
        Network(Wrapped(lambda f: f[:3])).probe(torch.randn(6, 4))
    with pytest.raises(ValueError, match=r"the model returns list.*\.logits"):
        Network(Wrapped(lambda f: [])).probe(torch.randn(6, 4))


def test_patterns_of_parameters():
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    assert Network(model, "!0.*").names == ("2.weight", "2.bias")
    assert Network(model, ["*.weight", "!2.*"]).names == ("0.weight",)
    with pytest.raises(ValueError, match=r"parameters='head\.\*' matches no trainable parameter; there are: 0\.weight"):
        Network(model, "head.*")
    with pytest.raises(ValueError, match=r"parameters='!head\.\*' matches no trainable parameter"):
        Network(model, "!head.*")
    with pytest.raises(ValueError, match="leaves no parameter"):
        Network(model, ["0.*", "!0.*"])
    model[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"'0\.weight' does not require a gradient"):
        Network(model, "0.*")


def test_weights_of_another_configuration_are_refused():
    make = lambda width: nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 4))
    torch.manual_seed(0)
    state = make(5).state_dict()
    network = Network(make(5), W0=state)
    np.testing.assert_array_equal(network.W0[:30], state["0.weight"].reshape(-1))
    with pytest.raises(ValueError, match=r"another configuration.*'0\.weight': \(5, 6\) in W0, \(7, 6\) in the model"):
        Network(make(7), W0=state)
    fewer = {n: t for n, t in state.items() if n != "2.bias"}
    with pytest.raises(ValueError, match=r"1 are not in W0, the first is '2\.bias'"):
        Network(make(5), W0=fewer)
    with pytest.raises(ValueError, match=r"1 are not in the model, the first is 'extra'"):
        Network(make(5), W0={**state, "extra": torch.zeros(1)})
    tied = Tied().state_dict()
    del tied["head.weight"]
    Network(Tied(), W0=tied)
