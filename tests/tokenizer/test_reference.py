"""The pure-Python definition against the course's merges and against the peers it describes."""

import base64
import json
from itertools import pairwise
from pathlib import Path

import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from bloomery.tokenizer import reference

END = "<|endoftext|>"
TEXTS = (
    "",
    "Hello, world! It's 1234567 o'clock; we'LL see they'Re don'ſt.",
    "a  \n  ",
    "tabs\t\tand\r\n\r\n  mixed \n\n endings   \n",
    "한국어 텍스트와 日本語、ภาษาไทย, emoji 👩‍👩‍👧‍👦 and cafe\u0301",
    "\u00a0\u3000 wide\u2003spaces\u0085 \x1c\x1f\x00",
    'fn main() { println!("{}", x[0..=9]); } // HTTPServer /path/to\n',
    "½ Ⅷ ٣٤٥ x²",
)
# Peers know other versions of Unicode: characters unassigned in the oldest are left out.
assigned_text = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co")), max_size=60)
any_words = st.dictionaries(st.binary(min_size=1, max_size=8), st.integers(1, 5), max_size=12)


def read_ranks(path: Path) -> dict[bytes, int]:
    lines = (line.split() for line in path.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def tiktoken_encoding(path: Path, pattern: str) -> tiktoken.Encoding:
    ranks = read_ranks(path)
    return tiktoken.Encoding(
        path.stem,
        pat_str=reference.PATTERNS[pattern],
        mergeable_ranks=ranks,
        special_tokens={END: max(ranks.values()) + 1},
    )


@pytest.fixture(scope="module")
def gpt2(shared: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(shared / "vocab/gpt2_tokenizer.json"))


@pytest.fixture(scope="module")
def gpt2_tables(shared: Path, gpt2: tokenizers.Tokenizer) -> tuple[dict[int, bytes], list[reference.Pair]]:
    to_byte = {character: byte for byte, character in reference.gpt2_characters().items()}

    def to_bytes(token: str) -> bytes:
        return token.encode() if token == END else bytes(to_byte[character] for character in token)

    vocab = {token_id: to_bytes(token) for token, token_id in gpt2.get_vocab().items()}
    lines = (shared / "vocab/vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    pairs = (line.split(" ") for line in lines)
    return vocab, [(to_bytes(left), to_bytes(right)) for left, right in pairs]


def test_course_merges(shared: Path) -> None:
    text = (shared / "cs336/corpus.en").read_text(encoding="utf-8")
    vocab, merges = reference.train(text, 500, [END])
    characters = reference.gpt2_characters()
    lines = [" ".join("".join(characters[byte] for byte in token) for token in pair) for pair in merges]
    assert lines == (shared / "cs336/train-bpe-reference-merges.txt").read_text(encoding="utf-8").splitlines()
    assert len(vocab) == 500
    assert vocab[499] == END.encode()
    assert list(vocab.values())[:256] == [bytes([byte]) for byte in range(256)]


def huggingface_merges(pieces: list[str], vocab_size: int) -> list[reference.Pair]:
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(pieces, trainer)
    to_byte = {character: byte for byte, character in reference.gpt2_characters().items()}

    def to_bytes(token: str) -> bytes:
        return bytes(to_byte[character] for character in token)

    return [(to_bytes(left), to_bytes(right)) for left, right in json.loads(peer.to_str())["model"]["merges"]]


@given(texts=st.lists(st.text(st.sampled_from("ab cé'\n1"), max_size=30), max_size=6), size=st.integers(257, 300))
def test_huggingface_ties_are_those_of_tokenizers(texts: list[str], size: int) -> None:
    text = END.join(texts)
    _, merges = reference.train(text, size, [END], tie_break="huggingface")
    assert merges == huggingface_merges(text.split(END), size)


def test_huggingface_ties_on_real_text(shared: Path) -> None:
    text = (shared / "cs336/tinystories_sample.txt").read_text(encoding="utf-8")
    _, merges = reference.train(text, 600, [END], tie_break="huggingface")
    assert merges == huggingface_merges(text.split(END), 600)


def test_ties_go_to_the_greatest_pair_of_byte_strings() -> None:
    _, merges = reference.train_from_counts({b"ab": 2, b"b\xff": 2, b"ba": 2}, 257)
    assert merges == [(b"b", b"\xff")]


def test_the_lexicographic_order_compares_left_tokens_first() -> None:
    # After (a, b), the pairs (ab, x) and (b, zz...) tie: "b" > "ab", although "abx" is the longer.
    _, merges = reference.train_from_counts({b"ab": 9, b"abx": 3, b"bz": 3}, 258)
    assert merges == [(b"a", b"b"), (b"b", b"z")]


def test_counts_beyond_32_bits_decide() -> None:
    _, merges = reference.train_from_counts({b"ab": 2**32 + 1, b"zz": 2**32}, 257)
    assert merges == [(b"a", b"b")]


def test_training_stops_when_no_pair_is_left() -> None:
    vocab, merges = reference.train("aaa aaa", 1000, [END])
    assert merges == [(b"a", b"a"), (b"aa", b"a"), (b" ", b"aaa")]
    assert len(vocab) == 260


@given(any_words, st.integers(256, 280), st.integers(0, 12), st.sampled_from(sorted(reference.TIE_BREAKS)))
def test_a_smaller_vocabulary_is_a_prefix(words: dict[bytes, int], size: int, more: int, tie_break: str) -> None:
    _, small = reference.train_from_counts(words, size, tie_break=tie_break)
    _, large = reference.train_from_counts(words, size + more, tie_break=tie_break)
    assert large[: len(small)] == small


def test_special_tokens_are_boundaries_and_teach_nothing() -> None:
    assert reference.count_words("low<|x|>low er<|x|>", ["<|x|>"]) == {b"low": 2, b" er": 1}


def test_special_tokens_match_leftmost_then_longest() -> None:
    pieces = list(reference.split_special("ab<s><s>cbcd", ["<s>", "<s><s>", "bc", "cb"]))
    assert pieces == [("ab", False), ("<s><s>", True), ("cb", True), ("cd", False)]


def test_what_a_pattern_leaves_out_is_kept() -> None:
    assert reference.pretokenize("ab1, c", r"[a-z]+") == ["ab", "1, ", "c"]


@pytest.mark.parametrize("pattern", sorted(reference.PATTERNS))
@given(text=st.text())
def test_pre_tokens_joined_are_the_text(pattern: str, text: str) -> None:
    words = reference.pretokenize(text, pattern)
    assert "".join(words) == text
    assert all(words)


def test_published_schemes_cut_white_space_as_tiktoken_does() -> None:
    assert reference.pretokenize("a  \n  ", "gpt2") == ["a", "  \n  "]
    assert reference.pretokenize("a  \n  ", "cl100k") == ["a", "  \n  "]
    assert reference.pretokenize("a  \n  ", "o200k") == ["a", "  \n", "  "]
    assert reference.pretokenize("a  \n  b", "cl100k") == ["a", "  \n", " ", " b"]


@pytest.mark.parametrize(
    ("file", "pattern"),
    (("r50k_base", "gpt2"), ("cl100k_base", "cl100k"), ("o200k_base", "o200k"), ("qwen", "qwen")),
)
def test_ids_by_rank_are_those_of_tiktoken(shared: Path, file: str, pattern: str) -> None:
    peer = tiktoken_encoding(shared / f"vocab/{file}.tiktoken", pattern)
    vocab = {rank: token for token, rank in peer._mergeable_ranks.items()} | {peer.eot_token: END.encode()}
    for text in (*TEXTS, END.join(TEXTS) + END):
        ids = reference.encode(text, vocab, None, [END], pattern, whole_words=True)
        assert ids == peer.encode(text, allowed_special="all")
        assert reference.decode(ids, vocab) == text


def test_ids_by_merges_are_those_of_tokenizers(
    gpt2: tokenizers.Tokenizer, gpt2_tables: tuple[dict[int, bytes], list[reference.Pair]]
) -> None:
    vocab, merges = gpt2_tables
    for text in (*TEXTS, END.join(TEXTS) + END):
        assert reference.encode(text, vocab, merges, [END]) == gpt2.encode(text).ids


@given(text=assigned_text)
def test_pre_tokens_are_those_of_tokenizers(text: str) -> None:
    peer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    characters = reference.gpt2_characters()
    words = ["".join(characters[byte] for byte in word.encode()) for word in reference.pretokenize(text)]
    assert words == [word for word, _ in peer.pre_tokenize_str(text)]


@given(text=st.text(), corpus=st.text(), size=st.integers(258, 280))
def test_decoding_gives_the_text_back(text: str, corpus: str, size: int) -> None:
    vocab, merges = reference.train([corpus, text], size, ["<s>", "<s><s>"])
    ids = reference.encode(text + "<s>" + corpus, vocab, merges, ["<s>", "<s><s>"])
    assert reference.decode(ids, vocab) == text + "<s>" + corpus


def test_half_a_character_decodes_to_the_replacement_character() -> None:
    vocab = {byte: bytes([byte]) for byte in range(256)}
    assert reference.decode("한".encode()[:2], vocab) == "\ufffd"
    assert reference.decode_bytes([0xE1, 0x61], vocab) == b"\xe1a"


def test_gpt2_characters_are_distinct_and_printable() -> None:
    characters = reference.gpt2_characters()
    assert sorted(characters) == list(range(256))
    assert len(set(characters.values())) == 256
    assert all(character.isprintable() and not character.isspace() for character in characters.values())
    assert all(left < right for left, right in pairwise(sorted(characters.values())))
    assert characters[ord(" ")] == "Ġ"
    assert characters[ord("\n")] == "Ċ"
