"""`TorchRetrain` against plain loops, its gradients and reactions against autograd, replayed runs against real ones."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from interplay import evaluate, masks  # noqa: E402
from interplay.evaluators import TorchRetrain  # noqa: E402
from interplay.evaluators.failures import EvaluationFailed  # noqa: E402
from interplay.unrolled.in_run import InRun  # noqa: E402
from interplay.unrolled.optimisers import Optimiser  # noqa: E402
from interplay.unrolled.training import Flatter  # noqa: E402

K, SIZE, WIDTH, CLASSES = 4, 6, 5, 3
cross_entropy = torch.nn.functional.cross_entropy


def data(n=SIZE, seed=0, labels="class"):
    """Four sources and two targets of a small problem in float64."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(WIDTH, CLASSES))

    def part(n, shift):
        X = rng.normal(size=(n, WIDTH)) + shift
        y = X @ A + 0.3 * rng.normal(size=(n, CLASSES))
        return X, y.argmax(1) if labels == "class" else y

    sources = {f"s{k}": part(n + k, rng.normal(size=WIDTH)) for k in range(K)}
    return sources, {"near": part(8, 0.0), "far": part(7, 0.5)}


def linear(seed):
    model = torch.nn.Linear(WIDTH, CLASSES).double()
    torch.nn.init.normal_(model.weight, std=0.3)
    return model


def deep(seed):
    model = torch.nn.Sequential(torch.nn.Linear(WIDTH, 7), torch.nn.Tanh(), torch.nn.Linear(7, CLASSES))
    return model.double()


class Attentive(torch.nn.Module):
    """Fused attention over the inputs as places."""

    def __init__(self):
        super().__init__()
        self.up, self.head = torch.nn.Linear(1, 12), torch.nn.Linear(WIDTH * 4, CLASSES)

    def forward(self, x):
        q, k, v = self.up(x[..., None])[:, None].chunk(3, -1)
        return self.head(torch.nn.functional.scaled_dot_product_attention(q, k, v).flatten(1))


ADAMW = Optimiser("adamw", lr=0.03, weight_decay=0.1, betas=(0.9, 0.99), schedule="cosine")
SGD = Optimiser("sgd", lr=0.1, weight_decay=0.02, momentum=0.7, schedule="linear", warmup=0.2)


def training(model=deep, *, labels="class", **options):
    recipe = {"steps": 9, "batch_size": 5, "optimiser": ADAMW, **options}
    if "epochs" in recipe:
        del recipe["steps"]
    return TorchRetrain(model, *data(labels=labels), **recipe)


def all_masks():
    return np.array([[int(b) for b in f"{i:0{K}b}"] for i in range(1, 2**K)], float)


def plain_loop(evaluator, weights, seed, optimiser, flatten=True):
    """What a user would write: a module, its own optimiser, a mean over the whole batch."""
    model = evaluator.module(seed).train()
    X = torch.cat([torch.as_tensor(x) for x, _ in data()[0].values()])
    y = torch.cat([torch.as_tensor(y) for _, y in data()[0].values()])
    group = np.repeat(np.arange(K), [len(x) for x, _ in data()[0].values()])
    steps = evaluator.schedule(seed).steps
    batches = [evaluator.schedule(seed).batch(t) for t in range(steps)]
    if evaluator.steps is None:
        row = np.concatenate(batches)
        row = row[weights[group[row]] > 0]
        batches = [row[i : i + 5] for i in range(0, len(row), 5)]
    if optimiser.name == "adamw":
        torchs = torch.optim.AdamW(model.parameters(), betas=optimiser.betas, weight_decay=optimiser.weight_decay)
    else:
        torchs = torch.optim.SGD(model.parameters(), lr=1.0, momentum=optimiser.momentum)
    for t, batch in enumerate(batches):
        rate = optimiser.rate(t, len(batches))
        torchs.param_groups[0]["lr"] = rate
        torchs.zero_grad()
        losses = cross_entropy(model(X[batch]), y[batch], reduction="none")
        (torch.as_tensor(weights[group[batch]]) * losses).sum().div(5).backward()
        if optimiser.name == "sgd":
            with torch.no_grad():
                for p in model.parameters():
                    p.mul_(1 - rate * optimiser.weight_decay)
        torchs.step()
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


@pytest.mark.parametrize("optimiser", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("length", [{"steps": 9}, {"epochs": 2.5}], ids=["steps", "epochs"])
@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 2, 0.5]], ids=["all", "some", "weights"])
def test_training_equals_a_plain_loop(optimiser, length, weights):
    evaluator = training(optimiser=optimiser, **length)
    weights = np.array(weights, float)
    W = evaluator.train(weights, seed=3).numpy()
    np.testing.assert_allclose(W, plain_loop(evaluator, weights, 3, optimiser), rtol=1e-9, atol=1e-12)


