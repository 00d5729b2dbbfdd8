"""The floating-point operations of a forward pass, matrix multiply by matrix multiply, and of training.

A product of an m×n and an n×p matrix takes 2·m·n·p FLOPs: a multiplication and an addition for each of its terms.
Everything else (norms, softmax, SiLU, RoPE, residual sums, looking up embeddings) is left out: it is of lower order.

Attention's two products are counted whole unless ``causal=True``: then they count half, since a causal mask makes the
other half unnecessary. The accounting of a forward pass counts them whole; MFU counts them half.
"""

from dataclasses import dataclass

from bloomery.accounting.parameters import count_parameters
from bloomery.config import TransformerConfig

ADAMW_FLOPS_PER_PARAMETER = 14
"""Of one AdamW step, for a parameter p with gradient g; coefficients that are the same for all parameters are free:

========================== =======================================================
p ← p - (α·λ)·p            2
m ← β₁·m + (1-β₁)·g        3
v ← β₂·v + (1-β₂)·g²       4
p ← p - α_t · m / (√v + ε) 5: square root, addition, division, product, subtraction
========================== =======================================================
"""

_BACKWARD = 2
"""Times the forward pass: each product is followed by one for the gradient of either factor."""


@dataclass(frozen=True)
class MatrixMultiply:
    """Equal products of an m×n and an n×p matrix that a forward pass makes."""

    name: str
    part: str
    """`projections`, `attention_products`, `feed_forward` or `output_head`."""
    m: int
    n: int
    p: int
    count: int
    """How many there are, over all layers, heads and sequences."""
    causal: bool = False
    """Whether only the half on and below the diagonal is counted."""

    @property
    def flops(self) -> int:
        """Of all of them together."""
        return (1 if self.causal else 2) * self.m * self.n * self.p * self.count


def forward_matmuls(
    config: TransformerConfig, *, batch_size: int = 1, causal: bool = False
) -> tuple[MatrixMultiply, ...]:
    """Every matrix multiply of a forward pass over sequences of the full context length, in the order of the model."""
    length, width, inner, head = config.context_length, config.d_model, config.d_ff, config.d_head
    layers = config.num_layers * batch_size
    heads = layers * config.num_heads
    swiglu = config.feed_forward == "swiglu"
    return (
        *(
            MatrixMultiply(name, "projections", length, width, width, layers)
            for name in ("query projection", "key projection", "value projection")
        ),
        MatrixMultiply("queries · keys", "attention_products", length, head, length, heads, causal),
        MatrixMultiply("weights · values", "attention_products", length, length, head, heads, causal),
        MatrixMultiply("output projection", "projections", length, width, width, layers),
        *(
            MatrixMultiply(f"feed-forward {name}", "feed_forward", length, width, inner, layers)
            for name in (("W1", "W3") if swiglu else ("W1",))
        ),
        MatrixMultiply("feed-forward W2", "feed_forward", length, inner, width, layers),
        MatrixMultiply("output head", "output_head", length, width, config.vocab_size, batch_size),
    )


def flops_by_part(config: TransformerConfig, *, batch_size: int = 1, causal: bool = False) -> dict[str, int]:
    """The FLOPs of a forward pass by part."""
    parts: dict[str, int] = {"feed_forward": 0, "projections": 0, "attention_products": 0, "output_head": 0}
    for product in forward_matmuls(config, batch_size=batch_size, causal=causal):
        parts[product.part] += product.flops
    return parts


def forward_flops(config: TransformerConfig, *, batch_size: int = 1, causal: bool = False) -> int:
    """The FLOPs of a forward pass over `batch_size` sequences of the full context length."""
    return sum(flops_by_part(config, batch_size=batch_size, causal=causal).values())


def training_flops_per_token(config: TransformerConfig, *, causal: bool = True) -> int:
    """The FLOPs of training on one token, forward and backward; times tokens per second over peak FLOP/s it is the MFU.

    The backward pass takes twice the forward pass; recomputed activations and the optimizer's step do not count.
    """
    # Exact: every product has one row for each token.
    return (1 + _BACKWARD) * forward_flops(config, causal=causal) // config.context_length


def adamw_step_flops(config: TransformerConfig) -> int:
    """The FLOPs of one AdamW step over all parameters, whatever the batch."""
    return ADAMW_FLOPS_PER_PARAMETER * count_parameters(config)
