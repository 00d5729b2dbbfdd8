"""Fetching known corpora: verified, resumed, refused by name, and clear about a network that is not there."""

import fcntl
import hashlib
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bloomery.cli import main
from bloomery.data.corpora import CORPORA, Corpus, corpus, fetch
from bloomery.data.download import HubFile
from bloomery.errors import ArgumentError, ChecksumError, DownloadError

pytest.importorskip("huggingface_hub")

TRAIN, VALID = random.Random(0).randbytes(300_000), random.Random(1).randbytes(1000)
SHA256 = hashlib.sha256(TRAIN).hexdigest()
# Of another content of the same size.
OTHER = bytes(len(TRAIN))


@pytest.fixture
def hub(hub, monkeypatch: pytest.MonkeyPatch):
    """The server with a corpus of which nothing is known beforehand, and one of which size and hash are."""
    hub.files |= {"owner/set/main/train.txt": TRAIN, "owner/set/main/valid.txt": VALID, "owner/set/v1/train.txt": TRAIN}
    unknown = {"train": HubFile("owner/set", "train.txt"), "valid": HubFile("owner/set", "valid.txt")}
    known = {"train": HubFile("owner/set", "train.txt", "v1", len(TRAIN), SHA256)}
    monkeypatch.setitem(CORPORA, "unknown", Corpus("for a test", unknown))
    monkeypatch.setitem(CORPORA, "known", Corpus("for a test", known))
    return hub


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_corpus_arrives_and_is_verified_by_the_hash_of_the_hub(hub, tmp_path: Path) -> None:
    train, valid = fetch("unknown", tmp_path / "a" / "b", endpoint=hub.endpoint, progress=False)
    assert (train.path, valid.path) == (tmp_path / "a/b/train.txt", tmp_path / "a/b/valid.txt")
    assert train.path.read_bytes() == TRAIN
    assert valid.path.read_bytes() == VALID
    assert (train.size, train.verified_by, train.was_there) == (len(TRAIN), "sha256", False)
    assert names(tmp_path / "a" / "b") == ["train.txt", "valid.txt"]


def test_a_small_file_is_verified_by_its_size(hub, tmp_path: Path) -> None:
    hub.large = False
    (valid,) = fetch("unknown", tmp_path, splits=["valid"], endpoint=hub.endpoint)
    assert (valid.verified_by, valid.path.read_bytes()) == ("size", VALID)


def test_what_is_there_is_checked_and_not_fetched_again(hub, tmp_path: Path) -> None:
    for name in ("unknown", "known"):
        fetch(name, tmp_path / name, splits=["train"], endpoint=hub.endpoint)
        hub.downloads.clear()
        (train,) = fetch(name, tmp_path / name, splits=["train"], endpoint=hub.endpoint)
        assert (train.was_there, train.verified_by) == (True, "sha256")
        assert hub.downloads == []


@pytest.mark.parametrize(("name", "content"), (("unknown", OTHER), ("known", OTHER), ("known", b"short")))
def test_another_file_of_that_name_is_refused_and_kept(hub, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(
        ChecksumError, match="a file of this name is there, but it is another one: move it away"
    ) as raised:
        fetch(name, tmp_path, splits=["train"], endpoint=hub.endpoint)
    assert raised.value.path == str(tmp_path / "train.txt")
    assert (tmp_path / "train.txt").read_bytes() == content


@pytest.mark.parametrize("name", ("unknown", "known"))
def test_contents_of_another_hash_are_refused_by_name(hub, tmp_path: Path, name: str) -> None:
    hub.contents = dict.fromkeys(hub.files, OTHER)
    with pytest.raises(ChecksumError) as raised:
        fetch(name, tmp_path, splits=["train"], endpoint=hub.endpoint)
    error = raised.value
    assert (error.expected, error.found) == (SHA256, hashlib.sha256(OTHER).hexdigest())
    assert "train.txt" in str(error)
    assert f"SHA-256 is {error.found}, not {error.expected}: what arrived is not the file asked for" in str(error)
    assert names(tmp_path) == []


def test_a_server_that_offers_another_file_is_refused_before_it_is_fetched(hub, tmp_path: Path) -> None:
    hub.files["owner/set/v1/train.txt"] = OTHER
    with pytest.raises(ChecksumError, match=r"SHA-256 is .*: the server offers another file than the known one"):
        fetch("known", tmp_path / "new", endpoint=hub.endpoint)
    hub.files["owner/set/v1/train.txt"] = OTHER[:-1]
    with pytest.raises(ChecksumError, match="size is 299999, not 300000: the server offers another file"):
        fetch("known", tmp_path / "new", endpoint=hub.endpoint)
    assert hub.downloads == []
    assert not (tmp_path / "new").exists()


def interrupted(hub, folder: Path) -> int:
    """Leaves a fetch that broke off in the middle; the size of what it kept."""
    hub.cut_after, hub.refuse_after = [100_000], 1
    with pytest.raises(DownloadError, match=r"train\.txt of owner/set cannot be fetched from .*goes on where this"):
        fetch("unknown", folder, splits=["train"], endpoint=hub.endpoint)
    hub.refuse_after = None
    hub.downloads.clear()
    (part,) = names(folder)
    assert part.startswith("train.txt.")
    assert part.endswith(".part")
    return (folder / part).stat().st_size


@pytest.mark.parametrize("elsewhere", (False, True))
def test_an_interrupted_fetch_goes_on_where_it_ended(hub, tmp_path: Path, elsewhere: bool) -> None:
    hub.elsewhere = elsewhere
    kept = interrupted(hub, tmp_path)
    assert 0 < kept <= 100_000
    (train,) = fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)
    assert hub.downloads == [f"bytes={kept}-"]
    assert train.path.read_bytes() == TRAIN
    assert names(tmp_path) == ["train.txt"]


