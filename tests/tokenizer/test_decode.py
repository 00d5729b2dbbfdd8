"""Decoding: what ids may be given as, partial characters, rows, streams, and ids that no token has."""

import array
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bloomery import Tokenizer
from bloomery.errors import TokenIdError

END = "<|endoftext|>"
any_ids = st.lists(st.integers(0, 399), max_size=40)


def test_ids_in_every_form(tokenizer: Tokenizer, prose: str) -> None:
    ids = tokenizer.encode(prose + END)
    forms = [ids, tuple(ids), iter(ids), array.array("I", ids), [np.int64(token_id) for token_id in ids]]
    forms += [np.array(ids, dtype) for dtype in ("u2", "u4", "u8", "i2", "i4", "i8", ">u2", ">i8")]
    forms += [np.array([ids, ids], np.uint16).T[:, 0], np.array(ids, np.uint16)[::-1][::-1], array.array("Q", ids)]
    unaligned = np.frombuffer(b"\0" + np.array(ids, np.uint32).tobytes(), np.uint8)[1:].view(np.uint32)
    for form in [*forms, unaligned]:
        assert tokenizer.decode(form) == prose + END
    assert tokenizer.decode_bytes(np.array(ids)) == (prose + END).encode()
    small = np.array([97, 98], np.uint8)
    assert tokenizer.decode(small) == tokenizer.decode(small.astype(np.int8)) == "ab"


def test_no_ids(tokenizer: Tokenizer) -> None:
    for empty in ([], (), np.array([]), np.array([], np.uint16)):
        assert tokenizer.decode(empty) == ""
        assert tokenizer.decode_bytes(empty) == b""


@given(ids=any_ids)
def test_any_ids_decode_as_python_decodes_their_bytes(tokenizer: Tokenizer, ids: list[int]) -> None:
    data = b"".join(map(tokenizer.vocab.__getitem__, ids))
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.decode(ids) == data.decode(errors="replace")
    assert tokenizer.decode(ids, errors="ignore") == data.decode(errors="ignore")


# Ends of ranges of as many bytes in UTF-8, or in a str. Texts from 65,536 bytes on are not left to Python alone.
CHARACTERS = "\x7f\x80\xff\u0100\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
LONG_PARTS = ("a" * 700, "b" * 65_500, "é" * 32_760, "日" * 21_840, "🙂" * 16_380)
PARTS = (*CHARACTERS, *LONG_PARTS, b"\xff", b"\xe6\x97", b"\xa5")


@given(parts=st.lists(st.sampled_from(PARTS), max_size=12))
def test_long_texts_of_characters_of_any_width(tokenizer: Tokenizer, parts: list[str | bytes]) -> None:
    data = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    ids = np.frombuffer(data, np.uint8)  # Ids below 256 are the bytes.
    assert tokenizer.decode(ids) == data.decode(errors="replace")
    assert tokenizer.decode(ids, errors="ignore") == data.decode(errors="ignore")
    assert strictly(lambda: tokenizer.decode(ids, errors="strict")) == strictly(data.decode)


@pytest.mark.parametrize("start", (b"", b"\xa5", b"\x97\xa5", b"\x80" * 3, b"\x80" * 4, b"\xff"))
@pytest.mark.parametrize("end", (b"", b"\xe6", b"\xe6\x97", b"\xf0\x9f\x99", b"\x80"))
def test_a_long_text_that_begins_and_ends_within_a_character(tokenizer: Tokenizer, start: bytes, end: bytes) -> None:
    for middle in ("a" * 70_000, "é" * 35_000, "日" * 30_000, "🙂" * 20_000):
        data = start + middle.encode() + end
        ids = np.frombuffer(data, np.uint8)
        for errors in ("replace", "ignore"):
            assert tokenizer.decode(ids, errors=errors) == data.decode(errors=errors)
        assert strictly(lambda ids=ids: tokenizer.decode(ids, errors="strict")) == strictly(data.decode)


