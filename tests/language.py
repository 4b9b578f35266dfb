"""Tiny language models, tokenizers and data sets that the tests of fine-tuning share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

WORDS = [f"w{i}" for i in range(40)] + ["yes", "no", "maybe", "so", "?"]
KINDS = ("llama", "gpt2")
LABELS = ("yes", "no", "maybe")


def tokenizer(words=WORDS, extra=()):
    """Return a tokenizer that gives each word a number, with no token for padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", *words, *extra])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>")


def model(kind="llama", layers=3, labels=None, **how):
    """Return a small untrained model whose weights a seed fixes; with labels, a classifier."""
    import torch
    import transformers

    from interplay.evaluators.seeding import seeded

    size = len(WORDS) + 2
    if labels is not None:
        how = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}, **how}
    classes = {
        "gpt2": (transformers.GPT2LMHeadModel, transformers.GPT2ForSequenceClassification),
        "llama": (transformers.LlamaForCausalLM, transformers.LlamaForSequenceClassification),
    }
    make = classes[kind][labels is not None]
    with seeded(7):
        if kind == "gpt2":
            made = make(
                transformers.GPT2Config(vocab_size=size, n_embd=32, n_layer=layers, n_head=4, n_positions=64, **how)
            )
        else:
            made = make(
                transformers.LlamaConfig(
                    vocab_size=size,
                    hidden_size=32,
                    intermediate_size=48,
                    num_hidden_layers=layers,
                    num_attention_heads=4,
                    num_key_value_heads=2,
                    max_position_embeddings=64,
                    **how,
                )
            )
        for p in made.parameters():  # far from uniform, so that something is to be told apart
            p.data += 0.15 * torch.randn(p.shape)
    return made.eval()


def saved(folder, kind="llama", **how):
    """Save a model with its tokenizer as a user's folder; return its path."""
    from interplay.language.loading import _quietly

    path = Path(folder) / kind
    with _quietly():
        model(kind, **how).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


def rows(seed, n=12, options=("yes", "no"), longest=9):
    """Return examples whose answer depends on their first word."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        words = rng.choice(40, rng.integers(3, longest + 1))
        answer = options[words[0] % len(options)]
        prompt = " ".join(f"w{i}" for i in words) + " ?"
        made.append({"prompt": prompt, "answer": f"{answer} so" if words[1] % 3 else answer})
    return made


def chosen(seed, n=12):
    """Return examples with options."""
    return [
        {**row, "answer": row["answer"].split()[0], "label_options": ["yes", "no", "maybe so"]} for row in rows(seed, n)
    ]


def labelled(seed, n=12, labels=LABELS):
    """Return examples whose answer is one of the labels."""
    return [{**row, "answer": row["answer"].split()[0]} for row in rows(seed, n, labels)]


def sources(K=3, n=12):
    """Return K sources by name."""
    return {name: rows(k, n) for k, name in enumerate("abcdef"[:K])}


def write(folder, sets):
    """Write data sets as files of JSON lines; return their paths by name."""
    paths = {}
    for name, data in sets.items():
        paths[name] = Path(folder) / f"{name}.jsonl"
        paths[name].write_text("".join(json.dumps(row) + "\n" for row in data))
    return paths


def classify(folder=None, kind="llama", **how):
    """Return a quick evaluator of a classifier."""
    data = {name: labelled(k) for k, name in enumerate("abc")}
    given = {"datasets": data, "targets": {"val": labelled(90)}, **how}
    if folder is None and "model" not in given:
        given |= {"model": model(kind, labels=LABELS), "tokenizer": tokenizer()}
    if folder is not None:
        given["model"] = saved(folder, kind, labels=LABELS)
    return finetune(**given)


def finetune(folder=None, kind="llama", K=3, **how):
    """Return a quick evaluator of K sources and one target, of a saved model or of one in memory."""
    from interplay.evaluators import Finetune

    given = {"steps": 4, "batch_size": 6, "lr": 1e-2, "lora": 2, "layers": 2, **how}
    data, targets = given.pop("datasets", sources(K)), given.pop("targets", {"val": rows(90)})
    what = given.pop("model", None)
    if what is None and folder is not None:
        what = saved(folder, kind)
    elif what is None:
        what, given = model(kind), {"tokenizer": tokenizer(), **given}
    return Finetune(what, data, targets, **given)
