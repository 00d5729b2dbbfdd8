"""A tiny model's config, and the same random numbers for every test."""

from collections.abc import Iterator

import pytest
import torch

from bloomery.config import TransformerConfig


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    # Tensors this small gain nothing from threads, which wait for each other where processors are shared.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> TransformerConfig:
    """Two layers of two heads, 16 wide, over 13 tokens of 11 kinds."""
    return TransformerConfig(vocab_size=11, context_length=13, d_model=16, num_layers=2, num_heads=2, d_ff=24)
