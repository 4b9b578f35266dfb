"""Fine-tuning of language models: equal to a plain loop with torch and peft, coupled, light to send, told apart."""

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

import interplay as ip  # noqa: E402
from interplay.evaluators import EvaluationFailed, Evaluator  # noqa: E402
from interplay.evaluators.finetune import Trained  # noqa: E402
from interplay.language.states import States  # noqa: E402
from interplay.unrolled import InRun  # noqa: E402
from tests import language  # noqa: E402
from tests.language import KINDS, finetune, rows  # noqa: E402


def plain_loop(course, kind, mask, seed, steps):
    """The same training as a user would write it: peft's model, padded batches, torch.optim.AdamW."""
    model = peft.get_peft_model(
        language.model(kind),
        peft.LoraConfig(r=2, lora_alpha=4, target_modules=list(LINEAR[kind]), layers_to_transform=[1, 2]),
    ).eval()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, value in course.adapter.split(course.initial(seed)).items():
            trained[name].copy_(value)
    optimiser = torch.optim.AdamW(trained.values(), lr=1.0, weight_decay=0.1)
    B, examples = course.batch_size, course.examples
    for t, batch in enumerate(steps):
        optimiser.param_groups[0]["lr"] = course.optimiser.rate(t, len(steps))
        optimiser.zero_grad()
        loss = sum(0 * p.sum() for p in trained.values())
        if len(batch):
            longest = max(len(examples.ids[i]) for i in batch)
            ids, seen, labels = (torch.full((len(batch), longest), v) for v in (0, 0, -100))
            for e, i in enumerate(batch):
                n, first = len(examples.ids[i]), examples.answer[i]
                ids[e, :n], seen[e, :n] = torch.from_numpy(examples.ids[i]), 1
                labels[e, first:n] = ids[e, first:n]
            logits = model(input_ids=ids, attention_mask=seen).logits[:, :-1]
            each = torch.nn.functional.cross_entropy(logits.mT, labels[:, 1:], reduction="none")
            losses = each.sum(1) / (labels[:, 1:] >= 0).sum(1)
            loss = loss + (losses * torch.tensor(mask)[course.group[batch]]).sum() / B
        loss.backward()
        optimiser.step()
    return torch.cat([trained[name].detach().reshape(-1) for name in course.adapter.names])


LINEAR = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "gate_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", [(1.0, 1.0, 1.0), (1.0, 0.0, 0.5)])
def test_training_is_that_of_a_plain_loop(kind, mask):
    course = finetune(kind=kind, steps=5, lr=0.02, weight_decay=0.1)
    schedule = course.schedule(3)
    steps = [[i for i in schedule.batch(t) if mask[course.group[i]]] for t in range(5)]
    expected = plain_loop(course, kind, mask, 3, steps)
    found = course.train(mask, seed=3)
    assert (found.mask, found.seed) == (mask, 3)
    torch.testing.assert_close(found.W, expected, rtol=2e-3, atol=2e-5)
    assert float((found.W - course.initial(3)).norm()) > 0.1


def test_fixed_epochs_read_every_present_example_so_often_and_end_earlier():
    course = finetune(steps=None, epochs=2, lr=0.02, weight_decay=0.1)
    schedule, mask = course.schedule(1), (1.0, 0.0, 1.0)
    row = [i for t in range(schedule.steps) for i in schedule.batch(t) if mask[course.group[i]]]
    steps = [row[i : i + 6] for i in range(0, len(row), 6)]
    assert (schedule.steps, len(steps)) == (12, 8)
    assert sorted(row) == sorted([*range(12), *range(24, 36)] * 2)
    torch.testing.assert_close(
        course.train(mask, 1).W, plain_loop(course, "llama", mask, 1, steps), rtol=2e-3, atol=2e-5
    )
    assert course.notes["absent_tasks"] == "fixed_epochs"
    assert course.notes["training"]["epochs"] == 2


def test_masks_of_a_seed_share_start_and_batches():
    course = finetune()
    assert torch.equal(course.initial(0), course.initial(0))
    assert not torch.equal(course.initial(0), course.initial(1))
    whole, part = (course.batches(np.array(mask), 0) for mask in ([1, 1, 1], [1, 0, 2.0]))
    assert len(whole) == len(part) == 4
    for (all_rows, all_weights), (some, weights) in zip(whole, part, strict=True):
        assert some.tolist() == [i for i in all_rows if course.group[i] != 1]
        np.testing.assert_allclose(all_weights, 1 / 6)
        np.testing.assert_allclose(weights, np.array([1, 0, 2])[course.group[some]] / 6)
    other = course.batches(np.ones(3), 1)
    assert any(a[0].tolist() != b[0].tolist() for a, b in zip(whole, other, strict=True))
    np.testing.assert_array_equal(course.train("all", 0).W, course.train([1, 1, 1], 0).W)


