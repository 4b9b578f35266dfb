"""A causal language model, or a classifier made of one, cut below its first trained layer.

The layers below never change, so what they make of an example is the same in every step of every training: the lower
part runs once, and the hidden states that enter the first trained layer are kept. The upper part goes on from there

    hidden states (tokens, D) -> trained layers -> norm -> head, at the places that predict answer tokens only,

which of a classifier are the last tokens of its texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .labels import HEAD, is_classifier
from .packing import Packed, pack

__all__ = ["Cut", "layers_of"]


class _Reached(Exception):
    """Ends a forward pass at the first trained layer."""


class _Passed(nn.Module):
    """Stands for a layer that is not run, where a model tells its layers apart by their number."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states


def layers_of(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the name and the list of the model's layers: the longest list of modules of one class, in no other list.

    Raises
    ------
    ValueError
        If there is none.
    """
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len({type(m) for m in module}) == 1
        and not any(part.isdigit() for part in name.split("."))  # experts of one layer may be more than the layers
    ]
    if not lists:
        raise ValueError(
            f"model is a {type(model).__name__} without a list of layers; pass a language model of transformers, such "
            "as Llama, Qwen or GPT-2."
        )
    return max(lists, key=lambda found: len(found[1]))


class Cut:
    """The two parts of a causal language model or classifier of `transformers`.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
        In evaluation mode. Its list of layers is shortened in place while the upper part runs.
    first : int or None
        The first layer with a trained parameter; None if something below the layers (the embeddings) is trained:
        then nothing can be kept, and the upper part is the whole model.
    """

    def __init__(self, model: Any, first: int | None):
        self.model, self.first = model, first
        self.inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._classifies = is_classifier(self.inner)
        self.head: nn.Module = getattr(self.inner, HEAD) if self._classifies else self.inner.get_output_embeddings()
        if self.head is None:
            raise ValueError(
                f"model is a {type(self.inner).__name__} without a head over the vocabulary; pass a causal language "
                "model, or a classifier made of one."
            )
        self.dtype: torch.dtype = next(self.inner.get_input_embeddings().parameters()).dtype
        self.name, self.layers = layers_of(self.inner)
        config = self.inner.config.get_text_config()
        self.width = int(config.hidden_size)
        self.device: torch.device = next(self.inner.get_input_embeddings().parameters()).device
        self._numbered = len(set(getattr(config, "layer_types", None) or ())) > 1  # layers that differ by their number

    def lower(self, ids: Sequence[np.ndarray]) -> Tensor:
        """Return what enters the first trained layer, for the tokens of all sequences, ``(tokens, D)``; or the ids."""
        if self.first is None:
            return torch.from_numpy(np.concatenate(ids))
        packed = pack(np.array([len(i) for i in ids]), device=self.device)
        tokens = packed.spread(torch.from_numpy(np.concatenate(ids)).to(self.device))
        kept: list[Tensor] = []

        def stop(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            kept.append(args[0] if args else kwargs["hidden_states"])
            raise _Reached

        handle = self.layers[self.first].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with torch.no_grad():
                self._run(packed, input_ids=tokens)
        except _Reached:
            pass
        finally:
            handle.remove()
        return kept[0].reshape(-1, kept[0].shape[-1])[packed.place]

    def logits(self, states: Tensor, lengths: np.ndarray, where: Tensor) -> Tensor:
        """Return the logits at some tokens.

        Parameters
        ----------
        states : Tensor (tokens, D), or (tokens,) ids
            Of whole sequences, one after another, as `lower` gives them.
        lengths : (n,) array
        where : int64 Tensor (a,)
            Tokens whose logits are wanted.

        Returns
        -------
        Tensor (a, V)
        """
        packed = pack(lengths, device=self.device)
        wanted = packed.place[where]

        with self._before_head(lambda h: h.reshape(-1, h.shape[-1])[wanted][None]):
            if self.first is None:
                return self._run(packed, input_ids=packed.spread(states))[0]
            with self._from(packed.spread(states)) as embeds:
                return self._run(packed, inputs_embeds=embeds)[0]

    def alone(self, ids: np.ndarray, where: Tensor) -> Tensor:
        """Return the logits (a, V) of the model's own forward pass at some tokens of one sequence.

        A classifier finds the token by itself.
        """
        with self._before_head(lambda h: h):
            logits = self.inner(input_ids=torch.from_numpy(ids)[None].to(self.device), use_cache=False).logits
        return logits if self._classifies else logits[0][where]

    def _run(self, packed: Packed, **inputs: Tensor) -> Tensor:
        """Return the logits of what reaches the head; a classifier's own forward would read one token of a row only."""
        run = self.inner.base_model if self._classifies else self.inner
        found = run(
            **inputs, position_ids=packed.positions, attention_mask=packed.attention(self.dtype), use_cache=False
        )
        return self.head(found.last_hidden_state) if self._classifies else found.logits

    @contextmanager
    def _before_head(self, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Change what enters the head meanwhile, which of a classifier is float32."""

        def enter(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
            hidden = change(args[0])
            return (hidden.float() if self._classifies else hidden,)

        handle = self.head.register_forward_pre_hook(enter)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def _from(self, hidden: Tensor) -> Iterator[Tensor]:
        """Run the layers from the first trained one on, which gets `hidden` whatever the embeddings made of it."""
        first = self.first or 0

        def enter(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        parent = self.inner.get_submodule(self.name.rpartition(".")[0])
        short = self.name.rpartition(".")[2]
        handle = self.layers[first].register_forward_pre_hook(enter, with_kwargs=True)
        before = [_Passed() for _ in range(first)] if self._numbered else []
        setattr(parent, short, nn.ModuleList([*before, *self.layers[first:]]))
        try:
            yield hidden
        finally:
            setattr(parent, short, self.layers)
            handle.remove()
