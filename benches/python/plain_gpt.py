"""A GPT-2 written the usual short way, and one training step of it: what bloomery's step is compared with.

It has what such trainers have: LayerNorm without bias, learned positions, GELU, one product for queries, keys and
values, tied embeddings, a vocabulary padded to a multiple of 64, torch's attention kernel, autocast to bfloat16, fused
AdamW and torch.compile over the whole model.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as torch_functional
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the model."""

    vocab_size: int = 50_304
    context_length: int = 1024
    d_model: int = 768
    num_layers: int = 12
    num_heads: int = 12


class Block(nn.Module):
    """Attention and a feed-forward network four times as wide, each beside a residual path."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.d_model
        self.num_heads = shape.num_heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.attention_output = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, bias=False)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d_model] to the same shape."""
        heads = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = torch_functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_output(attended.transpose(1, 2).flatten(-2))
        return x + self.narrow(torch_functional.gelu(self.wide(self.feed_forward_norm(x))))


class PlainGPT(nn.Module):
    """GPT-2."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocab_size, shape.d_model)
        self.positions = nn.Embedding(shape.context_length, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.num_layers))
        self.norm = nn.LayerNorm(shape.d_model, bias=False)
        self.head = nn.Linear(shape.d_model, shape.vocab_size, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:
            for output in (block.attention_output, block.narrow):
                nn.init.normal_(output.weight, std=0.02 / math.sqrt(2 * shape.num_layers))
        self.head.weight = self.tokens.weight

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """[B, T] ids to the mean cross-entropy of the targets [B, T]."""
        x = self.tokens(inputs) + self.positions.weight[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return torch_functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class PlainStep:
    """One optimizer step a call."""

    def __init__(self, shape: Shape, device: torch.device, precision: torch.dtype) -> None:
        self.device, self.precision = device, precision
        self.model = PlainGPT(shape).to(device)
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95), fused=True)
        self.forward = torch.compile(self.model)

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Trains on one batch, and gives its loss, on the device."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32):
            loss = self.forward(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()
