"""`bloomery account`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bloomery.accounting import forward_flops, training_flops_per_token
from bloomery.cli import main
from bloomery.config import PRESETS, TransformerConfig

Account = Callable[..., Any]


@pytest.fixture
def account(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    """Runs `bloomery account ...` in a folder of its own and returns what it prints: for `--json`, the object."""
    monkeypatch.chdir(tmp_path)

    def account(*arguments: object) -> Any:
        assert main(["account", *map(str, arguments)]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out) if "--json" in arguments else out

    return account


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Runs `bloomery account ...`, which must fail, and returns its one line."""
    monkeypatch.chdir(tmp_path)

    def error(*arguments: object) -> str:
        try:
            code = main(["account", *map(str, arguments)])
        except SystemExit as stopped:  # argparse
            code = stopped.code
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), err
        return err.removeprefix("bloomery: error: ").rstrip("\n")

    return error


def words(table: str) -> list[list[str]]:
    """The lines of a table as their cells."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


def test_gpt2_xl_for_people(account: Account) -> None:
    out = words(account("gpt2-xl", "--hardware", "A100", "--precision", "float32"))
    for row in (
        ["d_ff", "6,400 (swiglu)"],
        ["feed-forward", "1,474,560,000", "69.3%"],
        ["total", "2,127,057,600"],
        ["to load, float32", "8.51 GB"],
        ["queries · keys", "1,024", "64", "1,024", "1,200", "1.611e11", "3.6%"],
        ["output head", "1,024", "1,600", "50,257", "1", "1.647e11", "3.6%"],
        ["total", "4.513e12"],
        ["AdamW's moments", "17.02 GB"],
        ["a·batch + b", "18.03 GB·batch + 34.03 GB"],
        ["largest batch in 80.0 GB", "2"],
        ["FLOPs of an AdamW step, 14 a parameter", "2.978e10"],
        ["time", "6,584 days (158,005 hours)"],
    ):
        assert row in out


def test_hours_and_two_models_side_by_side(account: Account) -> None:
    out = account("gpt2-xl", "--d-ff", 4288, "--against", "gpt2-xl", "--peak", "495TFLOP/s", "--mfu", "50%")
    table = words(out)
    assert ["parameters", "gpt2-xl --d-ff 4288", "share", "gpt2-xl", "share"] in table
    assert ["total", "1,640,452,800", "2,127,057,600"] in table
    assert ["total", "3.517e12", "4.513e12"] in table
    assert "(4,850 hours)" in out
    assert "50% MFU of 495 TFLOP/s" in out


def test_context_lengths_side_by_side(account: Account) -> None:
    table = words(account("gpt2-xl", "--context-lengths", 1024, 16384))
    assert ["FLOPs of a forward pass", "gpt2-xl at 1,024", "share", "gpt2-xl at 16,384", "share"] in table
    assert ["attention products", "3.221e11", "7.1%", "8.246e13", "55.2%"] in table
    assert ["total", "4.513e12", "1.495e14"] in table


def test_json_has_the_exact_figures(account: Account) -> None:
    facts = account("gpt2-xl", "--json", "--memory", "80GB", "--hardware", "A100", "--precision", "float32")
    assert facts["assumptions"]["peak_flops"] == 19.5e12
    (model,) = facts["models"]
    assert TransformerConfig.from_dict(model["config"]) == PRESETS["gpt2-xl"]
    assert model["parameters"]["total"] == 2_127_057_600
    assert model["load_bytes"] == 8_508_230_400
    forward = model["forward"]
    assert forward["flops"]["total"] == sum(product["flops"] for product in forward["matmuls"]) == 4_513_336_524_800
    assert sum(forward["shares"].values()) == pytest.approx(1)
    memory = model["training_memory"]
    assert memory["b"] == 16 * 2_127_057_600
    assert memory["a"] == sum(memory["activations_per_sequence"].values())
    assert memory["largest_batch"] == (80 * 10**9 - memory["b"]) // memory["a"]
    assert model["adamw"] == {"flops_per_parameter": 14, "flops_per_step": 14 * 2_127_057_600}
    assert round(model["training"]["days"]) == 6_584


def test_flags_take_the_place_of_fields(account: Account) -> None:
    flags = ("--vocab-size", 97, "--context-length", 10, "--d-model", 24, "--num-layers", 3, "--num-heads", 4)
    switches = ("--norm", "none", "--norm-position", "post", "--position", "none", "--feed-forward", "silu")
    (model,) = account(*flags, *switches, "--tie-embeddings", "--qk-norm", "--causal", "--json")["models"]
    config = TransformerConfig(
        vocab_size=97,
        context_length=10,
        d_model=24,
        num_layers=3,
        num_heads=4,
        norm="none",
        norm_position="post",
        position="none",
        feed_forward="silu",
        tie_embeddings=True,
        qk_norm=True,
    )
    assert model["config"] == asdict(config)
    assert model["forward"]["flops"]["total"] == forward_flops(config, causal=True)
    assert model["training"]["flops_per_token"] == training_flops_per_token(config)


def test_the_usual_inner_width_follows_the_model_and_another_stays(account: Account) -> None:
    def d_ff(*arguments: object) -> int:
        return account(*arguments, "--json")["models"][0]["config"]["d_ff"]

    assert d_ff("tinystories-17m", "--feed-forward", "silu") == 2_048
    assert d_ff("tinystories-17m", "--d-model", 1600) == 4_288
    assert d_ff("gpt2-small", "--d-model", 1536) == 3_072
    assert d_ff("gpt2-small", "--d-ff", 100) == 100


def test_more_devices_and_dtypes(account: Account) -> None:
    one, eight = (account("gpt2-small", "--devices", count, "--json") for count in (1, 8))
    assert one["models"][0]["training"]["seconds"] == 8 * eight["models"][0]["training"]["seconds"]
    out = account("gpt2-small", "--devices", 8, "--activation-dtype", "bfloat16")
    assert "8 × H100, bfloat16" in out
    assert "AdamW (float32, bfloat16)" in out


def test_a_model_that_does_not_fit_says_so(account: Account) -> None:
    assert ["largest batch in 1.0 GB", "0: b alone is more"] in words(account("gpt2-xl", "--memory", "1GB"))


@pytest.mark.parametrize("name", ("model.toml", "run"))
def test_a_config_file_or_a_runs_folder(account: Account, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix != ".toml":
        path.mkdir()
        path /= "config.toml"
    path.write_text("[model]\nd_model = 128\nnum_heads = 4\n[other]\nx = 1\n", encoding="utf-8")
    (model,) = account(name, "--num-layers", 2, "--json")["models"]
    assert model["config"] == asdict(TransformerConfig(d_model=128, num_heads=4, num_layers=2))


def test_the_nearest_model_is_named(error) -> None:
    message = error("gpt2-smal")
    assert message.startswith("'gpt2-smal' is neither a model nor a file: did you mean gpt2-small?")
    assert "gpt2-medium" in error("--against", "bert")


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("d_model = 12", r"^model\.toml is not TOML|no \[model\] section"),
        ("[model", "is not TOML"),
        ("model = 3", r"no \[model\] section"),
        ("[model]\nd_modle = 128", r"model\.toml.*'d_modle'.*did you mean 'd_model'"),
        ("[model]\nnum_heads = 3", r"model\.toml.*num_heads = 3"),
    ),
)
def test_bad_config_files(error, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.toml").write_text(text, encoding="utf-8")
    assert re.search(message, error("model.toml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (("absent.toml",), "absent.toml: No such file or directory"),
        (("--num-heads", "7"), "num_heads = 7"),
        (("--d-model", "0"), "'0' is not a positive number"),
        (("--hardware", "H100SXM"), "the peak of 'H100SXM' is not known: did you mean H100?"),
        (("--hardware", "abacus"), "or give --peak"),
        (("--hardware", "T4"), "T4 has no bfloat16 units"),
        (("--peak", "fast"), "'fast' is not a rate: write it as 495TFLOP/s"),
        (("--peak", "0"), "is not a rate"),
        (("--peak", "1e999"), "is not a rate"),
        (("--mfu", "1.5"), "'1.5' is not a part of the peak"),
        (("--mfu", "0"), "is not a part of the peak"),
    ),
)
def test_errors_are_one_line(error, arguments: tuple[str, ...], message: str) -> None:
    assert message in error(*arguments)


@pytest.mark.parametrize(
    ("text", "rate"), (("495TFLOP/s", 495e12), ("19.5 T", 19.5e12), ("1PFLOPS", 1e15), ("989e12", 989e12))
)
def test_rates(account: Account, text: str, rate: float) -> None:
    assert account("--peak", text, "--json")["assumptions"]["peak_flops"] == rate


def test_torch_is_not_needed() -> None:
    program = """
import sys
sys.modules["torch"] = None  # importing it raises
from bloomery.cli import main
sys.exit(main(["account", "gpt2-xl", "--against", "gpt2-small"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "2,127,057,600" in done.stdout
