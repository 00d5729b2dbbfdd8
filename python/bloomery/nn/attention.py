"""Causal multi-head self-attention.

Shapes: T is the number of tokens given, S that of all tokens with the cached ones, H the heads, D a head's width;
... is any number of leading dimensions.
"""

import torch
import torch.nn.functional as torch_functional
from torch import Tensor, nn

from bloomery.nn import hopper
from bloomery.nn.cache import LayerCache
from bloomery.nn.fp8_joint import fp8_heads
from bloomery.nn.functional import scaled_dot_product_attention
from bloomery.nn.fused import fused_attention
from bloomery.nn.fused_fp8 import fp8_add_linear
from bloomery.nn.joint import heads
from bloomery.nn.linear import Linear, joint_weight
from bloomery.nn.rmsnorm import RMSNorm
from bloomery.nn.rope import RotaryPositionalEmbedding


class CausalMultiHeadSelfAttention(nn.Module):
    """Every token looks at itself and those before it, through several heads (Vaswani et al., 2017, section 3.2.2).

    Args:
        d_model: Width of the input and the output.
        num_heads: Heads, each d_model / num_heads wide.
        rope: Turns queries and keys by their positions; shared between layers. None gives attention without positions.
        qk_norm: Whether queries and keys are RMS-normalised head by head, before RoPE (Dehghani et al., 2023, section
            2, with RMSNorm); adds q_norm and k_norm.
        eps: That of QK-norm.
        device: Where the weights lie.
        dtype: Of the weights.

    Attributes:
        q_proj: To the queries of all heads, side by side; d_model to d_model, as the other three.
        k_proj: To the keys.
        v_proj: To the values.
        output_proj: From the heads' results, side by side.
        fused: Whether torch's own attention kernel is used; equal but for rounding, faster, and it never holds the
            [T, S] scores.
        joint: Whether queries, keys and values are computed as one product where nothing but RoPE comes between it and
            attention; see `joint_linear` and `heads`.
        hopper: Whether that product ends in RoPE, and is one function with attention; see `use_hopper`.

    Raises:
        ValueError: d_model is no multiple of num_heads.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        rope: RotaryPositionalEmbedding | None = None,
        *,
        qk_norm: bool = False,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if d_model % num_heads:
            raise ValueError(f"d_model = {d_model} does not divide into num_heads = {num_heads} equal heads")
        self.num_heads = num_heads
        self.q_proj = Linear(d_model, d_model, device, dtype)
        self.k_proj = Linear(d_model, d_model, device, dtype)
        self.v_proj = Linear(d_model, d_model, device, dtype)
        self.output_proj = Linear(d_model, d_model, device, dtype)
        d_head = d_model // num_heads
        self.q_norm = RMSNorm(d_head, eps, device, dtype) if qk_norm else None
        self.k_norm = RMSNorm(d_head, eps, device, dtype) if qk_norm else None
        self.rope = rope
        self.fused = False
        self.joint = False
        self.hopper = False

    def use_hopper(self, *, enabled: bool) -> None:
        """Makes joint products and attention use the kernels of `hopper`, where the widths allow it."""
        d_model = self.q_proj.weight.shape[0]
        d_head = d_model // self.num_heads
        fits = d_head % hopper.MULTIPLE == 0 and d_head <= hopper.LARGEST_HEAD
        self.hopper = enabled and fits

    def forward(self, x: Tensor, token_positions: Tensor | None = None, cache: LayerCache | None = None) -> Tensor:
        """Attends.

        Args:
            x: [..., T, d_model]; with a cache [batch, T, d_model].
            token_positions: For RoPE: integers that broadcast to [..., T]; unless given they count on from the cached
                tokens, or from 0. Who looks at whom goes by the order of the tokens, not by this.
            cache: What the earlier tokens left; this call's are appended.

        Returns:
            The shape of x.
        """
        past = 0 if cache is None else cache.length
        if self.joins and token_positions is None and cache is None:
            return self.output_proj(self._joint(x))
        q, k, v = (self._heads(proj(x)) for proj in (self.q_proj, self.k_proj, self.v_proj))  # [..., H, T, D]
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rope is not None:
            if token_positions is not None:
                token_positions = token_positions.unsqueeze(-2)  # the same for every head
            elif past:
                token_positions = torch.arange(past, past + x.shape[-2], device=x.device)
            q, k = self.rope(q, token_positions), self.rope(k, token_positions)
        if cache is not None:
            k, v = cache.append(k, v)
        return self.output_proj(self._attend(q, k, v).transpose(-3, -2).flatten(-2))

    @property
    def joins(self) -> bool:
        """Whether queries, keys and values are computed as one product where there are no positions and no cache."""
        return self.joint and self.rope is not None and self.q_norm is None

    def add_to(self, residual: Tensor, x: Tensor, gain: Tensor) -> Tensor:
        """Residual + the attention of x · gain where it `joins`; all [..., T, d_model] but gain [d_model]."""
        y = self._joint(x, gain)
        if self.hopper and self.output_proj.fp8:
            return fp8_add_linear(residual, y, self.output_proj.weight)
        return self.output_proj.add_to(residual, y)

    def _joint(self, x: Tensor, gain: Tensor | None = None) -> Tensor:
        """What the heads make of x · gain, side by side, before the output projection."""
        if self.rope is None:
            raise AssertionError("joint products are for RoPE")
        weight = joint_weight(self.q_proj, self.k_proj, self.v_proj, gain=gain)
        if self.hopper:
            return fused_attention(x, weight, self.rope, self.num_heads, fp8=self.q_proj.fp8)
        cos, sin = self.rope.tables(x.shape[-2])
        q, k, v = map(self._heads, (fp8_heads if self.q_proj.fp8 else heads)(x, weight, cos, sin))
        return self._attend(q, k, v).transpose(-3, -2).flatten(-2)

    def _heads(self, x: Tensor) -> Tensor:
        """[..., T, H·D] to [..., H, T, D]."""
        return x.reshape(*x.shape[:-1], self.num_heads, -1).transpose(-3, -2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries of the last T tokens over the keys and values of all S: [..., H, T, D]."""
        queries, keys = q.shape[-2], k.shape[-2]
        if self.fused and queries == keys:
            return torch_functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mask = None  # a single query is the last token's, which may look at all
        if queries > 1:
            mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
        if self.fused:
            return torch_functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return scaled_dot_product_attention(q, k, v, mask)

    def extra_repr(self) -> str:
        """What the parts do not show, for printing the model."""
        return f"num_heads={self.num_heads}, fused={self.fused}, joint={self.joint}"
