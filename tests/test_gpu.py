"""Devices: what is refused in words, and the same results on a card as on the CPU.

Trainings amplify rounding, so that short ones are compared; features and solved masks agree to float32.
"""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

import torch
from torch import nn

import interplay
from interplay.evaluators import BatchedRetrain, Finetune, Linearized, TorchRetrain
from interplay.evaluators.published import PublishedLinearized
from interplay.gradients import (
    LOSSES,
    SUBSPACES,
    ConvexLoss,
    Examples,
    Network,
    SoftBins,
    features,
    loss_named,
    random_bases,
)
from interplay.gradients.chunks import out_of_memory
from interplay.gradients.devices import allowance, checked, free, full_float32, home
from interplay.gradients.folder import Part
from interplay.gradients.random_bases import Drawn, Hashed
from interplay.problems.digits import Digits
from interplay.unrolled import Flatter, InRun, Metagradient, Optimiser, Replay

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA card")
CARD = torch.device("cuda", 0)
NONE = r"device is 'cuda' and this machine has no CUDA.*; use 'cpu'\."


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def without(monkeypatch):
    """A machine without CUDA, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("gpu", r"device is 'gpu', which names no device; use 'cpu', 'cuda', or 'cuda:1' for the second"),
        (1.5, r"device is '1\.5', which names no device"),
        ("meta", r"device is 'meta', which holds no numbers; load the model's weights"),
        ("mps", r"device is 'mps', which is not here or cannot compute in float64"),
        ("cuda", NONE),
        (torch.device("cuda", 1), r"device is 'cuda:1' and this machine has no CUDA"),
    ],
)
def test_a_device_that_is_not_there_is_refused(without, device, words):
    with pytest.raises(ValueError, match=words):
        checked(device)


def test_a_card_too_many_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"'cuda:7' and this machine has 2 cards; use 'cuda:0', 'cuda:1' or 'cpu'"):
        checked("cuda:7")


def test_every_evaluator_refuses_it(without):
    x, y = torch.randn(6, 4), torch.arange(6) % 3
    data, target = {"a": (x, y), "b": (x, y)}, {"val": (x, y)}
    for make in (
        lambda: Linearized(nn.Linear(4, 3), data, target, device="cuda"),
        lambda: PublishedLinearized(nn.Linear(4, 3), data, target, device="cuda"),
        lambda: TorchRetrain(nn.Linear(4, 3), data, target, steps=2, device="cuda"),
        lambda: BatchedRetrain(lambda seed: nn.Linear(4, 3), data, target, device="cuda"),
        lambda: Finetune("nowhere", {}, {}, steps=2, device="cuda"),
        lambda: Network(nn.Linear(4, 3), device="cuda"),
    ):
        with pytest.raises(ValueError, match=NONE):
            make()


def test_the_command_line_refuses_it(without, shell, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("peft", reason="peft is not installed")
    from tests import command_line, language

    language.write(tmp_path, language.sources(3, 10))
    own = ["problem", "instruct", "--store", "runs.db", "--sources", "*.jsonl", "--model", "nowhere"]
    command_line.refused(shell(*own, "--device", "cuda"), "device is 'cuda' and this machine has no CUDA")


@pytest.mark.parametrize(("size", "dim", "nonzeros"), [(300_000, 77, None), (900, 80, None), (50_000, 30, 2)])
def test_sums_by_place_are_those_of_the_places(monkeypatch, size, dim, nonzeros):
    R = Hashed(size, dim, 5, torch.empty(0, dtype=torch.float64), nonzeros=nonzeros)
    g = torch.from_numpy(np.random.default_rng(0).standard_normal((5, size)))
    expected, held = R.pull(g), R.bytes
    assert held == 8 * size * R.nonzeros
    R._sorted = [(rows, R._by_place(place)) for rows, _, place in R._hashes()]  # what is kept on a card
    for at_once in (2**28, 3 * R._sorted[0][1].numel()):
        monkeypatch.setattr(random_bases, "GATHERED", at_once)
        np.testing.assert_allclose(R.pull(g), expected, atol=1e-9)
        np.testing.assert_allclose(R.head(7).pull(g), expected[:, :7], atol=1e-9)


def test_a_model_on_several_devices_is_refused():
    there = [SimpleNamespace(device=torch.device(name)) for name in ("cpu", "cuda:0")]
    scattered = SimpleNamespace(parameters=lambda: there, buffers=list)
    with pytest.raises(ValueError, match=r"lies on several devices \(cpu, cuda:0\); pass device=, or move it to one"):
        home(scattered)
    assert home(nn.Linear(2, 2)) == home(nn.Identity()) == torch.device("cpu")


def test_the_memory_of_a_card_is_asked_of_the_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (7 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * 2**30)
    assert free(CARD) == 8 * 2**30
    assert allowance(CARD, 2**28) == 2**30
    assert allowance(CARD, 2**28, 2) == 4 * 2**30
    assert allowance(CARD, 2**31) == 2**31
    assert allowance(torch.device("cpu"), 123) == 123
    assert free(torch.device("cpu")) > 2**20
    whole = SimpleNamespace(shape=(2**10, 2**10, 2**11), chunks=(1,))
    part = object.__new__(Part)
    part._phi, part.dtype, part._limit = whole, torch.float64, 0
    with pytest.raises(MemoryError, match=r"features take 16\.0 GiB, and cuda:0 has 8\.0 free; pass features_dtype="):
        part.read(None, CARD)


def test_convolutions_keep_all_bits_unless_the_user_lets_products_drop_some(monkeypatch):
    flags, precision = torch.backends.cudnn, torch.get_float32_matmul_precision()
    before = flags.allow_tf32
    try:
        flags.allow_tf32 = True
        with full_float32():
            assert flags.allow_tf32 == (not torch.cuda.is_initialized())  # nothing is on a card: nothing is changed
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        with full_float32(), full_float32():
            assert not flags.allow_tf32
        assert flags.allow_tf32
        with pytest.raises(KeyError), full_float32():
            raise KeyError
        assert flags.allow_tf32
        torch.set_float32_matmul_precision("high")
        with full_float32():
            assert flags.allow_tf32
    finally:
        torch.set_float32_matmul_precision(precision)
        flags.allow_tf32 = before


def test_a_card_that_refuses_memory_to_its_libraries_is_out_of_memory():
    words = "CUDA error: {} when calling `cublasCreate(handle)`"
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert out_of_memory(RuntimeError(words.format("CUBLAS_STATUS_ALLOC_FAILED")))
    assert not out_of_memory(RuntimeError(words.format("CUBLAS_STATUS_EXECUTION_FAILED")))


# ---------------------------------------------------------------- a card beside the CPU


class Tied(nn.Module):
    """Attention over four tokens, with an embedding that is the head too."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 16)
        self.embedding.weight.data.mul_(0.3)  # not so sure of anything that its curvature is nothing but rounding
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)

    def forward(self, tokens):
        return self.block(self.embedding(tokens))[:, -1] @ self.embedding.weight.T


