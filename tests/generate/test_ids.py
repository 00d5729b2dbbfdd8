"""Generating ids: the cache against none, batches, the window past the context length, stopping, seeds, bad prompts."""

import warnings
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from bloomery.errors import ArgumentError, ContextLengthExceeded, TokenIdError
from bloomery.generate import Sampling, generate_ids, stream_ids
from bloomery.generate.ids import window_start
from bloomery.nn import KVCache, TransformerLM

CONTEXT = 12
GREEDY = Sampling(temperature=0)
PROMPTS = [[5, 6, 7], [200], [9] * 8, [40, 41, 42]]
past_the_context = pytest.mark.filterwarnings("ignore::bloomery.errors.ContextLengthExceeded")


def plain_greedy(model: TransformerLM, prompt: Sequence[int], max_tokens: int) -> list[int]:
    """One row, one token at a time, with the window kept by hand."""
    window, added = list(prompt), []
    for _ in range(max_tokens):
        while len(window) > CONTEXT:
            del window[: CONTEXT // 2]
        with torch.no_grad():
            token = int(model(torch.tensor([window]))[0, -1].argmax())
        window.append(token)
        added.append(token)
    return added


@past_the_context
@pytest.mark.parametrize("use_cache", (True, False))
@pytest.mark.parametrize("prompt", ([5], [5, 6, 7], list(range(12)), list(range(13)), list(range(100, 140))))
def test_greedy_equals_the_plain_loop(model: TransformerLM, prompt: list[int], use_cache: bool) -> None:
    made = generate_ids(model, [prompt], 40, sampling=GREEDY, use_cache=use_cache)
    assert made == [plain_greedy(model, prompt, 40)]


@past_the_context
@pytest.mark.parametrize("sampling", (GREEDY, Sampling(), Sampling(temperature=0.7, top_k=20, top_p=0.9)))
@pytest.mark.parametrize(
    "changes",
    (
        {},
        {"position": "none"},
        {"norm_position": "post", "qk_norm": True, "feed_forward": "silu", "tie_embeddings": True},
        {"context_length": 1},
        {"context_length": 5},
    ),
)
def test_the_cache_changes_nothing(make_model, sampling: Sampling, changes: dict[str, object]) -> None:
    model = make_model(**changes)
    cached = generate_ids(model, PROMPTS, 30, sampling=sampling, seed=1)
    assert cached == generate_ids(model, PROMPTS, 30, sampling=sampling, seed=1, use_cache=False)
    assert len({tuple(row) for row in cached}) == len(cached)


@past_the_context
def test_fused_attention_changes_nothing(make_model) -> None:
    model = make_model()
    plain = generate_ids(model, PROMPTS, 30, sampling=GREEDY, use_cache=False)
    model.use_fused_attention()
    assert generate_ids(model, PROMPTS, 30, sampling=GREEDY) == plain


def test_with_the_cache_each_token_is_read_once(model: TransformerLM, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    hidden = TransformerLM.hidden

    def counted(self: TransformerLM, tokens: Tensor, positions: Tensor | None = None, cache: KVCache | None = None):
        shapes.append(tuple(tokens.shape))
        return hidden(self, tokens, positions, cache)

    monkeypatch.setattr(TransformerLM, "hidden", counted)
    with pytest.warns(ContextLengthExceeded):
        generate_ids(model, [[1, 2, 3, 4], [5, 6, 7, 8]], 16, sampling=GREEDY)
    # Lengths 4 to 12, then at 13 and at 19 the newer half of a full window and what came after it.
    assert shapes == [(2, 4), *[(2, 1)] * 8, (2, 7), *[(2, 1)] * 5, (2, 7)]


def test_a_row_does_not_depend_on_its_neighbours(model: TransformerLM) -> None:
    together = generate_ids(model, PROMPTS, 4, seed=10)
    apart = [generate_ids(model, [prompt], 4, seed=10 + row)[0] for row, prompt in enumerate(PROMPTS)]
    assert together == apart
    assert together[0] != together[3]


def test_rows_stop_one_by_one(model: TransformerLM) -> None:
    free = generate_ids(model, PROMPTS, 4, seed=3)
    stops = {free[1][0], free[3][2]}
    stopped = generate_ids(model, PROMPTS, 4, seed=3, stop_ids=stops)
    expected = [row[: next((k for k, token in enumerate(row) if token in stops), 4)] for row in free]
    assert stopped == expected
    assert stopped[1] == []


@past_the_context
def test_a_row_that_has_ended_does_not_disturb_the_others(model: TransformerLM) -> None:
    # The short row ends long before the prompt of the other does, and the window moves on in between.
    prompts = [[1], list(range(50, 90))]
    first = generate_ids(model, [prompts[0]], 1, sampling=GREEDY)[0][0]
    made = generate_ids(model, prompts, 20, sampling=GREEDY, stop_ids=(first,))
    assert made[0] == []
    assert made[1] == [token for token in plain_greedy(model, prompts[1], 20) if token != first][: len(made[1])]
    assert made[1]


def test_tokens_come_as_they_are_made(model: TransformerLM, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = generate_ids(model, PROMPTS, 5, seed=5)
    rows: list[list[int]] = [[] for _ in PROMPTS]
    steps = 0
    logits = TransformerLM.logits

    def counted(self: TransformerLM, hidden: Tensor) -> Tensor:
        nonlocal steps
        steps += 1
        return logits(self, hidden)

    monkeypatch.setattr(TransformerLM, "logits", counted)
    stream = stream_ids(model, PROMPTS, 5, seed=5)
    first = next(stream)
    assert steps == 1
    for row, token in (first, *stream):
        rows[row].append(token)
    assert rows == whole


def test_seeds(model: TransformerLM) -> None:
    prompts = [[1, 2]] * 3
    one = generate_ids(model, prompts, 8, seed=1)
    assert one == generate_ids(model, prompts, 8, seed=1)
    assert one[1:] == generate_ids(model, prompts, 8, seed=2)[:2]
    assert one != generate_ids(model, prompts, 8, seed=7)
    assert generate_ids(model, prompts, 8) != generate_ids(model, prompts, 8)
    state = torch.random.get_rng_state()
    generate_ids(model, prompts, 8)
    assert torch.equal(state, torch.random.get_rng_state())


def test_only_allowed_tokens_are_chosen(model: TransformerLM) -> None:
    allowed = torch.zeros(300, dtype=torch.bool)
    allowed[[3, 8]] = True
    for sampling in (Sampling(temperature=5.0), GREEDY):
        rows = generate_ids(model, PROMPTS, 4, sampling=sampling, seed=1, allowed=allowed)
        assert {token for row in rows for token in row} <= {3, 8}


def test_the_context_length_is_spoken_of_once(model: TransformerLM) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generate_ids(model, [[1] * 4], 9, sampling=GREEDY)  # the last is chosen by a window just full
    with pytest.warns(ContextLengthExceeded, match="context of 12 tokens") as caught:
        generate_ids(model, [[1] * 4], 40, sampling=GREEDY)
    assert len(caught) == 1
    assert isinstance(caught[0].message, ContextLengthExceeded)
    assert caught[0].message.context_length == CONTEXT


def test_windows() -> None:
    assert [window_start(length, 4) for length in range(1, 11)] == [0, 0, 0, 0, 2, 2, 4, 4, 6, 6]
    assert [window_start(length, 5) for length in range(4, 12)] == [0, 0, 2, 2, 4, 4, 6, 6]
    assert [window_start(length, 1) for length in range(1, 4)] == [0, 1, 2]


@pytest.mark.parametrize("use_cache", (True, False))
def test_the_model_is_left_as_it_was(model: TransformerLM, use_cache: bool) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generate_ids(model, [[1]], 3, use_cache=use_cache)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    model(torch.tensor([[1, 2]])).sum().backward()
    model.zero_grad()


def test_bad_prompts(model: TransformerLM) -> None:
    with pytest.raises(ArgumentError, match="prompt 1 has no tokens"):
        stream_ids(model, [[1], []], 4)
    with pytest.raises(ArgumentError, match="max_tokens must be at least 1, not 0"):
        stream_ids(model, [[1]], 0)
    with pytest.raises(ArgumentError, match="seed must be 0 or more, not -1"):
        stream_ids(model, [[1]], 4, seed=-1)
    for bad in (300, -1):
        with pytest.raises(
            TokenIdError, match=f"token id {bad} at position 2 of prompt 1 is beyond .* of 300"
        ) as caught:
            stream_ids(model, [[1], [1, 2, bad]], 4)
        assert (caught.value.id, caught.value.position, caught.value.vocab_size) == (bad, 2, 300)
    assert generate_ids(model, [], 4) == []