def test_a_mask_without_any_task_trains_nothing():
    course = finetune()
    assert torch.equal(course.train([0, 0, 0], 0).W, course.initial(0))


def test_an_evaluator_that_learns_and_says_what_it_did(tmp_path):
    course = finetune(steps=30, lr=0.02, targets={"val": rows(90), "own": rows(0, 6)})
    assert isinstance(course, Evaluator)
    assert (course.K, course.tasks, course.targets, course.higher_is_better) == (
        3,
        ("a", "b", "c"),
        ("val", "own"),
        (False,) * 2,
    )
    before, after = course.measure(course.initial(0)), course.evaluate(np.ones((1, 3)), np.zeros(1, int))[0]
    assert (after < before - 0.5).all()
    assert course.notes["coupled"]
    assert course.notes["training"] | {"optimiser": "adamw", "steps": 30, "batch_size": 6} == course.notes["training"]
    with pytest.raises(ValueError, match=r"masks"):
        course.evaluate(np.ones((1, 2)), np.zeros(1, int))


# ---------------------------------------------------------------- what is measured


def test_accuracy_is_the_share_whose_own_answer_is_likeliest_of_the_options():
    course = finetune(
        targets={"val": language.chosen(90), "same": language.chosen(91)}, metric={"val": "accuracy", "same": "loss"}
    )
    assert course.higher_is_better == (True, False)
    W, data, adapter = course.initial(0), language.chosen(90), course.adapter
    adapter.place(W)
    right = []
    for row in data:
        losses = {}
        for option in row["label_options"]:
            start = len(course.tokenizer(row["prompt"])["input_ids"])
            ids = torch.tensor(course.tokenizer(f"{row['prompt']} {option}")["input_ids"])
            with torch.no_grad():
                logits = adapter.cut.inner(input_ids=ids[None]).logits[0, start - 1 : -1]
            losses[option] = float(torch.nn.functional.cross_entropy(logits, ids[start:]))
        right.append(min(losses, key=losses.__getitem__) == row["answer"])
    assert course.measure(W)[0] == pytest.approx(np.mean(right))


def test_a_metric_of_the_users_sees_losses_and_rows():
    def worst(losses, rows):
        assert len(losses) == len(rows) == len(rows.prompts) == 12
        return losses.max()

    with pytest.raises(ValueError, match=r"higher_is_better of target 'val' is not stated"):
        finetune(metric=worst)
    course = finetune(metric=worst, higher_is_better=False)
    mean = finetune()
    assert course.measure(course.initial(0))[0] > mean.measure(mean.initial(0))[0]
    with pytest.raises(ValueError, match=r"is no loss, so it has no gradients"):
        next(course.target_reactions(course.initial(0), 0))


# ---------------------------------------------------------------- through the library


def test_a_store_is_filled_goes_on_and_knows_the_evaluator(tmp_path):
    folder, place = language.saved(tmp_path), tmp_path / "runs.db"
    course = finetune(model=folder, cache=tmp_path / "states")
    masks = ip.masks.leave_one_out(3)
    runs = ip.evaluate(course, masks, seeds=2, store=place, progress=False)
    assert (runs.m, runs.notes["coupled"]) == (8, True)
    np.testing.assert_allclose(runs.values[:4], course.evaluate(masks, np.zeros(4, int)))
    again = finetune(model=folder, cache=tmp_path / "states")
    again.train = lambda *_: pytest.fail("it is in the store")
    assert np.array_equal(ip.evaluate(again, masks, seeds=2, store=place, progress=False).values, runs.values)
    with pytest.raises(ValueError, match=r"steps: 4 in the store, 5 now"):
        ip.evaluate(finetune(model=folder, steps=5), masks, store=place, progress=False)


def test_workers_get_the_evaluator_without_the_model(tmp_path):
    course = finetune(tmp_path)
    masks = ip.masks.leave_one_out(3)
    runs = ip.evaluate(course, masks, workers=2, progress=False)
    np.testing.assert_allclose(runs.values, course.evaluate(masks, np.zeros(4, int)), rtol=1e-6)


