"""The TOML of a run: what it says, and what it may not say."""

from pathlib import Path

import pytest

from bloomery.errors import ArgumentError, InputError
from bloomery.train import RunConfig, load_config, parse_overrides


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    config = RunConfig.from_dict({"folder": "x", "model": {"d_model": 64, "num_heads": 4}, "schedule": {"min_lr": 0.0}})
    assert RunConfig.load(write(tmp_path, config.to_toml())) == config


def test_overrides_replace_keys(tmp_path: Path) -> None:
    path = write(tmp_path, "[train]\nsteps = 5\nseed = 3\n")
    words = ["--train.steps", "7", "--schedule.max_lr=3e-4", "--data.train", '["a.npy", "b.npy"]', "--folder", "runs/b"]
    config = RunConfig.load(path, parse_overrides(words))
    assert (config.train.steps, config.train.seed, config.schedule.max_lr) == (7, 3, 3e-4)
    assert config.data.train == ["a.npy", "b.npy"]
    assert config.folder == "runs/b"


@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("[trian]\nsteps = 1", "'trian' is not a section or key: did you mean 'train'?"),
        ("[train]\nstep = 1", "'step' is not a key of [train]: did you mean 'steps'?"),
        ("[model]\nd_modl = 1", "'d_modl' is not a key of [model]: did you mean 'd_model'?"),
        ("[train]\nsteps = 'many'", "train.steps = 'many' is not allowed: it must be a whole number"),
        ("[train]\nsteps = true", "train.steps = True is not allowed: it must be a whole number"),
        ("[train]\nsteps = 0", "train.steps = 0 is not allowed: it must be 1 or more"),
        ("[data]\ntrain = 'a.npy'", "data.train = 'a.npy' is not allowed: it must be a list"),
        ("[data]\nheld_out = 1", "data.held_out = 1.0 is not allowed: it must be from 0 to below 1"),
        ("[data]\nweights = ['a']", "data.weights[0] = 'a' is not allowed: it must be a number"),
        (
            "[train]\nprecision = 'fp16'",
            "train.precision = 'fp16' is not allowed: it must be 'auto' or 'float32' or 'bfloat16' or 'fp8'",
        ),
        ("[train]\nparallel = 'zero'", "train.parallel = 'zero' is not allowed: it must be 'ddp' or 'fsdp'"),
        ("train = 3", "train = 3 is not allowed: it is a section, [train]"),
    ),
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        RunConfig.load(write(tmp_path, text))
    assert str(caught.value) == message


def test_what_is_not_toml_is_placed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.toml: .*line 2"):
        RunConfig.load(write(tmp_path, "[train]\nsteps = = 3\n"))


def test_overrides_without_a_value_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"--train\.steps has no value"):
        parse_overrides(["--train.steps"])
    with pytest.raises(ArgumentError, match="'steps' is not an override"):
        parse_overrides(["steps"])


def test_the_vocabulary_is_the_tokenizers_unless_named(corpus: Path, tmp_path: Path) -> None:
    data = f"[data]\ntokenizer = '{corpus / 'tokenizer.json'}'\n"
    size = "[model]\nd_model = 16\nnum_heads = 2\n"
    assert load_config(write(tmp_path, data + size), {}).model.vocab_size == 300
    assert load_config(write(tmp_path, data + size), {"model.vocab_size": "512"}).model.vocab_size == 512
    with pytest.raises(ArgumentError, match=r"model\.vocab_size = 299 is smaller than the tokenizer's 300"):
        load_config(write(tmp_path, data + size), {"model.vocab_size": "299"})
