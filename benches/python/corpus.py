"""Text of any size with the long tail of web text: `python benches/python/corpus.py OUTPUT --bytes 4GB`.

Distinct pre-tokens grow as in OpenWebText, about 0.6 million in 200 MB and 6.6 million in 12 GB, which real corpora of
this size would have to be fetched for. The same seed gives the same bytes on every machine, and a larger corpus begins
with the smaller one. Documents end at `<|endoftext|>`.

The text is a sequence of words, each with what follows it: mostly nothing, else punctuation, a line break or the end of
the document. One word in sixteen is from an unbounded tail of compounds, names, numbers, addresses and words with
letters beyond ASCII, whose frequencies fall as a power of their rank; the others are from a fixed vocabulary under
Zipf's law. Some tail words recur within a paragraph, as names do.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_END = b"<|endoftext|>"
# Words in a block, the unit of work: some 3 MB of text.
_BLOCK_WORDS = 1 << 19
_PART = 1 << 14
_SHARES = 1 << 20
"""Probabilities are multiples of 1 / this."""
_VOCABULARY = 20_000
_TAIL_SHARE = 0.0625
# Of the power law: distinct words then grow with the exponent 1 / 1.66 = 0.6 of the text.
_TAIL_EXPONENT = Decimal("1.66")
_TAIL_OCTAVES, _OCTAVE_PARTS = 36, 16
# In each group of tail words every other one is a draw of its own; those between recur, as names do.
_GROUP, _RECURRING = 16, 2
_CANDIDATES = _GROUP // 2 + _RECURRING

_COMMON = """the of and to in a is that for it was on with as he be by at from his are this have I had not which you or
an they but were one all we can her has there been if more when will would who so said what up its about into than them
out other she time some could these two may then do first any like my now over such our man me even most made after also
did many before must through years where much your way well down should because each just those people how too little
state good very make world still own see men work long get here between both life being under never day same another
know while last might us great old year off come since against go came right used take three"""
_ONSETS = "b c d f g h j k l m n p r s t v w y z br ch cl cr dr fl gr pl pr sh sl sp st str th tr wh"
_NUCLEI = "a e i o u ai ea ee ie oo ou"
_CODAS = ("", "n", "r", "s", "l", "t", "m", "nd", "ng", "ck")
_ENDINGS = ("", "s", "ed", "ing", "er", "ly", "ness", "tion", "able", "ism")
_ACCENTED = "é ü ñ ø ç ã å ž ли ко на ре の 人 大 学 ん α ος 한"

# What follows a word: the piece, its weight, whether a sentence begins after it and whether the next word has no space.
_FOLLOWING = [
    (b"", 8150, False, False),
    (b",", 560, False, False),
    (b".", 430, True, False),
    (b".\n\n", 90, True, True),
    (b"\n", 60, True, True),
    (b"'s", 90, False, False),
    (b'"', 60, False, False),
    (b' "', 60, False, True),
    (b" (", 45, False, True),
    (b")", 45, False, False),
    (b"-", 110, False, True),
    (b" -", 30, False, False),
    ("\u2014".encode(), 20, False, True),
    ("\u2019s".encode(), 25, False, False),
    (b":", 45, False, False),
    (b"?", 25, True, False),
    (b"!", 15, True, False),
    (b"...", 15, False, False),
    (b" 1", 20, False, False),
    (b"/", 15, False, True),
    (b"n't", 30, False, False),
    (b" $", 10, False, True),
    (b"  ", 10, False, False),
    (b'."\n\n', 12, True, True),
    (b"." + _END, 12, True, True),
]
_LAST = len(_FOLLOWING) - 1

Uint64s = NDArray[np.uint64]
Ints = NDArray[np.int64]


def _bits(seed: int, block: int, stream: str, size: int) -> Uint64s:
    """Random 64-bit numbers by SplitMix64, which no version of numpy changes."""
    digest = hashlib.blake2b(f"{seed} {block} {stream}".encode(), digest_size=8).digest()
    bits = np.arange(size, dtype=np.uint64)
    bits += np.uint64(int.from_bytes(digest, "little"))
    bits *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


class _Pieces:
    """Byte strings end to end, and a way to write out many of them by number."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.lengths = np.array([len(piece) for piece in pieces], dtype=np.int32)
        self.starts = np.cumsum(self.lengths, dtype=np.intp) - self.lengths
        self.data = np.frombuffer(b"".join(pieces), dtype=np.uint8)

    def extended(self, data: NDArray[np.uint8], lengths: NDArray[np.int32]) -> "_Pieces":
        """These, followed by more."""
        more = _Pieces.__new__(_Pieces)
        more.lengths = np.concatenate([self.lengths, lengths])
        more.starts = np.cumsum(more.lengths, dtype=np.intp) - more.lengths
        more.data = np.concatenate([self.data, data])
        return more

    def write(self, numbers: NDArray[np.intp]) -> NDArray[np.uint8]:
        """The pieces with these numbers, end to end."""
        # By parts whose intermediate arrays stay in the cache: twice as fast as all at once.
        parts = (numbers[start : start + _PART] for start in range(0, len(numbers), _PART))
        return np.concatenate([self._write(part) for part in parts])

    def _write(self, numbers: NDArray[np.intp]) -> NDArray[np.uint8]:
        lengths = self.lengths[numbers]
        # Where each byte is copied from: the piece's start, less where the piece goes, plus the byte's own place.
        places = np.repeat(self.starts[numbers] - np.cumsum(lengths) + lengths, lengths)
        places += np.arange(len(places))
        return np.take(self.data, places, mode="clip")  # The check of every place would cost more than the copy.


