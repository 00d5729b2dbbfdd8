"""Training: the course's merges, however the text is given and however many threads count it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bloomery
from bloomery import Tokenizer, WordCounts
from bloomery.errors import PatternError, SpecialTokenError, TrainingStoppedEarly, VocabSizeError
from bloomery.tokenizer import reference

END = "<|endoftext|>"


def test_train_bpe_returns_plain_values(text_file: Path, tokenizer: Tokenizer) -> None:
    vocab, merges = bloomery.train_bpe(str(text_file), 400, [END, "<|pad|>"])
    assert (vocab, merges) == (tokenizer.vocab, tokenizer.merges)
    assert list(vocab) == list(range(400))
    assert all(vocab[256 + rank] == left + right for rank, (left, right) in enumerate(merges))
    assert (vocab[398], vocab[399]) == (END.encode(), b"<|pad|>")


@pytest.mark.parametrize("num_threads", (None, 1, 2, 7))
def test_the_course_merges(shared: Path, num_threads: int | None) -> None:
    vocab, merges = bloomery.train_bpe(shared / "cs336/corpus.en", 500, [END], num_threads=num_threads)
    to_bytes = {character: byte for byte, character in reference.gpt2_characters().items()}
    lines = (shared / "cs336/train-bpe-reference-merges.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split(" ") for line in lines]
    assert merges == [tuple(bytes(to_bytes[c] for c in token) for token in pair) for pair in parts]
    expected = json.loads((shared / "cs336/train-bpe-reference-vocab.json").read_text(encoding="utf-8"))
    spelt = [END.encode() if token == END else bytes(to_bytes[c] for c in token) for token in expected]
    assert sorted(vocab.values()) == sorted(spelt)


@given(
    texts=st.lists(st.text(st.sampled_from("ab \n'sé🙂<|>"), max_size=40), max_size=6),
    tie_break=st.sampled_from(["lexicographic", "huggingface"]),
    threads=st.sampled_from([1, 2, 7]),
)
@pytest.mark.filterwarnings("ignore::bloomery.errors.TrainingStoppedEarly")
def test_merges_are_those_of_the_definition(texts: list[str], tie_break: str, threads: int) -> None:
    special_tokens = ["<|>", "<|><|>"]
    tokenizer = Tokenizer.train_from_iterable(texts, 300, special_tokens, tie_break=tie_break, num_threads=threads)
    vocab, merges = reference.train(texts, 300, special_tokens, tie_break=tie_break)
    assert tokenizer.merges == merges
    assert tokenizer.vocab == vocab


def test_every_way_of_giving_text_is_equal(shared: Path, tmp_path: Path) -> None:
    text = (shared / "corpora/tinystories_2M.txt").read_text(encoding="utf-8")
    documents = [document + END for document in text.split(END)]
    shards = [documents[start::50] for start in range(50)]
    whole = Tokenizer.train(shared / "corpora/tinystories_2M.txt", 2000, [END])
    assert Tokenizer.train_from_iterable(documents, 2000, [END]) == whole

    files = [tmp_path / f"{number:02}.txt" for number in range(50)]
    for file, shard in zip(files, shards, strict=True):
        file.write_text("".join(shard), encoding="utf-8")
    assert Tokenizer.train(files, 2000, [END]) == whole
    assert Tokenizer.train(tmp_path / "*.txt", 2000, [END], num_threads=3) == whole
    counts = [WordCounts.from_files(file, special_tokens=[END], progress=False) for file in files]
    assert Tokenizer.train_from_counts(sum(counts[1:], counts[0]), 2000) == whole
    assert Tokenizer.train_from_counts(sum(counts[:-1], counts[-1]), 1000) == whole.truncate(1000)


def test_standard_input(text_file: Path, tokenizer: Tokenizer, run_program) -> None:
    program = f"""
import os, sys, bloomery
os.dup2(os.open(sys.argv[1], os.O_RDONLY), 0)
print(len(bloomery.Tokenizer.train("-", 400, [{END!r}, "<|pad|>"]).merges))
"""
    assert run_program(program, text_file).stdout == "142\n"


def test_stopping_early_is_said(text_file: Path) -> None:
    for train in (
        lambda: Tokenizer.train_from_iterable(["abab"], 1000, [END]),
        lambda: Tokenizer.train_from_counts(WordCounts({b"abab": 1}, special_tokens=[END]), 1000),
    ):
        with pytest.warns(TrainingStoppedEarly, match="stopped at 259 tokens of 1,000: no pair") as caught:
            tokenizer = train()
        assert tokenizer.vocab_size == 259
        message = caught[0].message
        assert isinstance(message, TrainingStoppedEarly)
        assert (message.reached, message.requested) == (259, 1000)
        assert caught[0].filename == __file__
    with pytest.warns(TrainingStoppedEarly) as caught:
        bloomery.train_bpe(text_file, 10_000, [])
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "options", "error", "message"),
    (
        (
            256,
            [END],
            {},
            VocabSizeError,
            "vocab_size 256 is too small: 256 bytes and 1 special tokens need at least 257",
        ),
        (-1, [], {}, ValueError, "vocab_size -1"),
        (2**70, [], {}, ValueError, "vocab_size 1180591620717411303424"),
        (300, ["<a>", "<a>"], {}, SpecialTokenError, "given twice"),
        (300, [""], {}, SpecialTokenError, "empty"),
        (300, END, {}, TypeError, "special_tokens must be a list of str, not one str"),
        (300, [], {"pattern": "("}, PatternError, r"pattern \"\(\""),
        (
            300,
            [],
            {"tie_break": "first"},
            ValueError,
            'tie_break must be "lexicographic" or "huggingface", not "first"',
        ),
        (300, [], {"errors": "surrogateescape"}, ValueError, "errors must be"),
        (300, [], {"num_threads": 0}, ValueError, "num_threads must be at least 1"),
    ),
)
def test_bad_arguments_are_refused_before_anything_is_read(
    vocab_size: int, special_tokens: list[str], options: dict, error: type[Exception], message: str
) -> None:
    def unread():
        pytest.fail("was read")
        yield

    with pytest.raises(error, match=message):
        Tokenizer.train("/dev/null", vocab_size, special_tokens, **options)
    with pytest.raises(error, match=message):
        Tokenizer.train_from_iterable(unread(), vocab_size, special_tokens, **options)


def test_what_is_not_an_iterable_of_texts() -> None:
    with pytest.raises(TypeError, match="texts must be an iterable of str, not one str"):
        Tokenizer.train_from_iterable("text", 300)
    with pytest.raises(TypeError, match=r"text must be str, not bytes \(string 1\); decode it first"):
        Tokenizer.train_from_iterable(["a", b"b"], 300)  # type: ignore[list-item]
    with pytest.raises(ZeroDivisionError):
        Tokenizer.train_from_iterable((str(1 // zero) for zero in [0]), 300)


@pytest.mark.filterwarnings("ignore::bloomery.errors.TrainingStoppedEarly")
def test_texts_larger_than_a_batch() -> None:
    texts = ["ab" * 3_000_000 + " ", "c" * 10, *["abab cc "] * 1_000_000]
    counts = WordCounts.from_iterable(texts)
    assert dict(counts.items()) == {
        b"ab" * 3_000_000: 1,
        b" ": 1_000_001,
        b"c" * 10: 1,
        b"abab": 1_000_000,
        b" cc": 1_000_000,
    }
