"""A language model or classifier with its tokenizer, loaded without running anything that a file holds; LoRA put in.

Weights come from safetensors or GGUF files, never from pickles, and never with code of the repository
(``trust_remote_code=False``).
"""

from __future__ import annotations

import copy
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..evaluators.seeding import seeded
from .cut import layers_of
from .labels import HEAD, Labels, is_classifier, labels_of

__all__ = ["Loaded", "adapt", "first_trained", "load", "needed"]


class Loaded(NamedTuple):
    """A model with what belongs to it.

    Attributes
    ----------
    model, tokenizer
    name : str
        For messages.
    labels : Labels or None
        Of a classifier.
    drawn : bool
        Whether the head of a classifier was drawn (under seed 0) because the files hold none.
    """

    model: Any
    tokenizer: Any
    name: str
    labels: Labels | None
    drawn: bool


def needed(name: str, who: str) -> Any:
    """Import an optional package, or say how to install it."""
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(f"{who} needs {name}, which is not installed: pip install 'interplay[finetune]'") from error


def load(model: Any, tokenizer: Any = None, *, dtype: torch.dtype = torch.float32) -> Loaded:
    """Load a model and its tokenizer.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        A name on the Hugging Face hub, a folder with safetensors, a folder with one GGUF file or that file, or a
        loaded model, which is copied. What a configuration calls a model for sequence classification is a classifier.
    tokenizer : str, path or tokenizer, optional
        Default: the model's own.
    dtype : torch.dtype
        Of all weights but the head of a classifier, which is float32.

    Raises
    ------
    ValueError
        If there are no safetensors or GGUF weights, the tokenizer is that of another model, or a classifier is none
        that can be trained here.
    """
    transformers = needed("transformers", "Finetune")
    own: str | None = None
    missing: set[str] = set()
    options: dict[str, Any] = {"trust_remote_code": False}
    if isinstance(model, str | os.PathLike):
        name = str(model)
        source, gguf = _place(model)
        if gguf is not None:
            needed("gguf", "a GGUF file")
            options["gguf_file"] = gguf
        weights = {} if gguf is not None else {"use_safetensors": True}
        try:
            with _quietly(), seeded(0):  # a head that is in no file is drawn
                kind = transformers.AutoModelForCausalLM if gguf is not None else _kind(transformers, source)
                loaded, found = kind.from_pretrained(
                    source, dtype=dtype, output_loading_info=True, **options, **weights
                )
                missing = set(found["missing_keys"])
        except (OSError, ValueError) as error:
            raise ValueError(_refused(name, str(error))) from error
        if gguf is not None:  # plain weights from here on
            loaded.hf_quantizer = None
            loaded.config.__dict__.pop("quantization_config", None)
        if tokenizer is not None and any(Path(source).glob("tokenizer*.json")):
            own = source
        tokenizer = source if tokenizer is None else tokenizer
    else:
        if not isinstance(model, nn.Module) or not hasattr(model, "get_output_embeddings"):
            raise TypeError(f"model is a {type(model).__name__}; pass a name, a folder, or a model of transformers.")
        name = str(getattr(model, "name_or_path", "") or type(model).__name__)
        loaded = copy.deepcopy(model).to(dtype)
        if tokenizer is None:
            raise ValueError("tokenizer is missing; a model that is already loaded needs its tokenizer beside it.")
    labels = labels_of(loaded)
    if labels is not None:
        getattr(loaded, HEAD).float()
    if isinstance(tokenizer, str | os.PathLike):
        tokenizer = _tokenizer(transformers, tokenizer)
    vocabulary = int(loaded.get_input_embeddings().num_embeddings)  # type: ignore[reportCallIssue]
    if len(tokenizer) > vocabulary:
        raise ValueError(
            f"tokenizer has {len(tokenizer)} tokens and the model {name} an embedding of {vocabulary}: it is the "
            "tokenizer of another model. Pass the model's own, or resize the embedding."
        )
    if own is not None:
        theirs, given = _tokenizer(transformers, own).get_vocab(), tokenizer.get_vocab()
        if differ := sum(given.get(token, i) != i for token, i in theirs.items()):
            raise ValueError(
                f"tokenizer gives {differ} of {len(theirs)} tokens another number than the model {name} knows them by: "
                "it is the tokenizer of another model. Leave it out, and the model's own is taken."
            )
    return Loaded(loaded.eval(), tokenizer, name, labels, labels is not None and f"{HEAD}.weight" in missing)


