"""The training loss of a batch, by fast code or by the written-out functions."""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from bloomery.nn import TransformerLM, cross_entropy, linear_cross_entropy

_LAYERS_COMPILED_WHOLE = 24
_LAYERS_COMPILED_TOGETHER = 12


class LanguageModelLoss(nn.Module):
    """Token ids to the mean cross-entropy of their targets, in nats; what a step differentiates.

    Args:
        model: The model.
        fast: Whether the fast kernels compute it, without the logits of all tokens at once; else the functions that are
            written out. Equal but for rounding.
        compiled: Whether through torch.compile.
        by_layer: Whether each layer is compiled by itself, however few there are.
    """

    def __init__(self, model: TransformerLM, *, fast: bool, compiled: bool = False, by_layer: bool = False) -> None:
        super().__init__()
        self.model = model
        self.fast, self.compiled = fast, compiled
        self._hidden = model.hidden
        if compiled:
            self._hidden = compile_hidden(model, by_layer=by_layer)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Integers [B, T] each to a float32 scalar."""
        if not self.fast:
            return cross_entropy(self.model.logits(self._hidden(inputs)).float(), targets)
        return linear_cross_entropy(
            self._hidden(inputs),
            self.model.head_weight,
            targets,
            compiled=self.compiled,
            fp8=self.model.fp8,
            hopper=self.model.hopper,
        )


def compile_hidden(model: TransformerLM, *, by_layer: bool = False) -> Callable[..., Tensor]:
    """The model's `hidden` through torch.compile: whole, or where that would take minutes in groups of layers."""
    # Layers by themselves lose what is fused across their borders: 3 % of the step (GPT-2 small), 8 % (the 17M model)
    # on an H200. Groups of the same size share their code, so that only one is compiled. Without gain there: replaying
    # CUDA graphs, of the compiled code (mode="reduce-overhead") as well as of the whole forward and backward pass
    # (118.1 ms became 117.8 with GPT-2 small, 19.5 became 19.8 with the 17M model, 263 stayed with GPT-2 XL): the
    # launches are hidden behind the work, as nothing in a step waits for the device. What a profile of a few steps does
    # not account for stays under replay, so it is not gaps between kernels but the clock: at the 700 W that a card may
    # take, an H100's was seen to fall from 1.98 GHz to between 1.4 and 1.8 in these steps.
    # mode="max-autotune" compiles for minutes. coordinate_descent_tuning finds no faster kernels (GPT-2 small, fp8).
    # In 8 bits sums with the residual are kernels of torch.compile, which otherwise adds up to five layers' parts again
    # and again before it stores a sum: 1 ms of 106 on an H100.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"realize_reads_threshold": 1} if model.fp8 else {}
    compiled = functools.partial(torch.compile, options=options)  # pyright: ignore[reportUnknownMemberType] - untyped in torch, as below
    if by_layer:
        for layer in model.layers:
            layer.forward = compiled(layer.forward)
        return model.hidden
    if len(model.layers) <= _LAYERS_COMPILED_WHOLE:
        return cast("Callable[..., Tensor]", compiled(model.hidden))
    count = -(-len(model.layers) // _LAYERS_COMPILED_TOGETHER)
    ends = [len(model.layers) * group // count for group in range(count + 1)]
    parts: list[Any] = [
        model.token_embeddings,
        *(_Layers(model.layers[a:b]) for a, b in pairwise(ends)),
        model.ln_final,
    ]
    forwards = [compiled(part.forward) for part in parts]

    def hidden(x: Tensor) -> Tensor:
        for forward in forwards:
            x = forward(x)
        return x

    return hidden


class _Layers(nn.Module):
    """Some layers of a model."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x
