"""The keys and values of tokens already seen, so that generating a token costs one token's work.

Shapes: B is the batch, H the heads, T the new tokens, S all tokens so far, D a head's width.
"""

import torch
from torch import Tensor

from bloomery.config import TransformerConfig


class LayerCache:
    """Keys and values of one attention layer, in memory laid out beforehand.

    Attributes:
        length: Tokens held, alike for the whole batch.
    """

    def __init__(
        self,
        batch_size: int,
        num_heads: int,
        max_length: int,
        d_head: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._keys_and_values = torch.zeros(2, batch_size, num_heads, max_length, d_head, device=device, dtype=dtype)
        self.length = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds those of the next tokens, each [B, H, T, D], and gives all so far, each [B, H, S, D].

        Raises:
            ValueError: They are of another shape, or more than there is room for.
            RuntimeError: A gradient would have to go through the cache.
        """
        _, batch, heads, room, width = self._keys_and_values.shape
        end = self.length + keys.shape[-2]
        if keys.shape != (batch, heads, keys.shape[-2], width):
            raise ValueError(
                f"the cache holds [{batch}, {heads}, tokens, {width}] (batch, heads, tokens, head width), "
                f"not {list(keys.shape)}"
            )
        if end > room:
            raise ValueError(f"the cache holds {room} tokens, not {end}: clear it, and fill it with the latest ones")
        if torch.is_grad_enabled() and (keys.requires_grad or values.requires_grad):
            raise RuntimeError("a cache is for inference: call the model under torch.inference_mode()")
        self._keys_and_values[0, :, :, self.length : end] = keys
        self._keys_and_values[1, :, :, self.length : end] = values
        self.length = end
        all_keys, all_values = self._keys_and_values[:, :, :, :end].unbind()
        return all_keys, all_values

    def clear(self) -> None:
        """Forgets all tokens; the memory stays."""
        self.length = 0


class KVCache:
    """A `LayerCache` for each layer of a model; as many tokens fit as its context_length.

    Attributes:
        layers: One cache a layer, in order.
    """

    def __init__(
        self,
        config: TransformerConfig,
        batch_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.layers = [
            LayerCache(batch_size, config.num_heads, config.context_length, config.d_head, device, dtype)
            for _ in range(config.num_layers)
        ]

    @property
    def length(self) -> int:
        """Tokens held, alike for the whole batch."""
        return self.layers[0].length

    def clear(self) -> None:
        """Forgets all tokens; the memory stays."""
        for layer in self.layers:
            layer.clear()
