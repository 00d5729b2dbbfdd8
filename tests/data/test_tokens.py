"""Files of token ids: what opens, what is refused and how, and ids that no model of the vocabulary knows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bloomery import Tokenizer
from bloomery.data import check_ids, open_tokens
from bloomery.data.tokens import release_pages
from bloomery.errors import ArgumentError, InputError, TokenIdError


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", ("uint16", "uint32"))
def test_npy_is_mapped_read_only(tmp_path: Path, dtype: str) -> None:
    path = saved(tmp_path / "ids.npy", np.arange(1000, dtype=dtype))
    ids = open_tokens(path)
    assert isinstance(ids, np.memmap)
    assert ids.dtype == dtype
    assert not ids.flags.writeable
    assert np.array_equal(ids, np.arange(1000))


@pytest.mark.parametrize("dtype", ("uint16", "uint32"))
def test_bin_is_mapped_with_its_type_given(tmp_path: Path, dtype) -> None:
    path = tmp_path / "ids.bin"
    np.arange(1000, dtype=dtype).tofile(path)
    ids = open_tokens(path, dtype=dtype)
    assert isinstance(ids, np.memmap)
    assert np.array_equal(ids, np.arange(1000))


def test_what_the_tokenizer_writes_opens(tmp_path: Path) -> None:
    tokenizer = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], ["<s>"])
    (tmp_path / "text.txt").write_text("some text<s>and more", encoding="utf-8")
    tokenizer.encode_files(tmp_path / "text.txt", tmp_path / "ids.npy")
    assert open_tokens(tmp_path / "ids.npy").tolist() == tokenizer.encode("some text<s>and more")


def test_an_empty_file_opens_and_holds_nothing(tmp_path: Path) -> None:
    assert len(open_tokens(saved(tmp_path / "ids.npy", np.zeros(0, np.uint16)))) == 0
    (tmp_path / "ids.bin").touch()
    assert len(open_tokens(tmp_path / "ids.bin", dtype="uint32")) == 0


@pytest.mark.parametrize(
    ("array", "message"),
    (
        (np.zeros((2, 3), np.uint16), "token ids have one dimension, this array has 2 (2 x 3): save it flat"),
        (np.uint16(7), "this array has 0 (a single number)"),
        (np.zeros(3, np.int64), "token ids are uint16 or uint32, this array is int64: convert it with astype"),
        (np.zeros(3, np.float32), "this array is float32"),
        (np.zeros(3, ">u2"), "this array is >u2"),
        (np.array(["a"], dtype=object), "not a whole .npy file"),
    ),
)
def test_arrays_that_are_no_ids(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = saved(tmp_path / "ids.npy", array)
    with pytest.raises(InputError) as raised:
        open_tokens(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert raised.value.path == str(path)


@pytest.mark.parametrize("length", (0, 4, 40, -3))
def test_a_truncated_npy(tmp_path: Path, length: int) -> None:
    path = saved(tmp_path / "ids.npy", np.arange(9, dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"not a whole \.npy file"):
        open_tokens(path)


def test_bin_of_another_length(tmp_path: Path) -> None:
    (tmp_path / "ids.bin").write_bytes(bytes(7))
    with pytest.raises(InputError, match="7 bytes are no whole number of uint16 ids: it is cut short, or of another"):
        open_tokens(tmp_path / "ids.bin", dtype="uint16")


def test_the_type_of_a_bin_must_be_said(tmp_path: Path) -> None:
    (tmp_path / "ids.bin").write_bytes(bytes(8))
    with pytest.raises(ArgumentError, match="does not say what its ids are: give dtype='uint16', as nanoGPT"):
        open_tokens(tmp_path / "ids.bin")
    with pytest.raises(ArgumentError, match="dtype 'int8' is not a type of token ids"):
        open_tokens(tmp_path / "ids.bin", dtype="int8")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_type_that_the_npy_contradicts(tmp_path: Path) -> None:
    path = saved(tmp_path / "ids.npy", np.zeros(3, np.uint32))
    assert open_tokens(path, dtype="uint32").dtype == np.uint32
    with pytest.raises(InputError, match="the file says that its ids are uint32, not uint16"):
        open_tokens(path, dtype="uint16")


def test_files_that_are_missing_or_of_another_kind(tmp_path: Path) -> None:
    for name in ("ids.npy", "ids.bin"):
        with pytest.raises(FileNotFoundError) as raised:
            open_tokens(tmp_path / name, dtype="uint16")
        assert str(raised.value.filename) == str(tmp_path / name)
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(InputError, match=r"text\.txt: token ids are read from \.npy and \.bin files: encode text with"):
        open_tokens(tmp_path / "text.txt")


def test_an_id_beyond_the_vocabulary_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bloomery.data.tokens._CHUNK", 100)
    ids = np.arange(1000, dtype=np.uint16) % 300
    path = saved(tmp_path / "ids.npy", ids)
    check_ids(open_tokens(path), 300)
    with pytest.raises(TokenIdError) as raised:
        check_ids(open_tokens(path), 299)
    assert (raised.value.id, raised.value.position, raised.value.vocab_size) == (299, 299, 299)
    assert str(raised.value).startswith(f"{path}: id 299 at position 299 lies outside of the vocabulary of 299 ids")
    ids[:] = 0
    ids[-1] = 65535
    with pytest.raises(TokenIdError, match="token ids in memory: id 65535 at position 999"):
        check_ids(ids, 65535)
    check_ids(ids, 65536)
    with pytest.raises(TokenIdError, match="mine: id -1 at position 1 "):
        check_ids(np.array([3, -1]), 10, name="mine")
    check_ids(ids[:0], 10)


def test_released_pages_are_read_again(tmp_path: Path) -> None:
    path = saved(tmp_path / "ids.npy", np.arange(5000, dtype=np.uint16))
    ids = open_tokens(path)
    view = np.asarray(ids)[100:]
    release_pages(view)
    assert np.array_equal(ids, np.arange(5000))
    release_pages(np.arange(3))


def test_changes_of_a_private_copy_survive_a_release(tmp_path: Path) -> None:
    path = saved(tmp_path / "ids.npy", np.zeros(5000, np.uint16))
    ids = np.load(path, mmap_mode="c")
    ids[:] = 7
    release_pages(ids)
    assert (ids == 7).all()


def test_no_torch_is_needed() -> None:
    program = """
import sys
sys.modules["torch"] = None
import numpy as np
from bloomery.data import BatchSampler, validation_windows
import bloomery.data.tokens, bloomery.data.corpora

ids = np.arange(100, dtype=np.uint16)
BatchSampler([ids], context_length=4, global_batch_size=2).batch(0)
next(validation_windows(ids, 4).batches(2))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
