"""The training loss of a batch, by fast code or by the written-out functions."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from bloomery.nn import TransformerLM, cross_entropy, linear_cross_entropy

_LAYERS_COMPILED_WHOLE = 24


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
        return linear_cross_entropy(self._hidden(inputs), self.model.head_weight, targets, compiled=self.compiled)


def compile_hidden(model: TransformerLM, *, by_layer: bool = False) -> Callable[..., Tensor]:
    """The model's `hidden` through torch.compile: whole, or where that would take minutes each layer by itself."""
    # By itself a layer took a third of the time to compile, and the step 3 % (GPT-2 small) and 8 % (the 17M model)
    # longer (H200). Replaying CUDA graphs (mode="reduce-overhead") changed nothing there: the launches are hidden
    # behind the work, as nothing in a step waits for the device. mode="max-autotune" compiles for minutes.
    if len(model.layers) <= _LAYERS_COMPILED_WHOLE and not by_layer:
        return cast("Callable[..., Tensor]", torch.compile(model.hidden))  # pyright: ignore[reportUnknownMemberType] - untyped in torch
    for layer in model.layers:
        layer.forward = torch.compile(layer.forward)  # pyright: ignore[reportUnknownMemberType]
    return model.hidden
