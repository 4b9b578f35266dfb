"""Classifiers: the head of a decoder reads the last token, answers are its labels; all else as for language models."""

import json
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import interplay as ip  # noqa: E402
from interplay.evaluators import Linearized  # noqa: E402
from interplay.language.examples import Rows, tokenise  # noqa: E402
from interplay.language.labels import HEAD, Labels  # noqa: E402
from interplay.unrolled import InRun, Metagradient  # noqa: E402
from tests import language  # noqa: E402
from tests.language import KINDS, LABELS, classify, finetune, labelled  # noqa: E402

LINEAR = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
}
MASKS = np.vstack([np.ones((1, 3)), 1 - np.eye(3), [[1, 0.5, 2]]])
SEEDS = np.zeros(len(MASKS), int)


def numbers(data):
    """The labels of rows, as the model counts them."""
    return torch.tensor([LABELS.index(row["answer"]) for row in data])


def own_logits(course, data, model=None):
    """Logits (n, L) that the model itself gives, one prompt at a time."""
    model = model or course.adapter.cut.inner
    return torch.cat([model(**course.tokenizer(row["prompt"], return_tensors="pt")).logits for row in data])


def relabelled(data):
    """The same rows, the first with another label."""
    return [{**data[0], "answer": next(name for name in LABELS if name != data[0]["answer"])}, *data[1:]]


def moved(course, seed=0):
    """Parameters away from the start, where LoRA's B is not 0."""
    W = course.initial(seed)
    return W + 0.1 * torch.randn(W.shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- what is trained, and how it is measured


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_that_of_a_plain_loop(kind):
    """peft's own model for SEQ_CLS, padded batches, the model's own pooling, torch.optim.AdamW."""
    made = lambda: language.model(kind, labels=LABELS, pad_token_id=0)
    course = classify(model=made(), tokenizer=language.tokenizer(), lr=0.02, weight_decay=0.1)
    config = peft.LoraConfig(
        r=2, lora_alpha=4, target_modules=LINEAR[kind], layers_to_transform=[1, 2], task_type="SEQ_CLS"
    )
    model = peft.get_peft_model(made(), config).eval()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert list(trained) == list(course.adapter.names)
    with torch.no_grad():
        for name, value in course.adapter.split(course.initial(3)).items():
            trained[name].copy_(value)
    optimiser = torch.optim.AdamW(trained.values(), lr=1.0, weight_decay=0.1)
    data = [row for k in range(3) for row in labelled(k)]
    mask, said = torch.tensor([1.0, 0.5, 1.0]), numbers(data)
    steps = course.batches(mask.numpy(), 3)
    for t, (batch, _) in enumerate(steps):
        optimiser.param_groups[0]["lr"] = course.optimiser.rate(t, len(steps))
        optimiser.zero_grad()
        tokens = [course.tokenizer(data[i]["prompt"])["input_ids"] for i in batch]
        longest = max(map(len, tokens))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in tokens])
        losses = torch.nn.functional.cross_entropy(
            model(input_ids=ids, attention_mask=(ids > 0).long()).logits, said[batch], reduction="none"
        )
        ((losses * mask[course.group[batch]]).sum() / course.batch_size).backward()
        optimiser.step()
    expected = torch.cat([trained[name].detach().reshape(-1) for name in course.adapter.names])
    found = course.train(mask.numpy(), seed=3).W
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-5)
    head = next(name for name in course.adapter.names if HEAD in name)
    start, end = (course.adapter.split(W)[head] for W in (course.initial(3), found))
    assert torch.equal(start, made().score.weight)
    assert float((end - start).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_accuracy_is_the_share_of_labels_that_it_says(kind):
    targets = {"own": labelled(0, 8), "same": labelled(0, 9), "val": labelled(90)}
    metric = {"own": "loss", "same": "accuracy", "val": "accuracy"}
    course = classify(kind=kind, steps=40, lr=0.02, targets=targets, metric=metric)
    assert course.higher_is_better == (False, True, True)
    before, after = course.measure(course.initial(0)), course.evaluate(np.ones((1, 3)), np.zeros(1, int))[0]
    assert after[0] < before[0] - 0.4
    assert after[1] > before[1] + 0.2
    with torch.no_grad():
        logits = [own_logits(course, data) for data in targets.values()]
    assert after[0] == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits[0], numbers(targets["own"]))), rel=1e-4
    )
    for value, found, name in zip(after[1:], logits[1:], ("same", "val"), strict=True):
        assert value == pytest.approx(float((found.argmax(-1) == numbers(targets[name])).double().mean()))
    with pytest.raises(ValueError, match="is no loss, so it has no gradients"):
        list(course.target_reactions(course.initial(0), 0))


