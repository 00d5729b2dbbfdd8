"""Small models with random weights, and a tokenizer that fits them."""

from collections.abc import Callable, Iterator

import pytest
import torch

from bloomery import Tokenizer
from bloomery.config import TransformerConfig
from bloomery.nn import TransformerLM

END = "<|endoftext|>"
MakeModel = Callable[..., TransformerLM]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are slower on several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """300 tokens, the last of them <|endoftext|>."""
    text = "It was the best of times, it was the worst of times. Où est-ce? 그리고 아무도 몰랐다. 🙂🙂"
    return Tokenizer.train_from_iterable([text] * 3, 300, [END])


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Makes a model with a context of 12 tokens; the arguments are those of the config."""

    def make(**changes: object) -> TransformerLM:
        shape = {"vocab_size": 300, "context_length": 12, "d_model": 32, "num_layers": 2, "num_heads": 4}
        torch.manual_seed(7)
        model = TransformerLM(TransformerConfig.from_dict({**shape, **changes}))
        # Far from uniform, so that rounding does not decide which token comes.
        torch.nn.init.normal_(model.token_embeddings.weight if model.lm_head is None else model.lm_head.weight)
        return model

    return make


@pytest.fixture(scope="session")
def model(make_model: MakeModel) -> TransformerLM:
    return make_model()