def test_epochs_shorten_the_training_and_steps_do_not():
    half = np.array([1, 1, 0, 0.0])
    for options, fixed in (({"steps": 9}, True), ({"epochs": 2}, False)):
        evaluator = training(**options)
        lengths = [len(evaluator.batches(s, 0)) for s in (np.ones(K), half)]
        assert (lengths[0] == lengths[1]) == fixed
        assert evaluator.notes["absent_tasks"] == ("fixed_steps" if fixed else "fixed_epochs")


def test_an_empty_batch_keeps_its_place():
    evaluator = training(batch_size=1)
    only = np.array([1, 0, 0, 0.0])
    sizes = [len(indices) for indices, _ in evaluator.batches(only, 0)]
    assert 0 in sizes
    np.testing.assert_allclose(evaluator.train(only).numpy(), _with_zeros(evaluator, only), rtol=1e-12)


def _with_zeros(evaluator, s):
    """Every example stays, with weight 0 where its task is absent."""
    W = evaluator.initial(0)
    state, schedule = evaluator.optimiser.start(W), evaluator.schedule(0)
    for t in range(schedule.steps):
        batch = schedule.part(t, s)
        g = evaluator.gradient(W, batch.indices, batch.weights / batch.batch_size)
        evaluator.optimiser.step(W, g, state, evaluator.optimiser.rate(t, schedule.steps))
    return W.numpy()


def test_masks_of_a_seed_share_everything_and_seeds_do_not():
    evaluator = training()
    one, two = np.array([1, 1, 0, 1.0]), np.ones(K)
    values = evaluator.evaluate(np.array([one, two, one]), np.array([0, 0, 1]))
    assert values.shape == (3, 2)
    assert not np.allclose(values[0], values[2])
    np.testing.assert_array_equal(values[0], evaluator.evaluate(one[None], np.array([0]))[0])
    runs = evaluate(evaluator, np.array([two, one]), seeds=2, progress=False)
    assert runs.notes["coupled"]
    assert runs.tasks == evaluator.tasks


def test_metrics_and_trained_modules():
    def worst(f, y):
        return cross_entropy(f, y, reduction="none").max()

    metric = {"near": "accuracy", "far": worst}
    evaluator = training(metric=metric, higher_is_better={"near": True, "far": False})
    X, y = (torch.as_tensor(part) for part in data()[1]["far"])
    model, W = evaluator.trained([1, 1, 1, 0]), evaluator.train([1, 1, 1, 0])
    near, far = evaluator.measure(W)
    assert far == pytest.approx(float(worst(model(X), y)))
    X, y = (torch.as_tensor(part) for part in data()[1]["near"])
    assert near == pytest.approx(float((model(X).argmax(1) == y).double().mean()))
    with pytest.raises(ValueError, match="metric of target 'near' is no loss, so it has no gradients"):
        list(evaluator.target_reactions(W, None))


def test_only_named_parameters_train():
    evaluator = training(parameters=["2.*"])
    before, after = evaluator.module(0), evaluator.trained(seed=0)
    assert torch.equal(before[0].weight, after[0].weight)
    assert not torch.equal(before[2].weight, after[2].weight)


def test_a_module_is_where_every_seed_starts():
    start = deep(0)
    evaluator = training(start)
    assert torch.equal(evaluator.initial(0), evaluator.initial(1))
    kept = [p.clone() for p in start.parameters()]
    evaluator.train()
    assert all(torch.equal(p, q) for p, q in zip(kept, start.parameters(), strict=True))


# ---------------------------------------------------------------- gradients for flatter minima


def _batch(evaluator):
    return np.arange(0, 12, 2), np.linspace(0.05, 0.3, 6)


def _autograd(evaluator, W, batch):
    indices, weights = batch
    leaf = W.clone().requires_grad_()
    f = evaluator.network.logits(leaf, evaluator._X[indices])
    losses = cross_entropy(f, evaluator._y[indices], reduction="none")
    return torch.autograd.grad((torch.as_tensor(weights) * losses).sum(), leaf)[0]


def test_gradients_against_autograd_and_the_formulas():
    evaluator = training()
    W, batch = evaluator.initial(1), _batch(None)
    g = _autograd(evaluator, W, batch)
    np.testing.assert_allclose(evaluator.gradient(W, *batch), g, rtol=1e-10, atol=1e-14)

    found = Flatter("sam", 0.05).gradient(evaluator.gradient, W, batch, None)
    expected = _autograd(evaluator, W + 0.05 * g / g.norm(), batch)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
    assert not np.allclose(found, g, rtol=1e-4)

    found = Flatter("noise", 0.02).gradient(evaluator.gradient, W, batch, torch.Generator().manual_seed(7))
    e = 0.02 * torch.randn(W.shape, generator=torch.Generator().manual_seed(7), dtype=W.dtype)
    expected = 0.5 * (_autograd(evaluator, W + e, batch) + _autograd(evaluator, W - e, batch))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("flatter", [Flatter("sam", 0.05), Flatter("noise", 0.02)], ids=["sam", "noise"])
