"""Building tokenizers from values and files, what they say of themselves, copies and equality."""

import copy
import json
import pickle
import re
from pathlib import Path

import pytest

from bloomery import AddedToken, Tokenizer
from bloomery.errors import (
    PatternError,
    SpecialTokenError,
    TokenIdError,
    UnsupportedError,
    VocabSizeError,
    VocabularyError,
)

END = "<|endoftext|>"
BYTES = {byte: bytes([byte]) for byte in range(256)}


class Named(Tokenizer):
    """A subclass with a value of its own."""

    name = "none"


def test_parts_build_the_same_tokenizer(tokenizer: Tokenizer, prose: str) -> None:
    again = Tokenizer(tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens, pattern=tokenizer.pattern)
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert again.encode(prose + END) == tokenizer.encode(prose + END)


def test_special_tokens_that_the_vocabulary_lacks_are_appended() -> None:
    tokenizer = Tokenizer({**BYTES, 300: b"<a>"}, [], ["<b>", "<a>", "<c>"])
    assert tokenizer.special_tokens == ["<a>", "<b>", "<c>"]
    assert [tokenizer.token_to_id(token) for token in ("<a>", "<b>", "<c>")] == [300, 301, 302]
    assert tokenizer.vocab_size == 303
    assert tokenizer.encode("x<c><a>") == [ord("x"), 302, 300]


def test_ids_may_be_permuted_and_have_gaps() -> None:
    vocab = {2 * (255 - byte): bytes([byte]) for byte in range(256)} | {1001: b"ab"}
    tokenizer = Tokenizer(vocab, [(b"a", b"b")])
    assert tokenizer.vocab == dict(sorted(vocab.items()))
    assert tokenizer.vocab_size == 1002
    assert tokenizer.encode("abc") == [1001, 2 * (255 - ord("c"))]
    assert tokenizer.decode([1001, 2 * (255 - ord("c"))]) == "abc"
    with pytest.raises(TokenIdError, match=r"token id 1 at position 0"):
        tokenizer.decode([1])


def test_a_single_byte_may_be_a_special_token() -> None:
    tokenizer = Tokenizer.train_from_iterable(["aba abb"], 258, ["a"])
    assert tokenizer.encode("aba") == [257, ord("b"), 257]
    assert Tokenizer(tokenizer.vocab, tokenizer.merges, ["a"]) == tokenizer