def test_a_metric_of_the_users_sees_losses_and_labels():
    seen = []
    course = classify(metric=lambda losses, rows: seen.append(rows.answers) or losses.max(), higher_is_better=False)
    assert course.measure(course.initial(0))[0] > classify().measure(course.initial(0))[0]
    assert seen[0] == tuple(row["answer"] for row in labelled(90))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["lora", "head", "embedding"])
def test_losses_and_gradients_are_those_of_one_example_at_a_time(kind, where):
    names = {"head": ["score.weight"], "embedding": ["*embed_tokens*" if kind == "llama" else "*wte*", "score.weight"]}
    how = {} if where == "lora" else {"lora": None, "layers": None, "parameters": names[where]}
    course = classify(kind=kind, **how)
    assert (course.adapter.cut.first is None) == (where == "embedding")
    indices, W = np.array([3, 17, 0, 30]), moved(course)
    found, data = course.reactions(W, indices, None), [row for k in range(3) for row in labelled(k)]
    assert course.adapter.by_layer == (where != "embedding")
    assert found.rows.shape == (4, 2, course.size)
    for e, i in enumerate(indices):
        logits = own_logits(course, [data[i]])
        loss = torch.nn.functional.cross_entropy(logits, numbers([data[i]]))
        assert float(found.losses[e]) == pytest.approx(loss.item(), rel=1e-5)
        g = torch.autograd.grad(loss, course.adapter.parameters)
        torch.testing.assert_close(found.gradients[e], torch.cat([p.reshape(-1) for p in g]), rtol=1e-4, atol=1e-6)
    expected = torch.from_numpy(np.ones(4)).float() @ found.gradients
    torch.testing.assert_close(course.gradient(W, indices, np.ones(4)), expected, rtol=1e-4, atol=1e-6)


def test_the_last_token_is_the_one_that_the_model_takes():
    """A token for padding at the end of a prompt is passed over, as the model itself does."""
    question = language.WORDS.index("?") + 2
    course = classify(model=language.model(labels=LABELS, pad_token_id=question), tokenizer=language.tokenizer())
    assert course.labels == Labels(LABELS, question)
    assert (course.examples.answer == course.examples.lengths - 1).all()
    data = labelled(0)
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(own_logits(course, data), numbers(data), reduction="none")
    found = course.adapter.measure(course.examples, course.states)[:12]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    short = classify(max_length=4)
    assert max(short.examples.lengths) == 4
    long = sum(len(row["prompt"].split()) > 4 for row in data)
    assert f"datasets['a']: {long} prompts lost tokens at their beginning (max_length)." in short.warnings
    assert {short.tokenizer.decode(ids[-1:]) for ids in short.examples.ids} == {"?"}


def test_the_head_is_float32_where_the_rest_is_not():
    course, exact = classify(dtype=torch.bfloat16), classify()
    assert course.adapter.cut.head.original_module.weight.dtype == torch.float32
    assert course.fingerprint()["dtype"] == "bfloat16"
    np.testing.assert_allclose(course.measure(course.train()), exact.measure(exact.train()), atol=0.1)
    with pytest.raises(ValueError, match=r"model.norm.weight is trained itself, which is done in float32"):
        classify(dtype=torch.bfloat16, lora=None, layers=None, parameters=["model.norm.weight"])


