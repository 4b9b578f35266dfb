import subprocess
import sys
import zlib

import numpy as np
import pytest

from interplay import evaluate, evaluators
from interplay.evaluators import Evaluator
from interplay.problems import games
from tests.evaluators import Additive

MASKS = np.array([[1, 1], [0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((2, 3)), r"must be \(m, 2\)"),
        (np.ones(2), r"must be \(m, 2\)"),
        (np.ones((0, 2)), "m >= 1"),
        ([[1, np.nan]], r"masks\[0\] has nan for task 'b'"),
        ([["on", "off"]], "cannot be read"),
    ],
)
def test_bad_masks_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        evaluate(Additive(tasks=("a", "b")), masks)


@pytest.mark.parametrize(
    ("seeds", "error"),
    [(0, ValueError), ([], ValueError), ([1, 1], ValueError), ([-1], ValueError), ([0.5], TypeError)],
)
def test_bad_seeds_are_refused(seeds, error):
    with pytest.raises(error, match="seeds"):
        evaluate(Additive(tasks=("a", "b")), MASKS, seeds=seeds)


def test_what_is_no_evaluator_is_told_what_it_lacks():
    with pytest.raises(TypeError, match="lacks tasks, targets, fidelity, evaluate"):
        evaluate(np.random.default_rng(0), MASKS)  # type: ignore[arg-type]


def test_games_follow_the_protocol():
    assert isinstance(games.additive(0), Evaluator)
    assert evaluate(games.additive(0), np.ones((1, 20)), seeds=2).m == 2


