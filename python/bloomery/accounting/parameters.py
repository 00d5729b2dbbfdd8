"""How many parameters a model has, by part. RoPE and the plain products have none, and nothing has a bias."""

from bloomery.config import TransformerConfig


def parameters_by_part(config: TransformerConfig) -> dict[str, int]:
    """The number of parameters of each part; V = vocab_size, d = d_model, f = d_ff, L = num_layers.

    ===================== ======================================================================
    token_embeddings      V·d
    attention_projections L · 4·d² (query, key, value, output)
    qk_norm               L · 2·d_head with QK-norm: one gain vector for all queries' heads, one for the keys'
    feed_forward          L · 3·d·f for SwiGLU, L · 2·d·f for SiLU
    norms                 (2·L + 1) · d: two in each block and the final one
    output_head           V·d, or 0 when tied to the token embeddings
    ===================== ======================================================================
    """
    width, layers = config.d_model, config.num_layers
    matrices = 3 if config.feed_forward == "swiglu" else 2
    return {
        "token_embeddings": config.vocab_size * width,
        "attention_projections": layers * 4 * width**2,
        "qk_norm": layers * 2 * config.d_head if config.qk_norm else 0,
        "feed_forward": layers * matrices * width * config.d_ff,
        "norms": (2 * layers + 1) * width if config.norm == "rms" else 0,
        "output_head": 0 if config.tie_embeddings else config.vocab_size * width,
    }


def count_parameters(config: TransformerConfig) -> int:
    """The number of parameters of the model; tied ones count once."""
    return sum(parameters_by_part(config).values())
