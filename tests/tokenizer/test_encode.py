"""Encoding: every way gives the ids of `encode`, and says what is wrong with a text."""

import sys
from collections.abc import Iterator
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloomery import Tokenizer, WordCounts
from bloomery.errors import ArgumentError, InvalidUtf8Error, LoneSurrogateError, PatternLimitError, SpecialTokenError
from bloomery.tokenizer import reference

END = "<|endoftext|>"

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=80) | st.lists(
    st.sampled_from([END, "<|pad|>", "<|endoftext", "|>", " ", "it was", "\n", "é", "🙂", "a"]), max_size=12
).map("".join)


@pytest.fixture(scope="module")
def long_text(prose: str) -> str:
    """Over the length from which several threads are used."""
    return (prose + END) * 4000


@pytest.fixture(scope="module")
def long_ids(tokenizer: Tokenizer, prose: str) -> list[int]:
    return tokenizer.encode(prose + END) * 4000


@given(text=texts)
def test_ids_are_those_of_the_definition(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids == reference.encode(text, tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens)
    assert tokenizer.decode(ids) == text
    assert tokenizer.count(text) == len(ids)
    array = tokenizer.encode_array(text)
    assert (array.dtype, array.ndim, array.tolist()) == (np.uint16, 1, ids)


def test_long_texts(tokenizer: Tokenizer, long_ids: list[int], long_text: str) -> None:
    assert tokenizer.encode(long_text) == long_ids
    for threads in (1, 2, 7):
        assert tokenizer.encode_array(long_text, num_threads=threads).tolist() == long_ids
    assert tokenizer.count(long_text) == len(long_ids)
    assert tokenizer.encode_with_offsets(long_text)[0] == long_ids
    assert len(tokenizer.encode_ordinary(long_text)) > len(long_ids)


def test_allowed_special(tokenizer: Tokenizer) -> None:
    text = f"it{END}was<|pad|>"
    both, ordinary = tokenizer.encode(text), tokenizer.encode_ordinary(text)
    assert 398 in both
    assert 399 in both
    assert not {398, 399} & set(ordinary)
    assert tokenizer.encode(text, "all") == both
    assert tokenizer.encode(text, allowed_special="none") == tokenizer.encode(text, []) == ordinary
    for only in ({END}, [END], (END,), frozenset([END])):
        ids = tokenizer.encode(text, only)
        assert 398 in ids
        assert 399 not in ids
        assert tokenizer.encode_array(text, only).tolist() == ids
        assert tokenizer.count(text, only) == len(ids)
        assert tokenizer.encode_with_offsets(text, only)[0] == ids
        assert tokenizer.encode_batch([text], allowed_special=only, as_lists=True) == [ids]
        assert list(tokenizer.encode_iterable(text.split("|"), only)) == tokenizer.encode(text.replace("|", ""), only)


@pytest.mark.parametrize("method", ("encode", "encode_array", "count", "encode_with_offsets"))
def test_an_unknown_special_token_is_named(tokenizer: Tokenizer, method: str) -> None:
    with pytest.raises(SpecialTokenError, match=r'"<\|eot\|>" is not one of this') as caught:
        getattr(tokenizer, method)("text", ["<|eot|>"])
    assert caught.value.token == "<|eot|>"
    with pytest.raises(
        ValueError, match=r'allowed_special must be "all", "none" or a collection.*write \{"<\|eot\|>"\}'
    ):
        getattr(tokenizer, method)("text", "<|eot|>")
    with pytest.raises(TypeError, match="allowed_special must be"):
        getattr(tokenizer, method)("text", 5)


def test_an_unknown_special_token_is_named_by_the_others_too(tokenizer: Tokenizer) -> None:
    with pytest.raises(SpecialTokenError, match=r"<\|eot\|>"):
        tokenizer.encode_batch(["text"], allowed_special=["<|eot|>"])
    with pytest.raises(SpecialTokenError, match=r"<\|eot\|>"):
        tokenizer.encode_iterable(["text"], ["<|eot|>"])


@given(text=texts)
def test_offsets_are_those_of_the_characters(tokenizer: Tokenizer, text: str) -> None:
    ids, spans = tokenizer.encode_with_offsets(text)
    assert ids == tokenizer.encode(text)
    assert len(spans) == len(ids)
    for token_id, (start, end) in zip(ids, spans, strict=True):
        assert tokenizer.id_to_token(token_id) in text[start:end].encode()
    if spans:
        assert spans[0][0] == 0
        assert spans[-1][1] == len(text)
        assert all(after[0] in (before[1], before[1] - 1) for before, after in pairwise(spans))


def test_batches(tokenizer: Tokenizer, prose: str) -> None:
    rows = ["it was", "", prose, f"{END}🙂", ""]
    lists = [tokenizer.encode(row) for row in rows]
    assert tokenizer.encode_batch(rows, as_lists=True) == lists
    ids, offsets = tokenizer.encode_batch(iter(rows), num_threads=2)
    assert (ids.dtype, offsets.dtype) == (np.uint16, np.int64)
    assert [ids[start:end].tolist() for start, end in pairwise(offsets)] == lists
    ids, offsets = tokenizer.encode_batch([])
    assert (ids.shape, offsets.tolist()) == ((0,), [0])


@pytest.mark.parametrize("count", (1, 63, 64, 65, 1000))
def test_texts_of_a_list_are_held_only_while_they_are_encoded(tokenizer: Tokenizer, count: int) -> None:
    rows = [f"it was {number}" for number in range(count)]
    expected, before = [tokenizer.encode(row) for row in rows], [sys.getrefcount(row) for row in rows]
    ids, offsets = tokenizer.encode_batch(rows)
    assert [ids[start:end].tolist() for start, end in pairwise(offsets)] == expected
    with pytest.raises(TypeError, match=rf"not int \(text {count}\)"):
        tokenizer.encode_batch([*rows, 1])  # type: ignore[list-item]  # That is what it is about.
    assert [sys.getrefcount(row) for row in rows] == before


def test_a_last_text_without_ids(tokenizer: Tokenizer) -> None:
    text = "it was " * 10_000
    ids, offsets = tokenizer.encode_batch([text] * 300 + [""], num_threads=2)
    one = tokenizer.encode_array(text)
    assert offsets.tolist() == [len(one) * number for number in range(301)] + [len(ids)]
    assert (ids.reshape(300, -1) == one).all()


def test_types_of_arrays(tokenizer: Tokenizer, prose: str) -> None:
    ids = tokenizer.encode(prose)
    large = Tokenizer({**tokenizer.vocab, 70_000: b"<large>"}, tokenizer.merges)
    assert large.encode(prose) == ids
    assert large.count(prose) == len(ids)
    for text in (prose, prose * 200):  # with memory of its own, and with numpy's
        expected = tokenizer.encode(text)
        for case, asked, made in (
            (tokenizer, None, "uint16"),
            (tokenizer, "uint32", "uint32"),
            (large, None, "uint32"),
        ):
            array = case.encode_array(text, dtype=asked)
            assert (array.dtype, array.tolist()) == (np.dtype(made), expected)
            array, _ = case.encode_batch([text], dtype=asked)
            assert (array.dtype, array.tolist()) == (np.dtype(made), expected)
            assert case.encode_batch([text], dtype=asked, as_lists=True) == [expected]
    for encode in (large.encode_array, lambda text, dtype: large.encode_batch([text], dtype=dtype)):
        with pytest.raises(ArgumentError, match="a vocabulary of 70001 do not fit uint16; use uint32"):
            encode(prose, dtype="uint16")
        with pytest.raises(ValueError, match='dtype must be "uint16" or "uint32", not "int64"'):
            encode(prose, dtype="int64")


def test_an_iterable_equals_its_strings_joined(tokenizer: Tokenizer, long_ids: list[int], long_text: str) -> None:
    cuts = list(range(0, len(long_text), 977))
    strings = [long_text[start:end] for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
    assert list(tokenizer.encode_iterable(strings)) == long_ids
    # One string longer than the pieces that it is cut into.
    assert list(tokenizer.encode_iterable([long_text])) == long_ids
    assert list(tokenizer.encode_iterable([])) == list(tokenizer.encode_iterable(["", ""])) == []


@given(text=texts, data=st.data())
def test_an_iterable_may_cut_anywhere(tokenizer: Tokenizer, text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    strings = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert list(tokenizer.encode_iterable(strings)) == tokenizer.encode(text)


def test_an_iterable_is_read_lazily(tokenizer: Tokenizer) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "it was the best of times, "

    ids = tokenizer.encode_iterable(endless())
    assert read == 0
    assert list(islice(ids, 1000)) == tokenizer.encode("it was the best of times, " * 200)[:1000]
    assert read < 400


def test_an_iterable_that_raises_is_at_its_end(tokenizer: Tokenizer) -> None:
    def failing() -> Iterator[str]:
        yield "it was the best of times"
        raise KeyError("source")

    ids = tokenizer.encode_iterable(failing())
    with pytest.raises(KeyError, match="source"):
        list(ids)
    assert list(ids) == []


@pytest.mark.parametrize(
    ("call", "message"),
    (
        (lambda t: t.encode(5), r"text must be str or bytes, not int"),
        (lambda t: t.encode_ordinary(None), r"text must be str or bytes, not NoneType"),
        (lambda t: t.encode_with_offsets(b"text"), r"text must be str, not bytes; decode it first"),
        (lambda t: t.encode_batch("text"), r"texts must be an iterable of str, not one str"),
        (lambda t: t.encode_batch(["a", 3]), r"text must be str or bytes, not int \(text 1\)"),
        (lambda t: t.encode_iterable("text"), r"texts must be an iterable of str, not one str"),
        (lambda t: list(t.encode_iterable(["a", 3])), r"text must be str, not int \(string 1\)"),
        (lambda t: t.encode("text", errors=5), r"errors"),
    ),
)
def test_what_is_not_text(tokenizer: Tokenizer, call, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(tokenizer)


def test_unknown_options(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r'errors must be "strict", "replace" or "ignore", not "surrogatepass"'):
        tokenizer.encode("text", errors="surrogatepass")
    for bad in (0, -1):
        with pytest.raises(ValueError, match=f"num_threads must be at least 1, or None for every core, not {bad}"):
            tokenizer.encode_batch(["text"], num_threads=bad)


LONE = "é🙂it \ud800was\udfff"


@pytest.mark.parametrize(
    "encode",
    (
        Tokenizer.encode,
        Tokenizer.encode_ordinary,
        lambda tokenizer, text, **how: tokenizer.encode_array(text, **how).tolist(),
        lambda tokenizer, text, **how: tokenizer.encode_with_offsets(text, **how)[0],
        lambda tokenizer, text, **how: tokenizer.encode_batch([text], as_lists=True, **how)[0],
        lambda tokenizer, text, **how: list(tokenizer.encode_iterable([text], **how)),
    ),
)
def test_lone_surrogates(tokenizer: Tokenizer, encode) -> None:
    with pytest.raises(LoneSurrogateError, match=r"lone surrogate U\+D800 at character 5 of .*errors=") as caught:
        encode(tokenizer, LONE)
    assert caught.value.position == 5
    assert isinstance(caught.value, ValueError)
    assert encode(tokenizer, LONE, errors="replace") == tokenizer.encode("é🙂it \ufffdwas\ufffd")
    assert encode(tokenizer, LONE, errors="ignore") == tokenizer.encode("é🙂it was")


def test_lone_surrogates_deep_in_a_long_string(tokenizer: Tokenizer) -> None:
    text = "é" * 200_000 + "\udc00"
    with pytest.raises(LoneSurrogateError, match="at character 200000 of string 1") as caught:
        list(tokenizer.encode_iterable(["", text]))
    assert caught.value.position == 200_000
    ids = list(tokenizer.encode_iterable([text], errors="replace"))
    assert ids == tokenizer.encode(text.replace("\udc00", "\ufffd"))


def test_strings_gain_no_copy_in_utf8(tokenizer: Tokenizer) -> None:
    strings = ["é" * length for length in (10, 100_000, 1_000_000)]
    sizes = [sys.getsizeof(string) for string in strings]
    assert sum(1 for _ in tokenizer.encode_iterable(strings)) > 0
    assert WordCounts.from_iterable(strings).total == 3
    assert [sys.getsizeof(string) for string in strings] == sizes


def test_lone_surrogates_among_several_strings(tokenizer: Tokenizer) -> None:
    with pytest.raises(LoneSurrogateError, match="at character 5 of string 1"):
        tokenizer.encode_batch(["a", LONE])
    with pytest.raises(LoneSurrogateError, match="at character 5 of string 1"):
        list(tokenizer.encode_iterable(["a", LONE]))
    assert tokenizer.count(LONE, errors="replace") == len(tokenizer.encode(LONE, errors="replace"))


@pytest.mark.parametrize("errors", ("replace", "ignore"))
def test_offsets_refer_to_the_text_as_given(tokenizer: Tokenizer, errors: str) -> None:
    text = f"\udc00\udc00it was\udc00 the{END}\udc00"
    ids, spans = tokenizer.encode_with_offsets(text, errors=errors)
    for token_id, (start, end) in zip(ids, spans, strict=True):
        covered = text[start:end].encode("utf-8", "surrogatepass").replace(b"\xed\xb0\x80", b"\xef\xbf\xbd")
        token = tokenizer.id_to_token(token_id)
        assert token in (covered if errors == "replace" else covered.replace(b"\xef\xbf\xbd", b""))
    assert spans[ids.index(398)] == (text.index(END), text.index(END) + len(END))


def test_a_regex_that_reaches_its_limit_is_an_error() -> None:
    tokenizer = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], pattern=r"(?:(?=(a+))a+)+b|.")
    with pytest.raises(PatternLimitError, match=r"reached the regex engine's limit") as caught:
        tokenizer.encode("a" * 5000)
    assert caught.value.length == 5000
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("text", ("", "low lower<|endoftext|>newest 한국어 \U0001f600\n", "a" * 3000))
def test_bytes_are_encoded_as_the_text_that_they_are(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.encode(text.encode()) == ids
    assert tokenizer.encode_array(text.encode(), num_threads=1).tolist() == ids
    assert tokenizer.encode_ordinary(text.encode()) == tokenizer.encode_ordinary(text)
    assert tokenizer.count(text.encode()) == len(ids)
    assert tokenizer.encode_batch([text, text.encode()], as_lists=True) == [ids, ids]


def test_bytes_that_are_not_utf_8(tokenizer: Tokenizer) -> None:
    with pytest.raises(InvalidUtf8Error, match=r"the text: invalid UTF-8 at byte 3 \(0xff\)") as caught:
        tokenizer.encode(b"low\xff")
    assert caught.value.offset == 3
    with pytest.raises(InvalidUtf8Error, match=r"text 1: invalid UTF-8 at byte 0"):
        tokenizer.encode_batch(["low", b"\xff"])
    assert tokenizer.encode(b"low\xff", errors="replace") == tokenizer.encode("low\ufffd")
    assert tokenizer.encode(b"l\xffow", errors="ignore") == tokenizer.encode("low")


@pytest.mark.parametrize("threads", (1, 2))
@pytest.mark.parametrize("bad", (b"\xff", b"\xed\x95", b"\x9c"))  # the last two: parts of a character
@pytest.mark.parametrize("where", (0, 700_003, 2_000_000))
def test_large_bytes_that_are_not_utf_8(tokenizer: Tokenizer, bad: bytes, where: int, threads: int) -> None:
    """Bytes are checked part by part, on several threads; what is found is told, and repaired, as of the whole."""
    text = ("low lower<|endoftext|>newest " * 70_000).encode()[:2_000_000]
    assert np.array_equal(
        tokenizer.encode_array(text, num_threads=threads), tokenizer.encode_array(text.decode(), num_threads=threads)
    )
    data = text[:where] + bad + text[where:]
    with pytest.raises(InvalidUtf8Error, match=f"the text: invalid UTF-8 at byte {where} ") as caught:
        tokenizer.encode_array(data, num_threads=threads)
    assert caught.value.offset == where
    for errors in ("replace", "ignore"):
        expected = tokenizer.encode_array(data.decode(errors=errors), num_threads=threads)
        assert np.array_equal(tokenizer.encode_array(data, errors=errors, num_threads=threads), expected)
    with pytest.raises(InvalidUtf8Error, match=f"text 3: invalid UTF-8 at byte {where} "):
        tokenizer.encode_batch([text, "low", text, data, text, bad], num_threads=threads)


@pytest.mark.parametrize("threads", (1, 2))
def test_memory_of_ids_goes_to_later_calls_only_when_nobody_has_it(tokenizer: Tokenizer, threads: int) -> None:
    text = "low lower<|endoftext|>newest " * 400_000
    expected = tokenizer.encode_array(text, num_threads=threads)
    kept = tokenizer.encode_array(text, num_threads=threads)
    place = kept.ctypes.data
    view = kept[10:]
    del kept
    other = tokenizer.encode_array(text.upper(), num_threads=threads)
    assert np.array_equal(view, expected[10:])  # a view keeps its array's memory
    del other, view  # the last that is let go is kept
    assert tokenizer.count(text, num_threads=threads) == len(expected)  # and what counting takes comes back
    again, offsets = tokenizer.encode_batch([text], num_threads=threads)
    assert again.ctypes.data == place, "what was let go is used again"
    assert again.flags.writeable
    assert offsets.tolist() == [0, len(expected)]
    assert np.array_equal(again, expected)