def test_torch_is_imported_only_when_used():
    code = (
        "import sys, interplay.evaluators as e, interplay.problems.digits, interplay.problems.games;"
        "assert 'torch' not in sys.modules; assert 'BatchedRetrain' in dir(e)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        evaluators.Nothing  # noqa: B018


# ---------------------------------------------------------------- BatchedRetrain


@pytest.fixture
def small(rng):
    """Three sources of two-dimensional blobs, a linear classifier, one target."""
    torch = pytest.importorskip("torch")

    def blob(n):
        y = rng.integers(0, 3, n)
        x = np.eye(3)[y] @ rng.normal(size=(3, 4)) * 2 + rng.normal(size=(n, 4))
        return x.astype(np.float32), y

    def model(seed):
        generator = torch.Generator().manual_seed(seed)
        mlp = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        for p in mlp.parameters():
            p.data = 0.5 * torch.randn(p.shape, generator=generator)
        return mlp

    sources = {"a": blob(20), "b": blob(15), "c": blob(10)}
    return model, sources, {"loss": blob(40), "loss/b": blob(12)}


def one_by_one(small, mask, seed, steps=40, lr=0.03, weight_decay=0.01, batch_size=None):
    """Train a single model as its user would, example by example weights and torch's Adam."""
    import torch
    from torch.nn.functional import cross_entropy

    model, sources, targets = small
    net = model(seed)
    X = torch.from_numpy(np.concatenate([x for x, _ in sources.values()]))
    y = torch.from_numpy(np.concatenate([y for _, y in sources.values()]))
    weight = torch.from_numpy(np.repeat(mask, [len(y) for _, y in sources.values()])).float()
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.9, 0.99))
    n = batch_size or len(y)
    rng, rows = np.random.default_rng([48, seed]), np.arange(len(y))
    for step in range(steps):
        if batch_size is not None and step % (len(y) // n) == 0:
            order = rng.permutation(len(y))
        if batch_size is not None:
            rows = order[step % (len(y) // n) * n :][:n]
        optimiser.param_groups[0]["lr"] = lr * 0.5 * (1 + np.cos(np.pi * step / steps))
        optimiser.zero_grad()
        decay = sum(p.square().sum() for p in net.parameters())
        losses = cross_entropy(net(X[rows]), y[rows], reduction="none")
        loss = (losses * weight[rows]).sum() / n + weight_decay / 2 * decay
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return [cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y)).item() for x, y in targets.values()]


RECIPE = {"steps": 40, "lr": 0.03, "weight_decay": 0.01}
DESIGN = np.array([[1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0.5, 2.0, 0]])


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("batch_size", [None, 9])
def test_stacked_training_equals_training_one_by_one(small, coupled, batch_size):
    trainer = evaluators.BatchedRetrain(*small, **RECIPE, stack=3, coupled=coupled, batch_size=batch_size)
    seeds = np.array([0, 1, 0, 1, 0])
    own = [
        seed if coupled else zlib.crc32(mask.tobytes(), seed) for mask, seed in zip(DESIGN, seeds.tolist(), strict=True)
    ]
    alone = [one_by_one(small, mask, seed, batch_size=batch_size) for mask, seed in zip(DESIGN, own, strict=True)]
    np.testing.assert_allclose(trainer.evaluate(DESIGN, seeds), alone, atol=2e-5)


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("batch_size", [None, 9])
def test_a_run_depends_on_mask_and_seed_alone(small, coupled, batch_size):
    trainer = evaluators.BatchedRetrain(*small, **RECIPE, coupled=coupled, batch_size=batch_size)
    seeds = np.array([4, 4, 5, 5, 5])
    together = trainer.evaluate(DESIGN, seeds)
    apart = [trainer.evaluate(DESIGN[i : i + 1], seeds[i : i + 1])[0] for i in (4, 3, 2, 1, 0)]
    np.testing.assert_allclose(together, apart[::-1], atol=2e-5)
    assert not np.allclose(together, trainer.evaluate(DESIGN, seeds + 1), atol=1e-4)


def test_coupled_runs_share_their_start_and_uncoupled_do_not(small):
    for coupled in (True, False):
        trainer = evaluators.BatchedRetrain(*small, steps=1, lr=1e-9, coupled=coupled)
        start = trainer.evaluate(DESIGN[:3], np.zeros(3))
        assert np.allclose(start, start[0], atol=1e-5) == coupled
        assert trainer.notes["coupled"] is coupled


def test_absent_sources_leave_no_trace_in_minibatches(small):
    """With its examples dropped, labels of an absent source may be anything."""
    model, sources, targets = small
    spoilt = sources | {"c": (sources["c"][0] + 9, (sources["c"][1] + 1) % 3)}
    mask = np.array([[1, 1, 0]])
    a, b = (
        evaluators.BatchedRetrain(model, s, targets, **RECIPE, batch_size=9).evaluate(mask, np.zeros(1))
        for s in (sources, spoilt)
    )
    np.testing.assert_array_equal(a, b)


def test_training_converges_and_says_so(small):
    trainer = evaluators.BatchedRetrain(*small, steps=1500, lr=0.03, weight_decay=0.02)
    runs = evaluate(trainer, DESIGN[:2])
    assert runs.notes["training"]["gradient_norm"] < 1e-3
    assert runs.notes["absent_tasks"] == "fixed_steps"
    assert set(runs.fidelity) == {"retrained"}


def test_lbfgs_reaches_the_optimum_that_adam_approaches(small):
    import torch

    def convex(seed):
        return torch.nn.Linear(4, 3)

    problem, seeds = (convex, *small[1:]), np.zeros(len(DESIGN), int)
    optimum = evaluators.BatchedRetrain(*problem, weight_decay=0.05, optimiser="lbfgs", steps=500, tolerance=1e-6)
    adam = evaluators.BatchedRetrain(*problem, weight_decay=0.05, steps=1500, lr=0.03)
    np.testing.assert_allclose(optimum.evaluate(DESIGN, seeds), adam.evaluate(DESIGN, seeds), atol=2e-3)
    training = optimum.notes["training"]
    assert training["optimiser"] == "lbfgs"
    assert training["gradient_norm"] <= 1e-6
    with pytest.raises(ValueError, match="'lbfgs' with batch_size=None"):
        evaluators.BatchedRetrain(*small, optimiser="lbfgs", batch_size=5)


def test_stacked_lbfgs_agrees_with_scipy():
    torch = pytest.importorskip("torch")
    from scipy.optimize import minimize, rosen, rosen_der

    from interplay.evaluators.lbfgs import minimise

    def rosenbrock(W, rows):
        return tuple(torch.from_numpy(np.array([f(w) for w in W.numpy()])) for f in (rosen, rosen_der))

    start = np.array([[-1.2, 1.0, 0.5], [3.0, -2.0, 1.0], [1.0, 1.0, 1.0]])
    W, norms = minimise(rosenbrock, torch.from_numpy(start), steps=300, tolerance=1e-8)
    assert (norms < 1e-8).all()
    for w, begin in zip(W.numpy(), start, strict=True):
        np.testing.assert_allclose(w, minimize(rosen, begin, jac=rosen_der, tol=1e-12).x, atol=1e-5)


def test_lbfgs_stops_where_nothing_falls():
    torch = pytest.importorskip("torch")
    from interplay.evaluators.lbfgs import minimise

    def wrong_gradient(W, rows):
        return W.square().sum(1), -2 * W

    start = torch.ones(2, 3, dtype=torch.float64)
    W, norms = minimise(wrong_gradient, start, steps=50, tolerance=1e-8)
    np.testing.assert_array_equal(W, start)
    assert (norms > 1).all()


def test_given_weights_are_the_start(small):
    model, *_ = small
    from_seed = evaluators.BatchedRetrain(*small, **RECIPE).evaluate(DESIGN[:1], np.array([7]))
    for initial in (model(7), model(7).state_dict()):
        trainer = evaluators.BatchedRetrain(*small, **RECIPE, initial=initial)
        np.testing.assert_allclose(trainer.evaluate(DESIGN[:1], np.array([0])), from_seed, atol=1e-6)
    assert trainer.notes["training"]["from"] == "given weights"


def test_frozen_parameters_stay(small):
    model, sources, targets = small

    def frozen(seed):
        mlp = model(seed)
        mlp[0].requires_grad_(False)
        return mlp

    trainer = evaluators.BatchedRetrain(frozen, sources, targets, **RECIPE)
    state = trainer.train(DESIGN[:2], np.zeros(2))
    assert (state["0.weight"] == model(0)[0].weight).all()
    assert not (state["2.weight"] == model(0)[2].weight).any()
    with pytest.raises(ValueError, match="no trainable parameter"):
        evaluators.BatchedRetrain(lambda seed: model(seed).requires_grad_(False), sources, targets).train(
            DESIGN[:1], np.zeros(1)
        )


def test_loaders_are_as_good_as_arrays(small):
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model, sources, targets = small
    loaders = {
        k: DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=7)
        for k, (x, y) in sources.items()
    }
    values = [
        evaluators.BatchedRetrain(model, s, targets, **RECIPE).evaluate(DESIGN, np.zeros(5)) for s in (sources, loaders)
    ]
    np.testing.assert_array_equal(*values)


