"""The comparison of training: that its plain model is a GPT-2, and that recipes are trained and drawn."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bloomery.train import read_metrics

BENCHES = Path(__file__).parents[2] / "benches" / "python"


def test_the_plain_model_is_gpt2_and_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    plain_gpt: Any = importlib.import_module("plain_gpt")
    with torch.device("meta"):
        small = plain_gpt.PlainGPT(plain_gpt.Shape())
    # GPT-2 small has 124,439,808: this one has no biases (102,144 numbers less), and 47 rows more in its vocabulary.
    assert sum(parameter.numel() for parameter in small.parameters()) == 124_373_760
    torch.manual_seed(0)
    model = plain_gpt.PlainGPT(plain_gpt.Shape(vocab_size=64, context_length=16, d_model=32, num_layers=2, num_heads=2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    tokens = torch.randint(64, (4, 17))
    losses: list[float] = []
    for _ in range(30):
        loss = model(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(64), rel=0.02)
    assert losses[-1] < 0.5


def test_recipes_are_trained_and_drawn(tmp_path: Path) -> None:
    ids = (np.random.default_rng(0).zipf(1.3, 3000) % 64).astype(np.uint16)
    np.save(tmp_path / "tokens.npy", ids)
    (tmp_path / "run.toml").write_text(
        "[model]\nvocab_size = 64\ncontext_length = 16\nd_model = 16\nnum_layers = 1\nnum_heads = 2\n"
        f"[data]\ntrain = ['{tmp_path}/tokens.npy']\nvalid = ['{tmp_path}/tokens.npy']\n"
        "[train]\nbatch_size = 4\ndevice = 'cpu'\n[evaluation]\nwindows = 4\n",
        encoding="utf-8",
    )
    arms = ("--arm", "muon=--optimizer.name=muon", "--arm", "adamw=")
    options = ("--steps", "3", "--folder", str(tmp_path / "made"), *arms)
    command = [sys.executable, str(BENCHES / "recipes.py"), str(tmp_path / "run.toml"), *options]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    for name in ("muon", "adamw"):
        assert f"{name}: 3 steps, validation loss" in printed
        assert [line["step"] for line in read_metrics(tmp_path / "made" / name) if "loss" in line] == [1, 2, 3]
    assert (tmp_path / "made" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_products_of_a_step_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        "[model]\nvocab_size = 64\ncontext_length = 16\nd_model = 16\nnum_layers = 1\nnum_heads = 2\n", encoding="utf-8"
    )
    command = [sys.executable, str(BENCHES / "products.py"), str(path), "--train.batch_size", "2"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    assert "GFLOP/s" in printed
    products = [line.split() for line in printed.splitlines() if line.startswith("  aten.mm ")]
    assert len(products) == 1
    assert products[0][1].endswith("%")
    assert products[0][2].endswith("%")
