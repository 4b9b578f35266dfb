"""The vision, modular and text problems: what is in them, drawn again the same, and trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from interplay.gradients import Network  # noqa: E402
from interplay.problems.modular import Modular  # noqa: E402
from interplay.problems.vision import CLASSES, TARGETS, Vision, read_images  # noqa: E402
from interplay.unrolled.in_run import InRun  # noqa: E402

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SMALL = (16, 16, 16, 16)


def images(n=360, test=60, seed=0):
    """Random images with all classes in equal numbers."""
    rng = np.random.default_rng(seed)
    found = {}
    for part, m in (("train", n), ("test", test)):
        found[f"{part}_images"] = rng.integers(0, 256, size=(m, 3, 32, 32)).astype(np.uint8)
        found[f"{part}_labels"] = (np.arange(m) % 10).astype(np.uint8)
    return found


def vision(**options):
    return Vision(images(), **{"size": 16, "widths": SMALL, "steps": 3, "batch_size": 8, **options})


def same(a, b):
    return all(np.array_equal(p, q) for name in a for p, q in zip(a[name], b[name], strict=True))


# ---------------------------------------------------------------- vision


def test_vision_groups_are_what_they_are_called():
    problem = vision()
    assert problem.K == len(problem.tasks) == 14
    assert all(x.shape == (16, 3, 32, 32) and x.dtype == np.float32 for x, _ in problem.sources.values())
    for name, (_, y) in problem.sources.items():
        kind, _, which = name.partition("_")
        if kind == "rare":
            assert (y == CLASSES.index(which.removesuffix("_copy"))).mean() > 0.5
        elif kind == "animals":
            assert np.isin(y, [2, 3, 4, 5, 6, 7]).all()
        elif kind == "vehicles":
            assert np.isin(y, [0, 1, 8, 9]).all()
        assert problem.wrong_labels[name].mean() == pytest.approx(0.8125 if kind == "wrong" else 0)
    for name, (_, y) in problem.targets.items():
        assert set(np.unique(y)) == {CLASSES.index(c) for c in TARGETS[name]}


def test_vision_copies_mirror_what_they_repeat():
    problem = vision()
    x, copy = problem.sources["mixed_a"][0], problem.sources["mixed_a_copy"][0]
    near = [np.abs(x[:, :, :, ::-1] - one).mean((1, 2, 3)).min() < 0.15 for one in copy]
    assert sum(near) == round(0.85 * len(x))


def test_vision_is_drawn_again_the_same():
    assert same(vision().sources, vision().sources)
    assert same(vision().targets, vision().targets)
    assert not same(vision().targets, vision(problem_seed=1, n_test=5).targets)
    one, two = (vision(problem_seed=seed).sources["mixed_b"][0] for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_the_vision_network_is_large_and_no_example_sees_another():
    model = Vision(images(), size=16).model(0).eval()
    assert Network(model).size > 1_000_000
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-5)
    again, other = (Vision(images(), size=16).model(seed) for seed in (0, 1))
    assert torch.equal(model[0][0].weight, again[0][0].weight)
    assert not torch.equal(model[0][0].weight, other[0][0].weight)


def test_vision_trains_and_can_be_followed():
    evaluator = vision().retrain()
    design = np.vstack([np.ones(14), 1 - np.eye(14)[0]])
    real = evaluator.evaluate(design, np.zeros(2, int))
    assert real.shape == (2, 5)
    assert np.abs(real[0] - real[1]).max() > 0
    estimate = InRun(evaluator, react=1).evaluate(design, np.zeros(2, int))
    np.testing.assert_allclose(estimate[0], real[0], rtol=1e-3)
    shorter = vision().retrain(epochs=0.1)
    assert shorter.notes["absent_tasks"] == "fixed_epochs"


def test_images_are_checked(tmp_path):
    np.savez(tmp_path / "images.npz", **images())
    assert set(read_images(tmp_path / "images.npz")) == set(images())
    with pytest.raises(ValueError, match="images lacks test_labels; it must hold train_images"):
        read_images({k: v for k, v in images().items() if k != "test_labels"})
    with pytest.raises(ValueError, match=r"train_images is float64 of shape .*; it must be uint8 \(n, 3, 32, 32\)"):
        read_images({**images(), "train_images": images()["train_images"] / 255})
    with pytest.raises(ValueError, match=r"test_labels has shape \(60,\); it must be \(60,\), classes 0 to 9"):
        read_images({**images(), "test_labels": np.full(60, 10)})
    with pytest.raises(ValueError, match="too few images for groups of 100; lower size"):
        Vision(images())
    airplanes = {**images(), "test_labels": np.zeros(60, np.uint8)}
    with pytest.raises(ValueError, match="holds none of automobile and truck"):
        Vision(airplanes, size=16)


def test_a_folder_needs_torchvision(tmp_path):
    try:
        import torchvision  # noqa: F401
    except Exception:
        with pytest.raises(ImportError, match="pip install torchvision"):
            read_images(tmp_path)


def test_vision_on_real_images():
    if not (SHARED / "cifar10_part.npz").exists():
        pytest.skip("recordings: the images are not beside the checkout")
    problem = Vision(SHARED / "cifar10_part.npz")
    assert [len(y) for _, y in problem.sources.values()] == [100] * 14
    assert [len(y) for _, y in problem.targets.values()] == [100] * 5


# ---------------------------------------------------------------- modular


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "squares"])
def test_modular_blocks_and_tests_share_no_pair(operation):
    problem = Modular(operation, p=13, parts=3)
    assert problem.tasks == tuple(f"a{i}b{j}" for i in range(3) for j in range(3))
    read = {tuple(pair) for X, _ in problem.sources.values() for pair in X.tolist()}
    tested = {tuple(pair) for pair in problem.targets["loss"][0].tolist()}
    assert not read & tested
    assert len(read) + len(tested) == 13**2
    if operation != "subtract":
        assert all((b, a) in tested for a, b in tested)
    formula = {"add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b}
    X, y = problem.sources["a2b1"]
    if operation in formula:
        assert y.tolist() == [formula[operation](a, b) % 13 for a, b in X.tolist()]


def test_modular_learns_what_it_reads():
    problem = Modular(p=7, parts=2, width=16, heads=2, steps=150, batch_size=16, lr=1e-2, weight_decay=0.1)
    evaluator = problem.retrain()
    design = np.vstack([np.ones(4), [1, 1, 1, 0]])
    model = evaluator.trained(design[0], seed=0)
    X = torch.cat([torch.as_tensor(x) for x, _ in problem.sources.values()])
    y = torch.cat([torch.as_tensor(y) for _, y in problem.sources.values()])
    assert float(torch.nn.functional.cross_entropy(model(X), y)) < 0.5 * np.log(7)
    assert same(problem.targets, Modular(p=7, parts=2).targets)
    assert not same({"loss": problem.targets["loss"]}, {"loss": Modular(p=7, parts=2, problem_seed=3).targets["loss"]})


def test_modular_input_is_checked():
    with pytest.raises(ValueError, match="operation is 'divide'; it must be one of add"):
        Modular("divide")
    with pytest.raises(ValueError, match="parts is 9; with p = 23 it must be 2 to 7"):
        Modular(parts=9)
    with pytest.raises(ValueError, match=r"width is 50; it must be a multiple of heads \(4\)"):
        Modular(width=50)


# ---------------------------------------------------------------- texts


TEXTS = {name: f"{name} says {k} " + "a few words, again and again. " * 12 for k, name in enumerate("abc")}


def texts(**options):
    from interplay.problems.gpt2 import GPT2

    small = {"sources": tuple("abc"), "targets": ("a", "c"), "places": 6, "size": 12, "n_test": 8, "width": 16}
    return GPT2(TEXTS, **{**small, "layers": 1, "heads": 2, "steps": 5, "batch_size": 6, **options})


def gpt2(**options):
    pytest.importorskip("transformers")
    return texts(**options)


def test_windows_are_the_text_and_the_next_characters():
    from interplay.problems.gpt2 import encode

    problem = texts()
    assert problem.K == 3
    for windows, whole in ((problem.source_windows, slice(0, -1)), (problem.target_windows, slice(1, None))):
        for name, (X, y) in windows.items():
            codes = encode(TEXTS[name])
            parts = codes[: len(codes) * 4 // 5] if whole.start == 0 else codes[len(codes) * 4 // 5 :]
            text = "".join(chr(c + 32) for c in parts)
            for x, follows in zip(X, y, strict=True):
                window = "".join(chr(c + 32) for c in [*x, follows[-1]])
                assert window in text
                assert x[1:].tolist() == follows[:-1].tolist()
    assert same(problem.source_windows, texts().source_windows)
    assert not same(problem.source_windows, texts(problem_seed=1).source_windows)


def test_the_loss_of_windows_is_torchs():
    from interplay.problems.gpt2 import NextCharacterLoss

    rng = torch.Generator().manual_seed(0)
    loss, L, C, n = NextCharacterLoss(4), 4, 5, 3
    f = torch.randn(n, L * C, generator=rng, dtype=torch.float64)
    y = loss.check(f, torch.randint(C, (n, L), generator=rng), "targets")
    each = torch.nn.functional.cross_entropy(f.view(n * L, C), y.view(-1), reduction="none").view(n, L).mean(1)
    value, residual = loss.value_and_residual(f, y)
    np.testing.assert_allclose(value, each, rtol=1e-12)
    np.testing.assert_allclose(loss.value(f.expand(2, n, L * C), y)[1], each, rtol=1e-12)
    J = torch.autograd.functional.jacobian(lambda g: loss.value(g, y).sum(), f)
    np.testing.assert_allclose(residual, J, rtol=1e-9, atol=1e-12)
    H = torch.stack(
        [torch.autograd.functional.hessian(lambda g, i=i: loss.value(g[None], y[i : i + 1])[0], f[i]) for i in range(n)]
    )
    v = torch.randn(n, L * C, 2, generator=rng, dtype=torch.float64)
    np.testing.assert_allclose(loss.curvature_product(f, v[..., 0], y), (H @ v)[..., 0], atol=1e-12)
    root = loss.curvature_root(f, v, y)
    np.testing.assert_allclose(root.transpose(1, 2) @ root, v.transpose(1, 2) @ H @ v, atol=1e-12)
    share = (f.view(n, L, C).argmax(-1) == y).double().mean(1)
    np.testing.assert_allclose(loss.measure("accuracy", f, y), share)
    counts = torch.bincount(y.flatten()).double() / y.numel()
    entropy = float(-(counts[counts > 0] * counts[counts > 0].log()).sum())
    assert loss.best_constant(f, y, torch.ones(n)) == pytest.approx(entropy)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\); they must be \(n, 4\)"):
        loss.check(f, y[:, 0], "targets")
    with pytest.raises(ValueError, match="gives 19 outputs; a multiple of 4 is needed"):
        loss.check(f[:, :19], y, "targets")


def test_gpt2_trains_with_tied_embeddings_and_can_be_followed():
    problem = gpt2()
    evaluator = problem.retrain()
    assert evaluator.network.size == sum(p.numel() for p in problem.model().parameters())
    assert any("wte" in name for name in evaluator.network.names)
    assert not any("lm_head" in name for name in evaluator.network.names)
    design = np.vstack([np.ones(3), [1, 0, 1]])
    real = evaluator.evaluate(design, np.zeros(2, int))
    for react in (0, 2, None):
        estimate = InRun(evaluator, react=react, targets="real").evaluate(design, np.zeros(2, int))
        np.testing.assert_allclose(estimate[0], real[0], rtol=1e-4)
    again, other = problem.model(0), problem.model(1)
    assert torch.equal(again.model.transformer.wte.weight, problem.model(0).model.transformer.wte.weight)
    assert not torch.equal(again.model.transformer.wte.weight, other.model.transformer.wte.weight)


def test_rows_of_outcomes_are_those_of_autograd():
    from interplay.unrolled.reactions import outputs

    evaluator = gpt2().retrain()
    W, indices = evaluator.initial(0), np.array([0, 5])
    found = evaluator.reactions(W, indices, 3)
    leaf = W.clone().requires_grad_()
    logits = evaluator.network.logits(leaf, evaluator._X[indices]).view(12, -1)
    q = outputs(logits, found.outcomes)
    for i in range(2):
        for j in range(3):
            row = torch.autograd.grad(q[i, j], leaf, retain_graph=True)[0]
            np.testing.assert_allclose(found.rows[i, j], row, rtol=1e-3, atol=1e-5)


def test_texts_are_checked():
    with pytest.raises(ValueError, match="'d' is missing"):
        texts(sources=("a", "d"))
    with pytest.raises(ValueError, match="more than 506 are needed"):
        texts(size=500)


def test_texts_from_files(tmp_path):
    from interplay.problems.gpt2 import GPT2

    for name in "ab":
        rows = [f'{{"prompt": "{name} asks", "answer": "{i} times"}}' for i in range(30)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    problem = GPT2(tmp_path, sources=("a", "b"), targets=("b",), places=5, size=4, n_test=3)
    assert problem.tasks == ("a", "b")
    with pytest.raises(FileNotFoundError, match="no such file"):
        GPT2(tmp_path, sources=("c",), targets=("b",))
