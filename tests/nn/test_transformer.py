"""The whole model: names, ablations, caching, the fast paths, and that it learns."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.nn import KVCache, TransformerLM, cross_entropy
from bloomery.optim import AdamW, clip_gradients

SWITCHES: dict[str, tuple[Any, ...]] = {
    "norm": ("rms", "none"),
    "norm_position": ("pre", "post"),
    "position": ("rope", "none"),
    "feed_forward": ("swiglu", "silu"),
    "tie_embeddings": (False, True),
    "qk_norm": (False, True),
}
ABLATIONS = [dict(zip(SWITCHES, values, strict=True)) for values in itertools.product(*SWITCHES.values())]


def names(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The parameters that a config stands for."""
    d, f = config.d_model, config.d_ff
    layer: dict[str, tuple[int, ...]] = {f"attn.{name}_proj": (d, d) for name in ("q", "k", "v", "output")}
    layer |= {"ffn.w1": (f, d), "ffn.w2": (d, f)}
    if config.feed_forward == "swiglu":
        layer["ffn.w3"] = (f, d)
    if config.norm == "rms":
        layer |= {"ln1": (d,), "ln2": (d,)}
    if config.qk_norm:
        layer |= {"attn.q_norm": (config.d_head,), "attn.k_norm": (config.d_head,)}
    whole = {"token_embeddings": (config.vocab_size, d)}
    whole |= {f"layers.{i}.{name}": shape for i in range(config.num_layers) for name, shape in layer.items()}
    if config.norm == "rms":
        whole["ln_final"] = (d,)
    if not config.tie_embeddings:
        whole["lm_head"] = (config.vocab_size, d)
    return {f"{name}.weight": shape for name, shape in whole.items()}


def make_tokens(config: TransformerConfig, *shape: int) -> torch.Tensor:
    return torch.randint(config.vocab_size, shape)


def test_names_of_the_plain_model(tiny: TransformerConfig) -> None:
    layer = [
        "attn.q_proj",
        "attn.k_proj",
        "attn.v_proj",
        "attn.output_proj",
        "ffn.w1",
        "ffn.w2",
        "ffn.w3",
        "ln1",
        "ln2",
    ]
    layers = [f"layers.{i}.{name}.weight" for i in range(2) for name in layer]
    model = TransformerLM(tiny)
    assert sorted(model.state_dict()) == sorted(
        ["token_embeddings.weight", *layers, "ln_final.weight", "lm_head.weight"]
    )


@pytest.mark.parametrize("switches", ABLATIONS, ids=lambda switches: "-".join(map(str, switches.values())))
def test_every_ablation(tiny: TransformerConfig, switches: dict[str, Any]) -> None:
    config = dataclasses.replace(tiny, **switches)
    model = TransformerLM(config)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == names(config)
    assert dict(model.named_parameters()).keys() == names(config).keys()

    tokens = make_tokens(config, 2, 7)
    logits = model(tokens)
    assert logits.shape == (2, 7, config.vocab_size)
    cross_entropy(logits, tokens).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())

    with torch.inference_mode():
        changed = tokens.clone()
        changed[:, 4:] = (changed[:, 4:] + 1) % config.vocab_size
        assert torch.equal(model(changed)[:, :4], logits[:, :4])
        cache = KVCache(config, 2)
        steps = torch.cat([model(token, cache=cache) for token in tokens.split(1, dim=1)], 1)
        torch.testing.assert_close(steps, logits.detach(), rtol=1e-4, atol=1e-5)


def test_state_goes_through_a_file(tiny: TransformerConfig, tmp_path: Path) -> None:
    model, other = TransformerLM(tiny), TransformerLM(tiny)
    tokens = make_tokens(tiny, 2, 5)
    assert not torch.equal(model(tokens), other(tokens))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(model(tokens), other(tokens))


@pytest.mark.parametrize("leading", ((), (3,), (2, 3)))
def test_leading_dimensions(tiny: TransformerConfig, leading: tuple[int, ...]) -> None:
    model = TransformerLM(tiny)
    tokens = make_tokens(tiny, *leading, 5)
    each = torch.stack([model(row) for row in tokens.reshape(-1, 5)])
    torch.testing.assert_close(model(tokens), each.reshape(*leading, 5, tiny.vocab_size))


def test_hidden_states_and_head_make_the_logits(tiny: TransformerConfig) -> None:
    for config in (tiny, dataclasses.replace(tiny, tie_embeddings=True)):
        model = TransformerLM(config)
        tokens = make_tokens(config, 2, 5)
        hidden = model.hidden(tokens)
        assert hidden.shape == (2, 5, config.d_model)
        torch.testing.assert_close(hidden.square().mean(-1), torch.ones(2, 5), rtol=1e-3, atol=0)
        assert torch.equal(model.logits(hidden), model(tokens))


def test_tied_embeddings_start_with_small_logits(tiny: TransformerConfig) -> None:
    config = dataclasses.replace(tiny, d_model=256, num_heads=2, tie_embeddings=True, vocab_size=500)
    model = TransformerLM(config)
    tokens = make_tokens(config, 8, 13)
    assert cross_entropy(model(tokens), tokens.roll(1, 0)).item() == pytest.approx(6.2, abs=1)  # ln 500


