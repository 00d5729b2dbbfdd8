"""The language model: token ids to logits of the next token."""

import torch
from torch import Tensor, nn

from bloomery.config import TransformerConfig
from bloomery.nn.attention import CausalMultiHeadSelfAttention
from bloomery.nn.block import TransformerBlock, make_norm
from bloomery.nn.cache import KVCache
from bloomery.nn.embedding import Embedding
from bloomery.nn.linear import Linear, init_linear_
from bloomery.nn.rope import RotaryPositionalEmbedding
from bloomery.nn.swiglu import SwiGLU


class TransformerLM(nn.Module):
    """A decoder-only Transformer as its config says.

    Parameters are named ``token_embeddings.weight``, ``layers.{i}.attn.{q,k,v,output}_proj.weight``,
    ``layers.{i}.ln1.weight``, ``layers.{i}.ln2.weight``, ``layers.{i}.ffn.{w1,w2,w3}.weight``, ``ln_final.weight`` and
    ``lm_head.weight``. Switches of the config take away or add: without norm there is no ``ln``; plain SiLU has no
    ``w3``; QK-norm adds ``layers.{i}.attn.{q,k}_norm.weight``; with tied embeddings ``token_embeddings.weight`` is the
    head too, starts as a head does, and there is no ``lm_head``.

    Args:
        config: The shape.
        device: Where the weights lie.
        dtype: Of the weights.

    Attributes:
        config: The shape.
        fp8: Whether products are in 8 bits, those for gradients above all; see `use_fp8`.
        hopper: Whether kernels for Hopper GPUs are used; see `use_hopper_kernels`.
    """

    def __init__(
        self,
        config: TransformerConfig,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.fp8 = False
        self.hopper = False
        self.token_embeddings = Embedding(config.vocab_size, config.d_model, device, dtype)
        rope = None
        if config.position == "rope":
            rope = RotaryPositionalEmbedding(config.rope_theta, config.d_head, config.context_length, device)
        self.layers = nn.ModuleList(
            TransformerBlock(
                config.d_model,
                config.num_heads,
                config.d_ff,
                rope,
                norm=config.norm,
                norm_position=config.norm_position,
                feed_forward=config.feed_forward,
                qk_norm=config.qk_norm,
                eps=config.rms_norm_eps,
                device=device,
                dtype=dtype,
            )
            for _ in range(config.num_layers)
        )
        self.ln_final = make_norm(config.norm, config.d_model, config.rms_norm_eps, device, dtype)
        self.lm_head = None
        if config.tie_embeddings:
            # N(0, 1) rows would give logits of standard deviation sqrt(d_model), and a first loss to match.
            init_linear_(self.token_embeddings.weight)
        else:
            self.lm_head = Linear(config.d_model, config.vocab_size, device, dtype)

    def forward(self, token_ids: Tensor, token_positions: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """The logits of what comes after each token.

        Args:
            token_ids: Integers [..., T] in 0..vocab_size; with a cache [batch, T].
            token_positions: For RoPE, integers that broadcast to [..., T]; unless given they count on from the cached
                tokens, or from 0.
            cache: What the earlier tokens left; this call's are appended.

        Returns:
            [..., T, vocab_size].

        Raises:
            ValueError: More tokens, with the cached ones, than the context length.
        """
        return self.logits(self.hidden(token_ids, token_positions, cache))

    def hidden(self, token_ids: Tensor, token_positions: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """The normalised states before the output head: [..., T, d_model]; arguments and errors as `forward`."""
        length = token_ids.shape[-1] + (0 if cache is None else cache.length)
        if length > self.config.context_length:
            raise ValueError(f"{length} tokens do not fit the context length of {self.config.context_length}")
        x = self.token_embeddings(token_ids)
        for index, layer in enumerate(self.layers):
            x = layer(x, token_positions, None if cache is None else cache.layers[index])
        return self.ln_final(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """The output head: [..., d_model] to [..., vocab_size]."""
        return hidden @ self.head_weight.T

    @property
    def head_weight(self) -> Tensor:
        """The output head's matrix [vocab_size, d_model]; with tied embeddings it is theirs."""
        return self.token_embeddings.weight if self.lm_head is None else self.lm_head.weight

    def use_fused_attention(self, *, enabled: bool = True) -> None:
        """Makes every layer use torch's own attention kernel, or the written-out one; equal but for rounding."""
        for module in self.modules():
            if isinstance(module, CausalMultiHeadSelfAttention):
                module.fused = enabled

    def use_joint_projections(self, *, enabled: bool = True) -> None:
        """Makes every layer compute projections of the same input as one product, or each by itself; for training."""
        for module in self.modules():
            if isinstance(module, CausalMultiHeadSelfAttention | SwiGLU):
                module.joint = enabled

    def use_hopper_kernels(self, *, enabled: bool = True) -> None:
        """Makes every layer with joint projections use the kernels of libraries for Hopper GPUs; see `hopper`.

        In 8 bits the output head does too, where it is computed together with its loss (`linear_cross_entropy`).
        """
        self.hopper = enabled
        for module in self.modules():
            if isinstance(module, CausalMultiHeadSelfAttention | SwiGLU):
                module.use_hopper(enabled=enabled)

    def use_fp8(self, *, enabled: bool = True) -> None:
        """Makes gradients go back through the linear maps of every layer by products in 8 bits; see `fp8`.

        Queries, keys and values that are one product (`use_joint_projections`) are computed in 8 bits too. The output
        head is not, but its gradients are where it is computed together with its loss (`linear_cross_entropy`).
        """
        self.fp8 = enabled
        for module in self.layers.modules():
            if isinstance(module, Linear):
                module.fp8 = enabled
