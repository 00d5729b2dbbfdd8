"""Export and import: what is in the folder, the way back, what is refused by name, broken folders, full disks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from bloomery import Tokenizer
from bloomery.config import TransformerConfig
from bloomery.errors import ArgumentError, InputError, UnsupportedError
from bloomery.export import export_hf, import_hf
from bloomery.export.llama import from_llama_weights, names, to_llama_weights
from bloomery.nn import TransformerLM

NAMES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


def change(path: Path, **values: object) -> None:
    """Sets fields of a JSON file, or removes those given as `...`."""
    fields = {**json.loads(path.read_text(encoding="utf-8")), **values}
    kept = {name: value for name, value in fields.items() if value is not ...}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize("tie_embeddings", (False, True))
def test_there_and_back_is_bit_for_bit(tmp_path: Path, make_model, tokenizer: Tokenizer, tie_embeddings: bool) -> None:
    model = make_model(tie_embeddings=tie_embeddings)
    export_hf(model, tokenizer, tmp_path / "a")
    again, tokenizer_again = import_hf(tmp_path / "a")
    assert again.config == model.config
    assert tokenizer_again == tokenizer
    state = again.state_dict()
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    tokens = torch.arange(60)
    assert torch.equal(model(tokens), again(tokens))
    export_hf(again, tokenizer_again, tmp_path / "b")
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_in_the_folder(folder: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expected = {"hidden_size": 48, "intermediate_size": 80, "num_key_value_heads": 4, "head_dim": 12}
    expected |= {"rms_norm_eps": 1e-3, "rope_theta": 500.0, "max_position_embeddings": 64, "tie_word_embeddings": False}
    expected |= {"bos_token_id": 299, "eos_token_id": 299, "torch_dtype": "float32"}
    assert config.items() >= expected.items()
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert generation == {"bos_token_id": 299, "eos_token_id": 299}
    assert Tokenizer.load(folder / "tokenizer.json") == tokenizer
    with safetensors.safe_open(folder / "model.safetensors", "pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        assert sorted(weights.keys()) == sorted(theirs for _, theirs in names(model.config))
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()


def test_the_rows_of_queries_and_keys_move_within_their_heads(make_model) -> None:
    config = make_model().config
    weights = {ours: torch.arange(48 * 2).reshape(48, 2) for ours, _ in names(config)}
    turned = to_llama_weights(weights, config)
    head = [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]
    rows = [12 * number + row for number in range(4) for row in head]
    for theirs, tensor in turned.items():
        moved = theirs.endswith(("self_attn.q_proj.weight", "self_attn.k_proj.weight"))
        assert (tensor[:, 0] // 2).tolist() == (rows if moved else list(range(48))), theirs
    back = from_llama_weights(turned, config)
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_weights_keep_their_dtype_and_come_back_in_float32(tmp_path: Path, make_model, tokenizer: Tokenizer) -> None:
    model = make_model().to(torch.bfloat16)
    export_hf(model, tokenizer, tmp_path / "half")
    assert json.loads((tmp_path / "half" / "config.json").read_text(encoding="utf-8"))["torch_dtype"] == "bfloat16"
    tensors = safetensors.torch.load_file(tmp_path / "half" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    again, _ = import_hf(tmp_path / "half")
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].float())


def test_a_tokenizer_without_end_of_text(tmp_path: Path, make_model) -> None:
    bare = Tokenizer.train_from_iterable(["low lower lowest"], 260)
    export_hf(make_model(), bare, tmp_path / "bare")
    config = json.loads((tmp_path / "bare" / "config.json").read_text(encoding="utf-8"))
    # Said outright: left out, they would be Llama's own 1 and 2.
    assert (config["bos_token_id"], config["eos_token_id"]) == (None, None)
    assert import_hf(tmp_path / "bare")[1] == bare


@pytest.mark.parametrize(
    ("changes", "feature"),
    (
        ({"qk_norm": True}, "qk_norm = True"),
        ({"norm_position": "post"}, "norm_position = 'post'"),
        ({"norm": "none"}, "norm = 'none'"),
        ({"position": "none"}, "position = 'none'"),
        ({"feed_forward": "silu"}, "feed_forward = 'silu'"),
    ),
)
def test_models_that_llama_cannot_express(tmp_path: Path, make_model, tokenizer, changes, feature: str) -> None:
    with pytest.raises(UnsupportedError, match=f"{feature}: LlamaForCausalLM cannot express it") as caught:
        export_hf(make_model(**changes), tokenizer, tmp_path / "exported")
    assert caught.value.feature == feature
    assert list(tmp_path.iterdir()) == []


def test_another_models_tokenizer_is_refused(tmp_path: Path, make_model, tokenizer: Tokenizer) -> None:
    with pytest.raises(ArgumentError, match="ids up to 299 and the model a vocabulary of 299"):
        export_hf(make_model(vocab_size=299), tokenizer, tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "feature"),
    (
        ({"model_type": "gpt2"}, "model_type = 'gpt2'"),
        ({"model_type": ...}, "model_type = None"),
        ({"num_key_value_heads": 2}, "num_key_value_heads = 2"),
        ({"head_dim": 24}, "head_dim = 24"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type = 'linear'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "rope_type = 'llama3'"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"mlp_bias": True}, "mlp_bias = True"),
        ({"quantization_config": {"bits": 4}}, "quantization_config = {'bits': 4}"),
    ),
)
def test_folders_that_cannot_be_imported(folder: Path, values: dict[str, object], feature: str) -> None:
    change(folder / "config.json", **values)
    with pytest.raises(UnsupportedError) as caught:
        import_hf(folder)
    assert caught.value.feature == feature
    assert str(caught.value).startswith(f"{folder / 'config.json'}: {feature}")


def test_fields_left_out_have_the_defaults_of_llama(folder: Path) -> None:
    left_out = ("num_key_value_heads", "head_dim", "hidden_act", "rms_norm_eps", "rope_theta", "tie_word_embeddings")
    change(folder / "config.json", **dict.fromkeys(left_out, ...))
    config = import_hf(folder)[0].config
    assert (config.rms_norm_eps, config.rope_theta, config.tie_embeddings) == (1e-6, 10_000.0, False)


def spoil_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        change(tensors)
        safetensors.torch.save_file(tensors, folder / "model.safetensors")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "name", "message"),
    (
        (lambda folder: change(folder / "config.json", hidden_size=...), "config.json", "'hidden_size' is missing"),
        (lambda folder: change(folder / "config.json", hidden_size=50), "config.json", "d_model = 50 does not divide"),
        (lambda folder: change(folder / "config.json", vocab_size="many"), "config.json", "vocab_size = 'many'"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json", "not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json", "not a JSON object"),
        (
            lambda folder: os.truncate(folder / "model.safetensors", 5000),
            "model.safetensors",
            "not a whole safetensors file",
        ),
        (
            lambda folder: change(folder / "config.json", intermediate_size=96),
            "model.safetensors",
            "mlp.up_proj.weight has the shape [80, 48], and by config.json [96, 48]",
        ),
        (
            spoil_weights(lambda tensors: tensors.pop("model.norm.weight")),
            "model.safetensors",
            "model.norm.weight is missing",
        ),
        (
            spoil_weights(lambda tensors: tensors.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(2)})),
            "model.safetensors",
            "model.layers.0.self_attn.q_proj.bias is no weight",
        ),
    ),
)
def test_broken_folders(folder: Path, spoil: Callable[[Path], object], name: str, message: str) -> None:
    spoil(folder)
    with pytest.raises(InputError) as caught:
        import_hf(folder)
    assert caught.value.path == str(folder / name)
    assert str(caught.value).startswith(f"{folder / name}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ("config.json", "tokenizer.json", "model.safetensors"))
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        import_hf(folder)
    assert caught.value.filename == str(folder / name)


def test_what_a_llama_file_may_hold_beside_its_weights(tmp_path: Path, make_model, tokenizer: Tokenizer) -> None:
    model = make_model(tie_embeddings=True)
    export_hf(model, tokenizer, tmp_path / "tied")
    extra = {"lm_head.weight": torch.ones(300, 48), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(6)}
    spoil_weights(lambda tensors: tensors.update(extra))(tmp_path / "tied")
    again, _ = import_hf(tmp_path / "tied")
    tokens = torch.arange(20)
    assert torch.equal(again(tokens), model(tokens))


def test_a_folder_in_use_is_not_touched(tmp_path: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear", encoding="utf-8")
    (tmp_path / "file").write_text("dear", encoding="utf-8")
    for name in ("mine", "file"):
        with pytest.raises(FileExistsError, match="name another folder") as caught:
            export_hf(model, tokenizer, tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "mine", "notes.txt"]


def test_empty_folders_links_and_new_parents(tmp_path: Path, model: TransformerLM, tokenizer: Tokenizer) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    export_hf(model, tokenizer, tmp_path / "link")
    export_hf(model, tokenizer, tmp_path / "new" / "deep")
    assert (tmp_path / "link").is_symlink()
    for name in ("empty", "new/deep"):
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == NAMES


# A limit on the size of files stands for a full disk: writing past it fails in the same way.
FULL_DISK = """
import resource, signal, sys
from bloomery.export import export_hf, import_hf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model, tokenizer = import_hf(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    export_hf(model, tokenizer, sys.argv[2])
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.parametrize(("limit", "name"), ((100, ""), (3000, "tokenizer.json"), (50_000, "model.safetensors")))
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, folder: Path, limit: int, name: str) -> None:
    new = tmp_path / "out" / "new"
    command = [sys.executable, "-c", FULL_DISK, str(folder), str(new), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["27", str(new / name)], done.stdout + done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_config_has_no_field_that_export_forgets() -> None:
    # A switch added to the model must be written, or refused.
    covered = {"vocab_size", "context_length", "d_model", "num_layers", "num_heads", "d_ff", "rope_theta", "norm"}
    covered |= {"norm_position", "position", "feed_forward", "tie_embeddings", "qk_norm", "rms_norm_eps"}
    assert set(TransformerConfig().to_dict()) == covered


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