def test_batched_retrain_refuses_bad_input(small):
    model, sources, targets = small
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, int))
    with pytest.raises(ValueError, match="at least one"):
        evaluators.BatchedRetrain(model, {}, targets)
    with pytest.raises(ValueError, match=r"sources\['c'\] is empty"):
        evaluators.BatchedRetrain(model, sources | {"c": empty}, targets)
    with pytest.raises(ValueError, match="20 examples and 3 labels"):
        evaluators.BatchedRetrain(model, sources | {"a": (sources["a"][0], np.zeros(3))}, targets)
    with pytest.raises(ValueError, match="steps is 0"):
        evaluators.BatchedRetrain(model, sources, targets, steps=0)
    with pytest.raises(ValueError, match="batch_size is 99"):
        evaluators.BatchedRetrain(model, sources, targets, batch_size=99)
    trainer = evaluators.BatchedRetrain(model, sources, targets)
    with pytest.raises(ValueError, match=r"must be \(b, 3\)"):
        trainer.evaluate(np.ones((1, 2)), np.zeros(1))
    with pytest.raises(ValueError, match=r"must be \(1,\)"):
        trainer.evaluate(np.ones((1, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="negative"):
        trainer.evaluate(-np.ones((1, 3)), np.zeros(1))


def test_few_steps_from_given_weights_are_a_fidelity_of_their_own(small):
    model, *_ = small
    W0 = model(0)
    W0.load_state_dict(
        {name: p[0] for name, p in evaluators.BatchedRetrain(*small, **RECIPE).train(np.ones((1, 3)), [0]).items()}
    )
    few = evaluators.BatchedRetrain(*small, initial=W0, steps=5, lr=0.01, fidelity="few-steps")
    assert few.fidelity == "few-steps"
    start = evaluators.BatchedRetrain(*small, initial=W0, steps=1, lr=1e-12).evaluate(DESIGN, np.zeros(5))
    moved = np.abs(few.evaluate(DESIGN, np.zeros(5)) - start)
    assert (moved > 1e-6).any(axis=1).all()
    assert moved.max() < 0.5
    assert np.array_equal(few.evaluate(DESIGN, np.zeros(5)), few.evaluate(DESIGN, np.ones(5)))  # full batch, no seed


def test_a_diverged_row_spoils_no_other(small):
    spoilt = np.array([[1, 1, 1], [1e300, 1, 1], [0, 1, 1]])
    for options in ({}, {"batch_size": 9}, {"optimiser": "lbfgs", "steps": 5}):
        trainer = evaluators.BatchedRetrain(*small, **{**RECIPE, **options})
        values = trainer.evaluate(spoilt, np.zeros(3))
        assert np.isfinite(values).all(axis=1).tolist() == [True, False, True]
        np.testing.assert_allclose(values[[0, 2]], trainer.evaluate(spoilt[[0, 2]], np.zeros(2)), atol=2e-5)
        assert np.isfinite(trainer.notes["training"]["gradient_norm"])


def test_the_gradient_norm_is_the_largest_of_all_trainings(small):
    trainer, norms = evaluators.BatchedRetrain(*small, steps=5), []
    assert "gradient_norm" not in trainer.notes["training"]
    for mask in DESIGN:
        trainer.evaluate(mask[None], np.zeros(1))
        norms.append(trainer.notes["training"]["gradient_norm"])
    alone = [evaluators.BatchedRetrain(*small, steps=5) for _ in DESIGN]
    for one, mask in zip(alone, DESIGN, strict=True):
        one.evaluate(mask[None], np.zeros(1))
    own = [one.notes["training"]["gradient_norm"] for one in alone]
    np.testing.assert_allclose(norms, np.maximum.accumulate(own), rtol=1e-4)


def test_a_stack_is_what_is_handed_over_and_no_part_of_the_fingerprint(small):
    trainer = evaluators.BatchedRetrain(*small, stack=7)
    assert trainer.batch == 7
    assert trainer.fingerprint() == evaluators.BatchedRetrain(*small, stack=3).fingerprint()


def test_the_fingerprint_covers_recipe_weights_and_data(small):
    model, sources, targets = small
    base = evaluators.BatchedRetrain(*small).fingerprint()

    def differing(model=model, sources=sources, targets=targets, **options):
        found = evaluators.BatchedRetrain(model, sources, targets, **options).fingerprint()
        return {key for key in base | found if base.get(key) != found.get(key)}

    def other_layers(seed):
        mlp = model(seed)
        mlp[1] = type(mlp[1]).__mro__[1]()  # a module that does nothing
        return mlp

    x, y = sources["b"]
    assert not differing()
    assert {"sources.a", "targets.loss/b", "lr", "steps", "coupled"} < set(base)
    assert differing(lr=0.1, coupled=False, batch_size=9) == {"lr", "coupled", "batch_size"}
    assert differing(optimiser="lbfgs") == {"optimiser", "lr", "tolerance"}
    assert differing(sources=sources | {"b": (x + 1, y)}) == {"sources.b"}
    assert differing(sources=sources | {"b": (x, (y + 1) % 3)}) == {"sources.b"}
    assert differing(targets=targets | {"loss": (x, y)}) == {"targets.loss"}
    assert differing(model=lambda seed: model(seed + 1)) == {"initial weights"}
    assert differing(model=other_layers) == {"model"}
    assert differing(initial=model(3)) == {"initial weights", "from"}
    trained = evaluators.BatchedRetrain(*small, steps=3)
    before = trained.fingerprint()
    trained.evaluate(DESIGN, np.zeros(5))
    assert trained.fingerprint() == before


def test_a_model_that_forgets_its_seed_is_seeded_all_the_same(small):
    import torch

    trainer = evaluators.BatchedRetrain(lambda seed: torch.nn.Linear(4, 3), *small[1:], steps=2)
    state = torch.get_rng_state()
    first = trainer.evaluate(DESIGN, np.zeros(5))
    torch.rand(3)
    np.testing.assert_array_equal(first, trainer.evaluate(DESIGN, np.zeros(5)))
    assert not np.array_equal(first, trainer.evaluate(DESIGN, np.ones(5)))
    torch.set_rng_state(state)


def test_random_layers_and_batch_statistics_are_refused(small):
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 1, dropout=0.1, batch_first=True)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0])

    def evaluate_with(*layers):
        net = nn.Sequential(nn.Linear(4, 4), *layers, nn.Linear(4, 3))
        trainer = evaluators.BatchedRetrain(lambda seed: net, *small[1:], steps=2)
        return trainer.evaluate(DESIGN, np.zeros(5))

    with pytest.raises(ValueError, match=r"layer '1' \(Dropout\) drops units at random.*Set its probability to 0"):
        evaluate_with(nn.Dropout(0.5))
    with pytest.raises(ValueError, match=r"layer '1' \(BatchNorm1d\) normalises by its batch.*GroupNorm"):
        evaluate_with(nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match=r"\(BatchNorm1d\) normalises"):
        evaluate_with(nn.BatchNorm1d(4, track_running_stats=False).eval())
    with pytest.raises(ValueError, match=r"layer 'attention' \(MultiheadAttention\) drops"):
        evaluators.BatchedRetrain(lambda seed: Attention(), *small[1:]).fingerprint()
    for fine in (nn.Dropout(0.5).eval(), nn.Dropout(0.0), nn.BatchNorm1d(4).eval(), nn.GroupNorm(2, 4)):
        torch.manual_seed(0)
        assert np.isfinite(evaluate_with(fine)).all()