@torch.inference_mode()
@pytest.mark.parametrize("fused", (False, True))
@pytest.mark.parametrize("pieces", ([1] * 13, [5, 1, 1, 6], [13]))
def test_cached_logits_equal_the_whole(tiny: TransformerConfig, fused: bool, pieces: list[int]) -> None:
    model = TransformerLM(tiny)
    model.use_fused_attention(enabled=fused)
    tokens = make_tokens(tiny, 3, 13)
    cache = KVCache(tiny, 3)
    for _ in range(2):  # once more after it was cleared
        logits = [model(piece, cache=cache) for piece in tokens.split(pieces, dim=1)]
        torch.testing.assert_close(torch.cat(logits, 1), model(tokens), rtol=1e-4, atol=1e-5)
        assert cache.length == 13
        cache.clear()


def test_more_than_the_context_is_refused(tiny: TransformerConfig) -> None:
    model = TransformerLM(dataclasses.replace(tiny, position="none"))
    with pytest.raises(ValueError, match=r"14 tokens do not fit the context length of 13"):
        model(make_tokens(tiny, 14))
    with torch.inference_mode():
        cache = KVCache(tiny, 1)
        model(make_tokens(tiny, 1, 13), cache=cache)
        with pytest.raises(ValueError, match=r"14 tokens do not fit"):
            model(make_tokens(tiny, 1, 1), cache=cache)


def test_device_and_dtype_are_the_weights(tiny: TransformerConfig) -> None:
    config = dataclasses.replace(tiny, qk_norm=True)
    model = TransformerLM(config, device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.bfloat16)}
    source = TransformerLM(config)
    model = TransformerLM(config, device="meta").to_empty(device="cpu")
    model.load_state_dict(source.state_dict())
    tokens = make_tokens(config, 2, 5)
    assert torch.equal(model(tokens), source(tokens))


def test_mixed_precision_keeps_close(tiny: TransformerConfig) -> None:
    model = TransformerLM(tiny)
    tokens = make_tokens(tiny, 2, 13)
    expected = cross_entropy(model(tokens), tokens)
    for fused in (False, True):
        model.use_fused_attention(enabled=fused)
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(model(tokens), tokens)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


def losses(config: TransformerConfig, *, fused: bool, compiled: bool = False, steps: int = 5) -> list[float]:
    """Of training on one batch with everything that a trainer does, fast or plain."""
    torch.manual_seed(3)
    model = TransformerLM(config)
    model.use_fused_attention(enabled=fused)
    if compiled:
        model.compile(backend="inductor")
    options: dict[str, Any] = {"lr": 1e-2, "betas": (0.9, 0.95), "weight_decay": 0.1}
    optimizer = (
        torch.optim.AdamW(model.parameters(), fused=True, **options) if fused else AdamW(model.parameters(), **options)
    )
    tokens = make_tokens(config, 4, 13)
    values: list[float] = []
    for _ in range(steps):
        loss = cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
        values.append(loss.item())
    return values


@pytest.mark.parametrize("switches", ({}, {"qk_norm": True, "norm_position": "post", "position": "none"}))
def test_fused_and_plain_losses_are_equal(tiny: TransformerConfig, switches: dict[str, Any]) -> None:
    config = dataclasses.replace(tiny, **switches)
    plain = losses(config, fused=False)
    assert losses(config, fused=True) == pytest.approx(plain, abs=1e-5)
    assert plain[-1] < plain[0]


@pytest.mark.slow
def test_compiled_and_plain_losses_are_equal(tiny: TransformerConfig) -> None:
    config = dataclasses.replace(tiny, num_layers=1)
    assert losses(config, fused=True, compiled=True, steps=3) == pytest.approx(
        losses(config, fused=False, steps=3), abs=1e-5
    )


def test_one_batch_is_learnt_by_heart(tiny: TransformerConfig) -> None:
    config = dataclasses.replace(tiny, d_model=32)
    model = TransformerLM(config)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    # No two rows begin alike, and none with one token twice: attention that knows distances alone averages equal values
    # to the same, so it cannot tell "a" from "a a" at the beginning.
    begin = torch.stack([torch.arange(4), torch.arange(4) + 4], 1)
    tokens = torch.cat([begin, make_tokens(config, 4, 11)], 1)
    loss = torch.tensor(torch.inf)
    for _ in range(60):
        loss = cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@pytest.mark.parametrize("fp8", (False, True))
def test_it_is_compiled_as_one_graph(tiny: TransformerConfig, fp8: bool) -> None:
    torch.compiler.reset()
    model = TransformerLM(tiny)
    model.use_fused_attention()
    model.use_joint_projections()
    model.use_fp8(enabled=fp8)
    # Where code cannot be compiled, fullgraph raises instead of going on with it in pieces.
    hidden: Any = torch.compile(model.hidden, fullgraph=True, backend="aot_eager")
    tokens = torch.randint(tiny.vocab_size, (2, 9))
    with torch.autocast("cpu", torch.bfloat16):
        compiled, direct = (function(tokens) for function in (hidden, model.hidden))
    assert compiled.dtype == torch.bfloat16
    torch.testing.assert_close(compiled, direct, rtol=0.05, atol=0.05)
    compiled.sum().backward()