# ---------------------------------------------------------------- followed, estimated, sent


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_follow_the_training(kind):
    course = classify(kind=kind, steps=10, lr=5e-3, targets={"val": labelled(90, 24), "own": labelled(0, 8)})
    truth, estimate = course.evaluate(MASKS, SEEDS), InRun(course).evaluate(MASKS, SEEDS)
    np.testing.assert_allclose(estimate[0], truth[0], rtol=1e-5)
    assert np.abs(estimate - truth).mean() < 0.25 * np.abs(truth - truth.mean(0)).mean()
    W0 = course.train()
    optimum = Linearized.from_finetune(course, W0, mu=1.0)
    np.testing.assert_allclose(optimum.evaluate(np.ones((1, 3)))[0], course.measure(W0), rtol=1e-4)
    assert np.corrcoef(optimum.evaluate(MASKS)[:, 1], truth[:, 1])[0, 1] > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_metagradients_are_finite_differences(kind):
    course = classify(kind=kind, steps=8, lr=0.3, optimiser="sgd", momentum=0.5)
    full, slopes = Metagradient(course).slopes(0)
    h = 0.05 * np.eye(3)
    up, down = (course.evaluate(1 + sign * h, np.zeros(3, int)) for sign in (1, -1))
    np.testing.assert_allclose(full, course.measure(course.train()), rtol=1e-5)
    np.testing.assert_allclose(slopes, (up - down) / 0.1, rtol=0.05, atol=2e-3)


@pytest.mark.parametrize("where", ["path", "object"])
def test_pickles_compute_the_same_and_a_store_goes_on(tmp_path, where):
    made = lambda: classify(tmp_path if where == "path" else None)
    course, masks = made(), ip.masks.leave_one_out(3)
    runs = ip.evaluate(course, masks, store=tmp_path / "runs.db", progress=False)
    other = pickle.loads(pickle.dumps(course))
    np.testing.assert_array_equal(other.evaluate(masks, np.zeros(4, int)), runs.values)
    assert other.fingerprint() == course.fingerprint()
    again = made()
    again.train = lambda *_: pytest.fail("it is in the store")
    assert np.array_equal(ip.evaluate(again, masks, store=tmp_path / "runs.db", progress=False).values, runs.values)


# ---------------------------------------------------------------- what is told apart


def test_what_changes_a_value_changes_the_fingerprint():
    plain = classify().fingerprint()
    assert plain["labels"] == 3
    data, other = labelled(90), labelled(1)
    turned, sets = relabelled(data), {"a": labelled(0), "b": relabelled(other), "c": labelled(2)}
    for how in (
        {"datasets": sets},
        {"targets": {"val": turned}},
        {"metric": "accuracy"},
        {"model": language.model(labels=LABELS[::-1], initializer_range=0.5), "tokenizer": language.tokenizer()},
        {"lora": peft.LoraConfig(r=2, lora_alpha=4, target_modules=LINEAR["llama"])},
    ):
        assert classify(**how).fingerprint() != plain, how
    one, other = (classify(targets={"val": d}, metric="accuracy").fingerprint() for d in (data, turned))
    assert one != other
    causal = {"datasets": {name: labelled(k) for k, name in enumerate("abc")}, "targets": {"val": labelled(90)}}
    found = finetune(**causal).fingerprint()
    assert found.keys() == plain.keys() - {"labels"}
    assert all(found[key] != plain[key] for key in ("model", "parameters", "datasets.a", "targets.val"))


def test_what_changes_no_value_leaves_the_fingerprint(tmp_path):
    plain = classify().fingerprint()
    lora = {"r": 2, "lora_alpha": 4, "target_modules": LINEAR["llama"]}
    for how in (
        {"folder": tmp_path},
        {"lora": peft.LoraConfig(**lora, task_type="SEQ_CLS")},
        {"lora": peft.LoraConfig(**lora, modules_to_save=["score"])},
        {"targets": {"val": [{**row, "label_options": ["yes", "no"]} for row in labelled(90)]}},
    ):
        assert classify(**how).fingerprint() == plain, how


def test_without_being_asked_for_a_configuration_trains_no_head():
    course = classify(lora=peft.LoraConfig(r=2, lora_alpha=4, target_modules=LINEAR["llama"]))
    assert not any(HEAD in name for name in course.adapter.names)
    with pytest.raises(ValueError, match=r"task_type='CAUSAL_LM' and the model is a LlamaForSeq.*set task_type='SEQ_C"):
        classify(lora=peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))


def test_a_head_that_is_in_no_file_is_drawn_alike_and_trained(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = language.saved(tmp_path, labels=LABELS)
    weights = safetensors.load_file(path / "model.safetensors")
    del weights["score.weight"]
    safetensors.save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(1)
    first = classify(model=path)
    torch.manual_seed(2)
    second = classify(model=path, lora=peft.LoraConfig(r=2, lora_alpha=4, target_modules=LINEAR["llama"]))
    assert first.warnings == ("model: the files of llama hold no head; it is drawn, and alike in every training.",)
    assert first.fingerprint() == second.fingerprint()
    assert torch.equal(first.initial(0), second.initial(0))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).train().W, first.train().W)


