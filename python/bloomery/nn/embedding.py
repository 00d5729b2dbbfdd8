"""A table of vectors, one a token."""

import torch
import torch.nn.functional as torch_functional
from torch import Tensor, nn

from bloomery.nn.autocast import autocast_dtype


class Embedding(nn.Module):
    """Looks token ids up: [...] to [..., embedding_dim].

    The table starts as N(0, 1) cut off at ±3.

    Attributes:
        weight: [num_embeddings, embedding_dim].
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        nn.init.trunc_normal_(self.weight, std=1.0, a=-3.0, b=3.0)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Integers [...] in 0..num_embeddings to [..., embedding_dim]; under autocast in its dtype, as `Linear`'s."""
        vectors = torch_functional.embedding(token_ids, self.weight)
        # Otherwise the residual stream would stay in float32, at twice the memory traffic of every norm and sum.
        return vectors.to(autocast_dtype(vectors.device) or vectors.dtype)

    def extra_repr(self) -> str:
        """The sizes, for printing the model."""
        num_embeddings, embedding_dim = self.weight.shape
        return f"{num_embeddings}, {embedding_dim}"