@pytest.mark.parametrize(
    ("vocab", "merges", "special_tokens", "error", "message"),
    (
        (
            {i: t for i, t in BYTES.items() if i != 7},
            [],
            None,
            VocabularyError,
            r"1 of the 256 bytes are no tokens.*x07",
        ),
        ({**BYTES, 256: b"a"}, [], None, VocabularyError, r"a"),
        (BYTES, [(b"a", b"b")], None, VocabularyError, r"ab.* not in the vocabulary"),
        ({**BYTES, 256: b"xyz"}, [(b"xy", b"z")], None, VocabularyError, r"xy.* not in the vocabulary"),
        ({**BYTES, 2**21 - 1: b"ab"}, [(b"a", b"b")], None, VocabularyError, r"join to 2097151 .* not supported"),
        ({**BYTES, -1: b"ab"}, [], None, VocabularyError, r"id -1 is not in 0\.\.2\*\*32"),
        ({**BYTES, 2**32: b"ab"}, [], None, VocabularyError, r"id 4294967296"),
        ({**BYTES, 256: "ab"}, [], None, TypeError, r"vocab must map int to bytes, but 256 is mapped to 'ab'"),
        ({b"a": 1}, [], None, TypeError, r"vocab must map int to bytes"),
        (BYTES, ["ab"], None, TypeError, r"merges must be pairs of bytes; merge 0 is 'ab'"),
        (BYTES, [], ["<a>", ""], SpecialTokenError, r"special token \"\" is empty"),
        (BYTES, [], ["<a>", "<a>"], SpecialTokenError, r"special token \"<a>\" is given twice"),
        (BYTES, [], "<a>", TypeError, r"special_tokens must be a list of str, not one str"),
        (BYTES, [], {"<a>", "<b>"}, TypeError, r"special_tokens must have an order"),
    ),
)
def test_bad_parts(vocab: dict[int, bytes], merges: list, special_tokens: list[str], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Tokenizer(vocab, merges, special_tokens)


def test_a_pattern_that_does_not_compile() -> None:
    with pytest.raises(PatternError, match=r"\(unclosed") as caught:
        Tokenizer(BYTES, [], pattern="(unclosed")
    assert caught.value.pattern == "(unclosed"


def test_what_it_says_of_itself(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 400
    assert len(tokenizer.merges) == 142
    assert tokenizer.special_tokens == [END, "<|pad|>"]
    assert tokenizer.pattern == "gpt2"
    assert tokenizer.normalizer is None
    assert tokenizer.eot_id == 398
    assert tokenizer.added_tokens[1] == AddedToken(
        "<|pad|>", 399, special=True, lstrip=False, rstrip=False, single_word=False, normalized=False
    )
    assert tokenizer.vocab[399] == b"<|pad|>"
    assert repr(tokenizer) == (
        "Tokenizer(vocab_size=400, pattern='gpt2', special_tokens=['<|endoftext|>', '<|pad|>'], merges=142)"
    )


def test_repr_stays_short() -> None:
    many = Tokenizer(BYTES, [], [f"<{number}>" for number in range(100)], pattern=r"\w+|\W+" + "|a" * 100)
    assert "100 in all" in repr(many)
    assert len(repr(many)) < 200
    assert Tokenizer(BYTES, []).eot_id is None


def test_tokens_and_ids(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_to_id(b"\xff") == 255
    assert tokenizer.token_to_id("not a token") is None
    assert tokenizer.id_to_token(398) == END.encode()
    for bad in (400, -1, 2**40):
        with pytest.raises(TokenIdError, match=f"token id {bad} at position 0 is not in the vocabulary"):
            tokenizer.id_to_token(bad)


def test_truncating_gives_the_smaller_vocabulary(tokenizer: Tokenizer, prose: str) -> None:
    smaller = Tokenizer.train_from_iterable([prose + END] * 3, 300, [END, "<|pad|>"])
    assert tokenizer.truncate(300) == smaller
    with pytest.raises(VocabSizeError, match="257 is too small: 256 bytes and 2 special tokens") as caught:
        tokenizer.truncate(257)
    assert (caught.value.vocab_size, caught.value.special_tokens) == (257, 2)


@pytest.mark.parametrize("name", ("tokenizer.json", "folder"))
def test_saving_and_loading(tokenizer: Tokenizer, tmp_path: Path, name: str) -> None:
    tokenizer.save(tmp_path / name)
    again = Tokenizer.load(tmp_path / name)
    assert again == tokenizer
    if name == "folder":
        vocab, merges = (tmp_path / "folder" / part for part in ("vocab.json", "merges.txt"))
        assert sorted((tmp_path / "folder").iterdir()) == [merges, vocab]
        assert Tokenizer.from_files(vocab, merges, tokenizer.special_tokens) == tokenizer


def test_ranks_need_their_pattern(tokenizer: Tokenizer, tmp_path: Path, prose: str) -> None:
    path = tmp_path / "ranks.tiktoken"
    tokenizer.save(path)
    with pytest.raises(ValueError, match="pattern"):
        Tokenizer.load(path)
    again = Tokenizer.load(path, "gpt2", [END, "<|pad|>"])
    assert again.encode(prose + END) == tokenizer.encode(prose + END)
    assert again.merges == tokenizer.merges
    assert "by rank" in repr(again)
    assert pickle.loads(pickle.dumps(again)) == again


def test_a_truncated_file(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VocabularyError, match=re.escape(str(path))) as caught:
        Tokenizer.load(path)
    assert caught.value.origin == str(path)


def test_what_is_not_supported_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(saved | {"normalizer": {"type": "Lowercase"}}), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=r"tokenizer\.json: .*Lowercase.* is not supported") as caught:
        Tokenizer.load(path)
    assert caught.value.origin == str(path)
    assert "Lowercase" in caught.value.feature


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "missing.json"
    with pytest.raises(FileNotFoundError) as caught:
        Tokenizer.load(path)
    assert (caught.value.filename, caught.value.errno) == (str(path), 2)


def test_home_is_filled_in(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tokenizer.save("~/tokenizer.json")
    assert (tmp_path / "tokenizer.json").exists()
    assert Tokenizer.load("~/tokenizer.json") == tokenizer


def test_copies(tokenizer: Tokenizer, prose: str) -> None:
    for again in (copy.copy(tokenizer), copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert again is not tokenizer
        assert again == tokenizer
        assert hash(again) == hash(tokenizer)
        assert again.encode(prose + END) == tokenizer.encode(prose + END)


def test_copies_of_a_subclass_keep_its_class_and_values(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    named = Named.load(tmp_path / "tokenizer.json")
    named.name = "mine"
    for again in (copy.deepcopy(named), pickle.loads(pickle.dumps(named))):
        assert type(again) is Named
        assert again.name == "mine"
        assert again == named == tokenizer
    assert type(named.truncate(300)) is Named
    assert type(Named(BYTES, [])) is Named
    assert type(Named.train_from_iterable(["aaaa"], 257)) is Named


def test_different_tokenizers_are_not_equal(tokenizer: Tokenizer) -> None:
    vocab, merges = tokenizer.vocab, tokenizer.merges
    assert tokenizer != Tokenizer(vocab, merges, [END], pattern="gpt2")
    assert tokenizer != Tokenizer(vocab, merges, tokenizer.special_tokens, pattern="cl100k")
    assert tokenizer != Tokenizer(vocab, merges[:-1], tokenizer.special_tokens)
    assert tokenizer != "tokenizer"


def test_a_pattern_spelt_out_is_the_named_one() -> None:
    gpt2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    assert Tokenizer(BYTES, [], pattern=gpt2).pattern == "gpt2"
