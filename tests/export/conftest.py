"""A small model with random weights, its tokenizer, and the folder that they make."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from bloomery import Tokenizer
from bloomery.config import TransformerConfig
from bloomery.export import export_hf
from bloomery.nn import TransformerLM

END = "<|endoftext|>"
PROSE = "It was the best of times, it was the worst of times. Où est-ce? 그리고 아무도 몰랐다. 🙂🙂"
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
    return Tokenizer.train_from_iterable([PROSE] * 3, 300, [END])


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """Makes a model of no default anywhere; the arguments are those of the config."""

    def make(**changes: object) -> TransformerLM:
        shape = {"vocab_size": 300, "context_length": 64, "d_model": 48, "num_layers": 2, "num_heads": 4, "d_ff": 80}
        config = TransformerConfig.from_dict({**shape, "rope_theta": 500.0, "rms_norm_eps": 1e-3, **changes})
        torch.manual_seed(7)
        model = TransformerLM(config)
        for name, parameter in model.named_parameters():
            # Gains of 1 would hide a norm in the wrong place.
            torch.nn.init.normal_(parameter, mean=float("ln" in name), std=0.3)
        return model

    return make


@pytest.fixture(scope="session")
def model(make_model: MakeModel) -> TransformerLM:
    return make_model()


@pytest.fixture
def folder(tmp_path: Path, model: TransformerLM, tokenizer: Tokenizer) -> Path:
    """An exported folder, to read or to spoil."""
    export_hf(model, tokenizer, tmp_path / "exported")
    return tmp_path / "exported"
