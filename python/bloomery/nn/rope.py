"""Rotary positional embedding."""

import math
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


class RotaryPositionalEmbedding(nn.Module):
    """Turns each pair of neighbours (x[2i], x[2i+1]) of a vector at position t by t · theta^(-2i/d_k) radians.

    The product of a query and a key so turned depends on their positions by the distance alone (Su et al., 2021,
    section 3.2.2). It has no parameters, and nothing of it is in a state dict.

    Args:
        theta: Base of the wavelengths, 10,000 as a rule.
        d_k: Width of the vectors, even.
        max_seq_len: Positions are 0..max_seq_len.
        device: Where the tables lie.

    Raises:
        ValueError: d_k is odd.
    """

    cos: Tensor
    """[max_seq_len, d_k], each cosine twice, as both of a pair take it; float32 whatever the model's dtype: bfloat16
    could not tell the angles apart."""
    sin: Tensor
    """As cos, negative for the first of a pair."""
    turns: Tensor
    """[d_k]: for each pair what part of a whole turn it makes from a position to the next: the nearest float32, and the
    rest, as positions multiply the error too."""

    def __init__(self, theta: float, d_k: int, max_seq_len: int, device: torch.device | str | None = None) -> None:
        super().__init__()
        if d_k % 2:
            raise ValueError(f"RoPE rotates pairs, and d_k = {d_k} is odd")
        self.theta, self.d_k, self.max_seq_len = theta, d_k, max_seq_len
        self._make_tables(torch.get_default_device() if device is None else torch.device(device))

    def _make_tables(self, device: torch.device) -> None:
        # In float64, and on the CPU as not every device has that: position 100,000 in float32 is off by 0.01 radians.
        exponents = torch.arange(0, self.d_k, 2, dtype=torch.float64, device="cpu") / self.d_k
        positions = torch.arange(self.max_seq_len, dtype=torch.float64, device="cpu")
        angles = torch.outer(positions, self.theta**-exponents)
        turns = self.theta**-exponents / (2 * math.pi)
        for name, table in (
            ("cos", torch.stack((angles.cos(), angles.cos()), -1)),
            ("sin", torch.stack((-angles.sin(), angles.sin()), -1)),
            ("turns", torch.stack((turns, turns - turns.float()), -1)),
        ):
            self.register_buffer(name, table.flatten(-2).to(device, torch.float32), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's
        # Moves and casts come here: to(bfloat16) would round the tables, and to_empty would leave them unfilled.
        super()._apply(fn, recurse)  # pyright: ignore[reportUnknownMemberType] # torch does not type fn
        self._make_tables(self.cos.device)
        return self

    def forward(self, x: Tensor, token_positions: Tensor | None = None) -> Tensor:
        """Turns vectors by their positions.

        Args:
            x: [..., T, d_k].
            token_positions: Integers in 0..max_seq_len that broadcast to [..., T]; 0, 1, .. T-1 unless given.

        Returns:
            The shape and dtype of x.

        Raises:
            ValueError: T is beyond max_seq_len and no positions are given.
        """
        if token_positions is None:
            cos, sin = self.tables(x.shape[-2])
        else:
            cos, sin = self.cos[token_positions], self.sin[token_positions]
        return turn(x, cos, sin)

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the first positions: each [length, d_k].

        Raises:
            ValueError: There are fewer than length.
        """
        if length > self.max_seq_len:
            raise ValueError(f"{length} positions, but the tables of RoPE end at max_seq_len = {self.max_seq_len}")
        return self.cos[:length], self.sin[:length]

    def extra_repr(self) -> str:
        """The arguments, for printing the model."""
        return f"theta={self.theta:g}, d_k={self.d_k}, max_seq_len={self.max_seq_len}"


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns pairs of neighbours of x [..., d_k]; cos and sin are rows of the tables that broadcast to x."""
    # One expression over whole rows, which compiles to a kernel that reads and writes in order. Even and odd elements
    # apart and stacked again were two strided reads, and complex numbers are not compiled at all.
    swapped = x.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (x * cos + swapped * sin).to(x.dtype)