# ---------------------------------------------------------------- labels and models that do not fit


def test_labels_without_names_may_be_numbers():
    unnamed = lambda: {"model": language.model(labels=("LABEL_0", "LABEL_1")), "tokenizer": language.tokenizer()}
    names, prints = ("yes", "no"), []
    turned = lambda seed, write: [
        {**row, "answer": write(names.index(row["answer"]))} for row in labelled(seed, labels=names)
    ]
    for write in (int, np.int64, str, "LABEL_{}".format):
        sets = {name: turned(k, write) for k, name in enumerate("abc")}
        prints.append(classify(**unnamed(), datasets=sets, targets={"val": turned(90, write)}).fingerprint())
    assert prints[1:] == prints[:-1]


@pytest.mark.parametrize("answer", ["perhaps", 0, "1", None, True, ["yes"]])
def test_answers_that_are_no_labels(answer):
    data = [*labelled(1, 2), {"prompt": "w1 ?", "answer": answer}]
    words = rf"datasets\['b'\]: 'answer' of row 2 is .*{answer}.*, no label of the model; it has 'yes', 'no', 'maybe'. "
    with pytest.raises(ValueError, match=words + "Rename the answers, or give the model's configuration other labels"):
        classify(datasets={"a": labelled(0), "b": data})


def test_numbers_beyond_the_labels_and_long_lists_are_said():
    with pytest.raises(ValueError, match=r"is 2, no label.*it has 'LABEL_0', 'LABEL_1', or the numbers 0 to 1\."):
        Labels(("LABEL_0", "LABEL_1")).named(2, "an answer")
    with pytest.raises(ValueError, match=r"'l11', \.\.\. \(65 more\)\. Rename"):
        Labels(tuple(f"l{i}" for i in range(77))).named("l77", "an answer")


def test_encoders_and_other_heads_are_refused(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    bert = BertForSequenceClassification(BertConfig(vocab_size=60, **sizes))
    bert.save_pretrained(tmp_path)
    words = (
        r"model is a BertForSequenceClassification, which is no decoder with a linear head 'score' on its last token\. "
        "Take a classifier made of a causal language model, such as LlamaForSequenceClassification"
    )
    for model in (bert, tmp_path):
        with pytest.raises(ValueError, match=words):
            classify(model=model, tokenizer=language.tokenizer())
    for labels, how, said in (
        (["one"], {}, r"num_labels=1 and problem_type=None; a classifier is trained by the cross-entropy"),
        (LABELS, {"problem_type": "multi_label_classification"}, r"num_labels=3 and problem_type='multi_label"),
        (["a", "a"], {}, r"model calls two labels 'a'; give each a name of its own"),
    ):
        with pytest.raises(ValueError, match=said):
            classify(model=language.model(labels=labels, **how), tokenizer=language.tokenizer())


def test_a_prompt_that_the_tokenizer_makes_nothing_of():
    nothing = lambda texts: {"input_ids": [[] for _ in texts]}
    with pytest.raises(ValueError, match=r"data set 'a': row 0, 'w1', has 0 tokens; it needs one\. Check"):
        tokenise([Rows("a", ("w1",), ("yes",), (None,))], nothing, max_length=9, labels=Labels(("yes", "no")))


def test_the_configuration_says_what_a_folder_holds(tmp_path):
    path = language.saved(tmp_path, labels=LABELS)
    assert classify(model=path).labels == Labels(LABELS)
    config = json.loads((path / "config.json").read_text())
    ours = {"AutoModelForSequenceClassification": "modeling.Model", "AutoConfig": "modeling.Model"}
    (path / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Model: pass\n")
    (path / "config.json").write_text(json.dumps({**config, "auto_map": ours}))
    classify(model=path)
    (path / "config.json").write_text(json.dumps({**config, "auto_map": ours, "model_type": "own"}))
    with pytest.raises(ValueError, match=r"wants code of its own repository to be run, which is never done"):
        classify(model=path)
    assert not (tmp_path / "ran").exists()
