"""The tokenizer's definition in plain Python: what training, encoding and decoding must give, with no thought of speed.

Everything here is written to be read; the Rust core is held to it by property tests. It needs the `regex`
package (extra `dev`). Texts are valid Unicode strings: the definition says nothing about lone surrogates.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import regex

Pair = tuple[bytes, bytes]

_O200K_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # In Python `$` matches before a final newline too, unlike in Rust. Here that changes nothing: `\s++` has taken that
    # newline already and gives nothing back.
    "cl100k": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + _O200K_CONTRACTION
    + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + _O200K_CONTRACTION
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def split_special(text: str, special_tokens: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Cuts the text at every special token, leftmost first, the longest where several start at one place.

    Yields `(piece, is_special)`; pieces between special tokens may be missing but are never empty.
    """
    longest_first = sorted(special_tokens, key=len, reverse=True)
    # `(?!)` never matches; an empty alternation would match everywhere. The group makes `split` hand out the special
    # tokens too: at every odd index.
    alternatives = "|".join(map(regex.escape, longest_first)) or "(?!)"
    pieces = regex.split(f"({alternatives})", text)
    for index, piece in enumerate(pieces):
        if piece:
            yield piece, index % 2 == 1


def pretokenize(text: str, pattern: str = "gpt2") -> list[str]:
    """The pre-tokens of a text that holds no special token; joined they are the text.

    `pattern` is a scheme's name or a regex. What a regex leaves unmatched between two matches is a pre-token too.
    """
    words: list[str] = []
    end = 0
    for match in regex.finditer(PATTERNS.get(pattern, pattern), text):
        words += [text[end : match.start()], match.group()]
        end = match.end()
    words.append(text[end:])
    return [word for word in words if word]


def count_words(
    texts: str | Iterable[str], special_tokens: Iterable[str] = (), pattern: str = "gpt2"
) -> Counter[bytes]:
    """How often each pre-token occurs in the texts, special tokens left out."""
    special_tokens = list(special_tokens)
    words: Counter[bytes] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        for piece, is_special in split_special(text, special_tokens):
            if not is_special:
                words.update(word.encode() for word in pretokenize(piece, pattern))
    return words


def train(
    texts: str | Iterable[str],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    pattern: str = "gpt2",
    tie_break: str = "lexicographic",
) -> tuple[dict[int, bytes], list[Pair]]:
    """The vocabulary and the merges, in order, learned from texts."""
    return train_from_counts(count_words(texts, special_tokens, pattern), vocab_size, special_tokens, tie_break)


def train_from_counts(
    words: Mapping[bytes, int],
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    tie_break: str = "lexicographic",
) -> tuple[dict[int, bytes], list[Pair]]:
    """The vocabulary and the merges learned from counted pre-tokens: merge the most frequent pair, count again, repeat.

    Fewer than `vocab_size` tokens come back when no pair is left to merge.
    """
    preference = TIE_BREAKS[tie_break]
    sequences = [([bytes([byte]) for byte in word], count) for word, count in words.items()]
    merges: list[Pair] = []
    while 256 + len(merges) + len(special_tokens) < vocab_size:
        pairs: Counter[Pair] = Counter()
        for tokens, count in sequences:
            for pair in pairwise(tokens):
                pairs[pair] += count
        highest = max(pairs.values(), default=0)
        if highest == 0:
            break
        prefer = preference(merges)
        best = max((pair for pair, count in pairs.items() if count == highest), key=prefer)
        merges.append(best)
        sequences = [(join(tokens, best), count) for tokens, count in sequences]
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [left + right for left, right in merges]
    tokens += [token.encode() for token in special_tokens]
    return dict(enumerate(tokens)), merges


def join(tokens: list[bytes], pair: Pair) -> list[bytes]:
    """The tokens with every occurrence of the pair, from left to right, made one."""
    left, right = pair
    joined: list[bytes] = []
    position = 0
    while position < len(tokens):
        if tokens[position] == left and tokens[position + 1 : position + 2] == [right]:
            joined.append(left + right)
            position += 2
        else:
            joined.append(tokens[position])
            position += 1
    return joined


def gpt2_characters() -> dict[int, str]:
    """The character that stands for each byte in GPT-2's files: itself if it can be seen, else one from U+0100 on."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + index) for index, byte in enumerate(unseen)}


def lexicographic(_merges: list[Pair]) -> Callable[[Pair], Pair]:
    """Prefers the pair that is greatest as a tuple of byte strings."""
    return lambda pair: pair


def huggingface(merges: list[Pair]) -> Callable[[Pair], tuple[int, int]]:
    """Prefers the pair with the lowest (left id, right id): bytes by their GPT-2 characters, then merges as made.

    Special tokens have lower ids still, but never stand in a pair.
    """
    characters = gpt2_characters()
    order = [bytes([byte]) for byte in sorted(range(256), key=characters.__getitem__)]
    order += [left + right for left, right in merges]
    ids = {token: index for index, token in enumerate(order)}
    return lambda pair: (-ids[pair[0]], -ids[pair[1]])


TIE_BREAKS: dict[str, Callable[[list[Pair]], Callable[[Pair], tuple[bytes, bytes] | tuple[int, int]]]] = {
    "lexicographic": lexicographic,
    "huggingface": huggingface,
}


def encode(
    text: str,
    vocab: Mapping[int, bytes],
    merges: Sequence[Pair] | None,
    special_tokens: Iterable[str] = (),
    pattern: str = "gpt2",
    *,
    whole_words: bool = False,
) -> list[int]:
    """The ids of a text.

    `merges=None`: any two tokens whose joined bytes are a token may join, the lowest id first (tiktoken's files).
    `whole_words`: a pre-token that is a token as it stands is taken unmerged.
    """
    by_id = sorted(vocab.items())
    # A special token may be spelled like an ordinary one; special tokens have the higher id.
    special_ids = {token: token_id for token_id, token in by_id}
    token_ids = {token: token_id for token_id, token in reversed(by_id)}
    ranks = None if merges is None else {pair: rank for rank, pair in enumerate(merges)}

    def rank_of(left: bytes, right: bytes) -> int | None:
        return token_ids.get(left + right) if ranks is None else ranks.get((left, right))

    ids: list[int] = []
    for piece, is_special in split_special(text, special_tokens):
        if is_special:
            ids.append(special_ids[piece.encode()])
            continue
        for word in pretokenize(piece, pattern):
            if whole_words and word.encode() in token_ids:
                ids.append(token_ids[word.encode()])
            else:
                ids += [token_ids[token] for token in merge_word(word.encode(), rank_of)]
    return ids


def merge_word(word: bytes, rank_of: Callable[[bytes, bytes], int | None]) -> list[bytes]:
    """The tokens of one pre-token: again and again, the leftmost neighbours of the lowest rank join."""
    tokens = [bytes([byte]) for byte in word]
    while True:
        ranked = [
            (rank, position)
            for position in range(len(tokens) - 1)
            if (rank := rank_of(tokens[position], tokens[position + 1])) is not None
        ]
        if not ranked:
            return tokens
        _, position = min(ranked)
        tokens[position : position + 2] = [tokens[position] + tokens[position + 1]]


def decode_bytes(ids: Iterable[int], vocab: Mapping[int, bytes]) -> bytes:
    """The bytes of a sequence of ids."""
    return b"".join(vocab[token_id] for token_id in ids)


def decode(ids: Iterable[int], vocab: Mapping[int, bytes]) -> str:
    """The text of a sequence of ids; bytes that are not UTF-8 become U+FFFD."""
    return decode_bytes(ids, vocab).decode(errors="replace")
