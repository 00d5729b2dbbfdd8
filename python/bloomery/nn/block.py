"""One layer of the Transformer: attention, then the feed-forward network, each beside a residual path."""

import torch
from torch import Tensor, nn

from bloomery.config import FeedForward, Norm, NormPosition
from bloomery.nn.attention import CausalMultiHeadSelfAttention
from bloomery.nn.cache import LayerCache
from bloomery.nn.rmsnorm import RMSNorm, normalized
from bloomery.nn.rope import RotaryPositionalEmbedding
from bloomery.nn.swiglu import SiLUFeedForward, SwiGLU


def make_norm(
    norm: Norm, d_model: int, eps: float, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    """RMSNorm, or nothing at all for the ablation."""
    return RMSNorm(d_model, eps, device, dtype) if norm == "rms" else nn.Identity()


class TransformerBlock(nn.Module):
    """x + attn(ln1(x)), then x + ffn(ln2(x)): pre-norm (Xiong et al., 2020, table 1).

    Post-norm, the ablation, is ln1(x + attn(x)), then ln2(x + ffn(x)).

    Args:
        d_model: Width of the input and the output.
        num_heads: Attention heads.
        d_ff: Width inside the feed-forward network.
        rope: Positions, shared between layers, or None.
        norm: As in `TransformerConfig`, like the three after it.
        norm_position: Where the norms stand.
        feed_forward: Which network.
        qk_norm: Whether queries and keys are normalised.
        eps: That of every norm.
        device: Where the weights lie.
        dtype: Of the weights.

    Attributes:
        attn: The attention.
        ln1: Its norm.
        ffn: The feed-forward network.
        ln2: Its norm.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        rope: RotaryPositionalEmbedding | None = None,
        *,
        norm: Norm = "rms",
        norm_position: NormPosition = "pre",
        feed_forward: FeedForward = "swiglu",
        qk_norm: bool = False,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.attn = CausalMultiHeadSelfAttention(
            d_model, num_heads, rope, qk_norm=qk_norm, eps=eps, device=device, dtype=dtype
        )
        self.ffn = (SwiGLU if feed_forward == "swiglu" else SiLUFeedForward)(d_model, d_ff, device, dtype)
        self.ln1 = make_norm(norm, d_model, eps, device, dtype)
        self.ln2 = make_norm(norm, d_model, eps, device, dtype)
        self.norm_position = norm_position

    def forward(self, x: Tensor, token_positions: Tensor | None = None, cache: LayerCache | None = None) -> Tensor:
        """[..., T, d_model] to the same shape; see `CausalMultiHeadSelfAttention.forward` for the other arguments."""
        if self.norm_position == "pre":
            ln1, ln2, ffn = self.ln1, self.ln2, self.ffn
            if (
                (self.attn.joins and token_positions is None and cache is None)
                and (isinstance(ffn, SwiGLU) and isinstance(ln1, RMSNorm) and isinstance(ln2, RMSNorm))
            ):  # fmt: skip
                # The same in fewer passes through memory: gains go into the weights, sums into the products.
                x = self.attn.add_to(x, normalized(x, ln1.eps), ln1.weight)
                return ffn.add_to(x, normalized(x, ln2.eps), ln2.weight)
            x = x + self.attn(self.ln1(x), token_positions, cache)
            return x + self.ffn(self.ln2(x))
        x = self.ln1(x + self.attn(x, token_positions, cache))
        return self.ln2(x + self.ffn(x))
