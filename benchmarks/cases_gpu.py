"""What the benchmark of a card does on both devices: problems, and parts of them with their seconds and differences."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interplay.evaluators import Finetune, Linearized, TorchRetrain
from interplay.gradients import SUBSPACES, Examples, Network, features, loss_named
from interplay.gradients.random_bases import Hashed
from interplay.problems.digits import Digits
from interplay.problems.gpt2 import GPT2, SOURCES, NextCharacterLoss
from interplay.problems.modular import Modular
from interplay.problems.vision import Vision
from interplay.unrolled import InRun, Metagradient, Replay

MASKS = 200  # that `Linearized` solves
BOTH = ("cpu", "cuda")
KINDS = {"float64": torch.float64, "float32": torch.float32, "TF32": torch.float32, "bfloat16": torch.bfloat16}

Figures = dict[str, float]
Cases = dict[str, Callable[[], Figures]]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives, and its seconds, once the card is done."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    value = call()
    torch.cuda.synchronize()
    return value, time.perf_counter() - began


def compared(
    make: Callable[[str, bool], Any],
    do: Mapping[str, Callable[[Any], np.ndarray]],
    look: Callable[[Any], None] = lambda made: None,
) -> Figures:
    """Do the same on both, part by part: seconds of each part, and how far its results are apart.

    Parameters
    ----------
    make : callable
        What is to be done on a device, or something small of its kind; counts as the part "making".
    do : mapping of str to callable
        Parts in order: of what was made to values (m, T) of rows.
    look : callable
        At what was made, in the end.
    """
    found: Figures = {}
    results: dict[str, list[np.ndarray]] = {part: [] for part in do}
    for device in BOTH:
        small = make(device, True)
        for call in do.values():
            call(small)
        made, found[f"making {device}"] = timed(lambda device=device: make(device, False))
        for part, call in do.items():
            value, found[f"{part} {device}"] = timed(lambda call=call, made=made: call(made))
            results[part].append(value)
        look(made)
        del small, made
        torch.cuda.empty_cache()
    return found | {f"{part} apart": apart(*both) for part, both in results.items()}


def apart(here: np.ndarray, there: np.ndarray) -> float:
    """Largest difference of values (m, T) in units of the spread over rows; of one row, the relative one of norms."""
    if len(here) == 1:
        return float(np.linalg.norm(there - here) / np.linalg.norm(here))
    return float((np.abs(there - here).max(0) / here.std(0)).max())


# ---------------------------------------------------------------- problems


def masks_of(K: int, m: int) -> np.ndarray:
    """Masks of 80 % of the tasks, the first always in."""
    found = (np.random.default_rng(K).random((m, K)) < 0.8).astype(float)
    found[:, 0] = 1
    return found


def images(size: int, n_test: int = 10) -> Vision:
    """Vision on random images, of classes that differ in their mean."""
    rng = np.random.default_rng(0)
    y = np.arange(max(600, 40 * size)) % 10
    x = rng.integers(60, 190, (10, 3, 1, 1))[y] + rng.normal(scale=40, size=(len(y), 3, 32, 32))
    x = np.clip(x, 0, 255).astype(np.uint8)
    data = {"train_images": x, "train_labels": y, "test_images": x[:500], "test_labels": y[:500]}
    return Vision(data, size=size, n_test=n_test)


def texts(size: int, n_test: int = 4) -> GPT2:
    """GPT-2 on random texts, each of its own alphabet."""
    rng = np.random.default_rng(1)
    alphabets = {name: [chr(33 + i) for i in rng.choice(90, 20, replace=False)] for name in SOURCES}
    return GPT2({name: "".join(rng.choice(own, 4_000)) for name, own in alphabets.items()}, size=size, n_test=n_test)


def digits(device: str, steps: int) -> TorchRetrain:
    """Digits trained one model at a time."""
    problem = Digits()
    sources = {name: pair for name, *pair in zip(problem.tasks, problem.X, problem.y, strict=True)}
    sources = {name: tuple(pair) for name, pair in sources.items()}
    return TorchRetrain(problem.model, sources, problem.test_arrays(), device=device, steps=steps, batch_size=64)


class LowRank(nn.Module):
    """GPT-2 of `texts` with LoRA in its layers; the rest is frozen."""

    def __init__(self, model: Any):
        import peft

        super().__init__()
        model.requires_grad_(False)
        config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
        self.model = peft.get_peft_model(model.model, config)
        generator = torch.Generator().manual_seed(0)
        for name, p in self.model.named_parameters():
            if "lora_B" in name:  # zeros at first, where half of the gradients would be zeros
                p.data.normal_(0, 0.02, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        return self.model(input_ids=ids).logits.flatten(1)


class NextWord(nn.Module):
    """Log-odds of the last token of a text, of which the model sees those before it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        logits, last = self.model(input_ids=ids[:, :-1]).logits[:, -1], ids[:, -1:]
        return logits.gather(1, last) - logits.scatter(1, last, -torch.inf).logsumexp(1, keepdim=True)