CHILD = """
import sys, cloudpickle, numpy as np
trainer, masks, seeds = cloudpickle.load(open(sys.argv[1], "rb"))
values = trainer.evaluate(masks, seeds)
cloudpickle.dump((values, trainer.fingerprint()), open(sys.argv[2], "wb"))
"""


def test_it_travels_to_another_process(small, tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")
    trainer, seeds = evaluators.BatchedRetrain(*small, **RECIPE, batch_size=9), np.arange(5)
    here = trainer.evaluate(DESIGN, seeds)  # used before it travels, too
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(cloudpickle.dumps((trainer, DESIGN, seeds)))
    subprocess.run([sys.executable, "-c", CHILD, str(sent), str(back)], check=True)
    values, fingerprint = cloudpickle.loads(back.read_bytes())
    np.testing.assert_allclose(values, here, atol=1e-6)
    assert fingerprint == trainer.fingerprint()


def test_weights_may_lie_in_a_file(small, tmp_path):
    import torch

    model, *_ = small
    torch.save(model(7).state_dict(), tmp_path / "W0.pt")
    given, read = (
        evaluators.BatchedRetrain(*small, **RECIPE, initial=start) for start in (model(7), tmp_path / "W0.pt")
    )
    np.testing.assert_array_equal(*(one.evaluate(DESIGN, np.zeros(5)) for one in (given, read)))
    assert given.fingerprint() == read.fingerprint()
