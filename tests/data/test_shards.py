"""A folder of shards is to the training what one file is."""

import json
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer
from bloomery.data import BatchSampler, check_ids, open_tokens, validation_windows
from bloomery.data.tokens import name_of
from bloomery.errors import InputError, TokenIdError
from bloomery.tokenizer.engine import Local

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train_from_iterable(["it was the best of times, it was the worst of times"], 270, [END])


@pytest.fixture
def files(tmp_path: Path, tokenizer: Tokenizer) -> tuple[Path, Path]:
    """One file, and a folder of the same ids in shards, one of them empty."""
    text = tmp_path / "text.txt"
    text.write_text("".join(f"it was {number} times the worst{END}" for number in range(400)), encoding="utf-8")
    blank = tmp_path / "blank.txt"
    blank.touch()
    inputs = [text, blank, text]
    tokenizer.encode_files(inputs, tmp_path / "one.npy")
    tokenizer.encode_files(inputs, tmp_path / "tokens", engine=Local(1000))
    return tmp_path / "one.npy", tmp_path / "tokens"


def test_all_and_any_slice(files: tuple[Path, Path]) -> None:
    one, folder = np.load(files[0]), open_tokens(files[1])
    assert len(list(files[1].glob("shard-*.npy"))) > 20
    assert (folder.ndim, folder.dtype, folder.shape, len(folder)) == (1, one.dtype, one.shape, len(one))
    assert np.array_equal(np.asarray(folder), one)
    assert np.array_equal(np.asarray(open_tokens(files[1] / "manifest.json")), one)
    for start, stop in ((0, 1), (7, 4000), (-5, None), (100, 100), (90, 20)):
        assert np.array_equal(np.asarray(folder[start:stop]), one[start:stop])
        assert np.array_equal(np.asarray(folder[50:][start:stop]), one[50:][start:stop])
    with pytest.raises(IndexError, match="no step, not 2"):
        folder[::2]


def test_batches_and_validation(files: tuple[Path, Path]) -> None:
    one, folder = open_tokens(files[0]), open_tokens(files[1])
    samplers = [BatchSampler([ids], context_length=64, global_batch_size=32, seed=3) for ids in (one, folder)]
    for step in (0, 1, 99):
        for left, right in zip(*(sampler.batch(step) for sampler in samplers), strict=True):
            assert np.array_equal(left, right)
    windows = [validation_windows(ids[1000:], 64) for ids in (one, folder)]
    assert windows[0].targets == windows[1].targets
    for left, right in zip(*(list(found.batches(7)) for found in windows), strict=True):
        assert np.array_equal(left[0], right[0])
        assert np.array_equal(left[1], right[1])


def test_ids_outside_of_the_vocabulary_are_found(files: tuple[Path, Path]) -> None:
    folder = open_tokens(files[1])
    check_ids(folder, 270)
    first = int(np.argmax(np.load(files[0]) == 269))
    with pytest.raises(TokenIdError, match=f"manifest.json: id 269 at position {first} ") as caught:
        check_ids(folder, 269)
    assert caught.value.position == first
    assert name_of(folder) == str(files[1] / "manifest.json")


def test_a_folder_that_is_not_whole_is_refused(files: tuple[Path, Path]) -> None:
    _, folder = files
    shard = folder / "shard-000003.npy"
    content = shard.read_bytes()
    shard.write_bytes(content[:-2])
    with pytest.raises(
        InputError, match=r"shard-000003\.npy: has \d+ bytes where the manifest says \d+: copy it again"
    ):
        open_tokens(folder)
    shard.write_bytes(content)
    with pytest.raises(InputError, match="the manifest says that its ids are uint16, not uint32"):
        open_tokens(folder, dtype="uint32")
    facts = json.loads((folder / "manifest.json").read_text())
    for change, message in (
        ({"version": 2}, "version 2: read it with what wrote it"),
        ({"tokens": 1}, "its numbers contradict each other"),
        ({"shards": 3}, "not a manifest of token ids"),
    ):
        (folder / "manifest.json").write_text(json.dumps(facts | change))
        with pytest.raises(InputError, match=message):
            open_tokens(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"tokens: no manifest\.json: the encoding has not ended"):
        open_tokens(folder)