def mlp(seed=0, outputs=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, outputs))


def convolutions(seed=0):
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.GELU()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4))


def tied(seed=0):
    torch.manual_seed(seed)
    return Tied()


def data(model, n=24, seed=0):
    """Inputs and labels that suit a model."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape)).float()
    if isinstance(model, Tied):
        return torch.from_numpy(rng.integers(0, 12, (n, 4))), torch.from_numpy(rng.integers(0, 12, n))
    if isinstance(model[0], nn.Conv2d):
        return draw(n, 3, 16, 16), torch.from_numpy(rng.integers(0, 4, n))
    return draw(n, 6), torch.from_numpy(rng.integers(0, 3, n))


def sets(model, K=4):
    """Sources and targets."""
    sources = {f"t{k}": data(model, 20 + k, k) for k in range(K)}
    return sources, {name: data(model, 30, 50 + i) for i, name in enumerate(("val", "test"))}


MODELS = {"perceptron": mlp, "convolutions": convolutions, "tied attention": tied}
MASKS = (np.random.default_rng(3).random((12, 4)) < 0.7).astype(float)
SEEDS = np.arange(12) % 2


def gram(found):
    flat = found.flat.double().cpu()
    return flat @ flat.T


def apart(a, b):
    """Largest difference of two arrays, relative to the spread of the first over its rows."""
    return float(np.abs(a - b).max() / a.std(0).mean())


@needs_card
@pytest.mark.parametrize("kind", SUBSPACES)
@pytest.mark.parametrize("name", MODELS)
def test_features_and_estimates_are_those_of_the_cpu(name, kind):
    sources, targets = sets(MODELS[name]())
    found = [
        Linearized(MODELS[name](), sources, targets, weight_decay=1e-2, subspace=kind, dim=40, device=device)
        for device in ("cpu", "cuda")
    ]
    assert [one.network.device.type for one in found] == ["cpu", "cuda"]
    assert found[1]._train.phi.device == found[1].R.like.device == CARD
    a, b = (gram(one._train) for one in found)
    assert float((a - b).norm() / a.norm()) < 2e-4
    assert apart(*(one.evaluate(MASKS) for one in found)) < 2e-2
    assert found[0].fingerprint() == found[1].fingerprint()


@needs_card
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_both_modes_keep_all_bits_on_a_card(mode):
    sources, _ = sets(convolutions())
    exact = None
    for dtype, device, least in ((torch.float64, "cpu", None), (torch.float32, "cuda", 2e-6)):
        network = Network(convolutions().to(dtype), device=device)
        loaders = {k: (x.to(dtype), y) for k, (x, y) in sources.items()}
        examples = Examples.collect(network, loaders, loss_named("cross_entropy"), "loaders")
        R = Hashed(network.size, 30, 7, network.W0)
        phi = features(network, examples, R, mode=mode).phi.cpu()
        assert network.warnings == []
        exact = phi if exact is None else exact
        if least is not None:
            assert float((phi - exact).norm() / exact.norm()) < least


@needs_card
def test_the_users_precision_is_used():
    sources, _ = sets(convolutions())
    before = torch.get_float32_matmul_precision()
    found = []
    try:
        for precision in ("highest", "high"):
            torch.set_float32_matmul_precision(precision)
            network = Network(convolutions(), device="cuda")
            examples = Examples.collect(network, sources, loss_named("cross_entropy"), "loaders")
            found.append(features(network, examples, Hashed(network.size, 30, 7, network.W0), mode="reverse").phi)
    finally:
        torch.set_float32_matmul_precision(before)
    gap = float((found[0] - found[1]).norm() / found[0].norm())
    assert 1e-5 < gap < 1e-2


@needs_card
@pytest.mark.parametrize(
    "make", [lambda like: Hashed(3_000_000, 500, 2**62 + 5, like), lambda like: Hashed(900, 80, 1, like)]
)
def test_hashes_are_those_of_the_cpu(make):
    here, there = (make(torch.empty(0, device=device)) for device in ("cpu", "cuda"))
    g = torch.from_numpy(np.random.default_rng(0).standard_normal((3, here.size))).float()
    np.testing.assert_allclose(there.pull(g.cuda()).cpu(), here.pull(g), atol=2e-4 * (here.size / here.dim) ** 0.5)
    np.testing.assert_array_equal(there.gram().cpu(), here.gram())
    np.testing.assert_array_equal(there.columns(3, 9).cpu(), here.columns(3, 9))
    z = g[:, : here.dim]
    np.testing.assert_allclose(there.push(z.cuda()).cpu(), here.push(z), atol=1e-5)
    few = here.head(40), there.head(40)
    np.testing.assert_allclose(few[1].pull(g.cuda()).cpu(), few[0].pull(g), atol=2e-4 * (here.size / here.dim) ** 0.5)


@needs_card
@pytest.mark.parametrize("kind", ["gaussian", "rademacher"])
def test_random_entries_are_those_of_the_cpu(kind):
    R = [
        Drawn(kind, 70_000, 40, 5, torch.empty(0, device=device), memory=memory).orthonormalise()
        for device, memory in (("cpu", 2**30), ("cuda", 2**30), ("cuda", 0))
    ]
    g = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 70_000))).float()
    for one in R[1:]:
        np.testing.assert_allclose(one.pull(g.cuda()).cpu(), R[0].pull(g), atol=1e-4)


OUTPUTS = {"binary": 1, "log_odds": 1, "multi_label": 2, "squared": 2, "gaussian": 2, "soft_labels": 2}


@needs_card
@pytest.mark.parametrize("name", [*(n for n in LOSSES if n != "gaussian_natural"), "bins", "pinball"])
def test_every_loss_is_solved_on_a_card(name):
    C, rng = OUTPUTS.get(name, 4), np.random.default_rng(1)
    loss, n = name, 40
    y = rng.standard_normal((n, 2))
    if name == "bins":
        loss, y = SoftBins(4, low=-2.0, high=2.0), y[:, 0]
    elif name == "pinball":
        loss, y = ConvexLoss(lambda f, y: torch.nn.functional.softplus(f - y).sum(1)), np.repeat(y, 2, 1)
    elif name in ("binary", "log_odds"):
        y = (y[:, 0] > 0) * 1
    elif name == "multi_label":
        y = (y > 0) * 1.0
    elif name == "gaussian":
        y = np.stack([y, np.abs(y) + 0.5], -1)
    elif name == "soft_labels":
        y = np.exp(y) / np.exp(y).sum(1, keepdims=True)
    elif name == "cross_entropy":
        y = rng.integers(0, 4, n)
    x, y = torch.from_numpy(rng.standard_normal((n, 6))).float(), torch.from_numpy(y)
    sources, targets = {"a": (x[:20], y[:20]), "b": (x[20:], y[20:])}, {"val": (x, y)}
    masks = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    found = [
        Linearized(mlp(outputs=C), sources, targets, loss=loss, weight_decay=0.1, device=device).evaluate(masks)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)


@needs_card
def test_a_callable_metric_and_mixtures_and_a_chosen_dimension():
    sources, targets = sets(mlp())
    how = {"metric": lambda f, y: float((f.argmax(1) == y).float().mean()), "higher_is_better": True}
    how |= {"normalise": "mixture", "dim": "auto", "weight_decay": 1e-2}
    found = [Linearized(mlp(), sources, targets, device=device, **how) for device in ("cpu", "cuda")]
    shares = MASKS[:3] / MASKS[:3].sum(1, keepdims=True)
    assert found[0].dim == found[1].dim
    np.testing.assert_allclose(*(one.evaluate(shares) for one in found), atol=0.04)


@needs_card
def test_published_estimates_are_those_of_the_cpu():
    sources, targets = sets(mlp())
    truth = TorchRetrain(mlp(), sources, targets, steps=10, batch_size=16)

    retrained = interplay.evaluate(truth, MASKS[:6])
    how = {"dim": 20, "grid": (1e-3, 1e-2), "retrained": retrained}
    found = [PublishedLinearized(mlp(), sources, targets, device=device, **how) for device in ("cpu", "cuda")]
    assert found[0].lam == found[1].lam
    np.testing.assert_allclose(*(one.evaluate(MASKS) for one in found), rtol=2e-3)


@needs_card
def test_where_the_model_is_decides_where_nothing_is_said():
    sources, targets = sets(mlp())
    model = mlp().cuda()
    problem = Linearized(model, sources, targets, weight_decay=1e-2)
    course = TorchRetrain(model, sources, targets, steps=2, batch_size=8)
    assert problem.network.device == course.device == CARD
    assert Linearized(model, sources, targets, weight_decay=1e-2, device="cpu").network.device.type == "cpu"
    assert next(model.parameters()).device == CARD  # the user's model stays where it is
    there = TorchRetrain(mlp(), sources, targets, steps=2, batch_size=8, device="cuda")
    assert next(there.module(0).parameters()).device.type == "cpu"
    assert next(there.trained("all", 0).parameters()).device == CARD


@needs_card
def test_features_begun_on_the_cpu_are_finished_on_a_card(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    sources, targets = sets(mlp())
    for kind in ("data", "sparse", "gaussian"):
        how = {"weight_decay": 1e-2, "subspace": kind, "features": tmp_path / f"{kind}.zarr", "dim": 30}
        expected = Linearized(mlp(), sources, targets, device="cpu", **how).evaluate(MASKS)
        again = Linearized(mlp(), sources, targets, device="cuda", **how)
        assert again._train.phi.device == CARD
        assert apart(expected, again.evaluate(MASKS)) < 1e-4


@needs_card
def test_a_tile_that_the_card_refuses_is_halved():
    wide = nn.Sequential(nn.Linear(6, 4096), nn.Tanh(), nn.Linear(4096, 64))  # p = 291,000, C = 64
    x, y = torch.randn(300, 6), torch.arange(300) % 64
    network = Network(wide, device="cuda", memory=2**60)
    examples = Examples.collect(network, {"a": (x, y)}, loss_named("cross_entropy"), "loaders")
    R = Hashed(network.size, 64, 3, network.W0)
    expected = features(Network(wide, device="cuda", memory=2**26), examples, R, mode="reverse").phi.cpu()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 3 * 2**30) / total)
    try:
        torch.cuda.reset_peak_memory_stats()
        found = features(network, examples, R, mode="reverse").phi.cpu()
        assert network._chunks["rows"].halved > 0
        assert torch.cuda.max_memory_allocated() < 4 * 2**30
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert float((found - expected).norm() / expected.norm()) < 1e-5


# ---------------------------------------------------------------- trainings


def course(device, model=mlp, **how):
    sources, targets = sets(model())
    return TorchRetrain(model, sources, targets, **{"steps": 8, "batch_size": 16, "device": device, **how})


@needs_card
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("flatter", [None, Flatter("sam", 0.05), Flatter("noise", 0.01)])
def test_a_seed_is_the_same_training_on_both(name, flatter):
    both = [course(device, MODELS[name], flatter=flatter) for device in ("cpu", "cuda")]
    for seed in (0, 1):
        np.testing.assert_array_equal(both[1].initial(seed).cpu(), both[0].initial(seed))
        for a, b in zip(*(one.batches(MASKS[0], seed) for one in both), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
    assert apart(*(one.evaluate(MASKS, SEEDS) for one in both)) < 1e-2
    assert both[0].fingerprint() == both[1].fingerprint()


@needs_card
@pytest.mark.parametrize(
    "how", [{"batch_size": 16}, {}, {"optimiser": "lbfgs", "weight_decay": 0.05, "tolerance": 1e-4}]
)
def test_stacks_are_trained_alike(how):
    sources, targets = sets(mlp())
    both = [BatchedRetrain(mlp, sources, targets, steps=20, device=device, **how) for device in ("cpu", "cuda")]
    assert apart(*(one.evaluate(MASKS, SEEDS) for one in both)) < 1e-2
    state = both[1].train(MASKS[:2], SEEDS[:2])
    assert {value.device for value in state.values()} == {CARD}
    again = BatchedRetrain(mlp, sources, targets, steps=2, initial={k: v[0] for k, v in state.items()}, device="cuda")
    assert np.isfinite(again.evaluate(MASKS[:3], SEEDS[:3])).all()
    assert both[0].fingerprint() == both[1].fingerprint()


@needs_card
def test_a_problem_takes_a_device():
    problem = Digits(steps=10)
    masks = np.ones((2, problem.K))
    masks[1, 3] = 0
    here, there = (problem.retrain(device=device).evaluate(masks, np.zeros(2)) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there, here, rtol=1e-4)


def followers(one, react):
    W0 = one.train("all", 0)
    return {
        "in run": InRun(one, react=react),
        "real": InRun(one, react=react, targets="real"),
        "replay": Replay(one, W0.cpu(), react=react),
        "metagradient": Metagradient(one),
    }


@needs_card
@pytest.mark.parametrize(
    ("name", "react"), [("perceptron", None), ("convolutions", 2), ("tied attention", 3), ("tied attention", 0)]
)
@pytest.mark.parametrize("optimiser", [Optimiser("adamw", lr=1e-2), Optimiser("sgd", lr=0.1, momentum=0.9)])
def test_followed_trainings_are_those_of_the_cpu(name, react, optimiser):
    ways = [followers(course(device, MODELS[name], optimiser=optimiser), react) for device in ("cpu", "cuda")]
    for way in ways[0]:
        assert apart(*(both[way].evaluate(MASKS, SEEDS) for both in ways)) < 2e-2, way


@needs_card
def test_masks_beyond_memory_are_followed_in_several_passes():
    one = course("cuda")
    whole = InRun(one).evaluate(MASKS, SEEDS * 0)
    parts = InRun(one, memory=5 * 26 * one.size)
    assert parts.batch == 5
    np.testing.assert_allclose(parts.evaluate(MASKS, SEEDS * 0), whole, rtol=1e-5)


@pytest.fixture
def tuned():
    """A fine-tuning of a tiny language model on a device."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("peft", reason="peft is not installed")
    from tests import language

    def make(device, model=None, **how):
        given = {
            "steps": 6,
            "batch_size": 4,
            "lora": 2,
            "layers": 2,
            "lr": 1e-2,
            "tokenizer": language.tokenizer(),
            **how,
        }
        return Finetune(
            language.model() if model is None else model,
            language.sources(4),
            {"val": language.rows(90), "options": language.chosen(91)},
            device=device,
            **given,
        )

    return make


