"""Checkpoints: what goes in comes out, whole or with a clear error."""

import io
import json
from pathlib import Path

import pytest
import torch

from bloomery.config import TransformerConfig
from bloomery.errors import InputError
from bloomery.nn import TransformerLM, cross_entropy
from bloomery.optim import AdamW
from bloomery.train import Checkpoints, load_checkpoint, save_checkpoint

SMALL = TransformerConfig(vocab_size=50, context_length=8, d_model=16, num_layers=1, num_heads=2)


def trained(steps: int, config: TransformerConfig = SMALL) -> tuple[TransformerLM, AdamW]:
    torch.manual_seed(1)
    model = TransformerLM(config)
    optimizer = AdamW(model.parameters(), lr=0.01)
    step(model, optimizer, steps)
    return model, optimizer


def step(model: TransformerLM, optimizer: AdamW, steps: int) -> None:
    ids = torch.arange(18).reshape(2, 9)
    for _ in range(steps):
        cross_entropy(model(ids[:, :-1]), ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(model: TransformerLM) -> list[float]:
    return torch.cat([parameter.flatten() for parameter in model.parameters()]).tolist()


@pytest.mark.parametrize("to_file", (False, True))
def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path, *, to_file: bool) -> None:
    model, optimizer = trained(3)
    out = io.BytesIO() if to_file else tmp_path / "checkpoint.pt"
    save_checkpoint(model, optimizer, 3, out)
    if isinstance(out, io.BytesIO):
        out.seek(0)
    again, again_optimizer = trained(0)
    assert load_checkpoint(out, again, again_optimizer) == 3
    assert weights(again) == weights(model)
    step(model, optimizer, 2)
    step(again, again_optimizer, 2)
    assert weights(again) == weights(model)


def test_any_module_and_optimizer(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(5, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(model, optimizer, 1, tmp_path / "step-1")
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    load_checkpoint(tmp_path / "step-1", other, other_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    states, others = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert states.keys() == others.keys()
    assert all(torch.equal(states[i]["momentum_buffer"], others[i]["momentum_buffer"]) for i in states)


def test_the_random_state_comes_back(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    save_checkpoint(model, optimizer, 1, tmp_path / "step-1")
    expected = torch.rand(3)
    torch.manual_seed(99)
    load_checkpoint(tmp_path / "step-1", model, optimizer)
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_of_another_shape_is_named(tmp_path: Path) -> None:
    model, optimizer = trained(1)
    save_checkpoint(model, optimizer, 1, tmp_path / "step-1")
    wider, wider_optimizer = trained(0, TransformerConfig(**{**SMALL.to_dict(), "d_model": 32}))
    with pytest.raises(InputError, match=r"model\.safetensors: .* has the shape \(.*\) there and \(.*\) in this model"):
        load_checkpoint(tmp_path / "step-1", wider, wider_optimizer)
    deeper, deeper_optimizer = trained(0, TransformerConfig(**{**SMALL.to_dict(), "num_layers": 2}))
    with pytest.raises(InputError, match=r"it lacks layers\.1\."):
        load_checkpoint(tmp_path / "step-1", deeper, deeper_optimizer)


@pytest.mark.parametrize("name", ("model.safetensors", "optimizer.safetensors", "state.json"))
def test_a_truncated_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    model, optimizer = trained(1)
    save_checkpoint(model, optimizer, 1, tmp_path / "step-1")
    path = tmp_path / "step-1" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{name}: not (JSON|a whole safetensors file)"):
        load_checkpoint(tmp_path / "step-1", model, optimizer)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = trained(1)
    save_checkpoint(model, optimizer, 1, tmp_path / "step-1")
    before = weights(model)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "model.safetensors")

    step(model, optimizer, 1)
    monkeypatch.setattr("bloomery.train.checkpoint.save_json", refuse)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(model, optimizer, 2, tmp_path / "step-1")
    assert load_checkpoint(tmp_path / "step-1", model, optimizer) == 1
    assert weights(model) == before
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    checkpoints = Checkpoints(tmp_path)
    for number, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 2.5)):
        save_checkpoint(model, optimizer, number, checkpoints.path(number), extra={"valid_loss": loss})
        checkpoints.prune(keep=2)
    assert checkpoints.steps() == [2, 3, 4]
    assert checkpoints.latest() == checkpoints.path(4)
    assert checkpoints.best() == checkpoints.path(2)
    assert json.loads((checkpoints.path(2) / "state.json").read_text())["valid_loss"] == 1.0
