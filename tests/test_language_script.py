"""A script as a new user writes it: six files, estimates from one fine-tuning, eight real ones beside them."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from tests import language

SCRIPT = """
import numpy as np
import interplay as ip
from interplay.evaluators import Finetune
from interplay.unrolled import InRun

names = ["reviews", "intents", "choices", "facts", "spam", "french"]
course = Finetune(
    "model",  # a folder of safetensors or with a GGUF file, or a name on the hub
    {name: f"train/{name}.jsonl" for name in names},  # {"prompt": ..., "answer": ...} in each line
    {name: f"test/{name}.jsonl" for name in names},
    lora=8,
    layers=2,  # the upper two; what the layers below make of a text is computed once
    steps=40,
    batch_size=16,
)
print(*course.warnings, sep="\\n")  # examples in two files, answers that were cut off

loo = ip.masks.leave_one_out(course.K)
near = ip.masks.bernoulli(course.K, 40, np.random.default_rng(0), p=0.8, exclude=loo)
estimates = ip.evaluate(InRun(course), np.vstack([loo, near]), store="runs.db")  # one training, followed for all masks
trained = ip.evaluate(course, near[:8], store="runs.db")  # eight real ones; the same call goes on where it stopped

answer = ip.attribute(estimates + trained, reading="leave-one-out")
print(answer)
print(answer.trust.verdict)
"""


def test_six_files_are_attributed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    language.saved(tmp_path).rename("model")
    names = ["reviews", "intents", "choices", "facts", "spam", "french"]
    for part, n, first in (("train", 24, 0), ("test", 10, 100)):
        (tmp_path / part).mkdir()
        language.write(part, {name: language.rows(first + k, n) for k, name in enumerate(names)})
    spoilt = [{**row, "answer": "maybe"} for row in language.rows(3, 24)]
    language.write("train", {"facts": spoilt})
    found = {}
    exec(SCRIPT, found)
    answer, shown = found["answer"], capsys.readouterr().out
    assert (found["estimates"].m, found["trained"].m) == (47, 8)
    assert (answer.tasks, answer.targets) == (tuple(names), tuple(names))
    assert answer.effects.mean(axis=1).argmin() == 3  # its answers are wrong
    assert f"\n{answer.trust.verdict}\n" in shown
    for words in ("Reading: leave-one-out", "in-run", "retrained", "facts"):
        assert words in shown
