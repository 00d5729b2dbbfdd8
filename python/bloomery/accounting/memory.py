"""The memory that a model's weights and its training with AdamW take, as a·batch + b."""

from dataclasses import dataclass

from bloomery.accounting.parameters import count_parameters
from bloomery.config import TransformerConfig

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of one number, by dtype."""

_MOMENTS = 2


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """The memory of training, in bytes: `per_sequence`·batch + `fixed`."""

    parameters: int
    gradients: int
    optimizer_state: int
    activations: dict[str, int]
    """Of one sequence, by operation."""

    @property
    def per_sequence(self) -> int:
        """`a`: what each sequence of the batch adds."""
        return sum(self.activations.values())

    @property
    def fixed(self) -> int:
        """`b`: what is there whatever the batch."""
        return self.parameters + self.gradients + self.optimizer_state

    def total(self, batch_size: int) -> int:
        """The bytes for a batch of this many sequences."""
        return self.per_sequence * batch_size + self.fixed

    def largest_batch(self, memory: int) -> int:
        """The largest batch that `memory` bytes hold: 0 where not one sequence fits, or not even what is fixed."""
        return max(0, memory - self.fixed) // self.per_sequence


def load_bytes(config: TransformerConfig, dtype: str = "float32") -> int:
    """The bytes of the weights alone."""
    return count_parameters(config) * BYTES[dtype]


def activation_elements(config: TransformerConfig) -> dict[str, int]:
    """The numbers that the forward pass of one sequence leaves for the backward pass, by operation.

    B = 1 sequence of T = context_length tokens; d = d_model, f = d_ff, H = num_heads, V = vocab_size, L = num_layers.
    In elements, each operation's result counted once:

    =================== ===========================================================================
    rms_norms           L · 2·T·d (0 without norms), and L · 2·T·d more with QK-norm
    qkv_projections     L · 3·T·d
    queries_keys        L · H·T² (Q·Kᵀ)
    softmax             L · H·T²
    weighted_sum        L · T·d
    output_projection   L · T·d
    feed_forward_w1     L · T·f
    silu                L · T·f
    feed_forward_w3     L · T·f (SwiGLU only)
    gate_product        L · T·f (SwiGLU only: SiLU(W1·x) ⊙ W3·x)
    feed_forward_w2     L · T·d
    final_rms_norm      T·d (0 without norms)
    output_head         T·V (the logits)
    cross_entropy       T·V (the normalised logits)
    =================== ===========================================================================

    This is the plain model, as it is written out: a fused attention keeps neither of the H·T² terms. RoPE, residual
    sums and the token embeddings are not counted.
    """
    tokens, layers = config.context_length, config.num_layers
    stream = tokens * config.d_model
    scores = config.num_heads * tokens**2
    hidden = tokens * config.d_ff
    logits = tokens * config.vocab_size
    norms = config.norm == "rms"
    gated = config.feed_forward == "swiglu"
    return {
        "rms_norms": layers * 2 * stream * (norms + config.qk_norm),
        "qkv_projections": layers * 3 * stream,
        "queries_keys": layers * scores,
        "softmax": layers * scores,
        "weighted_sum": layers * stream,
        "output_projection": layers * stream,
        "feed_forward_w1": layers * hidden,
        "silu": layers * hidden,
        "feed_forward_w3": layers * hidden * gated,
        "gate_product": layers * hidden * gated,
        "feed_forward_w2": layers * stream,
        "final_rms_norm": stream * norms,
        "output_head": logits,
        "cross_entropy": logits,
    }


def training_memory(
    config: TransformerConfig, *, dtype: str = "float32", activation_dtype: str | None = None
) -> TrainingMemory:
    """The memory of training with AdamW; P parameters take, in bytes, with s the size of a number of `dtype`:

    =============== ================================================
    parameters      s·P
    gradients       s·P
    optimizer_state 2·s·P (AdamW's two moments)
    activations     `activation_elements`, in `activation_dtype` (default: `dtype`)
    =============== ================================================
    """
    weights = load_bytes(config, dtype)
    size = BYTES[activation_dtype or dtype]
    return TrainingMemory(
        parameters=weights,
        gradients=weights,
        optimizer_state=_MOMENTS * weights,
        activations={name: size * elements for name, elements in activation_elements(config).items()},
    )
