"""Text to text: streaming without half characters, the end of the text, the beginning, vocabularies that do not fit."""

import pytest
import torch

from bloomery import Tokenizer
from bloomery.errors import ArgumentError
from bloomery.generate import Sampling, generate, generate_ids
from bloomery.nn import TransformerLM

GREEDY = Sampling(temperature=0)


def says(model: TransformerLM, ids: list[int]) -> TransformerLM:
    """Makes the model say these ids, whatever the prompt: the logits are those of the step alone."""
    steps = iter(ids)

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.full(hidden.shape[:-1], next(steps)), 300).float()

    model.logits = logits
    return model


def test_text_is_that_of_the_ids(model: TransformerLM, tokenizer: Tokenizer) -> None:
    prompts = ["It was", "the best", "🙂"]
    completions = generate(model, tokenizer, prompts, 6, seed=4)
    rows = generate_ids(model, tokenizer.encode_batch(prompts, as_lists=True), 6, seed=4)
    assert [completion.ids for completion in completions] == rows
    assert [completion.text for completion in completions] == [tokenizer.decode(row) for row in rows]
    assert generate(model, tokenizer, "It was", 6, seed=4) == completions[:1]


def test_the_end_of_text_ends_it_and_is_not_part_of_it(make_model, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("times<|endoftext|>It")
    (completion,) = generate(says(make_model(), ids), tokenizer, "It was", 12, sampling=GREEDY)
    assert (completion.text, completion.ended) == ("times", True)
    assert completion.ids == tokenizer.encode("times")
    (completion,) = generate(says(make_model(), ids), tokenizer, "It was", len(ids), sampling=GREEDY, end_of_text=0)
    assert (completion.text, completion.ended) == ("times<|endoftext|>It", False)


def test_streaming_holds_back_half_characters(make_model, tokenizer: Tokenizer) -> None:
    ids = [*"é👩".encode(), *tokenizer.encode(" was"), 0xF0]
    seen: list[tuple[int, str]] = []
    (completion,) = generate(
        says(make_model(), ids),
        tokenizer,
        "x",
        len(ids),
        sampling=GREEDY,
        on_text=lambda row, text: seen.append((row, text)),
    )
    assert seen == [(0, "é"), (0, "👩"), (0, " was"), (0, "\ufffd")]
    assert completion.text == "é👩 was\ufffd" == tokenizer.decode(ids)


def test_rows_stream_side_by_side(model: TransformerLM, tokenizer: Tokenizer) -> None:
    texts = ["", ""]

    def add(row: int, text: str) -> None:
        texts[row] += text

    completions = generate(model, tokenizer, ["It was the", "x"], 8, seed=2, on_text=add)
    assert texts == [completion.text for completion in completions]


def test_an_empty_prompt_begins_a_document(model: TransformerLM, tokenizer: Tokenizer) -> None:
    (completion,) = generate(model, tokenizer, "", 5, seed=1)
    assert [completion.ids] == generate_ids(model, [[tokenizer.encode("<|endoftext|>")[0]]], 5, seed=1)
    bare = Tokenizer.train_from_iterable(["low lower"], 258)
    with pytest.raises(ArgumentError, match=r"prompt is empty, and the tokenizer has no <\|endoftext\|>"):
        generate(model, bare, "", 5)
    assert generate(model, bare, "", 5, end_of_text=10, seed=1)


def test_ids_without_a_token_are_not_chosen(make_model, tokenizer: Tokenizer) -> None:
    padded = make_model(vocab_size=100_000)  # nearly every id is padding
    (completion,) = generate(padded, tokenizer, "It", 8, seed=1)
    assert completion.ids
    assert max(completion.ids) < 300


def test_another_models_tokenizer_is_refused(make_model, tokenizer: Tokenizer) -> None:
    with pytest.raises(ArgumentError, match="ids up to 299 and the model a vocabulary of 280"):
        generate(make_model(vocab_size=280), tokenizer, "It", 8)
