"""The exported folder in the real transformers, and folders that transformers writes, here."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bloomery import Tokenizer
from bloomery.export import export_hf, import_hf
from bloomery.generate import Sampling, generate, generate_ids

PROMPT = "It was the worst"
TEXTS = (PROMPT, "It was<|endoftext|>Où 🙂  est\n\n", "12345 아무도 !", "")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was used"))


@pytest.mark.parametrize("tie_embeddings", (False, True))
def test_logits_and_greedy_text_are_equal(tmp_path: Path, make_model, tokenizer: Tokenizer, tie_embeddings: bool):
    model = make_model(tie_embeddings=tie_embeddings)
    export_hf(model, tokenizer, tmp_path / "exported")
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported", output_loading_info=True)
    peer, loading = loaded
    peer_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert type(peer).__name__ == "LlamaForCausalLM"
    assert not any(loading.values()), loading
    assert peer.dtype == torch.float32
    assert peer.config.tie_word_embeddings == tie_embeddings

    tokens = torch.randint(300, (3, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = model(tokens), peer(tokens).logits
    assert ours.std() > 0.5
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=0)

    (completion,) = generate(model, tokenizer, PROMPT, 40, sampling=Sampling(temperature=0))
    made = peer.generate(**peer_tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=40, do_sample=False)
    assert peer_tokenizer.decode(made[0], skip_special_tokens=True) == PROMPT + completion.text
    assert completion.text


def test_the_tokenizer_is_equal(folder: Path, tokenizer: Tokenizer) -> None:
    peer = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert peer(text)["input_ids"] == ids
        assert peer.decode(ids) == text
    assert isinstance(peer, transformers.PreTrainedTokenizerFast)
    assert (peer.bos_token, peer.eos_token) == ("<|endoftext|>", "<|endoftext|>")
    assert peer.eos_token_id == tokenizer.eot_id
    assert peer.model_max_length == 64


def test_the_end_of_text_ends_it_there_too(tmp_path: Path, model, tokenizer: Tokenizer) -> None:
    # A token that the model comes to by itself changes places with the end of the text.
    prompt = tokenizer.encode(PROMPT)
    (free,) = generate_ids(model, [prompt], 20, sampling=Sampling(temperature=0))
    ending = next(token for token in free[3:] if token not in (*prompt, *free[:3]))
    swapped = model.state_dict()
    for name in ("token_embeddings.weight", "lm_head.weight"):
        swapped[name] = swapped[name].clone()
        swapped[name][[ending, tokenizer.eot_id]] = swapped[name][[tokenizer.eot_id, ending]]
    model = type(model)(model.config)
    model.load_state_dict(swapped)
    export_hf(model, tokenizer, tmp_path / "exported")
    (completion,) = generate(model, tokenizer, PROMPT, 20, sampling=Sampling(temperature=0))
    assert completion.ids == free[: free.index(ending)]
    peer: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported")
    made = peer.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()
    assert made == [*prompt, *completion.ids, tokenizer.eot_id]


@pytest.mark.parametrize("tie_embeddings", (False, True))
def test_a_folder_of_transformers_is_imported(tmp_path: Path, tokenizer: Tokenizer, tie_embeddings: bool) -> None:
    torch.manual_seed(3)
    peer = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=310,
            hidden_size=32,
            intermediate_size=72,
            num_hidden_layers=3,
            num_attention_heads=2,
            max_position_embeddings=50,
            rope_parameters={"rope_type": "default", "rope_theta": 777.0},
            tie_word_embeddings=tie_embeddings,
            initializer_range=0.3,
        )
    )
    peer.save_pretrained(tmp_path, max_shard_size="50KB")
    tokenizer.save(tmp_path / "tokenizer.json")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    model, imported = import_hf(tmp_path)
    assert imported == tokenizer
    assert (model.config.rope_theta, model.config.rms_norm_eps) == (777.0, 1e-6)
    tokens = torch.randint(310, (2, 50))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), peer(tokens).logits, atol=1e-4, rtol=0)
