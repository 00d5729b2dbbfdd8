"""On a GPU: the fast and compiled step computes the gradients of the written-out code, in every precision."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from bloomery.nn import RotaryPositionalEmbedding, hopper
from bloomery.nn.linear_loss import loss_and_gradient
from bloomery.train import RunConfig
from bloomery.train.runtime import Runtime
from bloomery.train.step import TrainStep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.filterwarnings("default"),
]

MakeConfig = Callable[..., RunConfig]


def gradients(
    config: RunConfig, *, implementation: str, precision: str, compiled: bool, hopper: bool = False
) -> dict[str, torch.Tensor]:
    train = dataclasses.replace(
        config.train,
        device="cuda",
        implementation=implementation,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        compile="on" if compiled else "off",
    )
    config = dataclasses.replace(config, train=train)
    runtime = Runtime.choose(config.train)
    if hopper and not runtime.hopper:
        pytest.skip("the libraries' kernels are for bfloat16 on Hopper GPUs, and are to be installed")
    runtime = dataclasses.replace(runtime, hopper=hopper)
    runtime.apply()
    step = TrainStep(config, runtime)
    generator = torch.Generator().manual_seed(1)
    # Gains that are not 1, and tokens that do not fill the last chunk of the head.
    with torch.no_grad():
        for name, parameter in step.model.named_parameters():
            if ".ln" in name:
                parameter.mul_(1 + 0.1 * torch.randn(parameter.shape, generator=generator).cuda())
    ids = torch.randint(config.model.vocab_size, (7, config.model.context_length + 1), generator=generator).cuda()
    with runtime.autocast():
        step.loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous()).backward()
    torch.compiler.reset()
    found = {name: parameter.grad for name, parameter in step.model.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.mark.parametrize(("precision", "tolerance"), (("float32", 0.01), ("bfloat16", 0.04), ("fp8", 0.25)))
@pytest.mark.parametrize("compiled", (False, True))
@pytest.mark.parametrize("hopper", (False, True))
def test_gradients_are_those_of_the_written_out_code(
    make_config: MakeConfig, precision: str, tolerance: float, *, compiled: bool, hopper: bool
) -> None:
    if precision == "fp8" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("this GPU has no units for 8-bit numbers")
    shape = {"vocab_size": 5003, "context_length": 256, "d_model": 256, "num_layers": 3, "num_heads": 4, "d_ff": 704}
    config = make_config("gpu", model=shape, data={"tokenizer": None})
    expected = gradients(config, implementation="plain", precision="float32", compiled=False)
    found = gradients(config, implementation="fast", precision=precision, compiled=compiled, hopper=hopper)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient - expected[name]).norm() < tolerance * expected[name].norm(), name


@pytest.mark.parametrize("precision", ("bfloat16", "fp8"))
@pytest.mark.parametrize("hopper", (False, True))
def test_deterministic_gradients_are_the_same_twice(make_config: MakeConfig, precision: str, *, hopper: bool) -> None:
    if precision == "fp8" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("this GPU has no units for 8-bit numbers")
    shape = {"vocab_size": 5003, "context_length": 512, "d_model": 256, "num_layers": 2, "num_heads": 4, "d_ff": 704}
    config = make_config("gpu", model=shape, data={"tokenizer": None}, train={"deterministic": True})
    first, second = (
        gradients(config, implementation="fast", precision=precision, compiled=True, hopper=hopper) for _ in range(2)
    )
    for name, gradient in first.items():
        assert torch.equal(gradient, second[name]), name


@pytest.mark.parametrize("tokens", (512, 300))
def test_the_rounded_gradient_of_logits(tokens: int) -> None:
    if torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("this GPU has no units for 8-bit numbers")
    from bloomery.nn import triton_loss

    vocab_size, width = 5003, 5120
    logits = torch.randn(tokens, width, dtype=torch.bfloat16, device="cuda") * 3
    targets = torch.randint(vocab_size, (tokens,), device="cuda")
    loss, log_totals = triton_loss.loss(logits, targets, vocab_size)
    transposed = torch.full((width, 1024), 7.0, device="cuda").to(torch.float8_e5m2)
    found = triton_loss.rounded_gradient(logits, targets, log_totals, vocab_size, 15, transposed[:, 512:])
    expected_loss, expected = loss_and_gradient(logits.float(), targets, vocab_size)
    torch.testing.assert_close(loss, expected_loss)
    # Up or down, by chance that is another where an exponential differs by a bit.
    error = found.float() * 2.0**-15 - expected
    assert (error.abs() <= 0.25 * expected.abs() + 2.0**-31).all()
    assert error.sum().abs() < 0.001 * expected.abs().sum()
    assert torch.equal(transposed[:, 512 : 512 + tokens].float(), found.float().T)
    assert not transposed[:, 512 + tokens :].float().any()
    assert (transposed[:, :512].float() == 7).all()


@pytest.mark.parametrize("tokens", (256, 200, 64, 9))
@pytest.mark.parametrize("d_head", (16, 32))
def test_the_gradient_of_attention_over_few_tokens(tokens: int, d_head: int) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no units for bfloat16")
    heads = 5
    joint = torch.randn(3, tokens, 3 * heads * d_head, dtype=torch.bfloat16, device="cuda")
    gradient = torch.randn(3, tokens, heads * d_head, dtype=torch.bfloat16, device="cuda")
    tables = RotaryPositionalEmbedding(100.0, d_head, 256).tables(tokens)
    found, expected = (
        hopper.attend_gradient(
            gradient.to(joint), joint, *hopper.attend(joint, heads), *(x.to(joint.device) for x in tables)
        )
        for joint in (joint, joint.cpu().double())
    )
    assert (found.cpu().double() - expected).norm() < 0.02 * expected.norm()
