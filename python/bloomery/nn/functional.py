"""The model's functions, written out: softmax, SiLU, cross-entropy and attention.

Shapes: D is the width of queries and keys, Dv that of values, T the number of queries, S that of keys, V the size of
the vocabulary; ... is any number of leading dimensions.
"""

import math

import torch
from torch import Tensor


def softmax(x: Tensor, dim: int) -> Tensor:
    """Exponentials normalised to sum to 1 along a dimension; the shape stays.

    The largest value is subtracted first, which changes nothing but that no exponential overflows.
    """
    exponentials = (x - x.amax(dim, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim, keepdim=True)


def silu(x: Tensor) -> Tensor:
    """Gives x · sigmoid(x), elementwise (Elfwing et al., 2018, section 2; also called swish)."""
    return x * torch.sigmoid(x)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over all positions of -log softmax(logits)[target], in nats.

    Computed in float32 at least, as log-sum-exp less the target's logit after the largest logit is subtracted, so that
    neither huge nor tiny logits overflow or lose the loss.

    Args:
        logits: [..., V].
        targets: [...], integers in 0..V.

    Returns:
        A scalar.

    Raises:
        ValueError: The leading dimensions differ.
    """
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"logits of shape {list(logits.shape)} need targets of shape {list(logits.shape[:-1])}, "
            f"not {list(targets.shape)}"
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # The loss does not depend on what is subtracted, so no gradient goes through it.
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    log_sums = shifted.exp().sum(-1).log()
    return (log_sums - shifted.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).mean()


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q·kᵀ / sqrt(D))·v (Vaswani et al., 2017, equation 1).

    Args:
        q: Queries [..., T, D].
        k: Keys [..., S, D].
        v: Values [..., S, Dv].
        mask: Booleans that broadcast to [..., T, S], true where a query may look at a key; all may unless given. A
            query that may look nowhere gets NaN.

    Returns:
        [..., T, Dv].
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [..., T, S]
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return softmax(scores, -1) @ v


def in_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Casts where there is something to cast: what a `torch.autograd.Function` gives is to go through this.

    After a cast that changes nothing, code compiled by torch 2.11 takes the gradient of the result to be zero.
    """
    return x if x.dtype == dtype else x.to(dtype)
