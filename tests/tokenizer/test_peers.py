"""Ids and merges against the real tokenizers, tiktoken and transformers: their files here, ours there."""

import base64
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import tiktoken
import tokenizers
import transformers
from hypothesis import given
from hypothesis import strategies as st

from bloomery import Tokenizer, WordCounts
from bloomery.tokenizer import reference

END = "<|endoftext|>"
Encode = Callable[[str], list[int]]
PUBLISHED = ("r50k_base", "cl100k_base", "o200k_base", "qwen")
# Runs and alternations, in which several splits of a token compete; white space at every kind of end.
ADVERSARIAL = [
    "a" * 999,
    "ab" * 500 + "a",
    "aab" * 333,
    " " * 997,
    "\n" * 501 + "x",
    "\n \n\t" * 99,
    "!" * 640 + "\r\n/",
    "🙂" * 301,
    "ก็" * 200,
    "字" * 400 + "A" * 60 + "b",
    "0123456789" * 77,
    "x'sx'S x'ſ 'llama don'T",
    "\u1100\u1161\u11a8\u0344\u212b e\u0301\u0327 \ufb01",
]
# Peers know other versions of Unicode: characters unassigned in the oldest are left out.
assigned_text = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co")), max_size=80)
busy_text = st.text(st.sampled_from("ab'sSſl \t\n\r\u00a01½!/_Éé字ก\u0301🙂"), max_size=40)


def tiktoken_encoding(tokenizer: Tokenizer, path: Path) -> tiktoken.Encoding:
    """The peer's encoding of a file of ranks, with the pattern and special tokens of `tokenizer`."""
    lines = (line.split() for line in path.read_bytes().splitlines())
    return tiktoken.Encoding(
        path.stem,
        pat_str=reference.PATTERNS.get(tokenizer.pattern, tokenizer.pattern),
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in lines},
        special_tokens={token.content: token.id for token in tokenizer.added_tokens if token.special},
    )


@pytest.fixture(scope="module")
def texts(shared: Path) -> list[str]:
    """A little of everything: prose, stories, every assigned character, and what is hard."""
    names = ("corpora/openwebtext_684K.txt", "cs336/german.txt", "cs336/tinystories_sample.txt")
    real = [(shared / name).read_text(encoding="utf-8")[:200_000] for name in names]
    everything = (shared / "corpora/every_codepoint.txt").read_text(encoding="utf-8", errors="replace")
    # Unicode 15 at the latest, as everywhere in Python 3.11 and later.
    assigned = "".join(c for c in everything if unicodedata.category(c) not in ("Cn", "Co", "Cs"))
    words = [
        " ".join(assigned[start : start + 7]) + "x" + assigned[start : start + 7]
        for start in range(0, len(assigned), 7)
    ]
    return [*real, "\n".join(words), *ADVERSARIAL]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_ranks_give_the_ids_of_tiktoken(shared: Path, texts: list[str], name: str) -> None:
    path = shared / "vocab" / f"{name}.tiktoken"
    tokenizer = Tokenizer.load(path)
    peer = tiktoken_encoding(tokenizer, path)
    normalized = (lambda text: unicodedata.normalize("NFC", text)) if name == "qwen" else str
    for text in texts:
        document = text + END + text[:50]
        assert tokenizer.encode(document) == peer.encode(normalized(document), allowed_special="all"), text[:80]
        assert tokenizer.encode_ordinary(text) == peer.encode_ordinary(normalized(text)), text[:80]
    assert tokenizer.vocab_size == peer.n_vocab


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_written_for_tokenizers_gives_the_same_ids_there(
    shared: Path, texts: list[str], tmp_path: Path, name: str
) -> None:
    tokenizer = Tokenizer.load(shared / "vocab" / f"{name}.tiktoken")
    tokenizer.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json") == tokenizer
    peer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in texts:
        encoded = peer.encode(text + END)
        ids, spans = tokenizer.encode_with_offsets(text + END)
        assert ids == encoded.ids, text[:80]
        if name != "qwen":  # Under NFC a changed part is one span here, and several there.
            assert spans == encoded.offsets, text[:80]
    assert peer.get_vocab_size() == len(tokenizer.vocab)


@pytest.mark.parametrize("name", ("gpt2_tokenizer", "gpt_neox_tokenizer"))
def test_files_of_tokenizers_give_the_same_ids_here(shared: Path, texts: list[str], tmp_path: Path, name: str) -> None:
    path = shared / "vocab" / f"{name}.json"
    peer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer = Tokenizer.load(path)
    tokenizer.save(tmp_path / "again.json")
    again = tokenizers.Tokenizer.from_file(str(tmp_path / "again.json"))
    assert again.get_added_tokens_decoder() == peer.get_added_tokens_decoder()
    for text in [*texts, "a   b" + " " * 30 + "c  \t  d", END + " " * 5 + END]:
        ids = peer.encode(text).ids
        assert tokenizer.encode(text) == ids, text[:80]
        assert again.encode(text).ids == ids, text[:80]
        # The spans that a peer gives leave out leading spaces; the ids' own text does not depend on that.
        assert tokenizer.decode(ids) == peer.decode(ids, skip_special_tokens=False), text[:80]