def adapt(
    model: Any,
    lora: Any,
    layers: int | Sequence[int] | None,
    parameters: Sequence[str] | None,
    drawn: bool = False,
) -> Any:
    """Freeze the model, but for LoRA in its layers or for the parameters that are named.

    The head of a classifier is trained too where ``lora`` is a rank or its ``modules_to_save`` or ``task_type`` ask for
    it, and beside any LoRA where it was drawn.

    Parameters
    ----------
    model : PreTrainedModel
    lora : peft.LoraConfig, int or None
        A configuration, or a rank for all linear parts of the layers.
    layers : int, sequence of int or None
        The upper so many layers, or the indices of the layers, that get LoRA; None: all, or what ``lora`` says.
    parameters : sequence of str, optional
        Names or globs of parameters to train as they are; only with ``lora=None``.
    drawn : bool
        Whether the head of a classifier was drawn.

    Returns
    -------
    PeftModel or PreTrainedModel
    """
    model.requires_grad_(False)
    if lora is None:
        if layers is not None:
            raise ValueError(f"layers is {layers!r} and lora is None; name the layers in parameters=['*.layers.3.*'].")
        return _chosen(model, parameters)
    if parameters is not None:
        raise ValueError("lora and parameters are both given; pass lora=None to train the named parameters themselves.")
    peft = needed("peft", "lora")
    total = len(layers_of(model)[1])
    if isinstance(layers, int):
        if not 1 <= layers <= total:
            raise ValueError(f"layers is {layers}; the model has {total} layers.")
        layers = range(total - layers, total)
    if layers is not None and (outside := [k for k in layers if not 0 <= k < total]):
        raise ValueError(f"layers names layer {outside[0]}; the model has {total} layers, 0 to {total - 1}.")
    if isinstance(lora, bool) or not isinstance(lora, int | peft.LoraConfig):
        raise TypeError(f"lora is {lora!r}; pass a rank such as 8, a peft.LoraConfig, or None.")
    whole = drawn or (isinstance(lora, int) and is_classifier(model))
    if isinstance(lora, int):
        if lora < 1:
            raise ValueError(f"lora is {lora}; a rank is at least 1.")
        # scale 2 as in most recipes; no dropout, which would draw other numbers for every mask
        lora = peft.LoraConfig(r=lora, lora_alpha=2 * lora, target_modules=sorted(_linear(model)))
    lora = copy.deepcopy(lora)
    if is_classifier(model) and lora.task_type not in (None, "SEQ_CLS"):
        raise ValueError(
            f"lora has task_type={str(lora.task_type)!r} and the model is a {type(model).__name__}; set "
            "task_type='SEQ_CLS', or leave it out."
        )
    if whole and HEAD not in (saved := list(lora.modules_to_save or ())):
        lora.modules_to_save = [*saved, HEAD]
    if lora.lora_dropout:
        raise ValueError(
            f"lora has lora_dropout={lora.lora_dropout}; trainings of one seed must not draw noise of their own. "
            "Set lora_dropout=0."
        )
    if layers is not None:
        lora.layers_to_transform = list(layers)
    try:
        with seeded(0), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fan_in_fan_out")  # peft sees for itself what GPT-2 has
            warnings.simplefilter("ignore", FutureWarning)  # of transformers, about what peft calls
            adapted = peft.get_peft_model(model, lora)
    except ValueError as error:
        raise ValueError(
            f"lora does not fit the model: {error} Linear parts of its layers: {', '.join(sorted(_linear(model)))}."
        ) from error
    return adapted.eval()


def first_trained(model: Any) -> int | None:
    """Return the index of the first layer with a trained parameter; None if something below the layers is trained."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    name, layers = layers_of(inner)
    total = len(layers)
    found = total
    for parameter, p in inner.named_parameters():
        if not p.requires_grad:
            continue
        inside = re.match(re.escape(name) + r"\.(\d+)\.", parameter)
        if inside:
            found = min(found, int(inside.group(1)))
        elif (
            any(p is q for q in inner.get_input_embeddings().parameters()) or "embed" in parameter or "wpe" in parameter
        ):
            return None
    return min(found, total - 1)


def _kind(transformers: Any, source: str) -> Any:
    """Return the class of `transformers` that loads what the configuration of a model names, or says what is wrong."""
    try:
        named = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False).architectures or ()
    except (OSError, ValueError):
        named = ()
    classifier = any(name.endswith("ForSequenceClassification") for name in named)
    return transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModelForCausalLM


def _place(where: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Return what `from_pretrained` takes, and the name of a GGUF file in it."""
    path = Path(where)
    if path.is_file():
        if path.suffix != ".gguf":
            raise ValueError(f"model is the file {path.name}; pass a folder, or a GGUF file.")
        return str(path.parent), path.name
    if not path.is_dir():
        return str(where), None
    if any(path.glob("*.safetensors")) or not (found := sorted(path.glob("*.gguf"))):
        if not any(path.glob("*.safetensors")) and any(path.glob("*.bin")):
            raise ValueError(
                f"model: {path.name} holds pickled weights (.bin) only, which can run code when they are loaded. "
                "Save them as safetensors."
            )
        return str(path), None
    if len(found) > 1:
        raise ValueError(f"model: {path.name} holds {len(found)} GGUF files; name the one that you mean.")
    return str(path), found[0].name


@contextmanager
def _quietly() -> Iterator[None]:
    """Let transformers draw no bars meanwhile."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _tokenizer(transformers: Any, where: str | os.PathLike[str]) -> Any:
    source, gguf = _place(where)
    more = {} if gguf is None else {"gguf_file": gguf}
    try:
        return transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False, **more)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tokenizer: none can be loaded from {Path(where).name!r} ({str(error).strip().splitlines()[0]}). Pass a "
            "folder or name that holds one, or a tokenizer of transformers."
        ) from error


def _refused(name: str, words: str) -> str:
    """Say why a model was not loaded, without the advice to run its code."""
    if "trust_remote_code" in words:
        return (
            f"model {name!r} wants code of its own repository to be run, which is never done; take an architecture "
            "that transformers knows."
        )
    return (
        f"model {name!r} cannot be loaded: {words.strip().splitlines()[0]} Pass a folder with a causal language model "
        "or a classifier made of one (config.json and safetensors, or a GGUF file), or the name of one on the hub."
    )


def _chosen(model: Any, parameters: Sequence[str] | None) -> Any:
    if parameters is None:
        raise ValueError("lora is None and parameters is not given; name the parameters to train, or give a rank.")
    patterns = [parameters] if isinstance(parameters, str) else list(parameters)
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"parameters={pattern!r} matches no parameter; there are {', '.join(names[:6])}, ...")
    for name, p in model.named_parameters():
        p.requires_grad_(any(fnmatchcase(name, pattern) for pattern in patterns))
    return model


def _linear(model: Any) -> set[str]:
    """Last names of the linear parts of the model's layers."""
    return {
        name.rpartition(".")[2]
        for name, module in layers_of(model)[1].named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    }