@pytest.mark.parametrize("broken", (b"\x80" * 70_000, b"a" * 70_000 + b"\x80" * 70_000, b"\xf0\x9f" * 40_000))
def test_long_bytes_that_are_no_text(tokenizer: Tokenizer, broken: bytes) -> None:
    assert tokenizer.decode(np.frombuffer(broken, np.uint8)) == broken.decode(errors="replace")


@pytest.mark.parametrize("widest", CHARACTERS)
def test_a_text_of_megabytes(tokenizer: Tokenizer, widest: str) -> None:
    text = ("x" * 1001 + widest) * 5000
    ids = np.frombuffer(text.encode(), np.uint8)
    decoded = tokenizer.decode(ids)
    assert decoded == text
    assert sys.getsizeof(decoded) == sys.getsizeof(text), "it is stored in no more bytes a character than it needs"
    assert tokenizer.decode_bytes(ids) == text.encode()


def strictly(decode: Callable[[], str]) -> object:
    """The text, or what the error says."""
    try:
        return decode()
    except UnicodeDecodeError as error:
        return error.args


def test_many_ids_are_decoded_in_blocks(tokenizer: Tokenizer) -> None:
    # Of a number of bytes that divides no power of two, so that every block ends in another part of a character.
    data = ("x" * 1000 + "é🙂日").encode() * 1100
    ids = np.frombuffer(data, np.uint8)
    assert len(ids) > 4 << 18
    assert tokenizer.decode(ids) == tokenizer.decode(ids, errors="strict") == data.decode()
    for dtype in (np.uint16, np.int32, np.uint32, np.int64, np.uint64):
        assert tokenizer.decode_bytes(ids.astype(dtype)) == data
    assert tokenizer.decode_bytes(ids.tolist()) == tokenizer.decode_bytes(iter(ids.tolist())) == data
    # As many as are decoded together, and one more.
    for count in (1 << 16, (1 << 16) + 1):
        assert tokenizer.decode(ids[:count].tolist(), errors="ignore") == data[:count].decode(errors="ignore")
    broken = data[:600_000] + b"\xff" + data[600_000:]
    with pytest.raises(UnicodeDecodeError, match="position 600000"):
        tokenizer.decode(np.frombuffer(broken, np.uint8), errors="strict")
    with pytest.raises(TokenIdError, match="position 700000"):
        tokenizer.decode([97] * 700_000 + [400])


class Derived(int):
    """Not an exact `int`, as `True` is not."""


@given(
    ids=st.lists(st.integers(0, 399) | st.just(0) | st.just(1), min_size=1, max_size=300),
    kinds=st.lists(st.sampled_from((Derived, np.int64, np.uint8, bool)), max_size=5),
    data=st.data(),
)
def test_a_list_of_integers_of_several_kinds(
    tokenizer: Tokenizer, ids: list[int], kinds: list[type], data: st.DataObject
) -> None:
    items: list[object] = list(ids)
    for kind in kinds:
        items[data.draw(st.integers(0, len(ids) - 1))] = kind(1)
    vocab = tokenizer.vocab
    expected = b"".join(vocab[int(item)] for item in items)  # type: ignore[call-overload]
    assert tokenizer.decode_bytes(items) == expected  # type: ignore[arg-type]


def test_a_list_that_changes_while_it_is_read(tokenizer: Tokenizer) -> None:
    class Shrinking:
        def __index__(self) -> int:
            ids.clear()
            return 98

    ids: list[object] = [97, Shrinking(), 99]
    assert tokenizer.decode(ids) == "ab"  # type: ignore[arg-type]


def test_strict_decoding_raises(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnicodeDecodeError, match="position 1"):
        tokenizer.decode([97, 0xC3], errors="strict")
    assert tokenizer.decode([0xC3, 0xA9], errors="strict") == "é"