def test_a_server_without_ranges_sends_the_whole_again(hub, tmp_path: Path) -> None:
    interrupted(hub, tmp_path)
    hub.ranges = False
    (train,) = fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)
    assert train.path.read_bytes() == TRAIN


def test_a_beginning_of_another_version_is_not_gone_on_with(hub, tmp_path: Path) -> None:
    interrupted(hub, tmp_path)
    hub.files["owner/set/main/train.txt"] = OTHER
    (train,) = fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)
    assert hub.downloads == [None]
    assert train.path.read_bytes() == OTHER


@pytest.mark.parametrize("kept", (TRAIN, TRAIN + b"too much"))
def test_a_whole_or_overlong_partial_file(hub, tmp_path: Path, kept: bytes) -> None:
    interrupted(hub, tmp_path)
    (part,) = tmp_path.iterdir()
    part.write_bytes(kept)
    (train,) = fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)
    assert hub.downloads == ([] if kept == TRAIN else [None])
    assert train.path.read_bytes() == TRAIN


def test_a_connection_that_breaks_off_is_taken_up_again_at_once(hub, tmp_path: Path) -> None:
    hub.cut_after = [50_000]
    (train,) = fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)
    first, second = hub.downloads
    assert first is None
    assert second is not None
    assert train.path.read_bytes() == TRAIN


def test_two_processes_do_not_write_the_same_file(hub, tmp_path: Path) -> None:
    interrupted(hub, tmp_path)
    (part,) = tmp_path.iterdir()
    with part.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is fetching this file: wait for it"):
            fetch("unknown", tmp_path, splits=["train"], endpoint=hub.endpoint)


def test_without_a_network_the_message_says_what_to_do(hub, closed_port: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as raised:
        fetch("known", tmp_path / "new", endpoint=closed_port)
    message = str(raised.value)
    assert raised.value.url == f"{closed_port}/datasets/owner/set/resolve/v1/train.txt"
    assert message.startswith(f"train.txt of owner/set cannot be fetched from {raised.value.url} (")
    assert (
        f"check the network and try again, which goes on where this ended, or put a copy of the file at {tmp_path}"
        in (message)
    )
    assert not (tmp_path / "new").exists()


def test_without_a_network_what_is_there_is_taken(hub, closed_port: str, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(TRAIN)
    (known,) = fetch("known", tmp_path, endpoint=closed_port)
    assert (known.was_there, known.verified_by) == (True, "sha256")
    (unknown,) = fetch("unknown", tmp_path, splits=["train"], endpoint=closed_port)
    assert (unknown.was_there, unknown.verified_by) == (True, None)


def test_a_file_that_the_server_lacks(hub, tmp_path: Path) -> None:
    del hub.files["owner/set/v1/train.txt"]
    with pytest.raises(DownloadError, match=r"v1/train\.txt \(.*404"):
        fetch("known", tmp_path, endpoint=hub.endpoint)


def test_a_folder_that_cannot_be_written_to(hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as raised:
        fetch("unknown", tmp_path / "file", endpoint=hub.endpoint)
    assert not isinstance(raised.value, DownloadError)


def test_a_full_disk_is_named_and_nothing_is_lost(hub, tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk.
    program = f"""
import resource, signal, sys
from bloomery.data import corpora
from bloomery.data.download import HubFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
corpora.CORPORA["set"] = corpora.Corpus("for a test", {{"train": HubFile("owner/set", "train.txt")}})
try:
    corpora.fetch("set", sys.argv[1], endpoint={hub.endpoint!r}, progress=False)
except OSError as error:
    print(type(error).__name__, error.strerror, error.filename)
"""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["HF_HOME"] = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "to"], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout.startswith(f"OSError File too large {tmp_path}/to/train.txt.")
    fetch("unknown", tmp_path / "to", splits=["train"], endpoint=hub.endpoint)
    assert hub.downloads == [None, "bytes=100000-"]
    assert names(tmp_path / "to") == ["train.txt"]


def test_names_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="there is no corpus 'tinystory': did you mean 'tinystories'"):
        fetch("tinystory", tmp_path)
    with pytest.raises(ArgumentError, match="there is no corpus 'x': known are tinystories, owt-sample"):
        corpus("x")
    with pytest.raises(ArgumentError, match="tinystories has no split 'test': choose from train, valid"):
        fetch("tinystories", tmp_path, splits=["test"])


def test_the_progress_bar_is_shown_only_where_asked(hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch("unknown", tmp_path / "a", splits=["train"], endpoint=hub.endpoint)
    assert capfd.readouterr().err == ""
    fetch("unknown", tmp_path / "b", splits=["train"], endpoint=hub.endpoint, progress=True)
    assert "train.txt: 100%" in capfd.readouterr().err


def test_the_command_fetches(hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "unknown", "--output", str(tmp_path / "a b"), "--endpoint", hub.endpoint]) == 0
    train, valid, following = capsys.readouterr().out.splitlines()
    assert train.split("  ") == [f"{tmp_path}/a b/train.txt", "300.0 kB", "fetched, SHA-256 verified"]
    assert valid.split()[-4:] == ["kB", "fetched,", "SHA-256", "verified"]
    assert following == f"next: bloomery tokenizer train '{tmp_path}/a b/train.txt'"