@needs_card
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"layers": None},
        {"lora": None, "layers": None, "parameters": ["*layers.2.*"]},
        {"lora": None, "layers": None, "parameters": ["*embed*"]},
        {"dtype": torch.bfloat16},
    ],
)
def test_fine_tuning_is_that_of_the_cpu(tuned, how):
    both = [tuned(device, **how) for device in ("cpu", "cuda")]
    np.testing.assert_array_equal(both[1].initial(3).cpu(), both[0].initial(3))
    assert both[1].initial(3).device == CARD
    most = 0.3 if "dtype" in how else 2e-2
    assert apart(*(one.evaluate(MASKS, SEEDS) for one in both)) < most
    assert both[0].fingerprint() == both[1].fingerprint()
    if "dtype" in how:
        return
    for make in (
        lambda one: InRun(one, react=2),
        lambda one: InRun(one, react=0),
        Metagradient,
        lambda one: Replay(one, one.train("all", 0)),
        lambda one: Linearized.from_finetune(one, one.train("all", 0), mu=0.1),
    ):
        assert apart(*(make(one).evaluate(MASKS, SEEDS) for one in both)) < 5e-2


@needs_card
def test_fine_tuning_travels_and_its_end_is_kept_and_measured_on_either(tuned, tmp_path):
    from interplay.evaluators.finetune import Trained

    one = tuned("cuda", cache=tmp_path / "states", metric={"val": "loss", "options": "accuracy"})
    end, real = one.train("all", 0), {"targets": "real"}
    assert end.W.device == CARD
    end.save(tmp_path / "W.safetensors")
    kept, here = Trained.load(tmp_path / "W.safetensors"), tuned("cpu", metric={"val": "loss", "options": "accuracy"})
    np.testing.assert_allclose(one.measure(kept), one.measure(end))
    np.testing.assert_allclose(here.measure(end), one.measure(end), rtol=1e-3)
    replayed = [Replay(one, W0, **real).evaluate(MASKS[:2], SEEDS[:2]) for W0 in (kept, end)]
    np.testing.assert_allclose(*replayed)
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_allclose(again.evaluate(MASKS[:2], SEEDS[:2]), one.evaluate(MASKS[:2], SEEDS[:2]), rtol=1e-5)
    assert tuned(None, copy.deepcopy(again.adapter.cut.inner).cuda()).device == CARD
