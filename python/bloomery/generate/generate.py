"""Generation from text to text, with the model's tokenizer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bloomery import Tokenizer
from bloomery.errors import ArgumentError
from bloomery.generate.ids import stream_ids
from bloomery.generate.sampling import Sampling
from bloomery.nn import TransformerLM

_PLAIN = Sampling()


@dataclass(frozen=True)
class Completion:
    """What was written after a prompt."""

    text: str
    ids: list[int]
    """Its tokens, without the end-of-text token."""
    ended: bool
    """Whether the model ended the text; otherwise `max_tokens` did."""


def generate(
    model: TransformerLM,
    tokenizer: Tokenizer,
    prompts: str | Sequence[str],
    max_tokens: int = 256,
    *,
    sampling: Sampling = _PLAIN,
    seed: int | None = None,
    end_of_text: int | None = None,
    on_text: Callable[[int, str], object] | None = None,
    use_cache: bool = True,
) -> list[Completion]:
    """Continues one text or several.

    Args:
        model: The model.
        tokenizer: The tokenizer that it was trained with.
        prompts: The texts. An empty one stands for the beginning of a document: the end-of-text token.
        max_tokens: How many tokens to add to each at most.
        sampling: How a token is chosen.
        seed: Row i is drawn with seed + i, whatever the rows beside it. None takes a new seed each time.
        end_of_text: The id of the token that ends a text; None for that of ``<|endoftext|>`` where there is one.
        on_text: Called with the index of a row and the text that is new in it, as soon as its characters are whole.
        use_cache: False computes the whole window anew for every token; the text is the same.

    Raises:
        ArgumentError: The tokenizer is not the model's, or a prompt is empty and there is no end-of-text token.

    Warns:
        ContextLengthExceeded: Once, when a text grows past the context length; see `generate_ids`.
    """
    prompts = [prompts] if isinstance(prompts, str) else prompts
    end_of_text = tokenizer.eot_id if end_of_text is None else end_of_text
    allowed = _tokens_of(tokenizer, model.config.vocab_size)
    pieces: list[list[str]] = [[] for _ in prompts]
    ids: list[list[int]] = [[] for _ in prompts]
    decoders = [tokenizer.stream_decoder() for _ in prompts]

    def add(row: int, piece: str) -> None:
        if piece:
            pieces[row].append(piece)
            if on_text is not None:
                on_text(row, piece)

    for row, token in stream_ids(
        model,
        [_encode(tokenizer, prompt, end_of_text) for prompt in prompts],
        max_tokens,
        sampling=sampling,
        seed=seed,
        stop_ids=() if end_of_text is None else (end_of_text,),
        allowed=allowed,
        use_cache=use_cache,
    ):
        ids[row].append(token)
        add(row, decoders[row].push(token))
    for row, decoder in enumerate(decoders):
        add(row, decoder.finish())
    return [
        Completion("".join(text), tokens, ended=len(tokens) < max_tokens)
        for text, tokens in zip(pieces, ids, strict=True)
    ]


def _encode(tokenizer: Tokenizer, prompt: str, end_of_text: int | None) -> list[int]:
    if prompt:
        return tokenizer.encode(prompt)
    if end_of_text is None:
        raise ArgumentError(
            "the prompt is empty, and the tokenizer has no <|endoftext|> to begin a document with: give a prompt"
        )
    return [end_of_text]


def _tokens_of(tokenizer: Tokenizer, vocab_size: int) -> Tensor | None:
    """Which of the model's ids have a token; None when all have. (A vocabulary may have gaps, a model padding.)"""
    if tokenizer.vocab_size > vocab_size:
        raise ArgumentError(
            f"the tokenizer has ids up to {tokenizer.vocab_size - 1} and the model a vocabulary of {vocab_size}: "
            "use the tokenizer that the model was trained with"
        )
    ids = list(tokenizer.vocab)
    if len(ids) == vocab_size:
        return None
    allowed = torch.zeros(vocab_size, dtype=torch.bool)
    allowed[ids] = True
    return allowed
