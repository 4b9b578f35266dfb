"""Coupled runs with a transformers.Trainer: which of five sources help a tiny language model on each of them.

pip install '.[torch,trainers]' && python train.py
"""

import numpy as np
import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments, set_seed

import interplay as ip

STEPS, PER_DEVICE, ACCUMULATION, LENGTH = 30, 8, 2, 24
SIZES = {"vocab_size": 16, "n_positions": LENGTH, "n_embd": 32, "n_layer": 2, "n_head": 2,
         "bos_token_id": None, "eos_token_id": None}  # fmt: skip


def made_up(rule, n, seed):  # stands for your data: sequences in which a token follows from the last two, mostly
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 16, (n, LENGTH))
    for t in range(2, LENGTH):
        rows[:, t] = np.where(rng.random(n) < 0.9, rule(rows[:, t - 1], rows[:, t - 2]) % 16, rows[:, t])
    return Dataset.from_dict({"input_ids": rows.tolist(), "labels": rows.tolist()})


RULES = {"next": lambda a, b: a + 1, "last": lambda a, b: b, "sum": lambda a, b: a + b,
         "difference": lambda a, b: a - b + 3, "double": lambda a, b: 2 * a + 1}  # fmt: skip
SOURCES = {name: made_up(rule, 96, seed=i) for i, (name, rule) in enumerate(RULES.items())}
HELD_OUT = {name: torch.tensor(made_up(rule, 32, seed=100)["input_ids"]) for name, rule in RULES.items()}


def losses(model, ids):  # of each sequence, summed over its tokens
    logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").sum(1)


class CoupledTrainer(Trainer):
    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.SequentialSampler(self.train_dataset)  # the rows are in the order of the schedule

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        # num_items_in_batch: tokens of the whole batch, absent sources' included, over all steps of accumulation
        return ip.coupling.coupled_mean(losses(model, inputs["input_ids"]), inputs["weight"], num_items_in_batch)


def train(mask, seed):
    set_seed(seed)  # the same initial weights (and dropout) for every mask
    model = GPT2LMHeadModel(GPT2Config(**SIZES))
    rows = ip.coupling.coupled_dataset(SOURCES, mask, seed=seed, batch_size=PER_DEVICE * ACCUMULATION, steps=STEPS)
    options = TrainingArguments("trainer", max_steps=STEPS, per_device_train_batch_size=PER_DEVICE, learning_rate=3e-3,
                                gradient_accumulation_steps=ACCUMULATION, remove_unused_columns=False, seed=seed,
                                save_strategy="no", report_to="none", disable_tqdm=True, logging_strategy="no",
                                use_cpu=True)  # fmt: skip
    trainer = CoupledTrainer(model, options, train_dataset=rows)
    trainer.remove_callback(PrinterCallback)  # a line for each of many trainings
    trainer.train()
    model.eval()
    with torch.no_grad():
        return {name: float(losses(model, ids).mean()) / (LENGTH - 1) for name, ids in HELD_OUT.items()}


if __name__ == "__main__":
    print(ip.coupling.check_coupling(train, list(SOURCES), task="sum"))
    evaluator = ip.evaluators.Retrain(train, tasks=list(SOURCES), coupled=True, absent_tasks="fixed_steps")
    print(ip.attribute(ip.evaluate(evaluator, ip.masks.leave_one_out(len(SOURCES)), seeds=2)))