# ---------------------------------------------------------------- rows


def trainings(quick: bool) -> Cases:
    """Coupled retrainings of the same masks."""

    def one(make: Callable[..., Any], steps: int, m: int) -> Figures:
        length = max(2, steps // 20) if quick else steps
        train = lambda course: course.evaluate(masks_of(len(course.tasks), m), np.zeros(m, int))
        return compared(lambda device, small: make(device=device, steps=2 if small else length), {"training": train})

    stack = lambda device, steps: Digits(steps=steps).retrain(device=device, stack=100)
    vision = images(100, 50)
    return {
        "perceptron on digits, 4 trainings of 200 steps": lambda: one(digits, 200, 4),
        "the same, 100 trainings of 200 steps in one stack": lambda: one(stack, 200, 100),
        "residual network, p = 1.05 million, 2 trainings of 30 steps of 128 images": lambda: one(
            lambda **how: vision.retrain(batch_size=128, **how), 30, 2
        ),
        "transformer on addition mod 23, 2 trainings of 200 steps": lambda: one(Modular().retrain, 200, 2),
        "GPT-2, p = 0.1 million, 2 trainings of 50 steps": lambda: one(texts(64).retrain, 50, 2),
    }


def estimates(quick: bool) -> Cases:
    """Features in every subspace, and the masks solved in them."""
    vision, gpt2, number = images(4), texts(3), digits("cpu", 200)
    trained = number.trained("all", 0)
    of = lambda parts: {name: tuple(map(torch.from_numpy, pair)) for name, pair in parts.items()}
    problem = Digits()
    pairs = {name: pair for name, *pair in zip(problem.tasks, problem.X, problem.y, strict=True)}
    words, next_one = (of(gpt2.source_windows), of(gpt2.target_windows)), NextCharacterLoss(16)
    problems = {
        "perceptron, p = 3,610, n = 1,085, C = 10, d = 104": (
            trained, of(pairs), of(problem.test_arrays()), "cross_entropy", 104
        ),
        "residual network, p = 1.05 million, n = 56, C = 10, d = 32": (
            vision.model(0), of(vision.sources), of(vision.targets), "cross_entropy", 32
        ),
        "GPT-2, tied, p = 0.1 million, n = 36, C = 1,536, d = 48": (gpt2.model(0), *words, next_one, 48),
        "the same, LoRA of rank 8, p = 0.03 million": (LowRank(gpt2.model(0)), *words, next_one, 48),
    }  # fmt: skip

    def one(kind: str, model: nn.Module, sources: Any, targets: Any, loss: Any, d: int) -> Figures:
        masks, products = masks_of(len(sources), MASKS), []

        def build(device: str, small: bool) -> tuple[Linearized, np.ndarray]:
            some = {name: (x[:2], y[:2]) for name, (x, y) in list(sources.items())[:3]} if small else sources
            judged = dict(list(targets.items())[:1]) if small else targets
            how = {"loss": loss, "subspace": kind, "weight_decay": 1e-2, "device": device}
            found = Linearized(model, some, judged, dim=8 if small else d, **how)
            return found, masks_of(3, 4) if small else masks

        solving = {"solving": lambda made: made[0].evaluate(made[1])}
        found = compared(build, solving, lambda made: products.append(_products(made[0])))
        here, there = products
        return found | {"features apart": float((there - here).norm() / here.norm())}

    few = list(problems.items())[:1] if quick else problems.items()
    return {f"{name}: {kind}": lambda k=kind, case=case: one(k, *case) for name, case in few for kind in SUBSPACES}


def _products(found: Linearized) -> Tensor:
    """Inner products of the features of all outputs, or of those of the same output where that are too many."""
    phi = found._train.phi.float()
    return (
        phi.flatten(0, 1) @ phi.flatten(0, 1).T if phi.shape[1] < 100 else torch.einsum("ncd,mcd->cnm", phi, phi)
    ).cpu()


def followed(quick: bool) -> Cases:
    """Trainings that are followed step by step."""

    def one(make: Callable[..., TorchRetrain], steps: int, react: int | None, m: int) -> Figures:
        def course(device: str, small: bool) -> tuple[TorchRetrain, Tensor, int]:
            found = make(device=device, steps=1 if small else max(2, steps // 10) if quick else steps)
            return found, found.train("all", 0), 2 if small else m

        def follow(kind: Callable[[TorchRetrain, Tensor], Any]) -> Callable[[Any], np.ndarray]:
            def call(made: tuple[TorchRetrain, Tensor, int]) -> np.ndarray:
                return kind(*made[:2]).evaluate(masks_of(len(made[0].tasks), made[2]), np.zeros(made[2], int))

            return call

        parts = {
            "InRun": follow(lambda c, W: InRun(c, react=react)),
            "Replay": follow(lambda c, W: Replay(c, W, react=react)),
            "Metagradient": follow(lambda c, W: Metagradient(c)),
        }
        return compared(course, parts)

    vision = images(20)
    return {
        "perceptron on digits, 50 steps, 40 masks, all outputs react": lambda: one(digits, 50, None, 40),
        "transformer on addition, 50 steps, 40 masks, 4 react": lambda: one(Modular().retrain, 50, 4, 40),
        "residual network, 4 steps of 32, 16 masks, 2 react": lambda: one(vision.retrain, 4, 2, 16),
    }


def tuned(quick: bool) -> Cases:
    """A fine-tuning with SmolLM2-135M's configuration and random weights."""
    K, words = 4, [f"w{i}" for i in range(4_000)]
    model = {small: smol(5 if small or quick else 30, len(words)) for small in (True, False)}
    kept: dict[str, Any] = {}

    def rows(seed: int, n: int) -> list[dict[str, str]]:
        rng = np.random.default_rng(seed)
        draw = lambda k: " ".join(rng.choice(words[200 * seed : 200 * seed + 200], k))
        return [{"prompt": draw(int(rng.integers(25, 50))), "answer": draw(2)} for _ in range(n)]

    def course(device: str, small: bool) -> Finetune:
        sources, targets = ({f"{s}{k}": rows(k + a, n) for k in range(K)} for s, a, n in (("s", 0, 24), ("t", 10, 12)))
        how = {
            "layers": 4,
            "lora": 8,
            "steps": 2 if small or quick else 10,
            "batch_size": 16,
            "lr": 1e-2,
            "device": device,
        }
        return Finetune(model[small], sources, targets, tokenizer=tokenizer(words), **how)

    def train(made: Finetune) -> np.ndarray:
        kept["end"] = made.train("all", 0)
        return kept["end"].W.cpu().numpy()[None]

    parts = {
        "one training of 10 steps of 16": train,
        "evaluating its end on 48 examples": lambda made: made.measure(kept["end"])[None],
        "InRun, 12 masks": lambda made: InRun(made).evaluate(masks_of(K, 12), np.zeros(12, int)),
        f"linearised at the end, {MASKS} masks": lambda made: Linearized.from_finetune(made, kept["end"]).evaluate(
            masks_of(K, MASKS)
        ),
    }
    name = "SmolLM2-135M's configuration, random weights, LoRA of rank 8 in the upper 4 of 30 layers"
    return {name: lambda: compared(course, parts)}


def smol(layers: int, words: int) -> Any:
    """SmolLM2-135M's configuration with another vocabulary and random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
    size = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": layers, "vocab_size": words + 2}
    return LlamaForCausalLM(LlamaConfig(**size, **heads, initializer_range=0.06)).eval()


def tokenizer(words: list[str]) -> Any:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<unk>", "<s>", *words])}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>")


def precisions(quick: bool) -> Cases:
    """Features on the card in several precisions."""
    vision, gpt2 = images(6 if quick else 100), texts(8 if quick else 64)
    cases = {
        "residual network, n = 1,400, C = 10": (vision.model(0), vision.sources, "cross_entropy"),
        "GPT-2, n = 768, C = 1,536": (gpt2.model(0), gpt2.source_windows, NextCharacterLoss(16)),
    }

    def one(model: nn.Module, sources: Mapping[str, Any], loss: Any) -> Figures:
        exact, found, before = torch.empty(0), {}, torch.get_float32_matmul_precision()
        for kind, dtype in KINDS.items():
            torch.set_float32_matmul_precision("high" if kind == "TF32" else "highest")
            try:
                network = Network(model.float().to(dtype), device="cuda")
                pairs = {n: tuple(map(torch.from_numpy, pair)) for n, pair in sources.items()}
                pairs = {n: (x.to(dtype) if x.is_floating_point() else x, y) for n, (x, y) in pairs.items()}
                examples = Examples.collect(network, pairs, loss_named(loss), "loaders")
                call = lambda n=network, e=examples: features(n, e, Hashed(n.size, 64, 5, n.W0)).phi
                call()
                phi, found[f"{kind} seconds"] = timed(call)
            finally:
                torch.set_float32_matmul_precision(before)
            exact = phi if kind == "float64" else exact
            found[f"{kind} error"] = float((phi - exact).norm() / exact.norm())
        return found

    return {name: lambda case=case: one(*case) for name, case in cases.items()}


PARTS = {
    "Fine-tuning": tuned,
    "Trainings": trainings,
    "Features and estimates": estimates,
    "Trainings that are followed": followed,
    "Precision": precisions,
}