@cache
def _syllables() -> list[str]:
    """All of onset, nucleus and coda, the short ones first, else in an order that looks like none."""
    every = [onset + nucleus + coda for onset in _ONSETS.split() for nucleus in _NUCLEI.split() for coda in _CODAS]
    return sorted(every, key=lambda syllable: (len(syllable), hashlib.blake2b(syllable.encode()).digest()))


def _vocabulary() -> list[str]:
    """Words by rank: the common ones of English, then made ones that grow longer with rank."""
    words = dict.fromkeys(_COMMON.split())
    for number in count():
        if len(words) == _VOCABULARY:
            return list(words)
        # Short words first, as in any language: a syllable, two, and then with an ending.
        first, second = _syllables()[number % 1009], _syllables()[number // 9 * 7 % 557]
        ending = _ENDINGS[number % len(_ENDINGS)] if number > 4000 else ""
        words[first + (second if number > 700 else "") + ending] = None
    raise AssertionError


def _variants(word: str) -> list[bytes]:
    """A word inside a sentence, at its beginning, and both without the space before."""
    capital = word[:1].upper() + word[1:]
    return [text.encode() for text in (f" {word}", f" {capital}", word, capital)]


@cache
def _words() -> _Pieces:
    """Four variants of each word, then what follows words."""
    words = [variant for word in _vocabulary() for variant in _variants(word)]
    return _Pieces(words + [piece for piece, _, _, _ in _FOLLOWING])


def _shared_out(weights: list[float], shares: int) -> Ints:
    """An array of `shares` numbers in which each number stands as often as its weight says."""
    total = list(accumulate(weights))
    edges = [round(edge / total[-1] * shares) for edge in total]
    return np.repeat(np.arange(len(weights)), np.diff([0, *edges]))


@cache
def _ranks() -> NDArray[np.int32]:
    """From a random share to a rank; `_VOCABULARY` stands for the tail."""
    head = [1 / (rank + 2.7) for rank in range(_VOCABULARY)]
    tail = sum(head) * _TAIL_SHARE / (1 - _TAIL_SHARE)
    return _shared_out([*head, tail], _SHARES).astype(np.int32)


@cache
def _following() -> NDArray[np.int8]:
    """From a random number below 4096 to what follows a word."""
    return _shared_out([weight for _, weight, _, _ in _FOLLOWING], 1 << 12).astype(np.int8)


@cache
def _tail_parts() -> tuple[Uint64s, Ints, Ints]:
    """The power law in steps: upper ends of probability in 2⁶³ parts, where the ranks of each begin, how many."""
    with localcontext() as context:
        context.prec = 40  # Decimals are the same on every machine, which the powers of floating-point numbers are not.
        edges = [
            _VOCABULARY * 2**octave * (_OCTAVE_PARTS + part) // _OCTAVE_PARTS
            for octave in range(_TAIL_OCTAVES)
            for part in range(_OCTAVE_PARTS)
        ]
        exceeded = [(Decimal(edge) / _VOCABULARY) ** (1 - _TAIL_EXPONENT) for edge in edges]
        ends = [int((1 - share) * 2**63) for share in exceeded[1:]]
    ends[-1] = 2**63
    return np.array(ends, dtype=np.uint64), np.array(edges[:-1]), np.diff(edges)


def _tail_ranks(seed: int, block: int, size: int) -> Ints:
    """Ranks of the tail for `size` draws, each group of them from a few candidates."""
    groups = -(-size // _GROUP)
    ends, begins, widths = _tail_parts()
    bits = _bits(seed, block, "tail", groups * _CANDIDATES)
    part = np.searchsorted(ends, bits >> np.uint64(1), side="right")
    within = _bits(seed, block, "within", len(bits)) >> np.uint64(40)
    candidates = begins[part] + (within.astype(np.int64) * widths[part] >> 24)
    recurring = (_bits(seed, block, "recurring", size) % np.uint64(_RECURRING)).astype(np.int64)
    place = np.arange(size) % _GROUP
    choice = np.where(place % 2, place // 2, _GROUP // 2 + recurring)
    return candidates[np.arange(size) // _GROUP * _CANDIDATES + choice]


@cache
def _tail_pieces() -> _Pieces:
    """What tail words are made of: nothing, syllables, the same capitalised, accented ones, numbers, addresses."""
    syllables = _syllables()[:_BASE]
    endings = _ACCENTED.split()
    accented = [syllables[at] + endings[at % len(endings)] for at in range(_BASE)]
    numbers = [str(number) for number in range(_BASE)]
    padded = [f"{number:03}" for number in range(_BASE)]
    capitals = [syllable.capitalize() for syllable in syllables]
    pieces = [*syllables, *capitals, *accented, *numbers, *padded, "", " ", ".com", "http://www."]
    return _Pieces([piece.encode() for piece in pieces])


# Tail words are written in this base, a syllable or three digits for each place.
_BASE, _PLACES = 1000, 4
_LOWER, _CAPITAL, _ACCENT, _NUMBER, _PADDED = (kind * _BASE for kind in range(5))
_NOTHING, _SPACE, _COM, _WWW = range(5 * _BASE, 5 * _BASE + 4)
# Of twenty ranks seven are compounds, seven names, three numbers, one an address, two have letters beyond ASCII: how
# many, what the first place is written with and what the others.
_KINDS = [(7, _LOWER, _LOWER), (7, _CAPITAL, _LOWER), (3, _NUMBER, _PADDED), (1, _LOWER, _LOWER), (2, _ACCENT, _LOWER)]
_TURN = 20
_FIRST = np.array([first for share, first, _ in _KINDS for _ in range(share)])
_OTHER = np.array([other for share, _, other in _KINDS for _ in range(share)])
# So that the ranks of a kind are numbered without gaps: how many a turn has and the place among them.
_SHARE = np.array([share for share, _, _ in _KINDS for _ in range(share)])
_PLACE = np.array([place for share, _, _ in _KINDS for place in range(share)])
_ADDRESS = 17


def _tail_words(ranks: Ints, spaced: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The words of these ranks, end to end, and their lengths. Another rank is another word."""
    kind = ranks % _TURN
    number = ranks // _TURN * _SHARE[kind] + _PLACE[kind]
    numbers = np.full((len(ranks), _PLACES + 3), _NOTHING)
    numbers[:, 0] = np.where(spaced, _SPACE, _NOTHING)
    numbers[:, 1] = np.where(kind == _ADDRESS, _WWW, _NOTHING)
    places = []
    while len(places) < _PLACES:
        places.append(number % _BASE)
        number //= _BASE
    begun = np.zeros(len(ranks), dtype=bool)
    for column, digit in enumerate(reversed(places), start=2):
        here = (digit > 0) | begun | (column == _PLACES + 1)
        piece = digit + np.where(begun, _OTHER[kind], _FIRST[kind])
        numbers[:, column] = np.where(here, piece, _NOTHING)
        begun |= here
    numbers[:, -1] = np.where(kind == _ADDRESS, _COM, _NOTHING)
    pieces = _tail_pieces()
    return pieces.write(numbers.ravel()), pieces.lengths[numbers].sum(axis=1, dtype=np.int32)


def block(seed: int, number: int) -> bytes:
    """One block of the corpus: whole documents, some 3 MB."""
    bits = _bits(seed, number, "words", _BLOCK_WORDS)
    ranks = _ranks()[(bits >> np.uint64(44)).astype(np.intp)].astype(np.intp)
    following = _following()[(bits & np.uint64((1 << 12) - 1)).astype(np.intp)].astype(np.intp)
    following[-1] = _LAST
    # What precedes a word decides its variant; a block begins a document.
    begins = np.array([begins for _, _, begins, _ in _FOLLOWING])[np.roll(following, 1)]
    joined = np.array([joined for _, _, _, joined in _FOLLOWING])[np.roll(following, 1)]
    words = ranks * 4 + begins + 2 * joined
    tail = np.flatnonzero(ranks == _VOCABULARY)
    data, lengths = _tail_words(_tail_ranks(seed, number, len(tail)), ~joined[tail])
    words[tail] = len(_words().lengths) + np.arange(len(tail))
    pieces = _words().extended(data, lengths)
    return pieces.write(np.stack([words, following + 4 * _VOCABULARY], axis=1).ravel()).tobytes()


def blocks(seed: int, processes: int) -> Iterator[bytes]:
    """The corpus without end, a few blocks ahead of the reader."""
    with ProcessPoolExecutor(processes) as pool:
        ahead: list[Future[bytes]] = []
        try:
            for number in count():
                ahead.append(pool.submit(block, seed, number))
                if len(ahead) > 2 * processes:
                    yield ahead.pop(0).result()
        finally:
            for future in ahead:
                future.cancel()


def write(path: Path, size: int, seed: int = 0, processes: int | None = None) -> int:
    """Writes as many whole documents as fit into `size` bytes, and returns their size in bytes."""
    written = 0
    source = blocks(seed, processes or os.cpu_count() or 1)
    try:
        with path.open("wb") as file:
            for text in source:
                kept = text if written + len(text) <= size else _documents(text, size - written)
                written += file.write(kept)
                if len(kept) < len(text):
                    return written
    finally:
        source.close()
    raise AssertionError


def _documents(text: bytes, size: int) -> bytes:
    """The documents at the beginning of `text` that fit into `size` bytes."""
    end = text.rfind(_END, 0, size)
    return text[: end + len(_END)] if end >= 0 else b""


def parse_size(text: str) -> int:
    """Bytes of "300MB" or "4GB"; units are powers of 1000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write for example 300MB or 4GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def main(argv: list[str] | None = None) -> None:
    """Writes a corpus."""
    parser = argparse.ArgumentParser(prog="corpus.py", description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--bytes", type=parse_size, required=True, help="at most, such as 300MB or 4GB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, help="default: one for each core; the text does not depend on it")
    options = parser.parse_args(argv)
    written = write(options.output, options.bytes, options.seed, options.processes)
    print(f"{options.output}: {written:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