@pytest.mark.parametrize("where", ["path", "object", "disk"])
def test_pickles_are_light_and_compute_the_same(tmp_path, where, monkeypatch):
    cache = {"cache": tmp_path / "states"} if where == "disk" else {}
    course = finetune(None if where == "object" else tmp_path, **cache)
    found = course.evaluate(np.ones((1, 3)), np.zeros(1, int))
    data = pickle.dumps(course)
    model = sum(4 * p.numel() for p in course.adapter.cut.model.parameters())
    states = 4 * 32 * int(course.examples.lengths.sum() + course.evaluation["val"].examples.lengths.sum())
    kept = (model if where == "object" else 0) + (0 if where == "disk" else states)
    assert kept <= len(data) < kept + (120_000 if where == "object" else 60_000)
    monkeypatch.setattr(States, "__init__", lambda *_: pytest.fail("states are there"))
    other = pickle.loads(data)
    np.testing.assert_array_equal(other.evaluate(np.ones((1, 3)), np.zeros(1, int)), found)
    assert other.fingerprint() == course.fingerprint()


def test_a_model_that_changed_meanwhile_is_no_longer_taken(tmp_path):
    data = pickle.dumps(finetune(tmp_path))
    changed = language.model()
    changed.model.norm.weight.data += 1
    changed.save_pretrained(tmp_path / "llama")
    with pytest.raises(ValueError, match=r"holds other weights than before"):
        _ = pickle.loads(data).adapter


# ---------------------------------------------------------------- what is told apart


def changes():
    from interplay.unrolled.training import Flatter

    other = {**language.sources(), "b": rows(50)}
    lora = peft.LoraConfig(r=2, lora_alpha=8, target_modules=LINEAR["llama"])
    return {
        "steps": {"steps": 5},
        "epochs": {"steps": None, "epochs": 1},
        "rate": {"lr": 0.02},
        "decay": {"weight_decay": 0.1},
        "betas": {"betas": (0.9, 0.99)},
        "optimiser": {"optimiser": "sgd", "momentum": 0.9},
        "flatter": {"flatter": Flatter("sam", 0.05)},
        "batch": {"batch_size": 7},
        "rank": {"lora": 3},
        "scale": {"lora": lora},
        "start": {
            "lora": peft.LoraConfig(r=2, lora_alpha=4, target_modules=LINEAR["llama"], init_lora_weights="gaussian")
        },
        "layers": {"layers": 1},
        "which": {"layers": [0, 2]},
        "precision": {"dtype": torch.bfloat16},
        "length": {"max_length": 6},
        "data": {"datasets": other},
        "targets": {"targets": {"val": rows(91)}},
        "accuracy": {"targets": {"val": language.chosen(90)}, "metric": "accuracy"},
        "model": {"model": language.model(rms_norm_eps=1e-6, initializer_range=0.5), "tokenizer": language.tokenizer()},
    }


@pytest.mark.parametrize("what", changes() if hasattr(peft, "LoraConfig") else [])
def test_what_changes_a_value_changes_the_fingerprint(what):
    assert finetune(**changes()[what]).fingerprint() != finetune().fingerprint()


def test_answers_and_functions_that_differ_change_the_fingerprint():
    data = language.chosen(90)
    turned = [{**data[0], "answer": "no" if data[0]["answer"] == "yes" else "yes"}, *data[1:]]
    one, other = (finetune(targets={"val": d}, metric="accuracy").fingerprint() for d in (data, turned))
    assert one != other
    first, second = (
        finetune(metric=m, higher_is_better=False).fingerprint() for m in (lambda v, _: v.max(), lambda v, _: v.min())
    )
    assert first != second


def test_what_changes_no_value_leaves_the_fingerprint(tmp_path):
    plain = finetune().fingerprint()
    path = language.saved(tmp_path)
    files = language.write(tmp_path, language.sources())
    lora = peft.LoraConfig(r=2, lora_alpha=4, target_modules=LINEAR["llama"], task_type="CAUSAL_LM")
    for how in (
        {"model": path, "datasets": files},
        {"model": path, "cache": tmp_path / "states", "memory": 1},
        {"lora": lora},
        {"layers": [1, 2]},
        {"max_length": 60},
        {"datasets": {k: [{**row, "more": 1} for row in v] for k, v in language.sources().items()}},
    ):
        assert finetune(**how).fingerprint() == plain, how
    assert finetune(targets={"other": rows(90)}).fingerprint().keys() != plain.keys()


def test_the_fingerprint_of_a_usual_recipe_has_the_keys_that_stores_hold():
    expected = {"optimiser", "lr", "weight_decay", "betas", "eps", "schedule", "warmup", "steps", "batch_size"}
    expected |= {"trained parameters", "model", "parameters", "first trained layer", "dtype"}
    expected |= {"datasets.a", "datasets.b", "datasets.c", "targets.val"}
    assert finetune().fingerprint().keys() == expected


# ---------------------------------------------------------------- parameters that are kept


