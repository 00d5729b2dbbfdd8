"""The model's parts, written out in plain tensor operations; each can be used alone, with any leading dimensions.

>>> import torch
>>> from bloomery.nn import TransformerConfig, TransformerLM, cross_entropy
>>> model = TransformerLM(TransformerConfig(vocab_size=300, d_model=64, num_layers=2, num_heads=4))
>>> tokens = torch.randint(300, (8, 33))
>>> cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]).backward()
"""

from bloomery.config import TransformerConfig
from bloomery.nn.attention import CausalMultiHeadSelfAttention
from bloomery.nn.block import TransformerBlock
from bloomery.nn.cache import KVCache, LayerCache
from bloomery.nn.embedding import Embedding
from bloomery.nn.fp8 import MULTIPLE as FP8_MULTIPLE
from bloomery.nn.fp8 import fp8_linear
from bloomery.nn.functional import cross_entropy, scaled_dot_product_attention, silu, softmax
from bloomery.nn.linear import Linear, joint_linear
from bloomery.nn.linear_loss import linear_cross_entropy
from bloomery.nn.rmsnorm import RMSNorm
from bloomery.nn.rope import RotaryPositionalEmbedding
from bloomery.nn.swiglu import SiLUFeedForward, SwiGLU
from bloomery.nn.transformer import TransformerLM

__all__ = [
    "FP8_MULTIPLE",
    "CausalMultiHeadSelfAttention",
    "Embedding",
    "KVCache",
    "LayerCache",
    "Linear",
    "RMSNorm",
    "RotaryPositionalEmbedding",
    "SiLUFeedForward",
    "SwiGLU",
    "TransformerBlock",
    "TransformerConfig",
    "TransformerLM",
    "cross_entropy",
    "fp8_linear",
    "joint_linear",
    "linear_cross_entropy",
    "scaled_dot_product_attention",
    "silu",
    "softmax",
]