@pytest.mark.parametrize("bad", (400, -1, -400, -(2**30), 2**30 - 1, 2**30, 2**30 + 97, 2**31, 2**32 + 5, 2**70))
def test_an_id_that_no_token_has(tokenizer: Tokenizer, bad: int) -> None:
    message = rf"token id {bad} at position 2 is not in the vocabulary \(vocab_size 400\)"
    forms: list[object] = [[97, 98, bad, 99]]
    if -(2**63) <= bad < 2**63:
        forms.append(np.array([97, 98, bad, 99], np.int64))
    for ids in forms:
        for decode in (tokenizer.decode, tokenizer.decode_bytes, tokenizer.stream_decoder().feed):
            with pytest.raises(TokenIdError, match=message) as caught:
                decode(ids)  # type: ignore[arg-type]
            assert (caught.value.id, caught.value.position, caught.value.vocab_size) == (bad, 2, 400)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    (
        ([97, "b"], TypeError, "token ids must be integers; at position 1 there is str"),
        ([97, 1.5], TypeError, "token ids must be integers; at position 1 there is float"),
        (np.array([1.0]), TypeError, "token ids must be integers; the array's dtype is float64"),
        (np.array([True]), TypeError, "token ids must be integers; the array's dtype is bool"),
        (np.array([[1, 2]]), ValueError, r"ids must have one dimension, not shape \[1, 2\].*decode_batch"),
        (np.array(5), ValueError, r"ids must have one dimension, not shape \[\]"),
        (5, TypeError, "ids must be a sequence of integers, not one int"),
        ("abc", TypeError, "ids must be a sequence of integers, not one str"),
        (None, TypeError, "NoneType"),
    ),
)
def test_what_is_not_ids(tokenizer: Tokenizer, ids: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tokenizer.decode(ids)  # type: ignore[arg-type]


def test_array_likes_are_taken_as_arrays(tokenizer: Tokenizer) -> None:
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array([97, 98], np.int64)

    assert tokenizer.decode(Tensor()) == "ab"  # type: ignore[arg-type]


def test_rows(tokenizer: Tokenizer) -> None:
    texts = ["it was", "", f"🙂{END}", "the best of times"]
    ids, offsets = tokenizer.encode_batch(texts)
    rows = tokenizer.encode_batch(texts, as_lists=True)
    assert tokenizer.decode_batch(ids, offsets) == texts
    assert tokenizer.decode_batch(ids.astype(np.uint16), offsets.tolist()) == texts
    assert tokenizer.decode_batch(rows) == texts
    assert tokenizer.decode_batch(np.array(row) for row in rows) == texts
    assert tokenizer.decode_batch([[0xC3]], errors="ignore") == [""]
    assert tokenizer.decode_batch([]) == tokenizer.decode_batch([], [0]) == []


def test_bad_rows(tokenizer: Tokenizer) -> None:
    with pytest.raises(TokenIdError, match="token id 400 at position 1") as caught:
        tokenizer.decode_batch([[97], [97, 400]])
    assert caught.value.__notes__ == ["in row 1"]
    for offsets in ([0, 3], [2, 1]):
        with pytest.raises(ValueError, match="offsets must rise from 0 to the number of ids, 2"):
            tokenizer.decode_batch([97, 98], offsets)


def test_a_stream_holds_back_an_incomplete_character(tokenizer: Tokenizer) -> None:
    decoder = tokenizer.stream_decoder()
    assert [decoder.push(byte) for byte in "é🙂a".encode()] == ["", "é", "", "", "", "🙂", "a"]
    assert decoder.push(0xF0) == ""
    assert decoder.finish() == "\ufffd"
    assert decoder.finish() == ""
    assert decoder.feed(np.array([97, 0xC3], np.uint16)) == "a"
    assert decoder.push(97) == "\ufffda"


@given(ids=any_ids)
def test_a_stream_equals_decoding_at_once(tokenizer: Tokenizer, ids: list[int]) -> None:
    decoder = tokenizer.stream_decoder()
    assert "".join(map(decoder.push, ids)) + decoder.finish() == tokenizer.decode(ids)


def test_a_bad_id_leaves_the_stream_as_it_was(tokenizer: Tokenizer) -> None:
    decoder = tokenizer.stream_decoder()
    decoder.push(0xC3)
    for bad in (400, 2**40):
        with pytest.raises(TokenIdError, match=f"token id {bad} at position 1"):
            decoder.push(bad)
        with pytest.raises(TokenIdError, match=f"token id {bad} at position 2"):
            decoder.feed([0xA9, bad])
    assert decoder.push(0xA9) == "é"