def test_trained_parameters_are_saved_and_measured_again(tmp_path):
    course = finetune(tmp_path)
    trained = course.train([1, 0, 1], 2)
    trained.save(tmp_path / "W0.safetensors")
    loaded = Trained.load(tmp_path / "W0.safetensors")
    assert torch.equal(loaded.W, trained.W)
    for part in ("names", "shapes", "mask", "seed"):
        assert getattr(loaded, part) == getattr(trained, part)
    np.testing.assert_array_equal(course.measure(loaded), course.measure(trained.W))
    for how, words in (
        ({"lora": 3}, r"another configuration: .*lora_A.*\(2, 32\), not \(3, 32\)"),
        ({"layers": 1}, r"another configuration: \d+ parameters, not \d+ .*trained here and not there"),
        ({"lora": None, "layers": None, "parameters": ["model.norm.weight"]}, "another configuration"),
    ):
        with pytest.raises(ValueError, match=words):
            finetune(**how).measure(loaded)
    turned = Trained(
        torch.cat([p.reshape(-1) for p in reversed(course.adapter.split(trained.W).values())]),
        trained.names[::-1],
        trained.shapes[::-1],
        trained.mask,
        2,
    )
    np.testing.assert_array_equal(course.measure(turned), course.measure(trained))
    with pytest.raises(ValueError, match=r"W has shape \(3,\); this model trains \d+ parameters"):
        course.measure(torch.zeros(3))


def test_files_that_hold_no_training_are_refused(tmp_path):
    trained = finetune().train()
    with pytest.raises(ValueError, match=r"'W0.pt'; trained parameters are kept as safetensors"):
        trained.save(tmp_path / "W0.pt")
    with pytest.raises(FileNotFoundError, match=r"there is no such file; Trained.save writes one"):
        Trained.load(tmp_path / "none.safetensors")
    language.saved(tmp_path)
    with pytest.raises(ValueError, match=r"model.safetensors is no file that Trained.save wrote"):
        Trained.load(tmp_path / "llama" / "model.safetensors")
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no.safetensors is no file that Trained.save wrote"):
        Trained.load(tmp_path / "no.safetensors")


# ---------------------------------------------------------------- what goes wrong while it trains


def test_a_rate_that_is_too_high_is_named_with_the_step():
    course = finetune(lr=1e30, steps=6, schedule="constant", warmup=0)
    with pytest.raises(
        EvaluationFailed,
        match=r"diverged at step \d: the \w+ of an example of '[abc]' is not finite in float32; lower lr \(1e\+30\)\.$",
    ):
        course.train()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_trains_or_says_that_it_cannot(dtype):
    course = finetune(dtype=dtype)
    exact = finetune()
    assert course.train().W.dtype == torch.float32
    np.testing.assert_allclose(course.measure(course.train()), exact.measure(exact.train()), atol=0.1)
    course.optimiser = replace(course.optimiser, lr=1e30)
    with pytest.raises(
        EvaluationFailed, match=r"diverged at step \d: .* not finite in \w*16; lower lr .*, or pass dtype=torch.float32"
    ):
        course.train()
    with pytest.raises(ValueError, match=r"model.norm.weight is trained itself, which is done in float32"):
        finetune(dtype=dtype, lora=None, layers=None, parameters=["model.norm.weight"])


def test_sharpness_aware_and_noisy_gradients_are_coupled():
    from interplay.unrolled.training import Flatter

    ends = [finetune(flatter=Flatter(way, 0.05)).train().W for way in ("sam", "sam", "noise", "noise")]
    ends.append(finetune().train().W)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[2], ends[3])
    assert not any(torch.equal(a, b) for a, b in pairwise([ends[0], ends[2], ends[4]]))


# ---------------------------------------------------------------- what is odd about the data


def test_warnings_travel_with_the_runs_and_older_recordings_go_on(tmp_path):
    a, b, c = language.sources().values()
    made = lambda: finetune(datasets={"a": a, "b": b + a[:3], "c": c})
    masks, store = ip.masks.leave_one_out(3), tmp_path / "runs.db"
    older, course = made(), made()
    assert course.warnings[0].startswith("datasets['a'] and datasets['b'] share 3 examples")
    older.warnings = ()
    assert "warnings" not in older.notes
    first = ip.evaluate(older, masks[:2], store=store, progress=False)
    assert course.fingerprint() == older.fingerprint()
    runs = ip.evaluate(course, masks, store=store, progress=False)
    assert runs.notes["warnings"] == list(course.warnings)
    np.testing.assert_array_equal(runs.values[:2], first.values)
    estimates = ip.evaluate(InRun(course), masks, store=store, progress=False)
    for other in (estimates, first):
        both = other + runs
        assert both.notes["warnings"] == list(course.warnings)
        assert not any("differ" in words for words in both.warnings)
    (estimates + runs).write(tmp_path / "runs.csv")
    assert ip.Evaluations.read(tmp_path / "runs.csv").notes["warnings"] == list(course.warnings)