def test_gpt2_files_are_one_vocabulary_in_three_formats(shared: Path, texts: list[str]) -> None:
    vocab = shared / "vocab"
    pair = Tokenizer.from_files(vocab / "encoder.json", vocab / "vocab.bpe")
    assert pair.special_tokens == [END]
    ranks = Tokenizer.load(vocab / "r50k_base.tiktoken")
    assert pair.vocab == ranks.vocab
    assert pair.merges == ranks.merges
    for text in texts:
        assert pair.encode(text) == ranks.encode(text), text[:80]


@pytest.fixture(scope="module")
def trained(shared: Path) -> Tokenizer:
    return Tokenizer.train(shared / "corpora/tinystories_2M.txt", 3000, [END, "<|pad|>"])


def as_tokenizers(tokenizer: Tokenizer, folder: Path) -> Encode:
    tokenizer.save(folder / "tokenizer.json")
    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text: peer.encode(text).ids


def as_transformers(tokenizer: Tokenizer, folder: Path) -> Encode:
    tokenizer.save(folder / "tokenizer.json")
    peer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    return lambda text: peer.encode(text, add_special_tokens=False)


def as_transformers_gpt2(tokenizer: Tokenizer, folder: Path) -> Encode:
    tokenizer.save(folder / "gpt2")
    peer = transformers.GPT2Tokenizer.from_pretrained(folder / "gpt2")
    peer.add_special_tokens({"additional_special_tokens": tokenizer.special_tokens})
    return lambda text: peer.encode(text, add_special_tokens=False)


def as_tiktoken(tokenizer: Tokenizer, folder: Path) -> Encode:
    path = folder / "ranks.tiktoken"
    tokenizer.save(path)
    peer = tiktoken_encoding(tokenizer, path)
    return lambda text: peer.encode(text, allowed_special="all")


@pytest.mark.parametrize("write", (as_tokenizers, as_transformers, as_transformers_gpt2, as_tiktoken))
def test_a_trained_tokenizer_gives_the_same_ids_everywhere(
    trained: Tokenizer, texts: list[str], tmp_path: Path, write: Callable[[Tokenizer, Path], Encode]
) -> None:
    encode = write(trained, tmp_path)
    for text in texts:
        document = f"{text}{END}{text[:99]}<|pad|>"
        assert encode(document) == trained.encode(document), text[:80]


@given(text=st.one_of(assigned_text, busy_text))
def test_any_text_gives_the_ids_of_the_peers(shared: Path, peers: list[tuple[Tokenizer, Encode]], text: str) -> None:
    for tokenizer, encode in peers:
        assert tokenizer.encode(text) == encode(text)


@pytest.fixture(scope="module")
def peers(shared: Path, trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Tokenizer, Encode]]:
    """Tokenizers beside the peer's encode function for the same vocabulary."""
    pairs = [(trained, as_tokenizers(trained, tmp_path_factory.mktemp("trained")))]
    for name in PUBLISHED[:3]:
        path = shared / "vocab" / f"{name}.tiktoken"
        tokenizer = Tokenizer.load(path)
        pairs.append((tokenizer, tiktoken_encoding(tokenizer, path).encode_ordinary))
    neox = shared / "vocab/gpt_neox_tokenizer.json"
    peer = tokenizers.Tokenizer.from_file(str(neox))
    pairs.append((Tokenizer.load(neox), lambda text: peer.encode(text).ids))
    return pairs


def test_merges_are_those_of_the_tokenizers_trainer(shared: Path) -> None:
    text = (shared / "corpora/openwebtext_684K.txt").read_text(encoding="utf-8")
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=[END],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    peer.train_from_iterator(text.split(END), trainer)
    ours = Tokenizer.train(shared / "corpora/openwebtext_684K.txt", 2000, [END], tie_break="huggingface")
    peer_vocab = peer.get_vocab()
    characters = reference.gpt2_characters()
    spelt = ["".join(characters[byte] for byte in left + right) for left, right in ours.merges]
    assert [peer_vocab[token] for token in spelt] == list(range(257, 2000))


def test_counts_of_fifty_files_are_the_counts_of_one(shared: Path, tmp_path: Path) -> None:
    text = (shared / "corpora/tinystories_2M.txt").read_bytes()
    documents = [document + END.encode() for document in text.split(END.encode())]
    documents[-1] = documents[-1].removesuffix(END.encode())
    size = -(-len(documents) // 50)
    for number in range(50):
        part = b"".join(documents[number * size : (number + 1) * size])
        (tmp_path / f"part-{number:02}.txt").write_bytes(part)
    whole = Tokenizer.train(shared / "corpora/tinystories_2M.txt", 4000, [END])
    assert Tokenizer.train([tmp_path / "part-*.txt"], 4000, [END]) == whole
    counts = [WordCounts.from_files(path, special_tokens=[END]) for path in sorted(tmp_path.glob("part-*.txt"))]
    merged = counts[0]
    for other in counts[1:]:
        merged = merged.merge(other)
    assert Tokenizer.train_from_counts(merged, 4000) == whole
