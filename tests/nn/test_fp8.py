"""Gradients in 8 bits: as close as 3 bits of mantissa allow, whatever the sizes, and good enough to train with."""

import dataclasses
from typing import Any

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.nn import Linear, TransformerLM, cross_entropy, fp8_linear, joint_linear


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    return ((value - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("leading", ((6,), (2, 3, 4)))
def test_products_are_exact_and_gradients_close(leading: tuple[int, ...]) -> None:
    x, weight = torch.randn(*leading, 64, requires_grad=True), torch.randn(32, 64, requires_grad=True)
    gradient = torch.randn(*leading, 32)
    y, expected = fp8_linear(x, weight), x @ weight.T
    # An error here would go into the loss.
    assert torch.equal(y, expected)
    ours, theirs = (torch.autograd.grad(value, (x, weight), gradient) for value in (y, expected))
    assert 0 < relative_error(ours[0], theirs[0]) < 0.05
    # This product is in high precision.
    torch.testing.assert_close(ours[1], theirs[1])


def test_every_row_has_a_scale_of_its_own() -> None:
    x, weight = torch.randn(4, 64, requires_grad=True), torch.randn(32, 64)
    gradient = torch.randn(4, 32) * torch.tensor([[1e-6], [1.0], [1e6], [0.0]])
    (found,), expected = torch.autograd.grad(fp8_linear(x, weight), x, gradient), gradient @ weight
    assert all(relative_error(found[row], expected[row]) < 0.06 for row in range(3))
    assert torch.equal(found[3], torch.zeros(64))


def test_the_switch_is_that_of_the_layers_alone(tiny: TransformerConfig) -> None:
    model = TransformerLM(tiny)
    model.use_fp8()
    assert {module.fp8 for module in model.layers.modules() if isinstance(module, Linear)} == {True}
    assert model.lm_head is not None
    assert not model.lm_head.fp8
    x = torch.randn(3, 16)
    attention: Any = model.layers[0].attn
    joint = joint_linear(x, attention.q_proj, attention.k_proj)
    torch.testing.assert_close(joint, torch.cat([attention.q_proj(x), attention.k_proj(x)], -1))


def test_joint_products_are_those_of_the_maps_one_by_one(tiny: TransformerConfig) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=32, d_ff=48)).double()
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    found: list[tuple[torch.Tensor, ...]] = []
    for fp8, joint in ((False, True), (True, False), (True, True)):
        model.use_fp8(enabled=fp8)
        model.use_joint_projections(enabled=joint)
        loss = cross_entropy(model(tokens), tokens)
        found.append((loss, *torch.autograd.grad(loss, list(model.parameters()))))
    exact, apart, together = found
    # Gradients that are rounded as one row have another scale than each by itself, and rounding another error; and as
    # one product queries, keys and values are themselves in 8 bits.
    for name, *gradients in zip(["loss", *dict(model.named_parameters())], exact, apart, together, strict=True):
        noise = relative_error(gradients[1], gradients[0])
        # A model this narrow makes 0.06 of that at most, and of the loss a thousandth.
        forwards = 0.005 if name == "loss" else 0.08
        assert relative_error(gradients[2], gradients[0]) < 1.5 * noise + forwards, name
        assert noise < 0.2


@pytest.mark.parametrize("fp8", (False, True))
def test_gradients_go_through_torch_compile(tiny: TransformerConfig, *, fp8: bool) -> None:
    model = TransformerLM(dataclasses.replace(tiny, d_model=32, d_ff=48))
    model.use_joint_projections()
    model.use_fp8(enabled=fp8)
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    compiled: Any = torch.compile(model.hidden, backend="aot_eager")  # pyright: ignore[reportUnknownMemberType]
    found = [
        torch.autograd.grad(cross_entropy(model.logits(hidden(tokens)), tokens), list(model.parameters()))
        for hidden in (model.hidden, compiled)
    ]
    torch.testing.assert_close(found[1], found[0])


def test_training_loses_nothing_but_noise() -> None:
    config = TransformerConfig(vocab_size=32, context_length=32, d_model=64, num_layers=2, num_heads=4)

    def final_loss(seed: int, *, fp8: bool) -> float:
        torch.manual_seed(seed)
        model = TransformerLM(config)
        model.use_fp8(enabled=fp8)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses: list[float] = []
        for _ in range(60):
            # Each token is the one before it plus 1 to 3.
            tokens = (torch.randint(1, 4, (16, 33)).cumsum(1) + torch.randint(32, (16, 1))) % 32
            loss = cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return sum(losses[-10:]) / 10

    exact = [final_loss(seed, fp8=False) for seed in (0, 1, 2)]
    noise = max(exact) - min(exact)
    assert final_loss(0, fp8=True) == pytest.approx(exact[0], abs=max(noise, 0.02))
    assert exact[0] < 1.5  # of ln 32 = 3.5 at the beginning, and ln 3 = 1.1 at best