def test_training_for_flatter_minima_is_coupled_and_said(flatter):
    evaluator = training(flatter=flatter)
    assert torch.equal(evaluator.train(), evaluator.train())
    assert not torch.equal(evaluator.train(), training().train())
    assert evaluator.notes["training"]["flatter"] == flatter.way
    with pytest.raises(ValueError, match="flatter minima, which cannot be followed"):
        InRun(evaluator)


def test_sam_stays_where_the_gradient_is_zero():
    still = Flatter("sam", 0.1).gradient(lambda W, i, w: torch.zeros_like(W), torch.ones(3), (np.arange(2),) * 2, None)
    assert torch.equal(still, torch.zeros(3))


# ---------------------------------------------------------------- reactions


def _losses(evaluator, W, indices):
    return evaluator.loss.value(evaluator.network.logits(W, evaluator._X[indices]), evaluator._y[indices])


@pytest.mark.parametrize("labels", ["class", "number"])
def test_reactions_are_gradients_and_rows_of_the_jacobian(labels):
    evaluator = training(labels=labels, loss="cross_entropy" if labels == "class" else "squared")
    W, indices = evaluator.initial(0), np.array([0, 3, 11, 20])
    found = evaluator.reactions(W, indices, None)
    gradients = torch.autograd.functional.jacobian(lambda V: _losses(evaluator, V, indices), W)
    J = torch.autograd.functional.jacobian(lambda V: evaluator.network.logits(V, evaluator._X[indices]), W)
    np.testing.assert_allclose(found.losses, _losses(evaluator, W, indices), rtol=1e-12)
    np.testing.assert_allclose(found.gradients, gradients, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(found.rows, J, rtol=1e-9, atol=1e-13)
    none = evaluator.reactions(W, indices, 0)
    assert none.rows.shape == (4, 0, len(W))
    np.testing.assert_allclose(none.gradients, gradients, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("react", [None, CLASSES - 1])
def test_reactions_of_a_linear_model_are_exact_far_away(react):
    evaluator = training(linear)
    W, indices = evaluator.initial(0), np.array([0, 3, 11, 20])
    moves = 0.7 * torch.randn(3, len(W), generator=torch.Generator().manual_seed(0), dtype=W.dtype)
    shares = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=W.dtype)
    found = evaluator.reactions(W, indices, react)
    for m, move in enumerate(moves):
        np.testing.assert_allclose(found.moved(moves)[m], _losses(evaluator, W + move, indices), rtol=1e-5)
        expected = evaluator.gradient(W + move, indices, shares[m].numpy())
        np.testing.assert_allclose(found.pull(moves, shares)[m], expected, rtol=1e-4, atol=1e-6)


def test_few_outcomes_react_less_than_all():
    evaluator = training(linear)
    W, indices = evaluator.initial(0), np.arange(20)
    move = 0.3 * torch.randn(1, len(W), generator=torch.Generator().manual_seed(0), dtype=W.dtype)
    real = _losses(evaluator, W + move[0], indices)
    errors = [float((evaluator.reactions(W, indices, R).moved(move)[0] - real).abs().mean()) for R in (0, 1, 2)]
    assert errors[0] > errors[1] > errors[2]


def test_outcomes_need_classes():
    evaluator = training(labels="number", loss="squared")
    with pytest.raises(ValueError, match="react is 1; loss='squared' has no outcomes to choose from: use None or 0"):
        evaluator.reactions(evaluator.initial(0), np.arange(2), 1)


@pytest.mark.parametrize("model", [deep, lambda seed: Attentive().double()], ids=["perceptron", "attention"])
def test_hessian_products_against_autograd(model):
    evaluator = training(model)
    W, (indices, weights) = evaluator.initial(0), _batch(None)
    vectors = torch.randn(2, len(W), generator=torch.Generator().manual_seed(0), dtype=W.dtype)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        H = torch.autograd.functional.hessian(
            lambda V: (torch.as_tensor(weights) * _losses(evaluator, V, indices)).sum(), W
        )
    np.testing.assert_allclose(evaluator.hessian_product(W, indices, weights, vectors), vectors @ H, atol=1e-10)


# ---------------------------------------------------------------- the run replayed


@pytest.mark.parametrize("optimiser", [ADAMW, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("targets", ["linear", "real"])
def test_in_run_is_real_retraining_where_the_model_is_linear(optimiser, loss, targets):
    labels = "class" if loss == "cross_entropy" else "number"
    evaluator = training(linear, labels=labels, loss=loss, optimiser=optimiser, steps=15)
    design = all_masks()
    seeds = np.arange(len(design)) % 2
    real = evaluator.evaluate(design, seeds)
    assert np.ptp(real[:, 0]) > 0.05
    np.testing.assert_allclose(InRun(evaluator, targets=targets).evaluate(design, seeds), real, rtol=1e-7)


def test_copies_are_the_retrained_parameters():
    evaluator = training(linear, steps=15)
    design = all_masks()
    W, copies = InRun(evaluator).follow(design, 4)
    np.testing.assert_allclose(W, evaluator.train(seed=4), rtol=1e-9, atol=1e-12)
    for s, copy in zip(design, copies, strict=True):
        np.testing.assert_allclose(copy, evaluator.train(s, seed=4), rtol=1e-7, atol=1e-10)


def test_without_reactions_contributions_are_summed():
    """Of gradient descent: W_s = W + sum_t rate_t sum of the gradients of what is absent."""
    evaluator = training(optimiser=Optimiser("sgd", lr=0.05, schedule="constant", warmup=0.0))
    design = all_masks()
    W, copies = InRun(evaluator, react=0).follow(design, 0)
    V, total = evaluator.initial(0), torch.zeros(K, len(W), dtype=W.dtype)
    for indices, weights in evaluator.batches(np.ones(K), 0):
        each = torch.stack([_autograd(evaluator, V, (indices[[i]], weights[[i]])) for i in range(len(indices))])
        total.index_add_(0, torch.as_tensor(evaluator.group[indices]), each)
        V = V - 0.05 * each.sum(0)
    np.testing.assert_allclose(W, V, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(copies - W, 0.05 * torch.as_tensor(1 - design) @ total, rtol=1e-7, atol=1e-12)


def test_in_run_ranks_masks_of_a_network():
    evaluator = training(steps=20)
    design = np.vstack([np.ones(K), masks.leave_one_out(K)[1:]])
    real = evaluator.evaluate(design, np.zeros(len(design), int))
    estimate = InRun(evaluator).evaluate(design, np.zeros(len(design), int))
    spread = np.abs(real - real.mean(0)).mean()
    assert np.abs(estimate - real).mean() < 0.3 * spread
    np.testing.assert_allclose(estimate[0], real[0], rtol=1e-7)


# ---------------------------------------------------------------- bad input


def test_bad_input_is_said():
    sources, targets = data()
    with pytest.raises(ValueError, match="must each hold at least one"):
        TorchRetrain(deep, {}, targets, steps=3, batch_size=2)
    with pytest.raises(ValueError, match="steps is None and epochs is None; give one of them"):
        TorchRetrain(deep, sources, targets, batch_size=2)
    with pytest.raises(ValueError, match=r"sources\['s1'\] is a list; pass a pair"):
        TorchRetrain(deep, {**sources, "s1": list(sources["s1"])}, targets, steps=3, batch_size=2)
    with pytest.raises(ValueError, match=r"targets\['far'\] has 3 inputs and 2 labels"):
        TorchRetrain(deep, sources, {"far": (np.ones((3, WIDTH)), np.zeros(2, int))}, steps=3, batch_size=2)
    with pytest.raises(ValueError, match="batch_size is 100, and there are"):
        TorchRetrain(deep, sources, targets, steps=3, batch_size=100)
    with pytest.raises(ValueError, match="metric of target 'near' is 'speed'"):
        training(metric="speed")
    with pytest.raises(ValueError, match="for a number of epochs, so that masks differ in their steps"):
        InRun(training(epochs=1))
    with pytest.raises(ValueError, match=r"mask has shape \(3,\); it must be \(4,\)"):
        training().train([1, 1, 1])


def test_a_training_that_diverges_is_said():
    evaluator = training(linear, labels="number", loss="squared", optimiser=Optimiser("sgd", lr=1e200), steps=20)
    with pytest.raises(EvaluationFailed, match="diverged: its parameters are not finite; lower lr"):
        evaluator.train()


def test_the_fingerprint_tells_recipes_models_and_data_apart():
    base = training().fingerprint()
    others = [
        training(steps=10),
        training(optimiser=SGD),
        training(flatter=Flatter("sam", 0.1)),
        training(linear),
        training(parameters="0.*"),
        training(metric="accuracy"),
        training(metric=lambda f, y: float(f.mean()), higher_is_better=False),
        training(metric=lambda f, y: float(f.max()), higher_is_better=False),
    ]
    prints = [base, *(other.fingerprint() for other in others)]
    assert all(one != other for i, one in enumerate(prints) for other in prints[:i])
    assert not any(key.startswith("metric") for key in base)  # stores of mean losses are known as before
    assert training().fingerprint() == base
